/* The head of an HTTP/1.x request, as far as a server needs it that answers GET and HEAD with one
 * page and closes the connection (RFC 9112). Strict: lines end in CR LF, names of fields are
 * tokens, nothing is folded, HTTP/1.1 wants one Host. Pure, so that it can be tested and fuzzed. */
#ifndef NODE_HTTP_PARSE_H
#define NODE_HTTP_PARSE_H

#include "base/types.h"

enum http_parse_result { HTTP_INCOMPLETE, HTTP_COMPLETE, HTTP_MALFORMED, HTTP_VERSION_UNKNOWN };

struct http_request {
    struct span method;
    struct span path; /* of the target, up to a question mark; not decoded */
    size_t bytes;     /* of the head, with the empty line */
};

/* Spans point into `in`. What is wrong already is MALFORMED before the head is complete. */
enum http_parse_result http_parse(struct span in, struct http_request *out);

#endif
