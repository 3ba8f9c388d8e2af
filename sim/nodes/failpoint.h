/* Failpoints that hosts of the realm are armed with (failpoint.c). */
#ifndef SIM_NODES_FAILPOINT_H
#define SIM_NODES_FAILPOINT_H

#include "sim/nodes/realm.h"

/* What reaches a failpoint: see io/failpoints.def. */
enum failpoint_life {
    FAILPOINT_ANY,
    FAILPOINT_LEADER,
    FAILPOINT_FOLLOWER,
    FAILPOINT_ELECTION,
    FAILPOINT_CHECKPOINT,
    FAILPOINT_HOLE,
    FAILPOINT_DAMAGE,
    FAILPOINT_CONFLICT,
    FAILPOINT_SOURCE,
    FAILPOINT_FETCH,
    FAILPOINT_GIVE_UP,
    FAILPOINT_DROPS,
    FAILPOINT_CARRIES,
    FAILPOINT_START,
    FAILPOINT_BIRTH,
    FAILPOINT_END,
    FAILPOINT_ROLLBACK
};

/* How many points a seed draws from. Those of ROLLBACK stand behind them: only worlds with a
 * primary come there. */
#define FAILPOINTS_DRAWN ((uint32_t)FAIL_DISCARDS_OPEN - 1)
#define FAILPOINTS_ROLLBACK ((uint32_t)FAIL_COUNT - FAIL_DISCARDS_OPEN)

enum failpoint_life failpoint_life(enum failpoint point);
bool failpoint_is_rare(enum failpoint point); /* few processes come there, or seldom */

/* From now on the host's process, or one behind it, meets something at its n-th time there. What
 * the place was armed with before is forgotten. `length` is of what lasts. */
void failpoint_arm(struct host *host, enum armed_for what, enum failpoint point, qr_time length);
void failpoints_disarm(struct host *host);

/* How often each was reached, and what happened there; with `all` those of ROLLBACK too. */
void failpoints_tell(bool all, const uint64_t reached[FAIL_COUNT],
                     uint64_t struck[FAIL_COUNT][FAILPOINT_WAYS]);
void traces_tell(const uint64_t traced[TRACE_POINTS_MAX]); /* the same of Raft's trace points */

#endif
