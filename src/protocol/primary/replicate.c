/* The primary's side of the log: entries out, acknowledgements in.
 *
 * G1 Entries go out before the own write is durable; nothing of a term before the record that it
 *    is begun is (view.c, L2).
 * G2 An answer is asked for where the rule waits for the member, or half the window is unanswered:
 *    so a write costs one message for each asynchronous copy and two for each synchronous one.
 *    Where none is asked for the message may leave with the next ones.
 * G3 What was asked to be sent is a hope: the driver may attach fewer entries, the link may lose
 *    them. Only an acknowledgement moves `got` and `match`. A gap is refused by the member. When
 *    the last answer brings less than was sent, the rest is sent again; a loss with nothing behind
 *    it is found by the empty APPEND that goes with each heartbeat while something is unanswered.
 * G4 A refusal names the member's last entry that may agree: whole terms are skipped at once. When
 *    not even where its log begins is in this log, it has to begin anew (rollback.c, B3); so it may
 *    have to where it contradicts the slot at which this log begins: it is told, and knows. */
#include "protocol/primary/state.h"

/* --- Sending -------------------------------------------------------------------------------- */

/* G1 */
static qr_ticket begun(const struct primary *p)
{
    return journal_pending(&p->journal, p->state_ticket);
}

qr_slot primary_end(const struct primary *p)
{
    return p->phase == PHASE_PRIMARY ? p->trail.last_slot : p->matched; /* feed.c, R1 */
}

void primary_push_append(struct primary *p, struct effects *out, node_index to, qr_slot prev,
                         bool ask)
{
    struct primary_append *m = PRIMARY_SEND(out, to, APPEND, append, begun(p));
    m->term = p->term;
    m->prev_slot = prev;
    m->prev_term = trail_term(&p->trail, prev);
    m->commit = p->commit;
    m->floor = p->floor;
    m->sent = p->now;
    m->ask = ask;
}

static void push_relay(struct primary *p, struct effects *out, node_index to, bool ask)
{
    qr_slot prev = p->peer[to].next - 1;
    struct primary_relay *m = PRIMARY_SEND(out, to, RELAY, relay, begun(p));
    m->term = p->term;
    m->prev_slot = prev;
    m->prev_term = trail_term(&p->trail, prev);
    m->commit = min_u64(p->commit, p->matched);
    m->sent = p->now;
    m->ask = ask;
}

/* Whether it is to say how far it has come: G2. */
static bool asks(const struct primary *p, node_index to, qr_slot hi)
{
    const struct peer *peer = &p->peer[to];
    bool probes = peer->mode == PEER_PROBE || hi == peer->next;
    bool half = hi - 1 - peer->got > primary_window(p) / 2;
    bool awaited = primary_awaits(p, to) || (p->transfer_paused && p->transfer_to == to); /* X1 */
    return probes || half || (p->phase == PHASE_PRIMARY && (peer->forgetful || awaited));
}

/* One APPEND, or RELAY, with entries [next, ..), at most as many as one message may hold, of one
 * term. */
static void send_append(struct primary *p, struct effects *out, node_index to, bool with_entries)
{
    struct peer *peer = &p->peer[to];
    qr_assert(!p->state_dirty);
    qr_assert(peer->next - 1 >= p->trail.base_slot);
    qr_slot hi = peer->next;
    if (with_entries && peer->next <= primary_end(p)) {
        hi = min_u64(trail_run_end(&p->trail, peer->next), peer->next + p->limits.append_entries);
        hi = min_u64(hi, primary_end(p) + 1);
    }
    bool ask = asks(p, to, hi);
    if (p->phase == PHASE_PRIMARY) {
        primary_push_append(p, out, to, peer->next - 1, ask);
    } else {
        push_relay(p, out, to, ask);
    }
    if (hi > peer->next) {
        struct message *message = &out->v[out->n - 1].send.message;
        message->lo = peer->next;
        message->hi = hi;
        message->term = trail_term(&p->trail, peer->next);
        message->patient = !ask;
    }
    peer->in_flight = (uint16_t)(peer->in_flight + (ask && peer->in_flight < UINT16_MAX));
    peer->unasked = peer->unasked || !ask;
    if (peer->mode == PEER_PROBE) {
        peer->probed = true;
    } else {
        peer->next = hi;
    }
}

/* Without the entry before `next` there is no APPEND to make: it needs a snapshot. */
static bool is_within_reach(struct primary *p, struct effects *out, node_index to)
{
    struct peer *peer = &p->peer[to];
    if (p->phase != PHASE_PRIMARY && peer->next - 1 < p->trail.base_slot) {
        primary_feed_no_more(p, out, to, peer->next);
        return false;
    }
    if (peer->mode != PEER_SNAPSHOT && peer->next - 1 < p->trail.base_slot) {
        effects_trace(out, POINT_NEEDS_SNAPSHOT, to, p->trail.base_slot + 1, 0);
        peer->mode = PEER_SNAPSHOT;
        peer->in_flight = 0;
        primary_want_snapshot(p, out, to);
    }
    return peer->mode != PEER_SNAPSHOT;
}

void primary_replicate(struct primary *p, struct effects *out, node_index to)
{
    qr_assert((p->feed & node_bit(to)) != 0);
    qr_assert(to != p->me);
    struct peer *peer = &p->peer[to];
    if ((p->fed & node_bit(to)) != 0 || !is_within_reach(p, out, to)) {
        return;
    }
    if (peer->mode == PEER_PROBE) {
        if (!peer->probed) {
            send_append(p, out, to, true);
        }
        return;
    }
    for (uint32_t i = 0; i < APPENDS_PER_STEP; i++) {
        bool full = peer->in_flight >= p->limits.appends_in_flight ||
                    peer->next - 1 - peer->got >= primary_window(p);
        if (peer->next > primary_end(p) || full) {
            return;
        }
        send_append(p, out, to, true);
    }
}

void primary_replicate_all(struct primary *p, struct effects *out)
{
    for (uint32_t rest = p->feed; rest != 0; rest &= rest - 1) {
        primary_replicate(p, out, set_first(rest));
    }
}

void primary_probe(struct primary *p, node_index to)
{
    struct peer *peer = &p->peer[to];
    peer->mode = PEER_PROBE;
    peer->probed = false;
    peer->unasked = false;
    peer->in_flight = 0;
    peer->next = primary_end(p) + 1;
    if (peer->got > 0) {
        peer->next = max_u64(peer->got, p->trail.base_slot) + 1;
    }
}

void primary_heartbeat(struct primary *p, struct effects *out, node_index to)
{
    struct primary_heartbeat *m = PRIMARY_SEND(out, to, HEARTBEAT, heartbeat, begun(p));
    m->term = p->term;
    m->commit = min_u64(p->commit, p->peer[to].got);
    m->floor = p->floor;
    m->sent = p->now;
}

/* Now and then only: every such APPEND is refused until a snapshot is installed. */
static void remind_of_snapshot(struct primary *p, struct effects *out, node_index to)
{
    struct peer *peer = &p->peer[to];
    if (++peer->in_flight < SNAPSHOT_REMINDER) {
        return;
    }
    /* It may have been brought so far meanwhile. */
    peer->next = max_u64(p->trail.base_slot, peer->got) + 1;
    send_append(p, out, to, false);
    primary_want_snapshot(p, out, to);
    peer->in_flight = 0;
}

/* The APPEND that goes with a heartbeat to a member of which something is awaited (G3): a repeated
 * probe carries nothing, the member may be down or slow. */
void primary_remind(struct primary *p, struct effects *out, node_index to)
{
    bool fed = (p->fed & node_bit(to)) != 0; /* then it is watched (feed.c, R3) */
    struct peer *peer = &p->peer[to];
    if (peer->mode == PEER_SNAPSHOT) {
        remind_of_snapshot(p, out, to);
    } else if (!is_within_reach(p, out, to)) {
        return;
    } else if (peer->mode == PEER_PROBE) {
        send_append(p, out, to, !peer->probed && !fed);
    } else if (peer->match + 1 < peer->next || peer->forgetful || fed) {
        send_append(p, out, to, false);
    }
}

void primary_ask(struct primary *p, struct effects *out, node_index to)
{
    struct peer *peer = &p->peer[to];
    if (peer->mode == PEER_REPLICATE && peer->unasked && peer->match + 1 < peer->next &&
        is_within_reach(p, out, to)) {
        send_append(p, out, to, false);
    }
}

void primary_heartbeat_all(struct primary *p, struct effects *out)
{
    p->heartbeat_due = p->now + p->limits.heartbeat;
    p->floor = max_u64(p->floor, primary_floor(p));
    primary_feed_plan(p, out);
    for (uint32_t rest = p->feed; rest != 0; rest &= rest - 1) {
        node_index to = set_first(rest);
        primary_heartbeat(p, out, to);
        primary_remind(p, out, to);
    }
}

/* --- Answers -------------------------------------------------------------------------------- */

/* Its log equals ours up to `got`. True: that is more than was known. */
static bool raise(struct primary *p, node_index from, qr_slot got, qr_slot match)
{
    struct peer *peer = &p->peer[from];
    bool further = got > peer->got;
    peer->got = max_u64(peer->got, got);
    peer->next = max_u64(peer->next, peer->got + 1);
    if (match > peer->match) {
        peer->match = match;
        peer->acked_at = p->now;
        further = true;
    }
    if (further && p->phase == PHASE_PRIMARY) {
        primary_advance_commit(p);
    }
    return further;
}

/* Answers may have been lost: where it has all that was sent, none is missing. */
static void rest(struct peer *peer)
{
    if (peer->mode == PEER_REPLICATE && peer->next == peer->got + 1) {
        peer->in_flight = 0;
        peer->unasked = false;
    }
}

static bool is_possible(const struct primary *p, qr_slot got, qr_slot match)
{
    return match <= got && got <= primary_end(p);
}

void primary_on_append_ack(struct primary *p, struct effects *out, node_index from,
                           const struct primary_append_ack *m)
{
    struct peer *peer = primary_note_answer(p, out, from, m->term, m->life, m->forgetful, m->sent);
    if (peer == NULL || !is_possible(p, m->got, m->match)) {
        return;
    }
    bool further = raise(p, from, m->got, m->match);
    if (peer->mode == PEER_SNAPSHOT && peer->got < p->trail.base_slot) {
        return; /* that it is behind is not news */
    }
    peer->in_flight = (uint16_t)(peer->in_flight - (peer->in_flight > 0));
    if (peer->mode != PEER_REPLICATE || (further && peer->in_flight == 0 && !peer->unasked)) {
        /* All is answered: what is not acknowledged was not attached, or was lost (G3). */
        peer->mode = PEER_REPLICATE;
        peer->next = peer->got + 1;
    }
    rest(peer);
    primary_tell_recovered(p, out, from);
    primary_replicate(p, out, from);
}

/* The last slot here that may agree with a member whose last fitting entry is the hint. */
static qr_slot last_common(const struct primary *p, qr_slot hint_slot, qr_term hint_term)
{
    if (hint_slot < p->trail.base_slot) {
        return hint_slot;
    }
    qr_slot slot = trail_last_within(&p->trail, hint_slot, hint_term);
    bool below = slot == p->trail.base_slot && p->trail.base_term > hint_term;
    return below ? slot - 1 : slot;
}

/* G4 */
static bool is_foreign(const struct primary *p, qr_slot base_slot, qr_term base_term)
{
    if (base_slot < p->trail.base_slot) {
        return false; /* nobody knows */
    }
    return base_slot > p->trail.last_slot || trail_term(&p->trail, base_slot) != base_term;
}

static void tell_foreign(struct primary *p, struct effects *out, node_index to, qr_slot slot,
                         qr_term term)
{
    effects_trace(out, POINT_FOREIGN, to, slot, term);
    struct primary_foreign *m = PRIMARY_SEND(out, to, FOREIGN, foreign, begun(p));
    m->term = p->term;
    m->slot = slot;
    m->slot_term = term;
    m->common = slot > 0 ? last_common(p, slot - 1, term) : 0;
}

/* It has refused what it acknowledged durably, in this life, before that was sent: its disk does
 * not keep what it says is kept. What was committed with it nobody can bring back; people have to
 * know.  */
static void note_loss(struct primary *p, struct effects *out, node_index from, qr_slot holds)
{
    struct peer *peer = &p->peer[from];
    effects_trace(out, POINT_LOST, from, peer->match, holds);
    struct effect *e = effects_push(out, EFFECT_LOSS);
    e->loss.node = from;
    e->loss.acknowledged = peer->match;
    e->loss.holds = holds;
    peer->match = 0;
    peer->got = 0;
}

/* Whether a refusal says nothing that is not known. One that needs a snapshot refuses all, until
 * the log that it has now begins where this one's can go on. */
static bool is_answered(const struct primary *p, const struct peer *peer,
                        const struct primary_append_reject *m)
{
    if (peer->mode == PEER_SNAPSHOT) {
        return m->base_slot < p->trail.base_slot;
    }
    if (m->base_slot > peer->got && m->base_slot >= p->trail.base_slot) {
        return false; /* its log begins behind what is known to agree */
    }
    bool earlier_probe = peer->mode == PEER_PROBE && m->prev_slot != peer->next - 1;
    return m->prev_slot <= peer->got || earlier_probe;
}

/* It was asked for the entry where this log begins, and has another one there. */
static bool contradicts_base(const struct primary *p, const struct peer *peer,
                             const struct primary_append_reject *m)
{
    return peer->mode == PEER_SNAPSHOT && m->prev_slot == p->trail.base_slot &&
           m->hint_slot == m->prev_slot && m->hint_term != p->trail.base_term;
}

void primary_on_append_reject(struct primary *p, struct effects *out, node_index from,
                              const struct primary_append_reject *m)
{
    struct peer *peer = primary_note_answer(p, out, from, m->term, m->life, m->forgetful, m->sent);
    if (peer == NULL || m->sent < peer->probed_since) {
        return; /* each of many old refusals would start over */
    }
    bool leads = p->phase == PHASE_PRIMARY;
    if (leads && peer->mode != PEER_SNAPSHOT && m->prev_slot <= peer->match &&
        m->hint_slot <= m->prev_slot && m->sent > peer->acked_at) {
        note_loss(p, out, from, m->hint_slot);
    }
    if (contradicts_base(p, peer, m)) {
        tell_foreign(p, out, from, m->hint_slot, m->hint_term);
    }
    if (is_answered(p, peer, m)) {
        return;
    }
    peer->mode = PEER_PROBE;
    peer->probed = false;
    peer->unasked = false;
    peer->in_flight = 0;
    peer->probed_since = p->now;
    if (!leads && is_foreign(p, m->base_slot, m->base_term)) {
        primary_feed_no_more(p, out, from, m->base_slot); /* the primary will tell it */
        return;
    }
    if (is_foreign(p, m->base_slot, m->base_term)) {
        peer->probed = true; /* it will begin anew; the next heartbeat asks again */
        tell_foreign(p, out, from, m->base_slot, m->base_term);
        return;
    }
    qr_slot hint = max_u64(min_u64(m->hint_slot, primary_end(p)), peer->got);
    peer->next = max_u64(last_common(p, hint, m->hint_term), peer->got) + 1;
    effects_trace(out, POINT_REJECTED, from, m->prev_slot, peer->next);
    primary_replicate(p, out, from);
}

void primary_on_heartbeat_ack(struct primary *p, struct effects *out, node_index from,
                              const struct primary_heartbeat_ack *m)
{
    struct peer *peer = primary_note_answer(p, out, from, m->term, m->life, m->forgetful, m->sent);
    if (peer == NULL) {
        return;
    }
    if (m->matched && is_possible(p, m->got, m->match)) {
        raise(p, from, m->got, m->match);
        rest(peer); /* else lost answers would fill the window for good */
        primary_tell_recovered(p, out, from);
        primary_replicate(p, out, from);
    } else if (!m->matched && peer->mode == PEER_REPLICATE) {
        primary_probe(p, from); /* it has started anew and knows neither our log nor its commit */
        primary_replicate(p, out, from);
    }
}
