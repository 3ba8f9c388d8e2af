/* A load generator that remembers: many pipelining clients, every operation with its outcome.
 *
 * It works on two kinds of keys. Few and contended ones: what was done to them, from when to when
 * and with which result, becomes a history for `quorate check-history`. And keys that are written
 * once: at the end each acknowledged one has to be there with its bytes, and each one that was
 * surely not applied must not.
 *
 * Nothing is written to a file while it runs. One thread, one epoll. */
#ifndef LOAD_H
#define LOAD_H

#include "base/rng.h"
#include "base/types.h"

#include <netinet/in.h>
#include <stdio.h>

/* --- record.c: what was done ----------------------------------------------------------------- */

enum kind { KIND_GET, KIND_SET, KIND_DEL, KIND_APPEND, KIND_INCR, KIND_ONCE };

/* PENDING at the end counts as UNKNOWN. */
enum outcome { OUTCOME_PENDING, OUTCOME_OK, OUTCOME_FAIL, OUTCOME_UNKNOWN };

#define KEY_TEXT_MAX 48
#define ARGUMENT_MAX 24

struct operation {
    uint32_t client;
    uint32_t key; /* of KIND_ONCE: the same as its index */
    enum kind kind;
    enum outcome outcome;
    char argument[ARGUMENT_MAX];
    int64_t start, end; /* nanoseconds, CLOCK_MONOTONIC */
    uint32_t result_at; /* in the record's text; RESULT_NONE when nil or nothing to tell */
    uint32_t result_n;
};

#define RESULT_NONE UINT32_MAX

struct record {
    struct operation *operations;
    size_t count, cap;
    char *text; /* results, one after another */
    size_t text_n, text_cap;
};

/* Which key an operation of this kind and number works on. */
void record_key_text(enum kind kind, uint32_t key, char out[KEY_TEXT_MAX]);
/* Decides what comes next, as number record->count, and adds it; its outcome is PENDING. */
struct operation *record_next(struct record *record, struct rng *rng, uint32_t client, int64_t now);
struct operation *record_add(struct record *record, uint32_t client, enum kind kind, uint32_t key,
                             int64_t now);
void record_result(struct record *record, struct operation *op, const char *p, size_t n);
/* The highest key in use; keys of KIND_ONCE do not count. */
uint32_t record_last_key(const struct record *record);
bool record_write(const struct record *record, const char *path);

/* The value of a key that is written once: *n bytes, valid until the next call. */
const char *once_value(uint32_t key, size_t *n);

/* --- client.c: one connection --------------------------------------------------------------- */

#define DEPTH_MAX 256
#define CLIENT_IN_BYTES ((size_t)1 << 20)
#define CLIENT_OUT_BYTES ((size_t)4 << 20)

struct client {
    uint32_t number;
    int fd; /* -1: not connected */
    bool connected;
    bool selecting;             /* the next reply is SELECT's */
    bool leaving;               /* its node is no member any more; another one is asked */
    int64_t dial_at;            /* when not connected */
    uint32_t flight[DEPTH_MAX]; /* indices of operations without a reply, a ring */
    uint32_t flight_first, flight_n;
    char *in, *out;
    size_t in_n, out_n, out_at;
};

/* What the test watches and steers, in a shared page: words of 64 bits in this order. */
struct progress {
    uint64_t acknowledged; /* writes */
    uint64_t reads;
    uint64_t uncertain; /* replies -UNCERTAIN to writes */
    uint64_t lost;      /* without a reply when their connection closed or stalled */
    uint64_t refused;   /* surely not applied */
    uint64_t writes_in_flight;
    uint64_t rate;            /* set by the test: operations a second */
    uint64_t unexpected;      /* replies that nothing here allows */
    uint64_t uncertain_reads; /* must stay 0 */
    uint64_t connections;
};

struct load {
    struct record record;
    struct progress *progress;
    struct rng rng;
    int epoll;
    uint16_t ports[16];
    uint32_t hosts[16];   /* in the network's order */
    const char *keyspace; /* that each connection selects; NULL: none */
    uint32_t port_count, client_count, depth;
    int64_t patience; /* nanoseconds without a reply after which a connection is given up */
    struct client *clients;
};

int64_t clock_now(void);
/* Where the node of that number listens. */
struct sockaddr_in client_address(const struct load *load, uint32_t node);
void client_dial(struct load *load, struct client *client);
/* Sends `n` more operations of the record's choice. */
void client_send(struct load *load, struct client *client, uint32_t n);
/* The socket has something to say. */
void client_ready(struct load *load, struct client *client, uint32_t events);
/* Everything in flight is of unknown fate from here on; dials another node soon. */
void client_drop(struct load *load, struct client *client);
bool client_stalled(const struct load *load, const struct client *client, int64_t now);

/* --- verify.c: afterwards ------------------------------------------------------------------- */

/* Reads every key once more: the contended ones into the record, the others are compared. Prints
 * what is wrong; false when anything is. */
bool verify(struct load *load);

/* --- resp.c --------------------------------------------------------------------------------- */

/* A request in RESP at out: GET key, SET key value ... Returns its length. */
size_t request_write(char *out, enum kind kind, const char *key, const char *value, size_t n);
#define REQUEST_BYTES_MAX ((size_t)65536)
/* SELECT keyspace. */
size_t select_write(char *out, const char *keyspace);

/* A reply at p, e: its length, 0 when it is not whole yet. */
struct reply_view {
    char type; /* + - : $ */
    bool nil;
    const char *p;
    size_t n;
};
size_t reply_parse(const char *p, const char *e, struct reply_view *view);

#endif
