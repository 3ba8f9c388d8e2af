#include "cluster/wants.h"

#include "protocol/protocol.h"

#define FLAG_OPERATIONS 1u
#define FLAG_EACH_ZONE 2u
#define FLAG_APPLIED 4u /* since MAP_LEVEL_COPIES, as the next: older nodes take neither */
#define FLAG_COPIES 8u  /* instead of a bound, which writes have none of */
#define FLAGS (FLAG_OPERATIONS | FLAG_EACH_ZONE | FLAG_APPLIED | FLAG_COPIES)
#define FLAG_STALE 1u
#define FLAG_REPLAYED 2u
#define MILLISECONDS_MAX UINT32_MAX

static uint32_t milliseconds_left(qr_time expires, qr_time now)
{
    uint64_t ms = expires > now ? (uint64_t)(expires - now) / QR_MILLISECOND : 0;
    return (uint32_t)(ms == 0 ? 1 : min_u64(ms, MILLISECONDS_MAX)); /* 0 says that it has no end */
}

void wants_put(struct wire_writer *out, const struct wants *w, qr_time now)
{
    size_t before = out->n;
    wire_put_u8(out, w->level);
    wire_put_u8(out, (uint8_t)((w->bound_is_operations ? FLAG_OPERATIONS : 0) |
                               (w->each_zone ? FLAG_EACH_ZONE : 0) |
                               (w->applied ? FLAG_APPLIED : 0) |
                               (w->copies != 0 ? FLAG_COPIES : 0)));
    wire_put_u64(out, w->least);
    wire_put_u64(out, w->copies != 0 ? w->copies : w->bound);
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
    out->applied = (flags & FLAG_APPLIED) != 0;
    out->bound = wire_get_u64(in);
    bool sound = true;
    if ((flags & FLAG_COPIES) != 0) {
        sound = out->bound > 0 && out->bound <= UINT8_MAX;
        out->copies = (uint8_t)out->bound;
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
