/* Standings and orders between nodes: read back as they were written, refused when they are
 * anything else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "node/standing_frames.h"

static struct standings sent, read;
static uint8_t bytes[STANDINGS_BYTES_MAX + 1];

static void fill(uint32_t count)
{
    memset(&sent, 0, sizeof sent);
    sent.life = 77;
    sent.whole = count % 2 == 1;
    sent.count = count;
    for (uint32_t i = 0; i < count; i++) {
        struct standing *s = &sent.v[i];
        s->group = 2 + i;
        s->to = NODE_NONE;
        s->promised = 1000 + i;
        if (i % 3 == 0) { /* it leads */
            s->leads = true;
            s->closed = i % 2 == 0;
            s->to = s->closed ? (node_index)(i % MEMBERS_MAX) : NODE_NONE;
            s->caught = 0x4001;
            s->settled = 1000 + i;
        } else { /* it stands, or has forgotten */
            s->forgetful = i % 3 == 1;
            s->barred = i % 5 == 1;
            s->last_term = s->forgetful ? 0 : 999;
            s->last_slot = s->forgetful ? 0 : UINT64_MAX;
        }
    }
}

static bool reads(size_t n)
{
    memset(&read, 0, sizeof read);
    return standings_read(span_of(bytes, n), &read);
}

static void standings_are_read_back_as_they_were_written(void **state)
{
    (void)state;
    uint32_t counts[] = { 0, 1, 2, STANDINGS_MAX - 1, STANDINGS_MAX };
    for (size_t i = 0; i < ARRAY_COUNT(counts); i++) {
        fill(counts[i]);
        size_t n = standings_write(&sent, bytes);
        assert_true(n <= STANDINGS_BYTES_MAX);
        assert_true(reads(n));
        assert_memory_equal(&sent, &read, sizeof sent);
    }
    fill(1);
    sent.v[0] = (struct standing){ .group = 9, .gone = true, .to = NODE_NONE };
    assert_true(reads(standings_write(&sent, bytes)));
    assert_true(read.v[0].gone);
}

static void what_is_cut_or_longer_is_refused(void **state)
{
    (void)state;
    fill(3);
    size_t n = standings_write(&sent, bytes);
    for (size_t cut = 0; cut < n; cut++) {
        assert_false(reads(cut));
    }
    bytes[n] = 0;
    assert_false(reads(n + 1));
}

static void expect_refused(const struct standing *s)
{
    fill(1);
    sent.v[0] = *s;
    assert_false(reads(standings_write(&sent, bytes)));
}

static void what_no_replica_can_say_is_refused(void **state)
{
    (void)state;
    const struct standing good = {
        .group = 2, .leads = true, .to = NODE_NONE, .promised = 5, .settled = 5, .caught = 1
    };
    struct standing s = good;
    fill(1);
    sent.v[0] = s;
    assert_true(reads(standings_write(&sent, bytes)));
    s.group = 0;
    expect_refused(&s);
    s = good, s.to = MEMBERS_MAX;
    expect_refused(&s);
    s = good, s.closed = true; /* it hands over to somebody */
    expect_refused(&s);
    s = good, s.caught = 1u << MEMBERS_MAX;
    expect_refused(&s);
    s = good, s.settled = 6;
    expect_refused(&s);
    s = good, s.last_term = 6;
    expect_refused(&s);
    s = good, s.leads = false, s.settled = 0; /* nobody has caught up with one that does not lead */
    expect_refused(&s);
    s = good, s.leads = false, s.caught = 0; /* nor has it settled anything, */
    expect_refused(&s);
    s = good, s.leads = s.closed = false, s.caught = 0, s.settled = 0, s.closed = true, s.to = 1;
    expect_refused(&s); /* nor does it hand over */
}

static void a_frame_of_no_life_or_of_too_many_is_refused(void **state)
{
    (void)state;
    fill(0);
    sent.life = 0;
    assert_false(reads(standings_write(&sent, bytes)));
    fill(0);
    size_t n = standings_write(&sent, bytes);
    bytes[8] = 2;
    assert_false(reads(n));
    fill(STANDINGS_MAX);
    n = standings_write(&sent, bytes);
    bytes[9] = STANDINGS_MAX + 1;
    assert_false(reads(n));
    fill(1);
    n = standings_write(&sent, bytes);
    bytes[15] |= 32; /* a flag of a later version */
    assert_false(reads(n));
}

static void an_order_to_hand_over_is_read_back(void **state)
{
    (void)state;
    const struct hand_over good = { .group = 7, .to = 14, .term = 9, .timeout = QR_SECOND };
    struct hand_over back, order = good;
    size_t n = hand_over_write(&order, bytes);
    assert_int_equal(n, HAND_OVER_BYTES);
    assert_true(hand_over_read(span_of(bytes, n), &back));
    assert_int_equal(back.group, 7);
    assert_int_equal(back.to, 14);
    assert_int_equal(back.term, 9);
    assert_int_equal(back.timeout, QR_SECOND);
    assert_false(hand_over_read(span_of(bytes, n - 1), &back));
    assert_false(hand_over_read(span_of(bytes, n + 1), &back));
    const struct hand_over bad[] = { { .group = 0, .to = 1, .term = 9 },
                                     { .group = 7, .to = MEMBERS_MAX, .term = 9 },
                                     { .group = 7, .to = 1, .term = 0 },
                                     { .group = 7, .to = 1, .term = 9, .timeout = -1 },
                                     { .group = 7, .to = 1, .term = 9, .timeout = QR_NEVER / 2 } };
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        n = hand_over_write(&bad[i], bytes);
        assert_false(hand_over_read(span_of(bytes, n), &back));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(standings_are_read_back_as_they_were_written),
        cmocka_unit_test(what_is_cut_or_longer_is_refused),
        cmocka_unit_test(what_no_replica_can_say_is_refused),
        cmocka_unit_test(a_frame_of_no_life_or_of_too_many_is_refused),
        cmocka_unit_test(an_order_to_hand_over_is_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
