/* The rules of succession.h one by one (S1 to S10), beside the proof and the model: small scenes of
 * four nodes, and what is told to people. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cluster/succession.h"

#define ALL 0x07

struct scene {
    struct succession record;
    struct succession_wish wish;
    struct succession_scene now;
};

/* Three members, node 0 leads term 1, which is settled; all are well and have (1, 5). */
static struct scene scene_of(struct succession_wish wish)
{
    struct scene s = { .wish = wish };
    s.wish.members = ALL;
    s.record = succession_first(&s.wish, 0);
    s.now = (struct succession_scene){ .alive = 0x0f, .caught = 0x0f, .to = NODE_NONE };
    for (node_index i = 0; i < 4; i++) {
        s.now.told[i] = (struct succession_told){
            .life = 10u + i, .promised = 1, .last_term = 1, .last_slot = 5, .handed_to = NODE_NONE
        };
    }
    s.now.told[0].settled = 1;
    for (uint32_t turns = 0; turns < 2; turns++) {
        struct succession_action a = succession_turn(&s.record, &s.wish, &s.now);
        assert_int_equal(a.kind, SUCCESSION_WRITE);
        s.record = a.next;
    }
    assert_int_equal(s.record.primary, 0);
    assert_int_equal(s.record.settled, 1);
    return s;
}

static struct scene any_1(void)
{
    return scene_of((struct succession_wish){ .copies = 1 });
}

static struct succession_action turn(const struct scene *s)
{
    return succession_turn(&s->record, &s->wish, &s->now);
}

/* It is written down, for that reason. */
static struct succession write(struct scene *s, enum succession_reason reason)
{
    struct succession_action a = turn(s);
    assert_int_equal(a.kind, SUCCESSION_WRITE);
    assert_int_equal(a.reason, reason);
    s->record = a.next;
    return a.next;
}

static void assert_stops(const struct scene *s, enum succession_reason reason)
{
    struct succession_action a = turn(s);
    assert_int_equal(a.kind, SUCCESSION_STOP);
    assert_int_equal(a.reason, reason);
}

static void assert_rests(const struct scene *s)
{
    assert_int_equal(turn(s).kind, SUCCESSION_NOTHING);
}

/* Everybody alive has promised the present term; `settled` by its primary. */
static void promise(struct scene *s)
{
    for (node_index i = 0; i < 4; i++) {
        s->now.told[i].promised = s->record.term;
    }
}

static void settle(struct scene *s)
{
    promise(s);
    s->now.told[s->record.primary].settled = s->record.term;
    write(s, SUCCESSION_SETTLED);
}

static void test_nothing_happens_while_all_is_well(void **state)
{
    (void)state;
    struct scene s = any_1();
    assert_rests(&s);
    s.now.lost = 0x08; /* no member */
    assert_rests(&s);
    struct view v = succession_view(&s.record);
    assert_int_equal(v.term, 1);
    assert_int_equal(v.members, ALL);
    assert_int_equal(v.copies, 1);
}

/* S1: what does not stand does not count. */
static void test_who_stands(void **state)
{
    (void)state;
    struct scene s = any_1();
    s.now.lease_over = true;
    s.now.alive = 0x06;
    write(&s, SUCCESSION_LEASE_OVER);
    assert_stops(&s, SUCCESSION_NOBODY_STANDS); /* they have not promised */
    promise(&s);
    s.now.told[1].forgetful = true;
    assert_stops(&s, SUCCESSION_FEW_STAND);
    s.now.told[1].forgetful = false;
    s.now.alive = 0x04;
    assert_stops(&s, SUCCESSION_FEW_STAND);
    s.now.alive = 0x0c; /* node 3 is no member, whatever it says */
    s.now.told[3].last_slot = 99;
    assert_stops(&s, SUCCESSION_FEW_STAND);
    s.now.alive = 0x06;
    s.now.told[2].last_slot = 6;
    assert_int_equal(write(&s, SUCCESSION_CHOSEN).primary, 2);
    assert_int_equal(s.record.life, 12);
    assert_int_equal(s.record.term, 2);
}

/* S5: by term, then by slot; an entry of the last term that may have acknowledged is not enough. */
static void test_a_later_term_stands_before_a_longer_log(void **state)
{
    (void)state;
    struct scene s = any_1();
    s.now.lease_over = true;
    s.now.alive = 0x06;
    write(&s, SUCCESSION_LEASE_OVER);
    promise(&s);
    s.now.told[1].last_slot = 99;
    s.now.told[2].last_term = 2;
    struct scene alone = s;
    assert_int_equal(write(&s, SUCCESSION_CHOSEN).primary, 2);
    alone.now.alive = 0x04;
    assert_int_equal(write(&alone, SUCCESSION_CHOSEN).primary, 2); /* it is past the duty */
    struct scene few = any_1();
    few.now.lease_over = true;
    few.now.alive = 0x02;
    write(&few, SUCCESSION_LEASE_OVER);
    promise(&few);
    few.now.told[1].last_slot = 99; /* of term 1, as what was acknowledged */
    assert_stops(&few, SUCCESSION_FEW_STAND);
}

/* S7: duties beside LOCAL are put together, and what they ask for is still asked. */
static void test_many_duties_beside_local_become_few(void **state)
{
    (void)state;
    struct scene s = any_1();
    s.wish.copies = 0;
    write(&s, SUCCESSION_RULE);
    for (uint32_t i = 1; i < 5; i++) {
        s.record.duty[s.record.duty_count++] =
            (struct succession_duty){ .rule = { .members = (uint16_t)(ALL | 1u << (3 + i)),
                                                .copies = 1 },
                                      .primaries = 1,
                                      .last = 1 };
    }
    settle(&s);
    assert_int_equal(s.record.duty_count, 4);
    uint16_t members = 0;
    for (uint32_t i = 0; i < 3; i++) {
        members |= s.record.duty[i].rule.members;
    }
    assert_int_equal(members, 0xf7);
    s.now.lease_over = s.now.grace_over = true;
    s.now.alive = 0x06;
    write(&s, SUCCESSION_LEASE_OVER);
    promise(&s);
    assert_stops(&s, SUCCESSION_FEW_STAND);
    s.now.told[1].last_term = 2; /* the term of LOCAL */
    assert_int_equal(write(&s, SUCCESSION_CHOSEN).primary, 1);
}

static void test_a_restarted_primary_loses_its_term(void **state)
{
    (void)state;
    struct scene s = any_1();
    s.now.told[0].life = 77;
    s.now.told[0].promised = 0;
    struct succession next = write(&s, SUCCESSION_RESTARTED);
    assert_int_equal(next.term, 2);
    assert_int_equal(next.primary, NODE_NONE);
    assert_false(next.fenced);
    promise(&s);
    s.now.told[0].promised = 1; /* S3: it may still answer reads, for all that is known */
    assert_stops(&s, SUCCESSION_LEASE_HELD);
    s.now.told[0].promised = 2;
    assert_int_equal(write(&s, SUCCESSION_CHOSEN).life, 77); /* again, in another term */
    assert_int_equal(s.record.primary, 0);
}

static void test_terms_are_above_what_was_promised(void **state)
{
    (void)state;
    struct scene s = any_1();
    s.now.lease_over = true;
    s.now.told[2].promised = 8;
    assert_int_equal(write(&s, SUCCESSION_LEASE_OVER).term, 9);
    promise(&s);
    s.now.told[1].promised = 11;
    assert_int_equal(write(&s, SUCCESSION_PROMISED).term, 12);
    assert_int_equal(s.record.before, 0);
    assert_true(s.record.fenced);
}

/* FAILOVER TO: by way of a term in which all stand, so that nothing is lost. */
static void test_a_hand_over_goes_by_a_choice(void **state)
{
    (void)state;
    struct scene s = any_1();
    s.now.order = SUCCESSION_TO;
    s.now.to = 2;
    struct succession_action a = turn(&s);
    assert_int_equal(a.kind, SUCCESSION_HAND_OVER);
    assert_int_equal(a.to, 2);
    s.now.told[0].handed_over = true;
    s.now.told[0].handed_to = 2;
    assert_int_equal(write(&s, SUCCESSION_HANDED_OVER).preferred, 2);
    s.now.told[0].promised = s.now.told[1].promised = 2;
    assert_stops(&s, SUCCESSION_GRACE); /* for node 2 */
    s.now.told[2].promised = 2;
    struct scene late = s;
    assert_int_equal(write(&s, SUCCESSION_CHOSEN).primary, 2);
    late.now.told[1].last_slot = 6; /* who has more is taken nevertheless */
    assert_int_equal(write(&late, SUCCESSION_CHOSEN).primary, 1);
}

static void test_a_hand_over_is_refused_to_who_cannot(void **state)
{
    (void)state;
    struct scene s = any_1();
    s.now.order = SUCCESSION_TO;
    s.now.to = 3;
    assert_stops(&s, SUCCESSION_NOT_FIT);
    s.now.to = 2;
    s.now.told[2].forgetful = true;
    assert_stops(&s, SUCCESSION_NOT_FIT);
    s.now.told[2].forgetful = false;
    s.now.alive = 0x03;
    assert_stops(&s, SUCCESSION_NOT_FIT);
    s.now.alive = 0x0f;
    s.now.lost = 0x04;
    assert_stops(&s, SUCCESSION_NOT_FIT);
    s.now.to = 0;
    assert_rests(&s);
}

/* S6: FORCE gives up, and says what; FALLBACK async alone never does. */
static void test_force_tells_what_may_be_lost(void **state)
{
    (void)state;
    struct scene s = scene_of((struct succession_wish){ .copies = 1, .fallback = true });
    struct succession_loss loss;
    s.now.lease_over = true;
    s.now.alive = 0x04;
    s.now.told[2].last_slot = 3;
    assert_int_equal(succession_forced(&s.record, &s.now, &loss), 2); /* as a warning */
    assert_true(loss.possible && loss.promised_more);
    write(&s, SUCCESSION_LEASE_OVER);
    promise(&s);
    s.now.grace_over = true;
    assert_stops(&s, SUCCESSION_FEW_STAND);
    s.now.order = SUCCESSION_FORCE;
    s.now.to = 1;
    assert_stops(&s, SUCCESSION_NOT_FIT);
    s.now.to = NODE_NONE;
    struct succession_action a = turn(&s);
    assert_int_equal(a.reason, SUCCESSION_FORCED);
    assert_int_equal(a.next.primary, 2);
    assert_true(a.loss.possible && a.loss.promised_more);
    assert_int_equal(a.loss.through, 1);
    assert_int_equal(a.loss.term, 1);
    assert_int_equal(a.loss.slot, 3);
    assert_int_equal(s.record.losses.count, 0); /* S12 */
    assert_int_equal(a.next.losses.count, 1);
    assert_int_equal(a.next.losses.last[0].term, a.next.term);
    assert_int_equal(a.next.losses.last[0].kept, 3);
    s.now.told[2].last_term = 0; /* position.h, O3 */
    assert_int_equal(turn(&s).next.losses.last[0].kept, 0);
}

/* S6: else the best one would be chosen and forced out again, term after term. */
static void test_force_takes_the_one_that_is_named(void **state)
{
    (void)state;
    struct scene s = scene_of((struct succession_wish){ .copies = 1 });
    s.now.order = SUCCESSION_FORCE;
    s.now.to = 1;
    write(&s, SUCCESSION_FORCED);
    promise(&s);
    s.now.lease_over = s.now.grace_over = true;
    s.now.told[1].last_slot = 3;
    struct succession_action a = turn(&s);
    assert_int_equal(a.next.primary, 1);
    assert_true(a.loss.possible && a.loss.promised_more);
    assert_int_equal(a.loss.slot, 3);
    s.record = a.next;
    s.now.lease_over = false;
    assert_int_equal(turn(&s).kind, SUCCESSION_NOTHING); /* and it stays */
}

/* S9: in as a learner, counted when it has caught up, and only then the other goes. */
static void test_a_member_is_replaced_step_by_step(void **state)
{
    (void)state;
    struct scene s = any_1();
    s.wish.members = 0x0b; /* node 3 for node 2 */
    s.now.caught = 0x07;
    assert_int_equal(write(&s, SUCCESSION_MEMBERS).learners, 0x08);
    settle(&s);
    assert_rests(&s);
    s.now.caught = 0x0f;
    assert_int_equal(write(&s, SUCCESSION_MEMBERS).rule.members, 0x0f);
    assert_stops(&s, SUCCESSION_UNSETTLED); /* S8 */
    settle(&s);
    s.now.lost = 0x0a; /* with nodes 0 and 1 alone there would be no copy */
    s.now.alive = 0x05;
    assert_rests(&s);
    s.now.lost = 0;
    s.now.alive = 0x0f;
    assert_int_equal(write(&s, SUCCESSION_MEMBERS).rule.members, 0x0b);
    settle(&s);
    assert_rests(&s);
}

static void test_a_primary_that_is_to_go_hands_over_first(void **state)
{
    (void)state;
    struct scene s = any_1();
    s.wish.members = 0x06;
    s.now.lost = 0x02;
    struct succession_action a = turn(&s);
    assert_int_equal(a.kind, SUCCESSION_HAND_OVER);
    assert_int_equal(a.to, 2);
    s.now.caught = 0x01;
    assert_stops(&s, SUCCESSION_NOT_FIT);
}

/* R4: a lost member of a set is replaced by one that has caught up, and from then on it counts. */
static void test_a_lost_member_of_a_set_is_replaced(void **state)
{
    (void)state;
    struct scene s = scene_of((struct succession_wish){ .set_of = ALL, .set_count = 1 });
    assert_int_equal(s.record.rule.set, 0x03);
    s.now.lost = 0x02;
    s.now.caught = 0x03;
    assert_stops(&s, SUCCESSION_FEW_COPIES);
    s.now.caught = 0x07;
    s.now.told[2].forgetful = true; /* it could attest nothing */
    assert_stops(&s, SUCCESSION_FEW_COPIES);
    s.now.told[2].forgetful = false;
    assert_int_equal(write(&s, SUCCESSION_REPLACED).rule.set, 0x05);
    assert_int_equal(s.record.term, 2);
    assert_int_equal(succession_view(&s.record).set, 0x04);
    settle(&s);
    s.now.lost = 0; /* it is back, and nothing changes for that */
    assert_rests(&s);
}

static void test_a_set_never_shrinks_while_a_wish_is_on_its_way(void **state)
{
    (void)state;
    struct scene s = scene_of((struct succession_wish){ .set_of = ALL });
    s.wish.members = 0x09; /* nodes 1 and 2 go, node 3 comes */
    s.wish.set_of = 0x09;
    assert_int_equal(write(&s, SUCCESSION_MEMBERS).rule.set, ALL);
    settle(&s);
    write(&s, SUCCESSION_MEMBERS);
    assert_int_equal(s.record.rule.members, 0x0f);
    assert_true((s.record.rule.set & 0x08) != 0);
}

/* S10, and S7 beside it. */
static void test_fallback_is_recorded_and_ends(void **state)
{
    (void)state;
    struct scene s = any_1();
    s.now.lost = 0x06;
    s.now.alive = 0x01;
    assert_stops(&s, SUCCESSION_FEW_COPIES);
    s.wish.fallback = true;
    struct succession next = write(&s, SUCCESSION_FELL_BACK);
    assert_true(next.fallen);
    assert_int_equal(succession_view(&next).copies, 0);
    settle(&s);
    assert_int_equal(s.record.duty_count, 2); /* what ANY 1 acknowledged is still owed */
    s.now.lost = 0;
    s.now.alive = 0x07;
    s.now.caught = 0x01;
    assert_rests(&s); /* they are here and have not caught up */
    struct scene other = s;
    s.now.caught = 0x03;
    assert_int_equal(write(&s, SUCCESSION_RESTORED).rule.copies, 1);
    other.wish.fallback = false; /* the keyspace wants it no more */
    assert_int_equal(write(&other, SUCCESSION_RESTORED).rule.copies, 1);
}

/* S8: a change that nobody can settle does not hold up the one that mends it. */
static void test_a_change_that_cannot_settle_gives_way(void **state)
{
    (void)state;
    struct scene s = any_1();
    s.wish.copies = 2;
    write(&s, SUCCESSION_RULE);
    s.wish.copies = 1;
    assert_stops(&s, SUCCESSION_UNSETTLED);
    s.now.lost = 0x04;
    assert_int_equal(write(&s, SUCCESSION_RULE).rule.copies, 1);
    assert_int_equal(s.record.duty_count, 2);
}

/* S8: the choice would have to meet one rule more, under which nothing was ever acknowledged. */
static void test_a_change_waits_for_the_primary(void **state)
{
    (void)state;
    struct scene s = any_1();
    s.wish.copies = 2;
    s.now.alive = 0x0e;
    assert_stops(&s, SUCCESSION_AWAY);
    s.now.alive = 0x0f;
    s.now.told[0].life = 0; /* it has told nothing yet to who asks */
    assert_stops(&s, SUCCESSION_AWAY);
    s.now.told[0].life = 10;
    write(&s, SUCCESSION_RULE);
}

/* S6, LOCAL: nodes 1 and 2 are here, node 0 may have more. */
static void test_an_empty_disk_empties_no_other(void **state)
{
    (void)state;
    struct scene s = scene_of((struct succession_wish){ .copies = 0 });
    s.now.lease_over = s.now.grace_over = true;
    s.now.alive = 0x06;
    write(&s, SUCCESSION_LEASE_OVER);
    promise(&s);
    s.now.told[1].forgetful = s.now.told[2].forgetful = true;
    s.now.told[2].last_term = 0;
    s.now.told[2].last_slot = 0;
    struct scene some = s;
    assert_int_equal(write(&some, SUCCESSION_CHOSEN).primary, 1);
    s.now.alive = 0x04;
    assert_stops(&s, SUCCESSION_NOBODY_STANDS);
    struct scene all = s, forced = s;
    all.now.alive = 0x07;
    for (node_index i = 0; i < 3; i++) { /* nobody else can come */
        all.now.told[i].forgetful = true;
        all.now.told[i].last_term = all.now.told[i].last_slot = 0;
    }
    write(&all, SUCCESSION_CHOSEN);
    forced.now.order = SUCCESSION_FORCE;
    assert_int_equal(write(&forced, SUCCESSION_CHOSEN).primary, 2);
    s.now.told[2].forgetful = false; /* a member that never had anything */
    assert_int_equal(write(&s, SUCCESSION_CHOSEN).primary, 2);
}

/* S9: it had all when it was a member before, which says nothing now. */
static void test_who_has_caught_up_has_so_in_this_term(void **state)
{
    (void)state;
    struct scene s = any_1();
    s.wish.members = 0x0f;
    assert_int_equal(write(&s, SUCCESSION_MEMBERS).learners, 0x08);
    s.now.told[0].settled = s.record.term; /* it is told, and its account is an older one */
    write(&s, SUCCESSION_SETTLED);
    assert_rests(&s);
    promise(&s);
    assert_int_equal(write(&s, SUCCESSION_MEMBERS).rule.members, 0x0f);
}

/* R4: it is here and counts for nothing; who is left of a smaller set is one that counts. */
static void test_a_forgetful_member_of_a_set_is_replaced(void **state)
{
    (void)state;
    struct scene s = scene_of((struct succession_wish){ .set_of = ALL, .set_count = 1 });
    s.now.told[1].forgetful = true;
    s.now.caught = 0x03;
    assert_rests(&s); /* there is no other */
    s.now.caught = 0x07;
    assert_int_equal(write(&s, SUCCESSION_REPLACED).rule.set, 0x05);
    struct scene all = scene_of((struct succession_wish){ .set_of = ALL });
    assert_int_equal(all.record.rule.set, ALL);
    all.wish.set_count = 1;
    all.now.told[1].forgetful = true;
    all.now.caught = 0x01;
    assert_int_equal(write(&all, SUCCESSION_RULE).rule.set, 0x05);
}

static void assert_told(const struct scene *s, const char *expected)
{
    static const uint64_t ids[MEMBERS_MAX] = { 11, 12, 13, 14 };
    char line[SUCCESSION_TEXT_BYTES];
    struct text out = text_in(line, sizeof line);
    struct succession_action a = turn(s);
    succession_explain(&out, &s->record, &a, ids);
    assert_string_equal(line, expected);
}

static void test_what_is_told_to_people(void **state)
{
    (void)state;
    struct scene s = any_1();
    assert_told(&s, "nothing to do");
    s.now.lease_over = true;
    s.now.alive = 0x04;
    assert_told(&s, "term 2 without a primary: the primary's lease is over");
    write(&s, SUCCESSION_LEASE_OVER);
    promise(&s);
    s.now.grace_over = true;
    assert_told(&s, "no primary in term 2: too few stand, 1 of 2, awaited: nodes 11, 12");
    s.now.order = SUCCESSION_FORCE;
    assert_told(&s, "term 2 of node 13: by FAILOVER FORCE; writes acknowledged after entry 5 of "
                    "term 1, up to term 1, may be lost");
    struct scene t = any_1();
    t.now.order = SUCCESSION_TO;
    t.now.to = 1;
    assert_told(&t, "hand over to node 12");
    struct scene u = any_1();
    u.now.lost = 0x06;
    assert_told(&u, "term 1: too few members for the rule, 0 of 1, awaited: nodes 12, 13");
}

static void test_wishes_that_nobody_can_keep(void **state)
{
    (void)state;
    static const struct {
        struct succession_wish wish;
        bool sound;
    } cases[] = {
        { { .members = 0 }, false },
        { { .members = 0x8000 }, false },
        { { .members = 1 }, true },
        { { .members = 3, .copies = 1 }, true },
        { { .members = 3, .copies = 2 }, false },
        { { .members = 3, .set_of = 4 }, false },
        { { .members = 3, .set_of = 2 }, true },
        { { .members = 7, .set_of = 3, .set_count = 1 }, true },
        { { .members = 7, .set_of = 3, .set_count = 2 }, false },
        { { .members = 7, .set_of = 3, .copies = 1 }, false },
        { { .members = 7, .set_count = 1 }, false },
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        assert_int_equal(succession_wish_is_sound(&cases[i].wish), cases[i].sound);
    }
    struct scene s = any_1(); /* and what is wished of a group is then left undone */
    s.wish.copies = 3;
    assert_rests(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_happens_while_all_is_well),
        cmocka_unit_test(test_who_stands),
        cmocka_unit_test(test_a_later_term_stands_before_a_longer_log),
        cmocka_unit_test(test_many_duties_beside_local_become_few),
        cmocka_unit_test(test_a_restarted_primary_loses_its_term),
        cmocka_unit_test(test_terms_are_above_what_was_promised),
        cmocka_unit_test(test_a_hand_over_goes_by_a_choice),
        cmocka_unit_test(test_a_hand_over_is_refused_to_who_cannot),
        cmocka_unit_test(test_force_tells_what_may_be_lost),
        cmocka_unit_test(test_force_takes_the_one_that_is_named),
        cmocka_unit_test(test_a_member_is_replaced_step_by_step),
        cmocka_unit_test(test_a_primary_that_is_to_go_hands_over_first),
        cmocka_unit_test(test_a_lost_member_of_a_set_is_replaced),
        cmocka_unit_test(test_a_set_never_shrinks_while_a_wish_is_on_its_way),
        cmocka_unit_test(test_fallback_is_recorded_and_ends),
        cmocka_unit_test(test_a_change_that_cannot_settle_gives_way),
        cmocka_unit_test(test_a_change_waits_for_the_primary),
        cmocka_unit_test(test_an_empty_disk_empties_no_other),
        cmocka_unit_test(test_a_forgetful_member_of_a_set_is_replaced),
        cmocka_unit_test(test_who_has_caught_up_has_so_in_this_term),
        cmocka_unit_test(test_what_is_told_to_people),
        cmocka_unit_test(test_wishes_that_nobody_can_keep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
