/* The claims of chapter 4 of Ongaro's dissertation (2014) about availability while the members
 * change: learners that catch up (4.2.1), leaders that leave (4.2.2) and removed servers that
 * disturb nobody (4.2.3). Safety (4.1) and joint consensus (4.3) are in raft_members_test.c. */
#include "tests/paper/paper.h"
#include "tests/unit/protocol/members.h"

/* --- 4.2.1 Catching up new servers
 * ---------------------------------------------------------------- */

/* "The leader replicates log entries to [a new server], but it is not yet counted towards
 * majorities for voting or commitment purposes." */
static void test_4_2_1_a_learner_is_fed_and_does_not_count(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(5, 3);
    struct membership m = { .voters = SET(0, 1, 2), .learners = SET(3), .observers = SET(4) };
    g->node[3].disk_held = true; /* it cannot acknowledge: it stays a learner */
    qr_req req = group_change(g, 0, m, false);
    group_settle(g);
    assert_int_equal(group_answer(g, 0, req), STATUS_OK); /* without a joint phase */
    assert_members(g, 4, m);

    g->island = SET(0, 3, 4);
    group_submit(g, 0, 2);
    qr_req read = group_read(g, 0, 1);
    group_settle(g);

    assert_int_equal(g->node[4].log.last, group_raft(g, 0)->trail.last_slot);
    assert_true(group_raft(g, 0)->commit < group_raft(g, 0)->trail.last_slot);
    assert_null(group_noted(g, 0, EFFECT_READ, read));
    group_elapse(g, 400 * QR_MILLISECOND);
    assert_int_not_equal(group_raft(g, 0)->phase, PHASE_LEADER); /* nor do they keep a leader */
    group_elapse(g, 3 * QR_SECOND);
    assert_int_equal(group_raft(g, 3)->phase, PHASE_FOLLOWER); /* nor campaign */
    assert_int_equal(group_raft(g, 4)->phase, PHASE_FOLLOWER);
    assert_int_equal(group_raft(g, 4)->term, 1);
    group_free(g);
}

/* "...if the last round lasts less than an election timeout, then the leader adds the new server to
 * the cluster" */
static void test_4_2_1_a_learner_is_promoted_when_it_has_caught_up(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(4, 3);
    group_submit(g, 0, 100);
    group_settle(g);

    change(g, 0, (struct membership){ .voters = SET(0, 1, 2), .learners = SET(3) });
    group_elapse(g, 100 * QR_MILLISECOND);

    for (node_index i = 0; i < 4; i++) {
        assert_members(g, i, voters_of(SET(0, 1, 2, 3)));
    }
    assert_int_equal(g->node[0].point_count[POINT_PROMOTES], 1);
    group_free(g);
}

/* "Otherwise, the leader aborts the configuration change": here it tries again, and the entry that
 * makes a voter never waits for one that is behind. */
static void test_4_2_1_a_learner_that_is_behind_stays_one(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(4, 3);
    g->node[3].cut = true;
    change(g, 0, (struct membership){ .voters = SET(0, 1, 2), .learners = SET(3) });
    g->node[3].cut = false;
    g->attach_max = 0; /* it is heard, and gets no entries */
    group_elapse(g, 3 * QR_SECOND);
    assert_true(raft_is_lively(group_raft(g, 0), 3));
    assert_int_equal(group_members(g, 0).learners, SET(3));

    g->attach_max = UINT32_MAX;
    group_elapse(g, QR_SECOND);

    assert_members(g, 0, voters_of(SET(0, 1, 2, 3)));
    group_free(g);
}

/* One learner that never catches up does not keep another from it. */
static void test_4_2_1_learners_take_turns(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(6, 3);
    g->node[3].cut = true;
    g->node[5].cut = true;
    change(g, 0, (struct membership){ .voters = SET(0, 1, 2), .learners = SET(3, 4, 5) });
    group_elapse(g, 700 * QR_MILLISECOND);
    assert_members(g, 0, (struct membership){ .voters = SET(0, 1, 2, 4), .learners = SET(3, 5) });
    g->node[5].cut = false;
    group_elapse(g, QR_SECOND);
    assert_members(g, 0, (struct membership){ .voters = SET(0, 1, 2, 4, 5), .learners = SET(3) });
    group_free(g);
}

/* An observer is never promoted. */
static void test_4_2_1_an_observer_stays_one(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(4, 3);
    change(g, 0, (struct membership){ .voters = SET(0, 1, 2), .observers = SET(3) });
    group_elapse(g, 2 * QR_SECOND);
    assert_members(g, 3, (struct membership){ .voters = SET(0, 1, 2), .observers = SET(3) });
    group_free(g);
}

/* One voter becomes three and never, by itself, two; an operator may want two. */
static void test_4_2_1_one_voter_becomes_three(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(3, 1);
    group_submit(g, 0, 10);
    group_settle(g);
    change(g, 0, (struct membership){ .voters = SET(0), .learners = SET(1) });
    group_elapse(g, 2 * QR_SECOND);
    assert_members(g, 1, (struct membership){ .voters = SET(0), .learners = SET(1) });

    change(g, 0, (struct membership){ .voters = SET(0), .learners = SET(1, 2) });
    group_elapse(g, QR_SECOND);
    for (node_index i = 0; i < 3; i++) {
        assert_members(g, i, voters_of(SET(0, 1, 2)));
    }
    group_submit(g, 0, 1);
    g->node[0].disk_held = true;
    group_settle(g);
    assert_int_equal(group_raft(g, 0)->commit, group_raft(g, 0)->trail.last_slot); /* by 1 and 2 */
    group_free(g);

    g = group_led_by_0(3, 1);
    change(g, 0, (struct membership){ .voters = SET(0), .learners = SET(1) });
    group_elapse(g, 100 * QR_MILLISECOND);
    qr_req req = group_change(g, 0, voters_of(SET(0, 1)), false); /* caught up: safe */
    group_elapse(g, 100 * QR_MILLISECOND);
    assert_int_equal(group_answer(g, 0, req), STATUS_OK);
    change(g, 0, (struct membership){ .voters = SET(0, 1), .learners = SET(2) });
    group_elapse(g, QR_SECOND);
    assert_members(g, 2, voters_of(SET(0, 1, 2)));
    group_free(g);
}

/* --- 4.2.2 Removing the current leader
 * ------------------------------------------------------------ */

/* "It replicates log entries but does not count itself in majorities." */
static void test_4_2_2_a_leader_that_leaves_does_not_count_itself(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(3, 3);
    g->node[1].disk_held = true;
    g->node[2].disk_held = true;
    group_change(g, 0, voters_of(SET(1, 2)), true);
    group_settle(g); /* joint: (1, 2) and (0, 1, 2) */
    g->node[1].disk_held = false;
    group_settle(g);
    assert_int_equal(group_members(g, 0).outgoing,
                     SET(0, 1, 2)); /* 1 alone is no majority of 1, 2 */
    g->island = SET(0, 1);
    g->node[2].disk_held = false;
    group_sync(g, 2);
    g->island = 0;
    group_settle(g);
    assert_members(g, 1, voters_of(SET(1, 2)));
    assert_int_equal(group_raft(g, 0)->feed, 0); /* it has handed over */
    group_free(g);
}

/* "...the leader steps down once the entry is committed": and says whom to follow. */
static void test_4_2_2_a_removed_leader_hands_over(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(3, 3);
    group_submit(g, 0, 5);
    qr_req req = group_change(g, 0, voters_of(SET(1, 2)), false);
    qr_time begun = g->now;
    group_settle(g);

    assert_int_equal(group_answer(g, 0, req), STATUS_OK);
    assert_int_equal(g->now, begun); /* no time-out had to pass */
    node_index leader = leader_of(g);
    assert_true(leader == 1 || leader == 2);
    assert_int_equal(group_raft(g, 0)->phase, PHASE_FOLLOWER);
    assert_members(g, 0, voters_of(SET(1, 2)));
    qr_req refused = group_submit(g, 0, 1);
    assert_int_equal(group_answer(g, 0, refused), STATUS_NOT_LEADER);
    group_elapse(g, 5 * QR_SECOND);
    assert_int_equal(group_raft(g, 0)->phase, PHASE_FOLLOWER); /* it never campaigns */
    assert_int_equal(group_raft(g, leader)->term, 2);
    assert_int_equal(raft_campaign_at(group_raft(g, 0)), QR_NEVER);
    group_free(g);
}

/* When nobody can take over at once it steps down all the same. */
static void test_4_2_2_a_removed_leader_steps_down_without_a_successor(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(3, 3);
    group_change(g, 0, voters_of(SET(1, 2)), false);
    for (int i = 0; i < 400 && group_raft(g, 0)->transfer_to == NODE_NONE; i++) {
        for (node_index k = 0; k < 3; k++) {
            group_sync(g, k);
        }
        for (node_index k = 1; k < 3; k++) {
            (void)(group_deliver_one(g, 0, k, RAFT_APPEND) ||
                   group_deliver_one(g, k, 0, RAFT_APPEND_ACK));
        }
    }
    assert_int_not_equal(group_raft(g, 0)->transfer_to, NODE_NONE);
    group_lose_mail(g);
    g->island = SET(0);
    group_elapse(g, 310 * QR_MILLISECOND);
    assert_int_equal(group_raft(g, 0)->phase, PHASE_FOLLOWER);
    g->island = 0;
    group_elapse(g, 2 * QR_SECOND);
    assert_true(leader_of(g) == 1 || leader_of(g) == 2);
    group_free(g);
}

/* Nor does it try again and again with a successor that lives and does not take over. */
static void test_4_2_2_a_removed_leader_steps_down_when_its_successor_does_not(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(3, 3);
    group_admin(g, 1, ADMIN_STAND_BACK, 1);
    group_admin(g, 2, ADMIN_STAND_BACK, 1);
    group_change(g, 0, voters_of(SET(1, 2)), false);
    group_elapse(g, 200 * QR_MILLISECOND);
    assert_int_equal(group_raft(g, 0)->phase, PHASE_LEADER);
    group_elapse(g, 150 * QR_MILLISECOND);
    assert_int_equal(group_raft(g, 0)->phase, PHASE_FOLLOWER);
    group_free(g);
}

/* "...a server that is not part of its own latest configuration should still start new elections,
 * as it might still be needed until the Cnew entry is committed": here the final entry is on a
 * minority of the old voters only, whose logs are ahead of those of all new ones. */
static void test_4_2_2_a_server_that_leaves_may_be_needed_until_that_is_committed(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(6, 3);
    change(g, 0, (struct membership){ .voters = SET(0, 1, 2), .observers = SET(3, 4, 5) });
    group_change(g, 0, voters_of(SET(3, 4, 5)), true);
    for (node_index k = 1; k < 6; k++) {
        (void)group_deliver_one(g, 0, k, RAFT_APPEND);
        group_sync(g, k);
    }
    for (node_index k = 1; k < 5; k++) { /* 0 syncs never: 1 and 2, 3 and 4 are majorities */
        (void)group_deliver_one(g, k, 0, RAFT_APPEND_ACK);
    }
    assert_members(g, 0, voters_of(SET(3, 4, 5)));
    g->island = SET(0, 1, 2); /* the final entry reaches old voters only, and the leader dies */
    group_settle(g);
    group_crash(g, 0);
    assert_members(g, 1, voters_of(SET(3, 4, 5)));
    for (node_index k = 3; k < 6; k++) {
        assert_int_equal(group_members(g, k).outgoing, SET(0, 1, 2));
    }
    g->island = 0;

    group_elapse(g, 5 * QR_SECOND);

    node_index leader = leader_of(g);
    assert_true(leader >= 3 && leader < 6); /* by way of 1 or 2, which then handed over */
    for (node_index i = 1; i < 6; i++) {
        assert_members(g, i, voters_of(SET(3, 4, 5)));
    }
    assert_true(group_raft(g, leader)->commit >= group_raft(g, leader)->members.slot);
    group_free(g);
}

/* A leader that becomes a learner or an observer goes the same way. */
static void test_4_2_2_a_demoted_leader_hands_over_and_follows(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(3, 3);
    struct membership m = { .voters = SET(1, 2), .observers = SET(0) };
    group_change(g, 0, m, false);
    group_elapse(g, 100 * QR_MILLISECOND);
    node_index leader = leader_of(g);
    assert_true(leader == 1 || leader == 2);
    group_submit(g, leader, 3);
    group_elapse(g, 100 * QR_MILLISECOND);
    assert_members(g, 0, m);
    assert_int_equal(g->node[0].applied, group_raft(g, leader)->commit);
    group_free(g);
}

/* --- 4.2.3 Disruptive servers
 * ---------------------------------------------------------------------- */

/* A removed server that was away when that was decided: its elections are ignored, for good. */
static void test_4_2_3_a_removed_server_disturbs_nobody(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(4, 4);
    g->island = SET(3);
    qr_req req = group_change(g, 0, voters_of(SET(0, 1, 2)), false);
    group_elapse(g, 3 * QR_SECOND);
    assert_int_equal(group_answer(g, 0, req), STATUS_OK);
    assert_int_equal(group_raft(g, 0)->leaving, 0); /* given up */

    g->island = 0;
    for (int i = 0; i < 10; i++) {
        group_submit(g, 0, 1);
        group_elapse(g, QR_SECOND);
    }

    assert_true(g->node[3].point_count[POINT_PREVOTE_BEGUN] > 3);
    assert_int_equal(g->node[3].point_count[POINT_ELECTION_BEGUN], 0);
    assert_int_equal(group_raft(g, 0)->phase, PHASE_LEADER);
    assert_int_equal(group_raft(g, 0)->term, 1);
    group_free(g);
}

/* One that can be reached is sent to until it knows, and then it is silent. */
static void test_4_2_3_a_removed_server_learns_it(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(4, 4);
    group_change(g, 0, voters_of(SET(0, 1, 2)), false);
    group_elapse(g, 60 * QR_MILLISECOND);

    assert_int_equal(group_raft(g, 0)->leaving, 0);
    assert_members(g, 3, voters_of(SET(0, 1, 2)));
    assert_true(group_raft(g, 3)->commit >= group_raft(g, 3)->members.slot);
    group_elapse(g, 5 * QR_SECOND);
    assert_int_equal(g->node[3].point_count[POINT_PREVOTE_BEGUN], 0);
    group_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_4_2_1_a_learner_is_fed_and_does_not_count),
        cmocka_unit_test(test_4_2_1_a_learner_is_promoted_when_it_has_caught_up),
        cmocka_unit_test(test_4_2_1_a_learner_that_is_behind_stays_one),
        cmocka_unit_test(test_4_2_1_learners_take_turns),
        cmocka_unit_test(test_4_2_1_an_observer_stays_one),
        cmocka_unit_test(test_4_2_1_one_voter_becomes_three),
        cmocka_unit_test(test_4_2_2_a_leader_that_leaves_does_not_count_itself),
        cmocka_unit_test(test_4_2_2_a_removed_leader_hands_over),
        cmocka_unit_test(test_4_2_2_a_removed_leader_steps_down_without_a_successor),
        cmocka_unit_test(test_4_2_2_a_removed_leader_steps_down_when_its_successor_does_not),
        cmocka_unit_test(test_4_2_2_a_server_that_leaves_may_be_needed_until_that_is_committed),
        cmocka_unit_test(test_4_2_2_a_demoted_leader_hands_over_and_follows),
        cmocka_unit_test(test_4_2_3_a_removed_server_disturbs_nobody),
        cmocka_unit_test(test_4_2_3_a_removed_server_learns_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
