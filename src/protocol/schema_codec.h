/* The functions of struct codec, written by a protocol's message list (see schema.h).
 *
 * Include it in one .c file, after the header that expanded schema.h for the same list, with
 * SCHEMA_LIST, SCHEMA_PREFIX and SCHEMA_PREFIX_UPPER still defined. It defines
 * `const struct codec <prefix>_codec`. A protocol's .c file that does so holds nothing else.
 *
 * Decoding is field by field and never fails in the middle: a short body or a value out of range
 * sets the reader's `bad` flag, the rest reads as zeros, and the end decides (design: R9). Every
 * struct starts zeroed, padding included, so that nothing uninitialised can leave the process. */
#ifndef PROTOCOL_SCHEMA_CODEC_H
#define PROTOCOL_SCHEMA_CODEC_H

#include "base/rng.h"
#include "base/wire.h"

/* --- Field types: put, get, random ------------------------------------------------------------ */

static inline bool schema_valid_node(uint64_t v)
{
    return v < MEMBERS_MAX || v == NODE_NONE;
}

static inline bool schema_valid_flag(uint64_t v)
{
    return v <= 1;
}

#define schema_valid_u32(v) true
#define schema_valid_u64(v) true
#define schema_valid_slot(v) true
#define schema_valid_term(v) true
#define schema_valid_time(v) true
#define schema_valid_wall(v) true

/* Small values are as likely as huge ones, so that random instances meet the borders. */
static inline uint64_t schema_random_bits(struct rng *rng)
{
    return rng_next(rng) >> rng_below(rng, 64);
}

#define SCHEMA_FIELD_FUNCTIONS(name, c_type, wire)                          \
    static inline void schema_put_##name(struct wire_writer *out, c_type v) \
    {                                                                       \
        wire_put_##wire(out, (schema_wire_##wire)v);                        \
    }                                                                       \
    static inline c_type schema_get_##name(struct wire_reader *in)          \
    {                                                                       \
        schema_wire_##wire v = wire_get_##wire(in);                         \
        in->bad = in->bad || !schema_valid_##name(v);                       \
        return in->bad ? (c_type)0 : (c_type)v;                             \
    }                                                                       \
    static inline c_type schema_random_##name(struct rng *rng)              \
    {                                                                       \
        schema_wire_##wire v = (schema_wire_##wire)schema_random_bits(rng); \
        return schema_valid_##name(v) ? (c_type)v : (c_type)(v & 1);        \
    }
typedef uint8_t schema_wire_u8;
typedef uint32_t schema_wire_u32;
typedef uint64_t schema_wire_u64;
SCHEMA_TYPES(SCHEMA_FIELD_FUNCTIONS)
#undef SCHEMA_FIELD_FUNCTIONS

/* --- One function per message ----------------------------------------------------------------- */

#define RETIRED(tag, why)

#define MESSAGE(tag, NAME, name, lane, sentence)                                       \
    static void encode_##name(const SCHEMA_STRUCT(name) * m, struct wire_writer * out) \
    {
#define FIELD(type, name) schema_put_##type(out, m->name);
#define END(name) }
#include SCHEMA_LIST
#undef MESSAGE
#undef FIELD
#undef END

#define MESSAGE(tag, NAME, name, lane, sentence)                                \
    static void decode_##name(SCHEMA_STRUCT(name) * m, struct wire_reader * in) \
    {                                                                           \
        memset(m, 0, sizeof *m);
#define FIELD(type, name) m->name = schema_get_##type(in);
#define END(name) }
#include SCHEMA_LIST
#undef MESSAGE
#undef FIELD
#undef END

#define MESSAGE(tag, NAME, name, lane, sentence)                               \
    static void print_##name(const SCHEMA_STRUCT(name) * m, struct text * out) \
    {                                                                          \
        text_put(out, #NAME);
#define FIELD(type, name) text_field(out, #name, (uint64_t)m->name);
#define END(name) }
#include SCHEMA_LIST
#undef MESSAGE
#undef FIELD
#undef END

#define MESSAGE(tag, NAME, name, lane, sentence)                                           \
    static bool equal_##name(const SCHEMA_STRUCT(name) * a, const SCHEMA_STRUCT(name) * b) \
    {                                                                                      \
        return true
#define FIELD(type, name) &&a->name == b->name
#define END(name) \
    ;             \
    }
#include SCHEMA_LIST
#undef MESSAGE
#undef FIELD
#undef END

#define MESSAGE(tag, NAME, name, lane, sentence)                         \
    static void random_##name(SCHEMA_STRUCT(name) * m, struct rng * rng) \
    {                                                                    \
        memset(m, 0, sizeof *m);
#define FIELD(type, name) m->name = schema_random_##type(rng);
#define END(name) }
#include SCHEMA_LIST
#undef MESSAGE
#undef FIELD
#undef END

/* --- Dispatch by tag -------------------------------------------------------------------------- */

#define FIELD(type, name)
#define END(name)

static bool schema_encode(uint16_t kind, const void *body, struct wire_writer *out)
{
    switch (kind) {
#define MESSAGE(tag, NAME, name, lane, sentence) \
    case tag:                                    \
        encode_##name(body, out);                \
        return true;
#include SCHEMA_LIST
#undef MESSAGE
    }
    return false;
}

static bool schema_decode(uint16_t kind, struct span in, void *body)
{
    struct wire_reader reader = wire_reader(in);
    switch (kind) {
#define MESSAGE(tag, NAME, name, lane, sentence) \
    case tag:                                    \
        decode_##name(body, &reader);            \
        return wire_finished(&reader);
#include SCHEMA_LIST
#undef MESSAGE
    }
    return false;
}

static void schema_print(uint16_t kind, const void *body, struct text *out)
{
    switch (kind) {
#define MESSAGE(tag, NAME, name, lane, sentence) \
    case tag:                                    \
        print_##name(body, out);                 \
        return;
#include SCHEMA_LIST
#undef MESSAGE
    }
    text_put(out, "unknown");
}

static bool schema_equal(uint16_t kind, const void *a, const void *b)
{
    switch (kind) {
#define MESSAGE(tag, NAME, name, lane, sentence) \
    case tag:                                    \
        return equal_##name(a, b);
#include SCHEMA_LIST
#undef MESSAGE
    }
    return false;
}

static void schema_random(uint16_t kind, uint64_t seed, void *body)
{
    struct rng rng = rng_from(seed);
    switch (kind) {
#define MESSAGE(tag, NAME, name, lane, sentence) \
    case tag:                                    \
        random_##name(body, &rng);               \
        return;
#include SCHEMA_LIST
#undef MESSAGE
    }
}

enum schema_lane { SCHEMA_LANE_CONTROL, SCHEMA_LANE_DATA, SCHEMA_LANE_RECORD };

static bool schema_is_control(uint16_t kind)
{
    switch (kind) {
#define MESSAGE(tag, NAME, name, lane, sentence) \
    case tag:                                    \
        return SCHEMA_LANE_##lane == SCHEMA_LANE_CONTROL;
#include SCHEMA_LIST
#undef MESSAGE
    }
    return false;
}

static const char *schema_name(uint16_t kind)
{
    switch (kind) {
#define MESSAGE(tag, NAME, name, lane, sentence) \
    case tag:                                    \
        return #NAME;
#include SCHEMA_LIST
#undef MESSAGE
    }
    return NULL;
}

/* --- The codec -------------------------------------------------------------------------------- */

/* A union of all bodies gives the size of the largest one, a union of arrays the largest tag. */
union schema_any_body {
#define MESSAGE(tag, NAME, name, lane, sentence) SCHEMA_STRUCT(name) name;
#include SCHEMA_LIST
#undef MESSAGE
};
union schema_any_tag {
#define MESSAGE(tag, NAME, name, lane, sentence) char name[tag];
#include SCHEMA_LIST
#undef MESSAGE
};

#undef FIELD
#undef END
#undef RETIRED

_Static_assert(_Alignof(union schema_any_body) <= 8, "a body fits 8-byte aligned scratch");

#ifdef SCHEMA_LATE
_Static_assert(sizeof(union schema_any_tag) < 64, "kinds are bits of `late`");
#endif

const struct codec SCHEMA_JOIN(SCHEMA_PREFIX, codec) = {
    .body_max = sizeof(union schema_any_body),
    .encode = schema_encode,
    .decode = schema_decode,
    .print = schema_print,
    .equal = schema_equal,
    .random = schema_random,
    .is_control = schema_is_control,
    .name = schema_name,
    .kind_max = sizeof(union schema_any_tag),
#ifdef SCHEMA_LATE
    .late = SCHEMA_LATE,
#endif
};

#endif
