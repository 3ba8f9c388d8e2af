/* How fresh a replica knows its state to be (node/proofs.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/limits.h"
#include "node/proofs.h"

static void test_a_state_is_as_fresh_as_the_asking_not_as_the_answer_F3(void **state)
{
    (void)state;
    struct proofs p = { 0 };
    assert_int_equal(proofs_fresh_at(&p, 100), 0);
    proofs_asked(&p, 5, 1000);
    assert_true(proofs_awaits(&p, 1000));
    assert_false(proofs_awaits(&p, 1001));
    proofs_confirmed(&p, 5, 3, 70);
    assert_false(proofs_awaits(&p, 0));
    assert_int_equal(proofs_fresh_at(&p, 69), 0); /* told, and not applied */
    assert_int_equal(proofs_fresh_at(&p, 70), 1000);
}

static void test_what_was_refused_proves_nothing(void **state)
{
    (void)state;
    struct proofs p = { 0 };
    proofs_asked(&p, 1, 1000);
    proofs_asked(&p, 2, 2000);
    proofs_refused(&p, 1, 1);
    proofs_confirmed(&p, 1, 1, 1);
    assert_int_equal(proofs_fresh_at(&p, 10), 0);
    proofs_confirmed(&p, 2, 1, 5);
    assert_int_equal(proofs_fresh_at(&p, 10), 2000);
}

static void test_one_answer_for_several_proves_the_latest_of_them(void **state)
{
    (void)state;
    struct proofs p = { 0 };
    proofs_asked(&p, 1, 1000);
    proofs_asked(&p, 4, 2000);
    proofs_asked(&p, 6, 3000);
    proofs_confirmed(&p, 1, 5, 9); /* reads 1 to 5 */
    assert_int_equal(proofs_fresh_at(&p, 9), 2000);
    assert_true(proofs_awaits(&p, 3000));
}

/* A replica that is behind by more than a question takes still gets fresher. */
static void test_whoever_is_always_behind_learns_how_far(void **state)
{
    (void)state;
    struct proofs p = { 0 };
    qr_time fresh = 0;
    for (qr_time i = 1; i <= 100; i++) {
        proofs_asked(&p, (qr_req)i, i * 10);
        proofs_confirmed(&p, (qr_req)i, 1, (qr_slot)i);
        qr_slot applied = i > 5 ? (qr_slot)i - 5 : 0;
        fresh = proofs_fresh_at(&p, applied);
        assert_true(fresh <= (qr_time)applied * 10);
    }
    assert_true(fresh >= 85 * 10);
}

static void test_it_never_gets_older(void **state)
{
    (void)state;
    struct proofs p = { .fresh_at = 5000 };
    proofs_asked(&p, 1, 4000);
    proofs_confirmed(&p, 1, 1, 3);
    assert_int_equal(proofs_fresh_at(&p, 3), 5000);
}

static void test_there_is_room_for_so_many_questions_R4(void **state)
{
    (void)state;
    struct proofs p = { 0 };
    for (qr_req i = 1; i <= 3 * PROOF_ASKS; i++) {
        proofs_asked(&p, i, (qr_time)i);
    }
    proofs_confirmed(&p, 1, 3 * PROOF_ASKS, 3);
    assert_int_equal(proofs_fresh_at(&p, 3), PROOF_ASKS);
}

static void test_lateness_is_forgotten_later_each_time_up_to_a_bound(void **state)
{
    (void)state;
    struct proofs p = { 0 };
    qr_time now = QR_SECOND, unit = INDEX_LATE_MS * QR_MILLISECOND;
    for (uint32_t i = 0; i <= INDEX_LATE_DOUBLINGS + 2; i++) {
        uint32_t doubled = i < INDEX_LATE_DOUBLINGS ? i : INDEX_LATE_DOUBLINGS;
        proofs_late(&p, now);
        assert_int_equal(p.late_until, now + (unit << doubled));
        proofs_late(&p, p.late_until - 1); /* it was asked together with that one */
        assert_int_equal(p.late_until, now + (unit << doubled));
        now = p.late_until;
    }
    proofs_in_time(&p);
    proofs_late(&p, now);
    assert_int_equal(p.late_until, now + unit);
}

static struct proofs two_that_were_told(void)
{
    struct proofs p = { 0 };
    proofs_asked(&p, 1, 10);
    proofs_confirmed(&p, 1, 1, 5);
    proofs_asked(&p, 2, 20);
    proofs_confirmed(&p, 2, 1, 12);
    return p;
}

/* One is applied, then the other. */
static void test_what_is_not_applied_yet_is_kept_F3(void **state)
{
    (void)state;
    struct proofs p = two_that_were_told();
    assert_int_equal(proofs_fresh_at(&p, 5), 10);
    assert_int_equal(proofs_fresh_at(&p, 11), 10);
    assert_int_equal(proofs_fresh_at(&p, 12), 20);
}

/* Of reads that nobody noted when they were asked: it takes the place of none that tells
 * something. */
static void test_an_index_of_an_unknown_time_tells_nothing(void **state)
{
    (void)state;
    struct proofs p = two_that_were_told();
    proofs_confirmed(&p, 3, 1, 15);
    assert_int_equal(proofs_fresh_at(&p, 12), 20);
}

#define MS QR_MILLISECOND

/* An index that was asked for then, and says that. */
static void tell(struct proofs *p, qr_time asked, qr_slot slot)
{
    static qr_req req;
    proofs_asked(p, ++req, asked);
    proofs_confirmed(p, req, 1, slot);
}

/* lagging.h B6 */
static void test_a_state_is_behind_by_the_age_of_what_it_has_asked_for(void **state)
{
    const struct proofs_limit limit = { .most = 1000 * MS };
    struct proofs p = { 0 };
    (void)state;
    assert_int_equal(proofs_behind(&p, 9, 5000 * MS, &limit), BEHIND_UNKNOWN);
    tell(&p, 5000 * MS, 10);
    assert_int_equal(proofs_behind(&p, 9, 5100 * MS, &limit), BEHIND_UNKNOWN); /* soon, perhaps */
    assert_int_equal(proofs_behind(&p, 9, 5100 * MS + 1, &limit), BEHIND_TOO_FAR);
    assert_int_equal(proofs_behind(&p, 10, 5100 * MS + 1, &limit), BEHIND_NOT);
    assert_int_equal(proofs_behind(&p, 10, 5500 * MS, &limit), BEHIND_NOT);
    assert_int_equal(proofs_behind(&p, 10, 5500 * MS + 1, &limit), BEHIND_AGES);
    assert_int_equal(proofs_behind(&p, 10, 6000 * MS, &limit), BEHIND_AGES);
    assert_int_equal(proofs_behind(&p, 10, 6000 * MS + 1, &limit), BEHIND_UNKNOWN);
}

static void test_who_hears_nothing_is_behind(void **state)
{
    const struct proofs_limit limit = { .most = 1000 * MS }, tight = { .most = 10 * MS };
    struct proofs p = { 0 };
    (void)state;
    tell(&p, 5000 * MS, 10);
    proofs_asked(&p, 1000, 5600 * MS);
    proofs_asked(&p, 1001, 5990 * MS);
    assert_int_equal(proofs_behind(&p, 10, 6000 * MS, &limit), BEHIND_AGES);
    assert_int_equal(proofs_behind(&p, 10, 6000 * MS + 1, &limit), BEHIND_TOO_FAR);
    assert_int_equal(proofs_behind(&p, 10, 5610 * MS, &tight), BEHIND_UNKNOWN);
    assert_int_equal(proofs_behind(&p, 10, 5610 * MS + 1, &tight), BEHIND_TOO_FAR);
    proofs_refused(&p, 1000, 2); /* nobody led: nothing is late */
    assert_int_equal(proofs_behind(&p, 10, 6000 * MS + 1, &limit), BEHIND_UNKNOWN);
}

/* An index says for a second how many there are; by it one is behind at once. */
static void test_a_state_is_behind_by_the_entries_that_it_lacks(void **state)
{
    const struct proofs_limit limit = { .most = 20, .is_entries = true };
    struct proofs p = { 0 };
    (void)state;
    assert_int_equal(proofs_behind(&p, 80, 5000 * MS, &limit), BEHIND_UNKNOWN);
    tell(&p, 5000 * MS, 100);
    assert_int_equal(proofs_behind(&p, 79, 5000 * MS, &limit), BEHIND_TOO_FAR);
    assert_int_equal(proofs_behind(&p, 80, 5500 * MS, &limit), BEHIND_NOT);
    assert_int_equal(proofs_behind(&p, 80, 5500 * MS + 1, &limit), BEHIND_AGES);
    assert_int_equal(proofs_behind(&p, 80, 6000 * MS + 1, &limit), BEHIND_TOO_FAR);
    assert_int_equal(proofs_behind(&p, 100, 6000 * MS + 1, &limit), BEHIND_UNKNOWN);
    tell(&p, 6000 * MS, 101);
    tell(&p, 6100 * MS, 130);
    assert_int_equal(proofs_behind(&p, 109, 6100 * MS, &limit), BEHIND_TOO_FAR);
    assert_int_equal(proofs_behind(&p, 200, 6100 * MS, &limit), BEHIND_NOT); /* and more came */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_state_is_as_fresh_as_the_asking_not_as_the_answer_F3),
        cmocka_unit_test(test_what_was_refused_proves_nothing),
        cmocka_unit_test(test_one_answer_for_several_proves_the_latest_of_them),
        cmocka_unit_test(test_whoever_is_always_behind_learns_how_far),
        cmocka_unit_test(test_it_never_gets_older),
        cmocka_unit_test(test_there_is_room_for_so_many_questions_R4),
        cmocka_unit_test(test_lateness_is_forgotten_later_each_time_up_to_a_bound),
        cmocka_unit_test(test_what_is_not_applied_yet_is_kept_F3),
        cmocka_unit_test(test_an_index_of_an_unknown_time_tells_nothing),
        cmocka_unit_test(test_a_state_is_behind_by_the_age_of_what_it_has_asked_for),
        cmocka_unit_test(test_who_hears_nothing_is_behind),
        cmocka_unit_test(test_a_state_is_behind_by_the_entries_that_it_lacks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
