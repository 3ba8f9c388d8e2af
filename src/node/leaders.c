#include "node/leaders.h"

#include "cluster/map.h"
#include "node/node.h"
#include "node/peers.h"
#include "node/replica.h"

/* How long a hint, or a guess, is not followed after its node said no. */
#define DOUBT_TIME (20 * QR_MILLISECOND)

/* The own replica knows a later term than the hint. */
static bool is_overtaken(const struct partition *partition)
{
    return partition->replica != NULL &&
           replica_seen(partition->replica)->term > partition->hint.term;
}

static bool is_doubted(const struct partition *partition)
{
    return partition->hint.doubt != 0 && partition->node->clock < partition->hint.doubt;
}

node_index leaders_of(const struct partition *partition)
{
    const struct leader_hint *hint = &partition->hint;
    node_index own = partition->replica != NULL ? replica_leader(partition->replica) : NODE_NONE;
    if (own != NODE_NONE) {
        return own;
    }
    bool none = hint->term == 0 || is_doubted(partition) || is_overtaken(partition);
    return none ? NODE_NONE : hint->leader;
}

node_index leaders_guess(const struct partition *partition)
{
    const struct node *node = partition->node;
    const struct map_partition *p = map_partition(node->map, partition->group);
    if (partition->replica != NULL || p == NULL || is_doubted(partition)) {
        return NODE_NONE;
    }
    const struct succession *s = map_succession(node->map, partition->group);
    if (partition->hint.guess == 0 && s != NULL && s->primary != NODE_NONE &&
        peers_connected(node->peers, s->primary)) {
        return s->primary;
    }
    if (partition->hint.guess == 0 && p->prefers != NODE_NONE &&
        peers_connected(node->peers, p->prefers)) {
        return p->prefers;
    }
    for (uint32_t i = 0; i < MEMBERS_MAX; i++) {
        node_index at = (node_index)((partition->hint.guess + i) % MEMBERS_MAX);
        if ((p->held >> at & 1u) != 0 && peers_connected(node->peers, at)) {
            return at;
        }
    }
    return NODE_NONE;
}

void leaders_refuted(struct partition *partition, node_index who)
{
    struct leader_hint *hint = &partition->hint;
    bool guessed = hint->term == 0 || hint->leader != who;
    hint->doubt = partition->node->clock + DOUBT_TIME;
    hint->guess = guessed ? (uint8_t)((who + 1u) % MEMBERS_MAX) : hint->guess;
}

void leaders_look(struct partition *partition, bool leads, qr_term term)
{
    struct leaders *leaders = &partition->node->leaders;
    struct leader_hint *hint = &partition->hint;
    if (!leads || term <= hint->told || partition->group == 0) {
        return; /* all nodes have a replica of group 0 */
    }
    hint->told = term;
    if (leaders->count < LEADERS_NEWS_MAX) {
        leaders->news[leaders->count] =
            (struct leader_word){ .group = partition->group, .term = term };
    }
    leaders->count++;
    leaders->begun++;
    partition->node->again = true; /* it is told at the end of this turn, or of one more */
}

/* --- Groups that are not known yet ---------------------------------------------------------- */

void leaders_adopt(struct partition *partition)
{
    const struct leaders *leaders = &partition->node->leaders;
    if (leaders->early == NULL) {
        return;
    }
    const struct leader_word *word = &leaders->early[partition->group % EARLY_LEADERS];
    if (word->group == partition->group && word->term > partition->hint.term) {
        partition->hint.term = word->term;
        partition->hint.leader = word->leader;
    }
}
