/* Who may become primary, by exhaustion (decision 056; features R2 to R4, L9): groups of two to
 * five, every rule, every subset that may hold an acknowledged write, over one term and two, by a
 * failover or by a change of the rule, and every subset that stands. Whoever is chosen has all
 * that was acknowledged, or nobody is; with LOCAL the loss is told. And nobody is waited for
 * without need: where a choice stops, some set of nodes that could hold a write is away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "cluster/succession.h"

#define NODES_MAX 5
#define P0 0 /* the first primary */
#define E1 1 /* the two writes, as bits of what a log holds */
#define E2 2

struct node {
    uint8_t holds;
    qr_term last_term;
    qr_slot last_slot;
};

struct world {
    uint32_t n;
    struct node node[NODES_MAX];
    struct succession record;
    struct succession_wish wish;
    uint64_t chosen, stopped, lost; /* so that it is seen to be about something */
};

static uint32_t count(uint32_t set)
{
    return (uint32_t)__builtin_popcount(set);
}

/* The definition, word by word: the primary, all of the set, so many others. */
static bool suffices(const struct view *v, uint32_t copies)
{
    uint32_t others = copies & v->members & ~(1u << v->primary) & ~(uint32_t)v->set;
    return (copies >> v->primary & 1) != 0 && (v->set & ~copies) == 0 && count(others) >= v->copies;
}

/* Whether a set of nodes that suffices has nobody in common with these. */
static bool avoidable(const struct view *v, uint32_t standing)
{
    return suffices(v, v->members & ~standing);
}

static struct succession_scene scene_of(const struct world *w, uint32_t standing)
{
    struct succession_scene s = {
        .alive = (uint16_t)standing, .lease_over = true, .grace_over = true, .to = NODE_NONE
    };
    for (uint32_t i = 0; i < w->n; i++) {
        s.told[i] = (struct succession_told){ .life = 1 + i,
                                              .promised = w->record.term,
                                              .last_term = w->node[i].last_term,
                                              .last_slot = w->node[i].last_slot,
                                              .handed_to = NODE_NONE };
    }
    return s;
}

/* The primary's lease ends; those stand. True when somebody was chosen. */
static bool fail_over(struct world *w, uint32_t standing, struct succession_action *out)
{
    struct succession_scene scene = scene_of(w, standing);
    *out = succession_turn(&w->record, &w->wish, &scene);
    assert_int_equal(out->kind, SUCCESSION_WRITE);
    assert_int_equal(out->next.primary, NODE_NONE);
    w->record = out->next;
    scene = scene_of(w, standing);
    *out = succession_turn(&w->record, &w->wish, &scene);
    assert_true(out->kind == SUCCESSION_WRITE || out->kind == SUCCESSION_STOP);
    w->chosen += out->kind == SUCCESSION_WRITE;
    w->stopped += out->kind == SUCCESSION_STOP;
    if (out->kind == SUCCESSION_WRITE) {
        assert_true((standing >> out->next.primary & 1) != 0);
        assert_int_equal(out->next.term, w->record.term);
        w->record = out->next;
    }
    return out->kind == SUCCESSION_WRITE;
}

/* `strict`: acknowledged by more than LOCAL; `local`: by LOCAL. */
static void assert_has(struct world *w, const struct succession_action *a, uint8_t strict,
                       uint8_t local)
{
    uint8_t lacks = (uint8_t)~w->node[a->next.primary].holds;
    assert_int_equal(strict & lacks, 0);
    assert_false(a->loss.promised_more);
    if ((local & lacks) != 0) {
        assert_true(a->loss.possible);
        assert_int_equal(a->loss.slot, w->node[a->next.primary].last_slot);
        assert_int_equal(a->loss.term, w->node[a->next.primary].last_term);
        w->lost++;
    }
}

/* The primary of this term appends `what` and it comes to `copies`, with all that is before it.
 * True when it is acknowledged. */
static bool write_to(struct world *w, uint8_t what, uint32_t copies)
{
    struct view v = succession_view(&w->record);
    struct node after = w->node[v.primary];
    after.holds |= what;
    after.last_term = v.term;
    after.last_slot++;
    for (uint32_t i = 0; i < w->n; i++) {
        if ((copies >> i & 1) != 0) {
            w->node[i] = after;
        }
    }
    return suffices(&v, copies);
}

/* LOCAL, ANY 1 .. n-1, and sets of 1 .. n-1, the largest of which is ALL. */
static uint32_t rules(uint32_t n)
{
    return 2 * n - 1;
}

static struct succession_wish wish_of(uint32_t n, uint32_t rule)
{
    struct succession_wish wish = { .members = (uint16_t)((1u << n) - 1) };
    if (rule >= n) {
        wish.set_of = wish.members;
        wish.set_count = (uint8_t)(rule - n + 1);
    } else {
        wish.copies = (uint8_t)rule;
    }
    return wish;
}

static bool is_local(const struct succession *s)
{
    return s->rule.set == 0 && s->rule.copies == 0;
}

static struct world world_of(uint32_t n, uint32_t rule)
{
    struct world w = { .n = n, .wish = wish_of(n, rule) };
    assert_true(succession_wish_is_sound(&w.wish));
    w.record = succession_first(&w.wish, P0);
    struct succession_scene scene = scene_of(&w, w.wish.members);
    struct succession_action a = succession_turn(&w.record, &w.wish, &scene);
    assert_int_equal(a.kind, SUCCESSION_WRITE);
    assert_int_equal(a.next.primary, P0);
    assert_int_equal(a.next.term, 1);
    assert_false(a.loss.possible);
    w.record = a.next;
    return w;
}

/* --- One term --------------------------------------------------------------------------------- */

static void one_term(struct world *w, uint32_t copies, uint32_t standing)
{
    struct world v = *w;
    struct view view = succession_view(&v.record);
    struct succession_action a;
    bool acked = write_to(&v, E1, copies);
    if (fail_over(&v, standing, &a)) {
        assert_has(&v, &a, acked && !is_local(&w->record) ? E1 : 0, acked ? E1 : 0);
    } else {
        assert_true(avoidable(&view, standing));
    }
    w->chosen = v.chosen;
    w->stopped = v.stopped;
    w->lost = v.lost;
}

static void test_whoever_is_chosen_has_what_was_acknowledged(void **state)
{
    (void)state;
    for (uint32_t n = 2; n <= NODES_MAX; n++) {
        for (uint32_t rule = 0; rule < rules(n); rule++) {
            struct world w = world_of(n, rule);
            for (uint32_t copies = 1; copies < 1u << n; copies += 2) {
                for (uint32_t standing = 0; standing < 1u << n; standing++) {
                    one_term(&w, copies, standing);
                }
            }
            assert_true(w.chosen > 0 && w.stopped > 0);
            assert_true((w.lost > 0) == (rule == 0));
        }
    }
}

/* LOCAL waits for its grace; nothing else is chosen for it. */
static void test_before_the_grace_nobody_is_chosen_with_a_loss(void **state)
{
    (void)state;
    for (uint32_t n = 2; n <= NODES_MAX; n++) {
        struct world w = world_of(n, 0);
        write_to(&w, E1, 1);
        w.record.term++;
        w.record.primary = NODE_NONE;
        for (uint32_t standing = 0; standing < 1u << n; standing++) {
            struct succession_scene scene = scene_of(&w, standing);
            scene.grace_over = false;
            struct succession_action a = succession_turn(&w.record, &w.wish, &scene);
            assert_int_equal(a.kind == SUCCESSION_WRITE, (standing & 1u << P0) != 0);
            assert_int_equal(a.loss.possible, false);
        }
    }
}

/* --- Two terms: a failover between ------------------------------------------------------------ */

/* The first write at c1, those of s1 stand; then a second one at c2, and those of s2 stand. */
static void two_terms(struct world *w, uint32_t c1, uint32_t s1)
{
    struct world v = *w;
    struct succession_action a;
    bool local = is_local(&v.record);
    uint8_t acked = write_to(&v, E1, c1) ? E1 : 0;
    if (!fail_over(&v, s1, &a)) {
        return;
    }
    uint8_t owed = acked & (local ? v.node[a.next.primary].holds : acked);
    uint32_t all = 1u << v.n, self = 1u << a.next.primary;
    for (uint32_t c2 = 0; c2 < all; c2++) {
        if ((c2 & self) == 0) {
            continue;
        }
        struct world x = v;
        uint8_t also = write_to(&x, E2, c2) ? E2 : 0;
        for (uint32_t s2 = 0; s2 < all; s2++) {
            struct world y = x;
            if (fail_over(&y, s2, &a)) {
                assert_has(&y, &a, local ? 0 : acked | also, owed | also);
            }
            w->chosen += y.chosen - x.chosen;
            w->stopped += y.stopped - x.stopped;
        }
    }
}

static void test_over_two_primaries_as_well(void **state)
{
    (void)state;
    for (uint32_t n = 2; n <= NODES_MAX; n++) {
        for (uint32_t rule = 0; rule < rules(n); rule++) {
            struct world w = world_of(n, rule);
            for (uint32_t c1 = 1; c1 < 1u << n; c1 += 2) {
                for (uint32_t s1 = 1; s1 < 1u << n; s1++) {
                    two_terms(&w, c1, s1);
                }
            }
            assert_true(w.chosen > 0 && w.stopped > 0);
        }
    }
}

/* --- Two terms of one primary: the rule changes ----------------------------------------------- */

/* The rule after a change that the module itself writes down, all nodes being there. */
static void change_rule(struct world *w, uint32_t rule)
{
    struct succession_scene scene = scene_of(w, (1u << w->n) - 1);
    w->wish = wish_of(w->n, rule);
    scene.lease_over = false;
    scene.caught = scene.alive;
    scene.told[P0].settled = w->record.term;
    for (uint32_t turns = 0; turns < 2; turns++) {
        struct succession_action a = succession_turn(&w->record, &w->wish, &scene);
        if (a.kind == SUCCESSION_WRITE) {
            w->record = a.next;
        }
        assert_int_equal(w->record.primary, P0);
    }
}

static void settle(struct world *w)
{
    struct succession_scene scene = scene_of(w, (1u << w->n) - 1);
    scene.lease_over = false;
    scene.told[P0].settled = w->record.term;
    struct succession_action a = succession_turn(&w->record, &w->wish, &scene);
    assert_int_equal(a.reason, SUCCESSION_SETTLED);
    w->record = a.next;
}

/* What is acknowledged under a rule is owed by that rule, whatever comes behind it: the second
 * write comes under another rule, at c2, and the term is settled or not when its primary goes. */
static void rule_change(struct world *w, uint32_t other, uint32_t c1, uint32_t c2, bool settled)
{
    struct world v = *w;
    uint8_t owed[2] = { 0, 0 }; /* by more than LOCAL, by LOCAL */
    if (write_to(&v, E1, c1)) {
        owed[is_local(&v.record)] |= E1;
    }
    change_rule(&v, other);
    assert_int_equal(v.record.term, 2);
    bool acked = write_to(&v, E2, c2);
    if (acked) {
        owed[is_local(&v.record)] |= E2;
    }
    if (settled && !acked) {
        return;
    }
    if (settled) {
        settle(&v);
    }
    for (uint32_t standing = 0; standing < 1u << v.n; standing++) {
        struct world y = v;
        struct succession_action a;
        if (fail_over(&y, standing, &a)) {
            assert_has(&y, &a, owed[0], owed[1]);
        }
        w->chosen += y.chosen;
        w->stopped += y.stopped;
    }
}

static void test_each_rule_is_owed_what_it_acknowledged(void **state)
{
    (void)state;
    for (uint32_t n = 2; n <= NODES_MAX; n++) {
        for (uint32_t pair = 0; pair < rules(n) * rules(n); pair++) {
            uint32_t rule = pair / rules(n), other = pair % rules(n);
            if (rule == other) {
                continue;
            }
            struct world w = world_of(n, rule);
            for (uint32_t c1 = 1; c1 < 1u << n; c1 += 2) {
                for (uint32_t c2 = 1; c2 < 1u << n; c2 += 2) {
                    rule_change(&w, other, c1, c2, false);
                    rule_change(&w, other, c1, c2, true);
                }
            }
            assert_true(w.chosen > 0 && w.stopped > 0);
        }
    }
}

/* --- Room for one duty more ------------------------------------------------------------------- */

static struct succession_duty random_duty(struct rng *rng)
{
    uint16_t all = (1u << NODES_MAX) - 1, primary = (uint16_t)(1u << rng_below(rng, NODES_MAX));
    struct succession_duty duty = { .rule = { .members = (uint16_t)(primary |
                                                                    (rng_below(rng, all + 1u))) },
                                    .primaries = primary,
                                    .last = 1 + rng_below(rng, 5) };
    uint32_t others = count(duty.rule.members) - 1, kind = (uint32_t)rng_below(rng, 5);
    if (kind < 2 && others > 0) {
        duty.rule.copies = (uint8_t)(1 + rng_below(rng, others));
    } else if (kind < 4) {
        duty.rule.set = (uint16_t)(primary | (duty.rule.members & rng_below(rng, all + 1u)));
    }
    return duty;
}

/* All of them have the same entry, so that nothing but the duties decides. */
static bool is_met_by(const struct succession *record, uint32_t standing)
{
    struct succession_wish wish = { .members = (1u << NODES_MAX) - 1 };
    struct succession_scene s = { .alive = (uint16_t)standing, .lease_over = true };
    for (uint32_t i = 0; i < NODES_MAX; i++) {
        s.told[i] = (struct succession_told){ .life = 1, .promised = record->term, .last_term = 1 };
    }
    s.to = NODE_NONE;
    return succession_turn(record, &wish, &s).kind == SUCCESSION_WRITE;
}

static struct succession owing(const struct succession_rule *rule,
                               const struct succession_duty *duties, uint32_t n)
{
    struct succession record = {
        .term = 9, .primary = NODE_NONE, .before = NODE_NONE, .preferred = NODE_NONE, .rule = *rule
    };
    for (uint32_t i = 0; i < n; i++) {
        record.duty[record.duty_count++] = duties[i];
    }
    return record;
}

/* S8: with all places taken the rule changes; whoever is chosen from then on meets each duty that
 * there was before. */
static void room_is_made(struct rng *rng, uint64_t *changed, uint64_t *chosen)
{
    struct world w = world_of(NODES_MAX, 0);
    struct succession_duty before[SUCCESSION_DUTIES_MAX];
    for (uint32_t i = 0; i < SUCCESSION_DUTIES_MAX; i++) {
        before[i] = random_duty(rng);
        w.record.duty[i] = before[i];
    }
    w.record.duty_count = SUCCESSION_DUTIES_MAX;
    w.record.settled = w.record.term = 9;
    w.wish = wish_of(NODES_MAX, 1 + (uint32_t)rng_below(rng, rules(NODES_MAX) - 1));
    struct succession_scene scene = scene_of(&w, (1u << NODES_MAX) - 1);
    scene.lease_over = false;
    scene.caught = scene.alive;
    struct succession_action a = succession_turn(&w.record, &w.wish, &scene);
    if (a.kind != SUCCESSION_WRITE) {
        assert_int_equal(a.reason, SUCCESSION_UNSETTLED);
        return;
    }
    *changed += 1;
    assert_in_range(a.next.duty_count, 1, SUCCESSION_DUTIES_MAX);
    struct succession after = owing(&a.next.rule, a.next.duty, a.next.duty_count);
    for (uint32_t standing = 1; standing < 1u << NODES_MAX; standing++) {
        if (!is_met_by(&after, standing)) {
            continue;
        }
        *chosen += 1;
        for (uint32_t i = 0; i < SUCCESSION_DUTIES_MAX; i++) {
            struct succession one = owing(&before[i].rule, &before[i], 1);
            assert_true(is_met_by(&one, standing));
        }
    }
}

static void test_one_duty_in_place_of_two_asks_for_no_less(void **state)
{
    (void)state;
    struct rng rng = rng_from(56);
    uint64_t changed = 0, chosen = 0;
    for (uint32_t i = 0; i < 20000; i++) {
        room_is_made(&rng, &changed, &chosen);
    }
    assert_true(changed > 15000 && chosen > 15000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whoever_is_chosen_has_what_was_acknowledged),
        cmocka_unit_test(test_before_the_grace_nobody_is_chosen_with_a_loss),
        cmocka_unit_test(test_over_two_primaries_as_well),
        cmocka_unit_test(test_each_rule_is_owed_what_it_acknowledged),
        cmocka_unit_test(test_one_duty_in_place_of_two_asks_for_no_less),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
