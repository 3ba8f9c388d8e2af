/* Pushing effects, the only thing that all strategies do alike. */
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
