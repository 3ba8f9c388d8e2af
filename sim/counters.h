/* How often things happened in the worlds of a run: what is never reached is not tested. */
#ifndef SIM_COUNTERS_H
#define SIM_COUNTERS_H

#include "cluster/freshness.h"
#include "cluster/succession.h"
#include "sim/checkers/guarantees.h"
#include "sim/plan.h"
#include "store/past.h"

#define TRACE_POINTS_MAX 128u

struct counters {
    uint64_t actions[ACTION_COUNT]; /* carried out with an effect */
    uint64_t points[TRACE_POINTS_MAX];
    char samples[TRACE_POINTS_MAX][96];
    uint64_t seeds, steps, messages, lost, duplicated, reordered, cut_off, held_effects;
    uint64_t short_appends, acked, refused, unknown, reads, expired, retried;
    uint64_t leader_changes, seeds_with_change, elections, checkpoints, trims, installs;
    uint64_t lost_writes, torn_writes, applied, operations, faults, crashes_between_effects;
    uint64_t orders, orders_done, orders_refused, orders_uncertain, changes, joined, reused;
    uint64_t late, aliens; /* words of nodes that have lost their index; that have it too soon */
    uint64_t offers, resumed, restarted, gone, offered, installs_cut, taken_for;
    uint64_t damaged, wiped, recovered, rotten, patched, covered;
    uint64_t asked_reads, asked_ahead; /* confirmed at who does not lead; before it had the slot */
    uint64_t served[SERVE_LOST + 1], judged[GUARANTEES]; /* reads of sessions */
    uint64_t followers[READ_LEVELS]; /* of those: answered by who does not lead */
    uint64_t followers_behind;       /* at bounded, by operations */
    uint64_t placed, owed;           /* judged by the whole order: what they show; how much */
    uint64_t as_of[PAST_LOST + 1], too_old; /* as of a position: what was found there */
    uint64_t waited, not_waited;            /* for one to come: it came; nobody waits any more */
    uint64_t leases_granted, leases_gone;
    /* Of worlds with a council. */
    uint64_t views, views_told, leases_told, leases_regained, handed, stops, stopped;
    uint64_t successions[SUCCESSION_AWAY + 1]; /* by reason */
    uint64_t takebacks, takebacks_applied, takebacks_anew, takebacks_cut, taken, regained;
    uint64_t shared;            /* answers to writes that others have executed */
    uint64_t given, given_back; /* entries given up, and here again */
    uint64_t lost_acked, lost_named;
    uint64_t virtual_us;
};

#endif
