/* The options of WITH and CONSISTENCY: what is understood, and each refusal (D3, G16, U3). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cluster/asked.h"

#define WORDS 20
#define NOT_APPLIED ", the command was not applied"

static const struct promise promise = { .reads = READ_BIT(READ_LINEARIZABLE) |
                                                 READ_BIT(READ_LOCAL) | READ_BIT(READ_SESSION) |
                                                 READ_BIT(READ_BOUNDED) | READ_BIT(READ_SNAPSHOT),
                                        .acks = ACK_BIT(ACK_ANY) | ACK_BIT(ACK_ALL),
                                        .ack_stages = ACK_BIT(ACK_DURABLE) };

static struct asked_by by = { .strategy = "raft", .promise = &promise };

/* Words are parted by a comma: those of a specification hold blanks. */
static uint32_t split(char *line, struct span argv[WORDS])
{
    uint32_t n = 0;
    for (char *word = line; word != NULL && n < WORDS;) {
        char *comma = strchr(word, ',');
        size_t bytes = comma != NULL ? (size_t)(comma - word) : strlen(word);
        argv[n++] = span_of(word, bytes);
        word = comma != NULL ? comma + 1 : NULL;
    }
    return n;
}

/* Views of `line`, which the last call was given. */
static bool reads(const char *words, bool with, struct asked *out, char why[300])
{
    static char line[300];
    struct span argv[WORDS];
    struct text text = text_in(why, 300);
    snprintf(line, sizeof line, "%s", words);
    by.with = with;
    return asked_read(out, argv, split(line, argv), &by, &text);
}

static struct asked taken(const char *words, bool with)
{
    char why[300];
    struct asked asked;
    bool good = reads(words, with, &asked, why);
    assert_string_equal(why, "");
    assert_true(good);
    return asked;
}

static void refused(const char *words, bool with, const char *expected)
{
    char why[300];
    struct asked asked = { .given = ASKED_META, .timeout_ms = 17 };
    assert_false(reads(words, with, &asked, why));
    assert_string_equal(why, expected);
    assert_true(asked.given == ASKED_META && asked.timeout_ms == 17); /* as it was */
    assert_non_null(strstr(why, "not applied"));
}

static void assert_word(struct span s, const char *expected)
{
    assert_int_equal(s.n, strlen(expected));
    assert_memory_equal(s.p, expected, s.n);
}

static void test_options_come_in_any_order_and_any_case(void **state)
{
    (void)state;
    struct asked asked = taken("idmp,web-17,000231,Timeout,200,META,ks,bank,read,Session,ACK,"
                               "ANY 2 ON durable,SESSION,tok,LEADERWINDOW,60s,FALLBACK,FAIL",
                               true);
    assert_int_equal(asked.given, 0x1ff);
    assert_int_equal(asked.read.level, READ_SESSION);
    assert_int_equal(asked.timeout_ms, 200);
    assert_int_equal(asked.window_ms, 60000);
    assert_word(asked.keyspace, "bank");
    assert_true(asked.ack.kind == ACK_ANY && asked.ack.n == 2);
    assert_word(asked.token, "tok");
    assert_word(asked.pid, "web-17");
    assert_word(asked.iid, "000231");
    asked = taken("META,READ,bounded:5s", true);
    assert_int_equal(asked.given, ASKED_META | ASKED_READ);
    assert_int_equal(asked.read.bound, 5000);
    assert_int_equal(taken("TIMEOUT,1", false).timeout_ms, 1);
    asked = taken("READ,snapshot:3-17,TIMEOUT,3600000", false);
    assert_int_equal(asked.read.group, 3);
    assert_int_equal(asked.timeout_ms, 3600000);
    struct text none = { 0 };
    assert_true(asked_read(&asked, NULL, 0, &by, &none));
    assert_int_equal(asked.given, 0);
}

static void test_a_value_may_be_an_options_name(void **state)
{
    (void)state;
    struct asked asked = taken("KS,READ,IDMP,META,KS,SESSION,IDMP", true);
    assert_int_equal(asked.given, ASKED_KS | ASKED_IDMP | ASKED_SESSION);
    assert_word(asked.keyspace, "READ");
    assert_word(asked.iid, "KS");
    assert_word(asked.token, "IDMP");
}

static void test_each_refusal_says_what_was_wrong(void **state)
{
    (void)state;
    refused("SPEED,high", true,
            "ERR syntax error: unknown option 'SPEED'" NOT_APPLIED "; the options are READ, ACK, "
            "FALLBACK, TIMEOUT, KS, META, SESSION, LEADERWINDOW, IDMP");
    refused("SPEED,high", false,
            "ERR syntax error: unknown option 'SPEED'" NOT_APPLIED "; the options are READ, ACK, "
            "FALLBACK, TIMEOUT, LEADERWINDOW; SHOW and RESET stand alone");
    refused("READ", true, "ERR syntax error: 'READ' has no value" NOT_APPLIED);
    refused("META,timeout", true, "ERR syntax error: 'timeout' has no value" NOT_APPLIED);
    refused("IDMP,p", true, "ERR syntax error: 'IDMP' wants two words, pid and iid" NOT_APPLIED);
    refused("READ,local,read,local", true, "ERR syntax error: 'read' stands twice" NOT_APPLIED);
    refused("META,READ,local,meta", true, "ERR syntax error: 'meta' stands twice" NOT_APPLIED);
    refused("READ,", true,
            "ERR syntax error: unknown READ level ''" NOT_APPLIED
            "; use one of linearizable, session, bounded, snapshot, local");
    refused("READ,local:1", true,
            "ERR syntax error: READ 'local:1': this level has no parameter" NOT_APPLIED);
    refused("READ,bounded", true,
            "ERR syntax error: READ 'bounded': a bound is a time such as 500ms, 5s or 2m up to a "
            "day, or a number of operations such as 100ops up to 2147483647" NOT_APPLIED);
    refused("READ,snapshot:3", true,
            "ERR syntax error: READ 'snapshot:3': a position is told as <group>-<slot>, such as "
            "3-17" NOT_APPLIED);
    refused("ACK,", true,
            "ERR syntax error: ACK '' is none of LOCAL | ANY k | MAJORITY | QUORUM | ALL | EACH "
            "zone | w=n [OF zone] [ON received|durable|applied]" NOT_APPLIED);
    refused("FALLBACK,now", true,
            "ERR syntax error: FALLBACK is fail or async, not 'now'" NOT_APPLIED);
    refused("KS,", true, "ERR syntax error: KS '' is no name of a keyspace" NOT_APPLIED);
    refused("SESSION,", true,
            "ERR syntax error: SESSION '' is no token of SESSION TOKEN" NOT_APPLIED);
    refused(
        "LEADERWINDOW,0", true,
        "ERR syntax error: LEADERWINDOW is a time such as 60s up to a day, not '0'" NOT_APPLIED);
    refused("IDMP,,1", true,
            "ERR syntax error: IDMP '': pid and iid have 1 to 64 bytes" NOT_APPLIED);
    refused("IDMP,1,", true,
            "ERR syntax error: IDMP '': pid and iid have 1 to 64 bytes" NOT_APPLIED);
}

static void test_a_timeout_is_a_number_within_bounds(void **state)
{
    (void)state;
    static const char *const wrong[] = { "", "0", "-1", "3600001", "1s", "99999999999999999999" };
    char words[64], expected[128];
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        snprintf(words, sizeof words, "TIMEOUT,%s", wrong[i]);
        snprintf(expected, sizeof expected,
                 "ERR syntax error: TIMEOUT is 1 to 3600000 milliseconds, not '%s'" NOT_APPLIED,
                 wrong[i]);
        refused(words, false, expected);
    }
}

static void test_words_are_no_longer_than_they_may_be(void **state)
{
    (void)state;
    static const struct {
        const char *before, *behind;
    } options[] = { { "KS,", "" }, { "IDMP,", ",1" }, { "IDMP,1,", "" } };
    char longest[66], words[200], why[300];
    struct asked asked;
    memset(longest, 'x', 65);
    longest[65] = 0;
    for (size_t i = 0; i < ARRAY_COUNT(options); i++) {
        snprintf(words, sizeof words, "%s%s%s", options[i].before, longest, options[i].behind);
        assert_false(reads(words, true, &asked, why));
        snprintf(words, sizeof words, "%s%s%s", options[i].before, longest + 1, options[i].behind);
        assert_true(reads(words, true, &asked, why));
    }
    char token[TOKEN_TEXT_MAX + 1];
    memset(token, 'x', sizeof token);
    struct text text = text_in(why, sizeof why);
    struct span argv[] = { SPAN_LITERAL("SESSION"), span_of(token, sizeof token) };
    by.with = true;
    assert_false(asked_read(&asked, argv, 2, &by, &text));
    argv[1].n--;
    assert_true(asked_read(&asked, argv, 2, &by, &text));
}

static void test_what_is_for_one_command_stands_in_WITH_alone(void **state)
{
    (void)state;
    static const char behind[] = " is about one command and stands in WITH alone" NOT_APPLIED;
    static const char *const options[] = { "KS,a", "META", "SESSION,t", "IDMP,p,1" };
    static const char *const names[] = { "KS", "META", "SESSION", "IDMP" };
    char expected[128];
    for (size_t i = 0; i < ARRAY_COUNT(options); i++) {
        snprintf(expected, sizeof expected, "ERR syntax error: '%s'%s", names[i], behind);
        refused(options[i], false, expected);
        taken(options[i], true);
    }
}

static void test_what_contradicts_another_option_is_refused(void **state)
{
    (void)state;
    static const char window[] = " contradicts another option: LEADERWINDOW is about reads of a "
                                 "session" NOT_APPLIED;
    static const char session[] = " contradicts another option: SESSION asks for more than "
                                  "that" NOT_APPLIED;
    char expected[200];
    static const char *const levels[] = { "linearizable", "local", "bounded", "snapshot" };
    static const char *const words[] = { "linearizable", "local", "bounded:5s", "snapshot:3-17" };
    for (size_t i = 0; i < ARRAY_COUNT(levels); i++) {
        char line[100];
        snprintf(line, sizeof line, "LEADERWINDOW,5s,READ,%s", words[i]);
        snprintf(expected, sizeof expected, "ERR syntax error: READ %s%s", levels[i], window);
        refused(line, false, expected);
        refused(line, true, expected);
    }
    snprintf(expected, sizeof expected, "ERR syntax error: READ local%s", session);
    refused("SESSION,t,READ,local", true, expected);
    snprintf(expected, sizeof expected, "ERR syntax error: READ snapshot%s", session);
    refused("READ,snapshot:3-17,SESSION,t", true, expected);
    taken("LEADERWINDOW,5s,READ,session", false);
    taken("LEADERWINDOW,5s", false);
    taken("SESSION,t,READ,bounded:5s", true);
    taken("SESSION,t,READ,linearizable", true);
    taken("SESSION,t", true);
}

static void test_what_cannot_be_given_is_no_weaker_one_U3(void **state)
{
    (void)state;
    refused("READ,leader", true,
            "LEVEL strategy raft does not give reads at level 'leader'" NOT_APPLIED
            "; it gives linearizable, session, bounded, snapshot, local");
    refused("ACK,LOCAL", true,
            "LEVEL strategy raft does not give ACK 'LOCAL'" NOT_APPLIED "; it gives ALL, ANY; ON "
            "durable");
    refused("FALLBACK,async", true,
            "LEVEL strategy raft never acknowledges less than was asked for: FALLBACK 'async' is "
            "not given, fail is" NOT_APPLIED);
}

static void test_what_comes_later_changes_what_it_names_alone(void **state)
{
    (void)state;
    struct asked asked = taken("READ,bounded:5s,TIMEOUT,100", false);
    struct asked later = taken("TIMEOUT,200,LEADERWINDOW,5s", false);
    asked_merge(&asked, &later);
    assert_int_equal(asked.given, ASKED_READ | ASKED_TIMEOUT | ASKED_LEADERWINDOW);
    assert_true(asked.read.level == READ_BOUNDED && asked.read.bound == 5000);
    assert_true(asked.timeout_ms == 200 && asked.window_ms == 5000);
    later = taken("READ,local", false);
    asked_merge(&asked, &later);
    assert_true(asked.read.level == READ_LOCAL && asked.read.bound == 0);
    assert_true(asked.timeout_ms == 200 && asked.window_ms == 5000);
    later = taken("ACK,ALL", false);
    asked_merge(&asked, &later);
    assert_int_equal(asked.ack.kind, ACK_ALL);
    later = taken("FALLBACK,fail", false);
    asked_merge(&asked, &later);
    assert_int_equal(asked.ack.kind, ACK_ALL);
    assert_true(asked.timeout_ms == 200 && asked.window_ms == 5000);
}

static void test_what_is_not_text_is_quoted_and_cut(void **state)
{
    (void)state;
    char why[300];
    struct asked asked;
    assert_false(reads("a\r\nb\001c'", false, &asked, why));
    assert_string_equal(
        why,
        "ERR syntax error: unknown option 'a??b?c?'" NOT_APPLIED
        "; the options are READ, ACK, FALLBACK, TIMEOUT, LEADERWINDOW; SHOW and RESET stand alone");
    assert_false(reads("01234567890123456789012345678901234567890", false, &asked, why));
    assert_string_equal(
        why,
        "ERR syntax error: unknown option '0123456789012345678901234567890123456789...'" NOT_APPLIED
        "; the options are READ, ACK, FALLBACK, TIMEOUT, LEADERWINDOW; SHOW and RESET stand alone");
}

static uint32_t command_at(const char *words, char why[300])
{
    static char line[300];
    struct span argv[WORDS];
    struct text text = text_in(why, 300);
    snprintf(line, sizeof line, "%s", words);
    return with_command_at(argv, split(line, argv), &text);
}

static void test_where_the_command_of_WITH_begins(void **state)
{
    (void)state;
    char why[300], words[100];
    assert_int_equal(command_at("WITH,2,a,b,GET", why), 4);
    assert_int_equal(command_at("WITH,1,a,b,GET", why), 3);
    assert_string_equal(why, "");
    struct span many[WITH_WORDS_MAX + 4];
    for (uint32_t i = 0; i < ARRAY_COUNT(many); i++) {
        many[i] = SPAN_LITERAL("a");
    }
    struct text text = text_in(why, sizeof why);
    many[1] = SPAN_LITERAL("64");
    assert_int_equal(with_command_at(many, WITH_WORDS_MAX + 3, &text), WITH_WORDS_MAX + 2);
    assert_int_equal(with_command_at(many, 1, &text), 0); /* what stands behind is not its own */
    many[1] = SPAN_LITERAL("65");
    assert_int_equal(with_command_at(many, WITH_WORDS_MAX + 4, &text), 0);
    assert_int_equal(command_at("WITH,3,a,b,GET", why), 0);
    assert_string_equal(why,
                        "ERR syntax error: no command follows the options of WITH" NOT_APPLIED);
    assert_int_equal(command_at("WITH,1,a,with,1", why), 0);
    assert_string_equal(why, "ERR syntax error: WITH stands inside of WITH" NOT_APPLIED);
    static const char *const wrong[] = { "", "0", "65", "-1", "two", "18446744073709551618" };
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        snprintf(words, sizeof words, "WITH,%s,a,GET", wrong[i]);
        assert_int_equal(command_at(words, why), 0);
        assert_string_equal(why, "ERR syntax error: WITH begins with how many words of options "
                                 "follow, 1 to 64" NOT_APPLIED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_come_in_any_order_and_any_case),
        cmocka_unit_test(test_a_value_may_be_an_options_name),
        cmocka_unit_test(test_each_refusal_says_what_was_wrong),
        cmocka_unit_test(test_a_timeout_is_a_number_within_bounds),
        cmocka_unit_test(test_words_are_no_longer_than_they_may_be),
        cmocka_unit_test(test_what_is_for_one_command_stands_in_WITH_alone),
        cmocka_unit_test(test_what_contradicts_another_option_is_refused),
        cmocka_unit_test(test_what_cannot_be_given_is_no_weaker_one_U3),
        cmocka_unit_test(test_what_comes_later_changes_what_it_names_alone),
        cmocka_unit_test(test_what_is_not_text_is_quoted_and_cut),
        cmocka_unit_test(test_where_the_command_of_WITH_begins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
