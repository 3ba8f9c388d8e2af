/* Where the entries of each group lie, and which terms they have.
 *
 * A group's entries are a list of runs. A run is a stretch of records of one group that follow each
 * other inside one batch, at most RUN_ENTRIES_MAX of them: a slot is found by binary search among
 * the runs and a short walk over record headers. Runs and term runs are dropped from the front by
 * trim and from the back by truncation. What is between changes only when an entry of a hole is
 * fetched and its term is known (patch.c).
 *
 * Invariants: runs ascend in slot; the first run covers base_slot + 1 (it may begin before it) when
 * the group has entries; term runs ascend in slot and in term. */
#ifndef LOG_INDEX_H
#define LOG_INDEX_H

#include "base/types.h"
#include "log/record.h"
#include "protocol/protocol.h"

#define RUN_ENTRIES_MAX 64u
#define RUN_MISSING UINT64_MAX    /* offset of entries that recovery did not find */
#define RUN_HOLE (UINT64_MAX - 1) /* of entries whose bytes are damaged, and nothing else is */

struct run {
    qr_slot slot;    /* of its first record */
    uint64_t offset; /* log offset of its first record */
    uint32_t bytes;  /* may reach beyond the entries in use after a truncation */
    uint32_t count;  /* records in those bytes; of a hole: 1 when its term is certain, else 0 */
};

/* An entry of a lost run that was fetched from a peer. */
struct patch {
    qr_slot slot;
    uint64_t offset; /* log offset of the entry's record, inside a RECORD_PATCH */
    uint32_t bytes;
};

struct group {
    /* What an entry of one of many groups touches, on one cache line. */
    uint32_t id;
    uint32_t run_head, run_count, run_cap;
    struct run *runs; /* live ones: [run_head, run_head + run_count) */
    qr_slot base_slot, last_slot;
    qr_term last_term; /* of the last entry, or base_term */
    uint32_t pin;      /* place in the heap of pins, from 1; 0: it is not there */
    uint32_t term_count;
    bool damaged;

    qr_term base_term;
    struct term_run *terms;
    uint32_t term_head, term_cap;
    qr_slot *members; /* slots of the entries that state a roster, live ones only; few */
    uint32_t members_count, members_cap;
    struct patch *patches; /* ascending in slot, live ones only; few */
    uint32_t patches_count, patches_cap;
    uint8_t *state;
    uint32_t state_n, state_cap;
    struct age_marks *ages; /* retention.c */
};

_Static_assert(offsetof(struct group, base_term) == CACHE_LINE_BYTES, "one line");

/* All groups of a log: an open-addressing table by id, which tells them apart without a look at
 * them. */
struct group_place {
    struct group *group; /* NULL: none */
    uint32_t id;
};

struct groups {
    struct group_place *slots;
    uint32_t count, cap; /* cap is a power of two, at most half full */
};

struct group *groups_find(const struct groups *groups, uint32_t id);
struct group *groups_get(struct groups *groups, uint32_t id); /* makes it when it is new */
void groups_free(struct groups *groups);
void groups_forget(struct groups *groups, struct group *g); /* frees it; its id is free again */

/* The next group after *at, in table order; NULL at the end. Start with *at = 0. */
struct group *groups_next(const struct groups *groups, uint32_t *at);

/* Entry `slot`, which must follow last_slot, lies at `offset` and is `bytes` long. */
void group_append(struct group *g, qr_slot slot, qr_term term, uint64_t offset, uint32_t bytes);
/* That entry states a roster. */
void group_note_members(struct group *g, qr_slot slot);
/* Entries up to `last` ought to be there, but nothing says where. */
void group_missing(struct group *g, qr_slot last, qr_term term);
/* Entries up to `last` are damaged; they have that term or, unless `exact`, perhaps a later one. */
void group_hole(struct group *g, qr_slot last, qr_term term, bool exact);
void group_truncate(struct group *g, qr_slot from);
/* Beyond last_slot too: the group then starts empty behind `upto` (an installed snapshot). */
void group_trim(struct group *g, qr_slot upto, qr_term term);
/* Forgets all entries; the group goes on, empty, behind `slot`, wherever it stood before. */
void group_reset(struct group *g, qr_slot slot, qr_term term);
void group_set_state(struct group *g, struct span state);

qr_term group_last_term(const struct group *g);
/* A stretch of entries that are lost: slots [lo, hi] of the live run `run`. */
struct lost {
    qr_slot lo, hi;
    const struct run *run;
};
/* The first stretch of [from, upto], which may go on behind it; false when there is none. */
bool group_next_lost(const struct group *g, qr_slot from, qr_slot upto, struct lost *out);

/* Whether the entry is lost and may have that term. */
bool group_lacks(const struct group *g, qr_slot slot, qr_term term);
/* A lost entry's record lies at `offset`. Of one stretch the lower slots come first. */
void group_patch(struct group *g, const struct record *r, uint64_t offset, uint32_t bytes);
const struct patch *group_find_patch(const struct group *g, qr_slot slot); /* NULL: none */
void group_keep_patches(struct group *g, qr_slot lo, qr_slot hi);          /* those in (lo, hi] */

/* Log offset of the oldest live entry; RUN_MISSING when there is none. */
uint64_t group_first_offset(const struct group *g);

/* Index (from 0) of the live run that holds `slot`, which must be in (base_slot, last_slot]. */
uint32_t group_find_run(const struct group *g, qr_slot slot);
static inline const struct run *group_run(const struct group *g, uint32_t i)
{
    return &g->runs[g->run_head + i];
}

/* Entry `slot`, the next one in a walk over all live ones that began with group_carry_begin, lies
 * somewhere else now. */
void group_carry_begin(struct group *g);
void group_carry(struct group *g, qr_slot slot, uint64_t offset, uint32_t bytes);

/* --- Pins: the groups that have live entries, in a heap by the offset of the oldest ---------- */

/* An offset may be lower than the truth: it is looked up again when it matters. */
struct pin {
    uint64_t offset;
    struct group *group;
};

struct pins {
    struct pin *v;
    uint32_t count, cap;
};

void pins_add(struct pins *pins, struct group *g); /* which has live entries and is not there */
void pins_remove(struct pins *pins, struct group *g);
/* The group whose oldest live entry is the oldest of all; NULL when there is none. */
struct group *pins_first(struct pins *pins);
/* Sets the pin at place i (from 0) right; another may stand there then. False: none does. */
bool pins_settle(struct pins *pins, uint32_t i);
void pins_free(struct pins *pins);

static inline bool run_is_lost(const struct run *run)
{
    return run->offset >= RUN_HOLE;
}

#endif
