/* Frames between nodes: what travels on a peer connection.
 *
 *   offset size
 *        0    4  bytes of the head
 *        4    4  bytes of the tail
 *        8    4  crc32c of the 12 other header bytes, the group, the head, and the tail unless it
 *                is records, which carry their own checksums
 *       12    1  kind
 *       13    1  flags. 1: the tail is log records; 2: a group precedes the head
 *       14    2  zero
 *       16    4  the group that it is about, not 0; only with flag 2, and under the checksum
 *        -    -  head, tail
 *
 * A frame without a group is about group 0 or about none. All integers are little-endian. A longer
 * frame than FRAME_BYTES_MAX, a bad checksum or an unknown kind closes the connection. */
#ifndef NODE_FRAME_H
#define NODE_FRAME_H

#include "base/types.h"
#include "base/wire.h"

#define FRAME_HEADER_BYTES 16u
#define FRAME_GROUP_BYTES 4u
/* 2: FORWARD names its sender. 3: WELCOME and PROOF carry a claim (handshake.h); the frames from
 * FRAME_JOIN on, which links of version 2 never see. 4: frames name a group; those from FRAME_BEAT
 * on. 5: a FORWARD says what it wants, a REPLY what it shows (wants.h). 6: the
 * frames from FRAME_SNAPSHOT_GIVE on. */
#define WIRE_VERSION 6
#define WIRE_VERSION_OLDEST 2
#define WIRE_VERSION_PIECES \
    3                         /* knows large arguments and replies: RECORD_BLOB, FRAME_PIECE, ... \
                               */
#define WIRE_VERSION_GROUPS 4 /* knows other groups than 0 */
#define WIRE_VERSION_LEVELS 5 /* knows wants and shown */
#define WIRE_VERSION_GIVERS 6 /* knows that others than the leader are asked for a checkpoint */

enum frame_kind {
    FRAME_HELLO = 1,           /* dialer: who I am, whom I want */
    FRAME_WELCOME,             /* acceptor: who I am, proof */
    FRAME_PROOF,               /* dialer: proof */
    FRAME_REFUSED,             /* either: why not, in words */
    FRAME_PROTOCOL,            /* a message of a group's protocol */
    FRAME_FORWARD,             /* a command for the leader */
    FRAME_REPLY,               /* its answer */
    FRAME_SPACE,               /* how the sender stands for disk space: enum log_space */
    FRAME_JOIN = 9,            /* a node that wants to be taken in: join.h */
    FRAME_JOINED,              /* what became of that */
    FRAME_SNAPSHOT_OFFER = 11, /* snapshot.h */
    FRAME_SNAPSHOT_READ,
    FRAME_SNAPSHOT_DATA,
    FRAME_SNAPSHOT_GONE,
    FRAME_REPAIR_ASK = 15, /* repair.h */
    FRAME_REPAIR_REPLY,
    FRAME_DIGEST = 17,       /* the digests of the sender's state at some slots */
    FRAME_ALARM,             /* an alarm as the sender knows it */
    FRAME_PIECE = 19,        /* of the large arguments of a forwarded command */
    FRAME_REPLY_PIECE,       /* of a long answer, which FRAME_REPLY ends */
    FRAME_CREDIT,            /* how much of such arguments the leader has carried on */
    FRAME_HEALTH = 22,       /* how the sender's disk does, and whether it may lead */
    FRAME_REPAIR_FETCH = 23, /* repair.h */
    FRAME_BEAT = 24,         /* nothing but that the sender lives */
    FRAME_LEADS,             /* groups that the sender leads now */
    FRAME_RENEW,             /* asks group 0's leader for the lease of the sender */
    FRAME_RENEWED,           /* its answer */
    FRAME_REPORT = 28,       /* what group 0's leader wants to know of the sender */
    FRAME_PLACE = 29,        /* where clients find the sender: places.h */
    FRAME_FREEZE = 30,       /* group 0's leader changes prefixes: contact.h */
    FRAME_STANDING = 31,     /* where the sender's replicas of primary partitions stand */
    FRAME_ORDER = 32,        /* group 0's leader wants a primary to hand over */
    FRAME_SNAPSHOT_GIVE = 33, /* snapshot.h */
    FRAME_SNAPSHOT_PROGRESS,
    FRAME_KINDS
};

struct frame {
    uint8_t kind;
    uint32_t group; /* 0: the frame names none */
    struct span head, tail;
};

/* A growing buffer of outgoing bytes. */
struct outbox {
    uint8_t *p;
    size_t n, cap;
};
void outbox_free(struct outbox *o);

/* Appends a frame: the head and the tail are copied; the checksum covers the head, and the tail too
 * unless it is records (which carry their own). */
void frame_append(struct outbox *o, uint8_t kind, struct span head, struct span tail,
                  bool tail_is_records);
/* The same about a group; group 0 is what a frame without one means. */
void frame_append_group(struct outbox *o, uint32_t group, uint8_t kind, struct span head,
                        struct span tail, bool tail_is_records);

/* The first version of the wire that knows such a frame; 0: all do. */
uint16_t frame_wire_version(uint8_t kind, uint32_t group);

enum frame_result { FRAME_COMPLETE, FRAME_INCOMPLETE, FRAME_BAD };

/* What frame_read would make of the frame at the start of `in`, its checksum aside. */
enum frame_result frame_peek(struct span in, struct frame *out, size_t *bytes);
/* Reads the frame at the start of `in`; *bytes is its size. */
enum frame_result frame_read(struct span in, struct frame *out, size_t *bytes);

#endif
