/* Writes that each zone is to have (zones.c), beside a model of them, by dice: acknowledgements in
 * any order, members and zones that change meanwhile, disks that are lost, leaders that come and
 * go, time that passes. What the model says in two loops over nodes must be what a client hears,
 * no more and no less (Z2, Z3). See apply_world.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../cluster/put_records.h"
#include "apply_world.h"
#include "base/rng.h"

#define SEEDS 2000
#define STEPS 120
#define WRITES 50
#define NODES 5
#define COMMITTED "-UNCERTAIN the write is committed by a majority and was applied, but "
#define IN_ZONE COMMITTED "it is not known yet to be durable in zone '"
#define AT_NODE COMMITTED "it is not known yet to be durable at node "
#define UNKNOWN COMMITTED "it is not known to be durable in each zone"
#define NOT_HEARD \
    COMMITTED "its leader has not heard from group 0 and does not know the zones by now"

enum fate { KEPT, DONE, LATE, NOT_HEARD_LATE, LOST };

struct write {
    qr_slot slot;
    qr_time until;
    enum fate fate;
    bool lacks[NODES]; /* when it was decided: whose zone did not have it, */
    char zone[NODES];  /* and which that was */
};

static struct model {
    struct rng rng;
    char zone[NODES]; /* 0: none */
    struct write write[WRITES];
    uint32_t count, heard;
    qr_term term;
    uint32_t fates[LOST + 1]; /* of all seeds */
} model;

static uint32_t dice(uint32_t sides)
{
    return (uint32_t)rng_below(&model.rng, sides);
}

/* --- The model ------------------------------------------------------------------------------ */

static bool votes(node_index i)
{
    const struct membership *m = &world->outlook.membership;
    return ((m->voters | m->outgoing) >> i & 1) != 0;
}

static bool has(node_index i, qr_slot slot)
{
    return !world->outlook.member[i].forgetful && world->outlook.member[i].match >= slot;
}

static bool zone_of_has(node_index i, qr_slot slot)
{
    bool found = false, knows = node_knows_rules(&world->node);
    for (node_index other = 0; other < NODES; other++) {
        bool same =
            other == i || (knows && model.zone[i] != 0 && model.zone[i] == model.zone[other]);
        found = found || (same && votes(other) && has(other, slot));
    }
    return found;
}

static void judge(struct write *w)
{
    bool all = true;
    memcpy(w->zone, model.zone, sizeof w->zone);
    for (node_index i = 0; i < NODES; i++) {
        w->lacks[i] = votes(i) && !zone_of_has(i, w->slot);
        all = all && !w->lacks[i];
    }
    bool knows = node_knows_rules(&world->node);
    if (world->outlook.role != ROLE_LEADER) {
        w->fate = LOST;
    } else if (all) {
        w->fate = DONE;
    } else if (world->now >= w->until) {
        w->fate = knows ? LATE : NOT_HEARD_LATE;
    }
}

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* It names somebody who lacks it. */
static bool names_one_who_lacks(const struct write *w, const char *reply)
{
    bool found = false;
    for (node_index i = 0; i < NODES; i++) {
        char text[256];
        if (w->zone[i] != 0) {
            (void)snprintf(text, sizeof text, IN_ZONE "%c'\r", w->zone[i]);
        } else {
            (void)snprintf(text, sizeof text, AT_NODE "%u,", (unsigned)i + 11);
        }
        found = found || (w->lacks[i] && begins(reply, text));
    }
    return found;
}

static bool is_answer(uint32_t n, const char *reply)
{
    const struct write *w = &model.write[n];
    char number[32];
    (void)snprintf(number, sizeof number, ":%u\r", n + 1);
    switch (w->fate) {
    case KEPT:
        return false;
    case DONE:
        return begins(reply, number);
    case LATE:
        return names_one_who_lacks(w, reply);
    case NOT_HEARD_LATE:
        return begins(reply, NOT_HEARD);
    case LOST:
        return begins(reply, UNKNOWN);
    }
    return false;
}

/* After each turn: what was heard is what the model says, in order. */
static void compare(void)
{
    for (uint32_t i = model.heard; i < model.count; i++) {
        if (model.write[i].fate == KEPT) {
            judge(&model.write[i]);
            model.fates[model.write[i].fate]++;
        }
    }
    reply_raw(&world->out, SPAN_LITERAL("\0"));
    const char *at = (const char *)world->out.p;
    while (*at != 0) {
        assert_true(model.heard < model.count);
        if (!is_answer(model.heard, at)) {
            fail_msg("write %u, fate %d: %s", model.heard, model.write[model.heard].fate, at);
        }
        model.heard++;
        at = strchr(at, '\n') + 1;
    }
    assert_true(model.heard == model.count || model.write[model.heard].fate == KEPT);
    reply_reset(&world->out);
}

/* --- What happens --------------------------------------------------------------------------- */

static void acknowledge(void)
{
    node_index i = (node_index)dice(NODES);
    qr_slot *match = &world->outlook.member[i].match;
    *match += dice((uint32_t)(world->outlook.last - *match) + 1);
}

static void write(void)
{
    if (model.count == WRITES) {
        return;
    }
    qr_time patience = dice(2) * (1 + dice(8000)) * QR_MILLISECOND;
    world->client.wants.expires = patience != 0 ? world->now + patience : 0;
    qr_time longest = world->node.config.request_timeout_ms * QR_MILLISECOND;
    patience = patience != 0 ? patience : world->node.config.leader_wait_ms * QR_MILLISECOND;
    command("incr a");
    turn();
    compare();
    acknowledge();
    struct write *w = &model.write[model.count++];
    *w = (struct write){ .slot = world->outlook.last,
                         .until = world->now + (patience < longest ? patience : longest) };
    apply_upto(w->slot);
}

static void set_zone(node_index i, char zone)
{
    struct map_node record = { .id = i + 11u, .zone = { zone } }; /* ids are no indexes */
    put_node(world->node.map, i, &record);
    world->node.known[i].id = record.id;
    model.zone[i] = zone;
}

static void change_members(void)
{
    struct membership *m = &world->outlook.membership;
    bool joint = m->outgoing != 0;
    m->outgoing = joint || dice(2) == 0 ? 0 : m->voters;
    m->voters = joint ? m->voters : (uint16_t)(1 | dice(1u << NODES));
    m->learners = (uint16_t)(((1u << NODES) - 1) & ~(m->voters | m->outgoing));
}

static void lose_a_disk(void)
{
    struct member_outlook *m = &world->outlook.member[1 + dice(NODES - 1)];
    m->forgetful = !m->forgetful;
    m->match = m->forgetful ? dice(2) * m->match : m->match;
}

/* Another one leads for a while; whoever leads anew has to hear from all. */
static void change_leader(void)
{
    follow_nobody(++model.term);
    compare();
    for (node_index i = 1; i < NODES; i++) {
        world->outlook.member[i].match = 0;
    }
    lead(++model.term);
}

static void step(void)
{
    switch (dice(16)) {
    case 0:
        set_zone((node_index)dice(NODES), "\0abc"[dice(4)]);
        break;
    case 1:
        change_members();
        break;
    case 2:
        lose_a_disk();
        break;
    case 3:
        world->node.holding.current = dice(3) > 0; /* a node that was started, beside, */
        world->node.contact.coverage.knows_until = dice(3) > 0 ? QR_NEVER : 0; /* or is cut off */
        break;
    case 4:
        if (dice(3) == 0) {
            change_leader();
        }
        break;
    case 5:
    case 6:
        later(dice(3000) * QR_MILLISECOND);
        compare();
        break;
    case 7:
    case 8:
    case 9:
        write();
        break;
    default:
        acknowledge();
        break;
    }
    turn();
    compare();
}

static void run(uint64_t seed)
{
    void *state = NULL;
    (void)setup(&state);
    uint32_t fates[LOST + 1];
    memcpy(fates, model.fates, sizeof fates);
    model = (struct model){ .rng = rng_from(seed), .term = 1 };
    memcpy(model.fates, fates, sizeof fates);
    for (node_index i = 0; i < NODES; i++) {
        set_zone(i, "\0abc"[dice(4)]);
    }
    world->client.wants.each_zone = true;
    world->node.holding.current = true;
    for (uint32_t i = 0; i < STEPS; i++) {
        step();
    }
    world->node.holding.current = true;
    world->node.contact.coverage.knows_until = QR_NEVER;
    later(10 * QR_SECOND); /* none is forgotten */
    compare();
    assert_int_equal(model.heard, model.count);
    assert_int_equal(world->node.kept, 0);
    assert_int_equal(world->node.kept_bytes, 0);
    assert_int_equal(world->client.held_bytes, 0);
    (void)teardown(&state);
}

static void test_what_clients_hear_is_what_a_model_says(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        run(seed);
    }
    for (uint32_t i = DONE; i <= LOST; i++) { /* each of them was there, and often */
        print_message("# fate %u: %u\n", i, model.fates[i]);
        assert_true(model.fates[i] > 100);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_clients_hear_is_what_a_model_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
