/* Which nodes are up, for the groups that rest and so have no time-outs of their own
 * (protocol/raft/quiet.c). Each node beats to every other one when nothing else went there for a
 * heartbeat; whoever a failure detector suspects (detector.h) is away until it is heard again,
 * whether its connection closed or not: a process that hangs keeps its connections. By default that
 * is who is not heard for an election time-out.
 *
 * B1 Only what arrives counts, of any kind: bulk that is under way is as good as a beat.
 * B2 Silence counts while this node itself runs. When it was stopped, or its loop stood still, the
 *    others could not be heard: what they sent meanwhile is still to be read.
 * B3 A connection that closes makes a node away at once. A new one is another life of that node
 *    until the opposite is proven: it was away in between, however short.
 * B4 A node that does not speak of beats is up as long as its connection is.
 *
 * Pure: the caller has the clock and the connections. */
#ifndef CLUSTER_BEATS_H
#define CLUSTER_BEATS_H

#include "base/limits.h"
#include "base/types.h"
#include "cluster/detector.h"

struct beats {
    qr_time interval; /* a heartbeat */
    qr_time looked;   /* 0: not yet */
    qr_time heard[MEMBERS_MAX], sent[MEMBERS_MAX];
    uint16_t connected, beating; /* beating: those that beat too (B4) */
    uint16_t up;                 /* as told */
    uint64_t silences;           /* nodes that fell silent with open connections, so far */
    struct detector detector;
};

void beats_init(struct beats *b, const struct detector_options *options);

/* Its connection opened, or closed; `beating`: whether the other side beats. */
void beats_connected(struct beats *b, node_index node, bool beating, qr_time now);
void beats_lost(struct beats *b, node_index node);

static inline void beats_heard(struct beats *b, node_index node, qr_time now)
{
    b->heard[node] = now;
}

static inline void beats_sent(struct beats *b, node_index node, qr_time now)
{
    b->sent[node] = now;
}

/* Whether it is connected and was not heard for so long, as of the last look (B2, B4). */
static inline bool beats_silent_for(const struct beats *b, node_index node, qr_time time)
{
    return (b->beating >> node & 1) != 0 && b->looked - b->heard[node] >= time;
}

/* Looks at all: whom to beat to now, and who is up now. Returns when it wants to look again. */
qr_time beats_turn(struct beats *b, qr_time now, uint16_t *beat_to, uint16_t *up);

#endif
