/* Large arguments on their way into the log (blobs.h B1, B2): whatever happens among the parts, a
 * command is applied with all of them or not at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "apply_world.h"
#include "base/limits.h"
#include "base/wire.h"
#include "log/record.h"
#include "node/blobs.h"

#define BYTES (600 * KIB)

/* The i-th byte of a value; no two parts of it are alike. */
static uint8_t byte_at(char seed, size_t i)
{
    return (uint8_t)((size_t)seed + i * 31 + (i >> 10));
}

static void come(struct cargo *cargo, char seed, size_t n)
{
    uint8_t *p = malloc(n);
    for (size_t i = 0; i < n; i++) {
        p[i] = byte_at(seed, (size_t)cargo->come + i);
    }
    assert_true(cargo_fill(cargo, span_of(p, n)));
    free(p);
}

/* SET key <n bytes, of which none has come>. */
static struct cargo *set_large(struct stream *stream, const char *key, size_t n)
{
    struct span argv[3] = { SPAN_LITERAL("set"), span_of(key, strlen(key)), { .n = n } };
    struct cargo *cargo = cargo_new();
    (void)cargo_add(cargo, n);
    (void)node_clock(&world->node);
    router_command_laden(world->node.router, &world->zero, stream, command_by_name(argv[0]), 2, 0,
                         argv, 3, false, cargo);
    return cargo;
}

static void assert_value(const char *key, size_t n)
{
    struct item *item = store_find(engine_store(world->zero.engine), 0, span_of(key, strlen(key)));
    assert_non_null(item);
    assert_int_equal(item_value_n(item), n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(rope_slice(item_rope(item), i).p[0], byte_at(key[0], i));
    }
}

static uint64_t staged(void)
{
    return engine_staged_bytes(world->zero.engine);
}

static void apply_all(void)
{
    apply_upto(world->log.last);
}

/* MSET of a and b, of whose values none has come. */
static struct cargo *mset_large(struct stream *stream, size_t a, size_t b)
{
    struct span argv[5] = {
        SPAN_LITERAL("mset"), SPAN_LITERAL("a"), { .n = a }, SPAN_LITERAL("b"), { .n = b }
    };
    struct cargo *cargo = cargo_new();
    (void)cargo_add(cargo, a);
    (void)cargo_add(cargo, b);
    (void)node_clock(&world->node);
    router_command_laden(world->node.router, &world->zero, stream, command_by_name(argv[0]), 2, 0,
                         argv, 5, false, cargo);
    return cargo;
}

static void open_other(struct stream *other)
{
    stream_init(other, &world->node, STREAM_CLIENT);
    other->begin_reply = world->client.begin_reply;
    other->end_reply = world->client.end_reply;
    other->is_congested = world->client.is_congested;
}

/* SET a, of whose value a half has come and is in the log. */
static struct cargo *half_come(void)
{
    struct cargo *a = set_large(&world->client, "a", BYTES);
    come(a, 'a', BYTES / 2);
    turn();
    return a;
}

/* It is applied with all of its value. */
static void assert_set(void)
{
    apply_all();
    assert_heard("+OK\r\n");
    assert_value("a", BYTES);
    assert_int_equal(staged(), 0);
}

/* The number of the blob that the entry is a part of; 0: it is another entry. */
static uint64_t number_at(qr_slot slot)
{
    struct record r;
    assert_true(record_read(span_of(world->log.record[slot], world->log.bytes[slot]), &r) > 0);
    struct wire_reader in = wire_reader(r.payload);
    return r.kind == RECORD_BLOB ? wire_get_u64(&in) : 0;
}

/* Entries that say of a blob that it is. */
static uint32_t given_up(void)
{
    uint32_t n = 0;
    for (qr_slot slot = 1; slot <= world->log.last; slot++) {
        struct record r;
        assert_true(record_read(span_of(world->log.record[slot], world->log.bytes[slot]), &r) > 0);
        n += r.kind == RECORD_BLOB && wire_load_u64(r.payload.p + 8) == 0;
    }
    return n;
}

static void test_parts_of_two_stand_side_by_side_U16(void **state)
{
    (void)state;
    struct stream other;
    open_other(&other);
    struct cargo *a = set_large(&world->client, "a", BYTES);
    struct cargo *b = set_large(&other, "b", BYTES);
    assert_true(other.strands.first.wrote); /* WAIT asks for it */
    come(a, 'a', 300 * KIB);
    come(b, 'b', 300 * KIB);
    turn();
    assert_int_equal(world->log.last, 4);
    assert_true(number_at(1) != number_at(2));
    assert_true(number_at(1) == number_at(3) && number_at(2) == number_at(4));
    apply_all();
    assert_int_equal(staged(), 2 * BYTES);
    come(b, 'b', BYTES - 300 * KIB);
    turn();
    come(a, 'a', BYTES - 300 * KIB);
    turn();
    apply_all();
    assert_heard("+OK\r\n+OK\r\n");
    assert_value("a", BYTES);
    assert_value("b", BYTES);
    assert_int_equal(staged(), 0);
    stream_detach(&other);
}

static void test_a_new_leader_begins_anew_B1_B2(void **state)
{
    (void)state;
    struct cargo *a = half_come();
    apply_all();
    assert_int_equal(staged(), BYTES); /* as announced */
    follow_nobody(2);
    turn();
    assert_int_equal(router_waiting(world->node.router), 1); /* for whoever leads */
    noop_at(world->log.last + 1, 2);
    apply_all();
    assert_int_equal(staged(), 0); /* what the dead one left */
    come(a, 'a', BYTES - 300 * KIB);
    lead(3);
    turn();
    assert_heard("");
    assert_set();
}

/* The parts and the command of the refused batch are proposed again, those before it are not. */
static void test_a_refused_batch_is_carried_on_again_B1(void **state)
{
    (void)state;
    struct cargo *a = half_come();
    qr_slot before = world->log.last;
    for (int round = 0; round < 2; round++) {
        world->refuses = true;
        come(a, 'a', 100 * KIB);
        turn();
        assert_int_equal(world->log.last, before);
    }
    come(a, 'a', BYTES - 500 * KIB);
    turn(); /* with its command */
    assert_int_equal(world->log.last, before);
    world->refuses = false;
    turn();
    turn();
    assert_set();
}

static void test_a_client_that_leaves_among_the_parts_leaves_none(void **state)
{
    (void)state;
    (void)half_come();
    apply_all();
    assert_int_equal(staged(), BYTES); /* as announced */
    stream_detach(&world->client);
    turn();
    turn();
    apply_all();
    assert_int_equal(staged(), 0);
    assert_int_equal(world->node.pending_count, 0);
}

/* All of it is in the log when its batch is refused, with its command: back to those that wait. */
static void set_large_and_have_it_refused(void)
{
    struct cargo *a = set_large(&world->client, "a", BYTES);
    come(a, 'a', 300 * KIB);
    turn();
    apply_all();
    come(a, 'a', BYTES - 300 * KIB);
    world->refuses = true;
    turn();
}

/* Its batch was refused and it waits for the next try when its client leaves: what the log has of
 * it goes at once, not with the term. */
static void test_a_client_that_leaves_before_the_next_try_leaves_nothing_B2(void **state)
{
    (void)state;
    set_large_and_have_it_refused();
    assert_int_equal(router_waiting(world->node.router), 1);
    assert_int_equal(staged(), BYTES);
    stream_detach(&world->client);
    assert_int_equal(router_waiting(world->node.router), 0);
    assert_int_equal(world->node.pending_count, 0);
    world->refuses = false;
    turn();
    apply_all();
    assert_int_equal(staged(), 0);
    assert_null(store_find(engine_store(world->zero.engine), 0, SPAN_LITERAL("a")));
}

/* The same when it has waited too long there. */
static void test_what_waits_too_long_for_the_next_try_leaves_nothing_B2(void **state)
{
    (void)state;
    set_large_and_have_it_refused();
    world->zero.quarantined = true; /* or whatever else keeps it from being carried out */
    later(60 * QR_SECOND);
    assert_heard("-CLUSTERDOWN no leader, the command was not applied\r\n");
    world->refuses = world->zero.quarantined = false;
    turn();
    apply_all();
    assert_int_equal(staged(), 0);
}

static void test_arguments_that_stop_coming_are_surely_not_applied_B1(void **state)
{
    (void)state;
    (void)half_come();
    apply_all();
    later(60 * QR_SECOND);
    assert_heard("-TRYAGAIN not applied, its large arguments did not get through in time\r\n");
    later(QR_SECOND);
    apply_all();
    assert_int_equal(staged(), 0);
}

static void test_parts_wait_for_those_before_them_R4(void **state)
{
    (void)state;
    struct cargo *a = set_large(&world->client, "a", 6 * MIB);
    come(a, 'a', 6 * MIB);
    size_t bytes = 0;
    for (int i = 0; i < 10; i++) {
        turn();
    }
    for (qr_slot slot = 1; slot <= world->log.last; slot++) {
        bytes += world->log.bytes[slot];
    }
    assert_in_range(bytes, BLOB_FLIGHT_BYTES - 2 * BLOB_PART_BYTES, BLOB_FLIGHT_BYTES + 4 * KIB);
    for (int i = 0; i < 10; i++) {
        apply_all();
        turn();
    }
    apply_all();
    assert_heard("+OK\r\n");
    assert_value("a", 6 * MIB);
}

/* Two arguments: the command waits for both. */
static void test_a_command_comes_behind_all_its_parts_B1(void **state)
{
    (void)state;
    struct cargo *cargo = mset_large(&world->client, BYTES, BYTES);
    come(cargo, 'a', BYTES);
    for (int i = 0; i < 4; i++) {
        turn();
    }
    apply_all();
    for (qr_slot slot = 1; slot <= world->log.last; slot++) {
        assert_int_not_equal(number_at(slot), 0);
    }
    come(cargo, 'a', BYTES);
    turn();
    apply_all();
    assert_heard("+OK\r\n");
    assert_value("a", BYTES);
    assert_int_equal(staged(), 0);
}

/* More than may be staged waits until others have gone. */
static void test_what_is_staged_is_bounded_R4(void **state)
{
    (void)state;
    struct stream others[2];
    for (int i = 0; i < 2; i++) {
        open_other(&others[i]);
        come(set_large(&others[i], "b", STAGED_BYTES_MAX / 2), 'b', BLOB_PART_BYTES);
    }
    turn();
    struct cargo *a = set_large(&world->client, "a", BYTES);
    come(a, 'a', BYTES);
    turn();
    apply_all();
    turn();
    apply_all();
    assert_int_equal(world->log.last, 2);
    assert_int_equal(staged(), STAGED_BYTES_MAX);
    stream_detach(&others[0]);
    for (int i = 0; i < 3; i++) {
        turn();
        apply_all();
    }
    assert_heard("+OK\r\n");
    assert_value("a", BYTES);
    stream_detach(&others[1]);
}

static void test_parts_that_make_no_sense_are_not_taken(void **state)
{
    (void)state;
    struct {
        uint64_t total, at, n;
        bool good;
    } cases[] = { { 9, 0, 9, true },
                  { 9, 8, 1, true },
                  { 0, 0, 0, true },
                  { 9, 0, 0, false },
                  { 9, 9, 1, false },
                  { 9, UINT64_MAX, 2, false },
                  { 0, 1, 0, false },
                  { 0, 0, 1, false },
                  { VALUE_BYTES_MAX, 0, 9, true },
                  { VALUE_BYTES_MAX + 1, 0, 9, false } };
    uint8_t p[BLOB_HEAD_BYTES + 9] = { 0 };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        wire_store_u64(p + 8, cases[i].total);
        wire_store_u64(p + 16, cases[i].at);
        assert_int_equal(blobs_has_meaning(span_of(p, BLOB_HEAD_BYTES + (size_t)cases[i].n)),
                         cases[i].good);
    }
    assert_false(blobs_has_meaning(span_of(p, BLOB_HEAD_BYTES - 1)));
}

/* The first batch of the new term finds a hand-over, which is called off. */
static void test_what_is_begun_anew_and_refused_is_so_from_its_beginning_B1(void **state)
{
    (void)state;
    struct cargo *a = half_come();
    apply_all();
    turn(); /* so much of it is in the log of term 1 */
    follow_nobody(2);
    noop_at(world->log.last + 1, 2);
    apply_all();
    world->refuses = true;
    lead(3);
    turn();
    world->refuses = false;
    come(a, 'a', BYTES - 300 * KIB);
    turn();
    turn();
    assert_set();
}

static void test_no_two_have_one_number_B2(void **state)
{
    (void)state;
    struct stream other;
    open_other(&other);
    struct cargo *two = mset_large(&world->client, BYTES, BYTES);
    struct cargo *c = set_large(&other, "c", BYTES);
    come(two, 'a', BYTES + LARGE_BYTES);
    come(c, 'c', BYTES);
    for (int i = 0; i < 3; i++) {
        turn();
    }
    come(two, 'a', BYTES - LARGE_BYTES);
    for (int i = 0; i < 3; i++) {
        turn();
    }
    apply_all();
    assert_heard("+OK\r\n+OK\r\n");
    assert_value("c", BYTES);
    assert_value("a", BYTES);
    assert_int_equal(staged(), 0);
    assert_int_equal(given_up(), 0);
    stream_detach(&other);
}

/* Of two arguments one is in the log when its client leaves: both make room. */
static void test_what_was_not_begun_makes_room_too_R4(void **state)
{
    (void)state;
    struct stream other;
    open_other(&other);
    come(mset_large(&other, BYTES, STAGED_BYTES_MAX - BYTES), 'a', BYTES);
    turn();
    apply_all();
    stream_detach(&other);
    turn();
    turn();
    apply_all();
    struct cargo *a = set_large(&world->client, "a", 2 * BYTES);
    come(a, 'a', 2 * BYTES);
    for (int i = 0; i < 3; i++) {
        turn();
        apply_all();
    }
    assert_heard("+OK\r\n");
    assert_value("a", 2 * BYTES);
}

static void test_without_room_it_waits_R4(void **state)
{
    (void)state;
    world->outlook.room = 0;
    turn(); /* as of which that is known */
    struct cargo *a = set_large(&world->client, "a", BYTES);
    come(a, 'a', BYTES);
    turn();
    assert_int_equal(world->log.last, 0);
    world->outlook.room = 3; /* for its parts */
    turn();
    world->outlook.room = 0;
    turn();
    assert_int_equal(world->log.last, 3);
    world->outlook.room = 1000;
    turn();
    turn();
    assert_set();
}

static void test_what_is_given_up_waits_for_room_R4(void **state)
{
    (void)state;
    (void)half_come();
    apply_all();
    world->outlook.room = 0;
    turn();
    qr_slot before = world->log.last;
    stream_detach(&world->client);
    turn();
    turn();
    assert_int_equal(world->log.last, before);
    world->outlook.room = 1000;
    turn();
    turn();
    assert_int_equal(world->log.last, before + 1);
    assert_int_equal(given_up(), 1);
    apply_all();
    assert_int_equal(staged(), 0);
}

/* Others' commands go between. */
static void test_a_turn_takes_so_much_and_another_one_the_next_R4(void **state)
{
    (void)state;
    come(set_large(&world->client, "a", 3 * MIB), 'a', 3 * MIB);
    turn();
    assert_int_equal(world->log.last, BLOB_TURN_BYTES / BLOB_PART_BYTES);
    assert_true(world->zero.again);
}

/* What another leader has dropped is neither in flight any more, nor to be staged. */
static void test_a_new_term_has_all_the_room_R4(void **state)
{
    (void)state;
    struct stream others[2];
    come(set_large(&world->client, "a", 6 * MIB), 'a', 6 * MIB);
    for (int i = 0; i < 10; i++) {
        turn();
    }
    for (int i = 0; i < 2; i++) {
        open_other(&others[i]);
        come(set_large(&others[i], "b", STAGED_BYTES_MAX / 2 - 3 * MIB), 'b', BLOB_PART_BYTES);
    }
    turn();
    follow_nobody(2);
    noop_at(1, 2);
    apply_all();
    lead(3);
    turn();
    assert_int_equal(world->log.last, 1 + BLOB_TURN_BYTES / BLOB_PART_BYTES);
    assert_int_not_equal(number_at(2), number_at(3));
    assert_int_not_equal(number_at(3), number_at(4));
    assert_int_not_equal(number_at(4), number_at(2)); /* all three have begun */
    stream_detach(&others[0]);
    stream_detach(&others[1]);
}

static void test_who_leads_no_more_gives_nothing_up_B2(void **state)
{
    (void)state;
    (void)half_come();
    follow_nobody(2);
    stream_detach(&world->client);
    uint32_t submits = world->submits;
    turn();
    turn();
    assert_int_equal(world->submits, submits);
    lead(3);
    turn();
    turn();
    assert_int_equal(given_up(), 0); /* its numbers are others' by now */
}

/* As long as it goes on, and from when it began: it may have waited for a leader. */
static void test_what_goes_on_is_not_late(void **state)
{
    (void)state;
    const struct config *config = &world->node.config;
    qr_time late = config->request_timeout_ms * QR_MILLISECOND;
    follow_nobody(2);
    struct cargo *a = set_large(&world->client, "a", BYTES);
    come(a, 'a', BYTES);
    later(config->leader_wait_ms * QR_MILLISECOND - 100 * QR_MILLISECOND);
    world->outlook.room = 0;
    lead(3);
    turn();
    later(late - 200 * QR_MILLISECOND);
    world->outlook.room = 1; /* a part in each turn */
    turn();
    turn();
    for (int i = 0; i < 3; i++) {
        later(late - 100 * QR_MILLISECOND);
        assert_heard("");
    }
    assert_set();
}

/* S1: also while its arguments are on their way. */
static void test_a_read_behind_it_shows_it(void **state)
{
    (void)state;
    struct cargo *a = half_come();
    command("exists a");
    turn();
    confirm_reads(0, 0);
    turn();
    come(a, 'a', BYTES - BYTES / 2);
    turn();
    turn();
    apply_all();
    turn();
    assert_heard("+OK\r\n:1\r\n");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_parts_of_two_stand_side_by_side_U16),
        TEST(test_a_new_leader_begins_anew_B1_B2),
        TEST(test_what_is_begun_anew_and_refused_is_so_from_its_beginning_B1),
        TEST(test_a_refused_batch_is_carried_on_again_B1),
        TEST(test_a_client_that_leaves_among_the_parts_leaves_none),
        TEST(test_a_client_that_leaves_before_the_next_try_leaves_nothing_B2),
        TEST(test_what_waits_too_long_for_the_next_try_leaves_nothing_B2),
        TEST(test_arguments_that_stop_coming_are_surely_not_applied_B1),
        TEST(test_parts_wait_for_those_before_them_R4),
        TEST(test_a_command_comes_behind_all_its_parts_B1),
        TEST(test_what_is_staged_is_bounded_R4),
        TEST(test_parts_that_make_no_sense_are_not_taken),
        TEST(test_no_two_have_one_number_B2),
        TEST(test_what_was_not_begun_makes_room_too_R4),
        TEST(test_without_room_it_waits_R4),
        TEST(test_what_is_given_up_waits_for_room_R4),
        TEST(test_a_turn_takes_so_much_and_another_one_the_next_R4),
        TEST(test_a_new_term_has_all_the_room_R4),
        TEST(test_who_leads_no_more_gives_nothing_up_B2),
        TEST(test_what_goes_on_is_not_late),
        TEST(test_a_read_behind_it_shows_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
