/* Disks that are lost or damaged where a council chooses who leads: the node stays a member, and
 * starts forgetful. Whether too much is gone to go on is the council's to find out. */
#include "protocol/primary/primary_messages.h"
#include "sim/checkers/safety.h"
#include "sim/council.h"

static uint16_t others(const struct world *w, node_index node)
{
    return (uint16_t)(((1u << w->node_count) - 1) & ~(1u << node));
}

/* Mostly no more than the rest can go on without; then the run ends with a verdict on more. */
static bool may_lose(struct world *w, node_index node)
{
    return world_chance(w, 30) || council_can_go_on(w, others(w, node));
}

bool council_wipe(struct world *w, node_index node)
{
    if (!may_lose(w, node)) {
        return false;
    }
    struct sim_node *n = &w->nodes[node];
    node_crash(w, n, true);
    safety_lost(w, n);
    image_clear(&n->disk);
    image_clear(&n->log);
    n->safe = (struct checkpoint){ 0 };
    n->received = (struct received){ 0 };
    n->checked_commit = 0;
    n->durable_term = 0;
    n->damaged = true;
    n->desk.journal_n = 0;
    n->desk.wipes++;
    w->counters->wiped++;
    world_tell(w, "%d loses its disk", node);
    return true;
}

bool council_damage(struct world *w, node_index node, uint64_t entries, int64_t state)
{
    if (!may_lose(w, node)) {
        return false;
    }
    struct sim_node *n = &w->nodes[node];
    node_crash(w, n, world_chance(w, 500));
    safety_lost(w, n);
    n->disk.n -= min_u64(entries, n->disk.n);
    if (state == 2) {
        n->disk.state_kind = 0;
    } else if (state == 1) {
        n->disk.state_kind = n->disk.older_kind;
        n->disk.state_n = n->disk.older_n;
        memcpy(n->disk.state, n->disk.older, sizeof n->disk.state);
    }
    n->durable_term = 0;
    n->damaged = true;
    n->desk.wipes++; /* entries that are gone are named nowhere */
    image_copy(&n->log, &n->disk);
    w->counters->damaged++;
    world_tell(w, "%d is damaged: its log ends behind slot %llu", node,
               (unsigned long long)image_last(&n->disk));
    return true;
}

/* What was held back may be of a term before. */
void council_note(struct world *w, const struct packet *packet)
{
    bool leads = packet->kind == PRIMARY_APPEND || packet->kind == PRIMARY_HEARTBEAT ||
                 packet->kind == PRIMARY_RECOVERED || packet->kind == PRIMARY_FOREIGN;
    uint64_t body[STATE_BYTES_MAX / sizeof(uint64_t)] = { 0 };
    struct span in = { packet->body, packet->body_n };
    if (w->council == NULL || !leads || !w->protocol->codec->decode(packet->kind, in, body)) {
        return;
    }
    struct desk *desk = &w->nodes[packet->from].desk;
    desk->spoke = max_u64(desk->spoke, body[0]); /* the term is the first field of each */
}

/* What it began a term with and told nobody may come again otherwise; and it may have acknowledged
 * what was in its memory only. */
void council_crashing(struct world *w, struct sim_node *n)
{
    bool unheard =
        w->council != NULL && n->role == ROLE_LEADER && primary_was_silent(w, n, n->term);
    for (size_t i = 0; i < n->log.n && unheard; i++) {
        if (n->log.v[i].term == n->term) {
            safety_voided(w, n->log.base + i + 1, n->term);
        }
    }
    if (w->council != NULL && n->desk.received && !n->lost) {
        image_copy(&n->ghost, &n->log);
    }
}

/* Written is enough while the machine runs. */
void council_crashed(struct world *w, struct sim_node *n, bool power)
{
    bool kept = w->options.everysec != 0 && !power;
    if (w->council == NULL || !n->desk.received || kept) {
        return;
    }
    n->desk.wipes += w->options.everysec != 0 ? 1 : 0; /* what it acknowledged may be gone */
    n->damaged = true;
    n->lost_commit = n->lost ? n->lost_commit : w->committed_count - 1;
    n->lost = true;
}
