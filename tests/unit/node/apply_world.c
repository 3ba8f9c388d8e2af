/* See apply_world.h. */
#include "apply_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "cluster/map.h"
#include "log/log.h"
#include "node/lagging.h"
#include "node/damage.h"
#include "node/orders.h"
#include "node/keeper.h"
#include "node/peers.h"
#include "node/replica_internal.h"
#include "node/run.h"
#include "node/snapshot_fetch.h"
#include "node/snapshot_source.h"
#include "node/regain.h"
#include "node/rollback.h"
#include "node/views.h"

struct world *world;

qr_time io_now(struct io *io)
{
    (void)io;
    world->now += world->pace;
    return world->now;
}

bool io_has_polled_since(const struct io *io, qr_time at)
{
    (void)io, (void)at;
    return true;
}

qr_time io_turn_began(const struct io *io)
{
    (void)io;
    return world->began;
}

qr_wall io_wall(struct io *io)
{
    (void)io;
    return world->wall;
}

void io_random(struct io *io, void *p, size_t n)
{
    (void)io;
    memset(p, 7, n);
}

void node_log(struct node *node, enum node_log_level level, const char *format, ...)
{
    (void)node, (void)level, (void)format;
}

void node_fail(struct node *node, const char *why)
{
    (void)node;
    fail_msg("%s", why);
}

enum log_space node_space(const struct node *node)
{
    return node->space;
}

void peers_send(struct peers *peers, node_index to, uint32_t group, uint16_t kind, enum haste haste,
                struct span body, qr_slot lo, qr_slot hi, qr_term term, struct span records)
{
    (void)peers, (void)to, (void)group, (void)kind, (void)haste, (void)body, (void)lo, (void)hi;
    (void)term, (void)records;
    world->sent++;
}

struct partition *partitions_of_map(struct node *node, uint32_t group)
{
    return partition_of_group(node, group);
}

struct partition *partition_of_group(const struct node *node, uint32_t group)
{
    return group == 0 ? node->zero : NULL;
}

void schedule_wake(struct partition *partition)
{
    assert_int_not_equal(partition->group, 0);
    assert_false(partition->awake);
    partition->awake = true;
}

void partition_expects(struct partition *partition, uint64_t position)
{
    (void)partition, (void)position;
}

void rollback_begin(struct replica *r, const struct effect *e)
{
    fail_msg("%p %p", (void *)r, (const void *)e);
}

void regain_start(struct replica *r)
{
    (void)r;
}

void regain_logged(struct replica *r, qr_slot lo)
{
    (void)r, (void)lo;
}

void views_end_lease(struct replica *r)
{
    (void)r;
}

uint16_t peers_wire_version(const struct peers *peers, node_index peer)
{
    (void)peers, (void)peer;
    return world->version;
}

bool peers_all_speak(const struct peers *peers, uint16_t version)
{
    (void)peers;
    return world->version >= version;
}

void orders_begin(struct node *node, struct pending *p)
{
    (void)node, (void)p;
}

void peers_tell(struct peers *peers, node_index to, uint8_t kind, struct span head)
{
    (void)peers, (void)to, (void)kind, (void)head;
}

size_t peers_queued(const struct peers *peers, node_index peer)
{
    (void)peers, (void)peer;
    return 0;
}

bool peers_connected(const struct peers *peers, node_index peer)
{
    (void)peers, (void)peer;
    return world->connected;
}

bool peers_may_forward(const struct peers *peers, node_index peer)
{
    (void)peers, (void)peer;
    return world->takes;
}

void peers_forward(struct peers *peers, node_index to, uint32_t group,
                   const struct forward *forward, struct span op)
{
    (void)peers, (void)to, (void)group, (void)forward, (void)op;
    assert_true(world->takes);
    world->forwards++;
}

struct reply *peers_reply_buffer(struct peers *peers)
{
    (void)peers;
    fail();
    return NULL;
}

bool peers_reply_congested(const struct peers *peers, node_index to)
{
    (void)peers;
    (void)to;
    return false;
}

bool peers_takes_piece(const struct peers *peers, node_index peer)
{
    (void)peers, (void)peer;
    return true;
}

void peers_piece(struct peers *peers, node_index to, uint32_t group, uint64_t id, struct span bytes)
{
    (void)group;
    (void)peers, (void)to, (void)id, (void)bytes;
}

void peers_credit(struct peers *peers, node_index to, uint64_t id, uint64_t bytes)
{
    (void)peers, (void)to, (void)id;
    world->credit = bytes;
    world->credits++;
}

void peers_reply(struct peers *peers, node_index to, uint64_t id, enum qr_status status,
                 const struct shown *shown)
{
    (void)peers, (void)to, (void)id, (void)status, (void)shown;
    fail();
}

/* --- Snapshots -------------------------------------------------------------------------------- */

void damage_of_another(struct partition *p, node_index member, qr_slot acknowledged, qr_slot holds)
{
    (void)p, (void)member, (void)acknowledged, (void)holds;
}

void transfers_wanted(struct partition *source, node_index to, qr_slot least)
{
    (void)source, (void)to, (void)least;
}

int fetch_install(struct fetch *fetch, struct engine **engine, const struct checkpoint_header **out)
{
    (void)fetch;
    *engine = world->snapshot;
    *out = &world->snapshot_header;
    world->snapshot = NULL;
    return 0;
}

void keeper_installed(struct keeper *keeper, const struct checkpoint_header *header)
{
    (void)keeper, (void)header;
}

void io_aside(struct io *io, void (*work)(void *context), void *context)
{
    (void)io;
    work(context);
}

/* --- The protocol ----------------------------------------------------------------------------- */

static bool encode(uint16_t kind, const void *body, struct wire_writer *out)
{
    (void)kind, (void)body, (void)out;
    return true;
}

static bool decode(uint16_t kind, struct span in, void *body)
{
    (void)in, (void)body;
    return kind == 1;
}

static bool is_control(uint16_t kind)
{
    (void)kind;
    return false;
}

static struct needs needs(const struct protocol_limits *limits)
{
    (void)limits;
    return (struct needs){ .state = 16, .effects = EFFECTS, .scratch = 64 };
}

static void init(void *self, const struct protocol_limits *limits, node_index me, uint64_t seed)
{
    (void)self, (void)limits, (void)me, (void)seed;
}

static struct effect *push(struct effects *out, enum effect_kind kind)
{
    struct effect *e = &out->v[out->n++];
    assert_true(out->n <= EFFECTS);
    *e = (struct effect){ .kind = kind };
    return e;
}

static void persist(struct effects *out, qr_slot lo, qr_slot hi, qr_term term, qr_req req,
                    bool noop)
{
    struct effect *e = push(out, EFFECT_PERSIST);
    e->persist.ticket = ++world->minted;
    e->persist.lo = lo;
    e->persist.hi = hi;
    e->persist.term = term;
    e->persist.req = req;
    e->persist.noop = noop;
    world->outlook.last = hi - 1;
}

static void refuse(struct effects *out, qr_req first, uint32_t count)
{
    struct effect *e = push(out, EFFECT_ANSWER);
    e->answer.first = first;
    e->answer.count = count;
    e->answer.status = STATUS_NOT_LEADER;
}

static void step(void *self, const struct event *event, struct effects *out)
{
    (void)self;
    if (event->kind == EVENT_SUBMIT) {
        world->submits++;
        if (world->refuses) {
            refuse(out, event->submit.first, event->submit.count);
        } else {
            qr_slot lo = world->outlook.last + 1;
            persist(out, lo, lo + event->submit.count, world->outlook.term, event->submit.first,
                    false);
        }
    } else if (event->kind == EVENT_READ) {
        world->reads++;
        if (world->refuses) {
            refuse(out, event->read.first, event->read.count);
        } else {
            world->first_read = world->reads_waiting == 0 ? event->read.first : world->first_read;
            world->reads_waiting =
                (uint32_t)(event->read.first + event->read.count - world->first_read);
        }
    } else if (event->kind == EVENT_RECEIVE) {
        const struct message *m = &event->receive.message;
        world->heard_of = world->durable;
        if (m->hi > m->lo) {
            persist(out, m->lo, m->hi, m->term, 0, false);
        }
    } else if (event->kind == EVENT_DURABLE) {
        world->durable = event->durable.upto;
    }
    for (uint32_t i = 0; i < world->next_count; i++) {
        if (world->next[i].kind == EFFECT_PERSIST) {
            persist(out, world->next[i].persist.lo, world->next[i].persist.hi,
                    world->next[i].persist.term, 0, world->next[i].persist.members == NULL);
            out->v[out->n - 1].persist.members = world->next[i].persist.members;
        } else {
            *push(out, world->next[i].kind) = world->next[i];
        }
    }
    world->next_count = 0;
}

static qr_time deadline(const void *self)
{
    (void)self;
    return world->deadline;
}

static void outlook(const void *self, struct outlook *out)
{
    (void)self;
    *out = world->outlook;
}

static void prefetch(const void *self, node_index from)
{
    assert_non_null(self);
    assert_true(from == NODE_NONE || from < MEMBERS_MAX);
}

static const struct codec codec = { .body_max = 16,
                                    .encode = encode,
                                    .decode = decode,
                                    .is_control = is_control,
                                    .late = 1u << LATE_KIND };
static const struct protocol protocol = { .codec = &codec,
                                          .needs = needs,
                                          .init = init,
                                          .step = step,
                                          .prefetch = prefetch,
                                          .deadline = deadline,
                                          .outlook = outlook };

/* --- What the protocol is made to do ---------------------------------------------------------- */

/* Any event: the effects prepared so far are carried out. */
void poke(void)
{
    replica_peer(world->zero.replica, 2, true);
}

void apply_upto(qr_slot slot)
{
    struct effect *e = &world->next[world->next_count++];
    *e = (struct effect){ .kind = EFFECT_APPLY };
    e->apply.lo = replica_applied(world->zero.replica) + 1;
    e->apply.hi = slot + 1;
    poke();
    world->outlook.commit = slot;
}

void confirm_reads(qr_slot slot, qr_time before)
{
    struct effect *e = &world->next[world->next_count++];
    *e = (struct effect){ .kind = EFFECT_READ };
    e->read.first = world->first_read;
    e->read.count = world->reads_waiting;
    e->read.slot = slot;
    e->read.before = before;
    world->reads_waiting = 0;
    poke();
}

/* An entry of another leader takes the slot; what stood there and behind is dropped. */
void noop_at(qr_slot slot, qr_term term)
{
    struct effect *e = &world->next[world->next_count++];
    *e = (struct effect){ .kind = EFFECT_PERSIST };
    e->persist.lo = slot;
    e->persist.hi = slot + 1;
    e->persist.term = term;
    poke();
}

void members_at(qr_slot slot, qr_term term, const struct membership *members)
{
    struct effect *e = &world->next[world->next_count++];
    *e = (struct effect){ .kind = EFFECT_PERSIST };
    e->persist.lo = slot;
    e->persist.hi = slot + 1;
    e->persist.term = term;
    e->persist.members = members;
    poke();
}

void turn(void)
{
    world->began = world->now;
    (void)node_clock(&world->node);
    poke(); /* a protocol's outlook is another one after a step only */
    router_turn(world->node.router);
    replica_turn(world->zero.replica);
    pace_end_turn(&world->node.bench, world->node.clock);
}

void lead(qr_term term)
{
    world->outlook.role = ROLE_LEADER;
    world->outlook.leader = 0;
    world->outlook.term = term;
    world->outlook.can_serve = true;
    world->zero.replica->applied_term = term; /* of its first entry, which takes no slot here */
    turn();
}

void follow_nobody(qr_term term)
{
    world->outlook.role = ROLE_FOLLOWER;
    world->outlook.leader = NODE_NONE;
    world->outlook.term = term;
    turn();
}

void later(qr_time elapsed)
{
    world->now += elapsed;
    world->wall += elapsed;
    turn();
}

static struct reply *begin_reply(struct stream *stream, struct pending *p)
{
    (void)stream, (void)p;
    return &world->out;
}

static void end_reply(struct stream *stream, struct pending *p, enum qr_status status)
{
    (void)stream, (void)p, (void)status;
}

static bool is_congested(const struct stream *stream)
{
    return stream != NULL && world->congested;
}

int setup(void **state)
{
    char message[256];
    struct engine_config config = { .value_bytes_max = VALUE_BYTES_MAX };
    *state = world = calloc(1, sizeof *world);
    world->protocol = &protocol;
    world->deadline = QR_NEVER;
    world->version = WIRE_VERSION_LEVELS;
    world->now = world->node.clock = QR_SECOND;
    world->wall = 1700000000 * QR_SECOND;
    world->node.log = &world->log;
    config_defaults(&world->node.config);
    world->node.measure = measure_new();
    world->node.command_stats = calloc(command_count(), sizeof *world->node.command_stats);
    reply_init(&world->node.nowhere, 2);
    world->node.nowhere.discard = true;
    reply_init(&world->out, 2);
    world->zero.node = &world->node;
    world->zero.awake = true;
    world->node.zero = &world->zero;
    world->zero.engine = engine_new(&config);
    world->outlook = (struct outlook){
        .leader = NODE_NONE, .room = 1000, .members = 5, .membership.voters = 31, .informed = true
    };
    struct replica_base base = { .roster.members.voters = 31 };
    for (node_index i = 0; i < 5; i++) {
        base.roster.node[i] = (struct roster_node){ .id = i + 1u, .address = "10.0.0.1" };
    }
    world->node.map = map_new();
    world->node.contact.coverage.until = world->node.contact.coverage.knows_until = QR_NEVER;
    world->node.router = router_new(&world->node);
    assert_non_null(replica_new(&world->zero, &protocol, 0, &base, message, sizeof message));
    assert_true(replica_start(world->zero.replica, &base, message, sizeof message));
    stream_init(&world->client, &world->node, STREAM_CLIENT);
    world->client.begin_reply = begin_reply;
    world->client.end_reply = end_reply;
    world->client.is_congested = is_congested;
    lead(1);
    return 0;
}

int teardown(void **state)
{
    (void)state;
    stream_detach(&world->client);
    while (world->node.oldest != NULL) {
        struct pending *p = world->node.oldest;
        p->state = PENDING_WAITING;
        stream_answered(p, STATUS_OK);
    }
    while (world->node.free_pendings != NULL) {
        struct pending *p = world->node.free_pendings;
        world->node.free_pendings = p->next;
        free(p);
    }
    if (world->zero.replica != NULL) {
        replica_free(world->zero.replica);
    }
    workbench_free(&world->node.bench);
    router_free(world->node.router);
    map_free(world->node.map);
    free(world->zero.track.relays);
    engine_free(world->zero.engine);
    for (int i = 0; i < SLOTS; i++) {
        free(world->log.record[i]);
    }
    reply_free(&world->out);
    heap_free(&world->node.expiries);
    reply_free(&world->node.nowhere);
    free(world->node.command_stats);
    measure_free(world->node.measure);
    free(world);
    return 0;
}

void command(const char *line)
{
    command_from(&world->client, line);
}

void command_from(struct stream *stream, const char *line)
{
    char words[128];
    struct span argv[8];
    uint32_t argc = 0;
    (void)snprintf(words, sizeof words, "%s", line);
    for (char *word = strtok(words, " "); word != NULL; word = strtok(NULL, " ")) {
        argv[argc++] = span_of(word, strlen(word));
    }
    (void)node_clock(&world->node); /* as clients.c does when bytes arrive */
    const struct command_spec *container;
    const struct command_spec *spec = command_find(argv, argc, &container);
    assert_non_null(spec);
    router_command(world->node.router, &world->zero, stream, spec, 2, 0, argv, argc, false);
}

void assert_heard(const char *expected)
{
    reply_raw(&world->out, SPAN_LITERAL("\0"));
    assert_string_equal((const char *)world->out.p, expected);
    reply_reset(&world->out);
}

#ifdef QUORATE_FAILPOINTS
int io_failpoint(struct io *io, enum failpoint point)
{
    (void)io;
    (void)point;
    return 0;
}
#endif
