/* INFO: Redis's sections and fields, because clients and dashboards read them, and our own. A field
 * that has no meaning here has the value that it has on an idle Redis. */
#include "node/info_internal.h"
#include "node/keeper.h"

#include "base/alloc.h"
#include "node/facts.h"
#include "node/peers.h"
#include "protocol/quorum.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_BYTES_MAX ((size_t)4096)

typedef unsigned long long ull; /* what printf calls 64 bits */

void info_line(struct reply *out, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *p = (char *)reply_reserve(out, LINE_BYTES_MAX);
    int n = vsnprintf(p, LINE_BYTES_MAX - 2, format, arguments);
    va_end(arguments);
    qr_assert(n >= 0 && (size_t)n < LINE_BYTES_MAX - 2);
    memcpy(p + n, "\r\n", 2);
    out->n += (size_t)n + 2;
}

/* --- Memory and processor ------------------------------------------------------------------- */

static void human(char out[32], uint64_t n)
{
    static const char units[] = "KMGTP";
    if (n < 1024) {
        (void)snprintf(out, 32, "%lluB", (ull)n);
        return;
    }
    double v = (double)n / 1024;
    size_t unit = 0;
    while (v >= 1024 && unit < 4) {
        v /= 1024;
        unit++;
    }
    (void)snprintf(out, 32, "%.2f%c", v, units[unit]);
}

static void memory_line(struct reply *out, const char *name, uint64_t n)
{
    char text[32];
    human(text, n);
    info_line(out, "%s:%llu", name, (ull)n);
    info_line(out, "%s_human:%s", name, text);
}

static void section_memory(struct node *node, struct reply *out)
{
    struct memory_facts m;
    facts_memory(node, &m);
    node->info.memory_peak = max_u64(node->info.memory_peak, m.used);
    memory_line(out, "used_memory", m.used);
    memory_line(out, "used_memory_rss", m.resident);
    memory_line(out, "used_memory_peak", node->info.memory_peak);
    info_line(out, "used_memory_peak_perc:%.2f%%",
              m.used == 0 ? 0.0 : 100.0 * (double)m.used / (double)node->info.memory_peak);
    info_line(out, "used_memory_overhead:%llu", (ull)m.overhead);
    info_line(out, "used_memory_startup:0");
    info_line(out, "used_memory_dataset:%llu", (ull)m.data);
    info_line(out, "used_memory_dataset_perc:%.2f%%",
              m.used == 0 ? 0.0 : 100.0 * (double)m.data / (double)m.used);
    memory_line(out, "total_system_memory", m.system);
    memory_line(out, "used_memory_lua", 0);
    info_line(out, "number_of_cached_scripts:0");
    info_line(out, "number_of_functions:0");
    memory_line(out, "maxmemory", 0);
    info_line(out, "maxmemory_policy:noeviction");
    info_line(out, "mem_fragmentation_ratio:%.2f",
              m.used == 0 ? 0.0 : (double)m.resident / (double)m.used);
    info_line(out, "mem_clients_normal:%llu", (ull)m.clients);
    info_line(out, "mem_log_cache:%llu", (ull)m.log_cache);
    info_line(out, "mem_pending_commands:%llu", (ull)node->pending_bytes);
    info_line(out, "mem_staged_arguments:%llu", (ull)node->totals.staged);
    info_line(out, "mem_allocator:libc");
    info_line(out, "active_defrag_running:0");
    info_line(out, "lazyfree_pending_objects:0");
}

static void section_cpu(struct node *node, struct reply *out)
{
    struct cpu_facts cpu;
    (void)node;
    facts_cpu(&cpu);
    info_line(out, "used_cpu_sys:%.6f", cpu.system_s);
    info_line(out, "used_cpu_user:%.6f", cpu.user_s);
    info_line(out, "used_cpu_sys_children:%.6f", cpu.children_system_s);
    info_line(out, "used_cpu_user_children:%.6f", cpu.children_user_s);
}

/* --- Server and clients --------------------------------------------------------------------- */

static uint16_t port_of(const struct config *config, enum listener_kind kind)
{
    const uint16_t ports[LISTENER_KINDS] = {
        [LISTENER_PLAIN] = config->port,
        [LISTENER_CLUSTER] = config->cluster_port,
        [LISTENER_SENTINEL] = config->sentinel_port,
    };
    return ports[kind];
}

static void section_server(struct node *node, struct reply *out)
{
    char os[256];
    facts_os(os, sizeof os);
    qr_time up = (io_now(node->io) - node->started) / QR_SECOND;
    char executable[1024];
    facts_executable(executable, sizeof executable);
    info_line(out, "redis_version:%s", REDIS_VERSION);
    info_line(out, "quorate_version:%s", QUORATE_VERSION);
    info_line(out, "server_name:quorate");
    info_line(out, "redis_git_sha1:00000000");
    info_line(out, "redis_git_dirty:0");
    info_line(out, "redis_build_id:0");
    info_line(out, "redis_mode:%s", local_mode(node->info.asks));
    info_line(out, "os:%s", os);
    info_line(out, "arch_bits:%zu", 8 * sizeof(void *));
    info_line(out, "multiplexing_api:epoll");
    info_line(out, "gcc_version:%d.%d.%d", __GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__);
    info_line(out, "process_id:%d", (int)getpid());
    info_line(out, "process_supervised:%s", node->config.supervised);
    info_line(out, "run_id:%s", node->run_id);
    info_line(out, "tcp_port:%u", port_of(&node->config, node->info.asks->listener));
    info_line(out, "server_time_usec:%lld", (long long)io_wall(node->io));
    info_line(out, "uptime_in_seconds:%lld", (long long)up);
    info_line(out, "uptime_in_days:%lld", (long long)(up / 86400));
    info_line(out, "hz:10");
    info_line(out, "configured_hz:10");
    info_line(out, "lru_clock:0");
    info_line(out, "executable:%s", executable);
    info_line(out, "config_file:%s", node->config.file);
    info_line(out, "io_threads_active:0");
}

static void section_clients(struct node *node, struct reply *out)
{
    info_line(out, "connected_clients:%u", node->client_count);
    info_line(out, "cluster_connections:0");
    info_line(out, "maxclients:%u", node->config.maxclients);
    info_line(out, "client_recent_max_input_buffer:%zu", node->recent.input);
    info_line(out, "client_recent_max_output_buffer:%zu", node->recent.output);
    info_line(out, "blocked_clients:%llu", (ull)node->queues[QUEUE_blocked].now);
    info_line(out, "tracking_clients:0");
    info_line(out, "clients_in_timeout_table:0");
}

/* --- Persistence and counters --------------------------------------------------------------- */

static void section_persistence(struct node *node, struct reply *out)
{
    info_line(out, "loading:%d", node->zero->loading ? 1 : 0);
    info_line(out, "async_loading:0");
    info_line(out, "rdb_changes_since_last_save:0");
    info_line(out, "rdb_bgsave_in_progress:%d", node->keepers.writing != NULL ? 1 : 0);
    qr_wall saved = node->measure->checkpoint.ended;
    uint64_t took_s = node->measure->checkpoint.usec / QR_SECOND;
    info_line(out, "rdb_last_save_time:%lld",
              (long long)((saved != 0 ? saved : node->started_wall) / QR_SECOND));
    info_line(out, "rdb_last_bgsave_status:%s", node->keepers.abandoned ? "err" : "ok");
    info_line(out, "rdb_last_bgsave_time_sec:%lld", saved != 0 ? (long long)took_s : -1LL);
    info_line(out, "rdb_current_bgsave_time_sec:-1");
    info_line(out, "rdb_saves:%llu", (ull)node->stats.checkpoints);
    info_line(out, "rdb_last_cow_size:0");
    info_line(out, "aof_enabled:1");
    info_line(out, "aof_rewrite_in_progress:0");
    info_line(out, "aof_rewrite_scheduled:0");
    info_line(out, "aof_last_rewrite_time_sec:-1");
    info_line(out, "aof_current_rewrite_time_sec:-1");
    info_line(out, "aof_last_bgrewrite_status:ok");
    info_line(out, "aof_last_write_status:ok");
    info_line(out, "aof_last_cow_size:0");
    if (node->log != NULL) {
        struct log_stats log;
        log_stats(node->log, &log);
        info_line(out, "aof_current_size:%llu", (ull)log.disk_bytes);
        info_line(out, "aof_base_size:0");
    }
}

/* Brings the rates up to date when the last ones are old enough. */
static void sample_rates(struct node *node)
{
    struct info_state *info = &node->info;
    qr_time now = io_now(node->io);
    qr_time since = info->sampled != 0 ? info->sampled : node->started;
    if (now - since < INFO_RATE_INTERVAL) {
        return;
    }
    double s = (double)(now - since) / (double)QR_SECOND;
    const struct stats *stats = &node->stats;
    info->commands_per_s = (double)(stats->commands_processed - info->commands) / s;
    info->in_kb_per_s = (double)(stats->bytes_in - info->bytes_in) / 1024 / s;
    info->out_kb_per_s = (double)(stats->bytes_out - info->bytes_out) / 1024 / s;
    info->sampled = now;
    info->commands = stats->commands_processed;
    info->bytes_in = stats->bytes_in;
    info->bytes_out = stats->bytes_out;
}

static void section_stats(struct node *node, struct reply *out)
{
    const struct stats *stats = &node->stats;
    const struct engine_stats *engines = &node->totals.stats;
    sample_rates(node);
    info_line(out, "total_connections_received:%llu", (ull)stats->connections_received);
    info_line(out, "total_commands_processed:%llu", (ull)stats->commands_processed);
    info_line(out, "instantaneous_ops_per_sec:%.0f", node->info.commands_per_s);
    info_line(out, "total_net_input_bytes:%llu", (ull)stats->bytes_in);
    info_line(out, "total_net_output_bytes:%llu", (ull)stats->bytes_out);
    info_line(out, "instantaneous_input_kbps:%.2f", node->info.in_kb_per_s);
    info_line(out, "instantaneous_output_kbps:%.2f", node->info.out_kb_per_s);
    info_line(out, "rejected_connections:%llu", (ull)stats->connections_rejected);
    info_line(out, "sync_full:0");
    info_line(out, "sync_partial_ok:0");
    info_line(out, "sync_partial_err:0");
    info_line(out, "expired_keys:%llu", (ull)engines->expired_keys);
    info_line(out, "evicted_keys:0");
    info_line(out, "evicted_clients:%llu", (ull)stats->clients_evicted);
    info_line(out, "keyspace_hits:%llu", (ull)engines->keyspace_hits);
    info_line(out, "keyspace_misses:%llu", (ull)engines->keyspace_misses);
    info_line(out, "idmp_records:%llu", (ull)node->totals.ids);
    info_line(out, "idmp_bytes:%llu", (ull)node->totals.id_bytes);
    info_line(out, "idmp_replayed:%llu", (ull)engines->ids_replayed);
    info_line(out, "idmp_mismatched:%llu", (ull)engines->ids_mismatched);
    info_line(out, "idmp_refused:%llu", (ull)engines->ids_refused);
    info_line(out, "pubsub_channels:0");
    info_line(out, "pubsub_patterns:0");
    info_line(out, "pubsubshard_channels:0");
    info_line(out, "latest_fork_usec:0");
    info_line(out, "total_forks:0");
    info_line(out, "migrate_cached_sockets:0");
    info_line(out, "slave_expires_tracked_keys:0");
    info_line(out, "tracking_total_keys:0");
    info_line(out, "unexpected_error_replies:0");
    info_line(out, "total_error_replies:%llu", (ull)stats->error_replies);
}

void info_reset(struct node *node)
{
    memset(node->queues, 0, sizeof node->queues);
    node->stats = (struct stats){ 0 };
    measure_reset(node->measure);
    if (node->log != NULL) {
        log_reset_stats(node->log);
    }
    if (node->peers != NULL) {
        peers_reset_stats(node->peers);
    }
    suspicions_reset(&node->contact.suspicions, io_now(node->io));
    memset(node->command_stats, 0, command_count() * sizeof *node->command_stats);
    node->totals.stats = (struct engine_stats){ 0 };
    node->info.sampled = io_now(node->io);
    node->info.commands = 0;
    node->info.bytes_in = 0;
    node->info.bytes_out = 0;
    node->info.memory_peak = 0;
}

/* --- Commands, errors, databases ------------------------------------------------------------ */

static void section_commandstats(struct node *node, struct reply *out)
{
    for (size_t i = 0; i < command_count(); i++) {
        const struct command_stats *s = &node->command_stats[i];
        if (s->calls > 0 || s->rejected > 0) {
            info_line(out,
                      "cmdstat_%s:calls=%llu,usec=%llu,usec_per_call=%.2f,rejected_calls=%llu,"
                      "failed_calls=%llu",
                      command_at(i)->name, (ull)s->calls, (ull)s->usec,
                      s->calls == 0 ? 0.0 : (double)s->usec / (double)s->calls, (ull)s->rejected,
                      (ull)s->failed);
        }
    }
}

static void section_errorstats(struct node *node, struct reply *out)
{
    const struct measure *m = node->measure;
    for (uint32_t i = 0; i < m->error_codes; i++) {
        info_line(out, "errorstat_%s:count=%llu", m->errors[i].code, (ull)m->errors[i].count);
    }
    if (m->other_errors > 0) {
        info_line(out, "errorstat_others:count=%llu", (ull)m->other_errors);
    }
}

/* "p50=1.003,p99=2.007": microseconds, in the form in which Redis prints them. */
static void latency_line(const struct node *node, size_t command, struct reply *out)
{
    double shares[PERCENTILES_MAX];
    char values[PERCENTILES_MAX * 64] = "";
    size_t n = 0;
    int count = config_percentiles(node->config.latency_percentiles, shares);
    for (int i = 0; i < count; i++) {
        uint64_t v = histogram_percentile(node->measure->latency[command], shares[i]);
        n += (size_t)snprintf(values + n, sizeof values - n, "%sp%.10g=%llu.000", i > 0 ? "," : "",
                              shares[i], (ull)v);
    }
    info_line(out, "latency_percentiles_usec_%s:%s", command_at(command)->name, values);
}

static void section_latencystats(struct node *node, struct reply *out)
{
    for (size_t i = 0; i < command_count() && node->config.latency_tracking; i++) {
        if (node->measure->latency[i] != NULL) {
            latency_line(node, i, out);
        }
    }
}

static void section_keyspace(struct node *node, struct reply *out)
{
    if (node->zero->engine == NULL) {
        return;
    }
    const struct store *store = engine_store(node->zero->engine);
    for (uint8_t db = 0; db < DATABASES; db++) {
        uint64_t keys = store_count(store, db);
        if (keys > 0) {
            info_line(out, "db%u:keys=%llu,expires=%llu,avg_ttl=0", db, (ull)keys,
                      (ull)store_count_expires(store, db));
        }
    }
}

static void section_cluster(struct node *node, struct reply *out)
{
    info_line(out, "cluster_enabled:%d", node->info.asks->listener == LISTENER_CLUSTER ? 1 : 0);
}

static void section_sentinel(struct node *node, struct reply *out)
{
    struct sentinel_view view;
    uint32_t count = 0;
    while (sentinel_at(node, count, &view)) {
        count++;
    }
    info_line(out, "sentinel_masters:%u", count);
    info_line(out, "sentinel_tilt:0");
    info_line(out, "sentinel_tilt_since_seconds:-1");
    info_line(out, "sentinel_running_scripts:0");
    info_line(out, "sentinel_scripts_queue_length:0");
    info_line(out, "sentinel_simulate_failure_flags:0");
    for (uint32_t i = 0; sentinel_at(node, i, &view); i++) {
        struct place place = { .plain_port = 0 };
        if (view.master != NODE_NONE) {
            place_of(node, view.master, &place);
        }
        uint32_t others = view.known & ~(view.master != NODE_NONE ? node_bit(view.master) : 0u);
        info_line(out, "master%u:name=%s,status=%s,address=%s:%u,slaves=%u,sentinels=%u", i,
                  view.name, view.down ? "odown" : "ok", place.plain_address, place.plain_port,
                  quorum_count(others), quorum_count(view.sentinels));
    }
}

static void section_empty(struct node *node, struct reply *out)
{
    (void)node;
    (void)out;
}

/* --- The command ---------------------------------------------------------------------------- */

#define BY_DEFAULT 1u /* INFO without arguments */
#define BY_ALL 2u     /* INFO all */
#define BY_EVERYTHING 4u
#define ALWAYS (BY_DEFAULT | BY_ALL | BY_EVERYTHING)

static const struct section {
    const char *name, *title;
    unsigned groups;
    void (*write)(struct node *node, struct reply *out);
} sections[] = {
    { "server", "Server", ALWAYS, section_server },
    { "clients", "Clients", ALWAYS, section_clients },
    { "memory", "Memory", ALWAYS, section_memory },
    { "persistence", "Persistence", ALWAYS, section_persistence },
    { "stats", "Stats", ALWAYS, section_stats },
    { "replication", "Replication", ALWAYS, info_replication },
    { "cpu", "CPU", ALWAYS, section_cpu },
    { "modules", "Modules", BY_DEFAULT | BY_EVERYTHING, section_empty },
    { "commandstats", "Commandstats", BY_ALL | BY_EVERYTHING, section_commandstats },
    { "errorstats", "Errorstats", ALWAYS, section_errorstats },
    { "latencystats", "Latencystats", BY_ALL | BY_EVERYTHING, section_latencystats },
    { "cluster", "Cluster", ALWAYS, section_cluster },
    { "keyspace", "Keyspace", ALWAYS, section_keyspace },
    { "sentinel", "Sentinel", ALWAYS, section_sentinel },
    { "keyspaces", "Keyspaces", ALWAYS, info_keyspaces },
    { "raft", "Raft", ALWAYS, info_raft },
    { "detector", "Detector", ALWAYS, info_detector },
    { "quorate", "Quorate", ALWAYS, info_quorate },
#ifdef QUORATE_FAILPOINTS
    { "digest", "Digest", 0, info_digest },
#endif
};

/* A sentinel has few sections, and one that nobody else has. */
static bool has_section(enum listener_kind kind, const struct section *section)
{
    static const char *const few[] = { "server", "clients", "stats", "cpu" };
    if (strcmp(section->name, "sentinel") == 0) {
        return kind == LISTENER_SENTINEL;
    }
    bool is = kind != LISTENER_SENTINEL;
    for (size_t i = 0; i < ARRAY_COUNT(few); i++) {
        is = is || strcmp(section->name, few[i]) == 0;
    }
    return is;
}

static bool wanted(const struct section *section, struct span name)
{
    return word_is(name, section->name) ||
           (word_is(name, "default") && (section->groups & BY_DEFAULT) != 0) ||
           (word_is(name, "all") && (section->groups & BY_ALL) != 0) ||
           (word_is(name, "everything") && (section->groups & BY_EVERYTHING) != 0);
}

void local_cmd_INFO(struct client *client, const struct span *argv, uint32_t argc,
                    struct reply *reply)
{
    if (local_too_many(reply, argc - 1)) {
        return;
    }
    struct reply out; /* used as a growing buffer */
    client->node->info.asks = client;
    queues_measure(client->node);
    reply_init(&out, 2);
    for (size_t i = 0; i < ARRAY_COUNT(sections); i++) {
        bool write = argc == 1 && (sections[i].groups & BY_DEFAULT) != 0;
        for (uint32_t a = 1; a < argc; a++) {
            write = write || wanted(&sections[i], argv[a]);
        }
        if (write && has_section(client->listener, &sections[i])) {
            info_line(&out, "%s# %s", out.n > 0 ? "\r\n" : "", sections[i].title);
            sections[i].write(client->node, &out);
        }
    }
    reply_verbatim(reply, span_of(out.p, out.n));
    reply_free(&out);
}
