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
#define PART_BYTES_MIN ((size_t)64 * 1024) /* less is copied */

/* The longest number with its type byte and line end. */
#define HEADER_BYTES_MAX ((size_t)24)

void reply_init(struct reply *r, uint8_t version)
{
    qr_assert(version == 2 || version == 3);
    *r = (struct reply){ .version = version };
}

void reply_free(struct reply *r)
{
    reply_cut(r, 0);
    free(r->p);
    *r = (struct reply){ .version = r->version };
}

void reply_cut(struct reply *r, size_t n)
{
    struct reply_parts *parts = r->parts;
    r->n = n;
    /* A part never stands at the beginning of what is written: its length comes before it, or it
     * is all of a reply. */
    while (parts != NULL && parts->count > 0 && (n == 0 || parts->v[parts->count - 1].at > n)) {
        struct reply_part *last = &parts->v[--parts->count];
        parts->bytes -= last->n;
        rope_release(last->rope);
    }
    if (parts != NULL && parts->count == 0) {
        free(parts);
        r->parts = NULL;
    }
}

static void add_part(struct reply *r, struct rope *rope, size_t from, size_t n)
{
    struct reply_parts *parts = r->parts;
    uint32_t count = parts != NULL ? parts->count : 0;
    if (parts == NULL || count == parts->cap) {
        uint32_t cap = count == 0 ? 2 : count * 2;
        parts = qr_realloc(parts, sizeof *parts + cap * sizeof parts->v[0]);
        parts->cap = cap;
        parts->count = count;
        parts->bytes = count == 0 ? 0 : parts->bytes;
        r->parts = parts;
    }
    parts->v[parts->count++] =
        (struct reply_part){ .at = r->n, .rope = rope, .from = from, .n = n };
    parts->bytes += n;
}

size_t reply_bytes_behind(const struct reply *r, size_t start)
{
    size_t n = r->n - start;
    for (uint32_t i = r->parts != NULL ? r->parts->count : 0; i > 0; i--) {
        const struct reply_part *part = &r->parts->v[i - 1];
        if (part->at < start) {
            break;
        }
        n += part->n;
    }
    return n;
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

void reply_field_text(struct reply *r, const char *name, const char *text)
{
    reply_bulk_text(r, name);
    reply_bulk_text(r, text);
}

void reply_field_integer(struct reply *r, const char *name, int64_t value)
{
    reply_bulk_text(r, name);
    reply_integer(r, value);
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

/* --- Ropes ----------------------------------------------------------------------------------- */

void reply_bulk_rope(struct reply *r, struct rope *rope, size_t from, size_t n)
{
    r->is_error = false;
    if (r->discard) {
        return;
    }
    header(r, '$', (int64_t)n);
    if (n >= PART_BYTES_MIN) {
        add_part(r, rope_ref(rope), from, n);
    } else {
        rope_copy(rope, from, n, reply_reserve(r, n));
        r->n += n;
    }
    put(r, "\r\n", 2);
}

void reply_raw_rope(struct reply *r, struct rope *rope)
{
    if (r->discard || rope->n == rope->start) {
        rope_release(rope);
    } else {
        add_part(r, rope, rope->start, rope->n - rope->start);
    }
}

void reply_move(struct reply *r, struct reply *from)
{
    size_t at = 0;
    uint32_t count = from->parts != NULL ? from->parts->count : 0;
    for (uint32_t i = 0; i < count; i++) {
        struct reply_part *part = &from->parts->v[i];
        put(r, from->p + at, part->at - at);
        at = part->at;
        if (r->discard) {
            rope_release(part->rope);
        } else {
            add_part(r, part->rope, part->from, part->n);
        }
    }
    put(r, from->p + at, from->n - at);
    free(from->parts);
    from->parts = NULL;
    reply_reset(from);
}

/* The part that comes next, when it is its turn. */
static const struct reply_part *part_here(const struct reply *r, const struct reply_place *place)
{
    bool left = r->parts != NULL && place->part < r->parts->count;
    const struct reply_part *part = left ? &r->parts->v[place->part] : NULL;
    return part != NULL && part->at == place->at ? part : NULL;
}

struct span reply_slice(const struct reply *r, const struct reply_place *place)
{
    const struct reply_part *part = part_here(r, place);
    if (part != NULL) {
        struct span s = rope_slice(part->rope, part->from + place->part_at);
        return span_of(s.p,
                       (size_t)(s.n < part->n - place->part_at ? s.n : part->n - place->part_at));
    }
    bool left = r->parts != NULL && place->part < r->parts->count;
    size_t end = left ? r->parts->v[place->part].at : r->n;
    return span_of(r->p + place->at, end - place->at);
}

void reply_discard_parts(struct reply *r, struct rope_bin *bin)
{
    for (uint32_t i = 0; r->parts != NULL && i < r->parts->count; i++) {
        rope_discard(bin, r->parts->v[i].rope);
    }
    free(r->parts);
    r->parts = NULL;
}

size_t reply_pinned(const struct reply *r, uint32_t from)
{
    size_t n = 0;
    for (uint32_t i = from; r->parts != NULL && i < r->parts->count; i++) {
        const struct rope *rope = r->parts->v[i].rope;
        n += rope_counted(&rope->refs) == 1 ? rope->n - rope->start : 0;
    }
    return n;
}

void reply_shed(struct reply *r, const struct reply_place *place)
{
    for (uint32_t i = place->part > 0 ? place->part - 1 : 0;
         r->parts != NULL && i < r->parts->count && i <= place->part; i++) {
        const struct reply_part *part = &r->parts->v[i];
        if (rope_counted(&part->rope->refs) == 1) {
            rope_drop_front(part->rope, part->from + (i < place->part ? part->n : place->part_at));
        }
    }
}

void reply_pass(const struct reply *r, struct reply_place *place, size_t n)
{
    const struct reply_part *part = part_here(r, place);
    if (part == NULL) {
        place->at += n;
        qr_assert(place->at <= r->n);
        return;
    }
    place->part_at += n;
    qr_assert(place->part_at <= part->n);
    if (place->part_at == part->n) {
        place->part++;
        place->part_at = 0;
    }
}
