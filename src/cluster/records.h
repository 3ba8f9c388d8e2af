/* The records of the control state: their keys and values, for those that write and read them.
 *
 *   key            value
 *   's'            settings
 *   'k' id u32     a keyspace
 *   'p' group u32  a partition
 *   'n' index u8   what is known of a node
 *   'v' group u32  a partition's succession: from MAP_LEVEL_PRIMARY on
 *
 * Numbers in keys are big-endian, so that the order of the bytes is the order of the numbers; those
 * in values little-endian like everywhere. A value begins with the version of its layout. There is
 * one encoding per record, and it is read back only when it is that one.
 *
 * A layout of a new version is written only when the level that brought it is active (R9), so that
 * no member meets one that it does not know. */
#ifndef CLUSTER_RECORDS_H
#define CLUSTER_RECORDS_H

#include "cluster/map.h"

enum map_record {
    MAP_RECORD_SETTINGS = 's',
    MAP_RECORD_KEYSPACE = 'k',
    MAP_RECORD_PARTITION = 'p',
    MAP_RECORD_NODE = 'n',
    MAP_RECORD_SUCCESSION = 'v',
};

struct map_key {
    enum map_record kind;
    uint32_t number; /* id, group or index; 0 for settings */
};

#define MAP_KEY_BYTES_MAX 5u
#define MAP_VALUE_BYTES_MAX 264u

/* Into p (MAP_KEY_BYTES_MAX); returns how many bytes. */
size_t map_key_write(struct map_key key, uint8_t *p);
/* MAP_NEWER: a kind that this binary does not know. */
enum map_status map_key_read(struct span in, struct map_key *out);

/* Into p (MAP_VALUE_BYTES_MAX); return how many bytes. */
size_t map_settings_write(const struct map_settings *settings, uint8_t *p);
size_t map_keyspace_write(const struct map_keyspace *keyspace, uint8_t *p);
/* Whether its record says what only nodes of MAP_LEVEL_REQUESTS (of STRATEGY_PRIMARY: of
 * MAP_LEVEL_PRIMARY) understand. */
bool map_keyspace_has_fields(const struct map_keyspace *keyspace);
size_t map_partition_write(const struct map_partition *partition, uint8_t *p);
size_t map_node_write(const struct map_node *node, uint8_t *p);
size_t map_succession_write(const struct succession *succession, uint8_t *p);

/* The inverse; `id` and `group` are the key's. */
enum map_status map_settings_read(struct span in, struct map_settings *out);
enum map_status map_keyspace_read(uint32_t id, struct span in, struct map_keyspace *out);
enum map_status map_partition_read(uint32_t group, struct span in, struct map_partition *out);
enum map_status map_node_read(struct span in, struct map_node *out);
enum map_status map_succession_read(struct span in, struct succession *out);

#endif
