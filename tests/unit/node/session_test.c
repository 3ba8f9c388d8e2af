/* What the strands of a connection know, as tokens and back (session.h N1). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "node/node.h"
#include "node/session.h"
#include "resp/reply.h"
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
    strands_note_seen(&a, NULL, 0, 10);
    strands_note_seen(&a, NULL, 7, 20);
    strands_note_seen(&a, NULL, 7, 19);
    strands_note_seen(&b, NULL, 7, 5);
    strands_note_seen(&b, NULL, 9, 30);
    struct token token = sum_of(&a);
    assert_int_equal(token.count, 2);
    session_use(&b, NULL, &token);
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
        strands_note_seen(&strands, NULL, group, group);
    }
    struct token token = sum_of(&strands);
    assert_true(token.open && token.count > 0);
    uint32_t gone = 1;
    while (is_told(&token, gone)) {
        gone++;
    }
    assert_in_range(gone, 1, 3 * STRANDS_KEPT);
    strands_note_seen(&strands, NULL, gone, 1); /* made anew: what it had seen is not known */
    token = sum_of(&strands);
    assert_false(is_told(&token, gone));
    strand_of(&strands, gone)->unsure = false; /* a proven read */
    strands_note_seen(&strands, NULL, gone, gone);
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
    strands_note_seen(&strands, NULL, 3, 30);
    strands_note_seen(&strands, NULL, 4, 4);
    session_use(&strands, NULL, &open);
    strands_note_seen(&strands, NULL, 5, 50);
    struct token token = sum_of(&strands);
    assert_true(token.open);
    assert_int_equal(slot_of(&token, 4), 40);
    assert_false(is_told(&token, 3));
    assert_false(is_told(&token, 5));
    assert_false(is_told(&token, 6));
    strand_of(&strands, 6)->unsure = false; /* a proven read */
    struct token list4 = { .open = true };
    token_note(&list4, 4, 1);
    session_use(&strands, NULL, &list4);
    token = sum_of(&strands);
    assert_false(is_told(&token, 6)); /* doubted again */
    token_note(&list4, 3, 1);
    session_use(&strands, NULL, &list4);
    token = sum_of(&strands);
    assert_false(is_told(&token, 3)); /* still: that one knew more of it, for all that is known */
    struct token closed = { 0 }; /* which does not take the doubts away */
    token_note(&closed, 3, 33);
    token_note(&closed, 6, 66);
    session_use(&strands, NULL, &closed);
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
    session_use(&strands, NULL, &open);
    struct token token = sum_of(&strands);
    assert_true(token.open && !is_told(&token, 0));
    assert_true(strand_of(&strands, 0)->unsure);
    strands_free(&strands);
}

/* Also of what is made later. */
static void test_a_whole_token_takes_no_doubt_away_and_makes_none(void **state)
{
    (void)state;
    struct strands strands = { 0 };
    struct token whole = { 0 }, open = { .open = true }, token;
    token_note(&whole, 4, 40);
    strands_note_seen(&strands, NULL, 3, 30);
    session_use(&strands, NULL, &whole);
    token = sum_of(&strands);
    assert_true(!token.open && is_told(&token, 3) && is_told(&token, 4) && is_told(&token, 0));
    session_use(&strands, NULL, &open);
    session_use(&strands, NULL, &whole);
    assert_true(strand_of(&strands, 9)->unsure);
    for (uint32_t group = 0; group < 10; group++) {
        strand_of(&strands, group)->unsure = false; /* all that there is was proven */
    }
    token = sum_of(&strands);
    assert_true(token.open); /* but what went before it was is not known */
    strands_free(&strands);
}

/* A strand that is unsure is told by the token, be it the only one. */
static void test_one_that_is_unsure_opens_the_token_N1(void **state)
{
    (void)state;
    struct strands strands = { 0 };
    strands_note_seen(&strands, NULL, 3, 30);
    strand_of(&strands, 3)->unsure = true;
    struct token token = sum_of(&strands);
    assert_true(token.open && token.count == 0);
    strands_free(&strands);
}

static void test_who_forgets_forgets_all_of_it(void **state)
{
    (void)state;
    struct strands strands = { 0 };
    for (uint32_t group = 0; group < 8; group += 7) {
        struct strand *s = strand_of(&strands, group);
        *s = (struct strand){ .group = group, .next = s->next, .unsure = true, .wrote = true };
        s->seen = s->told = 9;
        s->wrote_at = 9;
    }
    session_forget(&strands);
    for (uint32_t group = 0; group < 8; group += 7) {
        struct strand *s = strand_of(&strands, group);
        assert_true(s->seen == 0 && s->told == 0 && s->wrote_at == 0 && !s->unsure);
        assert_true(s->wrote); /* WAIT goes on to know */
    }
    strands_free(&strands);
}

/* K6: a prefix that a node has not heard of may lead to where it was. */
static void test_where_it_was_beside_group_0(void **state)
{
    (void)state;
    struct strands strands = { 0 };
    struct token token = { 0 };
    strands_note_seen(&strands, NULL, 0, 10);
    token_note(&token, 0, 10);
    assert_false(session_was_elsewhere(&strands, NULL));
    assert_false(session_was_elsewhere(&strands, &(struct token){ 0 }));
    assert_false(session_was_elsewhere(&strands, &token));
    token.open = true; /* it may have been anywhere */
    assert_true(session_was_elsewhere(&strands, &token));
    session_use(&strands, NULL, &token);
    assert_true(session_was_elsewhere(&strands, NULL));
    strands.unsure = token.open = false;
    assert_false(session_was_elsewhere(&strands, &token));
    token_note(&token, 5, 50);
    assert_true(session_was_elsewhere(&strands, &token));
    (void)strand_of(&strands, 5);
    assert_true(session_was_elsewhere(&strands, NULL));
    strands_free(&strands);
    strands.first.group = 5; /* of a stream that began there */
    assert_true(session_was_elsewhere(&strands, NULL));
}

static void assert_described(const struct strands *strands, const char *expected)
{
    char text[32];
    session_describe(strands, text, sizeof text);
    assert_string_equal(text, expected);
}

static void test_what_is_known_is_told_in_a_word(void **state)
{
    (void)state;
    struct strands strands = { 0 };
    assert_described(&strands, "0");
    strands_note_seen(&strands, NULL, 3, 30);
    strands_note_seen(&strands, NULL, 4, 40);
    assert_described(&strands, "2");
    strands.unsure = true;
    assert_described(&strands, "2+");
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

/* Tokens of before stay good: what is sealed, and how, never changes. */
static void test_a_token_of_before_is_read(void **state)
{
    (void)state;
    static struct node node;
    char text[TOKEN_TEXT_MAX + 1];
    struct token token = { .open = true };
    memcpy(node.identity.cluster, "0123456789abcdef", 16);
    (void)strcpy(node.config.cluster_secret, "secret");
    token_note(&token, 3, 33);
    token_note(&token, 300, 1u << 20);
    text[session_write(&node, &token, text)] = 0;
    assert_string_equal(text, "ATAxMjM0NTY3AQIDIagCgIBAIRNraHo_bf7rrYzZ");
}

/* --- META ----------------------------------------------------------------------------------- */

static struct node meta_node;
static struct partition meta_partition = { .group = 7 };

/* What META says of p's session; false: nothing. */
static bool told_by(struct pending *p, struct token *out)
{
    struct reply reply;
    const char *name = "$7\r\nsession\r\n";
    reply_init(&reply, 2);
    p->node = &meta_node;
    session_put(p, &reply);
    assert_true(reply.n > strlen(name) && memcmp(reply.p, name, strlen(name)) == 0);
    const char *at = (const char *)reply.p + strlen(name);
    bool told = memcmp(at, "$-1", 3) != 0;
    if (told) {
        size_t n = strtoul(at + 1, NULL, 10);
        at = memchr(at, '\n', 8);
        assert_int_equal(session_read(&meta_node, span_of(at + 1, n), out), TOKEN_OK);
    }
    reply_free(&reply);
    return told;
}

static void test_meta_tells_of_the_command_and_of_the_token_that_came(void **state)
{
    (void)state;
    struct pending p = { .partition = &meta_partition, .shown = { .slot = 70 } };
    struct token came = { .open = true }, told;
    assert_true(told_by(&p, &told));
    assert_true(!told.open && told.count == 1 && slot_of(&told, 7) == 70);
    token_note(&came, 5, 50);
    p.token = &came;
    p.token_bytes = offsetof(struct token, places) + sizeof came.places[0];
    assert_true(told_by(&p, &told));
    assert_true(told.open && told.count == 2);
    assert_true(slot_of(&told, 5) == 50 && slot_of(&told, 7) == 70);
    p.shown.slot = 0; /* of an older version */
    assert_false(told_by(&p, &told));
    p.shown.slot = 70;
    p.partition = NULL; /* of several partitions */
    assert_false(told_by(&p, &told));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_seen_is_in_the_token_and_in_who_uses_it),
        cmocka_unit_test(test_more_partitions_than_a_connection_keeps_N1),
        cmocka_unit_test(test_an_open_token_leaves_doubts_about_what_it_does_not_list),
        cmocka_unit_test(test_the_group_of_most_commands_is_doubted_too),
        cmocka_unit_test(test_a_whole_token_takes_no_doubt_away_and_makes_none),
        cmocka_unit_test(test_one_that_is_unsure_opens_the_token_N1),
        cmocka_unit_test(test_who_forgets_forgets_all_of_it),
        cmocka_unit_test(test_where_it_was_beside_group_0),
        cmocka_unit_test(test_what_is_known_is_told_in_a_word),
        cmocka_unit_test(test_tokens_are_for_those_who_have_the_clusters_id_and_secret),
        cmocka_unit_test(test_a_token_of_before_is_read),
        cmocka_unit_test(test_meta_tells_of_the_command_and_of_the_token_that_came),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
