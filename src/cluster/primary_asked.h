/* What a request, or its connection, asks of a keyspace with STRATEGY primary beside what that says
 * itself: ACK and FALLBACK (features D3; asks U3, U50).
 *
 * Who is chosen next is decided by the keyspace's rule, whatever one request has asked for. So a
 * request is given what that choice keeps, and the rest is refused rather than half true:
 *
 * Q1 More copies, a zone's copies, or ON durable instead of ON received, where the rule waits for
 *    others: the write is committed by the rule, so nobody is ever chosen without it but by order,
 *    and its answer waits for the further copies. What they are good for: more disks may be lost.
 * Q2 Where the rule waits for nobody (LOCAL) copies promise nothing, since who is chosen may be one
 *    without them: refused. So it is, with -NOREPLICAS, while a partition has fallen back to that
 *    (node/zones.c): whoever says ACK says FALLBACK fail with it.
 * Q3 ON applied only as far as the keyspace itself has it: elsewhere nobody tells what it has
 *    executed. ON durable nowhere with APPENDFSYNC everysec: nobody tells what it has synced.
 * Q4 FALLBACK async where the keyspace falls back, of no more than it promises: as it is.
 *
 * Pure. */
#ifndef CLUSTER_PRIMARY_ASKED_H
#define CLUSTER_PRIMARY_ASKED_H

#include "cluster/asked.h"
#include "cluster/primary_options.h"
#include "cluster/wants.h"

/* What was said of a write. */
struct asked_ack {
    uint16_t given; /* of enum asked_option: ACK and FALLBACK */
    bool fallback_async;
    struct ack ack;
};

/* Into *out what whoever leads has to see to: nothing where what the keyspace does by itself is
 * enough whatever it is altered to. `in_zone` are the nodes in the ACK's zone, the keyspace's own
 * where none was said. False: the keyspace does not give it, and *why goes on behind its name. */
bool primary_asked(struct wants_copies *out, const struct asked_ack *asked,
                   const struct primary_options *own, uint32_t replicas, uint16_t in_zone,
                   struct text *why);

/* The kinds and stages of ACK that a request may ask for there. */
struct promise primary_asked_gives(const struct primary_options *own);

#endif
