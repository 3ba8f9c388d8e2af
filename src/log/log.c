/* Opening, closing, and what is known about the groups. */
#include "log/log_internal.h"

#include "base/alloc.h"
#include "base/prefetch.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Makes the directory durable and takes its lock, so that two processes never share a log. */
static int take_directory(struct log *log)
{
    char path[LOG_PATH_MAX];
    int error = io_mkdir(log->io, log->dir);
    if (error < 0) {
        return error;
    }
    snprintf(path, sizeof(path), "%s/..", log->dir);
    error = io_sync_dir(log->io, path);
    if (error < 0) {
        return error;
    }
    snprintf(path, sizeof(path), "%s/lock", log->dir);
    error = io_file_open(log->io, path, IO_WRITE | IO_LOCK, &log->lock);
    if (error == -ENOENT) {
        error = io_file_open(log->io, path, IO_CREATE | IO_LOCK, &log->lock);
    }
    return error;
}

enum log_open_result log_open(struct io *io, const struct log_config *config, struct log **out,
                              char *message, size_t cap)
{
    qr_assert(config->segment_bytes >= 4 * LOG_BLOCK_BYTES);
    qr_assert(config->segment_bytes % LOG_BLOCK_BYTES == 0);
    qr_assert(strlen(config->dir) + 32 < LOG_PATH_MAX);
    struct log *log = qr_zalloc(sizeof(*log));
    log->sync_due = QR_NEVER;
    log->io = io;
    log->config = *config;
    log->dir = qr_alloc(strlen(config->dir) + 1);
    memcpy(log->dir, config->dir, strlen(config->dir) + 1);
    log->config.dir = log->dir;
    message[0] = 0;
    enum log_open_result result;
    int error = take_directory(log);
    if (error < 0) {
        const char *why = error == -EAGAIN ? "another process uses it" : strerror(-error);
        snprintf(message, cap, "log %s: %s", log->dir, why);
        result = LOG_OPEN_IO;
    } else {
        result = log_recover(log, message, cap);
    }
    if (result == LOG_OPEN_FOREIGN || result == LOG_OPEN_IO) {
        log->closing = true;
        log_release(log);
        *out = NULL;
        return result;
    }
    *out = log;
    janitor_kick(log);
    return result;
}

void log_release(struct log *log)
{
    qr_assert(log->closing);
    if (log->flight_batches > 0 || log->syncing || log->job != NULL) {
        return; /* a helper thread still uses the buffers; its end calls again */
    }
    for (uint32_t i = 0; i < log->segment_count; i++) {
        io_file_close(log->segments[i].file);
        free(log->segments[i].image);
    }
    for (uint32_t i = 0; i < log->chunk_count; i++) {
        free(log->chunks[i].p);
    }
    io_file_close(log->ready);
    io_file_close(log->lock);
    groups_free(&log->groups);
    pins_free(&log->pins);
    free(log->segments);
    free(log->chunks);
    free(log->spare_chunk);
    free(log->pending);
    free(log->free_names);
    free(log->read_buffer);
    free(log->dir);
    free(log);
}

/* States in an empty batch that all is on disk, so that bytes that go bad while the node is down
 * are told from a torn tail. It is a courtesy: when it fails, recovery knows a little less. */
static void write_last_mark(struct log *log)
{
    const struct segment *s = log_newest(log);
    uint64_t left = s->header.first + s->header.capacity - log->end;
    if (s->file == NULL || s->image != NULL || log->marked == log->synced ||
        left < LOG_BLOCK_BYTES) {
        return;
    }
    struct batch_header h = {
        .bytes = LOG_BLOCK_BYTES,
        .offset = log->end,
        .generation = s->header.generation,
        .mark = log->synced,
        .first = s->header.first,
    };
    _Alignas(IO_BLOCK_BYTES) uint8_t block[LOG_BLOCK_BYTES];
    batch_seal(log->config.uuid, &h, block);
    (void)io_failpoint(log->io, FAIL_LAST_MARK);
    if (io_file_pwrite(s->file, block, sizeof(block), s->header.body_offset + s->end - h.first) >
        0) {
        (void)io_file_sync(s->file);
    }
    (void)io_failpoint(log->io, FAIL_LAST_MARKED);
}

void log_close(struct log *log)
{
    if (!log->failed && !log->damaged && log_idle(log)) {
        write_last_mark(log);
    }
    log->closing = true;
    log_release(log);
}

bool log_group_state(struct log *log, uint32_t group, struct log_group *out)
{
    const struct group *g = groups_find(&log->groups, group);
    *out = (struct log_group){ .group = group };
    if (g == NULL) {
        out->damaged = log->damaged; /* what is lost may have been all of it */
        return log->damaged;
    }
    out->base_slot = g->base_slot;
    out->base_term = g->base_term;
    out->last_slot = g->last_slot;
    out->runs = g->term_count > 0 ? g->terms + g->term_head : NULL;
    out->run_count = g->term_count;
    out->members = g->members;
    out->members_count = g->members_count;
    out->state = span_of(g->state, g->state_n);
    out->damaged = g->damaged;
    return true;
}

void log_prefetch(const struct log *log, uint32_t group)
{
    const struct group *g = groups_find(&log->groups, group);
    if (g != NULL) {
        qr_prefetch(g, CACHE_LINE_BYTES);
    }
}

qr_slot log_last_slot(const struct log *log, uint32_t group)
{
    const struct group *g = groups_find(&log->groups, group);
    return g != NULL ? g->last_slot : 0;
}

void log_stats(const struct log *log, struct log_stats *out)
{
    *out = log->stats;
    out->cache_bytes = log->chunk_bytes;
    out->sync_usec = log->sync_sum / SYNC_WEIGHT;
    out->segments = log->segment_count;
    out->pin_group = log->pin_group;
    out->disk_bytes = log->free_count * log->config.segment_bytes;
    out->disk_bytes += log->ready != NULL ? log->ready_bytes : 0;
    for (uint32_t i = 0; i < log->segment_count; i++) {
        out->disk_bytes += log->segments[i].bytes;
    }
}

qr_time log_sync_waits(const struct log *log)
{
    qr_time now = log->flight_batches > 0 || log->syncing ? io_now(log->io) : 0;
    qr_time write = log->flight_batches > 0 ? now - log->flight_began : 0;
    qr_time sync = log->syncing ? now - log->sync_began : 0;
    return write > sync ? write : sync;
}

const struct log_figures *log_figures(const struct log *log)
{
    return &log->figures;
}

void log_reset_stats(struct log *log)
{
    log->stats = (struct log_stats){ 0 };
    log->figures = (struct log_figures){ 0 };
}

bool log_pin(struct log *log, uint32_t *group, uint64_t *bytes)
{
    const struct group *g = pins_first(&log->pins);
    if (g != NULL) {
        *group = g->id;
        *bytes = log_position(log) - group_first_offset(g);
    }
    return g != NULL;
}

uint32_t log_group_count(const struct log *log)
{
    return log->groups.count;
}

bool log_next_group(const struct log *log, uint32_t *at, uint32_t *group)
{
    const struct group *g = groups_next(&log->groups, at);
    *group = g != NULL ? g->id : 0;
    return g != NULL;
}

uint64_t log_group_bytes(const struct log *log, uint32_t group)
{
    const struct group *g = groups_find(&log->groups, group);
    uint64_t first = g == NULL ? RUN_MISSING : group_first_offset(g);
    return first == RUN_MISSING ? 0 : log_position(log) - first;
}
