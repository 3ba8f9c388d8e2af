/* Which replicas a node holds (holding.h, cluster/follow.h: F1-F7; R11, scenarios 3, 12, 46): what
 * is opened, founded, joined and dropped, by which map, in slices, and when all of it is there. */
#include "holding_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/cluster/put_records.h"

#define BOTH 3u   /* nodes 0 and 1; this one is 1 */
#define OTHERS 5u /* 0 and 2 */

/* --- Coming --------------------------------------------------------------------------------- */

static void test_a_founder_founds_and_others_join(void **state)
{
    (void)state;
    found(5, BOTH);
    found(6, OTHERS);
    wish(6, 7);
    found(7, OTHERS);
    found(8, 7);
    world.lost[8] = true; /* the log may have held more of it */
    catch_up();
    (void)turns(1);
    assert_true(replica_of(5)->founded);
    assert_int_equal(world.resumed[5], 1);
    assert_false(replica_of(5)->base.forgetful);
    assert_int_equal(replica_of(5)->base.roster.members.voters, BOTH);
    assert_int_equal(replica_of(5)->base.roster.epoch, 1);
    assert_true(replica_of(6)->base.forgetful);
    assert_false(replica_of(6)->founded);
    assert_null(replica_of(7));
    assert_non_null(partition_of_group(&world.node, 7)); /* it knows of it */
    assert_true(replica_of(8)->base.forgetful);
    assert_false(replica_of(8)->founded);
}

/* F1: what the map held before the start may come only now. */
static void test_by_an_old_map_nothing_is_made_or_deleted(void **state)
{
    (void)state;
    found(5, BOTH);
    found(6, OTHERS);
    world.knows[6] = true; /* a replica of an earlier life, which a later map wishes here */
    (void)turns(1);
    world.now += 10 * QR_SECOND;
    (void)turns(1);
    assert_null(replica_of(5));
    assert_false(holding_is_complete(&world.node));
    assert_int_equal(world.opened[6], 1); /* any map that has it will do */
    assert_false(replica_of(6)->founded);
    assert_int_equal(world.dropped[6], 0);
    wish(6, 7);
    catch_up();
    (void)turns(1);
    assert_non_null(replica_of(5));
    assert_int_equal(world.opened[6], 1);
    assert_int_equal(world.dropped[6], 0);
    assert_int_equal(world.node.holding.fresh_below, GROUPS);
}

static void next_group_is(uint32_t group, qr_slot slot, bool whole)
{
    put_settings(world.node.map, &(struct map_settings){ .level = 2, .next_group = group });
    world.applied = slot;
    holding_note_groups(&world.node, whole);
}

/* F2: what an earlier life knew stands in front of what makes the map fresh, and what was made
 * behind it nobody here can have forgotten, although it is applied before the map is looked at. */
static void test_groups_behind_the_fresh_point_were_known_to_no_earlier_life(void **state)
{
    (void)state;
    const uint32_t *below = &world.node.holding.fresh_below;
    world.zero.outlook.forgetful = true;
    holding_open(&world.node);
    assert_int_equal(*below, GROUPS);
    (void)turns(1);
    next_group_is(GROUPS + 1, OLD + 5, false);
    assert_int_equal(*below, GROUPS + 1); /* how far it held no one knows */
    world.zero.outlook.forgetful = false;
    world.zero.outlook.last = OLD + 9;
    (void)turns(1);
    next_group_is(GROUPS + 2, OLD + 9, false);
    assert_int_equal(*below, GROUPS + 2);
    next_group_is(GROUPS + 3, OLD + 10, false);
    assert_int_equal(*below, GROUPS + 2); /* made since */
    next_group_is(GROUPS + 4, OLD + 11, true);
    assert_int_equal(*below, GROUPS + 4); /* of which slot each is the state does not tell */
    (void)turns(1);
    assert_true(world.node.holding.fresh.fresh);
    next_group_is(GROUPS + 5, OLD + 9, true);
    assert_int_equal(*below, GROUPS + 4);
}

/* F1, F8: it has an index that was another's, who had founded under it. */
static void test_a_joiner_makes_nothing_by_a_map_from_before_it_joined(void **state)
{
    (void)state;
    world.node.identity.joined = OLD + 10;
    holding_open(&world.node);
    world.zero.outlook.last = OLD; /* so far it has received */
    found(5, BOTH);
    catch_up();
    (void)turns(1);
    assert_null(replica_of(5));
    wish(5, OTHERS);
    settle(5);
    world.applied = OLD + 10;
    world.now += QR_SECOND;
    (void)turns(1);
    assert_true(world.node.holding.fresh.fresh);
    assert_null(replica_of(5));
    wish(5, 7);
    (void)turns(1);
    assert_true(replica_of(5)->base.forgetful && !replica_of(5)->founded);
}

static void test_group_0_with_holes_waits(void **state)
{
    (void)state;
    found(5, BOTH);
    catch_up();
    world.node.zero->loading = true;
    (void)turns(1);
    assert_null(replica_of(5));
    world.node.zero->loading = false;
    (void)turns(1);
    assert_non_null(replica_of(5));
}

/* --- Going ---------------------------------------------------------------------------------- */

static struct partition *a_replica_that_has_left(uint32_t group)
{
    found(group, BOTH);
    catch_up();
    (void)turns(1);
    assert_non_null(replica_of(group));
    wish(group, OTHERS);
    (void)turns(1);
    assert_non_null(replica_of(group)); /* it may still be a member */
    settle(group);
    (void)turns(1);
    assert_null(replica_of(group));
    assert_int_equal(world.dropped[group], 1);
    return partition_of_group(&world.node, group);
}

static void later(void)
{
    world.now += QR_SECOND;
    (void)turns(1);
}

static void test_files_go_when_the_log_has_forgotten_durably(void **state)
{
    (void)state;
    struct partition *p = a_replica_that_has_left(5);
    assert_int_equal(p->drops_at, world.position);
    assert_int_equal(world.let_go, 1); /* what commands wait for goes to another node */
    world.durable = world.position - 1;
    later();
    assert_int_equal(world.files_removed[5], 0);
    world.durable = world.position;
    later();
    assert_int_equal(world.files_removed[5], 1);
    assert_int_equal(p->drops_at, 0);
    later();
    assert_int_equal(world.files_removed[5], 1);
    assert_int_equal(world.gone[5], 0); /* the map has it */
}

static void test_without_files_nothing_is_deleted(void **state)
{
    (void)state;
    (void)a_replica_that_has_left(6);
    world.durable = world.position;
    later();
    assert_int_equal(world.files_removed[6], 0);
    assert_int_equal(partition_of_group(&world.node, 6)->drops_at, 0);
}

/* What was said in the life before must not be found by the next one. */
static void test_who_comes_back_waits_until_it_has_gone(void **state)
{
    (void)state;
    (void)a_replica_that_has_left(5);
    wish(5, 7);
    (void)turns(1);
    later();
    assert_null(replica_of(5));
    world.durable = world.position;
    assert_false(holding_is_complete(&world.node));
    later();
    assert_int_equal(world.files_removed[5], 1);
    assert_true(replica_of(5)->base.forgetful); /* a founder that has moved joins */
}

static void test_a_group_that_is_gone_leaves_nothing(void **state)
{
    (void)state;
    for (uint32_t group = 5; group < 9; group++) {
        found(group, BOTH);
    }
    catch_up();
    (void)turns(1);
    replica_of(7)->gathers = true; /* a turn of its log comes first */
    replica_of(6)->writes = true; /* a file that may not come behind its end */
    for (uint32_t group = 5; group < 8; group++) {
        erase(group);
    }
    (void)turns(1);
    assert_null(replica_of(5));
    assert_non_null(replica_of(6));
    assert_non_null(replica_of(7));
    replica_of(7)->gathers = replica_of(6)->writes = false;
    later();
    assert_null(replica_of(6));
    assert_null(replica_of(7));
    world.durable = world.position;
    later();
    for (uint32_t group = 5; group < 8; group++) {
        assert_null(partition_of_group(&world.node, group));
        assert_int_equal(world.gone[group], 1);
    }
    assert_non_null(replica_of(8));
    assert_int_equal(world.node.partitions.count, 2);
}

/* A checkpoint of group 0 is of after its end, and a crash came before the log had forgotten it:
 * nobody else would let go what the log keeps for it. */
static void test_a_replica_of_an_earlier_life_of_which_the_map_says_nothing(void **state)
{
    (void)state;
    world.knows[5] = true;
    holding_open(&world.node);
    (void)turns(1);
    struct partition *p = partition_of_group(&world.node, 5);
    assert_non_null(p);
    assert_int_equal(world.dropped[5], 0); /* F1 */
    catch_up();
    (void)turns(1);
    assert_int_equal(world.opened[5], 0);
    assert_int_equal(world.dropped[5], 1);
    assert_int_equal(p->drops_at, world.position);
    world.durable = world.position;
    later();
    assert_int_equal(world.files_removed[5], 1);
    assert_null(partition_of_group(&world.node, 5));
}

/* --- The past ------------------------------------------------------------------------------- */

/* Nobody writes into these keyspaces: without the turn what was kept would stay for ever. */
static void test_what_is_to_be_forgotten_gets_its_turns_when_the_map_changes(void **state)
{
    (void)state;
    found(5, BOTH);
    found(6, BOTH);
    catch_up();
    (void)turns(1);
    replica_of(5)->forgets = true;
    uint32_t tended = world.tended[5];
    assert_int_equal(world.woken[5], 0);
    found(7, OTHERS);
    (void)turns(1);
    assert_int_equal(world.tended[5], tended + 1);
    assert_int_equal(world.woken[5], 1);
    assert_int_equal(world.woken[6], 0); /* a change of the map is no turn for all */
    partition_of_group(&world.node, 5)->loading = true; /* its state is being made */
    found(8, OTHERS);
    (void)turns(1);
    assert_int_equal(world.tended[5], tended + 1);
    assert_int_equal(world.woken[5], 1);
}

/* --- Leading -------------------------------------------------------------------------------- */

static struct outlook *leading(uint32_t group)
{
    struct outlook *o = &replica_of(group)->outlook;
    *o = (struct outlook){ .role = ROLE_LEADER,
                           .leader = ME,
                           .can_serve = true,
                           .transfer_to = NODE_NONE,
                           .membership = replica_of(group)->base.roster.members };
    return o;
}

static void test_a_leader_changes_the_members_and_tells_when_it_is_done(void **state)
{
    (void)state;
    found(5, BOTH);
    catch_up();
    (void)turns(1);
    wish(5, 7);
    struct outlook *o = leading(5);
    partition_of_group(&world.node, 5)->loading = true; /* what it says of itself is of before */
    (void)turns(1);
    assert_int_equal(world.changes, 0);
    partition_of_group(&world.node, 5)->loading = false;
    holding_disturb(partition_of_group(&world.node, 5));
    later();
    assert_int_equal(world.changes, 1);
    assert_int_equal(world.change.learners, 4);
    assert_int_equal(world.change_epoch, 2);
    later(); /* it was refused */
    assert_int_equal(world.changes, 2);
    o->membership = (struct membership){ .voters = 7 };
    replica_of(5)->base.roster.epoch = 2;
    later();
    assert_int_equal(world.changes, 2);
    assert_int_equal(partition_of_group(&world.node, 5)->reached, 2);
    assert_int_equal(world.told, 1);
}

static void test_a_leader_hands_over_to_who_is_to_lead(void **state)
{
    (void)state;
    found(5, BOTH);
    catch_up();
    (void)turns(1);
    struct outlook *o = leading(5);
    struct map_partition p = *map_partition(world.node.map, 5);
    p.prefers = 0;
    put_partition(world.node.map, &p);
    o->member[0] = (struct member_outlook){ .heard = 1, .match = o->commit };
    (void)turns(1);
    assert_int_equal(world.handed_over, 1);
    assert_int_equal(world.handed_to, 0);
}

/* --- Sweeps --------------------------------------------------------------------------------- */

static void found_many(uint32_t from, uint32_t to)
{
    for (uint32_t group = from; group < to; group++) {
        found(group, BOTH);
    }
}

static void test_many_come_in_slices_and_each_once(void **state)
{
    (void)state;
    found_many(5, GROUPS);
    catch_up();
    world.step = HOLDING_SLICE_USEC / 4;
    uint32_t n = turns(1000);
    assert_in_range(n, GROUPS / 5, GROUPS / 2);
    for (uint32_t group = 5; group < GROUPS; group++) {
        assert_int_equal(world.opened[group], 1);
    }
    assert_true(holding_deadline(&world.node) > world.now);
}

/* There may be two turns between them, and group 0's heartbeats stand in the sockets. */
static void test_between_two_looks_at_the_sockets_there_is_one_slice(void **state)
{
    (void)state;
    found_many(5, 40);
    catch_up();
    world.step = HOLDING_SLICE_USEC / 4;
    world.apart = true;
    world.polled = world.now;
    holding_turn(&world.node, world.now);
    uint32_t first = world.looks;
    assert_in_range(first, 1, 5);
    assert_true(holding_deadline(&world.node) <= world.now);
    holding_turn(&world.node, world.now);
    assert_int_equal(world.looks, first);
    world.polled = world.now;
    holding_turn(&world.node, world.now);
    assert_in_range(world.looks, first + 1, 2 * first + 5);
    world.apart = false;
    (void)turns(1000);
    for (uint32_t group = 5; group < 40; group++) {
        assert_int_equal(world.opened[group], 1);
    }
}

static void one_more(uint32_t group)
{
    if (group == 20) {
        world.at_opening = NULL;
        found(200, BOTH);
        world.node.chores.stirred = false; /* the chores have taken note of that change */
    }
}

/* Else it would wait for whatever calls the chores next, and for seconds. */
static void test_a_map_that_changes_during_a_sweep_is_looked_at_again_at_once(void **state)
{
    (void)state;
    found_many(5, 40);
    catch_up();
    world.at_opening = one_more;
    (void)turns(1);
    assert_null(replica_of(200));
    assert_true(world.node.chores.stirred);
    assert_false(holding_is_complete(&world.node));
    world.node.chores.stirred = false;
    (void)turns(1);
    assert_non_null(replica_of(200));
    assert_false(world.node.chores.stirred); /* and that was all */
}

static void test_who_is_disturbed_is_looked_at_soon_and_alone(void **state)
{
    (void)state;
    found_many(5, 8);
    catch_up();
    (void)turns(1);
    later(); /* what has begun is looked at once more */
    assert_true(holding_deadline(&world.node) > world.now + QR_SECOND);
    world.node.chores.stirred = false;
    world.looks = 0;
    for (int i = 0; i < 3; i++) {
        holding_disturb(partition_of_group(&world.node, 6));
        holding_disturb(world.node.zero);
    }
    assert_int_equal(world.node.holding.restless, 1);
    assert_true(world.node.chores.stirred);
    world.now = holding_deadline(&world.node);
    (void)turns(1);
    assert_int_equal(world.node.holding.restless, 0);
    assert_int_equal(world.looks, 1);
    world.now = holding_deadline(&world.node); /* now and then all are */
    (void)turns(1);
    assert_int_equal(world.looks, 1 + 3);
}

/* Sweeps go from the last partition to the first. */
static void test_who_is_disturbed_behind_a_sweep_is_not_forgotten(void **state)
{
    (void)state;
    found_many(5, 40);
    catch_up();
    (void)turns(1);
    later();
    world.now = holding_deadline(&world.node); /* of all */
    world.step = HOLDING_SLICE_USEC / 4;
    assert_int_equal(world.node.holding.restless, 0);
    holding_turn(&world.node, world.now);
    holding_disturb(partition_of_group(&world.node, 39));
    assert_true(turns(100) > 1);
    world.step = 0;
    assert_true(holding_deadline(&world.node) < world.now + QR_SECOND);
    world.now = holding_deadline(&world.node);
    world.looks = 0;
    (void)turns(1);
    assert_int_equal(world.looks, 1);
}

/* --- All are there -------------------------------------------------------------------------- */

static void test_complete_when_all_are_there_and_durably_so(void **state)
{
    (void)state;
    struct node *node = &world.node;
    found_many(5, 8);
    found(9, OTHERS);
    (void)turns(1);
    assert_false(holding_is_complete(node));
    catch_up();
    (void)turns(1);
    assert_false(holding_is_complete(node)); /* what they begin with is not durable */
    uint64_t all = world.position;
    world.position += 1000; /* the log of others is never idle */
    world.durable = all - 1;
    assert_false(holding_is_complete(node));
    world.durable = all;
    assert_true(holding_is_complete(node));
    found(10, BOTH);
    assert_false(holding_is_complete(node)); /* the map has changed */
    (void)turns(1);
    assert_false(holding_is_complete(node));
    world.durable = world.position;
    assert_true(holding_is_complete(node));
}

/* Its log's end is what it had before its start: others may have gone on since. */
static void test_the_map_is_current_when_group_0_has_caught_up_once(void **state)
{
    (void)state;
    struct node *node = &world.node;
    (void)turns(1);
    assert_false(node->holding.current); /* although group 0 has: the map is not fresh */
    catch_up();
    world.behind = true;
    node->chores.stays = false;
    (void)turns(1);
    assert_true(node->holding.fresh.fresh);
    assert_false(node->holding.current);
    assert_true(node->chores.stays); /* the slot that it asks for may be applied in any turn */
    world.zero.outlook.leader = NODE_NONE;
    node->chores.stays = false;
    (void)turns(1);
    assert_false(node->chores.stays);
    world.behind = false;
    (void)turns(1);
    assert_true(node->holding.current);
    world.behind = true; /* from then on it hears of all that comes */
    (void)turns(1);
    assert_true(node->holding.current);
    assert_false(node->chores.stays);
}

#define HOLDING_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        HOLDING_TEST(test_a_founder_founds_and_others_join),
        HOLDING_TEST(test_by_an_old_map_nothing_is_made_or_deleted),
        HOLDING_TEST(test_groups_behind_the_fresh_point_were_known_to_no_earlier_life),
        HOLDING_TEST(test_a_joiner_makes_nothing_by_a_map_from_before_it_joined),
        HOLDING_TEST(test_group_0_with_holes_waits),
        HOLDING_TEST(test_files_go_when_the_log_has_forgotten_durably),
        HOLDING_TEST(test_without_files_nothing_is_deleted),
        HOLDING_TEST(test_who_comes_back_waits_until_it_has_gone),
        HOLDING_TEST(test_a_group_that_is_gone_leaves_nothing),
        HOLDING_TEST(test_a_replica_of_an_earlier_life_of_which_the_map_says_nothing),
        HOLDING_TEST(test_what_is_to_be_forgotten_gets_its_turns_when_the_map_changes),
        HOLDING_TEST(test_a_leader_changes_the_members_and_tells_when_it_is_done),
        HOLDING_TEST(test_a_leader_hands_over_to_who_is_to_lead),
        HOLDING_TEST(test_many_come_in_slices_and_each_once),
        HOLDING_TEST(test_between_two_looks_at_the_sockets_there_is_one_slice),
        HOLDING_TEST(test_a_map_that_changes_during_a_sweep_is_looked_at_again_at_once),
        HOLDING_TEST(test_who_is_disturbed_is_looked_at_soon_and_alone),
        HOLDING_TEST(test_who_is_disturbed_behind_a_sweep_is_not_forgotten),
        HOLDING_TEST(test_the_map_is_current_when_group_0_has_caught_up_once),
        HOLDING_TEST(test_complete_when_all_are_there_and_durably_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
