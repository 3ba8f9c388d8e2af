/* Reports between nodes: read back as they were written, refused when they are anything else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "node/lagging.h"
#include "node/report_frames.h"

static struct report sent, read;
static uint8_t bytes[REPORT_BYTES_MAX];

static void fill(uint32_t partitions, uint32_t counts)
{
    memset(&sent, 0, sizeof sent);
    sent.nonce = 7;
    sent.version = 123456789;
    sent.level = 2;
    sent.whole = true;
    sent.client_counts = counts;
    for (uint32_t i = 0; i < counts; i++) {
        sent.clients[i] = (struct client_count){ .keyspace = 16 + i, .clients = i };
    }
    sent.partitions = partitions;
    for (uint32_t i = 0; i < partitions; i++) {
        sent.partition[i] = (struct partition_report){ .group = 2 + i,
                                                       .term = 3,
                                                       .epoch = 4,
                                                       .last = 100,
                                                       .keys = 5,
                                                       .bytes = 6,
                                                       .ops = 7,
                                                       .refused = 8,
                                                       .voters = 0x7,
                                                       .others = 0x4000 };
        sent.partition[i].lag[1] = 9;
        sent.partition[i].lag[14] = 10;
        sent.partition[i].copy_left = 11;
        sent.partition[i].copy = 12;
    }
}

static void a_report_is_read_back_as_it_was_written(void **state)
{
    (void)state;
    uint32_t sizes[] = { 0, 1, REPORT_PARTITIONS_MAX };
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        fill(sizes[i], i == 2 ? REPORT_KEYSPACES_MAX : (uint32_t)i);
        size_t n = report_write(&sent, bytes);
        memset(&read, 0, sizeof read);
        assert_true(report_read(span_of(bytes, n), &read));
        assert_memory_equal(&sent, &read, sizeof sent);
    }
}

static void how_followers_do_is_told_where_it_is_known(void **state)
{
    (void)state;
    fill(2, 0);
    struct partition_report *p = &sent.partition[1];
    p->state[1] = 1;
    p->state[14] = FOLLOWER_STATE_COUNT;
    p->lag_ms[1] = REPORT_UNKNOWN;
    p->lag_ms[14] = 13;
    p->lag_bytes[14] = 1ull << 40;
    size_t without = report_write(&sent, bytes);
    memset(&read, 0xff, sizeof read);
    assert_true(report_read(span_of(bytes, without), &read));
    assert_false(read.followers);
    assert_int_equal(read.partition[1].state[14], 0);
    assert_int_equal(read.partition[1].lag_bytes[14], 0);
    sent.followers = true;
    size_t n = report_write(&sent, bytes);
    assert_int_equal(n, without + 2 * 4 * 13);
    memset(&read, 0, sizeof read);
    assert_true(report_read(span_of(bytes, n), &read));
    assert_memory_equal(&sent, &read, sizeof sent);
    p->state[14]++;
    assert_false(report_read(span_of(bytes, report_write(&sent, bytes)), &read));
}

static void a_report_that_is_cut_or_longer_is_refused(void **state)
{
    (void)state;
    fill(2, 1);
    size_t n = report_write(&sent, bytes);
    for (size_t cut = 0; cut < n; cut++) {
        assert_false(report_read(span_of(bytes, cut), &read));
    }
    assert_false(report_read(span_of(bytes, n + 1), &read));
}

static void a_member_that_cannot_be_is_refused(void **state)
{
    (void)state;
    fill(1, 0);
    sent.partition[0].others = 0x8000; /* index 15 */
    assert_false(report_read(span_of(bytes, report_write(&sent, bytes)), &read));
    sent.partition[0].others = 0;
    sent.partition[0].voters = 0x8000;
    assert_false(report_read(span_of(bytes, report_write(&sent, bytes)), &read));
}

static void more_left_of_a_copy_than_there_is_is_refused(void **state)
{
    (void)state;
    fill(1, 0);
    sent.partition[0].copy_left = sent.partition[0].copy + 1;
    assert_false(report_read(span_of(bytes, report_write(&sent, bytes)), &read));
}

static void a_question_is_no_report_and_a_report_no_question(void **state)
{
    uint64_t nonce = 0;
    (void)state;
    size_t n = report_question_write(99, bytes);
    assert_true(report_question_read(span_of(bytes, n), &nonce));
    assert_int_equal(nonce, 99);
    assert_false(report_read(span_of(bytes, n), &read));
    assert_false(report_question_read(span_of(bytes, n - 1), &nonce));
    fill(0, 0);
    n = report_write(&sent, bytes);
    assert_false(report_question_read(span_of(bytes, n), &nonce));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_report_is_read_back_as_it_was_written),
        cmocka_unit_test(how_followers_do_is_told_where_it_is_known),
        cmocka_unit_test(a_report_that_is_cut_or_longer_is_refused),
        cmocka_unit_test(a_member_that_cannot_be_is_refused),
        cmocka_unit_test(more_left_of_a_copy_than_there_is_is_refused),
        cmocka_unit_test(a_question_is_no_report_and_a_report_no_question),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
