/* What recovery knows while it works; shared by recover.c and resume.c only. */
#ifndef LOG_RECOVER_H
#define LOG_RECOVER_H

#include "log/replay.h"

struct found {
    uint64_t number; /* from the name */
    uint64_t bytes;
    struct io_file *file;
    struct segment_header header;
    bool whole;   /* the header is; else the file was never used, or is damaged */
    bool dropped; /* it is damaged and passed over */
    bool chained; /* in use: its file belongs to log->segments now */
};

struct recovery {
    struct log *log;
    struct found *found; /* .log files by number, ascending */
    uint32_t count, cap;
    uint64_t *tmp; /* numbers of .tmp files */
    uint32_t tmp_count, tmp_cap;
    uint64_t stated; /* log offset below which everything was synced, says what is passed over */
    struct replay replay;
    uint64_t limit; /* nothing at or behind this log offset is kept: it is, or follows, damage */
    uint64_t stop;  /* where the newest segment that is kept ends; UINT64_MAX: not known yet */
    uint64_t next;  /* log offset behind all that any segment could have held */
    uint32_t bad;   /* batches that were not whole */
    char *message;
    size_t message_cap;
};

/* Something was damaged, and what follows it is cut. */
static inline bool recover_was_cut(const struct recovery *r)
{
    return r->limit < UINT64_MAX;
}

enum log_open_result recover_io_failed(struct recovery *r, int error, const char *what);

/* Tidies the directory, syncs what is kept and begins a new segment behind it. */
enum log_open_result recover_go_on(struct recovery *r);

#endif
