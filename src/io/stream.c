/* TCP streams over libuv: connecting, lingering, reading into the owner's buffer, writing.
 *
 * Writing. A write goes to the socket at once. What the socket does not take is copied: one piece
 * is with libuv (`sending`), later ones gather behind it (`gathered`) and follow as one piece. So a
 * slow reader costs one system call per piece, however many writes there were.
 *
 * Life of a stream: (connecting) -> attached by io_stream_open -> closing -> freed. Whatever ends
 * it goes through close_with, once; on_close is the owner's last call and comes from the loop,
 * never from inside the call that closed it. */
#include "base/alloc.h"
#include "base/limits.h"
#include "base/linked.h"
#include "io/io_internal.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#define SWALLOW_BYTES (64u * 1024)

struct io_stream {
    uv_tcp_t tcp; /* first, see struct io_kind */
    struct io *io;
    const struct io_stream_callbacks *callbacks; /* NULL until io_stream_open */
    void *owner;

    uint8_t *sending; /* with libuv, not to be touched */
    size_t sending_cap;
    uv_write_t write;
    uint8_t *gathered;
    size_t gathered_n, gathered_cap;

    bool finishing; /* close once everything is written */
    bool dismissed; /* linger before that */
    bool lingering; /* in io->lingering, until linger_until */
    bool closing;
    uint64_t linger_until, swallowed;
    struct io_stream *linger_next, *linger_previous;
    int close_error;

    uv_connect_t connect;
    void (*on_connect)(void *context, struct io_stream *stream, int error);
    void *connect_context;
};

uv_stream_t *io_stream_handle(struct io_stream *stream)
{
    return (uv_stream_t *)&stream->tcp;
}

/* --- Birth and death ------------------------------------------------------------------------ */

static void stream_closed(uv_handle_t *handle)
{
    struct io_stream *stream = (struct io_stream *)handle;
    if (stream->callbacks != NULL && !stream->io->freeing) {
        io_touch(stream->io);
        stream->callbacks->on_close(stream, stream->close_error);
    }
    free(stream->sending);
    free(stream->gathered);
    free(stream);
}

static const struct io_kind stream_kind = { .closed = stream_closed };

struct io_stream *io_stream_new(struct io *io)
{
    struct io_stream *stream = qr_zalloc(sizeof *stream);
    stream->io = io;
    uv_tcp_init(&io->loop, &stream->tcp);
    io_handle_init(&stream->tcp, &stream_kind);
    return stream;
}

static void stop_lingering(struct io_stream *stream);

static void close_with(struct io_stream *stream, int error)
{
    qr_assert(error <= 0);
    if (stream->closing || uv_is_closing((uv_handle_t *)&stream->tcp)) {
        return;
    }
    stop_lingering(stream);
    stream->closing = true;
    stream->close_error = error;
    uv_close((uv_handle_t *)&stream->tcp, stream_closed);
}

void io_stream_close(struct io_stream *stream)
{
    close_with(stream, 0);
}

/* --- Lingering ------------------------------------------------------------------------------ */

static void on_linger_timer(uv_timer_t *timer)
{
    struct io *io = (struct io *)((char *)timer - offsetof(struct io, linger_timer));
    uint64_t now = uv_now(&io->loop);
    while (io->lingering != NULL && io->lingering->linger_until <= now) {
        close_with(io->lingering, 0);
    }
    if (io->lingering != NULL) {
        uv_timer_start(timer, on_linger_timer, io->lingering->linger_until - now, 0);
    }
}

void io_linger_init(struct io *io)
{
    static const struct io_kind part_of_io = { .closed = NULL };
    uv_timer_init(&io->loop, &io->linger_timer);
    io_handle_init(&io->linger_timer, &part_of_io);
}

uint32_t io_lingering(const struct io *io)
{
    return io->lingering_count;
}

static void stop_lingering(struct io_stream *stream)
{
    struct io *io = stream->io;
    if (!stream->lingering) {
        return;
    }
    stream->lingering = false;
    io->lingering_count--;
    LINKED_REMOVE(io->lingering, io->lingering_last, stream, linger_previous, linger_next);
}

static void on_swallow_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    (void)suggested;
    struct io *io = ((struct io_stream *)handle)->io;
    if (io->swallow == NULL) {
        io->swallow = qr_alloc(SWALLOW_BYTES);
    }
    *buffer = uv_buf_init((char *)io->swallow, SWALLOW_BYTES);
}

static void on_swallowed(uv_stream_t *handle, ssize_t n, const uv_buf_t *buffer)
{
    (void)buffer;
    struct io_stream *stream = (struct io_stream *)handle;
    stream->swallowed += n > 0 ? (uint64_t)n : 0;
    if (n < 0 || stream->swallowed > LINGER_BYTES_MAX) {
        close_with(stream, 0);
    }
}

/* Says that nothing follows, and waits for the peer to have heard it. */
static void linger(struct io_stream *stream)
{
    struct io *io = stream->io;
    int fd = io_stream_fd(stream);
    if (io->lingering_count >= LINGER_STREAMS_MAX || fd < 0 || shutdown(fd, SHUT_WR) != 0 ||
        uv_read_start(io_stream_handle(stream), on_swallow_alloc, on_swallowed) != 0) {
        close_with(stream, 0);
        return;
    }
    stream->lingering = true;
    stream->linger_until = uv_now(&io->loop) + LINGER_TIME_MS;
    if (io->lingering == NULL) {
        uv_timer_start(&io->linger_timer, on_linger_timer, LINGER_TIME_MS, 0);
    }
    LINKED_APPEND(io->lingering, io->lingering_last, stream, linger_previous, linger_next);
    io->lingering_count++;
}

/* A finishing stream has nothing left to write. */
static void finished(struct io_stream *stream)
{
    if (!stream->dismissed) {
        close_with(stream, 0);
    } else if (!stream->lingering) {
        linger(stream);
    }
}

void io_stream_finish(struct io_stream *stream)
{
    qr_assert(stream->callbacks != NULL);
    if (stream->closing) {
        return;
    }
    stream->finishing = true;
    uv_read_stop(io_stream_handle(stream));
    if (io_stream_queued(stream) == 0) {
        finished(stream);
    }
}

void io_stream_dismiss(struct io_stream *stream)
{
    stream->dismissed = true;
    io_stream_finish(stream);
}

/* --- Addresses ------------------------------------------------------------------------------ */

int io_parse_address(const char *address, uint16_t port, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof *out);
    if (strchr(address, ':') != NULL) {
        return uv_ip6_addr(address, port, (struct sockaddr_in6 *)out);
    }
    return uv_ip4_addr(address, port, (struct sockaddr_in *)out);
}

static void print_address(const struct sockaddr_storage *address, char *p, size_t n)
{
    char ip[INET6_ADDRSTRLEN] = "?";
    if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
        uv_ip6_name(v6, ip, sizeof ip);
        snprintf(p, n, "[%s]:%u", ip, ntohs(v6->sin6_port));
    } else if (address->ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
        uv_ip4_name(v4, ip, sizeof ip);
        snprintf(p, n, "%s:%u", ip, ntohs(v4->sin_port));
    } else {
        snprintf(p, n, "?:0");
    }
}

void io_stream_peer_name(const struct io_stream *stream, char *p, size_t n)
{
    struct sockaddr_storage address = { 0 };
    int size = sizeof address;
    if (uv_tcp_getpeername(&stream->tcp, (struct sockaddr *)&address, &size) != 0) {
        address.ss_family = AF_UNSPEC;
    }
    print_address(&address, p, n);
}

void io_stream_local_name(const struct io_stream *stream, char *p, size_t n)
{
    struct sockaddr_storage address = { 0 };
    int size = sizeof address;
    if (uv_tcp_getsockname(&stream->tcp, (struct sockaddr *)&address, &size) != 0) {
        address.ss_family = AF_UNSPEC;
    }
    print_address(&address, p, n);
}

bool io_stream_ended(const struct io_stream *stream)
{
    struct tcp_info info;
    socklen_t n = sizeof info;
    int fd = io_stream_fd(stream);
    return stream->closing || fd < 0 || getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n) != 0 ||
           info.tcpi_state != TCP_ESTABLISHED;
}

int io_stream_fd(const struct io_stream *stream)
{
    uv_os_fd_t fd = -1;
    return uv_fileno((const uv_handle_t *)&stream->tcp, &fd) == 0 ? fd : -1;
}

/* --- Connecting ----------------------------------------------------------------------------- */

static void on_connected(uv_connect_t *request, int status)
{
    struct io_stream *stream = uv_req_get_data((uv_req_t *)request);
    if (status != 0) {
        close_with(stream, 0); /* a stream that was never opened goes silently */
    }
    if (!stream->io->freeing) {
        io_touch(stream->io);
        stream->on_connect(stream->connect_context, status == 0 ? stream : NULL, status);
    }
}

int io_connect(struct io *io, const char *address, uint16_t port,
               void (*on_connect)(void *context, struct io_stream *stream, int error),
               void *context, struct io_stream **out)
{
    struct sockaddr_storage where;
    int error = io_parse_address(address, port, &where);
    *out = NULL;
    if (error != 0) {
        return error;
    }
    struct io_stream *stream = io_stream_new(io);
    stream->on_connect = on_connect;
    stream->connect_context = context;
    uv_req_set_data((uv_req_t *)&stream->connect, stream);
    error = uv_tcp_connect(&stream->connect, &stream->tcp, (struct sockaddr *)&where, on_connected);
    if (error != 0) {
        close_with(stream, 0);
        return error;
    }
    *out = stream;
    return 0;
}

/* --- Reading -------------------------------------------------------------------------------- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    (void)suggested;
    struct io_stream *stream = (struct io_stream *)handle;
    uint8_t *p = NULL;
    size_t n = 0;
    stream->callbacks->buffer(stream, &p, &n);
    qr_assert(n == 0 || p != NULL);
    *buffer = uv_buf_init((char *)p, (unsigned)min_u64(n, INT_MAX));
}

static void on_data(uv_stream_t *handle, ssize_t n, const uv_buf_t *buffer)
{
    (void)buffer;
    struct io_stream *stream = (struct io_stream *)handle;
    if (n == 0 || stream->closing) {
        return;
    }
    io_touch(stream->io);
    if (n > 0) {
        stream->callbacks->on_read(stream, (size_t)n);
    } else if (n == UV_ENOBUFS) {
        uv_read_stop(handle); /* the owner gave no room */
    } else if (n == UV_EOF && stream->callbacks->on_end != NULL) {
        uv_read_stop(handle);
        stream->callbacks->on_end(stream);
    } else {
        close_with(stream, n == UV_EOF ? 0 : (int)n);
    }
}

void io_stream_open(struct io_stream *stream, const struct io_stream_callbacks *callbacks,
                    void *owner)
{
    qr_assert(stream->callbacks == NULL);
    qr_assert(callbacks->on_read != NULL && callbacks->buffer != NULL);
    qr_assert(callbacks->on_close != NULL);
    stream->callbacks = callbacks;
    stream->owner = owner;
    uv_tcp_nodelay(&stream->tcp, 1); /* fails only on a dead connection, which reading will find */
    io_stream_read(stream, true);
}

void *io_stream_owner(const struct io_stream *stream)
{
    return stream->owner;
}

void io_stream_read(struct io_stream *stream, bool on)
{
    qr_assert(stream->callbacks != NULL);
    if (stream->closing || stream->finishing) {
        return;
    }
    int error = 0;
    if (on) {
        error = uv_read_start(io_stream_handle(stream), on_alloc, on_data);
    } else {
        uv_read_stop(io_stream_handle(stream));
    }
    if (error != 0 && error != UV_EALREADY) {
        close_with(stream, error);
    }
}

void io_stream_keepalive(struct io_stream *stream, uint32_t seconds)
{
    uv_tcp_keepalive(&stream->tcp, seconds > 0, seconds);
}

void io_stream_unheard_max(struct io_stream *stream, uint32_t ms)
{
    unsigned value = ms;
    (void)setsockopt(io_stream_fd(stream), IPPROTO_TCP, TCP_USER_TIMEOUT, &value, sizeof value);
}

void io_stream_cork(struct io_stream *stream, bool on)
{
    int value = on;
    (void)setsockopt(io_stream_fd(stream), IPPROTO_TCP, TCP_CORK, &value, sizeof value);
}

void io_stream_unsent_max(struct io_stream *stream, uint32_t bytes)
{
    int value = (int)bytes; /* where the kernel does not know it, it keeps more */
    (void)setsockopt(io_stream_fd(stream), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &value, sizeof value);
}

/* --- Writing -------------------------------------------------------------------------------- */

static void send_gathered(struct io_stream *stream, size_t from);

static void on_written(uv_write_t *request, int status)
{
    struct io_stream *stream = uv_req_get_data((uv_req_t *)request);
    free(stream->sending);
    stream->sending = NULL;
    stream->sending_cap = 0;
    if (stream->closing) {
        return;
    }
    if (status != 0) {
        close_with(stream, status);
    } else if (stream->gathered_n > 0) {
        send_gathered(stream, 0);
    } else if (stream->finishing) {
        finished(stream);
    } else if (stream->callbacks->on_drained != NULL) {
        io_touch(stream->io);
        stream->callbacks->on_drained(stream);
    }
}

static void send_gathered(struct io_stream *stream, size_t from)
{
    qr_assert(stream->sending == NULL);
    qr_assert(stream->gathered_n > from);
    uv_buf_t buffer = { .base = (char *)stream->gathered + from, .len = stream->gathered_n - from };
    stream->sending = stream->gathered;
    stream->sending_cap = stream->gathered_cap;
    stream->gathered = NULL;
    stream->gathered_n = stream->gathered_cap = 0;
    uv_req_set_data((uv_req_t *)&stream->write, stream);
    int error = uv_write(&stream->write, io_stream_handle(stream), &buffer, 1, on_written);
    if (error != 0) {
        close_with(stream, error);
    }
}

static void gather(struct io_stream *stream, const void *p, size_t n)
{
    size_t need = stream->gathered_n + n;
    if (need > stream->gathered_cap) {
        stream->gathered_cap = max_u64(need, 2 * stream->gathered_cap);
        stream->gathered = qr_realloc(stream->gathered, stream->gathered_cap);
    }
    if (n > 0) {
        memcpy(stream->gathered + stream->gathered_n, p, n);
    }
    stream->gathered_n = need;
}

/* Writes a first part of the vector to the socket; returns how many bytes it took, 0 when it is
 * full, or an error. `offered` is set to how many buffers were in that part. */
static ssize_t try_write(struct io_stream *stream, const struct iovec *v, int count, int *offered,
                         size_t *bytes)
{
    _Static_assert(sizeof(uv_buf_t) == sizeof(struct iovec), "libuv promises the same layout");
    *offered = 0;
    *bytes = 0;
    while (*offered < count && *offered < IOV_MAX && *bytes + v[*offered].iov_len <= INT_MAX) {
        *bytes += v[*offered].iov_len;
        *offered += 1;
    }
    qr_assert(*offered > 0); /* no single buffer comes near INT_MAX: base/limits.h */
    if (*bytes == 0) {
        return 0;
    }
    ssize_t n = uv_try_write(io_stream_handle(stream), (const uv_buf_t *)v, (unsigned)*offered);
    return n == UV_EAGAIN ? 0 : n;
}

void io_stream_writev(struct io_stream *stream, const struct iovec *v, int count)
{
    qr_assert(stream->callbacks != NULL);
    if (stream->closing || stream->finishing) {
        return;
    }
    size_t skip = 0; /* bytes of v[0] onward that the socket has taken */
    while (count > 0 && stream->sending == NULL && skip == 0) {
        int offered = 0;
        size_t bytes = 0;
        ssize_t taken = try_write(stream, v, count, &offered, &bytes);
        if (taken < 0) {
            close_with(stream, (int)taken);
            return;
        }
        if ((size_t)taken < bytes) {
            skip = (size_t)taken;
            break;
        }
        v += offered;
        count -= offered;
    }
    for (int i = 0; i < count; i++) {
        size_t cut = min_u64(skip, v[i].iov_len);
        gather(stream, (const uint8_t *)v[i].iov_base + cut, v[i].iov_len - cut);
        skip -= cut;
    }
    if (stream->sending == NULL && stream->gathered_n > 0) {
        send_gathered(stream, 0);
    }
}

void io_stream_give(struct io_stream *stream, void *p, size_t n)
{
    struct iovec v = { .iov_base = p, .iov_len = n };
    int offered = 0;
    size_t bytes = 0;
    ssize_t taken = 0;
    bool dead = stream->closing || stream->finishing;
    if (!dead && stream->sending == NULL) {
        taken = try_write(stream, &v, 1, &offered, &bytes);
    }
    if (dead || taken < 0 || (size_t)taken == n) {
        free(p);
        if (taken < 0) {
            close_with(stream, (int)taken);
        }
    } else if (stream->gathered_n > 0) {
        gather(stream, p, n); /* taken is 0: something is being sent */
        free(p);
    } else {
        free(stream->gathered);
        stream->gathered = p;
        stream->gathered_n = stream->gathered_cap = n;
        if (stream->sending == NULL) {
            send_gathered(stream, (size_t)taken);
        }
    }
}

void io_stream_write(struct io_stream *stream, const void *p, size_t n)
{
    struct iovec v = { .iov_base = (void *)(uintptr_t)p, .iov_len = n };
    io_stream_writev(stream, &v, 1);
}

size_t io_stream_queued(const struct io_stream *stream)
{
    return uv_stream_get_write_queue_size((const uv_stream_t *)&stream->tcp) + stream->gathered_n;
}

size_t io_stream_memory(const struct io_stream *stream)
{
    return stream->sending_cap + stream->gathered_cap;
}
