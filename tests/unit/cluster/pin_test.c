/* Who reads for a pinned session: the same everywhere and for ever, moved only when it must be, and
 * even (G8). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cluster/pin.h"

#define USERS 8000u

static uint64_t user(uint32_t i)
{
    char text[16];
    int n = snprintf(text, sizeof text, "user:%u", (unsigned)i);
    return pin_hash(span_of(text, (size_t)n));
}

/* Nodes of two versions must agree: these never change. */
static void test_what_is_drawn_never_changes(void **state)
{
    (void)state;
    assert_true(user(1) == 0x3290bc1a92ad86c2u);
    assert_true(pin_hash(span_of("", 0)) == 0xf52a15e9a9b5e89bu);
    static const node_index picks[8] = { 3, 0, 1, 1, 0, 3, 1, 1 };
    for (uint32_t i = 0; i < 8; i++) {
        assert_int_equal(pin_pick(user(i), 31), picks[i]);
    }
}

static void test_of_none_nobody_and_of_one_that_one(void **state)
{
    (void)state;
    assert_int_equal(pin_pick(user(1), 0), NODE_NONE);
    for (node_index i = 0; i < 16; i++) {
        assert_int_equal(pin_pick(user(7), (uint16_t)(1u << i)), i);
    }
}

static void test_only_those_of_a_lost_node_move_and_they_come_back(void **state)
{
    (void)state;
    const uint16_t all = 0x6d3; /* of seven */
    for (uint32_t i = 0; i < USERS; i++) {
        node_index before = pin_pick(user(i), all);
        for (node_index lost = 0; lost < 16; lost++) {
            node_index after = pin_pick(user(i), all & (uint16_t) ~(1u << lost));
            assert_true((all >> after & 1u) != 0 && after != lost);
            assert_true(before == lost || after == before);
        }
    }
}

static void count(uint16_t nodes, uint32_t counts[16])
{
    memset(counts, 0, 16 * sizeof counts[0]);
    for (uint32_t i = 0; i < USERS; i++) {
        counts[pin_pick(user(i), nodes)]++;
    }
}

/* Within a tenth or so of their share; so too when the sessions of a lost one have gone over. */
static void test_all_have_the_same_share(void **state)
{
    (void)state;
    static const uint16_t sets[] = { 3, 7, 6, 0x1f, 0x1b, 0xffff };
    uint32_t counts[16];
    for (size_t i = 0; i < ARRAY_COUNT(sets); i++) {
        uint32_t nodes = (uint32_t)__builtin_popcount(sets[i]);
        count(sets[i], counts);
        for (node_index k = 0; k < 16; k++) {
            bool is = (sets[i] >> k & 1) != 0;
            assert_true(is == (counts[k] > 0));
            assert_true(!is || (counts[k] > USERS / nodes * 8 / 10 &&
                                counts[k] < USERS / nodes * 12 / 10));
        }
    }
}

/* What no session may look like: the hash that means that there is none, a draw of nothing. */
static void test_zeros_are_numbers_like_others(void **state)
{
    (void)state;
    static const uint8_t to_zero[] = { 0xd5, 0x6b, 0xb9, 0x53, 0x42, 0x87, 0x08, 0x36 };
    assert_true(pin_hash(span_of(to_zero, sizeof to_zero)) == 1);
    assert_int_equal(pin_pick(0xe220a8397b1dcdafu, 1), 0); /* for which node 0 draws 0 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_drawn_never_changes),
        cmocka_unit_test(test_of_none_nobody_and_of_one_that_one),
        cmocka_unit_test(test_only_those_of_a_lost_node_move_and_they_come_back),
        cmocka_unit_test(test_all_have_the_same_share),
        cmocka_unit_test(test_zeros_are_numbers_like_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
