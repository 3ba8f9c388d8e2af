/* Which commands a statement log may hold as they are. See rows_is_pinned.
 *
 * Whoever adds a command says it here, or this does not compile. To be pinned a command's effect
 * must follow from the state, its arguments, its stamp and its seed, on every machine and with
 * whatever version of its libraries. */
#include "engine/rows.h"

#include "command/command.h"

enum {
    PINNED_APPEND = true,
    PINNED_COPY = true,
    PINNED_DECR = true,
    PINNED_DECRBY = true,
    PINNED_DEL = true,
    PINNED_EXPIRE = true, /* by the stamp, as all times are */
    PINNED_EXPIREAT = true,
    PINNED_FLUSHALL = true,
    PINNED_FLUSHDB = true,
    PINNED_GETDEL = true,
    PINNED_GETEX = true,
    PINNED_GETSET = true,
    PINNED_INCR = true,
    PINNED_INCRBY = true,
    PINNED_INCRBYFLOAT = true, /* base/wide.h */
    PINNED_MOVE = true,
    PINNED_MSET = true,
    PINNED_MSETNX = true,
    PINNED_PERSIST = true,
    PINNED_PEXPIRE = true,
    PINNED_PEXPIREAT = true,
    PINNED_PSETEX = true,
    PINNED_RENAME = true,
    PINNED_RENAMENX = true,
    PINNED_SET = true,
    PINNED_SETEX = true,
    PINNED_SETNX = true,
    PINNED_SETRANGE = true,
    PINNED_SWAPDB = true,
    PINNED_UNLINK = true,
};

bool rows_is_pinned(uint16_t tag)
{
    switch (tag) {
#define WRITE(tag, ident, ...) \
    case tag:                  \
        return PINNED_##ident;
#include "command/commands.def"
    case OP_SYSTEM:
        return true;
    default:
        return false;
    }
}
