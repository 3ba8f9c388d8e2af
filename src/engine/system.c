/* The hidden database: a few records that belong to the node, not to its clients, and are state as
 * any other is: in every image, under every digest.
 *
 * It has one version, a record with an empty key that no op can name. An op states the version that
 * it was composed for and is carried out for that one only: of two that were composed for the same
 * one comes first, and the other changes nothing. */
#include "engine/dispatch.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "base/status.h"
#include "base/wire.h"

#define VERSION_BYTES 8u

static struct span version_key(void)
{
    return (struct span){ 0 };
}

struct span engine_system_get(const struct engine *engine, struct span key)
{
    const struct item *item = store_find(engine->store, SYSTEM_DB, key);
    return item == NULL ? (struct span){ 0 } : item_value(item);
}

uint64_t engine_system_version(const struct engine *engine)
{
    return engine->system_version;
}

void system_loaded(struct engine *engine, struct span key, struct span value)
{
    if (key.n == 0 && value.n == VERSION_BYTES) {
        engine->system_version = wire_load_u64(value.p);
    }
}

uint16_t engine_level(const struct engine *engine)
{
    return engine->ids > 0                             ? SEMANTICS_LEVEL_IDS
           : store_count(engine->store, SYSTEM_DB) > 0 ? SEMANTICS_LEVEL_RECORDS
                                                       : SEMANTICS_LEVEL;
}

struct each_record {
    void (*each)(void *context, struct span key, struct span value);
    void *context;
};

static void each_item(void *context, struct item *item)
{
    struct each_record *e = context;
    if (item_key(item).n > 0) {
        e->each(e->context, item_key(item), item_value(item));
    }
}

void engine_system_each(const struct engine *engine,
                        void (*each)(void *context, struct span key, struct span value),
                        void *context)
{
    struct each_record e = { .each = each, .context = context };
    uint64_t end = store_scan(engine->store, SYSTEM_DB, 0, UINT64_MAX, each_item, &e);
    qr_assert(end == 0);
}

static bool fits(const struct op *op, const struct span *argv)
{
    bool fit = argv[0].n == VERSION_BYTES;
    for (uint32_t i = 1; i < op->argc && fit; i += 2) {
        fit = argv[i].n > 0 && argv[i].n <= SYSTEM_KEY_BYTES_MAX &&
              argv[i + 1].n <= SYSTEM_VALUE_BYTES_MAX;
    }
    return fit;
}

static void tell(struct engine *engine, struct span key, struct span value)
{
    if (engine->config.system_changed != NULL) {
        engine->config.system_changed(engine->config.system_context, key, value);
    }
}

static void change(struct engine *engine, struct span key, struct span value)
{
    if (value.n == 0) {
        (void)store_delete(engine->store, SYSTEM_DB, key);
    } else {
        (void)store_put(engine->store, SYSTEM_DB, key, value, 0);
    }
    tell(engine, key, value);
}

static void put_version(struct engine *engine, uint64_t version)
{
    uint8_t bytes[VERSION_BYTES];
    wire_store_u64(bytes, version);
    (void)store_put(engine->store, SYSTEM_DB, version_key(), span_of(bytes, sizeof bytes), 0);
    engine->system_version = version;
    tell(engine, version_key(), span_of(bytes, sizeof bytes));
}

void dispatch_system(struct call *c, const struct op *op)
{
    if (op->refs > 0 || op->argc % 2 == 0) {
        reply_error(c->reply, status_text(STATUS_BAD_MESSAGE));
        return;
    }
    struct engine *engine = c->engine;
    struct span *argv = qr_alloc(op->argc * sizeof *argv);
    op_arguments(op, argv, NULL);
    uint64_t version = engine_system_version(engine);
    if (!fits(op, argv)) {
        reply_error(c->reply, status_text(STATUS_BAD_MESSAGE));
    } else if (wire_load_u64(argv[0].p) != version) {
        reply_error(c->reply, status_text(STATUS_CONFLICT));
    } else {
        for (uint32_t i = 1; i < op->argc; i += 2) {
            change(engine, argv[i], argv[i + 1]);
        }
        put_version(engine, version + 1);
        reply_integer(c->reply, (int64_t)(version + 1));
    }
    free(argv);
}
