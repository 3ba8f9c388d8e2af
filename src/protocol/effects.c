/* Pushing effects: what all strategies do alike. */
#include "protocol/protocol.h"

struct effect *effects_push(struct effects *out, enum effect_kind kind)
{
    qr_assert(out->n < out->cap); /* P6 */
    struct effect *e = &out->v[out->n++];
    memset(e, 0, sizeof *e);
    e->kind = kind;
    return e;
}

void *effects_scratch(struct effects *out, size_t n)
{
    size_t aligned = (n + 7) & ~(size_t)7;
    qr_assert(aligned <= out->scratch_cap - out->scratch_n); /* P6 */
    void *p = out->scratch + out->scratch_n;
    memset(p, 0, aligned);
    out->scratch_n += aligned;
    return p;
}

void effects_trace(struct effects *out, uint16_t point, uint64_t a, uint64_t b, uint64_t c)
{
    struct effect *e = effects_push(out, EFFECT_TRACE);
    e->trace.point = point;
    e->trace.argument[0] = a;
    e->trace.argument[1] = b;
    e->trace.argument[2] = c;
}

void *effects_send(struct effects *out, node_index to, uint16_t kind, size_t body_bytes,
                   qr_ticket after)
{
    void *body = effects_scratch(out, body_bytes);
    struct effect *e = effects_push(out, EFFECT_SEND);
    e->after = after;
    e->send.to = to;
    e->send.message.kind = kind;
    e->send.message.body = body;
    return body;
}

void effects_answer(struct effects *out, qr_req first, uint32_t count, enum qr_status status)
{
    if (first == 0) {
        return;
    }
    struct effect *e = effects_push(out, EFFECT_ANSWER);
    e->answer.first = first;
    e->answer.count = count;
    e->answer.status = status;
}
