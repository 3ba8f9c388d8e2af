/* The loop: turns, timers, signals, helper threads. */
#include "tests/unit/io/io_test.h"

#include <signal.h>
#include <unistd.h>

/* --- Timers --------------------------------------------------------------------------------- */

struct timers {
    struct io *io;
    char order[16];
    size_t n;
    qr_time due[3], fired[3];
    int turns;
};

struct numbered_timer {
    struct io_timer timer; /* first */
    int number;
};

static void note_fired(struct io_timer *timer)
{
    struct timers *t = timer->context;
    int number = ((struct numbered_timer *)timer)->number;
    t->fired[number] = io_now(t->io);
    t->order[t->n++] = (char)('a' + number);
    if (t->n == 3) {
        io_stop(t->io);
    }
}

static void count_turn(void *context)
{
    ((struct timers *)context)->turns++;
}

static void test_timers_fire_in_order_and_never_early(void **state)
{
    (void)state;
    struct timers t = { .io = io_new() };
    struct numbered_timer timers[3];
    qr_time start = io_now(t.io);
    const qr_time after[3] = { 30300, 10100, 20001 };
    for (int i = 0; i < 3; i++) {
        timers[i] = (struct numbered_timer){ { note_fired, &t, NULL }, i };
        t.due[i] = start + after[i];
        io_timer_start(t.io, &timers[i].timer, start + 5 * QR_SECOND);
        io_timer_start(t.io, &timers[i].timer, t.due[i]); /* the later start counts */
    }
    run_bounded(t.io, count_turn, &t);
    assert_string_equal(t.order, "bca");
    for (int i = 0; i < 3; i++) {
        assert_true(t.fired[i] >= t.due[i]);
        io_timer_free(&timers[i].timer);
        assert_null(timers[i].timer.impl);
    }
    /* Once at the start and once after each timer: an idle loop calls nobody. */
    assert_int_equal(t.turns, 4);
    io_free(t.io);
}

static void plain_or_not(struct io_timer *timer)
{
    struct timers *t = timer->context;
    int number = ((struct numbered_timer *)timer)->number;
    if (number == 0) {
        io_plain(t->io);
        io_plain(t->io); /* once is enough */
    }
}

static void note_special(void *context)
{
    struct timers *t = context;
    io_plain(t->io); /* out of a callback it says nothing of any */
    t->order[t->n++] = io_take_special(t->io) ? '!' : '.';
    io_plain(t->io);
    if (t->n == 4) {
        io_stop(t->io);
    }
}

static void test_a_turn_is_plain_when_all_of_its_callbacks_say_so(void **state)
{
    (void)state;
    struct timers t = { .io = io_new() };
    struct numbered_timer timers[3];
    qr_time start = io_now(t.io);
    for (int i = 0; i < 3; i++) {
        timers[i] = (struct numbered_timer){ { plain_or_not, &t, NULL }, i % 2 };
        io_timer_start(t.io, &timers[i].timer, start + (i + 1) * 20 * QR_MILLISECOND);
    }
    run_bounded(t.io, note_special, &t);
    assert_string_equal(t.order, "!.!."); /* the first turn of all has no callback */
    for (int i = 0; i < 3; i++) {
        io_timer_free(&timers[i].timer);
    }
    io_free(t.io);
}

static void test_a_stopped_timer_stays_silent(void **state)
{
    (void)state;
    struct timers t = { .io = io_new(), .n = 2 };
    struct numbered_timer stopped = { { note_fired, &t, NULL }, 0 };
    struct numbered_timer never = { { note_fired, &t, NULL }, 1 };
    struct numbered_timer last = { { note_fired, &t, NULL }, 2 };
    io_timer_start(t.io, &stopped.timer, io_now(t.io) + 1000);
    io_timer_start(t.io, &never.timer, io_now(t.io) + 1000);
    io_timer_start(t.io, &last.timer, io_now(t.io) + 10000);
    io_timer_stop(&stopped.timer);
    io_timer_start(t.io, &never.timer, QR_NEVER);
    run_bounded(t.io, NULL, NULL);
    assert_int_equal(t.order[2], 'c');
    io_timer_free(&stopped.timer);
    io_timer_free(&never.timer);
    io_timer_free(&last.timer);
    io_free(t.io);
}

/* A timer that is always due again must not keep the loop from its sockets and its turns. */
static void rearm_in_the_past(struct io_timer *timer)
{
    struct timers *t = timer->context;
    t->n++;
    io_timer_start(t->io, timer, 0);
}

static void stop_after_four_turns(void *context)
{
    struct timers *t = context;
    if (++t->turns == 4) {
        io_stop(t->io);
    }
}

static void test_a_timer_due_again_waits_for_the_next_turn(void **state)
{
    (void)state;
    struct timers t = { .io = io_new() };
    struct io_timer timer = { rearm_in_the_past, &t, NULL };
    io_timer_start(t.io, &timer, 0);
    run_bounded(t.io, stop_after_four_turns, &t);
    assert_int_equal(t.n, 4); /* once per turn */
    io_timer_free(&timer);
    io_free(t.io);
}

/* --- Signals -------------------------------------------------------------------------------- */

static void on_signal(void *context, int signal_number)
{
    assert_int_equal(signal_number, SIGUSR1);
    io_stop(context);
}

static void test_a_signal_arrives_as_a_callback(void **state)
{
    (void)state;
    struct io *io = io_new();
    assert_int_equal(io_on_signal(io, SIGUSR1, on_signal, io), 0);
    assert_true(io_on_signal(io, SIGKILL, on_signal, io) < 0);
    kill(getpid(), SIGUSR1);
    run_bounded(io, NULL, NULL);
    io_free(io);
}

/* --- Helper threads ------------------------------------------------------------------------- */

struct job {
    struct io *io;
    pid_t thread;
    bool done;
};

static void job_work(void *context)
{
    ((struct job *)context)->thread = gettid();
}

static void job_done(void *context)
{
    struct job *job = context;
    job->done = true;
    io_stop(job->io);
}

static void test_offloaded_work_runs_elsewhere_and_reports_here(void **state)
{
    (void)state;
    struct job job = { .io = io_new() };
    assert_int_equal(io_offload(job.io, job_work, job_done, &job), 0);
    run_bounded(job.io, NULL, NULL);
    assert_true(job.done);
    assert_int_not_equal(job.thread, 0);
    assert_int_not_equal(job.thread, gettid());
    io_free(job.io);
}

static void test_free_waits_for_offloaded_work(void **state)
{
    (void)state;
    struct job job = { .io = io_new() };
    assert_int_equal(io_offload(job.io, job_work, job_done, &job), 0);
    io_free(job.io);
    assert_true(job.done);
}

/* --- Clocks and chance ---------------------------------------------------------------------- */

static void test_clocks_and_chance(void **state)
{
    (void)state;
    struct io *io = io_new();
    qr_time before = io_now(io);
    assert_true(before > 0);
    assert_true(io_now(io) >= before);
    assert_true(io_wall(io) > 1600000000 * (qr_wall)1000000); /* microseconds, after 2020 */
    uint8_t a[1000] = { 0 }, b[1000] = { 0 };
    io_random(io, a, sizeof a);
    io_random(io, b, sizeof b);
    assert_memory_not_equal(a, b, sizeof a);
    io_free(io);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_timers_fire_in_order_and_never_early),
        cmocka_unit_test(test_a_turn_is_plain_when_all_of_its_callbacks_say_so),
        cmocka_unit_test(test_a_stopped_timer_stays_silent),
        cmocka_unit_test(test_a_timer_due_again_waits_for_the_next_turn),
        cmocka_unit_test(test_a_signal_arrives_as_a_callback),
        cmocka_unit_test(test_offloaded_work_runs_elsewhere_and_reports_here),
        cmocka_unit_test(test_free_waits_for_offloaded_work),
        cmocka_unit_test(test_clocks_and_chance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
