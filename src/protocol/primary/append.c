/* The other members' side of the log: what the primary of the promised term says is right.
 *
 * A1 Entries go only when an entry of the primary contradicts them, never because a message ends
 *    before them: it may be an old one. They are taken back then, not overwritten (rollback.c).
 * A2 Nothing that stands here is right for standing long, not even what is committed: a primary of
 *    LOCAL commits alone. Only what was matched in this term is taken for granted (`matched`): in
 *    it nothing is ever taken back.
 * A3 An acknowledgement says "equal up to `got`, durably up to `match`". It waits for the ticket
 *    of `got`, unless the view of this very term says that a copy counts when it is received:
 *    before the driver tells such a view it has noted that a restart may have lost what was
 *    acknowledged. It always waits for the promise of its term.
 * A4 The commit index follows the primary's only as far as the logs are known to agree; so does
 *    the floor: who was no member for a while may hold something else below it.
 * A5 A replica is informed once it has committed all that the primary told it is committed, and an
 *    entry of that primary's term is among it.
 * A6 A log that ends with an entry of this term has it from the term's one primary, whose log it
 *    equals up to there. */
#include "protocol/primary/state.h"

void primary_match_own_term(struct primary *p)
{
    if (trail_last_term(&p->trail) == p->term) {
        p->matched = max_u64(p->matched, p->trail.last_slot); /* A6 */
    }
}

static void acknowledge(struct primary *p, struct effects *out, node_index to, qr_time sent)
{
    bool early = primary_is_early(p) || to != p->leader;              /* a feeder counts nothing */
    qr_ticket after = primary_ticket(p, out, early ? 0 : p->matched); /* A3 */
    struct primary_append_ack *reply = PRIMARY_SEND(out, to, APPEND_ACK, append_ack, after);
    reply->term = p->term;
    reply->life = p->life;
    reply->forgetful = p->forgetful;
    reply->got = p->matched;
    reply->match = early ? min_u64(p->matched, p->journal.durable_slot) : p->matched;
    reply->sent = sent;
}

/* The primary has prev_term at prev_slot and this log does not. The hint is the last slot here
 * that can agree with such a log: whole terms are skipped at once. */
static void reject(struct primary *p, struct effects *out, node_index to, qr_slot prev_slot,
                   qr_term prev_term, qr_time sent)
{
    bool below = prev_slot < p->trail.base_slot;
    qr_slot hint = below ? p->trail.base_slot : trail_last_within(&p->trail, prev_slot, prev_term);
    struct primary_append_reject *reply =
        PRIMARY_SEND(out, to, APPEND_REJECT, append_reject, primary_ticket(p, out, 0));
    reply->term = p->term;
    reply->life = p->life;
    reply->forgetful = p->forgetful;
    reply->prev_slot = prev_slot;
    reply->hint_slot = hint;
    reply->hint_term = trail_term(&p->trail, hint);
    reply->base_slot = p->trail.base_slot;
    reply->base_term = p->trail.base_term;
    reply->sent = sent;
    effects_trace(out, POINT_APPEND_REFUSED, prev_slot, to, hint + 1);
}

void primary_reject_unasked(struct primary *p, struct effects *out)
{
    if (p->phase == PHASE_FOLLOWER && p->leader != NODE_NONE && p->echo != 0) {
        reject(p, out, p->leader, p->trail.last_slot, trail_last_term(&p->trail), p->echo);
    }
}

static bool has_previous(const struct primary *p, const struct primary_append *m)
{
    if (p->matched != 0 && m->prev_slot <= p->matched) {
        return true; /* A2 */
    }
    return trail_knows(&p->trail, m->prev_slot) &&
           trail_term(&p->trail, m->prev_slot) == m->prev_term;
}

/* Entries [lo, hi) of `term` follow on what is matched: takes what is missing here, after taking
 * back what contradicts. False when they cannot be taken. */
static bool store(struct primary *p, struct effects *out, qr_slot lo, qr_slot hi, qr_term term)
{
    lo = max_u64(lo, p->matched + 1);
    if (lo >= hi) {
        return true;
    }
    if (lo <= p->trail.base_slot) {
        return false; /* what was committed before is trimmed, and not yet known to agree */
    }
    lo = trail_first_difference(&p->trail, lo, hi, term);
    if (lo == hi) {
        return true; /* A1: everything is here already */
    }
    if (term < trail_term(&p->trail, lo - 1)) {
        effects_trace(out, POINT_DROPPED, PRIMARY_APPEND, p->leader, 0);
        return false; /* terms never fall along a log */
    }
    if (!trail_has_room(&p->trail, lo, term, min_u64(p->commit, lo - 1))) {
        effects_trace(out, POINT_TRAIL_FULL, term, 0, 0);
        return false;
    }
    if (lo <= p->trail.last_slot) {
        primary_roll_back(p, out, lo - 1); /* A1 */
    }
    if (lo != p->trail.last_slot + 1) {
        return false; /* it had to begin anew */
    }
    primary_persist_entries(p, out, hi, term, 0, false);
    return true;
}

static bool is_well_formed(const struct message *message, const struct primary_append *m)
{
    if (m->prev_term > m->term || m->prev_slot > UINT64_MAX / 2) {
        return false;
    }
    if (message->lo >= message->hi) {
        return true; /* nothing attached */
    }
    return message->lo == m->prev_slot + 1 && message->term >= m->prev_term &&
           message->term <= m->term;
}

void primary_follow_commit(struct primary *p, qr_slot commit, qr_slot floor)
{
    commit = max_u64(commit, p->told); /* I5 */
    p->commit = max_u64(p->commit, min_u64(commit, p->matched));
    p->floor = max_u64(p->floor, min_u64(floor, p->matched));
}

/* What comes of the primary of the promised term, from itself or by a feeder: false when it is
 * refused. */
static bool take(struct primary *p, struct effects *out, node_index from,
                 const struct message *message, const struct primary_append *m)
{
    if (!has_previous(p, m)) {
        primary_give_way(p, out, m->prev_slot, m->prev_term);
        reject(p, out, from, m->prev_slot, m->prev_term, m->sent);
        return false;
    }
    p->matched = max_u64(p->matched, m->prev_slot);
    primary_follow_commit(p, m->commit, m->floor); /* first: the trail may forget that (T3) */
    qr_slot hi = message->lo < message->hi ? message->hi : m->prev_slot + 1;
    if (hi > m->prev_slot + 1 && !store(p, out, message->lo, hi, message->term)) {
        if (p->matched == 0 || p->matched < p->trail.base_slot) {
            reject(p, out, from, m->prev_slot, m->prev_term, m->sent);
        }
        return false;
    }
    p->matched = max_u64(p->matched, hi - 1);
    qr_assert(p->matched <= p->trail.last_slot);
    primary_follow_commit(p, m->commit, m->floor);
    return true;
}

void primary_on_append(struct primary *p, struct effects *out, node_index from,
                       const struct message *message)
{
    const struct primary_append *m = message->body;
    if (!is_well_formed(message, m)) {
        effects_trace(out, POINT_DROPPED, message->kind, from, 0);
        return;
    }
    if (!primary_follow(p, out, from, m->term)) {
        return;
    }
    p->echo = later(p->echo, m->sent);
    if (!take(p, out, from, message, m)) {
        return;
    }
    if (!p->informed && p->commit >= m->commit) {
        p->informed = trail_term(&p->trail, p->commit) == p->term; /* A5 */
    }
    if (m->ask) {
        acknowledge(p, out, from, m->sent);
    }
    primary_relay(p, out);
}

/* Whether its primary waits for it, as far as it knows the view. */
static bool is_awaited(const struct primary *p)
{
    bool known = p->view.term == p->term;
    return p->echo != 0 && (p->forgetful || (known && primary_awaits(p, p->me)));
}

void primary_on_relay(struct primary *p, struct effects *out, node_index from,
                      const struct message *message)
{
    const struct primary_relay *r = message->body;
    struct primary_append m = { .term = r->term,
                                .prev_slot = r->prev_slot,
                                .prev_term = r->prev_term,
                                .commit = r->commit,
                                .sent = r->sent };
    bool follows = p->phase == PHASE_FOLLOWER && p->leader != NODE_NONE && r->term == p->term;
    if (!follows || !is_well_formed(message, &m)) { /* feed.c, R1 */
        effects_trace(out, POINT_DROPPED, message->kind, from, 0);
        return;
    }
    if (!take(p, out, from, message, &m)) {
        return;
    }
    if (r->ask) {
        acknowledge(p, out, from, r->sent);
    }
    if (message->lo < message->hi && is_awaited(p)) {
        acknowledge(p, out, p->leader, p->echo); /* R2 */
    }
}

void primary_on_heartbeat(struct primary *p, struct effects *out, node_index from,
                          const struct primary_heartbeat *m)
{
    if (!primary_follow(p, out, from, m->term)) {
        return;
    }
    p->echo = later(p->echo, m->sent);
    primary_follow_commit(p, m->commit, m->floor);
    qr_ticket after = primary_ticket(p, out, 0);
    struct primary_heartbeat_ack *reply =
        PRIMARY_SEND(out, from, HEARTBEAT_ACK, heartbeat_ack, after);
    qr_slot durable = min_u64(p->matched, p->journal.durable_slot);
    reply->term = p->term;
    reply->life = p->life;
    reply->forgetful = p->forgetful;
    reply->matched = p->matched != 0;
    reply->got = primary_is_early(p) ? p->matched : durable;
    reply->match = durable;
    reply->sent = m->sent;
    primary_tell_executed(p, out);
}
