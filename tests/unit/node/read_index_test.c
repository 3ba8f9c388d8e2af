/* Linearizable reads at a replica that does not lead, from the index to the answer, in the world of
 * apply_test.c: node 1 leads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "apply_world.h"
#include "base/limits.h"
#include "node/replica_internal.h"

static struct replica *replica(void)
{
    return world->zero.replica;
}

static void follow_after(const char *line)
{
    command(line);
    turn();
    apply_upto(1);
    turn();
    assert_heard("+OK\r\n");
    follow_nobody(1);
    world->outlook.leader = 1;
    world->connected = world->takes = true;
    turn();
}

static void read_at(enum read_level level, const char *line)
{
    world->client.wants.level = (uint8_t)level;
    command(line);
    world->client.wants.level = READ_LINEARIZABLE;
}

static void test_it_is_served_when_the_index_is_applied_G1(void **state)
{
    (void)state;
    follow_after("set a 1");
    uint32_t reads = world->reads;
    command("get a");
    turn();
    assert_int_equal(world->reads, reads + 1);
    noop_at(2, 1);
    confirm_reads(2, 0);
    turn();
    assert_heard("");
    apply_upto(2);
    turn();
    assert_heard("$1\r\n1\r\n");
    assert_int_equal(world->forwards, 0);
}

static void test_behind_what_the_leader_answered_it_shows_no_less_S2(void **state)
{
    (void)state;
    follow_after("set a 1");
    command("get a");
    turn();
    world->client.strands.first.seen = 2;
    confirm_reads(1, 0);
    turn();
    assert_heard("");
    assert_int_equal(world->forwards, 1);
}

static void test_what_was_seen_and_is_here_is_in_nobodys_way(void **state)
{
    (void)state;
    follow_after("set a 1");
    command("get a");
    turn();
    world->client.strands.first.seen = 1;
    confirm_reads(1, 0);
    turn();
    assert_heard("$1\r\n1\r\n");
}

static void test_once_it_leads_it_answers_whatever_was_seen(void **state)
{
    (void)state;
    follow_after("set a 1");
    command("get a");
    turn();
    noop_at(2, 2);
    confirm_reads(2, 0);
    lead(2);
    world->client.strands.first.seen = 9;
    apply_upto(2);
    turn();
    assert_heard("$1\r\n1\r\n");
}

/* Mixed levels: a local read waits behind one that waits for its index. */
static void test_a_write_takes_along_all_that_waits_before_it_S2(void **state)
{
    (void)state;
    follow_after("set a 1");
    command("get a");
    read_at(READ_LOCAL, "get a");
    turn();
    assert_heard("");
    assert_int_equal(world->forwards, 0);
    command("set a 2");
    assert_int_equal(world->forwards, 3);
    confirm_reads(1, 0);
    turn();
    assert_heard("");
}

/* It leaves alone, and what is sent behind it is a write all the same. */
static void test_a_wait_in_between_hides_no_read_from_a_write_S2(void **state)
{
    (void)state;
    follow_after("set a 1");
    command("get a");
    turn();
    command("wait 1 0");
    assert_int_equal(world->forwards, 1);
    command("set a 2");
    assert_int_equal(world->forwards, 3);
    confirm_reads(1, 0);
    turn();
    assert_heard("");
}

static void test_what_waits_for_its_turn_alone_is_answered_before_a_write_leaves_S2(void **state)
{
    (void)state;
    follow_after("set a 1");
    world->congested = true;
    read_at(READ_LOCAL, "get a");
    turn();
    assert_heard("");
    command("set a 2");
    assert_heard("$1\r\n1\r\n");
    assert_int_equal(world->forwards, 1);
}

static void test_a_state_that_is_not_to_be_read_answers_nothing_before_a_write_U55(void **state)
{
    (void)state;
    follow_after("set a 1");
    world->congested = true;
    read_at(READ_LOCAL, "get a");
    turn();
    world->zero.quarantined = true;
    replica_freeze(replica(), true);
    command("set a 2");
    assert_heard("");
    assert_int_equal(world->forwards, 2);
}

/* Of what is queued without a proof too. */
static void test_a_state_that_is_not_to_be_read_answers_nothing_that_waited_U55(void **state)
{
    (void)state;
    follow_after("set a 1");
    world->congested = true;
    read_at(READ_LOCAL, "get a");
    turn();
    world->zero.quarantined = true;
    replica_freeze(replica(), true);
    world->congested = false;
    replica_unpark(&world->client);
    turn();
    turn();
    assert_heard("");
    assert_int_equal(world->forwards, 1);
}

static void test_a_key_that_may_be_due_is_the_leaders_to_judge(void **state)
{
    (void)state;
    follow_after("set a 1 px 50");
    command("get a");
    confirm_reads(1, 0);
    turn();
    confirm_reads(1, 0);
    turn();
    assert_heard("$1\r\n1\r\n");
    world->wall += 60 * QR_MILLISECOND;
    command("get a");
    turn();
    confirm_reads(1, 0);
    turn();
    assert_heard("");
    turn();
    assert_int_equal(world->forwards, 1);
}

static void test_a_followers_clock_sets_no_stamp_of_its_own_term_to_come(void **state)
{
    (void)state;
    follow_after("set a 1");
    qr_wall right = world->wall;
    world->wall += 3600 * QR_SECOND;
    command("get a");
    turn();
    confirm_reads(1, 0);
    turn();
    assert_heard("$1\r\n1\r\n");
    world->wall = right;
    lead(2);
    command("set b 1");
    turn();
    apply_upto(2);
    turn();
    assert_heard("+OK\r\n");
    assert_true(engine_log_time(world->zero.engine) < right + 10 * QR_SECOND);
}

static void test_one_that_is_late_bars_the_next_for_longer_and_longer(void **state)
{
    (void)state;
    follow_after("set a 1");
    assert_true(replica_asks_in_time(replica()));
    qr_time late = INDEX_LATE_MS * QR_MILLISECOND;
    for (int i = 0; i < 2; i++) {
        replica_asked_late(replica());
        later(late - 1);
        assert_false(replica_asks_in_time(replica()));
        later(1);
        assert_true(replica_asks_in_time(replica()));
        late *= 2;
    }
    command("get a");
    turn();
    confirm_reads(1, 0);
    turn();
    assert_heard("$1\r\n1\r\n"); /* in time: all is forgotten */
    replica_asked_late(replica());
    later(INDEX_LATE_MS * QR_MILLISECOND);
    assert_true(replica_asks_in_time(replica()));
}

static void test_before_it_is_informed_it_shows_nothing_by_itself(void **state)
{
    (void)state;
    world->outlook.informed = false;
    follow_after("set a 1");
    read_at(READ_LOCAL, "get a");
    turn();
    assert_heard("");
    assert_int_equal(world->forwards, 1);
    assert_int_equal(world->node.stats.indexes_asked, 1);
}

static void test_informed_it_shows_nothing_before_it_has_applied_that(void **state)
{
    (void)state;
    world->outlook.informed = false;
    follow_after("set a 1");
    world->outlook.informed = true;
    world->outlook.commit = 2;
    noop_at(2, 1);
    turn();
    read_at(READ_LOCAL, "get a");
    assert_heard("");
    assert_int_equal(world->forwards, 1);
}

/* Whoever may not be trusted with a read sends it to the leader. */
static void test_a_state_that_proves_nothing_shows_nothing(void **state)
{
    (void)state;
    follow_after("set a 1");
    read_at(READ_LOCAL, "get a");
    assert_heard("$1\r\n1\r\n");
    world->outlook.forgetful = true;
    turn();
    read_at(READ_LOCAL, "get a");
    assert_int_equal(world->forwards, 1);
    world->outlook.forgetful = false;
    world->outlook.membership.voters = 30; /* not this one */
    turn();
    read_at(READ_LOCAL, "get a");
    assert_int_equal(world->forwards, 2);
    world->outlook.membership.voters = 31;
    turn();
    replica_freeze(replica(), true);
    read_at(READ_LOCAL, "get a");
    assert_int_equal(world->forwards, 3);
    assert_heard("");
}

/* A leader that cannot be reached tells no index. */
static void test_who_hears_nobody_waits_for_a_leader(void **state)
{
    (void)state;
    follow_after("set a 1");
    world->connected = world->takes = false;
    uint32_t reads = world->reads;
    command("get a");
    turn();
    assert_int_equal(world->reads, reads);
    assert_int_equal(router_waiting(world->node.router), 1);
    replica_freeze(replica(), true);
    world->connected = true;
    assert_false(replica_may_ask(replica()));
}

/* It may be behind afterwards: it had applied all that was acknowledged before its start. */
static void test_once_current_it_stays_so(void **state)
{
    (void)state;
    follow_after("set a 1");
    read_at(READ_LOCAL, "get a");
    assert_heard("$1\r\n1\r\n");
    world->outlook.commit = 7;
    turn();
    read_at(READ_LOCAL, "get a");
    assert_heard("$1\r\n1\r\n");
    assert_int_equal(world->forwards, 0);
}

/* As many operations may be missing as it says, but none that its session knows of. */
static void test_a_bound_of_operations_leaves_out_nothing_of_the_session_N2(void **state)
{
    (void)state;
    follow_after("set a 1");
    noop_at(2, 1);
    world->client.wants = (struct wants){
        .level = READ_BOUNDED, .bound = 5, .bound_is_operations = true, .least = 2
    };
    command("get a");
    world->client.wants = (struct wants){ 0 };
    turn();
    confirm_reads(2, 0);
    turn();
    assert_heard("");
    apply_upto(2);
    turn();
    assert_heard("$1\r\n1\r\n");
}

/* Nor before it has begun, nor where nobody else leads. */
static void test_there_is_to_be_somebody_to_ask(void **state)
{
    (void)state;
    follow_after("set a 1");
    assert_true(replica_may_ask(replica()));
    replica()->started = false;
    assert_false(replica_may_ask(replica()));
    replica()->started = true;
    follow_nobody(2);
    assert_false(replica_may_ask(replica()));
    lead(3);
    assert_false(replica_may_ask(replica()));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_it_is_served_when_the_index_is_applied_G1),
        TEST(test_behind_what_the_leader_answered_it_shows_no_less_S2),
        TEST(test_what_was_seen_and_is_here_is_in_nobodys_way),
        TEST(test_once_it_leads_it_answers_whatever_was_seen),
        TEST(test_a_write_takes_along_all_that_waits_before_it_S2),
        TEST(test_a_wait_in_between_hides_no_read_from_a_write_S2),
        TEST(test_what_waits_for_its_turn_alone_is_answered_before_a_write_leaves_S2),
        TEST(test_a_state_that_is_not_to_be_read_answers_nothing_before_a_write_U55),
        TEST(test_a_state_that_is_not_to_be_read_answers_nothing_that_waited_U55),
        TEST(test_a_key_that_may_be_due_is_the_leaders_to_judge),
        TEST(test_a_followers_clock_sets_no_stamp_of_its_own_term_to_come),
        TEST(test_one_that_is_late_bars_the_next_for_longer_and_longer),
        TEST(test_before_it_is_informed_it_shows_nothing_by_itself),
        TEST(test_informed_it_shows_nothing_before_it_has_applied_that),
        TEST(test_a_state_that_proves_nothing_shows_nothing),
        TEST(test_who_hears_nobody_waits_for_a_leader),
        TEST(test_once_current_it_stays_so),
        TEST(test_a_bound_of_operations_leaves_out_nothing_of_the_session_N2),
        TEST(test_there_is_to_be_somebody_to_ask),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
