/* Levels of reads in words (features D3). */
#ifndef CLUSTER_LEVEL_H
#define CLUSTER_LEVEL_H

#include "base/text.h"
#include "base/types.h"
#include "protocol/protocol.h"

/* A level with its parameter. Zeroed: linearizable. */
struct level_asked {
    uint8_t level;  /* enum read_level */
    bool by_ops;    /* bounded: `bound` counts operations */
    uint32_t group; /* snapshot: the group of the position, */
    uint64_t bound; /* and its slot; bounded: milliseconds or operations */
};

#define LEVEL_MS_MAX 86400000u /* a day */
#define LEVEL_OPS_MAX 0x7fffffffu
#define LEVEL_BYTES 48u /* in words, with the end */

const char *level_name(enum read_level level);

/* The level of that name, as it stands before a colon. */
bool level_find(struct span name, enum read_level *out);

/* "local", "bounded:500ms", "bounded:5s", "bounded:2m", "bounded:500", "bounded:100ops",
 * "snapshot:3-17". False: it is none of these; whatever says what is wrong is in *why, in words
 * that follow the value: empty when the level is not known. */
bool level_read(struct span value, struct level_asked *out, struct text *why);

/* The same in words: at most LEVEL_BYTES. */
void level_put(struct text *out, const struct level_asked *level);

/* "500ms", "5s", "2m", or plain milliseconds: 1 ms to a day. */
bool duration_read(struct span value, uint64_t *ms);

/* Those that a strategy gives, strongest first: "linearizable, leader, ...". */
void level_names(struct text *out, const struct promise *promise);

/* Whether any replica may answer: no leader is needed. */
static inline bool level_is_of_any_replica(enum read_level level)
{
    return level == READ_PREFIX || level == READ_LOCAL || level == READ_SNAPSHOT;
}

/* Whether a replica answers from what it has applied, wherever that shows what must be shown. */
static inline bool level_needs_no_proof(enum read_level level)
{
    return level_is_of_any_replica(level) || level == READ_SESSION || level == READ_BOUNDED;
}

#endif
