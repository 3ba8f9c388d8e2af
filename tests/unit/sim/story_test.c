/* What the clients of whole nodes are judged by (sim/nodes/story.c): a true story is good, and no
 * change to it goes unseen on its way through the lines of a history to the checkers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/alloc.h"
#include "sim/nodes/story.h"

#include <stdio.h>
#include <string.h>

static struct story story;
static char verdict[400];

struct process *memory_for(struct process *process)
{
    return process;
}

static int begin(void **state)
{
    (void)state;
    story_free(&story);
    story = (struct story){ .n = 0 };
    return 0;
}

/* One after the other; the next one begins when this one has ended. */
static struct deed *tell(enum op_kind kind, const char *key, const char *argument,
                         enum result_kind result, const char *value)
{
    struct deed d = { .asker = (uint32_t)story.n % 3,
                      .session = (uint32_t)story.n % 3,
                      .kind = kind,
                      .start = 10 * (qr_time)story.n,
                      .result = RESULT_UNKNOWN,
                      .end = INT64_MAX };
    (void)snprintf(d.key, sizeof d.key, "%s", key);
    (void)snprintf(d.argument, sizeof d.argument, "%s", argument);
    size_t at = story_ask(&story, &d);
    struct deed *told = &story.v[at];
    if (result != RESULT_UNKNOWN) {
        story_tell(told, result, span_of(value, strlen(value)), told->start + 5);
    }
    return told;
}

enum { LIST_1, LIST_2, LIST_3, LIST_READ, LIST_LAST, SET_1, SET_2, SET_READ, INCR_1, INCR_2,
       INCR_READ };

static void tell_true_one(void)
{
    tell(OP_APPEND, "l", "1,", RESULT_VALUE, "2");
    tell(OP_APPEND, "l", "2,", RESULT_VALUE, "4");
    tell(OP_APPEND, "l", "3,", RESULT_UNKNOWN, "");
    struct deed *read = tell(OP_GET, "l", "", RESULT_VALUE, "1,2,");
    (void)snprintf(read->level, sizeof read->level, "prefix");
    tell(OP_GET, "l", "", RESULT_VALUE, "1,2,3,");
    tell(OP_SET, "r", "a", RESULT_OK, "");
    tell(OP_SET, "r", "b", RESULT_OK, "");
    tell(OP_GET, "r", "", RESULT_VALUE, "b");
    tell(OP_INCR, "c", "", RESULT_VALUE, "1");
    tell(OP_INCR, "c", "", RESULT_VALUE, "2");
    tell(OP_GET, "c", "", RESULT_VALUE, "2");
}

static void say(struct deed *d, const char *value)
{
    free(d->value);
    d->value = qr_zalloc(strlen(value) + 1);
    memcpy(d->value, value, strlen(value));
}

static void test_a_true_story_is_good(void **state)
{
    (void)state;
    tell_true_one();
    assert_true(story_judge(&story, verdict, sizeof verdict));
}

static void test_each_change_is_seen(void **state)
{
    static const struct {
        uint32_t deed;
        const char *value; /* NULL: it is refused, but the story goes on as if it was not */
        const char *what;
    } changes[] = {
        { LIST_1, NULL, "NOT consistent prefix" }, /* a write that failed is there */
        { SET_2, NULL, "NOT linearizable" },
        { INCR_1, NULL, "NOT linearizable" },
        { LIST_LAST, "1,3,", "NOT consistent prefix" },    /* lost */
        { LIST_LAST, "1,", "NOT read your writes" },       /* less than was shown before */
        { LIST_LAST, "2,1,3,", "NOT consistent prefix" },  /* swapped */
        { LIST_READ, "2,", "NOT consistent prefix" },
        { LIST_LAST, "1,2,3,3,", "NOT consistent prefix" }, /* twice */
        { LIST_LAST, "1,2,3,4,", "NOT consistent prefix" }, /* out of nowhere */
        { LIST_LAST, "1,2,3", "NOT consistent prefix" },    /* torn */
        { LIST_2, "2", "NOT linearizable" },                /* a lost update, by what was told */
        { SET_READ, "a", "NOT linearizable" },              /* stale */
        { SET_READ, "z", "NOT linearizable" },
        { INCR_2, "1", "NOT linearizable" }, /* a lost update */
        { INCR_2, "3", "NOT linearizable" }, /* counted twice */
        { INCR_READ, "1", "NOT linearizable" },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(changes); i++) {
        (void)begin(NULL);
        tell_true_one();
        struct deed *d = &story.v[changes[i].deed];
        if (changes[i].value != NULL) {
            say(d, changes[i].value);
        } else {
            say(d, "");
            d->result = RESULT_FAIL;
        }
        bool good = story_judge(&story, verdict, sizeof verdict);
        if (good || strstr(verdict, changes[i].what) == NULL) {
            print_message("change %zu: %s\n", i, verdict);
        }
        assert_false(good);
        assert_non_null(strstr(verdict, changes[i].what));
    }
}

static void test_a_level_and_a_session_go_along(void **state)
{
    (void)state;
    tell(OP_APPEND, "l", "1,", RESULT_VALUE, "2");
    struct deed *read = tell(OP_GET, "l", "", RESULT_NIL, "");
    (void)snprintf(read->level, sizeof read->level, "session");
    assert_true(story_judge(&story, verdict, sizeof verdict));
    story.v[1].session = story.v[0].session;
    assert_false(story_judge(&story, verdict, sizeof verdict));
    assert_non_null(strstr(verdict, "NOT read your writes"));
    story.v[1].session = 7;
    story.v[1].level[0] = 0;
    assert_false(story_judge(&story, verdict, sizeof verdict));
    assert_non_null(strstr(verdict, "NOT linearizable"));
}

/* Else a seed would be clean of which nothing was judged. */
static void test_what_cannot_be_judged_is_not_good(void **state)
{
    (void)state;
    assert_false(story_judge(&story, verdict, sizeof verdict));
    assert_string_equal(verdict, "the history cannot be judged");
    tell(OP_SET, "r", "a", RESULT_OK, "");
    struct deed *read = tell(OP_GET, "r", "", RESULT_VALUE, "a");
    assert_true(story_judge(&story, verdict, sizeof verdict));
    (void)snprintf(read->level, sizeof read->level, "local"); /* of a register */
    assert_false(story_judge(&story, verdict, sizeof verdict));
    assert_string_equal(verdict, "the history cannot be judged");
}

static void test_what_a_model_judges_is_not_in_it(void **state)
{
    (void)state;
    tell(OP_SET, "r", "a", RESULT_OK, "");
    struct deed *read = tell(OP_GET, "r", "", RESULT_VALUE, "z");
    assert_false(story_judge(&story, verdict, sizeof verdict));
    read->apart = true;
    assert_true(story_judge(&story, verdict, sizeof verdict));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_a_true_story_is_good, begin),
        cmocka_unit_test_setup(test_each_change_is_seen, begin),
        cmocka_unit_test_setup(test_a_level_and_a_session_go_along, begin),
        cmocka_unit_test_setup(test_what_cannot_be_judged_is_not_good, begin),
        cmocka_unit_test_setup(test_what_a_model_judges_is_not_in_it, begin),
    };
    return cmocka_run_group_tests(tests, NULL, begin);
}
