/* Repair where entries are in checkpoints only, or a checkpoint is lost: every pattern in groups of
 * 3, and some in groups of 5 (scenarios 48, 62, 63; H3 and H4 of protocol/repair.h). */
#include "repair_group.h"

#include "protocol/quorum.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

/* --- Checkpoints ---------------------------------------------------------------------------- */

static void judge_checkpoints(const struct group *g)
{
    for (uint32_t i = 0; i < g->n; i++) {
        const struct node *was = &g->as_was[i];
        const struct node *node = &g->node[i];
        bool lost = was->checkpoint < was->base;
        bool can = false;
        for (uint32_t k = 0; k < g->n; k++) {
            const struct node *peer = &g->as_was[k];
            can = can ||
                  (!peer->away && peer->checkpoint >= peer->base && peer->checkpoint >= was->base);
        }
        bool healed = node->checkpoint >= node->base && !node->forgetful;
        bool holes = false;
        for (qr_slot slot = was->base + 1; slot <= was->last; slot++) {
            holes = holes || was->damaged[slot];
        }
        assert_true(!lost || !can || was->away || holes || healed);
    }
}

static void every_pattern_with_a_checkpoint(void **state)
{
    (void)state;
    static const qr_term histories[][SLOTS + 1] = {
        { 0, 1, 1, 1, 1 }, { 0, 1, 1, 2, 2 }, { 0, 1, 2, 2, 2 },
        { 0, 1, 2, 3, 3 }, { 0, 1, 2, 2, 4 },
    };
    struct group g = { .n = 3, .rng = rng_from(7) };
    uint64_t dropped = 0, kept = 0, matched = 0, replaced = 0;
    for (uint64_t code = 0; code < 5ull * 512 * 27 * 6 * 3 * 4; code += 13 * STRIDE) {
        uint64_t c = code / 5;
        const qr_term *main = histories[code % 5];
        uint64_t damage = c % 512, lengths = (c /= 512) % 27, trimmed = (c /= 27) % 6;
        uint64_t away = (c /= 6) % 3, odd = (c /= 3) % 4;
        for (uint32_t i = 0; i < 3; i++, lengths /= 3) {
            uint32_t mask = damage >> (3 * i) & 7;
            repair_node_fill(&g.node[i], main, 2 + lengths % 3, 0, mask, i + 1 == away);
            if (i + 1 == odd) {
                repair_node_diverge(&g.node[i], main, 4, mask);
            }
        }
        if (repair_node_trim(&g, &g.node[2], main, 1 + trimmed % 3, trimmed >= 3)) {
            repair_group_run(&g);
            repair_group_judge(&g, false);
            judge_checkpoints(&g);
            dropped += g.dropped;
            kept += g.kept;
            matched += g.matched;
            replaced += g.replaced;
        }
    }
    print_message("dropped %u, kept %u (matched %u), replaced %u\n", (unsigned)dropped,
                  (unsigned)kept, (unsigned)matched, (unsigned)replaced);
    assert_true(dropped > 100 && kept > 1000 && matched > 100 && replaced > 1000);
}

static void random_checkpoints_in_five_nodes(void **state)
{
    (void)state;
    struct group g = { .n = 5, .rng = rng_from(8) };
    uint64_t kept = 0, matched = 0, replaced = 0, lost = 0;
    for (uint32_t round = 0; round < 20000 / STRIDE; round++) {
        qr_term main[SLOTS + 1] = { 0, 1 };
        for (qr_slot slot = 2; slot <= SLOTS; slot++) {
            main[slot] = main[slot - 1] + (qr_term)rng_chance(&g.rng, 1, 3);
        }
        for (uint32_t i = 0; i < 5; i++) {
            uint32_t mask = (uint32_t)(rng_next(&g.rng) & rng_next(&g.rng)) & 63;
            qr_slot last = SLOTS - 2 + rng_below(&g.rng, 3);
            repair_node_fill(&g.node[i], main, last, 0, mask, rng_chance(&g.rng, 1, 6));
            if (rng_chance(&g.rng, 1, 10)) {
                repair_node_diverge(&g.node[i], main, SLOTS - 1, mask);
            }
        }
        for (uint32_t i = 0; i < 5; i++) {
            bool trims = rng_chance(&g.rng, 1, 2);
            if (trims &&
                repair_node_trim(&g, &g.node[i], main, 1 + rng_below(&g.rng, 4),
                                 rng_chance(&g.rng, 1, 2)) &&
                rng_chance(&g.rng, 1, 4)) {
                g.node[i].checkpoint = 0;
                lost++;
            }
        }
        repair_group_run(&g);
        repair_group_judge(&g, false);
        judge_checkpoints(&g);
        kept += g.kept;
        matched += g.matched;
        replaced += g.replaced;
    }
    print_message("kept %u (matched %u), replaced %u, states lost %u\n", (unsigned)kept,
                  (unsigned)matched, (unsigned)replaced, (unsigned)lost);
    assert_true(kept > 1000 / STRIDE && replaced > 20 / STRIDE && lost > 1000 / STRIDE);
}

/* --- Single rules --------------------------------------------------------------------------- */

static const struct membership three = { .voters = 7 };
static const struct repair_hole hole = { .lo = 5, .hi = 6, .term = 2, .next_term = 2 };

/* A log of slots 4 to 9, of term 2, that lacks 5 and 6. */
static const struct term_run own_runs[] = { { 4, 2 } };
static const struct repair_log own = { .base_slot = 3,
                                       .base_term = 1,
                                       .last_slot = 9,
                                       .runs = own_runs,
                                       .run_count = 1,
                                       .holes = &hole,
                                       .hole_count = 1 };

static void trimmed_at(struct repair *r, node_index peer, qr_time now)
{
    repair_init(r, 0, &three);
    repair_look(r, &hole, 1);
    repair_peer(r, peer, true);
    assert_int_equal(repair_next(r, now).action, REPAIR_ASK);
    repair_answered(r, peer, &hole, REPAIR_TRIMMED, now);
    assert_false(repair_offered(r, &own, peer, 7, 2, now)); /* another may have the entries */
    assert_int_equal(repair_next(r, now).action, REPAIR_WAIT);
}

static void knows_nothing(struct repair *r, node_index peer, qr_time now)
{
    repair_peer(r, peer, true);
    assert_int_equal(repair_next(r, now).action, REPAIR_ASK);
    repair_answered(r, peer, &hole, REPAIR_NEVER, now);
}

static void a_checkpoint_fits_or_not_H3(void **state)
{
    (void)state;
    struct repair r;
    struct repair_hole unsure = hole;
    struct repair_log log = own;
    unsure.term = 0;
    log.holes = &unsure;
    repair_init(&r, 0, &three);
    repair_look(&r, &unsure, 1);
    assert_int_equal(repair_fits(&r, &own, 4, 2), REPAIR_UNFIT);    /* covers nothing */
    assert_int_equal(repair_fits(&r, &own, 5, 2), REPAIR_KEEP);     /* of known term */
    assert_int_equal(repair_fits(&r, &own, 7, 2), REPAIR_KEEP);     /* log matching */
    assert_int_equal(repair_fits(&r, &own, 7, 3), REPAIR_REPLACE);  /* contradicts */
    assert_int_equal(repair_fits(&r, &own, 10, 2), REPAIR_REPLACE); /* reaches beyond */
    assert_int_equal(repair_fits(&r, &own, 10, 0), REPAIR_UNFIT);   /* terms never fall */
    assert_int_equal(repair_fits(&r, &log, 6, 2), REPAIR_UNFIT);    /* nobody can tell */
    repair_answered(&r, 1, &unsure, REPAIR_MATCHES, 1);
    assert_int_equal(repair_fits(&r, &log, 6, 2), REPAIR_KEEP);
    repair_look(&r, NULL, 0);
    assert_int_equal(repair_fits(&r, &own, 7, 2), REPAIR_UNFIT); /* there is no hole */
    repair_lost_state(&r, 3);
    assert_int_equal(repair_fits(&r, &own, 2, 1), REPAIR_UNFIT); /* the log begins behind it */
    assert_int_equal(repair_fits(&r, &own, 3, 1), REPAIR_KEEP);
    assert_int_equal(repair_fits(&r, &own, 3, 2), REPAIR_UNFIT);
}

static void a_checkpoint_that_comes_is_waited_for(void **state)
{
    (void)state;
    struct repair r;
    trimmed_at(&r, 1, 1);
    knows_nothing(&r, 2, 1);
    struct repair_step step = repair_next(&r, 3 * QR_SECOND);
    assert_int_equal(step.action, REPAIR_FETCH);
    assert_int_equal(step.to, 1);
    assert_int_equal(step.least, 6);
    assert_true(repair_offered(&r, &own, 1, 7, 2, 3 * QR_SECOND));
    repair_coming(&r, true);
    assert_int_equal(repair_next(&r, 1000 * QR_SECOND).action, REPAIR_WAIT);
    repair_coming(&r, false); /* its source has died, and the other has one too */
    repair_peer(&r, 1, false);
    assert_int_equal(repair_next(&r, 1001 * QR_SECOND).action, REPAIR_WAIT);
    repair_peer(&r, 2, true);
    assert_int_equal(repair_next(&r, 1002 * QR_SECOND).action, REPAIR_ASK);
    repair_answered(&r, 2, &hole, REPAIR_TRIMMED, 1002 * QR_SECOND);
    step = repair_next(&r, 1002 * QR_SECOND);
    assert_int_equal(step.action, REPAIR_FETCH);
    assert_int_equal(step.to, 2);
}

static void one_that_does_not_fit_is_no_way_out_H4(void **state)
{
    (void)state;
    struct repair r;
    trimmed_at(&r, 1, 1);
    knows_nothing(&r, 2, 1);
    assert_int_equal(repair_next(&r, 3 * QR_SECOND).action, REPAIR_FETCH);
    assert_false(repair_offered(&r, &own, 1, 4, 2, 3 * QR_SECOND));
    assert_int_equal(repair_next(&r, 4 * QR_SECOND).action, REPAIR_FETCH);
    assert_int_equal(repair_next(&r, 13 * QR_SECOND).action, REPAIR_FETCH);
    assert_int_equal(repair_next(&r, 14 * QR_SECOND).action, REPAIR_DROP);
}

static void a_member_that_gives_none_is_no_way_out_H4(void **state)
{
    (void)state;
    struct repair r;
    trimmed_at(&r, 1, 1);
    knows_nothing(&r, 2, 1);
    assert_int_equal(repair_next(&r, 3 * QR_SECOND).action, REPAIR_FETCH);
    assert_int_equal(repair_next(&r, 62 * QR_SECOND).action, REPAIR_FETCH);
    assert_int_equal(repair_next(&r, 64 * QR_SECOND).action, REPAIR_DROP);
}

/* The third is away or damaged. Nobody could lead without it, were this node to forget; it may have
 * what is lost, and may lack what this node has. */
static void nothing_is_dropped_where_the_others_could_not_lead_H4(void **state)
{
    (void)state;
    struct repair r;
    trimmed_at(&r, 1, 1);
    for (qr_time now = 3 * QR_SECOND; now < 1000 * QR_SECOND; now += QR_SECOND) {
        assert_int_equal(repair_next(&r, now).action, REPAIR_FETCH);
        assert_false(repair_offered(&r, &own, 1, 4, 2, now));
    }
    knows_nothing(&r, 2, 1000 * QR_SECOND); /* they may lead from now on, and get further */
    assert_int_equal(repair_next(&r, 1000 * QR_SECOND).action, REPAIR_FETCH);
    assert_int_equal(repair_next(&r, 1009 * QR_SECOND).action, REPAIR_FETCH);
    assert_int_equal(repair_next(&r, 1010 * QR_SECOND).action, REPAIR_DROP);
    repair_init(&r, 0, &three);
    repair_lost_state(&r, 3);
    repair_peer(&r, 1, true); /* it has lost its own as well */
    repair_peer(&r, 2, true);
    assert_false(repair_offered(&r, &own, 2, 2, 1, QR_SECOND));
    for (qr_time now = QR_SECOND; now < 1000 * QR_SECOND; now += QR_SECOND) {
        assert_int_equal(repair_next(&r, now).action, REPAIR_FETCH);
        assert_int_equal(repair_next(&r, now).action, REPAIR_WAIT);
    }
}

/* The state alone is lost: every member is asked in turn, and without any it waits. */
static void a_lost_state_is_fetched(void **state)
{
    (void)state;
    struct repair r;
    repair_init(&r, 0, &three);
    repair_lost_state(&r, 3);
    assert_int_equal(repair_next(&r, 1000 * QR_SECOND).action, REPAIR_WAIT);
    repair_peer(&r, 1, true);
    repair_peer(&r, 2, true);
    struct repair_step step = repair_next(&r, 1000 * QR_SECOND);
    assert_int_equal(step.action, REPAIR_FETCH);
    assert_int_equal(step.least, 3);
    assert_int_equal(step.to, 1);
    assert_false(repair_offered(&r, &own, 1, 2, 1, 1000 * QR_SECOND));
    assert_int_equal(repair_next(&r, 1001 * QR_SECOND).to, 2);
    assert_int_equal(repair_next(&r, 1040 * QR_SECOND).to, 1); /* the other may yet have one */
    assert_false(repair_offered(&r, &own, 2, 2, 1, 1040 * QR_SECOND));
    assert_int_equal(repair_next(&r, 1041 * QR_SECOND).action, REPAIR_FETCH);
    assert_int_equal(repair_next(&r, 1050 * QR_SECOND).action, REPAIR_FETCH);
    assert_int_equal(repair_next(&r, 1051 * QR_SECOND).action, REPAIR_FETCH);
    assert_int_equal(repair_next(&r, 1051 * QR_SECOND).action, REPAIR_DROP_STATE);
    repair_lost_state(&r, 0);
    assert_int_equal(repair_next(&r, 1051 * QR_SECOND).action, REPAIR_DONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pattern_with_a_checkpoint),
        cmocka_unit_test(random_checkpoints_in_five_nodes),
        cmocka_unit_test(a_checkpoint_fits_or_not_H3),
        cmocka_unit_test(a_checkpoint_that_comes_is_waited_for),
        cmocka_unit_test(one_that_does_not_fit_is_no_way_out_H4),
        cmocka_unit_test(a_member_that_gives_none_is_no_way_out_H4),
        cmocka_unit_test(nothing_is_dropped_where_the_others_could_not_lead_H4),
        cmocka_unit_test(a_lost_state_is_fetched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
