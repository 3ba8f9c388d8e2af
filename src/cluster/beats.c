#include "cluster/beats.h"

#include "base/panic.h"

static uint16_t bit_of(node_index node)
{
    qr_assert(node < MEMBERS_MAX);
    return (uint16_t)(1u << node);
}

void beats_init(struct beats *b, const struct detector_options *options)
{
    *b = (struct beats){ .interval = options->interval };
    detector_init(&b->detector, options);
}

void beats_connected(struct beats *b, node_index node, bool beating, qr_time now)
{
    b->connected = (uint16_t)(b->connected | bit_of(node));
    b->up = (uint16_t)(b->up & ~bit_of(node)); /* B3 */
    b->beating = (uint16_t)((b->beating & ~bit_of(node)) | (beating ? bit_of(node) : 0));
    b->heard[node] = now;
    b->sent[node] = now;
    detector_begin(&b->detector, node, now);
}

void beats_lost(struct beats *b, node_index node)
{
    b->connected = (uint16_t)(b->connected & ~bit_of(node));
    b->up = (uint16_t)(b->up & ~bit_of(node));
}

/* B2: more than two beats late, it was not running all the time. */
static void forgive(struct beats *b, qr_time now)
{
    qr_time late = b->looked == 0 ? 0 : now - b->looked - b->interval;
    if (late <= b->interval) {
        return;
    }
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        b->heard[i] += late;
        b->heard[i] = b->heard[i] < now ? b->heard[i] : now;
        detector_forgive(&b->detector, i, late);
    }
}

qr_time beats_turn(struct beats *b, qr_time now, uint16_t *beat_to, uint16_t *up)
{
    *beat_to = 0;
    forgive(b, now);
    b->looked = now;
    qr_time next = now + b->interval;
    for (uint32_t rest = b->connected; rest != 0; rest &= rest - 1) {
        node_index i = (node_index)__builtin_ctz(rest);
        bool beats = (b->beating & bit_of(i)) != 0;
        detector_heard(&b->detector, i, b->heard[i]);
        bool silent = beats && now >= detector_due(&b->detector, i, b->heard[i]);
        b->silences += silent && (b->up & bit_of(i)) != 0;
        b->up = (uint16_t)(silent ? b->up & ~bit_of(i) : b->up | bit_of(i));
        bool asks = beats && detector_asks(&b->detector, i, now, &next);
        if (asks || (beats && now - b->sent[i] >= b->interval)) {
            *beat_to = (uint16_t)(*beat_to | bit_of(i));
            b->sent[i] = now;
        } else if (beats && b->sent[i] + b->interval < next) {
            next = b->sent[i] + b->interval;
        }
    }
    *up = b->up;
    return next;
}
