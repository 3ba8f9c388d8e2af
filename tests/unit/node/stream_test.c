/* Streams alone: what becomes of answers and their figures (stream.h S3). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "node/node.h"
#include "played_node.h"

static struct node *node;
static struct stream stream;
static struct reply out;
static uint32_t ended; /* how often the owner heard of an answer */

static struct reply *begin_reply(struct stream *s, struct pending *p)
{
    (void)s;
    (void)p;
    return &out;
}

static void end_reply(struct stream *s, struct pending *p, enum qr_status status)
{
    (void)s;
    (void)p;
    (void)status;
    ended++;
}

static int begin(void **state)
{
    (void)state;
    node = played_node();
    node->clock = QR_SECOND;
    node->config.latency_tracking = true;
    stream_init(&stream, node, STREAM_CLIENT);
    stream.begin_reply = begin_reply;
    stream.end_reply = end_reply;
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

static struct pending *push(const char *name)
{
    const struct command_spec *spec = command_by_name(span_of(name, strlen(name)));
    return stream_push(&stream, spec, 2, node->clock);
}

static void answer(struct pending *p, const char *status)
{
    reply_status(stream_reply(p), status);
    stream_answered(p, STATUS_OK);
}

static const struct histogram *latency(const char *name)
{
    const struct command_spec *spec = command_by_name(span_of(name, strlen(name)));
    return node->measure->latency[command_index(spec)];
}

static void test_a_latency_ends_when_the_reply_is_where_the_client_gets_it(void **state)
{
    (void)state;
    struct pending *first = push("set"), *second = push("get");
    node->clock += 100;
    answer(second, "B"); /* has to wait for the first */
    assert_null(latency("get"));
    node->clock += 200;
    answer(first, "A");
    assert_int_equal(out.n, 8);
    assert_memory_equal(out.p, "+A\r\n+B\r\n", 8);
    assert_int_equal(latency("set")->sum, 300);
    assert_int_equal(latency("get")->sum, 300);
}

/* CLIENT REPLY OFF: a client that is not read from, since too much is pending, waits for that. */
static void test_the_owner_hears_of_silent_answers_too_R4(void **state)
{
    (void)state;
    struct pending *first = push("set"), *second = push("get");
    first->silent = second->silent = true;
    ended = 0;
    answer(second, "B");
    assert_int_equal(ended, 0);
    answer(first, "A");
    assert_int_equal(ended, 2);
    assert_int_equal(out.n, 0);
}

/* Each of a thousand clients keeps below its share of commands, with 48 KiB in each. */
static void test_small_shares_of_large_commands_are_bounded_R4(void **state)
{
    (void)state;
    node->client_count = 1000;
    node->pending_bytes = NODE_PENDING_BYTES_MAX; /* of others */
    struct pending *p = NULL;
    uint32_t taken = 0;
    while (!stream_finds_no_room(&stream, 100) && taken < 1000) {
        p = push("set");
        memset(pending_take_room(p, 48 * KIB), 0, 48 * KIB);
        taken++;
    }
    assert_int_equal(taken, NODE_PENDING_BYTES_MAX / 1000 / (48 * KIB) + 1);
    stream.op_bytes = 0; /* of somebody who has nothing */
    assert_false(stream_finds_no_room(&stream, 100));
    assert_true(stream_finds_no_room(&stream, CLIENT_READ_BYTES));
    size_t others = node->pending_bytes;
    node->pending_bytes = 2 * NODE_PENDING_BYTES_MAX;
    assert_true(stream_finds_no_room(&stream, 100));
    node->pending_bytes = others;
    node->pending_count += 2 * NODE_PENDING_MAX;
    assert_true(stream_finds_no_room(&stream, 100));
    node->pending_count -= 2 * NODE_PENDING_MAX;
    stream.op_bytes = taken * 48 * KIB;
}

static void test_refusals_have_a_latency_too(void **state)
{
    (void)state;
    struct pending *p = push("set");
    node->clock += 5 * QR_SECOND;
    stream_refuse(p, STATUS_UNCERTAIN);
    assert_int_equal(latency("set")->sum, 5 * QR_SECOND);
}

static void test_what_a_peer_asked_for_counts_where_its_client_is(void **state)
{
    (void)state;
    stream.ordered = false;
    stream.relayed = true;
    answer(push("set"), "A");
    assert_null(latency("set"));
}

static void test_who_is_gone_has_no_latency(void **state)
{
    (void)state;
    struct pending *p = push("set");
    stream_detach(&stream);
    answer(p, "A");
    assert_null(latency("set"));
}

static void test_nothing_is_measured_without_latency_tracking(void **state)
{
    (void)state;
    node->config.latency_tracking = false;
    answer(push("set"), "A");
    assert_null(latency("set"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_a_latency_ends_when_the_reply_is_where_the_client_gets_it, begin, end),
        cmocka_unit_test_setup_teardown(test_the_owner_hears_of_silent_answers_too_R4, begin, end),
        cmocka_unit_test_setup_teardown(test_small_shares_of_large_commands_are_bounded_R4, begin,
                                        end),
        cmocka_unit_test_setup_teardown(test_refusals_have_a_latency_too, begin, end),
        cmocka_unit_test_setup_teardown(test_what_a_peer_asked_for_counts_where_its_client_is,
                                        begin, end),
        cmocka_unit_test_setup_teardown(test_who_is_gone_has_no_latency, begin, end),
        cmocka_unit_test_setup_teardown(test_nothing_is_measured_without_latency_tracking, begin,
                                        end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
