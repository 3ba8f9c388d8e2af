/* The models of whole nodes that judge by themselves, told what no node may say: each finds it, and
 * nothing in what a node may say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "sim/nodes/seat.h"
#include "sim/nodes/want.h"

#define MS QR_MILLISECOND

struct process *memory_for(struct process *process)
{
    return process;
}

qr_wall host_wall(const struct host *host, qr_time now)
{
    return host->wall + now;
}

bool faults_move_clocks(const struct run *run)
{
    return run->weight[FAULT_wall] > 0;
}

size_t want_words(char *p, size_t cap, const char *words)
{
    return (size_t)snprintf(p, cap, "%s", words);
}

static struct run run;
static struct realm realm;

/* Two clients of a world in which clocks are right. */
static int set_up(void **state)
{
    (void)state;
    memset(&run, 0, sizeof run);
    memset(&realm, 0, sizeof realm);
    run.realm = &realm;
    run.askers = 2;
    run.orders = true;
    for (uint32_t i = 0; i < 2; i++) {
        run.asker[i] = (struct asker){ .run = &run, .number = i, .rng = rng_from(i + 1) };
    }
    for (unsigned m = 0; m < MODELS; m++) {
        run.models.has[m] = true;
        run.models.asked[m] = 1;
    }
    return 0;
}

static const char *told_at(struct asker *a, struct deed *asked, const char *reply, qr_time now)
{
    struct tree tree = { 0 };
    const uint8_t *p = (const uint8_t *)reply;
    assert_int_equal(tree_read(&tree, p, strlen(reply)), TREE_WHOLE);
    struct answer answer = { .tree = &tree, .now = now };
    const char *wrong = model_of(asked)->told(a, asked, &answer);
    tree_free(&tree);
    free(asked->value);
    asked->value = NULL;
    return wrong != NULL ? wrong : "";
}

/* Asks until what is asked begins so. */
static struct deed asks(struct asker *a, enum model_name model, const char *words, qr_time start)
{
    for (int i = 0; i < 10000; i++) {
        struct asker before = *a;
        struct elements elements = run.elements_of;
        struct lock lock = run.lock;
        struct wish wish = { 0 };
        struct deed asked = { .model = (uint8_t)(model + 1), .start = start };
        models[model]->ask(a, &asked, &wish);
        if (strncmp(wish.words, words, strlen(words)) == 0) {
            return asked;
        }
        struct rng rng = a->rng;
        *a = before;
        a->rng = rng;
        run.elements_of = elements;
        run.lock = lock;
    }
    fail_msg("nobody asks for %s", words);
    return (struct deed){ 0 };
}

#define GOOD(wrong) assert_string_equal(wrong, "")
#define BAD(wrong, why) assert_string_equal(wrong, why)

/* --- Times to live -------------------------------------------------------------------------- */

/* A key that was set between 1 s and 1 s + 10 ms, for so long. */
static uint32_t set_for_a_time(struct asker *a)
{
    struct deed set = asks(a, MODEL_ttl, "SET ttl0-1 v0 PX", QR_SECOND);
    BAD(told_at(a, &set, "+NO\r\n", QR_SECOND), "a reply of the wrong type");
    GOOD(told_at(a, &set, "+OK\r\n", QR_SECOND + 10 * MS));
    return set.ms;
}

static const char *reads(struct asker *a, const char *words, const char *reply, qr_time start,
                         qr_time now)
{
    struct deed asked = asks(a, MODEL_ttl, words, start);
    return told_at(a, &asked, reply, now);
}

static void test_a_key_goes_at_its_time(void **state)
{
    (void)state;
    struct asker *a = &run.asker[0];
    qr_time time = QR_SECOND + set_for_a_time(a) * MS;
    GOOD(reads(a, "GET ", "$2\r\nv0\r\n", time - MS, time + 30 * MS));
    BAD(reads(a, "GET ", "$2\r\nv1\r\n", time - MS, time), "another value than what was set");
    BAD(reads(a, "GET ", "$1\r\nv\r\n", time - MS, time), "another value than what was set");
    BAD(reads(a, "GET ", "$2\r\nv0\r\n", time + 21 * MS, time + 22 * MS),
        "a key is there behind its time");
    GOOD(reads(a, "GET ", "$2\r\nv0\r\n", time + 19 * MS, time + 22 * MS));
    struct mortal before = a->mortal;
    BAD(reads(a, "GET ", "$-1\r\n", time - 9 * MS, time - MS), "a key is gone before its time");
    a->mortal = before;
    GOOD(reads(a, "GET ", "$-1\r\n", time - 9 * MS, time));
    BAD(reads(a, "GET ", "$2\r\nv0\r\n", time, time), "a key is there that was gone");
    BAD(reads(a, "GET ", ":1\r\n", time, time), "a reply of the wrong type");
    a->mortal = before;
    GOOD(reads(a, "PERSIST", ":0\r\n", time, time)); /* it was gone */
    BAD(reads(a, "GET ", "$2\r\nv0\r\n", time, time), "a key is there that was gone");
}

static void test_clocks_widen_a_time_twice(void **state)
{
    (void)state;
    struct asker *a = &run.asker[0];
    qr_time time = QR_SECOND + set_for_a_time(a) * MS;
    run.clock_error = 5 * MS;
    GOOD(reads(a, "GET ", "$2\r\nv0\r\n", time + 29 * MS, time + 50 * MS));
    BAD(reads(a, "GET ", "$2\r\nv0\r\n", time + 31 * MS, time + 50 * MS),
        "a key is there behind its time");
    struct mortal before = a->mortal;
    BAD(reads(a, "GET ", "$-1\r\n", time - 20 * MS, time - 11 * MS),
        "a key is gone before its time");
    a->mortal = before;
    GOOD(reads(a, "GET ", "$-1\r\n", time - 20 * MS, time - 10 * MS));
}

static void test_the_widest_error_of_a_clock_counts(void **state)
{
    (void)state;
    static struct host host[2];
    host[0].wall = REALM_WALL + 3 * MS;
    host[1].wall = REALM_WALL - 7 * MS;
    run.seats = 2;
    run.seat[0].host = &host[0];
    run.seat[1].host = &host[1];
    models_look_at_clocks(&run);
    assert_int_equal(run.clock_error, 7 * MS);
    host[1].wall = REALM_WALL;
    models_look_at_clocks(&run);
    assert_int_equal(run.clock_error, 7 * MS);
}

static void test_what_is_left_of_a_time(void **state)
{
    (void)state;
    struct asker *a = &run.asker[0];
    qr_time at = QR_SECOND + 10 * MS;
    int left = (int)set_for_a_time(a);
    char reply[20];
    static const struct {
        int more;
        bool good;
    } tries[] = { { 0, true }, { -11, true }, { 11, true }, { -12, false }, { 12, false } };
    for (size_t i = 0; i < ARRAY_COUNT(tries); i++) {
        (void)snprintf(reply, sizeof reply, ":%d\r\n", left - 10 + tries[i].more);
        const char *wrong = reads(a, "PTTL", reply, at, at + 10 * MS);
        assert_string_equal(wrong, tries[i].good ? "" : "another time to live");
    }
    BAD(reads(a, "PTTL", ":-1\r\n", at, at),
        "a time to live where there is none, or none where there is one");
    BAD(reads(a, "PTTL", ":-3\r\n", at, at), "a reply of the wrong type");
    GOOD(reads(a, "PERSIST", ":1\r\n", at, at));
    GOOD(reads(a, "PTTL", ":-1\r\n", at, at));
    GOOD(reads(a, "PERSIST", ":0\r\n", at, at));
    BAD(reads(a, "PTTL", ":5\r\n", at, at),
        "a time to live where there is none, or none where there is one");
    BAD(reads(a, "PTTL", ":-2\r\n", 9 * QR_SECOND, 9 * QR_SECOND),
        "a key is gone before its time");
}

static void test_a_key_with_a_write_of_unknown_outcome_is_given_up(void **state)
{
    (void)state;
    struct asker *a = &run.asker[0];
    (void)set_for_a_time(a);
    struct deed get = asks(a, MODEL_ttl, "GET ", QR_SECOND);
    model_of(&get)->lost(a, &get);
    assert_true(a->mortal.is_known);
    struct deed set = asks(a, MODEL_ttl, "PEXPIRE ttl0-1", QR_SECOND);
    model_of(&set)->lost(a, &set);
    set = asks(a, MODEL_ttl, "SET ttl0-2 v0 PX", QR_SECOND);
    GOOD(reads(a, "GET ttl0-2", "$-1\r\n", QR_SECOND, QR_SECOND)); /* it was refused */
    GOOD(told_at(a, &set, "+OK\r\n", QR_SECOND));
}

/* --- The lock ------------------------------------------------------------------------------- */

static struct deed locks(struct asker *a, qr_time start, qr_time now)
{
    struct deed set = asks(a, MODEL_lock, "SET lock1", start);
    GOOD(told_at(a, &set, "+OK\r\n", now));
    return set;
}

static void test_two_do_not_hold_one_lock(void **state)
{
    (void)state;
    struct asker *a = &run.asker[0], *b = &run.asker[1];
    qr_time until = QR_SECOND + locks(a, QR_SECOND, QR_SECOND + MS).ms * MS;
    struct deed set = asks(b, MODEL_lock, "SET lock1", until - 2 * MS);
    struct lock before = run.lock;
    GOOD(told_at(b, &set, "$-1\r\n", until - MS));
    BAD(told_at(b, &set, "+OK\r\n", until - MS), "two hold one lock");
    GOOD(told_at(b, &set, "+OK\r\n", until));
    run.lock = before;
    run.clock_error = MS; /* that much it may be early, twice */
    GOOD(told_at(b, &set, "+OK\r\n", until - 2 * MS));
    run.lock = before;
    set.start = until - set.ms * MS - 2 * MS;
    GOOD(told_at(b, &set, "+OK\r\n", until - 4 * MS));
    assert_ptr_equal(run.lock.holder, a);
    run.clock_error = 0;
    set.start = until - set.ms * MS - 2 * MS; /* who is told so late does not know that it has it */
    GOOD(told_at(b, &set, "+OK\r\n", until - MS));
    assert_ptr_equal(run.lock.holder, a);
}

static void test_the_lock_before_is_another(void **state)
{
    (void)state;
    struct asker *a = &run.asker[0], *b = &run.asker[1];
    qr_time until = QR_SECOND + locks(a, QR_SECOND, QR_SECOND + MS).ms * MS;
    struct deed set = asks(b, MODEL_lock, "SET lock1", QR_SECOND);
    struct deed del = asks(a, MODEL_lock, "DEL lock1", QR_SECOND + MS);
    run.lock.holder = a;
    run.models.asked[MODEL_lock] += 50;
    GOOD(told_at(b, &set, "+OK\r\n", QR_SECOND + MS));
    assert_ptr_equal(run.lock.holder, a);
    model_of(&del)->lost(a, &del);
    assert_int_equal(run.lock.spoilt, 0);
    run.lock.ends_till = 0;
    set = asks(b, MODEL_lock, "SET lock2", QR_SECOND + MS);
    GOOD(told_at(b, &set, "+OK\r\n", QR_SECOND + MS));
    assert_true(until > QR_SECOND + MS);
    model_of(&set)->lost(b, &set); /* that is no end */
    assert_int_equal(run.lock.spoilt, 0);
    assert_ptr_equal(run.lock.holder, b);
}

static void test_a_lock_is_given_back(void **state)
{
    (void)state;
    struct asker *a = &run.asker[0], *b = &run.asker[1];
    qr_time until = QR_SECOND + locks(a, QR_SECOND, QR_SECOND + MS).ms * MS;
    struct lock before = run.lock;
    struct deed del = asks(a, MODEL_lock, "DEL lock1", QR_SECOND + 2 * MS);
    struct deed set = asks(b, MODEL_lock, "SET lock1", QR_SECOND + 2 * MS);
    GOOD(told_at(b, &set, "+OK\r\n", QR_SECOND + 3 * MS)); /* while it is under way */
    run.lock = before;
    del = asks(a, MODEL_lock, "DEL lock1", QR_SECOND + 2 * MS);
    BAD(told_at(a, &del, ":0\r\n", until - MS), "a lock is gone before its time");
    run.lock = before;
    del = asks(a, MODEL_lock, "DEL lock1", QR_SECOND + 2 * MS);
    GOOD(told_at(a, &del, ":0\r\n", until)); /* it may have been the end of another's */
    assert_int_equal(run.lock.spoilt, 1);
    run.lock = before;
    run.clock_error = MS;
    del = asks(a, MODEL_lock, "DEL lock1", QR_SECOND + 2 * MS);
    GOOD(told_at(a, &del, ":0\r\n", until - 2 * MS));
    assert_int_equal(run.lock.spoilt, 1);
    run.clock_error = 0;
    run.lock = before;
    del = asks(a, MODEL_lock, "DEL lock1", QR_SECOND + 2 * MS);
    GOOD(told_at(a, &del, ":1\r\n", QR_SECOND + 3 * MS));
    set = asks(b, MODEL_lock, "SET lock1", until);
    GOOD(told_at(b, &set, "+OK\r\n", until + MS));
    assert_int_equal(run.lock.spoilt, 0);
    run.lock = before;
    del = asks(a, MODEL_lock, "DEL lock1", QR_SECOND + 2 * MS);
    model_of(&del)->lost(a, &del);
    assert_int_equal(run.lock.spoilt, 1);
    (void)asks(b, MODEL_lock, "SET lock2", QR_SECOND + 3 * MS);
}

static void test_a_late_end_may_be_of_the_next(void **state)
{
    (void)state;
    struct asker *a = &run.asker[0], *b = &run.asker[1];
    qr_time until = QR_SECOND + locks(a, QR_SECOND, QR_SECOND + MS).ms * MS;
    (void)asks(a, MODEL_lock, "DEL lock1", QR_SECOND + 2 * MS);
    struct deed set = asks(b, MODEL_lock, "SET lock1", until);
    GOOD(told_at(b, &set, "+OK\r\n", until + MS));
    assert_int_equal(run.lock.spoilt, 1);
    set = asks(b, MODEL_lock, "SET lock2", until);
    GOOD(told_at(b, &set, "+OK\r\n", until + MS));
    assert_int_equal(run.lock.spoilt, 1);
}

static void test_who_holds_the_lock_has_the_newest_number(void **state)
{
    (void)state;
    struct asker *a = &run.asker[0];
    qr_time until = QR_SECOND + locks(a, QR_SECOND, QR_SECOND + MS).ms * MS;
    struct deed incr = asks(a, MODEL_lock, "INCR fence1", QR_SECOND + 2 * MS);
    GOOD(told_at(a, &incr, ":5\r\n", QR_SECOND + 3 * MS));
    GOOD(told_at(a, &incr, ":6\r\n", QR_SECOND + 3 * MS));
    BAD(told_at(a, &incr, ":6\r\n", QR_SECOND + 3 * MS),
        "who holds the lock is refused as an older one");
    GOOD(told_at(a, &incr, ":6\r\n", until)); /* it does not write any more */
    assert_false(incr.apart);
    struct asker *b = &run.asker[1];
    b->lock = 1; /* who had it before does not either */
    GOOD(told_at(b, &incr, ":2\r\n", QR_SECOND + 3 * MS));
    run.lock.spoilt = 1;
    struct deed set = asks(a, MODEL_lock, "SET lock2", QR_SECOND);
    GOOD(told_at(a, &set, "+OK\r\n", QR_SECOND + MS));
    incr = asks(a, MODEL_lock, "INCR fence2", QR_SECOND + 2 * MS);
    GOOD(told_at(a, &incr, ":1\r\n", QR_SECOND + 3 * MS)); /* those of another lock */
}

/* --- The set -------------------------------------------------------------------------------- */

static void test_the_set(void **state)
{
    (void)state;
    struct asker *a = &run.asker[0];
    struct deed one = asks(a, MODEL_set, "SET elem1", 1);
    GOOD(told_at(a, &one, "+OK\r\n", 10));
    struct deed two = asks(a, MODEL_set, "SET elem2", 1);
    model_of(&two)->refused(a, &two);
    (void)asks(a, MODEL_set, "SET elem3", 1);
    struct deed all = asks(a, MODEL_set, "KEYS", 11);
    (void)snprintf(all.key, sizeof all.key, "1"); /* of the odd ones */
    GOOD(told_at(a, &all, "*1\r\n$5\r\nelem1\r\n", 20));
    GOOD(told_at(a, &all, "*2\r\n$5\r\nelem3\r\n$5\r\nelem1\r\n", 20));
    BAD(told_at(a, &all, "*1\r\n$5\r\nelem3\r\n", 20), "an element is missing");
    const char *strange = "an element that nobody has added, or twice";
    BAD(told_at(a, &all, "*2\r\n$5\r\nelem1\r\n$5\r\nelem1\r\n", 20), strange);
    BAD(told_at(a, &all, "*2\r\n$5\r\nelem1\r\n$5\r\nelem4\r\n", 20), strange);
    BAD(told_at(a, &all, "*2\r\n$5\r\nelem1\r\n$5\r\nelem2\r\n", 20), strange);
    BAD(told_at(a, &all, "*2\r\n$5\r\nelem1\r\n$5\r\nothr3\r\n", 20), strange);
    all.start = 10; /* not before that */
    GOOD(told_at(a, &all, "*0\r\n", 20));
    (void)snprintf(all.key, sizeof all.key, "0");
    all.start = 11;
    GOOD(told_at(a, &all, "*0\r\n", 20)); /* the even ones are elsewhere */
    run.orders = false; /* all are in one keyspace */
    BAD(told_at(a, &all, "*0\r\n", 20), "an element is missing");
    struct deed get = asks(a, MODEL_set, "GET elem1", 11);
    GOOD(told_at(a, &get, "$2\r\nin\r\n", 20));
    BAD(told_at(a, &get, "$-1\r\n", 20), "an element is missing");
    get = asks(a, MODEL_set, "GET elem2", 11);
    BAD(told_at(a, &get, "$2\r\nin\r\n", 20), "an element that was refused");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_a_key_goes_at_its_time, set_up),
        cmocka_unit_test_setup(test_clocks_widen_a_time_twice, set_up),
        cmocka_unit_test_setup(test_the_widest_error_of_a_clock_counts, set_up),
        cmocka_unit_test_setup(test_what_is_left_of_a_time, set_up),
        cmocka_unit_test_setup(test_a_key_with_a_write_of_unknown_outcome_is_given_up, set_up),
        cmocka_unit_test_setup(test_two_do_not_hold_one_lock, set_up),
        cmocka_unit_test_setup(test_the_lock_before_is_another, set_up),
        cmocka_unit_test_setup(test_a_lock_is_given_back, set_up),
        cmocka_unit_test_setup(test_a_late_end_may_be_of_the_next, set_up),
        cmocka_unit_test_setup(test_who_holds_the_lock_has_the_newest_number, set_up),
        cmocka_unit_test_setup(test_the_set, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
