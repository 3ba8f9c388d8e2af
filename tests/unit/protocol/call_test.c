/* An election that is called (ADMIN_CALL, follow.h F11): it comes at once, and never where it could
 * do harm; and the promise of a start, which binds only who can have promised something (lease.c:
 * L2). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "group.h"

static void test_a_new_group_has_a_leader_at_once_when_one_calls(void **state)
{
    (void)state;
    struct group *g = group_new(3);
    group_admin(g, 1, ADMIN_CALL, 0);
    assert_int_equal(raft_protocol.deadline(group_raft(g, 1)), g->now);
    group_elapse(g, 1);
    assert_int_equal(group_raft(g, 1)->phase, PHASE_LEADER);
    assert_int_equal(group_raft(g, 1)->term, 1);
    group_free(g);
}

/* Its first question came before the others had their replicas. */
static void test_a_call_that_was_not_heard_is_made_again(void **state)
{
    (void)state;
    struct group *g = group_new(3);
    g->node[0].cut = g->node[2].cut = true;
    group_admin(g, 1, ADMIN_CALL, 0);
    group_elapse(g, 1);
    assert_int_equal(group_raft(g, 1)->phase, PHASE_PRECANDIDATE);
    g->node[0].cut = g->node[2].cut = false;
    group_admin(g, 1, ADMIN_CALL, 0);
    group_elapse(g, 1);
    assert_int_equal(group_raft(g, 1)->phase, PHASE_LEADER);
    group_free(g);
}

static void test_who_knows_a_leader_calls_nothing(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(3, 3);
    for (node_index i = 0; i < 3; i++) {
        group_admin(g, i, ADMIN_CALL, 0);
    }
    group_elapse(g, 1);
    assert_int_equal(group_raft(g, 0)->phase, PHASE_LEADER);
    assert_int_equal(group_raft(g, 0)->term, 1);
    assert_int_equal(group_raft(g, 1)->phase, PHASE_FOLLOWER);
    assert_int_equal(group_raft(g, 1)->leader, 0);
    group_free(g);
}

/* It was away, the others are led: they do not answer (E3). */
static void test_a_call_behind_a_leaders_back_changes_nothing(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(3, 3);
    group_crash(g, 2);
    group_restart(g, 2, false);
    group_admin(g, 2, ADMIN_CALL, 0);
    group_elapse(g, 2 * g->limits.election);
    assert_int_equal(group_raft(g, 0)->phase, PHASE_LEADER);
    assert_int_equal(group_raft(g, 0)->term, 1);
    group_free(g);
}

static void test_who_may_not_campaign_is_not_made_to(void **state)
{
    (void)state;
    struct group *g = group_new(3);
    group_admin(g, 1, ADMIN_STAND_BACK, 1);
    group_admin(g, 1, ADMIN_CALL, 0);
    assert_int_equal(raft_protocol.deadline(group_raft(g, 1)), QR_NEVER);
    group_free(g);
}

/* L2: it may have promised a lease in the term that it knows. */
static void test_a_call_does_not_break_the_promise_of_a_start(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(3, 3);
    group_settle(g);
    group_crash(g, 1);
    group_restart(g, 1, false);
    group_admin(g, 1, ADMIN_CALL, 0);
    assert_true(group_raft(g, 1)->promise_until > g->now);
    assert_true(raft_protocol.deadline(group_raft(g, 1)) >= group_raft(g, 1)->promise_until);
    group_free(g);
}

static void test_who_has_no_term_has_promised_nothing(void **state)
{
    (void)state;
    struct group *g = group_new(3);
    group_crash(g, 1);
    group_restart(g, 1, false);
    assert_true(group_raft(g, 1)->promise_until <= g->now);
    group_crash(g, 1);
    group_restart_damaged(g, 1, 0); /* but who has forgotten may have had one */
    assert_true(group_raft(g, 1)->promise_until > g->now);
    group_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_new_group_has_a_leader_at_once_when_one_calls),
        cmocka_unit_test(test_a_call_that_was_not_heard_is_made_again),
        cmocka_unit_test(test_who_knows_a_leader_calls_nothing),
        cmocka_unit_test(test_a_call_behind_a_leaders_back_changes_nothing),
        cmocka_unit_test(test_who_may_not_campaign_is_not_made_to),
        cmocka_unit_test(test_a_call_does_not_break_the_promise_of_a_start),
        cmocka_unit_test(test_who_has_no_term_has_promised_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
