/* What is in the queues, looked up where they are: see queues.h. Some have a high-water mark of
 * their own, which sees into the turn. */
#include "node/clients_internal.h"
#include "node/keeper.h"
#include "node/peers.h"
#include "node/replica.h"
#include "node/router.h"
#include "node/snapshot_fetch.h"

static void note_most(struct node *node, enum queue_id id, uint64_t most)
{
    if (most > node->queues[id].most) {
        node->queues[id].most = most;
    }
}

static void level(struct node *node, enum queue_id id, uint64_t now)
{
    node->queues[id].now = now;
    note_most(node, id, now);
}

void queues_measure(struct node *node)
{
    const struct clients *clients = node->clients_io;
    struct replica_queues replica;
    replica_queues(node->zero->replica, &replica);
    level(node, QUEUE_clients, node->client_count);
    level(node, QUEUE_client_output_bytes, clients->output_most);
    level(node, QUEUE_clients_ready, clients->ready.count);
    level(node, QUEUE_clients_starved, clients->starved.count);
    level(node, QUEUE_clients_held, clients->held.count);
    level(node, QUEUE_lingering, io_lingering(node->io));
    level(node, QUEUE_pending_commands, node->pending_count);
    level(node, QUEUE_pending_bytes, node->pending_bytes);
    level(node, QUEUE_reads, replica.reads);
    level(node, QUEUE_blocked, node->blocked);
    level(node, QUEUE_kept_replies, node->kept);
    level(node, QUEUE_kept_bytes, node->kept_bytes);
    level(node, QUEUE_waiting, router_waiting(node->router));
    level(node, QUEUE_forwarded, router_forwarded(node->router));
    level(node, QUEUE_staged_bytes, engine_staged_bytes(node->zero->engine));
    level(node, QUEUE_parts_bytes, replica.parts_bytes);
    level(node, QUEUE_relayed_bytes, node->relayed_bytes);
    level(node, QUEUE_long_reply_bytes, peers_long_most(node->peers));
    level(node, QUEUE_snapshot_bytes, fetch_memory(node->zero->fetch));
    level(node, QUEUE_uncommitted_entries, replica.uncommitted);
    level(node, QUEUE_uncommitted_bytes, replica.flight_bytes);
    level(node, QUEUE_held_effects, replica.held);
    note_most(node, QUEUE_client_output_bytes, node->stats.client_output_max);
    note_most(node, QUEUE_pending_commands, node->stats.pending_max);
    note_most(node, QUEUE_peer_output_bytes, node->stats.peer_output_max);
    level(node, QUEUE_peer_input_bytes, peers_held_most(node->peers));
    level(node, QUEUE_strangers, peers_strangers(node->peers));
    level(node, QUEUE_log_backlog_bytes, log_backlog(node->log));
    level(node, QUEUE_log_cache_bytes, log_cache_bytes(node->log));
    level(node, QUEUE_checkpoint_bytes, keeper_queued_bytes(node->zero->keeper));
}

void queues_turn(struct node *node)
{
    /* Within a turn it is above its bound until somebody is closed: clients_evict. */
    level(node, QUEUE_clients_bytes, node->clients_io->bytes);
    if (node->chores.runs != node->queues_seen ||
        node->pending_count > node->queues[QUEUE_pending_commands].now) {
        node->queues_seen = node->chores.runs;
        queues_measure(node);
    }
}

uint64_t queue_now(const struct node *node, enum queue_id id)
{
    return id == QUEUE_peer_output_bytes ? peers_queued_most(node->peers) : node->queues[id].now;
}
