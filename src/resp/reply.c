/* Writing replies: see reply.h. The growing buffer doubles, so a reply of n bytes costs n bytes of
 * copying; whoever hands out the reply bounds it (R4). */
#include "resp/reply.h"

#include "base/alloc.h"
#include "base/panic.h"

#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define REPLY_BYTES_MIN ((size_t)128)

/* The longest number with its type byte and line end. */
#define HEADER_BYTES_MAX ((size_t)24)

void reply_init(struct reply *r, uint8_t version)
{
    qr_assert(version == 2 || version == 3);
    *r = (struct reply){ .version = version };
}

void reply_free(struct reply *r)
{
    free(r->p);
    *r = (struct reply){ .version = r->version };
}

uint8_t *reply_reserve(struct reply *r, size_t n)
{
    if (r->discard) {
        r->n = 0; /* what is written to nobody may overwrite itself */
    }
    if (r->cap - r->n < n) {
        size_t cap = r->cap < REPLY_BYTES_MIN ? REPLY_BYTES_MIN : r->cap;
        while (cap - r->n < n) {
            qr_assert(cap <= SIZE_MAX / 2);
            cap *= 2;
        }
        r->p = qr_realloc(r->p, cap);
        r->cap = cap;
    }
    return r->p + r->n;
}

static void put(struct reply *r, const void *p, size_t n)
{
    if (r->discard || n == 0) {
        return;
    }
    memcpy(reply_reserve(r, n), p, n);
    r->n += n;
}

/* Two digits at a time: integers and lengths are written for every reply. */
static size_t decimal(uint8_t *out, uint64_t v)
{
    static const char pairs[] =
        "00010203040506070809101112131415161718192021222324252627282930313233"
        "34353637383940414243444546474849505152535455565758596061626364656667"
        "68697071727374757677787980818283848586878889909192939495969798"
        "99";
    uint8_t digits[20];
    size_t at = sizeof digits;
    while (v >= 100) {
        at -= 2;
        memcpy(digits + at, pairs + 2 * (v % 100), 2);
        v /= 100;
    }
    if (v >= 10) {
        at -= 2;
        memcpy(digits + at, pairs + 2 * v, 2);
    } else {
        digits[--at] = (uint8_t)('0' + v);
    }
    memcpy(out, digits + at, sizeof digits - at);
    return sizeof digits - at;
}

/* Type byte, number, line end. */
static void header(struct reply *r, char type, int64_t v)
{
    if (r->discard) {
        return;
    }
    uint8_t *start = reply_reserve(r, HEADER_BYTES_MAX);
    uint8_t *p = start;
    *p++ = (uint8_t)type;
    if (v < 0) {
        *p++ = '-';
    }
    p += decimal(p, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
    *p++ = '\r';
    *p++ = '\n';
    r->n += (size_t)(p - start);
}

void reply_status(struct reply *r, const char *s)
{
    put(r, "+", 1);
    put(r, s, strlen(s));
    put(r, "\r\n", 2);
    r->is_error = false;
}

void reply_error(struct reply *r, const char *s)
{
    r->is_error = true;
    if (r->discard) {
        return;
    }
    size_t n = strlen(s);
    /* Trailing line ends go, as in Redis; those inside would break the protocol. */
    while (n > 0 && (s[n - 1] == '\r' || s[n - 1] == '\n')) {
        n--;
    }
    uint8_t *p = reply_reserve(r, n + 3);
    p[0] = '-';
    for (size_t i = 0; i < n; i++) {
        p[1 + i] = s[i] == '\r' || s[i] == '\n' ? ' ' : (uint8_t)s[i];
    }
    memcpy(p + 1 + n, "\r\n", 2);
    r->n += n + 3;
}

void reply_errorf(struct reply *r, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *text = NULL;
    int n = vasprintf(&text, format, arguments);
    va_end(arguments);
    qr_assert(n >= 0);
    reply_error(r, text);
    free(text);
}

void reply_integer(struct reply *r, int64_t v)
{
    header(r, ':', v);
    r->is_error = false;
}

void reply_bulk(struct reply *r, struct span s)
{
    header(r, '$', (int64_t)s.n);
    put(r, s.p, s.n);
    put(r, "\r\n", 2);
    r->is_error = false;
}

void reply_bulk_text(struct reply *r, const char *s)
{
    reply_bulk(r, span_of(s, strlen(s)));
}

void reply_null(struct reply *r)
{
    if (r->version == 3) {
        put(r, "_\r\n", 3);
    } else {
        put(r, "$-1\r\n", 5);
    }
    r->is_error = false;
}

void reply_null_array(struct reply *r)
{
    if (r->version == 3) {
        put(r, "_\r\n", 3);
    } else {
        put(r, "*-1\r\n", 5);
    }
    r->is_error = false;
}

/* The shortest digits that read back as the same number. 15 always survive a round trip from
 * decimal, so anything shorter is those 15 without their zeros (but for numbers so small that they
 * have fewer bits). Returns the count; *power is the
 * power of ten of the last digit. */
static int shortest_digits(double v, char *digits, int *power)
{
    char text[40];
    for (int precision = v < DBL_MIN ? 0 : 14; precision <= 16; precision++) {
        (void)snprintf(text, sizeof text, "%.*e", precision, v);
        if (strtod(text, NULL) == v) {
            break;
        }
    }
    int n = 0;
    char *p = text;
    for (; *p != 'e'; p++) {
        if (*p != '.') {
            digits[n++] = *p;
        }
    }
    int exponent = (int)strtol(p + 1, NULL, 10);
    while (n > 1 && digits[n - 1] == '0') {
        n--;
    }
    *power = exponent - (n - 1);
    return n;
}

/* Redis 7.2's notation for a finite positive number that is no integer below 2^52: plain digits
 * while that stays short, else d.ddde+x. */
static size_t write_double(char *out, double v)
{
    char digits[32];
    int power;
    int n = shortest_digits(v, digits, &power);
    int exponent = power + n - 1;
    int magnitude = exponent < 0 ? -exponent : exponent;
    if (power >= 0 && magnitude < n + 7) {
        memcpy(out, digits, (size_t)n);
        memset(out + n, '0', (size_t)power);
        return (size_t)(n + power);
    }
    if (power < 0 && (power > -7 || magnitude < 4)) {
        int whole = n + power; /* digits before the point */
        if (whole <= 0) {
            memcpy(out, "0.", 2);
            memset(out + 2, '0', (size_t)-whole);
            memcpy(out + 2 - whole, digits, (size_t)n);
            return (size_t)(2 - whole + n);
        }
        memcpy(out, digits, (size_t)whole);
        out[whole] = '.';
        memcpy(out + whole + 1, digits + whole, (size_t)(n - whole));
        return (size_t)n + 1;
    }
    size_t at = 0;
    out[at++] = digits[0];
    if (n > 1) {
        out[at++] = '.';
        memcpy(out + at, digits + 1, (size_t)n - 1);
        at += (size_t)n - 1;
    }
    out[at++] = 'e';
    out[at++] = exponent < 0 ? '-' : '+';
    return at + decimal((uint8_t *)out + at, (uint64_t)magnitude);
}

/* Fits 40 bytes; no terminator. */
static size_t double_text(char *out, double v)
{
    if (isnan(v)) {
        memcpy(out, "nan", 3);
        return 3;
    }
    size_t sign = 0;
    if (signbit(v)) {
        out[0] = '-';
        sign = 1;
        v = -v;
    }
    if (isinf(v)) {
        memcpy(out + sign, "inf", 3);
        return sign + 3;
    }
    if (v < 4503599627370496.0 && v == floor(v)) {
        return sign + decimal((uint8_t *)out + sign, (uint64_t)v);
    }
    return sign + write_double(out + sign, v);
}

void reply_double(struct reply *r, double v)
{
    char text[48];
    size_t n = double_text(text, v);
    qr_assert(n <= sizeof text);
    if (r->version == 3) {
        put(r, ",", 1);
        put(r, text, n);
        put(r, "\r\n", 2);
    } else {
        reply_bulk(r, span_of(text, n));
    }
    r->is_error = false;
}

void reply_bool(struct reply *r, bool v)
{
    if (r->version == 3) {
        put(r, v ? "#t\r\n" : "#f\r\n", 4);
    } else {
        put(r, v ? ":1\r\n" : ":0\r\n", 4);
    }
    r->is_error = false;
}

void reply_verbatim(struct reply *r, struct span s)
{
    if (r->version != 3) {
        reply_bulk(r, s);
        return;
    }
    header(r, '=', (int64_t)s.n + 4);
    put(r, "txt:", 4);
    put(r, s.p, s.n);
    put(r, "\r\n", 2);
    r->is_error = false;
}

static void aggregate(struct reply *r, char type, size_t n)
{
    qr_assert(n <= INT64_MAX);
    header(r, r->version == 3 ? type : '*', (int64_t)n);
    r->is_error = false;
}

void reply_array(struct reply *r, size_t n)
{
    aggregate(r, '*', n);
}

void reply_map(struct reply *r, size_t pairs)
{
    aggregate(r, '%', r->version == 3 ? pairs : 2 * pairs);
}

void reply_set(struct reply *r, size_t n)
{
    aggregate(r, '~', n);
}

void reply_push(struct reply *r, size_t n)
{
    aggregate(r, '>', n);
}

void reply_raw(struct reply *r, struct span s)
{
    put(r, s.p, s.n);
}
