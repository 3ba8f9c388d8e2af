/* Heads of HTTP requests: however the bytes are split, the same answer comes out; what it names
 * lies inside of them; and written again it reads the same. */
#include "fuzz.h"

#include "base/alloc.h"
#include "node/http_parse.h"

#include <string.h>

/* Whether [s, s + n) lies within the head. */
static bool is_inside(struct span head, struct span s)
{
    return s.p >= head.p && s.p + s.n <= head.p + head.n;
}

static void check_complete(struct span in, const struct http_request *request)
{
    struct span head = span_of(in.p, request->bytes);
    qr_assert(request->bytes <= in.n && request->bytes >= 4);
    qr_assert(memcmp(in.p + request->bytes - 4, "\r\n\r\n", 4) == 0);
    qr_assert(is_inside(head, request->method) && is_inside(head, request->path));
    qr_assert(request->method.n > 0 && request->path.n > 0 && request->path.p[0] == '/');

    /* The canonical form names the same. */
    static const char tail[] = " HTTP/1.1\r\nHost:\r\n\r\n";
    size_t n = request->method.n + 1 + request->path.n + sizeof tail - 1;
    uint8_t *again = qr_alloc(n), *p = again;
    memcpy(p, request->method.p, request->method.n);
    p += request->method.n;
    *p++ = ' ';
    memcpy(p, request->path.p, request->path.n);
    memcpy(p + request->path.n, tail, sizeof tail - 1);
    struct http_request other;
    qr_assert(http_parse(span_of(again, n), &other) == HTTP_COMPLETE);
    qr_assert(other.method.n == request->method.n && other.path.n == request->path.n);
    qr_assert(memcmp(other.path.p, request->path.p, request->path.n) == 0);
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    enum http_parse_result result = HTTP_INCOMPLETE;
    for (size_t part = 0; part <= n && result == HTTP_INCOMPLETE; part++) {
        uint8_t *block = qr_alloc(part + 1); /* of its own, so that reading on is noticed */
        uint8_t *exact = part > 0 ? qr_realloc(block, part) : block;
        memcpy(exact, data, part);
        struct http_request request;
        result = http_parse(span_of(exact, part), &request);
        if (result == HTTP_COMPLETE) {
            check_complete(span_of(exact, part), &request);
        }
        free(exact);
    }
    struct http_request request;
    enum http_parse_result whole = http_parse(span_of(data, n), &request);
    qr_assert(whole == result);
    return 0;
}
