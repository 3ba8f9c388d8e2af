/* Majorities, simple and joint: two decisions of one history never miss each other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/rng.h"
#include "protocol/quorum.h"

#define NODES 6u /* for what is tried exhaustively */

static uint32_t some_set(struct rng *rng)
{
    return 1 + (uint32_t)rng_below(rng, (1u << MEMBERS_MAX) - 1);
}

/* By definition: the largest value that more than half of the set has reached. */
static uint64_t count_reached(const uint64_t *v, uint32_t set)
{
    uint64_t best = 0;
    for (uint64_t candidate = 0; candidate < 6; candidate++) {
        uint32_t members = 0;
        uint32_t at_least = 0;
        for (uint32_t k = 0; k < MEMBERS_MAX; k++) {
            members += set >> k & 1;
            at_least += (set >> k & 1) && v[k] >= candidate;
        }
        best = 2 * at_least > members ? candidate : best;
    }
    return best;
}

static void test_quorum_reached_equals_counting(void **state)
{
    (void)state;
    struct rng rng = rng_from(11);
    for (int i = 0; i < 20000; i++) {
        uint64_t v[MEMBERS_MAX];
        for (uint32_t k = 0; k < MEMBERS_MAX; k++) {
            v[k] = rng_below(&rng, 6);
        }
        struct membership m = { .voters = (uint16_t)some_set(&rng) };
        uint64_t alone = count_reached(v, m.voters);
        assert_int_equal(quorum_reached(v, &m), alone);
        m.outgoing = (uint16_t)some_set(&rng);
        assert_int_equal(quorum_reached(v, &m), min_u64(alone, count_reached(v, m.outgoing)));
    }
}

static void test_two_majorities_always_share_a_member(void **state)
{
    (void)state;
    for (uint32_t set = 1; set < 1u << NODES; set++) {
        struct membership m = { .voters = (uint16_t)set };
        for (uint32_t a = 0; a < 1u << NODES; a++) {
            assert_int_equal(quorum_of(a, &m), 2 * quorum_count(a & set) > quorum_count(set));
            assert_false(quorum_of(a, &m) && quorum_of(~a, &m));
        }
        assert_true(quorum_of(set, &m));
        assert_false(quorum_of(0, &m));
    }
    struct membership none = { 0 };
    assert_false(quorum_of(UINT32_MAX, &none)); /* whoever has not joined decides nothing */
}

/* Diss. 4.3: no two disjoint majorities, neither of the old voters and a joint decision nor of a
 * joint decision and the new voters, whatever the two sets. */
static void test_joint_majorities_meet_the_old_and_the_new(void **state)
{
    (void)state;
    for (uint32_t before = 1; before < 1u << NODES; before++) {
        for (uint32_t after = 1; after < 1u << NODES; after++) {
            struct membership old = { .voters = (uint16_t)before };
            struct membership new = { .voters = (uint16_t)after };
            struct membership joint = { .voters = new.voters, .outgoing = old.voters };
            for (uint32_t a = 0; a < 1u << NODES; a++) {
                bool decides = quorum_of(a, &joint);
                assert_false(decides && quorum_of(~a, &old));
                assert_false(decides && quorum_of(~a, &new));
                assert_false(decides && quorum_of(~a, &joint));
            }
        }
    }
}

/* Learners and observers count for nothing. */
static void test_only_voters_decide(void **state)
{
    (void)state;
    struct membership m = { .voters = 0x07, .learners = 0x18, .observers = 0x60 };
    assert_true(membership_is_sound(&m));
    assert_false(quorum_of(0x79, &m));
    assert_true(quorum_of(0x03, &m));
    uint64_t v[MEMBERS_MAX] = { 9, 1, 2, 9, 9, 9, 9 };
    assert_int_equal(quorum_reached(v, &m), 2);
    assert_int_equal(membership_all(&m), 0x7f);
    assert_int_equal(membership_voters(&m), 0x07);
}

static void test_unsound_memberships_are_told(void **state)
{
    (void)state;
    const struct membership bad[] = {
        { 0 },
        { .outgoing = 1 },
        { .voters = 1, .learners = 1 },
        { .voters = 1, .observers = 3 },
        { .voters = 1, .learners = 2, .observers = 2 },
        { .voters = 1u << MEMBERS_MAX },
    };
    for (uint32_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(membership_is_sound(&bad[i]));
    }
    struct membership leaving = { .voters = 1, .outgoing = 7, .learners = 2, .observers = 4 };
    assert_true(membership_is_sound(&leaving));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quorum_reached_equals_counting),
        cmocka_unit_test(test_two_majorities_always_share_a_member),
        cmocka_unit_test(test_joint_majorities_meet_the_old_and_the_new),
        cmocka_unit_test(test_only_voters_decide),
        cmocka_unit_test(test_unsound_memberships_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
