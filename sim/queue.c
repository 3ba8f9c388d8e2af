/* What happens next: a binary heap by time, then by age, so that ties fall the same way always. */
#include "sim/world.h"

static bool earlier(const struct item *a, const struct item *b)
{
    return a->at != b->at ? a->at < b->at : a->age < b->age;
}

void queue_push(struct queue *q, struct item item)
{
    if (q->n == q->cap) {
        q->cap = q->cap == 0 ? 256 : q->cap * 2;
        q->v = qr_realloc(q->v, q->cap * sizeof *q->v);
    }
    item.age = ++q->age;
    size_t i = q->n++;
    while (i > 0 && earlier(&item, &q->v[(i - 1) / 2])) {
        q->v[i] = q->v[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    q->v[i] = item;
}

bool queue_pop(struct queue *q, struct item *out)
{
    if (q->n == 0) {
        return false;
    }
    *out = q->v[0];
    struct item last = q->v[--q->n];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= q->n) {
            break;
        }
        if (child + 1 < q->n && earlier(&q->v[child + 1], &q->v[child])) {
            child++;
        }
        if (!earlier(&q->v[child], &last)) {
            break;
        }
        q->v[i] = q->v[child];
        i = child;
    }
    q->v[i] = last;
    return true;
}

void queue_free(struct queue *q)
{
    for (size_t i = 0; i < q->n; i++) {
        free(q->v[i].p);
    }
    free(q->v);
    *q = (struct queue){ 0 };
}
