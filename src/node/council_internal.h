/* The inside of the council, shared by council.c and council_turn.c. */
#ifndef NODE_COUNCIL_INTERNAL_H
#define NODE_COUNCIL_INTERNAL_H

#include "cluster/hearing.h"
#include "node/council.h"

struct council {
    qr_term term;          /* of group 0, in which this node leads it; 0: it does not */
    bool stirred;          /* something was heard since the last look at all */
    struct hearing *group; /* in order of group */
    uint32_t count, cap;
    struct hearing_nodes nodes;
    struct standings received; /* the one being taken in */
};

struct hearing *council_find(const struct council *c, uint32_t group);
struct hearing *council_add(struct council *c, uint32_t group);
/* Whether this node leads group 0; what was heard in another leadership is forgotten. */
bool council_look(struct node *node);

#endif
