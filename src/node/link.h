/* One connection to a peer: its handshake, the frames that come in, the bytes that go out. Shared
 * by the files that own connections (peers.c, link.c, link_refuse.c) and those that answer on one
 * (join_accept.c, pieces.c). */
#ifndef NODE_LINK_H
#define NODE_LINK_H

#include "base/limits.h"
#include "io/io.h"
#include "node/frame.h"
#include "node/handshake.h"
#include "node/peers.h"
#include "node/router.h"

#define PROTOCOL_HEAD_BYTES 30u /* group, kind, lo, hi, term; the body follows */
/* id, epoch, RESP version, sender, flags, and the wants where a flag says so; the op is the tail */
#define FORWARD_HEAD_BYTES 18u
#define FORWARD_AFTER_READS 1u
#define FORWARD_WANTS 2u
#define FORWARD_ASIDE 4u      /* since WIRE_VERSION_LEVELS */
#define PIECE_HEAD_BYTES 8u   /* id; the bytes are the tail */
#define CREDIT_HEAD_BYTES 16u /* id, bytes */
#define REPLY_HEAD_BYTES 9u   /* id, status; since version 5 what it shows; the reply is the tail */

/* A heartbeat may wait behind as much, and goes beside it for so long when there was more. */
#define LINK_LIGHT_BYTES (64 * KIB)
#define LINK_LIGHT_AFTER QR_SECOND

enum link_state {
    LINK_DIALING,
    LINK_EXPECTS_HELLO,
    LINK_EXPECTS_WELCOME,
    LINK_EXPECTS_PROOF,
    LINK_JOINS, /* has proven the secret and wants to be a member */
    LINK_UP
};

struct link {
    struct peers *peers;
    struct io_stream *stream;
    struct link *next, *previous; /* peers->links: all of them */
    enum link_state state;
    enum lane lane;
    uint16_t version; /* of the wire, that both speak; 0 until it is known */
    node_index peer;  /* NODE_NONE until an accepted one has said who it is */
    uint8_t uuid[16]; /* of the directory at the other end, once it is up (members.h: I1) */
    bool dialed, closing;
    qr_time since;
    uint8_t hello[HELLO_BYTES], welcome[WELCOME_BYTES_MAX];
    size_t welcome_n;
    struct claim claim; /* what it says of itself */
    bool joins;         /* it has proven itself, but is no member yet */
    uint8_t *in;
    size_t in_n, in_at, in_cap;
    bool held;        /* whole frames wait in `in` for their turn (link_read.c) */
    bool paused;      /* so many that the socket is not read */
    size_t looked_at; /* of `in`: what may go ahead of the others has, up to here */
    struct outbox out;
    bool hurries; /* something of it does not wait */
    bool corked;  /* the kernel holds what was written since `pushed` */
    qr_time pushed;
    qr_time heavy_at; /* when more than LINK_LIGHT_BYTES last went out at once, or stood in line */
};

struct peer {
    struct link *link[LANES]; /* up; NULL: not connected */
    struct link *dialing[LANES];
    qr_time dial_at[LANES];
    qr_time refused_at, refused_for; /* the last time; how long nothing is tried after that */
    bool up;                         /* the protocol was told so */
    enum log_space space;
    struct long_reply *long_replies; /* to its commands, in order (pieces.c) */
    size_t long_bytes;               /* of them, still to go */
    struct peer_stats stats;
    qr_time lost_at;
    qr_time leaves_at; /* it takes part no more: when its connections go; 0: it does */
};

struct peers {
    struct node *node;
    struct io_listener *listener;
    node_index me;
    node_index end;     /* all that are known or connected have an index below it */
    qr_time retires_at; /* this node takes part no more; 0: it does */
    qr_time look_at;    /* nothing is to be dialed or let go before; 0: look */
    qr_time push_at;    /* what the kernel keeps back has to leave; 0: it keeps nothing */
    struct peer peer[MEMBERS_MAX];
    struct link *links;
    uint32_t stranger_count;
    uint32_t held;        /* links of which frames wait */
    qr_time reading_took; /* frames, in this turn so far */
    struct reply reply;   /* the answer being written */
};

void link_dial(struct peers *peers, node_index peer, enum lane lane);
void link_accept(struct peers *peers, struct io_stream *stream);
void link_drop(struct link *link, const char *why);
/* When the node ends: nothing is called back any more. */
void links_free(struct peers *peers);
/* Drops those that began before then and are not up yet: TCP dials, too, at intervals that double,
 * and would find out late that the network is whole again. */
void link_expire_young(struct peers *peers, qr_time since);

void link_send(struct link *link, uint8_t kind, struct span head, struct span tail,
               bool tail_is_records);
/* The same about a group; only where the version of the wire knows it (frame_wire_version). */
void link_send_group(struct link *link, uint32_t group, uint8_t kind, struct span head,
                     struct span tail, bool tail_is_records);
void link_flush(struct link *link);
/* The same, but what is in no hurry may stay with the kernel until link_deadline. */
void link_flush_soon(struct link *link);
qr_time link_deadline(const struct link *link);
/* A frame of the connection, in its turn. False: it makes no sense here; the connection is closed.
 */
bool link_take(struct link *link, const struct frame *frame);

/* link_read.c: the callbacks of its stream, and the end of what it holds. */
void link_buffer(struct io_stream *stream, uint8_t **p, size_t *n);
void link_received(struct io_stream *stream, size_t n);
void link_forget_rest(struct link *link);
size_t link_queued(const struct link *link);

/* A frame has come, once it is up. False: it makes no sense here; the connection is closed. */
bool link_frame(struct link *link, const struct frame *frame);

/* Says no in words to the other side and to our log, and closes once that is sent. Returns false,
 * for the caller to return. */
bool link_refuse(struct link *link, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The other side has said no. */
void link_refused(struct link *link, struct span head, struct span code);
/* Says no to a node that takes part no more, and closes once that is sent: it is to stop for good.
 */
void link_dismiss(struct link *link);

/* Sends of a peer's long replies what its connection takes; forgets them. */
void pieces_send(struct peers *peers, struct peer *peer);
void pieces_drop(struct peers *peers, struct peer *peer);

void peers_link_up(struct peers *peers, struct link *link);
void peers_link_down(struct peers *peers, struct link *link);
void peers_refused(struct peers *peers, node_index peer);

#endif
