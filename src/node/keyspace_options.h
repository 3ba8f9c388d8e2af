/* What stands behind the name in KEYSPACE CREATE and ALTER, read and checked as far as that goes
 * without knowing the cluster. Knows nothing of a node. */
#ifndef NODE_KEYSPACE_OPTIONS_H
#define NODE_KEYSPACE_OPTIONS_H

#include "base/text.h"
#include "cluster/ack.h"
#include "cluster/map.h"

#define KEYSPACE_REPLICAS 3u /* where nothing else is said */
#define KEYSPACE_HISTORY_BYTES (64 * MIB)
#define KEYSPACE_HISTORY_SHARE_MIN (64 * KIB) /* of each partition */

/* What was said. */
enum keyspace_option {
    GIVEN_ID = 1u << 0,
    GIVEN_STRATEGY = 1u << 1,
    GIVEN_REPLICA_COUNT = 1u << 2,
    GIVEN_PARTITION_COUNT = 1u << 3,
    GIVEN_PARTITIONING = 1u << 4,
    GIVEN_PREFIX = 1u << 5,
    GIVEN_LEASE = 1u << 6,
    GIVEN_MAXMEMORY = 1u << 7,
    GIVEN_MAXOPS = 1u << 8,
    GIVEN_IDMP_SECONDS = 1u << 9,
    GIVEN_IDMP_COUNT = 1u << 10,
    GIVEN_IDMP_BYTES = 1u << 11,
    GIVEN_HISTORY = 1u << 12,
    GIVEN_HISTORY_BYTES = 1u << 13,
    GIVEN_READ = 1u << 16,
    GIVEN_ACK = 1u << 17, /* of raft */
    /* Of STRATEGY primary (cluster/primary_options.h). */
    GIVEN_COPIES = 1u << 18, /* its ACK */
    GIVEN_FALLBACK = 1u << 19,
    GIVEN_MAXLAG = 1u << 20,
    GIVEN_LAGGING = 1u << 21,
    GIVEN_LOG = 1u << 22,
    GIVEN_SYNC = 1u << 23,
    GIVEN_FEED = 1u << 24,
    /* What nodes go by where a request says nothing (cluster/coverage.h V5). */
    GIVEN_RULES = GIVEN_READ | GIVEN_ACK | GIVEN_IDMP_SECONDS | GIVEN_IDMP_COUNT | GIVEN_IDMP_BYTES,
};

struct keyspace_options {
    uint32_t given; /* enum keyspace_option; what is not given has its default */
    uint32_t id;    /* 0: the next free one */
    uint32_t replicas, partitions;
    bool lease;
    uint64_t maxmemory, maxops; /* 0: no limit */
    uint64_t idmp_bytes;
    uint32_t idmp_count, idmp_seconds;
    uint64_t history_ms, history_bytes; /* 0: nothing is kept */
    struct level_asked read;            /* what is given where a request says nothing */
    struct ack ack;
    uint8_t strategy;               /* enum keyspace_strategy */
    struct primary_options primary; /* with what was not said as it stood there */
    uint8_t prefix_length;
    char prefix[KEYSPACE_PREFIX_BYTES]; /* not ended */
};

/* Reads the options of CREATE (`now` is NULL) or of an ALTER of the keyspace `now`. False with an
 * error text for the client. */
bool keyspace_options_read(const struct span *argv, uint32_t argc, const struct map_keyspace *now,
                           struct keyspace_options *out, struct text *why);

/* Whether it can be a name: a letter, then letters, digits and _.- */
bool keyspace_name_is_valid(struct span name);

/* The keyspace with that name or id; NULL: there is none. */
const struct map_keyspace *keyspace_find(const struct map *map, struct span name);

/* The error that there is none, for whoever asked for `name`. */
void keyspace_unknown(struct text *out, struct span name);

#endif
