/* Random lives of a group with every rule: crashes, wipes, cut links, late views, hand-overs, lost
 * leases, snapshots, while an oracle keeps what was acknowledged. Group 0 is played by its rules:
 * when enough stand, the best of them is named.
 *
 *   any, all   nothing that was acknowledged is ever missing at a primary that serves
 *   LOCAL      what is missing is in the discard journal of a node, or its disk was wiped
 *   always     logs that agree at a slot and term agree before it; all logs are equal at the end
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "tests/unit/protocol/primary_group.h"

#define LIVES 300
#define STEPS 160
#define REQUESTS 512

enum rule { RULE_LOCAL, RULE_ANY, RULE_ALL, RULES };

struct world {
    struct flock *f;
    struct rng rng;
    enum rule rule;
    bool received;
    struct view view; /* as group 0 has it */
    bool settled;     /* it is, as group 0 knows */
    uint16_t wiped;   /* disks that lost something */
    bool acknowledged[REQUESTS];
    qr_req seen;
    uint32_t failovers, handed_over, discarded, snapshots;
};

static struct view view_of(const struct world *w, qr_term term, node_index primary)
{
    struct view v = w->rule == RULE_ALL ? flock_all(w->f, term, primary)
                                        : flock_any(w->f, term, primary, w->rule == RULE_ANY);
    return w->received ? flock_received(v) : v;
}

static bool is_reached(const struct world *w, node_index i)
{
    return w->f->node[i].up && !w->f->node[i].cut;
}

/* What the primary has applied of requests that were submitted to it, it has answered. */
static void note_acknowledged(struct world *w)
{
    for (node_index i = 0; i < w->f->n; i++) {
        const struct flock_node *node = &w->f->node[i];
        for (qr_slot s = node->log.base + 1; node->up && s <= node->applied; s++) {
            qr_req req = node->log.entry[s].req;
            if (req != 0 && node->primary->phase == PHASE_PRIMARY &&
                node->log.entry[s].term == node->primary->term) {
                w->acknowledged[req] = true;
            }
        }
    }
}

static bool is_excused(const struct world *w, qr_req req)
{
    for (node_index i = 0; i < w->f->n; i++) {
        if (flock_discarded(w->f, i, req)) {
            return true;
        }
    }
    return w->wiped != 0;
}

/* A primary that serves has whatever was acknowledged. */
static void check_promise(struct world *w, bool end)
{
    for (node_index i = 0; i < w->f->n; i++) {
        if (!w->f->node[i].up || !flock_outlook(w->f, i).can_serve ||
            w->f->node[i].primary->term != w->view.term) {
            continue;
        }
        for (qr_req req = 1; req < w->f->next_req; req++) {
            if (!w->acknowledged[req] || flock_applied(w->f, i, req)) {
                continue;
            }
            assert_true(w->rule == RULE_LOCAL);
            if (end && !is_excused(w, req)) {
                print_message("request %d is lost without a name\n", (int)req);
            }
            assert_true(!end || is_excused(w, req));
            w->discarded++;
        }
    }
}

static void check_logs(const struct world *w)
{
    for (node_index a = 0; a < w->f->n; a++) {
        for (node_index b = 0; b < a; b++) {
            const struct flock_log *x = &w->f->node[a].log;
            const struct flock_log *y = &w->f->node[b].log;
            bool agree = false;
            for (qr_slot s = min_u64(x->last, y->last); s > max_u64(x->base, y->base); s--) {
                bool same = x->entry[s].term == y->entry[s].term;
                assert_true(!agree || same);
                assert_true(!same || x->entry[s].req == y->entry[s].req);
                agree = agree || same;
            }
        }
    }
}

/* --- Group 0 ---------------------------------------------------------------------------------- */

static void write_view(struct world *w, struct view v)
{
    w->view = v;
    w->settled = false;
}

static uint32_t needed(const struct world *w)
{
    switch (w->rule) {
    case RULE_LOCAL:
        return 1;
    case RULE_ANY:
        return w->f->n - 1u; /* n - k */
    default:
        return 1; /* any of the set */
    }
}

static bool is_better(const struct stood *a, const struct stood *b)
{
    return a->last_term > b->last_term || (a->last_term == b->last_term && a->last > b->last);
}

/* Names the best of those that stand, when they are enough. */
static void choose(struct world *w)
{
    uint32_t count = 0;
    node_index best = NODE_NONE;
    struct stood most = { 0 };
    for (node_index i = 0; i < w->f->n; i++) {
        if (!is_reached(w, i)) {
            continue;
        }
        struct outlook o = flock_outlook(w->f, i);
        if (!o.stands || o.stood.term != w->view.term) {
            continue;
        }
        count++;
        if (best == NODE_NONE || is_better(&o.stood, &most)) {
            best = i;
            most = o.stood;
        }
    }
    if (best != NODE_NONE && count >= needed(w)) {
        w->failovers++;
        write_view(w, view_of(w, w->view.term, best));
    }
}

static qr_term next_term(const struct world *w)
{
    qr_term term = w->view.term;
    for (node_index i = 0; i < w->f->n; i++) {
        term = w->f->node[i].up ? max_u64(term, w->f->node[i].primary->term) : term;
    }
    return term + 1;
}

/* The lease of the primary has ended: so it holds none when the next term is written down. */
static void depose(struct world *w)
{
    node_index i = w->view.primary;
    if (i != NODE_NONE && w->f->node[i].up) {
        flock_lease(w->f, i, false);
    }
    write_view(w, view_of(w, next_term(w), NODE_NONE));
}

/* A node that holds its lease knows the view. */
static void tell(struct world *w, node_index i)
{
    flock_tell(w->f, i, w->view);
    if (!w->f->node[i].primary->leased) {
        flock_lease(w->f, i, true);
    }
}

static void rule_the_group(struct world *w)
{
    node_index primary = w->view.primary;
    if (primary == NODE_NONE) {
        choose(w);
        return;
    }
    if (!is_reached(w, primary)) {
        if (rng_below(&w->rng, 4) == 0) {
            depose(w);
        }
        return;
    }
    struct outlook o = flock_outlook(w->f, primary);
    bool knows = w->f->node[primary].primary->view.term == w->view.term;
    w->settled = w->settled || (o.settled && o.term == w->view.term);
    if (o.barred || o.term > w->view.term || o.closed) {
        w->handed_over += o.closed;
        depose(w);
    } else if (knows && rng_below(&w->rng, 12) == 0 && w->settled) {
        write_view(w, view_of(w, w->view.term + 1, primary)); /* the same one goes on */
    }
}

/* --- Faults ----------------------------------------------------------------------------------- */

static uint32_t down(const struct world *w)
{
    uint32_t n = 0;
    for (node_index i = 0; i < w->f->n; i++) {
        n += !w->f->node[i].up;
    }
    return n;
}

static void restart(struct world *w, node_index i)
{
    struct flock_node *node = &w->f->node[i];
    bool wiped = rng_below(&w->rng, 8) == 0 && w->rule != RULE_LOCAL && w->wiped == 0;
    if (w->received || wiped) {
        qr_slot kept = node->disk.last - rng_below(&w->rng, 3) % (node->disk.last + 1);
        if (wiped) {
            w->wiped |= node_bit(i);
            flock_wipe(w->f, i);
        }
        flock_restart_forgetful(w->f, i, max_u64(kept, node->disk.base));
        flock_lease(w->f, i, false);
    } else {
        flock_restart(w->f, i);
        flock_lease(w->f, i, false); /* until it knows the view */
    }
}

static void fail_somehow(struct world *w)
{
    struct flock *f = w->f;
    node_index i = (node_index)rng_below(&w->rng, f->n);
    struct flock_node *node = &f->node[i];
    switch (rng_below(&w->rng, 8)) {
    case 0:
        if (node->up && down(w) == 0) {
            flock_crash(f, i);
            w->wiped |= w->received && w->rule == RULE_LOCAL ? node_bit(i) : 0;
        }
        return;
    case 1:
    case 2:
        if (!node->up) {
            restart(w, i);
        }
        return;
    case 3:
        node->cut = !node->cut;
        return;
    case 4:
        node->disk_held = !node->disk_held;
        return;
    case 5:
        if (node->up && node->applied > node->log.base) {
            flock_checkpoint(f, i, node->applied, rng_below(&w->rng, 4) == 0 ? node->applied : 0);
        }
        return;
    case 6:
        if (w->view.primary == i && is_reached(w, i)) {
            flock_hand_over(f, i, NODE_NONE, 50 * QR_MILLISECOND);
        }
        return;
    default:
        node->cut = false;
        return;
    }
}

static void bring_snapshots(struct world *w)
{
    for (node_index i = 0; i < w->f->n; i++) {
        const struct flock_node *node = &w->f->node[i];
        if (!is_reached(w, i) || node->primary->phase != PHASE_PRIMARY) {
            continue;
        }
        struct outlook o = flock_outlook(w->f, i);
        for (node_index to = 0; to < w->f->n; to++) {
            if (to != i && is_reached(w, to) && o.member[to].needs_snapshot) {
                flock_bring_snapshot(w->f, i, to);
                w->snapshots++;
            }
        }
    }
}

/* --- A life ----------------------------------------------------------------------------------- */

static void turn(struct world *w)
{
    struct flock *f = w->f;
    for (node_index i = 0; i < f->n; i++) {
        if (is_reached(w, i) && rng_below(&w->rng, 3) > 0) {
            tell(w, i);
        }
    }
    for (node_index i = 0; i < f->n; i++) {
        if (f->node[i].up && flock_outlook(f, i).role == ROLE_LEADER && f->next_req < 300 &&
            flock_outlook(f, i).room > 2) {
            flock_submit(f, i, 1 + (uint32_t)rng_below(&w->rng, 2));
        }
    }
    if (rng_below(&w->rng, 4) == 0) {
        flock_elapse(f, (qr_time)rng_below(&w->rng, 60) * QR_MILLISECOND);
    } else {
        for (uint32_t k = (uint32_t)rng_below(&w->rng, 12); k > 0 && f->mails > 0; k--) {
            const struct flock_mail *m = &f->mail[rng_below(&w->rng, f->mails)];
            flock_deliver_one(f, m->from, m->to, m->kind);
        }
        node_index i = (node_index)rng_below(&w->rng, f->n);
        if (f->node[i].up && !f->node[i].disk_held) {
            flock_sync(f, i);
        }
    }
    note_acknowledged(w);
    bring_snapshots(w);
    rule_the_group(w);
    check_logs(w);
    check_promise(w, false);
}

static void heal(struct world *w)
{
    for (node_index i = 0; i < w->f->n; i++) {
        w->f->node[i].cut = w->f->node[i].disk_held = false;
        if (!w->f->node[i].up) {
            restart(w, i);
        }
    }
    for (uint32_t k = 0; k < 60; k++) {
        for (node_index i = 0; i < w->f->n; i++) {
            tell(w, i);
        }
        flock_elapse(w->f, 110 * QR_MILLISECOND);
        note_acknowledged(w);
        bring_snapshots(w);
        rule_the_group(w);
    }
}

static void check_end(struct world *w)
{
    uint32_t forgetful = 0;
    for (node_index i = 0; i < w->f->n; i++) {
        forgetful += w->f->node[i].primary->forgetful;
    }
    if (w->view.primary == NODE_NONE) {
        assert_true(forgetful > 0); /* too few stand: that is told, and nobody is named */
        return;
    }
    const struct flock_node *primary = &w->f->node[w->view.primary];
    assert_true(flock_outlook(w->f, w->view.primary).can_serve);
    for (node_index i = 0; i < w->f->n; i++) {
        assert_int_equal(w->f->node[i].log.last, primary->log.last);
        assert_int_equal(w->f->node[i].applied, primary->applied);
        assert_false(w->f->node[i].primary->forgetful);
    }
    check_promise(w, true);
}

static void live(struct world *w, uint64_t seed)
{
    struct protocol_limits limits = flock_limits();
    *w = (struct world){ .rng = rng_from(seed), .rule = seed % RULES };
    w->received = rng_below(&w->rng, 3) == 0;
    w->f = flock_new_limited((node_index)(3 + rng_below(&w->rng, 2)), &limits);
    write_view(w, view_of(w, 1, 0));
    for (uint32_t i = 0; i < STEPS; i++) {
        if (rng_below(&w->rng, 3) == 0) {
            fail_somehow(w);
        }
        turn(w);
    }
    heal(w);
    check_logs(w);
    check_end(w);
    flock_free(w->f);
}

static void test_what_is_acknowledged_is_kept_or_named(void **state)
{
    (void)state;
    uint32_t failovers = 0;
    uint32_t handed_over = 0;
    uint32_t discarded = 0;
    uint32_t snapshots = 0;
    const char *only = getenv("CHAOS_SEED");
    uint64_t from = only != NULL ? strtoull(only, NULL, 10) : 1;
    uint64_t to = only != NULL ? from : LIVES;
    static struct world w;
    for (uint64_t seed = from; seed <= to; seed++) {
        live(&w, seed);
        failovers += w.failovers;
        handed_over += w.handed_over;
        discarded += w.discarded;
        snapshots += w.snapshots;
    }
    assert_true(only != NULL || failovers > LIVES / 2);
    assert_true(only != NULL || handed_over > LIVES / 10);
    assert_true(only != NULL || discarded > LIVES / 10);
    assert_true(only != NULL || snapshots > LIVES / 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_acknowledged_is_kept_or_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
