/* Replies to the socket. Small ones go at once, all of a turn in one write. Where large values are
 * among them, the replies are written a slice at a time, as the socket takes them: of the values
 * there are only references, so nothing is copied but what the socket has no room for. */
#include "node/clients_internal.h"

#include "base/limits.h"

#define SLICES 8

size_t client_unsent(const struct client *client)
{
    return reply_bytes(&client->out) - client->out_sent + io_stream_queued(client->socket);
}

void client_drop_output(struct client *client)
{
    reply_discard_parts(&client->out, engine_bin(client->node->zero->engine));
    reply_free(&client->out);
    reply_init(&client->out, client->version);
    client->out_place = (struct reply_place){ 0 };
    client->out_sent = 0;
}

static void write_whole(struct client *client)
{
    if (client->out.n > IO_GIVE_BYTES) {
        io_stream_give(client->socket, client->out.p, client->out.n);
        reply_init(&client->out, client->version);
    } else {
        io_stream_write(client->socket, client->out.p, client->out.n);
        reply_reset(&client->out);
    }
}

/* As much as one write may be. */
static size_t write_slice(struct client *client, size_t most)
{
    struct iovec v[SLICES];
    int count = 0;
    size_t n = 0;
    while (count < SLICES && n < most) {
        struct span s = reply_slice(&client->out, &client->out_place);
        if (s.n == 0) {
            break;
        }
        s.n = (size_t)min_u64(s.n, most - n);
        v[count++] = (struct iovec){ .iov_base = (void *)(uintptr_t)s.p, .iov_len = s.n };
        reply_pass(&client->out, &client->out_place, s.n);
        n += s.n;
    }
    if (count > 0) {
        io_stream_writev(client->socket, v, count); /* takes or copies them */
    }
    reply_shed(&client->out, &client->out_place);
    client->out_sent += n;
    return n;
}

/* True: more could be written at once. */
static bool write_slices(struct client *client)
{
    size_t *room = &client->node->clients_io->apart_room;
    while (io_stream_queued(client->socket) == 0 && client->out_sent < reply_bytes(&client->out)) {
        if (*room == 0) {
            return true;
        }
        *room -= write_slice(client, (size_t)min_u64(*room, OUTPUT_SLICE_BYTES));
    }
    if (client->out_sent == reply_bytes(&client->out)) {
        client_drop_output(client);
    }
    return false;
}

bool client_write_output(struct client *client)
{
    struct node *node = client->node;
    size_t before = client_unsent(client) - io_stream_queued(client->socket);
    bool more = false;
    if (before == 0) {
        return false;
    }
    if (client->replies > 0) {
        histogram_add(&node->measure->replies_per_write, client->replies, 1);
        client->replies = 0;
    }
    (void)io_failpoint(node->io, FAIL_CLIENT_FLUSH);
    if (client->out.parts != NULL) {
        more = write_slices(client);
    } else {
        write_whole(client);
    }
    (void)io_failpoint(node->io, FAIL_CLIENT_FLUSHED);
    size_t sent = before - (reply_bytes(&client->out) - client->out_sent);
    client->bytes_out += sent;
    node->stats.bytes_out += sent;
    return more;
}
