/* What a node tells group 0's leader (reporting.h): who is looked at, what of it is told and when,
 * and the figures. The node leads all groups but 0. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "reports_world.h"
#include "tests/unit/cluster/put_records.h"

#define GROUPS 600u
#define G 7u /* some partition, of group G + 1 */

static struct reporting telling;
static struct report told;

static int begin(void **state)
{
    (void)state;
    make_worlds(GROUPS);
    know_keyspace(other);
    reporting_init(&telling);
    return 0;
}

/* R9: what this version knows, though less is active; else FINALIZE would never see that it may. */
static void test_the_level_that_is_known_is_told(void **state)
{
    (void)state;
    struct map_settings s = *map_settings(other->node.map);
    s.level = 1;
    put_settings(other->node.map, &s);
    (void)reporting_compose(&other->node, &telling, 0, &told);
    assert_int_equal(told.level, 2);
}

static struct partition *some(uint32_t i)
{
    return &other->partition[i];
}

static struct outlook *seen(uint32_t i)
{
    return &other->replica[i].o;
}

/* The next report for that leader; whether there is more. */
static bool compose_for(node_index leader)
{
    return reporting_compose(&other->node, &telling, leader, &told);
}

static bool compose(void)
{
    return compose_for(0);
}

/* A pass is over, and so much was told in it. */
static uint32_t pass(qr_time elapse)
{
    uint32_t n = 0;
    bool more;
    other->node.clock += elapse;
    do {
        more = compose();
        n += told.partitions;
    } while (more);
    return n;
}

/* The one partition that a pass tells of. */
static const struct partition_report *only(qr_time elapse)
{
    assert_int_equal(pass(elapse), 1);
    return &told.partition[0];
}

static const struct partition_report *look_at(uint32_t i)
{
    reporting_note(some(i));
    return only(QR_SECOND);
}

static void settle(void)
{
    (void)pass(QR_SECOND);
    assert_int_equal(pass(QR_SECOND), 0);
}

/* --- Who is looked at ------------------------------------------------------------------------ */

static void test_the_first_pass_tells_all_that_is_led_in_slices(void **state)
{
    (void)state;
    seen(9)->role = ROLE_FOLLOWER;
    other->partition[10].replica = NULL;
    assert_true(compose());
    assert_true(told.whole); /* what the leader thought this one led is forgotten first */
    assert_int_equal(told.partitions, REPORT_PARTITIONS_MAX);
    assert_int_equal(told.version, other->version);
    assert_int_equal(told.level, 2);
    assert_true(compose());
    assert_false(told.whole);
    assert_int_equal(told.partitions, REPORT_PARTITIONS_MAX);
    assert_false(compose());
    assert_int_equal(told.partitions, GROUPS - 3 - 2 * REPORT_PARTITIONS_MAX);
    assert_int_equal(pass(QR_SECOND), 0);
    assert_false(told.whole);
}

static void test_only_who_was_noted_is_looked_at_and_once(void **state)
{
    (void)state;
    settle();
    seen(3)->last = seen(G)->last = seen(4)->last = 101;
    reporting_note(some(G));
    reporting_note(some(4));
    reporting_note(some(G));
    assert_int_equal(other->node.news.count, 2);
    assert_int_equal(pass(QR_SECOND), 2);
    assert_int_equal(told.partition[0].group, G + 1); /* in order of their news */
    assert_int_equal(told.partition[1].group, 5);
    assert_int_equal(told.partition[0].last, 101);
    assert_int_equal(other->node.news.count, 0);
    reporting_note(some(G)); /* as it was */
    assert_int_equal(pass(QR_SECOND), 0);
    assert_int_equal(look_at(3)->group, 4);
}

/* What comes while a pass is under way waits for the next: it has an end. */
static void test_a_pass_ends_though_there_are_always_news(void **state)
{
    (void)state;
    assert_true(compose());
    for (uint32_t i = 1; i <= 300; i++) {
        seen(i)->last = 101;
        reporting_note(some(i));
    }
    assert_true(compose());
    assert_false(compose());
    assert_int_not_equal(other->node.news.count, 0);
    assert_int_not_equal(pass(QR_SECOND), 0);
    assert_int_equal(other->node.news.count, 0);
}

static void test_group_0_is_always_looked_at(void **state)
{
    (void)state;
    seen(0)->role = ROLE_LEADER;
    settle();
    seen(0)->last = 101;
    assert_int_equal(only(QR_SECOND)->group, 0);
}

static void test_a_partition_that_goes_is_not_looked_at(void **state)
{
    (void)state;
    settle();
    for (uint32_t i = 4; i < 7; i++) {
        seen(i)->last = 101;
        reporting_note(some(i));
    }
    reporting_forget(some(5)); /* in the middle */
    reporting_forget(some(5));
    assert_int_equal(other->node.news.count, 2);
    assert_null(some(5)->told);
    assert_int_equal(pass(QR_SECOND), 2);
    assert_int_equal(told.partition[1].group, 7);
}

/* --- Anew ------------------------------------------------------------------------------------ */

static void test_another_leader_is_told_everything(void **state)
{
    (void)state;
    settle();
    assert_true(compose_for(2));
    assert_true(told.whole);
    assert_true(compose_for(2));
    assert_false(compose_for(2));
    seen(0)->term++; /* and the same one, elected again: it has forgotten */
    assert_true(compose_for(2));
    assert_true(told.whole);
    assert_int_equal(told.partitions, REPORT_PARTITIONS_MAX);
}

static void test_what_may_be_lost_is_told_anew(void **state)
{
    (void)state;
    settle();
    reporting_anew(&telling, 2); /* who was told nothing */
    assert_int_equal(pass(QR_SECOND), 0);
    reporting_anew(&telling, 0);
    assert_int_equal(pass(QR_SECOND), GROUPS - 1);
    assert_true(compose_for(3)); /* and in the middle of a pass */
    reporting_anew(&telling, 3);
    assert_true(compose_for(3));
    assert_true(told.whole);
}

/* Who leads no more says so once. */
static void test_what_is_led_no_more_is_told_once(void **state)
{
    (void)state;
    settle();
    seen(G)->role = ROLE_FOLLOWER;
    const struct partition_report *r = look_at(G);
    assert_int_equal(r->group, G + 1);
    assert_int_equal(r->term, 0);
    reporting_note(some(G));
    assert_int_equal(pass(QR_SECOND), 0);
    seen(G)->role = ROLE_LEADER;
    assert_int_equal(look_at(G)->term, 7);
    other->partition[G].replica = NULL; /* or it is gone altogether */
    assert_int_equal(look_at(G)->term, 0);
}

/* --- Questions ------------------------------------------------------------------------------- */

static void test_a_question_is_answered_when_all_was_looked_at_since(void **state)
{
    (void)state;
    assert_true(compose());
    reporting_asked(&telling, 0, 41);
    assert_true(compose());
    assert_int_equal(told.nonce, 0);
    assert_false(compose());
    assert_int_equal(told.nonce, 41);
    settle();
    assert_int_equal(told.nonce, 41); /* it stays answered */
    reporting_asked(&telling, 2, 42); /* by who does not lead */
    (void)pass(QR_SECOND);
    assert_int_equal(told.nonce, 0);
}

/* What a pass has gone by already is looked at again: it may have changed since. */
static void test_a_question_begins_a_new_pass(void **state)
{
    (void)state;
    assert_true(compose());
    seen(1)->last = 101; /* it was told in the first slice */
    reporting_note(some(1));
    reporting_asked(&telling, 0, 41);
    uint32_t changed = 0;
    while (compose()) {
        assert_int_equal(told.nonce, 0);
    }
    for (uint32_t i = 0; i < told.partitions; i++) {
        changed += told.partition[i].group == 2 && told.partition[i].last == 101;
    }
    assert_int_equal(told.nonce, 41);
    assert_int_equal(changed, 1);
}

/* After a failover its state is that of its checkpoint: keys that were acknowledged are not
 * counted, and a keyspace that has them would be dropped without FORCE. */
static void test_who_has_not_all_of_its_state_is_not_told_to_lead(void **state)
{
    (void)state;
    settle();
    assert_false(telling.begins);
    other->replica[G].behind = 1;
    assert_int_equal(look_at(G)->term, 0); /* it was told to lead, in a term before */
    assert_true(telling.begins);
    reporting_asked(&telling, 0, 41);
    assert_int_equal(pass(QR_SECOND), 0);
    assert_int_equal(told.nonce, 41);
    assert_true(telling.begins); /* it is looked at without a turn */
    other->replica[G].behind = 0;
    assert_int_equal(only(QR_SECOND)->term, 7);
    assert_false(telling.begins);
    assert_int_equal(pass(QR_SECOND), 0);
}

static void test_who_follows_does_not_begin_to_lead(void **state)
{
    (void)state;
    settle();
    other->replica[G].behind = 1;
    seen(G)->role = ROLE_FOLLOWER;
    assert_int_equal(look_at(G)->term, 0);
    assert_false(telling.begins);
}

/* --- Figures --------------------------------------------------------------------------------- */

static void test_who_takes_part_and_how_far_behind_they_are(void **state)
{
    (void)state;
    settle();
    struct outlook *o = seen(G);
    o->members = 6;
    o->membership = (struct membership){ .voters = 1u << 0 | 1u << 1 | 1u << 2,
                                         .outgoing = 1u << 0 | 1u << 3,
                                         .learners = 1u << 4 };
    o->member[0].match = 90;
    o->member[1].match = 0;   /* itself */
    o->member[2].match = 100; /* as far as there is anything */
    o->member[3].match = 40;
    o->member[4].match = 30;
    o->member[5].match = 5; /* no member */
    some(G)->reached = 3;
    const struct partition_report *r = look_at(G);
    assert_int_equal(r->voters, 7);
    assert_int_equal(r->others, 1u << 3 | 1u << 4);
    static const uint64_t lag[] = { 10, 0, 0, 60, 70, 0 };
    assert_memory_equal(r->lag, lag, sizeof lag);
    assert_int_equal(r->epoch, 3);
    assert_int_equal(r->keys, 10);
    assert_int_equal(r->bytes, 1000 + G + 1);
    assert_int_equal(r->copy, 0);
}

/* From the level on that brought it; whoever was told without it is told anew. Ages go on without
 * turns. */
static void test_how_followers_do_is_told_and_goes_on(void **state)
{
    struct outlook *o = seen(G);
    struct lagging *behind = (struct lagging *)(void *)&sight;
    (void)state;
    o->membership.voters = 1u << 0 | 1u << 1 | 1u << 2;
    sight[0] = (struct follower_sight){ .state = FOLLOWER_CATCHUP,
                                        .known = true,
                                        .lag = { .bytes = 5000, .age = QR_MILLISECOND + 1 } };
    sight[2] = (struct follower_sight){ .state = FOLLOWER_BOOTSTRAP, .lag = { .bytes = 7 } };
    settle();
    assert_false(told.followers);
    level = MAP_LEVEL_FOLLOWERS;
    assert_int_equal(pass(QR_SECOND), GROUPS - 1);
    assert_true(told.followers);
    const struct partition_report *r = &some(G)->told->report;
    assert_int_equal(r->state[0], 1 + FOLLOWER_CATCHUP);
    assert_int_equal(r->lag_ms[0], 2); /* begun */
    assert_int_equal(r->lag_bytes[0], 5000);
    assert_int_equal(r->state[1], 0); /* itself */
    assert_int_equal(r->state[2], 1 + FOLLOWER_BOOTSTRAP);
    assert_int_equal(r->lag_ms[2], REPORT_UNKNOWN);
    assert_int_equal(r->lag_bytes[2], 0);
    some(G)->lagging = behind;
    reporting_note(some(G));
    assert_int_equal(pass(QR_SECOND), 0);
    sight[0].lag.age = 1000 * (qr_time)REPORT_UNKNOWN * QR_MILLISECOND;
    assert_int_equal(only(QR_SECOND)->lag_ms[0], REPORT_UNKNOWN - 1);
    some(G)->lagging = NULL;
    assert_int_equal(pass(QR_SECOND), 0);
    assert_int_equal(other->node.news.count, 0);
}

/* A rate is of the time since it was told last, and its end is told as well, without a turn. */
static void test_rates_are_told_and_end(void **state)
{
    (void)state;
    some(G)->quota.ops = 1000000; /* since the start: no rate of now */
    settle();
    some(G)->quota.ops += 500;
    some(G)->quota.refused += 20;
    reporting_note(some(G));
    const struct partition_report *r = only(QR_SECOND / 5);
    assert_int_equal(r->ops, 2500);
    assert_int_equal(r->refused, 100);
    r = only(QR_SECOND / 5); /* looked at without news */
    assert_int_equal(r->ops, 0);
    assert_int_equal(r->refused, 0);
    assert_int_equal(pass(QR_SECOND), 0);
    some(G)->quota.ops += 3;
    reporting_note(some(G));
    assert_int_equal(only(0)->ops, 3000); /* at once: as of a millisecond */
}

/* The one that has most to come; copies go on without turns of the partition. */
static void test_a_copy_is_told_while_it_goes_on(void **state)
{
    (void)state;
    static struct source source;
    settle();
    seen(G)->membership.learners = 1u << 3 | 1u << 4;
    source.to[0] = (struct source_progress){ .active = true, .total = 900 }; /* it votes */
    source.to[3] = (struct source_progress){ .active = true, .sent = 100, .total = 400 };
    source.to[4] = (struct source_progress){ .active = true, .sent = 450, .total = 500 };
    some(G)->source = &source;
    const struct partition_report *r = look_at(G);
    assert_int_equal(r->copy, 400);
    assert_int_equal(r->copy_left, 300);
    source.to[3].sent = 400;
    r = only(QR_SECOND);
    assert_int_equal(r->copy, 500);
    assert_int_equal(r->copy_left, 50);
    source.to[4].sent = 600; /* the last piece is counted with its head */
    assert_int_equal(only(QR_SECOND)->copy_left, 0);
    source.to[3].active = source.to[4].active = false;
    assert_int_equal(only(QR_SECOND)->copy, 0);
    assert_int_equal(pass(QR_SECOND), 0);
    source.to[4] = (struct source_progress){ .active = true, .total = 500 };
    assert_int_equal(only(QR_SECOND)->copy_left, 500); /* as long as there is a source */
    some(G)->source = NULL;
}

static void test_clients_are_counted_by_keyspace_as_far_as_there_is_room(void **state)
{
    (void)state;
    static struct client clients[4 + REPORT_KEYSPACES_MAX];
    memset(clients, 0, sizeof clients);
    for (uint32_t i = 0; i < ARRAY_COUNT(clients); i++) {
        clients[i].next = i + 1 < ARRAY_COUNT(clients) ? &clients[i + 1] : NULL;
        clients[i].selected.keyspace = i < 3 ? 16 : i == 3 ? 0 : 13 + i;
    }
    other->node.clients = clients;
    (void)compose();
    assert_int_equal(told.client_counts, REPORT_KEYSPACES_MAX);
    assert_int_equal(told.clients[0].keyspace, 16);
    assert_int_equal(told.clients[0].clients, 3);
    assert_int_equal(told.clients[1].keyspace, 17);
    assert_int_equal(told.clients[1].clients, 1);
    assert_int_equal(told.clients[REPORT_KEYSPACES_MAX - 1].clients, 1);
    put_erased(other->node.map, MAP_RECORD_KEYSPACE, 16); /* there is but keyspace 0 */
    (void)compose();
    assert_int_equal(told.client_counts, 0);
}

/* C4: where members have ever changed, an index may have passed before the start of the leader. */
static void test_what_was_before_its_start_a_leader_does_not_know(void **state)
{
    (void)state;
    live();
    may_know = 3;
    zero->node.started = zero->node.clock;
    assert_true(reports_all_know(&zero->node, 5)); /* as the cluster was made */
    zero->replica[0].stated = 9;
    assert_false(reports_all_know(&zero->node, 5));
    zero->node.clock = zero->node.started + RULES_TIME;
    assert_false(reports_all_know(&zero->node, 5));
    zero->node.clock++;
    assert_true(reports_all_know(&zero->node, 5));
    zero->node.known[1].id = 2;
    reports_passed(&zero->node, 1); /* and what has been since then it does know */
    live();
    assert_false(reports_all_know(&zero->node, 5));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_level_that_is_known_is_told),
        TEST(test_the_first_pass_tells_all_that_is_led_in_slices),
        TEST(test_only_who_was_noted_is_looked_at_and_once),
        TEST(test_a_pass_ends_though_there_are_always_news),
        TEST(test_group_0_is_always_looked_at),
        TEST(test_a_partition_that_goes_is_not_looked_at),
        TEST(test_another_leader_is_told_everything),
        TEST(test_what_may_be_lost_is_told_anew),
        TEST(test_what_is_led_no_more_is_told_once),
        TEST(test_a_question_is_answered_when_all_was_looked_at_since),
        TEST(test_a_question_begins_a_new_pass),
        TEST(test_who_has_not_all_of_its_state_is_not_told_to_lead),
        TEST(test_who_follows_does_not_begin_to_lead),
        TEST(test_who_takes_part_and_how_far_behind_they_are),
        TEST(test_how_followers_do_is_told_and_goes_on),
        TEST(test_rates_are_told_and_end),
        TEST(test_a_copy_is_told_while_it_goes_on),
        TEST(test_clients_are_counted_by_keyspace_as_far_as_there_is_room),
        TEST(test_what_was_before_its_start_a_leader_does_not_know),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
