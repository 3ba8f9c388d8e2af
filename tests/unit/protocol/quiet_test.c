/* Groups that rest (quiet.c): who may, what wakes, and that nobody who should not rests for
 * ever. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "group.h"

#define REST (4 * QR_SECOND / 10) /* long enough to come to rest */

static void all_up(struct group *g)
{
    for (node_index i = 0; i < g->n; i++) {
        for (node_index j = 0; j < g->n; j++) {
            if (i != j && g->node[i].up) {
                group_peer(g, i, j, g->node[j].up);
            }
        }
    }
    group_settle(g);
}

/* n nodes that have elected node 0 and rest. */
static struct group *resting(node_index n)
{
    struct protocol_limits limits = group_limits();
    limits.quiet_after = 4 * limits.heartbeat;
    struct group *g = group_new_limited(n, &limits);
    group_elect(g, 0);
    all_up(g);
    group_submit(g, 0, 3);
    group_settle(g);
    group_elapse(g, REST);
    return g;
}

static bool rests(struct group *g, node_index i)
{
    struct outlook o;
    raft_protocol.outlook(group_raft(g, i), &o);
    return o.quiet && raft_protocol.deadline(group_raft(g, i)) == QR_NEVER;
}

static bool all_rest(struct group *g)
{
    bool all = true;
    for (node_index i = 0; i < g->n; i++) {
        all = all && (!g->node[i].up || rests(g, i));
    }
    return all;
}

static void test_an_idle_group_has_no_timers_and_sends_nothing(void **state)
{
    (void)state;
    struct group *g = resting(3);
    assert_true(all_rest(g));
    group_elapse(g, 3600 * QR_SECOND);
    assert_true(all_rest(g));
    assert_int_equal(g->mail_count, 0);
    assert_int_equal(group_raft(g, 0)->term, 1);
    group_free(g);
}

static void test_quiet_after_0_never_rests(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(3, 3);
    all_up(g);
    group_elapse(g, 10 * QR_SECOND);
    for (node_index i = 0; i < 3; i++) {
        assert_false(rests(g, i));
    }
    group_free(g);
}

static void test_a_write_wakes_all_by_its_own_messages(void **state)
{
    (void)state;
    struct group *g = resting(3);
    group_submit(g, 0, 1);
    assert_int_equal(group_count(g, RAFT_APPEND), 2);
    assert_int_equal(group_count(g, RAFT_HEARTBEAT), 0);
    group_settle(g);
    assert_int_equal(group_raft(g, 0)->commit, group_raft(g, 0)->trail.last_slot);
    for (node_index i = 0; i < 3; i++) {
        assert_false(rests(g, i));
    }
    group_elapse(g, REST);
    assert_true(all_rest(g));
    group_free(g);
}

static void test_a_read_after_a_rest_takes_a_round_even_with_leases(void **state)
{
    (void)state;
    struct group *g = resting(3);
    for (node_index i = 0; i < 3; i++) {
        group_admin(g, i, ADMIN_READ_MODE, READ_MODE_LEASE);
    }
    group_elapse(g, 10 * QR_SECOND);
    assert_true(all_rest(g));
    qr_req req = group_read(g, 0, 1);
    assert_null(group_noted(g, 0, EFFECT_READ, req)); /* no rest prolongs a lease */
    assert_int_equal(group_count(g, RAFT_HEARTBEAT), 2);
    group_settle(g);
    assert_non_null(group_noted(g, 0, EFFECT_READ, req));
    group_free(g);
}

static void test_nobody_rests_who_was_not_told_that_the_others_are_up(void **state)
{
    (void)state;
    struct protocol_limits limits = group_limits();
    limits.quiet_after = limits.heartbeat;
    struct group *g = group_new_limited(3, &limits);
    group_elect(g, 0);
    group_elapse(g, 5 * QR_SECOND);
    for (node_index i = 0; i < 3; i++) {
        assert_false(rests(g, i));
    }
    group_peer(g, 0, 1, true); /* the leader may; the follower does not know of its leader */
    group_elapse(g, 5 * QR_SECOND);
    assert_false(rests(g, 0));
    assert_false(rests(g, 1));
    group_free(g);
}

static void test_a_follower_campaigns_when_the_leaders_node_is_away(void **state)
{
    (void)state;
    struct group *g = resting(3);
    group_crash(g, 0);
    group_elapse(g, 10 * QR_SECOND);
    assert_true(rests(g, 1)); /* nobody has told it */
    group_peer(g, 1, 0, false);
    group_peer(g, 2, 0, false);
    assert_true(raft_protocol.deadline(group_raft(g, 1)) <= g->now + g->limits.heartbeat / 2 + 1);
    group_elapse(g, QR_SECOND);
    assert_true(group_raft(g, 1)->phase == PHASE_LEADER || group_raft(g, 2)->phase == PHASE_LEADER);
    assert_true(all_rest(g)); /* without node 0, which is away */
    group_free(g);
}

static void test_a_leader_rests_without_those_that_are_away_and_awaits_them(void **state)
{
    (void)state;
    struct group *g = resting(3);
    group_crash(g, 2);
    group_peer(g, 0, 2, false);
    group_peer(g, 1, 2, false);
    assert_true(rests(g, 0)); /* a majority is left: nobody wakes for it */
    group_submit(g, 0, 5);
    group_settle(g);
    group_elapse(g, REST);
    assert_true(rests(g, 0) && rests(g, 1));
    group_restart(g, 2, true);
    all_up(g);
    group_elapse(g, REST);
    assert_int_equal(group_raft(g, 2)->trail.last_slot, group_raft(g, 0)->trail.last_slot);
    assert_true(all_rest(g));
    group_free(g);
}

static void test_a_leader_without_a_quorum_wakes_and_steps_down(void **state)
{
    (void)state;
    struct group *g = resting(3);
    g->node[0].cut = true;
    group_peer(g, 0, 1, false);
    assert_true(rests(g, 0));
    group_peer(g, 0, 2, false);
    assert_false(rests(g, 0));
    group_elapse(g, 2 * g->limits.election);
    assert_int_not_equal(group_raft(g, 0)->phase, PHASE_LEADER);
    group_free(g);
}

static void test_who_is_alone_in_its_trouble_disturbs_nobody(void **state)
{
    (void)state;
    struct group *g = resting(3);
    group_elapse(g, 10 * QR_SECOND); /* the last word of the leader is long ago */
    group_peer(g, 2, 0, false);      /* node 2 alone has lost its connection */
    group_elapse(g, 2 * QR_SECOND);
    assert_int_equal(group_raft(g, 0)->phase, PHASE_LEADER);
    assert_int_equal(group_raft(g, 0)->term, 1);
    assert_false(rests(g, 2)); /* its leader is away, as it was told */
    group_peer(g, 2, 0, true);
    group_peer(g, 0, 2, true);
    group_elapse(g, REST);
    assert_true(all_rest(g));
    group_free(g);
}

static void test_the_leader_repeats_quiet_until_all_have_answered(void **state)
{
    (void)state;
    struct protocol_limits limits = group_limits();
    limits.quiet_after = limits.heartbeat;
    struct group *g = group_new_limited(3, &limits);
    group_elect(g, 0);
    all_up(g);
    group_submit(g, 0, 1);
    group_settle(g);
    uint32_t said = 0;
    for (uint32_t k = 0; k < 20; k++) {
        g->now += limits.heartbeat;
        group_timer(g, 0);
        said += group_count(g, RAFT_QUIET) > 0;
        if (group_sent(g, 0, 2, RAFT_QUIET) != NULL) {
            group_lose(g, 0, 2, RAFT_QUIET);
        }
        group_settle(g);
        assert_false(rests(g, 0));
    }
    assert_true(said >= 5);
    assert_true(rests(g, 1));
    group_free(g);
}

static void test_an_answer_to_an_earlier_quiet_counts_nothing(void **state)
{
    (void)state;
    struct group *g = resting(3);
    qr_time since = group_raft(g, 0)->hush_since;
    group_read(g, 0, 1); /* wakes, and leaves the log as it is */
    group_settle(g);
    while (group_count(g, RAFT_QUIET) == 0) {
        group_settle(g);
        g->now += g->limits.heartbeat;
        group_timer(g, 0);
    }
    group_lose_mail(g);
    struct raft_quiet_ack old = { .term = 1, .sent = since };
    group_deliver(g, 1, 0, RAFT_QUIET_ACK, &old, 0, 0, 0);
    group_deliver(g, 2, 0, RAFT_QUIET_ACK, &old, 0, 0, 0);
    assert_false(rests(g, 0)); /* they are awake */
    group_elapse(g, REST);
    assert_true(all_rest(g));
    group_free(g);
}

static void test_a_leader_rests_when_its_own_disk_has_all(void **state)
{
    (void)state;
    struct group *g = resting(3);
    g->node[0].disk_held = true;
    group_submit(g, 0, 1);
    group_settle(g);
    group_elapse(g, QR_SECOND);
    assert_int_equal(group_raft(g, 0)->commit,
                     group_raft(g, 0)->trail.last_slot); /* by the others */
    assert_false(rests(g, 0));
    g->node[0].disk_held = false;
    group_sync(g, 0);
    group_settle(g);
    group_elapse(g, REST);
    assert_true(all_rest(g));
    group_free(g);
}

static void test_a_member_that_lacks_an_entry_keeps_the_group_awake(void **state)
{
    (void)state;
    struct group *g = resting(3);
    g->node[2].disk_held = true;
    group_submit(g, 0, 1);
    group_settle(g);
    group_elapse(g, QR_SECOND);
    assert_false(rests(g, 0));
    assert_false(rests(g, 2));
    g->node[2].disk_held = false;
    group_sync(g, 2);
    group_settle(g);
    group_elapse(g, REST);
    assert_true(all_rest(g));
    group_free(g);
}

static void test_a_forgetful_member_is_brought_up_before_anybody_rests(void **state)
{
    (void)state;
    struct group *g = resting(3);
    group_crash(g, 2);
    group_peer(g, 0, 2, false);
    group_peer(g, 1, 2, false);
    group_restart_damaged(g, 2, 1);
    all_up(g);
    assert_false(rests(g, 0));
    group_elapse(g, QR_SECOND);
    assert_false(group_raft(g, 2)->forgetful);
    assert_true(all_rest(g));
    group_free(g);
}

/* Q6: nobody was told that it was away, and it does not campaign. */
static void test_a_forgetful_member_wakes_a_group_that_has_not_missed_it(void **state)
{
    (void)state;
    struct group *g = resting(3);
    group_crash(g, 2);
    group_restart_damaged(g, 2, 1);
    group_settle(g);
    assert_true(rests(g, 0) && rests(g, 1));
    group_peer(g, 2, 0, true);
    group_peer(g, 2, 1, true);
    group_elapse(g, 2 * QR_SECOND);
    assert_false(group_raft(g, 2)->forgetful);
    assert_true(all_rest(g));
    group_free(g);
}

/* Its leader may not have heard yet that it is: it says so in its answer. */
static void test_a_forgetful_member_answers_quiet_as_what_it_is(void **state)
{
    (void)state;
    struct group *g = resting(3);
    qr_slot last = group_raft(g, 0)->trail.last_slot;
    group_crash(g, 2);
    group_restart_damaged(g, 2, last);
    group_peer(g, 2, 0, true);
    struct raft_append append = { .term = 1, .prev_slot = last, .prev_term = 1, .commit = last };
    group_deliver(g, 0, 2, RAFT_APPEND, &append, 0, 0, 0);
    struct raft_quiet quiet = { .term = 1, .commit = last, .sent = g->now };
    group_deliver(g, 0, 2, RAFT_QUIET, &quiet, 0, 0, 0);
    assert_false(rests(g, 2));
    group_sync(g, 2);
    assert_int_equal(group_count(g, RAFT_QUIET_ACK), 0);
    assert_int_equal(group_count(g, RAFT_FORGETFUL_ACK), 2);
    group_free(g);
}

static void test_a_learner_is_promoted_before_anybody_rests(void **state)
{
    (void)state;
    struct protocol_limits limits = group_limits();
    limits.quiet_after = 4 * limits.heartbeat;
    struct group *g = group_new_limited(4, &limits);
    group_elect(g, 0);
    all_up(g);
    struct membership wanted = { .voters = 7, .learners = 8 };
    group_change(g, 0, wanted, true);
    group_elapse(g, 3 * QR_SECOND);
    assert_int_equal(group_members(g, 0).voters, 15);
    assert_true(all_rest(g));
    group_free(g);
}

static void test_a_leader_that_just_woke_knows_whom_to_hand_over_to(void **state)
{
    (void)state;
    struct group *g = resting(3);
    group_elapse(g, 60 * QR_SECOND);
    qr_req req = group_hand_over(g, 0, NODE_NONE, QR_SECOND);
    group_settle(g);
    assert_int_equal(group_answer(g, 0, req), STATUS_OK);
    assert_int_equal(group_raft(g, 0)->phase, PHASE_FOLLOWER);
    group_free(g);
}

/* Node 0 leads, has once failed to hand over, and steps down at once the second time: nobody has
 * heard a word of it, it may not campaign, and the others trust in it. */
static void test_a_leader_that_steps_down_and_may_not_campaign_wakes_the_others(void **state)
{
    (void)state;
    struct group *g = resting(3);
    group_admin(g, 1, ADMIN_STAND_BACK, 1);
    group_admin(g, 2, ADMIN_STAND_BACK, 1);
    group_admin(g, 0, ADMIN_STAND_BACK, 1);
    group_elapse(g, g->limits.election / 2); /* the hand-over is under way, in vain */
    group_admin(g, 0, ADMIN_STAND_BACK, 0);
    group_elapse(g, 2 * g->limits.election); /* it is given up */
    group_admin(g, 1, ADMIN_STAND_BACK, 0);
    group_admin(g, 2, ADMIN_STAND_BACK, 0);
    group_elapse(g, 2 * QR_SECOND);
    assert_int_equal(group_raft(g, 0)->phase, PHASE_LEADER);
    assert_true(all_rest(g));
    group_admin(g, 0, ADMIN_STAND_BACK, 1);
    group_lose_mail(g);
    assert_int_equal(group_raft(g, 0)->phase, PHASE_FOLLOWER);
    assert_true(rests(g, 1) && rests(g, 2));
    group_elapse(g, 4 * g->limits.election);
    assert_true(group_raft(g, 1)->phase == PHASE_LEADER || group_raft(g, 2)->phase == PHASE_LEADER);
    group_free(g);
}

static void test_what_the_leader_sent_before_does_not_wake(void **state)
{
    (void)state;
    struct group *g = resting(3);
    qr_time since = group_raft(g, 1)->hush_since;
    struct raft_heartbeat old = { .term = 1, .commit = 1, .round = 1, .sent = since - 1 };
    group_deliver(g, 0, 1, RAFT_HEARTBEAT, &old, 0, 0, 0);
    assert_true(rests(g, 1));
    group_settle(g); /* and its answer does not wake the leader */
    assert_true(all_rest(g));
    old.sent = since + 1;
    group_deliver(g, 0, 1, RAFT_HEARTBEAT, &old, 0, 0, 0);
    assert_false(rests(g, 1));
    group_free(g);
}

/* skew.c, W4: no heartbeat says what time it is, another group's leader does. */
static void test_a_leader_that_rests_hands_over_when_its_clock_is_off(void **state)
{
    (void)state;
    struct group *g = resting(3);
    g->node[0].wall_offset = 3600 * QR_SECOND;
    group_admin(g, 0, ADMIN_SKEWED, 1);
    group_elapse(g, 300 * QR_MILLISECOND);
    assert_int_not_equal(group_raft(g, 0)->phase, PHASE_LEADER);
    assert_int_not_equal(group_raft(g, 0)->leader, NODE_NONE);
    group_free(g);
}

static void
test_a_member_that_rests_leaves_elections_to_the_others_when_its_clock_is_off(void **state)
{
    (void)state;
    for (int round = 0; round < 10; round++) {
        struct group *g = resting(3);
        g->node[1].wall_offset = 3600 * QR_SECOND;
        for (int i = 0; i < 20; i++) {
            group_admin(g, 1, ADMIN_SKEWED, 1);
            group_elapse(g, 400 * QR_MILLISECOND);
        }
        assert_true(all_rest(g));
        group_crash(g, 0);
        group_peer(g, 1, 0, false);
        group_peer(g, 2, 0, false);
        group_elapse(g, QR_SECOND + round * QR_MILLISECOND);
        assert_int_equal(group_raft(g, 2)->phase, PHASE_LEADER);

        /* Unless nobody else is left to do it, although it is told on and on. */
        group_crash(g, 2);
        group_restart(g, 0, false);
        group_peer(g, 1, 2, false);
        group_peer(g, 1, 0, true);
        g->node[0].wall_offset = 3600 * QR_SECOND;
        for (int i = 0; i < 20; i++) {
            group_admin(g, 1, ADMIN_SKEWED, 1);
            group_admin(g, 0, ADMIN_SKEWED, 1);
            group_elapse(g, 400 * QR_MILLISECOND);
        }
        assert_true(group_raft(g, 0)->phase == PHASE_LEADER ||
                    group_raft(g, 1)->phase == PHASE_LEADER);
        group_free(g);
    }
}

static void test_a_clock_that_is_right_again_bars_nobody(void **state)
{
    (void)state;
    struct group *g = resting(3);
    group_admin(g, 1, ADMIN_SKEWED, 1);
    group_admin(g, 2, ADMIN_SKEWED, 1);
    group_admin(g, 1, ADMIN_SKEWED, 0);
    group_admin(g, 2, ADMIN_SKEWED, 0);
    group_crash(g, 0);
    group_peer(g, 1, 0, false);
    group_peer(g, 2, 0, false);
    group_elapse(g, 300 * QR_MILLISECOND);
    assert_true(group_raft(g, 1)->phase == PHASE_LEADER || group_raft(g, 2)->phase == PHASE_LEADER);
    group_free(g);
}

/* Else the first entries would have its time. */
static void test_a_new_group_is_not_led_by_a_clock_that_is_off(void **state)
{
    (void)state;
    for (int round = 0; round < 10; round++) {
        struct group *g = group_new(3);
        g->node[1].wall_offset = 3600 * QR_SECOND;
        group_admin(g, 1, ADMIN_SKEWED, 1);
        group_admin(g, 1, ADMIN_CALL, 0);
        group_elapse(g, 3 * QR_SECOND);
        assert_int_equal(group_raft(g, 0)->term + group_raft(g, 2)->term, 2);
        assert_int_not_equal(group_raft(g, 1)->phase, PHASE_LEADER);
        group_free(g);
        g = group_new(1); /* who is alone has no choice */
        group_admin(g, 0, ADMIN_SKEWED, 1);
        group_elapse(g, 3 * QR_SECOND);
        assert_int_equal(group_raft(g, 0)->phase, PHASE_LEADER);
        group_free(g);
    }
}

/* A read at a member that rests wakes both, and not for long. */
static void test_a_read_at_a_follower_wakes_the_leader(void **state)
{
    (void)state;
    struct group *g = resting(3);
    qr_req read = group_read(g, 1, 1);
    assert_false(rests(g, 1));
    assert_true(rests(g, 0));
    group_settle(g);
    assert_int_equal(group_noted(g, 1, EFFECT_READ, read)->slot, group_raft(g, 0)->commit);
    assert_false(rests(g, 0));
    assert_int_equal(group_raft(g, 0)->heartbeat_due, g->now + g->limits.heartbeat);

    group_elapse(g, REST);

    assert_true(all_rest(g));
    assert_int_equal(group_raft(g, 0)->term, 1);
    group_free(g);
}

/* Q4: the leader that it trusts may be one no more; then somebody has to find that out. */
static void test_who_waits_for_an_answer_does_not_rest(void **state)
{
    (void)state;
    struct group *g = resting(3);
    qr_req read = group_read(g, 1, 1);
    group_lose(g, 1, 0, RAFT_READ_ASK);
    struct raft_quiet again = { .term = 1, .commit = group_raft(g, 1)->commit, .sent = g->now };
    group_deliver(g, 0, 1, RAFT_QUIET, &again, 0, 0, 0);
    assert_false(rests(g, 1));
    assert_null(group_sent(g, 1, 0, RAFT_QUIET_ACK));
    g->node[0].cut = true;

    group_elapse(g, QR_SECOND);

    assert_int_equal(group_answer(g, 1, read), STATUS_NOT_LEADER);
    assert_true(group_raft(g, 1)->term > 1);
    group_free(g);
}

/* An answer that comes twice wakes nobody who does not wait for it. */
static void test_a_late_answer_to_an_ask_does_not_wake(void **state)
{
    (void)state;
    struct group *g = resting(3);
    struct raft_read_at late = { .term = 1, .number = 7, .slot = 1 };
    group_deliver(g, 0, 1, RAFT_READ_AT, &late, 0, 0, 0);
    assert_true(rests(g, 1));
    group_free(g);
}

/* As long as an ask waits the leader does not rest. */
static void test_a_leader_whose_followers_ask_does_not_rest(void **state)
{
    (void)state;
    struct group *g = resting(3);
    struct raft_read_ask ask = { .term = 1, .number = 7 };
    group_deliver(g, 1, 0, RAFT_READ_ASK, &ask, 0, 0, 0);
    group_lose_mail(g); /* the round is lost */
    g->now += REST;
    assert_false(raft_may_rest(group_raft(g, 0)));
    group_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_idle_group_has_no_timers_and_sends_nothing),
        cmocka_unit_test(test_quiet_after_0_never_rests),
        cmocka_unit_test(test_a_write_wakes_all_by_its_own_messages),
        cmocka_unit_test(test_a_read_after_a_rest_takes_a_round_even_with_leases),
        cmocka_unit_test(test_nobody_rests_who_was_not_told_that_the_others_are_up),
        cmocka_unit_test(test_a_follower_campaigns_when_the_leaders_node_is_away),
        cmocka_unit_test(test_a_leader_rests_without_those_that_are_away_and_awaits_them),
        cmocka_unit_test(test_a_leader_without_a_quorum_wakes_and_steps_down),
        cmocka_unit_test(test_who_is_alone_in_its_trouble_disturbs_nobody),
        cmocka_unit_test(test_the_leader_repeats_quiet_until_all_have_answered),
        cmocka_unit_test(test_an_answer_to_an_earlier_quiet_counts_nothing),
        cmocka_unit_test(test_a_leader_rests_when_its_own_disk_has_all),
        cmocka_unit_test(test_a_member_that_lacks_an_entry_keeps_the_group_awake),
        cmocka_unit_test(test_a_forgetful_member_is_brought_up_before_anybody_rests),
        cmocka_unit_test(test_a_forgetful_member_wakes_a_group_that_has_not_missed_it),
        cmocka_unit_test(test_a_forgetful_member_answers_quiet_as_what_it_is),
        cmocka_unit_test(test_a_learner_is_promoted_before_anybody_rests),
        cmocka_unit_test(test_a_leader_that_just_woke_knows_whom_to_hand_over_to),
        cmocka_unit_test(test_a_leader_that_steps_down_and_may_not_campaign_wakes_the_others),
        cmocka_unit_test(test_what_the_leader_sent_before_does_not_wake),
        cmocka_unit_test(test_a_leader_that_rests_hands_over_when_its_clock_is_off),
        cmocka_unit_test(
            test_a_member_that_rests_leaves_elections_to_the_others_when_its_clock_is_off),
        cmocka_unit_test(test_a_clock_that_is_right_again_bars_nobody),
        cmocka_unit_test(test_a_new_group_is_not_led_by_a_clock_that_is_off),
        cmocka_unit_test(test_a_read_at_a_follower_wakes_the_leader),
        cmocka_unit_test(test_who_waits_for_an_answer_does_not_rest),
        cmocka_unit_test(test_a_late_answer_to_an_ask_does_not_wake),
        cmocka_unit_test(test_a_leader_whose_followers_ask_does_not_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
