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
