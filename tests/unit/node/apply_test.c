/* The driver's promises (replica.h D1, D2; stream.h S1, S2; decisions 011, 012, 014): the test
 * decides what is persisted, confirmed and applied, and when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "apply_world.h"
#include "log/log.h"

/* --- S1, S2 -------------------------------------------------------------------------------------
 */

static void test_reads_and_writes_of_a_pipeline_keep_their_order_S1_S2(void **state)
{
    (void)state;
    command("get a");
    command("set a 1");
    command("get a");
    turn();
    assert_heard("");
    apply_upto(1); /* before the round of the reads comes back */
    assert_heard("$-1\r\n+OK\r\n");
    confirm_reads(0, 0);
    turn();
    assert_heard("$1\r\n1\r\n");
}

static void test_a_confirmed_read_waits_for_the_write_before_it_S1(void **state)
{
    (void)state;
    command("set a 1");
    command("get a");
    turn();
    confirm_reads(0, 0);
    turn();
    assert_heard("");
    apply_upto(1);
    assert_heard("+OK\r\n$1\r\n1\r\n");
}

static void
test_scenario_68_a_read_held_by_back_pressure_does_not_see_a_later_write_S2(void **state)
{
    (void)state;
    world->congested = true;
    command("get a");
    command("set a 1");
    turn();
    confirm_reads(0, 0);
    turn();
    assert_heard("");
    apply_upto(1);
    assert_heard("$-1\r\n+OK\r\n");
}

static void test_a_wait_between_does_not_part_a_read_from_a_write_S2(void **state)
{
    (void)state;
    command("get a");
    command("wait 9 0");
    command("set a 1");
    turn();
    apply_upto(1);
    assert_heard("$-1\r\n");
}

static void test_a_read_that_asks_again_does_not_see_a_later_write_S2(void **state)
{
    (void)state;
    command("get a");
    command("set a 1");
    turn();
    follow_nobody(1);
    world->refuses = true;
    struct effect *e = &world->next[world->next_count++];
    *e = (struct effect){ .kind = EFFECT_ANSWER };
    e->answer.first = world->first_read;
    e->answer.count = 1;
    e->answer.status = STATUS_NOT_LEADER;
    poke();
    assert_heard("");
    apply_upto(1); /* the next leader had the entry */
    assert_heard("$-1\r\n+OK\r\n");
}

/* And its position is that of the state which it shows: the write's is the next one. */
static void test_a_read_that_is_served_ahead_of_a_write_says_so_S2_D3(void **state)
{
    (void)state;
    command("set a 1");
    turn();
    apply_upto(1);
    assert_heard("+OK\r\n");
    world->client.wants.meta = true;
    world->node.known[0].id = 1;
    command("get a");
    world->client.wants.meta = false;
    command("set a 2");
    turn();
    apply_upto(2); /* before the round of the read comes back */
    assert_heard("*2\r\n$1\r\n1\r\n*8\r\n$8\r\nposition\r\n$3\r\n0-1\r\n$7\r\nreplica\r\n:1\r\n"
                 "$12\r\nstaleness_ms\r\n:0\r\n$8\r\nreplayed\r\n:0\r\n+OK\r\n");
}

/* What a client asks of other partitions is none of this one's (strand.h). */
static void test_a_write_serves_the_reads_of_its_own_strand_S2(void **state)
{
    (void)state;
    command("get a");
    command("get other");
    struct pending *other = world->client.last;
    other->strand->open--;
    other->strand->reading--;
    other->strand = strand_of(&world->client.strands, 9);
    other->strand->open++;
    other->strand->reading++;
    other->strand->reads.begun++;
    command("set a 1");
    turn();
    apply_upto(1);
    assert_heard("$-1\r\n"); /* the second is still asked */
    assert_int_equal(other->state, PENDING_READING);
}

/* --- D1 -----------------------------------------------------------------------------------------
 */

/* Decision 012: five members; the own entry is truncated by the next leader, which dies; one member
 * still holds it, wins, and it is committed after all. */
static void test_scenario_7_a_truncated_write_may_still_be_committed_D1(void **state)
{
    (void)state;
    command("set a 1");
    turn();
    uint8_t *kept = malloc(world->log.bytes[1]);
    size_t bytes = world->log.bytes[1];
    memcpy(kept, world->log.record[1], bytes);
    follow_nobody(2);
    noop_at(1, 2);
    turn();
    assert_heard("");

    /* 1@1 comes back from the leader of term 3 */
    assert_true(replica_receive(world->zero.replica, 1, 1, (struct span){ 0 }, 1, 2, 1,
                                span_of(kept, bytes)));
    turn();
    assert_heard("");
    apply_upto(1);
    assert_heard("+OK\r\n");
    free(kept);
}

static void test_another_terms_entry_applied_proves_the_loss_D1(void **state)
{
    (void)state;
    command("set a 1");
    command("set b 2");
    turn();
    follow_nobody(2);
    noop_at(1, 2);
    assert_heard("");
    apply_upto(1);
    assert_heard("-TRYAGAIN not applied, leader changed\r\n");
    /* Slot 2 is not decided: only time answers. */
    later(60 * QR_SECOND);
    assert_heard("-UNCERTAIN the write was proposed and its fate is unknown\r\n");
}

static void test_an_uncertain_write_that_is_applied_later_is_not_answered_again_D1(void **state)
{
    (void)state;
    command("set a 1");
    turn();
    later(60 * QR_SECOND);
    assert_heard("-UNCERTAIN the write was proposed and its fate is unknown\r\n");
    apply_upto(1);
    command("get a");
    turn();
    confirm_reads(1, 0);
    turn();
    assert_heard("$1\r\n1\r\n");
}

static void test_a_refused_batch_is_tried_again_in_its_order(void **state)
{
    (void)state;
    world->refuses = true;
    command("append a 1");
    command("append a 2");
    turn();
    assert_int_equal(world->log.last, 0);
    world->refuses = false;
    command("append a 3");
    turn();
    turn();
    apply_upto(3);
    assert_heard(":1\r\n:2\r\n:3\r\n");
}

/* --- Leases -------------------------------------------------------------------------------------
 */

static void test_a_read_whose_lease_has_ended_asks_again(void **state)
{
    (void)state;
    command("get a");
    turn();
    confirm_reads(0, world->now); /* it has just ended */
    assert_heard("");
    turn();
    turn();
    assert_int_equal(world->reads, 2);
    confirm_reads(0, world->now + 1);
    assert_heard("$-1\r\n");
}

/* --- Expiry -------------------------------------------------------------------------------------
 */

static void set_with_expiry(void)
{
    command("set a 1 px 10");
    turn();
    apply_upto(1);
    assert_heard("+OK\r\n");
}

/* The read is confirmed, and the key was due when it came. */
static void read_a_due_key(void)
{
    set_with_expiry();
    world->now += QR_SECOND;
    world->wall += QR_SECOND;
    command("get a");
    turn();
    confirm_reads(1, 0);
}

static void test_a_read_of_a_due_key_waits_for_the_tick(void **state)
{
    (void)state;
    read_a_due_key();
    turn();
    assert_heard("");
    assert_int_equal(world->log.last, 2); /* the tick */
    apply_upto(2);
    turn();
    assert_heard("$-1\r\n");
}

/* Our tick was lost with our leadership. When we lead again the log may be shorter than the slot
 * that it had. */
static void test_a_lost_tick_does_not_end_all_ticks(void **state)
{
    (void)state;
    set_with_expiry();
    command("set b 1");
    command("set c 1");
    turn();
    later(QR_SECOND); /* the tick goes to slot 4 */
    assert_int_equal(world->log.last, 4);
    follow_nobody(2);
    noop_at(2, 2);
    apply_upto(2);
    lead(3);
    noop_at(3, 3);
    apply_upto(3);
    reply_reset(&world->out);
    turn();
    turn();
    assert_int_equal(world->log.last, 4);
    apply_upto(4);
    command("exists a");
    turn();
    confirm_reads(4, 0);
    turn();
    assert_heard(":0\r\n");
}

/* --- Bounds
 * --------------------------------------------------------------------------------------- */

static void test_reads_are_delivered_only_while_there_is_room_P4(void **state)
{
    (void)state;
    world->outlook.room = 0;
    turn();
    command("get a");
    turn();
    assert_int_equal(world->reads, 0);
    world->outlook.room = 10;
    turn();
    turn();
    assert_int_equal(world->reads, 1);
    confirm_reads(0, 0);
    assert_heard("$-1\r\n");
}

/* A record whose content is no command would stop every member that applies it. */
static void test_an_entry_that_is_no_operation_is_not_taken(void **state)
{
    (void)state;
    uint8_t record[RECORD_HEADER_BYTES + 8] = { 0 };
    record_seal(record, 0, RECORD_COMMAND, 1, 1, 8);
    assert_false(replica_receive(world->zero.replica, 1, 1, (struct span){ 0 }, 1, 2, 1,
                                 span_of(record, sizeof record)));
    assert_int_equal(world->log.last, 0);
}

static void test_a_checkpoint_that_is_due_holds_back_what_is_not_durable(void **state)
{
    (void)state;
    command("set a 1");
    turn();
    replica_apply_durable_only(world->zero.replica, true);
    apply_upto(1); /* the others were faster */
    assert_heard("");
    assert_int_equal(replica_deadline(world->zero.replica), QR_NEVER); /* and nobody spins */
    replica_durable(world->zero.replica, log_position(&world->log));
    turn();
    assert_heard("+OK\r\n");
}

static void test_a_client_may_leave_in_the_middle_of_anything(void **state)
{
    (void)state;
    read_a_due_key();
    command("get b");
    command("set b 1");
    command("wait 1 0");
    command("get b");
    turn();
    command("get c"); /* with nobody yet */
    stream_detach(&world->client);
    confirm_reads(1, 0);
    apply_upto(world->log.last);
    turn();
    turn();
    if (world->reads_waiting > 0) {
        confirm_reads(1, 0);
    }
    apply_upto(world->log.last);
    turn();
    assert_int_equal(world->node.pending_count, 0);
    assert_int_equal(world->node.pending_bytes, 0);
}

static void test_scenario_112_parked_reads_go_on_when_replies_are_taken_R4(void **state)
{
    (void)state;
    world->congested = true;
    command("get a");
    command("get b");
    turn();
    confirm_reads(0, 0);
    turn();
    assert_heard("");
    assert_int_equal(world->client.parked.count, 2); /* nobody asks them in every turn */
    world->congested = false;
    turn();
    assert_heard("");
    replica_unpark(&world->client);
    assert_true(world->zero.again);
    turn();
    assert_heard("$-1\r\n$-1\r\n");
}

static void test_a_turn_executes_large_reads_as_far_as_there_is_time_R4(void **state)
{
    (void)state;
    world->client.history.usec = 100 * LARGE_READ_USEC;
    command("get a");
    command("get b");
    turn();
    confirm_reads(0, 0);
    assert_heard(""); /* not where they were confirmed: others may wait for that */
    world->pace = READS_TURN_USEC;
    turn();
    assert_heard("$-1\r\n");
    assert_true(world->zero.wake <= world->now + QR_SECOND);
    turn();
    assert_heard("$-1\r\n");
}

/* What was large when it came is not when its turn comes: thousands of them are a long turn too. */
static void test_reads_that_were_large_have_no_endless_turn_R4(void **state)
{
    (void)state;
    world->client.history.usec = 100 * LARGE_READ_USEC;
    for (int i = 0; i < 100; i++) {
        command("get a");
    }
    turn();
    confirm_reads(0, 0);
    world->client.history.usec = 0;
    world->pace = LARGE_READ_USEC / 2;
    qr_time before = world->now;
    turn();
    assert_true(world->client.count > 0);
    assert_true(world->now - before < 2 * READS_TURN_USEC);
}

static void test_a_small_read_does_not_wait_for_large_ones_R4(void **state)
{
    (void)state;
    command("get a");
    command("get b");
    command("get c");
    turn();
    world->pace = READS_TURN_USEC;
    world->client.history.bytes = 100 * LARGE_READ_BYTES;
    confirm_reads(0, 0);
    turn();
    assert_heard("$-1\r\n");
    struct stream other = world->client;
    stream_init(&other, &world->node, STREAM_CLIENT);
    other.begin_reply = world->client.begin_reply;
    other.end_reply = world->client.end_reply;
    other.is_congested = world->client.is_congested;
    command_from(&other, "get d");
    turn();
    confirm_reads(0, 0);
    assert_int_equal(other.count, 0);
    assert_true(world->client.last->state == PENDING_READING);
}

/* Else the first could see a write that the second does not. */
static void small_read_behind_a_large_one(void)
{
    command("get a");
    stream_reads_of(world->client.last)->usec = 100 * LARGE_READ_USEC;
    command("get b");
    turn();
    confirm_reads(0, 0);
    assert_heard("");
    world->pace = READS_TURN_USEC; /* one large read a turn */
    command("get c");
    turn();
    assert_heard("$-1\r\n");
    stream_reads_of(world->client.last)->usec = 0;
    confirm_reads(0, 0);
    assert_heard("");
    assert_true(world->client.last->state == PENDING_READING);
    assert_int_equal(world->client.count, 2);
    world->pace = 0;
    later(QR_SECOND);
    assert_heard("$-1\r\n$-1\r\n");
}

static void test_reads_of_one_client_keep_their_order_S2(void **state)
{
    (void)state;
    small_read_behind_a_large_one();
}

static void test_reads_of_a_client_of_a_peer_keep_their_order_S2(void **state)
{
    (void)state;
    world->client.ordered = false;
    world->client.relayed = true;
    small_read_behind_a_large_one();
}

/* What a peer's clients have asked for is one stream, but a write only concerns its sender. */
static void test_a_forwarded_write_does_not_drag_the_reads_of_others_S2(void **state)
{
    (void)state;
    world->client.ordered = false;
    world->client.relayed = true;
    world->congested = true; /* so that no read is served by itself */
    command("get a");
    command("get b");
    command("set a 1");
    uint32_t sender = 0;
    for (struct pending *p = world->client.first; p != world->client.last; p = p->next) {
        p->sender = ++sender;
        p->after_read = stream_order_of(p)->begun++;
    }
    world->client.last->sender = 2;
    world->client.last->after_reads = true;
    turn();
    confirm_reads(0, 0);
    turn();
    assert_heard("");
    apply_upto(1);
    assert_heard("$-1\r\n+OK\r\n"); /* b */
    assert_int_equal(world->client.count, 1);
    assert_int_equal(world->client.parked.count, 1);
}

static void test_a_slow_disk_of_the_leader_holds_new_writes_back_R4(void **state)
{
    (void)state;
    world->unsynced = LOG_BACKLOG_BYTES_MAX + 1; /* the others have committed all of it */
    command("set a 1");
    turn();
    assert_int_equal(world->submits, 0);
    world->unsynced = 0;
    turn();
    assert_int_equal(world->submits, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_reads_and_writes_of_a_pipeline_keep_their_order_S1_S2),
        TEST(test_a_confirmed_read_waits_for_the_write_before_it_S1),
        TEST(test_scenario_68_a_read_held_by_back_pressure_does_not_see_a_later_write_S2),
        TEST(test_a_wait_between_does_not_part_a_read_from_a_write_S2),
        TEST(test_a_read_that_is_served_ahead_of_a_write_says_so_S2_D3),
        TEST(test_a_write_serves_the_reads_of_its_own_strand_S2),
        TEST(test_a_read_that_asks_again_does_not_see_a_later_write_S2),
        TEST(test_scenario_7_a_truncated_write_may_still_be_committed_D1),
        TEST(test_another_terms_entry_applied_proves_the_loss_D1),
        TEST(test_an_uncertain_write_that_is_applied_later_is_not_answered_again_D1),
        TEST(test_a_refused_batch_is_tried_again_in_its_order),
        TEST(test_a_read_whose_lease_has_ended_asks_again),
        TEST(test_a_read_of_a_due_key_waits_for_the_tick),
        TEST(test_a_lost_tick_does_not_end_all_ticks),
        TEST(test_reads_are_delivered_only_while_there_is_room_P4),
        TEST(test_an_entry_that_is_no_operation_is_not_taken),
        TEST(test_a_checkpoint_that_is_due_holds_back_what_is_not_durable),
        TEST(test_a_client_may_leave_in_the_middle_of_anything),
        TEST(test_scenario_112_parked_reads_go_on_when_replies_are_taken_R4),
        TEST(test_a_turn_executes_large_reads_as_far_as_there_is_time_R4),
        TEST(test_reads_that_were_large_have_no_endless_turn_R4),
        TEST(test_a_small_read_does_not_wait_for_large_ones_R4),
        TEST(test_reads_of_one_client_keep_their_order_S2),
        TEST(test_reads_of_a_client_of_a_peer_keep_their_order_S2),
        TEST(test_a_slow_disk_of_the_leader_holds_new_writes_back_R4),
        TEST(test_a_forwarded_write_does_not_drag_the_reads_of_others_S2),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
