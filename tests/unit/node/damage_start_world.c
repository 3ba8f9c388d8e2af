#include "damage_start_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "log/record.h"

struct played_group played[GROUPS];
struct log the_log;
struct keeper keepers[2];
enum log_open_result opens;
struct roster stated;
enum repair_fit fit;
uint32_t engines;
struct replica_base base;
char message[700];
static const struct log_config config = { .dir = "d/log" };

/* --- The log --------------------------------------------------------------------------------- */

enum log_open_result log_open(struct io *io, const struct log_config *c, struct log **out,
                              char *text, size_t cap)
{
    assert_ptr_equal(io, node.io);
    assert_false(the_log.open);
    text[0] = 0;
    if (c->cut_damage) { /* what explains it is durable by now, and others are asked for the rest */
        assert_int_equal(marked_after_power_loss(0), SEEDS);
        assert_int_equal(there_after_power_loss("d/checkpoint.damaged"),
                         keepers[0].finds == DAMAGED ? SEEDS : 0);
        (void)snprintf(text, cap, "it was cut");
        the_log.cut = true;
    } else if (opens != LOG_OPEN_OK) {
        (void)snprintf(text, cap, "the log is damaged");
    }
    the_log.open = c->cut_damage || opens == LOG_OPEN_OK || opens == LOG_OPEN_DAMAGED;
    *out = the_log.open ? &the_log : NULL;
    return c->cut_damage ? LOG_OPEN_OK : opens;
}

void log_close(struct log *log)
{
    assert_true(log->open);
    log->open = false;
}

bool log_group_state(struct log *log, uint32_t group, struct log_group *out)
{
    assert_ptr_equal(log, &the_log);
    if (played[group].known) {
        *out = played[group].state;
    }
    return played[group].known;
}

bool log_next_group(const struct log *log, uint32_t *at, uint32_t *group)
{
    (void)log;
    while (*at < GROUPS && !played[*at].known) {
        ++*at;
    }
    *group = *at;
    return (*at)++ < GROUPS;
}

int64_t log_read(struct log *log, uint32_t group, qr_slot lo, qr_slot hi, size_t max,
                 struct span *out)
{
    static uint8_t record[RECORD_HEADER_BYTES + ROSTER_BYTES_MAX];
    (void)log, (void)max;
    assert_int_equal(group, 0);
    assert_true(lo == 9 && hi == 10);
    size_t n = roster_write(&stated, record + RECORD_HEADER_BYTES);
    record_seal(record, group, RECORD_MEMBERS, lo, 3, n);
    *out = span_of(record, RECORD_HEADER_BYTES + n);
    return 1;
}

uint32_t log_holes(const struct log *log, uint32_t group, struct log_hole *out, uint32_t max)
{
    (void)log;
    assert_true(max > 0);
    *out = played[group].hole;
    return played[group].holes;
}

void log_trim(struct log *log, uint32_t group, qr_slot upto, qr_term term)
{
    assert_true(log->open && term == 3);
    played[group].trimmed = upto;
    played[group].holes = 0;
}

void log_reset(struct log *log, uint32_t group, qr_slot slot, qr_term term)
{
    assert_true(log->open && term == (slot == 0 ? 0 : 3));
    played[group].reset = slot;
    played[group].holes = 0;
    played[group].state = (struct log_group){ .base_slot = slot, .last_slot = slot };
}

bool replica_log_holds(const struct log_group *group, qr_slot slot, qr_term term)
{
    assert_true(slot >= group->base_slot && slot <= group->last_slot);
    return term == 3;
}

/* --- The rest of the node -------------------------------------------------------------------- */

uint32_t identity_me(const struct identity *identity)
{
    (void)identity;
    return 1;
}

struct engine *engine_new(const struct engine_config *c)
{
    (void)c;
    engines++;
    return NULL;
}

void engine_free(struct engine *engine)
{
    assert_null(engine);
}

bool keeper_load(struct keeper *keeper, struct replica_base *out, char *text, size_t cap)
{
    if (keeper->finds == WHOLE || keeper->finds == DAMAGED) { /* damage may show at the end only */
        out->slot = kept_slot = keeper->slot;
        out->term = keeper->term;
        out->installed = keeper->installed;
    }
    if (keeper->finds == DAMAGED || keeper->finds == FOREIGN) {
        kept_slot = 0;
        (void)snprintf(text, cap, "the checkpoint is damaged");
    }
    return keeper->finds == NOTHING || keeper->finds == WHOLE;
}

bool keeper_found_damage(const struct keeper *keeper)
{
    return keeper->finds == DAMAGED;
}

void keeper_forget(struct keeper *keeper)
{
    keeper->forgotten = true;
    kept_slot = 0;
}

uint32_t repair_own_holes(struct partition *p, struct repair_hole *out)
{
    const struct played_group *g = &played[p->group];
    *out = (struct repair_hole){ .lo = g->hole.lo, .hi = g->hole.hi };
    return g->holes;
}

enum repair_fit repair_own_fit(struct partition *p, const struct repair *r, qr_slot slot,
                               qr_term term)
{
    assert_int_equal(r->count, 1);
    assert_true(slot == base.slot && term == base.term && p->node == &node);
    return fit;
}

/* --- Tools ----------------------------------------------------------------------------------- */

void make_file(uint32_t group, const char *name, struct span bytes)
{
    char path[CHECKPOINT_PATH_MAX];
    struct io_file *file = NULL;
    checkpoint_path(path, node.config.dir, group, name);
    assert_int_equal(checkpoint_make_dir(node.io, node.config.dir, group), 0);
    assert_int_equal(io_file_open(node.io, path, IO_CREATE | IO_WRITE, &file), 0);
    assert_true(io_file_pwrite(file, bytes.p, bytes.n, 0) == (int64_t)bytes.n);
    assert_int_equal(io_file_sync(file), 0);
    io_file_close(file);
    assert_int_equal(checkpoint_sync_dir(node.io, node.config.dir, group), 0);
}

int start_whole(void **state)
{
    (void)begin(state);
    the_log = (struct log){ 0 };
    opens = LOG_OPEN_OK;
    fit = REPAIR_KEEP;
    engines = 0;
    message[0] = 0;
    memset(&base, 0, sizeof base);
    base.roster.members.voters = 7;
    memset(&stated, 0, sizeof stated);
    memcpy(node.identity.uuid, "directorydirect", 16);
    for (uint32_t g = 0; g < GROUPS; g++) {
        played[g] = (struct played_group){ .known = true, .reset = RESET_NONE };
        played[g].state.last_slot = 40;
    }
    for (uint32_t i = 0; i < 2; i++) {
        struct partition *p = &partition[i == 0 ? 0 : G];
        keepers[i] = (struct keeper){ .finds = WHOLE, .slot = 20, .term = 3 };
        p->keeper = &keepers[i];
        make_file(p->group, CHECKPOINT_FILE, span_of("not looked at", 13));
    }
    return 0;
}

void again(void **state)
{
    (void)end(state);
    (void)start_whole(state);
}

bool starts(void)
{
    return damage_open(&node, &config, &base, message, sizeof message);
}

bool group_starts(void)
{
    node.log = &the_log;
    the_log.open = true;
    return damage_open_group(&partition[G], &base, message, sizeof message);
}

void assert_nothing_forgotten(void)
{
    assert_false(base.forgetful);
    assert_false(node.forgetful || node.lost_log || partition[0].lost || partition[G].lost);
    assert_int_equal(marked_after_power_loss(0), 0);
    assert_int_equal(marked_after_power_loss(G), 0);
}
