/* Which nodes hold the replicas of which partitions, and who is to lead them.
 *
 * PL1 Replicas of a partition stand on different nodes; in different zones as far as there are
 *     zones enough; then so that all nodes hold the same number, give or take one. A node without
 *     a zone is a zone of its own.
 * PL2 A plan is a function of the map and of which nodes are there: every leader of group 0 has
 *     the same, a dry run is what a run will do, and a plan that was carried out in part goes on
 *     where it stopped, because what was begun stands in the map as a wish.
 * PL3 Nothing moves without need: a replica leaves a node that is gone, drains or has more than
 *     others, each move ends one of these, and only the last kind waits to be ordered (REBALANCE).
 * PL4 A node that is away for a while keeps its replicas and its place as the preferred leader;
 *     nothing new is placed on it.
 * PL5 What is under way is not changed again, unless it cannot end: because a node that it needs is
 *     gone, or because ACK was altered to more copies than it leaves nodes for, and the new plan
 *     does not. The caller says how many more moves may begin: it knows which of those under way
 *     stand still.
 * PL6 Of a keyspace whose ACK names a zone so many replicas stand there as ACK counts on, whoever
 *     leads: that comes before PL1. Where there are fewer they are brought there, unasked; what
 *     would leave fewer is not planned, it is stuck. */
#ifndef CLUSTER_PLACE_H
#define CLUSTER_PLACE_H

#include "base/text.h"
#include "cluster/map.h"

/* The nodes of the cluster, as group 0's leader sees them; who drains stands in the map. */
struct place_nodes {
    uint16_t members; /* of group 0, whether voters or not */
    uint16_t live;    /* of these, with a lease */
    uint16_t gone;    /* of these, away for so long that they are replaced */
};

enum place_status {
    PLACE_OK = 0,
    PLACE_NO_REPLICAS,   /* 0 replicas, or more than a group can have */
    PLACE_TOO_FEW_NODES, /* as many replicas as that need more nodes */
    PLACE_NO_PARTITIONS, /* 0 partitions, or more than there are slots */
    PLACE_TOO_MANY_PARTITIONS,
    PLACE_TOO_MANY_KEYSPACES,
    PLACE_NO_GROUPS, /* their numbers are used up */
};

struct placement {
    uint16_t nodes;
    node_index leads;
};

/* Whether partitions that are there could have so many replicas now. */
enum place_status place_check_replicas(const struct map *map, const struct place_nodes *nodes,
                                       uint32_t replicas);
/* Whether a keyspace of so many partitions and replicas can be made now. */
enum place_status place_check(const struct map *map, const struct place_nodes *nodes,
                              uint32_t replicas, uint32_t partitions);
/* Places groups [first_group, first_group + partitions), which are checked, into `out`, for that
 * keyspace; NULL: for one that says nothing of zones. */
void place_found(const struct map *map, const struct place_nodes *nodes, uint32_t replicas,
                 uint32_t first_group, uint32_t partitions, const struct map_keyspace *keyspace,
                 struct placement *out);
/* The refusal in words, as an error reply without its minus. */
void place_explain(enum place_status status, const struct map *map, const struct place_nodes *nodes,
                   uint32_t replicas, uint32_t partitions, struct text *out);

enum place_reason {
    PLACE_REPLACES = 1, /* a node that is gone, or is no member any more */
    PLACE_DRAINS,
    PLACE_RESIZES, /* the keyspace is to have another number of replicas */
    PLACE_PARTS,   /* two replicas in one zone, or too few in the zone of ACK */
    PLACE_EVENS,   /* numbers of replicas */
    PLACE_LEADS,   /* nothing but who prefers to lead */
};

struct place_change {
    uint32_t group;
    uint16_t before, wish;
    node_index prefers;
    uint8_t reason; /* enum place_reason: the first that applies */
};

struct place_plan {
    struct place_change *change; /* by reason, then by group */
    uint32_t count;
    uint32_t stuck; /* partitions that should leave a node and have nowhere to go */
};

/* All that is left to do. Spreading anew (PARTS, EVENS, LEADS) only when `balancing`, or for what
 * is changed anyway. */
void place_plan(const struct map *map, const struct place_nodes *nodes, bool balancing,
                struct place_plan *out);
void place_plan_free(struct place_plan *plan);

/* The partition records to write next, at most cap, with at most `moves` more moves (PL5); changes
 * of preference alone are no moves. */
uint32_t place_due(const struct map *map, const struct place_nodes *nodes,
                   const struct place_plan *plan, uint32_t moves, struct map_partition *out,
                   uint32_t cap);

/* --- Figures -------------------------------------------------------------------------------- */

uint32_t place_under_way(const struct map *map); /* partitions whose wish is not settled */
/* Partitions that a node holds or may hold, without group 0's: drained is whoever has none. */
uint32_t place_held(const struct map *map, node_index node);

const char *place_reason_name(enum place_reason reason);

#endif
