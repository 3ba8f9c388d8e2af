/* What is measured: a table of keys and values behind five functions. */
#ifndef BENCH_SUBJECT_H
#define BENCH_SUBJECT_H

#include "base/types.h"

#define PUT_BATCH_MAX 1024u

struct subject {
    const char *name;
    void *(*open)(const char *dir); /* empty; NULL when it cannot be had */
    void (*put)(void *state, const struct span *keys, const struct span *values, uint32_t n);
    bool (*get)(void *state, struct span key); /* touches the value */
    uint64_t (*scan)(void *state);             /* touches every value, returns how many */
    void (*close)(void *state);
};

extern const struct subject subject_store;   /* src/store alone */
extern const struct subject subject_engine;  /* SET and GET as operations, src/engine */
extern const struct subject subject_lmdb;    /* WRITEMAP and NOSYNC; built when it is installed */
extern const struct subject subject_rocksdb; /* without log and compression; likewise */

#endif
