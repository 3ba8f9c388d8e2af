/* The council (council.h, council_turn.c): what it writes of what it has heard. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "council_world.h"

#include "tests/unit/cluster/put_records.h"

/* --- What it writes --------------------------------------------------------------------------- */

static void who_stands_first_leads_a_new_partition(void **state)
{
    (void)state;
    make_partitions(1, ACK_ANY, 1, 0x7);
    turn();
    assert_int_equal(changes, 0);
    stand(2, FIRST, 0);
    assert_true(node->chores.stirred);
    turn();
    assert_int_equal(changes, 1);
    assert_int_equal(record(FIRST)->primary, 2);
    assert_int_equal(record(FIRST)->life, 12);
    assert_int_equal(record(FIRST)->settled, 0);
    lead(FIRST, 0x7);
    turn();
    assert_int_equal(record(FIRST)->settled, 1);
    assert_int_equal(council_figures(node).failovers, 0); /* it replaced nobody */
    assert_int_equal(council_figures(node).losses, 0);
    assert_int_equal(council_figures(node).written, 2);
}

static void a_primary_whose_lease_is_over_is_replaced_L10(void **state)
{
    (void)state;
    settle();
    lose(1);
    node->contact.leases.gone_at[1] = node->clock + LEASE_TIME;
    qr_time lost = node->clock;
    while (record(FIRST)->primary == 1) {
        pass(10 * QR_MILLISECOND);
    }
    assert_in_range(node->clock - lost, LEASE_TIME, LEASE_TIME + 20 * QR_MILLISECOND);
    assert_int_equal(record(FIRST)->primary, NODE_NONE);
    assert_int_equal(record(FIRST)->before, 1);
    stand(0, FIRST, 40);
    turn();
    assert_int_equal(record(FIRST)->primary, NODE_NONE); /* ANY 1 of 3: two must stand */
    stand(2, FIRST, 41);
    turn();
    assert_int_equal(record(FIRST)->primary, 2);
    assert_int_equal(council_figures(node).failovers, 1);
    assert_int_equal(council_figures(node).losses, 0);
    assert_int_equal(raised[ALARM_LOST], 0);
}

/* CN2 */
static void what_was_told_over_a_lost_connection_is_void(void **state)
{
    (void)state;
    settle();
    lose(1);
    pass(LEASE_TIME + 20 * QR_MILLISECOND);
    stand(0, FIRST, 40);
    council_lost(node, 0);
    stand(2, FIRST, 41);
    turn();
    assert_int_equal(record(FIRST)->primary, NODE_NONE);
    stand(0, FIRST, 40);
    turn();
    assert_int_equal(record(FIRST)->primary, 2);
}

static void what_was_told_in_another_life_is_void(void **state)
{
    (void)state;
    settle();
    lose(1);
    pass(LEASE_TIME + 20 * QR_MILLISECOND);
    stand(0, FIRST, 40);
    council_life(node, 0, 77); /* it asks for a lease as another process */
    stand(2, FIRST, 41);
    turn();
    assert_int_equal(record(FIRST)->primary, NODE_NONE);
}

static void what_was_told_to_another_leadership_is_void_CN2(void **state)
{
    (void)state;
    settle();
    lose(1);
    pass(LEASE_TIME + 20 * QR_MILLISECOND);
    stand(0, FIRST, 40);
    outlook.role = ROLE_FOLLOWER;
    stand(2, FIRST, 41); /* told to nobody */
    turn();
    outlook.role = ROLE_LEADER;
    outlook.term = 5;
    leases_lead(&node->contact.leases, 5, true, node->clock);
    council_life(node, 0, 10); /* it has asked for its lease, and told nothing yet */
    stand(2, FIRST, 41);
    turn();
    assert_int_equal(record(FIRST)->primary, NODE_NONE);
    pass(LEASE_TIME + 20 * QR_MILLISECOND); /* L3 of leases.h */
    assert_int_equal(record(FIRST)->primary, NODE_NONE);
    stand(0, FIRST, 40);
    turn();
    assert_int_equal(record(FIRST)->primary, 2);
}

static void whole_takes_back_all_that_was_told_before(void **state)
{
    (void)state;
    settle();
    lose(1);
    pass(LEASE_TIME + 20 * QR_MILLISECOND);
    stand(0, FIRST, 40);
    struct standings none = { .life = 10, .whole = true };
    council_take(node, 0, &none);
    stand(2, FIRST, 41);
    turn();
    assert_int_equal(record(FIRST)->primary, NODE_NONE);
    stand(0, FIRST, 40);
    struct standings gone = { .life = 10, .count = 1 };
    gone.v[0] = (struct standing){ .group = FIRST, .gone = true };
    council_take(node, 0, &gone);
    turn();
    assert_int_equal(record(FIRST)->primary, NODE_NONE);
}

static void nothing_is_written_where_it_could_not_be_proposed(void **state)
{
    (void)state;
    make_partitions(1, ACK_ANY, 1, 0x7);
    stand(1, FIRST, 0);
    refuses = true;
    turn();
    assert_int_equal(council_figures(node).written, 0);
    assert_true(node->wake <= node->clock + 10 * QR_MILLISECOND);
    refuses = false;
    no_room = true;
    turn();
    assert_int_equal(council_figures(node).written, 0);
    no_room = false;
    turn();
    assert_int_equal(record(FIRST)->primary, 1);
}

static void below_the_level_nothing_is_looked_at(void **state)
{
    (void)state;
    make_partitions(1, ACK_ANY, 1, 0x7);
    struct map_settings settings = *map_settings(node->map);
    settings.level = MAP_LEVEL_PRIMARY - 1;
    put_settings(node->map, &settings);
    stand(1, FIRST, 0);
    turn();
    assert_int_equal(changes, 0);
}

/* CN3 */
static void a_thousand_partitions_change_in_batches(void **state)
{
    (void)state;
    make_partitions(1000, ACK_ANY, 1, 0x7);
    for (uint32_t i = 0; i < 1000; i++) {
        stand(1, FIRST + i, 0);
    }
    for (uint32_t i = 0; i < 8; i++) {
        turn();
    }
    assert_in_range(changes, 4, 6);
    for (uint32_t i = 0; i < 1000; i++) {
        assert_int_equal(record(FIRST + i)->primary, 1);
    }
}

/* Others write all the time: the look goes on where it was. */
static void a_look_comes_to_its_end_though_the_map_changes(void **state)
{
    (void)state;
    make_partitions(3000, ACK_ANY, 1, 0x7);
    for (uint32_t i = 0; i < 10; i++) {
        turn();
    }
    stand(1, FIRST + 2999, 0);
    for (uint32_t i = 0; i < 6; i++) {
        struct map_settings settings = *map_settings(node->map);
        settings.rate++;
        put_settings(node->map, &settings);
        turn();
    }
    assert_int_equal(record(FIRST + 2999)->primary, 1);
}

/* --- Rest ------------------------------------------------------------------------------------- */

static void a_calm_partition_is_not_looked_at_CN4(void **state)
{
    (void)state;
    settle();
    turn();
    assert_true(council_find(control.council, FIRST)->calm);
    lead(FIRST, 0x6);
    assert_false(council_find(control.council, FIRST)->calm);
    turn();
    assert_false(council_find(control.council, FIRST)->calm); /* node 0 may be lost by and by */
    lead(FIRST, 0x7);
    turn();
    assert_true(council_find(control.council, FIRST)->calm);
    lose(1);
    pass(LEASE_TIME + 20 * QR_MILLISECOND);
    assert_int_equal(record(FIRST)->primary, NODE_NONE);
}

/* CN5 */
static void a_wish_is_settled_when_nobody_else_is_owed(void **state)
{
    (void)state;
    settle();
    struct map_partition p = *map_partition(node->map, FIRST);
    assert_int_equal(p.settled, p.epoch);
    map_wish(&p, 0xe, NODE_NONE); /* 3 in place of 0 */
    put_partition(node->map, &p);
    turn();
    assert_int_equal(record(FIRST)->learners, 0x8);
    assert_int_equal(map_partition(node->map, FIRST)->held, 0xf);
    tell(3, (struct standing){ .group = FIRST });
    for (unsigned i = 0; i < 6; i++) {
        lead(FIRST, 0xf);
        turn();
        const struct map_partition *now = map_partition(node->map, FIRST);
        if (record(FIRST)->rule.members != 0xe || record(FIRST)->settled != record(FIRST)->term) {
            assert_true(now->settled < now->epoch);
            assert_int_equal(now->held, 0xf);
        }
    }
    assert_int_equal(record(FIRST)->rule.members, 0xe);
    assert_int_equal(map_partition(node->map, FIRST)->settled,
                     map_partition(node->map, FIRST)->epoch);
    assert_int_equal(map_partition(node->map, FIRST)->held, 0xe);
}

static void wish(uint16_t members)
{
    struct map_partition p = *map_partition(node->map, FIRST);
    map_wish(&p, members, NODE_NONE);
    p.epoch = p.settled + 1; /* also where it wishes what it had */
    put_partition(node->map, &p);
}

static bool is_settled(void)
{
    const struct map_partition *p = map_partition(node->map, FIRST);
    return p->settled == p->epoch;
}

static void a_wish_is_not_settled_before_its_term_is_CN5(void **state)
{
    (void)state;
    make_partitions(1, ACK_ANY, 1, 0x7);
    wish(0x7);
    stand(1, FIRST, 0);
    turn();
    turn();
    assert_int_equal(record(FIRST)->primary, 1);
    assert_false(is_settled());
    lead(FIRST, 0x7);
    turn();
    turn();
    assert_true(is_settled());
}

/* Nothing follows a wish that ACK cannot be met by: nor do replicas go. */
static void a_wish_that_nothing_follows_is_not_settled_CN5(void **state)
{
    (void)state;
    make_partitions(1, ACK_ANY, 2, 0x7);
    stand(1, FIRST, 0);
    turn();
    lead(FIRST, 0x7);
    turn();
    wish(0x3);
    turn();
    turn();
    assert_int_equal(record(FIRST)->rule.members, 0x7);
    assert_false(is_settled());
    wish(0x7);
    turn();
    turn();
    assert_true(is_settled());
}

/* A keyspace that fell back owes what was acknowledged before to those who were members then. */
static void a_wish_is_not_settled_while_others_are_owed_CN5(void **state)
{
    (void)state;
    make_partitions(1, ACK_ANY, 1, 0x7);
    struct map_keyspace k = *map_keyspace(node->map, map_partition(node->map, FIRST)->keyspace);
    k.primary.fallback_async = true;
    put_keyspace(node->map, &k);
    wish(0x7);
    struct succession fallen = { .term = 5,
                                 .primary = 1,
                                 .before = NODE_NONE,
                                 .preferred = NODE_NONE,
                                 .fallen = true,
                                 .life = 11,
                                 .settled = 5,
                                 .rule = { .members = 0x7 },
                                 .duty_count = 2 };
    fallen.duty[0] = (struct succession_duty){ .rule = { .members = 0xb, .copies = 1 },
                                               .primaries = 0x2,
                                               .last = 4 };
    fallen.duty[1] =
        (struct succession_duty){ .rule = { .members = 0x7 }, .primaries = 0x2, .last = 5 };
    put_succession(FIRST, &fallen);
    tell(1, (struct standing){ .group = FIRST });
    lead(FIRST, 0x2);
    lose(0);
    lose(2);
    pass(3 * QR_SECOND);
    assert_true(record(FIRST)->fallen);
    assert_int_equal(record(FIRST)->term, 5);
    assert_false(is_settled());
}

/* CN6 */
static void who_prefers_to_lead_is_handed_the_lead(void **state)
{
    (void)state;
    settle();
    struct map_partition p = *map_partition(node->map, FIRST);
    p.prefers = 2;
    put_partition(node->map, &p);
    lead(FIRST, 0x3); /* it lacks something */
    turn();
    assert_int_equal(orders, 0);
    lead(FIRST, 0x7);
    turn();
    assert_int_equal(orders, 1);
    assert_int_equal(ordered_of, 1);
    assert_int_equal(ordered.group, FIRST);
    assert_int_equal(ordered.to, 2);
    assert_int_equal(ordered.term, record(FIRST)->term);
    tell(1, (struct standing){ .group = FIRST,
                               .leads = true,
                               .closed = true,
                               .to = 2,
                               .promised = record(FIRST)->term,
                               .settled = record(FIRST)->term,
                               .caught = 0x7 });
    turn();
    assert_int_equal(record(FIRST)->primary, NODE_NONE);
    assert_int_equal(record(FIRST)->preferred, 2);
    stand(0, FIRST, 9);
    stand(1, FIRST, 9);
    stand(2, FIRST, 9);
    turn();
    assert_int_equal(record(FIRST)->primary, 2);
}

static void a_hand_over_that_does_not_come_about_is_not_pressed(void **state)
{
    (void)state;
    settle();
    struct map_partition p = *map_partition(node->map, FIRST);
    p.prefers = 2;
    put_partition(node->map, &p);
    pass(20 * QR_SECOND);
    assert_in_range(orders, 2, 30);
    uint32_t before = orders;
    pass(9 * QR_SECOND);
    assert_in_range(orders - before, 0, 1);
    lose(2);
    before = orders;
    pass(20 * QR_SECOND);
    assert_int_equal(orders, before);
}

/* A primary that is wished away hands over, also when this node is it. */
static void a_primary_that_is_not_wished_hands_over(void **state)
{
    (void)state;
    make_partitions(1, ACK_ANY, 1, 0x7);
    stand(ME, FIRST, 0);
    turn();
    struct map_partition p = *map_partition(node->map, FIRST);
    map_wish(&p, 0xe, NODE_NONE);
    put_partition(node->map, &p);
    for (unsigned i = 0; i < 6 && orders == 0; i++) {
        tell(3, (struct standing){ .group = FIRST });
        lead(FIRST, 0xf);
        turn();
    }
    assert_int_equal(orders, 1);
    assert_int_equal(ordered_of, ME);
    turn();
    assert_int_equal(orders, 1); /* not in each turn */
    pass(300 * QR_MILLISECOND);
    assert_in_range(orders, 2, 3);
}

/* --- What people are told --------------------------------------------------------------------- */

static void that_nobody_may_be_chosen_is_told_after_a_while(void **state)
{
    (void)state;
    settle();
    lose(1);
    lose(2);
    pass(LEASE_TIME + 100 * QR_MILLISECOND);
    stand(0, FIRST, 40);
    pass(QR_SECOND);
    assert_int_equal(raised[ALARM_NOPRIMARY], 0);
    pass(2 * QR_SECOND);
    assert_true(raised[ALARM_NOPRIMARY] > 0);
    assert_non_null(strstr(raised_text[ALARM_NOPRIMARY], "keyspace orders, partition 0"));
    assert_non_null(strstr(raised_text[ALARM_NOPRIMARY], "too few stand"));
    alive |= node_bit(2);
    stand(2, FIRST, 40);
    uint32_t before = cleared[ALARM_NOPRIMARY];
    pass(300 * QR_MILLISECOND);
    assert_true(record(FIRST)->primary != NODE_NONE);
    assert_true(cleared[ALARM_NOPRIMARY] > before);
}

static void that_copies_are_missing_is_told_after_a_while(void **state)
{
    (void)state;
    settle();
    lose(0);
    lose(2);
    pass(QR_SECOND);
    assert_int_equal(raised[ALARM_NOREPLICAS], 0);
    pass(6 * QR_SECOND);
    assert_true(raised[ALARM_NOREPLICAS] > 0);
    assert_int_equal(raised[ALARM_NOPRIMARY], 0);
}

static void what_may_be_lost_is_told_and_stays_listed_S6(void **state)
{
    (void)state;
    make_partitions(1, ACK_LOCAL, 0, 0x7);
    stand(1, FIRST, 0);
    turn();
    lead(FIRST, 0x7);
    turn();
    lose(1);
    pass(LEASE_TIME + 20 * QR_MILLISECOND);
    stand(0, FIRST, 40);
    stand(2, FIRST, 41);
    pass(2 * QR_SECOND);
    assert_int_equal(record(FIRST)->primary, 2);
    assert_int_equal(council_figures(node).losses, 1);
    assert_int_equal(raised[ALARM_LOST], 1);
    assert_int_equal(cleared[ALARM_LOST], 1); /* it is over, and listed until it is acknowledged */
    assert_non_null(strstr(raised_text[ALARM_LOST], "after entry 41"));
    outlook.term = 4; /* another leadership: the one before may have told nobody */
    leases_lead(&node->contact.leases, 4, true, node->clock);
    turn();
    assert_int_equal(raised[ALARM_LOST], 2);
    assert_non_null(strstr(raised_text[ALARM_LOST], "after entry 41"));
    lead(FIRST, 0x7);
    turn();
    turn();
    assert_int_equal(record(FIRST)->settled, record(FIRST)->term);
    assert_false(record(FIRST)->loss.possible);
    outlook.term = 5;
    leases_lead(&node->contact.leases, 5, true, node->clock);
    turn();
    assert_int_equal(raised[ALARM_LOST], 2); /* whoever wrote that has told it */
}

/* Nodes of an older version could not read it. */
static void what_may_be_lost_is_no_part_of_an_old_record(void **state)
{
    (void)state;
    cluster_level = MAP_LEVEL_PRIMARY;
    make_partitions(1, ACK_LOCAL, 0, 0x7);
    stand(1, FIRST, 0);
    turn();
    lead(FIRST, 0x7);
    turn();
    lose(1);
    pass(LEASE_TIME + 20 * QR_MILLISECOND);
    stand(0, FIRST, 40);
    stand(2, FIRST, 41);
    pass(2 * QR_SECOND);
    assert_int_equal(record(FIRST)->primary, 2);
    assert_false(record(FIRST)->loss.possible);
    assert_int_equal(raised[ALARM_LOST], 1);
}

/* Writes wait meanwhile. */
static void what_is_written_is_told_at_once_CN7(void **state)
{
    (void)state;
    make_partitions(1, ACK_LOCAL, 0, 0x7);
    turn();
    uint32_t before = tells;
    turn();
    assert_int_equal(tells, before); /* nothing was written */
    stand(1, FIRST, 0);
    turn();
    turn();
    assert_int_equal(record(FIRST)->primary, 1);
    assert_int_equal(tells, before + 1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(who_stands_first_leads_a_new_partition),
        CASE(a_primary_whose_lease_is_over_is_replaced_L10),
        CASE(what_was_told_over_a_lost_connection_is_void),
        CASE(what_was_told_in_another_life_is_void),
        CASE(what_was_told_to_another_leadership_is_void_CN2),
        CASE(whole_takes_back_all_that_was_told_before),
        CASE(nothing_is_written_where_it_could_not_be_proposed),
        CASE(below_the_level_nothing_is_looked_at),
        CASE(a_thousand_partitions_change_in_batches),
        CASE(a_look_comes_to_its_end_though_the_map_changes),
        CASE(a_calm_partition_is_not_looked_at_CN4),
        CASE(a_wish_is_settled_when_nobody_else_is_owed),
        CASE(a_wish_is_not_settled_before_its_term_is_CN5),
        CASE(a_wish_that_nothing_follows_is_not_settled_CN5),
        CASE(a_wish_is_not_settled_while_others_are_owed_CN5),
        CASE(who_prefers_to_lead_is_handed_the_lead),
        CASE(a_hand_over_that_does_not_come_about_is_not_pressed),
        CASE(a_primary_that_is_not_wished_hands_over),
        CASE(that_nobody_may_be_chosen_is_told_after_a_while),
        CASE(that_copies_are_missing_is_told_after_a_while),
        CASE(what_may_be_lost_is_told_and_stays_listed_S6),
        CASE(what_may_be_lost_is_no_part_of_an_old_record),
        CASE(what_is_written_is_told_at_once_CN7),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
