/* Expected refusals as data (R7): see status.def. */
#ifndef BASE_STATUS_H
#define BASE_STATUS_H

#include <stdbool.h>

enum qr_status {
#define STATUS(tag, name, retryable, surely_not_applied, text) STATUS_##name = (tag),
#include "base/status.def"
#undef STATUS
};

/* The RESP error text, without the leading '-' and the line end. Panics on an unknown status. */
const char *status_text(enum qr_status status);

/* Whether the write definitely did not happen. */
bool status_surely_not_applied(enum qr_status status);

#endif
