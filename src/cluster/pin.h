/* Which of several nodes reads for a session that is pinned (SESSION PIN, feature G8): rendezvous
 * hashing (Thaler and Ravishankar 1998). Each node draws a number from the session's hash and its
 * own index, and the highest one wins. So all nodes find the same one, with nothing kept anywhere;
 * and when a node goes only those sessions move that were its own, evenly to all others, and come
 * back with it.
 *
 * Every node must draw alike, of whatever version: what is drawn never changes. Pure. */
#ifndef CLUSTER_PIN_H
#define CLUSTER_PIN_H

#include "base/types.h"

#define PIN_TEXT_MAX 256u

/* Of what a session is pinned by; never 0, which says that one is not. */
uint64_t pin_hash(struct span text);

/* One of the set; NODE_NONE: it is empty. */
node_index pin_pick(uint64_t hash, uint16_t nodes);

#endif
