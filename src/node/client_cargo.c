/* Large arguments of a client: read from the socket straight into the ropes that the log and, in
 * the end, the store get them from. */
#include "node/clients_internal.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "node/local.h"

#include <string.h>

/* The parser has come to a large argument: what has come of it leaves the buffer, the rest will not
 * enter it. */
void client_begin_apart(struct client *client)
{
    if (client->cargo == NULL) {
        client->cargo = cargo_new();
    }
    struct rope *rope = cargo_add(client->cargo, client->parser.apart);
    uint8_t *p = client->input + client->input_at + client->parser.consumed;
    size_t there = client->input_n - client->input_at - client->parser.consumed;
    size_t n = (size_t)min_u64(there, client->parser.apart);
    rope_append_of(rope, span_of(p, n), client->parser.apart);
    memmove(p, p + n, there - n);
    client->input_n -= n;
    client->cargo->come += n;
    client->apart_left = client->parser.apart - n;
}

static struct rope *filling(struct client *client)
{
    return client->cargo->v[client->cargo->count - 1].rope;
}

/* Nothing when this turn has had its time: a sender that is quick would hold up everybody. */
uint8_t *client_apart_room(struct client *client, size_t *n)
{
    struct io *io = client->node->io;
    *n = 0;
    if (io_now(io) >= io_turn_began(io) + CLIENTS_TURN_USEC) {
        clients_line_up(&client->node->clients_io->ready, client);
        client->node->again = true;
        return NULL;
    }
    uint8_t *p = rope_room(filling(client), client->apart_left, n);
    *n = (size_t)min_u64(*n, APART_READ_BYTES);
    return p;
}

void client_apart_came(struct client *client, size_t n)
{
    rope_grow(filling(client), n);
    client->cargo->come += n;
    client->apart_left -= n;
}

/* --- Commands with large arguments ---------------------------------------------------------- */

/* The arguments with the beginning of each large one in its place: enough for names and errors. */
struct span *client_beginnings(const struct client *client, const struct span *argv, uint32_t argc)
{
    struct span *beginnings = qr_alloc(argc * sizeof *beginnings);
    uint32_t part = 0;
    for (uint32_t i = 0; i < argc; i++) {
        bool apart = op_is_ref(argv[i]);
        beginnings[i] = apart ? rope_slice(client->cargo->v[part++].rope, 0) : argv[i];
    }
    return beginnings;
}

/* Puts all of each large argument in one piece; false when they are too many bytes for that. */
bool client_join(const struct client *client, struct span *beginnings, const struct span *argv,
                 uint32_t argc)
{
    uint32_t part = 0;
    bool fits = client->cargo->total <= COMMAND_BYTES_MAX;
    for (uint32_t i = 0; fits && i < argc; i++) {
        if (op_is_ref(argv[i])) {
            const struct rope *rope = client->cargo->v[part++].rope;
            uint8_t *p = qr_alloc(rope->n);
            rope_copy(rope, 0, rope->n, p);
            beginnings[i] = span_of(p, rope->n);
        }
    }
    return fits;
}

void client_unjoin(struct span *joined, const struct span *argv, uint32_t argc)
{
    for (uint32_t i = 0; i < argc; i++) {
        if (op_is_ref(argv[i])) {
            free((void *)(uintptr_t)joined[i].p);
        }
    }
}
