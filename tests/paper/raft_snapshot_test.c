/* The claims of Ongaro's dissertation (2014), chapter 5: log compaction. One test each; the section
 * stands in the name. Figure 5.3 is InstallSnapshot: here the drivers move the bytes, and its rules
 * hold for the OFFER of what has come (snapshot.c says where they differ and why). */
#include "tests/paper/paper.h"

#include <stdlib.h>

/* An offer to node i: the state up to `slot`, whose entry is of `slot_term`, committed in `term`.
 */
static void offer(struct group *g, node_index i, qr_slot slot, qr_term slot_term, qr_term term)
{
    struct group_snapshot *s = calloc(1, sizeof *s);
    assert_non_null(s);
    s->from = 1;
    s->slot = slot;
    s->slot_term = slot_term;
    s->term = term;
    s->membership.members.voters = (uint16_t)((1u << g->n) - 1);
    group_offer(g, i, s);
    free(s);
}

/* The log of node 0 holds entries of terms 1, 1, 2, 3; three of them are committed. */
static struct group *group_with_a_log(void)
{
    struct group *g = group_new(3);
    REFILL(g, 0, 3, 1, 1, 2, 3);
    struct raft_append m = append_of(3, 4, 3, 3);
    group_deliver(g, 1, 0, RAFT_APPEND, &m, 0, 0, 0);
    return g;
}

static uint32_t installed(const struct group *g, node_index i)
{
    return g->node[i].point_count[POINT_INSTALLED];
}

/* --- 5.1 Snapshotting memory-based state machines --------------------------------------------- */

/* "Each server takes snapshots independently, covering just the committed entries in its log."
 * "Once a server completes writing a snapshot, it may delete all log entries up through the last
 * included index." */
static void test_5_1_each_server_discards_its_log_independently(void **state)
{
    (void)state;
    struct group *g = group_new(3);
    group_elect(g, 0);
    group_submit(g, 0, 9);
    group_elapse(g, 60 * QR_MILLISECOND);
    group_checkpoint(g, 2, 7, 7, 0);
    assert_int_equal(group_raft(g, 2)->trimmed, 7);
    assert_int_equal(group_raft(g, 0)->trimmed, 0);
    struct outlook o;
    raft_protocol.outlook(group_raft(g, 2), &o);
    assert_int_equal(o.first, 8);
    group_free(g);
}

/* "The last included index and term are preserved to support the AppendEntries consistency check
 * for the first log entry following the snapshot, since that entry needs a previous log index and
 * term." */
static void test_5_1_the_last_included_index_and_term_are_kept(void **state)
{
    (void)state;
    struct group *g = group_with_a_log();
    group_checkpoint(g, 0, 3, 3, 0);
    const struct trail *t = &group_raft(g, 0)->trail;
    assert_int_equal(t->base_slot, 3);
    assert_int_equal(trail_term(t, 3), 2);
    group_lose_mail(g);
    struct raft_append m = append_of(4, 3, 2, 3);
    group_deliver(g, 2, 0, RAFT_APPEND, &m, 4, 5, 4);
    assert_int_equal(t->last_slot, 4);
    assert_int_equal(trail_term(t, 4), 4);
    group_free(g);
}

/* "The snapshot also includes the latest configuration in the log as of last included index." */
static void test_5_1_the_configuration_comes_with_the_snapshot(void **state)
{
    (void)state;
    struct group *g = group_new(3);
    struct group_snapshot *s = calloc(1, sizeof *s);
    assert_non_null(s);
    *s = (struct group_snapshot){ .from = 1, .slot = 9, .slot_term = 2, .term = 2 };
    s->membership = (struct membership_at){ .slot = 5, .members = { .voters = 3, .learners = 4 } };
    group_offer(g, 2, s);
    free(s);
    assert_int_equal(group_members(g, 2).voters, 3);
    assert_int_equal(group_members(g, 2).learners, 4);
    group_settle(g);
    group_restart(g, 2, true);
    assert_int_equal(group_members(g, 2).learners, 4);
    group_free(g);
}

/* "the leader must occasionally send snapshots to followers that lag behind. This happens when the
 * leader has already discarded the next log entry that it needs to send to a follower." */
static void test_5_1_a_leader_sends_one_when_the_next_entry_is_discarded(void **state)
{
    (void)state;
    struct group *g = group_new(3);
    group_elect(g, 0);
    g->node[2].cut = true;
    group_submit(g, 0, 9);
    group_elapse(g, 60 * QR_MILLISECOND);
    group_checkpoint(g, 0, 10, 6, 0);
    g->node[2].cut = false;
    group_elapse(g, 60 * QR_MILLISECOND);
    assert_int_equal(group_raft(g, 0)->peer[2].mode, PEER_SNAPSHOT);
    bool wanted = false;
    for (uint32_t k = 0; k < g->node[0].note_count; k++) {
        const struct group_note *note = &g->node[0].note[k];
        wanted = wanted || (note->kind == EFFECT_SNAPSHOT && note->to == 2 && note->slot == 6);
    }
    assert_true(wanted);
    group_bring_snapshot(g, 0, 2);
    group_elapse(g, 60 * QR_MILLISECOND);
    assert_int_equal(g->node[2].applied, 10);
    group_free(g);
}

/* --- Figure 5.3: InstallSnapshot ------------------------------------------------------------- */

/* "1. Reply immediately if term < currentTerm." Here a snapshot of an older term is welcome: what
 * it holds is committed whatever has become of its sender. The term stays. */
static void test_figure_5_3_rule_1_a_snapshot_of_an_older_term_is_as_good(void **state)
{
    (void)state;
    struct group *g = group_new(3);
    REFILL(g, 0, 8, 1, 1);
    offer(g, 0, 20, 3, 4);
    assert_int_equal(installed(g, 0), 1);
    assert_int_equal(group_raft(g, 0)->term, 8);
    assert_int_equal(group_raft(g, 0)->commit, 20);
    group_free(g);
}

/* Rules for all servers: "If RPC request or response contains term T > currentTerm: set currentTerm
 * = T, convert to follower." */
static void test_figure_5_3_a_later_term_is_taken_over_first(void **state)
{
    (void)state;
    struct group *g = group_new(3);
    group_elect(g, 0);
    offer(g, 0, 20, 3, 4);
    assert_int_equal(group_raft(g, 0)->phase, PHASE_FOLLOWER);
    assert_int_equal(group_raft(g, 0)->term, 4);
    assert_int_equal(g->node[0].log.state.term, 4);
    group_free(g);
}

/* "5. ... discard any existing or partial snapshot with a smaller index": what is behind is let go.
 * "A server could receive an old snapshot": it changes nothing. */
static void test_figure_5_3_rule_5_a_smaller_index_is_ignored(void **state)
{
    (void)state;
    struct group *g = group_with_a_log();
    offer(g, 0, 2, 1, 3);
    offer(g, 0, 3, 2, 3);
    assert_int_equal(installed(g, 0), 0);
    ASSERT_LOG(g, 0, 1, 1, 2, 3);
    group_free(g);
}

/* "6. If existing log entry has same index and term as snapshot's last included entry, retain log
 * entries following it and reply." */
static void test_figure_5_3_rule_6_a_log_that_holds_the_last_entry_is_kept(void **state)
{
    (void)state;
    struct group *g = group_new(3);
    REFILL(g, 0, 3, 1, 1, 2, 3, 3);
    offer(g, 0, 3, 2, 3);
    assert_int_equal(installed(g, 0), 0);
    assert_int_equal(g->node[0].applied, 3); /* from the log */
    ASSERT_LOG(g, 0, 1, 1, 2, 3, 3);
    group_free(g);
}

/* "7. Discard the entire log." "8. Reset state machine using snapshot contents (and load snapshot's
 * cluster configuration)." */
static void test_figure_5_3_rule_7_a_log_that_contradicts_is_discarded(void **state)
{
    (void)state;
    struct group *g = group_new(3);
    REFILL(g, 0, 3, 1, 1, 1, 1, 1, 1);
    offer(g, 0, 4, 2, 3);
    assert_int_equal(installed(g, 0), 1);
    assert_int_equal(g->node[0].applied, 4);
    assert_int_equal(g->node[0].log.base, 4);
    assert_int_equal(g->node[0].log.last, 4);
    assert_int_equal(trail_last_term(&group_raft(g, 0)->trail), 2);
    group_free(g);
}

/* The reply comes when the snapshot is saved; "the leader then sends AppendEntries to the follower
 * with the log entry after the last included index". */
static void test_figure_5_3_the_leader_goes_on_behind_the_snapshot(void **state)
{
    (void)state;
    struct group *g = group_new(3);
    group_elect(g, 0);
    group_settle(g);
    g->node[2].cut = true;
    group_submit(g, 0, 9);
    group_elapse(g, 60 * QR_MILLISECOND);
    group_checkpoint(g, 0, 10, 10, 0);
    g->node[2].cut = false;
    group_elapse(g, 30 * QR_MILLISECOND);
    g->node[2].disk_held = true;
    group_bring_snapshot(g, 0, 2);
    group_submit(g, 0, 1);
    group_settle(g);
    assert_int_equal(group_raft(g, 0)->peer[2].match, 1); /* not yet on disk */
    g->node[2].disk_held = false;
    group_settle(g);
    assert_int_equal(g->node[2].log.last, 11);
    assert_int_equal(group_raft(g, 0)->peer[2].match, 11);
    group_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_5_1_each_server_discards_its_log_independently),
        cmocka_unit_test(test_5_1_the_last_included_index_and_term_are_kept),
        cmocka_unit_test(test_5_1_the_configuration_comes_with_the_snapshot),
        cmocka_unit_test(test_5_1_a_leader_sends_one_when_the_next_entry_is_discarded),
        cmocka_unit_test(test_figure_5_3_rule_1_a_snapshot_of_an_older_term_is_as_good),
        cmocka_unit_test(test_figure_5_3_a_later_term_is_taken_over_first),
        cmocka_unit_test(test_figure_5_3_rule_5_a_smaller_index_is_ignored),
        cmocka_unit_test(test_figure_5_3_rule_6_a_log_that_holds_the_last_entry_is_kept),
        cmocka_unit_test(test_figure_5_3_rule_7_a_log_that_contradicts_is_discarded),
        cmocka_unit_test(test_figure_5_3_the_leader_goes_on_behind_the_snapshot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
