/* What gather.c (who is asked, and when) and gather_answer.c (what comes of the answers) share. */
#ifndef NODE_GATHER_INTERNAL_H
#define NODE_GATHER_INTERNAL_H

#include "node/gather.h"
#include "node/router_internal.h"

enum gather_kind {
    GATHER_SUM,   /* DBSIZE */
    GATHER_LEAST, /* WAIT, WAITAOF */
    GATHER_KEYS,  /* KEYS */
    GATHER_ANY,   /* RANDOMKEY: the first that there is */
    GATHER_DONE,  /* FLUSHDB, FLUSHALL: OK of all */
    GATHER_SCAN,  /* SCAN: of one */
};

struct gather {
    struct gather *next;
    struct router *router;
    struct stream stream;   /* its questions */
    struct pending *parent; /* the command, in its client's stream */
    enum gather_kind kind;
    bool begun;
    char keyspace[KEYSPACE_NAME_BYTES];
    uint32_t *groups; /* of the partitions to ask, in this order, from the one at `first` on */
    uint32_t count, first;
    uint32_t asked, open; /* so many were asked; of those have no answer */
    uint32_t done;        /* said yes */
    uint32_t unsure;      /* may have done it */
    bool enough;          /* the answer is there */
    char error[320];      /* the first one, as it is to be told; "": none */
    int64_t number;       /* the sum, or the least */
    int64_t local;        /* of WAITAOF: the least of the leaders' */
    struct reply keys;    /* parts of the answer */
    uint64_t key_count;
    uint32_t scan_index; /* the partition that SCAN is in, of scan_count, and */
    uint32_t scan_count;
    uint32_t scan_next;  /* ... the one behind it; scan_count: there is none */
    struct reply answer; /* the one being written */
};

/* The answer of the partition that p was for. */
void gather_note(struct gather *g, const struct pending *p);
/* A partition that could not be asked. */
void gather_fail(struct gather *g, uint32_t group, const char *error);
/* Writes the whole answer. */
void gather_reply(struct gather *g, struct reply *out);

/* A cursor of SCAN: which partition, and where in it, without the bits that do not matter
 * (store_scan); with those it would be 48. */
#define SCAN_CURSOR_BITS (48 - STORE_SCAN_FINE)
_Static_assert((uint64_t)SLOTS << SCAN_CURSOR_BITS <= (uint64_t)1 << 53, "a number of JavaScript");

#endif
