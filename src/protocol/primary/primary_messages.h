/* struct primary_append, PRIMARY_APPEND and so on, from primary_messages.def; and their codec. */
#ifndef PROTOCOL_PRIMARY_PRIMARY_MESSAGES_H
#define PROTOCOL_PRIMARY_PRIMARY_MESSAGES_H

#define SCHEMA_LIST "protocol/primary/primary_messages.def"
#define SCHEMA_PREFIX primary
#define SCHEMA_PREFIX_UPPER PRIMARY
#include "protocol/schema.h"

extern const struct codec primary_codec;

#endif
