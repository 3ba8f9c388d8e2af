/* What a peer may send without being a member in good faith: P1 says that no message makes a step
 * fail. Random and absurd messages are given to one node of three, in every role; whatever it
 * makes of them, it does not panic and its effects can be carried out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "protocol/raft/raft.h"
#include "protocol/raft/state.h"
#include "tests/unit/protocol/group.h"

#define STEPS 400
#define LIVES 4000

struct victim {
    struct raft *raft;
    struct effects out;
    struct rng rng;
    qr_time now;
    qr_ticket minted;
    qr_slot last, applied;
    qr_req next_req;
    uint32_t installed;
};

/* What the driver would insist on (replica.c). */
static void carry_out(struct victim *v, const struct event *event)
{
    const struct message *m = &event->receive.message;
    for (uint32_t i = 0; i < v->out.n; i++) {
        const struct effect *e = &v->out.v[i];
        if (e->kind == EFFECT_PERSIST) {
            v->minted = e->persist.ticket;
            if (e->persist.hi > e->persist.lo) {
                assert_true(e->persist.lo > v->applied);
                assert_true(e->persist.lo <= v->last + 1);
                v->last = e->persist.hi - 1;
                if (e->persist.members != NULL) {
                    assert_true(membership_is_sound(e->persist.members));
                } else if (e->persist.req == 0 && !e->persist.noop) {
                    assert_int_equal(event->kind, EVENT_RECEIVE);
                    assert_true(e->persist.lo >= m->lo && e->persist.hi == m->hi);
                    assert_int_equal(e->persist.term, m->term);
                }
            }
        } else if (e->kind == EFFECT_INSTALL) {
            assert_int_equal(event->kind, EVENT_OFFER);
            assert_int_equal(e->install.slot, event->offer.slot);
            assert_true(e->install.slot > v->applied);
            v->minted = e->install.ticket;
            v->last = v->applied = e->install.slot;
            v->installed++;
        } else if (e->kind == EFFECT_APPLY) {
            assert_int_equal(e->apply.lo, v->applied + 1);
            assert_true(e->apply.hi <= v->last + 1);
            v->applied = e->apply.hi - 1;
        } else if (e->kind == EFFECT_SEND && e->send.message.hi > e->send.message.lo) {
            assert_true(e->send.message.hi <= v->last + 1);
        }
    }
}

static void step(struct victim *v, struct event *event)
{
    event->now = v->now;
    event->wall = 1700000000 * QR_SECOND + v->now;
    v->out.n = 0;
    v->out.scratch_n = 0;
    raft_protocol.step(v->raft, event, &v->out);
    carry_out(v, event);
}

static struct victim victim_new(uint64_t seed)
{
    struct protocol_limits limits = group_limits();
    struct needs needs = raft_protocol.needs(&limits);
    struct victim v = { .rng = rng_from(seed), .now = QR_SECOND, .next_req = 1 };
    v.raft = calloc(1, needs.state);
    v.out.v = calloc(needs.effects, sizeof *v.out.v);
    v.out.cap = needs.effects;
    v.out.scratch = malloc(needs.scratch);
    v.out.scratch_cap = needs.scratch;
    raft_protocol.init(v.raft, &limits, 1, seed);
    struct event start = { .kind = EVENT_START };
    struct membership_at made = { .members.voters = 7 };
    start.start.memberships = &made;
    start.start.membership_count = 1;
    start.start.forgetful = seed % 3 == 0;
    step(&v, &start);
    v.now += QR_SECOND; /* past the promise of a start */
    return v;
}

static void victim_free(struct victim *v)
{
    free(v->raft);
    free(v->out.v);
    free(v->out.scratch);
}

/* Near a value that means something, or anywhere. */
static uint64_t around(struct rng *rng, uint64_t value)
{
    switch (rng_below(rng, 8)) {
    case 0:
        return rng_next(rng) >> rng_below(rng, 64);
    case 1:
        return UINT64_MAX - rng_below(rng, 3);
    case 2:
        return rng_below(rng, value / 2 + 2);
    default:
        return value + rng_below(rng, 4) - 1;
    }
}

/* Fields that decide much are brought near to what the node has, so that they are looked at. */
static void aim(struct victim *v, uint16_t kind, void *body, struct message *m)
{
    struct raft *r = v->raft;
    /* Every message begins with its term. An absurd one, once taken, ends a life. */
    *(qr_term *)body = r->term + rng_below(&v->rng, 8) / 6;
    if (rng_below(&v->rng, 60) == 0) {
        *(qr_term *)body = around(&v->rng, r->term);
    }
    if (kind == RAFT_APPEND) {
        struct raft_append *a = body;
        a->prev_slot = around(&v->rng, r->trail.last_slot);
        a->prev_term = around(&v->rng, r->term);
        a->commit = around(&v->rng, r->trail.last_slot);
        a->lease = rng_below(&v->rng, 2) > 0 ? r->limits.lease : 0;
        m->lo = rng_below(&v->rng, 4) > 0 ? a->prev_slot + 1 : around(&v->rng, r->trail.last_slot);
        m->hi = m->lo + rng_below(&v->rng, 5);
        m->term = around(&v->rng, r->term);
        m->hi = m->hi < m->lo ? m->lo : m->hi;
        if (rng_below(&v->rng, 2) > 0) { /* one that fits, now and then */
            a->prev_slot = r->trail.last_slot - rng_below(&v->rng, 3) % (r->trail.last_slot + 1);
            a->prev_term =
                r->trail.base_slot > a->prev_slot ? 0 : trail_term(&r->trail, a->prev_slot);
            m->lo = a->prev_slot + 1;
            m->hi = m->lo + rng_below(&v->rng, 5);
            m->term = a->prev_term + rng_below(&v->rng, 3);
        }
    } else if (kind == RAFT_APPEND_ACK) {
        struct raft_append_ack *a = body;
        a->match = around(&v->rng, r->trail.last_slot);
        a->round = around(&v->rng, r->round);
        a->sent = v->now - (qr_time)rng_below(&v->rng, 5);
    } else if (kind == RAFT_APPEND_REJECT) {
        struct raft_append_reject *a = body;
        a->prev_slot = around(&v->rng, r->trail.last_slot);
        a->hint_slot = around(&v->rng, r->trail.last_slot);
        a->hint_term = around(&v->rng, r->term);
        a->round = around(&v->rng, r->round);
        a->sent = v->now;
    } else if (kind == RAFT_FORGETFUL_ACK) {
        struct raft_forgetful_ack *a = body;
        a->match = around(&v->rng, r->trail.last_slot);
        a->life = (uint32_t)rng_below(&v->rng, 3);
    } else if (kind == RAFT_FORGETFUL_REJECT) {
        struct raft_forgetful_reject *a = body;
        a->prev_slot = around(&v->rng, r->trail.last_slot);
        a->hint_slot = around(&v->rng, r->trail.last_slot);
        a->hint_term = around(&v->rng, r->term);
        a->life = (uint32_t)rng_below(&v->rng, 3);
        a->sent = v->now;
    } else if (kind == RAFT_RECOVERED) {
        struct raft_recovered *a = body;
        a->slot = around(&v->rng, r->matched);
        a->life = r->life + (uint32_t)rng_below(&v->rng, 4) / 3;
    } else if (kind == RAFT_VOTE_REPLY || kind == RAFT_PREVOTE_REPLY) {
        struct raft_vote_reply *a = body;
        a->granted = rng_below(&v->rng, 4) > 0;
    }
}

/* What a driver makes of records: mostly what follows from what is in force, or anything. */
static struct membership some_members(struct victim *v)
{
    struct membership m = v->raft->members.members;
    switch (rng_below(&v->rng, 5)) {
    case 0:
        m = (struct membership){ .voters = (uint16_t)rng_next(&v->rng),
                                 .outgoing = (uint16_t)rng_next(&v->rng),
                                 .learners = (uint16_t)rng_next(&v->rng) };
        return m;
    case 1:
        m.outgoing = m.voters;
        m.voters = 1 + (uint16_t)rng_below(&v->rng, 15);
        break;
    case 2:
        m.outgoing = 0;
        break;
    default:
        m.learners = (uint16_t)rng_below(&v->rng, 16);
        break;
    }
    m.learners = (uint16_t)(m.learners & ~m.voters);
    return m;
}

static void receive(struct victim *v)
{
    uint64_t body[64] = { 0 };
    uint16_t kind = (uint16_t)rng_below(&v->rng, raft_codec.kind_max + 2);
    struct event event = { .kind = EVENT_RECEIVE };
    qr_assert(raft_codec.body_max <= sizeof body);
    if (raft_codec.name(kind) != NULL) {
        raft_codec.random(kind, rng_next(&v->rng), body);
        aim(v, kind, body, &event.receive.message);
    }
    struct membership_at stated = { .members = some_members(v) };
    if (rng_below(&v->rng, 4) == 0) {
        stated.slot = event.receive.message.lo + rng_below(&v->rng, 4);
        event.receive.memberships = &stated;
        event.receive.membership_count = 1;
    }
    event.receive.from = (node_index)rng_below(&v->rng, 4);
    event.receive.message.kind = kind;
    event.receive.message.body = body;
    step(v, &event);
}

/* A file that is whole, of a member that is none. */
static void be_offered(struct victim *v)
{
    const struct raft *r = v->raft;
    struct event event = { .kind = EVENT_OFFER };
    event.offer.from = 2;
    event.offer.slot = around(&v->rng, rng_below(&v->rng, 2) > 0 ? r->commit : r->trail.last_slot);
    event.offer.slot_term = around(&v->rng, trail_last_term(&r->trail));
    event.offer.term = r->term + rng_below(&v->rng, 8) / 6;
    event.offer.membership.slot = around(&v->rng, r->members.slot);
    event.offer.membership.members = some_members(v);
    if (rng_below(&v->rng, 2) > 0) {
        event.offer.membership = r->before;
    }
    step(v, &event);
}

static void live(struct victim *v)
{
    struct event event = { 0 };
    struct outlook o;
    raft_protocol.outlook(v->raft, &o);
    switch (rng_below(&v->rng, 12)) {
    case 0:
        v->now += (qr_time)rng_below(&v->rng, 400 * QR_MILLISECOND);
        event.kind = EVENT_TIMER;
        step(v, &event);
        return;
    case 1:
        event.kind = EVENT_DURABLE;
        event.durable.upto = v->minted;
        step(v, &event);
        return;
    case 2:
        if (o.room > 2) {
            event.kind = rng_below(&v->rng, 2) > 0 ? EVENT_SUBMIT : EVENT_READ;
            event.submit.first = v->next_req;
            event.submit.count = 2;
            v->next_req += 2;
            step(v, &event);
        }
        return;
    case 3:
        event.kind = EVENT_PEER;
        event.peer.node = (node_index)rng_below(&v->rng, 4);
        event.peer.up = rng_below(&v->rng, 2) > 0;
        step(v, &event);
        return;
    case 4:
        event.kind = EVENT_ADMIN;
        event.admin.req = v->next_req++;
        event.admin.order = ADMIN_TRANSFER;
        event.admin.argument = rng_below(&v->rng, 5);
        if (rng_below(&v->rng, 2) > 0) {
            event.admin.order = ADMIN_MEMBERS;
            event.admin.members.voters = (uint16_t)rng_below(&v->rng, 16);
            event.admin.forced = rng_below(&v->rng, 2) > 0;
        }
        step(v, &event);
        return;
    case 5:
        if (rng_below(&v->rng, 4) == 0) {
            be_offered(v);
        }
        return;
    case 6:
        event.kind = EVENT_SNAPSHOT;
        event.snapshot.slot = v->applied - rng_below(&v->rng, 4) % (v->applied + 1);
        event.snapshot.release = around(&v->rng, v->applied);
        event.snapshot.pin = rng_below(&v->rng, 2) * around(&v->rng, v->applied);
        step(v, &event);
        return;
    default:
        receive(v);
        return;
    }
}

static void test_no_message_makes_a_step_fail(void **state)
{
    (void)state;
    uint32_t led = 0;
    uint32_t stored = 0;
    uint32_t changed = 0;
    uint32_t installed = 0;
    uint32_t recovered = 0;
    for (uint64_t seed = 1; seed <= LIVES; seed++) {
        struct victim v = victim_new(seed);
        for (int i = 0; i < STEPS; i++) {
            live(&v);
            led += v.raft->phase == PHASE_LEADER ? 1 : 0;
        }
        stored += v.last > 0 ? 1 : 0;
        changed += v.raft->members.slot > 0 ? 1 : 0;
        installed += v.installed > 0 ? 1 : 0;
        recovered += seed % 3 == 0 && !v.raft->forgetful ? 1 : 0;
        victim_free(&v);
    }
    assert_true(led > 100); /* else it has only been refused */
    assert_true(stored > LIVES / 4);
    assert_true(changed > LIVES / 20);
    assert_true(installed > LIVES / 4);
    assert_true(recovered > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_message_makes_a_step_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
