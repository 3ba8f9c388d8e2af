/* How fresh a replica knows its state to be (node/proofs.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_state_is_as_fresh_as_the_asking_not_as_the_answer_F3),
        cmocka_unit_test(test_what_was_refused_proves_nothing),
        cmocka_unit_test(test_one_answer_for_several_proves_the_latest_of_them),
        cmocka_unit_test(test_whoever_is_always_behind_learns_how_far),
        cmocka_unit_test(test_it_never_gets_older),
        cmocka_unit_test(test_there_is_room_for_so_many_questions_R4),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
