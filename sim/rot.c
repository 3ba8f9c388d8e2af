/* Entries that rot on disks, on several nodes at once, while votes, states and all around them stay
 * (docs/repair.md). A node with such holes does not start: it asks whoever is there, which may be
 * repairing itself, and goes by protocol/repair.c. What rots is committed, and somebody has it
 * still, as an entry or in a checkpoint: every node must come back, and none forgets anything. */
#include "sim/checkers/safety.h"

#include "protocol/repair.h"

#include <inttypes.h>

#define RETRY_TIME 100000

static bool is_rotten(const struct sim_node *n, qr_slot slot)
{
    for (unsigned i = 0; i < n->rotten_count; i++) {
        if (n->rotten[i] == slot) {
            return true;
        }
    }
    return false;
}

static void forget_rot(struct sim_node *n, qr_slot lo, qr_slot hi)
{
    qr_slot kept = 0;
    for (unsigned i = 0; i < n->rotten_count; i++) {
        if (n->rotten[i] < lo || n->rotten[i] > hi) {
            n->rotten[kept++] = n->rotten[i];
        }
    }
    n->rotten_count = kept;
}

/* --- rotting ---------------------------------------------------------------------------------- */

static bool somebody_else_has(const struct world *w, uint16_t nodes, const struct sim_node *n,
                              qr_slot slot)
{
    uint64_t chain = w->committed[slot].chain;
    for (node_index i = 0; i < w->node_count; i++) {
        const struct sim_node *p = &w->nodes[i];
        bool has = p != n && p->life == LIFE_NODE && !p->lost && !p->damaged;
        if (has && (nodes & node_bit(i)) != 0 &&
            (p->safe.slot >= slot ||
             (slot > p->disk.base && slot <= image_last(&p->disk) &&
              image_chain(&p->disk, slot) == chain && !is_rotten(p, slot)))) {
            return true;
        }
    }
    return false;
}

/* Its term follows from its neighbours, which stay: else it might have to wait for ever. */
static bool may_rot(const struct world *w, const struct sim_node *n, qr_slot slot)
{
    const struct image *disk = &n->disk;
    if (slot <= max_u64(disk->base, n->safe.slot) || slot >= image_last(disk) ||
        slot >= w->committed_count || image_chain(disk, slot) != w->committed[slot].chain) {
        return false;
    }
    qr_term term = image_term(disk, slot);
    return image_term(disk, slot - 1) == term && image_term(disk, slot + 1) == term &&
           !is_rotten(n, slot - 1) && !is_rotten(n, slot) && !is_rotten(n, slot + 1) &&
           somebody_else_has(w, UINT16_MAX, n, slot);
}

bool rot_strike(struct world *w, uint16_t nodes, uint64_t entries)
{
    bool any = false;
    qr_slot first = 0;
    for (node_index i = 0; i < w->node_count; i++) {
        struct sim_node *n = &w->nodes[i];
        if ((nodes >> i & 1) == 0 || n->life != LIFE_NODE || n->lost || n->damaged) {
            continue;
        }
        node_crash(w, n, rng_chance(&w->rng, 1, 2));
        uint64_t behind = image_last(&n->disk) - n->disk.base + 1;
        for (uint64_t k = 0; k < entries && n->rotten_count < ROTTEN_MAX; k++) {
            qr_slot slot = n->disk.base + rng_below(&w->rng, behind);
            slot = k == 0 && first != 0 ? first : slot; /* one that others lack as well */
            if (may_rot(w, n, slot)) {
                n->rotten[n->rotten_count++] = slot;
                first = first == 0 ? slot : first;
                any = true;
                world_tell(w, "%d has lost entry %" PRIu64, i, slot);
            }
        }
        w->counters->rotten += n->rotten_count > 0;
    }
    return any;
}

/* Whoever could have given an entry may be gone for good by now. Then a node waits for ever, as it
 * should: an operator restores its disk. */
void rot_restore(struct world *w, uint16_t core)
{
    for (node_index i = 0; i < w->node_count; i++) {
        struct sim_node *n = &w->nodes[i];
        unsigned k = 0;
        while (k < n->rotten_count) {
            qr_slot slot = n->rotten[k];
            if (somebody_else_has(w, core, n, slot)) {
                k++;
            } else {
                world_tell(w, "%d gets back entry %" PRIu64, i, slot);
                forget_rot(n, slot, slot);
            }
        }
    }
}

/* --- repairing -------------------------------------------------------------------------------- */

struct log_seen {
    struct repair_log log;
    struct repair_hole holes[ROTTEN_MAX];
    struct term_run *runs;
};

static uint32_t holes_of(const struct sim_node *n, struct repair_hole *out)
{
    uint32_t count = 0;
    for (qr_slot slot = n->disk.base + 1; slot <= image_last(&n->disk); slot++) {
        if (is_rotten(n, slot)) {
            qr_term term = image_term(&n->disk, slot);
            out[count++] = (struct repair_hole){
                .lo = slot, .hi = slot, .term = term, .next_term = image_term(&n->disk, slot + 1)
            };
        }
    }
    return count;
}

static void log_seen_of(const struct sim_node *n, struct log_seen *v)
{
    const struct image *i = n->up ? &n->log : &n->disk;
    v->runs = qr_alloc((i->n + 1) * sizeof *v->runs);
    for (size_t k = 0; k < i->n; k++) {
        v->runs[k] = (struct term_run){ .slot = i->base + k + 1, .term = i->v[k].term };
    }
    v->log = (struct repair_log){ .base_slot = i->base,
                                  .base_term = i->base_term,
                                  .last_slot = image_last(i),
                                  .runs = v->runs,
                                  .run_count = (uint32_t)i->n,
                                  .holes = v->holes,
                                  .hole_count = n->rotten_count > 0 ? holes_of(n, v->holes) : 0,
                                  .forgetful = n->lost || n->damaged };
}

/* It runs, or repairs itself, and can be talked to. */
static bool answers(const struct world *w, const struct sim_node *n, const struct sim_node *p)
{
    return p != n && p->life == LIFE_NODE && (p->up || p->rotten_count > 0) && !p->paused &&
           !w->cut[n->index][p->index] && !w->cut[p->index][n->index];
}

static void ask(struct world *w, struct sim_node *n, struct repair *r, const struct sim_node *p)
{
    struct log_seen v;
    struct repair_hole holes[ROTTEN_MAX];
    log_seen_of(p, &v);
    uint32_t count = holes_of(n, holes);
    const struct image *theirs = p->up ? &p->log : &p->disk;
    for (uint32_t i = 0; i < count; i++) {
        qr_slot lo, hi;
        enum repair_answer answer = repair_judge(&v.log, &holes[i]);
        if (answer == REPAIR_HAS && repair_held(&v.log, &holes[i], holes[i].lo, &lo, &hi)) {
            if (image_chain(theirs, lo) != image_chain(&n->disk, lo)) {
                world_violation(w, VIOLATION_CONTRACT,
                                "node %d takes entry %" PRIu64 " of node %d, which is another one",
                                n->index, lo, p->index);
            }
            forget_rot(n, lo, hi);
            w->counters->patched++;
        } else {
            repair_answered(r, p->index, &holes[i], answer, w->now);
        }
    }
    free(v.runs);
    count = holes_of(n, holes);
    repair_look(r, holes, count);
}

/* A checkpoint takes the place of the log up to its slot: H3. */
static void install(struct world *w, struct sim_node *n, const struct repair *r,
                    const struct checkpoint *file)
{
    struct log_seen v;
    log_seen_of(n, &v);
    enum repair_fit fit = repair_fits(r, &v.log, file->slot, file->term);
    free(v.runs);
    if (fit == REPAIR_UNFIT) {
        return;
    }
    bool same = file->slot <= image_last(&n->disk) && file->slot > n->disk.base &&
                image_chain(&n->disk, file->slot) == file->chain;
    if (same != (fit == REPAIR_KEEP) && file->slot < image_last(&n->disk)) {
        world_violation(w, VIOLATION_CONTRACT,
                        "node %d takes the checkpoint at %" PRIu64 " for one that %s its log",
                        n->index, file->slot, same ? "contradicts" : "fits");
    }
    if (fit == REPAIR_KEEP) {
        image_trim(&n->disk, file->slot, file->term, file->chain);
    } else {
        image_reset(&n->disk, file->slot, file->term, file->chain);
    }
    world_tell(w, "%d is repaired by the checkpoint at %" PRIu64, n->index, file->slot);
    n->safe = *file;
    forget_rot(n, 0, file->slot);
    w->counters->covered++;
}

bool rot_is_healed(struct world *w, struct sim_node *n)
{
    struct repair r;
    struct repair_hole holes[ROTTEN_MAX];
    if (n->rotten_count == 0) {
        return true;
    }
    repair_init(&r, n->index, members_decided(w));
    repair_look(&r, holes, holes_of(n, holes));
    for (node_index i = 0; i < w->node_count && n->rotten_count > 0; i++) {
        if (answers(w, n, &w->nodes[i])) {
            ask(w, n, &r, &w->nodes[i]);
        }
    }
    for (node_index i = 0; i < w->node_count && n->rotten_count > 0; i++) {
        const struct checkpoint *file = &w->nodes[i].safe;
        if (answers(w, n, &w->nodes[i]) && r.count > 0 && file->number != 0 &&
            (r.question[0].trimmed >> i & 1) != 0) {
            install(w, n, &r, file);
            repair_look(&r, holes, holes_of(n, holes));
        }
    }
    if (n->rotten_count > 0) {
        world_push(w, RETRY_TIME, (struct item){ .kind = ITEM_RESTART, .node = n->index });
    }
    return n->rotten_count == 0;
}
