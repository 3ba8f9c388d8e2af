/* Linearizable reads at those who do not lead: followers, learners, observers (diss. 6.4, end).
 *
 *   follower                                 leader of its term
 *     READ_ASK number       ---------->      a read like its own: waits for a round, or has a lease
 *     READ_AT number, slot  <----------      it led after the ask had come, `slot` was committed
 *     serves when `slot` is applied
 *
 * The slot covers whatever was acknowledged to anybody before the leader heard the ask, so before
 * the reads arrived here. What the follower itself knows to be committed says nothing about that.
 *
 * R1 One ask is on its way at a time. Reads that arrive meanwhile may have come after the leader
 *    heard it: they wait for the next, all for the same one. An ask that gets no answer in a
 *    heartbeat is sent again under its number, so that a slow answer to an earlier copy counts.
 * R2 An answer is for the reads that waited when its number was first sent. No other ask of the
 *    term has that number, in this life or in an earlier one, whose answers may still come: numbers
 *    ascend, and where a life begins is drawn from its seed and its clock, as the life of a
 *    forgetful member is (V3).
 * R3 What an answer proves, the leader counts by rounds of its own, never by those of another ask.
 *    Where the asker's number goes around with the heartbeats, as it did in etcd (its issue
 *    20418), late answers to the heartbeats of one copy of an ask confirm another copy, and all
 *    that waits before it.
 * R4 Reads are refused (D2) when the leader is another or none, its connection is closed, or it was
 *    not heard for an election time-out; and where the node is no member, as far as it knows. So
 *    whoever waits has a leader, and a timer.
 * R5 The slot is committed in the log of the leader of this term. The commit index follows as far
 *    as the log here is known to equal it (A4), now or when the entries come: they may have left
 *    before the leader knew. What is committed once stays it, so that is kept across terms.
 *
 * Nothing here depends on whether this node votes, or has forgotten what it promised: it promises
 * nothing, and applies what is committed. Whether its state may be shown is the driver's matter. */
#include "protocol/raft/state.h"

#define NUMBER_SALT 0x61736b2d6e756d62u /* the seed has other uses */

static uint64_t draw(uint64_t seed)
{
    struct rng rng = rng_from(seed);
    return rng_next(&rng) >> 1; /* far from the end of all numbers */
}

void raft_ask_init(struct raft *r, uint64_t seed)
{
    r->asked = draw(seed ^ NUMBER_SALT);
}

void raft_ask_start(struct raft *r)
{
    r->asked = draw(r->asked ^ (uint64_t)r->now); /* R2 */
}

static void send_ask(struct raft *r, struct effects *out)
{
    qr_assert(r->leader != NODE_NONE);
    qr_assert(r->leader != r->me);
    struct raft_read_ask *m = RAFT_SEND(out, r->leader, READ_ASK, read_ask, 0);
    m->term = r->term;
    m->number = r->asked;
    r->ask_due = r->now + r->limits.heartbeat;
}

/* The next ask, when the last is answered and somebody waits. */
static void go_on(struct raft *r, struct effects *out)
{
    if (r->read_count > 0 && r->reads[0].round > r->asked) { /* R1 */
        r->asked++;
        send_ask(r, out);
    }
}

void raft_ask(struct raft *r, struct effects *out, qr_req first, uint32_t count)
{
    qr_assert(r->phase != PHASE_LEADER);
    bool member = (membership_all(&r->members.members) & node_bit(r->me)) != 0;
    if (!member || !raft_in_touch(r)) {
        effects_answer(out, first, count, STATUS_NOT_LEADER); /* R4 */
        return;
    }
    struct read_range range = {
        .first = first, .count = count, .round = r->asked + 1, .from = r->me
    };
    if (!raft_reads_wait(r, &range)) {
        effects_answer(out, first, count, STATUS_OVERLOADED); /* the driver was told: no room */
        return;
    }
    go_on(r, out);
}

qr_time raft_ask_at(const struct raft *r)
{
    return r->phase != PHASE_LEADER && r->read_count > 0 ? r->ask_due : QR_NEVER;
}

void raft_ask_again(struct raft *r, struct effects *out)
{
    qr_assert(r->read_count > 0);
    if (!raft_in_touch(r)) {
        raft_refuse_reads(r, out); /* R4: it may be one who never campaigns */
        return;
    }
    effects_trace(out, POINT_ASKED_AGAIN, r->leader, r->read_count, 0);
    send_ask(r, out);
}

static void confirm(struct raft *r, struct effects *out, qr_slot slot)
{
    uint32_t done = 0;
    while (done < r->read_count && r->reads[done].round <= r->asked) {
        const struct read_range *range = &r->reads[done++];
        struct effect *e = effects_push(out, EFFECT_READ);
        e->read.first = range->first;
        e->read.count = range->count;
        e->read.slot = slot;
    }
    raft_reads_done(r, done);
}

void raft_on_read_at(struct raft *r, struct effects *out, node_index from,
                     const struct raft_read_at *m)
{
    if (!raft_follow(r, out, from, m->term)) {
        return;
    }
    r->told = max_u64(r->told, m->slot);
    raft_follow_commit(r, r->told); /* R5 */
    raft_inform(r, r->told);
    if (m->number != r->asked || r->read_count == 0) {
        effects_trace(out, POINT_ANSWER_LATE, from, 0, 0); /* R2 */
        return;
    }
    confirm(r, out, m->slot);
    go_on(r, out);
}
