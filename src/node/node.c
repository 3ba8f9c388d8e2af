/* A node's life and its turns (design: Driver).
 *
 * One turn: sockets, timers and disk completions have become events by callbacks; then everything
 * they gathered goes out at once: commands to the protocol, messages to the peers, one write per
 * client, one batch to the log. */
#include "node/node.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "cluster/map.h"
#include "node/alarm.h"
#include "node/change.h"
#include "node/clients.h"
#include "node/control.h"
#include "node/early.h"
#include "node/damage.h"
#include "node/health.h"
#include "node/http.h"
#include "node/join.h"
#include "node/keeper.h"
#include "node/members.h"
#include "node/logline.h"
#include "node/peers.h"
#include "node/quarantine.h"
#include "node/repair.h"
#include "node/replica.h"
#include "node/router.h"
#include "node/run.h"
#include "node/standing.h"
#include "node/transfers.h"
#include "protocol/raft/raft.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define STOP_TIME (3 * QR_SECOND)
#define QUIET_TIME (30 * QR_MILLISECOND)
#define HAND_OVER_AGAIN (QR_SECOND) /* at its end a node orders it so often */
#define LOG_RARELY (60 * QR_SECOND) /* how long a text that was logged is kept back */

void node_log(struct node *node, enum node_log_level level, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    logger_line_v(node->logger, (enum logger_level)level, format, arguments);
    va_end(arguments);
}

void node_log_rarely(struct node *node, enum node_log_level level, const char *format, ...)
{
    char text[LOG_LINE_BYTES_MAX];
    uint32_t more;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (!repeats_due(&node->repeats, text, io_now(node->io), LOG_RARELY, &more)) {
        return;
    }
    if (more == 0) {
        node_log(node, level, "%s", text);
    } else {
        node_log(node, level, "%s (%" PRIu32 " times more since this was last written)", text,
                 more);
    }
}

void node_fail(struct node *node, const char *why)
{
    if (!node->failed) {
        node->failed = true;
        node->exit_code = 1;
        node_log(node, NODE_LOG_WARNING, "Stopping at once: %s", why);
        io_stop(node->io);
    }
}

enum log_space node_space(const struct node *node)
{
    enum log_space others = peers_space(node->peers);
    return node->space > others ? node->space : others;
}

/* --- The log's callbacks -------------------------------------------------------------------- */

static void on_durable(void *context, uint64_t position)
{
    struct node *node = context;
    io_plain(node->io);
    (void)node_clock(node);
    replica_durable(node->zero->replica, position);
    schedule_durable(node, position);
    node->holding.durable = position;
}

static void on_written(void *context, uint64_t position)
{
    struct node *node = context;
    io_plain(node->io);
    (void)node_clock(node);
    schedule_written(node, position);
}

static void on_failure(void *context, int error, const char *what)
{
    char why[512];
    early_failed(context);
    (void)snprintf(why, sizeof why,
                   "%s: %s. What was not acknowledged may be lost on this node only; check the "
                   "disk, then start the node again",
                   what, strerror(-error));
    node_fail(context, why);
}

/* --- The turn ------------------------------------------------------------------------------- */

/* Where several nodes end at once each would give back what it is given, hundreds of times a
 * second. */
static void hand_over(struct node *node, qr_time now)
{
    struct outlook seen;
    replica_outlook(node->zero->replica, &seen);
    if (seen.role == ROLE_LEADER && seen.transfer_to == NODE_NONE && now >= node->hand_over_at) {
        node_index to = health_successor(node, &seen);
        if (to != NODE_NONE) {
            node->hand_over_at = now + HAND_OVER_AGAIN;
            replica_admin(node->zero->replica, ADMIN_TRANSFER, to);
        }
    }
}

/* Members that do not know the new leader yet forward to this one: what still stands in its sockets
 * when it ends would be of unknown fate to them. */
static bool is_left_alone(struct node *node, qr_time now)
{
    if (node->stats.forwarded_for_others != node->quiet_forwards) {
        node->quiet_forwards = node->stats.forwarded_for_others;
        node->quiet_since = now;
    }
    return node->quiet_since == 0 || now - node->quiet_since >= QUIET_TIME;
}

static void finish_stopping(struct node *node, qr_time now)
{
    hand_over(node, now); /* again, if it was given up */
    node_stay(node);
    bool handed_over = !replica_leads(node->zero->replica) || replica_is_alone(node->zero->replica);
    log_sync(node->log);
    bool settled = node->pending_count == 0 && log_idle(node->log) && node->client_count == 0 &&
                   !journals_busy(node) && is_left_alone(node, now);
    if (handed_over && settled) {
        early_stop(node);
    }
    if ((handed_over && settled) || now >= node->stop_at) {
        io_stop(node->io);
    }
    node->wake = now + 10 * QR_MILLISECOND;
}

static void arm(struct node *node, qr_time now)
{
    qr_time at = replica_deadline(node->zero->replica);
    at = node->wake < at ? node->wake : at;
    if (node->pending_count > 0 && node->housekeeping < at) {
        at = node->housekeeping;
    }
    qr_time expiry = heap_least(&node->expiries);
    at = expiry < at ? expiry : at;
    at = node->zero->wake < at ? node->zero->wake : at;
    qr_time others = schedule_deadline(&node->partitions.schedule);
    at = others < at ? others : at;
    qr_time held = clients_deadline(node->clients_io);
    at = held < at ? held : at;
    qr_time sync = log_deadline(node->log);
    at = sync < at ? sync : at;
    qr_time sends = peers_deadline(node->peers);
    at = sends < at ? sends : at;
    if (node->again || node->zero->again || node->chores.stirred || peers_hold(node->peers)) {
        at = now;
    }
    io_timer_start(node->io, &node->timer, at);
}

/* Messages to the peers, before our own sync (Raft thesis 10.2.1), and replies. */
static void send_out(struct node *node)
{
    if (node->leaders.count > 0 || node->leaders.telling != 0) {
        leaders_turn(node);
    }
    peers_flush(node->peers);
    clients_flush(node->clients_io);
    queues_turn(node);
}

static void turn_partitions(struct node *node, qr_time began)
{
    replica_turn(node->zero->replica);
    node->zero->led = outlook_serves(replica_seen(node->zero->replica));
    schedule_turn(node, began, began + SCHEDULE_SLICE_USEC);
    pace_end_turn(&node->bench, node->clock);
}

static void turn(void *context)
{
    struct node *node = context;
    if (node->failed) {
        return;
    }
    peers_turn(node->peers);
    qr_time began = node_clock(node);
    node->again = node->zero->again = false;
    node->zero->wake = QR_NEVER;
    schedule_begin(node, began);
    clients_turn(node->clients_io);
    router_turn(node->router);
    turn_partitions(node, began);
    if (router_is_ready(node->router)) {
        router_turn(node->router);
        turn_partitions(node, began);
    }
    partition_tidy(node->zero);
    chores_turn(node, began);
    send_out(node);
    while (log_flush(node->log)) { /* synced inline: what waited for it goes out as well */
        turn_partitions(node, began);
        send_out(node);
    }
    http_turn(node->http, began);
    if (node->stopping) {
        finish_stopping(node, began);
    }
    arm(node, began);
    qr_time took = node_clock(node) - io_turn_began(node->io);
    campaigns_paced(&node->partitions.schedule.campaigns, took);
    measure_turn(node->measure, (uint64_t)took);
}

static void on_timer(struct io_timer *timer)
{
    struct node *node = timer->context;
    io_plain(node->io); /* the turn that follows is all that was wanted */
}

/* --- Making --------------------------------------------------------------------------------- */

/* Opens log and checkpoint. */
static bool open_state(struct node *node, struct replica_base *base, char *message, size_t cap)
{
    char dir[1100];
    (void)snprintf(dir, sizeof dir, "%s/log", node->config.dir);
    struct log_config config = { .dir = dir,
                                 .segment_bytes = node->config.log_segment_bytes,
                                 .reserve_bytes = node->config.log_reserve_bytes,
                                 .cache_bytes = LOG_CACHE_BYTES_MAX,
                                 .recycle_bytes = node->config.checkpoint_bytes,
                                 .sync = (enum log_sync)node->config.log_sync,
                                 .must_exist = node->identity.log_made,
                                 .on_durable = on_durable,
                                 .on_written = on_written,
                                 .on_failure = on_failure,
                                 .context = node };
    memcpy(config.uuid, node->identity.uuid, 16);
    identity_roster(&node->identity, &base->roster);
    if (!damage_open(node, &config, base, message, cap)) {
        return false;
    }
    (void)io_failpoint(node->io, FAIL_LOG_OPENED);
    int error = identity_log_made(node->io, &node->identity);
    error = error == 0 ? keepers_clean(node) : error;
    if (error != 0) {
        (void)snprintf(message, cap, "%s cannot be written: %s", node->config.dir,
                       strerror(-error));
    }
    return error == 0;
}

/* CONFIG GET cluster-id says which cluster it is, also where the directory alone knows. */
static void name_cluster(struct node *node)
{
    text_hex(node->config.cluster_id, node->identity.cluster, sizeof node->identity.cluster);
}

static bool open_data(struct node *node, char *message, size_t cap)
{
    if (!identity_open(node->io, &node->config, &node->identity, message, cap) ||
        (node->config.join[0] != 0 &&
         !join_cluster(node->io, &node->config, &node->identity, node->logger, message, cap))) {
        return false;
    }
    name_cluster(node);
    node->removed = node->identity.removed;
    alarms_init(&node->alarms, node->identity.node_id);
    quarantine_open(node->zero);
    /* Not max-value-bytes, which may differ from node to node: execution must not. */
    node->engine_config.value_bytes_max = VALUE_BYTES_MAX;
    memcpy(node->engine_config.hash_key, node->identity.cluster, 16);
    node->engine_config.totals = &node->totals;
    control_watch(node);
    node->zero->engine = engine_new(&node->engine_config);
    node->zero->keeper = keeper_new(node->zero);
    transfers_open(node->zero);
    struct replica_base base = { .slot = 0 };
    if (!open_state(node, &base, message, cap)) {
        return false;
    }
    node->router = router_new(node);
    node->peers = peers_new(node, message, cap);
    if (node->peers == NULL) {
        return false;
    }
    struct replica *replica = replica_new(
        node->zero, &raft_protocol, (node_index)identity_me(&node->identity), &base, message, cap);
    if (replica == NULL || !repairer_begin(node->zero, &base, message, cap)) {
        return false;
    }
    holding_open(node);
    return true;
}

static void note_start(struct node *node)
{
    uint8_t id[20];
    io_random(node->io, id, sizeof id);
    text_hex(node->run_id, id, sizeof id);
    node->started = io_now(node->io);
    node->started_wall = io_wall(node->io);
    node->housekeeping = node->started;
    node->seen_leader = NODE_NONE;
    node->timer.fire = on_timer;
    node->timer.context = node;
}

struct node *node_new(const struct config *config, char *message, size_t cap)
{
    struct node *node = qr_zalloc(sizeof *node);
    node->config = *config;
    node->logger = qr_alloc(sizeof *node->logger);
    *node->logger = logger_from(config);
    node->command_stats = qr_zalloc(command_count() * sizeof *node->command_stats);
    node->measure = measure_new();
    reply_init(&node->nowhere, 2);
    node->nowhere.discard = true;
    node->io = io_new();
    campaigns_init(&node->partitions.schedule.campaigns);
    node->zero = partitions_add(node, 0);
    node->map = map_new();
    node->control = control_new(node);
    node->standings = standing_news_new();
    note_start(node);
    health_init(&node->health, node->started);
    contact_init(node);
    if (open_data(node, message, cap)) {
        node->clients_io = clients_new(node, message, cap);
        node->http = node->clients_io != NULL ? http_new(node, message, cap) : NULL;
        (void)io_failpoint(node->io, FAIL_LISTENING);
    }
    if (node->http == NULL) {
        node_free(node);
        return NULL;
    }
    return node;
}

void node_stop(struct node *node)
{
    if (!node->stopping) {
        node->stopping = true;
        node->stop_at = io_now(node->io) + STOP_TIME;
        node->quiet_forwards = node->stats.forwarded_for_others;
        node->quiet_since = replica_leads(node->zero->replica) ? io_now(node->io) : 0;
        clients_stop(node->clients_io);
        hand_over(node, io_now(node->io));
        io_timer_start(node->io, &node->timer, 0);
    }
}

int node_run(struct node *node)
{
    io_run(node->io, turn, node);
    return node->exit_code;
}

void node_free(struct node *node)
{
    node->stopping = true;
    io_timer_free(&node->timer);
    if (node->clients_io != NULL) {
        clients_free(node->clients_io);
    }
    if (node->http != NULL) {
        http_free(node->http);
    }
    if (node->peers != NULL) {
        peers_free(node->peers);
    }
    for (uint32_t i = 0; i < node->partitions.count; i++) {
        partition_close_replica(partitions_at(&node->partitions, i));
    }
    if (node->router != NULL) {
        router_free(node->router);
    }
    for (uint32_t i = 0; i < node->partitions.count; i++) {
        partition_strip(partitions_at(&node->partitions, i));
    }
    transfers_free(node);
    journals_free(node);
    if (node->log != NULL) {
        log_close(node->log);
    }
    io_free(node->io);
    identity_close(&node->identity); /* the lock goes last: nothing is written any more */
    pending_free_all(node);          /* large things of theirs go to the engine's bin */
    partitions_free(&node->partitions);
    workbench_free(&node->bench);
    leaders_free(node);
    control_free(node->control);
    standing_news_free(node->standings);
    map_free(node->map);
    reply_free(&node->nowhere);
    free(node->command_stats);
    measure_free(node->measure);
    free(node->logger);
    free(node);
}

void node_config_changed(struct node *node, const char *name)
{
    if (strstr(name, "announce") != NULL || strcmp(name, "cluster-preferred-endpoint-type") == 0) {
        places_tell(node, NODE_NONE);
    }
    if (strcmp(name, "log-sync") == 0) {
        log_set_sync(node->log, (enum log_sync)node->config.log_sync);
    } else if (strcmp(name, "read-mode") == 0) {
        replica_admin(node->zero->replica, ADMIN_READ_MODE, node->config.read_mode);
    } else if (strcmp(name, "loglevel") == 0 || strcmp(name, "log-format") == 0 ||
               strcmp(name, "logfile") == 0) {
        char role = node->logger->role;
        *node->logger = logger_from(&node->config);
        node->logger->role = role;
    }
}
