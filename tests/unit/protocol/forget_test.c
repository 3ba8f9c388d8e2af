/* Forgetful members: what they may not do, who counts them, and how they come back. Numbers in
 * names are scenarios of the catalogue of failures. */
#include "tests/unit/protocol/members.h"

/* 0 leads, everybody has 11 entries. */
static struct group *written(node_index n)
{
    struct group *g = group_led_by_0(n, n);
    group_submit(g, 0, 10);
    group_elapse(g, 60 * QR_MILLISECOND);
    assert_int_equal(g->node[2].log.last, 11);
    return g;
}

/* 53, 61: it has lost everything, and comes back by itself. */
static void test_scenario_53_a_member_that_lost_its_disk_comes_back(void **state)
{
    (void)state;
    struct group *g = written(3);
    group_restart_damaged(g, 2, 0);
    assert_true(group_raft(g, 2)->forgetful);
    struct outlook o;
    raft_protocol.outlook(group_raft(g, 2), &o);
    assert_true(o.forgetful);

    group_deliver_one(g, 2, 0, RAFT_FORGETFUL_ACK);
    group_elapse(g, 100 * QR_MILLISECOND);

    assert_false(group_raft(g, 2)->forgetful);
    assert_int_equal(g->node[2].disk.last, 12); /* and the barrier */
    assert_false(g->node[2].disk.forgetful);
    assert_int_equal(group_raft(g, 2)->vote, 0); /* V2: the vote of this term is given */
    raft_protocol.outlook(group_raft(g, 0), &o);
    assert_false(o.member[2].forgetful);
    assert_int_equal(o.member[2].match, 12);
    group_crash(g, 1);
    group_submit(g, 0, 1);
    group_elapse(g, 30 * QR_MILLISECOND);
    assert_int_equal(g->node[0].applied, 13); /* it counts */
    group_free(g);
}

/* 61, 62: it votes for nobody, asks nobody, promises nothing. */
static void test_scenario_61_it_neither_votes_nor_campaigns(void **state)
{
    (void)state;
    struct group *g = written(3);
    group_crash(g, 0);
    group_restart_damaged(g, 2, 5);
    group_lose_mail(g);
    g->now += QR_SECOND;
    struct raft_vote v = { .term = 9, .last_slot = 50, .last_term = 8, .transfer = true };
    struct raft_prevote p = { .term = 9, .last_slot = 50, .last_term = 8 };
    group_deliver(g, 1, 2, RAFT_VOTE, &v, 0, 0, 0);
    group_deliver(g, 1, 2, RAFT_PREVOTE, &p, 0, 0, 0);
    struct raft_timeout_now t = { .term = 1 };
    group_deliver(g, 0, 2, RAFT_TIMEOUT_NOW, &t, 0, 0, 0);
    group_sync(g, 2);
    assert_int_equal(g->mail_count, 0);
    assert_int_equal(raft_protocol.deadline(group_raft(g, 2)), QR_NEVER);
    group_elapse(g, 5 * QR_SECOND); /* node 1 alone elects nobody: stuck, but nothing is lost */
    assert_int_equal(leader_of(g), NODE_NONE);
    group_restart(g, 0, false);
    group_elapse(g, 3 * QR_SECOND);
    assert_int_not_equal(leader_of(g), NODE_NONE);
    assert_false(group_raft(g, 2)->forgetful);
    group_free(g);
}

/* Its answers commit nothing, confirm no read, give no lease, keep no leader, and it is no
 * successor. */
static void test_its_leader_counts_it_nowhere(void **state)
{
    (void)state;
    struct group *g = written(3);
    group_admin(g, 0, ADMIN_READ_MODE, READ_MODE_LEASE);
    group_restart_damaged(g, 2, 11); /* it has lost no entry, but how should it know? */
    group_crash(g, 1);
    group_elapse(g, 100 * QR_MILLISECOND); /* leases run out */
    struct outlook o;
    raft_protocol.outlook(group_raft(g, 0), &o);
    assert_true(o.member[2].forgetful);
    assert_true(o.member[2].heard > 0);
    qr_slot commit = o.commit;
    group_submit(g, 0, 1);
    qr_req read = group_read(g, 0, 1);
    group_admin(g, 0, ADMIN_TRANSFER, 2);
    group_elapse(g, 60 * QR_MILLISECOND);
    assert_int_equal(group_raft(g, 0)->phase, PHASE_LEADER);
    assert_int_equal(g->node[2].log.last, group_raft(g, 0)->trail.last_slot); /* it has them */
    assert_int_equal(group_raft(g, 0)->commit, commit);
    assert_null(group_noted(g, 0, EFFECT_READ, read));
    assert_int_equal(group_raft(g, 0)->transfer_to, NODE_NONE);
    assert_int_equal(g->node[0].point_count[POINT_FORGETFUL_MAJORITY], 0);
    group_elapse(g, 300 * QR_MILLISECOND);
    assert_int_equal(group_raft(g, 0)->phase, PHASE_FOLLOWER); /* CheckQuorum */
    group_free(g);
}

/* What it holds counts with its first word as a normal member: no other need follow. */
static void test_what_it_holds_already_counts_when_it_is_back(void **state)
{
    (void)state;
    struct group *g = written(3);
    g->node[1].disk_held = true;
    group_restart_damaged(g, 2, 11);
    group_elapse(g, 60 * QR_MILLISECOND);
    group_sync(g, 1);
    while (group_deliver_one(g, 1, 0, RAFT_APPEND_ACK)) {
    }
    assert_int_equal(group_raft(g, 0)->commit, 12); /* the barrier */
    group_crash(g, 1);
    group_lose_mail(g);
    group_submit(g, 0, 1);
    group_sync(g, 0);
    assert_true(group_deliver_one(g, 0, 2, RAFT_APPEND));
    group_sync(g, 2);
    assert_true(group_deliver_one(g, 2, 0, RAFT_FORGETFUL_ACK));
    assert_int_equal(group_raft(g, 0)->peer[2].match, 13);
    assert_true(group_deliver_one(g, 0, 2, RAFT_RECOVERED));
    assert_int_equal(group_raft(g, 0)->commit, 12);
    group_sync(g, 2);
    assert_true(group_deliver_one(g, 2, 0, RAFT_APPEND_ACK));
    assert_int_equal(group_raft(g, 0)->commit, 13);
    group_free(g);
}

/* The entries for an empty log are lost, then the word that it may count: both are said again. */
static void test_what_is_lost_on_the_way_is_said_again(void **state)
{
    (void)state;
    struct group *g = written(3);
    group_restart_damaged(g, 2, 0);
    group_lose_mail(g);
    g->now += 25 * QR_MILLISECOND;
    group_timer(g, 0);
    group_deliver_one(g, 0, 2, RAFT_HEARTBEAT);
    group_sync(g, 2);
    group_deliver_one(g, 2, 0, RAFT_FORGETFUL_ACK);
    group_deliver_one(g, 0, 2, RAFT_APPEND);
    group_sync(g, 2);
    group_deliver_one(g, 2, 0, RAFT_FORGETFUL_REJECT);
    assert_int_equal(group_sent(g, 0, 2, RAFT_APPEND)->lo, 1);
    group_lose(g, 0, 2, RAFT_APPEND);
    g->node[1].disk_held = true;
    group_elapse(g, 60 * QR_MILLISECOND);
    assert_int_equal(group_raft(g, 0)->peer[2].match, 12);
    g->node[1].disk_held = false;
    group_sync(g, 1);
    while (group_deliver_one(g, 1, 0, RAFT_APPEND_ACK)) {
    }
    g->now += 25 * QR_MILLISECOND;
    group_timer(g, 0);
    group_deliver_one(g, 0, 2, RAFT_HEARTBEAT);
    group_sync(g, 2);
    group_deliver_one(g, 2, 0, RAFT_FORGETFUL_ACK);
    group_lose(g, 0, 2, RAFT_RECOVERED);
    group_elapse(g, 60 * QR_MILLISECOND);
    assert_false(group_raft(g, 2)->forgetful);
    assert_int_equal(group_raft(g, 0)->peer[2].recovery, RECOVERY_NONE);
    group_free(g);
}

/* Its first word as a normal member is lost, and entries for it: its refusals must be heard. */
static void test_its_refusals_are_heard_before_it_counts(void **state)
{
    (void)state;
    struct group *g = written(3);
    group_restart_damaged(g, 2, 11);
    for (uint32_t i = 0; i < 100 && group_raft(g, 2)->forgetful; i++) {
        g->now += QR_MILLISECOND;
        group_timer(g, 0);
        for (node_index k = 0; k < 3; k++) {
            group_sync(g, k);
        }
        while (group_deliver_one(g, 0, 1, RAFT_APPEND) ||
               group_deliver_one(g, 1, 0, RAFT_APPEND_ACK) ||
               group_deliver_one(g, 0, 2, RAFT_HEARTBEAT) ||
               group_deliver_one(g, 0, 2, RAFT_APPEND) ||
               group_deliver_one(g, 2, 0, RAFT_FORGETFUL_ACK) ||
               group_deliver_one(g, 0, 2, RAFT_RECOVERED)) {
        }
    }
    assert_false(group_raft(g, 2)->forgetful);
    group_submit(g, 0, 5);
    group_lose_mail(g);
    assert_int_not_equal(group_raft(g, 0)->peer[2].recovery, RECOVERY_NONE);
    group_raft(g, 0)->peer[2].next = group_raft(g, 0)->trail.last_slot + 1; /* all was sent */
    group_elapse(g, 200 * QR_MILLISECOND);
    assert_int_equal(group_raft(g, 0)->peer[2].recovery, RECOVERY_NONE);
    assert_int_equal(g->node[2].log.last, group_raft(g, 0)->trail.last_slot);
    group_free(g);
}

/* 62: the log of the node that was to lead next is damaged. The others keep what they have. */
static void test_scenario_62_a_damaged_member_deletes_nothing_at_the_others(void **state)
{
    (void)state;
    struct group *g = written(3);
    group_restart_damaged(g, 1, 4);
    group_crash(g, 0);
    group_lose_mail(g);
    group_elapse(g, 2 * QR_SECOND);
    assert_int_equal(g->node[2].log.last, 11);
    group_restart(g, 0, false);
    group_elapse(g, 2 * QR_SECOND);
    assert_int_not_equal(leader_of(g), 1);
    for (node_index i = 0; i < 3; i++) {
        assert_true(g->node[i].applied >= 11);
        assert_int_equal(g->node[i].log.entry[11].req, 10);
    }
    group_free(g);
}

/* 4: all are killed and started, then all others killed: who is alone answers no read. */
static void test_scenario_4_who_is_left_alone_answers_nothing(void **state)
{
    (void)state;
    struct group *g = written(3);
    for (node_index i = 0; i < 3; i++) {
        group_restart(g, i, false);
    }
    group_lose_mail(g);
    group_crash(g, 1);
    group_crash(g, 2);
    qr_req read = group_read(g, 0, 1);
    group_elapse(g, 3 * QR_SECOND);
    assert_null(group_noted(g, 0, EFFECT_READ, read));
    assert_int_equal(group_noted(g, 0, EFFECT_ANSWER, read)->status, STATUS_NOT_LEADER);
    assert_int_equal(g->node[0].applied, 0); /* nobody says what is committed */
    group_free(g);
}

/* V4: what it acknowledged before the loss counts no more, however late it comes. */
static void test_v4_an_acknowledgement_from_before_does_not_count(void **state)
{
    (void)state;
    struct group *g = written(3);
    group_crash(g, 1);
    group_submit(g, 0, 4);
    group_sync(g, 0);
    group_deliver_one(g, 0, 2, RAFT_APPEND);
    group_sync(g, 2);
    struct mail late = *group_sent(g, 2, 0, RAFT_APPEND_ACK);
    assert_int_equal(late.body.append_ack.match, 15);
    group_lose_mail(g);
    group_restart_damaged(g, 2, 11);
    group_peer(g, 0, 2, true);
    g->node[2].disk_held = true;
    group_settle(g);
    group_sync(g, 2);
    group_deliver_one(g, 2, 0, RAFT_FORGETFUL_ACK);
    assert_true(group_raft(g, 0)->peer[2].recovery != RECOVERY_NONE);
    group_deliver(g, 2, 0, RAFT_APPEND_ACK, &late.body, 0, 0, 0);
    assert_int_equal(group_raft(g, 0)->commit, 11);
    assert_true(group_raft(g, 0)->peer[2].recovery != RECOVERY_NONE);
    group_free(g);
}

/* V2, V3: not before the barrier is on a majority without it. */
static void test_scenario_75_v2_no_recovery_before_the_others_hold_the_barrier(void **state)
{
    (void)state;
    struct group *g = written(5);
    g->node[1].cut = g->node[3].cut = g->node[4].cut = true;
    group_restart_damaged(g, 2, 0);
    group_elapse(g, 200 * QR_MILLISECOND);
    const struct raft *leader = group_raft(g, 0);
    assert_int_equal(leader->phase, PHASE_LEADER);
    assert_int_equal(leader->peer[2].recovery, RECOVERY_BARRED);
    assert_true(leader->peer[2].match >= leader->barrier);
    assert_true(group_raft(g, 2)->forgetful);
    g->node[1].cut = false; /* two of five beside it */
    group_elapse(g, 60 * QR_MILLISECOND);
    assert_true(group_raft(g, 2)->forgetful);
    g->node[3].cut = false; /* three */
    group_elapse(g, 100 * QR_MILLISECOND);
    assert_false(group_raft(g, 2)->forgetful);
    group_free(g);
}

/* V3: a start in the middle is a life of its own, with a barrier of its own. */
static void test_v3_a_restart_in_the_middle_begins_anew(void **state)
{
    (void)state;
    struct group *g = written(3);
    group_restart_damaged(g, 2, 3);
    group_sync(g, 2);
    g->node[1].disk_held = true; /* no barrier is committed */
    group_elapse(g, 60 * QR_MILLISECOND);
    uint32_t first = group_raft(g, 2)->life;
    qr_slot barrier = group_raft(g, 0)->barrier;
    assert_true(barrier > 0);
    group_restart(g, 2, false);
    assert_true(group_raft(g, 2)->forgetful); /* V5: its disk says so */
    uint32_t second = group_raft(g, 2)->life;
    assert_int_not_equal(first, second);
    struct raft_recovered old = { .term = 1, .slot = 1, .life = first };
    group_deliver(g, 0, 2, RAFT_RECOVERED, &old, 0, 0, 0);
    assert_true(group_raft(g, 2)->forgetful);
    g->node[1].disk_held = false;
    group_elapse(g, 200 * QR_MILLISECOND);
    assert_false(group_raft(g, 2)->forgetful);
    assert_true(group_raft(g, 0)->barrier > barrier);
    group_free(g);
}

/* The leader changes in the middle: the next one makes a barrier of its term. */
static void test_the_leader_changes_in_the_middle(void **state)
{
    (void)state;
    struct group *g = written(5);
    g->node[2].cut = true;
    group_restart_damaged(g, 2, 3);
    group_crash(g, 0);
    group_lose_mail(g);
    group_elapse(g, QR_SECOND);
    node_index next = leader_of(g);
    assert_true(next != NODE_NONE && next != 2);
    g->node[2].cut = false;
    group_elapse(g, 200 * QR_MILLISECOND);
    assert_false(group_raft(g, 2)->forgetful);
    assert_int_equal(group_raft(g, 2)->vote, next);
    group_free(g);
}

/* V6: a word of an earlier life comes when the member has recovered in a later one. Its leader
 * takes it for forgetful, and it does not know: it is fed all the same, and counts again. */
static void test_v6_a_late_word_of_an_earlier_life_holds_nobody_up(void **state)
{
    (void)state;
    struct group *g = written(3);
    group_restart_damaged(g, 2, 0);
    struct raft_forgetful_ack late = { .term = 1, .life = group_raft(g, 2)->life };
    group_lose_mail(g);
    group_restart_damaged(g, 2, 0);
    assert_int_not_equal(group_raft(g, 2)->life, late.life);
    group_elapse(g, 200 * QR_MILLISECOND);
    assert_false(group_raft(g, 2)->forgetful);
    assert_int_equal(group_raft(g, 0)->peer[2].recovery, RECOVERY_NONE);
    group_deliver(g, 2, 0, RAFT_FORGETFUL_ACK, &late, 0, 0, 0);
    assert_int_not_equal(group_raft(g, 0)->peer[2].recovery, RECOVERY_NONE);
    group_lose_mail(g); /* also what it is sent first */
    group_submit(g, 0, 3);
    group_elapse(g, 300 * QR_MILLISECOND);
    assert_int_equal(group_raft(g, 0)->peer[2].recovery, RECOVERY_NONE);
    assert_int_equal(group_raft(g, 0)->peer[2].match, group_raft(g, 0)->trail.last_slot);
    group_free(g);
}

/* The same while another barrier is on its way, so that none can be made for it at once. */
static void test_v6_its_barrier_comes_later(void **state)
{
    (void)state;
    struct group *g = written(3);
    struct raft_forgetful_ack late = { .term = 1, .life = 77 };
    struct raft *leader = group_raft(g, 0);
    group_crash(g, 1);
    group_deliver(g, 2, 0, RAFT_FORGETFUL_ACK, &late, 0, 0, 0);
    assert_int_equal(leader->peer[2].recovery, RECOVERY_BARRED);
    late.life = 79;
    group_deliver(g, 2, 0, RAFT_FORGETFUL_ACK, &late, 0, 0, 0);
    assert_int_equal(leader->peer[2].recovery, RECOVERY_UNBARRED); /* the first is not committed */
    group_restart(g, 1, false);
    group_elapse(g, 500 * QR_MILLISECOND);
    assert_int_equal(leader->peer[2].recovery, RECOVERY_NONE);
    assert_int_equal(leader->peer[2].match, leader->trail.last_slot);
    group_free(g);
}

/* RECOVERED is for one life, one term, and for whoever has come that far. */
static void test_a_recovery_that_is_not_its_own_is_dropped(void **state)
{
    (void)state;
    struct group *g = written(3);
    group_restart_damaged(g, 2, 0);
    uint32_t life = group_raft(g, 2)->life;
    struct raft_append m = { .term = 3, .prev_slot = 0 };
    group_deliver(g, 1, 2, RAFT_APPEND, &m, 1, 5, 1);
    struct raft_recovered r = { .term = 3, .slot = 5, .life = life };
    group_deliver(g, 1, 2, RAFT_RECOVERED, &r, 0, 0, 0); /* beyond its log */
    r = (struct raft_recovered){ .term = 3, .slot = 4, .life = life + 2 };
    group_deliver(g, 1, 2, RAFT_RECOVERED, &r, 0, 0, 0); /* another life */
    r = (struct raft_recovered){ .term = 2, .slot = 4, .life = life };
    group_deliver(g, 0, 2, RAFT_RECOVERED, &r, 0, 0, 0); /* of a leader who is one no more */
    r = (struct raft_recovered){ .term = 3, .slot = 0, .life = life };
    group_deliver(g, 1, 2, RAFT_RECOVERED, &r, 0, 0, 0); /* no barrier */
    assert_true(group_raft(g, 2)->forgetful);
    r.slot = 4;
    group_deliver(g, 1, 2, RAFT_RECOVERED, &r, 0, 0, 0);
    assert_false(group_raft(g, 2)->forgetful);
    group_free(g);
}

/* V5: what it says as a normal member waits for the record, and a crash before that is a start as a
 * forgetful one. */
static void test_v5_it_recovers_when_its_record_is_durable(void **state)
{
    (void)state;
    struct group *g = written(3);
    group_restart_damaged(g, 2, 0);
    group_sync(g, 2);
    struct raft_append m = { .term = 3, .prev_slot = 0 };
    group_deliver(g, 1, 2, RAFT_APPEND, &m, 1, 5, 1);
    group_sync(g, 2);
    group_lose_mail(g);
    struct raft_recovered r = { .term = 3, .slot = 4, .life = group_raft(g, 2)->life };
    group_deliver(g, 1, 2, RAFT_RECOVERED, &r, 0, 0, 0);
    assert_null(group_sent(g, 2, 1, RAFT_APPEND_ACK));
    assert_int_equal(group_held(g, 2, 1, RAFT_APPEND_ACK)->body.append_ack.match, 4);
    group_restart(g, 2, false);
    assert_true(group_raft(g, 2)->forgetful);
    assert_int_equal(group_raft(g, 2)->term, 3); /* the term is kept all the while */
    group_free(g);
}

static uint32_t noted_losses(const struct group *g, node_index i)
{
    uint32_t n = 0;
    for (uint32_t k = 0; k < g->node[i].note_count; k++) {
        n += g->node[i].note[k].kind == EFFECT_LOSS;
    }
    return n;
}

/* V7: a refusal from before the acknowledgement says nothing, however often it comes; what was sent
 * after the first one came, and is refused too, shows a loss. */
static void test_v7_only_what_is_refused_anew_shows_a_loss(void **state)
{
    (void)state;
    struct group *g = written(3);
    struct raft *r = group_raft(g, 0);
    struct peer *p = &r->peer[2];
    group_elapse(g, QR_SECOND);
    qr_slot match = p->match;
    struct raft_append_reject m = {
        .term = r->term, .prev_slot = 7, .hint_slot = 6, .hint_term = 1, .sent = g->now - 1000
    };
    group_deliver(g, 2, 0, RAFT_APPEND_REJECT, &m, 0, 0, 0);
    group_deliver(g, 2, 0, RAFT_APPEND_REJECT, &m, 0, 0, 0);
    m.sent = g->now; /* it may have left before the acknowledgement was read, in the same moment */
    group_deliver(g, 2, 0, RAFT_APPEND_REJECT, &m, 0, 0, 0);
    assert_int_equal(p->match, match);
    assert_int_equal(p->recovery, RECOVERY_NONE);
    assert_int_equal(noted_losses(g, 0), 0);
    group_elapse(g, QR_SECOND); /* it holds what it is asked for */
    assert_int_equal(p->mode, PEER_REPLICATE);
    m.sent = g->now;
    group_deliver(g, 2, 0, RAFT_APPEND_REJECT, &m, 0, 0, 0);
    assert_int_equal(noted_losses(g, 0), 1);
    assert_int_equal(p->match, 0);
    assert_int_not_equal(p->recovery, RECOVERY_NONE);
    group_free(g);
}

/* All voters but one are forgetful: there is no majority that remembers. It says so and stays. */
static void test_a_majority_that_forgets_stands_still(void **state)
{
    (void)state;
    struct group *g = written(3);
    group_restart_damaged(g, 1, 0);
    group_restart_damaged(g, 2, 0);
    group_elapse(g, 250 * QR_MILLISECOND);
    assert_int_equal(g->node[0].point_count[POINT_FORGETFUL_MAJORITY], 1);
    qr_slot commit = group_raft(g, 0)->commit;
    group_elapse(g, 5 * QR_SECOND);
    assert_int_equal(leader_of(g), NODE_NONE);
    assert_int_equal(group_raft(g, 0)->commit, commit);
    assert_true(group_raft(g, 1)->forgetful);
    assert_int_equal(g->node[0].log.entry[11].term, 1); /* nothing was taken from it */
    group_free(g);
}

static void test_a_forgetful_member_is_brought_a_snapshot(void **state)
{
    (void)state;
    struct group *g = written(3);
    group_checkpoint(g, 0, 11, 11, 0);
    group_restart_damaged(g, 2, 2);
    group_elapse(g, 60 * QR_MILLISECOND);
    assert_int_equal(group_raft(g, 0)->peer[2].mode, PEER_SNAPSHOT);
    group_bring_snapshot(g, 0, 2);
    assert_null(group_held(g, 2, 0, RAFT_APPEND_ACK));
    assert_non_null(group_held(g, 2, 0, RAFT_FORGETFUL_ACK));
    group_elapse(g, 300 * QR_MILLISECOND);
    assert_false(group_raft(g, 2)->forgetful);
    assert_int_equal(g->node[2].applied, group_raft(g, 0)->trail.last_slot);
    group_free(g);
}

/* V6: it knows nothing of that, and what it lacks is gone. Its refusals count for nothing, but they
 * say that it is there and reads what it is sent. */
static void test_v6_who_is_taken_for_forgetful_is_brought_a_snapshot(void **state)
{
    (void)state;
    struct group *g = written(3);
    group_restart_damaged(g, 2, 0);
    struct raft_forgetful_ack late = { .term = 1, .life = group_raft(g, 2)->life };
    group_lose_mail(g);
    group_restart_damaged(g, 2, 0);
    group_elapse(g, 200 * QR_MILLISECOND);
    assert_int_equal(group_raft(g, 0)->peer[2].recovery, RECOVERY_NONE);
    g->node[2].cut = true;
    group_submit(g, 0, 10);
    group_elapse(g, 400 * QR_MILLISECOND);
    qr_slot last = group_raft(g, 0)->trail.last_slot;
    group_checkpoint(g, 0, last, last, 0);
    group_deliver(g, 2, 0, RAFT_FORGETFUL_ACK, &late, 0, 0, 0);
    group_elapse(g, 400 * QR_MILLISECOND);
    assert_int_not_equal(group_raft(g, 0)->peer[2].recovery, RECOVERY_NONE);
    g->node[0].note_count = 0;
    g->node[2].cut = false;
    group_elapse(g, 300 * QR_MILLISECOND);
    assert_int_equal(group_raft(g, 0)->peer[2].mode, PEER_SNAPSHOT);
    bool wanted = false;
    for (uint32_t i = 0; i < g->node[0].note_count; i++) {
        wanted = wanted || g->node[0].note[i].kind == EFFECT_SNAPSHOT;
    }
    assert_true(wanted);
    group_bring_snapshot(g, 0, 2);
    group_elapse(g, 300 * QR_MILLISECOND);
    assert_int_equal(group_raft(g, 0)->peer[2].recovery, RECOVERY_NONE);
    assert_int_equal(g->node[2].applied, group_raft(g, 0)->trail.last_slot);
    group_free(g);
}

/* A learner that forgot is no voter yet, and does not become one before it remembers. */
static void test_a_forgetful_learner_is_not_promoted(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(4, 3);
    struct membership m = { .voters = SET(0, 1, 2), .learners = SET(3) };
    group_crash(g, 3);
    change(g, 0, m);
    g->node[1].disk_held = g->node[2].disk_held = true; /* no barrier */
    group_restart_damaged(g, 3, 0);
    group_elapse(g, 200 * QR_MILLISECOND);
    assert_int_equal(group_raft(g, 0)->peer[3].match, group_raft(g, 0)->trail.last_slot);
    assert_int_equal(group_members(g, 0).learners, SET(3));
    g->node[1].disk_held = g->node[2].disk_held = false;
    group_elapse(g, QR_SECOND);
    assert_false(group_raft(g, 3)->forgetful);
    assert_int_equal(group_members(g, leader_of(g)).voters, SET(0, 1, 2, 3));
    group_free(g);
}

/* The driver does not start it; should it, it elects nobody. */
static void test_the_only_voter_does_not_elect_itself(void **state)
{
    (void)state;
    struct group *g = group_new(1);
    group_elapse(g, 10 * QR_MILLISECOND);
    group_restart_damaged(g, 0, 0);
    group_elapse(g, 5 * QR_SECOND);
    assert_int_equal(group_raft(g, 0)->phase, PHASE_FOLLOWER);
    group_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scenario_53_a_member_that_lost_its_disk_comes_back),
        cmocka_unit_test(test_scenario_61_it_neither_votes_nor_campaigns),
        cmocka_unit_test(test_its_leader_counts_it_nowhere),
        cmocka_unit_test(test_what_it_holds_already_counts_when_it_is_back),
        cmocka_unit_test(test_what_is_lost_on_the_way_is_said_again),
        cmocka_unit_test(test_its_refusals_are_heard_before_it_counts),
        cmocka_unit_test(test_scenario_62_a_damaged_member_deletes_nothing_at_the_others),
        cmocka_unit_test(test_scenario_4_who_is_left_alone_answers_nothing),
        cmocka_unit_test(test_v4_an_acknowledgement_from_before_does_not_count),
        cmocka_unit_test(test_scenario_75_v2_no_recovery_before_the_others_hold_the_barrier),
        cmocka_unit_test(test_v3_a_restart_in_the_middle_begins_anew),
        cmocka_unit_test(test_v6_a_late_word_of_an_earlier_life_holds_nobody_up),
        cmocka_unit_test(test_v6_its_barrier_comes_later),
        cmocka_unit_test(test_the_leader_changes_in_the_middle),
        cmocka_unit_test(test_a_recovery_that_is_not_its_own_is_dropped),
        cmocka_unit_test(test_v5_it_recovers_when_its_record_is_durable),
        cmocka_unit_test(test_v7_only_what_is_refused_anew_shows_a_loss),
        cmocka_unit_test(test_a_majority_that_forgets_stands_still),
        cmocka_unit_test(test_a_forgetful_member_is_brought_a_snapshot),
        cmocka_unit_test(test_v6_who_is_taken_for_forgetful_is_brought_a_snapshot),
        cmocka_unit_test(test_a_forgetful_learner_is_not_promoted),
        cmocka_unit_test(test_the_only_voter_does_not_elect_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
