/* What stands with a client's command, and what becomes of it then (node/client_commands.c): WITH
 * and its options, sessions and their tokens, ids, large arguments, cluster-port. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "commands_world.h"

#include "base/limits.h"
#include "node/session.h"
#include "tests/unit/cluster/put_records.h"

#define NOT_APPLIED ", the command was not applied\r\n"

/* --- WITH ----------------------------------------------------------------------------------- */

static void test_options_are_of_the_command_that_they_stand_with_G16(void **state)
{
    (void)state;
    struct sent *s = goes("with 4 read local timeout 70 get a");
    assert_string_equal(s->words, "get a");
    assert_true(s->wants.level == READ_LOCAL &&
                s->wants.expires == node.clock + 70 * QR_MILLISECOND);
    s = goes("get a");
    assert_true(s->wants.level == READ_LINEARIZABLE && s->wants.expires == 0);
    assert_false(s->has_id || s->has_token);
    keyspace_gives(0, READ_PREFIX, ACK_EACH_ZONE); /* also where all goes one way */
    s = goes("get a");
    assert_true(s->wants.level == READ_PREFIX && s->wants.each_zone);
    keyspace_gives(16, READ_LEADER, ACK_MAJORITY);
    s = goes("get cart:a");
    assert_true(s->wants.level == READ_LEADER && !s->wants.each_zone);
    s = goes("with 2 read linearizable get cart:a");
    assert_int_equal(s->wants.level, READ_LINEARIZABLE);
    put_erased(node.map, MAP_RECORD_KEYSPACE, 16);
    assert_int_equal(goes("get a")->wants.level, READ_PREFIX);
}

static void test_the_same_options_again_are_known_by_their_bytes(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        struct sent *s = goes("with 2 read local get a");
        assert_int_equal(s->wants.level, READ_LOCAL);
        assert_string_equal(s->words, "get a");
        assert_int_equal(me->parser.skipped, i > 0);
    }
    assert_int_equal(goes("get a")->wants.level, READ_LINEARIZABLE);
    answer_all();
    SAYS_ERROR("with 2 read local nosuch", "ERR unknown command 'nosuch'");
    assert_int_equal(goes("with 2 read prefix get a")->wants.level, READ_PREFIX);
    assert_int_equal(goes("with 2 read leader get a")->wants.level, READ_LEADER);
    assert_int_equal(goes("with 2 read leader set a b")->wants.level, READ_LEADER);
    /* What points into the words is read each time. */
    struct token token = { .count = 1, .places = { { .group = 0, .slot = 9 } } };
    char line[600];
    for (uint32_t i = 0; i < 2; i++) {
        assert_string_equal(goes("with 3 idmp p 1 incr a")->iid, "1");
        assert_false(me->parser.skipped);
        assert_int_equal(goes("with 2 ks cart get a")->wants.level, READ_LINEARIZABLE);
        assert_false(me->parser.skipped);
        (void)snprintf(line, sizeof line, "with 2 session %s get a", token_of(&token));
        assert_int_equal(goes(line)->wants.least, 9);
        assert_false(me->parser.skipped);
    }
}

static void test_long_options_are_not_kept(void **state)
{
    (void)state;
    const char *of_96_bytes = "with 6 read session leaderwindow 6000s timeout 3600000 get a",
               *of_97_bytes = "with 6 read session leaderwindow 60000s timeout 3600000 get a";
    goes(of_96_bytes);
    goes(of_96_bytes);
    assert_true(me->parser.skipped);
    assert_int_equal(last()->wants.window, 6000 * QR_SECOND);
    goes(of_97_bytes);
    goes(of_97_bytes);
    assert_false(me->parser.skipped);
    assert_int_equal(last()->wants.window, 60000 * QR_SECOND);
    memcpy(me->input, "with 2 read local get a\r\n", 25); /* inline: its words lie elsewhere */
    me->input_n = 25;
    SAYS("with 2 read local get a\nwith 2 read local get a", "");
    assert_int_equal(last()->wants.level, READ_LOCAL);
}

static void test_with_that_makes_no_sense_is_refused_and_nothing_applied(void **state)
{
    (void)state;
    SAYS_ERROR("with 1 foo set a 1",
               "ERR syntax error: unknown option 'foo', the command was not applied");
    SAYS_ERROR("with 0 set a 1", "ERR syntax error: WITH begins with how many words");
    SAYS_ERROR("with 2 read local", "ERR syntax error: no command follows");
    SAYS_ERROR("with 2 read causal set a 1", "LEVEL strategy raft does not give");
    SAYS_ERROR("with 4 read local read leader set a 1", "ERR syntax error: 'read' stands twice");
}

static void test_a_with_in_a_with_is_refused_each_time(void **state)
{
    (void)state;
    const char *refusal = "ERR syntax error: WITH stands inside of WITH" NOT_APPLIED;
    SAYS_ERROR("with 2 read local with 2 read leader get a", refusal);
    goes("with 2 read local get a");
    answer_all();
    SAYS_ERROR("with 2 read local with 2 read leader get a", refusal);
    assert_true(me->parser.skipped);
    SAYS_ERROR("with 2 read local with 1 meta get a", refusal);
    assert_int_equal(goes("with 2 read local get a")->wants.level, READ_LOCAL);
}

static void test_meta_is_of_commands_on_keys(void **state)
{
    (void)state;
    SAYS_ERROR("with 1 meta ping",
               "ERR META tells of commands on keys: this one is the connection's own, and was not "
               "carried out\r\n");
    SAYS_ERROR("with 1 meta select cart", "ERR META tells");
    assert_int_equal(me->selected.keyspace, 0);
    goes("with 1 meta get a");
    assert_true(sent[0].wants.meta);
    SAYS("ping\nget", ""); /* refused, and the connection's own: as they always are */
    answers(&sent[0], "A");
    SAYS(
        "",
        "*2\r\n+A\r\n*8\r\n$8\r\nposition\r\n$-1\r\n$7\r\nreplica\r\n$-1\r\n$12\r\nstaleness_ms\r\n"
        "$-1\r\n$8\r\nreplayed\r\n:0\r\n+PONG\r\n-ERR wrong number of arguments for 'get' "
        "command\r\n");
}

static void test_a_read_as_of_a_position_has_keys(void **state)
{
    (void)state;
    SAYS_ERROR("with 2 read snapshot:0-7 keys *",
               "ERR READ snapshot is for commands with keys: this one looks at all of them, the "
               "command was not applied\r\n");
    goes("with 2 read snapshot:0-7 get a");
    goes("with 2 read snapshot:0-7 flushall");
}

/* --- KS ------------------------------------------------------------------------------------- */

static void test_ks_is_for_one_command_G16(void **state)
{
    (void)state;
    SAYS("select 3", "+OK\r\n");
    struct sent *s = goes("with 2 ks cart get a");
    assert_true(s->partition != &zero && s->partition != NULL && !s->by_prefix);
    s = goes("with 2 ks 16 dbsize");
    assert_true(s->partition == NULL && s->keyspace == 16);
    s = goes("get a");
    assert_true(s->partition == &zero && s->db == 3);
    s = goes("with 2 ks 5 get a");
    assert_true(s->partition == &zero && s->db == 5);
    keyspace_gives(16, READ_LOCAL, ACK_EACH_ZONE);
    s = goes("with 2 ks cart set a 1");
    assert_true(s->wants.each_zone && s->wants.level == READ_LOCAL);
    assert_false(goes("set a 1")->wants.each_zone);
    answer_all();
    SAYS_ERROR("with 2 ks nosuch set a 1",
               "ERR KS names no keyspace that there is, the command was not applied\r\n");
    SAYS_ERROR("with 2 ks cart nosuch", "ERR unknown command 'nosuch'");
    SAYS_ERROR("with 2 ks cart ping",
               "ERR KS is for commands on keys: this one is the connection's own, and was not "
               "carried out\r\n");
    SAYS_ERROR("with 2 ks cart select 4", "ERR KS is for");
    SAYS("ping", "+PONG\r\n"); /* nothing of it stays */
    assert_int_equal(me->selected.db, 3);
    node.holding.current = false;
    SAYS_ERROR("with 2 ks nosuch set a 1", "LOADING this node has just started");
}

static void test_ks_while_its_command_waits(void **state)
{
    (void)state;
    SAYS("select cart", "+OK\r\n");
    node.contact.coverage.until = 0;
    SAYS("with 2 ks 0 set cart:a 1", "");
    assert_true(is_held());
    assert_int_equal(me->selected.keyspace, 16);
    node.contact.coverage.until = FAR;
    SAYS("", "");
    assert_true(last()->by_prefix);
    goes("get a");
    assert_false(last()->by_prefix);
}

/* --- Ids ------------------------------------------------------------------------------------ */

static void test_an_id_is_of_its_own_command(void **state)
{
    (void)state;
    struct sent *s = goes("with 3 idmp web-1 0007 incr a");
    assert_true(s->has_id);
    assert_string_equal(s->pid, "web-1");
    assert_string_equal(s->iid, "0007");
    assert_false(goes("incr a")->has_id);
    s = goes("with 5 idmp web-1 0008 ks cart incr a");
    assert_true(s->has_id && s->partition != &zero);
    answer_all();
    SAYS_ERROR("with 3 idmp p 1 get a", "ERR IDMP is for commands that write keys" NOT_APPLIED);
    SAYS_ERROR("with 3 idmp p 1 ping", "ERR IDMP is for commands that write keys" NOT_APPLIED);
    SAYS_ERROR("with 5 idmp p 1 ks cart flushdb",
               "ERR IDMP is for commands of one partition" NOT_APPLIED);
    SAYS_ERROR("with 3 idmp p 1 nosuch", "ERR unknown command");
    assert_true(goes("with 3 idmp p 1 flushdb")->has_id);
}

static void test_an_id_waits_for_a_node_that_was_started_just_now(void **state)
{
    (void)state;
    node.holding.current = false;
    SAYS("with 3 idmp p 1 incr a", "");
    assert_true(is_held());
    node.clock += 1000 * QR_MILLISECOND - 1;
    SAYS("", "");
    assert_true(is_held());
    node.clock++;
    SAYS_ERROR("", "CLUSTERDOWN this node has not heard from group 0");
    SAYS("with 5 idmp p 1 timeout 50 incr a", "");
    node.clock += 50 * QR_MILLISECOND;
    SAYS_ERROR("", "TRYAGAIN not applied, its TIMEOUT has passed\r\n");
    goes("with 2 ack majority incr a"); /* others go on */
    SAYS("with 3 idmp p 1 incr a", "");
    node.holding.current = true;
    SAYS("", "");
    assert_true(last()->has_id && me->held_since == 0);
    SAYS("", "");
    semantics_level = MAP_LEVEL_REQUESTS - 1;
    node.identity.level = MAP_LEVEL_REQUESTS - 1;
    answer_all();
    SAYS_ERROR("with 3 idmp p 1 incr a", "UPGRADE IDMP needs level 3 of the cluster");
}

/* --- Rules that are not known (coverage.h V5) ------------------------------------------------- */

/* What it goes by it has heard long ago. Held is the client, and nobody else with it. */
static void
test_who_has_not_heard_from_group_0_holds_writes_that_do_not_say_what_they_need_U3(void **state)
{
    (void)state;
    keyspace_gives(16, READ_LOCAL, ACK_MAJORITY);
    SAYS("select cart", "+OK\r\n");
    assert_int_equal(goes("get a")->wants.level, READ_LOCAL);
    node.contact.coverage.knows_until = node.clock;
    assert_int_equal(goes("get a")->wants.level, READ_LINEARIZABLE);
    assert_int_equal(goes("with 2 read local get a")->wants.level, READ_LOCAL);
    assert_false(goes("with 2 ack majority set a 1")->wants.each_zone);
    answer_all();
    uint32_t before = sent_count;
    SAYS("set a 1", "");
    assert_true(is_held());
    node.clock += 1000 * QR_MILLISECOND - 1;
    SAYS("", "");
    assert_true(is_held());
    node.clock++;
    SAYS_ERROR("", "CLUSTERDOWN this node has not heard from group 0");
    assert_false(is_held());
    SAYS("with 2 timeout 50 flushdb", ""); /* for all partitions */
    node.clock += 50 * QR_MILLISECOND;
    SAYS_ERROR("", "TRYAGAIN not applied, its TIMEOUT has passed\r\n");
    SAYS_ERROR("mset a 1 b 2", "CROSSSLOT"); /* it would not have gone anyway */
    SAYS("select 0\nset a 1", "+OK\r\n");
    assert_true(is_held());
    assert_int_equal(sent_count, before);
    node.contact.coverage.knows_until = FAR;
    SAYS("", "");
    assert_int_equal(sent_count, before + 1);
    assert_false(last()->wants.each_zone);
}

/* Else the last of a thousand would hear of it a thousand times later. */
static void test_what_came_together_waits_once(void **state)
{
    (void)state;
    static const char refusal[] = "-CLUSTERDOWN this node has not heard from group 0";
    node.contact.coverage.knows_until = node.clock;
    SAYS("set a 1\nset b 2\nwith 3 idmp p 1 set c 3\nwith 2 timeout 50 set d 4", "");
    node.clock += 999 * QR_MILLISECOND;
    SAYS("", "");
    assert_true(is_held());
    node.clock += QR_MILLISECOND;
    const char *heard = hears("");
    for (int i = 0; i < 4; i++) {
        assert_memory_equal(heard, refusal, sizeof refusal - 1);
        heard = strchr(heard, '\n') + 1;
    }
    assert_true(heard[0] == 0 && !is_held());
    node.clock++;
    SAYS("set a 1\nset b 2", ""); /* these came later */
    assert_true(is_held());
    node.contact.coverage.knows_until = FAR;
    SAYS("", "");
    assert_int_equal(sent_count, 2);
}

/* Where no keyspace has a prefix the way is shorter. */
static void test_writes_of_keyspace_0_wait_too(void **state)
{
    (void)state;
    struct map_keyspace cart = *map_keyspace(node.map, 16), plain = cart;
    plain.prefix_length = 0;
    put_keyspace(node.map, &plain);
    assert_true(route_is_plain(&node, &me->selected));
    goes("set a 1");
    node.contact.coverage.knows_until = node.clock;
    goes("with 2 ack majority set a 1");
    goes("get a");
    answer_all();
    SAYS("set a 1", "");
    assert_true(is_held());
    node.clock += 1000 * QR_MILLISECOND;
    SAYS_ERROR("", "CLUSTERDOWN this node has not heard from group 0");
    put_keyspace(node.map, &cart);
}

/* Nothing is above it, whatever it is by now. */
static void test_where_each_zone_is_what_was_said_writes_go_on_U3(void **state)
{
    (void)state;
    node.contact.coverage.knows_until = node.clock;
    keyspace_gives(16, READ_LINEARIZABLE, ACK_EACH_ZONE);
    assert_true(goes("with 2 ks cart set a 1")->wants.each_zone);
    assert_true(goes("with 4 ack majority ks cart get a")->wants.level == READ_LINEARIZABLE);
    assert_false(goes("with 4 ack majority ks cart set a 1")->wants.each_zone);
}

/* --- Sessions ------------------------------------------------------------------------------- */

static void test_what_a_session_knows_is_told_when_all_before_it_is_answered(void **state)
{
    (void)state;
    goes("get a");
    SAYS("session show\nping", "");
    assert_true(is_held() && me->awaits_all);
    qr_time since = me->held_since;
    assert_int_equal(since, node.clock);
    node.clock += QR_SECOND;
    SAYS("", "");
    assert_int_equal(me->held_since, since);
    answers(&sent[0], "A");
    const char *heard = hears("");
    assert_memory_equal(heard, "+A\r\n*6\r\n$3\r\npin", 15);
    assert_string_equal(heard + strlen(heard) - 7, "+PONG\r\n");
    assert_false(is_held() || me->awaits_all);
    static const char *const names[] = { "pin x", "reset", "show", "token", "unpin", "use x" };
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        char line[32];
        (void)snprintf(line, sizeof line, "session %s", names[i]);
        assert_true(hears(line)[0] != 0 && !is_held()); /* nothing is before it */
        struct sent *get = goes("get a");
        SAYS(line, "");
        assert_true(is_held() && me->awaits_all);
        answers(get, "A");
        assert_true(strlen(hears("")) > 4 && !is_held());
    }
    goes("get a");
    SAYS("ping", ""); /* others are not of the session, and wait for nothing */
    assert_false(is_held() || me->awaits_all);
}

static char *with_token(const struct token *token, const char *behind)
{
    static char line[TOKEN_TEXT_MAX + 200];
    (void)snprintf(line, sizeof line, "with 2 session %s %s", token_of(token), behind);
    return line;
}

static void test_a_token_says_what_its_partition_must_show(void **state)
{
    (void)state;
    struct token token = { .count = 2, .places = { { 0, 30 }, { 3, 40 } } };
    struct sent *s = goes(with_token(&token, "get a"));
    assert_true(s->has_token && s->wants.level == READ_SESSION && s->wants.least == 30);
    assert_int_equal(s->token.count, 2);
    SAYS("", "");
    s = goes("get a");
    assert_true(!s->has_token && s->wants.level == READ_LINEARIZABLE && s->wants.least == 0);
    token = (struct token){ .count = 1, .places = { { 0, 30 } } };
    s = goes(with_token(&token, "get cart:a")); /* it has not been there */
    assert_true(s->wants.level == READ_SESSION && s->wants.least == 0);
    token.open = true; /* it may have */
    s = goes(with_token(&token, "get cart:a"));
    assert_true(s->wants.level == READ_LINEARIZABLE && s->has_token);
    s = goes(with_token(&token, "get a"));
    assert_true(s->wants.level == READ_SESSION && s->wants.least == 30);
    node.contact.coverage.until = 0;
    s = goes(with_token(&token, "get a")); /* a prefix that is not known here may lead elsewhere */
    assert_int_equal(s->wants.level, READ_LINEARIZABLE);
    token.open = false;
    s = goes(with_token(&token, "get a")); /* but where the session has not been */
    assert_true(s->wants.level == READ_SESSION && s->wants.least == 30);
    token = (struct token){ .count = 2, .places = { { 0, 30 }, { 3, 40 } } };
    s = goes(with_token(&token, "get a"));
    assert_int_equal(s->wants.level, READ_LINEARIZABLE);
    char line[TOKEN_TEXT_MAX + 100]; /* that fresh is not enough: it would be of another keyspace */
    (void)snprintf(line, sizeof line, "with 4 session %s read bounded:9 get a", token_of(&token));
    assert_int_equal(goes(line)->wants.level, READ_LINEARIZABLE);
    node.contact.coverage.until = FAR;
    assert_int_equal(goes(line)->wants.level, READ_BOUNDED);
}

static void test_reads_of_a_session_where_a_prefix_may_be_missing_K6(void **state)
{
    (void)state;
    SAYS("consistency read session", "+OK\r\n");
    node.contact.coverage.until = 0;
    assert_int_equal(goes("get a")->wants.level, READ_SESSION);
    strands_note_seen(&me->stream.strands, NULL, 3, 7);
    assert_int_equal(goes("get a")->wants.level, READ_LINEARIZABLE);
    assert_int_equal(goes("with 2 read local get a")->wants.level, READ_LOCAL);
    assert_int_equal(goes("with 2 ks cart get a")->wants.level, READ_SESSION);
    node.contact.coverage.until = FAR;
    assert_int_equal(goes("get a")->wants.level, READ_SESSION);
}

static void test_a_bad_token_is_refused_and_nothing_applied(void **state)
{
    (void)state;
    struct token token = { .count = 1, .places = { { 0, 30 } } };
    char *line = with_token(&token, "set a 1");
    char *at = strstr(line, "session ") + 12;
    *at = *at == 'A' ? 'B' : 'A';
    SAYS_ERROR(line, "BADTOKEN");
    const char *heard = hears(line);
    assert_non_null(strstr(heard, NOT_APPLIED));
    SAYS_ERROR("with 2 session x set a 1", "BADTOKEN");
    line = with_token(&token, "set a 1");
    node.identity.cluster[0] ^= 1;
    SAYS_ERROR(line, "BADTOKEN");
    assert_int_equal(sent_count, 0);
}

/* --- Large arguments ------------------------------------------------------------------------ */

static const char *large_line(const char *begin)
{
    static char line[4096];
    (void)snprintf(line, sizeof line, "%s%0*d", begin, 300, 7);
    return line;
}

static void test_large_arguments_go_apart(void **state)
{
    (void)state;
    struct sent *s = goes(large_line("set a "));
    assert_true(s->laden && s->partition == &zero && !s->by_prefix);
    assert_int_equal(large_value.n, 300);
    assert_int_equal(large_value.p[299], '7');
    assert_null(me->cargo);
    s = goes(large_line("set cart:a "));
    assert_true(s->laden && s->by_prefix && s->partition != &zero);
    assert_string_equal(me->last_command->name, "set");
    keyspace_gives(16, READ_LOCAL, ACK_EACH_ZONE);
    s = goes(large_line("set cart:b "));
    assert_true(s->wants.each_zone);
    assert_false(goes(large_line("set b "))->by_prefix);
    me->version = 3;
    SAYS("select cart", "");
    assert_int_equal(goes(large_line("set b "))->version, 3);
    answer_all();
    SAYS("select 2\nclient reply skip", "+OK\r\n");
    s = goes(large_line("set b "));
    assert_true(s->silent && s->db == 2 && !s->wants.each_zone);
    goes(large_line("set cart:a "));
    put_erased(node.map, MAP_RECORD_KEYSPACE, 16);
    assert_false(goes("set cart:a 1")->by_prefix);  /* there is but one way now */
    node.contact.coverage.knows_until = node.clock; /* it cannot be held: it gets all there is */
    assert_true(goes(large_line("set b "))->wants.each_zone);
}

static void test_large_arguments_where_none_may_be(void **state)
{
    (void)state;
    SAYS_ERROR(large_line("get "), "ERR argument is too long\r\n");
    SAYS_ERROR(large_line("nosuch "), "ERR unknown command");
    SAYS_ERROR(large_line("set "), "ERR wrong number");
    SAYS_ERROR(large_line("with 2 read local set a "),
               "ERR WITH takes no command with arguments beyond 256 KiB" NOT_APPLIED);
    goes("with 2 read local set a 1");
    answer_all();
    SAYS_ERROR(large_line("with 2 read local set a "),
               "ERR WITH takes no command with arguments beyond 256 KiB" NOT_APPLIED);
    node.contact.coverage.until = 0;
    SAYS_ERROR(large_line("set cart:a "), "TRYAGAIN this node has not heard");
    assert_non_null(strstr(hears(large_line("echo ")), "0007\r\n")); /* the connection's own */
    goes(large_line("set a "));
}

/* --- cluster-port --------------------------------------------------------------------------- */

static void test_at_cluster_port_another_answer_may_be_due(void **state)
{
    (void)state;
    goes("set a 1");
    answer_all();
    outlook.leader = 1;
    SAYS_ERROR("set a 1", "MOVED 15495 127.0.0.1:7102\r\n");
    SAYS_ERROR("with 2 timeout 9 set a 1", "MOVED 15495 127.0.0.1:7102\r\n");
    SAYS_ERROR(large_line("set a "), "MOVED 15495 127.0.0.1:7102\r\n");
    SAYS_ERROR("mget a b", "CROSSSLOT");
    SAYS("client reply skip\nset a 1\nping", "+PONG\r\n");
    goes("with 2 read local get a");
    assert_int_equal(command_stats[command_index(command_by_name(SPAN_LITERAL("set")))].rejected,
                     4);
    answer_all();
    me->listener = LISTENER_PLAIN;
    goes("set a 1");
}

static void test_at_cluster_port_there_is_one_database(void **state)
{
    (void)state;
    goes("with 2 ks 0 set a 1");
    goes("with 2 ks 16 set a 1");
    answer_all();
    SAYS_ERROR("with 2 ks 3 set a 1",
               "ERR KS names a database, and there is one at cluster-port" NOT_APPLIED);
    struct sent *s = goes("with 2 ks cart dbsize");
    assert_true(s->keyspace == 16 && s->led_here);
    s = goes("with 2 ks cart cluster countkeysinslot 0");
    assert_ptr_equal(s->partition, &others[0]);
    s = goes("with 2 ks cart cluster countkeysinslot 16383");
    assert_ptr_equal(s->partition, &others[3]);
    s = goes("cluster countkeysinslot 16383");
    assert_ptr_equal(s->partition, &zero);
}

#define WITH_TEST(test) cmocka_unit_test_setup_teardown(test, commands_begin, commands_end)
#define CLUSTER_PORT_TEST(test) \
    cmocka_unit_test_setup_teardown(test, commands_begin_at_cluster_port, commands_end)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        WITH_TEST(test_options_are_of_the_command_that_they_stand_with_G16),
        WITH_TEST(test_the_same_options_again_are_known_by_their_bytes),
        WITH_TEST(test_long_options_are_not_kept),
        WITH_TEST(test_with_that_makes_no_sense_is_refused_and_nothing_applied),
        WITH_TEST(test_a_with_in_a_with_is_refused_each_time),
        WITH_TEST(test_meta_is_of_commands_on_keys),
        WITH_TEST(test_a_read_as_of_a_position_has_keys),
        WITH_TEST(test_ks_is_for_one_command_G16),
        WITH_TEST(test_ks_while_its_command_waits),
        WITH_TEST(test_an_id_is_of_its_own_command),
        WITH_TEST(test_an_id_waits_for_a_node_that_was_started_just_now),
        WITH_TEST(
            test_who_has_not_heard_from_group_0_holds_writes_that_do_not_say_what_they_need_U3),
        WITH_TEST(test_what_came_together_waits_once),
        WITH_TEST(test_writes_of_keyspace_0_wait_too),
        WITH_TEST(test_where_each_zone_is_what_was_said_writes_go_on_U3),
        WITH_TEST(test_what_a_session_knows_is_told_when_all_before_it_is_answered),
        WITH_TEST(test_a_token_says_what_its_partition_must_show),
        WITH_TEST(test_reads_of_a_session_where_a_prefix_may_be_missing_K6),
        WITH_TEST(test_a_bad_token_is_refused_and_nothing_applied),
        WITH_TEST(test_large_arguments_go_apart),
        WITH_TEST(test_large_arguments_where_none_may_be),
        CLUSTER_PORT_TEST(test_at_cluster_port_another_answer_may_be_due),
        CLUSTER_PORT_TEST(test_at_cluster_port_there_is_one_database),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
