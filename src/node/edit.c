#include "node/edit.h"

#include "base/alloc.h"
#include "base/panic.h"
#include "base/wire.h"
#include "command/op.h"

#include <stdlib.h>
#include <string.h>

void edit_free(struct edit *e)
{
    free(e->bytes);
    free(e->length);
    *e = (struct edit){ 0 };
}

static void put(struct edit *e, const uint8_t *p, size_t n)
{
    if (e->n + n > e->cap) {
        e->cap = (e->n + n) * 2;
        e->bytes = qr_realloc(e->bytes, e->cap);
    }
    if (e->count == e->length_cap) {
        e->length_cap = e->length_cap * 2 + 16;
        e->length = qr_realloc(e->length, e->length_cap * sizeof *e->length);
    }
    if (n > 0) {
        memcpy(e->bytes + e->n, p, n);
    }
    e->n += n;
    e->length[e->count++] = (uint16_t)n;
}

static void put_key(struct edit *e, enum map_record kind, uint32_t number)
{
    uint8_t key[MAP_KEY_BYTES_MAX];
    put(e, key, map_key_write((struct map_key){ kind, number }, key));
}

void edit_settings(struct edit *e, const struct map_settings *settings)
{
    uint8_t value[MAP_VALUE_BYTES_MAX];
    put_key(e, MAP_RECORD_SETTINGS, 0);
    put(e, value, map_settings_write(settings, value));
}

void edit_keyspace(struct edit *e, const struct map_keyspace *keyspace)
{
    uint8_t value[MAP_VALUE_BYTES_MAX];
    put_key(e, MAP_RECORD_KEYSPACE, keyspace->id);
    put(e, value, map_keyspace_write(keyspace, value));
}

void edit_partition(struct edit *e, const struct map_partition *partition)
{
    uint8_t value[MAP_VALUE_BYTES_MAX];
    put_key(e, MAP_RECORD_PARTITION, partition->group);
    put(e, value, map_partition_write(partition, value));
}

void edit_succession(struct edit *e, uint32_t group, const struct succession *succession)
{
    uint8_t value[MAP_VALUE_BYTES_MAX];
    put_key(e, MAP_RECORD_SUCCESSION, group);
    put(e, value, map_succession_write(succession, value));
}

void edit_node(struct edit *e, node_index index, const struct map_node *node)
{
    uint8_t value[MAP_VALUE_BYTES_MAX];
    put_key(e, MAP_RECORD_NODE, index);
    put(e, value, map_node_write(node, value));
}

void edit_drop(struct edit *e, enum map_record kind, uint32_t number)
{
    put_key(e, kind, number);
    put(e, NULL, 0);
}

/* --- Prefixes ------------------------------------------------------------------------------- */

static struct span prefix_of(const struct map_keyspace *k)
{
    return span_of(k != NULL ? k->prefix : "", k != NULL ? k->prefix_length : 0);
}

static void note_prefixes(struct span key, struct span value, const struct map *map,
                          struct freeze *out)
{
    struct map_key named;
    struct map_keyspace then = { 0 };
    if (map_key_read(key, &named) != MAP_OK || named.kind != MAP_RECORD_KEYSPACE) {
        return;
    }
    bool reads = value.n == 0 || map_keyspace_read(named.number, value, &then) == MAP_OK;
    qr_assert(reads); /* this node has written it */
    struct span from = prefix_of(map_keyspace(map, named.number));
    struct span to = prefix_of(&then);
    if (from.n == to.n && memcmp(from.p, to.p, to.n) == 0) {
        return;
    }
    qr_assert(out->count == 0); /* of one keyspace at a time */
    (void)(from.n > 0 && freeze_add(out, from));
    (void)(to.n > 0 && freeze_add(out, to));
}

void edit_prefixes(const struct edit *e, const struct map *map, struct freeze *out)
{
    size_t at = 0;
    *out = (struct freeze){ 0 };
    for (uint32_t i = 0; i + 1 < e->count; i += 2) {
        struct span key = span_of(e->bytes + at, e->length[i]);
        struct span value = span_of(e->bytes + at + key.n, e->length[i + 1]);
        at += key.n + value.n;
        note_prefixes(key, value, map, out);
    }
}

/* --- The op --------------------------------------------------------------------------------- */

/* The version, then the records: e->count + 1 arguments, to be freed by the caller. */
static struct span *arguments(const struct edit *e, const uint8_t version[8])
{
    struct span *argv = qr_alloc((e->count + 1) * sizeof *argv);
    size_t at = 0;
    argv[0] = span_of(version, 8);
    for (uint32_t i = 0; i < e->count; i++) {
        argv[i + 1] = span_of(e->bytes + at, e->length[i]); /* an empty one is no reference */
        at += e->length[i];
    }
    qr_assert(at == e->n);
    return argv;
}

size_t edit_op_bytes(const struct edit *e)
{
    static const uint8_t version[8];
    struct span *argv = arguments(e, version);
    size_t n = op_bytes(argv, e->count + 1);
    free(argv);
    return n;
}

void edit_op_write(const struct edit *e, uint64_t version, uint16_t level, uint8_t *p)
{
    uint8_t bytes[8];
    struct wire_writer w = wire_writer(bytes, sizeof bytes);
    wire_put_u64(&w, version);
    struct span *argv = arguments(e, bytes);
    struct op head = { .level = level, .tag = OP_SYSTEM, .argc = e->count + 1 };
    op_write(p, &head, argv, e->count + 1);
    free(argv);
}
