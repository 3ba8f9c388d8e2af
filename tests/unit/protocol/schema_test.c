/* The message schema: every kind round trips, every truncation and every value out of range is
 * refused, and docs/wire-format.md says what the list says. */
#include "protocol/raft/raft_messages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define BODY_MAX 256
#define ROUNDS 500u

struct body {
    _Alignas(8) uint8_t bytes[BODY_MAX];
};

static size_t encode(uint16_t kind, const struct body *body, uint8_t *wire, size_t cap)
{
    struct wire_writer w = wire_writer(wire, cap);
    assert_true(raft_codec.encode(kind, body->bytes, &w));
    assert_false(w.bad);
    return w.n;
}

static void test_every_kind_round_trips(void **state)
{
    (void)state;
    assert_true(raft_codec.body_max <= BODY_MAX);
    uint32_t kinds = 0;
    for (uint16_t kind = 0; kind <= raft_codec.kind_max; kind++) {
        if (raft_codec.name(kind) == NULL) {
            continue;
        }
        kinds++;
        for (uint64_t seed = 0; seed < ROUNDS; seed++) {
            struct body a = { { 0 } };
            struct body b;
            uint8_t wire[BODY_MAX];
            memset(&b, 0xa5, sizeof b);
            raft_codec.random(kind, seed, a.bytes);
            size_t n = encode(kind, &a, wire, sizeof wire);
            assert_true(raft_codec.decode(kind, span_of(wire, n), b.bytes));
            assert_true(raft_codec.equal(kind, a.bytes, b.bytes));
            /* Byte for byte, padding included: nothing uninitialised can leave. */
            uint8_t again[BODY_MAX];
            assert_int_equal(encode(kind, &b, again, sizeof again), n);
            assert_memory_equal(wire, again, n);
        }
    }
    assert_int_equal(kinds, 21);
}

static void test_truncations_and_excess_are_refused(void **state)
{
    (void)state;
    for (uint16_t kind = 0; kind <= raft_codec.kind_max; kind++) {
        if (raft_codec.name(kind) == NULL) {
            continue;
        }
        struct body a = { { 0 } };
        struct body b = { { 0 } };
        uint8_t wire[BODY_MAX];
        raft_codec.random(kind, 7, a.bytes);
        size_t n = encode(kind, &a, wire, sizeof wire);
        for (size_t cut = 0; cut < n; cut++) {
            assert_false(raft_codec.decode(kind, span_of(wire, cut), b.bytes));
        }
        wire[n] = 0;
        assert_false(raft_codec.decode(kind, span_of(wire, n + 1), b.bytes));
        struct wire_writer narrow = wire_writer(wire, n - 1);
        assert_true(raft_codec.encode(kind, a.bytes, &narrow));
        assert_true(narrow.bad);
    }
}

static void test_unknown_kinds_are_refused(void **state)
{
    (void)state;
    struct body b = { { 0 } };
    uint8_t wire[BODY_MAX] = { 0 };
    struct wire_writer w = wire_writer(wire, sizeof wire);
    uint16_t unknown = (uint16_t)(raft_codec.kind_max + 1);
    assert_false(raft_codec.encode(unknown, b.bytes, &w));
    assert_false(raft_codec.decode(unknown, span_of(wire, 8), b.bytes));
    assert_false(raft_codec.decode(0, span_of(wire, 0), b.bytes));
    assert_null(raft_codec.name(unknown));
}

static void test_values_out_of_range_are_refused(void **state)
{
    (void)state;
    struct raft_hard_state good = { .term = 3, .vote = 14 };
    struct raft_hard_state out;
    uint8_t wire[16];
    struct wire_writer w = wire_writer(wire, sizeof wire);
    assert_true(raft_codec.encode(RAFT_HARD_STATE, &good, &w));
    assert_int_equal(w.n, 9);
    assert_true(raft_codec.decode(RAFT_HARD_STATE, span_of(wire, w.n), &out));
    wire[8] = MEMBERS_MAX; /* no such node */
    assert_false(raft_codec.decode(RAFT_HARD_STATE, span_of(wire, w.n), &out));
    wire[8] = NODE_NONE;
    assert_true(raft_codec.decode(RAFT_HARD_STATE, span_of(wire, w.n), &out));
    struct raft_vote_reply reply = { .term = 1, .granted = true };
    w = wire_writer(wire, sizeof wire);
    assert_true(raft_codec.encode(RAFT_VOTE_REPLY, &reply, &w));
    wire[8] = 2; /* a flag is 0 or 1 */
    assert_false(raft_codec.decode(RAFT_VOTE_REPLY, span_of(wire, w.n), &reply));
}

/* Flipping any one field makes two messages differ, for every kind. */
static void test_any_change_is_seen_by_equal(void **state)
{
    (void)state;
#define MESSAGE(tag, NAME, name, lane, sentence) \
    {                                            \
        struct raft_##name a, b;                 \
        uint16_t kind = tag;                     \
        raft_codec.random(kind, 1, &a);
#define FIELD(type, name)                        \
    b = a;                                       \
    assert_true(raft_codec.equal(kind, &a, &b)); \
    b.name = !b.name;                            \
    assert_false(raft_codec.equal(kind, &a, &b));
#define END(name) }
#define RETIRED(tag, why)
#include "protocol/raft/raft_messages.def"
#undef MESSAGE
#undef FIELD
#undef END
#undef RETIRED
}

static void test_lanes_and_print(void **state)
{
    (void)state;
    assert_true(raft_codec.is_control(RAFT_VOTE));
    assert_true(raft_codec.is_control(RAFT_HEARTBEAT));
    assert_false(raft_codec.is_control(RAFT_APPEND));
    assert_false(raft_codec.is_control(RAFT_HARD_STATE));
    struct raft_vote_reply reply = { .term = 12, .granted = true };
    char line[64];
    struct text t = text_in(line, sizeof line);
    raft_codec.print(RAFT_VOTE_REPLY, &reply, &t);
    assert_string_equal(line, "VOTE_REPLY term=12 granted=1");
}

/* --- docs/wire-format.md ---------------------------------------------------------------------- */

/* The table of the document, from the list. */
static void print_table(FILE *out)
{
    fprintf(out, "| tag | message | lane | what it says | fields |\n|--:|---|---|---|---|\n");
#define MESSAGE(tag, NAME, name, lane, sentence) \
    fprintf(out, "| %d | `" #NAME "` | %s | %s |", tag, #lane, sentence);
#define FIELD(type, name) fprintf(out, " " #name ":" #type);
#define END(name) fprintf(out, " |\n");
#define RETIRED(tag, why) fprintf(out, "| %d | *retired* | | %s | |\n", tag, why);
#include "protocol/raft/raft_messages.def"
#undef MESSAGE
#undef FIELD
#undef END
#undef RETIRED
}

static char *read_all(FILE *file)
{
    char *text = calloc(1, 65536);
    assert_non_null(text);
    size_t n = fread(text, 1, 65535, file);
    assert_true(n > 0);
    return text;
}

static void test_the_document_holds_the_table(void **state)
{
    (void)state;
    FILE *document = fopen(WIRE_FORMAT, "r");
    assert_non_null(document);
    FILE *table = tmpfile();
    assert_non_null(table);
    print_table(table);
    rewind(table);
    char *expected = read_all(table);
    char *found = read_all(document);
    if (strstr(found, expected) == NULL) {
        fail_msg("docs/wire-format.md is out of date: replace its table by what "
                 "`schema_test --table` prints");
    }
    free(expected);
    free(found);
    fclose(table);
    fclose(document);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--table") == 0) {
        print_table(stdout);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kind_round_trips),
        cmocka_unit_test(test_truncations_and_excess_are_refused),
        cmocka_unit_test(test_unknown_kinds_are_refused),
        cmocka_unit_test(test_values_out_of_range_are_refused),
        cmocka_unit_test(test_any_change_is_seen_by_equal),
        cmocka_unit_test(test_lanes_and_print),
        cmocka_unit_test(test_the_document_holds_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
