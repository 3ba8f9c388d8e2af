/* The claims of chapter 4 of Ongaro's dissertation (2014) about the safety of changes of the
 * members (4.1) and joint consensus (4.3). Availability (4.2) is in raft_change_test.c. */
#include "tests/paper/paper.h"
#include "tests/unit/protocol/members.h"

/* --- 4.1 Safety ----------------------------------------------------------------------------------
 */

/* "Each server adopts [the new configuration] as soon as the entry is added to its log, not when it
 * is committed." */
static void test_4_1_a_membership_is_in_force_once_in_the_log(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(5, 3);

    group_change(g, 0, voters_of(SET(0, 1, 2, 3)), true);
    struct membership joint = { .voters = SET(0, 1, 2, 3), .outgoing = SET(0, 1, 2) };
    assert_members(g, 0, joint);
    assert_true(group_deliver_one(g, 0, 1, RAFT_APPEND));

    assert_members(g, 1, joint); /* before its own sync, let alone a commit */
    assert_true(group_raft(g, 1)->commit < group_raft(g, 1)->members.slot);
    assert_members(g, 2, voters_of(SET(0, 1, 2)));
    group_free(g);
}

/* "...a server must be prepared to fall back to the previous configuration in its log" */
static void test_4_1_a_dropped_entry_restores_the_membership_before(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(5, 3);
    g->island = SET(0);
    qr_req req = group_change(g, 0, voters_of(SET(0, 3, 4)), true);
    assert_int_equal(group_members(g, 0).outgoing, SET(0, 1, 2));
    group_elapse(g, 2 * QR_SECOND);
    assert_int_equal(group_answer(g, 0, req), STATUS_UNCERTAIN); /* it leads no more */
    node_index leader = leader_of(g);
    assert_true(leader == 1 || leader == 2);

    g->island = 0;
    group_elapse(g, QR_SECOND);

    assert_members(g, 0, voters_of(SET(0, 1, 2)));
    assert_int_equal(g->node[0].point_count[POINT_MEMBERS_REVERTED], 1);
    assert_members(g, 3, (struct membership){ 0 }); /* it never got to know of it */
    group_free(g);
}

/* "...a leader must not begin a change before the one before is committed" */
static void test_4_1_one_change_at_a_time(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(5, 3);
    struct membership watched = { .voters = SET(0, 1, 2), .observers = SET(3) };
    qr_req observer = group_change(g, 0, watched, false);
    qr_req early = group_change(g, 0, voters_of(SET(0, 1)), false);
    assert_int_equal(group_answer(g, 0, early), STATUS_CHANGING);
    group_settle(g);
    assert_int_equal(group_answer(g, 0, observer), STATUS_OK);

    qr_req first = group_change(g, 0, voters_of(SET(0, 1, 2, 3)), true);
    qr_req joint = group_change(g, 0, voters_of(SET(0, 1, 2, 4)), true);
    assert_int_equal(group_answer(g, 0, joint), STATUS_CHANGING);
    g->island = SET(0, 1, 2, 3); /* the final entry reaches the new member late */
    group_settle(g);
    group_lose_mail(g);
    group_elapse(g, 30 * QR_MILLISECOND);

    assert_int_equal(group_answer(g, 0, first), STATUS_OK);
    assert_members(g, 0, voters_of(SET(0, 1, 2, 3)));
    g->island = 0;
    change(g, 0, voters_of(SET(0, 1, 2, 4)));
    assert_members(g, 4, voters_of(SET(0, 1, 2, 4)));
    group_free(g);
}

/* The hole found in 2015: "the leader must not append a new configuration until it has committed an
 * entry in its current term". */
static void test_4_1_no_change_before_the_terms_first_commit(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(5, 4);
    group_time_out(g, 1);
    for (uint32_t i = 0; i < 60 && group_raft(g, 1)->phase != PHASE_LEADER; i++) {
        g->now += QR_SECOND; /* nobody is in touch with 0 any more */
        group_crash(g, 0);
        group_time_out(g, 1);
        for (node_index k = 1; k < 4; k++) {
            (void)group_deliver_one(g, 1, k, RAFT_PREVOTE);
            (void)group_deliver_one(g, k, 1, RAFT_PREVOTE_REPLY);
        }
        group_sync(g, 1);
        for (node_index k = 2; k < 4; k++) {
            (void)group_deliver_one(g, 1, k, RAFT_VOTE);
            group_sync(g, k);
            (void)group_deliver_one(g, k, 1, RAFT_VOTE_REPLY);
        }
    }
    assert_int_equal(group_raft(g, 1)->phase, PHASE_LEADER);
    assert_true(group_raft(g, 1)->commit < group_raft(g, 1)->term_start);

    qr_req early = group_change(g, 1, voters_of(SET(1, 2, 3)), true);
    assert_int_equal(group_answer(g, 1, early), STATUS_CHANGING);
    group_settle(g);

    change(g, 1, voters_of(SET(1, 2, 3)));
    group_free(g);
}

/* The four cases of that report: two leaders in turn begin a change on top of the same membership,
 * the first one's is in one log only. Scenario 77 owes them. */
static void test_4_1_changes_of_two_leaders_never_make_two_majorities_scenario_77(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint16_t first, second; /* voters that the two leaders want; before: 0..3 */
    } cases[] = {
        { "add/add", 0x1f, 0x2f },
        { "add/remove", 0x1f, 0x0e },
        { "remove/add", 0x0d, 0x2f },
        { "remove/remove", 0x0b, 0x0e },
    };
    for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct group *g = group_led_by_0(6, 4);
        g->island = SET(0); /* its change is in its own log only */
        group_change(g, 0, voters_of(cases[i].first), true);
        group_elapse(g, 2 * QR_SECOND);
        node_index second = leader_of(g);
        assert_int_not_equal(second, 0);
        qr_req req = group_change(g, second, voters_of(cases[i].second), true);
        group_elapse(g, 50 * QR_MILLISECOND);
        assert_int_equal(group_answer(g, second, req), STATUS_OK);
        group_submit(g, second, 3);
        group_settle(g);
        qr_slot decided = group_raft(g, second)->commit;

        /* The first leader is back, together with whom its membership would need. */
        g->island = SET(0, 4, 5, 3);
        group_elapse(g, 3 * QR_SECOND);
        if (group_raft(g, 0)->phase == PHASE_LEADER) {
            assert_true(group_raft(g, 0)->trail.last_slot >= decided);
        }
        g->island = 0;
        group_elapse(g, 3 * QR_SECOND);

        node_index leader = leader_of(g);
        assert_true(group_raft(g, leader)->commit >= decided);
        assert_int_equal(group_members(g, leader).voters, cases[i].second);
        group_free(g);
    }
}

/* --- 4.3 Arbitrary changes by joint consensus
 * ------------------------------------------------------ */

/* "Agreement (for elections and entry commitment) requires separate majorities from both the old
 * and new configurations." */
static void test_4_3_joint_agreement_needs_both_majorities(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(5, 3);
    change(g, 0, (struct membership){ .voters = SET(0, 1, 2), .observers = SET(3, 4) });
    struct membership joint = { .voters = SET(0, 3, 4), .outgoing = SET(0, 1, 2) };

    g->island = SET(0, 1, 2); /* a majority of the old */
    group_change(g, 0, voters_of(SET(0, 3, 4)), true);
    qr_req read = group_read(g, 0, 1);
    group_settle(g);
    assert_members(g, 0, joint);
    assert_true(group_raft(g, 0)->commit < group_raft(g, 0)->members.slot);
    assert_null(group_noted(g, 0, EFFECT_READ, read));

    g->island = SET(0, 3, 4); /* and of the new */
    group_elapse(g, 60 * QR_MILLISECOND);
    assert_members(g, 0, voters_of(SET(0, 3, 4))); /* over: both have had it */
    assert_non_null(group_noted(g, 0, EFFECT_READ, read));
    group_free(g);
}

static void test_4_3_joint_elections_need_both_majorities(void **state)
{
    (void)state;
    for (int side = 0; side < 3; side++) {
        struct group *g = group_new_of(
            5, (struct membership){ .voters = SET(0, 3, 4), .outgoing = SET(0, 1, 2) });
        g->island = side == 0 ? SET(0, 1, 2) : side == 1 ? SET(0, 3, 4) : SET(0, 1, 3);
        for (node_index i = 0; i < 5; i++) {
            if ((g->island & node_bit(i)) == 0) {
                group_crash(g, i);
            }
        }
        group_elapse(g, 5 * QR_SECOND);
        assert_int_equal(leader_of(g) != NODE_NONE, side == 2);
        group_free(g);
    }
}

/* "Any server from either configuration may serve as leader." */
static void test_4_3_a_voter_of_either_side_may_lead(void **state)
{
    (void)state;
    for (node_index i = 1; i < 5; i++) {
        struct group *g = group_new_of(
            5, (struct membership){ .voters = SET(0, 3, 4), .outgoing = SET(0, 1, 2) });
        group_time_out(g, i);
        group_settle(g);
        assert_int_equal(g->node[i].point_count[POINT_ELECTED], 1);
        group_elapse(g, 100 * QR_MILLISECOND);
        node_index leader = leader_of(g);
        assert_int_equal(leader, i < 3 ? group_raft(g, 0)->leader : i); /* 1 and 2 hand over */
        for (node_index k = 0; k < 5; k++) {
            assert_members(g, k, voters_of(SET(0, 3, 4))); /* it has ended the change */
        }
        group_free(g);
    }
}

/* Leases: a joint leader counts promises of both majorities. */
static void test_4_3_a_joint_lease_needs_promises_of_both(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(5, 3);
    change(g, 0, (struct membership){ .voters = SET(0, 1, 2), .observers = SET(3, 4) });
    for (node_index i = 0; i < 5; i++) {
        group_admin(g, i, ADMIN_READ_MODE, READ_MODE_LEASE);
    }
    group_elapse(g, 60 * QR_MILLISECOND);
    assert_true(raft_lease_end(group_raft(g, 0)) > g->now);
    g->island = SET(0, 1, 2);
    group_elapse(g, 100 * QR_MILLISECOND); /* old promises of 3 and 4 run out */
    assert_true(raft_lease_end(group_raft(g, 0)) > g->now);

    group_change(g, 0, voters_of(SET(0, 3, 4)), true);

    assert_true(raft_lease_end(group_raft(g, 0)) <= g->now);
    group_free(g);
}

/* CheckQuorum (6.2): voters that are new have not been silent. */
static void test_4_3_new_voters_have_an_election_timeout_to_answer(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(7, 3);
    group_elapse(g, 2 * QR_SECOND);
    g->island = SET(0, 1, 2);
    group_change(g, 0, voters_of(SET(0, 3, 4, 5, 6)), true);
    group_elapse(g, 200 * QR_MILLISECOND);
    assert_int_equal(group_raft(g, 0)->phase, PHASE_LEADER);
    g->island = 0;
    group_elapse(g, 200 * QR_MILLISECOND);
    assert_members(g, 0, voters_of(SET(0, 3, 4, 5, 6)));
    assert_int_equal(group_raft(g, 0)->term, 1);
    group_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_4_1_a_membership_is_in_force_once_in_the_log),
        cmocka_unit_test(test_4_1_a_dropped_entry_restores_the_membership_before),
        cmocka_unit_test(test_4_1_one_change_at_a_time),
        cmocka_unit_test(test_4_1_no_change_before_the_terms_first_commit),
        cmocka_unit_test(test_4_1_changes_of_two_leaders_never_make_two_majorities_scenario_77),
        cmocka_unit_test(test_4_3_joint_agreement_needs_both_majorities),
        cmocka_unit_test(test_4_3_joint_elections_need_both_majorities),
        cmocka_unit_test(test_4_3_a_voter_of_either_side_may_lead),
        cmocka_unit_test(test_4_3_a_joint_lease_needs_promises_of_both),
        cmocka_unit_test(test_4_3_new_voters_have_an_election_timeout_to_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
