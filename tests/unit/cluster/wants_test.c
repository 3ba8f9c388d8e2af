/* What a forward says it wants, and an answer what it shows, on the wire. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cluster/wants.h"
#include "protocol/protocol.h"

static uint8_t bytes[WANTS_BYTES + 1];

static struct wants through(const struct wants *w, qr_time sent, qr_time came)
{
    struct wants out;
    struct wire_writer to = wire_writer(bytes, sizeof bytes);
    wants_put(&to, w, sent);
    assert_false(to.bad);
    assert_int_equal(to.n, WANTS_BYTES);
    struct wire_reader from = wire_reader(span_of(bytes, to.n));
    assert_true(wants_get(&from, &out, came));
    assert_true(wire_finished(&from));
    return out;
}

static void test_wants_come_as_they_were_sent(void **state)
{
    (void)state;
    struct wants w = { .level = READ_BOUNDED, .least = 77, .bound = 5000000 };
    struct wants out = through(&w, 10, 20);
    assert_int_equal(out.level, READ_BOUNDED);
    assert_int_equal(out.least, 77);
    assert_int_equal(out.bound, 5000000);
    assert_false(out.bound_is_operations);
    assert_int_equal(out.expires, 0);
    assert_false(out.each_zone);
    w.bound_is_operations = true;
    out = through(&w, 10, 20);
    assert_true(out.bound_is_operations && !out.each_zone);
    w = (struct wants){ .each_zone = true }; /* lost on the way it would be a silent downgrade */
    out = through(&w, 10, 20);
    assert_true(out.each_zone && !out.bound_is_operations);
    assert_int_equal(out.copies.count, 0);
    assert_true(wants_travel(&w));
    w = (struct wants){ .copies = { WANTS_ALL_COPIES, ACK_APPLIED, 0x7ffd } };
    out = through(&w, 0, 0);
    assert_int_equal(out.copies.count, WANTS_ALL_COPIES);
    assert_int_equal(out.copies.stage, ACK_APPLIED);
    assert_int_equal(out.copies.among, 0x7ffd);
    assert_int_equal(out.bound, 0);
    assert_true(wants_travel(&w));
}

static void test_meta_stays_where_the_client_is(void **state)
{
    (void)state;
    assert_false(through(&(struct wants){ .meta = true, .level = READ_LEADER }, 0, 0).meta);
    assert_false(wants_travel(&(struct wants){ .meta = true }));
}

/* Clocks of two nodes have nothing in common: what is left travels. */
static void test_of_a_time_what_is_left_travels(void **state)
{
    (void)state;
    struct wants w = { .expires = 900 * QR_MILLISECOND };
    struct wants out = through(&w, 700 * QR_MILLISECOND, 5 * QR_SECOND);
    assert_int_equal(out.expires, 5 * QR_SECOND + 200 * QR_MILLISECOND);
    out = through(&w, 901 * QR_MILLISECOND, 5 * QR_SECOND); /* it has passed: not none */
    assert_int_equal(out.expires, 5 * QR_SECOND + QR_MILLISECOND);
    w.expires = QR_NEVER; /* as much as there is room for, and not what is left of that */
    assert_true(through(&w, 0, 0).expires == UINT32_MAX * QR_MILLISECOND);
}

static void test_what_matters_elsewhere_travels(void **state)
{
    (void)state;
    assert_false(wants_travel(&(struct wants){ 0 }));
    assert_true(wants_travel(&(struct wants){ .level = READ_LOCAL }));
    assert_true(wants_travel(&(struct wants){ .least = 1 }));
    assert_true(wants_travel(&(struct wants){ .expires = 1 }));
}

static bool are_taken(const uint8_t *from, size_t n)
{
    struct wants out;
    struct wire_reader r = wire_reader(span_of(from, n));
    bool taken = wants_get(&r, &out, 0);
    assert_true(!r.bad || !taken);
    return taken && wire_finished(&r);
}

static void test_unknown_levels_flags_and_lengths_are_refused(void **state)
{
    (void)state;
    (void)through(&(struct wants){ .level = READ_LOCAL }, 0, 0);
    assert_true(are_taken(bytes, WANTS_BYTES));
    assert_false(are_taken(bytes, WANTS_BYTES - 1));
    assert_false(are_taken(bytes, WANTS_BYTES + 1));
    bytes[0] = READ_LEVELS;
    assert_false(are_taken(bytes, WANTS_BYTES));
    bytes[0] = READ_LEVELS - 1;
    assert_true(are_taken(bytes, WANTS_BYTES));
    for (uint8_t flag = 4; flag <= 128 && flag != 0; flag = (uint8_t)(flag << 1)) {
        bytes[1] = flag; /* of copies it is said how many */
        assert_false(are_taken(bytes, WANTS_BYTES));
    }
    bytes[1] = 16;
    bytes[10] = 1;
    assert_true(are_taken(bytes, WANTS_BYTES));
    bytes[11] = ACK_WRITTEN; /* nobody asks for that */
    assert_false(are_taken(bytes, WANTS_BYTES));
    bytes[11] = ACK_APPLIED;
    assert_true(are_taken(bytes, WANTS_BYTES));
    bytes[14] = 1; /* more than there can be */
    assert_false(are_taken(bytes, WANTS_BYTES));
}

static struct shown shown_through(const struct shown *s)
{
    struct shown out;
    struct wire_writer to = wire_writer(bytes, sizeof bytes);
    shown_put(&to, s);
    assert_int_equal(to.n, SHOWN_BYTES);
    struct wire_reader from = wire_reader(span_of(bytes, to.n));
    shown_get(&from, 6, &out);
    assert_true(wire_finished(&from));
    return out;
}

static void test_shown_comes_as_it_was_sent(void **state)
{
    (void)state;
    struct shown out = shown_through(&(struct shown){ .slot = 5, .by = 2 });
    assert_int_equal(out.slot, 5);
    assert_int_equal(out.by, 6); /* whoever sends it */
    assert_false(out.has_stale);
    assert_false(out.replayed);
    out = shown_through(&(struct shown){ .has_stale = true, .stale = 1001, .replayed = true });
    assert_true(out.has_stale);
    assert_int_equal(out.stale, 2000); /* in milliseconds, never less than it is */
    assert_true(out.replayed);
    assert_int_equal(shown_through(&(struct shown){ .stale = UINT64_MAX / 2 }).stale,
                     (uint64_t)UINT32_MAX * QR_MILLISECOND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wants_come_as_they_were_sent),
        cmocka_unit_test(test_meta_stays_where_the_client_is),
        cmocka_unit_test(test_of_a_time_what_is_left_travels),
        cmocka_unit_test(test_what_matters_elsewhere_travels),
        cmocka_unit_test(test_unknown_levels_flags_and_lengths_are_refused),
        cmocka_unit_test(test_shown_comes_as_it_was_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
