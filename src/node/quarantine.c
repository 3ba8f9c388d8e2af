#include "node/quarantine.h"

#include "base/alloc.h"
#include "node/alarm.h"
#include "node/checkpoint.h"
#include "node/checkpoint_place.h"
#include "node/damage.h"
#include "node/health.h"
#include "node/keeper.h"
#include "node/node.h"
#include "node/peers.h"
#include "node/repair.h"
#include "node/replica.h"
#include "node/run.h"
#include "node/snapshot_fetch.h"
#include "node/snapshot_source.h"
#include "node/transfers.h"
#include "protocol/quorum.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LOOK_INTERVAL (500 * QR_MILLISECOND)
#define DISPUTE_TIME \
    (5 * QR_SECOND) /* the others may not have told yet, or a later slot is clear */
#define SLICE (QR_MILLISECOND / 5)
#define ASK_INTERVAL QR_SECOND
#define SAVED_MAX 16u /* states of other groups than 0, of one life: each takes room on the disk */
#define DIGEST_VERSION 1u
#define DIGEST_BYTES 17u

static uint32_t id_of(const struct node *node, node_index i)
{
    return i < MEMBERS_MAX ? node->known[i].id : 0;
}

static struct quarantine *quarantine_of(struct partition *partition)
{
    if (partition->quarantine == NULL) {
        partition->quarantine = qr_zalloc(sizeof *partition->quarantine);
    }
    return partition->quarantine;
}

/* --- The mark ------------------------------------------------------------------------------- */

static void mark_path(const struct partition *partition, char path[CHECKPOINT_PATH_MAX])
{
    checkpoint_path(path, partition->node->config.dir, partition->group, QUARANTINED_FILE);
}

/* Where the state is saved. */
static void save_dir(const struct partition *partition, char path[CHECKPOINT_PATH_MAX])
{
    (void)snprintf(path, CHECKPOINT_PATH_MAX, "%s/quarantine", partition->node->config.dir);
}

static void set_mark(struct partition *partition)
{
    struct node *node = partition->node;
    char path[CHECKPOINT_PATH_MAX];
    struct io_file *file;
    mark_path(partition, path);
    int error = checkpoint_make_dir(node->io, node->config.dir, partition->group);
    error = error != 0 ? error : io_file_open(node->io, path, IO_CREATE | IO_WRITE, &file);
    if (error == 0) {
        io_file_close(file);
    }
    if (error == 0 || error == -EEXIST) { /* the try before may not have come to the sync */
        error = checkpoint_sync_dir(node->io, node->config.dir, partition->group);
    }
    partition->quarantine->marked = error == 0; /* else it is tried again */
    if (error != 0) {
        node_disk_failed(node, "the mark of a state that is not to be served cannot be written",
                         error);
    }
}

/* If it stayed, a good state would not be served after the next start. */
static void remove_mark(struct partition *partition)
{
    struct node *node = partition->node;
    char path[CHECKPOINT_PATH_MAX];
    partition->quarantine->marked = false;
    mark_path(partition, path);
    int error = io_unlink(node->io, path);
    error = error == 0 ? checkpoint_sync_dir(node->io, node->config.dir, partition->group) : error;
    if (error != 0 && error != -ENOENT) {
        node_fail(node, "the mark of a state that was not to be served cannot be removed");
    }
}

/* --- The alarm: one for all groups ------------------------------------------------------------ */

static void raise_alarm(struct partition *partition, const char *why)
{
    struct node *node = partition->node;
    char prefix[PARTITION_PREFIX_BYTES];
    node->corrupt_groups += !partition->quarantine->alarmed;
    partition->quarantine->alarmed = true;
    damage_prefix(partition, prefix);
    alarm_raise(node, ALARM_CORRUPT, "%s%s", prefix, why);
}

static void clear_alarm(struct partition *partition)
{
    struct node *node = partition->node;
    if (partition->quarantine->alarmed) {
        partition->quarantine->alarmed = false;
        qr_assert(node->corrupt_groups > 0);
        node->corrupt_groups--;
    }
    if (node->corrupt_groups == 0) {
        alarm_clear(node, ALARM_CORRUPT);
    }
}

/* --- Beginning and end ---------------------------------------------------------------------- */

/* 0: there is one; -ENOENT: there is none; else that cannot be seen. */
static int look_for_mark(const struct partition *partition)
{
    char path[CHECKPOINT_PATH_MAX];
    struct io_file *file;
    mark_path(partition, path);
    int error = io_file_open(partition->node->io, path, 0, &file);
    if (error == 0) {
        io_file_close(file);
    }
    return error;
}

void quarantine_open(struct partition *partition)
{
    if (partition->group == 0) {
        (void)quarantine_of(partition); /* INFO and metrics tell of it from the first moment on */
    }
    int error = look_for_mark(partition);
    if (error != -ENOENT) { /* a state that may be wrong is not served */
        struct quarantine *q = quarantine_of(partition);
        partition->quarantined = q->marked = true;
        q->unseen = error != 0;
        q->saved = true; /* by the life before, as far as it came */
    }
}

static void stand_back(struct partition *partition, const char *why)
{
    struct node *node = partition->node;
    replica_freeze(partition->replica, true);
    replica_admin(partition->replica, ADMIN_STAND_BACK, 1);
    raise_alarm(partition, why);
    if (partition->group == 0) { /* what is told of a node's health is about the node */
        health_tell(node, NODE_NONE);
    }
}

void quarantine_start(struct partition *partition)
{
    qr_assert(partition->quarantined);
    stand_back(partition, partition->quarantine->unseen
                              ? "whether the state was found to differ from that of the others "
                                "before the last start cannot be read: this node serves nothing "
                                "until that is known or it has been fed anew"
                              : "the state was found to differ from that of the others before the "
                                "last start: this node serves nothing until it has been fed anew");
}

static void begin(struct partition *partition, qr_slot slot)
{
    struct quarantine *q = quarantine_of(partition);
    char why[ALARM_TEXT_BYTES];
    qr_assert(!partition->quarantined);
    partition->quarantined = true;
    partition_wake(partition);
    q->begun++;
    q->begun_at = replica_state(partition->replica);
    q->saved = false;
    q->disputed_since = 0;
    digests_forget_own(&q->digests);
    source_distrust(partition->source);
    set_mark(partition);
    (void)snprintf(
        why, sizeof why,
        "the state at slot %" PRIu64 " differs from that of the others, which agree: this "
        "node serves nothing until it has been fed anew; the state is kept in quarantine/",
        slot);
    stand_back(partition, why);
}

static void end(struct partition *partition, const char *why)
{
    struct node *node = partition->node;
    struct quarantine *q = quarantine_of(partition);
    qr_assert(partition->quarantined);
    partition->quarantined = false;
    q->ended++;
    q->unseen = false;
    q->noted = q->quiet = 0;
    remove_mark(partition);
    replica_freeze(partition->replica, false);
    replica_admin(partition->replica, ADMIN_STAND_BACK, 0);
    clear_alarm(partition);
    if (partition->group == 0) {
        health_tell(node, NODE_NONE);
    }
    damage_log(partition, NODE_LOG_NOTICE, "%s: out of quarantine", why);
}

void quarantine_end(struct partition *partition)
{
    end(partition, "The state is that of another node now");
}

/* One read that failed is no mark: where nobody else has the state it would never be fed anew. */
static void look_again(struct partition *partition)
{
    int error = look_for_mark(partition);
    partition->quarantine->unseen = error != 0 && error != -ENOENT;
    if (error == -ENOENT) {
        end(partition, "The state was never found to differ");
    }
}

/* --- Saving (Q3) ---------------------------------------------------------------------------- */

static void on_saved(void *context, enum checkpoint_result result,
                     const struct checkpoint_header *header, const char *message)
{
    struct partition *partition = context;
    struct node *node = partition->node;
    struct quarantine *q = quarantine_of(partition);
    q->saving = NULL;
    q->saved = true;
    node->harm.saving = NULL;
    if (result == CHECKPOINT_FAILED) {
        node_fail(node, message);
    } else if (result == CHECKPOINT_DONE) {
        char dir[CHECKPOINT_PATH_MAX], path[CHECKPOINT_PATH_MAX];
        save_dir(partition, dir);
        checkpoint_path(path, dir, partition->group, CHECKPOINT_FILE);
        /* of use to nobody, in nobody's way */
        (void)checkpoint_forget_spare(node->io, dir, partition->group);
        damage_log(partition, NODE_LOG_NOTICE, "Saved the state at slot %" PRIu64 " in %s",
                   header->slot, path);
    } else {
        damage_log(partition, NODE_LOG_WARNING, "The state is not saved: %s", message);
    }
}

static void save(struct partition *partition)
{
    struct node *node = partition->node;
    struct quarantine *q = quarantine_of(partition);
    struct checkpoint_header header = { .group = partition->group };
    memcpy(header.cluster, node->identity.cluster, sizeof header.cluster);
    memcpy(header.uuid, node->identity.uuid, sizeof header.uuid);
    header.slot = q->begun_at;
    header.term = replica_applied_term(partition->replica);
    const struct roster *roster = replica_applied_roster(partition->replica, &header.roster_slot);
    header.roster_bytes = (uint16_t)roster_write(roster, header.roster);
    char dir[CHECKPOINT_PATH_MAX];
    save_dir(partition, dir);
    int error = io_mkdir(node->io, dir);
    if (error != 0) {
        node_disk_failed(node, "a directory for the state cannot be made, it is not saved", error);
        q->saved = true;
        return;
    }
    node->harm.saving = partition;
    node->harm.saved += partition->group != 0;
    q->saving = checkpoint_start(node->io, dir, partition->engine, &header, on_saved, partition);
}

static bool save_some(struct partition *partition)
{
    struct quarantine *q = quarantine_of(partition);
    struct harm *harm = &partition->node->harm;
    if (q->saved) {
        return false;
    }
    if (q->saving == NULL && partition->group != 0 && harm->saved >= SAVED_MAX) {
        damage_log(partition, NODE_LOG_WARNING, "The state is not saved: others were");
        q->saved = true;
    } else if (q->saving == NULL && harm->saving == NULL &&
               (partition->keeper == NULL || keeper_is_quiet(partition->keeper))) {
        save(partition);
    }
    return q->saving != NULL && checkpoint_step(q->saving, SLICE);
}

bool quarantine_may_end(const struct partition *partition)
{
    return partition->quarantine->saved && partition->quarantine->saving == NULL;
}

/* Q4. Whoever is in quarantine itself gives nothing, and is passed by. */
static void ask_for_state(struct partition *partition, qr_time now)
{
    struct node *node = partition->node;
    struct quarantine *q = partition->quarantine;
    qr_slot slot;
    if (now < q->ask_at || !quarantine_may_end(partition) ||
        fetch_has_hope(partition->fetch, now) || !transfers_may_ask(partition, now)) {
        return;
    }
    q->ask_at = now + ASK_INTERVAL;
    uint32_t who = membership_all(&replica_roster(partition->replica, &slot)->members);
    who &= ~(1u << replica_me(partition->replica));
    for (uint32_t i = 1; i <= MEMBERS_MAX; i++) {
        node_index to = (node_index)((q->asked_last + i) % MEMBERS_MAX);
        if ((who >> to & 1) != 0 && peers_connected(node->peers, to)) {
            q->asked_last = to;
            repair_ask_for_state(partition, to, replica_applied(partition->replica));
            return;
        }
    }
}

void quarantine_free(struct partition *partition)
{
    struct quarantine *q = partition->quarantine;
    if (q == NULL) {
        return;
    }
    if (q->alarmed && !partition->node->stopping) {
        clear_alarm(partition);
    }
    if (q->saving != NULL) {
        checkpoint_abort(q->saving);
        partition->node->harm.saving = NULL;
    }
    digests_free(&q->digests);
    free(q);
    partition->quarantine = NULL;
}

/* --- Comparing ------------------------------------------------------------------------------ */

static void dispute(struct partition *partition, qr_slot slot, node_index other)
{
    struct node *node = partition->node;
    struct quarantine *q = quarantine_of(partition);
    if (q->disputed_since == 0) {
        q->disputed_since = io_now(node->io);
    }
    q->disputed_at = slot;
    q->disputed_with = other;
}

static void judge(struct partition *partition, qr_slot slot)
{
    struct quarantine *q = quarantine_of(partition);
    node_index other = NODE_NONE;
    switch (digests_judge(&q->digests, slot, &other)) {
    case DIGEST_UNKNOWN:
        return;
    case DIGEST_AGREES:
        if (slot > q->disputed_at && !partition->quarantined) {
            q->disputed_since = 0;
            clear_alarm(partition);
        }
        return;
    case DIGEST_UPHELD: /* the other one will find out, or has */
        q->disputed_since = 0;
        return;
    case DIGEST_DISPUTED:
        dispute(partition, slot, other);
        return;
    case DIGEST_OUTVOTED:
        if (!partition->quarantined) {
            begin(partition, slot);
        }
        return;
    }
    qr_unreachable();
}

/* Those that hold replicas. */
static void tell(struct partition *partition, struct span head)
{
    struct peers *peers = partition->node->peers;
    if (partition->group == 0) {
        peers_tell_group(peers, NODE_NONE, 0, FRAME_DIGEST, head);
        return;
    }
    qr_slot slot;
    uint32_t others = membership_all(&replica_roster(partition->replica, &slot)->members);
    others &= ~(1u << replica_me(partition->replica));
    for (uint32_t rest = others; rest != 0; rest &= rest - 1) {
        peers_tell_group(peers, set_first(rest), partition->group, FRAME_DIGEST, head);
    }
}

void quarantine_note_digest(struct partition *partition, qr_slot slot, uint64_t digest)
{
    if (partition->quarantined || slot == 0) {
        return;
    }
    struct quarantine *q = quarantine_of(partition);
    uint8_t head[DIGEST_BYTES];
    struct wire_writer w = wire_writer(head, sizeof head);
    q->noted = slot;
    digests_own(&q->digests, slot, digest);
    wire_put_u8(&w, DIGEST_VERSION);
    wire_put_u64(&w, slot);
    wire_put_u64(&w, digest);
    qr_assert(!w.bad && w.n == sizeof head);
    tell(partition, span_of(head, w.n));
}

void quarantine_note_state(struct partition *partition, qr_slot slot)
{
    quarantine_note_digest(partition, slot, engine_rolling_digest(partition->engine));
}

void quarantine_forget(struct partition *partition)
{
    struct quarantine *q = partition->quarantine;
    for (node_index i = 0; q != NULL && i < MEMBERS_MAX; i++) {
        digests_forget(&q->digests, i);
    }
    if (q != NULL) {
        digests_forget_own(&q->digests);
        q->noted = q->quiet = q->disputed_at = 0;
        q->disputed_since = 0;
    }
}

void quarantine_differs(struct partition *partition, qr_slot slot)
{
    if (!partition->quarantined) {
        begin(partition, slot);
    }
}

bool quarantine_receive(struct partition *partition, node_index from, struct span head)
{
    struct wire_reader r = wire_reader(head);
    uint8_t version = wire_get_u8(&r);
    qr_slot slot = wire_get_u64(&r);
    uint64_t digest = wire_get_u64(&r);
    if (r.bad || from >= MEMBERS_MAX) {
        return false;
    }
    if (version == DIGEST_VERSION) { /* digests made in another way say nothing */
        digests_told(&quarantine_of(partition)->digests, from, slot, digest);
        judge(partition, slot);
    }
    return true;
}

void quarantine_peer(struct partition *partition, node_index peer)
{
    if (partition->quarantine != NULL) {
        digests_forget(&partition->quarantine->digests, peer);
    }
}

/* Where nothing happens all stand at the same slot. */
static void note_quiet_state(struct partition *partition)
{
    struct quarantine *q = quarantine_of(partition);
    qr_slot applied = replica_applied(partition->replica);
    bool still = applied == replica_state(partition->replica);
    if (still && applied == q->quiet && applied != q->noted) {
        quarantine_note_state(partition, applied);
    }
    q->quiet = applied;
}

static void look(struct partition *partition, qr_time now)
{
    struct node *node = partition->node;
    struct quarantine *q = quarantine_of(partition);
    if (q->unseen) {
        look_again(partition);
    }
    if (partition->quarantined && !q->marked) {
        set_mark(partition);
    }
    note_quiet_state(partition);
    judge(partition, q->noted);
    if (q->disputed_since != 0 && now - q->disputed_since >= DISPUTE_TIME &&
        !partition->quarantined) {
        char why[ALARM_TEXT_BYTES];
        (void)snprintf(why, sizeof why,
                       "the state at slot %" PRIu64
                       " differs from that of node %u, and no majority says which is right; "
                       "nobody was stopped",
                       q->disputed_at, id_of(node, q->disputed_with));
        raise_alarm(partition, why);
    }
}

/* Most groups are idle, and there are many: their state has been told of, and nobody differs; or
 * nothing was ever written. */
static bool is_settled(const struct partition *partition)
{
    const struct quarantine *q = partition->quarantine;
    if (partition->group == 0 || partition->quarantined) {
        return false;
    }
    return q == NULL ? engine_log_time(partition->engine) == 0
                     : q->disputed_since == 0 && q->noted == replica_applied(partition->replica);
}

qr_time quarantine_turn(struct partition *partition, qr_time now)
{
    if (now < partition->compare_at && !partition->quarantined) {
        return partition->compare_at;
    }
    if (is_settled(partition)) {
        return QR_NEVER;
    }
    if (partition->loading) {
        return now + LOOK_INTERVAL; /* the replica has not begun */
    }
    if (partition->quarantined && save_some(partition)) {
        partition->again = true;
    }
    if (partition->quarantined) {
        ask_for_state(partition, now);
    }
    if (now >= partition->compare_at) {
        partition->compare_at = now + LOOK_INTERVAL;
        look(partition, now);
    }
    return partition->compare_at;
}
