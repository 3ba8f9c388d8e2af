/* What the operator was told of the keyspaces that it alone orders (ordered.c). */
#ifndef SIM_NODES_ORDERED_H
#define SIM_NODES_ORDERED_H

#include "cluster/map.h"

#define ORDERED_NAMES 2u /* "cart" and "junk" */
#define ORDERED_WORDS 32u

struct ordered_keyspace {
    bool may_be, may_lack;  /* there */
    uint32_t makes, drops;  /* orders of which nobody knows what became, nor when */
    uint32_t made, seen;    /* answered OK, or known to have come; by any node */
    uint32_t touched;       /* options of such an ALTER, by bit (node/keyspace_options.h) */
    uint8_t strategy;       /* with which it is made: enum keyspace_strategy */
    bool known;             /* what it is, but for those: */
    struct map_keyspace is;
};

struct ordered {
    struct ordered_keyspace of[ORDERED_NAMES];
    /* The order that has no answer yet. */
    enum { ORDERED_NOTHING, ORDERED_CREATE, ORDERED_ALTER, ORDERED_DROP } kind;
    struct ordered_keyspace *which;
    char text[600];
    struct span word[ORDERED_WORDS]; /* in `text`: what stands behind the name */
    uint32_t words;
    uint64_t judged, compared; /* answers, and options at the end */
};

/* Whether a keyspace of that name is the operator's: a guest gives his any other. */
bool ordered_is_one(const char *name);

/* `primary`: they are made with that strategy. */
void ordered_begin(struct ordered *o, bool primary);
void ordered_asked(struct ordered *o, const char *request);
void ordered_lost(struct ordered *o);
/* The reply, by its type and text. NULL, or what is wrong with it. */
const char *ordered_answered(struct ordered *o, char type, struct span text);

/* A keyspace of that name was seen that was not seen before. NULL, or what is wrong with it. */
const char *ordered_saw(struct ordered *o, const char *name);
/* The state when all is well again and nobody orders anything. NULL, or what is wrong with it. */
const char *ordered_judge(struct ordered *o, const struct map *map);

#endif
