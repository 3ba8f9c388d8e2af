/* See facades_world.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cluster/records.h"
#include "facades_world.h"
#include "node/subscribe.h"

const char *id_of(node_index i)
{
    static char text[3][41];
    assert_true(place_id_of(&node, i, text[i]));
    return text[i];
}

int facades_by(enum listener_kind listener)
{
    (void)fresh(NULL);
    map_reset(node.map);
    me->listener = listener;
    node.config.cluster_port = 7101;
    node.config.sentinel_port = 7201;
    node.started_wall = QR_SECOND;
    memset(node.identity.uuid, 1, sizeof node.identity.uuid);
    for (node_index i = 0; i < 3; i++) {
        struct told_place *told = &node.places[i];
        memset(node.known[i].uuid, 1 + i, 16);
        memset(told->uuid, 1 + i, 16);
        told->told = true;
        told->place = (struct place){ .cluster_port = (uint16_t)(7101 + i),
                                      .plain_port = (uint16_t)(7001 + i),
                                      .sentinel_port = (uint16_t)(7201 + i) };
        strcpy(told->place.address, "127.0.0.1");
        strcpy(told->place.plain_address, "127.0.0.1");
        strcpy(told->place.keyspace, "0");
    }
    return 0;
}

int facades_clean(void **state)
{
    (void)state;
    subscribe_forget(me);
    reply_free(&me->out);
    map_reset(node.map);
    return 0;
}

static void put_record(enum map_record kind, uint32_t number, struct span value)
{
    uint8_t key[MAP_KEY_BYTES_MAX];
    size_t n = map_key_write((struct map_key){ kind, number }, key);
    assert_int_equal(map_put(node.map, span_of(key, n), value), MAP_OK);
}

void facades_make_keyspace(void)
{
    uint8_t value[MAP_VALUE_BYTES_MAX];
    struct map_keyspace k = { .id = 16, .first_group = 2, .partitions = 4, .replicas = 3 };
    k.strategy = STRATEGY_RAFT;
    k.partitioning = PARTITIONING_HASH;
    k.state = KEYSPACE_IN_USE;
    strcpy(k.name, "orders");
    put_record(MAP_RECORD_KEYSPACE, k.id, span_of(value, map_keyspace_write(&k, value)));
    for (uint32_t i = 0; i < 4; i++) {
        struct map_partition p = map_found(&k, i, 2 + i, 7, NODE_NONE);
        put_record(MAP_RECORD_PARTITION, p.group, span_of(value, map_partition_write(&p, value)));
    }
    strcpy(node.config.cluster_keyspace, "orders");
    for (node_index i = 0; i < 3; i++) {
        strcpy(node.places[i].place.keyspace, "orders");
    }
}
