/* Who takes part in a world, and who is behind each index: sets, directories, orders. */
#ifndef SIM_MEMBERS_H
#define SIM_MEMBERS_H

#include "sim/world.h"

uint32_t members_epoch(const struct sim_node *n); /* that the membership in force serves */
/* In force in this log: what its last such entry states, or `before`. */
struct membership_at members_in_force(const struct image *i, struct membership_at before);
const struct membership *members_decided(const struct world *w); /* the latest committed one */
void members_commit(struct world *w, qr_slot slot, qr_term term, const struct membership *m,
                    uint32_t roster);
/* Who is behind the indexes: of an entry that the node makes; whom its log names at one, + 1, 0:
 * nobody; whether what a directory says there is stepped (node/members.h: I1, I2). */
uint32_t members_roster(struct world *w, const struct sim_node *n, const struct membership *m);
uint32_t members_named(const struct world *w, const struct sim_node *n, node_index i);
bool members_speaks(struct world *w, struct sim_node *n, node_index from, uint32_t identity);
uint32_t members_order(struct world *w, node_index at, enum verb verb, uint16_t nodes, bool forced);
void members_arrive(struct world *w, struct sim_node *n, uint32_t order);
void members_answer(struct world *w, struct sim_node *n, uint32_t order, enum qr_status status);
/* The disk of the node is gone, or damaged from `entries` before its end on. False when that would
 * be more than the protocol promises to survive. */
bool members_wipe(struct world *w, node_index node);
bool members_damage(struct world *w, node_index node, uint64_t entries, int64_t state);
bool members_may_lose(const struct world *w, node_index node);
uint16_t members_forgetful(const struct world *w); /* who has forgotten something */
/* Nodes that can decide whatever is decided in their logs; mostly no more than it takes. */
uint16_t members_core(struct world *w);

#endif
