/* Blobs: arguments that are too long for their command's entry and come ahead of it, in parts.
 *
 * They are part of the replicated state: every replica appends the same parts to the same blobs,
 * keeps them in its checkpoints, and lets them go at the same entries - the command that uses them,
 * the proposer's word that it gave up, or the first entry of a later term, for the command must be
 * of the term of its parts. */
#include "engine/engine_internal.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "base/rng.h"

#include <stdlib.h>

static struct blob *find(const struct engine *engine, uint64_t number)
{
    for (uint32_t i = 0; i < engine->staging.count; i++) {
        if (engine->staging.v[i].number == number) {
            return &engine->staging.v[i];
        }
    }
    return NULL;
}

struct rope *staging_find(struct engine *engine, struct op_ref ref)
{
    struct blob *blob = find(engine, ref.blob);
    bool whole = blob != NULL && blob->total == ref.n && blob->rope->n == ref.n;
    return whole ? blob->rope : NULL;
}

void staging_drop(struct engine *engine, uint64_t number)
{
    struct staging *staging = &engine->staging;
    struct blob *blob = find(engine, number);
    if (blob == NULL) {
        return;
    }
    qr_assert(staging->bytes >= blob->total);
    staging->bytes -= blob->total;
    engine->totals->staged -= blob->total;
    rope_discard(store_bin(engine->store), blob->rope);
    *blob = staging->v[--staging->count];
}

void staging_clear(struct engine *engine)
{
    while (engine->staging.count > 0) {
        staging_drop(engine, engine->staging.v[0].number);
    }
    free(engine->staging.v);
    engine->staging = (struct staging){ .term = engine->staging.term };
}

struct rope *staging_add(struct engine *engine, qr_term term, uint64_t number, uint64_t total)
{
    struct staging *staging = &engine->staging;
    if (total == 0 || total > VALUE_BYTES_MAX || total > STAGED_BYTES_MAX - staging->bytes ||
        staging->count == STAGED_BLOBS_MAX || find(engine, number) != NULL) {
        return NULL;
    }
    if (staging->count == staging->cap) {
        staging->cap = staging->cap == 0 ? 8 : staging->cap * 2;
        staging->v = qr_realloc(staging->v, staging->cap * sizeof *staging->v);
    }
    struct rope *rope = rope_new();
    staging->v[staging->count++] = (struct blob){ .number = number, .total = total, .rope = rope };
    staging->bytes += total;
    engine->totals->staged += total;
    staging->term = term;
    return rope;
}

void engine_enter_term(struct engine *engine, qr_term term)
{
    if (engine->staging.term != term) {
        staging_clear(engine);
        engine->staging.term = term;
    }
}

void engine_blob_part(struct engine *engine, uint64_t number, uint64_t total, uint64_t at,
                      struct span bytes)
{
    if (at == 0) {
        (void)staging_add(engine, engine->staging.term, number, total);
    }
    struct blob *blob = find(engine, number);
    if (blob != NULL && blob->total == total && blob->rope->n == at && bytes.n <= total - at) {
        blob->rope = rope_own(blob->rope); /* an image may hold it */
        rope_append_of(blob->rope, bytes, (size_t)(total - at));
        (void)rope_crc(blob->rope); /* now, while they are in the cache; the digest wants it */
    }
}

void engine_blob_drop(struct engine *engine, uint64_t number)
{
    staging_drop(engine, number);
}

uint64_t engine_staged_bytes(const struct engine *engine)
{
    return engine->staging.bytes;
}

struct rope_bin *engine_bin(struct engine *engine)
{
    return store_bin(engine->store);
}

/* Their order in the table is a matter of history: the sum does not depend on it. */
uint64_t staging_digest(const struct engine *engine)
{
    uint64_t digest = 0;
    for (uint32_t i = 0; i < engine->staging.count; i++) {
        const struct blob *blob = &engine->staging.v[i];
        uint64_t here = blob->number * 31 + blob->rope->n;
        struct rng mix = rng_from(here ^ blob->total << 32 ^ (uint64_t)rope_crc(blob->rope) << 16);
        digest += rng_next(&mix);
    }
    return digest;
}
