/* Quotas on a command's way (quota.h): whichever it takes, it is asked about with all of its
 * bytes, counted once, and not carried out when it is refused. The quotas themselves are
 * quota_test.c's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "node/replica.h"
#include "orders_played.h"
#include "router_world.h"

#define REFUSED \
    "-THROTTLED too many commands in flight, the command was not applied\r\n" /* played */

static int begin(void **state)
{
    quotas_played = (struct quotas_played){ 0 };
    (void)setup(state);
    world->replica.leads = true;
    world->replica.leader = 0;
    return 0;
}

/* SET a <a MiB, which is there>. */
static void large(void)
{
    static const uint8_t bytes[MIB];
    struct span argv[3] = { SPAN_LITERAL("set"), SPAN_LITERAL("a"), { .n = sizeof bytes } };
    struct cargo *cargo = cargo_new();
    (void)cargo_add(cargo, sizeof bytes);
    assert_true(cargo_fill(cargo, span_of(bytes, sizeof bytes)));
    router_command_laden(world->node.router, &world->zero, &world->client, command_by_name(argv[0]),
                         2, 0, argv, 3, false, cargo);
}

static void what_is_carried_out_is_counted_once(void **state)
{
    (void)state;
    command("set", "a");
    assert_int_equal(quotas_played.spent, 1);
    assert_in_range(quotas_played.bytes, 1, 100);
    command("get", "b");
    assert_int_equal(quotas_played.spent, 2);
    world->replica.room = 0;
    command("set", "c");
    turn_later(0);
    turn_later(0);
    assert_int_equal(quotas_played.spent, 2); /* it waits */
    world->replica.room = 5;
    turn_later(0);
    assert_int_equal(quotas_played.spent, 3);
    assert_in_range(quotas_played.bytes, 1, 100);
    large();
    assert_int_equal(quotas_played.spent, 4);
    assert_in_range(quotas_played.bytes, MIB + 1, MIB + 100);
}

static void what_is_refused_is_told_with_its_bytes_and_not_carried_out(void **state)
{
    (void)state;
    quotas_played.full = true;
    command("set", "a");
    assert_heard(REFUSED);
    assert_in_range(quotas_played.told, 1, 100);
    command("get", "b");
    assert_heard(REFUSED);
    large();
    assert_heard(REFUSED);
    assert_in_range(quotas_played.told, MIB + 1, MIB + 100);
    assert_int_equal(quotas_played.spent, 0);
    assert_string_equal(proposed(), "");
}

/* Not here: by the leader. */
static void what_goes_to_another_node_is_not_counted(void **state)
{
    (void)state;
    world->replica.leads = false;
    world->replica.leader = 1;
    quotas_played.full = true;
    command("set", "a");
    command("get", "b");
    assert_string_equal(world->peers.forwarded, "1:a 1:b ");
    assert_int_equal(quotas_played.spent, 0);
}

/* lagging.h B3: it waits for a second, and then it surely was not carried out. */
static void a_write_waits_for_a_follower_for_a_while(void **state)
{
    (void)state;
    world->replica.room = 0;
    world->behind = true;
    command("set", "a");
    turn_later(900 * QR_MILLISECOND);
    assert_heard("");
    turn_later(200 * QR_MILLISECOND);
    assert_heard("-THROTTLED a replica is behind by more than MAXLAG and writes wait for it, the "
                 "command was not applied\r\n");
    assert_string_equal(proposed(), "");
    command("set", "b");
    world->behind = false;
    world->replica.room = 5;
    turn_later(2 * QR_SECOND);
    assert_string_equal(proposed(), "b ");
}

/* zones.c: too few replicas are here for what it asks for; at once, and on both ways to the log. */
static void a_write_that_too_few_could_keep_is_not_carried_out(void **state)
{
    (void)state;
    world->replicas_here = 2;
    world->client.wants.copies.count = 3;
    command("set", "a");
    assert_heard("-NOREPLICAS not applied\r\n");
    world->replica.room = 0;
    command("set", "b");
    turn_later(QR_MILLISECOND);
    world->replica.room = 5;
    turn_later(QR_MILLISECOND);
    assert_heard("-NOREPLICAS not applied\r\n");
    assert_string_equal(proposed(), "");
    world->client.wants.copies.count = 2;
    command("set", "c");
    turn_later(QR_MILLISECOND);
    assert_string_equal(proposed(), "c ");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_is_carried_out_is_counted_once),
        CASE(what_is_refused_is_told_with_its_bytes_and_not_carried_out),
        CASE(a_write_waits_for_a_follower_for_a_while),
        CASE(a_write_that_too_few_could_keep_is_not_carried_out),
        CASE(what_goes_to_another_node_is_not_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
