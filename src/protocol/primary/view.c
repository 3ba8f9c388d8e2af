/* Who is the primary: views and leases, as group 0 has written them down.
 *
 * L1 Terms are promised: once a term is, nothing of a primary of an older one is taken, and that
 *    is durable before this node says anything in the term, or tells where it stands. So what
 *    those that stand tell stays true until the next view, and an older primary gets no more
 *    acknowledgements from them (Liskov and Cowling 2012, DOVIEWCHANGE; PacificA, 4).
 * L2 A term has one primary, and that one begins it once. A primary that starts anew has lost what
 *    it had not made durable, while others may have it under the same slot and term. So that it
 *    began a term is durable before anything of the term leaves (`led`), and it does not lead in
 *    it again: it is barred, which group 0 sees and writes down another term.
 * L3 It stands when its view has no primary yet. It tells so when its promise and its whole log
 *    are durable; nothing comes into the log meanwhile but a snapshot that goes further.
 * L4 A primary serves when an entry of its own term is committed: then whatever was acknowledged
 *    before is committed here too. One that leads and is named again in the term that follows
 *    knows all that was acknowledged: it gave every answer itself, and so it serves on (`exact`).
 * L5 Without its lease it takes nothing and answers no read. What it had sent may still be
 *    acknowledged: by the rule, and by nobody who promised a later term.
 * L6 A message may raise the promise before the view of its term is here. A view of a term that is
 *    below the promise says nothing then.
 * L7 A forgetful member leads only where group 0 chose it as it is: in this life (`whole`),
 *    because nothing was promised that it could have lost, or because people have ordered it and
 *    the loss is told. Chosen in a life before it has lost what it was chosen for, and may have
 *    led in that very term (L2). */
#include "protocol/primary/state.h"

/* --- Terms ------------------------------------------------------------------------------------ */

static void step_down(struct primary *p, struct effects *out)
{
    effects_trace(out, POINT_STEPS_DOWN, p->term, 0, 0);
    primary_transfer_end(p, out);
    p->phase = PHASE_FOLLOWER;
    p->own = p->trail.last_slot; /* S5 */
    p->exact = false;
    p->term_start = 0;
}

void primary_promise(struct primary *p, struct effects *out, qr_term term)
{
    qr_assert(term > p->term);
    effects_trace(out, POINT_PROMISED, p->term, term, 0);
    if (p->phase == PHASE_PRIMARY) {
        step_down(p, out);
    }
    bool next = term == p->term + 1 && p->leader != p->me && p->leader != NODE_NONE;
    p->had = next ? p->matched : 0;
    p->had_by = p->leader;
    p->phase = PHASE_FOLLOWER;
    p->feed = 0;
    p->fed = 0;
    p->term = term;
    p->led = false;
    p->state_dirty = true;
    p->leader = NODE_NONE;
    p->matched = 0;
    p->told = 0;
    p->echo = 0;
    p->barred = false;
    primary_refuse_reads(p, out); /* I4 */
}

static void follow(struct primary *p, struct effects *out, node_index leader)
{
    qr_assert(p->phase != PHASE_PRIMARY);
    qr_assert(leader != p->me);
    effects_trace(out, POINT_FOLLOWS, p->term, leader, 0);
    p->phase = PHASE_FOLLOWER;
    p->leader = leader;
    primary_match_own_term(p);
}

bool primary_follow(struct primary *p, struct effects *out, node_index from, qr_term term)
{
    if (term < p->term) {
        effects_trace(out, POINT_STALE_PRIMARY, term, from, 0);
        struct primary_stale *reply =
            PRIMARY_SEND(out, from, STALE, stale, primary_ticket(p, out, 0));
        reply->term = p->term;
        return false;
    }
    bool named = p->view.term == term && p->view.primary != NODE_NONE;
    bool another = named && p->view.primary != from;
    another = another || (term == p->term && p->leader != NODE_NONE && p->leader != from);
    if (another || (term == p->term && p->led)) {
        effects_trace(out, POINT_IMPOSTOR, term, from, 0); /* L2: it was this node, or is another */
        return false;
    }
    if (term > p->term) {
        primary_promise(p, out, term); /* L6 */
    }
    if (p->leader != from) {
        follow(p, out, from);
    }
    return true;
}

/* --- Leading ---------------------------------------------------------------------------------- */

/* Members that it fed before are where they were: its log goes on. */
static void feed(struct primary *p)
{
    uint16_t all = (uint16_t)(view_all(&p->view) & ~node_bit(p->me));
    for (uint32_t rest = all; rest != 0; rest &= rest - 1) {
        node_index i = set_first(rest);
        if ((p->feed & node_bit(i)) == 0) {
            p->peer[i] = (struct peer){ 0 };
            primary_probe(p, i);
        }
        p->peer[i].in_flight = 0; /* answers of the term before say nothing in this one */
        p->peer[i].probed = false;
        p->peer[i].feeder = NODE_NONE;
    }
    p->feed = all;
    p->fed = 0;
}

static void begin_term(struct primary *p, struct effects *out)
{
    p->led = true; /* L2: with the record of the NOOP */
    p->state_dirty = true;
    p->leads_since = p->now;
    p->term_start = p->trail.last_slot + 1;
    p->commit_told = p->commit;
    feed(p);
    primary_persist_entries(p, out, p->term_start + 1, p->term, 0, true);
    primary_advance_commit(p); /* it may be the only one to be counted */
    primary_heartbeat_all(p, out);
    primary_replicate_all(p, out);
}

static void lead(struct primary *p, struct effects *out)
{
    effects_trace(out, POINT_LEADS, p->term, p->trail.last_slot, 0);
    p->phase = PHASE_PRIMARY;
    p->leader = p->me;
    p->matched = 0;
    p->exact = false;
    p->feed = 0;
    p->forgetful = false; /* L7 */
    begin_term(p, out);
}

/* L4 */
static void go_on(struct primary *p, struct effects *out, qr_term term)
{
    effects_trace(out, POINT_GOES_ON, term, p->trail.last_slot, 0);
    p->exact = p->exact && term == p->term + 1;
    primary_transfer_end(p, out);
    p->term = term;
    begin_term(p, out);
}

/* Why it may not lead in the term that it is named for; 0: it may. */
static uint32_t barred(const struct primary *p, qr_term term)
{
    if (p->led && p->term == term) {
        return 1; /* L2 */
    }
    if (p->forgetful && !p->view.whole) {
        return 2; /* L7 */
    }
    return trail_has_room(&p->trail, p->trail.last_slot + 1, term, p->commit) ? 0 : 3;
}

static void take_lead(struct primary *p, struct effects *out, qr_term term)
{
    uint32_t why = barred(p, term);
    if (p->phase == PHASE_PRIMARY && why == 0) {
        go_on(p, out, term);
        return;
    }
    if (term > p->term) {
        primary_promise(p, out, term);
    }
    p->barred = why != 0;
    if (p->barred) {
        effects_trace(out, POINT_BARRED, term, why, 0);
        p->phase = PHASE_FOLLOWER;
        return;
    }
    lead(p, out);
}

/* --- Views ------------------------------------------------------------------------------------ */

static bool is_sound(const struct primary *p, const struct view *v)
{
    bool sets = v->members != 0 && view_all(v) < 1u << MEMBERS_MAX &&
                (v->members & v->learners) == 0 && (v->set & ~v->members) == 0;
    bool primary = v->primary == NODE_NONE ||
                   (v->primary < MEMBERS_MAX && (v->members & node_bit(v->primary)) != 0);
    return v->term > 0 && sets && primary && v->stage < ACK_STAGES &&
           !trail_is_absurd(&p->trail, v->term);
}

static bool is_news(const struct primary *p, const struct view *v)
{
    bool chosen = v->term == p->view.term && p->view.primary == NODE_NONE;
    return v->term > p->view.term || (chosen && v->primary != NODE_NONE);
}

/* A term has one primary: whoever speaks as it was told of by somebody else. */
static bool contradicts(const struct primary *p, const struct view *v)
{
    return v->term == p->term && v->primary != NODE_NONE && p->leader != NODE_NONE &&
           p->leader != v->primary;
}

static void take_view(struct primary *p, struct effects *out, const struct view *v)
{
    p->view = *v;
    bool counts = (v->members & node_bit(p->me)) != 0;
    if (v->set == 0 && v->copies == 0 && !p->local) {
        p->local = true; /* S5: known before anything is answered by that rule */
        p->state_dirty = true;
    }
    if (v->forgot > p->forgot) {
        p->forgot = v->forgot;
        p->floor = 0; /* S5 */
        p->state_dirty = true;
    }
    if (v->primary == p->me) {
        take_lead(p, out, v->term);
        return;
    }
    if (v->term > p->term) {
        primary_promise(p, out, v->term);
    }
    if (v->primary != NODE_NONE && p->leader != v->primary) {
        follow(p, out, v->primary);
    } else if (v->primary == NODE_NONE && p->leader == NODE_NONE && counts && !p->forgetful) {
        effects_trace(out, POINT_STANDS, p->term, p->trail.last_slot, trail_last_term(&p->trail));
        p->phase = PHASE_STANDING; /* L3 */
    }
}

void primary_on_view(struct primary *p, struct effects *out, const struct view *v)
{
    if (!is_sound(p, v)) {
        effects_trace(out, POINT_VIEW_UNSOUND, v->term, 0, 0);
        return;
    }
    if (!is_news(p, v)) {
        return;
    }
    if (v->term < p->term) {
        effects_trace(out, POINT_VIEW_OLD, v->term, p->term, 0); /* L6 */
        return;
    }
    if (contradicts(p, v)) {
        effects_trace(out, POINT_VIEW_UNSOUND, v->term, p->leader, 0);
        return;
    }
    effects_trace(out, POINT_VIEW, v->term, v->primary, v->members);
    take_view(p, out, v);
}

void primary_on_lease(struct primary *p, struct effects *out, bool held)
{
    if (held != p->leased) {
        effects_trace(out, POINT_LEASE, held, 0, 0);
        p->leased = held; /* L5 */
    }
}

bool primary_stands(const struct primary *p)
{
    return p->phase == PHASE_STANDING && !p->forgetful && p->journal.durable == p->journal.minted;
}
