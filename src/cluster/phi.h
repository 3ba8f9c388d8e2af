/* How long a silence may be before it means something, from the silences there were: the phi
 * accrual failure detector (Hayashibara, Defago, Yared, Katayama 2004). Phi of a silence is -log10
 * of the probability that a node which lives is silent for longer, if silences are distributed
 * normally with the mean and deviation of the latest ones. To suspect at phi 8 is to be wrong once
 * in 10^8 silences, as far as that model is right.
 *
 * W1 Only the latest PHI_WINDOW silences count, so that it follows a network that changes.
 * W2 The deviation is never taken for less than `least`: machines pause, and a window in which none
 *    did would make the first pause a failure.
 * W3 Before PHI_SAMPLES_LEAST silences nothing is known: the caller has a time-out for that.
 *
 * No floating point: the quantiles of the normal distribution stand in a table, so that every
 * machine decides alike. Times are microseconds. Pure. */
#ifndef CLUSTER_PHI_H
#define CLUSTER_PHI_H

#include "base/types.h"

#define PHI_WINDOW 512u
#define PHI_SAMPLES_LEAST 16u
#define PHI_GAP_MAX ((qr_time)1 << 27) /* a longer silence is one of 134 s */
#define PHI_MAX 16u

struct phi_window {
    uint32_t gap[PHI_WINDOW]; /* a ring */
    uint32_t next, count;
    uint64_t sum, squares;
};

void phi_reset(struct phi_window *w);
void phi_add(struct phi_window *w, qr_time gap);

/* W3: whether there are enough of them for the others to be asked. */
static inline bool phi_knows(const struct phi_window *w)
{
    return w->count >= PHI_SAMPLES_LEAST;
}

qr_time phi_mean(const struct phi_window *w);
qr_time phi_deviation(const struct phi_window *w);
/* The shortest silence whose phi is `phi`, 1 to PHI_MAX. */
qr_time phi_time(const struct phi_window *w, uint32_t phi, qr_time least);
/* The phi of a silence, rounded down; PHI_MAX stands for that and more. */
uint32_t phi_of(const struct phi_window *w, qr_time silence, qr_time least);

#endif
