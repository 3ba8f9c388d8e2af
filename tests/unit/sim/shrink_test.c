/* What a seed that fails needs to fail (sim/nodes/shrink.c), of seeds of which it is known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "sim/nodes/run.h"

#include <stdlib.h>
#include <string.h>

#define RUNS_MAX 1000u

static struct {
    uint64_t needed;  /* kinds without any of which it does not fail */
    uint64_t instead; /* without them it fails in other words */
    uint64_t there;   /* kinds that befall somebody */
    uint64_t follows; /* a kind that comes when another one does not (those of `displaced`) */
    uint64_t displaced;
    uint64_t delays; /* while it comes it does not fail in less than 10 s */
    qr_time safety;  /* in less it does not fail */
    uint32_t runs;
    const char *node; /* that it is seen at, from the second run on */
} seed;

static uint64_t bit(uint32_t kind)
{
    return (uint64_t)1 << kind;
}

const char *fault_name(uint32_t i)
{
    static const char *const names[FAULTS] = {
#define FAULT(name, weight, text) #name,
#include "sim/nodes/faults.def"
#undef FAULT
    };
    return names[i];
}

void run_seed(uint64_t number, const struct run_choice *choice, FILE *trace, FILE *history,
              struct run_report *out)
{
    (void)trace;
    (void)history;
    *out = (struct run_report){ .digest = number };
    assert_true(++seed.runs < RUNS_MAX);
    uint64_t there = seed.there;
    there |= (choice->without & seed.displaced) != 0 ? seed.follows : 0;
    there &= ~choice->without;
    for (uint32_t i = 0; i < FAULTS; i++) {
        out->befell[i] = there >> i & 1;
    }
    qr_time safety = (there & seed.delays) != 0 ? 10 * QR_SECOND : seed.safety;
    if (choice->safety < safety || (choice->without & seed.needed) != 0) {
        return;
    }
    bool others = (choice->without & seed.instead) != 0;
    (void)snprintf(out->failure, sizeof out->failure, "%s%s %u of 7",
                   seed.runs > 1 ? seed.node : "n1: ", others ? "a lock is held" : "it lacks slot",
                   seed.runs);
}

static int begin(void **state)
{
    (void)state;
    memset(&seed, 0, sizeof seed);
    seed.node = "n1: ";
    seed.there = bit(FAULT_kill) | bit(FAULT_wall) | bit(FAULT_slow) | bit(FAULT_rot);
    seed.safety = 3 * QR_SECOND;
    return 0;
}

/* What it says; to be freed. */
static char *shrunk(struct run_choice choice)
{
    char *text = NULL;
    size_t n = 0;
    struct run_report found;
    run_seed(42, &choice, NULL, NULL, &found);
    assert_true(found.failure[0] != 0);
    FILE *terminal = stdout;
    stdout = open_memstream(&text, &n);
    shrink(42, choice, &found);
    fclose(stdout);
    stdout = terminal;
    return text;
}

static void says(const char *needs, const char *options, struct run_choice choice)
{
    char expected[600];
    char *text = shrunk(choice);
    char *line = strchr(text, '\n');
    assert_non_null(line);
    *line = 0;
    assert_memory_equal(text, needs, strlen(needs));
    (void)snprintf(expected, sizeof expected, "--dice %u --seed 42 %s\n", RUN_DICE, options);
    assert_string_equal(line + 1, expected);
    free(text);
}

static void test_what_it_needs_is_named_and_the_rest_left_out(void **state)
{
    (void)state;
    seed.needed = bit(FAULT_kill) | bit(FAULT_wall);
    says("it needs kill, wall, and 3559 ms: n1: it lacks slot ", "--safety 3559 --without rot,slow",
         (struct run_choice){ .safety = SAFETY_TIME });
}

static void test_a_seed_that_needs_nothing_fails_without_faults(void **state)
{
    (void)state;
    seed.safety = 0;
    says("it needs 562 ms: n1: ", "--safety 562 --nodes 3 --without kill,rot,wall,slow",
         (struct run_choice){ .safety = 1000 * QR_MILLISECOND, .seats = 3 });
}

static void test_a_seed_that_needs_all_is_left_as_it_is(void **state)
{
    (void)state;
    seed.needed = seed.there;
    seed.safety = SAFETY_TIME;
    says("it needs kill, rot, wall, slow, and 20000 ms: ", "--safety 20000",
         (struct run_choice){ .safety = SAFETY_TIME });
}

static void test_what_was_left_out_before_stays_out(void **state)
{
    (void)state;
    seed.there |= bit(FAULT_cut);
    seed.needed = bit(FAULT_rot);
    says("it needs rot, and 3559 ms: ", "--safety 3559 --without kill,cut,wall,slow",
         (struct run_choice){ .safety = SAFETY_TIME, .without = bit(FAULT_cut) });
}

/* That it fails for another reason is another failure. */
static void test_other_words_are_another_failure(void **state)
{
    (void)state;
    seed.instead = bit(FAULT_slow);
    says("it needs slow, and 3559 ms: n1: it lacks slot", "--safety 3559 --without kill,rot,wall",
         (struct run_choice){ .safety = SAFETY_TIME });
}

/* Figures and the node differ from run to run; that it is no node's failure does not matter. */
static void test_the_node_it_is_seen_at_is_not_in_the_words(void **state)
{
    (void)state;
    seed.needed = bit(FAULT_kill);
    seed.node = "n7: ";
    says("it needs kill, and 3559 ms: n7: it lacks", "--safety 3559 --without rot,wall,slow",
         (struct run_choice){ .safety = SAFETY_TIME });
    seed.node = "";
    seed.runs = 0;
    says("it needs kill, and 3559 ms: it lacks", "--safety 3559 --without rot,wall,slow",
         (struct run_choice){ .safety = SAFETY_TIME });
}

/* Others come then: they are left out in another round. */
static void test_what_comes_in_its_place_is_left_out_too(void **state)
{
    (void)state;
    seed.needed = bit(FAULT_wall);
    seed.displaced = bit(FAULT_rot);
    seed.follows = bit(FAULT_power);
    says("it needs wall, and 3559 ms: ", "--safety 3559 --without kill,power,rot,slow",
         (struct run_choice){ .safety = SAFETY_TIME });
}

/* Without what delays it less time is enough. */
static void test_the_time_is_shortened_once_more_at_the_end(void **state)
{
    (void)state;
    seed.needed = bit(FAULT_kill);
    seed.delays = bit(FAULT_slow);
    says("it needs kill, and 3559 ms: ", "--safety 3559 --without rot,wall,slow",
         (struct run_choice){ .safety = SAFETY_TIME });
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_what_it_needs_is_named_and_the_rest_left_out, begin),
        cmocka_unit_test_setup(test_a_seed_that_needs_nothing_fails_without_faults, begin),
        cmocka_unit_test_setup(test_a_seed_that_needs_all_is_left_as_it_is, begin),
        cmocka_unit_test_setup(test_what_was_left_out_before_stays_out, begin),
        cmocka_unit_test_setup(test_other_words_are_another_failure, begin),
        cmocka_unit_test_setup(test_the_node_it_is_seen_at_is_not_in_the_words, begin),
        cmocka_unit_test_setup(test_what_comes_in_its_place_is_left_out_too, begin),
        cmocka_unit_test_setup(test_the_time_is_shortened_once_more_at_the_end, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
