/* Quotas of keyspaces: MAXMEMORY and MAXOPS, kept by the leaders of their partitions, each for an
 * equal share of the keyspace's.
 *
 * Q1 A command that is refused for a quota was surely not carried out.
 * Q2 Memory is looked at before a growing command is proposed: commands that are under way count
 *    with the bytes of their arguments, so that a share is exceeded by a command's own overhead at
 *    most. What frees memory is never refused.
 * Q3 Commands a second are counted in a bucket of one second's worth: whoever was quiet may do a
 *    second's work at once. */
#ifndef NODE_QUOTA_H
#define NODE_QUOTA_H

#include "command/command.h"

struct partition;
struct pending;

struct quota {
    uint32_t epoch;   /* node->quotas when `limited` was found out */
    bool limited;     /* there is a quota at all */
    uint64_t level;   /* millionths of a command in it */
    uint64_t ops;     /* commands carried out since the start */
    qr_time filled;   /* when the bucket was filled up last */
    uint64_t refused; /* commands refused since the start */
};

/* Whether the command, whose arguments have that many bytes, must not be carried out now at this
 * leader of its partition. Asked perhaps several times: it counts nothing. */
bool quota_refuses(struct partition *partition, const struct command_spec *spec, size_t bytes);
/* A command is carried out. */
void quota_spend(struct partition *partition);
/* Answers p, which must not be with that many bytes, in words. */
void quota_refuse(struct pending *p, size_t bytes);

/* The bytes that count against MAXMEMORY: all but the past, which grows old with log time only.
 * That stands still where writes are refused, so they would be for ever. */
uint64_t quota_bytes(const struct partition *partition);

#endif
