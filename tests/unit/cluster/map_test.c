/* The control state, decoded: records come back, anything else is refused in words, lookups say
 * what a plain search says, whatever the order in which records came (N1-N4; U11, R9). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "cluster/id_bounds.h"
#include "cluster/map.h"
#include "cluster/records.h"
#include "cluster/slots.h"
#include "protocol/quorum.h"
#include "tests/unit/cluster/put_records.h"

static struct span text(const char *s)
{
    return span_of(s, strlen(s));
}

static void test_keyspace_0_exists_always(void **state)
{
    (void)state;
    struct map *map = map_new();
    assert_int_equal(map_keyspace_count(map), 1);
    assert_int_equal(map_keyspace(map, 0)->partitions, 1);
    assert_ptr_equal(map_keyspace_at(map, 0), map_keyspace(map, 0));
    assert_int_equal(map_partition_of_slot(map, 0, 16383)->group, 0);
    assert_int_equal(map_partition(map, 0)->last_slot, SLOTS - 1);
    assert_int_equal(map_partition_count(map), 1);
    assert_null(map_partition_after(map, 0));
    assert_int_equal(map_settings(map)->level, MAP_LEVEL_FIRST);
    assert_int_equal(map_settings(map)->next_group, GROUP_FIRST);
    struct map_keyspace zero = *map_keyspace(map, 0);
    zero.maxmemory = 1000;
    put_keyspace(map, &zero);
    assert_int_equal(map_keyspace(map, 0)->maxmemory, 1000);
    put_erased(map, MAP_RECORD_KEYSPACE, 0);
    assert_int_equal(map_keyspace(map, 0)->maxmemory, 0);
    assert_int_equal(map_partition_of_slot(map, 0, 5)->group, 0);
    put_erased(map, MAP_RECORD_PARTITION, 0);
    assert_non_null(map_partition(map, 0));
    map_free(map);
}

static void test_lookups(void **state)
{
    (void)state;
    struct map *map = map_new();
    struct map_keyspace bank = a_keyspace(17, "bank", "", 2, 100);
    struct map_keyspace cart = a_keyspace(16, "cart", "cart:", 102, 3);
    put_all(map, &bank, 7, 0);
    put_all(map, &cart, 7, 0);
    assert_int_equal(map_keyspace_count(map), 3);
    assert_int_equal(map_keyspace_at(map, 1)->id, 16);
    assert_int_equal(map_keyspace_at(map, 2)->id, 17);
    assert_null(map_keyspace_at(map, 3));
    assert_int_equal(map_keyspace_named(map, text("bank"))->id, 17);
    assert_null(map_keyspace_named(map, text("ban")));
    assert_null(map_keyspace_named(map, text("banks")));
    assert_null(map_keyspace(map, 18));
    assert_int_equal(map_partition_count(map), 104);
    assert_int_equal(map_partition(map, 104)->index, 2);
    assert_null(map_partition(map, 105));
    assert_null(map_partition(map, 1));
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        const struct map_partition *p = map_partition_of_slot(map, 17, (uint16_t)slot);
        assert_true(p->first_slot <= slot && slot <= p->last_slot);
        assert_int_equal(p->keyspace, 17);
        assert_ptr_equal(map_partition_at(map, 17, p->index), p);
        assert_ptr_equal(map_partition(map, p->group), p);
    }
    assert_null(map_partition_of_slot(map, 18, 0));
    uint32_t group = 0;
    uint32_t count = 1;
    const struct map_partition *p = map_partition_after(map, 0);
    for (; p != NULL; p = map_partition_after(map, p->group)) {
        assert_true(p->group > group);
        group = p->group;
        count++;
    }
    assert_int_equal(count, 104);
    assert_null(map_partition_after(map, UINT32_MAX));
    map_free(map);
}

static void test_the_longest_prefix_decides(void **state)
{
    (void)state;
    struct map *map = map_new();
    assert_false(map_has_prefixes(map));
    static const char *const prefixes[] = { "a", "ab:", "abc", "abcd:", "b:", "a", "zz" };
    for (uint32_t i = 0; i < ARRAY_COUNT(prefixes); i++) {
        char name[8];
        (void)snprintf(name, sizeof name, "k%u", i);
        struct map_keyspace k = a_keyspace(20 + i, name, prefixes[i], 2 + i, 1);
        put_keyspace(map, &k);
    }
    assert_true(map_has_prefixes(map));
    struct rng rng = rng_from(5);
    for (uint32_t i = 0; i < 20000; i++) {
        char key[8];
        size_t n = rng_below(&rng, 8);
        for (size_t at = 0; at < n; at++) {
            key[at] = "abcdz:"[rng_below(&rng, 6)];
        }
        uint32_t best = 0;
        size_t longest = 0;
        for (uint32_t k = 0; k < ARRAY_COUNT(prefixes); k++) {
            size_t length = strlen(prefixes[k]);
            if (length > longest && length <= n && memcmp(prefixes[k], key, length) == 0) {
                best = 20 + k;
                longest = length;
            }
        }
        const struct map_keyspace *found = map_keyspace_of_key(map, span_of(key, n));
        assert_int_equal(found == NULL ? 0 : found->id, best);
    }
    put_erased(map, MAP_RECORD_KEYSPACE, 20);
    assert_int_equal(map_keyspace_of_key(map, text("ax"))->id, 25);
    put_erased(map, MAP_RECORD_KEYSPACE, 25);
    assert_null(map_keyspace_of_key(map, text("ax")));
    map_free(map);
}

/* The same records in any order, with changes in between, are the same map (N2). */
static void test_order_does_not_matter(void **state)
{
    (void)state;
    struct map_keyspace a = a_keyspace(30, "a", "", 2, 50);
    struct map_keyspace b = a_keyspace(31, "b", "b", 52, 70);
    struct rng rng = rng_from(9);
    for (uint32_t round = 0; round < 50; round++) {
        struct map *map = map_new();
        uint32_t order[122];
        for (uint32_t i = 0; i < 122; i++) {
            uint32_t at = (uint32_t)rng_below(&rng, i + 1);
            order[i] = order[at];
            order[at] = i;
        }
        for (uint32_t i = 0; i < 122; i++) {
            uint32_t what = order[i];
            const struct map_keyspace *k = what < 50 || what == 120 ? &a : &b;
            if (what >= 120) {
                put_keyspace(map, k);
                continue;
            }
            struct map_partition p = map_found(k, what - (what < 50 ? 0 : 50), 2 + what, 3, 1);
            put_partition(map, &p);
            map_wish(&p, 6, 2);
            put_partition(map, &p);
        }
        assert_int_equal(map_partition_count(map), 121);
        for (uint32_t slot = 0; slot < SLOTS; slot += 100) {
            const struct map_partition *p = map_partition_of_slot(map, 31, (uint16_t)slot);
            assert_int_equal(p->group, 52 + slots_partition(slot, 70));
            assert_int_equal(p->wish, 6);
        }
        for (uint32_t i = 0; i < 122; i++) {
            uint32_t what = order[121 - i];
            put_erased(map, what >= 120 ? MAP_RECORD_KEYSPACE : MAP_RECORD_PARTITION,
                       what >= 120 ? what - 90 : what + 2);
        }
        assert_int_equal(map_partition_count(map), 1);
        assert_int_equal(map_keyspace_count(map), 1);
        map_free(map);
    }
}

/* Nor does it matter that the keyspace's record is away for a while (N2). */
static void test_a_keyspace_that_comes_back_has_its_partitions(void **state)
{
    (void)state;
    struct map_keyspace k = a_keyspace(16, "users", "", 2, 3);
    struct map *map = map_new();
    put_all(map, &k, 7, 0);
    put_erased(map, MAP_RECORD_KEYSPACE, 16);
    assert_null(map_keyspace(map, 16));
    put_erased(map, MAP_RECORD_PARTITION, 3);
    put_keyspace(map, &k);
    assert_int_equal(map_partition_at(map, 16, 0)->group, 2);
    assert_null(map_partition_at(map, 16, 1));
    assert_int_equal(map_partition_at(map, 16, 2)->group, 4);
    map_free(map);
}

/* No leader composes that, but records are what they are: nobody may die of them. */
static void test_two_groups_of_one_place_come_and_go(void **state)
{
    (void)state;
    struct map_keyspace k = a_keyspace(16, "users", "", 2, 1000);
    for (int among_others = 0; among_others < 2; among_others++) {
        struct map *map = map_new();
        struct map_partition first = map_found(&k, 999, 5, 7, 0);
        struct map_partition second = map_found(&k, 999, 9, 7, 0);
        struct map_partition other = map_found(&k, 0, 2, 7, 0);
        put_partition(map, &first);
        put_partition(map, &second);
        put_erased(map, MAP_RECORD_PARTITION, second.group);
        if (among_others == 1) {
            put_partition(map, &other); /* in a row that is shorter */
        }
        put_erased(map, MAP_RECORD_PARTITION, first.group);
        assert_null(map_partition(map, first.group));
        assert_int_equal(map_partition_count(map), 1 + among_others);
        map_free(map);
    }
}

static void test_a_reset_forgets_all(void **state)
{
    (void)state;
    struct map *map = map_new();
    struct map_keyspace a = a_keyspace(30, "a", "a", 2, 50);
    put_all(map, &a, 7, 0);
    put_settings(map, &(struct map_settings){ .level = 2, .next_group = 52, .balancing = true });
    put_node(map, 3, &(struct map_node){ .id = 7, .draining = true });
    uint64_t before = map_changes(map);
    map_reset(map);
    assert_true(map_changes(map) > before);
    assert_int_equal(map_settings(map)->level, MAP_LEVEL_FIRST);
    assert_int_equal(map_settings(map)->next_group, GROUP_FIRST);
    assert_false(map_settings(map)->balancing);
    assert_int_equal(map_node(map, 3)->id, 0);
    assert_int_equal(map_partition_count(map), 1);
    assert_int_equal(map_keyspace_count(map), 1);
    assert_false(map_has_prefixes(map));
    assert_null(map_partition(map, 2));
    put_all(map, &a, 7, 0);
    assert_int_equal(map_partition_count(map), 51);
    map_free(map);
}

/* Those who go by the map look again when it counts. */
static void test_every_record_is_a_change(void **state)
{
    (void)state;
    struct map *map = map_new();
    struct map_keyspace k = a_keyspace(16, "k", "", 2, 2);
    struct map_partition p = map_found(&k, 0, 2, 7, 0);
    uint64_t seen[5];
    seen[0] = map_changes(map);
    put_settings(map, &(struct map_settings){ .level = 2, .next_group = 4 });
    seen[1] = map_changes(map);
    put_keyspace(map, &k);
    seen[2] = map_changes(map);
    put_partition(map, &p);
    seen[3] = map_changes(map);
    put_node(map, 1, &(struct map_node){ .id = 2 });
    seen[4] = map_changes(map);
    for (int i = 0; i < 4; i++) {
        assert_true(seen[i + 1] > seen[i]);
    }
    p.index = 1; /* it has another place now, and the one before is nobody's */
    put_partition(map, &p);
    assert_null(map_partition_at(map, 16, 0));
    assert_int_equal(map_partition_at(map, 16, 1)->group, 2);
    map_free(map);
}

/* A record of a later version changes nothing and is told apart from damage (R9). */
static void test_newer_records_are_refused(void **state)
{
    (void)state;
    struct map *map = map_new();
    struct map_keyspace a = a_keyspace(30, "a", "", 2, 1);
    put_all(map, &a, 7, 0);
    uint8_t value[MAP_VALUE_BYTES_MAX];
    size_t n = map_keyspace_write(&a, value);
    value[0] = 3;
    uint64_t changes = map_changes(map);
    assert_int_equal(put_raw(map, MAP_RECORD_KEYSPACE, 30, value, n), MAP_NEWER);
    assert_int_equal(put_raw(map, MAP_RECORD_PARTITION, 2, value, n), MAP_NEWER);
    value[0] = 2; /* a partition has no fields; and a keyspace without any has one encoding */
    assert_int_equal(put_raw(map, MAP_RECORD_PARTITION, 2, value, n), MAP_NEWER);
    assert_int_equal(put_raw(map, MAP_RECORD_KEYSPACE, 30, value, n), MAP_BAD);
    assert_int_equal(map_put(map, text("z"), span_of(value, n)), MAP_NEWER);
    value[0] = 0;
    assert_int_equal(put_raw(map, MAP_RECORD_KEYSPACE, 30, value, n), MAP_BAD);
    value[0] = 1;
    assert_int_equal(put_raw(map, MAP_RECORD_KEYSPACE, 30, value, n - 1), MAP_BAD);
    assert_int_equal(put_raw(map, MAP_RECORD_KEYSPACE, 3, value, n), MAP_BAD);
    assert_int_equal(map_put(map, text(""), span_of(value, n)), MAP_OK); /* the engine's own */
    assert_int_equal(map_put(map, text("k12"), span_of(value, n)), MAP_BAD);
    assert_int_equal(map_changes(map), changes);
    assert_string_equal(map_keyspace(map, 30)->name, "a");
    map_free(map);
}

/* What was added later stands in fields, which only who knows them reads. */
static void test_fields_of_keyspaces(void **state)
{
    (void)state;
    struct map *map = map_new();
    struct map_keyspace a = a_keyspace(30, "a", "a:", 2, 1),
                        zero = a_keyspace(0, "default", "", 0, 1);
    uint8_t value[MAP_VALUE_BYTES_MAX];
    assert_false(map_keyspace_has_fields(&a));
    assert_true(map_keyspace_write(&a, value) > 0 && value[0] == 1); /* any version reads it */
    a.history_ms = MAP_HISTORY_MS_MAX;
    a.history_bytes = 5 * MIB;
    assert_true(map_keyspace_has_fields(&a));
    put_all(map, &a, 7, 0);
    assert_int_equal(map_keyspace(map, 30)->history_ms, MAP_HISTORY_MS_MAX);
    assert_int_equal(map_keyspace(map, 30)->history_bytes, 5 * MIB);
    assert_int_equal(map_keyspace(map, 30)->prefix_length, 2);
    size_t n = map_keyspace_write(&a, value);
    assert_int_equal(value[0], 2);
    for (size_t cut = 1; cut < 17; cut++) {
        assert_int_equal(put_raw(map, MAP_RECORD_KEYSPACE, 30, value, n - cut), MAP_BAD);
    }
    memcpy(value + n, value + n - 17, 17); /* the same field twice */
    assert_int_equal(put_raw(map, MAP_RECORD_KEYSPACE, 30, value, n + 17), MAP_BAD);
    value[n] = 200;
    assert_int_equal(put_raw(map, MAP_RECORD_KEYSPACE, 30, value, n + 17), MAP_NEWER);
    a.history_ms++;
    n = map_keyspace_write(&a, value);
    assert_int_equal(put_raw(map, MAP_RECORD_KEYSPACE, 30, value, n), MAP_BAD);
    memset(value + n - 16, 0, 8); /* what is not kept is not said */
    assert_int_equal(put_raw(map, MAP_RECORD_KEYSPACE, 30, value, n), MAP_BAD);
    zero.history_ms = 1;
    put_keyspace(map, &zero);
    assert_int_equal(map_keyspace(map, 0)->history_ms, 1);
    map_free(map);
}

static void assert_default(struct level_asked read, enum map_status expected)
{
    struct map *map = map_new();
    struct map_keyspace a = a_keyspace(30, "a", "", 2, 1);
    uint8_t value[MAP_VALUE_BYTES_MAX];
    a.read = read;
    size_t n = map_keyspace_write(&a, value);
    assert_int_equal(value[0], 2);
    assert_int_equal(put_raw(map, MAP_RECORD_KEYSPACE, 30, value, n), expected);
    if (expected == MAP_OK) {
        const struct level_asked *back = &map_keyspace(map, 30)->read;
        assert_true(back->level == read.level && back->by_ops == read.by_ops &&
                    back->bound == read.bound);
    }
    map_free(map);
}

static void test_defaults_of_keyspaces(void **state)
{
    (void)state;
    assert_default((struct level_asked){ .level = READ_LOCAL }, MAP_OK);
    assert_default((struct level_asked){ .level = READ_SESSION }, MAP_OK);
    assert_default((struct level_asked){ .level = READ_BOUNDED, .bound = 500 }, MAP_OK);
    assert_default((struct level_asked){ .level = READ_BOUNDED, .bound = 7, .by_ops = true },
                   MAP_OK);
    assert_default((struct level_asked){ .level = READ_BOUNDED }, MAP_BAD);
    assert_default((struct level_asked){ .level = READ_BOUNDED, .bound = LEVEL_MS_MAX + 1 },
                   MAP_BAD);
    assert_default((struct level_asked){ .level = READ_LOCAL, .bound = 1 }, MAP_BAD);
    assert_default((struct level_asked){ .level = READ_LOCAL, .by_ops = true }, MAP_BAD);
    assert_default((struct level_asked){ .level = READ_SNAPSHOT }, MAP_BAD);
    assert_default((struct level_asked){ .level = READ_LEVELS }, MAP_BAD);
    struct map *map = map_new();
    struct map_keyspace a = a_keyspace(30, "a", "", 2, 1);
    a.history_ms = 1;
    a.read.level = READ_LEADER;
    a.ack_kind = ACK_EACH_ZONE;
    put_all(map, &a, 7, 0);
    assert_true(map_keyspace(map, 30)->ack_kind == ACK_EACH_ZONE &&
                map_keyspace(map, 30)->ack_stage == ACK_DURABLE &&
                map_keyspace(map, 30)->read.level == READ_LEADER &&
                map_keyspace(map, 30)->history_ms == 1);
    uint8_t value[MAP_VALUE_BYTES_MAX];
    size_t n = map_keyspace_write(&a, value);
    value[n - 2] = ACK_KINDS;
    assert_int_equal(put_raw(map, MAP_RECORD_KEYSPACE, 30, value, n), MAP_BAD);
    value[n - 2] = ACK_MAJORITY; /* what is so without saying is not said */
    assert_int_equal(put_raw(map, MAP_RECORD_KEYSPACE, 30, value, n), MAP_BAD);
    map_free(map);
}

static void test_nodes_and_settings_come_back(void **state)
{
    (void)state;
    struct map *map = map_new();
    uint8_t value[MAP_VALUE_BYTES_MAX];
    struct map_node node = { .id = 7, .draining = true, .zone = "eu-1a" };
    size_t n = map_node_write(&node, value);
    assert_int_equal(put_raw(map, MAP_RECORD_NODE, 3, value, n), MAP_OK);
    assert_string_equal(map_node(map, 3)->zone, "eu-1a");
    assert_true(map_node(map, 3)->draining);
    assert_int_equal(map_node(map, 4)->id, 0);
    put_erased(map, MAP_RECORD_NODE, 3);
    assert_int_equal(map_node(map, 3)->id, 0);
    struct map_settings s = { .level = 2, .next_group = 99, .balancing = true, .rate = 5 };
    n = map_settings_write(&s, value);
    assert_int_equal(put_raw(map, MAP_RECORD_SETTINGS, 0, value, n), MAP_OK);
    assert_int_equal(map_settings(map)->next_group, 99);
    assert_true(map_settings(map)->balancing);
    map_free(map);
}

/* Wishes: an epoch each, and who may be a member is known until one is settled (N4). */
static void test_wishes_are_counted_and_settled(void **state)
{
    (void)state;
    struct map_keyspace k = a_keyspace(16, "k", "", 2, 4);
    struct map_partition p = map_found(&k, 3, 5, 7, 1);
    assert_int_equal(p.last_slot, SLOTS - 1);
    assert_int_equal(p.epoch, 1);
    assert_int_equal(p.settled, 1);
    map_wish(&p, 7, 2);
    assert_int_equal(p.epoch, 1);
    assert_int_equal(p.prefers, 2);
    map_wish(&p, 11, 0);
    map_wish(&p, 19, 0);
    assert_int_equal(p.epoch, 3);
    assert_int_equal(p.held, 31);
    assert_int_equal(p.moved, 0);
    map_settle(&p);
    assert_int_equal(p.settled, 3);
    assert_int_equal(p.held, 19);
    assert_int_equal(p.moved, 4);
    map_wish(&p, 7, 0);
    map_settle(&p);
    assert_int_equal(p.moved, 4); /* it stays one that has moved */
}

static void test_an_index_is_free_when_nobody_speaks_of_it(void **state)
{
    (void)state;
    struct map *map = map_new();
    struct map_keyspace k = a_keyspace(16, "k", "", 2, 2);
    put_all(map, &k, 7, 0);
    struct map_partition p = *map_partition(map, 3);
    assert_false(map_index_is_free(map, 2));
    assert_true(map_index_is_free(map, 3));
    struct map_partition other = *map_partition(map, 2);
    map_wish(&other, 11, 0);
    map_settle(&other);
    put_partition(map, &other);
    map_wish(&p, 11, 0);
    put_partition(map, &p);
    assert_false(map_index_is_free(map, 2)); /* it may still be a member */
    assert_false(map_index_is_free(map, 3));
    map_settle(&p);
    put_partition(map, &p);
    assert_true(map_index_is_free(map, 2));
    map_free(map);
}

static void test_names(void **state)
{
    (void)state;
    assert_true(map_is_name(text("cart")));
    assert_true(map_is_name(text("a.b-c_d:1")));
    assert_true(map_is_name(text("1a")));
    assert_false(map_is_name(text("17"))); /* SELECT would take it for an id */
    assert_false(map_is_name(text("")));
    assert_false(map_is_name(text("a b")));
    assert_false(map_is_name(text("a\n")));
    assert_false(
        map_is_name(text("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")));
}

/* Random records written and read again; and any change of a byte is refused, or is what would be
 * written for what was read. */
static void test_random_partitions_come_back(void **state)
{
    (void)state;
    struct rng rng = rng_from(77);
    for (uint32_t i = 0; i < 20000; i++) {
        struct map_keyspace k = a_keyspace(16 + (uint32_t)rng_below(&rng, 60000), "k", "", 2,
                                           1 + (uint32_t)rng_below(&rng, KEYSPACE_PARTITIONS_MAX));
        uint32_t index = (uint32_t)rng_below(&rng, k.partitions);
        struct map_partition p =
            map_found(&k, index, k.first_group + index, (uint16_t)(1 + rng_below(&rng, 0x7fff)),
                      (node_index)rng_below(&rng, MEMBERS_MAX));
        for (uint64_t steps = rng_below(&rng, 4); steps > 0; steps--) {
            map_wish(&p, (uint16_t)(1 + rng_below(&rng, 0x7fff)), NODE_NONE);
            if (rng_below(&rng, 2) == 0) {
                map_settle(&p);
            }
        }
        uint8_t value[MAP_VALUE_BYTES_MAX];
        struct map_partition again;
        size_t n = map_partition_write(&p, value);
        assert_int_equal(map_partition_read(p.group, span_of(value, n), &again), MAP_OK);
        assert_memory_equal(&p, &again, sizeof p);
        value[1 + rng_below(&rng, n - 1)] ^= (uint8_t)(1 + rng_below(&rng, 255));
        if (map_partition_read(p.group, span_of(value, n), &again) == MAP_OK) {
            uint8_t twice[MAP_VALUE_BYTES_MAX];
            assert_int_equal(map_partition_write(&again, twice), n);
            assert_memory_equal(value, twice, n);
        }
    }
}

/* What is said of ids of requests, and what a partition has of it. */
static void test_bounds_of_ids(void **state)
{
    (void)state;
    struct map *map = map_new();
    struct map_keyspace a = a_keyspace(30, "a", "", 2, 4);
    uint8_t value[MAP_VALUE_BYTES_MAX];
    put_all(map, &a, 7, 0);
    struct id_bounds b = id_bounds_of_group(map, 3);
    assert_true(b.seconds == IDMP_SECONDS && b.count == IDMP_COUNT && b.bytes == IDMP_BYTES / 4);
    b = id_bounds_of_group(map, 0);
    assert_true(b.bytes == IDMP_BYTES);
    b = id_bounds_of_group(map, 999); /* it has gone */
    assert_true(b.seconds == IDMP_SECONDS && b.count == IDMP_COUNT && b.bytes > 0);
    a.idmp_count = 7;
    a.idmp_bytes = 64 * KIB;
    assert_true(map_keyspace_has_fields(&a));
    put_keyspace(map, &a);
    b = id_bounds_of_group(map, 3);
    assert_true(b.seconds == IDMP_SECONDS && b.count == 7 && b.bytes == 16 * KIB);
    a.idmp_bytes = 5 * KIB; /* a share is worth something */
    a.idmp_seconds = MAP_IDMP_SECONDS_MAX;
    put_keyspace(map, &a);
    b = id_bounds_of_group(map, 3);
    assert_true(b.seconds == MAP_IDMP_SECONDS_MAX && b.bytes == IDMP_BYTES_MIN);
    assert_true(id_bounds_of(map_keyspace(map, 30)).bytes == 5 * KIB);
    for (uint32_t i = 0; i < 2; i++) {
        struct map_keyspace bad = a;
        bad.idmp_seconds += i == 0 ? 1 : 0;
        bad.idmp_count = i == 1 ? IDMP_COUNT_MAX + 1 : 1;
        size_t n = map_keyspace_write(&bad, value);
        assert_int_equal(put_raw(map, MAP_RECORD_KEYSPACE, 30, value, n), MAP_BAD);
    }
    static const struct map_keyspace alone[] = { { .idmp_bytes = 4 * KIB },
                                                 { .idmp_count = IDMP_COUNT_MAX },
                                                 { .idmp_seconds = 1 } };
    for (uint32_t i = 0; i < ARRAY_COUNT(alone); i++) { /* one of them is enough to be written */
        a.idmp_bytes = alone[i].idmp_bytes;
        a.idmp_count = alone[i].idmp_count;
        a.idmp_seconds = alone[i].idmp_seconds;
        put_keyspace(map, &a);
        const struct map_keyspace *k = map_keyspace(map, 30);
        assert_true(map_keyspace_has_fields(&a) && k->idmp_bytes == a.idmp_bytes &&
                    k->idmp_count == a.idmp_count && k->idmp_seconds == a.idmp_seconds);
    }
    size_t n = map_keyspace_write(&a, value);
    memset(value + n - 16, 0, 16); /* what is as always is not said */
    assert_int_equal(put_raw(map, MAP_RECORD_KEYSPACE, 30, value, n), MAP_BAD);
    map_free(map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keyspace_0_exists_always),
        cmocka_unit_test(test_lookups),
        cmocka_unit_test(test_the_longest_prefix_decides),
        cmocka_unit_test(test_order_does_not_matter),
        cmocka_unit_test(test_a_keyspace_that_comes_back_has_its_partitions),
        cmocka_unit_test(test_two_groups_of_one_place_come_and_go),
        cmocka_unit_test(test_a_reset_forgets_all),
        cmocka_unit_test(test_every_record_is_a_change),
        cmocka_unit_test(test_newer_records_are_refused),
        cmocka_unit_test(test_fields_of_keyspaces),
        cmocka_unit_test(test_defaults_of_keyspaces),
        cmocka_unit_test(test_bounds_of_ids),
        cmocka_unit_test(test_nodes_and_settings_come_back),
        cmocka_unit_test(test_wishes_are_counted_and_settled),
        cmocka_unit_test(test_an_index_is_free_when_nobody_speaks_of_it),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_random_partitions_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
