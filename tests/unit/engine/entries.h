/* A random log of one partition: every command that writes, most of which succeed, some with ids
 * and sent again, and ticks, under clocks of leaders that differ. */
#ifndef TESTS_UNIT_ENGINE_ENTRIES_H
#define TESTS_UNIT_ENGINE_ENTRIES_H

#include "base/rng.h"
#include "base/types.h"

#define ENTRIES 12000
#define ENTRY_ARGUMENTS_MAX 5

/* An encoded op, or without bytes a tick. */
struct entry {
    uint8_t *bytes;
    size_t n;
    qr_wall stamp;
};

struct entries {
    struct entry v[ENTRIES];
    struct rng rng;
    qr_wall clock;
    char words[ENTRY_ARGUMENTS_MAX + 2][48];
    const struct entry *retry; /* the last with an id */
    uint64_t ids;
};

struct entries *entries_new(uint64_t seed);
void entries_free(struct entries *log);

#endif
