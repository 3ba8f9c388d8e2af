/* Payloads of RECORD_ROWS: what is written is read, and what nobody writes is refused. */
#include "harness.h"

#include "base/limits.h"
#include "engine/rows_format.h"
#include "store/store.h"

#define ROWS_MAX 4

struct payload {
    struct rows_entry head;
    struct row rows[ROWS_MAX];
    uint32_t n;
    uint8_t bytes[512 * 1024];
    size_t used;
};

static struct row row_of(const char *key, const char *before, const char *after)
{
    struct row row = { .key = span_of(key, strlen(key)) };
    if (before != NULL) {
        row.old = span_of(before, strlen(before));
        row.before = (struct row_image){ TYPE_STRING, 0, (uint32_t)row.old.n };
    }
    if (after != NULL) {
        row.new = span_of(after, strlen(after));
        row.after = (struct row_image){ TYPE_STRING, 7, (uint32_t)row.new.n };
    }
    return row;
}

/* Two rows, as they may be. */
static struct payload *payload_new(void)
{
    struct payload *p = calloc(1, sizeof *p);
    assert_non_null(p);
    p->head = (struct rows_entry){ ROWS_FORM_ROWS, 2, 20, 10, { 0 } };
    p->rows[0] = row_of("a", "before", NULL);
    p->rows[1] = row_of("b", "before", "after");
    p->n = 2;
    return p;
}

static void write_payload(struct payload *p)
{
    struct wire_writer out = wire_writer(p->bytes, sizeof p->bytes);
    rows_head_write(&out, &p->head);
    for (uint32_t i = 0; i < p->n; i++) {
        size_t before = out.n;
        row_write(&out, &p->rows[i]);
        assert_int_equal(out.n - before, row_bytes(&p->rows[i]));
    }
    assert_false(out.bad);
    p->used = out.n;
}

static bool reads_bytes(const struct payload *p)
{
    struct rows_entry entry;
    uint8_t *copy = malloc(p->used > 0 ? p->used : 1); /* as long as that, so an overrun is seen */
    assert_non_null(copy);
    memcpy(copy, p->bytes, p->used);
    bool read = rows_read(span_of(copy, p->used), &entry);
    free(copy);
    return read;
}

static bool reads(struct payload *p)
{
    write_payload(p);
    return reads_bytes(p);
}

static void expect_read(struct payload *p, bool read)
{
    assert_int_equal(reads(p), read);
    free(p);
}

static void test_what_is_written_is_read(void **state)
{
    (void)state;
    struct payload *p = payload_new();
    struct rows_entry entry;
    struct row row;
    p->rows[1].prefix = 0;
    write_payload(p);
    assert_true(rows_read(span_of(p->bytes, p->used), &entry));
    assert_int_equal(entry.stamp, 20);
    assert_int_equal(entry.time_before, 10);
    assert_int_equal(rows_time_after(&entry), 20);
    struct rows_cursor cursor = rows_begin(&entry);
    assert_true(rows_next(&cursor, &row));
    assert_int_equal(row.before.n, 6);
    assert_int_equal(row.after.type, ROW_ABSENT);
    assert_true(rows_next(&cursor, &row));
    assert_int_equal(row.after.expire, 7);
    assert_memory_equal(row.new.p, "after", 5);
    assert_false(rows_next(&cursor, &row));
    free(p);
}

/* What will be touched first; whatever the bytes are, nothing is read beyond them. */
static void test_the_first_key_of_an_entry(void **state)
{
    (void)state;
    struct payload *p = payload_new();
    struct span key;
    uint8_t db = 9;
    p->rows[0].db = 3;
    p->rows[1].db = 3;
    write_payload(p);
    assert_true(rows_first_key(span_of(p->bytes, p->used), &key, &db));
    assert_int_equal(db, 3);
    assert_int_equal(key.n, 1);
    assert_memory_equal(key.p, "a", 1);
    for (size_t n = 0; n < ROWS_HEAD_BYTES + 8; n++) {
        uint8_t *copy = malloc(n > 0 ? n : 1);
        assert_non_null(copy);
        memcpy(copy, p->bytes, n);
        assert_false(rows_first_key(span_of(copy, n), &key, &db));
        free(copy);
    }
    p->bytes[ROWS_HEAD_BYTES] = DATABASES;
    assert_false(rows_first_key(span_of(p->bytes, p->used), &key, &db));
    p->n = p->head.count = 0;
    write_payload(p);
    assert_false(rows_first_key(span_of(p->bytes, p->used), &key, &db));
    p->head.form = ROWS_FORM_TICK;
    write_payload(p);
    assert_false(rows_first_key(span_of(p->bytes, p->used), &key, &db));
    free(p);
}

static void test_every_beginning_is_refused(void **state)
{
    (void)state;
    struct payload *p = payload_new();
    write_payload(p);
    size_t whole = p->used;
    for (p->used = 0; p->used < whole; p->used++) {
        assert_false(reads_bytes(p));
    }
    p->used = whole + 1;
    assert_false(reads_bytes(p));
    free(p);
}

static void test_heads_that_are_refused(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        uint8_t byte;
    } wrong[] = { { 0, 0 }, { 0, 2 }, { 1, 0 }, { 1, 2 }, { 1, 3 },    { 1, 4 },
                  { 2, 1 }, { 3, 1 }, { 4, 1 }, { 4, 3 }, { 15, 128 }, { 23, 128 } };
    struct payload *p = payload_new();
    assert_true(reads(p));
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        uint8_t before = p->bytes[wrong[i].at];
        p->bytes[wrong[i].at] = wrong[i].byte;
        assert_false(reads_bytes(p));
        p->bytes[wrong[i].at] = before;
    }
    assert_true(reads_bytes(p));
    free(p);
}

/* F1 */
static void test_order_is_demanded(void **state)
{
    (void)state;
    struct payload *p = payload_new();
    p->rows[0].key = span_of("b", 1);
    expect_read(p, false); /* the same key */
    p = payload_new();
    p->rows[0].key = span_of("c", 1);
    expect_read(p, false);
    p = payload_new();
    p->rows[0].key = span_of("bb", 2);
    expect_read(p, false);
    p = payload_new();
    p->rows[0].db = 1;
    expect_read(p, false);
    p = payload_new();
    p->rows[0].key = span_of("c", 1);
    p->rows[1].db = 1;
    expect_read(p, true);
    p = payload_new();
    p->rows[0].key = span_of("", 0);
    expect_read(p, true);
}

static void test_places_that_are_refused(void **state)
{
    (void)state;
    struct payload *p = payload_new();
    p->rows[1].db = DATABASES - 1;
    expect_read(p, true);
    p = payload_new();
    p->rows[1].db = SYSTEM_DB;
    expect_read(p, false);
    p = payload_new();
    p->rows[1].db = STORE_DATABASES;
    expect_read(p, false);
    static uint8_t key[KEY_BYTES_MAX + 1] = { 'x' };
    for (size_t more = 0; more < 2; more++) {
        p = payload_new();
        p->rows[1].key = span_of(key, KEY_BYTES_MAX + more);
        expect_read(p, more == 0);
    }
}

static void test_images_that_are_refused(void **state)
{
    (void)state;
    struct payload *p = payload_new();
    p->rows[1].before.type = 2;
    expect_read(p, false);
    p = payload_new();
    p->rows[1].after.expire = -1;
    expect_read(p, false);
    static uint8_t value[LARGE_BYTES + 1];
    for (size_t more = 0; more < 2; more++) {
        p = payload_new();
        p->rows[1].new = span_of(value, LARGE_BYTES + more);
        p->rows[1].after.n = (uint32_t)(LARGE_BYTES + more);
        expect_read(p, more == 0);
    }
}

/* F2 */
static void test_a_row_changes_something(void **state)
{
    (void)state;
    struct payload *p = payload_new();
    p->rows[1] = row_of("b", NULL, NULL);
    expect_read(p, false);
    for (int i = 0; i < 4; i++) {
        p = payload_new();
        p->rows[1] = row_of("b", "same", i == 1 ? "othr" : i == 2 ? "longer" : "same");
        p->rows[1].after.expire = i == 3 ? 5 : 0;
        expect_read(p, i > 0);
    }
}

static void test_shared_bytes_lie_in_both(void **state)
{
    (void)state;
    static const struct {
        uint32_t prefix, suffix;
        bool fits;
    } cases[] = { { 3, 2, true },  { 5, 0, true },           { 3, 3, false },
                  { 6, 0, false }, { UINT32_MAX, 1, false }, { UINT32_MAX, UINT32_MAX, false } };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct payload *p = payload_new();
        struct row *row = &p->rows[1];
        row->prefix = cases[i].prefix; /* of `before` and `after` */
        row->suffix = cases[i].suffix;
        row->old.n = cases[i].fits ? 6 - row->prefix - row->suffix : 0;
        row->new.n = cases[i].fits ? 5 - row->prefix - row->suffix : 0;
        expect_read(p, cases[i].fits);
    }
}

/* What the engine would have to refuse in the middle is refused here (F3). */
static void test_records_of_requests_that_are_refused(void **state)
{
    (void)state;
    static const uint8_t reply[] = "digest..\0+OK\r\n";
    for (int i = 0; i < 7; i++) {
        struct payload *p = payload_new();
        struct row *row = &p->rows[1];
        row->db = IDS_DB;
        row->key = span_of("\001pi", 3);
        row->before = (struct row_image){ ROW_ABSENT, 0, 0 };
        row->old.n = 0;
        row->new = span_of(reply, 14);
        row->after = (struct row_image){ TYPE_STRING, 7, 14 };
        if (i == 1) {
            row->key = span_of("\000p", 2); /* a count */
        } else if (i == 2) {
            row->key = span_of("", 0);
        } else if (i == 3) {
            row->after.expire = 0;
        } else if (i == 4) {
            row->after.n = 9;
            row->new.n = 9;
        } else if (i == 5) { /* the one that goes must be one, too */
            row->before = (struct row_image){ TYPE_STRING, 7, 3 };
            row->old = span_of("abc", 3);
        } else if (i == 6) {
            row->before = (struct row_image){ TYPE_STRING, 6, 14 };
            row->prefix = 9;
            row->old = row->new = span_of(reply + 9, 5);
        }
        expect_read(p, i == 0);
    }
}

static void test_statements_that_are_refused(void **state)
{
    (void)state;
    struct payload *p = payload_new();
    const struct span argv[] = { span_of("k", 1), span_of("v", 1) };
    struct op head = { .stamp = 20, .level = SEMANTICS_LEVEL, .tag = 1 };
    p->n = 0;
    p->head.form = ROWS_FORM_STATEMENT;
    p->head.count = 0;
    write_payload(p);
    assert_false(reads_bytes(p)); /* no op */
    op_write(p->bytes + p->used, &head, argv, 2);
    p->used += op_bytes(argv, 2);
    assert_true(reads_bytes(p));
    p->bytes[8]++; /* another stamp than the op's */
    assert_false(reads_bytes(p));
    p->bytes[8]--;
    p->bytes[4] = 1; /* rows */
    assert_false(reads_bytes(p));
    p->bytes[4] = 0;
    p->used--;
    assert_false(reads_bytes(p));
    free(p);
}

static void test_ticks_that_are_refused(void **state)
{
    (void)state;
    struct payload *p = payload_new();
    p->n = 0;
    p->head.form = ROWS_FORM_TICK;
    p->head.count = 0;
    assert_true(reads(p));
    p->used++;
    assert_false(reads_bytes(p));
    p->used--;
    p->bytes[4] = 1;
    assert_false(reads_bytes(p));
    free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_written_is_read),
        cmocka_unit_test(test_the_first_key_of_an_entry),
        cmocka_unit_test(test_every_beginning_is_refused),
        cmocka_unit_test(test_heads_that_are_refused),
        cmocka_unit_test(test_order_is_demanded),
        cmocka_unit_test(test_places_that_are_refused),
        cmocka_unit_test(test_images_that_are_refused),
        cmocka_unit_test(test_a_row_changes_something),
        cmocka_unit_test(test_shared_bytes_lie_in_both),
        cmocka_unit_test(test_records_of_requests_that_are_refused),
        cmocka_unit_test(test_statements_that_are_refused),
        cmocka_unit_test(test_ticks_that_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
