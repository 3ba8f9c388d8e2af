/* True histories of sessions, of the simulator's seeds at each level, in which one thing is
 * changed: see mutated_test.c. Each is judged as it is and as a file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "played.h"
#include "written.h"

#include "base/alloc.h"
#include "base/rng.h"
#include "sim/sessions.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SEEDS 12   /* of each level */
#define TRIES 2000 /* of places for a change in a history */

struct lists_of {
    struct rng rng;
    struct list_op *ops;
    size_t n;
};

static struct list_op *any(struct lists_of *h)
{
    return &h->ops[rng_below(&h->rng, h->n)];
}

static struct list_op *any_append(struct lists_of *h)
{
    struct list_op *o = any(h);
    return o->is_append && o->result == RESULT_OK ? o : NULL;
}

/* A read that shows something. */
static struct list_op *any_read(struct lists_of *h)
{
    struct list_op *o = any(h);
    return !o->is_append && o->n > 0 ? o : NULL;
}

static uint32_t *list_of(struct list_op *o)
{
    return (uint32_t *)(uintptr_t)o->list;
}

static struct list_op *writer_of(struct lists_of *h, uint32_t key, uint32_t element)
{
    for (size_t i = 0; i < h->n; i++) {
        if (h->ops[i].is_append && h->ops[i].key == key && h->ops[i].element == element) {
            return &h->ops[i];
        }
    }
    return NULL;
}

/* The acknowledged writer of what the read shows last, or NULL. */
static struct list_op *last_writer(struct lists_of *h, const struct list_op *read)
{
    struct list_op *w = writer_of(h, read->key, read->list[read->n - 1]);
    return w != NULL && w->result == RESULT_OK ? w : NULL;
}

static bool is_shown(const struct lists_of *h, const struct list_op *append)
{
    for (size_t i = 0; i < h->n; i++) {
        const struct list_op *o = &h->ops[i];
        for (uint32_t k = 0; k < o->n && o->key == append->key; k++) {
            if (o->list[k] == append->element) {
                return true;
            }
        }
    }
    return false;
}

/* Another read of the key shows as much. */
static bool is_witnessed(const struct lists_of *h, const struct list_op *read)
{
    for (size_t i = 0; i < h->n; i++) {
        const struct list_op *o = &h->ops[i];
        if (o != read && o->key == read->key && o->n >= read->n) {
            return true;
        }
    }
    return false;
}

/* --- what breaks nothing -------------------------------------------------------------------- */

static bool an_acknowledgement_is_lost(struct lists_of *h)
{
    struct list_op *o = any_append(h);
    if (o != NULL) {
        o->result = RESULT_UNKNOWN;
        o->told = 0;
        o->position = 0;
    }
    return o != NULL;
}

static bool a_read_is_left_out(struct lists_of *h)
{
    struct list_op *o = any(h);
    if (o->is_append) {
        return false;
    }
    *o = h->ops[--h->n];
    return true;
}

static bool all_took_longer(struct lists_of *h)
{
    for (size_t i = 0; i < h->n; i++) {
        h->ops[i].start -= (int64_t)rng_below(&h->rng, 3000);
        h->ops[i].end += (int64_t)rng_below(&h->rng, 3000);
    }
    return true;
}

static bool all_reads_are_local(struct lists_of *h)
{
    for (size_t i = 0; i < h->n; i++) {
        bool is_snapshot = h->ops[i].level == READ_SNAPSHOT;
        h->ops[i].level = h->ops[i].is_append || is_snapshot ? h->ops[i].level : READ_LOCAL;
    }
    return true;
}

static bool each_is_a_session_of_its_own(struct lists_of *h)
{
    for (size_t i = 0; i < h->n; i++) {
        h->ops[i].session = 1000 + (uint32_t)i;
    }
    return true;
}

static bool no_write_is_told_its_place(struct lists_of *h)
{
    for (size_t i = 0; i < h->n; i++) {
        h->ops[i].position = h->ops[i].is_append ? 0 : h->ops[i].position;
    }
    return true;
}

/* --- what breaks something ------------------------------------------------------------------ */

static bool an_element_comes_from_nowhere(struct lists_of *h)
{
    struct list_op *o = any_read(h);
    if (o != NULL) {
        list_of(o)[o->n++] = 987654321;
    }
    return o != NULL;
}

static bool an_element_is_there_twice(struct lists_of *h)
{
    struct list_op *o = any_read(h);
    if (o != NULL) {
        list_of(o)[o->n] = o->list[rng_below(&h->rng, o->n)];
        o->n++;
    }
    return o != NULL;
}

static bool two_elements_are_swapped(struct lists_of *h)
{
    struct list_op *o = any_read(h);
    if (o == NULL || o->n < 2 || !is_witnessed(h, o)) {
        return false;
    }
    uint64_t at = 1 + rng_below(&h->rng, o->n - 1);
    uint32_t other = o->list[at];
    list_of(o)[at] = o->list[at - 1];
    list_of(o)[at - 1] = other;
    return true;
}

static bool an_element_is_missing(struct lists_of *h)
{
    struct list_op *o = any_read(h);
    if (o == NULL || o->n < 2 || !is_witnessed(h, o)) {
        return false;
    }
    uint64_t at = rng_below(&h->rng, o->n - 1);
    memmove(&list_of(o)[at], &o->list[at + 1], (o->n - at - 1) * sizeof *o->list);
    o->n--;
    return true;
}

static bool a_linearizable_read_is_stale(struct lists_of *h)
{
    struct list_op *o = any_read(h);
    const struct list_op *w = o != NULL ? last_writer(h, o) : NULL;
    bool fits = w != NULL && o->level == READ_LINEARIZABLE && w->end < o->start;
    if (fits) {
        o->n--;
    }
    return fits;
}

static bool a_write_of_ones_own_is_missing(struct lists_of *h)
{
    struct list_op *o = any_read(h);
    const struct list_op *w = o != NULL ? last_writer(h, o) : NULL;
    bool fits =
        w != NULL && o->level == READ_SESSION && w->session == o->session && w->end < o->start;
    if (fits) {
        o->n--;
    }
    return fits;
}

static bool a_session_goes_back(struct lists_of *h)
{
    const struct list_op *before = any_read(h);
    struct list_op *o = any_read(h);
    if (before == NULL || o == NULL || o->level != READ_SESSION || o->key != before->key ||
        o->session != before->session || before->end >= o->start ||
        before->level == READ_SNAPSHOT) {
        return false;
    }
    o->n = (uint32_t)rng_below(&h->rng, before->n);
    return true;
}

static bool a_bounded_read_is_older(struct lists_of *h)
{
    struct list_op *o = any_read(h);
    const struct list_op *w = o != NULL ? last_writer(h, o) : NULL;
    bool fits = w != NULL && o->level == READ_BOUNDED && o->behind == NOT_COUNTED &&
                w->end < o->start - o->bound;
    if (fits) {
        o->n--;
    }
    return fits;
}

/* As many as the bound and one more, of its own key, were acknowledged when it began. */
static bool a_counted_read_is_older(struct lists_of *h)
{
    struct list_op *o = any_read(h);
    if (o == NULL || o->level != READ_BOUNDED || o->behind == NOT_COUNTED || o->n <= o->behind) {
        return false;
    }
    for (uint64_t i = 0; i <= o->behind; i++) {
        const struct list_op *w = writer_of(h, o->key, o->list[o->n - 1 - i]);
        if (w == NULL || w->result != RESULT_OK || w->end >= o->start) {
            return false;
        }
    }
    o->n -= (uint32_t)o->behind + 1;
    return true;
}

static bool a_snapshot_lacks_something(struct lists_of *h)
{
    struct list_op *o = any_read(h);
    const struct list_op *w = o != NULL ? last_writer(h, o) : NULL;
    bool fits =
        w != NULL && o->level == READ_SNAPSHOT && w->position != 0 && w->position <= o->position;
    if (fits) {
        o->n--;
    }
    return fits;
}

static bool a_snapshot_shows_too_much(struct lists_of *h)
{
    struct list_op *o = any_read(h);
    const struct list_op *more = any_read(h);
    if (o == NULL || more == NULL || o->level != READ_SNAPSHOT || more->key != o->key ||
        more->n <= o->n) {
        return false;
    }
    const struct list_op *w = writer_of(h, o->key, more->list[o->n]);
    if (w == NULL || w->position <= o->position) {
        return false;
    }
    list_of(o)[o->n] = more->list[o->n];
    o->n++;
    return true;
}

/* From all that was read, and somebody read linearizably when it was acknowledged. */
static bool an_acknowledged_write_is_lost(struct lists_of *h)
{
    const struct list_op *lost = any_append(h), *read = any_read(h);
    if (lost == NULL || read == NULL || read->key != lost->key || lost->end >= read->start ||
        read->level != READ_LINEARIZABLE) {
        return false;
    }
    for (size_t i = 0; i < h->n; i++) {
        struct list_op *o = &h->ops[i];
        for (uint32_t k = 0; k < o->n && o->key == lost->key; k++) {
            if (o->list[k] == lost->element) {
                memmove(&list_of(o)[k], &o->list[k + 1], (o->n - k - 1) * sizeof *o->list);
                o->n--;
            }
        }
    }
    return true;
}

static bool a_write_is_shown_before_it_began(struct lists_of *h)
{
    struct list_op *o = any_read(h);
    const struct list_op *w =
        o != NULL ? writer_of(h, o->key, o->list[rng_below(&h->rng, o->n)]) : NULL;
    if (w != NULL) {
        o->end = w->start - 1;
        o->start = o->end - 1;
    }
    return w != NULL;
}

static bool a_write_that_is_shown_is_called_failed(struct lists_of *h)
{
    struct list_op *o = any_append(h);
    bool fits = o != NULL && is_shown(h, o);
    if (fits) {
        o->result = RESULT_FAIL;
    }
    return fits;
}

/* Two writes of a session, the one after the other, have changed places for everybody. */
static bool two_writes_of_a_session_are_swapped(struct lists_of *h)
{
    const struct list_op *a = any_append(h), *b = any_append(h);
    if (a == NULL || b == NULL || a->session != b->session || a->key != b->key ||
        a->end >= b->start || !is_shown(h, b)) {
        return false;
    }
    for (size_t i = 0; i < h->n; i++) {
        struct list_op *o = &h->ops[i];
        o->told = o->is_append && o->key == a->key ? 0 : o->told;
        for (uint32_t k = 0; k < o->n && o->key == a->key; k++) {
            uint32_t e = o->list[k];
            list_of(o)[k] = e == a->element ? b->element : e == b->element ? a->element : e;
        }
    }
    return true;
}

static bool an_append_was_told_another_length(struct lists_of *h)
{
    struct list_op *o = any_append(h);
    bool fits = o != NULL && o->told != 0 && is_shown(h, o);
    if (fits) {
        o->told += 1 + (uint32_t)rng_below(&h->rng, 3);
    }
    return fits;
}

static bool a_write_was_told_a_later_place(struct lists_of *h)
{
    struct list_op *a = any_append(h);
    const struct list_op *b = any_append(h);
    if (a == NULL || b == NULL || a->position == 0 || b->position <= a->position ||
        a->end >= b->start) {
        return false;
    }
    a->position = b->position + 1;
    return true;
}

/* --- all of them ---------------------------------------------------------------------------- */

static const struct {
    const char *name;
    bool is_harmless;
    bool (*make)(struct lists_of *h);
} changes[] = {
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
    HARMLESS(all_took_longer),
    HARMLESS(all_reads_are_local),
    HARMLESS(each_is_a_session_of_its_own),
    HARMLESS(no_write_is_told_its_place),
    HARMFUL(an_element_comes_from_nowhere),
    HARMFUL(an_element_is_there_twice),
    HARMFUL(two_elements_are_swapped),
    HARMFUL(an_element_is_missing),
    HARMFUL(a_linearizable_read_is_stale),
    HARMFUL(a_write_of_ones_own_is_missing),
    HARMFUL(a_session_goes_back),
    HARMFUL(a_bounded_read_is_older),
    HARMFUL(a_counted_read_is_older),
    HARMFUL(a_snapshot_lacks_something),
    HARMFUL(a_snapshot_shows_too_much),
    HARMFUL(an_acknowledged_write_is_lost),
    HARMFUL(a_write_is_shown_before_it_began),
    HARMFUL(a_write_that_is_shown_is_called_failed),
    HARMFUL(two_writes_of_a_session_are_swapped),
    HARMFUL(an_append_was_told_another_length),
    HARMFUL(a_write_was_told_a_later_place),
};

struct tally {
    const char *strategy;
    uint64_t seed;
    unsigned made[ARRAY_COUNT(changes)];
};

/* A copy that a change may do anything to; each list has room for one element more. */
static void copy(struct lists_of *h, const struct list_history *from, uint32_t *room)
{
    h->n = from->n;
    for (size_t i = 0; i < h->n; i++) {
        h->ops[i] = from->ops[i];
        h->ops[i].list = room;
        if (h->ops[i].n > 0) {
            memcpy(room, from->ops[i].list, h->ops[i].n * sizeof *room);
        }
        room += h->ops[i].n + 1;
    }
}

static bool all_are_told(const struct lists_of *h)
{
    for (size_t i = 0; i < h->n; i++) {
        if (h->ops[i].is_append && h->ops[i].result == RESULT_OK && h->ops[i].told == 0) {
            return false;
        }
    }
    return true;
}

static void judge(const struct tally *t, const char *name, const struct lists_of *h, bool good)
{
    char said[600] = "";
    struct guarantees_report report = guarantees_check(h->ops, h->n);
    int code = all_are_told(h) ? written_judge(h->ops, h->n, said, sizeof said) : !good;
    if (report.is_broken == good || code != (good ? 0 : 1)) {
        fail_msg("%s, seed %" PRIu64 ", %s: %s, as a file %s", t->strategy, t->seed, name,
                 report.is_broken ? guarantee_name(report.broken) : "good", said);
    }
}

static void change_lists(void *context, struct world *w)
{
    struct tally *tally = context;
    struct list_history truth = sessions_history(w);
    struct lists_of h = { .rng = rng_from(w->seed) };
    size_t elements = truth.n;
    for (size_t i = 0; i < truth.n; i++) {
        elements += truth.ops[i].n;
    }
    uint32_t *room = qr_alloc((elements + 1) * sizeof *room);
    h.ops = qr_alloc((truth.n + 1) * sizeof *h.ops);
    for (size_t c = 0; c < ARRAY_COUNT(changes) && truth.n > 0; c++) {
        copy(&h, &truth, room);
        bool made = false;
        for (unsigned i = 0; i < TRIES && !made; i++) {
            made = changes[c].make(&h);
        }
        judge(tally, changes[c].name, &h, !made || changes[c].is_harmless);
        tally->made[c] += made ? 1 : 0;
    }
    free(h.ops);
    free(room);
    list_history_free(&truth);
}

static void test_lists_with_one_thing_changed(void **state)
{
    (void)state;
    static const char *const strategies[] = { "raft:linearizable", "raft:session", "raft:bounded",
                                              "raft:snapshot", "raft:local" };
    struct tally tally = { 0 };
    for (size_t s = 0; s < ARRAY_COUNT(strategies); s++) {
        tally.strategy = strategies[s];
        for (tally.seed = 1; tally.seed <= SEEDS; tally.seed++) {
            assert_int_equal(play(tally.strategy, tally.seed, change_lists, &tally),
                             VIOLATION_NONE);
        }
    }
    for (size_t c = 0; c < ARRAY_COUNT(changes); c++) {
        if (tally.made[c] < SEEDS / 4) {
            fail_msg("%s: in %u histories only", changes[c].name, tally.made[c]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists_with_one_thing_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
