/* Followers that are behind, as the leaders of their partitions see them (features L12; asks U17,
 * U20, U22, U53, U54), and what a keyspace's MAXLAG does about them.
 *
 * B1 A partition is looked at while one of its followers lacks something; of the others nothing is
 *    kept. Of ten thousand that are idle none is.
 * B2 A follower that is being brought up has no lag: it gets a checkpoint, and its state says so.
 * B3 LAGGING STALL: while a follower that takes part is further behind than MAXLAG, writes wait;
 *    each for STALL_PATIENCE at most, then it is refused with -THROTTLED, not applied. A follower
 *    that is not connected, or has made no progress for FEED_PATIENCE, has no pace: nobody waits
 *    for it, the alarm LAG tells of it.
 * B4 LAGGING DROP: a follower further behind is fenced. It gets no entries, and to group 0 it has
 *    not caught up: so in a set it is replaced by another one, and nothing is committed with fewer
 *    copies than ACK says. It is fed again once it answers in time for DROP_PAUSE.
 * B5 The alarm LAG is raised about a node when one of the partitions that are led here finds it
 *    behind by lag-alarm-ms, or beyond MAXLAG, or its feed does not move though it is connected; it
 *    is over when none finds it behind by a quarter of that.
 * B6 LAGGING REJECT: a follower further behind refuses reads that it would answer by itself. It
 *    finds that out by itself, also when it is cut off: while it is read from it asks for indexes
 *    (proofs.h), and what it has not heard of for so long it lacks. Writers notice nothing. */
#ifndef NODE_LAGGING_H
#define NODE_LAGGING_H

#include "base/limits.h"
#include "cluster/lag.h"
#include "node/proofs.h"

struct lagging; /* of one partition */
struct node;
struct partition;

#define LAGGING_INTERVAL (100 * QR_MILLISECOND)
#define STALL_PATIENCE QR_SECOND
#define FEED_PATIENCE (10 * QR_SECOND)
#define DROP_PAUSE QR_SECOND

/* What the state of a follower is called: docs/info.md. */
#define FOLLOWER_STATES(S)                                                                 \
    S(AWAY, "away")           /* not connected */                                          \
    S(BOOTSTRAP, "bootstrap") /* it gets a checkpoint */                                   \
    S(FENCED, "fenced")       /* it does not count: it forgot something, or was dropped */ \
    S(CATCHUP, "catchup")     /* it lacks much */                                          \
    S(THROTTLED, "throttled") /* writes wait for it */                                     \
    S(ONLINE, "online")

enum follower_state {
#define FOLLOWER_TAG(NAME, name) FOLLOWER_##NAME,
    FOLLOWER_STATES(FOLLOWER_TAG)
#undef FOLLOWER_TAG
        FOLLOWER_STATE_COUNT
};
static inline const char *follower_state_name(enum follower_state state)
{
    static const char *const names[] = {
#define FOLLOWER_NAME(NAME, name) [FOLLOWER_##NAME] = name,
        FOLLOWER_STATES(FOLLOWER_NAME)
#undef FOLLOWER_NAME
    };
    return names[state];
}

struct follower_sight {
    enum follower_state state;
    bool known; /* `lag` says something: B2, and it has answered this leader */
    qr_slot match;
    struct lag lag;
    qr_time silence; /* since its last answer; -1: there was none */
};

/* Of a partition that this node leads, of one of its other members. */
struct follower_sight lagging_of(struct partition *partition, node_index member);

/* The partition has had its turn, before which its log ended at `before`, and in which that grew by
 * so many bytes. */
void lagging_turn(struct partition *partition, qr_slot before, uint64_t bytes);
/* It has no replica any more, or does not lead. */
void lagging_forget(struct partition *partition);
/* Now and then: all that have somebody behind. */
void lagging_look(struct node *node, qr_time now);

/* B3: a write that has come at `since` has waited for long enough. */
bool lagging_refuses(const struct partition *partition, qr_time since);
/* B6: of this node's replica, which follows. */
enum behind lagging_rejects(const struct partition *partition);
/* B4 */
bool lagging_is_dropped(const struct partition *partition, node_index member);

/* What the partitions that are led here find of a node, but group 0, which is health.c's (B5). */
struct lagging_worst {
    qr_time age;
    bool raise; /* beyond what is allowed */
    bool keeps; /* not yet over */
    char text[120];
};
/* Of a node: the partitions that have somebody behind. */
struct lagging_list {
    struct lagging *first, *last;
    uint32_t count;
    uint32_t left; /* of the round under way */
    qr_time next;
    struct lagging_worst found[MEMBERS_MAX]; /* in this round so far, */
    struct lagging_worst worst[MEMBERS_MAX]; /* and in the last whole one */
};

#endif
