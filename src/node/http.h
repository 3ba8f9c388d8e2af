/* HTTP for those who watch a node: GET /metrics is Prometheus's page, GET /health says that the
 * node is alive, GET /ready that it knows a leader. One request per connection, few connections, a
 * deadline for each (base/limits.h); nothing here can be changed or asked about the data. */
#ifndef NODE_HTTP_H
#define NODE_HTTP_H

#include "base/types.h"

struct node;
struct http;

/* Listens on metrics-port of every address of metrics-bind; nowhere when it is 0. NULL with a
 * message when a port is taken. */
struct http *http_new(struct node *node, char *message, size_t cap);
void http_free(struct http *http);

/* Once in a turn: a slice of the page that somebody waits for, and who has taken too long. */
void http_turn(struct http *http, qr_time now);

#endif
