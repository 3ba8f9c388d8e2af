/* Primary/backup: writes, rules of acknowledgement, failover, what is taken back. */
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
    assert_true(flock_outlook(f, 0).can_serve);
    memset(f->sent, 0, sizeof f->sent);
    return f;
}

/* R2: one message for each copy that is not waited for. */
static void test_R2_an_asynchronous_write_costs_one_message_per_replica(void **state)
{
    (void)state;
    struct flock *f = led(3, 0);
    f->node[1].cut = f->node[2].cut = true;
    qr_req req = flock_submit(f, 0, 1);
    assert_false(flock_applied(f, 0, req)); /* not durable */
    flock_settle(f);
    assert_true(flock_applied(f, 0, req)); /* nobody is waited for */
    f->node[1].cut = f->node[2].cut = false;
    flock_elapse(f, 60 * QR_MILLISECOND);
    memset(f->sent, 0, sizeof f->sent);
    req = flock_submit(f, 0, 1);
    flock_settle(f);
    assert_int_equal(f->sent[PRIMARY_APPEND], 2);
    assert_int_equal(f->sent[PRIMARY_APPEND_ACK], 0);
    flock_elapse(f, 30 * QR_MILLISECOND);
    for (node_index i = 0; i < 3; i++) {
        assert_true(flock_applied(f, i, req));
    }
    flock_free(f);
}

/* R3: two messages for each copy that is. */
static void test_R3_a_synchronous_write_costs_two_messages_per_replica(void **state)
{
    (void)state;
    struct flock *f = flock_new(3);
    flock_tell_all(f, flock_all(f, 1, 0));
    flock_settle(f);
    memset(f->sent, 0, sizeof f->sent);
    qr_req req = flock_submit(f, 0, 1);
    assert_true(flock_deliver_one(f, 0, 1, PRIMARY_APPEND));
    assert_true(flock_deliver_one(f, 0, 2, PRIMARY_APPEND));
    flock_sync(f, 0);
    flock_sync(f, 1);
    assert_true(flock_deliver_one(f, 1, 0, PRIMARY_APPEND_ACK));
    assert_false(flock_applied(f, 0, req)); /* node 2 is in the set too */
    flock_sync(f, 2);
    assert_true(flock_deliver_one(f, 2, 0, PRIMARY_APPEND_ACK));
    assert_true(flock_applied(f, 0, req));
    assert_int_equal(f->sent[PRIMARY_APPEND], 2);
    assert_int_equal(f->sent[PRIMARY_APPEND_ACK], 2);
    flock_free(f);
}

static void test_any_1_does_not_wait_for_the_slow_one(void **state)
{
    (void)state;
    struct flock *f = led(3, 1);
    f->node[2].disk_held = true;
    qr_req req = flock_submit(f, 0, 3);
    flock_settle(f);
    assert_true(flock_applied(f, 0, req + 2));
    flock_free(f);
}

static void test_any_1_waits_for_one(void **state)
{
    (void)state;
    struct flock *f = led(3, 1);
    f->node[1].disk_held = f->node[2].disk_held = true;
    qr_req req = flock_submit(f, 0, 1);
    flock_settle(f);
    assert_false(flock_applied(f, 0, req));
    f->node[2].disk_held = false;
    flock_settle(f);
    assert_true(flock_applied(f, 0, req));
    flock_free(f);
}

/* The others promise and tell where they stand; the best is named. */
static void test_L9_failover_of_any_1_keeps_what_was_acknowledged(void **state)
{
    (void)state;
    struct flock *f = led(3, 1);
    f->node[2].cut = true;
    qr_req req = flock_submit(f, 0, 1);
    flock_settle(f);
    assert_true(flock_applied(f, 0, req));
    flock_crash(f, 0);
    f->node[2].cut = false;
    flock_tell_all(f, flock_any(f, 2, NODE_NONE, 1));
    assert_false(flock_outlook(f, 1).stands); /* the promise is not durable */
    flock_settle(f);
    struct outlook one = flock_outlook(f, 1);
    struct outlook two = flock_outlook(f, 2);
    assert_true(one.stands && two.stands);
    assert_int_equal(one.stood.term, 2);
    assert_true(one.stood.last > two.stood.last);
    flock_tell_all(f, flock_any(f, 2, 1, 1));
    flock_settle(f);
    assert_true(flock_outlook(f, 1).can_serve);
    assert_true(flock_applied(f, 1, req));
    flock_elapse(f, 60 * QR_MILLISECOND);
    assert_true(flock_applied(f, 2, req));
    flock_free(f);
}

/* What a lone primary of LOCAL acknowledged goes when another one is named; it has a name. */
static void test_R8_what_is_lost_is_taken_back_by_name(void **state)
{
    (void)state;
    struct flock *f = led(3, 0);
    f->node[0].cut = true;
    qr_req lost = flock_submit(f, 0, 2);
    flock_settle(f);
    assert_true(flock_applied(f, 0, lost + 1));
    flock_tell_all(f, flock_any(f, 2, NODE_NONE, 0));
    flock_settle(f);
    flock_tell_all(f, flock_any(f, 2, 1, 0));
    flock_settle(f);
    qr_req kept = flock_submit(f, 1, 1);
    f->node[0].cut = false;
    flock_elapse(f, 100 * QR_MILLISECOND);
    assert_true(flock_discarded(f, 0, lost) && flock_discarded(f, 0, lost + 1));
    assert_false(flock_applied(f, 0, lost));
    assert_true(flock_applied(f, 0, kept));
    assert_int_equal(flock_noted(f, 0, EFFECT_ROLLBACK)->effect.rollback.term, 2);
    assert_false(flock_noted(f, 0, EFFECT_ROLLBACK)->effect.rollback.anew);
    flock_free(f);
}

/* The answers to reminders are lost, heartbeats alone tell that it has everything. */
static void test_lost_answers_do_not_fill_the_window(void **state)
{
    (void)state;
    struct flock *f = led(2, 0);
    for (uint32_t i = 0; i < 12; i++) {
        flock_submit(f, 0, 1);
        f->now = flock_primary(f, 0)->heartbeat_due;
        flock_timer(f, 0);
        flock_sync(f, 0);
        while (flock_deliver_one(f, 0, 1, PRIMARY_APPEND)) {
        }
        flock_sync(f, 1);
        while (flock_deliver_one(f, 0, 1, PRIMARY_HEARTBEAT)) {
        }
        while (flock_deliver_one(f, 1, 0, PRIMARY_HEARTBEAT_ACK)) {
        }
        f->mails = 0;
    }
    assert_int_equal(f->node[1].log.last, f->node[0].log.last);
    flock_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_R2_an_asynchronous_write_costs_one_message_per_replica),
        cmocka_unit_test(test_R3_a_synchronous_write_costs_two_messages_per_replica),
        cmocka_unit_test(test_any_1_does_not_wait_for_the_slow_one),
        cmocka_unit_test(test_any_1_waits_for_one),
        cmocka_unit_test(test_L9_failover_of_any_1_keeps_what_was_acknowledged),
        cmocka_unit_test(test_lost_answers_do_not_fill_the_window),
        cmocka_unit_test(test_R8_what_is_lost_is_taken_back_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
