/* What replicas are told of views and leases (node/views.h: W1-W4; node/early.h: E1, E3; L9, L10).
 * The map is real; the replica's protocol, the lease and the notes are played. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cluster/records.h"
#include "cluster/succession.h"
#include "node/contact.h"
#include "node/early.h"
#include "node/node.h"
#include "node/quarantine.h"
#include "node/replica_internal.h"
#include "node/views.h"
#include "tests/unit/cluster/put_records.h"

#define GROUP 5u
#define KEYSPACE 16u
#define ME 1u
#define LIFE 777u

static struct {
    struct node node;
    struct partition partition, other;
    struct partition *all[2];
    struct replica replica, raft;
    struct succession s;
    bool held, counts, room;
    uint16_t dropped; /* by MAXLAG */
    char told[200];   /* what the replica was told, in order: "V3:1w+L+" */
    uint32_t rosters, notes, ends, turns, woken, forgotten;
    struct view view;
} w;

static void tell(const char *format, unsigned a, unsigned b)
{
    size_t n = strlen(w.told);
    (void)snprintf(w.told + n, sizeof w.told - n, format, a, b);
}

/* --- The rest of the node -------------------------------------------------------------------- */

void replica_step(struct replica *r, struct event *event)
{
    assert_ptr_equal(r, &w.replica);
    if (event->kind == EVENT_VIEW) {
        w.view = event->view;
        tell("V%u:%u", (unsigned)event->view.term, event->view.primary);
        tell(event->view.whole ? "w " : " ", 0, 0);
    } else if (event->kind == EVENT_ADMIN) {
        assert_int_equal(event->admin.order, ADMIN_ZONES);
        tell("Z%x ", (unsigned)event->admin.argument, 0);
    } else {
        assert_int_equal(event->kind, EVENT_LEASE);
        tell(event->lease.held ? "L+ " : "L- ", 0, 0);
    }
}

void replica_roster_viewed(struct replica *r, const struct view *view)
{
    (void)r;
    assert_int_equal(view->members, w.s.rule.members);
    w.rosters++;
}

void quarantine_forget(struct partition *p)
{
    assert_ptr_equal(p, &w.partition);
    w.forgotten++;
}

bool lagging_is_dropped(const struct partition *p, node_index member)
{
    assert_ptr_equal(p, &w.partition);
    return (w.dropped & node_bit(member)) != 0;
}

bool lease_held(const struct node *node)
{
    (void)node;
    return w.held;
}

bool lease_counts(const struct node *node)
{
    (void)node;
    return w.counts && w.held;
}

enum early early_of(enum ack_stage stage)
{
    return stage == ACK_RECEIVED  ? EARLY_RECEIVED
           : stage == ACK_WRITTEN ? EARLY_WRITTEN
                                  : EARLY_NOT;
}

bool early_begins(struct partition *p, enum early kind)
{
    assert_true(kind == early_of((enum ack_stage)w.s.stage));
    assert_false(kind == EARLY_WRITTEN && p->lazy); /* E1: the note is ahead */
    w.notes += kind != EARLY_NOT;
    return kind == EARLY_NOT || w.room;
}

void early_ends(struct partition *p, enum early kind)
{
    (void)p;
    assert_true(kind == early_of((enum ack_stage)w.s.stage));
    assert_true(strlen(w.told) > 0); /* E3: behind the view */
    w.ends += kind == EARLY_NOT;
}

void early_turn(struct partition *p)
{
    (void)p;
    w.turns++;
}

void schedule_wake(struct partition *p)
{
    p->awake = true;
    w.woken++;
}

/* --- The tests ------------------------------------------------------------------------------- */

static void put(void)
{
    uint8_t value[MAP_VALUE_BYTES_MAX];
    size_t n = map_succession_write(&w.s, value);
    assert_int_equal(put_raw(w.node.map, MAP_RECORD_SUCCESSION, GROUP, value, n), MAP_OK);
}

static int begin(void **state)
{
    (void)state;
    memset(&w, 0, sizeof w);
    w.node.map = map_new();
    put_settings(w.node.map, &(struct map_settings){ .level = 4, .next_group = 9 });
    struct map_keyspace k = a_keyspace(KEYSPACE, "k", "", GROUP, 1);
    put_all(w.node.map, &k, 7, NODE_NONE);
    w.node.contact.leases.life = LIFE;
    w.partition = (struct partition){ .node = &w.node, .group = GROUP, .replica = &w.replica };
    w.partition.wake = QR_NEVER;
    w.other = (struct partition){ .node = &w.node, .group = 6, .replica = &w.raft };
    w.replica = (struct replica){ .node = &w.node,
                                  .partition = &w.partition,
                                  .group = GROUP,
                                  .started = true,
                                  .viewed = true,
                                  .me = ME };
    w.all[0] = &w.other;
    w.all[1] = &w.partition;
    w.node.partitions.all = w.all;
    w.node.partitions.count = 2;
    w.held = w.counts = w.room = true;
    struct succession_wish wish = { .members = 7, .copies = 1 };
    w.s = succession_first(&wish, ME);
    put();
    return 0;
}

static int end(void **state)
{
    (void)state;
    map_free(w.node.map);
    return 0;
}

static void assert_told(const char *expected)
{
    views_tell(&w.partition);
    assert_string_equal(w.told, expected);
    w.told[0] = 0;
}

/* The primary of the next term is this node, in that life of it. */
static void choose_me(uint64_t life)
{
    w.s.primary = ME;
    w.s.before = ME;
    w.s.life = life;
    w.s.duty_count = 1;
    w.s.duty[0] = (struct succession_duty){ w.s.rule, node_bit(ME), w.s.term };
    put();
}

static void test_the_view_and_then_the_lease_W1(void **state)
{
    (void)state;
    assert_told("V1:255 L+ ");
    assert_int_equal(w.rosters, 1);   /* W4 */
    assert_int_equal(w.forgotten, 1); /* other entries may come to slots that were compared */
    assert_told("");
    choose_me(LIFE);
    assert_told("V1:1w ");
    assert_int_equal(w.view.members, 7);
    assert_int_equal(w.view.copies, 1);
    assert_told("");
    w.held = false;
    assert_told("L- ");
    w.held = true;
    w.counts = false; /* the map is not as new as the lease yet */
    assert_told("");
    w.counts = true;
    assert_told("L+ ");
}

static void test_of_another_life_it_is_not_whole_W2(void **state)
{
    (void)state;
    choose_me(LIFE + 1);
    assert_told("V1:1 L+ ");
}

static void test_another_record_without_another_view_is_no_news(void **state)
{
    (void)state;
    choose_me(LIFE);
    assert_told("V1:1w L+ ");
    w.s.settled = w.s.term;
    put();
    assert_told("");
    assert_false(w.partition.awake);
    views_look(&w.partition);
    assert_int_equal(w.woken, 0);
    w.s.term++;
    put();
    views_look(&w.partition);
    assert_int_equal(w.woken, 1);
    assert_told("V2:1w ");
}

static void test_who_has_not_started_is_told_when_it_has(void **state)
{
    (void)state;
    w.replica.started = false;
    assert_told("");
    w.replica.started = true;
    assert_told("V1:255 L+ ");
}

static void test_a_lease_that_is_over_is_told_ahead_of_a_message(void **state)
{
    (void)state;
    assert_told("V1:255 L+ ");
    views_end_lease(&w.replica);
    assert_string_equal(w.told, "");
    w.held = false;
    views_end_lease(&w.replica);
    assert_string_equal(w.told, "L- ");
    views_end_lease(&w.replica);
    assert_string_equal(w.told, "L- ");
}

static void test_a_note_ahead_of_a_view_that_acknowledges_early_E1(void **state)
{
    (void)state;
    w.s.stage = ACK_RECEIVED;
    put();
    w.room = false;
    assert_told(""); /* nor is a lease told that would go with it */
    assert_int_equal(w.notes, 1);
    assert_true(w.partition.wake < QR_NEVER);
    w.room = true;
    assert_told("V1:255 L+ ");
    assert_int_equal(w.notes, 2);
    assert_int_equal(w.ends, 0);
    w.s.stage = ACK_DURABLE;
    w.s.term++;
    put();
    assert_told("V2:255 ");
    assert_int_equal(w.ends, 1);
    assert_int_equal(w.notes, 2);
}

static void test_a_view_of_what_is_written_makes_it_lazy_until_the_next_E1(void **state)
{
    (void)state;
    assert_false(w.partition.lazy);
    w.s.stage = ACK_WRITTEN;
    put();
    w.room = false;
    assert_told("");
    assert_false(w.partition.lazy);
    w.room = true;
    assert_told("V1:255 L+ ");
    assert_true(w.partition.lazy);
    w.s.stage = ACK_RECEIVED;
    w.s.term++;
    put();
    assert_told("V2:255 ");
    assert_false(w.partition.lazy);
    assert_int_equal(w.ends, 0);
}

static void test_a_full_disk_ends_the_lease_of_the_view_before_E1(void **state)
{
    (void)state;
    assert_told("V1:255 L+ ");
    w.s.stage = ACK_RECEIVED;
    w.s.term++;
    put();
    w.room = false;
    assert_told("L- ");
}

static void test_all_that_have_views_are_woken_W3(void **state)
{
    (void)state;
    views_wake(&w.node);
    assert_true(w.partition.awake);
    assert_false(w.other.awake);
    views_look(&w.other);
    views_tell(&w.other);
    assert_string_equal(w.told, "");
}

/* Who is dropped by MAXLAG gets entries of nobody, so no other one feeds it. */
static void test_who_is_dropped_is_fed_by_nobody(void **state)
{
    (void)state;
    struct map_keyspace k = a_keyspace(KEYSPACE, "k", "", GROUP, 1);
    k.strategy = STRATEGY_PRIMARY;
    k.primary = primary_options_default();
    k.primary.feed = PRIMARY_FEED_FOLLOWER;
    put_keyspace(w.node.map, &k);
    views_tell(&w.partition);
    uint32_t all = 0x11111111 & ~(0xfu << 4 * ME);
    char expected[80];
    (void)snprintf(expected, sizeof expected, "Z%x ", (unsigned)all);
    assert_non_null(strstr(w.told, expected));
    w.told[0] = 0;
    assert_told("");
    w.dropped = node_bit(2);
    w.replica.views.changes = 0; /* as lagging.c says it */
    (void)snprintf(expected, sizeof expected, "Z%x ", (unsigned)(all & ~(0xfu << 8)));
    assert_told(expected);
    w.dropped = 0;
    views_look(&w.partition);
    assert_true(w.partition.awake);
}

#define VIEWS_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        VIEWS_TEST(test_the_view_and_then_the_lease_W1),
        VIEWS_TEST(test_of_another_life_it_is_not_whole_W2),
        VIEWS_TEST(test_another_record_without_another_view_is_no_news),
        VIEWS_TEST(test_who_has_not_started_is_told_when_it_has),
        VIEWS_TEST(test_a_lease_that_is_over_is_told_ahead_of_a_message),
        VIEWS_TEST(test_a_note_ahead_of_a_view_that_acknowledges_early_E1),
        VIEWS_TEST(test_a_view_of_what_is_written_makes_it_lazy_until_the_next_E1),
        VIEWS_TEST(test_a_full_disk_ends_the_lease_of_the_view_before_E1),
        VIEWS_TEST(test_all_that_have_views_are_woken_W3),
        VIEWS_TEST(test_who_is_dropped_is_fed_by_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
