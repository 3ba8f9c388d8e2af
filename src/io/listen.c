/* Listening: connections are taken a few per turn, so that a storm of them does not stand in the
 * way of those that are there; the kernel keeps the others. */
#include "base/alloc.h"
#include "base/limits.h"
#include "io/io_internal.h"

#include <arpa/inet.h>

struct io_listener {
    uv_tcp_t tcp; /* first, see struct io_kind */
    struct io *io;
    uint16_t port;
    void (*on_accept)(void *context, struct io_stream *stream);
    void *context;
    uint64_t turn; /* the last one in which it accepted, and how many */
    uint32_t accepted;
    bool held; /* in io->held: libuv has a connection for us and stops looking until we take it */
    struct io_listener *next_held;
};

static void listener_closed(uv_handle_t *handle)
{
    free(handle);
}

static const struct io_kind listener_kind = { .closed = listener_closed };

static void accept_one(struct io_listener *listener)
{
    struct io_stream *stream = io_stream_new(listener->io);
    if (uv_accept((uv_stream_t *)&listener->tcp, io_stream_handle(stream)) != 0) {
        io_stream_close(stream);
        return;
    }
    io_touch(listener->io);
    listener->on_accept(listener->context, stream);
}

static void on_connection(uv_stream_t *handle, int status)
{
    struct io_listener *listener = (struct io_listener *)handle;
    struct io *io = listener->io;
    if (status != 0) {
        return; /* the peer has gone already, or we are out of descriptors and libuv refused it */
    }
    if (listener->turn != io->turns) {
        listener->turn = io->turns;
        listener->accepted = 0;
    }
    if (listener->accepted++ < ACCEPTS_PER_TURN) {
        accept_one(listener);
        return;
    }
    /* libuv accepts until there is no more; what is not taken makes it stop. */
    listener->held = true;
    listener->next_held = io->held;
    io->held = listener;
    io_touch(io);
}

void io_accept_held(struct io *io)
{
    while (io->held != NULL) {
        struct io_listener *listener = io->held;
        io->held = listener->next_held;
        listener->held = false;
        accept_one(listener);
    }
}

static int bind_and_listen(struct io_listener *listener, const char *address, uint16_t port,
                           int backlog)
{
    struct sockaddr_storage where;
    int error = io_parse_address(address, port, &where);
    if (error == 0) {
        /* So that 0.0.0.0 and :: can be bound side by side. */
        unsigned flags = where.ss_family == AF_INET6 ? UV_TCP_IPV6ONLY : 0;
        error = uv_tcp_bind(&listener->tcp, (struct sockaddr *)&where, flags);
    }
    if (error == 0) {
        error = uv_listen((uv_stream_t *)&listener->tcp, backlog, on_connection);
    }
    int size = sizeof where;
    if (error == 0) {
        error = uv_tcp_getsockname(&listener->tcp, (struct sockaddr *)&where, &size);
    }
    if (error == 0) {
        listener->port = where.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&where)->sin6_port
                                                     : ((struct sockaddr_in *)&where)->sin_port;
        listener->port = ntohs(listener->port);
    }
    return error;
}

int io_listen(struct io *io, const char *address, uint16_t port, int backlog,
              void (*on_accept)(void *context, struct io_stream *stream), void *context,
              struct io_listener **out)
{
    struct io_listener *listener = qr_zalloc(sizeof *listener);
    listener->io = io;
    listener->on_accept = on_accept;
    listener->context = context;
    uv_tcp_init(&io->loop, &listener->tcp);
    io_handle_init(&listener->tcp, &listener_kind);
    int error = bind_and_listen(listener, address, port, backlog);
    if (error != 0) {
        io_listener_close(listener);
        listener = NULL;
    }
    *out = listener;
    return error;
}

uint16_t io_listener_port(const struct io_listener *listener)
{
    return listener->port;
}

void io_listener_close(struct io_listener *listener)
{
    struct io_listener **link = &listener->io->held;
    while (listener->held && *link != listener) {
        link = &(*link)->next_held;
    }
    if (listener->held) {
        *link = listener->next_held;
    }
    uv_close((uv_handle_t *)&listener->tcp, listener_closed);
}
