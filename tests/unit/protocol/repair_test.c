/* Repair: groups of 3 and 5 with every pattern of damage that fits in three slots, all nodes
 * repairing at once, some of them away (scenarios 62, 105; the rule H1..H5 of protocol/repair.h).
 * With checkpoints: repair_checkpoint_test.c. */
#include "repair_group.h"

#include "protocol/quorum.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

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
            repair_node_fill(&g.node[i], main, last, i + 1 == trimmed ? 1 : 0, mask, i + 1 == away);
            if (i + 1 == odd) {
                repair_node_diverge(&g.node[i], main, 4, mask);
            }
        }
        repair_group_run(&g);
        bool helix = odd == 0 && trimmed == 0;
        repair_group_judge(&g, helix);
        if (trimmed == 0 && code % 3 == 0) {
            repair_group_return(&g);
            repair_group_judge_kept(&g);
        }
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
        bool whole = true;
        for (uint32_t i = 0; i < 5; i++) {
            uint32_t mask = (uint32_t)(rng_next(&g.rng) & rng_next(&g.rng)) & 63;
            qr_slot last = SLOTS - 2 + rng_below(&g.rng, 2);
            qr_slot base = rng_chance(&g.rng, 1, 10) ? 2 : 0;
            repair_node_fill(&g.node[i], main, last, base, mask, rng_chance(&g.rng, 1, 6));
            helix = helix && base == 0;
            whole = whole && base == 0;
            if (rng_chance(&g.rng, 1, 20)) {
                repair_node_diverge(&g.node[i], main, SLOTS - 1, mask);
                helix = false;
            }
        }
        repair_group_run(&g);
        repair_group_judge(&g, helix);
        if (whole) {
            repair_group_return(&g);
            repair_group_judge_kept(&g);
        }
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
    repair_answered(&r, 1, &hole, REPAIR_OTHER, QR_SECOND);
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
    assert_int_equal(repair_judge(&log, &hole), REPAIR_MATCHES);
    log.base_slot = 7;
    assert_int_equal(repair_judge(&log, &hole), REPAIR_TRIMMED);
    log.state_lost = true; /* nor what only its checkpoint had */
    assert_int_equal(repair_judge(&log, &hole), REPAIR_UNKNOWN);
}

/* A log that is being repaired may lose what it has: it is not one more that can do without. */
static void who_repairs_has_no_other_entry(void **state)
{
    (void)state;
    struct term_run runs[] = { { 4, 2 } };
    struct repair_log log = { .base_slot = 3, .last_slot = 6, .runs = runs, .run_count = 1 };
    struct repair_hole unsure = hole;
    unsure.term = 0;
    assert_int_equal(repair_judge(&log, &unsure), REPAIR_OTHER);
    log.repairs = true;
    assert_int_equal(repair_judge(&log, &unsure), REPAIR_UNKNOWN);
    assert_int_equal(repair_judge(&log, &hole), REPAIR_HAS);
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
        cmocka_unit_test(who_repairs_has_no_other_entry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
