/* See router_world.h. The functions stand in for the rest of the node. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "cluster/freshness.h"
#include "node/lagging.h"
#include "node/orders.h"
#include "node/peers.h"
#include "node/replica.h"
#include "router_world.h"
#include "tests/unit/cluster/put_records.h"

struct world *world;

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

const struct outlook *replica_seen(const struct replica *r)
{
    return &r->outlook;
}

qr_term replica_applied_term(const struct replica *r)
{
    return r->applied_term;
}

void replica_unpark(struct stream *stream)
{
    (void)stream;
}

node_index replica_me(const struct replica *r)
{
    (void)r;
    return 0;
}

bool zones_await_reply(const struct pending *p)
{
    return p->wants.each_zone && p->stream != NULL;
}

const char *zones_lack(const struct pending *p)
{
    return p->wants.copies.count > world->replicas_here ? "NOREPLICAS not applied" : NULL;
}

bool lagging_refuses(const struct partition *p, qr_time since)
{
    return world->behind && p->node->clock - since >= STALL_PATIENCE;
}

enum behind lagging_rejects(const struct partition *p)
{
    assert_false(p->replica->leads);
    return world->rejects;
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
    p->confirmed = false;
    if (p->stream != NULL && !p->counted) {
        p->counted = true;
        p->strand->reading++;
        stream_order_of(p)->begun++;
    }
    pendings_push(&r->reads, p);
}

void replica_read_unproven(struct replica *r, struct pending *p)
{
    r->unproven++;
    replica_read(r, p);
    p->confirmed = true;
}

/* Those that need no proof are as good as answered. */
void replica_serve_before(struct replica *r, struct pending *p, struct pendings *left)
{
    struct pending *next;
    for (struct pending *q = r->reads.first; q != NULL; q = next) {
        next = q->queue_next;
        if (!q->confirmed && q->strand == p->strand) {
            pendings_remove(&r->reads, q);
            q->state = PENDING_WAITING;
            pendings_push(left, q);
        }
    }
}

bool replica_asks_in_time(const struct replica *r)
{
    return !r->late;
}

void replica_asked_late(struct replica *r)
{
    r->late = true;
}

qr_slot replica_applied(const struct replica *r)
{
    return r->applied;
}

bool replica_past_floor(struct replica *r, qr_slot *floor)
{
    *floor = r->floor;
    return r->keeps;
}

qr_slot replica_needs(const struct replica *r, qr_slot position)
{
    (void)r;
    return position;
}

void replica_freshness(struct replica *r, struct freshness *out)
{
    *out = (struct freshness){
        .applied = r->applied, .fresh_at = r->fresh_at, .trusted = true, .current = r->readable
    };
}

qr_time replica_fresh_at(struct replica *r)
{
    return r->fresh_at;
}

bool replica_may_ask(const struct replica *r)
{
    return r->may_ask;
}

void replica_ask_ahead(struct replica *r)
{
    r->asked_ahead++;
}

bool replica_holds_lease(const struct replica *r)
{
    (void)r;
    return false; /* whoever reads from a leader takes the usual way */
}

bool replica_read_now(struct replica *r, struct stream *stream, const struct command_spec *spec,
                      uint8_t version, const struct op *head, const struct span *argv)
{
    (void)stream, (void)spec, (void)version, (void)head, (void)argv;
    r->at_once += r->small ? 1 : 0;
    return r->small;
}

void replica_wait(struct replica *r, struct pending *p)
{
    r->waits++;
    p->state = PENDING_BLOCKED;
}

void replica_end_wait(struct replica *r, struct pending *p)
{
    (void)r, (void)p;
    fail();
}

void replica_forget(struct replica *r, struct pending *p)
{
    struct pending *q = r->reads.first;
    while (q != NULL && q != p) {
        q = q->queue_next;
    }
    if (q != NULL) {
        pendings_remove(&r->reads, p);
    }
}

void orders_begin(struct node *node, struct pending *p)
{
    (void)node;
    p->state = PENDING_ORDERED;
    world->replica.orders++;
}

void peers_tell(struct peers *peers, node_index to, uint8_t kind, struct span head)
{
    (void)head;
    assert_int_equal(to, 2);
    assert_int_equal(kind, FRAME_LEADS);
    peers->told++;
}

size_t peers_queued(const struct peers *peers, node_index peer)
{
    (void)peers, (void)peer;
    return 0;
}

void schedule_wake(struct partition *partition)
{
    partition->awake = true;
}

bool peers_connected(const struct peers *peers, node_index peer)
{
    return peers->connected && (peers->away >> peer & 1) == 0;
}

enum log_space node_space(const struct node *node)
{
    return node->space;
}

bool peers_may_forward(const struct peers *peers, node_index peer)
{
    (void)peer;
    return peers->connected && !peers->congested;
}

uint16_t peers_wire_version(const struct peers *peers, node_index peer)
{
    (void)peer;
    return peers->version;
}

bool peers_all_speak(const struct peers *peers, uint16_t version)
{
    return peers->version >= version;
}

static void note_key(char *text, size_t cap, const char *before, struct span bytes)
{
    struct op op;
    struct span argv[4] = { 0 };
    struct op_ref refs[4];
    assert_true(op_read(bytes, &op));
    op_arguments(&op, argv, refs);
    size_t n = strlen(text);
    (void)snprintf(text + n, cap - n, "%s%.*s ", before, (int)argv[0].n, (const char *)argv[0].p);
}

void peers_forward(struct peers *peers, node_index to, uint32_t group,
                   const struct forward *forward, struct span op)
{
    (void)group;
    char before[8];
    (void)snprintf(before, sizeof before, "%u:", (unsigned)to);
    note_key(peers->forwarded, sizeof peers->forwarded, before, op);
    struct op read;
    struct span argv[4];
    assert_true(op_read(op, &read) && read.argc <= 4);
    if (read.argc > 0 && read.refs == 0) {
        op_arguments(&read, argv, NULL);
        (void)snprintf(peers->last, sizeof peers->last, "%.*s", (int)argv[read.argc - 1].n,
                       (const char *)argv[read.argc - 1].p);
    }
    peers->wants = forward->wants;
    peers->aside = forward->aside;
    peers->sender = forward->sender;
    peers->speaks = forward->version;
    peers->epochs[peers->count % 64] = forward->epoch;
    peers->ids[peers->count++ % 64] = forward->id;
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

bool peers_takes_piece(const struct peers *peers, node_index peer)
{
    (void)peers, (void)peer;
    return true;
}

void peers_piece(struct peers *peers, node_index to, uint32_t group, uint64_t id, struct span bytes)
{
    (void)group;
    (void)to, (void)id;
    peers->piece_bytes += bytes.n;
    peers->piece_count++;
}

void peers_credit(struct peers *peers, node_index to, uint64_t id, uint64_t bytes)
{
    (void)peers, (void)to, (void)id, (void)bytes;
}

struct rope_bin *engine_bin(struct engine *engine)
{
    (void)engine;
    return &world->bin;
}

void replica_load(struct replica *r, struct pending *p)
{
    p->state = PENDING_LOADING;
    r->load = p;
}

void replica_abandon(struct replica *r, const struct cargo *cargo)
{
    (void)r, (void)cargo;
    fail();
}

void peers_reply(struct peers *peers, node_index to, uint64_t id, enum qr_status status,
                 const struct shown *shown)
{
    (void)to;
    peers->shown = *shown;
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

struct partition *partitions_of_map(struct node *node, uint32_t group)
{
    return partition_of_group(node, group);
}

struct partition *partition_of_group(const struct node *node, uint32_t group)
{
    bool more = group >= GROUP_FIRST && group < GROUP_FIRST + MORE;
    return group == 0 ? node->zero : more ? &world->more[group - GROUP_FIRST] : NULL;
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

void learn_prefix(const char *prefix)
{
    struct map_keyspace k = a_keyspace(16, "cart", prefix, GROUP_FIRST, MORE);
    put_keyspace(world->node.map, &k);
}

static void make_keyspace(void)
{
    struct map_keyspace k = a_keyspace(16, "cart", "", GROUP_FIRST, MORE);
    world->node.map = map_new();
    put_all(world->node.map, &k, 14, 2); /* nodes 1 to 3 */
    for (uint32_t i = 0; i < MORE; i++) {
        world->more[i] = (struct partition){ .node = &world->node,
                                             .group = GROUP_FIRST + i,
                                             .replica = &world->replicas[i] };
        world->replicas[i] = (struct replica){ .leader = NODE_NONE, .room = 100 };
    }
}

int setup(void **state)
{
    world = calloc(1, sizeof *world);
    world->now = world->node.clock = QR_SECOND;
    world->zero.node = &world->node;
    world->zero.replica = &world->replica;
    world->node.zero = &world->zero;
    world->node.peers = &world->peers;
    world->node.contact.coverage.until = world->node.contact.coverage.knows_until = QR_NEVER;
    world->node.holding.current = true;
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
    world->peers.version = WIRE_VERSION;
    make_keyspace();
    world->node.router = router_new(&world->node);
    stream_init(&world->client, &world->node, STREAM_CLIENT);
    world->client.begin_reply = begin_reply;
    world->client.end_reply = end_reply;
    world->client.is_congested = is_congested;
    *state = world;
    return 0;
}

int teardown(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < world->replica.write_count; i++) {
        free(world->replica.ops[i]);
    }
    for (uint32_t i = 0; i < MORE; i++) {
        for (uint32_t k = 0; k < world->replicas[i].write_count; k++) {
            free(world->replicas[i].ops[k]);
        }
    }
    stream_detach(&world->client);
    router_peer_down(world->node.router, 2);
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
    heap_free(&world->node.expiries);
    router_free(world->node.router);
    free(world->zero.track.relays);
    for (uint32_t i = 0; i < MORE; i++) {
        free(world->more[i].track.relays);
    }
    map_free(world->node.map);
    while (rope_bin_empty_slice(&world->bin, 100)) {
    }
    reply_free(&world->out);
    reply_free(&world->peers.reply);
    free(world->node.command_stats);
    free(world);
    return 0;
}

void command(const char *name, const char *key)
{
    struct span argv[3] = { span_of(name, strlen(name)), span_of(key, strlen(key)),
                            SPAN_LITERAL("v") };
    uint32_t argc = strcmp(name, "set") == 0 ? 3 : 2;
    const struct command_spec *container;
    const struct command_spec *spec = command_find(argv, argc, &container);
    assert_non_null(spec);
    router_command(world->node.router, &world->zero, &world->client, spec, 2, 0, argv, argc, false);
}

void turn_later(qr_time elapsed)
{
    world->now += elapsed;
    (void)node_clock(&world->node);
    router_turn(world->node.router);
}

void answer(uint32_t nth, enum qr_status status, const char *reply)
{
    router_reply(world->node.router, world->replica.leader, world->peers.ids[nth], status,
                 &world->shown, span_of(reply, strlen(reply)));
}

void answer_from(node_index from, uint32_t nth, enum qr_status status, const char *reply)
{
    router_reply(world->node.router, from, world->peers.ids[nth], status, &world->shown,
                 span_of(reply, strlen(reply)));
}

void assert_heard(const char *expected)
{
    assert_int_equal(world->out.n, strlen(expected));
    assert_memory_equal(world->out.p, expected, strlen(expected));
    reply_reset(&world->out);
}

const char *proposed(void)
{
    static char keys[256];
    keys[0] = 0;
    for (uint32_t i = 0; i < world->replica.write_count; i++) {
        note_key(keys, sizeof keys, "",
                 span_of(world->replica.ops[i], OP_HEADER_BYTES + 4 + 1 + 4 + 1));
    }
    return keys;
}
