/* What a node looks after beside commands: its peers, its health and its lease, what the map asks
 * of it, checkpoints and files that go to and fro. A chore looks at what there is, and says when it
 * wants to be called at the latest (node->wake). All run in one go, and not in a turn that did
 * nothing but commands: most do.
 *
 * C1 What is not known to be plain makes the chores run. Each callback from io counts unless it has
 *    said itself that it is plain (io_plain): what a client or a peer sends, a sync of the log, the
 *    timer. Of what these cause, whatever is more than a command says so (node_stir): so what is
 *    new or was forgotten among callbacks costs time, and never a deadline.
 * C2 They run when the time has come that one of them has named, when the log has grown by much,
 *    and every CHORES_INTERVAL in any case.
 * C3 Whoever has something under way whose end nobody tells asks for every turn (node_stay). */
#ifndef NODE_CHORES_H
#define NODE_CHORES_H

#include "base/types.h"

struct node;
struct outlook;

#define CHORES_INTERVAL (100 * QR_MILLISECOND)

struct chores {
    bool stirred;      /* something is to be looked at: in this turn, or at once after it */
    bool stays;        /* in the next turn, whenever that is */
    uint64_t position; /* of the log, from which on they run in any case */
    uint64_t runs;     /* for figures */
    uint32_t seen;     /* of group 0's outlook */
    uint64_t seen_term, seen_members;
};

/* Group 0's protocol has made a step. */
void chores_outlook(struct chores *chores, const struct outlook *o);

/* Whether they are to run in this turn. */
bool chores_due(const struct chores *chores, bool special, qr_time now, qr_time due,
                uint64_t position);

/* house.c: once in a turn, behind the turns of the partitions. */
void chores_turn(struct node *node, qr_time now);

#endif
