/* Clients: their input, their commands, their replies. See clients.h. */
#include "node/clients_internal.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "node/local.h"
#include "node/node.h"
#include "node/replica.h"
#include "node/router.h"
#include "node/run.h"
#include "node/run.h"
#include "node/session.h"
#include "node/subscribe.h"

#include <string.h>

#define HELD_LOOK_TIME (50 * QR_MILLISECOND)

/* --- Replies -------------------------------------------------------------------------------- */

void client_mark_dirty(struct client *client)
{
    if (!client->dirty) {
        client->dirty = true;
        client->next_dirty = client->node->dirty;
        client->node->dirty = client;
    }
}

static struct client *client_of(struct stream *stream)
{
    return (struct client *)((char *)stream - offsetof(struct client, stream));
}

static struct reply *begin_reply(struct stream *stream, struct pending *p)
{
    (void)p;
    struct client *client = client_of(stream);
    client->reply_began = client->out.n;
    return client->overrun ? &client->node->nowhere : &client->out;
}

/* A reply is in the output buffer, from reply_began on: what becomes of it is counted here, where
 * its client is, whoever has written it. */
void client_note_reply(struct client *client)
{
    struct span reply =
        span_of(client->out.p + client->reply_began, client->out.n - client->reply_began);
    if (reply.n > 0) {
        client->replies++;
    }
    if (reply.n > 0 && reply.p[0] == '-') {
        client->node->stats.error_replies++;
        measure_error(client->node->measure, reply);
    }
}

static void end_reply(struct stream *stream, struct pending *p, enum qr_status status)
{
    (void)p;
    (void)status;
    struct client *client = client_of(stream);
    size_t size = client->overrun ? 0 : reply_bytes_behind(&client->out, client->reply_began);
    client->reply_size = (client->reply_size * 7 + size) / 8;
    size_t held = client->out.n + io_stream_queued(client->socket); /* values are shared */
    if (!client->overrun && held > CLIENT_OUTPUT_BYTES_KILL) {
        client->overrun = true;
        node_log(client->node, NODE_LOG_WARNING,
                 "Client %s does not take its replies: %zu bytes wait, closing it",
                 client->peer_name, client_unsent(client));
        client_drop_output(client);
        client_kill(client);
    }
    if (!client->overrun) {
        client_note_reply(client);
    }
    client_mark_dirty(client);
}

static void on_held(struct stream *stream)
{
    client_mark_dirty(client_of(stream)); /* what it holds is counted then */
}

/* All clients together hold so much that each may only have little. */
static bool is_pressed(const struct node *node)
{
    return node->clients_io->bytes > node->config.maxmemory_clients / 4;
}

static size_t output_limit(const struct client *client)
{
    return is_pressed(client->node) ? CLIENT_READ_BYTES : CLIENT_OUTPUT_BYTES_MAX;
}

/* How many commands may be without a reply: few where replies are large or take long. */
static uint32_t window(const struct client *client)
{
    bool pressed = is_pressed(client->node);
    size_t n =
        (pressed ? CLIENT_WINDOW_BYTES_PRESSED : CLIENT_WINDOW_BYTES) / (client->reply_size + 1);
    n = max_u64(n, pressed ? 1 : CLIENT_WINDOW_MIN);
    size_t soon = 1 + CLIENT_WINDOW_USEC / (client->stream.history.usec + 1);
    n = n < soon ? n : soon;
    return n > CLIENT_PENDING_MAX ? CLIENT_PENDING_MAX : (uint32_t)n;
}

static bool is_congested(const struct stream *stream)
{
    const struct client *client = client_of((struct stream *)stream);
    return client_unsent(client) >= output_limit(client);
}

/* Replies that it has not taken, and those that it cannot be given yet. */
static size_t replies_left(const struct client *client)
{
    return client_unsent(client) + client->stream.held_bytes;
}

static bool must_pause(const struct client *client)
{
    return client->stream.alone > 0 || client->stream.count >= window(client) ||
           (client->awaits_all && client->stream.count > 0) ||
           replies_left(client) >= output_limit(client);
}

static bool may_resume(const struct client *client)
{
    return client->stream.alone == 0 && client->stream.count <= window(client) / 2 &&
           !(client->awaits_all && client->stream.count > 0) &&
           replies_left(client) <= output_limit(client) / 2;
}

static bool has_node_room(const struct node *node)
{
    return node->pending_count <= NODE_PENDING_MAX / 4 * 3 &&
           node->pending_bytes <= NODE_PENDING_BYTES_MAX / 4 * 3;
}

void clients_init_stream(struct client *client)
{
    stream_init(&client->stream, client->node, STREAM_CLIENT);
    client->stream.sender = (uint32_t)client->id;
    client->stream.begin_reply = begin_reply;
    client->stream.end_reply = end_reply;
    client->stream.on_held = on_held;
    client->stream.is_congested = is_congested;
    client->stream.put_session = session_put;
}

/* --- Input ---------------------------------------------------------------------------------- */

/* All clients together have used what one turn has for them (R4). */
static bool is_turn_spent(struct clients *clients)
{
    struct io *io = clients->node->io;
    if (!clients->spent && (++clients->commands & 7) == 0) {
        qr_time until = io_turn_began(io) + CLIENTS_TURN_USEC;
        until = until > clients->spend_until ? until : clients->spend_until;
        clients->spent = io_now(io) >= until;
    }
    return clients->spent;
}

/* Parses and runs what has come, until it is used up, in error, or there is no room or time. */
static void run_input(struct client *client)
{
    struct clients *clients = client->node->clients_io;
    uint32_t share = CLIENT_TURN_COMMANDS;
    while (!client->closing && client->apart_left == 0 && client->input_at < client->input_n) {
        if (must_pause(client)) {
            client->paused = true;
            client->node->paused_clients++;
            io_stream_read(client->socket, false);
            return;
        }
        if (stream_finds_no_room(&client->stream, client->input_n - client->input_at)) {
            clients_line_up(&clients->starved, client);
            return;
        }
        if (share-- == 0 || is_turn_spent(clients)) {
            clients_line_up(&clients->ready, client);
            return;
        }
        client->parser.authenticated = client_is_known(client);
        client->parser.bulk_bytes_max = client->node->config.max_value_bytes;
        switch (parser_next(&client->parser, client->input + client->input_at,
                            client->input_n - client->input_at)) {
        case PARSE_APART:
            client_begin_apart(client);
            break;
        case PARSE_INCOMPLETE:
            return;
        case PARSE_ERROR:
            client_protocol_error(client);
            return;
        case PARSE_COMMAND:
            client->input_at += client->parser.consumed;
            client->last_command_end = client->last_active;
            clients->commands |= client->parser.consumed > CLIENT_HEAVY_BYTES ? 7 : 0;
            if (client->parser.argc > 0 &&
                !client_run_command(client, client->parser.argv, client->parser.argc)) {
                client->input_at -= client->parser.consumed;
                if (client->awaits_all) {
                    break;
                }
                clients_line_up(&clients->held, client);
                return;
            }
            break;
        }
    }
}

/* --- The socket ----------------------------------------------------------------------------- */

/* A client keeps its buffer only while there is a part of a command in it: ten thousand idle ones
 * cost nothing, and busy ones share memory that is in the cache. */
static void return_input(struct client *client)
{
    struct clients *clients = client->node->clients_io;
    size_t left = client->input_n - client->input_at;
    if (client->input == NULL || left > CLIENT_READ_BYTES / 16) {
        return;
    }
    uint8_t *rest = NULL; /* a few bytes do not keep much room: they may be all for a long time */
    if (left > 0) {
        if (client->input_cap < CLIENT_READ_BYTES) {
            return;
        }
        rest = qr_alloc(left);
        memcpy(rest, client->input + client->input_at, left);
    }
    if (client->input_cap == CLIENT_READ_BYTES && clients->spare_input == NULL) {
        clients->spare_input = client->input;
    } else {
        free(client->input);
    }
    client->input = rest;
    client->input_cap = left;
    client->input_n = left;
    client->input_at = 0;
}

static void take_spare_input(struct client *client)
{
    struct clients *clients = client->node->clients_io;
    if (client->input == NULL && clients->spare_input != NULL) {
        client->input = clients->spare_input;
        client->input_cap = CLIENT_READ_BYTES;
        clients->spare_input = NULL;
    }
}

static void give_buffer(struct io_stream *stream, uint8_t **p, size_t *n)
{
    struct client *client = io_stream_owner(stream);
    if (client->line != NULL) {
        *p = NULL; /* it has input enough; move_on reads again */
        *n = 0;
        return;
    }
    if (client->apart_left > 0) {
        *p = client_apart_room(client, n);
        return;
    }
    take_spare_input(client);
    if (client->input_at > 0) {
        memmove(client->input, client->input + client->input_at,
                client->input_n - client->input_at);
        client->input_n -= client->input_at;
        client->input_at = 0;
    }
    size_t room = client->input_cap - client->input_n;
    if (room < CLIENT_READ_BYTES / 4) {
        size_t want =
            client->parser.want > 2 * client->input_n ? 2 * client->input_n : client->parser.want;
        size_t cap = client->input_n + CLIENT_READ_BYTES;
        client->input_cap = want > cap ? want : cap;
        client->input = qr_realloc(client->input, client->input_cap);
    }
    *p = client->input + client->input_n;
    *n = client->input_cap - client->input_n;
}

/* What it holds, among what all clients hold. */
static void account(struct client *client)
{
    struct clients *clients = client->node->clients_io;
    size_t now = client_memory(client);
    clients->bytes += now - client->accounted;
    client->accounted = now;
}

static void on_read(struct io_stream *stream, size_t n)
{
    struct client *client = io_stream_owner(stream);
    io_plain(client->node->io);
    if (client->apart_left > 0) {
        client_apart_came(client, n);
    } else {
        client->input_n += n;
    }
    client->bytes_in += n;
    client->node->stats.bytes_in += n;
    client->last_active = node_clock(client->node);
    uint64_t before = client->commands;
    run_input(client);
    histogram_add(&client->node->measure->commands_per_read, client->commands - before, 1);
    return_input(client);
    account(client);
}

static void on_drained(struct io_stream *stream)
{
    struct client *client = io_stream_owner(stream);
    io_plain(client->node->io);
    account(client);
    if (client->paused || client->stream.parked.count > 0 || client->out.parts != NULL) {
        client_mark_dirty(client);
    }
}

static void on_end(struct io_stream *stream)
{
    struct client *client = io_stream_owner(stream);
    return_input(client);
    if (stream_waits(&client->stream)) {
        client_kill(client); /* a WAIT may take for ever, and with it the connection */
        return;
    }
    client_close_gently(client); /* it may still read: `printf ... | nc` wants its replies */
}

void clients_forget(struct client *client)
{
    struct clients *clients = client->node->clients_io;
    client->node->paused_clients -= client->paused ? 1 : 0;
    clients->bytes -= client->accounted;
    if (clients->visit == client) {
        clients->visit = client->next;
    }
    clients_leave_line(client);
    clients_unlink(client);
    stream_detach(&client->stream);
    parser_free(&client->parser);
    free(client->with);
    reply_free(&client->out);
    cargo_free(client->node, client->cargo);
    subscribe_forget(client);
    free(client->input);
    free(client);
}

static void on_close(struct io_stream *stream, int error)
{
    (void)error;
    clients_forget(io_stream_owner(stream));
}

const struct io_stream_callbacks clients_callbacks = { .on_read = on_read,
                                                       .buffer = give_buffer,
                                                       .on_drained = on_drained,
                                                       .on_end = on_end,
                                                       .on_close = on_close };

void client_close_gently(struct client *client)
{
    client->closing = true;
    io_stream_read(client->socket, false);
    client_mark_dirty(client);
}

void client_kill(struct client *client)
{
    client->closing = true;
    io_stream_close(client->socket);
}

/* --- The end of a turn ---------------------------------------------------------------------- */

static void flush_client(struct client *client)
{
    struct stats *stats = &client->node->stats;
    struct clients *clients = client->node->clients_io;
    if (client_write_output(client)) {
        client_mark_dirty(client);
        client->node->again = true;
    }
    clients->output_most = max_u64(clients->output_most, client_unsent(client));
    stats->client_output_max = max_u64(stats->client_output_max, client_unsent(client));
    if (client->stream.parked.count > 0 && client_unsent(client) <= output_limit(client) / 2) {
        replica_unpark(&client->stream);
    }
    if (client->closing && client->stream.first == NULL && client->out.parts == NULL) {
        (client->dismissed ? io_stream_dismiss : io_stream_finish)(client->socket);
    }
}

/* Goes on with its input where it stopped. */
static void move_on(struct client *client)
{
    (void)node_clock(client->node);
    run_input(client);
    return_input(client);
    account(client);
    if (!client->paused && client->line == NULL && !client->closing) {
        io_stream_read(client->socket, true);
    }
}

static void resume(struct client *client)
{
    if (client->paused && !client->closing && may_resume(client)) {
        client->paused = false;
        client->node->paused_clients--;
        client->node->again = true;
        move_on(client);
    }
}

void clients_flush(struct clients *clients)
{
    struct node *node = clients->node;
    struct client *dirty = node->dirty;
    node->dirty = NULL;
    clients->output_most = 0;
    clients->apart_room = OUTPUT_TURN_BYTES;
    while (dirty != NULL) {
        struct client *client = dirty;
        dirty = client->next_dirty;
        client->dirty = false;
        flush_client(client);
        resume(client);
        account(client);
    }
    clients_evict(clients);
    clients->spent = false;
    node->again = node->again || clients->ready.count > 0;
}

/* So many of the line; who needs more lines up again. Returns how many there was no time for. */
static uint32_t advance(struct clients *clients, struct client_line *line, uint32_t count)
{
    while (count > 0 && line->first != NULL && !is_turn_spent(clients)) {
        struct client *client = line->first;
        count--;
        clients_leave_line(client);
        if (!client->closing) {
            move_on(client);
        }
    }
    return count;
}

/* For those in line, beside what others have used. */
static void give_time(struct clients *clients)
{
    clients->spent = false;
    clients->spend_until = clients->node->clock + CLIENTS_TURN_USEC;
}

static bool is_look_due(const struct clients *clients)
{
    const struct node *node = clients->node;
    return clients->held_left > 0 || node->contact.coverage.changes != clients->held_seen ||
           node->clock >= clients->held_look;
}

/* They parse their commands anew and look: each once, in as many turns as that takes, and whatever
 * others have to do. */
static void look_at_held(struct clients *clients)
{
    if (clients->held_left == 0) {
        clients->held_left = clients->held.count;
        clients->held_look = clients->node->clock + HELD_LOOK_TIME;
        clients->held_seen = clients->node->contact.coverage.changes;
    }
    uint32_t left = (uint32_t)min_u64(clients->held_left, clients->held.count); /* some went */
    give_time(clients);
    clients->held_left = advance(clients, &clients->held, left);
}

qr_time clients_deadline(const struct clients *clients)
{
    return clients->held.count == 0 ? QR_NEVER : is_look_due(clients) ? 0 : clients->held_look;
}

void clients_turn(struct clients *clients)
{
    if (clients->held.count > 0 && is_look_due(clients)) {
        look_at_held(clients);
    }
    give_time(clients);
    (void)advance(clients, &clients->ready, clients->ready.count);
    if (clients->starved.count > 0 && has_node_room(clients->node)) {
        (void)advance(clients, &clients->starved, clients->starved.count);
        clients->node->again = true;
    }
}
