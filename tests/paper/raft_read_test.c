/* Linearizable reads: dissertation 6.4, each of its steps, and 6.4.1 (leases) with the rules of the
 * design that make promises binding. One test each: set up, act, check. */
#include "tests/paper/paper.h"

static struct group *group_with_lease(node_index n)
{
    struct group *g = group_led_by_0(n, n);
    group_admin(g, 0, ADMIN_READ_MODE, READ_MODE_LEASE);
    group_elapse(g, 30 * QR_MILLISECOND);
    return g;
}

/* --- 6.4 Read index
 * --------------------------------------------------------------------------------- */

/* Step 1: "If the leader has not yet marked an entry from its current term committed, it waits
 * until it has done so." */
static void test_6_4_step_1_a_read_waits_for_an_entry_of_the_term_scenario_5(void **state)
{
    (void)state;
    struct group *g = group_new(3);
    group_time_out(g, 0);
    while (group_raft(g, 0)->phase != PHASE_LEADER) {
        qr_assert(g->node[0].write_count > 0 || g->mail_count > 0);
        group_sync(g, 0);
        group_sync(g, 1);
        group_deliver_one(g, 0, 1, RAFT_PREVOTE);
        group_deliver_one(g, 1, 0, RAFT_PREVOTE_REPLY);
        group_deliver_one(g, 0, 1, RAFT_VOTE);
        group_deliver_one(g, 1, 0, RAFT_VOTE_REPLY);
    }
    qr_req read = group_read(g, 0, 1);
    struct raft_heartbeat_ack echo = { .term = 1, .round = group_raft(g, 0)->round };
    group_deliver(g, 1, 0, RAFT_HEARTBEAT_ACK, &echo, 0, 0, 0); /* step 3 is done */

    assert_int_equal(group_raft(g, 0)->commit, 0);
    assert_null(group_noted(g, 0, EFFECT_READ, read));
    group_settle(g); /* the NOOP is committed */

    assert_int_equal(group_noted(g, 0, EFFECT_READ, read)->slot, 1);
    group_free(g);
}

/* Step 2: "The leader saves its current commit index in a local variable readIndex." Entries that
 * are committed later need not be waited for. */
static void test_6_4_step_2_the_read_index_is_the_commit_index_at_arrival(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(3, 3);
    group_submit(g, 0, 4);
    group_settle(g);
    assert_int_equal(group_raft(g, 0)->commit, 5);

    qr_req read = group_read(g, 0, 1);
    group_submit(g, 0, 3);
    group_settle(g);

    assert_int_equal(group_raft(g, 0)->commit, 8);
    assert_int_equal(group_noted(g, 0, EFFECT_READ, read)->slot, 5);
    group_free(g);
}

/* Step 3: "It issues a new round of heartbeats and waits for their acknowledgments from a majority
 * of the cluster." At once, not with the next heartbeat. */
static void test_6_4_step_3_a_majority_must_answer_a_new_round(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(5, 5);

    qr_req read = group_read(g, 0, 1);
    for (node_index i = 1; i < 5; i++) {
        assert_non_null(group_sent(g, 0, i, RAFT_HEARTBEAT));
    }
    assert_null(group_noted(g, 0, EFFECT_READ, read));
    group_deliver_one(g, 0, 1, RAFT_HEARTBEAT);
    group_deliver_one(g, 1, 0, RAFT_HEARTBEAT_ACK);
    assert_null(group_noted(g, 0, EFFECT_READ, read)); /* two of five */
    group_deliver_one(g, 0, 3, RAFT_HEARTBEAT);
    group_deliver_one(g, 3, 0, RAFT_HEARTBEAT_ACK);

    assert_non_null(group_noted(g, 0, EFFECT_READ, read));
    group_free(g);
}

/* Step 3 continued: answers to messages that left before the read came prove nothing. */
static void test_6_4_step_3_answers_to_an_earlier_round_do_not_count(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(3, 3);
    g->now = group_raft(g, 0)->heartbeat_due;
    group_timer(g, 0); /* heartbeats leave and are answered */
    for (node_index i = 1; i < 3; i++) {
        group_deliver_one(g, 0, i, RAFT_HEARTBEAT);
    }

    qr_req read = group_read(g, 0, 1); /* the answers are on their way */
    group_deliver_one(g, 1, 0, RAFT_HEARTBEAT_ACK);
    group_deliver_one(g, 2, 0, RAFT_HEARTBEAT_ACK);
    assert_null(group_noted(g, 0, EFFECT_READ, read));
    group_settle(g);

    assert_non_null(group_noted(g, 0, EFFECT_READ, read));
    group_free(g);
}

/* Step 3, its purpose: a leader that was replaced without knowing it must not answer. */
static void test_6_4_step_3_a_replaced_leader_confirms_nothing_scenario_43(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(3, 3);
    g->node[0].cut = true;
    group_peer(g, 1, 0, false);
    group_peer(g, 2, 0, false);
    qr_time end = g->now + 20 * QR_MILLISECOND;
    while (g->now < end) {
        g->now += QR_MILLISECOND;
        for (node_index i = 1; i < 3; i++) {
            if (raft_campaign_at(group_raft(g, i)) <= g->now &&
                group_raft(g, i)->phase == PHASE_FOLLOWER) {
                group_timer(g, i);
            }
        }
        group_settle(g);
    }
    node_index leader = group_raft(g, 1)->phase == PHASE_LEADER ? 1 : 2;
    assert_int_equal(group_raft(g, leader)->phase, PHASE_LEADER);
    assert_int_equal(group_raft(g, 0)->phase, PHASE_LEADER); /* it knows of nothing */

    qr_req read = group_read(g, 0, 1);
    group_settle(g);
    assert_null(group_noted(g, 0, EFFECT_READ, read));
    g->node[0].cut = false;
    group_elapse(g, 100 * QR_MILLISECOND);

    assert_null(group_noted(g, 0, EFFECT_READ, read));
    assert_int_equal(group_noted(g, 0, EFFECT_ANSWER, read)->status, STATUS_NOT_LEADER);
    group_free(g);
}

/* Step 4: "The leader waits for its state machine to advance at least as far as the readIndex": the
 * driver's, which hears of the read before the entries behind it are handed out. */
static void test_6_4_step_4_the_read_comes_before_what_is_applied_with_it(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(3, 3);
    qr_req read = group_read(g, 0, 1);
    group_submit(g, 0, 1);
    group_sync(g, 0);
    group_lose_mail(g);
    /* One answer both confirms the round and commits the entry. */
    struct raft_append_ack ack = { .term = 1, .match = 2, .round = group_raft(g, 0)->round };
    group_deliver(g, 1, 0, RAFT_APPEND_ACK, &ack, 0, 0, 0);

    const struct group_note *note = group_noted(g, 0, EFFECT_READ, read);
    assert_non_null(note);
    assert_int_equal(note->slot, 1);
    assert_int_equal(note->applied, 1);
    assert_int_equal(g->node[0].applied, 2);
    group_free(g);
}

/* "This approach [...] amortizes": reads that come while a round is under way share the next one.
 */
static void test_6_4_reads_share_rounds(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(3, 3);

    qr_req first = group_read(g, 0, 1);
    qr_req others[10];
    for (int i = 0; i < 10; i++) {
        others[i] = group_read(g, 0, 2);
    }
    assert_int_equal(group_count(g, RAFT_HEARTBEAT), 2); /* one round for the first */
    group_deliver_one(g, 0, 1, RAFT_HEARTBEAT);
    group_deliver_one(g, 1, 0, RAFT_HEARTBEAT_ACK);
    assert_non_null(group_noted(g, 0, EFFECT_READ, first));
    assert_null(group_noted(g, 0, EFFECT_READ, others[0]));
    assert_int_equal(group_count(g, RAFT_HEARTBEAT),
                     3); /* one was lost to the reader, two are new */
    group_settle(g);

    for (int i = 0; i < 10; i++) {
        assert_non_null(group_noted(g, 0, EFFECT_READ, others[i] + 1));
    }
    group_free(g);
}

/* An APPEND that goes out anyway confirms reads for free. */
static void test_6_4_appends_confirm_reads(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(3, 3);
    qr_req first = group_read(g, 0, 1);
    qr_req second = group_read(g, 0, 1); /* waits for the next round */
    group_submit(g, 0, 1);               /* which these appends carry */
    group_lose(g, 0, 1, RAFT_HEARTBEAT);
    group_lose(g, 0, 2, RAFT_HEARTBEAT);

    group_settle(g);

    assert_non_null(group_noted(g, 0, EFFECT_READ, first));
    assert_non_null(group_noted(g, 0, EFFECT_READ, second));
    group_free(g);
}

/* The ring of waiting reads is bounded: when it is full, the outlook says so. */
static void test_6_4_waiting_reads_are_bounded(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(3, 3);
    struct outlook o;
    for (uint32_t i = 0; i < READ_RANGES; i++) {
        raft_protocol.outlook(group_raft(g, 0), &o);
        assert_true(o.room > 0);
        group_read(g, 0, 1);
        g->node[0].next_req++; /* a write in between: the ranges do not join */
    }
    raft_protocol.outlook(group_raft(g, 0), &o);
    assert_int_equal(o.room, 0);
    qr_req excess = group_read(g, 0, 1);
    assert_int_equal(group_noted(g, 0, EFFECT_ANSWER, excess)->status, STATUS_OVERLOADED);
    group_settle(g);
    raft_protocol.outlook(group_raft(g, 0), &o);
    assert_true(o.room > 0);
    group_free(g);
}

/* --- 6.4.1 Leases
 * ------------------------------------------------------------------------------------ */

/* "Once the leader's heartbeats were acknowledged by a majority, the leader would extend its lease
 * to start + election timeout / clock drift bound": from the sending, shrunk by the drift. */
static void test_6_4_1_a_lease_counts_from_the_sending_and_shrinks_by_the_drift(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(3, 3);
    group_admin(g, 0, ADMIN_READ_MODE, READ_MODE_LEASE);
    g->now = group_raft(g, 0)->heartbeat_due;
    qr_time sent = g->now;
    group_timer(g, 0);
    group_deliver_one(g, 0, 1, RAFT_HEARTBEAT);
    g->now += 20 * QR_MILLISECOND; /* the answer is slow */
    group_deliver_one(g, 1, 0, RAFT_HEARTBEAT_ACK);

    qr_req read = group_read(g, 0, 1);

    const struct group_note *note = group_noted(g, 0, EFFECT_READ, read);
    assert_non_null(note); /* at once, without a round */
    assert_true(note->before <= sent + 72 * QR_MILLISECOND);
    assert_true(note->before > sent + 71 * QR_MILLISECOND);
    assert_int_equal(note->slot, group_raft(g, 0)->commit);
    group_free(g);
}

/* Without a valid lease the read takes a round. */
static void test_6_4_1_an_expired_lease_falls_back_to_a_round_scenario_73(void **state)
{
    (void)state;
    struct group *g = group_with_lease(3);
    g->now += 100 * QR_MILLISECOND;
    qr_req read = group_read(g, 0, 1);
    assert_null(group_noted(g, 0, EFFECT_READ, read));
    group_settle(g);
    assert_int_equal(group_noted(g, 0, EFFECT_READ, read)->before, 0);
    group_free(g);
}

/* A lease may be gained while reads wait for a round: they are served under it, and first. */
static void test_6_4_1_a_lease_serves_waiting_reads_in_their_order(void **state)
{
    (void)state;
    struct group *g = group_with_lease(3);
    g->now += 100 * QR_MILLISECOND;
    qr_req waiting = group_read(g, 0, 3);
    assert_null(group_noted(g, 0, EFFECT_READ, waiting));
    struct raft_heartbeat_ack ack = { .term = 1, .sent = g->now, .lease = g->limits.lease };
    group_deliver(g, 1, 0, RAFT_HEARTBEAT_ACK, &ack, 0, 0, 0); /* of an earlier round */
    assert_null(group_noted(g, 0, EFFECT_READ, waiting));

    qr_req next = group_read(g, 0, 1);

    const struct group_note *first = group_noted(g, 0, EFFECT_READ, waiting);
    const struct group_note *second = group_noted(g, 0, EFFECT_READ, next);
    assert_non_null(first);
    assert_non_null(second);
    assert_true(first < second);
    assert_true(first->before > g->now);
    group_free(g);
}

/* A follower keeps its promise for the lease stretched by the drift, also when its connection to
 * the leader is closed, and it does not campaign either. */
static void test_6_4_1_a_promise_binds_although_the_connection_is_closed(void **state)
{
    (void)state;
    struct group *g = group_with_lease(3);
    qr_time promised = group_raft(g, 1)->promise_until;
    assert_true(promised > g->now);
    assert_true(promised <= g->now + 88 * QR_MILLISECOND + 1);
    group_lose_mail(g);

    group_peer(g, 1, 0, false);
    struct raft_vote v = { .term = 2, .last_slot = 9, .last_term = 1 };
    struct raft_prevote p = { .term = 2, .last_slot = 9, .last_term = 1 };
    g->now = promised - 1;
    group_deliver(g, 2, 1, RAFT_VOTE, &v, 0, 0, 0);
    group_deliver(g, 2, 1, RAFT_PREVOTE, &p, 0, 0, 0);
    group_timer(g, 1);
    assert_int_equal(g->mail_count, 0);
    assert_int_equal(group_raft(g, 1)->term, 1);
    assert_true(raft_campaign_at(group_raft(g, 1)) >= promised);
    g->now = promised;
    group_deliver(g, 2, 1, RAFT_VOTE, &v, 0, 0, 0);
    group_sync(g, 1);

    assert_true(group_sent(g, 1, 2, RAFT_VOTE_REPLY)->body.vote_reply.granted);
    group_free(g);
}

/* A node that starts may have promised a lease before it crashed: it waits one out. */
static void test_6_4_1_a_restarted_node_waits_one_lease_before_it_votes(void **state)
{
    (void)state;
    struct group *g = group_new(3);
    group_disk_state(g, 0, 1, NODE_NONE); /* without a term it could have promised nothing */
    group_restart(g, 0, false);
    struct raft_vote v = { .term = 2 };

    g->now += 87 * QR_MILLISECOND;
    group_deliver(g, 1, 0, RAFT_VOTE, &v, 0, 0, 0);
    assert_int_equal(g->mail_count, 0);
    assert_int_equal(g->node[0].write_count, 0);
    g->now += 2 * QR_MILLISECOND;
    group_deliver(g, 1, 0, RAFT_VOTE, &v, 0, 0, 0);
    group_sync(g, 0);

    assert_true(group_sent(g, 0, 1, RAFT_VOTE_REPLY)->body.vote_reply.granted);
    group_free(g);
}

/* Promises to a leader that asks for more than this node would wait out after a restart are not
 * given. */
static void test_6_4_1_a_longer_lease_than_ones_own_is_not_promised(void **state)
{
    (void)state;
    struct group *g = group_new(3);
    struct raft_heartbeat m = { .term = 1, .lease = g->limits.lease + 1 };
    group_deliver(g, 1, 0, RAFT_HEARTBEAT, &m, 0, 0, 0);
    group_sync(g, 0);
    assert_int_equal(group_sent(g, 0, 1, RAFT_HEARTBEAT_ACK)->body.heartbeat_ack.lease, 0);
    assert_true(group_raft(g, 0)->promise_until <= g->now);
    group_free(g);
}

/* A leader that steps down has answered reads that may still be served: it keeps faith with them.
 */
static void test_6_4_1_a_deposed_leader_keeps_faith_with_its_reads(void **state)
{
    (void)state;
    struct group *g = group_with_lease(3);
    qr_req read = group_read(g, 0, 1);
    qr_time before = group_noted(g, 0, EFFECT_READ, read)->before;
    struct raft_stale m = { .term = 4 };

    group_deliver(g, 1, 0, RAFT_STALE, &m, 0, 0, 0);
    struct raft_vote v = { .term = 5, .last_slot = 99, .last_term = 4 };
    group_deliver(g, 1, 0, RAFT_VOTE, &v, 0, 0, 0);

    assert_true(group_raft(g, 0)->promise_until >= before);
    assert_int_equal(group_raft(g, 0)->term, 4); /* not even looked at */
    group_free(g);
}

/* Switching leases off: no further read is answered under one, old promises run out. */
static void test_6_4_1_switching_leases_off_takes_effect_at_once(void **state)
{
    (void)state;
    struct group *g = group_with_lease(3);
    group_admin(g, 0, ADMIN_READ_MODE, READ_MODE_READINDEX);
    qr_req read = group_read(g, 0, 1);
    assert_null(group_noted(g, 0, EFFECT_READ, read));
    assert_int_equal(group_sent(g, 0, 1, RAFT_HEARTBEAT)->body.heartbeat.lease, 0);
    group_settle(g);
    assert_int_equal(group_noted(g, 0, EFFECT_READ, read)->before, 0);
    group_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_6_4_step_1_a_read_waits_for_an_entry_of_the_term_scenario_5),
        cmocka_unit_test(test_6_4_step_2_the_read_index_is_the_commit_index_at_arrival),
        cmocka_unit_test(test_6_4_step_3_a_majority_must_answer_a_new_round),
        cmocka_unit_test(test_6_4_step_3_answers_to_an_earlier_round_do_not_count),
        cmocka_unit_test(test_6_4_step_3_a_replaced_leader_confirms_nothing_scenario_43),
        cmocka_unit_test(test_6_4_step_4_the_read_comes_before_what_is_applied_with_it),
        cmocka_unit_test(test_6_4_reads_share_rounds),
        cmocka_unit_test(test_6_4_appends_confirm_reads),
        cmocka_unit_test(test_6_4_waiting_reads_are_bounded),
        cmocka_unit_test(test_6_4_1_a_lease_counts_from_the_sending_and_shrinks_by_the_drift),
        cmocka_unit_test(test_6_4_1_an_expired_lease_falls_back_to_a_round_scenario_73),
        cmocka_unit_test(test_6_4_1_a_lease_serves_waiting_reads_in_their_order),
        cmocka_unit_test(test_6_4_1_a_promise_binds_although_the_connection_is_closed),
        cmocka_unit_test(test_6_4_1_a_restarted_node_waits_one_lease_before_it_votes),
        cmocka_unit_test(test_6_4_1_a_longer_lease_than_ones_own_is_not_promised),
        cmocka_unit_test(test_6_4_1_a_deposed_leader_keeps_faith_with_its_reads),
        cmocka_unit_test(test_6_4_1_switching_leases_off_takes_effect_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
