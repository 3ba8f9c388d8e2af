#include "node/frame.h"

#include "base/alloc.h"
#include "base/crc32c.h"
#include "base/limits.h"

void outbox_free(struct outbox *o)
{
    free(o->p);
    *o = (struct outbox){ 0 };
}

static uint8_t *outbox_reserve(struct outbox *o, size_t n)
{
    if (n > o->cap - o->n) {
        size_t cap = o->cap * 2 > o->n + n ? o->cap * 2 : o->n + n;
        o->p = qr_realloc(o->p, cap);
        o->cap = cap;
    }
    return o->p + o->n;
}

#define CHECKSUM_AT 8u
#define FLAGS_AT 13u
#define FLAG_RECORDS 1u
#define FLAG_GROUP 2u

/* `head` with the group in front of it. */
static uint32_t checksum(const uint8_t *header, struct span head, struct span tail,
                         bool tail_is_records)
{
    uint32_t crc = crc32c_extend(0, header, 8);
    crc = crc32c_extend(crc, header + 12, 4);
    crc = crc32c_extend(crc, head.p, head.n);
    return tail_is_records ? crc : crc32c_extend(crc, tail.p, tail.n);
}

uint16_t frame_wire_version(uint8_t kind, uint32_t group)
{
    if (kind >= FRAME_SNAPSHOT_GIVE) {
        return WIRE_VERSION_GIVERS;
    }
    if (group != 0 || kind >= FRAME_BEAT) {
        return WIRE_VERSION_GROUPS;
    }
    return kind >= FRAME_JOIN ? 3 : 0;
}

void frame_append(struct outbox *o, uint8_t kind, struct span head, struct span tail,
                  bool tail_is_records)
{
    frame_append_group(o, 0, kind, head, tail, tail_is_records);
}

void frame_append_group(struct outbox *o, uint32_t group, uint8_t kind, struct span head,
                        struct span tail, bool tail_is_records)
{
    qr_assert(head.n + tail.n <= FRAME_BYTES_MAX);
    size_t named = group != 0 ? FRAME_GROUP_BYTES : 0;
    size_t bytes = FRAME_HEADER_BYTES + named + head.n + tail.n;
    uint8_t *p = outbox_reserve(o, bytes);
    struct wire_writer w = wire_writer(p, FRAME_HEADER_BYTES);
    wire_put_u32(&w, (uint32_t)head.n);
    wire_put_u32(&w, (uint32_t)tail.n);
    wire_put_u32(&w, 0);
    wire_put_u8(&w, kind);
    wire_put_u8(&w, (tail_is_records ? FLAG_RECORDS : 0) | (group != 0 ? FLAG_GROUP : 0));
    wire_put_u16(&w, 0);
    uint8_t *body = p + FRAME_HEADER_BYTES;
    if (named > 0) {
        w = wire_writer(body, FRAME_GROUP_BYTES);
        wire_put_u32(&w, group);
    }
    if (head.n > 0) {
        memcpy(body + named, head.p, head.n);
    }
    if (tail.n > 0) {
        memcpy(body + named + head.n, tail.p, tail.n);
    }
    uint32_t crc = checksum(p, span_of(body, named + head.n), tail, tail_is_records);
    w = wire_writer(p + 8, 4);
    wire_put_u32(&w, crc);
    o->n += bytes;
}

enum frame_result frame_peek(struct span in, struct frame *out, size_t *bytes)
{
    if (in.n < FRAME_HEADER_BYTES) {
        return FRAME_INCOMPLETE;
    }
    struct wire_reader r = wire_reader(in);
    size_t head = wire_get_u32(&r);
    size_t tail = wire_get_u32(&r);
    (void)wire_get_u32(&r); /* the checksum */
    uint8_t kind = wire_get_u8(&r);
    uint8_t flags = wire_get_u8(&r);
    uint16_t zero = wire_get_u16(&r);
    if (head > FRAME_BYTES_MAX || tail > FRAME_BYTES_MAX || head + tail > FRAME_BYTES_MAX ||
        flags > (FLAG_RECORDS | FLAG_GROUP) || zero != 0) {
        return FRAME_BAD;
    }
    const uint8_t *body = in.p + FRAME_HEADER_BYTES;
    size_t named = (flags & FLAG_GROUP) != 0 ? FRAME_GROUP_BYTES : 0;
    *bytes = FRAME_HEADER_BYTES + named + head + tail;
    if (in.n < *bytes) {
        return FRAME_INCOMPLETE;
    }
    *out = (struct frame){ .kind = kind,
                           .group = named > 0 ? wire_load_u32(body) : 0,
                           .head = span_of(body + named, head),
                           .tail = span_of(body + named + head, tail) };
    return named == 0 || out->group != 0 ? FRAME_COMPLETE : FRAME_BAD;
}

enum frame_result frame_read(struct span in, struct frame *out, size_t *bytes)
{
    enum frame_result result = frame_peek(in, out, bytes);
    if (result != FRAME_COMPLETE) {
        return result;
    }
    size_t covered = (size_t)(out->tail.p - in.p) - FRAME_HEADER_BYTES;
    uint32_t crc = checksum(in.p, span_of(in.p + FRAME_HEADER_BYTES, covered), out->tail,
                            (in.p[FLAGS_AT] & FLAG_RECORDS) != 0);
    return crc == wire_load_u32(in.p + CHECKSUM_AT) ? FRAME_COMPLETE : FRAME_BAD;
}
