/* The node around node/rollback.c, see rollback_world.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/node/rollback_world.h"

#include "base/alloc.h"
#include "log/log.h"
#include "log/record.h"
#include "node/control.h"
#include "node/damage.h"
#include "node/holding.h"
#include "node/journals.h"
#include "node/keeper.h"
#include "node/node.h"
#include "node/quarantine.h"
#include "tests/unit/cluster/put_records.h"

struct rollback_world w;

/* --- The rest of the node -------------------------------------------------------------------- */

uint64_t log_position(const struct log *log)
{
    (void)log;
    return w.position;
}

uint64_t log_durable(const struct log *log)
{
    (void)log;
    return w.durable;
}

uint32_t control_level(const struct node *node)
{
    (void)node;
    return w.level;
}

bool log_group_state(struct log *log, uint32_t group, struct log_group *out)
{
    (void)log;
    assert_int_equal(group, GROUP);
    *out = (struct log_group){ .base_slot = w.base, .base_term = 2, .last_slot = w.last };
    return true;
}

int64_t log_read(struct log *log, uint32_t group, qr_slot lo, qr_slot hi, size_t most,
                 struct span *out)
{
    static uint8_t record[RECORD_HEADER_BYTES + 8];
    (void)log, (void)most;
    assert_true(lo > w.base && lo < hi && hi <= w.last + 1);
    int n = snprintf((char *)record + RECORD_HEADER_BYTES, 8, "%u", (unsigned)lo);
    record_seal(record, group, RECORD_COMMAND, lo, 3, (size_t)n);
    *out = span_of(record, record_bytes((size_t)n));
    return 1; /* one at a time */
}

void log_truncate(struct log *log, uint32_t group, qr_slot from)
{
    (void)log, (void)group;
    w.truncations++;
    w.cut_from = from;
    w.named_when_cut = w.named_count;
    w.position += 10;
}

void log_reset(struct log *log, uint32_t group, qr_slot slot, qr_term term)
{
    (void)log, (void)group;
    assert_int_equal(slot, 0);
    assert_int_equal(term, 0);
    w.resets++;
    w.named_when_cut = w.named_count;
    w.position += 10;
}

void quarantine_forget(struct partition *p)
{
    assert_ptr_equal(p, &w.partition);
    w.digests_forgotten++;
}

struct discards *journals_get(struct node *node, uint32_t keyspace, bool make, char *message,
                              size_t cap)
{
    (void)node;
    assert_int_equal(keyspace, KEYSPACE);
    assert_true(make);
    (void)snprintf(message, cap, "%s", w.cannot_open ? "it is damaged" : "");
    return w.cannot_open ? NULL : (struct discards *)&w;
}

bool discards_busy(const struct discards *d)
{
    (void)d;
    return w.busy;
}

void discards_begin(struct discards *d, const struct discards_owner *owner)
{
    (void)d;
    assert_false(w.begun || w.busy);
    w.begun = true;
    w.begins++;
    w.owner = *owner;
}

bool discards_add(struct discards *d, const struct discard *entry)
{
    (void)d;
    assert_true(w.begun);
    assert_true(w.durable >= 100); /* K1 */
    if (w.room == 0) {
        return false;
    }
    w.room--;
    assert_true(w.named_count < NAMED_MAX);
    struct name *name = &w.named[w.named_count++];
    *name = (struct name){ .entry = *entry };
    if (entry->payload.n > 0) {
        memcpy(name->payload, entry->payload.p, entry->payload.n);
    }
    return true;
}

enum discards_result discards_end(struct discards *d, int *error)
{
    (void)d;
    assert_true(w.begun);
    *error = w.result == DISCARDS_FAILED ? -5 : 0;
    w.begun = w.late;
    return w.late ? DISCARDS_LATER : w.result;
}

bool keeper_is_quiet(struct keeper *keeper)
{
    (void)keeper;
    return !w.writes;
}

qr_slot keeper_slot(const struct keeper *keeper)
{
    (void)keeper;
    return w.checkpoint;
}

int damage_forgets(struct partition *p, const char *why)
{
    (void)p, (void)why;
    assert_int_equal(w.truncations + w.resets, 0); /* K3: before anything goes */
    w.forgot++;
    return 0;
}

void holding_disturb(struct partition *p)
{
    (void)p;
    w.disturbed++;
}

void replica_drop_held(struct replica *r)
{
    (void)r;
    w.held_dropped++;
}

void replica_outlook(const struct replica *r, struct outlook *out)
{
    (void)r;
    *out = w.outlook;
}

void partition_expects(struct partition *p, uint64_t position)
{
    (void)p;
    assert_int_equal(position, w.position);
}

void schedule_wake(struct partition *p)
{
    p->awake = true;
}

#ifdef QUORATE_FAILPOINTS
int io_failpoint(struct io *io, enum failpoint point)
{
    (void)io;
    (void)point;
    return 0;
}
#endif

qr_wall io_wall(struct io *io)
{
    (void)io;
    return 77;
}

void node_log(struct node *node, enum node_log_level level, const char *format, ...)
{
    (void)node, (void)level, (void)format;
}

void node_fail(struct node *node, const char *why)
{
    (void)why;
    node->failed = true;
}

void node_disk_failed(struct node *node, const char *what, int error)
{
    (void)what;
    assert_true(error < 0);
    node->failed = true;
}

/* --- What tests do ---------------------------------------------------------------------------- */

int begin(void **state)
{
    (void)state;
    memset(&w, 0, sizeof w);
    w.node.map = map_new();
    struct map_keyspace k = a_keyspace(KEYSPACE, "k", "", GROUP, 1);
    put_keyspace(w.node.map, &k);
    struct map_partition mp = map_found(&k, 0, GROUP, 7, NODE_NONE);
    put_partition(w.node.map, &mp);
    w.partition = (struct partition){ .node = &w.node, .group = GROUP, .replica = &w.replica };
    w.replica = (struct replica){ .node = &w.node,
                                  .partition = &w.partition,
                                  .group = GROUP,
                                  .started = true,
                                  .viewed = true,
                                  .apply_to = 10 };
    w.last = 12;
    w.position = 100;
    w.room = UINT32_MAX;
    w.level = MAP_LEVEL_FOLLOWERS;
    return 0;
}

int end(void **state)
{
    (void)state;
    rollback_free(&w.partition);
    map_free(w.node.map);
    return 0;
}

void take_back(qr_slot slot, bool anew)
{
    struct effect e = { .kind = EFFECT_ROLLBACK };
    e.rollback.slot = slot;
    e.rollback.last = w.last;
    e.rollback.term = 9;
    e.rollback.anew = anew;
    rollback_begin(&w.replica, &e);
}

void begin_anew(qr_slot slot, qr_slot given, qr_slot maybe)
{
    struct effect e = { .kind = EFFECT_ROLLBACK };
    e.rollback.slot = slot;
    e.rollback.last = w.last;
    e.rollback.given = given;
    e.rollback.maybe = maybe;
    e.rollback.term = 9;
    e.rollback.anew = true;
    rollback_begin(&w.replica, &e);
}

void turns(uint32_t n)
{
    while (n-- > 0) {
        w.partition.wake = QR_NEVER;
        w.partition.again = false;
        w.partition.awake = true; /* while it has its turn, waking it does nothing */
        rollback_turn(&w.partition, w.node.clock);
        w.partition.awake = false;
    }
}

bool is_cut(bool *anew)
{
    return rollback_is_cut(&w.partition, anew);
}
