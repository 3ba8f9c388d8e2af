/* The models of whole nodes that judge by themselves (sim/nodes/model_*.c): what is true passes,
 * and each way of being wrong has its word. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/alloc.h"
#include "sim/nodes/seat.h"

#include <stdio.h>
#include <string.h>

static struct run *run;
static struct asker *one, *other;

struct process *memory_for(struct process *process)
{
    return process;
}

bool faults_move_clocks(const struct run *some)
{
    (void)some;
    return false;
}

qr_time host_wall(const struct host *host, qr_time now)
{
    (void)host;
    return now;
}

static int end(void **state)
{
    (void)state;
    free(run);
    run = NULL;
    return 0;
}

static int begin(void **state)
{
    (void)end(state);
    run = qr_zalloc(sizeof *run);
    one = &run->asker[0];
    other = &run->asker[1];
    one->run = other->run = run;
    run->models.asked[MODEL_lock] = 1;
    one->lock = other->lock = 1; /* the first that is asked for */
    one->mortal.is_known = true;
    return 0;
}

static const char *told(enum model_name model, struct asker *a, struct deed *d, qr_time end_at,
                        const char *reply)
{
    struct tree tree = { 0 };
    assert_int_equal(tree_read(&tree, (const uint8_t *)reply, strlen(reply)), TREE_WHOLE);
    struct answer answer = { &tree, 0, end_at };
    const char *wrong = models[model]->told(a, d, &answer);
    free(d->value);
    d->value = NULL;
    tree_free(&tree);
    return wrong;
}

#define MS QR_MILLISECOND
#define GOOD(wrong) assert_null(wrong)
#define WRONG(wrong, text) assert_string_equal(wrong, text)

/* --- Keys that go at a time ------------------------------------------------------------------- */

enum { SET_PX, PSETEX, SET_PLAIN, GETEX_PX, GETEX_PERSIST, PEXPIRE, PERSIST, GET, PTTL };

static const char *mortal(uint8_t how, uint32_t ms, qr_time start, const char *reply)
{
    struct deed d = { .kind = how >= GET ? OP_GET : OP_SET, .how = how, .ms = ms, .start = start };
    (void)snprintf(d.argument, sizeof d.argument, " v");
    return told(MODEL_ttl, one, &d, start + MS, reply);
}

static void test_a_key_goes_in_time(void **state)
{
    (void)state;
    GOOD(mortal(SET_PX, 100, 0, "+OK\r\n"));
    GOOD(mortal(GET, 0, 50 * MS, "$1\r\nv\r\n"));
    GOOD(mortal(PTTL, 0, 50 * MS, ":50\r\n"));
    GOOD(mortal(GET, 0, 105 * MS, "$1\r\nv\r\n")); /* a little late */
    GOOD(mortal(GET, 0, 106 * MS, "$-1\r\n"));
    GOOD(mortal(PTTL, 0, 107 * MS, ":-2\r\n"));
    WRONG(mortal(GET, 0, 108 * MS, "$1\r\nv\r\n"), "a key is there that was gone");
}

static void test_a_key_goes_too_early_or_too_late(void **state)
{
    (void)state;
    GOOD(mortal(SET_PX, 100, 0, "+OK\r\n"));
    WRONG(mortal(GET, 0, 90 * MS, "$-1\r\n"), "a key is gone before its time");
    GOOD(mortal(SET_PX, 100, 0, "+OK\r\n"));
    WRONG(mortal(PTTL, 0, 90 * MS, ":-2\r\n"), "a key is gone before its time");
    GOOD(mortal(SET_PX, 100, 0, "+OK\r\n"));
    WRONG(mortal(GET, 0, 120 * MS, "$1\r\nv\r\n"), "a key is there behind its time");
    GOOD(mortal(SET_PX, 100, 0, "+OK\r\n"));
    WRONG(mortal(GET, 0, 50 * MS, "$1\r\nw\r\n"), "another value than what was set");
    run->clock_error = 20 * MS; /* what clocks are wrong is allowed, twice */
    GOOD(mortal(SET_PX, 100, 0, "+OK\r\n"));
    GOOD(mortal(GET, 0, 140 * MS, "$1\r\nv\r\n"));
    GOOD(mortal(GET, 0, 65 * MS, "$-1\r\n"));
    GOOD(mortal(SET_PX, 100, 0, "+OK\r\n"));
    WRONG(mortal(GET, 0, 55 * MS, "$-1\r\n"), "a key is gone before its time");
}

static void test_a_time_that_is_told_is_the_one_that_was_given(void **state)
{
    static const char none[] = "a time to live where there is none, or none where there is one";
    (void)state;
    GOOD(mortal(SET_PLAIN, 0, 0, "+OK\r\n"));
    GOOD(mortal(PTTL, 0, 10 * MS, ":-1\r\n"));
    WRONG(mortal(PTTL, 0, 20 * MS, ":5\r\n"), none);
    WRONG(mortal(GET, 0, QR_SECOND, "$-1\r\n"), "a key is gone before its time");
    GOOD(mortal(SET_PLAIN, 0, 0, "+OK\r\n"));
    GOOD(mortal(PEXPIRE, 100, 10 * MS, ":1\r\n"));
    WRONG(mortal(PTTL, 0, 20 * MS, ":-1\r\n"), none);
    WRONG(mortal(PTTL, 0, 20 * MS, ":99\r\n"), "another time to live");
    WRONG(mortal(PTTL, 0, 20 * MS, ":80\r\n"), "another time to live");
    GOOD(mortal(PERSIST, 0, 20 * MS, ":1\r\n"));
    GOOD(mortal(PTTL, 0, 30 * MS, ":-1\r\n"));
    GOOD(mortal(PERSIST, 0, 40 * MS, ":0\r\n")); /* there is nothing to take away */
    GOOD(mortal(GETEX_PX, 50, 50 * MS, "$1\r\nv\r\n"));
    WRONG(mortal(PEXPIRE, 50, 60 * MS, ":0\r\n"), "a key is gone before its time");
    WRONG(mortal(PTTL, 0, 60 * MS, "+OK\r\n"), "a reply of the wrong type");
    WRONG(mortal(PERSIST, 0, 60 * MS, ":2\r\n"), "a reply of the wrong type");
}

static void test_a_write_without_an_answer_ends_what_is_known_of_a_key(void **state)
{
    (void)state;
    struct deed reads = { .kind = OP_GET, .how = GET }, writes = { .kind = OP_SET, .how = PEXPIRE };
    GOOD(mortal(SET_PX, 100, 0, "+OK\r\n"));
    GOOD(mortal(PTTL, 0, 99 * MS, ":0\r\n")); /* less than a millisecond */
    models[MODEL_ttl]->lost(one, &reads);
    assert_true(one->mortal.is_known && one->mortal.is_there);
    models[MODEL_ttl]->lost(one, &writes);
    assert_false(one->mortal.is_known || one->mortal.is_there);
}

/* --- A lock ----------------------------------------------------------------------------------- */

static const char *locks(struct asker *a, uint32_t ms, qr_time start, const char *reply)
{
    struct deed d = { .kind = OP_SETNX, .apart = true, .ms = ms, .start = start };
    return told(MODEL_lock, a, &d, start + MS, reply);
}

static const char *counts(struct asker *a, qr_time start, const char *reply)
{
    struct deed d = { .kind = OP_INCR, .start = start };
    return told(MODEL_lock, a, &d, start + MS, reply);
}

static void test_a_lock_has_one_holder(void **state)
{
    (void)state;
    GOOD(locks(one, 1000, 0, "+OK\r\n"));
    GOOD(locks(other, 1000, 10 * MS, "$-1\r\n"));
    GOOD(locks(other, 1000, QR_SECOND, "+OK\r\n")); /* its time was over */
    WRONG(locks(one, 1000, QR_SECOND + 10 * MS, "+OK\r\n"), "two hold one lock");
    WRONG(locks(one, 1000, QR_SECOND + 10 * MS, ":1\r\n"), "a reply of the wrong type");
}

static void test_of_what_is_over_or_lost_nothing_is_known(void **state)
{
    (void)state;
    struct deed sets = { .kind = OP_SETNX }, ends = { .kind = OP_DEL };
    GOOD(locks(one, 1000, 0, "+OK\r\n"));
    GOOD(locks(other, 1, 10 * MS, "+OK\r\n")); /* it comes when its time is over */
    other->lock = 7;
    GOOD(locks(other, 1000, 20 * MS, "+OK\r\n")); /* of another lock */
    assert_ptr_equal(run->lock.holder, one);
    models[MODEL_lock]->lost(one, &sets);
    models[MODEL_lock]->lost(other, &ends);
    assert_int_equal(run->lock.spoilt, 0);
    models[MODEL_lock]->lost(one, &ends);
    assert_int_equal(run->lock.spoilt, 1);
}

static void test_a_holder_is_newer_than_all_before(void **state)
{
    static const char older[] = "who holds the lock is refused as an older one";
    (void)state;
    GOOD(locks(one, 1000, 0, "+OK\r\n"));
    GOOD(counts(one, 10 * MS, ":1\r\n"));
    GOOD(counts(one, 20 * MS, ":3\r\n"));
    WRONG(counts(one, 30 * MS, ":3\r\n"), older);
    WRONG(counts(one, 40 * MS, ":2\r\n"), older);
    GOOD(counts(other, 50 * MS, ":1\r\n")); /* who sees that it holds nothing */
    WRONG(counts(one, 60 * MS, "+OK\r\n"), "a reply of the wrong type");
}

static void test_a_lock_is_there_until_it_is_given_back(void **state)
{
    (void)state;
    GOOD(locks(one, 1000, 0, "+OK\r\n"));
    struct deed d = { .kind = OP_DEL, .apart = true, .start = 10 * MS };
    run->lock.holder = NULL; /* as when it asks for that */
    run->lock.ends_till = run->lock.until;
    WRONG(told(MODEL_lock, one, &d, 20 * MS, ":0\r\n"), "a lock is gone before its time");
    run->lock.ends_till = run->lock.until;
    GOOD(told(MODEL_lock, one, &d, 20 * MS, ":1\r\n"));
    GOOD(locks(other, 1000, 30 * MS, "+OK\r\n"));
    run->lock.ends_till = 40 * MS; /* a DEL of before that is late may be the end of that one */
    assert_int_equal(run->lock.spoilt, 0);
    GOOD(locks(one, 1000, 50 * MS, "+OK\r\n"));
    assert_int_equal(run->lock.spoilt, 1);
}

/* --- A set of elements ------------------------------------------------------------------------*/

static const char *adds(uint32_t element, qr_time start)
{
    struct elements *e = &run->elements_of;
    struct deed d = { .kind = OP_SET, .ms = element, .start = start };
    e->n = e->n > element ? e->n : element;
    return told(MODEL_set, one, &d, start + MS, "+OK\r\n");
}

static const char *looks(const char *key, qr_time start, const char *reply)
{
    struct deed d = { .kind = OP_GET, .how = ALL_ELEMENTS, .start = start };
    (void)snprintf(d.key, sizeof d.key, "%s", key);
    return told(MODEL_set, one, &d, start + MS, reply);
}

static const char *finds(uint32_t element, qr_time start, const char *reply)
{
    struct deed d = { .kind = OP_GET, .ms = element, .start = start };
    return told(MODEL_set, one, &d, start + MS, reply);
}

static void test_what_was_added_stays(void **state)
{
    static const char nobody[] = "an element that nobody has added, or twice";
    (void)state;
    GOOD(adds(1, 0));
    GOOD(adds(2, 10 * MS));
    run->elements_of.n = 4; /* the third has no answer yet, the fourth was refused */
    struct deed refused = { .kind = OP_SET, .ms = 4 };
    models[MODEL_set]->refused(one, &refused);
    GOOD(looks("0", 20 * MS, "*2\r\n$5\r\nelem2\r\n$5\r\nelem1\r\n"));
    GOOD(looks("0", 20 * MS, "*3\r\n$5\r\nelem2\r\n$5\r\nelem1\r\n$5\r\nelem3\r\n"));
    GOOD(looks("0", 5 * MS, "*1\r\n$5\r\nelem1\r\n")); /* asked when only that one was there */
    WRONG(looks("0", 20 * MS, "*1\r\n$5\r\nelem2\r\n"), "an element is missing");
    WRONG(looks("0", 20 * MS, "*0\r\n"), "an element is missing");
    WRONG(looks("0", 20 * MS, "*3\r\n$5\r\nelem1\r\n$5\r\nelem2\r\n$5\r\nelem2\r\n"), nobody);
    WRONG(looks("0", 20 * MS, "*3\r\n$5\r\nelem1\r\n$5\r\nelem2\r\n$5\r\nelem4\r\n"), nobody);
    WRONG(looks("0", 20 * MS, "*3\r\n$5\r\nelem1\r\n$5\r\nelem2\r\n$5\r\nelem9\r\n"), nobody);
    WRONG(looks("0", 20 * MS, "$-1\r\n"), "a reply of the wrong type");
    GOOD(finds(3, 20 * MS, "$-1\r\n"));
    GOOD(finds(4, 20 * MS, "$-1\r\n"));
    WRONG(finds(1, 20 * MS, "+OK\r\n"), "a reply of the wrong type");
    WRONG(finds(1, 20 * MS, ":1\r\n"), "a reply of the wrong type");
    GOOD(adds(5, 10 * MS));
    GOOD(looks("0", 20 * MS, "*3\r\n$5\r\nelem1\r\n$5\r\nelem2\r\n$5\r\nelem5\r\n"));
    WRONG(looks("0", 20 * MS, "*2\r\n$5\r\nelem2\r\n$5\r\nelem1\r\n"),
          "an element is missing");
    WRONG(looks("0", 20 * MS, "*3\r\n$5\r\nelem1\r\n$5\r\nelem2\r\n$4\r\nelem\r\n"), nobody);
    WRONG(finds(1, 20 * MS, "$-1\r\n"), "an element is missing");
    WRONG(finds(4, 20 * MS, "$2\r\nin\r\n"), "an element that was refused");
    run->orders = true; /* odd ones are in the operator's keyspace */
    GOOD(looks("1", 20 * MS, "*2\r\n$5\r\nelem1\r\n$5\r\nelem5\r\n"));
    WRONG(looks("0", 20 * MS, "*0\r\n"), "an element is missing");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_a_key_goes_in_time, begin),
        cmocka_unit_test_setup(test_a_key_goes_too_early_or_too_late, begin),
        cmocka_unit_test_setup(test_a_time_that_is_told_is_the_one_that_was_given, begin),
        cmocka_unit_test_setup(test_a_write_without_an_answer_ends_what_is_known_of_a_key, begin),
        cmocka_unit_test_setup(test_a_lock_has_one_holder, begin),
        cmocka_unit_test_setup(test_of_what_is_over_or_lost_nothing_is_known, begin),
        cmocka_unit_test_setup(test_a_holder_is_newer_than_all_before, begin),
        cmocka_unit_test_setup(test_a_lock_is_there_until_it_is_given_back, begin),
        cmocka_unit_test_setup(test_what_was_added_stays, begin),
    };
    return cmocka_run_group_tests(tests, NULL, end);
}
