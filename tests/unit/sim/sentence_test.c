/* What the simulator's guest says (sim/nodes/sentence.h): every command there is, but for those
 * that all others in his world depend on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "command/command.h"
#include "sim/nodes/sentence.h"

#include <stdio.h>
#include <string.h>

#define SENTENCES 60000
#define TAGS 4096u

static const char *const unsaid[] = { "flushall",      "flushdb",       "shutdown",
                                      "swapdb",        "member|add",    "member|remove",
                                      "member|demote", "member|promote", "member|set",
                                      "member|drain",  "config|set" };

static bool begins_with(const struct sentence *s, const char *name)
{
    for (uint32_t i = 0; *name != 0; i++) {
        size_t n = strcspn(name, "|");
        if (i == s->count || s->at[i + 1] - s->at[i] != n ||
            memcmp(s->text + s->at[i], name, n) != 0) {
            return false;
        }
        name += n + (name[n] != 0);
    }
    return true;
}

static void test_every_command_is_said_but_those_that_others_depend_on(void **state)
{
    (void)state;
    static uint32_t said[TAGS];
    struct rng rng = rng_from(1);
    struct sentence *s = qr_zalloc(sizeof *s);
    for (uint32_t i = 0; i < SENTENCES; i++) {
        sentence_draw(s, &rng, span_of("", 0));
        for (uint32_t tag = 0; tag < TAGS; tag++) {
            const struct command_spec *spec = command_by_tag((uint16_t)tag);
            said[tag] += spec != NULL && begins_with(s, spec->name);
        }
    }
    uint32_t commands = 0;
    for (uint32_t tag = 0; tag < TAGS; tag++) {
        const struct command_spec *spec = command_by_tag((uint16_t)tag);
        bool may_be = spec != NULL;
        for (size_t i = 0; spec != NULL && i < sizeof unsaid / sizeof unsaid[0]; i++) {
            may_be = may_be && strcmp(spec->name, unsaid[i]) != 0;
        }
        if (spec != NULL && may_be != (said[tag] > 0)) {
            fail_msg("%s is said %u times", spec->name, (unsigned)said[tag]);
        }
        commands += spec != NULL;
    }
    assert_true(commands > 100);
    free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_command_is_said_but_those_that_others_depend_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
