/* Which partitions have a turn (schedule.h: W1-W3), against a naive twin, with replicas that are
 * played. */
#include "schedule_world.h"

#include <stdlib.h>
#include <string.h>

#include "node/replica.h"

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

/* What is to be done about a partition is another thing when it can be led, and when its members
 * are others for good. */
static void who_leads_and_whose_members_are_others_is_looked_at(void **state)
{
    (void)state;
    partitions(1);
    struct outlook *o = &played[0].seen;
    *o = (struct outlook){ .role = ROLE_LEADER, .membership_slot = 1, .commit = 1 };
    static const struct {
        bool can_serve;
        qr_slot membership_slot, commit;
        uint32_t looked;
    } steps[] = {
        { false, 1, 1, 1 }, /* its first turn: who the members are was not known */
        { true, 1, 1, 2 },  { true, 1, 7, 2 },
        { true, 8, 7, 3 },  { true, 8, 8, 4 }, /* and when that is committed */
        { false, 8, 9, 5 },
    };
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        o->can_serve = steps[i].can_serve;
        o->membership_slot = steps[i].membership_slot;
        o->commit = steps[i].commit;
        partition_wake(&part[0]);
        turn();
        assert_int_equal(disturbed, steps[i].looked);
    }
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
        cmocka_unit_test_teardown(who_leads_and_whose_members_are_others_is_looked_at, end),
        cmocka_unit_test_teardown(everybody_hears_of_every_loss, end),
        cmocka_unit_test_teardown(whoever_loses_its_leader_hears_that_the_clock_is_right, end),
        cmocka_unit_test_teardown(the_sweep_goes_in_slices, end),
        cmocka_unit_test_teardown(deadlines_wait_a_while_for_what_others_have_said, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
