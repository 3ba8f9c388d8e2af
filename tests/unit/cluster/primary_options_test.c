/* The options of STRATEGY primary: what is understood and reads back the same, and each refusal in
 * its words (features R2 to R4, U3, L12). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cluster/primary_options.h"

#define WHY_BYTES 320
#define WORDS_MAX 16
#define UNCHANGED ", nothing was changed"

/* Words between blanks; in quotes blanks belong to the word. */
static uint32_t words_of(const char *line, struct span *words)
{
    uint32_t n = 0;
    while (*line != 0) {
        char end = *line == '"' ? '"' : ' ';
        line += end == '"';
        size_t length = strcspn(line, end == '"' ? "\"" : " ");
        assert_true(n < WORDS_MAX);
        words[n++] = span_of(line, length);
        line += length;
        line += *line == '"';
        line += *line == ' ';
    }
    return n;
}

static bool read(struct primary_options *o, const char *line, char *why)
{
    struct span words[WORDS_MAX];
    struct text text = text_in(why, WHY_BYTES);
    bool valid = primary_options_read(o, words, words_of(line, words), &text);
    assert_false(text.cut);
    return valid;
}

static void assert_reads_as(const char *line, const char *expected)
{
    char why[WHY_BYTES], back[PRIMARY_OPTIONS_BYTES];
    struct text out = text_in(back, sizeof back);
    struct primary_options o = primary_options_default(), again = primary_options_default();
    assert_true(read(&o, line, why));
    primary_options_put(&out, &o);
    assert_false(out.cut);
    assert_string_equal(back, expected);
    assert_true(read(&again, back, why));
    assert_memory_equal(&o, &again, sizeof o);
}

static void test_options_read_back_the_same(void **state)
{
    (void)state;
    static const char *const same[] = {
        "ACK \"LOCAL ON received\" FALLBACK fail LOG logical APPENDFSYNC everysec",
        "ACK \"ANY 2 OF a ON durable\" FALLBACK async LOG statement APPENDFSYNC always",
        "ACK \"ALL ON durable\" FALLBACK fail MAXLAG 500ms LOG logical APPENDFSYNC always",
        "ACK \"ALL ON durable\" FALLBACK fail LOG logical APPENDFSYNC always FEED zone",
        "ACK \"LOCAL ON durable\" FALLBACK fail LOG statement APPENDFSYNC always FEED follower",
        "ACK \"ALL OF b-1 ON received\" FALLBACK fail MAXLAG 10s LAGGING STALL LOG logical "
        "APPENDFSYNC everysec",
        "ACK \"ANY 1 ON durable\" FALLBACK fail MAXLAG 7ops LAGGING REJECT LOG logical "
        "APPENDFSYNC always",
        "ACK \"ANY 1 ON durable\" FALLBACK fail MAXLAG 7b LAGGING DROP LOG logical "
        "APPENDFSYNC always",
        "ACK \"ANY 1 ON durable\" FALLBACK fail MAXLAG 86400s LAGGING REJECT LOG logical "
        "APPENDFSYNC always",
        "ACK \"ANY 255 OF 1234567890123456789012345678901 ON received\" FALLBACK async "
        "MAXLAG 9223372036854775807b LAGGING REJECT LOG statement APPENDFSYNC everysec",
    };
    for (size_t i = 0; i < ARRAY_COUNT(same); i++) {
        assert_reads_as(same[i], same[i]);
    }
    assert_reads_as("", "ACK \"ANY 1 ON durable\" FALLBACK fail LOG logical APPENDFSYNC always");
    assert_reads_as("maxlag 1kb log STATEMENT lagging stall",
                    "ACK \"ANY 1 ON durable\" FALLBACK fail MAXLAG 1024b LAGGING STALL "
                    "LOG statement APPENDFSYNC always");
    assert_reads_as("MAXLAG 60000ms", "ACK \"ANY 1 ON durable\" FALLBACK fail MAXLAG 60s "
                                      "LOG logical APPENDFSYNC always");
}

static void test_maxlag_0_takes_the_rest_with_it(void **state)
{
    (void)state;
    char why[WHY_BYTES];
    struct primary_options o = primary_options_default(), none = o;
    assert_true(read(&o, "MAXLAG 5mb LAGGING STALL", why));
    assert_int_equal(o.maxlag, 5 << 20);
    assert_int_equal(o.maxlag_unit, MAXLAG_BYTES);
    assert_true(read(&o, "MAXLAG 3s", why));
    assert_int_equal(o.maxlag_unit, MAXLAG_TIME);
    assert_true(read(&o, "MAXLAG 1000ops", why));
    assert_int_equal(o.maxlag, 1000);
    assert_int_equal(o.maxlag_unit, MAXLAG_OPERATIONS);
    assert_true(read(&o, "MAXLAG 0", why));
    assert_memory_equal(&o, &none, sizeof o);
}

#define MAXLAG_IS                                                                                \
    "ERR MAXLAG is a time such as 500ms or 10s, a number of bytes such as 64mb or of operations " \
    "such as 1000ops, or 0 for none, not "

static void test_what_is_no_option_is_refused_in_words(void **state)
{
    (void)state;
    static const struct {
        const char *line, *why;
    } bad[] = {
        { "QUORUM 2",
          "ERR strategy primary has no option 'QUORUM': ACK, FALLBACK, MAXLAG, LAGGING, "
          "LOG, APPENDFSYNC and FEED" UNCHANGED },
        { "FEED me", "ERR FEED is primary, zone or follower, not 'me'" UNCHANGED },
        { "LOG", "ERR option 'LOG' has no value" UNCHANGED },
        { "LOG logical log logical", "ERR option 'log' is given twice" UNCHANGED },
        { "LOG rows", "ERR LOG is logical or statement, not 'rows'" UNCHANGED },
        { "APPENDFSYNC no", "ERR APPENDFSYNC is always or everysec, not 'no'" UNCHANGED },
        { "FALLBACK sync", "ERR FALLBACK is fail or async, not 'sync'" UNCHANGED },
        { "LAGGING wait", "ERR LAGGING is STALL, DROP or REJECT, not 'wait'" UNCHANGED },
        { "MAXLAG 5", MAXLAG_IS "'5'" UNCHANGED },
        { "MAXLAG 0s", MAXLAG_IS "'0s'" UNCHANGED },
        { "MAXLAG 0mb", MAXLAG_IS "'0mb'" UNCHANGED },
        { "MAXLAG s", MAXLAG_IS "'s'" UNCHANGED },
        { "MAXLAG ops", MAXLAG_IS "'ops'" UNCHANGED },
        { "MAXLAG 0ops", MAXLAG_IS "'0ops'" UNCHANGED },
        { "MAXLAG 9223372036854775808ops", MAXLAG_IS "'9223372036854775808ops'" UNCHANGED },
        { "MAXLAG -1s", MAXLAG_IS "'-1s'" UNCHANGED },
        { "MAXLAG 86401s", MAXLAG_IS "'86401s'" UNCHANGED },
        { "MAXLAG 86400001ms", MAXLAG_IS "'86400001ms'" UNCHANGED },
        { "MAXLAG 9223372036854775808b", MAXLAG_IS "'9223372036854775808b'" UNCHANGED },
        { "MAXLAG \"\"", MAXLAG_IS "''" UNCHANGED },
        { "ACK MAJORITY",
          "LEVEL strategy primary does not give ACK 'MAJORITY', the command was not applied; it "
          "gives ALL, ANY, LOCAL; ON durable, received, applied" },
        { "ACK \"ALL ON disk\"",
          "ERR syntax error: ACK 'ALL ON disk' is none of LOCAL | ANY k | MAJORITY | QUORUM | ALL "
          "| "
          "EACH zone | w=n [OF zone] [ON received|durable|applied], the command was not applied" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        char why[WHY_BYTES];
        struct primary_options o = primary_options_default(), before = o;
        assert_false(read(&o, bad[i].line, why));
        assert_string_equal(why, bad[i].why);
        assert_memory_equal(&o, &before, sizeof o);
    }
}

/* O2, U3: no silent downgrade by what stood there before. */
static void test_a_fallback_never_weakens_another_ack_unsaid(void **state)
{
    (void)state;
    static const char *const others[] = { "ACK \"ANY 2\"", "ACK ALL", "ACK \"ANY 1 OF a\"",
                                          "ACK \"ANY 1 ON received\"" };
    char why[WHY_BYTES];
    struct primary_options o = primary_options_default();
    assert_true(read(&o, "ACK \"ANY 1\" FALLBACK async", why));
    for (size_t i = 0; i < ARRAY_COUNT(others); i++) {
        struct primary_options after = o;
        assert_false(read(&after, others[i], why));
        assert_string_equal(why, "ERR FALLBACK async was said beside another ACK and would weaken "
                                 "this one: say FALLBACK fail or FALLBACK async again" UNCHANGED);
        assert_memory_equal(&after, &o, sizeof o);
    }
    assert_true(read(&o, "ACK \"ANY 1\"", why));
    assert_true(read(&o, "LOG statement", why));
    assert_true(read(&o, "ACK ALL FALLBACK async", why));
    assert_true(o.fallback_async);
    assert_true(read(&o, "ACK \"ANY 1\" FALLBACK fail", why));
    assert_false(o.fallback_async);
}

static void test_what_contradicts_itself_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        uint32_t replicas, in_zone;
        const char *why; /* NULL: it is possible */
    } cases[] = {
        { "", 2, 0, NULL },
        { "", 1, 0,
          "ERR ACK ANY 1 ON durable needs 1 beside the primary, REPLICAS leaves 0" UNCHANGED },
        { "ACK \"ANY 2\"", 3, 0, NULL },
        { "ACK \"ANY 3\"", 3, 0,
          "ERR ACK ANY 3 ON durable needs 3 beside the primary, REPLICAS leaves 2" UNCHANGED },
        { "ACK ALL", 2, 0, NULL },
        { "ACK ALL", 1, 0,
          "ERR ACK ALL ON durable needs 1 beside the primary, REPLICAS leaves 0" UNCHANGED },
        { "ACK LOCAL", 1, 0, NULL },
        { "ACK \"LOCAL OF a\"", 3, 3,
          "ERR ACK LOCAL OF a ON durable names a zone, and LOCAL waits for no other "
          "node" UNCHANGED },
        { "ACK \"ALL OF a\"", 3, 1, NULL },
        { "ACK \"ALL OF a\"", 3, 0,
          "ERR ACK ALL OF a ON durable names a zone that no node is in" UNCHANGED },
        { "ACK \"ANY 1 OF a\"", 3, 2, NULL },
        { "ACK \"ANY 2 OF a\"", 3, 2,
          "ERR ACK ANY 2 OF a ON durable needs 2 beside the primary, where one of the zone leads "
          "it "
          "has 1" UNCHANGED },
        { "ACK LOCAL FALLBACK async", 3, 0,
          "ERR ACK LOCAL ON durable waits for no other node, so there is nothing to fall back "
          "from: "
          "leave FALLBACK async out" UNCHANGED },
        { "APPENDFSYNC everysec", 3, 0,
          "ERR ACK ANY 1 ON durable contradicts APPENDFSYNC everysec, which would hold each write "
          "for up to a second: say ON received, or always" UNCHANGED },
        { "ACK \"LOCAL ON received\" APPENDFSYNC everysec", 1, 0, NULL },
        { "ACK \"LOCAL ON received\"", 3, 0,
          "ERR ACK LOCAL ON received where nobody else may have the write: a restart of the "
          "primary would lose it without a name; say APPENDFSYNC everysec, or ON "
          "durable" UNCHANGED },
        { "ACK \"ANY 1 ON received\" FALLBACK async APPENDFSYNC everysec", 3, 0, NULL },
        { "ACK \"ANY 1 ON received\" FALLBACK async", 3, 0,
          "ERR ACK ANY 1 ON received where nobody else may have the write: a restart of the "
          "primary would lose it without a name; say APPENDFSYNC everysec, or ON "
          "durable" UNCHANGED },
        { "LAGGING REJECT", 3, 0,
          "ERR LAGGING says what happens beyond MAXLAG, and there is none" UNCHANGED },
        { "LAGGING REJECT MAXLAG 1s", 3, 0, NULL },
        { "MAXLAG 1000ops", 3, 0, NULL },
        { "MAXLAG 64mb", 3, 0,
          "ERR LAGGING REJECT wants MAXLAG as a time or in operations: a follower cannot tell the "
          "bytes of what it does not have" UNCHANGED },
        { "ACK ALL MAXLAG 1s LAGGING DROP", 3, 0,
          "ERR ACK ALL ON durable needs every copy, and LAGGING DROP would leave one "
          "out" UNCHANGED },
        { "ACK ALL MAXLAG 1s LAGGING STALL", 3, 0, NULL },
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        char why[WHY_BYTES];
        struct primary_options o = primary_options_default();
        assert_true(read(&o, cases[i].line, why));
        struct text text = text_in(why, sizeof why);
        bool possible = primary_options_check(&o, cases[i].replicas, cases[i].in_zone, &text);
        assert_false(text.cut);
        assert_string_equal(why, cases[i].why == NULL ? "" : cases[i].why);
        assert_int_equal(possible, cases[i].why == NULL);
    }
}

static void test_what_is_wished_of_group_0(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        uint16_t zone, set_of;
        uint8_t set_count, copies;
        bool sound;
    } cases[] = {
        { "ACK LOCAL", 0, 0, 0, 0, true },
        { "ACK \"ANY 2\"", 0, 0, 0, 2, true },
        { "ACK ALL", 0, 0x07, 0, 0, true },
        { "ACK \"ALL OF a\"", 0x0a, 0x0a, 0, 0, true },
        { "ACK \"ANY 1 OF a\"", 0x06, 0x06, 1, 0, true },
        /* None of the members is there any more: never LOCAL instead. */
        { "ACK \"ALL OF a\"", 0x18, 0x18, 0, 0, false },
        { "ACK \"ALL OF a\"", 0, 0x8000, 0, 0, false },
        { "ACK \"ANY 1 OF a\"", 0, 0x8000, 1, 0, false },
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        char why[WHY_BYTES];
        struct primary_options o = primary_options_default();
        assert_true(read(&o, cases[i].line, why));
        struct succession_wish wish = primary_options_wish(&o, 0x07, cases[i].zone);
        assert_int_equal(wish.members, 0x07);
        assert_int_equal(wish.set_of, cases[i].set_of);
        assert_int_equal(wish.set_count, cases[i].set_count);
        assert_int_equal(wish.copies, cases[i].copies);
        assert_int_equal(succession_wish_is_sound(&wish), cases[i].sound);
    }
    char why[WHY_BYTES];
    struct primary_options o = primary_options_default();
    assert_true(read(&o, "ACK \"ANY 1 ON received\" FALLBACK async", why));
    assert_int_equal(primary_options_wish(&o, 0x07, 0).stage, ACK_RECEIVED);
    assert_true(primary_options_wish(&o, 0x07, 0).fallback);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_read_back_the_same),
        cmocka_unit_test(test_maxlag_0_takes_the_rest_with_it),
        cmocka_unit_test(test_what_is_no_option_is_refused_in_words),
        cmocka_unit_test(test_a_fallback_never_weakens_another_ack_unsaid),
        cmocka_unit_test(test_what_contradicts_itself_is_refused),
        cmocka_unit_test(test_what_is_wished_of_group_0),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
