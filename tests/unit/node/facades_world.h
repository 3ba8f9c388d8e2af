/* The cardboard node with its cluster and sentinel ports, and clients that came by them. */
#ifndef TESTS_NODE_FACADES_WORLD_H
#define TESTS_NODE_FACADES_WORLD_H

#include "cardboard.h"

#define CHECK(line, expected) assert_string_equal(run(line), expected)
#define CHECK_HAS(line, part) assert_non_null(strstr(run(line), part))
#define CHECK_LACKS(line, part) assert_null(strstr(run(line), part))

/* Puts everything back. Node 0 is this one, node 1 is connected and node 2 is not; all have the
 * ports, and UUIDs of equal bytes. The client came by that port. */
int facades_by(enum listener_kind listener);
/* A cmocka tear-down function. */
int facades_clean(void **state);

/* The id of a node for clients. */
const char *id_of(node_index i);

/* A node that is connected says nothing for a second. */
void facades_hang(node_index i);

/* A keyspace `orders`, id 16, of the partitions `others`; cluster-port is for it. */
void facades_make_keyspace(void);

#endif
