/* An order that is refused: orders.h. */
#include "node/orders.h"

#include <stdarg.h>
#include <stdio.h>

#define REFUSAL_BYTES 512u

void orders_refuse(struct pending *p, const char *format, ...)
{
    char text[REFUSAL_BYTES];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    reply_error(stream_reply(p), text);
    stream_answered(p, STATUS_OK);
}
