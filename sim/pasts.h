/* What nodes keep of their past, in worlds whose sessions read as of positions, and their part in
 * such reads: that of src/node/router_as_of.c and as_of.c. */
#ifndef SIM_PASTS_H
#define SIM_PASTS_H

#include "sim/world.h"

void pasts_draw_options(struct rng *r, struct options *o);
void pasts_draw_plan(struct rng *r, const struct options *o, struct plan *plan);
/* It is told to keep as much. */
bool pasts_change(struct world *w, struct sim_node *n, const struct action *x);

/* The node's values are others now, those of the slot that it has applied: its past begins. */
void pasts_load(struct world *w, struct sim_node *n);
void pasts_end(struct sim_node *n);
/* Before and after the entry at that slot is applied. */
void pasts_enter(struct world *w, struct sim_node *n, qr_slot slot);
void pasts_applied(struct world *w, struct sim_node *n, uint32_t attempt);
void pasts_idle(struct sim_node *n);

enum serve pasts_serve(struct world *w, struct sim_node *n, const struct operation *o);
/* It is served once the position is there, or nobody waits for it any more. */
void pasts_wait(struct sim_node *n, uint32_t attempt, qr_slot position);
bool pasts_came(struct world *w, struct sim_node *n, const struct pending *p);
/* The value as of the operation's position, or why not. */
enum qr_status pasts_read(struct world *w, struct sim_node *n, const struct operation *o,
                          struct model_value *value);

#endif
