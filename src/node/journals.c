/* See journals.h. */
#include "node/journals.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "node/node.h"
#include "node/run.h"

#include <inttypes.h>

static void tell(struct node *node, uint32_t keyspace, const struct discards_found *found)
{
    if (found->torn_bytes > 0) {
        node_log(node, NODE_LOG_NOTICE,
                 "The discard journal of keyspace %" PRIu32 " ends in %" PRIu32
                 " bytes that were never durable: they are left out",
                 keyspace, found->torn_bytes);
    }
    if (found->damaged > 0 || found->unread_files > 0) {
        node_log(node, NODE_LOG_WARNING,
                 "The discard journal of keyspace %" PRIu32 " is damaged: %" PRIu64
                 " entries cannot be read, and the beginnings of %" PRIu32 " files",
                 keyspace, found->damaged, found->unread_files);
    }
}

static void add(struct journals *journals, uint32_t keyspace, struct discards *discards)
{
    if (journals->count == journals->cap) {
        journals->cap = journals->cap == 0 ? 4 : 2 * journals->cap;
        journals->v = qr_realloc(journals->v, journals->cap * sizeof *journals->v);
    }
    journals->v[journals->count++] = (struct journal){ keyspace, discards };
}

struct discards *journals_get(struct node *node, uint32_t keyspace, bool make, char *message,
                              size_t cap)
{
    struct journals *journals = &node->journals;
    struct discards_found found;
    struct discards_stats stats;
    message[0] = 0;
    for (uint32_t i = 0; i < journals->count; i++) {
        if (journals->v[i].keyspace == keyspace) {
            return journals->v[i].discards;
        }
    }
    struct discards *discards =
        discards_open(node->io, node->config.dir, keyspace, DISCARDS_BYTES, &found, message, cap);
    if (discards == NULL) {
        return NULL;
    }
    discards_stats(discards, &stats);
    if (!make && stats.segments == 0) {
        discards_close(discards);
        return NULL;
    }
    tell(node, keyspace, &found);
    add(journals, keyspace, discards);
    return discards;
}

void journals_stats(const struct node *node, struct discards_stats *out)
{
    *out = (struct discards_stats){ 0 };
    for (uint32_t i = 0; i < node->journals.count; i++) {
        struct discards_stats one;
        discards_stats(node->journals.v[i].discards, &one);
        out->total += one.total;
        out->kept += one.kept;
        out->regained += one.regained;
        out->overflowed += one.overflowed;
        out->damaged += one.damaged;
        out->bytes_total += one.bytes_total;
        out->overflowed_bytes += one.overflowed_bytes;
        out->blind += one.blind;
        out->disk_bytes += one.disk_bytes;
        out->segments += one.segments;
        out->unread_files += one.unread_files;
    }
}

bool journals_busy(const struct node *node)
{
    bool busy = false;
    for (uint32_t i = 0; i < node->journals.count && !busy; i++) {
        busy = discards_busy(node->journals.v[i].discards);
    }
    return busy;
}

void journals_free(struct node *node)
{
    for (uint32_t i = 0; i < node->journals.count; i++) {
        discards_close(node->journals.v[i].discards);
    }
    free(node->journals.v);
    node->journals = (struct journals){ 0 };
}
