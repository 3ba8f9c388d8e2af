/* How far a follower is behind, as the leader of its group knows it (features L12; asks U20, U53).
 *
 * The leader notes now and then when its log ended where: a mark. What a follower has not
 * acknowledged is as old as the first mark that lies beyond what it has.
 *
 * A1 An answer says what was there when that which it answers was *sent*: what has been added since
 *    is on its way, and no lag. So a follower that answers in time, and whose acknowledgement says
 *    that it had all there was then, is not behind, however rarely it is asked. From one that is
 *    silent nothing is on its way any more: it lacks all that it has not acknowledged.
 * A2 Entries that were there when the leader began to lead count from then on.
 * A3 Bounded: of a full table the mark goes whose neighbours are closest together for their age.
 *    So an age is told to about a third of itself, however old it is; bytes alike.
 *
 * Pure. */
#ifndef CLUSTER_LAG_H
#define CLUSTER_LAG_H

#include "base/types.h"

#define LAG_MARKS 64u
#define LAG_GRAIN QR_MILLISECOND /* marks are no closer */

struct lag_mark {
    qr_time at;
    qr_slot last;   /* the log ended here */
    uint64_t bytes; /* ... with so many of the group's, counted from anywhere */
};

struct lag_marks {
    uint32_t n;
    struct lag_mark mark[LAG_MARKS]; /* all three ascend */
};

struct lag {
    uint64_t ops, bytes;
    qr_time age; /* of the oldest entry that is lacked; 0 where none is */
};

/* The log ends at `last` now. The first one of a leader has the oldest entry behind it. */
void lag_note(struct lag_marks *marks, const struct lag_mark *mark);
/* Everybody has the entries up to `slot`. True: and there are no others. */
bool lag_forget(struct lag_marks *marks, qr_slot slot);

/* What one lacks that has the entries up to `match`, of what was there at `seen` (A1). */
struct lag lag_of(const struct lag_marks *marks, qr_slot match, qr_time seen);

#endif
