/* The model of a disk: writes gather, one sync at a time makes them durable, and a crash decides
 * what becomes of the rest (P5).
 *
 * A process crash keeps what was handed to the kernel (the sync in flight) and may lose a tail of
 * what still stood in the process's own buffers. A power loss loses any subset of what was not
 * synced; recovery cuts the log at the first gap, as the real log does with its synced mark, so
 * that a prefix comes back, its last write perhaps torn. What is damaged later, and what a lost
 * disk means, is in members.c. */
#include "sim/checkers/safety.h"
#include "sim/council.h"

void disk_write_free(struct disk_write *write)
{
    free(write->entries);
    free(write->taken);
    write->entries = NULL;
    write->taken = NULL;
}

/* Lays `count` of the write's entries (all: its state record and truncation too) onto an image. */
static void lay_down(struct image *i, const struct disk_write *write, size_t count)
{
    if (write->state_kind != 0) {
        i->older_kind = i->state_kind;
        i->older_n = i->state_n;
        memcpy(i->older, i->state, sizeof i->older);
        i->state_kind = write->state_kind;
        i->state_n = write->state_n;
        memcpy(i->state, write->state, write->state_n);
    }
    if (write->install.number != 0) {
        image_reset(i, write->install.slot, write->install.term, write->install.chain);
    }
    if (write->anew) {
        image_reset(i, 0, 0, IMAGE_CHAIN);
    } else if (write->takes && write->taken_from > i->base) {
        image_truncate(i, write->taken_from);
    }
    if (write->lo == write->hi) {
        return;
    }
    if (write->lo > i->base) {
        image_truncate(i, write->lo);
    }
    for (size_t k = 0; k < count; k++) {
        qr_slot slot = write->lo + k;
        if (slot > i->base) {
            qr_assert(slot == image_last(i) + 1);
            image_append(i, write->entries[k]);
        }
    }
}

static size_t entries_of(const struct disk_write *write)
{
    return (size_t)(write->hi - write->lo);
}

static void state_landed(struct world *w, struct sim_node *n, const struct disk_write *write)
{
    if (write->state_kind == 0) {
        return;
    }
    n->durable_term = write->term_then;
    n->damaged = false; /* the protocol has written down that it is forgetful, or no more */
    if (n->lost && !write->forgetful_then && write->ticket > n->desk.forgot) {
        safety_recovered(w, n);
    }
}

/* The first `count` writes have reached the disk. */
static void land(struct world *w, struct sim_node *n, size_t count)
{
    for (size_t k = 0; k < count; k++) {
        struct disk_write *write = &n->writes[k];
        if (n->shared != NULL) {
            n->shared->landed = max_u64(n->shared->landed, write->order);
        }
        lay_down(&n->disk, write, entries_of(write));
        state_landed(w, n, write);
        for (size_t i = 0; i < entries_of(write) && n->desk.journal_n > 0; i++) {
            desk_regain(&n->desk, write->lo + i, write->entries[i].term);
        }
        if (write->takes) {
            takeback_landed(n, write);
        }
        if (write->install.slot > n->safe.slot) {
            n->safe = write->install;
        }
        n->synced = write->ticket;
        disk_write_free(write);
    }
    n->write_count -= count;
    if (n->write_count == 0) {
        return;
    }
    memmove(n->writes, n->writes + count, n->write_count * sizeof *n->writes);
}

void disk_persist(struct world *w, struct sim_node *n, struct disk_write *write)
{
    lay_down(&n->log, write, entries_of(write));
    if (n->write_count == n->write_cap) {
        n->write_cap = n->write_cap == 0 ? 16 : n->write_cap * 2;
        n->writes = qr_realloc(n->writes, n->write_cap * sizeof *n->writes);
    }
    write->order = n->shared != NULL ? ++n->shared->next : 0;
    n->writes[n->write_count++] = *write;
    n->minted = write->ticket;
    disk_start_sync(w, n);
}

#define LAZY (700 * QR_MILLISECOND)

/* Of what waits to be synced is something that is told then. */
static bool is_urgent(const struct world *w, const struct sim_node *n)
{
    bool urgent = w->options.everysec == 0;
    for (size_t i = 0; i < n->write_count; i++) {
        const struct disk_write *x = &n->writes[i];
        urgent = urgent || x->state_kind != 0 || x->takes || x->install.number != 0;
    }
    return urgent;
}

void disk_start_sync(struct world *w, struct sim_node *n)
{
    bool urgent = is_urgent(w, n);
    if ((n->syncing && !(n->lazy && urgent)) || n->write_count == 0 || n->slow == 0) {
        return;
    }
    n->syncing = true;
    n->lazy = !urgent;
    n->sync_upto = 0; /* what the sync covers is what stands there when the step has ended */
    n->sync_number++;
    qr_time delay = world_delay(w, w->options.sync_min, w->options.sync_mean) * n->slow;
    delay += n->lazy ? (qr_time)rng_below(&w->rng, LAZY) : 0;
    world_push(w, delay,
               (struct item){ .kind = ITEM_SYNCED,
                              .node = n->index,
                              .incarnation = n->incarnation,
                              .a = (int64_t)n->sync_number });
}

void disk_synced(struct world *w, struct sim_node *n, uint64_t number)
{
    if (!n->syncing || number != n->sync_number) {
        return;
    }
    if (n->slow == 0) { /* a script holds syncs back that had begun */
        n->syncing = false;
        return;
    }
    qr_ticket upto = n->sync_upto != 0 ? n->sync_upto : n->writes[0].ticket;
    size_t count = 0;
    while (count < n->write_count && n->writes[count].ticket <= upto) {
        count++;
    }
    land(w, n, count);
    n->syncing = false;
    disk_start_sync(w, n);
    n->sync_upto = n->minted;
    uint32_t incarnation = n->incarnation;
    if (w->options.release_first != 0) {
        driver_release(w, n, upto);
    }
    if (n->up && n->incarnation == incarnation) {
        struct event e = { .kind = EVENT_DURABLE, .durable = { .upto = upto } };
        node_step(w, n, &e);
    }
    if (n->up && n->incarnation == incarnation) {
        driver_release(w, n, upto);
    }
}

static size_t survivors_of_process(struct world *w, const struct sim_node *n)
{
    size_t handed = w->options.everysec != 0 ? n->write_count : 0;
    while (n->syncing && handed < n->write_count && n->writes[handed].ticket <= n->sync_upto) {
        handed++;
    }
    size_t rest = n->write_count - handed;
    return rest > 0 && world_chance(w, 500) ? handed + rng_below(&w->rng, rest + 1)
                                            : n->write_count;
}

static size_t survivors_of_power(struct world *w, const struct sim_node *n)
{
    uint64_t luck = rng_below(&w->rng, 5) * 250;
    size_t survivors = n->write_count;
    for (size_t k = n->write_count; k-- > 0;) {
        if (!world_chance(w, luck)) {
            survivors = k; /* a gap: recovery keeps nothing behind it */
        }
    }
    return survivors;
}

/* In a log that groups share the cut is the same for all of them. */
static size_t survivors_of_cut(const struct sim_node *n)
{
    size_t survivors = 0;
    while (survivors < n->write_count && n->writes[survivors].order <= n->shared->cut) {
        survivors++;
    }
    return survivors;
}

/* An installed checkpoint has its name before the log is reset: the crash may come in between. */
static void cut_install(struct world *w, struct sim_node *n)
{
    for (size_t k = 0; k < n->write_count; k++) {
        const struct checkpoint *file = &n->writes[k].install;
        if (n->writes[k].takes) {
            return; /* what the checkpoint takes the place of has to be written down first */
        }
        if (file->slot > n->safe.slot && world_chance(w, 500)) {
            n->safe = *file;
            w->counters->installs_cut++;
            return;
        }
    }
}

void disk_crash(struct world *w, struct sim_node *n, bool power)
{
    size_t survivors = n->shared != NULL ? survivors_of_cut(n)
                       : power           ? survivors_of_power(w, n)
                                         : survivors_of_process(w, n);
    w->counters->lost_writes += n->write_count - survivors;
    land(w, n, survivors);
    if (n->write_count > 0 && entries_of(&n->writes[0]) > 0 && n->shared == NULL &&
        world_chance(w, 300)) {
        /* Recovery reads record by record: the state record may stand, and some of the entries. */
        struct disk_write *torn = &n->writes[0];
        size_t keep = rng_below(&w->rng, entries_of(torn));
        lay_down(&n->disk, torn, keep);
        state_landed(w, n, torn);
        w->counters->torn_writes++;
    }
    cut_install(w, n);
    takeback_cut(w, n);
    for (size_t k = 0; k < n->write_count; k++) {
        disk_write_free(&n->writes[k]);
    }
    n->write_count = 0;
    n->syncing = false;
    n->minted = n->synced = 0;
    image_copy(&n->log, &n->disk);
}
