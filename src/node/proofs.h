/* How fresh a replica knows its state to be (cluster/freshness.h, F3): when it asked for indexes,
 * and which of those it has applied since.
 *
 * Every read that the protocol confirms proves something, and where nobody reads so, an index is
 * asked for on its own (replica_ask_ahead). Bounded: what there is no room for proves nothing. */
#ifndef NODE_PROOFS_H
#define NODE_PROOFS_H

#include "base/types.h"

#define PROOF_ASKS 8u

struct proofs {
    qr_time fresh_at; /* asked for then, and applied; 0: nothing is known */
    struct {
        qr_req first; /* of the reads that were given to the protocol */
        qr_time at;
    } asks[PROOF_ASKS]; /* without an answer, in order */
    struct {
        qr_slot slot;
        qr_time at;
    } told[2], newest; /* that are to be applied: the next, and the latest; and of all */
    uint8_t ask_count, told_count;
    bool wanted;        /* one is to be asked for in the next turn */
    uint8_t lates;      /* so many times in a row one came late, */
    qr_time late_until; /* and the leader is asked to read until then */
};

/* Reads from that number on were given to the protocol. */
void proofs_asked(struct proofs *p, qr_req first, qr_time now);
/* Reads [first, first + count) may be served at `slot`; they were refused. */
void proofs_confirmed(struct proofs *p, qr_req first, uint32_t count, qr_slot slot);
void proofs_refused(struct proofs *p, qr_req first, uint32_t count);
/* A read has waited too long for one; one was served in time. */
void proofs_late(struct proofs *p, qr_time now);
static inline void proofs_in_time(struct proofs *p)
{
    p->lates = 0;
}
/* The state has come as far as that slot: how fresh it is. */
qr_time proofs_fresh_at(struct proofs *p, qr_slot applied);

/* How far a state may be behind (lagging.h B6): microseconds, or entries. */
struct proofs_limit {
    uint64_t most;
    bool is_entries;
};
#define PROOFS_LIFE QR_SECOND                  /* so long an index tells what entries there are */
#define PROOFS_PATIENCE (100 * QR_MILLISECOND) /* then what one lacks is late */

enum behind {
    BEHIND_NOT,
    BEHIND_AGES, /* not yet: another index is to be asked for */
    BEHIND_UNKNOWN,
    BEHIND_TOO_FAR, /* or nobody has said in time that it is not */
};
enum behind proofs_behind(struct proofs *p, qr_slot applied, qr_time now,
                          const struct proofs_limit *limit);

/* Whether one was asked for at `since` or later and has no answer. */
static inline bool proofs_awaits(const struct proofs *p, qr_time since)
{
    return p->wanted || (p->ask_count > 0 && p->asks[p->ask_count - 1].at >= since);
}

#endif
