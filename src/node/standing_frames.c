#include "node/standing_frames.h"

#include "base/wire.h"

enum { GONE = 1, FORGETFUL = 2, BARRED = 4, LEADS = 8, CLOSED = 16 };

static void write_standing(struct wire_writer *w, const struct standing *s)
{
    unsigned flags = (s->gone ? GONE : 0u) | (s->forgetful ? FORGETFUL : 0u) |
                     (s->barred ? BARRED : 0u) | (s->leads ? LEADS : 0u) |
                     (s->closed ? CLOSED : 0u);
    wire_put_u32(w, s->group);
    wire_put_u8(w, (uint8_t)flags);
    wire_put_u8(w, s->to);
    wire_put_u16(w, s->caught);
    wire_put_u64(w, s->promised);
    wire_put_u64(w, s->last_term);
    wire_put_u64(w, s->last_slot);
    wire_put_u64(w, s->settled);
}

size_t standings_write(const struct standings *standings, uint8_t *p)
{
    struct wire_writer w = wire_writer(p, STANDINGS_BYTES_MAX);
    wire_put_u64(&w, standings->life);
    wire_put_u8(&w, standings->whole ? 1 : 0);
    wire_put_u16(&w, (uint16_t)standings->count);
    for (uint32_t i = 0; i < standings->count; i++) {
        write_standing(&w, &standings->v[i]);
    }
    return w.n;
}

static bool is_node(node_index i)
{
    return i < MEMBERS_MAX || i == NODE_NONE;
}

static bool read_standing(struct wire_reader *r, struct standing *out)
{
    *out = (struct standing){ .group = wire_get_u32(r) };
    uint8_t flags = wire_get_u8(r);
    out->gone = (flags & GONE) != 0;
    out->forgetful = (flags & FORGETFUL) != 0;
    out->barred = (flags & BARRED) != 0;
    out->leads = (flags & LEADS) != 0;
    out->closed = (flags & CLOSED) != 0;
    out->to = wire_get_u8(r);
    out->caught = wire_get_u16(r);
    out->promised = wire_get_u64(r);
    out->last_term = wire_get_u64(r);
    out->last_slot = wire_get_u64(r);
    out->settled = wire_get_u64(r);
    bool leading = out->leads || (!out->closed && out->caught == 0 && out->settled == 0);
    return !r->bad && out->group != 0 && flags < 2 * CLOSED && is_node(out->to) &&
           out->caught >> MEMBERS_MAX == 0 && leading && (!out->closed || out->to != NODE_NONE) &&
           out->settled <= out->promised && out->last_term <= out->promised;
}

bool standings_read(struct span in, struct standings *out)
{
    struct wire_reader r = wire_reader(in);
    out->life = wire_get_u64(&r);
    uint8_t whole = wire_get_u8(&r);
    out->whole = whole == 1;
    out->count = wire_get_u16(&r);
    bool valid = !r.bad && whole <= 1 && out->life != 0 && out->count <= STANDINGS_MAX;
    for (uint32_t i = 0; valid && i < out->count; i++) {
        valid = read_standing(&r, &out->v[i]);
    }
    return valid && r.at == in.n;
}

size_t hand_over_write(const struct hand_over *order, uint8_t *p)
{
    struct wire_writer w = wire_writer(p, HAND_OVER_BYTES);
    wire_put_u32(&w, order->group);
    wire_put_u8(&w, (uint8_t)order->to);
    wire_put_u64(&w, order->term);
    wire_put_u64(&w, (uint64_t)order->timeout);
    return w.n;
}

bool hand_over_read(struct span in, struct hand_over *out)
{
    struct wire_reader r = wire_reader(in);
    *out = (struct hand_over){ .group = wire_get_u32(&r) };
    out->to = wire_get_u8(&r);
    out->term = wire_get_u64(&r);
    out->timeout = (qr_time)wire_get_u64(&r);
    return wire_finished(&r) && out->group != 0 && out->to < MEMBERS_MAX && out->term != 0 &&
           out->timeout >= 0 && out->timeout < QR_NEVER / 2;
}
