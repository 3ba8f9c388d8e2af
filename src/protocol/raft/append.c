/* The follower's side of replication: AppendEntries, receiver's rules of figure 2, and heartbeats.
 *
 * A1 Entries are dropped only when an entry of the leader contradicts them, never because a message
 *    ends before them: it may be an old one (5.3).
 * A2 What is committed here is in the leader's log too (Leader Completeness, 5.4.3). So everything
 *    up to the commit index agrees, whether or not its terms are still known.
 * A3 An acknowledgement says "equal and durable up to `match`": it travels `after` the ticket that
 *    covers `match` and the term.
 * A4 The commit index follows the leader's only as far as the logs are known to agree (`matched`),
 *    in this term.
 * A5 A log that ends with an entry of this term has it from the term's one leader, whose log it
 *    equals up to there (Log Matching), without an APPEND that says so: one who starts anew in the
 *    term may find that the leader has trimmed what such an APPEND would have to begin with.
 * A6 A replica is informed once it has committed all that its leader told it is committed, and an
 *    entry of that leader's term is among it: that is whatever was acknowledged to anybody when the
 *    leader said so. What is here before then, after a start, is older than what was shown before.
 */
#include "protocol/raft/state.h"

void raft_match_own_term(struct raft *r)
{
    if (trail_last_term(&r->trail) == r->term) {
        r->matched = max_u64(r->matched, r->trail.last_slot);
    }
}

bool raft_follow(struct raft *r, struct effects *out, node_index from, qr_term term)
{
    if (term < r->term) {
        effects_trace(out, POINT_STALE_LEADER, term, from, 0);
        struct raft_stale *reply = RAFT_SEND(out, from, STALE, stale, raft_ticket(r, out, 0));
        reply->term = r->term;
        return false;
    }
    if (term == r->term &&
        (r->phase == PHASE_LEADER || (r->leader != NODE_NONE && r->leader != from))) {
        effects_trace(out, POINT_IMPOSTOR, term, from, 0);
        return false; /* a term has one leader (5.2): this message is not of our group */
    }
    if (term > r->term || r->leader != from || r->phase != PHASE_FOLLOWER) {
        raft_become_follower(r, out, term, from);
    }
    r->leader_heard = r->now;
    r->leader_closed = false;
    raft_election_reset(r);
    return true;
}

/* The three fields that come back with every answer to a leader. */
#define ECHO(reply, m, r)                               \
    do {                                                \
        (reply)->term = (r)->term;                      \
        (reply)->round = (m)->round;                    \
        (reply)->sent = (m)->sent;                      \
        (reply)->lease = raft_promise((r), (m)->lease); \
    } while (0)

static void acknowledge(struct raft *r, struct effects *out, const struct raft_append *m,
                        qr_slot match)
{
    if (r->forgetful) {
        raft_forgetful_ack(r, out, r->leader, true);
        return;
    }
    qr_ticket after = raft_ticket(r, out, match); /* A3 */
    struct raft_append_ack *reply = RAFT_SEND(out, r->leader, APPEND_ACK, append_ack, after);
    ECHO(reply, m, r);
    reply->match = match;
}

void raft_acknowledge_unasked(struct raft *r, struct effects *out)
{
    qr_assert(r->phase == PHASE_FOLLOWER);
    qr_assert(r->leader != NODE_NONE);
    acknowledge(r, out, &(struct raft_append){ 0 }, r->matched); /* echoes no round, no lease */
}

/* The leader has prev_term at prev_slot and this log does not. The hint is the last slot here that
 * can agree with such a log: whole terms are skipped at once (5.3, end). */
static void reject(struct raft *r, struct effects *out, const struct raft_append *m)
{
    qr_slot hint = trail_last_within(&r->trail, m->prev_slot, m->prev_term);
    hint = max_u64(hint, r->commit); /* A2 */
    if (r->forgetful) {
        raft_forgetful_reject(r, out, m, hint);
        return;
    }
    qr_ticket after = raft_ticket(r, out, 0);
    struct raft_append_reject *reply =
        RAFT_SEND(out, r->leader, APPEND_REJECT, append_reject, after);
    ECHO(reply, m, r);
    reply->prev_slot = m->prev_slot;
    reply->hint_slot = hint;
    reply->hint_term = trail_term(&r->trail, hint);
    effects_trace(out, POINT_APPEND_REFUSED, m->prev_slot, r->leader, hint + 1);
}

/* Figure 2, AppendEntries 2: does this log contain an entry at prev_slot with prev_term? */
static bool has_previous(const struct raft *r, const struct raft_append *m)
{
    if (m->prev_slot <= r->commit) {
        return true; /* A2 */
    }
    return m->prev_slot <= r->trail.last_slot &&
           trail_term(&r->trail, m->prev_slot) == m->prev_term;
}

/* Whether the memberships at and after `lo` follow from what is in force before it. */
static bool continue_members(const struct raft *r, const struct stated *stated, qr_slot lo)
{
    const struct membership *before =
        lo <= r->members.slot ? &r->before.members : &r->members.members;
    for (uint32_t i = 0; i < stated->count; i++) {
        const struct membership_at *at = &stated->v[i];
        if (at->slot >= lo && !raft_members_follow(before, &at->members)) {
            return false;
        }
        before = at->slot >= lo ? &at->members : before;
    }
    return true;
}

/* Figure 2, AppendEntries 3 and 4: the first entry [lo, hi) of `term` that is missing here, after
 * dropping what contradicts. False when the trail cannot take them. */
static bool store(struct raft *r, struct effects *out, qr_slot lo, qr_slot hi, qr_term term,
                  const struct stated *stated)
{
    lo = max_u64(lo, r->commit + 1); /* A2 */
    if (lo >= hi) {
        return true;
    }
    lo = trail_first_difference(&r->trail, lo, hi, term);
    if (lo == hi) {
        return true; /* A1: everything is here already */
    }
    if (lo <= r->matched || term < trail_term(&r->trail, lo - 1)) {
        effects_trace(out, POINT_DROPPED, RAFT_APPEND, r->leader, 0);
        return false; /* no leader takes back an entry of its term, and terms never fall */
    }
    if (!continue_members(r, stated, lo)) {
        effects_trace(out, POINT_DROPPED, RAFT_APPEND, r->leader, 0);
        return false;
    }
    if (!trail_has_room(&r->trail, lo, term, r->commit)) {
        effects_trace(out, POINT_TRAIL_FULL, term, 0, 0);
        return false;
    }
    raft_persist_entries(r, out, lo, hi, term, 0, false);
    for (uint32_t i = 0; i < stated->count; i++) {
        if (stated->v[i].slot >= lo) {
            raft_members_stated(r, out, &stated->v[i]);
        }
    }
    return true;
}

/* Whether the driver found memberships as a leader writes them. */
static bool are_sound(const struct message *message, const struct stated *stated)
{
    qr_slot above = message->lo - 1;
    for (uint32_t i = 0; i < stated->count; i++) {
        const struct membership_at *at = &stated->v[i];
        if (at->slot <= above || at->slot >= message->hi || !membership_is_sound(&at->members)) {
            return false;
        }
        above = at->slot;
    }
    return true;
}

static bool is_well_formed(const struct message *message, const struct raft_append *m)
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

void raft_follow_commit(struct raft *r, qr_slot leader_commit)
{
    qr_slot known = max_u64(leader_commit, r->told);            /* R5 */
    r->commit = max_u64(r->commit, min_u64(known, r->matched)); /* A4 */
}

void raft_inform(struct raft *r, qr_slot leader_commit)
{
    if (!r->informed && r->commit >= leader_commit) {
        r->informed = trail_term(&r->trail, r->commit) == r->term; /* A6 */
    }
}

void raft_on_append(struct raft *r, struct effects *out, node_index from,
                    const struct message *message, const struct stated *stated)
{
    const struct raft_append *m = message->body;
    if (!is_well_formed(message, m) || !are_sound(message, stated)) {
        effects_trace(out, POINT_DROPPED, message->kind, from, 0);
        return;
    }
    if (!raft_follow(r, out, from, m->term)) {
        return;
    }
    r->floor = max_u64(r->floor, m->floor);
    if (!has_previous(r, m)) {
        reject(r, out, m);
        return;
    }
    r->matched = max_u64(r->matched, max_u64(m->prev_slot, r->commit));
    raft_follow_commit(r, m->commit); /* first, so that the trail may forget that: T3 */
    qr_slot hi = message->lo < message->hi ? message->hi : m->prev_slot + 1;
    if (message->lo < message->hi &&
        !store(r, out, message->lo, message->hi, message->term, stated)) {
        return;
    }
    r->matched = max_u64(r->matched, max_u64(hi - 1, r->commit));
    qr_assert(r->matched <= r->trail.last_slot);
    raft_follow_commit(r, m->commit);
    raft_inform(r, m->commit);
    acknowledge(r, out, m, r->matched);
}

static void acknowledge_heartbeat(struct raft *r, struct effects *out,
                                  const struct raft_heartbeat *m)
{
    if (r->forgetful) {
        raft_forgetful_ack(r, out, r->leader, r->matched != 0);
        return;
    }
    struct raft_heartbeat_ack *reply =
        RAFT_SEND(out, r->leader, HEARTBEAT_ACK, heartbeat_ack, raft_ticket(r, out, 0));
    ECHO(reply, m, r);
    reply->matched = r->matched != 0;
    reply->wall = r->wall;
}

void raft_on_heartbeat(struct raft *r, struct effects *out, node_index from,
                       const struct raft_heartbeat *m)
{
    if (!raft_follow(r, out, from, m->term)) {
        return;
    }
    r->floor = max_u64(r->floor, m->floor);
    raft_follow_commit(r, m->commit);
    raft_compare_wall(r, m->wall);
    acknowledge_heartbeat(r, out, m);
}

void raft_on_quiet(struct raft *r, struct effects *out, node_index from, const struct raft_quiet *m)
{
    if (!raft_follow(r, out, from, m->term)) {
        return;
    }
    r->floor = max_u64(r->floor, m->floor);
    raft_follow_commit(r, m->commit);
    raft_inform(r, m->commit);
    bool whole = r->commit == m->commit && r->matched == m->commit;
    bool barred = r->forgetful || r->limits.quiet_after == 0 || (r->away & node_bit(from)) != 0;
    barred = barred || r->read_count > 0;
    if (barred || !whole || r->trail.last_slot != m->commit) {
        acknowledge_heartbeat(r, out, &(struct raft_heartbeat){ .sent = m->sent }); /* Q3 */
        return;
    }
    raft_rest(r, out, m->sent);
    struct raft_quiet_ack *reply =
        RAFT_SEND(out, from, QUIET_ACK, quiet_ack, raft_ticket(r, out, m->commit));
    reply->term = r->term;
    reply->sent = m->sent;
}
