/* Primary/backup, rule by rule: what counts for a commit, when a primary serves, how it hands over.
 * The rules have their numbers in src/protocol/primary. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/protocol/primary_group.h"

/* Node 0 is the primary of term 1, and settled. */
static struct flock *led(node_index n, uint8_t copies)
{
    struct flock *f = flock_new(n);
    flock_tell_all(f, flock_any(f, 1, 0, copies));
    flock_settle(f);
    assert_true(flock_outlook(f, 0).settled);
    return f;
}

static void test_K1_a_copy_of_the_set_is_none_beside_it(void **state)
{
    (void)state;
    struct flock *f = flock_new(3);
    struct view v = flock_any(f, 1, 0, 1);
    v.set = node_bit(1);
    f->node[2].disk_held = true;
    flock_tell_all(f, v);
    flock_settle(f);
    assert_false(flock_outlook(f, 0).settled); /* node 1 is of the set, and no further copy */
    f->node[2].disk_held = false;
    flock_settle(f);
    assert_true(flock_outlook(f, 0).settled);
    flock_free(f);
}

static void test_K3_what_is_received_is_not_durable(void **state)
{
    (void)state;
    struct flock *f = led(2, 1);
    qr_req req = flock_submit(f, 0, 1);
    flock_sync(f, 0);
    flock_lose_mail(f);
    const struct peer *peer = &flock_primary(f, 0)->peer[1];
    struct primary_append_ack ack = { .term = 1, .life = peer->life, .sent = f->now };
    ack.got = f->node[0].log.last;
    ack.match = ack.got - 1;
    flock_deliver(f, 1, 0, PRIMARY_APPEND_ACK, &ack, 0, 0, 0);
    assert_false(flock_applied(f, 0, req));
    ack.match = ack.got;
    flock_deliver(f, 1, 0, PRIMARY_APPEND_ACK, &ack, 0, 0, 0);
    assert_true(flock_applied(f, 0, req));
    flock_free(f);
}

static void test_K4_F3_a_forgetful_member_counts_when_it_holds_its_lease_and_all(void **state)
{
    (void)state;
    struct flock *f = led(2, 1);
    flock_crash(f, 1);
    qr_req req = flock_submit(f, 0, 1);
    flock_restart_forgetful(f, 1, 0);
    flock_tell(f, 1, flock_any(f, 1, 0, 1));
    flock_elapse(f, 60 * QR_MILLISECOND);
    assert_int_equal(f->node[1].log.last, f->node[0].log.last); /* it has all */
    assert_true(flock_outlook(f, 1).forgetful);
    assert_false(flock_applied(f, 0, req));
    assert_int_equal(flock_answer(f, 0, flock_submit(f, 0, 1)), STATUS_NOREPLICAS);
    flock_lease(f, 1, true);
    flock_elapse(f, 60 * QR_MILLISECOND);
    assert_false(flock_outlook(f, 1).forgetful);
    assert_true(flock_applied(f, 0, req));
    flock_free(f);
}

/* It was told that it may count again, and died before it could say so. */
static void test_K4_one_that_remembers_in_its_next_life_counts_at_once(void **state)
{
    (void)state;
    struct flock *f = led(2, 1);
    flock_crash(f, 1);
    qr_req req = flock_submit(f, 0, 1);
    flock_restart_forgetful(f, 1, 0);
    flock_tell(f, 1, flock_any(f, 1, 0, 1));
    flock_elapse(f, 60 * QR_MILLISECOND);
    flock_lease(f, 1, true);
    const struct peer *peer = &flock_primary(f, 0)->peer[1];
    struct primary_recovered told = { .term = 1, .slot = peer->barrier, .life = peer->life };
    flock_deliver(f, 0, 1, PRIMARY_RECOVERED, &told, 0, 0, 0);
    flock_sync(f, 1);
    flock_lose_mail(f);
    assert_true(!flock_outlook(f, 1).forgetful && peer->forgetful);
    flock_crash(f, 1);
    flock_restart(f, 1);
    flock_tell(f, 1, flock_any(f, 1, 0, 1));
    flock_elapse(f, 60 * QR_MILLISECOND);
    assert_true(flock_applied(f, 0, req));
    flock_free(f);
}

/* Node 0 is the primary of term 1, ON applied, and an entry is committed that nobody has told to
 * have executed. */
static struct flock *applying(node_index n, uint8_t copies)
{
    struct flock *f = flock_new(n);
    struct view v = flock_any(f, 1, 0, copies);
    v.stage = ACK_APPLIED;
    flock_tell_all(f, v);
    flock_settle(f);
    qr_req req = flock_submit(f, 0, 1);
    flock_settle(f);
    assert_true(flock_applied(f, 0, req) && flock_outlook(f, 0).shares);
    assert_true(flock_outlook(f, 0).shared < flock_outlook(f, 0).commit);
    return f;
}

static void test_K6_what_copies_have_executed_is_shared(void **state)
{
    (void)state;
    struct flock *f = applying(3, 2);
    qr_slot last = f->node[0].log.last;
    assert_int_equal(f->node[1].applied, last); /* Y2: at once, without a heartbeat */
    flock_execute(f, 1);
    flock_settle(f);
    assert_int_equal(flock_outlook(f, 0).shared, 0); /* one of two */
    flock_execute(f, 2);
    flock_settle(f);
    assert_int_equal(flock_outlook(f, 0).shared, last);
    assert_int_equal(flock_outlook(f, 1).shared, 0); /* only a primary counts */
    flock_free(f);
    f = flock_new(2);
    flock_tell_all(f, flock_any(f, 1, 0, 1));
    flock_settle(f);
    flock_execute(f, 1);
    assert_null(flock_sent(f, 1, 0, PRIMARY_APPLIED)); /* nobody wants to know */
    assert_false(flock_outlook(f, 0).shares);
    flock_free(f);
}

static void test_Y1_it_is_said_again_where_it_was_lost(void **state)
{
    (void)state;
    struct flock *f = applying(2, 1);
    flock_execute(f, 1);
    flock_lose_mail(f);
    flock_elapse(f, 30 * QR_MILLISECOND);
    assert_int_equal(flock_outlook(f, 0).shared, f->node[0].log.last);
    flock_free(f);
}

static void test_Y1_nothing_of_another_log_is_said(void **state)
{
    (void)state;
    struct flock *f = applying(2, 1);
    struct view v = flock_any(f, 3, 0, 1);
    v.stage = ACK_APPLIED;
    flock_tell(f, 1, v); /* the primary of term 3 has not been heard: nothing is matched */
    flock_execute(f, 1);
    flock_sync(f, 1);
    assert_null(flock_sent(f, 1, 0, PRIMARY_APPLIED));
    flock_free(f);
}

static void test_Y3_a_life_that_is_over_has_executed_nothing(void **state)
{
    (void)state;
    struct flock *f = applying(2, 1);
    qr_slot last = f->node[0].log.last;
    struct primary_applied told = { .term = 1, .slot = last };
    told.life = flock_primary(f, 0)->peer[1].life;
    flock_execute(f, 1);
    flock_settle(f);
    assert_int_equal(flock_outlook(f, 0).shared, last);
    flock_crash(f, 1);
    flock_restart(f, 1);
    struct view v = flock_any(f, 1, 0, 1);
    v.stage = ACK_APPLIED;
    flock_tell(f, 1, v);
    flock_elapse(f, 60 * QR_MILLISECOND);
    assert_int_equal(flock_outlook(f, 0).shared, 0);
    flock_deliver(f, 1, 0, PRIMARY_APPLIED, &told, 0, 0, 0); /* it comes late */
    assert_int_equal(flock_outlook(f, 0).shared, 0);
    told.life = flock_primary(f, 0)->peer[1].life;
    told.slot = last + 1; /* which is not committed */
    flock_deliver(f, 1, 0, PRIMARY_APPLIED, &told, 0, 0, 0);
    assert_int_equal(flock_outlook(f, 0).shared, 0);
    told.slot = last;
    flock_deliver(f, 1, 0, PRIMARY_APPLIED, &told, 0, 0, 0);
    assert_int_equal(flock_outlook(f, 0).shared, last);
    flock_free(f);
}

static void test_X1_a_hand_over_waits_for_what_is_to_be_executed(void **state)
{
    (void)state;
    struct flock *f = applying(2, 1);
    qr_req order = flock_hand_over(f, 0, 1, QR_SECOND);
    flock_elapse(f, 60 * QR_MILLISECOND);
    assert_int_equal(flock_answer(f, 0, order), -1);
    flock_execute(f, 1);
    flock_elapse(f, 30 * QR_MILLISECOND);
    assert_int_equal(flock_answer(f, 0, order), STATUS_OK);
    flock_free(f);
}

static void test_K5_too_few_in_contact_is_refused_before_anything_is_written(void **state)
{
    (void)state;
    struct flock *f = led(3, 1);
    f->node[1].cut = f->node[2].cut = true;
    flock_elapse(f, 400 * QR_MILLISECOND);
    qr_slot last = f->node[0].log.last;
    qr_req req = flock_submit(f, 0, 1);
    assert_int_equal(flock_answer(f, 0, req), STATUS_NOREPLICAS);
    assert_int_equal(f->node[0].log.last, last);
    f->node[2].cut = false;
    flock_elapse(f, 60 * QR_MILLISECOND);
    req = flock_submit(f, 0, 1);
    flock_settle(f);
    assert_true(flock_applied(f, 0, req));
    flock_free(f);
}

static void test_L2_nothing_of_a_term_leaves_before_its_record_is_durable(void **state)
{
    (void)state;
    struct flock *f = flock_new(2);
    f->node[0].disk_held = true;
    flock_tell(f, 0, flock_any(f, 1, 0, 1));
    assert_true(f->mails > 0);
    assert_null(flock_sent(f, 0, 1, PRIMARY_HEARTBEAT));
    assert_null(flock_sent(f, 0, 1, PRIMARY_APPEND));
    flock_sync(f, 0);
    assert_non_null(flock_sent(f, 0, 1, PRIMARY_HEARTBEAT));
    flock_free(f);
}

static void test_L2_a_primary_that_started_anew_does_not_lead_in_its_term(void **state)
{
    (void)state;
    struct flock *f = led(2, 1);
    flock_crash(f, 0);
    flock_restart(f, 0);
    flock_tell(f, 0, flock_any(f, 1, 0, 1));
    assert_true(flock_outlook(f, 0).barred);
    assert_int_equal(flock_outlook(f, 0).role, ROLE_FOLLOWER);
    flock_tell_all(f, flock_any(f, 2, 0, 1));
    flock_settle(f);
    assert_true(flock_outlook(f, 0).can_serve);
    flock_free(f);
}

static void test_L4_one_that_is_named_again_serves_on(void **state)
{
    (void)state;
    struct flock *f = led(3, 1);
    f->node[1].cut = f->node[2].cut = true;
    flock_tell(f, 0, flock_any(f, 2, 0, 1));
    assert_true(flock_outlook(f, 0).can_serve);
    assert_false(flock_outlook(f, 0).settled);
    flock_tell(f, 0, flock_any(f, 4, 0, 1)); /* who led in term 3? */
    assert_false(flock_outlook(f, 0).can_serve);
    flock_free(f);
}

static void test_L5_without_its_lease_it_takes_nothing(void **state)
{
    (void)state;
    struct flock *f = led(3, 1);
    flock_lease(f, 0, false);
    assert_int_equal(flock_outlook(f, 0).room, 0);
    assert_int_equal(flock_answer(f, 0, flock_submit(f, 0, 1)), STATUS_NOT_LEADER);
    assert_int_equal(flock_answer(f, 0, flock_read(f, 0)), STATUS_NOT_LEADER);
    flock_lease(f, 0, true);
    flock_read(f, 0);
    assert_true(flock_noted(f, 0, EFFECT_READ)->effect.read.held);
    flock_free(f);
}

static void test_A4_what_does_not_match_is_not_applied(void **state)
{
    (void)state;
    struct flock *f = flock_new(2);
    struct primary_append append = { .term = 1, .sent = f->now };
    flock_deliver(f, 1, 0, PRIMARY_APPEND, &append, 1, 4, 1);
    struct primary_heartbeat beat = { .term = 2, .commit = 3, .sent = f->now };
    flock_deliver(f, 1, 0, PRIMARY_HEARTBEAT, &beat, 0, 0, 0);
    assert_int_equal(f->node[0].applied, 0);
    append = (struct primary_append){ .term = 2, .prev_slot = 2, .prev_term = 1, .commit = 3 };
    flock_deliver(f, 1, 0, PRIMARY_APPEND, &append, 0, 0, 0);
    assert_int_equal(f->node[0].applied, 2);
    flock_free(f);
}

static void test_X2_a_hand_over_that_was_answered_closes_the_term(void **state)
{
    (void)state;
    struct flock *f = led(3, 1);
    qr_req order = flock_hand_over(f, 0, 1, 0);
    flock_settle(f);
    assert_int_equal(flock_answer(f, 0, order), STATUS_OK);
    flock_elapse(f, QR_SECOND);
    struct outlook o = flock_outlook(f, 0);
    assert_true(o.closed && o.room == 0 && !o.can_serve && o.transfer_to == 1);
    assert_int_equal(flock_answer(f, 0, flock_submit(f, 0, 1)), STATUS_NOT_LEADER);
    assert_int_equal(flock_answer(f, 0, flock_read(f, 0)), STATUS_NOT_LEADER);
    assert_int_equal(flock_answer(f, 0, flock_hand_over(f, 0, 0, 0)), STATUS_HANDING_OVER);
    flock_tell_all(f, flock_any(f, 2, 0, 1)); /* it was not to be */
    assert_true(flock_outlook(f, 0).can_serve && flock_outlook(f, 0).room > 0);
    flock_free(f);
}

static void test_X1_X3_a_target_that_lacks_entries_is_given_up(void **state)
{
    (void)state;
    struct flock *f = led(3, 1);
    f->node[2].disk_held = true;
    flock_submit(f, 0, 1);
    qr_req order = flock_hand_over(f, 0, 2, 0);
    flock_settle(f);
    assert_int_equal(flock_answer(f, 0, order), -1);
    assert_int_equal(flock_outlook(f, 0).room, 0);
    assert_int_equal(flock_answer(f, 0, flock_submit(f, 0, 1)), STATUS_NOT_LEADER);
    flock_elapse(f, 310 * QR_MILLISECOND);
    assert_int_equal(flock_answer(f, 0, order), STATUS_HANDOVER);
    assert_true(flock_outlook(f, 0).room > 0);
    flock_free(f);
}

static void test_X1_what_is_not_committed_is_waited_for(void **state)
{
    (void)state;
    struct flock *f = flock_new(3);
    flock_tell_all(f, flock_all(f, 1, 0));
    flock_settle(f);
    f->node[2].disk_held = true;
    flock_submit(f, 0, 1);
    flock_settle(f);
    qr_req order = flock_hand_over(f, 0, 1, 0);
    flock_settle(f);
    assert_int_equal(flock_answer(f, 0, order), -1); /* node 1 has it, it is not answered */
    f->node[2].disk_held = false;
    flock_settle(f);
    assert_int_equal(flock_answer(f, 0, order), STATUS_OK);
    flock_free(f);
}

static void test_A3_received_is_not_enough_where_the_view_is_not_known(void **state)
{
    (void)state;
    struct flock *f = flock_new(2);
    flock_tell(f, 1, flock_received(flock_any(f, 1, 0, 1)));
    struct primary_append append = { .term = 2, .sent = f->now, .ask = true };
    flock_deliver(f, 0, 1, PRIMARY_APPEND, &append, 1, 2, 1);
    flock_sync(f, 1);
    flock_lose_mail(f);
    append.prev_slot = append.prev_term = 1;
    flock_deliver(f, 0, 1, PRIMARY_APPEND, &append, 2, 3, 2);
    assert_null(flock_sent(f, 1, 0, PRIMARY_APPEND_ACK));
    flock_tell(f, 1, flock_received(flock_any(f, 2, 0, 1)));
    append.prev_slot = append.prev_term = 2;
    flock_deliver(f, 0, 1, PRIMARY_APPEND, &append, 3, 4, 2);
    assert_non_null(flock_sent(f, 1, 0, PRIMARY_APPEND_ACK));
    flock_free(f);
}

static void test_F2_an_answer_of_a_life_before_says_nothing(void **state)
{
    (void)state;
    struct flock *f = led(2, 1);
    const struct peer *peer = &flock_primary(f, 0)->peer[1];
    struct primary_append_ack old = { .term = 1, .life = peer->life, .sent = f->now };
    old.got = old.match = peer->match;
    assert_true(old.match > 0);
    struct primary_append_ack ack = { .term = 1, .life = old.life + 2, .forgetful = true };
    ack.sent = ++f->now;
    flock_deliver(f, 1, 0, PRIMARY_APPEND_ACK, &ack, 0, 0, 0);
    assert_true(peer->forgetful && peer->match == 0);
    flock_deliver(f, 1, 0, PRIMARY_APPEND_ACK, &old, 0, 0, 0);
    assert_true(peer->forgetful && peer->match == 0 && peer->life == ack.life);
    flock_free(f);
}

static void test_what_a_member_acknowledged_and_does_not_hold_is_told(void **state)
{
    (void)state;
    struct flock *f = led(2, 1);
    const struct peer *peer = &flock_primary(f, 0)->peer[1];
    qr_slot match = peer->match;
    struct primary_append_reject m = { .term = 1, .life = peer->life, .prev_slot = match };
    m.sent = peer->acked_at; /* it may have been refused before */
    flock_deliver(f, 1, 0, PRIMARY_APPEND_REJECT, &m, 0, 0, 0);
    assert_null(flock_noted(f, 0, EFFECT_LOSS));
    m.sent = ++f->now;
    flock_deliver(f, 1, 0, PRIMARY_APPEND_REJECT, &m, 0, 0, 0);
    assert_int_equal(flock_noted(f, 0, EFFECT_LOSS)->effect.loss.acknowledged, match);
    assert_int_equal(peer->match, 0);
    flock_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_K1_a_copy_of_the_set_is_none_beside_it),
        cmocka_unit_test(test_K3_what_is_received_is_not_durable),
        cmocka_unit_test(test_K4_F3_a_forgetful_member_counts_when_it_holds_its_lease_and_all),
        cmocka_unit_test(test_K4_one_that_remembers_in_its_next_life_counts_at_once),
        cmocka_unit_test(test_K5_too_few_in_contact_is_refused_before_anything_is_written),
        cmocka_unit_test(test_K6_what_copies_have_executed_is_shared),
        cmocka_unit_test(test_Y1_it_is_said_again_where_it_was_lost),
        cmocka_unit_test(test_Y1_nothing_of_another_log_is_said),
        cmocka_unit_test(test_Y3_a_life_that_is_over_has_executed_nothing),
        cmocka_unit_test(test_X1_a_hand_over_waits_for_what_is_to_be_executed),
        cmocka_unit_test(test_L2_nothing_of_a_term_leaves_before_its_record_is_durable),
        cmocka_unit_test(test_L2_a_primary_that_started_anew_does_not_lead_in_its_term),
        cmocka_unit_test(test_L4_one_that_is_named_again_serves_on),
        cmocka_unit_test(test_L5_without_its_lease_it_takes_nothing),
        cmocka_unit_test(test_A4_what_does_not_match_is_not_applied),
        cmocka_unit_test(test_X2_a_hand_over_that_was_answered_closes_the_term),
        cmocka_unit_test(test_X1_X3_a_target_that_lacks_entries_is_given_up),
        cmocka_unit_test(test_A3_received_is_not_enough_where_the_view_is_not_known),
        cmocka_unit_test(test_F2_an_answer_of_a_life_before_says_nothing),
        cmocka_unit_test(test_what_a_member_acknowledged_and_does_not_hold_is_told),
        cmocka_unit_test(test_X1_what_is_not_committed_is_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
