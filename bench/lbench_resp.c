/* The load generator's RESP. All requests of a run differ only in the key's digits, and the answers
 * to all GETs are equal, because every value is: so encoding is a copy and checking a comparison.
 */
#include "lbench.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char ok[] = "+OK\r\n";

void resp_prepare(struct bench *b)
{
    bool get = b->operation == OPERATION_GET;
    int n =
        snprintf(b->request, sizeof b->request, "*%d\r\n$3\r\n%s\r\n$%d\r\nkey:000000000000\r\n",
                 get ? 2 : 3, get ? "GET" : "SET", KEY_BYTES);
    b->key_at = (size_t)n - KEY_BYTES - 2;
    if (!get) {
        n += snprintf(b->request + n, sizeof b->request - (size_t)n, "$%d\r\n%.*s\r\n", VALUE_BYTES,
                      VALUE_BYTES, b->value);
    }
    b->request_n = (size_t)n;
    n = snprintf(b->answer, sizeof b->answer, "$%d\r\n%.*s\r\n", VALUE_BYTES, VALUE_BYTES,
                 b->value);
    b->answer_n = (size_t)n;
}

void resp_select(const struct bench *b, struct connection *c)
{
    size_t got = 0;
    int n = snprintf(c->out, BUFFER_BYTES, "SELECT %u\r\n", b->keyspace);
    if (write(c->fd, c->out, (size_t)n) != n) {
        die("write");
    }
    while (got < sizeof ok - 1 && memcmp(c->in, ok, got) == 0) {
        ssize_t more = read(c->fd, c->in + got, sizeof ok - 1 - got);
        if (more <= 0) {
            die("no answer to SELECT");
        }
        got += (size_t)more;
    }
    if (memcmp(c->in, ok, sizeof ok - 1) != 0) {
        die_answer(ok, c->in, got);
    }
}

void resp_encode(struct bench *b, struct connection *c, uint64_t key)
{
    char *out = c->out + c->out_n;
    memcpy(out, b->request, b->request_n);
    put_key_digits(out + b->key_at, key);
    c->out_n += b->request_n;
    if (b->operation == OPERATION_SETWAIT && (c->sent + 1) % b->depth == 0) {
        c->out_n += (size_t)snprintf(c->out + c->out_n, 64,
                                     "*3\r\n$4\r\nWAIT\r\n$1\r\n%u\r\n$4\r\n5000\r\n", b->copies);
    }
}

/* Takes one answer that is known to the byte; its length, 0 while it may still become that. */
static size_t take_exactly(const char *p, size_t n, const char *answer, size_t answer_n)
{
    size_t compared = n < answer_n ? n : answer_n;
    if (memcmp(p, answer, compared) != 0) {
        size_t line = strcspn(answer, "\n") + 1;
        bool same_line = compared > line && memcmp(p, answer, line) == 0;
        die_answer(same_line ? "the value that was written" : answer, p, n);
    }
    return compared == answer_n ? answer_n : 0;
}

/* The answer to a WAIT: so many replicas have all SETs of this round. */
static size_t take_wait(struct bench *b, struct connection *c, const char *p, size_t n)
{
    const char *end = memchr(p, '\n', n);
    if (end == NULL && n < 16) {
        return 0;
    }
    if (end == NULL || p[0] != ':' || strtol(p + 1, NULL, 10) < (long)b->copies) {
        die_answer("a count of enough replicas", p, n);
    }
    for (; c->unconfirmed > 0; c->unconfirmed--) {
        completed(b, c, c->done);
    }
    return (size_t)(end + 1 - p);
}

static size_t take_answer(struct bench *b, struct connection *c, const char *p, size_t n)
{
    size_t used;
    if (b->operation == OPERATION_SETWAIT && c->unconfirmed == b->depth) {
        return take_wait(b, c, p, n);
    }
    if (b->operation == OPERATION_GET) {
        used = take_exactly(p, n, b->answer, b->answer_n);
    } else {
        used = take_exactly(p, n, ok, sizeof ok - 1);
    }
    if (used > 0 && b->operation == OPERATION_SETWAIT) {
        c->unconfirmed++;
    } else if (used > 0) {
        completed(b, c, c->done);
    }
    return used;
}

size_t resp_decode(struct bench *b, struct connection *c)
{
    size_t at = 0;
    while (at < c->in_n) {
        if (c->in_flight == 0) {
            die_answer("nothing, for nothing was asked", c->in + at, c->in_n - at);
        }
        size_t used = take_answer(b, c, c->in + at, c->in_n - at);
        if (used == 0) {
            break;
        }
        at += used;
    }
    return at;
}
