/* What a node tells of its replicas of primary partitions, and when (standing.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "node/council.h"
#include "node/node.h"
#include "node/peers.h"
#include "node/replica.h"
#include "node/standing.h"
#include "protocol/quorum.h"

#define PARTITIONS 600u
#define G 7u /* some partition, of group G + 2 */
#define ME 1u

struct replica {
    struct outlook o;
    bool views;
};

static struct node *node;
static struct replica zero_replica, replica[PARTITIONS];
static struct partition zero, partition[PARTITIONS];
static bool hears;
static struct standings told;  /* the last frame, */
static node_index told_to;     /* to whom, */
static uint32_t frames, count; /* how many, and of how many replicas */
static struct hand_over done;
static uint32_t hand_overs;

/* --- The rest of the node -------------------------------------------------------------------- */

static uint16_t dropped; /* of all partitions */

bool lagging_is_dropped(const struct partition *p, node_index member)
{
    (void)p;
    return (dropped & node_bit(member)) != 0;
}

const struct outlook *replica_seen(const struct replica *r)
{
    return &r->o;
}

node_index replica_me(const struct replica *r)
{
    (void)r;
    return ME;
}

node_index replica_leader(const struct replica *r)
{
    return r->o.leader;
}

bool replica_has_views(const struct replica *r)
{
    return r->views;
}

void replica_hand_over(struct replica *r, node_index to, qr_time timeout)
{
    done = (struct hand_over){ .group = (uint32_t)(r - replica) + 2, .to = to, .timeout = timeout };
    hand_overs++;
}

struct partition *partition_of_group(const struct node *n, uint32_t group)
{
    (void)n;
    return group >= 2 && group < PARTITIONS + 2 ? &partition[group - 2] : NULL;
}

void schedule_wake(struct partition *p)
{
    p->awake = true;
}

bool peers_hears(const struct peers *peers, node_index to)
{
    (void)peers;
    assert_true(to != ME);
    return hears;
}

static void note(node_index to)
{
    told_to = to;
    frames++;
    count += told.count;
    for (uint32_t i = 0; i < told.count; i++) {
        assert_int_not_equal(told.v[i].group, 0);
    }
}

void peers_tell(struct peers *peers, node_index to, uint8_t kind, struct span head)
{
    (void)peers;
    assert_int_equal(kind, FRAME_STANDING);
    assert_true(standings_read(head, &told));
    note(to);
}

void council_take(struct node *n, node_index from, const struct standings *standings)
{
    (void)n;
    assert_int_equal(from, ME);
    told = *standings;
    note(ME);
}

/* --- Replicas -------------------------------------------------------------------------------- */

static int begin(void **state)
{
    (void)state;
    node = qr_zalloc(sizeof *node);
    node->clock = 100 * QR_SECOND;
    node->contact.leases.life = 11;
    node->standings = standing_news_new();
    node->zero = &zero;
    zero = (struct partition){ .node = node, .replica = &zero_replica };
    zero_replica.o = (struct outlook){ .leader = 0, .term = 3 };
    node->partitions.all = qr_zalloc((PARTITIONS + 1) * sizeof *node->partitions.all);
    node->partitions.count = PARTITIONS + 1;
    node->partitions.all[0] = &zero;
    for (uint32_t i = 0; i < PARTITIONS; i++) {
        replica[i] = (struct replica){
            .views = true, .o = { .term = 5, .leader = 2, .transfer_to = NODE_NONE, .last = 50 }
        };
        partition[i] = (struct partition){ .node = node, .group = i + 2, .wake = QR_NEVER };
        partition[i].replica = &replica[i];
        node->partitions.all[i + 1] = &partition[i];
    }
    hears = true;
    frames = count = hand_overs = 0;
    return 0;
}

static int end(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < PARTITIONS; i++) {
        standing_forget(&partition[i]);
    }
    standing_news_free(node->standings);
    free(node->partitions.all);
    free(node);
    return 0;
}

static void turn(void)
{
    frames = count = 0;
    node->again = false;
    standing_turn(node, node->clock);
}

static void look_at(uint32_t i)
{
    partition[i].wake = QR_NEVER;
    standing_look(&partition[i]);
}

/* It was told all; then nothing is. */
static void settle(void)
{
    look_at(G);
    turn();
    assert_int_equal(count, 1);
    turn();
    assert_int_equal(frames, 0);
}

static struct outlook *outlook(void)
{
    return &replica[G].o;
}

/* The change is told at once, alone. */
static const struct standing *changed(void)
{
    node->chores.stirred = false;
    look_at(G);
    assert_true(node->chores.stirred); /* T2 */
    turn();
    assert_int_equal(frames, 1);
    assert_int_equal(count, 1);
    assert_false(told.whole);
    assert_int_equal(told.v[0].group, G + 2);
    return &told.v[0];
}

static void leads(void)
{
    struct outlook *o = outlook();
    o->role = ROLE_LEADER;
    o->members = 4;
    o->membership = (struct membership){ .voters = 0x7, .learners = 0x8 };
    for (node_index i = 0; i < 4; i++) {
        o->member[i] = (struct member_outlook){ .match = 50, .heard = 1 };
    }
}

/* --- T1 --------------------------------------------------------------------------------------- */

static void a_follower_has_promised_nothing_that_counts(void **state)
{
    (void)state;
    look_at(G);
    turn();
    assert_true(told.whole);
    assert_int_equal(told.life, 11);
    assert_int_equal(told_to, 0);
    assert_int_equal(told.v[0].promised, 0);
    assert_int_equal(told.v[0].caught, 0);
    assert_false(told.v[0].leads || told.v[0].forgetful || told.v[0].barred || told.v[0].gone);
}

static void who_stands_tells_where_T1(void **state)
{
    (void)state;
    settle();
    outlook()->role = ROLE_CANDIDATE; /* not durable yet */
    outlook()->stood = (struct stood){ 5, 4, 77 };
    node->chores.stirred = false;
    look_at(G);
    assert_false(node->chores.stirred);
    outlook()->stands = true;
    const struct standing *s = changed();
    assert_int_equal(s->promised, 5);
    assert_int_equal(s->last_term, 4);
    assert_int_equal(s->last_slot, 77);
    outlook()->stands = false;
    outlook()->role = ROLE_FOLLOWER;
    s = changed();
    assert_int_equal(s->promised, 0);
    assert_int_equal(s->last_slot, 0);
}

static void who_forgot_or_is_barred_says_so_T1(void **state)
{
    (void)state;
    settle();
    outlook()->forgetful = true;
    const struct standing *s = changed();
    assert_true(s->forgetful);
    assert_int_equal(s->promised, 5);
    outlook()->stood = (struct stood){ 5, 4, 77 };
    node->chores.stirred = false;
    look_at(G);
    assert_false(node->chores.stirred); /* it follows: its log grows */
    outlook()->leader = NODE_NONE;
    s = changed();
    assert_int_equal(s->last_term, 4);
    assert_int_equal(s->last_slot, 77);
    outlook()->forgetful = false;
    outlook()->barred = true;
    s = changed();
    assert_true(s->barred);
    assert_int_equal(s->promised, 5);
}

static void a_primary_tells_what_is_settled_and_whom_it_hands_over_to(void **state)
{
    (void)state;
    settle();
    leads();
    const struct standing *s = changed();
    assert_true(s->leads);
    assert_int_equal(s->promised, 5);
    assert_int_equal(s->settled, 0);
    outlook()->settled = true;
    assert_int_equal(changed()->settled, 5);
    outlook()->transfer_to = 2; /* not closed: it may go on yet */
    node->chores.stirred = false;
    look_at(G);
    assert_false(node->chores.stirred);
    outlook()->closed = true;
    s = changed();
    assert_true(s->closed);
    assert_int_equal(s->to, 2);
    outlook()->role = ROLE_FOLLOWER;
    s = changed();
    assert_false(s->closed || s->leads);
    assert_int_equal(s->to, NODE_NONE);
    assert_int_equal(s->settled, 0);
}

static void of_a_group_that_elects_its_leader_nothing_is_told(void **state)
{
    (void)state;
    replica[G].views = false;
    look_at(G);
    assert_null(partition[G].standing);
    partition[G].replica = NULL;
    look_at(G);
    turn();
    assert_int_equal(frames, 0);
}

/* --- Who has caught up (T2) ------------------------------------------------------------------- */

static void who_has_what_its_primary_had_a_moment_ago_has_caught_up_T2(void **state)
{
    (void)state;
    settle();
    leads();
    outlook()->member[2].match = 49;
    assert_int_equal(changed()->caught, 0xb);
    assert_int_equal(partition[G].wake, node->clock + CAUGHT_TIME); /* it is looked at again */
    outlook()->member[2].match = 60;
    outlook()->last = 100;
    node->clock += CAUGHT_TIME - 1;
    node->chores.stirred = false;
    look_at(G);
    assert_false(node->chores.stirred);
    node->clock++;
    assert_int_equal(changed()->caught, 0xf); /* all had 50 by now */
    assert_int_equal(partition[G].wake, QR_NEVER);
    node->clock += CAUGHT_TIME;
    assert_int_equal(changed()->caught, 0x2); /* but not 100; itself it does not count */
}

static void who_cannot_be_counted_on_has_not_caught_up_T2(void **state)
{
    (void)state;
    settle();
    leads();
    outlook()->member[0].forgetful = true;
    outlook()->member[2].needs_snapshot = true;
    outlook()->member[3].heard = 0;
    assert_int_equal(changed()->caught, 0x2);
}

static void whom_MAXLAG_dropped_has_not_caught_up(void **state)
{
    (void)state;
    settle();
    leads();
    dropped = node_bit(2);
    assert_int_equal(changed()->caught, 0xb);
    dropped = 0;
    node->clock += CAUGHT_TIME;
    assert_int_equal(changed()->caught, 0xf);
}

static void a_new_primary_counts_anew(void **state)
{
    (void)state;
    settle();
    leads();
    assert_int_equal(changed()->caught, 0xf);
    outlook()->role = ROLE_FOLLOWER;
    assert_int_equal(changed()->caught, 0);
    leads();
    outlook()->last = 90;
    assert_int_equal(changed()->caught, 0x2); /* not by what it had then */
}

/* --- To whom, and when (T3) ------------------------------------------------------------------- */

static void another_leader_or_term_or_connection_is_told_all_anew_T3(void **state)
{
    (void)state;
    settle();
    zero_replica.o.leader = 4;
    turn();
    assert_int_equal(told_to, 4);
    assert_true(told.whole);
    assert_int_equal(count, 1);
    zero_replica.o.term = 4;
    turn();
    assert_true(told.whole);
    assert_int_equal(count, 1);
    standing_anew(node, 2); /* a connection to somebody else */
    turn();
    assert_int_equal(frames, 0);
    standing_anew(node, 4);
    turn();
    assert_true(told.whole);
    assert_int_equal(count, 1);
    zero_replica.o.leader = ME; /* without a frame */
    zero_replica.o.term = 5;
    turn();
    assert_int_equal(told_to, ME);
    assert_true(told.whole);
}

static void what_cannot_be_told_waits(void **state)
{
    (void)state;
    hears = false;
    look_at(G);
    turn();
    assert_int_equal(frames, 0);
    hears = true;
    zero_replica.o.leader = NODE_NONE;
    turn();
    assert_int_equal(frames, 0);
    zero_replica.o.leader = 0;
    turn();
    assert_int_equal(count, 1);
}

static void many_are_told_in_frames_of_some_turns(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < PARTITIONS; i++) {
        look_at(i);
    }
    turn();
    assert_int_equal(frames, (PARTITIONS + STANDINGS_MAX - 1) / STANDINGS_MAX);
    assert_int_equal(count, PARTITIONS);
    assert_false(told.whole); /* the first was */
    assert_false(node->again);
    turn();
    assert_int_equal(frames, 0);
}

static void that_a_replica_is_gone_is_told(void **state)
{
    (void)state;
    settle();
    look_at(G + 1); /* never told: nor is its end */
    standing_forget(&partition[G + 1]);
    standing_forget(&partition[G]);
    assert_null(partition[G].standing);
    partition[G].replica = NULL;
    turn();
    assert_int_equal(count, 1);
    assert_int_equal(told.v[0].group, G + 2);
    assert_true(told.v[0].gone);
    turn();
    assert_int_equal(frames, 0);
}

static void whoever_is_told_anew_need_not_hear_what_is_gone(void **state)
{
    (void)state;
    settle();
    look_at(G + 1);
    standing_forget(&partition[G]);
    standing_anew(node, 0);
    turn();
    assert_int_equal(count, 1);
    assert_int_equal(told.v[0].group, G + 3);
}

/* --- Orders ----------------------------------------------------------------------------------- */

static bool order(node_index from, struct hand_over o)
{
    uint8_t bytes[HAND_OVER_BYTES];
    return standing_order(node, from, span_of(bytes, hand_over_write(&o, bytes)));
}

static void a_primary_hands_over_when_the_leader_of_group_0_says_so(void **state)
{
    (void)state;
    const struct hand_over o = { .group = G + 2, .to = 2, .term = 5, .timeout = 7 };
    leads();
    assert_true(order(0, o));
    assert_int_equal(hand_overs, 1);
    assert_int_equal(done.group, G + 2);
    assert_int_equal(done.to, 2);
    assert_int_equal(done.timeout, 7);
    assert_true(partition[G].awake);
    outlook()->transfer_to = 2; /* it is under way: the order comes again and again */
    assert_true(order(0, o));
    assert_int_equal(hand_overs, 1);
}

static void an_order_of_another_term_or_of_another_node_is_not_obeyed(void **state)
{
    (void)state;
    const struct hand_over o = { .group = G + 2, .to = 2, .term = 5 };
    assert_true(order(0, o)); /* it does not lead */
    leads();
    assert_true(order(3, o)); /* who does not lead group 0 */
    assert_true(order(0, (struct hand_over){ .group = G + 2, .to = 2, .term = 4 }));
    assert_true(order(0, (struct hand_over){ .group = 9999, .to = 2, .term = 5 }));
    replica[G].views = false;
    assert_true(order(0, o));
    partition[G].replica = NULL;
    assert_true(order(0, o));
    assert_int_equal(hand_overs, 0);
    assert_false(standing_order(node, 0, (struct span){ 0 }));
}

static void a_hand_over_is_called_off_by_the_node_itself(void **state)
{
    (void)state;
    const struct hand_over o = { .group = G + 2, .to = ME, .term = 5 };
    leads();
    assert_true(order(0, o)); /* none is under way */
    assert_int_equal(hand_overs, 0);
    outlook()->transfer_to = 2;
    assert_true(order(0, o));
    assert_int_equal(hand_overs, 1);
    assert_int_equal(done.to, ME);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_follower_has_promised_nothing_that_counts),
        CASE(who_stands_tells_where_T1),
        CASE(who_forgot_or_is_barred_says_so_T1),
        CASE(a_primary_tells_what_is_settled_and_whom_it_hands_over_to),
        CASE(of_a_group_that_elects_its_leader_nothing_is_told),
        CASE(who_has_what_its_primary_had_a_moment_ago_has_caught_up_T2),
        CASE(who_cannot_be_counted_on_has_not_caught_up_T2),
        CASE(whom_MAXLAG_dropped_has_not_caught_up),
        CASE(a_new_primary_counts_anew),
        CASE(another_leader_or_term_or_connection_is_told_all_anew_T3),
        CASE(what_cannot_be_told_waits),
        CASE(many_are_told_in_frames_of_some_turns),
        CASE(that_a_replica_is_gone_is_told),
        CASE(whoever_is_told_anew_need_not_hear_what_is_gone),
        CASE(a_primary_hands_over_when_the_leader_of_group_0_says_so),
        CASE(an_order_of_another_term_or_of_another_node_is_not_obeyed),
        CASE(a_hand_over_is_called_off_by_the_node_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
