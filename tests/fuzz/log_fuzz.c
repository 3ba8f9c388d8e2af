/* The log: any life with any crashes, and then any harm to its files. A real writer fills a disk in
 * memory; what recovery makes of it must be a state that once was, with every entry as it was
 * written, or be refused in words. After crashes alone it must hold what was reported durable;
 * after harm, what the batches and headers that are still whole state as synced
 * (docs/log-format.md: what it cannot tell).
 *
 * The input is a list of steps (feed.h). Harm that also mends the checksums ends the input: nothing
 * can be known of the outcome but that the log neither crashes nor hangs. */
#include "feed.h"
#include "fuzz.h"
#include "log_twin.h"

#include "base/alloc.h"
#include "log/log_internal.h"

#include <string.h>

#define STEPS_MAX 300u

static void on_durable(void *context, uint64_t position)
{
    struct life *life = context;
    qr_assert(position > life->durable);
    life->durable = position;
}

static void on_failure(void *context, int error, const char *what)
{
    (void)context;
    (void)error;
    (void)what;
    qr_unreachable(); /* no operation of this disk fails */
}

static enum log_open_result open_log(struct life *life)
{
    life->durable = 0;
    enum log_open_result result =
        log_open(life->disk, &life->config, &life->log, life->message, sizeof life->message);
    qr_assert(result == LOG_OPEN_OK || life->message[0] != 0);
    qr_assert(strlen(life->message) < sizeof life->message - 1);
    if (result != LOG_OPEN_OK && result != LOG_OPEN_DAMAGED) {
        life->log = NULL;
    }
    return result;
}

/* Frees the log's memory as a dying process would. */
static void forget(struct life *life)
{
    if (life->log != NULL) {
        disk_kill_log(life->disk, life->log);
    } else {
        disk_kill(life->disk);
    }
    life->log = NULL;
}

/* --- Crashes -------------------------------------------------------------------------------- */

/* The state that came back must be one that was, at or behind `least`. */
static void check_kept(struct life *life, uint64_t least)
{
    uint32_t k = life->kept_n;
    while (k > 0 && !twin_is(life, &life->kept[k - 1])) {
        k--;
    }
    qr_assert(k > 0); /* no state like this one ever was */
    /* Nothing that must be there is missing: the next state lies beyond. */
    qr_assert(k == life->kept_n || life->kept[k].position > least);
    life->now = life->kept[k - 1];
    life->kept_n = 0;
    twin_keep(life);
    twin_check_entries(life);
}

static void crash(struct life *life, struct feed *f)
{
    unsigned how = feed_below(f, 4);
    uint64_t durable = life->durable;
    if (how == 0 && log_idle(life->log)) {
        disk_settle(life->disk);
        log_close(life->log);
        life->log = NULL;
    }
    forget(life);
    if (how >= 2) {
        struct rng rng = rng_from(feed_u16(f));
        disk_power_loss(life->disk, &rng);
    }
    qr_assert(open_log(life) == LOG_OPEN_OK);
    twin_fill_holes(life); /* of an earlier harm, whose patches were lost with the power */
    check_kept(life, durable);
}

/* --- Harm ----------------------------------------------------------------------------------- */

/* Overwrites bytes of the file, taken from the input, from another place, or with one value. */
static void scribble(struct life *life, struct feed *f, size_t file)
{
    size_t n, other_n;
    uint8_t *p = disk_bytes(life->disk, file, &n);
    const uint8_t *other =
        disk_bytes(life->disk, feed_below(f, (uint32_t)disk_files(life->disk)), &other_n);
    if (n == 0 || other_n == 0) {
        return;
    }
    size_t grain = feed_below(f, 2) == 0 ? 1 : 512;
    size_t at = feed_u16(f) * grain % n;
    size_t length = 0;
    struct span bytes = { 0 };
    switch (feed_below(f, 4)) {
    case 0:
        bytes = feed_bytes(f, 1 + feed_below(f, 64));
        length = min_u64(bytes.n, n - at);
        memmove(p + at, length > 0 ? bytes.p : p, length);
        break;
    case 1:
        length = min_u64((size_t)(1 + feed_below(f, 8)) * 512, n - at);
        memset(p + at, 0, length);
        break;
    case 2:
        length = min_u64((size_t)(1 + feed_below(f, 8)) * 512, min_u64(n - at, other_n));
        memmove(p + at, other + feed_u16(f) * 512 % (other_n - length + 1), length);
        break;
    default:
        p[at] ^= (uint8_t)(1u << feed_below(f, 8));
    }
}

static void harm_once(struct life *life, struct feed *f)
{
    if (disk_files(life->disk) == 0) {
        return;
    }
    size_t file = feed_below(f, (uint32_t)disk_files(life->disk));
    size_t n;
    (void)disk_bytes(life->disk, file, &n);
    switch (feed_below(f, 8)) {
    case 0:
        disk_cut(life->disk, file, n > 0 ? feed_u16(f) * 64u % n : 0);
        break;
    case 1:
        disk_cut(life->disk, file, n + feed_u16(f));
        break;
    default:
        scribble(life, f, file);
    }
}

/* Makes the checksums right again wherever something looks like a header or a batch. */
static void mend(struct life *life)
{
    for (size_t i = 0; i < disk_files(life->disk); i++) {
        size_t n;
        uint8_t *p = disk_bytes(life->disk, i, &n);
        twin_mend(life, p, n);
    }
}

/* What some whole batch or segment header on the disk says was synced. */
static uint64_t stated(const struct life *life)
{
    uint64_t most = 0;
    for (size_t i = 0; i < disk_files(life->disk); i++) {
        size_t n;
        const uint8_t *p = disk_bytes(life->disk, i, &n);
        if (strstr(disk_name(life->disk, i), ".log") != NULL) {
            most = max_u64(most, twin_stated(life, p, n));
        }
    }
    return most;
}

/* A damaged log can be read, and serves nothing wrong. */
static void check_damaged(struct life *life)
{
    qr_assert(strstr(life->message, "rebuild this replica") != NULL);
    for (uint32_t i = 0; i < TWIN_GROUPS; i++) {
        struct log_group g;
        if (!log_group_state(life->log, twin_group_id(i), &g)) {
            continue;
        }
        qr_assert(g.damaged);
        qr_assert(g.last_slot - g.base_slot < 100000);
        for (qr_slot slot = g.base_slot + 1; slot <= g.last_slot; slot++) {
            qr_assert(twin_reads_right_or_not(life, i, slot));
        }
    }
}

/* Cut where it is damaged, it is a log again, and serves nothing wrong. */
static void check_cut(struct life *life)
{
    forget(life);
    life->config.cut_damage = true;
    for (int round = 0; round < 2; round++) {
        qr_assert(open_log(life) == LOG_OPEN_OK);
        for (uint32_t i = 0; i < TWIN_GROUPS; i++) {
            struct log_group g;
            if (!log_group_state(life->log, twin_group_id(i), &g)) {
                continue;
            }
            qr_assert(!g.damaged);
            qr_assert(g.last_slot - g.base_slot < 100000);
            for (qr_slot slot = g.base_slot + 1; slot <= g.last_slot; slot++) {
                qr_assert(twin_reads_right_or_not(life, i, slot));
            }
        }
        forget(life);
        life->config.cut_damage = false;
    }
    qr_assert(open_log(life) == LOG_OPEN_OK);
}

/* True when the life goes on. */
static bool harm(struct life *life, struct feed *f)
{
    uint64_t synced = life->log->synced;
    forget(life);
    bool mended = feed_below(f, 4) == 0;
    for (unsigned i = 1 + feed_below(f, 4); i > 0; i--) {
        harm_once(life, f);
    }
    if (mended) {
        mend(life);
        (void)open_log(life);
        return false;
    }
    uint64_t least = stated(life);
    qr_assert(least <= synced);
    switch (open_log(life)) {
    case LOG_OPEN_OK:
        twin_fill_holes(life);
        check_kept(life, least);
        return true;
    case LOG_OPEN_DAMAGED:
        check_damaged(life);
        check_cut(life);
        return false;
    case LOG_OPEN_FOREIGN: /* no harm makes a whole header of another log or a later format */
    case LOG_OPEN_IO:
        break;
    }
    qr_unreachable();
}

/* --- Steps ---------------------------------------------------------------------------------- */

static bool step(struct life *life, struct feed *f)
{
    uint32_t group = feed_below(f, TWIN_GROUPS);
    switch (feed_below(f, 16)) {
    case 0:
    case 1:
    case 2:
        twin_append(life, group, 1 + feed_below(f, 6));
        break;
    case 3:
        twin_truncate(life, group, feed_u8(f));
        break;
    case 4:
        twin_trim(life, group, feed_u8(f));
        break;
    case 5:
        feed_below(f, 2) == 0 ? twin_install(life, group, feed_below(f, 10))
                              : twin_reset(life, group, feed_u8(f));
        break;
    case 6:
        twin_state(life, group, feed_u8(f));
        break;
    case 7:
    case 8:
        log_flush(life->log);
        break;
    case 9:
        feed_below(f, 4) == 0 ? twin_drop(life, group)
                              : twin_carry(life, feed_u16(f), feed_u16(f) / 4);
        break;
    case 10:
    case 11:
        (void)disk_step(life->disk);
        break;
    case 12:
        log_flush(life->log);
        disk_settle(life->disk);
        break;
    case 13:
    case 14:
        crash(life, f);
        break;
    default:
        return harm(life, f);
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct feed f = { .p = data, .n = n };
    struct life *life = qr_zalloc(sizeof *life);
    life->disk = disk_new();
    life->config = (struct log_config){
        .dir = "log",
        .uuid = { 1, 2, 3, 4 },
        .segment_bytes = (4 + feed_below(&f, 12)) * LOG_BLOCK_BYTES,
        .cache_bytes = feed_below(&f, 2) * MIB,
        .reserve_bytes = feed_below(&f, 100) * KIB,
        .recycle_bytes = feed_below(&f, 4) * 64 * KIB,
        .sync = (enum log_sync)feed_below(&f, 3),
        .on_durable = on_durable,
        .on_failure = on_failure,
        .context = life,
    };
    for (uint32_t i = 0; i < TWIN_GROUPS; i++) {
        life->now.group[i].term = 1;
    }
    qr_assert(open_log(life) == LOG_OPEN_OK);
    twin_keep(life);
    bool going = true;
    for (uint32_t i = 0; i < STEPS_MAX && going && f.n > 0; i++) {
        going = step(life, &f);
    }
    if (going) {
        twin_check_entries(life);
    }
    forget(life);
    disk_free(life->disk);
    free(life);
    return 0;
}
