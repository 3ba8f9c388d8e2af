/* The claims of Viewstamped Replication Revisited (Liskov and Cowling, 2012) that primary/backup
 * follows (decision 056): 4.1 normal operation, 4.2 view changes, 4.3 recovery, 7 reconfiguration.
 * What the paper's replicas agree on among themselves group 0 writes down here, so a view change
 * has two halves: who stands is asked of the protocol, who is chosen of succession.h. One test
 * each; the section stands in the name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cluster/succession.h"
#include "tests/unit/protocol/primary_group.h"

/* Node 0 is the primary of view 1: of three, with one other it can lose one (f = 1). */
static struct flock *led(void)
{
    struct flock *f = flock_new(3);
    flock_tell_all(f, flock_any(f, 1, 0, 1));
    flock_settle(f);
    return f;
}

static bool deliver_to(struct flock *f, node_index to)
{
    return flock_deliver_one(f, 0, to, PRIMARY_APPEND);
}

/* "Backups process PREPARE messages in order: a backup won't accept a prepare with op-number n
 * until it has entries for all earlier requests in its log." */
static void test_4_1_a_backup_accepts_nothing_behind_a_gap(void **state)
{
    (void)state;
    struct flock *f = led();
    qr_slot before = f->node[1].log.last;
    struct primary_append m = { .term = 1, .prev_slot = before + 1, .prev_term = 1 };
    m.sent = ++f->now;
    m.ask = true;

    flock_deliver(f, 0, 1, PRIMARY_APPEND, &m, before + 2, before + 3, 1);
    flock_sync(f, 1);

    assert_int_equal(f->node[1].log.last, before);
    assert_non_null(flock_sent(f, 1, 0, PRIMARY_APPEND_REJECT));
    assert_null(flock_sent(f, 1, 0, PRIMARY_APPEND_ACK));
    flock_free(f);
}

/* "The primary waits for f PREPAREOK messages from different backups; at this point it considers
 * the operation (and all earlier ones) to be committed." */
static void test_4_1_f_answers_commit_an_operation_and_all_before_it(void **state)
{
    (void)state;
    struct flock *f = led();
    qr_req first = flock_submit(f, 0, 3);
    flock_sync(f, 0);
    while (deliver_to(f, 1)) {
    }
    assert_null(flock_sent(f, 1, 0, PRIMARY_APPEND_ACK)); /* it is not on its disk */
    assert_false(flock_applied(f, 0, first));
    flock_sync(f, 1);
    assert_true(flock_deliver_one(f, 1, 0, PRIMARY_APPEND_ACK));
    assert_true(flock_applied(f, 0, first) && flock_applied(f, 0, first + 2));
    flock_free(f);
}

/* ... "from different backups": one that answers twice is one. */
static void test_4_1_an_answer_that_comes_twice_is_one(void **state)
{
    (void)state;
    struct flock *f = flock_new(3);
    flock_tell_all(f, flock_any(f, 1, 0, 2));
    flock_settle(f);
    qr_req req = flock_submit(f, 0, 1);
    flock_sync(f, 0);
    struct primary_append_ack ack = { .term = 1, .life = flock_primary(f, 0)->peer[1].life };
    ack.got = ack.match = f->node[0].log.last;
    for (uint32_t i = 0; i < 2; i++) {
        ack.sent = ++f->now;
        flock_deliver(f, 1, 0, PRIMARY_APPEND_ACK, &ack, 0, 0, 0);
        assert_false(flock_applied(f, 0, req));
    }
    ack.life = flock_primary(f, 0)->peer[2].life;
    flock_deliver(f, 2, 0, PRIMARY_APPEND_ACK, &ack, 0, 0, 0);
    assert_true(flock_applied(f, 0, req));
    flock_free(f);
}

/* "Normally the primary informs backups about the commit when it sends the next PREPARE message;
 * ... if [it] does not receive a new client request in a timely way, it instead informs the backups
 * of the latest commit by sending them a COMMIT message." */
static void test_4_1_backups_learn_of_a_commit_without_another_request(void **state)
{
    (void)state;
    struct flock *f = led();
    qr_req req = flock_submit(f, 0, 1);
    flock_settle(f);
    assert_true(flock_applied(f, 0, req));
    assert_false(flock_applied(f, 1, req));
    flock_elapse(f, 60 * QR_MILLISECOND);
    assert_true(flock_applied(f, 1, req) && flock_applied(f, 2, req));
    flock_free(f);
}

/* "Replicas only process normal protocol messages containing a view-number that matches the
 * view-number they know. If the sender is behind, the receiver drops the message." */
static void test_4_2_what_an_older_view_prepares_is_not_taken(void **state)
{
    (void)state;
    struct flock *f = led();
    qr_slot last = f->node[1].log.last;
    flock_tell(f, 1, flock_any(f, 2, NODE_NONE, 1)); /* its DOVIEWCHANGE */
    qr_req req = flock_submit(f, 0, 1);
    f->node[2].cut = true;

    flock_settle(f);

    assert_int_equal(f->node[1].log.last, last);
    assert_false(flock_applied(f, 0, req));
    assert_int_equal(flock_primary(f, 0)->term, 2); /* it was told so, and is primary no more */
    flock_free(f);
}

/* What a replica tells in its DOVIEWCHANGE stays true: its promise and its log are durable first,
 * or a restart would take back what the choice was made of. */
static void test_4_2_who_stands_has_what_it_tells(void **state)
{
    (void)state;
    struct flock *f = led();
    f->node[1].disk_held = true;
    flock_submit(f, 0, 1);
    flock_settle(f);
    flock_crash(f, 0);
    flock_tell(f, 1, flock_any(f, 2, NODE_NONE, 1));
    flock_settle(f);
    assert_false(flock_outlook(f, 1).stands);
    f->node[1].disk_held = false;
    flock_settle(f);
    struct outlook o = flock_outlook(f, 1);
    assert_true(o.stands);
    assert_int_equal(o.stood.last, f->node[1].disk.last);
    assert_int_equal(f->node[1].disk.term, 2);
    flock_free(f);
}

/* "[The new primary] selects as the new log the one contained in the message with the largest v';
 * if several messages have the same v' it selects the one among them with the largest n." */
static void test_4_2_the_choice_goes_by_view_and_then_by_length(void **state)
{
    (void)state;
    struct succession_wish wish = { .members = 0x1f, .copies = 2 };
    for (uint32_t k = 0; k < 16; k++) {
        node_index further = (node_index)(1 + k % 4), longer = (node_index)(1 + k / 4);
        struct succession s = succession_first(&wish, 0);
        for (uint32_t turns = 0; turns < 4; turns++) { /* chosen, settled, opened, chosen */
            struct succession_scene scene = { .alive = turns < 2 ? 0x1f : 0x1e, .to = NODE_NONE };
            scene.lease_over = turns >= 2;
            for (node_index i = 0; i < 5; i++) {
                scene.told[i] = (struct succession_told){ .life = 1u + i,
                                                          .promised = s.term,
                                                          .last_term = i == further,
                                                          .last_slot = i == longer ? 20 : 10,
                                                          .handed_to = NODE_NONE };
            }
            scene.told[0] = (struct succession_told){ .life = 1, .promised = s.term };
            scene.told[0].last_term = 1;
            scene.told[0].last_slot = 30;
            scene.told[0].settled = s.term;
            struct succession_action a = succession_turn(&s, &wish, &scene);
            assert_int_equal(a.kind, SUCCESSION_WRITE);
            s = a.next;
        }
        assert_int_equal(s.primary, further);
    }
}

/* "[It] executes (in order) any committed operations that it hadn't executed previously", and those
 * that were not committed are when the new view commits: not by answers about them alone, which
 * say nothing of a view between (Ongaro 2014, figure 8). */
static void test_4_2_what_was_prepared_before_is_committed_by_the_new_view(void **state)
{
    (void)state;
    struct flock *f = led();
    f->node[2].cut = true;
    f->node[0].disk_held = true; /* nothing is committed */
    qr_req req = flock_submit(f, 0, 1);
    flock_settle(f);
    qr_slot last = f->node[1].log.last;
    flock_crash(f, 0);
    f->node[2].cut = false;
    flock_tell_all(f, flock_any(f, 2, NODE_NONE, 1));
    flock_settle(f);
    f->node[2].cut = true;
    flock_tell(f, 1, flock_any(f, 2, 1, 1));
    flock_settle(f);
    flock_lose_mail(f);
    struct primary_append_ack ack = { .term = 2, .life = 77, .sent = ++f->now };
    ack.got = ack.match = last;

    flock_deliver(f, 2, 1, PRIMARY_APPEND_ACK, &ack, 0, 0, 0);
    assert_false(flock_applied(f, 1, req));
    ack.got = ack.match = last + 1; /* what the view begins with */
    ack.sent = ++f->now;
    flock_deliver(f, 2, 1, PRIMARY_APPEND_ACK, &ack, 0, 0, 0);

    assert_true(flock_applied(f, 1, req));
    flock_free(f);
}

/* "While a replica's status is recovering it does not participate in either the request processing
 * protocol or the view change protocol." */
static void test_4_3_who_recovers_neither_counts_nor_stands_nor_leads(void **state)
{
    (void)state;
    struct flock *f = led();
    flock_crash(f, 1);
    flock_restart_forgetful(f, 1, f->node[1].disk.last);
    flock_lease(f, 1, false); /* it is not told that it has recovered */
    f->node[2].cut = true;
    flock_tell(f, 1, flock_any(f, 1, 0, 1));
    qr_req req = flock_submit(f, 0, 1);
    flock_elapse(f, 60 * QR_MILLISECOND);
    assert_int_equal(f->node[1].disk.last, f->node[0].disk.last);
    assert_false(flock_applied(f, 0, req));

    flock_tell(f, 1, flock_any(f, 2, NODE_NONE, 1));
    flock_settle(f);
    assert_false(flock_outlook(f, 1).stands);
    flock_tell(f, 1, flock_any(f, 2, 1, 1)); /* whoever was chosen, it was in a life before */
    flock_lease(f, 1, true);
    flock_settle(f);
    assert_true(flock_outlook(f, 1).barred);
    assert_int_equal(flock_outlook(f, 1).role, ROLE_FOLLOWER);
    flock_free(f);
}

/* "The nonce ... ensures that the recovering replica accepts only RECOVERYRESPONSE messages that
 * are for this recovery and not an earlier one." */
static void test_4_3_an_earlier_recovery_ends_no_later_one(void **state)
{
    (void)state;
    struct flock *f = led();
    flock_crash(f, 1);
    flock_restart_forgetful(f, 1, f->node[1].disk.last);
    flock_lease(f, 1, false);
    flock_tell(f, 1, flock_any(f, 1, 0, 1));
    flock_elapse(f, 60 * QR_MILLISECOND);
    uint32_t life = flock_primary(f, 1)->life;
    struct primary_recovered m = { .term = 1, .slot = f->node[1].log.last, .life = life + 2 };
    flock_lease(f, 1, true);
    flock_lose_mail(f);

    flock_deliver(f, 0, 1, PRIMARY_RECOVERED, &m, 0, 0, 0);
    flock_sync(f, 1);
    assert_true(flock_outlook(f, 1).forgetful);
    m.life = life;
    flock_deliver(f, 0, 1, PRIMARY_RECOVERED, &m, 0, 0, 0);
    flock_sync(f, 1);
    assert_false(flock_outlook(f, 1).forgetful);
    flock_free(f);
}

/* "Once [a replica of the old group] learns of the new epoch it does not process client requests",
 * and those of the new group count, no others. */
static void test_7_who_is_no_member_neither_takes_nor_counts(void **state)
{
    (void)state;
    struct flock *f = led();
    struct view v = flock_any(f, 2, 1, 1);
    v.members = node_bit(1) | node_bit(2);
    f->node[2].disk_held = true;
    flock_tell_all(f, v);
    flock_settle(f);
    assert_int_equal(flock_answer(f, 0, flock_submit(f, 0, 1)), STATUS_NOT_LEADER);
    qr_req req = flock_submit(f, 1, 1);
    flock_settle(f);
    struct primary_append_ack ack = { .term = 2, .life = 55, .sent = ++f->now };
    ack.got = ack.match = f->node[1].log.last;
    flock_deliver(f, 0, 1, PRIMARY_APPEND_ACK, &ack, 0, 0, 0);
    assert_false(flock_applied(f, 1, req));
    f->node[2].disk_held = false;
    flock_settle(f);
    assert_true(flock_applied(f, 1, req));
    flock_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_4_1_a_backup_accepts_nothing_behind_a_gap),
        cmocka_unit_test(test_4_1_f_answers_commit_an_operation_and_all_before_it),
        cmocka_unit_test(test_4_1_an_answer_that_comes_twice_is_one),
        cmocka_unit_test(test_4_1_backups_learn_of_a_commit_without_another_request),
        cmocka_unit_test(test_4_2_what_an_older_view_prepares_is_not_taken),
        cmocka_unit_test(test_4_2_who_stands_has_what_it_tells),
        cmocka_unit_test(test_4_2_the_choice_goes_by_view_and_then_by_length),
        cmocka_unit_test(test_4_2_what_was_prepared_before_is_committed_by_the_new_view),
        cmocka_unit_test(test_4_3_who_recovers_neither_counts_nor_stands_nor_leads),
        cmocka_unit_test(test_4_3_an_earlier_recovery_ends_no_later_one),
        cmocka_unit_test(test_7_who_is_no_member_neither_takes_nor_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
