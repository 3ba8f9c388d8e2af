#include "cluster/wants.h"

#include "protocol/protocol.h"

#define FLAG_OPERATIONS 1u
#define FLAG_EACH_ZONE 2u
/* 4 and 8 were never sent; 16 is, from MAP_LEVEL_FOLLOWERS on, in the place of a bound of reads. */
#define FLAG_COPIES 16u
#define FLAGS (FLAG_OPERATIONS | FLAG_EACH_ZONE | FLAG_COPIES)
#define FLAG_STALE 1u
#define FLAG_REPLAYED 2u
#define MILLISECONDS_MAX UINT32_MAX

static uint32_t milliseconds_left(qr_time expires, qr_time now)
{
    uint64_t ms = expires > now ? (uint64_t)(expires - now) / QR_MILLISECOND : 0;
    return (uint32_t)(ms == 0 ? 1 : min_u64(ms, MILLISECONDS_MAX)); /* 0 says that it has no end */
}

static uint64_t copies_as_number(const struct wants_copies *c)
{
    return (uint64_t)c->among << 16 | (uint64_t)c->stage << 8 | c->count;
}

static bool copies_from_number(struct wants_copies *out, uint64_t n)
{
    *out = (struct wants_copies){ .count = (uint8_t)n,
                                  .stage = (uint8_t)(n >> 8),
                                  .among = (uint16_t)(n >> 16) };
    return out->count != 0 && out->stage <= ACK_APPLIED && n >> 32 == 0;
}

void wants_put(struct wire_writer *out, const struct wants *w, qr_time now)
{
    size_t before = out->n;
    wire_put_u8(out, w->level);
    wire_put_u8(out, (uint8_t)((w->bound_is_operations ? FLAG_OPERATIONS : 0) |
                               (w->each_zone ? FLAG_EACH_ZONE : 0) |
                               (w->copies.count != 0 ? FLAG_COPIES : 0)));
    wire_put_u64(out, w->least);
    wire_put_u64(out, w->copies.count != 0 ? copies_as_number(&w->copies) : w->bound);
    wire_put_u32(out, w->expires == 0 ? 0 : milliseconds_left(w->expires, now));
    qr_assert(out->bad || out->n - before == WANTS_BYTES);
}

bool wants_get(struct wire_reader *in, struct wants *out, qr_time now)
{
    *out = (struct wants){ .level = wire_get_u8(in) };
    uint8_t flags = wire_get_u8(in);
    out->bound_is_operations = (flags & FLAG_OPERATIONS) != 0;
    out->each_zone = (flags & FLAG_EACH_ZONE) != 0;
    out->least = wire_get_u64(in);
    out->bound = wire_get_u64(in);
    bool sound = true;
    if ((flags & FLAG_COPIES) != 0) {
        sound = copies_from_number(&out->copies, out->bound);
        out->bound = 0;
    }
    uint32_t ms = wire_get_u32(in);
    out->expires = ms == 0 ? 0 : now + (qr_time)ms * QR_MILLISECOND;
    return !in->bad && out->level < READ_LEVELS && (flags & ~FLAGS) == 0 && sound;
}

void shown_put(struct wire_writer *out, const struct shown *s)
{
    size_t before = out->n;
    wire_put_u64(out, s->slot);
    wire_put_u32(out, (uint32_t)min_u64(shown_stale_ms(s), MILLISECONDS_MAX));
    wire_put_u8(out,
                (uint8_t)((s->has_stale ? FLAG_STALE : 0) | (s->replayed ? FLAG_REPLAYED : 0)));
    qr_assert(out->bad || out->n - before == SHOWN_BYTES);
}

void shown_get(struct wire_reader *in, node_index from, struct shown *out)
{
    *out = (struct shown){ .slot = wire_get_u64(in), .by = from };
    out->stale = (uint64_t)wire_get_u32(in) * QR_MILLISECOND;
    uint8_t flags = wire_get_u8(in);
    out->has_stale = (flags & FLAG_STALE) != 0;
    out->replayed = (flags & FLAG_REPLAYED) != 0;
}
