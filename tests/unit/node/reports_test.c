/* What group 0's leader hears of partitions (reports.h), between two nodes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "reports_world.h"
#include "tests/unit/cluster/put_records.h"

static int begin(void **state)
{
    (void)state;
    make_worlds(4);
    return 0;
}

static uint64_t reached(uint32_t group)
{
    node_index leader;
    const struct partition_report *r = reports_of_group(&zero->node, group, &leader);
    return r != NULL && leader == 1 ? r->epoch : UINT64_MAX;
}

static void reach(uint32_t group, uint64_t epoch)
{
    other->partition[group - 1].reached = epoch;
    reporting_note(&other->partition[group - 1]);
}

static void test_what_changes_is_told(void **state)
{
    (void)state;
    know_keyspace(zero);
    know_keyspace(other);
    live();
    assert_int_equal(reached(3), 0);
    assert_true(reports_keyspace_is_led(&zero->node, 16));
    reach(3, 4);
    live();
    assert_int_equal(reached(3), 4);
    assert_int_equal(reached(4), 0);
}

/* Nothing else of an idle partition would ever change again. */
static void test_what_was_told_to_a_closed_connection_is_told_anew(void **state)
{
    (void)state;
    know_keyspace(zero);
    know_keyspace(other);
    live();
    connected = false;
    reach(3, 4);
    live();
    assert_int_equal(reached(3), UINT64_MAX);
    connect_again();
    live();
    assert_int_equal(reached(3), 4);
    assert_int_equal(reached(2), 0);
    assert_int_equal(lost, 0); /* nothing is composed for nobody */
}

static void test_what_was_on_its_way_when_the_connection_closed_is_told_anew(void **state)
{
    (void)state;
    know_keyspace(zero);
    know_keyspace(other);
    live();
    node_index leader;
    struct partition_report before = *reports_of_group(&zero->node, 3, &leader);
    reach(3, 4);
    live();
    struct report back = { .version = 6, .level = 2, .partitions = 1 };
    back.partition[0] = before; /* as if the last frame had not come */
    uint8_t *frame = qr_alloc(REPORT_BYTES_MAX);
    assert_true(reports_receive(&zero->node, 1, span_of(frame, report_write(&back, frame))));
    free(frame);
    live();
    assert_int_equal(reached(3), 0);
    connect_again();
    live();
    assert_int_equal(reached(3), 4);
}

/* A new leader of group 0 hears of partitions whose records it has not applied yet. */
static void test_partitions_that_the_leader_does_not_know_yet_are_kept(void **state)
{
    (void)state;
    know_keyspace(other);
    live();
    zero->version++; /* something else is applied first */
    live();
    know_keyspace(zero);
    assert_true(reports_keyspace_is_led(&zero->node, 16));
    live();
    assert_int_equal(reached(4), 0);
}

static void test_partitions_that_were_dropped_are_forgotten(void **state)
{
    (void)state;
    know_keyspace(zero);
    know_keyspace(other);
    live();
    put_erased(zero->node.map, MAP_RECORD_PARTITION, 3);
    zero->version++;
    live();
    assert_int_equal(reached(3), UINT64_MAX);
    reach(3, 4); /* by who has not heard of it yet */
    live();
    assert_int_equal(reached(3), UINT64_MAX);
    assert_int_equal(reached(4), 0);
}

/* What a node does not tell for want of room may be clients of any keyspace. */
static void test_clients_that_are_not_counted_may_be_of_any_keyspace(void **state)
{
    (void)state;
    struct keyspace_use use;
    struct report r = { .version = 6, .level = 2 };
    uint8_t *frame = qr_alloc(REPORT_BYTES_MAX);
    know_keyspace(zero);
    while (r.client_counts < REPORT_KEYSPACES_MAX) {
        reports_use(&zero->node, 16, &use);
        assert_false(use.uncounted);
        r.clients[r.client_counts] = (struct client_count){ 17 + r.client_counts, 2 };
        r.client_counts++;
        assert_true(reports_receive(&zero->node, 1, span_of(frame, report_write(&r, frame))));
    }
    free(frame);
    reports_use(&zero->node, 16, &use);
    assert_true(use.uncounted);
    assert_int_equal(use.clients, 0);
    reports_use(&zero->node, 17, &use);
    assert_false(use.uncounted);
    assert_int_equal(use.clients, 2);
    connected = false; /* its clients are its own business */
    reports_use(&zero->node, 16, &use);
    assert_false(use.uncounted);
}

/* Started again with an older version it says less, or nothing (CLUSTER UPGRADE FINALIZE). */
static void test_a_new_connection_knows_no_level_until_it_says_so(void **state)
{
    (void)state;
    live();
    assert_int_equal(reports_level(&zero->node, 1), 2);
    connect_again();
    assert_int_equal(reports_level(&zero->node, 1), 0);
    assert_false(reports_know_version(&zero->node, 5));
    live();
    assert_int_equal(reports_level(&zero->node, 1), 2);
    assert_true(reports_know_version(&zero->node, 5));
}

/* KEYSPACE STATS: the sum over the partitions, of the last while and no longer. */
static void test_rates_are_told_and_end(void **state)
{
    (void)state;
    struct keyspace_use use;
    know_keyspace(zero);
    know_keyspace(other);
    live();
    reports_use(&zero->node, 16, &use);
    assert_true(use.ops == 0 && use.refused == 0);
    for (int i = 0; i < 100; i++) {
        other->partition[1].quota.ops += 3;
        other->partition[2].quota.ops += 4;
        other->partition[2].quota.refused += 2;
        reporting_note(&other->partition[1]);
        reporting_note(&other->partition[2]);
        live_for(1);
    }
    reports_use(&zero->node, 16, &use);
    assert_in_range(use.ops, 650, 750);
    assert_in_range(use.refused, 180, 220);
    live(); /* without a turn of theirs */
    reports_use(&zero->node, 16, &use);
    assert_true(use.ops == 0 && use.refused == 0);
}

/* --- Of many -------------------------------------------------------------------------------- */

static void hear_of(node_index from, uint32_t group, qr_term term, uint64_t epoch)
{
    static struct report r;
    r = (struct report){ .version = 6, .level = 2, .partitions = 1 };
    r.partition[0] = (struct partition_report){ .group = group, .term = term, .epoch = epoch };
    hear(from, &r);
}

/* NODE_NONE: nobody, as far as is known. */
static node_index leader_of(uint32_t group)
{
    node_index leader = NODE_NONE;
    bool known = reports_of_group(&zero->node, group, &leader) != NULL;
    assert_int_equal(known, leader != NODE_NONE);
    return leader;
}

static void test_of_two_leaders_the_later_one_counts(void **state)
{
    (void)state;
    know_keyspace(zero);
    hear_of(1, 3, 7, 0);
    hear_of(0, 3, 6, 9);
    hear_of(0, 3, 0, 0); /* it leads no more, and never did as far as is known */
    assert_int_equal(leader_of(3), 1);
    hear_of(0, 3, 7, 9); /* the word that comes later, if the term says nothing */
    assert_int_equal(leader_of(3), 0);
    hear_of(1, 3, 6, 9);
    hear_of(1, 3, 0, 0);
    assert_int_equal(leader_of(3), 0);
    hear_of(0, 3, 0, 0);
    assert_int_equal(leader_of(3), NODE_NONE);
    assert_false(reports_keyspace_is_led(&zero->node, 16));
    hear_of(1, 3, 5, 0); /* better than nobody */
    assert_int_equal(leader_of(3), 1);
    connected = false; /* who is away leads nothing */
    assert_int_equal(leader_of(3), NODE_NONE);
}

static void test_what_a_whole_report_does_not_name_is_led_no_more(void **state)
{
    (void)state;
    static struct report r;
    know_keyspace(zero);
    know_keyspace(other);
    live();
    hear_of(0, 4, 8, 0); /* that is another's */
    r = (struct report){ .version = 6, .level = 2, .whole = true, .partitions = 1 };
    r.partition[0] = (struct partition_report){ .group = 3, .term = 7, .epoch = 1 };
    hear(1, &r);
    assert_int_equal(leader_of(2), NODE_NONE);
    assert_int_equal(leader_of(3), 1);
    assert_int_equal(leader_of(4), 0);
    reports_passed(&zero->node, 1); /* another node has its index */
    assert_int_equal(leader_of(3), NODE_NONE);
    assert_int_equal(leader_of(4), 0);
    assert_int_equal(reports_level(&zero->node, 1), 0);
}

static uint32_t led_by_other(void)
{
    uint32_t n = 0;
    for (uint32_t group = 2; group < GROUPS_MAX; group++) {
        n += leader_of(group) == 1;
    }
    return n;
}

static void test_of_thousands_some_are_told_at_a_time_and_none_is_lost(void **state)
{
    (void)end(state);
    make_worlds(1300);
    know_keyspace(zero);
    know_keyspace(other);
    live_for(1);
    assert_int_equal(sent, 4);
    assert_int_equal(led_by_other(), 4 * REPORT_PARTITIONS_MAX);
    live();
    assert_int_equal(led_by_other(), 1299);
    assert_true(reports_keyspace_is_led(&zero->node, 16));
    for (uint32_t group = 4; group < 1300; group += 3) {
        put_erased(zero->node.map, MAP_RECORD_PARTITION, group);
    }
    zero->version++;
    live();
    for (uint32_t group = 2; group <= 1300; group++) {
        assert_int_equal(leader_of(group), group % 3 == 1 && group < 1300 ? NODE_NONE : 1);
    }
}

/* Numbers that a power of two lies between. */
static void test_groups_do_not_stand_in_each_others_place(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 12; i++) {
        hear_of(1, 1000 + 64 * i, 7 + i, 0);
    }
    for (uint32_t i = 0; i < 12; i++) {
        node_index leader;
        const struct partition_report *r = reports_of_group(&zero->node, 1000 + 64 * i, &leader);
        assert_non_null(r);
        assert_int_equal(r->term, 7 + i);
    }
    assert_int_equal(leader_of(1000 + 64 * 12), NODE_NONE);
}

/* Whatever a node tells of: memory has an end. */
static void test_groups_that_nobody_knows_are_kept_up_to_a_bound(void **state)
{
    (void)state;
    static struct report r;
    uint32_t group = 1000;
    r = (struct report){ .version = 6, .level = 2, .partitions = REPORT_PARTITIONS_MAX };
    for (uint32_t n = 0; n < 2 * PARTITIONS_MAX; n += REPORT_PARTITIONS_MAX) {
        for (uint32_t i = 0; i < REPORT_PARTITIONS_MAX; i++) {
            r.partition[i] = (struct partition_report){ .group = group++, .term = 7 };
        }
        hear(1, &r);
    }
    assert_int_equal(leader_of(group - 1), 1);
    hear_of(1, group, 7, 0);
    assert_int_equal(leader_of(group), NODE_NONE);
    hear_of(0, 1000, 8, 0); /* what is known goes on being heard of */
    assert_int_equal(leader_of(1000), 0);
}

/* --- When ----------------------------------------------------------------------------------- */

/* Turns until the next report. */
static int turns_until_told(void)
{
    int turns = 0;
    for (sent = 0; sent == 0; turns++) {
        live_for(1);
    }
    return turns;
}

static void test_it_is_told_every_200_ms_and_sooner_for_a_reason(void **state)
{
    (void)state;
    (void)turns_until_told();
    assert_int_equal(turns_until_told(), 20);
    reach(3, 4); /* what people look at may wait */
    assert_int_equal(turns_until_told(), 20);
    other->version++; /* somebody waits until all know it */
    assert_int_equal(turns_until_told(), 1);
    other->node.leaders.begun++; /* or for leaders; these come in numbers */
    assert_int_equal(turns_until_told(), 2);
    other->node.leaders.begun++;
    (void)reports_ask(&other->node); /* who asks waits for no pause */
    assert_int_equal(turns_until_told(), 1);
    other->node.wake = QR_NEVER;
    live_for(1);
    assert_int_equal(other->node.wake, other->node.clock + 190 * QR_MILLISECOND);
    other->replica[0].o.leader = NODE_NONE;
    sent = 0;
    other->node.wake = QR_NEVER;
    live();
    assert_int_equal(sent, 0);
    assert_true(other->node.wake == QR_NEVER);
}

static void test_who_begins_to_lead_is_told_soon_behind_having_its_state(void **state)
{
    (void)state;
    (void)turns_until_told();
    other->replica[3].behind = 1;
    reporting_note(&other->partition[3]);
    other->node.leaders.begun++;
    assert_int_equal(turns_until_told(), 2);
    assert_int_equal(turns_until_told(), 2);
    other->replica[3].behind = 0;
    assert_int_equal(turns_until_told(), 2);
    assert_int_equal(turns_until_told(), 20);
}

static void test_a_question_is_answered_by_all_who_are_there(void **state)
{
    (void)state;
    live();
    uint64_t first = reports_ask(&zero->node);
    assert_false(reports_answered(&zero->node, first));
    uint64_t second = reports_ask(&zero->node);
    live_for(1);
    assert_true(reports_answered(&zero->node, first));
    assert_true(reports_answered(&zero->node, second));
    hear_of(1, 3, 7, 0); /* with what is told next the answer stays one */
    assert_true(reports_answered(&zero->node, second));
    uint64_t third = reports_ask(&zero->node);
    reports_turn(&other->node, other->node.clock);
    assert_false(reports_answered(&zero->node, third)); /* this node counts as well */
    reports_turn(&zero->node, zero->node.clock);
    assert_true(reports_answered(&zero->node, third));
    connected = false;
    uint64_t fourth = reports_ask(&zero->node);
    live_for(1);
    assert_true(reports_answered(&zero->node, fourth)); /* nobody else is there */
    connected = true;
    assert_false(reports_answered(&zero->node, fourth));
    assert_false(reports_know_version(&zero->node, 7));
    wire = WIRE_VERSION_GROUPS - 1; /* it does not know what a report is */
    assert_true(reports_answered(&zero->node, fourth));
}

static void answer(node_index from, uint64_t nonce)
{
    static struct report r;
    r = (struct report){ .nonce = nonce, .version = 5, .level = 2 };
    hear(from, &r);
}

/* What this node asked in an earlier life the others still answer, with every report: of the next
 * question that says nothing, or a keyspace would be dropped by what was in it before. */
static void test_the_answer_to_a_question_of_an_earlier_life_is_none(void **state)
{
    (void)state;
    static const uint64_t lives[] = { 1000, 3000, 200 };
    uint64_t asked = 0;
    for (uint32_t i = 0; i < 3; i++) {
        reports_free(zero->control.reports);
        zero->control.reports = reports_new();
        zero->node.contact.leases.life = lives[i];
        connect_again();
        live();
        uint64_t first = reports_ask(&zero->node);
        reports_turn(&zero->node, zero->node.clock);
        answer(1, asked); /* that was on its way */
        assert_false(reports_answered(&zero->node, first));
        live();
        assert_true(reports_answered(&zero->node, first));
        uint64_t second = reports_ask(&zero->node);
        assert_false(reports_answered(&zero->node, second));
        live();
        assert_true(reports_answered(&zero->node, second));
        asked = first;
    }
}

/* C4: who is away may go by what it knew until it is covered no more. */
static void test_who_knows_a_version_or_may_know_what_was_before(void **state)
{
    (void)state;
    live();
    may_know = UINT16_MAX & ~1u & ~2u; /* indices that nobody has, as far as a new leader knows */
    assert_true(reports_know_version(&zero->node, 5));
    assert_false(reports_all_know(&zero->node, 5));
    may_know = 3; /* of who is there, what it says counts */
    assert_true(reports_all_know(&zero->node, 5));
    zero->version++;
    assert_false(reports_all_know(&zero->node, 6));
    reports_turn(&zero->node, zero->node.clock);
    assert_false(reports_all_know(&zero->node, 6));
    may_know = 1u << (MEMBERS_MAX - 1);
    assert_false(reports_all_know(&zero->node, 6));
    may_know = 1; /* a connection that is cut is open for long */
    assert_true(reports_all_know(&zero->node, 6));
    may_know = 2;
    assert_false(reports_all_know(&zero->node, 6));
    connected = false;
    assert_true(reports_know_version(&zero->node, 6));
    assert_false(reports_all_know(&zero->node, 6));
    may_know = 1;
    assert_true(reports_all_know(&zero->node, 6));
    zero->replica[0].o.role = ROLE_FOLLOWER; /* it hears of nobody any more */
    assert_false(reports_all_know(&zero->node, 6));
}

/* ... also whoever had an index before the one who says that it knows. */
static void test_the_word_of_an_index_is_not_its_predecessors(void **state)
{
    (void)state;
    live();
    may_know = 3;
    reports_passed(&zero->node, 1); /* nobody had it, as far as is known */
    live();
    assert_true(reports_all_know(&zero->node, 5));
    zero->node.known[1].id = 2;
    reports_passed(&zero->node, 1);
    qr_time passed = zero->node.clock;
    zero->node.known[1].id = 0;
    assert_false(reports_all_know(&zero->node, 5));
    reports_passed(&zero->node, 1); /* another one has it */
    live();
    assert_true(reports_know_version(&zero->node, 5));
    assert_false(reports_all_know(&zero->node, 5));
    zero->node.clock = passed + RULES_TIME;
    assert_false(reports_all_know(&zero->node, 5));
    zero->node.clock++;
    assert_true(reports_all_know(&zero->node, 5));
    zero->node.clock = passed;
    may_know = 1; /* it is known to be covered no more */
    assert_true(reports_all_know(&zero->node, 5));
}

static void test_only_group_0s_leader_listens(void **state)
{
    (void)state;
    static uint8_t frame[REPORT_BYTES_MAX];
    struct report r = { .version = 6, .level = 2 };
    size_t n = report_write(&r, frame);
    assert_true(reports_receive(&other->node, 0, span_of(frame, n)));
    assert_int_equal(reports_level(&other->node, 0), 0);
    assert_true(reports_receive(&zero->node, 1, span_of(frame, n)));
    assert_int_equal(reports_level(&zero->node, 1), 2);
    assert_false(reports_receive(&zero->node, 1, span_of(frame, n - 1)));
}

/* Whoever waits for what is heard is looked at again. */
static void test_what_is_heard_wakes_who_waits_for_it(void **state)
{
    (void)state;
    static const struct {
        uint64_t term, epoch;
        bool plans;
    } row[] = {
        { 7, 1, true },                   /* it was not known */
        { 7, 1, false },                  /* as before */
        { 7, 2, true },                   /* its members are others */
        { 8, 2, false }, { 0, 2, false }, /* nobody leads it */
        { 9, 2, true },
    };
    know_keyspace(zero);
    for (size_t i = 0; i < ARRAY_COUNT(row); i++) {
        zero->control.planner.next = 99;
        hear_of(1, 3, row[i].term, row[i].epoch);
        assert_int_equal(zero->control.planner.next == 0, row[i].plans);
    }
    assert_false(zero->node.again);
    waiting = 1;
    hear_of(1, 3, 9, 2);
    assert_true(zero->node.again);
}

/* --- Sums ----------------------------------------------------------------------------------- */

static void test_the_use_of_a_keyspace_is_the_sum_of_its_partitions(void **state)
{
    (void)state;
    struct keyspace_use use;
    know_keyspace(zero);
    know_keyspace(other);
    for (uint32_t i = 1; i < 4; i++) {
        other->replica[i].o.members = 2;
        other->replica[i].o.member[0].match = i == 2 ? 40 : 70;
    }
    live();
    reports_use(&zero->node, 16, &use);
    assert_int_equal(use.partitions, 3);
    assert_int_equal(use.keys, 30);
    assert_int_equal(use.bytes, 3009); /* 1002 and so on */
    assert_int_equal(use.most_bytes, 1004);
    assert_int_equal(use.worst_lag, 60);
    assert_int_equal(use.worst_partition, 1);
    assert_int_equal(use.worst_node, 0);
    hear_of(1, 3, 0, 0);
    reports_use(&zero->node, 16, &use);
    assert_int_equal(use.partitions, 2);
    assert_int_equal(use.worst_lag, 30);
    assert_int_equal(use.worst_partition, 0); /* the first of several */
    assert_false(reports_keyspace_is_led(&zero->node, 16));
    reports_use(&zero->node, 17, &use); /* there is none */
    assert_int_equal(use.partitions, 0);
    assert_int_equal(use.worst_node, NODE_NONE);
    assert_true(reports_keyspace_is_led(&zero->node, 17)); /* nobody need wait for it */
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_changes_is_told),
        TEST(test_what_was_told_to_a_closed_connection_is_told_anew),
        TEST(test_what_was_on_its_way_when_the_connection_closed_is_told_anew),
        TEST(test_partitions_that_the_leader_does_not_know_yet_are_kept),
        TEST(test_partitions_that_were_dropped_are_forgotten),
        TEST(test_rates_are_told_and_end),
        TEST(test_clients_that_are_not_counted_may_be_of_any_keyspace),
        TEST(test_a_new_connection_knows_no_level_until_it_says_so),
        TEST(test_of_two_leaders_the_later_one_counts),
        TEST(test_what_a_whole_report_does_not_name_is_led_no_more),
        TEST(test_of_thousands_some_are_told_at_a_time_and_none_is_lost),
        TEST(test_groups_do_not_stand_in_each_others_place),
        TEST(test_groups_that_nobody_knows_are_kept_up_to_a_bound),
        TEST(test_it_is_told_every_200_ms_and_sooner_for_a_reason),
        TEST(test_who_begins_to_lead_is_told_soon_behind_having_its_state),
        TEST(test_a_question_is_answered_by_all_who_are_there),
        TEST(test_the_answer_to_a_question_of_an_earlier_life_is_none),
        TEST(test_who_knows_a_version_or_may_know_what_was_before),
        TEST(test_the_word_of_an_index_is_not_its_predecessors),
        TEST(test_only_group_0s_leader_listens),
        TEST(test_what_is_heard_wakes_who_waits_for_it),
        TEST(test_the_use_of_a_keyspace_is_the_sum_of_its_partitions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
