/* LOG logical at a replica (execute.h): what bounds it, what does not go back, and what is beside
 * it: large arguments, ticks, digests, snapshots. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../cluster/put_records.h"
#include "apply_world.h"
#include "base/limits.h"
#include "log/log.h"
#include "log/record.h"
#include "node/replica_internal.h"

static struct replica *r;
static struct shown shown; /* by the last answer */

static void end_reply(struct stream *stream, struct pending *p, enum qr_status status)
{
    (void)stream, (void)status;
    shown = p->shown;
}

static int begin(void **state)
{
    (void)setup(state);
    r = world->zero.replica;
    r->started = false;
    replica_go_logical(r);
    r->started = true;
    r->execute->state_term = 1;
    world->client.end_reply = end_reply;
    return 0;
}

static struct record record_at(qr_slot slot)
{
    struct record record;
    assert_int_not_equal(
        record_peek(span_of(world->log.record[slot], world->log.bytes[slot]), &record), 0);
    return record;
}

static struct rows_entry entry_at(qr_slot slot)
{
    struct rows_entry entry;
    assert_int_equal(record_at(slot).kind, RECORD_ROWS);
    assert_true(rows_read(record_at(slot).payload, &entry));
    return entry;
}

static void write_at(qr_slot slot, const char *line)
{
    command(line);
    turn();
    apply_upto(slot);
    turn();
    reply_reset(&world->out);
}

/* --- E6, E7 --------------------------------------------------------------------------------- */

static void test_with_replies_of_much_nothing_is_taken_E6(void **state)
{
    (void)state;
    r->execute->kept_bytes += OVERLAY_BYTES_MAX;
    command("set a 1");
    turn();
    assert_int_equal(world->log.last, 0);
    r->execute->kept_bytes -= OVERLAY_BYTES_MAX;
    turn();
    assert_int_equal(world->log.last, 1);
}

static void test_what_was_taken_goes_on_as_statements_E6(void **state)
{
    (void)state;
    command("set a 1");
    command("set a 2");
    r->execute->kept_bytes += OVERLAY_BYTES_MAX - 1;
    turn();
    r->execute->kept_bytes -= OVERLAY_BYTES_MAX - 1;
    assert_int_equal(entry_at(1).form, ROWS_FORM_ROWS);
    assert_int_equal(entry_at(2).form, ROWS_FORM_STATEMENT);
    assert_int_equal(r->execute->one_way, 2);
    apply_upto(2);
    assert_heard("+OK\r\n+OK\r\n");
}

static void test_a_full_overlay_takes_nothing_E6(void **state)
{
    (void)state;
    size_t n = OVERLAY_BYTES_MAX + 100;
    uint8_t *payload = calloc(1, n);
    struct rows_entry entry = { .form = ROWS_FORM_TICK };
    struct wire_writer head = wire_writer(payload, ROWS_HEAD_BYTES);
    rows_head_write(&head, &entry);
    for (qr_slot slot = 1; overlay_has_room(r->execute->overlay); slot++) {
        assert_false(overlay_add(r->execute->overlay, slot, span_of(payload, ROWS_HEAD_BYTES)));
    }
    assert_false(execute_may(r));
    free(payload);
}

static void test_a_checkpoint_that_is_due_holds_commands_but_not_for_long_E7(void **state)
{
    (void)state;
    replica_apply_durable_only(r, true);
    command("set a 1");
    turn();
    assert_int_equal(world->log.last, 0);
    replica_apply_durable_only(r, true); /* said in every turn */
    later(99 * QR_MILLISECOND);
    assert_int_equal(world->log.last, 0);
    replica_apply_durable_only(r, true);
    later(QR_MILLISECOND);
    assert_int_equal(world->log.last, 1);
}

static void test_a_frozen_state_executes_nothing(void **state)
{
    (void)state;
    replica_freeze(r, true);
    command("set a 1");
    turn();
    assert_int_equal(world->log.last, 0);
}

static void test_it_is_in_the_log_in_chunks(void **state)
{
    (void)state;
    static char line[120];
    (void)snprintf(line, sizeof line, "set a %090d", 7);
    for (int i = 0; i < 20; i++) {
        command(line);
    }
    turn();
    assert_int_equal(world->log.last, 20);
    assert_int_equal(world->log.appends, 1);
}

/* --- Large arguments, E8 -------------------------------------------------------------------- */

static void test_what_is_staged_goes_with_its_term_and_does_not_come_back_E8(void **state)
{
    (void)state;
    struct engine *engine = world->zero.engine;
    engine_blob_part(engine, 1, 1000, 0, SPAN_LITERAL("abc"));
    noop_at(1, 2);
    assert_int_equal(engine_staged_bytes(engine), 0);
    assert_int_equal(overlay_last(r->execute->overlay), 1);
    assert_false(execute_undo(r, 0));
    assert_int_equal(r->execute->state, 1);
    assert_int_equal(r->execute->state_term, 2);
    apply_upto(1);
    assert_int_equal(overlay_last(r->execute->overlay), 0);
    assert_false(execute_undo(r, 0)); /* nor when it is committed */
}

static void test_a_first_entry_with_nothing_staged_goes_back_E8(void **state)
{
    (void)state;
    noop_at(1, 2);
    assert_int_equal(overlay_last(r->execute->overlay), 0);
    assert_true(execute_undo(r, 0));
    assert_int_equal(r->execute->state, 0);
}

static void test_a_part_is_staged_when_proposed_and_counted_until_committed(void **state)
{
    (void)state;
    uint8_t *payload = replica_batch(r, RECORD_BLOB, BLOB_HEAD_BYTES + 3);
    wire_store_u64(payload, 1);
    wire_store_u64(payload + 8, 1000);
    wire_store_u64(payload + 16, 0);
    memcpy(payload + BLOB_HEAD_BYTES, "abc", 3);
    r->blobs.term = 1;
    turn();
    assert_int_equal(record_at(1).kind, RECORD_BLOB);
    assert_int_equal(engine_staged_bytes(world->zero.engine), 1000);
    assert_int_equal(r->blobs.flight_bytes, BLOB_HEAD_BYTES + 3);
    assert_int_equal(overlay_last(r->execute->overlay), 1);
    assert_false(execute_undo(r, 0));
    apply_upto(1);
    assert_int_equal(r->blobs.flight_bytes, 0);
    assert_int_equal(engine_staged_bytes(world->zero.engine), 1000); /* once */
    assert_false(execute_undo(r, 0));
}

static void test_what_another_executed_as_a_statement_does_not_go_back_E8(void **state)
{
    (void)state;
    write_at(1, "set a 1");
    write_at(2, "flushall");
    assert_int_equal(r->execute->one_way, 2);
    r->execute->state = r->applied = r->apply_to = 1; /* as if another had, and this one follows */
    r->execute->one_way = 0;
    world->differs = 0;
    apply_upto(2);
    assert_int_equal(world->differs, 0);
    assert_int_equal(r->execute->state, 2);
    assert_int_equal(r->execute->one_way, 2);
    assert_false(execute_undo(r, 1));
}

static void test_a_first_entry_behind_what_is_not_applied_waits_for_it_E1(void **state)
{
    (void)state;
    noop_at(1, 1);
    r->execute->state = 0; /* as one that came while another led */
    noop_at(2, 2);
    assert_int_equal(r->execute->state, 0);
    apply_upto(2);
    assert_int_equal(r->execute->state, 2);
    assert_int_equal(r->execute->state_term, 2);
}

static void test_a_write_that_was_taken_back_shows_nothing(void **state)
{
    (void)state;
    world->log.term = 1;
    command("set a 1");
    turn();
    r->execute->state_term = 9;
    assert_true(execute_undo(r, 0));
    assert_int_equal(r->execute->state_term, 1);
    follow_nobody(2);
    noop_at(1, 2);
    apply_upto(1);
    assert_heard("-TRYAGAIN not applied, leader changed\r\n");
    assert_int_equal(shown.slot, 0);
}

static void test_what_the_life_began_with_is_not_asked_E8(void **state)
{
    (void)state;
    r->applied = 7;
    struct execute *x = execute_new(r);
    assert_int_equal(x->one_way, 7);
    assert_int_equal(x->state, 7);
    execute_free(x);
    r->applied = 0;
}

static void test_another_state_has_nothing_executed(void **state)
{
    (void)state;
    struct stream other = world->client;
    other.first = other.last = NULL;
    command("set a 1");
    turn();
    command_from(&other, "get a");
    turn();
    confirm_reads(0, 0);
    assert_int_equal(r->execute->kept.count, 1);
    execute_reset(r, 5, 3);
    assert_heard("-TRYAGAIN not applied, leader changed\r\n");
    assert_int_equal(overlay_last(r->execute->overlay), 0);
    assert_int_equal(r->execute->one_way, 5);
    assert_int_equal(r->execute->state, 5);
    stream_detach(&other);
}

/* --- Beside it ------------------------------------------------------------------------------ */

static void test_a_tick_is_rows_and_the_next_waits_for_it(void **state)
{
    (void)state;
    write_at(1, "set a 1 px 50");
    later(60 * QR_MILLISECOND);
    assert_int_equal(world->log.last, 2);
    struct rows_entry entry = entry_at(2);
    assert_int_equal(entry.form, ROWS_FORM_ROWS);
    assert_int_equal(entry.count, 1);
    assert_int_equal(r->tick_slot, 2);
}

static void test_a_digest_is_told_when_its_slot_is_committed(void **state)
{
    (void)state;
    later(2 * QR_SECOND);
    command("set a 1");
    turn();
    later(2 * QR_SECOND);
    command("set a 2");
    turn();
    assert_int_equal(world->noted, 0);
    apply_upto(1);
    assert_int_equal(world->noted, 1);
    apply_upto(2);
    assert_int_equal(world->noted, 1); /* one at a time */
    later(2 * QR_SECOND);
    write_at(3, "set a 3");
    assert_int_equal(world->noted, 3);
    later(2 * QR_SECOND);
    command("set a 4");
    turn();
    assert_int_equal(r->execute->noted, 4);
    assert_true(execute_undo(r, 3));
    assert_int_equal(r->execute->noted, 0);
}

static void test_an_answer_says_what_it_shows_and_is_counted(void **state)
{
    (void)state;
    const struct command_spec *set = command_by_name(SPAN_LITERAL("set"));
    struct op_id id = { .pid = SPAN_LITERAL("p"), .iid = SPAN_LITERAL("i"), .seconds = 600,
                        .count = 10, .bytes = 4096 };
    world->client.id = &id;
    command("set a 1");
    turn();
    assert_int_equal(world->node.command_stats[command_index(set)].calls, 1);
    assert_int_equal(world->node.bench.pace.others_before, 1);
    apply_upto(1);
    assert_true(shown.slot == 1 && shown.has_stale && !shown.replayed);
    command("set a 1");
    turn();
    apply_upto(2);
    assert_true(shown.slot == 2 && shown.replayed);
    world->client.id = NULL;
}

static void test_entries_have_slots_for_the_past_G15(void **state)
{
    (void)state;
    qr_slot floor;
    struct map_keyspace zero = a_keyspace(0, "default", "", 0, 1);
    zero.history_ms = 100000;
    zero.history_bytes = 1 * MIB;
    put_keyspace(world->node.map, &zero);
    world->node.quotas++;
    world->node.holding.current = true;
    assert_true(replica_past_floor(r, &floor));
    write_at(1, "set a 1");
    write_at(2, "set a 2");
    world->client.wants = (struct wants){ .level = READ_SNAPSHOT, .least = 1 };
    command("get a");
    turn();
    assert_heard("$1\r\n1\r\n");
}

static void test_kept_reads_leave_in_the_order_of_what_they_await_E5(void **state)
{
    (void)state;
    struct stream other = world->client, third = world->client;
    other.first = other.last = third.first = third.last = NULL;
    command("set a 1");
    command("set b 2");
    turn();
    command_from(&other, "get b");
    command_from(&third, "get a");
    turn();
    confirm_reads(0, 0);
    assert_int_equal(r->execute->kept.count, 2);
    apply_upto(1);
    assert_heard("+OK\r\n$1\r\n1\r\n");
    apply_upto(2);
    assert_heard("+OK\r\n$1\r\n2\r\n");
    stream_detach(&other);
    stream_detach(&third);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, begin, teardown)
    const struct CMUnitTest tests[] = {
        T(test_with_replies_of_much_nothing_is_taken_E6),
        T(test_what_was_taken_goes_on_as_statements_E6),
        T(test_a_full_overlay_takes_nothing_E6),
        T(test_a_checkpoint_that_is_due_holds_commands_but_not_for_long_E7),
        T(test_a_frozen_state_executes_nothing),
        T(test_it_is_in_the_log_in_chunks),
        T(test_what_is_staged_goes_with_its_term_and_does_not_come_back_E8),
        T(test_a_first_entry_with_nothing_staged_goes_back_E8),
        T(test_a_part_is_staged_when_proposed_and_counted_until_committed),
        T(test_what_another_executed_as_a_statement_does_not_go_back_E8),
        T(test_a_first_entry_behind_what_is_not_applied_waits_for_it_E1),
        T(test_a_write_that_was_taken_back_shows_nothing),
        T(test_what_the_life_began_with_is_not_asked_E8),
        T(test_another_state_has_nothing_executed),
        T(test_a_tick_is_rows_and_the_next_waits_for_it),
        T(test_a_digest_is_told_when_its_slot_is_committed),
        T(test_an_answer_says_what_it_shows_and_is_counted),
        T(test_entries_have_slots_for_the_past_G15),
        T(test_kept_reads_leave_in_the_order_of_what_they_await_E5),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
