/* Commands by what they wait for, the one with the least at hand: a heap, so that thousands cost
 * nothing while none of them has what it waits for.
 *
 * A node has one of those that may wait only so long:
 *
 * E1 A command is in it while it has an end (wants.expires; of one that is BLOCKED `until`) and no
 *    answer; but a write that is not given up since reads come before it (S2 of stream.h) only once
 *    it is the head of its stream. A peer's stays out: the node that has sent it gives it up. */
#ifndef NODE_HEAP_H
#define NODE_HEAP_H

#include "base/types.h"

struct pending;

/* A command may be in one of each kind. */
enum heap_kind {
    HEAP_TIMES, /* zeroed memory is such a heap */
    HEAP_SLOTS, /* wait.c */
    HEAP_KINDS
};

struct pending_heap {
    struct heap_place {
        int64_t key;
        struct pending *p;
    } *v;
    uint32_t n, cap;
    enum heap_kind kind;
};

void heap_add(struct pending_heap *h, struct pending *p, int64_t key);
/* Also of one that is in none. */
void heap_remove(struct pending_heap *h, struct pending *p);

/* The one with the least key, where that is at most so much; NULL: none is. */
struct pending *heap_upto(const struct pending_heap *h, int64_t key);
/* The least key; QR_NEVER: of none. */
int64_t heap_least(const struct pending_heap *h);

void heap_free(struct pending_heap *h);

#endif
