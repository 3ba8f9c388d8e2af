/* Counters: strings that hold a number.
 *
 * INCRBYFLOAT adds in long double and prints as Redis does: 17 digits after the point, without
 * trailing zeros. The process never sets a locale, so the point is a point. All members of a
 * cluster must share one format of long double (x86-64's 80 bits, for now). */
#include "engine/call.h"

#include "base/text.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Longer texts are no numbers: Redis's bound, and that of its longest output. */
#define LONG_DOUBLE_TEXT_MAX 5120

static void put_number(struct call *c, const struct item *old, const char *text, size_t n)
{
    qr_wall expire = old == NULL ? 0 : item_expire(old);
    (void)store_put(c->engine->store, c->db, c->argv[0], span_of(text, n), expire);
}

/* A large value is no number. */
static struct span text_of(const struct item *item)
{
    return item_rope(item) != NULL ? (struct span){ 0 } : item_value(item);
}

static void add(struct call *c, int64_t step)
{
    const struct item *old = find_for_write(c, c->db, c->argv[0]);
    int64_t v = 0;
    if (old != NULL && !arg_integer(c, text_of(old), &v)) {
        return;
    }
    if (__builtin_add_overflow(v, step, &v)) {
        reply_error(c->reply, "ERR increment or decrement would overflow");
        return;
    }
    char digits[24];
    struct text text = text_in(digits, sizeof digits);
    text_i64(&text, v);
    put_number(c, old, text.p, text.n);
    reply_integer(c->reply, v);
}

void engine_cmd_INCR(struct call *c)
{
    add(c, 1);
}

void engine_cmd_DECR(struct call *c)
{
    add(c, -1);
}

void engine_cmd_INCRBY(struct call *c)
{
    int64_t step = 0;
    if (arg_integer(c, c->argv[1], &step)) {
        add(c, step);
    }
}

void engine_cmd_DECRBY(struct call *c)
{
    int64_t step = 0;
    if (!arg_integer(c, c->argv[1], &step)) {
        return;
    }
    if (step == INT64_MIN) { /* it has no opposite */
        reply_error(c->reply, "ERR decrement would overflow");
        return;
    }
    add(c, -step);
}

/* Accepts what C's strtold accepts (hexadecimal and "inf" too), without blanks before or after. */
static bool parse_long_double(struct span s, long double *out)
{
    char text[LONG_DOUBLE_TEXT_MAX];
    if (s.n == 0 || s.n >= sizeof text || memchr(" \t\n\v\f\r", s.p[0], 6) != NULL) {
        return false;
    }
    memcpy(text, s.p, s.n);
    text[s.n] = 0;
    char *end = NULL;
    errno = 0;
    *out = strtold(text, &end);
    bool out_of_range = errno == ERANGE && (isinf(*out) || *out == 0);
    return (size_t)(end - text) == s.n && !out_of_range && !isnan(*out);
}

static bool arg_long_double(struct call *c, struct span s, long double *out)
{
    if (parse_long_double(s, out)) {
        return true;
    }
    reply_error(c->reply, "ERR value is not a valid float");
    return false;
}

/* Writes the one form in which this engine prints a long double; returns its length. */
static size_t long_double_text(char *text, size_t cap, long double v)
{
    int printed = snprintf(text, cap, "%.17Lf", v);
    size_t n = (size_t)printed;
    while (text[n - 1] == '0') {
        n--;
    }
    if (text[n - 1] == '.') {
        n--;
    }
    if (n == 2 && text[0] == '-' && text[1] == '0') {
        text[0] = '0';
        n = 1;
    }
    return n;
}

void engine_cmd_INCRBYFLOAT(struct call *c)
{
    const struct item *old = find_for_write(c, c->db, c->argv[0]);
    long double v = 0, step = 0;
    if ((old != NULL && !arg_long_double(c, text_of(old), &v)) ||
        !arg_long_double(c, c->argv[1], &step)) {
        return;
    }
    v += step;
    if (isnan(v) || isinf(v)) {
        reply_error(c->reply, "ERR increment would produce NaN or Infinity");
        return;
    }
    char text[LONG_DOUBLE_TEXT_MAX];
    size_t n = long_double_text(text, sizeof text, v);
    put_number(c, old, text, n);
    reply_bulk(c->reply, span_of(text, n));
}
