/* For tests that need a map: records are written into it as group 0's engine would. cmocka.h stands
 * in front of this. */
#ifndef TESTS_CLUSTER_PUT_RECORDS_H
#define TESTS_CLUSTER_PUT_RECORDS_H

#include "cluster/map.h"
#include "cluster/records.h"

#include <stdio.h>
#include <string.h>

/* Of strategy raft, by hash, with three replicas. */
static inline struct map_keyspace a_keyspace(uint32_t id, const char *name, const char *prefix,
                                             uint32_t first_group, uint32_t partitions)
{
    struct map_keyspace k = { .id = id,
                              .first_group = first_group,
                              .partitions = partitions,
                              .strategy = STRATEGY_RAFT,
                              .partitioning = PARTITIONING_HASH,
                              .state = KEYSPACE_IN_USE,
                              .replicas = 3,
                              .prefix_length = (uint8_t)strlen(prefix) };
    (void)snprintf(k.name, sizeof k.name, "%s", name);
    memcpy(k.prefix, prefix, k.prefix_length);
    return k;
}

static inline enum map_status put_raw(struct map *map, enum map_record kind, uint32_t number,
                                      const uint8_t *value, size_t n)
{
    uint8_t key[MAP_KEY_BYTES_MAX];
    size_t length = map_key_write((struct map_key){ kind, number }, key);
    return map_put(map, span_of(key, length), span_of(value, n));
}

static inline void put_keyspace(struct map *map, const struct map_keyspace *k)
{
    uint8_t value[MAP_VALUE_BYTES_MAX];
    size_t n = map_keyspace_write(k, value);
    assert_int_equal(put_raw(map, MAP_RECORD_KEYSPACE, k->id, value, n), MAP_OK);
}

static inline void put_partition(struct map *map, const struct map_partition *p)
{
    uint8_t value[MAP_VALUE_BYTES_MAX];
    size_t n = map_partition_write(p, value);
    assert_int_equal(put_raw(map, MAP_RECORD_PARTITION, p->group, value, n), MAP_OK);
}

static inline void put_node(struct map *map, node_index i, const struct map_node *record)
{
    uint8_t value[MAP_VALUE_BYTES_MAX];
    size_t n = map_node_write(record, value);
    assert_int_equal(put_raw(map, MAP_RECORD_NODE, i, value, n), MAP_OK);
}

static inline void put_settings(struct map *map, const struct map_settings *s)
{
    uint8_t value[MAP_VALUE_BYTES_MAX];
    size_t n = map_settings_write(s, value);
    assert_int_equal(put_raw(map, MAP_RECORD_SETTINGS, 0, value, n), MAP_OK);
}

static inline void put_erased(struct map *map, enum map_record kind, uint32_t number)
{
    assert_int_equal(put_raw(map, kind, number, NULL, 0), MAP_OK);
}

/* The keyspace, and its partitions in groups one after the other. */
static inline void put_all(struct map *map, const struct map_keyspace *k, uint16_t founders,
                           node_index prefers)
{
    put_keyspace(map, k);
    for (uint32_t i = 0; i < k->partitions; i++) {
        struct map_partition p = map_found(k, i, k->first_group + i, founders, prefers);
        put_partition(map, &p);
    }
}

#endif
