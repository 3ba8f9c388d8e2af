/* Is this history linearizable? (Herlihy and Wing 1990; the search of Wing and Gong 1993 with the
 * memoisation of Lowe 2017.)
 *
 * Linearizability is local: a history is linearizable when its part on each key is, so keys are
 * searched one by one. An operation whose outcome is unknown may take effect at any time from its
 * start to infinity, or never. Reads with an unknown result and operations that surely failed say
 * nothing and are dropped. */
#ifndef SIM_CHECKERS_LINEARIZABLE_H
#define SIM_CHECKERS_LINEARIZABLE_H

#include "sim/checkers/model.h"

struct history_op {
    uint32_t process;
    uint32_t key; /* an index that the caller chose */
    enum op_kind kind;
    struct model_value argument;
    struct model_result result;
    int64_t start, end; /* microseconds; the end of an unknown operation is not looked at */
};

enum verdict {
    VERDICT_LINEARIZABLE = 0,
    VERDICT_VIOLATED,
    VERDICT_UNDECIDED /* the search hit its limit: whoever asked must treat it as a failure */
};

struct linearizable_report {
    enum verdict verdict;
    uint32_t key;    /* the key that failed */
    size_t stuck_at; /* index in ops: the earliest operation that no found order could explain */
    uint64_t steps;  /* of the whole search */
};

#define LINEARIZABLE_STEPS_MAX 20000000u /* a reasonable limit for one key */

/* Checks n operations in any order; steps_max bounds the search of each key. */
struct linearizable_report linearizable_check(const struct history_op *ops, size_t n,
                                              uint64_t steps_max);

#endif
