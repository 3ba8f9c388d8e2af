#include "tools/netfault/schedule.h"

#include "base/alloc.h"
#include "base/rng.h"

struct link {
    struct faults faults;
    struct counts counts;
    struct rng rng;
    uint64_t queued_bytes;
    uint64_t free_us; /* when its bandwidth has room for the next one */
    uint64_t last_us; /* when the last one that was not reordered arrives */
};

/* The packets under way are a heap, the next one first. */
struct schedule {
    uint32_t nodes;
    struct link *links;
    struct packet **heap;
    size_t n, cap;
    uint64_t number;
};

static struct link *link_of(const struct schedule *s, uint32_t from, uint32_t to)
{
    qr_assert(from < s->nodes && to < s->nodes);
    return &s->links[from * s->nodes + to];
}

struct schedule *schedule_new(uint64_t seed, uint32_t nodes)
{
    qr_assert(nodes <= NETFAULT_NODES);
    struct schedule *s = qr_zalloc(sizeof *s);
    s->nodes = nodes;
    s->links = qr_zalloc((size_t)nodes * nodes * sizeof *s->links);
    for (uint32_t i = 0; i < nodes * nodes; i++) {
        struct rng mix = rng_from(seed ^ (((uint64_t)i + 1) << 32));
        s->links[i].rng = rng_from(rng_next(&mix));
    }
    return s;
}

void schedule_free(struct schedule *s)
{
    for (size_t i = 0; i < s->n; i++) {
        free(s->heap[i]);
    }
    free(s->heap);
    free(s->links);
    free(s);
}

uint32_t schedule_nodes(const struct schedule *s)
{
    return s->nodes;
}

struct faults schedule_faults(const struct schedule *s, uint32_t from, uint32_t to)
{
    return link_of(s, from, to)->faults;
}

struct counts schedule_counts(const struct schedule *s, uint32_t from, uint32_t to)
{
    return link_of(s, from, to)->counts;
}

/* --- The heap --------------------------------------------------------------------------------- */

static bool is_before(const struct packet *a, const struct packet *b)
{
    return a->due_us != b->due_us ? a->due_us < b->due_us : a->number < b->number;
}

static void swap(struct schedule *s, size_t i, size_t j)
{
    struct packet *p = s->heap[i];
    s->heap[i] = s->heap[j];
    s->heap[j] = p;
}

static void push(struct schedule *s, struct packet *p)
{
    if (s->n == s->cap) {
        s->cap = s->cap == 0 ? 256 : s->cap * 2;
        s->heap = qr_realloc(s->heap, s->cap * sizeof *s->heap);
    }
    size_t i = s->n++;
    s->heap[i] = p;
    while (i > 0 && is_before(s->heap[i], s->heap[(i - 1) / 2])) {
        swap(s, i, (i - 1) / 2);
        i = (i - 1) / 2;
    }
}

static struct packet *pop(struct schedule *s)
{
    struct packet *first = s->heap[0];
    s->heap[0] = s->heap[--s->n];
    for (size_t i = 0;;) {
        size_t least = i;
        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < s->n; child++) {
            if (is_before(s->heap[child], s->heap[least])) {
                least = child;
            }
        }
        if (least == i) {
            return first;
        }
        swap(s, i, least);
        i = least;
    }
}

/* --- Planning --------------------------------------------------------------------------------- */

static uint64_t max_of(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* When a packet that is sent now arrives. */
static void plan(struct link *link, uint64_t now_us, struct packet *p)
{
    const struct faults *faults = &link->faults;
    uint64_t sent = now_us;
    if (faults->bytes_per_s > 0) {
        sent = max_of(now_us, link->free_us) + (uint64_t)p->n * MILLION / faults->bytes_per_s;
        link->free_us = sent;
    }
    p->due_us = sent + faults->delay_us + p->more_us;
    if (!p->reordered) {
        p->due_us = max_of(p->due_us, link->last_us);
        link->last_us = p->due_us;
    }
}

/* It is under way no more. */
static void leave(struct link *link, const struct packet *p)
{
    link->counts.queued--;
    link->queued_bytes -= p->n;
}

static int by_number(const void *a, const void *b)
{
    const struct packet *p = *(struct packet *const *)a, *q = *(struct packet *const *)b;
    return p->number < q->number ? -1 : 1;
}

static int by_due(const void *a, const void *b)
{
    return is_before(*(struct packet *const *)a, *(struct packet *const *)b) ? -1 : 1;
}

void schedule_set(struct schedule *s, uint64_t now_us, uint32_t from, uint32_t to,
                  struct faults faults)
{
    struct link *link = link_of(s, from, to);
    link->faults = faults;
    link->free_us = link->last_us = 0;
    if (link->counts.queued == 0) {
        return;
    }
    qsort(s->heap, s->n, sizeof(struct packet *), by_number);
    size_t kept = 0;
    for (size_t i = 0; i < s->n; i++) {
        struct packet *p = s->heap[i];
        bool here = p->from == from && p->to == to;
        if (here && faults.cut != 0) {
            leave(link, p);
            link->counts.cut++;
            free(p);
            continue;
        }
        if (here) {
            plan(link, now_us, p);
        }
        s->heap[kept++] = p;
    }
    s->n = kept;
    qsort(s->heap, s->n, sizeof(struct packet *), by_due); /* what is sorted is a heap */
}

static void enqueue(struct schedule *s, uint64_t now_us, const struct packet *head,
                    const uint8_t *bytes)
{
    struct link *link = link_of(s, head->from, head->to);
    if (link->queued_bytes + head->n > QUEUE_BYTES) {
        link->counts.overflowed++;
        return;
    }
    struct packet *p = qr_alloc(sizeof *p + head->n);
    *p = *head;
    memcpy(p->bytes, bytes, head->n);
    p->number = s->number++;
    plan(link, now_us, p);
    link->queued_bytes += p->n;
    link->counts.queued++;
    push(s, p);
}

void schedule_offer(struct schedule *s, uint64_t now_us, uint32_t from, uint32_t to,
                    const uint8_t *bytes, uint32_t n)
{
    struct link *link = link_of(s, from, to);
    const struct faults *faults = &link->faults;
    bool lost = rng_chance(&link->rng, faults->loss_ppm, MILLION);
    bool duplicated = rng_chance(&link->rng, faults->duplicate_ppm, MILLION);
    bool reordered = rng_chance(&link->rng, faults->reorder_ppm, MILLION);
    uint64_t jitter_us = rng_below(&link->rng, faults->jitter_us + 1);
    uint64_t again_us = rng_below(&link->rng, faults->jitter_us + 1);
    uint64_t late_us = rng_below(&link->rng, LATE_US + 2 * faults->jitter_us);
    link->counts.offered++;
    if (faults->cut != 0 || lost) {
        link->counts.cut += faults->cut != 0;
        link->counts.lost += faults->cut == 0;
        return;
    }
    link->counts.reordered += reordered;
    link->counts.duplicated += duplicated;
    struct packet head = { .from = from,
                           .to = to,
                           .n = n,
                           .reordered = reordered,
                           .more_us = jitter_us + (reordered ? late_us : 0) };
    enqueue(s, now_us, &head, bytes);
    if (duplicated) {
        head.more_us = again_us;
        enqueue(s, now_us, &head, bytes);
    }
}

/* --- Arriving --------------------------------------------------------------------------------- */

uint64_t schedule_next_us(const struct schedule *s)
{
    return s->n == 0 ? UINT64_MAX : s->heap[0]->due_us;
}

struct packet *schedule_take(struct schedule *s, uint64_t now_us)
{
    if (schedule_next_us(s) > now_us) {
        return NULL;
    }
    struct packet *p = pop(s);
    struct link *link = link_of(s, p->from, p->to);
    leave(link, p);
    link->counts.passed++;
    link->counts.bytes += p->n;
    return p;
}
