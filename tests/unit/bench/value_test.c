/* Values that carry their key and number, and what the ledger makes of those that come back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "bench/ledger.h"

#define RUN 0xabcdefu

static struct value_form form_of(uint32_t bytes_min, uint32_t bytes_max)
{
    struct value_form form;
    value_form_init(&form, true, RUN, 7, bytes_min, bytes_max);
    return form;
}

static void read_in_pieces(struct value_reader *reader, const struct value_form *form,
                           const char *value, size_t n, size_t piece)
{
    value_reader_begin(reader, n);
    for (size_t at = 0; at < n; at += piece) {
        size_t left = n - at;
        value_reader_feed(reader, form, (const uint8_t *)value + at, left < piece ? left : piece);
    }
}

static void test_a_value_is_read_as_it_was_written(void **state)
{
    (void)state;
    static const uint32_t sizes[] = { 32, 33, 100, 4096, 4127, 10000, 100000 };
    static const uint32_t pieces[] = { 1, 7, 31, 4096, 1000000 };
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        struct value_form form = form_of(sizes[i], sizes[i]);
        char *value = qr_alloc(sizes[i]), *again = qr_alloc(sizes[i]);
        value_write(&form, 12345, 678, sizes[i], 0, sizes[i], value);
        for (size_t k = 0; k < ARRAY_COUNT(pieces); k++) {
            struct value_reader reader;
            for (uint32_t at = 0; at < sizes[i]; at += pieces[k]) {
                uint32_t n = (uint32_t)min_u64(pieces[k], sizes[i] - at);
                value_write(&form, 12345, 678, sizes[i], at, n, again + at);
            }
            assert_memory_equal(value, again, sizes[i]);
            read_in_pieces(&reader, &form, value, sizes[i], pieces[k]);
            assert_true(reader.sound);
            assert_int_equal(reader.run, RUN);
            assert_int_equal(reader.key, 12345);
            assert_int_equal(reader.sequence, 678);
        }
        free(value);
        free(again);
    }
}

static void test_every_damage_shows(void **state)
{
    (void)state;
    struct value_form form = form_of(200, 200);
    struct value_reader reader;
    char value[201], wrong[201];
    value_write(&form, 9, 1000, 200, 0, 200, value);
    for (size_t i = 0; i < 200; i++) {
        memcpy(wrong, value, 200);
        wrong[i] = wrong[i] == '0' ? '1' : '0';
        read_in_pieces(&reader, &form, wrong, 200, 64);
        if (reader.sound && reader.run == RUN && reader.key == 9 && reader.sequence == 1000) {
            fail_msg("byte %zu is not looked at", i);
        }
    }
    for (size_t n = 0; n < 200; n++) { /* cut short */
        read_in_pieces(&reader, &form, value, n, 64);
        assert_false(reader.sound);
    }
    memcpy(wrong, value, 200);
    wrong[200] = '.';
    read_in_pieces(&reader, &form, wrong, 201, 64);
    assert_false(reader.sound);
}

static void test_sizes_lie_in_their_range_and_repeat(void **state)
{
    (void)state;
    struct value_form form = form_of(40, 49);
    uint32_t seen[50] = { 0 };
    for (uint64_t sequence = 1; sequence <= 10000; sequence++) {
        uint32_t bytes = value_bytes(&form, sequence);
        assert_true(bytes >= 40 && bytes <= 49);
        assert_int_equal(bytes, value_bytes(&form, sequence));
        seen[bytes]++;
    }
    for (uint32_t bytes = 40; bytes <= 49; bytes++) {
        assert_true(seen[bytes] > 800 && seen[bytes] < 1200);
    }
}

/* --- The ledger ------------------------------------------------------------------------------ */

struct world {
    struct value_form form;
    struct ledger ledger;
};

static uint64_t begin(struct world *w, uint64_t key)
{
    uint64_t sequence = w->ledger.next++;
    ledger_write_begins(&w->ledger, key, sequence);
    return sequence;
}

/* A read of key that found the value of this write to that key. */
static enum value_fault judge(struct world *w, uint64_t key, uint64_t floor, uint64_t written_key,
                              uint64_t sequence)
{
    char value[100];
    struct value_reader reader;
    value_write(&w->form, written_key, sequence, 100, 0, 100, value);
    read_in_pieces(&reader, &w->form, value, 100, 100);
    return ledger_judge(&w->ledger, &w->form, key, floor, &reader);
}

static int setup(void **state)
{
    struct world *w = qr_zalloc(sizeof *w);
    w->form = form_of(100, 100);
    ledger_init(&w->ledger, 10);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    ledger_free(&w->ledger);
    free(w);
    return 0;
}

static void test_a_stale_value_shows(void **state)
{
    struct world *w = *state;
    uint64_t first = begin(w, 3);
    ledger_write_done(&w->ledger, 3);
    uint64_t early = ledger_floor(&w->ledger, 3);
    uint64_t second = begin(w, 3);
    assert_int_equal(judge(w, 3, early, 3, first), VALUE_RIGHT);
    assert_int_equal(judge(w, 3, early, 3, second), VALUE_RIGHT); /* under way: may be seen */
    ledger_write_done(&w->ledger, 3);
    uint64_t late = ledger_floor(&w->ledger, 3);
    assert_int_equal(judge(w, 3, early, 3, first), VALUE_RIGHT); /* the read began before */
    assert_int_equal(judge(w, 3, late, 3, first), VALUE_STALE);
    assert_int_equal(judge(w, 3, late, 3, second), VALUE_RIGHT);
    assert_int_equal(judge(w, 3, late, 4, second), VALUE_FOREIGN);
    assert_int_equal(judge(w, 3, late, 3, second + 1), VALUE_UNSENT);
    assert_int_equal(ledger_judge(&w->ledger, &w->form, 3, late, NULL), VALUE_MISSING);
    assert_int_equal(ledger_judge(&w->ledger, &w->form, 4, 0, NULL), VALUE_RIGHT);
}

/* Two writes at the same time may take effect in either order. */
static void test_overlapping_writes_excuse_each_other(void **state)
{
    struct world *w = *state;
    uint64_t before = begin(w, 1);
    ledger_write_done(&w->ledger, 1);
    uint64_t a = begin(w, 1), b = begin(w, 1);
    ledger_write_done(&w->ledger, 1);
    uint64_t floor = ledger_floor(&w->ledger, 1);
    assert_int_equal(judge(w, 1, floor, 1, a), VALUE_RIGHT);
    assert_int_equal(judge(w, 1, floor, 1, b), VALUE_RIGHT);
    assert_int_equal(judge(w, 1, floor, 1, before), VALUE_STALE);
}

static void test_an_unknown_write_may_come_late(void **state)
{
    struct world *w = *state;
    uint64_t lost = begin(w, 1); /* its fate is never known */
    for (int i = 0; i < 5; i++) {
        (void)begin(w, 1);
        ledger_write_done(&w->ledger, 1);
    }
    assert_int_equal(judge(w, 1, ledger_floor(&w->ledger, 1), 1, lost), VALUE_RIGHT);
}

static void test_a_refused_write_excuses_nothing(void **state)
{
    struct world *w = *state;
    uint64_t old = begin(w, 1);
    ledger_write_done(&w->ledger, 1);
    (void)begin(w, 1);
    ledger_write_void(&w->ledger, 1);
    (void)begin(w, 1);
    ledger_write_done(&w->ledger, 1);
    assert_int_equal(judge(w, 1, ledger_floor(&w->ledger, 1), 1, old), VALUE_STALE);
}

static void test_values_of_other_runs(void **state)
{
    struct world *w = *state;
    struct value_form other = w->form;
    other.run = RUN + 1;
    char value[100];
    struct value_reader reader;
    value_write(&other, 5, 999, 100, 0, 100, value);
    read_in_pieces(&reader, &w->form, value, 100, 100);
    assert_true(reader.sound);
    assert_int_equal(ledger_judge(&w->ledger, &w->form, 5, 0, &reader), VALUE_RIGHT);
    assert_int_equal(ledger_judge(&w->ledger, &w->form, 5, 1, &reader), VALUE_STALE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_value_is_read_as_it_was_written),
        cmocka_unit_test(test_every_damage_shows),
        cmocka_unit_test(test_sizes_lie_in_their_range_and_repeat),
        cmocka_unit_test_setup_teardown(test_a_stale_value_shows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_overlapping_writes_excuse_each_other, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_unknown_write_may_come_late, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_refused_write_excuses_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_values_of_other_runs, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
