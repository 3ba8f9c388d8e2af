/* A change of the control state that is being composed: records that are to be written at once,
 * provided that nothing was written meanwhile. */
#ifndef NODE_EDIT_H
#define NODE_EDIT_H

#include "cluster/coverage.h"
#include "cluster/records.h"

struct edit {
    uint8_t *bytes; /* key, value, key, value, ... */
    size_t n, cap;
    uint16_t *length; /* of each of them */
    uint32_t count, length_cap;
};

void edit_free(struct edit *e);

void edit_settings(struct edit *e, const struct map_settings *settings);
void edit_keyspace(struct edit *e, const struct map_keyspace *keyspace);
void edit_partition(struct edit *e, const struct map_partition *partition);
/* As group 0 goes on with it (decision 056); at MAP_LEVEL_PRIMARY. */
void edit_succession(struct edit *e, uint32_t group, const struct succession *succession);
void edit_node(struct edit *e, node_index index, const struct map_node *node);
/* The record goes. */
void edit_drop(struct edit *e, enum map_record kind, uint32_t number);

/* The prefixes that keyspaces have, and will not have or have elsewhere when it is made. */
void edit_prefixes(const struct edit *e, const struct map *map, struct freeze *out);

/* The op that does it if the control state is of that version still: its bytes, and written to p,
 * which has room for them. `level` is the active one. */
size_t edit_op_bytes(const struct edit *e);
void edit_op_write(const struct edit *e, uint64_t version, uint16_t level, uint8_t *p);

#endif
