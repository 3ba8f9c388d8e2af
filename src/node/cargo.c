/* Large arguments on their way: see cargo.h. */
#include "node/cargo.h"

#include "base/alloc.h"
#include "engine/engine.h"
#include "node/node.h"
#include "node/replica.h"
#include "node/router.h"

struct cargo *cargo_new(void)
{
    return qr_zalloc(sizeof(struct cargo));
}

void cargo_free(struct node *node, struct cargo *cargo)
{
    if (cargo == NULL) {
        return;
    }
    if (cargo->relay != NULL) {
        router_forget_cargo(cargo);
    }
    if (cargo->window > 0) {
        qr_assert(node->windows_bytes >= cargo->window);
        qr_assert(node->relayed_bytes >= cargo->come - cargo->told);
        node->windows_bytes -= cargo->window;
        node->relayed_bytes -= cargo->come - cargo->told;
    }
    if (cargo->begun && !cargo->used && cargo->partition->replica != NULL) {
        replica_abandon(cargo->partition->replica, cargo);
    }
    for (uint32_t i = 0; i < cargo->count; i++) {
        rope_discard(engine_bin(node->zero->engine), cargo->v[i].rope);
    }
    free(cargo->v);
    free(cargo);
}

struct rope *cargo_add(struct cargo *cargo, uint64_t n)
{
    qr_assert(n > 0);
    if (cargo->count == cargo->cap) {
        cargo->cap = cargo->cap == 0 ? 2 : cargo->cap * 2;
        cargo->v = qr_realloc(cargo->v, cargo->cap * sizeof *cargo->v);
    }
    struct rope *rope = rope_new();
    cargo->v[cargo->count++] = (struct cargo_part){ .rope = rope, .n = n };
    cargo->total += n;
    return rope;
}

bool cargo_fill(struct cargo *cargo, struct span bytes)
{
    if (bytes.n > cargo->total - cargo->come) {
        return false;
    }
    while (bytes.n > 0) {
        struct cargo_part *part = &cargo->v[cargo->filling];
        size_t n = (size_t)min_u64(part->n - part->rope->n, bytes.n);
        rope_append_of(part->rope, span_of(bytes.p, n), (size_t)(part->n - part->rope->n));
        cargo->come += n;
        cargo->filling += part->rope->n == part->n ? 1 : 0;
        bytes = span_of(bytes.p + n, bytes.n - n);
    }
    return true;
}

struct span cargo_slice(const struct cargo *cargo, size_t most)
{
    if (cargo_is_carried(cargo)) {
        return (struct span){ 0 };
    }
    struct span s = rope_slice(cargo->v[cargo->place.part].rope, (size_t)cargo->place.at);
    s.n = (size_t)min_u64(s.n, most);
    return s;
}

void cargo_pass(struct cargo *cargo, size_t n)
{
    struct cargo_place *place = &cargo->place;
    qr_assert(!cargo_is_carried(cargo));
    place->at += n;
    place->bytes += n;
    qr_assert(place->at <= cargo->v[place->part].n);
    if (place->at == cargo->v[place->part].n) {
        place->part++;
        place->at = 0;
    }
}

void cargo_shed(struct cargo *cargo)
{
    for (uint32_t i = cargo->shed; i < cargo->place.part; i++) {
        rope_release(cargo->v[i].rope);
        cargo->v[i].rope = NULL;
        cargo->shed = i + 1;
    }
    if (!cargo_is_carried(cargo)) {
        rope_drop_front(cargo->v[cargo->place.part].rope, (size_t)cargo->place.at);
    }
}
