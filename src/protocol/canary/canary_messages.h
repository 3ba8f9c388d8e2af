/* The messages of canary_messages.def, and their codec. */
#ifndef PROTOCOL_CANARY_CANARY_MESSAGES_H
#define PROTOCOL_CANARY_CANARY_MESSAGES_H

#define SCHEMA_LIST "protocol/canary/canary_messages.def"
#define SCHEMA_PREFIX canary
#define SCHEMA_PREFIX_UPPER CANARY
#include "protocol/schema.h"

extern const struct codec canary_codec;

#endif
