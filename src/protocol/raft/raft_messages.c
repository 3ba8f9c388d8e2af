#include "protocol/raft/raft_messages.h"

#define SCHEMA_LATE (1u << RAFT_READ_ASK | 1u << RAFT_READ_AT)
#include "protocol/schema_codec.h"
