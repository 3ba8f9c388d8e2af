/* The disks of a group: what was written, what is durable. Part of primary_group.c. */
#include "tests/unit/protocol/primary_group.h"

#include <stdlib.h>
#include <string.h>

static void wrote(struct flock_node *node, qr_ticket ticket)
{
    qr_assert(ticket == node->minted + 1);
    qr_assert(ticket - node->durable < FLOCK_WRITES);
    node->minted = ticket;
    struct flock_log **write = &node->write[ticket % FLOCK_WRITES];
    *write = malloc(sizeof **write);
    **write = node->log;
}

void flock_disk_persist(struct flock *f, node_index i, const struct effect *e,
                        const struct flock_mail *received)
{
    struct flock_node *node = &f->node[i];
    struct flock_log *log = &node->log;
    if (e->persist.state_kind == PRIMARY_STATE) {
        const struct primary_state *state = e->persist.state;
        log->term = state->term;
        log->led = state->led;
        log->local = state->local;
        log->floor = state->floor;
        log->own = state->own;
    } else if (e->persist.state_kind == PRIMARY_FORGETFUL_STATE) {
        const struct primary_forgetful_state *state = e->persist.state;
        log->term = state->term;
        log->led = state->led;
        log->local = state->local;
        log->floor = state->floor;
        log->own = state->own;
    }
    if (e->persist.state_kind != 0) {
        log->has_state = true;
        log->forgetful = e->persist.state_kind == PRIMARY_FORGETFUL_STATE;
    }
    for (qr_slot s = e->persist.lo; s < e->persist.hi; s++) {
        qr_assert(s == log->last + 1 && s < FLOCK_LOG);
        struct flock_entry entry = { .term = e->persist.term };
        if (e->persist.req != 0) {
            entry.req = e->persist.req + (s - e->persist.lo);
        } else if (!e->persist.noop) {
            qr_assert(received != NULL && s >= received->lo && s < received->hi);
            entry = received->entries[s - received->lo];
            qr_assert(entry.term == e->persist.term);
        }
        log->entry[s] = entry;
        log->last = s;
    }
    wrote(node, e->persist.ticket);
}

void flock_disk_rollback(struct flock_node *node, const struct effect *e)
{
    struct flock_log *log = &node->log;
    qr_assert(e->rollback.last == log->last);
    qr_assert(e->rollback.anew || e->rollback.slot >= log->base);
    for (qr_slot s = e->rollback.slot + 1; s <= log->last; s++) {
        qr_assert(node->discards < ARRAY_COUNT(node->discard));
        node->blind += s <= log->base; /* no log holds it: it is counted */
        node->discard[node->discards++] = log->entry[s];
    }
    node->applied = min_u64(node->applied, e->rollback.slot);
    log->last = e->rollback.slot;
    if (e->rollback.anew) {
        node->applied = log->last = log->base = 0;
        log->base_term = 0;
    }
    wrote(node, e->rollback.ticket);
}

void flock_disk_install(struct flock *f, struct flock_node *node, const struct effect *e)
{
    qr_assert(f->offered != NULL && e->install.slot > node->applied);
    struct flock_log *log = &node->log;
    memcpy(log->entry, f->offered->entry, sizeof log->entry);
    log->base = log->last = node->applied = e->install.slot;
    log->base_term = e->install.term;
    wrote(node, e->install.ticket);
}

void flock_disk_sync(struct flock_node *node)
{
    while (node->durable < node->minted) {
        struct flock_log **write = &node->write[++node->durable % FLOCK_WRITES];
        node->disk = **write;
        free(*write);
        *write = NULL;
        node->damaged = false; /* the first record of a life says it now */
    }
}
