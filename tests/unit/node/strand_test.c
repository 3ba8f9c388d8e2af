/* Strands alone: which of them a connection keeps, and what it still says of those that had to go
 * (strand.h, session.h N1). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/limits.h"
#include "node/strand.h"

static struct strands strands;

static int begin(void **state)
{
    (void)state;
    strands = (struct strands){ 0 };
    return 0;
}

static int end(void **state)
{
    (void)state;
    strands_free(&strands);
    return strands.count == 0 && strands.table == NULL ? 0 : -1;
}

static struct strand *known(uint32_t group)
{
    struct strand *s = strands.table != NULL ? strands.table[group % STRAND_PLACES] : NULL;
    while (s != NULL && s->group != group) {
        s = s->next;
    }
    return s;
}

/* Groups `from` to STRANDS_KEPT: with them there are as many as are kept. */
static void fill(uint32_t from)
{
    for (uint32_t group = from; group <= STRANDS_KEPT; group++) {
        (void)strand_of(&strands, group);
    }
    assert_int_equal(strands.count, STRANDS_KEPT);
}

static void test_one_strand_for_each_group(void **state)
{
    (void)state;
    assert_ptr_equal(strand_of(&strands, 0), &strands.first);
    struct strand *a = strand_of(&strands, 3), *b = strand_of(&strands, 3 + STRAND_PLACES);
    assert_ptr_not_equal(a, b);
    assert_ptr_equal(strand_of(&strands, 3), a);
    assert_ptr_equal(strand_of(&strands, 3 + STRAND_PLACES), b);
    assert_int_equal(strands.count, 2);
    assert_int_equal(strands_memory(&strands),
                     STRAND_PLACES * sizeof(void *) + 2 * sizeof(struct strand));
}

static void test_as_many_as_are_kept_and_no_more(void **state)
{
    (void)state;
    fill(1);
    for (uint32_t group = 1; group <= STRANDS_KEPT; group++) {
        assert_non_null(known(group));
    }
    for (uint32_t group = 1000; group < 2000; group++) {
        (void)strand_of(&strands, group);
        assert_int_equal(strands.count, STRANDS_KEPT);
        assert_non_null(known(group));
    }
}

/* Whoever has commands without an answer stays, be there more than are kept. */
static void test_none_goes_that_waits_for_an_answer(void **state)
{
    (void)state;
    for (uint32_t group = 1; group <= STRANDS_KEPT + 5; group++) {
        strand_of(&strands, group)->open = 1;
    }
    assert_int_equal(strands.count, STRANDS_KEPT + 5);
    strand_of(&strands, 70)->open = 0; /* this one goes */
    (void)strand_of(&strands, 5000);
    assert_int_equal(strands.count, STRANDS_KEPT + 5);
    assert_null(known(70));
    for (uint32_t group = 1; group <= STRANDS_KEPT + 5; group++) {
        assert_true(group == 70 || known(group) != NULL);
    }
}

/* WAIT asks those that have written: others go first. Once one of them is gone it asks all. */
static void test_those_that_have_written_go_last(void **state)
{
    (void)state;
    for (uint32_t group = 1; group <= STRANDS_KEPT; group++) {
        strand_of(&strands, group)->wrote = group != 64;
    }
    (void)strand_of(&strands, 1000);
    assert_null(known(64));
    assert_false(strands.forgot);
    strand_of(&strands, 1000)->wrote = true;
    (void)strand_of(&strands, 1001);
    assert_true(strands.forgot);
    assert_int_equal(strands.count, STRANDS_KEPT);
    strands.hand = 1001 % STRAND_PLACES; /* one goes that has not */
    (void)strand_of(&strands, 1002);
    assert_null(known(1001));
    assert_true(strands.forgot);
}

static void test_who_has_forgotten_a_writer_looks_no_further(void **state)
{
    (void)state;
    fill(1);
    strands.forgot = true;
    uint32_t next = strands.hand;
    for (uint32_t group = 1; group <= STRANDS_KEPT; group++) {
        strand_of(&strands, group)->wrote = group % STRAND_PLACES == next;
    }
    (void)strand_of(&strands, 1000);
    uint32_t gone = next == 0 ? STRAND_PLACES : next;
    assert_null(known(gone)); /* the first one that is there */
    assert_int_equal(strands.hand, (next + 1) % STRAND_PLACES);
}

/* N1: those made from then on are unsure. What had seen nothing is forgotten without harm. */
static void test_what_had_seen_something_is_missed(void **state)
{
    (void)state;
    fill(1);
    (void)strand_of(&strands, 1000);
    assert_false(strands.unsure);
    assert_false(known(1000)->unsure);
    for (uint32_t group = 1; group <= STRANDS_KEPT; group++) {
        if (known(group) != NULL) {
            known(group)->unsure = true; /* and has seen nothing that it could name */
        }
    }
    (void)strand_of(&strands, 1001);
    assert_true(strands.unsure);
    assert_true(known(1001)->unsure);
    strands.hand = 1000 % STRAND_PLACES; /* one that has seen nothing goes: the doubt stays */
    (void)strand_of(&strands, 1002);
    assert_null(known(1000));
    assert_true(strands.unsure);
}

/* --- What was seen -------------------------------------------------------------------------- */

static void test_what_was_seen_never_goes_back_and_has_left(void **state)
{
    (void)state;
    strands_note_seen(&strands, NULL, 0, 10);
    strands_note_seen(&strands, NULL, 0, 9);
    strands_note_seen(&strands, NULL, 5, 20);
    assert_int_equal(strands.first.seen, 10);
    assert_int_equal(strands.first.told, 10);
    assert_int_equal(known(5)->told, 20);
    known(5)->seen = 30; /* of an answer that is still on its way: there is none any more */
    strands_note_seen(&strands, NULL, 5, 25);
    assert_int_equal(known(5)->told, 30);
}

static void test_a_proven_answer_ends_the_doubt_if_nothing_is_open_N1(void **state)
{
    (void)state;
    struct strand *s = strand_of(&strands, 5);
    s->unsure = true;
    strands_note_seen(&strands, NULL, 5, 20);
    assert_true(s->unsure);
    s->open = 1;
    strands_note_proven(&strands, NULL, 5, 21);
    assert_true(s->unsure && s->seen == 21);
    s->open = 0;
    strands_note_proven(&strands, NULL, 5, 22);
    assert_true(!s->unsure && s->seen == 22);
    strands_note_proven(&strands, NULL, 5, 0); /* nobody knows how far */
    assert_true(s->unsure && s->seen == 22);
    strands_note_proven(&strands, NULL, 5, 21);
    assert_true(!s->unsure && s->seen == 22);
    s->open = 1;
    strands_note_proven(&strands, NULL, 5, 23);
    assert_false(s->unsure); /* it makes nothing unsure */
    s->open = 0;
}

/* --- Who has written ------------------------------------------------------------------------ */

static void test_all_that_have_written_are_counted_and_some_named(void **state)
{
    (void)state;
    uint32_t v[4] = { 99, 99, 99, 99 };
    assert_int_equal(strands_written(&strands, v, 4), 0);
    strands.first.wrote = true;
    assert_int_equal(strands_written(&strands, v, 0), 1);
    assert_int_equal(v[0], 99);
    assert_int_equal(strands_written(&strands, v, 4), 1);
    assert_int_equal(v[0], 0);
    (void)strand_of(&strands, 1);
    strand_of(&strands, 2)->wrote = true;
    strand_of(&strands, 2 + STRAND_PLACES)->wrote = true;
    strand_of(&strands, STRAND_PLACES - 1)->wrote = true;
    assert_int_equal(strands_written(&strands, v, 3), 4);
    assert_int_equal(v[0], 0);
    assert_int_equal(v[1] + v[2], 2 + 2 + STRAND_PLACES);
    assert_int_equal(v[3], 99);
    assert_int_equal(strands_written(&strands, v, 4), 4);
    assert_int_equal(v[3], STRAND_PLACES - 1);
}

#define STRAND_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STRAND_TEST(test_one_strand_for_each_group),
        STRAND_TEST(test_as_many_as_are_kept_and_no_more),
        STRAND_TEST(test_none_goes_that_waits_for_an_answer),
        STRAND_TEST(test_those_that_have_written_go_last),
        STRAND_TEST(test_who_has_forgotten_a_writer_looks_no_further),
        STRAND_TEST(test_what_had_seen_something_is_missed),
        STRAND_TEST(test_what_was_seen_never_goes_back_and_has_left),
        STRAND_TEST(test_a_proven_answer_ends_the_doubt_if_nothing_is_open_N1),
        STRAND_TEST(test_all_that_have_written_are_counted_and_some_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
