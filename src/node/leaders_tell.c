/* Telling the other nodes who leads: FRAME_LEADS.
 *
 * Its head is a list of words, as many as there is room for: group u32, term u64, leader u8. */
#include "base/alloc.h"
#include "base/wire.h"
#include "cluster/map.h"
#include "node/leaders.h"
#include "node/node.h"
#include "node/peers.h"
#include "node/replica.h"

#include <stdlib.h>

#define WORD_BYTES 13u

/* --- Hearing -------------------------------------------------------------------------------- */

static void keep_early(struct leaders *leaders, const struct leader_word *word)
{
    if (leaders->early == NULL) {
        leaders->early = qr_zalloc(EARLY_LEADERS * sizeof *leaders->early);
    }
    leaders->early[word->group % EARLY_LEADERS] = *word; /* an older one is lost: it is guessed */
}

static void learn(struct node *node, const struct leader_word *word)
{
    struct partition *partition = partition_of_group(node, word->group);
    if (partition == NULL) {
        keep_early(&node->leaders, word);
        return;
    }
    struct leader_hint *hint = &partition->hint;
    if (word->term >= hint->term && word->leader != replica_me(node->zero->replica)) {
        hint->term = word->term;
        hint->leader = word->leader;
        hint->doubt = 0;
    }
}

bool leaders_receive(struct node *node, node_index from, struct span head)
{
    (void)from;
    struct wire_reader r = wire_reader(head);
    for (size_t i = 0; i < head.n / WORD_BYTES; i++) {
        struct leader_word word = { .group = wire_get_u32(&r) };
        word.term = wire_get_u64(&r);
        word.leader = wire_get_u8(&r);
        if (word.group == 0 || word.term == 0 || word.leader >= MEMBERS_MAX) {
            return false;
        }
        learn(node, &word);
    }
    return wire_finished(&r);
}

/* --- Telling -------------------------------------------------------------------------------- */

/* Words on their way to one peer, or to all. */
struct words {
    uint8_t bytes[LEADERS_NEWS_MAX * WORD_BYTES];
    struct wire_writer w;
};

static void words_begin(struct words *words)
{
    words->w = wire_writer(words->bytes, sizeof words->bytes);
}

static void words_put(struct words *words, uint32_t group, qr_term term, node_index leader)
{
    wire_put_u32(&words->w, group);
    wire_put_u64(&words->w, term);
    wire_put_u8(&words->w, (uint8_t)leader);
    qr_assert(!words->w.bad);
}

static void words_send(struct words *words, struct node *node, node_index to)
{
    if (words->w.n > 0) {
        peers_tell(node->peers, to, FRAME_LEADS, span_of(words->bytes, words->w.n));
    }
}

void leaders_tell(struct node *node, node_index to, const struct partition *partition)
{
    struct words words;
    node_index leader = leaders_of(partition);
    qr_term own = partition->replica != NULL ? replica_seen(partition->replica)->term : 0;
    qr_term term = own > partition->hint.term ? own : partition->hint.term;
    if (leader == NODE_NONE || leader == to || term == 0 || partition->group == 0) {
        return;
    }
    words_begin(&words);
    words_put(&words, partition->group, term, leader);
    words_send(&words, node, to);
}

static void tell_news(struct node *node)
{
    struct leaders *leaders = &node->leaders;
    struct words words;
    words_begin(&words);
    if (leaders->count > LEADERS_NEWS_MAX) {
        for (node_index i = 0; i < MEMBERS_MAX; i++) {
            leaders_connected(node, i); /* too many at once: all over again, in slices */
        }
        leaders->count = 0;
    }
    for (uint32_t i = 0; i < leaders->count; i++) {
        words_put(&words, leaders->news[i].group, leaders->news[i].term,
                  replica_me(node->zero->replica));
    }
    words_send(&words, node, NODE_NONE);
    for (node_index i = 0; leaders->count > 0 && i < MEMBERS_MAX; i++) {
        if (peers_queued(node->peers, i) > PEER_OUTPUT_BYTES_MAX) {
            leaders_connected(node, i); /* it may have missed it */
        }
    }
    leaders->count = 0;
}

/* A slice of everything that this node leads. */
static void tell_all(struct node *node, node_index peer)
{
    struct leaders *leaders = &node->leaders;
    struct words words;
    words_begin(&words);
    const struct map_partition *p = map_partition_after(node->map, leaders->cursor[peer]);
    for (uint32_t i = 0; p != NULL && i < LEADERS_NEWS_MAX; i++) {
        const struct partition *partition = partition_of_group(node, p->group);
        const struct replica *replica = partition != NULL ? partition->replica : NULL;
        if (replica != NULL && replica_leads(replica)) {
            words_put(&words, p->group, replica_seen(replica)->term, replica_me(replica));
        }
        leaders->cursor[peer] = p->group;
        p = map_partition_after(node->map, p->group);
    }
    words_send(&words, node, peer);
    if (p == NULL) {
        leaders->telling &= (uint16_t)~(1u << peer);
    }
    node->again = node->again || p != NULL;
}

void leaders_connected(struct node *node, node_index peer)
{
    node->leaders.cursor[peer] = 0;
    node->leaders.telling |= (uint16_t)(1u << peer);
    node_stir(node);
}

void leaders_turn(struct node *node)
{
    if (node->leaders.count > 0) {
        tell_news(node);
    }
    for (node_index i = 0; node->leaders.telling >> i != 0; i++) {
        if ((node->leaders.telling >> i & 1) == 0) {
            continue;
        }
        if (!peers_connected(node->peers, i)) {
            node->leaders.telling &= (uint16_t)~(1u << i);
        } else if (peers_queued(node->peers, i) < PEER_OUTPUT_BYTES_MAX / 2) {
            tell_all(node, i);
        }
    }
}

void leaders_free(struct node *node)
{
    free(node->leaders.early);
    node->leaders.early = NULL;
}
