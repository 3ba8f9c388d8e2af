/* The checkers beside a judge that tries all orders (all_orders.h), on many small histories: the
 * verdicts are equal, and so they are when the history has been written down and read again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "all_orders.h"
#include "base/rng.h"
#include "written.h"

#include <inttypes.h>
#include <stdio.h>

#define OPS 7
#define LISTS 400000
#define FILES 40000

/* --- lists ---------------------------------------------------------------------------------- */

struct small {
    struct rng rng;
    struct list_op ops[OPS];
    uint32_t lists[OPS][2 * OPS];
    uint32_t log[OPS]; /* the writes that took effect, in their order */
    size_t n, log_n;
};

static size_t below(struct small *s, size_t n)
{
    return (size_t)rng_below(&s->rng, n);
}

static bool chance(struct small *s, uint64_t percent)
{
    return rng_chance(&s->rng, percent, 100);
}

/* What is to be read where so much of the log has been applied. */
static void show(struct small *s, size_t op, size_t point)
{
    struct list_op *o = &s->ops[op];
    o->list = s->lists[op];
    o->n = 0;
    for (size_t i = 0; i < point; i++) {
        const struct list_op *w = &s->ops[s->log[i]];
        if (w->key == o->key && w->group == o->group) {
            s->lists[op][o->n++] = w->element;
        }
    }
}

static struct list_op draw_op(struct small *s, size_t i, bool one_group)
{
    static const enum read_level levels[] = { READ_LINEARIZABLE, READ_LINEARIZABLE, READ_SESSION,
                                              READ_SESSION,      READ_LOCAL,        READ_BOUNDED,
                                              READ_BOUNDED,      READ_SNAPSHOT,     READ_LEADER };
    int64_t at = (int64_t)i * 10, width = (int64_t)(1 + 12 * below(s, 4));
    struct list_op o = { .session = (uint32_t)below(s, 3),
                         .key = (uint32_t)below(s, 2),
                         .is_append = chance(s, 50),
                         .element = (uint32_t)(i * 3),
                         .behind = NOT_COUNTED,
                         .start = at - (int64_t)below(s, (size_t)width),
                         .end = at + (int64_t)below(s, (size_t)width) };
    o.group = one_group ? 7 : o.key;
    int64_t shift = chance(s, 15) ? (int64_t)below(s, 41) - 20 : 0; /* to where it hardly fits */
    o.start += shift;
    o.end += shift;
    if (o.is_append) {
        o.result = chance(s, 20) ? RESULT_UNKNOWN : chance(s, 5) ? RESULT_FAIL : RESULT_OK;
        return o;
    }
    o.level = levels[below(s, ARRAY_COUNT(levels))];
    if (o.level == READ_BOUNDED) {
        o.bound = (int64_t)below(s, 25);
        o.behind = chance(s, 40) ? below(s, 3) : NOT_COUNTED;
    }
    return o;
}

/* Who reads an answer sees no question: an append, a session that reads it and then appends to the
 * other key, and another one that reads both. Dice make that too seldom. */
static void make_answer(struct list_op *o, size_t i)
{
    static const struct {
        uint32_t session, key;
        bool is_append;
    } parts[] = {
        { 0, 0, true }, { 1, 0, false }, { 1, 1, true }, { 2, 1, false }, { 2, 0, false }
    };
    if (i < ARRAY_COUNT(parts) && (!parts[i].is_append || o->is_append)) {
        o->session = parts[i].session;
        o->key = parts[i].key;
        o->is_append = parts[i].is_append;
        o->level = o->is_append ? o->level : READ_SESSION;
        o->behind = NOT_COUNTED;
    }
}

/* Positions count what was written to the group. */
static uint64_t position_at(const struct small *s, uint32_t group, size_t point)
{
    uint64_t n = 0;
    for (size_t i = 0; i < point; i++) {
        n += s->ops[s->log[i]].group == group ? 10 : 0;
    }
    return n;
}

static void draw_append(struct small *s, size_t i, bool tells)
{
    struct list_op *o = &s->ops[i];
    if (o->result != RESULT_OK && chance(s, 10)) {
        o->position = 1 + below(s, 50); /* of what has no answer it says nothing */
    }
    if (o->result == RESULT_FAIL || (o->result == RESULT_UNKNOWN && chance(s, 50))) {
        return;
    }
    size_t at = s->log_n;
    if (chance(s, 30)) { /* too early, perhaps */
        at = below(s, s->log_n + 1);
        memmove(&s->log[at + 1], &s->log[at], (s->log_n - at) * sizeof s->log[0]);
    }
    s->log[at] = (uint32_t)i;
    s->log_n++;
    if (o->result == RESULT_OK) {
        o->position = tells ? position_at(s, o->group, s->log_n) : 0;
    }
}

static void draw_read(struct small *s, size_t i)
{
    struct list_op *o = &s->ops[i];
    size_t point = s->log_n;
    if (o->level != READ_LINEARIZABLE || chance(s, 30)) {
        point -= chance(s, 50) ? below(s, s->log_n + 1) : 0;
    }
    show(s, i, point);
    if (o->level == READ_SNAPSHOT && chance(s, 90)) { /* else nobody knows of when it is */
        o->position =
            position_at(s, o->group, point) + 1 + below(s, 2) * (uint64_t)chance(s, 20) * 10;
    }
}

/* One thing is wrong: an element more, less, twice, or in another place. */
static void spoil(struct small *s)
{
    struct list_op *o = &s->ops[below(s, s->n)];
    uint32_t *list = (uint32_t *)(uintptr_t)o->list;
    if (o->is_append || o->n == 0) {
        return;
    }
    size_t at = below(s, o->n);
    switch (below(s, 4)) {
    case 0:
        list[at] = (uint32_t)(3 * below(s, OPS));
        break;
    case 1:
        o->n--;
        break;
    case 2:
        list[o->n++] = list[at];
        break;
    default: {
        uint32_t other = list[at];
        list[at] = list[0];
        list[0] = other;
    }
    }
}

/* Lengths are told of what is read: only of that they are judged. Mostly they are right. */
static void tell_lengths(struct small *s)
{
    for (size_t i = 0; i < s->n; i++) {
        for (size_t k = 0; k < s->n; k++) {
            struct list_op *w = &s->ops[k];
            const struct list_op *o = &s->ops[i];
            uint32_t bytes = 0;
            for (uint32_t e = 0; e < o->n && w->is_append && w->key == o->key; e++) {
                bytes += o->list[e] < 10 ? 2 : 3;
                if (o->list[e] == w->element && w->result == RESULT_OK && w->told == 0) {
                    w->told = chance(s, 90) ? bytes : bytes + 2;
                }
            }
        }
    }
}

static void draw_lists(struct small *s, uint64_t seed)
{
    memset(s, 0, sizeof *s);
    s->rng = rng_from(seed);
    s->n = 2 + below(s, OPS - 1);
    bool one_group = chance(s, 70), tells = chance(s, 40), answers = one_group && chance(s, 15);
    for (size_t i = 0; i < s->n; i++) {
        s->ops[i] = draw_op(s, i, one_group);
        if (answers) {
            make_answer(&s->ops[i], i);
        }
        if (s->ops[i].is_append) {
            draw_append(s, i, tells);
        } else {
            draw_read(s, i);
        }
    }
    if (chance(s, 30)) {
        spoil(s);
    }
    if (chance(s, 30)) {
        tell_lengths(s);
    }
}

static bool has_counted(const struct small *s)
{
    for (size_t i = 0; i < s->n; i++) {
        if (!s->ops[i].is_append && s->ops[i].behind != NOT_COUNTED) {
            return true;
        }
    }
    return false;
}

static void tell(const struct small *s)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct list_op *o = &s->ops[i];
        (void)fprintf(stderr, "s%u k%u g%u %s", o->session, o->key, o->group,
                      o->is_append ? "append" : "read");
        if (o->is_append) {
            (void)fprintf(stderr, " %u result %d told %u", o->element, (int)o->result, o->told);
        } else {
            (void)fprintf(stderr, " level %d bound %" PRId64 " behind %" PRId64 ":", (int)o->level,
                          o->bound, (int64_t)o->behind);
        }
        for (uint32_t k = 0; k < o->n; k++) {
            (void)fprintf(stderr, " %u", o->list[k]);
        }
        (void)fprintf(stderr, " position %" PRIu64 " [%" PRId64 ", %" PRId64 "]\n", o->position,
                      o->start, o->end);
    }
}

/* The rules up to one, or those before it, in the order in which they are looked at. */
static unsigned up_to(enum guarantee g, bool with_it)
{
    unsigned asked = 0;
    for (size_t i = 0; i < guarantee_rule_count && g != GUARANTEE_PREFIX; i++) {
        bool is_it = guarantee_rules[i].name == g;
        asked |= is_it && !with_it ? 0 : 1u << guarantee_rules[i].name;
        if (is_it) {
            return asked;
        }
    }
    return g == GUARANTEE_SNAPSHOT && with_it ? ~0u : asked;
}

/* Whether what is wrong shows in no key by itself. */
static bool is_of_keys_together(const struct small *s)
{
    for (uint32_t key = 0; key < 2; key++) {
        struct list_op alone[OPS];
        size_t n = 0;
        for (size_t i = 0; i < s->n; i++) {
            if (s->ops[i].key == key) {
                alone[n++] = s->ops[i];
            }
        }
        if (!all_orders_lists(alone, n, ~0u)) {
            return false;
        }
    }
    return true;
}

/* Of several keys it is the first rule that cannot hold with those before it. What snapshots show
 * is looked at last. */
static bool is_named_well(const struct small *s, const struct guarantees_report *report)
{
    const struct list_op *op = &s->ops[report->op], *other = &s->ops[report->other];
    if (!is_of_keys_together(s)) {
        return true;
    }
    return (report->broken == GUARANTEE_SNAPSHOT ||
            all_orders_lists(s->ops, s->n, up_to(report->broken, false))) &&
           op->group == other->group && op != other;
}

/* Of a bound of operations only what is certain is counted. */
static bool is_right(const struct small *s, const struct guarantees_report *report)
{
    bool good = all_orders_lists(s->ops, s->n, ~0u);
    if (!report->is_broken) {
        return good || has_counted(s);
    }
    /* Of operations that are counted it is their times that say which came first. */
    bool counted = report->broken == GUARANTEE_BOUNDED && s->ops[report->op].behind != NOT_COUNTED;
    enum guarantee last = counted ? GUARANTEE_LINEARIZABLE : report->broken;
    return !good && !all_orders_lists(s->ops, s->n, up_to(last, true)) &&
           (has_counted(s) || is_named_well(s, report));
}

static void test_lists_are_judged_as_by_all_orders(void **state)
{
    (void)state;
    static struct small s;
    unsigned broken[GUARANTEES] = { 0 }, good = 0;
    for (uint64_t seed = 1; seed <= LISTS; seed++) {
        draw_lists(&s, seed);
        struct guarantees_report report = guarantees_check(s.ops, s.n);
        if (!is_right(&s, &report)) {
            tell(&s);
            fail_msg("seed %" PRIu64 ": %s, which is not so", seed,
                     report.is_broken ? guarantee_name(report.broken) : "good");
        }
        broken[report.broken] += report.is_broken ? 1 : 0;
        good += report.is_broken ? 0 : 1;
    }
    assert_true(good > LISTS / 4);
    for (unsigned g = 0; g < GUARANTEES; g++) {
        if (broken[g] < LISTS / 40000) {
            fail_msg("%s: broken in %u histories only", guarantee_name(g), broken[g]);
        }
    }
}

/* --- as text -------------------------------------------------------------------------------- */

/* What every append is answered with in a file. */
static void tell_all_lengths(struct small *s)
{
    tell_lengths(s);
    for (size_t i = 0; i < s->n; i++) {
        bool none = s->ops[i].told == 0 && s->ops[i].is_append && s->ops[i].result == RESULT_OK;
        s->ops[i].told = none ? 2 : s->ops[i].told;
    }
}

static void test_a_file_is_judged_as_what_was_written_into_it(void **state)
{
    (void)state;
    static struct small s;
    char said[400], right[100];
    for (uint64_t seed = 1; seed <= FILES; seed++) {
        draw_lists(&s, seed);
        tell_all_lengths(&s);
        struct guarantees_report report = guarantees_check(s.ops, s.n);
        int code = written_judge(s.ops, s.n, said, sizeof said);
        (void)snprintf(right, sizeof right, "NOT %s: key k%u; line %zu contradicts line %zu\n",
                       guarantee_name(report.broken), s.ops[report.op].key, report.op + 1,
                       report.other + 1);
        if (code != (report.is_broken ? 1 : 0) || (report.is_broken && strcmp(said, right) != 0)) {
            tell(&s);
            fail_msg("seed %" PRIu64 ": %d, %s%s", seed, code, said, report.is_broken ? right : "");
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists_are_judged_as_by_all_orders),
        cmocka_unit_test(test_a_file_is_judged_as_what_was_written_into_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
