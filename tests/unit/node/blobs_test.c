/* Blobs that a leader begins to stage and does not use (blobs.h B1, B2): the driver is real, the
 * protocol, the log and the peers are played. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "apply_world.h"
#include "base/limits.h"
#include "log/log.h"

static uint8_t large[LARGE_BYTES + 1000];

static struct reply *begin_relayed(struct stream *stream, struct pending *p)
{
    (void)stream, (void)p;
    reply_reset(&world->node.nowhere);
    return &world->node.nowhere;
}

static void end_relayed(struct stream *stream, struct pending *p, enum qr_status status)
{
    (void)stream, (void)p, (void)status;
}

/* A peer's SET of a value of n bytes, its first part in the log and applied. */
static struct relay *begin_one_of(size_t n)
{
    uint8_t bytes[128];
    struct span argv[2] = { SPAN_LITERAL("a"), { .n = n } };
    const struct command_spec *spec = command_by_name(SPAN_LITERAL("set"));
    struct op head = { .level = SEMANTICS_LEVEL, .tag = spec->tag };
    op_write(bytes, &head, argv, 2);
    struct forward forward = { .id = 7, .epoch = 1, .version = 2, .sender = 1 };
    assert_true(
        router_relayed(world->node.router, 2, 0, &forward, span_of(bytes, op_bytes(argv, 2))));
    struct relay *from = world->zero.track.relays[2];
    from->stream.begin_reply = begin_relayed;
    from->stream.end_reply = end_relayed;
    assert_true(router_piece(world->node.router, 2, 0, 7, span_of(large, BLOB_PART_BYTES)));
    turn();
    apply_upto(1);
    assert_int_equal(engine_staged_bytes(world->zero.engine), n);
    return from;
}

static struct relay *begin_large(void)
{
    return begin_one_of(sizeof large);
}

/* The next batch is refused, but this node goes on to lead: a hand-over was called off. */
static void lead_on_after_a_refusal(void)
{
    world->refuses = true;
    turn();
    world->refuses = false;
    turn();
    apply_upto(world->log.last);
    assert_int_equal(engine_staged_bytes(world->zero.engine), 0);
}

static void test_what_a_refused_command_had_in_the_log_is_given_up_B2(void **state)
{
    (void)state;
    struct relay *from = begin_large();
    assert_true(router_piece(world->node.router, 2, 0, 7,
                             span_of(large + BLOB_PART_BYTES, sizeof large - BLOB_PART_BYTES)));
    world->refuses = true;
    turn();
    assert_int_equal(world->credit, BLOB_PART_BYTES); /* for what is in the log, and no more */
    lead_on_after_a_refusal();
    assert_null(from->stream.first);
}

static void test_a_blob_is_given_up_again_when_that_was_refused_B2(void **state)
{
    (void)state;
    (void)begin_large();
    router_peer_down(world->node.router, 2);
    lead_on_after_a_refusal();
}

/* The peer has it still; each time it is told how far that is once. */
static void test_what_is_in_the_log_is_kept_no_more_R4(void **state)
{
    (void)state;
    struct relay *from = begin_one_of(3 * MIB);
    const struct cargo *cargo = from->loads->cargo;
    turn();
    turn();
    assert_int_equal(world->credit, BLOB_PART_BYTES);
    assert_int_equal(world->credits, 1);
    assert_int_equal(world->node.relayed_bytes, 0);
    for (uint32_t i = 2; i <= 6; i++) {
        assert_true(
            router_piece(world->node.router, 2, 0, 7, span_of(large, BLOB_PART_BYTES)));
        assert_int_equal(world->node.relayed_bytes, BLOB_PART_BYTES);
        turn();
        turn();
        assert_int_equal(world->credits, i);
        assert_int_equal(world->node.relayed_bytes, 0);
    }
    assert_true(cargo->v[0].rope->start > MIB / 2);
}

/* A term later: what this node let go of it would have to send again. */
static void test_what_was_begun_in_a_term_before_goes_back_to_its_sender_B1(void **state)
{
    (void)state;
    struct relay *from = begin_one_of(3 * MIB);
    turn();
    assert_int_equal(world->credits, 1);
    lead(3);
    turn();
    assert_null(from->stream.first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_a_refused_command_had_in_the_log_is_given_up_B2,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_blob_is_given_up_again_when_that_was_refused_B2,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_in_the_log_is_kept_no_more_R4, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            test_what_was_begun_in_a_term_before_goes_back_to_its_sender_B1, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
