/* Changes of the members as they went wrong elsewhere: the scenarios that are owed, and the orders
 * that are refused. The claims of the dissertation are in tests/paper/raft_members_test.c. */
#include "tests/unit/protocol/members.h"

#include <string.h>

static void crash_all(struct group *g)
{
    for (node_index i = 0; i < g->n; i++) {
        if (g->node[i].up) {
            group_crash(g, i);
        }
    }
    group_lose_mail(g);
}

static void start_all(struct group *g)
{
    for (node_index i = 0; i < g->n; i++) {
        if (!g->node[i].up) {
            group_restart(g, i, false);
        }
    }
}

/* --- Orders -----------------------------------------------------------------------------------
 */

static void test_orders_that_are_refused_change_nothing(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(6, 3);
    struct membership before = group_members(g, 0);
    qr_slot last = group_raft(g, 0)->trail.last_slot;

    qr_req follower = group_change(g, 1, voters_of(SET(0, 1)), true);
    assert_int_equal(group_answer(g, 1, follower), STATUS_NOT_LEADER);
    qr_req nobody = group_change(g, 0, voters_of(0), false);
    assert_int_equal(group_answer(g, 0, nobody), STATUS_LAST_VOTER);
    nobody = group_change(g, 0, (struct membership){ .learners = SET(0) }, true);
    assert_int_equal(group_answer(g, 0, nobody), STATUS_LAST_VOTER); /* not even when forced */
    qr_req unknown = group_change(g, 0, voters_of(SET(0, 3, 4)), false);
    assert_int_equal(group_answer(g, 0, unknown), STATUS_UNSAFE); /* nobody has heard 3 and 4 */
    qr_req same = group_change(g, 0, before, false);
    assert_int_equal(group_answer(g, 0, same), STATUS_OK); /* twice is once */
    group_admin(g, 0, ADMIN_TRANSFER, 1);
    group_lose_mail(g);
    qr_req handing = group_change(g, 0, voters_of(SET(0, 1)), false);
    assert_int_equal(group_answer(g, 0, handing), STATUS_HANDING_OVER);

    assert_members(g, 0, before);
    assert_int_equal(group_raft(g, 0)->trail.last_slot, last);
    group_free(g);
}

/* What would leave a majority that does not live, or that lives and is far behind, needs FORCE. */
static void test_what_could_cost_the_quorum_is_unsafe(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(5, 3);
    group_crash(g, 2);
    group_elapse(g, 400 * QR_MILLISECOND);
    qr_req req = group_change(g, 0, voters_of(SET(0, 2)), false);
    assert_int_equal(group_answer(g, 0, req), STATUS_UNSAFE);
    req = group_change(g, 0, voters_of(SET(0, 1)), false); /* the dead one goes */
    group_elapse(g, 50 * QR_MILLISECOND);
    assert_int_equal(group_answer(g, 0, req), STATUS_OK);

    g->node[3].disk_held = true;
    change(g, 0, (struct membership){ .voters = SET(0, 1), .learners = SET(3) });
    group_elapse(g, 400 * QR_MILLISECOND);
    req = group_change(g, 0, voters_of(SET(0, 3)), false); /* it acknowledges nothing */
    assert_int_equal(group_answer(g, 0, req), STATUS_UNSAFE);
    req = group_change(g, 0, voters_of(SET(0, 3)), true);
    assert_no_answer(g, 0, req);
    g->node[3].disk_held = false;
    group_elapse(g, 100 * QR_MILLISECOND);
    assert_int_equal(group_answer(g, 0, req), STATUS_OK);
    group_free(g);
}

/* Scenario 33: an addition is granted when it is decided, and not when it is written. */
static void test_scenario_33_an_order_is_granted_when_its_end_is_committed(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(4, 3);
    change(g, 0, (struct membership){ .voters = SET(0, 1, 2), .observers = SET(3) });
    g->node[1].disk_held = g->node[2].disk_held = g->node[3].disk_held = true;
    qr_req req = group_change(g, 0, voters_of(SET(0, 1, 2, 3)), true);
    group_settle(g);
    assert_no_answer(g, 0, req); /* the joint entry is on one disk */
    for (node_index i = 1; i < 4; i++) {
        g->node[i].disk_held = false;
        group_sync(g, i);
        g->node[i].disk_held = true;
    }
    group_settle(g);
    assert_members(g, 0, voters_of(SET(0, 1, 2, 3)));
    assert_no_answer(g, 0, req); /* the final one is */

    for (node_index i = 1; i < 4; i++) {
        g->node[i].disk_held = false;
    }
    group_settle(g);
    assert_int_equal(group_answer(g, 0, req), STATUS_OK);

    /* Who leads no more cannot know. */
    g->island = SET(0);
    req = group_change(g, 0, voters_of(SET(0, 1, 2)), true);
    group_elapse(g, QR_SECOND);
    assert_int_equal(group_answer(g, 0, req), STATUS_UNCERTAIN);
    group_free(g);
}

/* Scenario 33: the leader is removed while reads wait for a round. */
static void test_scenario_33_reads_that_wait_survive_the_removal_of_the_leader(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(3, 3);
    group_change(g, 0, voters_of(SET(1, 2)), false);
    qr_req reads[8];
    for (int i = 0; i < 8; i++) {
        reads[i] = group_read(g, 0, 1);
        (void)group_deliver_one(g, 0, 1, RAFT_APPEND);
        group_sync(g, 1);
        (void)group_deliver_one(g, 1, 0, RAFT_APPEND_ACK);
        group_submit(g, 0, 1);
    }
    group_settle(g);
    assert_int_equal(group_raft(g, 0)->phase, PHASE_FOLLOWER);
    for (int i = 0; i < 8; i++) {
        int refused = group_answer(g, 0, reads[i]);
        bool read = group_noted(g, 0, EFFECT_READ, reads[i]) != NULL;
        assert_true(read != (refused == STATUS_NOT_LEADER)); /* one or the other, once */
    }
    group_free(g);
}

/* --- Scenarios -----------------------------------------------------------------------------------
 */

/* Scenario 3: the leader is isolated and told to change the members, the others elect another and
 * are told the same: no update that was acknowledged is lost, no two leaders of one term. */
static void test_scenario_3_a_change_while_the_leader_is_isolated(void **state)
{
    (void)state;
    for (node_index added = 3; added < 5; added++) {
        struct group *g = group_led_by_0(5, 3);
        g->island = node_bit(0) | node_bit(added); /* a joiner is with it */
        group_change(g, 0, voters_of((uint16_t)(SET(0, 1, 2) | node_bit(added))), true);
        qr_req lost = group_submit(g, 0, 4);
        group_elapse(g, 2 * QR_SECOND);
        assert_int_equal(group_raft(g, 0)->commit, 1); /* nothing by itself */
        node_index leader = leader_of(g);
        assert_true(leader == 1 || leader == 2);
        change(g, leader, voters_of(SET(1, 2)));
        qr_req kept = group_submit(g, leader, 4);
        group_settle(g);
        qr_slot commit = group_raft(g, leader)->commit;

        g->island = 0;
        group_elapse(g, 3 * QR_SECOND);

        assert_true(group_raft(g, leader_of(g))->commit >= commit);
        assert_int_equal(group_raft(g, leader_of(g))->members.members.voters, SET(1, 2));
        assert_no_answer(g, leader, kept);
        assert_no_answer(g, 0, lost); /* its fate is for the driver to tell */
        assert_agreement(g);
        group_free(g);
    }
}

/* Scenario 11: partition, kill all, start: one history. */
static void test_scenario_11_partition_then_kill_all_then_start(void **state)
{
    (void)state;
    for (uint16_t island = 1; island < 31; island++) {
        struct group *g = group_led_by_0(5, 3);
        change(g, 0, (struct membership){ .voters = SET(0, 1, 2), .observers = SET(3, 4) });
        group_change(g, 0, voters_of(SET(0, 2, 3, 4)), true);
        g->island = island;
        group_submit(g, 0, 3);
        group_elapse(g, QR_SECOND);
        for (node_index i = 0; i < 5; i++) {
            if (group_raft(g, i)->phase == PHASE_LEADER) {
                group_submit(g, i, 2);
            }
        }
        group_settle(g);
        qr_slot commit = 0;
        for (node_index i = 0; i < 5; i++) {
            commit = max_u64(commit, group_raft(g, i)->commit);
        }
        crash_all(g);
        g->island = 0;
        start_all(g);
        group_elapse(g, 4 * QR_SECOND);
        node_index leader = leader_of(g);
        assert_int_not_equal(leader, NODE_NONE);
        group_submit(g, leader, 1);
        group_elapse(g, 200 * QR_MILLISECOND);
        assert_true(group_raft(g, leader)->commit > commit);
        assert_agreement(g);
        group_free(g);
    }
}

/* Scenario 12: changes and crashes; whoever restarts has the members and answers no read before it
 * knows what is committed. */
static void test_scenario_12_changes_and_crashes_then_reads(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(5, 3);
    group_submit(g, 0, 5);
    group_settle(g);
    change(g, 0, (struct membership){ .voters = SET(0, 1, 2), .learners = SET(3, 4) });
    group_elapse(g, QR_SECOND);
    assert_members(g, 0, voters_of(SET(0, 1, 2, 3, 4)));
    change(g, 0, voters_of(SET(2, 3, 4)));
    group_elapse(g, QR_SECOND);
    crash_all(g);
    start_all(g);
    group_elapse(g, 3 * QR_SECOND);
    node_index leader = leader_of(g);
    assert_true(leader >= 2);
    qr_req read = group_read(g, leader, 1);
    group_settle(g);
    const struct group_note *note = group_noted(g, leader, EFFECT_READ, read);
    assert_non_null(note);
    assert_true(note->slot > 6);
    assert_agreement(g);
    group_free(g);
}

/* Scenario 13: an old log is replayed. Only its last membership is in force, those that were
 * removed are not asked for anything, and a node never speaks to itself. */
static void test_scenario_13_replaying_a_log_revives_nobody(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(6, 3);
    change(g, 0, (struct membership){ .voters = SET(0, 1, 2), .learners = SET(3, 4, 5) });
    group_elapse(g, QR_SECOND);
    change(g, 0, voters_of(SET(0, 1, 2, 5)));
    change(g, 0, voters_of(SET(0, 1, 5)));
    group_elapse(g, 2 * QR_SECOND);
    crash_all(g);
    group_restart(g, 1, true);
    assert_members(g, 1, voters_of(SET(0, 1, 5)));
    group_time_out(g, 1);
    for (node_index to = 0; to < 6; to++) {
        bool asked = group_sent(g, 1, to, RAFT_PREVOTE) != NULL;
        assert_int_equal(asked, to == 0 || to == 5);
    }
    group_free(g);
}

/* Scenario 14: an index is given to another node. What the one before had acknowledged is not the
 * other's word, and what was on its way counts for nothing that matters. */
static void test_scenario_14_an_index_that_is_used_again_starts_from_nothing(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(4, 3);
    group_submit(g, 0, 50);
    group_settle(g);
    change(g, 0, voters_of(SET(0, 1)));
    group_elapse(g, 2 * QR_SECOND); /* the farewell is over */
    group_crash(g, 2);
    memset(&g->node[2].disk, 0, sizeof g->node[2].disk); /* another node, with an empty directory */
    group_restart(g, 2, false);
    g->node[2].disk_held = true;

    change(g, 0, (struct membership){ .voters = SET(0, 1), .learners = SET(2) });
    assert_int_equal(group_raft(g, 0)->peer[2].match, 0);
    group_elapse(g, QR_SECOND);
    assert_int_equal(group_members(g, 0).learners, SET(2)); /* nothing of it is believed */
    g->node[2].disk_held = false;
    group_elapse(g, QR_SECOND);
    assert_members(g, 2, voters_of(SET(0, 1, 2)));
    assert_agreement(g);
    group_free(g);
}

/* Scenarios 18, 19: members learned from a checkpoint are all of them, and can be promoted and
 * removed like any others; also after a restart. */
static void test_scenario_18_19_members_learned_from_a_checkpoint(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(5, 3);
    change(g, 0, (struct membership){ .voters = SET(0, 1, 2), .observers = SET(3, 4) });
    group_submit(g, 0, 4);
    group_elapse(g, 100 * QR_MILLISECOND);
    for (node_index i = 0; i < 5; i++) {
        qr_slot applied = g->node[i].applied;
        group_crash(g, i);
        group_disk_trim(g, i, applied);
        group_restart(g, i, false);
        assert_members(g, i, (struct membership){ .voters = SET(0, 1, 2), .observers = SET(3, 4) });
    }
    group_elapse(g, 2 * QR_SECOND);
    node_index leader = leader_of(g);
    change(g, leader, voters_of(SET(0, 1, 2, 3, 4)));
    change(g, leader, (struct membership){ .voters = SET(0, 1, 2, 4), .observers = SET(3) });
    for (node_index i = 0; i < 5; i++) {
        group_restart(g, i, false);
    }
    group_elapse(g, 2 * QR_SECOND);
    leader = leader_of(g);
    assert_members(g, leader,
                   (struct membership){ .voters = SET(0, 1, 2, 4), .observers = SET(3) });
    change(g, leader, voters_of(SET(0, 1, 2, 4)));
    assert_agreement(g);
    group_free(g);
}

/* Scenarios 25, 55: a change is begun, everything before it is trimmed away, and it is dropped: the
 * membership before it is still known, after a restart too. */
static void test_scenario_25_55_a_change_is_dropped_when_the_one_before_is_trimmed(void **state)
{
    (void)state;
    for (int restart = 0; restart < 2; restart++) {
        struct group *g = group_led_by_0(5, 3);
        change(g, 0, (struct membership){ .voters = SET(0, 1, 2), .observers = SET(3) });
        struct membership before = group_members(g, 0);
        group_submit(g, 0, 10);
        group_elapse(g, 60 * QR_MILLISECOND);
        qr_slot applied = g->node[0].applied;
        g->island = SET(0);
        group_change(g, 0, voters_of(SET(0, 3, 4)), true);
        group_submit(g, 0, 3);
        group_settle(g);
        group_checkpoint(g, 0, applied, applied, 0);
        assert_int_equal(group_raft(g, 0)->trimmed, applied);
        if (restart > 0) {
            group_crash(g, 0);
            group_disk_trim(g, 0, applied);
            group_restart(g, 0, false);
        }
        assert_int_equal(group_members(g, 0).outgoing, SET(0, 1, 2));
        group_elapse(g, 2 * QR_SECOND);
        g->island = 0;

        group_elapse(g, QR_SECOND);

        assert_members(g, 0, before);
        assert_agreement(g);
        group_free(g);
    }
}

/* Scenario 29: a removed leader serves nothing; a removed node that comes back is added as anybody
 * is. */
static void test_scenario_29_a_removed_leader_serves_nothing_and_may_be_added_again(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(3, 3);
    change(g, 0, voters_of(SET(1, 2)));
    group_elapse(g, 100 * QR_MILLISECOND);
    struct outlook o;
    raft_protocol.outlook(group_raft(g, 0), &o);
    assert_false(o.can_serve);
    assert_int_equal(membership_all(&o.membership) & SET(0), 0);
    assert_true(o.membership_slot <= o.commit); /* so it knows */
    qr_req read = group_read(g, 0, 1);
    assert_int_equal(group_answer(g, 0, read), STATUS_NOT_LEADER);

    node_index leader = leader_of(g);
    group_submit(g, leader, 5);
    change(g, leader, (struct membership){ .voters = SET(1, 2), .learners = SET(0) });
    group_elapse(g, QR_SECOND);
    assert_members(g, 0, voters_of(SET(0, 1, 2)));
    assert_agreement(g);
    group_free(g);
}

/* Scenario 31, the island: an isolated leader is told to remove all the others. It must not commit
 * alone, forced or not. */
static void test_scenario_31_an_isolated_leader_never_commits_alone(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(5, 5);
    g->island = SET(0);
    group_elapse(g, 100 * QR_MILLISECOND);
    qr_req one = group_change(g, 0, voters_of(SET(0)), true);
    qr_req write = group_submit(g, 0, 1);
    group_settle(g);
    assert_no_answer(g, 0, one);
    assert_true(group_raft(g, 0)->commit < group_raft(g, 0)->members.slot);
    group_elapse(g, 2 * QR_SECOND);
    assert_int_equal(group_answer(g, 0, one), STATUS_UNCERTAIN);
    assert_int_equal(group_raft(g, 0)->commit, 1);
    assert_no_answer(g, 0, write);
    group_restart(g, 0, false); /* its log says that it is alone; that is not decided */
    group_elapse(g, 2 * QR_SECOND);
    assert_int_not_equal(group_raft(g, 0)->phase, PHASE_LEADER);

    g->island = 0;
    group_elapse(g, 2 * QR_SECOND);
    assert_members(g, 0, voters_of(SET(0, 1, 2, 3, 4)));
    assert_agreement(g);
    group_free(g);
}

/* Scenario 32, the mystery: leave in turn, kill all, start all, join all, again and again. */
static void test_scenario_32_leave_in_turn_kill_all_join_all_repeatedly(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(5, 5);
    uint64_t written = 0;
    for (int turn = 0; turn < 4; turn++) {
        for (node_index i = 0; i < 4; i++) {
            group_elapse(g, QR_SECOND);
            node_index leader = leader_of(g);
            struct membership m = group_members(g, leader);
            m.voters = (uint16_t)(m.voters & ~node_bit((node_index)((i + turn) % 5)));
            qr_req req = group_change(g, leader, m, true);
            group_submit(g, leader, 2);
            group_elapse(g, 100 * QR_MILLISECOND);
            assert_int_equal(group_answer(g, leader, req), STATUS_OK);
            written += 2;
        }
        crash_all(g);
        start_all(g);
        group_elapse(g, 3 * QR_SECOND);
        node_index leader = leader_of(g);
        struct membership m = group_members(g, leader);
        assert_int_equal(quorum_count(m.voters), 1);
        m.learners = (uint16_t)(SET(0, 1, 2, 3, 4) & ~m.voters);
        change(g, leader, m);
        group_elapse(g, 3 * QR_SECOND);
        assert_members(g, leader_of(g), voters_of(SET(0, 1, 2, 3, 4)));
    }
    assert_agreement(g);
    uint64_t found = 0;
    for (qr_slot s = 1; s <= g->node[0].applied; s++) {
        found += g->node[0].log.entry[s].req != 0;
    }
    assert_int_equal(found, written);
    group_free(g);
}

/* Scenario 77: new nodes join while the old majority is away: no second majority. */
static void test_scenario_77_joiners_make_no_second_majority(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(7, 3);
    g->island = SET(0, 3, 4, 5, 6);
    qr_req req = group_change(g, 0, voters_of(SET(0, 3, 4, 5, 6)), true);
    group_submit(g, 0, 3);
    group_elapse(g, 5 * QR_SECOND);
    assert_int_equal(group_answer(g, 0, req), STATUS_UNCERTAIN);
    for (node_index i = 3; i < 7; i++) {
        assert_int_not_equal(group_raft(g, i)->phase, PHASE_LEADER);
        assert_true(group_raft(g, i)->commit <= 1);
    }
    node_index leader = leader_of(g);
    assert_true(leader == 1 || leader == 2);
    group_submit(g, leader, 3);
    group_settle(g);
    qr_slot commit = group_raft(g, leader)->commit;
    assert_int_equal(commit, group_raft(g, leader)->trail.last_slot);

    g->island = 0;
    group_elapse(g, 3 * QR_SECOND);
    assert_true(group_raft(g, leader_of(g))->commit >= commit);
    assert_members(g, leader_of(g), voters_of(SET(0, 1, 2)));
    assert_agreement(g);
    group_free(g);
}

/* M4: of three voters the one with the longest log died. What it had brought to nobody but a
 * learner stands in the way of the other two, of whom one takes that learner for a voter. */
static void test_M4_a_learner_that_is_ahead_of_the_voters_leads_until_they_have_it(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(4, 3);
    change(g, 0, (struct membership){ .voters = SET(0, 1, 2), .learners = SET(3) });
    (void)group_change(g, 0, voters_of(SET(0, 1, 2, 3)), true);
    group_lose_mail(g); /* nobody hears of it */

    group_time_out(g, 1);
    assert_true(group_deliver_one(g, 1, 2, RAFT_PREVOTE));
    assert_true(group_deliver_one(g, 2, 1, RAFT_PREVOTE_REPLY));
    group_sync(g, 1);
    assert_true(group_deliver_one(g, 1, 2, RAFT_VOTE));
    group_sync(g, 2);
    assert_true(group_deliver_one(g, 2, 1, RAFT_VOTE_REPLY));
    assert_int_equal(group_raft(g, 1)->phase, PHASE_LEADER);
    assert_true(group_deliver_one(g, 1, 3, RAFT_APPEND));
    group_sync(g, 3);
    group_crash(g, 1);
    group_lose_mail(g);
    assert_true(group_raft(g, 0)->trail.last_slot > group_raft(g, 2)->trail.last_slot);
    assert_int_equal(trail_last_term(&group_raft(g, 3)->trail), group_raft(g, 3)->term);

    group_elapse(g, 5 * QR_SECOND);
    node_index leader = leader_of(g);
    assert_true(leader == 0 || leader == 2); /* the learner has handed over */
    assert_true(g->node[3].point_count[POINT_CALLED] > 0);
    assert_true(g->node[3].point_count[POINT_ELECTED] > 0);
    assert_false(group_raft(g, 3)->called); /* no longer than it must */
    assert_agreement(g);
    group_free(g);
}

/* A node that has not joined waits: it neither campaigns nor leads, and takes a leader's word. */
static void test_a_node_that_has_not_joined_waits(void **state)
{
    (void)state;
    struct group *g = group_new_of(2, voters_of(SET(0)));
    assert_int_equal(raft_protocol.deadline(group_raft(g, 1)), QR_NEVER);
    struct raft_timeout_now m = { .term = 1 };
    group_deliver(g, 0, 1, RAFT_TIMEOUT_NOW, &m, 0, 0, 0);
    assert_int_equal(group_raft(g, 1)->phase, PHASE_FOLLOWER);
    assert_int_equal(g->node[1].point_count[POINT_NO_VOTER], 1);
    group_free(g);
}

/* Memberships that no leader writes are not taken (P1). */
static void test_memberships_that_do_not_follow_are_dropped(void **state)
{
    (void)state;
    const struct membership bad[] = {
        { .voters = SET(3, 4) },                        /* a change without a joint phase */
        { .voters = SET(0, 1), .outgoing = SET(0, 3) }, /* of other voters than there are */
        { .voters = 0, .outgoing = SET(0, 1, 2) },      /* nobody */
        { .voters = SET(0, 1, 2), .learners = SET(1) }, /* one node twice */
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct group *g = group_led_by_0(5, 3);
        struct raft_append body = { .term = 1, .prev_slot = 1, .prev_term = 1 };
        struct membership_at at = { .slot = 2, .members = bad[i] };
        struct event event = { .kind = EVENT_RECEIVE };
        event.receive.from = 0;
        event.receive.message =
            (struct message){ .kind = RAFT_APPEND, .body = &body, .lo = 2, .hi = 3, .term = 1 };
        event.receive.memberships = &at;
        event.receive.membership_count = 1;
        uint32_t dropped = g->node[1].point_count[POINT_DROPPED];
        group_step(g, 1, &event);
        assert_int_equal(g->node[1].point_count[POINT_DROPPED], dropped + 1);
        assert_int_equal(group_raft(g, 1)->trail.last_slot, 1);
        group_free(g);
    }
}

/* Room was made for it, and somebody was there who is not it. */
static void test_scenario_14_a_place_that_passes_on_starts_from_nothing(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(4, 3);
    change(g, 0, (struct membership){ .voters = SET(0, 1, 2), .observers = SET(3) });
    const struct raft *r = group_raft(g, 0);
    qr_slot match = r->peer[3].match;
    assert_true(match > 0 && match == r->peer[1].match);
    g->island = SET(0, 1, 2);
    group_restate(g, 0, 0);
    assert_true(r->peer[3].match == match && r->peer[3].heard != 0);
    group_elapse(g, 30 * QR_MILLISECOND);
    group_restate(g, 0, SET(3));
    assert_true(r->peer[3].match == 0 && r->peer[3].heard == 0);
    assert_true(r->peer[1].match >= match);
    group_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_orders_that_are_refused_change_nothing),
        cmocka_unit_test(test_what_could_cost_the_quorum_is_unsafe),
        cmocka_unit_test(test_scenario_33_an_order_is_granted_when_its_end_is_committed),
        cmocka_unit_test(test_scenario_33_reads_that_wait_survive_the_removal_of_the_leader),
        cmocka_unit_test(test_scenario_3_a_change_while_the_leader_is_isolated),
        cmocka_unit_test(test_scenario_11_partition_then_kill_all_then_start),
        cmocka_unit_test(test_scenario_12_changes_and_crashes_then_reads),
        cmocka_unit_test(test_scenario_13_replaying_a_log_revives_nobody),
        cmocka_unit_test(test_scenario_14_an_index_that_is_used_again_starts_from_nothing),
        cmocka_unit_test(test_scenario_18_19_members_learned_from_a_checkpoint),
        cmocka_unit_test(test_scenario_25_55_a_change_is_dropped_when_the_one_before_is_trimmed),
        cmocka_unit_test(test_scenario_29_a_removed_leader_serves_nothing_and_may_be_added_again),
        cmocka_unit_test(test_scenario_31_an_isolated_leader_never_commits_alone),
        cmocka_unit_test(test_scenario_32_leave_in_turn_kill_all_join_all_repeatedly),
        cmocka_unit_test(test_scenario_77_joiners_make_no_second_majority),
        cmocka_unit_test(test_M4_a_learner_that_is_ahead_of_the_voters_leads_until_they_have_it),
        cmocka_unit_test(test_a_node_that_has_not_joined_waits),
        cmocka_unit_test(test_memberships_that_do_not_follow_are_dropped),
        cmocka_unit_test(test_scenario_14_a_place_that_passes_on_starts_from_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
