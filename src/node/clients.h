/* The connections of Redis clients: accepting, reading, answering, limits (R4).
 *
 * Back-pressure comes first: a client whose commands pile up without replies, or that does not
 * take its replies, is not read from until there is room. */
#ifndef NODE_CLIENTS_H
#define NODE_CLIENTS_H

#include "node/client.h"

struct clients;

/* Listens on every address of config->bind. NULL with a message when one is taken. */
struct clients *clients_new(struct node *node, char *message, size_t cap);
void clients_free(struct clients *clients);

/* No more connections and no more commands; what is pending is still answered. */
void clients_stop(struct clients *clients);

/* At the beginning of a turn: those whose input was too much for the last ones, or that waited for
 * their keys' prefixes. */
void clients_turn(struct clients *clients);
/* When it wants to be called, whatever happens. */
qr_time clients_deadline(const struct clients *clients);

/* At the end of a turn: hands replies to the sockets, reads on where there is room again. */
void clients_flush(struct clients *clients);

/* Now and then: closes those that were idle longer than `timeout`, or that should have said who
 * they are by now; takes back what idle ones do not need. */
void clients_housekeeping(struct clients *clients, qr_time now);

#endif
