#include "node/workbench.h"

#include "base/alloc.h"
#include "engine/rows.h"

#define ROOMS_KEPT 64u        /* that nobody uses; more are freed */
#define ROOM_BYTES (16 * KIB) /* to begin with */
#define ROOM_RECORDS 64u
#define ROOM_KEPT_BYTES (1 * MIB) /* a larger one goes back, unless it is the only one */

static void *aligned(size_t n)
{
    void *p = aligned_alloc(16, (n + 15) & ~(size_t)15);
    qr_assert(p != NULL);
    return p;
}

void workbench_fit(struct workbench *bench, const struct protocol *protocol,
                   const struct protocol_limits *limits)
{
    struct needs needs = protocol->needs(limits);
    struct effects *effects = &bench->effects;
    qr_assert(!bench->stepping);
    if (needs.effects > effects->cap) {
        effects->cap = needs.effects;
        effects->v = qr_realloc(effects->v, effects->cap * sizeof *effects->v);
    }
    if (needs.scratch > effects->scratch_cap) {
        free(effects->scratch);
        effects->scratch_cap = needs.scratch;
        effects->scratch = aligned(needs.scratch);
    }
    if (protocol->codec->body_max > bench->body_max) {
        free(bench->received_body);
        bench->body_max = protocol->codec->body_max;
        bench->received_body = aligned(bench->body_max);
        bench->encoded_cap = bench->body_max * 2 + 64;
        bench->encoded = qr_realloc(bench->encoded, bench->encoded_cap);
    }
}

static void room_free(struct batch_room *room)
{
    free(room->p);
    free(room->pending);
    free(room);
}

void workbench_free(struct workbench *bench)
{
    while (bench->rooms != NULL) {
        struct batch_room *room = bench->rooms;
        bench->rooms = room->next;
        room_free(room);
    }
    rows_free(bench->rows);
    free(bench->effects.v);
    free(bench->effects.scratch);
    free(bench->received_body);
    free(bench->encoded);
}

struct batch_room *batch_room_take(struct workbench *bench)
{
    struct batch_room *room = bench->rooms;
    if (room != NULL) {
        bench->rooms = room->next;
        bench->room_count--;
        return room;
    }
    room = qr_zalloc(sizeof *room);
    batch_room_grow(room, ROOM_BYTES, ROOM_RECORDS);
    return room;
}

void batch_room_give(struct workbench *bench, struct batch_room *room)
{
    if (bench->room_count >= ROOMS_KEPT || room->cap > BUFFER_KEPT_BYTES ||
        (bench->room_count > 0 && room->cap > ROOM_KEPT_BYTES)) {
        room_free(room);
        return;
    }
    room->next = bench->rooms;
    bench->rooms = room;
    bench->room_count++;
}

void batch_room_grow(struct batch_room *room, size_t bytes, uint32_t count)
{
    if (bytes > room->cap) {
        room->cap = bytes * 2;
        room->p = qr_realloc(room->p, room->cap);
    }
    if (count > room->pending_cap) {
        room->pending_cap = count * 2;
        room->pending = qr_realloc(room->pending, room->pending_cap * sizeof(struct pending *));
    }
}
