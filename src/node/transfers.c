#include "node/transfers.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "io/io.h"
#include "node/alarm.h"
#include "node/node.h"
#include "node/snapshot.h"
#include "node/snapshot_fetch.h"
#include "node/snapshot_source.h"

/* A group that asks in vain lets others ask after so long: no less than a repair takes to find out
 * that it is in vain (protocol/repair.c). */
#define ASK_PATIENCE (15 * QR_SECOND)
#define OTHERS_WAIT (2 * QR_SECOND) /* a group that was refused asks again within that time */
/* A file that was offered and is not read may make room for another one after so long. */
#define OFFER_PATIENCE (300 * QR_MILLISECOND)
#define TROUBLE_TIME (15 * QR_SECOND) /* several times what is waited before trying again */

static void note(struct partition *partition)
{
    struct transfers *t = &partition->node->transfers;
    if (partition->transfers) {
        return;
    }
    if (t->count == t->cap) {
        t->cap = t->cap == 0 ? 4 : t->cap * 2;
        t->v = qr_realloc(t->v, t->cap * sizeof(struct partition *));
    }
    t->v[t->count++] = partition;
    partition->transfers = true;
}

/* The order stays: whose turn it is depends on it. */
static void forget(struct transfers *t, uint32_t i)
{
    t->v[i]->transfers = false;
    t->count--;
    for (; i < t->count; i++) {
        t->v[i] = t->v[i + 1];
    }
}

/* --- Asking --------------------------------------------------------------------------------- */

static bool is_coming(const struct node *node, uint32_t group, qr_time now)
{
    const struct partition *partition = partition_of_group(node, group);
    return partition != NULL && fetch_has_hope(partition->fetch, now);
}

static struct asking *find_asking(struct node *node, uint32_t group)
{
    for (uint32_t i = 0; i < FETCHES_MAX; i++) {
        if (node->transfers.asking[i].group == group) {
            return &node->transfers.asking[i];
        }
    }
    return NULL;
}

/* A place that nobody has, or that was had for long enough. */
static struct asking *free_asking(struct node *node, qr_time now)
{
    struct asking *found = find_asking(node, 0);
    for (uint32_t i = 0; i < FETCHES_MAX && found == NULL; i++) {
        struct asking *a = &node->transfers.asking[i];
        found = now >= a->until && !is_coming(node, a->group, now) ? a : NULL;
    }
    return found;
}

bool transfers_may_ask(struct partition *partition, qr_time now)
{
    struct node *node = partition->node;
    struct transfers *t = &node->transfers;
    if (partition->group == 0) {
        return true;
    }
    struct asking *a = find_asking(node, partition->group);
    if (a != NULL && now < a->until) {
        return true;
    }
    if (a != NULL && t->refused != 0 && now - t->refused < OTHERS_WAIT) {
        a->group = 0; /* it is the turn of whoever asks next */
        return false;
    }
    a = a != NULL ? a : free_asking(node, now);
    if (a == NULL) {
        t->refused = now;
        return false;
    }
    *a = (struct asking){ .group = partition->group, .until = now + ASK_PATIENCE };
    return true;
}

/* It has what it asked for, or is gone: it is another one's turn. */
static void asks_no_more(struct partition *partition)
{
    struct asking *a =
        partition->group != 0 ? find_asking(partition->node, partition->group) : NULL;
    if (a != NULL) {
        a->group = 0;
    }
}

/* --- Beginning and end ---------------------------------------------------------------------- */

void transfers_open(struct partition *partition)
{
    partition->source = source_new(partition);
    partition->fetch = fetch_new(partition);
    note(partition);
}

bool transfers_keep(struct node *node, uint32_t group)
{
    qr_assert(group != 0);
    for (uint32_t i = 0; i < FETCHES_MAX; i++) {
        uint32_t *left = &node->transfers.left[i];
        if (*left == 0 || *left == group) {
            *left = group;
            return true;
        }
    }
    return false;
}

void transfers_resume(struct partition *partition)
{
    for (uint32_t i = 0; i < FETCHES_MAX; i++) {
        uint32_t *left = &partition->node->transfers.left[i];
        if (*left == partition->group) {
            *left = 0;
            partition->fetch = fetch_new(partition);
            note(partition);
        }
    }
}

static void add_counts(struct fetch_counts *all, const struct fetch *fetch)
{
    struct fetch_figures f;
    fetch_figures(fetch, &f);
    all->begun += f.counts.begun;
    all->installed += f.counts.installed;
    all->resumed += f.counts.resumed;
    all->bytes += f.counts.bytes;
    all->refused += f.counts.refused;
    all->given_up += f.counts.given_up;
    all->dropped += f.counts.dropped;
}

static void add_given(struct source_figures *all, const struct source *source)
{
    const struct source_figures *s = source_figures(source);
    all->offers += s->offers;
    all->pieces += s->pieces;
    all->bytes += s->bytes;
    all->orders += s->orders;
    all->gone += s->gone;
    all->refused += s->refused;
    all->unusable += s->unusable;
}

static void drop_source(struct partition *partition)
{
    add_given(&partition->node->transfers.gave, partition->source);
    source_free(partition->source);
    partition->source = NULL;
}

static void drop_fetch(struct partition *partition)
{
    add_counts(&partition->node->transfers.took, partition->fetch);
    fetch_free(partition->fetch);
    partition->fetch = NULL;
}

void transfers_close(struct partition *partition)
{
    asks_no_more(partition);
    struct transfers *t = &partition->node->transfers;
    if (partition->source != NULL) {
        drop_source(partition);
    }
    if (partition->fetch != NULL) {
        drop_fetch(partition);
    }
    for (uint32_t i = t->count; i-- > 0;) {
        if (t->v[i] == partition) {
            forget(t, i);
        }
    }
}

void transfers_free(struct node *node)
{
    free(node->transfers.v);
    node->transfers = (struct transfers){ 0 };
}

/* --- Room ----------------------------------------------------------------------------------- */

/* Group 0 is not counted, nor is who only keeps what it has received. */
static uint32_t fetches(const struct transfers *t)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        const struct fetch *fetch = t->v[i]->fetch;
        n += t->v[i]->group != 0 && fetch != NULL && !fetch_waits(fetch);
    }
    return n;
}

static uint32_t sources(const struct transfers *t)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        n += t->v[i]->group != 0 && t->v[i]->source != NULL;
    }
    return n;
}

/* One that nobody reads goes; it is wanted again, if it still is, when others had their turn. */
static bool make_room(struct node *node)
{
    struct transfers *t = &node->transfers;
    qr_time before = io_now(node->io) - OFFER_PATIENCE;
    for (uint32_t i = 0; i < t->count; i++) {
        struct partition *partition = t->v[i];
        if (partition->group != 0 && partition->source != NULL &&
            source_is_unused(partition->source, before)) {
            drop_source(partition);
            return true;
        }
    }
    return false;
}

struct source *transfers_source(struct partition *partition)
{
    struct node *node = partition->node;
    if (partition->source == NULL && (sources(&node->transfers) < SOURCES_MAX || make_room(node))) {
        partition->source = source_new(partition);
        note(partition);
    }
    return partition->source;
}

struct fetch *transfers_fetch(struct partition *partition)
{
    struct fetch *fetch = partition->fetch;
    bool has_place = partition->group == 0 || (fetch != NULL && !fetch_waits(fetch));
    if (!has_place && fetches(&partition->node->transfers) >= FETCHES_MAX) {
        return NULL;
    }
    if (fetch == NULL) {
        partition->fetch = fetch_new(partition);
        note(partition);
    }
    return partition->fetch;
}

void transfers_wanted(struct partition *partition, node_index to, qr_slot least)
{
    struct source *source = transfers_source(partition);
    if (source != NULL) {
        source_wanted(source, to, least);
    }
}

void transfers_asked(struct partition *partition, node_index from, qr_slot least)
{
    struct source *source = transfers_source(partition);
    if (source != NULL) {
        source_asked(source, from, least);
    }
}

/* --- Alarms --------------------------------------------------------------------------------- */

void transfers_trouble(struct node *node, node_index about)
{
    qr_time now = io_now(node->io);
    node->transfers.trouble[about == NODE_NONE ? MEMBERS_MAX : about] = now > 0 ? now : 1;
    node->transfers.troubled = true;
}

static void end_trouble(struct node *node, qr_time now)
{
    node->transfers.troubled = false;
    for (node_index i = 0; i <= MEMBERS_MAX; i++) {
        qr_time *at = &node->transfers.trouble[i];
        if (*at == 0 || now - *at < TROUBLE_TIME) {
            node->transfers.troubled = node->transfers.troubled || *at != 0;
            continue;
        }
        *at = 0;
        if (i == MEMBERS_MAX) {
            alarm_clear(node, ALARM_SNAPSHOT);
        } else {
            alarm_clear_about(node, ALARM_SNAPSHOT, node->known[i].id);
        }
    }
}

/* --- Figures -------------------------------------------------------------------------------- */

void transfers_took(const struct node *node, struct fetch_figures *out)
{
    const struct transfers *t = &node->transfers;
    struct fetch_counts counts = t->took;
    *out = (struct fetch_figures){ 0 };
    for (uint32_t i = 0; i < t->count; i++) {
        struct fetch_figures f;
        if (t->v[i]->fetch != NULL) {
            fetch_figures(t->v[i]->fetch, &f);
            add_counts(&counts, t->v[i]->fetch);
            *out = f.active && (!out->active || t->v[i]->group == 0) ? f : *out;
        }
    }
    out->counts = counts;
}

void transfers_gave(const struct node *node, struct source_figures *out)
{
    const struct transfers *t = &node->transfers;
    *out = t->gave;
    for (uint32_t i = 0; i < t->count; i++) {
        if (t->v[i]->source != NULL) {
            add_given(out, t->v[i]->source);
            out->memory += source_figures(t->v[i]->source)->memory;
        }
    }
}

/* --- The turn ------------------------------------------------------------------------------- */

void transfers_peer(struct node *node, node_index peer, bool up)
{
    struct transfers *t = &node->transfers;
    for (uint32_t i = 0; i < t->count; i++) {
        snapshot_peer(t->v[i], peer, up);
    }
}

/* What has nothing to do any more. */
static void sweep(struct transfers *t, qr_time now)
{
    for (uint32_t i = t->count; i-- > 0;) {
        struct partition *partition = t->v[i];
        if (partition->group == 0) {
            continue;
        }
        if (partition->source != NULL && source_is_idle(partition->source)) {
            drop_source(partition);
        }
        if (partition->fetch != NULL && fetch_is_idle(partition->fetch, now)) {
            drop_fetch(partition);
            asks_no_more(partition);
        }
        if (partition->source == NULL && partition->fetch == NULL) {
            forget(t, i);
        }
    }
}

void transfers_turn(struct node *node, qr_time now)
{
    struct transfers *t = &node->transfers;
    bool loaded = false; /* one has had a slice, which is what a turn has for all of them */
    t->first++;
    for (uint32_t i = 0; i < t->count && !node->failed; i++) {
        struct partition *partition = t->v[(t->first + i) % t->count];
        if (partition->fetch != NULL && !loaded) {
            loaded = fetch_turn(partition->fetch, now);
        }
        if (partition->source != NULL) {
            source_turn(partition->source, now);
        }
    }
    node->again = node->again || loaded;
    sweep(t, now);
    if (t->troubled) {
        end_trouble(node, now);
    }
    if (t->count > 1 || !source_is_idle(node->zero->source) ||
        !fetch_is_idle(node->zero->fetch, now)) {
        node_stay(node);
    }
}
