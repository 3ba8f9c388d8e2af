#include "log/record.h"

#include "base/crc32c.h"
#include "base/limits.h"
#include "base/panic.h"
#include "base/wire.h"

#include <string.h>

/* What a command may carry beyond its arguments: stamps, request ids, lengths; and around it, in a
 * patch, its own header. */
#define RECORD_PAYLOAD_MAX (COMMAND_BYTES_MAX + 1 * KIB + RECORD_HEADER_BYTES)

void record_seal(uint8_t *p, uint32_t group, uint8_t kind, qr_slot slot, qr_term term, size_t n)
{
    qr_assert(n <= RECORD_PAYLOAD_MAX);
    wire_store_u32(p + 4, (uint32_t)n);
    wire_store_u64(p + 8, slot);
    wire_store_u64(p + 16, term);
    wire_store_u32(p + 24, group);
    wire_store_u32(p + 28, kind);
    wire_store_u32(p, crc32c_extend(0, p + 4, RECORD_HEADER_BYTES - 4 + n));
}

size_t record_peek(struct span in, struct record *out)
{
    if (in.n < RECORD_HEADER_BYTES) {
        return 0;
    }
    size_t n = wire_load_u32(in.p + 4);
    if (n > RECORD_PAYLOAD_MAX || n > in.n - RECORD_HEADER_BYTES) {
        return 0;
    }
    out->slot = wire_load_u64(in.p + 8);
    out->term = wire_load_u64(in.p + 16);
    out->group = wire_load_u32(in.p + 24);
    out->kind = in.p[28];
    out->payload = span_of(in.p + RECORD_HEADER_BYTES, n);
    return RECORD_HEADER_BYTES + n;
}

size_t record_read(struct span in, struct record *out)
{
    struct record r;
    size_t n = record_peek(in, &r);
    if (n == 0 || wire_load_u32(in.p) != crc32c_extend(0, in.p + 4, n - 4)) {
        return 0;
    }
    *out = r;
    return n;
}
