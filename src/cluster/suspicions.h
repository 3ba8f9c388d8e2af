/* How good a failure detector is, per pair of nodes: what this node believed of another one, beside
 * what turned out to be so. The measures are those of Chen, Toueg and Aguilera (2002): detection
 * time, mistake rate and duration, and the share of the time in which the answer was right; and
 * Chandra and Toueg's (1996) completeness and accuracy, of what has been proven.
 *
 * Q1 A node is suspected from when it is silent, or its connection closes, until it is heard again.
 * Q2 It is a mistake when the same process is heard again, whatever the reason was: a cut network
 *    too is no failure of a node. On the connection that it was silent on it is the same one.
 * Q3 It is a failure when another process comes in its place. Which one it is only whom it asks for
 *    its lease is told (leases.h): until then, and for good when it says nothing before its
 *    connection closes, nothing is proven.
 * Q4 A failure that nobody had suspected when the next process connected was missed.
 * Q5 The detection time of a failure is counted from when the process was heard last: it failed
 *    behind that, so this is at least as long as it was.
 *
 * Counted since the start or suspicions_reset. Pure: the caller has the clock, microseconds. */
#ifndef CLUSTER_SUSPICIONS_H
#define CLUSTER_SUSPICIONS_H

#include "base/limits.h"
#include "base/types.h"

struct suspicion_figures {
    uint64_t silent, closed;          /* suspected, by what came first */
    uint64_t mistakes;                /* Q2 */
    uint64_t failures, missed;        /* Q3, Q4 */
    uint64_t unproven;                /* suspicions of which it is not known what they were */
    qr_time trusted;                  /* time in which it was not suspected */
    qr_time mistaken, mistaken_max;   /* of mistakes: how long they lasted */
    qr_time detection, detection_max; /* of failures: Q5, all together */
};

enum suspicion_state { SUSPICION_UNKNOWN, SUSPICION_TRUSTED, SUSPICION_SILENT, SUSPICION_CLOSED };

struct suspicion {
    enum suspicion_state state;
    qr_time since;   /* of that state, as far as it is counted */
    qr_time silence; /* of the suspicion: how long it was not heard before */
    /* A suspicion by a connection that is no more, to be proven (Q3). */
    bool pending, noticed;  /* noticed: it was suspected (Q4) */
    qr_time lasted;         /* from the suspicion until it was connected again */
    uint64_t before, known; /* processes: by the connection before, by this one; 0: not said */
    struct suspicion_figures figures;
};

struct suspicions {
    struct suspicion of[MEMBERS_MAX];
};

void suspicions_init(struct suspicions *s);
/* Zeroes the figures. A suspicion that lasts is counted whole when it turns out what it was. */
void suspicions_reset(struct suspicions *s, qr_time now);

/* A connection opened. One that was there before has closed, whether that was told or not. */
void suspicions_connected(struct suspicions *s, node_index node, qr_time now);
/* Its connection closed. */
void suspicions_lost(struct suspicions *s, node_index node, qr_time heard, qr_time now);
/* It is silent on an open connection; it was heard again on it. */
void suspicions_silent(struct suspicions *s, node_index node, qr_time heard, qr_time now);
void suspicions_heard(struct suspicions *s, node_index node, qr_time now);
/* Which process is at the other end of its connection; not 0. */
void suspicions_process(struct suspicions *s, node_index node, uint64_t process);
/* Another node takes its place: what was counted of this one goes. */
static inline void suspicions_forget(struct suspicions *s, node_index node)
{
    s->of[node] = (struct suspicion){ 0 };
}

/* The figures as of now. */
struct suspicion_figures suspicions_figures(const struct suspicions *s, node_index node,
                                            qr_time now);
/* Millionths. Of the failures that are proven, those that were suspected; of the time in which the
 * node lived, as far as that is proven, that in which it was not suspected. All when there is
 * nothing to count. */
uint32_t suspicion_completeness(const struct suspicion_figures *f);
uint32_t suspicion_accuracy(const struct suspicion_figures *f);

#endif
