#include "cluster/coverage.h"

#include "base/panic.h"
#include "base/wire.h"

#include <string.h>

static bool is_same(struct cover_stage a, struct cover_stage b)
{
    return a.term == b.term && a.count == b.count;
}

bool cover_is_later(struct cover_stage a, struct cover_stage b)
{
    return a.term > b.term || (a.term == b.term && a.count > b.count);
}

static bool freezes(const struct coverage *c)
{
    qr_assert((c->freeze.stage.count & 1) == (c->freeze.count > 0));
    return c->freeze.count > 0;
}

/* --- Prefixes ------------------------------------------------------------------------------- */

bool freeze_add(struct freeze *f, struct span prefix)
{
    if (prefix.n == 0 || prefix.n > KEYSPACE_PREFIX_BYTES || f->count == FROZEN_MAX) {
        return false;
    }
    struct frozen_prefix *p = &f->prefix[f->count++];
    p->n = (uint8_t)prefix.n;
    memcpy(p->bytes, prefix.p, prefix.n);
    return true;
}

bool freeze_has(const struct freeze *f, struct span key)
{
    for (uint32_t i = 0; i < f->count; i++) {
        const struct frozen_prefix *p = &f->prefix[i];
        if (key.n >= p->n && memcmp(key.p, p->bytes, p->n) == 0) {
            return true;
        }
    }
    return false;
}

size_t freeze_write(const struct freeze *f, uint8_t *p)
{
    struct wire_writer w = wire_writer(p, FREEZE_BYTES_MAX);
    wire_put_u64(&w, f->stage.term);
    wire_put_u64(&w, f->stage.count);
    wire_put_u8(&w, (uint8_t)f->count);
    for (uint32_t i = 0; i < f->count; i++) {
        wire_put_u8(&w, f->prefix[i].n);
        wire_put_bytes(&w, f->prefix[i].bytes, f->prefix[i].n);
    }
    return w.n;
}

bool freeze_read(struct span in, struct freeze *out)
{
    struct wire_reader r = wire_reader(in);
    *out = (struct freeze){ 0 };
    out->stage.term = wire_get_u64(&r);
    out->stage.count = wire_get_u64(&r);
    uint8_t count = wire_get_u8(&r);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t n = wire_get_u8(&r);
        struct span prefix = wire_get_bytes(&r, n);
        if (!freeze_add(out, prefix)) {
            return false;
        }
    }
    return wire_finished(&r) && (out->stage.count & 1) == (out->count > 0);
}

/* --- The node ------------------------------------------------------------------------------- */

bool coverage_freeze(struct coverage *c, const struct freeze *f)
{
    if (!cover_is_later(f->stage, c->frozen.stage)) {
        return false; /* V4 */
    }
    if (f->count > 0) {
        c->frozen = *f;
        c->settled = false;
        c->until = 0; /* what thaws by this may lead elsewhere by now */
    }
    return f->count > 0;
}

struct cover_stage coverage_said(const struct coverage *c)
{
    return c->settled ? c->frozen.stage : (struct cover_stage){ 0 };
}

static qr_time later(qr_time a, qr_time b)
{
    return a > b ? a : b;
}

void coverage_granted(struct coverage *c, struct cover_stage stage, qr_time sent)
{
    if (cover_is_later(c->frozen.stage, stage)) {
        return; /* V4 */
    }
    if (!is_same(c->frozen.stage, stage)) {
        c->frozen = (struct freeze){ .stage = stage };
    }
    c->until = later(c->until, sent + COVER_TIME / 2); /* V1 */
    c->knows_until = later(c->knows_until, sent + RULES_TIME / 2);
    c->changes++;
}

void coverage_without_rules(struct coverage *c, qr_time now)
{
    c->knows_until = later(c->knows_until, now + RULES_TIME / 2);
}

void coverage_end(struct coverage *c)
{
    c->until = c->knows_until = 0;
}

/* --- Group 0's leader ----------------------------------------------------------------------- */

void coverage_lead(struct coverage *c, qr_term term, qr_time now)
{
    if (c->freeze.stage.term == term) {
        return;
    }
    c->freeze = (struct freeze){ .stage.term = term };
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        c->gone_at[i] = now + COVER_TIME; /* V2 */
        c->said[i] = (struct cover_stage){ 0 };
    }
}

void coverage_asked(struct coverage *c, node_index node, struct cover_stage said)
{
    qr_assert(node < MEMBERS_MAX);
    c->said[node] = said;
}

bool coverage_may_grant(const struct coverage *c, node_index node)
{
    qr_assert(node < MEMBERS_MAX);
    return !freezes(c) || is_same(c->said[node], c->freeze.stage); /* V3 */
}

void coverage_grant(struct coverage *c, node_index node, qr_time now)
{
    qr_assert(coverage_may_grant(c, node));
    c->gone_at[node] = now + COVER_TIME; /* V1 */
}

void coverage_begin(struct coverage *c, const struct freeze *f)
{
    qr_assert(!freezes(c) && f->count > 0);
    struct cover_stage stage = { c->freeze.stage.term, c->freeze.stage.count + 1 };
    c->freeze = *f;
    c->freeze.stage = stage;
}

void coverage_thaw(struct coverage *c)
{
    qr_assert(freezes(c));
    struct cover_stage stage = { c->freeze.stage.term, c->freeze.stage.count + 1 };
    c->freeze = (struct freeze){ .stage = stage };
}

bool coverage_may_go(const struct coverage *c, node_index node, qr_time now)
{
    qr_assert(node < MEMBERS_MAX);
    return !is_same(c->said[node], c->freeze.stage) && now <= c->gone_at[node];
}

bool coverage_may_know_rules(const struct coverage *c, node_index node, qr_time now)
{
    qr_assert(node < MEMBERS_MAX);
    return now <= c->gone_at[node] + (RULES_TIME - COVER_TIME);
}
