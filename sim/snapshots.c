/* Checkpoints, and how one travels: the target pulls it piece by piece from the node whose file it
 * is, keeps what it has over its own restarts, and goes on where it stood.
 *
 * OFFER tells a node which file there is; READ asks for a piece, DATA brings it, GONE says that the
 * source has the file no more. A file that is read stays for a while, and the log behind it. What
 * has come whole is offered to the protocol, which takes it (INSTALL) or lets it go. */
#include "sim/checkers/safety.h"
#include "sim/council.h"
#include "sim/pasts.h"

#include <inttypes.h>

#define SILENT_MAX 8u /* questions without an answer: the source is gone for now */

/* --- taking them ------------------------------------------------------------------------------ */

static const struct model_value *keep_values(struct world *w, const struct model_value *values)
{
    if (w->file_count == w->file_cap) {
        w->file_cap = w->file_cap == 0 ? 32 : w->file_cap * 2;
        w->files = qr_realloc(w->files, w->file_cap * sizeof *w->files);
    }
    size_t size = (w->options.keys + 1) * sizeof *values;
    struct model_value *copy = qr_alloc(size);
    memcpy(copy, values, size);
    w->files[w->file_count++] = copy;
    return copy;
}

static qr_time file_delay(struct world *w)
{
    return 2 * world_delay(w, w->options.sync_min, w->options.sync_mean);
}

void snapshots_take(struct world *w, struct sim_node *n)
{
    if (n->taking.number != 0 || n->applied <= n->safe.slot || takeback_is_under_way(n)) {
        return;
    }
    struct outlook outlook;
    node_outlook(w, n, &outlook);
    n->taking = (struct checkpoint){ .slot = n->applied,
                                     .term = image_term(&n->log, n->applied),
                                     .commit_term = outlook.term,
                                     .chain = n->applied_chain,
                                     .membership = n->membership,
                                     .epoch = n->epoch,
                                     .roster = n->roster,
                                     .values = keep_values(w, n->values) };
    n->taking.number = w->file_count;
    world_push(w, file_delay(w),
               (struct item){ .kind = ITEM_CHECKPOINT,
                              .node = n->index,
                              .incarnation = n->incarnation,
                              .a = (int64_t)n->taking.number });
}

/* The lowest slot that somebody loads a file of, whose log must stay; 0: nobody does. */
static qr_slot pinned(const struct world *w, const struct sim_node *n)
{
    qr_slot least = 0;
    for (unsigned i = 0; i < KEPT_MAX; i++) {
        const struct kept *k = &n->kept[i];
        if (k->until > w->now && (least == 0 || k->file.slot < least)) {
            least = k->file.slot;
        }
    }
    return least;
}

void snapshots_taken(struct world *w, struct sim_node *n, uint64_t number)
{
    if (n->taking.number != number) {
        return;
    }
    struct checkpoint taken = n->taking;
    n->taking = (struct checkpoint){ 0 };
    if (taken.slot <= n->safe.slot || taken.slot < n->log.base) {
        return; /* an installed one was quicker, and holds more */
    }
    n->safe = taken;
    w->counters->checkpoints++;
    qr_slot last = image_last(&n->log), retain = w->options.retain;
    struct event e = { .kind = EVENT_SNAPSHOT,
                       .snapshot = { .slot = taken.slot, .pin = pinned(w, n) } };
    if (retain != 0 && last > n->log.base + retain) {
        e.snapshot.release = last - retain;
    }
    if (w->release_all) {
        e.snapshot.release = taken.slot;
    }
    node_step(w, n, &e);
}

/* --- the source ------------------------------------------------------------------------------- */

static void say(struct world *w, const struct sim_node *n, node_index to, enum frame_kind kind,
                const struct checkpoint *file, uint64_t piece)
{
    struct frame *f = qr_zalloc(sizeof *f);
    *f = (struct frame){ .from = n->index,
                         .to = to,
                         .from_identity = n->identity,
                         .to_identity = w->nodes[to].identity,
                         .kind = kind,
                         .file = *file,
                         .piece = piece };
    network_send_frame(w, f);
}

void snapshots_wanted(struct world *w, struct sim_node *n, node_index to, qr_slot least)
{
    if (to >= w->node_count || to == n->index) {
        world_violation(w, VIOLATION_CONTRACT, "node %d has a snapshot sent to %d", n->index, to);
    }
    if (n->safe.number != 0 && n->safe.slot >= least) {
        w->counters->offers++;
        say(w, n, to, FRAME_OFFER, &n->safe, 0);
        return;
    }
    w->counters->taken_for += n->taking.number == 0 ? 1 : 0;
    snapshots_take(w, n);
}

static struct kept *keep(struct sim_node *n, const struct checkpoint *file)
{
    struct kept *oldest = &n->kept[0];
    for (unsigned i = 0; i < KEPT_MAX; i++) {
        if (n->kept[i].file.number == file->number) {
            return &n->kept[i];
        }
        oldest = n->kept[i].until < oldest->until ? &n->kept[i] : oldest;
    }
    oldest->file = *file;
    return oldest;
}

static bool has_file(const struct world *w, const struct sim_node *n, uint64_t number)
{
    bool has = n->safe.number == number;
    for (unsigned i = 0; i < KEPT_MAX; i++) {
        has = has || (n->kept[i].file.number == number && n->kept[i].until > w->now);
    }
    return has;
}

static void on_read(struct world *w, struct sim_node *n, const struct frame *f)
{
    if (!has_file(w, n, f->file.number)) {
        say(w, n, f->from, FRAME_GONE, &f->file, 0);
        return;
    }
    keep(n, &f->file)->until = w->now + (qr_time)w->options.pin;
    say(w, n, f->from, FRAME_DATA, &f->file, f->piece);
}

/* --- the target ------------------------------------------------------------------------------- */

static void ask(struct world *w, struct sim_node *n)
{
    struct received *r = &n->received;
    r->asking = true;
    say(w, n, r->source, FRAME_READ, &r->file, r->pieces);
    qr_time patience = 20000 + 4 * (qr_time)(w->options.delay_min + w->options.delay_mean);
    world_push(w, patience,
               (struct item){ .kind = ITEM_FETCH,
                              .node = n->index,
                              .incarnation = n->incarnation,
                              .a = (int64_t)r->file.number,
                              .b = (int64_t)r->pieces });
}

static void go_on(struct world *w, struct sim_node *n)
{
    struct received *r = &n->received;
    r->silent = 0;
    if (r->pieces < w->options.chunks) {
        ask(w, n);
        return;
    }
    r->asking = true;
    world_push(w, file_delay(w),
               (struct item){ .kind = ITEM_OFFER,
                              .node = n->index,
                              .incarnation = n->incarnation,
                              .a = (int64_t)r->file.number });
}

static void tell_resumed(struct world *w, const struct sim_node *n)
{
    w->counters->resumed++;
    world_tell(w, "%d goes on with the checkpoint at %" PRIu64 " of node %d, piece %" PRIu64,
               n->index, n->received.file.slot, n->received.source, n->received.pieces + 1);
}

/* What is on its way from a source that answers is not given up for a newer file. */
static void on_offer(struct world *w, struct sim_node *n, const struct frame *f)
{
    struct received *r = &n->received;
    if (f->file.slot <= n->applied) {
        return;
    }
    bool same = r->file.number == f->file.number;
    if (r->file.number != 0 && r->asking && !same) {
        return;
    }
    if (!same) {
        w->counters->restarted += r->file.number != 0 ? 1 : 0;
        *r = (struct received){ .file = f->file, .source = f->from };
        world_tell(w, "%d loads the checkpoint at %" PRIu64 " of node %d", n->index, f->file.slot,
                   f->from);
    }
    r->source = f->from;
    if (!r->asking) {
        if (r->pieces > 0) {
            tell_resumed(w, n);
        }
        go_on(w, n);
    }
}

static void on_data(struct world *w, struct sim_node *n, const struct frame *f)
{
    struct received *r = &n->received;
    if (r->file.number != f->file.number || r->pieces != f->piece || !r->asking ||
        r->pieces >= w->options.chunks) {
        return;
    }
    r->pieces++;
    go_on(w, n);
}

static void on_gone(struct world *w, struct sim_node *n, const struct frame *f)
{
    if (n->received.file.number == f->file.number && n->received.pieces < w->options.chunks) {
        w->counters->gone++;
        n->received = (struct received){ 0 };
    }
}

void snapshots_frame(struct world *w, struct sim_node *n, const struct frame *f)
{
    if (n->identity != f->to_identity || w->nodes[f->from].identity != f->from_identity) {
        return; /* the connection was another node's */
    }
    switch (f->kind) {
    case FRAME_OFFER:
        on_offer(w, n, f);
        break;
    case FRAME_READ:
        on_read(w, n, f);
        break;
    case FRAME_DATA:
        on_data(w, n, f);
        break;
    case FRAME_GONE:
        on_gone(w, n, f);
        break;
    }
}

void snapshots_silent(struct world *w, struct sim_node *n, uint64_t file, uint64_t pieces)
{
    struct received *r = &n->received;
    if (r->file.number != file || r->pieces != pieces || !r->asking) {
        return;
    }
    if (++r->silent >= SILENT_MAX) {
        r->asking = false; /* until somebody offers again */
        return;
    }
    ask(w, n);
}

void snapshots_resume(struct world *w, struct sim_node *n)
{
    if (n->received.file.number == 0) {
        return;
    }
    if (n->received.file.slot <= n->applied) {
        n->received = (struct received){ 0 };
        return;
    }
    tell_resumed(w, n);
    go_on(w, n);
}

void snapshots_offer(struct world *w, struct sim_node *n, uint64_t file)
{
    if (n->received.file.number != file) {
        return;
    }
    struct received r = n->received;
    struct event e = { .kind = EVENT_OFFER,
                       .offer = { .from = r.source,
                                  .term = r.file.commit_term,
                                  .slot = r.file.slot,
                                  .slot_term = r.file.term,
                                  .membership = r.file.membership } };
    uint32_t incarnation = n->incarnation;
    w->counters->offered++;
    world_tell(w, "%d has loaded the checkpoint at %" PRIu64, n->index, r.file.slot);
    n->offered = r.file;
    node_step(w, n, &e);
    n->offered = (struct checkpoint){ 0 };
    if (n->incarnation == incarnation) {
        n->received = (struct received){ 0 };
    }
}

/* The file takes its name at once, the log is reset in its turn: the disk may know the one without
 * the other when the node dies in between (disk.c). */
void snapshots_install(struct world *w, struct sim_node *n, const struct effect *x)
{
    struct checkpoint file = n->offered;
    if (file.number == 0 || x->install.slot != file.slot || x->install.term != file.term ||
        x->install.ticket != n->minted + 1 || x->after != 0 || file.slot <= n->applied) {
        world_violation(w, VIOLATION_CONTRACT,
                        "node %d installs slot %" PRIu64 ", offered is %" PRIu64, n->index,
                        x->install.slot, file.slot);
    }
    safety_installing(w, n, &file);
    n->offered = (struct checkpoint){ 0 };
    n->received = (struct received){ 0 };
    struct outlook outlook;
    node_outlook(w, n, &outlook);
    struct disk_write write = { .ticket = x->install.ticket,
                                .install = file,
                                .term_then = outlook.term };
    disk_persist(w, n, &write);
    memcpy(n->values, file.values, (w->options.keys + 1) * sizeof *n->values);
    n->applied = file.slot;
    n->applied_chain = file.chain;
    n->membership = file.membership;
    n->epoch = file.epoch;
    n->roster = file.roster;
    n->taking = (struct checkpoint){ 0 };
    pasts_load(w, n);
    w->counters->installs++;
    if (!w->calm && world_chance(w, w->options.strike_installs)) {
        n->restart_within = 100000;
        world_push(w, (qr_time)rng_below(&w->rng, w->options.sync_min + w->options.sync_mean),
                   (struct item){ .kind = ITEM_CRASH,
                                  .node = n->index,
                                  .a = world_chance(w, 500),
                                  .incarnation = n->incarnation });
    }
    requests_skip(w, n);
}
