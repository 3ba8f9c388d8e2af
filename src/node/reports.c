/* What group 0's leader has heard of nodes and partitions, and when this node tells it. */
#include "node/control_internal.h"

#include "base/alloc.h"
#include "cluster/follow.h"
#include "node/contact.h"
#include "node/peers.h"
#include "node/replica.h"
#include "node/reporting.h"
#include "node/run.h"
#include "protocol/quorum.h"

#include <stdlib.h>
#include <string.h>

#define REPORT_INTERVAL (200 * QR_MILLISECOND)
#define REPORT_PAUSE (20 * QR_MILLISECOND) /* at least, also when there is news: all is looked at */
#define REPORT_FRAMES_PER_TURN 4u          /* the rest of what changed goes with the next ones */

/* What was heard of a group. */
struct group_news {
    struct partition_report report;
    node_index leader; /* NODE_NONE: it leads no more */
};

/* What was heard of a node. */
struct node_news {
    uint64_t answered; /* the latest question that it has answered */
    uint64_t version;
    uint32_t level;
    uint32_t client_counts;
    struct client_count clients[REPORT_KEYSPACES_MAX];
};

struct reports {
    struct reporting told; /* what this node tells */
    qr_time next, told_at;
    uint64_t told_version;
    uint64_t told_begun; /* leaderships of this node that had begun */

    uint64_t nonce; /* of the latest question; each life begins elsewhere, 0: none was asked */
    struct node_news node[MEMBERS_MAX];
    qr_time passed_at[MEMBERS_MAX]; /* when the index was taken from a node; 0: never */
    struct group_news *groups; /* in no order */
    uint32_t count, cap;
    uint32_t *places; /* open addressing by group: index + 1, 0: free */
    uint32_t place_count;
    struct report received; /* the one being taken in */
    uint8_t frame[REPORT_BYTES_MAX];
};

struct reports *reports_new(void)
{
    struct reports *reports = qr_zalloc(sizeof *reports);
    reporting_init(&reports->told);
    return reports;
}

void reports_free(struct reports *reports)
{
    free(reports->groups);
    free(reports->places);
    free(reports);
}

/* --- What is heard --------------------------------------------------------------------------- */

static uint32_t home_of(const struct reports *reports, uint32_t group)
{
    return group * 2654435761u & (reports->place_count - 1);
}

/* Where the group is, or where it would stand. */
static uint32_t find_place(const struct reports *reports, uint32_t group)
{
    uint32_t at = home_of(reports, group);
    while (reports->places[at] != 0 &&
           reports->groups[reports->places[at] - 1].report.group != group) {
        at = (at + 1) & (reports->place_count - 1);
    }
    return at;
}

static void spread(struct reports *reports)
{
    free(reports->places);
    reports->place_count = reports->cap * 2;
    reports->places = qr_zalloc(reports->place_count * sizeof *reports->places);
    for (uint32_t i = 0; i < reports->count; i++) {
        reports->places[find_place(reports, reports->groups[i].report.group)] = i + 1;
    }
}

/* Also when it has no leader any more; NULL: nothing was ever heard of it. */
static struct group_news *find(const struct reports *reports, uint32_t group)
{
    uint32_t at = reports->count > 0 ? reports->places[find_place(reports, group)] : 0;
    return at != 0 ? &reports->groups[at - 1] : NULL;
}

static struct group_news *add(struct reports *reports, uint32_t group)
{
    if (reports->count == reports->cap) {
        reports->cap = reports->cap == 0 ? 16 : reports->cap * 2;
        reports->groups = qr_realloc(reports->groups, reports->cap * sizeof *reports->groups);
        spread(reports);
    }
    struct group_news *news = &reports->groups[reports->count++];
    *news = (struct group_news){ .report = { .group = group }, .leader = NODE_NONE };
    reports->places[find_place(reports, group)] = reports->count;
    return news;
}

/* A term of 0 says that the sender leads the group no more. */
static void take_partition(struct node *node, node_index from, const struct partition_report *r)
{
    struct reports *reports = node->control->reports;
    struct group_news *known = find(reports, r->group);
    bool full = known == NULL && reports->count >= 2 * PARTITIONS_MAX;
    if (full || follow_is_gone(node->map, r->group)) {
        return; /* dropped; one that is not known here yet is not told again, so it stays */
    }
    if (known == NULL || known->leader == NODE_NONE || known->report.epoch != r->epoch) {
        node->control->planner.next = 0;
    }
    known = known != NULL ? known : add(reports, r->group);
    if (r->term == 0 && known->leader == from) {
        known->leader = NODE_NONE;
    } else if (r->term != 0 && (known->leader == NODE_NONE || r->term >= known->report.term)) {
        *known = (struct group_news){ .report = *r, .leader = from };
    }
}

/* What a node led, it leads no more. */
static void forget_node(struct reports *reports, node_index from)
{
    for (uint32_t i = 0; i < reports->count; i++) {
        if (reports->groups[i].leader == from) {
            reports->groups[i].leader = NODE_NONE;
        }
    }
    reports->node[from] = (struct node_news){ .answered = 0 };
}

void reports_passed(struct node *node, node_index index)
{
    struct reports *reports = node->control->reports;
    forget_node(reports, index);
    if (node->known[index].id != 0) {
        reports->passed_at[index] = node->clock;
    }
}

/* Groups that are in the map no more. */
static void forget_dropped(struct node *node)
{
    struct reports *reports = node->control->reports;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < reports->count; i++) {
        if (!follow_is_gone(node->map, reports->groups[i].report.group)) {
            reports->groups[kept++] = reports->groups[i];
        }
    }
    if (kept < reports->count) {
        reports->count = kept;
        spread(reports);
    }
}

static void take(struct node *node, node_index from, const struct report *report)
{
    struct reports *reports = node->control->reports;
    if (report->whole) {
        forget_node(reports, from);
    }
    struct node_news *n = &reports->node[from];
    n->version = report->version;
    n->level = report->level;
    /* Else it was asked in an earlier life. */
    if (report->nonce <= reports->nonce) {
        n->answered = max_u64(report->nonce, n->answered);
    }
    n->client_counts = report->client_counts;
    memcpy(n->clients, report->clients, sizeof n->clients);
    for (uint32_t i = 0; i < report->partitions; i++) {
        take_partition(node, from, &report->partition[i]);
    }
    node->again = node->again || control_waiting(node->control) > 0;
}

bool reports_receive(struct node *node, node_index from, struct span head)
{
    struct reports *reports = node->control->reports;
    uint64_t nonce;
    if (report_question_read(head, &nonce)) {
        reporting_asked(&reports->told, from, nonce);
        reports->next = 0;
        return true;
    }
    if (!report_read(head, &reports->received)) {
        return false;
    }
    if (replica_leads(node->zero->replica)) {
        take(node, from, &reports->received);
    }
    return true;
}

void reports_connected(struct node *node, node_index peer)
{
    struct reports *reports = node->control->reports;
    reports->node[peer].version = reports->node[peer].level = 0;
    reporting_anew(&reports->told, peer);
}

/* --- What is asked and told ------------------------------------------------------------------ */

uint64_t reports_ask(struct node *node)
{
    struct reports *reports = node->control->reports;
    uint8_t question[9];
    reports->nonce += 1 + (reports->nonce == 0 ? node->contact.leases.life >> 1 : 0);
    size_t n = report_question_write(reports->nonce, question);
    peers_tell(node->peers, NODE_NONE, FRAME_REPORT, span_of(question, n));
    reporting_asked(&reports->told, replica_me(node->zero->replica), reports->nonce);
    reports->next = 0;
    return reports->nonce;
}

/* Tells group 0's leader, which may be this node, what changed. */
static void tell(struct node *node, node_index leader)
{
    struct reports *reports = node->control->reports;
    node_index me = replica_me(node->zero->replica);
    bool more = leader == me || peers_hears(node->peers, leader); /* else nothing is told */
    for (uint32_t i = 0; more && i < REPORT_FRAMES_PER_TURN; i++) {
        struct report *report = &reports->received;
        more = reporting_compose(node, &reports->told, leader, report);
        if (leader == me) {
            take(node, me, report);
        } else {
            size_t n = report_write(report, reports->frame);
            peers_tell(node->peers, leader, FRAME_REPORT, span_of(reports->frame, n));
        }
    }
    reports->told_version = control_version(node);
    reports->told_at = node->clock;
    reports->told_begun = reports->told.begins ? reports->told_begun : node->leaders.begun;
    reports->next = node->clock + REPORT_INTERVAL;
}

void reports_turn(struct node *node, qr_time now)
{
    struct reports *reports = node->control->reports;
    node_index leader = replica_leader(node->zero->replica);
    qr_time soon = reports->told_at + REPORT_PAUSE;
    if (reports->told_begun != node->leaders.begun && soon < reports->next) {
        reports->next = soon; /* somebody may wait for a leader (control.h) */
    }
    bool due = now >= reports->next || reports->told_version != control_version(node);
    if (due && leader != NODE_NONE) {
        if (replica_leads(node->zero->replica) && reports->told_version != control_version(node)) {
            forget_dropped(node);
        }
        tell(node, leader);
    }
    if (leader != NODE_NONE && reports->next < node->wake) {
        node->wake = reports->next;
    }
}

/* A node that is away is not waited for. */
static bool counts(const struct node *node, node_index i)
{
    return i == replica_me(node->zero->replica) ||
           (peers_connected(node->peers, i) &&
            peers_wire_version(node->peers, i) >= WIRE_VERSION_GROUPS);
}

bool reports_answered(const struct node *node, uint64_t nonce)
{
    const struct reports *reports = node->control->reports;
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        if (counts(node, i) && reports->node[i].answered < nonce) {
            return false;
        }
    }
    return true;
}

bool reports_know_version(const struct node *node, uint64_t version)
{
    const struct reports *reports = node->control->reports;
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        if (counts(node, i) && reports->node[i].version < version) {
            return false;
        }
    }
    return true;
}

/* For whoever has or had that index: its word is not that of the one before, who may be covered. */
static bool knows(const struct node *node, node_index i, uint64_t version)
{
    const struct reports *reports = node->control->reports;
    qr_time at = reports->passed_at[i];
    qr_slot stated;
    (void)replica_applied_roster(node->zero->replica, &stated);
    if (at == 0 && stated > 0) { /* nobody has told this node of what was before its start */
        at = node->started;
    }
    return reports->node[i].version >= version && (at == 0 || node->clock > at + RULES_TIME);
}

/* C4: who is away, also on a connection that is still open, may go by what it was covered for. */
bool reports_all_know(const struct node *node, uint64_t version)
{
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        if (!knows(node, i, version) && contact_may_know_rules(node, i)) {
            return false;
        }
    }
    return replica_leads(node->zero->replica);
}

/* --- What is known --------------------------------------------------------------------------- */

const struct partition_report *reports_of_group(const struct node *node, uint32_t group,
                                                node_index *leader)
{
    const struct group_news *known = find(node->control->reports, group);
    if (known == NULL || known->leader == NODE_NONE || !counts(node, known->leader)) {
        return NULL;
    }
    *leader = known->leader;
    return &known->report;
}

static void note_worst(struct keyspace_use *out, const struct partition_report *r, uint32_t index)
{
    for (uint32_t rest = r->voters | r->others; rest != 0; rest &= rest - 1) {
        node_index i = set_first(rest);
        if (r->lag[i] > out->worst_lag) {
            out->worst_lag = r->lag[i];
            out->worst_partition = index;
            out->worst_node = i;
        }
    }
}

void reports_use(const struct node *node, uint32_t keyspace, struct keyspace_use *out)
{
    const struct reports *reports = node->control->reports;
    const struct map_keyspace *k = map_keyspace(node->map, keyspace);
    *out = (struct keyspace_use){ .worst_node = NODE_NONE };
    for (uint32_t i = 0; k != NULL && i < k->partitions; i++) {
        node_index leader;
        const struct map_partition *part = map_partition_at(node->map, keyspace, i);
        const struct partition_report *r = reports_of_group(node, part->group, &leader);
        if (r == NULL) {
            continue;
        }
        out->partitions++;
        out->keys += r->keys;
        out->bytes += r->bytes;
        out->ops += r->ops;
        out->refused += r->refused;
        out->most_bytes = r->bytes > out->most_bytes ? r->bytes : out->most_bytes;
        note_worst(out, r, i);
    }
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        const struct node_news *n = &reports->node[i];
        bool counted = n->client_counts < REPORT_KEYSPACES_MAX || !counts(node, i);
        for (uint32_t c = 0; counts(node, i) && c < n->client_counts; c++) {
            out->clients += n->clients[c].keyspace == keyspace ? n->clients[c].clients : 0;
            counted = counted || n->clients[c].keyspace == keyspace;
        }
        out->uncounted = out->uncounted || !counted;
    }
}

bool reports_keyspace_is_led(const struct node *node, uint32_t keyspace)
{
    const struct map_keyspace *k = map_keyspace(node->map, keyspace);
    for (uint32_t i = 0; k != NULL && i < k->partitions; i++) {
        node_index leader;
        if (reports_of_group(node, map_partition_at(node->map, keyspace, i)->group, &leader) ==
            NULL) {
            return false; /* it is asked again soon: no look at the others */
        }
    }
    return true;
}

uint32_t reports_level(const struct node *node, node_index index)
{
    return node->control->reports->node[index].level;
}
