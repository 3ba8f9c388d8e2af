/* Whether a keyspace may take one more command: its shares of MAXMEMORY and MAXOPS, asked by the
 * router at the leader of the partition. */
#ifndef NODE_QUOTA_H
#define NODE_QUOTA_H

#include "command/command.h"

struct partition;
struct pending;

/* Asked before a command is carried out, perhaps several times: it counts nothing. `bytes` are
 * those of the arguments. */
bool quota_refuses(const struct partition *partition, const struct command_spec *spec,
                   size_t bytes);
/* Answers p in words. */
void quota_refuse(struct pending *p);

#endif
