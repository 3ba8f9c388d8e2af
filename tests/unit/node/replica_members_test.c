/* The roster of a replica follows its log: in force when appended, as before when dropped, decided
 * when applied (scenarios 12, 18, 25; Raft diss. 4.1). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "apply_world.h"
#include "log/log.h"
#include "node/replica_internal.h"

static const struct roster *in_force(qr_slot expected)
{
    qr_slot slot;
    const struct roster *roster = replica_roster(world->zero.replica, &slot);
    assert_int_equal(slot, expected);
    return roster;
}

static const struct roster *decided(qr_slot expected)
{
    qr_slot slot;
    const struct roster *roster = replica_applied_roster(world->zero.replica, &slot);
    assert_int_equal(slot, expected);
    return roster;
}

static void test_scenario_12_18_an_entry_is_in_force_at_once_and_decided_when_applied(void **state)
{
    (void)state;
    struct membership four = { .voters = 15 };
    uint32_t changes = replica_roster_changes(world->zero.replica);
    in_force(0);
    members_at(1, 1, &four);
    assert_int_equal(in_force(1)->members.voters, 15);
    assert_int_equal(in_force(1)->node[3].id, 4);
    assert_int_equal(in_force(1)->node[4].id, 0); /* whoever is in no set is forgotten */
    assert_int_equal(decided(0)->members.voters, 31);
    assert_true(replica_roster_changes(world->zero.replica) > changes);
    apply_upto(1);
    assert_int_equal(decided(1)->members.voters, 15);
}

/* Scenario 25: the rollback of an entry that states members. */
static void test_scenario_25_a_dropped_entry_gives_back_the_one_before(void **state)
{
    (void)state;
    struct membership joint = { .voters = 15, .outgoing = 31 };
    struct membership final = { .voters = 15 };
    members_at(1, 1, &joint);
    apply_upto(1);
    members_at(2, 1, &final);
    assert_int_equal(in_force(2)->members.outgoing, 0);
    noop_at(2, 2);
    assert_int_equal(in_force(1)->members.outgoing, 31);
    assert_int_equal(in_force(1)->node[4].id, 5); /* it is a member again, and known */
    members_at(3, 2, &final);
    noop_at(3, 3);
    in_force(1);
}

static void test_one_that_is_not_applied_gives_way_to_the_one_before_it_in_the_log(void **state)
{
    (void)state;
    struct membership joint = { .voters = 15, .outgoing = 31 };
    struct membership final = { .voters = 15 };
    members_at(1, 1, &joint);
    members_at(2, 1, &final);
    noop_at(2, 2);
    assert_int_equal(in_force(1)->members.outgoing, 31);
    noop_at(1, 3);
    assert_int_equal(in_force(0)->members.voters, 31);
}

/* What a node learnt of directories since the cluster was made gets into the next entry. */
static void test_directories_that_were_met_are_written_down(void **state)
{
    (void)state;
    struct membership same = { .voters = 31 };
    world->node.known[2] = (struct roster_node){ .id = 3, .uuid = { 7 } };
    world->node.known[3] = (struct roster_node){ .id = 9, .uuid = { 8 } }; /* another node */
    members_at(1, 1, &same);
    assert_int_equal(in_force(1)->node[2].uuid[0], 7);
    assert_int_equal(in_force(1)->node[3].uuid[0], 0);
    assert_string_equal(in_force(1)->node[2].address, "10.0.0.1");
}

static size_t record_of(const uint8_t *payload, size_t n, uint8_t *out)
{
    memcpy(out + RECORD_HEADER_BYTES, payload, n);
    record_seal(out, 0, RECORD_MEMBERS, 1, 1, n);
    return record_bytes(n);
}

static bool receive(const uint8_t *record, size_t n)
{
    return replica_receive(world->zero.replica, 1, 1, (struct span){ 0 }, 1, 2, 1,
                           span_of(record, n));
}

static void test_a_message_brings_no_roster_that_is_none(void **state)
{
    (void)state;
    uint8_t payload[ROSTER_BYTES_MAX];
    uint8_t record[RECORD_HEADER_BYTES + ROSTER_BYTES_MAX];
    struct roster roster = *in_force(0);
    size_t n = roster_write(&roster, payload);
    assert_true(receive(record, record_of(payload, n, record)));
    assert_false(receive(record, record_of(payload, n - 1, record)));
    roster.members = (struct membership){ 0 }; /* nobody decides */
    n = roster_write(&roster, payload);
    assert_false(receive(record, record_of(payload, n, record)));
    in_force(1); /* the protocol has persisted what came */
}

/* The protocol is told of so many at once, and no entry gets into the log that it does not know. */
static void test_more_rosters_than_one_message_is_looked_through_for(void **state)
{
    enum { MANY = MEMBERSHIPS_RECEIVED_MAX + 4, FIRST = 2 };
    (void)state;
    static uint8_t records[MANY * (RECORD_HEADER_BYTES + ROSTER_BYTES_MAX)];
    uint8_t payload[ROSTER_BYTES_MAX];
    size_t length = roster_write(in_force(0), payload);
    noop_at(1, 1);
    size_t n = 0;
    for (unsigned i = 0; i < MANY; i++) {
        memcpy(records + n + RECORD_HEADER_BYTES, payload, length);
        record_seal(records + n, 0, RECORD_MEMBERS, FIRST + i, 1, length);
        n += record_bytes(length);
    }
    assert_true(replica_receive(world->zero.replica, 1, 1, (struct span){ 0 }, FIRST, FIRST + MANY,
                                1, span_of(records, n)));
    in_force(FIRST + MEMBERSHIPS_RECEIVED_MAX - 1);
    assert_int_equal(log_last_slot(world->node.log, 0), FIRST + MEMBERSHIPS_RECEIVED_MAX - 1);
    n = MEMBERSHIPS_RECEIVED_MAX * record_bytes(length);
    assert_true(replica_receive(world->zero.replica, 1, 1, (struct span){ 0 },
                                FIRST + MEMBERSHIPS_RECEIVED_MAX, FIRST + MANY, 1,
                                span_of(records + n, 4 * record_bytes(length))));
    in_force(FIRST + MANY - 1);
}

/* Of a founder no entry says which directory it has; who met it remembers which one is gone. */
static void test_a_founder_that_is_removed_is_remembered(void **state)
{
    (void)state;
    struct membership without = { .voters = 27 };
    static const uint8_t gone[16] = { 7 };
    static const uint8_t stays[16] = { 8 };
    struct roster_node *met = world->node.identity.members;
    met[2] = (struct roster_node){ .id = 3, .uuid = { 7 } };
    met[3] = (struct roster_node){ .id = 4, .uuid = { 8 } };
    members_at(1, 1, &without);
    apply_upto(1);
    assert_true(replica_has_removed(world->zero.replica, gone));
    assert_false(replica_has_removed(world->zero.replica, stays));
}

/* The id has gone to another directory since it was met. */
static void test_who_is_removed_is_the_one_that_the_entries_name(void **state)
{
    (void)state;
    struct membership all = { .voters = 31 };
    struct membership without = { .voters = 27 };
    static const uint8_t before[16] = { 7 };
    static const uint8_t gone[16] = { 8 };
    world->node.identity.members[2] = (struct roster_node){ .id = 3, .uuid = { 7 } };
    world->node.known[2] = (struct roster_node){ .id = 3, .uuid = { 8 } };
    members_at(1, 1, &all);
    members_at(2, 1, &without);
    apply_upto(2);
    assert_true(replica_has_removed(world->zero.replica, gone));
    assert_false(replica_has_removed(world->zero.replica, before));
}

/* Whoever was removed stays known while it is connected; the room under its id is not for it. */
static void test_room_is_not_written_down_for_one_that_was_removed(void **state)
{
    (void)state;
    struct membership without = { .voters = 27 };
    struct membership room = { .voters = 27, .learners = 4 };
    struct roster_node joining[MEMBERS_MAX] = { [2] = { .id = 3, .address = "10.0.0.2" } };
    world->node.identity.members[2] = (struct roster_node){ .id = 3, .uuid = { 7 } };
    world->node.known[2] = (struct roster_node){ .id = 3, .uuid = { 7 } };
    members_at(1, 1, &without);
    apply_upto(1);
    world->zero.replica->joining = joining;
    members_at(2, 1, &room);
    world->zero.replica->joining = NULL;
    assert_int_equal(in_force(2)->node[2].id, 3);
    assert_false(roster_uuid_known(&in_force(2)->node[2]));
    apply_upto(2);
    members_at(3, 1, &room); /* whatever else changes */
    assert_false(roster_uuid_known(&in_force(3)->node[2]));
}

/* Seed 730180: a snapshot names founders whom its maker had not met, and they are there still. A
 * learner without a directory is room for another one, by entries that were skipped. */
static void test_a_snapshot_sends_only_those_away_who_have_left(void **state)
{
    (void)state;
    struct membership all = { .voters = 31 };
    static const uint8_t met[16] = { 8 };
    struct replica *r = world->zero.replica;
    world->node.known[2] = (struct roster_node){ .id = 3, .uuid = { 8 } };
    members_at(1, 1, &all);
    apply_upto(1);
    struct roster named = *decided(1);
    struct roster unnamed = named;
    assert_memory_equal(named.node[2].uuid, met, sizeof met);
    memset(unnamed.node[2].uuid, 0, sizeof unnamed.node[2].uuid);
    replica_roster_installed(r, &unnamed, 5);
    assert_false(replica_has_removed(r, met));
    replica_roster_installed(r, &named, 6);
    unnamed.members = (struct membership){ .voters = 27, .learners = 4 };
    replica_roster_installed(r, &unnamed, 7);
    assert_true(replica_has_removed(r, met));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_scenario_12_18_an_entry_is_in_force_at_once_and_decided_when_applied, setup,
            teardown),
        cmocka_unit_test_setup_teardown(test_scenario_25_a_dropped_entry_gives_back_the_one_before,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_one_that_is_not_applied_gives_way_to_the_one_before_it_in_the_log, setup,
            teardown),
        cmocka_unit_test_setup_teardown(test_directories_that_were_met_are_written_down, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_message_brings_no_roster_that_is_none, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_more_rosters_than_one_message_is_looked_through_for,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_founder_that_is_removed_is_remembered, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_who_is_removed_is_the_one_that_the_entries_name, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_snapshot_sends_only_those_away_who_have_left, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_room_is_not_written_down_for_one_that_was_removed,
                                        setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
