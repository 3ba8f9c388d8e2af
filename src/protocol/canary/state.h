/* The state of one canary: canary.c steps it, canary_instances.c makes a strategy of it. */
#ifndef PROTOCOL_CANARY_STATE_H
#define PROTOCOL_CANARY_STATE_H

#include "base/limits.h"
#include "base/rng.h"
#include "protocol/canary/canary_messages.h"

#define RUNS_MAX 128u
#define READS_MAX 16u
#define MARKS_MAX 16u

enum bug {
    BUG_NONE = 0,
#define BUG(number, NAME, text) BUG_##NAME = (number),
#include "protocol/canary/canary_bugs.def"
#undef BUG
};

struct read_round {
    qr_req first;
    uint32_t count;
    uint64_t round;
    qr_slot slot;
};

struct mark {
    qr_ticket ticket;
    qr_slot slot;
};

struct canary {
    struct protocol_limits limits;
    struct rng rng;
    qr_time now;
    node_index me, leader, vote;
    uint8_t members, role, bug;
    bool started;
    qr_term term;

    qr_slot base, last, commit, applied;
    qr_term base_term;
    uint32_t run_count;
    struct term_run runs[RUNS_MAX];
    qr_ticket minted;
    qr_slot durable;
    uint32_t mark_count;
    struct mark marks[MARKS_MAX]; /* what becomes durable with which ticket */

    qr_time election_due, heartbeat_due;
    uint32_t votes;
    qr_slot match[MEMBERS_MAX], next[MEMBERS_MAX];
    uint64_t echoed[MEMBERS_MAX], round;
    bool sent[MEMBERS_MAX];
    uint32_t read_count;
    struct read_round reads[READS_MAX];
    qr_req open_first; /* the latest SUBMIT */
    uint32_t open_count;
    qr_slot open_slot;
};

_Static_assert(sizeof(struct canary) <= 4096, "P4");

void canary_step(void *self, const struct event *event, struct effects *out);

/* The term of an entry; 0 behind the end of the log. */
qr_term canary_term_at(const struct canary *c, qr_slot slot);

#endif
