/* What --check knows about each key, so that a read which is too old shows.
 *
 * Writes get sequence numbers in the order in which they begin. Writes of a key whose times overlap
 * form a chain; when a write begins while no other is under way, everything before it has ended. Of
 * the last chain that holds an acknowledged write the ledger keeps the first number, the floor:
 * every write below it had ended before that acknowledged one began, so a read that begins now must
 * not see any of them. A write of unknown fate counts as under way for ever, and with it its chain:
 * the floor of such a key rises no more. What this misses, the history checker finds. */
#ifndef BENCH_LEDGER_H
#define BENCH_LEDGER_H

#include "bench/value.h"

struct ledger_key {
    uint64_t floor; /* 0: nothing was acknowledged yet */
    uint64_t chain; /* the first number of the chain under way, or of the last one */
    uint64_t under_way;
};

struct ledger {
    struct ledger_key *keys;
    uint64_t count;
    uint64_t next; /* the next sequence number, from 1 */
};

void ledger_init(struct ledger *ledger, uint64_t keys);
void ledger_free(struct ledger *ledger);

void ledger_write_begins(struct ledger *ledger, uint64_t key, uint64_t sequence);
void ledger_write_done(struct ledger *ledger, uint64_t key);
/* It surely did not happen. For one whose fate is unknown nothing is called. */
void ledger_write_void(struct ledger *ledger, uint64_t key);
/* To be asked when a read begins. */
uint64_t ledger_floor(const struct ledger *ledger, uint64_t key);

enum value_fault {
    VALUE_RIGHT = 0,
    VALUE_DAMAGED, /* not as it was written */
    VALUE_FOREIGN, /* written to another key */
    VALUE_STALE,   /* overwritten before the read began */
    VALUE_MISSING, /* nothing, although a write was acknowledged before the read began */
    VALUE_UNSENT   /* a sequence number that was never given out */
};

/* Judges what a read of `key`, for which `floor` held when it began, has found; reader is NULL when
 * it has found nothing. Values of other runs are right until a write of this run is acknowledged.
 */
enum value_fault ledger_judge(const struct ledger *ledger, const struct value_form *form,
                              uint64_t key, uint64_t floor, const struct value_reader *reader);

/* What is wrong, as a sentence's end: "the value of another key". */
const char *value_fault_text(enum value_fault fault);

#endif
