/* Settings of a node: redis.conf's names and syntax, plus ours. Declared once in config.def. */
#ifndef NODE_CONFIG_H
#define NODE_CONFIG_H

#include "base/limits.h"
#include "base/text.h"
#include "base/types.h"

struct member_config {
    uint32_t id;      /* node id, 1.. */
    char address[64]; /* numeric */
    uint16_t client_port;
    uint16_t peer_port; /* client_port + 10000 unless given */
};

/* cluster-preferred-endpoint-type: by what clients are told to reach a node. */
enum endpoint_type { ENDPOINT_IP, ENDPOINT_HOSTNAME, ENDPOINT_UNKNOWN };

/* How many directives are kept and shown without effect. */
enum {
    CONFIG_NOTED = 0
#define NUMBER(...)
#define SIZE(...)
#define SWITCH(...)
#define CHOICE(...)
#define TEXT(...)
#define SECRET(...)
#define MEMBERS(...)
#define CONSTANT(...)
#define REFUSED(...)
#define NOTED(...) +1
#define ALIAS(...)
#include "node/config.def"
#undef NUMBER
#undef SIZE
#undef SWITCH
#undef CHOICE
#undef TEXT
#undef SECRET
#undef MEMBERS
#undef CONSTANT
#undef REFUSED
#undef NOTED
#undef ALIAS
};

#define CONFIG_NOTED_BYTES 128  /* longest value of such a directive, with its end */
#define CONFIG_VALUE_BYTES 2048 /* longest value of any directive, with its end */

struct config {
    /* network */
    uint16_t port, peer_port; /* peer_port 0: port + 10000 */
    char bind[256];           /* space-separated numeric addresses: config_address */
    bool protected_mode;
    bool bind_given;
    uint32_t tcp_backlog, timeout_s, tcp_keepalive_s, maxclients;
    uint64_t maxmemory_clients;
    char requirepass[512];
    /* listeners for clients that follow the leader by themselves */
    uint16_t cluster_port, cluster_announce_port; /* 0: none; 0: cluster_port */
    char cluster_keyspace[64];                    /* its id or name */
    char cluster_announce_ip[64], cluster_announce_hostname[256];
    uint32_t cluster_endpoint; /* enum endpoint_type */
    uint16_t sentinel_port, replica_announce_port;
    char replica_announce_ip[64], sentinel_master_name[64];
    /* data */
    char dir[1024];
    bool disable_thp;
    uint64_t max_value_bytes, log_max_bytes, log_segment_bytes, log_reserve_bytes;
    uint64_t checkpoint_bytes; /* log bytes after which a checkpoint is taken */
    uint64_t log_max_entries;  /* 0: no bound */
    uint32_t log_max_age_s;    /* 0: no bound */
    uint64_t snapshot_rate;    /* bytes per second */
    /* cluster: only read when a data directory is made (--bootstrap) */
    uint32_t node_id;
    char cluster_id[33]; /* 32 hex digits; empty: random, for a one-node cluster */
    char cluster_secret[512];
    struct member_config members[MEMBERS_MAX];
    uint32_t member_count;
    bool bootstrap;
    char join[1024]; /* host:port[@peer-port],...: config_join_target */
    bool observer;
    /* protocol */
    uint32_t heartbeat_ms, lease_ms, election_timeout_ms; /* 25, 80, 300 */
    uint32_t failure_detector;           /* enum detector_kind */
    uint32_t node_timeout_ms;            /* 0: election_timeout_ms */
    uint32_t phi_threshold;              /* 8 */
    uint32_t phi_deviation_ms;           /* 0: heartbeat_ms */
    uint32_t read_mode;                                   /* enum read_mode */
    uint32_t log_sync;                                    /* enum log_sync */
    uint8_t leader_priority;                              /* 100 */
    uint32_t leader_priority_delay_ms;                    /* 10000 */
    uint32_t slow_disk_ms;                                /* 200; 0: no disk is slow */
    uint32_t lag_alarm_ms;                                /* 10000; 0: no alarm */
    uint32_t replace_after_s;                             /* 600; 0: nodes are never replaced */
    uint32_t leader_wait_ms;                              /* 2000 */
    uint32_t request_timeout_ms;                          /* 5000: then -UNCERTAIN */
    /* figures */
    uint16_t metrics_port;  /* 0: none */
    char metrics_bind[256]; /* as bind: config_address */
    bool latency_tracking;
    char latency_percentiles[128];
    /* process */
    uint32_t loglevel; /* 0 debug, 1 verbose, 2 notice, 3 warning */
    bool log_json;
    char logfile[1024];
    char pidfile[1024];
    char supervised[16];
    char file[1024]; /* where it was read from; "" = nowhere, "-" = standard input */

    /* Directives that Redis has and this server does not need: kept for CONFIG GET. `notes` names
     * those that were given at the start and have no effect, for one line of the log. */
    char noted[CONFIG_NOTED][CONFIG_NOTED_BYTES];
    char notes[1024];
};

/* --- At the start --------------------------------------------------------------------------- */

void config_defaults(struct config *config);

/* Reads the words behind "quorate server": an optional file (- for standard input), then
 * `--name value...` in any number; a switch without a value means yes. Later directives replace
 * earlier ones. False with one sentence in `error`: the caller prints it and exits 1. */
bool config_parse_arguments(int argc, char *const *argv, struct config *config, char *error,
                            size_t cap);

/* The directives in a text; `source` names it in errors. */
bool config_parse_text(struct config *config, struct span text, const char *source, char *error,
                       size_t cap);

/* What no single directive can be blamed for: members, times. Part of config_parse_arguments. */
bool config_check(const struct config *config, char *error, size_t cap);

/* The i-th address in a list like `bind`, "*" spelt out as 0.0.0.0 and ::; false when there are no
 * more. An optional one may fail. */
bool config_address(const char *list, uint32_t i, char address[64], bool *optional);

/* Where others reach a node that listens on `bind`: `address` stays when it is among them or they
 * do not say, else the first one that is no loopback takes its place. */
void config_own_address(const struct config *config, char address[64]);

/* Whether the host is an address and no name: names are not looked up. */
bool config_is_numeric(const char *host);
/* Entry i of `join`: host, and the ports for peers and clients there; false when there are no more
 * or, with *valid unset, when it is none. */
bool config_join_target(const char *list, uint32_t i, char host[64], uint16_t *peer_port,
                        uint16_t *client_port, bool *valid);

/* The percentiles in a text like latency-tracking-info-percentiles: how many, or -1 when it is no
 * list of at most PERCENTILES_MAX numbers from 0 to 100. */
int config_percentiles(const char *text, double out[PERCENTILES_MAX]);

/* --- At run time ---------------------------------------------------------------------------- */

/* CONFIG SET with `count` names and values in turn: all of them or, with Redis's error text, none.
 */
bool config_set_runtime(struct config *config, const struct span *pairs, uint32_t count,
                        char *error, size_t cap);

/* All names that CONFIG GET may show, aliases included; config_find returns -1 for others. */
uint32_t config_count(void);
const char *config_name(uint32_t i);
const char *config_help(uint32_t i); /* a sentence; "" for Redis's own directives */
int config_find(struct span name);   /* in any case */
bool config_shown(uint32_t i);
/* The name that `i` is an alias of, or its own. */
const char *config_target(uint32_t i);
void config_value(const struct config *config, uint32_t i, struct text *out);

/* --- Protected mode ------------------------------------------------------------------------- */

/* Whether a client with this peer name ("ip:port") must be sent away with CONFIG_DENIED_TEXT. */
bool config_denies_remote(const struct config *config, const char *peer_name);

#define CONFIG_DENIED_TEXT                                                                         \
    "DENIED Redis is running in protected mode because protected mode is enabled and no password " \
    "is set for the default user. In this mode connections are only accepted from the loopback "   \
    "interface. To connect from other machines set a password (requirepass) in the node's "        \
    "configuration, or, where nobody else can reach the node, set protected-mode to 'no' there "   \
    "or by CONFIG SET from the loopback interface."

#endif
