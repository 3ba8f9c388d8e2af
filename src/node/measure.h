/* What a node measures about itself while it works; INFO, LATENCY and /metrics show it.
 *
 * Recording is a few instructions and never allocates on the way of a command, the first one of
 * each kind excepted. Durations are microseconds. CONFIG RESETSTAT begins anew. */
#ifndef NODE_MEASURE_H
#define NODE_MEASURE_H

#include "base/histogram.h"
#include "base/limits.h"
#include "command/command.h"

struct node;
struct outlook;

/* Turns of the loop that took longer are counted apart: at more than 1 ms somebody waits. */
#define STALL_LEVELS 4u
extern const uint32_t measure_stall_usec[STALL_LEVELS]; /* 1, 5, 20 and 100 ms, ascending */

struct error_count {
    char code[ERROR_CODE_BYTES]; /* the first word of the reply */
    uint64_t count;
};

struct measure {
    struct histogram turn_usec; /* from the first callback of a turn to its end */
    uint64_t stalls[STALL_LEVELS];
    struct histogram commands_per_read;  /* of a client's socket; reads that complete none too */
    struct histogram replies_per_write;  /* to a client's socket */
    struct histogram records_per_append; /* messages with records, as leader */

    /* From being parsed until the reply is in the client's output buffer, replication and waiting
     * included; by command_index, made when first needed. */
    struct histogram **latency;

    struct error_count errors[ERROR_CODES_MAX]; /* by code */
    uint32_t error_codes;
    uint64_t other_errors; /* when there were more codes */

    /* As leader, from sending records to a member until it has said that it holds them: one message
     * at a time is watched. By member, made when first needed. */
    struct histogram *append_usec[MEMBERS_MAX];
    struct {
        qr_slot slot; /* 0: none is watched */
        qr_time sent;
    } watched[MEMBERS_MAX];
    uint32_t watching; /* how many of them */

    struct {
        uint64_t bytes, bytes_total, usec, usec_total, abandoned;
        qr_wall ended; /* 0: none since the start */
    } checkpoint;
    uint64_t carried_bytes; /* of groups that hold little, written once more (keepers.h) */
};

struct measure *measure_new(void);
void measure_free(struct measure *m);
void measure_reset(struct measure *m);

/* A turn of the loop is over. */
void measure_turn(struct measure *m, uint64_t usec);

void measure_latency(struct measure *m, const struct command_spec *spec, qr_time usec);

/* An error reply that a client gets: "-CODE ...". */
void measure_error(struct measure *m, struct span reply);

/* A message with `count` records up to `last` leaves for a member. */
void measure_append(struct measure *m, node_index to, uint32_t count, qr_slot last, qr_time now);
/* Which of the watched messages have arrived, once a turn; only a leader knows. */
void measure_acks(struct measure *m, const struct outlook *outlook, uint8_t members, qr_time now);

#endif
