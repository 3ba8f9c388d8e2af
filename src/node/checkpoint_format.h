/* The layout of a checkpoint file, for its writer and its readers (docs/checkpoint-format.md).
 *
 *   header  magic 8, format 2, semantics level 2, group 4, cluster 16, uuid 16, slot 8, term 8,
 *           log time 8, salt 8, flags 2, bytes of the roster 2, slot of the roster 8,
 *           commit term 8, roster, crc32c 4 of all before;
 *           in format 1 the checksum follows the salt
 *   block   8 bytes and the chunk: length 4, crc32c 4, chunk; any number of them
 *   trailer 24 bytes: zero 4, crc32c 4, blocks 8, bytes of the file 8
 *
 * The checksum of a block covers the file's salt, the block's number and its length too: no stale,
 * misplaced or foreign block passes, and every byte of the file is under a checksum (scenarios 46,
 * 47, 108-110). There is no padding. */
#ifndef NODE_CHECKPOINT_FORMAT_H
#define NODE_CHECKPOINT_FORMAT_H

#include "base/crc32c.h"
#include "base/limits.h"
#include "base/wire.h"
#include "node/checkpoint.h"

#define CHECKPOINT_MAGIC "QRCHKPNT"
#define CHECKPOINT_FORMAT 2u
#define CHECKPOINT_SALT_AT 72u
#define CHECKPOINT_HEADER_BYTES_1 84u    /* of format 1 */
#define CHECKPOINT_HEADER_BYTES_MIN 104u /* of format 2, without a roster */
#define CHECKPOINT_HEADER_BYTES_MAX (CHECKPOINT_HEADER_BYTES_MIN + ROSTER_BYTES_MAX)
#define CHECKPOINT_BLOCK_HEAD_BYTES 8u
#define CHECKPOINT_TRAILER_BYTES 24u

/* Writes the header into p (CHECKPOINT_HEADER_BYTES_MAX bytes); returns its length, which depends
 * on the roster alone. */
size_t checkpoint_header_write(const struct checkpoint_header *header, uint8_t *p);

enum checkpoint_header_result {
    CHECKPOINT_HEADER_OK,
    CHECKPOINT_HEADER_SHORT, /* more bytes are needed */
    CHECKPOINT_HEADER_BAD,
    CHECKPOINT_HEADER_NEWER, /* a format of a later version */
    CHECKPOINT_HEADER_LEVEL, /* a higher semantics level */
};

/* Reads the header at the start of `in`; *n is its length. */
enum checkpoint_header_result checkpoint_header_read(struct span in, struct checkpoint_header *out,
                                                     size_t *n);

/* The checksum of a block, or of the trailer's 16 bytes with length 0. */
static inline uint32_t checkpoint_block_crc(uint64_t salt, uint64_t number, uint32_t length,
                                            const void *p, size_t n)
{
    uint8_t bytes[20];
    struct wire_writer w = wire_writer(bytes, sizeof bytes);
    wire_put_u64(&w, salt);
    wire_put_u64(&w, number);
    wire_put_u32(&w, length);
    return crc32c_extend(crc32c_extend(0, bytes, sizeof bytes), p, n);
}

/* --- Reading -------------------------------------------------------------------------------- */

/* Loads a file into an empty engine as its bytes come, a header, block or trailer at a time. */
struct checkpoint_reader {
    struct engine *engine;
    struct checkpoint_header header; /* valid once `begun` */
    uint64_t offset;                 /* of what is read next: all before was right */
    uint64_t number;                 /* of the next block */
    bool begun, ended;
    bool spoiled;    /* a block was no part of an image: the engine is worth nothing */
    const char *why; /* after BAD or FOREIGN, for people */
};

enum checkpoint_reading {
    CHECKPOINT_READING_MORE,
    CHECKPOINT_READING_END, /* whole, and every byte of it was right */
    CHECKPOINT_READING_BAD,
    CHECKPOINT_READING_FOREIGN, /* of a newer version */
};

/* Reads what stands whole at the start of `in`, at most `units` headers, blocks or trailers; *taken
 * is how many bytes that was. With MORE and nothing taken it needs more bytes than `in` has; a unit
 * is never longer than CHECKPOINT_UNIT_BYTES_MAX. After BAD and FOREIGN nothing more is read;
 * unless it is spoiled the engine holds what came before `offset`. */
enum checkpoint_reading checkpoint_read(struct checkpoint_reader *reader, struct span in,
                                        uint32_t units, size_t *taken);

#define CHECKPOINT_UNIT_BYTES_MAX (CHECKPOINT_BLOCK_HEAD_BYTES + IMAGE_CHUNK_BYTES)

#endif
