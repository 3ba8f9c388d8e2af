/* Another member gives its checkpoint in the leader's place (snapshot_givers.c): node 0 leads, 1
 * lacks what is trimmed, 2 has it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "snapshot_world.h"
#include "tests/unit/cluster/put_records.h"

#define BYTES (3 * MIB)
#define GIVER 2u

static struct source *source(node_index node)
{
    return world->node[node].zero->source;
}

static uint64_t sent(node_index node)
{
    return source_figures(source(node))->bytes;
}

static int setup_views(void **state)
{
    (void)setup_partition(state);
    struct outlook *o = &world->replica[SOURCE].outlook;
    world->views = true;
    take_checkpoint(SLOT, BYTES, 'a');
    take_checkpoint_at(GIVER, SLOT + 20, BYTES, 'b');
    o->leader = SOURCE;
    o->membership.voters = 7;
    o->last = SLOT + 5000;
    o->member[GIVER].match = SLOT + 30;
    world->replica[1].outlook.leader = SOURCE;
    return 0;
}

/* The leader's protocol says it again and again, and everything goes its way, for a time or until
 * node 1 has so much. */
static void bring_up(qr_time time, uint64_t n)
{
    for (qr_time at = 0; at < time && !has_installed(1); at += QR_MILLISECOND) {
        struct member_outlook *m = &world->replica[SOURCE].outlook.member[GIVER];
        m->heard = io_now(world->node[SOURCE].io);
        m->lively = true;
        if (at % (400 * QR_MILLISECOND) == 0 && !has_installed(1)) {
            want(1);
        }
        carry(NODE_NONE);
        turn_all(QR_MILLISECOND);
        if (figures_of(1).active && figures_of(1).done >= n) {
            return;
        }
    }
}

static void test_it_comes_from_another_member_L7_U18(void **state)
{
    (void)state;
    uint64_t digest = engine_digest(world->node[GIVER].zero->engine);
    bring_up(5 * QR_SECOND, UINT64_MAX);
    assert_true(has_installed(1));
    assert_int_equal(world->replica[1].applied, SLOT + 20);
    assert_int_equal(engine_digest(world->node[1].zero->engine), digest);
    assert_int_equal(sent(SOURCE), 0);
    assert_true(sent(GIVER) >= BYTES);
    assert_int_equal(source_figures(source(SOURCE))->orders, 1);
}

/* U22: nothing of it may go before the member that needs it has said which file it pulls. */
static void test_the_leaders_log_stays_behind_it_U22(void **state)
{
    (void)state;
    world->node[GIVER].config.snapshot_rate = MIB;
    assert_int_equal(source_pin(source(SOURCE)), 0);
    bring_up(QR_MILLISECOND, UINT64_MAX);
    assert_int_equal(source_pin(source(SOURCE)), SLOT);
    bring_up(QR_SECOND, BYTES / 4);
    assert_int_equal(source_pin(source(SOURCE)), SLOT + 20);
    struct source_progress p = source_progress_of(source(SOURCE), 1);
    assert_true(p.active);
    assert_int_equal(p.giver, world->node[GIVER].identity.node_id);
    assert_int_equal(p.total, file_bytes(GIVER, CHECKPOINT_FILE));
    assert_in_range(p.sent, 1, BYTES / 4 + MIB);
    assert_false(source_is_idle(source(SOURCE)));
    bring_up(8 * QR_SECOND, UINT64_MAX);
    assert_true(has_installed(1));
    world->replica[SOURCE].outlook.member[1].match = SLOT + 40;
    turn_all(QR_MILLISECOND);
    assert_int_equal(source_pin(source(SOURCE)), SLOT + 40); /* it follows behind */
    world->replica[SOURCE].outlook.member[1].match = SLOT + 4900;
    turn_all(QR_MILLISECOND);
    assert_int_equal(source_pin(source(SOURCE)), 0);
    assert_true(source_is_idle(source(SOURCE)));
}

/* G1: what the leader does not know to be in its own log it does not vouch for. */
static void test_a_checkpoint_beyond_what_the_leader_knows_is_not_given(void **state)
{
    (void)state;
    world->replica[SOURCE].outlook.member[GIVER].match = SLOT + 19;
    bring_up(QR_SECOND, UINT64_MAX);
    assert_false(figures_of(1).active);
    assert_int_equal(source_figures(source(GIVER))->offers, 0);
    world->replica[SOURCE].outlook.member[GIVER].match = SLOT + 20;
    bring_up(QR_SECOND, UINT64_MAX);
    assert_true(has_installed(1));
    assert_int_equal(sent(SOURCE), 0);
}

static void expect_the_leaders_own(void)
{
    bring_up(9 * QR_SECOND, UINT64_MAX);
    assert_true(has_installed(1));
    assert_int_equal(world->replica[1].applied, SLOT);
    assert_true(sent(SOURCE) >= BYTES);
}

static void test_one_that_does_not_begin_is_passed_over(void **state)
{
    (void)state;
    world->replica[SOURCE].outlook.member[GIVER].match = SLOT + 10; /* it has no such file */
    expect_the_leaders_own();
    assert_int_equal(sent(GIVER), 0);
    assert_true(was_said("does not bring node"));
}

static void test_one_that_dies_is_followed_by_the_leader_U15(void **state)
{
    (void)state;
    bring_up(QR_SECOND, BYTES / 2);
    world->peers[GIVER].away = (uint16_t) ~(1u << GIVER);
    assert_int_equal(sent(SOURCE), 0);
    expect_the_leaders_own();
}

/* A copy of the same file goes on where the other one ended. */
static void test_the_same_file_is_gone_on_with_U15(void **state)
{
    (void)state;
    bring_up(QR_SECOND, BYTES / 2);
    world->peers[GIVER].away = (uint16_t) ~(1u << GIVER);
    bring_up(QR_SECOND, UINT64_MAX);
    world->peers[GIVER].away = 0;
    bring_up(3 * QR_SECOND, UINT64_MAX);
    assert_true(has_installed(1));
    assert_int_equal(sent(SOURCE), 0);
    assert_int_equal(figures_of(1).counts.begun, 1);
}

static void test_nobody_is_asked_who_cannot(void **state)
{
    (void)state;
    struct outlook *o = &world->replica[SOURCE].outlook;
    struct member_outlook *m = &o->member[GIVER];
    for (int i = 0; i < 7; i++) {
        m->match = i == 0 ? SLOT - 1 : SLOT + 30;
        m->forgetful = i == 1;
        m->needs_snapshot = i == 2;
        o->membership.voters = i == 3 ? 3 : 7;
        world->node[SOURCE].health.told[GIVER].quarantined = i == 4;
        world->old = i == 5 ? 1u << GIVER : i == 6 ? 1u << 1 : 0;
        m->heard = io_now(world->node[SOURCE].io);
        m->lively = true;
        want(1);
        assert_int_equal(world->peers[SOURCE].orders, 0);
    }
    world->old = 0;
    m->lively = false;
    want(1);
    world->views = false; /* raft */
    m->lively = true;
    want(1);
    assert_int_equal(world->peers[SOURCE].orders, 0);
    world->views = true;
    want(1);
    assert_int_equal(world->peers[SOURCE].orders, 1);
}

static void put_zone(node_index i, const char *zone)
{
    struct map_node record = { .id = i + 1u };
    memcpy(record.zone, zone, strlen(zone));
    put_node(world->node[SOURCE].map, i, &record);
}

/* Where the leader is in the zone of the one, nothing comes from another zone. */
static void test_it_comes_from_the_same_zone(void **state)
{
    (void)state;
    put_zone(SOURCE, "west");
    put_zone(1, "west");
    put_zone(GIVER, "east");
    world->replica[SOURCE].outlook.member[GIVER].heard = io_now(world->node[SOURCE].io);
    world->replica[SOURCE].outlook.member[GIVER].lively = true;
    want(1);
    assert_int_equal(world->peers[SOURCE].orders, 0);
    put_zone(GIVER, "west");
    want(1);
    assert_int_equal(world->peers[SOURCE].orders, 1);
}

/* G4 */
static void test_a_new_leader_lets_it_go_on(void **state)
{
    (void)state;
    struct snapshot_progress p = { .giver = GIVER + 1, .slot = SLOT + 20, .done = 5, .total = 10 };
    source_on_progress(source(SOURCE), 1, &p);
    assert_int_equal(source_pin(source(SOURCE)), SLOT + 20);
    want(1);
    assert_int_equal(source_figures(source(SOURCE))->offers, 0);
    turn_all(11 * QR_SECOND); /* nothing more is heard of it */
    assert_int_equal(source_pin(source(SOURCE)), 0);
    world->replica[SOURCE].outlook.role = ROLE_FOLLOWER;
    source_on_progress(source(SOURCE), 1, &p);
    assert_int_equal(source_pin(source(SOURCE)), 0);
}

static void test_an_order_that_is_not_said_again_is_over(void **state)
{
    (void)state;
    world->peers[1].away = 1u << GIVER;
    bring_up(QR_SECOND, UINT64_MAX);
    assert_false(source_is_idle(source(GIVER)));
    for (int i = 0; i < 70; i++) {
        turn_all(100 * QR_MILLISECOND);
    }
    assert_true(source_is_idle(source(GIVER)));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup_views, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_it_comes_from_another_member_L7_U18),
        T(test_the_leaders_log_stays_behind_it_U22),
        T(test_a_checkpoint_beyond_what_the_leader_knows_is_not_given),
        T(test_one_that_does_not_begin_is_passed_over),
        T(test_one_that_dies_is_followed_by_the_leader_U15),
        T(test_the_same_file_is_gone_on_with_U15),
        T(test_nobody_is_asked_who_cannot),
        T(test_it_comes_from_the_same_zone),
        T(test_a_new_leader_lets_it_go_on),
        T(test_an_order_that_is_not_said_again_is_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
