/* See metrics.h. The page is the rows of metrics.def, one after the other. */
#include "node/metrics_internal.h"

#include "base/alloc.h"
#include "cluster/map.h"
#include "node/keeper.h"
#include "node/local_internal.h"
#include "node/peers.h"
#include "node/quarantine.h"
#include "node/replica.h"
#include "node/router.h"
#include "protocol/quorum.h"

#include <unistd.h>

#define ONE(name, type, help, expression)                  \
    static double value_of_##name(const struct sources *s) \
    {                                                      \
        (void)s;                                           \
        return (double)(expression);                       \
    }
#define MANY(...)
#include "node/metrics.def"
#undef ONE
#undef MANY

static const struct metric_row rows[] = {
#define ONE(name, type, help, expression) { #name, #type, help, value_of_##name, NULL },
#define MANY(name, type, labels, help, writer) { #name, #type, help, NULL, writer },
#include "node/metrics.def"
#undef ONE
#undef MANY
};

static void gather_consensus(struct sources *s, const struct node *node)
{
    s->ready = local_outlook(node, &s->outlook);
    if (s->outlook.leader != NODE_NONE) {
        s->leader_id = local_member(node, s->outlook.leader)->id;
    }
    if (s->ready) {
        s->applied = replica_applied(node->zero->replica);
        s->raft_log_bytes = replica_log_bytes(node->zero->replica);
    }
    for (uint32_t i = 0; i < MEMBERS_MAX && s->outlook.role == ROLE_LEADER; i++) {
        s->followers += local_is_follower(node, i);
    }
    if (node->router != NULL) {
        s->waiting = router_waiting(node->router);
        s->forwarded = router_forwarded(node->router);
    }
}

static void gather(struct sources *s, const struct node *node)
{
    s->node = node;
    s->stats = &node->stats;
    s->measure = node->measure;
    s->uptime_s = (double)((io_now(node->io) - node->started) / QR_SECOND);
    qr_wall saved = s->measure->checkpoint.ended;
    s->last_save_s = (double)((saved != 0 ? saved : node->started_wall) / QR_SECOND);
    if (node->log != NULL) {
        log_stats(node->log, &s->log);
        s->space_low = log_space(node->log) == LOG_SPACE_LOW;
    }
    if (node->zero->keeper != NULL) {
        s->checkpoint_slot = keeper_slot(node->zero->keeper);
    }
    transfers_gave(node, &s->source);
    transfers_took(node, &s->fetch);
    facts_memory(node, &s->memory);
    facts_cpu(&s->cpu);
    gather_consensus(s, node);
    journals_stats(node, &s->discards);
}

struct metrics *metrics_begin(struct node *node)
{
    struct metrics *page = qr_zalloc(sizeof *page);
    reply_init(&page->out, 2);
    gather(&page->sources, node);
    return page;
}

void metrics_free(struct metrics *page)
{
    reply_free(&page->out);
    free(page);
}

bool metrics_step(struct metrics *page, qr_time budget)
{
    struct io *io = page->sources.node->io;
    page->until = io_now(io) + budget;
    while (page->row < ARRAY_COUNT(rows)) {
        const struct metric_row *row = &rows[page->row];
        if (page->item == 0) {
            metric_head(&page->out, row);
        }
        if (row->value != NULL) {
            metric_sample(&page->out, row->name, "", NO_LABELS, row->value(&page->sources));
        } else {
            row->write(page, row);
        }
        page->row += page->item == 0 ? 1 : 0;
        if (io_now(io) >= page->until) {
            break;
        }
    }
    return page->row == ARRAY_COUNT(rows);
}

struct span metrics_text(const struct metrics *page)
{
    return span_of(page->out.p, page->out.n);
}
