/* Acknowledgements in words: what is understood, what a strategy gives, and each refusal (D3). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cluster/ack.h"
#include "protocol/raft/raft.h"

#define WHY_BYTES 320
#define SYNTAX                                                                         \
    " is none of LOCAL | ANY k | MAJORITY | QUORUM | ALL | EACH zone | w=n [OF zone] " \
    "[ON received|durable|applied], the command was not applied"
#define GIVES ", the command was not applied; it gives MAJORITY, QUORUM, EACH zone; ON durable"

static struct span word(const char *s)
{
    return span_of(s, strlen(s));
}

static void assert_reads_as(const char *spec, const char *expected)
{
    char why[WHY_BYTES], back[ACK_TEXT_BYTES];
    struct text text = text_in(why, sizeof why), out = text_in(back, sizeof back);
    struct ack ack, again;
    assert_true(ack_parse(&ack, word(spec), &text));
    assert_string_equal(why, "");
    ack_put(&out, &ack);
    assert_false(out.cut);
    assert_string_equal(back, expected);
    assert_true(ack_parse(&again, word(back), &text));
    assert_memory_equal(&again, &ack, sizeof ack);
}

static void test_the_grammar(void **state)
{
    (void)state;
    assert_reads_as("LOCAL", "LOCAL ON durable");
    assert_reads_as("any 2", "ANY 2 ON durable");
    assert_reads_as("ANY 255 ON received", "ANY 255 ON received");
    assert_reads_as("majority", "MAJORITY ON durable");
    assert_reads_as("  QUORUM  ON   applied ", "QUORUM ON applied");
    assert_reads_as("ALL OF a-1", "ALL OF a-1 ON durable");
    assert_reads_as("EACH Zone", "EACH zone ON durable");
    assert_reads_as("each dc on durable", "EACH dc ON durable");
    assert_reads_as("w=3", "w=3 ON durable");
    assert_reads_as("W=1 OF on ON received", "w=1 OF on ON received");
    assert_reads_as("ANY 255 OF 1234567890123456789012345678901 ON received",
                    "ANY 255 OF 1234567890123456789012345678901 ON received");
}

static void assert_refused(const char *spec, size_t n, const char *expected)
{
    char why[WHY_BYTES];
    struct text text = text_in(why, sizeof why);
    struct ack ack = { .kind = ACK_LOCAL, .n = 7 }; /* what was there */
    assert_false(ack_read(&ack, span_of(spec, n), "raft", &raft_protocol.promise, &text));
    assert_false(text.cut);
    assert_string_equal(why, expected);
    assert_int_equal(ack.kind, ACK_LOCAL);
    assert_int_equal(ack.n, 7);
}

static void test_what_makes_no_sense_is_a_syntax_error(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        " ",
        "MAJORITIES",
        "ANY",
        "ANY 0",
        "ANY 256",
        "ANY x",
        "ANY -1",
        "EACH",
        "EACH rack",
        "w=",
        "w=0",
        "w=256",
        "w=1x",
        "w",
        "ALL ALL",
        "ALL OF",
        "ALL ON",
        "ALL ON x",
        "ON durable",
        "OF a ALL",
        "ALL ON durable OF a",
        "ALL\tON durable",
        "w= 3",
        "MAJORITY OF",
        "ANY 2 OF a ON durable x",
        "ALL OF a\x7f",
        "ALL OF 12345678901234567890123456789012", /* a zone's name is shorter */
    };
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        char why[WHY_BYTES];
        struct text text = text_in(why, sizeof why);
        struct ack ack;
        assert_false(ack_parse(&ack, word(bad[i]), &text));
        assert_memory_equal(why, "ERR syntax error: ACK '", 23);
    }
    assert_refused("ANY x", 5, "ERR syntax error: ACK 'ANY x'" SYNTAX);
    assert_refused("\r\n", 2,
                   "ERR syntax error: ACK '?"
                   "?'" SYNTAX);
    assert_refused("ALL OF a\0b", 10, "ERR syntax error: ACK 'ALL OF a?b'" SYNTAX);
}

static void test_raft_gives_a_majority_and_each_zone(void **state)
{
    (void)state;
    static const struct {
        const char *spec;
        enum ack_kind kind;
    } given[] = { { "MAJORITY", ACK_MAJORITY },
                  { "QUORUM ON durable", ACK_QUORUM },
                  { "EACH zone", ACK_EACH_ZONE } };
    for (size_t i = 0; i < ARRAY_COUNT(given); i++) {
        char why[WHY_BYTES];
        struct text text = text_in(why, sizeof why);
        struct ack ack;
        assert_true(ack_read(&ack, word(given[i].spec), "raft", &raft_protocol.promise, &text));
        assert_int_equal(ack.kind, given[i].kind);
    }
}

/* Never is something weaker, or something else, given instead (U3). */
static void test_everything_else_is_refused_in_words(void **state)
{
    (void)state;
    static const char *const others[] = { "LOCAL",
                                          "ANY 1",
                                          "ALL",
                                          "w=1",
                                          "w=2",
                                          "EACH dc",
                                          "EACH zone ON applied",
                                          "MAJORITY ON received",
                                          "MAJORITY OF a",
                                          "QUORUM ON applied" };
    for (size_t i = 0; i < ARRAY_COUNT(others); i++) {
        char expected[WHY_BYTES];
        struct text text = text_in(expected, sizeof expected);
        text_put(&text, "LEVEL strategy raft does not give ACK '");
        text_put(&text, others[i]);
        text_put(&text, "'" GIVES);
        assert_refused(others[i], strlen(others[i]), expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_grammar),
        cmocka_unit_test(test_what_makes_no_sense_is_a_syntax_error),
        cmocka_unit_test(test_raft_gives_a_majority_and_each_zone),
        cmocka_unit_test(test_everything_else_is_refused_in_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
