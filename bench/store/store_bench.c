/* The memory store against its bounds, and beside LMDB and RocksDB where they are installed.
 *
 *   store_bench [--keys 1000000] [--passes 3] [--dir DIR] [--only NAME]
 *
 * 16-byte keys, 100-byte values, uniformly random over the keys; making key and value is inside
 * (about 40 ns). Times are CPU time of all threads. The bounds are held against the best pass, and
 * the worst operation of a pass likewise: what the code does happens in each of them, what other
 * programs do to caches and memory only in some; the median is shown beside. Exit code 0: every
 * bound is reached. */
#include "bench/store/subject.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "base/rng.h"
#include "engine/engine.h"
#include "store/store.h"

#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define KEY_BYTES 16u
#define VALUE_BYTES 100u
#define PASSES_MAX 16u
#define HOT_KEYS 10000u

struct options {
    uint64_t keys;
    uint32_t passes;
    const char *dir, *only;
};

static double clock_us(clockid_t clock)
{
    struct timespec t;
    (void)clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static double cpu_us(void)
{
    return clock_us(CLOCK_PROCESS_CPUTIME_ID);
}

/* --- Keys and values ------------------------------------------------------------------------- */

static uint8_t text[4096];

static void make_key(uint8_t *p, uint64_t n)
{
    memcpy(p, "key:", 4);
    for (int i = 15; i >= 4; i--) {
        p[i] = (uint8_t)('0' + n % 10);
        n /= 10;
    }
}

static struct span some_value(struct rng *rng)
{
    return span_of(text + rng_below(rng, sizeof text - VALUE_BYTES), VALUE_BYTES);
}

static void put_some(const struct subject *subject, void *state, struct rng *rng, uint64_t keys,
                     uint64_t count, uint32_t batch)
{
    static uint8_t bytes[PUT_BATCH_MAX][KEY_BYTES];
    static struct span key[PUT_BATCH_MAX], value[PUT_BATCH_MAX];
    for (uint64_t done = 0; done < count; done += batch) {
        for (uint32_t i = 0; i < batch; i++) {
            make_key(bytes[i], rng_below(rng, keys));
            key[i] = span_of(bytes[i], KEY_BYTES);
            value[i] = some_value(rng);
        }
        subject->put(state, key, value, batch);
    }
}

static void fill(const struct subject *subject, void *state, uint64_t keys)
{
    struct rng rng = rng_from(1);
    for (uint64_t i = 0; i < keys; i++) {
        uint8_t bytes[KEY_BYTES];
        make_key(bytes, i);
        struct span key = span_of(bytes, KEY_BYTES), value = some_value(&rng);
        subject->put(state, &key, &value, 1);
    }
}

static void get_some(const struct subject *subject, void *state, uint64_t keys, uint64_t count)
{
    struct rng rng = rng_from(count);
    for (uint64_t i = 0; i < count; i++) {
        uint8_t key[KEY_BYTES];
        make_key(key, rng_below(&rng, keys));
        bool found = subject->get(state, span_of(key, KEY_BYTES));
        qr_assert(found);
    }
}

/* --- What is measured ------------------------------------------------------------------------ */

enum measure { PUT_1, PUT_16, PUT_256, PUT_1024, OVERWRITE, GET_HOT, GET_ALL, SCAN, MEASURES };

static const struct {
    const char *name;
    double bound; /* of the store; 0 = none */
} measures[MEASURES] = {
    [PUT_1] = { "put, batch 1, from empty", 0.45 },
    [PUT_16] = { "put, batch 16, from empty", 0.45 },
    [PUT_256] = { "put, batch 256, from empty", 0.45 },
    [PUT_1024] = { "put, batch 1024, from empty", 0.45 },
    [OVERWRITE] = { "put, batch 1, all keys there", 0.45 },
    [GET_HOT] = { "get, hot 10 k", 0 },
    [GET_ALL] = { "get, all keys", 0.45 },
    [SCAN] = { "full scan, per key", 0 },
};

static void measure_puts(const struct subject *subject, const struct options *o, double *out)
{
    static const uint32_t batches[] = { 1, 16, 256, 1024 };
    for (uint32_t i = 0; i < ARRAY_COUNT(batches); i++) {
        void *state = subject->open(o->dir);
        struct rng rng = rng_from(i);
        double began = cpu_us();
        put_some(subject, state, &rng, o->keys, o->keys * 2, batches[i]);
        out[PUT_1 + i] = (cpu_us() - began) / (double)(o->keys * 2);
        subject->close(state);
    }
}

static bool measure(const struct subject *subject, const struct options *o, double *out)
{
    void *state = subject->open(o->dir);
    if (state == NULL) {
        return false;
    }
    struct rng rng = rng_from(7);
    fill(subject, state, o->keys);
    double began = cpu_us();
    put_some(subject, state, &rng, o->keys, o->keys, 1);
    out[OVERWRITE] = (cpu_us() - began) / (double)o->keys;
    uint64_t gets = o->keys * 2;
    get_some(subject, state, HOT_KEYS, HOT_KEYS * 10);
    began = cpu_us();
    get_some(subject, state, HOT_KEYS, gets);
    out[GET_HOT] = (cpu_us() - began) / (double)gets;
    began = cpu_us();
    get_some(subject, state, o->keys, gets);
    out[GET_ALL] = (cpu_us() - began) / (double)gets;
    began = cpu_us();
    uint64_t n = subject->scan(state);
    out[SCAN] = (cpu_us() - began) / (double)n;
    qr_assert(n == o->keys);
    subject->close(state);
    measure_puts(subject, o, out);
    return true;
}

/* --- Of the store alone: growing, memory, images --------------------------------------------- */

/* The longest of the operations that take an empty store to four times the keys, in ms. A thread's
 * own clock: being scheduled away does not count, page faults do. */
static double worst_of_growing(const struct options *o)
{
    struct store *store = store_new(&(struct store_config){ .hash_key = "bench" });
    struct rng rng = rng_from(3);
    double worst = 0;
    double began = clock_us(CLOCK_THREAD_CPUTIME_ID);
    for (uint64_t i = 0; i < 4 * o->keys; i++) {
        uint8_t key[KEY_BYTES];
        make_key(key, i);
        store_put(store, 0, span_of(key, KEY_BYTES), some_value(&rng), 0);
        double now = clock_us(CLOCK_THREAD_CPUTIME_ID);
        worst = now - began > worst ? now - began : worst;
        began = now;
    }
    store_free(store);
    return worst / 1e3;
}

/* Resident bytes of this process that are no file's. */
static double resident(void)
{
    char line[256];
    double kib = 0;
    FILE *file = fopen("/proc/self/status", "r");
    qr_assert(file != NULL);
    while (fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "RssAnon: %lf", &kib) == 1) {
            break;
        }
    }
    (void)fclose(file);
    return kib * 1024;
}

struct image {
    uint8_t *p;
    size_t n, cap;
    size_t ends[1 << 16]; /* of the chunks */
    uint32_t count;
};

static void keep_chunk(void *context, struct span chunk)
{
    struct image *image = context;
    qr_assert(image->n + chunk.n <= image->cap && image->count < ARRAY_COUNT(image->ends));
    memcpy(image->p + image->n, chunk.p, chunk.n);
    image->n += chunk.n;
    image->ends[image->count++] = image->n;
}

struct own {
    double accounted, resident; /* bytes of a pair */
    double written, loaded;     /* GB/s, million keys/s */
};

static struct engine *new_engine(void)
{
    return engine_new(&(struct engine_config){ .hash_key = "bench", .value_bytes_max = MIB });
}

static void measure_image(struct engine *engine, const struct options *o, struct own *own)
{
    struct image *image = qr_zalloc(sizeof *image);
    image->cap = o->keys * 200 + MIB;
    image->p = qr_alloc(image->cap);
    memset(image->p, 1, image->cap);
    double began = cpu_us();
    engine_image_begin(engine, keep_chunk, image);
    while (engine_image_next(engine, 64)) {
    }
    own->written = (double)image->n / (cpu_us() - began) / 1e3;
    struct engine *copy = new_engine();
    began = cpu_us();
    size_t at = 0;
    engine_image_expect(copy, image->n);
    for (uint32_t i = 0; i < image->count; at = image->ends[i], i++) {
        bool good = engine_image_load(copy, span_of(image->p + at, image->ends[i] - at));
        qr_assert(good);
    }
    own->loaded = (double)o->keys / (cpu_us() - began);
    qr_assert(engine_image_complete(copy) && engine_digest(copy) == engine_digest(engine));
    engine_free(copy);
    free(image->p);
    free(image);
}

static struct own measure_own(const struct options *o)
{
    struct own own = { 0 };
    (void)malloc_trim(0);
    double before = resident();
    struct engine *engine = new_engine();
    struct store *store = engine_store(engine);
    uint64_t accounted = store_memory(store);
    struct rng rng = rng_from(1);
    for (uint64_t i = 0; i < o->keys; i++) {
        uint8_t key[KEY_BYTES];
        make_key(key, i);
        store_put(store, 0, span_of(key, KEY_BYTES), some_value(&rng), 0);
    }
    own.resident = (resident() - before) / (double)o->keys;
    own.accounted = (double)(store_memory(store) - accounted) / (double)o->keys;
    measure_image(engine, o, &own);
    engine_free(engine);
    return own;
}

/* --- The report ------------------------------------------------------------------------------ */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Best and median of the passes; less is better, unless `more`. */
struct spread {
    double best, median;
};

static struct spread spread_of(double *values, uint32_t n, bool more)
{
    qsort(values, n, sizeof *values, compare);
    return (struct spread){ .best = values[more ? n - 1 : 0], .median = values[n / 2] };
}

static const char *verdict(bool reached, bool *all)
{
    *all = *all && reached;
    return reached ? "reached" : "NOT reached";
}

static bool report_subject(const struct subject *subject, const struct options *o)
{
    double runs[MEASURES][PASSES_MAX];
    for (uint32_t pass = 0; pass < o->passes; pass++) {
        double out[MEASURES];
        if (!measure(subject, o, out)) {
            printf("%-9s cannot be opened: left out\n", subject->name);
            return true;
        }
        for (uint32_t m = 0; m < MEASURES; m++) {
            runs[m][pass] = out[m];
        }
    }
    bool all = true;
    for (uint32_t m = 0; m < MEASURES; m++) {
        struct spread spread = spread_of(runs[m], o->passes, false);
        bool bound = subject == &subject_store && measures[m].bound > 0;
        printf("%-9s %-30s %9.3f %9.3f us", subject->name, measures[m].name, spread.best,
               spread.median);
        if (bound) {
            bool reached = spread.best <= measures[m].bound;
            printf("  (<= %g) %s", measures[m].bound, verdict(reached, &all));
        }
        printf("\n");
        (void)fflush(stdout);
    }
    return all;
}

/* A figure of the store alone; `most` or `least` is its bound. */
struct row {
    const char *name, *unit;
    double most, least;
    double runs[PASSES_MAX];
};

static void report_row(struct row *row, uint32_t passes, bool *all)
{
    struct spread spread = spread_of(row->runs, passes, row->most == 0);
    printf("%-9s %-30s %9.3f %9.3f %s", "store", row->name, spread.best, spread.median, row->unit);
    if (row->most > 0) {
        printf("  (<= %g) %s", row->most, verdict(spread.best <= row->most, all));
    } else if (row->least > 0) {
        printf("  (>= %g) %s", row->least, verdict(spread.best >= row->least, all));
    }
    printf("\n");
    (void)fflush(stdout);
}

static bool report_own(const struct options *o)
{
    struct row rows[] = {
        { .name = "worst put while growing to 4x", .unit = "ms", .most = 1 },
        { .name = "memory of a pair, accounted", .unit = "bytes", .most = 162 },
        { .name = "memory of a pair, resident", .unit = "bytes", .most = 162 },
        { .name = "image, written to memory", .unit = "GB/s", .least = 0.3 },
        { .name = "image, loaded from memory", .unit = "million keys/s" },
    };
    bool all = true;
    for (uint32_t pass = 0; pass < o->passes; pass++) {
        struct own own = measure_own(o);
        rows[0].runs[pass] = worst_of_growing(o);
        rows[1].runs[pass] = own.accounted;
        rows[2].runs[pass] = own.resident;
        rows[3].runs[pass] = own.written;
        rows[4].runs[pass] = own.loaded;
    }
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        report_row(&rows[i], o->passes, &all);
    }
    return all;
}

static bool wanted(const struct options *o, const char *name)
{
    return o->only == NULL || strcmp(o->only, name) == 0;
}

static bool report(const struct options *o)
{
    static const struct subject *const subjects[] = {
        &subject_store,
        &subject_engine,
#ifdef WITH_LMDB
        &subject_lmdb,
#endif
#ifdef WITH_ROCKSDB
        &subject_rocksdb,
#endif
    };
    bool all = true;
    printf("%llu keys, %u passes; CPU time of an operation: best, median\n",
           (unsigned long long)o->keys, o->passes);
    for (size_t i = 0; i < ARRAY_COUNT(subjects); i++) {
        if (wanted(o, subjects[i]->name)) {
            all = report_subject(subjects[i], o) && all;
        }
    }
#ifndef WITH_LMDB
    printf("lmdb      left out: built without liblmdb-dev\n");
#endif
#ifndef WITH_ROCKSDB
    printf("rocksdb   left out: built without librocksdb-dev\n");
#endif
    if (wanted(o, "own")) {
        all = report_own(o) && all;
    }
    return all;
}

static bool read_options(int argc, char **argv, struct options *o)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *name = argv[i], *value = argv[i + 1];
        if (strcmp(name, "--keys") == 0) {
            o->keys = strtoull(value, NULL, 10);
        } else if (strcmp(name, "--passes") == 0) {
            o->passes = (uint32_t)strtoul(value, NULL, 10);
        } else if (strcmp(name, "--dir") == 0) {
            o->dir = value;
        } else if (strcmp(name, "--only") == 0) {
            o->only = value;
        } else {
            return false;
        }
    }
    return argc % 2 == 1 && o->keys >= HOT_KEYS && o->keys <= 10000000 && o->passes > 0 &&
           o->passes <= PASSES_MAX;
}

int main(int argc, char **argv)
{
    struct options o = { .keys = 1000000, .passes = 3, .dir = "store-bench.data" };
    if (!read_options(argc, argv, &o)) {
        (void)fprintf(stderr, "usage: store_bench [--keys N] [--passes N] [--dir DIR] "
                              "[--only store|engine|lmdb|rocksdb|own]\n");
        return 2;
    }
    struct rng rng = rng_from(42);
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = (uint8_t)(32 + rng_below(&rng, 95));
    }
    return report(&o) ? 0 : 1;
}
