/* A discard journal on a disk in memory, for the tests of src/node/discards.h. */
#ifndef TESTS_UNIT_NODE_DISCARDS_WORLD_H
#define TESTS_UNIT_NODE_DISCARDS_WORLD_H

#include "../log/disk.h"
#include "base/limits.h"
#include "node/discards.h"

#define WORLD_BYTES_MAX (128 * KIB) /* eight segments of 16 KiB */
#define WORLD_ITEMS_MAX 4096u

struct item {
    struct discard entry; /* its payload is a copy */
    bool regained;
    uint64_t unread;
};

struct world {
    struct io *disk;
    struct discards *d;
    struct discards_found found;
    char message[300];
    struct discards_owner owner;
    bool woken, ended;
    enum discards_result result;
    int error;

    struct item *items; /* what the last look found */
    size_t count;
    struct discards_stats stats;
};

void world_init(struct world *w);
void world_free(struct world *w);

/* False with a message: it is refused. */
bool world_open(struct world *w);
void world_close(struct world *w);
/* The process ends, and another one opens what is there. */
void world_restart(struct world *w);
void world_power_loss(struct world *w, struct rng *rng);

/* An entry of group 7, rolled back; its payload is a text that tells slot and term. Borrowed until
 * the next call. */
struct discard world_entry(qr_slot slot, qr_term term);
/* Adds it, as long as the disk takes. */
void world_add(struct world *w, const struct discard *entry);
/* Begins; all of [lo, hi] of that term; ends. */
enum discards_result world_put(struct world *w, qr_slot lo, qr_slot hi, qr_term term);
void world_begin(struct world *w);
enum discards_result world_end(struct world *w);
enum discards_result world_regain(struct world *w, qr_slot lo, qr_slot hi, qr_term term);
enum discards_result world_again(struct world *w, qr_term since);

/* Reads all of it, so many at a time, into items and stats; checks J2, that numbers ascend, and
 * that entries of world_entry are what was given. */
void world_look(struct world *w, uint32_t count);
/* How often the last look found it, regained or not. */
uint32_t world_shown(const struct world *w, qr_slot slot, qr_term term, bool regained);

#endif
