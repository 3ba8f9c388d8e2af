/* io.h for a process of the realm: streams and listeners, over net.c.
 *
 * A stream is an end of a connection. What has arrived waits in it until the loop polls; what the
 * connection has no room for is gathered behind it, as libuv does for the real one. */
#include "sim/nodes/io_sim.h"

#include "base/limits.h"
#include "base/linked.h"

#include <errno.h>

#define SYSTEM_CALL_NS 1500u

struct io_listener {
    struct io_listener *next; /* of the host */
    struct io *io;
    struct host *host;
    uint16_t port;
    void (*on_accept)(void *context, struct io_stream *stream);
    void *context;
};

struct io_stream {
    struct io_stream *next, *previous; /* of the io */
    struct io *io;
    struct connection *c; /* NULL: closed */
    struct host *host[2];
    uint16_t port[2];
    int side;
    const struct io_stream_callbacks *callbacks;
    void *owner;
    struct io_listener *listener; /* whose owner has not heard of it yet */
    void (*on_connect)(void *context, struct io_stream *stream, int error);
    void *connect_context;
    bool connecting, connected;
    int connect_error;
    struct chunks in;
    bool in_end, in_reset; /* behind that */
    bool reading, has_room;
    uint8_t *out; /* what the connection had no room for */
    size_t out_n, out_cap;
    bool finishing, dismissed, lingering, closing;
    qr_time linger_until;
    size_t swallowed;
    int close_error;
};

static struct io_stream *stream_new(struct io *io)
{
    struct process *before = memory_for(NULL);
    struct io_stream *s = qr_zalloc(sizeof *s);
    (void)memory_for(before);
    s->io = io;
    LINKED_APPEND(io->streams, io->last_stream, s, previous, next);
    return s;
}

static void stream_free(struct io_stream *s)
{
    LINKED_REMOVE(s->io->streams, s->io->last_stream, s, previous, next);
    chunks_free(&s->in);
    free(s->out);
    free(s);
}

static void attach(struct io_stream *s, struct connection *c, int side)
{
    s->c = c;
    s->side = side;
    for (int i = 0; i < 2; i++) {
        s->host[i] = c->host[i];
        s->port[i] = c->port[i];
    }
}

static void close_with(struct io_stream *s, int error)
{
    if (s->closing) {
        return;
    }
    s->io->lingering -= s->lingering;
    s->lingering = false;
    s->closing = true;
    s->close_error = error;
    net_close(s->c, s->side, s->in.first != NULL, false);
    s->c = NULL;
}

void io_stream_close(struct io_stream *stream)
{
    close_with(stream, 0);
}

/* --- What the network tells ----------------------------------------------------------------- */

void stream_connected(struct io_stream *stream, int error)
{
    if (stream->connecting && !stream->connected) {
        stream->connected = true;
        stream->connect_error = error;
        process_poke(stream->io->process);
    }
}

void stream_arrives(struct io_stream *stream, struct chunk *chunk)
{
    stream_connected(stream, 0); /* what says so may be later */
    if (chunk->kind == CHUNK_BYTES && chunk->n > 0 && !stream->in_reset) {
        if (stream->in.last != NULL) {
            stream->in.last->next = chunk;
        } else {
            stream->in.first = chunk;
        }
        stream->in.last = chunk;
        stream->in.n += chunk->n;
    } else {
        stream->in_end = stream->in_end || chunk->kind == CHUNK_END;
        stream->in_reset = stream->in_reset || chunk->kind == CHUNK_RESET;
        free(chunk);
    }
    process_poke(stream->io->process);
}

void stream_has_room(struct io_stream *stream)
{
    stream->has_room = stream->out_n > 0;
    if (stream->has_room) {
        process_poke(stream->io->process);
    }
}

struct io_stream *listener_offer(struct host *host, uint16_t port, struct connection *c)
{
    struct io_listener *l = host->listeners;
    while (l != NULL && l->port != port) {
        l = l->next;
    }
    if (l == NULL) {
        return NULL;
    }
    struct io_stream *s = stream_new(l->io);
    attach(s, c, 1);
    s->listener = l;
    process_poke(l->io->process);
    return s;
}

/* --- Listening and connecting --------------------------------------------------------------- */

int io_listen(struct io *io, const char *address, uint16_t port, int backlog,
              void (*on_accept)(void *context, struct io_stream *stream), void *context,
              struct io_listener **out)
{
    (void)address;
    (void)backlog;
    struct host *host = io->process->host;
    *out = NULL;
    for (const struct io_listener *l = host->listeners; l != NULL; l = l->next) {
        if (l->port == port) {
            return -EADDRINUSE;
        }
    }
    struct process *before = memory_for(NULL);
    struct io_listener *l = qr_zalloc(sizeof *l);
    (void)memory_for(before);
    *l = (struct io_listener){ .next = host->listeners,
                               .io = io,
                               .host = host,
                               .port = port,
                               .on_accept = on_accept,
                               .context = context };
    host->listeners = l;
    *out = l;
    return 0;
}

uint16_t io_listener_port(const struct io_listener *listener)
{
    return listener->port;
}

void io_listener_close(struct io_listener *listener)
{
    for (struct io_stream *s = listener->io->streams; s != NULL; s = s->next) {
        if (s->listener == listener) {
            s->listener = NULL;
            close_with(s, 0);
        }
    }
    struct io_listener **link = &listener->host->listeners;
    while (*link != listener) {
        link = &(*link)->next;
    }
    *link = listener->next;
    free(listener);
}

int io_connect(struct io *io, const char *address, uint16_t port,
               void (*on_connect)(void *context, struct io_stream *stream, int error),
               void *context, struct io_stream **out)
{
    struct host *from = io->process->host;
    bool own = strcmp(address, "127.0.0.1") == 0;
    struct host *to = own ? from : realm_host_at(from->realm, address);
    *out = NULL;
    if (to == NULL) {
        return -EHOSTUNREACH;
    }
    process_spend(io->process, SYSTEM_CALL_NS);
    struct io_stream *s = stream_new(io);
    s->connecting = true;
    s->on_connect = on_connect;
    s->connect_context = context;
    attach(s, net_connect(s, from, to, port), 0);
    *out = s;
    return 0;
}

void io_stream_open(struct io_stream *stream, const struct io_stream_callbacks *callbacks,
                    void *owner)
{
    qr_assert(stream->callbacks == NULL);
    qr_assert(callbacks->on_read != NULL && callbacks->buffer != NULL);
    qr_assert(callbacks->on_close != NULL);
    stream->callbacks = callbacks;
    stream->owner = owner;
    stream->reading = true;
}

void *io_stream_owner(const struct io_stream *stream)
{
    return stream->owner;
}

/* --- Writing -------------------------------------------------------------------------------- */

static void finished(struct io_stream *s)
{
    if (!s->dismissed || s->io->lingering >= LINGER_STREAMS_MAX) {
        close_with(s, 0);
    } else if (!s->lingering) {
        net_send_end(s->c, s->side);
        s->lingering = true;
        s->io->lingering++;
        s->linger_until = process_time(s->io->process) + LINGER_TIME_MS * QR_MILLISECOND;
        (void)io_job_new(s->io, s->linger_until); /* so that it is looked at */
    }
}

void io_stream_finish(struct io_stream *stream)
{
    qr_assert(stream->callbacks != NULL);
    if (stream->closing) {
        return;
    }
    stream->finishing = true;
    stream->reading = false;
    if (stream->out_n == 0) {
        finished(stream);
    }
}

void io_stream_dismiss(struct io_stream *stream)
{
    stream->dismissed = true;
    io_stream_finish(stream);
}

uint32_t io_lingering(const struct io *io)
{
    return io->lingering;
}

static void gather(struct io_stream *s, const uint8_t *p, size_t n)
{
    if (s->out_n + n > s->out_cap) {
        struct process *before = memory_for(NULL);
        s->out_cap = max_u64(s->out_n + n, 2 * s->out_cap);
        s->out = qr_realloc(s->out, s->out_cap);
        (void)memory_for(before);
    }
    memcpy(s->out + s->out_n, p, n);
    s->out_n += n;
}

void io_stream_writev(struct io_stream *stream, const struct iovec *v, int count)
{
    qr_assert(stream->callbacks != NULL);
    if (stream->closing || stream->finishing) {
        return;
    }
    process_spend(stream->io->process, SYSTEM_CALL_NS);
    for (int i = 0; i < count; i++) {
        size_t n = v[i].iov_len;
        process_spend(stream->io->process, n / 4);
        size_t sent = stream->out_n == 0 ? net_send(stream->c, stream->side, v[i].iov_base, n) : 0;
        if (sent < n) {
            gather(stream, (const uint8_t *)v[i].iov_base + sent, n - sent);
        }
    }
}

void io_stream_write(struct io_stream *stream, const void *p, size_t n)
{
    struct iovec v = { .iov_base = (void *)(uintptr_t)p, .iov_len = n };
    io_stream_writev(stream, &v, 1);
}

void io_stream_give(struct io_stream *stream, void *p, size_t n)
{
    io_stream_write(stream, p, n);
    free(p);
}

size_t io_stream_queued(const struct io_stream *stream)
{
    return stream->out_n;
}

size_t io_stream_memory(const struct io_stream *stream)
{
    return stream->out_n > 0 ? stream->out_cap : 0;
}

static void send_gathered(struct io_stream *s)
{
    s->has_room = false;
    size_t n = net_send(s->c, s->side, s->out, s->out_n);
    memmove(s->out, s->out + n, s->out_n - n);
    s->out_n -= n;
    if (s->out_n > 0) {
        return;
    }
    if (s->finishing) {
        finished(s);
    } else if (s->callbacks->on_drained != NULL) {
        io_touch(s->io);
        s->callbacks->on_drained(s);
    }
}

/* --- Reading -------------------------------------------------------------------------------- */

void io_stream_read(struct io_stream *stream, bool on)
{
    qr_assert(stream->callbacks != NULL);
    if (!stream->closing && !stream->finishing) {
        stream->reading = on;
    }
}

static size_t take(struct io_stream *s, uint8_t *p, size_t n)
{
    size_t got = 0;
    while (got < n && s->in.first != NULL) {
        struct chunk *chunk = s->in.first;
        size_t part = min_u64(n - got, chunk->n - chunk->taken);
        if (p != NULL) {
            memcpy(p + got, chunk->bytes + chunk->taken, part);
        }
        got += part;
        chunk->taken += part;
        if (chunk->taken == chunk->n) {
            s->in.first = chunk->next;
            s->in.last = chunk->next == NULL ? NULL : s->in.last;
            free(chunk);
        }
    }
    s->in.n -= got;
    if (got > 0) {
        net_has_read(s->c, s->side, got);
    }
    return got;
}

static void read_some(struct io_stream *s)
{
    struct realm *realm = s->io->process->realm;
    uint8_t *p = NULL;
    size_t n = 0;
    s->callbacks->buffer(s, &p, &n);
    if (n == 0) {
        s->reading = false;
        return;
    }
    if (rng_chance(&realm->rng, realm->pace.short_read_chance, 1000)) {
        n = 1 + rng_below(&realm->rng, n);
    }
    process_spend(s->io->process, SYSTEM_CALL_NS);
    n = take(s, p, n);
    process_spend(s->io->process, n / 4);
    io_touch(s->io);
    s->callbacks->on_read(s, n);
}

static void swallow(struct io_stream *s)
{
    s->swallowed += take(s, NULL, s->in.n);
    if (s->in_end || s->in_reset || s->swallowed > LINGER_BYTES_MAX ||
        process_time(s->io->process) >= s->linger_until) {
        close_with(s, 0);
    }
}

static void poll_one(struct io_stream *s)
{
    if (s->listener != NULL) {
        struct io_listener *l = s->listener;
        s->listener = NULL;
        process_spend(s->io->process, SYSTEM_CALL_NS);
        io_touch(s->io);
        l->on_accept(l->context, s);
    } else if (s->connecting && s->connected) {
        s->connecting = false;
        if (s->connect_error != 0) {
            close_with(s, 0);
        }
        io_touch(s->io);
        s->on_connect(s->connect_context, s->connect_error == 0 ? s : NULL, s->connect_error);
    } else if (s->callbacks != NULL && s->in_reset) {
        close_with(s, -ECONNRESET);
    } else if (s->lingering) {
        swallow(s);
    } else if (s->has_room) {
        send_gathered(s);
    } else if (s->reading && s->in.first != NULL) {
        read_some(s);
    } else if (s->reading && s->in_end) {
        s->reading = false;
        if (s->callbacks->on_end != NULL) {
            io_touch(s->io);
            s->callbacks->on_end(s);
        } else {
            close_with(s, 0);
        }
    }
}

bool streams_ready(const struct io *io)
{
    for (const struct io_stream *s = io->streams; s != NULL; s = s->next) {
        bool has_news = s->listener != NULL || (s->connecting && s->connected) || s->closing ||
                        (s->callbacks != NULL && s->in_reset) || s->has_room ||
                        ((s->reading || s->lingering) && (s->in.first != NULL || s->in_end));
        if (has_news) {
            return true;
        }
    }
    return false;
}

void streams_poll(struct io *io)
{
    for (struct io_stream *s = io->streams; s != NULL; s = s->next) {
        if (!s->closing) {
            poll_one(s);
        }
    }
}

void streams_reap(struct io *io)
{
    for (struct io_stream *s = io->streams; s != NULL;) {
        struct io_stream *next = s->next;
        if (s->closing) {
            if (s->connecting) {
                io_touch(io);
                s->on_connect(s->connect_context, NULL, -ECANCELED);
            } else if (s->callbacks != NULL) {
                io_touch(io);
                s->callbacks->on_close(s, s->close_error);
            }
            next = s->next;
            stream_free(s);
        }
        s = next;
    }
}

void streams_forget(struct io *io, bool power)
{
    while (io->process->host->listeners != NULL) {
        struct io_listener *l = io->process->host->listeners;
        io->process->host->listeners = l->next;
        free(l);
    }
    while (io->streams != NULL) {
        struct io_stream *s = io->streams;
        if (s->c != NULL) {
            net_close(s->c, s->side, s->in.first != NULL, power);
        }
        stream_free(s);
    }
}

/* --- Names ---------------------------------------------------------------------------------- */

static void print_name(const struct io_stream *s, int side, char *p, size_t n)
{
    (void)snprintf(p, n, "%s:%u", s->host[side]->address, (unsigned)s->port[side]);
}

void io_stream_peer_name(const struct io_stream *stream, char *p, size_t n)
{
    print_name(stream, 1 - stream->side, p, n);
}

void io_stream_local_name(const struct io_stream *stream, char *p, size_t n)
{
    print_name(stream, stream->side, p, n);
}

bool io_stream_ended(const struct io_stream *stream)
{
    return stream->closing || stream->in_end || stream->in_reset;
}

int io_stream_fd(const struct io_stream *stream)
{
    return 10 + stream->port[0] % 1000;
}

void io_stream_keepalive(struct io_stream *stream, uint32_t seconds)
{
    (void)stream;
    (void)seconds;
}

void io_stream_unheard_max(struct io_stream *stream, uint32_t ms)
{
    if (stream->c != NULL) {
        stream->c->pipe[stream->side].unheard_max = (qr_time)ms * QR_MILLISECOND;
    }
}

void io_stream_cork(struct io_stream *stream, bool on)
{
    (void)stream;
    (void)on;
}

void io_stream_unsent_max(struct io_stream *stream, uint32_t bytes)
{
    (void)stream;
    (void)bytes;
}
