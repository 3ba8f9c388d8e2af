/* What can be said of a keyspace, and every way to say it wrongly (issue 5, bad input): one clear
 * sentence each, which begins with its code. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/word.h"
#include "node/keyspace_options.h"
#include "tests/unit/cluster/put_records.h"

#define WORDS_MAX 24

/* Splits at blanks; "_" is an empty argument. */
static uint32_t words_of(const char *line, char *copy, struct span *argv)
{
    uint32_t argc = 0;
    strcpy(copy, line);
    for (char *w = strtok(copy, " "); w != NULL; w = strtok(NULL, " ")) {
        argv[argc++] = span_of(w, strcmp(w, "_") == 0 ? 0 : strlen(w));
    }
    return argc;
}

static const struct map_keyspace of_raft = { .strategy = STRATEGY_RAFT };

static bool take(const char *line, bool fresh, struct keyspace_options *out, char *why, size_t cap)
{
    char copy[512];
    struct span argv[WORDS_MAX];
    struct text text = text_in(why, cap);
    return keyspace_options_read(argv, words_of(line, copy, argv), fresh ? NULL : &of_raft, out,
                                 &text);
}

static void without_options_a_keyspace_has_three_replicas_and_one_partition(void **state)
{
    struct keyspace_options o;
    char why[400];
    (void)state;
    assert_true(take("STRATEGY raft", true, &o, why, sizeof why));
    assert_int_equal(o.id, 0);
    assert_int_equal(o.replicas, 3);
    assert_int_equal(o.partitions, 1);
    assert_false(o.lease);
    assert_int_equal(o.maxmemory, 0);
    assert_int_equal(o.maxops, 0);
    assert_int_equal(o.prefix_length, 0);
    assert_int_equal(o.given, GIVEN_STRATEGY);
}

static void all_options_are_read_in_any_order_and_case(void **state)
{
    struct keyspace_options o;
    char why[400];
    (void)state;
    assert_true(take("maxops 500 id 17 voters 5 partition HASH partitions 64 prefix cart: "
                     "lease YES maxmemory 100mb strategy RAFT",
                     true, &o, why, sizeof why));
    assert_int_equal(o.id, 17);
    assert_int_equal(o.replicas, 5);
    assert_int_equal(o.partitions, 64);
    assert_true(o.lease);
    assert_int_equal(o.maxmemory, 100 << 20);
    assert_int_equal(o.maxops, 500);
    assert_memory_equal(o.prefix, "cart:", 5);
    assert_int_equal(o.prefix_length, 5);
}

/* The bounds themselves are within. */
static void the_least_and_the_most_are_taken(void **state)
{
    static const char prefix[] = "!23456789012345678901234567890123456789012345678901234567890123~";
    char line[160] = "STRATEGY raft PREFIX ";
    struct keyspace_options o;
    char why[400];
    (void)state;
    assert_true(take("STRATEGY raft ID 16 REPLICAS 1 PARTITIONS 1 MAXMEMORY 0 MAXOPS 0 LEASE no",
                     true, &o, why, sizeof why));
    assert_true(o.id == 16 && o.replicas == 1 && o.partitions == 1 && !o.lease);
    assert_true(o.maxmemory == 0 && o.maxops == 0);
    assert_true(take("STRATEGY raft ID 65535 REPLICAS 15 PARTITIONS 16384 MAXOPS 1000000000 "
                     "MAXMEMORY 9223372036854775807",
                     true, &o, why, sizeof why));
    assert_true(o.id == 65535 && o.replicas == 15 && o.partitions == 16384);
    assert_true(o.maxmemory == INT64_MAX && o.maxops == 1000000000);
    strcat(line, prefix);
    assert_true(take(line, true, &o, why, sizeof why));
    assert_int_equal(o.prefix_length, 64);
    assert_memory_equal(o.prefix, prefix, 64);
}

/* Bytes that a line of words does not show. */
static void a_prefix_has_no_blanks_and_no_bytes_beyond_ascii(void **state)
{
    static const char *const bad[] = { "a b", "a\tb", "a\x7f", "\xc3\xa4", "a{b" };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        struct keyspace_options o;
        char why[400];
        struct text text = text_in(why, sizeof why);
        struct span argv[] = { SPAN_LITERAL("PREFIX"), span_of(bad[i], strlen(bad[i])) };
        assert_false(keyspace_options_read(argv, 2, &of_raft, &o, &text));
        assert_non_null(strstr(why, "ERR a PREFIX is printable ASCII without blanks and {, not '"));
    }
}

static void an_empty_prefix_takes_the_route_away(void **state)
{
    struct keyspace_options o;
    char why[400];
    (void)state;
    assert_true(take("PREFIX _", false, &o, why, sizeof why));
    assert_int_equal(o.given, GIVEN_PREFIX);
    assert_int_equal(o.prefix_length, 0);
}

/* Wrong options of CREATE, and what the answer begins with. */
static const struct {
    const char *line, *why;
} wrong[] = {
    { "ID 16", "ERR STRATEGY is missing" },
    { "STRATEGY", "ERR option 'STRATEGY' wants a value" },
    { "STRATEGY rat", "ERR unknown strategy 'rat'" },
    { "STRATEGY 2pc", "ERR strategy '2pc' is not built yet" },
    { "STRATEGY 3pc", "ERR strategy '3pc' is not built yet" },
    { "STRATEGY paxos", "ERR strategy 'paxos' is not built yet" },
    { "STRATEGY chain", "ERR strategy 'chain' is not built yet" },
    { "STRATEGY multileader", "ERR strategy 'multileader' is not built yet" },
    { "STRATEGY Leaderless", "ERR strategy 'Leaderless' is not built yet" },
    { "STRATEGY spanner", "ERR strategy 'spanner' is not built yet" },
    { "STRATEGY raft STRATEGY raft", "ERR option 'STRATEGY' stands there twice" },
    { "STRATEGY raft REPLICAS 3 VOTERS 3", "ERR option 'VOTERS' stands there twice" },
    { "STRATEGY raft ID", "ERR option 'ID' wants a value" },
    { "STRATEGY raft ID 15", "ERR an ID is a number from 16 to 65535, not '15'" },
    { "STRATEGY raft ID 65536", "ERR an ID is a number from 16 to 65535, not '65536'" },
    { "STRATEGY raft ID 0x10", "ERR an ID is a number from 16 to 65535, not '0x10'" },
    { "STRATEGY raft REPLICAS 0", "ERR REPLICAS is a number from 1 to 15, not '0'" },
    { "STRATEGY raft REPLICAS -1", "ERR REPLICAS is a number from 1 to 15, not '-1'" },
    { "STRATEGY raft VOTERS 16", "ERR REPLICAS is a number from 1 to 15, not '16'" },
    { "STRATEGY raft REPLICAS three", "ERR REPLICAS is a number from 1 to 15, not 'three'" },
    { "STRATEGY raft PARTITIONS 0", "ERR PARTITIONS is a number from 1 to 16384, not '0'" },
    { "STRATEGY raft PARTITIONS 16385", "ERR PARTITIONS is a number from 1 to 16384" },
    { "STRATEGY raft PARTITION range", "ERR PARTITION range is not built yet" },
    { "STRATEGY raft PARTITION list", "ERR PARTITION is hash, not 'list'" },
    { "STRATEGY raft PREFIX a{b",
      "ERR a PREFIX is printable ASCII without blanks and {, not 'a{b'" },
    { "STRATEGY raft PREFIX "
      "0123456789012345678901234567890123456789012345678901234567890123x",
      "ERR a PREFIX has at most 64 bytes" },
    { "STRATEGY raft LEASE maybe", "ERR LEASE is yes or no, not 'maybe'" },
    { "STRATEGY raft MAXMEMORY lots",
      "ERR MAXMEMORY is a number of bytes such as 100mb, or 0 for none, not 'lots'" },
    { "STRATEGY raft MAXMEMORY 9223372036854775808", "ERR MAXMEMORY is a number of bytes" },
    { "STRATEGY raft MAXMEMORY 9007199254740993kb", "ERR MAXMEMORY is a number of bytes" },
    { "STRATEGY raft MAXMEMORY -1", "ERR MAXMEMORY is a number of bytes" },
    { "STRATEGY raft MAXMEMORY 9223372036854775807gb", "ERR MAXMEMORY is a number of bytes" },
    { "STRATEGY raft MAXOPS -1",
      "ERR MAXOPS is a number of commands a second up to 1000000000, or 0 for no limit, not '-1'" },
    { "STRATEGY raft IDMP-DURATION 0", "ERR IDMP-DURATION is a number of seconds from 1 to 86400" },
    { "STRATEGY raft IDMP-DURATION 86401", "ERR IDMP-DURATION is a number of seconds" },
    { "STRATEGY raft IDMP-MAXSIZE 0", "ERR IDMP-MAXSIZE is a number of ids from 1 to 1000000" },
    { "STRATEGY raft IDMP-MAXSIZE 1000001", "ERR IDMP-MAXSIZE is a number of ids" },
    { "STRATEGY raft IDMP-MAXBYTES 9223372036854775808", "ERR IDMP-MAXBYTES is a number of bytes" },
    { "STRATEGY raft IDMP-MAXBYTES 4095", "ERR IDMP-MAXBYTES is a number of bytes such as 100mb" },
    { "STRATEGY raft MAXOPS 1000000001", "ERR MAXOPS is a number of commands a second" },
    { "STRATEGY raft SLOPPY yes", "ERR option 'SLOPPY' is not built yet" },
    { "STRATEGY raft ISOLATION serializable", "ERR option 'ISOLATION' is not built yet" },
    { "STRATEGY raft MAXDISK 1gb", "ERR option 'MAXDISK' is not built yet" },
    { "STRATEGY raft COLOUR blue", "ERR unknown option 'COLOUR': ID, STRATEGY, " },
};

static void whatever_is_wrong_is_said_in_a_sentence(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        struct keyspace_options o;
        char why[400] = "";
        assert_false(take(wrong[i].line, true, &o, why, sizeof why));
        if (strncmp(why, wrong[i].why, strlen(wrong[i].why)) != 0) {
            fail_msg("%s: %s", wrong[i].line, why);
        }
        assert_non_null(strstr(why, "nothing was changed"));
    }
}

/* STRATEGY primary (features R2 to R4). "~" stands for a blank. */
static bool take_primary(const char *line, const struct map_keyspace *now,
                         struct keyspace_options *o, char *why, size_t cap)
{
    char copy[512];
    struct span argv[WORDS_MAX];
    struct text text = text_in(why, cap);
    uint32_t argc = words_of(line, copy, argv);
    for (uint32_t i = argc; i < WORDS_MAX; i++) {
        argv[i] = SPAN_LITERAL("behind"); /* and not to be looked at */
    }
    for (size_t i = 0; i < sizeof copy; i++) {
        copy[i] = copy[i] == '~' ? ' ' : copy[i];
    }
    return keyspace_options_read(argv, argc, now, o, &text);
}

static struct map_keyspace with_primary(const char *line)
{
    struct keyspace_options o;
    char why[400];
    assert_true(take_primary(line, NULL, &o, why, sizeof why));
    return (
        struct map_keyspace){ .strategy = STRATEGY_PRIMARY, .primary = o.primary, .read = o.read };
}

static void options_of_primary_are_read_wherever_they_stand(void **state)
{
    struct keyspace_options o;
    char why[400];
    (void)state;
    assert_true(take_primary("STRATEGY primary", NULL, &o, why, sizeof why));
    assert_int_equal(o.strategy, STRATEGY_PRIMARY);
    assert_true(o.primary.ack.kind == ACK_ANY && o.primary.ack.n == 1 && !o.primary.fallback_async);
    assert_true(o.primary.ack.stage == ACK_DURABLE && o.read.level == READ_LINEARIZABLE);
    assert_int_equal(o.primary.log, PRIMARY_LOGICAL);
    assert_true(
        take_primary("ack ALL~OF~eu~ON~durable REPLICAS 5 fallback ASYNC maxops 7 strategy "
                     "PRIMARY read prefix log statement",
                     NULL, &o, why, sizeof why));
    assert_true(o.primary.ack.kind == ACK_ALL && o.primary.ack.stage == ACK_DURABLE);
    assert_string_equal(o.primary.ack.zone, "eu");
    assert_true(o.primary.fallback_async && o.replicas == 5 && o.maxops == 7);
    assert_true(o.read.level == READ_PREFIX && o.ack.kind == ACK_MAJORITY);
    assert_int_equal(o.given & GIVEN_RULES, GIVEN_READ);
    assert_true(take_primary("STRATEGY primary ACK LOCAL", NULL, &o, why, sizeof why));
    assert_int_equal(o.read.level, READ_LEADER); /* the strongest that it gives */
    assert_true(take_primary("STRATEGY primary ACK LOCAL READ local", NULL, &o, why, sizeof why));
    assert_int_equal(o.read.level, READ_LOCAL);
}

static void what_is_wrong_of_primary_is_said_in_a_sentence(void **state)
{
    static const struct {
        const char *line, *why;
    } bad[] = {
        { "REPLICAS 3", "ERR STRATEGY is missing: KEYSPACE CREATE name STRATEGY raft|primary" },
        { "STRATEGY primary LEASE yes",
          "ERR option 'LEASE' is not part of strategy primary: a primary reads by its lease" },
        { "STRATEGY primary HISTORY 1s",
          "ERR option 'HISTORY' is not part of strategy primary: raft has it" },
        { "STRATEGY raft FALLBACK fail",
          "ERR option 'FALLBACK' is not part of strategy raft: primary has it" },
        { "MAXLAG 1s STRATEGY raft", "ERR option 'MAXLAG' is not part of strategy raft" },
        { "STRATEGY primary COLOUR blue",
          "ERR unknown option 'COLOUR': ID, STRATEGY, REPLICAS, VOTERS, PARTITIONS, PARTITION, "
          "PREFIX, MAXMEMORY, MAXOPS, IDMP-DURATION, IDMP-MAXSIZE, IDMP-MAXBYTES, READ, ACK, "
          "FALLBACK, MAXLAG, LAGGING, LOG, APPENDFSYNC, FEED are there" },
        { "STRATEGY primary SLOPPY yes",
          "ERR option 'SLOPPY' is not built yet, and not part of strategy primary" },
        { "STRATEGY primary ACK", "ERR option 'ACK' wants a value" },
        { "STRATEGY primary FALLBACK", "ERR option 'FALLBACK' wants a value" },
        { "STRATEGY primary ACK LOCAL ACK ALL", "ERR option 'ACK' is given twice" },
        { "STRATEGY primary ACK LOCAL ACK ALL ACK LOCAL ACK ALL ACK LOCAL ACK ALL ACK LOCAL",
          "ERR option 'ACK' is given twice" },
        { "STRATEGY primary READ local ACK LOCAL READ local",
          "ERR option 'READ' stands there twice" },
        { "STRATEGY primary FALLBACK maybe", "ERR FALLBACK is fail or async, not 'maybe'" },
        { "STRATEGY primary ACK MAJORITY", "LEVEL strategy primary does not give ACK 'MAJORITY'" },
        { "STRATEGY primary READ causal",
          "LEVEL strategy primary does not give reads at level 'causal'" },
        { "STRATEGY primary ACK LOCAL READ linearizable",
          "LEVEL strategy primary does not give reads at level 'linearizable'" },
        { "STRATEGY primary STRATEGY raft", "ERR option 'STRATEGY' stands there twice" },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        struct keyspace_options o;
        char why[500] = "";
        assert_false(take_primary(bad[i].line, NULL, &o, why, sizeof why));
        if (strncmp(why, bad[i].why, strlen(bad[i].why)) != 0) {
            fail_msg("%s: %s", bad[i].line, why);
        }
        assert_true(strstr(why, "nothing was changed") || strstr(why, "was not applied"));
    }
}

/* O2: what is not said stays, and nothing weakens unsaid. */
static void an_alter_of_primary_goes_by_what_stands_there(void **state)
{
    struct map_keyspace any = with_primary("STRATEGY primary ACK ANY~2 FALLBACK async");
    struct map_keyspace local = with_primary("STRATEGY primary ACK LOCAL");
    struct keyspace_options o;
    char why[400];
    (void)state;
    assert_true(take_primary("MAXOPS 9", &any, &o, why, sizeof why));
    assert_true(o.primary.ack.n == 2 && o.primary.fallback_async);
    assert_true(take_primary("MAXOPS 9", &local, &o, why, sizeof why)); /* with its own READ */
    assert_int_equal(o.given, GIVEN_MAXOPS);
    assert_true(take_primary("FALLBACK fail", &any, &o, why, sizeof why));
    assert_true(o.primary.ack.n == 2 && !o.primary.fallback_async);
    assert_int_equal(o.given, GIVEN_FALLBACK);
    assert_false(take_primary("ACK ALL", &any, &o, why, sizeof why));
    assert_non_null(strstr(why, "ERR FALLBACK async was said beside another ACK"));
    assert_false(take_primary("ACK LOCAL FALLBACK fail", &any, &o, why, sizeof why));
    assert_string_equal(why, "ERR with ACK LOCAL ON durable there are no reads at level "
                             "linearizable, which requests get that say nothing: say READ with one "
                             "of leader, session, bounded, prefix, local, nothing was changed");
    assert_true(take_primary("ACK LOCAL FALLBACK fail READ prefix", &any, &o, why, sizeof why));
    assert_true(take_primary("ACK ANY~1 READ linearizable", &local, &o, why, sizeof why));
    assert_true(take_primary("ACK ALL", &local, &o, why, sizeof why));
    assert_int_equal(o.given, GIVEN_COPIES); /* how weak reads are is what was said of them */
    assert_false(take_primary("LOG statement", &any, &o, why, sizeof why));
    assert_string_equal(why, "ERR 'LOG' cannot be altered: make another keyspace, nothing was "
                             "changed");
    assert_false(take_primary("LEASE yes", &any, &o, why, sizeof why));
    assert_false(take_primary("FALLBACK async", &of_raft, &o, why, sizeof why));
    assert_false(take_primary("", &any, &o, why, sizeof why));
    assert_non_null(strstr(why, "ERR nothing to alter was given: REPLICAS, VOTERS, PREFIX"));
    assert_non_null(strstr(why, "ACK, FALLBACK, MAXLAG, LAGGING, APPENDFSYNC, FEED"));
}

static void only_what_can_be_altered_is(void **state)
{
    static const char *const fixed[] = { "ID 17", "STRATEGY raft", "PARTITIONS 2",
                                         "PARTITION hash" };
    struct keyspace_options o;
    char why[400];
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(fixed); i++) {
        assert_false(take(fixed[i], false, &o, why, sizeof why));
        assert_non_null(strstr(why, "cannot be altered: make another keyspace"));
    }
    assert_true(take("IDMP-DURATION 86400 IDMP-MAXSIZE 1000000 IDMP-MAXBYTES 4kb", false, &o, why,
                     sizeof why));
    assert_true(o.idmp_seconds == 86400 && o.idmp_count == 1000000 && o.idmp_bytes == 4096);
    assert_int_equal(o.given, GIVEN_IDMP_SECONDS | GIVEN_IDMP_COUNT | GIVEN_IDMP_BYTES);
    assert_true(take("REPLICAS 5 LEASE no MAXMEMORY 0 MAXOPS 7", false, &o, why, sizeof why));
    assert_int_equal(o.given, GIVEN_REPLICA_COUNT | GIVEN_LEASE | GIVEN_MAXMEMORY | GIVEN_MAXOPS);
    assert_false(take("", false, &o, why, sizeof why));
    assert_false(take("COLOUR blue", false, &o, why, sizeof why));
    assert_non_null(strstr(why, "can be altered"));
}

/* Of those an ALTER is answered when no node goes by what was before (control.h C4). */
static void what_nodes_go_by_is_a_rule(void **state)
{
    static const char *const rules[] = { "READ local", "ACK MAJORITY", "IDMP-DURATION 7",
                                         "IDMP-MAXSIZE 8", "IDMP-MAXBYTES 9kb" };
    struct keyspace_options o;
    char why[400];
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rules); i++) {
        assert_true(take(rules[i], false, &o, why, sizeof why));
        assert_int_equal(o.given & ~(uint32_t)GIVEN_RULES, 0);
        assert_int_not_equal(o.given, 0);
    }
    assert_true(take("REPLICAS 1 PREFIX a: LEASE yes MAXMEMORY 9kb MAXOPS 7 HISTORY 1s "
                     "HISTORY-BYTES 1mb",
                     false, &o, why, sizeof why));
    assert_int_equal(o.given & GIVEN_RULES, 0);
}

static void what_a_client_sent_is_shown_shortened_and_printable(void **state)
{
    char out[100];
    struct text text = text_in(out, sizeof out);
    (void)state;
    word_quote(&text, SPAN_LITERAL("a\r\n'b\x80"));
    assert_string_equal(out, "'a???b?'");
    text = text_in(out, sizeof out);
    word_quote(&text, SPAN_LITERAL("01234567890123456789012345678901234567890"));
    assert_string_equal(out, "'0123456789012345678901234567890123456789...'");
}

static void a_name_is_a_letter_and_what_is_no_number_behind_it(void **state)
{
    static const char *const good[] = { "a", "Cart", "a1_.-", "x123" };
    static const char *const bad[] = { "",  "1",   "16",  "_a", "-a",
                                       ".", "a b", "a:b", "a{", "\xc3\xa4" };
    char name[66];
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
        assert_true(keyspace_name_is_valid(span_of(good[i], strlen(good[i]))));
    }
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        assert_false(keyspace_name_is_valid(span_of(bad[i], strlen(bad[i]))));
    }
    memset(name, 'n', sizeof name);
    assert_true(keyspace_name_is_valid(span_of(name, 63)));
    assert_false(keyspace_name_is_valid(span_of(name, 64)));
}

static void a_keyspace_is_found_by_its_id_or_name(void **state)
{
    struct map *map = map_new();
    (void)state;
    assert_non_null(keyspace_find(map, SPAN_LITERAL("0")));
    assert_null(keyspace_find(map, SPAN_LITERAL("1")));
    assert_null(keyspace_find(map, SPAN_LITERAL("-1")));
    assert_null(keyspace_find(map, SPAN_LITERAL("4294967296"))); /* not 0 */
    assert_null(keyspace_find(map, SPAN_LITERAL("cart")));
    struct map_keyspace k = a_keyspace(KEYSPACE_ID_MAX, "cart", "", GROUP_FIRST, 1);
    put_keyspace(map, &k);
    assert_int_equal(keyspace_find(map, SPAN_LITERAL("cart"))->id, KEYSPACE_ID_MAX);
    assert_int_equal(keyspace_find(map, SPAN_LITERAL("65535"))->id, KEYSPACE_ID_MAX);
    assert_null(keyspace_find(map, SPAN_LITERAL("Cart"))); /* another name */
    assert_null(keyspace_find(map, SPAN_LITERAL("car")));
    assert_null(keyspace_find(map, SPAN_LITERAL("131071"))); /* not 65535 */
    map_free(map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_options_a_keyspace_has_three_replicas_and_one_partition),
        cmocka_unit_test(all_options_are_read_in_any_order_and_case),
        cmocka_unit_test(the_least_and_the_most_are_taken),
        cmocka_unit_test(a_prefix_has_no_blanks_and_no_bytes_beyond_ascii),
        cmocka_unit_test(an_empty_prefix_takes_the_route_away),
        cmocka_unit_test(whatever_is_wrong_is_said_in_a_sentence),
        cmocka_unit_test(options_of_primary_are_read_wherever_they_stand),
        cmocka_unit_test(what_is_wrong_of_primary_is_said_in_a_sentence),
        cmocka_unit_test(an_alter_of_primary_goes_by_what_stands_there),
        cmocka_unit_test(only_what_can_be_altered_is),
        cmocka_unit_test(what_nodes_go_by_is_a_rule),
        cmocka_unit_test(what_a_client_sent_is_shown_shortened_and_printable),
        cmocka_unit_test(a_name_is_a_letter_and_what_is_no_number_behind_it),
        cmocka_unit_test(a_keyspace_is_found_by_its_id_or_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
