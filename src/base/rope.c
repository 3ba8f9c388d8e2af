/* Long byte strings in pieces: see rope.h.
 *
 * Pieces follow each other without a gap: pieces[i].at + pieces[i].n == pieces[i + 1].at, the first
 * begins at or before start and the last ends at n. A chunk may only grow by the piece that ends
 * where its bytes do, while nobody else holds it. */
#include "base/rope.h"

#include "base/alloc.h"
#include "base/crc32c.h"

#include <string.h>

/* --- Chunks --------------------------------------------------------------------------------- */

static struct rope_chunk *chunk_new(size_t cap)
{
    struct rope_chunk *chunk = qr_alloc(sizeof *chunk + cap);
    chunk->refs = 1;
    chunk->n = 0;
    chunk->crc = 0;
    chunk->crc_n = 0;
    chunk->cap = (uint32_t)cap;
    return chunk;
}

static void chunk_release(struct rope_chunk *chunk)
{
    qr_assert(rope_counted(&chunk->refs) > 0);
    if (rope_count_down(&chunk->refs)) {
        free(chunk);
    }
}

/* --- Life ----------------------------------------------------------------------------------- */

struct rope *rope_new(void)
{
    struct rope *rope = qr_zalloc(sizeof *rope);
    rope->refs = 1;
    return rope;
}

/* Frees up to `pieces` from the end; true while more is left. */
static bool free_slice(struct rope *rope, uint32_t pieces)
{
    qr_assert(rope_counted(&rope->refs) == 0);
    while (rope->count > 0 && pieces > 0) {
        chunk_release(rope->pieces[--rope->count].chunk);
        pieces--;
    }
    if (rope->count > 0) {
        return true;
    }
    free(rope->pieces);
    free(rope);
    return false;
}

void rope_release(struct rope *rope)
{
    if (rope == NULL) {
        return;
    }
    qr_assert(rope_counted(&rope->refs) > 0);
    if (rope_count_down(&rope->refs)) {
        (void)free_slice(rope, UINT32_MAX);
    }
}

static struct rope_piece *piece_add(struct rope *rope, struct rope_chunk *chunk, uint32_t from,
                                    uint32_t n)
{
    qr_assert(rope_counted(&rope->refs) == 1);
    if (rope->count == rope->cap) {
        rope->cap = rope->cap == 0 ? 4 : rope->cap * 2;
        rope->pieces = qr_realloc(rope->pieces, rope->cap * sizeof *rope->pieces);
    }
    struct rope_piece *piece = &rope->pieces[rope->count++];
    *piece = (struct rope_piece){ .chunk = chunk, .at = rope->n, .from = from, .n = n };
    rope->n += n;
    return piece;
}

struct rope *rope_own(struct rope *rope)
{
    if (rope_counted(&rope->refs) == 1) {
        return rope;
    }
    struct rope *own = rope_new();
    rope_share(own, rope, rope->start, rope->n - rope->start);
    rope_release(rope);
    return own;
}

/* --- Growing -------------------------------------------------------------------------------- */

uint8_t *rope_room(struct rope *rope, size_t want, size_t *n)
{
    qr_assert(rope_counted(&rope->refs) == 1);
    qr_assert(want > 0);
    const struct rope_piece *last = rope->count > 0 ? &rope->pieces[rope->count - 1] : NULL;
    if (last == NULL || rope_counted(&last->chunk->refs) > 1 ||
        last->from + last->n != last->chunk->n || last->chunk->n == last->chunk->cap) {
        last = piece_add(rope, chunk_new((size_t)min_u64(want, ROPE_CHUNK_BYTES)), 0, 0);
    }
    *n = (size_t)min_u64(want, last->chunk->cap - last->chunk->n);
    return last->chunk->bytes + last->chunk->n;
}

void rope_grow(struct rope *rope, size_t n)
{
    struct rope_piece *last = &rope->pieces[rope->count - 1];
    qr_assert(n <= last->chunk->cap - last->chunk->n);
    last->n += (uint32_t)n;
    last->chunk->n += (uint32_t)n;
    rope->n += n;
}

void rope_append_of(struct rope *rope, struct span bytes, size_t want)
{
    while (bytes.n > 0) {
        size_t n;
        uint8_t *p = rope_room(rope, max_u64(bytes.n, want), &n);
        n = (size_t)min_u64(n, bytes.n);
        memcpy(p, bytes.p, n);
        rope_grow(rope, n);
        bytes = span_of(bytes.p + n, bytes.n - n);
        want -= (size_t)min_u64(n, want);
    }
}

void rope_append(struct rope *rope, struct span bytes)
{
    rope_append_of(rope, bytes, rope->n); /* chunks double, so that many small ones are few */
}

/* The piece that holds the byte `at`, or the last one. */
static uint32_t find(const struct rope *rope, size_t at)
{
    uint32_t lo = 0;
    uint32_t hi = rope->count;
    while (hi - lo > 1) {
        uint32_t middle = lo + (hi - lo) / 2;
        if (rope->pieces[middle].at <= at) {
            lo = middle;
        } else {
            hi = middle;
        }
    }
    return lo;
}

void rope_share(struct rope *rope, const struct rope *other, size_t from, size_t n)
{
    qr_assert(rope != other);
    qr_assert(from >= other->start && from + n <= other->n);
    for (uint32_t i = n > 0 ? find(other, from) : 0; n > 0; i++) {
        const struct rope_piece *piece = &other->pieces[i];
        uint32_t skip = (uint32_t)(from - piece->at);
        uint32_t part = (uint32_t)min_u64(n, piece->n - skip);
        if (part > 0) {
            rope_count_up(&piece->chunk->refs);
            (void)piece_add(rope, piece->chunk, piece->from + skip, part);
        }
        from += part;
        n -= part;
    }
}

void rope_zeros(struct rope *rope, size_t n)
{
    if (n == 0) {
        return;
    }
    uint32_t cap = (uint32_t)min_u64(n, ROPE_CHUNK_BYTES);
    struct rope_chunk *zeros = chunk_new(cap);
    memset(zeros->bytes, 0, cap);
    zeros->n = cap;
    for (; n > 0; n -= min_u64(n, cap)) {
        rope_count_up(&zeros->refs);
        (void)piece_add(rope, zeros, 0, (uint32_t)min_u64(n, cap));
    }
    chunk_release(zeros);
}

/* --- Changing ------------------------------------------------------------------------------- */

/* The piece's bytes become its own. */
static void own_bytes(struct rope_piece *piece)
{
    if (rope_counted(&piece->chunk->refs) == 1) {
        return;
    }
    struct rope_chunk *copy = chunk_new(piece->n);
    memcpy(copy->bytes, piece->chunk->bytes + piece->from, piece->n);
    copy->n = piece->n;
    chunk_release(piece->chunk);
    piece->chunk = copy;
    piece->from = 0;
}

void rope_write(struct rope *rope, size_t at, struct span bytes)
{
    qr_assert(rope_counted(&rope->refs) == 1);
    qr_assert(at >= rope->start && at + bytes.n <= rope->n);
    for (uint32_t i = bytes.n > 0 ? find(rope, at) : 0; bytes.n > 0; i++) {
        struct rope_piece *piece = &rope->pieces[i];
        size_t skip = at - piece->at;
        size_t n = (size_t)min_u64(bytes.n, piece->n - skip);
        if (n > 0) {
            own_bytes(piece);
            piece->chunk->crc = 0;
            piece->chunk->crc_n = 0;
            rope->crc_count = rope->crc_count <= i ? rope->crc_count : 0;
            memcpy(piece->chunk->bytes + piece->from + skip, bytes.p, n);
        }
        bytes = span_of(bytes.p + n, bytes.n - n);
        at += n;
    }
}

void rope_drop_front(struct rope *rope, size_t at)
{
    uint32_t gone = 0;
    qr_assert(rope_counted(&rope->refs) == 1);
    qr_assert(at <= rope->n);
    /* The last piece stays: it may grow. */
    while (gone + 1 < rope->count && rope->pieces[gone].at + rope->pieces[gone].n <= at) {
        chunk_release(rope->pieces[gone].chunk);
        gone++;
    }
    if (gone > 0) {
        rope->count -= gone;
        memmove(rope->pieces, rope->pieces + gone, rope->count * sizeof *rope->pieces);
    }
    rope->start = at > rope->start ? at : rope->start;
}

/* --- Reading -------------------------------------------------------------------------------- */

struct span rope_slice(const struct rope *rope, size_t at)
{
    if (at >= rope->n) {
        return (struct span){ 0 };
    }
    qr_assert(at >= rope->start);
    const struct rope_piece *piece = &rope->pieces[find(rope, at)];
    size_t skip = at - piece->at;
    qr_assert(skip < piece->n);
    return span_of(piece->chunk->bytes + piece->from + skip, piece->n - skip);
}

void rope_copy(const struct rope *rope, size_t from, size_t n, uint8_t *out)
{
    while (n > 0) {
        struct span part = rope_slice(rope, from);
        qr_assert(part.n > 0);
        size_t take = (size_t)min_u64(part.n, n);
        memcpy(out, part.p, take);
        out += take;
        from += take;
        n -= take;
    }
}

/* --- Checksum ------------------------------------------------------------------------------- */

static uint32_t chunk_crc(struct rope_chunk *chunk)
{
    chunk->crc = crc32c_extend(chunk->crc, chunk->bytes + chunk->crc_n, chunk->n - chunk->crc_n);
    chunk->crc_n = chunk->n;
    return chunk->crc;
}

static uint32_t piece_crc(const struct rope_piece *piece)
{
    if (piece->from == 0 && piece->n == piece->chunk->n) {
        return chunk_crc(piece->chunk);
    }
    return crc32c_extend(0, piece->chunk->bytes + piece->from, piece->n);
}

uint32_t rope_crc(struct rope *rope)
{
    qr_assert(rope->start == 0);
    struct crc32c_join join = { 0 };
    if (rope->crc_count == 0) {
        rope->crc = 0;
    }
    uint32_t crc = rope->crc;
    for (uint32_t i = rope->crc_count; i < rope->count; i++) {
        rope->crc = crc; /* of what comes before the last piece, which may grow */
        rope->crc_count = i;
        crc = crc32c_join(&join, crc, piece_crc(&rope->pieces[i]), rope->pieces[i].n);
    }
    return crc;
}

/* --- Bins ----------------------------------------------------------------------------------- */

void rope_discard(struct rope_bin *bin, struct rope *rope)
{
    if (rope == NULL) {
        return;
    }
    if (!rope_count_down(&rope->refs)) {
        return;
    }
    rope->next = bin->first;
    bin->first = rope;
}

bool rope_bin_empty_slice(struct rope_bin *bin, uint32_t pieces)
{
    struct rope *rope = bin->first;
    if (rope == NULL) {
        return false;
    }
    struct rope *next = rope->next;
    if (!free_slice(rope, pieces)) {
        bin->first = next;
    }
    return bin->first != NULL;
}
