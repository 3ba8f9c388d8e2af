/* The floor's log file and its table, which the leader and the followers have alike. */
#ifndef BENCH_FLOOR_H
#define BENCH_FLOOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define KEY_BYTES 16
#define ITEM_BYTES 128 /* key, value and, in the last byte, the value's length */
#define VALUE_MAX (ITEM_BYTES - KEY_BYTES - 1)

_Noreturn void die(const char *what);

/* A file that was written with zeros before its first use, and begins anew at its end. */
struct file {
    int fd;
    off_t at, bytes;
};

struct file log_open(const char *directory, int number, off_t bytes);
void log_write(struct file *log, const char *p, size_t n);
void log_sync(const struct file *log);

struct table {
    uint64_t *slots; /* upper half of the hash, number of the item; 0: empty */
    char *items;
    uint32_t count;
};

struct table table_new(void);
/* The item of a key, a new one if it may be inserted, or NULL. */
char *table_find(struct table *t, const char *key, bool insert);
/* Carries out the SETs of a batch's body. */
void table_apply(struct table *t, const char *p, size_t n);

#endif
