/* What is taken back (node/rollback.h: K1-K6; L11, decision 056): first on disk, then named, then
 * cut, and the replica takes no part meanwhile. The map is real; log, journal and all else are
 * played. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "log/log.h"
#include "node/damage.h"
#include "node/holding.h"
#include "node/journals.h"
#include "node/keeper.h"
#include "node/node.h"
#include "node/quarantine.h"
#include "node/replica_internal.h"
#include "node/rollback.h"
#include "tests/unit/cluster/put_records.h"

#define GROUP 5u
#define KEYSPACE 16u
#define NAMED_MAX 32u

/* What was named, in order. */
struct name {
    struct discard entry;
    char payload[8];
};

static struct {
    struct node node;
    struct partition partition;
    struct replica replica;
    struct outlook outlook;
    /* The log: entries (base, last] of term 3, each a command with its slot as a text. */
    qr_slot base, last;
    uint64_t position, durable;
    uint32_t truncations, resets;
    qr_slot cut_from;
    uint64_t named_when_cut;
    /* The journal. */
    struct discards_owner owner; /* NULL callbacks: nothing is under way */
    bool begun, busy, late, cannot_open;
    uint32_t room; /* entries that it takes now */
    enum discards_result result;
    struct name named[NAMED_MAX];
    uint32_t named_count, begins;
    /* The checkpoint. */
    bool writes;
    qr_slot checkpoint;
    uint32_t forgot, disturbed, held_dropped, digests_forgotten;
    qr_time wake;
} w;

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

/* --- The tests ------------------------------------------------------------------------------- */

static int begin(void **state)
{
    (void)state;
    memset(&w, 0, sizeof w);
    w.node.map = map_new();
    struct map_keyspace k = a_keyspace(KEYSPACE, "k", "", GROUP, 1);
    put_keyspace(w.node.map, &k);
    struct map_partition mp = map_found(&k, 0, GROUP, 7, NODE_NONE);
    put_partition(w.node.map, &mp);
    w.partition = (struct partition){ .node = &w.node, .group = GROUP, .replica = &w.replica };
    w.replica = (struct replica){ .node = &w.node, .partition = &w.partition, .group = GROUP,
                                  .started = true, .viewed = true, .apply_to = 10 };
    w.last = 12;
    w.position = 100;
    w.room = UINT32_MAX;
    return 0;
}

static int end(void **state)
{
    (void)state;
    rollback_free(&w.partition);
    map_free(w.node.map);
    return 0;
}

static void take_back(qr_slot slot, bool anew)
{
    struct effect e = { .kind = EFFECT_ROLLBACK };
    e.rollback.slot = slot;
    e.rollback.last = w.last;
    e.rollback.term = 9;
    e.rollback.anew = anew;
    rollback_begin(&w.replica, &e);
}

static void turns(uint32_t n)
{
    while (n-- > 0) {
        w.partition.wake = QR_NEVER;
        w.partition.again = false;
        w.partition.awake = true; /* while it has its turn, waking it does nothing */
        rollback_turn(&w.partition, w.node.clock);
        w.partition.awake = false;
    }
}

static bool is_cut(bool *anew)
{
    return rollback_is_cut(&w.partition, anew);
}

static void test_it_is_durable_then_named_then_cut_K1(void **state)
{
    (void)state;
    bool anew;
    take_back(8, false);
    assert_false(w.replica.started);
    assert_true(w.partition.loading);
    assert_int_equal(w.held_dropped, 1); /* what was not said yet never is */
    assert_int_equal(w.digests_forgotten, 1);
    turns(5);
    assert_int_equal(w.begins, 0);
    w.durable = 100;
    w.late = true;
    turns(8);
    assert_int_equal(w.named_count, 4);
    for (uint32_t i = 0; i < 4; i++) {
        const struct discard *d = &w.named[i].entry;
        char text[8];
        (void)snprintf(text, sizeof text, "%u", 9 + i);
        assert_int_equal(d->slot, 9 + i);
        assert_int_equal(d->term, 3);
        assert_int_equal(d->lost_to, 9);
        assert_int_equal(d->group, GROUP);
        assert_int_equal(d->kind, RECORD_COMMAND);
        assert_int_equal(d->reason, DISCARD_ROLLED_BACK);
        assert_int_equal(d->acknowledged, DISCARD_MAY_BE_ACKNOWLEDGED);
        assert_int_equal(d->at, 77);
        assert_int_equal(d->bytes, strlen(text));
        assert_string_equal(w.named[i].payload, text);
    }
    assert_int_equal(w.truncations, 0); /* the names are not durable yet */
    w.owner.ended(w.owner.context, DISCARDS_DONE, 0);
    turns(1);
    assert_int_equal(w.truncations, 1);
    assert_int_equal(w.cut_from, 9);
    turns(3);
    assert_false(is_cut(&anew)); /* nor is the cut */
    w.durable = w.position;
    turns(1);
    assert_true(is_cut(&anew));
    assert_false(anew);
    assert_int_equal(w.truncations, 1);
    assert_true(w.disturbed > 0);
}

static void test_while_the_journal_is_full_nothing_is_cut_K2(void **state)
{
    (void)state;
    bool anew;
    w.durable = 100;
    w.room = 2;
    take_back(8, false);
    turns(9);
    assert_int_equal(w.named_count, 2);
    assert_int_equal(w.truncations, 0);
    w.room = 1; /* it says so itself */
    turns(3);
    assert_int_equal(w.named_count, 2);
    w.owner.wake(w.owner.context);
    turns(3);
    assert_int_equal(w.named_count, 3);
    w.room = 9;
    w.result = DISCARDS_NO_ROOM;
    w.owner.wake(w.owner.context);
    turns(3);
    assert_int_equal(w.named_count, 4);
    assert_int_equal(w.truncations, 0);
    assert_false(is_cut(&anew));
    assert_int_equal(w.begins, 1);
    turns(1);
    assert_int_equal(w.begins, 1);
    assert_int_equal(w.partition.wake, w.node.clock + QR_SECOND);
    w.node.clock += QR_SECOND; /* all over again: it knows what it has */
    w.result = DISCARDS_DONE;
    turns(9);
    assert_int_equal(w.begins, 2);
    assert_int_equal(w.named_count, 8);
    assert_int_equal(w.truncations, 1);
}

static void test_a_journal_that_cannot_be_opened_or_is_at_work_is_waited_for_K2(void **state)
{
    (void)state;
    w.durable = 100;
    w.busy = true;
    take_back(8, false);
    turns(3);
    assert_int_equal(w.begins, 0);
    assert_true(w.partition.wake > w.node.clock && w.partition.wake < QR_NEVER);
    w.busy = false;
    w.cannot_open = true;
    w.node.clock += QR_SECOND;
    turns(3);
    assert_int_equal(w.begins, 0);
    assert_int_equal(w.truncations, 0);
    w.cannot_open = false;
    w.node.clock += QR_SECOND;
    turns(9);
    assert_int_equal(w.truncations, 1);
}

/* Slice by slice, and nobody but itself makes the next turn. */
static void test_it_goes_on_by_itself(void **state)
{
    (void)state;
    w.durable = 100;
    take_back(8, false);
    uint32_t slices = 0;
    do {
        turns(1);
        slices++;
    } while (w.partition.again);
    assert_int_equal(w.named_count, 4);
    assert_int_equal(w.truncations, 1);
    assert_in_range(slices, 4, 6);
}

static void test_a_journal_that_fails_ends_the_node(void **state)
{
    (void)state;
    w.durable = 100;
    w.result = DISCARDS_FAILED;
    take_back(8, false);
    turns(9);
    assert_true(w.node.failed);
    assert_int_equal(w.truncations, 0);
}

static void test_no_checkpoint_of_what_is_taken_back_stays_K3(void **state)
{
    (void)state;
    bool anew;
    w.durable = 100;
    w.writes = true;
    take_back(8, false);
    turns(3);
    assert_int_equal(w.begins, 0);
    w.writes = false;
    w.checkpoint = 8; /* up to there it is of use */
    turns(9);
    assert_int_equal(w.forgot, 0);
    assert_int_equal(w.truncations, 1);
    w.durable = w.position;
    turns(1);
    assert_true(is_cut(&anew));
    assert_false(anew);
}

static void test_a_checkpoint_beyond_it_is_forgotten_K3(void **state)
{
    (void)state;
    bool anew;
    w.durable = 100;
    w.checkpoint = 9;
    take_back(8, false);
    turns(9);
    assert_int_equal(w.forgot, 1);
    assert_int_equal(w.resets, 1);
    assert_int_equal(w.truncations, 0);
    w.durable = w.position;
    turns(1);
    assert_true(is_cut(&anew));
    assert_true(anew);
}

static void test_what_is_trimmed_is_counted_K4(void **state)
{
    (void)state;
    bool anew;
    w.durable = 100;
    w.base = 10;
    w.checkpoint = 10;
    take_back(4, true);
    turns(9);
    assert_int_equal(w.forgot, 0); /* its protocol has said so durably */
    assert_int_equal(w.named_count, 3);
    assert_int_equal(w.named[0].entry.kind, 0);
    assert_int_equal(w.named[0].entry.slot, 5);
    assert_int_equal(w.named[0].entry.slots, 6);
    assert_int_equal(w.named[0].entry.bytes, 0);
    assert_int_equal(w.named[1].entry.slot, 11);
    assert_int_equal(w.named[2].entry.slot, 12);
    assert_int_equal(w.resets, 1);
    assert_int_equal(w.named_when_cut, 3);
    w.durable = w.position;
    turns(1);
    assert_true(is_cut(&anew));
    assert_true(anew);
}

static void test_what_was_answered_here_is_known_K6(void **state)
{
    (void)state;
    w.durable = 100;
    w.replica.views.led = 3;
    take_back(8, false);
    turns(9);
    assert_int_equal(w.named[1].entry.slot, 10);
    assert_int_equal(w.named[1].entry.acknowledged, DISCARD_ACKNOWLEDGED);
    assert_int_equal(w.named[2].entry.acknowledged, DISCARD_NOT_ACKNOWLEDGED);
}

static void test_who_leaves_names_what_it_alone_may_have_K5(void **state)
{
    (void)state;
    bool anew;
    w.durable = 100;
    w.outlook = (struct outlook){ .sure = 12, .last = 12, .term = 9 };
    assert_true(rollback_named_all(&w.partition));
    w.outlook.sure = 10;
    w.checkpoint = 12; /* it goes with all the rest */
    assert_false(rollback_named_all(&w.partition));
    assert_true(rollback_leaves(&w.partition));
    assert_false(w.replica.started);
    assert_false(rollback_named_all(&w.partition));
    turns(9);
    assert_int_equal(w.named_count, 2);
    assert_int_equal(w.named[0].entry.slot, 11);
    assert_true(is_cut(&anew));
    assert_true(rollback_named_all(&w.partition));
    assert_int_equal(w.truncations + w.resets + w.forgot, 0);
}

static void test_others_have_nothing_to_name(void **state)
{
    (void)state;
    w.replica.viewed = false;
    w.outlook = (struct outlook){ .sure = 0, .last = 12 };
    assert_true(rollback_named_all(&w.partition));
    w.replica.viewed = true;
    take_back(8, false); /* and while something is taken back nothing is deleted */
    assert_false(rollback_leaves(&w.partition));
    assert_false(rollback_named_all(&w.partition));
}

static void test_a_keyspace_that_was_dropped_has_no_journal(void **state)
{
    (void)state;
    bool anew;
    w.durable = 100;
    (void)put_raw(w.node.map, MAP_RECORD_PARTITION, GROUP, NULL, 0);
    (void)put_raw(w.node.map, MAP_RECORD_KEYSPACE, KEYSPACE, NULL, 0);
    take_back(8, false);
    turns(2);
    assert_true(is_cut(&anew));
    assert_int_equal(w.begins, 0);
}

#define ROLLBACK_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROLLBACK_TEST(test_it_is_durable_then_named_then_cut_K1),
        ROLLBACK_TEST(test_while_the_journal_is_full_nothing_is_cut_K2),
        ROLLBACK_TEST(test_a_journal_that_cannot_be_opened_or_is_at_work_is_waited_for_K2),
        ROLLBACK_TEST(test_it_goes_on_by_itself),
        ROLLBACK_TEST(test_a_journal_that_fails_ends_the_node),
        ROLLBACK_TEST(test_no_checkpoint_of_what_is_taken_back_stays_K3),
        ROLLBACK_TEST(test_a_checkpoint_beyond_it_is_forgotten_K3),
        ROLLBACK_TEST(test_what_is_trimmed_is_counted_K4),
        ROLLBACK_TEST(test_what_was_answered_here_is_known_K6),
        ROLLBACK_TEST(test_who_leaves_names_what_it_alone_may_have_K5),
        ROLLBACK_TEST(test_others_have_nothing_to_name),
        ROLLBACK_TEST(test_a_keyspace_that_was_dropped_has_no_journal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
