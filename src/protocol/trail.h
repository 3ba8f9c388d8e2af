/* The trail: the term of every log entry that the protocol still knows, as a list of runs.
 *
 * Raft asks of its log only which term stands at which slot (R6: values stay outside). Terms never
 * fall along a log, so that (first slot, term) per run says it all:
 *
 *      slot   base=10 | 11 12 13 | 14 | 15 16
 *      term    2      |  3  3  3 |  5 |  6  6        runs: (11,3) (14,5) (15,6)   last=16
 *
 * T1 runs ascend strictly in slot and in term, and the first one begins at base_slot + 1.
 * T2 last_slot >= base_slot; there is a run exactly when last_slot > base_slot.
 * T3 The trail is bounded. When a new run finds it full, the oldest run is forgotten: the base
 *    moves up to the run's last slot, as if it had been trimmed. Only committed entries may be
 *    forgotten. A follower that is behind the base then needs a snapshot, although the log itself
 *    may still hold what it lacks: a checkpoint that reaches the base is brought to it
 *    (snapshot.c). Whoever adds a run asks trail_has_room first. With as many terms as that of
 *    which nothing is committed, a node does not campaign; one whose log is shorter may. So that
 *    it hardly comes to that, elections become slow long before (elect.c: E6).
 * T4 Everything below the base is committed, also after a restart: loading the runs of the log
 *    forgets the oldest ones again, and never more of them than were forgotten before the crash,
 *    because the log that survives has at most the runs of the log before. (So TRAIL_RUNS may grow
 *    between versions, but not shrink.)
 * T5 last_slot - base_slot and last term - base_term are below 2^32. A log of so many entries would
 *    be far beyond log-max-bytes; a term that leaps so far finds no room. */
#ifndef PROTOCOL_TRAIL_H
#define PROTOCOL_TRAIL_H

#include "protocol/protocol.h"

#define TRAIL_RUNS 152u

/* A run in eight bytes: the low halves of its slot and term. The high halves follow from the base,
 * because a trail never spans 2^32 slots or terms (T5). */
struct trail_run {
    uint32_t slot_low;
    uint32_t term_low;
};

struct trail {
    qr_slot base_slot;
    qr_term base_term;
    qr_slot last_slot;
    uint32_t count;
    struct trail_run runs[TRAIL_RUNS];
};

/* Starts from a recovered log; `runs` cover (base_slot, last_slot]. */
void trail_load(struct trail *t, qr_slot base_slot, qr_term base_term, qr_slot last_slot,
                const struct term_run *runs, uint32_t count);

/* The run with that index, 0 <= i < count. */
struct term_run trail_run(const struct trail *t, uint32_t i);

/* Whether the term at `slot` is known: base_slot <= slot <= last_slot. */
bool trail_knows(const struct trail *t, qr_slot slot);

/* The term at a known slot. The term of slot 0 is 0. */
qr_term trail_term(const struct trail *t, qr_slot slot);

qr_term trail_last_term(const struct trail *t);

/* The first slot behind the run that holds `slot`, base_slot < slot <= last_slot. */
qr_slot trail_run_end(const struct trail *t, qr_slot slot);

/* How many runs begin behind `slot`. */
uint32_t trail_runs_behind(const struct trail *t, qr_slot slot);

/* The last slot <= `slot` whose term is <= `term`, or base_slot when there is none above it. */
qr_slot trail_last_within(const struct trail *t, qr_slot slot, qr_term term);

/* The first slot of [lo, hi) that does not hold an entry of `term` here; hi when all do. */
qr_slot trail_first_difference(const struct trail *t, qr_slot lo, qr_slot hi, qr_term term);

/* Whether entries of `term` can stand from slot `from` on, in the place of what stands there now,
 * when everything up to `commit` may be forgotten (T3, T5). */
bool trail_has_room(const struct trail *t, qr_slot from, qr_term term, qr_slot commit);

/* Entries (last_slot, hi) of `term` follow. */
void trail_append(struct trail *t, qr_slot hi, qr_term term);

/* Drops the entries at and after `from`, from > base_slot. */
void trail_truncate(struct trail *t, qr_slot from);

/* Forgets the entries up to `upto`, a known slot. */
void trail_trim(struct trail *t, qr_slot upto);

/* Empty, behind (base_slot, base_term). */
void trail_reset(struct trail *t, qr_slot base_slot, qr_term base_term);

/* Panics unless T1 and T2 hold. */
void trail_check(const struct trail *t);

/* A term that it could not hold next to what it holds (T5): no group gets there by elections. Taken
 * over, it would end all elections for good. */
static inline bool trail_is_absurd(const struct trail *t, qr_term term)
{
    return term > t->base_term + UINT32_MAX / 2;
}

#endif
