/* The claims of the Raft paper (Ongaro and Ousterhout, 2014) about terms, votes and elections: 5.1,
 * 5.2 and figure 2. One test each: set up, act, check; the section stands in the name. */
#include "tests/paper/paper.h"

/* --- 5.1 Raft basics
 * ------------------------------------------------------------------------------ */

/* "If one server's current term is smaller than the other's, then it updates its current term to
 * the larger value." */
static void test_5_1_a_larger_term_is_adopted_by_every_role(void **state)
{
    (void)state;
    for (enum phase phase = PHASE_FOLLOWER; phase <= PHASE_LEADER; phase++) {
        struct group *g = group_new(3);
        if (phase == PHASE_LEADER) {
            group_elect(g, 0);
        } else if (phase != PHASE_FOLLOWER) {
            group_time_out(g, 0);
            if (phase == PHASE_CANDIDATE) {
                group_deliver_one(g, 0, 1, RAFT_PREVOTE);
                group_deliver_one(g, 1, 0, RAFT_PREVOTE_REPLY);
            }
        }
        assert_int_equal(group_raft(g, 0)->phase, phase);

        struct raft_append m = append_of(9, 0, 0, 0);
        group_deliver(g, 2, 0, RAFT_APPEND, &m, 0, 0, 0);

        assert_int_equal(group_raft(g, 0)->term, 9);
        assert_int_equal(group_raft(g, 0)->phase, PHASE_FOLLOWER);
        assert_int_equal(group_raft(g, 0)->leader, 2);
        group_free(g);
    }
}

/* "If a candidate or leader discovers that its term is out of date, it immediately reverts to
 * follower state" - also when an answer tells it. */
static void test_5_1_a_leader_with_an_old_term_steps_down(void **state)
{
    (void)state;
    struct group *g = group_new(3);
    group_elect(g, 0);

    struct raft_stale m = { .term = 7 };
    group_deliver(g, 1, 0, RAFT_STALE, &m, 0, 0, 0);

    assert_int_equal(group_raft(g, 0)->phase, PHASE_FOLLOWER);
    assert_int_equal(group_raft(g, 0)->term, 7);
    assert_int_equal(group_raft(g, 0)->vote, NODE_NONE);
    group_free(g);
}

/* "If a server receives a request with a stale term number, it rejects the request." */
static void test_5_1_requests_with_a_stale_term_are_refused(void **state)
{
    (void)state;
    struct group *g = group_new(3);
    REFILL(g, 0, 5, 1);

    struct raft_append m = append_of(4, 1, 1, 1);
    group_deliver(g, 1, 0, RAFT_APPEND, &m, 2, 4, 4);
    struct raft_vote v = { .term = 4, .last_slot = 9, .last_term = 4 };
    group_deliver(g, 2, 0, RAFT_VOTE, &v, 0, 0, 0);

    ASSERT_LOG(g, 0, 1);
    assert_int_equal(group_sent(g, 0, 1, RAFT_STALE)->body.stale.term, 5);
    assert_null(group_sent(g, 0, 1, RAFT_APPEND_ACK));
    assert_false(group_sent(g, 0, 2, RAFT_VOTE_REPLY)->body.vote_reply.granted);
    assert_int_equal(group_raft(g, 0)->leader, NODE_NONE);
    group_free(g);
}

/* Figure 2, persistent state: term and vote survive a crash. */
static void test_figure_2_term_and_vote_survive_a_crash(void **state)
{
    (void)state;
    struct group *g = group_new(3);
    struct raft_vote v = { .term = 4 };
    group_deliver(g, 1, 0, RAFT_VOTE, &v, 0, 0, 0);
    group_sync(g, 0);
    assert_true(group_sent(g, 0, 1, RAFT_VOTE_REPLY)->body.vote_reply.granted);

    group_restart(g, 0, true);
    group_deliver(g, 2, 0, RAFT_VOTE, &v, 0, 0, 0); /* the same term, another candidate */

    assert_int_equal(group_raft(g, 0)->term, 4);
    assert_int_equal(group_raft(g, 0)->vote, 1);
    assert_false(group_sent(g, 0, 2, RAFT_VOTE_REPLY)->body.vote_reply.granted);
    group_free(g);
}

/* "Updated on stable storage before responding to RPCs": a vote that a crash can take back is not
 * given. */
static void test_figure_2_a_vote_leaves_only_when_it_is_durable(void **state)
{
    (void)state;
    struct group *g = group_new(3);
    struct raft_vote v = { .term = 4 };

    group_deliver(g, 1, 0, RAFT_VOTE, &v, 0, 0, 0);
    assert_null(group_sent(g, 0, 1, RAFT_VOTE_REPLY));
    assert_non_null(group_held(g, 0, 1, RAFT_VOTE_REPLY));
    group_restart(g, 0, true); /* before the sync: vote and reply are gone together */
    group_deliver(g, 2, 0, RAFT_VOTE, &v, 0, 0, 0);
    group_sync(g, 0);

    assert_null(group_sent(g, 0, 1, RAFT_VOTE_REPLY));
    assert_true(group_sent(g, 0, 2, RAFT_VOTE_REPLY)->body.vote_reply.granted);
    group_free(g);
}

/* --- 5.2 Leader election
 * ---------------------------------------------------------------------------- */

/* "When servers start up, they begin as followers." */
static void test_5_2_a_server_starts_as_a_follower(void **state)
{
    (void)state;
    struct group *g = group_new(3);
    assert_int_equal(group_raft(g, 0)->phase, PHASE_FOLLOWER);
    assert_int_equal(group_raft(g, 0)->leader, NODE_NONE);
    group_free(g);
}

/* "A server remains in follower state as long as it receives valid RPCs from a leader", here for
 * ten seconds; and nobody else may ever disturb a group that is well. */
static void test_5_2_heartbeats_keep_authority(void **state)
{
    (void)state;
    struct group *g = group_new(5);
    group_elect(g, 3);
    qr_term term = group_raft(g, 3)->term;

    group_elapse(g, 10 * QR_SECOND);

    assert_int_equal(group_raft(g, 3)->phase, PHASE_LEADER);
    assert_int_equal(group_raft(g, 3)->term, term);
    group_free(g);
}

/* "To begin an election, a follower increments its current term and transitions to candidate
 * state. It then votes for itself and issues RequestVote RPCs in parallel." (Asking first is 9.6.)
 */
static void test_5_2_an_election_begins_with_a_new_term_and_an_own_vote(void **state)
{
    (void)state;
    struct group *g = group_new(3);
    REFILL(g, 0, 2, 1, 2);

    group_time_out(g, 0);
    group_deliver_one(g, 0, 1, RAFT_PREVOTE);
    group_deliver_one(g, 1, 0, RAFT_PREVOTE_REPLY);
    assert_null(group_sent(g, 0, 1, RAFT_VOTE)); /* not before the own vote is durable */
    group_sync(g, 0);

    assert_int_equal(group_raft(g, 0)->phase, PHASE_CANDIDATE);
    assert_int_equal(group_raft(g, 0)->term, 3);
    assert_int_equal(g->node[0].disk.state.vote, 0);
    for (node_index to = 1; to < 3; to++) {
        const struct mail *m = group_sent(g, 0, to, RAFT_VOTE);
        assert_non_null(m);
        assert_int_equal(m->body.vote.term, 3);
        assert_int_equal(m->body.vote.last_slot, 2);
        assert_int_equal(m->body.vote.last_term, 2);
    }
    group_free(g);
}

/* "A candidate wins an election if it receives votes from a majority of the servers." */
static void test_5_2_a_majority_of_votes_wins(void **state)
{
    (void)state;
    for (node_index n = 1; n <= 7; n++) {
        for (node_index votes = 1; votes <= n; votes++) { /* the own one included */
            struct group *g = group_new(n);
            group_time_out(g, 0);
            for (node_index i = 1; i < n; i++) {
                struct raft_prevote_reply yes = { .term = 1, .granted = true };
                group_deliver(g, i, 0, RAFT_PREVOTE_REPLY, &yes, 0, 0, 0);
            }
            group_sync(g, 0);
            assert_int_equal(group_raft(g, 0)->term, 1);

            for (node_index i = 1; i < n; i++) {
                struct raft_vote_reply reply = { .term = 1, .granted = i < votes };
                group_deliver(g, i, 0, RAFT_VOTE_REPLY, &reply, 0, 0, 0);
            }

            bool won = group_raft(g, 0)->phase == PHASE_LEADER;
            assert_int_equal(won, 2 * votes > n);
            group_free(g);
        }
    }
}

/* A vote counts once, however often the network repeats it. */
static void test_5_2_a_repeated_vote_counts_once(void **state)
{
    (void)state;
    struct group *g = group_new(5);
    group_time_out(g, 0);
    for (node_index i = 1; i < 3; i++) {
        struct raft_prevote_reply yes = { .term = 1, .granted = true };
        group_deliver(g, i, 0, RAFT_PREVOTE_REPLY, &yes, 0, 0, 0);
    }
    group_sync(g, 0);

    struct raft_vote_reply reply = { .term = 1, .granted = true };
    group_deliver(g, 1, 0, RAFT_VOTE_REPLY, &reply, 0, 0, 0);
    group_deliver(g, 1, 0, RAFT_VOTE_REPLY, &reply, 0, 0, 0);

    assert_int_equal(group_raft(g, 0)->phase, PHASE_CANDIDATE);
    group_free(g);
}

/* "Each server will vote for at most one candidate in a given term, on a first-come-first-served
 * basis." Voting again for the same one is the answer to a repeated request. */
static void test_5_2_one_vote_per_term_first_come_first_served(void **state)
{
    (void)state;
    struct group *g = group_new(3);
    struct raft_vote v = { .term = 1 };

    group_deliver(g, 1, 0, RAFT_VOTE, &v, 0, 0, 0);
    group_deliver(g, 2, 0, RAFT_VOTE, &v, 0, 0, 0);
    group_sync(g, 0);
    assert_true(group_sent(g, 0, 1, RAFT_VOTE_REPLY)->body.vote_reply.granted);
    assert_false(group_sent(g, 0, 2, RAFT_VOTE_REPLY)->body.vote_reply.granted);
    group_lose_mail(g);
    group_deliver(g, 1, 0, RAFT_VOTE, &v, 0, 0, 0);

    assert_true(group_sent(g, 0, 1, RAFT_VOTE_REPLY)->body.vote_reply.granted);
    group_free(g);
}

/* "If the leader's term is at least as large as the candidate's current term, then the candidate
 * recognizes the leader as legitimate and returns to follower state." */
static void test_5_2_a_candidate_yields_to_a_leader_of_its_term(void **state)
{
    (void)state;
    struct group *g = group_new(3);
    group_time_out(g, 0);
    group_deliver_one(g, 0, 1, RAFT_PREVOTE);
    group_deliver_one(g, 1, 0, RAFT_PREVOTE_REPLY);
    group_sync(g, 0);
    assert_int_equal(group_raft(g, 0)->phase, PHASE_CANDIDATE);

    struct raft_append m = append_of(1, 0, 0, 0);
    group_deliver(g, 2, 0, RAFT_APPEND, &m, 0, 0, 0);

    assert_int_equal(group_raft(g, 0)->phase, PHASE_FOLLOWER);
    assert_int_equal(group_raft(g, 0)->leader, 2);
    group_free(g);
}

/* "Election timeouts are chosen randomly from a fixed interval." */
static void test_5_2_election_timeouts_are_spread_over_the_interval(void **state)
{
    (void)state;
    struct group *g = group_new(3);
    qr_time span = g->limits.election;
    uint32_t seen[10] = { 0 };
    for (int i = 0; i < 1000; i++) {
        struct raft *r = group_raft(g, 0);
        raft_election_reset(r);
        qr_time wait = r->election_due - r->now;
        assert_true(wait >= span && wait < 2 * span);
        seen[(wait - span) * 10 / span]++;
    }
    for (int i = 0; i < 10; i++) {
        assert_true(seen[i] > 50);
    }
    group_free(g);
}

/* "If many followers become candidates at the same time, votes could be split [...] each candidate
 * will time out and start a new election by incrementing its term." */
static void test_5_2_a_split_vote_is_followed_by_another_election(void **state)
{
    (void)state;
    struct group *g = group_new(2);
    group_time_out(g, 0);
    group_raft(g, 1)->election_due = g->now;
    group_timer(g, 1);
    struct raft_prevote_reply yes = { .term = 1, .granted = true };
    group_deliver(g, 1, 0, RAFT_PREVOTE_REPLY, &yes, 0, 0, 0);
    group_deliver(g, 0, 1, RAFT_PREVOTE_REPLY, &yes, 0, 0, 0);
    group_settle(g);
    assert_int_equal(group_raft(g, 0)->phase, PHASE_CANDIDATE);
    assert_int_equal(group_raft(g, 1)->phase, PHASE_CANDIDATE);

    group_elapse(g, 2 * QR_SECOND);

    assert_true((group_raft(g, 0)->phase == PHASE_LEADER) !=
                (group_raft(g, 1)->phase == PHASE_LEADER));
    assert_true(group_raft(g, 0)->term > 1);
    group_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_5_1_a_larger_term_is_adopted_by_every_role),
        cmocka_unit_test(test_5_1_a_leader_with_an_old_term_steps_down),
        cmocka_unit_test(test_5_1_requests_with_a_stale_term_are_refused),
        cmocka_unit_test(test_figure_2_term_and_vote_survive_a_crash),
        cmocka_unit_test(test_figure_2_a_vote_leaves_only_when_it_is_durable),
        cmocka_unit_test(test_5_2_a_server_starts_as_a_follower),
        cmocka_unit_test(test_5_2_heartbeats_keep_authority),
        cmocka_unit_test(test_5_2_an_election_begins_with_a_new_term_and_an_own_vote),
        cmocka_unit_test(test_5_2_a_majority_of_votes_wins),
        cmocka_unit_test(test_5_2_a_repeated_vote_counts_once),
        cmocka_unit_test(test_5_2_one_vote_per_term_first_come_first_served),
        cmocka_unit_test(test_5_2_a_candidate_yields_to_a_leader_of_its_term),
        cmocka_unit_test(test_5_2_election_timeouts_are_spread_over_the_interval),
        cmocka_unit_test(test_5_2_a_split_vote_is_followed_by_another_election),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
