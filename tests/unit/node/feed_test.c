/* The pace of members that are far behind (feed.h), while time passes as the test says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/feed.h"

#define PIECE (256 * KIB)

static struct feed feed;
static struct feed_sight sight;

static int setup(void **state)
{
    (void)state;
    feed = (struct feed){ 0 };
    sight = (struct feed_sight){ .now = QR_SECOND, .term = 3 };
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        feed_forget(&feed, i);
    }
    return 0;
}

/* Milliseconds in which clients write so much a second, in commands of 1 KiB, and member 1 takes
 * whatever it may have. Returns what it took. */
static uint64_t pass(int ms, uint64_t bytes_per_second)
{
    uint64_t taken = 0;
    for (int i = 0; i < ms; i++) {
        sight.now += QR_MILLISECOND;
        sight.position += bytes_per_second / 1000;
        sight.commands += bytes_per_second / 1000 / KIB;
        sight.last = sight.commit += bytes_per_second > 0;
        feed_look(&feed, &sight);
        for (int n = 0; n < 64 && !feed_must_wait(&feed, 1, sight.now); n++) {
            if (feed.paced) {
                feed_took(&feed, 1, PIECE, sight.now);
            }
            taken += PIECE;
        }
    }
    return taken;
}

static void test_it_is_fed_faster_than_the_log_grows(void **state)
{
    (void)state;
    const uint64_t rates[] = { MIB, 20 * MIB, 60 * MIB, 300 * MIB };
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        (void)pass(3000, rates[i]);
        uint64_t pace = max_u64(CATCH_UP_BYTES_PER_SECOND_MIN, rates[i] * 2);
        uint64_t taken = pass(5000, rates[i]);
        assert_in_range(taken / 5, pace * 95 / 100, pace * 105 / 100);
        assert_true(taken > 5 * rates[i]);
    }
}

static void test_the_pace_follows_the_writes_within_a_second(void **state)
{
    (void)state;
    (void)pass(3000, MIB);
    (void)pass(1000, 200 * MIB);
    assert_in_range(feed_rate(&feed), 300 * MIB, 400 * MIB);
    (void)pass(2000, MIB);
    assert_in_range(feed_rate(&feed), CATCH_UP_BYTES_PER_SECOND_MIN, 25 * MIB);
}

static void test_without_clients_or_in_a_handover_there_is_no_pace(void **state)
{
    (void)state;
    (void)pass(1000, 20 * MIB);
    assert_true(feed.paced);
    sight.hurried = true;
    feed_look(&feed, &sight);
    assert_false(feed.paced);
    sight.hurried = false;
    (void)pass(200, 0);
    assert_false(feed.paced);
    assert_int_equal(pass(10, 0), 10 * 64 * PIECE); /* all that it can take */
}

/* It may be the one whose word is missing. */
static void test_nobody_waits_while_writes_wait_for_a_commit(void **state)
{
    (void)state;
    (void)pass(1000, 20 * MIB);
    for (int i = 0; i < 60; i++) { /* clients still read */
        sight.now += QR_MILLISECOND;
        sight.commands += 10;
        sight.last++;
        feed_look(&feed, &sight);
    }
    assert_true(feed.demand.busy);
    assert_false(feed.paced);
    sight.commit++;
    feed_look(&feed, &sight);
    assert_true(feed.paced);
}

/* What it did not take for seconds is not made up for. */
static void test_little_is_made_up_for_R4(void **state)
{
    (void)state;
    (void)pass(1000, 20 * MIB);
    sight.now += QR_MILLISECOND;
    feed_took(&feed, 1, PIECE, sight.now);
    sight.now += 30 * QR_MILLISECOND;
    uint64_t taken = pass(1, 20 * MIB);
    assert_in_range(taken, PIECE, feed_rate(&feed) / 50 + 2 * PIECE);
}

static void keep(qr_slot lo, const char *text)
{
    struct message m = { .kind = 7, .lo = lo, .hi = lo + 10, .term = 3 };
    feed_keep(&feed, 1, &m, span_of((const uint8_t *)text, strlen(text)));
}

static void test_the_newest_message_is_kept_R4(void **state)
{
    (void)state;
    (void)pass(100, 0);
    keep(5, "old");
    keep(6, "new");
    assert_int_equal(feed.waiting, node_bit(1));
    assert_int_equal(feed_gap(&feed, 1), 6);
    struct late *late = feed_take(&feed, 1);
    assert_int_equal(late->message.lo, 6);
    assert_int_equal(late->body_bytes, 3);
    assert_memory_equal(late->message.body, "new", 3);
    free(late);
    assert_int_equal(feed.waiting, 0);
    assert_null(feed_take(&feed, 1));
}

static void test_nothing_outlives_the_leadership(void **state)
{
    (void)state;
    (void)pass(1000, 20 * MIB);
    keep(5, "x");
    sight.term = 4;
    feed_look(&feed, &sight);
    assert_int_equal(feed.waiting, 0);
    assert_int_equal(feed_gap(&feed, 1), 0);
    assert_int_equal(feed.growth, 0);
    keep(5, "x");
    sight.term = 0;
    feed_look(&feed, &sight);
    assert_int_equal(feed.waiting, 0);
    assert_false(feed.paced);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_it_is_fed_faster_than_the_log_grows),
        TEST(test_the_pace_follows_the_writes_within_a_second),
        TEST(test_without_clients_or_in_a_handover_there_is_no_pace),
        TEST(test_nobody_waits_while_writes_wait_for_a_commit),
        TEST(test_little_is_made_up_for_R4),
        TEST(test_the_newest_message_is_kept_R4),
        TEST(test_nothing_outlives_the_leadership),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
