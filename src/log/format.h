/* What lies in a segment file: its header, and the header of a batch (docs/log-format.md).
 *
 *   file offset 0                 the header, in two copies, 2 KiB apart
 *               4096              the restatement: every group's base, state and last entry
 *               body_offset       batches, each on a block boundary
 *
 * The first byte of the body has the log offset `first`; log offsets grow for ever and are never
 * used twice. A checksum covers the log's UUID, the generation and the log offset, so that bytes of
 * another log, of the file's earlier life or of another place in it are never taken for a batch. */
#ifndef LOG_FORMAT_H
#define LOG_FORMAT_H

#include "base/limits.h"
#include "base/types.h"

#define LOG_FORMAT_VERSION 1u
#define SEGMENT_HEADER_BYTES 96u
#define SEGMENT_COPY_OFFSET 2048u /* of the second copy of the header */
#define BATCH_HEADER_BYTES 64u
#define FIRST_LOG_OFFSET LOG_BLOCK_BYTES /* of the first batch of all: position 0 means none */

struct segment_header {
    uint32_t version;
    uint8_t uuid[16];
    uint64_t generation;
    uint64_t first;           /* log offset of the first byte of the body */
    uint64_t capacity;        /* bytes of the body */
    uint64_t prev_generation; /* the segment before; 0 when this is the first of all */
    uint64_t prev_end;        /* log offset at which that one ends: what follows it is dead */
    uint32_t restate_bytes;
    uint32_t restate_crc;
    uint32_t body_offset; /* in the file */
};

enum header_read {
    HEADER_OK,
    HEADER_NONE,  /* no whole header: never written, torn or damaged */
    HEADER_NEWER, /* whole, but of a later format */
};

/* Fills LOG_BLOCK_BYTES at p with both copies and zeros around them. */
void segment_header_encode(const struct segment_header *h, uint8_t *p);

/* Reads whichever copy is whole from LOG_BLOCK_BYTES at p. */
enum header_read segment_header_decode(const uint8_t *p, struct segment_header *out);

/* The checksum over a restatement, bound to its segment. */
uint32_t restate_crc(const uint8_t uuid[16], uint64_t generation, struct span restate);

struct batch_header {
    uint32_t bytes;   /* all of the batch, with header and padding: whole blocks */
    uint32_t payload; /* bytes of records behind the header */
    uint64_t offset;  /* log offset of the batch */
    uint64_t generation;
    uint64_t mark;  /* everything below was known to be on disk when this was written */
    uint64_t first; /* log offset at which the segment's body begins */
    uint32_t count; /* records */
};

/* Writes the header in front of the payload that already stands at p + 64, zeroes the padding and
 * seals all h->bytes. */
void batch_seal(const uint8_t uuid[16], const struct batch_header *h, uint8_t *p);

/* What the bytes at p (n of them) claim to be, without the checksum; false when they cannot be a
 * batch header. A batch longer than n is claimed all the same. */
bool batch_peek(const uint8_t *p, size_t n, struct batch_header *out);

/* Whether the whole batch at p, of h->bytes, is what was sealed. */
bool batch_check(const uint8_t uuid[16], const struct batch_header *h, const uint8_t *p);

/* n rounded up to whole blocks. */
static inline uint64_t block_round(uint64_t n)
{
    return (n + LOG_BLOCK_BYTES - 1) / LOG_BLOCK_BYTES * LOG_BLOCK_BYTES;
}

#endif
