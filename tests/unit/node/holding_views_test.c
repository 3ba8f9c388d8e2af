/* Which replicas a node holds of partitions whose primary group 0 names (holding.h,
 * cluster/follow.h: F12; node/rollback.h): what they begin with, when they are opened again, when
 * they may go. */
#include "holding_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/cluster/put_records.h"

static struct succession three_members(void)
{
    struct succession_wish wish = { .members = 7, .copies = 1 };
    return succession_first(&wish, 0);
}

static void test_a_replica_with_views_is_of_their_protocol(void **state)
{
    (void)state;
    struct succession s = three_members();
    found(5, 7);
    succeed(5, &s);
    world.early[5] = true;
    catch_up();
    (void)turns(1);
    assert_int_equal(world.opened[5], 1);
    assert_true(replica_of(5)->base.forgetful);
    assert_int_equal(replica_of(5)->base.roster.members.voters, 7);
    uint32_t looks = world.viewed[5];
    s.term++;
    succeed(5, &s);
    (void)turns(2);
    assert_true(world.viewed[5] > looks);
    replica_of(5)->outlook.role = ROLE_LEADER; /* and its members are not its leader's to change */
    replica_of(5)->outlook.can_serve = true;
    replica_of(5)->outlook.membership.voters = 3;
    replica_of(5)->outlook.transfer_to = NODE_NONE;
    holding_disturb(partition_of_group(&world.node, 5));
    world.now += QR_SECOND;
    (void)turns(2);
    assert_int_equal(world.changes, 0);
}

/* What is being taken back, and whether that is over, is played. */
static struct partition *taking_back(void)
{
    static int something;
    struct succession s = three_members();
    found(5, 7);
    succeed(5, &s);
    catch_up();
    (void)turns(1);
    struct partition *p = partition_of_group(&world.node, 5);
    p->rollback = (struct rollback *)&something;
    p->loading = true;
    holding_disturb(p);
    return p;
}

static void test_what_was_taken_back_is_opened_again_when_it_is_cut(void **state)
{
    (void)state;
    struct partition *p = taking_back();
    world.now += QR_SECOND;
    (void)turns(1);
    assert_int_equal(world.opened[5], 1);
    assert_true(p->restless);
    world.is_cut = true;
    world.now += QR_SECOND;
    (void)turns(1);
    assert_int_equal(world.opened[5], 2);
    assert_int_equal(world.let_go, 1); /* what waited there is the router's again */
    assert_int_equal(world.states_removed[5], 0);
    assert_int_equal(world.dropped[5], 0);
    assert_false(replica_of(5)->base.forgetful);
    assert_null(p->rollback);
    assert_false(p->loading);
}

static void test_what_begins_anew_leaves_its_checkpoint_behind(void **state)
{
    (void)state;
    (void)taking_back();
    world.is_cut = world.anew = true;
    world.now += QR_SECOND;
    (void)turns(1);
    assert_int_equal(world.opened[5], 2);
    assert_int_equal(world.states_removed[5], 1);
}

static void test_who_is_not_wished_stays_while_it_is_owed_or_has_what_others_lack(void **state)
{
    (void)state;
    struct succession s = three_members();
    found(5, 7);
    succeed(5, &s);
    catch_up();
    (void)turns(1);
    struct map_partition mp = *map_partition(world.node.map, 5);
    map_wish(&mp, 5, NODE_NONE);
    map_settle(&mp);
    mp.moved = node_bit(ME);
    put_partition(world.node.map, &mp);
    s.primary = s.before = 0;
    s.life = 8;
    s.settled = 1;
    s.duty_count = 1;
    s.duty[0] = (struct succession_duty){ s.rule, 1, 1 };
    succeed(5, &s);
    (void)turns(2);
    assert_int_equal(world.dropped[5], 0); /* its rule still counts it */
    s.rule.members = 5;
    s.term = 3;
    s.duty[0] = (struct succession_duty){ s.rule, 1, 3 };
    s.settled = 2;
    succeed(5, &s);
    (void)turns(2);
    assert_int_equal(world.dropped[5], 0); /* the term without it is not settled */
    world.unnamed[5] = true;
    s.settled = 3;
    succeed(5, &s);
    (void)turns(2);
    assert_int_equal(world.dropped[5], 0); /* what it alone has is not named */
    world.unnamed[5] = false;
    world.now += QR_SECOND;
    (void)turns(2);
    assert_int_equal(world.dropped[5], 1);
}

#define HOLDING_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        HOLDING_TEST(test_a_replica_with_views_is_of_their_protocol),
        HOLDING_TEST(test_what_was_taken_back_is_opened_again_when_it_is_cut),
        HOLDING_TEST(test_what_begins_anew_leaves_its_checkpoint_behind),
        HOLDING_TEST(test_who_is_not_wished_stays_while_it_is_owed_or_has_what_others_lack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
