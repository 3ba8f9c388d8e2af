/* One pipelining connection: dials, sends, and sorts each reply into done, refused and unknown. */
#include "load.h"

#include "base/panic.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define DIAL_PAUSE 20000000 /* nanoseconds */

int64_t clock_now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static bool is_write(enum kind kind)
{
    return kind != KIND_GET;
}

static void watch(struct load *load, struct client *client, int how, bool writing)
{
    struct epoll_event event = { .events = EPOLLIN | (writing ? (uint32_t)EPOLLOUT : 0),
                                 .data.ptr = client };
    (void)epoll_ctl(load->epoll, how, client->fd, &event);
}

/* --- Connecting ----------------------------------------------------------------------------- */

struct sockaddr_in client_address(const struct load *load, uint32_t node)
{
    return (struct sockaddr_in){ .sin_family = AF_INET,
                                 .sin_port = htons(load->ports[node]),
                                 .sin_addr.s_addr = load->hosts[node] };
}

void client_dial(struct load *load, struct client *client)
{
    int on = 1;
    uint32_t node = (uint32_t)rng_below(&load->rng, load->port_count);
    client->dial_at = clock_now() + DIAL_PAUSE;
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    qr_assert(client->fd >= 0);
    (void)setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct sockaddr_in address = client_address(load, node);
    if (connect(client->fd, (struct sockaddr *)&address, sizeof address) != 0 &&
        errno != EINPROGRESS) {
        close(client->fd);
        client->fd = -1;
        return;
    }
    watch(load, client, EPOLL_CTL_ADD, true);
}

void client_drop(struct load *load, struct client *client)
{
    for (; client->flight_n > 0; client->flight_n--) {
        struct operation *op =
            &load->record.operations[client->flight[client->flight_first % DEPTH_MAX]];
        client->flight_first++;
        op->outcome = OUTCOME_UNKNOWN;
        if (is_write(op->kind)) {
            load->progress->lost++;
            load->progress->writes_in_flight--;
        }
    }
    close(client->fd); /* and so it leaves the epoll */
    client->fd = -1;
    client->connected = client->leaving = client->selecting = false;
    client->in_n = client->out_n = client->out_at = 0;
    client->dial_at = clock_now() + DIAL_PAUSE;
}

bool client_stalled(const struct load *load, const struct client *client, int64_t now)
{
    if (client->flight_n == 0) {
        return false;
    }
    uint32_t oldest = client->flight[client->flight_first % DEPTH_MAX];
    return now - load->record.operations[oldest].start > load->patience;
}

/* --- Sending -------------------------------------------------------------------------------- */

/* False when the connection is gone. */
static bool flush(struct load *load, struct client *client)
{
    while (client->out_at < client->out_n) {
        ssize_t n = send(client->fd, client->out + client->out_at, client->out_n - client->out_at,
                         MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            watch(load, client, EPOLL_CTL_MOD, true);
            return true;
        }
        if (n < 0) {
            client_drop(load, client);
            return false;
        }
        client->out_at += (size_t)n;
    }
    client->out_at = client->out_n = 0;
    watch(load, client, EPOLL_CTL_MOD, false);
    return true;
}

void client_send(struct load *load, struct client *client, uint32_t n)
{
    int64_t now = clock_now(); /* before anything of it can have left */
    for (uint32_t i = 0; i < n && client->flight_n < load->depth; i++) {
        char key[KEY_TEXT_MAX];
        if (client->out_n + REQUEST_BYTES_MAX > CLIENT_OUT_BYTES) {
            break;
        }
        struct operation *op = record_next(&load->record, &load->rng, client->number, now);
        const char *value = op->argument;
        size_t value_n = strlen(op->argument);
        if (op->kind == KIND_ONCE) {
            value = once_value(op->key, &value_n);
        }
        record_key_text(op->kind, op->key, key);
        client->out_n += request_write(client->out + client->out_n, op->kind, key, value, value_n);
        uint32_t index = (uint32_t)(op - load->record.operations);
        client->flight[(client->flight_first + client->flight_n++) % DEPTH_MAX] = index;
        load->progress->writes_in_flight += is_write(op->kind);
    }
    (void)flush(load, client);
}

/* --- Receiving ------------------------------------------------------------------------------ */

static bool starts_with(const struct reply_view *view, const char *word)
{
    size_t n = strlen(word);
    return view->n >= n && memcmp(view->p, word, n) == 0;
}

static void refused(struct load *load, struct client *client, struct operation *op,
                    const struct reply_view *view)
{
    static const char *const surely_not[] = { "CLUSTERDOWN ", "TRYAGAIN ", "NOSPACE ",
                                              "THROTTLED ",   "LOADING ",  "REMOVED " };
    client->leaving |= starts_with(view, "REMOVED ");
    op->outcome = OUTCOME_UNKNOWN;
    if (starts_with(view, "UNCERTAIN ")) {
        *(is_write(op->kind) ? &load->progress->uncertain : &load->progress->uncertain_reads) += 1;
        return;
    }
    for (size_t i = 0; i < ARRAY_COUNT(surely_not); i++) {
        if (starts_with(view, surely_not[i])) {
            op->outcome = OUTCOME_FAIL;
            load->progress->refused++;
            return;
        }
    }
    load->progress->unexpected++;
    (void)printf("unexpected: %.*s\n", (int)view->n, view->p);
}

static bool has_right_shape(enum kind kind, const struct reply_view *view)
{
    switch (kind) {
    case KIND_GET:
        return view->type == '$';
    case KIND_SET:
    case KIND_ONCE:
        return view->type == '+' && starts_with(view, "OK");
    case KIND_DEL:
    case KIND_APPEND:
    case KIND_INCR:
        return view->type == ':';
    }
    return false;
}

static void answered(struct load *load, struct client *client, struct operation *op,
                     const struct reply_view *view)
{
    struct progress *progress = load->progress;
    progress->writes_in_flight -= is_write(op->kind);
    op->end = clock_now();
    if (view->type == '-') {
        refused(load, client, op, view);
        return;
    }
    if (!has_right_shape(op->kind, view)) {
        progress->unexpected++;
        (void)printf("unexpected: %c%.*s\n", view->type, (int)view->n, view->p);
        return;
    }
    op->outcome = OUTCOME_OK;
    *(is_write(op->kind) ? &progress->acknowledged : &progress->reads) += 1;
    if (view->type != '+' && !view->nil) {
        record_result(&load->record, op, view->p, view->n);
    }
}

static void take_replies(struct load *load, struct client *client)
{
    struct reply_view view;
    size_t at = 0;
    size_t n;
    while ((n = reply_parse(client->in + at, client->in + client->in_n, &view)) > 0) {
        if (client->selecting) { /* refused by a node that does not know the keyspace yet */
            client->selecting = false;
            client->leaving = client->leaving || view.type == '-';
            at += n;
            if (at == client->in_n) {
                break;
            }
            continue;
        }
        qr_assert(client->flight_n > 0); /* a reply that nobody asked for */
        uint32_t index = client->flight[client->flight_first++ % DEPTH_MAX];
        client->flight_n--;
        answered(load, client, &load->record.operations[index], &view);
        at += n;
        if (at == client->in_n) {
            break;
        }
    }
    memmove(client->in, client->in + at, client->in_n - at);
    client->in_n -= at;
}

static bool finish_dialing(struct load *load, struct client *client)
{
    int error = 0;
    socklen_t size = sizeof error;
    (void)getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) {
        client_drop(load, client);
        return false;
    }
    client->connected = true;
    load->progress->connections++;
    client->selecting = load->keyspace != NULL;
    if (client->selecting) {
        client->out_n = select_write(client->out, load->keyspace);
    }
    return flush(load, client);
}

void client_ready(struct load *load, struct client *client, uint32_t events)
{
    if (!client->connected && !finish_dialing(load, client)) {
        return;
    }
    if ((events & EPOLLOUT) != 0 && !flush(load, client)) {
        return;
    }
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0) {
        return;
    }
    ssize_t n = recv(client->fd, client->in + client->in_n, CLIENT_IN_BYTES - client->in_n, 0);
    if (n < 0 && errno == EAGAIN) {
        return;
    }
    if (n > 0) {
        client->in_n += (size_t)n;
        take_replies(load, client);
    } else {
        client_drop(load, client);
    }
}
