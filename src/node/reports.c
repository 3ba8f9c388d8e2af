/* What group 0's leader has heard of nodes and partitions, and when this node tells it. */
#include "node/control_internal.h"

#include "base/alloc.h"
#include "node/peers.h"
#include "node/replica.h"
#include "node/reporting.h"
#include "node/run.h"
#include "protocol/quorum.h"

#include <stdlib.h>
#include <string.h>

#define REPORT_INTERVAL (200 * QR_MILLISECOND)
#define REPORT_FRAMES_PER_TURN 4u /* the rest of what changed goes with the next ones */

/* What was heard of a group. */
struct group_news {
    struct partition_report report;
    node_index leader;
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
    qr_time next;
    uint64_t told_version;

    uint64_t nonce; /* of the latest question */
    struct node_news node[MEMBERS_MAX];
    struct group_news *groups; /* in order of group */
    uint32_t count, cap;
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
    reporting_free(&reports->told);
    free(reports->groups);
    free(reports);
}

/* --- What is heard --------------------------------------------------------------------------- */

/* Where the group is among those that are known, or would be. */
static uint32_t news_place(const struct reports *reports, uint32_t group)
{
    uint32_t low = 0;
    uint32_t high = reports->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (reports->groups[middle].report.group < group) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static struct group_news *find(const struct reports *reports, uint32_t group)
{
    uint32_t at = news_place(reports, group);
    bool known = at < reports->count && reports->groups[at].report.group == group;
    return known ? &reports->groups[at] : NULL;
}

static void forget(struct reports *reports, uint32_t at)
{
    reports->count--;
    memmove(reports->groups + at, reports->groups + at + 1,
            (reports->count - at) * sizeof *reports->groups);
}

static void insert(struct reports *reports, node_index from, const struct partition_report *r)
{
    uint32_t at = news_place(reports, r->group);
    if (reports->count == reports->cap) {
        reports->cap = reports->cap * 2 + 16;
        reports->groups = qr_realloc(reports->groups, reports->cap * sizeof *reports->groups);
    }
    memmove(reports->groups + at + 1, reports->groups + at,
            (reports->count - at) * sizeof *reports->groups);
    reports->groups[at] = (struct group_news){ .report = *r, .leader = from };
    reports->count++;
}

/* A term of 0 says that the sender leads the group no more. */
static void take_partition(struct node *node, node_index from, const struct partition_report *r)
{
    struct reports *reports = node->control->reports;
    struct group_news *known = find(reports, r->group);
    if (map_partition(node->map, r->group) == NULL) {
        return; /* dropped, or not known here yet: it is told again */
    }
    if (known == NULL || known->report.epoch != r->epoch) {
        node->control->planner.next = 0;
    }
    if (known == NULL && r->term != 0) {
        insert(reports, from, r);
    } else if (known != NULL && r->term == 0 && known->leader == from) {
        forget(reports, (uint32_t)(known - reports->groups));
    } else if (known != NULL && r->term >= known->report.term) {
        *known = (struct group_news){ .report = *r, .leader = from };
    }
}

/* What a node led, it leads no more. */
static void forget_node(struct reports *reports, node_index from)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < reports->count; i++) {
        if (reports->groups[i].leader != from) {
            reports->groups[kept++] = reports->groups[i];
        }
    }
    reports->count = kept;
    reports->node[from] = (struct node_news){ .answered = 0 };
}

/* Groups that are in the map no more. */
static void forget_dropped(struct node *node)
{
    struct reports *reports = node->control->reports;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < reports->count; i++) {
        if (map_partition(node->map, reports->groups[i].report.group) != NULL) {
            reports->groups[kept++] = reports->groups[i];
        }
    }
    reports->count = kept;
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
    n->answered = report->nonce > n->answered ? report->nonce : n->answered;
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

/* --- What is asked and told ------------------------------------------------------------------ */

uint64_t reports_ask(struct node *node)
{
    struct reports *reports = node->control->reports;
    uint8_t question[9];
    reports->nonce++;
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
    bool more = true;
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
    reports->next = node->clock + REPORT_INTERVAL;
}

void reports_turn(struct node *node, qr_time now)
{
    struct reports *reports = node->control->reports;
    node_index leader = replica_leader(node->zero->replica);
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

/* --- What is known --------------------------------------------------------------------------- */

const struct partition_report *reports_of_group(const struct node *node, uint32_t group,
                                                node_index *leader)
{
    const struct group_news *known = find(node->control->reports, group);
    if (known == NULL || !counts(node, known->leader)) {
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
        for (uint32_t c = 0; counts(node, i) && c < n->client_counts; c++) {
            out->clients += n->clients[c].keyspace == keyspace ? n->clients[c].clients : 0;
        }
    }
}

bool reports_keyspace_is_led(const struct node *node, uint32_t keyspace)
{
    struct keyspace_use use;
    const struct map_keyspace *k = map_keyspace(node->map, keyspace);
    reports_use(node, keyspace, &use);
    return k == NULL || use.partitions == k->partitions;
}

uint32_t reports_level(const struct node *node, node_index index)
{
    return node->control->reports->node[index].level;
}
