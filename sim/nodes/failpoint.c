/* The failpoints of src/ (io/failpoint.h) in the realm: a host is armed with one, and its process
 * dies there, stands still there, or is told that the drive has failed. Builds without failpoints
 * draw the same and never come there. */
#include "sim/nodes/failpoint.h"

#include "base/text.h"
#include "sim/nodes/drive.h"
#include "sim/nodes/io_sim.h"

#include <errno.h>
#include <inttypes.h>

static const struct {
    const char *name;
    enum failpoint_life life;
    bool errors;
} points[] = {
    { "NOWHERE", FAILPOINT_ANY, false },
#define FAILPOINT(name, life, errors, text) { #name, FAILPOINT_##life, errors },
#include "io/failpoints.def"
#undef FAILPOINT
};

static const char *const ways[FAILPOINT_WAYS] = { "dies", "loses power", "stands still",
                                                  "has a bad drive", "does not apply" };

enum failpoint_life failpoint_life(enum failpoint point)
{
    return points[point].life;
}

bool failpoint_is_rare(enum failpoint point)
{
    enum failpoint_life life = points[point].life;
    return life != FAILPOINT_ANY && life != FAILPOINT_LEADER && life != FAILPOINT_FOLLOWER;
}

void failpoint_arm(struct host *host, enum armed_for what, enum failpoint point, qr_time length)
{
    struct rng *rng = &host->realm->rng;
    struct armed *armed = &host->armed[what];
    /* Of a seed's own every other time it is death, so that twice as many seeds see all of it. */
    bool own = what == ARMED_BY_SEED;
    bool dies = own ? host->realm->seed / FAILPOINTS_DRAWN % 2 == 0 : rng_chance(rng, 5, 8);
    bool other = rng_chance(rng, 1, 3);
    armed->way = dies    ? other ? FAILPOINT_LOSES_POWER : FAILPOINT_DIES
                 : other ? FAILPOINT_STOPS
                         : FAILPOINT_FAILS;
    if (!dies && point == FAIL_APPLY_SLICE) {
        armed->way = FAILPOINT_HOLDS;
    } else if (armed->way == FAILPOINT_FAILS && !points[point].errors) {
        armed->way = FAILPOINT_DIES;
    }
    armed->point = point;
    uint32_t soon = own ? 6 : 10;
    armed->left = failpoint_is_rare(point)
                      ? 1 + !own * (uint32_t)rng_below(rng, 2)
                      : 1 + (uint32_t)rng_below(rng, 1u << rng_below(rng, soon));
    armed->length = length;
}

void failpoints_disarm(struct host *host)
{
    memset(host->armed, 0, sizeof host->armed);
}

void failpoints_tell(bool all, const uint64_t reached[FAIL_COUNT],
                     uint64_t struck[FAIL_COUNT][FAILPOINT_WAYS])
{
    for (uint32_t i = 1; i <= FAILPOINTS_DRAWN + all * FAILPOINTS_ROLLBACK; i++) {
        printf("failpoint %s reached %" PRIu64, points[i].name, reached[i]);
        for (uint32_t way = 0; way < FAILPOINT_WAYS; way++) {
            printf(", %s %" PRIu64, ways[way], struck[i][way]);
        }
        printf("\n");
    }
}

/* --- Raft's trace points -------------------------------------------------------------------- */

void __real_raft_trace_text(uint16_t point, const uint64_t argument[3], struct text *out);
void __wrap_raft_trace_text(uint16_t point, const uint64_t argument[3], struct text *out);

/* Each of them is told as a line of the log, at its level. */
void __wrap_raft_trace_text(uint16_t point, const uint64_t argument[3], struct text *out)
{
    const struct process *p = process_running();
    if (p != NULL && point < TRACE_POINTS_MAX) {
        p->realm->traced[point]++;
    }
    __real_raft_trace_text(point, argument, out);
}

void traces_tell(const uint64_t traced[TRACE_POINTS_MAX])
{
#define POINT(number, name, text) printf("trace %s reached %" PRIu64 "\n", #name, traced[number]);
#include "protocol/raft/raft_traces.def"
#undef POINT
}

/* --- Failpoints ----------------------------------------------------------------------------- */

#ifdef QUORATE_FAILPOINTS

static int strike(struct process *p, struct armed *armed)
{
    struct armed what = *armed;
    struct realm *realm = p->realm;
    bool holds = what.way == FAILPOINT_HOLDS;
    if (holds && armed->until == 0) {
        armed->until = process_time(p) + what.length;
    }
    if (!holds || process_time(p) >= armed->until) {
        *armed = (struct armed){ .point = FAIL_NOWHERE };
    }
    if (holds && what.until != 0) {
        return -EIO;
    }
    realm->struck[what.point][what.way]++;
    bool own = armed == &p->host->armed[ARMED_BY_SEED];
    realm->felt[own ? FELT_own_failpoint : FAULT_failpoint]++;
    realm_note(realm, p->host, "%s at %s", ways[what.way], points[what.point].name);
    switch (what.way) {
    case FAILPOINT_LOSES_POWER:
        p->takes_power = true;
        process_die(p);
    case FAILPOINT_DIES:
        p->takes_power = false;
        process_die(p);
    case FAILPOINT_STOPS:
        process_pause_for(p, what.length, &realm->felt[FELT_failpoint_stood]);
        return 0;
    case FAILPOINT_FAILS:
        p->host->drive->errors++;
        return -EIO;
    default:
        return -EIO;
    }
}

int io_failpoint(struct io *io, enum failpoint point)
{
    struct process *p = io->process;
    p->realm->reached[point]++;
    for (uint32_t i = 0; i < ARMED_MAX; i++) {
        struct armed *armed = &p->host->armed[i];
        if (point != FAIL_NOWHERE && armed->point == point &&
            (armed->left <= 1 || --armed->left == 0)) {
            return strike(p, armed);
        }
    }
    return 0;
}

bool io_failpoint_kills(struct io *io, enum failpoint point)
{
    for (uint32_t i = 0; i < ARMED_MAX; i++) {
        const struct armed *armed = &io->process->host->armed[i];
        if (point != FAIL_NOWHERE && armed->point == point && armed->left <= 1) {
            return armed->way == FAILPOINT_DIES || armed->way == FAILPOINT_LOSES_POWER;
        }
    }
    return false;
}

#endif
