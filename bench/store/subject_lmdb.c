/* LMDB as a cache would run it: a writable map, nothing synced, one transaction a batch. */
#include "bench/store/subject.h"

#include "base/alloc.h"
#include "base/limits.h"

#include <lmdb.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define READS_OF_A_TRANSACTION 64u

struct lmdb {
    MDB_env *env;
    MDB_dbi db;
    MDB_txn *read;
    uint32_t reads;
    char dir[512];
};

static volatile char sink;

static void check(int error)
{
    qr_assert(error == 0);
}

static MDB_val val_of(struct span s)
{
    return (MDB_val){ .mv_size = s.n, .mv_data = (void *)(uintptr_t)s.p };
}

static void delete_files(const char *dir)
{
    static const char *const names[] = { "data.mdb", "lock.mdb" };
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        char path[600];
        (void)snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(dir);
}

static void *open_lmdb(const char *dir)
{
    struct lmdb *l = qr_zalloc(sizeof *l);
    (void)snprintf(l->dir, sizeof l->dir, "%s", dir);
    delete_files(l->dir);
    unsigned flags = MDB_WRITEMAP | MDB_NOSYNC | MDB_NOMETASYNC | MDB_NORDAHEAD;
    MDB_txn *txn = NULL;
    check(mdb_env_create(&l->env));
    check(mdb_env_set_mapsize(l->env, 16 * GIB));
    if (mkdir(l->dir, 0755) != 0 || mdb_env_open(l->env, l->dir, flags, 0644) != 0) {
        mdb_env_close(l->env);
        free(l);
        return NULL;
    }
    check(mdb_txn_begin(l->env, NULL, 0, &txn));
    check(mdb_dbi_open(txn, NULL, 0, &l->db));
    check(mdb_txn_commit(txn));
    return l;
}

static void end_reading(struct lmdb *l)
{
    if (l->read != NULL) {
        mdb_txn_abort(l->read);
        l->read = NULL;
    }
}

static void begin_reading(struct lmdb *l)
{
    if (l->read == NULL) {
        check(mdb_txn_begin(l->env, NULL, MDB_RDONLY, &l->read));
    } else if (++l->reads % READS_OF_A_TRANSACTION == 0) {
        mdb_txn_reset(l->read);
        check(mdb_txn_renew(l->read));
    }
}

static void put_lmdb(void *state, const struct span *keys, const struct span *values, uint32_t n)
{
    struct lmdb *l = state;
    MDB_txn *txn = NULL;
    end_reading(l);
    check(mdb_txn_begin(l->env, NULL, 0, &txn));
    for (uint32_t i = 0; i < n; i++) {
        MDB_val key = val_of(keys[i]), value = val_of(values[i]);
        check(mdb_put(txn, l->db, &key, &value, 0));
    }
    check(mdb_txn_commit(txn));
}

static bool get_lmdb(void *state, struct span s)
{
    struct lmdb *l = state;
    MDB_val key = val_of(s), value;
    begin_reading(l);
    if (mdb_get(l->read, l->db, &key, &value) != 0) {
        return false;
    }
    sink = *(char *)value.mv_data;
    return true;
}

static uint64_t scan_lmdb(void *state)
{
    struct lmdb *l = state;
    MDB_cursor *cursor = NULL;
    MDB_val key, value;
    uint64_t n = 0;
    begin_reading(l);
    check(mdb_cursor_open(l->read, l->db, &cursor));
    while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0) {
        sink = *(char *)value.mv_data;
        n++;
    }
    mdb_cursor_close(cursor);
    return n;
}

static void close_lmdb(void *state)
{
    struct lmdb *l = state;
    end_reading(l);
    mdb_env_close(l->env);
    delete_files(l->dir);
    free(l);
}

const struct subject subject_lmdb = {
    "lmdb", open_lmdb, put_lmdb, get_lmdb, scan_lmdb, close_lmdb
};
