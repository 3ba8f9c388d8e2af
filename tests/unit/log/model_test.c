/* A naive twin of the log and random operations, kills and power losses (P5; scenarios 54, 57, 60,
 * 104, 106, 107, 110).
 *
 * After a crash the log must be in a state that the twin once had, no older than the last position
 * that was reported durable; where power stayed, that was reported written. Every entry is compared
 * byte by byte. */
#include "rig.h"

#include "base/alloc.h"
#include "base/wire.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define GROUPS 3u
#define SLOTS 256u /* live entries of one group, at most */
#define STEPS_KEPT 4096u

struct twin_group {
    qr_slot base, last;
    qr_term base_term, term; /* term: of the next entry */
    uint8_t terms[SLOTS];    /* by slot modulo SLOTS */
    bool states_roster[SLOTS];
    uint64_t state; /* 0: none */
    bool known;
};

struct twin {
    struct twin_group group[GROUPS];
    uint64_t position;
};

struct run {
    struct rig rig;
    struct rng rng;
    struct twin now;
    struct twin kept[STEPS_KEPT]; /* after each operation since the last crash */
    uint32_t kept_n;
    uint32_t crashes, kept_more, carried;
    uint64_t segments_max, seed;
    uint32_t lazy; /* so many of a hundred appends may be synced later */
    bool calm;     /* crashes are rare, so that chunks of the cache fill */
};

static qr_term term_at(const struct twin_group *g, qr_slot slot)
{
    return slot == g->base ? g->base_term : g->terms[slot % SLOTS];
}

static uint32_t group_id(uint32_t i)
{
    return 100 + i * 77777;
}

static void keep(struct run *run)
{
    run->now.position = log_position(run->rig.log);
    assert_true(run->kept_n < STEPS_KEPT);
    run->kept[run->kept_n++] = run->now;
}

/* --- Operations ----------------------------------------------------------------------------- */

static void do_append(struct run *run, uint32_t i)
{
    struct twin_group *g = &run->now.group[i];
    uint64_t n = 1 + rng_below(&run->rng, 6);
    while (n-- > 0 && g->last - g->base < SLOTS) {
        g->last++;
        g->terms[g->last % SLOTS] = (uint8_t)g->term;
        g->known = true;
        g->states_roster[g->last % SLOTS] = rng_chance(&run->rng, 1, 8);
        qr_time within = rng_chance(&run->rng, 1, 2) ? LOG_SYNC_SOON : LOG_SYNC_LATER;
        run->rig.lazy = rng_chance(&run->rng, run->lazy, 100) ? within : 0;
        rig_append_kind(&run->rig, group_id(i), g->last, g->term,
                        g->states_roster[g->last % SLOTS] ? RECORD_MEMBERS : RECORD_COMMAND);
        keep(run);
    }
}

static void do_truncate(struct run *run, uint32_t i)
{
    struct twin_group *g = &run->now.group[i];
    if (g->last == g->base || g->term == 250) {
        return;
    }
    qr_slot from = g->base + 1 + rng_below(&run->rng, g->last - g->base);
    g->last = from - 1;
    g->term++;
    log_truncate(run->rig.log, group_id(i), from);
    keep(run);
}

static void do_trim(struct run *run, uint32_t i)
{
    struct twin_group *g = &run->now.group[i];
    if (g->last == g->base) {
        return;
    }
    qr_slot upto = g->base + 1 + rng_below(&run->rng, g->last - g->base);
    g->base_term = term_at(g, upto);
    g->base = upto;
    log_trim(run->rig.log, group_id(i), upto, g->base_term);
    keep(run);
}

/* What was lost is built anew: the group goes on behind any slot, before or beyond its own. */
static void do_reset(struct run *run, uint32_t i)
{
    struct twin_group *g = &run->now.group[i];
    g->base = g->last = rng_below(&run->rng, g->last + 10);
    g->base_term = g->base > 0 ? g->term : 0;
    g->known = true;
    log_reset(run->rig.log, group_id(i), g->base, g->base_term);
    keep(run);
}

/* An installed snapshot: the group starts anew beyond its last entry. */
static void do_install(struct run *run, uint32_t i)
{
    struct twin_group *g = &run->now.group[i];
    g->base = g->last = g->last + 1 + rng_below(&run->rng, 10);
    g->base_term = g->term;
    g->known = true;
    log_trim(run->rig.log, group_id(i), g->base, g->base_term);
    keep(run);
}

static void do_state(struct run *run, uint32_t i)
{
    struct twin_group *g = &run->now.group[i];
    uint8_t p[64] = { 0 };
    g->state = rng_next(&run->rng) | 1;
    g->known = true;
    memcpy(p, &g->state, 8);
    log_state(run->rig.log, group_id(i), span_of(p, 8 + rng_below(&run->rng, 50)));
    keep(run);
}

/* It goes, and may begin another life at once. */
static void do_drop(struct run *run, uint32_t i)
{
    struct twin_group *g = &run->now.group[i];
    *g = (struct twin_group){ .term = g->term };
    log_drop(run->rig.log, group_id(i));
    keep(run);
}

/* Entries move to the end of the log; nothing else changes. */
static void do_carry(struct run *run)
{
    struct log_carrying carrying = {
        .before = rng_below(&run->rng, log_position(run->rig.log) + 1),
        .group_bytes = rng_below(&run->rng, 40000),
        .bytes = 1 + rng_below(&run->rng, 40000),
    };
    uint64_t before = log_position(run->rig.log);
    uint64_t carried = log_carry(run->rig.log, &carrying);
    assert_true((carried > 0) == (log_position(run->rig.log) > before));
    run->carried += carried > 0;
    keep(run);
}

/* --- Comparison ----------------------------------------------------------------------------- */

static bool same_group(struct run *run, uint32_t i, const struct twin_group *want)
{
    struct log_group g;
    if (!log_group_state(run->rig.log, group_id(i), &g)) {
        return !want->known;
    }
    uint64_t state = 0;
    if (g.state.n >= 8) {
        memcpy(&state, g.state.p, 8);
    }
    if (!want->known || g.damaged || g.base_slot != want->base || g.last_slot != want->last ||
        g.base_term != want->base_term || state != want->state) {
        return false;
    }
    uint32_t at = 0;
    uint32_t rosters = 0;
    for (qr_slot slot = want->base + 1; slot <= want->last; slot++) {
        if (want->states_roster[slot % SLOTS] &&
            (rosters == g.members_count || g.members[rosters++] != slot)) {
            return false;
        }
        while (at + 1 < g.run_count && g.runs[at + 1].slot <= slot) {
            at++;
        }
        if (g.run_count == 0 || g.runs[0].slot != want->base + 1 ||
            g.runs[at].term != term_at(want, slot)) {
            return false;
        }
    }
    return rosters == g.members_count;
}

static bool same(struct run *run, const struct twin *want)
{
    for (uint32_t i = 0; i < GROUPS; i++) {
        if (!same_group(run, i, &want->group[i])) {
            return false;
        }
    }
    return true;
}

static void check_entries(struct run *run)
{
    for (uint32_t i = 0; i < GROUPS; i++) {
        const struct twin_group *g = &run->now.group[i];
        for (qr_slot slot = g->base + 1; slot <= g->last; slot++) {
            assert_true(rig_has(&run->rig, group_id(i), slot, term_at(g, slot)));
        }
    }
}

/* A random range through log_read: consecutive, of that group, as many as fit. */
static void check_range(struct run *run, uint32_t i)
{
    const struct twin_group *g = &run->now.group[i];
    if (g->last == g->base) {
        return;
    }
    qr_slot lo = g->base + 1 + rng_below(&run->rng, g->last - g->base);
    qr_slot hi = lo + 1 + rng_below(&run->rng, g->last + 1 - lo);
    size_t max = rng_below(&run->rng, 60000);
    struct span out;
    int64_t n = log_read(run->rig.log, group_id(i), lo, hi, max, &out);
    assert_in_range(n, 1, hi - lo);
    assert_true(n == 1 || out.n <= max);
    for (qr_slot slot = lo; slot < lo + (qr_slot)n; slot++) {
        struct record r;
        size_t bytes = record_read(out, &r);
        assert_true(bytes > 0);
        assert_int_equal(r.slot, slot);
        assert_int_equal(r.term, term_at(g, slot));
        out = span_of(out.p + bytes, out.n - bytes);
    }
    assert_int_equal(out.n, 0);
}

/* --- Crashes -------------------------------------------------------------------------------- */

/* Opens again, sometimes with a failing disk or a crash in the middle first. Whether power was lost
 * then. */
static bool reopen(struct run *run)
{
    struct rig *rig = &run->rig;
    bool power = false;
    while (rng_chance(&run->rng, 1, 3)) {
        disk_fail_at(rig->disk, 1 + rng_below(&run->rng, 12), -EIO);
        rig->config.on_durable = NULL;
        enum log_open_result result =
            log_open(rig->disk, &rig->config, &rig->log, rig->message, sizeof(rig->message));
        if (result != LOG_OPEN_OK && result != LOG_OPEN_IO) {
            fail_msg("SEED=%lu crash %u: %s", run->seed, run->crashes, rig->message);
        }
        if (result == LOG_OPEN_OK) {
            rig_forget(rig);
        }
        rig->log = NULL;
        if (rng_chance(&run->rng, 1, 2)) {
            disk_power_loss(rig->disk, &run->rng);
            power = true;
        } else {
            disk_kill(rig->disk);
        }
    }
    rig_open(rig, LOG_OPEN_OK);
    return power;
}

static void crash(struct run *run)
{
    struct rig *rig = &run->rig;
    uint64_t durable = rig->durable;
    uint64_t last = log_position(rig->log);
    bool clean = log_idle(rig->log) && rng_chance(&run->rng, 1, 2);
    bool power = rng_chance(&run->rng, 2, 3);
    if (clean) {
        disk_settle(rig->disk);
        log_close(rig->log);
        rig->log = NULL;
    }
    rig_forget(rig);
    if (power) {
        disk_power_loss(rig->disk, &run->rng);
    }
    power = reopen(run) || power;
    durable = power ? durable : max_u64(durable, rig->written);
    uint32_t k = run->kept_n;
    while (k > 0 && !same(run, &run->kept[k - 1])) {
        k--;
    }
    if (k == 0 || (k < run->kept_n && run->kept[k].position <= durable)) {
        fail_msg("SEED=%lu crash %u: state %u of %u came back, %lu was durable, that is %lu",
                 run->seed, run->crashes, k, run->kept_n, durable,
                 k == 0 ? 0 : run->kept[k - 1].position);
    }
    assert_true(!clean || k == run->kept_n);
    run->kept_more += run->kept[k - 1].position > durable && last > durable;
    run->crashes++;
    struct twin twin = run->kept[k - 1];
    run->now = twin;
    run->kept_n = 0;
    rig->durable = rig->written = 0;
    keep(run);
    check_entries(run);
}

static void drop_kept(struct run *run)
{
    if (run->kept_n < STEPS_KEPT - 16) {
        return;
    }
    rig_flush(&run->rig);
    run->kept_n = 0;
    keep(run);
}

static void one_step(struct run *run)
{
    uint32_t i = (uint32_t)rng_below(&run->rng, GROUPS);
    uint64_t dice = rng_below(&run->rng, 100);
    if (dice < 35) {
        do_append(run, i);
    } else if (dice < 40) {
        do_truncate(run, i);
    } else if (dice < 47) {
        do_trim(run, i);
    } else if (dice < 48) {
        rng_chance(&run->rng, 1, 2) ? do_install(run, i) : do_reset(run, i);
    } else if (dice < 51) {
        do_state(run, i);
    } else if (dice < 52) {
        rng_chance(&run->rng, 1, 4) ? do_drop(run, i) : do_carry(run);
    } else if (dice < 75) {
        disk_advance(run->rig.disk, (qr_time)rng_below(&run->rng, 400 * QR_MILLISECOND));
        log_flush(run->rig.log);
    } else if (dice < 95) {
        disk_step(run->rig.disk);
    } else if (dice < 98) {
        check_range(run, i);
    } else if (rng_chance(&run->rng, 1, run->calm ? 40 : 2)) {
        crash(run);
    }
    drop_kept(run);
    struct log_stats stats;
    log_stats(run->rig.log, &stats);
    run->segments_max = max_u64(run->segments_max, stats.segments);
}

static void run_seed(uint64_t seed, struct run *run)
{
    *run = (struct run){ .rng = rng_from(seed), .seed = seed, .calm = seed % 10 == 0 };
    uint32_t steps = run->calm ? 6000 : 500;
    run->lazy = seed % 3 == 0 ? 0 : seed % 3 == 1 ? 60 : 98;
    struct rig *rig = &run->rig;
    rig->disk = disk_new();
    rig->config = (struct log_config){
        .dir = "log",
        .uuid = { (uint8_t)seed, 42 },
        .segment_bytes = (4 + rng_below(&run->rng, 30)) * LOG_BLOCK_BYTES,
        .cache_bytes = rng_below(&run->rng, 3) * MIB,
        .reserve_bytes = rng_below(&run->rng, 100 * KIB),
        .recycle_bytes = rng_chance(&run->rng, 1, 2) ? 512 * KIB : 0,
        .sync = (enum log_sync)rng_below(&run->rng, 3),
    };
    for (uint32_t i = 0; i < GROUPS; i++) {
        run->now.group[i].term = 1;
    }
    rig_open(rig, LOG_OPEN_OK);
    keep(run);
    for (uint32_t i = 0; i < steps; i++) {
        one_step(run);
    }
    check_entries(run);
    rig_stop(rig);
}

static void scenario_60_random_lives(void **state)
{
    (void)state;
    struct run *run = qr_alloc(sizeof(*run));
    uint64_t crashes = 0;
    uint64_t kept_more = 0;
    uint64_t carried = 0;
    const char *only = getenv("SEED");
    uint64_t from = only != NULL ? strtoull(only, NULL, 10) : 1;
    const char *more = getenv("COUNT");
    uint64_t count = more != NULL ? strtoull(more, NULL, 10) : only != NULL ? 1 : 150;
    for (uint64_t seed = from; seed < from + count; seed++) {
        run_seed(seed, run);
        crashes += run->crashes;
        kept_more += run->kept_more;
        carried += run->carried;
    }
    assert_true(only != NULL || crashes > 100);
    assert_true(only != NULL || carried > 100);
    assert_true(only != NULL || kept_more > 5); /* unsynced writes did survive at times */
    free(run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scenario_60_random_lives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
