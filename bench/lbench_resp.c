/* The load generator's RESP. */
#include "lbench.h"

#include <stdlib.h>
#include <string.h>

void resp_encode(struct bench *b, struct connection *c, const char *key)
{
    char *out = c->out + c->out_n;
    if (b->get) {
        out += sprintf(out, "*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n", KEY_BYTES, key);
    } else {
        out += sprintf(out, "*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n", KEY_BYTES, key, VALUE_BYTES);
        memcpy(out, b->value, VALUE_BYTES);
        memcpy(out + VALUE_BYTES, "\r\n", 2);
        out += VALUE_BYTES + 2;
    }
    c->out_n = (size_t)(out - c->out);
}

size_t resp_decode(struct bench *b, struct connection *c)
{
    const char *p = c->in;
    const char *end = c->in + c->in_n;
    while (p < end) {
        const char *line = memchr(p, '\n', (size_t)(end - p));
        if (line == NULL) {
            break;
        }
        const char *next = line + 1;
        long n = *p == '$' ? strtol(p + 1, NULL, 10) : -1;
        if (n >= 0) {
            if (end - next < n + 2) {
                break;
            }
            next += n + 2;
        }
        if (*p == '-' && b->errors < 3) {
            fprintf(stderr, "lbench: %.*s\n", (int)(line - p), p);
        }
        completed(b, c, c->done, *p == '-');
        p = next;
    }
    return (size_t)(p - c->in);
}
