#include "log/record.h"

#include "base/crc32c.h"
#include "base/limits.h"
#include "base/panic.h"

#include <string.h>

/* What a command may carry beyond its arguments: stamps, request ids, lengths. */
#define RECORD_PAYLOAD_MAX (COMMAND_BYTES_MAX + 1 * KIB)

static void put_u32(uint8_t *p, uint32_t v)
{
    for (unsigned i = 0; i < 4; i++) {
        p[i] = (uint8_t)(v >> (8 * i));
    }
}

static void put_u64(uint8_t *p, uint64_t v)
{
    for (unsigned i = 0; i < 8; i++) {
        p[i] = (uint8_t)(v >> (8 * i));
    }
}

static uint32_t get_u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t get_u64(const uint8_t *p)
{
    return (uint64_t)get_u32(p) | (uint64_t)get_u32(p + 4) << 32;
}

void record_seal(uint8_t *p, uint32_t group, uint8_t kind, qr_slot slot, qr_term term, size_t n)
{
    qr_assert(n <= RECORD_PAYLOAD_MAX);
    put_u32(p + 4, (uint32_t)n);
    put_u64(p + 8, slot);
    put_u64(p + 16, term);
    put_u32(p + 24, group);
    put_u32(p + 28, kind);
    put_u32(p, crc32c_extend(0, p + 4, RECORD_HEADER_BYTES - 4 + n));
}

size_t record_peek(struct span in, struct record *out)
{
    if (in.n < RECORD_HEADER_BYTES) {
        return 0;
    }
    size_t n = get_u32(in.p + 4);
    if (n > RECORD_PAYLOAD_MAX || n > in.n - RECORD_HEADER_BYTES) {
        return 0;
    }
    out->slot = get_u64(in.p + 8);
    out->term = get_u64(in.p + 16);
    out->group = get_u32(in.p + 24);
    out->kind = in.p[28];
    out->payload = span_of(in.p + RECORD_HEADER_BYTES, n);
    return RECORD_HEADER_BYTES + n;
}

size_t record_read(struct span in, struct record *out)
{
    struct record r;
    size_t n = record_peek(in, &r);
    if (n == 0 || get_u32(in.p) != crc32c_extend(0, in.p + 4, n - 4)) {
        return 0;
    }
    *out = r;
    return n;
}
