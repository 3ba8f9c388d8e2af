/* Members that feed others, rule by rule (src/protocol/primary/feed.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/protocol/primary_group.h"

#define APART (350 * QR_MILLISECOND) /* more than an election time-out */

/* Node 0 is the primary of term 1 and settled; node 1 of the zone of 1 and 2 is fed by node 2. */
static struct flock *fed(struct view v, node_index n)
{
    struct flock *f = flock_new(n);
    flock_zones(f, 0x110);
    flock_tell_all(f, v);
    flock_settle(f);
    flock_elapse(f, 60 * QR_MILLISECOND);
    assert_int_equal(flock_primary(f, 0)->fed, node_bit(1));
    assert_int_equal(flock_outlook(f, 0).member[1].fed_by, 1 + 2);
    assert_int_equal(flock_outlook(f, 2).feeds, node_bit(1));
    return f;
}

static struct view any(node_index n)
{
    struct flock f = { .n = n };
    return flock_any(&f, 1, 0, 1);
}

static struct view all(node_index n)
{
    struct flock f = { .n = n };
    return flock_all(&f, 1, 0);
}

static void relay(struct flock *f, node_index from, qr_term term, qr_slot prev)
{
    struct primary_relay m = { .term = term, .prev_slot = prev, .prev_term = 1, .sent = f->now };
    flock_deliver(f, from, 1, PRIMARY_RELAY, &m, prev + 1, prev + 2, 1);
}

static void test_R1_only_in_the_term_that_it_follows(void **state)
{
    (void)state;
    struct flock *f = fed(any(3), 3);
    qr_slot last = f->node[1].log.last;
    relay(f, 2, 2, last);
    assert_int_equal(f->node[1].log.last, last);
    assert_int_equal(flock_outlook(f, 1).term, 1);
    relay(f, 2, 1, last + 1); /* it stands on nothing that is here */
    assert_int_equal(f->node[1].log.last, last);
    relay(f, 2, 1, last);
    assert_int_equal(f->node[1].log.last, last + 1);
    struct view next = any(3); /* nobody leads the next one: nothing is taken */
    next.term = 2;
    next.primary = NODE_NONE;
    flock_tell(f, 1, next);
    relay(f, 2, 2, last + 1);
    assert_int_equal(f->node[1].log.last, last + 1);
    flock_free(f);
}

static void test_R1_a_feeder_sends_what_is_surely_the_primarys(void **state)
{
    (void)state;
    struct flock *f = fed(any(3), 3);
    struct primary *feeder = flock_primary(f, 2);
    (void)flock_submit(f, 0, 3);
    flock_settle(f);
    assert_int_equal(f->node[1].log.last, f->node[0].log.last);
    feeder->feed = 0; /* as in a new life, in which little has matched yet */
    feeder->matched = 1;
    struct primary_feed m = { .term = 1, .members = node_bit(1) };
    flock_deliver(f, 0, 2, PRIMARY_FEED, &m, 0, 0, 0);
    assert_int_equal(feeder->feed, node_bit(1));
    assert_int_equal(feeder->peer[1].next, 2);
    flock_free(f);
}

static void test_R2_the_rule_waits_for_the_one_that_is_fed(void **state)
{
    (void)state;
    struct flock *f = fed(all(3), 3);
    f->node[1].disk_held = true;
    qr_req req = flock_submit(f, 0, 1);
    flock_elapse(f, 100 * QR_MILLISECOND);
    assert_int_equal(f->node[1].log.last, f->node[0].log.last);
    assert_false(flock_applied(f, 0, req)); /* what the feeder knows of it counts for nothing */
    f->node[1].disk_held = false;
    flock_sync(f, 1);
    flock_settle(f);
    assert_true(flock_applied(f, 0, req));
    flock_free(f);
}

static void test_R2_it_answers_the_primary_itself_and_at_once(void **state)
{
    (void)state;
    struct flock *f = fed(all(3), 3);
    qr_req req = flock_submit(f, 0, 1);
    flock_settle(f); /* without a heartbeat */
    assert_true(flock_applied(f, 0, req));
    flock_free(f);
}

static void test_R3_who_does_not_come_on_is_fed_by_the_primary(void **state)
{
    (void)state;
    struct flock *f = fed(any(4), 4);
    const struct peer *feeder = &flock_primary(f, 0)->peer[2];
    f->node[2].cut = true; /* it is heard, and what it sends to others is lost */
    (void)flock_submit(f, 0, 1);
    for (int i = 0; i < 16; i++) {
        struct primary_heartbeat_ack ack = { .term = 1, .life = feeder->life, .sent = f->now };
        ack.matched = true;
        ack.got = ack.match = feeder->match;
        flock_deliver(f, 2, 0, PRIMARY_HEARTBEAT_ACK, &ack, 0, 0, 0);
        flock_elapse(f, 25 * QR_MILLISECOND);
    }
    assert_int_equal(f->node[1].log.last, f->node[0].log.last);
    assert_int_equal(flock_primary(f, 0)->fed & node_bit(1), 0); /* not so soon again */
    flock_free(f);
}

static void test_R3_a_feeder_that_is_lost_is_one_no_more(void **state)
{
    (void)state;
    struct flock *f = fed(any(3), 3);
    flock_crash(f, 2);
    flock_peer(f, 0, 2, false);
    assert_int_equal(flock_primary(f, 0)->fed, 0);
    qr_req req = flock_submit(f, 0, 1);
    flock_settle(f);
    assert_true(flock_applied(f, 0, req));
    flock_free(f);
}

static void test_R4_it_feeds_as_long_as_it_is_told_to(void **state)
{
    (void)state;
    struct flock *f = fed(any(3), 3);
    f->node[2].cut = true;
    flock_elapse(f, APART);
    flock_lease(f, 2, true); /* any event: it sees what time it is */
    assert_int_equal(flock_outlook(f, 2).feeds, 0);
    assert_int_equal(flock_primary(f, 0)->fed, 0);
    f->node[2].cut = false;
    flock_elapse(f, 100 * QR_MILLISECOND);
    assert_true(flock_primary(f, 0)->fed != 0);
    struct view next = any(3);
    next.term = 2;
    flock_tell(f, 1, next);
    flock_tell(f, 2, next);
    assert_int_equal(flock_outlook(f, 1).feeds | flock_outlook(f, 2).feeds, 0);
    flock_free(f);
}

static void test_R5_a_learner_is_fed_and_does_not_feed(void **state)
{
    (void)state;
    struct flock *f = flock_new(3);
    struct view v = any(3);
    v.members = 3;
    v.learners = 4;
    flock_zones(f, 0x110);
    flock_tell_all(f, v);
    flock_elapse(f, 100 * QR_MILLISECOND);
    assert_int_equal(flock_outlook(f, 0).member[1].fed_by, 0);
    assert_int_equal(flock_outlook(f, 0).member[2].fed_by, 1 + 1);
    flock_free(f);
}

static void test_R5_whom_it_hands_over_to_the_primary_feeds(void **state)
{
    (void)state;
    struct flock *f = fed(any(3), 3);
    f->node[1].cut = true;
    (void)flock_submit(f, 0, 1);
    (void)flock_hand_over(f, 0, 1, QR_SECOND);
    assert_int_equal(flock_primary(f, 0)->fed, 0);
    flock_elapse(f, 60 * QR_MILLISECOND);
    assert_int_equal(flock_primary(f, 0)->fed & node_bit(1), 0);
    flock_free(f);
}

static void test_R5_without_zones_nobody_feeds(void **state)
{
    (void)state;
    struct flock *f = fed(any(3), 3);
    flock_zones(f, 0);
    flock_elapse(f, 60 * QR_MILLISECOND);
    assert_int_equal(flock_primary(f, 0)->fed, 0);
    flock_zones(f, 0x111); /* the primary's own zone */
    flock_elapse(f, 60 * QR_MILLISECOND);
    assert_int_equal(flock_primary(f, 0)->fed, 0);
    flock_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_R1_only_in_the_term_that_it_follows),
        cmocka_unit_test(test_R1_a_feeder_sends_what_is_surely_the_primarys),
        cmocka_unit_test(test_R2_the_rule_waits_for_the_one_that_is_fed),
        cmocka_unit_test(test_R2_it_answers_the_primary_itself_and_at_once),
        cmocka_unit_test(test_R3_who_does_not_come_on_is_fed_by_the_primary),
        cmocka_unit_test(test_R3_a_feeder_that_is_lost_is_one_no_more),
        cmocka_unit_test(test_R4_it_feeds_as_long_as_it_is_told_to),
        cmocka_unit_test(test_R5_a_learner_is_fed_and_does_not_feed),
        cmocka_unit_test(test_R5_whom_it_hands_over_to_the_primary_feeds),
        cmocka_unit_test(test_R5_without_zones_nobody_feeds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
