#include "resp/scan.h"

#include "base/number.h"

#include <string.h>

static bool begins_reply(uint8_t type)
{
    return type == '+' || type == '-' || type == ':' || type == '$' || type == '*';
}

int64_t reply_line_scan(const uint8_t *p, size_t n, struct reply_line *line)
{
    if (n == 0) {
        return 0;
    }
    if (!begins_reply(p[0])) {
        return -1;
    }
    size_t look = n < REPLY_LINE_BYTES_MAX ? n : REPLY_LINE_BYTES_MAX;
    const uint8_t *end = memchr(p, '\n', look);
    if (end == NULL) {
        return n >= REPLY_LINE_BYTES_MAX ? -1 : 0;
    }
    if (end < p + 2 || end[-1] != '\r') {
        return -1;
    }
    line->type = (char)p[0];
    line->text = span_of(p + 1, (size_t)(end - 1 - (p + 1)));
    line->number = 0;
    if (p[0] != '+' && p[0] != '-') {
        if (!number_from(line->text, &line->number) || (p[0] != ':' && line->number < -1)) {
            return -1;
        }
    }
    return end + 1 - p;
}
