/* Tokens of bytes that no node writes, behind a seal that is right: whoever knows the secret may
 * make any, and a bug of another version too. None is taken for a token, and none reaches past its
 * room. And texts of odd lengths, and what fits to the last byte. */
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

#define BYTES_MAX 8192u
#define HEAD (1 + TOKEN_CLUSTER_BYTES)

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static size_t as_text(const uint8_t *bytes, size_t n, char *out)
{
    size_t length = 0;
    for (size_t bit = 0; bit < n * 8; bit += 6) {
        uint32_t two = (uint32_t)bytes[bit / 8] << 8;
        two |= bit / 8 + 1 < n ? bytes[bit / 8 + 1] : 0;
        out[length++] = letters[two >> (10 - bit % 8) & 63u];
    }
    return length;
}

/* Head, what is said, and the seal that it should have. */
static enum token_status read_said(const void *said, size_t n, struct token *out)
{
    static uint8_t bytes[BYTES_MAX];
    static char text[2 * BYTES_MAX];
    bytes[0] = 1;
    memcpy(bytes + 1, ours.cluster, TOKEN_CLUSTER_BYTES);
    memcpy(bytes + HEAD, said, n);
    seal(&ours, span_of(bytes, HEAD + n), bytes + HEAD + n);
    return token_read(span_of(text, as_text(bytes, HEAD + n + TOKEN_SEAL_BYTES, text)), &ours, out);
}

#define SAID(...)                                                                                  \
    (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ })

static void assert_none(const uint8_t *said, size_t n)
{
    struct token out = { .open = true, .count = 1, .places = { { 7, 77 } } };
    assert_int_equal(read_said(said, n, &out), TOKEN_MALFORMED);
    assert_true(out.open && out.count == 1 && slot_of(&out, 7) == 77); /* as it was */
}

static void test_what_a_node_writes_is_read(void **state)
{
    (void)state;
    struct token out = { 0 };
    assert_int_equal(read_said(SAID(0, 0), &out), TOKEN_OK);
    assert_int_equal(read_said(SAID(1, 2, 3, 0x80, 1, 0, 5), &out), TOKEN_OK);
    assert_true(out.open);
    assert_int_equal(out.count, 2);
    assert_int_equal(slot_of(&out, 3), 128);
    assert_int_equal(slot_of(&out, 4), 5);
}

static void test_flags_and_counts_that_nobody_writes(void **state)
{
    (void)state;
    assert_none(SAID(2, 0));
    assert_none(SAID(3, 1, 0, 1));
    assert_none(SAID(255, 0));
    assert_none(SAID(0, 2, 0, 1)); /* one more than there are */
    assert_none(SAID(0, 1, 0, 1, 0));
    assert_none(SAID(0, 1, 0, 0)); /* slot 0 */
    assert_none(SAID(0, 2, 0, 1, 0, 0));
    assert_none(SAID(0));
    assert_none((const uint8_t *)"", 0);
}

/* One more place than a token has, and as many as can be said. */
static void test_more_places_than_there_is_room_for(void **state)
{
    (void)state;
    static uint8_t said[3000];
    struct token out = { 0 };
    said[1] = 0x80 | (TOKEN_PLACES_MAX & 0x7fu);
    said[2] = TOKEN_PLACES_MAX >> 7;
    memset(said + 3, 1, 2 * (TOKEN_PLACES_MAX + 1));
    assert_int_equal(read_said(said, 3 + 2 * TOKEN_PLACES_MAX, &out), TOKEN_OK);
    assert_int_equal(out.count, TOKEN_PLACES_MAX);
    said[1]++;
    assert_none(said, 3 + 2 * (TOKEN_PLACES_MAX + 1));
    said[1] = 0xff, said[2] = 0x0a; /* 1407 */
    memset(said + 3, 1, 2 * 1407);
    assert_none(said, 3 + 2 * 1407);
}

/* A number has one form, or two texts would be one token. */
static void test_numbers_in_another_form_than_the_shortest(void **state)
{
    (void)state;
    struct token out = { 0 };
    assert_none(SAID(0, 0x80, 0)); /* count 0 */
    assert_none(SAID(0, 0x81, 0, 5, 1));
    assert_none(SAID(0, 1, 0x85, 0, 1));
    assert_none(SAID(0, 1, 5, 0x81, 0x80, 0));
    assert_none(SAID(0, 1, 5, 0x81)); /* and no end */
    assert_int_equal(read_said(SAID(0, 1, 5, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1), &out),
                     TOKEN_OK);
    assert_int_equal(slot_of(&out, 5), UINT64_MAX);
    assert_none(SAID(0, 1, 5, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2)); /* 2^64 */
    assert_none(SAID(0, 1, 5, 255, 255, 255, 255, 255, 255, 255, 255, 255, 3));
    assert_none(SAID(0, 1, 5, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1));
}

static void test_groups_beyond_the_last_one(void **state)
{
    (void)state;
    struct token out = { 0 };
    assert_int_equal(read_said(SAID(0, 1, 255, 255, 255, 255, 15, 9), &out), TOKEN_OK);
    assert_int_equal(slot_of(&out, UINT32_MAX), 9);
    assert_none(SAID(0, 1, 0x80, 0x80, 0x80, 0x80, 16, 9));             /* 2^32 */
    assert_none(SAID(0, 2, 255, 255, 255, 255, 15, 9, 0, 9));           /* one behind the last */
    assert_none(SAID(0, 2, 5, 9, 250, 255, 255, 255, 15, 9));           /* 6 + 2^32 - 6 */
    /* 6 + 2^64 - 6: 0 once more */
    assert_none(SAID(0, 2, 5, 9, 250, 255, 255, 255, 255, 255, 255, 255, 255, 1, 9));
}

/* --- Text ----------------------------------------------------------------------------------- */

static void test_a_letter_too_many(void **state)
{
    (void)state;
    char text[TOKEN_TEXT_MAX + 1];
    for (uint32_t places = 0; places < 8; places++) {
        struct token token = { 0 };
        for (uint32_t i = 0; i < places; i++) {
            token_note(&token, i, 1);
        }
        struct token out = { 0 };
        size_t n = token_write(&token, &ours, text);
        memcpy(text + n, "AAAA", 4);
        for (size_t more = 1; more <= 4; more++) {
            assert_int_equal(token_read(span_of(text, n + more), &ours, &out), TOKEN_MALFORMED);
        }
    }
}

static void test_a_text_longer_than_any_token(void **state)
{
    (void)state;
    size_t n = 100000;
    char *text = malloc(n);
    struct token out = { 0 };
    memset(text, 'B', n);
    assert_int_equal(token_read(span_of(text, TOKEN_TEXT_MAX + 4), &ours, &out), TOKEN_MALFORMED);
    assert_int_equal(token_read(span_of(text, n), &ours, &out), TOKEN_MALFORMED);
    free(text);
}

/* As many places as fill a token to its last letter are all in it. */
static void test_the_longest_token_is_whole(void **state)
{
    (void)state;
    enum { PLACES = 254 }; /* of 2 and 10 bytes */
    char text[TOKEN_TEXT_MAX];
    struct token token = { 0 };
    struct token out = { 0 };
    for (uint32_t i = 0; i < PLACES; i++) {
        token_note(&token, 1000 + i * 1000, UINT64_MAX - i);
    }
    assert_int_equal(token_write(&token, &ours, text), TOKEN_TEXT_MAX);
    assert_int_equal(token_read(span_of(text, TOKEN_TEXT_MAX), &ours, &out), TOKEN_OK);
    assert_false(out.open);
    assert_int_equal(out.count, PLACES);
    assert_int_equal(slot_of(&out, PLACES * 1000), UINT64_MAX - (PLACES - 1));
    token_note(&token, 5000000, 1); /* one more byte would be too many, let alone these */
    assert_in_range(token_write(&token, &ours, text), TOKEN_TEXT_MAX - 16, TOKEN_TEXT_MAX);
    assert_int_equal(token_read(span_of(text, TOKEN_TEXT_MAX), &ours, &out), TOKEN_OK);
    assert_true(out.open && out.count == PLACES);
}

/* All of the cluster's bytes count, and a part of a foreign one is a part. */
static void test_another_cluster_is_told_by_each_byte(void **state)
{
    (void)state;
    char text[TOKEN_TEXT_MAX];
    struct token token = { 0 };
    struct token out = { 0 };
    for (uint32_t i = 0; i < TOKEN_CLUSTER_BYTES; i++) {
        struct token_sealer other = ours;
        other.cluster[i] ^= 1;
        size_t n = token_write(&token, &other, text);
        assert_int_equal(token_read(span_of(text, n), &ours, &out), TOKEN_FOREIGN);
        size_t least = (HEAD + TOKEN_SEAL_BYTES) * 4 / 3;
        for (n = 0; n < least; n++) {
            assert_int_equal(token_read(span_of(text, n), &ours, &out), TOKEN_MALFORMED);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_a_node_writes_is_read),
        cmocka_unit_test(test_flags_and_counts_that_nobody_writes),
        cmocka_unit_test(test_more_places_than_there_is_room_for),
        cmocka_unit_test(test_numbers_in_another_form_than_the_shortest),
        cmocka_unit_test(test_groups_beyond_the_last_one),
        cmocka_unit_test(test_a_letter_too_many),
        cmocka_unit_test(test_a_text_longer_than_any_token),
        cmocka_unit_test(test_the_longest_token_is_whole),
        cmocka_unit_test(test_another_cluster_is_told_by_each_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
