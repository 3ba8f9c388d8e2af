/* Hand-overs of leadership as orders that are answered; the claims of the dissertation's 3.10 are
 * in tests/paper/raft_dissertation_test.c. */
#include "tests/unit/protocol/members.h"

static void test_a_hand_over_is_answered_when_another_leads(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(4, 3);
    change(g, 0, (struct membership){ .voters = SET(0, 1, 2), .observers = SET(3) });
    qr_req req = group_hand_over(g, 0, 3, 0);
    assert_int_equal(group_answer(g, 0, req), STATUS_NOT_A_VOTER);
    req = group_hand_over(g, 0, 0, 0);
    assert_int_equal(group_answer(g, 0, req), STATUS_NOT_A_VOTER);
    req = group_hand_over(g, 1, 2, 0);
    assert_int_equal(group_answer(g, 1, req), STATUS_NOT_LEADER);

    req = group_hand_over(g, 0, 2, QR_SECOND);
    qr_req second = group_hand_over(g, 0, 1, 0);
    assert_int_equal(group_answer(g, 0, second), STATUS_HANDING_OVER);
    assert_true(group_deliver_one(g, 0, 2, RAFT_TIMEOUT_NOW));
    group_sync(g, 2);
    assert_true(group_deliver_one(g, 2, 0, RAFT_VOTE));
    assert_int_equal(group_raft(g, 0)->phase, PHASE_FOLLOWER);
    assert_no_answer(g, 0, req); /* it may still fail */
    group_settle(g);

    assert_int_equal(group_raft(g, 2)->phase, PHASE_LEADER);
    assert_int_equal(group_answer(g, 0, req), STATUS_OK);
    group_free(g);
}

static void test_a_hand_over_that_fails_is_answered_too(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(3, 3);
    g->node[2].cut = true;
    group_submit(g, 0, 1); /* it lacks something */
    qr_req req = group_hand_over(g, 0, 2, 2 * QR_SECOND);
    group_elapse(g, 1900 * QR_MILLISECOND);
    assert_no_answer(g, 0, req); /* as long as the order says */
    group_elapse(g, 200 * QR_MILLISECOND);
    assert_int_equal(group_answer(g, 0, req), STATUS_HANDOVER);
    assert_int_equal(group_raft(g, 0)->phase, PHASE_LEADER);

    /* The target campaigns, is voted for by the old leader, and dies: nobody leads in time. */
    g->node[2].cut = false;
    group_elapse(g, 100 * QR_MILLISECOND);
    req = group_hand_over(g, 0, 2, 50 * QR_MILLISECOND);
    (void)group_deliver_one(g, 0, 2, RAFT_TIMEOUT_NOW);
    group_sync(g, 2);
    (void)group_deliver_one(g, 2, 0, RAFT_VOTE);
    group_crash(g, 2);
    group_lose_mail(g);
    group_elapse(g, 60 * QR_MILLISECOND);
    assert_int_equal(group_answer(g, 0, req), STATUS_HANDOVER);
    group_free(g);
}

/* Operations are taken until the target is near: a pause lasts one exchange. */
static void test_a_hand_over_to_one_far_behind_does_not_pause_writes(void **state)
{
    (void)state;
    struct protocol_limits limits = group_limits();
    limits.append_entries = 4;
    limits.appends_in_flight = 2;
    struct group *g = group_new_limited(3, &limits);
    group_elect(g, 0);
    g->node[2].cut = true;
    for (int i = 0; i < 20; i++) {
        group_submit(g, 0, 5);
        group_settle(g);
    }
    struct outlook o;
    qr_req req = group_hand_over(g, 0, 2, QR_SECOND);
    raft_protocol.outlook(group_raft(g, 0), &o);
    assert_true(o.room > 0);
    qr_req taken = group_submit(g, 0, 1);
    assert_no_answer(g, 0, taken);
    g->node[2].cut = false;
    group_elapse(g, 100 * QR_MILLISECOND);
    assert_int_equal(group_raft(g, 2)->phase, PHASE_LEADER);
    assert_int_equal(group_answer(g, 0, req), STATUS_OK);
    assert_agreement(g);
    group_free(g);
}

/* A hand-over in the middle of a change, in both halves of it: the next leader ends the change. */
static void test_a_hand_over_during_a_change_is_safe(void **state)
{
    (void)state;
    for (int steps = 0; steps < 14; steps++) {
        struct group *g = group_led_by_0(5, 3);
        change(g, 0, (struct membership){ .voters = SET(0, 1, 2), .observers = SET(3, 4) });
        qr_req change_req = group_change(g, 0, voters_of(SET(1, 3, 4)), false);
        for (int i = 0; i < steps; i++) {
            node_index k = (node_index)(1 + i % 4);
            (void)group_deliver_one(g, 0, k, RAFT_APPEND);
            group_sync(g, k);
            (void)group_deliver_one(g, k, 0, RAFT_APPEND_ACK);
        }
        (void)group_hand_over(g, 0, 1, 0);
        group_settle(g); /* no time-out passes: the target lacks nothing when it campaigns */
        assert_int_not_equal(leader_of(g), 0);
        assert_int_not_equal(leader_of(g), NODE_NONE);
        group_elapse(g, 100 * QR_MILLISECOND);
        int answer = group_answer(g, 0, change_req);
        node_index leader = leader_of(g);
        assert_int_equal(group_members(g, leader).outgoing, 0);
        if (answer == STATUS_OK) {
            assert_members(g, leader, voters_of(SET(1, 3, 4)));
        } else if (answer != STATUS_UNSAFE) {
            assert_int_equal(answer, STATUS_UNCERTAIN);
        }
        assert_agreement(g);
        group_free(g);
    }
}

/* Seed 533 of whole nodes, dice 10: three clocks that differ, and one of them is told to end. */
static void test_who_has_committed_nothing_yet_does_not_hand_over(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(3, 3);
    (void)group_hand_over(g, 0, 1, QR_SECOND);
    assert_true(group_deliver_one(g, 0, 1, RAFT_TIMEOUT_NOW));
    group_sync(g, 1);
    assert_true(group_deliver_one(g, 1, 0, RAFT_VOTE));
    group_sync(g, 0);
    assert_true(group_deliver_one(g, 0, 1, RAFT_VOTE_REPLY));
    assert_int_equal(group_raft(g, 1)->phase, PHASE_LEADER);

    (void)group_hand_over(g, 1, 0, QR_SECOND);
    assert_true(group_deliver_one(g, 1, 0, RAFT_APPEND));
    group_sync(g, 0);
    assert_true(group_deliver_one(g, 0, 1, RAFT_APPEND_ACK));
    assert_true(group_raft(g, 1)->commit < group_raft(g, 1)->term_start);
    assert_false(group_deliver_one(g, 1, 0, RAFT_TIMEOUT_NOW)); /* although it lacks nothing */
    group_sync(g, 1);
    assert_true(group_raft(g, 1)->commit >= group_raft(g, 1)->term_start);
    assert_true(group_deliver_one(g, 1, 0, RAFT_TIMEOUT_NOW));
    group_settle(g);
    assert_int_equal(leader_of(g), 0);
    group_free(g);
}

/* X7: two that hand over to each other come to that within a second. */
static void test_behind_many_terms_without_a_checkpoint_nobody_hands_over_T3(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(3, 3);
    struct raft *r = (struct raft *)(uintptr_t)group_raft(g, 0);
    while (trail_runs_behind(&r->trail, 0) < 100) {
        r->term++;
        trail_append(&r->trail, r->trail.last_slot + 2, r->term);
    }
    r->term_start = r->trail.last_slot;
    qr_req req = group_hand_over(g, 0, 2, QR_SECOND);
    assert_int_equal(group_answer(g, 0, req), STATUS_HANDOVER);
    assert_int_equal(r->transfer_to, NODE_NONE);
    r->checkpoint = r->trail.last_slot - 99;
    req = group_hand_over(g, 0, 2, QR_SECOND);
    assert_no_answer(g, 0, req);
    assert_int_equal(r->transfer_to, 2);
    group_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_hand_over_is_answered_when_another_leads),
        cmocka_unit_test(test_a_hand_over_that_fails_is_answered_too),
        cmocka_unit_test(test_a_hand_over_to_one_far_behind_does_not_pause_writes),
        cmocka_unit_test(test_a_hand_over_during_a_change_is_safe),
        cmocka_unit_test(test_who_has_committed_nothing_yet_does_not_hand_over),
        cmocka_unit_test(test_behind_many_terms_without_a_checkpoint_nobody_hands_over_T3),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
