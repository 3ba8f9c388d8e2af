/* What a placement may use (placing.h): members, who of them is away, and who is gone for so long
 * that others take its place. The roster, connections and leases are played. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "node/control_internal.h"
#include "node/peers.h"
#include "node/replica.h"
#include "tests/unit/cluster/put_records.h"

static struct node node;
static struct partition zero;
static struct roster applied, stated; /* the latter may not be decided yet */
static qr_time gone_for[MEMBERS_MAX];
static uint16_t connected;
static uint16_t wire[MEMBERS_MAX];
static struct outlook outlook;

const struct roster *replica_applied_roster(const struct replica *r, qr_slot *slot)
{
    (void)r;
    *slot = 1;
    return &applied;
}

const struct roster *replica_roster(const struct replica *r, qr_slot *slot)
{
    (void)r;
    *slot = 2;
    return &stated;
}

const struct outlook *replica_seen(const struct replica *r)
{
    (void)r;
    return &outlook;
}

node_index replica_me(const struct replica *r)
{
    (void)r;
    return 0;
}

bool peers_connected(const struct peers *peers, node_index peer)
{
    (void)peers;
    return (connected >> peer & 1) != 0;
}

uint16_t peers_wire_version(const struct peers *peers, node_index peer)
{
    (void)peers;
    return wire[peer];
}

qr_time lease_gone_for(const struct node *n, node_index index)
{
    (void)n;
    return gone_for[index];
}

static int begin(void **state)
{
    (void)state;
    memset(&node, 0, sizeof node);
    memset(gone_for, 0, sizeof gone_for);
    node.zero = &zero;
    node.config.replace_after_s = 300;
    applied.members = stated.members = (struct membership){ .voters = 7 };
    connected = 6;
    outlook = (struct outlook){ .members = 3 };
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        wire[i] = WIRE_VERSION_GROUPS;
        outlook.member[i].heard = 1;
    }
    return 0;
}

static void expect(uint16_t members, uint16_t live, uint16_t gone)
{
    struct place_nodes nodes = placing_nodes(&node);
    assert_int_equal(nodes.members, members);
    assert_int_equal(nodes.live, live);
    assert_int_equal(nodes.gone, gone);
}

/* A lease decides and not a connection, which says nothing of what the node believes. */
static void who_has_no_lease_is_away_and_after_a_while_gone(void **state)
{
    (void)state;
    expect(7, 7, 0);
    connected = 2;
    expect(7, 7, 0);
    gone_for[2] = 1;
    expect(7, 3, 0);
    gone_for[2] = 300 * QR_SECOND - 1;
    expect(7, 3, 0);
    gone_for[2] = 300 * QR_SECOND;
    expect(7, 3, 4);
    node.config.replace_after_s = 0; /* nobody is replaced */
    expect(7, 3, 0);
    gone_for[2] = 0;
    expect(7, 7, 0);
}

static void the_leader_is_there(void **state)
{
    (void)state;
    gone_for[0] = 400 * QR_SECOND; /* its own renewals may stand in line */
    expect(7, 7, 0);
}

static void who_knows_no_other_groups_gets_none(void **state)
{
    (void)state;
    wire[1] = WIRE_VERSION_GROUPS - 1;
    expect(7, 5, 0);
    connected = 4; /* of what version it comes back is not known */
    expect(7, 7, 0);
}

static void members_are_those_that_were_and_stay(void **state)
{
    (void)state;
    applied.members.learners = stated.members.learners = node_bit(3);
    applied.members.observers = stated.members.observers = node_bit(4);
    expect(15, 15, 0);
    stated.members.voters = 3; /* one is about to go */
    stated.members.outgoing = 7;
    expect(11, 11, 0);
    stated.members.learners |= node_bit(5); /* and one to come */
    expect(11, 11, 0);
    applied.members = stated.members;
    applied.members.outgoing = node_bit(2);
    expect(node_bit(0) | node_bit(1) | node_bit(3) | node_bit(5), 0x2b, 0);
}

/* Replicas that there are no nodes for come later. */
static void a_keyspace_is_founded_on_what_is_there(void **state)
{
    (void)state;
    struct map_keyspace k = a_keyspace(16, "cart", "", 2, 4);
    struct edit edit = { 0 };
    node.map = map_new();
    k.replicas = 3;
    gone_for[1] = 1;
    struct map_partition refused;
    assert_true(placing_found(&node, &k, &edit, &refused));
    size_t at = 0;
    assert_int_equal(edit.count, 2 * k.partitions);
    for (uint32_t i = 0; i < edit.count; i += 2) {
        struct span value = span_of(edit.bytes + at + edit.length[i], edit.length[i + 1]);
        struct map_partition p;
        assert_int_equal(map_partition_read(2 + i / 2, value, &p), MAP_OK);
        assert_int_equal(p.founders, node_bit(0) | node_bit(2));
        assert_int_equal(p.index, i / 2);
        at += edit.length[i] + edit.length[i + 1];
    }
    edit_free(&edit);
    map_free(node.map);
}

static uint16_t founders_of_one(uint8_t replicas)
{
    struct map_keyspace k = a_keyspace(16, "cart", "", 2, 1);
    struct edit edit = { 0 };
    struct map_partition p;
    k.replicas = replicas;
    struct map_partition refused;
    assert_true(placing_found(&node, &k, &edit, &refused));
    assert_int_equal(edit.count, 2);
    struct span value = span_of(edit.bytes + edit.length[0], edit.length[1]);
    assert_int_equal(map_partition_read(2, value, &p), MAP_OK);
    edit_free(&edit);
    return p.founders;
}

/* L9: each partition has its first view with it. Where its nodes cannot give what ACK says there is
 * none, and it is told which it is. */
static void a_keyspace_with_a_primary_has_successions(void **state)
{
    (void)state;
    struct map_keyspace k = a_keyspace(16, "cart", "", 2, 1);
    struct edit edit = { 0 };
    struct map_partition refused;
    struct succession s;
    node.map = map_new();
    k.strategy = STRATEGY_PRIMARY;
    k.primary = primary_options_default();
    assert_true(placing_found(&node, &k, &edit, &refused));
    assert_int_equal(edit.count, 4);
    size_t before = edit.length[0] + (size_t)edit.length[1];
    assert_int_equal(edit.bytes[before], MAP_RECORD_SUCCESSION);
    assert_int_equal(edit.bytes[before + 4], 2);
    struct span value = span_of(edit.bytes + before + edit.length[2], edit.length[3]);
    assert_int_equal(map_succession_read(value, &s), MAP_OK);
    assert_true(s.term == 1 && s.primary == NODE_NONE && s.rule.members == 7 && s.rule.copies == 1);
    assert_true(s.preferred < 3 && s.duty_count == 0);
    edit_free(&edit);
    struct map_node there = { .id = 3, .zone = "eu" };
    put_node(node.map, 2, &there);
    k.primary.ack = (struct ack){ .kind = ACK_ALL, .zone = "eu" };
    assert_true(placing_found(&node, &k, &edit, &refused));
    edit_free(&edit);
    gone_for[2] = 1; /* so it is placed elsewhere */
    assert_false(placing_found(&node, &k, &edit, &refused));
    assert_true(refused.group == 2 && refused.wish == 3);
    edit_free(&edit);
    map_free(node.map);
}

/* Seeds 1330230, 1330982: whoever founds alone has to be there, or nobody ever will. */
static void who_cannot_found_now_founds_only_where_others_will_not_do(void **state)
{
    (void)state;
    node.map = map_new();
    for (node_index i = 0; i < 3; i++) {
        connected = (uint16_t)(i == 0 ? 0 : node_bit(i)); /* all have their leases */
        uint16_t there = (uint16_t)(1 | connected);
        assert_int_equal(founders_of_one(1) & ~there, 0);
        assert_int_equal(i > 0 ? founders_of_one(2) : there, there);
        assert_int_equal(founders_of_one(3), i > 0 ? 7 : 1); /* the third founds when it comes */
        assert_int_equal(placing_can_found(&node, 2), i > 0);
        assert_int_equal(placing_can_found(&node, 3), i > 0);
        assert_false(placing_can_found(&node, 4));
    }
    outlook.members = 5;
    applied.members = stated.members = (struct membership){ .voters = 31 };
    connected = node_bit(4);
    assert_int_equal(founders_of_one(3), 1 | node_bit(1) | node_bit(4)); /* two that are there */
    outlook.members = 3;
    applied.members = stated.members = (struct membership){ .voters = 7 };
    connected = 6;
    outlook.member[1].forgetful = true;
    assert_int_equal(founders_of_one(2), 5);
    outlook.member[1].forgetful = false;
    outlook.member[2].forgetful = true;
    assert_int_equal(founders_of_one(2), 3);
    assert_int_equal(founders_of_one(3), 7);
    map_free(node.map);
}

/* Behind an election nobody has said yet that it has forgotten. */
static void who_has_not_answered_this_leader_is_not_known_to_remember(void **state)
{
    (void)state;
    node.map = map_new();
    outlook.member[1].heard = 0;
    assert_int_equal(founders_of_one(2), 5);
    assert_int_equal(founders_of_one(3), 7);
    outlook.member[2].heard = 0;
    assert_int_equal(founders_of_one(1), 1);
    assert_false(placing_can_found(&node, 2));
    map_free(node.map);
}

#define CASE(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(who_has_no_lease_is_away_and_after_a_while_gone),
        CASE(the_leader_is_there),
        CASE(who_knows_no_other_groups_gets_none),
        CASE(members_are_those_that_were_and_stay),
        CASE(a_keyspace_is_founded_on_what_is_there),
        CASE(a_keyspace_with_a_primary_has_successions),
        CASE(who_cannot_found_now_founds_only_where_others_will_not_do),
        CASE(who_has_not_answered_this_leader_is_not_known_to_remember),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
