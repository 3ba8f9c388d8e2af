/* What the replicas of a worker use one after the other: memory for one step, batches of writes,
 * and how reads share the turns of the loop. A replica that is idle has none of it (P4). */
#ifndef NODE_WORKBENCH_H
#define NODE_WORKBENCH_H

#include "base/limits.h"
#include "protocol/protocol.h"

struct pending;
struct rows; /* engine/rows.h */

/* A turn's writes of one partition: records without slot and term yet, and who waits for each
 * (NULL: a tick of our own). */
struct batch_room {
    struct batch_room *next; /* while it is free */
    uint8_t *p;
    size_t cap;
    struct pending **pending;
    uint32_t pending_cap;
    qr_req first; /* of those that are submitted */
};

/* What reads have had of this turn; see pace.c. */
struct reads_pace {
    uint32_t served, served_large;
    size_t bytes;                   /* of their replies */
    qr_time large_took;             /* to execute */
    qr_time large_after;            /* when large ones may go on, if there is anything else to do */
    uint32_t others, others_before; /* small commands in this turn and in the one before */
};

struct workbench {
    struct effects effects; /* of the step that is carried out */
    bool stepping;          /* no step begins before it is: they share all this */
    void *received_body;    /* decoded body of the message being stepped */
    size_t body_max;
    uint8_t *encoded; /* room for an encoded body or state record */
    size_t encoded_cap;
    struct membership_at received[MEMBERSHIPS_RECEIVED_MAX]; /* in the records being stepped */
    uint32_t received_count;
    qr_slot received_hi; /* the entries from here on are left for the next message */
    struct span records;      /* attached to the message being stepped, for PERSIST (R6) */
    struct batch_room *rooms; /* that nobody uses */
    uint32_t room_count;
    struct reads_pace pace;
    struct rows *rows; /* NULL before the first replica that executes ahead (execute.h) */
};

/* There is room for a step of that protocol. */
void workbench_fit(struct workbench *bench, const struct protocol *protocol,
                   const struct protocol_limits *limits);
void workbench_free(struct workbench *bench);

/* A turn of the node ends (pace.c). */
void pace_end_turn(struct workbench *bench, qr_time now);

/* An empty room, and back. */
struct batch_room *batch_room_take(struct workbench *bench);
void batch_room_give(struct workbench *bench, struct batch_room *room);
/* Room for so many bytes and records. */
void batch_room_grow(struct batch_room *room, size_t bytes, uint32_t count);

#endif
