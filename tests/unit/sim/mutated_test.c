/* True histories of registers, of the simulator's seeds, in which one thing is changed. What breaks
 * a guarantee must be found, and what breaks none must not; nothing may be undecided. The small
 * histories of cross_test.c say that the checkers are right, these that they are on what clients
 * really do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "played.h"

#include "base/alloc.h"
#include "base/rng.h"
#include "sim/checkers/linearizable.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SEEDS 60
#define TRIES 2000 /* of places for a change in a history */

/* --- registers, counters, appended values --------------------------------------------------- */

struct registers {
    struct rng rng;
    struct history_op *ops;
    size_t n;
};

static struct history_op *any(struct registers *h)
{
    return &h->ops[rng_below(&h->rng, h->n)];
}

static bool is_answered(const struct history_op *o)
{
    return o->result.kind != RESULT_UNKNOWN && o->result.kind != RESULT_FAIL;
}

static void leave_out(struct registers *h, const struct history_op *o)
{
    size_t at = (size_t)(o - h->ops);
    memmove(&h->ops[at], &h->ops[at + 1], (h->n - at - 1) * sizeof *h->ops);
    h->n--;
}

/* The only set of what the read saw, on a key of sets, gets and dels. */
static struct history_op *source_of(const struct registers *h, const struct history_op *read)
{
    struct history_op *found = NULL;
    unsigned count = 0;
    for (size_t i = 0; i < h->n && read->kind == OP_GET && read->result.kind == RESULT_VALUE; i++) {
        struct history_op *o = &h->ops[i];
        if (o->key == read->key && o->kind == OP_SET &&
            model_value_equal(&o->argument, &read->result.value)) {
            found = o;
            count++;
        }
    }
    return count == 1 ? found : NULL;
}

static bool an_acknowledgement_is_lost(struct registers *h)
{
    struct history_op *o = any(h);
    bool fits = o->kind != OP_GET && is_answered(o);
    o->result.kind = fits ? RESULT_UNKNOWN : o->result.kind;
    return fits;
}

static bool a_read_is_left_out(struct registers *h)
{
    struct history_op *o = any(h);
    bool fits = o->kind == OP_GET;
    if (fits) {
        leave_out(h, o);
    }
    return fits;
}

static bool a_refused_write_is_left_out(struct registers *h)
{
    struct history_op *o = any(h);
    bool fits = o->result.kind == RESULT_FAIL;
    if (fits) {
        leave_out(h, o);
    }
    return fits;
}

static bool all_took_longer(struct registers *h)
{
    for (size_t i = 0; i < h->n; i++) {
        h->ops[i].start -= (int64_t)rng_below(&h->rng, 3000);
        h->ops[i].end += (int64_t)rng_below(&h->rng, 3000);
    }
    return true;
}

static bool a_value_comes_from_nowhere(struct registers *h)
{
    struct history_op *o = any(h);
    bool fits = o->kind == OP_GET && is_answered(o);
    o->result = fits ? (struct model_result){ .kind = RESULT_VALUE,
                                              .value = model_value_of_number(123456789012) }
                     : o->result;
    return fits;
}

static bool a_read_is_stale(struct registers *h)
{
    struct history_op *read = any(h), *older = any(h);
    const struct history_op *newer = source_of(h, read);
    struct history_op shown = { .kind = OP_GET, .key = read->key };
    shown.result = (struct model_result){ .kind = RESULT_VALUE, .value = older->argument };
    if (newer == NULL || newer->result.kind != RESULT_OK || older->result.kind != RESULT_OK ||
        source_of(h, &shown) != older || older->end >= newer->start || newer->end >= read->start) {
        return false;
    }
    read->result = shown.result;
    return true;
}

static bool a_key_is_missed(struct registers *h)
{
    struct history_op *read = any(h);
    const struct history_op *set = source_of(h, read);
    bool fits = read->key == 0 && set != NULL && set->result.kind == RESULT_OK &&
                set->end < read->start; /* nobody deletes key 0 */
    read->result.kind = fits ? RESULT_NIL : read->result.kind;
    return fits;
}

static bool a_write_that_was_seen_is_lost(struct registers *h)
{
    const struct history_op *set = source_of(h, any(h));
    if (set != NULL) {
        leave_out(h, set);
    }
    return set != NULL;
}

static bool a_write_that_was_seen_is_called_failed(struct registers *h)
{
    struct history_op *set = source_of(h, any(h));
    if (set != NULL) {
        set->result.kind = RESULT_FAIL;
    }
    return set != NULL;
}

static bool a_write_is_seen_before_it_began(struct registers *h)
{
    struct history_op *read = any(h);
    const struct history_op *set = source_of(h, read);
    if (set != NULL) {
        read->end = set->start - 1;
        read->start = read->end - (int64_t)rng_below(&h->rng, 1000);
    }
    return set != NULL;
}

static bool two_answers_are_swapped(struct registers *h)
{
    struct history_op *a = any(h), *b = any(h);
    const struct history_op *x = source_of(h, a), *y = source_of(h, b);
    if (x == NULL || y == NULL || a->key != b->key || x->end >= y->start || a->end >= b->start ||
        x->result.kind != RESULT_OK) {
        return false;
    }
    struct model_result other = a->result;
    a->result = b->result;
    b->result = other;
    return true;
}

static bool two_increments_have_one_result(struct registers *h)
{
    struct history_op *a = any(h), *b = any(h);
    if (a == b || a->key != b->key || a->kind != OP_INCR || b->kind != OP_INCR || !is_answered(a) ||
        !is_answered(b)) {
        return false;
    }
    a->result = b->result;
    return true;
}

static const struct {
    const char *name;
    bool is_harmless;
    bool (*make)(struct registers *h);
} register_changes[] = {
#define HARMLESS(name)    \
    {                     \
#name, true, name \
    }
#define HARMFUL(name)      \
    {                      \
#name, false, name \
    }
    HARMLESS(an_acknowledgement_is_lost),
    HARMLESS(a_read_is_left_out),
    HARMLESS(a_refused_write_is_left_out),
    HARMLESS(all_took_longer),
    HARMFUL(a_value_comes_from_nowhere),
    HARMFUL(a_read_is_stale),
    HARMFUL(a_key_is_missed),
    HARMFUL(a_write_that_was_seen_is_lost),
    HARMFUL(a_write_that_was_seen_is_called_failed),
    HARMFUL(a_write_is_seen_before_it_began),
    HARMFUL(two_answers_are_swapped),
    HARMFUL(two_increments_have_one_result),
};

struct tally {
    uint64_t seed;
    unsigned made[64];
};

static void change_registers(void *context, struct world *w)
{
    struct tally *tally = context;
    struct registers h = { .rng = rng_from(w->seed) };
    h.ops = qr_alloc(w->operation_count * sizeof *h.ops);
    for (size_t c = 0; c < ARRAY_COUNT(register_changes); c++) {
        h.n = w->operation_count - 1;
        for (size_t i = 0; i < h.n; i++) {
            h.ops[i] = w->operations[i + 1].record;
        }
        bool made = false;
        for (unsigned i = 0; i < TRIES && !made; i++) {
            made = register_changes[c].make(&h);
        }
        enum verdict right =
            !made || register_changes[c].is_harmless ? VERDICT_LINEARIZABLE : VERDICT_VIOLATED;
        enum verdict verdict = linearizable_check(h.ops, h.n, LINEARIZABLE_STEPS_MAX).verdict;
        if (verdict != right) {
            fail_msg("seed %" PRIu64 ", %s: %d", tally->seed, register_changes[c].name,
                     (int)verdict);
        }
        tally->made[c] += made ? 1 : 0;
    }
    free(h.ops);
}

static void test_registers_with_one_thing_changed(void **state)
{
    (void)state;
    struct tally tally = { 0 };
    for (tally.seed = 1; tally.seed <= SEEDS; tally.seed++) {
        assert_int_equal(play("raft", tally.seed, change_registers, &tally), VIOLATION_NONE);
    }
    for (size_t c = 0; c < ARRAY_COUNT(register_changes); c++) {
        if (tally.made[c] < SEEDS / 12) {
            fail_msg("%s: in %u histories only", register_changes[c].name, tally.made[c]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_registers_with_one_thing_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
