/* Which partitions have a turn (schedule.h: W1-W3), against a naive twin. Replicas are played: each
 * counts what it is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "node/node.h"
#include "node/peers.h"
#include "node/quarantine.h"
#include "node/repair.h"
#include "node/replica.h"

#define MANY 5000u

/* What happened to one replica, and what it wants. */
struct played {
    uint32_t turns;
    qr_time deadline;
    uint64_t durable; /* as last told */
    uint32_t durables;
    bool aside; /* nothing of what waits for the log needs a turn */
    uint32_t asides;
    char peers[64]; /* told of them: "-3+3" */
    node_index leader;
    uint32_t righted;        /* it was told that the clock is right */
    struct partition *wakes; /* its turn gives this one work */
    bool unfinished;         /* its turn leaves work */
    bool campaigns;          /* its deadline is one */
};

static struct node node;
static struct partition zero;
static struct partition part[MANY];
static struct partition *all[MANY + 1];
static struct played played[MANY];
static uint32_t order[MANY * 2], ordered;
static qr_time now, turn_takes;
static uint32_t disturbed;

/* --- The rest of the node -------------------------------------------------------------------- */

qr_time io_now(struct io *io)
{
    (void)io;
    return now;
}

void replica_turn(struct replica *r)
{
    struct played *replica = (struct played *)(void *)r;
    struct partition *p = &part[replica - played];
    replica->turns++;
    order[ordered++] = (uint32_t)(replica - played);
    now += turn_takes;
    p->again = replica->unfinished;
    if (replica->wakes != NULL) {
        partition_wake(replica->wakes);
    }
}

static bool frames_wait;

bool peers_hold(const struct peers *peers)
{
    (void)peers;
    return frames_wait;
}

qr_time replica_deadline(struct replica *r)
{
    struct played *replica = (struct played *)(void *)r;
    bool waits = part[replica - played].campaign == CAMPAIGN_WAITS;
    return waits ? QR_NEVER : replica->deadline;
}

bool replica_awaits_only(const struct replica *r)
{
    return ((const struct played *)(const void *)r)->aside;
}

void replica_durable_aside(struct replica *r, uint64_t position)
{
    struct played *replica = (struct played *)(void *)r;
    struct partition *p = &part[replica - played];
    assert_false(p->expects);
    replica->durable = position;
    replica->asides++;
    if (replica->wakes == p) {
        partition_expects(p, position + 100); /* for what was written since */
    }
}

void replica_durable(struct replica *r, uint64_t position)
{
    struct played *replica = (struct played *)(void *)r;
    replica->durable = position;
    replica->durables++;
}

void replica_peer(struct replica *r, node_index peer, bool up)
{
    struct played *replica = (struct played *)(void *)r;
    size_t n = strlen(replica->peers);
    assert_true(n + 3 < sizeof replica->peers);
    replica->peers[n] = up ? '+' : '-';
    replica->peers[n + 1] = (char)('0' + peer);
}

bool replica_campaigns(struct replica *r)
{
    struct played *replica = (struct played *)(void *)r;
    return replica->campaigns && replica->deadline <= now;
}

node_index replica_leader(const struct replica *r)
{
    return ((const struct played *)(const void *)r)->leader;
}

void replica_admin(struct replica *r, enum admin_kind kind, uint64_t argument)
{
    struct played *replica = (struct played *)(void *)r;
    assert_true(kind == ADMIN_SKEWED && argument == 0);
    replica->righted += strcmp(replica->peers + strlen(replica->peers) - 2, "-3") == 0; /* first */
}

const struct outlook *replica_seen(const struct replica *r)
{
    static const struct outlook follows = { .role = ROLE_FOLLOWER };
    static const struct outlook campaigns = { .role = ROLE_CANDIDATE };
    return replica_campaigns((struct replica *)(uintptr_t)r) ? &campaigns : &follows;
}

void repairer_peer(struct partition *p, node_index peer, bool up)
{
    (void)p, (void)peer, (void)up;
}

void quarantine_peer(struct partition *p, node_index peer)
{
    (void)p, (void)peer;
}

void partition_house(struct partition *p, qr_time at)
{
    (void)p, (void)at;
}

void partition_tidy(struct partition *p)
{
    (void)p;
}

void reporting_note(struct partition *p)
{
    (void)p;
}

void holding_disturb(struct partition *p)
{
    (void)p;
    disturbed++;
}

/* --- A world --------------------------------------------------------------------------------- */

static struct schedule *schedule(void)
{
    return &node.partitions.schedule;
}

/* Partitions of groups 2 and up, each with a replica that wants nothing. */
static void partitions(uint32_t count)
{
    schedule_free(schedule());
    memset(&node, 0, sizeof node);
    memset(part, 0, sizeof part);
    memset(played, 0, sizeof played);
    all[0] = &zero;
    zero.node = &node;
    for (uint32_t i = 0; i < count; i++) {
        part[i].node = &node;
        part[i].group = i + 2;
        part[i].due = QR_NEVER;
        part[i].replica = (struct replica *)(void *)&played[i];
        played[i].deadline = QR_NEVER;
        all[i + 1] = &part[i];
    }
    campaigns_init(&node.partitions.schedule.campaigns);
    node.partitions.all = all;
    node.partitions.count = count + 1;
    now = 1000;
    turn_takes = 0;
    ordered = disturbed = 0;
}

static int end(void **state)
{
    (void)state;
    schedule_free(schedule());
    memset(&node, 0, sizeof node);
    return 0;
}

/* One turn of the node. */
static void turn(void)
{
    ordered = 0;
    schedule_begin(&node, now);
    schedule_turn(&node, now, now + SCHEDULE_SLICE_USEC);
}

static void settle(void)
{
    for (int i = 0; i < 100 && schedule_deadline(schedule()) == 0; i++) {
        turn();
    }
    assert_int_not_equal(schedule_deadline(schedule()), 0);
}

/* --- W1 -------------------------------------------------------------------------------------- */

static void who_wakes_has_a_turn_and_nobody_else(void **state)
{
    (void)state;
    partitions(MANY);
    const uint32_t woken[] = { 4711, 3, 4000 };
    for (int i = 0; i < 3; i++) {
        partition_wake(&part[woken[i]]);
        partition_wake(&part[woken[i]]); /* once is enough */
    }
    assert_int_equal(schedule_deadline(schedule()), 0);
    turn();
    assert_int_equal(ordered, 3);
    assert_memory_equal(order, woken, sizeof woken); /* in order */
    assert_int_equal(schedule_deadline(schedule()), QR_NEVER);
    assert_int_equal(schedule()->resting, 3);
    turn();
    assert_int_equal(ordered, 0);
}

static void work_that_a_turn_leaves_has_the_next_one(void **state)
{
    (void)state;
    partitions(3);
    played[0].unfinished = true;
    played[0].wakes = &part[2];
    partition_wake(&part[0]);
    partition_wake(&part[1]);
    turn();
    assert_int_equal(ordered, 2);
    assert_false(part[0].rests);
    played[0].unfinished = false;
    turn();
    assert_int_equal(ordered, 2);
    assert_int_equal(order[0], 2); /* whom its turn woke comes before what it left */
    assert_int_equal(order[1], 0);
    played[0].deadline = now; /* one that has come already is work, too */
    partition_wake(&part[0]);
    turn();
    assert_int_equal(schedule_deadline(schedule()), 0);
}

/* Its time has come, and it is not told before there is a place for its campaign: meanwhile it
 * wants no turn, and is not at rest either. */
static void who_waits_to_campaign_wants_no_turn_C1(void **state)
{
    (void)state;
    partitions(3);
    struct campaigns *c = &schedule()->campaigns;
    c->places = 1;
    for (uint32_t i = 0; i < 3; i++) {
        played[i].deadline = now;
        played[i].campaigns = true;
        partition_wake(&part[i]);
    }
    turn();
    assert_int_equal(c->line.count, 2);
    assert_int_equal(schedule()->resting, 0);
    played[0].campaigns = false; /* it follows somebody: the place is free */
    played[0].deadline = QR_NEVER;
    turn();
    assert_int_equal(ordered, 1);
    assert_int_equal(order[0], 0);
    assert_int_equal(schedule_deadline(schedule()), 0);
    turn();
    assert_int_equal(ordered, 1);
    assert_int_equal(order[0], 1);
    assert_int_equal(c->line.count, 1);
    schedule_forget(&part[2]);
    assert_int_equal(c->line.count, 0);
}

/* Deadlines come and go by dice; whoever is due, by a plain search, has a turn, and nobody else. */
static void deadlines_against_a_twin(void **state)
{
    (void)state;
    struct rng rng = rng_from(5);
    const uint32_t count = 300;
    qr_time wanted[300];
    partitions(count);
    for (uint32_t i = 0; i < count; i++) {
        wanted[i] = QR_NEVER;
    }
    for (int round = 0; round < 3000; round++) {
        uint32_t i = (uint32_t)rng_below(&rng, count);
        if (part[i].replica == NULL) {
            continue;
        }
        played[i].deadline =
            rng_below(&rng, 4) == 0 ? QR_NEVER : now + 1 + (qr_time)rng_below(&rng, 500);
        partition_wake(&part[i]);
        turn();
        assert_int_equal(ordered, 1);
        wanted[i] = played[i].deadline;
        if (rng_below(&rng, 100) == 0) { /* it goes, with whatever it wanted */
            partition_wake(&part[i]);
            partition_expects(&part[i], 1);
            schedule_forget(&part[i]);
            part[i].replica = NULL;
            wanted[i] = QR_NEVER;
        }
        now += (qr_time)rng_below(&rng, 40);
        uint32_t due = 0, resting = 0;
        qr_time first = QR_NEVER;
        for (uint32_t k = 0; k < count; k++) {
            due += wanted[k] <= now;
            first = wanted[k] < first ? wanted[k] : first;
            played[k].deadline = wanted[k] <= now ? QR_NEVER : wanted[k];
            wanted[k] = played[k].deadline;
        }
        assert_int_equal(schedule_deadline(schedule()), first);
        turn();
        assert_int_equal(ordered, due);
        for (uint32_t k = 0; k < count; k++) {
            resting += part[k].replica != NULL && played[k].turns > 0 && wanted[k] == QR_NEVER;
        }
        assert_int_equal(schedule()->resting, resting);
        assert_null(schedule()->expect);
    }
}

static void what_its_parts_want_counts_for_this_turn_alone(void **state)
{
    (void)state;
    partitions(2);
    partition_wake(&part[0]);
    turn();
    part[0].wake = now + 7; /* said between turns: it was for an earlier one */
    partition_wake(&part[0]);
    turn();
    assert_int_equal(schedule_deadline(schedule()), QR_NEVER);
}

static void the_log_wakes_who_waits_for_it(void **state)
{
    (void)state;
    partitions(4);
    partition_expects(&part[0], 100);
    partition_expects(&part[0], 300); /* the first has to be told of in any case */
    partition_expects(&part[1], 200);
    partition_expects(&part[2], 300);
    partition_expects(&zero, 100); /* has every turn */
    schedule_durable(&node, 99);
    turn();
    assert_int_equal(ordered, 0);
    schedule_durable(&node, 200);
    turn();
    assert_int_equal(ordered, 2);
    assert_int_equal(played[0].durable, 200);
    assert_int_equal(played[1].durable, 200);
    assert_int_equal(played[2].durables + played[3].durables, 0);
    partition_wake(&part[2]); /* for another reason */
    turn();
    assert_int_equal(played[2].durables, 0);
    partition_expects(&part[1], 300);
    schedule_durable(&node, 300);
    turn();
    assert_int_equal(played[1].durables + played[2].durables, 3);
    assert_int_equal(played[0].durables, 1);
    schedule_durable(&node, 400);
    turn();
    assert_int_equal(ordered, 0);
}

/* One that has a turn in any case hears of it there, in order with whatever made it. */
static void a_sync_needs_no_turn_where_only_messages_wait_for_it_L3(void **state)
{
    (void)state;
    partitions(4);
    for (uint32_t i = 0; i < 4; i++) {
        played[i].aside = i != 1;
        partition_expects(&part[i], i == 3 ? 300 : 100);
    }
    played[0].wakes = &part[0];
    partition_wake(&part[2]);
    schedule_durable(&node, 200);
    assert_int_equal(played[0].asides, 1);
    assert_int_equal(played[0].durable, 200);
    assert_int_equal(played[2].asides + played[3].asides, 0);
    played[0].wakes = NULL;
    turn();
    assert_int_equal(ordered, 2);
    assert_int_equal(played[0].turns, 0);
    assert_int_equal(played[1].durables + played[2].durables, 2);
    schedule_durable(&node, 300);
    assert_int_equal(played[0].asides, 2);
    assert_int_equal(played[3].asides, 1);
    assert_int_equal(schedule_deadline(schedule()), QR_NEVER);
    assert_null(schedule()->expect);
}

/* However many wait for one sync, the loop goes on soon (W2). */
static void a_sync_of_very_many_is_told_in_turns_W2(void **state)
{
    (void)state;
    partitions(MANY);
    for (uint32_t i = 0; i < MANY; i++) {
        played[i].aside = true;
        partition_expects(&part[i], 100);
    }
    schedule_durable(&node, 100);
    uint32_t asides = 0;
    for (uint32_t i = 0; i < MANY; i++) {
        asides += played[i].asides;
    }
    assert_in_range(asides, 1, MANY / 2);
    settle();
    for (uint32_t i = 0; i < MANY; i++) {
        assert_int_equal(played[i].asides + played[i].durables, 1);
    }
}

static void who_goes_takes_no_turn_and_nobody_along(void **state)
{
    (void)state;
    for (uint32_t goes = 0; goes < 3; goes++) {
        partitions(4);
        for (uint32_t i = 0; i < 3; i++) {
            partition_wake(&part[i]);
        }
        schedule_forget(&part[goes]);
        partition_wake(&part[3]);
        turn();
        assert_int_equal(ordered, 3);
        assert_int_equal(order[0] + order[1], 3 - goes);
        assert_int_equal(order[2], 3);
    }
}

/* --- W2 -------------------------------------------------------------------------------------- */

static void a_turn_ends_with_its_time_and_the_rest_comes_next(void **state)
{
    (void)state;
    partitions(100);
    for (uint32_t i = 0; i < 100; i++) {
        partition_wake(&part[i]);
    }
    turn_takes = SCHEDULE_SLICE_USEC / 10;
    played[0].unfinished = true; /* always has work: the others have theirs, too */
    uint32_t seen = 0;
    for (int i = 0; i < 11; i++) {
        turn();
        assert_int_equal(ordered, 10);
        for (uint32_t k = 0; k < ordered; k++) {
            if (order[k] != 0) {
                assert_int_equal(order[k], ++seen);
            }
        }
        if (seen == 99) {
            break;
        }
    }
    assert_int_equal(seen, 99);
}

/* --- W3 -------------------------------------------------------------------------------------- */

static void everybody_hears_of_every_loss(void **state)
{
    (void)state;
    partitions(MANY);
    part[17].replica = NULL;
    schedule_peer(&node, 1, true);
    schedule_peer(&node, 3, true);
    assert_int_equal(schedule_deadline(schedule()), 0);
    settle();
    for (uint32_t i = 0; i < MANY; i++) {
        assert_string_equal(played[i].peers, i == 17 ? "" : "+1+3");
        memset(played[i].peers, 0, sizeof played[i].peers);
    }
    schedule_peer(&node, 1, false); /* back before anybody has looked */
    schedule_peer(&node, 1, true);
    schedule_peer(&node, 2, true); /* and one that nobody has seen */
    schedule_peer(&node, 2, false);
    settle();
    for (uint32_t i = 0; i < MANY; i++) {
        assert_string_equal(played[i].peers, i == 17 ? "" : "-1+1");
        memset(played[i].peers, 0, sizeof played[i].peers);
    }
    schedule_peer(&node, 3, false);
    partition_wake(&part[2]); /* its turn comes before the sweep */
    schedule_turn(&node, now, now + SCHEDULE_SLICE_USEC);
    assert_string_equal(played[2].peers, "-3");
    settle();
    assert_string_equal(played[2].peers, "-3");
    assert_string_equal(played[3].peers, "-3");
    part[17].replica = (struct replica *)(void *)&played[17]; /* a new one takes all to be away */
    partition_wake(&part[17]);
    turn();
    assert_string_equal(played[17].peers, "+1");
}

static void whoever_loses_its_leader_hears_that_the_clock_is_right(void **state)
{
    (void)state;
    partitions(3);
    played[0].leader = 3;
    played[1].leader = NODE_NONE;
    for (int round = 0; round < 2; round++) {
        schedule_peer(&node, 3, true);
        settle();
        schedule_peer(&node, 3, false);
        settle();
        assert_true(played[0].righted == 1 && played[1].righted == 1 && played[2].righted == 0);
        node.health.off = true; /* it is not: nobody is told again */
    }
}

static void the_sweep_goes_in_slices(void **state)
{
    (void)state;
    partitions(MANY);
    schedule_peer(&node, 1, true);
    schedule_begin(&node, now);
    uint32_t told = 0;
    for (uint32_t i = 0; i < MANY; i++) {
        told += played[i].peers[0] != 0;
    }
    assert_in_range(told, 1, MANY - 1); /* a bounded number of looks in one turn */
    assert_int_equal(schedule_deadline(schedule()), 0);
    schedule_peer(&node, 1, false); /* begins anew: whoever was told already is told this */
    settle();
    for (uint32_t i = 0; i < MANY; i++) {
        bool was_told = played[i].peers[0] == '+';
        told -= was_told;
        assert_string_equal(played[i].peers, was_told ? "+1-1" : "");
    }
    assert_int_equal(told, 0);
}

/* W4 */
static void deadlines_wait_a_while_for_what_others_have_said(void **state)
{
    (void)state;
    partitions(MANY);
    played[5].deadline = now + 10;
    partition_wake(&part[5]);
    turn();
    frames_wait = true;
    now += 50 * QR_MILLISECOND;
    turn();
    assert_int_equal(ordered, 0);
    partition_wake(&part[6]); /* work does not wait */
    turn();
    assert_int_equal(ordered, 1);
    now += 51 * QR_MILLISECOND;
    turn();
    frames_wait = false;
    assert_int_equal(ordered, 1);
    assert_int_equal(order[0], 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(who_wakes_has_a_turn_and_nobody_else, end),
        cmocka_unit_test_teardown(work_that_a_turn_leaves_has_the_next_one, end),
        cmocka_unit_test_teardown(who_waits_to_campaign_wants_no_turn_C1, end),
        cmocka_unit_test_teardown(deadlines_against_a_twin, end),
        cmocka_unit_test_teardown(what_its_parts_want_counts_for_this_turn_alone, end),
        cmocka_unit_test_teardown(the_log_wakes_who_waits_for_it, end),
        cmocka_unit_test_teardown(a_sync_needs_no_turn_where_only_messages_wait_for_it_L3, end),
        cmocka_unit_test_teardown(a_sync_of_very_many_is_told_in_turns_W2, end),
        cmocka_unit_test_teardown(who_goes_takes_no_turn_and_nobody_along, end),
        cmocka_unit_test_teardown(a_turn_ends_with_its_time_and_the_rest_comes_next, end),
        cmocka_unit_test_teardown(everybody_hears_of_every_loss, end),
        cmocka_unit_test_teardown(whoever_loses_its_leader_hears_that_the_clock_is_right, end),
        cmocka_unit_test_teardown(the_sweep_goes_in_slices, end),
        cmocka_unit_test_teardown(deadlines_wait_a_while_for_what_others_have_said, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
