/* The log: one durable order for all groups of a worker (design: Log; rows L1..L8, T2, T14).
 *
 * Entries of many groups share batches, batches lie in segments, one sync makes a batch durable.
 * A turn of the node's loop appends what its groups persist and then calls log_flush once; while a
 * sync is in flight the next batch gathers behind it (group commit, no timer). Entries of which
 * nobody waits for that (log_append_lazily) are written at once and synced a little later: until
 * then they outlive the process, and not the machine.
 *
 * Positions are never-reused 64-bit log offsets: everything appended before log_position() returned
 * P is durable when on_durable reports a position >= P. */
#ifndef LOG_LOG_H
#define LOG_LOG_H

#include "base/histogram.h"
#include "base/types.h"
#include "io/io.h"
#include "log/record.h"
#include "protocol/protocol.h" /* struct term_run */

struct log;

/* Where a batch is written and synced. On the loop's thread it costs no switch of threads (two of
 * them are dear beside a fast disk) but the loop stands still meanwhile. */
enum log_sync {
    LOG_SYNC_THREAD, /* on a helper thread */
    LOG_SYNC_INLINE, /* on the loop's thread, unless a write is in flight on a helper thread */
    LOG_SYNC_AUTO,   /* inline while the disk is quick and the batch small, see flush.c */
};

struct log_config {
    const char *dir;        /* the log's own directory; made when missing */
    uint8_t uuid[16];       /* of the data directory; another one's segments are refused */
    uint64_t segment_bytes; /* LOG_SEGMENT_BYTES unless a test wants small ones */
    uint64_t reserve_bytes; /* kept back so that deletes, trims and state records always fit */
    uint64_t cache_bytes;   /* tail cache */
    uint64_t recycle_bytes; /* of dead segments, kept at most to be used again */
    bool must_exist; /* this node has had a log: an empty directory was wiped, that is damage */
    /* Where the log is damaged beyond its holes it is cut instead of opened for reading only: what
     * lies behind the damage is lost to it, and its files are kept as *.damaged. The caller must
     * have made durable that this replica is forgetful. */
    bool cut_damage;
    enum log_sync sync;
    /* Called from the loop when everything below `position` is durable; after an inline sync from
     * inside log_flush. */
    void (*on_durable)(void *context, uint64_t position);
    /* Everything below it is written, and not all of it is durable. May be NULL. */
    void (*on_written)(void *context, uint64_t position);
    /* A write or sync failed: the caller must stop the node; the log takes nothing more (R7).
     * `error` is a negative errno. */
    void (*on_failure)(void *context, int error, const char *what);
    void *context;
};

/* What recovery found for one group. Borrowed from the log until the next call. */
struct log_group {
    uint32_t group;
    qr_slot base_slot; /* trimmed up to here */
    qr_term base_term;
    qr_slot last_slot;
    const struct term_run *runs; /* of (base_slot, last_slot] */
    uint32_t run_count;
    const qr_slot *members; /* of the entries RECORD_MEMBERS in (base_slot, last_slot], ascending */
    uint32_t members_count;
    struct span state; /* payload of the last RECORD_STATE; empty when there was none */
    bool damaged;      /* bytes below the synced mark are bad: the group must not guess */
};

enum log_open_result {
    LOG_OPEN_OK = 0,  /* perhaps with holes: see log_holes */
    LOG_OPEN_FOREIGN, /* segments of another UUID, or of a newer format */
    LOG_OPEN_DAMAGED, /* opened for reading; the damaged groups are marked */
    LOG_OPEN_IO,      /* the directory could not be read or written; errno in the message */
};

/* Opens and recovers: finds the end by the synced mark, cuts a torn tail, syncs what it keeps.
 * `message` (cap bytes) gets one sentence that says what was found and what to do about it; with
 * LOG_OPEN_OK it is empty, or tells that the end of an unfinished write was cut, that there are
 * holes, or what was cut as damaged. */
enum log_open_result log_open(struct io *io, const struct log_config *config, struct log **out,
                              char *message, size_t cap);
/* Waits for nothing: call it when log_idle, or lose what was not durable (a crash does too). What a
 * helper thread still holds is freed when it is done, so the loop must run or be freed after. */
void log_close(struct log *log);

/* The group as recovered or as it stands now; false when the log does not know it. In a damaged log
 * a group that is not known is damaged too: it may have been lost whole. */
bool log_group_state(struct log *log, uint32_t group, struct log_group *out);
/* Entries of the group will follow soon (base/prefetch.h). */
void log_prefetch(const struct log *log, uint32_t group);
/* Its last slot alone; 0 when the log does not know it. */
qr_slot log_last_slot(const struct log *log, uint32_t group);

/* --- Appending: all of it goes into the batch that log_flush will write --------------------- */

/* Appends `count` sealed entry records of one group, in slot order, the first following the
 * group's last slot. Panics on a gap: the caller truncates first. */
void log_append(struct log *log, struct span records, uint32_t count);
/* The same; that they are written is enough for now, if they are synced within that time. What is
 * not, in the same batch, takes them along to the disk. */
void log_append_lazily(struct log *log, struct span records, uint32_t count, qr_time within);
/* A second after all; or so soon that a sync serves many batches and costs next to nothing. */
#define LOG_SYNC_LATER (700 * QR_MILLISECOND)
#define LOG_SYNC_SOON (5 * QR_MILLISECOND)

/* Drops the group's entries at or after `from` (a record, never physical). */
void log_truncate(struct log *log, uint32_t group, qr_slot from);

/* Appends the group's state record; the last one durable is what recovery returns. */
void log_state(struct log *log, uint32_t group, struct span state);

/* Forgets the group's entries up to `upto`, whose term is `term`: recovery will start behind it.
 * Segments that hold nothing live are recycled. The caller waits for its checkpoint first. */
void log_trim(struct log *log, uint32_t group, qr_slot upto, qr_term term);

/* Drops all of the group's entries: it goes on behind `slot`, whose term is `term`, wherever it
 * stood before, also behind a lower slot than its base (a state that was lost is built anew). One
 * record: a crash leaves all of the entries or none. */
void log_reset(struct log *log, uint32_t group, qr_slot slot, qr_term term);

/* Forgets the group: its entries, its base and its state. To the log it has never been, and another
 * life of it may begin. Like all records it is durable with the position behind it: until then a
 * crash brings the group back as it was. */
void log_drop(struct log *log, uint32_t group);

/* The groups that hold little of the log, and would keep long parts of it for that: those whose
 * oldest live entry lies before the position `before`, and that have at most `group_bytes` of live
 * entries. These are written once more, until about `bytes` have been. */
struct log_carrying {
    uint64_t before, group_bytes, bytes;
};
uint64_t log_carry(struct log *log, const struct log_carrying *carrying); /* bytes written */

/* The group that has the oldest live entry of all, and the bytes from there to the end; false when
 * no group has any. */
bool log_pin(struct log *log, uint32_t *group, uint64_t *bytes);
uint32_t log_group_count(const struct log *log);
/* The groups that the log knows, in no order; start with *at = 0, false at the end. */
bool log_next_group(const struct log *log, uint32_t *at, uint32_t *group);

/* Entries [lo, hi] whose bytes are damaged while everything else is proven (docs/log-format.md). */
struct log_hole {
    qr_slot lo, hi;
    qr_term term;      /* of all of them; 0: not known */
    qr_term next_term; /* of the entry hi + 1; 0: there is none */
};

/* The group's holes, in order, at most `max` of them. A replica must not start while it has any. */
uint32_t log_holes(const struct log *log, uint32_t group, struct log_hole *out, uint32_t max);
/* Those that touch [lo, hi]; what the first has before `lo` is not told. */
uint32_t log_holes_in(const struct log *log, uint32_t group, qr_slot lo, qr_slot hi,
                      struct log_hole *out, uint32_t max);

/* Fills a hole with the entry's sealed record, as a peer has it; within a hole in order of slot.
 * False when that entry is not lost, or the neighbours' terms contradict. */
bool log_patch(struct log *log, uint32_t group, struct span record);

/* The position behind everything appended so far. */
uint64_t log_position(const struct log *log);

/* Everything before it is durable. */
uint64_t log_durable(const struct log *log);

/* Everything before it outlives the process: log_durable, or more. */
uint64_t log_written(const struct log *log);
/* What was appended shall be durable as soon as can be, however it was appended. */
void log_sync(struct log *log);
/* When log_flush has something to sync at the latest; QR_NEVER: nothing. */
qr_time log_deadline(const struct log *log);

/* Bytes appended that are not durable: they stay in memory for as long as the disk is stuck. */
uint64_t log_backlog(const struct log *log);

/* Hands the gathered batch to the disk unless a sync is in flight (it then follows by itself).
 * Returns whether something became durable, or written, at once, that is inline. */
bool log_flush(struct log *log);
void log_set_sync(struct log *log, enum log_sync sync);

bool log_idle(const struct log *log); /* nothing gathered, nothing in flight */

/* --- Reading -------------------------------------------------------------------------------- */

/* Records of the entries [lo, hi), at least one and no more than fit in max_bytes. From the tail
 * cache where they are there, else read from the file into a buffer of the log. *out is one run of
 * sealed records, borrowed until the next call into the log. Returns how many entries it holds, 0
 * on a range that the log does not hold, or a negative errno (bad checksum: -EBADMSG). Entries can
 * be read as soon as log_append returned. */
int64_t log_read(struct log *log, uint32_t group, qr_slot lo, qr_slot hi, size_t max_bytes,
                 struct span *out);

/* Bytes of log from the batch on that holds that entry; 0: it is not there. */
uint64_t log_bytes_from(const struct log *log, uint32_t group, qr_slot slot);

/* Bytes that log_read had to take from files so far. */
uint64_t log_read_back_bytes(const struct log *log);

uint64_t log_cache_bytes(const struct log *log); /* of the log in memory */

/* Removes the segments that were kept as *.damaged; best effort. */
void log_drop_damaged(struct log *log);

/* --- Space ---------------------------------------------------------------------------------- */

enum log_space {
    LOG_SPACE_OK,
    LOG_SPACE_LOW, /* the reserve is in use: growing commands get -NOSPACE */
    LOG_SPACE_NONE /* most of it is used up: all writes do; what is left is for the protocol */
};
enum log_space log_space(struct log *log);
/* Position of the newest segment's first record: what ends below it can be let go. */
uint64_t log_newest_begins(const struct log *log);
/* Bytes that the log may still take, the reserve included. */
uint64_t log_room(struct log *log);
/* So many bytes of the file system are not the log's to fill: they are for a checkpoint, without
 * which it could never be let go again. Files that wait for use are given up for them, down to half
 * of the reserve. Where not even the whole log would make room for so much, nothing is left free.
 */
void log_leave_free(struct log *log, uint64_t bytes);

struct log_stats {
    uint64_t batches, syncs, records, bytes, cache_bytes, segments, disk_bytes;
    uint64_t flush_bytes_max;
    uint64_t read_back_bytes; /* from files, because the cache had them no more */
    uint64_t inline_syncs;    /* of `syncs` */
    uint64_t sync_usec;       /* of one write with its sync, of late (a moving average) */
    uint32_t pin_group; /* the group whose oldest live entry kept the oldest segment, last seen */
};
void log_stats(const struct log *log, struct log_stats *out);

/* How long the write that is under way has taken so far; 0: none is. */
qr_time log_sync_waits(const struct log *log);

/* How batches and syncs were, since the start or log_reset_stats. */
struct log_figures {
    struct histogram sync_usec;     /* of a write with its sync, until the loop hears of it */
    struct histogram batch_records; /* entries and state records of a batch */
    struct histogram batch_bytes;   /* on disk */
};
const struct log_figures *log_figures(const struct log *log);
void log_reset_stats(struct log *log);

/* Bytes from the group's oldest live entry to the end: what log-max-bytes is compared with. */
uint64_t log_group_bytes(const struct log *log, uint32_t group);

/* --- Retention: up to which slot the group would have to be trimmed ... ----------------------- */

/* ... so that log_group_bytes is at most about `bytes`; its base when it is already. */
qr_slot log_slot_over_bytes(const struct log *log, uint32_t group, uint64_t bytes);

/* ... so that no entry is much older than `age`. Entries carry no time: each call notes where the
 * log stands, so it has to be asked about once a second, always for about the same age; the answer
 * is exact to that interval or a 32nd of `age`. What a start finds counts as new. */
qr_slot log_slot_over_age(struct log *log, uint32_t group, qr_time age);

#endif
