/* Streams over loopback: echo, slow readers, pauses, refusals, ends. Ports are the kernel's choice.
 */
#include "tests/unit/io/io_test.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>

#define BIG (8u * 1024 * 1024)

/* One end of a connection: sends what it is given, notes what it hears. */
struct end {
    struct io_stream *stream;
    uint8_t chunk[64 * 1024];
    size_t room;  /* of chunk that a read may use; 0 pauses */
    uint8_t *got; /* everything read */
    size_t got_n;
    bool echo; /* sends back what it reads */
    bool ended, closed;
    int close_error, drained;
};

struct world {
    struct io *io;
    struct io_listener *listener;
    struct end server, client;
    void (*on_ready)(struct world *world); /* both ends are open */
    bool (*finished)(struct world *world); /* asked in every turn */
    int connect_error, connects, turns;
    int accepted;
};

/* --- Both ends ------------------------------------------------------------------------------ */

static void give_buffer(struct io_stream *stream, uint8_t **p, size_t *n)
{
    struct end *end = io_stream_owner(stream);
    *p = end->chunk;
    *n = end->room;
}

static void take_bytes(struct io_stream *stream, size_t n)
{
    struct end *end = io_stream_owner(stream);
    assert_in_range(n, 1, end->room);
    end->got = qr_realloc(end->got, end->got_n + n);
    memcpy(end->got + end->got_n, end->chunk, n);
    end->got_n += n;
    if (end->echo) {
        io_stream_write(stream, end->chunk, n);
    }
}

static void note_drained(struct io_stream *stream)
{
    ((struct end *)io_stream_owner(stream))->drained++;
    assert_int_equal(io_stream_queued(stream), 0);
}

static void note_end(struct io_stream *stream)
{
    ((struct end *)io_stream_owner(stream))->ended = true;
}

static void note_close(struct io_stream *stream, int error)
{
    struct end *end = io_stream_owner(stream);
    assert_false(end->closed);
    end->closed = true;
    end->close_error = error;
    end->stream = NULL;
}

static const struct io_stream_callbacks callbacks = {
    .on_read = take_bytes,
    .buffer = give_buffer,
    .on_drained = note_drained,
    .on_close = note_close,
};

static const struct io_stream_callbacks callbacks_with_end = {
    .on_read = take_bytes,
    .buffer = give_buffer,
    .on_drained = note_drained,
    .on_end = note_end,
    .on_close = note_close,
};

/* --- A connection --------------------------------------------------------------------------- */

static void check_ready(struct world *w)
{
    if (w->server.stream != NULL && w->client.stream != NULL && w->on_ready != NULL) {
        void (*on_ready)(struct world *) = w->on_ready;
        w->on_ready = NULL;
        on_ready(w);
    }
}

static void accept_one(void *context, struct io_stream *stream)
{
    struct world *w = context;
    w->accepted++;
    w->server.stream = stream;
    io_stream_open(stream, &callbacks_with_end, &w->server);
    check_ready(w);
}

static void connected(void *context, struct io_stream *stream, int error)
{
    struct world *w = context;
    w->connects++;
    w->connect_error = error;
    if (error == 0) {
        w->client.stream = stream;
        io_stream_open(stream, &callbacks, &w->client);
        check_ready(w);
    } else {
        assert_null(stream);
    }
}

static void turn(void *context)
{
    struct world *w = context;
    w->turns++;
    if (w->finished(w)) {
        io_stop(w->io);
    }
}

static void world_init(struct world *w, bool (*finished)(struct world *))
{
    *w = (struct world){ .io = io_new(), .finished = finished, .connect_error = 1 };
    w->server.room = w->client.room = sizeof w->client.chunk;
    assert_int_equal(io_listen(w->io, "127.0.0.1", 0, 16, accept_one, w, &w->listener), 0);
    assert_int_not_equal(io_listener_port(w->listener), 0);
}

static void world_run(struct world *w, void (*on_ready)(struct world *))
{
    struct io_stream *stream;
    w->on_ready = on_ready;
    assert_int_equal(
        io_connect(w->io, "127.0.0.1", io_listener_port(w->listener), connected, w, &stream), 0);
    run_bounded(w->io, turn, w);
}

static void world_free(struct world *w)
{
    if (w->listener != NULL) {
        io_listener_close(w->listener);
    }
    io_free(w->io);
    free(w->server.got);
    free(w->client.got);
}

/* A pattern in which no two places a power of two apart look alike. */
static uint8_t *pattern(size_t n)
{
    uint8_t *p = qr_alloc(n);
    for (size_t i = 0; i < n; i++) {
        p[i] = (uint8_t)(i * 131 + i / 251);
    }
    return p;
}

/* --- Echo ----------------------------------------------------------------------------------- */

static void send_pattern(struct world *w)
{
    uint8_t *bytes = pattern(BIG);
    io_stream_write(w->client.stream, bytes, 1);
    struct iovec v[3] = { { bytes + 1, 100 }, { NULL, 0 }, { bytes + 101, BIG - 101 } };
    io_stream_writev(w->client.stream, v, 3);
    /* Far more than a socket takes, so that the rest is a copy: ours may go. */
    assert_true(io_stream_queued(w->client.stream) > 0);
    free(bytes);
}

static bool client_got_all(struct world *w)
{
    return w->client.got_n >= BIG;
}

static void test_echo_returns_every_byte_in_order(void **state)
{
    (void)state;
    struct world *w = qr_alloc(sizeof *w);
    world_init(w, client_got_all);
    w->server.echo = true;
    world_run(w, send_pattern);
    uint8_t *bytes = pattern(BIG);
    assert_int_equal(w->client.got_n, BIG);
    assert_memory_equal(w->client.got, bytes, BIG);
    assert_true(w->client.drained >= 1);
    free(bytes);
    world_free(w);
    free(w);
}

/* --- Many buffers at once ------------------------------------------------------------------- */

#define PIECES 3000 /* more than one writev takes */

static void send_pieces(struct world *w)
{
    uint8_t *bytes = pattern(PIECES);
    struct iovec v[PIECES];
    for (size_t i = 0; i < PIECES; i++) {
        v[i] = (struct iovec){ bytes + i, 1 };
    }
    io_stream_writev(w->client.stream, v, PIECES);
    free(bytes);
}

static bool server_got_pieces(struct world *w)
{
    return w->server.got_n >= PIECES;
}

static void tick(struct io_timer *timer)
{
    struct world *w = timer->context;
    io_timer_start(w->io, timer, io_now(w->io) + QR_MILLISECOND);
}

/* A world whose turns go on without anything to do, until the server has got that. */
static void ticking(void (*on_ready)(struct world *w), bool (*finished)(struct world *w),
                    const uint8_t *bytes, size_t n)
{
    struct world *w = qr_alloc(sizeof *w);
    world_init(w, finished);
    struct io_timer timer = { tick, w, NULL };
    io_timer_start(w->io, &timer, 0);
    world_run(w, on_ready);
    assert_int_equal(w->server.got_n, n);
    assert_memory_equal(w->server.got, bytes, n);
    io_timer_free(&timer);
    world_free(w);
    free(w);
}

static void test_writev_takes_any_number_of_buffers(void **state)
{
    (void)state;
    uint8_t *bytes = pattern(PIECES);
    ticking(send_pieces, server_got_pieces, bytes, PIECES);
    free(bytes);
}

/* --- A slow reader -------------------------------------------------------------------------- */

static void send_to_a_deaf_server(struct world *w)
{
    io_stream_read(w->server.stream, false);
    uint8_t *bytes = pattern(BIG);
    for (size_t i = 0; i < BIG; i += BIG / 64) {
        io_stream_write(w->client.stream, bytes + i, BIG / 64);
    }
    free(bytes);
}

static bool queue_stands_then_drains(struct world *w)
{
    if (w->turns == 20) {
        /* 20 turns later nothing has moved: the server does not read. */
        assert_true(io_stream_queued(w->client.stream) > BIG / 4);
        assert_int_equal(w->client.drained, 0);
        io_stream_read(w->server.stream, true);
    }
    return w->server.got_n == BIG && w->client.drained > 0;
}

static void test_a_slow_reader_fills_the_queue_and_drains_it(void **state)
{
    (void)state;
    uint8_t *bytes = pattern(BIG);
    ticking(send_to_a_deaf_server, queue_stands_then_drains, bytes, BIG);
    free(bytes);
}

static void send_corked(struct world *w)
{
    io_stream_cork(w->client.stream, true);
    io_stream_write(w->client.stream, "one", 3);
}

static bool came_when_let_go(struct world *w)
{
    if (w->turns == 10) {
        assert_int_equal(w->server.got_n + io_stream_queued(w->client.stream), 0);
        io_stream_cork(w->client.stream, false);
    } else if (w->server.got_n == 3 && w->client.stream != NULL) {
        io_stream_cork(w->client.stream, true);
        io_stream_write(w->client.stream, "two", 3);
        io_stream_close(w->client.stream); /* as a process that ends does */
        w->client.stream = NULL;
    }
    return w->server.ended;
}

static void test_the_kernel_has_what_is_corked(void **state)
{
    (void)state;
    ticking(send_corked, came_when_let_go, (const uint8_t *)"onetwo", 6);
}

/* --- Pauses --------------------------------------------------------------------------------- */

static void send_ten_to_a_full_server(struct world *w)
{
    w->server.room = 0;
    io_stream_write(w->client.stream, "0123456789", 10);
}

static bool resumed_after_ten_turns(struct world *w)
{
    if (w->turns == 10) {
        assert_int_equal(w->server.got_n, 0);
        w->server.room = 3; /* a read never takes more than there is room for */
        io_stream_read(w->server.stream, true);
    }
    return w->server.got_n == 10;
}

static void test_no_room_pauses_reading_until_it_is_resumed(void **state)
{
    (void)state;
    ticking(send_ten_to_a_full_server, resumed_after_ten_turns, (const uint8_t *)"0123456789", 10);
}

/* --- Ends ----------------------------------------------------------------------------------- */

static void finish_after_writing(struct world *w)
{
    w->server.room = 0;
    uint8_t *bytes = pattern(BIG);
    io_stream_write(w->server.stream, bytes, BIG);
    free(bytes);
    io_stream_finish(w->server.stream);
    io_stream_write(w->server.stream, "late", 4); /* dropped */
}

static bool both_closed(struct world *w)
{
    return w->server.closed && w->client.closed;
}

static void test_finish_delivers_what_is_queued(void **state)
{
    (void)state;
    struct world *w = qr_alloc(sizeof *w);
    world_init(w, both_closed);
    world_run(w, finish_after_writing);
    assert_int_equal(w->client.got_n, BIG);
    assert_int_equal(w->client.close_error, 0); /* an orderly end; no on_end callback was given */
    assert_int_equal(w->server.close_error, 0);
    world_free(w);
    free(w);
}

/* Given, written and given again: more than the socket takes each time, then little. */
static void give_pattern(struct world *w)
{
    uint8_t *bytes = pattern(BIG);
    size_t cuts[] = { 0, BIG / 2, BIG / 2 + 10, BIG - 100, BIG };
    for (int i = 0; i < 4; i++) {
        size_t n = cuts[i + 1] - cuts[i];
        if (i == 1) {
            io_stream_write(w->client.stream, bytes + cuts[i], n);
            continue;
        }
        uint8_t *gift = qr_alloc(n);
        memcpy(gift, bytes + cuts[i], n);
        io_stream_give(w->client.stream, gift, n);
    }
    assert_true(io_stream_memory(w->client.stream) >= io_stream_queued(w->client.stream));
    free(bytes);
}

static void test_what_is_given_is_sent_in_order(void **state)
{
    (void)state;
    struct world *w = qr_alloc(sizeof *w);
    world_init(w, client_got_all);
    w->server.echo = true;
    world_run(w, give_pattern);
    uint8_t *bytes = pattern(BIG);
    assert_int_equal(w->client.got_n, BIG);
    assert_memory_equal(w->client.got, bytes, BIG);
    io_stream_close(w->client.stream);
    io_stream_give(w->client.stream, qr_alloc(100), 100); /* not leaked, as ASan sees */
    free(bytes);
    world_free(w);
    free(w);
}

static void shut_client(struct world *w)
{
    shutdown(io_stream_fd(w->client.stream), SHUT_WR);
}

static bool answered_after_the_end(struct world *w)
{
    if (w->server.ended && w->server.stream != NULL) {
        io_stream_write(w->server.stream, "owed", 4);
        io_stream_finish(w->server.stream);
        w->server.ended = false;
    }
    return both_closed(w);
}

static void test_a_peer_that_sends_no_more_still_gets_its_answer(void **state)
{
    (void)state;
    struct world *w = qr_alloc(sizeof *w);
    world_init(w, answered_after_the_end);
    world_run(w, shut_client);
    assert_int_equal(w->client.got_n, 4);
    assert_memory_equal(w->client.got, "owed", 4);
    world_free(w);
    free(w);
}

static void reset_by_client(struct world *w)
{
    struct linger now = { .l_onoff = 1, .l_linger = 0 };
    setsockopt(io_stream_fd(w->client.stream), SOL_SOCKET, SO_LINGER, &now, sizeof now);
    io_stream_close(w->client.stream);
    assert_false(w->client.closed); /* never from inside a call */
    io_stream_close(w->client.stream);
    io_stream_write(w->client.stream, "x", 1);
}

static void test_a_reset_is_an_error_of_the_stream(void **state)
{
    (void)state;
    struct world *w = qr_alloc(sizeof *w);
    world_init(w, both_closed);
    world_run(w, reset_by_client);
    assert_int_equal(w->server.close_error, -ECONNRESET);
    assert_int_equal(w->client.close_error, 0);
    world_free(w);
    free(w);
}

static void write_into_a_closed_socket(struct world *w)
{
    io_stream_read(w->server.stream, false);
    io_stream_close(w->client.stream);
}

static bool written_until_closed(struct world *w)
{
    if (w->client.closed && !w->server.closed) {
        io_stream_write(w->server.stream, "x", 1);
    }
    return both_closed(w);
}

static void test_a_broken_pipe_is_an_error_and_no_signal(void **state)
{
    (void)state;
    struct world *w = qr_alloc(sizeof *w);
    world_init(w, written_until_closed);
    struct io_timer timer = { tick, w, NULL };
    io_timer_start(w->io, &timer, 0);
    world_run(w, write_into_a_closed_socket);
    assert_true(w->server.close_error == -EPIPE || w->server.close_error == -ECONNRESET);
    io_timer_free(&timer);
    world_free(w);
    free(w);
}

/* --- Connecting ----------------------------------------------------------------------------- */

static bool heard_of_the_connection(struct world *w)
{
    return w->connects > 0;
}

static void stop_at_once(void *context)
{
    io_stop(context);
}

static void test_a_refused_connection_is_reported_once(void **state)
{
    (void)state;
    struct world *w = qr_alloc(sizeof *w);
    world_init(w, heard_of_the_connection);
    uint16_t port = io_listener_port(w->listener);
    io_listener_close(w->listener);
    w->listener = NULL;
    struct io_stream *stream;
    w->finished = heard_of_the_connection;
    io_run(w->io, stop_at_once, w->io); /* lets the listener go */
    assert_int_equal(io_connect(w->io, "127.0.0.1", port, connected, w, &stream), 0);
    run_bounded(w->io, turn, w);
    assert_int_equal(w->connect_error, -ECONNREFUSED);
    assert_int_equal(w->connects, 1);
    world_free(w);
    free(w);
}

static void test_closing_while_connecting_cancels(void **state)
{
    (void)state;
    struct world *w = qr_alloc(sizeof *w);
    world_init(w, heard_of_the_connection);
    struct io_stream *stream;
    assert_int_equal(
        io_connect(w->io, "127.0.0.1", io_listener_port(w->listener), connected, w, &stream), 0);
    io_stream_close(stream);
    assert_int_equal(w->connects, 0);
    run_bounded(w->io, turn, w);
    assert_int_equal(w->connect_error, -ECANCELED);
    assert_int_equal(w->connects, 1);
    world_free(w);
    free(w);
}

static void test_addresses_must_be_numeric_and_ours(void **state)
{
    (void)state;
    struct world *w = qr_alloc(sizeof *w);
    world_init(w, heard_of_the_connection);
    struct io_stream *stream;
    struct io_listener *other;
    uint16_t port = io_listener_port(w->listener);
    assert_int_equal(io_connect(w->io, "localhost", 1, connected, w, &stream), -EINVAL);
    assert_int_equal(io_listen(w->io, "nowhere", 0, 1, accept_one, w, &other), -EINVAL);
    assert_int_equal(io_listen(w->io, "127.0.0.1", port, 1, accept_one, w, &other), -EADDRINUSE);
    assert_null(other);
    world_free(w);
    free(w);
}

static void nothing(struct world *w)
{
    char name[64], expected[64];
    io_stream_local_name(w->server.stream, name, sizeof name);
    snprintf(expected, sizeof expected, "127.0.0.1:%u", io_listener_port(w->listener));
    assert_string_equal(name, expected);
    char peer[64];
    io_stream_peer_name(w->server.stream, peer, sizeof peer);
    io_stream_local_name(w->client.stream, name, sizeof name);
    assert_string_equal(name, peer);
    io_stream_keepalive(w->server.stream, 300);
    unsigned ms = 0;
    socklen_t n = sizeof ms;
    io_stream_unheard_max(w->server.stream, 4321);
    assert_int_equal(
        getsockopt(io_stream_fd(w->server.stream), IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, &n), 0);
    assert_int_equal(ms, 4321);
}

static bool ready(struct world *w)
{
    return w->server.stream != NULL && w->client.stream != NULL;
}

/* Open streams are closed by io_free without a word. */
static void test_names_and_freeing_what_is_open(void **state)
{
    (void)state;
    struct world *w = qr_alloc(sizeof *w);
    world_init(w, ready);
    world_run(w, nothing);
    world_free(w);
    assert_false(w->server.closed);
    assert_false(w->client.closed);
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_echo_returns_every_byte_in_order),
        cmocka_unit_test(test_writev_takes_any_number_of_buffers),
        cmocka_unit_test(test_a_slow_reader_fills_the_queue_and_drains_it),
        cmocka_unit_test(test_the_kernel_has_what_is_corked),
        cmocka_unit_test(test_no_room_pauses_reading_until_it_is_resumed),
        cmocka_unit_test(test_what_is_given_is_sent_in_order),
        cmocka_unit_test(test_finish_delivers_what_is_queued),
        cmocka_unit_test(test_a_peer_that_sends_no_more_still_gets_its_answer),
        cmocka_unit_test(test_a_reset_is_an_error_of_the_stream),
        cmocka_unit_test(test_a_broken_pipe_is_an_error_and_no_signal),
        cmocka_unit_test(test_a_refused_connection_is_reported_once),
        cmocka_unit_test(test_closing_while_connecting_cancels),
        cmocka_unit_test(test_addresses_must_be_numeric_and_ours),
        cmocka_unit_test(test_names_and_freeing_what_is_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
