/* Which nodes are up (cluster/beats.h): silence, connections, a node that stood still. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cluster/beats.h"

#define MS QR_MILLISECOND

static struct beats three(qr_time now)
{
    struct beats b;
    uint16_t to, up;
    struct detector_options options = { .interval = 25 * MS, .silence = 300 * MS };
    beats_init(&b, &options);
    beats_connected(&b, 1, true, now);
    beats_connected(&b, 2, true, now);
    (void)beats_turn(&b, now, &to, &up);
    assert_int_equal(up, 6);
    assert_int_equal(to, 0);
    return b;
}

/* Looks every 25 ms from `from` on, until `until`; node 2 is heard all the time. */
static uint16_t pass(struct beats *b, qr_time from, qr_time until)
{
    uint16_t to, up = 0;
    for (qr_time now = from; now <= until; now += 25 * MS) {
        beats_heard(b, 2, now);
        (void)beats_turn(b, now, &to, &up);
    }
    return up;
}

static void test_who_is_silent_for_an_election_time_out_is_away(void **state)
{
    (void)state;
    struct beats b = three(1000 * MS);
    assert_int_equal(pass(&b, 1025 * MS, 1299 * MS), 6);
    assert_int_equal(pass(&b, 1300 * MS, 1300 * MS), 4);
    assert_int_equal(b.silences, 1);
    assert_int_equal(pass(&b, 1325 * MS, 1400 * MS), 4);
    beats_heard(&b, 1, 1410 * MS);
    assert_int_equal(pass(&b, 1425 * MS, 1425 * MS), 6);
    assert_int_equal(b.silences, 1);
}

static void test_a_beat_goes_where_nothing_else_went(void **state)
{
    (void)state;
    struct beats b = three(1000 * MS);
    uint16_t to, up;
    beats_sent(&b, 1, 1020 * MS);
    assert_int_equal(beats_turn(&b, 1025 * MS, &to, &up), 1045 * MS);
    assert_int_equal(to, 4);
    assert_int_equal(beats_turn(&b, 1045 * MS, &to, &up), 1050 * MS);
    assert_int_equal(to, 2);
}

static void test_a_node_that_stood_still_accuses_nobody(void **state)
{
    (void)state;
    struct beats b = three(1000 * MS);
    uint16_t to, up;
    (void)beats_turn(&b, 9000 * MS, &to, &up); /* stopped for eight seconds */
    assert_int_equal(up, 6);
    assert_int_equal(pass(&b, 9025 * MS, 9250 * MS), 6);
    assert_int_equal(pass(&b, 9275 * MS, 9325 * MS), 4); /* and then it counts */
}

/* What was heard since it woke is no older, and no younger, than it is. */
static void test_who_falls_silent_behind_a_stop_is_missed_as_soon_as_ever(void **state)
{
    (void)state;
    struct beats b = three(1000 * MS);
    uint16_t to, up;
    beats_heard(&b, 1, 9000 * MS);
    (void)beats_turn(&b, 9000 * MS, &to, &up);
    assert_int_equal(pass(&b, 9025 * MS, 9299 * MS), 6);
    assert_int_equal(pass(&b, 9300 * MS, 9300 * MS), 4);
}

/* B2: a busy loop that looks a little late has run all the time. */
static void test_a_busy_node_notices_silence_in_time(void **state)
{
    (void)state;
    struct beats b = three(1000 * MS);
    uint16_t to, up = 0;
    for (qr_time now = 1045 * MS; now <= 1315 * MS; now += 45 * MS) {
        assert_int_equal(up & 4, up != 0 ? 4 : 0);
        beats_heard(&b, 2, now);
        (void)beats_turn(&b, now, &to, &up);
    }
    assert_int_equal(up, 4);
}

static void test_a_closed_connection_is_away_at_once(void **state)
{
    (void)state;
    struct beats b = three(1000 * MS);
    beats_lost(&b, 1);
    assert_int_equal(pass(&b, 1010 * MS, 1010 * MS), 4);
    assert_int_equal(b.silences, 0);
    beats_connected(&b, 1, true, 1020 * MS);
    assert_int_equal(b.up, 4); /* B3: another life; up with the next look */
    assert_int_equal(pass(&b, 1021 * MS, 1021 * MS), 6);
    beats_connected(&b, 1, true, 1030 * MS); /* nobody has seen the connection before it close */
    assert_int_equal(b.up, 4);
}

static void test_an_older_node_is_up_while_it_is_connected(void **state)
{
    (void)state;
    struct beats b = three(1000 * MS);
    uint16_t to, up;
    beats_connected(&b, 3, false, 1000 * MS);
    for (qr_time now = 1025 * MS; now < 3000 * MS; now += 25 * MS) {
        (void)beats_turn(&b, now, &to, &up);
        assert_int_equal(to & 8, 0);
        assert_int_equal(up & 8, 8);
    }
    beats_lost(&b, 3);
    (void)beats_turn(&b, 3000 * MS, &to, &up);
    assert_int_equal(up, 0);
    beats_connected(&b, 1, false, 3000 * MS); /* it went back to its version before */
    assert_int_equal(pass(&b, 3025 * MS, 4000 * MS), 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_is_silent_for_an_election_time_out_is_away),
        cmocka_unit_test(test_a_beat_goes_where_nothing_else_went),
        cmocka_unit_test(test_a_node_that_stood_still_accuses_nobody),
        cmocka_unit_test(test_who_falls_silent_behind_a_stop_is_missed_as_soon_as_ever),
        cmocka_unit_test(test_a_busy_node_notices_silence_in_time),
        cmocka_unit_test(test_a_closed_connection_is_away_at_once),
        cmocka_unit_test(test_an_older_node_is_up_while_it_is_connected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
