/* The claims of Ongaro's dissertation (2014) about transfer (3.10), sticky leaders (4.2.3),
 * CheckQuorum (6.2), PreVote (9.6) and parallel disk writes (10.2.1), with what the design adds on
 * closed connections. Reads are in raft_read_test.c. One test each: set up, act, check. */
#include "tests/paper/paper.h"

/* --- 3.10 Leadership transfer
 * --------------------------------------------------------------------- */

/* "1. The prior leader stops accepting new client requests. 2. [It] fully updates the target
 * server's log. 3. [It] sends a TimeoutNow request." */
static void test_3_10_transfer_waits_for_the_targets_log(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(3, 3);
    group_submit(g, 0, 3);

    group_admin(g, 0, ADMIN_TRANSFER, 2);
    assert_null(group_sent(g, 0, 2, RAFT_TIMEOUT_NOW));
    qr_req refused = group_submit(g, 0, 1);
    assert_int_equal(group_noted(g, 0, EFFECT_ANSWER, refused)->status, STATUS_NOT_LEADER);
    struct outlook o;
    raft_protocol.outlook(group_raft(g, 0), &o);
    assert_int_equal(o.room, 0);
    group_settle(g);

    assert_int_equal(group_raft(g, 2)->phase, PHASE_LEADER);
    assert_int_equal(group_raft(g, 2)->term, 2);
    assert_int_equal(group_raft(g, 2)->commit, 5);
    group_free(g);
}

/* "If leadership transfer does not complete after about an election timeout, the prior leader
 * aborts the transfer and resumes accepting client requests." */
static void test_3_10_a_transfer_is_given_up_after_an_election_timeout(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(3, 3);
    g->node[2].cut = true;
    group_submit(g, 0, 1);
    group_admin(g, 0, ADMIN_TRANSFER, 2);

    group_elapse(g, 310 * QR_MILLISECOND);

    assert_int_equal(group_raft(g, 0)->phase, PHASE_LEADER);
    assert_int_equal(group_raft(g, 0)->transfer_to, NODE_NONE);
    qr_req req = group_submit(g, 0, 1);
    assert_null(group_noted(g, 0, EFFECT_ANSWER, req));
    group_free(g);
}

/* Without a named target the most up-to-date member is asked. */
static void test_3_10_any_target_means_the_most_up_to_date(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(5, 5);
    g->node[1].cut = true;
    group_submit(g, 0, 2);
    group_settle(g);
    group_admin(g, 0, ADMIN_TRANSFER, NODE_NONE);
    group_settle(g);
    assert_int_equal(group_raft(g, 2)->phase, PHASE_LEADER);
    group_free(g);
}

/* Leases are revoked first: TIMEOUT_NOW waits until no read can be served under one, and this
 * leadership never uses a lease again, since its consequences may come late. */
static void test_3_10_leases_end_before_the_target_may_campaign(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(3, 3);
    group_admin(g, 0, ADMIN_READ_MODE, READ_MODE_LEASE);
    group_elapse(g, 30 * QR_MILLISECOND);
    qr_time before = group_noted(g, 0, EFFECT_READ, group_read(g, 0, 1))->before;
    g->node[2].cut = true; /* the order will be lost */

    group_admin(g, 0, ADMIN_TRANSFER, 2);
    qr_req during = group_read(g, 0, 1);
    assert_null(group_noted(g, 0, EFFECT_READ, during)); /* takes a round */
    assert_int_equal(g->node[0].point_count[POINT_TRANSFER_SENT], 0);
    group_elapse(g, before - g->now - 1);
    assert_int_equal(g->node[0].point_count[POINT_TRANSFER_SENT], 0);
    group_elapse(g, 2);
    assert_int_equal(g->node[0].point_count[POINT_TRANSFER_SENT], 1);
    g->node[2].cut = false;
    g->node[2].up = false;
    group_elapse(g, 400 * QR_MILLISECOND);

    assert_int_equal(group_raft(g, 0)->phase, PHASE_LEADER);
    assert_int_equal(group_raft(g, 0)->transfer_to, NODE_NONE);
    qr_req after = group_read(g, 0, 1);
    assert_null(group_noted(g, 0, EFFECT_READ, after));
    group_settle(g);
    assert_int_equal(group_noted(g, 0, EFFECT_READ, after)->before, 0);
    group_free(g);
}

/* --- 4.2.3 Disruptive servers, 6.2 CheckQuorum
 * ------------------------------------------------------ */

/* "If a server receives a RequestVote request within the minimum election timeout of hearing from
 * a current leader, it does not update its term or grant its vote." */
static void test_4_2_3_a_server_in_touch_with_a_leader_ignores_elections(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(3, 3);
    struct raft_vote v = { .term = 9, .last_slot = 99, .last_term = 8 };
    struct raft_prevote p = { .term = 9, .last_slot = 99, .last_term = 8 };
    for (node_index i = 0; i < 2; i++) { /* the leader and a follower */
        group_deliver(g, 2, i, RAFT_VOTE, &v, 0, 0, 0);
        group_deliver(g, 2, i, RAFT_PREVOTE, &p, 0, 0, 0);
        assert_int_equal(group_raft(g, i)->term, 1);
    }
    assert_int_equal(g->mail_count, 0);

    v.transfer = true; /* unless the leader itself has asked for it */
    group_deliver(g, 2, 1, RAFT_VOTE, &v, 0, 0, 0);
    group_sync(g, 1);

    assert_true(group_sent(g, 1, 2, RAFT_VOTE_REPLY)->body.vote_reply.granted);
    group_free(g);
}

/* 6.2: "a leader steps down if an election timeout elapses without a successful round of
 * heartbeats to a majority of its cluster." */
static void test_6_2_a_leader_without_a_quorum_steps_down_scenario_71(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(5, 5);
    for (node_index i = 1; i < 4; i++) {
        g->node[i].cut = true;
    }
    qr_req read = group_read(g, 0, 1);

    group_elapse(g, 270 * QR_MILLISECOND);
    assert_int_equal(group_raft(g, 0)->phase, PHASE_LEADER);
    group_elapse(g, 60 * QR_MILLISECOND);

    assert_int_not_equal(group_raft(g, 0)->phase, PHASE_LEADER);
    assert_int_equal(group_raft(g, 0)->term, 1);
    assert_int_equal(group_noted(g, 0, EFFECT_ANSWER, read)->status, STATUS_NOT_LEADER);
    group_free(g);
}

/* With a quorum it stays, whoever else is gone. */
static void test_6_2_a_leader_with_a_bare_quorum_stays_scenario_6(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(5, 5);
    g->node[1].cut = true;
    g->node[2].cut = true;
    group_elapse(g, 3 * QR_SECOND);
    assert_int_equal(group_raft(g, 0)->phase, PHASE_LEADER);
    assert_int_equal(group_raft(g, 0)->term, 1);
    group_free(g);
}

/* --- 9.6 PreVote
 * ------------------------------------------------------------------------------------- */

/* "A partitioned server will not increase its term, since it can't receive permission from a
 * majority", and so it disturbs nobody when it returns. */
static void test_9_6_a_partitioned_server_keeps_its_term(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(3, 3);
    g->node[2].cut = true;
    group_elapse(g, 5 * QR_SECOND);
    assert_int_equal(group_raft(g, 2)->term, 1);
    assert_int_equal(group_raft(g, 2)->phase, PHASE_PRECANDIDATE);

    g->node[2].cut = false;
    group_elapse(g, QR_SECOND);

    assert_int_equal(group_raft(g, 0)->phase, PHASE_LEADER);
    assert_int_equal(group_raft(g, 0)->term, 1);
    assert_int_equal(group_raft(g, 2)->leader, 0);
    group_free(g);
}

/* "A candidate only increments its term if it first learns from a majority of the cluster that
 * they would be willing to grant the candidate their votes." */
static void test_9_6_only_a_majority_of_prevotes_begins_an_election(void **state)
{
    (void)state;
    struct group *g = group_new(5);
    group_time_out(g, 0);
    struct raft_prevote_reply yes = { .term = 1, .granted = true };
    struct raft_prevote_reply old = { .term = 0, .granted = true };
    group_deliver(g, 1, 0, RAFT_PREVOTE_REPLY, &yes, 0, 0, 0);
    group_deliver(g, 2, 0, RAFT_PREVOTE_REPLY, &old, 0, 0, 0); /* of an earlier question */
    assert_int_equal(group_raft(g, 0)->phase, PHASE_PRECANDIDATE);
    assert_int_equal(group_raft(g, 0)->term, 0);
    group_deliver(g, 3, 0, RAFT_PREVOTE_REPLY, &yes, 0, 0, 0);

    assert_int_equal(group_raft(g, 0)->phase, PHASE_CANDIDATE);
    assert_int_equal(group_raft(g, 0)->term, 1);
    group_free(g);
}

/* "[...] if the candidate's log is sufficiently up-to-date": the same rule as for votes. */
static void test_9_6_a_server_that_is_behind_gets_no_prevote(void **state)
{
    (void)state;
    struct group *g = group_new(3);
    REFILL(g, 0, 2, 1, 2);
    struct raft_prevote p = { .term = 3, .last_slot = 1, .last_term = 1 };
    group_deliver(g, 1, 0, RAFT_PREVOTE, &p, 0, 0, 0);
    const struct mail *m = group_sent(g, 0, 1, RAFT_PREVOTE_REPLY);
    assert_false(m->body.prevote_reply.granted);
    assert_int_equal(m->body.prevote_reply.term, 2);
    group_free(g);
}

/* Two that ask at the same moment: the lower index goes first, and no vote is split. */
static void test_9_6_of_two_rivals_one_gives_way(void **state)
{
    (void)state;
    struct group *g = group_new(3);
    g->node[0].cut = true; /* as a killed leader */
    group_time_out(g, 1);
    group_raft(g, 2)->election_due = g->now;
    group_timer(g, 2);
    group_settle(g);
    assert_int_equal(group_raft(g, 1)->phase, PHASE_LEADER);
    assert_int_equal(group_raft(g, 1)->term, 1);
    group_free(g);
}

/* The design: a closed connection from the leader skips the election time-out, and one whose own
 * connection is closed grants pre-votes at once. A killed leader is replaced in milliseconds. */
static void test_9_6_a_killed_leader_is_replaced_within_milliseconds(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        struct group *g = group_led_by_0(3, 3);
        group_elapse(g, round * QR_MILLISECOND);
        group_crash(g, 0);
        g->node[0].cut = true;
        group_peer(g, 1, 0, false);
        group_peer(g, 2, 0, false);

        group_elapse(g, 40 * QR_MILLISECOND);

        node_index leader = group_raft(g, 1)->leader;
        assert_true(leader == 1 || leader == 2);
        assert_int_equal(group_raft(g, leader)->phase, PHASE_LEADER);
        group_free(g);
    }
}

/* They hear of it one after the other: the one that asked too early is refused nothing, it is not
 * heard. When both know, the lower index asks the higher one again, and nobody waits. */
static void test_9_6_of_a_killed_leader_members_hear_one_after_the_other(void **state)
{
    (void)state;
    for (node_index early = 1; early <= 2; early++) {
        struct group *g = group_led_by_0(3, 3);
        node_index late = 3 - early;
        group_crash(g, 0);
        g->node[0].cut = true;
        group_peer(g, early, 0, false);
        group_raft(g, early)->election_due = g->now;
        group_timer(g, early);
        group_settle(g);
        assert_int_equal(group_raft(g, early)->phase, PHASE_PRECANDIDATE);

        group_peer(g, late, 0, false);
        group_raft(g, late)->election_due = g->now;
        group_timer(g, late);
        group_settle(g);

        node_index leader = group_raft(g, 1)->leader;
        assert_true(leader == 1 || leader == 2);
        assert_int_equal(group_raft(g, leader)->phase, PHASE_LEADER);
        group_free(g);
    }
}

/* And where the late one does not campaign, the early one asks again within two heartbeats. */
static void test_9_6_behind_a_closed_connection_a_question_is_soon_asked_again(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(3, 3);
    group_admin(g, 2, ADMIN_STAND_BACK, 1);
    group_crash(g, 0);
    g->node[0].cut = true;
    group_peer(g, 1, 0, false);
    group_elapse(g, g->limits.heartbeat);
    assert_int_equal(group_raft(g, 1)->phase, PHASE_PRECANDIDATE);
    group_peer(g, 2, 0, false);
    group_elapse(g, 2 * g->limits.heartbeat);
    assert_int_equal(group_raft(g, 1)->phase, PHASE_LEADER);
    group_free(g);
}

/* But one follower's broken connection is no reason to replace a leader that lives. */
static void test_9_6_one_closed_connection_deposes_nobody(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(3, 3);
    group_peer(g, 1, 0, false);
    group_elapse(g, QR_SECOND);
    assert_int_equal(group_raft(g, 0)->phase, PHASE_LEADER);
    assert_int_equal(group_raft(g, 0)->term, 1);
    assert_int_equal(group_raft(g, 1)->leader, 0);
    group_free(g);
}

/* Nor does it ask with haste for ever: whom the leader cannot reach falls back to the time-out. */
static void test_9_6_haste_behind_a_closed_connection_ends(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(3, 3);
    struct raft *r = group_raft(g, 1);
    g->node[1].cut = true;
    group_peer(g, 1, 0, false);
    group_elapse(g, g->limits.election / 2);
    assert_true(r->election_due <= g->now + 2 * g->limits.heartbeat);
    group_elapse(g, g->limits.election);
    assert_true(r->leader_closed && r->phase == PHASE_PRECANDIDATE);
    group_time_out(g, 1);
    assert_true(r->election_due >= g->now + g->limits.election);
    group_free(g);
}

/* --- 10.2.1 Writing to the leader's disk in parallel
 * --------------------------------------------------- */

/* "The leader can write to its disk in parallel with replicating to the followers", and "the leader
 * may even commit an entry before it has been written to its own disk, if a majority of followers
 * have written it to their disks." */
static void test_10_2_1_the_leaders_own_disk_may_be_last(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(3, 3);
    g->node[0].disk_held = true;
    group_submit(g, 0, 4);
    assert_int_equal(group_sent(g, 0, 1, RAFT_APPEND)->after, 0);
    group_settle(g);
    assert_int_equal(group_raft(g, 0)->commit, 5);
    assert_int_equal(group_raft(g, 0)->journal.durable_slot, 1);
    group_free(g);
}

/* The other side: the leader's copy counts only when it is durable. */
static void test_10_2_1_the_leaders_own_copy_counts_when_it_is_durable_scenario_60(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(3, 3);
    g->node[0].disk_held = true;
    g->node[2].cut = true;
    group_submit(g, 0, 4);
    group_settle(g);
    assert_int_equal(group_raft(g, 0)->commit, 1); /* one follower alone */
    group_sync(g, 0);
    assert_int_equal(group_raft(g, 0)->commit, 5);
    group_free(g);
}

/* 10.2.2, pipelining: appends go out ahead of the acknowledgements, up to the window. */
static void test_10_2_2_appends_are_pipelined_up_to_the_window(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(3, 3);
    for (int i = 0; i < 10; i++) {
        group_submit(g, 0, 1);
    }
    assert_int_equal(group_count(g, RAFT_APPEND), 2 * g->limits.appends_in_flight);
    group_settle(g);
    assert_int_equal(g->node[1].log.last, 11);
    group_free(g);
}

/* R6: the driver attaches fewer entries than asked for when their bytes are many. The rest follows
 * at once, not with the next heartbeat. */
static void test_10_2_2_what_was_not_attached_follows_at_once(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(3, 3);
    g->attach_max = 3;
    group_submit(g, 0, 40);
    group_settle(g);
    assert_int_equal(group_raft(g, 0)->commit, 41);
    assert_int_equal(g->node[2].log.last, 41);
    group_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_3_10_transfer_waits_for_the_targets_log),
        cmocka_unit_test(test_3_10_a_transfer_is_given_up_after_an_election_timeout),
        cmocka_unit_test(test_3_10_any_target_means_the_most_up_to_date),
        cmocka_unit_test(test_3_10_leases_end_before_the_target_may_campaign),
        cmocka_unit_test(test_4_2_3_a_server_in_touch_with_a_leader_ignores_elections),
        cmocka_unit_test(test_6_2_a_leader_without_a_quorum_steps_down_scenario_71),
        cmocka_unit_test(test_6_2_a_leader_with_a_bare_quorum_stays_scenario_6),
        cmocka_unit_test(test_9_6_a_partitioned_server_keeps_its_term),
        cmocka_unit_test(test_9_6_only_a_majority_of_prevotes_begins_an_election),
        cmocka_unit_test(test_9_6_a_server_that_is_behind_gets_no_prevote),
        cmocka_unit_test(test_9_6_of_two_rivals_one_gives_way),
        cmocka_unit_test(test_9_6_a_killed_leader_is_replaced_within_milliseconds),
        cmocka_unit_test(test_9_6_of_a_killed_leader_members_hear_one_after_the_other),
        cmocka_unit_test(test_9_6_behind_a_closed_connection_a_question_is_soon_asked_again),
        cmocka_unit_test(test_9_6_one_closed_connection_deposes_nobody),
        cmocka_unit_test(test_9_6_haste_behind_a_closed_connection_ends),
        cmocka_unit_test(test_10_2_1_the_leaders_own_disk_may_be_last),
        cmocka_unit_test(test_10_2_1_the_leaders_own_copy_counts_when_it_is_durable_scenario_60),
        cmocka_unit_test(test_10_2_2_appends_are_pipelined_up_to_the_window),
        cmocka_unit_test(test_10_2_2_what_was_not_attached_follows_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
