/* The driver's promises (replica.h D1, D2; stream.h S1, S2; decisions 011, 012, 014): router,
 * streams, replica and engine are real; the protocol, the log and the peers are played by the test,
 * which decides what is persisted, confirmed and applied, and when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "log/log.h"
#include "node/node.h"
#include "node/peers.h"
#include "node/replica.h"
#include "node/router.h"
#include "node/run.h"

#define SLOTS 64
#define EFFECTS 16

/* --- The world around the driver -------------------------------------------------------------- */

struct log {
    uint8_t *record[SLOTS];
    size_t bytes[SLOTS];
    qr_slot last;
};

struct world {
    struct node node;
    struct log log;
    struct stream client;
    struct reply out;
    qr_time now;
    qr_wall wall;
    bool congested;
    /* The protocol: effects that the next step pushes, and what it was told. */
    struct effect next[EFFECTS];
    uint32_t next_count;
    struct outlook outlook;
    bool refuses; /* SUBMIT and READ are answered NOT_LEADER */
    qr_ticket minted;
    qr_req first_read; /* of the reads that wait, all of them */
    uint32_t reads_waiting;
    uint32_t submits, reads;
};

static struct world *world;

qr_time io_now(struct io *io)
{
    (void)io;
    return world->now;
}

qr_wall io_wall(struct io *io)
{
    (void)io;
    return world->wall;
}

void io_random(struct io *io, void *p, size_t n)
{
    (void)io;
    memset(p, 7, n);
}

void node_log(struct node *node, enum node_log_level level, const char *format, ...)
{
    (void)node;
    (void)level;
    (void)format;
}

void node_fail(struct node *node, const char *why)
{
    (void)node;
    fail_msg("%s", why);
}

bool node_space_low(const struct node *node)
{
    return node->space_low;
}

bool log_group_state(struct log *log, uint32_t group, struct log_group *out)
{
    *out = (struct log_group){ .group = group, .last_slot = log->last };
    return true;
}

void log_append(struct log *log, struct span records, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct record record;
        size_t n = record_read(records, &record);
        assert_true(n > 0);
        assert_int_equal(record.slot, log->last + 1);
        log->last = record.slot;
        free(log->record[record.slot]);
        log->record[record.slot] = malloc(n);
        log->bytes[record.slot] = n;
        memcpy(log->record[record.slot], records.p, n);
        records = span_of(records.p + n, records.n - n);
    }
}

void log_truncate(struct log *log, uint32_t group, qr_slot from)
{
    (void)group;
    log->last = from - 1;
}

void log_state(struct log *log, uint32_t group, struct span state)
{
    (void)log;
    (void)group;
    (void)state;
}

void log_trim(struct log *log, uint32_t group, qr_slot upto, qr_term term)
{
    (void)log;
    (void)group;
    (void)upto;
    (void)term;
}

uint64_t log_position(const struct log *log)
{
    return log->last;
}

uint64_t log_group_bytes(const struct log *log, uint32_t group)
{
    (void)log;
    (void)group;
    return 0;
}

int64_t log_read(struct log *log, uint32_t group, qr_slot lo, qr_slot hi, size_t max_bytes,
                 struct span *out)
{
    (void)group;
    (void)max_bytes;
    assert_true(lo < hi && hi <= log->last + 1);
    *out = span_of(log->record[lo], log->bytes[lo]);
    return 1;
}

void peers_send(struct peers *peers, node_index to, uint32_t group, uint16_t kind, bool control,
                struct span body, qr_slot lo, qr_slot hi, qr_term term, struct span records)
{
    (void)peers, (void)to, (void)group, (void)kind, (void)control, (void)body, (void)lo, (void)hi;
    (void)term, (void)records;
}

bool peers_may_forward(const struct peers *peers, node_index peer)
{
    (void)peers;
    (void)peer;
    return false;
}

void peers_forward(struct peers *peers, node_index to, uint64_t id, uint32_t epoch, uint8_t version,
                   struct span op)
{
    (void)peers, (void)to, (void)id, (void)epoch, (void)version, (void)op;
    fail();
}

struct reply *peers_reply_buffer(struct peers *peers)
{
    (void)peers;
    fail();
    return NULL;
}

bool peers_reply_congested(const struct peers *peers, node_index to)
{
    (void)peers;
    (void)to;
    return false;
}

void peers_reply(struct peers *peers, node_index to, uint64_t id, enum qr_status status,
                 struct span reply)
{
    (void)peers, (void)to, (void)id, (void)status, (void)reply;
    fail();
}

/* --- The protocol ----------------------------------------------------------------------------- */

static bool encode(uint16_t kind, const void *body, struct wire_writer *out)
{
    (void)kind, (void)body, (void)out;
    return true;
}

static bool decode(uint16_t kind, struct span in, void *body)
{
    (void)in, (void)body;
    return kind == 1;
}

static bool is_control(uint16_t kind)
{
    (void)kind;
    return false;
}

static struct needs needs(const struct protocol_limits *limits)
{
    (void)limits;
    return (struct needs){ .state = 16, .effects = EFFECTS, .scratch = 64 };
}

static void init(void *self, const struct protocol_limits *limits, node_index me, uint64_t seed)
{
    (void)self, (void)limits, (void)me, (void)seed;
}

static struct effect *push(struct effects *out, enum effect_kind kind)
{
    struct effect *e = &out->v[out->n++];
    assert_true(out->n <= EFFECTS);
    *e = (struct effect){ .kind = kind };
    return e;
}

static void persist(struct effects *out, qr_slot lo, qr_slot hi, qr_term term, qr_req req,
                    bool noop)
{
    struct effect *e = push(out, EFFECT_PERSIST);
    e->persist.ticket = ++world->minted;
    e->persist.lo = lo;
    e->persist.hi = hi;
    e->persist.term = term;
    e->persist.req = req;
    e->persist.noop = noop;
    world->outlook.last = hi - 1;
}

static void refuse(struct effects *out, qr_req first, uint32_t count)
{
    struct effect *e = push(out, EFFECT_ANSWER);
    e->answer.first = first;
    e->answer.count = count;
    e->answer.status = STATUS_NOT_LEADER;
}

static void step(void *self, const struct event *event, struct effects *out)
{
    (void)self;
    if (event->kind == EVENT_SUBMIT) {
        world->submits++;
        if (world->refuses) {
            refuse(out, event->submit.first, event->submit.count);
        } else {
            qr_slot lo = world->outlook.last + 1;
            persist(out, lo, lo + event->submit.count, world->outlook.term, event->submit.first,
                    false);
        }
    } else if (event->kind == EVENT_READ) {
        world->reads++;
        if (world->refuses) {
            refuse(out, event->read.first, event->read.count);
        } else {
            world->first_read = world->reads_waiting == 0 ? event->read.first : world->first_read;
            world->reads_waiting =
                (uint32_t)(event->read.first + event->read.count - world->first_read);
        }
    } else if (event->kind == EVENT_RECEIVE) {
        const struct message *m = &event->receive.message;
        persist(out, m->lo, m->hi, m->term, 0, false);
    }
    for (uint32_t i = 0; i < world->next_count; i++) {
        if (world->next[i].kind == EFFECT_PERSIST) {
            persist(out, world->next[i].persist.lo, world->next[i].persist.hi,
                    world->next[i].persist.term, 0, true);
        } else {
            *push(out, world->next[i].kind) = world->next[i];
        }
    }
    world->next_count = 0;
}

static qr_time deadline(const void *self)
{
    (void)self;
    return QR_NEVER;
}

static void outlook(const void *self, struct outlook *out)
{
    (void)self;
    *out = world->outlook;
}

static const struct codec codec = {
    .body_max = 16, .encode = encode, .decode = decode, .is_control = is_control
};
static const struct protocol protocol = { .codec = &codec,
                                          .needs = needs,
                                          .init = init,
                                          .step = step,
                                          .deadline = deadline,
                                          .outlook = outlook };

/* --- What the protocol is made to do ---------------------------------------------------------- */

/* Any event: the effects prepared so far are carried out. */
static void poke(void)
{
    replica_peer(world->node.replica, 2, true);
}

static void apply_upto(qr_slot slot)
{
    struct effect *e = &world->next[world->next_count++];
    *e = (struct effect){ .kind = EFFECT_APPLY };
    e->apply.lo = replica_applied(world->node.replica) + 1;
    e->apply.hi = slot + 1;
    poke();
    world->outlook.commit = slot;
}

static void confirm_reads(qr_slot slot, qr_time before)
{
    struct effect *e = &world->next[world->next_count++];
    *e = (struct effect){ .kind = EFFECT_READ };
    e->read.first = world->first_read;
    e->read.count = world->reads_waiting;
    e->read.slot = slot;
    e->read.before = before;
    world->reads_waiting = 0;
    poke();
}

/* An entry of another leader takes the slot; what stood there and behind is dropped. */
static void noop_at(qr_slot slot, qr_term term)
{
    struct effect *e = &world->next[world->next_count++];
    *e = (struct effect){ .kind = EFFECT_PERSIST };
    e->persist.lo = slot;
    e->persist.hi = slot + 1;
    e->persist.term = term;
    poke();
}

static void turn(void)
{
    router_turn(world->node.router);
    replica_turn(world->node.replica);
}

static void lead(qr_term term)
{
    world->outlook.role = ROLE_LEADER;
    world->outlook.leader = 0;
    world->outlook.term = term;
    world->outlook.can_serve = true;
    turn();
}

static void follow_nobody(qr_term term)
{
    world->outlook.role = ROLE_FOLLOWER;
    world->outlook.leader = NODE_NONE;
    world->outlook.term = term;
    turn();
}

static void later(qr_time elapsed)
{
    world->now += elapsed;
    world->wall += elapsed;
    turn();
}

static struct reply *begin_reply(struct stream *stream, struct pending *p)
{
    (void)stream;
    (void)p;
    return &world->out;
}

static void end_reply(struct stream *stream, struct pending *p, enum qr_status status)
{
    (void)stream;
    (void)p;
    (void)status;
}

static bool is_congested(const struct stream *stream)
{
    (void)stream;
    return world->congested;
}

static int setup(void **state)
{
    char message[256];
    struct engine_config config = { .value_bytes_max = VALUE_BYTES_MAX };
    world = calloc(1, sizeof *world);
    *state = world;
    world->now = QR_SECOND;
    world->wall = 1700000000 * QR_SECOND;
    world->node.log = &world->log;
    config_defaults(&world->node.config);
    world->node.command_stats = calloc(command_count(), sizeof *world->node.command_stats);
    reply_init(&world->node.nowhere, 2);
    world->node.nowhere.discard = true;
    reply_init(&world->out, 2);
    world->node.engine = engine_new(&config);
    world->outlook = (struct outlook){ .leader = NODE_NONE, .room = 1000, .members = 5 };
    world->node.router = router_new(&world->node);
    assert_non_null(replica_new(&world->node, &protocol, 0, 5, 0, 0, 0, message, sizeof message));
    stream_init(&world->client, &world->node, true);
    world->client.begin_reply = begin_reply;
    world->client.end_reply = end_reply;
    world->client.is_congested = is_congested;
    lead(1);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    stream_detach(&world->client);
    while (world->node.oldest != NULL) {
        struct pending *p = world->node.oldest;
        p->state = PENDING_WAITING;
        stream_answered(p, STATUS_OK);
    }
    while (world->node.free_pendings != NULL) {
        struct pending *p = world->node.free_pendings;
        world->node.free_pendings = p->next;
        free(p);
    }
    replica_free(world->node.replica);
    router_free(world->node.router);
    engine_free(world->node.engine);
    for (int i = 0; i < SLOTS; i++) {
        free(world->log.record[i]);
    }
    reply_free(&world->out);
    reply_free(&world->node.nowhere);
    free(world->node.command_stats);
    free(world);
    return 0;
}

/* Words split at blanks. */
static void command(const char *line)
{
    char words[128];
    struct span argv[8];
    uint32_t argc = 0;
    (void)snprintf(words, sizeof words, "%s", line);
    for (char *word = strtok(words, " "); word != NULL; word = strtok(NULL, " ")) {
        argv[argc++] = span_of(word, strlen(word));
    }
    const struct command_spec *container;
    const struct command_spec *spec = command_find(argv, argc, &container);
    assert_non_null(spec);
    router_command(world->node.router, &world->client, spec, 2, 0, argv, argc, false);
}

static void assert_heard(const char *expected)
{
    reply_raw(&world->out, SPAN_LITERAL("\0"));
    assert_string_equal((const char *)world->out.p, expected);
    reply_reset(&world->out);
}

/* --- S1, S2 -------------------------------------------------------------------------------------
 */

static void test_reads_and_writes_of_a_pipeline_keep_their_order_S1_S2(void **state)
{
    (void)state;
    command("get a");
    command("set a 1");
    command("get a");
    turn();
    assert_heard("");
    apply_upto(1); /* before the round of the reads comes back */
    assert_heard("$-1\r\n+OK\r\n");
    confirm_reads(0, 0);
    turn();
    assert_heard("$1\r\n1\r\n");
}

static void test_a_confirmed_read_waits_for_the_write_before_it_S1(void **state)
{
    (void)state;
    command("set a 1");
    command("get a");
    turn();
    confirm_reads(0, 0);
    turn();
    assert_heard("");
    apply_upto(1);
    assert_heard("+OK\r\n$1\r\n1\r\n");
}

static void test_a_read_held_by_back_pressure_does_not_see_a_later_write_S2(void **state)
{
    (void)state;
    world->congested = true;
    command("get a");
    command("set a 1");
    turn();
    confirm_reads(0, 0);
    turn();
    assert_heard("");
    apply_upto(1);
    assert_heard("$-1\r\n+OK\r\n");
}

static void test_a_wait_between_does_not_part_a_read_from_a_write_S2(void **state)
{
    (void)state;
    command("get a");
    command("wait 9 0");
    command("set a 1");
    turn();
    apply_upto(1);
    assert_heard("$-1\r\n");
}

static void test_a_read_that_asks_again_does_not_see_a_later_write_S2(void **state)
{
    (void)state;
    command("get a");
    command("set a 1");
    turn();
    follow_nobody(1);
    world->refuses = true;
    struct effect *e = &world->next[world->next_count++];
    *e = (struct effect){ .kind = EFFECT_ANSWER };
    e->answer.first = world->first_read;
    e->answer.count = 1;
    e->answer.status = STATUS_NOT_LEADER;
    poke();
    assert_heard("");
    apply_upto(1); /* the next leader had the entry */
    assert_heard("$-1\r\n+OK\r\n");
}

/* --- D1 -----------------------------------------------------------------------------------------
 */

/* Decision 012: five members; the own entry is truncated by the next leader, which dies; one member
 * still holds it, wins, and it is committed after all. */
static void test_a_truncated_write_may_still_be_committed_D1(void **state)
{
    (void)state;
    command("set a 1");
    turn();
    uint8_t *kept = malloc(world->log.bytes[1]);
    size_t bytes = world->log.bytes[1];
    memcpy(kept, world->log.record[1], bytes);
    follow_nobody(2);
    noop_at(1, 2);
    turn();
    assert_heard("");

    /* 1@1 comes back from the leader of term 3 */
    assert_true(replica_receive(world->node.replica, 1, 1, (struct span){ 0 }, 1, 2, 1,
                                span_of(kept, bytes)));
    turn();
    assert_heard("");
    apply_upto(1);
    assert_heard("+OK\r\n");
    free(kept);
}

static void test_another_terms_entry_applied_proves_the_loss_D1(void **state)
{
    (void)state;
    command("set a 1");
    command("set b 2");
    turn();
    follow_nobody(2);
    noop_at(1, 2);
    assert_heard("");
    apply_upto(1);
    assert_heard("-TRYAGAIN not applied, leader changed\r\n");
    /* Slot 2 is not decided: only time answers. */
    later(60 * QR_SECOND);
    assert_heard("-UNCERTAIN the write was proposed and its fate is unknown\r\n");
}

static void test_an_uncertain_write_that_is_applied_later_is_not_answered_again_D1(void **state)
{
    (void)state;
    command("set a 1");
    turn();
    later(60 * QR_SECOND);
    assert_heard("-UNCERTAIN the write was proposed and its fate is unknown\r\n");
    apply_upto(1);
    command("get a");
    turn();
    confirm_reads(1, 0);
    turn();
    assert_heard("$1\r\n1\r\n");
}

static void test_a_refused_batch_is_tried_again_in_its_order(void **state)
{
    (void)state;
    world->refuses = true;
    command("append a 1");
    command("append a 2");
    turn();
    assert_int_equal(world->log.last, 0);
    world->refuses = false;
    command("append a 3");
    turn();
    turn();
    apply_upto(3);
    assert_heard(":1\r\n:2\r\n:3\r\n");
}

/* --- Leases -------------------------------------------------------------------------------------
 */

static void test_a_read_whose_lease_has_ended_asks_again(void **state)
{
    (void)state;
    command("get a");
    turn();
    confirm_reads(0, world->now); /* it has just ended */
    assert_heard("");
    turn();
    turn();
    assert_int_equal(world->reads, 2);
    confirm_reads(0, world->now + 1);
    assert_heard("$-1\r\n");
}

/* --- Expiry -------------------------------------------------------------------------------------
 */

static void set_with_expiry(void)
{
    command("set a 1 px 10");
    turn();
    apply_upto(1);
    assert_heard("+OK\r\n");
}

static void test_a_read_of_a_due_key_waits_for_the_tick(void **state)
{
    (void)state;
    set_with_expiry();
    world->now += QR_SECOND;
    world->wall += QR_SECOND;
    command("get a");
    turn();
    confirm_reads(1, 0);
    turn();
    assert_heard("");
    assert_int_equal(world->log.last, 2); /* the tick */
    apply_upto(2);
    turn();
    assert_heard("$-1\r\n");
}

/* Our tick was lost with our leadership. When we lead again the log may be shorter than the slot
 * that it had. */
static void test_a_lost_tick_does_not_end_all_ticks(void **state)
{
    (void)state;
    set_with_expiry();
    command("set b 1");
    command("set c 1");
    turn();
    later(QR_SECOND); /* the tick goes to slot 4 */
    assert_int_equal(world->log.last, 4);
    follow_nobody(2);
    noop_at(2, 2);
    apply_upto(2);
    lead(3);
    noop_at(3, 3);
    apply_upto(3);
    reply_reset(&world->out);
    turn();
    turn();
    assert_int_equal(world->log.last, 4);
    apply_upto(4);
    command("exists a");
    turn();
    confirm_reads(4, 0);
    turn();
    assert_heard(":0\r\n");
}

/* --- WAIT ----------------------------------------------------------------------------------------
 */

static void test_wait_counts_members_that_hold_the_last_write(void **state)
{
    (void)state;
    command("set a 1");
    command("wait 2 0");
    turn();
    world->outlook.member[1].match = 1;
    world->outlook.member[2].match = 1;
    turn();
    assert_heard(""); /* its write is not applied */
    apply_upto(1);
    turn();
    assert_heard("+OK\r\n:2\r\n");
    command("wait 4 100");
    turn();
    assert_heard("");
    later(101 * QR_MILLISECOND);
    assert_heard(":2\r\n");
}

static void test_a_wait_of_a_client_that_is_gone_is_forgotten(void **state)
{
    (void)state;
    command("wait 9 0");
    turn();
    assert_int_equal(world->node.pending_count, 1);
    stream_detach(&world->client);
    turn();
    assert_int_equal(world->node.pending_count, 0);
}

/* --- Bounds
 * --------------------------------------------------------------------------------------- */

static void test_reads_are_delivered_only_while_there_is_room_P4(void **state)
{
    (void)state;
    world->outlook.room = 0;
    turn();
    command("get a");
    turn();
    assert_int_equal(world->reads, 0);
    world->outlook.room = 10;
    turn();
    turn();
    assert_int_equal(world->reads, 1);
    confirm_reads(0, 0);
    assert_heard("$-1\r\n");
}

/* A record whose content is no command would stop every member that applies it. */
static void test_an_entry_that_is_no_operation_is_not_taken(void **state)
{
    (void)state;
    uint8_t record[RECORD_HEADER_BYTES + 8] = { 0 };
    record_seal(record, 0, RECORD_COMMAND, 1, 1, 8);
    assert_false(replica_receive(world->node.replica, 1, 1, (struct span){ 0 }, 1, 2, 1,
                                 span_of(record, sizeof record)));
    assert_int_equal(world->log.last, 0);
}

static void test_a_client_may_leave_in_the_middle_of_anything(void **state)
{
    (void)state;
    set_with_expiry();
    world->now += QR_SECOND;
    world->wall += QR_SECOND;
    command("get a");
    turn();
    confirm_reads(1, 0); /* now it is due */
    command("get b");
    command("set b 1");
    command("wait 1 0");
    command("get b");
    turn();
    command("get c"); /* with nobody yet */
    stream_detach(&world->client);
    confirm_reads(1, 0);
    apply_upto(world->log.last);
    turn();
    turn();
    if (world->reads_waiting > 0) {
        confirm_reads(1, 0);
    }
    apply_upto(world->log.last);
    turn();
    assert_int_equal(world->node.pending_count, 0);
    assert_int_equal(world->node.pending_bytes, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_reads_and_writes_of_a_pipeline_keep_their_order_S1_S2),
        TEST(test_a_confirmed_read_waits_for_the_write_before_it_S1),
        TEST(test_a_read_held_by_back_pressure_does_not_see_a_later_write_S2),
        TEST(test_a_wait_between_does_not_part_a_read_from_a_write_S2),
        TEST(test_a_read_that_asks_again_does_not_see_a_later_write_S2),
        TEST(test_a_truncated_write_may_still_be_committed_D1),
        TEST(test_another_terms_entry_applied_proves_the_loss_D1),
        TEST(test_an_uncertain_write_that_is_applied_later_is_not_answered_again_D1),
        TEST(test_a_refused_batch_is_tried_again_in_its_order),
        TEST(test_a_read_whose_lease_has_ended_asks_again),
        TEST(test_a_read_of_a_due_key_waits_for_the_tick),
        TEST(test_a_lost_tick_does_not_end_all_ticks),
        TEST(test_wait_counts_members_that_hold_the_last_write),
        TEST(test_a_wait_of_a_client_that_is_gone_is_forgotten),
        TEST(test_reads_are_delivered_only_while_there_is_room_P4),
        TEST(test_an_entry_that_is_no_operation_is_not_taken),
        TEST(test_a_client_may_leave_in_the_middle_of_anything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
