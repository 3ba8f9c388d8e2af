/* The discard journals of a node: one for each keyspace of which it has discarded anything
 * (node/discards.h). Whoever discards opens his keyspace's before he begins; others are opened when
 * somebody asks for what is in them, and stay open. */
#ifndef NODE_JOURNALS_H
#define NODE_JOURNALS_H

#include "node/discards.h"

struct node;

struct journal {
    uint32_t keyspace;
    struct discards *discards;
};

struct journals {
    struct journal *v; /* those that are open */
    uint32_t count, cap;
};

/* The journal of a keyspace. NULL: it cannot be opened, as `message` says, which is empty
 * otherwise; or, without `make`, there is none: nothing of that keyspace was ever discarded here.
 * Where it is not open yet, this blocks on the disk. */
struct discards *journals_get(struct node *node, uint32_t keyspace, bool make, char *message,
                              size_t cap);
/* The sums over all that are open. */
void journals_stats(const struct node *node, struct discards_stats *out);
/* Whether something is being written to any of them. */
bool journals_busy(const struct node *node);
void journals_free(struct node *node);

#endif
