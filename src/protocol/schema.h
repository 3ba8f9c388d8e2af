/* Messages and durable records, declared once: the list is the schema.
 *
 * A protocol writes one commented file-style list, for example raft/raft_messages.def:
 *
 *     MESSAGE(3, APPEND, append, DATA, "leader to follower: the entries behind prev_slot")
 *     FIELD(term, term)
 *     FIELD(slot, prev_slot)
 *     END(append)
 *     RETIRED(9, "tag of the first snapshot format")
 *
 * Tags are written by hand and never reused; they are on disk and on the wire. A lane is CONTROL
 * (small and urgent), DATA, or RECORD (a durable state record, never sent). Including this header
 * with SCHEMA_LIST, SCHEMA_PREFIX and SCHEMA_PREFIX_UPPER defined declares, for a prefix `raft`,
 * struct raft_append and RAFT_APPEND = 3, and so on. Including protocol/schema_codec.h in one .c
 * file then defines everything that struct codec asks for.
 *
 * Field types and their bytes, little-endian, in the order of the list:
 *     flag 1 (0 or 1)   node 1   u32 4   u64 slot term time wall 8
 */
#include "base/limits.h"
#include "base/rng.h"
#include "protocol/protocol.h"

#ifndef PROTOCOL_SCHEMA_H
#define PROTOCOL_SCHEMA_H

/* A field type: its name in a list, its C type, its bytes. What the values of a type may be is
 * checked by schema_valid_<name>, so that no handler ever meets a node index out of the table. */
#define SCHEMA_TYPES(TYPE)     \
    TYPE(flag, bool, u8)       \
    TYPE(node, node_index, u8) \
    TYPE(u32, uint32_t, u32)   \
    TYPE(u64, uint64_t, u64)   \
    TYPE(slot, qr_slot, u64)   \
    TYPE(term, qr_term, u64)   \
    TYPE(time, qr_time, u64)   \
    TYPE(wall, qr_wall, u64)

#define SCHEMA_TYPEDEF(name, c_type, wire) typedef c_type schema_##name;
SCHEMA_TYPES(SCHEMA_TYPEDEF)
#undef SCHEMA_TYPEDEF

#define SCHEMA_JOIN_(a, b) a##_##b
#define SCHEMA_JOIN(a, b) SCHEMA_JOIN_(a, b)
#define SCHEMA_STRUCT(name) struct SCHEMA_JOIN(SCHEMA_PREFIX, name)
#define SCHEMA_TAG(NAME) SCHEMA_JOIN(SCHEMA_PREFIX_UPPER, NAME)

#endif

/* clang-format off: a list is expanded here, not code. */

/* The structs. No include guard: each protocol expands its own list. */
#define MESSAGE(tag, NAME, name, lane, sentence) \
    SCHEMA_STRUCT(name)                          \
    {
#define FIELD(type, name) schema_##type name;
#define END(name) \
    }             \
    ;
#define RETIRED(tag, why)
#include SCHEMA_LIST
#undef MESSAGE
#undef FIELD
#undef END
#undef RETIRED

/* The tags. A retired tag keeps its place, so that a second use does not compile. */
enum SCHEMA_JOIN(SCHEMA_PREFIX, kind) {
#define MESSAGE(tag, NAME, name, lane, sentence) SCHEMA_TAG(NAME) = (tag),
#define FIELD(type, name)
#define END(name)
#define RETIRED(tag, why)
#include SCHEMA_LIST
#undef MESSAGE
#undef FIELD
#undef END
#undef RETIRED
};

/* clang-format on */
