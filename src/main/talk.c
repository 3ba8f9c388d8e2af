#include "main/talk.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "resp/request.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define READ_BYTES (64 * KIB)

static int64_t clock_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* There is no connection any more. */
static bool broken(struct talk *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool broken(struct talk *t, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(t->error, sizeof t->error, format, arguments);
    va_end(arguments);
    if (t->fd >= 0) {
        close(t->fd);
    }
    t->fd = -1;
    return false;
}

/* Waits until the deadline for what poll calls `what`. */
static bool await(struct talk *t, short what, int64_t deadline)
{
    for (;;) {
        int64_t left = deadline - clock_ms();
        struct pollfd one = { .fd = t->fd, .events = what };
        int n = poll(&one, 1, left > 0 ? (int)left : 0);
        if (n > 0) {
            return true;
        }
        if (n == 0) {
            return broken(t, "no answer within %g s", t->timeout_ms / 1000.0);
        }
        if (errno != EINTR) {
            return broken(t, "poll: %s", strerror(errno));
        }
    }
}

/* --- The connection -------------------------------------------------------------------------- */

static bool dial(struct talk *t, const struct addrinfo *to)
{
    int on = 1, error = 0;
    socklen_t size = sizeof error;
    t->fd = socket(to->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (t->fd < 0) {
        return broken(t, "no socket: %s", strerror(errno));
    }
    (void)setsockopt(t->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(t->fd, to->ai_addr, to->ai_addrlen) != 0) {
        if (errno != EINPROGRESS) {
            return broken(t, "%s", strerror(errno));
        }
        if (!await(t, POLLOUT, clock_ms() + t->timeout_ms)) {
            return false;
        }
        (void)getsockopt(t->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    }
    return error == 0 || broken(t, "%s", strerror(error));
}

static bool greet(struct talk *t, const struct talk_where *where)
{
    if (where->password == NULL) {
        return true;
    }
    bool two = where->user != NULL;
    const char *const words[] = { "AUTH", two ? where->user : where->password, where->password };
    if (!talk_ask(t, words, two ? 3 : 2)) {
        return false;
    }
    struct span said = tree_text(&t->reply, 0);
    return !talk_refused(t) || broken(t, "%.*s", (int)min_u64(said.n, 200), (const char *)said.p);
}

bool talk_open(struct talk *t, const struct talk_where *where)
{
    *t = (struct talk){ .fd = -1, .timeout_ms = where->timeout_ms };
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found = NULL;
    char port[8];
    (void)snprintf(port, sizeof port, "%u", where->port);
    int error = getaddrinfo(where->host != NULL ? where->host : "127.0.0.1", port, &hints, &found);
    if (error != 0) {
        return broken(t, "%s", gai_strerror(error));
    }
    bool open = false;
    for (const struct addrinfo *to = found; to != NULL && !open; to = to->ai_next) {
        open = dial(t, to);
    }
    freeaddrinfo(found);
    return open && greet(t, where);
}

void talk_close(struct talk *t)
{
    if (t->fd >= 0) {
        close(t->fd);
    }
    t->fd = -1;
    tree_free(&t->reply);
    free(t->in);
    t->in = NULL;
}

/* --- Commands -------------------------------------------------------------------------------- */

static bool send_all(struct talk *t, const char *p, size_t n, int64_t deadline)
{
    while (n > 0) {
        ssize_t sent = send(t->fd, p, n, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN && errno != EINTR) {
            return broken(t, "the connection was lost: %s", strerror(errno));
        }
        if (sent < 0 && !await(t, POLLOUT, deadline)) {
            return false;
        }
        p += sent > 0 ? sent : 0;
        n -= sent > 0 ? (size_t)sent : 0;
    }
    return true;
}

static bool read_reply(struct talk *t, int64_t deadline)
{
    for (;;) {
        enum tree_result result = tree_read(&t->reply, t->in, t->in_n);
        if (result == TREE_WHOLE) {
            return true;
        }
        if (result == TREE_BAD) {
            return broken(t, "it does not speak Redis's protocol");
        }
        if (t->in_cap - t->in_n < READ_BYTES) {
            t->in_cap = t->in_cap * 2 + READ_BYTES;
            t->in = qr_realloc(t->in, t->in_cap);
        }
        if (!await(t, POLLIN, deadline)) {
            return false;
        }
        ssize_t n = recv(t->fd, t->in + t->in_n, t->in_cap - t->in_n, 0);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
            return broken(t, "the connection was lost: %s",
                          n == 0 ? "closed by the server" : strerror(errno));
        }
        t->in_n += n > 0 ? (size_t)n : 0;
        if (t->in_n > TALK_REPLY_BYTES_MAX) {
            return broken(t, "the answer is too long");
        }
    }
}

bool talk_ask(struct talk *t, const char *const *words, size_t count)
{
    if (t->fd < 0) {
        return false; /* the first error stays */
    }
    int64_t deadline = clock_ms() + t->timeout_ms;
    size_t need = request_write(NULL, 0, words, count);
    char *out = qr_alloc(need);
    (void)request_write(out, need, words, count);
    t->in_n = 0; /* nothing but one reply to each command ever comes */
    tree_reset(&t->reply);
    bool sent = send_all(t, out, need, deadline);
    free(out);
    return sent && read_reply(t, deadline);
}

bool talk_ask_line(struct talk *t, const char *line)
{
    char text[1024];
    const char *words[TALK_WORDS_MAX];
    size_t count = 0;
    int n = snprintf(text, sizeof text, "%s", line);
    qr_assert(n >= 0 && (size_t)n < sizeof text);
    char *rest = text;
    for (char *word = strsep(&rest, " "); word != NULL; word = strsep(&rest, " ")) {
        qr_assert(count < TALK_WORDS_MAX);
        words[count++] = word;
    }
    return talk_ask(t, words, count);
}

bool talk_refused(struct talk *t)
{
    struct span text = tree_text(&t->reply, 0);
    if (tree_type(&t->reply, 0) != '-') {
        return false;
    }
    (void)snprintf(t->error, sizeof t->error, "%.*s", (int)min_u64(text.n, sizeof t->error),
                   (const char *)text.p);
    return true;
}
