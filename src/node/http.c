#include "node/http.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "node/http_parse.h"
#include "node/metrics.h"
#include "node/node.h"
#include "node/replica.h"

#include <stdio.h>
#include <string.h>

#define LISTENERS_MAX 16
#define SLICE_USEC 200 /* of a turn, for writing a page */
#define CHECK_INTERVAL (100 * QR_MILLISECOND)

/* One connection: reads a request, perhaps writes a page, answers, and is dismissed. */
struct exchange {
    struct http *http;
    struct exchange *next, *previous;
    struct io_stream *stream;
    struct metrics *page; /* being written for it, or NULL */
    bool answered, head_only;
    qr_time until;
    size_t in_n;
    uint8_t in[HTTP_REQUEST_BYTES_MAX];
};

struct http {
    struct node *node;
    struct io_listener *listeners[LISTENERS_MAX];
    uint32_t listener_count;
    struct exchange *exchanges; /* newest first */
    uint32_t exchange_count;
    qr_time next_check;
};

/* --- Answers -------------------------------------------------------------------------------- */

static void answer(struct exchange *e, const char *status, const char *fields, struct span body)
{
    char head[512];
    int n = snprintf(head, sizeof head,
                     "HTTP/1.1 %s\r\nContent-Length: %zu\r\nConnection: close\r\n"
                     "Cache-Control: no-store\r\n%s\r\n",
                     status, body.n, fields);
    qr_assert(n > 0 && (size_t)n < sizeof head);
    struct iovec v[2] = { { .iov_base = head, .iov_len = (size_t)n },
                          { .iov_base = (void *)(uintptr_t)body.p, .iov_len = body.n } };
    e->answered = true;
    io_stream_writev(e->stream, v, e->head_only || body.n == 0 ? 1 : 2);
    io_stream_dismiss(e->stream);
}

#define TEXT_FIELD "Content-Type: text/plain; charset=utf-8\r\n"
#define PAGE_FIELD "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"

static void answer_text(struct exchange *e, const char *status, const char *text)
{
    answer(e, status, TEXT_FIELD, span_of(text, strlen(text)));
}

static void answer_page(struct exchange *e)
{
    answer(e, "200 OK", PAGE_FIELD, metrics_text(e->page));
    metrics_free(e->page);
    e->page = NULL;
}

/* Whether commands would get somewhere: what a load balancer wants to know. */
static void answer_ready(struct exchange *e)
{
    const struct node *node = e->http->node;
    if (node->stopping) {
        answer_text(e, "503 Service Unavailable", "stopping\n");
    } else if (replica_leader(node->zero->replica) == NODE_NONE) {
        answer_text(e, "503 Service Unavailable", "no leader is known\n");
    } else {
        answer_text(e, "200 OK", "ready\n");
    }
}

static bool is(struct span s, const char *text)
{
    return s.n == strlen(text) && memcmp(s.p, text, s.n) == 0;
}

static void serve(struct exchange *e, const struct http_request *request)
{
    e->head_only = is(request->method, "HEAD");
    struct span path = request->path;
    bool metrics = is(path, "/metrics");
    bool health = is(path, "/health") || is(path, "/-/healthy");
    bool ready = is(path, "/ready") || is(path, "/-/ready");
    if (!metrics && !health && !ready) {
        answer_text(e, "404 Not Found", "there is /metrics, /health and /ready\n");
    } else if (!e->head_only && !is(request->method, "GET")) {
        answer(e, "405 Method Not Allowed", "Allow: GET, HEAD\r\n" TEXT_FIELD,
               SPAN_LITERAL("only GET and HEAD\n"));
    } else if (metrics) {
        e->page = metrics_begin(e->http->node);
    } else if (ready) {
        answer_ready(e);
    } else {
        answer_text(e, "200 OK", "alive\n");
    }
}

/* --- A connection --------------------------------------------------------------------------- */

static void give_buffer(struct io_stream *stream, uint8_t **p, size_t *n)
{
    struct exchange *e = io_stream_owner(stream);
    *p = e->in + e->in_n;
    *n = e->answered || e->page != NULL ? 0 : sizeof e->in - e->in_n;
}

static void on_read(struct io_stream *stream, size_t n)
{
    struct exchange *e = io_stream_owner(stream);
    struct http_request request;
    e->in_n += n;
    switch (http_parse(span_of(e->in, e->in_n), &request)) {
    case HTTP_COMPLETE:
        serve(e, &request);
        return;
    case HTTP_MALFORMED:
        answer_text(e, "400 Bad Request", "this is no HTTP request\n");
        return;
    case HTTP_VERSION_UNKNOWN:
        answer_text(e, "505 HTTP Version Not Supported", "HTTP/1.0 or HTTP/1.1, please\n");
        return;
    case HTTP_INCOMPLETE:
        if (e->in_n == sizeof e->in) {
            answer_text(e, "431 Request Header Fields Too Large", "the request is too long\n");
        }
        return;
    }
    qr_unreachable();
}

/* It may have closed its half and still wait for the page. */
static void on_end(struct io_stream *stream)
{
    struct exchange *e = io_stream_owner(stream);
    if (!e->answered && e->page == NULL) {
        io_stream_close(stream);
    }
}

static void exchange_free(struct exchange *e)
{
    struct http *http = e->http;
    if (e->previous != NULL) {
        e->previous->next = e->next;
    } else {
        http->exchanges = e->next;
    }
    if (e->next != NULL) {
        e->next->previous = e->previous;
    }
    http->exchange_count--;
    if (e->page != NULL) {
        metrics_free(e->page);
    }
    free(e);
}

static void on_close(struct io_stream *stream, int error)
{
    (void)error;
    exchange_free(io_stream_owner(stream));
}

static const struct io_stream_callbacks callbacks = {
    .on_read = on_read, .buffer = give_buffer, .on_end = on_end, .on_close = on_close
};

static void on_accept(void *context, struct io_stream *stream)
{
    struct http *http = context;
    if (http->exchange_count >= HTTP_CONNECTIONS_MAX) {
        io_stream_close(stream);
        return;
    }
    struct exchange *e = qr_alloc(sizeof *e);
    *e = (struct exchange){ .http = http, .stream = stream, .next = http->exchanges };
    e->until = io_now(http->node->io) + HTTP_TIME_MS * QR_MILLISECOND;
    if (http->exchanges != NULL) {
        http->exchanges->previous = e;
    }
    http->exchanges = e;
    http->exchange_count++;
    io_stream_open(stream, &callbacks, e);
}

/* --- Turns ---------------------------------------------------------------------------------- */

static void write_pages(struct http *http)
{
    struct exchange *e = http->exchanges;
    while (e != NULL && e->page == NULL) {
        e = e->next;
    }
    if (e != NULL) {
        http->node->again = true;
        if (metrics_step(e->page, SLICE_USEC)) {
            answer_page(e);
        }
    }
}

void http_turn(struct http *http, qr_time now)
{
    if (http->exchange_count == 0) {
        return;
    }
    write_pages(http);
    if (now >= http->next_check) {
        http->next_check = now + CHECK_INTERVAL;
        for (struct exchange *e = http->exchanges; e != NULL; e = e->next) {
            if (now >= e->until) {
                io_stream_close(e->stream);
            }
        }
    }
}

/* --- Life ----------------------------------------------------------------------------------- */

struct http *http_new(struct node *node, char *message, size_t cap)
{
    const struct config *config = &node->config;
    struct http *http = qr_zalloc(sizeof *http);
    char address[64];
    bool optional;
    http->node = node;
    for (uint32_t i = 0; config->metrics_port != 0 && http->listener_count < LISTENERS_MAX &&
                         config_address(config->metrics_bind, i, address, &optional);
         i++) {
        int error = io_listen(node->io, address, config->metrics_port, HTTP_CONNECTIONS_MAX,
                              on_accept, http, &http->listeners[http->listener_count]);
        if (error == 0) {
            http->listener_count++;
        } else if (!optional) {
            (void)snprintf(message, cap, "Failed listening for metrics on %s port %u: %s", address,
                           (unsigned)config->metrics_port, strerror(-error));
            http_free(http);
            return NULL;
        }
    }
    return http;
}

void http_free(struct http *http)
{
    for (uint32_t i = 0; i < http->listener_count; i++) {
        io_listener_close(http->listeners[i]);
    }
    while (http->exchanges != NULL) { /* io_free closes their sockets without a word */
        exchange_free(http->exchanges);
    }
    free(http);
}
