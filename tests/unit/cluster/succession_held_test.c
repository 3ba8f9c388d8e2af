/* S7 and S11 of succession.h: what any member may speak for under LOCAL, and that one was chosen
 * who had forgotten. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cluster/succession.h"

#define ALL 0x07

static struct succession record;
static struct succession_wish wish;
static struct succession_scene now;

/* It is written down, for that reason. */
static const struct succession *write(enum succession_reason reason)
{
    struct succession_action a = succession_turn(&record, &wish, &now);
    assert_int_equal(a.kind, SUCCESSION_WRITE);
    assert_int_equal(a.reason, reason);
    record = a.next;
    for (node_index i = 0; i < 3; i++) {
        now.told[i].promised = record.term;
    }
    return &record;
}

static void assert_is(enum succession_kind kind)
{
    assert_int_equal(succession_turn(&record, &wish, &now).kind, kind);
}

/* Three members; node 0 leads term 1, which is settled. */
static int begin(void **state)
{
    (void)state;
    wish = (struct succession_wish){ .members = ALL, .copies = 1 };
    record = succession_first(&wish, 0);
    now = (struct succession_scene){ .alive = ALL, .caught = ALL, .to = NODE_NONE };
    for (node_index i = 0; i < 3; i++) {
        now.told[i] = (struct succession_told){
            .life = 10u + i, .promised = 1, .last_term = 1, .last_slot = 5, .handed_to = NODE_NONE
        };
    }
    write(SUCCESSION_CHOSEN);
    now.told[0].settled = 1;
    write(SUCCESSION_SETTLED);
    return 0;
}

/* Whoever may be chosen of LOCAL has what was asked for before, unless he has forgotten it. */
static void test_S7_any_member_will_do_when_all_have_caught_up(void **state)
{
    (void)state;
    wish.copies = 0;
    write(SUCCESSION_RULE);
    now.told[0].settled = record.term;
    now.caught = 0x05;
    write(SUCCESSION_SETTLED);
    assert_int_equal(record.duty_count, 2);
    assert_is(SUCCESSION_NOTHING); /* node 1 lacks some of it */
    now.caught = ALL;
    now.told[1].forgetful = true;
    assert_is(SUCCESSION_NOTHING);
    now.told[1].forgetful = false;
    now.alive = 0x05;
    assert_is(SUCCESSION_NOTHING);
    now.alive = ALL;
    write(SUCCESSION_HELD);
    assert_int_equal(record.duty_count, 2);
    assert_int_equal(record.duty[1].rule.set, ALL);
    assert_int_equal(record.duty[1].last, 1);
    assert_is(SUCCESSION_NOTHING);
    now.lease_over = now.grace_over = true;
    now.alive = 0x04;
    write(SUCCESSION_LEASE_OVER);
    now.told[2].forgetful = true;
    assert_is(SUCCESSION_STOP); /* what ANY 1 acknowledged */
    now.told[2].forgetful = false;
    assert_int_equal(write(SUCCESSION_CHOSEN)->primary, 2);
}

/* All are told of it from then on, by whichever view they learn. */
static void test_S11_that_one_was_chosen_forgetful_is_recorded(void **state)
{
    (void)state;
    wish.copies = 0;
    record = succession_first(&wish, 0);
    write(SUCCESSION_CHOSEN);
    now.told[0].settled = 1;
    write(SUCCESSION_SETTLED);
    assert_int_equal(record.forgot, 0);
    now.lease_over = now.grace_over = true;
    now.alive = 0x02;
    now.told[1].forgetful = true;
    write(SUCCESSION_LEASE_OVER);
    assert_int_equal(write(SUCCESSION_CHOSEN)->forgot, 2);
    assert_int_equal(succession_view(&record).forgot, 2);
    now.alive = 0x04;
    write(SUCCESSION_LEASE_OVER);
    assert_int_equal(write(SUCCESSION_CHOSEN)->primary, 2);
    assert_int_equal(succession_view(&record).forgot, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_S7_any_member_will_do_when_all_have_caught_up, begin),
        cmocka_unit_test_setup(test_S11_that_one_was_chosen_forgetful_is_recorded, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
