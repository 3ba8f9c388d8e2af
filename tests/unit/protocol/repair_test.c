/* Repair: groups of 3 and 5 with every pattern of damage that fits in three slots, all nodes
 * repairing at once, some of them away (scenarios 62, 105; the rule H1..H5 of protocol/repair.h).
 *
 * What may never happen: an entry is patched with another one than it was; an entry that a majority
 * held is dropped because a majority "never had it". What must happen: damage that does not hit all
 * holders of an entry (a helix) heals without anything being dropped. */
#include "protocol/repair.h"

#include "base/rng.h"
#include "protocol/quorum.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

/* Every pattern; with the address sanitizer, which is slow, every eleventh. */
#ifdef __SANITIZE_ADDRESS__
#define STRIDE 11u
#else
#define STRIDE 1u
#endif

#define NODES 5
#define SLOTS 6

struct node {
    qr_slot base, last;
    qr_term term[SLOTS + 1]; /* as it was; [0] is 0 */
    bool lost[SLOTS + 1];    /* and not filled */
    bool damaged[SLOTS + 1]; /* at the beginning */
    bool away, forgetful, waits;
    struct repair repair;
};

struct group {
    struct node node[NODES];
    struct node as_was[NODES];
    uint32_t n;
    uint32_t patched, dropped;
    struct rng rng;
};

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
}

struct view {
    struct repair_log log;
    struct term_run runs[SLOTS];
    struct repair_hole holes[SLOTS];
};

static void view_of(const struct node *node, struct view *v)
{
    *v = (struct view){ .log = { .base_slot = node->base,
                                 .last_slot = node->last,
                                 .runs = v->runs,
                                 .holes = v->holes,
                                 .forgetful = node->forgetful } };
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
    struct view view;
    view_of(peer, &view);
    enum repair_answer said = repair_judge(&view.log, &asked);
    if (said == REPAIR_HAS) {
        for (qr_slot slot = asked.lo; slot <= asked.hi; slot++) {
            if (!repair_holds(&view.log, &asked, slot)) {
                continue;
            }
            assert_int_equal(peer->term[slot], g->as_was[me].term[slot]); /* H1 */
            node->lost[slot] = false;
            g->patched++;
        }
        look(node);
    }
    repair_answered(&node->repair, from, &asked, said, now);
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
        assert_int_not_equal(q->gone, 0);
    }
    assert_int_equal(had & q->never, 0);
    node->last = from - 1;
    node->forgetful = true;
    g->dropped++;
    look(node);
}

/* One node goes on until it waits; false when nothing happened. */
static bool turn(struct group *g, node_index me, qr_time now)
{
    struct node *node = &g->node[me];
    bool moved = false;
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
        } else if (rng_chance(&g->rng, 7, 8)) {
            answer(g, me, step.to, step.hole, now);
        } /* else the answer is lost */
    }
}

static void run(struct group *g)
{
    memcpy(g->as_was, g->node, sizeof g->node);
    g->patched = g->dropped = 0;
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
    for (qr_time now = 1; now < 8 * QR_SECOND; now += 150 * QR_MILLISECOND) {
        for (node_index i = 0; i < g->n; i++) {
            if (!g->node[i].away) {
                (void)turn(g, i, now);
            }
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

/* `helix`: no entry was trimmed anywhere and all logs agree, so whatever anybody has is taken, if
 * it is certain which term it had. (At the beginning of a term that may take an entry behind it,
 * which may be lost in the others' logs in turn.) */
static void judge_end(const struct group *g, bool helix)
{
    for (uint32_t i = 0; i < g->n; i++) {
        const struct node *node = &g->node[i];
        const struct node *was = &g->as_was[i];
        for (qr_slot slot = was->base + 1; slot <= was->last && !was->away; slot++) {
            bool wanted = helix && was_sure(was, slot) && can_be_had(g, slot, was->term[slot]);
            assert_true(!wanted || node->last < slot || !node->lost[slot]);
            assert_true(was->damaged[slot] || !node->lost[slot]);
        }
    }
}

/* --- All patterns --------------------------------------------------------------------------- */

static void fill(struct node *node, const qr_term *main, qr_slot last, qr_slot base,
                 uint32_t damage, bool away)
{
    *node = (struct node){ .base = base, .last = last, .away = away };
    for (qr_slot slot = 1; slot <= last; slot++) {
        node->term[slot] = main[slot];
        /* Recovery tells a hole only where an entry follows. */
        node->damaged[slot] = slot > base && slot < last && (damage >> (slot - 1) & 1) != 0;
        node->lost[slot] = node->damaged[slot];
    }
}

/* A tail of an older leader that nobody else has. */
static void diverge(struct node *node, const qr_term *main, qr_slot last, uint32_t damage)
{
    qr_slot from = node->last + 1;
    if (from > last || main[from] == 1 || main[from - 1] > 1) {
        return;
    }
    bool away = node->away;
    qr_term tail[SLOTS + 1];
    memcpy(tail, main, sizeof tail);
    tail[from] = tail[from + 1] = 1;
    fill(node, tail, from + 1, node->base, damage, away);
}

static void every_pattern_of_three_slots_in_three_nodes(void **state)
{
    (void)state;
    static const qr_term histories[][SLOTS + 1] = {
        { 0, 1, 1, 1, 1 }, { 0, 1, 1, 2, 2 }, { 0, 1, 2, 2, 2 },
        { 0, 1, 2, 3, 3 }, { 0, 1, 2, 2, 4 },
    };
    struct group g = { .n = 3, .rng = rng_from(5) };
    uint64_t patched = 0, dropped = 0, helixes = 0;
    for (uint64_t code = 0; code < 5ull * 64 * 64 * 4 * 4 * 4; code += STRIDE) {
        uint64_t c = code;
        const qr_term *main = histories[c % 5];
        uint64_t lengths = (c /= 5) % 64, damage = (c /= 64) % 64, odd = (c /= 64) % 4;
        uint64_t trimmed = (c /= 4) % 4, away = (c /= 4) % 4;
        for (uint32_t i = 0; i < 3; i++) {
            uint32_t mask = (uint32_t)(damage >> (2 * i) & 3) << 1 | (damage == 63);
            qr_slot last = 1 + (lengths >> (2 * i) & 3);
            fill(&g.node[i], main, last, i + 1 == trimmed ? 1 : 0, mask, i + 1 == away);
            if (i + 1 == odd) {
                diverge(&g.node[i], main, 4, mask);
            }
        }
        run(&g);
        bool helix = odd == 0 && trimmed == 0;
        judge_end(&g, helix);
        patched += g.patched;
        dropped += g.dropped;
        helixes += helix && g.patched > 0;
    }
    assert_true(patched > 9000 && dropped > 9000 && helixes > 1000);
}

static void random_patterns_in_five_nodes(void **state)
{
    (void)state;
    struct group g = { .n = 5, .rng = rng_from(6) };
    uint64_t patched = 0, dropped = 0;
    for (uint32_t round = 0; round < 20000; round++) {
        qr_term main[SLOTS + 1] = { 0, 1 };
        for (qr_slot slot = 2; slot <= SLOTS; slot++) {
            main[slot] = main[slot - 1] + (qr_term)rng_chance(&g.rng, 1, 3);
        }
        bool helix = true;
        for (uint32_t i = 0; i < 5; i++) {
            uint32_t mask = (uint32_t)(rng_next(&g.rng) & rng_next(&g.rng)) & 63;
            qr_slot last = SLOTS - 2 + rng_below(&g.rng, 2);
            qr_slot base = rng_chance(&g.rng, 1, 10) ? 2 : 0;
            fill(&g.node[i], main, last, base, mask, rng_chance(&g.rng, 1, 6));
            helix = helix && base == 0;
            if (rng_chance(&g.rng, 1, 20)) {
                diverge(&g.node[i], main, SLOTS - 1, mask);
                helix = false;
            }
        }
        run(&g);
        judge_end(&g, helix);
        patched += g.patched;
        dropped += g.dropped;
    }
    assert_true(patched > 10000 && dropped > 100);
}

/* --- Single rules --------------------------------------------------------------------------- */

static const struct membership three = { .voters = 7 };
static const struct repair_hole hole = { .lo = 5, .hi = 6, .term = 2, .next_term = 2 };

static void without_a_majority_it_waits_for_ever(void **state)
{
    (void)state;
    struct repair r;
    repair_init(&r, 0, &three);
    repair_look(&r, &hole, 1);
    repair_peer(&r, 1, true);
    assert_int_equal(repair_next(&r, 1).action, REPAIR_ASK);
    repair_answered(&r, 1, &hole, REPAIR_NEVER, 1);
    for (qr_time now = 1; now < QR_SECOND * 1000; now += QR_SECOND) {
        assert_int_equal(repair_next(&r, now).action, REPAIR_WAIT);
    }
    repair_peer(&r, 2, true);
    assert_int_equal(repair_next(&r, QR_SECOND).to, 2);
    repair_answered(&r, 2, &hole, REPAIR_UNKNOWN, QR_SECOND); /* H5 */
    assert_int_equal(repair_next(&r, QR_SECOND).action, REPAIR_WAIT);
    struct repair_step step = repair_next(&r, 2 * QR_SECOND);
    assert_int_equal(step.action, REPAIR_ASK);
    assert_int_equal(step.to, 2);
    repair_answered(&r, 2, &hole, REPAIR_NEVER, 2 * QR_SECOND);
    step = repair_next(&r, 2 * QR_SECOND);
    assert_int_equal(step.action, REPAIR_DROP);
    assert_int_equal(step.hole.lo, 5);
}

static void both_majorities_must_say_never(void **state)
{
    (void)state;
    struct membership joint = { .voters = 7, .outgoing = 0x31 }; /* 0..2, before: 0, 4, 5 */
    struct repair r;
    repair_init(&r, 0, &joint);
    repair_look(&r, &hole, 1);
    repair_answered(&r, 1, &hole, REPAIR_NEVER, 1);
    repair_answered(&r, 2, &hole, REPAIR_NEVER, 1);
    repair_answered(&r, 4, &hole, REPAIR_NEVER, 1);
    assert_int_equal(repair_next(&r, QR_SECOND * 9).action, REPAIR_WAIT);
    repair_answered(&r, 5, &hole, REPAIR_NEVER, 1);
    assert_int_equal(repair_next(&r, QR_SECOND * 9).action, REPAIR_DROP);
}

static void what_could_be_dropped_is_kept_for_a_while(void **state)
{
    (void)state;
    struct repair r;
    repair_init(&r, 0, &three);
    repair_look(&r, &hole, 1);
    repair_answered(&r, 1, &hole, REPAIR_TRIMMED, QR_SECOND);
    struct repair_step step = repair_next(&r, QR_SECOND);
    assert_int_equal(step.action, REPAIR_WAIT);
    repair_peer(&r, 2, true); /* it comes late, and has it */
    assert_int_equal(repair_next(&r, 2 * QR_SECOND).action, REPAIR_ASK);
    struct repair_hole rest = hole;
    rest.lo = 6;
    repair_look(&r, &rest, 1);
    repair_answered(&r, 2, &hole, REPAIR_HAS, 2 * QR_SECOND); /* an older question by now */
    step = repair_next(&r, 9 * QR_SECOND);
    assert_int_equal(step.action, REPAIR_ASK); /* nobody has said anything about that one */
    repair_look(&r, NULL, 0);
    assert_int_equal(repair_next(&r, 9 * QR_SECOND).action, REPAIR_DONE);
}

/* A node that has forgotten does not know what it never had (H5). */
static void a_forgetful_log_knows_nothing(void **state)
{
    (void)state;
    struct term_run runs[] = { { 4, 2 } };
    struct repair_log log = { .base_slot = 3, .last_slot = 4, .runs = runs, .run_count = 1 };
    assert_int_equal(repair_judge(&log, &hole), REPAIR_NEVER);
    log.forgetful = true;
    assert_int_equal(repair_judge(&log, &hole), REPAIR_UNKNOWN);
    log.last_slot = 7;
    assert_int_equal(repair_judge(&log, &hole), REPAIR_HAS);
    log.base_slot = 6;
    assert_int_equal(repair_judge(&log, &hole), REPAIR_TRIMMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pattern_of_three_slots_in_three_nodes),
        cmocka_unit_test(random_patterns_in_five_nodes),
        cmocka_unit_test(without_a_majority_it_waits_for_ever),
        cmocka_unit_test(both_majorities_must_say_never),
        cmocka_unit_test(what_could_be_dropped_is_kept_for_a_while),
        cmocka_unit_test(a_forgetful_log_knows_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
