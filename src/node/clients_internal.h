/* What clients.c (input, commands, replies), accept.c (who comes in) and clients_bound.c (who has
 * to wait or leave) share. */
#ifndef NODE_CLIENTS_INTERNAL_H
#define NODE_CLIENTS_INTERNAL_H

#include "node/clients.h"
#include "node/node.h"

#define LISTENERS_MAX 16 /* addresses, of each kind */

struct listener {
    struct clients *clients;
    enum listener_kind kind;
    struct io_listener *io;
};

/* Clients with input that waits, oldest first. */
struct client_line {
    struct client *first, *last;
    uint32_t count;
};

struct clients {
    struct node *node;
    struct listener listeners[LISTENERS_MAX * LISTENER_KINDS];
    uint32_t listener_count;
    uint8_t *spare_input; /* CLIENT_READ_BYTES that no client uses now, or NULL */

    struct client_line ready;   /* have used their share of a turn */
    struct client_line starved; /* the node had no room for their commands */
    struct client_line held;    /* what they ask waits for prefixes (route.h K6), or for rules */
    uint32_t held_left;         /* to be looked at yet, of those that are looked at now; */
    uint64_t held_seen;         /* coverage.changes when that began */
    qr_time held_look;          /* when it begins anew, whatever changes */
    qr_time spend_until;        /* what this turn has for their commands (CLIENTS_TURN_USEC) */
    bool spent;
    uint32_t commands; /* the clock is read for some of them only */

    size_t apart_room;  /* what this turn may still write of large values, to all */
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

/* It has replies to flush. */
void client_mark_dirty(struct client *client);
/* A reply is in the output buffer, from reply_began on: what becomes of it is counted here, where
 * its client is, whoever has written it. */
void client_note_reply(struct client *client);

/* client_commands.c: the arguments are those that the parser has found. False: it is to be tried
 * again (route.h K6), and nothing was done. */
bool client_run_command(struct client *client, const struct span *argv, uint32_t argc);
/* Says what was wrong with its input, and closes it. */
void client_protocol_error(struct client *client);
/* It has authenticated itself, or need not (any more). */
bool client_is_known(const struct client *client);

/* client_cargo.c */
void client_begin_apart(struct client *client);
uint8_t *client_apart_room(struct client *client, size_t *n);
void client_apart_came(struct client *client, size_t n);
struct span *client_beginnings(const struct client *client, const struct span *argv, uint32_t argc);
bool client_join(const struct client *client, struct span *beginnings, const struct span *argv,
                 uint32_t argc);
void client_unjoin(struct span *joined, const struct span *argv, uint32_t argc);

/* client_output.c: writes what it may of the replies; true when it could go on at once. */
bool client_write_output(struct client *client);
/* Drops replies that are not written yet. */
void client_drop_output(struct client *client);
size_t client_unsent(const struct client *client);

void clients_line_up(struct client_line *line, struct client *client);
void clients_leave_line(struct client *client);

/* Closes those that hold most until the rest is within maxmemory-clients. */
void clients_evict(struct clients *clients);

#endif
