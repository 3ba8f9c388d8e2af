/* A stream of commands: whatever sends commands in an order that must be kept.
 *
 * A local client is one stream, and so is each peer that forwards its clients' commands, once per
 * partition. Every command without a reply is a `pending` in its stream, oldest first. What a
 * stream asks of one partition is a strand (strand.h); within it commands are carried out in
 * stream order even where they take different roads:
 *
 * S1 A read behind a write waits until that write is applied (it reads its own write), if that was
 *    taken up here. One that waits for a leader or for room is passed by reads that need no proof
 *    (local, prefix, leader, bounded); by local and prefix also where another node leads. They show
 *    what is applied here, and what passed that write was taken up before it.
 * S2 A read ahead of a write is served, at the latest, just before that write is applied. The state
 *    at that point is linearizable without any further proof: the write was proposed after the
 *    read had arrived, so whatever was acknowledged before lies at lower slots.
 *    And never before an earlier read of its client, which may take another queue (pace.c).
 *    So a write that is proposed is not given up, whatever its TIMEOUT says, while a read of its
 *    client ahead of it has no answer: its own answer could not leave before that one's (S3).
 *    Where a command leaves for another node, the reads ahead of it that wait here are served
 *    before, or leave in front of it (router.c): at no level does a read show what its own client
 *    has written behind it. One alone may: a read that is tried again since its leader was lost
 *    (decision 011).
 * S3 A client's replies leave in stream order, whatever their strands; a peer's replies carry an id
 *    and leave at once.
 *
 * Commands of different strands are as if different clients had sent them: a partition that does
 * not answer holds up no other, but for the replies behind its own.
 *
 * A peer's stream holds the commands of all its clients. S1 holds for it as a whole; S2 for each of
 * its clients alone, for a write would otherwise drag the reads of all others before it.
 *
 * So a pipeline that mixes reads and writes is never slower than the writes alone. */
#ifndef NODE_STREAM_H
#define NODE_STREAM_H

#include "base/status.h"
#include "base/types.h"
#include "command/command.h"
#include "node/cargo.h"
#include "node/heap.h"
#include "node/strand.h"
#include "cluster/wants.h"
#include "resp/reply.h"

struct node;
struct op_id; /* command/op.h */
struct partition;
struct stream;

enum pending_state {
    PENDING_WAITING,    /* in the router's queue: no leader, or no room */
    PENDING_LOADING,    /* its large arguments go into the log ahead of it (blobs.c) */
    PENDING_PROPOSED,   /* a write with the protocol; has a slot after PERSIST */
    PENDING_READING,    /* a read with the protocol, or confirmed and waiting for S1 */
    PENDING_FORWARDED,  /* sent to the leader */
    PENDING_BLOCKED,    /* WAIT */
    PENDING_ORDERED,    /* an order that the protocol carries out */
    PENDING_CONTROLLED, /* an order that changes the control state (control.h) */
    PENDING_GATHERING,  /* several partitions answer it (gather.c) */
    PENDING_ANSWERED,   /* has its reply; earlier ones of the client do not */
};

enum read_place {
    READ_CONFIRMED,
    READ_LARGE,
    READ_PARKED,
    READ_KEPT, /* it was executed, and its reply is kept (execute.h) */
};

/* Most reads fit: they cost no allocation. */
#define PENDING_NEAR_BYTES 96u

struct pending {
    struct node *node;
    struct partition *partition;     /* where it is carried out; NULL before pending_join */
    struct stream *stream;           /* NULL: whoever asked is gone, the reply goes nowhere */
    struct strand *strand;           /* of that stream; NULL as well, and before pending_join */
    struct pending *next, *previous; /* in stream order */
    struct pending *age_next, *age_previous;     /* in order of arrival in the node */
    struct pending *queue_next, *queue_previous; /* in the one queue that its state names */
    const struct command_spec *spec;
    enum pending_state state;
    bool confirmed;        /* PENDING_READING: the protocol said yes */
    enum read_place place; /* of a confirmed read: which queue it is in */
    bool comes_back;       /* BLOCKED for another node, and for long: handed back at `until` */
    uint8_t aside;         /* FORWARDED to that node's index + 1, whoever leads: router_aside.c; */
    bool was_aside;        /* it was so once, or came so from a peer */
    bool by_index;         /* READING where another node leads (replica_may_ask), or was so once */
    bool silent;           /* CLIENT REPLY OFF or SKIP */
    bool refused;          /* its reply is a refusal: no state was shown, nor is there a write */
    bool routed;           /* sent here by its keys' prefixes, or for want of them (route.h K6) */
    bool alone;            /* nothing of its stream is taken up until it is answered: laden, or
                              gathering, or aside */
    bool counted;          /* in its strand's writes_begun, or a read in its `reading` */
    bool kept;             /* `reply` is its answer when what it shows is committed (execute.h) */
    bool passed;           /* a write: what is behind it may have been taken up before it */
    uint8_t version;       /* RESP version of the reply */
    qr_time arrived;
    uint64_t sequence; /* order of arrival in the node */
    qr_req req;        /* READING: its number at the protocol; 0 until it has one */
    qr_slot slot; /* PROPOSED: where; READING: what must be applied; BLOCKED: what must be held */
    qr_term term;
    qr_time until;         /* READING: end of the lease; a WAIT's end; 0 = none */
    uint64_t after_write;  /* writes of its strand that come first (S1) */
    uint64_t after_read;   /* and reads of its client there (S2), also of a write */
    uint64_t id;           /* a peer's number for it; of a forwarded one, ours */
    uint32_t sender;       /* which client of that peer has sent it */
    bool after_reads;      /* that client has reads without an answer ahead of it */
    uint32_t heap_place[HEAP_KINDS]; /* in a heap of that kind */
    uint32_t wanted;       /* BLOCKED: replicas; FAILOVER TO: the node's index + 1 */
    bool wanted_local;     /* BLOCKED: and the leader itself (WAITAOF) */
    bool behind;           /* BLOCKED: writes of its client come first, and are not decided */
    struct shown shown;    /* what its answer shows: set by whoever answers */
    struct reply *meta_in; /* the reply that META has opened, from the byte meta_at on; or NULL */
    size_t meta_at;
    struct token *token; /* META: what its session had seen; short, its own; or NULL */
    size_t token_bytes;
    struct reply reply; /* ANSWERED */
    uint8_t *op;        /* encoded operation: `near` or malloc; NULL when the log has it */
    size_t op_bytes;
    struct cargo *cargo;   /* its large arguments (cargo.h); NULL: none, or the log has them */
    struct rope *arriving; /* FORWARDED: what has come of a long reply */
    qr_time moved;         /* when large things of it moved last, or it lost its leader; 0: never */
    struct wants wants;    /* what it asks for beside its op; from here on nothing is cleared */
    uint8_t near[PENDING_NEAR_BYTES];
};

/* An intrusive queue through queue_next. */
struct pendings {
    struct pending *first, *last;
    uint32_t count;
};

/* The reads of one client: what they have taken of late (moving averages), and, of a peer's client,
 * their order. And what is kept for it until zones have it (zones.c Z4). */
struct read_history {
    uint32_t sender;
    uint32_t usec, bytes;
    uint32_t kept;
    size_t kept_bytes;
    struct read_order order;
};

struct stream {
    struct node *node;
    struct pending *first, *last;
    uint32_t count;
    size_t op_bytes;    /* of its pendings */
    uint32_t alone;     /* those that are to be alone */
    size_t cargo_bytes; /* large arguments that are here */
    uint32_t sender;    /* under which its commands are forwarded */
    struct strands strands;
    struct read_history history;  /* of its reads (a client) */
    struct read_history *senders; /* by sender (a peer) */
    uint32_t sender_places;       /* how many of them */
    size_t held_bytes;            /* replies that wait for an earlier one, or for zones; of which */
    size_t held_apart;            /* so many are large values */
    struct pendings parked;       /* confirmed reads that wait for replies to be taken */
    bool ordered;                 /* replies leave in order (a client) */
    bool relayed;           /* a peer's: its commands are forwarded no further (T3 of router.h) */
    bool by_prefix;         /* what is pushed next goes where a prefix leads, */
    struct wants wants;     /* and asks for this; */
    const struct op_id *id; /* with this id, or NULL; borrowed until it is pushed; */
    const struct token *token; /* what its session has seen, if it has said so; else NULL */
    /* What META says of the session (session.h), or NULL. */
    void (*put_session)(const struct pending *p, struct reply *reply);
    /* Where to write the reply of `p`, and that it is written. For an ordered stream only called
     * for its first pending; for a silent one too, whose reply is empty: its owner may have waited
     * for room. */
    struct reply *(*begin_reply)(struct stream *stream, struct pending *p);
    /* Replies pile up: reads that may wait do. */
    bool (*is_congested)(const struct stream *stream);
    void (*end_reply)(struct stream *stream, struct pending *p, enum qr_status status);
    void (*on_held)(struct stream *stream); /* a reply waits: its owner holds more; or NULL */
};

enum stream_kind {
    STREAM_CLIENT, /* ordered */
    STREAM_PEER,   /* relayed */
    STREAM_GATHER, /* neither: this node's own (gather.c) */
};
void stream_init(struct stream *stream, struct node *node, enum stream_kind kind);

/* A new pending at the end of the stream. */
struct pending *stream_push(struct stream *stream, const struct command_spec *spec, uint8_t version,
                            qr_time now);
/* What it asks for, where that is not what its stream does. */
void pending_want(struct pending *p, const struct wants *wants);
/* It goes to that partition: once, before anything is done about it. */
void pending_join(struct pending *p, struct partition *partition);

/* The reply of p is to be written to the result; then call stream_answered. */
struct reply *stream_reply(struct pending *p);
/* The reply is complete: it leaves now or, in an ordered stream, after the earlier ones. p is gone
 * afterwards. `status` is OK for whatever the engine answered, errors included. */
void stream_answered(struct pending *p, enum qr_status status);
/* The same of what was refused in words of its own: they show nothing of the state. */
static inline void stream_refused(struct pending *p)
{
    p->refused = true;
    stream_answered(p, STATUS_OK);
}

/* A read of that group was answered without a pending, from the state at that slot. */
static inline void stream_note_read(struct stream *stream, const struct map *map, uint32_t group,
                                    qr_slot position)
{
    strands_note_seen(&stream->strands, map, group, position);
}

/* What the client is shown of p's strand ahead of p's reply, as far as it is known by now. What
 * comes behind p and has its answer already does not count. */
qr_slot stream_seen_before(const struct pending *p);

/* S1, S2: a write, or a read of its client, that was taken up here and comes before p in its strand
 * has no answer. As many as come first may have one although one of them does not: a later one was
 * given up, for its TIMEOUT was short. */
bool stream_has_ahead(const struct pending *p, bool read);
static inline bool stream_waits_for_write(const struct pending *p)
{
    const struct strand *s = p->strand;
    return s->writes_done < p->after_write ||
           (p->after_write < s->writes_early && stream_has_ahead(p, false));
}

/* p->reply waits in the stream, where that is a client's, and counts; or does no more. */
void stream_hold(struct pending *p);
void stream_release(struct pending *p);
/* Bytes that are only kept for replies which wait. */
static inline size_t stream_held_memory(const struct stream *stream)
{
    size_t n = stream->held_bytes - stream->held_apart;
    const struct pending *p = stream->held_apart > 0 ? stream->first : NULL;
    for (; p != NULL; p = p->next) {
        n += p->reply.parts != NULL ? reply_pinned(&p->reply, 0) : 0;
    }
    return n;
}

/* A read was executed, and is answered later: what comes behind it need not wait for it (S2). */
void stream_read_is_done(struct pending *p);

/* Nothing was written to that reply, and p is not answered yet. */
void stream_take_back(struct pending *p);

/* Both in one: the text of a status. */
void stream_refuse(struct pending *p, enum qr_status status);

/* Room for an encoded operation of n bytes, which the caller writes there; it is p's from now on,
 * accounted in the node's pending_bytes. */
uint8_t *pending_take_room(struct pending *p, size_t n);
/* Lets go of the operation; p->op_bytes stays as it is. */
void pending_drop_op(struct pending *p);
/* p's large arguments, which are its own from now on. */
void pending_take_cargo(struct pending *p, struct cargo *cargo);
void pending_drop_cargo(struct pending *p);

/* Whether the node has so much pending that this client's stream, with `input` bytes not parsed,
 * has to wait. Others' hoards must not stop those who have less than their share, nor those whose
 * next command is small; but nobody goes on at twice the bounds (R4). */
bool stream_finds_no_room(const struct stream *stream, size_t input);

/* At the node's end: those without an answer too, whose streams and queues are gone. */
void pending_free_all(struct node *node);

/* The reads of the client that p is from. A peer's stream is that of all its clients; the few that
 * share a place in its table only wait for each other. */
struct read_history *stream_reads_of_sender(const struct pending *p);
static inline struct read_history *stream_reads_of(const struct pending *p)
{
    return p->stream->relayed ? stream_reads_of_sender(p) : &p->stream->history;
}
/* And their order (S2). */
static inline struct read_order *stream_order_of(const struct pending *p)
{
    return p->stream->relayed ? &stream_reads_of_sender(p)->order : &p->strand->reads;
}
static inline bool stream_waits_for_read(const struct pending *p)
{
    if (p->stream->relayed && p->stream->senders == NULL) {
        return false; /* nobody has read by it: nothing is made room for to see that */
    }
    const struct read_order *order = stream_order_of(p);
    return order->done < p->after_read ||
           (p->after_read < order->early && stream_has_ahead(p, true));
}

/* A write is taken up here. */
void stream_begin_write(struct pending *p);
/* It is not to be given up: reads of its client come before it and have no answer. */
bool stream_holds_write(const struct pending *p);

/* Whether a WAIT has no answer yet. */
bool stream_waits(const struct stream *stream);

/* The stream's owner is gone: what is pending goes on without it. */
void stream_detach(struct stream *stream);

/* --- Queues */

void pendings_push(struct pendings *q, struct pending *p);
void pendings_insert(struct pendings *q, struct pending *at, struct pending *p); /* NULL: first */
void pendings_remove(struct pendings *q, struct pending *p);
struct pending *pendings_pop(struct pendings *q); /* NULL when empty */

#endif
