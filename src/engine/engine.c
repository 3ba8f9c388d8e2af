/* The engine as its callers see it: applying, reading, time. See engine.h. */
#include "engine/dispatch.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "base/rng.h"
#include "base/status.h"
#include "base/wire.h"

#include <stdlib.h>
#include <string.h>

struct engine *engine_new(const struct engine_config *config)
{
    struct engine *engine = qr_zalloc_lines(sizeof *engine);
    struct store_config store = { 0 };
    memcpy(store.hash_key, config->hash_key, sizeof store.hash_key);
    engine->config = *config;
    engine->totals = config->totals != NULL ? config->totals : &engine->alone;
    store.memory = &engine->totals->memory;
    engine->store = store_new(&store);
    return engine;
}

void engine_free(struct engine *engine)
{
    engine_image_free(engine);
    staging_clear(engine);
    store_free(engine->store);
    engine->totals->ids -= engine->ids;
    engine->totals->id_bytes -= engine->id_bytes;
    free(engine->argv);
    free(engine);
}

void engine_leave(struct engine *engine)
{
    store_leave(engine->store);
    engine->totals->staged -= engine->staging.bytes;
    engine->alone.staged = engine->staging.bytes;
    engine->totals->ids -= engine->ids;
    engine->totals->id_bytes -= engine->id_bytes;
    engine->alone.ids = engine->ids;
    engine->alone.id_bytes = engine->id_bytes;
    engine->totals = &engine->alone;
}

struct store *engine_store(struct engine *engine)
{
    return engine->store;
}

void engine_move_time(struct engine *engine, qr_wall stamp)
{
    if (stamp > engine->log_time) {
        engine->log_time = stamp;
        store_move_time(engine->store, stamp);
    }
}

void engine_apply(struct engine *engine, const struct op *op, struct reply *reply)
{
    engine_move_time(engine, op->stamp);
    struct call c = {
        .engine = engine, .reply = reply, .spec = command_by_tag(op->tag), .now = engine->log_time
    };
    engine->replayed = false;
    if (op->id.n > 0) {
        dispatch_once(&c, op);
    } else {
        dispatch(&c, op);
    }
    qr_assert(!c.due); /* by log time a key is there or gone */
}

bool engine_replayed(const struct engine *engine)
{
    return engine->replayed;
}

void engine_prefetch(const struct engine *engine, engine_key_of *key_of, const struct span *entries,
                     uint32_t n)
{
    struct store_key keys[STORE_PREFETCH_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < n && count < STORE_PREFETCH_MAX; i++) {
        count += key_of(entries[i], &keys[count].key, &keys[count].db);
    }
    if (count > 1) {
        store_prefetch(engine->store, keys, count);
    }
}

void engine_tick(struct engine *engine, qr_wall stamp)
{
    engine_move_time(engine, stamp);
    for (int i = 0; i < EXPIRE_BATCH_KEYS; i++) {
        uint8_t db = 0;
        struct item *item = store_first_due(engine->store, &db);
        if (item == NULL || item_expire(item) > engine->log_time) {
            return;
        }
        if (db == IDS_DB) {
            ids_expire(engine, item);
            continue;
        }
        bool deleted = store_delete(engine->store, db, item_key(item));
        qr_assert(deleted); /* or the loop would remove nothing for ever */
        engine->totals->stats.expired_keys++;
    }
}

/* argv: the arguments, or NULL when the op holds them. */
static enum engine_read_result read_with(struct engine *engine, const struct op *op,
                                         const struct span *argv, struct reply *reply)
{
    struct call c = { .engine = engine, .reply = reply, .spec = command_by_tag(op->tag) };
    if (c.spec == NULL || c.spec->place != PLACE_READ) {
        reply_error(reply,
                    status_text(STATUS_BAD_MESSAGE)); /* a write may only come from the log */
        return ENGINE_READ_DONE;
    }
    size_t before = reply->n;
    bool error_before = reply->is_error;
    struct engine_stats stats = engine->totals->stats;
    c.now = op->stamp > engine->log_time ? op->stamp : engine->log_time;
    if (argv != NULL) {
        dispatch_arguments(&c, op, argv);
    } else {
        dispatch(&c, op);
    }
    if (c.due) {
        reply_cut(reply, before);
        reply->is_error = error_before;
        engine->totals->stats = stats; /* it will be asked again, and counted then */
        return ENGINE_READ_DUE;
    }
    return ENGINE_READ_DONE;
}

enum engine_read_result engine_read(struct engine *engine, const struct op *op, struct reply *reply)
{
    return read_with(engine, op, NULL, reply);
}

enum engine_read_result engine_read_arguments(struct engine *engine, const struct op *op,
                                              const struct span *argv, struct reply *reply)
{
    qr_assert(argv != NULL);
    return read_with(engine, op, argv, reply);
}

qr_wall engine_log_time(const struct engine *engine)
{
    return engine->log_time;
}

qr_wall engine_next_due(struct engine *engine)
{
    uint8_t db = 0;
    const struct item *item = store_first_due(engine->store, &db);
    return item == NULL ? QR_NEVER : item_expire(item);
}

bool engine_idle(struct engine *engine)
{
    return store_idle(engine->store, IDLE_FREE_ITEMS);
}

const struct engine_totals *engine_totals(const struct engine *engine)
{
    return engine->totals;
}

uint64_t engine_rolling_digest(struct engine *engine)
{
    struct rng mix = rng_from(store_rolling_digest(engine->store) ^ (uint64_t)engine->log_time);
    mix = rng_from(rng_next(&mix) ^ staging_digest(engine));
    return rng_next(&mix);
}

uint64_t engine_digest(struct engine *engine)
{
    struct rng mix = rng_from(store_digest(engine->store) ^ engine_rolling_digest(engine));
    return rng_next(&mix);
}

void engine_content_digest(struct engine *engine, uint8_t out[20])
{
    uint8_t words[24] = { 0 };
    uint64_t digest = store_content_digest(engine->store);
    struct rng mix = rng_from(digest);
    for (size_t i = 0; i < 3 && digest != 0; i++) {
        wire_store_u64(words + 8 * i, rng_next(&mix));
    }
    memcpy(out, words, 20);
}

#ifdef QUORATE_FAILPOINTS
bool engine_corrupt(struct engine *engine, uint8_t db, struct span key)
{
    const struct item *item = store_find(engine->store, db, key);
    if (item == NULL) {
        return false;
    }
    struct store_bytes more = { .span = SPAN_LITERAL("x") };
    store_write(engine->store, db, key, item_value_n(item), more);
    return true;
}
#endif
