#include "protocol/repair.h"

#include "protocol/quorum.h"

#define ASK_INTERVAL (300 * QR_MILLISECOND)
/* So long what could be dropped is kept, for the sake of a member that may still have it. */
#define DROP_DELAY (2 * QR_SECOND)
#define FETCH_INTERVAL QR_SECOND
/* So long members may offer what does not fit, and so long nothing at all. */
#define UNFIT_PATIENCE (10 * QR_SECOND)
#define SILENCE_PATIENCE (60 * QR_SECOND)

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

/* The term run that holds the slot. */
static uint32_t run_of(const struct repair_log *log, qr_slot slot)
{
    uint32_t lo = 0;
    uint32_t hi = log->run_count;
    qr_assert(hi > 0 && log->runs[0].slot <= slot);
    while (hi - lo > 1) {
        uint32_t middle = lo + (hi - lo) / 2;
        lo = log->runs[middle].slot <= slot ? middle : lo;
        hi = log->runs[middle].slot <= slot ? hi : middle;
    }
    return lo;
}

/* The term of an entry that the log holds or held; 0 when that is not certain. */
static qr_term term_at(const struct repair_log *log, qr_slot slot)
{
    qr_assert(slot > log->base_slot && slot <= log->last_slot);
    const struct repair_hole *hole = hole_at(log, slot);
    return hole != NULL ? hole->term : log->runs[run_of(log, slot)].term;
}

/* Whether the entry behind the hole is in the log: then all of the hole is, or was (H1). */
static bool reaches(const struct repair_log *log, const struct repair_hole *asked)
{
    return asked->next_term != 0 && asked->hi < log->last_slot && asked->hi >= log->base_slot &&
           term_at(log, asked->hi + 1) == asked->next_term;
}

/* The first run of that term or a later one. */
static uint32_t run_from_term(const struct repair_log *log, qr_term term)
{
    uint32_t lo = 0;
    uint32_t hi = log->run_count;
    while (lo < hi) {
        uint32_t middle = lo + (hi - lo) / 2;
        lo = log->runs[middle].term < term ? middle + 1 : lo;
        hi = log->runs[middle].term < term ? hi : middle;
    }
    return lo;
}

/* Leaves of [*lo, *hi] what has the term. */
static void cut_to_term(const struct repair_log *log, qr_term term, qr_slot *lo, qr_slot *hi)
{
    uint32_t first = run_from_term(log, term);
    uint32_t end = run_from_term(log, term + 1);
    *lo = first < end ? max_u64(*lo, log->runs[first].slot) : *hi + 1;
    *hi = end < log->run_count ? min_u64(*hi, log->runs[end].slot - 1) : *hi;
}

bool repair_held(const struct repair_log *log, const struct repair_hole *asked, qr_slot from,
                 qr_slot *lo, qr_slot *hi)
{
    *lo = max_u64(max_u64(asked->lo, from), log->base_slot + 1);
    *hi = min_u64(asked->hi, log->last_slot);
    if (*lo <= *hi && !reaches(log, asked)) {
        cut_to_term(log, asked->term, lo, hi);
    }
    for (uint32_t i = 0; i < log->hole_count && log->holes[i].lo <= *hi; i++) {
        const struct repair_hole *hole = &log->holes[i];
        if (hole->lo > *lo) {
            *hi = hole->lo - 1;
        } else if (hole->hi >= *lo) {
            *lo = hole->hi + 1;
        }
    }
    return *lo <= *hi;
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
    qr_slot lo, hi;
    if (repair_held(log, asked, asked->lo, &lo, &hi)) {
        return REPAIR_HAS;
    }
    if (asked->lo <= log->base_slot) {
        if (log->state_lost) {
            return REPAIR_UNKNOWN; /* until it has one to give */
        }
        bool matches = asked->hi == log->base_slot && reaches(log, asked);
        return matches ? REPAIR_MATCHES : REPAIR_TRIMMED;
    }
    if (may_know_more(log, asked)) {
        return REPAIR_UNKNOWN;
    }
    bool there = asked->lo <= log->last_slot;
    if (there && asked->term == 0) {
        return log->repairs ? REPAIR_UNKNOWN : REPAIR_OTHER;
    }
    return REPAIR_NEVER;
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
    bool changed = count != r->count;
    for (uint32_t i = 0; i < count; i++) {
        qr_assert(holes[i].lo > 0 && holes[i].lo <= holes[i].hi);
        qr_assert(i == 0 || holes[i].lo > holes[i - 1].hi);
        const struct repair_question *same = find(r, &holes[i]);
        changed = changed || same == NULL;
        old[i] = same != NULL ? *same : (struct repair_question){ .hole = holes[i] };
    }
    for (uint32_t i = 0; i < count; i++) {
        r->question[i] = old[i];
    }
    r->count = count;
    r->unfit_from = changed ? 0 : r->unfit_from;
}

void repair_peer(struct repair *r, node_index peer, bool up)
{
    qr_assert(peer < MEMBERS_MAX && peer != r->me);
    uint16_t bit = node_bit(peer);
    r->up = up ? r->up | bit : r->up & (uint16_t)~bit;
    r->unfit_from &= (uint16_t)~bit;
    for (uint32_t i = 0; i < r->count; i++) {
        r->question[i].ask_at[peer] = 0; /* what it has said stands; it may know more by now */
    }
}

void repair_lost_state(struct repair *r, qr_slot slot)
{
    r->state_lost = slot;
}

/* Whether it may come to dropping everything from the hole on (H2), or to a checkpoint (H3). */
static bool is_decided(const struct repair *r, const struct repair_question *q)
{
    return q->trimmed != 0 || q->other != 0 || quorum_of(q->never, &r->members);
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
    q->trimmed &= (uint16_t)~bit;
    q->other &= (uint16_t)~bit;
    q->ask_at[from] = QR_NEVER;
    switch (answer) {
    case REPAIR_NEVER:
        q->never |= bit;
        break;
    case REPAIR_MATCHES:
        r->unfit_from = q->matches ? r->unfit_from : 0;
        q->matches = true; /* for good: it is about what is committed */
        q->trimmed |= bit;
        break;
    case REPAIR_TRIMMED:
        q->trimmed |= bit;
        break;
    case REPAIR_OTHER:
        q->other |= bit;
        break;
    case REPAIR_HAS:
    case REPAIR_UNKNOWN:
        q->ask_at[from] = now + ASK_INTERVAL;
        break;
    }
    q->decided_at = !is_decided(r, q) ? 0 : q->decided_at == 0 ? now : q->decided_at;
}

/* --- Checkpoints ---------------------------------------------------------------------------- */

/* Whether there is anything that the checkpoint would bring back. */
static bool is_of_use(const struct repair *r, const struct repair_log *own, qr_slot slot)
{
    return slot >= own->base_slot &&
           (r->state_lost != 0 || (r->count > 0 && slot >= r->question[0].hole.lo));
}

/* Whether the lost entry at the slot is the one that was committed there. */
static bool is_matched(const struct repair *r, qr_slot slot)
{
    for (uint32_t i = 0; i < r->count; i++) {
        const struct repair_question *q = &r->question[i];
        if (slot >= q->hole.lo && slot <= q->hole.hi) {
            return q->matches;
        }
    }
    return false;
}

enum repair_fit repair_fits(const struct repair *r, const struct repair_log *own, qr_slot slot,
                            qr_term term)
{
    if (!is_of_use(r, own, slot) || term < own->base_term) {
        return REPAIR_UNFIT;
    }
    if (slot > own->last_slot) {
        return REPAIR_REPLACE;
    }
    if (slot == own->base_slot) {
        return term == own->base_term ? REPAIR_KEEP : REPAIR_UNFIT;
    }
    qr_term ours = term_at(own, slot);
    if (ours == term || (ours == 0 && is_matched(r, slot))) {
        return REPAIR_KEEP;
    }
    return ours != 0 || slot == own->last_slot ? REPAIR_REPLACE : REPAIR_UNFIT;
}

/* Whether everybody who could still have it has said that it has not. */
static bool all_have_answered(const struct repair *r, const struct repair_question *q)
{
    uint16_t others = membership_all(&r->members) & (uint16_t) ~(1u << r->me);
    return (others & ~(q->never | q->trimmed | q->other)) == 0;
}

/* Nobody is waited for any longer who may have the entries. */
static bool is_ripe(const struct repair *r, const struct repair_question *q, qr_time now)
{
    return q->decided_at != 0 && (all_have_answered(r, q) || now >= q->decided_at + DROP_DELAY);
}

/* Who has a checkpoint that is wanted now, and from which slot on it helps. */
static uint16_t who_has_one(const struct repair *r, qr_time now, qr_slot *least)
{
    uint16_t who = r->state_lost != 0 ? r->up : 0;
    *least = max_u64(r->state_lost, r->unfit + 1);
    for (uint32_t i = 0; i < r->count; i++) {
        const struct repair_question *q = &r->question[i];
        const struct repair_hole *hole = &q->hole;
        if (q->trimmed != 0 && is_ripe(r, q, now)) {
            bool behind = hole->term == 0 && !q->matches && hole->next_term != 0;
            who |= q->trimmed & r->up;
            *least = max_u64(*least, behind ? hole->hi + 1 : hole->hi);
        }
    }
    return who & (uint16_t) ~(1u << r->me);
}

bool repair_offered(struct repair *r, const struct repair_log *own, node_index from, qr_slot slot,
                    qr_term term, qr_time now)
{
    qr_slot least;
    if (who_has_one(r, now, &least) == 0) {
        return false; /* perhaps the entries come, which is cheaper */
    }
    if (repair_fits(r, own, slot, term) != REPAIR_UNFIT) {
        return true;
    }
    r->unfit_from |= (uint16_t)(1u << from);
    r->unfit = max_u64(r->unfit, slot);
    return false;
}

void repair_coming(struct repair *r, bool coming)
{
    r->coming = coming;
    if (coming) {
        r->unfit = 0;
        r->unfit_from = 0;
    }
}

bool repair_wants_checkpoint(const struct repair *r, qr_time now)
{
    qr_slot least;
    return !r->coming && who_has_one(r, now, &least) != 0;
}

void repair_waits(struct repair *r, bool waits)
{
    r->waits = waits;
}

/* Whether a majority has said that it has not what is lost here: it could lead without this node
 * (H4). */
static bool is_known(const struct repair *r, const struct repair_question *q)
{
    return quorum_of(q->never | q->trimmed | q->other, &r->members);
}

/* The same of all that a checkpoint is wanted for. */
static bool all_is_known(const struct repair *r)
{
    bool known = r->state_lost == 0 || quorum_of(r->unfit_from, &r->members);
    for (uint32_t i = 0; i < r->count; i++) {
        known = known && (r->question[i].trimmed == 0 || is_known(r, &r->question[i]));
    }
    return known;
}

/* Whether those who are asked for a checkpoint have none that helps. */
static bool is_in_vain(const struct repair *r, qr_time now)
{
    return (r->unfit_at != 0 && now >= r->unfit_at + UNFIT_PATIENCE) ||
           (r->asked_at != 0 && now >= r->asked_at + SILENCE_PATIENCE);
}

/* One at a time: each of them may have to take a checkpoint first. */
static node_index next_of(uint16_t who, node_index last)
{
    uint16_t later = who & (uint16_t) ~((2u << last) - 1);
    return set_first(later != 0 ? later : who);
}

/* Sets `step` to whom to ask for a checkpoint, or to when that is. */
static bool next_fetch(struct repair *r, qr_time now, struct repair_step *step)
{
    uint16_t who = who_has_one(r, now, &step->least);
    if (who == 0 || r->coming || r->waits) {
        r->asked_at = r->unfit_at = 0; /* nobody is asked in vain */
        if (who != 0 && r->waits && now + FETCH_INTERVAL < step->at) {
            step->at = now + FETCH_INTERVAL;
        }
        return false;
    }
    bool known = all_is_known(r);
    bool unfit = known && (who & ~r->unfit_from) == 0;
    r->asked_at = !known ? 0 : r->asked_at == 0 ? now : r->asked_at;
    r->unfit_at = !unfit ? 0 : r->unfit_at == 0 ? now : r->unfit_at;
    if (now < r->fetch_at) {
        step->at = r->fetch_at < step->at ? r->fetch_at : step->at;
        return false;
    }
    r->fetch_at = now + FETCH_INTERVAL;
    r->fetch_last = next_of(who, r->fetch_last);
    step->action = REPAIR_FETCH;
    step->to = r->fetch_last;
    return true;
}

/* --- The next step -------------------------------------------------------------------------- */

/* Sets `step` to what is to be done about one hole, or to when that is. */
static bool next_about(struct repair *r, struct repair_question *q, qr_time now,
                       struct repair_step *step)
{
    step->hole = q->hole;
    bool ripe = is_ripe(r, q, now);
    bool helpless = is_known(r, q) && (q->trimmed == 0 || is_in_vain(r, now));
    if (ripe && helpless && !r->coming) {
        step->action = REPAIR_DROP;
        return true;
    }
    qr_time at = q->decided_at != 0 && !ripe ? q->decided_at + DROP_DELAY : QR_NEVER;
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
    if (next_fetch(r, now, &step)) {
        return step;
    }
    if (r->state_lost != 0 && !r->coming && is_in_vain(r, now)) {
        step.action = REPAIR_DROP_STATE;
        return step;
    }
    step.action = r->count == 0 && r->state_lost == 0 ? REPAIR_DONE : REPAIR_WAIT;
    return step;
}
