/* What the strands of a connection know, as tokens and back (session.h N1). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "node/node.h"
#include "node/session.h"
#include "../cluster/told.h"

static struct token sum_of(const struct strands *strands)
{
    struct token token;
    session_sum(strands, &token);
    return token;
}

static void test_what_was_seen_is_in_the_token_and_in_who_uses_it(void **state)
{
    (void)state;
    struct strands a = { 0 };
    struct strands b = { 0 };
    strands_note_seen(&a, 0, 10);
    strands_note_seen(&a, 7, 20);
    strands_note_seen(&a, 7, 19);
    strands_note_seen(&b, 7, 5);
    strands_note_seen(&b, 9, 30);
    struct token token = sum_of(&a);
    assert_int_equal(token.count, 2);
    session_use(&b, &token);
    token = sum_of(&b);
    assert_false(token.open);
    assert_int_equal(slot_of(&token, 0), 10);
    assert_int_equal(slot_of(&token, 7), 20);
    assert_int_equal(slot_of(&token, 9), 30);
    session_forget(&b);
    token = sum_of(&b);
    assert_int_equal(token.count, 0);
    assert_false(token.open);
    strands_free(&a);
    strands_free(&b);
}

static void test_more_partitions_than_a_connection_keeps_N1(void **state)
{
    (void)state;
    struct strands strands = { 0 };
    for (uint32_t group = 1; group <= 3 * STRANDS_KEPT; group++) {
        strands_note_seen(&strands, group, group);
    }
    struct token token = sum_of(&strands);
    assert_true(token.open && token.count > 0);
    uint32_t gone = 1;
    while (is_told(&token, gone)) {
        gone++;
    }
    assert_in_range(gone, 1, 3 * STRANDS_KEPT);
    strands_note_seen(&strands, gone, 1); /* made anew: what it had seen before is not known */
    token = sum_of(&strands);
    assert_false(is_told(&token, gone));
    strand_of(&strands, gone)->unsure = false; /* a proven read */
    strands_note_seen(&strands, gone, gone);
    token = sum_of(&strands);
    assert_int_equal(slot_of(&token, gone), gone);
    for (uint32_t i = 0; i < token.count; i++) {
        assert_int_equal(token.places[i].slot, token.places[i].group);
    }
    session_forget(&strands);
    token = sum_of(&strands);
    assert_true(!token.open && token.count == 0);
    strands_free(&strands);
}

static void test_an_open_token_leaves_doubts_about_what_it_does_not_list(void **state)
{
    (void)state;
    struct strands strands = { 0 };
    struct token open = { .open = true };
    token_note(&open, 4, 40);
    strands_note_seen(&strands, 3, 30);
    strands_note_seen(&strands, 4, 4);
    session_use(&strands, &open);
    strands_note_seen(&strands, 5, 50);
    struct token token = sum_of(&strands);
    assert_true(token.open);
    assert_int_equal(slot_of(&token, 4), 40);
    assert_false(is_told(&token, 3));
    assert_false(is_told(&token, 5));
    assert_false(is_told(&token, 6));
    struct token closed = { 0 }; /* which does not take the doubts away */
    token_note(&closed, 3, 33);
    token_note(&closed, 6, 66);
    session_use(&strands, &closed);
    token = sum_of(&strands);
    assert_false(is_told(&token, 3));
    assert_false(is_told(&token, 6));
    strands_free(&strands);
}

static void test_the_group_of_most_commands_is_doubted_too(void **state)
{
    (void)state;
    struct strands strands = { 0 };
    struct token open = { .open = true };
    session_use(&strands, &open);
    struct token token = sum_of(&strands);
    assert_true(token.open && !is_told(&token, 0));
    assert_true(strand_of(&strands, 0)->unsure);
    strands_free(&strands);
}

/* Who may read whose tokens. */
static enum token_status read_by(const struct node *node, const struct node *maker)
{
    char text[TOKEN_TEXT_MAX];
    struct token token = { 0 };
    struct token out;
    token_note(&token, 3, 33);
    size_t n = session_write(maker, &token, text);
    return session_read(node, span_of(text, n), &out);
}

static void test_tokens_are_for_those_who_have_the_clusters_id_and_secret(void **state)
{
    (void)state;
    static struct node ours, other_node, other_cluster, other_secret, like;
    memcpy(ours.identity.cluster, "0123456789abcdef", 16);
    (void)strcpy(ours.config.cluster_secret, "secret");
    other_node.identity = ours.identity;
    other_node.identity.me = 2;
    other_node.config = ours.config;
    other_secret.identity = ours.identity;
    (void)strcpy(other_secret.config.cluster_secret, "secreT");
    other_cluster.config = ours.config;
    memcpy(other_cluster.identity.cluster, "X123456789abcdef", 16);
    like.config = ours.config;
    memcpy(like.identity.cluster, "01234567XXXXXXXX", 16); /* the part that a token names */
    assert_int_equal(read_by(&ours, &ours), TOKEN_OK);
    assert_int_equal(read_by(&ours, &other_node), TOKEN_OK);
    assert_int_equal(read_by(&ours, &other_cluster), TOKEN_FOREIGN);
    assert_int_equal(read_by(&ours, &other_secret), TOKEN_FORGED);
    assert_int_equal(read_by(&ours, &like), TOKEN_FORGED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_seen_is_in_the_token_and_in_who_uses_it),
        cmocka_unit_test(test_more_partitions_than_a_connection_keeps_N1),
        cmocka_unit_test(test_an_open_token_leaves_doubts_about_what_it_does_not_list),
        cmocka_unit_test(test_the_group_of_most_commands_is_doubted_too),
        cmocka_unit_test(test_tokens_are_for_those_who_have_the_clusters_id_and_secret),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
