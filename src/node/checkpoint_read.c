/* Reading a checkpoint as its bytes come, from a file or from another node: see
 * checkpoint_format.h. Every byte is checked before it counts. */
#include "node/checkpoint_format.h"

#include "engine/engine.h"

static enum checkpoint_reading bad(struct checkpoint_reader *r, const char *why)
{
    r->why = why;
    return CHECKPOINT_READING_BAD;
}

static enum checkpoint_reading foreign(struct checkpoint_reader *r, const char *why)
{
    r->why = why;
    return CHECKPOINT_READING_FOREIGN;
}

static enum checkpoint_reading read_header(struct checkpoint_reader *r, struct span in, size_t *n)
{
    switch (checkpoint_header_read(in, &r->header, n)) {
    case CHECKPOINT_HEADER_SHORT:
        *n = 0;
        return CHECKPOINT_READING_MORE;
    case CHECKPOINT_HEADER_BAD:
        return bad(r, "its header is not one");
    case CHECKPOINT_HEADER_NEWER:
        return foreign(r, "has a format of another version");
    case CHECKPOINT_HEADER_LEVEL:
        return foreign(r, "was written at a higher semantics level");
    case CHECKPOINT_HEADER_OK:
        r->begun = true;
        return CHECKPOINT_READING_MORE;
    }
    qr_unreachable();
}

static enum checkpoint_reading read_trailer(struct checkpoint_reader *r, struct span counts,
                                            uint32_t crc)
{
    if (checkpoint_block_crc(r->header.salt, r->number, 0, counts.p, counts.n) != crc) {
        return bad(r, "bad checksum of the trailer");
    }
    struct wire_reader in = wire_reader(counts);
    uint64_t end = r->offset + CHECKPOINT_TRAILER_BYTES;
    if (wire_get_u64(&in) != r->number || wire_get_u64(&in) != end) {
        return bad(r, "the trailer counts other blocks or bytes");
    }
    if (!engine_image_complete(r->engine)) {
        return bad(r, "the image has no end");
    }
    if (engine_log_time(r->engine) != r->header.log_time) {
        return bad(r, "header and image disagree about the time");
    }
    r->ended = true;
    r->header.bytes = end;
    return CHECKPOINT_READING_END;
}

static enum checkpoint_reading read_chunk(struct checkpoint_reader *r, struct span chunk,
                                          uint32_t crc)
{
    uint32_t length = (uint32_t)chunk.n;
    if (checkpoint_block_crc(r->header.salt, r->number, length, chunk.p, chunk.n) != crc) {
        return bad(r, "bad checksum of a block");
    }
    if (!engine_image_load(r->engine, chunk)) {
        r->spoiled = true;
        return bad(r, "a block is no part of an image");
    }
    r->number++;
    return CHECKPOINT_READING_MORE;
}

static enum checkpoint_reading read_block(struct checkpoint_reader *r, struct span in, size_t *n)
{
    struct wire_reader head = wire_reader(in);
    uint32_t length = wire_get_u32(&head);
    uint32_t crc = wire_get_u32(&head);
    if (head.bad) {
        return CHECKPOINT_READING_MORE;
    }
    if (length > IMAGE_CHUNK_BYTES) {
        return bad(r, "a block is longer than any");
    }
    size_t body = length == 0 ? CHECKPOINT_TRAILER_BYTES - CHECKPOINT_BLOCK_HEAD_BYTES : length;
    struct span rest = wire_get_bytes(&head, body);
    if (head.bad) {
        return CHECKPOINT_READING_MORE;
    }
    *n = head.at;
    return length == 0 ? read_trailer(r, rest, crc) : read_chunk(r, rest, crc);
}

enum checkpoint_reading checkpoint_read(struct checkpoint_reader *r, struct span in, uint32_t units,
                                        size_t *taken)
{
    enum checkpoint_reading result = CHECKPOINT_READING_MORE;
    qr_assert(!r->ended);
    *taken = 0;
    for (; units > 0 && result == CHECKPOINT_READING_MORE; units--) {
        struct span rest = span_of(in.p + *taken, in.n - *taken);
        size_t n = 0;
        result = r->begun ? read_block(r, rest, &n) : read_header(r, rest, &n);
        if (n == 0) {
            break;
        }
        if (result == CHECKPOINT_READING_MORE || result == CHECKPOINT_READING_END) {
            r->offset += n;
            *taken += n;
        }
    }
    return result;
}
