/* Counters: strings that hold a number.
 *
 * INCRBYFLOAT adds and prints as Redis does on x86, on every machine (base/wide.h). */
#include "engine/call.h"

#include "base/text.h"
#include "base/wide.h"

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

static bool arg_wide(struct call *c, struct span s, struct wide *out)
{
    if (wide_read(s, out)) {
        return true;
    }
    reply_error(c->reply, "ERR value is not a valid float");
    return false;
}

void engine_cmd_INCRBYFLOAT(struct call *c)
{
    const struct item *old = find_for_write(c, c->db, c->argv[0]);
    struct wide v = { 0 }, step;
    if ((old != NULL && !arg_wide(c, text_of(old), &v)) || !arg_wide(c, c->argv[1], &step)) {
        return;
    }
    bool infinite = v.infinite || step.infinite;
    v = infinite ? v : wide_add(v, step);
    if (infinite || v.infinite) {
        reply_error(c->reply, "ERR increment would produce NaN or Infinity");
        return;
    }
    char text[WIDE_TEXT_MAX];
    size_t n = wide_write(v, text);
    put_number(c, old, text, n);
    reply_bulk(c->reply, span_of(text, n));
}
