/* The table of alarms: raising, merging in any order, bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "node/alarms.h"

static struct alarms a, b, c;

static int begin(void **state)
{
    (void)state;
    alarms_init(&a, 1);
    alarms_init(&b, 2);
    alarms_init(&c, 3);
    return 0;
}

static uint32_t listed(const struct alarms *t)
{
    const struct alarm *list[ALARMS_MAX];
    return alarms_list(t, list);
}

/* Every row of `from`, over the wire, to `to` and, where that has something to say, back. */
static void pass(const struct alarms *from, struct alarms *to, qr_wall now)
{
    for (uint32_t i = 0; i < ALARMS_MAX; i++) {
        uint8_t bytes[ALARM_BYTES_MAX];
        struct alarm told;
        bool tell;
        if (from->row[i].number != 0) {
            size_t n = alarm_write(&from->row[i], bytes);
            assert_true(alarm_read(span_of(bytes, n), &told));
            (void)alarms_merge(to, &told, now, &tell);
        }
    }
}

static void test_a_cause_is_raised_once(void **state)
{
    (void)state;
    const struct alarm *row = alarms_raise(&a, ALARM_NOSPACE, 1, 10, "the disk is full");
    assert_non_null(row);
    assert_string_equal(row->text, "the disk is full");
    assert_null(alarms_raise(&a, ALARM_NOSPACE, 1, 11, "still"));
    assert_non_null(alarms_raise(&a, ALARM_LAG, 2, 12, "another kind"));
    assert_non_null(alarms_raise(&a, ALARM_LAG, 3, 13, "another node"));
    assert_int_equal(listed(&a), 3);
    const struct alarm *list[ALARMS_MAX];
    (void)alarms_list(&a, list);
    assert_int_equal(list[0]->since, 10);
    assert_int_equal(list[2]->since, 13);
}

static void test_it_stays_listed_until_it_is_acknowledged(void **state)
{
    (void)state;
    uint32_t number = alarms_raise(&a, ALARM_LAG, 2, 10, "slow")->number;
    assert_null(alarms_clear(&a, ALARM_LAG, 3, 20));
    assert_non_null(alarms_clear(&a, ALARM_LAG, 2, 20));
    assert_null(alarms_clear(&a, ALARM_LAG, 2, 21));
    assert_int_equal(listed(&a), 1);
    assert_null(alarms_ack(&a, 2, number));
    assert_non_null(alarms_ack(&a, 1, number));
    assert_null(alarms_ack(&a, 1, number));
    assert_int_equal(listed(&a), 0);
    /* Anew: another alarm. */
    const struct alarm *again = alarms_raise(&a, ALARM_LAG, 2, 30, "slow again");
    assert_non_null(again);
    assert_true(again->number > number);
    assert_int_equal(listed(&a), 1);
}

static void test_an_acknowledged_one_that_goes_on_is_not_raised_again(void **state)
{
    (void)state;
    uint32_t number = alarms_raise(&a, ALARM_LAG, 2, 10, "slow")->number;
    assert_non_null(alarms_ack(&a, 1, number));
    assert_null(alarms_raise(&a, ALARM_LAG, 2, 11, "slow"));
    assert_int_equal(listed(&a), 0);
}

static void test_acknowledged_anywhere_is_acknowledged_everywhere(void **state)
{
    (void)state;
    uint32_t number = alarms_raise(&a, ALARM_LAG, 2, 10, "slow")->number;
    pass(&a, &b, 11);
    pass(&a, &c, 11);
    assert_int_equal(listed(&c), 1);
    assert_non_null(alarms_ack(&b, 1, number));
    pass(&b, &c, 12); /* while its reporter is away */
    assert_int_equal(listed(&c), 0);
    pass(&a, &c, 13); /* which does not know */
    assert_int_equal(listed(&c), 0);
    pass(&c, &a, 14);
    assert_int_equal(listed(&a), 0);
}

static void test_a_reporter_goes_on_behind_its_life_before(void **state)
{
    (void)state;
    uint32_t number = 0;
    for (qr_wall t = 1; t < 6; t++) {
        number = alarms_raise(&a, ALARM_SLOWDISK, 1, 10 * t, "slow")->number;
        (void)alarms_clear(&a, ALARM_SLOWDISK, 1, 10 * t + 1);
    }
    number = alarms_raise(&a, ALARM_DAMAGED, 1, 90, "holes")->number;
    pass(&a, &b, 91);
    alarms_init(&a, 1); /* restarted */
    assert_int_equal(alarms_raise(&a, ALARM_SLOWDISK, 1, 100, "slow")->number, 1);
    pass(&a, &b, 101); /* an old number: b keeps what it has */
    pass(&b, &a, 102);
    const struct alarm *own = alarms_own(&a, ALARM_SLOWDISK, 1);
    assert_non_null(own);
    assert_int_equal(own->since, 100);
    assert_true(own->number > 5);
    assert_null(alarms_own(&a, ALARM_DAMAGED, 1)); /* this life has not found it */
    assert_int_equal(listed(&a), 2);               /* but it is not lost either */
    pass(&a, &b, 103);
    const struct alarm *list[ALARMS_MAX];
    assert_int_equal(alarms_list(&b, list), 2);
    assert_int_equal(list[0]->number, number);
    assert_int_equal(list[0]->over, 102);
    assert_int_equal(list[1]->since, 100);
    assert_int_equal(list[1]->over, 0);
}

static void test_a_full_table_gives_up_what_is_over(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < ALARMS_MAX; i++) {
        assert_non_null(alarms_raise(&a, ALARM_LAG, 100 + i, (qr_wall)(10 + i), "x"));
    }
    assert_null(alarms_raise(&a, ALARM_LAG, 1, 1000, "no room"));
    assert_int_equal(a.dropped, 1);
    assert_non_null(alarms_clear(&a, ALARM_LAG, 105, 1000));
    assert_non_null(alarms_clear(&a, ALARM_LAG, 107, 1000));
    assert_non_null(alarms_ack(&a, 1, alarms_own(&a, ALARM_LAG, 106)->number)); /* goes on */
    const struct alarm *row = alarms_raise(&a, ALARM_LAG, 1, 1001, "room");
    assert_non_null(row);
    assert_null(alarms_clear(&a, ALARM_LAG, 105, 1002)); /* its place it was */
    assert_int_equal(listed(&a), ALARMS_MAX - 1);
}

/* M1: three tables that tell each other in any order end the same. */
static void test_rows_merge_to_the_same_in_any_order(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct rng rng = rng_from(seed);
        struct alarms *table[3] = { &a, &b, &c };
        (void)begin(NULL);
        for (qr_wall now = 1; now < 80; now++) {
            uint32_t who = (uint32_t)rng_below(&rng, 3);
            struct alarms *t = table[who];
            uint32_t about = 1 + (uint32_t)rng_below(&rng, 3);
            switch (rng_below(&rng, 8)) {
            case 0:
            case 1:
                (void)alarms_raise(t, ALARM_LAG, about, now, "x");
                break;
            case 2:
                (void)alarms_clear(t, ALARM_LAG, about, now);
                break;
            case 3:
                (void)alarms_ack(t, about, 1 + (uint32_t)rng_below(&rng, 4));
                break;
            case 4:
                if (rng_below(&rng, 4) == 0) {
                    alarms_init(t, who + 1);
                }
                break;
            default:
                pass(t, table[rng_below(&rng, 3)], now);
            }
        }
        for (uint32_t round = 0; round < 4; round++) {
            for (uint32_t i = 0; i < 9; i++) {
                pass(table[i / 3], table[i % 3], 100);
            }
        }
        const struct alarm *list[3][ALARMS_MAX];
        uint32_t n = alarms_list(&a, list[0]);
        for (uint32_t t = 1; t < 3; t++) {
            assert_int_equal(alarms_list(table[t], list[t]), n);
            for (uint32_t i = 0; i < n; i++) {
                bool found = false;
                for (uint32_t k = 0; k < n; k++) {
                    const struct alarm *x = list[0][i], *y = list[t][k];
                    found = found || (x->reporter == y->reporter && x->number == y->number &&
                                      x->since == y->since && x->about == y->about &&
                                      (x->over == 0) == (y->over == 0));
                }
                assert_true(found);
            }
        }
    }
}

static void test_what_is_malformed_is_refused(void **state)
{
    (void)state;
    uint8_t bytes[ALARM_BYTES_MAX + 1];
    struct alarm row;
    size_t n = alarm_write(alarms_raise(&a, ALARM_LAG, 2, 10, "a\nb"), bytes);
    for (size_t cut = 0; cut < 30; cut++) {
        assert_false(alarm_read(span_of(bytes, cut), &row));
    }
    assert_true(alarm_read(span_of(bytes, n), &row));
    assert_string_equal(row.text, "a b");
    memset(bytes + n, 'x', sizeof bytes - n);
    assert_false(alarm_read(span_of(bytes, sizeof bytes), &row));
    bool tell;
    row.number = 0;
    assert_null(alarms_merge(&b, &row, 1, &tell));
    row.number = UINT32_MAX; /* nothing could come behind it */
    assert_null(alarms_merge(&b, &row, 1, &tell));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_a_cause_is_raised_once, begin),
        cmocka_unit_test_setup(test_it_stays_listed_until_it_is_acknowledged, begin),
        cmocka_unit_test_setup(test_an_acknowledged_one_that_goes_on_is_not_raised_again, begin),
        cmocka_unit_test_setup(test_acknowledged_anywhere_is_acknowledged_everywhere, begin),
        cmocka_unit_test_setup(test_a_reporter_goes_on_behind_its_life_before, begin),
        cmocka_unit_test_setup(test_a_full_table_gives_up_what_is_over, begin),
        cmocka_unit_test_setup(test_rows_merge_to_the_same_in_any_order, begin),
        cmocka_unit_test_setup(test_what_is_malformed_is_refused, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
