/* Who is up, as the nodes find out: in worlds whose groups may rest (quiet_after), as only then a
 * protocol has no timer of its own to find out by. Each node beats to all others, as a node does
 * for all its groups at once (src/node/contact.c); who was not heard for an election time-out is
 * told to be away, once, and to be up when it is heard again. A connection that closes tells it at
 * once. A beat of another process than before says that the one before is gone. */
#include "sim/world.h"

static void tell(struct world *w, struct sim_node *n, node_index peer, bool up)
{
    if (n->away[peer] == !up) {
        return;
    }
    n->away[peer] = !up;
    if (!up) {
        leases_lost(&n->leases, peer);
    }
    struct event e = { .kind = EVENT_PEER, .peer = { .node = peer, .up = up } };
    node_step(w, n, &e);
}

static void push_tick(struct world *w, struct sim_node *n)
{
    world_push(
        w, (qr_time)w->options.heartbeat,
        (struct item){ .kind = ITEM_BEATS, .node = n->index, .incarnation = n->incarnation });
}

void beats_start(struct world *w, struct sim_node *n)
{
    if (w->options.quiet_after == 0) {
        return;
    }
    for (node_index i = 0; i < w->node_count; i++) {
        n->heard[i] = node_clock(w, n);
        n->away[i] = true;
        n->known[i] = 0;
    }
    if (w->processes == NULL) {
        leases_born(w, n);
        push_tick(w, n);
    }
}

static void beat(struct world *w, struct sim_node *n, node_index to)
{
    if (!w->nodes[to].up || !network_takes(w, n->index, to)) {
        return;
    }
    world_push(w, world_delay(w, w->options.delay_min, w->options.delay_mean),
               (struct item){ .kind = ITEM_BEAT, .node = to, .a = n->index, .b = n->incarnation });
}

static bool is_silent(const struct world *w, const struct sim_node *n, node_index i)
{
    return node_clock(w, n) - n->heard[i] >= (qr_time)w->options.election;
}

/* An own beat is due. */
void beats_tick(struct world *w, struct sim_node *n)
{
    uint32_t incarnation = n->incarnation;
    push_tick(w, n);
    for (node_index i = 0; i < w->node_count && n->incarnation == incarnation; i++) {
        if (i != n->index) {
            beat(w, n, i);
        }
        if (i != n->index && is_silent(w, n, i)) {
            tell(w, n, i, false);
        }
    }
    if (n->incarnation == incarnation) {
        leases_tick(w, n);
    }
}

void beats_look(struct world *w, struct sim_node *n)
{
    uint32_t incarnation = n->incarnation;
    for (node_index i = 0; i < w->node_count && n->incarnation == incarnation; i++) {
        if (i != n->index && is_silent(w, n, i)) {
            tell(w, n, i, false);
        }
    }
}

/* A beat of that process has arrived, or its connection has opened. */
void beats_hear(struct world *w, struct sim_node *n, node_index from, uint32_t process)
{
    uint32_t incarnation = n->incarnation;
    if (process < n->known[from]) {
        return; /* it is gone */
    }
    n->heard[from] = node_clock(w, n);
    if (n->known[from] != process) {
        n->known[from] = process;
        tell(w, n, from, false);
    }
    if (n->incarnation == incarnation) {
        tell(w, n, from, true);
    }
}

/* What the driver sees of a connection. */
void beats_connection(struct world *w, struct sim_node *n, node_index peer, bool up)
{
    if (up) {
        beats_hear(w, n, peer,
                   w->processes != NULL ? w->processes[peer] : w->nodes[peer].incarnation);
    } else {
        tell(w, n, peer, false);
    }
}
