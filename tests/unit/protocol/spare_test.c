/* Heartbeats that an APPEND to all puts off (replicate.c G4): only in groups that may rest, only
 * where every member has the end of the log on its way, and never for long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "group.h"

/* Node 0 leads three that may rest, if `may`; a heartbeat has just gone. */
static struct group *led(bool may)
{
    struct protocol_limits limits = group_limits();
    limits.quiet_after = may ? 10 * QR_SECOND : 0;
    struct group *g = group_new_limited(3, &limits);
    group_elect(g, 0);
    group_submit(g, 0, 1);
    group_settle(g);
    for (qr_time beaten = group_raft(g, 0)->beaten; group_raft(g, 0)->beaten == beaten;) {
        group_elapse(g, QR_MILLISECOND);
    }
    return g;
}

static qr_time next(struct group *g)
{
    return raft_protocol.deadline(group_raft(g, 0));
}

static void test_a_write_to_all_puts_the_heartbeat_off_G4(void **state)
{
    (void)state;
    struct group *g = led(true);
    group_elapse(g, 10 * QR_MILLISECOND);
    group_submit(g, 0, 1);
    assert_int_equal(next(g), g->now + g->limits.heartbeat);
    qr_time written = g->now;
    group_settle(g);
    group_elapse(g, g->limits.heartbeat + QR_MILLISECOND);
    assert_true(group_raft(g, 0)->beaten >= written + g->limits.heartbeat); /* nothing came since */
    group_free(g);
}

static void test_where_nobody_rests_it_stays_where_it_was_G4(void **state)
{
    (void)state;
    struct group *g = led(false);
    qr_time due = next(g);
    group_elapse(g, 10 * QR_MILLISECOND);
    group_submit(g, 0, 1);
    assert_int_equal(next(g), due);
    group_free(g);
}

static void test_not_beyond_half_an_election_timeout_G4(void **state)
{
    (void)state;
    struct group *g = led(true);
    qr_time last = g->now, most = 0;
    for (int i = 0; i < 100; i++) {
        group_elapse(g, 10 * QR_MILLISECOND);
        group_submit(g, 0, 1);
        group_settle(g);
        qr_time beaten = group_raft(g, 0)->beaten;
        most = beaten - last > most ? beaten - last : most;
        last = beaten;
    }
    assert_in_range(most, 2 * g->limits.heartbeat, g->limits.election / 2);
    for (node_index i = 0; i < 3; i++) {
        assert_int_equal(group_raft(g, i)->term, 1);
    }
    group_free(g);
}

static void test_a_member_that_is_probed_gets_its_heartbeats_G4(void **state)
{
    (void)state;
    struct group *g = led(true);
    qr_time due = next(g);
    group_peer(g, 0, 2, true); /* its connection is another one: what it has is asked first */
    group_elapse(g, QR_MILLISECOND);
    group_lose_mail(g);
    group_peer(g, 0, 2, true);
    group_submit(g, 0, 1);
    assert_int_equal(next(g), due);
    group_free(g);
}

static void test_a_member_that_answers_nothing_gets_its_heartbeats_G4(void **state)
{
    (void)state;
    struct group *g = led(true);
    g->island = 4;
    for (uint32_t i = 0; i < g->limits.appends_in_flight; i++) {
        group_submit(g, 0, 1);
        group_settle(g);
    }
    group_elapse(g, QR_MILLISECOND);
    qr_time due = next(g);
    group_submit(g, 0, 1); /* the end of the log is not under way to it any more */
    group_settle(g);
    assert_int_equal(next(g), due);
    group_free(g);
}

/* What it says of clocks, and to whom it hands over, goes with heartbeats. */
static void test_a_leader_whose_clock_is_off_beats_on_G4(void **state)
{
    (void)state;
    struct group *g = led(true);
    qr_time due = next(g);
    group_elapse(g, QR_MILLISECOND);
    group_raft(g, 0)->skewed_until = g->now + QR_SECOND;
    group_submit(g, 0, 1);
    assert_int_equal(next(g), due);
    group_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_write_to_all_puts_the_heartbeat_off_G4),
        cmocka_unit_test(test_where_nobody_rests_it_stays_where_it_was_G4),
        cmocka_unit_test(test_not_beyond_half_an_election_timeout_G4),
        cmocka_unit_test(test_a_member_that_is_probed_gets_its_heartbeats_G4),
        cmocka_unit_test(test_a_member_that_answers_nothing_gets_its_heartbeats_G4),
        cmocka_unit_test(test_a_leader_whose_clock_is_off_beats_on_G4),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
