/* What clients want, and whether an answer is one (want.c). */
#ifndef SIM_NODES_WANT_H
#define SIM_NODES_WANT_H

#include "resp/tree.h"
#include "sim/nodes/seat.h"

#define REQUEST_BYTES (TOKEN_MAX + 800u)

/* Words with a blank between them, as an array of bulk strings; returns its length. */
size_t want_words(char *p, size_t cap, const char *words);
/* Each writes a request and returns its length; it is terminated too. */
size_t want_next(struct asker *a, struct deed *asked, char *p, size_t cap);
size_t want_order(const struct run *run, struct rng *rng, char *p, size_t cap);
/* That list, at level local. */
size_t want_shown(struct asker *a, const char *list, struct deed *asked, char *p, size_t cap);
/* The last phase: all keys, one after the other. */
size_t want_last(struct asker *a, uint32_t i, struct deed *asked, char *p, size_t cap);
uint32_t want_last_count(const struct asker *a);

/* Writes down what was answered. Returns NULL, or what is wrong with it. */
const char *want_told(struct asker *a, struct deed *asked, const struct tree *reply, qr_time now);
bool want_is_uncertain(const struct tree *reply);
/* The last phase: whether the operator's keyspace is there. */
bool want_is_made(const struct tree *reply);

#endif
