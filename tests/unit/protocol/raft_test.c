/* Raft as one thing: a group that elects, replicates, commits, reads, restarts. The claims of the
 * paper one by one are in tests/paper; the parts in the other files here. */
#include "tests/unit/protocol/group.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void test_three_nodes_elect_write_read_and_restart(void **state)
{
    (void)state;
    struct group *g = group_new(3);
    group_elapse(g, QR_SECOND);
    node_index leader = group_raft(g, 0)->leader;
    assert_int_not_equal(leader, NODE_NONE);
    group_submit(g, leader, 10);
    group_settle(g);
    assert_int_equal(group_raft(g, leader)->commit, 11);
    qr_req read = group_read(g, leader, 3);
    group_settle(g);
    assert_non_null(group_noted(g, leader, EFFECT_READ, read));
    group_elapse(g, 30 * QR_MILLISECOND);
    for (node_index i = 0; i < 3; i++) {
        assert_int_equal(g->node[i].applied, 11);
        group_crash(g, i);
    }
    for (node_index i = 0; i < 3; i++) {
        group_restart(g, i, false);
    }
    group_elapse(g, QR_SECOND);
    for (node_index i = 0; i < 3; i++) {
        assert_int_equal(group_raft(g, i)->term, 2);
        assert_int_equal(g->node[i].applied, 12);
    }
    group_free(g);
}

static void test_scenario_36_one_node_commits_on_its_own_sync(void **state)
{
    (void)state;
    struct group *g = group_new(1);
    group_elapse(g, QR_MILLISECOND);
    assert_int_equal(group_raft(g, 0)->phase, PHASE_LEADER);
    g->node[0].disk_held = true;
    group_submit(g, 0, 5);
    group_settle(g);
    assert_int_equal(g->node[0].applied, 1);
    group_sync(g, 0);
    assert_int_equal(g->node[0].applied, 6);
    group_free(g);
}

static void test_fifteen_nodes_elect_and_commit(void **state)
{
    (void)state;
    struct group *g = group_new(15);
    group_elapse(g, 3 * QR_SECOND);
    node_index leader = group_raft(g, 0)->leader;
    assert_int_not_equal(leader, NODE_NONE);
    group_submit(g, leader, 200);
    group_settle(g);
    assert_true(group_raft(g, leader)->commit >= 201);
    group_free(g);
}

/* F8, U56: whoever is far off the majority's wall clock may not lead. */
static void test_scenario_79_a_leader_whose_wall_clock_is_off_hands_over(void **state)
{
    (void)state;
    for (int side = -1; side <= 1; side += 2) {
        struct group *g = group_new(3);
        group_elect(g, 0);
        g->node[0].wall_offset = side * 400 * QR_MILLISECOND;
        group_elapse(g, QR_SECOND);
        assert_int_equal(group_raft(g, 0)->phase, PHASE_LEADER); /* within the bound */

        g->node[0].wall_offset = side * 600 * QR_MILLISECOND;
        group_elapse(g, 100 * QR_MILLISECOND);

        assert_int_not_equal(group_raft(g, 0)->phase, PHASE_LEADER);
        assert_int_not_equal(group_raft(g, 0)->leader, NODE_NONE);
        assert_int_equal(group_raft(g, 0)->term, 2);
        group_free(g);
    }
}

static void test_hand_overs_end_at_the_clock_in_the_middle(void **state)
{
    (void)state;
    struct group *g = group_new(5);
    group_elect(g, 0);
    for (node_index i = 0; i < 5; i++) {
        g->node[i].wall_offset = i * QR_SECOND;
    }
    group_elapse(g, QR_SECOND);
    qr_term term = group_raft(g, 2)->term;
    assert_int_equal(group_raft(g, 2)->phase, PHASE_LEADER);
    group_elapse(g, 5 * QR_SECOND);
    assert_int_equal(group_raft(g, 2)->term, term);
    group_free(g);
}

static void test_a_node_that_is_off_leaves_elections_to_the_others(void **state)
{
    (void)state;
    for (int round = 0; round < 10; round++) {
        struct group *g = group_new(3);
        group_elect(g, 0);
        g->node[1].wall_offset = -QR_SECOND;
        group_elapse(g, (50 + round) * QR_MILLISECOND);
        group_crash(g, 0);
        group_peer(g, 1, 0, false);
        group_peer(g, 2, 0, false);
        group_elapse(g, QR_SECOND);
        assert_int_equal(group_raft(g, 2)->phase, PHASE_LEADER);

        /* Unless nobody else is left to do it: W2. */
        group_crash(g, 2);
        group_elapse(g, 2 * QR_SECOND);
        assert_true(g->node[1].point_count[POINT_PREVOTE_BEGUN] > 0);
        group_free(g);
    }
}

/* What the driver is to know before it hands over: to whom the group would not leave it. */
static void test_a_leader_tells_whose_clock_is_far_from_its_own(void **state)
{
    (void)state;
    for (int side = -1; side <= 1; side += 2) {
        struct group *g = group_new(3);
        struct outlook o;
        group_elect(g, 0);
        g->node[1].wall_offset = side * QR_SECOND;
        group_elapse(g, 200 * QR_MILLISECOND);
        raft_protocol.outlook(group_raft(g, 0), &o);
        assert_int_equal(o.role, ROLE_LEADER);
        assert_true(o.member[1].skewed);
        assert_false(o.member[0].skewed);
        assert_false(o.member[2].skewed);
        group_free(g);
    }
}

/* The one that should take over cannot: its disk hangs. */
static void test_a_leader_that_cannot_hand_over_steps_down(void **state)
{
    (void)state;
    struct group *g = group_new(3);
    group_elect(g, 0);
    g->node[0].wall_offset = QR_SECOND;
    g->node[1].disk_held = true;
    group_elapse(g, 300 * QR_MILLISECOND);
    assert_int_equal(group_raft(g, 0)->transfer_to, 1);
    group_elapse(g, 100 * QR_MILLISECOND);
    assert_int_not_equal(group_raft(g, 0)->phase, PHASE_LEADER);
    assert_true(group_raft(g, 2)->skewed_until == 0); /* W3: it need not wait */
    assert_true(group_raft(g, 0)->skewed_until > g->now + QR_SECOND);
    group_free(g);
}

/* X6: else clocks that differ and slow disks log term after term, of which nothing is committed. */
static void test_a_leader_that_has_committed_nothing_yet_stays(void **state)
{
    (void)state;
    struct group *g = group_new(3);
    group_elect(g, 0);
    group_admin(g, 0, ADMIN_TRANSFER, 1);
    assert_true(group_deliver_one(g, 0, 1, RAFT_TIMEOUT_NOW));
    group_sync(g, 1);
    for (node_index i = 0; i < 3; i += 2) {
        assert_true(group_deliver_one(g, 1, i, RAFT_VOTE));
        group_sync(g, i);
        assert_true(group_deliver_one(g, i, 1, RAFT_VOTE_REPLY));
    }
    const struct raft *r = group_raft(g, 1);
    assert_int_equal(r->phase, PHASE_LEADER);
    g->node[1].wall_offset = QR_SECOND;
    for (node_index i = 0; i < 3; i++) {
        g->node[i].disk_held = true;
    }
    group_elapse(g, QR_SECOND);
    assert_true(r->commit < r->term_start);
    assert_int_equal(r->phase, PHASE_LEADER);
    assert_true(r->skewed_until > g->now); /* W3 */
    for (node_index i = 0; i < 3; i++) {
        g->node[i].disk_held = false;
    }
    group_elapse(g, QR_SECOND);
    assert_int_not_equal(r->phase, PHASE_LEADER);
    group_free(g);
}

/* Simulator seed 1389: a network that repeats messages and a follower with a slow disk. Were every
 * answer followed by a message, the two would multiply without end. */
static void test_old_acknowledgements_cause_no_messages(void **state)
{
    (void)state;
    struct group *g = group_new(3);
    group_elect(g, 0);
    group_submit(g, 0, 20);
    group_lose_mail(g);
    struct raft_append_ack old = { .term = 1, .match = 1 };
    for (int i = 0; i < 100; i++) {
        group_deliver(g, 1, 0, RAFT_APPEND_ACK, &old, 0, 0, 0);
    }
    assert_true(group_count(g, RAFT_APPEND) <= APPENDS_PER_STEP);
    group_elapse(g, 50 * QR_MILLISECOND);
    assert_int_equal(group_raft(g, 0)->commit, 21);
    group_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_three_nodes_elect_write_read_and_restart),
        cmocka_unit_test(test_scenario_36_one_node_commits_on_its_own_sync),
        cmocka_unit_test(test_fifteen_nodes_elect_and_commit),
        cmocka_unit_test(test_scenario_79_a_leader_whose_wall_clock_is_off_hands_over),
        cmocka_unit_test(test_hand_overs_end_at_the_clock_in_the_middle),
        cmocka_unit_test(test_a_node_that_is_off_leaves_elections_to_the_others),
        cmocka_unit_test(test_a_leader_that_cannot_hand_over_steps_down),
        cmocka_unit_test(test_a_leader_that_has_committed_nothing_yet_stays),
        cmocka_unit_test(test_a_leader_tells_whose_clock_is_far_from_its_own),
        cmocka_unit_test(test_old_acknowledgements_cause_no_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
