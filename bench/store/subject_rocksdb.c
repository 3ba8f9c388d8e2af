/* RocksDB without its log and without compression: the log would be ours. */
#include "bench/store/subject.h"

#include "base/alloc.h"
#include "base/limits.h"

#include <rocksdb/c.h>
#include <stdio.h>

struct rocks {
    rocksdb_t *db;
    rocksdb_options_t *options;
    rocksdb_writeoptions_t *write;
    rocksdb_readoptions_t *read;
    rocksdb_writebatch_t *batch;
    char dir[512];
};

static volatile char sink;

static void check(const char *error)
{
    if (error != NULL) {
        (void)fprintf(stderr, "rocksdb: %s\n", error);
    }
    qr_assert(error == NULL);
}

static rocksdb_options_t *options(void)
{
    rocksdb_options_t *o = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(o, 1);
    rocksdb_options_set_write_buffer_size(o, 64 * MIB);
    rocksdb_options_set_max_write_buffer_number(o, 4);
    rocksdb_options_increase_parallelism(o, 2);
    rocksdb_options_set_compression(o, rocksdb_no_compression);
    rocksdb_block_based_table_options_t *t = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_block_cache(t, rocksdb_cache_create_lru(256 * MIB));
    rocksdb_block_based_options_set_filter_policy(t, rocksdb_filterpolicy_create_bloom_full(10));
    rocksdb_options_set_block_based_table_factory(o, t);
    rocksdb_block_based_options_destroy(t);
    return o;
}

static void destroy(struct rocks *r)
{
    char *error = NULL;
    rocksdb_destroy_db(r->options, r->dir, &error);
    rocksdb_free(error);
}

static void *open_rocks(const char *dir)
{
    struct rocks *r = qr_zalloc(sizeof *r);
    char *error = NULL;
    (void)snprintf(r->dir, sizeof r->dir, "%s", dir);
    r->options = options();
    destroy(r);
    r->db = rocksdb_open(r->options, r->dir, &error);
    if (error != NULL) {
        rocksdb_free(error);
        rocksdb_options_destroy(r->options);
        free(r);
        return NULL;
    }
    r->write = rocksdb_writeoptions_create();
    rocksdb_writeoptions_disable_WAL(r->write, 1);
    r->read = rocksdb_readoptions_create();
    r->batch = rocksdb_writebatch_create();
    return r;
}

static void put_rocks(void *state, const struct span *keys, const struct span *values, uint32_t n)
{
    struct rocks *r = state;
    char *error = NULL;
    for (uint32_t i = 0; i < n; i++) {
        rocksdb_writebatch_put(r->batch, (const char *)keys[i].p, keys[i].n,
                               (const char *)values[i].p, values[i].n);
    }
    rocksdb_write(r->db, r->write, r->batch, &error);
    check(error);
    rocksdb_writebatch_clear(r->batch);
}

static bool get_rocks(void *state, struct span key)
{
    struct rocks *r = state;
    char *error = NULL;
    size_t n = 0;
    rocksdb_pinnableslice_t *slice =
        rocksdb_get_pinned(r->db, r->read, (const char *)key.p, key.n, &error);
    check(error);
    if (slice == NULL) {
        return false;
    }
    sink = *rocksdb_pinnableslice_value(slice, &n);
    rocksdb_pinnableslice_destroy(slice);
    return true;
}

static uint64_t scan_rocks(void *state)
{
    struct rocks *r = state;
    uint64_t count = 0;
    rocksdb_iterator_t *at = rocksdb_create_iterator(r->db, r->read);
    for (rocksdb_iter_seek_to_first(at); rocksdb_iter_valid(at); rocksdb_iter_next(at)) {
        size_t n = 0;
        sink = *rocksdb_iter_value(at, &n);
        count++;
    }
    rocksdb_iter_destroy(at);
    return count;
}

static void close_rocks(void *state)
{
    struct rocks *r = state;
    rocksdb_close(r->db);
    destroy(r);
    rocksdb_writebatch_destroy(r->batch);
    rocksdb_readoptions_destroy(r->read);
    rocksdb_writeoptions_destroy(r->write);
    rocksdb_options_destroy(r->options);
    free(r);
}

const struct subject subject_rocksdb = { "rocksdb", open_rocks, put_rocks,
                                         get_rocks, scan_rocks, close_rocks };
