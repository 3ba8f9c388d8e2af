/* What must hold where a council chooses who leads (sim/council.h): who leads was chosen; what is
 * called committed is where the view of its term wants it; what is taken back is what the next
 * primary lacks, and is named; and at the end, what was acknowledged is there, or, where nothing
 * was waited for, named in a journal.
 *
 * Where nothing is waited for, two primaries may each call something committed in one slot. There
 * the whole ancestry of entries is kept, each found by the hash of its prefix. */
#include "sim/checkers/safety.h"
#include "sim/council.h"

#include <inttypes.h>

/* --- ancestry --------------------------------------------------------------------------------- */

struct line {
    struct entry entry; /* chain 0: empty */
    qr_slot slot;
    uint64_t before;
};

struct start {
    qr_term term;
    qr_slot last; /* of the primary's log when it began */
    uint64_t chain;
};

struct ancestry {
    struct line *lines; /* hash table by chain */
    size_t n, cap;
    struct start *starts;
    size_t start_n, start_cap;
};

static struct line *line_of(const struct ancestry *a, uint64_t chain)
{
    size_t i = (chain >> 7) & (a->cap - 1);
    while (a->lines[i].entry.chain != 0 && a->lines[i].entry.chain != chain) {
        i = (i + 1) & (a->cap - 1);
    }
    return &a->lines[i];
}

static void grow(struct ancestry *a)
{
    struct ancestry old = *a;
    a->cap = old.cap == 0 ? 1024 : old.cap * 2;
    a->lines = qr_zalloc(a->cap * sizeof *a->lines);
    for (size_t i = 0; i < old.cap; i++) {
        if (old.lines[i].entry.chain != 0) {
            *line_of(a, old.lines[i].entry.chain) = old.lines[i];
        }
    }
    free(old.lines);
}

struct ancestry *primary_ancestry(void)
{
    struct ancestry *a = qr_zalloc(sizeof *a);
    grow(a);
    return a;
}

void primary_ancestry_free(struct ancestry *a)
{
    free(a->lines);
    free(a->starts);
    free(a);
}

void primary_appended(struct world *w, const struct entry *e, qr_slot slot, uint64_t before)
{
    struct ancestry *a = w->council->ancestry;
    struct line *line = line_of(a, e->chain);
    if (line->entry.chain != 0) {
        return;
    }
    *line = (struct line){ .entry = *e, .slot = slot, .before = before };
    if (++a->n * 2 > a->cap) {
        grow(a);
    }
}

bool primary_entry(const struct world *w, uint64_t chain, qr_slot at, qr_slot slot,
                   struct entry *out)
{
    while (at > slot) {
        chain = line_of(w->council->ancestry, chain)->before;
        at--;
    }
    const struct line *line = line_of(w->council->ancestry, chain);
    if (at != slot || line->entry.chain == 0) {
        return false;
    }
    *out = line->entry;
    return true;
}

/* --- who leads, what is committed ------------------------------------------------------------- */

bool primary_was_silent(const struct world *w, const struct sim_node *n, qr_term term)
{
    const struct view *view = w->council != NULL ? council_view(w, term) : NULL;
    return view != NULL && view->primary == n->index && n->desk.spoke < term;
}

void primary_leads(struct world *w, struct sim_node *n, qr_term term)
{
    struct ancestry *a = w->council->ancestry;
    const struct view *view = council_view(w, term);
    if (view == NULL || view->primary != n->index) {
        world_violation(w, VIOLATION_VIEW, "node %d leads in term %" PRIu64, n->index, term);
    }
    a->start_n -= a->start_n > 0 && a->starts[a->start_n - 1].term == term ? 1 : 0; /* unheard */
    if (a->start_n == a->start_cap) {
        a->start_cap = a->start_cap == 0 ? 32 : a->start_cap * 2;
        a->starts = qr_realloc(a->starts, a->start_cap * sizeof *a->starts);
    }
    qr_slot last = image_last(&n->log);
    a->starts[a->start_n++] =
        (struct start){ .term = term, .last = last, .chain = image_chain(&n->log, last) };
}

static bool in_image(const struct image *i, qr_slot slot, uint64_t chain)
{
    return slot > i->base && slot <= image_last(i) && image_chain(i, slot) == chain;
}

/* Received: also where it is not durable, and where it was when the process died. */
static bool holds(const struct sim_node *n, const struct view *view, qr_slot slot, uint64_t chain)
{
    bool had = in_image(&n->log, slot, chain) || (n->lost && in_image(&n->ghost, slot, chain));
    return (view->stage == ACK_RECEIVED && had) || safety_on_disk(n, slot, chain);
}

static bool enough(const struct world *w, qr_term term, qr_slot slot, uint64_t chain)
{
    const struct view *view = council_view(w, term);
    uint16_t holders = 0;
    for (node_index i = 0; i < w->node_count && view != NULL; i++) {
        holders |= holds(&w->nodes[i], view, slot, chain) ? node_bit(i) : 0;
    }
    return view != NULL && council_counts(view, holders);
}

void primary_quorum(struct world *w, struct sim_node *n, qr_slot slot, uint64_t chain,
                    const struct outlook *now, const struct outlook *before)
{
    if (!enough(w, now->term, slot, chain) && !enough(w, before->term, slot, chain)) {
        world_violation(w, VIOLATION_QUORUM,
                        "node %d commits slot %" PRIu64 ", and not all that its view wants have it",
                        n->index, slot);
    }
    w->counted = max_u64(w->counted, slot);
}

/* Where two may call one slot committed: only what was answered counts, at the end. */
void primary_committed(struct world *w, struct sim_node *n, const struct outlook *o)
{
    if (o->commit > image_last(&n->log)) {
        world_violation(w, VIOLATION_CONTRACT, "node %d commits beyond its log", n->index);
    }
    for (qr_slot slot = n->checked_commit + 1; slot <= o->commit; slot++) {
        const struct entry *e = image_at(&n->log, slot);
        qr_assert(e != NULL);
        w->attempts[e->attempt].committed = e->attempt != 0 ? slot : 0;
        w->commit_term = max_u64(w->commit_term, o->term);
        n->checked_commit = slot;
    }
}

/* What a primary believes of a member is there. */
void primary_checked(struct world *w, struct sim_node *n, const struct outlook *o)
{
    for (node_index i = 0; i < o->members && o->role == ROLE_LEADER; i++) {
        const struct sim_node *m = &w->nodes[i];
        const struct member_outlook *believed = &o->member[i];
        qr_slot has = max_u64(image_last(&m->disk), m->safe.slot);
        bool sound = !m->lost && !m->damaged && m->term <= o->term && !believed->forgetful;
        if (i != n->index && sound && believed->match > has) {
            world_violation(w, VIOLATION_MATCH,
                            "node %d believes that %d has slot %" PRIu64 ", it has %" PRIu64,
                            n->index, i, believed->match, has);
        }
    }
}

/* --- what is taken back ----------------------------------------------------------------------- */

static const struct start *start_of(const struct world *w, qr_term term)
{
    const struct ancestry *a = w->council->ancestry;
    for (size_t i = 0; i < a->start_n; i++) {
        if (a->starts[i].term == term) {
            return &a->starts[i];
        }
    }
    return NULL;
}

/* Whether the primary of that term can be asked, and has the entry that stands there. */
static bool has_it(const struct world *w, const struct start *start, qr_slot slot, uint64_t chain)
{
    const struct sim_node *primary = &w->nodes[w->leader_of[start->term]];
    struct entry e;
    return primary->up && !primary->lost && slot > primary->log.base && slot <= start->last &&
           primary_entry(w, start->chain, start->last, slot, &e) && e.chain == chain;
}

/* Who begins anew cannot compare, and names what may be there. */
void primary_taken(struct world *w, struct sim_node *n, const struct effect *x)
{
    if (x->rollback.anew) {
        return;
    }
    qr_slot slot = x->rollback.slot;
    const struct start *start = start_of(w, x->rollback.term);
    if (!council_is_weak(w) && slot < n->checked_commit) {
        world_violation(w, VIOLATION_STATE_MACHINE_SAFETY,
                        "node %d takes back from %" PRIu64 ", committed up to %" PRIu64, n->index,
                        slot + 1, n->checked_commit);
    }
    if (start == NULL) {
        world_violation(w, VIOLATION_TAKEN,
                        "node %d takes back for term %" PRIu64 ", which nobody led", n->index,
                        x->rollback.term);
    }
    if (has_it(w, start, slot + 1, image_chain(&n->log, slot + 1))) {
        world_violation(w, VIOLATION_TAKEN,
                        "node %d takes back slot %" PRIu64 ", which the primary of term %" PRIu64
                        " has",
                        n->index, slot + 1, x->rollback.term);
    }
}

/* --- at the end ------------------------------------------------------------------------------- */

const char *primary_unsettled(struct world *w, uint16_t core, qr_slot target)
{
    node_index leader = world_leader(w);
    const struct view *view = council_now(w);
    if (leader == NODE_NONE || view->primary != leader || w->nodes[leader].term != view->term) {
        return "nobody leads the latest view";
    }
    const struct sim_node *primary = &w->nodes[leader];
    for (node_index i = 0; i < w->node_count; i++) {
        const struct sim_node *n = &w->nodes[i];
        if (((view->members | view->learners) & core & node_bit(i)) == 0) {
            continue;
        }
        if (n->lost || n->damaged) {
            return "a forgetful node is not brought up";
        }
        if (n->applied < target || n->applied != primary->applied) {
            return "a member is not brought up";
        }
        if (n->applied_chain != primary->applied_chain) {
            world_violation(w, VIOLATION_CONVERGENCE, "nodes %d and %d differ at slot %" PRIu64, i,
                            leader, n->applied);
        }
        if (memcmp(n->values, primary->values, w->options.keys * sizeof *n->values) != 0) {
            world_violation(w, VIOLATION_CONVERGENCE, "nodes %d and %d hold other values", i,
                            leader);
        }
    }
    return NULL;
}

static bool is_named(const struct world *w, uint32_t attempt)
{
    for (node_index i = 0; i < w->node_count; i++) {
        if (w->nodes[i].up && desk_names(&w->nodes[i].desk, attempt)) {
            return true;
        }
    }
    return false;
}

/* Who acknowledged it is gone, or its disk was lost, or, where that is no promise, it died before
 * it was durable. */
static bool is_excused(const struct world *w, const struct attempt *a)
{
    const struct sim_node *n = &w->nodes[a->node];
    bool died = w->options.received != 0 && w->options.everysec == 0 && n->incarnation != a->life;
    return !n->up || n->desk.wipes != a->wipes || died;
}

static void judge_acked(struct world *w, const uint8_t *there)
{
    for (size_t i = 1; i < w->operation_count; i++) {
        uint32_t attempt = w->operations[i].attempt;
        if (!w->operations[i].acked || there[attempt] != 0) {
            continue;
        }
        w->counters->lost_acked++;
        bool named = is_named(w, attempt);
        w->counters->lost_named += named ? 1 : 0;
        if (!named && !is_excused(w, &w->attempts[attempt])) {
            world_violation(w, VIOLATION_DURABILITY,
                            "operation %zu was acknowledged by node %d in slot %" PRIu64
                            ", is gone, and no journal names it",
                            i, w->attempts[attempt].node, w->operations[i].acked_slot);
        }
    }
}

/* Of what a journal names, nothing is in the log after all. */
static void judge_journal(struct world *w, const struct sim_node *n)
{
    for (size_t i = 0; i < n->desk.journal_n; i++) {
        const struct taken *t = &n->desk.journal[i];
        const struct entry *e = image_at(&n->log, t->slot);
        if (!t->given && e != NULL && e->term == t->term && t->slot <= n->applied) {
            world_violation(w, VIOLATION_TAKEN,
                            "node %d names slot %" PRIu64 " of term %" PRIu64
                            " as lost, and holds it",
                            n->index, t->slot, t->term);
        }
    }
}

/* Where nothing is waited for: what the last primary has executed is what there is. */
static void judge_weak(struct world *w, const struct sim_node *primary)
{
    uint8_t *there = qr_zalloc(w->attempt_count);
    struct entry e;
    uint64_t chain = primary->applied_chain;
    for (qr_slot slot = primary->applied; slot > 0 && primary_entry(w, chain, slot, slot, &e);
         slot--) {
        if (e.attempt != 0 && there[e.attempt]++ != 0) {
            world_violation(w, VIOLATION_TWICE, "attempt %u, slot %" PRIu64, e.attempt, slot);
        }
        if (e.attempt != 0 && w->attempts[e.attempt].refused) {
            world_violation(w, VIOLATION_FALSE_REFUSAL, "operation %u, slot %" PRIu64,
                            w->attempts[e.attempt].operation, slot);
        }
        chain = line_of(w->council->ancestry, chain)->before;
    }
    judge_acked(w, there);
    free(there);
}

void primary_judge(struct world *w)
{
    node_index leader = world_leader(w);
    if (!w->calm || leader == NODE_NONE) {
        return; /* nobody can go on, or a script is not at its end */
    }
    for (node_index i = 0; i < w->node_count; i++) {
        if (w->nodes[i].up) {
            judge_journal(w, &w->nodes[i]);
        }
    }
    const struct view *view = council_now(w);
    for (node_index i = 0; i < w->node_count; i++) {
        if (w->nodes[i].up && ((view->members | view->learners) & node_bit(i)) == 0) {
            takeback_dropped(w, &w->nodes[i]);
        }
    }
    if (council_is_weak(w)) {
        judge_weak(w, &w->nodes[leader]);
    }
}
