/* Long replies to other nodes (pieces.c): whole and in order, a few pieces at a time, others
 * between them, and nothing kept that is sent or that nobody will take. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "node/link.h"
#include "node/node.h"

#define TO 1u

static struct partition zero;
static struct node node = { .zero = &zero };
static struct peers peers;
static struct link link;
static struct rope_bin bin;
static const struct shown shown = { .slot = 9 };
static size_t queued; /* on the link */
static bool dropped;

/* What was sent. */
static struct reply got; /* of all pieces and replies, one behind the other */
static char kinds[4096]; /* p or r for each frame, with the id */
static size_t longest;
static enum qr_status status;

/* --- The link ------------------------------------------------------------------------------- */

void link_send(struct link *l, uint8_t kind, struct span head, struct span tail,
               bool tail_is_records)
{
    link_send_group(l, 0, kind, head, tail, tail_is_records);
}

void link_send_group(struct link *l, uint32_t group, uint8_t kind, struct span head,
                     struct span tail, bool tail_is_records)
{
    assert_int_equal(group, 0);
    assert_ptr_equal(l, &link);
    assert_false(tail_is_records);
    size_t n = strlen(kinds);
    kinds[n] = kind == FRAME_REPLY_PIECE ? 'p' : kind == FRAME_REPLY ? 'r' : '?';
    kinds[n + 1] = (char)('0' + wire_load_u64(head.p));
    if (kind == FRAME_REPLY) {
        assert_int_equal(head.n, REPLY_HEAD_BYTES +
                                     (link.version >= WIRE_VERSION_LEVELS ? SHOWN_BYTES : 0));
        status = head.p[8];
        if (link.version >= WIRE_VERSION_LEVELS) {
            struct shown told;
            struct wire_reader in = wire_reader(span_of(head.p + REPLY_HEAD_BYTES, SHOWN_BYTES));
            shown_get(&in, TO, &told);
            assert_int_equal(told.slot, shown.slot);
        }
    }
    if (tail.n > 0) {
        reply_raw(&got, tail);
    }
    longest = max_u64(longest, tail.n);
    queued += tail.n;
}

size_t link_queued(const struct link *l)
{
    (void)l;
    return queued;
}

void link_drop(struct link *l, const char *why)
{
    (void)l, (void)why;
    dropped = true;
}

bool peers_connected(const struct peers *p, node_index peer)
{
    return p->peer[peer].link[LANE_DATA] != NULL;
}

struct rope_bin *engine_bin(struct engine *engine)
{
    (void)engine;
    return &bin;
}

#ifdef QUORATE_FAILPOINTS
int io_failpoint(struct io *io, enum failpoint point)
{
    (void)io, (void)point;
    return 0;
}
#endif

/* --- Tools ---------------------------------------------------------------------------------- */

static int setup(void **state)
{
    (void)state;
    peers = (struct peers){ .node = &node, .end = 3 };
    link = (struct link){ .peers = &peers, .peer = TO, .version = WIRE_VERSION };
    peers.peer[TO].link[LANE_DATA] = &link;
    reply_init(&peers.reply, 2);
    reply_init(&got, 2);
    kinds[0] = 0;
    memset(kinds, 0, sizeof kinds);
    queued = longest = 0;
    dropped = false;
    node.again = false;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    pieces_drop(&peers, &peers.peer[TO]);
    assert_int_equal(peers_long_most(&peers), 0);
    while (rope_bin_empty_slice(&bin, 100)) {
    }
    reply_discard_parts(&peers.reply, &bin);
    reply_free(&peers.reply);
    reply_free(&got);
    return 0;
}

/* A reply of n bytes in one rope. */
static struct rope *large(size_t n)
{
    struct rope *rope = rope_new();
    uint8_t block[1000];
    for (size_t at = 0; at < n; at += sizeof block) {
        memset(block, (int)(at / sizeof block % 251), sizeof block);
        rope_append_of(rope, span_of(block, min_u64(sizeof block, n - at)), n - at);
    }
    return rope;
}

static void answer(uint64_t id, size_t n)
{
    struct reply *reply = peers_reply_buffer(&peers);
    reply_reset(reply);
    reply_raw_rope(reply, large(n));
    peers_reply(&peers, TO, id, STATUS_OK, &shown);
}

static void answer_short(uint64_t id)
{
    struct reply *reply = peers_reply_buffer(&peers);
    reply_reset(reply);
    reply_status(reply, "OK");
    peers_reply(&peers, TO, id, STATUS_OK, &shown);
}

/* Turns in which the socket takes everything; how many. */
static uint32_t send_all(void)
{
    uint32_t turns = 0;
    while (peers.peer[TO].long_replies != NULL) {
        pieces_send(&peers, &peers.peer[TO]);
        queued = 0;
        assert_in_range(++turns, 1, 100);
    }
    return turns;
}

static void assert_got(size_t n)
{
    struct rope *rope = large(n);
    size_t at = 0;
    assert_int_equal(got.n, n);
    for (struct span s; at < n && (s = rope_slice(rope, at)).n > 0; at += s.n) {
        assert_memory_equal(got.p + at, s.p, s.n);
    }
    rope_release(rope);
}

/* --- Tests ---------------------------------------------------------------------------------- */

static void test_a_short_reply_goes_at_once(void **state)
{
    (void)state;
    answer_short(1);
    assert_string_equal(kinds, "r1");
    assert_false(peers_reply_congested(&peers, TO));
}

static void test_a_long_reply_goes_in_pieces_and_ends_with_its_status_U16(void **state)
{
    (void)state;
    answer(1, 5 * MIB);
    assert_string_equal(kinds, ""); /* in its turn */
    assert_int_equal(peers_long_most(&peers), 5 * MIB);
    assert_true(peers_reply_congested(&peers, TO)); /* reads wait, and do not pile up */
    send_all();
    assert_got(5 * MIB);
    assert_in_range(longest, 1, PIECE_BYTES);
    assert_memory_equal(kinds + strlen(kinds) - 2, "r1", 2);
    assert_int_equal(status, STATUS_OK);
    assert_false(peers_reply_congested(&peers, TO));
}

static void test_the_next_piece_waits_for_the_socket_U16(void **state)
{
    (void)state;
    answer(1, 8 * MIB);
    pieces_send(&peers, &peers.peer[TO]);
    assert_in_range(queued, PIECES_QUEUED_BYTES, PIECES_QUEUED_BYTES + PIECE_BYTES);
    size_t sent = queued;
    pieces_send(&peers, &peers.peer[TO]);
    assert_int_equal(queued, sent);
    assert_int_equal(peers_long_most(&peers), 8 * MIB - sent);
    assert_false(peers_takes_piece(&peers, TO));
    queued = 0;
    assert_true(peers_takes_piece(&peers, TO));
    send_all();
    assert_got(8 * MIB);
}

/* Where the socket takes all of them there is a bound for each turn, and another turn. */
static void test_a_turn_sends_so_many_pieces_R4(void **state)
{
    (void)state;
    struct reply *reply = peers_reply_buffer(&peers);
    reply_reset(reply);
    for (int i = 0; i < 40; i++) {
        reply_raw_rope(reply, large(50000)); /* small pieces: the bytes are no bound */
    }
    peers_reply(&peers, TO, 1, STATUS_OK, &shown);
    pieces_send(&peers, &peers.peer[TO]);
    assert_in_range(strlen(kinds) / 2, 1, PIECES_PER_TURN);
    assert_true(node.again);
    assert_in_range(send_all(), 2, 100);
}

static void test_two_keep_their_order_and_a_short_one_goes_between(void **state)
{
    (void)state;
    answer(1, 2 * MIB);
    answer(2, 2 * MIB);
    answer_short(3);
    send_all();
    const char *end = strstr(kinds, "r1");
    assert_non_null(end);
    assert_null(strstr(end, "p1"));
    assert_true(strstr(kinds, "p2") > end);
    assert_memory_equal(kinds, "r3", 2);
}

static void test_a_peer_of_version_2_gets_it_whole_or_an_error(void **state)
{
    (void)state;
    link.version = WIRE_VERSION_PIECES - 1;
    answer(1, 3 * MIB);
    assert_string_equal(kinds, "r1");
    assert_got(3 * MIB);
    reply_reset(&got);
    queued = 0;
    answer(2, REPLY_BYTES_MAX + 1);
    assert_string_equal(kinds, "r1r2");
    assert_memory_equal(got.p, "-ERR reply is too long", 22);
}

static void test_what_waits_goes_with_its_connection(void **state)
{
    (void)state;
    answer(1, 4 * MIB);
    answer(2, 4 * MIB);
    pieces_send(&peers, &peers.peer[TO]);
    assert_true(peers_long_most(&peers) > 6 * MIB);
    pieces_drop(&peers, &peers.peer[TO]);
    assert_null(peers.peer[TO].long_replies);
    assert_int_equal(peers_long_most(&peers), 0);
}

static void test_too_much_that_waits_drops_the_connection_R4(void **state)
{
    (void)state;
    answer_short(1);
    assert_false(dropped);
    queued = CLIENT_OUTPUT_BYTES_KILL + 1;
    answer_short(2);
    assert_true(dropped);
    dropped = false;
    queued = 0;
    peers.peer[TO].long_bytes = LONG_REPLIES_BYTES_MAX + 1; /* as if */
    answer_short(3);
    assert_true(dropped);
    assert_string_equal(kinds, "r1");
    peers.peer[TO].long_bytes = 0;
}

static void test_nobody_to_answer(void **state)
{
    (void)state;
    peers.peer[TO].link[LANE_DATA] = NULL;
    answer(1, 4 * MIB);
    peers_credit(&peers, TO, 1, 5);
    assert_string_equal(kinds, "");
    assert_false(peers_takes_piece(&peers, TO));
    assert_false(peers_reply_congested(&peers, TO));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_short_reply_goes_at_once),
        TEST(test_a_long_reply_goes_in_pieces_and_ends_with_its_status_U16),
        TEST(test_the_next_piece_waits_for_the_socket_U16),
        TEST(test_a_turn_sends_so_many_pieces_R4),
        TEST(test_two_keep_their_order_and_a_short_one_goes_between),
        TEST(test_a_peer_of_version_2_gets_it_whole_or_an_error),
        TEST(test_what_waits_goes_with_its_connection),
        TEST(test_too_much_that_waits_drops_the_connection_R4),
        TEST(test_nobody_to_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
