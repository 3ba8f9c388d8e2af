/* Long byte strings in pieces: what is longer than LARGE_BYTES is never copied, cleared or freed in
 * one go (R4: such a copy stops the loop for longer than a heartbeat).
 *
 * A rope is a row of pieces, each a part of a counted chunk. Ropes are counted too: who keeps one
 * that somebody else may change takes a reference, and a change needs the only reference to the
 * rope (rope_own makes a copy of the row, not of the bytes). A chunk that several ropes hold is
 * copied before its bytes change; it is the most that one change copies. One thread owns all of a
 * worker's ropes (R3), with one exception: a state that is replaced as a whole is freed by a helper
 * thread, while replies may still hold some of its ropes. So references are counted atomically, and
 * who sees one reference alone has it. */
#ifndef BASE_ROPE_H
#define BASE_ROPE_H

#include "base/types.h"

/* With its header and malloc's own a chunk is whole pages. */
#define ROPE_CHUNK_BYTES ((size_t)1024 * 1024 - 64)

struct rope_chunk {
    uint32_t refs, n, cap;
    uint32_t crc, crc_n; /* of its first crc_n bytes */
    uint8_t bytes[];
};

struct rope_piece {
    struct rope_chunk *chunk;
    size_t at; /* of its first byte in the rope */
    uint32_t from, n;
};

struct rope {
    uint32_t refs;
    uint32_t count, cap;     /* pieces */
    uint32_t crc, crc_count; /* of its first so many pieces */
    size_t start, n;         /* bytes [start, n) are there: start moves by rope_drop_front only */
    struct rope_piece *pieces;
    struct rope *next; /* in a bin */
};

struct rope *rope_new(void);

static inline void rope_count_up(uint32_t *refs)
{
    (void)__atomic_fetch_add(refs, 1, __ATOMIC_RELAXED);
}

/* True when that was the last one. */
static inline bool rope_count_down(uint32_t *refs)
{
    return __atomic_sub_fetch(refs, 1, __ATOMIC_ACQ_REL) == 0;
}

static inline uint32_t rope_counted(const uint32_t *refs)
{
    return __atomic_load_n(refs, __ATOMIC_ACQUIRE);
}

static inline struct rope *rope_ref(struct rope *rope)
{
    rope_count_up(&rope->refs);
    return rope;
}

/* Lets go of a reference; the last one frees it. NULL is nothing. For what may be long there is a
 * bin. */
void rope_release(struct rope *rope);

/* The rope for whoever has one reference to it and wants to change it: itself, or a copy of the row
 * in its place. */
struct rope *rope_own(struct rope *rope);

/* --- Growing: the only reference is the caller's --------------------------------------------- */

/* Room at the end, at least one byte and at most `want`, which is how much is still to come as far
 * as is known; *n says how much. rope_grow says how much of it was filled. */
uint8_t *rope_room(struct rope *rope, size_t want, size_t *n);
void rope_grow(struct rope *rope, size_t n);

void rope_append(struct rope *rope, struct span bytes);
/* The same where `want` bytes are to come in all, these included. */
void rope_append_of(struct rope *rope, struct span bytes, size_t want);
/* The bytes [from, from + n) of another rope, without a copy. */
void rope_share(struct rope *rope, const struct rope *other, size_t from, size_t n);
void rope_zeros(struct rope *rope, size_t n);

/* --- Changing ------------------------------------------------------------------------------- */

/* Puts bytes in the place of others; the rope is long enough. */
void rope_write(struct rope *rope, size_t at, struct span bytes);
/* Frees whole pieces before `at`; what is behind keeps its place. */
void rope_drop_front(struct rope *rope, size_t at);

/* --- Reading -------------------------------------------------------------------------------- */

/* The bytes from `at` on that lie together; empty at the end only. */
struct span rope_slice(const struct rope *rope, size_t at);
void rope_copy(const struct rope *rope, size_t from, size_t n, uint8_t *out);

/* crc32c of all of it, which has its start still. What was summed before is not looked at again,
 * so that after a change it costs about as much as the change. */
uint32_t rope_crc(struct rope *rope);

/* What a rope of n bytes is said to cost: a function of n alone, whatever its pieces are. */
static inline uint64_t rope_cost(size_t n)
{
    return 128 + n + (n / ROPE_CHUNK_BYTES + 1) * 64;
}

/* --- Bins: ropes that are freed in slices --------------------------------------------------- */

struct rope_bin {
    struct rope *first;
};

/* rope_release, but a last reference goes to the bin. */
void rope_discard(struct rope_bin *bin, struct rope *rope);
/* Frees at most `pieces` of one; true while more is left. */
bool rope_bin_empty_slice(struct rope_bin *bin, uint32_t pieces);

#endif
