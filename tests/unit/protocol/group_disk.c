/* The disks of a group: what was written, what is durable. Part of group.c. */
#include "tests/unit/protocol/group.h"

#include <stdlib.h>
#include <string.h>

void *group_zalloc(size_t n)
{
    void *p = calloc(1, n);
    qr_assert(p != NULL);
    return p;
}

static void image_put(struct group_image *image, qr_slot lo, qr_slot hi,
                      const struct group_entry *entries)
{
    qr_assert(lo <= image->last + 1);
    qr_assert(lo > image->base);
    qr_assert(hi <= GROUP_LOG);
    memcpy(&image->entry[lo], entries, (hi - lo) * sizeof entries[0]);
    image->last = hi - 1;
}

static void write_state(struct group_write *w, const struct effect *e)
{
    w->has_state = true;
    w->forgetful = e->persist.state_kind == RAFT_FORGETFUL_STATE;
    if (w->forgetful) {
        const struct raft_forgetful_state *state = e->persist.state;
        w->state = (struct raft_hard_state){ .term = state->term, .vote = NODE_NONE };
    } else {
        qr_assert(e->persist.state_kind == RAFT_HARD_STATE);
        w->state = *(const struct raft_hard_state *)e->persist.state;
    }
}

static void image_state(struct group_image *image, const struct group_write *w)
{
    image->has_state = true;
    image->forgetful = w->forgetful;
    image->state = w->state;
}

/* The entries up to the base are kept as what the state stands for. */
static void image_install(struct group_image *image, const struct group_write *w)
{
    memcpy(image->entry, w->entries, (w->lo + 1) * sizeof w->entries[0]);
    image->base = image->last = w->lo;
    image->base_term = w->term;
    image->commit_term = w->commit_term;
    image->base_members = w->members;
}

void group_fix_snapshot(const struct group *g, node_index from, struct group_snapshot *out)
{
    const struct group_node *node = &g->node[from];
    const struct raft *r = node->raft;
    *out = (struct group_snapshot){ .from = from,
                                    .slot = node->applied,
                                    .slot_term = trail_term(&r->trail, node->applied),
                                    .term = r->term };
    out->membership = r->members.slot <= node->applied ? r->members : r->before;
    memcpy(out->entry, node->log.entry, (out->slot + 1) * sizeof out->entry[0]);
}

void group_disk_install(struct group *g, node_index i, const struct effect *e,
                        const struct event *event)
{
    struct group_node *node = &g->node[i];
    qr_assert(event->kind == EVENT_OFFER);
    qr_assert(e->install.slot == event->offer.slot);
    qr_assert(e->install.term == event->offer.slot_term);
    qr_assert(e->install.slot > node->applied);
    qr_assert(node->write_count < GROUP_WRITES);
    struct group_write *w = &node->write[node->write_count++];
    *w = (struct group_write){ .ticket = e->install.ticket,
                               .install = true,
                               .lo = e->install.slot,
                               .hi = e->install.slot,
                               .term = e->install.term,
                               .commit_term = event->offer.term,
                               .members = event->offer.membership };
    w->entries = group_zalloc((w->lo + 1) * sizeof w->entries[0]);
    memcpy(w->entries, g->offered->entry, (w->lo + 1) * sizeof w->entries[0]);
    image_install(&node->log, w);
    node->applied = e->install.slot;
}

void group_disk_persist(struct group *g, node_index i, const struct effect *e,
                        const struct mail *received)
{
    struct group_node *node = &g->node[i];
    qr_assert(node->write_count < GROUP_WRITES);
    struct group_write *w = &node->write[node->write_count++];
    *w = (struct group_write){ .ticket = e->persist.ticket,
                               .lo = e->persist.lo,
                               .hi = e->persist.hi };
    if (e->persist.state_kind != 0) {
        write_state(w, e);
        image_state(&node->log, w);
    }
    uint32_t count = (uint32_t)(w->hi - w->lo);
    if (count == 0) {
        return;
    }
    w->entries = group_zalloc(count * sizeof w->entries[0]);
    for (uint32_t k = 0; k < count; k++) {
        struct group_entry entry = { .term = e->persist.term };
        if (e->persist.members != NULL) {
            qr_assert(count == 1 && !e->persist.noop && e->persist.req == 0);
            entry.members = *e->persist.members;
        } else if (e->persist.req != 0) {
            entry.req = e->persist.req + k;
        } else if (!e->persist.noop) {
            qr_assert(received != NULL);
            qr_assert(w->lo + k >= received->lo);
            qr_assert(w->lo + k < received->hi);
            entry = received->entries[w->lo + k - received->lo];
            qr_assert(entry.term == e->persist.term);
        }
        w->entries[k] = entry;
    }
    qr_assert(w->lo > node->applied);
    image_put(&node->log, w->lo, w->hi, w->entries);
}

void group_disk_sync(struct group_node *node)
{
    for (uint32_t k = 0; k < node->write_count; k++) {
        struct group_write *w = &node->write[k];
        qr_assert(w->ticket == node->durable + 1);
        node->durable = w->ticket;
        if (w->has_state) {
            image_state(&node->disk, w);
            node->damaged = false; /* the record says it now */
        }
        if (w->install) {
            image_install(&node->disk, w);
        } else if (w->hi > w->lo) {
            image_put(&node->disk, w->lo, w->hi, w->entries);
        }
        free(w->entries);
    }
    node->write_count = 0;
}

void group_disk_forget(struct group_node *node)
{
    for (uint32_t k = 0; k < node->write_count; k++) {
        free(node->write[k].entries);
    }
    node->write_count = 0;
}

void group_disk_append(struct group *g, node_index i, qr_term term, uint32_t count)
{
    struct group_image *disk = &g->node[i].disk;
    for (uint32_t k = 0; k < count; k++) {
        struct group_entry entry = { .term = term };
        image_put(disk, disk->last + 1, disk->last + 2, &entry);
    }
}

void group_disk_trim(struct group *g, node_index i, qr_slot slot)
{
    struct group_image *disk = &g->node[i].disk;
    qr_assert(slot <= disk->last);
    for (qr_slot s = disk->base + 1; s <= slot; s++) {
        if (states_members(&disk->entry[s])) {
            disk->base_members =
                (struct membership_at){ .slot = s, .members = disk->entry[s].members };
        }
    }
    disk->base = slot;
    disk->base_term = disk->entry[slot].term;
}

void group_disk_state(struct group *g, node_index i, qr_term term, node_index vote)
{
    g->node[i].disk.has_state = true;
    g->node[i].disk.state = (struct raft_hard_state){ .term = term, .vote = vote };
}
