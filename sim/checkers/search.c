/* Before the search of a key: the list of events in order of time, and which operations are alike.
 */
#include "sim/checkers/search.h"

static int by_time(const void *x, const void *y)
{
    const struct event_node *a = x, *b = y;
    if (a->time != b->time) {
        return a->time < b->time ? -1 : 1;
    }
    /* Touching operations count as concurrent: the clock has a resolution. */
    if (a->is_return != b->is_return) {
        return a->is_return ? 1 : -1;
    }
    return a->op < b->op ? -1 : a->op > b->op;
}

static void link_events(struct search *s)
{
    uint32_t n = 0;
    s->events[n++] = (struct event_node){ 0 };
    for (uint32_t i = 0; i < s->known; i++) {
        s->events[n++] = (struct event_node){ .time = s->ops[i]->start, .op = i };
        s->events[n++] = (struct event_node){ .time = s->ops[i]->end, .op = i, .is_return = true };
    }
    qsort(s->events + 1, n - 1, sizeof *s->events, by_time);
    for (uint32_t e = 0; e < n; e++) {
        s->events[e].previous = e == 0 ? 0 : e - 1;
        s->events[e].next = e + 1 < n ? e + 1 : NO_EVENT;
        if (e > 0) {
            *(s->events[e].is_return ? &s->return_of[s->events[e].op]
                                     : &s->call_of[s->events[e].op]) = e;
        }
    }
}

/* A map from (kind, value) to a number, for the time of the preparation. */
struct map_slot {
    uint64_t hash;
    uint32_t length, number;
    uint8_t kind;
    bool used;
};

struct value_map {
    struct map_slot *v;
    size_t cap;
};

/* The place of the value, unused when it is new. */
static struct map_slot *map_at(struct value_map *m, enum op_kind kind,
                               const struct model_value *value)
{
    uint64_t hash = value->present ? value->hash : 1;
    size_t i = (hash ^ hash >> 32 ^ (uint64_t)kind * 0x9e3779b9u) & (m->cap - 1);
    while (m->v[i].used && (m->v[i].hash != hash || m->v[i].length != value->length ||
                            m->v[i].kind != (uint8_t)kind)) {
        i = (i + 1) & (m->cap - 1);
    }
    m->v[i].hash = hash;
    m->v[i].length = value->length;
    m->v[i].kind = (uint8_t)kind;
    return &m->v[i];
}

static struct value_map map_new(uint32_t n)
{
    struct value_map m = { .cap = 16 };
    while (m.cap < 2 * (size_t)n) {
        m.cap *= 2;
    }
    m.v = qr_zalloc(m.cap * sizeof *m.v);
    return m;
}

static void find_twins(struct search *s)
{
    struct value_map map = map_new(s->unknown + 1);
    for (uint32_t u = s->known; u < s->known + s->unknown; u++) {
        struct map_slot *slot = map_at(&map, s->ops[u]->kind, &s->ops[u]->argument);
        s->twin[u] = slot->used ? slot->number : NO_EVENT;
        slot->used = true;
        slot->number = u;
    }
    free(map.v);
}

/* Sets of the same value, and the reads that saw it, form a family. */
static void find_families(struct search *s)
{
    uint32_t n = s->known + s->unknown;
    struct value_map map = map_new(n + 1);
    s->registers = s->list = true;
    for (uint32_t i = 0; i < n; i++) {
        const struct history_op *o = s->ops[i];
        s->registers = s->registers && o->kind <= OP_DEL;
        s->list = s->list && (o->kind == OP_GET || o->kind == OP_APPEND);
        if (o->kind == OP_DEL) {
            s->dels[s->del_count++] = i;
        } else if (o->kind == OP_GET && o->result.kind == RESULT_NIL) {
            s->nils[s->nil_count++] = i;
        }
        s->family[i] = NO_EVENT;
        if (o->kind == OP_SET) {
            struct map_slot *slot = map_at(&map, OP_SET, &o->argument);
            slot->number = slot->used ? slot->number : i;
            slot->used = true;
            s->family[i] = slot->number;
            s->sets_left[slot->number]++;
            s->family_sets[slot->number]++;
        }
    }
    for (uint32_t i = 0; i < s->known; i++) {
        const struct history_op *o = s->ops[i];
        if (o->kind == OP_GET && o->result.kind == RESULT_VALUE) {
            const struct map_slot *slot = map_at(&map, OP_SET, &o->result.value);
            if (slot->used) {
                s->family[i] = slot->number;
                s->reads_left[slot->number]++;
            }
        }
    }
    free(map.v);
}

void search_prepare(struct search *s)
{
    link_events(s);
    find_twins(s);
    find_families(s);
}
