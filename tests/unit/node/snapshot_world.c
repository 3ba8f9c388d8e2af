/* See snapshot_world.h. The functions stand in for the rest of the node. */
#include "snapshot_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cluster/map.h"
#include "node/alarm.h"
#include "node/keeper.h"
#include "node/peers.h"
#include "node/planner.h"
#include "node/quarantine.h"
#include "node/repair.h"
#include "node/replica.h"
#include "node/run.h"
#include "store/store.h"

#define DIR "d"

struct world *world;

static const struct engine_config config = { .value_bytes_max = MIB, .hash_key = { 3 } };

/* --- The disk: what disk.c lacks -------------------------------------------------------------- */

int __real_io_file_open(struct io *io, const char *path, unsigned flags, struct io_file **out);
int __wrap_io_file_open(struct io *io, const char *path, unsigned flags, struct io_file **out);

int __wrap_io_file_open(struct io *io, const char *path, unsigned flags, struct io_file **out)
{
    if (strcmp(path, DIR "/" CHECKPOINT_FILE) == 0) {
        world->opened++;
        if (world->open_fails != 0) {
            return world->open_fails;
        }
    }
    return __real_io_file_open(io, path, flags, out);
}

int io_exchange(struct io *disk, const char *a, const char *b)
{
    return disk != NULL && a != b ? -EINVAL : 0;
}

int io_link(struct io *disk, const char *from, const char *to)
{
    return disk != NULL && from != to ? -EPERM : 0;
}

static void nothing(void *context)
{
    (void)context;
}

void io_aside(struct io *io, void (*work)(void *context), void *context)
{
    (void)io_offload(io, work, nothing, context);
}

void io_random(struct io *io, void *p, size_t n)
{
    static uint8_t salt;
    (void)io;
    memset(p, ++salt, n);
}

/* --- The rest of the node --------------------------------------------------------------------- */

void node_log(struct node *node, enum node_log_level level, const char *format, ...)
{
    (void)node, (void)level;
    size_t n = strlen(world->log);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(world->log + n, sizeof world->log - n, format, arguments);
    va_end(arguments);
}

void node_fail(struct node *node, const char *why)
{
    node_log(node, NODE_LOG_WARNING, "%s", why);
    node->failed = true;
}

void alarm_raise(struct node *node, enum alarm_kind kind, const char *format, ...)
{
    (void)node, (void)format;
    assert_int_equal(kind, ALARM_SNAPSHOT);
    world->alarms++;
}

void alarm_raise_about(struct node *node, enum alarm_kind kind, uint32_t about, const char *format,
                       ...)
{
    (void)node, (void)kind, (void)about, (void)format;
    world->alarms++;
}

void alarm_clear(struct node *node, enum alarm_kind kind)
{
    (void)node, (void)kind;
    world->alarms_over++;
}

void alarm_clear_about(struct node *node, enum alarm_kind kind, uint32_t about)
{
    (void)node, (void)kind, (void)about;
    world->alarms_over++;
}

struct partition *partition_of_group(const struct node *node, uint32_t group)
{
    return group == node->zero->group ? node->zero : NULL;
}

void schedule_wake(struct partition *partition)
{
    (void)partition;
    fail();
}

bool keeper_is_quiet(struct keeper *keeper)
{
    return !keeper->writes;
}

qr_slot keeper_slot(const struct keeper *keeper)
{
    return keeper->slot;
}

uint64_t planner_copy_rate(const struct node *node, uint32_t group, uint64_t most)
{
    (void)node, (void)group;
    return world->move_rate != 0 ? min_u64(world->move_rate, most) : most;
}

bool quarantine_may_end(const struct partition *partition)
{
    (void)partition;
    return true;
}

void quarantine_end(struct partition *partition)
{
    (void)partition;
}

bool repairer_offered(struct partition *partition, node_index from, qr_slot slot, qr_term term)
{
    (void)partition, (void)from, (void)slot, (void)term;
    fail();
    return false;
}

bool repairer_needs(struct partition *partition, qr_slot slot, qr_term term)
{
    (void)partition, (void)slot, (void)term;
    fail();
    return false;
}

void repairer_whole(struct partition *partition, const struct checkpoint_header *header,
                    const struct roster *roster)
{
    (void)partition, (void)header, (void)roster;
    fail();
}

qr_slot replica_applied(const struct replica *r)
{
    return r->applied;
}

void replica_outlook(const struct replica *r, struct outlook *out)
{
    *out = r->outlook;
}

bool replica_has_views(const struct replica *r)
{
    (void)r;
    return world->views;
}

bool replica_reinstall(struct replica *r, const struct checkpoint_header *header,
                       const struct roster *roster)
{
    (void)r, (void)header, (void)roster;
    return false;
}

void replica_offer(struct replica *r, node_index from, const struct checkpoint_header *header,
                   const struct roster *roster)
{
    struct node *node = r->node;
    struct engine *engine;
    const struct checkpoint_header *installed;
    (void)from;
    assert_int_equal(roster->members.voters, 7);
    if (!r->takes) {
        return;
    }
    int error = fetch_install(node->zero->fetch, &engine, &installed);
    if (error != 0) {
        engine_free(engine);
        node_fail(node, "not installed");
        return;
    }
    assert_int_equal(installed->slot, header->slot);
    engine_free(node->zero->engine);
    node->zero->engine = engine;
    r->applied = installed->slot;
}

/* --- The peers -------------------------------------------------------------------------------- */

static bool is_connected(const struct peers *peers, node_index peer)
{
    return ((peers->away | world->peers[peer].away) & (1u << peer | 1u << peers->me)) == 0;
}

bool peers_connected(const struct peers *peers, node_index peer)
{
    return is_connected(peers, peer);
}

uint16_t peers_wire_version(const struct peers *peers, node_index peer)
{
    bool old = (world->old & 1u << peer) != 0;
    return !is_connected(peers, peer) ? 0 : old ? WIRE_VERSION_GIVERS - 1 : WIRE_VERSION;
}

static void post(struct peers *peers, node_index to, uint8_t kind, struct span head,
                 struct span tail)
{
    struct mail *mail = malloc(sizeof *mail + head.n + tail.n);
    assert_true(to < NODES);
    *mail = (struct mail){ .to = to, .frame.kind = kind };
    memcpy(mail->bytes, head.p, head.n);
    if (tail.n > 0) {
        memcpy(mail->bytes + head.n, tail.p, tail.n);
    }
    mail->frame.head = span_of(mail->bytes, head.n);
    mail->frame.tail = span_of(mail->bytes + head.n, tail.n);
    *peers->end = mail;
    peers->end = &mail->next;
}

void peers_tell_group(struct peers *peers, node_index to, uint32_t group, uint8_t kind,
                      struct span head)
{
    assert_int_equal(group, world->group);
    if (kind == FRAME_SNAPSHOT_READ) {
        peers->reads++;
        peers->read_from = wire_load_u64(head.p + 8);
    }
    peers->gone += kind == FRAME_SNAPSHOT_GONE;
    peers->orders += kind == FRAME_SNAPSHOT_GIVE;
    assert_true(peers_wire_version(peers, to) >= frame_wire_version(kind, group) ||
                !is_connected(peers, to));
    if (is_connected(peers, to)) {
        post(peers, to, kind, head, (struct span){ 0 });
    }
}

bool peers_bulk_room(const struct peers *peers, node_index to)
{
    return is_connected(peers, to) && !peers->full;
}

bool peers_send_bulk_group(struct peers *peers, node_index to, uint32_t group, uint8_t kind,
                           struct span head, struct span tail)
{
    assert_int_equal(group, world->group);
    if (!is_connected(peers, to)) {
        return false;
    }
    peers->pieces++;
    post(peers, to, kind, head, tail);
    return true;
}

/* --- Tools ------------------------------------------------------------------------------------ */

static void make(node_index i)
{
    struct node *node = &world->node[i];
    node->zero = &world->zero[i];
    node->zero->node = node;
    node->zero->group = world->group;
    node->zero->awake = true;
    node->io = disk_new();
    strcpy(node->config.dir, DIR);
    node->config.snapshot_rate = GIB;
    node->identity.node_id = i + 1u;
    memset(node->identity.cluster, 5, sizeof node->identity.cluster);
    memset(node->identity.uuid, i + 1, sizeof node->identity.uuid);
    node->engine_config = config;
    node->zero->engine = engine_new(&config);
    for (uint32_t k = 0; k < NODES; k++) {
        node->known[k].id = k + 1;
    }
    world->peers[i].me = i;
    world->peers[i].end = &world->peers[i].first;
    world->replica[i] = (struct replica){ .node = node, .applied = 1, .takes = true };
    node->peers = &world->peers[i];
    node->map = map_new();
    node->zero->keeper = &world->keeper[i];
    node->zero->replica = &world->replica[i];
    node->zero->source = source_new(node->zero);
    node->zero->fetch = fetch_new(node->zero);
    disk_advance(node->io, QR_SECOND);
}

static int set_up_group(uint32_t group)
{
    world = calloc(1, sizeof *world);
    world->group = group;
    for (node_index i = 0; i < NODES; i++) {
        make(i);
    }
    struct replica *leader = &world->replica[SOURCE];
    leader->applied = leader->outlook.last = SLOT;
    leader->outlook.role = ROLE_LEADER;
    return 0;
}

int setup(void **state)
{
    (void)state;
    return set_up_group(0);
}

int setup_partition(void **state)
{
    (void)state;
    return set_up_group(7);
}

int teardown(void **state)
{
    (void)state;
    carry(NODE_NONE);
    for (node_index i = 0; i < NODES; i++) {
        struct node *node = &world->node[i];
        disk_fail_at(node->io, 0, 0);
        source_free(node->zero->source);
        fetch_free(node->zero->fetch);
        disk_settle(node->io);
        disk_free(node->io);
        engine_free(node->zero->engine);
        map_free(node->map);
        while (world->peers[i].first != NULL) {
            struct mail *mail = world->peers[i].first;
            world->peers[i].first = mail->next;
            free(mail);
        }
    }
    free(world);
    return 0;
}

static void on_done(void *context, enum checkpoint_result result,
                    const struct checkpoint_header *header, const char *message)
{
    struct keeper *keeper = context;
    (void)message;
    assert_int_equal(result, CHECKPOINT_DONE);
    keeper->slot = header->slot;
}

void take_checkpoint(qr_slot slot, size_t size, char seed)
{
    take_checkpoint_at(SOURCE, slot, size, seed);
}

void take_checkpoint_at(node_index at, qr_slot slot, size_t size, char seed)
{
    struct node *node = &world->node[at];
    struct roster roster = { .members.voters = 7 };
    struct checkpoint_header header = {
        .slot = slot, .term = 2, .commit_term = 2, .group = world->group
    };
    for (uint32_t i = 0; i < NODES; i++) {
        roster.node[i] = (struct roster_node){ .id = i + 1, .priority = 100 };
        memset(roster.node[i].uuid, (int)i + 1, 16);
        strcpy(roster.node[i].address, "127.0.0.1");
    }
    for (size_t i = 0; i * 4000 < size; i++) {
        char key[24];
        uint8_t value[4000];
        (void)snprintf(key, sizeof key, "key-%zu", i);
        memset(value, seed + (char)(i % 50), sizeof value);
        store_put(engine_store(node->zero->engine), 0, span_of(key, strlen(key)),
                  span_of(value, sizeof value), 0);
    }
    memcpy(header.cluster, node->identity.cluster, sizeof header.cluster);
    memcpy(header.uuid, node->identity.uuid, sizeof header.uuid);
    header.roster_bytes = (uint16_t)roster_write(&roster, header.roster);
    struct checkpoint *cp =
        checkpoint_start(node->io, DIR, node->zero->engine, &header, on_done, &world->keeper[at]);
    while (world->keeper[at].slot != slot) {
        (void)checkpoint_step(cp, QR_SECOND);
        disk_settle(node->io);
    }
    world->replica[at].applied = world->replica[at].outlook.last = slot;
    source_checkpointed(node->zero->source);
}

uint8_t *file_of(node_index node, const char *name, size_t *n)
{
    struct io *disk = world->node[node].io;
    char path[CHECKPOINT_PATH_MAX];
    checkpoint_path(path, DIR, world->group, name);
    for (size_t i = 0; i < disk_files(disk); i++) {
        if (strcmp(disk_name(disk, i), path) == 0) {
            return disk_bytes(disk, i, n);
        }
    }
    *n = 0;
    return NULL;
}

uint64_t file_bytes(node_index node, const char *name)
{
    size_t n;
    (void)file_of(node, name, &n);
    return n;
}

void want(node_index to)
{
    source_wanted(world->node[SOURCE].zero->source, to, SLOT);
}

void carry(node_index lost)
{
    for (node_index i = 0; i < NODES; i++) {
        struct peers *peers = &world->peers[i];
        struct mail *mail = peers->first;
        peers->first = NULL;
        peers->end = &peers->first;
        while (mail != NULL) {
            struct mail *next = mail->next;
            if (i != lost && mail->to != lost && !world->node[mail->to].failed) {
                assert_true(snapshot_receive(world->node[mail->to].zero, i, &mail->frame));
            }
            free(mail);
            mail = next;
        }
    }
}

void turn_all(qr_time elapsed)
{
    for (node_index i = 0; i < NODES; i++) {
        struct node *node = &world->node[i];
        disk_advance(node->io, elapsed);
        if (!node->failed) {
            (void)fetch_turn(node->zero->fetch, io_now(node->io));
            source_turn(node->zero->source, io_now(node->io));
        }
        disk_settle(node->io);
    }
}

struct fetch_figures figures_of(node_index node)
{
    struct fetch_figures figures;
    fetch_figures(world->node[node].zero->fetch, &figures);
    return figures;
}

void pull(node_index node, uint64_t n)
{
    for (int i = 0; i < 3000; i++) {
        struct fetch_figures f = figures_of(node);
        if ((f.active && f.done >= n) || has_installed(node) || world->node[node].failed) {
            return;
        }
        carry(NODE_NONE);
        turn_all(QR_MILLISECOND);
    }
}

void connect_again(node_index node)
{
    carry(node);
    for (node_index i = 0; i < NODES; i++) {
        if (i != node) {
            snapshot_peer(world->node[i].zero, node, false);
            snapshot_peer(world->node[node].zero, i, false);
        }
    }
    for (node_index i = 0; i < NODES; i++) {
        if (i != node) {
            snapshot_peer(world->node[i].zero, node, true);
            snapshot_peer(world->node[node].zero, i, true);
        }
    }
}

bool has_installed(node_index node)
{
    return figures_of(node).counts.installed > 0;
}

bool was_said(const char *text)
{
    return strstr(world->log, text) != NULL;
}
