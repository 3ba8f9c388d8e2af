#include "node/reporting.h"

#include "base/alloc.h"
#include "base/linked.h"
#include "cluster/map.h"
#include "node/control.h"
#include "node/lagging.h"
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

/* --- Who is looked at ------------------------------------------------------------------------ */

void reporting_note(struct partition *partition)
{
    struct news *news = &partition->node->news;
    if (!partition->news) {
        partition->news = true;
        news->count++;
        LINKED_APPEND(news->first, news->last, partition, news_previous, news_next);
    }
}

static void note_no_more(struct partition *partition)
{
    struct news *news = &partition->node->news;
    qr_assert(partition->news && news->count > 0);
    partition->news = false;
    news->count--;
    LINKED_REMOVE(news->first, news->last, partition, news_previous, news_next);
}

static void forget_told(struct partition *partition)
{
    free(partition->told);
    partition->told = NULL;
}

void reporting_forget(struct partition *partition)
{
    if (partition->news) {
        note_no_more(partition);
    }
    forget_told(partition);
}

void reporting_anew(struct reporting *r, node_index leader)
{
    if (r->to == leader) {
        r->to = NODE_NONE;
        r->begun = false;
    }
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

static void look_at_follower(struct partition *partition, node_index i,
                             struct partition_report *out)
{
    struct follower_sight f = lagging_of(partition, i);
    qr_time ms = (f.lag.age + QR_MILLISECOND - 1) / QR_MILLISECOND;
    out->state[i] = (uint8_t)(1 + f.state);
    out->lag_ms[i] = f.known ? (uint32_t)min_u64((uint64_t)ms, REPORT_UNKNOWN - 1) : REPORT_UNKNOWN;
    out->lag_bytes[i] = f.known ? f.lag.bytes : 0;
}

static void look_at(struct partition *partition, bool followers, struct partition_report *out)
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
        bool other =
            ((out->voters | out->others) >> i & 1) != 0 && i != replica_me(partition->replica);
        bool behind = other && i < o->members && o->member[i].match < o->last;
        out->lag[i] = behind ? o->last - o->member[i].match : 0;
        if (other && followers) {
            look_at_follower(partition, i, out);
        }
    }
    look_at_copies(partition, out);
}

/* --- What was told --------------------------------------------------------------------------- */

/* Adds the partition when something of it is other than what was told. */
static void tell_led(struct partition *partition, qr_time passed, struct report *out)
{
    struct partition_report now;
    const struct quota *quota = &partition->quota;
    if (partition->told == NULL) {
        partition->told = qr_zalloc(sizeof *partition->told);
        partition->told->ops = quota->ops;
        partition->told->refused = quota->refused;
    }
    struct told_partition *told = partition->told;
    look_at(partition, out->followers, &now);
    uint64_t ms = passed > QR_MILLISECOND ? (uint64_t)(passed / QR_MILLISECOND) : 1;
    now.ops = (uint32_t)((quota->ops - told->ops) * 1000 / ms);
    now.refused = (uint32_t)((quota->refused - told->refused) * 1000 / ms);
    told->ops = quota->ops;
    told->refused = quota->refused;
    if (memcmp(&now, &told->report, sizeof now) != 0) {
        told->report = now;
        out->partition[out->partitions++] = now;
    }
    if (now.ops != 0 || now.refused != 0 || now.copy != 0 || partition->source != NULL ||
        partition->lagging != NULL) {
        /* It has changes without turns: a rate that ends, a copy, an age. */
        reporting_note(partition);
    }
}

/* What was led when it was told, and is no more, is told once. Who leads without all of its state
 * is nobody's leader yet: its figures would be those of its checkpoint. */
static void tell_partition(struct reporting *r, struct partition *partition, qr_time passed,
                           struct report *out)
{
    bool leads = partition->replica != NULL && replica_leads(partition->replica);
    if (leads && !replica_is_current(partition->replica)) {
        leads = false;
        r->begins = true;
        reporting_note(partition); /* it is looked at until it is */
    }
    if (leads) {
        tell_led(partition, passed, out);
    } else if (partition->told != NULL) {
        out->partition[out->partitions++] = (struct partition_report){ .group = partition->group };
        forget_told(partition);
    }
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

/* Another leader of group 0 is told everything. */
static void tell_anew(struct node *node)
{
    for (uint32_t i = 0; i < node->partitions.count; i++) {
        struct partition *p = partitions_at(&node->partitions, i);
        forget_told(p);
        reporting_note(p);
    }
}

static void begin_pass(struct node *node, struct reporting *r, node_index leader,
                       struct report *out)
{
    qr_term term = replica_seen(node->zero->replica)->term;
    out->whole = r->to != leader || r->term != term || r->followers != out->followers;
    if (out->whole) {
        r->to = leader;
        r->term = term;
        r->followers = out->followers;
        tell_anew(node);
    }
    reporting_note(node->zero); /* it has all turns */
    r->begun = true;
    r->begins = false;
    r->left = node->news.count;
}

bool reporting_compose(struct node *node, struct reporting *r, node_index leader,
                       struct report *out)
{
    qr_time passed = node->clock - r->passed;
    out->nonce = 0;
    out->whole = false;
    out->version = engine_system_version(node->zero->engine);
    out->level = (uint16_t)control_level_known(node);
    out->followers = control_level(node) >= MAP_LEVEL_FOLLOWERS;
    out->partitions = 0;
    if (!r->begun) {
        begin_pass(node, r, leader, out);
    }
    count_clients(node, out);
    struct news *news = &node->news;
    for (; r->left > 0 && news->first != NULL && out->partitions < REPORT_PARTITIONS_MAX;
         r->left--) {
        struct partition *p = news->first;
        note_no_more(p);
        tell_partition(r, p, passed, out);
    }
    if (r->left > 0 && news->first != NULL) {
        return true;
    }
    out->nonce = r->asked_by == leader ? r->asked : 0;
    r->begun = false;
    r->passed = node->clock;
    return false;
}
