/* The driver of one replica: events into its protocol, effects out to log, engine, peers and
 * streams (design: Driver).
 *
 * Promises to the protocol (protocol.h) are kept here: tickets map to log positions, effects with
 * `after` are held, records are attached from the log. Promises to the streams (stream.h) too:
 *
 * D1 A write is answered OK only when its slot is applied with its own term; it is surely not
 *    applied only when its slot is applied with another term. Being truncated here proves nothing:
 *    another member may still hold it and be elected.
 * D2 Nothing is applied before the protocol said so, and every entry once, in order. */
#ifndef NODE_REPLICA_H
#define NODE_REPLICA_H

#include "base/prefetch.h"
#include "node/roster.h"
#include "node/stream.h"
#include "protocol/protocol.h"

struct op; /* command/op.h */

struct partition;
struct replica;
struct checkpoint_header;

/* What the replica begins with: the state that the engine holds. */
struct replica_base {
    qr_slot slot; /* of the checkpoint; 0: there is none */
    qr_term term;
    struct roster roster; /* in force at `slot`, and the slot of its entry */
    qr_slot roster_slot;  /* 0: the one that the group was made with */
    qr_term commit_term;  /* in which the state was known to be committed; 0: not known */
    bool forgetful;       /* this node has lost what it promised (damage.h) */
    bool installed;       /* it came from another node: a log that disagrees is older */
};

/* Builds the partition's replica beside the log and its engine. It does nothing before
 * replica_start: messages are dropped, it neither leads nor follows. NULL with a message when what
 * the log says of the members cannot be read. */
struct replica *replica_new(struct partition *partition, const struct protocol *protocol,
                            node_index me, const struct replica_base *base, char *message,
                            size_t cap);
/* Steps START; the log has no holes any more. False with a message when log and checkpoint do not
 * fit together. */
bool replica_start(struct replica *r, const struct replica_base *base, char *message, size_t cap);
void replica_free(struct replica *r);

/* --- Events --------------------------------------------------------------------------------- */

/* A message of the protocol from a peer: its encoded body and the records attached to it. Returns
 * false when it is malformed (the caller closes the connection). */
bool replica_receive(struct replica *r, node_index from, uint16_t kind, struct span body,
                     qr_slot lo, qr_slot hi, qr_term term, struct span records);
/* It will be touched soon (base/prefetch.h): what it has itself, and when that has come, what a
 * step needs, with a message of `from` or, NODE_NONE, for a command. */
#define REPLICA_HOT_BYTES (5 * CACHE_LINE_BYTES) /* what each write touches stands in them */
static inline void replica_prefetch(const struct replica *r)
{
    qr_prefetch(r, REPLICA_HOT_BYTES);
}
void replica_prefetch_step(const struct replica *r, node_index from);
/* Whether the entry could be applied. */
struct record;
bool replica_has_meaning(struct replica *r, const struct record *record);
void replica_peer(struct replica *r, node_index peer, bool up);
/* Everything below `position` of the log is durable. */
void replica_durable(struct replica *r, uint64_t position);
/* Whether nothing but messages to others waits for the log. Then they can go without a turn. */
bool replica_awaits_only(const struct replica *r);
void replica_durable_aside(struct replica *r, uint64_t position);
/* A checkpoint holds the state up to `slot` (0: there is none yet). Entries up to `release` may go
 * whoever needs them, those behind `pin` may not. */
void replica_checkpointed(struct replica *r, qr_slot slot, qr_slot release, qr_slot pin);
/* Another node's checkpoint is here, whole and durable: the protocol installs it or not. */
void replica_offer(struct replica *r, node_index from, const struct checkpoint_header *header,
                   const struct roster *roster);
void replica_admin(struct replica *r, enum admin_kind order, uint64_t argument);
/* ADMIN_TRANSFER that nobody waits for. */
void replica_hand_over(struct replica *r, node_index to, qr_time timeout);
/* Whether group 0 names its leader (views.h), */
bool replica_has_views(const struct replica *r);
/* ... and then: a view that was written down; whether the lease counts. */
void replica_view(struct replica *r, const struct view *view);
void replica_lease(struct replica *r, bool held);

/* --- Commands; only while replica_leads ----------------------------------------------------- */

bool replica_leads(const struct replica *r);
/* Whether a write of n op bytes fits now (P4, R4). */
bool replica_has_room(const struct replica *r, size_t n);
/* Whether the reply of that write will be kept back until others have it too (zones.c). */
bool zones_await_reply(const struct pending *p);
/* Why there cannot be as many copies as p wants, by those who are here: it is not carried out.
 * NULL: there can, or it wants none. */
const char *zones_lack(const struct pending *p);
/* Adds a write to this turn's batch; the caller encodes its op (n bytes) into the result at once.
 */
uint8_t *replica_write(struct replica *r, struct pending *p, size_t n);
/* A write whose large arguments go into the log ahead of it; p keeps its op until then. */
void replica_load(struct replica *r, struct pending *p);
/* A cargo of which the log has a part goes, and its command was not proposed. */
void replica_abandon(struct replica *r, const struct cargo *cargo);
/* A position (cluster/position.h) of its history at that slot; 0: not known. */
qr_slot replica_position(const struct replica *r, qr_slot slot);
/* The slot that has to be applied here to show that position; POSITION_NEVER: none does. */
qr_slot replica_needs(const struct replica *r, qr_slot position);
/* Adds a read, whose p->op is set, to this turn's batch; also where replica_may_ask. */
void replica_read(struct replica *r, struct pending *p);
/* A read that needs no proof (enum read_level), from what is applied here; of any replica. */
void replica_read_unproven(struct replica *r, struct pending *p);
/* p is about to leave for another node: the reads that its client has ahead of it are answered now,
 * wherever they wait, as long as what p does cannot be here (stream.h S2). Those that cannot be are
 * put into `left`, in order, and are the router's again. */
void replica_serve_before(struct replica *r, struct pending *p, struct pendings *left);
/* What it knows of how fresh it is (cluster/freshness.h). It may be read from when it is a member
 * that counts, has lost nothing, and has, in this life, applied all that a leader then told it is
 * committed. It may be behind since. */
struct freshness;
void replica_freshness(struct replica *r, struct freshness *out);
/* The time, by this node's clock, as of which its state shows all that was acknowledged; 0: it does
 * not know. */
qr_time replica_fresh_at(struct replica *r);
/* Whether replica_read may be given a read here though another node leads: the protocol asks the
 * leader for a slot, and the read is served when that is applied here. */
bool replica_may_ask(const struct replica *r);
/* Whether what was asked so of late came about as soon as the leader's own answer would have; it
 * did not. */
bool replica_asks_in_time(const struct replica *r);
void replica_asked_late(struct replica *r);
/* Asks for one on its own, for those that will come: it is that much fresher soon. */
void replica_ask_ahead(struct replica *r);
/* Whether it has, in this life, applied all that was committed when it asked the leader for a slot.
 * Asks until it has: what it hears of a leader before only tells what its own log has in common
 * with that one's. */
bool replica_catches_up(struct replica *r);
/* A lease covers whatever is read now. */
bool replica_holds_lease(const struct replica *r);
/* Its keyspace may say something else of its past now. True: some of what was kept is still to go,
 * a slice in each turn. */
bool replica_tend_past(struct replica *r);
/* The oldest slot that can be asked for at READ_SNAPSHOT; false: nothing is kept of the past. */
bool replica_past_floor(struct replica *r, qr_slot *floor);
/* Executes a read at once and answers it. The caller has found that it needs no proof, or that the
 * lease gives it. False: nothing was done, something is in its way. The stream has nothing pending;
 * `head` has the op's tag, db and argc. */
bool replica_read_now(struct replica *r, struct stream *stream, const struct command_spec *spec,
                      uint8_t version, const struct op *head, const struct span *argv);
/* WAIT: answered when `wanted` members hold what the stream has written, or at p->until, which is
 * told by replica_end_wait. */
void replica_wait(struct replica *r, struct pending *p);
void replica_end_wait(struct replica *r, struct pending *p);
/* An ADMIN event for the protocol that p waits for: it gets OK, or the status that the protocol
 * answers. */
void replica_order(struct replica *r, struct pending *p, struct event *event);
/* An order that changes the members, with p or without, in which case the refusal is returned, or
 * OK when it is under way; `brought` says who has an index anew, by index, id 0: nobody. */
enum qr_status replica_change(struct replica *r, struct pending *p, struct event *event,
                              const struct roster_node *brought);
/* The same for a partition's group: a change that serves that epoch (follow.h: F5). */
enum qr_status replica_change_for(struct replica *r, struct event *event, uint64_t epoch);
/* Whether this turn has gathered writes that are not submitted yet. */
bool replica_gathers(const struct replica *r);
/* The stream takes replies again: its parked reads go on, each in its replica. */
void replica_unpark(struct stream *stream);
/* Takes p out of whatever queue it is in here; the caller answers it. */
void replica_forget(struct replica *r, struct pending *p);

/* --- The turn ------------------------------------------------------------------------------- */

/* Submits what the turn has gathered, fires timers, applies a slice, refreshes the outlook. */
void replica_turn(struct replica *r);
/* It does not lead, and its protocol's time has come: it is about to campaign. */
bool replica_campaigns(struct replica *r);
/* When the next turn is wanted at the latest; QR_NEVER = not by itself. */
qr_time replica_deadline(struct replica *r);

/* What is queued here, for INFO. */
struct replica_queues {
    uint32_t reads, held;
    uint64_t uncommitted;
    size_t flight_bytes;
    size_t parts_bytes; /* of large arguments, among these entries */
};
void replica_queues(const struct replica *r, struct replica_queues *out);

/* --- Looking in ----------------------------------------------------------------------------- */

void replica_outlook(const struct replica *r, struct outlook *out);
const struct outlook *replica_seen(const struct replica *r); /* as of the end of its last turn */
node_index replica_leader(const struct replica *r);          /* NODE_NONE: unknown */
qr_term replica_term(const struct replica *r);               /* as of the last step */
qr_slot replica_applied(const struct replica *r);
qr_term replica_applied_term(const struct replica *r);
qr_slot replica_state(const struct replica *r); /* the engine holds that, or more (execute.h) */
/* Whether an entry of the term that it is in is applied. A leader's state has all then that leaders
 * before it have acknowledged; before, it may be that of a checkpoint. */
static inline bool replica_is_current(const struct replica *r)
{
    return replica_applied_term(r) == replica_seen(r)->term;
}
/* The state is not to be trusted: nothing more is applied to it and nothing is read from it. */
void replica_freeze(struct replica *r, bool on);
/* The received snapshot takes the place of a frozen state: everything up to its slot is in this
 * node's log, committed, and the log goes on behind it. False: it is none of that, or not yet. */
bool replica_reinstall(struct replica *r, const struct checkpoint_header *header,
                       const struct roster *roster);
/* Before replica_start, where entries or the state are lost: the received checkpoint takes their
 * place. The log goes on behind it, if `keep`, or becomes empty; *base says what the replica begins
 * with. False: the node has failed. */
bool replica_install_repaired(struct replica *r, const struct checkpoint_header *header,
                              const struct roster *roster, bool keep, struct replica_base *base);
/* While it is on nothing is applied that is not durable in this node's own log, and nothing is
 * executed ahead. */
void replica_apply_durable_only(struct replica *r, bool on);
/* What it appends counts as durable when it is written (early.h). */
bool replica_is_lazy(const struct replica *r);
/* What is applied up to here is also durable in this node's own log. */
qr_slot replica_durable_slot(const struct replica *r);
uint64_t replica_log_bytes(const struct replica *r);
node_index replica_me(const struct replica *r);
/* Who takes part: as the latest entry of the log says, committed or not, and as of what is applied
 * here. *slot is that of the entry. */
const struct roster *replica_roster(const struct replica *r, qr_slot *slot);
const struct roster *replica_applied_roster(const struct replica *r, qr_slot *slot);
/* Whether that directory took part and was removed, as far as is remembered. */
bool replica_has_removed(const struct replica *r, const uint8_t uuid[16]);
/* Grows whenever one of the two is another one. */
uint32_t replica_roster_changes(const struct replica *r);
/* Whether any other node votes: without one there is nobody to hand over to. */
bool replica_is_alone(const struct replica *r);

struct log_group;
/* Whether the log holds the entry at `slot`, with that term. */
bool replica_log_holds(const struct log_group *group, qr_slot slot, qr_term term);
/* The term of the entry at `slot`, or of the one that the log begins behind; 0: it is not there. */
qr_term replica_log_term(const struct replica *r, qr_slot slot);

#endif
