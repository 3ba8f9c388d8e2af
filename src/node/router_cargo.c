/* What is too large for one message: arguments on their way to the leader, replies on their way
 * back, both in pieces between which everything else goes.
 *
 *   origin                          leader
 *   FORWARD (op with references) →
 *   PIECE, PIECE, …              →  into the log as they come (blobs.h)
 *                                ←  CREDIT: so much is in the log; more may come
 *                                ←  REPLY_PIECE, …, REPLY
 *
 * The origin keeps all of the arguments until it has its answer and begins anew when the leader was
 * none. What comes back to it is taken in router_forward.c. */
#include "node/router_internal.h"

#include "base/alloc.h"
#include "node/peers.h"
#include "node/replica.h"

#include <string.h>

void router_command_laden(struct router *router, struct partition *partition, struct stream *stream,
                          const struct command_spec *spec, uint8_t version, uint8_t db,
                          const struct span *argv, uint32_t argc, bool silent, struct cargo *cargo)
{
    uint32_t words = command_name_words(spec);
    struct op head = { .level = SEMANTICS_LEVEL, .tag = spec->tag, .db = db };
    struct pending *p = stream_push(stream, spec, version, router->node->clock);
    p->silent = silent;
    pending_join(p, partition);
    p->strand->wrote = true;
    size_t n = op_bytes(argv + words, argc - words);
    op_write(pending_take_room(p, n), &head, argv + words, argc - words);
    pending_take_cargo(p, cargo);
    router_take(router, p);
}

/* --- At the origin -------------------------------------------------------------------------- */

static bool send_piece(struct router *router, struct pending *p)
{
    struct cargo *cargo = p->cargo;
    uint64_t ahead = cargo->place.bytes - cargo->credit;
    struct span s = cargo_slice(cargo, PIECE_BYTES);
    if (s.n == 0 || ahead + s.n > CARGO_WINDOW_BYTES ||
        !peers_takes_piece(router->node->peers, p->partition->track.target)) {
        return false;
    }
    peers_piece(router->node->peers, p->partition->track.target, p->partition->group, p->id, s);
    cargo_pass(cargo, s.n);
    p->moved = router->node->clock;
    return true;
}

void router_send_pieces(struct router *router)
{
    uint32_t stuck = 0;
    size_t turn = 0;
    while (stuck < router->loads.count && turn++ < PIECES_PER_TURN) {
        struct pending *p = pendings_pop(&router->loads);
        pendings_push(&router->loads, p);
        stuck = send_piece(router, p) ? 0 : stuck + 1;
    }
    router->node->again = router->node->again || turn > PIECES_PER_TURN;
}

/* --- At the leader -------------------------------------------------------------------------- */

/* A member of an older version could not read the entries, and would be stuck in front of them. */
void router_load(struct router *router, struct pending *p)
{
    if (peers_all_speak(router->node->peers, WIRE_VERSION_PIECES)) {
        replica_load(p->partition->replica, p);
    } else {
        stream_refuse(p, STATUS_UPGRADE);
    }
}

bool router_expect_pieces(struct relay *relay, struct pending *p, const struct op *op)
{
    if (p->spec->place != PLACE_WRITE || op_ref_bytes(op) > REQUEST_BYTES_MAX) {
        return false;
    }
    struct span *argv = qr_alloc(op->argc * sizeof *argv);
    struct op_ref *refs = qr_alloc(op->refs * sizeof *refs);
    op_arguments(op, argv, refs);
    free(argv);
    struct cargo *cargo = cargo_new();
    bool good = true;
    for (uint32_t i = 0; i < op->refs; i++) {
        good = good && refs[i].blob == i;
        (void)cargo_add(cargo, refs[i].n);
    }
    free(refs);
    cargo->window = min_u64(cargo->total, CARGO_WINDOW_BYTES);
    p->node->windows_bytes += cargo->window;
    cargo->relay = relay;
    cargo->of = p;
    cargo->next = relay->loads;
    relay->loads = p;
    pending_take_cargo(p, cargo);
    return good;
}

bool router_piece_came(struct relay *relay, uint64_t id, struct span bytes)
{
    struct pending *p = relay->loads;
    while (p != NULL && p->id != id) {
        p = p->cargo->next;
    }
    if (p == NULL) {
        return true; /* refused meanwhile */
    }
    struct cargo *cargo = p->cargo;
    p->moved = p->node->clock;
    if (cargo->come + bytes.n - cargo->told > CARGO_WINDOW_BYTES || !cargo_fill(cargo, bytes)) {
        return false;
    }
    p->node->relayed_bytes += bytes.n;
    partition_wake(p->partition); /* they go into its log */
    return true;
}

void router_forget_cargo(struct cargo *cargo)
{
    struct pending **link = &cargo->relay->loads;
    while (*link != cargo->of) {
        qr_assert(*link != NULL);
        link = &(*link)->cargo->next;
    }
    *link = cargo->next;
    cargo->relay = NULL;
}

void router_drop_loads(struct relay *relay)
{
    while (relay->loads != NULL) {
        router_forget_cargo(relay->loads->cargo);
    }
}
