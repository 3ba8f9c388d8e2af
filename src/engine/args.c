/* Reading arguments with Redis's rules and error texts. */
#include "engine/call.h"

#include "base/limits.h"
#include "base/number.h"

#include <limits.h>
#include <string.h>

static uint8_t lower(uint8_t byte)
{
    return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte + ('a' - 'A')) : byte;
}

bool arg_is(struct span s, const char *word)
{
    size_t i = 0;
    for (; word[i] != 0; i++) {
        if (i == s.n || lower(s.p[i]) != lower((uint8_t)word[i])) {
            return false;
        }
    }
    return i == s.n || s.p[i] == 0;
}

bool arg_integer(struct call *c, struct span s, int64_t *out)
{
    if (number_from(s, out)) {
        return true;
    }
    reply_error(c->reply, "ERR value is not an integer or out of range");
    return false;
}

bool arg_int(struct call *c, struct span s, int *out, const char *text)
{
    int64_t v = 0;
    bool integer = number_from(s, &v);
    if (integer && v >= INT_MIN && v <= INT_MAX) {
        *out = (int)v;
        return true;
    }
    if (text != NULL) {
        reply_error(c->reply, text);
    } else if (!integer) {
        reply_error(c->reply, "ERR value is not an integer or out of range");
    } else {
        reply_errorf(c->reply, "ERR value is out of range, value must between %d and %d", INT_MIN,
                     INT_MAX);
    }
    return false;
}

bool arg_db(struct call *c, struct span s, uint8_t *out)
{
    int db = 0;
    if (!arg_int(c, s, &db, NULL)) {
        return false;
    }
    if (db < 0 || db >= DATABASES) {
        reply_error(c->reply, "ERR DB index is out of range");
        return false;
    }
    *out = (uint8_t)db;
    return true;
}

struct store_bytes arg_bytes(const struct call *c, uint32_t i)
{
    return (struct store_bytes){ .span = c->argv[i],
                                 .rope = c->ropes != NULL ? c->ropes[i] : NULL };
}

bool value_fits(struct call *c, uint64_t n)
{
    if (n <= c->engine->config.value_bytes_max) {
        return true;
    }
    reply_error(c->reply, "ERR string exceeds maximum allowed size (proto-max-bulk-len)");
    return false;
}

bool reply_has_room(struct call *c, size_t start, size_t n, bool shared)
{
    size_t written = c->reply->discard ? 0 : reply_bytes_behind(c->reply, start);
    size_t most = shared || c->reply->parts != NULL ? REPLY_APART_MAX : REPLY_BYTES_MAX;
    if (n <= most && written <= most - n) {
        return true;
    }
    reply_cut(c->reply, start);
    reply_error(c->reply, "ERR reply is too long, ask for less at a time");
    return false;
}

void reply_quoting(struct call *c, const char *before, struct span s, const char *after)
{
    const uint8_t *zero = s.n > 0 ? memchr(s.p, 0, s.n) : NULL;
    size_t n = zero != NULL ? (size_t)(zero - s.p) : s.n;
    reply_errorf(c->reply, "%s%.*s%s", before, n > INT_MAX ? INT_MAX : (int)n, (const char *)s.p,
                 after);
}

void reply_syntax_error(struct call *c)
{
    reply_error(c->reply, "ERR syntax error");
}

void reply_arity_error(struct call *c)
{
    reply_errorf(c->reply, "ERR wrong number of arguments for '%s' command", c->spec->name);
}

void reply_expire_error(struct call *c)
{
    reply_errorf(c->reply, "ERR invalid expire time in '%s' command", c->spec->name);
}

void reply_ok(struct call *c)
{
    reply_status(c->reply, "OK");
}
