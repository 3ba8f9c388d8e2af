/* Commands that may wait only so long (TIMEOUT), the one whose time ends first at hand: a heap, so
 * that thousands with different times cost nothing while none of them is due.
 *
 * E1 A command is in it while it has an end (wants.expires) and no answer; but a write that is not
 *    given up since reads come before it (S2 of stream.h) only once it is the head of its stream. A
 *    peer's stays out: the node that has sent it gives it up. */
#ifndef NODE_EXPIRIES_H
#define NODE_EXPIRIES_H

#include "base/types.h"

struct pending;

struct expiries {
    struct pending **heap;
    uint32_t n, cap;
};

void expiries_add(struct expiries *e, struct pending *p);
/* Also of one that is not in it. */
void expiries_remove(struct expiries *e, struct pending *p);

/* The one whose time has come; NULL: none has. */
struct pending *expiries_due(const struct expiries *e, qr_time now);
/* When the next one's comes. */
qr_time expiries_next(const struct expiries *e);

void expiries_free(struct expiries *e);

#endif
