/* What clients.c (input, commands, replies), accept.c (who comes in) and clients_bound.c (who has
 * to wait or leave) share. */
#ifndef NODE_CLIENTS_INTERNAL_H
#define NODE_CLIENTS_INTERNAL_H

#include "node/clients.h"
#include "node/node.h"

#define LISTENERS_MAX 16

/* Clients with input that waits, oldest first. */
struct client_line {
    struct client *first, *last;
    uint32_t count;
};

struct clients {
    struct node *node;
    struct io_listener *listeners[LISTENERS_MAX];
    uint32_t listener_count;
    uint8_t *spare_input; /* CLIENT_READ_BYTES that no client uses now, or NULL */

    struct client_line ready;   /* have used their share of a turn */
    struct client_line starved; /* the node had no room for their commands */
    qr_time spend_until;        /* what this turn has for their commands (CLIENTS_TURN_USEC) */
    bool spent;
    uint32_t commands; /* the clock is read for some of them only */

    size_t bytes;       /* input and output of all clients */
    size_t output_most; /* bytes that wait for one of those that got replies in this turn */
    struct buffer_sizes largest; /* in this round of housekeeping */
    struct client *visit;        /* whom housekeeping saw last; NULL: begins anew */
};

extern const struct io_stream_callbacks clients_callbacks;
void clients_init_stream(struct client *client);
/* It is no client any more. */
void clients_unlink(struct client *client);
/* The same, and all of it is given back; its socket is closed, or closing. */
void clients_forget(struct client *client);

void clients_line_up(struct client_line *line, struct client *client);
void clients_leave_line(struct client *client);

/* Closes those that hold most until the rest is within maxmemory-clients. */
void clients_evict(struct clients *clients);

#endif
