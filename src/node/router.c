/* Who carries out a command: see router.h. What is on its way is in router_forward.c, the queues
 * are in router_turn.c, what other nodes send in router_relay.c. */
#include "node/router_internal.h"

#include "base/alloc.h"
#include "cluster/id_bounds.h"
#include "command/op.h"
#include "node/gather.h"
#include "node/lagging.h"
#include "node/leaders.h"
#include "node/orders.h"
#include "node/peers.h"
#include "node/quota.h"
#include "node/replica.h"

#include <stdlib.h>
#include <string.h>

struct router *router_new(struct node *node)
{
    struct router *router = qr_zalloc(sizeof *router);
    router->node = node;
    router->forwarded = qr_zalloc(FORWARD_WINDOW * sizeof(struct pending *));
    router->next_id = 1;
    router->epoch = 1;
    return router;
}

void router_free(struct router *router)
{
    gather_free_all(router);
    for (node_index peer = 0; peer < MEMBERS_MAX; peer++) {
        router_forget_peer(router, peer);
    }
    free(router->forwarded);
    free(router);
}

uint32_t router_waiting(const struct router *router)
{
    return router->waiting;
}

uint32_t router_forwarded(const struct router *router)
{
    return router->forwarded_count;
}

/* --- Here ----------------------------------------------------------------------------------- */

/* A new leader of group 0 has to know all prefixes before it carries out anything (route.h: K6):
 * it does when an entry of its own term is applied. */
static bool knows_prefixes(const struct partition *partition)
{
    return partition->group != 0 || replica_is_current(partition->replica);
}

static bool leads(const struct partition *partition)
{
    return partition->replica != NULL && replica_leads(partition->replica) &&
           !partition->quarantined && knows_prefixes(partition);
}

bool router_leads_here(const struct router *router, const struct partition *partition)
{
    return !router->node->removed && leads(partition) && partition->track.forwarded == 0;
}

static bool refused_for_space(struct router *router, const struct command_spec *spec)
{
    enum log_space space = node_space(router->node);
    return space == LOG_SPACE_NONE || (space == LOG_SPACE_LOW && (spec->flags & CF_DENYOOM) != 0);
}

/* Replies are kept for zones as many as may be, and for one client as many as others would find
 * room for (zones.c Z4). */
static bool refused_for_zones(const struct pending *p)
{
    const struct node *node = p->node;
    if (!zones_await_reply(p)) {
        return false;
    }
    const struct read_history *own = stream_reads_of(p);
    return node->kept + own->kept >= KEPT_REPLIES_MAX ||
           node->kept_bytes + own->kept_bytes >= KEPT_BYTES_MAX;
}

/* A write that is allowed; false when there is no room now. */
static bool write(struct router *router, struct pending *p)
{
    struct replica *replica = p->partition->replica;
    if (p->cargo != NULL) {
        quota_spend(p->partition);
        router_load(router, p);
        return true;
    }
    if (!replica_has_room(replica, p->op_bytes)) {
        return false;
    }
    size_t n = p->op_bytes;
    quota_spend(p->partition);
    memcpy(replica_write(replica, p, n), p->op, n);
    pending_drop_op(p);
    return true;
}

/* False when there is no room now. p is in no queue and has its op. */
static bool carry_out(struct router *router, struct pending *p)
{
    size_t bytes = p->op_bytes + (p->cargo != NULL ? (size_t)p->cargo->total : 0);
    const char *refusal;
    if (quota_refuses(p->partition, p->spec, bytes)) {
        quota_refuse(p, bytes);
        return true;
    }
    switch (p->spec->place) {
    case PLACE_READ:
        router_prove(p);
        quota_spend(p->partition);
        replica_read(p->partition->replica, p);
        return true;
    case PLACE_WAIT:
        node_stir(router->node);
        router_begin_wait(router, p);
        return true;
    case PLACE_ORDER:
        node_stir(router->node);
        orders_begin(router->node, p);
        return true;
    case PLACE_WRITE:
        if (refused_for_space(router, p->spec)) {
            stream_refuse(p, STATUS_NOSPACE);
            return true;
        }
        if (refused_for_zones(p)) {
            reply_error(stream_reply(p), p->wants.each_zone
                                             ? "THROTTLED too many writes wait until each zone has "
                                               "them, the command was not applied"
                                             : "THROTTLED too many writes wait until others have "
                                               "them, the command was not applied");
            stream_refused(p);
            return true;
        }
        if ((refusal = zones_lack(p)) != NULL) {
            reply_error(stream_reply(p), refusal);
            stream_refused(p);
            return true;
        }
        if (lagging_refuses(p->partition, p->arrived)) {
            reply_error(stream_reply(p), "THROTTLED a replica is behind by more than MAXLAG and "
                                         "writes wait for it, the command was not applied");
            stream_refused(p);
            return true;
        }
        return write(router, p);
    case PLACE_LOCAL:
    case PLACE_NONE:
        break;
    }
    qr_unreachable();
}

/* --- Astray --------------------------------------------------------------------------------- */

/* Also of a keyspace that it will belong to: the change is in the log before it. */
static bool is_of_another(const struct node *node, struct span key)
{
    return !op_is_ref(key) &&
           (map_keyspace_of_key(node->map, key) != NULL ||
            (node->contact.guards && freeze_has(&node->contact.coverage.freeze, key)));
}

bool router_may_be_astray(const struct pending *p)
{
    const struct node *node = p->node;
    return p->partition->group == 0 && p->spec->place != PLACE_ORDER &&
           (map_has_prefixes(node->map) || node->contact.guards);
}

bool router_is_astray(const struct pending *p, const struct op *op)
{
    uint32_t words = command_name_words(p->spec);
    struct key_range keys = command_keys(p->spec, op->argc + words);
    if (keys.first >= keys.end) {
        return false;
    }
    struct span *argv = qr_alloc(op->argc * sizeof *argv);
    op_arguments(op, argv, NULL);
    bool astray = false;
    for (uint32_t i = keys.first; i < keys.end && !astray; i += keys.step) {
        astray = is_of_another(p->node, argv[i - words]);
    }
    free(argv);
    return astray;
}

/* --- Which way ------------------------------------------------------------------------------ */

/* An order that only asks is answered from what this node knows when no leader can be reached. */
static bool asked_here(const struct router *router, const struct pending *p)
{
    const struct replica *replica = router->node->zero->replica;
    if (p->spec->place != PLACE_ORDER || !orders_only_asks(p->spec)) {
        return false;
    }
    node_index leader = replica_leader(replica);
    return !router->node->removed && p->stream != NULL && p->stream->ordered &&
           (leader == NODE_NONE || leader == replica_me(replica) ||
            !peers_connected(router->node->peers, leader));
}

/* The leader runs a version that could not carry it out. */
static bool is_refused_for_version(struct router *router, struct pending *p, node_index leader)
{
    uint16_t version = peers_wire_version(router->node->peers, leader);
    if ((p->spec->place == PLACE_ORDER && version < orders_wire_version(p->spec)) ||
        (p->spec->tag == COMMAND_WAITAOF && version < WIRE_VERSION_LEVELS)) {
        reply_error(stream_reply(p),
                    "ERR the leader runs a version that does not know this command");
        stream_answered(p, STATUS_OK);
        return true;
    }
    bool as_of = p->wants.level == READ_SNAPSHOT && p->spec->place == PLACE_READ;
    bool more = p->wants.each_zone || p->wants.copies.count != 0;
    if ((as_of || (more && p->spec->place == PLACE_WRITE)) &&
        version < WIRE_VERSION_LEVELS) {
        stream_refuse(p, STATUS_OLD_LEADER);
        return true;
    }
    if ((p->cargo != NULL && version < WIRE_VERSION_PIECES) ||
        (p->partition->group != 0 && version < WIRE_VERSION_GROUPS)) {
        stream_refuse(p, STATUS_UPGRADE);
        return true;
    }
    return false;
}

/* What its client reads here and has sent before p is answered now, or goes to the leader in front
 * of it: so it sees nothing of a write (S2), and nothing that a read behind it does not. False:
 * there is no room for it there. */
static bool send_before(struct router *router, struct pending *p, node_index leader)
{
    struct replica *replica = p->partition->replica;
    struct pendings left = { 0 };
    bool orders = p->spec->place == PLACE_READ || p->spec->place == PLACE_WRITE;
    if (!orders || p->stream == NULL || p->strand->reading == 0 || replica == NULL) {
        return true;
    }
    if (router->forwarded_count + p->strand->reading >= FORWARD_WINDOW) {
        return false;
    }
    replica_serve_before(replica, p, &left);
    while (left.first != NULL) {
        router_forward(router, pendings_pop(&left), leader);
    }
    return true;
}

bool router_route(struct router *router, struct pending *p)
{
    struct partition *partition = p->partition;
    bool relayed = p->stream != NULL && p->stream->relayed;
    if (router_may_read_here(p) && router_read_here(router, p)) {
        return true;
    }
    if (router->node->removed && !relayed) {
        stream_refuse(p, STATUS_REMOVED);
        return true;
    }
    if (relayed && leads(partition)) {
        return carry_out(router, p);
    }
    if (router_leads_here(router, partition) || asked_here(router, p)) {
        return carry_out(router, p);
    }
    node_index leader = relayed ? NODE_NONE : leaders_of(partition); /* T3 */
    leader = leader == NODE_NONE && !relayed ? leaders_guess(partition) : leader;
    if (leader == NODE_NONE || leader == replica_me(router->node->zero->replica) ||
        !router_may_forward(router, &partition->track, leader)) {
        return false;
    }
    if (is_refused_for_version(router, p, leader)) {
        return true;
    }
    if (!send_before(router, p, leader)) {
        return false;
    }
    router_forward(router, p, leader);
    return true;
}

/* T5: it has not moved for long, and keeps as much as it may: a little always, more as long as the
 * node has room for others. Keyspace 0 is what most of the node is there for; its bounds are the
 * node's. */
static bool is_stuck(const struct router *router, const struct partition *partition)
{
    const struct node *node = router->node;
    const struct track *track = &partition->track;
    if (partition->group == 0 ||
        node->clock - track->moved < TRACK_STUCK_TIME_MS * QR_MILLISECOND) {
        return false;
    }
    bool many =
        track->pending > TRACK_PENDING_MAX || track->pending_bytes > TRACK_PENDING_BYTES_MAX;
    bool some =
        track->pending > TRACK_PENDING_MIN || track->pending_bytes > TRACK_PENDING_BYTES_MIN;
    bool full = node->pending_count > NODE_PENDING_MAX / 2 ||
                node->pending_bytes > NODE_PENDING_BYTES_MAX / 2;
    return many || (some && full);
}

void router_take(struct router *router, struct pending *p)
{
    struct track *track = &p->partition->track;
    if (router_may_read_here(p) && router_read_here(router, p)) {
        return; /* whatever waits for the leader */
    }
    if (is_stuck(router, p->partition)) {
        stream_refuse(p, STATUS_STUCK);
        return;
    }
    bool waits = track->waiting.count > 0 && !asked_here(router, p);
    if (waits || !router_route(router, p)) {
        p->state = PENDING_WAITING;
        pendings_push(&track->waiting, p); /* T1 */
        router->waiting++;
        router_activate(router, track);
    }
}

/* --- Commands of clients -------------------------------------------------------------------- */

/* A write on a leader with room: encoded once, straight into the batch. */
static bool write_here(struct router *router, struct pending *p, const struct op *head,
                       const struct span *argv, uint32_t argc, size_t n)
{
    struct partition *partition = p->partition;
    if (p->spec->place != PLACE_WRITE || partition->track.waiting.count > 0 ||
        !router_leads_here(router, partition) || refused_for_space(router, p->spec) ||
        refused_for_zones(p) || zones_lack(p) != NULL || quota_refuses(partition, p->spec, n) ||
        is_stuck(router, partition) || !replica_has_room(partition->replica, n)) {
        return false;
    }
    quota_spend(partition);
    op_write(replica_write(partition->replica, p, n), head, argv, argc);
    return true;
}

/* The id of what is pushed next, with the bounds of its partition. */
static size_t write_id(const struct partition *partition, const struct op_id *names, uint8_t *p)
{
    struct id_bounds bounds = id_bounds_of_group(partition->node->map, partition->group);
    return op_id_write(p, &(struct op_id){ .pid = names->pid,
                                           .iid = names->iid,
                                           .seconds = bounds.seconds,
                                           .count = bounds.count,
                                           .bytes = bounds.bytes });
}

void router_command(struct router *router, struct partition *partition, struct stream *stream,
                    const struct command_spec *spec, uint8_t version, uint8_t db,
                    const struct span *argv, uint32_t argc, bool silent)
{
    uint32_t words = command_name_words(spec);
    struct op head = { .level = SEMANTICS_LEVEL, .tag = spec->tag, .db = db, .argc = argc - words };
    uint8_t id[OP_ID_BYTES_MAX];
    bool at_once = spec->place == PLACE_READ && stream->first == NULL && !silent;
    if (at_once && router_read_now(router, partition, stream, spec, version, &head, argv + words)) {
        return;
    }
    struct pending *p = stream_push(stream, spec, version, router->node->clock);
    p->silent = silent;
    pending_join(p, partition);
    p->strand->wrote = p->strand->wrote || spec->place == PLACE_WRITE;
    if (stream->id != NULL) {
        head.id = span_of(id, write_id(partition, stream->id, id));
        head.level = SEMANTICS_LEVEL_IDS;
    }
    size_t n = op_bytes(argv + words, argc - words) + head.id.n;
    if (write_here(router, p, &head, argv + words, argc - words, n)) {
        return;
    }
    op_write(pending_take_room(p, n), &head, argv + words, argc - words);
    router_take(router, p);
}
