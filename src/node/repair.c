#include "node/repair.h"

#include "base/alloc.h"
#include "node/alarm.h"
#include "node/damage.h"
#include "node/node.h"
#include "node/peers.h"
#include "node/run.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define GROUP 0u
#define REMIND_INTERVAL (10 * QR_SECOND) /* between log lines while it waits */

struct repairer {
    struct repair repair;
    struct replica_base base; /* what the replica will begin with */
    uint64_t patched, asked, answered;
    qr_time remind_at;
    bool dropped;
};

/* --- The own log ---------------------------------------------------------------------------- */

/* The log for repair_judge, with copies of its lists. */
struct view {
    struct repair_log log;
    struct term_run *runs;
    struct repair_hole *holes;
};

static uint32_t holes_of(struct node *node, struct repair_hole *out, uint32_t max)
{
    struct log_hole *holes = qr_alloc((max + 1) * sizeof *holes);
    uint32_t n = log_holes(node->log, GROUP, holes, max);
    for (uint32_t i = 0; i < n; i++) {
        out[i] = (struct repair_hole){ .lo = holes[i].lo,
                                       .hi = holes[i].hi,
                                       .term = holes[i].term,
                                       .next_term = holes[i].next_term };
    }
    free(holes);
    return n;
}

static struct view view_of(struct node *node)
{
    struct view v = { 0 };
    struct log_group group = { 0 };
    struct outlook outlook;
    (void)log_group_state(node->log, GROUP, &group);
    replica_outlook(node->replica, &outlook);
    v.runs = qr_alloc((group.run_count + 1) * sizeof *v.runs);
    if (group.run_count > 0) {
        memcpy(v.runs, group.runs, group.run_count * sizeof *v.runs);
    }
    uint32_t cap = 16;
    do { /* all of them: a hole that is not known would be taken for entries */
        cap *= 2;
        v.holes = qr_realloc(v.holes, cap * sizeof *v.holes);
        v.log.hole_count = holes_of(node, v.holes, cap);
    } while (v.log.hole_count == cap);
    v.log.base_slot = group.base_slot;
    v.log.last_slot = group.last_slot;
    v.log.runs = v.runs;
    v.log.run_count = group.run_count;
    v.log.holes = v.holes;
    v.log.forgetful = node->forgetful || outlook.forgetful;
    return v;
}

static void view_free(struct view *v)
{
    free(v->runs);
    free(v->holes);
}

/* --- Answering ------------------------------------------------------------------------------ */

/* Sends the records of the hole that are in the log, as many as go into one frame. */
static bool send_records(struct node *node, node_index to, const struct view *v,
                         const struct repair_hole *asked)
{
    uint8_t head[REPAIR_HEAD_BYTES_MAX];
    uint8_t *records = NULL;
    size_t n = 0;
    qr_slot first = max_u64(asked->lo, v->log.base_slot + 1);
    for (qr_slot slot = first; slot <= asked->hi && slot <= v->log.last_slot; slot++) {
        struct span one;
        if (!repair_holds(&v->log, asked, slot)) {
            continue;
        }
        if (log_read(node->log, GROUP, slot, slot + 1, 1, &one) != 1 ||
            (n > 0 && n + one.n > REPAIR_REPLY_BYTES_MAX)) {
            break; /* damaged since the start, or enough for one answer */
        }
        records = qr_realloc(records, n + one.n);
        memcpy(records + n, one.p, one.n);
        n += one.n;
    }
    size_t head_n = repair_reply_write(asked, REPAIR_HAS, head);
    if (n > 0 && peers_bulk_room(node->peers, to)) { /* else it asks again */
        (void)peers_send_bulk(node->peers, to, FRAME_REPAIR_REPLY, span_of(head, head_n),
                              span_of(records, n));
    }
    free(records);
    return n > 0;
}

static void on_ask(struct node *node, node_index from, const struct repair_hole *asked)
{
    uint8_t head[REPAIR_HEAD_BYTES_MAX];
    struct view v = view_of(node);
    enum repair_answer answer = repair_judge(&v.log, asked);
    if (answer == REPAIR_HAS && !send_records(node, from, &v, asked)) {
        answer = REPAIR_UNKNOWN;
    }
    if (answer != REPAIR_HAS) {
        size_t n = repair_reply_write(asked, answer, head);
        peers_tell(node->peers, from, FRAME_REPAIR_REPLY, span_of(head, n));
    }
    view_free(&v);
}

/* --- Repairing ------------------------------------------------------------------------------ */

static void look(struct node *node)
{
    struct repair_hole holes[REPAIR_QUESTIONS_MAX];
    uint32_t n = holes_of(node, holes, REPAIR_QUESTIONS_MAX);
    repair_look(&node->repairer->repair, holes, n);
}

/* Takes the entries over; how many. */
static uint32_t take(struct node *node, const struct repair_hole *asked, struct span records)
{
    uint32_t taken = 0;
    while (records.n > 0) {
        struct record record;
        size_t n = record_read(records, &record);
        bool wanted = n > 0 && record.slot >= asked->lo && record.slot <= asked->hi &&
                      (asked->term == 0 || record.term == asked->term);
        if (!wanted || !replica_has_meaning(node->replica, &record)) {
            break;
        }
        (void)io_failpoint(node->io, FAIL_PATCH);
        taken += log_patch(node->log, GROUP, span_of(records.p, n)) ? 1 : 0;
        (void)io_failpoint(node->io, FAIL_PATCHED);
        records = span_of(records.p + n, records.n - n);
    }
    return taken;
}

static void on_reply(struct node *node, node_index from, const struct repair_hole *asked,
                     enum repair_answer answer, struct span records)
{
    struct repairer *r = node->repairer;
    r->answered++;
    if (answer == REPAIR_HAS) {
        uint32_t taken = take(node, asked, records);
        r->patched += taken;
        answer = taken > 0 ? REPAIR_HAS : REPAIR_UNKNOWN;
        look(node);
    }
    repair_answered(&r->repair, from, asked, answer, node_clock(node));
}

/* Entries that the rule allows to drop (H2, H3): the others will bring what belongs there. */
static void drop(struct node *node, qr_slot from)
{
    char why[200];
    (void)snprintf(why, sizeof why,
                   "entries from slot %" PRIu64 " on are damaged and were not committed, or are in "
                   "the others' checkpoints only",
                   from);
    if (damage_mark(node, why) < 0) {
        node_fail(node, "the file `forgetful` cannot be written");
        return;
    }
    log_truncate(node->log, GROUP, from);
    node->repairer->dropped = true;
    look(node);
}

static void ask(struct node *node, const struct repair_step *step)
{
    uint8_t head[REPAIR_HEAD_BYTES_MAX];
    size_t n = repair_ask_write(&step->hole, head);
    node->repairer->asked++;
    peers_tell(node->peers, step->to, FRAME_REPAIR_ASK, span_of(head, n));
}

/* The log is whole, and durably so. */
static void finish(struct node *node)
{
    char message[600];
    struct repairer *r = node->repairer;
    r->base.forgetful = node->forgetful;
    (void)io_failpoint(node->io, FAIL_REPAIRED);
    if (!replica_start(node->replica, &r->base, message, sizeof message)) {
        node_fail(node, message);
        return;
    }
    node_log(node, NODE_LOG_NOTICE, "The log is repaired: %" PRIu64 " entries were fetched%s",
             r->patched, r->dropped ? ", the others were dropped" : "");
    repairer_free(r);
    node->repairer = NULL;
    node->loading = false;
    if (!node->forgetful) {
        alarm_clear(node, ALARM_DAMAGED);
    }
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        if (peers_connected(node->peers, i)) {
            replica_peer(node->replica, i, true);
        }
    }
}

static void remind(struct node *node, qr_time now)
{
    struct repairer *r = node->repairer;
    const struct repair_question *q = &r->repair.question[0];
    if (now < r->remind_at) {
        return;
    }
    r->remind_at = now + REMIND_INTERVAL;
    node_log(node, NODE_LOG_WARNING,
             "Repairing: entries %" PRIu64 " to %" PRIu64 " of the log are damaged, and no member "
             "that is connected (%u) has them so far; %" PRIu64 " were fetched",
             q->hole.lo, q->hole.hi, (unsigned)__builtin_popcount(r->repair.up), r->patched);
}

static void note_figures(struct node *node)
{
    const struct repairer *r = node->repairer;
    const struct repair_question *q = &r->repair.question[0];
    node->repair = (struct repair_figures){ .holes = r->repair.count, .patched = r->patched };
    if (r->repair.count > 0) {
        node->repair.first = q->hole.lo;
        node->repair.never = (uint32_t)__builtin_popcount(q->never);
        node->repair.gone = (uint32_t)__builtin_popcount(q->gone);
    }
}

void repairer_turn(struct node *node, qr_time now)
{
    struct repairer *r = node->repairer;
    if (r == NULL) {
        if (node->forgetful) {
            damage_turn(node);
        }
        return;
    }
    struct repair_step step = repair_next(&r->repair, now);
    for (; step.action == REPAIR_ASK; step = repair_next(&r->repair, now)) {
        ask(node, &step);
    }
    if (step.action == REPAIR_DROP) {
        drop(node, step.hole.lo);
        node->again = true;
    } else if (step.action == REPAIR_WAIT) {
        remind(node, now);
        node->wake = step.at < node->wake ? step.at : node->wake;
    } else if (log_idle(node->log)) {
        finish(node);
        return;
    } else {
        node->again = true;
    }
    note_figures(node);
}

void repairer_peer(struct node *node, node_index peer, bool up)
{
    if (node->repairer != NULL) {
        repair_peer(&node->repairer->repair, peer, up);
    }
}

bool repairer_receive(struct node *node, node_index from, const struct frame *f)
{
    struct repair_hole hole;
    enum repair_answer answer;
    if (f->kind == FRAME_REPAIR_ASK) {
        if (!repair_ask_read(f->head, &hole) || f->tail.n > 0) {
            return false;
        }
        on_ask(node, from, &hole);
        return true;
    }
    if (!repair_reply_read(f->head, &hole, &answer)) {
        return false;
    }
    if (node->repairer != NULL) {
        on_reply(node, from, &hole, answer, f->tail);
    }
    return true;
}

bool repairer_begin(struct node *node, const struct replica_base *base, char *message, size_t cap)
{
    struct log_hole hole;
    if (log_holes(node->log, GROUP, &hole, 1) == 0) {
        return replica_start(node->replica, base, message, cap);
    }
    struct repairer *r = qr_zalloc(sizeof *r);
    qr_slot stated_at;
    r->base = *base;
    r->remind_at = io_now(node->io) + QR_SECOND;
    node->repairer = r;
    node->loading = true;
    repair_init(&r->repair, (node_index)identity_me(&node->identity),
                &replica_roster(node->replica, &stated_at)->members);
    look(node);
    alarm_raise(node, ALARM_DAMAGED, "entries of its log are damaged, the first at slot %" PRIu64,
                hole.lo);
    node_log(node, NODE_LOG_WARNING,
             "Repairing: entries of the log are damaged, the first at slot %" PRIu64
             "; they are fetched from the other members before this node takes part",
             hole.lo);
    return true;
}

void repairer_free(struct repairer *repairer)
{
    free(repairer);
}
