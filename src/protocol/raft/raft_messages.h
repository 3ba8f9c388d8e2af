/* struct raft_append, RAFT_APPEND and so on, from raft_messages.def; and their codec. */
#ifndef PROTOCOL_RAFT_RAFT_MESSAGES_H
#define PROTOCOL_RAFT_RAFT_MESSAGES_H

#define SCHEMA_LIST "protocol/raft/raft_messages.def"
#define SCHEMA_PREFIX raft
#define SCHEMA_PREFIX_UPPER RAFT
#include "protocol/schema.h"

extern const struct codec raft_codec;

#endif
