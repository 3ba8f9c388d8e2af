/* What whole nodes may show of the control state (sim/nodes/charts.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sim/nodes/charts.h"
#include "tests/unit/cluster/put_records.h"

static struct charts *charts;
static struct ordered ordered;
static struct map *map;
static struct map_keyspace keyspace;

static void put_next_group(uint32_t group)
{
    put_settings(map, &(struct map_settings){ .level = 2, .next_group = group });
}

/* A keyspace of groups 2 and 3. */
static int begin(void **state)
{
    (void)state;
    charts = charts_new();
    ordered_begin(&ordered, false);
    map = map_new();
    keyspace = a_keyspace(16, "other", "", 2, 2);
    put_next_group(4);
    put_all(map, &keyspace, 7, 1);
    return 0;
}

static int end(void **state)
{
    (void)state;
    map_free(map);
    charts_free(charts);
    return 0;
}

static const char *see(uint64_t version)
{
    return charts_see(charts, map, version, &ordered);
}

static void one_version_is_one_state(void **state)
{
    (void)state;
    assert_null(see(300));
    assert_null(see(300));
    assert_int_equal(charts_seen(charts), 1);
    put_node(map, 2, &(struct map_node){ .id = 3, .draining = true });
    assert_non_null(see(300));
    assert_null(see(301));
    assert_int_equal(charts_seen(charts), 2);
    keyspace.maxops = 9;
    put_keyspace(map, &keyspace);
    assert_non_null(see(301));
    assert_null(see(302));
    put_next_group(5);
    assert_non_null(see(302));
    struct map_partition p = *map_partition(map, 2);
    p.prefers = 2;
    put_partition(map, &p);
    assert_null(see(303));
    p.prefers = 0;
    put_partition(map, &p);
    assert_non_null(see(303));
}

static void before_the_first_version_there_is_one_state_too(void **state)
{
    (void)state;
    struct map *empty = map_new();
    assert_null(charts_see(charts, empty, 0, &ordered));
    assert_non_null(see(0));
    map_free(empty);
}

#define DIFFERS(field, value)      \
    p = *map_partition(map, 3);    \
    p.field = (value);             \
    put_partition(map, &p);        \
    assert_non_null(see(++version))

static void a_group_is_founded_once(void **state)
{
    (void)state;
    struct map_partition p;
    uint64_t version = 5;
    assert_null(see(version));
    DIFFERS(founders, 3);
    put_all(map, &keyspace, 7, 1);
    DIFFERS(first_slot, 1);
    put_all(map, &keyspace, 7, 1);
    DIFFERS(last_slot, 9000);
    put_all(map, &keyspace, 7, 1);
    assert_null(see(++version));
    for (uint32_t group = 2; group < 4; group++) {
        put_erased(map, MAP_RECORD_PARTITION, group);
    }
    put_erased(map, MAP_RECORD_KEYSPACE, 16);
    assert_null(see(++version));
    keyspace = a_keyspace(17, "other", "", 2, 2); /* of the same groups, on the same nodes */
    put_all(map, &keyspace, 7, 1);
    assert_non_null(see(++version));
}

static void a_place_is_that_of_one_group(void **state)
{
    (void)state;
    assert_null(see(5));
    struct map_partition second = *map_partition(map, 2), first = *map_partition(map, 3);
    second.index = 1;
    first.index = 0;
    put_partition(map, &second);
    put_partition(map, &first);
    assert_non_null(see(6));
}

static void move(uint32_t group, uint16_t wish, bool settles)
{
    struct map_partition p = *map_partition(map, group);
    map_wish(&p, wish, 1);
    if (settles) {
        map_settle(&p);
    }
    put_partition(map, &p);
}

static void what_moves_goes_forward(void **state)
{
    (void)state;
    struct map_partition before = *map_partition(map, 2);
    assert_null(see(5));
    move(2, 11, false);
    assert_null(see(7));
    struct map_partition moving = *map_partition(map, 2);
    move(2, 11, true);
    assert_null(see(9));
    struct map_partition settled = *map_partition(map, 2);
    put_partition(map, &before);
    assert_non_null(see(10));
    assert_null(see(6)); /* by one who is behind */
    put_partition(map, &moving);
    assert_non_null(see(11)); /* it was settled */
    assert_null(see(8));
    map_wish(&settled, 7, 1);
    settled.moved = 0; /* who founded and has left founds again */
    put_partition(map, &settled);
    assert_non_null(see(12));
}

/* Also where only who is wished, or only what is settled, would tell. */
static void no_epoch_comes_again(void **state)
{
    (void)state;
    move(2, 15, false);
    assert_null(see(5));
    struct map_partition moving = *map_partition(map, 2);
    move(2, 15, true);
    assert_null(see(6));
    struct map_partition settled = *map_partition(map, 2);
    put_partition(map, &moving);
    assert_non_null(see(7));
    struct map_partition third = *map_partition(map, 3);
    move(3, 15, false);
    move(3, 7, false);
    put_partition(map, &settled);
    assert_null(see(8));
    put_partition(map, &third);
    assert_non_null(see(9));
}

static void an_epoch_has_one_wish(void **state)
{
    (void)state;
    struct map_partition before = *map_partition(map, 2);
    move(2, 11, false);
    assert_null(see(5));
    put_partition(map, &before);
    move(2, 19, false);
    assert_non_null(see(6));
}

static void nobody_who_is_behind_is_ahead(void **state)
{
    (void)state;
    assert_null(see(9));
    move(2, 11, false);
    assert_non_null(see(8));
}

static void a_keyspace_is_whole_and_stays_itself(void **state)
{
    (void)state;
    assert_null(see(5));
    memcpy(keyspace.name, "renamed", 8);
    put_keyspace(map, &keyspace);
    assert_non_null(see(6));
    memcpy(keyspace.name, "other", 6);
    keyspace.created = 9;
    put_keyspace(map, &keyspace);
    assert_non_null(see(7));
    keyspace.created = 0;
    put_keyspace(map, &keyspace);
    assert_null(see(8));
    put_erased(map, MAP_RECORD_KEYSPACE, 16);
    keyspace.id = 17;
    put_all(map, &keyspace, 7, 1);
    assert_non_null(see(9));
    put_erased(map, MAP_RECORD_KEYSPACE, 17);
    keyspace.id = 16;
    put_all(map, &keyspace, 7, 1);
    put_erased(map, MAP_RECORD_PARTITION, 3);
    assert_non_null(see(10));
}

static void drop_all(void)
{
    put_erased(map, MAP_RECORD_PARTITION, 2);
    put_erased(map, MAP_RECORD_PARTITION, 3);
    put_erased(map, MAP_RECORD_KEYSPACE, 16);
}

/* As when a partition was changed on the state of before its keyspace was dropped. */
static void no_partition_is_there_without_its_keyspace(void **state)
{
    (void)state;
    struct map_partition third = *map_partition(map, 3), another = third;
    put_erased(map, MAP_RECORD_KEYSPACE, 16);
    assert_non_null(see(5));
    put_keyspace(map, &keyspace);
    assert_null(see(6));
    another.group = 4; /* of one that had the id before */
    put_partition(map, &another);
    put_partition(map, &third);
    assert_non_null(see(7));
    put_erased(map, MAP_RECORD_PARTITION, 4);
    put_partition(map, &third);
    keyspace.partitions = 1;
    put_keyspace(map, &keyspace);
    assert_non_null(see(8));
}

static void what_was_dropped_does_not_come_again(void **state)
{
    (void)state;
    assert_null(see(5));
    drop_all();
    assert_null(see(20));
    put_all(map, &keyspace, 7, 1);
    assert_null(see(9)); /* by one who is behind */
    assert_non_null(see(21));
    drop_all();
    assert_null(see(15));
    assert_null(see(17));
    put_all(map, &keyspace, 7, 1);
    assert_non_null(see(16));
}

static void what_is_there_was_there_since_it_was_made(void **state)
{
    (void)state;
    assert_null(see(9));
    assert_null(see(5));
    drop_all();
    assert_non_null(see(7));
    assert_null(see(4));
    put_all(map, &keyspace, 7, 1);
    assert_null(see(12));
    drop_all();
    assert_non_null(see(11));
}

static void numbers_of_groups_are_not_given_back(void **state)
{
    (void)state;
    assert_null(see(5));
    put_next_group(9);
    assert_null(see(7));
    put_next_group(8);
    assert_non_null(see(8));
    put_next_group(10);
    assert_non_null(see(6));
}

/* Those who are behind say nothing of what is latest. */
static void nor_where_some_are_behind(void **state)
{
    (void)state;
    put_next_group(9);
    assert_null(see(7));
    put_next_group(5);
    assert_null(see(4));
    put_next_group(8);
    assert_non_null(see(8));
    put_next_group(10);
    assert_non_null(see(6));
}

static void groups_of_any_number_have_a_place(void **state)
{
    (void)state;
    assert_null(see(5));
    for (uint32_t group = 66; group < 72; group++) {
        struct map_keyspace k = a_keyspace(20 + group, "far", "", group, 1);
        put_next_group(group + 1);
        put_all(map, &k, 7, 1);
        assert_null(see(group));
    }
}

static void what_counts_in_settings_does_not_go_back(void **state)
{
    (void)state;
    struct map_settings s = { .level = 2, .next_group = 4, .balance = 3 };
    put_settings(map, &s);
    assert_null(see(5));
    s.balance = 2;
    put_settings(map, &s);
    assert_non_null(see(6));
    assert_null(see(4));
    s.balance = 3;
    s.level = 3;
    put_settings(map, &s);
    assert_non_null(see(3));
    assert_null(see(7));
    s.level = 2;
    put_settings(map, &s);
    assert_non_null(see(8));
}

static void what_is_new_is_told(void **state)
{
    (void)state;
    struct map_keyspace junk = a_keyspace(17, "junk", "", 4, 1);
    ordered.of[1].made = 1;
    put_next_group(6);
    put_all(map, &junk, 7, 1);
    assert_null(see(5));
    put_node(map, 2, &(struct map_node){ .id = 3 });
    assert_null(see(6));
    assert_int_equal(ordered.of[1].seen, 1);
    put_erased(map, MAP_RECORD_PARTITION, 4);
    put_erased(map, MAP_RECORD_KEYSPACE, 17);
    junk.first_group = 5;
    put_all(map, &junk, 7, 1);
    assert_non_null(see(7));
}

static void route(uint32_t id, const char *prefix, uint32_t first_group)
{
    struct map_keyspace k = a_keyspace(id, "named", prefix, first_group, 1);
    k.name[0] = (char)('a' + id % 26);
    put_next_group(first_group + 1);
    put_all(map, &k, 7, 1);
}

/* What the node of `old` goes by while the others are where `map` is. */
static const char *go_by_others(struct map *old, const char *frozen, const char *too)
{
    struct freeze f = { .count = 0 };
    (void)(frozen[0] != 0 && freeze_add(&f, span_of(frozen, strlen(frozen))));
    (void)(too[0] != 0 && freeze_add(&f, span_of(too, strlen(too))));
    return charts_go_by(charts, old, &f);
}

static const char *go_by(struct map *old, const char *frozen)
{
    return go_by_others(old, frozen, "");
}

static struct map *copy_with(uint32_t id, const char *prefix, uint32_t first_group)
{
    struct map *now = map, *copy = map_new();
    map = copy;
    route(id, prefix, first_group);
    map = now;
    return copy;
}

static void nobody_goes_by_a_prefix_that_leads_elsewhere(void **state)
{
    (void)state;
    struct map *old = copy_with(20, "a:", 10);
    route(20, "a:", 10);
    assert_non_null(go_by(old, "")); /* nobody has shown it */
    assert_null(see(5));
    assert_null(go_by(old, ""));
    route(20, "b:", 10);
    assert_null(see(6));
    assert_non_null(go_by(old, ""));
    assert_null(go_by_others(old, "a:", "b:"));
    assert_non_null(go_by(old, "a:")); /* where b: leads now it does not know */
    assert_non_null(go_by(old, "b:"));
    route(21, "a:", 11);
    assert_null(see(7));
    assert_non_null(go_by(old, ""));
    assert_null(go_by(map, ""));
    map_free(old);
}

/* Who has not heard of one sends its keys to keyspace 0, or where a shorter one leads. */
static void nobody_goes_without_a_prefix_that_is_there(void **state)
{
    (void)state;
    struct map *none = map_new(), *old = copy_with(20, "a:", 10);
    route(20, "a:", 10);
    assert_null(see(5));
    assert_non_null(go_by(none, ""));
    assert_null(go_by(none, "a:"));
    assert_null(go_by(old, ""));
    route(21, "a:b:", 11);
    assert_null(see(6));
    assert_non_null(go_by(old, ""));
    assert_null(go_by(old, "a:b:"));
    map_free(none);
    map_free(old);
}

static void the_longest_prefix_says_where_it_leads(void **state)
{
    (void)state;
    struct map *longer = copy_with(21, "a:b:", 11);
    route(21, "a:b:", 11);
    route(20, "a:", 10); /* in any order */
    route(22, "a", 12);
    assert_null(see(5));
    assert_null(go_by(map, ""));
    put_erased(map, MAP_RECORD_PARTITION, 11);
    put_erased(map, MAP_RECORD_KEYSPACE, 21);
    assert_null(see(6));
    assert_null(go_by(map, ""));
    assert_non_null(go_by(longer, ""));
    map_free(longer);
}

static void the_latest_state_says_where(void **state)
{
    (void)state;
    route(20, "a:", 10);
    assert_null(see(5));
    struct map *old = copy_with(20, "a:", 10);
    put_erased(map, MAP_RECORD_PARTITION, 10);
    put_erased(map, MAP_RECORD_KEYSPACE, 20);
    assert_null(see(4)); /* of before */
    assert_null(go_by(old, ""));
    assert_null(see(6));
    assert_non_null(go_by(old, ""));
    map_free(old);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(one_version_is_one_state),
        CASE(before_the_first_version_there_is_one_state_too),
        CASE(a_group_is_founded_once),
        CASE(a_place_is_that_of_one_group),
        CASE(what_moves_goes_forward),
        CASE(no_epoch_comes_again),
        CASE(an_epoch_has_one_wish),
        CASE(nobody_who_is_behind_is_ahead),
        CASE(a_keyspace_is_whole_and_stays_itself),
        CASE(numbers_of_groups_are_not_given_back),
        CASE(nor_where_some_are_behind),
        CASE(groups_of_any_number_have_a_place),
        CASE(no_partition_is_there_without_its_keyspace),
        CASE(what_was_dropped_does_not_come_again),
        CASE(what_is_there_was_there_since_it_was_made),
        CASE(what_counts_in_settings_does_not_go_back),
        CASE(what_is_new_is_told),
        CASE(nobody_goes_by_a_prefix_that_leads_elsewhere),
        CASE(nobody_goes_without_a_prefix_that_is_there),
        CASE(the_longest_prefix_says_where_it_leads),
        CASE(the_latest_state_says_where),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
