/* When a node that is silent is taken for failed: three ways to say so, of which a cluster chooses
 * one (directive failure-detector). beats.h asks it at each look, and has the rules that hold for
 * all of them.
 *
 * D1 heartbeat: not heard for `silence`.
 * D2 ping: it is asked at every interval, whatever else goes there, and nothing has come for
 *    `silence` behind the first question without an answer. Whatever comes is an answer: who is
 *    asked beats within an interval in any case, so that no message of its own is needed and older
 *    versions answer too. That a question has arrived it does not say.
 * D3 phi: a silence that is improbable by the latest ones of that node (phi.h). Those of an
 *    interval and longer are samples, and where there is none a whole interval is one: traffic
 *    that ceases is no failure. None is taken for longer than DETECTOR_PATIENCE time-outs, and
 *    none longer is waited for: a network that was cut does not make it wait for ever. With a
 *    new connection it begins anew, by `silence`.
 * D4 Each suspects every node that is silent for ever, in bounded time: it is complete. How often
 *    they are wrong is measured (suspicions.h).
 *
 * Pure: the caller has the clock, microseconds. */
#ifndef CLUSTER_DETECTOR_H
#define CLUSTER_DETECTOR_H

#include "base/limits.h"
#include "cluster/phi.h"

/* In the order of the words of failure-detector. */
enum detector_kind { DETECTOR_HEARTBEAT, DETECTOR_PING, DETECTOR_PHI };

#define DETECTOR_PATIENCE 4

struct detector_options {
    enum detector_kind kind;
    qr_time interval;  /* between beats */
    qr_time silence;   /* the time-out */
    uint32_t phi;      /* D3: suspected at, 1 to PHI_MAX */
    qr_time deviation; /* D3: at least (W2) */
};

struct detector {
    struct detector_options options;
    qr_time asked[MEMBERS_MAX];      /* D2: the latest question */
    qr_time unanswered[MEMBERS_MAX]; /* D2: the first without an answer; QR_NEVER: none */
    /* D3 */
    qr_time seen[MEMBERS_MAX], sampled[MEMBERS_MAX];
    struct phi_window window[MEMBERS_MAX];
};

void detector_init(struct detector *d, const struct detector_options *options);
/* A connection to that node opened: that answers all that it was asked before. */
void detector_begin(struct detector *d, node_index node, qr_time now);
/* When it was heard last, as of this look. */
void detector_heard(struct detector *d, node_index node, qr_time heard);
/* This node did not run for so long: as if that time had not been. Before detector_heard. */
void detector_forgive(struct detector *d, node_index node, qr_time late);
/* Whether it is to be asked now, and then that it was; *next: else when, if that is earlier. */
bool detector_asks(struct detector *d, node_index node, qr_time now, qr_time *next);

/* From when on it is suspected if nothing comes; QR_NEVER: something is done first. */
qr_time detector_due(const struct detector *d, node_index node, qr_time heard);
/* How long a silence it waits for now. */
qr_time detector_timeout(const struct detector *d, node_index node);

#endif
