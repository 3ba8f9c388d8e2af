/* Crowds at the door and guests who do not leave: accepting by turns, dismissing with last words.
 * The other end is a plain socket. */
#include "tests/unit/io/io_test.h"

#include "base/limits.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#define CROWD 100

struct world {
    struct io *io;
    struct io_listener *listener;
    int accepted, accepted_before, most_per_turn;
    struct io_stream *stream;
    bool dismisses, closed, talks_on, orderly;
    int guest;
    char heard[64];
    size_t heard_n, said;
    qr_time dismissed_at, closed_at;
};

static int connect_guest(const struct world *w)
{
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_port = htons(io_listener_port(w->listener)),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

static void no_room(struct io_stream *stream, uint8_t **p, size_t *n)
{
    (void)stream;
    *p = NULL;
    *n = 0;
}

static void never_read(struct io_stream *stream, size_t n)
{
    (void)stream;
    (void)n;
    fail_msg("nothing was to be read");
}

static void note_close(struct io_stream *stream, int error)
{
    struct world *w = io_stream_owner(stream);
    assert_int_equal(error, 0);
    w->closed = true;
    w->closed_at = io_now(w->io);
}

static const struct io_stream_callbacks deaf = { .on_read = never_read,
                                                 .buffer = no_room,
                                                 .on_close = note_close };

static void accept_one(void *context, struct io_stream *stream)
{
    struct world *w = context;
    w->accepted++;
    if (w->dismisses) {
        w->stream = stream;
        io_stream_open(stream, &deaf, w);
    } else {
        io_stream_close(stream);
    }
}

static void world_init(struct world *w)
{
    *w = (struct world){ .io = io_new(), .guest = -1 };
    assert_int_equal(io_listen(w->io, "127.0.0.1", 0, 256, accept_one, w, &w->listener), 0);
}

static void world_free(struct world *w)
{
    io_listener_close(w->listener);
    io_free(w->io);
}

/* --- Accepting ------------------------------------------------------------------------------ */

static void crowd_comes(struct world *w, int *guests)
{
    for (int i = 0; i < CROWD; i++) {
        guests[i] = connect_guest(w);
    }
}

static void crowd_goes(const int *guests)
{
    for (int i = 0; i < CROWD; i++) {
        close(guests[i]);
    }
}

static void count_accepted(void *context)
{
    struct world *w = context;
    int here = w->accepted - w->accepted_before;
    w->accepted_before = w->accepted;
    w->most_per_turn = here > w->most_per_turn ? here : w->most_per_turn;
    if (w->accepted == CROWD) {
        io_stop(w->io);
    }
}

static void test_a_crowd_is_accepted_a_few_per_turn(void **state)
{
    (void)state;
    struct world w;
    int guests[CROWD];
    world_init(&w);
    crowd_comes(&w, guests);
    run_bounded(w.io, count_accepted, &w);
    assert_int_equal(w.accepted, CROWD);
    assert_in_range(w.most_per_turn, 2, ACCEPTS_PER_TURN + 1); /* one was held from the last */
    crowd_goes(guests);
    world_free(&w);
}

static void close_when_full(void *context)
{
    struct world *w = context;
    if (w->accepted >= ACCEPTS_PER_TURN) {
        io_stop(w->io);
    }
}

/* What libuv holds back for a listener goes with it. */
static void test_a_listener_may_close_with_a_crowd_before_it(void **state)
{
    (void)state;
    struct world w;
    int guests[CROWD];
    world_init(&w);
    crowd_comes(&w, guests);
    run_bounded(w.io, close_when_full, &w);
    world_free(&w);
    crowd_goes(guests);
}

/* --- Dismissing ----------------------------------------------------------------------------- */

static void talk(struct world *w)
{
    static const char chunk[64 * 1024];
    ssize_t n;
    while ((n = send(w->guest, chunk, sizeof chunk, MSG_NOSIGNAL)) > 0) {
        w->said += (size_t)n;
    }
}

static void listen_to_the_end(struct world *w)
{
    ssize_t n = recv(w->guest, w->heard + w->heard_n, sizeof w->heard - w->heard_n, 0);
    w->heard_n += n > 0 ? (size_t)n : 0;
    w->orderly = w->orderly || n == 0;
    assert_true(n >= 0 || errno == EAGAIN || w->talks_on);
}

static void dismiss_and_watch(void *context)
{
    struct world *w = context;
    if (w->stream != NULL) {
        io_stream_write(w->stream, "-ERR and why\r\n", 14);
        io_stream_dismiss(w->stream);
        w->stream = NULL;
        w->dismissed_at = io_now(w->io);
    }
    if (w->talks_on) {
        talk(w);
    } else if (w->dismissed_at != 0) {
        listen_to_the_end(w);
    }
    if (w->orderly && w->guest >= 0 && !w->talks_on) {
        close(w->guest);
        w->guest = -1;
    }
    if (w->closed) {
        io_stop(w->io);
    }
}

/* A plain close would answer the unread bytes with a reset. */
static void test_last_words_reach_one_who_is_still_talking(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    w.dismisses = true;
    w.guest = connect_guest(&w);
    talk(&w); /* until no more fits between us */
    assert_true(w.said > 100000);
    run_bounded(w.io, dismiss_and_watch, &w);
    assert_true(w.orderly);
    assert_int_equal(w.heard_n, 14);
    assert_memory_equal(w.heard, "-ERR and why\r\n", 14);
    world_free(&w);
}

/* Scenario 113: and who never stops is cut off, by time or by amount. */
static void test_scenario_113_one_who_talks_on_is_cut_off(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    w.dismisses = w.talks_on = true;
    w.guest = connect_guest(&w);
    run_bounded(w.io, dismiss_and_watch, &w);
    assert_true(w.closed);
    assert_true(w.closed_at - w.dismissed_at < 3 * LINGER_TIME_MS * QR_MILLISECOND);
    assert_true(w.said < 2 * LINGER_BYTES_MAX); /* with what the kernel holds */
    close(w.guest);
    world_free(&w);
}

static void hang_up_never(void *context)
{
    struct world *w = context;
    if (w->stream != NULL) {
        io_stream_dismiss(w->stream);
        w->stream = NULL;
        w->dismissed_at = io_now(w->io);
    }
    if (w->closed) {
        io_stop(w->io);
    }
}

static void test_one_who_just_stays_is_cut_off(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    w.dismisses = true;
    w.guest = connect_guest(&w);
    run_bounded(w.io, hang_up_never, &w);
    assert_true(w.closed_at - w.dismissed_at >= LINGER_TIME_MS / 2 * QR_MILLISECOND);
    close(w.guest);
    world_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_crowd_is_accepted_a_few_per_turn),
        cmocka_unit_test(test_a_listener_may_close_with_a_crowd_before_it),
        cmocka_unit_test(test_last_words_reach_one_who_is_still_talking),
        cmocka_unit_test(test_scenario_113_one_who_talks_on_is_cut_off),
        cmocka_unit_test(test_one_who_just_stays_is_cut_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
