/* Settings of a node: redis.conf's names and syntax, plus ours. Declared once in config.def. */
#ifndef NODE_CONFIG_H
#define NODE_CONFIG_H

#include "base/limits.h"
#include "base/types.h"

struct member_config {
    uint32_t id;          /* node id, 1.. */
    char address[64];     /* numeric */
    uint16_t client_port;
    uint16_t peer_port;   /* client_port + 10000 unless given */
};

struct config {
    /* network */
    uint16_t port, peer_port; /* peer_port 0: port + 10000 */
    char bind[256];           /* space-separated numeric addresses */
    bool protected_mode;
    bool bind_given;
    uint32_t tcp_backlog, timeout_s, tcp_keepalive_s, maxclients;
    char requirepass[512];
    /* data */
    char dir[1024];
    uint64_t max_value_bytes, log_max_bytes, log_segment_bytes, log_reserve_bytes;
    uint64_t checkpoint_bytes; /* log bytes after which a checkpoint is taken */
    /* cluster: only read when a data directory is made (--bootstrap) */
    uint32_t node_id;
    char cluster_id[33]; /* 32 hex digits; empty: random, for a one-node cluster */
    char cluster_secret[512];
    struct member_config members[MEMBERS_MAX];
    uint32_t member_count;
    bool bootstrap;
    /* protocol */
    uint32_t heartbeat_ms, lease_ms, election_timeout_ms; /* 25, 80, 300 */
    uint32_t read_mode;                                   /* enum read_mode */
    uint32_t leader_wait_ms;                              /* 2000 */
    uint32_t request_timeout_ms;                          /* 5000: then -UNCERTAIN */
    /* process */
    uint32_t loglevel; /* enum log_level, main/log */
    bool log_json;
    char logfile[1024];
    char pidfile[1024];
    char supervised[16];
};

#endif
