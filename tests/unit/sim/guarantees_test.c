/* The checkers of guarantees. Known histories are judged in tests/sim/history; here a model of
 * replicas that follow one log makes thousands, which are good, and with one thing wrong in it bad
 * ones, which must be found and named. Lists without weaker reads are judged a second time by the
 * search for a linear order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/rng.h"
#include "sim/checkers/guarantees.h"
#include "sim/checkers/linearizable.h"

#include <stdio.h>

#define OPS 60
#define KEYS 3
#define SESSIONS 4
#define REPLICAS 3
#define STEPS 1200
#define BOUND 40
#define BEHIND 2
#define HISTORIES 1500

enum wrong {
    NOTHING_WRONG,
    SESSION_IGNORED,   /* a session's position is not looked at */
    READS_UNNOTICED,   /* reads do not move it */
    WRITES_UNNOTICED,  /* writes do not */
    BOUND_DOUBLED,     /* counted from too late a moment */
    BOUND_MISCOUNTED,  /* too many operations are missing */
    LINEARIZABLE_HERE, /* answered from a replica's state */
    SNAPSHOT_BESIDE,   /* one write more or less than at its position */
    WRITE_LOST,        /* acknowledged, and gone */
    WRITE_TWICE,       /* carried out again */
    ORDER_SWAPPED,     /* a replica applies two writes in the other order */
    WRITE_EARLY,       /* a write takes a place before others that nobody has read yet */
    WRONGS
};

struct model {
    struct rng rng;
    enum wrong wrong;
    struct list_op ops[OPS + KEYS];
    uint32_t lists[OPS + KEYS][2 * OPS];
    size_t point[OPS + KEYS]; /* what it shows of the log, or with its own entry */
    size_t n;
    uint32_t log[2 * OPS]; /* operations */
    size_t log_n;
    size_t size_at[STEPS + 1], applied[REPLICAS], seen[SESSIONS], shown;
    int busy[SESSIONS]; /* operation + 1 */
    bool effected[OPS + KEYS];
};

static bool chance(struct model *m, uint64_t percent)
{
    return rng_chance(&m->rng, percent, 100);
}

static size_t below(struct model *m, size_t n)
{
    return (size_t)rng_below(&m->rng, n);
}

static void show(struct model *m, size_t op, size_t point)
{
    struct list_op *o = &m->ops[op];
    o->n = 0;
    o->list = m->lists[op];
    for (size_t i = 0; i < point; i++) {
        const struct list_op *w = &m->ops[m->log[i]];
        if (w->key == o->key) {
            m->lists[op][o->n++] = w->element;
        }
    }
    if (m->wrong == ORDER_SWAPPED && o->level == READ_LOCAL && o->n > 1) {
        uint32_t last = m->lists[op][o->n - 1];
        m->lists[op][o->n - 1] = m->lists[op][o->n - 2];
        m->lists[op][o->n - 2] = last;
    }
    m->point[op] = point;
    m->shown = point > m->shown ? point : m->shown;
}

static size_t size_before(const struct model *m, int64_t start, int64_t bound)
{
    return start > bound ? m->size_at[start - bound] : 0;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static void take_read(struct model *m, size_t op)
{
    struct list_op *o = &m->ops[op];
    size_t here = m->applied[below(m, REPLICAS)], bound = BOUND, behind = BEHIND;
    switch (o->level) {
    case READ_LINEARIZABLE:
        here = m->wrong == LINEARIZABLE_HERE ? here : m->log_n;
        break;
    case READ_SESSION:
        here = m->wrong == SESSION_IGNORED ? here : larger(here, m->seen[o->session]);
        break;
    case READ_BOUNDED:
        if (o->behind == NOT_COUNTED) {
            bound *= m->wrong == BOUND_DOUBLED ? 2 : 1;
            here = larger(here, size_before(m, o->start, (int64_t)bound));
        } else {
            behind += m->wrong == BOUND_MISCOUNTED ? 2 : 0;
            size_t size = m->size_at[o->start];
            here = larger(here, size > behind ? size - behind : 0);
        }
        break;
    case READ_SNAPSHOT:
        here = m->log_n > 0 ? 1 + below(m, m->log_n) : 0;
        o->position = here;
        if (m->wrong == SNAPSHOT_BESIDE && here > 0 && chance(m, 30)) {
            here--;
        }
        break;
    default:
        break;
    }
    show(m, op, here);
}

static void take_append(struct model *m, size_t op)
{
    struct list_op *o = &m->ops[op];
    size_t at = m->log_n;
    if (m->wrong == WRITE_EARLY && chance(m, 30)) {
        at = m->shown + below(m, m->log_n - m->shown + 1);
    }
    memmove(&m->log[at + 1], &m->log[at], (m->log_n - at) * sizeof m->log[0]);
    m->log[at] = (uint32_t)op;
    m->log_n++;
    if (m->wrong == WRITE_TWICE && chance(m, 10)) {
        m->log[m->log_n++] = (uint32_t)op;
    }
    if (m->wrong != WRITE_EARLY && m->wrong != WRITE_LOST && m->wrong != WRITE_TWICE) {
        o->position = o->result == RESULT_OK ? m->log_n : 0;
        for (size_t i = 0; i < m->log_n && o->result == RESULT_OK; i++) {
            const struct list_op *w = &m->ops[m->log[i]];
            o->told += w->key == o->key ? (w->element < 10 ? 2 : w->element < 100 ? 3 : 4) : 0;
        }
    }
    m->point[op] = m->log_n;
    if (m->wrong == WRITE_LOST && chance(m, 10) && at >= m->shown) {
        m->log_n--;
    }
}

static void begin(struct model *m, uint32_t session, int64_t now)
{
    static const enum read_level levels[] = { READ_LINEARIZABLE, READ_SESSION,  READ_SESSION,
                                              READ_LOCAL,        READ_PREFIX,   READ_BOUNDED,
                                              READ_BOUNDED,      READ_SNAPSHOT, READ_LEADER };
    struct list_op *o = &m->ops[m->n];
    *o = (struct list_op){ .session = session,
                           .key = (uint32_t)below(m, KEYS),
                           .is_append = chance(m, 45),
                           .element = (uint32_t)m->n,
                           .start = now,
                           .behind = NOT_COUNTED };
    if (o->is_append) {
        o->result = chance(m, 15) ? RESULT_UNKNOWN : chance(m, 5) ? RESULT_FAIL : RESULT_OK;
    } else {
        o->level = levels[below(m, ARRAY_COUNT(levels))];
        o->bound = o->level == READ_BOUNDED ? BOUND : 0;
        o->behind = o->level == READ_BOUNDED && chance(m, 50) ? BEHIND : NOT_COUNTED;
    }
    m->busy[session] = (int)m->n + 1;
    m->n++;
}

static void take_effect(struct model *m, size_t op)
{
    m->effected[op] = true;
    if (!m->ops[op].is_append) {
        take_read(m, op);
    } else if (m->ops[op].result != RESULT_FAIL) {
        take_append(m, op);
    }
}

static void end(struct model *m, uint32_t session, int64_t now)
{
    size_t op = (size_t)m->busy[session] - 1;
    struct list_op *o = &m->ops[op];
    o->end = now;
    m->busy[session] = 0;
    bool unnoticed = o->is_append ? m->wrong == WRITES_UNNOTICED : m->wrong == READS_UNNOTICED;
    bool counts = o->is_append ? o->result == RESULT_OK : o->level != READ_SNAPSHOT;
    if (counts && !unnoticed) {
        m->seen[session] = larger(m->seen[session], m->point[op]);
    }
}

/* Writes of unknown outcome take effect at any time, or never. */
static void stray(struct model *m)
{
    size_t op = m->n > 0 ? below(m, m->n) : 0;
    if (m->n > 0 && m->ops[op].is_append && m->ops[op].result == RESULT_UNKNOWN &&
        !m->effected[op]) {
        take_effect(m, op);
    }
}

static void run(struct model *m, uint64_t seed, enum wrong wrong)
{
    memset(m, 0, sizeof *m);
    m->rng = rng_from(seed);
    m->wrong = wrong;
    int64_t now = 1;
    for (; now < STEPS - 2 && (m->n < OPS || chance(m, 99)); now++) {
        uint32_t session = (uint32_t)below(m, SESSIONS);
        size_t op = m->busy[session] > 0 ? (size_t)m->busy[session] - 1 : 0;
        if (m->busy[session] == 0 && m->n < OPS && chance(m, 50)) {
            begin(m, session, now);
        } else if (m->busy[session] > 0 && m->effected[op]) {
            end(m, session, now);
        } else if (m->busy[session] > 0 && m->ops[op].result == RESULT_UNKNOWN) {
            end(m, session, now);
        } else if (m->busy[session] > 0) {
            take_effect(m, op);
        }
        size_t r = below(m, REPLICAS);
        m->applied[r] += chance(m, 30) ? below(m, m->log_n - m->applied[r] + 1) : 0;
        if (chance(m, 2)) {
            stray(m);
        }
        m->size_at[now] = m->log_n;
        m->size_at[now + 1] = m->log_n;
    }
    for (uint32_t session = 0; session < SESSIONS; session++) {
        if (m->busy[session] > 0) {
            size_t op = (size_t)m->busy[session] - 1;
            if (!m->effected[op]) {
                take_effect(m, op);
            }
            end(m, session, now);
        }
    }
    for (uint32_t key = 0; key < KEYS; key++) {
        m->ops[m->n] = (struct list_op){
            .session = 99, .key = key, .start = now + 2, .end = now + 3, .behind = NOT_COUNTED
        };
        show(m, m->n++, m->log_n);
    }
}

/* The same operations in another order: the same verdict. */
static void shuffle(struct model *m)
{
    for (size_t i = m->n; i > 1; i--) {
        size_t k = below(m, i);
        struct list_op other = m->ops[k];
        m->ops[k] = m->ops[i - 1];
        m->ops[i - 1] = other;
    }
}

static struct guarantees_report judge(struct model *m)
{
    struct guarantees_report report = guarantees_check(m->ops, m->n);
    shuffle(m);
    struct guarantees_report again = guarantees_check(m->ops, m->n);
    assert_int_equal(report.is_broken, again.is_broken);
    if (!report.is_broken) {
        assert_memory_equal(report.judged, again.judged, sizeof report.judged);
    }
    return report;
}

static void test_replicas_of_one_log_keep_every_guarantee(void **state)
{
    (void)state;
    static struct model m;
    uint64_t judged[GUARANTEES] = { 0 };
    for (uint64_t seed = 1; seed <= HISTORIES; seed++) {
        run(&m, seed, NOTHING_WRONG);
        struct guarantees_report report = judge(&m);
        if (report.is_broken) {
            fail_msg("seed %llu: %s", (unsigned long long)seed, guarantee_name(report.broken));
        }
        for (unsigned g = 0; g < GUARANTEES; g++) {
            judged[g] += report.judged[g];
        }
    }
    for (unsigned g = 0; g < GUARANTEES; g++) {
        assert_true(judged[g] > HISTORIES);
    }
}

/* Each key by itself. What only several keys together show may be named by another guarantee than
 * the one that was broken: it takes two to contradict each other. */
static void apart(struct model *m)
{
    for (size_t i = 0; i < m->n; i++) {
        m->ops[i].group = m->ops[i].key;
    }
}

#define BIT(name) (1u << GUARANTEE_##name)

static void test_each_guarantee_that_is_broken_is_found_and_named(void **state)
{
    (void)state;
    static const unsigned expected[WRONGS] = {
        [SESSION_IGNORED] = BIT(READ_YOUR_WRITES) | BIT(MONOTONIC_READS),
        [READS_UNNOTICED] = BIT(MONOTONIC_READS),
        [WRITES_UNNOTICED] = BIT(READ_YOUR_WRITES),
        [BOUND_DOUBLED] = BIT(BOUNDED),
        [BOUND_MISCOUNTED] = BIT(BOUNDED),
        [LINEARIZABLE_HERE] = BIT(LINEARIZABLE) | BIT(READ_YOUR_WRITES) | BIT(MONOTONIC_READS),
        [SNAPSHOT_BESIDE] = BIT(SNAPSHOT),
        [WRITE_LOST] = BIT(PREFIX) | BIT(LINEARIZABLE) | BIT(READ_YOUR_WRITES) |
                       BIT(MONOTONIC_WRITES) | BIT(MONOTONIC_READS) | BIT(BOUNDED),
        [WRITE_TWICE] = BIT(PREFIX),
        [ORDER_SWAPPED] = BIT(PREFIX),
        [WRITE_EARLY] = BIT(PREFIX) | BIT(MONOTONIC_WRITES) | BIT(LINEARIZABLE) |
                        BIT(READ_YOUR_WRITES) | BIT(WRITES_FOLLOW_READS) | BIT(BOUNDED) |
                        BIT(MONOTONIC_READS),
    };
    static struct model m;
    bool is_found_by_group = false;
    for (enum wrong wrong = NOTHING_WRONG + 1; wrong < WRONGS; wrong++) {
        unsigned found = 0, all = 0, together = 0;
        for (uint64_t seed = 1; seed <= HISTORIES / 5; seed++) {
            run(&m, seed, wrong);
            bool of_group = judge(&m).is_broken;
            apart(&m);
            struct guarantees_report report = judge(&m);
            found += report.is_broken ? 1 : 0;
            together += of_group ? 1 : 0;
            all |= report.is_broken ? 1u << report.broken : 0;
            assert_true(of_group || !report.is_broken);
        }
        is_found_by_group = is_found_by_group || together > found;
        if (found < HISTORIES / 500 || (all & ~expected[wrong]) != 0) {
            fail_msg("wrong %d: found in %u histories, guarantees %x", (int)wrong, found, all);
        }
        if (wrong == WRITE_EARLY) {
            assert_true((all & BIT(MONOTONIC_WRITES)) != 0);
        }
    }
    assert_true(is_found_by_group);
}

/* The second write is there and the first is not: of each key alone that may be so. */
static void test_what_is_read_at_one_position_is_of_one_moment(void **state)
{
    (void)state;
    static const uint32_t two[] = { 2 };
    struct list_op ops[] = {
        { .is_append = true, .key = 1, .element = 1, .start = 0, .end = 1 },
        { .is_append = true, .key = 2, .element = 2, .start = 2, .end = 3 },
        { .key = 1, .level = READ_SNAPSHOT, .position = 7, .start = 4, .end = 5, .session = 3 },
        { .key = 2, .level = READ_SNAPSHOT, .position = 7, .start = 4, .end = 5, .session = 3 },
    };
    ops[3].list = two;
    ops[3].n = 1;
    struct guarantees_report report = guarantees_check(ops, ARRAY_COUNT(ops));
    assert_true(report.is_broken);
    assert_int_equal(report.broken, GUARANTEE_SNAPSHOT);
    ops[2].position = 5;
    assert_false(guarantees_check(ops + 1, 3).is_broken);
    ops[3].position = 4; /* the later of two positions shows less */
    assert_true(guarantees_check(ops, ARRAY_COUNT(ops)).is_broken);
    ops[0].group = ops[2].group = 9;
    assert_false(guarantees_check(ops, ARRAY_COUNT(ops)).is_broken);
}

/* Two may be missing, and of the read's own key it is one: the others are of its group. */
static void test_a_bound_of_operations_counts_those_of_the_group(void **state)
{
    (void)state;
    struct list_op ops[] = {
        { .is_append = true, .key = 1, .element = 1, .start = 0, .end = 2 },
        { .is_append = true, .key = 2, .element = 2, .start = 3, .end = 4 },
        { .is_append = true, .key = 2, .element = 3, .start = 5, .end = 6 },
        { .key = 1, .level = READ_BOUNDED, .behind = 2, .start = 7, .end = 8, .session = 3 },
    };
    struct guarantees_report report = guarantees_check(ops, ARRAY_COUNT(ops));
    assert_true(report.is_broken);
    assert_int_equal(report.broken, GUARANTEE_BOUNDED);
    assert_int_equal(report.op, 3);
    assert_int_equal(report.other, 0);
    ops[3].behind = 3;
    assert_false(guarantees_check(ops, ARRAY_COUNT(ops)).is_broken);
    ops[3].behind = 2;
    ops[1].start = 2; /* perhaps before it */
    assert_false(guarantees_check(ops, ARRAY_COUNT(ops)).is_broken);
    ops[1].start = 3;
    ops[2].end = 7; /* perhaps after the read */
    assert_false(guarantees_check(ops, ARRAY_COUNT(ops)).is_broken);
    ops[2].end = 6;
    ops[2].result = RESULT_UNKNOWN; /* perhaps never */
    assert_false(guarantees_check(ops, ARRAY_COUNT(ops)).is_broken);
    ops[2].result = RESULT_OK;
    ops[1].group = 9; /* no business of this one */
    assert_false(guarantees_check(ops, ARRAY_COUNT(ops)).is_broken);
}

/* A bound that reaches back beyond the beginning of time owes nothing. */
static void test_a_bound_beyond_all_times_asks_for_nothing(void **state)
{
    (void)state;
    struct list_op ops[] = {
        { .is_append = true, .key = 1, .element = 1, .start = -100, .end = -90 },
        { .key = 1,
          .level = READ_BOUNDED,
          .behind = NOT_COUNTED,
          .start = -10,
          .end = 8,
          .bound = INT64_MAX },
    };
    assert_false(guarantees_check(ops, ARRAY_COUNT(ops)).is_broken);
    ops[1].bound = 79;
    assert_true(guarantees_check(ops, ARRAY_COUNT(ops)).is_broken);
}

/* --- the search as a second opinion --------------------------------------------------------- */

static struct model_result text_result(const struct list_op *o)
{
    char text[16 * OPS] = "";
    size_t n = 0;
    for (uint32_t i = 0; i < o->n; i++) {
        n += (size_t)snprintf(text + n, sizeof text - n, "%u,", o->list[i]);
    }
    struct model_result r = { .kind = o->n > 0 ? RESULT_VALUE : RESULT_NIL };
    if (o->n > 0) {
        r.value = model_value_of(span_of(text, n));
    }
    return r;
}

static struct history_op as_history(const struct list_op *o)
{
    struct history_op h = {
        .key = o->key, .kind = OP_GET, .start = o->start, .end = o->end, .process = o->session
    };
    if (!o->is_append) {
        h.result = text_result(o);
        return h;
    }
    char text[16];
    int n = snprintf(text, sizeof text, "%u,", o->element);
    h.kind = OP_APPEND;
    h.argument = model_value_of(span_of(text, (size_t)n));
    h.result.kind = o->result == RESULT_OK ? RESULT_VALUE : o->result;
    h.result.value = model_value_of_number(o->told);
    return h;
}

static void test_lists_are_linearizable_exactly_if_the_search_says_so(void **state)
{
    (void)state;
    static const enum wrong wrongs[] = { NOTHING_WRONG, LINEARIZABLE_HERE, ORDER_SWAPPED };
    static struct model m;
    unsigned good = 0, bad = 0;
    for (uint64_t seed = 1; seed <= HISTORIES; seed++) {
        run(&m, seed, wrongs[seed % ARRAY_COUNT(wrongs)]);
        struct list_op lists[OPS + KEYS];
        struct history_op ops[OPS + KEYS];
        size_t n = 0;
        for (size_t i = 0; i < m.n; i++) {
            bool keep = m.ops[i].is_append || m.ops[i].level == READ_LINEARIZABLE ||
                        m.ops[i].level == READ_LOCAL;
            if (keep &&
                (m.ops[i].is_append || m.ops[i].level == READ_LINEARIZABLE || chance(&m, 20))) {
                lists[n] = m.ops[i];
                lists[n].level = READ_LINEARIZABLE;
                lists[n].group = lists[n].key; /* of one group the search knows nothing */
                lists[n].position = 0;
                ops[n++] = as_history(&m.ops[i]);
            }
        }
        bool mine = !guarantees_check(lists, n).is_broken;
        bool theirs = linearizable_check(ops, n, 1000000).verdict == VERDICT_LINEARIZABLE;
        if (mine != theirs) {
            fail_msg("seed %llu: %d, the search says %d", (unsigned long long)seed, mine, theirs);
        }
        good += mine ? 1 : 0;
        bad += mine ? 0 : 1;
    }
    assert_true(good > HISTORIES / 10 && bad > HISTORIES / 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replicas_of_one_log_keep_every_guarantee),
        cmocka_unit_test(test_each_guarantee_that_is_broken_is_found_and_named),
        cmocka_unit_test(test_what_is_read_at_one_position_is_of_one_moment),
        cmocka_unit_test(test_a_bound_of_operations_counts_those_of_the_group),
        cmocka_unit_test(test_a_bound_beyond_all_times_asks_for_nothing),
        cmocka_unit_test(test_lists_are_linearizable_exactly_if_the_search_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
