/* The canary: a small replicated log in the manner of Raft, with bugs to choose from. It exists to
 * prove that the simulator's checkers bite: each bug must be found (tests/script, docs/testing.md).
 * Nobody may keep data in it. */
#ifndef PROTOCOL_CANARY_CANARY_H
#define PROTOCOL_CANARY_CANARY_H

#include "protocol/protocol.h"

#define CANARY_BUGS 15u

/* The canary with bug `number`; 0 has none. NULL: there is no such bug. */
const struct protocol *canary_protocol(unsigned number);

/* What the bug does wrong. */
const char *canary_bug_text(unsigned number);

#endif
