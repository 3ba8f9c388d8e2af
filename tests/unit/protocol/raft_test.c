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

static void test_one_node_commits_on_its_own_sync(void **state)
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_three_nodes_elect_write_read_and_restart),
        cmocka_unit_test(test_one_node_commits_on_its_own_sync),
        cmocka_unit_test(test_fifteen_nodes_elect_and_commit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
