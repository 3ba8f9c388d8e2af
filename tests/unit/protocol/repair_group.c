#include "repair_group.h"

#include "protocol/quorum.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

/* --- Logs ----------------------------------------------------------------------------------- */

/* The holes as recovery tells them. */
static uint32_t holes_of(const struct node *node, struct repair_hole *out)
{
    uint32_t n = 0;
    for (qr_slot slot = node->base + 1; slot <= node->last; slot++) {
        if (!node->lost[slot]) {
            continue;
        }
        struct repair_hole hole = { .lo = slot, .hi = slot };
        while (hole.hi < node->last && node->lost[hole.hi + 1]) {
            hole.hi++;
        }
        qr_slot followed = hole.hi;
        while (followed < node->last && node->damaged[followed + 1]) {
            followed++; /* what was damaged with it and is filled is exact now */
        }
        hole.next_term = hole.hi < node->last ? node->term[hole.hi + 1] : 0;
        bool sure = followed < node->last && node->term[slot - 1] == node->term[followed + 1];
        hole.term = sure ? node->term[slot] : 0;
        out[n++] = hole;
        slot = hole.hi;
    }
    return n;
}

static void look(struct node *node)
{
    struct repair_hole holes[SLOTS];
    repair_look(&node->repair, holes, holes_of(node, holes));
    repair_lost_state(&node->repair, node->checkpoint < node->base ? node->base : 0);
}

struct log_seen {
    struct repair_log log;
    struct term_run runs[SLOTS];
    struct repair_hole holes[SLOTS];
};

static void log_seen_of(const struct node *node, struct log_seen *v)
{
    *v = (struct log_seen){ .log = { .base_slot = node->base,
                                 .base_term = node->term[node->base],
                                 .last_slot = node->last,
                                 .runs = v->runs,
                                 .holes = v->holes,
                                 .forgetful = node->forgetful,
                                 .repairs = node->repair.count > 0 || node->repair.state_lost != 0,
                                 .state_lost = node->repair.state_lost != 0 } };
    v->log.hole_count = holes_of(node, v->holes);
    for (qr_slot slot = node->base + 1; slot <= node->last; slot++) {
        v->runs[v->log.run_count++] = (struct term_run){ slot, node->term[slot] };
    }
}

static uint32_t holders(const struct group *g, qr_slot slot, qr_term term)
{
    uint32_t bits = 0;
    for (uint32_t i = 0; i < g->n; i++) {
        const struct node *node = &g->as_was[i];
        bits |= node->last >= slot && node->term[slot] == term ? 1u << i : 0;
    }
    return bits;
}

/* --- The run -------------------------------------------------------------------------------- */

static void answer(struct group *g, node_index me, node_index from, struct repair_hole asked,
                   qr_time now)
{
    struct node *node = &g->node[me];
    const struct node *peer = &g->node[from];
    struct log_seen view;
    log_seen_of(peer, &view);
    enum repair_answer said = repair_judge(&view.log, &asked);
    if (said == REPAIR_HAS) {
        qr_slot hi = 0;
        for (qr_slot lo; repair_held(&view.log, &asked, hi + 1, &lo, &hi);) {
            assert_true(lo >= asked.lo && lo <= hi && hi <= asked.hi);
            for (qr_slot slot = lo; slot <= hi; slot++) {
                assert_false(peer->lost[slot]);
                assert_int_equal(peer->term[slot], g->as_was[me].term[slot]); /* H1 */
                node->lost[slot] = false;
                g->patched++;
            }
        }
        look(node);
    }
    repair_answered(&node->repair, from, &asked, said, now);
}

/* Asked for a checkpoint, a peer offers what it has. */
static void offer(struct group *g, node_index me, node_index from, qr_time now)
{
    struct node *node = &g->node[me];
    const struct node *peer = &g->node[from];
    struct log_seen view;
    log_seen_of(node, &view);
    if (peer->checkpoint == 0 || peer->checkpoint < peer->base) {
        return; /* it has none, or has lost it */
    }
    qr_slot slot = peer->checkpoint;
    if (repair_offered(&node->repair, &view.log, from, slot, peer->term[slot], now) &&
        node->coming.at == 0) {
        node->coming.slot = slot;
        node->coming.term = peer->term[slot];
        node->coming.at = now + 300 * QR_MILLISECOND;
        repair_coming(&node->repair, true);
    }
}

/* It is whole here. H3: nothing is lost by it that is committed, or may be. */
static void install(struct group *g, node_index me)
{
    struct node *node = &g->node[me];
    const struct node *was = &g->as_was[me];
    struct log_seen view;
    log_seen_of(node, &view);
    qr_slot slot = node->coming.slot;
    qr_term term = node->coming.term;
    enum repair_fit fit = repair_fits(&node->repair, &view.log, slot, term);
    node->coming.at = 0;
    repair_coming(&node->repair, false);
    if (fit == REPAIR_UNFIT) {
        return;
    }
    if (fit == REPAIR_KEEP) {
        assert_int_equal(was->term[slot], term);
        struct repair_hole holes[SLOTS];
        uint32_t n = holes_of(node, holes);
        for (uint32_t i = 0; i < n; i++) {
            g->matched += holes[i].term == 0 && slot >= holes[i].lo && slot <= holes[i].hi;
        }
        g->kept++;
    } else {
        assert_true(slot >= node->last || was->term[slot] != term);
        node->last = slot;
        node->term[slot] = term;
        g->replaced++;
    }
    assert_true(slot >= node->base);
    node->base = node->checkpoint = slot;
    node->since = g->now;
    look(node);
}

static const struct repair_question *about(const struct repair *r, qr_slot lo)
{
    for (uint32_t i = 0; i < r->count; i++) {
        if (r->question[i].hole.lo == lo) {
            return &r->question[i];
        }
    }
    fail();
    return NULL;
}

static void drop(struct group *g, node_index me, qr_slot from)
{
    struct node *node = &g->node[me];
    const struct repair_question *q = about(&node->repair, from);
    uint32_t had = holders(g, from, g->as_was[me].term[from]);
    if (quorum_of(had, &node->repair.members)) { /* H2: then a checkpoint or another log has it */
        assert_int_not_equal(q->trimmed | q->other, 0);
    }
    assert_int_equal(had & q->never, 0);
    struct log_seen view;
    log_seen_of(node, &view);
    for (uint32_t i = 0; i < g->n; i++) { /* H3 comes first */
        const struct node *peer = &g->node[i];
        bool has = (q->trimmed >> i & 1) != 0 && !peer->away && peer->checkpoint >= peer->base &&
                   g->now > peer->since + 6 * QR_SECOND;
        assert_true(!has || repair_fits(&node->repair, &view.log, peer->checkpoint,
                                        peer->term[peer->checkpoint]) == REPAIR_UNFIT);
    }
    node->last = from - 1;
    node->forgetful = true;
    g->dropped++;
    look(node);
}

static void drop_state(struct group *g, node_index me)
{
    struct node *node = &g->node[me];
    struct log_seen view;
    log_seen_of(node, &view);
    for (uint32_t i = 0; i < g->n; i++) {
        const struct node *peer = &g->node[i];
        bool has =
            !peer->away && peer->checkpoint >= peer->base && g->now > peer->since + 6 * QR_SECOND;
        assert_true(!has || repair_fits(&node->repair, &view.log, peer->checkpoint,
                                        peer->term[peer->checkpoint]) == REPAIR_UNFIT);
    }
    *node = (struct node){ .forgetful = true, .repair = node->repair };
    g->dropped++;
    look(node);
}

/* One node goes on until it waits; false when nothing happened. */
static bool turn(struct group *g, node_index me, qr_time now)
{
    struct node *node = &g->node[me];
    bool moved = false;
    if (node->coming.at != 0 && now >= node->coming.at) {
        if (rng_chance(&g->rng, 1, 4)) { /* whoever gave it has died, or it was damaged */
            node->coming.at = 0;
            repair_coming(&node->repair, false);
        } else {
            install(g, me);
        }
    }
    for (;;) {
        struct repair_step step = repair_next(&node->repair, now);
        node->waits = step.action == REPAIR_WAIT;
        if (step.action == REPAIR_DONE || step.action == REPAIR_WAIT) {
            assert_true(step.action == REPAIR_DONE || step.at > now);
            return moved;
        }
        moved = true;
        if (step.action == REPAIR_DROP) {
            drop(g, me, step.hole.lo);
        } else if (step.action == REPAIR_DROP_STATE) {
            drop_state(g, me);
        } else if (step.action == REPAIR_FETCH) {
            offer(g, me, step.to, now);
        } else if (rng_chance(&g->rng, 7, 8)) {
            answer(g, me, step.to, step.hole, now);
        } /* else the answer is lost */
    }
}

/* Until that time. */
static void go_on(struct group *g, qr_time until)
{
    while (g->now < until) {
        for (node_index i = 0; i < g->n; i++) {
            if (!g->node[i].away) {
                (void)turn(g, i, g->now);
            }
        }
        bool late = g->now > 30 * QR_SECOND;
        g->now += (late ? 2000 : g->now > 4 * QR_SECOND ? 500 : 150) * QR_MILLISECOND;
    }
}

void repair_group_run(struct group *g)
{
    memcpy(g->as_was, g->node, sizeof g->node);
    g->patched = g->dropped = g->kept = g->matched = g->replaced = 0;
    struct membership members = { .voters = (uint16_t)((1u << g->n) - 1) };
    for (node_index i = 0; i < g->n; i++) {
        repair_init(&g->node[i].repair, i, &members);
        for (node_index j = 0; j < g->n; j++) {
            if (j != i && !g->node[j].away) {
                repair_peer(&g->node[i].repair, j, true);
            }
        }
        look(&g->node[i]);
    }
    g->now = 1;
    go_on(g, 30 * QR_SECOND);
}

void repair_group_return(struct group *g)
{
    go_on(g, 100 * QR_SECOND);
    for (node_index i = 0; i < g->n; i++) {
        for (node_index j = 0; j < g->n; j++) {
            if (j != i && (g->node[i].away || g->node[j].away)) {
                repair_peer(&g->node[i].repair, j, true);
            }
        }
    }
    for (node_index i = 0; i < g->n; i++) {
        g->node[i].away = false;
    }
    go_on(g, 120 * QR_SECOND);
}

static bool was_acknowledged(const struct group *g, qr_slot slot, qr_term term)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < g->n; i++) {
        n += g->as_was[i].last >= slot && g->as_was[i].term[slot] == term;
    }
    return 2 * n > g->n;
}

static bool is_somewhere(const struct node *nodes, uint32_t n, qr_slot slot, qr_term term)
{
    for (uint32_t i = 0; i < n; i++) {
        const struct node *node = &nodes[i];
        bool whole = slot > node->base && slot <= node->last && !node->lost[slot];
        bool state = node->checkpoint >= node->base && slot <= node->checkpoint;
        if ((whole || state) && node->term[slot] == term) {
            return true;
        }
    }
    return false;
}

void repair_group_judge_kept(const struct group *g)
{
    for (uint32_t i = 0; i < g->n; i++) {
        const struct node *was = &g->as_was[i];
        for (qr_slot slot = was->base + 1; slot <= was->last; slot++) {
            bool kept = is_somewhere(g->as_was, g->n, slot, was->term[slot]) &&
                        was_acknowledged(g, slot, was->term[slot]);
            assert_true(!kept || is_somewhere(g->node, g->n, slot, was->term[slot]));
        }
    }
}

/* Somebody who is there has the entry whole. */
static bool can_be_had(const struct group *g, qr_slot slot, qr_term term)
{
    for (uint32_t i = 0; i < g->n; i++) {
        const struct node *node = &g->as_was[i];
        if (!node->away && slot > node->base && slot <= node->last && node->term[slot] == term &&
            !node->damaged[slot]) {
            return true;
        }
    }
    return false;
}

/* The term of a lost entry followed from its neighbours. */
static bool was_sure(const struct node *was, qr_slot slot)
{
    qr_slot before = slot - 1;
    qr_slot after = slot + 1;
    while (before > was->base && was->damaged[before]) {
        before--;
    }
    while (after < was->last && was->damaged[after]) {
        after++;
    }
    return was->term[before] == was->term[after];
}

void repair_group_judge(const struct group *g, bool helix)
{
    for (uint32_t i = 0; i < g->n; i++) {
        const struct node *node = &g->node[i];
        const struct node *was = &g->as_was[i];
        for (qr_slot slot = was->base + 1; slot <= was->last && !was->away; slot++) {
            if (slot <= node->base) {
                continue; /* in the state */
            }
            bool wanted = helix && was_sure(was, slot) && can_be_had(g, slot, was->term[slot]);
            assert_true(!wanted || node->last < slot || !node->lost[slot]);
            assert_true(was->damaged[slot] || !node->lost[slot]);
        }
    }
}

/* --- Making them ---------------------------------------------------------------------------- */

void repair_node_fill(struct node *node, const qr_term *main, qr_slot last, qr_slot base,
                      uint32_t damage, bool away)
{
    *node = (struct node){ .base = base, .last = last, .checkpoint = base, .away = away };
    for (qr_slot slot = 1; slot <= last; slot++) {
        node->term[slot] = main[slot];
        /* Recovery tells a hole only where an entry follows. */
        node->damaged[slot] = slot > base && slot < last && (damage >> (slot - 1) & 1) != 0;
        node->lost[slot] = node->damaged[slot];
    }
}

void repair_node_diverge(struct node *node, const qr_term *main, qr_slot last, uint32_t damage)
{
    qr_slot from = node->last + 1;
    if (from > last || main[from] == 1 || main[from - 1] > 1) {
        return;
    }
    bool away = node->away;
    qr_term tail[SLOTS + 1];
    memcpy(tail, main, sizeof tail);
    tail[from] = tail[from + 1] = 1;
    repair_node_fill(node, tail, from + 1, node->base, damage, away);
}

/* Whether the checkpoint is one of a state that is committed: a majority has its last entry. */
static bool is_committed(const struct group *g, qr_slot slot, qr_term term)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < g->n; i++) {
        n += g->node[i].last >= slot && g->node[i].term[slot] == term;
    }
    return 2 * n > g->n;
}

bool repair_node_trim(struct group *g, struct node *node, const qr_term *main, qr_slot most,
                      bool ahead)
{
    qr_slot end = 0;
    while (end < node->last && node->term[end + 1] == main[end + 1] &&
           is_committed(g, end + 1, main[end + 1])) {
        end++;
    }
    qr_slot base = most < end ? most : end;
    for (qr_slot slot = 1; slot <= base; slot++) {
        node->damaged[slot] = node->lost[slot] = false;
    }
    node->base = base;
    node->checkpoint = ahead ? end : base;
    for (qr_slot slot = 1; slot <= node->checkpoint; slot++) { /* it covers its own holes */
        node->damaged[slot] = node->lost[slot] = false;
    }
    return base > 0;
}
