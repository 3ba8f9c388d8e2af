/* Whether a replica may answer a read itself: one decision for the node and for the simulator.
 *
 * F1 What the read must not be without (`least`: of its session, of a token, the position of a
 *    snapshot) is applied here before it is served, at every level.
 * F2 A confirmed index counts for a read only if it was asked for after the read had come. It
 *    proves everything that was acknowledged before: linearizable.
 * F3 A replica is as fresh as the moment at which it *asked* for an index that it has applied
 *    since, by its own clock (`fresh_at`): what was acknowledged before then is in its state. The
 *    moment of the answer says nothing. No clock of another node is looked at.
 * F4 A bound is counted from the moment at which the read came: it shows everything that was
 *    acknowledged before `asked - bound`.
 * F5 A confirmed index below `least` proves that this group has lost what the session has seen: no
 *    waiting helps, and nobody else can serve it either.
 *
 * Pure. Slots are those of one group; a position of another group is no business of this one. */
#ifndef CLUSTER_FRESHNESS_H
#define CLUSTER_FRESHNESS_H

#include "base/types.h"
#include "protocol/protocol.h"

/* What a replica knows of itself. */
struct freshness {
    qr_slot applied;
    qr_time fresh_at; /* F3; 0: it does not know */
    bool leads;       /* as far as it knows; it has applied an entry of its own term */
    bool trusted;     /* a voter, neither forgetful nor frozen, quarantined or being loaded */
    bool current;     /* since its start it has applied all that a leader knew to be committed */
};

/* What a read asks for, and what is known of it so far. */
struct read_wish {
    enum read_level level;
    qr_slot least;   /* F1; 0: nothing */
    qr_time asked;   /* when it came, by the replica's clock */
    qr_time bound;   /* of READ_BOUNDED by time */
    uint64_t behind; /* of READ_BOUNDED by operations: as many may be missing */
    bool by_count;   /* READ_BOUNDED by operations */
    bool confirmed;  /* `index` was confirmed for it (F2) */
    qr_slot index;
};

enum serve {
    SERVE_NOW,
    SERVE_WAIT,      /* what is missing is on its way: when more is applied */
    SERVE_ASK,       /* once an index is confirmed for it, here or by the leader */
    SERVE_ELSEWHERE, /* this replica cannot; the leader may */
    SERVE_LOST,      /* F5 */
    SERVE_BEHIND     /* the keyspace wants it to refuse (LAGGING REJECT) */
};

enum serve freshness_serves(const struct freshness *replica, const struct read_wish *wish);

/* What a command that wants this and came then asks for. */
struct wants;
struct read_wish freshness_wish(const struct wants *wants, qr_time asked);

/* The slot that has to be applied before a confirmed read is served. */
qr_slot freshness_needs(const struct read_wish *wish);

/* F3: an index that this replica asked for at `asked` is applied. */
void freshness_proven(struct freshness *replica, qr_time asked);

#endif
