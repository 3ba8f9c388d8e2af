/* LOG logical at a replica (execute.h): the test decides what is proposed, committed and taken
 * back, and when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "apply_world.h"
#include "base/limits.h"
#include "log/log.h"
#include "log/record.h"
#include "node/replica_internal.h"

static struct replica *r;

static int begin(void **state)
{
    (void)setup(state);
    r = world->zero.replica;
    r->started = false;
    replica_go_logical(r);
    r->started = true;
    r->execute->state_term = 1;
    return 0;
}

/* What the log holds at that slot. */
static struct rows_entry entry_at(qr_slot slot)
{
    struct record record;
    struct rows_entry entry;
    assert_int_not_equal(
        record_peek(span_of(world->log.record[slot], world->log.bytes[slot]), &record), 0);
    assert_int_equal(record.kind, RECORD_ROWS);
    assert_true(rows_read(record.payload, &entry));
    return entry;
}

/* A read by whoever asks for nothing: what the state shows. */
static void assert_state(const char *key, const char *value)
{
    const struct item *item =
        store_find(engine_store(world->zero.engine), 0, span_of(key, strlen(key)));
    assert_true((item != NULL) == (value != NULL));
    if (value != NULL) {
        struct span s = item_value(item);
        assert_int_equal(s.n, strlen(value));
        assert_memory_equal(s.p, value, s.n);
    }
}

static void read_now(void)
{
    confirm_reads(replica_applied(r), 0);
    turn();
}

/* --- Executing and answering ---------------------------------------------------------------- */

static void test_a_command_is_executed_when_proposed_and_answered_when_committed_E1_E2(void **state)
{
    (void)state;
    command("set a 1");
    assert_state("a", NULL);
    turn();
    assert_state("a", "1");
    assert_int_equal(replica_state(r), 1);
    assert_int_equal(replica_applied(r), 0);
    assert_heard("");
    apply_upto(1);
    assert_heard("+OK\r\n");
    assert_int_equal(replica_applied(r), 1);
    assert_int_equal(r->execute->kept_bytes, 0);
    assert_int_equal(world->client.held_bytes, 0);
    assert_int_equal(overlay_last(r->execute->overlay), 0);
}

static void test_the_log_holds_what_changed_E1(void **state)
{
    (void)state;
    command("set a 1");
    command("incrby a 41");
    turn();
    assert_int_equal(world->log.last, 2);
    struct rows_entry entry = entry_at(2);
    struct rows_cursor cursor = rows_begin(&entry);
    struct row row;
    assert_int_equal(entry.form, ROWS_FORM_ROWS);
    assert_true(rows_next(&cursor, &row));
    assert_int_equal(row.old.p[0], '1');
    assert_memory_equal(row.new.p, "42", 2);
    apply_upto(2);
    assert_heard("+OK\r\n:42\r\n");
}

static void test_what_the_protocol_refuses_was_not_executed_E1(void **state)
{
    (void)state;
    world->refuses = true;
    command("set a 1");
    turn();
    assert_state("a", NULL);
    assert_int_equal(replica_state(r), 0);
    world->refuses = false;
    turn();
    assert_state("a", "1");
    assert_int_equal(world->log.last, 1);
}

static void test_whoever_has_not_applied_its_log_executes_nothing_E1(void **state)
{
    (void)state;
    noop_at(1, 1);
    assert_int_equal(replica_state(r), 1); /* its own first entry */
    noop_at(2, 1);
    r->execute->state = 1; /* as one that came while another led */
    command("set a 1");
    turn();
    assert_int_equal(world->log.last, 2);
    assert_state("a", NULL);
    apply_upto(2);
    turn();
    assert_state("a", "1");
    assert_int_equal(world->log.last, 3);
}

static void test_a_write_that_lost_its_slot_was_not_applied_D1(void **state)
{
    (void)state;
    command("getset a 1");
    turn();
    assert_true(execute_undo(r, 0));
    assert_state("a", NULL);
    follow_nobody(2);
    noop_at(1, 2);
    apply_upto(1);
    assert_heard("-TRYAGAIN not applied, leader changed\r\n");
    assert_int_equal(r->execute->kept_bytes, 0);
}

static void test_one_whose_client_is_gone_is_executed_all_the_same(void **state)
{
    (void)state;
    command("set a 1");
    turn();
    stream_detach(&world->client);
    apply_upto(1);
    assert_state("a", "1");
    assert_heard("");
    assert_int_equal(r->execute->kept_bytes, 0);
    assert_null(world->node.oldest);
}

static void test_a_silent_write_has_no_reply(void **state)
{
    (void)state;
    struct span argv[] = { SPAN_LITERAL("set"), SPAN_LITERAL("a"), SPAN_LITERAL("1") };
    const struct command_spec *container;
    router_command(world->node.router, &world->zero, &world->client,
                   command_find(argv, 3, &container), 2, 0, argv, 3, true);
    command("incr a");
    turn();
    apply_upto(2);
    assert_heard(":2\r\n");
}

static void test_one_that_waits_too_long_is_uncertain_and_its_reply_goes(void **state)
{
    (void)state;
    command("set a 1");
    turn();
    later((world->node.config.request_timeout_ms + 20) * QR_MILLISECOND);
    later(20 * QR_MILLISECOND);
    assert_heard("-UNCERTAIN the write was proposed and its fate is unknown\r\n");
    assert_int_equal(r->execute->kept_bytes, 0);
    apply_upto(1);
    assert_heard("");
    assert_int_equal(replica_applied(r), 1);
}

/* --- Reads ---------------------------------------------------------------------------------- */

static void test_a_read_shows_nothing_that_is_not_committed_E3(void **state)
{
    (void)state;
    struct stream other = world->client;
    other.first = other.last = NULL;
    command("set a 1");
    turn();
    command_from(&other, "get a");
    turn();
    read_now();
    assert_heard("");
    assert_int_equal(r->execute->kept.count, 1);
    apply_upto(1);
    assert_heard("+OK\r\n$1\r\n1\r\n");
    assert_int_equal(r->execute->kept.count, 0);
    assert_int_equal(r->execute->kept_bytes, 0);
    stream_detach(&other);
}

static void test_a_read_of_another_key_waits_for_nothing_E3(void **state)
{
    (void)state;
    struct stream other;
    stream_init(&other, &world->node, STREAM_CLIENT);
    other.begin_reply = world->client.begin_reply;
    other.end_reply = world->client.end_reply;
    other.is_congested = world->client.is_congested;
    command("set a 1");
    turn();
    command_from(&other, "get b");
    turn();
    read_now();
    assert_heard("$-1\r\n");
    stream_detach(&other);
}

static void test_a_key_that_never_rests_is_read_E3(void **state)
{
    (void)state;
    struct stream other;
    stream_init(&other, &world->node, STREAM_CLIENT);
    other.begin_reply = world->client.begin_reply;
    other.end_reply = world->client.end_reply;
    other.is_congested = world->client.is_congested;
    command("set a 1");
    turn();
    command_from(&other, "get a");
    command_from(&other, "get b");
    turn();
    command("set a 2");
    turn();
    read_now(); /* it sees the second, */
    command("set a 3");
    turn();
    apply_upto(1);
    assert_heard("+OK\r\n");
    apply_upto(2); /* and waits for no later one */
    assert_heard("+OK\r\n$1\r\n2\r\n$-1\r\n");
    stream_detach(&other);
}

static void test_a_local_read_shows_it_at_once_E3(void **state)
{
    (void)state;
    struct stream other;
    stream_init(&other, &world->node, STREAM_CLIENT);
    other.begin_reply = world->client.begin_reply;
    other.end_reply = world->client.end_reply;
    other.is_congested = world->client.is_congested;
    command("set a 1");
    turn();
    other.wants.level = READ_PREFIX;
    command_from(&other, "get a");
    turn();
    assert_heard("");
    struct stream third = other;
    third.first = third.last = NULL;
    third.strands = (struct strands){ 0 };
    third.wants.level = READ_LOCAL;
    command_from(&third, "get a");
    turn();
    assert_heard("$1\r\n1\r\n");
    apply_upto(1);
    assert_heard("+OK\r\n$1\r\n1\r\n");
    stream_detach(&other);
    stream_detach(&third);
}

static void test_a_read_ahead_of_a_write_does_not_show_it_S2_E4(void **state)
{
    (void)state;
    command("get a");
    command("set a 1");
    command("get a");
    command("set a 2");
    turn();
    assert_state("a", "2");
    assert_heard("");
    confirm_reads(0, 0);
    turn();
    assert_heard("");
    apply_upto(1); /* which proves the first read, */
    assert_heard("$-1\r\n+OK\r\n");
    apply_upto(2); /* and this one the second */
    assert_heard("$1\r\n1\r\n+OK\r\n");
}

static void test_an_unproven_read_goes_with_the_write_that_would_prove_it_E4_E5(void **state)
{
    (void)state;
    command("get b");
    command("set a 1");
    turn();
    assert_int_equal(r->execute->kept.count, 1);
    assert_true(execute_undo(r, 0));
    assert_heard("-TRYAGAIN not applied, leader changed\r\n");
    follow_nobody(2);
    noop_at(1, 2);
    apply_upto(1);
    assert_heard("-TRYAGAIN not applied, leader changed\r\n");
}

static void test_a_kept_read_is_given_up_in_time_E5(void **state)
{
    (void)state;
    struct stream other;
    stream_init(&other, &world->node, STREAM_CLIENT);
    other.begin_reply = world->client.begin_reply;
    other.end_reply = world->client.end_reply;
    other.is_congested = world->client.is_congested;
    command_from(&other, "set a 1");
    turn();
    command("get a");
    turn();
    read_now();
    assert_int_equal(r->execute->kept.count, 1);
    later((world->node.config.request_timeout_ms + 20) * QR_MILLISECOND);
    later(20 * QR_MILLISECOND);
    assert_int_equal(r->execute->kept.count, 0);
    assert_int_equal(r->execute->kept_bytes, 0);
    assert_null(world->node.oldest);
    reply_reset(&world->out);
    stream_detach(&other);
}

/* --- Back ----------------------------------------------------------------------------------- */

static void test_what_is_applied_is_taken_back_by_the_log_E8(void **state)
{
    (void)state;
    command("set a 1");
    command("set b 1");
    command("set a 2");
    command("del b");
    turn();
    uint64_t digest = 0;
    apply_upto(3);
    assert_true(execute_undo(r, 2));
    assert_state("a", "1");
    assert_state("b", "1");
    assert_int_equal(replica_state(r), 2);
    digest = engine_digest(world->zero.engine);
    r->applied = r->apply_to = 2;
    world->log.last = world->outlook.last = 2;
    execute_logged(r);
    reply_reset(&world->out);
    command("set c 1"); /* it goes on from there */
    turn();
    assert_int_equal(world->log.last, 3);
    assert_true(execute_undo(r, 2));
    assert_int_equal(engine_digest(world->zero.engine), digest);
}

static void test_a_statement_does_not_go_back_E8(void **state)
{
    (void)state;
    command("set a 1");
    command("flushall");
    command("set b 1");
    turn();
    assert_int_equal(entry_at(2).form, ROWS_FORM_STATEMENT);
    assert_false(execute_undo(r, 1));
    assert_true(execute_undo(r, 2));
    assert_state("b", NULL);
}

/* --- At whoever follows --------------------------------------------------------------------- */

/* The entries of this node's log, applied by an engine that is empty. */
static void test_a_follower_applies_rows_and_differs_never_in_silence_W4(void **state)
{
    (void)state;
    command("set a 1");
    command("incr a");
    command("set b 2");
    turn();
    uint64_t digest = engine_digest(world->zero.engine);
    follow_nobody(1);
    assert_true(execute_undo(r, 0));
    apply_upto(2);
    assert_state("a", "2");
    assert_state("b", NULL);
    assert_int_equal(replica_state(r), 2);
    store_delete(engine_store(world->zero.engine), 0, SPAN_LITERAL("a"));
    (void)store_put(engine_store(world->zero.engine), 0, SPAN_LITERAL("b"), SPAN_LITERAL("9"), 0);
    apply_upto(3);
    assert_int_equal(world->differs, 3);
    assert_int_not_equal(engine_digest(world->zero.engine), digest);
    assert_heard("+OK\r\n:2\r\n+OK\r\n"); /* what it had executed for its clients */
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, begin, teardown)
    const struct CMUnitTest tests[] = {
        T(test_a_command_is_executed_when_proposed_and_answered_when_committed_E1_E2),
        T(test_the_log_holds_what_changed_E1),
        T(test_what_the_protocol_refuses_was_not_executed_E1),
        T(test_whoever_has_not_applied_its_log_executes_nothing_E1),
        T(test_a_write_that_lost_its_slot_was_not_applied_D1),
        T(test_one_whose_client_is_gone_is_executed_all_the_same),
        T(test_a_silent_write_has_no_reply),
        T(test_one_that_waits_too_long_is_uncertain_and_its_reply_goes),
        T(test_a_read_shows_nothing_that_is_not_committed_E3),
        T(test_a_read_of_another_key_waits_for_nothing_E3),
        T(test_a_key_that_never_rests_is_read_E3),
        T(test_a_local_read_shows_it_at_once_E3),
        T(test_a_read_ahead_of_a_write_does_not_show_it_S2_E4),
        T(test_an_unproven_read_goes_with_the_write_that_would_prove_it_E4_E5),
        T(test_a_kept_read_is_given_up_in_time_E5),
        T(test_what_is_applied_is_taken_back_by_the_log_E8),
        T(test_a_statement_does_not_go_back_E8),
        T(test_a_follower_applies_rows_and_differs_never_in_silence_W4),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
