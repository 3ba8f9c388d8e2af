/* What must hold, looked at while the world runs (safety.c, members.c) and at its end. Each ends
 * the run with world_violation. */
#ifndef SIM_CHECKERS_SAFETY_H
#define SIM_CHECKERS_SAFETY_H

#include "sim/members.h"

/* checkers/safety.c */
void safety_appended(struct world *w, struct sim_node *n, qr_slot slot);
void safety_voided(struct world *w, qr_slot slot, qr_term term);
void safety_truncating(struct world *w, struct sim_node *n, qr_slot from);
void safety_leading(struct world *w, struct sim_node *n); /* before the effects of a step */
void safety_after_step(struct world *w, struct sim_node *n);
void safety_applying(struct world *w, struct sim_node *n, qr_slot slot, const struct entry *e);
void safety_restarted(struct world *w, struct sim_node *n);
void safety_at_end(struct world *w);
uint64_t safety_chain(uint64_t before, const struct entry *e);

/* checkers/members.c */
void safety_stated(struct world *w, struct sim_node *n, qr_slot slot, const struct membership *m);
void safety_sent(struct world *w, struct sim_node *n, const struct effect *x);
void safety_installing(struct world *w, struct sim_node *n, const struct checkpoint *file);
void safety_lost(struct world *w, struct sim_node *n);
void safety_recovered(struct world *w, struct sim_node *n);
void safety_members(struct world *w, struct sim_node *n, const struct outlook *o);
void safety_unanswered(struct world *w);
const char *safety_unsettled(struct world *w, uint16_t core, qr_slot target);
void safety_answered(struct world *w, struct sim_node *n, const struct order *order);
bool safety_on_disk(const struct sim_node *n, qr_slot slot, uint64_t chain);

#endif
