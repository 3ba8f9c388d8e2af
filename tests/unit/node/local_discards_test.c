/* KEYSPACE DISCARDS by its exact replies (R8): what is discarded is shown with its reason and its
 * command, and where nothing ever was that is what is said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "command/op.h"
#include "engine/rows_format.h"
#include "facades_world.h"
#include "log/record.h"
#include "tests/unit/cluster/put_records.h"

static struct discards_item items[8];
static uint8_t bytes[8][200];

static int begin(void **state)
{
    (void)state;
    (void)facades_by(LISTENER_PLAIN);
    struct map_keyspace k = a_keyspace(16, "cart", "cart:", 2, 2);
    put_all(node.map, &k, 3, 1);
    memset(items, 0, sizeof items);
    journal = (struct discards *)&items; /* nobody looks */
    journal_items = items;
    journal_next = 0;
    return 0;
}

/* An entry with that command, of words split at blanks. */
static void put(uint32_t i, const char *name, uint8_t db, struct span *argv, uint32_t argc)
{
    const struct command_spec *spec = command_by_name(span_of(name, strlen(name)));
    struct op head = { .stamp = 5, .level = 1, .tag = spec->tag, .db = db };
    size_t n = op_bytes(argv, argc);
    assert_true(n <= sizeof bytes[i]);
    for (uint32_t k = 0; k < argc; k++) {
        head.refs = (uint16_t)(head.refs + op_is_ref(argv[k]));
    }
    op_write(bytes[i], &head, argv, argc);
    items[i].entry = (struct discard){ .number = 41 + i,
                                       .slot = 900 + i,
                                       .term = 7,
                                       .lost_to = 9,
                                       .at = 1700000000123456,
                                       .group = 12,
                                       .partition = 3,
                                       .reason = DISCARD_ROLLED_BACK,
                                       .acknowledged = DISCARD_MAY_BE_ACKNOWLEDGED,
                                       .kind = RECORD_COMMAND,
                                       .slots = 1,
                                       .bytes = (uint32_t)n,
                                       .payload = span_of(bytes[i], n) };
    journal_item_count = i + 1;
}

static struct span word(const char *text)
{
    return span_of(text, strlen(text));
}

#define ITEM(number, state, count, reason, acknowledged)                                  \
    "$6\r\nnumber\r\n:" #number "\r\n$5\r\nstate\r\n" state "\r\n$5\r\ncount\r\n:" #count \
    "\r\n$6\r\nreason\r\n" reason "\r\n$12\r\nacknowledged\r\n" acknowledged "\r\n"
#define PLACE(at, partition, group, slot, term, lost)                                       \
    "$2\r\nat\r\n:" #at "\r\n$9\r\npartition\r\n:" #partition "\r\n$5\r\ngroup\r\n:" #group \
    "\r\n$4\r\nslot\r\n:" #slot "\r\n$4\r\nterm\r\n:" #term "\r\n$7\r\nlost-to\r\n:" #lost "\r\n"
#define WHAT(kind, db, n)                                                           \
    "$4\r\nkind\r\n" kind "\r\n$2\r\ndb\r\n:" #db "\r\n$5\r\nbytes\r\n:" #n "\r\n$" \
                                                                            "7\r\ncommand\r\n"

static void an_entry_is_shown_with_its_command(void **state)
{
    (void)state;
    put(0, "set", 5, (struct span[]){ word("k"), word("a b") }, 2);
    CHECK("keyspace discards cart",
          "*2\r\n$1\r\n0\r\n*1\r\n*30\r\n" ITEM(41, "$9\r\ndiscarded", 1, "$11\r\nrolled-back",
                                                "$5\r\nmaybe")
              PLACE(1700000000123, 3, 12, 900, 7, 9)
                  WHAT("$7\r\ncommand", 5, 40) "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$3\r\na b\r\n");
    assert_int_equal(journal_asked, 16);
    assert_int_equal(journal_cursor, 0);
    assert_int_equal(journal_count, 10);
    journal_next = 42;
    items[0].regained = true;
    items[0].entry.acknowledged = DISCARD_ACKNOWLEDGED;
    items[0].entry.reason = DISCARD_FORCED;
    me->version = 3;
    CHECK_HAS("keyspace discards cart scan 41 count 1",
              "*2\r\n$2\r\n42\r\n*1\r\n%15\r\n" ITEM(41, "$8\r\nregained", 1, "$6\r\nforced",
                                                     "$3\r\nyes"));
    assert_int_equal(journal_cursor, 41);
    assert_int_equal(journal_count, 1);
    items[0].entry.acknowledged = DISCARD_NOT_ACKNOWLEDGED;
    CHECK_HAS("keyspace discards cart scan 0", "$2\r\nno\r\n");
}

/* LOG logical: what was made of each key. */
static void rows_are_shown_as_what_they_made_of_their_keys(void **state)
{
    struct row rows[] = {
        { .db = 2, .key = word("a"), .after = { 1, 1700000000123456, 3 }, .new = word("a b") },
        { .db = 2, .key = word("b"), .before = { 1, 0, 1 }, .old = word("x") },
        { .db = 2, .key = word("c"), .before = { 1, 0, 101 }, .after = { 1, 0, 101 },
          .prefix = 100, .old = word("x"), .new = word("y") },
    };
    (void)state;
    put(0, "set", 5, (struct span[]){ word("k"), word("v") }, 2);
    struct rows_entry head = { .form = ROWS_FORM_ROWS, .count = 3, .stamp = 5 };
    struct wire_writer w = wire_writer(bytes[0], sizeof bytes[0]);
    rows_head_write(&w, &head);
    for (uint32_t i = 0; i < ARRAY_COUNT(rows); i++) {
        row_write(&w, &rows[i]);
    }
    assert_false(w.bad);
    items[0].entry.kind = RECORD_ROWS;
    items[0].entry.payload = span_of(bytes[0], w.n);
    const char *reply = run("keyspace discards cart");
    assert_non_null(strstr(reply, "$4\r\nkind\r\n$4\r\nrows\r\n$2\r\ndb\r\n:2\r\n"));
    assert_non_null(strstr(reply, "*10\r\n$3\r\nSET\r\n$1\r\na\r\n$3\r\na b\r\n$4\r\nPXAT\r\n"
                                  "$13\r\n1700000000123\r\n$3\r\nDEL\r\n$1\r\nb\r\n"
                                  "$3\r\nSET\r\n$1\r\nc\r\n$11\r\n(101 bytes)\r\n"));
    items[0].entry.payload.n--; /* cut */
    assert_non_null(strstr(run("keyspace discards cart"), "command\r\n*0\r\n"));
}

static void what_is_no_whole_command_shows_none(void **state)
{
    struct span large = { .n = 300000 };
    (void)state;
    put(0, "append", 0, (struct span[]){ word("k"), large }, 2);
    put(1, "set", 3, (struct span[]){ word("k"), word("v") }, 2);
    items[1].entry.payload.n -= 1; /* cut */
    put(2, "set", 0, (struct span[]){ word("k"), word("v") }, 2);
    items[2].entry.kind = RECORD_BLOB;
    items[3].entry = (struct discard){ .number = 44, .slot = 5, .slots = 70, .reason = 1 };
    items[4].entry.number = 45;
    items[4].unread = 30;
    journal_item_count = 5;
    const char *reply = run("keyspace discards cart scan 0 count 5");
    assert_non_null(strstr(reply, "*3\r\n$6\r\nAPPEND\r\n$1\r\nk\r\n$14\r\n(300000 bytes)\r\n"));
    assert_non_null(strstr(reply, WHAT("$7\r\ncommand", 3, 38) "*0\r\n"));
    assert_non_null(strstr(reply, WHAT("$4\r\nblob", 0, 38) "*0\r\n"));
    assert_non_null(strstr(reply,
                           ITEM(44, "$9\r\ndiscarded", 70, "$11\r\nrolled-back", "$2\r\nno")
                               PLACE(0, 0, 0, 5, 0, 0) WHAT("$7\r\nunknown", 0, 0) "*0\r\n"));
    assert_non_null(strstr(reply, ITEM(45, "$7\r\ndamaged", 30, "$7\r\nunknown", "$5\r\nmaybe")));
}

static void other_kinds_are_named(void **state)
{
    static const struct {
        uint8_t kind;
        const char *name;
    } kinds[] = { { RECORD_NOOP, "noop" }, { RECORD_TICK, "tick" }, { RECORD_MEMBERS, "members" } };
    (void)state;
    put(0, "client|list", 0, NULL, 0);
    CHECK_HAS("keyspace discards cart", "*2\r\n$6\r\nCLIENT\r\n$4\r\nLIST\r\n");
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        items[0].entry.kind = kinds[i].kind;
        CHECK_HAS("keyspace discards cart", kinds[i].name);
        CHECK_LACKS("keyspace discards cart", "CLIENT");
    }
}

#define NO_STATS                                                                          \
    "*22\r\n$5\r\ntotal\r\n:0\r\n$4\r\nkept\r\n:0\r\n$8\r\nregained\r\n:0\r\n"            \
    "$10\r\noverflowed\r\n:0\r\n$7\r\ndamaged\r\n:0\r\n$11\r\nblind-slots\r\n:0\r\n"      \
    "$6\r\noldest\r\n:0\r\n$11\r\nbytes-total\r\n:0\r\n$16\r\nbytes-overflowed\r\n:0\r\n" \
    "$10\r\ndisk-bytes\r\n:0\r\n$12\r\nunread-files\r\n:0\r\n"

static void where_nothing_was_discarded_that_is_said(void **state)
{
    (void)state;
    put(0, "set", 0, (struct span[]){ word("k"), word("v") }, 2);
    journal_stats.total = 5;
    journal = NULL;
    CHECK("keyspace discards cart", "*2\r\n$1\r\n0\r\n*0\r\n");
    CHECK("keyspace discards 0 scan 7", "*2\r\n$1\r\n0\r\n*0\r\n");
    CHECK("keyspace discards cart stats", NO_STATS);
    assert_int_equal(journal_asked, 16);
}

static void stats_are_told(void **state)
{
    (void)state;
    journal_stats = (struct discards_stats){ .total = 1,
                                             .kept = 2,
                                             .regained = 3,
                                             .overflowed = 4,
                                             .damaged = 5,
                                             .bytes_total = 6,
                                             .overflowed_bytes = 7,
                                             .blind = 8,
                                             .disk_bytes = 9,
                                             .oldest = 10,
                                             .unread_files = 11 };
    CHECK("keyspace discards cart stats",
          "*22\r\n$5\r\ntotal\r\n:1\r\n$4\r\nkept\r\n:2\r\n$8\r\nregained\r\n:3\r\n"
          "$10\r\noverflowed\r\n:4\r\n$7\r\ndamaged\r\n:5\r\n$11\r\nblind-slots\r\n:8\r\n"
          "$6\r\noldest\r\n:10\r\n$11\r\nbytes-total\r\n:6\r\n$16\r\nbytes-overflowed\r\n:7\r\n"
          "$10\r\ndisk-bytes\r\n:9\r\n$12\r\nunread-files\r\n:11\r\n");
    CHECK_HAS("info keyspaces", "discards_total:1\r\ndiscards_kept:2\r\ndiscards_regained:3\r\n"
                                "discards_overflowed:4\r\ndiscards_damaged:5\r\n");
}

static void what_is_asked_wrongly_is_refused(void **state)
{
    (void)state;
    journal_asked = 0;
    CHECK("keyspace discards",
          "-ERR wrong number of arguments for 'keyspace|discards' command\r\n");
    CHECK("keyspace discards Cart",
          "-ERR there is no keyspace 'Cart': KEYSPACE LIST shows which there are\r\n");
    static const char *const wrong[] = { "scan", "stats 1", "scan 1 count", "scan 1 cuont 2",
                                         "x",    "count 1", "x 1",          "scan 1 count 2 3" };
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        char line[100];
        (void)snprintf(line, sizeof line, "keyspace discards cart %s", wrong[i]);
        CHECK(line, "-ERR syntax error\r\n");
    }
    CHECK("keyspace discards cart scan -1", "-ERR invalid cursor\r\n");
    CHECK("keyspace discards cart scan x", "-ERR invalid cursor\r\n");
    CHECK("keyspace discards cart scan 0 count 0",
          "-ERR value is not an integer or out of range\r\n");
    CHECK("keyspace discards cart scan 0 count x",
          "-ERR value is not an integer or out of range\r\n");
    assert_int_equal(journal_asked, 0);
    CHECK("keyspace discards cart scan 5 count 5000000000", "*2\r\n$1\r\n0\r\n*0\r\n");
    assert_int_equal(journal_count, UINT32_MAX);
}

static void what_cannot_be_read_is_said(void **state)
{
    (void)state;
    put(0, "set", 0, (struct span[]){ word("k"), word("v") }, 2);
    journal_error = -5;
    CHECK("keyspace discards cart",
          "-ERR the discard journal cannot be read: Input/output error\r\n");
    journal_trouble = "a later version";
    CHECK("keyspace discards cart", "-ERR the discard journal cannot be read: a later version\r\n");
    CHECK("keyspace discards cart stats",
          "-ERR the discard journal cannot be read: a later version\r\n");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, facades_clean)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(an_entry_is_shown_with_its_command),
        CASE(rows_are_shown_as_what_they_made_of_their_keys),
        CASE(what_is_no_whole_command_shows_none),
        CASE(other_kinds_are_named),
        CASE(where_nothing_was_discarded_that_is_said),
        CASE(stats_are_told),
        CASE(what_is_asked_wrongly_is_refused),
        CASE(what_cannot_be_read_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
