/* What was discarded and is in a log again (node/regain.h: G1-G4; R8): it is said when the log
 * holds it durably, of all that the log stands for and of nothing else. The map is real; log and
 * journal are played. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "log/log.h"
#include "node/journals.h"
#include "node/node.h"
#include "node/regain.h"
#include "node/replica_internal.h"
#include "node/run.h"
#include "tests/unit/cluster/put_records.h"

#define GROUP 5u
#define KEYSPACE 16u

static struct {
    struct node node;
    struct partition partition;
    struct replica replica;
    /* The log: base 4 of term 2, then these. */
    struct term_run runs[3];
    uint32_t run_count;
    qr_slot base, last;
    uint64_t position, durable;
    /* The journal: one entry of each of these slots and terms. */
    struct {
        qr_slot slot;
        qr_term term;
        bool regained;
    } held[4];
    uint32_t held_count;
    qr_term given; /* something was given up to that term; 0: nothing */
    qr_term since; /* what was given up behind it is here again */
    struct discards_owner owner;
    bool begun, busy, late, none, damaged;
    uint32_t room; /* that it can say of now */
    enum discards_result result;
    uint32_t begins, ends, asked;
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
    *out = (struct log_group){ .base_slot = w.base,
                               .base_term = 2,
                               .last_slot = w.last,
                               .runs = w.runs,
                               .run_count = w.run_count };
    return true;
}

struct discards *journals_get(struct node *node, uint32_t keyspace, bool make, char *message,
                              size_t cap)
{
    (void)node;
    assert_int_equal(keyspace, KEYSPACE);
    assert_false(make);
    (void)snprintf(message, cap, "%s", w.damaged ? "it is damaged" : "");
    return w.none || w.damaged ? NULL : (struct discards *)&w;
}

bool discards_busy(const struct discards *d)
{
    (void)d;
    return w.busy || w.begun;
}

static bool is_in(uint32_t i, qr_slot lo, qr_slot hi, qr_term term)
{
    return !w.held[i].regained && w.held[i].term == term && w.held[i].slot >= lo &&
           w.held[i].slot <= hi;
}

bool discards_has(const struct discards *d, uint32_t group, qr_slot lo, qr_slot hi, qr_term term)
{
    (void)d;
    bool has = false;
    assert_int_equal(group, GROUP);
    w.asked++;
    for (uint32_t i = 0; i < w.held_count; i++) {
        has = has || is_in(i, lo, hi, term);
    }
    return has;
}

qr_slot discards_last_slot(const struct discards *d, uint32_t group)
{
    (void)d, (void)group;
    qr_slot last = 0;
    for (uint32_t i = 0; i < w.held_count; i++) {
        last = w.held[i].regained ? last : max_u64(last, w.held[i].slot);
    }
    return last;
}

qr_term discards_gave_up(const struct discards *d, uint32_t group)
{
    (void)d;
    assert_int_equal(group, GROUP);
    return w.given;
}

bool discards_again(struct discards *d, uint32_t group, qr_term since, qr_wall at)
{
    (void)d, (void)group, (void)at;
    assert_true(w.begun);
    assert_true(w.durable >= w.position); /* G1 */
    if (w.given > since && w.room-- == 0) {
        w.room = 0;
        return false;
    }
    w.given = w.given > since ? 0 : w.given;
    return true;
}

void replica_outlook(const struct replica *r, struct outlook *out)
{
    assert_true(r->started);
    *out = (struct outlook){ .again = w.since };
}

void discards_begin(struct discards *d, const struct discards_owner *owner)
{
    (void)d;
    assert_false(w.begun || w.busy);
    w.begun = true;
    w.begins++;
    w.owner = *owner;
}

bool discards_regain(struct discards *d, uint32_t group, qr_slot lo, qr_slot hi, qr_term term,
                     qr_wall at)
{
    (void)d;
    assert_int_equal(group, GROUP);
    assert_int_equal(at, 77);
    assert_true(w.begun);
    assert_true(w.durable >= w.position); /* G1 */
    for (uint32_t i = 0; i < w.held_count; i++) {
        if (is_in(i, lo, hi, term)) {
            if (w.room == 0) {
                return false;
            }
            w.room--;
            w.held[i].regained = true;
        }
    }
    return true;
}

enum discards_result discards_end(struct discards *d, int *error)
{
    (void)d;
    assert_true(w.begun);
    w.ends++;
    *error = w.result == DISCARDS_FAILED ? -5 : 0;
    w.begun = w.late;
    return w.late ? DISCARDS_LATER : w.result;
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

qr_wall io_wall(struct io *io)
{
    (void)io;
    return 77;
}

void node_log(struct node *node, enum node_log_level level, const char *format, ...)
{
    (void)node, (void)level, (void)format;
}

void node_disk_failed(struct node *node, const char *what, int error)
{
    (void)what;
    assert_true(error < 0);
    node->failed = true;
}

/* --- The tests ------------------------------------------------------------------------------- */

static void holds(qr_slot slot, qr_term term)
{
    w.held[w.held_count].slot = slot;
    w.held[w.held_count++].term = term;
}

/* Slots 5 to 7 are of term 3, 8 to 12 of term 6. */
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
    w.replica = (struct replica){
        .node = &w.node, .partition = &w.partition, .group = GROUP, .started = true, .viewed = true
    };
    w.base = 4;
    w.runs[0] = (struct term_run){ .slot = 5, .term = 3 };
    w.runs[1] = (struct term_run){ .slot = 8, .term = 6 };
    w.run_count = 2;
    w.last = 12;
    w.position = w.durable = 100;
    w.room = UINT32_MAX;
    return 0;
}

static int end(void **state)
{
    (void)state;
    regain_free(&w.partition);
    map_free(w.node.map);
    return 0;
}

static void turns(uint32_t n)
{
    while (n-- > 0) {
        w.partition.wake = QR_NEVER;
        w.partition.again = false;
        w.partition.awake = true; /* while it has its turn, waking it does nothing */
        regain_turn(&w.partition, w.node.clock);
        w.partition.awake = false;
    }
}

static void test_what_the_log_holds_at_a_start_is_regained(void **state)
{
    (void)state;
    holds(6, 3);
    holds(9, 3); /* another entry stands there now */
    holds(12, 6);
    holds(13, 6); /* the log ends before it */
    regain_start(&w.replica);
    turns(3);
    assert_true(w.held[0].regained && w.held[2].regained);
    assert_false(w.held[1].regained || w.held[3].regained);
    assert_int_equal(w.begins, 1);
    turns(3);
    assert_int_equal(w.begins, 1);
}

/* G2 */
static void test_a_log_stands_for_the_term_that_it_begins_behind(void **state)
{
    (void)state;
    holds(3, 2);
    holds(4, 2);
    holds(3, 1);
    regain_start(&w.replica);
    turns(3);
    assert_true(w.held[0].regained && w.held[1].regained);
    assert_false(w.held[2].regained);
}

/* G1, G3 */
static void test_what_comes_back_is_regained_when_it_is_durable(void **state)
{
    (void)state;
    holds(13, 6);
    regain_start(&w.replica);
    turns(3);
    assert_int_equal(w.begins, 0);
    w.last = 13;
    w.position = 120;
    regain_logged(&w.replica, 13);
    turns(3);
    assert_int_equal(w.begins, 0);
    w.durable = 120;
    turns(3);
    assert_true(w.held[0].regained);
    w.asked = 0;
    regain_logged(&w.replica, 13);
    turns(3);
    assert_int_equal(w.asked, 0); /* nothing is held against it any more */
}

static void test_without_a_journal_there_is_nothing_to_say(void **state)
{
    (void)state;
    w.none = true;
    regain_start(&w.replica);
    assert_null(w.partition.regain);
    w.none = false;
    w.damaged = true; /* which is told */
    regain_start(&w.replica);
    assert_null(w.partition.regain);
    w.damaged = false;
    regain_start(&w.replica); /* nothing is in it */
    assert_null(w.partition.regain);
    regain_logged(&w.replica, 13);
    turns(1);
    assert_int_equal(w.asked, 0);
}

static void test_a_journal_at_work_is_waited_for(void **state)
{
    (void)state;
    holds(6, 3);
    w.busy = true;
    regain_start(&w.replica);
    turns(2);
    assert_int_equal(w.begins, 0);
    assert_true(w.partition.wake > w.node.clock && w.partition.wake < QR_NEVER);
    w.busy = false;
    turns(1);
    assert_true(w.held[0].regained);
}

/* Nor does it begin while entries are taken back; but it ends what it has begun, for the other one
 * waits for that (G4). */
static void test_it_lets_a_rollback_go_first(void **state)
{
    (void)state;
    holds(6, 3);
    holds(7, 3);
    w.partition.rollback = (void *)&w;
    regain_start(&w.replica);
    turns(2);
    assert_int_equal(w.begins, 0);
    w.partition.rollback = NULL;
    w.room = 1;
    turns(1);
    assert_int_equal(w.begins, 1);
    w.partition.rollback = (void *)&w;
    turns(2);
    assert_int_equal(w.ends, 0);
    w.room = 1;
    w.owner.wake(w.owner.context);
    turns(1);
    assert_int_equal(w.ends, 1);
    w.partition.rollback = NULL;
}

static void test_what_comes_meanwhile_has_its_own_turn(void **state)
{
    (void)state;
    holds(6, 3);
    holds(13, 6);
    w.late = true;
    regain_start(&w.replica);
    turns(2);
    w.last = 13;
    regain_logged(&w.replica, 13);
    turns(2);
    assert_int_equal(w.begins, 1);
    w.begun = false;
    w.owner.ended(w.owner.context, DISCARDS_DONE, 0);
    assert_true(w.partition.again);
    turns(1);
    assert_int_equal(w.begins, 2);
    assert_true(w.held[1].regained);
    w.late = w.begun = false;
    w.owner.ended(w.owner.context, DISCARDS_DONE, 0);
}

/* G5 */
static void test_what_was_given_up_is_regained_when_it_is_here_again(void **state)
{
    (void)state;
    w.given = 8;
    w.since = UINT64_MAX; /* it has been brought up by nobody yet */
    w.replica.started = false;
    regain_start(&w.replica);
    turns(3);
    w.replica.started = true;
    turns(3);
    w.since = 8; /* who was chosen in that very term had forgotten it */
    turns(3);
    assert_int_equal(w.begins, 0);
    w.since = 7;
    w.position = 120;
    turns(3);
    assert_int_equal(w.begins, 0); /* not durably yet */
    w.durable = 120;
    w.room = 0;
    turns(2);
    assert_int_equal(w.ends, 0);
    w.room = 1;
    w.owner.wake(w.owner.context);
    turns(2);
    assert_int_equal(w.ends, 1);
    assert_int_equal(w.given, 0);
    turns(3);
    assert_int_equal(w.begins, 1);
}

static void test_a_full_disk_is_tried_again_and_a_bad_one_ends_the_node(void **state)
{
    (void)state;
    holds(6, 3);
    w.result = DISCARDS_NO_ROOM;
    regain_start(&w.replica);
    turns(1);
    w.held[0].regained = false; /* of which nothing was durable */
    turns(3);
    assert_int_equal(w.begins, 1);
    assert_int_equal(w.partition.wake, w.node.clock + QR_SECOND);
    w.node.clock += QR_SECOND;
    w.result = DISCARDS_FAILED;
    assert_false(w.node.failed);
    turns(1);
    assert_true(w.node.failed);
}

/* Its replica is closed, and the journal is at work for it. */
static void test_it_ends_by_itself_when_its_replica_goes(void **state)
{
    (void)state;
    holds(6, 3);
    holds(7, 3);
    w.late = true;
    regain_start(&w.replica);
    turns(1);
    regain_free(&w.partition);
    w.begun = w.late = false;
    w.owner.ended(w.owner.context, DISCARDS_DONE, 0); /* the sanitizer sees that it is freed */
    w.held[0].regained = w.held[1].regained = false;
    w.room = 1;
    w.ends = 0;
    regain_start(&w.replica);
    turns(1);
    assert_int_equal(w.ends, 0);
    regain_free(&w.partition);
    assert_int_equal(w.ends, 1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(test_what_the_log_holds_at_a_start_is_regained),
        TEST(test_a_log_stands_for_the_term_that_it_begins_behind),
        TEST(test_what_comes_back_is_regained_when_it_is_durable),
        TEST(test_without_a_journal_there_is_nothing_to_say),
        TEST(test_a_journal_at_work_is_waited_for),
        TEST(test_it_lets_a_rollback_go_first),
        TEST(test_what_comes_meanwhile_has_its_own_turn),
        TEST(test_what_was_given_up_is_regained_when_it_is_here_again),
        TEST(test_a_full_disk_is_tried_again_and_a_bad_one_ends_the_node),
        TEST(test_it_ends_by_itself_when_its_replica_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
