/* The relay of tests/chaos, without devices: what the schedule does to packets, on virtual time,
 * and the orders that change it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "tools/netfault/command.h"

#define BYTES 1000u
#define MANY 20000u

static uint8_t payload[65536];

static void offer(struct schedule *s, uint64_t now_us, uint32_t from, uint32_t to, uint32_t tag)
{
    memcpy(payload, &tag, sizeof tag);
    schedule_offer(s, now_us, from, to, payload, BYTES);
}

/* The tag of the next packet that is due, or UINT32_MAX. */
static uint32_t take(struct schedule *s, uint64_t now_us)
{
    struct packet *p = schedule_take(s, now_us);
    uint32_t tag = UINT32_MAX;
    if (p != NULL) {
        assert_int_equal(p->n, BYTES);
        memcpy(&tag, p->bytes, sizeof tag);
        free(p);
    }
    return tag;
}

static void assert_sums(const struct schedule *s, uint32_t from, uint32_t to)
{
    struct counts c = schedule_counts(s, from, to);
    assert_int_equal(c.offered + c.duplicated, c.passed + c.cut + c.lost + c.overflowed + c.queued);
    assert_int_equal(c.bytes, c.passed * BYTES);
}

static void set(struct schedule *s, uint64_t now_us, struct faults faults)
{
    schedule_set(s, now_us, 0, 1, faults);
}

static void test_a_wire_without_faults_passes_everything_on_at_once(void **state)
{
    (void)state;
    struct schedule *s = schedule_new(1, 3);
    assert_true(schedule_next_us(s) == UINT64_MAX);
    for (uint32_t i = 0; i < 100; i++) {
        offer(s, i / 3, i % 3, (i + 1) % 3, i);
    }
    assert_int_equal(schedule_next_us(s), 0);
    for (uint32_t i = 0; i < 100; i++) {
        assert_int_equal(take(s, 33), i);
    }
    assert_int_equal(take(s, 1000), UINT32_MAX);
    assert_sums(s, 0, 1);
    assert_int_equal(schedule_counts(s, 0, 1).passed, 34);
    assert_int_equal(schedule_counts(s, 1, 0).offered, 0);
    schedule_free(s);
}

static void test_delay_and_jitter_keep_the_order(void **state)
{
    (void)state;
    struct schedule *s = schedule_new(2, 2);
    set(s, 0, (struct faults){ .delay_us = 1000, .jitter_us = 500 });
    uint64_t least = UINT64_MAX, most = 0;
    uint32_t next = 0;
    for (uint32_t i = 0; i < 1000; i++) {
        uint64_t now = i * 2000ull; /* so far apart that nobody waits for the one before */
        offer(s, now, 0, 1, i);
        uint64_t took = schedule_next_us(s) - now;
        least = took < least ? took : least;
        most = took > most ? took : most;
        assert_int_equal(take(s, now + took - 1), UINT32_MAX);
        assert_int_equal(take(s, now + took), i);
    }
    assert_in_range(least, 1000, 1010);
    assert_in_range(most, 1490, 1500);
    for (uint32_t i = 0; i < 1000; i++) { /* and so near that each waits */
        offer(s, 3000000 + i, 0, 1, i);
    }
    for (uint32_t tag; (tag = take(s, 4000000)) != UINT32_MAX; next++) {
        assert_int_equal(tag, next);
    }
    assert_int_equal(next, 1000);
    schedule_free(s);
}

static uint32_t in_thousandths(uint64_t n)
{
    return (uint32_t)(n * 1000 / MANY);
}

static void test_loss_and_duplicates_come_as_often_as_is_said(void **state)
{
    (void)state;
    struct schedule *s = schedule_new(3, 2);
    set(s, 0, (struct faults){ .loss_ppm = 100000, .duplicate_ppm = 50000 });
    uint32_t came[MANY] = { 0 };
    for (uint32_t i = 0; i < MANY; i++) {
        offer(s, i, 0, 1, i);
        for (uint32_t tag; (tag = take(s, i)) != UINT32_MAX;) {
            assert_int_equal(tag, i);
            came[tag]++;
        }
    }
    uint32_t times[3] = { 0 };
    for (uint32_t i = 0; i < MANY; i++) {
        assert_in_range(came[i], 0, 2);
        times[came[i]]++;
    }
    struct counts c = schedule_counts(s, 0, 1);
    assert_int_equal(times[0], c.lost);
    assert_int_equal(times[2], c.duplicated);
    assert_in_range(in_thousandths(c.lost), 90, 110);
    assert_in_range(in_thousandths(c.duplicated), 38, 52); /* of the nine tenths */
    assert_sums(s, 0, 1);
    schedule_free(s);
}

static void test_what_is_reordered_falls_behind_and_holds_nobody_up(void **state)
{
    (void)state;
    struct schedule *s = schedule_new(4, 2);
    set(s, 0, (struct faults){ .reorder_ppm = 200000, .delay_us = 100 });
    uint32_t highest = 0, overtaken = 0, came = 0;
    for (uint64_t now = 0; came < MANY; now++) {
        if (now % 10 == 0 && now / 10 < MANY) {
            offer(s, now, 0, 1, (uint32_t)(now / 10));
        }
        for (uint32_t tag; (tag = take(s, now)) != UINT32_MAX; came++) {
            assert_in_range(now - tag * 10ull, 100, 100 + LATE_US - 1);
            overtaken += tag < highest;
            highest = tag > highest ? tag : highest;
        }
    }
    struct counts c = schedule_counts(s, 0, 1);
    assert_in_range(in_thousandths(c.reordered), 190, 210);
    assert_in_range(overtaken, c.reordered * 9 / 10, c.reordered);
    schedule_free(s);
}

static void test_bandwidth_is_shared_out_and_the_queue_is_bounded(void **state)
{
    (void)state;
    struct schedule *s = schedule_new(5, 2);
    set(s, 0, (struct faults){ .bytes_per_s = 1000000, .delay_us = 7 });
    for (uint32_t i = 0; i < 2000; i++) {
        offer(s, 0, 0, 1, i);
    }
    struct counts c = schedule_counts(s, 0, 1);
    assert_int_equal(c.queued, QUEUE_BYTES / BYTES);
    assert_int_equal(c.overflowed, 2000 - QUEUE_BYTES / BYTES);
    for (uint32_t i = 0; i < QUEUE_BYTES / BYTES; i++) {
        assert_int_equal(schedule_next_us(s), (i + 1) * 1000 + 7);
        assert_int_equal(take(s, (i + 1) * 1000 + 7), i);
        assert_sums(s, 0, 1);
    }
    offer(s, 5000000, 0, 1, 1); /* room that was not used is not saved up */
    assert_int_equal(schedule_next_us(s), 5001007);
    offer(s, 5000000, 1, 0, 2); /* the other direction is another link */
    assert_int_equal(take(s, 5000000), 2);
    schedule_free(s);
}

static void test_who_has_bandwidth_again_waits_no_longer(void **state)
{
    (void)state;
    struct schedule *s = schedule_new(6, 3);
    set(s, 0, (struct faults){ .bytes_per_s = 100 });
    for (uint32_t i = 0; i < 50; i++) {
        offer(s, 0, 0, 1, i);
        offer(s, 0, 0, 2, 100 + i);
        assert_int_equal(take(s, 0), 100 + i);
    }
    assert_int_equal(schedule_next_us(s), 10000000);
    set(s, 2000, (struct faults){ .delay_us = 5 });
    for (uint32_t i = 0; i < 50; i++) {
        assert_int_equal(schedule_next_us(s), 2005);
        assert_int_equal(take(s, 2005), i);
    }
    schedule_free(s);
}

static void test_a_change_of_one_link_moves_nothing_on_another(void **state)
{
    (void)state;
    struct schedule *s = schedule_new(6, 3);
    for (uint32_t i = 0; i < 9; i++) {
        schedule_set(s, 0, i / 3, i % 3, (struct faults){ .delay_us = 100 + i });
    }
    for (uint32_t i = 0; i < 9; i++) {
        offer(s, 0, i / 3, i % 3, i);
        offer(s, 0, i / 3, i % 3, 10 + i);
    }
    set(s, 0, (struct faults){ .bytes_per_s = 1000000 }); /* 0 > 1 is the second one */
    for (uint32_t i = 0; i < 9; i++) {
        if (i != 1) {
            assert_int_equal(schedule_next_us(s), 100 + i);
            assert_int_equal(take(s, 100 + i), i);
            assert_int_equal(take(s, 100 + i), 10 + i);
        }
    }
    assert_int_equal(schedule_next_us(s), 1000);
    assert_int_equal(take(s, 1000), 1);
    assert_int_equal(schedule_next_us(s), 2000);
    assert_int_equal(take(s, 2000), 11);
    schedule_free(s);
}

static void test_a_cut_loses_what_is_offered_and_what_is_under_way(void **state)
{
    (void)state;
    struct schedule *s = schedule_new(7, 2);
    set(s, 0, (struct faults){ .delay_us = 100 });
    offer(s, 0, 0, 1, 1);
    offer(s, 0, 1, 0, 2);
    set(s, 10, (struct faults){ .delay_us = 100, .cut = 1 });
    offer(s, 20, 0, 1, 3);
    assert_int_equal(take(s, 1000), 2);
    assert_int_equal(take(s, 1000), UINT32_MAX);
    offer(s, 1000, 0, 1, 3);
    set(s, 1000, (struct faults){ 0 }); /* too late for what was lost */
    assert_int_equal(take(s, 2000), UINT32_MAX);
    offer(s, 1000, 0, 1, 4);
    assert_int_equal(take(s, 1000), 4);
    struct counts c = schedule_counts(s, 0, 1);
    assert_int_equal(c.cut, 3);
    assert_int_equal(c.lost, 0);
    assert_int_equal(c.passed, 1);
    offer(s, 3000, 1, 0, 5); /* a cut of an empty link, and a queue that is empty again */
    assert_int_equal(take(s, 3100), 5);
    set(s, 3100, (struct faults){ .bytes_per_s = 1 });
    for (uint32_t i = 0; i < QUEUE_BYTES / BYTES; i++) {
        offer(s, 3100, 0, 1, 6);
    }
    assert_int_equal(schedule_counts(s, 0, 1).overflowed, 0);
    assert_sums(s, 0, 1);
    schedule_free(s);
}

/* What a run of packets over all links looks like from outside, as a number. */
static uint64_t run(uint64_t seed, struct faults elsewhere, uint32_t *from_0_to_1)
{
    struct schedule *s = schedule_new(seed, 3);
    struct rng rng = rng_from(99);
    uint64_t digest = 0;
    set(s, 0,
        (struct faults){
            .loss_ppm = 100000, .duplicate_ppm = 100000, .jitter_us = 50, .reorder_ppm = 100000 });
    schedule_set(s, 0, 1, 2, elsewhere);
    for (uint32_t i = 0; i < 5000; i++) {
        uint32_t from = (uint32_t)rng_below(&rng, 3);
        offer(s, i * 10ull, from, (from + 1) % 3, i);
        for (struct packet *p; (p = schedule_take(s, i * 10ull)) != NULL; free(p)) {
            uint32_t tag;
            memcpy(&tag, p->bytes, sizeof tag);
            digest = digest * 31 + tag * 1000ull + p->due_us + p->to;
            if (p->from == 0) {
                *from_0_to_1 = *from_0_to_1 * 31 + tag + (uint32_t)p->due_us;
            }
        }
    }
    schedule_free(s);
    return digest;
}

static void test_a_seed_repeats_a_run_and_a_link_goes_its_own_way(void **state)
{
    (void)state;
    uint32_t a = 0, b = 0, c = 0, d = 0;
    uint64_t first = run(8, (struct faults){ 0 }, &a);
    assert_true(first == run(8, (struct faults){ 0 }, &b));
    assert_true(first != run(9, (struct faults){ 0 }, &c));
    assert_true(first != run(8, (struct faults){ .loss_ppm = 500000, .jitter_us = 9 }, &d));
    assert_int_equal(a, b);
    assert_int_not_equal(a, c);
    assert_int_equal(a, d);
}

static void test_no_two_links_have_the_same_luck(void **state)
{
    (void)state;
    struct schedule *s = schedule_new(10, 2);
    uint64_t luck[2] = { 0 };
    for (uint32_t from = 0; from < 2; from++) {
        schedule_set(s, 0, from, 1 - from, (struct faults){ .loss_ppm = 500000 });
        for (uint32_t i = 0; i < 64; i++) {
            offer(s, 0, from, 1 - from, i);
            luck[from] = luck[from] * 2 + (take(s, 0) == i);
        }
    }
    assert_true(luck[0] != luck[1]);
    schedule_free(s);
}

static uint64_t lost_of(struct faults faults)
{
    struct schedule *s = schedule_new(11, 2);
    uint64_t lost = 0;
    set(s, 0, faults);
    for (uint32_t i = 0; i < 64; i++) {
        uint64_t before = schedule_counts(s, 0, 1).lost;
        offer(s, 0, 0, 1, i);
        lost = lost * 2 + schedule_counts(s, 0, 1).lost - before;
    }
    schedule_free(s);
    return lost;
}

static void test_what_is_lost_does_not_depend_on_what_else_is_wrong(void **state)
{
    (void)state;
    uint64_t lost = lost_of((struct faults){ .loss_ppm = 300000 });
    assert_true(lost != 0);
    assert_true(lost == lost_of((struct faults){ .loss_ppm = 300000,
                                                 .duplicate_ppm = 500000,
                                                 .reorder_ppm = 500000,
                                                 .jitter_us = 99,
                                                 .delay_us = 7,
                                                 .bytes_per_s = 1000 }));
}

/* --- Orders ----------------------------------------------------------------------------------- */

static struct schedule *orders;

static const char *order(const char *text)
{
    static char line[COMMAND_BYTES], answer[4096];
    snprintf(line, sizeof line, "%s", text);
    memset(answer, 0, sizeof answer);
    FILE *out = fmemopen(answer, sizeof answer, "w");
    netfault_command(orders, 0, line, out);
    fclose(out);
    return answer;
}

static void test_orders_set_what_they_name_where_they_say(void **state)
{
    (void)state;
    orders = schedule_new(1, 3);
    assert_string_equal(order("set 1 2 delay_us=5 jitter_us=6 bytes_per_s=7"), "ok\n");
    assert_string_equal(order("set 1 * loss_ppm=1000000 duplicate_ppm=9 reorder_ppm=10 cut=1\n"),
                        "ok\n");
    struct faults f = schedule_faults(orders, 0, 1);
    assert_int_equal(f.delay_us, 5);
    assert_int_equal(f.jitter_us, 6);
    assert_int_equal(f.bytes_per_s, 7);
    assert_int_equal(f.loss_ppm, 1000000);
    assert_int_equal(f.duplicate_ppm, 9);
    assert_int_equal(f.reorder_ppm, 10);
    assert_int_equal(f.cut, 1);
    f = schedule_faults(orders, 0, 2);
    assert_int_equal(f.delay_us, 0);
    assert_int_equal(f.cut, 1);
    assert_int_equal(schedule_faults(orders, 1, 0).cut, 0);
    assert_string_equal(order("set * 3 delay_us=3600000000"), "ok\n");
    assert_int_equal(schedule_faults(orders, 1, 2).delay_us, 3600000000);
    assert_int_equal(schedule_faults(orders, 1, 0).delay_us, 0);
    assert_string_equal(order("set 1 2 cut=1 cut=1 cut=1 cut=1 cut=1 cut=1 cut=1 cut=1 cut=1 "
                              "cut=1 cut=1 cut=1 cut=0"),
                        "ok\n");
    assert_int_equal(schedule_faults(orders, 0, 1).cut, 0);
    assert_string_equal(order("clear"), "ok\n");
    for (uint32_t i = 0; i < 9; i++) {
        f = schedule_faults(orders, i / 3, i % 3);
        struct faults none = { 0 };
        assert_memory_equal(&f, &none, sizeof f);
    }
    schedule_free(orders);
}

static void test_orders_that_make_no_sense_change_nothing(void **state)
{
    (void)state;
    static const char *wrong[] = {
        "",
        "sit 1 2 cut=1",
        "set",
        "set 1 2",
        "set 0 2 cut=1",
        "set 1 4 cut=1",
        "set 1 x cut=1",
        "set 1 2 cut",
        "set 1 2 cut=",
        "set 1 2 cut=2",
        "set 1 2 cut=-1",
        "set 1 2 cut=1x",
        "set 1 2 cuts=1",
        "set 1 2 delay_us=1 loss_ppm=1000001",
        "set 1 2 delay_us=3600000001",
        "set 1 2 bytes_per_s=99999999999999999999",
        "set 1 2 jitter_us=+3",
        "clear 1",
        "count x",
        "set 1 2 cut=1 cut=1 cut=1 cut=1 cut=1 cut=1 cut=1 cut=1 cut=1 cut=1 cut=1 cut=1 cut=1 "
        "cut=1 cut=1",
    };
    orders = schedule_new(1, 3);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_memory_equal(order(wrong[i]), "error: ", 7);
        struct faults f = schedule_faults(orders, 0, 1), none = { 0 };
        assert_memory_equal(&f, &none, sizeof f);
    }
    schedule_free(orders);
}

static void test_a_count_is_a_line_for_each_link_that_was_used(void **state)
{
    (void)state;
    orders = schedule_new(1, 3);
    assert_string_equal(order("count"), "ok\n");
    offer(orders, 0, 2, 0, 1);
    assert_string_equal(order("count"), "3>1 offered=1 passed=0 bytes=0 cut=0 lost=0 overflowed=0 "
                                        "duplicated=0 reordered=0 queued=1\nok\n");
    assert_int_equal(take(orders, 0), 1);
    assert_string_equal(order("count"),
                        "3>1 offered=1 passed=1 bytes=1000 cut=0 lost=0 overflowed=0 "
                        "duplicated=0 reordered=0 queued=0\nok\n");
    schedule_free(orders);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_wire_without_faults_passes_everything_on_at_once),
        cmocka_unit_test(test_delay_and_jitter_keep_the_order),
        cmocka_unit_test(test_loss_and_duplicates_come_as_often_as_is_said),
        cmocka_unit_test(test_what_is_reordered_falls_behind_and_holds_nobody_up),
        cmocka_unit_test(test_bandwidth_is_shared_out_and_the_queue_is_bounded),
        cmocka_unit_test(test_who_has_bandwidth_again_waits_no_longer),
        cmocka_unit_test(test_a_change_of_one_link_moves_nothing_on_another),
        cmocka_unit_test(test_a_cut_loses_what_is_offered_and_what_is_under_way),
        cmocka_unit_test(test_a_seed_repeats_a_run_and_a_link_goes_its_own_way),
        cmocka_unit_test(test_no_two_links_have_the_same_luck),
        cmocka_unit_test(test_what_is_lost_does_not_depend_on_what_else_is_wrong),
        cmocka_unit_test(test_orders_set_what_they_name_where_they_say),
        cmocka_unit_test(test_orders_that_make_no_sense_change_nothing),
        cmocka_unit_test(test_a_count_is_a_line_for_each_link_that_was_used),
    };
    return cmocka_run_group_tests_name("netfault", tests, NULL, NULL);
}
