/* By which prefixes a node goes, and how group 0's leader changes one (cluster/coverage.h): what
 * contact.c and freeze.c say to others and do when they are told. The node has index 0 and knows
 * nodes 1 and 2; all else of it is played. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/wire.h"
#include "node/control.h"
#include "node/council.h"
#include "node/node.h"
#include "node/peers.h"
#include "node/replica.h"
#include "node/router.h"
#include "node/run.h"
#include "node/views.h"

#define MS QR_MILLISECOND
#define TERM 7u
#define COVERS_NOTHING UINT64_MAX

/* What was told last of each kind. */
struct told {
    uint32_t count;
    node_index to;
    size_t n;
    uint8_t head[FREEZE_BYTES_MAX];
};

static struct node node;
static struct partition zero;
static struct outlook outlook;
static struct told told[256];
static qr_time now;
static uint16_t wire;            /* version of the connections */
static uint64_t routes, version; /* of the leader, of this node's map */
static qr_term applied_term;
static bool current, open; /* open: something that was sent on has no answer */
static uint64_t asked_until;
static uint32_t given_up, guarded;
static bool in_batch; /* what is to be given up */

/* --- What it stands on ------------------------------------------------------------------------ */

qr_time io_now(struct io *io)
{
    (void)io;
    return now;
}

void io_random(struct io *io, void *p, size_t n)
{
    (void)io;
    memset(p, 5, n);
}

uint32_t identity_me(const struct identity *identity)
{
    (void)identity;
    return 0;
}

node_index replica_me(const struct replica *r)
{
    (void)r;
    return 0;
}

qr_time replica_fresh_at(struct replica *r)
{
    (void)r;
    return 0;
}

void replica_ask_ahead(struct replica *r)
{
    (void)r;
    fail();
}

void views_wake(struct node *n)
{
    (void)n;
    fail();
}

const struct outlook *replica_seen(const struct replica *r)
{
    (void)r;
    return &outlook;
}

qr_term replica_applied_term(const struct replica *r)
{
    (void)r;
    return applied_term;
}

bool control_is_current(const struct node *of)
{
    (void)of;
    return current;
}

void council_life(struct node *n, node_index from, uint64_t life)
{
    (void)n, (void)from, (void)life;
}

uint64_t control_rules_version(const struct node *of)
{
    (void)of;
    return routes;
}

uint64_t control_version(const struct node *of)
{
    (void)of;
    return version;
}

uint16_t peers_wire_version(const struct peers *peers, node_index peer)
{
    (void)peers;
    (void)peer;
    return wire; /* 0: it does not beat, it is up while it is connected */
}

uint16_t frame_wire_version(uint8_t kind, uint32_t group)
{
    (void)kind;
    (void)group;
    return 4;
}

void peers_tell(struct peers *peers, node_index to, uint8_t kind, struct span head)
{
    struct told *t = &told[kind];
    (void)peers;
    t->count++;
    t->to = to;
    t->n = head.n;
    assert_true(head.n <= sizeof t->head);
    memcpy(t->head, head.p, head.n);
}

void schedule_peer(struct node *of, node_index peer, bool up)
{
    (void)of;
    (void)peer;
    (void)up;
}

void node_log(struct node *of, enum node_log_level level, const char *format, ...)
{
    (void)of;
    (void)level;
    (void)format;
}

bool router_has_routed(const struct router *router, uint64_t until)
{
    (void)router;
    asked_until = until;
    return open;
}

bool router_give_up_routed(struct router *router)
{
    (void)router;
    given_up++;
    return !in_batch;
}

void router_guard(struct router *router)
{
    (void)router;
    assert_true(node.contact.guards);
    guarded++;
}

static int begin(void **state)
{
    (void)state;
    now = 100 * QR_SECOND;
    node = (struct node){ .zero = &zero, .next_sequence = 100, .clock = now };
    node.config.heartbeat_ms = 25;
    node.config.election_timeout_ms = 250;
    memset(told, 0, sizeof told);
    outlook = (struct outlook){ .role = ROLE_FOLLOWER, .term = TERM, .leader = 1, .members = 3 };
    outlook.membership.voters = 1;
    routes = version = 5;
    applied_term = TERM;
    current = true;
    open = false;
    given_up = guarded = 0;
    in_batch = false;
    wire = 0;
    contact_init(&node);
    contact_connected(&node, 1);
    contact_connected(&node, 2);
    return 0;
}

/* --- As others see it ------------------------------------------------------------------------- */

static qr_time turn_after(qr_time time)
{
    now += time;
    node.clock = now;
    return contact_turn(&node, now);
}

static struct cover_stage stage(qr_term term, uint64_t count)
{
    return (struct cover_stage){ term, count };
}

static struct freeze freeze_of(const char *prefix)
{
    struct freeze f = { 0 };
    assert_true(freeze_add(&f, span_of(prefix, strlen(prefix))));
    return f;
}

static bool receive(node_index from, uint8_t kind, const uint8_t *head, size_t n)
{
    return contact_receive(&node, from, kind, span_of(head, n));
}

/* Of a RENEW or RENEWED that this node told. */
static struct cover_stage stage_in(uint8_t kind)
{
    struct wire_reader r = wire_reader(span_of(told[kind].head, told[kind].n));
    (void)wire_get_u64(&r);
    (void)wire_get_u64(&r);
    struct cover_stage s = { .term = wire_get_u64(&r) };
    s.count = wire_get_u64(&r);
    return s;
}

static void put_stage(struct wire_writer *w, struct cover_stage s)
{
    wire_put_u64(w, s.term);
    wire_put_u64(w, s.count);
}

/* The leader, node 1, answers the renewal that was sent last. */
static void answered(struct cover_stage s, uint64_t by_routes)
{
    uint8_t head[64];
    struct wire_writer w = wire_writer(head, sizeof head);
    wire_put_bytes(&w, told[FRAME_RENEW].head, 16);
    put_stage(&w, s);
    wire_put_u64(&w, by_routes);
    assert_true(receive(1, FRAME_RENEWED, head, w.n));
    assert_false(receive(1, FRAME_RENEWED, head, w.n - 1));
}

static void frozen_by_the_leader(uint64_t count, const char *prefix)
{
    uint8_t head[FREEZE_BYTES_MAX];
    struct freeze f = freeze_of(prefix);
    f.stage = stage(TERM, count);
    size_t n = freeze_write(&f, head);
    assert_true(receive(1, FRAME_FREEZE, head, n));
    assert_false(receive(1, FRAME_FREEZE, head, n - 1));
}

/* A node renews its lease with this one. */
static void asks(node_index from, struct cover_stage said)
{
    uint8_t head[64];
    struct wire_writer w = wire_writer(head, sizeof head);
    wire_put_u64(&w, 9);
    wire_put_u64(&w, 1);
    put_stage(&w, said);
    assert_true(receive(from, FRAME_RENEW, head, w.n));
}

/* What the answer says of routes. */
static uint64_t routes_said(node_index to)
{
    const struct told *t = &told[FRAME_RENEWED];
    assert_int_equal(t->to, to);
    struct wire_reader r = wire_reader(span_of(t->head + 32, t->n - 32));
    return wire_get_u64(&r);
}

static bool goes(const char *key)
{
    const struct coverage *c = &node.contact.coverage;
    return coverage_holds(c, now) && !freeze_has(&c->frozen, span_of(key, strlen(key)));
}

static void lead(void)
{
    outlook.role = ROLE_LEADER;
    outlook.leader = 0;
    outlook.can_serve = true;
    turn_after(MS);
}

/* --- A node ----------------------------------------------------------------------------------- */

static void an_answer_covers_who_has_the_map_that_it_names_V1(void **state)
{
    (void)state;
    turn_after(MS);
    assert_int_equal(told[FRAME_RENEW].to, 1);
    qr_time sent = now;
    now += 300 * MS;
    answered(stage(TERM, 0), 6);
    assert_false(goes("p:1"));
    answered(stage(TERM, 0), COVERS_NOTHING);
    assert_false(goes("p:1"));
    answered(stage(TERM, 0), 5);
    now = sent + COVER_TIME / 2 - 1; /* from the asking */
    assert_true(goes("p:1"));
    now++;
    assert_false(goes("p:1"));
    contact_uncover(&node);
    now = sent;
    assert_false(goes("p:1"));
}

static void an_answer_to_an_earlier_life_covers_nobody_V1(void **state)
{
    (void)state;
    turn_after(MS);
    node.contact.leases.life++;
    answered(stage(TERM, 0), 5);
    assert_false(goes("p:1"));
}

static void who_is_told_to_freeze_says_so_when_all_has_its_answer_K6(void **state)
{
    (void)state;
    turn_after(MS);
    answered(stage(TERM, 0), 5);
    assert_true(goes("p:1"));
    open = true;
    frozen_by_the_leader(1, "p:");
    assert_false(goes("p:1"));
    node.next_sequence = 200; /* later ones are not waited for */
    qr_time next = turn_after(MS);
    assert_true(next <= now + MS); /* it looks again soon */
    assert_int_equal(asked_until, 100);
    assert_int_equal(stage_in(FRAME_RENEW).count, 0);
    open = false;
    uint32_t renewals = told[FRAME_RENEW].count;
    turn_after(MS);
    assert_int_equal(told[FRAME_RENEW].count, renewals + 1); /* at once */
    assert_int_equal(stage_in(FRAME_RENEW).term, TERM);
    assert_int_equal(stage_in(FRAME_RENEW).count, 1);
    answered(stage(TERM, 1), 5);
    assert_true(goes("other") && !goes("p:1"));
    answered(stage(TERM, 2), 5);
    assert_true(goes("p:1"));
    assert_int_equal(given_up, 0);
}

static void what_has_no_answer_in_time_is_given_up_K6(void **state)
{
    (void)state;
    open = true;
    frozen_by_the_leader(1, "p:");
    turn_after(QR_SECOND - 1);
    frozen_by_the_leader(1, "p:"); /* said again: no new time begins */
    assert_int_equal(given_up, 0);
    assert_int_equal(stage_in(FRAME_RENEW).count, 0);
    in_batch = true; /* some of it is about to get its slot */
    turn_after(1);
    assert_int_equal(given_up, 1);
    assert_int_equal(stage_in(FRAME_RENEW).count, 0);
    in_batch = false;
    turn_after(QR_MILLISECOND);
    assert_int_equal(given_up, 2);
    assert_int_equal(stage_in(FRAME_RENEW).count, 1);
    turn_after(QR_SECOND);
    assert_int_equal(given_up, 2);
}

/* --- Group 0's leader ------------------------------------------------------------------------- */

static void who_has_not_applied_an_entry_of_its_term_covers_nobody_V2(void **state)
{
    (void)state;
    applied_term = TERM - 1;
    lead();
    asks(1, stage(0, 0));
    turn_after(MS);
    assert_true(routes_said(1) == COVERS_NOTHING && !goes("p:1"));
    applied_term = TERM;
    current = false; /* the map lags behind what is applied */
    asks(1, stage(0, 0));
    turn_after(MS);
    assert_true(routes_said(1) == COVERS_NOTHING);
    current = true;
    asks(1, stage(0, 0));
    turn_after(MS);
    assert_int_equal(routes_said(1), 5);
    turn_after(300 * MS); /* its own lease is renewed, and granted in a turn after that */
    turn_after(MS);
    assert_true(goes("p:1"));
}

/* R9: one that leads without knowing of rules answers nobody; who waited for that would refuse most
 * writes until all nodes are upgraded. */
static void under_a_leader_of_an_older_version_there_are_no_rules(void **state)
{
    (void)state;
    turn_after(MS);
    assert_false(coverage_knows_rules(&node.contact.coverage, now));
    wire = 4;
    turn_after(QR_SECOND);
    assert_false(coverage_knows_rules(&node.contact.coverage, now));
    uint32_t asked = told[FRAME_RENEW].count;
    wire = 3;
    turn_after(QR_SECOND);
    assert_int_equal(told[FRAME_RENEW].count, asked);
    assert_true(coverage_knows_rules(&node.contact.coverage, now + RULES_TIME / 2 - 1));
    assert_false(coverage_knows_rules(&node.contact.coverage, now + RULES_TIME / 2));
    assert_false(goes("p:1"));
    qr_time heard = now;
    outlook.leader = NODE_NONE;
    turn_after(QR_SECOND);
    assert_false(coverage_knows_rules(&node.contact.coverage, heard + RULES_TIME / 2));
}

/* Also indices that nobody has: this leader does not know whom the one before covered. */
static void who_may_know_the_rules_of_before_V5(void **state)
{
    (void)state;
    node.clock = now + 10 * RULES_TIME;
    assert_true(contact_may_know_rules(&node, 9)); /* it does not lead, and cannot tell */
    node.clock = now;
    lead();
    assert_true(contact_may_know_rules(&node, 9)); /* nor does it in a term in which it asks */
    asks(1, stage(0, 0));
    turn_after(MS);
    qr_time led = now;
    turn_after(COVER_TIME);
    asks(1, stage(0, 0));
    turn_after(MS);
    qr_time granted = now;
    node.clock = led + RULES_TIME;
    assert_true(contact_may_know_rules(&node, 9));
    node.clock++;
    assert_false(contact_may_know_rules(&node, 9));
    node.clock = granted + RULES_TIME;
    assert_true(contact_may_know_rules(&node, 1));
    node.clock++;
    assert_false(contact_may_know_rules(&node, 1));
    outlook.term++;
    assert_true(contact_may_know_rules(&node, 1));
}

static void who_may_still_go_is_waited_for_V2_V3(void **state)
{
    (void)state;
    struct freeze f = freeze_of("p:");
    assert_false(contact_freeze(&node, &f)); /* it does not lead */
    lead();
    assert_false(contact_freeze(&node, &f)); /* nor has it covered anybody in its term */
    asks(1, stage(0, 0));
    turn_after(MS);
    assert_false(contact_freeze(&node, &f)); /* the others that there may be are away */
    assert_int_equal(told[FRAME_FREEZE].count, 0);
    turn_after(COVER_TIME);
    asks(2, stage(0, 0));
    turn_after(MS);
    contact_lost(&node, 2);
    assert_false(contact_freeze(&node, &f)); /* it was covered just now */
    turn_after(COVER_TIME + 1);
    asks(1, stage(0, 0));
    turn_after(MS);
    assert_int_equal(routes_said(1), 5);
    assert_true(contact_freeze(&node, &f));
    assert_int_equal(told[FRAME_FREEZE].count, 1);
    assert_int_equal(told[FRAME_FREEZE].to, NODE_NONE); /* all */
    assert_false(goes("p:1"));
}

/* The leader has frozen "p:", and node 1 was covered before. */
static void freeze(void)
{
    struct freeze f = freeze_of("p:");
    lead();
    asks(1, stage(0, 0));
    turn_after(MS);
    turn_after(COVER_TIME + 1);
    asks(1, stage(0, 0));
    turn_after(MS);
    assert_true(contact_freeze(&node, &f));
}

static void a_change_is_guarded_once_nobody_goes_by_it_V3(void **state)
{
    (void)state;
    freeze();
    assert_false(contact_guard(&node));
    asks(1, stage(0, 0)); /* it has not heard of it yet */
    turn_after(MS);
    assert_true(routes_said(1) == COVERS_NOTHING);
    assert_true(!contact_guard(&node) && guarded == 0);
    node.chores.stirred = false;
    asks(1, stage(TERM, 1));
    assert_true(node.chores.stirred); /* the change may go on */
    turn_after(200 * MS);             /* this node says so to itself */
    turn_after(MS);
    assert_int_equal(routes_said(1), 5);
    assert_true(contact_guard(&node) && contact_guard(&node));
    assert_true(guarded == 1 && node.contact.guards);
    contact_thaw(&node);
    assert_false(node.contact.guards);
    assert_int_equal(told[FRAME_FREEZE].count, 2);
    contact_thaw(&node); /* once */
    assert_int_equal(told[FRAME_FREEZE].count, 2);
    asks(1, stage(TERM, 1));
    turn_after(MS);
    assert_int_equal(routes_said(1), 5);
    assert_int_equal(stage_in(FRAME_RENEWED).count, 2);
}

static void who_is_away_is_waited_for_until_it_is_covered_no_more_V3(void **state)
{
    (void)state;
    freeze();
    turn_after(COVER_TIME - MS);
    turn_after(MS);
    assert_false(contact_guard(&node));
    turn_after(1);
    assert_true(contact_guard(&node));
}

static void a_deposed_leader_changes_nothing_V4(void **state)
{
    (void)state;
    freeze();
    turn_after(COVER_TIME + 1);
    outlook.role = ROLE_FOLLOWER;
    assert_false(contact_guard(&node));
    contact_thaw(&node);
    assert_int_equal(told[FRAME_FREEZE].count, 1);
    outlook.role = ROLE_LEADER;
    assert_true(contact_guard(&node));
    outlook.term = applied_term = TERM + 1; /* it leads anew: nothing of before counts */
    assert_false(contact_guard(&node));
    turn_after(MS);
    asks(1, stage(TERM, 1));
    turn_after(MS);
    assert_false(node.contact.guards);
    assert_int_equal(stage_in(FRAME_RENEWED).term, TERM + 1);
    assert_int_equal(stage_in(FRAME_RENEWED).count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_answer_covers_who_has_the_map_that_it_names_V1, begin),
        cmocka_unit_test_setup(an_answer_to_an_earlier_life_covers_nobody_V1, begin),
        cmocka_unit_test_setup(who_is_told_to_freeze_says_so_when_all_has_its_answer_K6, begin),
        cmocka_unit_test_setup(what_has_no_answer_in_time_is_given_up_K6, begin),
        cmocka_unit_test_setup(who_has_not_applied_an_entry_of_its_term_covers_nobody_V2, begin),
        cmocka_unit_test_setup(under_a_leader_of_an_older_version_there_are_no_rules, begin),
        cmocka_unit_test_setup(who_may_know_the_rules_of_before_V5, begin),
        cmocka_unit_test_setup(who_may_still_go_is_waited_for_V2_V3, begin),
        cmocka_unit_test_setup(a_change_is_guarded_once_nobody_goes_by_it_V3, begin),
        cmocka_unit_test_setup(who_is_away_is_waited_for_until_it_is_covered_no_more_V3, begin),
        cmocka_unit_test_setup(a_deposed_leader_changes_nothing_V4, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
