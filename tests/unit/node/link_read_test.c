/* What a connection brings is taken in slices (link_read.c, S1-S4): in order, group 0 ahead, none
 * lost, and the socket rests when too much waits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/link.h"
#include "node/node.h"
#include "node/replica.h"
#include "node/run.h"

#define FRAME_USEC 10 /* one frame takes */
#define PEER 1u

static struct node node;
static struct peers peers = { .node = &node };
static struct link links[2];
static qr_time now;
static bool reads[2]; /* the sockets are read */
static uint32_t dropped;
#define TAKEN_MAX (1u << 18)         /* frames of 12 bytes and more in 3 * PEER_HELD_BYTES_MAX */
static uint32_t order[2][TAKEN_MAX]; /* numbers of the frames taken, by link */
static uint32_t taken[2];

/* --- What it calls --------------------------------------------------------------------------- */

qr_time io_now(struct io *io)
{
    (void)io;
    return now;
}

void io_plain(struct io *io)
{
    (void)io;
}

void *io_stream_owner(const struct io_stream *stream)
{
    return &links[stream == (struct io_stream *)&links[1]];
}

void io_stream_read(struct io_stream *stream, bool on)
{
    assert_true(on);
    reads[stream == (struct io_stream *)&links[1]] = true;
}

void link_drop(struct link *link, const char *why)
{
    (void)why;
    link->closing = true;
    dropped++;
}

void node_log(struct node *of, enum node_log_level level, const char *format, ...)
{
    (void)of;
    (void)level;
    (void)format;
}

static struct partition partition; /* of every group but 0 */
static uint32_t asked_for, spoken_of, ahead_most;

struct partition *partition_of_group(const struct node *of, uint32_t group)
{
    assert_ptr_equal(of, &node);
    return group != 0 ? &partition : NULL;
}

void replica_prefetch_step(const struct replica *r, node_index from)
{
    assert_ptr_equal(r, partition.replica);
    assert_int_equal(from, PEER);
    asked_for++;
}

/* The number of a frame is its term. */
bool link_take(struct link *link, const struct frame *f)
{
    uint32_t which = link == &links[1];
    now += FRAME_USEC;
    if (f->kind == FRAME_PROTOCOL && wire_load_u32(f->head.p) != 0) {
        spoken_of++;
        assert_true(asked_for >= spoken_of); /* before it is wanted */
        ahead_most = (uint32_t)max_u64(ahead_most, asked_for - spoken_of);
    }
    assert_true(taken[which] < TAKEN_MAX);
    order[which][taken[which]++] = (uint32_t)wire_load_u64(f->head.p + f->head.n - 8);
    return f->kind != FRAME_KINDS;
}

/* --- The other side -------------------------------------------------------------------------- */

static struct outbox out;

static void say(uint8_t kind, uint32_t group, uint32_t number)
{
    uint8_t head[PROTOCOL_HEAD_BYTES];
    struct wire_writer w = wire_writer(head, sizeof head);
    wire_put_u32(&w, group);
    wire_put_u64(&w, number);
    frame_append(&out, kind, span_of(head, w.n), (struct span){ 0 }, false);
}

/* What `which` brings of what was said, as a socket would; false: it is not read. */
static bool bring(uint32_t which, size_t from, size_t n)
{
    struct io_stream *stream = (struct io_stream *)&links[which];
    while (n > 0) {
        uint8_t *p = NULL;
        size_t room = 0;
        link_buffer(stream, &p, &room);
        if (room == 0) {
            reads[which] = false;
            return false;
        }
        size_t part = min_u64(room, n);
        memcpy(p, out.p + from, part);
        link_received(stream, part);
        from += part;
        n -= part;
    }
    return true;
}

static void turn(void)
{
    peers_turn(&peers);
}

static int begin(void **state)
{
    (void)state;
    node = (struct node){ 0 };
    partition.replica = (struct replica *)(void *)&partition;
    asked_for = spoken_of = ahead_most = 0;
    peers = (struct peers){ .node = &node, .links = &links[0] };
    for (uint32_t i = 0; i < 2; i++) {
        links[i] = (struct link){
            .peers = &peers, .stream = (struct io_stream *)&links[i], .state = LINK_UP, .peer = PEER
        };
        reads[i] = true;
        taken[i] = 0;
    }
    links[0].next = &links[1];
    now = QR_SECOND;
    dropped = 0;
    out.n = 0;
    return 0;
}

static int end(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 2; i++) {
        link_forget_rest(&links[i]);
        free(links[i].in);
    }
    assert_int_equal(peers.held, 0);
    outbox_free(&out);
    return 0;
}

/* --- Tests ----------------------------------------------------------------------------------- */

static void test_a_few_frames_are_taken_as_they_come(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 100; i++) {
        say(FRAME_PROTOCOL, 7, i);
    }
    assert_true(bring(0, 0, out.n));
    assert_int_equal(taken[0], 100);
    assert_false(peers_hold(&peers));
    assert_in_range(ahead_most, 4, 16); /* few enough to stay in the cache */
    assert_int_equal(asked_for, 100);
}

/* S1: no turn takes longer than the slice, all are taken, in order. */
static void test_thousands_of_frames_are_taken_in_slices(void **state)
{
    (void)state;
    const uint32_t count = 10000;
    for (uint32_t i = 0; i < count; i++) {
        say(FRAME_PROTOCOL, 7, i);
    }
    qr_time began = now;
    assert_true(bring(0, 0, out.n));
    uint32_t turns = 0;
    do {
        assert_true(peers_hold(&peers));
        turn();
        assert_true(now - began <= 2 * PEERS_SLICE_USEC); /* also with what every turn takes */
        began = now;
    } while (peers_hold(&peers) && ++turns < 100);
    assert_in_range(turns, count * FRAME_USEC / PEERS_SLICE_USEC / 2, 99);
    assert_int_equal(taken[0], count);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(order[0][i], i);
    }
    turn();
    assert_int_equal(taken[0], count);
}

/* S1: and the other connection has its share of each turn. */
static void test_two_connections_share_a_turn(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 8000; i++) {
        say(FRAME_PROTOCOL, 7, i);
    }
    assert_int_equal(peers_held_most(&peers), 0);
    assert_true(bring(0, 0, out.n / 2));
    assert_true(bring(1, 0, out.n));
    size_t waits = links[1].in_n - links[1].in_at;
    assert_true(waits > links[0].in_n - links[0].in_at);
    assert_int_equal(peers_held_most(&peers), waits);
    assert_true(bring(0, out.n / 2, out.n - out.n / 2));
    turn();
    uint32_t first = taken[0], second = taken[1];
    now += QR_SECOND; /* the clock jumps ahead within nobody's frames */
    turn();
    assert_true(taken[0] - first >= 256 && taken[1] - second >= 256);
    assert_true(taken[0] - first <= 500 && taken[1] - second <= 500);
}

/* S1: what is taken as it is read is of the same slice, and of no other. */
static void test_what_is_read_first_leaves_less_to_the_others(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 3000; i++) {
        say(FRAME_PROTOCOL, 7, i);
    }
    assert_true(bring(0, 0, out.n));
    assert_true(bring(1, 0, out.n));
    assert_in_range(taken[0], 350, 500); /* half of it */
    assert_in_range(taken[1], 200, 300); /* half of the rest */
    while (peers_hold(&peers)) {
        turn();
    }
    assert_int_equal(taken[1], 3000);
    assert_true(bring(1, 0, out.n));
    assert_in_range(taken[1], 3350, 3500);
}

/* S2: in the turn in which they come, in their own order; nothing else changes places. */
static void test_group_0_goes_ahead(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 4000; i++) {
        bool zero = i % 1000 == 999;
        say(i == 2500 ? FRAME_RENEWED : FRAME_PROTOCOL, zero ? 0 : 7, i);
    }
    size_t half = out.n / 2 + 5; /* in the middle of a frame */
    assert_true(bring(0, 0, half));
    assert_int_equal(order[0][taken[0] - 1], 1999);
    uint32_t before = taken[0];
    assert_true(bring(0, half, out.n - half));
    assert_int_equal(taken[0], before + 3);
    assert_int_equal(order[0][before], 2500);
    assert_int_equal(order[0][before + 1], 2999);
    assert_int_equal(order[0][before + 2], 3999);
    while (peers_hold(&peers)) {
        turn();
    }
    assert_int_equal(taken[0], 4000);
    uint32_t next = 0;
    for (uint32_t i = 0; i < taken[0]; i++) {
        uint32_t number = order[0][i];
        if (number != 2500 && number % 1000 != 999) {
            next += next == 2500 || next % 1000 == 999 ? 1 : 0;
            assert_int_equal(number, next++);
        }
    }
    assert_int_equal(links[0].in_at, links[0].in_n);
}

/* Of bulk too, of which no frame is whole for long (cluster/beats.h: B1). */
static void test_whatever_comes_is_heard(void **state)
{
    (void)state;
    say(FRAME_PROTOCOL, 7, 0);
    for (size_t at = 0; at < 2; at++) {
        now += QR_SECOND;
        assert_true(node.contact.beats.heard[PEER] < now);
        assert_true(bring(0, at, 1));
        assert_int_equal(node.contact.beats.heard[PEER], now);
    }
    assert_int_equal(taken[0], 0);
}

/* S3 */
static void test_a_socket_rests_when_too_much_waits(void **state)
{
    (void)state;
    uint32_t count = 0;
    while (out.n < 3 * PEER_HELD_BYTES_MAX) {
        say(FRAME_PROTOCOL, 7, count++);
    }
    size_t at = 0;
    while (bring(0, at, 64 * KIB)) {
        at += 64 * KIB;
    }
    assert_true(links[0].in_cap <= 4 * PEER_HELD_BYTES_MAX);
    while (at < out.n) {
        turn();
        node.contact.beats.heard[PEER] = 0;
        turn();
        assert_int_equal(node.contact.beats.heard[PEER], node.clock); /* it is heard meanwhile */
        while (reads[0] && at < out.n && bring(0, at, min_u64(64 * KIB, out.n - at))) {
            at += min_u64(64 * KIB, out.n - at);
        }
    }
    while (peers_hold(&peers)) {
        turn();
    }
    assert_true(reads[0]);
    assert_int_equal(taken[0], count);
    assert_int_equal(peers_held_most(&peers), 0);
    uint8_t *p;
    size_t room;
    link_buffer(links[0].stream, &p, &room);
    assert_true(links[0].in_cap <= PEER_HELD_BYTES_MAX); /* and its buffer goes back */
}

/* A frame of many entries counts as what it is. */
static void test_a_long_frame_ends_a_slice(void **state)
{
    (void)state;
    uint8_t *entries = calloc(1, 200 * KIB);
    uint8_t head[12] = { 7 };
    for (uint32_t i = 0; i < 2; i++) {
        head[4] = (uint8_t)i;
        frame_append(&out, FRAME_PROTOCOL, span_of(head, 12), span_of(entries, 200 * KIB), true);
    }
    free(entries);
    peers.reading_took = PEERS_SLICE_USEC;
    assert_true(bring(0, 0, out.n));
    assert_int_equal(taken[0], 1);
    turn();
    turn();
    assert_int_equal(taken[0], 2);
    assert_false(peers_hold(&peers));
}

static void test_what_makes_no_sense_closes_the_connection(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 3000; i++) {
        say(FRAME_PROTOCOL, 7, i);
    }
    out.p[out.n - 1] ^= 1; /* the last one's checksum fails */
    assert_true(bring(0, 0, out.n));
    assert_int_equal(dropped, 0);
    while (peers_hold(&peers)) {
        turn();
    }
    assert_int_equal(dropped, 1);
    assert_int_equal(taken[0], 2999);
}

/* S4: a connection that was dropped takes nothing more. */
static void test_a_closed_connection_is_forgotten(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 4000; i++) {
        say(FRAME_PROTOCOL, 7, i);
    }
    assert_true(bring(0, 0, out.n));
    links[0].closing = true;
    uint32_t before = taken[0];
    turn();
    assert_int_equal(taken[0], before);
    assert_false(peers_hold(&peers));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(test_a_few_frames_are_taken_as_they_come),
        TEST(test_thousands_of_frames_are_taken_in_slices),
        TEST(test_two_connections_share_a_turn),
        TEST(test_what_is_read_first_leaves_less_to_the_others),
        TEST(test_group_0_goes_ahead),
        TEST(test_whatever_comes_is_heard),
        TEST(test_a_socket_rests_when_too_much_waits),
        TEST(test_a_long_frame_ends_a_slice),
        TEST(test_what_makes_no_sense_closes_the_connection),
        TEST(test_a_closed_connection_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
