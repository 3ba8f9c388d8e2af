#include "node/checkpoint_format.h"

#include <string.h>

#define FLAG_INSTALLED 1u

/* The fields that both formats begin with; the checksum of format 1 follows them. */
#define COMMON_BYTES 80u

size_t checkpoint_header_write(const struct checkpoint_header *h, uint8_t *p)
{
    struct wire_writer w = wire_writer(p, CHECKPOINT_HEADER_BYTES_MAX);
    wire_put_bytes(&w, CHECKPOINT_MAGIC, 8);
    wire_put_u16(&w, CHECKPOINT_FORMAT);
    wire_put_u16(&w, h->level > 0 ? h->level : SEMANTICS_LEVEL);
    wire_put_u32(&w, h->group);
    wire_put_bytes(&w, h->cluster, 16);
    wire_put_bytes(&w, h->uuid, 16);
    wire_put_u64(&w, h->slot);
    wire_put_u64(&w, h->term);
    wire_put_u64(&w, (uint64_t)h->log_time);
    qr_assert(w.n == CHECKPOINT_SALT_AT);
    wire_put_u64(&w, h->salt);
    wire_put_u16(&w, h->installed ? FLAG_INSTALLED : 0);
    wire_put_u16(&w, h->roster_bytes);
    wire_put_u64(&w, h->roster_slot);
    wire_put_u64(&w, h->commit_term);
    wire_put_bytes(&w, h->roster, h->roster_bytes);
    wire_put_u32(&w, crc32c_extend(0, w.p, w.n));
    qr_assert(!w.bad && w.n == CHECKPOINT_HEADER_BYTES_MIN + h->roster_bytes);
    return w.n;
}

static void read_common(struct wire_reader *in, struct checkpoint_header *out)
{
    out->group = wire_get_u32(in);
    memcpy(out->cluster, wire_get_bytes(in, 16).p, 16);
    memcpy(out->uuid, wire_get_bytes(in, 16).p, 16);
    out->slot = wire_get_u64(in);
    out->term = wire_get_u64(in);
    out->log_time = (qr_wall)wire_get_u64(in);
    out->salt = wire_get_u64(in);
    qr_assert(in->at == COMMON_BYTES);
}

/* False when it is longer than any. */
static bool read_roster(struct wire_reader *in, struct checkpoint_header *out)
{
    out->installed = (wire_get_u16(in) & FLAG_INSTALLED) != 0;
    out->roster_bytes = wire_get_u16(in);
    out->roster_slot = wire_get_u64(in);
    out->commit_term = wire_get_u64(in);
    if (out->roster_bytes > sizeof out->roster) {
        return false;
    }
    struct span roster = wire_get_bytes(in, out->roster_bytes);
    if (!in->bad && roster.n > 0) {
        memcpy(out->roster, roster.p, roster.n);
    }
    return true;
}

enum checkpoint_header_result checkpoint_header_read(struct span bytes,
                                                     struct checkpoint_header *out, size_t *n)
{
    if (bytes.n < CHECKPOINT_HEADER_BYTES_1) {
        return CHECKPOINT_HEADER_SHORT;
    }
    struct wire_reader in = wire_reader(bytes);
    *out = (struct checkpoint_header){ 0 };
    bool magic = memcmp(wire_get_bytes(&in, 8).p, CHECKPOINT_MAGIC, 8) == 0;
    uint16_t format = wire_get_u16(&in);
    uint16_t level = wire_get_u16(&in);
    read_common(&in, out);
    bool bounded = format == 1 || read_roster(&in, out);
    uint32_t crc = bounded && !in.bad ? crc32c_extend(0, bytes.p, in.at) : 0;
    bool whole = wire_get_u32(&in) == crc;
    if (!magic || format == 0 || !bounded) {
        return CHECKPOINT_HEADER_BAD;
    }
    if (in.bad) {
        return CHECKPOINT_HEADER_SHORT;
    }
    *n = in.at;
    out->format = format;
    out->level = level;
    if (!whole) {
        return CHECKPOINT_HEADER_BAD;
    }
    if (format > CHECKPOINT_FORMAT) {
        return CHECKPOINT_HEADER_NEWER;
    }
    return level > SEMANTICS_LEVEL_MAX ? CHECKPOINT_HEADER_LEVEL : CHECKPOINT_HEADER_OK;
}
