/* Checkpoints of one group: see keeper.h. */
#include "node/keeper_internal.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "node/checkpoint.h"
#include "node/node.h"
#include "node/quota.h"
#include "node/replica.h"
#include "node/run.h"
#include "node/snapshot_fetch.h"
#include "node/snapshot_source.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SLICE (QR_MILLISECOND / 10) /* of loop time a turn */
#define REMIND_INTERVAL QR_SECOND
#define RECLAIM_INTERVAL \
    QR_SECOND /* between checkpoints that are taken for the sake of the log \
               */
#define RETRY_INTERVAL (5 * QR_SECOND) /* after one was abandoned */
#define BRINGING_UP_FACTOR 4u          /* so much more log before a checkpoint */
#define PAYS_PART 4u                   /* of the last checkpoint's bytes */

struct keeper *keeper_new(struct partition *partition)
{
    struct keeper *keeper = qr_zalloc(sizeof *keeper);
    keeper->node = partition->node;
    keeper->partition = partition;
    return keeper;
}

void keeper_free(struct keeper *keeper)
{
    struct keepers *all = &keeper->node->keepers;
    if (keeper->writing != NULL) {
        checkpoint_abort(keeper->writing);
    }
    all->writing = all->writing == keeper ? NULL : all->writing;
    all->holding = all->holding == keeper ? NULL : all->holding;
    free(keeper);
}

static struct checkpoint_header header_of(const struct partition *partition)
{
    const struct node *node = partition->node;
    struct checkpoint_header header = { .group = partition->group };
    memcpy(header.cluster, node->identity.cluster, sizeof header.cluster);
    memcpy(header.uuid, node->identity.uuid, sizeof header.uuid);
    return header;
}

static bool take_roster(const struct checkpoint_header *header, struct replica_base *base)
{
    base->roster_slot = header->roster_slot;
    return roster_read(span_of(header->roster, header->roster_bytes), &base->roster);
}

bool keeper_load(struct keeper *keeper, struct replica_base *base, char *message, size_t cap)
{
    struct node *node = keeper->node;
    struct checkpoint_header header = header_of(keeper->partition);
    uint64_t behind = log_group_bytes(node->log, header.group);
    uint64_t position = log_position(node->log);
    keeper->begun_at = position > behind ? position - behind : 0;
    switch (checkpoint_load(node->io, node->config.dir, keeper->partition->engine, &header, message,
                            cap)) {
    case CHECKPOINT_NONE:
        return true;
    case CHECKPOINT_LOADED:
        keeper->slot = header.slot;
        keeper->salt = header.salt;
        keeper->bytes = header.bytes;
        keeper->memory = quota_bytes(keeper->partition);
        keeper->begun_at =
            position - log_bytes_from(node->log, keeper->partition->group, header.slot + 1);
        base->slot = header.slot;
        base->term = header.term;
        base->installed = header.installed;
        base->commit_term = header.commit_term;
        if (header.roster_bytes > 0 && !take_roster(&header, base)) {
            (void)snprintf(message, cap,
                           "the checkpoint says of its members what this version of quorate cannot "
                           "read: start the version that wrote it");
            return false;
        }
        node_log(node, NODE_LOG_NOTICE, "Loaded the checkpoint at slot %" PRIu64, header.slot);
        return true;
    case CHECKPOINT_DAMAGED:
        keeper->found_damage = true;
        return false;
    case CHECKPOINT_FOREIGN:
    case CHECKPOINT_UNREADABLE:
        return false;
    }
    qr_unreachable();
}

/* --- Retention ------------------------------------------------------------------------------ */

/* When a node starts its checkpoint alone says what was committed, and the protocol keeps so many
 * terms and no more (protocol/trail.h, T3): with as many behind the checkpoint of every member
 * nobody could lead after a start of all. Their bytes may be few: each start of a node by itself is
 * a term. */
bool keeper_many_terms(const struct node *node, uint32_t id, qr_slot slot)
{
    struct log_group group = { 0 };
    uint32_t n = 0;
    (void)log_group_state(node->log, id, &group);
    while (n < group.run_count && group.runs[group.run_count - 1 - n].slot > slot) {
        n++;
    }
    return n >= CHECKPOINT_TERMS_MAX;
}

/* Up to which slot the log may be trimmed although a slow member needs more: as far as its bounds
 * in bytes, entries and age ask for it, and no further. */
static qr_slot release_of(const struct partition *partition)
{
    const struct node *node = partition->node;
    const struct config *config = &node->config;
    struct log_group group = { 0 };
    (void)log_group_state(node->log, partition->group, &group);
    qr_slot release = log_slot_over_bytes(node->log, partition->group, config->log_max_bytes);
    uint64_t entries = config->log_max_entries;
    if (entries > 0 && group.last_slot > entries) {
        release = max_u64(release, group.last_slot - entries);
    }
    if (config->log_max_age_s > 0) {
        qr_time age = (qr_time)config->log_max_age_s * QR_SECOND;
        release = max_u64(release, log_slot_over_age(node->log, partition->group, age));
    }
    return release;
}

/* What a member that is being brought up needs stays, unless the disk is running full: then this
 * node comes first. */
static void tell_protocol(struct keeper *keeper)
{
    struct node *node = keeper->node;
    qr_slot pin = node->space == LOG_SPACE_OK ? source_pin(keeper->partition->source) : 0;
    keeper->release = release_of(keeper->partition);
    replica_checkpointed(keeper->partition->replica, keeper->slot, keeper->release, pin);
}

/* --- Writing -------------------------------------------------------------------------------- */

static void note_done(struct keeper *keeper, uint64_t bytes)
{
    struct node *node = keeper->node;
    struct measure *m = node->measure;
    node->stats.checkpoints++;
    m->checkpoint.bytes = bytes;
    m->checkpoint.bytes_total += bytes;
    m->checkpoint.usec = (uint64_t)(io_now(node->io) - keeper->began);
    m->checkpoint.usec_total += m->checkpoint.usec;
    m->checkpoint.ended = io_wall(node->io);
}

static void on_done(void *context, enum checkpoint_result result,
                    const struct checkpoint_header *header, const char *message)
{
    struct keeper *keeper = context;
    struct node *node = keeper->node;
    uint64_t bytes = checkpoint_bytes(keeper->writing);
    keeper->writing = NULL;
    node->keepers.writing = NULL;
    switch (result) {
    case CHECKPOINT_DONE:
        keeper->slot = header->slot;
        keeper->salt = header->salt;
        keeper->many_terms = false;
        node->keepers.abandoned = false;
        keeper->bytes = bytes;
        keeper->memory = keeper->memory_begun;
        note_done(keeper, bytes);
        keeper->ended = io_now(node->io);
        node->keepers.not_before = 2 * keeper->ended - keeper->began; /* half of the disk's time */
        node_log(node, NODE_LOG_NOTICE, "Checkpoint at slot %" PRIu64 " written in %" PRId64 " ms",
                 header->slot, (io_now(node->io) - keeper->began) / QR_MILLISECOND);
        (void)io_failpoint(node->io, FAIL_CHECKPOINT_DONE);
        tell_protocol(keeper);
        (void)io_failpoint(node->io, FAIL_CHECKPOINT_TOLD);
        source_checkpointed(keeper->partition->source);
        return;
    case CHECKPOINT_ABANDONED:
        keeper->begun_at = keeper->before; /* as due as it was */
        if (keeper->cancelled) {
            return;
        }
        node->measure->checkpoint.abandoned++;
        node->keepers.abandoned = true;
        keeper->not_before = io_now(node->io) + RETRY_INTERVAL;
        node_log(node, NODE_LOG_WARNING, "%s", message);
        return;
    case CHECKPOINT_FAILED:
        node_fail(node, message);
        return;
    }
    qr_unreachable();
}

/* The log is over its bounds, and only a new checkpoint lets the rest go. Not one after the other:
 * what comes in meanwhile is over the bounds as well. */
static bool must_reclaim(const struct keeper *keeper, qr_time now)
{
    qr_time took = keeper->ended - keeper->began;
    return keeper->release > keeper->slot &&
           now >= keeper->ended + (took > RECLAIM_INTERVAL ? 4 * took : RECLAIM_INTERVAL);
}

/* Members apply the same entries and may share a disk: each begins at a time of its own. */
static uint64_t threshold(const struct partition *partition)
{
    uint64_t bytes = partition->node->config.checkpoint_bytes;
    return bytes - bytes / 8 * (replica_me(partition->replica) % 4u);
}

/* While a member is brought up the log behind its snapshot stays, so that a checkpoint would let
 * none of it go: it waits, and disk and machine are the clients' and the new member's. */
static bool has_grown_enough(const struct partition *partition, uint64_t grown)
{
    uint64_t enough = threshold(partition);
    return grown >= enough &&
           (grown / BRINGING_UP_FACTOR >= enough || !health_brings_up(partition->node));
}

/* Before its time, for the sake of the disk: it lets a segment go at least, which is used again.
 * While clients are not refused yet it may not cost much more than that. */
static bool pays_for_room(const struct keeper *keeper, uint64_t grown)
{
    const struct node *node = keeper->node;
    bool lets_go = log_position(node->log) - grown < log_newest_begins(node->log);
    bool is_cheap = grown >= keeper->bytes / PAYS_PART;
    return lets_go && (node->space != LOG_SPACE_OK || (node->keepers.short_of_room && is_cheap));
}

static bool is_due(const struct keeper *keeper, qr_time now, uint64_t grown)
{
    const struct node *node = keeper->node;
    const struct partition *partition = keeper->partition;
    qr_slot applied = replica_applied(partition->replica);
    bool pays = has_grown_enough(partition, grown) || pays_for_room(keeper, grown);
    qr_slot wanted = source_wants(partition->source);
    bool useful = pays || must_reclaim(keeper, now) || keeper->many_terms ||
                  (wanted > keeper->slot && applied >= wanted);
    return useful && !partition->quarantined && applied > keeper->slot &&
           now >= keeper->not_before && !node->stopping && !fetch_is_whole(partition->fetch);
}

/* Followers still read the file that would be written over: it is to lose its spare name. */
static bool spare_is_free(struct partition *partition)
{
    struct node *node = partition->node;
    int error = checkpoint_forget_spare(node->io, node->config.dir, partition->group);
    if (error != 0) {
        node_disk_failed(node, "the spare checkpoint file cannot be deleted", error);
    }
    return error == 0;
}

static void begin(struct keeper *keeper, qr_time now)
{
    struct node *node = keeper->node;
    struct partition *partition = keeper->partition;
    if (source_holds_old_file(partition->source, keeper->salt) && !spare_is_free(partition)) {
        keeper->not_before = now + RETRY_INTERVAL;
        return;
    }
    struct checkpoint_header header = header_of(partition);
    header.slot = replica_applied(partition->replica);
    header.term = replica_applied_term(partition->replica);
    header.commit_term = replica_term(partition->replica);
    const struct roster *roster = replica_applied_roster(partition->replica, &header.roster_slot);
    header.roster_bytes = (uint16_t)roster_write(roster, header.roster);
    keeper->cancelled = false;
    keeper->before = keeper->begun_at;
    keeper->begun_at =
        log_position(node->log) - log_bytes_from(node->log, partition->group, header.slot + 1);
    keeper->began = now;
    keeper->memory_begun = quota_bytes(partition);
    keeper->writing =
        checkpoint_start(node->io, node->config.dir, partition->engine, &header, on_done, keeper);
    node->keepers.writing = keeper;
}

void keeper_remind(struct keeper *keeper, qr_time now)
{
    if (now >= keeper->remind_at) {
        keeper->remind_at = now + REMIND_INTERVAL;
        keeper->many_terms =
            keeper_many_terms(keeper->node, keeper->partition->group, keeper->slot);
        tell_protocol(keeper);
    }
}

bool keeper_is_quiet(struct keeper *keeper)
{
    if (keeper->writing != NULL) {
        keeper->cancelled = true;
        keeper->not_before = io_now(keeper->node->io) + RETRY_INTERVAL; /* who waits comes first */
        checkpoint_cancel(keeper->writing);
    }
    return keeper->writing == NULL;
}

void keeper_installed(struct keeper *keeper, const struct checkpoint_header *header)
{
    qr_assert(keeper->writing == NULL);
    keeper->slot = header->slot;
    keeper->salt = header->salt;
    keeper->bytes = 0;
    keeper->begun_at = log_position(keeper->node->log);
    keeper->not_before = 0;
}

/* When the checkpoint has to go on to keep its pace. */
static qr_time step_due(const struct keeper *keeper)
{
    uint64_t bytes = checkpoint_bytes(keeper->writing) + checkpoint_queued_bytes(keeper->writing);
    return keeper->began + (qr_time)(bytes / (CHECKPOINT_BYTES_PER_SECOND / QR_SECOND));
}

/* Where the others sync faster, what is applied is always a little ahead of the own disk. And what
 * a primary has executed is ahead of what is applied (execute.h: E7). */
bool keeper_consider(struct keeper *keeper, qr_time now, uint64_t grown)
{
    struct replica *replica = keeper->partition->replica;
    bool due = keeper->node->keepers.writing == NULL && is_due(keeper, now, grown);
    bool durable = replica_durable_slot(replica) >= replica_state(replica) &&
                   replica_state(replica) == replica_applied(replica);
    if (due && durable) {
        begin(keeper, now);
    }
    replica_apply_durable_only(replica, due && !durable);
    return due;
}

/* A slice, unless it is ahead of its pace. */
bool keeper_go_on(struct keeper *keeper, qr_time now)
{
    qr_time due = step_due(keeper);
    if (now < due) {
        keeper->node->wake = due < keeper->node->wake ? due : keeper->node->wake;
        return false;
    }
    return checkpoint_step(keeper->writing, SLICE);
}

void keeper_turn(struct keeper *keeper, qr_time now)
{
    keeper->busy = false;
    keeper_remind(keeper, now);
    if (keeper_consider(keeper, now, log_position(keeper->node->log) - keeper->begun_at)) {
        node_stay(keeper->node); /* it may wait for the disk */
    }
    if (keeper->writing != NULL && keeper_go_on(keeper, now)) {
        keeper->busy = true;
    }
}

bool keeper_busy(const struct keeper *keeper)
{
    return keeper->busy;
}

bool keeper_found_damage(const struct keeper *keeper)
{
    return keeper->found_damage;
}

void keeper_forget(struct keeper *keeper)
{
    qr_assert(keeper->writing == NULL);
    keeper->slot = keeper->salt = keeper->bytes = 0;
}

qr_slot keeper_slot(const struct keeper *keeper)
{
    return keeper->slot;
}

size_t keeper_queued_bytes(const struct keeper *keeper)
{
    return keeper->writing != NULL ? checkpoint_queued_bytes(keeper->writing) : 0;
}
