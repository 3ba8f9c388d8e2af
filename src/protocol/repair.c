#include "protocol/repair.h"

#include "protocol/quorum.h"

#define ASK_INTERVAL (300 * QR_MILLISECOND)
/* So long what could be dropped is kept, for the sake of a member that may still have it. */
#define DROP_DELAY (2 * QR_SECOND)

/* --- Answering ------------------------------------------------------------------------------ */

/* The hole that holds the slot; NULL when its entry is there. */
static const struct repair_hole *hole_at(const struct repair_log *log, qr_slot slot)
{
    for (uint32_t i = 0; i < log->hole_count; i++) {
        if (slot >= log->holes[i].lo && slot <= log->holes[i].hi) {
            return &log->holes[i];
        }
    }
    return NULL;
}

/* The term of an entry that the log holds or held; 0 when that is not certain. */
static qr_term term_at(const struct repair_log *log, qr_slot slot)
{
    qr_assert(slot > log->base_slot && slot <= log->last_slot);
    const struct repair_hole *hole = hole_at(log, slot);
    qr_term term = 0;
    for (uint32_t i = 0; i < log->run_count && log->runs[i].slot <= slot; i++) {
        term = log->runs[i].term;
    }
    return hole != NULL ? hole->term : term;
}

/* Whether the entry behind the hole is in the log: then all of the hole is, or was (H1). */
static bool reaches(const struct repair_log *log, const struct repair_hole *asked)
{
    return asked->next_term != 0 && asked->hi < log->last_slot && asked->hi >= log->base_slot &&
           term_at(log, asked->hi + 1) == asked->next_term;
}

bool repair_holds(const struct repair_log *log, const struct repair_hole *asked, qr_slot slot)
{
    qr_assert(slot >= asked->lo && slot <= asked->hi);
    if (slot <= log->base_slot || slot > log->last_slot || hole_at(log, slot) != NULL) {
        return false;
    }
    return reaches(log, asked) || (asked->term != 0 && term_at(log, slot) == asked->term);
}

/* Whether what the log knows less of than it once did could have been the answer. */
static bool may_know_more(const struct repair_log *log, const struct repair_hole *asked)
{
    bool there = asked->lo <= log->last_slot;
    if (log->forgetful || (there && hole_at(log, asked->lo) != NULL)) {
        return true;
    }
    bool anchored = there && asked->next_term != 0 && asked->hi < log->last_slot;
    return anchored && term_at(log, asked->hi + 1) == 0;
}

enum repair_answer repair_judge(const struct repair_log *log, const struct repair_hole *asked)
{
    qr_slot first = max_u64(asked->lo, log->base_slot + 1);
    for (qr_slot slot = first; slot <= asked->hi && slot <= log->last_slot; slot++) {
        if (repair_holds(log, asked, slot)) {
            return REPAIR_HAS;
        }
    }
    if (asked->lo <= log->base_slot) {
        return REPAIR_TRIMMED;
    }
    if (may_know_more(log, asked)) {
        return REPAIR_UNKNOWN;
    }
    bool there = asked->lo <= log->last_slot;
    return there && asked->term == 0 ? REPAIR_OTHER : REPAIR_NEVER;
}

/* --- Asking --------------------------------------------------------------------------------- */

static bool same_hole(const struct repair_hole *a, const struct repair_hole *b)
{
    return a->lo == b->lo && a->hi == b->hi && a->term == b->term && a->next_term == b->next_term;
}

static struct repair_question *find(struct repair *r, const struct repair_hole *hole)
{
    for (uint32_t i = 0; i < r->count; i++) {
        if (same_hole(&r->question[i].hole, hole)) {
            return &r->question[i];
        }
    }
    return NULL;
}

void repair_init(struct repair *r, node_index me, const struct membership *members)
{
    *r = (struct repair){ .me = me, .members = *members };
}

void repair_look(struct repair *r, const struct repair_hole *holes, uint32_t count)
{
    qr_assert(count <= REPAIR_QUESTIONS_MAX);
    struct repair_question old[REPAIR_QUESTIONS_MAX];
    for (uint32_t i = 0; i < count; i++) {
        qr_assert(holes[i].lo > 0 && holes[i].lo <= holes[i].hi);
        qr_assert(i == 0 || holes[i].lo > holes[i - 1].hi);
        const struct repair_question *same = find(r, &holes[i]);
        old[i] = same != NULL ? *same : (struct repair_question){ .hole = holes[i] };
    }
    for (uint32_t i = 0; i < count; i++) {
        r->question[i] = old[i];
    }
    r->count = count;
}

void repair_peer(struct repair *r, node_index peer, bool up)
{
    qr_assert(peer < MEMBERS_MAX && peer != r->me);
    uint16_t bit = node_bit(peer);
    r->up = up ? r->up | bit : r->up & (uint16_t)~bit;
    for (uint32_t i = 0; i < r->count; i++) {
        r->question[i].ask_at[peer] = 0; /* what it has said stands; it may know more by now */
    }
}

/* Whether everything from the hole on may be dropped (H2, H3). */
static bool may_drop(const struct repair *r, const struct repair_question *q)
{
    return q->gone != 0 || quorum_of(q->never, &r->members);
}

void repair_answered(struct repair *r, node_index from, const struct repair_hole *asked,
                     enum repair_answer answer, qr_time now)
{
    qr_assert(from < MEMBERS_MAX);
    struct repair_question *q = find(r, asked);
    if (q == NULL || from == r->me) {
        return;
    }
    uint16_t bit = node_bit(from);
    q->never &= (uint16_t)~bit;
    q->gone &= (uint16_t)~bit;
    switch (answer) {
    case REPAIR_NEVER:
        q->never |= bit;
        q->ask_at[from] = QR_NEVER;
        break;
    case REPAIR_TRIMMED:
    case REPAIR_OTHER:
        q->gone |= bit;
        q->ask_at[from] = QR_NEVER;
        break;
    case REPAIR_HAS:
    case REPAIR_UNKNOWN:
        q->ask_at[from] = now + ASK_INTERVAL;
        break;
    }
    q->decided_at = !may_drop(r, q) ? 0 : q->decided_at == 0 ? now : q->decided_at;
}

/* Whether everybody who could still have it has said that it has not. */
static bool all_have_answered(const struct repair *r, const struct repair_question *q)
{
    uint16_t others = membership_all(&r->members) & (uint16_t) ~(1u << r->me);
    return (others & ~(q->never | q->gone)) == 0;
}

/* Sets `step` to what is to be done about one hole, or to when that is. */
static bool next_about(struct repair *r, struct repair_question *q, qr_time now,
                       struct repair_step *step)
{
    step->hole = q->hole;
    bool may = may_drop(r, q);
    if (may && (all_have_answered(r, q) || now >= q->decided_at + DROP_DELAY)) {
        step->action = REPAIR_DROP;
        return true;
    }
    qr_time at = may ? q->decided_at + DROP_DELAY : QR_NEVER;
    for (uint32_t rest = r->up & ~(1u << r->me); rest != 0; rest &= rest - 1) {
        node_index i = set_first(rest);
        if (q->ask_at[i] <= now) {
            q->ask_at[i] = now + ASK_INTERVAL;
            step->action = REPAIR_ASK;
            step->to = i;
            return true;
        }
        at = q->ask_at[i] < at ? q->ask_at[i] : at;
    }
    step->at = at < step->at ? at : step->at;
    return false;
}

struct repair_step repair_next(struct repair *r, qr_time now)
{
    struct repair_step step = { .action = REPAIR_WAIT, .at = QR_NEVER };
    for (uint32_t i = 0; i < r->count; i++) {
        if (next_about(r, &r->question[i], now, &step)) {
            return step;
        }
    }
    step.action = r->count == 0 ? REPAIR_DONE : REPAIR_WAIT;
    return step;
}
