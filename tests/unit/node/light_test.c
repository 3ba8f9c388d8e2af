/* What a replica does without a turn (node/replica_light.c), in the world of apply_test.c. The
 * partition is not group 0, which has every turn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "apply_world.h"
#include "node/frame.h"

#define DUE (100 * QR_MILLISECOND) /* the turn that it has in any case */

static struct partition *part(void)
{
    return &world->zero;
}

static struct replica *replica(void)
{
    return world->zero.replica;
}

/* It was looked at, and nothing is left to do. */
static void rest(void)
{
    part()->awake = true;
    turn();
    part()->awake = false;
    part()->due = world->node.clock + DUE;
}

static int of_another_group(void **state)
{
    char message[256];
    (void)setup(state);
    struct replica_base base = { 0 };
    base.roster = *replica_roster(replica(), &base.roster_slot);
    replica_free(replica());
    part()->group = 7;
    assert_non_null(replica_new(part(), world->protocol, 0, &base, message, sizeof message));
    assert_true(replica_start(replica(), &base, message, sizeof message));
    world->outlook.transfer_to = NODE_NONE;
    world->outlook.membership.voters = 31;
    lead(1);
    rest();
    return 0;
}

/* A message without entries comes from node 1. */
static void receive(void)
{
    assert_true(replica_receive(replica(), 1, 1, (struct span){ 0 }, 0, 0, 1, (struct span){ 0 }));
}

static struct effect *effect(enum effect_kind kind)
{
    struct effect *e = &world->next[world->next_count++];
    *e = (struct effect){ .kind = kind };
    return e;
}

/* An entry that is not durable yet, and an effect that waits for it. */
static struct effect *written(enum effect_kind kind)
{
    struct effect *e = effect(EFFECT_PERSIST);
    e->persist.lo = world->outlook.last + 1;
    e->persist.hi = e->persist.lo + 1;
    e->persist.term = 1;
    e = effect(kind);
    e->after = world->minted + 1;
    return e;
}

/* --- L1, L2 ----------------------------------------------------------------------------------- */

static void test_an_answer_that_changes_nothing_makes_no_turn_L1(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        receive();
        world->outlook.last++; /* nobody but who looks asks for it */
        world->outlook.member[1].match++;
    }
    assert_false(part()->awake);
    assert_int_equal(replica_seen(replica())->member[1].match, 2); /* and it was looked at */
}

static void follows(void)
{
    world->outlook.role = ROLE_FOLLOWER;
}

static void another_term(void)
{
    world->outlook.term++;
}

static void another_leader(void)
{
    world->outlook.leader = 3;
}

static void serves_no_more(void)
{
    world->outlook.can_serve = false;
}

static void rests(void)
{
    world->outlook.quiet = true;
}

static void forgets(void)
{
    world->outlook.forgetful = true;
}

static void one_leaves(void)
{
    world->outlook.leaving = 2;
}

static void members_are_stated(void)
{
    world->outlook.membership_slot = 0;
    world->outlook.commit = 0;
    world->outlook.membership_slot = 1;
}

static void hands_over(void)
{
    world->outlook.transfer_to = 1;
}

static void a_learner(void)
{
    world->outlook.membership.learners = 2;
}

static void a_deadline_that_is_sooner(void)
{
    world->deadline = part()->due - 1;
}

static void a_read_that_may_go(void)
{
    struct effect *e = effect(EFFECT_READ);
    e->read.first = world->first_read;
    e->read.count = world->reads_waiting;
    e->read.slot = 1; /* not applied yet */
}

static void nothing_is_to_be_applied(void)
{
    replica_apply_durable_only(replica(), true);
}

static void is_quarantined(void)
{
    part()->quarantined = true;
}

static void has_forgotten(void)
{
    part()->lost = true;
}

static void its_turn_is_far_away(void)
{
    part()->due = world->node.clock + QR_SECOND;
}

static void it_has_no_turn(void)
{
    part()->due = QR_NEVER;
}

static void test_whatever_needs_a_turn_makes_one_L1_L2(void **state)
{
    static void (*const news[])(void) = {
        follows,
        another_term,
        another_leader,
        serves_no_more,
        rests,
        forgets,
        one_leaves,
        members_are_stated,
        hands_over,
        a_learner,
        is_quarantined,
        a_deadline_that_is_sooner,
        has_forgotten,
        it_has_no_turn,
        a_read_that_may_go,
        nothing_is_to_be_applied,
        its_turn_is_far_away,
    };
    for (size_t i = 0; i < ARRAY_COUNT(news); i++) {
        if (i > 0) {
            (void)teardown(state);
            (void)of_another_group(state);
        }
        if (news[i] == a_read_that_may_go) {
            command("get a");
            part()->awake = false;
            rest();
        }
        receive();
        assert_false(part()->awake);
        news[i]();
        receive();
        if (!part()->awake) {
            fail_msg("number %zu made no turn", i);
        }
    }
}

/* Nothing else wakes a partition that rests: who waits would wait until something happens to it. */
static void test_a_wait_makes_a_turn_L1(void **state)
{
    (void)state;
    command("wait 9 1");
    assert_true(part()->awake);
    turn();
    later(QR_MILLISECOND);
    assert_heard(":4\r\n");
}

/* Members on their way to be others: whoever has to do with it looks when it is over. */
static void test_the_end_of_a_change_makes_a_turn_L1(void **state)
{
    (void)state;
    world->outlook.transfer_to = 1;
    rest();
    world->outlook.transfer_to = NODE_NONE;
    receive();
    assert_true(part()->awake);
}

static void test_a_key_that_expires_makes_turns_L1(void **state)
{
    (void)state;
    command("set a 1 px 50");
    rest();
    struct effect *e = effect(EFFECT_APPLY);
    e->apply.lo = e->apply.hi = 1;
    e->apply.hi++;
    world->outlook.commit = 1;
    receive();
    assert_heard("+OK\r\n");
    assert_true(part()->awake); /* a tick will be due */
}

static void test_an_answer_is_applied_without_a_turn_L1(void **state)
{
    (void)state;
    command("set a 1");
    rest();
    struct effect *e = effect(EFFECT_APPLY);
    e->apply.lo = 1;
    e->apply.hi = 2;
    world->outlook.commit = 1;
    receive();
    assert_heard("+OK\r\n");
    assert_false(part()->awake);
}

/* --- Peers of another version ----------------------------------------------------------------- */

static void test_an_older_peer_is_not_sent_what_it_would_take_for_damage(void **state)
{
    (void)state;
    for (uint16_t version = WIRE_VERSION_LEVELS - 1; version <= WIRE_VERSION_LEVELS; version++) {
        world->version = version;
        effect(EFFECT_SEND)->send.message.kind = LATE_KIND;
        effect(EFFECT_SEND)->send.message.kind = LATE_KIND + 1;
        receive();
    }
    assert_int_equal(world->sent, 1 + 2);
}

/* --- L3 --------------------------------------------------------------------------------------- */

static void test_a_sync_releases_at_once_and_is_told_before_the_next_event_L3(void **state)
{
    (void)state;
    (void)written(EFFECT_SEND);
    receive();
    assert_int_equal(world->sent, 0);
    assert_true(replica_awaits_only(replica()));
    qr_ticket before = world->durable;
    replica_durable_aside(replica(), world->log.position);
    assert_int_equal(world->sent, 1);
    assert_int_equal(world->durable, before);
    receive();
    assert_int_equal(world->heard_of, world->minted); /* before the message, not with it */
    assert_false(part()->awake);
}

/* An entry more, which is written, as the log then says. */
static qr_slot write_one(uint64_t synced)
{
    (void)written(EFFECT_SEND);
    receive();
    world->outlook.last = world->log.last;
    world->node.partitions.schedule.written = world->log.position;
    replica_durable(replica(), synced);
    return world->log.last;
}

/* APPENDFSYNC everysec: what waited goes out at the write, and a checkpoint waits for the sync, of
 * all that was written before nobody writes any more. */
static void test_what_is_written_is_told_and_what_is_synced_is_durable(void **state)
{
    (void)state;
    part()->lazy = true;
    qr_slot before = replica_durable_slot(replica());
    for (uint32_t i = 1; i <= 3; i++) {
        assert_true(write_one(0) > before);
        assert_int_equal(world->sent, i);
        assert_int_equal(world->durable, world->minted);
        assert_int_equal(replica_durable_slot(replica()), before);
    }
    uint64_t position = world->log.position;
    qr_slot synced = world->log.last;
    (void)write_one(position - 1); /* the first of them are; the next is waited for */
    assert_true(replica_durable_slot(replica()) > before);
    assert_true(replica_durable_slot(replica()) < synced);
    replica_durable(replica(), world->log.position);
    assert_int_equal(replica_durable_slot(replica()), world->log.last);
}

static void test_a_turn_tells_of_a_sync_before_what_it_submits_L3(void **state)
{
    (void)state;
    (void)written(EFFECT_SEND);
    receive();
    replica_durable_aside(replica(), world->log.position);
    assert_true(world->durable < world->minted);
    qr_ticket minted = world->minted;
    command("set a 1");
    rest();
    assert_true(world->durable >= minted);
}

static void alone(void)
{
    world->outlook.membership.voters = 1;
}

static void may_need_this_disk_alone(void)
{
    world->outlook.member[3].match = world->outlook.commit + 1;
}

static void campaigns(void)
{
    world->outlook.role = ROLE_CANDIDATE;
}

static void test_where_the_step_is_waited_for_a_sync_has_its_turn_L3(void **state)
{
    static void (*const cases[])(void) = {
        alone, may_need_this_disk_alone, campaigns, forgets, hands_over, nothing_is_to_be_applied,
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        if (i > 0) {
            (void)teardown(state);
            (void)of_another_group(state);
        }
        (void)written(EFFECT_SEND);
        receive();
        assert_true(replica_awaits_only(replica()));
        cases[i]();
        rest();
        if (replica_awaits_only(replica())) {
            fail_msg("number %zu is not waited for", i);
        }
    }
}

static void test_an_answer_that_waits_for_the_disk_has_its_turn_L3(void **state)
{
    (void)state;
    struct effect *e = written(EFFECT_ANSWER);
    e->answer.first = 77;
    receive();
    assert_false(replica_awaits_only(replica()));
}

static void test_what_was_not_looked_at_has_its_turn_L3(void **state)
{
    (void)state;
    (void)written(EFFECT_SEND);
    receive();
    poke();
    assert_false(replica_awaits_only(replica()));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, of_another_group, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_an_older_peer_is_not_sent_what_it_would_take_for_damage),
        TEST(test_an_answer_that_changes_nothing_makes_no_turn_L1),
        TEST(test_whatever_needs_a_turn_makes_one_L1_L2),
        TEST(test_a_wait_makes_a_turn_L1),
        TEST(test_the_end_of_a_change_makes_a_turn_L1),
        TEST(test_a_key_that_expires_makes_turns_L1),
        TEST(test_an_answer_is_applied_without_a_turn_L1),
        TEST(test_a_sync_releases_at_once_and_is_told_before_the_next_event_L3),
        TEST(test_what_is_written_is_told_and_what_is_synced_is_durable),
        TEST(test_a_turn_tells_of_a_sync_before_what_it_submits_L3),
        TEST(test_where_the_step_is_waited_for_a_sync_has_its_turn_L3),
        TEST(test_an_answer_that_waits_for_the_disk_has_its_turn_L3),
        TEST(test_what_was_not_looked_at_has_its_turn_L3),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
