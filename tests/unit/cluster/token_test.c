/* Session tokens: what is written is read back, the sum of two promises never less than either, and
 * what was not made here is told apart (D5, G12). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cluster/token.h"
#include "told.h"
#include "token_sealer.h"

#define GROUPS 600u

static const struct token_sealer theirs = { .cluster = "theirclu", .seal = seal };

static void other_seal(const struct token_sealer *sealer, struct span said,
                       uint8_t out[TOKEN_SEAL_BYTES])
{
    seal(sealer, said, out);
    out[TOKEN_SEAL_BYTES - 1] ^= 1;
}

static const struct token_sealer forger = { .cluster = "ourclust", .seal = other_seal };

static enum token_status read_text(const char *text, size_t n, struct token *out)
{
    return token_read(span_of(text, n), &ours, out);
}

static struct token read_back(const struct token *token)
{
    char text[TOKEN_TEXT_MAX];
    struct token out = { 0 };
    size_t n = token_write(token, &ours, text);
    assert_true(n <= TOKEN_TEXT_MAX);
    assert_int_equal(read_text(text, n, &out), TOKEN_OK);
    return out;
}

static void assert_same(const struct token *a, const struct token *b)
{
    assert_int_equal(a->open, b->open);
    assert_int_equal(a->count, b->count);
    for (uint32_t i = 0; i < a->count; i++) {
        assert_int_equal(a->places[i].group, b->places[i].group);
        assert_int_equal(a->places[i].slot, b->places[i].slot);
    }
}

static void test_what_is_noted_is_found_and_never_goes_back(void **state)
{
    (void)state;
    struct token token = { 0 };
    assert_int_equal(slot_of(&token, 7), 0);
    token_note(&token, 7, 100);
    token_note(&token, 3, 5);
    token_note(&token, 9, 1);
    token_note(&token, 7, 99);
    token_note(&token, 8, 0);
    assert_int_equal(token.count, 3);
    assert_int_equal(slot_of(&token, 7), 100);
    assert_int_equal(slot_of(&token, 3), 5);
    assert_int_equal(slot_of(&token, 9), 1);
    assert_int_equal(slot_of(&token, 8), 0);
    assert_int_equal(slot_of(&token, 4), 0);
}

static void test_what_is_written_is_read_back_at_all_sizes(void **state)
{
    (void)state;
    struct token token = { 0 };
    struct token back = read_back(&token);
    assert_same(&token, &back);
    for (uint32_t i = 0; i < TOKEN_PLACES_MAX; i++) {
        token_note(&token, i * i, (qr_slot)1 << (i * 37 % 28));
        back = read_back(&token);
        assert_same(&token, &back);
    }
    token.open = true;
    back = read_back(&token);
    assert_same(&token, &back);
}

static void test_the_largest_numbers_are_read_back(void **state)
{
    (void)state;
    struct token token = { 0 };
    token_note(&token, 0, UINT64_MAX);
    token_note(&token, 1, (qr_slot)1 << 63);
    token_note(&token, UINT32_MAX - 1, 127);
    token_note(&token, UINT32_MAX, 128);
    struct token back = read_back(&token);
    assert_same(&token, &back);
}

static void test_a_token_of_one_partition_is_short(void **state)
{
    (void)state;
    char text[TOKEN_TEXT_MAX];
    struct token token = { 0 };
    token_note(&token, 12, 1000000);
    assert_true(token_write(&token, &ours, text) <= 40);
}

static void test_what_has_no_room_makes_it_open(void **state)
{
    (void)state;
    struct token token = { 0 };
    for (uint32_t i = 0; i < TOKEN_PLACES_MAX; i++) {
        token_note(&token, i, 1);
    }
    assert_false(token.open);
    token_note(&token, 5, 2);
    assert_false(token.open);
    token_note(&token, GROUPS, 1);
    assert_true(token.open);
    assert_false(is_told(&token, GROUPS));
    assert_true(is_told(&token, TOKEN_PLACES_MAX - 1));

    struct token large = { 0 }; /* few enough, but of too many bytes */
    for (uint32_t i = 0; i < TOKEN_PLACES_MAX; i++) {
        token_note(&large, i * 16000000u, UINT64_MAX - i);
    }
    assert_false(large.open);
    struct token back = read_back(&large);
    assert_true(back.open);
    assert_in_range(back.count, 150, TOKEN_PLACES_MAX - 1);
    for (uint32_t i = 0; i < TOKEN_PLACES_MAX; i++) {
        assert_int_equal(is_told(&back, large.places[i].group), i < back.count);
    }
    for (uint32_t i = 0; i < back.count; i++) {
        assert_int_equal(slot_of(&back, i * 16000000u), UINT64_MAX - i);
    }
}

/* Whatever either has seen is in the sum, or nobody can tell. `seen` says what was. */
static void assert_covers(const struct token *sum, const qr_slot *seen)
{
    for (uint32_t group = 0; group < GROUPS; group++) {
        qr_slot slot;
        if (token_find(sum, group, &slot)) {
            assert_true(slot >= seen[group]);
        }
    }
}

static void test_the_sum_of_two_covers_both(void **state)
{
    (void)state;
    srand(11);
    for (uint32_t round = 0; round < 300; round++) {
        struct token sum = { 0 };
        qr_slot seen[GROUPS] = { 0 };
        for (uint32_t t = 0; t < 4; t++) {
            struct token one = { 0 };
            uint32_t n = (uint32_t)rand() % (TOKEN_PLACES_MAX + 40);
            for (uint32_t i = 0; i < n; i++) {
                uint32_t group = (uint32_t)rand() % GROUPS;
                qr_slot slot = 1 + (qr_slot)rand() % 90;
                seen[group] = max_u64(seen[group], slot);
                token_note(&one, group, slot);
            }
            one = read_back(&one);
            token_merge(&sum, &one);
            sum = read_back(&sum);
        }
        assert_covers(&sum, seen);
    }
}

static void test_what_only_one_knows_wholly_is_not_in_the_sum(void **state)
{
    (void)state;
    struct token open = { .open = true };
    token_note(&open, 1, 10);
    token_note(&open, 2, 10);
    struct token other = { 0 };
    token_note(&other, 2, 20);
    token_note(&other, 3, 20); /* the open one may have seen slot 30 of it */
    for (uint32_t way = 0; way < 2; way++) {
        struct token sum = way == 0 ? open : other;
        token_merge(&sum, way == 0 ? &other : &open);
        assert_true(sum.open);
        assert_int_equal(slot_of(&sum, 1), 10);
        assert_int_equal(slot_of(&sum, 2), 20);
        assert_false(is_told(&sum, 3));
        assert_false(is_told(&sum, 4));
    }
}

/* Each may have seen any slot of what only the other one lists. */
static void test_of_two_that_are_open_what_both_list_is_known(void **state)
{
    (void)state;
    struct token one = { .open = true }, other = { .open = true };
    token_note(&one, 1, 10);
    token_note(&one, 2, 10);
    token_note(&other, 2, 20);
    token_note(&other, 3, 20);
    token_merge(&one, &other);
    assert_true(one.open);
    assert_int_equal(one.count, 1);
    assert_int_equal(slot_of(&one, 2), 20);
}

/* What goes leaves no gap: those behind it stay. */
static void test_what_stays_in_a_sum_stays_in_order(void **state)
{
    (void)state;
    struct token open = { .open = true };
    struct token other = { 0 };
    for (uint32_t group = 0; group < 12; group++) {
        token_note(&other, group, 10 + group);
        if (group % 3 == 2) {
            token_note(&open, group, 1);
        }
    }
    token_merge(&other, &open);
    assert_int_equal(other.count, 4);
    for (uint32_t i = 0; i < other.count; i++) {
        assert_int_equal(other.places[i].group, 3 * i + 2);
        assert_int_equal(other.places[i].slot, 12 + 3 * i);
    }
}

static void test_with_itself_it_stays_what_it_is(void **state)
{
    (void)state;
    struct token token = { .open = true };
    token_note(&token, 4, 44);
    struct token sum = token;
    token_merge(&sum, &token);
    assert_same(&sum, &token);
}

static struct token sample(void)
{
    struct token token = { 0 };
    token_note(&token, 3, 300);
    token_note(&token, 70000, 1u << 20);
    return token;
}

static void test_each_part_of_a_token_is_told_from_a_whole_one(void **state)
{
    (void)state;
    char text[TOKEN_TEXT_MAX];
    struct token token = sample();
    struct token out = { .open = true };
    size_t n = token_write(&token, &ours, text);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(read_text(text, i, &out), TOKEN_MALFORMED);
    }
    memcpy(text + n, "AAAA", 4);
    assert_int_equal(read_text(text, n + 4, &out), TOKEN_MALFORMED);
    assert_true(out.open && out.count == 0); /* as it was */
}

static void test_no_letter_may_be_another(void **state)
{
    (void)state;
    char text[TOKEN_TEXT_MAX];
    struct token token = sample();
    struct token out = { 0 };
    size_t n = token_write(&token, &ours, text);
    for (size_t i = 0; i < n; i++) {
        char right = text[i];
        for (uint32_t c = 0; c < 256; c++) {
            text[i] = (char)c;
            assert_int_equal(read_text(text, n, &out) == TOKEN_OK, text[i] == right);
        }
        text[i] = right;
    }
}

static void test_whose_token_it_is_is_told(void **state)
{
    (void)state;
    char text[TOKEN_TEXT_MAX];
    struct token token = sample();
    struct token out = { 0 };
    size_t n = token_write(&token, &theirs, text);
    assert_int_equal(read_text(text, n, &out), TOKEN_FOREIGN);
    n = token_write(&token, &forger, text);
    assert_int_equal(read_text(text, n, &out), TOKEN_FORGED);
    n = token_write(&token, &ours, text);
    text[1] = 'm'; /* AW... is version 1, Am... version 2 */
    assert_int_equal(text[0], 'A');
    assert_int_equal(read_text(text, n, &out), TOKEN_NEWER);
    text[1] = 'G'; /* version 0 was never made */
    assert_int_equal(read_text(text, n, &out), TOKEN_MALFORMED);
}

static void test_each_refusal_has_a_text_of_its_own(void **state)
{
    (void)state;
    for (int a = TOKEN_MALFORMED; a <= TOKEN_NEWER; a++) {
        assert_memory_equal(token_refusal((enum token_status)a), "BADTOKEN ", 9);
        for (int b = TOKEN_MALFORMED; b < a; b++) {
            assert_string_not_equal(token_refusal((enum token_status)a),
                                    token_refusal((enum token_status)b));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_noted_is_found_and_never_goes_back),
        cmocka_unit_test(test_what_is_written_is_read_back_at_all_sizes),
        cmocka_unit_test(test_the_largest_numbers_are_read_back),
        cmocka_unit_test(test_a_token_of_one_partition_is_short),
        cmocka_unit_test(test_what_has_no_room_makes_it_open),
        cmocka_unit_test(test_the_sum_of_two_covers_both),
        cmocka_unit_test(test_what_only_one_knows_wholly_is_not_in_the_sum),
        cmocka_unit_test(test_of_two_that_are_open_what_both_list_is_known),
        cmocka_unit_test(test_what_stays_in_a_sum_stays_in_order),
        cmocka_unit_test(test_with_itself_it_stays_what_it_is),
        cmocka_unit_test(test_each_part_of_a_token_is_told_from_a_whole_one),
        cmocka_unit_test(test_no_letter_may_be_another),
        cmocka_unit_test(test_whose_token_it_is_is_told),
        cmocka_unit_test(test_each_refusal_has_a_text_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
