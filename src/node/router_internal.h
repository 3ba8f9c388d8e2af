/* The inside of the router: router.c (who carries out a command), router_read.c (reads that this
 * node's replica answers by itself), router_forward.c (what is on its way to leaders),
 * router_relay.c (what other nodes send), router_turn.c (queues and deadlines), router_wait.c, and
 * router_cargo.c (what is too large for one message). */
#ifndef NODE_ROUTER_INTERNAL_H
#define NODE_ROUTER_INTERNAL_H

#include "base/limits.h"
#include "base/linked.h"
#include "node/node.h"
#include "node/router.h"

/* Places for forwards in flight, by id; a power of two. At most half of them are taken, but for
 * reads that leave in front of others (router.c), so that the next free one is near: a WAIT may
 * keep its place for as long as it likes. */
#define FORWARD_WINDOW ((uint64_t)NODE_PENDING_MAX * 2)

struct router {
    struct node *node;
    struct track *active, *active_last; /* tracks where something waits or is on its way */
    uint32_t waiting;                   /* in all of them */
    uint32_t retry_round;
    struct pending **forwarded; /* FORWARD_WINDOW of them, by id */
    uint64_t next_id;
    uint32_t forwarded_count;
    uint32_t asides;       /* of these: router_aside.c */
    uint32_t epoch;        /* the latest of all tracks */
    struct pendings loads; /* of what is forwarded: whose large arguments are under way too */

    struct gather *gathers; /* commands that several partitions answer, in order of arrival */

    struct relay *relays[MEMBERS_MAX]; /* of each peer: one per group that it forwards to */
    uint32_t floor[MEMBERS_MAX];       /* epochs up to it are refused where no relay says more */
    struct relay *visit[MEMBERS_MAX];  /* which one is looked at next for whether it is needed */
};

static inline struct pending **router_forwarded_at(struct router *router, uint64_t id)
{
    return &router->forwarded[id % FORWARD_WINDOW];
}

static inline struct partition *router_partition_of(struct track *track)
{
    return (struct partition *)((char *)track - offsetof(struct partition, track));
}

/* Something waits in the track or is on its way: it has its turns. */
static inline void router_activate(struct router *router, struct track *track)
{
    if (!track->active) {
        track->active = true;
        LINKED_APPEND(router->active, router->active_last, track, previous, next);
    }
}

/* --- router.c: a command on its way: to where it is carried out, or into the queue. */
void router_take(struct router *router, struct pending *p);
/* False when p has to wait. p is in no queue and has its op. */
bool router_route(struct router *router, struct pending *p);
/* This node leads the partition, and nothing of its own is on its way to another leader (T2). */
bool router_leads_here(const struct router *router, const struct partition *partition);

/* --- router_as_of.c: the same for a read as of a position; it may have been refused */
bool router_read_as_of(struct router *router, struct pending *p);
void router_refuse_late_as_of(struct pending *p); /* its time has passed; it is in no queue */

/* --- router_read.c: whether it was a read that this node's replica may answer by itself: then it
 * is on its way to its answer. */
bool router_read_here(struct router *router, struct pending *p);
/* All others, and most where this node leads, go the leader's way: they pay for no call. */
static inline bool router_may_read_here(const struct pending *p)
{
    return p->spec->place == PLACE_READ &&
           (p->wants.level != READ_LINEARIZABLE || !p->partition->led);
}
/* A read that needs no proof, or none any more, is on its way to its answer: its quota's, if that
 * refuses it. */
void router_serve_unproven(struct pending *p);
/* Whether this node's state as it is serves it: then it is on its way to its answer. */
bool router_serve_now(struct router *router, struct pending *p);
/* A read of a session that only a proof may answer: what it has seen is not known to the slot, or
 * the leader is wanted for a while (G7). */
bool router_wants_proof(const struct pending *p);
/* It goes to the leader, whose proof gives a session what it must be shown, or tells that it is
 * lost; also where it comes to later, however weak what it asked for was. */
void router_prove(struct pending *p);
/* Nobody answered in time: of a read of a session or within a bound, and where the status is STALE,
 * that is -STALE with how far this node's replica is behind. */
void router_refuse_late(struct pending *p, enum qr_status status);
/* The same of a read, without a pending, and where nothing of its client is ahead of it: it has
 * been answered. */
bool router_read_now(struct router *router, struct partition *partition, struct stream *stream,
                     const struct command_spec *spec, uint8_t version, const struct op *head,
                     const struct span *argv);

/* One that waits for an index has waited long enough: the leader is to answer it. */
bool router_index_is_late(const struct pending *p, qr_time now);

/* --- router_aside.c: reads of pinned sessions, which another node's replica answers. */

/* Which other node that is; NODE_NONE: it is this one, or there is none. */
node_index router_pinned_to(const struct router *router, const struct partition *partition,
                            const struct wants *wants);
enum aside {
    ASIDE_NOT,    /* nothing of that kind: it may be read here, or at the leader */
    ASIDE_SENT,   /* it is on its way there */
    ASIDE_LEADER, /* it cannot go there now: at the leader */
};
enum aside router_read_aside(struct router *router, struct pending *p);
/* It has waited long enough for that node. */
bool router_aside_is_late(const struct pending *p, qr_time now);
/* What that peer was asked aside goes another way. */
void router_asides_lost(struct router *router, node_index peer);
/* A peer has sent it: it is answered from what is here now, or refused. */
void router_take_aside(struct router *router, struct pending *p);

/* --- router_forward.c */

/* Puts p into the window, under an id; what it asks for of another node. */
void router_enter(struct router *router, struct pending *p);
struct wants router_wants_there(const struct pending *p);

/* Whether something may go to that leader now. */
bool router_may_forward(const struct router *router, const struct track *track, node_index leader);
void router_forward(struct router *router, struct pending *p, node_index leader);
/* Takes p out of the window. */
void router_settle(struct router *router, struct pending *p);
/* Nothing more goes to the target until all that is on its way there is settled (T2). */
void router_drain(struct router *router, struct track *track);
/* What is on its way in tracks that are marked so is given up (T4). */
void router_give_up(struct router *router);
/* The leader cannot have proposed it: it has not got all of it. */
bool router_is_held_back(const struct pending *p);

/* --- router_turn.c */

/* Puts p into its track's queue behind `at`, NULL: in front. */
void router_insert(struct router *router, struct pending *at, struct pending *p);

/* --- router.c: whether p, which is in keyspace 0, may have a key of another one: the map by which
 * it was routed did not have the prefix yet. Nobody would find what it wrote. */
bool router_may_be_astray(const struct pending *p);
/* Then: whether it has. */
bool router_is_astray(const struct pending *p, const struct op *op);

/* --- router_relay.c: T2: what the peer sends in this epoch after it is refused as well. */
void router_refuse_relayed(struct pending *p);
/* Gives back relays that have not been needed of late, a few at a time; all of a peer; all of a
 * track. What is pending in them is answered to nobody. */
void router_trim_relays(struct router *router, qr_time now);
void router_forget_peer(struct router *router, node_index peer);
void router_forget_relays(struct router *router, struct track *track);

/* --- router_wait.c: WAIT is counted here; it goes on to a leader with what is left of its time;
 * there is no leader. */
void router_begin_wait(struct router *router, struct pending *p);
void router_shorten_wait(struct router *router, struct pending *p);
void router_refuse_wait(struct pending *p);

/* --- router_cargo.c: here, p's large arguments go into the log. */
void router_load(struct router *router, struct pending *p);
/* Sends on what may be sent of large arguments. */
void router_send_pieces(struct router *router);
/* The command of a peer that p stands for has large arguments, which come in pieces; false when
 * they make no sense. */
bool router_expect_pieces(struct relay *relay, struct pending *p, const struct op *op);
/* The next bytes of the arguments of that command; false when they are too many. */
bool router_piece_came(struct relay *relay, uint64_t id, struct span bytes);
/* No more of the relay's pieces are wanted. */
void router_drop_loads(struct relay *relay);

#endif
