/* A cluster on paper for the tests of placement: its map, who is there, and plans carried out on it
 * one after the other. */
#ifndef TESTS_CLUSTER_PLACE_WORLD_H
#define TESTS_CLUSTER_PLACE_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "cluster/place.h"
#include "cluster/records.h"
#include "protocol/quorum.h"
#include "tests/unit/cluster/put_records.h"

struct cluster {
    struct map *map;
    struct place_nodes nodes;
    uint32_t next_group, next_keyspace;
};

static inline void put_in_zone(struct cluster *c, node_index i, const char *zone, bool draining)
{
    struct map_node node = { .id = i + 1u, .draining = draining };
    (void)snprintf(node.zone, sizeof node.zone, "%s", zone);
    put_node(c->map, i, &node);
}

static inline struct cluster cluster_of(uint32_t nodes)
{
    struct cluster c = { .map = map_new(), .next_group = GROUP_FIRST, .next_keyspace = 16 };
    c.nodes.members = (uint16_t)((1u << nodes) - 1);
    c.nodes.live = c.nodes.members;
    return c;
}

static inline enum place_status create(struct cluster *c, uint32_t replicas, uint32_t partitions)
{
    enum place_status status = place_check(c->map, &c->nodes, replicas, partitions);
    if (status != PLACE_OK) {
        return status;
    }
    struct placement *placed = qr_alloc(partitions * sizeof *placed);
    place_found(c->map, &c->nodes, replicas, c->next_group, partitions, NULL, placed);
    char name[16];
    (void)snprintf(name, sizeof name, "k%u", (unsigned)c->next_keyspace);
    struct map_keyspace k = a_keyspace(c->next_keyspace++, name, "", c->next_group, partitions);
    k.replicas = (uint8_t)replicas;
    put_keyspace(c->map, &k);
    for (uint32_t i = 0; i < partitions; i++) {
        struct map_partition p =
            map_found(&k, i, c->next_group + i, placed[i].nodes, placed[i].leads);
        assert_true((p.wish & node_bit(p.prefers)) != 0);
        put_partition(c->map, &p);
    }
    c->next_group += partitions;
    free(placed);
    return PLACE_OK;
}

struct figures {
    uint32_t load[MEMBERS_MAX], leads[MEMBERS_MAX];
    uint32_t replicas, crowded;
};

static inline uint32_t zone_of(const struct cluster *c, node_index i)
{
    const char *zone = map_node(c->map, i)->zone;
    return zone[0] == 0 ? 1000u + i : (uint32_t)zone[strlen(zone) - 1];
}

static inline struct figures count(const struct cluster *c)
{
    struct figures f = { .replicas = 0 };
    const struct map_partition *p = map_partition_after(c->map, 0);
    for (; p != NULL; p = map_partition_after(c->map, p->group)) {
        bool crowded = false;
        for (node_index i = 0; i < MEMBERS_MAX; i++) {
            bool holds = (p->wish >> i & 1) != 0;
            f.load[i] += holds;
            f.leads[i] += p->prefers == i;
            f.replicas += holds;
            for (node_index k = 0; k < i; k++) {
                crowded =
                    crowded || (holds && (p->wish >> k & 1) != 0 && zone_of(c, i) == zone_of(c, k));
            }
        }
        assert_true((p->wish >> p->prefers & 1) != 0);
        f.crowded += crowded;
    }
    return f;
}

/* The widest difference among a set of nodes. */
static inline uint32_t spread(const uint32_t *v, uint16_t set)
{
    uint32_t least = UINT32_MAX;
    uint32_t most = 0;
    for (uint32_t rest = set; rest != 0; rest &= rest - 1) {
        uint32_t n = v[set_first(rest)];
        least = n < least ? n : least;
        most = n > most ? n : most;
    }
    return most - least;
}

/* Carries out a plan, as far as it may be, and settles it; how many records that took. */
static inline uint32_t carry_out(struct cluster *c, bool balancing, uint32_t moves, uint32_t *moved)
{
    struct place_plan plan;
    place_plan(c->map, &c->nodes, balancing, &plan);
    struct map_partition *due = qr_alloc((plan.count + 1) * sizeof *due);
    uint32_t n = place_due(c->map, &c->nodes, &plan, moves, due, plan.count);
    for (uint32_t i = 0; i < n; i++) {
        *moved += due[i].epoch > due[i].settled;
        map_settle(&due[i]);
        put_partition(c->map, &due[i]);
    }
    free(due);
    place_plan_free(&plan);
    return n;
}

static inline uint32_t carry_out_all(struct cluster *c, bool balancing)
{
    uint32_t moved = 0;
    for (uint32_t rounds = 0; carry_out(c, balancing, 3, &moved) > 0; rounds++) {
        assert_true(rounds < 5000);
    }
    return moved;
}

#endif
