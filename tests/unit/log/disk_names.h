/* A directory of the disk in memory: names in order, each of an inode, and what files are made of.
 * Shared by disk.c only. */
#ifndef TESTS_UNIT_LOG_DISK_NAMES_H
#define TESTS_UNIT_LOG_DISK_NAMES_H

#include "base/alloc.h"
#include "base/panic.h"

#include <string.h>

struct inode;

struct entry {
    char name[48];
    struct inode *inode;
};

struct names {
    struct entry *v; /* by name */
    size_t n, cap;
};

static inline struct entry *names_find(struct names *names, const char *name)
{
    for (size_t i = 0; i < names->n; i++) {
        if (strcmp(names->v[i].name, name) == 0) {
            return &names->v[i];
        }
    }
    return NULL;
}

static inline void names_copy(struct names *to, const struct names *from)
{
    if (from->n > to->cap) {
        to->cap = from->n;
        to->v = qr_realloc(to->v, to->cap * sizeof(struct entry));
    }
    to->n = from->n;
    if (from->n > 0) {
        memcpy(to->v, from->v, from->n * sizeof(struct entry));
    }
}

static inline void names_put(struct names *names, const char *name, struct inode *inode)
{
    struct entry *e = names_find(names, name);
    if (e == NULL) {
        if (names->n == names->cap) {
            names->cap = names->cap == 0 ? 16 : names->cap * 2;
            names->v = qr_realloc(names->v, names->cap * sizeof(struct entry));
        }
        size_t i = names->n++;
        for (; i > 0 && strcmp(names->v[i - 1].name, name) > 0; i--) {
            names->v[i] = names->v[i - 1];
        }
        e = &names->v[i];
        strncpy(e->name, name, sizeof(e->name) - 1);
        e->name[sizeof(e->name) - 1] = 0;
    }
    e->inode = inode;
}

static inline void names_drop(struct names *names, const char *name)
{
    struct entry *e = names_find(names, name);
    qr_assert(e != NULL);
    size_t i = (size_t)(e - names->v);
    memmove(e, e + 1, (names->n - i - 1) * sizeof(*e));
    names->n--;
}

struct bytes {
    uint8_t *p;
    size_t n, cap;
};

static inline void bytes_resize(struct bytes *b, size_t n)
{
    if (n > b->cap) {
        b->cap = n * 2;
        b->p = qr_realloc(b->p, b->cap);
    }
    if (n > b->n) {
        memset(b->p + b->n, 0, n - b->n);
    }
    b->n = n;
}

static inline void bytes_put(struct bytes *b, const void *p, size_t n, uint64_t at)
{
    if (at + n > b->n) {
        bytes_resize(b, at + n);
    }
    if (n > 0) {
        memcpy(b->p + at, p, n);
    }
}

#endif
