/* Primary/backup, LOCAL: what a primary acknowledged alone, when somebody else leads. It has a name
 * in the discard journal, or is counted there, whatever brings the replica back (S5, B3). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/protocol/primary_group.h"

/* Of term `term`, with those members and learners. */
static struct view view_of(const struct flock *f, qr_term term, node_index primary,
                           uint16_t members, uint16_t learners)
{
    struct view v = flock_any(f, term, primary, 0);
    v.members = members;
    v.learners = learners;
    return v;
}

/* Three members; node 0 leads term 1 and has acknowledged 5 writes that nobody else has. */
static struct flock *with_a_tail(qr_req *first)
{
    struct flock *f = flock_new(3);
    flock_tell_all(f, flock_any(f, 1, 0, 0));
    flock_settle(f);
    flock_elapse(f, 100 * QR_MILLISECOND);
    f->node[0].cut = true;
    *first = flock_submit(f, 0, 5);
    flock_settle(f);
    assert_true(flock_applied(f, 0, *first + 4));
    return f;
}

/* The members that hold all of this primary's log are not those of the one before. */
static void test_A4_S5_who_was_no_member_for_a_while_names_its_tail(void **state)
{
    (void)state;
    qr_req lost;
    struct flock *f = with_a_tail(&lost);
    flock_tell_all(f, view_of(f, 2, NODE_NONE, 0x7, 0));
    flock_tell_all(f, view_of(f, 2, 1, 0x7, 0));
    flock_tell_all(f, view_of(f, 3, 1, 0x6, 0));
    flock_settle(f);
    flock_submit(f, 1, 20);
    flock_settle(f);
    flock_elapse(f, 100 * QR_MILLISECOND);
    qr_slot last = f->node[1].log.last;
    assert_int_equal(flock_primary(f, 1)->floor, last);
    flock_checkpoint(f, 1, last, 0);
    assert_int_equal(flock_primary(f, 1)->trimmed, last);
    f->node[0].cut = false;
    flock_tell_all(f, view_of(f, 4, 1, 0x6, 0x1));
    flock_settle(f);
    flock_elapse(f, 60 * QR_MILLISECOND);
    assert_true(flock_primary(f, 0)->floor < f->node[0].log.last);
    flock_bring_snapshot(f, 1, 0);
    for (uint32_t i = 0; i < 5; i++) {
        assert_true(flock_discarded(f, 0, lost + i));
    }
    assert_true(f->node[0].applied >= last);
    flock_free(f);
}

/* What a replica that goes for good has to leave a name of. */
static void test_S5_what_nobody_else_may_have_is_told(void **state)
{
    (void)state;
    qr_req lost;
    struct flock *f = with_a_tail(&lost);
    struct outlook o = flock_outlook(f, 0);
    assert_true(o.sure > 0 && o.sure <= o.last - 5); /* while it leads, too */
    flock_tell(f, 0, view_of(f, 2, NODE_NONE, 0x7, 0));
    o = flock_outlook(f, 0);
    assert_true(o.sure > 0 && o.sure <= o.last - 5);
    flock_crash(f, 0);
    flock_restart(f, 0);
    assert_true(flock_outlook(f, 0).sure <= o.last - 5);
    assert_int_equal(flock_outlook(f, 1).sure, flock_outlook(f, 1).last); /* it had it by another */
    flock_free(f);
    f = flock_new(2);
    flock_tell_all(f, flock_any(f, 1, 0, 1));
    flock_settle(f);
    f->node[0].cut = true;
    flock_submit(f, 0, 5);
    flock_settle(f);
    assert_int_equal(flock_outlook(f, 0).sure,
                     f->node[0].log.last); /* nothing of it was answered */
    flock_free(f);
}

/* FORCE has named one whose disk was lost: its log says how little is common. */
static void test_B3_what_a_wiped_primary_lacks_is_counted(void **state)
{
    (void)state;
    qr_req lost;
    struct flock *f = with_a_tail(&lost);
    qr_slot base = flock_primary(f, 0)->floor;
    assert_true(base > 0);
    flock_checkpoint(f, 0, base, 0);
    assert_int_equal(flock_primary(f, 0)->trail.base_slot, base);
    flock_crash(f, 1);
    flock_wipe(f, 1);
    flock_restart_forgetful(f, 1, 0);
    struct view v = view_of(f, 2, 1, 0x7, 0);
    v.whole = true;
    flock_tell(f, 1, v);
    flock_settle(f);
    flock_submit(f, 1, 8);
    flock_settle(f);
    f->node[0].cut = false;
    flock_elapse(f, 100 * QR_MILLISECOND);
    const struct flock_note *note = flock_noted(f, 0, EFFECT_ROLLBACK);
    assert_true(note->effect.rollback.anew);
    assert_int_equal(note->effect.rollback.slot, 0);
    assert_true(flock_discarded(f, 0, lost) && flock_discarded(f, 0, lost + 4));
    flock_elapse(f, 200 * QR_MILLISECOND);
    assert_int_equal(f->node[0].log.last, f->node[1].log.last);
    flock_free(f);
}

/* A snapshot of the primary will not go beyond what was executed here while nobody writes. */
static void test_B3_a_longer_log_that_is_contradicted_gives_way(void **state)
{
    (void)state;
    qr_req lost;
    struct flock *f = with_a_tail(&lost);
    flock_tell_all(f, view_of(f, 2, NODE_NONE, 0x7, 0));
    flock_settle(f);
    flock_tell_all(f, view_of(f, 2, 1, 0x7, 0));
    flock_settle(f);
    flock_submit(f, 1, 1);
    flock_settle(f);
    qr_slot last = f->node[1].log.last;
    assert_true(last < f->node[0].applied);
    flock_checkpoint(f, 1, last, last);
    f->node[0].cut = false;
    flock_elapse(f, 2 * QR_SECOND);
    assert_non_null(flock_noted(f, 1, EFFECT_SNAPSHOT));
    const struct flock_note *note = flock_noted(f, 0, EFFECT_ROLLBACK);
    assert_true(note != NULL && note->effect.rollback.anew);
    for (uint32_t i = 0; i < 5; i++) {
        assert_true(flock_discarded(f, 0, lost + i));
    }
    flock_bring_snapshot(f, 1, 0);
    flock_elapse(f, 100 * QR_MILLISECOND);
    assert_int_equal(f->node[0].log.last, last);
    assert_int_equal(f->node[0].applied, last);
    flock_free(f);
}

/* Only node `at` hears of that view; others are cut off and know what it writes by nothing. */
static void lead_alone(struct flock *f, qr_term term, node_index at, uint32_t writes)
{
    for (node_index i = 0; i < f->n; i++) {
        f->node[i].cut = i != at;
    }
    flock_tell(f, at, view_of(f, term, NODE_NONE, 0x7, 0));
    flock_settle(f);
    flock_tell(f, at, view_of(f, term, at, 0x7, 0));
    flock_settle(f);
    flock_submit(f, at, writes);
    flock_settle(f);
}

/* Where its log begins there is an entry of an older term than what stands there here: nobody can
 * say where the two logs part, and no snapshot of it goes beyond what was executed here. */
static void test_B5_what_is_of_a_later_term_gives_way(void **state)
{
    (void)state;
    qr_req lost;
    struct flock *f = with_a_tail(&lost);
    qr_slot common = f->node[1].log.last;
    lead_alone(f, 2, 1, 8);
    assert_true(f->node[1].log.last > f->node[0].log.last + 1);
    qr_req other = f->node[1].log.entry[common + 2].req; /* behind the NOOP */
    lead_alone(f, 3, 0, 1);
    flock_checkpoint(f, 0, f->node[0].log.last - 2, f->node[0].log.last - 2);
    f->node[1].cut = false;
    flock_tell(f, 1, view_of(f, 3, 0, 0x7, 0));
    flock_elapse(f, QR_SECOND);
    const struct flock_note *note = flock_noted(f, 1, EFFECT_ROLLBACK);
    assert_true(note != NULL && !note->effect.rollback.anew);
    assert_int_equal(note->effect.rollback.slot, common);
    assert_true(flock_discarded(f, 1, other));
    flock_bring_snapshot(f, 0, 1);
    flock_elapse(f, 200 * QR_MILLISECOND);
    assert_int_equal(f->node[1].applied, f->node[0].applied);
    assert_true(flock_applied(f, 1, lost + 4));
    flock_free(f);
}

/* Its log ends before the one of the primary begins, with what is of a later term than anything
 * there: no snapshot of that could be right on top of it. */
static void test_B5_it_gives_way_before_a_log_that_begins_behind_it(void **state)
{
    (void)state;
    qr_req lost;
    struct flock *f = with_a_tail(&lost);
    qr_slot common = f->node[1].log.last;
    lead_alone(f, 2, 1, 1);
    assert_true(f->node[1].log.last < f->node[0].log.last - 1);
    lead_alone(f, 3, 0, 1);
    flock_checkpoint(f, 0, f->node[0].log.last - 2, f->node[0].log.last - 2);
    assert_true(f->node[1].log.last < f->node[0].log.base);
    f->node[1].cut = false;
    flock_tell(f, 1, view_of(f, 3, 0, 0x7, 0));
    flock_elapse(f, QR_SECOND);
    assert_int_equal(f->node[1].log.last, common);
    flock_bring_snapshot(f, 0, 1);
    flock_elapse(f, 200 * QR_MILLISECOND);
    assert_int_equal(f->node[1].applied, f->node[0].applied);
    flock_free(f);
}

/* The primary has it up to the common point, and may be gone before it has sent it again. */
static void test_B3_who_begins_anew_names_its_own_from_the_floor_on(void **state)
{
    (void)state;
    struct flock *f = flock_new(3);
    flock_tell_all(f, flock_any(f, 1, 0, 0));
    flock_settle(f);
    flock_elapse(f, 100 * QR_MILLISECOND);
    qr_slot floor = flock_primary(f, 0)->floor;
    f->node[2].cut = true;
    qr_req there = flock_submit(f, 0, 3); /* node 1 has them */
    flock_settle(f);
    qr_slot common = f->node[1].log.last;
    assert_int_equal(common, floor + 3);
    f->node[0].cut = true;
    qr_req lost = flock_submit(f, 0, 2);
    flock_settle(f);
    flock_checkpoint(f, 0, f->node[0].log.last, 0);
    lead_alone(f, 2, 1, 4);
    f->node[0].cut = false;
    flock_tell(f, 0, view_of(f, 2, 1, 0x7, 0));
    flock_elapse(f, 100 * QR_MILLISECOND);
    const struct flock_note *note = flock_noted(f, 0, EFFECT_ROLLBACK);
    assert_true(note != NULL && note->effect.rollback.anew);
    assert_int_equal(note->effect.rollback.slot, floor);
    assert_true(flock_discarded(f, 0, there) && flock_discarded(f, 0, lost + 1));
    flock_elapse(f, 200 * QR_MILLISECOND);
    assert_int_equal(f->node[0].log.last, f->node[1].log.last);
    flock_free(f);
}

/* So does who gives it up for a snapshot: what was matched in this term its primary alone may
 * have. */
static void test_S5_who_makes_room_names_its_own_from_the_floor_on(void **state)
{
    (void)state;
    struct flock *f = flock_new(3);
    flock_tell_all(f, flock_any(f, 1, 0, 0));
    flock_settle(f);
    flock_elapse(f, 100 * QR_MILLISECOND);
    qr_slot floor = flock_primary(f, 0)->floor;
    f->node[2].cut = true;
    qr_req there = flock_submit(f, 0, 3); /* node 1 has them */
    flock_settle(f);
    qr_slot common = f->node[1].log.last;
    f->node[0].cut = true;
    flock_submit(f, 0, 2);
    flock_settle(f);
    lead_alone(f, 2, 1, 9);
    flock_tell(f, 0, view_of(f, 2, 1, 0x7, 0));
    struct primary_append append = { .term = 2, .prev_slot = common, .prev_term = 1, .ask = true };
    flock_deliver(f, 1, 0, PRIMARY_APPEND, &append, 0, 0, 0);
    assert_int_equal(flock_primary(f, 0)->matched, common);
    flock_bring_snapshot(f, 1, 0);
    const struct flock_note *note = flock_noted(f, 0, EFFECT_ROLLBACK);
    assert_true(note != NULL && note->effect.rollback.anew);
    assert_int_equal(note->effect.rollback.slot, floor);
    assert_int_equal(note->effect.rollback.given, floor);
    assert_true(flock_discarded(f, 0, there));
    flock_free(f);
}

/* What all members held is not lost: it is given up, until this member is brought up (B6). */
static void test_B6_what_all_members_held_is_given_up(void **state)
{
    (void)state;
    qr_req lost;
    struct flock *f = with_a_tail(&lost);
    qr_slot floor = flock_primary(f, 0)->floor, last = f->node[0].log.last;
    assert_true(floor > 0);
    flock_checkpoint(f, 0, last, 0);
    lead_alone(f, 2, 1, 4);
    flock_tell(f, 0, view_of(f, 2, 1, 0x7, 0));
    flock_lease(f, 0, false);
    f->node[0].cut = false;
    flock_elapse(f, 200 * QR_MILLISECOND);
    const struct flock_note *note = flock_noted(f, 0, EFFECT_ROLLBACK);
    assert_true(note != NULL && note->effect.rollback.anew);
    assert_int_equal(note->effect.rollback.given, floor);
    assert_int_equal(note->effect.rollback.maybe, floor); /* the logs part there */
    assert_int_equal(note->effect.rollback.term, 2);
    assert_int_equal(f->node[0].log.last, f->node[1].log.last);
    assert_int_equal(flock_outlook(f, 0).again, UINT64_MAX); /* it does not count yet */
    flock_lease(f, 0, true);
    flock_elapse(f, 200 * QR_MILLISECOND);
    assert_int_equal(flock_outlook(f, 0).again, 0);
    struct view v = view_of(f, 5, 1, 0x7, 0);
    v.forgot = 4;
    flock_tell(f, 0, v);
    assert_int_equal(flock_outlook(f, 0).again, 4);
    flock_crash(f, 0);
    flock_restart(f, 0);
    assert_int_equal(flock_outlook(f, 0).again, UINT64_MAX);
    flock_free(f);
}

/* It hands over, and the next view is without it: its successor, which goes on, has all of it. */
static void test_S5_who_is_let_go_after_it_has_handed_over_has_nothing_to_name(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 4; i++) {
        struct flock *f = flock_new(3);
        flock_tell_all(f, flock_any(f, 1, 0, 0));
        flock_settle(f);
        flock_elapse(f, 100 * QR_MILLISECOND);
        f->node[2].cut = true; /* not all hold what comes */
        flock_submit(f, 0, 5);
        flock_settle(f);
        flock_tell_all(f, view_of(f, 2, 1, 0x7, 0));
        flock_settle(f);
        struct outlook o = flock_outlook(f, 0);
        assert_true(o.sure == o.last && flock_primary(f, 0)->floor < flock_primary(f, 0)->own);
        if (i == 3) {
            flock_crash(f, 0); /* it remembers no more who had it */
            flock_restart(f, 0);
        }
        struct view v = view_of(f, i == 1 ? 4 : 3, i == 2 ? 2 : 1, 0x6, 0);
        flock_tell(f, 0, v);
        o = flock_outlook(f, 0);
        assert_true((o.sure == o.last) == (i == 0));
        v = view_of(f, 5, 1, 0x6, 0);
        flock_tell(f, 0, v);
        o = flock_outlook(f, 0);
        assert_true(o.sure < o.last);
        flock_free(f);
    }
}

/* The same, but its successor is chosen for that next term because all had forgotten. */
static void test_S5_a_successor_that_has_forgotten_has_nothing(void **state)
{
    (void)state;
    struct flock *f = flock_new(3);
    flock_tell_all(f, flock_any(f, 1, 0, 0));
    flock_settle(f);
    flock_submit(f, 0, 5);
    flock_settle(f);
    flock_tell_all(f, view_of(f, 2, 1, 0x7, 0));
    flock_settle(f);
    struct view v = view_of(f, 3, 1, 0x6, 0);
    v.forgot = 3;
    flock_tell(f, 0, v);
    assert_int_equal(flock_outlook(f, 0).sure, 0);
    flock_free(f);
}

/* The logs are known to agree up to a slot: what is foreign stands behind it. */
static void test_B3_what_was_matched_stays(void **state)
{
    (void)state;
    qr_req lost;
    struct flock *f = with_a_tail(&lost);
    qr_slot common = f->node[1].log.last, last = f->node[0].log.last;
    lead_alone(f, 2, 1, 4);
    flock_tell(f, 0, view_of(f, 2, 1, 0x7, 0));
    struct primary_append append = { .term = 2, .prev_slot = common, .prev_term = 1, .ask = true };
    flock_deliver(f, 1, 0, PRIMARY_APPEND, &append, 0, 0, 0);
    assert_int_equal(flock_primary(f, 0)->matched, common);
    struct primary_foreign foreign = { .term = 2, .slot = last, .slot_term = 1, .common = common };
    flock_deliver(f, 1, 0, PRIMARY_FOREIGN, &foreign, 0, 0, 0);
    const struct flock_note *note = flock_noted(f, 0, EFFECT_ROLLBACK);
    assert_true(note != NULL && !note->effect.rollback.anew);
    assert_int_equal(note->effect.rollback.slot, common);
    assert_int_equal(flock_primary(f, 0)->matched, common);
    flock_settle(f);
    assert_true(flock_discarded(f, 0, lost) && flock_discarded(f, 0, lost + 4));
    flock_free(f);
}

/* Who is chosen with an empty disk lacks what all once held; who was no member then is told too. */
static void test_S5_a_primary_that_has_forgotten_voids_the_floor(void **state)
{
    (void)state;
    qr_req lost;
    struct flock *f = with_a_tail(&lost);
    assert_true(flock_primary(f, 0)->floor > 0);
    assert_true(flock_outlook(f, 0).sure > 0);
    flock_tell(f, 0, view_of(f, 2, 1, 0x6, 0));
    assert_true(flock_outlook(f, 0).sure > 0);
    struct view v = view_of(f, 4, 1, 0x6, 0);
    v.forgot = 3;
    flock_tell(f, 0, v);
    assert_int_equal(flock_outlook(f, 0).sure, 0);
    flock_settle(f);
    flock_crash(f, 0);
    flock_restart(f, 0);
    assert_int_equal(flock_primary(f, 0)->floor, 0);
    flock_free(f);
}

/* What its disk has lost or what was taken back is not here: nothing of it stands in the way of a
 * snapshot that ends before it. */
static void test_B6_what_is_not_here_is_not_given_up(void **state)
{
    (void)state;
    qr_req lost;
    struct flock *f = with_a_tail(&lost);
    qr_slot own = f->node[0].log.last;
    flock_tell(f, 0, view_of(f, 2, NODE_NONE, 0x7, 0));
    flock_settle(f);
    flock_crash(f, 0);
    flock_restart_forgetful(f, 0, 0);
    flock_tell_all(f, view_of(f, 2, 1, 0x7, 0));
    flock_submit(f, 1, 1);
    flock_settle(f);
    assert_true(f->node[1].log.last < own);
    flock_tell(f, 0, view_of(f, 2, 1, 0x7, 0));
    flock_bring_snapshot(f, 1, 0);
    assert_null(flock_noted(f, 0, EFFECT_ROLLBACK));
    assert_int_equal(f->node[0].applied, f->node[1].applied);
    flock_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_A4_S5_who_was_no_member_for_a_while_names_its_tail),
        cmocka_unit_test(test_S5_what_nobody_else_may_have_is_told),
        cmocka_unit_test(test_B3_what_a_wiped_primary_lacks_is_counted),
        cmocka_unit_test(test_B3_a_longer_log_that_is_contradicted_gives_way),
        cmocka_unit_test(test_B5_what_is_of_a_later_term_gives_way),
        cmocka_unit_test(test_B5_it_gives_way_before_a_log_that_begins_behind_it),
        cmocka_unit_test(test_B3_who_begins_anew_names_its_own_from_the_floor_on),
        cmocka_unit_test(test_S5_who_makes_room_names_its_own_from_the_floor_on),
        cmocka_unit_test(test_B6_what_all_members_held_is_given_up),
        cmocka_unit_test(test_S5_who_is_let_go_after_it_has_handed_over_has_nothing_to_name),
        cmocka_unit_test(test_S5_a_successor_that_has_forgotten_has_nothing),
        cmocka_unit_test(test_B3_what_was_matched_stays),
        cmocka_unit_test(test_S5_a_primary_that_has_forgotten_voids_the_floor),
        cmocka_unit_test(test_B6_what_is_not_here_is_not_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
