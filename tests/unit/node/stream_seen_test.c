/* What a stream's answers tell of what its client has seen and made (session.h N1), and what of it
 * comes before a command of its pipeline. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cluster/token.h"
#include "node/node.h"
#include "played_node.h"

static struct node *node;
static struct stream stream;
static struct partition one = { .group = 1 }, two = { .group = 2 };
static struct reply out;

static struct reply *begin_reply(struct stream *s, struct pending *p)
{
    (void)s, (void)p;
    return &out;
}

static void end_reply(struct stream *s, struct pending *p, enum qr_status status)
{
    (void)s, (void)p, (void)status;
}

static void begin_stream(struct stream *s, enum stream_kind kind)
{
    stream_init(s, node, kind);
    s->begin_reply = begin_reply;
    s->end_reply = end_reply;
}

static int begin(void **state)
{
    (void)state;
    node = played_node();
    node->clock = QR_SECOND;
    one.node = two.node = node;
    begin_stream(&stream, STREAM_CLIENT);
    reply_init(&out, 2);
    return 0;
}

static int end(void **state)
{
    (void)state;
    stream_detach(&stream);
    played_node_free(node);
    reply_free(&out);
    return 0;
}

static struct pending *push_to(struct stream *s, struct partition *to, const char *name,
                               enum read_level level)
{
    const struct command_spec *spec = command_by_name(span_of(name, strlen(name)));
    s->wants = (struct wants){ .level = (uint8_t)level };
    struct pending *p = stream_push(s, spec, 2, node->clock);
    pending_join(p, to);
    return p;
}

static struct pending *push(const char *name, enum read_level level)
{
    return push_to(&stream, &one, name, level);
}

static void answer_with(struct pending *p, enum qr_status status, qr_slot slot)
{
    reply_status(stream_reply(p), "A");
    p->shown.slot = slot;
    stream_answered(p, status);
}

static void answer(struct pending *p, qr_slot slot)
{
    answer_with(p, STATUS_OK, slot);
}

static struct strand *strand(void)
{
    return strand_of(&stream.strands, 1);
}

static void test_the_newest_state_that_was_shown_or_made(void **state)
{
    (void)state;
    answer(push("set", READ_LINEARIZABLE), 10);
    assert_int_equal(strand()->seen, 10);
    answer(push("get", READ_LOCAL), 12);
    answer(push("get", READ_LOCAL), 11);
    answer(push("wait", READ_LINEARIZABLE), 0);
    assert_int_equal(strand()->seen, 12);
    assert_false(strand()->unsure);
}

static void test_an_answer_without_a_slot_leaves_a_doubt(void **state)
{
    (void)state;
    static const char *const names[] = { "get", "set" };
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        answer(push(names[i], READ_LOCAL), 0);
        assert_true(strand()->unsure);
        answer(push("wait", READ_LOCAL), 0); /* nothing of the state */
        assert_true(strand()->unsure);
        strand()->unsure = false;
        answer(push("wait", READ_LOCAL), 0);
        assert_false(strand()->unsure);
    }
}

/* Else whoever met a quota once would have a token that is open for ever. */
static void test_a_refusal_leaves_no_doubt(void **state)
{
    (void)state;
    static const char *const names[] = { "get", "set" };
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        struct pending *first = push(names[i], READ_LOCAL), *second = push(names[i], READ_LOCAL);
        reply_error(stream_reply(second), "QUOTA no");
        stream_refused(second);
        reply_error(stream_reply(first), "QUOTA no");
        stream_refused(first);
        assert_true(strand()->seen == 0 && !strand()->unsure);
    }
    assert_int_equal(strand()->wrote_at, node->clock); /* it was a try to write nevertheless */
}

static void test_only_what_is_proven_and_last_ends_it(void **state)
{
    (void)state;
    strand()->unsure = true;
    answer(push("get", READ_LOCAL), 10);
    answer(push("get", READ_SESSION), 10);
    assert_true(strand()->unsure);
    struct pending *read = push("get", READ_LINEARIZABLE);
    struct pending *open = push("get", READ_LOCAL); /* may be answered without a slot */
    answer(read, 11);
    assert_true(strand()->unsure);
    answer(open, 11);
    assert_true(strand()->unsure);
    answer(push("get", READ_LINEARIZABLE), 11);
    assert_false(strand()->unsure);
    strand()->unsure = true;
    answer(push("set", READ_LOCAL), 12);
    assert_false(strand()->unsure);
}

/* One that was refused has shown nothing; a write may have been applied all the same. */
static void test_of_what_failed_only_the_time_counts(void **state)
{
    (void)state;
    answer_with(push("get", READ_LOCAL), STATUS_CLUSTERDOWN, 10);
    assert_true(strand()->seen == 0 && strand()->wrote_at == 0 && !strand()->unsure);
    answer_with(push("set", READ_LOCAL), STATUS_UNCERTAIN, 0);
    assert_true(strand()->seen == 0 && !strand()->unsure);
    assert_int_equal(strand()->wrote_at, node->clock);
    node->clock += 5;
    answer(push("get", READ_LOCAL), 10);
    assert_int_equal(strand()->wrote_at, node->clock - 5);
    answer(push("set", READ_LOCAL), 11);
    assert_int_equal(strand()->wrote_at, node->clock);
}

static void test_a_peers_commands_are_nobodys_here(void **state)
{
    (void)state;
    static const enum stream_kind kinds[] = { STREAM_PEER, STREAM_GATHER };
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        struct stream peer;
        begin_stream(&peer, kinds[i]);
        answer(push_to(&peer, &one, "set", READ_LINEARIZABLE), 10);
        answer(push_to(&peer, &one, "get", READ_LINEARIZABLE), 0);
        const struct strand *s = strand_of(&peer.strands, 1);
        assert_true(s->seen == 0 && s->wrote_at == 0 && !s->unsure);
        stream_detach(&peer);
    }
}

/* --- Before a command of the pipeline -------------------------------------------------------- */

static void test_what_was_shown_before_it_and_not_behind_it(void **state)
{
    (void)state;
    answer(push("get", READ_LOCAL), 10);
    struct pending *head = push_to(&stream, &two, "get", READ_LOCAL);
    struct pending *first = push("get", READ_LOCAL), *second = push("get", READ_LOCAL);
    struct pending *other = push_to(&stream, &two, "get", READ_LOCAL);
    struct pending *p = push("get", READ_SESSION);
    assert_int_equal(stream_seen_before(p), 10);
    struct pending *behind = push("get", READ_LOCAL);
    answer(behind, 40);
    assert_int_equal(strand()->seen, 40);
    assert_int_equal(stream_seen_before(p), 10);
    answer(other, 50);
    assert_int_equal(stream_seen_before(p), 10);
    second->shown.slot = 60; /* and no answer yet */
    assert_int_equal(stream_seen_before(p), 10);
    answer(first, 15);
    assert_int_equal(stream_seen_before(p), 15);
    answer(second, 20);
    assert_int_equal(stream_seen_before(p), 20);
    answer(head, 70); /* they leave */
    assert_int_equal(strand()->told, 20);
    assert_ptr_equal(stream.first, p);
    assert_int_equal(stream_seen_before(p), 20);
    answer(p, 30);
    assert_int_equal(strand()->told, 40);
}

static void test_what_is_last_has_all_before_it(void **state)
{
    (void)state;
    struct pending *head = push("set", READ_LOCAL);
    answer(push("get", READ_LOCAL), 20);
    struct pending *last = push("get", READ_SESSION);
    assert_int_equal(strand()->told, 0);
    assert_int_equal(stream_seen_before(last), 20);
    answer(head, 10);
    assert_int_equal(strand()->told, 20); /* never less */
    answer(last, 20);
}

/* --- The token that came along ---------------------------------------------------------------- */

static void test_meta_keeps_the_token_and_others_do_not(void **state)
{
    (void)state;
    struct token token = { .open = true };
    token_note(&token, 5, 50);
    token_note(&token, 6, 60);
    size_t before = node->pending_bytes;
    stream.token = &token;
    struct pending *p = push("get", READ_LOCAL);
    assert_null(p->token);
    stream.wants.meta = true;
    p = stream_push(&stream, p->spec, 2, node->clock);
    stream.token = NULL;
    assert_int_equal(node->pending_bytes, before + p->token_bytes);
    assert_int_equal(p->token_bytes, offsetof(struct token, places) + 2 * sizeof token.places[0]);
    assert_true(p->token->open && p->token->count == 2 && p->token->places[1].slot == 60);
    p->wants.meta = false;
    answer(p, 0);
    answer(stream.first, 0);
    assert_int_equal(node->pending_bytes, before);
}

#define SEEN_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SEEN_TEST(test_the_newest_state_that_was_shown_or_made),
        SEEN_TEST(test_an_answer_without_a_slot_leaves_a_doubt),
        SEEN_TEST(test_a_refusal_leaves_no_doubt),
        SEEN_TEST(test_only_what_is_proven_and_last_ends_it),
        SEEN_TEST(test_of_what_failed_only_the_time_counts),
        SEEN_TEST(test_a_peers_commands_are_nobodys_here),
        SEEN_TEST(test_what_was_shown_before_it_and_not_behind_it),
        SEEN_TEST(test_what_is_last_has_all_before_it),
        SEEN_TEST(test_meta_keeps_the_token_and_others_do_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
