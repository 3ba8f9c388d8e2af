/* Who hears what, when, and how often. A packet that left arrives even if its link is cut later:
 * the network does not call anything back. */
#include "sim/council.h"

bool network_takes(struct world *w, node_index from, node_index to)
{
    w->counters->messages++;
    if (w->cut[from][to]) {
        w->counters->cut_off++;
        return false;
    }
    if (!w->calm && world_chance(w, w->options.loss)) {
        w->counters->lost++;
        return false;
    }
    return true;
}

static void carry(struct world *w, struct packet *packet)
{
    qr_time delay = world_delay(w, w->options.delay_min, w->options.delay_mean);
    qr_time *last = &w->link_last[packet->from][packet->to];
    qr_time at = w->now + delay;
    if (w->options.fifo != 0) {
        at = at > *last ? at : *last + 1;
    } else if (at < *last) {
        w->counters->reordered++;
    }
    *last = at > *last ? at : *last;
    if (w->hold_messages) {
        at = QR_NEVER / 2;
    }
    world_push(w, at - w->now,
               (struct item){ .kind = ITEM_MESSAGE, .node = packet->to, .p = packet });
}

void network_send(struct world *w, struct packet *packet)
{
    council_note(w, packet);
    packet->from_identity = w->nodes[packet->from].identity;
    packet->to_identity = w->nodes[packet->to].identity;
    if (!network_takes(w, packet->from, packet->to)) {
        free(packet);
        return;
    }
    if (!w->calm && world_chance(w, w->options.duplicate)) {
        size_t size =
            sizeof *packet + (size_t)(packet->hi - packet->lo) * sizeof packet->entries[0];
        struct packet *twin = qr_alloc(size);
        memcpy(twin, packet, size);
        w->counters->duplicated++;
        carry(w, twin);
    }
    carry(w, packet);
}

/* The data lane: it keeps no order with the messages. */
void network_send_frame(struct world *w, struct frame *frame)
{
    if (!network_takes(w, frame->from, frame->to)) {
        free(frame);
        return;
    }
    world_push(w, world_delay(w, w->options.delay_min, w->options.delay_mean),
               (struct item){ .kind = ITEM_FRAME, .node = frame->to, .p = frame });
}

static void tell_peer(struct world *w, node_index node, node_index peer, bool up)
{
    if (w->nodes[node].up) {
        qr_time delay = (qr_time)(100 + rng_below(&w->rng, 1900));
        world_push(w, w->hold_messages ? 0 : delay,
                   (struct item){ .kind = ITEM_PEER,
                                  .node = node,
                                  .a = peer,
                                  .b = up,
                                  .incarnation = w->nodes[node].incarnation });
    }
}

/* A node came or went. Its peers see the connections open or close, unless it went silently (power
 * loss sends no FIN) or the link is cut. */
void network_connections(struct world *w, node_index node, bool up, bool silent)
{
    for (node_index i = 0; i < w->node_count; i++) {
        if (i == node || silent || w->cut[node][i] || w->cut[i][node]) {
            continue;
        }
        tell_peer(w, i, node, up);
        if (up && w->nodes[i].up) {
            tell_peer(w, node, i, true);
        }
    }
}
