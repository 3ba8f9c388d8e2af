#include "cluster/suspicions.h"

#include "base/panic.h"

#define MILLION 1000000u

static struct suspicion *of(struct suspicions *s, node_index node)
{
    qr_assert(node < MEMBERS_MAX);
    return &s->of[node];
}

void suspicions_init(struct suspicions *s)
{
    *s = (struct suspicions){ 0 };
}

void suspicions_reset(struct suspicions *s, qr_time now)
{
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        s->of[i].figures = (struct suspicion_figures){ 0 };
        if (s->of[i].state == SUSPICION_TRUSTED) {
            s->of[i].since = now;
        }
    }
}

/* --- What is believed ------------------------------------------------------------------------ */

static void suspect(struct suspicion *p, enum suspicion_state state, qr_time heard, qr_time now)
{
    p->figures.trusted += now - p->since;
    p->figures.silent += state == SUSPICION_SILENT;
    p->figures.closed += state == SUSPICION_CLOSED;
    p->state = state;
    p->since = now;
    p->silence = now - heard;
}

static void was_mistaken(struct suspicion *p, qr_time lasted)
{
    struct suspicion_figures *f = &p->figures;
    f->mistakes++;
    f->mistaken += lasted;
    f->mistaken_max = lasted > f->mistaken_max ? lasted : f->mistaken_max;
}

void suspicions_silent(struct suspicions *s, node_index node, qr_time heard, qr_time now)
{
    struct suspicion *p = of(s, node);
    if (p->state == SUSPICION_TRUSTED) {
        suspect(p, SUSPICION_SILENT, heard, now);
    }
}

void suspicions_heard(struct suspicions *s, node_index node, qr_time now)
{
    struct suspicion *p = of(s, node);
    if (p->state == SUSPICION_SILENT) {
        was_mistaken(p, now - p->since);
        p->state = SUSPICION_TRUSTED;
        p->since = now;
    }
}

void suspicions_lost(struct suspicions *s, node_index node, qr_time heard, qr_time now)
{
    struct suspicion *p = of(s, node);
    if (p->state == SUSPICION_TRUSTED) {
        suspect(p, SUSPICION_CLOSED, heard, now);
    } else if (p->state == SUSPICION_SILENT) {
        p->state = SUSPICION_CLOSED; /* suspected since then */
    }
}

/* --- What was so ----------------------------------------------------------------------------- */

/* It is not known any more what the suspicion before was. */
static void give_up(struct suspicion *p)
{
    p->figures.unproven += p->pending && p->noticed;
    p->pending = false;
}

void suspicions_connected(struct suspicions *s, node_index node, qr_time now)
{
    struct suspicion *p = of(s, node);
    give_up(p);
    if (p->state == SUSPICION_TRUSTED) {
        p->figures.trusted += now - p->since;
    }
    p->pending = true;
    p->noticed = p->state == SUSPICION_SILENT || p->state == SUSPICION_CLOSED;
    p->lasted = now - p->since;
    p->before = p->known;
    p->known = 0;
    p->state = SUSPICION_TRUSTED;
    p->since = now;
}

void suspicions_process(struct suspicions *s, node_index node, uint64_t process)
{
    struct suspicion *p = of(s, node);
    qr_assert(process != 0);
    p->known = process;
    if (p->before == 0) {
        give_up(p);
    }
    if (!p->pending) {
        return;
    }
    struct suspicion_figures *f = &p->figures;
    p->pending = false;
    if (process == p->before && p->noticed) {
        was_mistaken(p, p->lasted);
    } else if (process != p->before && p->noticed) {
        f->failures++;
        f->detection += p->silence;
        f->detection_max = p->silence > f->detection_max ? p->silence : f->detection_max;
    } else {
        f->missed += process != p->before;
    }
}

/* --- Figures --------------------------------------------------------------------------------- */

struct suspicion_figures suspicions_figures(const struct suspicions *s, node_index node,
                                            qr_time now)
{
    qr_assert(node < MEMBERS_MAX);
    const struct suspicion *p = &s->of[node];
    struct suspicion_figures f = p->figures;
    f.trusted += p->state == SUSPICION_TRUSTED ? now - p->since : 0;
    return f;
}

static uint32_t share(uint64_t part, uint64_t rest)
{
    if (part == 0 && rest == 0) {
        return MILLION;
    }
    while (part + rest > UINT64_MAX / MILLION) {
        part /= 2;
        rest /= 2;
    }
    return (uint32_t)(part * MILLION / (part + rest));
}

uint32_t suspicion_completeness(const struct suspicion_figures *f)
{
    return share(f->failures, f->missed);
}

uint32_t suspicion_accuracy(const struct suspicion_figures *f)
{
    return share((uint64_t)f->trusted, (uint64_t)f->mistaken);
}
