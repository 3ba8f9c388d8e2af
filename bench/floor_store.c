/* The floor's log file and its table. */
#include "floor.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define TABLE_SLOTS (1u << 21)
#define ITEMS_BYTES ((size_t)1 << 30)

_Noreturn void die(const char *what)
{
    perror(what);
    exit(1);
}

/* --- The log --------------------------------------------------------------------------------- */

struct file log_open(const char *directory, int number, off_t bytes)
{
    char path[512];
    char *zeros = calloc(1, 1 << 20);
    snprintf(path, sizeof path, "%s/floor-%d.log", directory, number);
    struct file log = { .fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644), .bytes = bytes };
    for (off_t n = 0; n < bytes; n += 1 << 20) {
        if (write(log.fd, zeros, 1 << 20) < 0) {
            die(path);
        }
    }
    free(zeros);
    if (fsync(log.fd) != 0) {
        die(path);
    }
    return log;
}

void log_write(struct file *log, const char *p, size_t n)
{
    if (log->at + (off_t)n > log->bytes) {
        log->at = 0;
    }
    if (pwrite(log->fd, p, n, log->at) != (ssize_t)n) {
        die("log");
    }
    log->at += (off_t)n;
}

void log_sync(const struct file *log)
{
    if (fdatasync(log->fd) != 0) {
        die("log");
    }
}

/* --- The table ------------------------------------------------------------------------------- */

struct table table_new(void)
{
    struct table t = { .slots = calloc(TABLE_SLOTS, sizeof(uint64_t)) };
    t.items = mmap(NULL, ITEMS_BYTES, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return t;
}

char *table_find(struct table *t, const char *key, bool insert)
{
    uint64_t a;
    uint64_t b;
    memcpy(&a, key, 8);
    memcpy(&b, key + 8, 8);
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)(a ^ 0x9e3779b97f4a7c15u) * (b ^ 0xd6e8feb86659fd93u);
    uint64_t hash = (uint64_t)product ^ (uint64_t)(product >> 64);
    for (uint64_t i = hash % TABLE_SLOTS;; i = (i + 1) % TABLE_SLOTS) {
        uint64_t slot = t->slots[i];
        char *item = t->items + (size_t)(uint32_t)slot * ITEM_BYTES;
        if (slot == 0 && !insert) {
            return NULL;
        }
        if (slot == 0) {
            t->slots[i] = (hash >> 32 << 32) | ++t->count;
            item = t->items + (size_t)t->count * ITEM_BYTES;
            memcpy(item, key, KEY_BYTES);
            return item;
        }
        if (slot >> 32 == hash >> 32 && memcmp(item, key, KEY_BYTES) == 0) {
            return item;
        }
    }
}

void table_apply(struct table *t, const char *p, size_t n)
{
    const char *end = p + n;
    while (p < end) {
        uint8_t length = (uint8_t)p[KEY_BYTES];
        char *item = table_find(t, p, true);
        memcpy(item + KEY_BYTES, p + KEY_BYTES + 1, length);
        item[ITEM_BYTES - 1] = (char)length;
        p += KEY_BYTES + 1 + length;
    }
}
