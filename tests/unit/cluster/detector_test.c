/* When a node is suspected, by each failure detector (cluster/detector.h), as beats.h asks it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cluster/beats.h"

#define MS QR_MILLISECOND
#define PEER 1

static struct beats beats;
static qr_time now;
static uint32_t asked;

static void begin(enum detector_kind kind)
{
    struct detector_options options = {
        .kind = kind, .interval = 25 * MS, .silence = 300 * MS, .phi = 8, .deviation = 10 * MS
    };
    beats_init(&beats, &options);
    now = QR_SECOND;
    asked = 0;
    beats_connected(&beats, PEER, true, now);
}

static bool look(void)
{
    uint16_t to, up;
    (void)beats_turn(&beats, now, &to, &up);
    asked += to == 1u << PEER;
    return up == 1u << PEER;
}

/* Time passes without a word from it, until it is suspected or it has lasted for so long. */
static qr_time silence(qr_time most)
{
    qr_time since = now;
    while (look() && now - since < most) {
        now += MS;
    }
    return now - since;
}

/* It speaks every so often, for a while; whether it is trusted all the time. */
static bool speak(qr_time every, qr_time span)
{
    bool up = true;
    for (qr_time from = now; now - from < span; now += MS) {
        if ((now - from) % every == 0) {
            beats_heard(&beats, PEER, now);
        }
        up = look() && up;
    }
    beats_heard(&beats, PEER, now);
    return look() && up;
}

/* --- F1 -------------------------------------------------------------------------------------- */

static void ping_suspects_who_has_not_answered_in_time_F1(void **state)
{
    (void)state;
    begin(DETECTOR_PING);
    assert_true(speak(20 * MS, QR_SECOND));
    qr_time time = silence(QR_SECOND);
    assert_in_range(time, 300 * MS, 325 * MS); /* from the first question behind the last word */
    assert_false(look());
    beats_heard(&beats, PEER, now);
    assert_true(look());
}

static void ping_asks_at_every_interval_whatever_else_went_there(void **state)
{
    (void)state;
    begin(DETECTOR_PING);
    for (int i = 0; i < 1000; i++, now += MS) {
        beats_sent(&beats, PEER, now);
        beats_heard(&beats, PEER, now);
        (void)look();
    }
    assert_int_equal(asked, 39);
    begin(DETECTOR_PING);
    now += 10 * MS;
    beats_sent(&beats, PEER, now);
    uint16_t to, up;
    assert_int_equal(beats_turn(&beats, now, &to, &up), now + 15 * MS);
    assert_int_equal(to, 0);
}

static void heartbeat_and_phi_ask_only_where_nothing_else_went(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        begin(kind == 0 ? DETECTOR_HEARTBEAT : DETECTOR_PHI);
        for (int i = 0; i < 100; i++, now += MS) {
            beats_sent(&beats, PEER, now);
            (void)look();
        }
        assert_int_equal(asked, 0);
    }
}

/* A word that came before the question is no answer. */
static void ping_counts_from_the_first_question_without_an_answer(void **state)
{
    (void)state;
    begin(DETECTOR_PING);
    beats_heard(&beats, PEER, now + 24 * MS);
    now += 25 * MS;
    assert_true(look()); /* the first question */
    qr_time first = now;
    now += 25 * MS;
    assert_true(look()); /* the second one */
    now = first + 299 * MS;
    while (beats.looked < now - 25 * MS) {
        qr_time until = now;
        now = beats.looked + 25 * MS;
        assert_true(look());
        now = until;
    }
    assert_true(look());
    now = first + 300 * MS;
    assert_false(look());
    begin(DETECTOR_PING);
    now += 25 * MS;
    (void)look();
    beats_heard(&beats, PEER, now); /* at the same time: it had not arrived yet */
    (void)look();
    assert_int_equal(beats.detector.unanswered[PEER], now);
    beats_heard(&beats, PEER, now + 1);
    (void)look();
    assert_int_equal(beats.detector.unanswered[PEER], QR_NEVER);
}

/* B2: while this node stood still, answers lay unread. */
static void ping_forgives_what_was_not_read(void **state)
{
    (void)state;
    begin(DETECTOR_PING);
    assert_true(speak(20 * MS, 500 * MS));
    now += 30 * MS;
    assert_true(look());                                              /* asks */
    qr_time waited = now - beats.detector.unanswered[PEER] + 25 * MS; /* one interval has passed */
    now += 8000 * MS;
    assert_true(look());
    assert_int_equal(silence(QR_SECOND), 300 * MS - waited);
}

static void questions_of_another_connection_are_forgotten(void **state)
{
    (void)state;
    begin(DETECTOR_PING);
    (void)silence(200 * MS);
    beats_lost(&beats, PEER);
    now += 90 * MS;
    beats_connected(&beats, PEER, true, now);
    assert_in_range(silence(QR_SECOND), 300 * MS, 326 * MS);
}

/* --- F2 -------------------------------------------------------------------------------------- */

static void heartbeat_suspects_who_is_silent_F2(void **state)
{
    (void)state;
    begin(DETECTOR_HEARTBEAT);
    assert_true(speak(25 * MS, QR_SECOND));
    assert_int_equal(silence(QR_SECOND), 300 * MS);
    assert_int_equal(detector_timeout(&beats.detector, PEER), 300 * MS);
}

/* --- F3: phi --------------------------------------------------------------------------------- */

static void phi_waits_for_the_time_out_until_it_knows_more(void **state)
{
    (void)state;
    begin(DETECTOR_PHI);
    assert_true(speak(25 * MS, 300 * MS));
    assert_int_equal(silence(QR_SECOND), 300 * MS);
}

static void phi_suspects_soon_who_is_regular(void **state)
{
    (void)state;
    begin(DETECTOR_PHI);
    assert_true(speak(25 * MS, 2 * QR_SECOND));
    assert_int_equal(detector_timeout(&beats.detector, PEER), 25 * MS + 56130);
    assert_int_equal(silence(QR_SECOND), 82 * MS);
}

static void phi_waits_longer_for_who_is_irregular(void **state)
{
    (void)state;
    begin(DETECTOR_PHI);
    for (int i = 0; i < 60; i++) {
        assert_true(speak(25 * MS, 200 * MS));
        (void)silence(80 * MS);
    }
    qr_time learned = detector_timeout(&beats.detector, PEER);
    assert_in_range(learned, 120 * MS, 250 * MS);
    assert_true(speak(25 * MS, 20 * QR_SECOND)); /* W1: and follows when that is over */
    assert_int_equal(detector_timeout(&beats.detector, PEER), 25 * MS + 56130);
}

/* D3: a node under load is heard a thousand times a second; then the load ends. */
static void traffic_that_ceases_is_no_failure(void **state)
{
    (void)state;
    begin(DETECTOR_PHI);
    assert_true(speak(1 * MS, 3 * QR_SECOND));
    assert_in_range(phi_mean(&beats.detector.window[PEER]), 25 * MS, 25 * MS);
    assert_true(speak(25 * MS, 3 * QR_SECOND));
}

/* One in each interval: 100 words in it are no 100 samples. */
static void one_sample_an_interval(void **state)
{
    (void)state;
    begin(DETECTOR_PHI);
    assert_true(speak(1 * MS, 1000 * MS));
    assert_int_equal(beats.detector.window[PEER].count, 40);
    begin(DETECTOR_PHI);
    for (int i = 0; i < 20; i++) {
        assert_true(speak(5 * MS, 30 * MS));
        (void)silence(50 * MS); /* the longest of those between two samples counts */
    }
    assert_in_range(phi_mean(&beats.detector.window[PEER]), 37 * MS, 40 * MS);
}

/* D3: it was cut for a minute; that is no silence to be waited for. */
static void what_is_learnt_and_waited_for_is_bounded(void **state)
{
    (void)state;
    begin(DETECTOR_PHI);
    assert_true(speak(25 * MS, QR_SECOND));
    for (int i = 0; i < 20; i++) {
        for (int k = 0; k < 2400; k++, now += 25 * MS) {
            (void)look();
        }
        beats_heard(&beats, PEER, now);
        assert_true(look());
    }
    const struct phi_window *w = &beats.detector.window[PEER];
    assert_int_equal(w->gap[(w->next + PHI_WINDOW - 1) % PHI_WINDOW], 1200 * MS);
    assert_int_equal(detector_timeout(&beats.detector, PEER), 1200 * MS);
    assert_int_equal(silence(3 * QR_SECOND), 1200 * MS);
}

/* B2: a silence in which this node itself stood still is no sample. */
static void own_stops_are_not_learnt(void **state)
{
    (void)state;
    begin(DETECTOR_PHI);
    for (int i = 0; i < 20; i++) {
        assert_true(speak(25 * MS, 500 * MS));
        now += 8000 * MS;
        if (i % 2 == 0) {
            beats_heard(&beats, PEER, now); /* what lay there is read before it looks */
        }
        assert_true(look());
    }
    assert_int_equal(detector_timeout(&beats.detector, PEER), 25 * MS + 56130);
}

static void a_new_connection_begins_anew(void **state)
{
    (void)state;
    begin(DETECTOR_PHI);
    assert_true(speak(25 * MS, 2 * QR_SECOND));
    beats_lost(&beats, PEER);
    now += 60 * QR_SECOND;
    beats_connected(&beats, PEER, true, now);
    assert_int_equal(detector_timeout(&beats.detector, PEER), 300 * MS);
    assert_true(speak(25 * MS, 2 * QR_SECOND));
    beats_lost(&beats, PEER);
    for (int i = 0; i < 40; i++, now += 25 * MS) {
        (void)look();
    }
    beats_connected(&beats, PEER, true, now - 20 * MS);
    beats_heard(&beats, PEER, now + 10 * MS);
    now += 20 * MS;
    (void)look();
    assert_int_equal(phi_mean(&beats.detector.window[PEER]), 30 * MS); /* of this one alone */
    assert_true(speak(25 * MS, 20 * QR_SECOND));
    assert_int_equal(detector_timeout(&beats.detector, PEER), 25 * MS + 56130);
}

/* --- D4, B4 ---------------------------------------------------------------------------------- */

static void each_suspects_who_is_silent_for_ever_F4(void **state)
{
    (void)state;
    for (int kind = DETECTOR_HEARTBEAT; kind <= DETECTOR_PHI; kind++) {
        for (qr_time every = 5 * MS; every <= 95 * MS; every += 15 * MS) {
            begin((enum detector_kind)kind);
            (void)speak(every, 1200 * MS);
            assert_in_range(silence(10 * QR_SECOND), 1, 1500 * MS);
        }
    }
}

static void no_detector_suspects_who_does_not_beat(void **state)
{
    (void)state;
    for (int kind = DETECTOR_HEARTBEAT; kind <= DETECTOR_PHI; kind++) {
        begin((enum detector_kind)kind);
        beats_connected(&beats, PEER, false, now);
        assert_int_equal(silence(3 * QR_SECOND), 3 * QR_SECOND);
        assert_int_equal(asked, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ping_suspects_who_has_not_answered_in_time_F1),
        cmocka_unit_test(ping_asks_at_every_interval_whatever_else_went_there),
        cmocka_unit_test(heartbeat_and_phi_ask_only_where_nothing_else_went),
        cmocka_unit_test(ping_counts_from_the_first_question_without_an_answer),
        cmocka_unit_test(ping_forgives_what_was_not_read),
        cmocka_unit_test(questions_of_another_connection_are_forgotten),
        cmocka_unit_test(heartbeat_suspects_who_is_silent_F2),
        cmocka_unit_test(phi_waits_for_the_time_out_until_it_knows_more),
        cmocka_unit_test(phi_suspects_soon_who_is_regular),
        cmocka_unit_test(phi_waits_longer_for_who_is_irregular),
        cmocka_unit_test(traffic_that_ceases_is_no_failure),
        cmocka_unit_test(one_sample_an_interval),
        cmocka_unit_test(what_is_learnt_and_waited_for_is_bounded),
        cmocka_unit_test(own_stops_are_not_learnt),
        cmocka_unit_test(a_new_connection_begins_anew),
        cmocka_unit_test(each_suspects_who_is_silent_for_ever_F4),
        cmocka_unit_test(no_detector_suspects_who_does_not_beat),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
