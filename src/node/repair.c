#include "node/repair.h"

#include "base/alloc.h"
#include "node/checkpoint.h"
#include "node/damage.h"
#include "node/node.h"
#include "node/peers.h"
#include "node/run.h"
#include "node/snapshot_fetch.h"
#include "node/snapshot_source.h"
#include "node/transfers.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define COMING_INTERVAL (500 * QR_MILLISECOND) /* whether the file that comes still has hope */
#define REMIND_INTERVAL (10 * QR_SECOND)       /* between log lines while it waits */

struct repairer {
    struct repair repair;
    struct replica_base base; /* what the replica will begin with */
    uint64_t patched, asked, answered;
    uint64_t position; /* of the log, behind all that was done to it here */
    qr_time remind_at;
    bool dropped, installed;
};

/* --- Repairing ------------------------------------------------------------------------------ */

static void look(struct partition *partition)
{
    struct node *node = partition->node;
    struct repairer *r = partition->repairer;
    struct repair_hole holes[REPAIR_QUESTIONS_MAX];
    struct log_group group = { 0 };
    repair_look(&r->repair, holes, repair_own_holes(partition, holes));
    (void)log_group_state(node->log, partition->group, &group);
    repair_lost_state(&r->repair, group.base_slot > r->base.slot ? group.base_slot : 0);
    r->position = log_position(node->log);
}

/* Takes the entries over; how many. */
static uint32_t take(struct partition *partition, const struct repair_hole *asked,
                     struct span records)
{
    struct node *node = partition->node;
    uint32_t taken = 0;
    while (records.n > 0) {
        struct record record;
        size_t n = record_read(records, &record);
        bool wanted = n > 0 && record.slot >= asked->lo && record.slot <= asked->hi &&
                      (asked->term == 0 || record.term == asked->term);
        if (!wanted || !replica_has_meaning(partition->replica, &record)) {
            break;
        }
        (void)io_failpoint(node->io, FAIL_PATCH);
        taken += log_patch(node->log, partition->group, span_of(records.p, n)) ? 1 : 0;
        (void)io_failpoint(node->io, FAIL_PATCHED);
        records = span_of(records.p + n, records.n - n);
    }
    return taken;
}

static void on_reply(struct partition *partition, node_index from, const struct repair_hole *asked,
                     enum repair_answer answer, struct span records)
{
    struct node *node = partition->node;
    struct repairer *r = partition->repairer;
    r->answered++;
    if (answer == REPAIR_HAS) {
        uint32_t taken = take(partition, asked, records);
        r->patched += taken;
        answer = taken > 0 ? REPAIR_HAS : REPAIR_UNKNOWN;
        look(partition);
    }
    repair_answered(&r->repair, from, asked, answer, node_clock(node));
}

/* Entries that the rule allows to drop (H2, H4): the others will bring what belongs there. */
static void drop(struct partition *partition, const struct repair_step *step)
{
    struct node *node = partition->node;
    char why[200];
    bool state = step->action == REPAIR_DROP_STATE;
    (void)snprintf(why, sizeof why,
                   state ? "its checkpoint is lost, its log begins behind slot %" PRIu64
                           ", and no member has had a checkpoint that reaches it"
                         : "entries from slot %" PRIu64 " on are damaged and were not committed, "
                           "or are in checkpoints only that do not fit",
                   state ? partition->repairer->repair.state_lost : step->hole.lo);
    if (damage_forgets(partition, why) < 0) {
        node_fail(node, "that a group has forgotten cannot be written");
        return;
    }
    if (state) {
        log_reset(node->log, partition->group, 0, 0);
    } else {
        log_truncate(node->log, partition->group, step->hole.lo);
    }
    partition->repairer->dropped = true;
    look(partition);
}

void repair_ask_for_state(struct partition *partition, node_index to, qr_slot least)
{
    uint8_t head[REPAIR_HEAD_BYTES_MAX];
    peers_tell_group(partition->node->peers, to, partition->group, FRAME_REPAIR_FETCH,
                     span_of(head, repair_fetch_write(least, head)));
}

static void ask(struct partition *partition, const struct repair_step *step)
{
    struct node *node = partition->node;
    uint8_t head[REPAIR_HEAD_BYTES_MAX];
    size_t n = repair_ask_write(&step->hole, head);
    partition->repairer->asked++;
    peers_tell_group(node->peers, step->to, partition->group, FRAME_REPAIR_ASK, span_of(head, n));
}

/* The log is whole, and durably so. */
static void finish(struct partition *partition)
{
    struct node *node = partition->node;
    char message[600];
    struct repairer *r = partition->repairer;
    r->base.forgetful = r->base.forgetful || partition->lost;
    (void)io_failpoint(node->io, FAIL_REPAIRED);
    if (!replica_start(partition->replica, &r->base, message, sizeof message)) {
        node_fail(node, message);
        return;
    }
    damage_log(partition, NODE_LOG_NOTICE,
               "The log is repaired: %" PRIu64 " entries were fetched%s%s", r->patched,
               r->installed ? ", and a checkpoint" : "",
               r->dropped ? ", the others were dropped" : "");
    repairer_free(r);
    partition->repairer = NULL;
    partition->loading = false;
    node_stir(node); /* what waited for it */
    if (!partition->lost) {
        damage_healed(partition);
    }
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        if (peers_connected(node->peers, i)) {
            replica_peer(partition->replica, i, true);
        }
    }
}

static void remind(struct partition *partition, qr_time now)
{
    struct repairer *r = partition->repairer;
    const struct repair_question *q = &r->repair.question[0];
    if (now < r->remind_at) {
        return;
    }
    r->remind_at = now + REMIND_INTERVAL;
    unsigned up = (unsigned)__builtin_popcount(r->repair.up);
    if (r->repair.coming) {
        damage_log(partition, NODE_LOG_NOTICE,
                   "Repairing: a checkpoint of another member is on its way");
    } else if (r->repair.count > 0) {
        damage_log(partition, NODE_LOG_WARNING,
                   "Repairing: entries %" PRIu64 " to %" PRIu64
                   " of the log are damaged, and no member that is connected (%u) has them so far; "
                   "%" PRIu64 " were fetched",
                   q->hole.lo, q->hole.hi, up, r->patched);
    } else {
        damage_log(
            partition, NODE_LOG_WARNING,
            "Repairing: the checkpoint is lost, and no member that is connected (%u) has had "
            "one that reaches slot %" PRIu64 " so far",
            up, r->repair.state_lost);
    }
}

static void note_figures(struct partition *partition)
{
    const struct repairer *r = partition->repairer;
    const struct repair_question *q = &r->repair.question[0];
    partition->repair = (struct repair_figures){ .holes = r->repair.count, .patched = r->patched };
    if (r->repair.count > 0) {
        partition->repair.first = q->hole.lo;
        partition->repair.never = (uint32_t)__builtin_popcount(q->never);
        partition->repair.gone = (uint32_t)__builtin_popcount(q->trimmed | q->other);
    }
}

/* A checkpoint came from elsewhere, and the end before the log said so: it may fit by now. */
static void use_own(struct partition *partition)
{
    struct repairer *r = partition->repairer;
    if (r->base.installed && damage_cover(partition, &r->repair, &r->base)) {
        look(partition);
    }
}

void repairer_turn(struct partition *partition, qr_time now)
{
    struct node *node = partition->node;
    struct repairer *r = partition->repairer;
    if (r == NULL && partition->rollback != NULL) {
        return; /* what it has forgotten it will say when it is opened again */
    }
    if (r == NULL) {
        if (partition->lost || partition->kept_checkpoint ||
            (partition->group == 0 && node->forgetful)) {
            damage_turn(partition, now);
        }
        return;
    }
    use_own(partition);
    repair_coming(&r->repair, fetch_has_hope(partition->fetch, now));
    repair_waits(&r->repair,
                 repair_wants_checkpoint(&r->repair, now) && !transfers_may_ask(partition, now));
    struct repair_step step = repair_next(&r->repair, now);
    for (; step.action == REPAIR_ASK || step.action == REPAIR_FETCH;
         step = repair_next(&r->repair, now)) {
        if (step.action == REPAIR_ASK) {
            ask(partition, &step);
        } else {
            repair_ask_for_state(partition, step.to, step.least);
        }
    }
    if (step.action == REPAIR_DROP || step.action == REPAIR_DROP_STATE) {
        drop(partition, &step);
        partition->again = true;
    } else if (step.action == REPAIR_WAIT) {
        remind(partition, now);
        partition_wake_at(partition, r->repair.coming ? now + COMING_INTERVAL : step.at);
    } else if (log_durable(node->log) >= r->position) {
        finish(partition);
        return;
    } else {
        partition->again = true;
    }
    note_figures(partition);
}

/* --- A checkpoint in the place of what is lost (H3) ------------------------------------------- */

bool repairer_offered(struct partition *partition, node_index from, qr_slot slot, qr_term term)
{
    struct node *node = partition->node;
    struct repair_view view;
    repair_view(partition, slot, slot, &view);
    return repair_offered(&partition->repairer->repair, &view.log, from, slot, term,
                          node_clock(node));
}

bool repairer_needs(struct partition *partition, qr_slot slot, qr_term term)
{
    return repair_own_fit(partition, &partition->repairer->repair, slot, term) != REPAIR_UNFIT;
}

void repairer_whole(struct partition *partition, const struct checkpoint_header *header,
                    const struct roster *roster)
{
    struct repairer *r = partition->repairer;
    enum repair_fit fit = repair_own_fit(partition, &r->repair, header->slot, header->term);
    if (fit == REPAIR_UNFIT || !replica_install_repaired(partition->replica, header, roster,
                                                         fit == REPAIR_KEEP, &r->base)) {
        return;
    }
    qr_slot stated_at;
    r->installed = true;
    partition_wake(partition);
    r->repair.members = replica_roster(partition->replica, &stated_at)->members;
    look(partition);
}

bool repairer_lost_state(const struct repairer *repairer)
{
    return repairer != NULL && repairer->repair.state_lost != 0;
}

void repairer_peer(struct partition *partition, node_index peer, bool up)
{
    if (partition->repairer != NULL) {
        repair_peer(&partition->repairer->repair, peer, up);
        partition_wake(partition);
    }
}

bool repairer_receive(struct partition *partition, node_index from, const struct frame *f)
{
    struct repair_hole hole;
    enum repair_answer answer;
    if (f->kind == FRAME_REPAIR_ASK) {
        if (!repair_ask_read(f->head, &hole) || f->tail.n > 0) {
            return false;
        }
        repair_on_ask(partition, from, &hole);
        return true;
    }
    if (f->kind == FRAME_REPAIR_FETCH) {
        qr_slot least;
        if (!repair_fetch_read(f->head, &least) || f->tail.n > 0) {
            return false;
        }
        transfers_asked(partition, from, least);
        return true;
    }
    if (!repair_reply_read(f->head, &hole, &answer)) {
        return false;
    }
    if (partition->repairer != NULL) {
        on_reply(partition, from, &hole, answer, f->tail);
    }
    return true;
}

static void tell_begin(struct partition *partition)
{
    const struct repair *r = &partition->repairer->repair;
    char what[100];
    if (r->state_lost != 0) {
        damage_tell(partition, "its checkpoint is damaged or lost");
        damage_log(partition, NODE_LOG_WARNING,
                   "Repairing: the checkpoint is damaged or lost, and the log begins behind slot "
                   "%" PRIu64 "; another member's is fetched before this node takes part",
                   r->state_lost);
    }
    if (r->count > 0) {
        qr_slot first = r->question[0].hole.lo;
        (void)snprintf(what, sizeof what,
                       "entries of its log are damaged, the first at slot %" PRIu64, first);
        damage_tell(partition, what);
        damage_log(partition, NODE_LOG_WARNING,
                   "Repairing: entries of the log are damaged, the first at slot %" PRIu64
                   "; they are fetched from the other members before this node takes part",
                   first);
    }
}

bool repairer_begin(struct partition *partition, const struct replica_base *base, char *message,
                    size_t cap)
{
    struct node *node = partition->node;
    struct repairer *r = qr_zalloc(sizeof *r);
    qr_slot stated_at;
    r->base = *base;
    r->remind_at = io_now(node->io) + QR_SECOND;
    partition->repairer = r;
    repair_init(&r->repair, (node_index)identity_me(&node->identity),
                &replica_roster(partition->replica, &stated_at)->members);
    look(partition);
    if (r->repair.count == 0 && r->repair.state_lost == 0) {
        repairer_free(r);
        partition->repairer = NULL;
        return replica_start(partition->replica, base, message, cap);
    }
    partition->loading = true;
    tell_begin(partition);
    return true;
}

void repairer_free(struct repairer *repairer)
{
    free(repairer);
}
