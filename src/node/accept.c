/* The listeners of Redis clients: who is let in, and who is sent away with a word. */
#include "node/clients_internal.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "base/linked.h"

#include <stdio.h>
#include <string.h>

static void no_buffer(struct io_stream *stream, uint8_t **p, size_t *n)
{
    (void)stream;
    *p = NULL;
    *n = 0;
}

static void ignore_read(struct io_stream *stream, size_t n)
{
    (void)stream;
    (void)n;
}

static void ignore_close(struct io_stream *stream, int error)
{
    (void)stream;
    (void)error;
}

/* One sentence, and gone. */
static void turn_away(struct io_stream *stream, const char *text)
{
    static const struct io_stream_callbacks deaf = { .on_read = ignore_read,
                                                     .buffer = no_buffer,
                                                     .on_close = ignore_close };
    io_stream_open(stream, &deaf, NULL);
    io_stream_write(stream, text, strlen(text));
    io_stream_dismiss(stream);
}

/* A connection that may stay: from now on it is a client. */
static void client_open(struct node *node, enum listener_kind kind, struct io_stream *stream)
{
    struct client *client = qr_zalloc(sizeof *client);
    client->node = node;
    client->listener = kind;
    client->id = ++node->next_client_id;
    client->socket = stream;
    client->version = 2;
    client->reply_size = CLIENT_REPLY_GUESS;
    client->authenticated = node->config.requirepass[0] == 0;
    client->created = io_now(node->io);
    client->last_active = client->created;
    client->last_command_end = client->created;
    io_stream_peer_name(stream, client->peer_name, sizeof client->peer_name);
    io_stream_local_name(stream, client->local_name, sizeof client->local_name);
    clients_init_stream(client);
    reply_init(&client->out, 2);
    parser_init(&client->parser);
    client->parser.command_bytes_max = COMMAND_BYTES_MAX;
    client->parser.apart_min = LARGE_BYTES;
    client->parser.apart_bytes_max = REQUEST_BYTES_MAX;
    LINKED_APPEND(node->clients, node->clients_last, client, previous, next);
    node->client_count++;
    io_stream_open(stream, &clients_callbacks, client);
    io_stream_unsent_max(stream, CLIENT_KERNEL_BYTES);
    io_stream_keepalive(stream, node->config.tcp_keepalive_s);
}

void clients_unlink(struct client *client)
{
    struct node *node = client->node;
    LINKED_REMOVE(node->clients, node->clients_last, client, previous, next);
    node->client_count--;
    if (client->dirty) {
        struct client **link = &node->dirty;
        while (*link != client) {
            link = &(*link)->next_dirty;
        }
        *link = client->next_dirty;
    }
}

static void on_accept(void *context, struct io_stream *stream)
{
    const struct listener *listener = context;
    struct node *node = listener->clients->node;
    char peer[64];
    node->stats.connections_received++;
    io_stream_peer_name(stream, peer, sizeof peer);
    if (node->stopping) {
        io_stream_close(stream);
    } else if (node->client_count >= node->config.maxclients) {
        node->stats.connections_rejected++;
        turn_away(stream, "-ERR max number of clients reached\r\n");
    } else if (config_denies_remote(&node->config, peer)) {
        node->stats.connections_rejected++;
        turn_away(stream, "-" CONFIG_DENIED_TEXT "\r\n");
    } else {
        client_open(node, listener->kind, stream);
    }
}

/* Listens on every address of config->bind; false with a message when one is taken. */
static bool listen_on(struct clients *clients, enum listener_kind kind, uint16_t port,
                      char *message, size_t cap)
{
    struct node *node = clients->node;
    char address[64];
    bool optional;
    for (uint32_t i = 0;
         i < LISTENERS_MAX && config_address(node->config.bind, i, address, &optional); i++) {
        struct listener *listener = &clients->listeners[clients->listener_count];
        *listener = (struct listener){ .clients = clients, .kind = kind };
        int error = io_listen(node->io, address, port, (int)node->config.tcp_backlog, on_accept,
                              listener, &listener->io);
        if (error == 0) {
            clients->listener_count++;
        } else if (!optional) {
            (void)snprintf(message, cap, "Failed listening on %s port %u (TCP), aborting: %s",
                           address, (unsigned)port, strerror(-error));
            return false;
        }
    }
    return true;
}

struct clients *clients_new(struct node *node, char *message, size_t cap)
{
    const uint16_t ports[LISTENER_KINDS] = {
        [LISTENER_PLAIN] = node->config.port,
        [LISTENER_CLUSTER] = node->config.cluster_port,
        [LISTENER_SENTINEL] = node->config.sentinel_port,
    };
    struct clients *clients = qr_zalloc(sizeof *clients);
    clients->node = node;
    for (enum listener_kind kind = 0; kind < LISTENER_KINDS; kind++) {
        if (ports[kind] != 0 && !listen_on(clients, kind, ports[kind], message, cap)) {
            clients_free(clients);
            return NULL;
        }
    }
    return clients;
}

void clients_stop(struct clients *clients)
{
    for (uint32_t i = 0; i < clients->listener_count; i++) {
        io_listener_close(clients->listeners[i].io);
    }
    clients->listener_count = 0;
    for (struct client *client = clients->node->clients; client != NULL; client = client->next) {
        client_close_gently(client);
    }
}

void clients_free(struct clients *clients)
{
    for (uint32_t i = 0; i < clients->listener_count; i++) {
        io_listener_close(clients->listeners[i].io);
    }
    while (clients->node->clients != NULL) {
        clients_forget(clients->node->clients); /* io closes their sockets without a word */
    }
    free(clients->spare_input);
    free(clients);
}
