#include "resp/request.h"

#include <stdio.h>
#include <string.h>

#define NUMBER_BYTES 24 /* "*N\r\n", "$N\r\n" */

size_t request_write(char *out, size_t room, const char *const *words, size_t count)
{
    char head[NUMBER_BYTES];
    size_t need = (size_t)snprintf(head, sizeof head, "*%zu\r\n", count);
    for (size_t i = 0; i < count; i++) {
        size_t n = strlen(words[i]);
        need += (size_t)snprintf(head, sizeof head, "$%zu\r\n", n) + n + 2;
    }
    if (need > room) {
        return need;
    }
    char *at = out + snprintf(head, sizeof head, "*%zu\r\n", count);
    memcpy(out, head, (size_t)(at - out));
    for (size_t i = 0; i < count; i++) {
        size_t n = strlen(words[i]);
        size_t digits = (size_t)snprintf(head, sizeof head, "$%zu\r\n", n);
        memcpy(at, head, digits);
        memcpy(at + digits, words[i], n);
        memcpy(at + digits + n, "\r\n", 2);
        at += digits + n + 2;
    }
    return need;
}
