/* A node's contact with the others (contact.h): who is told to be up, beats, and leases between
 * this node and group 0's leader, which it is or is not. Beats, leases and coverage are real;
 * connections, group 0 and the clock are played. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "node/control.h"
#include "node/council.h"
#include "node/node.h"
#include "node/peers.h"
#include "node/replica.h"
#include "node/run.h"
#include "node/views.h"

#define MS QR_MILLISECOND
#define ME 0

static struct node node;
static struct partition zero;
static struct outlook seen;
static qr_time now;
static uint16_t wire;
static char told[64]; /* to the partitions: "+1-1" */
static struct {
    uint32_t count;
    node_index to;
    uint8_t head[64];
    size_t n;
} sent[FRAME_KINDS];

/* --- The rest of the node -------------------------------------------------------------------- */

qr_time io_now(struct io *io)
{
    (void)io;
    return now;
}

void io_random(struct io *io, void *p, size_t n)
{
    (void)io;
    memset(p, 7, n);
}

uint32_t identity_me(const struct identity *identity)
{
    (void)identity;
    return ME;
}

/* Group 0's state here is as fresh as that, and has been asked for an index so often. */
static qr_time fresh_at;
static uint32_t asked_ahead, woken;

qr_time replica_fresh_at(struct replica *r)
{
    (void)r;
    return fresh_at;
}

void replica_ask_ahead(struct replica *r)
{
    (void)r;
    asked_ahead++;
}

void views_wake(struct node *n)
{
    (void)n;
    woken++;
}

const struct outlook *replica_seen(const struct replica *r)
{
    (void)r;
    return &seen;
}

node_index replica_me(const struct replica *r)
{
    (void)r;
    return ME;
}

qr_term replica_applied_term(const struct replica *r)
{
    (void)r;
    return seen.term;
}

uint16_t peers_wire_version(const struct peers *peers, node_index peer)
{
    (void)peers, (void)peer;
    return wire;
}

void peers_tell(struct peers *peers, node_index to, uint8_t kind, struct span head)
{
    (void)peers;
    assert_in_range(kind, FRAME_BEAT, FRAME_RENEWED);
    assert_in_range(head.n, 0, sizeof sent[kind].head);
    sent[kind].count++;
    sent[kind].to = to;
    sent[kind].n = head.n;
    if (head.n > 0) {
        memcpy(sent[kind].head, head.p, head.n);
    }
}

void schedule_peer(struct node *n, node_index peer, bool up)
{
    (void)n;
    size_t length = strlen(told);
    (void)snprintf(told + length, sizeof told - length, "%c%u", up ? '+' : '-', (unsigned)peer);
}

bool control_is_current(const struct node *n)
{
    (void)n;
    return true;
}

void council_life(struct node *n, node_index from, uint64_t life)
{
    (void)n, (void)from, (void)life;
}

uint64_t control_rules_version(const struct node *n)
{
    (void)n;
    return 3;
}

uint64_t control_version(const struct node *n)
{
    (void)n;
    return 5;
}

qr_time contact_settle(struct node *n, qr_time at)
{
    (void)n, (void)at;
    return QR_NEVER;
}

bool contact_take_freeze(struct node *n, struct span head)
{
    (void)n, (void)head;
    fail();
    return false;
}

void node_log(struct node *n, enum node_log_level level, const char *format, ...)
{
    (void)n, (void)level, (void)format;
}

/* --- A world --------------------------------------------------------------------------------- */

static int begin(void **state)
{
    (void)state;
    memset(&node, 0, sizeof node);
    memset(sent, 0, sizeof sent);
    told[0] = 0;
    node.zero = &zero;
    node.config.heartbeat_ms = 25;
    node.config.election_timeout_ms = 300;
    node.config.phi_threshold = 8;
    now = QR_SECOND;
    wire = WIRE_VERSION_GROUPS;
    seen = (struct outlook){
        .role = ROLE_FOLLOWER, .leader = 1, .term = 4, .members = 3, .membership.voters = 7
    };
    contact_init(&node);
    return 0;
}

/* This node leads group 0. */
static void lead(bool can_serve)
{
    seen.role = ROLE_LEADER;
    seen.leader = ME;
    seen.can_serve = can_serve;
}

static void turn(void)
{
    node.chores.stays = false;
    (void)contact_turn(&node, now);
}

/* Looks in every millisecond; node 2 is heard all the time. */
static void pass(qr_time span)
{
    for (qr_time until = now + span; now < until; now += MS) {
        beats_heard(&node.contact.beats, 2, now);
        turn();
    }
}

/* What a frame of leases says first: whose it is, and when it was sent. */
static struct renewal renewal_of(uint8_t kind)
{
    struct wire_reader r = wire_reader(span_of(sent[kind].head, sent[kind].n));
    struct renewal renewal = { .life = wire_get_u64(&r) };
    renewal.sent = (qr_time)wire_get_u64(&r);
    assert_false(r.bad);
    return renewal;
}

/* Node 1 asks this one, by a clock of its own. */
static void is_asked(qr_time by_its_clock)
{
    uint8_t head[32];
    struct wire_writer w = wire_writer(head, sizeof head);
    wire_put_u64(&w, 99);
    wire_put_u64(&w, (uint64_t)by_its_clock);
    wire_put_u64(&w, 0);
    wire_put_u64(&w, 0);
    assert_true(contact_receive(&node, 1, FRAME_RENEW, span_of(head, w.n)));
}

/* Node 1 grants what this one asked for last. */
static void is_granted(void)
{
    uint8_t head[40];
    memcpy(head, sent[FRAME_RENEW].head, 32);
    memset(head + 32, 0, 8);
    assert_true(contact_receive(&node, 1, FRAME_RENEWED, span_of(head, sizeof head)));
}

/* --- Who is up ------------------------------------------------------------------------------- */

static void partitions_hear_of_every_loss(void **state)
{
    (void)state;
    contact_connected(&node, 1);
    contact_connected(&node, 2);
    assert_string_equal(told, "+1+2");
    assert_int_equal(contact_alive(&node), 7);
    pass(299 * MS);
    assert_string_equal(told, "+1+2");
    pass(2 * MS);
    assert_string_equal(told, "+1+2-1"); /* silent, with an open connection */
    assert_int_equal(contact_alive(&node), 5);
    beats_heard(&node.contact.beats, 1, now);
    pass(30 * MS);
    assert_string_equal(told, "+1+2-1+1");
    contact_lost(&node, 1);
    assert_string_equal(told, "+1+2-1+1-1"); /* at once, not with the next look */
    pass(100 * MS);
    assert_string_equal(told, "+1+2-1+1-1");
    contact_connected(&node, 2); /* B3: nobody has seen the connection before it close */
    assert_string_equal(told, "+1+2-1+1-1-2+2");
}

static void beats_go_where_nothing_else_went(void **state)
{
    (void)state;
    contact_connected(&node, 1);
    beats_sent(&node.contact.beats, 1, now + 20 * MS);
    pass(45 * MS);
    assert_int_equal(sent[FRAME_BEAT].count, 0);
    pass(1 * MS);
    assert_int_equal(sent[FRAME_BEAT].count, 1);
    assert_int_equal(sent[FRAME_BEAT].to, 1);
    assert_int_equal(sent[FRAME_BEAT].n, 0);
    assert_true(contact_receive(&node, 1, FRAME_BEAT, (struct span){ 0 }));
    assert_false(contact_receive(&node, 1, FRAME_BEAT, span_of((const uint8_t *)"x", 1)));
}

/* B4 */
static void a_node_that_knows_no_beats_is_up_while_it_is_connected(void **state)
{
    (void)state;
    wire = WIRE_VERSION_GROUPS - 1;
    contact_connected(&node, 1);
    pass(QR_SECOND);
    assert_string_equal(told, "+1");
    assert_int_equal(sent[FRAME_BEAT].count, 0);
}

/* --- The failure detector -------------------------------------------------------------------- */

static struct suspicion_figures figures(void)
{
    return suspicions_figures(&node.contact.suspicions, 1, now);
}

static void the_setting_says_who_is_silent(void **state)
{
    (void)state;
    node.config.node_timeout_ms = 90;
    contact_init(&node);
    contact_connected(&node, 1);
    pass(89 * MS);
    assert_string_equal(told, "+1");
    pass(30 * MS); /* it looks every 25 ms */
    assert_string_equal(told, "+1-1");
    node.config.failure_detector = DETECTOR_PING;
    contact_init(&node);
    contact_lost(&node, 1);
    contact_connected(&node, 1);
    told[0] = 0;
    sent[FRAME_BEAT].count = 0;
    for (int i = 0; i < 200; i++) { /* asked although something went there all the time */
        beats_sent(&node.contact.beats, 1, now);
        pass(1 * MS);
    }
    assert_in_range(sent[FRAME_BEAT].count, 6, 8);
    assert_string_equal(told, "-1");
}

static void phi_has_its_thresholds_from_the_settings(void **state)
{
    (void)state;
    node.config.failure_detector = DETECTOR_PHI;
    for (uint32_t deviation = 0; deviation < 2; deviation++) {
        node.config.phi_threshold = 2;
        node.config.phi_deviation_ms = 10 * deviation; /* 0: heartbeat-ms */
        contact_init(&node);
        contact_connected(&node, 1);
        for (int i = 0; i < 40; i++) {
            beats_heard(&node.contact.beats, 1, now);
            pass(25 * MS);
        }
        qr_time least = deviation == 0 ? 25 * MS : 10 * MS;
        assert_int_equal(detector_timeout(&node.contact.beats.detector, 1),
                         25 * MS + 2327 * least / 1000);
        contact_lost(&node, 1);
    }
}

static void a_time_out_below_two_heartbeats_is_none(void **state)
{
    (void)state;
    node.config.election_timeout_ms = 50;
    contact_init(&node);
    assert_int_equal(node.contact.beats.detector.options.silence, 50 * MS + 1);
}

static void what_was_believed_is_measured_F4(void **state)
{
    (void)state;
    lead(true);
    contact_connected(&node, 1);
    is_asked(77);
    pass(QR_SECOND);
    assert_int_equal(figures().silent, 1);
    beats_heard(&node.contact.beats, 1, now);
    pass(30 * MS);
    assert_int_equal(figures().mistakes, 1);
    assert_in_range(figures().mistaken, 650 * MS, 750 * MS);
    node.clock = now;
    contact_lost(&node, 1);
    assert_int_equal(figures().closed, 1);
    pass(QR_SECOND);
    contact_connected(&node, 1);
    is_asked(78); /* by the same process */
    assert_int_equal(figures().mistakes, 2);
    assert_int_equal(figures().failures + figures().missed + figures().unproven, 0);
    node.contact.suspicions.of[1].known++; /* it was another one */
    beats_heard(&node.contact.beats, 1, now);
    node.clock = now + 7 * MS;
    contact_lost(&node, 1);
    contact_connected(&node, 1);
    is_asked(79);
    assert_int_equal(figures().failures, 1);
    assert_int_equal(figures().detection, 7 * MS);
}

static void a_question_of_no_process_proves_nothing(void **state)
{
    (void)state;
    lead(true);
    contact_connected(&node, 1);
    uint8_t head[32] = { 0 };
    assert_true(contact_receive(&node, 1, FRAME_RENEW, span_of(head, sizeof head)));
    assert_int_equal(node.contact.suspicions.of[1].known, 0);
}

/* --- Leases: the node ------------------------------------------------------------------------ */

static void a_renewal_goes_to_the_leader_every_200_ms(void **state)
{
    (void)state;
    seen.leader = NODE_NONE;
    turn();
    assert_int_equal(sent[FRAME_RENEW].count, 0);
    seen.leader = 1;
    pass(601 * MS);
    assert_in_range(sent[FRAME_RENEW].count, 3, 4);
    assert_int_equal(sent[FRAME_RENEW].to, 1);
    uint32_t before = sent[FRAME_RENEW].count;
    contact_renew(&node); /* a prefix has changed: not with the next one */
    turn();
    assert_int_equal(sent[FRAME_RENEW].count, before + 1);
    assert_int_equal(renewal_of(FRAME_RENEW).sent, now);
}

/* L1, L4 */
static void the_lease_is_held_from_the_sending_for_half_its_time(void **state)
{
    (void)state;
    turn();
    assert_false(lease_held(&node));
    qr_time asked = now;
    now += 100 * MS;
    is_granted();
    now = asked + 600 * MS - 1;
    assert_true(lease_held(&node));
    now++;
    assert_false(lease_held(&node));
    sent[FRAME_RENEW].head[0] ^= 1; /* to another life of it */
    is_granted();
    assert_false(lease_held(&node));
    uint8_t shorter[39] = { 0 };
    assert_false(contact_receive(&node, 1, FRAME_RENEWED, span_of(shorter, sizeof shorter)));
    assert_false(contact_receive(&node, 1, FRAME_RENEW, span_of(shorter, sizeof shorter)));
}

/* L6: it counts when the map is as new as it was when it was granted. */
static void a_lease_counts_when_group_0_was_asked_behind_it(void **state)
{
    (void)state;
    turn();
    is_granted();
    turn();
    assert_int_equal(asked_ahead, 0); /* nothing here goes by it */
    node.partitions.viewed = 1;
    fresh_at = now - 1;
    turn();
    assert_false(lease_counts(&node));
    fresh_at = now;
    turn();
    assert_true(lease_counts(&node));
    assert_int_equal(woken, 1);
    for (uint32_t i = 0; i < 5; i++, assert_true(lease_counts(&node))) { /* renewed in time */
        now += 300 * MS;
        turn();
        is_granted();
    }
    now += 700 * MS;
    turn();
    assert_false(lease_counts(&node));
    is_granted(); /* it may hide what was written down meanwhile */
    turn();
    assert_false(lease_counts(&node));
    assert_int_equal(asked_ahead, 2);
    fresh_at = now;
    turn();
    assert_true(lease_counts(&node));
}

/* --- Leases: group 0's leader ---------------------------------------------------------------- */

/* L2: with a majority that answers what was sent behind the question. */
static void a_lease_is_granted_when_a_majority_has_confirmed_that_it_led(void **state)
{
    (void)state;
    lead(true);
    contact_connected(&node, 1);
    turn();
    now += 10 * MS;
    is_asked(77);
    seen.member[1].echoed = now; /* sent when the question came, perhaps before it */
    now += 10 * MS;
    turn();
    assert_int_equal(sent[FRAME_RENEWED].count, 0);
    assert_true(node.chores.stays); /* it looks in every turn until it is confirmed */
    seen.member[1].echoed = now - 5 * MS;
    seen.member[1].forgetful = true; /* what it answers decides nothing */
    turn();
    assert_int_equal(sent[FRAME_RENEWED].count, 0);
    seen.member[2].echoed = now - 5 * MS;
    turn();
    assert_int_equal(sent[FRAME_RENEWED].count, 1); /* two of three, this one among them */
    assert_int_equal(sent[FRAME_RENEWED].to, 1);
    assert_int_equal(renewal_of(FRAME_RENEWED).life, 99);
    assert_int_equal(renewal_of(FRAME_RENEWED).sent, 77);
    qr_time granted = now;
    turn();
    assert_int_equal(sent[FRAME_RENEWED].count, 1);
    now = granted + LEASE_TIME;
    assert_int_equal(lease_gone_for(&node, 1), 0);
    now += 3 * MS;
    assert_int_equal(lease_gone_for(&node, 1), 3 * MS);
}

static void one_of_five_confirms_nothing(void **state)
{
    (void)state;
    lead(true);
    seen.members = 5;
    seen.membership.voters = 31;
    turn();
    is_asked(77);
    now += 10 * MS;
    seen.member[1].echoed = now;
    turn();
    assert_int_equal(sent[FRAME_RENEWED].count, 0);
    seen.member[4].echoed = now;
    turn();
    assert_int_equal(sent[FRAME_RENEWED].count, 1);
}

static void the_leader_holds_a_lease_of_its_own_like_the_others(void **state)
{
    (void)state;
    lead(true);
    turn(); /* asks */
    assert_false(lease_held(&node));
    now += MS;
    turn();
    assert_false(lease_held(&node)); /* nobody has confirmed it */
    seen.member[2].echoed = now;
    turn();
    assert_true(lease_held(&node));
    assert_int_equal(sent[FRAME_RENEW].count + sent[FRAME_RENEWED].count, 0);
}

/* L3, L5 */
static void who_has_committed_nothing_or_leads_no_more_grants_and_ends_nothing(void **state)
{
    (void)state;
    lead(false);
    turn();
    is_asked(77);
    now += 10 * MS;
    seen.member[1].echoed = seen.member[2].echoed = now;
    turn();
    assert_int_equal(sent[FRAME_RENEWED].count, 0);
    now += 10 * QR_SECOND;
    turn();
    assert_int_equal(lease_gone_for(&node, 1), 0);
    seen.can_serve = true; /* its first commit: every lease counts from here */
    qr_time first = now;
    turn();
    now = first + LEASE_TIME;
    assert_int_equal(lease_gone_for(&node, 2), 0);
    now += 5 * MS;
    assert_int_equal(lease_gone_for(&node, 2), 5 * MS);
    uint32_t granted = sent[FRAME_RENEWED].count;
    is_asked(88);
    seen.role = ROLE_FOLLOWER; /* in the same term: it has stepped down */
    seen.can_serve = false;
    seen.leader = NODE_NONE;
    now += 10 * MS;
    seen.member[1].echoed = seen.member[2].echoed = now;
    turn();
    assert_int_equal(sent[FRAME_RENEWED].count, granted);
    assert_int_equal(lease_gone_for(&node, 2), 0);
}

/* L4: what it asked by a connection that has closed may be of another life. */
static void a_connection_that_closes_takes_its_question_along(void **state)
{
    (void)state;
    lead(true);
    contact_connected(&node, 1);
    turn();
    is_asked(77);
    contact_lost(&node, 1);
    now += 10 * MS;
    seen.member[2].echoed = now;
    turn();
    assert_int_equal(sent[FRAME_RENEWED].count, 0);
}

#define CASE(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(partitions_hear_of_every_loss),
        CASE(beats_go_where_nothing_else_went),
        CASE(a_node_that_knows_no_beats_is_up_while_it_is_connected),
        CASE(the_setting_says_who_is_silent),
        CASE(phi_has_its_thresholds_from_the_settings),
        CASE(a_time_out_below_two_heartbeats_is_none),
        CASE(what_was_believed_is_measured_F4),
        CASE(a_question_of_no_process_proves_nothing),
        CASE(a_renewal_goes_to_the_leader_every_200_ms),
        CASE(the_lease_is_held_from_the_sending_for_half_its_time),
        CASE(a_lease_counts_when_group_0_was_asked_behind_it),
        CASE(a_lease_is_granted_when_a_majority_has_confirmed_that_it_led),
        CASE(one_of_five_confirms_nothing),
        CASE(the_leader_holds_a_lease_of_its_own_like_the_others),
        CASE(who_has_committed_nothing_or_leads_no_more_grants_and_ends_nothing),
        CASE(a_connection_that_closes_takes_its_question_along),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
