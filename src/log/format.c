#include "log/format.h"

#include "base/crc32c.h"
#include "base/panic.h"
#include "base/wire.h"
#include "log/record.h"

static const uint8_t segment_magic[8] = { 'Q', 'R', 'L', 'O', 'G', 'S', 'E', 'G' };
#define BATCH_MAGIC 0x42525151u /* "QQRB" */

#define HEADER_CRC_AT 12u /* the checksum's place in a segment header */
#define BATCH_CRC_AT 4u   /* and in a batch header */

/* --- Segment header ------------------------------------------------------------------------- */

/* Over the whole header but the checksum itself; later formats keep magic, version and this. */
static uint32_t header_crc(const uint8_t *p)
{
    uint32_t crc = crc32c_extend(0, p, HEADER_CRC_AT);
    return crc32c_extend(crc, p + HEADER_CRC_AT + 4, SEGMENT_HEADER_BYTES - HEADER_CRC_AT - 4);
}

static void header_encode_at(const struct segment_header *h, uint8_t *p)
{
    struct wire_writer w = wire_writer(p, SEGMENT_HEADER_BYTES);
    wire_put_bytes(&w, segment_magic, sizeof(segment_magic));
    wire_put_u32(&w, h->version);
    wire_put_u32(&w, 0);
    wire_put_bytes(&w, h->uuid, 16);
    wire_put_u64(&w, h->generation);
    wire_put_u64(&w, h->first);
    wire_put_u64(&w, h->capacity);
    wire_put_u64(&w, h->prev_generation);
    wire_put_u64(&w, h->prev_end);
    wire_put_u32(&w, h->restate_bytes);
    wire_put_u32(&w, h->restate_crc);
    wire_put_u32(&w, h->body_offset);
    qr_assert(!w.bad);
    w = wire_writer(p + HEADER_CRC_AT, 4);
    wire_put_u32(&w, header_crc(p));
}

void segment_header_encode(const struct segment_header *h, uint8_t *p)
{
    qr_assert(h->generation > h->prev_generation);
    qr_assert(h->first >= h->prev_end);
    memset(p, 0, LOG_BLOCK_BYTES);
    header_encode_at(h, p);
    header_encode_at(h, p + SEGMENT_COPY_OFFSET);
}

/* What every writer keeps to. A header that does not is as good as none, whatever its checksum
 * says: recovery follows its numbers. */
static bool header_makes_sense(const struct segment_header *h)
{
    return h->generation > h->prev_generation && h->first >= h->prev_end &&
           h->first <= UINT64_MAX / 4 && h->capacity <= UINT64_MAX / 4 &&
           h->body_offset >= LOG_BLOCK_BYTES && h->body_offset % LOG_BLOCK_BYTES == 0 &&
           h->restate_bytes <= h->body_offset - LOG_BLOCK_BYTES;
}

static enum header_read header_decode_at(const uint8_t *p, struct segment_header *out)
{
    struct wire_reader r = wire_reader(span_of(p, SEGMENT_HEADER_BYTES));
    struct span magic = wire_get_bytes(&r, sizeof(segment_magic));
    uint32_t version = wire_get_u32(&r);
    if (memcmp(magic.p, segment_magic, magic.n) != 0 || wire_get_u32(&r) != header_crc(p)) {
        return HEADER_NONE;
    }
    if (version != LOG_FORMAT_VERSION) {
        return HEADER_NEWER;
    }
    out->version = version;
    memcpy(out->uuid, wire_get_bytes(&r, 16).p, 16);
    out->generation = wire_get_u64(&r);
    out->first = wire_get_u64(&r);
    out->capacity = wire_get_u64(&r);
    out->prev_generation = wire_get_u64(&r);
    out->prev_end = wire_get_u64(&r);
    out->restate_bytes = wire_get_u32(&r);
    out->restate_crc = wire_get_u32(&r);
    out->body_offset = wire_get_u32(&r);
    return header_makes_sense(out) ? HEADER_OK : HEADER_NONE;
}

enum header_read segment_header_decode(const uint8_t *p, struct segment_header *out)
{
    enum header_read found = header_decode_at(p, out);
    if (found == HEADER_NONE) {
        found = header_decode_at(p + SEGMENT_COPY_OFFSET, out);
    }
    return found;
}

uint32_t restate_crc(const uint8_t uuid[16], uint64_t generation, struct span restate)
{
    uint8_t seed[8];
    struct wire_writer w = wire_writer(seed, sizeof(seed));
    wire_put_u64(&w, generation);
    uint32_t crc = crc32c_extend(0, uuid, 16);
    crc = crc32c_extend(crc, seed, sizeof(seed));
    return crc32c_extend(crc, restate.p, restate.n);
}

/* --- Batch header --------------------------------------------------------------------------- */

static uint32_t batch_crc(const uint8_t uuid[16], const uint8_t *p, size_t n)
{
    uint32_t crc = crc32c_extend(0, uuid, 16);
    crc = crc32c_extend(crc, p, BATCH_CRC_AT);
    return crc32c_extend(crc, p + BATCH_CRC_AT + 4, n - BATCH_CRC_AT - 4);
}

void batch_seal(const uint8_t uuid[16], const struct batch_header *h, uint8_t *p)
{
    qr_assert(h->bytes == block_round(BATCH_HEADER_BYTES + h->payload));
    qr_assert(h->mark <= h->offset);
    memset(p + BATCH_HEADER_BYTES + h->payload, 0, h->bytes - BATCH_HEADER_BYTES - h->payload);
    memset(p, 0, BATCH_HEADER_BYTES);
    struct wire_writer w = wire_writer(p, BATCH_HEADER_BYTES);
    wire_put_u32(&w, BATCH_MAGIC);
    wire_put_u32(&w, 0);
    wire_put_u32(&w, h->bytes);
    wire_put_u32(&w, h->payload);
    wire_put_u64(&w, h->offset);
    wire_put_u64(&w, h->generation);
    wire_put_u64(&w, h->mark);
    wire_put_u64(&w, h->first);
    wire_put_u32(&w, h->count);
    w = wire_writer(p + BATCH_CRC_AT, 4);
    wire_put_u32(&w, batch_crc(uuid, p, h->bytes));
}

bool batch_peek(const uint8_t *p, size_t n, struct batch_header *out)
{
    if (n < BATCH_HEADER_BYTES) {
        return false;
    }
    struct wire_reader r = wire_reader(span_of(p, BATCH_HEADER_BYTES));
    if (wire_get_u32(&r) != BATCH_MAGIC) {
        return false;
    }
    (void)wire_get_u32(&r);
    out->bytes = wire_get_u32(&r);
    out->payload = wire_get_u32(&r);
    out->offset = wire_get_u64(&r);
    out->generation = wire_get_u64(&r);
    out->mark = wire_get_u64(&r);
    out->first = wire_get_u64(&r);
    out->count = wire_get_u32(&r);
    return out->bytes == block_round((uint64_t)BATCH_HEADER_BYTES + out->payload) &&
           out->mark <= out->offset && out->first <= out->offset;
}

bool batch_check(const uint8_t uuid[16], const struct batch_header *h, const uint8_t *p)
{
    struct wire_reader r = wire_reader(span_of(p + BATCH_CRC_AT, 4));
    return wire_get_u32(&r) == batch_crc(uuid, p, h->bytes);
}
