/* Our own store, and the engine above it. */
#include "bench/store/subject.h"

#include "base/alloc.h"
#include "command/command.h"
#include "engine/engine.h"
#include "store/store.h"

#include <string.h>

static volatile uint8_t sink; /* keeps the compiler from leaving a read out */

/* --- The store ------------------------------------------------------------------------------- */

static void *open_store(const char *dir)
{
    (void)dir;
    return store_new(&(struct store_config){ .hash_key = "bench" });
}

static void put_store(void *state, const struct span *keys, const struct span *values, uint32_t n)
{
    struct store_key ahead[STORE_PREFETCH_MAX];
    for (uint32_t i = 0; i < n; i++) {
        if (i % STORE_PREFETCH_MAX == 0 && n > 1) {
            uint32_t count = (uint32_t)min_u64(n - i, STORE_PREFETCH_MAX);
            for (uint32_t j = 0; j < count; j++) {
                ahead[j] = (struct store_key){ .key = keys[i + j] };
            }
            store_prefetch(state, ahead, count);
        }
        store_put(state, 0, keys[i], values[i], 0);
    }
}

static bool get_store(void *state, struct span key)
{
    const struct item *item = store_find(state, 0, key);
    if (item != NULL) {
        sink = item_value(item).p[0];
    }
    return item != NULL;
}

static void touch(void *context, struct item *item)
{
    uint64_t *count = context;
    sink = item_value(item).p[0];
    ++*count;
}

static uint64_t scan_store(void *state)
{
    uint64_t count = 0;
    (void)store_scan(state, 0, 0, UINT64_MAX, touch, &count);
    return count;
}

static void close_store(void *state)
{
    store_free(state);
}

const struct subject subject_store = { "store",   open_store, put_store,
                                       get_store, scan_store, close_store };

/* --- The engine ------------------------------------------------------------------------------ */

struct bench_engine {
    struct engine *engine;
    struct reply reply;
    uint16_t set, get;
    uint8_t op[256];
};

static uint16_t tag_of(const char *name)
{
    const struct command_spec *spec = command_by_name(span_of(name, strlen(name)));
    qr_assert(spec != NULL);
    return spec->tag;
}

static void *open_engine(const char *dir)
{
    (void)dir;
    struct bench_engine *b = qr_zalloc(sizeof *b);
    b->engine = engine_new(
        &(struct engine_config){ .hash_key = "bench", .value_bytes_max = (uint64_t)1 << 20 });
    b->set = tag_of("SET");
    b->get = tag_of("GET");
    reply_init(&b->reply, 2);
    return b;
}

/* An operation as the log would hold it, and read as it is read from there. */
static struct op operation(struct bench_engine *b, uint16_t tag, const struct span *argv,
                           uint32_t argc)
{
    struct op head = { .stamp = 1, .level = SEMANTICS_LEVEL, .tag = tag };
    struct op op;
    size_t n = op_bytes(argv, argc);
    qr_assert(n <= sizeof b->op);
    op_write(b->op, &head, argv, argc);
    bool valid = op_read(span_of(b->op, n), &op);
    qr_assert(valid);
    reply_reset(&b->reply);
    return op;
}

static void put_engine(void *state, const struct span *keys, const struct span *values, uint32_t n)
{
    struct bench_engine *b = state;
    for (uint32_t i = 0; i < n; i++) {
        struct span argv[2] = { keys[i], values[i] };
        struct op op = operation(b, b->set, argv, 2);
        engine_apply(b->engine, &op, &b->reply);
    }
}

static bool get_engine(void *state, struct span key)
{
    struct bench_engine *b = state;
    struct op op = operation(b, b->get, &key, 1);
    (void)engine_read(b->engine, &op, &b->reply);
    return b->reply.n > 5; /* not nil */
}

static uint64_t scan_engine(void *state)
{
    struct bench_engine *b = state;
    return scan_store(engine_store(b->engine));
}

static void close_engine(void *state)
{
    struct bench_engine *b = state;
    engine_free(b->engine);
    reply_free(&b->reply);
    free(b);
}

const struct subject subject_engine = { "engine",   open_engine, put_engine,
                                        get_engine, scan_engine, close_engine };
