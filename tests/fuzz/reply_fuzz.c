/* Replies: whatever is written is read back as the same, by a strict reader in both versions of the
 * protocol and in RESP2 by the reader that our clients use. The input is a list of values to write.
 */
#include "feed.h"
#include "fuzz.h"
#include "resp_value.h"

#include "base/alloc.h"
#include "resp/reply.h"
#include "resp/scan.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define PIECES_MAX 400u

/* The bytes as a C string without zeros. */
static char *text_of(struct span s)
{
    char *out = qr_alloc(s.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        out[n] = (char)s.p[i];
        n += s.p[i] != 0;
    }
    out[n] = 0;
    return out;
}

/* What is left of an error's text: no line end behind it, none inside it. */
static size_t plain_error(char *text)
{
    size_t n = strlen(text);
    while (n > 0 && (text[n - 1] == '\r' || text[n - 1] == '\n')) {
        n--;
    }
    for (size_t i = 0; i < n; i++) {
        text[i] = text[i] == '\r' || text[i] == '\n' ? ' ' : text[i];
    }
    return n;
}

static void expect_bytes(const struct resp_piece *got, char type, const void *p, size_t n)
{
    qr_assert(got->type == type && !got->null && got->s.n == n);
    qr_assert(n == 0 || memcmp(got->s.p, p, n) == 0);
}

static void expect_number(const struct resp_piece *got, char type, int64_t n)
{
    qr_assert(got->type == type && !got->null && got->n == n);
}

static void expect_double(const struct resp_piece *got, uint8_t version, double v)
{
    char text[64];
    qr_assert(got->type == (version == 3 ? ',' : '$') && got->s.n < sizeof text);
    memcpy(text, got->s.p, got->s.n);
    text[got->s.n] = 0;
    double read = strtod(text, NULL);
    qr_assert(isnan(v) ? isnan(read) : read == v && signbit(read) == signbit(v));
    qr_assert(got->s.n <= 25); /* the shortest form */
}

/* Our clients' reader says the same of the piece, and of its first half that it is not whole. */
static void scan(struct span in, const struct resp_piece *piece)
{
    struct reply_line line;
    int64_t n = reply_line_scan(in.p, in.n, &line);
    if (piece->s.n > REPLY_LINE_BYTES_MAX - 8 && piece->type != '$') {
        return;
    }
    qr_assert(n > 0 && (size_t)n <= in.n && line.type == piece->type);
    if (piece->type == '+' || piece->type == '-') {
        qr_assert(line.text.n == piece->s.n && line.text.p == piece->s.p);
    } else {
        qr_assert(line.number == (piece->null ? -1 : piece->n));
    }
    qr_assert(reply_line_scan(in.p, (size_t)n - 1, &line) == 0);
}

/* Reads back what was written behind `before`: one piece and nothing else. */
static struct resp_piece last_piece(const struct reply *r, size_t before)
{
    struct resp_piece piece;
    struct span in = span_of(r->p + before, r->n - before);
    size_t n = resp_piece_read(in, &piece);
    qr_assert(n == in.n && n > 0);
    if (r->version == 2) {
        scan(in, &piece);
    }
    return piece;
}

static void write_text(struct feed *f, struct reply *r, bool error)
{
    size_t before = r->n;
    struct span s = feed_bytes(f, feed_u8(f));
    char *text = text_of(s);
    if (error) {
        reply_error(r, text);
        struct resp_piece got = last_piece(r, before);
        expect_bytes(&got, '-', text, plain_error(text));
        qr_assert(r->is_error);
    } else {
        text[strcspn(text, "\r\n")] = 0; /* statuses are our own words */
        reply_status(r, text);
        struct resp_piece got = last_piece(r, before);
        expect_bytes(&got, '+', text, strlen(text));
        qr_assert(!r->is_error);
    }
    free(text);
}

static void write_bytes(struct feed *f, struct reply *r, bool verbatim)
{
    size_t before = r->n;
    struct span s = feed_bytes(f, feed_u8(f));
    verbatim ? reply_verbatim(r, s) : reply_bulk(r, s);
    struct resp_piece got = last_piece(r, before);
    if (verbatim && r->version == 3) {
        qr_assert(got.type == '=' && got.s.n == s.n + 4 && memcmp(got.s.p, "txt:", 4) == 0);
        got = (struct resp_piece){ .type = '$', .s = span_of(got.s.p + 4, s.n) };
    }
    expect_bytes(&got, '$', s.p, s.n);
}

static void write_number(struct feed *f, struct reply *r, bool is_double)
{
    size_t before = r->n;
    uint64_t bits = feed_u64(f) >> feed_u8(f) % 64;
    if (is_double) {
        double v;
        memcpy(&v, &bits, sizeof v);
        reply_double(r, v);
        struct resp_piece got = last_piece(r, before);
        expect_double(&got, r->version, v);
    } else {
        reply_integer(r, (int64_t)bits);
        struct resp_piece got = last_piece(r, before);
        expect_number(&got, ':', (int64_t)bits);
    }
}

static void write_small(struct feed *f, struct reply *r, unsigned kind)
{
    size_t before = r->n;
    bool v = (feed_u8(f) & 1) != 0;
    if (kind == 0) {
        reply_bool(r, v);
    } else {
        v ? reply_null(r) : reply_null_array(r);
    }
    struct resp_piece got = last_piece(r, before);
    if (kind == 0) {
        expect_number(&got, r->version == 3 ? '#' : ':', v);
    } else {
        qr_assert(got.null && got.type == (r->version == 3 ? '_' : v ? '$' : '*'));
    }
}

/* The head of an aggregate; returns how many values must follow. */
static uint32_t write_aggregate(struct feed *f, struct reply *r)
{
    static void (*const writers[])(struct reply *, size_t) = { reply_array, reply_map, reply_set,
                                                               reply_push };
    size_t before = r->n;
    unsigned kind = feed_below(f, 4);
    uint32_t n = feed_below(f, 6);
    writers[kind](r, n);
    struct resp_piece got = last_piece(r, before);
    char type = r->version == 3 ? "*%~>"[kind] : '*';
    uint32_t values = kind == 1 ? 2 * n : n;
    expect_number(&got, type, type == '%' ? n : values);
    return values;
}

static uint32_t write_one(struct feed *f, struct reply *r)
{
    unsigned kind = feed_below(f, 9);
    switch (kind) {
    case 0:
    case 1:
        write_text(f, r, kind == 1);
        return 0;
    case 2:
    case 3:
        write_bytes(f, r, kind == 3);
        return 0;
    case 4:
    case 5:
        write_number(f, r, kind == 5);
        return 0;
    case 6:
    case 7:
        write_small(f, r, kind - 6);
        return 0;
    default:
        return write_aggregate(f, r);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct feed f = { .p = data, .n = n };
    struct reply r;
    reply_init(&r, (feed_u8(&f) & 1) != 0 ? 3 : 2);
    uint32_t pieces = 0;
    while (f.n > 0 && pieces < PIECES_MAX) {
        size_t before = r.n;
        for (uint32_t left = 1; left > 0; left--) {
            if (pieces++ < PIECES_MAX) {
                left += write_one(&f, &r);
            } else {
                reply_null(&r); /* complete what is open, without more of it */
            }
        }
        struct span value = span_of(r.p + before, r.n - before);
        qr_assert(resp_value_read(value) == value.n);
        qr_assert(value.n < 4 || resp_value_read(span_of(value.p, value.n - 1)) == 0);
    }
    qr_assert(r.cap <= 2 * r.n + 256);
    reply_free(&r);
    return 0;
}
