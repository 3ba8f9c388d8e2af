/* The level of the cluster (order_cluster.c; R9): who raises it, how far and when, and what a node
 * does about the level that it hears of. Streams and records are real; the roster, what members
 * say that they know, and the log are played. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "node/control_internal.h"
#include "node/local_internal.h"
#include "node/orders.h"
#include "node/peers.h"
#include "node/replica.h"
#include "node/run.h"
#include "played_node.h"
#include "tests/unit/cluster/put_records.h"

static struct node *node;
static struct partition zero;
static struct roster roster;
static uint32_t knows[MEMBERS_MAX]; /* as told; of node 0, this one: its version's */
static uint16_t connected;
static bool leads, may_begin;
static uint32_t proposed, own, noted; /* changes; levels written into the directory */
static int disk;                      /* errno */

static struct client_side {
    struct stream stream;
    struct reply out;
} client;

/* --- The rest of the node -------------------------------------------------------------------- */

void node_fail(struct node *n, const char *reason)
{
    (void)reason;
    n->failed = true;
}

void node_disk_failed(struct node *n, const char *what, int error)
{
    (void)what;
    assert_int_equal(error, disk);
    n->failed = true;
}

void node_log(struct node *n, enum node_log_level level, const char *format, ...)
{
    (void)n, (void)level, (void)format;
}

uint32_t control_level(const struct node *n)
{
    return map_settings(n->map)->level;
}

uint32_t control_level_known(const struct node *n)
{
    (void)n;
    return knows[0];
}

int identity_level(struct io *io, struct identity *identity, uint32_t level)
{
    (void)io;
    noted++;
    identity->level = disk == 0 ? level : identity->level;
    return disk;
}

node_index replica_me(const struct replica *r)
{
    (void)r;
    return 0;
}

bool replica_leads(const struct replica *r)
{
    (void)r;
    return leads;
}

const struct roster *replica_applied_roster(const struct replica *r, qr_slot *slot)
{
    (void)r;
    *slot = 1;
    return &roster;
}

bool peers_connected(const struct peers *peers, node_index peer)
{
    (void)peers;
    return (connected >> peer & 1) != 0;
}

uint32_t reports_level(const struct node *n, node_index index)
{
    (void)n;
    assert_int_not_equal(index, 0);
    return knows[index];
}

bool control_begins(struct node *n, struct pending *p)
{
    (void)n, (void)p;
    return may_begin;
}

/* The records of an edit, as they come back from the log. */
static void decide(const struct edit *edit)
{
    size_t at = 0;
    for (uint32_t i = 0; i < edit->count; i += 2) {
        struct span key = span_of(edit->bytes + at, edit->length[i]);
        struct span value = span_of(edit->bytes + at + key.n, edit->length[i + 1]);
        at += key.n + value.n;
        assert_int_equal(map_put(node->map, key, value), MAP_OK);
    }
}

void control_propose(struct node *n, struct pending *p, struct edit *edit, uint32_t keyspace)
{
    (void)n;
    assert_int_equal(keyspace, 0);
    proposed++;
    decide(edit);
    edit_free(edit);
    orders_refuse(p, "OK");
}

bool control_propose_own(struct node *n, struct edit *edit)
{
    (void)n;
    own++;
    decide(edit);
    edit_free(edit);
    return true;
}

const struct roster_node *local_member(const struct node *n, uint32_t index)
{
    (void)n;
    return &roster.node[index];
}

/* --- A cluster of level 2 --------------------------------------------------------------------- */

static struct reply *begin_reply(struct stream *stream, struct pending *p)
{
    (void)stream, (void)p;
    return &client.out;
}

static void end_reply(struct stream *stream, struct pending *p, enum qr_status status)
{
    (void)stream, (void)p, (void)status;
}

static int begin(void **state)
{
    (void)state;
    node = played_node();
    node->map = map_new();
    memset(&zero, 0, sizeof zero);
    memset(&roster, 0, sizeof roster);
    memset(knows, 0, sizeof knows);
    zero.node = node;
    node->zero = &zero;
    node->identity.level = 2;
    stream_init(&client.stream, node, STREAM_CLIENT);
    client.stream.begin_reply = begin_reply;
    client.stream.end_reply = end_reply;
    reply_init(&client.out, 2);
    struct map_settings s = { .level = 2, .next_group = 40, .balancing = true, .rate = 5 };
    put_settings(node->map, &s);
    for (node_index i = 0; i < 3; i++) {
        roster.node[i].id = i + 1u;
        knows[i] = 3;
    }
    roster.members.voters = 7;
    connected = 6;
    leads = may_begin = true;
    proposed = own = noted = 0;
    disk = 0;
    return 0;
}

static int end(void **state)
{
    (void)state;
    stream_detach(&client.stream);
    reply_free(&client.out);
    map_free(node->map);
    played_node_free(node);
    return 0;
}

static const char *upgrade(const char *word)
{
    static char said[1024];
    struct span argument = span_of((const uint8_t *)word, strlen(word));
    reply_reset(&client.out);
    struct pending *p = stream_push(&client.stream, NULL, 2, node->clock);
    order_cmd_CLUSTER_UPGRADE(node, p, &argument, 1);
    assert_in_range(client.out.n, 0, sizeof said - 1);
    memcpy(said, client.out.p, client.out.n);
    said[client.out.n] = 0;
    return said;
}

static void expect_refusal(const char *why)
{
    assert_non_null(strstr(upgrade("FINALIZE"), why));
    assert_int_equal(proposed, 0);
    assert_int_equal(control_level(node), 2);
}

/* --- FINALIZE -------------------------------------------------------------------------------- */

static void the_level_that_all_know_is_raised_and_nothing_else_changes(void **state)
{
    (void)state;
    knows[0] = 4; /* the leader's version is of after the one that all have */
    assert_non_null(strstr(upgrade("STATUS"), "can_finalize\r\n$3\r\nyes"));
    (void)upgrade("FINALIZE");
    assert_int_equal(proposed, 1);
    const struct map_settings *s = map_settings(node->map);
    assert_int_equal(s->level, 3);
    assert_true(s->next_group == 40 && s->balancing && s->rate == 5);
    assert_non_null(strstr(upgrade("STATUS"), "can_finalize\r\n$2\r\nno"));
    assert_non_null(strstr(upgrade("FINALIZE"), "ERR level 3 is active"));
    assert_int_equal(proposed, 1);
}

static void two_levels_are_raised_at_once(void **state)
{
    (void)state;
    knows[0] = knows[1] = knows[2] = 4;
    (void)upgrade("FINALIZE");
    assert_int_equal(control_level(node), 4);
}

static void a_member_of_any_kind_that_cannot_take_part_is_named(void **state)
{
    (void)state;
    knows[2] = 2;
    expect_refusal("ERR level 2 is active and there is no higher one");
    knows[2] = 1;
    expect_refusal("UNSAFE node 3");
    roster.members = (struct membership){ .voters = 3, .learners = 4 };
    expect_refusal("UNSAFE node 3");
    roster.members = (struct membership){ .voters = 3, .observers = 4 };
    expect_refusal("UNSAFE node 3");
    knows[2] = 3;
    connected = 4; /* what it told before it went away may be of another version than its next */
    expect_refusal("UNSAFE node 2");
    assert_non_null(strstr(upgrade("STATUS"), "all_know\r\n:0\r\n"));
    connected = 6;
    knows[0] = 2; /* it leads, and it would be the first to stop */
    expect_refusal("ERR level 2 is active and there is no higher one");
    roster.node[1].id = 0; /* removed: nobody waits for it */
    knows[0] = 3;
    knows[1] = 0;
    (void)upgrade("FINALIZE");
    assert_int_equal(control_level(node), 3);
}

static void nothing_is_judged_before_its_turn(void **state)
{
    (void)state;
    assert_non_null(strstr(upgrade("NOW"), "syntax error"));
    may_begin = false;
    client.out.n = 0;
    stream_push(&client.stream, NULL, 2, node->clock);
    struct span argument = span_of((const uint8_t *)"FINALIZE", 8);
    order_cmd_CLUSTER_UPGRADE(node, client.stream.first, &argument, 1);
    assert_int_equal(client.out.n, 0);
    assert_int_equal(proposed, 0);
}

/* --- Following ------------------------------------------------------------------------------- */

static void a_level_is_noted_down_by_leaders_and_followers(void **state)
{
    (void)state;
    knows[0] = 3;
    for (int i = 0; i < 2; i++) {
        leads = i == 0;
        node->identity.level = 1;
        control_follow_level(node);
        assert_int_equal(node->identity.level, 2);
        assert_int_equal(noted, 1 + i);
        assert_false(node->failed);
    }
    assert_int_equal(own, 0);
    node->identity.level = 1;
    disk = 28;
    control_follow_level(node);
    assert_true(node->failed);
}

static void who_does_not_know_the_level_ends(void **state)
{
    (void)state;
    knows[0] = 1;
    node->identity.level = 1;
    control_follow_level(node);
    assert_true(node->failed);
    assert_int_equal(noted, 0); /* it may serve elsewhere by what it has written */
    assert_int_equal(own, 0);
}

/* Its records say nothing yet; its directories were made with a level. */
static void a_new_cluster_has_the_level_of_its_directories(void **state)
{
    (void)state;
    map_reset(node->map);
    assert_int_equal(control_level(node), MAP_LEVEL_FIRST);
    leads = false;
    control_follow_level(node);
    assert_int_equal(own, 0);
    leads = true;
    control_follow_level(node);
    assert_int_equal(own, 1);
    assert_int_equal(control_level(node), 2); /* and not 3, which this version knows */
    assert_int_equal(noted, 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(the_level_that_all_know_is_raised_and_nothing_else_changes),
        CASE(two_levels_are_raised_at_once),
        CASE(a_member_of_any_kind_that_cannot_take_part_is_named),
        CASE(nothing_is_judged_before_its_turn),
        CASE(a_level_is_noted_down_by_leaders_and_followers),
        CASE(who_does_not_know_the_level_ends),
        CASE(a_new_cluster_has_the_level_of_its_directories),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
