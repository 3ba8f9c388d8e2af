#include "sim/checkers/model.h"

#include "base/panic.h"

#include <stdio.h>
#include <string.h>

#define FNV_BASIS 0xcbf29ce484222325u
#define FNV_PRIME 0x100000001b3u

static const char *const kind_names[OP_KINDS] = { "get",   "set",   "del",    "incr",   "append",
                                                  "setnx", "setxx", "getset", "getdel", "clear" };

static void extend(struct model_value *v, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        v->hash = (v->hash ^ (uint8_t)p[i]) * FNV_PRIME;
        if (v->length < MODEL_SMALL) {
            v->small[v->length] = p[i];
        }
        v->length++;
    }
}

struct model_value model_value_of(struct span bytes)
{
    struct model_value v = { .hash = FNV_BASIS, .present = true };
    extend(&v, (const char *)bytes.p, bytes.n);
    return v;
}

struct model_value model_value_of_number(int64_t number)
{
    char digits[24];
    int n = snprintf(digits, sizeof digits, "%lld", (long long)number);
    return model_value_of(span_of(digits, (size_t)n));
}

bool model_value_equal(const struct model_value *a, const struct model_value *b)
{
    return a->present == b->present &&
           (!a->present || (a->hash == b->hash && a->length == b->length));
}

bool model_result_equal(const struct model_result *a, const struct model_result *b)
{
    return a->kind == b->kind &&
           (a->kind != RESULT_VALUE || model_value_equal(&a->value, &b->value));
}

/* The number that the value spells; an absent value counts as 0, as in Redis. */
static bool number_of(const struct model_value *v, int64_t *out)
{
    if (!v->present) {
        *out = 0;
        return true;
    }
    uint32_t at = v->length > 0 && v->small[0] == '-' ? 1 : 0;
    if (v->length == at || v->length > 18) {
        return false;
    }
    int64_t number = 0;
    for (uint32_t i = at; i < v->length; i++) {
        if (v->small[i] < '0' || v->small[i] > '9') {
            return false;
        }
        number = number * 10 + (v->small[i] - '0');
    }
    *out = at == 1 ? -number : number;
    return true;
}

/* Appending needs the bytes of the addition. They are there as long as arguments are short, which
 * whoever records a history sees to. */
static void append(struct model_value *state, const struct model_value *addition)
{
    qr_assert(addition->length <= MODEL_SMALL);
    if (!state->present) {
        *state = model_value_of(span_of("", 0));
    }
    extend(state, addition->small, addition->length);
}

static struct model_result value_result(struct model_value v)
{
    return (struct model_result){ .kind = RESULT_VALUE, .value = v };
}

static struct model_result read_result(const struct model_value *state)
{
    return state->present ? value_result(*state) : (struct model_result){ .kind = RESULT_NIL };
}

static struct model_result set_if(bool fits, const struct model_value *argument,
                                  struct model_value *state)
{
    *state = fits ? *argument : *state;
    return (struct model_result){ .kind = fits ? RESULT_OK : RESULT_NIL };
}

struct model_result model_apply(enum op_kind kind, const struct model_value *argument,
                                struct model_value *state)
{
    int64_t number = 0, amount = 0;
    struct model_result before = read_result(state);
    switch (kind) {
    case OP_GET:
        return before;
    case OP_SET:
        return set_if(true, argument, state);
    case OP_SETNX:
        return set_if(!state->present, argument, state);
    case OP_SETXX:
        return set_if(state->present, argument, state);
    case OP_GETSET:
        *state = *argument;
        return before;
    case OP_GETDEL:
        *state = (struct model_value){ 0 };
        return before;
    case OP_CLEAR:
        *state = (struct model_value){ 0 };
        return (struct model_result){ .kind = RESULT_OK };
    case OP_DEL: {
        int64_t existed = state->present ? 1 : 0;
        *state = (struct model_value){ 0 };
        return value_result(model_value_of_number(existed));
    }
    case OP_INCR:
        if (!number_of(state, &number) || !number_of(argument, &amount)) {
            return (struct model_result){ .kind = RESULT_FAIL };
        }
        *state = model_value_of_number(number + amount);
        return value_result(*state);
    case OP_APPEND:
        append(state, argument);
        return value_result(model_value_of_number(state->length));
    }
    qr_unreachable();
}

const char *op_kind_name(enum op_kind kind)
{
    return kind_names[kind];
}

bool op_kind_of(const char *name, enum op_kind *out)
{
    for (unsigned i = 0; i < OP_KINDS; i++) {
        if (strcmp(name, kind_names[i]) == 0) {
            *out = (enum op_kind)i;
            return true;
        }
    }
    return false;
}
