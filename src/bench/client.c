/* A connection: it dials, greets, reads and writes, and is lost. */
#include "bench/bench_internal.h"

#include "base/alloc.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define DIAL_PAUSE_NS (20 * 1000000) /* before the next address */
#define PAUSE_NS (10 * 1000000)      /* after a refusal */

const char *client_name(const struct bench *b, const struct client *c)
{
    return b->endpoints[c->address].address.name;
}

struct flight client_pop(struct bench *b, struct client *c)
{
    struct flight f = c->ring[c->first++ & b->ring_mask];
    c->in_flight--;
    c->silence = b->now;
    if (!f.asking) {
        b->in_flight--;
        if (b->sessions != NULL) {
            b->sessions[c->number % b->session_count].in_flight--;
        }
    }
    return f;
}

void client_mark(struct bench *b, struct client *c)
{
    if (!c->dirty) {
        c->dirty = true;
        b->dirty[b->dirty_n++] = c->number;
    }
}

static void sleep_until(struct bench *b, struct client *c, int64_t wake)
{
    b->sleeping += c->wake == 0;
    c->wake = wake;
}

static void wake(struct bench *b, struct client *c)
{
    b->sleeping -= c->wake != 0;
    c->wake = 0;
}

void client_pause(struct bench *b, struct client *c)
{
    sleep_until(b, c, b->now + PAUSE_NS);
}

/* --- Losing it ------------------------------------------------------------------------------- */

/* Closes the connection, if there is one; dials the next address in a moment. */
static void leave(struct bench *b, struct client *c)
{
    if (c->fd >= 0) {
        close(c->fd); /* and so it leaves the epoll */
    }
    b->open -= c->state == CLIENT_OPEN;
    c->fd = -1;
    c->state = CLIENT_ABSENT;
    c->leaving = c->writable = c->body_open = false;
    c->out_at = c->out_n = c->carry_n = 0;
    c->bulk_left = 0;
    if (b->routes == NULL) {
        c->address = (c->address + 1) % b->options.address_count;
    } else {
        routes_doubt(b);
    }
    sleep_until(b, c, b->now + DIAL_PAUSE_NS);
}

void client_lost(struct bench *b, struct client *c, const char *code, const char *format, ...)
{
    char reason[400];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    if (!b->options.reconnect) {
        bench_fail(b, "%s", reason);
        return;
    }
    tally_error(&b->tally, code, strlen(code));
    b->tally.lost += c->state == CLIENT_OPEN;
    while (c->in_flight > 0) {
        struct flight f = client_pop(b, c);
        if (!f.asking) {
            b->tally.unanswered++;
            source_unknown(b, c, &f);
        }
    }
    leave(b, c);
}

/* --- Making it ------------------------------------------------------------------------------- */

static void cannot_connect(struct bench *b, struct client *c, int error)
{
    client_lost(b, c, "no-connection", "%s cannot be reached: %s", client_name(b, c),
                strerror(error));
}

void client_dial(struct bench *b, struct client *c)
{
    int on = 1;
    const struct endpoint *e = &b->endpoints[c->address];
    wake(b, c);
    if (c->ring == NULL) {
        c->ring = qr_alloc((b->ring_mask + 1) * sizeof *c->ring);
        c->out = qr_alloc(BENCH_OUTPUT_BYTES);
        c->carry = qr_alloc(REPLY_LINE_BYTES_MAX);
    }
    c->silence = b->now;
    c->fd = socket(e->socket.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) {
        bench_fail(b, "no more connections: %s (ulimit -n)", strerror(errno));
        return;
    }
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    c->state = CLIENT_DIALING;
    if (connect(c->fd, (const struct sockaddr *)&e->socket, e->socket_bytes) != 0 &&
        errno != EINPROGRESS) {
        cannot_connect(b, c, errno);
        return;
    }
    struct epoll_event event = { .events = EPOLLIN | EPOLLOUT, .data.ptr = c };
    if (epoll_ctl(b->epoll, EPOLL_CTL_ADD, c->fd, &event) != 0) {
        bench_fail(b, "no more connections: %s", strerror(errno));
    }
    c->writable = true;
}

static void dialed(struct bench *b, struct client *c)
{
    int error = 0;
    socklen_t size = sizeof error;
    (void)getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) {
        cannot_connect(b, c, error);
        return;
    }
    c->state = CLIENT_GREETING;
    c->silence = b->now;
    client_greet(b, c);
}

void client_opened(struct bench *b, struct client *c)
{
    c->state = CLIENT_OPEN;
    b->open++;
}

/* --- Events ---------------------------------------------------------------------------------- */

void client_ended(struct bench *b, struct client *c, int error)
{
    const char *how = error != 0 ? strerror(error) : "closed by the server";
    if (c->state == CLIENT_GREETING) {
        client_lost(
            b, c, "connection-lost",
            "%s takes the connection and answers nothing: %s; is it a Redis server, without "
            "TLS, and may we use it?",
            client_name(b, c), how);
        return;
    }
    client_lost(b, c, "connection-lost", "%s: the connection was lost with %u request%s open: %s",
                client_name(b, c), c->in_flight, c->in_flight == 1 ? "" : "s", how);
}

/* Reads once; false when the connection is lost. What is left in the socket comes with the next
 * event. */
static bool read_some(struct bench *b, struct client *c)
{
    memcpy(b->input, c->carry, c->carry_n);
    ssize_t n = recv(c->fd, b->input + c->carry_n, BENCH_INPUT_BYTES - c->carry_n, 0);
    int error = errno;
    b->now = bench_clock();
    if (n < 0 && (error == EAGAIN || error == EINTR)) {
        return true;
    }
    if (n <= 0) {
        client_ended(b, c, n < 0 ? error : 0);
        return false;
    }
    b->tally.bytes_in += (uint64_t)n;
    return client_take(b, c, b->input, c->carry_n + (size_t)n);
}

void client_event(struct bench *b, struct client *c, uint32_t events)
{
    if (c->state == CLIENT_DIALING) {
        dialed(b, c);
        return;
    }
    if ((events & EPOLLOUT) != 0 && !client_push(b, c)) {
        return;
    }
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0 && !read_some(b, c)) {
        return;
    }
    if (b->sessions != NULL) {
        session_send(b, c->number % b->session_count);
    } else if (c->leaving && c->in_flight == 0) {
        leave(b, c);
    } else if (b->options.rate == 0 || b->phase == PHASE_FILL) {
        client_send(b, c); /* with a rate the dispatcher spreads what is due */
    }
}

/* --- Time ------------------------------------------------------------------------------------ */

static void check_silence(struct bench *b, struct client *c)
{
    double seconds = b->options.timeout_s;
    bool waits = c->state == CLIENT_DIALING || c->state == CLIENT_GREETING || c->in_flight > 0;
    if (!waits || (double)(b->now - c->silence) < seconds * SECOND_NS) {
        return;
    }
    if (c->state == CLIENT_DIALING) {
        client_lost(b, c, "time-out", "%s: no connection within %g s", client_name(b, c), seconds);
    } else if (c->state == CLIENT_GREETING) {
        client_lost(b, c, "time-out",
                    "%s takes the connection but does not answer PING within %g s",
                    client_name(b, c), seconds);
    } else {
        client_lost(b, c, "time-out", "%s has not answered for %g s, with %u request%s open",
                    client_name(b, c), seconds, c->in_flight, c->in_flight == 1 ? "" : "s");
    }
}

void client_tick(struct bench *b, struct client *c)
{
    check_silence(b, c);
    if (b->failed || (c->wake != 0 && b->now < c->wake)) {
        return;
    }
    bool slept = c->wake != 0;
    if (c->state == CLIENT_ABSENT) {
        /* With --cluster only who has slots; others are dialed when something is to go there. */
        wake(b, c);
        if (b->phase != PHASE_DRAIN &&
            (b->sessions == NULL || (slept && b->endpoints[c->address].serves))) {
            client_dial(b, c);
        }
        return;
    }
    wake(b, c);
    if (b->sessions != NULL) {
        return;
    }
    if (c->leaving && c->in_flight == 0) {
        leave(b, c);
    } else if ((slept || b->again_n > 0) && (b->options.rate == 0 || b->phase == PHASE_FILL)) {
        client_send(b, c);
    }
}
