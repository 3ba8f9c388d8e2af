/* A reply in RESP3 for a client of whichever version. */
#ifndef RESP_TRANSLATE_H
#define RESP_TRANSLATE_H

#include "resp/reply.h"

/* Appends one whole reply that was written in RESP3 by the functions of reply.h, as they would have
 * written it in out->version; a null is a null bulk there. Sets out->is_error. */
void reply_translate(struct reply *out, struct span resp3);

#endif
