/* What clients.c and accept.c share. */
#ifndef NODE_CLIENTS_INTERNAL_H
#define NODE_CLIENTS_INTERNAL_H

#include "node/clients.h"
#include "node/node.h"

#define LISTENERS_MAX 16

struct clients {
    struct node *node;
    struct io_listener *listeners[LISTENERS_MAX];
    uint32_t listener_count;
    uint8_t *spare_input; /* CLIENT_READ_BYTES that no client uses now, or NULL */
};

/* A connection that may stay: from now on it is a client. */
void client_open(struct node *node, struct io_stream *stream);

#endif
