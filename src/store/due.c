/* The due heap: see due.h. Four children a node: half the levels, and a node's children share a
 * cache line. */
#include "store/due.h"

#include "base/alloc.h"
#include "base/panic.h"

#include <string.h>

#define ARITY 4u
#define CAP_MIN 16u

static bool before(const struct due_entry *a, const struct due_entry *b)
{
    if (a->expire != b->expire) {
        return a->expire < b->expire;
    }
    struct span x = item_key(a->item);
    struct span y = item_key(b->item);
    size_t n = x.n < y.n ? x.n : y.n;
    int order = n > 0 ? memcmp(x.p, y.p, n) : 0;
    return order != 0 ? order < 0 : x.n < y.n;
}

static void place(struct due *due, uint32_t at, struct due_entry entry)
{
    due->entries[at] = entry;
    entry.item->heap_at = at;
}

/* Moves the entry from a hole at `at` towards the root until its parent is not after it. */
static void sift_up(struct due *due, uint32_t at, struct due_entry entry)
{
    while (at > 0) {
        uint32_t parent = (at - 1) / ARITY;
        if (!before(&entry, &due->entries[parent])) {
            break;
        }
        place(due, at, due->entries[parent]);
        at = parent;
    }
    place(due, at, entry);
}

static void sift_down(struct due *due, uint32_t at, struct due_entry entry)
{
    for (;;) {
        uint64_t child = (uint64_t)at * ARITY + 1;
        if (child >= due->count) {
            break;
        }
        uint64_t end = min_u64(child + ARITY, due->count);
        uint64_t least = child;
        for (uint64_t i = child + 1; i < end; i++) {
            if (before(&due->entries[i], &due->entries[least])) {
                least = i;
            }
        }
        if (!before(&due->entries[least], &entry)) {
            break;
        }
        place(due, at, due->entries[least]);
        at = (uint32_t)least;
    }
    place(due, at, entry);
}

static void resize(struct due *due, uint32_t cap)
{
    qr_assert(cap >= due->count);
    due->entries = qr_realloc(due->entries, cap * sizeof(struct due_entry));
    due->cap = cap;
}

void due_add(struct due *due, struct item *item)
{
    qr_assert(item_expire(item) != 0);
    if (due->count == due->cap) {
        qr_assert(due->cap <= UINT32_MAX / 2);
        resize(due, due->cap == 0 ? CAP_MIN : due->cap * 2);
    }
    due->count++;
    struct due_entry entry = { .expire = item->expire, .item = item };
    sift_up(due, due->count - 1, entry);
}

void due_remove(struct due *due, struct item *item)
{
    uint32_t at = item->heap_at;
    qr_assert(at < due->count);
    qr_assert(due->entries[at].item == item);
    due->count--;
    if (at < due->count) {
        struct due_entry last = due->entries[due->count];
        if (at > 0 && before(&last, &due->entries[(at - 1) / ARITY])) {
            sift_up(due, at, last);
        } else {
            sift_down(due, at, last);
        }
    }
    if (due->cap > CAP_MIN && due->count < due->cap / 4) {
        resize(due, due->cap / 2);
    }
}

void due_moved(struct due *due, struct item *item)
{
    qr_assert(item->heap_at < due->count);
    qr_assert(due->entries[item->heap_at].expire == item->expire);
    due->entries[item->heap_at].item = item;
}

struct item *due_first(const struct due *due)
{
    return due->count > 0 ? due->entries[0].item : NULL;
}

size_t due_memory(const struct due *due)
{
    return due->cap > 0 ? block_cost(due->cap * sizeof(struct due_entry)) : 0;
}

void due_free(struct due *due)
{
    free(due->entries);
    *due = (struct due){ 0 };
}
