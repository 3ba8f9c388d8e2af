/* What a node does about one partition, and when it is safe: from the control state, what the node
 * has of the partition, and how the group stands as its replica sees it.
 *
 * The group's own log is the authority on its members. The map holds the wish and counts the wishes
 * in epochs; the group's leader closes the gap, reports that it is closed, and group 0 notes that
 * down as `settled`. The rules, cited from assertions and tests:
 *
 * F1 Fresh maps. A node creates and deletes replicas only by a map that holds all that it held
 *    before the node's last start: group 0 is applied up to where its log ended there. Group 0's
 *    entry that made a node do something stands in the same log before what the node did, so a
 *    fresh map is never older than a replica. (A checkpoint of group 0 is older than that: by it a
 *    node would delete replicas it has joined since, and all nodes at once after a power failure.)
 *    Nor does a node that has joined by a map from before that: there its index may be another's,
 *    who had founded and promised under it (F8).
 *    Where group 0's replica itself has forgotten, its log may have lost that entry: then up to
 *    where its log ended when it remembered again.
 * F2 Founding. A replica that is nothing but empty, and votes, is made by a founder only, and only
 *    one that cannot have taken part: not `moved`, and its log knows nothing of the group and has
 *    lost nothing. Such a node is no different from a member that was cut off since the group was
 *    made, so neither the time nor the epoch matters: founders may have been down at the creation,
 *    and one that is wished away again is made all the same while it is `held`: to let it go may
 *    take its vote.
 * F3 Joining. Every other replica is made empty and forgetful: by a node that was not a founder,
 *    one that was away and deleted its replica, one whose log may have lost what it knew. It
 *    neither votes nor counts until it holds an entry that its leader made after its start and
 *    others committed without it (protocol/raft/forget.c: V1-V5). The leader feeds members only, so
 *    that log names it a member, and what it said in an earlier life can do no harm any more.
 *    The first durable thing of a joined replica is the state that says that it is forgetful: what
 *    a restart finds tells by itself whether it was founded or joined.
 * F4 Slot 0. Every replica's log begins with the founders' membership, a joined one's too; it is
 *    what the log of the group begins with. Only a forgetful node that founded alone is told none:
 *    it must not take itself for a majority.
 * F5 Epochs stand in the log. Each entry that states the members of a partition's group states the
 *    epoch that it serves; slot 0 serves epoch 1. What the protocol states by itself (the end of a
 *    joint membership, a promotion) serves the epoch of the entry before. A leader orders a change
 *    only for the epoch of its map, and none when its log knows a later one. So along a log epochs
 *    never fall, although leaders may have maps of any age.
 * F6 Settled. A leader reports epoch e when the membership in force is committed, is exactly the
 *    wish of e and serves e. That is final: each later leader has that entry (Leader Completeness)
 *    and goes on only to later epochs (F5). So whoever is in none of the wishes from e on, which is
 *    what `held` collects, is no member, and will not be before a wish of a later epoch names it.
 * F7 Deleting. A node deletes its replica when the group is gone from the map (ids are not used
 *    again: N1), or when it is not `held` and its replica's log knows no later epoch than the map.
 *    A founder that is not held is `moved`, in the same record: it will not found again (F2), even
 *    when its log has forgotten the group.
 * F8 Indexes. An index of group 0's roster is given to another directory only when no partition
 *    holds it or has it as a founder that has not moved (map_index_is_free): else the new node
 *    would pass for the old one, in F2 and in the eyes of the group's members.
 * F9 Never fewer. The wished come in as learners, which the protocol makes voters when they have
 *    caught up; the others are dropped when all the wished vote. Where one voter takes the place of
 *    the only other one the protocol refuses the swap until it has all.
 * F10 Who prefers to lead gets leadership when all else is settled and it could lead at once. Not
 *    where its clock is far from the leader's: the group would take leadership from it again for
 *    that (skew.c: W1), whatever group 0 knows of its clock, and again, ten times a second.
 *
 * F11 Who prefers to lead calls the first election, at once (ADMIN_CALL), and the others wait for
 *     their time-outs; where it is away the first of those that are not does. It asks before it
 *     counts: whoever knows a leader tells it so by not answering.
 * F12 Where group 0 names the primary (succession.h) it also closes the gap: of such a group this
 *    says who founds, joins and deletes, and nothing else. A replica is not deleted while any rule
 *    or duty names its node, or the term that dropped it is not settled.
 *
 * Pure: no clock, no memory of earlier answers. The caller paces what it hears again and again. */
#ifndef CLUSTER_FOLLOW_H
#define CLUSTER_FOLLOW_H

#include "cluster/map.h"
#include "protocol/protocol.h"

#define FOUNDING_EPOCH 1u /* what slot 0 of a log serves (F5) */

enum follow_kind {
    FOLLOW_NOTHING = 0,
    FOLLOW_FOUND,          /* create: empty, with the first membership (F2, F4) */
    FOLLOW_JOIN,           /* create: empty and forgetful (F3, F4) */
    FOLLOW_DELETE,         /* the replica, its part of the log, its files (F7) */
    FOLLOW_CHANGE_MEMBERS, /* order `members` for `epoch` (F5, F9); a refusal is tried again */
    FOLLOW_REPORT_SETTLED, /* tell group 0's leader that `epoch` is reached (F6) */
    FOLLOW_HAND_OVER,      /* leadership to `to` (F10) */
};

/* F1, found out: made anew when group 0's replica starts, with the last slot of its log. */
struct follow_fresh {
    qr_slot upto;
    qr_slot joined; /* of the entry that took the node in */
    bool fresh;
};

/* Looks again, at group 0's replica and what is applied to the map; whether the map is fresh. */
bool follow_look(struct follow_fresh *fresh, const struct outlook *zero, qr_slot applied);

/* What a node has of a partition. */
struct follow_view {
    node_index me;
    bool fresh;       /* F1 */
    bool has_replica; /* with files or in the log, whether or not it is running yet */
    bool log_knows;   /* this node's log holds, or is known to have held, anything of the group */
    bool log_lost;    /* the log was damaged after the group was made: what it does not know it may
                         have lost */
    uint64_t epoch;   /* that the membership in force serves; 0 without a replica (F5) */
    const struct outlook *outlook; /* of the replica; NULL: none is running */
    uint16_t able;                 /* nodes that are up and may lead, as far as is known */
};

struct follow_action {
    enum follow_kind kind;
    struct membership members; /* CHANGE_MEMBERS */
    bool restated;             /* CHANGE_MEMBERS: an entry even if the sets stay as they are */
    uint64_t epoch;            /* CHANGE_MEMBERS, REPORT_SETTLED */
    node_index to;             /* HAND_OVER */
};

/* Of a group that a keyspace was created with, whether or not the map still has it. */
struct follow_action follow(const struct map *map, uint32_t group, const struct follow_view *view);

/* The membership that slot 0 of the group's log states (F4). */
struct membership follow_first_members(const struct map_partition *partition, node_index me,
                                       bool forgetful);

/* Who calls an election where nobody leads (F11); NODE_NONE: nobody of it is alive. */
node_index follow_caller(const struct map_partition *partition, uint16_t alive);

/* Whether the map once had that group and has it no more. */
bool follow_is_gone(const struct map *map, uint32_t group);

#endif
