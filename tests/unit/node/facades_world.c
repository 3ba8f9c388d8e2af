/* See facades_world.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "facades_world.h"
#include "node/subscribe.h"
#include "tests/unit/cluster/put_records.h"

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
    node.contact.beats = (struct beats){ 0 };
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

void facades_hang(node_index i)
{
    struct beats *b = &node.contact.beats;
    b->beating = (uint16_t)(b->beating | 1u << i);
    b->looked = b->heard[i] + DOWN_AFTER_MS * QR_MILLISECOND;
}

void facades_make_keyspace(void)
{
    struct map_keyspace k = a_keyspace(16, "orders", "", 2, 4);
    put_all(node.map, &k, 7, NODE_NONE);
    strcpy(node.config.cluster_keyspace, "orders");
    for (node_index i = 0; i < 3; i++) {
        strcpy(node.places[i].place.keyspace, "orders");
    }
}
