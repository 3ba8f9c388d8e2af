/* Patterns: known cases, a naive twin, and the trap of scenario 115. */
#include "harness.h"

#include "base/rng.h"
#include "engine/call.h"

#include <stdlib.h>

static bool match(const char *pattern, const char *text)
{
    return glob_match(span_of(pattern, strlen(pattern)), span_of(text, strlen(text)));
}

static void test_known_cases(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *text;
        bool matches;
    } cases[] = {
        { "*", "anything", true },
        { "a*", "a", true },
        { "a*", "ba", false },
        { "*a", "cba", true },
        { "*a", "ab", false },
        { "?", "a", true },
        { "?", "ab", false },
        { "h[ae]llo", "hallo", true },
        { "h[ae]llo", "hillo", false },
        { "h[^e]llo", "hallo", true },
        { "h[^e]llo", "hello", false },
        { "[a-c]", "b", true },
        { "[c-a]", "b", true },
        { "[a-c]", "d", false },
        { "\\*", "*", true },
        { "\\*", "a", false },
        { "\\?", "a", false },
        { "A", "a", false },
        { "[\\]]", "]", true },
        { "[]", "]", false },
        { "[abc", "b", true },
        { "[^", "x", true },
        { "a\\", "a\\", true },
        { "*b*c", "abbcbc", true },
        { "*b*c", "abbcb", false },
        { "a**b", "ab", true },
        { "ab", "abc", false },
        { "", "", true },
        { "*", "", false },
        { "a", "", false },
        { "[a-]", "b", false },
        { "[a-]", "]", true },
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        if (match(cases[i].pattern, cases[i].text) != cases[i].matches) {
            fail_msg("%s on %s", cases[i].pattern, cases[i].text);
        }
    }
}

/* The definition, tried in every way; only for '*', '?' and literals. */
static bool naive(const char *pattern, const char *text)
{
    if (*pattern == 0) {
        return *text == 0;
    }
    if (*pattern == '*') {
        return naive(pattern + 1, text) || (*text != 0 && naive(pattern, text + 1));
    }
    return *text != 0 && (*pattern == '?' || *pattern == *text) && naive(pattern + 1, text + 1);
}

static void fill(struct rng *rng, const char *alphabet, char *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        out[i] = alphabet[rng_below(rng, strlen(alphabet))];
    }
    out[n] = 0;
}

static void test_against_the_definition(void **state)
{
    (void)state;
    struct rng rng = rng_from(115);
    unsigned matches = 0;
    for (int i = 0; i < 200000; i++) {
        char pattern[9], text[9];
        fill(&rng, "ab*?", pattern, rng_below(&rng, sizeof pattern));
        fill(&rng, "ab", text, 1 + rng_below(&rng, sizeof text - 1));
        bool expected = naive(pattern, text);
        if (match(pattern, text) != expected) {
            fail_msg("%s on %s", pattern, text);
        }
        matches += expected;
    }
    assert_true(matches > 20000);
}

/* Random bytes as patterns: whatever they mean, nothing outside of them is read (ASan watches). */
static void test_any_bytes_are_a_pattern(void **state)
{
    (void)state;
    static const char alphabet[] = "[]^-\\*?a\xff";
    struct rng rng = rng_from(7);
    for (int i = 0; i < 100000; i++) {
        size_t n = rng_below(&rng, 12), m = rng_below(&rng, 6);
        uint8_t *pattern = malloc(n + 1), *text = malloc(m + 1);
        assert_true(pattern != NULL && text != NULL);
        uint8_t *exact_pattern = realloc(pattern, n > 0 ? n : 1);
        uint8_t *exact_text = realloc(text, m > 0 ? m : 1);
        for (size_t j = 0; j < n; j++) {
            exact_pattern[j] = (uint8_t)alphabet[rng_below(&rng, sizeof alphabet - 1)];
        }
        for (size_t j = 0; j < m; j++) {
            exact_text[j] = (uint8_t)alphabet[rng_below(&rng, sizeof alphabet - 1)];
        }
        (void)glob_match(span_of(exact_pattern, n), span_of(exact_text, m));
        free(exact_pattern);
        free(exact_text);
    }
}

/* Scenario 115: exponential matchers never come back from this. */
static void test_scenario_115_many_stars_are_no_trap(void **state)
{
    (void)state;
    static char pattern[2002], text[65536];
    for (size_t i = 0; i < 2000; i += 2) {
        pattern[i] = 'a';
        pattern[i + 1] = '*';
    }
    pattern[2000] = 'b';
    memset(text, 'a', sizeof text - 1);
    assert_false(match(pattern, text));
    text[sizeof text - 2] = 'b';
    assert_true(match(pattern, text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_cases),
        cmocka_unit_test(test_against_the_definition),
        cmocka_unit_test(test_any_bytes_are_a_pattern),
        cmocka_unit_test(test_scenario_115_many_stars_are_no_trap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
