/* The claims of the Raft paper (Ongaro and Ousterhout, 2014) about the log and its
 * safety: 5.3, 5.4, 5.5 and figures 3, 7 and 8. One test each: set up, act, check; the section
 * stands in the name. */
#include "tests/paper/paper.h"

/* --- 5.3 Log replication
 * ------------------------------------------------------------------------------ */

/* "The leader appends the command to its log as a new entry, then issues AppendEntries RPCs in
 * parallel to each of the other servers." */
static void test_5_3_a_command_is_appended_and_sent_to_all(void **state)
{
    (void)state;
    struct group *g = group_new(3);
    group_elect(g, 0);

    group_submit(g, 0, 2);

    ASSERT_LOG(g, 0, 1, 1, 1);
    for (node_index to = 1; to < 3; to++) {
        const struct mail *m = group_sent(g, 0, to, RAFT_APPEND);
        assert_int_equal(m->body.append.prev_slot, 1);
        assert_int_equal(m->body.append.prev_term, 1);
        assert_int_equal(m->lo, 2);
        assert_int_equal(m->hi, 4);
    }
    group_free(g);
}

/* "A log entry is committed once the leader that created the entry has replicated it on a majority
 * of the servers", and only committed entries are applied. */
static void test_5_3_an_entry_on_a_majority_is_committed_and_applied(void **state)
{
    (void)state;
    struct group *g = group_new(5);
    group_elect(g, 0);
    group_submit(g, 0, 1);
    group_sync(g, 0);
    qr_slot before = group_raft(g, 0)->commit;

    struct raft_append_ack ack = { .term = 1, .match = 2 };
    group_deliver(g, 1, 0, RAFT_APPEND_ACK, &ack, 0, 0, 0);
    assert_int_equal(group_raft(g, 0)->commit, before); /* two of five */
    group_deliver(g, 2, 0, RAFT_APPEND_ACK, &ack, 0, 0, 0);

    assert_int_equal(group_raft(g, 0)->commit, 2);
    assert_int_equal(g->node[0].applied, 2);
    group_free(g);
}

/* "Once a follower learns that a log entry is committed, it applies the entry." */
static void test_5_3_followers_learn_the_commit_index_scenario_2(void **state)
{
    (void)state;
    struct group *g = group_new(3);
    struct raft_append m = append_of(1, 0, 0, 2);

    group_deliver(g, 1, 0, RAFT_APPEND, &m, 1, 4, 1);
    assert_int_equal(g->node[0].applied, 2);
    m = append_of(1, 3, 1, 9); /* figure 2: min(leaderCommit, index of last new entry) */
    group_deliver(g, 1, 0, RAFT_APPEND, &m, 0, 0, 0);

    assert_int_equal(g->node[0].applied, 3);
    group_free(g);
}

/* The consistency check: "If the follower does not find an entry in its log with the same index and
 * term, then it refuses the new entries." */
static void test_5_3_a_gap_or_a_contradiction_before_the_entries_is_refused(void **state)
{
    (void)state;
    struct group *g = group_new(3);
    REFILL(g, 0, 2, 1, 1);

    struct raft_append gap = append_of(2, 3, 1, 0);
    group_deliver(g, 1, 0, RAFT_APPEND, &gap, 4, 5, 2);
    assert_int_equal(group_sent(g, 0, 1, RAFT_APPEND_REJECT)->body.append_reject.prev_slot, 3);
    group_lose_mail(g);
    struct raft_append other = append_of(2, 2, 2, 0);
    group_deliver(g, 1, 0, RAFT_APPEND, &other, 3, 4, 2);

    assert_non_null(group_sent(g, 0, 1, RAFT_APPEND_REJECT));
    assert_null(group_sent(g, 0, 1, RAFT_APPEND_ACK));
    ASSERT_LOG(g, 0, 1, 1);
    group_free(g);
}

/* "If an existing entry conflicts with a new one (same index but different terms), delete the
 * existing entry and all that follow it." */
static void test_5_3_conflicting_entries_are_overwritten(void **state)
{
    (void)state;
    struct group *g = group_new(3);
    REFILL(g, 0, 4, 1, 2, 2, 2);

    struct raft_append m = append_of(4, 1, 1, 0);
    group_deliver(g, 1, 0, RAFT_APPEND, &m, 2, 4, 3);

    ASSERT_LOG(g, 0, 1, 3, 3);
    assert_null(group_sent(g, 0, 1, RAFT_APPEND_ACK)); /* not before it is durable */
    group_sync(g, 0);
    assert_int_equal(group_sent(g, 0, 1, RAFT_APPEND_ACK)->body.append_ack.match, 3);
    group_free(g);
}

/* Entries that are there already are not touched, and an old message does not cut off what a later
 * one brought: only a conflict may. */
static void test_5_3_an_old_append_removes_nothing(void **state)
{
    (void)state;
    struct group *g = group_new(3);
    struct raft_append m = append_of(1, 0, 0, 0);
    group_deliver(g, 1, 0, RAFT_APPEND, &m, 1, 6, 1);
    group_sync(g, 0);
    group_lose_mail(g);

    group_deliver(g, 1, 0, RAFT_APPEND, &m, 1, 3, 1); /* the same, delayed and shorter */

    ASSERT_LOG(g, 0, 1, 1, 1, 1, 1);
    assert_non_null(group_sent(g, 0, 1, RAFT_APPEND_ACK));
    assert_int_equal(g->node[0].write_count, 0);
    group_free(g);
}

/* Figure 7: whatever a follower lacks or has too much, the leader makes its log equal its own. */
static void test_5_3_figure_7_every_log_becomes_the_leaders(void **state)
{
    (void)state;
    struct group *g = group_new(7);
    /* clang-format off */
    REFILL(g, 0, 7, 1, 1, 1, 4, 4, 5, 5, 6, 6, 6);
    REFILL(g, 1, 6, 1, 1, 1, 4, 4, 5, 5, 6, 6);                   /* a */
    REFILL(g, 2, 6, 1, 1, 1, 4);                                  /* b */
    REFILL(g, 3, 6, 1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6);             /* c */
    REFILL(g, 4, 7, 1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7);          /* d */
    REFILL(g, 5, 6, 1, 1, 1, 4, 4, 4, 4);                         /* e */
    REFILL(g, 6, 6, 1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3);             /* f */
    /* clang-format on */

    group_elect(g, 0); /* with the votes of a, b, e and f, as the paper says */
    group_elapse(g, 100 * QR_MILLISECOND);

    for (node_index i = 0; i < 7; i++) {
        ASSERT_LOG(g, i, 1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 8);
        assert_int_equal(g->node[i].applied, 11);
    }
    group_free(g);
}

/* "One AppendEntries RPC will be required for each term with conflicting entries, rather than one
 * RPC per entry." */
static void test_5_3_one_rejection_skips_a_whole_term(void **state)
{
    (void)state;
    struct group *g = group_new(3);
    REFILL(g, 0, 3, 1, 3, 3, 3, 3, 3, 3, 3, 3);
    REFILL(g, 1, 2, 1, 2, 2, 2, 2, 2, 2, 2, 2);
    g->node[2].cut = false;
    group_elect(g, 0);

    group_elapse(g, 30 * QR_MILLISECOND);

    assert_true(g->node[0].point_count[POINT_REJECTED] <= 3); /* two followers */
    ASSERT_LOG(g, 1, 1, 3, 3, 3, 3, 3, 3, 3, 3, 4);
    group_free(g);
}

/* "If followers crash or run slowly, or if network packets are lost, the leader retries
 * AppendEntries RPCs indefinitely." */
static void test_5_3_lost_appends_are_sent_again(void **state)
{
    (void)state;
    struct group *g = group_new(3);
    group_elect(g, 0);
    g->node[2].cut = true;
    group_submit(g, 0, 100);
    group_elapse(g, QR_SECOND);
    assert_int_equal(g->node[2].log.last, 1);

    g->node[2].cut = false;
    group_elapse(g, 60 * QR_MILLISECOND);

    assert_int_equal(g->node[2].log.last, 101);
    group_free(g);
}

/* --- 5.4 Safety
 * ------------------------------------------------------------------------------------------ */

/* 5.4.1: "the voter denies its vote if its own log is more up-to-date than that of the candidate":
 * the later last term, then the longer log. */
static void test_5_4_1_votes_go_only_to_logs_as_up_to_date_scenario_72(void **state)
{
    (void)state;
    static const struct {
        qr_slot last_slot;
        qr_term last_term;
        bool granted;
    } cases[] = {
        { 3, 2, true }, { 4, 2, true }, { 2, 2, false }, { 9, 1, false },
        { 1, 3, true }, { 3, 3, true }, { 0, 0, false },
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct group *g = group_new(3);
        REFILL(g, 0, 5, 1, 2, 2);

        struct raft_vote v = { .term = 6 };
        v.last_slot = cases[i].last_slot;
        v.last_term = cases[i].last_term;
        group_deliver(g, 1, 0, RAFT_VOTE, &v, 0, 0, 0);
        group_sync(g, 0);

        assert_int_equal(group_sent(g, 0, 1, RAFT_VOTE_REPLY)->body.vote_reply.granted,
                         cases[i].granted);
        assert_int_equal(group_raft(g, 0)->term, 6); /* the term counts either way */
        group_free(g);
    }
}

/* 5.4.2 and figure 8: an entry of an older term on a majority is not committed by that alone. */
static void test_5_4_2_figure_8_old_terms_are_not_committed_by_counting(void **state)
{
    (void)state;
    struct group *g = group_new(5);
    /* (c): S1 leads again, in term 4, and brings its entry of term 2 to S2 and S3. */
    REFILL(g, 0, 3, 1, 2);
    group_time_out(g, 0);
    for (node_index i = 1; i < 4; i++) {
        struct raft_prevote_reply yes = { .term = 4, .granted = true };
        group_deliver(g, i, 0, RAFT_PREVOTE_REPLY, &yes, 0, 0, 0);
    }
    group_sync(g, 0);
    for (node_index i = 1; i < 4; i++) {
        struct raft_vote_reply yes = { .term = 4, .granted = true };
        group_deliver(g, i, 0, RAFT_VOTE_REPLY, &yes, 0, 0, 0);
    }
    ASSERT_LOG(g, 0, 1, 2, 4);
    group_sync(g, 0);

    struct raft_append_ack ack = { .term = 4, .match = 2 };
    for (node_index i = 1; i < 4; i++) {
        group_deliver(g, i, 0, RAFT_APPEND_ACK, &ack, 0, 0, 0);
    }
    /* On four of five, but S5 could still be elected and overwrite it: (d). */
    assert_int_equal(group_raft(g, 0)->commit, 0);
    ack.match = 3; /* (e): with an entry of term 4 on a majority S5 cannot win any more */
    group_deliver(g, 1, 0, RAFT_APPEND_ACK, &ack, 0, 0, 0);
    assert_int_equal(group_raft(g, 0)->commit, 0);
    group_deliver(g, 2, 0, RAFT_APPEND_ACK, &ack, 0, 0, 0);

    assert_int_equal(group_raft(g, 0)->commit, 3);
    assert_int_equal(g->node[0].applied, 3);
    group_free(g);
}

/* 5.4.3, Leader Completeness, by the story of figure 9: a leader that could not know that its
 * predecessor had committed an entry has it nevertheless. */
static void test_5_4_3_a_new_leader_holds_everything_committed(void **state)
{
    (void)state;
    struct group *g = group_new(5);
    group_elect(g, 0);
    g->node[3].cut = true;
    g->node[4].cut = true;
    group_submit(g, 0, 3);
    group_settle(g);
    qr_slot committed = group_raft(g, 0)->commit;
    assert_int_equal(committed, 4);
    g->node[3].cut = false;
    g->node[4].cut = false;
    group_crash(g, 0);

    group_elapse(g, 2 * QR_SECOND); /* whoever campaigns first */

    node_index leader = group_raft(g, 1)->leader;
    assert_true(leader == 1 || leader == 2); /* 3 and 4 cannot win */
    assert_true(g->node[leader].log.last > committed);
    for (node_index i = 1; i < 5; i++) {
        assert_int_equal(g->node[i].applied, g->node[leader].log.last);
    }
    group_free(g);
}

/* Figure 3, Leader Append-Only, and the fate of a deposed leader's tail. */
static void test_figure_3_a_deposed_leaders_tail_gives_way(void **state)
{
    (void)state;
    struct group *g = group_new(3);
    group_elect(g, 0);
    g->node[0].cut = true;
    group_submit(g, 0, 4); /* committed nowhere */
    group_elapse(g, 2 * QR_SECOND);
    assert_int_not_equal(group_raft(g, 0)->phase, PHASE_LEADER);
    node_index leader = group_raft(g, 1)->leader;
    group_submit(g, leader, 1);
    group_settle(g);

    g->node[0].cut = false;
    group_elapse(g, QR_SECOND);

    leader = group_raft(g, 1)->leader;
    assert_int_equal(g->node[0].log.last, g->node[leader].log.last);
    for (qr_slot s = 1; s <= g->node[leader].log.last; s++) {
        assert_int_equal(g->node[0].log.entry[s].term, g->node[leader].log.entry[s].term);
    }
    group_free(g);
}

/* --- 5.5 Follower and candidate crashes
 * --------------------------------------------------------------------- */

/* "Raft RPCs are idempotent, so this causes no harm." */
static void test_5_5_repeated_requests_cause_no_harm(void **state)
{
    (void)state;
    struct group *g = group_new(3);
    struct raft_append m = append_of(1, 0, 0, 3);
    for (int i = 0; i < 3; i++) {
        group_deliver(g, 1, 0, RAFT_APPEND, &m, 1, 4, 1);
        group_sync(g, 0);
    }
    ASSERT_LOG(g, 0, 1, 1, 1);
    assert_int_equal(g->node[0].applied, 3);
    assert_int_equal(g->node[0].disk.last, 3);
    group_free(g);
}

/* A follower that comes back catches up, its commit index included, although nothing new is
 * written. */
static void test_5_5_a_restarted_follower_catches_up_in_an_idle_group(void **state)
{
    (void)state;
    struct group *g = group_new(3);
    group_elect(g, 0);
    group_submit(g, 0, 5);
    group_elapse(g, 50 * QR_MILLISECOND);

    group_restart(g, 2, false);
    assert_int_equal(g->node[2].applied, 0);
    group_elapse(g, 60 * QR_MILLISECOND);

    assert_int_equal(g->node[2].applied, 6);
    assert_int_equal(group_raft(g, 0)->phase, PHASE_LEADER);
    group_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_5_3_a_command_is_appended_and_sent_to_all),
        cmocka_unit_test(test_5_3_an_entry_on_a_majority_is_committed_and_applied),
        cmocka_unit_test(test_5_3_followers_learn_the_commit_index_scenario_2),
        cmocka_unit_test(test_5_3_a_gap_or_a_contradiction_before_the_entries_is_refused),
        cmocka_unit_test(test_5_3_conflicting_entries_are_overwritten),
        cmocka_unit_test(test_5_3_an_old_append_removes_nothing),
        cmocka_unit_test(test_5_3_figure_7_every_log_becomes_the_leaders),
        cmocka_unit_test(test_5_3_one_rejection_skips_a_whole_term),
        cmocka_unit_test(test_5_3_lost_appends_are_sent_again),
        cmocka_unit_test(test_5_4_1_votes_go_only_to_logs_as_up_to_date_scenario_72),
        cmocka_unit_test(test_5_4_2_figure_8_old_terms_are_not_committed_by_counting),
        cmocka_unit_test(test_5_4_3_a_new_leader_holds_everything_committed),
        cmocka_unit_test(test_figure_3_a_deposed_leaders_tail_gives_way),
        cmocka_unit_test(test_5_5_repeated_requests_cause_no_harm),
        cmocka_unit_test(test_5_5_a_restarted_follower_catches_up_in_an_idle_group),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
