/* The inside of a discard journal, for discards.c (writing), discards_open.c and discards_read.c.
 */
#ifndef NODE_DISCARDS_INTERNAL_H
#define NODE_DISCARDS_INTERNAL_H

#include "base/limits.h"
#include "node/discards.h"

#define DISCARDS_PATH_MAX 1100u
#define DISCARDS_SEGMENT_BYTES_MIN (16 * KIB)
#define DISCARDS_SEGMENT_BYTES_MAX (64 * MIB)
#define DISCARDS_RUN_BYTES \
    (64 * KIB)                     /* of a file; another run begins behind it: a scan reads one */
#define DISCARDS_SEARCH_FACTOR 16u /* bytes checked behind a gap, for each that is there */

/* Entries with consecutive numbers in one segment and, where they have slots, consecutive slots of
 * one group and term. In order of number; gaps are entries that cannot be read. */
struct discards_run {
    uint64_t number, count;
    qr_slot slot;   /* of the first; 0: they have none */
    uint64_t slots; /* as many as `count`, unless it is one blind entry */
    qr_term term;
    uint32_t group;
    uint32_t segment;
    uint32_t offset;   /* no record of theirs begins before it in the segment's file */
    uint64_t regained; /* 0: not; else the mark that says so, see `marks` */
    qr_term given_up;  /* to that term; 0: not. Such a run has no slots here: a log says nothing */
};

struct discards_segment {
    uint32_t number;
    uint64_t salt;
    uint64_t first;   /* number of its first entry */
    uint64_t entries; /* given numbers in it, readable or not */
    uint64_t damaged, regained;
    uint64_t bytes;      /* payloads */
    uint64_t disk_bytes; /* that count: what follows is torn, or was never durable */
    bool unread;         /* its header is damaged: nothing of it can be read */
};

/* What has been given out; of which what is durable is remembered beside it. */
struct discards_mark {
    uint64_t next;          /* number of the next entry */
    uint64_t bytes;         /* payloads ever */
    uint64_t blind;         /* slots of blind entries ever */
    uint64_t marks;         /* records of what is regained */
    uint64_t at;            /* bytes of the last segment, ... */
    uint32_t segment;       /* ... its number; 0: there is none */
    uint64_t segment_bytes; /* payloads in it */
};

struct discards_chunk {
    uint8_t *p;
    size_t n, cap;
};

struct discards {
    struct io *io;
    char dir[DISCARDS_PATH_MAX]; /* of this journal's segments */
    uint32_t keyspace;
    uint64_t segment_bytes_max;

    struct discards_segment *segments; /* oldest first */
    uint32_t segment_count, segment_cap;
    uint32_t last_number; /* that a file was given */
    struct discards_run *runs;
    uint32_t run_count, run_cap;

    struct discards_mark given, durable;
    uint64_t overflowed, overflowed_bytes; /* with the segments that have gone, */
    uint64_t gone_damaged, gone_regained;  /* and what else was in them */
    uint32_t unread_files;

    struct io_file *file; /* the last segment's, while it is written; NULL: another one begins */
    struct discards_header head; /* of the last segment */
    uint32_t going;              /* oldest segments that it counts as gone */
    bool unsure;                 /* a write has failed: files may hold more than what is durable */
    bool made;                   /* its directory is there for good */
    uint32_t runs_here;          /* begun in it, and marks */
    struct discards_chunk filling, flying;
    struct discards_mark flight; /* what is durable when that is */
    struct io_write write;
    struct iovec v;
    bool in_flight;

    const struct discards_owner *owner; /* NULL: nothing is under way */
    bool ending, waiting, closed;
    int error;

    /* discards_add asks for one slot after the other: none of [clear_lo, clear_hi] is there. */
    qr_slot clear_lo, clear_hi;
    qr_term clear_term;
    uint32_t clear_group;
};

static inline struct discards_segment *discards_last(const struct discards *d)
{
    return d->segment_count == 0 ? NULL : &d->segments[d->segment_count - 1];
}

void discards_path(const struct discards *d, uint32_t segment, char path[DISCARDS_PATH_MAX]);
/* A segment at the end. */
struct discards_segment *discards_add_segment(struct discards *d, uint32_t number);
struct discards_segment *discards_segment_of(const struct discards *d, uint32_t number);
/* The entry, at that offset of its file, is the last one of the last segment. */
void discards_note_entry(struct discards *d, const struct discard *entry, uint32_t offset);
/* A run begins at that number, which run i holds; returns its index. */
uint32_t discards_cut_run(struct discards *d, uint32_t i, uint64_t number);
/* Entries [first, last] are regained, by that mark, as far as they are known. */
void discards_note_regained(struct discards *d, uint64_t first, uint64_t last, uint64_t mark);
/* The oldest n segments are gone; the last one's header has counted what was in them. */
void discards_forget_segments(struct discards *d, uint32_t n);
/* Index of the first run whose last number is at least that. */
uint32_t discards_run_from(const struct discards *d, uint64_t number);
/* What was given out behind what is durable has not been. */
void discards_undo(struct discards *d);
/* Whether an entry of that slot and term is there and was not regained (J3). */
bool discards_knows(struct discards *d, uint32_t group, qr_slot slot, qr_term term);
/* Numbers of entries of these slots that were not regained; false: there are none (more). */
bool discards_next_held(const struct discards *d, uint32_t group, qr_slot lo, qr_slot hi,
                        qr_term term, uint64_t *first, uint64_t *last);
/* Number of an entry that was given up to a term behind that one, and not regained; 0: none. */
uint64_t discards_next_given(const struct discards *d, uint32_t group, qr_term since);
/* The next whole record of a part of a file, which begins at `offset` there, from *at on; false:
 * there is none. What was passed over is a gap. The search behind gaps checks *budget bytes and no
 * more: a damaged file may look like the heads of many long records. */
bool discards_next_record(struct span part, uint64_t salt, uint32_t offset, uint32_t *at,
                          uint64_t *budget, struct discard_record *out, uint32_t *bytes);
/* J2. Panics where it does not hold. */
void discards_check(const struct discards *d);

#endif
