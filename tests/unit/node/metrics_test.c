/* The page of /metrics: how samples are written, and that slices change nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cardboard.h"

#include "base/alloc.h"
#include "node/metrics_internal.h"

#include <math.h>

static struct reply out;

static const char *text(void)
{
    reply_raw(&out, span_of("", 1));
    out.n--;
    return (const char *)out.p;
}

static int empty(void **state)
{
    reply_reset(&out);
    return fresh(state);
}

/* --- Samples -------------------------------------------------------------------------------- */

static void test_what_would_break_a_line_is_escaped(void **state)
{
    (void)state;
    metric_head(&out, &(struct metric_row){ .name = "a", .type = "gauge", .help = "x\\y\n\"z\"" });
    metric_sample(&out, "a", "_b", LABELS({ "l", "\"\\\n" }, { "m", "" }), 1);
    assert_string_equal(text(), "# HELP a x\\\\y\\n\"z\"\n# TYPE a gauge\n"
                                "a_b{l=\"\\\"\\\\\\n\",m=\"\"} 1\n");
}

static void test_numbers(void **state)
{
    static const struct {
        double value;
        const char *text;
    } rows[] = { { 0, "0" },           { 1e14, "100000000000000" }, { 0.5, "0.5" },
                 { -1, "-1" },         { 1e-06, "1e-06" },          { 1e18, "1e+18" },
                 { INFINITY, "+Inf" }, { -INFINITY, "-Inf" },       { NAN, "NaN" } };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        char line[64];
        reply_reset(&out);
        metric_sample(&out, "a", "", NO_LABELS, rows[i].value);
        (void)snprintf(line, sizeof line, "a %s\n", rows[i].text);
        assert_string_equal(text(), line);
    }
}

static void test_a_histogram_becomes_buckets(void **state)
{
    static const struct metric_scale scale = { 6, 8, 1e6 };
    struct histogram *h = qr_zalloc(sizeof *h);
    (void)state;
    histogram_add(h, 0, 1);
    histogram_add(h, 64, 2);
    histogram_add(h, 65, 4);
    histogram_add(h, 127, 8);
    histogram_add(h, 128, 16);
    histogram_add(h, 256, 32);
    metric_histogram(&out, "h", LABELS({ "x", "y" }), h, &scale);
    assert_string_equal(text(), "h_bucket{x=\"y\",le=\"6.4e-05\"} 3\n"
                                "h_bucket{x=\"y\",le=\"0.000127\"} 15\n"
                                "h_bucket{x=\"y\",le=\"0.000255\"} 31\n"
                                "h_bucket{x=\"y\",le=\"+Inf\"} 63\n"
                                "h_sum{x=\"y\"} 0.011644\nh_count{x=\"y\"} 63\n");
    free(h);
}

static void test_a_histogram_without_labels(void **state)
{
    static const struct metric_scale scale = { 0, 0, 1 };
    struct histogram *h = qr_zalloc(sizeof *h);
    (void)state;
    metric_histogram(&out, "h", NO_LABELS, h, &scale);
    assert_string_equal(text(), "h_bucket{le=\"1\"} 0\nh_bucket{le=\"+Inf\"} 0\nh_sum 0\n"
                                "h_count 0\n");
    free(h);
}

/* --- The page ------------------------------------------------------------------------------- */

/* The page, written in slices of `budget`; *steps is how many there were. */
static char *page_of(qr_time budget, size_t *steps)
{
    struct metrics *page = metrics_begin(&node);
    *steps = 1;
    while (!metrics_step(page, budget)) {
        ++*steps;
        assert_true(*steps < 10000);
    }
    struct span s = metrics_text(page);
    char *copy = qr_alloc(s.n + 1);
    memcpy(copy, s.p, s.n);
    copy[s.n] = 0;
    metrics_free(page);
    return copy;
}

static void use_every_command(void)
{
    for (size_t i = 0; i < command_count(); i++) {
        measure_latency(node.measure, command_at(i), (qr_time)i);
        command_stats[i].calls = 1;
    }
}

/* The same lines, but for the values behind the last blank: time goes by. */
static void assert_same_series(char *a, char *b)
{
    char *rest_a, *rest_b;
    a = strtok_r(a, "\n", &rest_a);
    b = strtok_r(b, "\n", &rest_b);
    while (a != NULL && b != NULL) {
        if (a[0] != '#') {
            *strrchr(a, ' ') = 0;
            *strrchr(b, ' ') = 0;
        }
        assert_string_equal(a, b);
        a = strtok_r(NULL, "\n", &rest_a);
        b = strtok_r(NULL, "\n", &rest_b);
    }
    assert_null(a);
    assert_null(b);
}

static void test_slices_do_not_change_the_page(void **state)
{
    size_t once, many;
    (void)state;
    use_every_command();
    char *whole = page_of(QR_SECOND, &once);
    char *sliced = page_of(0, &many); /* the clock stands still: each step ends where it may */
    assert_int_equal(once, 1);
    assert_true(many > 2 * command_count()); /* one at a time of what is large */
    assert_same_series(whole, sliced);
    free(whole);
    free(sliced);
}

static void test_labels_of_the_page_are_escaped(void **state)
{
    size_t steps;
    (void)state;
    strcpy(node.run_id, "a\"b\\c\nd");
    char *page = page_of(QR_SECOND, &steps);
    assert_non_null(strstr(page, ",run_id=\"a\\\"b\\\\c\\nd\","));
    free(page);
}

static void test_errors_and_peers_on_the_page(void **state)
{
    size_t steps;
    (void)state;
    measure_error(node.measure, SPAN_LITERAL("-WRONGTYPE Operation\r\n"));
    measure_append(node.measure, 1, 7, 40, 0);
    measure_acks(node.measure, &outlook, 3, 300);
    char *page = page_of(QR_SECOND, &steps);
    assert_non_null(strstr(page, "\nredis_errors_total{err=\"WRONGTYPE\"} 1\n"));
    assert_non_null(strstr(page, "\nquorate_records_per_append_sum 7\n"));
    assert_non_null(strstr(page, "\nquorate_peer_append_seconds_sum{peer=\"2\"} 0.0003\n"));
    assert_non_null(strstr(page, "\nquorate_peer_messages_sent_total{peer=\"3\",kind=\"protocol\"} "
                                 "3\n"));
    free(page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_what_would_break_a_line_is_escaped, empty),
        cmocka_unit_test_setup(test_numbers, empty),
        cmocka_unit_test_setup(test_a_histogram_becomes_buckets, empty),
        cmocka_unit_test_setup(test_a_histogram_without_labels, empty),
        cmocka_unit_test_setup(test_slices_do_not_change_the_page, empty),
        cmocka_unit_test_setup(test_labels_of_the_page_are_escaped, empty),
        cmocka_unit_test_setup(test_errors_and_peers_on_the_page, empty),
    };
    reply_init(&out, 2);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    reply_free(&out);
    measure_free(node.measure);
    return failed;
}
