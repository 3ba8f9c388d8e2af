/* Digests of the state at some slots, this node's and what the others have told of theirs, and who
 * is right where they differ (decision 025; U27). No I/O.
 *
 * Only where two or more others agree at a slot, and they are more than half of all that are known
 * there, is a node that differs outvoted. A difference that nobody wins is only told: with two
 * replicas nobody can say which is right. */
#ifndef NODE_DIGESTS_H
#define NODE_DIGESTS_H

#include "base/limits.h"
#include "base/types.h"

#define DIGESTS_KEPT \
    32u /* of each node; one about every second: followers may be so far behind \
         */

struct digest_at {
    qr_slot slot;
    uint64_t digest;
};

/* As large as it ever had to be: most groups are idle, and a node may have thousands. */
struct digest_ring {
    struct digest_at *v;
    uint32_t count, cap, next;
};

struct digests {
    struct digest_ring own;
    struct digest_ring told[MEMBERS_MAX];
    uint64_t compared, differed;
};

enum digest_verdict {
    DIGEST_UNKNOWN,  /* nobody has told of that slot, or this node has none */
    DIGEST_AGREES,   /* with all who have told */
    DIGEST_UPHELD,   /* somebody differs, but this node is with more than half */
    DIGEST_DISPUTED, /* somebody differs, and this node is not outvoted */
    DIGEST_OUTVOTED, /* this node is wrong */
};

void digests_free(struct digests *d);
void digests_own(struct digests *d, qr_slot slot, uint64_t digest);
void digests_told(struct digests *d, node_index from, qr_slot slot, uint64_t digest);
/* Another life of that member, or another directory. */
void digests_forget(struct digests *d, node_index member);
void digests_forget_own(struct digests *d);

/* At a slot that has just become known, here or there. `other` is one that differs. */
enum digest_verdict digests_judge(struct digests *d, qr_slot slot, node_index *other);

#endif
