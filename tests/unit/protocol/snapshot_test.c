/* Snapshots in the protocol: who is brought one, what an offer does and what it cannot do. Numbers
 * in names are scenarios of the catalogue of failures. The claims of the dissertation's chapter 5
 * are in tests/paper. */
#include "tests/unit/protocol/group.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

/* Three nodes; 0 leads, 1 follows, 2 lacks everything behind slot 1, and 0 has trimmed up to 21. */
static struct group *one_is_behind(void)
{
    struct group *g = group_new(3);
    group_elect(g, 0);
    group_elapse(g, 30 * QR_MILLISECOND);
    g->node[2].cut = true;
    group_submit(g, 0, 20);
    group_elapse(g, 60 * QR_MILLISECOND);
    assert_int_equal(g->node[0].applied, 21);
    group_checkpoint(g, 0, 21, 21, 0);
    return g;
}

static uint32_t noted(const struct group *g, node_index i, enum effect_kind kind)
{
    uint32_t n = 0;
    for (uint32_t k = 0; k < g->node[i].note_count; k++) {
        n += g->node[i].note[k].kind == kind;
    }
    return n;
}

static const struct group_note *last_note(const struct group *g, node_index i,
                                          enum effect_kind kind)
{
    const struct group_note *last = NULL;
    for (uint32_t k = 0; k < g->node[i].note_count; k++) {
        last = g->node[i].note[k].kind == kind ? &g->node[i].note[k] : last;
    }
    return last;
}

/* An offer that nobody made: slot, its term, the term in which it was known to be committed. */
static void offer(struct group *g, node_index i, qr_slot slot, qr_term slot_term, qr_term term)
{
    struct group_snapshot s = {
        .from = i == 0 ? 1 : 0, .slot = slot, .slot_term = slot_term, .term = term
    };
    s.membership.members.voters = (uint16_t)((1u << g->n) - 1);
    group_offer(g, i, &s);
}

static void test_l5_a_member_behind_the_trim_is_brought_a_snapshot_and_then_fed(void **state)
{
    (void)state;
    struct group *g = one_is_behind();
    g->node[2].cut = false;
    group_elapse(g, 60 * QR_MILLISECOND);
    const struct group_note *wanted = last_note(g, 0, EFFECT_SNAPSHOT);
    assert_non_null(wanted);
    assert_int_equal(wanted->to, 2);
    assert_int_equal(wanted->slot, 21);
    struct outlook o;
    raft_protocol.outlook(group_raft(g, 0), &o);
    assert_true(o.member[2].needs_snapshot);

    group_submit(g, 0, 5); /* writes go on meanwhile */
    group_settle(g);
    group_bring_snapshot(g, 0, 2);
    group_settle(g);

    assert_int_equal(noted(g, 2, EFFECT_INSTALL), 1);
    assert_int_equal(g->node[2].log.last, 26);
    group_elapse(g, 30 * QR_MILLISECOND);
    assert_int_equal(g->node[2].applied, 26);
    raft_protocol.outlook(group_raft(g, 0), &o);
    assert_false(o.member[2].needs_snapshot);
    group_free(g);
}

/* Nobody reads what is sent to one who is away: no checkpoint is taken for it. */
static void test_a_silent_member_is_brought_nothing(void **state)
{
    (void)state;
    struct group *g = one_is_behind();
    g->node[2].cut = false;
    group_elapse(g, 60 * QR_MILLISECOND);
    assert_true(noted(g, 0, EFFECT_SNAPSHOT) > 0);
    g->node[2].cut = true;
    group_elapse(g, 400 * QR_MILLISECOND);
    g->node[0].note_count = 0;
    group_elapse(g, 2 * QR_SECOND);
    assert_int_equal(group_raft(g, 0)->peer[2].mode, PEER_SNAPSHOT);
    assert_int_equal(noted(g, 0, EFFECT_SNAPSHOT), 0);
    group_free(g);
}

/* It is said again; and the leader finds out although the acknowledgement was lost. */
static void test_a_lost_acknowledgement_of_an_installation_is_found_out(void **state)
{
    (void)state;
    struct group *g = one_is_behind();
    g->node[2].cut = false;
    group_elapse(g, 500 * QR_MILLISECOND);
    assert_in_range(noted(g, 0, EFFECT_SNAPSHOT), 2, 5);
    group_bring_snapshot(g, 0, 2);
    group_sync(g, 2);
    group_lose(g, 2, 0, RAFT_APPEND_ACK);
    group_elapse(g, 300 * QR_MILLISECOND);
    assert_int_equal(group_raft(g, 0)->peer[2].mode, PEER_REPLICATE);
    assert_int_equal(group_raft(g, 0)->peer[2].match, 21);
    group_free(g);
}

/* 22: what a member needs that loads a snapshot stays, whatever retention says. */
static void test_a_pinned_log_is_not_trimmed(void **state)
{
    (void)state;
    struct group *g = one_is_behind();
    group_submit(g, 0, 20);
    group_elapse(g, 30 * QR_MILLISECOND);
    group_checkpoint(g, 0, 41, 41, 21);
    assert_int_equal(last_note(g, 0, EFFECT_TRIM)->slot, 21);
    group_checkpoint(g, 0, 41, 30, 0); /* as far as needed, not to the checkpoint */
    assert_int_equal(last_note(g, 0, EFFECT_TRIM)->slot, 30);
    group_checkpoint(g, 0, 41, 41, 0);
    assert_int_equal(last_note(g, 0, EFFECT_TRIM)->slot, 41);
    group_free(g);
}

/* 54: writes are in flight when a snapshot takes the log's place. What they held is not called
 * durable, and nothing is acknowledged before the installation is on disk. */
static void test_scenario_54_a_log_is_replaced_while_writes_are_in_flight(void **state)
{
    (void)state;
    struct group *g = group_new(3);
    struct raft_append m = { .term = 2, .prev_slot = 0, .commit = 3 };
    group_deliver(g, 1, 0, RAFT_APPEND, &m, 1, 4, 2);
    group_sync(g, 0);
    m = (struct raft_append){ .term = 2, .prev_slot = 3, .prev_term = 2, .commit = 3 };
    group_deliver(g, 1, 0, RAFT_APPEND, &m, 4, 30, 2); /* not durable, not committed */
    group_lose_mail(g);
    struct raft_heartbeat h = { .term = 4 };
    group_deliver(g, 2, 0, RAFT_HEARTBEAT, &h, 0, 0, 0);
    group_lose_mail(g);

    offer(g, 0, 20, 3, 4);

    const struct raft *r = group_raft(g, 0);
    assert_int_equal(r->commit, 20);
    assert_int_equal(r->trail.last_slot, 20);
    assert_int_equal(r->journal.durable_slot, 3);
    assert_null(group_sent(g, 0, 2, RAFT_APPEND_ACK));
    const struct mail *ack = group_held(g, 0, 2, RAFT_APPEND_ACK);
    assert_int_equal(ack->body.append_ack.match, 20);
    assert_int_equal(ack->after, r->journal.minted);
    group_sync(g, 0);
    assert_int_equal(r->journal.durable_slot, 20);
    assert_non_null(group_sent(g, 0, 2, RAFT_APPEND_ACK));
    group_free(g);
}

/* 54: a crash before the installation is durable. What was acknowledged before is still there. */
static void test_scenario_54_a_crash_before_the_installation_is_durable(void **state)
{
    (void)state;
    struct group *g = one_is_behind();
    g->node[2].disk_held = true;
    group_bring_snapshot(g, 0, 2);
    assert_int_equal(g->node[2].applied, 21);
    group_restart(g, 2, true);
    assert_int_equal(group_raft(g, 2)->commit, 0);
    assert_int_equal(g->node[2].log.last, 1);
    group_bring_snapshot(g, 0, 2);
    g->node[2].disk_held = false;
    group_settle(g);
    group_restart(g, 2, true);
    assert_int_equal(g->node[2].applied, 21);
    group_free(g);
}

/* 27: nothing is replaced by what cannot be right. */
static void test_scenario_27_an_offer_that_cannot_be_right_changes_nothing(void **state)
{
    (void)state;
    struct group *g = group_new(3);
    struct raft_append m = { .term = 5, .prev_slot = 0, .commit = 3 };
    group_deliver(g, 1, 0, RAFT_APPEND, &m, 1, 9, 4);
    group_settle(g);
    uint64_t before = raft_protocol.digest(group_raft(g, 0));

    offer(g, 0, 20, 6, 5);              /* an entry of a later term than that of its commit */
    offer(g, 0, 20, 3, 9);              /* terms fall along the log */
    offer(g, 0, 20, 0, 9);              /* no term at all */
    offer(g, 0, UINT64_MAX - 1, 5, 5);  /* no group gets there */
    offer(g, 0, 20, 5, UINT64_MAX - 1); /* nor to that term */
    offer(g, 0, 7, 5, 5);               /* this term's leader has another entry there */
    struct group_snapshot s = { .from = 1, .slot = 20, .slot_term = 5, .term = 5 };
    s.membership = (struct membership_at){ .slot = 21, .members = { .voters = 7 } };
    group_offer(g, 0, &s); /* members of a later slot */
    s.membership = (struct membership_at){ .slot = 3, .members = { .learners = 7 } };
    group_offer(g, 0, &s); /* nobody votes */

    assert_int_equal(noted(g, 0, EFFECT_INSTALL), 0);
    assert_int_equal(g->node[0].point_count[POINT_OFFER_REFUSED], 8);
    assert_int_equal(raft_protocol.digest(group_raft(g, 0)), before);
    group_free(g);
}

/* 28: a leader has all that is committed; it takes no snapshot, its own least of all. */
static void test_scenario_28_a_leader_installs_nothing(void **state)
{
    (void)state;
    struct group *g = group_new(3);
    group_elect(g, 0);
    qr_slot last = group_raft(g, 0)->trail.last_slot;
    offer(g, 0, last + 50, 1, 1);
    assert_int_equal(group_raft(g, 0)->phase, PHASE_LEADER);
    assert_int_equal(group_raft(g, 0)->trail.last_slot, last);
    offer(g, 0, last + 50, 2, 2); /* of a later term: it leads no more */
    assert_int_equal(group_raft(g, 0)->phase, PHASE_FOLLOWER);
    assert_int_equal(group_raft(g, 0)->commit, last + 50);
    group_free(g);
}

/* 41: two snapshots shortly after one another, the first not yet durable; then an old one. */
static void test_scenario_41_two_snapshots_shortly_after_one_another(void **state)
{
    (void)state;
    struct group *g = one_is_behind();
    struct group_snapshot *first = group_zalloc(sizeof *first);
    group_fix_snapshot(g, 0, first);
    group_submit(g, 0, 9);
    group_settle(g);
    g->node[2].cut = false;
    g->node[2].disk_held = true;
    group_elapse(g, 30 * QR_MILLISECOND);
    group_offer(g, 2, first);
    group_bring_snapshot(g, 0, 2);
    assert_int_equal(noted(g, 2, EFFECT_INSTALL), 2);
    group_offer(g, 2, first);
    assert_int_equal(noted(g, 2, EFFECT_INSTALL), 2);
    assert_null(group_sent(g, 2, 0, RAFT_APPEND_ACK));
    g->node[2].disk_held = false;
    group_elapse(g, 60 * QR_MILLISECOND);
    assert_int_equal(g->node[2].disk.base, 30);
    assert_int_equal(group_raft(g, 0)->peer[2].match, 30);
    group_free(g);
    free(first);
}

/* 58: a snapshot arrives while a checkpoint is being taken. That one is older, and allows nothing.
 */
static void test_scenario_58_a_checkpoint_begun_before_an_installation_trims_nothing(void **state)
{
    (void)state;
    struct group *g = one_is_behind();
    g->node[2].cut = false;
    group_elapse(g, 30 * QR_MILLISECOND);
    assert_int_equal(g->node[2].applied, 1);
    group_bring_snapshot(g, 0, 2);
    group_checkpoint(g, 2, 1, 1, 0);
    assert_int_equal(noted(g, 2, EFFECT_TRIM), 0);
    assert_int_equal(group_raft(g, 2)->checkpoint, 21);
    assert_int_equal(group_raft(g, 2)->trimmed, 21);
    group_free(g);
}

/* 24, 26: term and vote survive an installation and a restart behind it, and the log goes on. */
static void test_scenario_22_what_begins_before_the_trim_is_taken_after_a_restart(void **state)
{
    (void)state;
    struct group *g = group_new(3);
    struct raft_append m = { .term = 1, .prev_slot = 0, .commit = 8 };
    group_deliver(g, 1, 0, RAFT_APPEND, &m, 1, 11, 1);
    group_checkpoint(g, 0, 8, 8, 0);
    group_settle(g);
    group_restart(g, 0, true);
    group_lose_mail(g);
    for (qr_slot prev = 3; prev < 8; prev += 4) { /* which term that had it does not know now */
        m = (struct raft_append){ .term = 2, .prev_slot = prev, .prev_term = 1, .commit = 8 };
        group_deliver(g, 2, 0, RAFT_APPEND, &m, prev + 1, 10, 1);
        group_sync(g, 0);
        assert_null(group_sent(g, 0, 2, RAFT_APPEND_REJECT));
        assert_int_equal(group_sent(g, 0, 2, RAFT_APPEND_ACK)->body.append_ack.match, 9);
        group_lose_mail(g);
    }
    m = (struct raft_append){ .term = 2, .prev_slot = 3, .prev_term = 2, .commit = 8 };
    group_deliver(g, 2, 0, RAFT_APPEND, &m, 4, 8, 2); /* what contradicts it changes nothing */
    group_sync(g, 0);
    assert_null(group_sent(g, 0, 2, RAFT_APPEND_REJECT));
    assert_int_equal(group_raft(g, 0)->commit, 8);
    assert_int_equal(group_raft(g, 0)->trail.last_slot, 10);
    assert_int_equal(trail_last_term(&group_raft(g, 0)->trail), 1);
    group_free(g);
}

static void test_scenario_24_the_vote_survives_an_installation_and_a_restart(void **state)
{
    (void)state;
    struct group *g = one_is_behind();
    struct raft_vote v = { .term = 7, .last_slot = 40, .last_term = 6 };
    group_raft(g, 2)->leader_closed = true;
    group_deliver(g, 1, 2, RAFT_VOTE, &v, 0, 0, 0);
    group_bring_snapshot(g, 0, 2);
    group_settle(g);
    group_restart(g, 2, true);
    assert_int_equal(group_raft(g, 2)->term, 7);
    assert_int_equal(group_raft(g, 2)->vote, 1);
    group_lose_mail(g);
    group_deliver(g, 0, 2, RAFT_VOTE, &v, 0, 0, 0);
    assert_false(group_sent(g, 2, 0, RAFT_VOTE_REPLY)->body.vote_reply.granted);
    struct raft_append m = { .term = 7, .prev_slot = 21, .prev_term = 1, .commit = 22 };
    group_deliver(g, 1, 2, RAFT_APPEND, &m, 22, 23, 7);
    assert_int_equal(g->node[2].applied, 22);
    group_free(g);
}

/* 16: entries behind a trim are dropped and written anew; a restart finds what was written. */
static void test_scenario_16_entries_behind_a_trim_are_replaced(void **state)
{
    (void)state;
    struct group *g = group_new(3);
    struct raft_append m = { .term = 1, .prev_slot = 0, .commit = 6 };
    group_deliver(g, 1, 0, RAFT_APPEND, &m, 1, 11, 1);
    group_checkpoint(g, 0, 6, 6, 0);
    m = (struct raft_append){ .term = 2, .prev_slot = 4, .prev_term = 1, .commit = 6 };
    group_deliver(g, 2, 0, RAFT_APPEND, &m, 5, 7, 1); /* from before the trim: they are here */
    assert_int_equal(group_raft(g, 0)->trail.last_slot, 10);
    m = (struct raft_append){ .term = 2, .prev_slot = 6, .prev_term = 1, .commit = 6 };
    group_deliver(g, 2, 0, RAFT_APPEND, &m, 7, 9, 2);
    assert_int_equal(group_raft(g, 0)->trail.last_slot, 8);
    group_settle(g);
    group_restart(g, 0, true);
    assert_int_equal(group_raft(g, 0)->trail.last_slot, 8);
    assert_int_equal(trail_last_term(&group_raft(g, 0)->trail), 2);
    group_free(g);
}

/* 17: the snapshot is newer than all of the log; what the log begins with follows from it. */
static void test_scenario_17_a_start_behind_a_snapshot_with_an_empty_log(void **state)
{
    (void)state;
    struct group *g = one_is_behind();
    group_bring_snapshot(g, 0, 2);
    group_sync(g, 2);
    assert_int_equal(g->node[2].disk.last, 21);
    group_restart(g, 2, true);
    struct outlook o;
    raft_protocol.outlook(group_raft(g, 2), &o);
    assert_int_equal(o.first, 22);
    assert_int_equal(o.last, 21);
    assert_int_equal(o.commit, 21);
    g->node[2].cut = false;
    group_submit(g, 0, 3);
    group_elapse(g, 60 * QR_MILLISECOND);
    assert_int_equal(g->node[2].applied, 24);
    assert_int_equal(noted(g, 2, EFFECT_INSTALL), 0);
    group_free(g);
}

/* 59: a refusal behind an installation names the snapshot's slot and term. */
static void test_scenario_59_a_refusal_behind_an_installation(void **state)
{
    (void)state;
    struct group *g = group_new(3);
    offer(g, 0, 20, 3, 4);
    group_settle(g);
    struct raft_append m = { .term = 4, .prev_slot = 30, .prev_term = 4, .commit = 30 };
    group_deliver(g, 1, 0, RAFT_APPEND, &m, 0, 0, 0);
    const struct raft_append_reject *reject =
        &group_sent(g, 0, 1, RAFT_APPEND_REJECT)->body.append_reject;
    assert_int_equal(reject->hint_slot, 20);
    assert_int_equal(reject->hint_term, 3);
    assert_int_equal(group_raft(g, 0)->commit, 20);
    group_free(g);
}

/* 18, 55: the members come with the snapshot; an entry of the replaced log is not fallen back on.
 */
static void test_scenario_55_members_come_with_the_snapshot(void **state)
{
    (void)state;
    struct group *g = group_new(3);
    struct group_snapshot s = { .from = 1, .slot = 20, .slot_term = 3, .term = 4 };
    s.membership = (struct membership_at){ .slot = 12, .members = { .voters = 0x0f } };
    group_offer(g, 0, &s);
    const struct raft *r = group_raft(g, 0);
    assert_int_equal(r->members.slot, 12);
    assert_int_equal(r->members.members.voters, 0x0f);
    struct raft_append m = { .term = 4, .prev_slot = 20, .prev_term = 3, .commit = 20 };
    group_deliver(g, 1, 0, RAFT_APPEND, &m, 21, 25, 4);
    m = (struct raft_append){ .term = 5, .prev_slot = 20, .prev_term = 3, .commit = 20 };
    group_deliver(g, 2, 0, RAFT_APPEND, &m, 21, 22, 5); /* drops them */
    assert_int_equal(r->members.slot, 12);
    group_settle(g);
    group_restart(g, 0, true);
    assert_int_equal(r->members.members.voters, 0x0f);
    group_free(g);
}

/* S2: to know that a slot is committed is to know it as of a term. The node would else agree with
 * the leader of an earlier term about what that one lacks. */
static void test_an_offer_brings_the_term_in_which_it_was_committed(void **state)
{
    (void)state;
    struct group *g = group_new(5);
    struct raft_append m = { .term = 4, .prev_slot = 3, .prev_term = 2 };
    struct raft_append first = { .term = 4, .prev_slot = 0, .commit = 3 };
    group_deliver(g, 0, 1, RAFT_APPEND, &first, 1, 4, 2);
    group_settle(g);
    group_lose_mail(g);
    offer(g, 1, 4, 3, 5);
    assert_int_equal(group_raft(g, 1)->term, 5);
    group_deliver(g, 0, 1, RAFT_APPEND, &m, 4, 5, 4);
    group_sync(g, 1);
    assert_null(group_sent(g, 1, 0, RAFT_APPEND_ACK));
    assert_int_equal(group_sent(g, 1, 0, RAFT_STALE)->body.stale.term, 5);
    group_free(g);
}

/* The same when the state record was lost with the power and the checkpoint was not. */
static void test_a_start_is_in_the_term_of_its_checkpoint(void **state)
{
    (void)state;
    struct group *g = group_new(3);
    offer(g, 0, 20, 3, 6);
    group_settle(g);
    group_crash(g, 0);
    g->node[0].disk.state = (struct raft_hard_state){ .term = 4, .vote = 1 };
    group_restart(g, 0, true);
    assert_int_equal(group_raft(g, 0)->term, 6);
    assert_int_equal(group_raft(g, 0)->vote, NODE_NONE);
    group_free(g);
}

/* S6: a candidate that installs has another log than the one that it campaigns with. */
static void test_a_candidate_that_installs_is_no_candidate(void **state)
{
    (void)state;
    struct group *g = group_new(3);
    struct raft_append m = { .term = 4, .prev_slot = 0, .commit = 3 };
    group_deliver(g, 1, 0, RAFT_APPEND, &m, 1, 40, 2);
    group_settle(g);
    group_lose_mail(g);
    group_time_out(g, 0);
    struct raft_prevote_reply yes = { .term = 5, .granted = true };
    group_deliver(g, 1, 0, RAFT_PREVOTE_REPLY, &yes, 0, 0, 0);
    assert_int_equal(group_raft(g, 0)->phase, PHASE_CANDIDATE);
    group_sync(g, 0);
    offer(g, 0, 20, 3, 4);
    assert_int_equal(group_raft(g, 0)->phase, PHASE_FOLLOWER);
    struct raft_vote_reply vote = { .term = 5, .granted = true };
    group_deliver(g, 1, 0, RAFT_VOTE_REPLY, &vote, 0, 0, 0);
    assert_int_equal(group_raft(g, 0)->phase, PHASE_FOLLOWER);
    group_free(g);
}

/* T3: the trail knows so many terms and no more. Who was away for longer is brought a snapshot,
 * although the log may still hold what it lacks. */
static void test_who_was_away_for_more_terms_than_a_trail_holds(void **state)
{
    (void)state;
    struct group *g = group_new(3);
    group_elect(g, 0);
    g->node[2].cut = true;
    for (uint32_t i = 0; i < TRAIL_RUNS + 20; i++) {
        group_raft(g, i % 2)->leader_closed = group_raft(g, 1 - i % 2)->leader_closed = true;
        group_raft(g, i % 2)->checkpoint = group_raft(g, i % 2)->trail.last_slot; /* X7 */
        group_admin(g, i % 2, ADMIN_TRANSFER, 1 - i % 2);
        group_elapse(g, 30 * QR_MILLISECOND);
        group_raft(g, i % 2)->checkpoint = 0;
        g->node[0].note_count = g->node[1].note_count = 0;
    }
    node_index leader = group_raft(g, 0)->phase == PHASE_LEADER ? 0 : 1;
    assert_true(group_raft(g, leader)->trail.base_slot > 1);
    assert_int_equal(group_raft(g, leader)->trimmed, 0);
    g->node[2].cut = false;
    group_elapse(g, 2 * QR_SECOND);
    leader = group_raft(g, 0)->phase == PHASE_LEADER ? 0 : 1;
    const struct group_note *wanted = last_note(g, leader, EFFECT_SNAPSHOT);
    assert_non_null(wanted);
    assert_true(wanted->slot <= g->node[leader].applied);
    group_bring_snapshot(g, leader, 2);
    group_elapse(g, 100 * QR_MILLISECOND);
    assert_int_equal(g->node[2].applied, group_raft(g, leader)->trail.last_slot);
    group_free(g);
}

/* A follower whose trail is full of terms that it does not know to be committed: the message that
 * brings another term says that they are, or takes some of them back. */
static void test_a_full_trail_takes_what_makes_room(void **state)
{
    (void)state;
    for (int contradicts = 0; contradicts < 2; contradicts++) {
        struct group *g = group_new(3);
        for (qr_term term = 1; term <= TRAIL_RUNS; term++) {
            group_disk_append(g, 0, term, 1);
        }
        group_disk_state(g, 0, TRAIL_RUNS, NODE_NONE);
        group_restart(g, 0, true);
        qr_slot prev = contradicts ? 100 : TRAIL_RUNS;
        struct raft_append m = { .term = 200, .prev_slot = prev, .prev_term = prev };
        if (!contradicts) {
            group_deliver(g, 1, 0, RAFT_APPEND, &m, prev + 1, prev + 2, 200);
            assert_int_equal(group_raft(g, 0)->trail.last_slot, prev); /* no room */
            m.commit = prev;
        }
        group_deliver(g, 1, 0, RAFT_APPEND, &m, prev + 1, prev + 2, 200);
        assert_int_equal(group_raft(g, 0)->trail.last_slot, prev + 1);
        assert_int_equal(trail_last_term(&group_raft(g, 0)->trail), 200);
        assert_int_equal(group_raft(g, 0)->commit, m.commit);
        group_free(g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scenario_24_the_vote_survives_an_installation_and_a_restart),
        cmocka_unit_test(test_l5_a_member_behind_the_trim_is_brought_a_snapshot_and_then_fed),
        cmocka_unit_test(test_a_silent_member_is_brought_nothing),
        cmocka_unit_test(test_a_lost_acknowledgement_of_an_installation_is_found_out),
        cmocka_unit_test(test_a_pinned_log_is_not_trimmed),
        cmocka_unit_test(test_scenario_22_what_begins_before_the_trim_is_taken_after_a_restart),
        cmocka_unit_test(test_scenario_54_a_log_is_replaced_while_writes_are_in_flight),
        cmocka_unit_test(test_scenario_54_a_crash_before_the_installation_is_durable),
        cmocka_unit_test(test_scenario_27_an_offer_that_cannot_be_right_changes_nothing),
        cmocka_unit_test(test_scenario_28_a_leader_installs_nothing),
        cmocka_unit_test(test_scenario_41_two_snapshots_shortly_after_one_another),
        cmocka_unit_test(test_scenario_58_a_checkpoint_begun_before_an_installation_trims_nothing),
        cmocka_unit_test(test_scenario_16_entries_behind_a_trim_are_replaced),
        cmocka_unit_test(test_scenario_17_a_start_behind_a_snapshot_with_an_empty_log),
        cmocka_unit_test(test_scenario_59_a_refusal_behind_an_installation),
        cmocka_unit_test(test_scenario_55_members_come_with_the_snapshot),
        cmocka_unit_test(test_an_offer_brings_the_term_in_which_it_was_committed),
        cmocka_unit_test(test_a_start_is_in_the_term_of_its_checkpoint),
        cmocka_unit_test(test_a_candidate_that_installs_is_no_candidate),
        cmocka_unit_test(test_a_full_trail_takes_what_makes_room),
        cmocka_unit_test(test_who_was_away_for_more_terms_than_a_trail_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
