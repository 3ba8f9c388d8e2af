/* When the chores of a node run (chores.h), without a node. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/chores.h"
#include "protocol/protocol.h"

#define NOW QR_SECOND
#define LATER (2 * QR_SECOND)

static bool due(const struct chores *c)
{
    return chores_due(c, false, NOW, LATER, 0);
}

static void test_nothing_but_commands_does_not_make_them_run(void **state)
{
    (void)state;
    struct chores c = { .position = 100 };
    assert_false(due(&c));
    assert_false(chores_due(&c, false, LATER - 1, LATER, 99));
}

static void test_whatever_else_does_C1_C2_C3(void **state)
{
    (void)state;
    struct chores c = { .position = 100 };
    struct chores stirred = { .position = 100, .stirred = true };
    struct chores stays = { .position = 100, .stays = true };
    assert_true(chores_due(&c, true, NOW, LATER, 0));
    assert_true(chores_due(&c, false, LATER, LATER, 0));
    assert_true(chores_due(&c, false, NOW, LATER, 100));
    assert_true(due(&stirred));
    assert_true(due(&stays));
}

/* Each change of what chores act upon is looked at, once. */
static void changed(struct chores *c, const struct outlook *o)
{
    chores_outlook(c, o);
    assert_true(c->stirred);
    c->stirred = false;
    chores_outlook(c, o);
    assert_false(c->stirred);
}

static void test_what_a_step_changes_of_leadership_and_members_is_looked_at_C1(void **state)
{
    (void)state;
    struct chores c = { 0 };
    struct outlook o = { .role = ROLE_FOLLOWER, .leader = NODE_NONE, .transfer_to = NODE_NONE };
    changed(&c, &o);
    o.term = 1;
    changed(&c, &o);
    o.role = ROLE_LEADER;
    changed(&c, &o);
    o.leader = 2;
    changed(&c, &o);
    o.can_serve = true;
    changed(&c, &o);
    o.transfer_to = 1;
    changed(&c, &o);
    o.transfer_to = NODE_NONE;
    changed(&c, &o);
    o.membership_slot = 7;
    changed(&c, &o);
    o.commit = 7; /* it is decided */
    changed(&c, &o);
    o.forgetful = true;
    changed(&c, &o);
    o.skewed = true;
    changed(&c, &o);
    o.stands_back = true;
    changed(&c, &o);
}

static void test_entries_that_come_and_are_committed_are_not(void **state)
{
    (void)state;
    struct chores c = { 0 };
    struct outlook o = { .role = ROLE_LEADER, .term = 3, .commit = 5, .last = 6 };
    changed(&c, &o);
    o.commit = o.last = 900;
    o.room = 3;
    o.member[1].match = 800;
    chores_outlook(&c, &o);
    assert_false(c.stirred);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_but_commands_does_not_make_them_run),
        cmocka_unit_test(test_whatever_else_does_C1_C2_C3),
        cmocka_unit_test(test_what_a_step_changes_of_leadership_and_members_is_looked_at_C1),
        cmocka_unit_test(test_entries_that_come_and_are_committed_are_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
