/* CRC-32C (Castagnoli, RFC 3720 appendix B.4), as used in the log, in checkpoints and on the wire.
 */
#ifndef BASE_CRC32C_H
#define BASE_CRC32C_H

#include "base/types.h"

/* Continues `crc` (0 at the start) over n bytes; crc32c_extend(0, "123456789", 9) is 0xe3069283.
 * Chaining over pieces gives the checksum of their concatenation. */
uint32_t crc32c_extend(uint32_t crc, const void *p, size_t n);

/* The checksum of two byte strings in a row from those of each, the second being n bytes long.
 * `join` (zeroes at first) remembers the last n. */
struct crc32c_join {
    uint64_t n;
    uint32_t factor;
};
uint32_t crc32c_join(struct crc32c_join *join, uint32_t first, uint32_t second, uint64_t n);

#endif
