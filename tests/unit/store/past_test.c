/* The past by itself (store/past.h), where what the engine does with it shows nothing: keys that
 * share a hash, how large its index and its marks grow, that all of its memory is counted and comes
 * back, and how long it takes to find a version among many. What was is found at all is asked in
 * tests/unit/engine, with past_model_test for a twin. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "store/item.h"
#include "store/past.h"
#include "store/past_marks.h"

#define BYTES_MAX (64 * MIB)

static const struct past_limits plenty = { .age = 3600 * QR_SECOND, .bytes = BYTES_MAX };

struct fixture {
    struct past *past;
    struct rope_bin bin;
    uint64_t sum;
    uint64_t empty; /* bytes of a past without anything */
};

static struct fixture f;

static int begin(void **state)
{
    (void)state;
    f = (struct fixture){ 0 };
    f.past = past_new(&plenty, 0, 0, &f.sum);
    f.empty = past_memory(f.past);
    return 0;
}

static int end(void **state)
{
    (void)state;
    past_check(f.past);
    past_free(f.past);
    assert_int_equal(f.sum, 0);
    while (rope_bin_empty_slice(&f.bin, UINT32_MAX)) {
    }
    return 0;
}

static struct item *item_of(const char *key, const char *value)
{
    struct item *item = item_new(span_of(key, strlen(key)), TYPE_STRING, strlen(value), 0);
    memcpy(item_value_bytes(item), value, strlen(value));
    return item;
}

/* That was its value until the entry at that slot; NULL: it was not there. */
static void was(qr_slot slot, uint8_t db, uint64_t hash, const char *key, const char *value)
{
    struct item *item = value != NULL ? item_of(key, value) : NULL;
    past_enter(f.past, slot);
    past_note(f.past, db, hash, span_of(key, strlen(key)), item, &f.bin);
    if (item != NULL) {
        item_free(item, &f.bin);
    }
}

static const char *as_of(uint64_t hash, const char *key, qr_slot slot)
{
    struct item *item = NULL;
    static char text[32];
    switch (past_find(f.past, 0, hash, span_of(key, strlen(key)), slot, &item)) {
    case PAST_NOW:
        return "now";
    case PAST_NONE:
        return "none";
    case PAST_LOST:
        return "lost";
    case PAST_WAS:
        break;
    }
    struct span value = item_value(item);
    memcpy(text, value.p, value.n);
    text[value.n] = 0;
    return text;
}

static void keep(int64_t age, uint64_t bytes)
{
    const struct past_limits limits = { .age = age, .bytes = bytes };
    past_set_limits(f.past, &limits);
}

static void idle(void)
{
    for (int i = 0; i < 100000 && past_idle(f.past, 100, &f.bin); i++) {
        past_check(f.past);
    }
    for (int i = 0; i < 100000; i++) { /* the index goes on to shrink */
        (void)past_idle(f.past, 0, &f.bin);
    }
}

/* --- Keys ----------------------------------------------------------------------------------- */

static void test_keys_of_one_hash_are_told_apart(void **state)
{
    (void)state;
    was(1, 0, 7, "a", "1");
    was(2, 0, 7, "b", "2");
    was(3, 0, 7, "ab", "3");
    was(4, 0, 7, "", "4");
    was(5, 0, 7 + 1024, "a", "5");
    assert_string_equal(as_of(7, "a", 0), "1");
    assert_string_equal(as_of(7, "b", 0), "2");
    assert_string_equal(as_of(7, "ab", 0), "3");
    assert_string_equal(as_of(7, "", 0), "4");
    assert_string_equal(as_of(7 + 1024, "a", 0), "5");
    assert_string_equal(as_of(7, "c", 0), "now");
    assert_string_equal(as_of(7, "abc", 0), "now");
    assert_string_equal(as_of(7, "a", 1), "now");
    struct item *item = NULL; /* of another database */
    assert_int_equal(past_find(f.past, 1, 7, span_of("a", 1), 0, &item), PAST_NOW);
}

static void test_what_is_the_nodes_own_is_not_kept(void **state)
{
    (void)state;
    was(1, SYSTEM_DB, 7, "a", "1");
    was(1, IDS_DB, 7, "a", "1");
    assert_int_equal(past_memory(f.past), f.empty);
    was(1, DATABASES - 1, 7, "a", "1");
    assert_true(past_memory(f.past) > f.empty);
}

/* A flush does its own changes at the slot that it cuts at. */
static void test_at_the_floor_nothing_is_kept(void **state)
{
    (void)state;
    past_enter(f.past, 5);
    past_cut(f.past);
    assert_int_equal(past_floor(f.past), 5);
    uint64_t before = past_memory(f.past);
    was(5, 0, 7, "a", "1");
    assert_int_equal(past_memory(f.past), before);
    was(6, 0, 7, "a", "1");
    assert_true(past_memory(f.past) > before);
}

/* --- The index ------------------------------------------------------------------------------ */

static uint64_t spread(uint64_t i)
{
    return i * 0x9e3779b97f4a7c15u;
}

/* Its buckets, from what is charged beside `keys` versions of one size. */
static uint64_t buckets(uint64_t keys, uint64_t cost)
{
    return 8 + (past_memory(f.past) - f.empty - keys * cost) / sizeof(void *);
}

static void test_the_index_follows_the_keys(void **state)
{
    (void)state;
    char key[32];
    was(1, 0, spread(0), "key:00000", NULL);
    uint64_t cost = past_memory(f.past) - f.empty;
    uint64_t least = UINT64_MAX, most = 0;
    for (uint64_t i = 1; i < 3000; i++) {
        (void)snprintf(key, sizeof key, "key:%05u", (unsigned)i);
        was(1, 0, spread(i), key, NULL);
        past_check(f.past);
        assert_true(buckets(i + 1, cost) >= i);                /* not far behind ... */
        assert_true(buckets(i + 1, cost) <= 3 * (i + 1) + 16); /* ... nor ahead, with the old one */
    }
    for (int i = 0; i < 5000; i++) {
        (void)past_idle(f.past, 0, &f.bin);
        least = i < 4000 || past_memory(f.past) > least ? least : past_memory(f.past);
        most = i < 4000 || past_memory(f.past) < most ? most : past_memory(f.past);
    }
    assert_int_equal(least, most); /* it has come to rest */
    assert_int_equal(buckets(3000, cost), 4096);
    past_enter(f.past, 2);
    past_cut(f.past);
    idle();
    assert_int_equal(past_memory(f.past), f.empty);
}

/* --- What goes ------------------------------------------------------------------------------ */

static void test_what_lies_at_the_floor_goes(void **state)
{
    (void)state;
    was(1, 0, 7, "a", "1");
    uint64_t one = past_memory(f.past);
    was(2, 0, 7, "a", "2");
    was(3, 0, 7, "a", "3");
    past_enter(f.past, 4);
    past_move_time(f.past, 10 * QR_SECOND);
    was(5, 0, 7, "a", "5");
    keep(QR_SECOND, BYTES_MAX);
    idle();
    assert_int_equal(past_floor(f.past), 3);
    assert_int_equal(past_memory(f.past), one); /* of one version, again */
    assert_string_equal(as_of(7, "a", 4), "5");
}

/* So what has to go never comes to more than what somebody could ask for at one time. */
static void test_what_comes_frees_as_much_as_it_costs(void **state)
{
    (void)state;
    char value[3001];
    memset(value, 'x', sizeof value);
    value[3000] = 0;
    qr_slot slot = 1;
    for (; slot <= 3000; slot++) {
        was(slot, 0, 7, "a", "1");
    }
    keep(3600 * QR_SECOND, 64 * KIB);
    uint64_t memory = past_memory(f.past);
    for (int i = 0; i < 50; i++, slot++) {
        was(slot, 0, 7, "a", value);
        assert_true(past_memory(f.past) <= memory);
    }
    assert_true(past_memory(f.past) > memory - 50 * 4096); /* and not all at once */
}

/* A version and its mark cost the same each time: exactly so many fit. */
static void test_bytes_bound_to_the_byte(void **state)
{
    (void)state;
    was(1, 0, 7, "a", "1");
    uint64_t cost = past_memory(f.past) - f.empty + sizeof(struct past_mark);
    keep(3600 * QR_SECOND, 10 * cost);
    for (qr_slot slot = 2; slot <= 10; slot++) {
        was(slot, 0, 7, "a", "1");
    }
    assert_int_equal(past_floor(f.past), 0);
    was(11, 0, 7, "a", "1");
    assert_int_equal(past_floor(f.past), 1);
    keep(3600 * QR_SECOND, 9 * cost);
    assert_int_equal(past_floor(f.past), 2);
    keep(3600 * QR_SECOND, 9 * cost - 1);
    assert_int_equal(past_floor(f.past), 3);
}

/* Entries that do nothing but move log time: their marks are memory, too. */
static void test_marks_count_against_the_bytes(void **state)
{
    (void)state;
    keep(3600 * QR_SECOND, 64 * KIB);
    for (qr_slot slot = 1; slot <= 100000; slot++) {
        past_enter(f.past, slot);
        past_move_time(f.past, (qr_wall)slot);
    }
    assert_true(past_memory(f.past) < f.empty + 64 * KIB + 3 * past_marks_block_memory());
    assert_true(past_floor(f.past) < 100000 - 2000);
}

/* Wherever in a block of marks it happens. */
static void test_a_cut_counts_its_mark(void **state)
{
    (void)state;
    for (qr_slot slot = 1, length = 0; length <= 2 * PAST_BLOCK_MARKS + 2; length++) {
        for (qr_slot i = 0; i < length; i++, slot++) {
            was(slot, 0, 7, "a", "1");
        }
        past_enter(f.past, slot++);
        past_cut(f.past);
        past_check(f.past);
        idle();
        assert_int_equal(past_memory(f.past), f.empty + 0);
        length += length > 4 && length < PAST_BLOCK_MARKS - 4 ? 50 : 0;
    }
}

/* --- Values --------------------------------------------------------------------------------- */

static void test_a_large_value_counts_and_is_let_go(void **state)
{
    (void)state;
    static const char piece[4096];
    struct rope *rope = rope_new();
    while (rope->n < 2 * LARGE_BYTES) {
        rope_append(rope, span_of(piece, sizeof piece));
    }
    struct item *item = item_new_large(span_of("k", 1), TYPE_STRING, rope, 0);
    past_enter(f.past, 1);
    past_note(f.past, 0, 7, span_of("k", 1), item, &f.bin);
    assert_true(past_memory(f.past) > f.empty + 2 * LARGE_BYTES);
    past_enter(f.past, 2);
    past_cut(f.past);
    idle();
    assert_int_equal(past_memory(f.past), f.empty);
    item_free(item, &f.bin);
}

static void test_a_value_of_a_quarter_of_the_bytes_is_kept(void **state)
{
    (void)state;
    char value[301];
    memset(value, 'x', sizeof value);
    value[300] = 0;
    struct item *item = item_of("a", value);
    uint64_t bytes = item_memory(item);
    item_free(item, &f.bin);
    keep(QR_SECOND, 4 * bytes);
    was(1, 0, 7, "a", value);
    struct item *found = NULL;
    assert_int_equal(past_find(f.past, 0, 7, span_of("a", 1), 0, &found), PAST_WAS);
    keep(QR_SECOND, 4 * bytes - 1);
    was(2, 0, 8, "b", value);
    assert_string_equal(as_of(8, "b", 1), "lost");
}

/* --- Leaving ------------------------------------------------------------------------------- */

static void test_it_counts_in_one_sum_at_a_time(void **state)
{
    (void)state;
    uint64_t other = 100;
    was(1, 0, 7, "a", "1");
    uint64_t memory = past_memory(f.past);
    assert_int_equal(f.sum, memory);
    past_leave(f.past, &other);
    assert_int_equal(f.sum, 0);
    assert_int_equal(other, 100 + memory);
    was(2, 0, 7, "a", "2");
    assert_int_equal(other, 100 + past_memory(f.past));
    past_leave(f.past, &f.sum);
    assert_int_equal(other, 100);
}

/* --- Many versions of one key --------------------------------------------------------------- */

/* By hops of growing length; one by one it would take minutes. */
static void test_a_version_among_many_is_found_soon(void **state)
{
    (void)state;
    const qr_slot many = 200000;
    char text[32];
    for (qr_slot slot = 1; slot <= many; slot++) {
        (void)snprintf(text, sizeof text, "%u", (unsigned)slot);
        was(slot, 0, 7, "a", text);
    }
    clock_t start = clock();
    for (qr_slot i = 0; i < 100000; i++) {
        qr_slot slot = (i * 7919) % many;
        (void)snprintf(text, sizeof text, "%u", (unsigned)slot + 1);
        assert_string_equal(as_of(7, "a", slot), text);
    }
    assert_true(clock() - start < 2 * CLOCKS_PER_SEC);
}

/* --- Marks ---------------------------------------------------------------------------------- */

/* A ring of blocks that begins in its middle grows. */
static void test_a_row_of_marks_grows_wherever_it_begins(void **state)
{
    (void)state;
    for (uint64_t lost = 0; lost < 6; lost++) {
        struct past_marks m = { 0 };
        for (uint64_t i = 0; i < (lost + 20) * PAST_BLOCK_MARKS; i++) {
            (void)past_marks_add(&m, (struct past_mark){ .slot = i });
            if (i < lost * PAST_BLOCK_MARKS) {
                (void)past_marks_drop_first(&m);
            }
        }
        for (uint64_t i = 0; i < m.count; i++) {
            assert_int_equal(past_mark_at(&m, i)->slot, lost * PAST_BLOCK_MARKS + i);
        }
        past_marks_free(&m);
    }
}

static void test_a_row_of_marks_against_a_plain_count(void **state)
{
    (void)state;
    struct past_marks m = { 0 };
    uint64_t first = 0, next = 0, memory = 0;
    for (int round = 0; round < 40; round++) {
        uint64_t more = (uint64_t)(round % 7) * 150 + (round == 20 ? 6000 : 100);
        for (uint64_t i = 0; i < more; i++, next++) {
            memory += past_marks_add(&m, (struct past_mark){ .slot = 2 * next });
        }
        for (uint64_t i = 0; i < more - (uint64_t)(round % 3) && m.count > 3; i++, first++) {
            memory -= past_marks_drop_first(&m);
        }
        assert_int_equal(m.count, next - first);
        assert_int_equal(memory, m.block_count * past_marks_block_memory());
        for (uint64_t i = first; i < next; i++) {
            assert_int_equal(past_mark_at(&m, i - first)->slot, 2 * i);
            assert_int_equal(past_mark_of(&m, 2 * i)->slot, 2 * i);
            assert_int_equal(past_mark_of(&m, 2 * i + 1)->slot, 2 * i);
        }
    }
    past_marks_free(&m);
}

#define PAST_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PAST_TEST(test_keys_of_one_hash_are_told_apart),
        PAST_TEST(test_what_is_the_nodes_own_is_not_kept),
        PAST_TEST(test_at_the_floor_nothing_is_kept),
        PAST_TEST(test_the_index_follows_the_keys),
        PAST_TEST(test_what_lies_at_the_floor_goes),
        PAST_TEST(test_what_comes_frees_as_much_as_it_costs),
        PAST_TEST(test_bytes_bound_to_the_byte),
        PAST_TEST(test_marks_count_against_the_bytes),
        PAST_TEST(test_a_cut_counts_its_mark),
        PAST_TEST(test_a_large_value_counts_and_is_let_go),
        PAST_TEST(test_a_value_of_a_quarter_of_the_bytes_is_kept),
        PAST_TEST(test_it_counts_in_one_sum_at_a_time),
        PAST_TEST(test_a_version_among_many_is_found_soon),
        PAST_TEST(test_a_row_of_marks_grows_wherever_it_begins),
        PAST_TEST(test_a_row_of_marks_against_a_plain_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
