/* Linearizable reads at those who do not lead (ask.c; dissertation 6.4, end): "Followers can help
 * offload the processing of read-only queries [...] the follower could issue a request to the
 * leader that just asked for a current readIndex". One test for each rule. */
#include "tests/paper/paper.h"

static uint64_t asked(struct group *g, node_index from)
{
    const struct mail *m = group_sent(g, from, 0, RAFT_READ_ASK);
    assert_non_null(m);
    return m->body.read_ask.number;
}

static void answer(struct group *g, node_index to, uint64_t number, qr_slot slot)
{
    struct raft_read_at m = { .term = group_raft(g, 0)->term, .number = number, .slot = slot };
    group_deliver(g, 0, to, RAFT_READ_AT, &m, 0, 0, 0);
}

static const struct group_note *served(struct group *g, node_index i, qr_req read)
{
    return group_noted(g, i, EFFECT_READ, read);
}

static bool refused(struct group *g, node_index i, qr_req read)
{
    return group_answer(g, i, read) == STATUS_NOT_LEADER;
}

/* --- What it shows
 * ------------------------------------------------------------------------------------ */

/* An entry is acknowledged, and the follower that holds it does not know yet: the slot is the
 * leader's, and what is told is known from then on. */
static void test_the_slot_is_the_leaders_commit_index(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(3, 3);
    group_submit(g, 0, 2);
    group_settle(g);
    group_lose_mail(g);
    assert_int_equal(group_raft(g, 0)->commit, 3);
    assert_int_equal(group_raft(g, 1)->commit, 1);

    qr_req read = group_read(g, 1, 2);
    assert_null(served(g, 1, read));
    group_deliver_one(g, 1, 0, RAFT_READ_ASK);
    group_deliver_one(g, 0, 2, RAFT_HEARTBEAT);
    group_deliver_one(g, 2, 0, RAFT_HEARTBEAT_ACK);
    group_deliver_one(g, 0, 1, RAFT_READ_AT);

    assert_int_equal(served(g, 1, read + 1)->slot, 3);
    assert_int_equal(served(g, 1, read)->before, 0);
    assert_int_equal(served(g, 1, read)->applied, 1); /* said before what it has to wait for */
    assert_int_equal(g->node[1].applied, 3);
    group_free(g);
}

/* The answer overtakes the entries, which left before the leader knew that they are committed. */
static void test_R5_what_is_told_counts_when_the_entries_come_scenario_76(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(3, 3);
    group_submit(g, 0, 2);
    qr_req read = group_read(g, 1, 1);
    group_sync(g, 0);
    group_deliver_one(g, 0, 2, RAFT_APPEND);
    group_sync(g, 2);
    group_deliver_one(g, 2, 0, RAFT_APPEND_ACK);
    assert_int_equal(group_raft(g, 0)->commit, 3);
    group_deliver_one(g, 1, 0, RAFT_READ_ASK);
    group_deliver_one(g, 0, 2, RAFT_HEARTBEAT);
    group_deliver_one(g, 2, 0, RAFT_HEARTBEAT_ACK);
    group_deliver_one(g, 0, 1, RAFT_READ_AT);
    assert_int_equal(served(g, 1, read)->slot, 3);
    assert_int_equal(group_raft(g, 1)->commit, 1);

    group_deliver_one(g, 0, 1, RAFT_APPEND);

    assert_int_equal(g->node[1].applied, 3);
    group_free(g);
}

/* No entry that differs from the leader's is called committed by what it told. */
static void test_R5_only_what_equals_the_leaders_log_is_committed(void **state)
{
    (void)state;
    struct group *g = group_new(3);
    REFILL(g, 1, 1, 1, 1, 1);
    struct raft_heartbeat beat = { .term = 2 };
    group_deliver(g, 0, 1, RAFT_HEARTBEAT, &beat, 0, 0, 0);
    qr_req read = group_read(g, 1, 1);
    struct raft_read_at m = { .term = 2, .number = asked(g, 1), .slot = 3 };
    group_deliver(g, 0, 1, RAFT_READ_AT, &m, 0, 0, 0);
    assert_int_equal(served(g, 1, read)->slot, 3);
    assert_int_equal(group_raft(g, 1)->commit, 0);

    struct raft_append append = append_of(2, 1, 1, 0);
    group_deliver(g, 0, 1, RAFT_APPEND, &append, 2, 4, 2);

    ASSERT_LOG(g, 1, 1, 2, 2);
    assert_int_equal(group_raft(g, 1)->commit, 3);
    group_free(g);
}

/* Learners and observers hear the leader like anyone. */
static void test_who_does_not_vote_asks_too(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(5, 3);
    group_change(g, 0, (struct membership){ .voters = 7, .observers = 24 }, false);
    group_elapse(g, 100 * QR_MILLISECOND);
    for (node_index i = 3; i < 5; i++) {
        qr_req read = group_read(g, i, 1);
        group_settle(g);
        assert_int_equal(served(g, i, read)->slot, group_raft(g, 0)->commit);
    }
    group_free(g);
}

/* --- What an answer proves
 * ------------------------------------------------------------------------------- */

/* Answers to heartbeats that left before the ask came prove nothing (6.4 step 3). */
static void test_R3_the_round_begins_behind_the_ask(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(3, 3);
    g->now = group_raft(g, 0)->heartbeat_due;
    group_timer(g, 0);
    group_deliver_one(g, 0, 1, RAFT_HEARTBEAT);
    group_deliver_one(g, 0, 2, RAFT_HEARTBEAT);
    group_read(g, 1, 1);
    group_deliver_one(g, 1, 0, RAFT_READ_ASK);

    group_deliver_one(g, 1, 0, RAFT_HEARTBEAT_ACK);
    group_deliver_one(g, 2, 0, RAFT_HEARTBEAT_ACK);
    assert_null(group_sent(g, 0, 1, RAFT_READ_AT));
    group_deliver_one(g, 0, 2, RAFT_HEARTBEAT);
    group_deliver_one(g, 2, 0, RAFT_HEARTBEAT_ACK);

    assert_non_null(group_sent(g, 0, 1, RAFT_READ_AT));
    group_free(g);
}

/* etcd's issue 20418: the leader answers one copy of an ask, and answers to that round's
 * heartbeats are on their way when another copy comes. */
static void test_R3_each_copy_of_an_ask_has_a_round_of_its_own(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(5, 5);
    group_read(g, 1, 1);
    struct raft_read_ask copy = { .term = 1, .number = asked(g, 1) };
    group_deliver_one(g, 1, 0, RAFT_READ_ASK);
    for (node_index i = 1; i < 5; i++) {
        group_deliver_one(g, 0, i, RAFT_HEARTBEAT);
    }
    group_deliver_one(g, 1, 0, RAFT_HEARTBEAT_ACK);
    group_deliver_one(g, 2, 0, RAFT_HEARTBEAT_ACK);
    group_deliver_one(g, 0, 1, RAFT_READ_AT);

    group_deliver(g, 1, 0, RAFT_READ_ASK, &copy, 0, 0, 0);
    group_deliver_one(g, 3, 0, RAFT_HEARTBEAT_ACK); /* late */
    group_deliver_one(g, 4, 0, RAFT_HEARTBEAT_ACK);

    assert_null(group_sent(g, 0, 1, RAFT_READ_AT));
    group_free(g);
}

/* A leader that was replaced without knowing it answers nobody, who may not know it either. */
static void test_R3_a_replaced_leader_answers_nobody(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(5, 5);
    g->island = 1u << 0 | 1u << 1;
    for (node_index i = 2; i < 5; i++) {
        group_peer(g, i, 0, false);
    }
    group_elect(g, 2);
    group_submit(g, 2, 1);
    group_settle(g);
    assert_int_equal(group_raft(g, 0)->phase, PHASE_LEADER);

    qr_req read = group_read(g, 1, 1);
    group_settle(g);
    assert_null(served(g, 1, read));
    g->island = 0;
    group_elapse(g, 100 * QR_MILLISECOND);

    assert_null(served(g, 1, read));
    assert_true(refused(g, 1, read));
    group_free(g);
}

/* 6.4 step 1: before an entry of its term is committed the leader does not know what is. */
static void test_an_ask_waits_for_an_entry_of_the_term(void **state)
{
    (void)state;
    struct group *g = group_new(3);
    group_time_out(g, 0);
    while (group_raft(g, 0)->phase != PHASE_LEADER) {
        group_sync(g, 0);
        group_sync(g, 1);
        group_deliver_one(g, 0, 1, RAFT_PREVOTE);
        group_deliver_one(g, 1, 0, RAFT_PREVOTE_REPLY);
        group_deliver_one(g, 0, 1, RAFT_VOTE);
        group_deliver_one(g, 1, 0, RAFT_VOTE_REPLY);
    }
    group_deliver_one(g, 0, 1, RAFT_HEARTBEAT);
    qr_req read = group_read(g, 1, 1);
    group_deliver_one(g, 1, 0, RAFT_READ_ASK);
    struct raft_heartbeat_ack echo = { .term = 1, .round = group_raft(g, 0)->round };
    group_deliver(g, 1, 0, RAFT_HEARTBEAT_ACK, &echo, 0, 0, 0);
    assert_null(group_sent(g, 0, 1, RAFT_READ_AT));
    group_settle(g);

    assert_int_equal(served(g, 1, read)->slot, 1);
    group_free(g);
}

/* Under a lease the leader answers at once; without a valid one the ask takes a round. */
static void test_a_lease_answers_an_ask(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(3, 3);
    group_admin(g, 0, ADMIN_READ_MODE, READ_MODE_LEASE);
    group_elapse(g, 30 * QR_MILLISECOND);
    qr_time given = group_raft(g, 0)->lease_given;
    group_read(g, 1, 1);
    group_deliver_one(g, 1, 0, RAFT_READ_ASK);
    assert_non_null(group_sent(g, 0, 1, RAFT_READ_AT));
    assert_null(group_sent(g, 0, 1, RAFT_HEARTBEAT));
    assert_int_equal(group_raft(g, 0)->lease_given, given); /* no hand-over waits for it */
    group_settle(g);

    g->now += 100 * QR_MILLISECOND;
    group_read(g, 2, 1);
    group_deliver_one(g, 2, 0, RAFT_READ_ASK);
    assert_null(group_sent(g, 0, 2, RAFT_READ_AT));
    assert_non_null(group_sent(g, 0, 1, RAFT_HEARTBEAT));
    group_free(g);
}

/* --- Sharing, and bounds
 * ------------------------------------------------------------------------------ */

/* What arrives while an ask is on its way may have come after the leader heard it. */
static void test_R1_reads_that_come_meanwhile_share_the_next_ask(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(3, 3);
    qr_req first = group_read(g, 1, 1);
    uint64_t number = asked(g, 1);
    qr_req others[10];
    for (int i = 0; i < 10; i++) {
        others[i] = group_read(g, 1, 2);
        g->node[1].next_req += (qr_req)(i % 2); /* not all in a row */
    }
    assert_int_equal(group_count(g, RAFT_READ_ASK), 1);
    group_lose(g, 1, 0, RAFT_READ_ASK);

    answer(g, 1, number, 1);
    assert_non_null(served(g, 1, first));
    assert_null(served(g, 1, others[0]));
    assert_int_equal(group_count(g, RAFT_READ_ASK), 1);
    assert_int_not_equal(asked(g, 1), number);
    answer(g, 1, number, 1); /* once more */
    assert_null(served(g, 1, others[0]));
    group_settle(g);

    for (int i = 0; i < 10; i++) {
        assert_non_null(served(g, 1, others[i] + 1));
    }
    assert_int_equal(group_count(g, RAFT_READ_ASK), 0);
    group_free(g);
}

/* Asks of many followers and the leader's own reads share rounds. */
static void test_asks_share_rounds_with_reads(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(5, 5);
    qr_req own = group_read(g, 0, 1);
    for (node_index i = 1; i < 5; i++) {
        group_read(g, i, 1);
        group_deliver_one(g, i, 0, RAFT_READ_ASK);
    }
    assert_int_equal(group_count(g, RAFT_HEARTBEAT), 4);
    for (node_index i = 1; i < 3; i++) {
        group_deliver_one(g, 0, i, RAFT_HEARTBEAT);
        group_deliver_one(g, i, 0, RAFT_HEARTBEAT_ACK);
    }
    assert_non_null(served(g, 0, own));
    assert_int_equal(group_count(g, RAFT_HEARTBEAT), 6); /* two were not taken, four are new */
    assert_int_equal(group_count(g, RAFT_READ_AT), 0);
    group_settle(g);
    for (node_index i = 1; i < 5; i++) {
        assert_non_null(served(g, i, 1));
    }
    group_free(g);
}

/* Both are bounded: the follower's driver hears of it by outlook().room, and a leader without room
 * takes no ask, which comes again. */
static void test_waiting_reads_and_asks_are_bounded(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(3, 3);
    struct outlook o;
    for (node_index i = 0; i < 2; i++) {
        for (uint32_t k = 0; k < READ_RANGES; k++) {
            raft_protocol.outlook(group_raft(g, i), &o);
            assert_true(o.room > 0);
            group_read(g, i, 1);
            g->node[i].next_req++;
        }
        raft_protocol.outlook(group_raft(g, i), &o);
        assert_int_equal(o.room, 0);
    }
    qr_req excess = group_read(g, 1, 1);
    assert_int_equal(group_answer(g, 1, excess), STATUS_OVERLOADED);
    group_deliver_one(g, 1, 0, RAFT_READ_ASK); /* no room */
    group_settle(g);
    assert_null(served(g, 1, 1));

    group_elapse(g, 30 * QR_MILLISECOND); /* asked again */

    for (qr_req read = 1; read < 2 * READ_RANGES; read += 2) {
        assert_non_null(served(g, 0, read));
        assert_non_null(served(g, 1, read));
    }
    raft_protocol.outlook(group_raft(g, 1), &o);
    assert_true(o.room > 0);
    group_free(g);
}

/* --- Lost, late, of another time
 * ------------------------------------------------------------------- */

/* An ask without an answer is sent again, under its number: an answer to the first copy counts. */
static void test_R1_a_lost_ask_is_sent_again_under_its_number(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(3, 3);
    qr_req read = group_read(g, 1, 1);
    uint64_t number = asked(g, 1);
    group_lose(g, 1, 0, RAFT_READ_ASK);
    assert_int_equal(raft_protocol.deadline(group_raft(g, 1)), g->now + g->limits.heartbeat);
    g->now += g->limits.heartbeat;
    group_timer(g, 1);
    assert_int_equal(asked(g, 1), number);
    group_deliver_one(g, 1, 0, RAFT_READ_ASK);
    struct raft_read_ask copy = { .term = 1, .number = number };
    group_deliver(g, 1, 0, RAFT_READ_ASK, &copy, 0, 0, 0); /* a duplicate delays nothing */
    group_deliver_one(g, 0, 2, RAFT_HEARTBEAT);
    group_deliver_one(g, 2, 0, RAFT_HEARTBEAT_ACK);
    group_deliver_one(g, 0, 1, RAFT_READ_AT);

    assert_non_null(served(g, 1, read));
    group_free(g);
}

/* Of one follower only the latest ask waits. */
static void test_a_later_ask_replaces_an_earlier_one(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(3, 3);
    for (uint64_t number = 7; number > 4; number--) {
        struct raft_read_ask m = { .term = 1, .number = number };
        group_deliver(g, 1, 0, RAFT_READ_ASK, &m, 0, 0, 0);
        group_deliver(g, 2, 0, RAFT_READ_ASK, &m, 0, 0, 0);
    }
    assert_int_equal(group_raft(g, 0)->read_count, 2);
    group_settle(g);
    assert_int_equal(g->node[1].point_count[POINT_ANSWER_LATE], 1);
    group_free(g);
}

/* Answers to the asks of an earlier life are for reads that are gone. */
static void test_R2_no_number_of_an_earlier_life_comes_again(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(3, 3);
    group_read(g, 1, 1);
    uint64_t before = asked(g, 1);
    struct raft_read_at late = { .term = 1, .number = before, .slot = 1 };
    group_restart(g, 1, false); /* at the same moment, with the same requests */
    group_lose_mail(g);
    struct raft_heartbeat beat = { .term = 1 };
    group_deliver(g, 0, 1, RAFT_HEARTBEAT, &beat, 0, 0, 0);
    qr_req read = group_read(g, 1, 1);
    assert_int_not_equal(asked(g, 1), before);

    group_deliver(g, 0, 1, RAFT_READ_AT, &late, 0, 0, 0);

    assert_null(served(g, 1, read));
    assert_int_equal(g->node[1].point_count[POINT_ANSWER_LATE], 1);
    group_free(g);
}

/* Lives begin at different places when their seeds differ, or their clocks. */
static void test_R2_seed_and_clock_tell_lives_apart(void **state)
{
    (void)state;
    struct group *g = group_new(1);
    uint64_t begun[3];
    for (uint32_t i = 0; i < 3; i++) {
        struct raft *r = group_raft(g, 0);
        struct event start = { .kind = EVENT_START, .now = i == 1 ? 2 : 1 };
        memset(r, 0, sizeof *r);
        raft_protocol.init(r, &g->limits, 0, i == 2 ? 6 : 5);
        g->node[0].out.n = 0;
        g->node[0].out.scratch_n = 0;
        raft_protocol.step(r, &start, &g->node[0].out);
        begun[i] = r->asked;
    }
    assert_int_not_equal(begun[0], begun[1]);
    assert_int_not_equal(begun[0], begun[2]);
    group_free(g);
}

/* --- Without a leader
 * -------------------------------------------------------------------------------- */

static void test_R4_without_a_leader_reads_are_refused(void **state)
{
    (void)state;
    struct group *g = group_new(4);
    assert_true(refused(g, 1, group_read(g, 1, 3)));
    group_free(g);

    g = group_led_by_0(4, 3);
    assert_true(refused(g, 3, group_read(g, 3, 1))); /* no member */
    struct raft_read_ask ask = { .term = 1, .number = 7 };
    group_deliver(g, 3, 0, RAFT_READ_ASK, &ask, 0, 0, 0);
    assert_int_equal(group_raft(g, 0)->read_count, 0);
    group_peer(g, 1, 0, false);
    assert_true(refused(g, 1, group_read(g, 1, 1)));
    g->now += g->limits.election;
    assert_true(refused(g, 2, group_read(g, 2, 1))); /* not heard for long */
    group_free(g);
}

/* D2: what waits is refused when the leader is lost or another. */
static void test_R4_waiting_reads_end_with_the_leader(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(3, 3);
    qr_req one = group_read(g, 1, 1);
    group_peer(g, 1, 0, false);
    assert_true(refused(g, 1, one)); /* its connection is closed */

    struct raft_heartbeat again = { .term = 1 };
    group_deliver(g, 0, 1, RAFT_HEARTBEAT, &again, 0, 0, 0);
    qr_req two = group_read(g, 1, 1);
    struct raft_heartbeat other = { .term = 2 };
    group_deliver(g, 2, 1, RAFT_HEARTBEAT, &other, 0, 0, 0);
    assert_true(refused(g, 1, two)); /* another leads */
    assert_int_equal(group_raft(g, 1)->read_count, 0);

    qr_req three = group_read(g, 1, 1);
    uint64_t number = group_raft(g, 1)->asked;
    answer(g, 1, number, 1); /* of term 1, by who leads no more */
    assert_null(served(g, 1, three));
    group_raft(g, 1)->election_due = ++g->now;
    group_timer(g, 1); /* asks for pre-votes */
    assert_true(refused(g, 1, three));

    struct raft_heartbeat back = { .term = 2 };
    group_deliver(g, 2, 1, RAFT_HEARTBEAT, &back, 0, 0, 0);
    qr_req four = group_read(g, 1, 1);
    struct raft_timeout_now now = { .term = 2 };
    group_deliver(g, 2, 1, RAFT_TIMEOUT_NOW, &now, 0, 0, 0);
    assert_true(refused(g, 1, four)); /* it campaigns */
    group_free(g);
}

/* Who never campaigns waits for a silent leader no longer than others. */
static void test_R4_silence_ends_the_waiting_of_who_may_not_campaign(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(3, 3);
    group_admin(g, 1, ADMIN_STAND_BACK, 1);
    qr_req read = group_read(g, 1, 1);
    g->node[0].cut = true;
    for (uint32_t i = 0; i < 12; i++) {
        assert_false(refused(g, 1, read));
        g->now += g->limits.heartbeat;
        group_timer(g, 1);
    }
    g->now += g->limits.heartbeat;
    group_timer(g, 1);

    assert_true(refused(g, 1, read));
    assert_int_equal(raft_protocol.deadline(group_raft(g, 1)), QR_NEVER);
    group_free(g);
}

/* Who asks a node that has heard of a later term hears of it too, and waits no more. */
static void test_an_ask_of_an_older_term_is_told_the_term(void **state)
{
    (void)state;
    struct group *g = group_led_by_0(3, 3);
    qr_req read = group_read(g, 1, 1);
    struct raft_stale later = { .term = 5 };
    group_deliver(g, 2, 0, RAFT_STALE, &later, 0, 0, 0);
    group_deliver_one(g, 1, 0, RAFT_READ_ASK);
    assert_null(group_sent(g, 0, 1, RAFT_STALE)); /* not before the term is durable */
    group_sync(g, 0);
    group_deliver_one(g, 0, 1, RAFT_STALE);

    assert_true(refused(g, 1, read));
    assert_int_equal(group_raft(g, 1)->term, 5);
    group_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_slot_is_the_leaders_commit_index),
        cmocka_unit_test(test_R5_what_is_told_counts_when_the_entries_come_scenario_76),
        cmocka_unit_test(test_R5_only_what_equals_the_leaders_log_is_committed),
        cmocka_unit_test(test_who_does_not_vote_asks_too),
        cmocka_unit_test(test_R3_the_round_begins_behind_the_ask),
        cmocka_unit_test(test_R3_each_copy_of_an_ask_has_a_round_of_its_own),
        cmocka_unit_test(test_R3_a_replaced_leader_answers_nobody),
        cmocka_unit_test(test_an_ask_waits_for_an_entry_of_the_term),
        cmocka_unit_test(test_a_lease_answers_an_ask),
        cmocka_unit_test(test_R1_reads_that_come_meanwhile_share_the_next_ask),
        cmocka_unit_test(test_asks_share_rounds_with_reads),
        cmocka_unit_test(test_waiting_reads_and_asks_are_bounded),
        cmocka_unit_test(test_R1_a_lost_ask_is_sent_again_under_its_number),
        cmocka_unit_test(test_a_later_ask_replaces_an_earlier_one),
        cmocka_unit_test(test_R2_no_number_of_an_earlier_life_comes_again),
        cmocka_unit_test(test_R2_seed_and_clock_tell_lives_apart),
        cmocka_unit_test(test_R4_without_a_leader_reads_are_refused),
        cmocka_unit_test(test_R4_waiting_reads_end_with_the_leader),
        cmocka_unit_test(test_R4_silence_ends_the_waiting_of_who_may_not_campaign),
        cmocka_unit_test(test_an_ask_of_an_older_term_is_told_the_term),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
