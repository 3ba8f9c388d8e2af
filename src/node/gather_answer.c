/* What comes of the answers of several partitions: see gather.h. They are RESP, from this node's
 * engine or from another's. */
#include "node/gather_internal.h"

#include "base/number.h"
#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* --- Reading -------------------------------------------------------------------------------- */

/* All of the answer in one piece: long ones come in several. */
static struct span flatten(struct reply *answer)
{
    if (answer->parts != NULL) {
        struct reply whole;
        struct reply_place place = { 0 };
        reply_init(&whole, answer->version);
        for (struct span s; (s = reply_slice(answer, &place)).n > 0;) {
            reply_raw(&whole, s);
            reply_pass(answer, &place, s.n);
        }
        reply_free(answer);
        *answer = whole;
    }
    return span_of(answer->p, answer->n);
}

/* The number in a line that begins with that type, and what is behind the line; false: there is
 * none. */
static bool read_line(struct span *in, char type, int64_t *out)
{
    const uint8_t *end = in->n > 2 ? memchr(in->p, '\r', in->n - 1) : NULL;
    if (end == NULL || in->p[0] != (uint8_t)type ||
        !number_from(span_of(in->p + 1, (size_t)(end - in->p) - 1), out)) {
        return false;
    }
    size_t line = (size_t)(end - in->p) + 2;
    *in = span_of(in->p + line, in->n - line);
    return true;
}

/* --- Errors --------------------------------------------------------------------------------- */

void gather_fail(struct gather *g, uint32_t group, const char *error)
{
    uint32_t index = 0;
    while (index < g->count && g->groups[index] != group) {
        index++;
    }
    if (g->error[0] == 0) {
        (void)snprintf(g->error, sizeof g->error, "%s (partition %u of keyspace '%s')", error,
                       (unsigned)index, g->keyspace);
    }
}

static void note_error(struct gather *g, uint32_t group, struct span line)
{
    char text[200];
    size_t n = 0;
    while (n + 1 < sizeof text && n + 1 < line.n && line.p[n + 1] != '\r') {
        text[n] = (char)line.p[n + 1];
        n++;
    }
    text[n] = 0;
    g->unsure += strncmp(text, "UNCERTAIN", 9) == 0 ? 1 : 0;
    gather_fail(g, group, text);
}

/* --- Noting --------------------------------------------------------------------------------- */

static void note_keys(struct gather *g, uint32_t group, struct span in)
{
    int64_t count;
    if (!read_line(&in, '*', &count) || count < 0) {
        gather_fail(g, group, "ERR an answer could not be read");
    } else if (g->keys.n + in.n > REPLY_BYTES_MAX) {
        gather_fail(g, group, "ERR reply is too long, ask for less at a time");
    } else {
        reply_raw(&g->keys, in);
        g->key_count += (uint64_t)count;
    }
}

/* WAITAOF: whether leaders hold it, and how many others. */
static bool is_pair(const struct gather *g)
{
    return g->parent->spec->tag == COMMAND_WAITAOF;
}

static void note_number(struct gather *g, uint32_t group, struct span in)
{
    int64_t number;
    int64_t local = 0;
    int64_t two = 2;
    bool pair = is_pair(g);
    if ((pair && (!read_line(&in, '*', &two) || two != 2 || !read_line(&in, ':', &local))) ||
        !read_line(&in, ':', &number)) {
        gather_fail(g, group, "ERR an answer could not be read");
    } else if (g->kind == GATHER_SUM) {
        g->number += number;
    } else {
        g->number = g->done == 0 || number < g->number ? number : g->number;
        g->local = g->done == 0 || local < g->local ? local : g->local;
    }
}

/* The cursor within the partition becomes one of the keyspace (G4). */
static void note_scan(struct gather *g, uint32_t group, struct span in)
{
    int64_t two, bytes;
    int64_t cursor = -1;
    if (!read_line(&in, '*', &two) || !read_line(&in, '$', &bytes) || bytes < 1 ||
        (uint64_t)bytes + 2 > in.n || !number_from(span_of(in.p, (size_t)bytes), &cursor) ||
        cursor < 0) {
        gather_fail(g, group, "ERR an answer could not be read");
        return;
    }
    uint64_t index = cursor != 0 ? g->scan_index : g->scan_next;
    uint64_t within = (uint64_t)cursor >> STORE_SCAN_FINE;
    uint64_t next = index < g->scan_count ? index << SCAN_CURSOR_BITS | within : 0;
    char text[24];
    (void)snprintf(text, sizeof text, "%" PRIu64, next);
    reply_array(&g->keys, 2);
    reply_bulk_text(&g->keys, text);
    reply_raw(&g->keys, span_of(in.p + bytes + 2, in.n - (size_t)bytes - 2));
}

static bool is_null(struct span in)
{
    return in.n > 0 && (in.p[0] == '_' || (in.n > 1 && in.p[0] == '$' && in.p[1] == '-'));
}

void gather_note(struct gather *g, const struct pending *p)
{
    struct span in = flatten(&g->answer);
    uint32_t group = p->partition->group;
    if (in.n > 0 && in.p[0] == '-') {
        note_error(g, group, in);
        return;
    }
    switch (g->kind) {
    case GATHER_SUM:
    case GATHER_LEAST:
        note_number(g, group, in);
        break;
    case GATHER_KEYS:
        note_keys(g, group, in);
        break;
    case GATHER_ANY:
        if (!g->enough && !is_null(in)) {
            reply_raw(&g->keys, in);
            g->enough = true;
        }
        break;
    case GATHER_SCAN:
        note_scan(g, group, in);
        break;
    case GATHER_DONE:
        break;
    }
    g->done++;
}

/* --- The whole ------------------------------------------------------------------------------ */

/* What became of a change that not all partitions have made (G3). */
static void reply_failure(const struct gather *g, struct reply *out)
{
    if (g->kind != GATHER_DONE || g->done + g->unsure == 0) {
        reply_error(out, g->error);
        return;
    }
    reply_errorf(out,
                 "UNCERTAIN %u of the %u partitions of keyspace '%s' are empty, of %u it is not "
                 "known, the others are as they were; it can be tried again. First error: %s",
                 (unsigned)g->done, (unsigned)g->count, g->keyspace, (unsigned)g->unsure, g->error);
}

void gather_reply(struct gather *g, struct reply *out)
{
    if (g->error[0] != 0 && !g->enough) {
        reply_failure(g, out);
        return;
    }
    switch (g->kind) {
    case GATHER_SUM:
    case GATHER_LEAST:
        if (is_pair(g)) {
            reply_array(out, 2);
            reply_integer(out, g->local);
        }
        reply_integer(out, g->number);
        return;
    case GATHER_KEYS:
        reply_array(out, g->key_count);
        reply_raw(out, span_of(g->keys.p, g->keys.n));
        return;
    case GATHER_ANY:
        if (!g->enough) {
            reply_null(out);
            return;
        }
        reply_raw(out, span_of(g->keys.p, g->keys.n));
        return;
    case GATHER_SCAN:
        if (g->keys.n == 0) { /* behind the last partition */
            reply_array(out, 2);
            reply_bulk_text(out, "0");
            reply_array(out, 0);
            return;
        }
        reply_raw(out, span_of(g->keys.p, g->keys.n));
        return;
    case GATHER_DONE:
        reply_status(out, "OK");
        return;
    }
    qr_unreachable();
}
