/* A connection's replies. What a reply means is decided here: done, surely not done, unknown, or
 * nothing that a server of Redis's protocol would say. */
#include "bench/bench_internal.h"

#include "base/panic.h"

#include <string.h>

#define BULK_BYTES_MAX ((int64_t)512 << 20) /* Redis's own bound */

/* Refusals that a fault explains. All but UNCERTAIN say that nothing was done. `elsewhere`: another
 * server may do better. */
static const struct refusal {
    const char *code;
    bool sure, elsewhere;
} refusals[] = {
    { "CLUSTERDOWN", true, true }, { "LOADING", true, true },     { "MASTERDOWN", true, true },
    { "READONLY", true, true },    { "TRYAGAIN", true, false },   { "THROTTLED", true, false },
    { "NOSPACE", true, false },    { "NOREPLICAS", true, false }, { "MISCONF", true, false },
    { "OOM", true, false },        { "BUSY", true, false },       { "UNCERTAIN", false, false },
    { "REMOVED", true, true },     { "MOVED", true, true },       { "ASK", true, true },
};

static size_t code_length(struct span text)
{
    size_t n = 0;
    while (n < text.n && text.p[n] > ' ') {
        n++;
    }
    return n;
}

static const struct refusal *refusal_of(struct span text)
{
    size_t n = code_length(text);
    for (size_t i = 0; i < ARRAY_COUNT(refusals); i++) {
        if (strlen(refusals[i].code) == n && memcmp(refusals[i].code, text.p, n) == 0) {
            return &refusals[i];
        }
    }
    return NULL;
}

/* What it said, fit to be printed: the first line, without what a terminal might obey. */
static void quote(const uint8_t *p, size_t n, char *out, size_t cap)
{
    size_t i = 0;
    for (; i < n && i + 1 < cap && p[i] != '\r' && p[i] != '\n'; i++) {
        out[i] = p[i] >= ' ' && p[i] < 127 ? (char)p[i] : '?';
    }
    out[i] = 0;
}

static bool is_no_reply(struct bench *b, struct client *c, const uint8_t *p, size_t n)
{
    char said[80];
    quote(p, n, said, sizeof said);
    bench_fail(b, "%s does not speak Redis's protocol; it said \"%s\"", client_name(b, c), said);
    return false;
}

/* It speaks the protocol, but this makes no sense. */
static bool is_no_answer(struct bench *b, struct client *c, const char *to,
                         const struct reply_line *line)
{
    char said[80];
    quote(line->text.p, line->text.n, said, sizeof said);
    bench_fail(b, "%s answered %s with what is no answer to it: %c%s", client_name(b, c), to,
               line->type, said);
    return false;
}

/* --- Replies to operations ------------------------------------------------------------------- */

static void refused(struct bench *b, struct client *c, struct span text)
{
    if (b->sessions != NULL && session_redirected(b, c, text)) {
        return;
    }
    const struct refusal *refusal = refusal_of(text);
    char said[200];
    quote(text.p, text.n, said, sizeof said);
    bool write = c->ring[c->first & b->ring_mask].write;
    if (refusal == NULL || !b->options.reconnect) {
        bool moved = strncmp(said, "MOVED", 5) == 0 && b->sessions == NULL;
        bench_fail(b, "%s answered %s with an error: %s%s", client_name(b, c),
                   write ? "SET" : "GET", said, moved ? " (--cluster follows it)" : "");
        return;
    }
    struct flight f = client_pop(b, c);
    tally_error(&b->tally, refusal->code, strlen(refusal->code));
    if (refusal->sure) {
        source_void(b, c, &f);
    } else {
        source_unknown(b, c, &f);
    }
    if (refusal->elsewhere && b->sessions != NULL) {
        routes_doubt(b);
    } else {
        c->leaving = c->leaving || (refusal->elsewhere && b->options.address_count > 1);
    }
    client_pause(b, c);
}

static void good(struct bench *b, struct client *c, bool nil)
{
    struct flight f = client_pop(b, c);
    source_good(b, c, &f, nil);
}

/* --- Replies to the greeting ----------------------------------------------------------------- */

static bool greeted(struct bench *b, struct client *c, const struct reply_line *line)
{
    if (line->type == '-') {
        char said[200];
        quote(line->text.p, line->text.n, said, sizeof said);
        if (refusal_of(line->text) != NULL) {
            client_lost(b, c, refusal_of(line->text)->code, "%s does not serve: %s",
                        client_name(b, c), said);
            return false;
        }
        bool password = b->options.password != NULL;
        bool noauth = strncmp(said, "NOAUTH", 6) == 0;
        bench_fail(b, "%s refuses us: %s%s", client_name(b, c), said,
                   noauth && !password ? " (--password gives one)" : "");
        return false;
    }
    if (line->type != '+') {
        return is_no_answer(b, c, "PING", line);
    }
    c->silence = b->now;
    if (++c->greeted == c->greetings) {
        client_opened(b, c);
    }
    return true;
}

/* --- All ------------------------------------------------------------------------------------- */

/* Takes what there is of a value and its line end. How many bytes, or -1. */
static int64_t take_bulk(struct bench *b, struct client *c, const uint8_t *p, size_t n)
{
    size_t take = (size_t)min_u64(n, c->bulk_left);
    size_t value = c->bulk_left > 2 ? (size_t)min_u64(take, c->bulk_left - 2) : 0;
    if (b->options.check) {
        value_reader_feed(&c->reader, &b->form, p, value);
    }
    for (size_t i = value; i < take; i++) {
        if (p[i] != (c->bulk_left - i == 2 ? '\r' : '\n')) {
            is_no_reply(b, c, p + i, take - i);
            return -1;
        }
    }
    c->bulk_left -= take;
    if (c->bulk_left == 0) {
        good(b, c, false);
    }
    return (int64_t)take;
}

static bool answered(struct bench *b, struct client *c, const struct reply_line *line)
{
    if (c->state == CLIENT_GREETING) {
        return greeted(b, c, line);
    }
    if (c->in_flight == 0) {
        return is_no_answer(b, c, "no request at all", line);
    }
    bool write = c->ring[c->first & b->ring_mask].write;
    if (c->ring[c->first & b->ring_mask].asking) { /* what follows says whether it was refused */
        (void)client_pop(b, c);
    } else if (line->type == '-') {
        refused(b, c, line->text);
    } else if (write && line->type == '+') {
        good(b, c, false);
    } else if (!write && line->type == '$' && line->number < 0) {
        good(b, c, true);
    } else if (!write && line->type == '$' && line->number <= BULK_BYTES_MAX) {
        c->bulk_left = (uint64_t)line->number + 2;
        if (b->options.check) {
            value_reader_begin(&c->reader, (uint64_t)line->number);
        }
    } else {
        return is_no_answer(b, c, write ? "SET" : "GET", line);
    }
    return !b->failed;
}

bool client_take(struct bench *b, struct client *c, const uint8_t *p, size_t n)
{
    size_t at = 0;
    while (at < n && !b->failed) {
        if (c->bulk_left > 0) {
            int64_t took = take_bulk(b, c, p + at, n - at);
            if (took < 0) {
                return false;
            }
            at += (size_t)took;
            continue;
        }
        struct reply_line line;
        int64_t took = reply_line_scan(p + at, n - at, &line);
        if (took < 0) {
            return is_no_reply(b, c, p + at, n - at);
        }
        if (took == 0) {
            break;
        }
        if (!answered(b, c, &line)) {
            return false;
        }
        at += (size_t)took;
    }
    if (b->failed) { /* by a wrong value, for one: there may be much behind it */
        return false;
    }
    c->carry_n = n - at;
    qr_assert(c->carry_n < REPLY_LINE_BYTES_MAX);
    memcpy(c->carry, p + at, c->carry_n);
    return true;
}
