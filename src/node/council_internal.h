/* The inside of the council, shared by council.c and council_turn.c. */
#ifndef NODE_COUNCIL_INTERNAL_H
#define NODE_COUNCIL_INTERNAL_H

#include "cluster/hearing.h"
#include "node/council.h"
#include "node/council_orders.h"

struct council {
    qr_term term;          /* of group 0, in which this node leads it; 0: it does not */
    struct hearing *group; /* in order of group */
    uint32_t count, cap;
    struct hearing_nodes nodes;
    struct standings received; /* the one being taken in */

    /* Looks at all partitions (council_turn.c). */
    bool stirred;      /* something was heard since the last one began */
    bool all;          /* the look under way is at calm ones too */
    bool looks;        /* one is under way: */
    uint32_t cursor;   /* up to this group */
    uint64_t told;     /* map_changes of which the others were told (CN7) */
    uint64_t seen;     /* map_changes when it began, */
    uint64_t sight;    /* and what was known of the nodes */
    qr_time next;      /* the next one begins then */
    uint32_t stopped;  /* partitions that have no primary and can have none, as of this look, */
    uint32_t short_of; /* and those whose rule asks for more than are here */
    char stopped_text[160], short_text[160]; /* the first of either */
    struct council_figures figures;
    struct council_orders orders;
};

struct hearing *council_find(const struct council *c, uint32_t group);
struct hearing *council_add(struct council *c, uint32_t group);
/* The order goes to the primary's node. */
void council_hand_over(struct node *node, node_index primary, const struct hand_over *order);
/* Who could be handed the lead of that partition now. */
uint16_t council_able(const struct node *node, uint32_t group);
/* Whether this node leads group 0; what was heard in another leadership is forgotten. */
bool council_look(struct node *node);

#endif
