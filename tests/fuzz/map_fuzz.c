/* Records of the control state, one after the other: refused, or read back as the same bytes; and
 * whatever a map is made of, its lookups agree with a walk over all of it. */
#include "fuzz.h"

#include "base/alloc.h"
#include "cluster/map.h"
#include "cluster/records.h"
#include "cluster/slots.h"

#include <string.h>

/* The key and value of an accepted record, written anew. */
static void check_same(const struct map *map, struct span key, struct span value)
{
    struct map_key k;
    uint8_t bytes[MAP_VALUE_BYTES_MAX];
    size_t n = 0;
    qr_assert(map_key_read(key, &k) == MAP_OK);
    qr_assert(map_key_write(k, bytes) == key.n);
    qr_assert(memcmp(bytes, key.p, key.n) == 0);
    switch (k.kind) {
    case MAP_RECORD_SETTINGS:
        n = map_settings_write(map_settings(map), bytes);
        break;
    case MAP_RECORD_KEYSPACE:
        n = map_keyspace_write(map_keyspace(map, k.number), bytes);
        break;
    case MAP_RECORD_PARTITION:
        n = map_partition_write(map_partition(map, k.number), bytes);
        break;
    case MAP_RECORD_NODE:
        n = map_node_write(map_node(map, (node_index)k.number), bytes);
        break;
    case MAP_RECORD_SUCCESSION:
        n = map_succession_write(map_succession(map, k.number), bytes);
        break;
    }
    qr_assert(n == value.n);
    qr_assert(memcmp(bytes, value.p, n) == 0);
}

static void check_map(const struct map *map)
{
    uint32_t count = 0;
    const struct map_partition *p = map_partition(map, 0);
    for (; p != NULL; p = map_partition_after(map, p->group)) {
        qr_assert(map_partition(map, p->group) == p);
        count++;
    }
    qr_assert(count == map_partition_count(map));
    for (uint32_t i = 0; i < map_keyspace_count(map); i++) {
        const struct map_keyspace *k = map_keyspace_at(map, i);
        qr_assert(map_keyspace(map, k->id) == k);
        qr_assert(map_keyspace_named(map, span_of(k->name, strlen(k->name))) != NULL);
        p = map_partition_of_slot(map, k->id, 77);
        qr_assert(p == NULL || p->keyspace == k->id);
        const struct map_keyspace *found =
            map_keyspace_of_key(map, span_of(k->prefix, k->prefix_length));
        qr_assert(k->prefix_length == 0 || found->prefix_length == k->prefix_length);
    }
}

/* A copy of exactly that size, so that an overrun is seen. */
static uint8_t *copy_of(struct span s)
{
    uint8_t *copy = qr_alloc(s.n);
    if (s.n > 0) {
        memcpy(copy, s.p, s.n);
    }
    return copy;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct map *map = map_new();
    size_t at = 0;
    while (n - at >= 2) { /* bytes of the key, bytes of the value, both */
        size_t key_n = data[at] % 8u;
        size_t value_n = data[at + 1];
        at += 2;
        key_n = key_n < n - at ? key_n : n - at;
        struct span key = span_of(data + at, key_n);
        at += key_n;
        value_n = value_n < n - at ? value_n : n - at;
        struct span value = span_of(data + at, value_n);
        at += value_n;
        uint8_t *own_key = copy_of(key);
        uint8_t *own_value = copy_of(value);
        uint64_t changes = map_changes(map);
        enum map_status status = map_put(map, span_of(own_key, key.n), span_of(own_value, value.n));
        qr_assert(status == MAP_OK || map_changes(map) == changes);
        if (status == MAP_OK && key.n > 0 && value.n > 0) {
            check_same(map, key, value);
        }
        free(own_key);
        free(own_value);
    }
    check_map(map);
    map_free(map);
    return 0;
}
