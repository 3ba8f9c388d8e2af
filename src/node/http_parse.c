#include "node/http_parse.h"

#include "base/word.h"

#include <string.h>

static bool is_token_byte(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_token(struct span s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (!is_token_byte(s.p[i])) {
            return false;
        }
    }
    return s.n > 0;
}

/* Takes the bytes up to `end` off the front of `s`, and `end` too; false when it is not there. */
static bool take_until(struct span *s, uint8_t end, struct span *out)
{
    const uint8_t *at = s->n > 0 ? memchr(s->p, end, s->n) : NULL;
    if (at == NULL) {
        return false;
    }
    size_t n = (size_t)(at - s->p);
    *out = span_of(s->p, n);
    *s = span_of(at + 1, s->n - n - 1);
    return true;
}

static bool read_version(struct span version, bool *is_1_1, enum http_parse_result *result)
{
    bool named = version.n == 8 && memcmp(version.p, "HTTP/", 5) == 0 && version.p[6] == '.' &&
                 version.p[5] >= '0' && version.p[5] <= '9' && version.p[7] >= '0' &&
                 version.p[7] <= '9';
    *is_1_1 = named && version.p[7] >= '1';
    *result = named ? HTTP_VERSION_UNKNOWN : HTTP_MALFORMED;
    return named && version.p[5] == '1';
}

/* "GET /metrics?x HTTP/1.1" */
static enum http_parse_result read_request_line(struct span line, struct http_request *out,
                                                bool *is_1_1)
{
    enum http_parse_result result;
    struct span target;
    if (!take_until(&line, ' ', &out->method) || !is_token(out->method) ||
        !take_until(&line, ' ', &target) || target.n == 0 || target.p[0] != '/') {
        return HTTP_MALFORMED;
    }
    for (size_t i = 0; i < target.n; i++) {
        if (target.p[i] <= ' ' || target.p[i] >= 127) {
            return HTTP_MALFORMED;
        }
    }
    if (!read_version(line, is_1_1, &result)) {
        return result;
    }
    if (!take_until(&target, '?', &out->path)) {
        out->path = target;
    }
    return HTTP_COMPLETE;
}

/* "Host: example"; counts the Hosts. */
static bool read_field(struct span line, uint32_t *hosts)
{
    struct span name;
    if (!take_until(&line, ':', &name) || !is_token(name)) {
        return false;
    }
    for (size_t i = 0; i < line.n; i++) {
        if ((line.p[i] < ' ' && line.p[i] != '\t') || line.p[i] == 127) {
            return false;
        }
    }
    *hosts += word_is(name, "Host");
    return true;
}

/* A line without its CR LF. MALFORMED for one that ends otherwise. */
static enum http_parse_result take_line(struct span *in, struct span *line)
{
    if (!take_until(in, '\n', line)) {
        return HTTP_INCOMPLETE;
    }
    if (line->n == 0 || line->p[line->n - 1] != '\r') {
        return HTTP_MALFORMED;
    }
    line->n--;
    return HTTP_COMPLETE;
}

enum http_parse_result http_parse(struct span in, struct http_request *out)
{
    struct span rest = in, line;
    uint32_t hosts = 0;
    bool is_1_1 = false;
    enum http_parse_result result = take_line(&rest, &line);
    if (result == HTTP_COMPLETE) {
        result = read_request_line(line, out, &is_1_1);
    } else if (in.n > 0 && !is_token_byte(in.p[0])) {
        return HTTP_MALFORMED; /* TLS, RESP, and whatever else comes to the wrong port */
    }
    while (result == HTTP_COMPLETE) {
        result = take_line(&rest, &line);
        if (result == HTTP_COMPLETE && line.n == 0) {
            out->bytes = in.n - rest.n;
            return is_1_1 && hosts != 1 ? HTTP_MALFORMED : HTTP_COMPLETE;
        }
        if (result == HTTP_COMPLETE && !read_field(line, &hosts)) {
            result = HTTP_MALFORMED;
        }
    }
    return result;
}
