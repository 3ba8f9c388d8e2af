/* GET, SET and the other commands that see a string as bytes.
 *
 * The order in which arguments are checked and keys are looked up is Redis's, because it decides
 * which of two errors a client sees. */
#include "engine/call.h"


#include <string.h>

static void reply_value(struct call *c, const struct item *item)
{
    struct rope *rope = item != NULL ? item_rope(item) : NULL;
    if (item == NULL) {
        reply_null(c->reply);
    } else if (rope != NULL) {
        reply_bulk_rope(c->reply, rope, 0, rope->n);
    } else {
        reply_bulk(c->reply, item_value(item));
    }
}

/* Stores argument i as a value. A time that has passed removes the key at once, as if the tick came
 * now. */
static void put(struct call *c, struct span key, uint32_t i, qr_wall expire)
{
    struct store_bytes value = arg_bytes(c, i);
    if (expire != 0 && expire <= c->now) {
        (void)store_delete(c->engine->store, c->db, key);
    } else if (value.rope != NULL) {
        (void)store_put_rope(c->engine->store, c->db, key, rope_ref((struct rope *)value.rope),
                             expire);
    } else {
        (void)store_put(c->engine->store, c->db, key, value.span, expire);
    }
}

static bool argument_fits(struct call *c, uint32_t i)
{
    return value_fits(c, store_bytes_n(arg_bytes(c, i)));
}

/* --- SET and GETEX: options ----------------------------------------------------------------- */

enum expire_option { EXPIRE_NONE, EXPIRE_EX, EXPIRE_PX, EXPIRE_EXAT, EXPIRE_PXAT };

struct string_options {
    bool nx, xx, get, keep_ttl, persist;
    enum expire_option expire;
    struct span time;
};

static enum expire_option expire_option_of(struct span s)
{
    static const struct {
        const char *name;
        enum expire_option option;
    } options[] = {
        { "EX", EXPIRE_EX },
        { "PX", EXPIRE_PX },
        { "EXAT", EXPIRE_EXAT },
        { "PXAT", EXPIRE_PXAT },
    };
    for (size_t i = 0; i < ARRAY_COUNT(options); i++) {
        if (arg_is(s, options[i].name)) {
            return options[i].option;
        }
    }
    return EXPIRE_NONE;
}

/* An option of SET that takes no value. */
static bool set_flag(struct string_options *o, struct span s)
{
    if (arg_is(s, "NX") && !o->xx) {
        o->nx = true;
    } else if (arg_is(s, "XX") && !o->nx) {
        o->xx = true;
    } else if (arg_is(s, "GET")) {
        o->get = true;
    } else if (arg_is(s, "KEEPTTL") && o->expire == EXPIRE_NONE) {
        o->keep_ttl = true;
    } else {
        return false;
    }
    return true;
}

/* Reads the options from argv[first] on. The same expiry option may come twice, the last counts;
 * two different ones may not. */
static bool read_options(struct call *c, uint32_t first, bool set, struct string_options *o)
{
    for (uint32_t i = first; i < c->argc; i++) {
        if (set && set_flag(o, c->argv[i])) {
            continue;
        }
        if (!set && arg_is(c->argv[i], "PERSIST") && o->expire == EXPIRE_NONE) {
            o->persist = true;
            continue;
        }
        enum expire_option option = expire_option_of(c->argv[i]);
        bool free = o->expire == EXPIRE_NONE || o->expire == option;
        if (option == EXPIRE_NONE || !free || o->keep_ttl || o->persist || i + 1 == c->argc) {
            reply_syntax_error(c);
            return false;
        }
        o->expire = option;
        o->time = c->argv[++i];
    }
    return true;
}

/* The expiry that the options ask for, 0 for none. */
static bool option_expire(struct call *c, const struct string_options *o, qr_wall *expire)
{
    *expire = 0;
    if (o->expire == EXPIRE_NONE) {
        return true;
    }
    int64_t ms = 0;
    bool seconds = o->expire == EXPIRE_EX || o->expire == EXPIRE_EXAT;
    bool relative = o->expire == EXPIRE_EX || o->expire == EXPIRE_PX;
    if (!arg_expire_ms(c, o->time, seconds, relative, &ms)) {
        return false;
    }
    *expire = expire_from_ms(ms);
    return true;
}

void engine_cmd_SET(struct call *c)
{
    struct string_options o = { 0 };
    qr_wall expire = 0;
    if (!read_options(c, 2, true, &o) || !option_expire(c, &o, &expire) || !argument_fits(c, 1)) {
        return;
    }
    /* Looked for only where it matters what was there: putting finds its place as well. */
    bool matters = o.get || o.nx || o.xx || o.keep_ttl ||
                   store_count_expires(c->engine->store, c->db) > 0; /* it may be due */
    struct item *old = matters ? find_for_write(c, c->db, c->argv[0]) : NULL;
    if (o.get) {
        reply_value(c, old);
    }
    if ((o.nx && old != NULL) || (o.xx && old == NULL)) {
        if (!o.get) {
            reply_null(c->reply);
        }
        return;
    }
    if (o.keep_ttl && old != NULL) {
        expire = item_expire(old);
    }
    put(c, c->argv[0], 1, expire);
    if (!o.get) {
        reply_ok(c);
    }
}

void engine_cmd_SETNX(struct call *c)
{
    if (!argument_fits(c, 1)) {
        return;
    }
    bool missing = find_for_write(c, c->db, c->argv[0]) == NULL;
    if (missing) {
        put(c, c->argv[0], 1, 0);
    }
    reply_integer(c->reply, missing);
}

/* SETEX and PSETEX: key time value. */
static void set_with_time(struct call *c, bool seconds)
{
    int64_t ms = 0;
    if (arg_expire_ms(c, c->argv[1], seconds, true, &ms) && argument_fits(c, 2)) {
        put(c, c->argv[0], 2, expire_from_ms(ms));
        reply_ok(c);
    }
}

void engine_cmd_SETEX(struct call *c)
{
    set_with_time(c, true);
}

void engine_cmd_PSETEX(struct call *c)
{
    set_with_time(c, false);
}

/* --- Reading, and reading while changing ---------------------------------------------------- */

void engine_cmd_GET(struct call *c)
{
    reply_value(c, find_for_read(c, c->db, c->argv[0]));
}

void engine_cmd_GETSET(struct call *c)
{
    if (!argument_fits(c, 1)) {
        return;
    }
    reply_value(c, find_for_write(c, c->db, c->argv[0]));
    put(c, c->argv[0], 1, 0);
}

void engine_cmd_GETDEL(struct call *c)
{
    struct item *item = find_for_write(c, c->db, c->argv[0]);
    reply_value(c, item);
    if (item != NULL) {
        (void)store_delete(c->engine->store, c->db, c->argv[0]);
    }
}

void engine_cmd_GETEX(struct call *c)
{
    struct string_options o = { 0 };
    if (!read_options(c, 1, false, &o)) {
        return;
    }
    struct item *item = find_for_write(c, c->db, c->argv[0]);
    qr_wall expire = 0;
    if (item == NULL) {
        reply_null(c->reply);
        return;
    }
    if (!option_expire(c, &o, &expire)) {
        return;
    }
    reply_value(c, item);
    if (expire != 0 && expire <= c->now) {
        (void)store_delete(c->engine->store, c->db, c->argv[0]);
    } else if (expire != 0 || o.persist) {
        store_set_expire(c->engine->store, c->db, item, expire);
    }
}

void engine_cmd_STRLEN(struct call *c)
{
    const struct item *item = find_for_read(c, c->db, c->argv[0]);
    reply_integer(c->reply, item == NULL ? 0 : (int64_t)item_value_n(item));
}

/* Turns Redis's inclusive, possibly negative bounds into a part of a string of n bytes: where it
 * begins, and how long it is. */
static size_t part_of(int64_t n, int64_t start, int64_t end, size_t *from)
{
    *from = 0;
    if (start < 0 && end < 0 && start > end) {
        return 0;
    }
    start = start < 0 ? start + n : start;
    end = end < 0 ? end + n : end;
    start = start < 0 ? 0 : start;
    end = end < 0 ? 0 : end;
    end = end >= n ? n - 1 : end;
    if (start > end) {
        return 0;
    }
    *from = (size_t)start;
    return (size_t)(end - start + 1);
}

static void get_range(struct call *c)
{
    int64_t start = 0, end = 0;
    if (!arg_integer(c, c->argv[1], &start) || !arg_integer(c, c->argv[2], &end)) {
        return;
    }
    const struct item *item = find_for_read(c, c->db, c->argv[0]);
    struct rope *rope = item != NULL ? item_rope(item) : NULL;
    size_t from;
    size_t n = part_of(item == NULL ? 0 : (int64_t)item_value_n(item), start, end, &from);
    if (n == 0) {
        reply_bulk(c->reply, (struct span){ 0 });
    } else if (rope != NULL) {
        reply_bulk_rope(c->reply, rope, from, n);
    } else {
        reply_bulk(c->reply, span_of(item_value(item).p + from, n));
    }
}

void engine_cmd_GETRANGE(struct call *c)
{
    get_range(c);
}

void engine_cmd_SUBSTR(struct call *c)
{
    get_range(c);
}

/* --- Changing in place ---------------------------------------------------------------------- */

void engine_cmd_APPEND(struct call *c)
{
    const struct item *old = find_for_write(c, c->db, c->argv[0]);
    size_t at = old == NULL ? 0 : item_value_n(old);
    struct store_bytes more = arg_bytes(c, 1);
    size_t n = at + store_bytes_n(more);
    if (!value_fits(c, n)) {
        return;
    }
    if (old == NULL || n > at) {
        store_write(c->engine->store, c->db, c->argv[0], at, more);
    }
    reply_integer(c->reply, (int64_t)n);
}

void engine_cmd_SETRANGE(struct call *c)
{
    int64_t offset = 0;
    struct store_bytes value = arg_bytes(c, 2);
    if (!arg_integer(c, c->argv[1], &offset)) {
        return;
    }
    if (offset < 0) {
        reply_error(c->reply, "ERR offset is out of range");
        return;
    }
    const struct item *old = find_for_write(c, c->db, c->argv[0]);
    size_t n = old == NULL ? 0 : item_value_n(old);
    size_t more = store_bytes_n(value);
    if (more == 0) {
        reply_integer(c->reply, (int64_t)n);
        return;
    }
    if (!value_fits(c, (uint64_t)offset + more)) {
        return;
    }
    store_write(c->engine->store, c->db, c->argv[0], (size_t)offset, value);
    reply_integer(c->reply, (int64_t)max_u64(n, (uint64_t)offset + more));
}

/* --- Several keys --------------------------------------------------------------------------- */

/* Before argument i is used: fetches the keys that follow, every `step`-th argument, from memory.
 */
static void prefetch_keys(struct call *c, uint32_t i, uint32_t step)
{
    struct store_key keys[STORE_PREFETCH_MAX];
    uint32_t n = 0;
    if (i / step % STORE_PREFETCH_MAX != 0) {
        return;
    }
    for (; i < c->argc && n < STORE_PREFETCH_MAX; i += step) {
        keys[n++] = (struct store_key){ .key = c->argv[i], .db = c->db };
    }
    store_prefetch(c->engine->store, keys, n);
}

void engine_cmd_MGET(struct call *c)
{
    size_t start = c->reply->n;
    reply_array(c->reply, c->argc);
    for (uint32_t i = 0; i < c->argc; i++) {
        prefetch_keys(c, i, 1);
        const struct item *item = find_for_read(c, c->db, c->argv[i]);
        if (!reply_has_room(c, start, item == NULL ? 0 : item_value_n(item),
                            item != NULL && item_rope(item) != NULL)) {
            return;
        }
        reply_value(c, item);
    }
}

static bool pairs_are_good(struct call *c)
{
    if (c->argc % 2 != 0) {
        reply_arity_error(c);
        return false;
    }
    for (uint32_t i = 1; i < c->argc; i += 2) {
        if (!argument_fits(c, i)) {
            return false;
        }
    }
    return true;
}

static void put_pairs(struct call *c)
{
    for (uint32_t i = 0; i < c->argc; i += 2) {
        prefetch_keys(c, i, 2);
        put(c, c->argv[i], i + 1, 0);
    }
}

void engine_cmd_MSET(struct call *c)
{
    if (pairs_are_good(c)) {
        put_pairs(c);
        reply_ok(c);
    }
}

void engine_cmd_MSETNX(struct call *c)
{
    if (!pairs_are_good(c)) {
        return;
    }
    for (uint32_t i = 0; i < c->argc; i += 2) {
        if (find_for_write(c, c->db, c->argv[i]) != NULL) {
            reply_integer(c->reply, 0);
            return;
        }
    }
    put_pairs(c);
    reply_integer(c->reply, 1);
}
