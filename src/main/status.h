/* `quorate status`: what its files share.
 *
 * status.c          the command: once, or again and again
 * status_gather.c   asks a node, and the others for what only they know
 * status_screen.c   prints it for people
 * status_json.c     ... for programs
 *
 * One node is asked, and only for what it can tell without the others: so it also says something
 * where there is no quorum. What the leader alone knows is asked for when the node knows a leader.
 * An error that the server answers is shown at its place; nothing of it ends the command but that
 * the node cannot be reached. A field that a server does not have stays empty. */
#ifndef MAIN_STATUS_H
#define MAIN_STATUS_H

#include "base/limits.h"
#include "main/asking.h"

#include <stdio.h>

#define STATUS_TEXT_BYTES 256

struct status_node {
    int64_t id;
    char address[96], role[16], state[24], zone[32], version[24];
    bool self, leads; /* leads: group 0 */
    bool draining;
    int64_t lag;
    uint64_t replicas, leaders; /* of partitions */
    /* what only it says itself */
    bool answered;
    double cpu_s, uptime_s; /* seconds of processor time, so far */
    double cpu;             /* share of a core since the last look; below 0: not known */
    uint64_t memory, stall_us;
    int64_t disk_free; /* 0 or less: not known */
    bool space_low;
    bool lease; /* it holds its lease of group 0 */
};

struct status_keyspace {
    int64_t id, replicas, partitions, maxmemory, maxops;
    char name[64], strategy[16], prefix[64], state[16];
    bool counted; /* what follows is known */
    int64_t keys, bytes, ops;
    int64_t lag, lag_partition, lag_node; /* of the replica that lacks most */
};

/* A partition that is not as it should be, and why. */
struct status_sick {
    char keyspace[64], slots[24], nodes[64], why[64];
    int64_t partition, group, leader;
};

/* A partition that moves. */
struct status_move {
    char keyspace[64], from[64], to[64];
    int64_t partition, percent, bytes_left, entries_left;
};

struct status_moves {
    bool known, balancing;
    int64_t under_way, left, stuck, rate, bytes_left, bytes_per_second;
    struct status_move listed[STATUS_MOVES_MAX];
    uint32_t listed_count;
};

enum sickness { SICK_NO_LEADER = 0, SICK_REPLICA_AWAY, SICK_MOVING, SICK_KINDS };

struct status {
    char error[STATUS_TEXT_BYTES]; /* why nothing at all is known; empty: something is */
    char cluster[40], version[24];
    int64_t asked, leader, term, commit, applied, level, clock_ms;
    bool can_serve; /* false: the node that was asked leads and may not serve yet */
    struct status_node nodes[MEMBERS_MAX];
    uint32_t node_count;
    struct status_keyspace *keyspaces;
    uint32_t keyspace_count;
    uint64_t partitions, sick[SICK_KINDS];
    struct status_sick listed[STATUS_LISTED_MAX];
    uint32_t listed_count;
    struct {
        char id[32], alarm[40], text[STATUS_TEXT_BYTES];
        int64_t node, since_ms, until_ms;
    } alarms[STATUS_LISTED_MAX];
    uint32_t alarm_count, alarms_listed;
    struct status_moves moves;
    char notes[8][STATUS_TEXT_BYTES]; /* what was refused */
    uint32_t note_count;
};

/* False: the node could not be asked, `error` says why. `before` is the last look, or NULL. To be
 * freed in both cases. */
bool status_gather(struct status *status, const struct status *before, const struct asking *asking);
void status_free(struct status *status);
void status_print(const struct status *status, const char *asked, uint32_t width, FILE *out);
void status_json(const struct status *status, FILE *out);

#endif
