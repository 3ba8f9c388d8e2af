/* Reading requests: see parse.h.
 *
 * A request is a line "*<items>" and that many times a line "$<bytes>" with so many bytes and a
 * line end; anything that does not start with '*' is an inline command, one line. As in Redis the
 * byte behind '\r' is skipped unseen.
 *
 * Invariants between calls: at + scanned <= bytes seen; the arguments read so far are kept as
 * offsets from the command's first byte, because the owner may move its buffer. */
#include "resp/parse.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "base/number.h"
#include "base/panic.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define ARGV_CAPACITY_MIN 16u
#define ARGV_CAPACITY_KEPT 1024u
#define INLINE_BYTES_KEPT 1024u
#define APART_TAKEN INT64_MAX /* in `bulk`: the owner has its bytes */

void parser_init(struct parser *p)
{
    *p = (struct parser){
        .bulk_bytes_max = COMMAND_BYTES_MAX,
        .command_bytes_max = COMMAND_BYTES_MAX,
        .apart_min = SIZE_MAX,
        .items = -1,
        .bulk = -1,
    };
}

void parser_free(struct parser *p)
{
    free(p->argv);
    free(p->inline_copy);
    p->argv = NULL;
    p->inline_copy = NULL;
    p->capacity = 0;
    p->inline_capacity = 0;
}

static enum parse_result fail(struct parser *p, const char *error)
{
    p->error = error;
    return PARSE_ERROR;
}

/* The command ends at `at`; the next call starts a new one there. */
static enum parse_result done(struct parser *p)
{
    p->consumed = p->at;
    p->at = 0;
    p->scanned = 0;
    p->items = -1;
    p->bulk = -1;
    p->want = 0;
    p->apart_sum = 0;
    return PARSE_COMMAND;
}

static struct span *next_argument(struct parser *p)
{
    if (p->argc == p->capacity) {
        p->capacity = p->capacity < ARGV_CAPACITY_MIN ? ARGV_CAPACITY_MIN : 2 * p->capacity;
        p->argv = qr_realloc(p->argv, p->capacity * sizeof *p->argv);
    }
    return &p->argv[p->argc++];
}

/* --- Arrays of bulk strings ----------------------------------------------------------------- */

enum line { LINE_WHOLE, LINE_PART, LINE_TOO_LONG };

/* Looks for the '\r' of the line that starts at `at`; *length excludes it. */
static enum line find_line(struct parser *p, const uint8_t *buffer, size_t n, size_t *length)
{
    size_t end = p->at + p->scanned;
    qr_assert(end <= n);
    size_t stop = n - p->at > INLINE_BYTES_MAX ? p->at + INLINE_BYTES_MAX : n;
    while (end < stop && buffer[end] != '\r') {
        end++;
    }
    p->scanned = end - p->at;
    if (end < stop) {
        *length = p->scanned;
        return end + 1 < n ? LINE_WHOLE : LINE_PART;
    }
    return p->scanned >= INLINE_BYTES_MAX ? LINE_TOO_LONG : LINE_PART;
}

static enum parse_result incomplete(struct parser *p, size_t want)
{
    p->want = want;
    return PARSE_INCOMPLETE;
}

/* A line that is there whole and holds its type and a short number, as nearly all do: read in one
 * pass. False when it must be looked at closely. */
static bool quick_line(const uint8_t *s, size_t n, char type, int64_t *number, size_t *length)
{
    size_t i = 1;
    int64_t v = 0;
    size_t stop = n < 10 ? n : 10;
    if (n < 4 || s[0] != (uint8_t)type || s[1] == '0') {
        return false;
    }
    while (i < stop && s[i] >= '0' && s[i] <= '9') {
        v = v * 10 + (s[i++] - '0');
    }
    *number = v;
    *length = i;
    return i > 1 && i + 1 < n && s[i] == '\r';
}

/* "*<items>": COMMAND here means "go on". */
static enum parse_result array_header(struct parser *p, const uint8_t *buffer, size_t n)
{
    size_t length;
    int64_t items;
    if (!quick_line(buffer + p->at, n - p->at, '*', &items, &length)) {
        switch (find_line(p, buffer, n, &length)) {
        case LINE_PART:
            return incomplete(p, 0);
        case LINE_TOO_LONG:
            return fail(p, "too big mbulk count string");
        case LINE_WHOLE:
            break;
        }
        if (!number_from(span_of(buffer + p->at + 1, length - 1), &items)) {
            return fail(p, "invalid multibulk length");
        }
    }
    if (items > COMMAND_ARGUMENTS_MAX) {
        return fail(p, "invalid multibulk length");
    }
    if (items > PREAUTH_ARGUMENTS_MAX && !p->authenticated) {
        return fail(p, "unauthenticated multibulk length");
    }
    p->items = items < 0 ? 0 : items;
    p->at += length + 2;
    p->items_at = p->at;
    p->scanned = 0;
    return PARSE_COMMAND;
}

/* The slow way to a bulk's length: -1 after an error or a part of a line, whose result is *result.
 */
static int64_t bulk_length(struct parser *p, const uint8_t *buffer, size_t n, size_t *length,
                           enum parse_result *result)
{
    switch (find_line(p, buffer, n, length)) {
    case LINE_PART:
        *result = incomplete(p, 0);
        return -1;
    case LINE_TOO_LONG:
        *result = fail(p, "too big bulk count string");
        return -1;
    case LINE_WHOLE:
        break;
    }
    const uint8_t *line = buffer + p->at;
    int64_t bytes;
    if (line[0] != '$') {
        (void)snprintf(p->error_text, sizeof p->error_text, "expected '$', got '%c'", line[0]);
        *result = fail(p, p->error_text);
        return -1;
    }
    if (!number_from(span_of(line + 1, *length - 1), &bytes) || bytes < 0) {
        *result = fail(p, "invalid bulk length");
        return -1;
    }
    return bytes;
}

/* "$<bytes>" */
static enum parse_result bulk_header(struct parser *p, const uint8_t *buffer, size_t n)
{
    size_t length;
    int64_t bytes;
    if (!quick_line(buffer + p->at, n - p->at, '$', &bytes, &length)) {
        enum parse_result result;
        bytes = bulk_length(p, buffer, n, &length, &result);
        if (bytes < 0) {
            return result;
        }
    }
    if ((uint64_t)bytes > p->bulk_bytes_max) {
        return fail(p, "invalid bulk length");
    }
    if ((size_t)bytes > PREAUTH_BULK_BYTES_MAX && !p->authenticated) {
        return fail(p, "unauthenticated bulk length");
    }
    p->at += length + 2;
    p->scanned = 0;
    p->is_apart = (size_t)bytes > p->apart_min;
    p->apart_sum += p->is_apart ? (size_t)bytes : 0;
    if (p->is_apart ? p->apart_sum > p->apart_bytes_max
                    : p->at + (size_t)bytes > p->command_bytes_max) {
        return fail(p, "too big request");
    }
    p->bulk = bytes;
    return PARSE_COMMAND;
}

/* The owner takes the bytes of the argument; behind them only its line end is read here. */
static enum parse_result apart(struct parser *p)
{
    *next_argument(p) =
        (struct span){ .p = (const uint8_t *)(uintptr_t)p->at, .n = (size_t)p->bulk };
    p->apart = (size_t)p->bulk;
    p->consumed = p->at;
    p->is_apart = false;
    p->bulk = APART_TAKEN;
    return PARSE_APART;
}

/* Its first items are those that are known, and others follow. */
static bool begins_as_known(const struct parser *p, const uint8_t *buffer, size_t n)
{
    return p->known.n > 0 && p->at == p->items_at && p->items > (int64_t)p->known_items &&
           p->known.n <= n - p->at && memcmp(buffer + p->at, p->known.p, p->known.n) == 0;
}

static enum parse_result read_array(struct parser *p, const uint8_t *buffer, size_t n)
{
    enum parse_result result;
    if (p->items < 0 && (result = array_header(p, buffer, n)) != PARSE_COMMAND) {
        return result;
    }
    if (begins_as_known(p, buffer, n)) {
        p->at += p->known.n;
        p->items -= p->known_items;
        p->scanned = 0;
        p->skipped = true;
    }
    while (p->items > 0) {
        if (p->bulk < 0 && (result = bulk_header(p, buffer, n)) != PARSE_COMMAND) {
            return result;
        }
        if (p->is_apart) {
            return apart(p);
        }
        bool taken = p->bulk == APART_TAKEN;
        size_t bytes = taken ? 0 : (size_t)p->bulk;
        if (n - p->at < bytes + 2) {
            return incomplete(p, p->at + bytes + 2);
        }
        if (taken) {
            p->at += 2;
            p->bulk = -1;
            p->items--;
            continue;
        }
        *next_argument(p) = (struct span){ .p = (const uint8_t *)(uintptr_t)p->at, .n = bytes };
        p->at += bytes + 2;
        p->bulk = -1;
        p->items--;
    }
    for (uint32_t i = 0; i < p->argc; i++) {
        bool is_here = p->argv[i].n <= p->apart_min;
        p->argv[i].p = is_here ? buffer + (uintptr_t)p->argv[i].p : NULL;
    }
    return done(p);
}

/* --- Inline commands ------------------------------------------------------------------------ */

static bool is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One escape of a double-quoted string, s[0] being the backslash and s[1] there. Returns how many
 * bytes it took. */
static size_t unescape(const uint8_t *s, size_t n, uint8_t *out)
{
    if (n >= 4 && s[1] == 'x' && hex_digit(s[2]) >= 0 && hex_digit(s[3]) >= 0) {
        *out = (uint8_t)(hex_digit(s[2]) * 16 + hex_digit(s[3]));
        return 4;
    }
    switch (s[1]) {
    case 'n':
        *out = '\n';
        break;
    case 'r':
        *out = '\r';
        break;
    case 't':
        *out = '\t';
        break;
    case 'b':
        *out = '\b';
        break;
    case 'a':
        *out = '\a';
        break;
    default:
        *out = s[1];
    }
    return 2;
}

/* A quoted part, s[0] being the quote. Returns the bytes taken, closing quote included, or 0 when
 * it does not end, or ends in front of something else than a blank. */
static size_t quoted(const uint8_t *s, size_t n, uint8_t *out, size_t *out_n)
{
    uint8_t quote = s[0];
    size_t i = 1;
    while (i < n && s[i] != quote) {
        if (quote == '"' && s[i] == '\\' && i + 1 < n) {
            i += unescape(s + i, n - i, &out[(*out_n)++]);
        } else if (quote == '\'' && s[i] == '\\' && i + 1 < n && s[i + 1] == '\'') {
            out[(*out_n)++] = '\'';
            i += 2;
        } else {
            out[(*out_n)++] = s[i++];
        }
    }
    if (i == n || (i + 1 < n && !is_space(s[i + 1]))) {
        return 0;
    }
    return i + 1;
}

size_t resp_next_word(const uint8_t *s, size_t n, uint8_t *out, size_t *out_n)
{
    size_t i = 0;
    *out_n = 0;
    while (i < n && s[i] != ' ' && s[i] != '\n' && s[i] != '\r' && s[i] != '\t') {
        if (s[i] == '"' || s[i] == '\'') {
            size_t took = quoted(s + i, n - i, out, out_n);
            return took == 0 ? 0 : i + took;
        }
        out[(*out_n)++] = s[i++];
    }
    return i;
}

/* A web page can make a browser send a POST to a database; its body would then be commands. The
 * words that open the request line and a header end the connection before that (as in Redis). */
static bool is_http(struct span word)
{
    return (word.n == 4 && strncasecmp((const char *)word.p, "post", 4) == 0) ||
           (word.n == 5 && strncasecmp((const char *)word.p, "host:", 5) == 0);
}

static enum parse_result split_line(struct parser *p, const uint8_t *line, size_t n)
{
    if (p->inline_capacity < n) {
        p->inline_copy = qr_realloc(p->inline_copy, n);
        p->inline_capacity = n;
    }
    uint8_t *out = p->inline_copy;
    size_t i = 0;
    for (;;) {
        while (i < n && is_space(line[i])) {
            i++;
        }
        if (i == n) {
            return done(p);
        }
        size_t bytes;
        size_t took = resp_next_word(line + i, n - i, out, &bytes);
        if (took == 0) {
            return fail(p, "unbalanced quotes in request");
        }
        if (p->argc == 0 && is_http(span_of(out, bytes))) {
            return fail(p, "this is no HTTP server");
        }
        *next_argument(p) = span_of(out, bytes);
        out += bytes;
        i += took;
    }
}

static enum parse_result read_inline(struct parser *p, const uint8_t *buffer, size_t n)
{
    size_t stop = n > INLINE_BYTES_MAX ? INLINE_BYTES_MAX : n;
    qr_assert(p->at == 0 && p->scanned <= stop);
    const uint8_t *end =
        p->scanned < stop ? memchr(buffer + p->scanned, '\n', stop - p->scanned) : NULL;
    if (end == NULL) {
        p->scanned = stop;
        return stop < INLINE_BYTES_MAX ? incomplete(p, 0) : fail(p, "too big inline request");
    }
    size_t length = (size_t)(end - buffer);
    p->at = length + 1;
    if (length > 0 && buffer[length - 1] == '\r') {
        length--;
    }
    /* Redis reads the line as a C string. */
    const uint8_t *zero = length > 0 ? memchr(buffer, 0, length) : NULL;
    return split_line(p, buffer, zero != NULL ? (size_t)(zero - buffer) : length);
}

/* A new command: what the last one needed beyond the usual is given back, or ten thousand clients
 * would each keep the room of their longest command. */
static void begin(struct parser *p)
{
    p->argc = 0;
    p->items_at = 0;
    p->skipped = false;
    if (p->capacity > ARGV_CAPACITY_KEPT) {
        free(p->argv);
        p->argv = NULL;
        p->capacity = 0;
    }
    if (p->inline_capacity > INLINE_BYTES_KEPT) {
        free(p->inline_copy);
        p->inline_copy = NULL;
        p->inline_capacity = 0;
    }
}

enum parse_result parser_next(struct parser *p, const uint8_t *buffer, size_t n)
{
    if (p->error != NULL) {
        return PARSE_ERROR; /* it has lost its place for good */
    }
    if (n == 0) {
        return incomplete(p, 0);
    }
    if (p->at == 0 && p->scanned == 0) {
        begin(p);
    }
    return buffer[0] == '*' ? read_array(p, buffer, n) : read_inline(p, buffer, n);
}
