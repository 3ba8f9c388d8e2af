/* What group 0's leader has heard of one primary partition, and what succession.h makes its next
 * record of. One for each partition; rules of succession.h are cited.
 *
 * H1 A word is of one life of a node. Of another one than the node is known to be in it is void,
 *    and so is all that was said in the life before (S1).
 * H2 Who is away is lost after PATIENCE_AWAY, who lacks what its primary has after PATIENCE_BEHIND;
 *    neither is counted from before this leader knew of the term. Before a replica has told
 *    anything it is not behind: it may be on its way.
 * H3 A grace begins when this leader knows of the term, so with it anew.
 *
 * Pure: the caller has the clock. */
#ifndef CLUSTER_HEARING_H
#define CLUSTER_HEARING_H

#include "cluster/succession.h"

#define HEARING_GRACE (300 * QR_MILLISECOND)
#define HEARING_PATIENCE_AWAY (2 * QR_SECOND)
#define HEARING_PATIENCE_BEHIND (10 * QR_SECOND)

/* What one node said of its replica. */
struct word {
    struct succession_told told;
    bool barred;     /* it is named, and may not lead in that term */
    uint16_t caught; /* as primary: who has all */
};

struct witness {
    node_index node;
    struct word word;
    qr_time caught_at; /* its primary counted it among them; 0: never */
};

struct hearing {
    uint32_t group;
    qr_term term;  /* of the record, as it was looked at last */
    qr_time since; /* it was looked at first with that term */
    qr_term lossy; /* the term with whose primary a loss came that was told; 0: none */
    bool calm;     /* nothing is to be done until something is heard, or known of a node */
    uint8_t count, cap;
    qr_time ordered_at;      /* a hand-over was ordered */
    qr_time stopped_at;      /* it cannot go on since then; 0: it goes on */
    uint8_t stopped;         /* enum succession_reason */
    struct witness *witness; /* in no order */
};

/* Of all nodes. */
struct hearing_nodes {
    qr_time now, since;              /* this leader has led since then */
    uint16_t alive;                  /* are connected */
    uint64_t life[MEMBERS_MAX];      /* the latest that was heard of; 0: none */
    qr_time away_since[MEMBERS_MAX]; /* of those that are not alive */
    qr_time lease_gone[MEMBERS_MAX]; /* leases_gone_for */
};

void hearing_free(struct hearing *h);

/* A node has spoken. */
void hearing_take(struct hearing *h, node_index node, const struct word *word, qr_time now);
/* What it said is void: its connection is lost, or its replica is gone. */
void hearing_forget(struct hearing *h, node_index node);

/* The scene of that record, without an order. Notes its term. */
void hearing_scene(struct hearing *h, const struct succession *record,
                   const struct hearing_nodes *nodes, struct succession_scene *out);

#endif
