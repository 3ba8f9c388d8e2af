/* Writing commands, for clients. */
#ifndef RESP_REQUEST_H
#define RESP_REQUEST_H

#include "base/types.h"

/* Appends the command of these words; how many bytes it takes. It writes nothing when that is more
 * than there is room for. */
size_t request_write(char *out, size_t room, const char *const *words, size_t count);

#endif
