/* How fast members that lack much of the log are fed while clients need the machine.
 *
 * What is committed already nobody waits for: a member that is far behind gets it no faster than
 * twice as fast as the log grows, or a floor, so that the pace never keeps it from catching
 * up and clients keep most of disks and processors. There is no pace while clients are idle, nor
 * while what they have written waits to be committed, or for a handover: that may depend on this
 * very member.
 *
 * A message whose entries have to wait is kept, one for each member: the newest, since each begins
 * where the member stands. Time passes as the caller says. */
#ifndef NODE_FEED_H
#define NODE_FEED_H

#include "base/limits.h"
#include "protocol/protocol.h"
#include "protocol/quorum.h"

/* A message that waits, with its encoded body. */
struct late {
    struct message message;
    size_t body_bytes;
    uint8_t body[];
};

/* Whether clients want something of this node: looked at now and then. */
struct demand {
    uint64_t commands; /* of clients, until looked_at */
    qr_time looked_at;
    bool busy; /* there were many of late */
};

struct feed {
    /* What each turn looks at, on one cache line. */
    qr_term term; /* of the leadership that all this is about; 0: this node does not lead */
    qr_slot commit;
    qr_time moved; /* when commit did, or nothing waited for it */
    struct demand demand;
    qr_time measured_at;
    uint16_t waiting; /* those for whom a message is kept */
    uint16_t gaps;    /* those of whom `gap` says something */
    bool paced;

    uint32_t attached[MEMBERS_MAX]; /* bytes of entries that went to each in this turn */
    uint64_t read_back;             /* of those: from files */
    uint64_t position;              /* of the log, at measured_at */
    uint64_t growth;                /* bytes a second, a moving average */
    struct {
        qr_time due; /* when the pace lets more go */
        qr_slot gap; /* what follows this slot is no use yet */
        struct late *late;
    } member[MEMBERS_MAX];
};

/* 0: there is none, anything is of use. */
static inline qr_slot feed_gap(const struct feed *f, node_index to)
{
    return (f->gaps & node_bit(to)) != 0 ? f->member[to].gap : 0;
}
static inline void feed_set_gap(struct feed *f, node_index to, qr_slot gap)
{
    if (gap != 0) {
        f->member[to].gap = gap;
        f->gaps |= node_bit(to);
    } else {
        f->gaps &= (uint16_t)~node_bit(to);
    }
}

/* What a turn of the leader sees. */
struct feed_sight {
    qr_time now;
    qr_term term; /* 0: it does not lead */
    uint64_t position, commands;
    qr_slot commit, last;
    bool hurried; /* leadership is handed over: writes wait for one of them */
};

/* Looks at most every 100 ms. */
void demand_look(struct demand *d, uint64_t commands, qr_time now);

void feed_look(struct feed *f, const struct feed_sight *sight);
uint64_t feed_rate(const struct feed *f); /* bytes a second, for one member */
void feed_took(struct feed *f, node_index to, size_t bytes, qr_time now);
static inline bool feed_must_wait(const struct feed *f, node_index to, qr_time now)
{
    return f->paced && now < f->member[to].due;
}

void feed_keep(struct feed *f, node_index to, const struct message *m, struct span body);
struct late *feed_take(struct feed *f,
                       node_index to); /* the caller frees it; NULL: there is none */
void feed_forget(struct feed *f, node_index to);

#endif
