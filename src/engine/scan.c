/* KEYS, SCAN and RANDOMKEY: what shows keys in an order, or picks one.
 *
 * Order and choice are functions of the content alone (deterministic execution), so a SCAN goes on
 * at another leader with the same cursor. KEYS runs whole: slices are not there yet (R4). */
#include "engine/call.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "base/rng.h"
#include "base/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CURSOR_END ((uint64_t)1 << 48) /* store_scan's cursors lie below */
#define RANDOM_TRIES 64
#define KEY_REPLY_BYTES 16 /* what a reply adds to a key, at most */

/* Collects the keys that a filter lets through; they stay where they are while a read runs. */
struct collector {
    qr_wall now;
    struct span pattern;
    bool all;       /* every key matches */
    bool none;      /* no key matches: a type that no value has */
    uint64_t limit; /* of keys to collect */
    struct span *keys;
    size_t n, cap;
    size_t bytes; /* of the keys collected */
};

static void collect(void *context, struct item *item)
{
    struct collector *k = context;
    qr_wall expire = item_expire(item);
    bool is_due = expire != 0 && expire <= k->now;
    if (is_due || k->none || k->n >= k->limit || k->bytes > REPLY_BYTES_MAX ||
        (!k->all && !glob_match(k->pattern, item_key(item)))) {
        return;
    }
    if (k->n == k->cap) {
        k->cap = k->cap == 0 ? 16 : 2 * k->cap;
        k->keys = qr_realloc(k->keys, k->cap * sizeof *k->keys);
    }
    k->keys[k->n++] = item_key(item);
    k->bytes += item_key(item).n + KEY_REPLY_BYTES;
}

static void set_pattern(struct collector *k, struct span pattern)
{
    k->pattern = pattern;
    k->all = pattern.n == 1 && pattern.p[0] == '*';
}

/* Ends a reply that began at `start` with the keys. */
static void reply_keys(struct call *c, size_t start, struct collector *k)
{
    if (reply_has_room(c, start, k->bytes, false)) {
        reply_array(c->reply, k->n);
        for (size_t i = 0; i < k->n; i++) {
            reply_bulk(c->reply, k->keys[i]);
        }
    }
    free(k->keys);
}

void engine_cmd_KEYS(struct call *c)
{
    if (must_wait_for_tick(c)) {
        return;
    }
    struct collector k = { .now = c->now, .limit = UINT64_MAX };
    set_pattern(&k, c->argv[0]);
    (void)store_scan(c->engine->store, c->db, 0, UINT64_MAX, collect, &k);
    reply_keys(c, c->reply->n, &k);
}

/* --- SCAN ----------------------------------------------------------------------------------- */

/* A cursor as C's strtoul reads it: Redis takes an empty one, a sign, and leading zeros. */
static bool read_cursor(struct call *c, struct span s, uint64_t *cursor)
{
    char text[64] = { 0 };
    const uint8_t *zero = s.n > 0 ? memchr(s.p, 0, s.n) : NULL;
    size_t n = zero != NULL ? (size_t)(zero - s.p) : s.n;
    char *end = text;
    errno = 0;
    if (n < sizeof text) {
        memcpy(text, s.p != NULL ? (const char *)s.p : "", n);
        *cursor = strtoull(text, &end, 10);
    }
    if (n >= sizeof text || *end != 0 || errno == ERANGE ||
        (n > 0 && memchr(" \t\n\v\f\r", text[0], 6) != NULL)) {
        reply_error(c->reply, "ERR invalid cursor");
        return false;
    }
    return true;
}

static bool scan_options(struct call *c, struct collector *k, int64_t *count)
{
    for (uint32_t i = 1; i < c->argc; i += 2) {
        bool value = i + 1 < c->argc;
        if (value && arg_is(c->argv[i], "COUNT")) {
            if (!arg_integer(c, c->argv[i + 1], count)) {
                return false;
            }
            if (*count < 1) {
                reply_syntax_error(c);
                return false;
            }
        } else if (value && arg_is(c->argv[i], "MATCH")) {
            set_pattern(k, c->argv[i + 1]);
        } else if (value && arg_is(c->argv[i], "TYPE")) {
            k->none = !arg_is(c->argv[i + 1], "string");
        } else {
            reply_syntax_error(c);
            return false;
        }
    }
    return true;
}

void engine_cmd_SCAN(struct call *c)
{
    uint64_t cursor = 0;
    int64_t count = 10;
    struct collector k = { .now = c->now, .all = true, .limit = UINT64_MAX };
    if (!read_cursor(c, c->argv[0], &cursor) || !scan_options(c, &k, &count) ||
        must_wait_for_tick(c)) {
        return;
    }
    uint64_t next = 0;
    if (cursor < CURSOR_END) {
        next = store_scan(c->engine->store, c->db, cursor, min_u64((uint64_t)count, SCAN_COUNT_MAX),
                          collect, &k);
    }
    char text[24];
    struct text t = text_in(text, sizeof text);
    text_u64(&t, next);
    size_t start = c->reply->n;
    reply_array(c->reply, 2);
    reply_bulk_text(c->reply, text);
    reply_keys(c, start, &k);
}

/* --- RANDOMKEY ------------------------------------------------------------------------------ */

static void reply_first_key(struct call *c)
{
    struct collector k = { .now = c->now, .all = true, .limit = 1 };
    uint64_t cursor = 0;
    do {
        cursor = store_scan(c->engine->store, c->db, cursor, 1000, collect, &k);
    } while (cursor != 0 && k.n == 0);
    if (k.n == 0) {
        reply_null(c->reply);
    } else {
        reply_bulk(c->reply, k.keys[0]);
    }
    free(k.keys);
}

void engine_cmd_RANDOMKEY(struct call *c)
{
    if (must_wait_for_tick(c)) {
        return;
    }
    struct rng rng = rng_from(c->seed);
    for (int i = 0; i < RANDOM_TRIES; i++) {
        const struct item *item = store_at(c->engine->store, c->db, rng_next(&rng));
        if (item == NULL) {
            reply_null(c->reply);
            return;
        }
        if (item_expire(item) == 0 || item_expire(item) > c->now) {
            reply_bulk(c->reply, item_key(item));
            return;
        }
    }
    reply_first_key(c); /* nearly all keys are due and wait for their ticks */
}
