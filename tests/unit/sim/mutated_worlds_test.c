/* The simulator's verdicts on what it knows of the whole order: at the end of seeds that have
 * passed one thing of the world is changed, and the checkers of the end are asked again
 * (checkers/safety.h, order.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "played.h"

#include "base/rng.h"
#include "sim/checkers/safety.h"
#include "sim/sessions.h"

#include <inttypes.h>
#include <stdio.h>

#define SEEDS 25
#define TRIES 2000

struct change {
    struct world *w;
    struct rng rng;
};

static struct operation *any(struct change *c)
{
    return &c->w->operations[1 + rng_below(&c->rng, c->w->operation_count - 1)];
}

static bool is_read(const struct operation *o)
{
    enum result_kind result = o->record.result.kind;
    return o->session != 0 && o->record.kind == OP_GET && o->done &&
           (result == RESULT_VALUE || result == RESULT_NIL);
}

static const struct history_op *write_at(const struct world *w, qr_slot slot)
{
    uint32_t attempt = w->committed[slot].attempt;
    return attempt == 0 ? NULL : &w->operations[w->attempts[attempt].operation].record;
}

/* The last slot up to one that wrote to the key; 0: none. */
static qr_slot last_write(const struct world *w, uint32_t key, qr_slot slot)
{
    for (; slot > 0; slot--) {
        const struct history_op *write = write_at(w, slot);
        if (write != NULL && write->key == key) {
            return slot;
        }
    }
    return 0;
}

static bool nothing(struct change *c)
{
    (void)c;
    return true;
}

static bool an_acknowledged_write_is_in_no_slot(struct change *c)
{
    struct operation *o = any(c);
    bool fits = o->acked;
    o->acked_slot = fits ? 0 : o->acked_slot;
    return fits;
}

static bool an_acknowledged_write_is_behind_all_slots(struct change *c)
{
    struct operation *o = any(c);
    bool fits = o->acked;
    o->acked_slot = fits ? c->w->committed_count : o->acked_slot;
    return fits;
}

static bool a_read_shows_another_position(struct change *c)
{
    struct operation *o = any(c);
    qr_slot last = is_read(o) ? last_write(c->w, o->record.key, o->shown) : 0;
    if (last == 0) {
        return false;
    }
    o->shown = last - 1; /* before the write that it does show */
    return true;
}

static bool a_read_shows_what_is_not_there_yet(struct change *c)
{
    struct operation *o = any(c);
    bool fits = is_read(o);
    o->shown = fits ? c->w->committed_count : o->shown;
    return fits;
}

static bool a_linearizable_read_began_later(struct change *c)
{
    struct operation *o = any(c);
    qr_slot end = c->w->committed_count - 1;
    bool fits = is_read(o) && o->level == READ_LINEARIZABLE &&
                last_write(c->w, o->record.key, end) > o->shown;
    o->begun_at = fits ? end : o->begun_at;
    return fits;
}

static bool a_bounded_read_began_later(struct change *c)
{
    struct operation *o = any(c);
    qr_slot end = c->w->committed_count - 1;
    bool fits = is_read(o) && o->level == READ_BOUNDED &&
                last_write(c->w, o->record.key, end - c->w->options.behind) > o->shown;
    o->begun_at = fits ? end : o->begun_at;
    o->record.start = fits ? INT64_MAX / 2 : o->record.start;
    o->record.end = fits ? o->record.start : o->record.end;
    return fits;
}

/* The first write to the read's key that it does not show; 0: it shows all. */
static qr_slot first_missing(const struct world *w, const struct operation *o)
{
    for (qr_slot slot = o->shown + 1; slot < w->committed_count; slot++) {
        const struct history_op *write = write_at(w, slot);
        if (write != NULL && write->key == o->record.key) {
            return slot;
        }
    }
    return 0;
}

/* Just as many operations are missing as may be, and `more`. */
static bool count_exactly(struct change *c, qr_slot more)
{
    struct operation *o = any(c);
    qr_slot slot = is_read(o) && o->level == READ_BOUNDED ? first_missing(c->w, o) : 0;
    if (slot == 0 || c->w->options.behind == 0) {
        return false;
    }
    o->begun_at = slot - 1 + c->w->options.behind + more;
    return true;
}

static bool a_counted_read_lacks_as_much_as_it_may(struct change *c)
{
    return count_exactly(c, 0);
}

static bool a_counted_read_lacks_one_more(struct change *c)
{
    return count_exactly(c, 1);
}

/* It began so long after the write that it lacks, but for a microsecond, and `more`. */
static bool time_exactly(struct change *c, qr_time more)
{
    struct operation *o = any(c);
    qr_slot slot = is_read(o) && o->level == READ_BOUNDED ? first_missing(c->w, o) : 0;
    if (slot == 0 || c->w->options.behind != 0) {
        return false;
    }
    o->record.start = c->w->committed[slot].at + sessions_bound(c->w) - 1 + more;
    o->record.end = o->record.end > o->record.start ? o->record.end : o->record.start;
    return true;
}

static bool a_bounded_read_is_as_old_as_it_may_be(struct change *c)
{
    return time_exactly(c, 0);
}

static bool a_bounded_read_is_older_by_a_microsecond(struct change *c)
{
    return time_exactly(c, 1);
}

static bool a_register_shows_what_nobody_wrote(struct change *c)
{
    struct operation *o = any(c);
    bool fits = !sessions_is_list(c->w, o) && o->record.kind == OP_GET &&
                o->record.result.kind == RESULT_VALUE;
    o->record.result.value = fits ? model_value_of_number(123456789012) : o->record.result.value;
    return fits;
}

/* What a local read lacks of its own session it may not as one of the session. */
static bool a_local_read_was_one_of_its_session(struct change *c)
{
    struct operation *o = any(c);
    const struct operation *w = any(c);
    if (!is_read(o) || o->level != READ_LOCAL || w->session != o->session || !w->acked ||
        w->record.key != o->record.key || w->record.end >= o->record.start ||
        w->record.result.kind != RESULT_VALUE || w->acked_slot <= o->shown) {
        return false;
    }
    o->level = READ_SESSION;
    return true;
}

static const struct {
    const char *name;
    enum violation right;
    bool (*make)(struct change *c);
} changes[] = {
    { "nothing", VIOLATION_NONE, nothing },
    { "an acknowledged write is in no slot", VIOLATION_DURABILITY,
      an_acknowledged_write_is_in_no_slot },
    { "an acknowledged write is behind all slots", VIOLATION_DURABILITY,
      an_acknowledged_write_is_behind_all_slots },
    { "a read shows another position", VIOLATION_GUARANTEE, a_read_shows_another_position },
    { "a read shows what is not there yet", VIOLATION_GUARANTEE,
      a_read_shows_what_is_not_there_yet },
    { "a linearizable read began later", VIOLATION_GUARANTEE, a_linearizable_read_began_later },
    { "a bounded read began later", VIOLATION_GUARANTEE, a_bounded_read_began_later },
    { "a counted read lacks as much as it may", VIOLATION_NONE,
      a_counted_read_lacks_as_much_as_it_may },
    { "a counted read lacks one more", VIOLATION_GUARANTEE, a_counted_read_lacks_one_more },
    { "a bounded read is as old as it may be", VIOLATION_NONE,
      a_bounded_read_is_as_old_as_it_may_be },
    { "a bounded read is older by a microsecond", VIOLATION_GUARANTEE,
      a_bounded_read_is_older_by_a_microsecond },
    { "a register shows what nobody wrote", VIOLATION_LINEARIZABILITY,
      a_register_shows_what_nobody_wrote },
    { "a local read was one of its session", VIOLATION_GUARANTEE,
      a_local_read_was_one_of_its_session },
};

struct tally {
    const char *strategy;
    uint64_t seed;
    unsigned made[ARRAY_COUNT(changes)];
};

static enum violation judge(struct world *w)
{
    w->violation = VIOLATION_NONE;
    if (sigsetjmp(w->on_violation, 1) == 0) {
        safety_at_end(w);
    }
    return w->violation;
}

static void change_world(void *context, struct world *w)
{
    struct tally *tally = context;
    struct change c = { .w = w, .rng = rng_from(w->seed) };
    struct operation *before = qr_alloc(w->operation_count * sizeof *before);
    memcpy(before, w->operations, w->operation_count * sizeof *before);
    for (size_t i = 0; i < ARRAY_COUNT(changes); i++) {
        bool made = false;
        for (unsigned k = 0; k < TRIES && !made; k++) {
            made = changes[i].make(&c);
        }
        enum violation found = judge(w);
        if (found != (made ? changes[i].right : VIOLATION_NONE)) {
            fail_msg("%s, seed %" PRIu64 ", %s: %s", tally->strategy, tally->seed, changes[i].name,
                     violation_name(found));
        }
        tally->made[i] += made ? 1 : 0;
        memcpy(w->operations, before, w->operation_count * sizeof *before);
    }
    free(before);
    w->violation = VIOLATION_NONE;
}

static void test_worlds_with_one_thing_changed(void **state)
{
    (void)state;
    static const char *const strategies[] = { "raft:linearizable", "raft:bounded", "raft:session",
                                              "raft:snapshot", "raft:local" };
    struct tally tally = { 0 };
    for (size_t s = 0; s < ARRAY_COUNT(strategies); s++) {
        tally.strategy = strategies[s];
        for (tally.seed = 1; tally.seed <= SEEDS; tally.seed++) {
            assert_int_equal(play(tally.strategy, tally.seed, change_world, &tally),
                             VIOLATION_NONE);
        }
    }
    for (size_t i = 0; i < ARRAY_COUNT(changes); i++) {
        if (tally.made[i] < SEEDS / 4) {
            fail_msg("%s: in %u worlds only", changes[i].name, tally.made[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_worlds_with_one_thing_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
