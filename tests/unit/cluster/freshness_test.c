/* Whether a replica may answer a read: each level, each thing that may be missing (F1 to F5). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cluster/freshness.h"
#include "cluster/wants.h"

#define MS QR_MILLISECOND

/* A follower with nothing wrong that has applied slot 50. */
static const struct freshness follower = { .applied = 50, .trusted = true, .current = true };

static enum serve served(struct freshness r, struct read_wish wish)
{
    return freshness_serves(&r, &wish);
}

static void test_a_linearizable_read_needs_an_index_of_its_own(void **state)
{
    (void)state;
    struct read_wish w = { .level = READ_LINEARIZABLE };
    struct freshness leader = follower;
    leader.leads = true;
    leader.fresh_at = 9 * MS;
    assert_int_equal(served(follower, w), SERVE_ASK);
    assert_int_equal(served(leader, w), SERVE_ASK);
    w.confirmed = true;
    w.index = 51;
    assert_int_equal(served(follower, w), SERVE_WAIT);
    w.index = 50;
    assert_int_equal(served(follower, w), SERVE_NOW);
}

static void test_the_leaders_level_is_served_by_whoever_leads(void **state)
{
    (void)state;
    struct read_wish w = { .level = READ_LEADER };
    struct freshness leader = follower;
    leader.leads = true;
    assert_int_equal(served(follower, w), SERVE_ELSEWHERE);
    assert_int_equal(served(leader, w), SERVE_NOW);
    w.least = 51;
    assert_int_equal(served(leader, w), SERVE_ASK);
}

static void test_any_replica_serves_its_own_state_once_it_is_current(void **state)
{
    (void)state;
    const enum read_level levels[] = { READ_PREFIX, READ_LOCAL, READ_SESSION, READ_SNAPSHOT };
    for (unsigned i = 0; i < 4; i++) {
        struct read_wish w = { .level = levels[i] };
        struct freshness r = follower;
        assert_int_equal(served(r, w), SERVE_NOW);
        r.current = false;
        assert_int_equal(served(r, w), SERVE_ELSEWHERE);
    }
}

static void test_who_is_not_trusted_serves_nothing(void **state)
{
    (void)state;
    struct freshness r = follower;
    r.leads = true;
    r.trusted = false;
    for (unsigned level = 0; level < READ_LEVELS; level++) {
        struct read_wish w = { .level = (enum read_level)level, .confirmed = true, .index = 1 };
        assert_int_equal(served(r, w), SERVE_ELSEWHERE);
        w.confirmed = false;
        assert_int_equal(served(r, w), SERVE_ELSEWHERE);
    }
}

static void test_what_a_session_has_seen_is_shown_at_every_level(void **state)
{
    (void)state;
    const enum read_level levels[] = { READ_LINEARIZABLE, READ_PREFIX,  READ_LOCAL,
                                       READ_SESSION,      READ_BOUNDED, READ_SNAPSHOT };
    for (unsigned i = 0; i < 6; i++) {
        struct freshness r = follower;
        r.fresh_at = 100 * MS;
        struct read_wish w = {
            .level = levels[i], .least = 51, .asked = 100 * MS, .bound = 1000 * MS
        };
        assert_int_equal(served(r, w), SERVE_ASK);
        w.confirmed = true;
        w.index = 51;
        assert_int_equal(served(r, w), SERVE_WAIT);
        r.applied = 51;
        assert_int_equal(served(r, w), SERVE_NOW);
    }
}

/* The index of a session's read only tells that what it wants is still there. */
static void test_a_session_waits_for_its_own_position_and_not_for_the_latest(void **state)
{
    (void)state;
    struct read_wish w = { .level = READ_SESSION, .least = 50, .confirmed = true, .index = 70 };
    assert_int_equal(served(follower, w), SERVE_NOW);
    assert_int_equal(freshness_needs(&w), 50);
}

static void test_an_index_below_what_was_seen_proves_a_loss(void **state)
{
    (void)state;
    struct read_wish w = { .level = READ_SESSION, .least = 60, .confirmed = true, .index = 59 };
    assert_int_equal(served(follower, w), SERVE_LOST);
    w.index = 60;
    assert_int_equal(served(follower, w), SERVE_WAIT);
}

static void test_a_bound_is_counted_from_when_the_read_came(void **state)
{
    (void)state;
    struct freshness r = follower;
    struct read_wish w = { .level = READ_BOUNDED, .asked = 1000 * MS, .bound = 200 * MS };
    assert_int_equal(served(r, w), SERVE_ASK); /* it does not know how fresh it is */
    freshness_proven(&r, 799 * MS);
    assert_int_equal(served(r, w), SERVE_ASK);
    freshness_proven(&r, 800 * MS);
    assert_int_equal(served(r, w), SERVE_NOW);
    freshness_proven(&r, 10 * MS); /* an older proof takes nothing back */
    assert_int_equal(served(r, w), SERVE_NOW);
    r.fresh_at = 0;
    w.confirmed = true;
    w.index = 51;
    assert_int_equal(served(r, w), SERVE_WAIT);
    r.applied = 51;
    assert_int_equal(served(r, w), SERVE_NOW);
}

/* Shortly after a start the clock may read less than the bound. */
static void test_a_long_bound_is_no_leave_to_know_nothing(void **state)
{
    (void)state;
    struct read_wish w = { .level = READ_BOUNDED, .asked = 5, .bound = INT64_MAX };
    assert_int_equal(served(follower, w), SERVE_ASK);
}

static void test_a_bound_of_operations_is_counted_from_an_index(void **state)
{
    (void)state;
    struct freshness r = follower;
    r.fresh_at = 1000 * MS;
    struct read_wish w = {
        .level = READ_BOUNDED, .by_count = true, .behind = 10, .asked = 1000 * MS
    };
    assert_int_equal(served(r, w), SERVE_ASK);
    w.confirmed = true;
    w.index = 61;
    assert_int_equal(served(r, w), SERVE_WAIT);
    w.index = 60;
    assert_int_equal(served(r, w), SERVE_NOW);
    w.index = 9;
    assert_int_equal(freshness_needs(&w), 0);
    w.least = 51;
    w.index = 60;
    assert_int_equal(served(r, w), SERVE_WAIT);
}

static void test_levels_of_other_strategies_are_not_served(void **state)
{
    (void)state;
    assert_int_equal(served(follower, (struct read_wish){ .level = READ_CAUSAL }), SERVE_ELSEWHERE);
    assert_int_equal(served(follower, (struct read_wish){ .level = READ_QUORUM }), SERVE_ELSEWHERE);
}

static void test_a_wish_is_what_is_wanted(void **state)
{
    (void)state;
    struct wants wants = { .level = READ_BOUNDED, .least = 7, .bound = 30 };
    struct read_wish w = freshness_wish(&wants, 99);
    assert_int_equal(w.level, READ_BOUNDED);
    assert_int_equal(w.least, 7);
    assert_int_equal(w.asked, 99);
    assert_int_equal(w.bound, 30);
    assert_false(w.by_count || w.confirmed);
    w.index = 50; /* by time all of it is needed */
    assert_int_equal(freshness_needs(&w), 50);
    wants.bound_is_operations = true;
    w = freshness_wish(&wants, 99);
    assert_true(w.by_count);
    w.index = 50;
    assert_int_equal(freshness_needs(&w), 20);
    w.index = 35; /* but nothing that its session has seen is missing */
    assert_int_equal(freshness_needs(&w), 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_linearizable_read_needs_an_index_of_its_own),
        cmocka_unit_test(test_the_leaders_level_is_served_by_whoever_leads),
        cmocka_unit_test(test_any_replica_serves_its_own_state_once_it_is_current),
        cmocka_unit_test(test_who_is_not_trusted_serves_nothing),
        cmocka_unit_test(test_what_a_session_has_seen_is_shown_at_every_level),
        cmocka_unit_test(test_a_session_waits_for_its_own_position_and_not_for_the_latest),
        cmocka_unit_test(test_an_index_below_what_was_seen_proves_a_loss),
        cmocka_unit_test(test_a_bound_is_counted_from_when_the_read_came),
        cmocka_unit_test(test_a_long_bound_is_no_leave_to_know_nothing),
        cmocka_unit_test(test_a_bound_of_operations_is_counted_from_an_index),
        cmocka_unit_test(test_levels_of_other_strategies_are_not_served),
        cmocka_unit_test(test_a_wish_is_what_is_wanted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
