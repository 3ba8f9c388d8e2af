/* Rows of /metrics with labels: the server, its commands, its loop, its log, its data. */
#include "node/metrics_internal.h"

#include "node/local_internal.h"
#include "node/quarantine.h"

#include <stdio.h>
#include <unistd.h>

struct number_text {
    char p[24];
};

static const char *number(struct number_text *text, uint64_t n)
{
    (void)snprintf(text->p, sizeof text->p, "%llu", (unsigned long long)n);
    return text->p;
}

/* --- The server ----------------------------------------------------------------------------- */

void write_instance(struct metrics *page, const struct metric_row *row)
{
    const struct node *node = page->sources.node;
    struct number_text port, pid;
    char os[256], history[41];
    facts_os(os, sizeof os);
    facts_history(node, history);
    metric_sample(
        &page->out, row->name, "",
        LABELS({ "role", page->sources.outlook.role == ROLE_LEADER ? "master" : "slave" },
               { "redis_version", REDIS_VERSION }, { "redis_build_id", "0" },
               { "redis_mode", "standalone" }, { "os", os }, { "maxmemory_policy", "noeviction" },
               { "tcp_port", number(&port, node->config.port) }, { "run_id", node->run_id },
               { "process_id", number(&pid, (uint64_t)getpid()) }, { "master_replid", history }),
        1);
}

void write_build(struct metrics *page, const struct metric_row *row)
{
    const struct node *node = page->sources.node;
    struct number_text id;
    char cluster[41];
    facts_history(node, cluster);
    cluster[32] = 0;
    metric_sample(&page->out, row->name, "",
                  LABELS({ "version", QUORATE_VERSION },
                         { "node_id", number(&id, node->identity.node_id) },
                         { "cluster_id", cluster }),
                  1);
}

/* --- Commands ------------------------------------------------------------------------------- */

static void write_command_stat(struct metrics *page, const struct metric_row *row, size_t field,
                               double divisor)
{
    for (size_t i = 0; i < command_count(); i++) {
        const struct command_stats *s = &page->sources.node->command_stats[i];
        if (s->calls > 0 || s->rejected > 0) {
            uint64_t value = *(const uint64_t *)((const uint8_t *)s + field);
            metric_sample(&page->out, row->name, "", LABELS({ "cmd", command_at(i)->name }),
                          (double)value / divisor);
        }
    }
}

void write_calls(struct metrics *page, const struct metric_row *row)
{
    write_command_stat(page, row, offsetof(struct command_stats, calls), 1);
}

void write_durations(struct metrics *page, const struct metric_row *row)
{
    write_command_stat(page, row, offsetof(struct command_stats, usec), 1e6);
}

void write_failed(struct metrics *page, const struct metric_row *row)
{
    write_command_stat(page, row, offsetof(struct command_stats, failed), 1);
}

void write_rejected(struct metrics *page, const struct metric_row *row)
{
    write_command_stat(page, row, offsetof(struct command_stats, rejected), 1);
}

/* Goes on with the commands that have been called, as far as this slice reaches. */
static void some_commands(struct metrics *page, const struct metric_row *row,
                          void (*write)(struct metrics *page, const struct metric_row *row,
                                        const char *name, const struct histogram *h))
{
    struct io *io = page->sources.node->io;
    bool time_left = true;
    for (; page->item < command_count() && time_left; page->item++) {
        const struct histogram *h = page->sources.measure->latency[page->item];
        if (h != NULL) {
            write(page, row, command_at(page->item)->name, h);
            time_left = io_now(io) < page->until;
        }
    }
    page->item = page->item < command_count() ? page->item : 0;
}

static void write_latency(struct metrics *page, const struct metric_row *row, const char *name,
                          const struct histogram *h)
{
    metric_histogram(&page->out, row->name, LABELS({ "cmd", name }), h, &metric_usec);
}

void write_latencies(struct metrics *page, const struct metric_row *row)
{
    some_commands(page, row, write_latency);
}

static void write_summary(struct metrics *page, const struct metric_row *row, const char *name,
                          const struct histogram *h)
{
    double shares[PERCENTILES_MAX];
    int n = config_percentiles(page->sources.node->config.latency_percentiles, shares);
    for (int i = 0; i < n; i++) {
        char quantile[32];
        (void)snprintf(quantile, sizeof quantile, "%.10g", shares[i] / 100);
        metric_sample(&page->out, row->name, "", LABELS({ "cmd", name }, { "quantile", quantile }),
                      (double)histogram_percentile(h, shares[i]));
    }
    metric_sample(&page->out, row->name, "_sum", LABELS({ "cmd", name }), (double)h->sum);
    metric_sample(&page->out, row->name, "_count", LABELS({ "cmd", name }), (double)h->count);
}

void write_percentiles(struct metrics *page, const struct metric_row *row)
{
    some_commands(page, row, write_summary);
}

void write_errors(struct metrics *page, const struct metric_row *row)
{
    const struct measure *m = page->sources.measure;
    for (uint32_t i = 0; i < m->error_codes; i++) {
        metric_sample(&page->out, row->name, "", LABELS({ "err", m->errors[i].code }),
                      (double)m->errors[i].count);
    }
    if (m->other_errors > 0) {
        metric_sample(&page->out, row->name, "", LABELS({ "err", "others" }),
                      (double)m->other_errors);
    }
}

void write_answers(struct metrics *page, const struct metric_row *row)
{
    const struct stats *s = page->sources.stats;
    metric_sample(&page->out, row->name, "", LABELS({ "reason", "uncertain" }),
                  (double)s->uncertain);
    metric_sample(&page->out, row->name, "", LABELS({ "reason", "leader_changed" }),
                  (double)s->leader_changed);
    metric_sample(&page->out, row->name, "", LABELS({ "reason", "clusterdown" }),
                  (double)s->clusterdown);
}

/* --- The loop and its sockets --------------------------------------------------------------- */

void write_commands_per_read(struct metrics *page, const struct metric_row *row)
{
    metric_histogram(&page->out, row->name, NO_LABELS, &page->sources.measure->commands_per_read,
                     &metric_counts);
}

void write_replies_per_write(struct metrics *page, const struct metric_row *row)
{
    metric_histogram(&page->out, row->name, NO_LABELS, &page->sources.measure->replies_per_write,
                     &metric_counts);
}

void write_turns(struct metrics *page, const struct metric_row *row)
{
    metric_histogram(&page->out, row->name, NO_LABELS, &page->sources.measure->turn_usec,
                     &metric_seconds);
}

void write_stalls(struct metrics *page, const struct metric_row *row)
{
    for (uint32_t i = 0; i < STALL_LEVELS; i++) {
        char over[32];
        (void)snprintf(over, sizeof over, "%g", (double)measure_stall_usec[i] / 1e6);
        metric_sample(&page->out, row->name, "", LABELS({ "over", over }),
                      (double)page->sources.measure->stalls[i]);
    }
}

/* --- The log -------------------------------------------------------------------------------- */

void write_syncs(struct metrics *page, const struct metric_row *row)
{
    if (page->sources.node->log != NULL) {
        metric_histogram(&page->out, row->name, NO_LABELS,
                         &log_figures(page->sources.node->log)->sync_usec, &metric_seconds);
    }
}

void write_batch_records(struct metrics *page, const struct metric_row *row)
{
    if (page->sources.node->log != NULL) {
        metric_histogram(&page->out, row->name, NO_LABELS,
                         &log_figures(page->sources.node->log)->batch_records, &metric_counts);
    }
}

void write_batch_bytes(struct metrics *page, const struct metric_row *row)
{
    if (page->sources.node->log != NULL) {
        metric_histogram(&page->out, row->name, NO_LABELS,
                         &log_figures(page->sources.node->log)->batch_bytes, &metric_bytes);
    }
}

/* --- Data ----------------------------------------------------------------------------------- */

static void write_databases(struct metrics *page, const struct metric_row *row,
                            uint64_t (*count)(const struct store *store, uint8_t db))
{
    const struct node *node = page->sources.node;
    for (uint8_t db = 0; db < DATABASES && node->zero->engine != NULL; db++) {
        char name[8];
        (void)snprintf(name, sizeof name, "db%u", db);
        metric_sample(&page->out, row->name, "", LABELS({ "db", name }),
                      (double)count(engine_store(node->zero->engine), db));
    }
}

void write_keys(struct metrics *page, const struct metric_row *row)
{
    write_databases(page, row, store_count);
}

void write_keys_expiring(struct metrics *page, const struct metric_row *row)
{
    write_databases(page, row, store_count_expires);
}

/* --- Queues --------------------------------------------------------------------------------- */

void write_queue_now(struct metrics *page, const struct metric_row *row)
{
    for (enum queue_id id = 0; id < QUEUES; id++) {
        metric_sample(&page->out, row->name, "", LABELS({ "queue", queue_name(id) }),
                      (double)queue_now(page->sources.node, id));
    }
}

void write_queue_most(struct metrics *page, const struct metric_row *row)
{
    for (enum queue_id id = 0; id < QUEUES; id++) {
        metric_sample(&page->out, row->name, "", LABELS({ "queue", queue_name(id) }),
                      (double)page->sources.node->queues[id].most);
    }
}

void write_queue_limit(struct metrics *page, const struct metric_row *row)
{
    for (enum queue_id id = 0; id < QUEUES; id++) {
        metric_sample(&page->out, row->name, "", LABELS({ "queue", queue_name(id) }),
                      (double)queue_limit(page->sources.node, id));
    }
}
