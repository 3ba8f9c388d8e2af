/* Which server has which slot: by CLUSTER SLOTS, and by what MOVED says in between.
 *
 * The answer is fetched on a connection of its own, one for each time, from the servers in turn:
 * one that is cut off would tell the same old map for ever. Only what has no other way waits. */
#include "bench/bench_internal.h"

#include "base/alloc.h"
#include "base/number.h"
#include "cluster/slots.h"
#include "resp/request.h"
#include "resp/tree.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define AGAIN_NS (20 * 1000000)     /* from one question to the next */
#define PATIENCE_NS (500 * 1000000) /* with one server */
#define READ_BYTES (64 * KIB)
#define NOBODY 0xffu

_Static_assert(BENCH_ENDPOINTS_MAX < NOBODY, "an endpoint fits a byte");

struct routes {
    uint8_t of[SLOTS];
    bool doubted;
    uint32_t failures; /* of questions in a row */
    /* the question under way */
    int fd;
    bool asked; /* the connection stands, and the question was sent */
    uint32_t endpoint;
    int64_t since, not_before;
    uint32_t greetings; /* replies that come before */
    uint8_t *in;
    size_t in_n, in_cap;
    struct tree tree;
};

void routes_init(struct bench *b)
{
    struct routes *r = b->routes = qr_zalloc(sizeof *r);
    memset(r->of, NOBODY, sizeof r->of);
    r->fd = -1;
    r->doubted = true;
}

void routes_free(struct bench *b)
{
    struct routes *r = b->routes;
    if (r != NULL) {
        if (r->fd >= 0) {
            close(r->fd);
        }
        tree_free(&r->tree);
        free(r->in);
        free(r);
    }
}

uint32_t routes_of(const struct bench *b, uint16_t slot)
{
    uint8_t endpoint = b->routes->of[slot];
    return endpoint == NOBODY ? BENCH_ENDPOINTS_MAX : endpoint;
}

bool routes_cover(const struct bench *b, uint32_t *slot)
{
    const uint8_t *nobody = memchr(b->routes->of, NOBODY, SLOTS);
    *slot = nobody == NULL ? 0 : (uint32_t)(nobody - b->routes->of);
    return nobody == NULL;
}

void routes_doubt(struct bench *b)
{
    b->routes->doubted = true;
}

bool routes_doubted(const struct bench *b)
{
    return b->routes->doubted;
}

/* --- Endpoints ------------------------------------------------------------------------------- */

static uint32_t find_endpoint(struct bench *b, const char *host, uint16_t port)
{
    for (uint32_t i = 0; i < b->endpoint_count; i++) {
        const struct bench_address *a = &b->endpoints[i].address;
        if (a->port == port && strcmp(a->host, host) == 0) {
            return i;
        }
    }
    if (b->endpoint_count == BENCH_ENDPOINTS_MAX) {
        bench_fail(b, "the cluster has more than %d servers", BENCH_ENDPOINTS_MAX);
        return BENCH_ENDPOINTS_MAX;
    }
    struct endpoint *e = &b->endpoints[b->endpoint_count];
    *e = (struct endpoint){ 0 };
    bench_address_set(&e->address, host, port);
    if (!endpoint_resolve(b, e)) {
        return BENCH_ENDPOINTS_MAX;
    }
    b->endpoint_count++;
    b->client_count += b->session_count; /* the room is there */
    return b->endpoint_count - 1;
}

/* An empty host is that of whoever says so; "?" is not known to it. */
static uint32_t endpoint_named(struct bench *b, struct span host, int64_t port, uint32_t by)
{
    char name[BENCH_HOST_BYTES_MAX];
    if (port < 1 || port > 65535 || host.n >= sizeof name || (host.n == 1 && host.p[0] == '?')) {
        return BENCH_ENDPOINTS_MAX;
    }
    if (host.n == 0) {
        memcpy(name, b->endpoints[by].address.host, sizeof name);
    } else {
        memcpy(name, host.p, host.n);
        name[host.n] = 0;
    }
    return find_endpoint(b, name, (uint16_t)port);
}

uint32_t routes_told(struct bench *b, struct span text, uint32_t by, bool moved)
{
    const uint8_t *end = text.p + text.n;
    const uint8_t *blank = memchr(text.p, ' ', text.n);
    const uint8_t *colon = blank == NULL ? NULL : memrchr(blank, ':', (size_t)(end - blank));
    int64_t slot = 0, port = 0;
    if (colon == NULL || !number_from(span_of(text.p, (size_t)(blank - text.p)), &slot) ||
        slot < 0 || slot >= (int64_t)SLOTS ||
        !number_from(span_of(colon + 1, (size_t)(end - colon - 1)), &port)) {
        return BENCH_ENDPOINTS_MAX;
    }
    struct span host = span_of(blank + 1, (size_t)(colon - blank - 1));
    uint32_t endpoint = endpoint_named(b, host, port, by);
    if (moved && endpoint != BENCH_ENDPOINTS_MAX) {
        b->routes->of[slot] = (uint8_t)endpoint;
        b->endpoints[endpoint].serves = true;
    }
    return endpoint;
}

/* --- The answer ------------------------------------------------------------------------------ */

static void end_question(struct bench *b)
{
    struct routes *r = b->routes;
    if (r->fd >= 0) {
        close(r->fd);
    }
    r->fd = -1;
    r->asked = false;
    r->in_n = 0;
    r->not_before = b->now + AGAIN_NS;
    r->endpoint = (r->endpoint + 1) % b->endpoint_count;
}

/* The run fails for it only when nobody has ever answered. */
static void failed(struct bench *b, const char *why, struct span text)
{
    struct routes *r = b->routes;
    const char *name = b->endpoints[r->endpoint].address.name;
    end_question(b);
    if (++r->failures >= b->endpoint_count && b->tally.maps == 0 && !b->options.reconnect) {
        bench_fail(b, "%s does not say who has which slot: %s%.*s", name, why,
                   (int)min_u64(text.n, 200), text.p != NULL ? (const char *)text.p : "");
    }
}

static void fail_with(struct bench *b, const char *why)
{
    failed(b, why, span_of(NULL, 0));
}

/* [first, last, [host, port, ...], ...]. False: it is none. */
static bool take_range(struct bench *b, const struct tree *t, uint32_t range, uint8_t *of)
{
    uint32_t leader = tree_element(t, range, 2);
    int64_t first = tree_number(t, tree_element(t, range, 0));
    int64_t last = tree_number(t, tree_element(t, range, 1));
    if (tree_length(t, leader) < 2 || first < 0 || first > last || last >= (int64_t)SLOTS) {
        return false;
    }
    uint32_t endpoint =
        endpoint_named(b, tree_text(t, tree_element(t, leader, 0)),
                       tree_number(t, tree_element(t, leader, 1)), b->routes->endpoint);
    if (endpoint != BENCH_ENDPOINTS_MAX) {
        memset(of + first, (int)endpoint, (size_t)(last - first + 1));
        b->endpoints[endpoint].serves = true;
    }
    return true;
}

static void take_map(struct bench *b, const struct tree *t)
{
    struct routes *r = b->routes;
    uint8_t of[SLOTS];
    memset(of, NOBODY, sizeof of);
    if (tree_type(t, 0) == '-') {
        failed(b, "", tree_text(t, 0));
        return;
    }
    for (uint32_t i = 0; i < b->endpoint_count; i++) {
        b->endpoints[i].serves = false;
    }
    uint32_t left = tree_length(t, 0);
    for (uint32_t at = 1; left > 0; left--, at = t->items[at].end) {
        if (!take_range(b, t, at, of)) {
            fail_with(b, "its answer to CLUSTER SLOTS is none");
            return;
        }
    }
    memcpy(r->of, of, sizeof of);
    b->tally.maps++;
    r->failures = 0;
    r->doubted = false;
    end_question(b);
}

/* --- The question ---------------------------------------------------------------------------- */

static void begin_question(struct bench *b)
{
    struct routes *r = b->routes;
    const struct endpoint *e = &b->endpoints[r->endpoint];
    r->since = b->now;
    r->fd = socket(e->socket.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (r->fd < 0) {
        bench_fail(b, "no more connections: %s (ulimit -n)", strerror(errno));
        return;
    }
    struct epoll_event event = { .events = EPOLLIN | EPOLLOUT, .data.ptr = b->routes };
    if (connect(r->fd, (const struct sockaddr *)&e->socket, e->socket_bytes) != 0 &&
        errno != EINPROGRESS) {
        fail_with(b, strerror(errno));
    } else if (epoll_ctl(b->epoll, EPOLL_CTL_ADD, r->fd, &event) != 0) {
        bench_fail(b, "no more connections: %s", strerror(errno));
    }
}

static void ask(struct bench *b)
{
    struct routes *r = b->routes;
    const struct bench_options *o = &b->options;
    char out[16 * KIB]; /* passwords have a bound */
    size_t n = 0;
    int error = 0;
    socklen_t size = sizeof error;
    (void)getsockopt(r->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) {
        fail_with(b, strerror(error));
        return;
    }
    r->greetings = o->password != NULL;
    if (o->user != NULL) {
        n = request_write(out, sizeof out, (const char *const[]){ "AUTH", o->user, o->password },
                          3);
    } else if (o->password != NULL) {
        n = request_write(out, sizeof out, (const char *const[]){ "AUTH", o->password }, 2);
    }
    n += request_write(out + n, sizeof out - n, (const char *const[]){ "CLUSTER", "SLOTS" }, 2);
    if (n > sizeof out || send(r->fd, out, n, MSG_NOSIGNAL) != (ssize_t)n) {
        fail_with(b, "the connection was lost");
        return;
    }
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = r };
    (void)epoll_ctl(b->epoll, EPOLL_CTL_MOD, r->fd, &event);
    r->asked = true;
    tree_reset(&r->tree);
}

/* What has come, reply by reply. */
static void read_replies(struct bench *b)
{
    struct routes *r = b->routes;
    for (;;) {
        enum tree_result result = tree_read(&r->tree, r->in, r->in_n);
        if (result == TREE_MORE) {
            return;
        }
        if (result == TREE_BAD) {
            fail_with(b, "it does not speak Redis's protocol");
            return;
        }
        if (r->greetings == 0) {
            take_map(b, &r->tree);
            return;
        }
        if (tree_type(&r->tree, 0) == '-') {
            failed(b, "", tree_text(&r->tree, 0));
            return;
        }
        r->greetings--;
        r->in_n -= r->tree.at;
        memmove(r->in, r->in + r->tree.at, r->in_n);
        tree_reset(&r->tree);
    }
}

void routes_event(struct bench *b)
{
    struct routes *r = b->routes;
    if (r->fd < 0) { /* ended earlier in this turn */
        return;
    }
    if (!r->asked) {
        ask(b);
        return;
    }
    if (r->in_cap - r->in_n < READ_BYTES) {
        r->in_cap = r->in_cap * 2 + READ_BYTES;
        r->in = qr_realloc(r->in, r->in_cap);
    }
    ssize_t n = recv(r->fd, r->in + r->in_n, r->in_cap - r->in_n, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (n <= 0 || r->in_n + (size_t)n > BENCH_MAP_BYTES_MAX) {
        fail_with(b, n <= 0 ? "the connection was lost" : "the answer is too long");
        return;
    }
    r->in_n += (size_t)n;
    read_replies(b);
}

/* Another one is asked. A server that is slow once has not refused: that ends the run only where
 * its connections would have been given up as well. */
static void give_up(struct bench *b)
{
    if ((double)(b->now - b->began) > b->options.timeout_s * SECOND_NS) {
        fail_with(b, "no answer");
    } else {
        end_question(b);
    }
}

void routes_tick(struct bench *b)
{
    struct routes *r = b->routes;
    if (r->fd >= 0 && b->now - r->since > PATIENCE_NS) {
        give_up(b);
    }
    if (r->fd < 0 && r->doubted && b->now >= r->not_before && b->phase < PHASE_DRAIN) {
        begin_question(b);
    }
}
