/* Which partition a command is for.
 *
 * K1 The keyspace that a connection has selected wins. Only in keyspace 0, whatever the database,
 *    a key that begins with the PREFIX of another keyspace belongs to that one, under its whole
 *    name; the longest prefix wins.
 * K2 In its keyspace a key belongs to the partition that has its slot (cluster/slots.h).
 * K3 All keys of a command are of one partition, or it is refused: -CROSSSLOT.
 * K4 A command without keys is for the keyspace that is selected: all of its partitions.
 * K5 A created keyspace has one database. Commands between databases are keyspace 0's.
 * K6 By a prefix a node goes only while group 0 covers that, and not while it is frozen
 *    (cluster/coverage.h): so none goes by one that was changed, and none by a new one before all
 *    have left the old way. A client waits meanwhile. In keyspace 0 itself group 0's leader looks.
 *
 * What is found is good until the map changes. */
#ifndef NODE_ROUTE_H
#define NODE_ROUTE_H

#include "cluster/map.h"
#include "cluster/slots.h"
#include "command/command.h"
#include "node/selected.h"

struct node;
struct partition;

enum route_kind {
    ROUTE_ONE,       /* for `partition` */
    ROUTE_ALL,       /* K4, and there are several */
    ROUTE_SLOTS,     /* refused: keys of several partitions, ... */
    ROUTE_KEYSPACES, /* ... or of several keyspaces, by their prefixes */
    ROUTE_DATABASES, /* refused: K5 */
    ROUTE_GONE,      /* refused: the keyspace was dropped */
    ROUTE_UNSURE,    /* refused: K6 */
    ROUTE_UNPLACED,  /* refused: the partition is not there yet */
};

struct route {
    enum route_kind kind;
    const struct map_keyspace *keyspace, *other; /* `other`: with ROUTE_KEYSPACES */
    struct partition *partition;
    uint32_t slot;     /* of the first key; SLOTS: there is none, or it is too large to be one */
    uint8_t db;        /* of the partition */
    node_index leader; /* with ROUTE_ONE: NODE_NONE when it is not known */
    bool here;         /* that is this node */
    bool by_prefix;    /* K1 */
};

/* `argv` includes the name; its arity fits. Where an argument is kept apart only its beginning need
 * be there. */
void route_of(struct node *node, const struct selected *selected, const struct command_spec *spec,
              const struct span *argv, uint32_t argc, struct route *out);

/* The same for one slot of a keyspace (CLUSTER SLOTS and the like). */
void route_of_slot(struct node *node, uint32_t keyspace, uint16_t slot, struct route *out);

/* The refusal in words; only where kind is one of the refused. */
void route_refuse(const struct route *route, const struct command_spec *spec, struct reply *reply);

#endif
