/* The three frames of repair, see repair.h. */
#include "node/repair.h"

#include "base/panic.h"
#include "base/wire.h"

static void put_hole(struct wire_writer *w, const struct repair_hole *hole)
{
    wire_put_u64(w, hole->lo);
    wire_put_u64(w, hole->hi);
    wire_put_u64(w, hole->term);
    wire_put_u64(w, hole->next_term);
}

static bool get_hole(struct wire_reader *r, struct repair_hole *out)
{
    out->lo = wire_get_u64(r);
    out->hi = wire_get_u64(r);
    out->term = wire_get_u64(r);
    out->next_term = wire_get_u64(r);
    return !r->bad && out->lo > 0 && out->lo <= out->hi && out->hi < UINT64_MAX;
}

size_t repair_ask_write(const struct repair_hole *hole, uint8_t *p)
{
    struct wire_writer w = wire_writer(p, REPAIR_HEAD_BYTES_MAX);
    put_hole(&w, hole);
    qr_assert(!w.bad);
    return w.n;
}

bool repair_ask_read(struct span in, struct repair_hole *out)
{
    struct wire_reader r = wire_reader(in);
    return get_hole(&r, out) && wire_finished(&r);
}

size_t repair_reply_write(const struct repair_hole *hole, enum repair_answer answer, uint8_t *p)
{
    struct wire_writer w = wire_writer(p, REPAIR_HEAD_BYTES_MAX);
    put_hole(&w, hole);
    wire_put_u8(&w, (uint8_t)answer);
    qr_assert(!w.bad);
    return w.n;
}

bool repair_reply_read(struct span in, struct repair_hole *hole, enum repair_answer *answer)
{
    struct wire_reader r = wire_reader(in);
    if (!get_hole(&r, hole)) {
        return false;
    }
    uint8_t tag = wire_get_u8(&r);
    *answer = (enum repair_answer)tag;
    return wire_finished(&r) && tag >= REPAIR_HAS && tag <= REPAIR_MATCHES;
}

size_t repair_fetch_write(qr_slot least, uint8_t *p)
{
    struct wire_writer w = wire_writer(p, REPAIR_HEAD_BYTES_MAX);
    wire_put_u64(&w, least);
    qr_assert(!w.bad);
    return w.n;
}

bool repair_fetch_read(struct span in, qr_slot *least)
{
    struct wire_reader r = wire_reader(in);
    *least = wire_get_u64(&r);
    return wire_finished(&r);
}
