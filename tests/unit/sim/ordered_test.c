/* What the operator of whole nodes may be told of keyspaces, and what may be there then
 * (sim/nodes/ordered.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sim/nodes/ordered.h"
#include "tests/unit/cluster/put_records.h"

#define WORD3 "$8\r\nKEYSPACE\r\n"
#define MAKE(name)                                                                             \
    "*9\r\n" WORD3 "$6\r\nCREATE\r\n$4\r\n" name "\r\n$8\r\nSTRATEGY\r\n$4\r\nRAFT\r\n"          \
    "$8\r\nREPLICAS\r\n$1\r\n2\r\n$6\r\nPREFIX\r\n$2\r\nj:\r\n"
#define ALTER(option, value) \
    "*5\r\n" WORD3 "$5\r\nALTER\r\n$4\r\njunk\r\n$7\r\n" option "\r\n$4\r\n" value "\r\n"
#define DROP "*3\r\n" WORD3 "$4\r\nDROP\r\n$4\r\njunk\r\n"

static struct ordered o;
static struct map *map;

static int begin(void **state)
{
    (void)state;
    ordered_begin(&o, false);
    map = map_new();
    return 0;
}

static int end(void **state)
{
    (void)state;
    map_free(map);
    return 0;
}

static const char *hear(const char *request, const char *reply)
{
    ordered_asked(&o, request);
    return ordered_answered(&o, reply[0], span_of(reply + 1, strlen(reply) - 1));
}

static void lose(const char *request)
{
    ordered_asked(&o, request);
    ordered_lost(&o);
}

/* junk as it was made, with what is given then. */
static struct map_keyspace made(void)
{
    struct map_keyspace k = a_keyspace(17, "junk", "j:", 2, 1);
    k.replicas = 2;
    return k;
}

static const char *judge_with(const struct map_keyspace *k)
{
    put_keyspace(map, k);
    return ordered_judge(&o, map);
}

static const char *judge_made(void)
{
    struct map_keyspace k = made();
    return judge_with(&k);
}

static void what_is_made_is_there_until_it_is_dropped(void **state)
{
    (void)state;
    assert_null(ordered_judge(&o, map));
    assert_null(hear(MAKE("junk"), "+OK"));
    assert_non_null(ordered_judge(&o, map));
    assert_null(judge_made());
    assert_int_equal(o.compared, 1);
    assert_non_null(hear(MAKE("junk"), "+OK"));
    assert_null(hear(DROP, "+OK"));
    assert_non_null(ordered_judge(&o, map));
    put_erased(map, MAP_RECORD_KEYSPACE, 17);
    assert_null(ordered_judge(&o, map));
    assert_non_null(hear(DROP, "+OK"));
    assert_int_equal(o.judged, 4);
}

static void nothing_else_can_be_altered(void **state)
{
    (void)state;
    assert_non_null(hear(ALTER("MAXOPS", "1000"), "+OK"));
    ordered_begin(&o, false);
    assert_null(hear(MAKE("junk"), "+OK, but"));
    assert_null(hear(ALTER("MAXOPS", "1000"), "+OK"));
}

static void refused_is_not_made(void **state)
{
    (void)state;
    assert_null(hear(MAKE("junk"), "-ERR no"));
    assert_non_null(judge_made());
    assert_non_null(ordered_saw(&o, "junk"));
    assert_null(ordered_saw(&o, "another"));
    ordered_begin(&o, false);
    assert_null(hear(MAKE("junk"), "+OK"));
    assert_null(hear(DROP, "-UNSAFE it is in use"));
    put_erased(map, MAP_RECORD_KEYSPACE, 17);
    assert_non_null(ordered_judge(&o, map));
}

static void each_order_makes_one(void **state)
{
    (void)state;
    ordered_asked(&o, MAKE("junk"));
    assert_null(ordered_saw(&o, "junk")); /* before it is answered */
    assert_null(ordered_answered(&o, '+', span_of("OK", 2)));
    lose(MAKE("junk"));
    assert_null(ordered_saw(&o, "junk"));
    assert_non_null(ordered_saw(&o, "junk"));
    ordered_asked(&o, MAKE("junk"));
    assert_non_null(ordered_saw(&o, "cart"));
}

static void without_an_answer_it_may_be_either(void **state)
{
    (void)state;
    assert_null(hear(MAKE("junk"), "-UNCERTAIN perhaps"));
    assert_null(ordered_judge(&o, map));
    assert_null(judge_made());
    assert_int_equal(o.compared, 0); /* of this it is not known what it was made with */
    assert_null(hear(DROP, "+OK"));
    ordered_begin(&o, false);
    assert_null(hear(MAKE("junk"), "+OK"));
    lose(DROP);
    assert_null(judge_made());
    assert_int_equal(o.compared, 1);
    put_erased(map, MAP_RECORD_KEYSPACE, 17);
    assert_null(ordered_judge(&o, map));
    assert_null(hear(MAKE("junk"), "+OK")); /* it was dropped in between */
    lose(MAKE("junk"));
    struct map_keyspace k = made();
    k.replicas = 7;
    assert_null(judge_with(&k)); /* and again, and made by the other one */
}

static void what_comes_late_comes_before_the_next_answer_too(void **state)
{
    (void)state;
    assert_null(hear(MAKE("junk"), "+OK"));
    lose(DROP);
    assert_null(hear(MAKE("junk"), "+OK"));
    ordered_begin(&o, false);
    lose(MAKE("junk"));
    assert_null(hear(ALTER("MAXOPS", "1000"), "+OK"));
    assert_non_null(ordered_judge(&o, map)); /* so it was there */
    ordered_begin(&o, false);
    lose(MAKE("junk"));
    assert_null(hear(MAKE("junk"), "+OK")); /* so the other one was not carried out, nor can be */
    struct map_keyspace k = made();
    k.replicas = 7;
    assert_non_null(judge_with(&k));
    assert_null(hear(DROP, "+OK")); /* but now it can */
    assert_null(judge_with(&k));
}

/* Each comes once: what has explained an answer explains nothing else. */
static void what_has_come_late_does_not_come_again(void **state)
{
    (void)state;
    assert_null(hear(MAKE("junk"), "+OK"));
    lose(DROP);
    assert_null(hear(MAKE("junk"), "+OK"));
    assert_non_null(ordered_judge(&o, map));
    assert_null(judge_made());
    assert_non_null(hear(MAKE("junk"), "+OK"));
    put_erased(map, MAP_RECORD_KEYSPACE, 17);
    ordered_begin(&o, false);
    lose(MAKE("junk"));
    assert_null(hear(ALTER("MAXOPS", "1000"), "+OK"));
    assert_null(ordered_saw(&o, "junk"));
    assert_null(hear(DROP, "+OK"));
    assert_null(ordered_judge(&o, map));
    assert_non_null(judge_made());
    assert_non_null(hear(DROP, "+OK"));
    assert_non_null(ordered_saw(&o, "junk"));
    ordered_begin(&o, false);
    lose(MAKE("junk"));
    lose(MAKE("junk"));
    assert_null(hear(DROP, "+OK")); /* of one */
    assert_null(hear(DROP, "+OK"));
    assert_non_null(judge_made());
    put_erased(map, MAP_RECORD_KEYSPACE, 17);
    ordered_begin(&o, false);
    lose(MAKE("junk"));
    lose(MAKE("junk"));
    assert_null(hear(DROP, "+OK"));
    assert_null(judge_made()); /* the other one */
}

static void what_was_asked_for_last_has_no_answer(void **state)
{
    (void)state;
    ordered_asked(&o, MAKE("junk"));
    assert_null(judge_made());
}

#define DIFFERS(field, value)                    \
    k = made();                                  \
    k.field = (value);                           \
    assert_non_null(judge_with(&k))

static void it_is_as_it_was_made(void **state)
{
    (void)state;
    struct map_keyspace k;
    assert_null(hear(MAKE("junk"), "+OK"));
    assert_null(judge_made());
    DIFFERS(replicas, 3);
    DIFFERS(partitions, 2);
    DIFFERS(lease, true);
    DIFFERS(maxmemory, 1);
    DIFFERS(maxops, 1);
    DIFFERS(idmp_seconds, 1);
    DIFFERS(idmp_count, 1);
    DIFFERS(idmp_bytes, 1);
    DIFFERS(history_ms, 1);
    DIFFERS(prefix_length, 0);
    DIFFERS(prefix[0], 'k');
    DIFFERS(read.level, READ_LOCAL);
    DIFFERS(ack_kind, ACK_EACH_ZONE);
    k = made();
    memcpy(k.prefix, "j:k", 3);
    k.prefix_length = 3;
    assert_non_null(judge_with(&k));
    assert_null(judge_made());
}

static void and_as_it_was_altered(void **state)
{
    (void)state;
    struct map_keyspace k = made();
    assert_null(hear(MAKE("junk"), "+OK"));
    assert_null(hear(ALTER("MAXOPS", "1000"), "+OK"));
    assert_non_null(judge_with(&k));
    k.maxops = 1000;
    assert_null(judge_with(&k));
    assert_null(hear(ALTER("MAXOPS", "2000"), "-ERR no"));
    assert_null(judge_with(&k));
    assert_null(hear(ALTER("PREFIX", "k:"), "+OK"));
    assert_non_null(judge_with(&k));
    memcpy(k.prefix, "k:", 2);
    assert_null(judge_with(&k));
    assert_null(hear(ALTER("READ", "bounded:7"), "+OK"));
    k.read = (struct level_asked){ .level = READ_BOUNDED, .bound = 7 };
    assert_null(judge_with(&k));
    k.read.bound = 8;
    assert_non_null(judge_with(&k));
    k.read.bound = 7;
    k.read.by_ops = true;
    assert_non_null(judge_with(&k));
    k.read.by_ops = false;
    lose(ALTER("MAXOPS", "3000")); /* of that it is not known any more, of others it is */
    assert_null(judge_with(&k));
    k.maxops = 3000;
    assert_null(judge_with(&k));
    k.replicas = 1;
    assert_non_null(judge_with(&k));
}

static void other_words_are_no_order_of_them(void **state)
{
    (void)state;
    assert_null(hear("*1\r\n$8\r\nFAILOVER\r\n", "+OK"));
    assert_null(hear("*3\r\n" WORD3 "$4\r\nINFO\r\n$4\r\njunk\r\n", "+OK"));
    assert_null(hear("*3\r\n" WORD3 "$4\r\nDROP\r\n$5\r\nother\r\n", "+OK"));
    lose("*1\r\n$9\r\nREBALANCE\r\n");
    assert_int_equal(o.judged, 0);
    assert_null(ordered_judge(&o, map));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_is_made_is_there_until_it_is_dropped),
        CASE(nothing_else_can_be_altered),
        CASE(refused_is_not_made),
        CASE(each_order_makes_one),
        CASE(without_an_answer_it_may_be_either),
        CASE(what_comes_late_comes_before_the_next_answer_too),
        CASE(what_has_come_late_does_not_come_again),
        CASE(what_was_asked_for_last_has_no_answer),
        CASE(it_is_as_it_was_made),
        CASE(and_as_it_was_altered),
        CASE(other_words_are_no_order_of_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
