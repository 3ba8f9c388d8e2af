/* The little of Redis's protocol that the load generator speaks. */
#include "load.h"

#include "base/panic.h"

#include <stdlib.h>
#include <string.h>

static const char *const names[] = {
    [KIND_GET] = "GET",       [KIND_SET] = "SET",   [KIND_DEL] = "DEL",
    [KIND_APPEND] = "APPEND", [KIND_INCR] = "INCR", [KIND_ONCE] = "SET"
};

static char *put_bulk(char *out, const char *p, size_t n)
{
    out += snprintf(out, 32, "$%zu\r\n", n);
    memcpy(out, p, n);
    memcpy(out + n, "\r\n", 2);
    return out + n + 2;
}

size_t request_write(char *out, enum kind kind, const char *key, const char *value, size_t n)
{
    bool valued = kind == KIND_SET || kind == KIND_APPEND || kind == KIND_ONCE;
    char *at = out;
    at += snprintf(at, 32, "*%d\r\n", valued ? 3 : 2);
    at = put_bulk(at, names[kind], strlen(names[kind]));
    at = put_bulk(at, key, strlen(key));
    if (valued) {
        at = put_bulk(at, value, n);
    }
    qr_assert((size_t)(at - out) <= REQUEST_BYTES_MAX);
    return (size_t)(at - out);
}

size_t select_write(char *out, const char *keyspace)
{
    char *at = out + snprintf(out, 32, "*2\r\n$6\r\nSELECT\r\n");
    at = put_bulk(at, keyspace, strlen(keyspace));
    qr_assert((size_t)(at - out) <= REQUEST_BYTES_MAX);
    return (size_t)(at - out);
}

size_t reply_parse(const char *p, const char *e, struct reply_view *view)
{
    const char *end = memchr(p, '\n', (size_t)(e - p));
    if (end == NULL) {
        return 0;
    }
    qr_assert(end > p + 1 && end[-1] == '\r');
    *view = (struct reply_view){ .type = p[0], .p = p + 1, .n = (size_t)(end - 1 - (p + 1)) };
    if (p[0] != '$') {
        return (size_t)(end + 1 - p);
    }
    long n = strtol(p + 1, NULL, 10);
    if (n < 0) {
        view->nil = true;
        return (size_t)(end + 1 - p);
    }
    if (e - (end + 1) < n + 2) {
        return 0;
    }
    view->p = end + 1;
    view->n = (size_t)n;
    return (size_t)(end + 1 + n + 2 - p);
}
