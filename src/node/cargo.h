/* The large arguments of one command: more than LARGE_BYTES each, kept apart from its op, which
 * only refers to them (command/op.h).
 *
 * A cargo is filled as its bytes come, from a client's socket or in pieces from another node, and
 * carried on, piece by piece, to the leader or into the log. What is carried on may be let go
 * behind (a leader does so for other nodes, which keep theirs and would begin anew). */
#ifndef NODE_CARGO_H
#define NODE_CARGO_H

#include "base/rope.h"
#include "command/op.h"

struct node;
struct partition;
struct pending;

struct cargo_part {
    struct rope *rope;
    uint64_t n; /* bytes when it is whole */
};

/* How far it is carried on: in front of byte `at` of a part, `bytes` in all. */
struct cargo_place {
    uint32_t part;
    uint64_t at, bytes;
};

struct cargo {
    struct cargo_part *v;
    uint32_t count, cap;
    uint64_t total, come; /* bytes: announced so far; there, or carried on already */
    uint32_t filling;     /* the part that the next bytes belong to */
    struct cargo_place place;
    struct cargo_place mark; /* where it was before this turn's batch (blobs.c) */

    struct partition *partition; /* where it is begun */
    bool begun;                  /* some of it is in the log of this term, under these numbers */
    qr_term term;
    uint64_t first_number;
    bool used; /* its command is proposed, too: the blobs are the command's */

    uint64_t credit;           /* to the leader: how much of it the leader has carried on */
    struct relay *relay;       /* from a peer; NULL: from a client of this node */
    struct pending *of, *next; /* the peer's cargos that may still get pieces */
    uint64_t told;             /* credit that the peer has been given */
    uint64_t window;           /* what it may bring here ahead of that; 0: from a client */
    uint32_t shed;             /* parts that are let go */
};

struct cargo *cargo_new(void);
/* Its bytes go in slices, and what the log has of it is given up unless it is used. NULL is
 * nothing.
 */
void cargo_free(struct node *node, struct cargo *cargo);

/* One more part, of n bytes that are still to come. */
struct rope *cargo_add(struct cargo *cargo, uint64_t n);
/* The next bytes, for whichever parts they are; false when they are too many. */
bool cargo_fill(struct cargo *cargo, struct span bytes);

static inline bool cargo_is_whole(const struct cargo *cargo)
{
    return cargo->come == cargo->total;
}

static inline bool cargo_is_carried(const struct cargo *cargo)
{
    return cargo->place.part == cargo->count;
}

/* The bytes at its place that have come and lie together, at most `most`. */
struct span cargo_slice(const struct cargo *cargo, size_t most);
void cargo_pass(struct cargo *cargo, size_t n);
/* Lets go of what is carried on. */
void cargo_shed(struct cargo *cargo);

#endif
