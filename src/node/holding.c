#include "node/holding.h"

#include "base/alloc.h"
#include "cluster/map.h"
#include "cluster/strategy.h"
#include "node/births.h"
#include "node/checkpoint_place.h"
#include "node/contact.h"
#include "node/damage.h"
#include "node/early.h"
#include "node/keeper.h"
#include "node/node.h"
#include "node/quarantine.h"
#include "node/repair.h"
#include "node/replica.h"
#include "node/reporting.h"
#include "node/rollback.h"
#include "node/router.h"
#include "node/run.h"
#include "node/transfers.h"
#include "node/views.h"
#include "protocol/quorum.h"
#include "protocol/raft/raft.h"

#include <inttypes.h>
#include <stdio.h>

#define RESTLESS_INTERVAL (100 * QR_MILLISECOND)
#define FULL_INTERVAL (5 * QR_SECOND)

enum holding_phase { HOLDING_RESTS = 0, HOLDING_MAP, HOLDING_OURS };

static node_index me_of(const struct node *node)
{
    return (node_index)identity_me(&node->identity);
}

/* --- A replica comes ------------------------------------------------------------------------- */

static bool log_knows(const struct node *node, uint32_t group)
{
    struct log_group state;
    return log_group_state(node->log, group, &state);
}

/* What its log begins with (F4), and what this node has lost. */
static struct replica_base first_base(const struct node *node, const struct map_partition *mp,
                                      bool joins)
{
    node_index me = me_of(node);
    bool forgetful = joins || damage_lost_log(node, mp->group);
    bool lost = forgetful || (mp->moved & node_bit(me)) != 0;
    struct replica_base base = { .forgetful = forgetful };
    base.roster.members = follow_first_members(mp, me, lost);
    base.roster.epoch = FOUNDING_EPOCH;
    if (map_succession(node->map, mp->group) != NULL) { /* until a view comes */
        base.roster.members = (struct membership){ .voters = mp->founders };
    }
    return base;
}

/* As its keyspace says (KEYSPACE CREATE: LEASE). */
static void set_read_mode(struct partition *p)
{
    const struct map_keyspace *ks = map_keyspace_of_group(p->node->map, p->group);
    bool leases = ks != NULL && ks->lease;
    if (p->replica != NULL && !p->loading && leases != p->leases) {
        p->leases = leases;
        replica_admin(p->replica, ADMIN_READ_MODE, leases ? READ_MODE_LEASE : READ_MODE_READINDEX);
    }
}

/* What is no longer to be known of its past goes although nobody writes: the turns that it gets. */
static void tend_past(struct partition *p)
{
    if (p->replica != NULL && !p->loading && replica_tend_past(p->replica)) {
        partition_wake(p);
    }
}

/* What is in its log is of no other protocol's making. */
static const struct protocol *protocol_of(const struct map *map, uint32_t group)
{
    const struct map_keyspace *k = map_keyspace_of_group(map, group);
    bool has_views = map_succession(map, group) != NULL;
    qr_assert(k == NULL || strategy_has_views(k) == has_views);
    return has_views ? strategy_protocol(k) : &raft_protocol;
}

/* Opens the replica beside what log and files hold of it; false: the node has failed. */
static bool open_replica(struct partition *p, const struct map_partition *mp, bool joins)
{
    struct node *node = p->node;
    char message[600];
    message[0] = 0;
    struct replica_base base = first_base(node, mp, joins);
    bool log_knew = log_knows(node, p->group);
    qr_assert(p->replica == NULL && p->engine == NULL);
    if (map_succession(node->map, p->group) != NULL && early_open(p)) {
        base.forgetful = true;
    }
    quarantine_open(p);
    p->engine = engine_new(&node->engine_config);
    p->keeper = keeper_new(p);
    bool loaded = damage_open_group(p, &base, message, sizeof message);
    const struct protocol *protocol = protocol_of(node->map, p->group);
    struct replica *r =
        loaded ? replica_new(p, protocol, me_of(node), &base, message, sizeof message) : NULL;
    if (r == NULL || !repairer_begin(p, &base, message, sizeof message)) {
        char why[700];
        (void)snprintf(why, sizeof why, "group %" PRIu32 ": %s", p->group, message);
        node_fail(node, why);
        return false;
    }
    set_read_mode(p);
    transfers_resume(p);
    births_begin(p, !joins && !log_knew);
    return true;
}

/* --- A replica goes -------------------------------------------------------------------------- */

/* All that is there while a replica is. */
static void shut_replica(struct partition *p)
{
    router_replica_gone(p->node->router, p);
    schedule_forget(p);
    partition_close_replica(p);
    partition_strip(p);
    rollback_free(p);
    engine_free(p->engine);
    p->engine = NULL;
    p->quarantined = p->loading = p->leases = p->lazy = p->soon = false;
    p->reached = 0;
}

/* What was taken back is cut: it is opened anew by what is left. False: the node has failed. */
static bool reopen_replica(struct partition *p, const struct map_partition *mp, bool anew)
{
    struct node *node = p->node;
    shut_replica(p);
    int error = anew ? checkpoint_remove_state(node->io, node->config.dir, p->group) : 0;
    if (error != 0) {
        node_disk_failed(node, "the checkpoint of a state that was taken back stays", error);
        return false;
    }
    return mp == NULL || open_replica(p, mp, false);
}

static void close_replica(struct partition *p)
{
    struct node *node = p->node;
    p->has_files = p->has_files || keeper_slot(p->keeper) > 0 || p->transfers || p->quarantined ||
                   p->marked || p->kept_checkpoint || p->early;
    p->early = EARLY_NOT;
    p->early_until = 0;
    shut_replica(p);
    damage_forget(p);
    log_drop(node->log, p->group);
    p->drops_at = log_position(node->log);
}

/* What is left of a replica once the log has forgotten it durably; true: nothing is. */
static bool tidy_up(struct partition *p)
{
    struct node *node = p->node;
    if (p->drops_at > node->holding.durable) {
        return false;
    }
    p->drops_at = 0;
    if (p->has_files) {
        p->has_files = false;
        int error = checkpoint_remove(node->io, node->config.dir, p->group);
        if (error != 0) {
            node_disk_failed(node, "the files of a group that has left cannot be deleted", error);
        }
    }
    return true;
}

/* --- Looking --------------------------------------------------------------------------------- */

static void change_members(struct partition *p, const struct follow_action *todo)
{
    struct event event = { 0 };
    event.admin.order = ADMIN_MEMBERS;
    event.admin.members = todo->members;
    event.admin.restated = todo->restated;
    (void)replica_change_for(p->replica, &event, todo->epoch); /* refused: it is tried again */
}

static struct follow_action find_out(struct partition *p, struct outlook *outlook)
{
    struct node *node = p->node;
    struct follow_view view = { .me = me_of(node),
                                .fresh = node->holding.fresh.fresh,
                                .log_knows = log_knows(node, p->group),
                                .log_lost = damage_lost_log(node, p->group),
                                .able = health_able(node) };
    view.has_replica = p->replica != NULL || view.log_knows;
    if (p->replica != NULL) {
        qr_slot slot;
        view.epoch = replica_roster(p->replica, &slot)->epoch;
        if (!p->loading) {
            *outlook = *replica_seen(p->replica);
            view.outlook = outlook;
        }
    }
    return follow(node->map, p->group, &view);
}

/* True when something is left to do. */
static bool act(struct partition *p, const struct map_partition *mp,
                const struct follow_action *todo)
{
    struct node *node = p->node;
    switch (todo->kind) {
    case FOLLOW_NOTHING:
        return false;
    case FOLLOW_FOUND:
    case FOLLOW_JOIN:
        return p->drops_at == 0 && open_replica(p, mp, todo->kind == FOLLOW_JOIN);
    case FOLLOW_DELETE:
        if (p->replica != NULL && replica_gathers(p->replica)) {
            return true; /* its turn comes first */
        }
        if (mp != NULL && p->replica != NULL && !rollback_named_all(p)) {
            return true;
        }
        if (p->replica != NULL && !keeper_is_quiet(p->keeper)) {
            return true; /* its file could get its name in the next life of the replica */
        }
        if (p->replica != NULL) {
            close_replica(p);
        } else {
            log_drop(node->log, p->group); /* it was never opened */
            p->has_files = true;
            p->drops_at = log_position(node->log);
        }
        node_log(node, NODE_LOG_VERBOSE, "Holds no replica of group %" PRIu32 " any more",
                 p->group);
        return true;
    case FOLLOW_CHANGE_MEMBERS:
        change_members(p, todo);
        return true;
    case FOLLOW_REPORT_SETTLED:
        p->reached = todo->epoch;
        reporting_note(p);
        return true;
    case FOLLOW_HAND_OVER:
        replica_admin(p->replica, ADMIN_TRANSFER, todo->to);
        return true;
    }
    qr_unreachable();
}

/* Looks at one partition; false: it is gone. */
static bool look(struct partition *p)
{
    struct node *node = p->node;
    struct outlook outlook;
    const struct map_partition *mp = map_partition(node->map, p->group);
    p->restless = false;
    if (p->drops_at != 0 && !tidy_up(p)) {
        p->restless = true;
        return true;
    }
    bool anew;
    if (p->rollback != NULL && !rollback_is_cut(p, &anew)) {
        p->restless = true; /* it says when (rollback.c) */
        return true;
    }
    if (p->rollback != NULL && !rollback_leaves(p) && !reopen_replica(p, mp, anew)) {
        return true;
    }
    if (p->replica == NULL && mp != NULL && log_knows(node, p->group)) {
        if (!open_replica(p, mp, false)) { /* of an earlier life: any map that has it will do */
            return true;
        }
    }
    views_look(p);
    set_read_mode(p);
    tend_past(p);
    struct follow_action todo = find_out(p, &outlook);
    if (rollback_leaves(p) && todo.kind != FOLLOW_DELETE && !reopen_replica(p, mp, false)) {
        return true; /* it is wanted again */
    }
    bool missing = mp != NULL && p->replica == NULL && (mp->held & node_bit(me_of(node))) != 0;
    p->restless = act(p, mp, &todo) || missing;
    if (mp == NULL && p->replica == NULL && p->drops_at == 0 && !log_knows(node, p->group) &&
        follow_is_gone(node->map, p->group)) {
        router_partition_gone(node->router, p);
        partitions_remove(p);
        return false;
    }
    return true;
}

/* --- Sweeps ---------------------------------------------------------------------------------- */

static void begin_sweep(struct node *node, qr_time now)
{
    struct holding *h = &node->holding;
    uint64_t changes = map_changes(node->map);
    h->full = changes != h->seen || now >= h->next_full;
    h->sweeping = changes;
    h->cursor = 0;
    h->phase = changes != h->seen ? HOLDING_MAP : HOLDING_OURS;
    if (h->phase == HOLDING_OURS) {
        h->cursor = node->partitions.count;
    }
    h->counting = 0;
}

static void end_sweep(struct node *node, qr_time now)
{
    struct holding *h = &node->holding;
    h->phase = HOLDING_RESTS;
    h->seen = h->sweeping;
    if (h->seen != map_changes(node->map)) {
        node_stir(node); /* it changed meanwhile, which was looked at then */
    }
    h->restless = h->counting;
    h->next = now + RESTLESS_INTERVAL;
    if (h->full) {
        h->next_full = now + FULL_INTERVAL;
    }
}

/* Partitions of the map that this node does not know yet. */
static bool sweep_map(struct node *node, qr_time until)
{
    struct holding *h = &node->holding;
    const struct map_partition *mp;
    while ((mp = map_partition_after(node->map, h->cursor)) != NULL) {
        h->cursor = mp->group;
        if (partition_of_group(node, mp->group) == NULL) {
            (void)partitions_add(node, mp->group);
        }
        if (mp->group % 32 == 0 && node_clock(node) >= until) {
            return false;
        }
    }
    h->phase = HOLDING_OURS;
    h->cursor = node->partitions.count;
    return true;
}

/* From the last one on: those that go leave their places to others that were looked at already. */
static bool sweep_ours(struct node *node, qr_time until)
{
    struct holding *h = &node->holding;
    h->cursor = h->cursor < node->partitions.count ? h->cursor : node->partitions.count;
    while (h->cursor > 0 && !node->failed) {
        struct partition *p = partitions_at(&node->partitions, --h->cursor);
        if (p->group == 0 || (!h->full && !p->restless)) {
            continue;
        }
        if (look(p)) {
            h->counting += p->restless ? 1 : 0;
        }
        if (node_clock(node) >= until) {
            return h->cursor == 0;
        }
    }
    return true;
}

/* What the log holds, also where the map says nothing of it any more: a checkpoint of group 0 may
 * be of after a group's end, and the node have died before the log forgot the group. */
static void add_those_of_the_log(struct node *node)
{
    uint32_t at = 0, group;
    while (log_next_group(node->log, &at, &group)) {
        if (partition_of_group(node, group) == NULL) {
            (void)partitions_add(node, group);
        }
    }
}

void holding_open(struct node *node)
{
    struct log_group group = { 0 };
    (void)log_group_state(node->log, 0, &group);
    node->holding =
        (struct holding){ .fresh = { .upto = group.last_slot, .joined = node->identity.joined },
                          .seen = UINT64_MAX,
                          .fresh_below = map_settings(node->map)->next_group };
    add_those_of_the_log(node);
}

void holding_note_groups(struct node *node, bool whole)
{
    struct holding *h = &node->holding;
    const struct replica *zero = node->zero->replica;
    whole = whole || zero == NULL;
    if (!h->fresh.fresh && (whole || replica_applied(zero) <= h->fresh.upto)) {
        h->fresh_below = map_settings(node->map)->next_group;
    }
}

/* How far group 0 is. */
static void look_at_zero(struct node *node)
{
    struct holding *h = &node->holding;
    const struct outlook *zero = replica_seen(node->zero->replica);
    qr_slot applied = replica_applied(node->zero->replica);
    if (!h->fresh.fresh && follow_look(&h->fresh, zero, applied)) {
        h->next = h->next_full = 0;
    }
    h->current = h->fresh.fresh && replica_catches_up(node->zero->replica);
    if (!h->current && zero->leader != NODE_NONE) {
        node_stay(node); /* nobody tells when the slot that it asks for is applied */
    }
}

void holding_turn(struct node *node, qr_time now)
{
    struct holding *h = &node->holding;
    if (!h->current && !node->zero->loading) {
        look_at_zero(node);
    }
    if (h->phase == HOLDING_RESTS) {
        bool changed = map_changes(node->map) != h->seen;
        bool due = now >= h->next && (h->restless > 0 || !h->fresh.fresh || now >= h->next_full);
        if (node->zero->loading || (!changed && !due)) {
            return;
        }
        begin_sweep(node, now);
    }
    if (!io_has_polled_since(node->io, h->sliced)) {
        return;
    }
    h->sliced = node_clock(node);
    qr_time until = h->sliced + HOLDING_SLICE_USEC;
    if ((h->phase != HOLDING_MAP || sweep_map(node, until)) && sweep_ours(node, until)) {
        end_sweep(node, now);
    }
}

qr_time holding_deadline(const struct node *node)
{
    const struct holding *h = &node->holding;
    if (h->phase != HOLDING_RESTS) {
        return 0;
    }
    return h->restless > 0 || !h->fresh.fresh ? h->next : h->next_full;
}

void holding_disturb(struct partition *p)
{
    if (!p->restless && p->group != 0) {
        p->restless = true;
        p->node->holding.restless++;
        p->node->holding.counting++; /* the sweep under way may have been past it */
        node_stir(p->node);
    }
}

static bool all_are_there(const struct node *node)
{
    const struct holding *h = &node->holding;
    if (!h->fresh.fresh || h->seen != map_changes(node->map) || h->phase != HOLDING_RESTS) {
        return false;
    }
    for (uint32_t i = 0; i < node->partitions.count; i++) {
        const struct partition *p = partitions_at(&node->partitions, i);
        const struct map_partition *mp = map_partition(node->map, p->group);
        bool held = mp != NULL && p->group != 0 && (mp->held & node_bit(me_of(node))) != 0;
        if (held && p->replica == NULL) {
            return false;
        }
    }
    return true;
}

/* The log of a node with clients is never idle: a place in it is waited for. */
bool holding_is_complete(struct node *node)
{
    struct holding *h = &node->holding;
    if (!all_are_there(node)) {
        h->complete_at = 0;
        return false;
    }
    h->complete_at = h->complete_at == 0 ? log_position(node->log) : h->complete_at;
    return log_durable(node->log) >= h->complete_at;
}
