/* What the frames of a connection that is up are for. */
#include "node/link.h"

#include "node/alarm.h"
#include "node/contact.h"
#include "node/council.h"
#include "node/health.h"
#include "node/leaders.h"
#include "node/members.h"
#include "node/node.h"
#include "node/places.h"
#include "node/quarantine.h"
#include "node/repair.h"
#include "node/replica.h"
#include "node/reports.h"
#include "node/snapshot.h"
#include "node/standing.h"

static bool on_protocol(struct link *link, const struct frame *f)
{
    struct wire_reader r = wire_reader(f->head);
    uint32_t group = wire_get_u32(&r);
    uint16_t kind = wire_get_u16(&r);
    qr_slot lo = wire_get_u64(&r);
    qr_slot hi = wire_get_u64(&r);
    qr_term term = wire_get_u64(&r);
    struct node *node = link->peers->node;
    if (r.bad || (group != 0 && link->version < WIRE_VERSION_GROUPS)) {
        return false;
    }
    node->stats.peer_messages_received++;
    struct partition *partition = group == 0 ? node->zero : partition_of_group(node, group);
    if (partition == NULL || (group != 0 && partition->replica == NULL)) {
        node->stats.peer_messages_astray++; /* not here yet, or no more: as if it had been lost */
        return true;
    }
    if (!members_may_speak(node, link->peer)) {
        return true;
    }
    return replica_receive(partition->replica, link->peer, kind,
                           span_of(f->head.p + r.at, f->head.n - r.at), lo, hi, term, f->tail);
}

static bool on_forward(struct link *link, const struct frame *f)
{
    struct wire_reader r = wire_reader(f->head);
    struct forward forward = { .id = wire_get_u64(&r) };
    forward.epoch = wire_get_u32(&r);
    forward.version = wire_get_u8(&r);
    forward.sender = wire_get_u32(&r);
    uint8_t flags = wire_get_u8(&r);
    forward.after_reads = (flags & FORWARD_AFTER_READS) != 0;
    forward.aside = link->version >= WIRE_VERSION_LEVELS && (flags & FORWARD_ASIDE) != 0;
    bool wants = link->version >= WIRE_VERSION_LEVELS && (flags & FORWARD_WANTS) != 0;
    if (wants && !wants_get(&r, &forward.wants, link->peers->node->clock)) {
        return false;
    }
    return wire_finished(&r) &&
           router_relayed(link->peers->node->router, link->peer, f->group, &forward, f->tail);
}

static bool on_reply(struct link *link, const struct frame *f)
{
    struct wire_reader r = wire_reader(f->head);
    uint64_t id = wire_get_u64(&r);
    uint8_t status = wire_get_u8(&r);
    struct shown shown = { 0 };
    if (link->version >= WIRE_VERSION_LEVELS) {
        shown_get(&r, link->peer, &shown);
    }
    if (!wire_finished(&r)) {
        return false;
    }
    router_reply(link->peers->node->router, link->peer, id, (enum qr_status)status, &shown,
                 f->tail);
    return true;
}

static bool on_piece(struct link *link, const struct frame *f)
{
    if (f->head.n != PIECE_HEAD_BYTES || f->tail.n == 0) {
        return false;
    }
    uint64_t id = wire_load_u64(f->head.p);
    if (f->kind == FRAME_PIECE) {
        return router_piece(link->peers->node->router, link->peer, f->group, id, f->tail);
    }
    router_reply_piece(link->peers->node->router, link->peer, id, f->tail);
    return true;
}

static bool on_credit(struct link *link, const struct frame *f)
{
    if (f->head.n != CREDIT_HEAD_BYTES) {
        return false;
    }
    router_credit(link->peers->node->router, link->peer, wire_load_u64(f->head.p),
                  wire_load_u64(f->head.p + 8));
    return true;
}

/* About the state or the log of a partition of which this node has a replica. */
static bool on_stored(struct link *link, struct partition *partition, const struct frame *f)
{
    partition_wake(partition);
    switch (f->kind) {
    case FRAME_DIGEST:
        return quarantine_receive(partition, link->peer, f->head);
    case FRAME_SNAPSHOT_OFFER:
    case FRAME_SNAPSHOT_READ:
    case FRAME_SNAPSHOT_DATA:
    case FRAME_SNAPSHOT_GONE:
    case FRAME_SNAPSHOT_GIVE:
    case FRAME_SNAPSHOT_PROGRESS:
        return snapshot_receive(partition, link->peer, f);
    case FRAME_REPAIR_ASK:
    case FRAME_REPAIR_REPLY:
    case FRAME_REPAIR_FETCH:
        return repairer_receive(partition, link->peer, f);
    default:
        return false;
    }
}

/* About another group than 0. Of one that this node does not know yet, or no longer, nobody waits
 * for anything here, but for the answer to what was forwarded. */
static bool on_group(struct link *link, const struct frame *f)
{
    if (f->kind == FRAME_FORWARD) {
        return on_forward(link, f);
    }
    if (f->kind == FRAME_PIECE) {
        return on_piece(link, f);
    }
    struct partition *partition = partition_of_group(link->peers->node, f->group);
    if (partition == NULL || partition->replica == NULL) {
        return f->kind > FRAME_PROTOCOL && f->kind < FRAME_KINDS;
    }
    partition_wake(partition);
    return on_stored(link, partition, f);
}

/* Commands and what makes them durable; anything else makes the chores look. */
static bool is_plain(uint8_t kind)
{
    const uint64_t plain = (uint64_t)1 << FRAME_PROTOCOL | (uint64_t)1 << FRAME_FORWARD |
                           (uint64_t)1 << FRAME_REPLY | (uint64_t)1 << FRAME_PIECE |
                           (uint64_t)1 << FRAME_REPLY_PIECE | (uint64_t)1 << FRAME_CREDIT |
                           (uint64_t)1 << FRAME_BEAT;
    return kind < 64 && (plain >> kind & 1) != 0;
}

bool link_frame(struct link *link, const struct frame *f)
{
    if (!is_plain(f->kind)) {
        node_stir(link->peers->node);
    }
    if (f->group != 0) {
        return on_group(link, f);
    }
    switch (f->kind) {
    case FRAME_PROTOCOL:
        return on_protocol(link, f);
    case FRAME_FORWARD:
        return on_forward(link, f);
    case FRAME_REPLY:
        return on_reply(link, f);
    case FRAME_PIECE:
    case FRAME_REPLY_PIECE:
        return on_piece(link, f);
    case FRAME_CREDIT:
        return on_credit(link, f);
    case FRAME_SPACE:
        if (f->head.n != 1 || f->head.p[0] > LOG_SPACE_NONE) {
            return false;
        }
        link->peers->peer[link->peer].space = (enum log_space)f->head.p[0];
        return true;
    case FRAME_ALARM:
        return alarm_receive(link->peers->node, f->head);
    case FRAME_PLACE:
        return places_receive(link->peers->node, link->peer, f->head);
    case FRAME_HEALTH:
        return health_receive(link->peers->node, link->peer, f->head);
    case FRAME_BEAT:
    case FRAME_RENEW:
    case FRAME_RENEWED:
    case FRAME_FREEZE:
        return contact_receive(link->peers->node, link->peer, f->kind, f->head);
    case FRAME_LEADS:
        return leaders_receive(link->peers->node, link->peer, f->head);
    case FRAME_REPORT:
        return reports_receive(link->peers->node, link->peer, f->head);
    case FRAME_STANDING:
        return council_receive(link->peers->node, link->peer, f->head);
    case FRAME_ORDER:
        return standing_order(link->peers->node, link->peer, f->head);
    default:
        return on_stored(link, link->peers->node->zero, f);
    }
}
