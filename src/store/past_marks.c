/* See past_marks.h. */
#include "store/past_marks.h"

#include "base/alloc.h"
#include "store/item.h"

uint64_t past_marks_block_memory(void)
{
    return block_cost(PAST_BLOCK_MARKS * sizeof(struct past_mark));
}

static void grow_ring(struct past_marks *m)
{
    uint32_t cap = m->block_cap == 0 ? 4 : 2 * m->block_cap;
    struct past_mark **blocks = qr_zalloc(cap * sizeof(struct past_mark *));
    for (uint32_t i = 0; i < m->block_count; i++) {
        blocks[i] = m->blocks[(m->first_block + i) & (m->block_cap - 1)];
    }
    free(m->blocks);
    m->blocks = blocks;
    m->block_cap = cap;
    m->first_block = 0;
}

uint64_t past_marks_add(struct past_marks *m, struct past_mark mark)
{
    uint64_t grown = 0;
    if (m->first + m->count == (uint64_t)m->block_count * PAST_BLOCK_MARKS) {
        if (m->block_count == m->block_cap) {
            grow_ring(m);
        }
        uint32_t at = (m->first_block + m->block_count++) & (m->block_cap - 1);
        m->blocks[at] = qr_alloc(PAST_BLOCK_MARKS * sizeof mark);
        grown = past_marks_block_memory();
    }
    m->count++;
    *past_mark_last(m) = mark;
    return grown;
}

uint64_t past_marks_drop_first(struct past_marks *m)
{
    qr_assert(m->count > 0);
    m->count--;
    m->first++;
    if (m->first < PAST_BLOCK_MARKS) {
        return 0;
    }
    m->first = 0;
    free(m->blocks[m->first_block]);
    m->first_block = (m->first_block + 1) & (m->block_cap - 1);
    m->block_count--;
    return past_marks_block_memory();
}

void past_marks_free(struct past_marks *m)
{
    while (m->count > 0) {
        (void)past_marks_drop_first(m);
    }
    if (m->block_count > 0) {
        free(m->blocks[m->first_block]);
    }
    free(m->blocks);
    *m = (struct past_marks){ 0 };
}

const struct past_mark *past_mark_of(const struct past_marks *m, qr_slot slot)
{
    uint64_t low = 0, high = m->count; /* the one that is looked for is in [low, high) */
    qr_assert(m->count > 0 && past_mark_at(m, 0)->slot <= slot);
    while (high - low > 1) {
        uint64_t middle = low + (high - low) / 2;
        if (past_mark_at(m, middle)->slot <= slot) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return past_mark_at(m, low);
}
