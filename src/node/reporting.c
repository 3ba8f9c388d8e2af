#include "node/reporting.h"

#include "base/alloc.h"
#include "node/control.h"
#include "node/node.h"
#include "node/partitions.h"
#include "node/quota.h"
#include "node/replica.h"
#include "node/snapshot_source.h"
#include "protocol/quorum.h"

#include <stdlib.h>
#include <string.h>

void reporting_init(struct reporting *r)
{
    *r = (struct reporting){ .to = NODE_NONE };
}

void reporting_free(struct reporting *r)
{
    free(r->told);
}

void reporting_asked(struct reporting *r, node_index from, uint64_t nonce)
{
    r->asked = nonce;
    r->asked_by = from;
    r->begun = false; /* what was passed already is looked at again */
}

/* --- Figures --------------------------------------------------------------------------------- */

/* The snapshot of which most is still to come to a member that does not vote. */
static void look_at_copies(const struct partition *partition, struct partition_report *out)
{
    for (uint32_t rest = out->others; partition->source != NULL && rest != 0; rest &= rest - 1) {
        struct source_progress p = source_progress_of(partition->source, set_first(rest));
        uint64_t left = p.active && p.total > p.sent ? p.total - p.sent : 0;
        if (p.active && (out->copy == 0 || left > out->copy_left)) {
            out->copy_left = left;
            out->copy = p.total;
        }
    }
}

static void look_at(const struct partition *partition, struct partition_report *out)
{
    const struct outlook *o = replica_seen(partition->replica);
    const struct membership *m = &o->membership;
    const struct store *store = engine_store(partition->engine);
    *out = (struct partition_report){
        .group = partition->group,
        .term = o->term,
        .epoch = partition->reached,
        .last = o->last,
        .bytes = quota_bytes(partition),
        .voters = m->voters,
        .others = (uint16_t)((m->outgoing | m->learners | m->observers) & ~m->voters)
    };
    for (uint8_t db = 0; db < DATABASES; db++) {
        out->keys += store_count(store, db);
    }
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        bool member = ((out->voters | out->others) >> i & 1) != 0;
        bool behind = member && i != replica_me(partition->replica) && i < o->members &&
                      o->member[i].match < o->last;
        out->lag[i] = behind ? o->last - o->member[i].match : 0;
    }
    look_at_copies(partition, out);
}

/* --- What was told --------------------------------------------------------------------------- */

static struct told_partition *told_of(struct reporting *r, uint32_t group)
{
    uint32_t low = 0;
    uint32_t high = r->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (r->told[middle].report.group < group) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low < r->count && r->told[low].report.group == group) {
        return &r->told[low];
    }
    if (r->count == r->cap) {
        r->cap = r->cap * 2 + 16;
        r->told = qr_realloc(r->told, r->cap * sizeof *r->told);
    }
    memmove(r->told + low + 1, r->told + low, (r->count - low) * sizeof *r->told);
    r->told[low] = (struct told_partition){ .report = { .group = group } };
    r->count++;
    return &r->told[low];
}

/* Adds the partition when something of it is other than what was told. */
static void tell_partition(struct reporting *r, const struct partition *partition, qr_time passed,
                           struct report *out)
{
    struct partition_report now;
    struct told_partition *told = told_of(r, partition->group);
    look_at(partition, &now);
    const struct quota *quota = &partition->quota;
    uint64_t ms = passed > QR_MILLISECOND ? (uint64_t)(passed / QR_MILLISECOND) : 1;
    now.ops = (uint32_t)((quota->ops - told->ops) * 1000 / ms);
    now.refused = (uint32_t)((quota->refused - told->refused) * 1000 / ms);
    told->ops = quota->ops;
    told->refused = quota->refused;
    if (memcmp(&now, &told->report, sizeof now) != 0) {
        told->report = now;
        out->partition[out->partitions++] = now;
    }
}

/* What was led when it was told, and is no more. False: there is no room for all. */
static bool tell_lost(const struct node *node, struct reporting *r, struct report *out)
{
    uint32_t kept = 0;
    bool room = true;
    for (uint32_t i = 0; i < r->count; i++) {
        const struct partition *p = partition_of_group(node, r->told[i].report.group);
        bool lost = p == NULL || p->replica == NULL || !replica_leads(p->replica);
        room = room && (!lost || out->partitions < REPORT_PARTITIONS_MAX);
        if (lost && room) {
            out->partition[out->partitions++] =
                (struct partition_report){ .group = r->told[i].report.group };
        } else {
            r->told[kept++] = r->told[i];
        }
    }
    r->count = kept;
    return room;
}

/* Clients that have selected another keyspace than 0. */
static void count_clients(const struct node *node, struct report *out)
{
    out->client_counts = 0;
    if (map_keyspace_count(node->map) == 1) {
        return;
    }
    for (const struct client *c = node->clients; c != NULL; c = c->next) {
        uint32_t i = 0;
        uint32_t keyspace = c->selected.keyspace;
        if (keyspace == 0) {
            continue;
        }
        while (i < out->client_counts && out->clients[i].keyspace != keyspace) {
            i++;
        }
        if (i == out->client_counts && i < REPORT_KEYSPACES_MAX) {
            out->clients[out->client_counts++] = (struct client_count){ keyspace, 0 };
        }
        if (i < REPORT_KEYSPACES_MAX) {
            out->clients[i].clients++;
        }
    }
}

/* --- Composing ------------------------------------------------------------------------------- */

static void begin_pass(struct node *node, struct reporting *r, node_index leader,
                       struct report *out)
{
    qr_term term = replica_seen(node->zero->replica)->term;
    out->whole = r->to != leader || r->term != term;
    if (out->whole) {
        r->count = 0;
        r->to = leader;
        r->term = term;
    }
    r->begun = true;
    r->at = 0;
}

bool reporting_compose(struct node *node, struct reporting *r, node_index leader,
                       struct report *out)
{
    qr_time passed = node->clock - r->passed;
    out->nonce = 0;
    out->whole = false;
    out->version = engine_system_version(node->zero->engine);
    out->level = (uint16_t)control_level_known(node);
    out->partitions = 0;
    bool fresh = !r->begun;
    if (fresh) {
        begin_pass(node, r, leader, out);
    }
    count_clients(node, out);
    const struct partitions *all = &node->partitions;
    while (r->at < all->count && out->partitions < REPORT_PARTITIONS_MAX) {
        const struct partition *p = partitions_at(all, r->at++);
        if (p->replica != NULL && replica_leads(p->replica)) {
            tell_partition(r, p, passed, out);
        }
    }
    if (r->at < all->count || !tell_lost(node, r, out)) {
        return true;
    }
    out->nonce = r->asked_by == leader ? r->asked : 0;
    r->begun = false;
    r->passed = node->clock;
    return false;
}
