/* What group 0's leader knows of all nodes and partitions: the leaders of partitions tell it what
 * changed, every now and then, and at once when it asks.
 *
 * It is good for what people ask and for the pace of moves; nothing is decided by it that could be
 * wrong because a figure is old. A new leader of group 0 is told everything anew. */
#ifndef NODE_REPORTS_H
#define NODE_REPORTS_H

#include "node/report_frames.h"

struct node;
struct reports;

struct reports *reports_new(void);
void reports_free(struct reports *reports);

void reports_turn(struct node *node, qr_time now);
/* Frame REPORT; false when malformed. */
bool reports_receive(struct node *node, node_index from, struct span head);

/* Another node has the index, or nobody: what was told from there is not its word. */
void reports_passed(struct node *node, node_index index);
/* A connection to that node has opened: what was on its way before may be lost, and it may be of
 * another version now. */
void reports_connected(struct node *node, node_index peer);

/* --- While this node leads group 0 ----------------------------------------------------------- */

/* Asks all connected nodes for figures from now on; and whether they have come. */
uint64_t reports_ask(struct node *node);
bool reports_answered(const struct node *node, uint64_t nonce);

/* Whether all connected nodes have applied that version of the control state. */
bool reports_know_version(const struct node *node, uint64_t version);
/* The same of all nodes, also those that are away: they have it, or go by no map any more that they
 * were covered for before (cluster/coverage.h V5). */
bool reports_all_know(const struct node *node, uint64_t version);
/* Whether all partitions of the keyspace have leaders; the keyspace may be gone. */
bool reports_keyspace_is_led(const struct node *node, uint32_t keyspace);

/* How much is in use of a keyspace, as far as is known. */
struct keyspace_use {
    uint32_t partitions; /* that have a leader */
    uint64_t keys, bytes, clients;
    bool uncounted;      /* a node has more to count than it tells: there may be more clients */
    uint64_t most_bytes; /* of one partition */
    uint64_t ops, refused;
    uint64_t worst_lag; /* entries that the replica lacks which lacks most, */
    uint32_t worst_partition;
    node_index worst_node; /* ... and whose that is; NODE_NONE: none lacks any */
};
void reports_use(const struct node *node, uint32_t keyspace, struct keyspace_use *out);

/* What the leader of that group has said last, and who that is; NULL: it has none. */
const struct partition_report *reports_of_group(const struct node *node, uint32_t group,
                                                node_index *leader);
/* The highest level that the node knows; 0: not known. */
uint32_t reports_level(const struct node *node, node_index index);

#endif
