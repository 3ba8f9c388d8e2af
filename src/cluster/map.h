/* The control state, decoded: keyspaces, partitions, what is known of nodes, settings.
 *
 * Group 0 keeps it as records (cluster/record.h) in a hidden database of its engine, which only
 * compare-and-put entries of its log change; map_put takes each record that changed, map_reset and
 * all records again after a snapshot was loaded. So the map is a function of the records and of
 * nothing else, and equal on all nodes that have applied the same.
 *
 * N1 A group's id is never used again, keyspaces' ids may be.
 * N2 Records may come in any order: a partition may be here before its keyspace is, or be there
 *    still when its keyspace is gone. Between entries of the log neither is so.
 * N3 Keyspace 0 exists always, with group 0 as its one partition, whether or not a record says
 *    something else about it. Group 0 is not placed: its members are its own roster's.
 * N4 A partition's wish is changed by map_wish and map_settle alone (follow.h says why).
 *
 * Pointers to a partition or a keyspace are good until the record is deleted or the map is reset.
 * Lookups cost O(log n) or less; 10,000 partitions less than 1 MiB. */
#ifndef CLUSTER_MAP_H
#define CLUSTER_MAP_H

#include "base/limits.h"
#include "base/types.h"
#include "cluster/level.h"
#include "cluster/primary_options.h"
#include "cluster/succession.h"

#define KEYSPACE_NAME_BYTES 64u /* with the end */
#define KEYSPACE_PREFIX_BYTES 64u
#define KEYSPACE_FIRST_ID 16u /* below are the databases of keyspace 0 */
#define KEYSPACE_ID_MAX 65535u
#define GROUP_FIRST 2u         /* of a created keyspace; 1 is reserved */
#define MAP_LEVEL_FIRST 1u     /* of the semantics, where no record says one */
#define MAP_LEVEL_KEYSPACES 2u /* keyspaces can be created from here on, */
#define MAP_LEVEL_REQUESTS 3u  /* requests have ids, and keyspaces more options (records.c) */
#define MAP_LEVEL_PRIMARY 4u   /* STRATEGY primary, and successions */
#define MAP_LEVEL_COPIES 5u    /* more of what its copies can be asked for */
#define MAP_LEVEL_FOLLOWERS 6u /* what its followers answer, and how far they are behind */
#define MAP_LEVEL_NEWEST MAP_LEVEL_FOLLOWERS

#define MAP_HISTORY_MS_MAX 86400000u
#define MAP_IDMP_SECONDS_MAX 86400u

enum keyspace_strategy { STRATEGY_RAFT = 1, STRATEGY_PRIMARY };
enum keyspace_partitioning { PARTITIONING_HASH = 1 };
enum keyspace_state { KEYSPACE_IN_USE = 1, KEYSPACE_DROPPING };

struct map_keyspace {
    uint32_t id;          /* 0, or 16 and up */
    uint32_t first_group; /* partition i of a fresh keyspace is group first_group + i */
    uint32_t partitions;
    uint8_t strategy;     /* enum keyspace_strategy */
    uint8_t partitioning; /* enum keyspace_partitioning */
    uint8_t state;        /* enum keyspace_state */
    uint8_t replicas;
    bool lease;              /* linearizable reads by leader lease */
    uint8_t prefix_length;   /* 0: no route */
    uint64_t maxmemory;      /* bytes of all partitions together; 0: no quota */
    uint64_t maxops;         /* operations a second of all partitions together; 0: no quota */
    uint64_t created;        /* wall clock, for people */
    uint64_t history_ms;     /* of log time: so long is kept what was overwritten; 0: not at all, */
    uint64_t history_bytes;  /* in at most so many bytes of all partitions together */
    struct level_asked read; /* where a request says nothing */
    uint8_t ack_kind;        /* enum ack_kind, */
    uint8_t ack_stage;       /* and enum ack_stage: the same; of raft alone */
    uint64_t idmp_bytes;     /* ids of requests (id_bounds.h), of all partitions together; */
    uint32_t idmp_count;     /* of one producer; */
    uint32_t idmp_seconds;   /* and for how long. 0: as many as where nothing is said */
    char name[KEYSPACE_NAME_BYTES];
    char prefix[KEYSPACE_PREFIX_BYTES]; /* not ended */
    struct primary_options primary;     /* of STRATEGY_PRIMARY; else zeroed */
};

struct map_partition {
    uint32_t group;
    uint32_t keyspace;
    uint16_t index; /* in its keyspace */
    uint16_t first_slot, last_slot;
    uint16_t founders;  /* the membership that the group was made with; never changes */
    uint16_t moved;     /* founders that have been told to leave: they never found again */
    uint16_t wish;      /* who is to be a voter */
    uint16_t held;      /* wish, and every wish since the one last settled: who may be a member */
    node_index prefers; /* who is to lead, if it can; NODE_NONE: whoever does */
    uint64_t epoch;     /* counts the wishes; 1 is the founders' */
    uint64_t settled;   /* the group has reached the wish of this epoch; <= epoch */
};

/* What is known of a node beside the roster of group 0. A node without a record has no zone and is
 * not draining. */
struct map_node {
    uint32_t id; /* of the node that this is said of; 0: no record */
    bool draining;
    char zone[NODE_ZONE_BYTES];
};

struct map_settings {
    uint32_t level;      /* of the semantics, active in the whole cluster (R9) */
    uint32_t next_group; /* the next group to be made; grows only */
    bool balancing;      /* replicas are being spread anew until nothing is left to do */
    uint64_t rate;       /* bytes a second that moves may take on a node; 0: no bound */
    uint64_t balance;    /* counts the rebalances that were ordered */
};

enum map_status {
    MAP_OK = 0,
    MAP_BAD,   /* no record, or not one that can be: a bug, or damage */
    MAP_NEWER, /* a record of a version that this binary does not know: upgrade it */
};

struct map;

struct map *map_new(void);
void map_free(struct map *map);

/* Forgets all records: a snapshot is loaded, and all records of its state follow. */
void map_reset(struct map *map);

/* One record is now that one; value.n == 0: it is deleted. Anything but OK changes nothing. The
 * engine's own record of the version, whose key is empty, is none of the map's. */
enum map_status map_put(struct map *map, struct span key, struct span value);

/* Grows with every change: what was derived from the map is derived anew when it differs. */
uint64_t map_changes(const struct map *map);
/* Grows with every change of a rule (coverage.h): a prefix, what a keyspace gives where a request
 * says nothing, a zone. */
uint64_t map_rules(const struct map *map);

/* --- Lookups: NULL when there is none ------------------------------------------------------- */

const struct map_settings *map_settings(const struct map *map);
const struct map_node *map_node(const struct map *map, node_index node); /* never NULL */

uint32_t map_keyspace_count(const struct map *map); /* with keyspace 0 */
/* In order of id; at(0) is keyspace 0. */
const struct map_keyspace *map_keyspace_at(const struct map *map, uint32_t nth);
const struct map_keyspace *map_keyspace(const struct map *map, uint32_t id);
/* The one whose partition the group is. */
const struct map_keyspace *map_keyspace_of_group(const struct map *map, uint32_t group);
const struct map_keyspace *map_keyspace_named(const struct map *map, struct span name);
/* The keyspace with the longest prefix that the key begins with; NULL: none has one. */
const struct map_keyspace *map_keyspace_of_key(const struct map *map, struct span key);
bool map_has_prefixes(const struct map *map);

/* The partition that has the slot; of keyspace 0 it is group 0's, whatever the slot. */
const struct map_partition *map_partition_of_slot(const struct map *map, uint32_t keyspace,
                                                  uint16_t slot);
const struct map_partition *map_partition_at(const struct map *map, uint32_t keyspace,
                                             uint32_t index);
const struct map_partition *map_partition(const struct map *map, uint32_t group);

uint32_t map_partition_count(const struct map *map); /* with group 0's */
/* In order of group: the first above `group`. All of them:
 *     for (p = map_partition(map, 0); p != NULL; p = map_partition_after(map, p->group)) */
const struct map_partition *map_partition_after(const struct map *map, uint32_t group);

/* Who is primary of that partition, and how it goes on (decision 056); NULL: of another strategy,
 * or not here. Good until its record is deleted or the map is reset. */
const struct succession *map_succession(const struct map *map, uint32_t group);
/* What positions of that group go by (position.h); NULL: they are slots. */
static inline const struct lineage *map_losses(const struct map *map, uint32_t group)
{
    const struct succession *s = map_succession(map, group);
    return s == NULL ? NULL : &s->losses;
}
/* In order of group: the first above `group` that has one; 0: none. */
uint32_t map_succession_after(const struct map *map, uint32_t group);

/* Whether no partition speaks of that node index any more, as a member, as a founder that has not
 * moved, or as one that its succession counts or has counted on: only then may the index be given
 * to another directory (follow.h: F6). */
bool map_index_is_free(const struct map *map, node_index node);

/* --- Changes, composed at group 0's leader (N4) ---------------------------------------------- */

/* A partition of a keyspace that is being made. */
struct map_partition map_found(const struct map_keyspace *keyspace, uint32_t index, uint32_t group,
                               uint16_t founders, node_index prefers);
/* Another wish: the next epoch. */
void map_wish(struct map_partition *partition, uint16_t wish, node_index prefers);
/* The group's leader has reported that the wish of the present epoch is its membership. */
void map_settle(struct map_partition *partition);

/* Letters, digits and -_.: but not digits alone, which SELECT would take for an id. */
bool map_is_name(struct span name);

#endif
