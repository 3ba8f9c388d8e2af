/* Reads of a session in a pipeline whose leader changes: what later commands have shown meanwhile
 * is no reason to call anything lost (session.h N2, freshness.h F5). Router, streams, replica and
 * engine are real. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "apply_world.h"

static void read_of_session(const char *line, qr_slot least)
{
    world->client.wants =
        (struct wants){ .level = READ_SESSION, .session = true, .least = least };
    command(line);
    world->client.wants = (struct wants){ 0 };
}

/* What stands behind this is proposed here, and nobody is known who leads. */
static void lose_the_lead(void)
{
    turn();
    follow_nobody(1);
    world->refuses = true;
}

static void begin(void)
{
    command("set a 1");
    turn();
    apply_upto(1);
    turn();
    assert_heard("+OK\r\n");
}

static void take_replies(void)
{
    world->congested = false;
    replica_unpark(&world->client);
    turn();
    turn();
}

/* Another node has answered it, from the state at that slot. */
static void answer_elsewhere(struct pending *p, qr_slot slot)
{
    assert_int_equal(p->state, PENDING_WAITING);
    router_recall(world->node.router, p);
    p->shown = (struct shown){ .slot = slot };
    reply_status(stream_reply(p), "ELSEWHERE");
    stream_answered(p, STATUS_OK);
}

/* Those that were asked of the protocol. */
static void refuse_reads(void)
{
    struct effect *e = &world->next[world->next_count++];
    *e = (struct effect){ .kind = EFFECT_ANSWER };
    e->answer.first = world->first_read;
    e->answer.count = world->reads_waiting;
    e->answer.status = STATUS_NOT_LEADER;
    world->reads_waiting = 0;
    poke();
}

/* Its turn has not come yet when the leader changes. Another node answers what its client has sent
 * behind it, from a state that has the write between them, which is not applied here yet. */
static void test_what_comes_behind_a_read_makes_nothing_lost_N2(void **state)
{
    (void)state;
    begin();
    world->congested = true;
    read_of_session("get a", 0);
    turn();
    command("set a 2");
    lose_the_lead();
    command("get a");
    answer_elsewhere(world->client.last, 3);
    assert_int_equal(world->client.strands.first.seen, 3);
    take_replies();
    assert_heard("$1\r\n1\r\n");
    apply_upto(2);
    assert_heard("+OK\r\n+ELSEWHERE\r\n");
}

/* The same when it is to be sent elsewhere, which cannot be. */
static void test_nor_when_it_is_routed_anew_N2(void **state)
{
    (void)state;
    begin();
    world->congested = true;
    read_of_session("get a", 0);
    turn();
    struct pending *read = world->client.last;
    command("set a 2");
    lose_the_lead();
    command("get a");
    answer_elsewhere(world->client.last, 3);
    struct pendings one = { 0 };
    replica_forget(world->zero.replica, read);
    pendings_push(&one, read);
    router_retry(world->node.router, &one, STATUS_EXPIRED);
    world->outlook.membership.voters = 30; /* no more an answer by its level from this one */
    turn();
    turn();
    assert_int_equal(read->wants.least, 1);
    apply_upto(2);
    assert_heard("$1\r\n1\r\n+OK\r\n+ELSEWHERE\r\n");
}

/* What stood before it was shown the write by another leader: it is not shown less, nor is anything
 * lost. */
static void test_what_comes_before_a_read_it_shows_too_N2(void **state)
{
    (void)state;
    begin();
    world->congested = true;
    command("get a");
    struct pending *before = world->client.last;
    read_of_session("get a", 0);
    struct pending *read = world->client.last;
    read_of_session("get a", 0);
    turn();
    assert_true(read->confirmed && !before->confirmed); /* in its own queue: by its level */
    command("set a 2");
    lose_the_lead();
    refuse_reads();
    answer_elsewhere(before, 2);
    assert_heard("+ELSEWHERE\r\n");
    take_replies();
    assert_int_equal(read->wants.least, 2);
    apply_upto(2);
    assert_heard("");
    noop_at(3, 2);
    apply_upto(3);
    world->refuses = false;
    lead(2);
    turn();
    confirm_reads(3, 0);
    turn();
    assert_heard("$1\r\n2\r\n$1\r\n2\r\n+OK\r\n");
}

/* The same of one that nobody has looked at since: what cannot be sent elsewhere either is ahead of
 * it. Reads that come before what was shown are served as ever. */
static void test_nor_where_it_was_not_routed_anew_since_N2(void **state)
{
    (void)state;
    begin();
    command("get a");
    command("get a");
    struct pending *before = world->client.last;
    read_of_session("get a", 0);
    command("get a");
    turn();
    command("set a 2");
    lose_the_lead();
    refuse_reads();
    turn();
    answer_elsewhere(before, 2);
    apply_upto(2);
    assert_heard("$1\r\n1\r\n+ELSEWHERE\r\n$1\r\n2\r\n");
    noop_at(3, 2);
    apply_upto(3);
    world->refuses = false;
    lead(2);
    turn();
    confirm_reads(3, 0);
    turn();
    assert_heard("$1\r\n2\r\n+OK\r\n");
}

/* A read whose own time is over says nothing of those before it: the one before it is shown more
 * than there is here, later. */
static void test_a_read_that_times_out_is_not_the_one_before_it_S2(void **state)
{
    (void)state;
    begin();
    world->congested = true;
    command("get a");
    struct pending *before = world->client.last;
    read_of_session("get a", 0);
    world->client.wants = (struct wants){ .expires = world->now + 20 * QR_MILLISECOND };
    command("get a");
    world->client.wants = (struct wants){ 0 };
    lose_the_lead();
    refuse_reads();
    later(30 * QR_MILLISECOND);
    take_replies();
    answer_elsewhere(before, 3);
    assert_heard("+ELSEWHERE\r\n");
    take_replies();
    assert_heard("");
    noop_at(2, 2);
    noop_at(3, 2);
    apply_upto(3);
    world->refuses = false;
    lead(2);
    turn();
    confirm_reads(3, 0);
    turn();
    assert_heard("$1\r\n1\r\n-TRYAGAIN not applied, its TIMEOUT has passed\r\n");
}

/* That a proof says it, and nothing else. */
static void test_what_is_lost_is_told_by_its_own_proof_F5(void **state)
{
    (void)state;
    begin();
    read_of_session("get a", 3);
    command("set a 2");
    turn();
    apply_upto(2);
    assert_heard("");
    confirm_reads(2, 0);
    assert_heard("-SESSIONLOST what this session has seen is lost: no replica has it, the command "
                 "was not applied\r\n+OK\r\n");
}

/* Nor ahead of a write of its client that leaves for another leader. */
static void test_nor_is_it_served_before_a_write_that_leaves_N2(void **state)
{
    (void)state;
    begin();
    world->congested = true;
    command("get a");
    struct pending *before = world->client.last;
    read_of_session("get a", 0);
    lose_the_lead();
    refuse_reads();
    answer_elsewhere(before, 3);
    world->congested = false;
    command("set a 2");
    struct pendings left = { 0 };
    replica_serve_before(world->zero.replica, world->client.last, &left);
    assert_int_equal(left.count, 1);
    assert_heard("+ELSEWHERE\r\n");
    router_retry(world->node.router, &left, STATUS_EXPIRED);
    world->refuses = false;
}

/* What a weaker level shows is up to that level. */
static void test_other_levels_are_not_outrun(void **state)
{
    (void)state;
    begin();
    world->congested = true;
    world->client.wants = (struct wants){ .level = READ_LOCAL };
    command("get a");
    world->client.wants = (struct wants){ 0 };
    turn();
    strands_note_seen(&world->client.strands, NULL, 0, 3);
    take_replies();
    assert_heard("$1\r\n1\r\n");
}

/* It counts as a read that is taken up here, once. */
static void test_one_that_is_routed_anew_may_be_answered_here_again_N2(void **state)
{
    (void)state;
    begin();
    world->congested = true;
    read_of_session("get a", 0);
    turn();
    struct pending *read = world->client.last;
    struct pendings one = { 0 };
    replica_forget(world->zero.replica, read);
    pendings_push(&one, read);
    router_retry(world->node.router, &one, STATUS_EXPIRED);
    turn();
    assert_int_equal(world->reads, 0);
    take_replies();
    assert_heard("$1\r\n1\r\n");
}

#define READS_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        READS_TEST(test_what_comes_behind_a_read_makes_nothing_lost_N2),
        READS_TEST(test_nor_when_it_is_routed_anew_N2),
        READS_TEST(test_what_comes_before_a_read_it_shows_too_N2),
        READS_TEST(test_nor_where_it_was_not_routed_anew_since_N2),
        READS_TEST(test_a_read_that_times_out_is_not_the_one_before_it_S2),
        READS_TEST(test_nor_is_it_served_before_a_write_that_leaves_N2),
        READS_TEST(test_other_levels_are_not_outrun),
        READS_TEST(test_one_that_is_routed_anew_may_be_answered_here_again_N2),
        READS_TEST(test_what_is_lost_is_told_by_its_own_proof_F5),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
