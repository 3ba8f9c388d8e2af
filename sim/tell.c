/* What an effect reads like in a narrative. */
#include "sim/world.h"

#include <inttypes.h>

static void tell_send(struct world *w, const struct sim_node *n, const struct effect *x)
{
    const struct message *m = &x->send.message;
    const struct codec *codec = w->protocol->codec;
    if ((w->show & SHOW_SENDS) == 0 || (codec->is_control(m->kind) && !(w->show & SHOW_ROUTINE))) {
        return;
    }
    char line[300];
    struct text t = text_in(line, sizeof line);
    codec->print(m->kind, m->body, &t);
    char held[48] = "";
    if (x->after > n->synced) {
        (void)snprintf(held, sizeof held, " (after #%" PRIu64 ")", x->after);
    }
    char entries[64] = "";
    if (m->lo < m->hi) {
        (void)snprintf(entries, sizeof entries, " + %" PRIu64 "..%" PRIu64, m->lo, m->hi - 1);
    }
    world_tell(w, "%d send %d %s%s%s%s", n->index, x->send.to, line, entries, held,
               w->cut[n->index][x->send.to] ? " (lost)" : "");
}

static void tell_persist(struct world *w, const struct sim_node *n, const struct effect *x)
{
    char entries[96] = "", state[300] = "";
    if (x->persist.lo < x->persist.hi) {
        (void)snprintf(entries, sizeof entries, " %s %" PRIu64 "..%" PRIu64 " of term %" PRIu64,
                       x->persist.noop ? "no-op" : "append", x->persist.lo, x->persist.hi - 1,
                       x->persist.term);
    }
    if (x->persist.state_kind != 0) {
        struct text t = text_in(state, sizeof state);
        text_put(&t, " ");
        w->protocol->codec->print(x->persist.state_kind, x->persist.state, &t);
    }
    world_tell(w, "%d persist #%" PRIu64 "%s%s", n->index, x->persist.ticket, state, entries);
}

void driver_tell(struct world *w, const struct sim_node *n, const struct effect *x)
{
    switch (x->kind) {
    case EFFECT_PERSIST:
        tell_persist(w, n, x);
        break;
    case EFFECT_SEND:
        tell_send(w, n, x);
        break;
    case EFFECT_APPLY:
        world_tell(w, "%d apply %" PRIu64 "..%" PRIu64, n->index, x->apply.lo, x->apply.hi - 1);
        break;
    case EFFECT_ANSWER:
        world_tell(w, "%d %s %u: %s", n->index, x->answer.status == STATUS_OK ? "answer" : "refuse",
                   x->answer.count, status_text(x->answer.status));
        break;
    case EFFECT_READ:
        world_tell(w, "%d confirm %u reads at %" PRIu64 "%s", n->index, x->read.count, x->read.slot,
                   x->read.before != 0 ? " under the lease" : "");
        break;
    case EFFECT_TRIM:
        world_tell(w, "%d trim ..%" PRIu64, n->index, x->trim.upto);
        break;
    case EFFECT_SNAPSHOT:
        world_tell(w, "%d snapshot to %d from slot %" PRIu64 " on", n->index, x->snapshot.to,
                   x->snapshot.least);
        break;
    case EFFECT_INSTALL:
        world_tell(w, "%d install ..%" PRIu64, n->index, x->install.slot);
        break;
    case EFFECT_LOSS:
        world_tell(w, "%d misses %" PRIu64 "..%" PRIu64 " at %d", n->index, x->loss.holds + 1,
                   x->loss.acknowledged, x->loss.node);
        break;
    case EFFECT_ROLLBACK:
        world_tell(w, "%d takes back %" PRIu64 "..%" PRIu64, n->index, x->rollback.slot + 1,
                   x->rollback.last);
        break;
    case EFFECT_TRACE:
        break;
    }
}

void driver_trace(struct world *w, const struct sim_node *n, const struct effect *x)
{
    uint16_t point = x->trace.point;
    bool first = point < TRACE_POINTS_MAX && w->counters->points[point]++ == 0;
    if (!first && w->show == 0) {
        return;
    }
    char line[200];
    struct text t = text_in(line, sizeof line);
    w->protocol->trace(point, x->trace.argument, &t);
    if (first) {
        (void)snprintf(w->counters->samples[point], sizeof w->counters->samples[point], "%.90s",
                       line);
    }
    world_tell(w, "%d * %s", n->index, line);
}
