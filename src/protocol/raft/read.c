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
 * D1 Waiting ranges ascend in request, round and slot.
 * D2 Reads that are not confirmed when leadership ends are refused; a read harms nobody twice.
 * D3 Reads are confirmed in the order of their arrival: a lease that is gained while some wait for
 * a round serves those first. */
#include "protocol/raft/state.h"

static void confirm(struct effects *out, qr_req first, uint32_t count, qr_slot slot, qr_time before)
{
    struct effect *e = effects_push(out, EFFECT_READ);
    e->read.first = first;
    e->read.count = count;
    e->read.slot = slot;
    e->read.before = before;
}

static bool answer_under_lease(struct raft *r, struct effects *out, qr_req first, uint32_t count)
{
    qr_time end = raft_lease_end(r);
    if (r->commit < r->term_start || r->now >= end) {
        return false;
    }
    r->lease_given = later(r->lease_given, end);
    for (uint32_t i = 0; i < r->read_count; i++) { /* D3 */
        qr_assert(r->reads[i].slot <= r->commit);
        confirm(out, r->reads[i].first, r->reads[i].count, r->commit, end);
    }
    r->read_count = 0;
    confirm(out, first, count, r->commit, end);
    return true;
}

/* Adds the reads to the ring, to the last range when they continue it. */
static void wait_for_round(struct raft *r, struct effects *out, qr_req first, uint32_t count)
{
    qr_slot slot = max_u64(r->commit, r->term_start); /* steps 1 and 2 */
    if (r->round_used) {
        r->round++; /* step 3: messages with the current number left before the reads came */
        r->round_used = false;
    }
    struct read_range *last = r->read_count > 0 ? &r->reads[r->read_count - 1] : NULL;
    bool follows = last != NULL && last->first + last->count == first && last->slot == slot &&
                   last->count + count >= count;
    if (follows && (last->round == r->round || r->read_count == READ_RANGES)) {
        last->count += count;
        last->round = r->round; /* the later of the two is right for both */
        return;
    }
    if (r->read_count == READ_RANGES) {
        raft_answer(out, first, count, STATUS_OVERLOADED); /* the driver was told: no room */
        return;
    }
    r->reads[r->read_count++] =
        (struct read_range){ .first = first, .count = count, .round = r->round, .slot = slot };
}

void raft_on_read(struct raft *r, struct effects *out, qr_req first, uint32_t count)
{
    qr_assert(count > 0);
    if (r->phase != PHASE_LEADER) {
        raft_answer(out, first, count, STATUS_NOT_LEADER);
        return;
    }
    if (!answer_under_lease(r, out, first, count)) {
        wait_for_round(r, out, first, count);
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
        qr_assert(range->slot <= r->commit);
        confirm(out, range->first, range->count, range->slot, 0);
    }
    r->read_count -= done;
    memmove(r->reads, r->reads + done, r->read_count * sizeof r->reads[0]);
    bool wanted = r->read_count > 0 && r->reads[r->read_count - 1].round > r->announced;
    if (wanted && confirmed >= r->announced) {
        announce_round(r, out);
    }
}

void raft_refuse_reads(struct raft *r, struct effects *out)
{
    if (r->read_count > 0) {
        raft_trace(out, POINT_READS_REFUSED, r->read_count, 0, 0);
    }
    for (uint32_t i = 0; i < r->read_count; i++) {
        raft_answer(out, r->reads[i].first, r->reads[i].count, STATUS_NOT_LEADER); /* D2 */
    }
    r->read_count = 0;
}
