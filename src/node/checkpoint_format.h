/* The layout of a checkpoint file, for its writer and its reader (docs/checkpoint-format.md).
 *
 *   header  84 bytes: magic 8, format 2, semantics level 2, group 4, cluster 16, uuid 16, slot 8,
 *           term 8, log time 8, salt 8, crc32c 4 of the 80 bytes before
 *   block    8 bytes and the chunk: length 4, crc32c 4, chunk; any number of them
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

#define CHECKPOINT_MAGIC "QRCHKPNT"
#define CHECKPOINT_FORMAT 1u
#define CHECKPOINT_HEADER_BYTES 84u
#define CHECKPOINT_BLOCK_HEAD_BYTES 8u
#define CHECKPOINT_TRAILER_BYTES 24u

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

#endif
