/* The inside of the log, shared by the files of src/log only.
 *
 *   log.c       open, close, state and figures
 *   append.c    records into the open batch; batches into chunks; when a new segment begins
 *   flush.c     batches to the disk, one write with its sync at a time
 *   segments.c  how a segment begins, which are needed no more, what space is left
 *   janitor.c   their files: prepared ahead, recycled behind (on a helper thread)
 *   recover.c, replay.c, resume.c   what survived
 *   read.c      entries back out
 *   salvage.c   what is left of a batch with bad bytes
 *   patch.c     lost entries and what takes their place
 *   retention.c how far to trim to keep within a bound
 *   pins.c      which group keeps the oldest segment
 *   carry.c     entries of groups that hold little, written once more
 *
 * Invariants:
 *   I1  marked <= synced <= written <= end. Below synced everything is on disk, below written it
 *       is the file system's; marked is the newest synced position that is itself stated by a
 *       durable batch, so recovery will know it. What lies between synced and written is in one
 *       segment.
 *   I2  At most one write is in flight; its batches are the oldest that are not written. Beside
 *       it at most one sync is, of what was written before.
 *   I3  A segment's restatement describes the groups as of the log offset `first`, no later.
 *   I4  Segments go in order, oldest first, and only when they lie wholly below marked and every
 *       group's oldest live entry lies above them.
 *   I5  A chunk leaves the cache only when all of it is durable. */
#ifndef LOG_LOG_INTERNAL_H
#define LOG_LOG_INTERNAL_H

#include "log/format.h"
#include "log/index.h"
#include "log/log.h"

#include <errno.h>

#define LOG_PATH_MAX 4096
#define FLUSH_BATCHES_MAX 64u /* buffers of one write */
#define SYNC_WEIGHT 64u       /* the last so many syncs make up the moving average */

/* Memory that batches are gathered in and that later serves reads: batches stand in it one after
 * the other exactly as on disk, so that offset - first is the place of any record. */
struct chunk {
    uint8_t *p; /* aligned to LOG_BLOCK_BYTES */
    size_t used, cap;
    uint64_t first; /* log offset of p[0] */
};

struct segment {
    struct segment_header header;
    uint64_t end;   /* log offset behind its last batch: grows while it is the newest */
    uint64_t bytes; /* of the file */
    struct io_file *file;
    uint8_t *image; /* header and restatement, until they are written; body_offset bytes */
};

/* A batch that is gathered or waits to be written. */
struct batch {
    uint8_t *p; /* in its chunk */
    uint64_t offset;
    uint64_t generation; /* of its segment */
    uint32_t payload, count;
    qr_time within; /* all of it may be synced so much later */
};

struct janitor_job;

struct log {
    struct io *io;
    struct log_config config;
    char *dir;
    struct io_file *lock;
    struct groups groups;
    struct pins pins;

    /* Segments, oldest first; the last one takes the batch being gathered. */
    struct segment *segments;
    uint32_t segment_count, segment_cap;

    /* Gathering. */
    struct chunk *chunks; /* oldest first: the tail cache */
    uint32_t chunk_count, chunk_cap;
    uint64_t chunk_bytes;
    uint8_t *spare_chunk; /* one evicted chunk of the usual size, to be used again */
    struct batch open;    /* p == NULL: none */
    struct batch *pending;
    uint32_t pending_head, pending_count, pending_cap;
    uint64_t end; /* log offset behind the last closed batch */

    /* Writing. */
    struct io_write write;
    struct iovec iov[FLUSH_BATCHES_MAX + 1];
    uint32_t flight_batches; /* of pending, from its head; 0: nothing in flight */
    uint64_t flight_mark;
    uint64_t synced, marked;
    uint64_t written, written_mark; /* as flight_mark, of the last write that is done */
    struct io_write sync;           /* of what was written lazily */
    uint64_t sync_end, sync_mark;   /* as `written` and its mark when it began */
    qr_time sync_began;
    qr_time unsynced_since; /* the oldest of what was written lazily; 0: all is synced */
    qr_time sync_due;       /* of what no sync under way covers */
    qr_time flight_within;  /* of what is in flight, as of a batch */
    uint64_t sync_wanted;   /* up to there as soon as can be */
    bool syncing;
    uint64_t sync_sum;  /* moving average of a write's microseconds, times SYNC_WEIGHT */
    uint64_t usual_sum; /* the same, when a long one counts as a bound (flush.c) */
    bool flush_wanted;  /* write as soon as the disk is free */
    bool failed, damaged, closing;

    /* Files prepared and let go. */
    struct janitor_job *job; /* under way */
    struct io_file *ready;   /* file of the next segment, named already */
    uint64_t ready_bytes, ready_generation;
    uint64_t *free_names; /* prewritten files that wait, by number */
    uint32_t free_count, free_cap;
    uint64_t next_name;
    uint32_t recycle_count; /* oldest segments that nothing needs ... */
    uint64_t recycle_above; /* ... once marked has reached this */
    bool recycle_check;     /* a trim or a new segment may have freed some */
    bool lacks;             /* recovery has found holes: they may be there still */
    uint32_t lacks_group;   /* the one that had one, as of the last look */
    uint32_t pin_group;     /* has the oldest live entry, as of the last look */
    bool no_space;          /* the last prewrite found the disk full */
    qr_time retry_at;
    uint64_t fs_free; /* bytes, as of fs_free_at */
    qr_time fs_free_at;
    uint64_t leave_free; /* of them, for what is not the log's */

    uint8_t *read_buffer;
    size_t read_cap;
    struct log_stats stats;
    struct log_figures figures;
    qr_time flight_began;
};

/* A want of room, which may pass; any other error ends the log. */
static inline bool log_is_full(int error)
{
    return error == -ENOSPC || error == -EDQUOT;
}

static inline struct segment *log_newest(const struct log *log)
{
    return &log->segments[log->segment_count - 1];
}

/* append.c */
/* A record that is no entry; returns its log offset. */
uint64_t log_append_note(struct log *log, uint32_t group, uint8_t kind, qr_slot slot, qr_term term,
                         struct span payload);
void log_close_batch(struct log *log);
void log_evict(struct log *log);
void log_batch_retire(struct log *log, uint32_t count); /* the oldest pending ones are durable */

/* segments.c */
void segment_path(const struct log *log, char *p, uint64_t generation);
void segment_free_path(const struct log *log, char *p, uint64_t name);
struct segment *segment_push(struct log *log);
void segment_begin(struct log *log, uint64_t generation, uint64_t first, uint64_t need);
bool segment_adopt(struct log *log, struct segment *segment);
void segment_find_dead(struct log *log);
void segment_let_go(struct log *log);
struct segment *segment_of(const struct log *log, uint64_t offset);

/* janitor.c */
void free_name_push(struct log *log, uint64_t name);
int segment_make_now(struct log *log, struct segment *segment);
void janitor_kick(struct log *log);
/* Whether the file system has less free than is to be left (log_leave_free) and `more` bytes. */
bool log_leaves_less(struct log *log, uint64_t more);

/* recover.c */
enum log_open_result log_recover(struct log *log, char *message, size_t cap);

/* flush.c */
void log_fail(struct log *log, int error, const char *what);
void log_write_next(struct log *log);

/* log.c */
void log_release(struct log *log); /* frees a closing log once nothing is under way */

#endif
