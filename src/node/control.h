/* The control plane at this node: the map of keyspaces and partitions as group 0 has decided it,
 * and, while this node leads group 0, whoever changes it.
 *
 * What is to change is composed here as a set of records (edit.h) and proposed as one entry, which
 * is executed only if nothing else was written since: so a change that was composed on one state is
 * never carried out on another, whoever leads.
 *
 * C1 One change at a time is under way; orders that want another stand in line, in order of
 *    arrival, and are judged anew when it is their turn. In the leadership that proposed it a
 *    change ends only when it is decided, not when whoever waits has waited for too long (C2):
 *    as long as it is in the log it may be made.
 * C2 An order is refused with nothing changed, or answered when its change is decided and known to
 *    all nodes that are connected, or -UNCERTAIN when leadership ended in between, or when it is
 *    not decided after request-timeout.
 * C3 A change of a prefix is proposed when no node goes by it any more (cluster/coverage.h).
 * C4 An order that changes another rule is answered OK when no node goes by the one before: each
 *    has the change, or is covered no more (V5). */
#ifndef NODE_CONTROL_H
#define NODE_CONTROL_H

#include "base/text.h"
#include "cluster/map.h"
#include "node/edit.h"

struct control;
struct node;
struct pending;

struct control *control_new(struct node *node);
void control_free(struct control *control);

/* --- The map --------------------------------------------------------------------------------- */

/* The engine of group 0 that is made next tells of every change; call it before that is made. */
void control_watch(struct node *node);

/* Of the control state that the map shows. */
uint64_t control_version(const struct node *node);
/* A map of that version or a later one has all changes of rules that this node knows of. */
uint64_t control_rules_version(const struct node *node);

/* The level that is active in the whole cluster (R9), and the highest that this binary knows. */
uint32_t control_level(const struct node *node);
uint32_t control_level_known(const struct node *node);

/* --- Orders, while this node leads group 0 --------------------------------------------------- */

/* Whether p, an order, may compose a change now. If not it stands in line, or is refused: the
 * caller returns. */
bool control_begins(struct node *node, struct pending *p);

/* The same, for an order that goes by the map and changes something else: also what earlier leaders
 * have wished must be in the map. */
bool control_rests(struct node *node, struct pending *p);

/* p's change is to be made. It is answered when all connected nodes know it and, with `keyspace`
 * not 0, when all partitions of that keyspace have leaders; at the latest 2 s after it is
 * decided. With CONTROL_RULES the change is one of rules that are no prefixes: C4, at the latest
 * RULES_TIME later. The edit is used up. */
#define CONTROL_RULES UINT32_MAX
void control_propose(struct node *node, struct pending *p, struct edit *edit, uint32_t keyspace);

/* Whether a change of its own may be composed now (C1). */
bool control_may_compose(const struct node *node);
/* A change that nobody waits for. False: not now. The edit is used up. */
bool control_propose_own(struct node *node, struct edit *edit);

/* p is judged again when figures have come from all connected nodes (reports.h) and the keyspace's
 * partitions have leaders, or do not. */
void control_await_reports(struct node *node, struct pending *p, uint32_t keyspace);

/* --- The turn -------------------------------------------------------------------------------- */

void control_turn(struct node *node, qr_time now);
/* Whether nothing was left to its next turn. */
bool control_is_current(const struct node *node);

/* Orders that stand in line or wait for others. */
uint32_t control_waiting(const struct control *control);

#endif
