/* From a key to its partition: route.h K1 to K5, SELECT, and the words of refusals. The map is
 * real; the partitions are bare. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/leaders.h"
#include "node/node.h"
#include "node/replica.h"
#include "node/route.h"
#include "tests/unit/cluster/put_records.h"

#define GROUPS 64

static struct node node;
static struct partition partitions[GROUPS]; /* by group; not there: node is NULL */
static node_index leader;

struct partition *partitions_of_map(struct node *of, uint32_t group)
{
    (void)of;
    return group < GROUPS && partitions[group].node != NULL ? &partitions[group] : NULL;
}

node_index leaders_of(const struct partition *partition)
{
    (void)partition;
    return leader;
}

node_index replica_me(const struct replica *r)
{
    (void)r;
    return 1;
}

/* --- Tools ---------------------------------------------------------------------------------- */

static void create(uint32_t id, const char *name, const char *prefix, uint32_t first_group,
                   uint32_t count)
{
    struct map_keyspace k = a_keyspace(id, name, prefix, first_group, count);
    put_all(node.map, &k, 7, 0);
    for (uint32_t group = first_group; group < first_group + count; group++) {
        partitions[group] = (struct partition){ .node = &node, .group = group };
    }
}

static void drop(uint32_t id)
{
    put_erased(node.map, MAP_RECORD_KEYSPACE, id);
}

static int begin(void **state)
{
    (void)state;
    node = (struct node){ .map = map_new(), .clock = 99, .contact.coverage.until = 100 };
    memset(partitions, 0, sizeof partitions);
    partitions[0].node = &node;
    node.zero = &partitions[0];
    leader = 1;
    create(16, "cart", "cart:", 2, 4);
    create(17, "one", "", 10, 1);
    return 0;
}

static int end(void **state)
{
    (void)state;
    map_free(node.map);
    return 0;
}

static const struct command_spec *parse(const char *line, struct span *argv, uint32_t *argc)
{
    static char words[256];
    const struct command_spec *container;
    (void)snprintf(words, sizeof words, "%s", line);
    *argc = 0;
    for (char *word = strtok(words, " "); word != NULL; word = strtok(NULL, " ")) {
        argv[(*argc)++] = span_of(word, strlen(word));
    }
    const struct command_spec *spec = command_find(argv, *argc, &container);
    assert_non_null(spec);
    return spec;
}

static struct selected in(const char *keyspace)
{
    struct selected selected = { .db = 9 }; /* whatever it was */
    struct reply reply;
    reply_init(&reply, 2);
    assert_true(route_select(&node, span_of(keyspace, strlen(keyspace)), &selected, &reply));
    reply_free(&reply);
    return selected;
}

static struct route route(const char *keyspace, const char *line)
{
    struct span argv[16];
    uint32_t argc;
    struct route out;
    struct selected selected = in(keyspace);
    const struct command_spec *spec = parse(line, argv, &argc);
    route_of(&node, &selected, spec, argv, argc, &out);
    return out;
}

static void assert_refused(const char *keyspace, const char *line, const char *words)
{
    struct span argv[16];
    uint32_t argc;
    struct reply reply;
    struct route r = route(keyspace, line);
    reply_init(&reply, 2);
    route_refuse(&r, parse(line, argv, &argc), &reply);
    reply_raw(&reply, SPAN_LITERAL("\0"));
    assert_string_equal((const char *)reply.p, words);
    reply_free(&reply);
}

static uint32_t group_of(const char *keyspace, const char *line)
{
    struct route r = route(keyspace, line);
    assert_int_equal(r.kind, ROUTE_ONE);
    return r.partition->group;
}

/* --- Tests ---------------------------------------------------------------------------------- */

/* The slots are Redis's own figures: foo 12182, bar 5061, hello 866. */
static void test_a_key_belongs_to_the_partition_of_its_slot_K2(void **state)
{
    (void)state;
    assert_int_equal(group_of("cart", "get foo"), 2 + 12182 / 4096);
    assert_int_equal(group_of("cart", "get bar"), 2 + 5061 / 4096);
    assert_int_equal(group_of("cart", "set hello 1"), 2 + 0);
    assert_int_equal(group_of("cart", "get {foo}.anything"), 2 + 12182 / 4096);
    assert_int_equal(group_of("one", "get foo"), 10);
    assert_int_equal(group_of("3", "get foo"), 0);
    assert_int_equal(route("3", "get foo").db, 3);
    assert_int_equal(route("cart", "get foo").db, 0);
    assert_int_equal(route("cart", "get foo").slot, 12182);
}

static void test_who_leads_is_told_with_it(void **state)
{
    (void)state;
    assert_true(route("cart", "get foo").here);
    leader = 2;
    assert_false(route("cart", "get foo").here);
    assert_int_equal(route("cart", "get foo").leader, 2);
    struct route r;
    route_of_slot(&node, 16, 12182, &r);
    assert_int_equal(r.partition->group, 2 + 12182 / 4096);
}

static void test_keys_of_several_partitions_are_refused_K3(void **state)
{
    (void)state;
    assert_int_equal(route("cart", "mget {a}1 {a}2 {a}3").kind, ROUTE_ONE);
    assert_refused("cart", "mget foo bar",
                   "-CROSSSLOT Keys in request don't hash to the same slot (keyspace 'cart' has 4 "
                   "partitions: give the keys one {tag}), the command was not applied\r\n");
    assert_int_equal(route("cart", "mget {a}1 {a}2 {a}3 {b}4").kind, ROUTE_SLOTS); /* the last */
    assert_int_equal(route("cart", "mset foo 1 bar 2").kind, ROUTE_SLOTS);
    assert_int_equal(route("cart", "mset {a}1 1 {a}2 2 {b}3 3").kind, ROUTE_SLOTS);
    assert_int_equal(route("cart", "mset foo bar").kind, ROUTE_ONE); /* bar is a value */
    assert_int_equal(route("cart", "rename foo bar").kind, ROUTE_SLOTS);
    assert_int_equal(route("one", "mget foo bar").kind, ROUTE_ONE);
    assert_int_equal(route("0", "mget foo bar").kind, ROUTE_ONE);
}

static void test_prefixes_route_from_keyspace_0_alone_K1(void **state)
{
    (void)state;
    create(18, "cart2", "cart:vip:", 20, 1);
    uint32_t whole = slot_of_key(SPAN_LITERAL("cart:1")); /* the key keeps its name */
    assert_int_equal(group_of("0", "get cart:1"), 2 + slots_partition(whole, 4));
    assert_int_equal(group_of("7", "get cart:1"), 2 + slots_partition(whole, 4));
    assert_int_equal(route("7", "get cart:1").db, 0);
    assert_int_equal(group_of("0", "get cart:vip:1"), 20);
    assert_int_equal(group_of("0", "get car"), 0);
    assert_int_equal(group_of("one", "get cart:1"), 10);
    assert_refused("0", "mget a cart:1",
                   "-CROSSSLOT Keys in request belong to different keyspaces ('default' and "
                   "'cart', by their prefixes), the command was not applied\r\n");
    assert_int_equal(route("0", "mget a b c cart:1").kind, ROUTE_KEYSPACES);
}

static void test_commands_without_keys_are_for_all_partitions_K4(void **state)
{
    (void)state;
    assert_int_equal(route("cart", "dbsize").kind, ROUTE_ALL);
    assert_int_equal(route("cart", "scan 0").kind, ROUTE_ALL);
    assert_int_equal(route("cart", "flushall").kind, ROUTE_ALL);
    assert_int_equal(group_of("one", "dbsize"), 10);
    assert_int_equal(group_of("0", "dbsize"), 0);
    assert_int_equal(group_of("cart", "member list"), 0); /* an order is group 0's */
}

static void test_databases_are_keyspace_0s_K5(void **state)
{
    (void)state;
    assert_refused("cart", "move foo 1",
                   "-ERR keyspace 'cart' has one database: MOVE works between the databases of "
                   "keyspace 0\r\n");
    assert_int_equal(route("cart", "swapdb 0 1").kind, ROUTE_DATABASES);
    assert_int_equal(route("one", "copy a b db 1").kind, ROUTE_DATABASES);
    assert_int_equal(route("one", "copy a b replace").kind, ROUTE_ONE);
    assert_int_equal(route("0", "move cart:1 2").kind, ROUTE_DATABASES); /* where it belongs */
    assert_int_equal(route("0", "move a 2").kind, ROUTE_ONE);
    assert_int_equal(route("0", "swapdb 0 1").kind, ROUTE_ONE);
}

/* An id may be given again: who had selected the first one does not see the second. */
static void test_a_dropped_keyspace_is_gone_for_those_who_had_it(void **state)
{
    (void)state;
    struct span argv[2];
    uint32_t argc;
    struct route r;
    struct selected before = in("one");
    const struct command_spec *get = parse("get foo", argv, &argc);
    for (uint32_t group = 30; group <= 31; group++) {
        drop(17);
        if (group == 31) {
            create(17, "again", "", group, 1);
        }
        route_of(&node, &before, get, argv, argc, &r);
        assert_int_equal(r.kind, ROUTE_GONE);
    }
    assert_int_equal(group_of("17", "get foo"), 31);
}

static void test_a_partition_that_is_not_there_is_refused_clearly(void **state)
{
    (void)state;
    partitions[2 + 12182 / 4096].node = NULL;
    assert_refused("cart", "get foo",
                   "-CLUSTERDOWN a partition of keyspace 'cart' is still being made, the command "
                   "was not applied\r\n");
    assert_int_equal(route("cart", "get bar").kind, ROUTE_ONE);
}

static void assert_not_selected(const char *what, const char *words)
{
    struct selected selected = { .db = 5 };
    struct reply reply;
    reply_init(&reply, 2);
    assert_false(route_select(&node, span_of(what, strlen(what)), &selected, &reply));
    reply_raw(&reply, SPAN_LITERAL("\0"));
    assert_string_equal((const char *)reply.p, words);
    assert_int_equal(selected.db, 5);
    reply_free(&reply);
}

/* Right after a start: what is not known may be there; what Redis refuses is refused. */
static void test_select_before_the_map_is_known_is_loading_U45(void **state)
{
    (void)state;
    static const char loading[] = "-LOADING this node has just started and does not know yet which "
                                  "keyspaces there are, the command was not applied: try again "
                                  "in a moment\r\n";
    node.holding.current = false;
    assert_not_selected("18", loading);
    assert_not_selected("nope", loading);
    assert_not_selected("-1", "-ERR DB index is out of range\r\n");
    assert_int_equal(in("15").db, 15);
    assert_int_equal(in("cart").keyspace, 16); /* what it does know it tells */
}

static void test_select_takes_numbers_ids_and_names_U45(void **state)
{
    (void)state;
    node.holding.current = true;
    assert_int_equal(in("16").keyspace, 16);
    assert_int_equal(in("cart").keyspace, 16);
    assert_int_equal(in("default").keyspace, 0);
    assert_int_equal(in("15").db, 15);
    assert_not_selected("18", "-ERR DB index is out of range\r\n");
    assert_not_selected("-1", "-ERR DB index is out of range\r\n");
    assert_not_selected("016", "-ERR value is not an integer or out of range\r\n");
    assert_not_selected("nope", "-ERR value is not an integer or out of range\r\n");
    assert_not_selected("Cart", "-ERR value is not an integer or out of range\r\n");
    assert_int_equal(in("cart").db, 0); /* it has one database */
    assert_int_equal(in("16").db, 0);
    assert_int_equal(in("default").db, 0);
    create(65535, "last", "", 11, 1);
    assert_int_equal(in("65535").keyspace, 65535);
    assert_not_selected("65536", "-ERR DB index is out of range\r\n");
    assert_not_selected("131071", "-ERR DB index is out of range\r\n"); /* not 65535 */
    struct map_keyspace k = *map_keyspace(node.map, 65535);
    k.state = KEYSPACE_DROPPING;
    put_keyspace(node.map, &k);
    assert_not_selected("65535", "-ERR DB index is out of range\r\n");
    assert_not_selected("last", "-ERR value is not an integer or out of range\r\n");
    assert_not_selected("4294967312", "-ERR value is out of range, value must between -2147483648 "
                                      "and 2147483647\r\n");
}

#define ROUTE_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

static void test_by_a_prefix_only_while_that_is_covered_K6(void **state)
{
    (void)state;
    assert_int_not_equal(group_of("0", "get cart:1"), 0);
    node.clock = 100;
    assert_int_equal(route("0", "get cart:1").kind, ROUTE_UNSURE);
    assert_int_equal(route("0", "mset a 1 cart:1 2").kind, ROUTE_UNSURE);
    node.removed = true; /* the router refuses it, for good */
    assert_int_equal(route("0", "get cart:1").kind, ROUTE_ONE);
    node.removed = false;
    assert_refused("0", "get cart:1",
                   "-TRYAGAIN this node has not heard from group 0 and does not know where the "
                   "key's prefix leads now, the command was not applied\r\n");
    assert_int_equal(group_of("0", "get a"), 0);
    assert_int_not_equal(group_of("cart", "get cart:1"), 0);
}

static void test_frozen_keys_go_nowhere_and_others_go_on_K6(void **state)
{
    (void)state;
    struct selected zero = in("0");
    struct freeze *f = &node.contact.coverage.frozen;
    assert_true(freeze_add(f, span_of("new:", 4)));
    assert_int_equal(route("0", "get new:1").kind, ROUTE_UNSURE);
    assert_int_equal(route("0", "mset a 1 new:1 2").kind, ROUTE_UNSURE);
    assert_int_not_equal(group_of("0", "get cart:1"), 0);
    assert_true(route("0", "get cart:1").by_prefix);
    assert_false(route("0", "get a").by_prefix || route("cart", "get cart:1").by_prefix);
    assert_int_equal(group_of("one", "get new:1"), 10); /* there it is a key like any other */
    drop(16);
    assert_false(route_is_plain(&node, &zero)); /* no prefixes, but one to come */
    f->count = 0;
    assert_true(route_is_plain(&node, &zero));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROUTE_TEST(test_a_key_belongs_to_the_partition_of_its_slot_K2),
        ROUTE_TEST(test_who_leads_is_told_with_it),
        ROUTE_TEST(test_keys_of_several_partitions_are_refused_K3),
        ROUTE_TEST(test_prefixes_route_from_keyspace_0_alone_K1),
        ROUTE_TEST(test_commands_without_keys_are_for_all_partitions_K4),
        ROUTE_TEST(test_databases_are_keyspace_0s_K5),
        ROUTE_TEST(test_by_a_prefix_only_while_that_is_covered_K6),
        ROUTE_TEST(test_frozen_keys_go_nowhere_and_others_go_on_K6),
        ROUTE_TEST(test_a_dropped_keyspace_is_gone_for_those_who_had_it),
        ROUTE_TEST(test_a_partition_that_is_not_there_is_refused_clearly),
        ROUTE_TEST(test_select_takes_numbers_ids_and_names_U45),
        ROUTE_TEST(test_select_before_the_map_is_known_is_loading_U45),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
