/* G5 of raft/replicate.c: what is committed is told at once where somebody asks for that. And A6 of
 * raft/append.c: since when a replica has committed all that was acknowledged before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "group.h"

static bool informed(struct group *g, node_index i)
{
    struct outlook o = { 0 };
    raft_protocol.outlook(group_raft(g, i), &o);
    return o.informed;
}

static void crash_all(struct group *g)
{
    for (node_index i = 0; i < g->n; i++) {
        group_crash(g, i);
    }
}

/* After a start the commit index is the checkpoint's, and what a new leader says is no more until
 * an entry of its own term is committed. */
static void test_after_a_restart_of_all_the_checkpoint_is_not_enough_A6(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(3, 3);
    group_submit(g, 0, 4);
    group_settle(g);
    group_elapse(g, 2 * g->limits.heartbeat);
    for (node_index i = 0; i < 3; i++) {
        assert_true(informed(g, i));
    }
    crash_all(g);
    for (node_index i = 0; i < 3; i++) {
        group_disk_trim(g, i, 2);
        group_restart(g, i, true);
        assert_false(informed(g, i));
    }
    group_time_out(g, 1);
    group_settle(g); /* the whole of it: leader, NOOP, commit */
    assert_int_equal(group_raft(g, 1)->phase, PHASE_LEADER);
    assert_true(informed(g, 1));
    group_elapse(g, 2 * g->limits.heartbeat);
    assert_true(group_raft(g, 0)->commit > 5);
    assert_false(informed(g, 0)); /* heartbeats do not say enough */
    group_submit(g, 1, 1);
    group_settle(g);
    group_submit(g, 1, 1);
    group_settle(g);
    assert_true(informed(g, 0) && informed(g, 2));
    group_free(g);
}

static void test_what_a_leader_says_before_it_has_committed_anything_is_too_little_A6(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(3, 3);
    group_submit(g, 0, 4);
    group_settle(g);
    group_elapse(g, 2 * g->limits.heartbeat);
    crash_all(g);
    for (node_index i = 0; i < 3; i++) {
        group_disk_trim(g, i, 2);
        group_restart(g, i, true);
    }
    struct raft *r = group_raft(g, 1);
    struct raft_append m = { .term = r->term + 1, .prev_slot = 5, .prev_term = 1, .commit = 2 };
    group_deliver(g, 0, 1, RAFT_APPEND, &m, 0, 0, 0);
    assert_int_equal(r->leader, 0);
    assert_int_equal(r->commit, 2);
    assert_false(informed(g, 1));
    group_free(g);
}

/* One that has started anew in the term of its leader. */
static struct group *one_that_is_back(void)
{
    struct group *g = group_led_by_0(3, 3);
    group_submit(g, 0, 4);
    group_settle(g);
    group_elapse(g, 2 * g->limits.heartbeat);
    group_crash(g, 1);
    group_disk_trim(g, 1, 2);
    group_restart(g, 1, true);
    assert_int_equal(group_raft(g, 1)->commit, 2);
    return g;
}

static void heartbeat(struct group *g, qr_slot commit)
{
    struct raft_heartbeat m = { .term = group_raft(g, 0)->term, .commit = commit };
    group_deliver(g, 0, 1, RAFT_HEARTBEAT, &m, 0, 0, 0);
}

static void append(struct group *g, qr_slot commit)
{
    struct raft_append m = {
        .term = group_raft(g, 0)->term, .prev_slot = 5, .prev_term = 1, .commit = commit
    };
    group_deliver(g, 0, 1, RAFT_APPEND, &m, 0, 0, 0);
}

/* They speak of no more than the leader knows to be there. */
static void test_a_heartbeat_informs_nobody_A6(void **state)
{
    (void)state;
    struct group *g = one_that_is_back();
    heartbeat(g, 4);
    assert_int_equal(group_raft(g, 1)->commit, 4); /* A5 */
    assert_false(informed(g, 1));
    append(g, 5);
    assert_true(informed(g, 1));
    group_free(g);
}

static void test_who_lacks_what_its_leader_has_committed_is_not_informed_A6(void **state)
{
    (void)state;
    struct group *g = one_that_is_back();
    append(g, 6);
    assert_int_equal(group_raft(g, 1)->commit, 5);
    assert_false(informed(g, 1));
    group_free(g);
}

static void test_an_index_informs_A6(void **state)
{
    (void)state;
    struct group *g = one_that_is_back();
    heartbeat(g, 2);
    struct raft_read_at m = { .term = group_raft(g, 0)->term, .number = 1, .slot = 6 };
    group_deliver(g, 0, 1, RAFT_READ_AT, &m, 0, 0, 0);
    assert_false(informed(g, 1));
    group_free(g);
    g = one_that_is_back();
    heartbeat(g, 2);
    m.slot = 5;
    group_deliver(g, 0, 1, RAFT_READ_AT, &m, 0, 0, 0);
    assert_true(informed(g, 1));
    group_free(g);
}

static void test_the_word_before_a_rest_informs_A6(void **state)
{
    (void)state;
    struct group *g = one_that_is_back();
    heartbeat(g, 2);
    struct raft_quiet m = { .term = group_raft(g, 0)->term, .commit = 6 };
    group_deliver(g, 0, 1, RAFT_QUIET, &m, 0, 0, 0);
    assert_false(informed(g, 1));
    m.commit = 5;
    group_deliver(g, 0, 1, RAFT_QUIET, &m, 0, 0, 0);
    assert_true(informed(g, 1));
    group_free(g);
}

/* What it has shown it has. */
static void test_informed_once_is_informed_for_good_A6(void **state)
{
    (void)state;
    struct group *g = one_that_is_back();
    append(g, 5);
    append(g, 9);
    assert_true(informed(g, 1));
    group_crash(g, 0);
    group_time_out(g, 1);
    assert_true(informed(g, 1));
    group_free(g);
}

static void test_alone_it_informs_itself_A6(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(1, 1);
    assert_true(informed(g, 0));
    group_crash(g, 0);
    group_restart(g, 0, true);
    assert_false(informed(g, 0));
    group_elapse(g, 3 * g->limits.election);
    assert_true(informed(g, 0));
    group_free(g);
}

static void ack(struct group *g, node_index from)
{
    assert_true(group_deliver_one(g, from, 0, RAFT_APPEND_ACK));
}

/* Node 2 is slower, and hears of it when it has the entry. */
static void test_what_is_committed_is_told_at_once_to_whoever_has_it_G5(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(3, 3);
    group_submit(g, 0, 1);
    qr_slot slot = group_raft(g, 0)->trail.last_slot;
    for (node_index i = 1; i < 3; i++) {
        assert_true(group_deliver_one(g, 0, i, RAFT_APPEND));
    }
    for (node_index i = 0; i < 3; i++) {
        group_sync(g, i);
    }
    ack(g, 1);
    assert_int_equal(group_raft(g, 0)->commit, slot);
    assert_null(group_sent(g, 0, 1, RAFT_HEARTBEAT)); /* nobody waits for it */
    group_admin(g, 0, ADMIN_TELL, 0);
    assert_null(group_sent(g, 0, 2, RAFT_HEARTBEAT));
    assert_true(group_deliver_one(g, 0, 1, RAFT_HEARTBEAT));
    assert_int_equal(group_raft(g, 1)->commit, slot);
    group_admin(g, 0, ADMIN_TELL, 0);
    assert_null(group_sent(g, 0, 1, RAFT_HEARTBEAT)); /* nothing more is */
    ack(g, 2);
    assert_true(group_deliver_one(g, 0, 2, RAFT_HEARTBEAT));
    assert_int_equal(group_raft(g, 2)->commit, slot);
    assert_null(group_sent(g, 0, 2, RAFT_HEARTBEAT));
    group_admin(g, 1, ADMIN_TELL, 0); /* it does not lead */
    assert_null(group_sent(g, 1, 2, RAFT_HEARTBEAT));
    group_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_after_a_restart_of_all_the_checkpoint_is_not_enough_A6),
        cmocka_unit_test(test_what_a_leader_says_before_it_has_committed_anything_is_too_little_A6),
        cmocka_unit_test(test_a_heartbeat_informs_nobody_A6),
        cmocka_unit_test(test_who_lacks_what_its_leader_has_committed_is_not_informed_A6),
        cmocka_unit_test(test_an_index_informs_A6),
        cmocka_unit_test(test_the_word_before_a_rest_informs_A6),
        cmocka_unit_test(test_informed_once_is_informed_for_good_A6),
        cmocka_unit_test(test_alone_it_informs_itself_A6),
        cmocka_unit_test(test_what_is_committed_is_told_at_once_to_whoever_has_it_G5),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
