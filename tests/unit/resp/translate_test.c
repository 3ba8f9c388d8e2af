/* Replies that were written in RESP3, for a client of RESP2: what it would have been written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "resp/translate.h"

/* A copy that ends where its memory does: what is read beyond is seen by the sanitizer. */
static void translate(struct reply *out, struct span resp3)
{
    uint8_t *exact = malloc(resp3.n > 0 ? resp3.n : 1);
    assert_non_null(exact);
    memcpy(exact, resp3.p, resp3.n);
    reply_translate(out, span_of(exact, resp3.n));
    free(exact);
}

/* `write` for both versions, and from the one to the other. */
static void check(void (*write)(struct reply *))
{
    struct reply three, two, out;
    reply_init(&three, 3);
    reply_init(&two, 2);
    write(&three);
    write(&two);
    for (uint8_t version = 2; version <= 3; version++) {
        const struct reply *expected = version == 2 ? &two : &three;
        reply_init(&out, version);
        reply_raw(&out, SPAN_LITERAL("before"));
        out.is_error = !three.is_error;
        translate(&out, span_of(three.p, three.n));
        assert_int_equal(out.n, strlen("before") + expected->n);
        assert_memory_equal(out.p, "before", strlen("before"));
        assert_memory_equal(out.p + strlen("before"), expected->p, expected->n);
        assert_true(out.is_error == three.is_error);
        reply_free(&out);
    }
    reply_free(&three);
    reply_free(&two);
}

static void write_ok(struct reply *r)
{
    reply_status(r, "OK");
}

static void write_error(struct reply *r)
{
    reply_error(r, "ERR value is not an integer or out of range");
}

static void write_integer(struct reply *r)
{
    reply_integer(r, INT64_MIN);
}

static void write_null(struct reply *r)
{
    reply_null(r);
}

static void write_true(struct reply *r)
{
    reply_bool(r, true);
}

static void write_false(struct reply *r)
{
    reply_bool(r, false);
}

static void write_double(struct reply *r)
{
    reply_double(r, 2.5);
}

static void write_verbatim(struct reply *r)
{
    reply_verbatim(r, SPAN_LITERAL("txt:ab"));
}

static void write_empty_verbatim(struct reply *r)
{
    reply_verbatim(r, SPAN_LITERAL(""));
}

/* Bytes that look like replies, and line ends. */
static void write_bulk(struct reply *r)
{
    reply_bulk(r, SPAN_LITERAL("_\r\n#t\r\n\r\n,1\r\n%1\r\n$9\r\n\0\n"));
}

static void write_empty_bulk(struct reply *r)
{
    reply_bulk(r, SPAN_LITERAL(""));
}

static void write_array(struct reply *r)
{
    reply_array(r, 8);
    reply_null(r);
    write_bulk(r);
    reply_array(r, 0);
    write_verbatim(r);
    reply_bool(r, true);
    reply_double(r, -0.125);
    reply_array(r, 2);
    reply_null(r);
    reply_integer(r, 7);
    reply_status(r, "last");
}

static void write_others(struct reply *r)
{
    reply_array(r, 3);
    reply_map(r, 12);
    for (uint32_t i = 0; i < 12; i++) {
        reply_field_integer(r, "name", i);
    }
    reply_set(r, 2);
    reply_null(r);
    reply_bulk_text(r, "x");
    reply_push(r, 1);
    reply_null(r);
}

static void test_each_kind_is_as_it_would_have_been_written(void **state)
{
    (void)state;
    static void (*const writers[])(struct reply *) = {
        write_ok,         write_error,  write_integer, write_null,     write_true,
        write_false,      write_double, write_bulk,    write_verbatim, write_empty_verbatim,
        write_empty_bulk, write_array,  write_others,
    };
    for (size_t i = 0; i < ARRAY_COUNT(writers); i++) {
        check(writers[i]);
    }
}

/* No command of ours writes one. */
static void test_a_long_number_is_its_digits(void **state)
{
    (void)state;
    struct reply out;
    reply_init(&out, 2);
    translate(&out, SPAN_LITERAL("*2\r\n(12345678901234567890\r\n_\r\n"));
    assert_int_equal(out.n, strlen("*2\r\n$20\r\n12345678901234567890\r\n$-1\r\n"));
    assert_memory_equal(out.p, "*2\r\n$20\r\n12345678901234567890\r\n$-1\r\n", out.n);
    reply_free(&out);
}

/* It comes from a record of another node's state: whatever it is, nothing beyond it is read and
 * there is an end. */
static void test_nonsense_has_an_end(void **state)
{
    (void)state;
    static const char *const nonsense[] = {
        "",
        "\n",
        "\r\n",
        "x",
        "$",
        "$\n",
        "$5\r\nabc",
        "$5\r\nabcde",
        "$5\r\nabcde\r",
        "$-1\r\n",
        "$x\r\n",
        "=2\r\nab\r\n",
        "=4\r\ntxt:",
        "%x\r\n%-3\r\n",
        "#\r\n",
        "_",
        "\n\n\n*",
        "$99999999999999\r\n",
    };
    struct reply out;
    for (size_t i = 0; i < ARRAY_COUNT(nonsense); i++) {
        reply_init(&out, 2);
        translate(&out, span_of(nonsense[i], strlen(nonsense[i])));
        assert_true(out.n <= 64);
        assert_false(out.is_error);
        reply_free(&out);
    }
    struct reply whole;
    reply_init(&whole, 3);
    write_array(&whole);
    write_others(&whole);
    for (size_t cut = 0; cut < whole.n; cut++) {
        for (uint32_t byte = 0; byte < 256; byte += 17) {
            uint8_t kept = whole.p[cut];
            reply_init(&out, 2);
            translate(&out, span_of(whole.p, cut));
            whole.p[cut] = (uint8_t)byte;
            translate(&out, span_of(whole.p, whole.n));
            whole.p[cut] = kept;
            assert_true(out.n <= 4 * whole.n);
            reply_free(&out);
        }
    }
    reply_free(&whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_kind_is_as_it_would_have_been_written),
        cmocka_unit_test(test_a_long_number_is_its_digits),
        cmocka_unit_test(test_nonsense_has_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
