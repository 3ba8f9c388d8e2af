/* Commands that several partitions answer together: those without keys in a keyspace of many
 * partitions, and WAIT of a client that has written to several.
 *
 * G1 One begins when all commands of its client ahead of it are answered, and nothing of its client
 *    is taken up before it is answered itself: so it sees and changes what it would have where it
 *    stands among them.
 * G2 It is no snapshot: each partition answers at a moment of its own, as its leader.
 * G3 GATHER_WINDOW partitions are asked at a time. After the first error no more are; what has been
 *    asked is waited for. The answer is that error with the partition that gave it; where a part of
 *    the change was made, or may have been, it is -UNCERTAIN and says so.
 * G4 SCAN goes from partition to partition: its cursor holds the index of one above the cursor
 *    within it, and both mean the same on every node. It is below 2^53, whatever the number of
 *    partitions: JavaScript's and Lua's numbers hold no more. */
#ifndef NODE_GATHER_H
#define NODE_GATHER_H

#include "node/route.h"
#include "node/stream.h"

struct router;

/* Such a command of a client: route->kind is ROUTE_ALL, or it is WAIT. `led_here`: only partitions
 * that this node leads are meant, as a client of a cluster asks each of its nodes. */
void gather_command(struct router *router, struct stream *stream, const struct route *route,
                    const struct command_spec *spec, uint8_t version, const struct span *argv,
                    uint32_t argc, bool silent, bool led_here);

/* The partitions in which a client has written, for WAIT: 1 with the one, whose group is stored; 0:
 * none; 2: more. */
uint32_t gather_written(const struct stream *stream, uint32_t *group);

/* Once a turn: begins those whose time has come, asks further partitions, answers. */
void gather_turn(struct router *router);
/* At the end of the router. */
void gather_free_all(struct router *router);

#endif
