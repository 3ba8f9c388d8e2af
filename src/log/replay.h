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
void window_move(struct window *w, struct io_file *file); /* to another file */
void window_free(struct window *w);

/* A log that is being read back. */
struct replay {
    struct log *log;
    struct window window;
    /* Records whose bytes are bad and that no gap between entries has explained yet: `open` of
     * them, the first at log offset open_at or a little behind. */
    uint32_t open;
    uint64_t open_at;
    uint64_t marked; /* the highest synced mark that its batches state */
};

enum replay_end {
    REPLAY_WHOLE, /* every batch up to the segment's end */
    REPLAY_STOPS, /* the bytes at s->end are not the batch that belongs there */
    REPLAY_WRONG, /* a batch is whole but its records contradict each other or the index */
    REPLAY_IO,
};

/* Checks the restatement and puts it into the index; false when it is damaged. */
bool replay_restate(struct replay *r, const struct segment *s);

/* Replays the batches from s->end up to log offset `stop`; s->end is where it ended. */
enum replay_end replay_batches(struct replay *r, struct segment *s, uint64_t stop);

/* Replays what is left of the bad batch at s->end, which must end at or below log offset `synced`.
 * False when it cannot be told what its bad bytes were; s->end has then not moved. */
bool replay_salvage(struct replay *r, struct segment *s, uint64_t synced);

/* False when the record does not fit what came before it. */
bool replay_record(struct replay *r, const struct record *record, uint64_t offset);

/* Whether the bytes at s->end, which are no whole batch, once began to be one of this segment. */
bool replay_looks_begun(const struct segment *s, struct window *w);

/* The highest synced mark stated by any whole batch of generation `generation` at or after file
 * offset `from`. Sets *first to where that segment's body begins by the batches' own word. */
uint64_t replay_highest_mark(struct log *log, struct window *w, uint64_t generation, uint64_t from,
                             uint64_t *first);

#endif
