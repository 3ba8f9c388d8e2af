#include "base/crc32c.h"

#include <string.h>

#define POLYNOMIAL_REFLECTED 0x82f63b78u

/* One step of the bitwise definition; only the fallback for processors without the instruction. */
static uint32_t extend_portable(uint32_t crc, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ (POLYNOMIAL_REFLECTED & (0u - (crc & 1u)));
        }
    }
    return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t extend_sse42(uint32_t crc, const uint8_t *p,
                                                               size_t n)
{
    uint64_t wide = crc;
    for (; n >= 32; p += 32, n -= 32) { /* what is short counts by its instructions */
        uint64_t word[4];
        memcpy(word, p, sizeof word);
        wide = __builtin_ia32_crc32di(wide, word[0]);
        wide = __builtin_ia32_crc32di(wide, word[1]);
        wide = __builtin_ia32_crc32di(wide, word[2]);
        wide = __builtin_ia32_crc32di(wide, word[3]);
    }
    for (; n >= 8; p += 8, n -= 8) {
        uint64_t word;
        memcpy(&word, p, sizeof word);
        wide = __builtin_ia32_crc32di(wide, word);
    }
    crc = (uint32_t)wide;
    if ((n & 4) != 0) {
        uint32_t word;
        memcpy(&word, p, sizeof word);
        crc = __builtin_ia32_crc32si(crc, word);
        p += 4;
    }
    if ((n & 2) != 0) {
        uint16_t word;
        memcpy(&word, p, sizeof word);
        crc = __builtin_ia32_crc32hi(crc, word);
        p += 2;
    }
    return (n & 1) != 0 ? __builtin_ia32_crc32qi(crc, *p) : crc;
}
#endif

uint32_t crc32c_extend(uint32_t crc, const void *p, size_t n)
{
    crc = ~crc;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2")) {
        return ~extend_sse42(crc, p, n);
    }
#endif
    return ~extend_portable(crc, p, n);
}

/* --- Joining: appending n zero bytes multiplies by x^(8n) modulo the polynomial ---------------
 * The bits of a checksum are in reverse: x^0 is the highest. */

static uint32_t multiply(uint32_t a, uint32_t b)
{
    uint32_t product = 0;
    for (uint32_t bit = 1u << 31; bit != 0; bit >>= 1) {
        product ^= (a & bit) != 0 ? b : 0;
        b = (b >> 1) ^ ((b & 1) != 0 ? POLYNOMIAL_REFLECTED : 0);
    }
    return product;
}

uint32_t crc32c_join(struct crc32c_join *join, uint32_t first, uint32_t second, uint64_t n)
{
    if (join->n != n || join->factor == 0) {
        uint32_t square = 1u << 23; /* x^8 */
        join->factor = 1u << 31;
        for (uint64_t left = n; left != 0; left >>= 1) {
            join->factor = (left & 1) != 0 ? multiply(square, join->factor) : join->factor;
            square = multiply(square, square);
        }
        join->n = n;
    }
    return multiply(join->factor, first) ^ second;
}
