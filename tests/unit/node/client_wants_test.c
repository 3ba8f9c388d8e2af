/* What a client's command asks for beside its operation (node/client_wants.c): WITH comes before
 * CONSISTENCY, and that before what the keyspace gives; and what waits for a current map. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "node/client_wants.h"

#include "node/control.h"
#include "node/node.h"

#define LATE "-TRYAGAIN not applied, its TIMEOUT has passed\r\n"

static struct node node;
static struct client client;
static uint32_t level; /* of the cluster */

static const struct asked nothing;
static const struct command_spec set = { .place = PLACE_WRITE, .first_key = 1 };
static const struct command_spec get = { .place = PLACE_READ, .first_key = 1 };
static const struct command_spec keys = { .place = PLACE_READ };

uint32_t control_level(const struct node *of)
{
    assert_ptr_equal(of, &node);
    return level;
}

static int begin(void **state)
{
    (void)state;
    node = (struct node){ .clock = 5 * QR_SECOND, .holding.current = true };
    node.contact.coverage.knows_until = QR_NEVER;
    node.config.leader_wait_ms = 1000;
    client = (struct client){ .node = &node };
    level = MAP_LEVEL_REQUESTS;
    return 0;
}

static struct asked asks(uint16_t given)
{
    return (struct asked){ .given = given };
}

static struct asked reads(enum read_level read)
{
    return (struct asked){ .given = ASKED_READ, .read.level = (uint8_t)read };
}

/* What is wanted by a command that comes alone, in a keyspace that gives this. */
static const struct wants *wanted(const struct asked *with, const struct map_keyspace *keyspace)
{
    client_want(&client, with);
    client_settle(&client, keyspace);
    return &client.stream.wants;
}

static void assert_usual(const struct wants *w)
{
    static const struct wants usual;
    assert_true(w->level == usual.level && w->group == 0 && w->least == 0 && w->bound == 0);
    assert_false(w->bound_is_operations || w->each_zone || w->meta);
    assert_true(w->expires == 0 && w->window == 0 && w->pin == 0 && !w->session);
}

static void test_who_asks_for_nothing_gets_what_every_command_gets(void **state)
{
    (void)state;
    static const struct map_keyspace none;
    assert_usual(wanted(&nothing, NULL));
    assert_usual(wanted(&nothing, &none));
    client.pin = 17;
    assert_int_equal(wanted(&nothing, &none)->pin, 17);
    struct asked meta = asks(ASKED_META);
    assert_int_equal(wanted(&meta, &none)->pin, 17);
}

/* Else a command would have what the one before it has asked for. */
static void test_nothing_stays_of_the_command_before(void **state)
{
    (void)state;
    static const struct map_keyspace none,
        quick = { .read.level = READ_LOCAL, .ack_kind = ACK_EACH_ZONE };
    struct asked all = reads(READ_SESSION);
    all.given = 0x1ff;
    all.timeout_ms = all.window_ms = 7;
    all.ack.kind = ACK_EACH_ZONE;
    (void)wanted(&all, &none);
    assert_true(client.has_token && client.window_ms == 7);
    assert_usual(wanted(&nothing, &none));
    assert_false(client.has_token || client.window_ms != 0);
    (void)wanted(&nothing, &quick);
    assert_usual(wanted(&nothing, &none));
    (void)wanted(&nothing, &quick);
    assert_usual(wanted(&nothing, NULL));
}

/* Of two keyspaces the last counts: at cluster port the selected one is looked at before the one
 * that a prefix leads to. */
static void test_a_keyspace_takes_nothing_over_from_another(void **state)
{
    (void)state;
    static const struct map_keyspace none,
        quick = { .read = { .level = READ_BOUNDED, .bound = 9 }, .ack_kind = ACK_EACH_ZONE };
    const struct wants *w = wanted(&nothing, &quick);
    assert_true(w->level == READ_BOUNDED && w->bound == 9 * QR_MILLISECOND && w->each_zone);
    client_settle(&client, &none);
    assert_usual(w);
    static const struct map_keyspace far = { .ack_kind = ACK_EACH_ZONE },
                                     local = { .read.level = READ_LOCAL };
    (void)wanted(&nothing, &far);
    client_settle(&client, &none);
    assert_usual(w);
    (void)wanted(&nothing, &local);
    client_settle(&client, &none);
    assert_usual(w);
    client_settle(&client, &quick);
    client_settle(&client, NULL); /* it is not there */
    assert_int_equal(w->level, READ_BOUNDED);
}

static void test_with_comes_before_consistency_and_that_before_the_keyspace_G16(void **state)
{
    (void)state;
    static const struct map_keyspace quick = { .read.level = READ_LOCAL };
    struct asked leader = reads(READ_LEADER), bounded = reads(READ_BOUNDED);
    assert_int_equal(wanted(&nothing, &quick)->level, READ_LOCAL);
    client.asked = leader;
    assert_int_equal(wanted(&nothing, &quick)->level, READ_LEADER);
    assert_int_equal(wanted(&bounded, &quick)->level, READ_BOUNDED);
    client.asked = reads(READ_LINEARIZABLE); /* said, though it is what every read gets */
    assert_int_equal(wanted(&nothing, &quick)->level, READ_LINEARIZABLE);
    client.asked = asks(ASKED_TIMEOUT);
    assert_int_equal(wanted(&nothing, &quick)->level, READ_LOCAL);
    struct asked meta = asks(ASKED_META);
    assert_int_equal(wanted(&meta, &quick)->level, READ_LOCAL);
}

static void test_acks_by_who_has_said_so_last_U2(void **state)
{
    (void)state;
    static const struct map_keyspace none, far = { .ack_kind = ACK_EACH_ZONE };
    struct asked each = asks(ASKED_ACK), majority = asks(ASKED_ACK);
    each.ack.kind = ACK_EACH_ZONE;
    assert_true(wanted(&each, &none)->each_zone);
    assert_true(wanted(&nothing, &far)->each_zone);
    assert_false(wanted(&majority, &far)->each_zone);
    client.asked = each;
    assert_true(wanted(&nothing, &none)->each_zone);
    assert_false(wanted(&majority, &none)->each_zone);
    client.asked = majority;
    assert_false(wanted(&nothing, &far)->each_zone);
    assert_true(wanted(&each, &none)->each_zone);
    client.asked = reads(READ_LOCAL);
    assert_true(wanted(&nothing, &far)->each_zone);
}

static void test_parameters_of_levels(void **state)
{
    (void)state;
    for (uint8_t i = 0; i < READ_LEVELS; i++) {
        struct asked level_alone = reads((enum read_level)i);
        assert_int_equal(wanted(&level_alone, NULL)->level, i);
        assert_int_equal(client.stream.wants.session, i == READ_SESSION);
    }
    struct asked with = reads(READ_BOUNDED);
    with.read.bound = 20;
    with.read.group = 3;
    const struct wants *w = wanted(&with, NULL);
    assert_true(w->bound == 20 * QR_MILLISECOND && !w->bound_is_operations);
    assert_true(w->group == 0 && w->least == 0 && !w->session && w->window == 0);
    with.read.by_ops = true;
    (void)wanted(&with, NULL);
    assert_true(w->bound == 20 && w->bound_is_operations);
    with.read.level = READ_SNAPSHOT;
    (void)wanted(&with, NULL);
    assert_true(w->bound == 0 && !w->bound_is_operations && w->group == 3 && w->least == 20);
    assert_false(w->session);
}

static void test_a_leader_window_is_for_reads_of_a_session_G7(void **state)
{
    (void)state;
    static const struct map_keyspace sessions = { .read.level = READ_SESSION };
    struct asked with = reads(READ_SESSION);
    client.asked = asks(ASKED_LEADERWINDOW);
    client.asked.window_ms = 60000;
    const struct wants *w = wanted(&with, NULL);
    assert_true(w->session && w->window == 60 * QR_SECOND);
    with.given |= ASKED_LEADERWINDOW;
    with.window_ms = 1;
    (void)wanted(&with, NULL);
    assert_int_equal(w->window, QR_MILLISECOND);
    (void)wanted(&nothing, &sessions);
    assert_true(w->session && w->window == 60 * QR_SECOND);
    struct asked local = reads(READ_LOCAL);
    (void)wanted(&local, NULL);
    assert_true(!w->session && w->window == 0);
}

/* It is about what the session has seen; what was asked for beyond that stays. */
static void test_a_token_asks_for_reads_of_its_session_at_least(void **state)
{
    (void)state;
    static const struct map_keyspace quick = { .read.level = READ_LOCAL };
    static const struct {
        enum read_level own, expected;
    } cases[] = {
        { READ_LOCAL, READ_SESSION },
        { READ_PREFIX, READ_SESSION },
        { READ_SNAPSHOT, READ_SESSION },
        { READ_SESSION, READ_SESSION },
        { READ_BOUNDED, READ_BOUNDED },
        { READ_LEADER, READ_LEADER },
        { READ_LINEARIZABLE, READ_LINEARIZABLE },
    };
    struct asked with = asks(ASKED_SESSION);
    const struct wants *w = wanted(&with, &quick);
    assert_true(w->level == READ_SESSION && w->session && client.has_token);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        client.asked = reads(cases[i].own);
        (void)wanted(&with, &quick);
        assert_int_equal(w->level, cases[i].expected);
        assert_true(w->session);
    }
    with = reads(READ_LEADER);
    with.given |= ASKED_SESSION;
    client.asked = reads(READ_LOCAL);
    (void)wanted(&with, &quick);
    assert_true(w->level == READ_LEADER && w->session);
    client.asked = nothing;
    with = asks(ASKED_SESSION | ASKED_ACK);
    assert_int_equal(wanted(&with, &quick)->level, READ_SESSION);
}

static void test_time_counts_from_when_the_command_was_read(void **state)
{
    (void)state;
    struct asked with = asks(ASKED_TIMEOUT);
    with.timeout_ms = 30;
    client.asked = asks(ASKED_TIMEOUT);
    client.asked.timeout_ms = 70;
    struct asked meta = asks(ASKED_META), leader = reads(READ_LEADER);
    const struct wants *w = wanted(&nothing, NULL);
    assert_int_equal(w->expires, node.clock + 70 * QR_MILLISECOND);
    (void)wanted(&with, NULL);
    assert_int_equal(w->expires, node.clock + 30 * QR_MILLISECOND);
    client.held_since = 2 * QR_SECOND; /* it was held since */
    (void)wanted(&with, NULL);
    assert_int_equal(w->expires, 2 * QR_SECOND + 30 * QR_MILLISECOND);
    client.asked = nothing;
    assert_true(wanted(&meta, NULL)->meta);
    assert_int_equal(w->expires, 0);
    assert_false(wanted(&leader, NULL)->meta);
}

static const char *refusal(const struct command_spec *spec)
{
    static char text[400];
    struct reply reply;
    client_refusal *write = client_refuses_id(&client, spec);
    if (write == NULL) {
        return "";
    }
    reply_init(&reply, 2);
    write(&reply, NULL, 0);
    assert_true(reply.n < sizeof text);
    memcpy(text, reply.p, reply.n);
    text[reply.n] = 0;
    reply_free(&reply);
    assert_non_null(strstr(text, "not applied"));
    return text;
}

/* --- Before the map is current --------------------------------------------------------------- */

static void test_scenario_69_by_an_old_map_nothing_is_read_more_weakly(void **state)
{
    (void)state;
    static const struct map_keyspace quick = { .read = { .level = READ_BOUNDED, .bound = 9 } };
    struct asked meta = asks(ASKED_META), local = reads(READ_LOCAL);
    node.holding.current = false;
    const struct wants *w = wanted(&nothing, &quick);
    assert_true(w->level == READ_LINEARIZABLE && w->bound == 0);
    (void)wanted(&meta, &quick);
    assert_int_equal(w->level, READ_LINEARIZABLE);
    (void)wanted(&local, &quick); /* said, so the map does not matter */
    assert_int_equal(w->level, READ_LOCAL);
}

/* Cut off from group 0 for long, it knows as little as one that was started just now. */
static void test_what_was_heard_long_ago_counts_no_more_V5(void **state)
{
    (void)state;
    static const struct map_keyspace quick = { .read.level = READ_LOCAL };
    node.contact.coverage.knows_until = node.clock + 1;
    assert_int_equal(wanted(&nothing, &quick)->level, READ_LOCAL);
    assert_false(client_is_unsure_of_ack(&client, &set) || client_awaits_map(&client, &set));
    node.clock++;
    assert_int_equal(wanted(&nothing, &quick)->level, READ_LINEARIZABLE);
    assert_true(client_is_unsure_of_ack(&client, &set) && client_awaits_map(&client, &set));
    assert_memory_equal(refusal(&set), "-CLUSTERDOWN this node has not heard", 36);
}

/* What is said with the command, or all there is, is not in doubt. */
static void test_by_an_old_map_it_is_not_known_what_a_write_needs(void **state)
{
    (void)state;
    static const struct map_keyspace none, far = { .ack_kind = ACK_EACH_ZONE };
    struct asked meta = asks(ASKED_META), majority = asks(ASKED_ACK);
    (void)wanted(&meta, &none);
    assert_false(client_is_unsure_of_ack(&client, &set));
    node.holding.current = false;
    (void)wanted(&nothing, NULL);
    assert_true(client_is_unsure_of_ack(&client, &set));
    assert_false(client_is_unsure_of_ack(&client, &get));
    (void)wanted(&meta, &none);
    assert_true(client_is_unsure_of_ack(&client, &set));
    client_settle_laden(&client, &get);
    assert_false(client.stream.wants.each_zone);
    client_settle_laden(&client, &set); /* it cannot be held, and gets all there is */
    assert_true(client.stream.wants.each_zone);
    (void)wanted(&nothing, &far);
    assert_false(client_is_unsure_of_ack(&client, &set));
    (void)wanted(&majority, &none);
    assert_false(client_is_unsure_of_ack(&client, &set));
    client_settle_laden(&client, &set);
    assert_false(client.stream.wants.each_zone);
    client.asked = majority;
    (void)wanted(&nothing, &none);
    assert_false(client_is_unsure_of_ack(&client, &set));
    client.asked = nothing;
    (void)wanted(&nothing, &none);
    node.removed = true; /* the router says so, for good */
    assert_false(client_is_unsure_of_ack(&client, &set));
}

static const char *ack_refusal(void)
{
    static char text[400];
    struct reply reply;
    reply_init(&reply, 2);
    client_refuses_ack (&client)(&reply, NULL, 0);
    assert_true(reply.n < sizeof text);
    memcpy(text, reply.p, reply.n);
    text[reply.n] = 0;
    reply_free(&reply);
    return text;
}

static void test_such_a_write_waits_as_long_as_it_may(void **state)
{
    (void)state;
    (void)wanted(&nothing, NULL);
    node.holding.current = false;
    assert_true(client_awaits_ack(&client));
    node.clock += QR_SECOND - 1;
    assert_true(client_awaits_ack(&client));
    node.clock++;
    assert_false(client_awaits_ack(&client));
    assert_non_null(strstr(ack_refusal(), "-CLUSTERDOWN "));
    assert_non_null(strstr(ack_refusal(), "the command was not applied"));
    assert_int_equal(node.stats.clusterdown, 2);
    client.held_since = 0;
    client.last_active = node.clock; /* the next one comes */
    client.stream.wants.expires = node.clock + 1;
    assert_true(client_awaits_ack(&client));
    node.clock++;
    assert_false(client_awaits_ack(&client));
    assert_string_equal(ack_refusal(), LATE);
    assert_int_equal(node.stats.clusterdown, 2);
}

static void test_a_write_with_an_id_waits_for_the_map_as_long_as_it_may(void **state)
{
    (void)state;
    (void)wanted(&nothing, NULL);
    assert_false(client_awaits_map(&client, &set));
    assert_int_equal(client.held_since, 0);
    node.holding.current = false;
    assert_false(client_awaits_map(&client, &get)); /* it is refused */
    assert_true(client_awaits_map(&client, &set));
    assert_int_equal(client.held_since, node.clock);
    node.clock += QR_SECOND - 1;
    assert_true(client_awaits_map(&client, &set));
    node.clock++;
    assert_false(client_awaits_map(&client, &set));
    client.held_since = 0;
    client.last_active = node.clock; /* the next one comes */
    client.stream.wants.expires = node.clock + 10;
    assert_true(client_awaits_map(&client, &set));
    node.clock += 9;
    assert_true(client_awaits_map(&client, &set));
    node.clock++;
    assert_false(client_awaits_map(&client, &set));
}

static void test_why_a_command_has_no_id(void **state)
{
    (void)state;
    assert_string_equal(refusal(&set), "");
    level = MAP_LEVEL_REQUESTS - 1;
    assert_memory_equal(refusal(&set), "-UPGRADE ", 9);
    node.identity.level = MAP_LEVEL_REQUESTS; /* a new cluster, before its first order */
    assert_memory_equal(refusal(&set), "-CLUSTERDOWN ", 13);
    assert_true(client_awaits_map(&client, &set));
    node.identity.level = level;
    assert_memory_equal(refusal(&set), "-UPGRADE ", 9);
    assert_false(client_awaits_map(&client, &set));
    node.holding.current = false; /* then that is not known */
    assert_memory_equal(refusal(&set), "-CLUSTERDOWN ", 13);
    client.stream.wants.expires = node.clock + 1; /* leader-wait was over before */
    assert_memory_equal(refusal(&set), "-CLUSTERDOWN ", 13);
    node.clock++;
    assert_string_equal(refusal(&set), LATE);
    client.stream.wants.expires = 0;
    assert_true(client_awaits_map(&client, &set));
    node.removed = true; /* it never will, and the router says so */
    assert_false(client_awaits_map(&client, &set));
    assert_string_equal(refusal(&set), "");
    assert_memory_equal(refusal(&get), "-ERR IDMP is for commands that write", 36);
}

static void test_who_wants_no_key_as_of_a_position(void **state)
{
    (void)state;
    struct asked with = reads(READ_SNAPSHOT), local = reads(READ_LOCAL);
    (void)wanted(&with, NULL);
    assert_true(client_wants_no_key(&client, &keys));
    assert_false(client_wants_no_key(&client, &get));
    static const struct command_spec flush = { .place = PLACE_WRITE };
    assert_false(client_wants_no_key(&client, &flush));
    (void)wanted(&local, NULL);
    assert_false(client_wants_no_key(&client, &keys));
}

#define TEST(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_who_asks_for_nothing_gets_what_every_command_gets),
        TEST(test_nothing_stays_of_the_command_before),
        TEST(test_a_keyspace_takes_nothing_over_from_another),
        TEST(test_with_comes_before_consistency_and_that_before_the_keyspace_G16),
        TEST(test_acks_by_who_has_said_so_last_U2),
        TEST(test_parameters_of_levels),
        TEST(test_a_leader_window_is_for_reads_of_a_session_G7),
        TEST(test_a_token_asks_for_reads_of_its_session_at_least),
        TEST(test_time_counts_from_when_the_command_was_read),
        TEST(test_scenario_69_by_an_old_map_nothing_is_read_more_weakly),
        TEST(test_what_was_heard_long_ago_counts_no_more_V5),
        TEST(test_by_an_old_map_it_is_not_known_what_a_write_needs),
        TEST(test_such_a_write_waits_as_long_as_it_may),
        TEST(test_a_write_with_an_id_waits_for_the_map_as_long_as_it_may),
        TEST(test_why_a_command_has_no_id),
        TEST(test_who_wants_no_key_as_of_a_position),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
