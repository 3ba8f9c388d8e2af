/* One connection of a Redis client: who it is, what it has sent, what it still waits for.
 *
 * clients.c owns the socket and the parsing, router.c decides who carries a command out, the
 * local_*.c files carry out the commands of the connection itself. */
#ifndef NODE_CLIENT_H
#define NODE_CLIENT_H

#include "cluster/asked.h"
#include "cluster/primary_asked.h"
#include "command/command.h"
#include "io/io.h"
#include "resp/parse.h"
#include "node/cargo.h"
#include "node/selected.h"
#include "node/stream.h"
#include "resp/reply.h"

struct node;
struct subscriptions;

/* CLIENT REPLY; SKIP_NEXT is set by CLIENT REPLY SKIP, which itself has no reply. */
enum reply_mode { REPLY_ON, REPLY_OFF, REPLY_SKIP_NEXT };

/* By which port it came: what commands it knows and what it is told differ. */
enum listener_kind {
    LISTENER_PLAIN,    /* any node carries out any command */
    LISTENER_CLUSTER,  /* cluster-port: MOVED to the leader (redirect.h) */
    LISTENER_SENTINEL, /* sentinel-port: asks who leads (local_sentinel.c) */
    LISTENER_KINDS
};

/* Of one client, or the largest of several. */
struct buffer_sizes {
    size_t input, output;
};

/* How its last command with options began, and what they said: mostly the next begins alike. */
#define KNOWN_WITH_BYTES 96u
struct known_with {
    uint8_t bytes[KNOWN_WITH_BYTES];
    struct asked asked; /* nothing that is a view of the words */
};

struct client {
    struct node *node;
    struct client *previous, *next; /* node->clients, in order of id */
    uint64_t id;
    struct io_stream *socket;
    enum listener_kind listener;

    /* What CLIENT LIST shows. */
    char peer_name[64], local_name[64];
    char name[256], lib_name[64], lib_version[64]; /* "" = unset; longer ones are refused */
    qr_time created, last_active;
    qr_time last_command_end; /* when its last command was complete */
    const struct command_spec *last_command;
    uint64_t commands, bytes_in, bytes_out;

    /* What its commands run under. */
    struct selected selected;
    struct asked asked;      /* CONSISTENCY */
    struct asked_ack said;   /* of its command: ACK, FALLBACK, by WITH or CONSISTENCY */
    uint16_t by_default;     /* ASKED_READ, ASKED_ACK: what its command's keyspace says, */
    bool apart;              /* which is not the one that is selected (KS) */
    bool has_token;          /* SESSION stands with its command, */
    uint64_t pin;            /* SESSION PIN (cluster/pin.h); 0: none */
    uint32_t window_ms;      /* and LEADERWINDOW, or the connection has it */
    struct known_with *with; /* NULL: there was none yet; its bytes are what the parser knows */
    uint8_t version;         /* RESP 2 or 3 */
    bool authenticated;
    bool no_evict, no_touch;
    bool readonly; /* LISTENER_CLUSTER: it takes reads from whatever node it has asked */
    enum reply_mode reply_mode;
    bool evicted;   /* it is being closed for what it holds */
    bool overrun;   /* too many replies were not taken: it is being closed, and hears no more */
    bool closing;   /* answer what is pending, then close; nothing more is read */
    bool dismissed; /* it may still be sending when that is done */

    /* Bytes in: [input, input + input_n), parsed up to input_at. */
    struct parser parser;
    uint8_t *input;
    size_t input_n, input_at, input_cap;
    bool paused;              /* reading stopped: too much is pending, or replies pile up */
    struct client_line *line; /* where its input waits, or NULL */
    struct client *line_next, *line_previous;
    qr_time line_since;
    qr_time held_since; /* its command waits to know its way, or for answers; 0: it does not */
    qr_time gave_up;    /* since when the last was held that waited in vain; 0: none did */
    bool awaits_all;    /* that command comes when everything before it is answered */
    size_t accounted;   /* its part of clients->bytes */
    bool dirty;         /* is in node->dirty: has replies to flush */
    struct client *next_dirty;

    struct subscriptions *subscriptions; /* subscribe.h; NULL: none */

    struct stream stream;         /* commands without a reply, oldest first */
    size_t reply_size;            /* a moving average */
    size_t reply_began;           /* out.n before the reply that is being written */
    uint32_t replies;             /* whole ones in `out` */
    struct reply out;             /* replies of this turn, not yet handed to the socket */
    struct reply_place out_place; /* up to where they are, when large values are among them */
    size_t out_sent;

    struct cargo *cargo; /* large arguments of the command that is coming, or NULL */
    size_t apart_left;   /* bytes still to come of the last of them */
};

/* Bytes of its buffers, and of replies that wait for their turn. */
static inline size_t client_memory(const struct client *client)
{
    size_t pinned =
        client->out.parts != NULL ? reply_pinned(&client->out, client->out_place.part) : 0;
    size_t cargo = client->cargo != NULL ? (size_t)client->cargo->come : 0;
    return client->input_cap + client->out.cap + io_stream_memory(client->socket) + pinned + cargo +
           client->stream.cargo_bytes + stream_held_memory(&client->stream) +
           strands_memory(&client->stream.strands);
}

/* Closes the connection once its pending commands are answered (QUIT, protocol errors). */
void client_close_gently(struct client *client);
/* Closes at once; what was pending is answered to nobody (CLIENT KILL). */
void client_kill(struct client *client);

/* A command of the connection itself. argv[0] is the name (argv[1] the subcommand). Appends exactly
 * one reply, unless Redis sends none. */
typedef void local_handler(struct client *client, const struct span *argv, uint32_t argc,
                           struct reply *reply);

/* The handler of a PLACE_LOCAL command: local_cmd_<ident> of commands.def. */
local_handler *local_handler_of(const struct command_spec *spec);

#endif
