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
    node->known[1].id = 12; /* ids are no indexes */
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

/* --- What an answer shows ------------------------------------------------------------------- */

static struct partition of_group(uint32_t group)
{
    return (struct partition){ .group = group };
}

static struct pending *push_to(struct partition *partition, const char *name)
{
    struct pending *p = push(name);
    pending_join(p, partition);
    return p;
}

static void answer_from(struct pending *p, qr_slot slot)
{
    reply_integer(stream_reply(p), 7);
    p->shown = (struct shown){ .slot = slot, .by = 1, .has_stale = true, .stale = 1500 };
    stream_answered(p, STATUS_OK);
}

static void assert_out(const char *expected)
{
    assert_int_equal(out.n, strlen(expected));
    assert_memory_equal(out.p, expected, out.n);
    reply_reset(&out);
}

#define META_OF_SLOT_40                                                         \
    "*2\r\n:7\r\n*8\r\n$8\r\nposition\r\n$4\r\n3-40\r\n$7\r\nreplica\r\n:12\r\n"\
    "$12\r\nstaleness_ms\r\n:2\r\n$8\r\nreplayed\r\n:0\r\n"

static void test_meta_stands_behind_the_reply_D3(void **state)
{
    (void)state;
    struct partition partition = of_group(3);
    stream.wants.meta = true;
    struct pending *first = push_to(&partition, "get"), *second = push_to(&partition, "get");
    stream.wants.meta = false;
    struct pending *third = push_to(&partition, "get");
    answer_from(second, 40); /* they wait for the first */
    answer_from(third, 40);
    answer_from(first, 40);
    assert_out(META_OF_SLOT_40 META_OF_SLOT_40 ":7\r\n");
}

static void test_an_error_comes_without_meta_D3(void **state)
{
    (void)state;
    struct partition partition = of_group(3);
    stream.wants.meta = true;
    struct pending *first = push_to(&partition, "get"), *second = push_to(&partition, "get");
    reply_error(stream_reply(second), "ERR second");
    stream_answered(second, STATUS_OK);
    reply_status(&out, "before");
    reply_error(stream_reply(first), "ERR first");
    stream_answered(first, STATUS_OK);
    stream.wants.meta = false;
    assert_out("+before\r\n-ERR first\r\n-ERR second\r\n");
}

static void test_a_replica_whose_node_is_not_known_is_null_in_meta_D3(void **state)
{
    (void)state;
    struct partition partition = of_group(3);
    stream.wants.meta = true;
    struct pending *p = push_to(&partition, "get");
    stream.wants.meta = false;
    node->known[1].id = 0;
    answer_from(p, 40);
    assert_out("*2\r\n:7\r\n*8\r\n$8\r\nposition\r\n$4\r\n3-40\r\n$7\r\nreplica\r\n$-1\r\n"
               "$12\r\nstaleness_ms\r\n:2\r\n$8\r\nreplayed\r\n:0\r\n");
}

static void test_what_is_not_known_is_null_in_meta_D3(void **state)
{
    (void)state;
    struct partition partition = of_group(3);
    stream.wants.meta = true;
    struct pending *p = push_to(&partition, "get");
    reply_integer(stream_reply(p), 7);
    p->shown.replayed = true;
    stream_answered(p, STATUS_OK);
    stream.wants.meta = false;
    assert_out("*2\r\n:7\r\n*8\r\n$8\r\nposition\r\n$-1\r\n$7\r\nreplica\r\n$-1\r\n"
               "$12\r\nstaleness_ms\r\n$-1\r\n$8\r\nreplayed\r\n:1\r\n");
}

/* A read that meets a key whose time has come writes nothing and is asked again. */
static void test_a_reply_that_was_only_begun_leaves_nothing(void **state)
{
    (void)state;
    struct partition partition = of_group(3);
    stream.wants.meta = true;
    struct pending *first = push_to(&partition, "get"), *second = push_to(&partition, "get");
    stream.wants.meta = false;
    (void)stream_reply(first);
    stream_take_back(first);
    (void)stream_reply(second);
    stream_take_back(second);
    answer_from(second, 40);
    answer_from(first, 40);
    assert_out(META_OF_SLOT_40 META_OF_SLOT_40);
}

static void test_a_stream_knows_the_newest_state_that_it_has_seen_or_made_G7_G8(void **state)
{
    (void)state;
    struct partition three = of_group(3), four = of_group(4);
    answer_from(push_to(&three, "get"), 40);
    answer_from(push_to(&three, "get"), 38);
    answer_from(push_to(&four, "set"), 9);
    assert_int_equal(strand_of(&stream.strands, 3)->seen, 40);
    assert_int_equal(strand_of(&stream.strands, 4)->seen, 9);
    struct pending *refused = push_to(&four, "set");
    refused->shown.slot = 50;
    stream_refuse(refused, STATUS_CLUSTERDOWN);
    assert_int_equal(strand_of(&stream.strands, 4)->seen, 9);
    stream_note_read(&stream, NULL, 4, 12);
    stream_note_read(&stream, NULL, 4, 11);
    assert_int_equal(strand_of(&stream.strands, 4)->seen, 12);
    assert_false(strand_of(&stream.strands, 4)->unsure);
    reply_reset(&out);
}

/* An older version's answer does not say which state it shows. */
static void test_a_stream_knows_that_it_has_seen_what_it_cannot_name_G8(void **state)
{
    (void)state;
    struct partition three = of_group(3);
    struct strand *strand = strand_of(&stream.strands, 3);
    answer_from(push_to(&three, "wait"), 0);
    assert_false(strand->unsure);
    answer_from(push_to(&three, "get"), 0);
    assert_true(strand->unsure);
    struct pending *weak = push_to(&three, "get");
    weak->wants.level = READ_LOCAL;
    answer_from(weak, 40);
    assert_true(strand->unsure);
    struct pending *proven = push_to(&three, "get");
    struct pending *unknown = push_to(&three, "get"); /* which may have been answered later */
    answer_from(proven, 41);
    assert_true(strand->unsure);
    answer_from(unknown, 0);
    answer_from(push_to(&three, "get"), 42);
    assert_false(strand->unsure);
    answer_from(push_to(&three, "set"), 0);
    assert_true(strand->unsure);
    answer_from(push_to(&three, "set"), 43);
    assert_false(strand->unsure);
    assert_false(stream.strands.unsure);
    reply_reset(&out);
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
        cmocka_unit_test_setup_teardown(test_meta_stands_behind_the_reply_D3, begin, end),
        cmocka_unit_test_setup_teardown(test_an_error_comes_without_meta_D3, begin, end),
        cmocka_unit_test_setup_teardown(
            test_a_replica_whose_node_is_not_known_is_null_in_meta_D3, begin, end),
        cmocka_unit_test_setup_teardown(test_what_is_not_known_is_null_in_meta_D3, begin, end),
        cmocka_unit_test_setup_teardown(test_a_reply_that_was_only_begun_leaves_nothing, begin,
                                        end),
        cmocka_unit_test_setup_teardown(
            test_a_stream_knows_the_newest_state_that_it_has_seen_or_made_G7_G8, begin, end),
        cmocka_unit_test_setup_teardown(test_a_stream_knows_that_it_has_seen_what_it_cannot_name_G8,
                                        begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
