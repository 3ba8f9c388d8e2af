/* A row of marks, one for each slot that moved log time or left a version: added at the end, taken
 * away at the front. It lies in blocks, so that growing moves nothing but pointers. */
#ifndef STORE_PAST_MARKS_H
#define STORE_PAST_MARKS_H

#include "base/types.h"

struct past_mark {
    qr_slot slot;
    qr_wall time;    /* of the state as of it, and up to the next mark */
    uint64_t before; /* what all versions had cost before it */
};

#define PAST_BLOCK_MARKS 256u

struct past_marks {
    struct past_mark **blocks; /* a ring of block_cap pointers, a power of two */
    uint32_t block_cap, first_block, block_count;
    uint32_t first; /* in the first block */
    uint64_t count;
};

static inline struct past_mark *past_mark_at(const struct past_marks *m, uint64_t nth)
{
    uint64_t at = m->first + nth;
    uint64_t block = (m->first_block + at / PAST_BLOCK_MARKS) & (m->block_cap - 1);
    return &m->blocks[block][at % PAST_BLOCK_MARKS];
}

static inline struct past_mark *past_mark_last(const struct past_marks *m)
{
    return past_mark_at(m, m->count - 1);
}

/* Return the bytes by which the row's memory has grown or shrunk. */
uint64_t past_marks_add(struct past_marks *m, struct past_mark mark);
uint64_t past_marks_drop_first(struct past_marks *m);
uint64_t past_marks_block_memory(void); /* of each of its blocks */
void past_marks_free(struct past_marks *m);

/* The last mark at or below the slot, which is not below the first. */
const struct past_mark *past_mark_of(const struct past_marks *m, qr_slot slot);

#endif
