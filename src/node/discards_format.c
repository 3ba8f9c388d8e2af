/* Records of a discard journal: see discards_format.h. */
#include "node/discards_format.h"

#include "base/crc32c.h"
#include "base/limits.h"
#include "base/panic.h"
#include "base/wire.h"
#include "io/io.h"
#include "log/record.h"

#define HEADER_BODY_BYTES 88u
#define KIND_AT 8u
#define PAD_MAX (IO_BLOCK_BYTES + DISCARD_RECORD_HEAD_BYTES)

_Static_assert(DISCARD_RECORD_HEAD_BYTES + HEADER_BODY_BYTES <= DISCARDS_COPY_AT, "a copy fits");

const char *discard_reason_name(uint8_t reason)
{
    switch (reason) {
#define DISCARD_REASON(name, tag, text, what) \
    case tag:                                 \
        return text;
#include "node/discard_reasons.def"
#undef DISCARD_REASON
    default:
        return NULL;
    }
}

size_t discard_record_bytes(size_t body)
{
    return (DISCARD_RECORD_HEAD_BYTES + body + 7) / 8 * 8;
}

size_t discard_pad_bytes(uint64_t at)
{
    size_t n = (size_t)(-at % IO_BLOCK_BYTES);
    return n > 0 && n < DISCARD_RECORD_HEAD_BYTES ? n + IO_BLOCK_BYTES : n;
}

static uint32_t checksum(const uint8_t *p, size_t n, uint64_t salt, uint32_t at)
{
    uint8_t where[16];
    wire_store_u64(where, salt);
    wire_store_u64(where + 8, at);
    return crc32c_extend(crc32c_extend(0, where, sizeof where), p + 4, n - 4);
}

/* The head in front of a body of n bytes, which stands there, and the padding behind it. */
static void seal(uint8_t *p, enum discard_record_kind kind, size_t body,
                 struct discards_place place)
{
    size_t n = DISCARD_RECORD_HEAD_BYTES + body;
    qr_assert(place.at % 8 == 0 && place.synced <= place.at);
    wire_store_u32(p + 4, (uint32_t)body);
    wire_store_u32(p + KIND_AT, (uint32_t)kind);
    wire_store_u32(p + 12, place.synced);
    wire_store_u32(p, checksum(p, n, place.salt, place.at));
    memset(p + n, 0, discard_record_bytes(body) - n);
}

static void put_header(uint8_t *p, uint32_t at, const struct discards_header *header)
{
    struct wire_writer w = wire_writer(p + DISCARD_RECORD_HEAD_BYTES, HEADER_BODY_BYTES);
    wire_put_u32(&w, DISCARDS_VERSION);
    wire_put_u32(&w, header->keyspace);
    wire_put_u64(&w, header->salt);
    wire_put_u32(&w, header->segment);
    wire_put_u32(&w, header->oldest);
    wire_put_u32(&w, header->before);
    wire_put_u32(&w, header->previous);
    wire_put_u64(&w, header->first);
    wire_put_u64(&w, header->bytes);
    wire_put_u64(&w, header->blind);
    wire_put_u64(&w, header->overflowed);
    wire_put_u64(&w, header->overflowed_bytes);
    wire_put_u64(&w, header->damaged);
    wire_put_u64(&w, header->regained);
    qr_assert(!w.bad && w.n == HEADER_BODY_BYTES);
    seal(p, DISCARD_RECORD_HEADER, w.n, (struct discards_place){ .at = at });
}

void discards_write_header(uint8_t *p, const struct discards_header *header)
{
    memset(p, 0, DISCARDS_HEAD_BYTES);
    put_header(p, 0, header);
    put_header(p + DISCARDS_COPY_AT, DISCARDS_COPY_AT, header);
}

/* Returns the bytes of a record whose checksum is right, and its body; 0: there is none. */
static size_t open_record(struct span in, uint64_t salt, uint32_t at, struct span *body)
{
    size_t bytes = discard_peek(in);
    if (bytes == 0 || bytes > in.n) {
        return 0;
    }
    size_t n = wire_load_u32(in.p + 4);
    if (wire_load_u32(in.p) != checksum(in.p, DISCARD_RECORD_HEAD_BYTES + n, salt, at)) {
        return 0;
    }
    *body = span_of(in.p + DISCARD_RECORD_HEAD_BYTES, n);
    return bytes;
}

static bool counts_fit(const struct discards_header *h)
{
    const uint64_t counts[] = {
        h->first, h->bytes, h->blind, h->overflowed, h->overflowed_bytes, h->damaged, h->regained
    };
    bool fit = true;
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        fit = fit && counts[i] <= DISCARDS_NUMBER_MAX;
    }
    return fit;
}

static enum discards_head get_header(struct span in, uint32_t at, struct discards_header *out)
{
    struct span body;
    if (open_record(in, 0, at, &body) == 0 || in.p[KIND_AT] != DISCARD_RECORD_HEADER) {
        return DISCARDS_HEAD_DAMAGED;
    }
    struct wire_reader r = wire_reader(body);
    if (wire_get_u32(&r) != DISCARDS_VERSION) {
        return DISCARDS_HEAD_LATER;
    }
    struct discards_header header = { .keyspace = wire_get_u32(&r) };
    header.salt = wire_get_u64(&r);
    header.segment = wire_get_u32(&r);
    header.oldest = wire_get_u32(&r);
    header.before = wire_get_u32(&r);
    header.previous = wire_get_u32(&r);
    header.first = wire_get_u64(&r);
    header.bytes = wire_get_u64(&r);
    header.blind = wire_get_u64(&r);
    header.overflowed = wire_get_u64(&r);
    header.overflowed_bytes = wire_get_u64(&r);
    header.damaged = wire_get_u64(&r);
    header.regained = wire_get_u64(&r);
    if (!wire_finished(&r) || header.first == 0 || header.oldest > header.segment ||
        header.before >= header.segment || !counts_fit(&header)) {
        return DISCARDS_HEAD_DAMAGED;
    }
    *out = header;
    return DISCARDS_HEAD_WHOLE;
}

static bool is_zero(struct span s)
{
    size_t i = 0;
    while (i < s.n && s.p[i] == 0) {
        i++;
    }
    return i == s.n;
}

enum discards_head discards_read_header(struct span file, struct discards_header *out)
{
    struct span copy[2] = { { 0 }, { 0 } };
    if (file.n >= DISCARDS_HEAD_BYTES) {
        copy[0] = span_of(file.p, DISCARDS_COPY_AT);
        copy[1] = span_of(file.p + DISCARDS_COPY_AT, DISCARDS_HEAD_BYTES - DISCARDS_COPY_AT);
    }
    enum discards_head head = get_header(copy[0], 0, out);
    head = head != DISCARDS_HEAD_DAMAGED ? head : get_header(copy[1], DISCARDS_COPY_AT, out);
    size_t n = file.n < DISCARDS_HEAD_BYTES ? file.n : DISCARDS_HEAD_BYTES;
    return head == DISCARDS_HEAD_DAMAGED && is_zero(span_of(file.p, n)) ? DISCARDS_HEAD_EMPTY
                                                                        : head;
}

void discard_write_entry(uint8_t *p, struct discards_place place, const struct discard *entry)
{
    size_t n = DISCARD_ENTRY_HEAD_BYTES + entry->payload.n;
    struct wire_writer w = wire_writer(p + DISCARD_RECORD_HEAD_BYTES, n);
    qr_assert(entry->payload.n <= entry->bytes && entry->payload.n <= DISCARD_ENTRY_BYTES_MAX);
    qr_assert(entry->slot <= DISCARDS_NUMBER_MAX && entry->slots <= DISCARDS_NUMBER_MAX);
    wire_put_u64(&w, entry->number);
    wire_put_u64(&w, entry->slot);
    wire_put_u64(&w, entry->term);
    wire_put_u64(&w, entry->lost_to);
    wire_put_u64(&w, (uint64_t)entry->at);
    wire_put_u32(&w, entry->group);
    wire_put_u16(&w, entry->partition);
    wire_put_u8(&w, entry->reason);
    wire_put_u8(&w, entry->acknowledged);
    wire_put_u8(&w, entry->kind);
    wire_put_u8(&w, 0);
    wire_put_u16(&w, 0);
    wire_put_u64(&w, entry->slots);
    wire_put_u32(&w, entry->bytes);
    wire_put_bytes(&w, entry->payload.p, entry->payload.n);
    qr_assert(!w.bad && w.n == n);
    seal(p, DISCARD_RECORD_ENTRY, n, place);
}

void discard_write_regained(uint8_t *p, struct discards_place place, uint64_t first, uint64_t last,
                            qr_wall at)
{
    struct wire_writer w = wire_writer(p + DISCARD_RECORD_HEAD_BYTES, DISCARD_REGAINED_BYTES);
    wire_put_u64(&w, first);
    wire_put_u64(&w, last);
    wire_put_u64(&w, (uint64_t)at);
    qr_assert(!w.bad && w.n == DISCARD_REGAINED_BYTES);
    seal(p, DISCARD_RECORD_REGAINED, w.n, place);
}

void discard_write_pad(uint8_t *p, struct discards_place place, size_t bytes)
{
    size_t body = bytes - DISCARD_RECORD_HEAD_BYTES;
    qr_assert(bytes % 8 == 0 && bytes >= DISCARD_RECORD_HEAD_BYTES && bytes <= PAD_MAX);
    memset(p + DISCARD_RECORD_HEAD_BYTES, 0, body);
    seal(p, DISCARD_RECORD_PAD, body, place);
}

size_t discard_peek(struct span in)
{
    if (in.n < DISCARD_RECORD_HEAD_BYTES) {
        return 0;
    }
    size_t body = wire_load_u32(in.p + 4);
    uint32_t kind = wire_load_u32(in.p + KIND_AT); /* with the zeros behind it */
    bool fits = false;
    if (kind == DISCARD_RECORD_HEADER) {
        fits = body >= 4 && body <= DISCARDS_COPY_AT - DISCARD_RECORD_HEAD_BYTES;
    } else if (kind == DISCARD_RECORD_REGAINED) {
        fits = body == DISCARD_REGAINED_BYTES;
    } else if (kind == DISCARD_RECORD_ENTRY) {
        fits = body >= DISCARD_ENTRY_HEAD_BYTES &&
               body - DISCARD_ENTRY_HEAD_BYTES <= DISCARD_ENTRY_BYTES_MAX;
    } else if (kind == DISCARD_RECORD_PAD) {
        fits = body <= PAD_MAX - DISCARD_RECORD_HEAD_BYTES && body % 8 == 0;
    }
    return fits ? discard_record_bytes(body) : 0;
}

/* A blind entry has slots and nothing else. */
static bool has_content_it_says(const struct discard *entry)
{
    return entry->kind == 0 ? entry->bytes == 0 && entry->slot > 0 && entry->slots > 0 &&
                                  entry->slots <= DISCARDS_NUMBER_MAX
                            : record_is_entry(entry->kind) && entry->slots == 1;
}

static bool read_entry(struct span body, struct discard *out)
{
    struct wire_reader r = wire_reader(body);
    out->number = wire_get_u64(&r);
    out->slot = wire_get_u64(&r);
    out->term = wire_get_u64(&r);
    out->lost_to = wire_get_u64(&r);
    out->at = (qr_wall)wire_get_u64(&r);
    out->group = wire_get_u32(&r);
    out->partition = wire_get_u16(&r);
    out->reason = wire_get_u8(&r);
    out->acknowledged = wire_get_u8(&r);
    out->kind = wire_get_u8(&r);
    (void)wire_get_u8(&r);
    (void)wire_get_u16(&r);
    out->slots = wire_get_u64(&r);
    out->bytes = wire_get_u32(&r);
    out->payload = wire_get_bytes(&r, body.n - DISCARD_ENTRY_HEAD_BYTES);
    return wire_finished(&r) && out->number > 0 && out->number <= DISCARDS_NUMBER_MAX &&
           out->slot <= DISCARDS_NUMBER_MAX && out->payload.n <= out->bytes && out->at >= 0 &&
           discard_reason_name(out->reason) != NULL &&
           out->acknowledged < DISCARD_ACKNOWLEDGED_COUNT && has_content_it_says(out);
}

size_t discard_read(struct span in, uint64_t salt, uint32_t at, struct discard_record *out)
{
    struct span body;
    size_t bytes = open_record(in, salt, at, &body);
    struct discard_record record = { 0 };
    if (bytes == 0) {
        return 0;
    }
    record.kind = in.p[KIND_AT];
    record.synced = wire_load_u32(in.p + 12);
    if (record.synced > at) {
        return 0;
    }
    if (record.kind == DISCARD_RECORD_ENTRY) {
        bytes = read_entry(body, &record.entry) ? bytes : 0;
    } else if (record.kind == DISCARD_RECORD_REGAINED) {
        struct wire_reader r = wire_reader(body);
        record.first = wire_get_u64(&r);
        record.last = wire_get_u64(&r);
        record.at = (qr_wall)wire_get_u64(&r);
        bytes = wire_finished(&r) && record.first > 0 && record.first <= record.last ? bytes : 0;
    } else if (record.kind != DISCARD_RECORD_PAD) {
        return 0; /* a header stands elsewhere */
    }
    if (bytes > 0) {
        *out = record;
    }
    return bytes;
}
