/* When elections come (elect.c): one that is called (ADMIN_CALL, follow.h F11) comes at once, and
 * never where it could do harm; where they lead to nothing they become slow (E6); and the promise
 * of a start, which binds only who can have promised something (lease.c: L2). */
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

/* E6: each of these leaders was elected, and committed nothing. */
static void elect_in_vain(struct raft *r, uint32_t times)
{
    while (times-- > 0) {
        trail_append(&r->trail, r->trail.last_slot + 2, trail_last_term(&r->trail) + 1);
    }
    raft_election_reset(r);
}

static void test_elections_that_lead_to_nothing_become_slow_T3(void **state)
{
    (void)state;
    struct group *g = group_new(3);
    struct raft *r = (struct raft *)(uintptr_t)group_raft(g, 1);
    qr_time span = g->limits.election;
    elect_in_vain(r, 71);
    assert_in_range(r->election_due, r->now + span, r->now + 2 * span - 1);
    elect_in_vain(r, 1);
    assert_in_range(r->election_due, r->now + 2 * span, r->now + 4 * span - 1);
    elect_in_vain(r, TRAIL_RUNS - 72);
    assert_int_equal(raft_election_span(r), 12 * span);
    r->commit = r->trail.last_slot - 71; /* what is committed was not in vain */
    assert_int_equal(raft_election_span(r), span);
    group_free(g);
}

/* CheckQuorum waits as long. */
static void test_a_leader_whose_forerunners_had_no_time_has_more_T3(void **state)
{
    (void)state;
    struct group *g = group_new(3);
    struct raft *r = (struct raft *)(uintptr_t)group_raft(g, 0);
    group_admin(g, 0, ADMIN_CALL, 0);
    group_elapse(g, 1);
    assert_int_equal(r->phase, PHASE_LEADER);
    g->node[1].cut = g->node[2].cut = true;
    r->term += 72;
    elect_in_vain(r, 72);
    r->term_start = r->trail.last_slot;
    group_elapse(g, 2 * g->limits.election - 2 * g->limits.heartbeat);
    assert_int_equal(r->phase, PHASE_LEADER);
    group_elapse(g, 3 * g->limits.heartbeat);
    assert_int_not_equal(r->phase, PHASE_LEADER);
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
        cmocka_unit_test(test_elections_that_lead_to_nothing_become_slow_T3),
        cmocka_unit_test(test_a_leader_whose_forerunners_had_no_time_has_more_T3),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
