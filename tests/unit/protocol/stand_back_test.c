/* A node that stands back (transfer.c X4): it does not lead, and everything else goes on; and
 * hand-overs that are called off. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "group.h"

static void test_a_follower_that_stands_back_votes_and_persists_but_never_campaigns(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(3, 3);
    group_admin(g, 2, ADMIN_STAND_BACK, 1);
    struct outlook o;
    raft_protocol.outlook(group_raft(g, 2), &o);
    assert_true(o.stands_back);
    assert_int_equal(raft_protocol.deadline(group_raft(g, 2)), QR_NEVER);
    g->node[1].cut = true; /* its acknowledgement is needed */
    group_submit(g, 0, 3);
    group_settle(g);
    assert_int_equal(group_raft(g, 0)->commit, group_raft(g, 0)->trail.last_slot);
    g->node[1].cut = false;
    group_elapse(g, 50 * QR_MILLISECOND);
    group_crash(g, 0);
    group_elapse(g, 5 * QR_SECOND);
    assert_int_equal(group_raft(g, 1)->phase, PHASE_LEADER); /* with its vote */
    group_crash(g, 1);
    group_restart(g, 0, true);
    group_elapse(g, 5 * QR_SECOND);
    assert_int_not_equal(group_raft(g, 2)->phase, PHASE_LEADER);
    group_admin(g, 2, ADMIN_STAND_BACK, 0);
    assert_true(raft_protocol.deadline(group_raft(g, 2)) < QR_NEVER);
    group_free(g);
}

static void test_a_leader_that_stands_back_hands_over(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(3, 3);
    group_submit(g, 0, 2);
    group_settle(g);
    group_admin(g, 0, ADMIN_STAND_BACK, 1);
    group_settle(g);
    assert_int_equal(group_raft(g, 0)->phase, PHASE_FOLLOWER);
    assert_int_equal(group_raft(g, 1)->phase, PHASE_LEADER);
    assert_int_equal(group_raft(g, 1)->term, 2);
    group_free(g);
}

static void test_a_leader_that_cannot_hand_over_steps_down(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(3, 3);
    group_admin(g, 1, ADMIN_STAND_BACK, 1); /* the successor will not do it either */
    group_admin(g, 0, ADMIN_STAND_BACK, 1);
    group_elapse(g, 2 * QR_SECOND);
    assert_int_equal(group_raft(g, 0)->phase, PHASE_FOLLOWER);
    assert_int_equal(group_raft(g, 2)->phase, PHASE_LEADER);
    group_free(g);
}

static void test_nobody_takes_over_who_stands_back(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(3, 3);
    group_admin(g, 2, ADMIN_STAND_BACK, 1);
    group_admin(g, 0, ADMIN_TRANSFER, 2);
    group_elapse(g, 400 * QR_MILLISECOND);
    assert_int_equal(group_raft(g, 0)->phase, PHASE_LEADER);
    assert_int_equal(group_raft(g, 0)->term, 1);
    assert_int_equal(group_raft(g, 0)->transfer_to, NODE_NONE);
    group_free(g);
}

static void test_a_candidate_that_stands_back_drops_its_campaign(void **state)
{
    (void)state;
    struct group *g = group_new(3);
    group_time_out(g, 0);
    assert_int_equal(group_raft(g, 0)->phase, PHASE_PRECANDIDATE);
    group_admin(g, 0, ADMIN_STAND_BACK, 1);
    group_settle(g);
    assert_int_equal(group_raft(g, 0)->phase, PHASE_FOLLOWER);
    assert_int_equal(group_raft(g, 0)->term, 0);
    group_free(g);
}

static void test_alone_a_leader_stays(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(1, 1);
    group_admin(g, 0, ADMIN_STAND_BACK, 1);
    group_elapse(g, QR_SECOND);
    assert_int_equal(group_raft(g, 0)->phase, PHASE_LEADER);
    group_free(g);
}

static void test_a_hand_over_is_called_off(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(3, 3);
    g->node[2].cut = true;
    group_submit(g, 0, 1);
    group_settle(g);
    group_admin(g, 0, ADMIN_TRANSFER, 2);
    assert_int_equal(group_raft(g, 0)->transfer_to, 2);
    group_admin(g, 0, ADMIN_TRANSFER, 0);
    assert_int_equal(group_raft(g, 0)->transfer_to, NODE_NONE);
    qr_req req = group_submit(g, 0, 1);
    assert_null(group_noted(g, 0, EFFECT_ANSWER, req));
    group_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_follower_that_stands_back_votes_and_persists_but_never_campaigns),
        cmocka_unit_test(test_a_leader_that_stands_back_hands_over),
        cmocka_unit_test(test_a_leader_that_cannot_hand_over_steps_down),
        cmocka_unit_test(test_nobody_takes_over_who_stands_back),
        cmocka_unit_test(test_a_candidate_that_stands_back_drops_its_campaign),
        cmocka_unit_test(test_alone_a_leader_stays),
        cmocka_unit_test(test_a_hand_over_is_called_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
