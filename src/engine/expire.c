/* Times of keys: the EXPIRE and TTL families.
 *
 * Clients count milliseconds; the store keeps microseconds. A relative time becomes absolute from
 * the stamp of the entry, so that every replica computes the same moment (U56). */
#include "engine/call.h"

#define US_PER_MS 1000

static int64_t now_ms(const struct call *c)
{
    return c->now / US_PER_MS;
}

qr_wall expire_from_ms(int64_t ms)
{
    return (ms < INT64_MAX / US_PER_MS ? ms : INT64_MAX / US_PER_MS) * US_PER_MS;
}

bool arg_expire_ms(struct call *c, struct span s, bool seconds, bool relative, int64_t *ms)
{
    int64_t v = 0;
    if (!arg_integer(c, s, &v)) {
        return false;
    }
    bool bad = v <= 0 || (seconds && __builtin_mul_overflow(v, (int64_t)1000, &v)) ||
               (relative && __builtin_add_overflow(v, now_ms(c), &v));
    if (bad) {
        reply_expire_error(c);
        return false;
    }
    *ms = v;
    return true;
}

/* --- EXPIRE, PEXPIRE, EXPIREAT, PEXPIREAT --------------------------------------------------- */

struct expire_flags {
    bool nx, xx, gt, lt;
};

static bool read_flags(struct call *c, struct expire_flags *f)
{
    for (uint32_t i = 2; i < c->argc; i++) {
        if (arg_is(c->argv[i], "NX")) {
            f->nx = true;
        } else if (arg_is(c->argv[i], "XX")) {
            f->xx = true;
        } else if (arg_is(c->argv[i], "GT")) {
            f->gt = true;
        } else if (arg_is(c->argv[i], "LT")) {
            f->lt = true;
        } else {
            reply_quoting(c, "ERR Unsupported option ", c->argv[i], "");
            return false;
        }
    }
    if (f->nx && (f->xx || f->gt || f->lt)) {
        reply_error(c->reply,
                    "ERR NX and XX, GT or LT options at the same time are not compatible");
        return false;
    }
    if (f->gt && f->lt) {
        reply_error(c->reply, "ERR GT and LT options at the same time are not compatible");
        return false;
    }
    return true;
}

/* Whether the flags let a new time replace the old one; a key without a time lives for ever. */
static bool flags_allow(const struct expire_flags *f, qr_wall old, qr_wall new)
{
    return !((f->nx && old != 0) || (f->xx && old == 0) || (f->gt && (old == 0 || new <= old)) ||
             (f->lt && old != 0 && new >= old));
}

static void expire(struct call *c, bool seconds, bool relative)
{
    struct expire_flags flags = { 0 };
    int64_t ms = 0;
    if (!read_flags(c, &flags) || !arg_integer(c, c->argv[1], &ms)) {
        return;
    }
    if ((seconds && __builtin_mul_overflow(ms, (int64_t)1000, &ms)) ||
        (relative && __builtin_add_overflow(ms, now_ms(c), &ms))) {
        reply_expire_error(c);
        return;
    }
    struct item *item = find_for_write(c, c->db, c->argv[0]);
    /* A time at or before zero only has to compare as long past: 0 means "never" in the store. */
    qr_wall new = ms > 0 ? expire_from_ms(ms) : ms;
    if (item == NULL || !flags_allow(&flags, item_expire(item), new)) {
        reply_integer(c->reply, 0);
        return;
    }
    if (new <= c->now) {
        (void)store_delete(c->engine->store, c->db, c->argv[0]);
    } else {
        store_set_expire(c->engine->store, c->db, item, new);
    }
    reply_integer(c->reply, 1);
}

void engine_cmd_EXPIRE(struct call *c)
{
    expire(c, true, true);
}

void engine_cmd_PEXPIRE(struct call *c)
{
    expire(c, false, true);
}

void engine_cmd_EXPIREAT(struct call *c)
{
    expire(c, true, false);
}

void engine_cmd_PEXPIREAT(struct call *c)
{
    expire(c, false, false);
}

void engine_cmd_PERSIST(struct call *c)
{
    struct item *item = find_for_write(c, c->db, c->argv[0]);
    bool had = item != NULL && item_expire(item) != 0;
    if (had) {
        store_set_expire(c->engine->store, c->db, item, 0);
    }
    reply_integer(c->reply, had);
}

/* --- TTL, PTTL, EXPIRETIME, PEXPIRETIME ----------------------------------------------------- */

/* -2: no such key; -1: it has no time; else the time, or what is left of it. */
static void reply_time(struct call *c, bool seconds, bool relative)
{
    const struct item *item = find_for_read(c, c->db, c->argv[0]);
    if (item == NULL || item_expire(item) == 0) {
        reply_integer(c->reply, item == NULL ? -2 : -1);
        return;
    }
    int64_t ms = item_expire(item) / US_PER_MS - (relative ? now_ms(c) : 0);
    ms = ms < 0 ? 0 : ms;
    reply_integer(c->reply, seconds ? (ms + 500) / 1000 : ms);
}

void engine_cmd_TTL(struct call *c)
{
    reply_time(c, true, true);
}

void engine_cmd_PTTL(struct call *c)
{
    reply_time(c, false, true);
}

void engine_cmd_EXPIRETIME(struct call *c)
{
    reply_time(c, true, false);
}

void engine_cmd_PEXPIRETIME(struct call *c)
{
    reply_time(c, false, false);
}
