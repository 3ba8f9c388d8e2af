/* A snapshot takes the place of state and log: see EFFECT_INSTALL in protocol.h.
 *
 * The order is what a crash in between is survived by: the file gets the checkpoint's name,
 * durably; then the log is emptied, by a record that the effect's ticket waits for. A start in
 * between finds a checkpoint that says it was installed beside a log that knows nothing of it, and
 * believes the checkpoint (replica_new.c). */
#include "node/replica_internal.h"

#include "node/checkpoint.h"
#include "node/keeper.h"
#include "node/regain.h"
#include "node/run.h"
#include "node/snapshot_fetch.h"

#include <stdio.h>
#include <string.h>

static void free_engine(void *context)
{
    engine_free(context);
}

/* Whatever points to the state finds the new one through the partition. */
static void swap_engines(struct partition *partition, struct engine *engine)
{
    struct engine *old = partition->engine;
    partition->engine = engine;
    engine_leave(old);
    io_aside(partition->node->io, free_engine, old); /* millions of items */
}

/* The snapshot's file becomes the checkpoint, its state the state; what is behind its slot is
 * applied from the log. NULL when the disk failed: the node stops. */
static const struct checkpoint_header *take_state(struct replica *r)
{
    struct node *node = r->node;
    struct engine *engine;
    const struct checkpoint_header *header;
    int error = fetch_install(r->partition->fetch, &engine, &header);
    if (error != 0) {
        char why[256];
        (void)snprintf(why, sizeof why, "a snapshot cannot take the checkpoint's place: %s",
                       strerror(-error));
        engine_free(engine);
        node_fail(node, why);
        return NULL;
    }
    swap_engines(r->partition, engine);
    r->digest_period = replica_digest_period(r);
    r->applied = header->slot;
    r->applied_term = header->term;
    if (r->logical) {
        execute_reset(r, header->slot, header->term);
    }
    return header;
}

static qr_term term_at(const struct log_group *group, qr_slot slot)
{
    qr_term found = group->base_term;
    for (uint32_t i = 0; i < group->run_count && group->runs[i].slot <= slot; i++) {
        found = group->runs[i].term;
    }
    return found;
}

bool replica_log_holds(const struct log_group *group, qr_slot slot, qr_term term)
{
    return slot >= group->base_slot && slot <= group->last_slot && term_at(group, slot) == term;
}

qr_term replica_log_term(const struct replica *r, qr_slot slot)
{
    struct log_group group;
    bool known = log_group_state(r->node->log, r->group, &group);
    bool held = known && slot >= group.base_slot && slot <= group.last_slot;
    return held ? term_at(&group, slot) : 0;
}

/* What is dropped is not durable any more; what the snapshot holds is. */
static void empty_log(struct replica *r, qr_slot slot, qr_term term)
{
    log_reset(r->node->log, r->group, slot, term);
    r->durable_last = slot;
    r->trails = false;
    for (uint32_t i = 0; i < r->marks_count; i++) {
        r->marks[(r->marks_first + i) % r->marks_cap].last = slot;
    }
}

void replica_perform_install(struct replica *r, const struct effect *e)
{
    struct node *node = r->node;
    qr_assert(r->offered != NULL);
    qr_assert(e->install.slot > r->applied); /* D2: state never goes back */
    const struct checkpoint_header *header = take_state(r);
    if (header == NULL) {
        return;
    }
    qr_assert(header->slot == e->install.slot && header->term == e->install.term);
    r->apply_to = e->install.slot;
    r->lease_until = 0;
    empty_log(r, e->install.slot, e->install.term);
    if (r->logical) {
        execute_logged(r);
    }
    (void)io_failpoint(node->io, FAIL_INSTALL_RESET);
    replica_roster_installed(r, r->offered, header->roster_slot);
    keeper_installed(r->partition->keeper, header);
    replica_mark_ticket(r, e->install.ticket, false);
    replica_flights_lost(r, e->install.slot);
    regain_logged(r, 1);
    (void)io_failpoint(node->io, FAIL_INSTALLED);
}

bool replica_reinstall(struct replica *r, const struct checkpoint_header *header,
                       const struct roster *roster)
{
    struct node *node = r->node;
    struct log_group group = { 0 };
    qr_assert(r->frozen);
    bool known = log_group_state(node->log, r->group, &group);
    if (!known || header->slot > r->apply_to || header->slot < r->applied ||
        !replica_log_holds(&group, header->slot, header->term)) {
        return false;
    }
    qr_assert(header->slot >= keeper_slot(r->partition->keeper));
    const struct checkpoint_header *installed = take_state(r);
    if (installed == NULL) {
        return false;
    }
    qr_assert(installed->slot == header->slot && installed->term == header->term);
    memcpy(r->applied_roster, roster, replica_roster_bytes(r)); /* of a group it names no nodes */
    r->applied_roster_slot = header->roster_slot;
    keeper_installed(r->partition->keeper, installed);
    replica_flights_lost(r, header->slot); /* their replies are the other node's */
    return true;
}

bool replica_install_repaired(struct replica *r, const struct checkpoint_header *header,
                              const struct roster *roster, bool keep, struct replica_base *base)
{
    struct node *node = r->node;
    qr_assert(!r->started);
    const struct checkpoint_header *installed = take_state(r);
    if (installed == NULL) {
        return false;
    }
    r->apply_to = header->slot;
    *base = (struct replica_base){ .slot = header->slot,
                                   .term = header->term,
                                   .roster = *roster,
                                   .roster_slot = header->roster_slot,
                                   .commit_term = header->commit_term,
                                   .forgetful = base->forgetful,
                                   .installed = true };
    if (keep) {
        log_trim(node->log, r->group, header->slot, header->term);
    } else {
        log_reset(node->log, r->group, header->slot, header->term);
    }
    (void)io_failpoint(node->io, FAIL_INSTALL_RESET);
    keeper_installed(r->partition->keeper, installed);
    char message[600]; /* a roster that cannot be read is told by the start */
    (void)replica_rosters_load(r, base, message, sizeof message);
    (void)io_failpoint(node->io, FAIL_INSTALLED);
    return true;
}

void replica_offer(struct replica *r, node_index from, const struct checkpoint_header *header,
                   const struct roster *roster)
{
    struct event event = { .kind = EVENT_OFFER };
    event.offer.from = from;
    event.offer.term = header->commit_term;
    event.offer.slot = header->slot;
    event.offer.slot_term = header->term;
    event.offer.membership = (struct membership_at){ header->roster_slot, roster->members };
    r->offered = roster;
    replica_step(r, &event);
    r->offered = NULL;
}
