/* A node: one worker that owns a replica, its log group, its engine and its connections (R3).
 *
 * Everything hangs off this struct and is passed by pointer; there is no global state. */
#ifndef NODE_NODE_H
#define NODE_NODE_H

#include "engine/engine.h"
#include "io/io.h"
#include "log/log.h"
#include "node/client.h"
#include "node/config.h"
#include "protocol/protocol.h"

struct replica; /* replica.h: a protocol instance, its log group and its engine */
struct peers;   /* peers.h: connections to the other nodes */
struct router;  /* router.h: who carries out a command */

/* What the data directory says it is. */
struct identity {
    uint8_t cluster[16]; /* cluster id */
    uint8_t uuid[16];    /* of this data directory */
    uint32_t node_id;    /* 1.. */
};

/* Counters for INFO; CONFIG RESETSTAT zeroes them. */
struct stats {
    uint64_t connections_received, connections_rejected;
    uint64_t commands_processed, bytes_in, bytes_out;
    uint64_t forwarded, forwarded_for_others; /* sent to the leader; received as leader */
    uint64_t uncertain, leader_changed, clusterdown, protocol_errors, error_replies;
    uint64_t loop_stall_max; /* microseconds of the longest turn */
    uint64_t peer_messages_sent, peer_messages_received, peer_messages_dropped;
    uint64_t peer_reconnects, peer_refused;
    uint64_t elections, checkpoints;
};

/* Calls and time of one command, for INFO commandstats; indexed like command_at. */
struct command_stats {
    uint64_t calls, usec, rejected, failed;
};

struct node {
    struct io *io;
    struct config config;
    struct identity identity;
    struct log *log;
    struct engine *engine;
    struct replica *replica;
    struct peers *peers;
    struct router *router;

    struct client *clients, *clients_last; /* in order of id */
    struct client *dirty;                  /* have replies to flush at the end of this turn */
    uint32_t client_count;
    uint64_t next_client_id;

    struct stats stats;
    struct command_stats *command_stats; /* command_count() of them */
    qr_time started;
    qr_wall started_wall;
    char run_id[41]; /* 40 hex digits, new at every start */
    char executable[1024], config_file[1024];
    bool loading;    /* replaying: -LOADING */
    bool stopping;
    int exit_code;
};

#endif
