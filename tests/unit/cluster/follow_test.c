/* What a node does about a partition, over all small states: each rule of cluster/follow.h, and
 * that every wish is reached (F1-F11; R11, U10, U11, scenarios 3, 12-14, 46). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cluster/follow.h"
#include "cluster/records.h"
#include "protocol/quorum.h"
#include "tests/unit/cluster/put_records.h"

#define GROUP 5u
#define NODES 3u
#define ALL ((1u << NODES) - 1)

static struct map *map_of(const struct map_partition *p, uint32_t next_group)
{
    struct map *map = map_new();
    put_settings(map, &(struct map_settings){ .level = 2, .next_group = next_group });
    if (p != NULL) {
        put_partition(map, p);
    }
    return map;
}

static struct map_partition partition(uint16_t founders)
{
    struct map_keyspace k = { .id = 16, .partitions = 1 };
    return map_found(&k, 0, GROUP, founders, NODE_NONE);
}

/* --- Replicas: every record that up to three wishes make, every view -------------------------- */

static void check_replica(const struct map_partition *p, const struct map *map,
                          const struct follow_view *view)
{
    uint16_t me = node_bit(view->me);
    struct follow_action a = follow(map, GROUP, view);
    bool makes = a.kind == FOLLOW_FOUND || a.kind == FOLLOW_JOIN;
    if (!view->fresh) {
        assert_int_equal(a.kind, FOLLOW_NOTHING); /* F1 */
        return;
    }
    if (view->has_replica) {
        bool goes = (p->held & me) == 0 && view->epoch <= p->epoch;
        assert_int_equal(a.kind, goes ? FOLLOW_DELETE : FOLLOW_NOTHING); /* F7 */
        return;
    }
    bool pure = (p->founders & ~p->moved & me) != 0 && !view->log_knows && !view->log_lost;
    assert_int_equal(a.kind == FOLLOW_FOUND, pure); /* F2 */
    if ((p->wish & me) != 0) {
        assert_true(makes); /* F3 */
    }
    if (makes) {
        assert_true((p->held & me) != 0);
    }
}

static void check_replicas(const struct map_partition *p)
{
    struct map *map = map_of(p, GROUP + 1);
    for (uint32_t bits = 0; bits < 16; bits++) {
        for (node_index me = 0; me < NODES; me++) {
            for (uint64_t epoch = 1; epoch <= p->epoch + 1; epoch++) {
                struct follow_view view = { .me = me,
                                            .fresh = (bits & 1) != 0,
                                            .has_replica = (bits & 2) != 0,
                                            .log_knows = (bits & 4) != 0,
                                            .log_lost = (bits & 8) != 0,
                                            .epoch = (bits & 2) != 0 ? epoch : 0 };
                check_replica(p, map, &view);
            }
        }
    }
    map_free(map);
}

static void test_replicas_are_made_and_deleted_by_the_rules(void **state)
{
    (void)state;
    for (uint16_t founders = 1; founders <= ALL; founders++) {
        for (uint32_t wishes = 0; wishes < 2 * 8 * 2 * 8; wishes++) {
            struct map_partition p = partition(founders);
            for (uint32_t rest = wishes, i = 0; i < 2; i++, rest /= 16) {
                if ((rest & 7) != 0) {
                    map_wish(&p, (uint16_t)(rest & 7), NODE_NONE);
                }
                if ((rest & 8) != 0) {
                    map_settle(&p);
                }
            }
            check_replicas(&p);
        }
    }
}

/* A node that had left and deleted its replica, and forgot it all, never votes by what the group
 * was made with. */
static void test_who_has_moved_joins(void **state)
{
    (void)state;
    struct map_partition p = partition(7);
    map_wish(&p, 3, NODE_NONE);
    map_settle(&p);
    map_wish(&p, 7, NODE_NONE);
    struct map *map = map_of(&p, GROUP + 1);
    struct follow_view view = { .me = 2, .fresh = true };
    assert_int_equal(follow(map, GROUP, &view).kind, FOLLOW_JOIN);
    map_free(map);
}

/* A founder that was down at the creation founds late, also when it is wished away by then. */
static void test_a_late_founder_founds(void **state)
{
    (void)state;
    struct map_partition p = partition(7);
    map_wish(&p, 3, NODE_NONE);
    struct map *map = map_of(&p, GROUP + 1);
    struct follow_view view = { .me = 2, .fresh = true };
    assert_int_equal(follow(map, GROUP, &view).kind, FOLLOW_FOUND);
    map_free(map);
}

static void test_a_group_that_is_gone_is_deleted_and_one_to_come_is_not(void **state)
{
    (void)state;
    struct map *gone = map_of(NULL, GROUP + 1);
    struct map *to_come = map_of(NULL, GROUP);
    struct follow_view view = { .me = 0, .fresh = true, .has_replica = true, .epoch = 9 };
    assert_int_equal(follow(gone, GROUP, &view).kind, FOLLOW_DELETE);
    assert_int_equal(follow(to_come, GROUP, &view).kind, FOLLOW_NOTHING);
    view.fresh = false;
    assert_int_equal(follow(gone, GROUP, &view).kind, FOLLOW_NOTHING); /* F1 */
    view = (struct follow_view){ .me = 0, .fresh = true };
    assert_int_equal(follow(gone, GROUP, &view).kind, FOLLOW_NOTHING);
    map_free(gone);
    map_free(to_come);
}

static void test_slot_0_states_the_founders(void **state)
{
    (void)state;
    struct map_partition p = partition(5);
    assert_int_equal(follow_first_members(&p, 0, false).voters, 5);
    assert_int_equal(follow_first_members(&p, 1, true).voters, 5);
    struct map_partition alone = partition(2);
    assert_int_equal(follow_first_members(&alone, 1, false).voters, 2);
    assert_int_equal(follow_first_members(&alone, 0, true).voters, 2);
    assert_int_equal(follow_first_members(&alone, 1, true).voters, 0); /* F4 */
}

/* --- Fresh maps (F1) ------------------------------------------------------------------------ */

static void test_a_map_is_fresh_when_the_old_log_is_applied(void **state)
{
    (void)state;
    struct outlook zero = { .last = 10 };
    struct follow_fresh fresh = { .upto = 10 };
    assert_false(follow_look(&fresh, &zero, 9));
    zero.last = 12; /* more has come */
    assert_true(follow_look(&fresh, &zero, 10));
    fresh = (struct follow_fresh){ .upto = 10 };
    zero.last = 7; /* what nobody has committed was dropped */
    assert_false(follow_look(&fresh, &zero, 6));
    zero.last = 9;
    assert_true(follow_look(&fresh, &zero, 7));
    zero.last = 20;
    assert_true(follow_look(&fresh, &zero, 7)); /* and stays so */
}

/* The log of one that has forgotten ends too early: what it remembers again counts. */
static void test_a_map_of_one_that_forgot_is_fresh_when_it_remembers(void **state)
{
    (void)state;
    struct outlook zero = { .last = 3, .forgetful = true };
    struct follow_fresh fresh = { .upto = 3 };
    assert_false(follow_look(&fresh, &zero, 3));
    zero.last = 15;
    assert_false(follow_look(&fresh, &zero, 9));
    zero.forgetful = false;
    assert_false(follow_look(&fresh, &zero, 9));
    zero.last = 30;
    assert_false(follow_look(&fresh, &zero, 14));
    assert_true(follow_look(&fresh, &zero, 15));
}

/* --- Leaders -------------------------------------------------------------------------------- */

static struct outlook leader_of(struct membership members)
{
    struct outlook o = { .role = ROLE_LEADER, .can_serve = true, .commit = 100, .last = 100 };
    o.membership = members;
    o.membership_slot = 50;
    o.transfer_to = NODE_NONE;
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        o.member[i] = (struct member_outlook){ .match = 100, .heard = 1 };
    }
    return o;
}

static struct follow_action lead(const struct map *map, const struct outlook *o, node_index me,
                                 uint64_t epoch)
{
    struct follow_view view = { .me = me,
                                .fresh = true,
                                .has_replica = true,
                                .log_knows = true,
                                .epoch = epoch,
                                .outlook = o,
                                .able = 0x7fff };
    return follow(map, GROUP, &view);
}

/* What the protocol makes of an order, and of learners that have caught up (raft/change.c). */
static void obey(struct membership *now, const struct membership *wanted)
{
    *now = *wanted;
    bool pair = quorum_count(now->voters) + quorum_count(now->learners) == 2;
    if (!pair) {
        now->voters |= now->learners;
        now->learners = 0;
    }
}

/* From any members to any wish: there in three orders at most, never with fewer voters on the way
 * than before or after, and then it is reported. */
static void test_every_wish_is_reached(void **state)
{
    (void)state;
    for (uint16_t from = 1; from < 32; from++) {
        for (uint16_t to = 1; to < 32; to++) {
            struct map_partition p = partition(from);
            map_wish(&p, (uint16_t)(to ^ 31) != 0 ? (uint16_t)(to ^ 31) : 31, NODE_NONE);
            map_wish(&p, to, NODE_NONE);
            struct map *map = map_of(&p, GROUP + 1);
            struct membership now = { .voters = from };
            uint64_t epoch = FOUNDING_EPOCH;
            uint32_t orders = 0;
            struct follow_action a;
            for (;;) {
                struct outlook o = leader_of(now);
                a = lead(map, &o, set_first(now.voters), epoch);
                if (a.kind != FOLLOW_CHANGE_MEMBERS) {
                    break;
                }
                assert_true(++orders <= 3);
                assert_true(membership_is_sound(&a.members));
                assert_int_equal(a.epoch, p.epoch);
                assert_int_equal(a.restated, epoch != p.epoch);
                uint32_t least =
                    quorum_count(from) < quorum_count(to) ? quorum_count(from) : quorum_count(to);
                assert_true(quorum_count(a.members.voters) >= least); /* F9 */
                obey(&now, &a.members);
                epoch = a.epoch;
            }
            if (p.epoch == 1) {
                assert_int_equal(a.kind, FOLLOW_NOTHING);
            } else {
                assert_int_equal(a.kind, FOLLOW_REPORT_SETTLED);
                assert_int_equal(a.epoch, p.epoch);
            }
            assert_int_equal(now.voters, to);
            map_free(map);
        }
    }
}

static void test_a_leader_waits_for_what_is_open(void **state)
{
    (void)state;
    struct map_partition p = partition(7);
    map_wish(&p, 11, NODE_NONE);
    struct map *map = map_of(&p, GROUP + 1);
    struct outlook o = leader_of((struct membership){ .voters = 7 });
    assert_int_equal(lead(map, &o, 0, 1).kind, FOLLOW_CHANGE_MEMBERS);
    o.membership_slot = 101; /* not committed */
    assert_int_equal(lead(map, &o, 0, 1).kind, FOLLOW_NOTHING);
    o.membership_slot = 50;
    o.membership.outgoing = 7; /* joint */
    assert_int_equal(lead(map, &o, 0, 1).kind, FOLLOW_NOTHING);
    o.membership.outgoing = 0;
    o.can_serve = false;
    assert_int_equal(lead(map, &o, 0, 1).kind, FOLLOW_NOTHING);
    o.can_serve = true;
    o.transfer_to = 1;
    assert_int_equal(lead(map, &o, 0, 1).kind, FOLLOW_NOTHING);
    o.transfer_to = NODE_NONE;
    o.role = ROLE_FOLLOWER;
    assert_int_equal(lead(map, &o, 0, 1).kind, FOLLOW_NOTHING);
    map_free(map);
}

/* A leader whose log knows a later wish than its map undoes nothing (F5). */
static void test_an_old_map_orders_nothing(void **state)
{
    (void)state;
    struct map_partition p = partition(7);
    map_wish(&p, 11, NODE_NONE);
    struct map *map = map_of(&p, GROUP + 1);
    struct outlook o = leader_of((struct membership){ .voters = 0x13 });
    assert_int_equal(lead(map, &o, 0, 3).kind, FOLLOW_NOTHING);
    o.membership.voters = 11; /* by chance what the old map wishes: still not settled by it */
    assert_int_equal(lead(map, &o, 0, 3).kind, FOLLOW_NOTHING);
    map_free(map);
}

/* The members are who is wished, for an earlier wish: that is stated anew first (F6). */
static void test_only_what_serves_the_epoch_is_reported(void **state)
{
    (void)state;
    struct map_partition p = partition(7);
    map_wish(&p, 11, NODE_NONE);
    map_wish(&p, 7, NODE_NONE);
    struct map *map = map_of(&p, GROUP + 1);
    struct outlook o = leader_of((struct membership){ .voters = 7 });
    struct follow_action a = lead(map, &o, 0, 1);
    assert_int_equal(a.kind, FOLLOW_CHANGE_MEMBERS);
    assert_true(a.restated);
    assert_int_equal(a.members.voters, 7);
    assert_int_equal(lead(map, &o, 0, 3).kind, FOLLOW_REPORT_SETTLED);
    o.membership.learners = 8;
    assert_int_equal(lead(map, &o, 0, 3).kind, FOLLOW_CHANGE_MEMBERS);
    map_free(map);
}

static void test_who_prefers_to_lead_gets_it_when_it_can(void **state)
{
    (void)state;
    struct map_partition p = partition(7);
    map_wish(&p, 7, 2);
    struct map *map = map_of(&p, GROUP + 1);
    struct outlook o = leader_of((struct membership){ .voters = 7 });
    struct follow_action a = lead(map, &o, 0, 1);
    assert_int_equal(a.kind, FOLLOW_HAND_OVER);
    assert_int_equal(a.to, 2);
    assert_int_equal(lead(map, &o, 2, 1).kind, FOLLOW_NOTHING); /* it leads */
    o.member[2].forgetful = true;
    assert_int_equal(lead(map, &o, 0, 1).kind, FOLLOW_NOTHING);
    o.member[2] = (struct member_outlook){ .match = 99, .heard = 1 };
    assert_int_equal(lead(map, &o, 0, 1).kind, FOLLOW_NOTHING);
    o.member[2] = (struct member_outlook){ .match = 100, .heard = 1, .needs_snapshot = true };
    assert_int_equal(lead(map, &o, 0, 1).kind, FOLLOW_NOTHING);
    o.member[2] = (struct member_outlook){ .match = 100 };
    assert_int_equal(lead(map, &o, 0, 1).kind, FOLLOW_NOTHING);
    o.member[2].heard = 1;
    o.member[2].skewed = true; /* the group would take it back */
    assert_int_equal(lead(map, &o, 0, 1).kind, FOLLOW_NOTHING);
    o.member[2].skewed = false;
    assert_int_equal(lead(map, &o, 0, 1).kind, FOLLOW_HAND_OVER);
    struct follow_view view = {
        .me = 0, .fresh = true, .has_replica = true, .epoch = 1, .outlook = &o, .able = 3
    };
    assert_int_equal(follow(map, GROUP, &view).kind, FOLLOW_NOTHING); /* it is away */
    map_free(map);
}

/* F11 */
static void test_who_prefers_calls_and_else_the_first_that_is_up(void **state)
{
    (void)state;
    struct map_partition p = partition(ALL);
    p.prefers = 1;
    assert_int_equal(follow_caller(&p, ALL), 1);
    assert_int_equal(follow_caller(&p, ALL & ~node_bit(1)), 0);
    assert_int_equal(follow_caller(&p, node_bit(2)), 2);
    assert_int_equal(follow_caller(&p, node_bit(3)), NODE_NONE); /* holds none */
    p.prefers = NODE_NONE;
    assert_int_equal(follow_caller(&p, ALL), 0);
    map_wish(&p, node_bit(3), NODE_NONE); /* those that are to go are its voters still */
    assert_int_equal(follow_caller(&p, ALL), 0);
}

/* F9: whoever is wished for no more is not brought up any further. */
static void test_a_later_wish_takes_the_learners_of_the_one_before(void **state)
{
    (void)state;
    struct map_partition p = partition(7);
    map_wish(&p, 3 | node_bit(3), NODE_NONE);
    map_wish(&p, 3 | node_bit(4), NODE_NONE);
    struct map *map = map_of(&p, GROUP + 1);
    struct outlook o = leader_of((struct membership){ .voters = 7, .learners = node_bit(3) });
    struct follow_action a = lead(map, &o, 0, 2);
    assert_int_equal(a.kind, FOLLOW_CHANGE_MEMBERS);
    assert_int_equal(a.members.voters, 7);
    assert_int_equal(a.members.learners, node_bit(4));
    map_free(map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replicas_are_made_and_deleted_by_the_rules),
        cmocka_unit_test(test_who_has_moved_joins),
        cmocka_unit_test(test_a_late_founder_founds),
        cmocka_unit_test(test_a_group_that_is_gone_is_deleted_and_one_to_come_is_not),
        cmocka_unit_test(test_slot_0_states_the_founders),
        cmocka_unit_test(test_a_map_is_fresh_when_the_old_log_is_applied),
        cmocka_unit_test(test_a_map_of_one_that_forgot_is_fresh_when_it_remembers),
        cmocka_unit_test(test_every_wish_is_reached),
        cmocka_unit_test(test_a_leader_waits_for_what_is_open),
        cmocka_unit_test(test_an_old_map_orders_nothing),
        cmocka_unit_test(test_only_what_serves_the_epoch_is_reported),
        cmocka_unit_test(test_who_prefers_to_lead_gets_it_when_it_can),
        cmocka_unit_test(test_who_prefers_calls_and_else_the_first_that_is_up),
        cmocka_unit_test(test_a_later_wish_takes_the_learners_of_the_one_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
