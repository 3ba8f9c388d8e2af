/* A snapshot in the place of state and log: what waited for the old ones gets its answer (replica.h
 * D1, D2; decision 022). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "apply_world.h"
#include "log/log.h"
#include "store/store.h"

#define UNCERTAIN "-UNCERTAIN the write was proposed and its fate is unknown\r\n"

/* The protocol installs a snapshot up to `slot`, in which key `a` has that value. */
static void install(qr_slot slot, qr_term term, const char *value)
{
    struct engine_config config = { .value_bytes_max = 1000 };
    struct roster roster = { .members.voters = 7 };
    world->snapshot = engine_new(&config);
    store_put(engine_store(world->snapshot), 0, SPAN_LITERAL("a"), span_of(value, strlen(value)),
              0);
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
    assert_null(world->snapshot); /* it is the node's */
}

static void test_writes_that_the_snapshot_covers_are_uncertain_D1(void **state)
{
    (void)state;
    command("set a 1");
    command("set b 2");
    turn();
    install(2, 2, "9");
    assert_heard(UNCERTAIN UNCERTAIN);
    assert_int_equal(replica_applied(world->zero.replica), 2);
    assert_int_equal(replica_applied_term(world->zero.replica), 2);
}

/* It may be far ahead: further than there are places for writes in flight. */
static void test_a_snapshot_far_ahead_leaves_no_write_behind_D1(void **state)
{
    (void)state;
    command("set a 1");
    turn();
    install(10000000, 2, "9");
    assert_heard(UNCERTAIN);
}

static void test_a_write_behind_the_snapshot_is_decided_by_its_slot_D1(void **state)
{
    (void)state;
    command("set a 1");
    command("set a 2");
    command("set a 3");
    turn();
    install(2, 2, "9");
    assert_heard(UNCERTAIN UNCERTAIN);
    noop_at(3, 2);
    apply_upto(3);
    assert_heard("-TRYAGAIN not applied, leader changed\r\n");
}

static void test_a_read_that_waits_is_answered_from_the_snapshot(void **state)
{
    (void)state;
    command("get a");
    turn();
    confirm_reads(3, 0);
    turn();
    assert_heard("");
    install(5, 2, "9");
    turn();
    assert_heard("$1\r\n9\r\n");
}

static void test_no_lease_outlives_it(void **state)
{
    (void)state;
    command("get a");
    turn();
    confirm_reads(0, world->now + 10 * QR_SECOND);
    turn();
    assert_heard("$-1\r\n");
    command("get a");
    assert_heard("$-1\r\n"); /* within the lease */
    install(5, 1, "9");
    uint32_t before = world->reads;
    command("get a");
    turn();
    assert_heard("");
    assert_int_equal(world->reads, before + 1);
}

/* The log is emptied, and what is behind goes on from there: nothing before it is durable or not.
 */
static void test_the_log_begins_behind_the_snapshot(void **state)
{
    (void)state;
    command("set a 1");
    command("set a 2");
    command("set a 3");
    turn();
    uint64_t written = log_position(&world->log);
    install(2, 2, "9");
    qr_ticket ticket = world->minted;
    assert_int_equal(world->log.resets, 1);
    assert_int_equal(world->log.last, 2);
    assert_int_equal(replica_durable_slot(world->zero.replica), 2);
    replica_durable(world->zero.replica, written);
    assert_int_equal(replica_durable_slot(world->zero.replica), 2);
    assert_true(world->durable < ticket); /* not before the log's record of it is on disk */
    replica_durable(world->zero.replica, log_position(&world->log));
    assert_int_equal(world->durable, ticket);
    noop_at(3, 2);
    apply_upto(3);
    assert_int_equal(replica_applied(world->zero.replica), 3);
}

/* A start with a checkpoint up to slot 2, beside a log that holds other entries there. */
static bool start_beside(bool installed)
{
    char message[600];
    struct replica_base base = { .slot = 2, .term = 2, .installed = installed };
    base.roster = *replica_roster(world->zero.replica, &base.roster_slot);
    replica_free(world->zero.replica);
    assert_non_null(replica_new(&world->zero, world->protocol, 0, &base, message, sizeof message));
    return replica_start(world->zero.replica, &base, message, sizeof message);
}

/* The end came between the two halves of an installation. */
static void test_a_start_finishes_it(void **state)
{
    (void)state;
    world->log.term = 1;
    noop_at(1, 1);
    noop_at(2, 1);
    noop_at(3, 1);
    assert_true(start_beside(true));
    assert_int_equal(world->log.resets, 1);
    assert_int_equal(world->log.last, 2);
    assert_int_equal(replica_applied(world->zero.replica), 2);
}

/* One of the two is not this node's. */
static void test_a_start_believes_no_other_checkpoint(void **state)
{
    (void)state;
    world->log.term = 1;
    noop_at(1, 1);
    noop_at(2, 1);
    assert_false(start_beside(false));
    assert_int_equal(world->log.resets, 0);
}

static void test_the_roster_of_the_snapshot_is_in_force(void **state)
{
    (void)state;
    qr_slot slot;
    install(5, 2, "9");
    assert_int_equal(replica_applied_roster(world->zero.replica, &slot)->members.voters, 7);
    assert_int_equal(replica_roster(world->zero.replica, &slot)->members.voters, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_writes_that_the_snapshot_covers_are_uncertain_D1,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_snapshot_far_ahead_leaves_no_write_behind_D1, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_write_behind_the_snapshot_is_decided_by_its_slot_D1,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_read_that_waits_is_answered_from_the_snapshot, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_no_lease_outlives_it, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_log_begins_behind_the_snapshot, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_start_finishes_it, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_start_believes_no_other_checkpoint, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_roster_of_the_snapshot_is_in_force, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
