/* Linearizable reads without the log: dissertation 6.4, read index, batched.
 *
 *  1. The leader has committed an entry of its own term, so its commit index is at least that of
 *     any leader before (`term_start`).
 *  2. A read's slot is the commit index at its arrival.
 *  3. A round of messages, sent after the arrival and answered by a majority, shows that no newer
 *     leader had been elected when the read arrived.
 *  4. The driver serves it when the slot is applied.
 *
 * Every APPEND and HEARTBEAT carries the number of the latest round and every answer echoes it. A
 * read gets a number that no message has carried yet. While one announced round is outstanding no
 * other is announced: the reads that arrive meanwhile share the next one, which appends may carry
 * and confirm for free. With a lease (lease.c) step 3 falls away.
 *
 * What a follower asks for (ask.c) is a read like any other: it waits among them, for the same
 * rounds, and its slot goes to the follower.
 *
 * D1 Waiting ranges ascend in request, round and slot.
 * D2 Reads that are not confirmed when leadership ends are refused; a read harms nobody twice.
 * D3 Reads are confirmed in the order of their arrival: a lease that is gained while some wait for
 *    a round serves those first. */
#include "protocol/raft/state.h"

static void confirm(struct raft *r, struct effects *out, const struct read_range *range,
                    qr_slot slot, qr_time before)
{
    qr_assert(slot <= r->commit);
    if (range->from != r->me) {
        struct raft_read_at *m = RAFT_SEND(out, range->from, READ_AT, read_at, 0);
        m->term = r->term;
        m->number = range->first;
        m->slot = slot; /* proven as of now, and served with no less: no lease is held for it */
        return;
    }
    r->lease_given = later(r->lease_given, before);
    struct effect *e = effects_push(out, EFFECT_READ);
    e->read.first = range->first;
    e->read.count = range->count;
    e->read.slot = slot;
    e->read.before = before;
}

static bool answer_under_lease(struct raft *r, struct effects *out, const struct read_range *range)
{
    qr_time end = raft_lease_end(r);
    if (r->commit < r->term_start || r->now >= end) {
        return false;
    }
    for (uint32_t i = 0; i < r->read_count; i++) { /* D3 */
        confirm(r, out, &r->reads[i], r->commit, end);
    }
    r->read_count = 0;
    confirm(r, out, range, r->commit, end);
    return true;
}

bool raft_reads_wait(struct raft *r, const struct read_range *range)
{
    struct read_range *last = r->read_count > 0 ? &r->reads[r->read_count - 1] : NULL;
    bool follows = last != NULL && last->from == r->me && range->from == r->me &&
                   last->first + last->count == range->first && last->slot == range->slot &&
                   last->count + range->count >= range->count;
    if (follows && (last->round == range->round || r->read_count == READ_RANGES)) {
        last->count += range->count;
        last->round = range->round; /* the later of the two is right for both */
        return true;
    }
    if (r->read_count == READ_RANGES) {
        return false;
    }
    r->reads[r->read_count++] = *range;
    return true;
}

void raft_reads_done(struct raft *r, uint32_t count)
{
    qr_assert(count <= r->read_count);
    r->read_count = (uint8_t)(r->read_count - count);
    memmove(r->reads, r->reads + count, r->read_count * sizeof r->reads[0]);
}

/* False: there is no room. */
static bool take(struct raft *r, struct effects *out, struct read_range *range)
{
    qr_assert(r->phase == PHASE_LEADER);
    if (answer_under_lease(r, out, range)) {
        return true;
    }
    range->slot = max_u64(r->commit, r->term_start); /* steps 1 and 2 */
    if (r->round_used) {
        r->round++; /* step 3: messages with the current number left before the reads came */
        r->round_used = false;
    }
    range->round = r->round;
    return raft_reads_wait(r, range);
}

void raft_on_read(struct raft *r, struct effects *out, qr_req first, uint32_t count)
{
    qr_assert(count > 0);
    if (r->phase != PHASE_LEADER) {
        raft_ask(r, out, first, count);
        return;
    }
    struct read_range range = { .first = first, .count = count, .from = r->me };
    if (!take(r, out, &range)) {
        effects_answer(out, first, count, STATUS_OVERLOADED); /* the driver was told: no room */
    }
}

/* An earlier ask of that follower is void: it waits for the latest alone. True: it is the same. */
static bool replaces(struct raft *r, node_index from, uint64_t number)
{
    uint32_t at = 0;
    while (at < r->read_count && r->reads[at].from != from) {
        at++;
    }
    if (at == r->read_count) {
        return false;
    }
    if (r->reads[at].first == number) {
        return true;
    }
    r->read_count--;
    memmove(&r->reads[at], &r->reads[at + 1], (r->read_count - at) * sizeof r->reads[0]);
    return false;
}

void raft_on_read_ask(struct raft *r, struct effects *out, node_index from,
                      const struct raft_read_ask *m)
{
    if (m->term > r->term) {
        raft_become_follower(r, out, m->term, NODE_NONE);
        return;
    }
    if (m->term < r->term) {
        struct raft_stale *reply = RAFT_SEND(out, from, STALE, stale, raft_ticket(r, out, 0));
        reply->term = r->term;
        return;
    }
    if (r->phase != PHASE_LEADER || (r->feed & node_bit(from)) == 0) {
        effects_trace(out, POINT_DROPPED, RAFT_READ_ASK, from, 0);
        return; /* it will find out that nobody leads */
    }
    struct read_range ask = { .first = m->number, .from = from };
    if (!replaces(r, from, m->number)) {
        (void)take(r, out, &ask); /* without room it is asked again */
    }
}

static uint64_t round_confirmed(const struct raft *r)
{
    uint64_t echoed[MEMBERS_MAX];
    for (uint32_t rest = membership_voters(&r->members.members); rest != 0; rest &= rest - 1) {
        node_index i = set_first(rest);
        echoed[i] = i == r->me ? r->round : r->peer[i].round_echoed;
    }
    return quorum_reached(echoed, &r->members.members);
}

static void announce_round(struct raft *r, struct effects *out)
{
    r->announced = r->round;
    uint32_t voters = r->feed & membership_voters(&r->members.members);
    for (uint32_t rest = voters; rest != 0; rest &= rest - 1) {
        node_index to = set_first(rest);
        if (r->peer[to].round_sent < r->round) {
            raft_send_heartbeat(r, out, to);
        }
    }
}

void raft_release_reads(struct raft *r, struct effects *out)
{
    qr_assert(r->phase == PHASE_LEADER);
    if (r->read_count == 0) {
        return;
    }
    uint64_t confirmed = round_confirmed(r);
    uint32_t done = 0;
    while (done < r->read_count && r->reads[done].round <= confirmed &&
           r->commit >= r->term_start) { /* step 1 */
        const struct read_range *range = &r->reads[done++];
        confirm(r, out, range, range->slot, 0);
    }
    raft_reads_done(r, done);
    bool wanted = r->read_count > 0 && r->reads[r->read_count - 1].round > r->announced;
    if (wanted && confirmed >= r->announced) {
        announce_round(r, out);
    }
}

void raft_refuse_reads(struct raft *r, struct effects *out)
{
    if (r->read_count > 0 && r->phase == PHASE_LEADER) {
        effects_trace(out, POINT_READS_REFUSED, r->read_count, 0, 0);
    } else if (r->read_count > 0) {
        effects_trace(out, POINT_ASKS_REFUSED, r->read_count, r->leader, 0);
    }
    for (uint32_t i = 0; i < r->read_count; i++) {
        const struct read_range *range = &r->reads[i];
        if (range->from == r->me) {
            effects_answer(out, range->first, range->count, STATUS_NOT_LEADER); /* D2 */
        }
    }
    r->read_count = 0;
}
