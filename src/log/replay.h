/* Reading a segment back: batches checked one by one, their records put into the index. */
#ifndef LOG_REPLAY_H
#define LOG_REPLAY_H

#include "log/log_internal.h"

/* A file seen through a buffer that moves forward. */
struct window {
    struct io_file *file;
    uint8_t *p;
    size_t n, cap;
    uint64_t at; /* file offset of p[0] */
    int error;   /* negative errno of a failed read */
};

/* `need` bytes at file offset `at`; NULL when the file ends before or cannot be read. */
const uint8_t *window_at(struct window *w, uint64_t at, size_t need);
void window_free(struct window *w);

enum replay_end {
    REPLAY_WHOLE, /* every batch up to the segment's end */
    REPLAY_STOPS, /* the bytes at s->end are not the batch that belongs there */
    REPLAY_WRONG, /* a batch is whole but its records contradict each other or the index */
    REPLAY_IO,
};

/* Checks the restatement and puts it into the index; false when it is damaged. */
bool replay_restate(struct log *log, const struct segment *s, struct window *w);

/* Replays the batches from s->header.first up to log offset `stop`; s->end is where it ended. */
enum replay_end replay_batches(struct log *log, struct segment *s, struct window *w, uint64_t stop);

/* Whether the bytes at s->end, which are no whole batch, once began to be one of this segment. */
bool replay_looks_begun(const struct segment *s, struct window *w);

/* The highest synced mark stated by any whole batch of generation `generation` at or after file
 * offset `from`. Sets *first to where that segment's body begins by the batches' own word. */
uint64_t replay_highest_mark(struct log *log, struct window *w, uint64_t generation, uint64_t from,
                             uint64_t *first);

#endif
