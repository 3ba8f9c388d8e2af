/* The router and the streams, with the replica and the peers played by the test: commands keep
 * their order whoever leads (router.h T1 to T4, stream.h S3; decisions 012, 013). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "node/node.h"
#include "node/peers.h"
#include "node/replica.h"
#include "node/router.h"

/* --- The world around the router ------------------------------------------------------------ */

struct replica {
    bool leads;
    node_index leader;
    uint32_t room;
    char log[256]; /* the keys of what was proposed or read, in order; reads in lower case */
    struct pendings reads;
    struct pending *writes[64];
    uint8_t *ops[64];
    uint32_t write_count;
};

struct peers {
    bool connected;
    char forwarded[256]; /* "<peer>:<key> " in order */
    uint64_t ids[64];
    uint32_t epochs[64];
    uint32_t count;
    char replies[256]; /* "<id>:<status> " to the peer that forwarded */
    struct reply reply;
};

struct world {
    struct node node;
    struct replica replica;
    struct peers peers;
    struct stream client;
    struct reply out;
    qr_time now;
};

static struct world *world; /* the one of the running test */

qr_time io_now(struct io *io)
{
    (void)io;
    return world->now;
}

bool replica_leads(const struct replica *r)
{
    return r->leads;
}

node_index replica_leader(const struct replica *r)
{
    return r->leader;
}

node_index replica_me(const struct replica *r)
{
    (void)r;
    return 0;
}

bool replica_has_room(const struct replica *r, size_t n)
{
    (void)n;
    return r->room > 0;
}

uint8_t *replica_write(struct replica *r, struct pending *p, size_t n)
{
    p->state = PENDING_PROPOSED;
    p->slot = r->write_count + 1;
    r->room--;
    r->writes[r->write_count] = p;
    r->ops[r->write_count] = malloc(n);
    return r->ops[r->write_count++];
}

void replica_read(struct replica *r, struct pending *p)
{
    p->state = PENDING_READING;
    if (p->stream != NULL) {
        p->stream->reading++;
    }
    pendings_push(&r->reads, p);
}

bool replica_read_now(struct replica *r, struct stream *stream, const struct command_spec *spec,
                      uint8_t version, const struct op *head, const struct span *argv)
{
    return !r && !stream && !spec && !version && !head && !argv; /* all take the usual way */
}

void replica_wait(struct replica *r, struct pending *p)
{
    (void)r;
    p->state = PENDING_BLOCKED;
}

void replica_forget(struct replica *r, struct pending *p)
{
    (void)r;
    (void)p;
}

enum log_space node_space(const struct node *node)
{
    return node->space;
}

bool peers_may_forward(const struct peers *peers, node_index peer)
{
    (void)peer;
    return peers->connected;
}

static void note_key(char *text, size_t cap, const char *before, struct span bytes)
{
    struct op op;
    struct span argv[4];
    assert_true(op_read(bytes, &op));
    op_arguments(&op, argv);
    size_t n = strlen(text);
    (void)snprintf(text + n, cap - n, "%s%.*s ", before, (int)argv[0].n, (const char *)argv[0].p);
}

void peers_forward(struct peers *peers, node_index to, uint64_t id, uint32_t epoch, uint8_t version,
                   uint32_t sender, bool after_reads, struct span op)
{
    (void)sender;
    (void)after_reads;
    char before[8];
    (void)version;
    (void)snprintf(before, sizeof before, "%u:", (unsigned)to);
    note_key(peers->forwarded, sizeof peers->forwarded, before, op);
    peers->epochs[peers->count % 64] = epoch;
    peers->ids[peers->count++ % 64] = id;
}

bool peers_reply_congested(const struct peers *peers, node_index to)
{
    (void)peers;
    (void)to;
    return false;
}

struct reply *peers_reply_buffer(struct peers *peers)
{
    return &peers->reply;
}

void peers_reply(struct peers *peers, node_index to, uint64_t id, enum qr_status status,
                 struct span reply)
{
    (void)to;
    (void)reply;
    size_t n = strlen(peers->replies);
    (void)snprintf(peers->replies + n, sizeof peers->replies - n, "%u:%d ", (unsigned)id,
                   (int)status);
}

/* --- Tools ---------------------------------------------------------------------------------- */

static struct reply *begin_reply(struct stream *stream, struct pending *p)
{
    (void)stream;
    (void)p;
    return &world->out;
}

static void end_reply(struct stream *stream, struct pending *p, enum qr_status status)
{
    (void)stream;
    (void)p;
    (void)status;
}

static bool is_congested(const struct stream *stream)
{
    (void)stream;
    return false;
}

static int setup(void **state)
{
    world = calloc(1, sizeof *world);
    world->now = world->node.clock = QR_SECOND;
    world->node.replica = &world->replica;
    world->node.peers = &world->peers;
    world->node.config.leader_wait_ms = 2000;
    world->node.config.request_timeout_ms = 5000;
    world->node.command_stats = calloc(command_count(), sizeof *world->node.command_stats);
    reply_init(&world->node.nowhere, 2);
    world->node.nowhere.discard = true;
    reply_init(&world->out, 2);
    reply_init(&world->peers.reply, 2);
    world->replica.leader = NODE_NONE;
    world->replica.room = 100;
    world->peers.connected = true;
    world->node.router = router_new(&world->node);
    stream_init(&world->client, &world->node, true);
    world->client.begin_reply = begin_reply;
    world->client.end_reply = end_reply;
    world->client.is_congested = is_congested;
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < world->replica.write_count; i++) {
        free(world->replica.ops[i]);
    }
    stream_detach(&world->client);
    while (world->node.oldest != NULL) {
        struct pending *p = world->node.oldest;
        p->state = PENDING_WAITING;
        p->stream = NULL;
        stream_answered(p, STATUS_OK);
    }
    while (world->node.free_pendings != NULL) {
        struct pending *p = world->node.free_pendings;
        world->node.free_pendings = p->next;
        free(p);
    }
    router_free(world->node.router);
    reply_free(&world->out);
    reply_free(&world->peers.reply);
    free(world->node.command_stats);
    free(world);
    return 0;
}

static void command(const char *name, const char *key)
{
    struct span argv[3] = { span_of(name, strlen(name)), span_of(key, strlen(key)),
                            SPAN_LITERAL("v") };
    uint32_t argc = strcmp(name, "set") == 0 ? 3 : 2;
    const struct command_spec *container;
    const struct command_spec *spec = command_find(argv, argc, &container);
    assert_non_null(spec);
    router_command(world->node.router, &world->client, spec, 2, 0, argv, argc, false);
}

static void turn_later(qr_time elapsed)
{
    world->now += elapsed;
    router_turn(world->node.router);
}

static void answer(uint32_t nth, enum qr_status status, const char *reply)
{
    router_reply(world->node.router, world->replica.leader, world->peers.ids[nth], status,
                 span_of(reply, strlen(reply)));
}

static void answer_from(node_index from, uint32_t nth, enum qr_status status, const char *reply)
{
    router_reply(world->node.router, from, world->peers.ids[nth], status,
                 span_of(reply, strlen(reply)));
}

static void assert_heard(const char *expected)
{
    assert_int_equal(world->out.n, strlen(expected));
    assert_memory_equal(world->out.p, expected, strlen(expected));
    reply_reset(&world->out);
}

static const char *proposed(void)
{
    static char keys[256];
    keys[0] = 0;
    for (uint32_t i = 0; i < world->replica.write_count; i++) {
        note_key(keys, sizeof keys, "",
                 span_of(world->replica.ops[i], OP_HEADER_BYTES + 4 + 1 + 4 + 1));
    }
    return keys;
}

/* --- Tests ---------------------------------------------------------------------------------- */

static void test_a_leader_proposes_at_once_and_in_order(void **state)
{
    (void)state;
    world->replica.leads = true;
    world->replica.leader = 0;
    command("set", "a");
    command("set", "b");
    assert_string_equal(proposed(), "a b ");
}

static void test_replies_leave_in_stream_order_S3(void **state)
{
    (void)state;
    world->replica.leader = 1;
    command("get", "a");
    command("get", "b");
    answer(1, STATUS_OK, "$1\r\nB\r\n");
    assert_heard("");
    answer(0, STATUS_OK, "$1\r\nA\r\n");
    assert_heard("$1\r\nA\r\n$1\r\nB\r\n");
}

static void test_without_a_leader_commands_wait_and_then_go_in_order_T1(void **state)
{
    (void)state;
    command("set", "a");
    command("get", "b");
    world->replica.leader = 2;
    command("set", "c"); /* must not overtake those that wait */
    assert_string_equal(world->peers.forwarded, "");
    turn_later(0);
    assert_string_equal(world->peers.forwarded, "2:a 2:b 2:c ");
}

static void test_waiting_too_long_is_clusterdown_and_surely_not_applied(void **state)
{
    (void)state;
    command("set", "a");
    turn_later(1999 * QR_MILLISECOND);
    assert_heard("");
    turn_later(21 * QR_MILLISECOND);
    assert_heard("-CLUSTERDOWN no leader, the command was not applied\r\n");
    world->replica.leader = 1;
    turn_later(0);
    assert_string_equal(world->peers.forwarded, "");
}

static void test_a_refused_epoch_is_sent_again_whole_and_in_order_T2(void **state)
{
    (void)state;
    world->replica.leader = 1;
    command("set", "a");
    command("set", "b");
    answer(0, STATUS_NOT_LEADER, "");
    world->replica.leader = 2;
    turn_later(0);
    assert_string_equal(world->peers.forwarded, "1:a 1:b "); /* b is still with node 1 */
    answer_from(1, 1, STATUS_NOT_LEADER, "");
    command("set", "c");
    turn_later(0);
    assert_string_equal(world->peers.forwarded, "1:a 1:b 2:a 2:b 2:c ");
    assert_true(world->peers.epochs[2] > world->peers.epochs[0]);
}

static void test_a_refusal_by_the_same_leader_holds_the_rest_back_T2(void **state)
{
    (void)state;
    world->replica.leader = 1;
    command("set", "a");
    command("set", "b");
    answer(0, STATUS_NOT_LEADER, "");
    turn_later(0); /* "a" must not be sent behind "b" of the same epoch */
    assert_string_equal(world->peers.forwarded, "1:a 1:b ");
    answer(1, STATUS_NOT_LEADER, "");
    turn_later(0);
    assert_string_equal(world->peers.forwarded, "1:a 1:b 1:a 1:b ");
}

static void test_a_former_leader_that_is_silent_is_given_up_T4(void **state)
{
    (void)state;
    world->replica.leader = 1;
    command("set", "a");
    command("get", "b");
    world->replica.leader = 2;
    turn_later(0);
    turn_later(99 * QR_MILLISECOND);
    assert_heard("");
    turn_later(2 * QR_MILLISECOND);
    assert_heard("-UNCERTAIN the write was proposed and its fate is unknown\r\n");
    turn_later(0);
    assert_string_equal(world->peers.forwarded, "1:a 1:b 2:b "); /* the read only */
    answer_from(1, 0, STATUS_OK, "+OK\r\n");                     /* too late: nobody hears it */
    answer_from(2, 2, STATUS_OK, "$-1\r\n");
    assert_heard("$-1\r\n");
}

static void test_a_lost_connection_gives_up_at_once_T4(void **state)
{
    (void)state;
    world->replica.leader = 1;
    command("set", "a");
    command("get", "b");
    router_peer_down(world->node.router, 1);
    assert_heard("-UNCERTAIN the write was proposed and its fate is unknown\r\n");
    assert_int_equal(router_forwarded(world->node.router), 0);
    assert_int_equal(router_waiting(world->node.router), 1);
}

static void test_own_leadership_waits_for_what_was_forwarded_T2(void **state)
{
    (void)state;
    world->replica.leader = 1;
    command("set", "a");
    world->replica.leader = 0;
    world->replica.leads = true;
    turn_later(0);
    command("set", "b");
    turn_later(0);
    assert_int_equal(world->replica.write_count, 0);
    answer_from(1, 0, STATUS_OK, "+OK\r\n");
    turn_later(0);
    assert_string_equal(proposed(), "b ");
}

static void test_without_room_commands_wait(void **state)
{
    (void)state;
    world->replica.leads = true;
    world->replica.leader = 0;
    world->replica.room = 1;
    command("set", "a");
    command("set", "b");
    command("set", "c");
    assert_string_equal(proposed(), "a ");
    world->replica.room = 5;
    turn_later(0);
    assert_string_equal(proposed(), "a b c ");
}

static void test_short_of_space_only_growing_commands_are_refused(void **state)
{
    (void)state;
    world->replica.leads = true;
    world->replica.leader = 0;
    world->node.space = LOG_SPACE_LOW;
    command("set", "a");
    assert_heard("-NOSPACE a quorum member is short of disk space, the command was not "
                 "applied\r\n");
    command("del", "a");
    assert_int_equal(world->replica.write_count, 1);
}

static void test_without_any_space_all_writes_are_refused(void **state)
{
    (void)state;
    world->replica.leads = true;
    world->replica.leader = 0;
    world->node.space = LOG_SPACE_NONE;
    command("del", "a");
    assert_heard("-NOSPACE a quorum member is short of disk space, the command was not "
                 "applied\r\n");
    assert_int_equal(world->replica.write_count, 0);
}

/* --- As the leader for another node --------------------------------------------------------- */

static void relay(struct relay *from, uint64_t id, uint32_t epoch, const char *key)
{
    uint8_t bytes[128];
    struct span argv[2] = { span_of(key, strlen(key)), SPAN_LITERAL("v") };
    struct span name = SPAN_LITERAL("set");
    const struct command_spec *spec = command_by_name(name);
    struct op head = { .level = SEMANTICS_LEVEL, .tag = spec->tag };
    op_write(bytes, &head, argv, 2);
    assert_true(router_relayed(world->node.router, from, id, epoch, 2, 1, true,
                               span_of(bytes, op_bytes(argv, 2))));
}

static void test_one_hop_only_T3(void **state)
{
    (void)state;
    struct relay from;
    router_relay_init(&from, &world->node, 2);
    world->replica.leader = 1;
    relay(&from, 7, 1, "a");
    assert_string_equal(world->peers.replies, "7:1 "); /* NOT_LEADER */
    assert_string_equal(world->peers.forwarded, "");
}

static void test_after_a_refusal_the_rest_of_the_epoch_is_refused_T2(void **state)
{
    (void)state;
    struct relay from;
    router_relay_init(&from, &world->node, 2);
    relay(&from, 1, 4, "a");
    world->replica.leads = true; /* just now: the second must not slip past the first */
    world->replica.leader = 0;
    relay(&from, 2, 4, "b");
    assert_string_equal(world->peers.replies, "1:1 2:1 ");
    relay(&from, 3, 5, "a");
    assert_string_equal(proposed(), "a ");
    stream_detach(&from.stream);
}

static void test_a_malformed_operation_is_noticed(void **state)
{
    (void)state;
    struct relay from;
    router_relay_init(&from, &world->node, 2);
    assert_false(
        router_relayed(world->node.router, &from, 1, 1, 2, 1, true, SPAN_LITERAL("nonsense")));
    assert_null(from.stream.first);
}

static void test_a_client_that_leaves_leaves_nothing_behind(void **state)
{
    (void)state;
    command("set", "a");
    command("get", "b");
    stream_detach(&world->client);
    world->replica.leader = 1;
    turn_later(0);
    answer(0, STATUS_OK, "+OK\r\n");
    answer(1, STATUS_OK, "$-1\r\n");
    assert_heard("");
    assert_int_equal(world->node.pending_count, 0);
    assert_int_equal(world->node.pending_bytes, 0);
}

#define ROUTER_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* A WAIT may take for ever: neither does it hold the window of forwards back, nor is it kept when
 * its client has gone. */
static void test_a_forwarded_wait_holds_nothing_back(void **state)
{
    (void)state;
    const struct command_spec *container;
    struct span argv[3] = { SPAN_LITERAL("wait"), SPAN_LITERAL("9"), SPAN_LITERAL("0") };
    struct stream other = world->client;
    world->replica.leader = 1;
    router_command(world->node.router, &world->client, command_find(argv, 3, &container), 2, 0,
                   argv, 3, true);
    struct span set[3] = { SPAN_LITERAL("set"), SPAN_LITERAL("k"), SPAN_LITERAL("v") };
    const struct command_spec *spec = command_find(set, 3, &container);
    for (uint32_t i = 1; i < 3 * NODE_PENDING_MAX; i++) {
        router_command(world->node.router, &other, spec, 2, 0, set, 3, false);
        assert_int_equal(world->peers.count, i + 1);
        answer(i % 64, STATUS_OK, "+OK\r\n");
        reply_reset(&world->out);
    }
    assert_int_equal(router_forwarded(world->node.router), 1);
    turn_later(60 * QR_SECOND);
    assert_int_equal(router_forwarded(world->node.router), 1);
    stream_detach(&world->client);
    turn_later(QR_SECOND);
    assert_int_equal(router_forwarded(world->node.router), 0);
}

/* A leader gives an endless WAIT back now and then, so that none outlives its client there. */
static void test_a_wait_that_comes_back_is_asked_again(void **state)
{
    (void)state;
    const struct command_spec *container;
    struct span argv[3] = { SPAN_LITERAL("wait"), SPAN_LITERAL("9"), SPAN_LITERAL("0") };
    const struct command_spec *spec = command_find(argv, 3, &container);
    world->replica.leader = 1;
    router_command(world->node.router, &world->client, spec, 2, 0, argv, 3, false);
    answer(0, STATUS_EXPIRED, "-TRYAGAIN\r\n");
    turn_later(QR_MILLISECOND);
    assert_int_equal(world->peers.count, 2);
    answer(1, STATUS_OK, ":2\r\n");
    assert_heard(":2\r\n");
    router_command(world->node.router, &world->client, spec, 2, 0, argv, 3, false);
    stream_detach(&world->client);
    answer(2, STATUS_EXPIRED, "-TRYAGAIN\r\n");
    turn_later(QR_MILLISECOND);
    assert_int_equal(world->peers.count, 3);
    assert_int_equal(world->node.pending_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROUTER_TEST(test_a_leader_proposes_at_once_and_in_order),
        ROUTER_TEST(test_replies_leave_in_stream_order_S3),
        ROUTER_TEST(test_without_a_leader_commands_wait_and_then_go_in_order_T1),
        ROUTER_TEST(test_waiting_too_long_is_clusterdown_and_surely_not_applied),
        ROUTER_TEST(test_a_refused_epoch_is_sent_again_whole_and_in_order_T2),
        ROUTER_TEST(test_a_refusal_by_the_same_leader_holds_the_rest_back_T2),
        ROUTER_TEST(test_a_former_leader_that_is_silent_is_given_up_T4),
        ROUTER_TEST(test_a_lost_connection_gives_up_at_once_T4),
        ROUTER_TEST(test_own_leadership_waits_for_what_was_forwarded_T2),
        ROUTER_TEST(test_without_room_commands_wait),
        ROUTER_TEST(test_short_of_space_only_growing_commands_are_refused),
        ROUTER_TEST(test_without_any_space_all_writes_are_refused),
        ROUTER_TEST(test_one_hop_only_T3),
        ROUTER_TEST(test_after_a_refusal_the_rest_of_the_epoch_is_refused_T2),
        ROUTER_TEST(test_a_malformed_operation_is_noticed),
        ROUTER_TEST(test_a_client_that_leaves_leaves_nothing_behind),
        ROUTER_TEST(test_a_forwarded_wait_holds_nothing_back),
        ROUTER_TEST(test_a_wait_that_comes_back_is_asked_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
