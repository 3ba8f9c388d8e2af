/* What others ask is answered from the own log, at any time: see repair.h. An answer costs no more
 * than it brings: of the log's index only what the question is about is looked at. */
#include "node/repair.h"

#include "base/alloc.h"
#include "node/node.h"
#include "node/peers.h"

#include <string.h>

static struct repair_hole hole_from(const struct log_hole *h)
{
    return (
        struct repair_hole){ .lo = h->lo, .hi = h->hi, .term = h->term, .next_term = h->next_term };
}

uint32_t repair_own_holes(struct partition *partition, struct repair_hole *out)
{
    struct node *node = partition->node;
    struct log_hole holes[REPAIR_QUESTIONS_MAX];
    uint32_t n = log_holes(node->log, partition->group, holes, REPAIR_QUESTIONS_MAX);
    for (uint32_t i = 0; i < n; i++) {
        out[i] = hole_from(&holes[i]);
    }
    return n;
}

void repair_view(struct partition *partition, qr_slot lo, qr_slot hi, struct repair_view *out)
{
    struct node *node = partition->node;
    struct log_group group = { 0 };
    struct outlook outlook = { 0 };
    struct log_hole holes[REPAIR_VIEW_HOLES];
    (void)log_group_state(node->log, partition->group, &group);
    if (partition->replica != NULL) {
        replica_outlook(partition->replica, &outlook);
    }
    uint32_t n = log_holes_in(node->log, partition->group, lo, hi, holes, REPAIR_VIEW_HOLES);
    for (uint32_t i = 0; i < n; i++) {
        out->holes[i] = hole_from(&holes[i]);
    }
    if (n == REPAIR_VIEW_HOLES) { /* of what is behind nothing is said */
        out->holes[n - 1].hi = UINT64_MAX;
        out->holes[n - 1].term = out->holes[n - 1].next_term = 0;
    }
    out->log = (struct repair_log){ .base_slot = group.base_slot,
                                    .base_term = group.base_term,
                                    .last_slot = group.last_slot,
                                    .runs = group.runs,
                                    .run_count = group.run_count,
                                    .holes = out->holes,
                                    .hole_count = n,
                                    .forgetful = partition->lost || outlook.forgetful,
                                    .repairs = partition->repairer != NULL,
                                    .state_lost = repairer_lost_state(partition->repairer) };
}

enum repair_fit repair_own_fit(struct partition *partition, const struct repair *r, qr_slot slot,
                               qr_term term)
{
    struct repair_view view;
    repair_view(partition, slot, slot, &view);
    return repair_fits(r, &view.log, slot, term);
}

static void view_for(struct partition *partition, const struct repair_hole *asked,
                     struct repair_view *out)
{
    repair_view(partition, asked->lo, asked->hi + 1, out);
}

/* Reads of [lo, hi] what goes into the answer of *n bytes so far; false when that was the last. */
static bool add_records(struct partition *partition, qr_slot lo, qr_slot hi, uint8_t **records,
                        size_t *n)
{
    struct node *node = partition->node;
    struct span some;
    size_t room = REPAIR_REPLY_BYTES_MAX - *n;
    int64_t count = log_read(node->log, partition->group, lo, hi + 1, room, &some);
    if (count <= 0 || (*n > 0 && some.n > room)) {
        return false; /* damaged since the start, or enough for one answer */
    }
    *records = qr_realloc(*records, *n + some.n);
    memcpy(*records + *n, some.p, some.n);
    *n += some.n;
    return (qr_slot)count == hi - lo + 1 && *n < REPAIR_REPLY_BYTES_MAX;
}

/* Sends the records of the hole that are in the log, as many as go into one frame. */
static bool send_records(struct partition *partition, node_index to,
                         const struct repair_hole *asked)
{
    struct node *node = partition->node;
    uint8_t head[REPAIR_HEAD_BYTES_MAX];
    uint8_t *records = NULL;
    size_t n = 0;
    qr_slot hi = asked->lo - 1;
    for (bool more = true; more && hi < asked->hi;) {
        struct repair_view view;
        qr_slot lo;
        view_for(partition, asked, &view); /* anew: it does not outlive a read */
        more = repair_held(&view.log, asked, hi + 1, &lo, &hi) &&
               add_records(partition, lo, hi, &records, &n);
    }
    if (n > 0) {
        size_t head_n = repair_reply_write(asked, REPAIR_HAS, head);
        (void)peers_send_bulk_group(node->peers, to, partition->group, FRAME_REPAIR_REPLY,
                                    span_of(head, head_n), span_of(records, n));
    }
    free(records);
    return n > 0;
}

void repair_on_ask(struct partition *partition, node_index from, const struct repair_hole *asked)
{
    struct node *node = partition->node;
    uint8_t head[REPAIR_HEAD_BYTES_MAX];
    struct repair_view view;
    view_for(partition, asked, &view);
    enum repair_answer answer = repair_judge(&view.log, asked);
    if (answer == REPAIR_HAS && !peers_bulk_room(node->peers, from)) {
        return; /* it asks again */
    }
    if (answer == REPAIR_HAS && !send_records(partition, from, asked)) {
        answer = REPAIR_UNKNOWN;
    }
    if (answer != REPAIR_HAS) {
        size_t n = repair_reply_write(asked, answer, head);
        peers_tell_group(node->peers, from, partition->group, FRAME_REPAIR_REPLY, span_of(head, n));
    }
}
