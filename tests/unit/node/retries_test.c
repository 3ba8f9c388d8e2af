/* Requests with ids that are sent again, whatever happens to the node that answers them: it loses
 * the lead and takes it over, entries of others take the places of its own or bring the same
 * requests, a snapshot replaces its state, clocks jump. At random, on virtual time; router,
 * streams, replica and engine are real (apply_world.h). Of each request all answers are one answer,
 * it counts once, and what was refused as not applied was not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "apply_world.h"
#include "base/alloc.h"
#include "base/limits.h"
#include "base/rng.h"
#include "log/log.h"
#include "log/record.h"
#include "tests/unit/cluster/put_records.h"

enum { REQUESTS = 6, SENDERS = 3, STEPS = 60, SEEDS = 2000, TRIES_MAX = 256 };

struct request {
    int64_t reply;    /* 0: not answered yet */
    bool carried_out; /* an answer said so */
    uint32_t open;    /* tries without an answer */
    bool unsure;      /* one of the tries may have been applied, for all that was said */
};

struct sender {
    struct stream stream;
    struct reply out;
    uint32_t tries[TRIES_MAX]; /* which request each was, in order */
    uint32_t sent, heard;
};

static struct request requests[REQUESTS];
static struct sender senders[SENDERS];
static struct rng rng;
static uint64_t seed;
static uint32_t replays, refusals, losses;

static bool chance(uint32_t of)
{
    return rng_below(&rng, of) == 0;
}

/* --- Clients -------------------------------------------------------------------------------- */

static bool says(const struct sender *c, const char *text)
{
    return memmem(c->out.p, c->out.n, text, strlen(text)) != NULL;
}

static struct reply *begin_reply(struct stream *stream, struct pending *p)
{
    (void)p;
    struct sender *c = (struct sender *)stream;
    reply_reset(&c->out);
    return &c->out;
}

static void hear(struct request *r, const struct sender *c, bool replayed)
{
    if (c->out.p[0] == '-') {
        bool unsure = says(c, "UNCERTAIN");
        assert_true(unsure || says(c, "not applied"));
        r->unsure = r->unsure || unsure;
        refusals += unsure ? 0 : 1;
        losses += unsure ? 1 : 0;
        return;
    }
    int64_t reply = strtoll((const char *)c->out.p + 1, NULL, 10);
    assert_true(c->out.p[0] == ':' && reply > 0);
    assert_true(r->reply == 0 || r->reply == reply);
    assert_true(replayed || !r->carried_out);
    assert_true(!replayed || r->reply != 0 || r->unsure);
    r->reply = reply;
    r->carried_out = r->carried_out || !replayed;
    replays += replayed ? 1 : 0;
}

static void end_reply(struct stream *stream, struct pending *p, enum qr_status status)
{
    (void)status;
    struct sender *c = (struct sender *)stream;
    assert_true(c->heard < c->sent);
    struct request *r = &requests[c->tries[c->heard++]];
    r->open--;
    hear(r, c, p->shown.replayed);
}

static bool is_congested(const struct stream *stream)
{
    (void)stream;
    return false;
}

static struct op_id id_of(uint32_t request, char *name)
{
    (void)sprintf(name, "%u", request);
    return (struct op_id){ .pid = SPAN_LITERAL("p"), .iid = span_of(name, strlen(name)) };
}

static void send(struct sender *c, uint32_t request)
{
    char name[16];
    struct op_id id = id_of(request, name);
    assert_true(c->sent < TRIES_MAX);
    c->tries[c->sent++] = request;
    requests[request].unsure = requests[request].unsure || requests[request].open > 0;
    requests[request].open++;
    c->stream.id = &id;
    command_from(&c->stream, "incr k");
    c->stream.id = NULL;
}

static int begin_world(void **state)
{
    setup(state);
    memset(requests, 0, sizeof requests);
    for (uint32_t i = 0; i < SENDERS; i++) {
        memset(&senders[i], 0, sizeof senders[i]);
        stream_init(&senders[i].stream, &world->node, STREAM_CLIENT);
        senders[i].stream.begin_reply = begin_reply;
        senders[i].stream.end_reply = end_reply;
        senders[i].stream.is_congested = is_congested;
        reply_init(&senders[i].out, 2);
    }
    return 0;
}

static int end_world(void **state)
{
    for (uint32_t i = 0; i < SENDERS; i++) {
        stream_detach(&senders[i].stream);
        reply_free(&senders[i].out);
    }
    return teardown(state);
}

/* --- Others --------------------------------------------------------------------------------- */

/* The request as another node has encoded and stamped it. */
static size_t encode(uint32_t request, uint8_t *bytes)
{
    char name[16];
    uint8_t id[OP_ID_BYTES_MAX];
    struct op_id names = id_of(request, name);
    names.seconds = 600;
    names.count = 1000;
    names.bytes = MIB;
    struct span argv[] = { SPAN_LITERAL("incr"), SPAN_LITERAL("k") };
    const struct command_spec *container;
    struct op op = { .stamp = world->wall + (qr_wall)rng_below(&rng, 20 * QR_SECOND),
                     .level = SEMANTICS_LEVEL_IDS,
                     .tag = command_find(argv, 2, &container)->tag,
                     .id = { id, op_id_write(id, &names) } };
    op_write(bytes, &op, argv + 1, 1);
    return op_bytes(argv + 1, 1) + op.id.n;
}

/* An entry of the leader of that term: the request, or nothing. */
static void receive(qr_slot slot, qr_term term, int64_t request)
{
    uint8_t record[RECORD_HEADER_BYTES + 256];
    size_t n = request < 0 ? 0 : encode((uint32_t)request, record + RECORD_HEADER_BYTES);
    record_seal(record, 0, request < 0 ? RECORD_NOOP : RECORD_COMMAND, slot, term, n);
    if (request >= 0) {
        requests[request].unsure = true;
    }
    assert_true(replica_receive(world->zero.replica, 1, 1, (struct span){ 0 }, slot, slot + 1, term,
                                span_of(record, record_bytes(n))));
}

static struct engine *new_engine(void)
{
    struct engine_config config = { .value_bytes_max = 1000 };
    return engine_new(&config);
}

static void load(void *context, struct span chunk)
{
    assert_true(engine_image_load(context, chunk));
}

static void apply_to_snapshot(struct span bytes)
{
    struct op op;
    struct reply nowhere;
    reply_init(&nowhere, 2);
    nowhere.discard = true;
    assert_true(op_read(bytes, &op));
    engine_apply(world->snapshot, &op, &nowhere);
}

/* A snapshot of another node's state: with some of the entries that this one's log holds, and ahead
 * by some of the requests. */
static void install(qr_slot slot, qr_term term)
{
    static struct roster roster = { .members.voters = 7 };
    qr_slot applied = replica_applied(world->zero.replica);
    qr_slot shared = applied + rng_below(&rng, world->outlook.last + 1 - applied);
    world->snapshot = new_engine();
    engine_image_begin(world->zero.engine, load, world->snapshot);
    while (engine_image_next(world->zero.engine, 10)) {
    }
    for (qr_slot at = applied + 1; at <= shared && at <= slot; at++) {
        struct record record;
        assert_true(record_read(span_of(world->log.record[at], world->log.bytes[at]), &record) > 0);
        if (record.kind == RECORD_COMMAND) {
            apply_to_snapshot(record.payload);
        }
    }
    for (uint32_t i = 0; i < REQUESTS; i++) {
        uint8_t bytes[256];
        if (chance(3)) {
            requests[i].unsure = true;
            apply_to_snapshot(span_of(bytes, encode(i, bytes)));
        }
    }
    world->snapshot_header =
        (struct checkpoint_header){ .slot = slot, .term = term, .commit_term = term };
    struct effect *e = &world->next[world->next_count++];
    *e = (struct effect){ .kind = EFFECT_INSTALL };
    e->install.ticket = ++world->minted;
    e->install.slot = slot;
    e->install.term = term;
    replica_offer(world->zero.replica, 1, &world->snapshot_header, &roster);
    world->outlook.commit = slot;
    world->outlook.last = slot;
    assert_null(world->snapshot);
}

/* --- One history ---------------------------------------------------------------------------- */

static bool leading(void)
{
    return world->outlook.role == ROLE_LEADER;
}

/* As raft does it: everything that the log holds is committed by the first entry of the term. */
static void take_over(void)
{
    world->outlook.role = ROLE_LEADER;
    world->outlook.leader = 0;
    world->outlook.can_serve = true;
    world->refuses = false;
    noop_at(world->outlook.last + 1, ++world->outlook.term);
    turn();
}

static void apply_some(bool all)
{
    qr_slot applied = replica_applied(world->zero.replica), last = world->outlook.last;
    if (last > applied) {
        apply_upto(all ? last : applied + 1 + rng_below(&rng, last - applied));
    }
}

static void happen(void)
{
    qr_slot last = world->outlook.last, commit = replica_applied(world->zero.replica);
    bool room = last < SLOTS - 12;
    uint64_t what = rng_below(&rng, 12);
    if (what < 4 && room) {
        send(&senders[rng_below(&rng, SENDERS)], (uint32_t)rng_below(&rng, REQUESTS));
    } else if (what == 4) {
        world->wall += (qr_wall)rng_below(&rng, 4 * QR_SECOND) - 2 * QR_SECOND;
    } else if (what == 5) {
        later((qr_time)rng_below(&rng, chance(4) ? 10 * QR_SECOND : QR_SECOND / 10));
    } else if (what < 8) {
        apply_some(false);
    } else if (leading() && chance(3)) {
        world->refuses = true;
        follow_nobody(world->outlook.term + 1);
    } else if (!leading() && what == 8 && room) {
        take_over();
    } else if (!leading() && what == 9 && room) { /* of a leader whose log may be shorter */
        receive(commit + 1 + rng_below(&rng, last + 1 - commit), world->outlook.term,
                chance(3) ? -1 : (int64_t)rng_below(&rng, REQUESTS));
        world->outlook.term++;
    } else if (!leading() && what == 10 && room && chance(3)) {
        install(commit + 1 + rng_below(&rng, 4), world->outlook.term);
    } else {
        turn();
    }
}

/* All is well again: each request is sent until it is answered. */
static void settle(void)
{
    if (!leading()) {
        take_over();
    }
    for (uint32_t round = 0; round < 3; round++) {
        apply_some(true);
        turn();
        turn();
    }
    for (uint32_t i = 0; i < REQUESTS; i++) {
        send(&senders[0], i);
        turn();
        apply_some(true);
        turn();
    }
    later(60 * QR_SECOND); /* whose slot is never reached hears that nobody knows */
    uint32_t seen = 0;
    for (uint32_t i = 0; i < REQUESTS; i++) {
        assert_true(requests[i].reply >= 1 && requests[i].reply <= REQUESTS);
        assert_int_equal(requests[i].open, 0);
        seen |= 1u << requests[i].reply;
    }
    assert_int_equal(seen, ((1u << REQUESTS) - 1) << 1);
    const struct item *item = store_find(engine_store(world->zero.engine), 0, SPAN_LITERAL("k"));
    assert_true(item != NULL && item_value(item).n == 1 && item_value(item).p[0] == '0' + REQUESTS);
    assert_int_equal(engine_totals(world->zero.engine)->ids, REQUESTS);
}

static void run_seed(void)
{
    for (uint32_t i = 0; i < STEPS; i++) {
        happen();
    }
    settle();
}

static void test_scenario_67_each_request_counts_once_whatever_happens(void **state)
{
    end_world(state);
    for (seed = 1; seed <= SEEDS; seed++) {
        begin_world(state);
        rng = rng_from(seed);
        run_seed();
        end_world(state);
    }
    begin_world(state);
    assert_true(replays > 4 * SEEDS && refusals > SEEDS && losses > SEEDS / 4);
}

/* --- The op --------------------------------------------------------------------------------- */

/* Which the router writes into it, for all replicas. */
static void test_the_op_has_the_bounds_of_its_keyspace(void **state)
{
    (void)state;
    struct op op;
    struct op_id id;
    struct record record;
    struct map_keyspace zero = *map_keyspace_at(world->node.map, 0);
    zero.idmp_seconds = 7;
    zero.idmp_count = 8;
    zero.idmp_bytes = 9 * KIB;
    put_keyspace(world->node.map, &zero);
    send(&senders[0], 3);
    turn();
    assert_true(record_read(span_of(world->log.record[1], world->log.bytes[1]), &record) > 0);
    assert_true(op_read(record.payload, &op));
    op_id_read(&op, &id);
    assert_true(id.seconds == 7 && id.count == 8 && id.bytes == 9 * KIB);
    assert_true(id.pid.n == 1 && id.pid.p[0] == 'p' && id.iid.n == 1 && id.iid.p[0] == '3');
    apply_some(true);
}

/* A clock that jumps ahead is followed slowly, and one that jumps back makes log time stand: what
 * is remembered for so long is remembered for about so long. */
static void test_no_clock_that_jumps_forgets_an_id(void **state)
{
    (void)state;
    static const qr_wall jumps[] = { 3600 * QR_SECOND, -7200 * QR_SECOND, 86400 * QR_SECOND };
    for (uint32_t i = 0; i < ARRAY_COUNT(jumps); i++) {
        send(&senders[0], 0);
        turn();
        apply_some(true);
        assert_int_equal(requests[0].reply, 1); /* and it is carried out once, says hear() */
        world->wall += jumps[i];
        later(150 * QR_SECOND);
    }
    send(&senders[0], 0);
    turn();
    apply_some(true);
    assert_int_equal(senders[0].heard, 4);
}

static int tell_seed(void **state)
{
    if (seed <= SEEDS) {
        print_error("seed %llu\n", (unsigned long long)seed);
    }
    return end_world(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_scenario_67_each_request_counts_once_whatever_happens,
                                        begin_world, tell_seed),
        cmocka_unit_test_setup_teardown(test_the_op_has_the_bounds_of_its_keyspace, begin_world,
                                        end_world),
        cmocka_unit_test_setup_teardown(test_no_clock_that_jumps_forgets_an_id, begin_world,
                                        end_world),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
