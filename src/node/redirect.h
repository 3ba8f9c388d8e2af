/* What a client of cluster-port hears in place of an answer, because Redis Cluster's rules hold
 * there.
 *
 * M1 The keys of a command are of one slot, else -CROSSSLOT.
 * M2 Where another node leads the slot's partition and has a cluster-port for the same keyspace,
 *    the client is sent there: -MOVED slot host:port. Never to the node that answers, and never to
 *    one that is not known to lead, or is gone; then the command is carried out as on any port.
 * M3 A client that said READONLY gets its reads answered here. They are as good as the leader's.
 * M4 There is one database.
 * M5 A node that was removed says CLUSTERDOWN, also when it is asked about the cluster: for that
 *    clients look for the cluster elsewhere, REMOVED they would hand to the application. */
#ifndef NODE_REDIRECT_H
#define NODE_REDIRECT_H

#include "command/command.h"
#include "resp/reply.h"

struct client;
struct node;

/* True: the reply is the answer. The command exists, its arity fits, and it is none of the
 * connection's own; the arguments include its name. */
bool redirect(struct client *client, const struct command_spec *spec, const struct span *argv,
              uint32_t argc, struct reply *reply);

/* True: this node was removed, and the reply says so (M5). */
bool redirect_is_removed(const struct node *node, struct reply *reply);

/* The slot that an argument names; 0 where it names none: the partition says so. */
uint16_t redirect_slot(struct span argument);

/* Selects the keyspace of cluster-port for a client that came by it; its id. */
#define REDIRECT_NO_KEYSPACE UINT32_MAX /* there is none of that name, now */
uint32_t redirect_keyspace(struct client *client);

/* Host and port by which clients of cluster-port reach a node; ":port" where it does not say. */
#define ENDPOINT_TEXT_BYTES 272
struct place;
void redirect_endpoint(const struct place *place, char out[ENDPOINT_TEXT_BYTES]);

#endif
