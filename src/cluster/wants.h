/* What a command asks for beside its operation, and what its answer shows: how fresh, whose, and
 * how far the partition's state had come. Both travel with a forwarded command (link.h). */
#ifndef CLUSTER_WANTS_H
#define CLUSTER_WANTS_H

#include "base/types.h"
#include "base/wire.h"

/* Who must have a write before it is answered, beside what its keyspace says: of STRATEGY primary
 * (primary_asked.h). Zeroed: as the keyspace says. */
struct wants_copies {
    uint8_t count;  /* with the primary itself; WANTS_ALL_COPIES: all members; 0: not said */
    uint8_t stage;  /* enum ack_stage */
    uint16_t among; /* those beside the primary are of these nodes; 0: wherever they are */
};
#define WANTS_ALL_COPIES UINT8_MAX

/* Zeroed: nothing but what every command gets. */
struct wants {
    uint8_t level;            /* enum read_level: what a read may show */
    bool bound_is_operations; /* of `bound` */
    bool each_zone;           /* a write: answered when each zone has it (ack.h), */
    struct wants_copies copies; /* or when these have it */
    uint32_t group;           /* READ_SNAPSHOT: of the position, as the client has it: here only */
    bool meta;                /* the reply comes with a map of what it shows (meta.h): here only */
    bool session;             /* `least` is what a session has seen, or will be: here only */
    qr_slot least;            /* READ_SNAPSHOT: the state at this slot; others: this one at least */
    uint64_t bound;           /* READ_BOUNDED: microseconds, or operations */
    qr_time expires;          /* by this node's clock; 0: as long as any command */
    qr_time window;           /* READ_SESSION: so long after a write the leader reads; here only */
    uint64_t pin;             /* of a session that is pinned (pin.h); 0: it is not: here only */
};

/* What a state or a write is known by. Zeroed: nothing is known. */
struct shown {
    qr_slot slot;   /* the state that a read shows has applied it; the slot of a write */
    uint64_t stale; /* a read: at most so many microseconds old; only where has_stale */
    bool has_stale;
    bool replayed; /* the reply is that of an earlier request with the same id */
    node_index by; /* who carried it out */
};

/* How old, in whole milliseconds: never less than it is. */
static inline uint64_t shown_stale_ms(const struct shown *s)
{
    return s->stale / QR_MILLISECOND + (s->stale % QR_MILLISECOND != 0 ? 1 : 0);
}

#define WANTS_BYTES 22u
#define SHOWN_BYTES 13u

/* Whether anything is asked for that whoever carries the command out has to know. */
static inline bool wants_travel(const struct wants *w)
{
    return w->level != 0 || w->least != 0 || w->expires != 0 || w->each_zone ||
           w->copies.count != 0;
}

/* WANTS_BYTES of a frame; times are what is left of them at `now`. */
void wants_put(struct wire_writer *out, const struct wants *w, qr_time now);
/* False: such wants make no sense. */
bool wants_get(struct wire_reader *in, struct wants *out, qr_time now);

/* SHOWN_BYTES of a frame; who carried it out is whoever sends it. */
void shown_put(struct wire_writer *out, const struct shown *s);
void shown_get(struct wire_reader *in, node_index from, struct shown *out);

#endif
