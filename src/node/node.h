/* A node: one worker that owns partitions, their log and its connections (R3).
 *
 * Everything hangs off this struct and is passed by pointer; there is no global state. */
#ifndef NODE_NODE_H
#define NODE_NODE_H

#include "engine/engine.h"
#include "io/io.h"
#include "log/log.h"
#include "node/alarms.h"
#include "node/chores.h"
#include "node/client.h"
#include "node/config.h"
#include "node/contact.h"
#include "node/heap.h"
#include "node/health.h"
#include "node/holding.h"
#include "node/identity.h"
#include "node/info.h"
#include "node/join.h"
#include "node/journals.h"
#include "node/keepers.h"
#include "node/lagging.h"
#include "node/partitions.h"
#include "node/queues.h"
#include "node/repeats.h"
#include "node/reporting.h"
#include "node/workbench.h"
#include "node/measure.h"
#include "node/places.h"
#include "node/transfers.h"
#include "node/sentinel.h"
#include "protocol/protocol.h"

struct peers;         /* peers.h: connections to the other nodes */
struct router;        /* router.h: who carries out a command */
struct http;          /* http.h: figures for those who watch */
struct map;           /* cluster/map.h: keyspaces and partitions, as decided */
struct control;       /* control.h: who changes that */
struct standing_news; /* standing.h */

/* Counters for INFO; CONFIG RESETSTAT zeroes them. */
struct stats {
    uint64_t connections_received, connections_rejected, clients_evicted;
    uint64_t commands_processed, bytes_in, bytes_out;
    uint64_t forwarded, forwarded_for_others; /* sent to the leader; received as leader */
    uint64_t uncertain, leader_changed, clusterdown, stale, protocol_errors, error_replies;
    uint64_t indexes_asked; /* of leaders, for reads at this node */
    uint64_t quota_refused;
    uint64_t primary_failovers, primary_losses; /* as leader of group 0 */
    uint64_t peer_messages_sent, peer_messages_received, peer_messages_dropped;
    uint64_t peer_messages_astray; /* for a group of which there is no replica here */
    uint64_t peer_reconnects, peer_refused;
    uint64_t elections, elections_begun, leader_changes, checkpoints;
    uint64_t pending_max, client_output_max, peer_output_max; /* high-water marks */
};

/* Calls and time of one command, for INFO commandstats; indexed like command_at. */
struct command_stats {
    uint64_t calls, usec, rejected, failed;
};

/* What is known of damage, of all groups (damage_mark.c). */
struct harm {
    uint32_t told;  /* groups that are harmed */
    uint32_t lost;  /* groups that have forgotten */
    uint32_t named; /* the alarm names that one */
    uint32_t lines; /* logged, until: */
    qr_time lines_until;
    qr_time named_until;
    qr_time look_at, lost_since;
    struct partition *saving; /* its state, in quarantine; NULL: none is */
    uint32_t saved;
};

struct node {
    struct io *io;
    struct config config;
    struct identity identity;
    struct roster_node known[MEMBERS_MAX]; /* who has which index, as far as this node knows */
    uint16_t guests;                       /* of those: known from themselves alone */
    uint16_t aliens; /* of those: the log has another node at that index still */
    struct told_place places[MEMBERS_MAX];
    uint32_t followed;      /* replica_roster_changes that were looked at */
    char members_told[400]; /* in the log file, last */
    bool removed;           /* it takes part in its cluster no more */
    struct log *log;
    struct transfers transfers;
    struct keepers keepers;
    struct engine_config engine_config;
    struct engine_totals totals; /* of all its engines */
    struct partition *zero;      /* of group 0 */
    struct map *map;
    struct control *control;
    uint32_t quotas; /* grows with every change that may be one of a quota */
    struct partitions partitions;
    struct news news;                /* of those */
    struct lagging_list lagging;
    struct standing_news *standings; /* of replicas whose leader group 0 names */
    struct workbench bench;
    struct holding holding;
    struct journals journals;
    struct peers *peers;
    struct router *router;
    struct leaders leaders;
    struct clients *clients_io; /* clients.h: listeners */
    struct http *http;

    struct client *clients, *clients_last; /* in order of id */
    struct client *dirty;                  /* have replies to flush at the end of this turn */
    uint32_t client_count;
    uint32_t subscribers; /* of the clients: who listens to channels */
    struct sentinel_told sentinel_told;
    struct buffer_sizes recent; /* the largest ones of a client, within the last second or two */
    uint64_t next_client_id;
    struct command_memo client_commands;

    /* Commands without a reply, of all streams, in order of arrival. */
    struct pending *oldest, *youngest;
    struct pending_heap expiries; /* commands that may wait only so long (E1) */
    struct pending *sweep; /* where the look for passed deadlines goes on; NULL: at the oldest */
    struct pending *free_pendings; /* a pool: through `next` */
    uint64_t next_sequence;
    uint32_t pending_count;
    uint32_t blocked;  /* WAITs among them that a replica of this node is to answer */
    uint32_t kept;     /* replies that wait for zones (zones.c), */
    size_t kept_bytes; /* and theirs */
    uint64_t overlay_bytes; /* what is executed ahead, of all partitions (execute.h) */
    size_t pending_bytes;
    size_t relayed_bytes; /* large arguments from other nodes, here and not in the log */
    size_t windows_bytes; /* what such commands may bring here at most, all together */
    struct reply nowhere; /* swallows what nobody waits for */

    struct alarms alarms;    /* alarm.h */
    uint32_t corrupt_groups; /* for which ALARM_CORRUPT is up (quarantine.c) */
    struct harm harm;
    struct health health;   /* health.h */
    struct contact contact; /* contact.h */
    struct contest contest; /* join.h */
    struct chores chores;   /* chores.h */
    struct stats stats;
    struct queue_level queues[QUEUES];
    uint64_t queues_seen; /* chores.runs when they were measured */
    struct measure *measure;
    qr_time clock; /* as last read, in this turn: for figures; for decisions see look_at_clock */
    struct info_state info;
    struct command_stats *command_stats; /* command_count() of them */
    struct logger *logger;
    struct repeats repeats; /* of what is logged rarely */
    struct io_timer timer;  /* the next turn that nothing else would cause */
    bool again;             /* this turn left work for one more */
    uint32_t paused_clients;
    qr_time wake;              /* when the chores are wanted next at the latest */
    qr_time housekeeping;      /* when deadlines of commands are looked at next */
    qr_time next_housekeeping; /* everything that is looked at now and then */
    enum role seen_role;       /* what was last told to people */
    qr_term seen_term;
    node_index seen_leader;
    enum log_space space;    /* as last told to the peers */
    uint64_t space_position; /* of the log, when it was looked at last */
    qr_time started;
    qr_wall started_wall;
    char run_id[41]; /* 40 hex digits, new at every start */
    bool forgetful;  /* marked as such in the directory (damage.h), */
    bool lost_log;   /* ... for all of its groups, not group 0 alone */
    bool stopping;   /* an orderly end is under way, until stop_at */
    bool failed;     /* the environment failed: nothing leaves this node any more */
    qr_time stop_at;
    qr_time hand_over_at;    /* not before: of a leader that stops */
    qr_time quiet_since;     /* of a former leader that stops: nobody has forwarded to it since */
    uint64_t quiet_forwards; /* ... by this count */
    int exit_code;
};

/* Reads the clock, and keeps what it says for figures. */
static inline qr_time node_clock(struct node *node)
{
    node->clock = io_now(node->io);
    return node->clock;
}

/* Whether it may go by what its map says that keyspaces give where a request says nothing, and by
 * its zones: it has heard from group 0 since its start, and not long ago (coverage.h V5). */
static inline bool node_knows_rules(const struct node *node)
{
    return node->holding.current && coverage_knows_rules(&node->contact.coverage, node->clock);
}

/* Who has that id, by what this node knows; NODE_NONE: nobody does. */
static inline node_index node_index_of(const struct node *node, uint64_t id)
{
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        if (id != 0 && node->known[i].id == id) {
            return i;
        }
    }
    return NODE_NONE;
}

/* The chores are to look (chores.h): in this turn, or at once after it; and in the next turn,
 * whenever that is. */
static inline void node_stir(struct node *node)
{
    node->chores.stirred = true;
}
static inline void node_stay(struct node *node)
{
    node->chores.stays = true;
}

/* The worst that is known of the members' disk space: growing commands, or all writes, are refused.
 */
enum log_space node_space(const struct node *node);

#endif
