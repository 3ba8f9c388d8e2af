/* CONSISTENCY and SESSION: what a connection asks for and knows, as it says and shows it
 * (node/local_level.c, node/local_session.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "commands_world.h"

#include "cluster/pin.h"
#include "node/session.h"
#include "tests/unit/cluster/put_records.h"

/* The words of a reply, with a blank between each: what is no text as it is. */
static const char *words_of(const char *line)
{
    static char out[4096];
    const char *p = hears(line);
    struct text text = text_in(out, sizeof out);
    while (*p != 0) {
        const char *end = strstr(p, "\r\n");
        assert_non_null(end);
        if (*p == '$' && p[1] != '-') {
            p = end + 2;
            end = strstr(p, "\r\n");
        }
        text_put(&text, text.n > 0 ? " " : "");
        for (; p < end; p++) {
            text_char(&text, *p);
        }
        p = end + 2;
    }
    return out;
}

#define SHOWS(line, words) assert_string_equal(words_of(line), words)
#define SHOWN(read, from, ack, ack_from, timeout, window)                                  \
    "*14 read " read " read-from " from " ack " ack " ack-from " ack_from " fallback fail" \
    " timeout :" timeout " leaderwindow :" window
#define DURABLE "MAJORITY ON durable"

static void test_consistency_shows_all_and_who_says_so(void **state)
{
    (void)state;
    SHOWS("consistency show", SHOWN("linearizable", "keyspace", DURABLE, "keyspace", "0", "0"));
    SAYS("consistency read session leaderwindow 60s timeout 500", "+OK\r\n");
    SHOWS("consistency show", SHOWN("session", "connection", DURABLE, "keyspace", "500", "60000"));
    SAYS("consistency ack quorum", "+OK\r\n"); /* what was said before stays */
    SHOWS("consistency show",
          SHOWN("session", "connection", "QUORUM ON durable", "connection", "500", "60000"));
    SAYS_ERROR("consistency read local timeout 0", "ERR syntax error: TIMEOUT is 1 to");
    SHOWS("consistency show",
          SHOWN("session", "connection", "QUORUM ON durable", "connection", "500", "60000"));
    SAYS("consistency reset", "+OK\r\n");
    SHOWS("consistency show", SHOWN("linearizable", "keyspace", DURABLE, "keyspace", "0", "0"));
}

static void test_consistency_shows_what_the_selected_keyspace_gives(void **state)
{
    (void)state;
    keyspace_gives(16, READ_LOCAL, ACK_EACH_ZONE);
    SAYS("select cart", "+OK\r\n");
    SHOWS("consistency show",
          SHOWN("local", "keyspace", "EACH zone ON durable", "keyspace", "0", "0"));
    SAYS("consistency ack majority", "+OK\r\n");
    SHOWS("consistency show", SHOWN("local", "keyspace", DURABLE, "connection", "0", "0"));
    SAYS("consistency reset\nconsistency read leader", "+OK\r\n+OK\r\n");
    SHOWS("consistency show",
          SHOWN("leader", "connection", "EACH zone ON durable", "keyspace", "0", "0"));
    put_erased(node.map, MAP_RECORD_KEYSPACE, 16);
    SHOWS("consistency show", SHOWN("leader", "connection", DURABLE, "keyspace", "0", "0"));
}

static void test_consistency_takes_what_is_about_many_commands(void **state)
{
    (void)state;
    SAYS_ERROR("consistency meta", "ERR syntax error: 'meta' is about one command");
    SAYS_ERROR("consistency show read local", "ERR syntax error: unknown option 'show'");
    SAYS_ERROR("consistency reset read local", "ERR syntax error: unknown option 'reset'");
    SAYS_ERROR("consistency", "ERR wrong number of arguments");
    SAYS("consistency READ local", "+OK\r\n");
    assert_int_equal(goes("get a")->wants.level, READ_LOCAL);
}

static void test_what_a_connection_knows_is_shown_and_carried_on(void **state)
{
    (void)state;
    SHOWS("session show", "*6 pin  open no positions *0");
    strands_note_seen(&me->stream.strands, NULL, 0, 17);
    strands_note_seen(&me->stream.strands, NULL, 4, 29);
    /* Of a keyspace that is gone, or not here yet. (Its token must have no _: commands_world.c.) */
    strands_note_seen(&me->stream.strands, NULL, 9, position_of(1, 31));
    const char *all = "*6 pin  open no positions *3 *10 keyspace default partition :0 group :0 "
                      "slot :17 losses :0 *10 keyspace cart partition :2 group :4 slot :29 "
                      "losses :0 *10 keyspace $-1 partition $-1 group :9 slot :31 losses :1";
    SHOWS("session show", all);
    char token[TOKEN_TEXT_MAX], line[TOKEN_TEXT_MAX + 50];
    const char *reply = hears("session token");
    (void)snprintf(token, sizeof token, "%s", strchr(reply, '\n') + 1);
    *strchr(token, '\r') = 0;
    SAYS("session reset", "+OK\r\n");
    SHOWS("session show", "*6 pin  open no positions *0");
    strands_note_seen(&me->stream.strands, NULL, 4, 28);
    (void)snprintf(line, sizeof line, "session use %s", token);
    SAYS(line, "+OK\r\n");
    SHOWS("session show", all);
    line[strlen(line) - 1] ^= 1;
    const char *refused = hears(line);
    assert_memory_equal(refused, "-BADTOKEN ", 10);
    assert_non_null(strstr(refused, ", nothing was changed\r\n"));
    SHOWS("session show", all);
    me->stream.strands.unsure = true;
    assert_memory_equal(words_of("session show"), "*6 pin  open yes positions *3", 29);
}

static void test_a_pin_is_shown_by_its_hash(void **state)
{
    (void)state;
    char text[PIN_TEXT_MAX + 2], line[PIN_TEXT_MAX + 50], expected[80];
    memset(text, 'x', PIN_TEXT_MAX + 1);
    text[PIN_TEXT_MAX + 1] = 0;
    (void)snprintf(line, sizeof line, "session pin %s", text);
    SAYS_ERROR(line, "ERR SESSION PIN: 1 to 256 bytes, nothing was changed\r\n");
    SAYS("session pin user:1", "+OK\r\n");
    SAYS_ERROR(line, "ERR SESSION PIN: 1 to 256 bytes, nothing was changed\r\n");
    assert_true(me->pin == pin_hash(SPAN_LITERAL("user:1")));
    assert_true(goes("get a")->wants.pin == me->pin);
    answer_all();
    me->pin &= UINT64_MAX >> 8; /* with all its zeros */
    (void)snprintf(expected, sizeof expected, "*6 pin %016llx open no positions *0",
                   (unsigned long long)me->pin);
    SHOWS("session show", expected);
    line[strlen(line) - 1] = 0;
    SAYS(line, "+OK\r\n");
    SAYS("session unpin", "+OK\r\n");
    assert_int_equal(me->pin, 0);
    SAYS("session pin user:1\nsession reset", "+OK\r\n+OK\r\n");
    assert_int_equal(me->pin, 0);
}

static void test_a_pin_of_no_bytes_is_none(void **state)
{
    (void)state;
    static const char request[] = "*3\r\n$7\r\nsession\r\n$3\r\npin\r\n$0\r\n\r\n";
    memcpy(me->input, request, sizeof request - 1);
    me->input_n = sizeof request - 1;
    SAYS_ERROR("", "ERR SESSION PIN: 1 to 256 bytes, nothing was changed\r\n");
    assert_int_equal(me->pin, 0);
}

#define OWN_TEST(test) cmocka_unit_test_setup_teardown(test, commands_begin, commands_end)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        OWN_TEST(test_consistency_shows_all_and_who_says_so),
        OWN_TEST(test_consistency_shows_what_the_selected_keyspace_gives),
        OWN_TEST(test_consistency_takes_what_is_about_many_commands),
        OWN_TEST(test_what_a_connection_knows_is_shown_and_carried_on),
        OWN_TEST(test_a_pin_is_shown_by_its_hash),
        OWN_TEST(test_a_pin_of_no_bytes_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
