/* Talking to one server as a client: one command after the other, each with a deadline. Used by
 * `quorate status` and `quorate admin`; quorate bench has a loop of its own. */
#ifndef MAIN_TALK_H
#define MAIN_TALK_H

#include "resp/tree.h"

#define TALK_WORDS_MAX 64
#define TALK_ERROR_BYTES 512

/* Where and as whom. */
struct talk_where {
    const char *host; /* NULL: 127.0.0.1 */
    uint16_t port;
    const char *user, *password; /* NULL: none */
    int timeout_ms;              /* of the connection, and of each command */
};

struct talk {
    int fd; /* -1: not connected, `error` says why */
    int timeout_ms;
    uint8_t *in;
    size_t in_n, in_cap;
    struct tree reply;
    char error[TALK_ERROR_BYTES]; /* why the last call has failed */
};

/* False: `error` says why. To be closed in both cases. */
bool talk_open(struct talk *talk, const struct talk_where *where);
void talk_close(struct talk *talk);

/* Sends the command and waits for its reply, which stays in `reply` until the next call: one that
 * is an error is a reply too. False: there is none, and the connection is closed. */
bool talk_ask(struct talk *talk, const char *const *words, size_t count);
/* The words with blanks between them. */
bool talk_ask_line(struct talk *talk, const char *line);
/* Whether the reply is an error; `error` then holds its text. */
bool talk_refused(struct talk *talk);

#endif
