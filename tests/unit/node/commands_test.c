/* What becomes of a client's command before anybody carries it out (node/client_commands.c): who is
 * given it, what is refused on the spot and in which words, what waits, and what is silent. */
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
#include "node/clients_internal.h"
#include "node/router.h"
#include "tests/unit/cluster/put_records.h"

static struct command_stats *stats_of(const char *name)
{
    return &command_stats[command_index(command_by_name(span_of(name, strlen(name))))];
}

/* --- Replies -------------------------------------------------------------------------------- */

static void test_replies_come_in_the_order_of_the_commands(void **state)
{
    (void)state;
    SAYS("ping", "+PONG\r\n");
    struct sent *get = goes("get a");
    SAYS("ping one\nnosuch\nset b", "");
    assert_int_equal(me->stream.count, 4);
    answers(get, "A");
    SAYS("ping two",
         "+A\r\n$3\r\none\r\n-ERR unknown command 'nosuch', with args beginning with: \r\n"
         "-ERR wrong number of arguments for 'set' command\r\n$3\r\ntwo\r\n");
    assert_true(me->dirty);
    me->version = 3;
    assert_memory_equal(hears("ping\nsession show"), "+PONG\r\n%3\r\n", 11);
}

/* As Redis has it: what CLIENT REPLY says holds for itself too, but for ON. */
static void test_who_wants_no_replies_gets_none(void **state)
{
    (void)state;
    SAYS("client reply skip\nping\nping", "+PONG\r\n");
    SAYS("client reply skip\nnosuch\nping", "+PONG\r\n");
    SAYS("client reply skip\nget\nping", "+PONG\r\n");
    SAYS("client reply skip\nselect cart\nping", "+PONG\r\n");
    SAYS("client reply skip\nmget a b\nping", "+PONG\r\n"); /* it is refused: -CROSSSLOT */
    SAYS("select 0\nclient reply off\nping\nnosuch\nget", "+OK\r\n");
    assert_true(goes("get a")->silent);
    assert_true(goes("set a 1")->silent);
    SAYS("client reply on", "");
    answers(&sent[0], "A");
    answers(&sent[1], "OK");
    SAYS("ping", "+OK\r\n+PONG\r\n");
    SAYS("client reply skip", "");
    assert_true(goes("get a")->silent);
    assert_false(goes("get b")->silent);
    me->reply_mode = REPLY_OFF; /* whatever is behind a META that is not told */
    SAYS("with 1 meta nosuch", "");
    answers(&sent[2], "A");
    answers(&sent[3], "B");
    SAYS("ping", "+B\r\n");
}

static void test_what_is_counted(void **state)
{
    (void)state;
    SAYS("ping", "+PONG\r\n");
    SAYS("echo 12\nping", "$2\r\n12\r\n+PONG\r\n");
    assert_int_equal(noted_bytes, 7);
    SAYS_ERROR("get", "ERR wrong number");
    SAYS_ERROR("nosuch", "ERR unknown command");
    SAYS_ERROR("client nosuch", "ERR unknown subcommand");
    SAYS_ERROR("client setname \x01", "ERR Client names");
    assert_memory_equal(hears("client setname \x01\nping"), "-ERR Client", 11);
    assert_int_equal(stats_of("ping")->failed, 0); /* what came before it is none of its own */
    assert_int_equal(noted, 9);
    SAYS("ping", "+PONG\r\n");
    assert_int_equal(stats_of("ping")->calls, 4);
    assert_int_equal(stats_of("ping")->failed, 0);
    assert_int_equal(stats_of("get")->rejected, 1);
    assert_int_equal(stats_of("get")->calls, 0);
    assert_int_equal(me->commands, 10);
    assert_int_equal(node.stats.commands_processed, 10);
    assert_string_equal(me->last_command->name, "ping");
    SAYS_ERROR("nosuch", "ERR unknown command");
    assert_string_equal(me->last_command->name, "ping"); /* CLIENT LIST shows the last known */
    assert_int_equal(stats_of("client|setname")->failed, 2);
    SAYS_ERROR("mget a cart:b", "CROSSSLOT");
    assert_int_equal(stats_of("mget")->rejected, 1);
    goes("get a");
    SAYS("ping", ""); /* of what waits it counts when it leaves */
    assert_int_equal(noted, 12);
    size_t ping = command_index(command_by_name(SPAN_LITERAL("ping")));
    assert_int_equal(node.measure->latency[ping]->count, 5);
    node.config.latency_tracking = false;
    SAYS("ping", "");
    assert_int_equal(node.measure->latency[ping]->count, 5);
    assert_int_equal(stats_of("ping")->usec, 0);
    io_step = 7;
    node.chores.stirred = false;
    SAYS("ping", "");
    assert_int_equal(stats_of("ping")->usec, 7);
    assert_true(node.chores.stirred); /* whatever it has changed */
}

/* --- Refusals ------------------------------------------------------------------------------- */

static void test_who_is_not_known_is_told_so_and_nothing_else(void **state)
{
    (void)state;
    strcpy(node.config.requirepass, "secret");
    me->authenticated = false;
    SAYS_ERROR("get a", "NOAUTH Authentication required.");
    SAYS_ERROR("set a 1", "NOAUTH");
    SAYS_ERROR("with 2 timeout 5 set a 1", "NOAUTH");
    SAYS_ERROR("consistency read local", "NOAUTH");
    SAYS_ERROR("get", "ERR wrong number"); /* names and counts come first, as in Redis */
    SAYS_ERROR("auth wrong", "WRONGPASS");
    assert_int_equal(stats_of("set")->rejected, 1);
    assert_int_equal(stats_of("with")->rejected, 1);
    SAYS("auth secret", "+OK\r\n");
    goes("get a");
    me->authenticated = false;
    node.config.requirepass[0] = 0;
    goes("get a");
}

static void test_a_node_whose_log_is_being_mended_takes_no_command_on_keys(void **state)
{
    (void)state;
    zero.loading = true;
    const char *loading = "LOADING damaged entries of this node's log are being fetched from the "
                          "other members, see INFO raft; the command was not applied\r\n";
    SAYS_ERROR("get a", loading);
    SAYS_ERROR("set a 1", loading);
    SAYS_ERROR("with 2 timeout 5 set a 1", loading);
    SAYS_ERROR("with 3 idmp p 1 incr a", loading);
    SAYS_ERROR("wait 0 0", loading);
    assert_int_equal(stats_of("set")->rejected, 2);
    SAYS("ping", "+PONG\r\n");
    zero.loading = false;
    goes("set a 1");
}

static void test_commands_of_a_cluster_are_cluster_ports(void **state)
{
    (void)state;
    SAYS_ERROR("cluster countkeysinslot 1", "ERR This instance has cluster support disabled");
    me->listener = LISTENER_SENTINEL;
    SAYS_ERROR("set a 1", "ERR unknown command 'set'");
}

static void test_who_listens_may_ask_for_little(void **state)
{
    (void)state;
    me->listener = LISTENER_SENTINEL;
    (void)hears("subscribe x");
    SAYS_ERROR("CONFIG get x", "ERR unknown command");
    SAYS_ERROR("CLIENT ID",
               "ERR Can't execute 'client': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT "
               "/ RESET are allowed in this context\r\n");
    SAYS("ping", "*2\r\n$4\r\npong\r\n$0\r\n\r\n");
}

static void test_a_command_that_is_too_large_is_refused(void **state)
{
    (void)state;
    static uint8_t bytes[STEP_BYTES_MAX / 2];
    struct span argv[3] = { SPAN_LITERAL("mset"), SPAN_LITERAL("a"), span_of(bytes, sizeof bytes) };
    struct span *many = calloc(STEP_ARGUMENTS_MAX + 1, sizeof *many);
    for (uint32_t i = 0; i <= STEP_ARGUMENTS_MAX; i++) {
        many[i] = SPAN_LITERAL("k");
    }
    many[0] = SPAN_LITERAL("del");
    assert_true(client_run_command(me, many, STEP_ARGUMENTS_MAX));
    assert_int_equal(sent_count, 1);
    assert_true(client_run_command(me, many, STEP_ARGUMENTS_MAX + 1));
    assert_int_equal(sent_count, 1);
    free(many);
    answers(&sent[0], "OK");
    SAYS("ping", "+OK\r\n-ERR command is too large (at most 131072 arguments, and at most 4194304 "
                 "bytes of those that are not longer than 262144): send it in parts\r\n+PONG\r\n");
    me->parser.consumed = STEP_BYTES_MAX; /* all that came, which names and lengths are a part of */
    struct span two[5] = { argv[0], argv[1], argv[2], argv[1], argv[2] };
    assert_true(client_run_command(me, two, 5));
    assert_int_equal(sent_count, 2);
    me->parser.consumed = STEP_BYTES_MAX + 10;
    assert_true(client_run_command(me, two, 5));
    assert_int_equal(sent_count, 2);
    two[4].n = STEP_BYTES_MAX / 2 - 6;
    assert_true(client_run_command(me, two, 5));
    assert_int_equal(sent_count, 3);
}

static void test_what_comes_apart_is_none_of_those_bytes(void **state)
{
    (void)state;
    static uint8_t bytes[STEP_BYTES_MAX - 3];
    struct span argv[3] = { SPAN_LITERAL("set"), span_of(bytes, sizeof bytes), { NULL, 300 } };
    for (uint32_t i = 0; i < 2; i++) {
        me->cargo = cargo_new();
        uint8_t large[300] = { 0 };
        rope_append_of(cargo_add(me->cargo, 300), span_of(large, 300), 300);
        me->cargo->come = 300;
        me->parser.consumed = STEP_BYTES_MAX + 10;
        argv[0] = i == 0 ? argv[0] : SPAN_LITERAL("append");
        assert_true(client_run_command(me, argv, 3));
        assert_int_equal(sent_count, 1);
        assert_null(me->cargo);
    }
}

/* --- To whom -------------------------------------------------------------------------------- */

static void test_each_goes_to_the_partition_of_its_keys(void **state)
{
    (void)state;
    struct sent *s = goes("get a");
    assert_true(s->partition == &zero && !s->by_prefix && s->db == 0 && s->version == 2);
    s = goes("get cart:a");
    assert_true(s->partition != &zero && s->partition != NULL && s->by_prefix);
    struct partition *of_a = s->partition;
    s = goes("get cart:b");
    assert_true(s->partition != of_a && s->by_prefix);
    assert_false(goes("get b")->by_prefix); /* nothing of it stays */
    answers(&sent[0], "A");
    SAYS("select 3", "+A\r\n");
    s = goes("get a");
    assert_true(s->partition == &zero && s->db == 3);
    SAYS("select cart", "");
    s = goes("get cart:a");
    assert_true(s->partition == of_a && !s->by_prefix && s->db == 0);
    s = goes("dbsize");
    assert_true(s->partition == NULL && s->keyspace == 16 && !s->led_here);
    SAYS("ping\nmget a b", "");
    me->version = 3;
    assert_int_equal(goes("get a")->version, 3);
}

static void test_what_has_no_way_is_refused(void **state)
{
    (void)state;
    SAYS("select cart", "+OK\r\n");
    SAYS_ERROR("mset a 1 b 2", "CROSSSLOT Keys in request don't hash to the same slot");
    SAYS_ERROR("swapdb 0 1", "ERR keyspace 'cart' has one database");
    put_erased(node.map, MAP_RECORD_KEYSPACE, 16);
    SAYS_ERROR("set a 1", "NOKEYSPACE the keyspace was dropped, the command was not applied");
    SAYS_ERROR("wait 1 1", "NOKEYSPACE");
    written = 1;
    written_group = 4;
    SAYS_ERROR("wait 1 1", "NOKEYSPACE");
    assert_int_equal(stats_of("set")->rejected, 1);
    assert_int_equal(stats_of("mset")->rejected, 1);
}

/* In a cluster without prefixes all that is said to keyspace 0 has one way. */
static void test_where_there_is_one_way_it_is_gone_as_well(void **state)
{
    (void)state;
    assert_true(goes("get cart:a")->by_prefix);
    put_erased(node.map, MAP_RECORD_KEYSPACE, 16);
    struct map_keyspace k = a_keyspace(17, "orders", "", 2, 4);
    put_all(node.map, &k, 7, NODE_NONE);
    struct sent *s = goes("get cart:a");
    assert_true(s->partition == &zero && !s->by_prefix && s->db == 0);
    assert_ptr_equal(goes("wait 1 1")->partition, &zero);
    written = 1;
    written_group = 4; /* by KS */
    assert_ptr_equal(goes("wait 1 1")->partition, &others[2]);
    answer_all();
    SAYS("select 7\nconsistency read session", "+OK\r\n+OK\r\n");
    s = goes("get a");
    assert_true(s->partition == &zero && s->db == 7 && s->wants.level == READ_SESSION);
    node.contact.coverage.until = 0; /* it may not have heard of a prefix */
    strands_note_seen(&me->stream.strands, NULL, 4, 17);
    assert_int_equal(goes("get a")->wants.level, READ_LINEARIZABLE);
}

/* K6: while it is not known where a prefix leads its keys wait, and nothing behind them goes. */
static void test_who_does_not_know_where_a_prefix_leads_waits(void **state)
{
    (void)state;
    node.contact.coverage.until = 0;
    SAYS("set cart:a 1\nget b", "");
    assert_true(is_held() && sent_count == 0);
    assert_int_equal(me->commands, 1);
    node.clock += 999 * QR_MILLISECOND;
    SAYS("", "");
    assert_true(is_held());
    assert_int_equal(me->commands, 1); /* it is one command, however often it is looked at */
    node.contact.coverage.until = FAR;
    SAYS("", "");
    assert_int_equal(sent_count, 2);
    assert_true(sent[0].by_prefix && me->held_since == 0);
    assert_int_equal(me->commands, 2);
    goes("get a");
    node.contact.coverage.until = 0;
    SAYS("set cart:a 2", "");
    node.clock += 1000 * QR_MILLISECOND;
    SAYS("", "");
    assert_false(is_held());
    for (uint32_t i = 0; i < 3; i++) {
        answers(&sent[i], "OK");
    }
    SAYS("", "+OK\r\n+OK\r\n+OK\r\n-TRYAGAIN this node has not heard from group 0 and does not "
             "know where "
             "the key's prefix leads now, the command was not applied\r\n");
}

/* What is frozen is to thaw: that may take as long as coverage lasts. But where nobody waits at all
 * nothing does. */
static void test_how_long_it_waits_for_its_way(void **state)
{
    (void)state;
    assert_true(freeze_add(&node.contact.coverage.frozen, SPAN_LITERAL("new:")));
    SAYS("set new:a 1", "");
    node.clock += 1000 * QR_MILLISECOND + COVER_TIME - 1;
    SAYS("", "");
    assert_true(is_held());
    node.clock += 1;
    SAYS_ERROR("", "TRYAGAIN this node has not heard");
    node.config.leader_wait_ms = 0;
    SAYS_ERROR("set new:a 1", "TRYAGAIN this node has not heard");
    goes("set old:a 1");
}

/* Its words are those of whatever else is late. */
static void test_its_timeout_may_pass_before_its_way_is_known(void **state)
{
    (void)state;
    node.contact.coverage.until = 0;
    SAYS("with 2 timeout 300 set cart:a 1", "");
    node.clock += 299 * QR_MILLISECOND;
    SAYS("", "");
    assert_true(is_held());
    node.clock += QR_MILLISECOND;
    SAYS_ERROR("", "TRYAGAIN not applied, its TIMEOUT has passed\r\n");
    assert_int_equal(stats_of("set")->rejected, 1);
    SAYS("with 2 timeout 3000 set cart:a 1", ""); /* longer than any wait here */
    node.clock += 1000 * QR_MILLISECOND;
    SAYS_ERROR("", "TRYAGAIN this node has not heard");
    SAYS("with 2 timeout 300 mset cart:a 1 cart:b 2", "");
    node.clock += 300 * QR_MILLISECOND;
    node.contact.coverage.until = FAR;
    SAYS_ERROR("", "CROSSSLOT"); /* it is known by now that it has none */
    SAYS("consistency timeout 1", "+OK\r\n");
    goes("set cart:a 1"); /* what knows its way is not late here */
}

static void test_a_wait_is_for_what_its_client_has_written(void **state)
{
    (void)state;
    assert_ptr_equal(goes("wait 1 1")->partition, &zero);
    SAYS("select cart", "");
    answers(&sent[0], "0");
    SAYS("", "+0\r\n+OK\r\n");
    struct sent *s = goes("wait 1 1"); /* any of its keyspace: the first */
    assert_ptr_equal(s->partition, &others[0]);
    written = 1;
    written_group = 4;
    assert_ptr_equal(goes("wait 1 1")->partition, &others[2]);
    assert_ptr_equal(goes("waitaof 0 1 1")->partition, &others[2]);
    written_group = 99; /* it has gone with its keyspace: all that there are */
    assert_null(goes("wait 1 1")->partition);
    written = 2;
    s = goes("wait 1 1");
    assert_true(s->partition == NULL && s->keyspace == 16);
    written_group = 4;
    assert_null(goes("wait 1 1")->partition);
    SAYS("select 0", "");
    s = goes("wait 1 1"); /* what it wrote was elsewhere */
    assert_null(s->partition);
    written = 0;
    assert_ptr_equal(goes("wait 1 1")->partition, &zero);
}

static void test_a_protocol_error_ends_the_connection(void **state)
{
    (void)state;
    goes("get a");
    memcpy(me->input, "*1\r\n+x\r\n", 8);
    me->input_n = 8;
    SAYS("", "");
    assert_int_equal(node.stats.protocol_errors, 1);
    assert_true(me->dismissed && closed_gently == me);
    answers(&sent[0], "A");
    me->input_n = me->input_at = 0;
    SAYS("", "+A\r\n-ERR Protocol error: expected '$', got '+'\r\n");
}

#define COMMANDS_TEST(test) cmocka_unit_test_setup_teardown(test, commands_begin, commands_end)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        COMMANDS_TEST(test_replies_come_in_the_order_of_the_commands),
        COMMANDS_TEST(test_who_wants_no_replies_gets_none),
        COMMANDS_TEST(test_what_is_counted),
        COMMANDS_TEST(test_who_is_not_known_is_told_so_and_nothing_else),
        COMMANDS_TEST(test_a_node_whose_log_is_being_mended_takes_no_command_on_keys),
        COMMANDS_TEST(test_commands_of_a_cluster_are_cluster_ports),
        COMMANDS_TEST(test_who_listens_may_ask_for_little),
        COMMANDS_TEST(test_a_command_that_is_too_large_is_refused),
        COMMANDS_TEST(test_what_comes_apart_is_none_of_those_bytes),
        COMMANDS_TEST(test_where_there_is_one_way_it_is_gone_as_well),
        COMMANDS_TEST(test_each_goes_to_the_partition_of_its_keys),
        COMMANDS_TEST(test_what_has_no_way_is_refused),
        COMMANDS_TEST(test_who_does_not_know_where_a_prefix_leads_waits),
        COMMANDS_TEST(test_how_long_it_waits_for_its_way),
        COMMANDS_TEST(test_its_timeout_may_pass_before_its_way_is_known),
        COMMANDS_TEST(test_a_wait_is_for_what_its_client_has_written),
        COMMANDS_TEST(test_a_protocol_error_ends_the_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
