/* The groups that have live entries, in a heap by the log offset of the oldest.
 *
 * That offset grows with every trim, and nothing is done then: a pin is looked at again when it
 * comes to the top. What keeps the log is known at a cost that follows from what was trimmed,
 * however many groups there are. */
#include "log/index.h"

#include "base/alloc.h"

static void place(struct pins *pins, uint32_t i, struct pin pin)
{
    pins->v[i] = pin;
    pin.group->pin = i + 1;
}

static void sift_up(struct pins *pins, uint32_t i, struct pin pin)
{
    while (i > 0 && pins->v[(i - 1) / 2].offset > pin.offset) {
        place(pins, i, pins->v[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    place(pins, i, pin);
}

static void sift_down(struct pins *pins, uint32_t i, struct pin pin)
{
    for (uint32_t child = 2 * i + 1; child < pins->count; child = 2 * i + 1) {
        child += child + 1 < pins->count && pins->v[child + 1].offset < pins->v[child].offset;
        if (pins->v[child].offset >= pin.offset) {
            break;
        }
        place(pins, i, pins->v[child]);
        i = child;
    }
    place(pins, i, pin);
}

void pins_add(struct pins *pins, struct group *g)
{
    qr_assert(g->pin == 0);
    struct pin pin = { .offset = group_first_offset(g), .group = g };
    qr_assert(pin.offset != RUN_MISSING);
    if (pins->count == pins->cap) {
        pins->cap = pins->cap == 0 ? 4 : pins->cap * 2;
        pins->v = qr_realloc(pins->v, pins->cap * sizeof *pins->v);
    }
    sift_up(pins, pins->count++, pin);
}

void pins_remove(struct pins *pins, struct group *g)
{
    if (g->pin == 0) {
        return;
    }
    uint32_t i = g->pin - 1;
    qr_assert(i < pins->count && pins->v[i].group == g);
    g->pin = 0;
    struct pin last = pins->v[--pins->count];
    if (i == pins->count) {
        return;
    }
    if (last.offset < pins->v[i].offset) {
        sift_up(pins, i, last);
    } else {
        sift_down(pins, i, last);
    }
}

bool pins_settle(struct pins *pins, uint32_t i)
{
    while (i < pins->count) {
        struct pin pin = pins->v[i];
        uint64_t offset = group_first_offset(pin.group);
        qr_assert(offset >= pin.offset);
        if (offset == pin.offset) {
            return true;
        }
        if (offset == RUN_MISSING) {
            pins_remove(pins, pin.group);
        } else {
            pin.offset = offset;
            sift_down(pins, i, pin);
        }
    }
    return false;
}

struct group *pins_first(struct pins *pins)
{
    return pins_settle(pins, 0) ? pins->v[0].group : NULL;
}

void pins_free(struct pins *pins)
{
    free(pins->v);
    *pins = (struct pins){ 0 };
}
