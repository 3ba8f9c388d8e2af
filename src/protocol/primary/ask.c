/* Reads at members that do not lead, as in raft/ask.c (Ongaro's dissertation, 6.4): the primary
 * tells up to where all was committed when it was asked.
 *
 *   member                                   primary of its term
 *     READ_ASK number       ---------->      holds its lease of group 0, and serves
 *     READ_AT number, slot  <----------      what was acknowledged to anybody is in it
 *     serves when `slot` is applied
 *
 * I1 The lease makes the answer: nobody else acknowledges anything while it holds (view.c, L4, L5).
 *    The driver tells that it is gone before it hands over a message. Where it is gone, or the
 *    primary does not serve yet, there is no answer.
 * I2 One ask is on its way at a time; reads that arrive meanwhile wait for the next, all for the
 *    same one: the primary may have heard the first before they came. An ask without an answer is
 *    sent again under its number after a heartbeat. A life begins at a number drawn from its seed
 *    and clock, so that no answer to a life before fits.
 * I3 Only a member whose state is a prefix of the primary's history asks (`proven`): what was
 *    executed here may be what another primary has taken back, and a slot says nothing then.
 *    Within a term that stays true (append.c, A2) but where it begins anew.
 * I4 Reads are refused when the term ends, or the primary's connection is closed, or it has not
 *    answered for an election time-out. So whoever waits has a primary, and a timer.
 * I5 The slot is committed in the log of the primary of this term, so the commit index follows it
 *    as far as the log here is known to equal that one (append.c, A4), now or when entries come
 *    that it has overtaken. */
#include "protocol/primary/state.h"

void primary_ask_start(struct primary *p)
{
    struct rng rng = rng_from((uint64_t)p->life << 32 ^ (uint64_t)p->now);
    p->asked = rng_next(&rng) >> 1; /* far from the end of all numbers */
}

void primary_prove(struct primary *p)
{
    if (p->phase == PHASE_PRIMARY || (p->matched > 0 && p->matched >= p->applied)) {
        p->proven = p->term;
    } else if (p->proven == p->term) {
        p->proven = 0;
    }
}

/* --- The member ------------------------------------------------------------------------------- */

static void send_ask(struct primary *p, struct effects *out)
{
    struct primary_read_ask *m =
        PRIMARY_SEND(out, p->leader, READ_ASK, read_ask, primary_ticket(p, out, 0));
    m->term = p->term;
    m->number = p->asked;
    p->ask_due = p->now + p->limits.heartbeat;
}

/* The next ask, when the last is answered and somebody waits. */
static void go_on(struct primary *p, struct effects *out)
{
    if (p->ask_count > 0 && p->asks[0].number > p->asked) { /* I2 */
        p->asked++;
        p->ask_since = p->now;
        send_ask(p, out);
    }
}

/* False: there is no room. */
static bool wait(struct primary *p, qr_req first, uint32_t count)
{
    struct read_wait *last = p->ask_count > 0 ? &p->asks[p->ask_count - 1] : NULL;
    if (last != NULL && last->number == p->asked + 1 && last->first + last->count == first) {
        last->count += count;
        return true;
    }
    if (p->ask_count == READ_WAITS) {
        return false;
    }
    p->asks[p->ask_count++] = (struct read_wait){ first, p->asked + 1, count };
    return true;
}

void primary_ask_index(struct primary *p, struct effects *out, qr_req first, uint32_t count)
{
    qr_assert(p->phase != PHASE_PRIMARY);
    if (p->leader == NODE_NONE || p->proven != p->term) { /* I3 */
        effects_trace(out, POINT_READS_REFUSED, count, 0, 0);
        effects_answer(out, first, count, STATUS_NOT_LEADER);
    } else if (!wait(p, first, count)) {
        effects_answer(out, first, count, STATUS_OVERLOADED);
    } else {
        go_on(p, out);
    }
}

qr_time primary_ask_at(const struct primary *p)
{
    return p->ask_count > 0 ? p->ask_due : QR_NEVER;
}

void primary_ask_again(struct primary *p, struct effects *out)
{
    if (p->ask_count == 0 || p->now < p->ask_due) {
        return;
    }
    if (p->now - p->ask_since >= p->limits.election) {
        primary_refuse_reads(p, out); /* I4 */
        return;
    }
    effects_trace(out, POINT_ASKED_AGAIN, p->leader, p->ask_count, 0);
    send_ask(p, out);
}

void primary_refuse_reads(struct primary *p, struct effects *out)
{
    for (uint32_t i = 0; i < p->ask_count; i++) {
        effects_answer(out, p->asks[i].first, p->asks[i].count, STATUS_NOT_LEADER);
    }
    p->ask_count = 0;
}

static void confirm(struct primary *p, struct effects *out, qr_slot slot)
{
    uint32_t done = 0;
    for (; done < p->ask_count && p->asks[done].number <= p->asked; done++) {
        struct effect *e = effects_push(out, EFFECT_READ);
        e->read.first = p->asks[done].first;
        e->read.count = p->asks[done].count;
        e->read.slot = slot;
    }
    p->ask_count -= done;
    memmove(p->asks, p->asks + done, p->ask_count * sizeof p->asks[0]);
}

void primary_on_read_at(struct primary *p, struct effects *out, node_index from,
                        const struct primary_read_at *m)
{
    if (!primary_follow(p, out, from, m->term)) {
        return;
    }
    p->told = max_u64(p->told, m->slot);
    primary_follow_commit(p, m->slot, 0); /* I5 */
    if (m->number != p->asked || p->ask_count == 0) {
        effects_trace(out, POINT_ANSWER_LATE, from, 0, 0); /* I2 */
        return;
    }
    confirm(p, out, m->slot);
    go_on(p, out);
}

/* --- The primary ------------------------------------------------------------------------------ */

void primary_on_read_ask(struct primary *p, struct effects *out, node_index from,
                         const struct primary_read_ask *m)
{
    if (m->term > p->term) {
        primary_promise(p, out, m->term);
        return;
    }
    if (m->term < p->term) {
        struct primary_stale *reply =
            PRIMARY_SEND(out, from, STALE, stale, primary_ticket(p, out, 0));
        reply->term = p->term;
        return;
    }
    if (!primary_may_show(p)) { /* I1 */
        effects_trace(out, POINT_READS_REFUSED, 1, 0, 0);
        return;
    }
    struct primary_read_at *reply =
        PRIMARY_SEND(out, from, READ_AT, read_at, primary_ticket(p, out, 0));
    reply->term = p->term;
    reply->number = m->number;
    reply->slot = p->commit;
}
