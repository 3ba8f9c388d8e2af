/* What a peer may send without being a member in good faith, and views that nobody wrote down: P1
 * says that nothing makes a step fail. Random and absurd messages are given to one node of three,
 * in every role; whatever it makes of them, its invariants hold and its effects can be carried
 * out.  */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "tests/unit/protocol/primary_group.h"

#define PROTOCOL primary_semi_protocol
#define STEPS 400
#define LIVES 2000

struct victim {
    struct primary *primary, *before;
    struct effects out;
    struct rng rng;
    qr_time now;
    qr_ticket minted;
    qr_slot last, applied;
    qr_req next_req;
    uint32_t installed, rolled_back, anew;
};

/* What the driver would insist on. */
static void persisted(struct victim *v, const struct effect *e, const struct event *event)
{
    const struct message *m = &event->receive.message;
    assert_int_equal(e->persist.ticket, v->minted + 1);
    v->minted = e->persist.ticket;
    if (e->persist.hi <= e->persist.lo) {
        return;
    }
    assert_int_equal(e->persist.lo, v->last + 1);
    v->last = e->persist.hi - 1;
    if (e->persist.req == 0 && !e->persist.noop) {
        assert_int_equal(event->kind, EVENT_RECEIVE);
        assert_true(e->persist.lo >= m->lo && e->persist.hi == m->hi);
        assert_int_equal(e->persist.term, m->term);
    }
}

static void rolled_back(struct victim *v, const struct effect *e)
{
    assert_int_equal(e->rollback.ticket, v->minted + 1);
    assert_int_equal(e->rollback.last, v->last);
    v->minted = e->rollback.ticket;
    v->last = e->rollback.anew ? 0 : e->rollback.slot;
    v->applied = e->rollback.anew ? 0 : min_u64(v->applied, e->rollback.slot);
    v->rolled_back++;
    v->anew += e->rollback.anew;
}

static void carry_out(struct victim *v, const struct event *event)
{
    for (uint32_t i = 0; i < v->out.n; i++) {
        const struct effect *e = &v->out.v[i];
        if (e->kind == EFFECT_PERSIST) {
            persisted(v, e, event);
        } else if (e->kind == EFFECT_ROLLBACK) {
            rolled_back(v, e);
        } else if (e->kind == EFFECT_INSTALL) {
            assert_int_equal(event->kind, EVENT_OFFER);
            assert_true(e->install.slot == event->offer.slot && e->install.slot > v->applied);
            v->minted = e->install.ticket;
            v->last = v->applied = e->install.slot;
            v->installed++;
        } else if (e->kind == EFFECT_APPLY) {
            assert_int_equal(e->apply.lo, v->applied + 1);
            assert_true(e->apply.hi <= v->last + 1);
            v->applied = e->apply.hi - 1;
        } else if (e->kind == EFFECT_SEND) {
            assert_true(e->after <= v->minted && e->send.to != 1);
            assert_true(e->send.message.hi <= v->last + 1);
        }
    }
}

static void step(struct victim *v, struct event *event)
{
    event->now = v->now;
    v->out.n = 0;
    v->out.scratch_n = 0;
    *v->before = *v->primary;
    PROTOCOL.step(v->primary, event, &v->out);
    PROTOCOL.check(v->primary, v->before);
    carry_out(v, event);
}

static struct victim victim_new(uint64_t seed)
{
    struct protocol_limits limits = flock_limits();
    struct needs needs = PROTOCOL.needs(&limits);
    struct victim v = { .rng = rng_from(seed), .now = QR_SECOND, .next_req = 1 };
    v.primary = calloc(1, needs.state);
    v.before = calloc(1, needs.state);
    v.out.v = calloc(needs.effects, sizeof *v.out.v);
    v.out.cap = needs.effects;
    v.out.scratch = malloc(needs.scratch);
    v.out.scratch_cap = needs.scratch;
    PROTOCOL.init(v.primary, &limits, 1, seed);
    struct event start = { .kind = EVENT_START };
    start.start.forgetful = seed % 3 == 0;
    step(&v, &start);
    step(&v, &(struct event){ .kind = EVENT_LEASE, .lease.held = true });
    return v;
}

static void victim_free(struct victim *v)
{
    free(v->primary);
    free(v->before);
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

static void aim_append(struct victim *v, struct primary_append *a, struct message *m)
{
    struct primary *p = v->primary;
    a->prev_slot = around(&v->rng, p->trail.last_slot);
    a->prev_term = around(&v->rng, p->term);
    a->commit = around(&v->rng, p->trail.last_slot);
    a->floor = around(&v->rng, p->trail.last_slot / 2);
    a->ask = rng_below(&v->rng, 2) > 0;
    m->lo = rng_below(&v->rng, 4) > 0 ? a->prev_slot + 1 : around(&v->rng, p->trail.last_slot);
    m->term = around(&v->rng, p->term);
    if (rng_below(&v->rng, 2) > 0) { /* one that fits, now and then */
        a->prev_slot = p->trail.last_slot - rng_below(&v->rng, 3) % (p->trail.last_slot + 1);
        a->prev_term = p->trail.base_slot > a->prev_slot ? 0 : trail_term(&p->trail, a->prev_slot);
        m->lo = a->prev_slot + 1;
        m->term = a->prev_term + rng_below(&v->rng, 3);
    }
    m->hi = m->lo + rng_below(&v->rng, 5);
    m->hi = m->hi < m->lo ? m->lo : m->hi;
}

static uint32_t some_life(struct victim *v)
{
    return (uint32_t)rng_below(&v->rng, 8) / 3;
}

/* Fields that decide much are brought near to what the node has, so that they are looked at. */
static void aim(struct victim *v, uint16_t kind, void *body, struct message *m)
{
    struct primary *p = v->primary;
    qr_slot last = p->trail.last_slot;
    *(qr_term *)body = p->term + rng_below(&v->rng, 8) / 6;
    if (rng_below(&v->rng, 60) == 0) {
        *(qr_term *)body = around(&v->rng, p->term);
    }
    if (kind == PRIMARY_APPEND) {
        aim_append(v, body, m);
    } else if (kind == PRIMARY_APPEND_ACK) {
        struct primary_append_ack *a = body;
        a->got = around(&v->rng, last);
        a->match = a->got - rng_below(&v->rng, 2);
        a->life = some_life(v);
        a->sent = v->now - (qr_time)rng_below(&v->rng, 5);
    } else if (kind == PRIMARY_HEARTBEAT_ACK) {
        struct primary_heartbeat_ack *a = body;
        a->got = around(&v->rng, last);
        a->match = around(&v->rng, a->got);
        a->life = some_life(v);
        a->sent = v->now;
    } else if (kind == PRIMARY_APPEND_REJECT) {
        struct primary_append_reject *a = body;
        a->prev_slot = around(&v->rng, last);
        a->hint_slot = around(&v->rng, last);
        a->hint_term = around(&v->rng, p->term);
        a->base_slot = around(&v->rng, rng_below(&v->rng, 2) * last);
        a->base_term = around(&v->rng, p->term);
        a->life = some_life(v);
        a->sent = v->now;
    } else if (kind == PRIMARY_RECOVERED) {
        struct primary_recovered *a = body;
        a->slot = around(&v->rng, p->matched);
        a->life = p->life + (uint32_t)rng_below(&v->rng, 4) / 3;
    } else if (kind == PRIMARY_FOREIGN) {
        struct primary_foreign *a = body;
        a->slot = around(&v->rng, p->trail.base_slot);
        a->slot_term = p->trail.base_term + rng_below(&v->rng, 4) / 3;
        a->common = around(&v->rng, p->trail.base_slot);
    }
}

static void receive(struct victim *v)
{
    uint64_t body[64] = { 0 };
    uint16_t kind = (uint16_t)rng_below(&v->rng, PRIMARY_FOREIGN + 3);
    struct event event = { .kind = EVENT_RECEIVE };
    qr_assert(primary_codec.body_max <= sizeof body);
    if (primary_codec.name(kind) != NULL) {
        primary_codec.random(kind, rng_next(&v->rng), body);
        aim(v, kind, body, &event.receive.message);
    }
    struct membership_at stated = { .slot = event.receive.message.lo, .members.voters = 7 };
    event.receive.memberships = &stated;
    event.receive.membership_count = rng_below(&v->rng, 20) == 0;
    event.receive.from = (node_index)rng_below(&v->rng, 4);
    event.receive.message.kind = kind;
    event.receive.message.body = body;
    step(v, &event);
}

static void be_told(struct victim *v)
{
    struct event event = { .kind = EVENT_VIEW };
    event.view.term = v->primary->term + rng_below(&v->rng, 3);
    if (rng_below(&v->rng, 30) == 0) {
        event.view.term = around(&v->rng, v->primary->term);
    }
    event.view.primary = (node_index)rng_below(&v->rng, 4);
    event.view.primary = event.view.primary == 3 ? NODE_NONE : event.view.primary;
    event.view.members = rng_below(&v->rng, 4) > 0 ? 7 : (uint16_t)rng_next(&v->rng);
    event.view.learners = rng_below(&v->rng, 4) > 0 ? 8 : (uint16_t)rng_next(&v->rng);
    event.view.set = rng_below(&v->rng, 3) > 0 ? 0 : (uint16_t)rng_below(&v->rng, 9);
    event.view.copies = (uint8_t)rng_below(&v->rng, 4);
    event.view.stage = (uint8_t)rng_below(&v->rng, 4);
    step(v, &event);
}

static void be_offered(struct victim *v)
{
    const struct primary *p = v->primary;
    struct event event = { .kind = EVENT_OFFER };
    event.offer.from = 2;
    event.offer.slot = around(&v->rng, rng_below(&v->rng, 2) > 0 ? p->commit : p->trail.last_slot);
    event.offer.slot_term = around(&v->rng, trail_last_term(&p->trail));
    event.offer.term = p->term + rng_below(&v->rng, 8) / 6;
    step(v, &event);
}

static void be_ordered(struct victim *v)
{
    struct event event = { .kind = EVENT_ADMIN };
    event.admin.req = v->next_req++;
    event.admin.order = rng_below(&v->rng, 4) > 0 ? ADMIN_TRANSFER : ADMIN_MEMBERS;
    event.admin.argument = rng_below(&v->rng, 5) < 4 ? rng_below(&v->rng, 4) : UINT64_MAX;
    step(v, &event);
}

static void serve(struct victim *v)
{
    struct outlook o;
    PROTOCOL.outlook(v->primary, &o);
    if (o.room > 2) {
        struct event event = { .kind = rng_below(&v->rng, 2) > 0 ? EVENT_SUBMIT : EVENT_READ };
        event.submit.first = v->next_req;
        event.submit.count = 2;
        v->next_req += 2;
        step(v, &event);
    }
}

static void keep(struct victim *v)
{
    struct event event = { .kind = EVENT_SNAPSHOT };
    event.snapshot.slot = v->applied - rng_below(&v->rng, 4) % (v->applied + 1);
    event.snapshot.release = around(&v->rng, v->applied);
    event.snapshot.pin = rng_below(&v->rng, 2) * around(&v->rng, v->applied);
    step(v, &event);
}

static void live(struct victim *v)
{
    struct event event = { 0 };
    switch (rng_below(&v->rng, 14)) {
    case 0:
        v->now += (qr_time)rng_below(&v->rng, 100 * QR_MILLISECOND);
        event.kind = EVENT_TIMER;
        break;
    case 1:
        event.kind = EVENT_DURABLE;
        event.durable.upto = v->minted;
        break;
    case 2:
        serve(v);
        return;
    case 3:
        event.kind = EVENT_PEER;
        event.peer.node = (node_index)rng_below(&v->rng, 4);
        event.peer.up = rng_below(&v->rng, 2) > 0;
        break;
    case 4:
        be_ordered(v);
        return;
    case 5:
        be_offered(v);
        return;
    case 6:
        keep(v);
        return;
    case 7:
        be_told(v);
        return;
    case 8:
        event.kind = EVENT_LEASE;
        event.lease.held = rng_below(&v->rng, 4) > 0;
        break;
    default:
        receive(v);
        return;
    }
    step(v, &event);
}

static void test_nothing_makes_a_step_fail(void **state)
{
    (void)state;
    uint32_t led = 0;
    uint32_t stood = 0;
    uint32_t stored = 0;
    uint32_t rolled = 0;
    uint32_t anew = 0;
    uint32_t installed = 0;
    uint32_t recovered = 0;
    for (uint64_t seed = 1; seed <= LIVES; seed++) {
        struct victim v = victim_new(seed);
        for (int i = 0; i < STEPS; i++) {
            live(&v);
            led += v.primary->phase == PHASE_PRIMARY;
            stood += primary_stands(v.primary);
            recovered += v.before->forgetful && !v.primary->forgetful;
        }
        stored += v.last > 0;
        rolled += v.rolled_back > 0;
        anew += v.anew > 0;
        installed += v.installed > 0;
        victim_free(&v);
    }
    assert_true(led > LIVES); /* else it has only been refused */
    assert_true(stood > LIVES / 4);
    assert_true(stored > LIVES / 4);
    assert_true(rolled > LIVES / 10);
    assert_true(anew > LIVES / 40);
    assert_true(installed > LIVES / 10);
    assert_true(recovered > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_makes_a_step_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
