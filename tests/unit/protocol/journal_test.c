/* The journal against a naive twin that keeps every ticket. */
#include "base/rng.h"
#include "protocol/journal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define TICKETS 2048u

/* One write: the log ended with `last` when it was minted; 0: a state record only. */
struct twin_write {
    qr_slot last;
};

struct twin {
    qr_slot start, last;
    qr_ticket minted, durable;
    struct twin_write write[TICKETS];
    qr_ticket written_by[TICKETS]; /* by slot: the ticket of the entry that stands there */
};

/* Durable up to the slot before the first whose entry is not. */
static qr_slot twin_durable_slot(const struct twin *w)
{
    qr_slot slot = 0;
    while (slot < w->last && w->written_by[slot + 1] <= w->durable) {
        slot++;
    }
    return slot;
}

static void write_entries(struct journal *j, struct twin *w, qr_slot lo, uint64_t count)
{
    if (lo <= w->last) {
        journal_truncate(j, lo);
    }
    qr_ticket ticket = journal_mint(j);
    assert_int_equal(ticket, ++w->minted);
    journal_wrote(j, ticket, lo + count - 1);
    for (qr_slot s = lo; s < lo + count; s++) {
        w->written_by[s] = ticket;
    }
    w->last = lo + count - 1;
}

static void compare(const struct journal *j, const struct twin *w)
{
    journal_check(j);
    qr_slot durable = twin_durable_slot(w);
    assert_true(j->durable_slot <= durable); /* J2: never more than the truth */
    if (w->durable == w->minted) {
        assert_int_equal(j->durable_slot, w->last); /* and all of it in the end */
    }
    for (qr_slot s = 1; s <= w->last; s++) {
        qr_ticket covering = journal_covering(j, s);
        qr_ticket needed = 0;
        for (qr_slot k = 1; k <= s; k++) {
            needed = max_u64(needed, w->written_by[k] > w->durable ? w->written_by[k] : 0);
        }
        assert_true(covering == 0 ? needed == 0 : covering >= needed);
        assert_true(covering <= w->minted);
    }
}

static void test_journal_never_promises_more_than_its_twin(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct rng rng = rng_from(seed);
        struct journal j;
        struct twin w = { 0 };
        uint64_t sync_one_in = 2 + rng_below(&rng, 120); /* rare syncs fill the marks */
        journal_start(&j, 0);
        for (int i = 0; i < 200; i++) {
            if (rng_below(&rng, sync_one_in) == 0 && w.minted > w.durable) {
                w.durable += 1 + rng_below(&rng, w.minted - w.durable);
                journal_durable(&j, w.durable);
            } else if (rng_chance(&rng, 1, 5)) {
                assert_int_equal(journal_mint(&j), ++w.minted); /* a state record */
            } else if (rng_chance(&rng, 1, 8) && w.last > 0) {
                write_entries(&j, &w, w.last - rng_below(&rng, min_u64(w.last, 6)),
                              1 + rng_below(&rng, 4));
            } else {
                write_entries(&j, &w, w.last + 1, 1 + rng_below(&rng, 4));
            }
            compare(&j, &w);
        }
        w.durable = w.minted;
        journal_durable(&j, w.durable);
        compare(&j, &w);
    }
}

static void test_journal_keeps_most_of_its_precision_when_full(void **state)
{
    (void)state;
    struct journal j;
    journal_start(&j, 0);
    for (qr_slot s = 1; s <= 4 * JOURNAL_MARKS; s++) {
        journal_wrote(&j, journal_mint(&j), s);
    }
    journal_durable(&j, 2 * JOURNAL_MARKS);
    assert_true(j.durable_slot > 2 * JOURNAL_MARKS - 16);
    assert_true(j.durable_slot <= 2 * JOURNAL_MARKS);
}

static void test_a_truncated_ticket_proves_only_what_is_left(void **state)
{
    (void)state;
    struct journal j;
    journal_start(&j, 10);
    journal_wrote(&j, journal_mint(&j), 15); /* ticket 1: 11..15 */
    journal_truncate(&j, 13);
    journal_wrote(&j, journal_mint(&j), 20); /* ticket 2: 13..20 anew */
    journal_durable(&j, 1);
    assert_int_equal(j.durable_slot, 12);
    assert_int_equal(journal_covering(&j, 12), 0);
    assert_int_equal(journal_covering(&j, 13), 2);
    journal_durable(&j, 2);
    assert_int_equal(j.durable_slot, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_journal_never_promises_more_than_its_twin),
        cmocka_unit_test(test_journal_keeps_most_of_its_precision_when_full),
        cmocka_unit_test(test_a_truncated_ticket_proves_only_what_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
