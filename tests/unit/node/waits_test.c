/* WAITs by the hundred (wait.c W1 to W4), beside a model of them, by dice: writes of several
 * clients that are applied, or given up, acknowledgements in any order, time that passes, clients
 * that go, leaders that change. None is told more than there is, none waits for longer than it
 * has to. See apply_world.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "apply_world.h"
#include "base/rng.h"
#include "node/replica_internal.h"

#define SEEDS 1500
#define STEPS 150
#define CLIENTS 5
#define NODES 5
#define WRITES 45 /* the log of this world ends */
#define MANY 100

struct write {
    uint64_t sequence;
    uint32_t client;
    qr_slot slot;
    qr_term term;
    bool done, applied;
};

struct waiting {
    uint64_t sequence; /* 0: none */
    uint32_t client, wanted;
    bool local;
    qr_slot commit, upto; /* when it came: what is committed, and what has a place */
    qr_time until;        /* 0: never */
};

static struct model {
    struct rng rng;
    struct stream client[CLIENTS];
    struct reply out;
    struct write write[WRITES];
    struct waiting wait[MANY];
    uint32_t writes;
    qr_term term;
    bool can_serve;
    uint32_t answered, late, lost; /* of all seeds */
} model;

static uint32_t dice(uint32_t sides)
{
    return (uint32_t)rng_below(&model.rng, sides);
}

/* --- What may be said ----------------------------------------------------------------------- */

static uint32_t holding(qr_slot slot)
{
    uint32_t n = 0;
    for (node_index i = 1; i < NODES; i++) {
        n += world->outlook.member[i].match >= slot ? 1 : 0;
    }
    return n;
}

/* The least that it is about: its last write of this term that was not given up, or all that was
 * committed when it came; and the most. */
static qr_slot least_of(const struct waiting *w)
{
    qr_slot least = 0;
    for (uint32_t i = 0; i < model.writes; i++) {
        const struct write *x = &model.write[i];
        bool counts = x->client == w->client && x->sequence < w->sequence &&
                      x->term == model.term && (!x->done || x->applied);
        least = counts && x->slot > least ? x->slot : least;
    }
    return least != 0 ? least : w->commit;
}

static qr_slot most_of(const struct waiting *w)
{
    return w->upto > world->outlook.commit ? w->upto : world->outlook.commit;
}

static bool is_decided(const struct waiting *w)
{
    bool open = false;
    for (uint32_t i = 0; i < model.writes; i++) {
        const struct write *x = &model.write[i];
        open = open || (x->client == w->client && x->sequence < w->sequence && !x->done);
    }
    return !open && model.can_serve;
}

static void judge_answer(const struct waiting *w, uint32_t n, int local)
{
    bool over = w->until != 0 && world->now >= w->until;
    qr_slot own = world->outlook.member[0].match;
    if (!is_decided(w)) {
        assert_true(over && n == 0 && local <= 0);
        return;
    }
    assert_in_range(n, holding(most_of(w)), holding(least_of(w)));
    if (local >= 0) {
        assert_true(local == 1 ? own >= least_of(w) : own < most_of(w));
    }
    assert_true(over || (n >= w->wanted && (!w->local || local == 1)));
    model.answered++;
    model.late += n < w->wanted ? 1 : 0;
}

/* After a turn. */
static void judge_silence(const struct waiting *w)
{
    qr_slot most = most_of(w);
    bool has = holding(most) >= w->wanted && (!w->local || world->outlook.member[0].match >= most);
    bool is_clear = replica_applied(world->zero.replica) >= w->upto;
    assert_false(w->until != 0 && world->now >= w->until);
    assert_false(is_clear && is_decided(w) && has);
}

/* --- What is heard -------------------------------------------------------------------------- */

static struct reply *begin_reply(struct stream *stream, struct pending *p)
{
    (void)stream, (void)p;
    reply_reset(&model.out);
    return &model.out;
}

static void end_reply(struct stream *stream, struct pending *p, enum qr_status status)
{
    (void)stream;
    for (uint32_t i = 0; i < model.writes; i++) {
        struct write *x = &model.write[i];
        if (x->sequence == p->sequence) {
            x->done = true;
            x->applied = status == STATUS_OK;
            return;
        }
    }
    reply_raw(&model.out, SPAN_LITERAL("\0"));
    for (uint32_t i = 0; i < MANY; i++) {
        struct waiting *w = &model.wait[i];
        if (w->sequence == p->sequence) {
            unsigned n = 0;
            int local = -1;
            const char *text = (const char *)model.out.p;
            int read = w->local ? sscanf(text, "*2\r\n:%d\r\n:%u\r\n", &local, &n)
                                : sscanf(text, ":%u\r\n", &n);
            assert_int_equal(read, w->local ? 2 : 1);
            judge_answer(w, n, local);
            w->sequence = 0;
            return;
        }
    }
    fail();
}

static bool is_congested(const struct stream *stream)
{
    (void)stream;
    return false;
}

static void begin_client(uint32_t i)
{
    struct stream *s = &model.client[i];
    stream_init(s, &world->node, STREAM_GATHER);
    s->begin_reply = begin_reply;
    s->end_reply = end_reply;
    s->is_congested = is_congested;
}

/* --- What happens --------------------------------------------------------------------------- */

static qr_slot proposed(void)
{
    return world->outlook.last + world->zero.replica->batch_count;
}

static void do_write(void)
{
    uint32_t client = dice(CLIENTS);
    if (model.writes == WRITES) {
        return;
    }
    struct stream *s = &model.client[client];
    s->wants.expires = dice(4) == 0 ? world->now + (1 + dice(30)) * QR_MILLISECOND : 0;
    struct write *x = &model.write[model.writes++];
    *x = (struct write){ .sequence = world->node.next_sequence + 1,
                         .client = client,
                         .slot = proposed() + 1,
                         .term = model.term };
    command_from(s, "set a 1");
    s->wants.expires = 0;
}

static void do_wait(void)
{
    uint32_t i = 0, client = dice(CLIENTS);
    while (i < MANY && model.wait[i].sequence != 0) {
        i++;
    }
    if (i == MANY) {
        return;
    }
    char line[64];
    uint32_t ms = dice(3) == 0 ? 0 : 1 + dice(60);
    struct waiting *w = &model.wait[i];
    *w = (struct waiting){ .sequence = world->node.next_sequence + 1,
                           .client = client,
                           .wanted = dice(20) == 0 ? 99 : dice(NODES + 1),
                           .local = dice(3) == 0,
                           .commit = world->outlook.commit,
                           .upto = proposed(),
                           .until = ms != 0 ? world->now + ms * QR_MILLISECOND : 0 };
    (void)snprintf(line, sizeof line, "%s%u %u", w->local ? "waitaof 1 " : "wait ", w->wanted, ms);
    command_from(&model.client[client], line);
}

static void do_ack(void)
{
    node_index i = (node_index)dice(NODES);
    qr_slot *match = &world->outlook.member[i].match;
    qr_slot ahead = world->outlook.last - *match;
    *match += ahead > 0 ? 1 + dice((uint32_t)ahead) : 0;
}

static void do_apply(void)
{
    qr_slot applied = replica_applied(world->zero.replica);
    if (world->outlook.last > applied) {
        apply_upto(applied + 1 + dice((uint32_t)(world->outlook.last - applied)));
    }
}

static void forget_waits_of(uint32_t client)
{
    for (uint32_t i = 0; i < MANY; i++) {
        struct waiting *w = &model.wait[i];
        w->sequence = w->client == client ? 0 : w->sequence;
    }
}

/* Its writes go on, and nobody is told. */
static void do_go(void)
{
    uint32_t client = dice(CLIENTS);
    forget_waits_of(client);
    stream_detach(&model.client[client]);
    begin_client(client);
    for (uint32_t i = 0; i < model.writes; i++) {
        struct write *x = &model.write[i];
        x->client = x->client == client ? CLIENTS : x->client;
    }
}

static uint32_t waiting(void)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < MANY; i++) {
        n += model.wait[i].sequence != 0 ? 1 : 0;
    }
    return n;
}

/* It may not know yet what is committed. */
static void begin_to_lead(qr_term term)
{
    lead(term);
    model.term = term;
    model.can_serve = world->outlook.can_serve = dice(2) == 0;
    turn();
}

/* All of them go to the next leader, and here their clients go too. */
static void do_lose(void)
{
    turn();
    uint32_t n = waiting(), open = world->node.pending_count;
    follow_nobody(model.term);
    turn();
    assert_int_equal(world->node.blocked, 0);
    assert_int_equal(router_waiting(world->node.router), n);
    assert_int_equal(world->node.pending_count, open);
    assert_null(world->zero.replica->waits);
    for (uint32_t i = 0; i < CLIENTS; i++) {
        forget_waits_of(i);
        stream_detach(&model.client[i]);
        begin_client(i);
    }
    for (uint32_t i = 0; i < model.writes; i++) {
        model.write[i].client = CLIENTS;
    }
    model.lost += n;
    qr_slot next = replica_applied(world->zero.replica) + 1;
    noop_at(next, model.term + 1);
    apply_upto(next);
    begin_to_lead(model.term + 1);
}

static void step(void)
{
    switch (dice(24)) {
    case 0:
        model.can_serve = world->outlook.can_serve = true;
        return;
    case 1:
        do_go();
        return;
    case 2:
        if (dice(8) == 0) {
            do_lose();
        }
        return;
    case 3:
    case 4:
        world->now += dice(15) * QR_MILLISECOND;
        world->wall += QR_MILLISECOND;
        return;
    case 5:
    case 6:
    case 7:
    case 8:
        do_ack();
        return;
    case 9:
    case 10:
        turn();
        do_apply();
        return;
    case 11:
    case 12:
    case 13:
    case 14:
        do_write();
        return;
    default:
        do_wait();
        return;
    }
}

static void run(uint64_t seed)
{
    void *state = NULL;
    (void)setup(&state);
    struct model kept = model;
    memset(&model, 0, sizeof model);
    model.answered = kept.answered;
    model.late = kept.late;
    model.lost = kept.lost;
    model.rng = rng_from(seed);
    begin_to_lead(1);
    reply_init(&model.out, 2);
    for (uint32_t i = 0; i < CLIENTS; i++) {
        begin_client(i);
    }
    for (uint32_t i = 0; i < STEPS; i++) {
        step();
        turn();
        for (uint32_t k = 0; k < MANY; k++) {
            if (model.wait[k].sequence != 0) {
                judge_silence(&model.wait[k]);
            }
        }
        assert_int_equal(world->node.blocked, waiting());
    }
    for (uint32_t i = 0; i < CLIENTS; i++) {
        stream_detach(&model.client[i]);
    }
    assert_int_equal(world->node.blocked, 0);
    reply_free(&model.out);
    (void)teardown(&state);
}

static void test_each_is_told_what_is_so_when_it_is(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        run(seed);
    }
    assert_true(model.answered > SEEDS * 10);
    assert_true(model.late > SEEDS);
    assert_true(model.lost > SEEDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_is_told_what_is_so_when_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
