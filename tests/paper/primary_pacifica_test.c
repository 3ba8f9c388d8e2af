/* The claims of PacificA (Lin, Yang, Zhang and Zhou, 2008) that primary/backup follows (decision
 * 056): replication within a configuration, and its change by a separate group. The paper commits
 * what all secondaries have, which is ACK ALL here. One test each; the section stands in the name.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/protocol/primary_group.h"

static struct flock *led(node_index n)
{
    struct flock *f = flock_new(n);
    flock_tell_all(f, flock_all(f, 1, 0));
    flock_settle(f);
    return f;
}

/* "Commit invariant: let p be the primary and q be any replica in the current configuration,
 * committed_q is within committed_p is within prepared_q." */
static void assert_commit_invariant(struct flock *f)
{
    for (node_index q = 0; q < f->n; q++) {
        assert_true(flock_primary(f, q)->commit <= flock_primary(f, 0)->commit);
        assert_true(flock_primary(f, 0)->commit <= f->node[q].disk.last);
    }
}

static void test_2_2_the_commit_invariant_holds_at_each_step(void **state)
{
    (void)state;
    struct flock *f = led(4);
    for (uint32_t turn = 0; turn < 60; turn++) {
        flock_submit(f, 0, 1 + turn % 3);
        assert_commit_invariant(f);
        for (uint32_t k = 0; k < 6; k++) { /* in an order of its own each turn */
            node_index to = (node_index)(1 + (turn * 5 + k * 7) % 3);
            if ((turn + k) % 4 == 0) {
                flock_sync(f, to);
            }
            if (k % 2 == 0) {
                flock_deliver_one(f, 0, to, PRIMARY_APPEND);
            } else {
                flock_deliver_one(f, to, 0, PRIMARY_APPEND_ACK);
            }
            assert_commit_invariant(f);
        }
        flock_sync(f, 0);
        assert_commit_invariant(f);
    }
    qr_slot committed = flock_primary(f, 0)->commit;
    flock_settle(f);
    assert_true(committed > 1 && flock_primary(f, 0)->commit == f->node[0].log.last);
    flock_free(f);
}

/* "Primary invariant: at any time, a server p considers itself a primary only if the configuration
 * manager has p as the primary in its current configuration as maintained; hence there exists at
 * most one." By its lease: it neither answers a query nor takes an update without. */
static void test_2_3_without_its_lease_nobody_considers_itself_primary_scenario_73(void **state)
{
    (void)state;
    struct flock *f = led(3);
    f->node[0].cut = true; /* it does not hear of the next configuration */
    flock_lease(f, 0, false);
    flock_tell_all(f, flock_all(f, 2, NODE_NONE));
    flock_settle(f);
    struct view next = flock_any(f, 2, 1, 0);
    next.set = node_bit(1) | node_bit(2);
    flock_tell_all(f, next);
    flock_settle(f);
    assert_true(flock_outlook(f, 1).can_serve);
    assert_false(flock_outlook(f, 0).can_serve);
    assert_int_equal(flock_answer(f, 0, flock_read(f, 0)), STATUS_NOT_LEADER);
    assert_int_equal(flock_answer(f, 0, flock_submit(f, 0, 1)), STATUS_NOT_LEADER);
    flock_free(f);
}

/* "Reconfiguration invariant: if a new primary p completes reconciliation at time t, any committed
 * list maintained by any replica at any time before t is guaranteed to be a prefix of committed_p
 * at time t." So any of the set may be the next primary. */
static void test_2_4_any_secondary_may_take_over_and_nothing_is_lost(void **state)
{
    (void)state;
    for (node_index heir = 1; heir < 4; heir++) {
        struct flock *f = led(4);
        f->node[heir].disk_held = true;
        qr_req req = flock_submit(f, 0, 3);
        flock_settle(f);
        assert_false(flock_applied(f, 0, req));
        f->node[heir].disk_held = false;
        flock_settle(f);
        assert_true(flock_applied(f, 0, req + 2));
        flock_crash(f, 0);
        flock_tell_all(f, flock_all(f, 2, NODE_NONE));
        flock_settle(f);
        struct view next = flock_any(f, 2, heir, 0);
        next.members = next.set = 0x0e;
        flock_tell_all(f, next);
        flock_settle(f);
        assert_true(flock_outlook(f, heir).can_serve);
        assert_true(flock_applied(f, heir, req) && flock_applied(f, heir, req + 2));
        flock_free(f);
    }
}

/* "Reconciliation: ... p prepares the uncommitted requests in its prepared list [and] has them
 * committed in the new configuration; the secondaries truncate prepared lists to that of p." */
static void test_2_4_reconciliation_makes_the_lists_equal(void **state)
{
    (void)state;
    struct flock *f = led(3);
    f->node[1].cut = true;
    qr_req lost = flock_submit(f, 0, 2); /* node 2 prepares them, node 1 does not */
    flock_settle(f);
    f->node[1].cut = false;
    flock_crash(f, 0);
    flock_tell_all(f, flock_all(f, 2, NODE_NONE));
    flock_settle(f);
    assert_true(f->node[2].log.last > f->node[1].log.last);
    struct view next = flock_any(f, 2, 1, 0);
    next.members = next.set = 0x06;
    flock_tell_all(f, next);
    flock_elapse(f, 60 * QR_MILLISECOND);
    assert_true(flock_discarded(f, 2, lost) && flock_discarded(f, 2, lost + 1));
    assert_int_equal(f->node[2].log.last, f->node[1].log.last);
    for (qr_slot s = 1; s <= f->node[1].log.last; s++) {
        assert_int_equal(f->node[1].log.entry[s].term, f->node[2].log.entry[s].term);
    }
    assert_false(flock_applied(f, 1, lost) || flock_applied(f, 2, lost));
    flock_free(f);
}

/* "A new replica joins as a candidate secondary: ... p sends it prepares; [it] is added to the
 * configuration when it has caught up." Until then nobody waits for it, and it counts for nothing.
 */
static void test_2_5_a_candidate_is_fed_and_does_not_count(void **state)
{
    (void)state;
    struct flock *f = flock_new(3);
    struct view v = flock_any(f, 1, 0, 1);
    v.members = node_bit(0) | node_bit(1);
    v.learners = node_bit(2);
    flock_tell_all(f, v);
    flock_settle(f);
    f->node[1].disk_held = true;
    qr_req req = flock_submit(f, 0, 1);
    flock_elapse(f, 60 * QR_MILLISECOND);
    assert_int_equal(f->node[2].disk.last, f->node[0].disk.last);
    assert_false(flock_applied(f, 0, req));
    f->node[1].disk_held = false;
    f->node[2].disk_held = true;
    flock_submit(f, 0, 1);
    flock_settle(f);
    assert_true(flock_applied(f, 0, req + 1));
    flock_free(f);
}

/* "Each message carries the version of the sender's configuration; one of an older version is
 * rejected": an answer of a configuration before says nothing in this one. */
static void test_2_3_an_answer_of_an_older_configuration_says_nothing_scenario_71(void **state)
{
    (void)state;
    struct flock *f = led(2);
    flock_tell(f, 0, flock_all(f, 2, 0));
    flock_settle(f);
    f->node[1].cut = true;
    qr_req req = flock_submit(f, 0, 1);
    flock_settle(f);
    struct primary_append_ack ack = { .term = 1, .life = flock_primary(f, 0)->peer[1].life };
    ack.got = ack.match = f->node[0].log.last;
    ack.sent = ++f->now;
    flock_deliver(f, 1, 0, PRIMARY_APPEND_ACK, &ack, 0, 0, 0);
    assert_false(flock_applied(f, 0, req));
    ack.term = 2;
    flock_deliver(f, 1, 0, PRIMARY_APPEND_ACK, &ack, 0, 0, 0);
    assert_true(flock_applied(f, 0, req));
    flock_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_2_2_the_commit_invariant_holds_at_each_step),
        cmocka_unit_test(test_2_3_without_its_lease_nobody_considers_itself_primary_scenario_73),
        cmocka_unit_test(test_2_4_any_secondary_may_take_over_and_nothing_is_lost),
        cmocka_unit_test(test_2_4_reconciliation_makes_the_lists_equal),
        cmocka_unit_test(test_2_5_a_candidate_is_fed_and_does_not_count),
        cmocka_unit_test(test_2_3_an_answer_of_an_older_configuration_says_nothing_scenario_71),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
