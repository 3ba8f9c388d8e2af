/* Raft as a strategy: see raft.c for the overview and docs/wire-format.md for the messages. */
#ifndef PROTOCOL_RAFT_RAFT_H
#define PROTOCOL_RAFT_RAFT_H

#include "protocol/protocol.h"

extern const struct protocol raft_protocol;

#endif
