#include "cluster/id_bounds.h"

struct id_bounds id_bounds_of(const struct map_keyspace *k)
{
    return (struct id_bounds){ .seconds = k->idmp_seconds != 0 ? k->idmp_seconds : IDMP_SECONDS,
                               .count = k->idmp_count != 0 ? k->idmp_count : IDMP_COUNT,
                               .bytes = k->idmp_bytes != 0 ? k->idmp_bytes : IDMP_BYTES };
}

struct id_bounds id_bounds_of_group(const struct map *map, uint32_t group)
{
    const struct map_keyspace *k = map_keyspace_of_group(map, group);
    struct id_bounds bounds = id_bounds_of(k != NULL ? k : &(struct map_keyspace){ 0 });
    bounds.bytes = max_u64(bounds.bytes / (k != NULL ? k->partitions : 1), IDMP_BYTES_MIN);
    return bounds;
}
