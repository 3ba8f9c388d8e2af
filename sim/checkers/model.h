/* The sequential model of a key: what a register with set, del, incr, append and the writes that
 * look first (setnx, setxx, getset, getdel) does when nothing runs at the same time. The
 * linearizability checker explores it, and the simulator's nodes use it as their engine, so that
 * both mean the same.
 *
 * A value is kept as length and FNV-1a hash, and its bytes only while they are few: append then
 * costs the same on a value of a megabyte, and equality is a comparison of numbers. */
#ifndef SIM_CHECKERS_MODEL_H
#define SIM_CHECKERS_MODEL_H

#include "base/types.h"

#define MODEL_SMALL 24u /* bytes kept of a short value; longer ones are not numbers */

struct model_value {
    uint64_t hash;
    uint32_t length;
    bool present;
    char small[MODEL_SMALL];
};

enum op_kind {
    OP_GET = 0,
    OP_SET,
    OP_DEL,
    OP_INCR,
    OP_APPEND,
    OP_SETNX,  /* sets where nothing is, */
    OP_SETXX,  /* or where something is */
    OP_GETSET, /* tells what was there, and sets */
    OP_GETDEL, /* tells what was there, and deletes it */
    OP_CLEAR   /* deletes, and tells nothing (a flush) */
};
#define OP_KINDS 10

/* Whether an operation of that kind says nothing but its key. */
static inline bool op_is_bare(enum op_kind kind)
{
    return kind == OP_GET || kind == OP_DEL || kind == OP_GETDEL || kind == OP_CLEAR;
}

enum result_kind {
    RESULT_OK = 0,  /* done, nothing to tell (set, setnx, setxx, clear) */
    RESULT_NIL,     /* the key does not exist (get), did not (getset, getdel), and was not set
                     * (setnx, setxx) */
    RESULT_VALUE,   /* the value (get), that of before (getset, getdel), the new number (incr), the
                     * length (append), 0 or 1 (del) */
    RESULT_UNKNOWN, /* may have happened, may still happen, may never happen */
    RESULT_FAIL     /* definitely did not happen */
};

struct model_result {
    enum result_kind kind;
    struct model_value value; /* only with RESULT_VALUE */
};

struct model_value model_value_of(struct span bytes);
struct model_value model_value_of_number(int64_t v);
bool model_value_equal(const struct model_value *a, const struct model_value *b);
bool model_result_equal(const struct model_result *a, const struct model_result *b);

/* Carries out one operation on *state. `incr` on what is no number fails and changes nothing. */
struct model_result model_apply(enum op_kind kind, const struct model_value *argument,
                                struct model_value *state);

const char *op_kind_name(enum op_kind kind);
/* False when the name is unknown. */
bool op_kind_of(const char *name, enum op_kind *out);

#endif
