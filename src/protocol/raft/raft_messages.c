#include "protocol/raft/raft_messages.h"

#include "protocol/schema_codec.h"
