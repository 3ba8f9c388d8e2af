/* A replica is made: memory by the protocol's needs, START from what log and checkpoint hold. */
#include "node/replica_internal.h"

#include "base/alloc.h"

#include "cluster/map.h"
#include "node/quarantine.h"
#include "node/regain.h"
#include "node/run.h"

#include <stdio.h>
#include <string.h>

#define QUIET_HEARTBEATS 4 /* idle for so many of them, a group rests */

static struct protocol_limits limits_of(const struct config *config, uint32_t group)
{
    qr_time pace = replica_pace(group);
    return (struct protocol_limits){
        .heartbeat = pace * config->heartbeat_ms * QR_MILLISECOND,
        .lease = pace * config->lease_ms * QR_MILLISECOND,
        .election = pace * config->election_timeout_ms * QR_MILLISECOND,
        .drift_percent = 10,
        .skew_max = 500 * QR_MILLISECOND,
        .uncommitted_max = UNCOMMITTED_ENTRIES_MAX,
        .append_entries = APPEND_ENTRIES_MAX,
        .appends_in_flight = APPENDS_IN_FLIGHT_MAX,
        /* Group 0 never rests: it is one group, and everything hangs on it. */
        .quiet_after = group == 0 ? 0 : QUIET_HEARTBEATS * config->heartbeat_ms * QR_MILLISECOND,
    };
}

static void allocate(struct replica *r, const struct needs *needs)
{
    r->self = qr_zalloc_lines(needs->state);
    r->roster = qr_zalloc(replica_roster_bytes(r));
    r->applied_roster = qr_zalloc(replica_roster_bytes(r));
    if (r->group == 0) {
        r->graves = qr_zalloc(sizeof *r->graves);
    }
}

/* The snapshot was installed and the end came before the log's record of it was written: what the
 * log holds was dropped, or is older than the state. */
static void finish_install(struct replica *r, const struct replica_base *base)
{
    struct log_group group = { 0 };
    if (base->installed && log_group_state(r->node->log, r->group, &group) &&
        group.base_slot <= base->slot && group.last_slot >= base->slot &&
        !replica_log_holds(&group, base->slot, base->term)) {
        node_log(r->node, NODE_LOG_NOTICE,
                 "The log ends before the snapshot at slot %llu was installed: it is emptied",
                 (unsigned long long)base->slot);
        log_reset(r->node->log, r->group, base->slot, base->term);
    }
}

/* The event that tells the protocol what survived. False when log and checkpoint do not join. */
static bool start_event(struct replica *r, const struct replica_base *base, struct event *event,
                        char *message, size_t cap)
{
    struct log_group group = { .group = r->group };
    bool known = log_group_state(r->node->log, r->group, &group);
    if (known && group.base_slot > base->slot) {
        (void)snprintf(message, cap,
                       "the log begins after slot %llu but the checkpoint ends at slot %llu: the "
                       "checkpoint file was lost or replaced; restore it, or wipe this directory "
                       "and let the node join anew",
                       (unsigned long long)group.base_slot, (unsigned long long)base->slot);
        return false;
    }
    if (known && base->slot > 0 && group.last_slot >= base->slot &&
        !replica_log_holds(&group, base->slot, base->term)) {
        /* A checkpoint is only taken of what is durable in this log: they cannot part by
         * themselves. */
        (void)snprintf(
            message, cap,
            "log and checkpoint disagree about slot %llu: one of them is not this node's; "
            "restore both from the same time, or wipe this directory and let the node "
            "join anew",
            (unsigned long long)base->slot);
        return false;
    }
    if (!known || group.last_slot < base->slot) {
        /* The checkpoint is ahead of what the log kept: it alone is the base. */
        log_trim(r->node->log, r->group, base->slot, base->term);
        group.base_slot = base->slot;
        group.base_term = base->term;
        group.last_slot = base->slot;
        group.run_count = 0;
        if (!known) {
            group.state = (struct span){ 0 };
        }
    }
    r->durable_last = group.last_slot; /* recovery has synced what it kept */
    event->kind = EVENT_START;
    event->start.memberships = r->start_memberships;
    event->start.membership_count = r->start_membership_count;
    event->start.base_slot = group.base_slot;
    event->start.base_term = group.base_term;
    event->start.last_slot = group.last_slot;
    event->start.runs = group.runs;
    event->start.run_count = group.run_count;
    event->start.forgetful = base->forgetful;
    event->start.applied_slot = base->slot;
    event->start.commit_term = base->commit_term;
    if (r->group == 0) {
        event->start.joined_slot = r->node->identity.joined;
        event->start.joined_term = r->node->identity.joined_term;
    }
    if (group.state.n >= 2) {
        event->start.state_kind = (uint16_t)(group.state.p[0] | (group.state.p[1] << 8));
        if (!r->protocol->codec->decode(event->start.state_kind,
                                        span_of(group.state.p + 2, group.state.n - 2),
                                        r->bench->received_body)) {
            (void)snprintf(message, cap,
                           "the log holds a state record that this version of "
                           "quorate cannot read: start the version that wrote it");
            return false;
        }
        event->start.state = r->bench->received_body;
    }
    return true;
}

/* A keyspace says it once, for ever. */
static bool has_logical_log(const struct replica *r)
{
    const struct map_keyspace *k = map_keyspace_of_group(r->node->map, r->group);
    return k != NULL && k->primary.log == PRIMARY_LOGICAL;
}

void replica_go_logical(struct replica *r)
{
    qr_assert(!r->started);
    r->execute = execute_new(r);
    r->logical = true;
    if (r->bench->rows == NULL) {
        r->bench->rows = rows_new();
    }
}

struct replica *replica_new(struct partition *partition, const struct protocol *protocol,
                            node_index me, const struct replica_base *base, char *message,
                            size_t cap)
{
    struct node *node = partition->node;
    struct protocol_limits limits = limits_of(&node->config, partition->group);
    struct needs needs = protocol->needs(&limits);
    struct replica *r = qr_zalloc_lines(sizeof *r);
    r->node = node;
    r->partition = partition;
    r->protocol = protocol;
    r->viewed = protocol->views;
    r->group = partition->group;
    r->me = me;
    r->bench = &node->bench;
    workbench_fit(r->bench, protocol, &limits);
    r->next_req = 1;
    r->queued = true;
    r->frozen = partition->quarantined;
    r->digest_period = replica_digest_period(r);
    r->applied = base->slot;
    r->apply_to = base->slot;
    r->applied_term = base->term;
    uint64_t seed;
    io_random(node->io, &seed, sizeof seed);
    r->rng = rng_from(seed);
    allocate(r, &needs);
    protocol->init(r->self, &limits, me, rng_next(&r->rng));
    r->outlook.leader = NODE_NONE;
    if (!replica_rosters_load(r, base, message, cap)) { /* as far as it can be read, for repair */
        replica_free(r);
        return NULL;
    }
    if (r->viewed && has_logical_log(r)) {
        replica_go_logical(r);
    }
    node->partitions.viewed += r->viewed ? 1 : 0;
    partition->replica = r;
    return r;
}

bool replica_start(struct replica *r, const struct replica_base *base, char *message, size_t cap)
{
    struct event event = { 0 };
    qr_assert(!r->started);
    finish_install(r, base);
    if (!replica_rosters_load(r, base, message, cap) ||
        !start_event(r, base, &event, message, cap)) {
        return false;
    }
    if (r->logical) {
        execute_logged(r); /* repair has put another state into its place, or entries */
    }
    r->started = true;
    (void)io_failpoint(r->node->io, FAIL_REPLICA_START);
    replica_step(r, &event);
    (void)io_failpoint(r->node->io, FAIL_REPLICA_STARTED);
    free(r->start_memberships);
    r->start_memberships = NULL;
    if (r->group == 0) { /* of others the keyspace says it */
        replica_admin(r, ADMIN_READ_MODE, r->node->config.read_mode);
    }
    if (r->partition->quarantined) {
        quarantine_start(r->partition);
    }
    r->protocol->outlook(r->self, &r->outlook);
    regain_start(r);
    return true;
}

void replica_drop_held(struct replica *r)
{
    while (r->held != NULL) {
        struct held *h = r->held;
        r->held = h->next;
        free(h);
    }
    r->held_last = NULL;
    r->held_count = 0;
}

void replica_free(struct replica *r)
{
    replica_drop_held(r);
    for (node_index i = 0; r->feed != NULL && i < MEMBERS_MAX; i++) {
        feed_forget(r->feed, i);
    }
    if (r->batch != NULL) {
        replica_drop_batch(r);
    }
    if (r->viewed && r->partition->replica == r) { /* else it was never there */
        r->node->partitions.viewed--;
    }
    blobs_free(r);
    execute_free(r->execute);
    free(r->self);
    free(r->feed);
    free(r->proofs);
    replica_free_waits(r);
    free(r->graves);
    free(r->roster);
    free(r->applied_roster);
    free(r->flights);
    free(r->marks);
    free(r->start_memberships);
    free(r);
}
