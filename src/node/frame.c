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

static uint32_t checksum(const uint8_t *header, struct span head, struct span tail,
                         bool tail_is_records)
{
    uint32_t crc = crc32c_extend(0, header, 8);
    crc = crc32c_extend(crc, header + 12, 4);
    crc = crc32c_extend(crc, head.p, head.n);
    return tail_is_records ? crc : crc32c_extend(crc, tail.p, tail.n);
}

void frame_append(struct outbox *o, uint8_t kind, struct span head, struct span tail,
                  bool tail_is_records)
{
    qr_assert(head.n + tail.n <= FRAME_BYTES_MAX);
    uint8_t *p = outbox_reserve(o, FRAME_HEADER_BYTES + head.n + tail.n);
    struct wire_writer w = wire_writer(p, FRAME_HEADER_BYTES);
    wire_put_u32(&w, (uint32_t)head.n);
    wire_put_u32(&w, (uint32_t)tail.n);
    wire_put_u32(&w, 0);
    wire_put_u8(&w, kind);
    wire_put_u8(&w, tail_is_records ? 1 : 0);
    wire_put_u16(&w, 0);
    uint32_t crc = checksum(p, head, tail, tail_is_records);
    w = wire_writer(p + 8, 4);
    wire_put_u32(&w, crc);
    if (head.n > 0) {
        memcpy(p + FRAME_HEADER_BYTES, head.p, head.n);
    }
    if (tail.n > 0) {
        memcpy(p + FRAME_HEADER_BYTES + head.n, tail.p, tail.n);
    }
    o->n += FRAME_HEADER_BYTES + head.n + tail.n;
}

enum frame_result frame_read(struct span in, struct frame *out, size_t *bytes)
{
    if (in.n < FRAME_HEADER_BYTES) {
        return FRAME_INCOMPLETE;
    }
    struct wire_reader r = wire_reader(in);
    size_t head = wire_get_u32(&r);
    size_t tail = wire_get_u32(&r);
    uint32_t crc = wire_get_u32(&r);
    uint8_t kind = wire_get_u8(&r);
    uint8_t flags = wire_get_u8(&r);
    uint16_t zero = wire_get_u16(&r);
    if (head > FRAME_BYTES_MAX || tail > FRAME_BYTES_MAX || head + tail > FRAME_BYTES_MAX ||
        flags > 1 || zero != 0) {
        return FRAME_BAD;
    }
    *bytes = FRAME_HEADER_BYTES + head + tail;
    if (in.n < *bytes) {
        return FRAME_INCOMPLETE;
    }
    *out = (struct frame){ .kind = kind,
                           .head = span_of(in.p + FRAME_HEADER_BYTES, head),
                           .tail = span_of(in.p + FRAME_HEADER_BYTES + head, tail) };
    return checksum(in.p, out->head, out->tail, flags == 1) == crc ? FRAME_COMPLETE : FRAME_BAD;
}
