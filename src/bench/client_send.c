/* A connection's requests. The output buffer is small and fixed; a value that does not fit is
 * written piece by piece as the kernel takes what stands before it. */
#include "bench/bench_internal.h"

#include "base/panic.h"
#include "resp/request.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/epoll.h>

/* --- Writing --------------------------------------------------------------------------------- */

static const char two_digits[] = "00010203040506070809101112131415161718192021222324"
                                 "25262728293031323334353637383940414243444546474849"
                                 "50515253545556575859606162636465666768697071727374"
                                 "75767778798081828384858687888990919293949596979899";

static const char asking[] = "*1\r\n$6\r\nASKING\r\n";

static void put_six(char *out, uint32_t v)
{
    memcpy(out + 4, two_digits + (size_t)(v % 100) * 2, 2);
    memcpy(out + 2, two_digits + (size_t)(v / 100 % 100) * 2, 2);
    memcpy(out, two_digits + (size_t)(v / 10000) * 2, 2);
}

static void put_twelve(char *out, uint64_t v)
{
    put_six(out, (uint32_t)(v / 1000000));
    put_six(out + 6, (uint32_t)(v % 1000000));
}

void bench_key_text(const struct bench *b, uint64_t key, char out[KEY_TEXT_BYTES])
{
    size_t n = b->key_bytes - 12;
    memcpy(out, b->options.prefix, n);
    put_twelve(out + n, key);
    out[n + 12] = 0;
}

void request_prepare(struct bench *b)
{
    size_t n = strlen(b->options.prefix) + 12;
    b->key_bytes = n;
    b->set_head_n = (size_t)snprintf(b->set_head, sizeof b->set_head,
                                     "*3\r\n$3\r\nSET\r\n$%zu\r\n%s", n, b->options.prefix);
    b->get_head_n = (size_t)snprintf(b->get_head, sizeof b->get_head,
                                     "*2\r\n$3\r\nGET\r\n$%zu\r\n%s", n, b->options.prefix);
    qr_assert(b->set_head_n + 12 + 64 + sizeof asking < REQUEST_HEAD_BYTES);
}

static char *put_length(char *out, uint32_t bytes)
{
    char digits[10];
    int n = 0;
    do {
        digits[n++] = (char)('0' + bytes % 10);
        bytes /= 10;
    } while (bytes > 0);
    memcpy(out, "\r\n$", 3);
    out += 3;
    while (n > 0) {
        *out++ = digits[--n];
    }
    memcpy(out, "\r\n", 2);
    return out + 2;
}

static void put_read(struct bench *b, struct client *c, const struct flight *f)
{
    char *out = c->out + c->out_n;
    memcpy(out, b->get_head, b->get_head_n);
    out += b->get_head_n;
    put_twelve(out, f->key);
    memcpy(out + 12, "\r\n", 2);
    c->out_n = (size_t)(out + 14 - c->out);
}

/* As much of the value that is being written as there is room for. */
static void put_body(struct bench *b, struct client *c)
{
    const struct flight *f = &c->body;
    uint32_t room = (uint32_t)(BENCH_OUTPUT_BYTES - c->out_n);
    uint32_t left = f->bytes - c->body_at;
    uint32_t n = left < room ? left : room;
    value_write(&b->form, f->key, f->mark, f->bytes, c->body_at, n, c->out + c->out_n);
    c->out_n += n;
    c->body_at += n;
    if (c->body_at == f->bytes && room - n >= 2) {
        memcpy(c->out + c->out_n, "\r\n", 2);
        c->out_n += 2;
        c->body_open = false;
    }
}

static void put_write(struct bench *b, struct client *c, const struct flight *f)
{
    char *out = c->out + c->out_n;
    memcpy(out, b->set_head, b->set_head_n);
    out += b->set_head_n;
    put_twelve(out, f->key);
    out = put_length(out + 12, f->bytes);
    c->out_n = (size_t)(out - c->out);
    c->body = *f;
    c->body_at = 0;
    c->body_open = true;
    put_body(b, c);
}

static void put_command(struct client *c, const char *const *words, size_t count)
{
    c->out_n += request_write(c->out + c->out_n, BENCH_OUTPUT_BYTES - c->out_n, words, count);
    qr_assert(c->out_n <= BENCH_OUTPUT_BYTES);
    c->greetings++;
}

/* AUTH and SELECT as asked for, and a PING: whoever answers them is a server for us. */
void client_greet(struct bench *b, struct client *c)
{
    const struct bench_options *o = &b->options;
    char number[24];
    snprintf(number, sizeof number, "%" PRIu64, o->db);
    c->greetings = c->greeted = 0;
    if (o->user != NULL) {
        put_command(c, (const char *const[]){ "AUTH", o->user, o->password }, 3);
    } else if (o->password != NULL) {
        put_command(c, (const char *const[]){ "AUTH", o->password }, 2);
    }
    if (o->db != 0 || o->keyspace != NULL) {
        const char *what = o->keyspace != NULL ? o->keyspace : number;
        put_command(c, (const char *const[]){ "SELECT", what }, 2);
    }
    put_command(c, (const char *const[]){ "PING" }, 1);
    (void)client_push(b, c);
}

/* --- Sending --------------------------------------------------------------------------------- */

static void want_room(struct bench *b, struct client *c, bool wanted)
{
    if (c->writable != wanted) {
        struct epoll_event event = { .events = EPOLLIN | (wanted ? (uint32_t)EPOLLOUT : 0),
                                     .data.ptr = c };
        (void)epoll_ctl(b->epoll, EPOLL_CTL_MOD, c->fd, &event);
        c->writable = wanted;
    }
}

bool client_push(struct bench *b, struct client *c)
{
    for (;;) {
        while (c->out_at < c->out_n) {
            ssize_t n = send(c->fd, c->out + c->out_at, c->out_n - c->out_at, MSG_NOSIGNAL);
            if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
                want_room(b, c, true);
                return true;
            }
            if (n < 0) {
                client_ended(b, c, errno);
                return false;
            }
            c->out_at += (size_t)n;
            b->tally.bytes_out += (uint64_t)n;
        }
        c->out_at = c->out_n = 0;
        if (!c->body_open) {
            want_room(b, c, false);
            return true;
        }
        put_body(b, c);
    }
}

uint32_t request_depth(const struct bench *b)
{
    return b->phase == PHASE_FILL ? b->fill_depth : (uint32_t)b->options.pipeline;
}

bool client_may_send(const struct bench *b, const struct client *c)
{
    return c->state == CLIENT_OPEN && c->wake == 0 && !c->leaving && !c->body_open &&
           c->in_flight < (b->sessions == NULL ? request_depth(b) : b->ring_mask) &&
           BENCH_OUTPUT_BYTES - c->out_n >= REQUEST_HEAD_BYTES;
}

static void put_in_ring(struct bench *b, struct client *c, const struct flight *f)
{
    if (c->in_flight == 0) {
        c->silence = b->now;
    }
    c->ring[(c->first + c->in_flight++) & b->ring_mask] = *f;
}

void client_put(struct bench *b, struct client *c, const struct flight *f)
{
    put_in_ring(b, c, f);
    b->in_flight++;
    if (b->sessions != NULL) {
        b->sessions[c->number % b->session_count].in_flight++;
    }
    if (f->write) {
        put_write(b, c, f);
    } else {
        put_read(b, c, f);
    }
}

void client_put_asking(struct bench *b, struct client *c)
{
    put_in_ring(b, c, &(struct flight){ .asking = true });
    memcpy(c->out + c->out_n, asking, sizeof asking - 1);
    c->out_n += sizeof asking - 1;
}

bool client_take_operation(struct bench *b, struct client *c)
{
    struct flight f;
    if (!source_next(b, &f)) {
        return false;
    }
    client_put(b, c, &f);
    return true;
}

void client_send(struct bench *b, struct client *c)
{
    bool more = true;
    while (more) {
        while (client_may_send(b, c) && client_take_operation(b, c)) {
        }
        bool full = c->out_n > 0 && c->in_flight < request_depth(b);
        if (c->out_n == 0 || !client_push(b, c)) {
            return;
        }
        more = full && c->out_n == 0 && client_may_send(b, c);
    }
}
