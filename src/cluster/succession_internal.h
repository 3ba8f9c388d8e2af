/* Shared by the parts of succession.h: rules and duties. */
#ifndef CLUSTER_SUCCESSION_INTERNAL_H
#define CLUSTER_SUCCESSION_INTERNAL_H

#include "cluster/succession.h"

/* Of a node that is none: the empty set. */
static inline uint16_t succession_bit(node_index node)
{
    return (uint16_t)(node < MEMBERS_MAX ? 1u << node : 0);
}

static inline uint32_t succession_count(uint32_t set)
{
    return (uint32_t)__builtin_popcount(set);
}

static inline bool succession_has(uint16_t set, node_index node)
{
    return node < MEMBERS_MAX && (set >> node & 1) != 0;
}

/* The lowest `most` of the nodes. */
static inline uint16_t succession_lowest(uint16_t nodes, uint32_t most)
{
    uint16_t taken = 0;
    for (; nodes != 0 && most > 0; most--) {
        taken |= (uint16_t)(nodes & -nodes);
        nodes &= (uint16_t)(nodes - 1);
    }
    return taken;
}

static inline bool succession_is_local(const struct succession_rule *rule)
{
    return rule->set == 0 && rule->copies == 0;
}

/* Whether the primary and those nodes suffice for a write. */
static inline bool succession_can_meet(const struct succession_rule *rule, node_index primary,
                                       uint16_t nodes)
{
    uint16_t others = (uint16_t)(nodes & rule->members & ~succession_bit(primary));
    return (rule->set & ~others & ~succession_bit(primary)) == 0 &&
           succession_count(others & ~rule->set) >= rule->copies;
}

/* Ends the term: writes down the next one, without a primary. */
void succession_open(const struct succession *now, const struct succession_scene *scene,
                     enum succession_reason why, struct succession_action *out);

/* Takes up the duty for that rule in that term; room can be made for it (S8). */
void succession_owe(struct succession *next, const struct succession_rule *rule, node_index primary,
                    qr_term term);

/* Whether that duty is in the record, or room can be made for it. */
bool succession_has_room(const struct succession *now, const struct succession_rule *rule);

/* Discharges what is held under the present rule as well (S7). */
void succession_settle(struct succession *next);

/* Whether others than the members are still needed for what was owed before a settled LOCAL, and
 * each of these has all of it. */
bool succession_is_held(const struct succession *now, const struct succession_scene *scene);
/* Then any of them will do (S7). */
void succession_gather(struct succession *next);

/* A term without a primary: the choice (S5, S6). */
void succession_choose(const struct succession *now, const struct succession_scene *scene,
                       struct succession_action *out);

/* A term whose primary goes on: members, set, rule, fallback (S8 to S10). */
void succession_change(const struct succession *now, const struct succession_wish *wish,
                       const struct succession_scene *scene, struct succession_action *out);

#endif
