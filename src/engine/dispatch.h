/* From an operation to its handler. Private to the engine. */
#ifndef ENGINE_DISPATCH_H
#define ENGINE_DISPATCH_H

#include "engine/call.h"

/* Carries out an op at c->now; engine, reply, spec and now of the call are set by the caller. What
 * the op's sender got wrong (tag, number of arguments, length of a key) is answered as an error. */
void dispatch(struct call *c, const struct op *op);
/* The same with op->argc arguments that stand outside the op. */
void dispatch_arguments(struct call *c, const struct op *op, const struct span *argv);

/* An op with an id (idempotency.c). */
void dispatch_once(struct call *c, const struct op *op);

/* An op of OP_SYSTEM (system.c). */
void dispatch_system(struct call *c, const struct op *op);

#endif
