/* Rosters: what is written reads back; what could not have been written is refused (R7). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "node/roster.h"

static void put(struct roster *roster, node_index i, uint32_t id)
{
    struct roster_node *node = &roster->node[i];
    *node = (struct roster_node){ .id = id, .client_port = 7000, .peer_port = 17000 };
    node->priority = 100;
    (void)snprintf(node->address, sizeof node->address, "10.0.0.%u", (unsigned)id);
    memset(node->uuid, (int)id, sizeof node->uuid);
}

/* Voters 1, 2 at 0, 1; a learner 7 at 3; an observer 9 at 4; node 4 at 2 on its way out. */
static struct roster sample(void)
{
    struct roster roster = { .members = { .voters = 3, .outgoing = 7, .learners = 8 } };
    roster.members.observers = 16;
    put(&roster, 0, 1);
    put(&roster, 1, 2);
    put(&roster, 2, 4);
    put(&roster, 3, 7);
    put(&roster, 4, 9);
    return roster;
}

static bool comes_back(const struct roster *roster)
{
    uint8_t bytes[ROSTER_BYTES_MAX];
    struct roster again;
    size_t n = roster_write(roster, bytes);
    return roster_read(span_of(bytes, n), &again) && memcmp(roster, &again, sizeof again) == 0;
}

static void test_a_roster_comes_back(void **state)
{
    (void)state;
    struct roster roster = sample();
    struct roster nobody = { 0 };
    assert_true(comes_back(&roster));
    assert_true(comes_back(&nobody)); /* a node that has not joined yet */
    roster.node[1].uuid[0]++;
    assert_true(comes_back(&roster));
    memset(roster.node[0].uuid, 0, 16); /* two directories that nobody has met */
    memset(roster.node[1].uuid, 0, 16);
    assert_true(comes_back(&roster));
}

/* A partition's group: sets and an epoch, nobody's address (F5). */
static void test_the_roster_of_a_partition_comes_back(void **state)
{
    (void)state;
    struct roster roster = { .members = { .voters = 3, .outgoing = 7, .learners = 8 } };
    roster.epoch = 5;
    assert_true(comes_back(&roster));
    uint8_t bytes[ROSTER_BYTES_MAX];
    size_t n = roster_write(&roster, bytes);
    struct roster again;
    assert_int_equal(n, 17);
    assert_false(roster_read(span_of(bytes, n - 1), &again));
    bytes[9] = 0; /* epoch 0 is group 0's */
    assert_false(roster_read(span_of(bytes, n), &again));
    bytes[9] = 5;
    assert_true(roster_read(span_of(bytes, n), &again));
    memset(bytes + 1, 0, 8); /* nobody decides */
    assert_false(roster_read(span_of(bytes, n), &again));
}

/* Byte by byte: what is read back otherwise than it was written is no proof. */
static void test_what_a_node_says_of_itself_is_looked_at(void **state)
{
    (void)state;
    struct roster roster = sample(), again;
    uint8_t bytes[ROSTER_BYTES_MAX];
    size_t n = roster_write(&roster, bytes);
    const size_t id = 9, address = id + 26;
    assert_memory_equal(bytes + address, "10.0.0.1", 8);
    bytes[address + 3] = ' ';
    assert_false(roster_read(span_of(bytes, n), &again));
    bytes[address + 3] = 0;
    assert_false(roster_read(span_of(bytes, n), &again));
    bytes[address + 3] = '7';
    assert_true(roster_read(span_of(bytes, n), &again));
    bytes[id] = 0;
    assert_false(roster_read(span_of(bytes, n), &again));
}

/* A wiped node under its old id: the old directory leaves while the new one comes. */
static void test_an_id_may_pass_to_another_directory(void **state)
{
    (void)state;
    struct roster roster = sample();
    roster.node[3].id = 4; /* node 4 at 2 is only in `outgoing` */
    assert_true(comes_back(&roster));
    assert_int_equal(roster_find(&roster, 4), 3);
    assert_int_equal(roster_find(&roster, 2), 1);
    roster = sample();
    roster.node[0].id = 4; /* also at an index before it */
    assert_true(comes_back(&roster));
    assert_int_equal(roster_find(&roster, 4), 0);
}

static void test_the_largest_fits(void **state)
{
    (void)state;
    struct roster roster = { .members = { .voters = 0x7fff } };
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        put(&roster, i, i + 1u);
        memset(roster.node[i].address, 'f', sizeof roster.node[i].address - 1);
    }
    assert_true(comes_back(&roster));
}

static void test_a_node_outside_the_sets_is_not_written(void **state)
{
    (void)state;
    struct roster roster = sample();
    put(&roster, 9, 33);
    assert_false(comes_back(&roster));
    memset(&roster.node[9], 0, sizeof roster.node[9]);
    assert_true(comes_back(&roster));
}

static void test_what_no_node_writes_is_refused(void **state)
{
    (void)state;
    struct roster bad[8];
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        bad[i] = sample();
    }
    bad[0].members.learners = 1;                          /* a voter too */
    bad[1].members.observers = 2;                         /* the same */
    bad[2].members.voters = 0;                            /* nobody decides */
    bad[3].members.voters = 0x8003;                       /* an index that does not exist */
    bad[4].node[1].id = 1;                                /* an id twice */
    memcpy(bad[5].node[4].uuid, bad[5].node[0].uuid, 16); /* a directory twice */
    strcpy(bad[6].node[0].address, "a host");
    bad[7].node[0].address[0] = 0;
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        if (i == 3) {
            continue; /* it cannot even be written */
        }
        assert_false(comes_back(&bad[i]));
    }
}

static void test_every_cut_and_every_longer_one_is_refused(void **state)
{
    (void)state;
    uint8_t bytes[ROSTER_BYTES_MAX + 1];
    struct roster roster = sample();
    struct roster again;
    size_t n = roster_write(&roster, bytes);
    for (size_t cut = 0; cut < n; cut++) {
        assert_false(roster_read(span_of(bytes, cut), &again));
    }
    bytes[n] = 0;
    assert_false(roster_read(span_of(bytes, n + 1), &again));
    bytes[0] = 2; /* a layout of the future */
    assert_false(roster_read(span_of(bytes, n), &again));
    bytes[0] = 1;
    bytes[2] |= 0x80; /* an index that does not exist */
    assert_false(roster_read(span_of(bytes, n), &again));
}

static void test_nodes_are_found_by_id(void **state)
{
    (void)state;
    struct roster roster = sample();
    assert_int_equal(roster_find(&roster, 7), 3);
    assert_int_equal(roster_find(&roster, 3), NODE_NONE);
    assert_int_equal(roster_find(&roster, 0), NODE_NONE); /* free indexes have no id */
    assert_int_equal(membership_all(&roster.members), 31);
}

/* Scenario 29: whoever has left is known by its directory, for as long as there is room. */
static void test_scenario_29_directories_that_have_left_are_remembered(void **state)
{
    (void)state;
    struct graves graves = { 0 };
    struct roster before = { 0 };
    struct roster after = { 0 };
    static const uint8_t nobody[16] = { 0 };
    before.node[0] = (struct roster_node){ .id = 1, .uuid = { 1 } };
    before.node[1] = (struct roster_node){ .id = 2, .uuid = { 2 } };
    before.node[2] = (struct roster_node){ .id = 3 }; /* not met yet */
    after.node[0] = before.node[0];
    after.node[4] = before.node[1]; /* wherever it stands, it is there */
    graves_follow(&graves, &before, &after);
    assert_false(graves_hold(&graves, before.node[1].uuid));
    assert_false(graves_hold(&graves, nobody));
    after.node[4] = (struct roster_node){ .id = 2, .uuid = { 9 } }; /* another one, same id */
    struct roster founders = before;
    memset(founders.node[0].uuid, 0, sizeof founders.node[0].uuid);
    memset(founders.node[1].uuid, 0, sizeof founders.node[1].uuid);
    graves_follow(&graves, &before, &founders); /* whoever made the entry has not met them */
    assert_false(graves_hold(&graves, before.node[0].uuid));
    assert_false(graves_hold(&graves, before.node[1].uuid));
    graves_follow(&graves, &before, &after);
    assert_true(graves_hold(&graves, before.node[1].uuid));
    assert_false(graves_hold(&graves, after.node[4].uuid));
    assert_false(graves_hold(&graves, before.node[0].uuid));
    before = (struct roster){ .node[0] = { .id = 7 } }; /* who was never met has no grave */
    uint32_t next = graves.next;
    graves_follow(&graves, &before, &(struct roster){ 0 });
    assert_int_equal(graves.next, next);
    for (uint32_t i = 0; i < GRAVES_KEPT; i++) {
        before = (struct roster){ 0 };
        before.node[0] = (struct roster_node){ .id = 1, .uuid = { 3, (uint8_t)i } };
        graves_follow(&graves, &before, &after);
    }
    assert_true(graves_hold(&graves, before.node[0].uuid));
    assert_false(graves_hold(&graves, (const uint8_t[16]){ 2 }));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_roster_comes_back),
        cmocka_unit_test(test_the_roster_of_a_partition_comes_back),
        cmocka_unit_test(test_what_a_node_says_of_itself_is_looked_at),
        cmocka_unit_test(test_an_id_may_pass_to_another_directory),
        cmocka_unit_test(test_the_largest_fits),
        cmocka_unit_test(test_a_node_outside_the_sets_is_not_written),
        cmocka_unit_test(test_what_no_node_writes_is_refused),
        cmocka_unit_test(test_every_cut_and_every_longer_one_is_refused),
        cmocka_unit_test(test_nodes_are_found_by_id),
        cmocka_unit_test(test_scenario_29_directories_that_have_left_are_remembered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
