/* Reads at members that do not lead (src/protocol/primary/ask.c): a test for each of its rules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/protocol/primary_group.h"

/* Node 0 is the primary of term 1, settled, and all members know what is committed. */
static struct flock *led(node_index n, uint8_t copies)
{
    struct flock *f = flock_new(n);
    flock_tell_all(f, flock_any(f, 1, 0, copies));
    flock_elapse(f, 60 * QR_MILLISECOND);
    assert_true(flock_outlook(f, 0).settled);
    return f;
}

static const struct effect *served(struct flock *f, node_index i, qr_req read)
{
    const struct effect *found = NULL;
    for (uint32_t n = 0; n < f->node[i].notes; n++) {
        const struct effect *e = &f->node[i].note[n].effect;
        bool is = e->kind == EFFECT_READ && e->read.first <= read &&
                  read < e->read.first + e->read.count;
        found = is ? e : found;
    }
    return found;
}

static uint64_t asked(struct flock *f, node_index i)
{
    const struct flock_mail *m = flock_sent(f, i, 0, PRIMARY_READ_ASK);
    assert_non_null(m);
    return m->body.read_ask.number;
}

static void answer(struct flock *f, node_index to, uint64_t number, qr_slot slot)
{
    struct primary_read_at m = { .term = 1, .number = number, .slot = slot };
    flock_deliver(f, 0, to, PRIMARY_READ_AT, &m, 0, 0, 0);
}

static void test_the_slot_is_the_primarys_commit_index(void **state)
{
    (void)state;
    struct flock *f = led(2, 0);
    qr_req write = flock_submit(f, 0, 2);
    flock_sync(f, 0);
    flock_lose_mail(f);
    assert_true(flock_applied(f, 0, write));
    assert_false(flock_applied(f, 1, write));
    qr_req read = flock_read(f, 1);
    assert_null(served(f, 1, read));
    assert_true(flock_deliver_one(f, 1, 0, PRIMARY_READ_ASK));
    assert_true(flock_deliver_one(f, 0, 1, PRIMARY_READ_AT));
    assert_int_equal(served(f, 1, read)->read.slot, flock_outlook(f, 0).commit);
    assert_false(served(f, 1, read)->read.held);
    flock_free(f);
}

/* I1 */
static void test_I1_who_holds_no_lease_does_not_answer(void **state)
{
    (void)state;
    struct flock *f = led(2, 1);
    qr_req read = flock_read(f, 1);
    flock_lease(f, 0, false);
    assert_true(flock_deliver_one(f, 1, 0, PRIMARY_READ_ASK));
    assert_null(flock_sent(f, 0, 1, PRIMARY_READ_AT));
    flock_lease(f, 0, true);
    flock_elapse(f, 60 * QR_MILLISECOND); /* it asks again */
    assert_non_null(served(f, 1, read));
    flock_free(f);
}

/* Nothing of its term is committed: what was acknowledged before may not be. */
static void test_I1_who_does_not_serve_does_not_answer(void **state)
{
    (void)state;
    struct flock *f = flock_new(3);
    f->node[2].disk_held = true;
    f->node[2].cut = true;
    struct view all = flock_any(f, 1, 0, 2);
    flock_tell(f, 0, all);
    flock_tell(f, 1, all);
    flock_settle(f);
    assert_false(flock_outlook(f, 0).settled);
    qr_req read = flock_read(f, 1);
    flock_settle(f);
    assert_null(served(f, 1, read));
    flock_free(f);
}

/* I2 */
static void test_I2_reads_that_come_meanwhile_wait_for_the_next_ask(void **state)
{
    (void)state;
    struct flock *f = led(2, 1);
    qr_req first = flock_read(f, 1);
    uint64_t number = asked(f, 1);
    qr_req second = flock_read(f, 1);
    qr_req third = flock_read(f, 1);
    answer(f, 1, number, 1);
    assert_non_null(served(f, 1, first));
    assert_null(served(f, 1, second));
    answer(f, 1, number, 1); /* once more: it says nothing about those */
    assert_null(served(f, 1, second));
    answer(f, 1, number + 1, 1);
    assert_non_null(served(f, 1, second));
    assert_non_null(served(f, 1, third));
    flock_free(f);
}

static void test_I2_an_answer_to_a_life_before_fits_nothing(void **state)
{
    (void)state;
    struct flock *f = led(2, 1);
    (void)flock_read(f, 1);
    uint64_t number = asked(f, 1);
    flock_crash(f, 1);
    flock_restart(f, 1);
    flock_tell(f, 1, flock_any(f, 1, 0, 1));
    flock_elapse(f, 60 * QR_MILLISECOND);
    qr_req read = flock_read(f, 1);
    assert_int_not_equal(asked(f, 1), number);
    answer(f, 1, number, 1);
    assert_null(served(f, 1, read));
    flock_free(f);
}

/* I3: what it has executed is not known to be the primary's. */
static void test_I3_who_may_have_to_take_back_does_not_ask(void **state)
{
    (void)state;
    struct flock *f = led(3, 0);
    f->node[1].cut = true;
    (void)flock_submit(f, 0, 3); /* acknowledged by node 0 alone, and at node 2 */
    flock_elapse(f, 60 * QR_MILLISECOND);
    assert_int_equal(flock_outlook(f, 2).proven, 1);
    qr_slot executed = flock_primary(f, 2)->applied;
    flock_crash(f, 0);
    f->node[1].cut = false;
    struct view next = flock_any(f, 2, 1, 0); /* who has less */
    flock_tell(f, 1, next);
    flock_tell(f, 2, next);
    assert_true(flock_primary(f, 2)->applied == executed);
    assert_int_equal(flock_outlook(f, 2).proven, 1);
    qr_req read = flock_read(f, 2);
    assert_int_equal(flock_answer(f, 2, read), STATUS_NOT_LEADER);
    flock_elapse(f, 60 * QR_MILLISECOND);
    assert_true(flock_noted(f, 2, EFFECT_ROLLBACK) != NULL);
    assert_int_equal(flock_outlook(f, 2).proven, 2);
    read = flock_read(f, 2);
    flock_settle(f);
    assert_int_equal(served(f, 2, read)->read.slot, flock_outlook(f, 1).commit);
    flock_free(f);
}

/* I4 */
static void test_I4_who_waits_is_refused_with_the_term_the_connection_or_in_time(void **state)
{
    (void)state;
    struct flock *f = led(3, 1);
    qr_req read = flock_read(f, 1);
    flock_tell(f, 1, flock_any(f, 2, NODE_NONE, 1));
    assert_int_equal(flock_answer(f, 1, read), STATUS_NOT_LEADER);
    read = flock_read(f, 2);
    flock_peer(f, 2, 0, false);
    assert_int_equal(flock_answer(f, 2, read), STATUS_NOT_LEADER);
    read = flock_read(f, 2);
    f->node[0].cut = true;
    flock_elapse(f, f->limits.election / 2);
    assert_int_equal(flock_answer(f, 2, read), -1);
    flock_elapse(f, f->limits.election);
    assert_int_equal(flock_answer(f, 2, read), STATUS_NOT_LEADER);
    assert_int_equal(flock_primary(f, 2)->ask_count, 0);
    flock_free(f);
}

/* I5: the answer overtakes the entries, which left before the primary knew that they are
 * committed. */
static void test_I5_what_is_told_counts_when_the_entries_come(void **state)
{
    (void)state;
    struct flock *f = led(3, 1);
    qr_req write = flock_submit(f, 0, 2);
    flock_sync(f, 0);
    assert_true(flock_deliver_one(f, 0, 2, PRIMARY_APPEND));
    flock_sync(f, 2);
    while (flock_deliver_one(f, 2, 0, PRIMARY_APPEND_ACK)) {
    }
    assert_true(flock_applied(f, 0, write));
    qr_req read = flock_read(f, 1);
    assert_true(flock_deliver_one(f, 1, 0, PRIMARY_READ_ASK));
    assert_true(flock_deliver_one(f, 0, 1, PRIMARY_READ_AT));
    assert_non_null(served(f, 1, read));
    assert_false(flock_applied(f, 1, write));
    assert_true(flock_deliver_one(f, 0, 1, PRIMARY_APPEND));
    assert_true(flock_applied(f, 1, write));
    flock_free(f);
}

static void test_full_it_refuses(void **state)
{
    (void)state;
    struct flock *f = led(2, 1);
    qr_req last = 0;
    for (uint32_t i = 0; i < READ_WAITS + 1; i++) {
        last = flock_read(f, 1);
        f->next_req++; /* ranges that do not touch */
    }
    assert_int_equal(flock_answer(f, 1, last), STATUS_OVERLOADED);
    flock_free(f);
}

static void test_an_ask_of_a_term_that_is_over_is_told(void **state)
{
    (void)state;
    struct flock *f = led(2, 1);
    struct primary_read_ask m = { .term = 1, .number = 7 };
    flock_tell(f, 0, flock_any(f, 2, 0, 1));
    flock_settle(f);
    flock_deliver(f, 1, 0, PRIMARY_READ_ASK, &m, 0, 0, 0);
    assert_int_equal(flock_sent(f, 0, 1, PRIMARY_STALE)->body.stale.term, 2);
    flock_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_slot_is_the_primarys_commit_index),
        cmocka_unit_test(test_I1_who_holds_no_lease_does_not_answer),
        cmocka_unit_test(test_I1_who_does_not_serve_does_not_answer),
        cmocka_unit_test(test_I2_reads_that_come_meanwhile_wait_for_the_next_ask),
        cmocka_unit_test(test_I2_an_answer_to_a_life_before_fits_nothing),
        cmocka_unit_test(test_I3_who_may_have_to_take_back_does_not_ask),
        cmocka_unit_test(test_I4_who_waits_is_refused_with_the_term_the_connection_or_in_time),
        cmocka_unit_test(test_I5_what_is_told_counts_when_the_entries_come),
        cmocka_unit_test(test_full_it_refuses),
        cmocka_unit_test(test_an_ask_of_a_term_that_is_over_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
