/* A client who tries everything: sentences of the whole language, several at once, in both versions
 * of the protocol, at any port; sometimes bytes that are no request at all. Nothing that it is told
 * is wrong but what is not well formed, and more answers than questions; its keys are its own. A
 * node that falls over it fails the seed. */
#include "sim/nodes/seat.h"
#include "sim/nodes/sentence.h"

#include <ctype.h>

#define PATIENCE (2 * QR_SECOND)
#define FREE_FORM_TIME (200 * QR_MILLISECOND) /* for what has no end that is known here */
#define THINK (20 * QR_MILLISECOND)
#define DIAL_PAUSE (200 * QR_MILLISECOND)
#define AT_ONCE 6u
#define IN_BYTES_MAX (8u << 20) /* of one reply */
#define HEARD_MAX 2000u
#define LARGE_BYTES_MAX (600u << 10)
#define DEPTH_MAX 16

struct visit {
    struct asker *asker;
    struct io *io;
    struct io_timer timer;
    struct io_stream *stream;
    bool connected;
    bool free_form; /* what comes back is no RESP, or not one answer for each question */
    uint64_t asked, answered;
    uint8_t *in;
    size_t in_n, in_cap;
    char heard[HEARD_MAX];
    size_t heard_n;
};

static void sleep_for(struct visit *v, qr_time wait)
{
    io_timer_start(v->io, &v->timer, io_now(v->io) + wait);
}

/* --- Replies -------------------------------------------------------------------------------- */

enum { REPLY_MORE = 0, REPLY_BAD = -1 };

/* The end of the line that begins at `at`, its CR LF included; 0: it is not there yet. */
static size_t line_end(const uint8_t *p, size_t n, size_t at)
{
    const uint8_t *end = memmem(p + at, n - at, "\r\n", 2);
    return end == NULL ? 0 : (size_t)(end - p) + 2;
}

/* How many values stand inside of an aggregate of that type. */
static int64_t inside(uint8_t type, int64_t count)
{
    return count <= 0 ? 0 : strchr("%|", type) != NULL ? 2 * count : count;
}

/* Where the value at `at` ends; or REPLY_MORE or REPLY_BAD. */
static int64_t value_end(const uint8_t *p, size_t n, size_t at, int depth)
{
    size_t line = at < n ? line_end(p, n, at) : 0;
    if (line == 0) {
        return REPLY_MORE;
    }
    uint8_t type = p[at];
    int64_t count = strtoll((const char *)p + at + 1, NULL, 10);
    if (strchr("+-:_#,(", type) != NULL) {
        return (int64_t)line;
    }
    if (strchr("$=", type) != NULL) {
        size_t end = count < 0 ? line : line + (size_t)count + 2;
        bool ends = end <= n && (count < 0 || memcmp(p + end - 2, "\r\n", 2) == 0);
        return end > n ? REPLY_MORE : ends ? (int64_t)end : REPLY_BAD;
    }
    if (type == 0 || strchr("*%~>|", type) == NULL || depth == DEPTH_MAX) {
        return REPLY_BAD;
    }
    int64_t end = (int64_t)line;
    for (int64_t i = inside(type, count); i > 0 && end > 0; i--) {
        end = value_end(p, n, (size_t)end, depth + 1);
    }
    return end;
}

/* A text without blanks may do as a token later. */
static void hear(struct visit *v, size_t n)
{
    size_t from = line_end(v->in, n, 0);
    if (v->in[0] != '$' || n < from + 2 || n - from - 2 > HEARD_MAX) {
        return;
    }
    for (size_t i = from; i < n - 2; i++) {
        if (!isgraph(v->in[i])) {
            return;
        }
    }
    v->heard_n = n - from - 2;
    memcpy(v->heard, v->in + from, v->heard_n);
}

/* False: what came is wrong. */
static bool take_replies(struct visit *v)
{
    for (;;) {
        int64_t n = v->in_n == 0 ? REPLY_MORE : value_end(v->in, v->in_n, 0, 0);
        if (n == REPLY_MORE) {
            return v->in_n < IN_BYTES_MAX;
        }
        if (n == REPLY_BAD) {
            return false;
        }
        hear(v, (size_t)n);
        v->answered += v->in[0] != '>';
        v->in_n -= (size_t)n;
        memmove(v->in, v->in + n, v->in_n);
    }
}

/* --- Questions ------------------------------------------------------------------------------ */

static void send_garbage(struct visit *v)
{
    char bytes[300];
    size_t n = 1 + rng_below(&v->asker->rng, sizeof bytes);
    for (size_t i = 0; i < n; i++) {
        bytes[i] = "*$\r\n0123456789-PING "[rng_below(&v->asker->rng, 20)];
    }
    v->free_form = true;
    io_stream_write(v->stream, bytes, n);
}

static void note(const struct visit *v, const struct sentence *s)
{
    char text[200];
    size_t n = 0;
    for (uint32_t i = 0; i < s->count; i++) {
        for (size_t at = s->at[i]; at <= s->at[i + 1] && n < sizeof text - 1; at++) {
            char c = at < s->at[i + 1] ? s->text[at] : ' ';
            text[n++] = (char)(isprint((unsigned char)c) ? c : '.');
        }
    }
    text[n] = 0;
    realm_note(v->asker->run->realm, v->asker->host, "asks for %s", text);
}

static void send_sentence(struct visit *v)
{
    static struct sentence s; /* one at a time, in one thread */
    char request[2 * SENTENCE_BYTES_MAX];
    sentence_draw(&s, &v->asker->rng, span_of(v->heard, v->heard_n));
    size_t n = sentence_write(&s, request, sizeof request);
    v->free_form = v->free_form || s.loose;
    v->asked++;
    note(v, &s);
    if (rng_chance(&v->asker->rng, 1, 300)) {
        n -= 1 + rng_below(&v->asker->rng, n - 1); /* and stops in the middle of it */
        v->free_form = true;
    }
    io_stream_write(v->stream, request, n);
}

/* Of such a value the node keeps the bytes apart from the command (node/cargo.h). */
static void send_large(struct visit *v)
{
    static const char *const names[] = { "SET", "GETSET", "SET", "SETNX", "EXISTS" };
    struct rng *rng = &v->asker->rng;
    const char *name = names[rng_below(rng, ARRAY_COUNT(names))];
    size_t bytes = rng_below(rng, LARGE_BYTES_MAX) + 1;
    char *request = qr_alloc(bytes + 100);
    int n = snprintf(request, 100, "*3\r\n$%zu\r\n%s\r\n$2\r\nq%u\r\n$%zu\r\n", strlen(name), name,
                     (unsigned)rng_below(rng, 10), bytes);
    memset(request + n, 'x', bytes);
    memcpy(request + n + bytes, "\r\n", 2);
    v->asked++;
    realm_note(v->asker->run->realm, v->asker->host, "asks for %s with %zu bytes", name, bytes);
    io_stream_write(v->stream, request, (size_t)n + bytes + 2);
    free(request);
}

static void ask(struct visit *v)
{
    struct rng *rng = &v->asker->rng;
    for (uint64_t i = rng_below(rng, AT_ONCE) + 1; i > 0; i--) {
        if (rng_chance(rng, 1, 200)) {
            send_garbage(v);
        } else if (rng_chance(rng, 1, 250)) {
            send_large(v);
        } else {
            send_sentence(v);
        }
    }
    sleep_for(v, v->free_form ? FREE_FORM_TIME : PATIENCE);
}

static void ask_for_a_page(struct visit *v)
{
    static const char *const pages[] = {
        "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /metrics HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "GET /health HTTP/1.0\r\n\r\n",
        "GET /ready HTTP/1.1\r\nHost: x\r\n\r\n",
        "HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\nGET /health HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
        "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /ready HTTP/1.1\r\n\r\n",
        "GET\r\n",
    };
    const char *page = pages[rng_below(&v->asker->rng, ARRAY_COUNT(pages))];
    v->free_form = true;
    io_stream_write(v->stream, page, strlen(page));
    sleep_for(v, FREE_FORM_TIME);
}

/* --- The connection ------------------------------------------------------------------------- */

static void gone(struct visit *v)
{
    v->stream = NULL;
    v->connected = v->free_form = false;
    v->in_n = 0;
    v->asked = v->answered = 0;
    sleep_for(v, (qr_time)rng_below(&v->asker->rng, DIAL_PAUSE));
}

static void on_close(struct io_stream *stream, int error)
{
    (void)error;
    gone(io_stream_owner(stream));
}

static void give_buffer(struct io_stream *stream, uint8_t **p, size_t *n)
{
    struct visit *v = io_stream_owner(stream);
    if (v->in_n == v->in_cap) {
        v->in_cap = v->in_cap == 0 ? 16384 : 2 * v->in_cap;
        v->in = qr_realloc(v->in, v->in_cap);
    }
    *p = v->in + v->in_n;
    *n = v->in_cap - v->in_n;
}

static void on_read(struct io_stream *stream, size_t n)
{
    struct visit *v = io_stream_owner(stream);
    struct asker *asker = v->asker;
    v->in_n += n;
    if (v->free_form) {
        v->in_n = 0;
        return;
    }
    if (!take_replies(v) || v->answered > v->asked) {
        realm_fail(asker->run->realm, asker->host, "a guest is told what is no reply: %.*s",
                   (int)min_u64(v->in_n, 100), (const char *)v->in);
        io_stream_close(stream);
    } else if (v->answered == v->asked) {
        sleep_for(v, (qr_time)rng_below(&asker->rng, THINK));
    }
}

static void on_connect(void *context, struct io_stream *stream, int error)
{
    static const struct io_stream_callbacks callbacks = { .on_read = on_read,
                                                          .buffer = give_buffer,
                                                          .on_close = on_close };
    struct visit *v = context;
    if (error != 0) {
        gone(v);
        return;
    }
    v->connected = true;
    io_stream_open(stream, &callbacks, v);
    if (v->free_form) {
        ask_for_a_page(v);
    } else {
        ask(v);
    }
}

static void dial(struct visit *v)
{
    static const uint16_t ports[] = { SEAT_PORT, SEAT_PORT, SEAT_PORT, SEAT_CLUSTER_PORT,
                                      SEAT_SENTINEL_PORT, SEAT_METRICS_PORT };
    struct run *run = v->asker->run;
    const struct seat *seat = &run->seat[rng_below(&v->asker->rng, run->seats)];
    uint16_t port = ports[rng_below(&v->asker->rng, ARRAY_COUNT(ports))];
    v->free_form = port == SEAT_METRICS_PORT;
    int error = io_connect(v->io, seat->host->address, port, on_connect, v, &v->stream);
    qr_assert(error == 0);
    sleep_for(v, PATIENCE);
}

static void on_timer(struct io_timer *timer)
{
    struct visit *v = timer->context;
    bool waits = v->answered < v->asked;
    if (v->stream == NULL) {
        v->asker->done = v->asker->run->ending;
        if (!v->asker->done) {
            dial(v);
        }
    } else if (!v->connected || v->free_form || waits || v->asker->run->ending ||
               rng_chance(&v->asker->rng, 1, 20)) {
        io_stream_close(v->stream);
    } else {
        ask(v);
    }
}

static void turn(void *context)
{
    (void)context;
}

static void live(struct process *process)
{
    struct visit *v = qr_zalloc(sizeof *v);
    v->asker = process->argument;
    v->io = io_new();
    v->timer.fire = on_timer;
    v->timer.context = v;
    sleep_for(v, (qr_time)rng_below(&v->asker->rng, QR_SECOND));
    io_run(v->io, turn, v);
}

void guest_start(struct asker *asker)
{
    process_start(asker->host, live, asker);
}
