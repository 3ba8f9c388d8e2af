/* A small world for succession.h: nodes with logs, promises, leases and views that they learn late,
 * beside a group 0 that knows what it is told; and an oracle of what was acknowledged, by which
 * rule, and of which losses were told. Smaller than the protocol itself: messages are calls. */
#ifndef TESTS_UNIT_CLUSTER_SUCCESSION_WORLD_H
#define TESTS_UNIT_CLUSTER_SUCCESSION_WORLD_H

#include "base/rng.h"
#include "cluster/succession.h"

#define NODES 6
#define ENTRIES_MAX 512 /* of a run; also slots of a log */
#define VIEWS_MAX 512
#define NOBODY_ASKED 0 /* id of an entry that no client waits for */

struct entry {
    qr_term term;
    uint32_t id;
};

struct node {
    struct entry log[ENTRIES_MAX + 1]; /* by slot */
    qr_slot last, durable, commit;
    qr_slot match[NODES]; /* as primary */
    qr_term promised;
    uint64_t life;
    uint32_t known; /* the view that it has learnt; 0: none */
    bool up, leads, lease, forgetful, closed;
    node_index closed_for;
};

/* An operation of a client. */
struct operation {
    qr_term by; /* acknowledged in this term */
    qr_slot slot;
    bool acked, local, lost;
};

struct choice {
    qr_term term;
    struct succession_loss loss;
    uint8_t holds[ENTRIES_MAX / 8 + 1];
};

struct counters {
    uint64_t acked, chosen, lossy, forced, stops, settled, fell, restored, replaced, handed,
        restarted, members, recovered, full;
};

struct world {
    struct rng rng;
    uint64_t seed;
    struct node node[NODES];
    struct succession record;
    struct succession_wish wish;
    struct succession_told told[MEMBERS_MAX];
    uint16_t caught, over;
    enum succession_order_kind order;
    node_index to;
    uint32_t patience; /* turns that stopped in a row */
    struct view views[VIEWS_MAX];
    uint64_t lives[VIEWS_MAX]; /* of the primary that it names */
    uint64_t life;             /* the last that was drawn */
    uint32_t view_count;       /* the first is views[1] */
    struct operation operation[ENTRIES_MAX];
    uint32_t operations;
    struct choice choice[VIEWS_MAX];
    uint32_t choices;
    struct counters *seen;
};

void world_init(struct world *w, uint64_t seed, struct counters *seen);
/* One random thing happens. */
void world_step(struct world *w);
/* Everybody comes back, and nothing fails any more: a primary must settle. */
void world_heal(struct world *w);

#endif
