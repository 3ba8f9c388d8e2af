/* Requests: however the bytes are split, the same commands and the same error come out; what came
 * out, written again as arrays, reads back as the same commands; and all of that also when the
 * owner of the buffer keeps long arguments apart. The first byte seeds the splits. */
#include "fuzz.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "base/rng.h"
#include "base/text.h"
#include "resp/parse.h"
#include "resp/reply.h"

#include <string.h>

#define WHOLE (SIZE_MAX / 2)

/* Who reads: the buffer is exactly as long as what is there and not used, so that a step beyond it
 * is seen. */
struct reader {
    struct parser parser;
    uint8_t *block;
    size_t n;
    uint8_t *aside; /* the arguments of this command that are kept apart, one behind the other */
    size_t aside_n;
    size_t left; /* bytes of the last of them that are still to come */
    size_t stop; /* in front of a command with more of them */
};

static void set_aside(struct reader *r, const uint8_t *bytes, size_t n)
{
    r->aside = qr_realloc(r->aside, r->aside_n + n + 1);
    memcpy(r->aside + r->aside_n, bytes, n);
    r->aside_n += n;
    r->left -= n;
}

/* Drops bytes [from, from + n) of the buffer. */
static void cut(struct reader *r, size_t from, size_t n)
{
    qr_assert(from + n <= r->n);
    uint8_t *rest = qr_alloc(r->n - n + 1);
    memcpy(rest, r->block, from);
    memcpy(rest + from, r->block + from + n, r->n - n - from);
    free(r->block);
    r->n -= n;
    r->block = qr_alloc(r->n);
    memcpy(r->block, rest, r->n);
    free(rest);
}

static void take_apart(struct reader *r)
{
    struct parser *p = &r->parser;
    qr_assert(p->apart > p->apart_min && p->consumed <= r->n && r->left == 0);
    r->left = p->apart;
    size_t n = r->n - p->consumed < r->left ? r->n - p->consumed : r->left;
    set_aside(r, r->block + p->consumed, n);
    cut(r, p->consumed, n);
}

static bool put_command(struct reader *r, struct reply *out)
{
    struct parser *p = &r->parser;
    size_t aside = 0;
    if (r->aside_n > r->stop) {
        return false;
    }
    if (p->argc > 0) {
        reply_array(out, p->argc);
    }
    for (uint32_t i = 0; i < p->argc; i++) {
        struct span argument = p->argv[i];
        if (argument.p == NULL && argument.n > 0) {
            qr_assert(argument.n > p->apart_min);
            argument.p = r->aside + aside;
            aside += argument.n;
        }
        reply_bulk(out, argument);
    }
    qr_assert(aside == r->aside_n && aside <= p->apart_bytes_max);
    r->aside_n = 0;
    return true;
}

/* Appends what the parser says to `out`: commands as arrays, then the error. */
static bool drain(struct reader *r, struct reply *out)
{
    struct parser *p = &r->parser;
    while (r->left == 0) {
        switch (parser_next(p, r->block, r->n)) {
        case PARSE_INCOMPLETE:
            qr_assert(p->want == 0 || p->want > r->n);
            return true;
        case PARSE_APART:
            take_apart(r);
            break;
        case PARSE_ERROR:
            reply_error(out, p->error);
            return false;
        case PARSE_COMMAND:
            qr_assert(p->consumed > 0 && p->consumed <= r->n);
            if (!put_command(r, out)) {
                return false;
            }
            cut(r, 0, p->consumed);
            break;
        }
    }
    return true;
}

static void come(struct reader *r, const uint8_t *data, size_t n)
{
    size_t apart = n < r->left ? n : r->left;
    set_aside(r, data, apart);
    uint8_t *block = qr_alloc(r->n + n - apart);
    memcpy(block, r->block, r->n);
    memcpy(block + r->n, data + apart, n - apart);
    free(r->block);
    r->block = block;
    r->n += n - apart;
}

/* How it is read: in pieces of 1 .. longest bytes, arguments of more than apart_min bytes apart, at
 * most so many bytes of them in a command; up to the first command that has more than `stop`. */
struct way {
    size_t longest;
    size_t apart_min, apart_bytes_max, stop;
    uint64_t seed;
};

static void feed(const uint8_t *data, size_t n, struct way way, struct reply *out)
{
    struct reader r = { 0 };
    uint64_t seed = way.seed;
    parser_init(&r.parser);
    r.parser.authenticated = (seed & 1) != 0;
    r.parser.apart_min = way.apart_min;
    r.parser.apart_bytes_max = way.apart_bytes_max;
    r.parser.command_bytes_max = WHOLE;
    r.stop = way.stop;
    r.block = qr_alloc(1);
    r.aside = qr_alloc(1);
    bool alive = true;
    for (size_t at = 0; alive && at < n;) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        size_t piece = 1 + (size_t)((seed >> 33) % way.longest);
        piece = n - at < piece ? n - at : piece;
        come(&r, data + at, piece);
        at += piece;
        alive = drain(&r, out);
    }
    /* Nothing is reserved that was only announced (scenario 111). */
    qr_assert(r.parser.capacity <= 16 || r.parser.capacity <= 2 * n);
    parser_free(&r.parser);
    free(r.block);
    free(r.aside);
}

static void compare(const struct reply *a, const struct reply *b)
{
    qr_assert(a->n == b->n);
    qr_assert(a->n == 0 || memcmp(a->p, b->p, a->n) == 0);
}

#define TOO_BIG "-too big request\r\n"

/* The same commands come out when the long arguments are kept apart; where the owner takes only so
 * much of a command, the commands before the first that is too big. */
static void keep_apart(const uint8_t *data, size_t n, uint64_t seed, const struct reply *whole)
{
    struct reply apart, before;
    reply_init(&apart, 2);
    reply_init(&before, 2);
    size_t least = 1 + (size_t)(seed >> 3) % 12;
    feed(data, n, (struct way){ 1 + seed % 40, least, WHOLE, WHOLE, seed }, &apart);
    compare(whole, &apart);
    reply_reset(&apart);
    feed(data, n, (struct way){ WHOLE, least, WHOLE, 4 * least, seed }, &before);
    feed(data, n, (struct way){ 1 + seed % 7, least, 4 * least, WHOLE, seed }, &apart);
    size_t error = strlen(TOO_BIG);
    if (apart.n >= error && memcmp(apart.p + apart.n - error, TOO_BIG, error) == 0) {
        apart.n -= error;
        qr_assert(apart.n == before.n || (apart.n < before.n && before.p[apart.n] == '-'));
        before.n = apart.n;
    }
    compare(&before, &apart);
    reply_free(&apart);
    reply_free(&before);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 2) {
        return 0;
    }
    uint64_t seed = data[0];
    data++;
    n--;
    struct way in_one = { WHOLE, SIZE_MAX, WHOLE, WHOLE, seed };
    struct way in_pieces = { 1 + seed % 40, SIZE_MAX, WHOLE, WHOLE, seed };
    struct reply whole, split, again;
    reply_init(&whole, 2);
    reply_init(&split, 2);
    reply_init(&again, 2);
    feed(data, n, in_one, &whole);
    feed(data, n, in_pieces, &split);
    compare(&whole, &split);
    keep_apart(data, n, seed, &whole);
    if (whole.n > 0 && !whole.is_error) {
        in_one.seed = 1;
        feed(whole.p, whole.n, in_one, &again);
        compare(&whole, &again);
    }
    reply_free(&whole);
    reply_free(&split);
    reply_free(&again);
    return 0;
}
