/* An operation: a parsed command in the one binary form that the log, the peers and the engine
 * share. It is the payload of RECORD_COMMAND.
 *
 *   offset size
 *        0    8  wall stamp set by the proposing driver, microseconds (log time comes from it)
 *        8    8  seed for whatever the command chooses at random
 *       16    2  semantics level (R9)
 *       18    2  command tag (command/commands.def)
 *       20    1  database
 *       21    1  flags. 1: an id precedes the arguments (level 3)
 *       22    2  how many arguments are references
 *       24    4  argument count, with the command's name left out
 *       28    -  each argument: u32 length, bytes; or a reference to a blob (node/blobs.h):
 *                u32 80000000h, u64 number of the blob, u32 its bytes
 *
 * An id (engine/idempotency.c), only with flag 1 and never with references, begins at 28 and the
 * arguments follow it:
 *
 *        0    4  how long its record is kept, in seconds
 *        4    4  how many records its producer may have
 *        8    8  how many bytes all records of the partition may take up
 *       16    1  bytes of the producer's name, 1 to 64
 *       17    1  bytes of the request's, 1 to 64
 *       18    -  the producer's name, the request's
 *
 * RECORD_TICK's payload is the first 18 bytes. */
#ifndef COMMAND_OP_H
#define COMMAND_OP_H

#include "base/types.h"

#define OP_HEADER_BYTES 28u
#define OP_TICK_BYTES 18u
#define SEMANTICS_LEVEL 1         /* of what clients ask for */
#define SEMANTICS_LEVEL_RECORDS 2 /* a state with records of the hidden database */
#define SEMANTICS_LEVEL_IDS 3     /* of ops that carry an id, and of a state with records of them */
#define SEMANTICS_LEVEL_MAX 3

/* The tag of an op that no client can ask for: it changes records of the hidden database
 * (engine_system_get), all of them or none. Its arguments are the version that it expects of it, 8
 * bytes, and then pairs of a key and its new value, of no bytes when it goes. */
#define OP_SYSTEM 65535u

struct op {
    qr_wall stamp;
    uint64_t seed;
    uint16_t level;
    uint16_t tag;
    uint8_t db;
    uint16_t refs;    /* arguments that are references */
    uint32_t argc;    /* arguments after the command's name (and subcommand) */
    struct span args; /* the encoded arguments */
    struct span id;   /* the encoded id; empty: it has none */
};

#define OP_NAME_BYTES_MAX 64u /* of a producer, and of a request */
#define OP_ID_HEAD_BYTES 18u
#define OP_ID_BYTES_MAX (OP_ID_HEAD_BYTES + 2 * OP_NAME_BYTES_MAX)
#define OP_ID_SECONDS_MAX 86400u

/* An id: the same request, sent again, has the same names. The bounds are stated in the op so that
 * all replicas go by the same ones, whatever they know of the keyspace. */
struct op_id {
    struct span pid, iid; /* of the producer, and of the request */
    uint32_t seconds, count;
    uint64_t bytes;
};

/* An argument that is a reference. */
struct op_ref {
    uint64_t blob;
    uint32_t n;
};

/* Whether an argument to be encoded is a reference: a length without bytes. */
static inline bool op_is_ref(struct span argument)
{
    return argument.p == NULL && argument.n > 0;
}

/* Whether both names may be in an id. */
bool op_id_fits(struct span pid, struct span iid);
/* Writes an id that is valid to p, which has OP_ID_BYTES_MAX of room; returns its bytes. */
size_t op_id_write(uint8_t *p, const struct op_id *id);
/* Reads op->id, which is not empty and was checked with its op. */
void op_id_read(const struct op *op, struct op_id *out);

/* Bytes of an op with these arguments and no id. */
size_t op_bytes(const struct span *argv, uint32_t argc);

/* Writes an op to p, which has op_bytes and those of head->id of room. References are numbered from
 * 0 in their order. */
void op_write(uint8_t *p, const struct op *head, const struct span *argv, uint32_t argc);

/* Sets stamp and seed of an op that is already encoded. */
void op_stamp(uint8_t *p, qr_wall stamp, uint64_t seed);

/* Checks the whole op; false when malformed (wrong lengths, no such database, a negative stamp) or
 * beyond COMMAND_ARGUMENTS_MAX or COMMAND_BYTES_MAX (the arguments with their lengths). */
bool op_read(struct span in, struct op *out);
/* Looks only at the header, of an op that was checked when it came or was written here:
 * op_arguments panics when the arguments do not fill the rest. */
bool op_peek(struct span in, struct op *out);

/* The arguments as spans into the op; `argv` has room for op->argc. References become lengths
 * without bytes, and where `refs` is not NULL they stand there in their order, op->refs of them. */
void op_arguments(const struct op *op, struct span *argv, struct op_ref *refs);

/* Adds `first` to the numbers of all references of an encoded op. */
void op_number_refs(uint8_t *p, size_t n, uint64_t first);
/* The bytes of all blobs that an op refers to. */
uint64_t op_ref_bytes(const struct op *op);

/* The first argument of an encoded op, which nearly always is its key, and its database, without a
 * check of the rest; false when there is none. For fetching ahead what the op will touch. */
bool op_first_argument(struct span in, struct span *argument, uint8_t *db);

/* A tick's payload, and reading it back; false when malformed. */
void op_tick_write(uint8_t *p, qr_wall stamp, uint64_t seed);
bool op_tick_read(struct span in, qr_wall *stamp);

#endif
