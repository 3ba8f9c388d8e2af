/* What a node takes back (EFFECT_ROLLBACK), and the discard journal that names it. */
#include "sim/checkers/safety.h"
#include "sim/council.h"
#include "sim/pasts.h"

#include <inttypes.h>

/* --- the journal ------------------------------------------------------------------------------ */

void desk_note(struct desk *desk, const struct taken *taken)
{
    for (size_t i = 0; i < desk->journal_n; i++) {
        const struct taken *t = &desk->journal[i];
        if (t->slot == taken->slot && t->term == taken->term && t->given == taken->given &&
            (!t->given || t->lost_to == taken->lost_to)) {
            return;
        }
    }
    if (desk->journal_n == desk->journal_cap) {
        desk->journal_cap = desk->journal_cap == 0 ? 16 : desk->journal_cap * 2;
        desk->journal = qr_realloc(desk->journal, desk->journal_cap * sizeof *desk->journal);
    }
    desk->journal[desk->journal_n++] = *taken;
}

void desk_regain(struct desk *desk, qr_slot slot, qr_term term)
{
    for (size_t i = 0; i < desk->journal_n; i++) {
        const struct taken *t = &desk->journal[i];
        if (t->slot == slot && t->term == term && !t->given) {
            desk->journal[i] = desk->journal[--desk->journal_n];
            return;
        }
    }
}

bool desk_again(struct desk *desk, qr_term since, struct taken *out)
{
    for (size_t i = 0; i < desk->journal_n; i++) {
        if (desk->journal[i].given && desk->journal[i].lost_to > since) {
            *out = desk->journal[i];
            desk->journal[i] = desk->journal[--desk->journal_n];
            return true;
        }
    }
    return false;
}

bool desk_names(const struct desk *desk, uint32_t attempt)
{
    for (size_t i = 0; i < desk->journal_n; i++) {
        if (desk->journal[i].attempt == attempt) {
            return true;
        }
    }
    return false;
}

void desk_free(struct desk *desk)
{
    free(desk->journal);
}

static void note_all(struct sim_node *n, const struct disk_write *write)
{
    for (size_t i = 0; i < write->taken_n; i++) {
        desk_note(&n->desk, &write->taken[i]);
    }
}

void takeback_landed(struct sim_node *n, const struct disk_write *write)
{
    note_all(n, write);
    if (write->anew) {
        n->safe = (struct checkpoint){ 0 };
        n->desk.emptied = n->desk.voided = false;
    }
}

bool takeback_is_under_way(const struct sim_node *n)
{
    for (size_t i = 0; i < n->write_count; i++) {
        if (n->writes[i].takes) {
            return true;
        }
    }
    return false;
}

void takeback_cut(struct world *w, struct sim_node *n)
{
    for (size_t i = 0; i < n->write_count; i++) {
        if (n->writes[i].taken_n > 0 && world_chance(w, 500)) {
            note_all(n, &n->writes[i]);
            w->counters->takebacks_cut++;
        }
    }
}

/* --- state ------------------------------------------------------------------------------------ */

static void clear(struct world *w, struct sim_node *n)
{
    n->applied = 0;
    n->applied_chain = IMAGE_CHAIN;
    n->desk.emptied = true;
    memset(n->kept, 0, sizeof n->kept);
    memset(n->values, 0, (w->options.keys + 1) * sizeof *n->values);
    n->checked_commit = 0;
}

/* From the checkpoint below it, and the log. */
static void bring_back(struct world *w, struct sim_node *n, qr_slot slot)
{
    qr_slot base = n->desk.emptied ? 0 : n->safe.slot;
    if (base != 0) {
        memcpy(n->values, n->safe.values, (w->options.keys + 1) * sizeof *n->values);
    } else {
        memset(n->values, 0, (w->options.keys + 1) * sizeof *n->values);
    }
    for (qr_slot at = base + 1; at <= slot; at++) {
        const struct entry *e = image_at(&n->log, at);
        qr_assert(e != NULL);
        driver_execute(w, n, e->attempt);
    }
    n->applied = slot;
    n->applied_chain = image_chain(&n->log, slot);
    n->checked_commit = min_u64(n->checked_commit, slot);
    w->counters->takebacks_applied++;
}

/* --- the effect ------------------------------------------------------------------------------- */

static void check(struct world *w, const struct sim_node *n, const struct effect *x)
{
    qr_slot slot = x->rollback.slot, last = x->rollback.last;
    bool beyond = (!n->desk.emptied && slot < n->safe.slot) || slot < n->log.base;
    if (x->rollback.ticket != n->minted + 1 || x->after != 0 || last != image_last(&n->log) ||
        slot > last || (slot == last && !x->rollback.anew) || (beyond && !x->rollback.anew) ||
        x->rollback.given > (x->rollback.anew ? slot : 0)) {
        world_violation(w, VIOLATION_CONTRACT,
                        "node %d takes back %" PRIu64 "..%" PRIu64 "%s, its log is (%" PRIu64
                        ", %" PRIu64 "], its checkpoint at %" PRIu64,
                        n->index, slot + 1, last, x->rollback.anew ? " anew" : "", n->log.base,
                        image_last(&n->log), n->safe.slot);
    }
}

/* The entry there; of what lies below the log's base the model alone still knows. */
static bool find(const struct world *w, const struct sim_node *n, qr_slot slot, qr_term lost_to,
                 struct taken *out)
{
    struct entry e;
    const struct entry *held = image_at(&n->log, slot);
    if (held == NULL && !primary_entry(w, n->log.base_chain, n->log.base, slot, &e)) {
        return false;
    }
    e = held != NULL ? *held : e;
    *out = (struct taken){ .slot = slot, .term = e.term, .lost_to = lost_to, .attempt = e.attempt };
    return true;
}

static void take(struct world *w, const struct sim_node *n, const struct effect *x,
                 struct disk_write *write)
{
    write->taken = qr_zalloc((size_t)(x->rollback.last + 1) * sizeof *write->taken);
    for (qr_slot slot = 1; slot <= x->rollback.last; slot++) {
        struct taken *t = &write->taken[write->taken_n];
        bool given = slot <= x->rollback.given;
        if ((given || slot > x->rollback.slot) && find(w, n, slot, x->rollback.term, t)) {
            t->given = given;
            write->taken_n++;
        }
    }
}

void takeback_again(struct world *w, struct sim_node *n)
{
    struct outlook o;
    struct taken t;
    struct entry e;
    qr_slot last = image_last(&n->disk);
    if (n->desk.journal_n == 0) {
        return;
    }
    node_outlook(w, n, &o);
    while (desk_again(&n->desk, o.again, &t)) {
        w->counters->given_back++;
        if (!primary_entry(w, image_chain(&n->disk, last), last, t.slot, &e) || e.term != t.term) {
            world_violation(w, VIOLATION_TAKEN,
                            "node %d holds slot %" PRIu64 " of term %" PRIu64
                            " again, it says, and does not",
                            n->index, t.slot, t.term);
        }
    }
}

void takeback_dropped(struct world *w, struct sim_node *n)
{
    struct outlook o;
    struct taken taken;
    node_outlook(w, n, &o);
    for (qr_slot slot = o.sure + 1; slot <= o.last; slot++) {
        if (find(w, n, slot, council_now(w)->term, &taken)) {
            desk_note(&n->desk, &taken);
        }
    }
}

void takeback(struct world *w, struct sim_node *n, const struct effect *x)
{
    check(w, n, x);
    primary_taken(w, n, x);
    struct outlook outlook;
    node_outlook(w, n, &outlook);
    qr_slot slot = x->rollback.slot;
    struct disk_write write = { .ticket = x->rollback.ticket,
                                .takes = true,
                                .anew = x->rollback.anew,
                                .taken_from = slot + 1,
                                .term_then = outlook.term };
    take(w, n, x, &write);
    w->counters->takebacks++;
    w->counters->taken += write.taken_n;
    w->counters->given += x->rollback.given;
    w->counters->takebacks_anew += write.anew ? 1 : 0;
    requests_taken(w, n, slot); /* R4 */
    if (n->taking.slot > slot) {
        n->taking = (struct checkpoint){ 0 };
    }
    if (write.anew) {
        n->desk.voided = !n->lost;
        n->desk.forgot = n->minted;
        safety_lost(w, n); /* it counts with what it had, until it is brought up */
    }
    disk_persist(w, n, &write);
    if (write.anew) {
        clear(w, n);
    } else if (slot < n->applied) {
        bring_back(w, n, slot);
    }
    n->checked_commit = min_u64(n->checked_commit, slot);
    pasts_load(w, n);
    if (!w->calm && world_chance(w, w->options.strike_installs)) {
        n->restart_within = 100000;
        world_push(w, (qr_time)rng_below(&w->rng, w->options.sync_min + w->options.sync_mean),
                   (struct item){ .kind = ITEM_CRASH,
                                  .node = n->index,
                                  .a = world_chance(w, 500),
                                  .incarnation = n->incarnation });
    }
}
