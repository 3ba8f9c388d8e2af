/* The state of a run, and what the files of src/bench/ offer each other. See bench.h. */
#ifndef BENCH_BENCH_INTERNAL_H
#define BENCH_BENCH_INTERNAL_H

#include "bench/endpoint.h"
#include "bench/history.h"
#include "bench/ledger.h"
#include "bench/options.h"
#include "bench/tally.h"
#include "resp/scan.h"

#include <stdio.h>

#define SECOND_NS 1000000000
#define DRAIN_GRACE_NS SECOND_NS /* for arrivals that were due before the end */
/* Filling is not measured, so it may be quicker than the pipeline allows; but large values would be
 * too much for many a server. */
#define FILL_PIPELINE 64u
#define FILL_BYTES (128 * KIB) /* under way on a connection */
#define KEY_TEXT_BYTES (BENCH_PREFIX_BYTES_MAX + 12 + 1)
#define REQUEST_HEAD_BYTES 320u /* more than a request without its value has */

/* One operation on its way. */
struct flight {
    int64_t due;  /* when it should have been sent: latency counts from here */
    int64_t sent; /* when it was, as the history has it */
    uint64_t key;
    uint64_t mark; /* of a write: its sequence number; of a read: the key's floor */
    uint32_t bytes;
    bool write, measured, fill;
    /* with --cluster */
    bool asking;   /* no operation: the ASKING in front of one */
    uint8_t asked; /* an endpoint to which ASK has sent it, plus 1; 0: goes where its slot is */
    uint8_t turns; /* how often it was sent elsewhere */
    uint16_t slot;
};

enum client_state { CLIENT_ABSENT = 0, CLIENT_DIALING, CLIENT_GREETING, CLIENT_OPEN };

/* A connection. With --cluster there are session_count of them to each endpoint: number modulo
 * session_count is the session that it belongs to, and the first ones stand for their sessions
 * where something is counted for each. Without, each is a session of its own. */
struct client {
    uint32_t number, address;
    int fd;
    enum client_state state;
    bool leaving;    /* sends no more, and goes to the next address when all is answered */
    bool writable;   /* epoll tells us when there is room for more output */
    bool dirty;      /* of the dispatcher's list */
    int64_t wake;    /* absent: dials then; open: sends no sooner; 0: nothing to wait for */
    int64_t silence; /* since when it owes us something and says nothing */
    uint32_t greetings, greeted;
    struct flight *ring; /* of struct bench's ring_mask + 1 */
    uint32_t first, in_flight;
    char *out;
    size_t out_at, out_n;
    struct flight body; /* the value that is being written: from body_at on it is to come */
    uint32_t body_at;
    bool body_open;
    uint64_t bulk_left; /* of the reply's value, with the line end behind it */
    struct value_reader reader;
    uint8_t *carry; /* the beginning of a line */
    size_t carry_n;
    struct gap gap; /* of the session */
};

/* With --cluster: what one user of a client library would have under way. */
struct session {
    uint32_t in_flight;     /* taken from the source, and neither done nor given up */
    uint32_t first, queued; /* of these: not on their way, in order */
    struct flight *queue;   /* of ring_mask + 1 */
};

enum phase { PHASE_CONNECT = 0, PHASE_FILL, PHASE_RUN, PHASE_DRAIN, PHASE_OVER };

struct usage {
    double cpu_s;
    uint64_t bytes_in, bytes_out;
};

struct bench {
    struct bench_options options;
    struct value_form form;
    struct picker picker;
    struct rng rng;
    struct ledger ledger; /* its keys only with --check, its sequence numbers always */
    struct tally tally;
    struct history *history;
    /* connections */
    struct endpoint endpoints[BENCH_ENDPOINTS_MAX];
    uint32_t endpoint_count;
    int epoll, signals;
    struct client *clients;
    uint32_t client_count, open, sleeping; /* sleeping: with a wake to wait for */
    uint32_t session_count;
    struct session *sessions; /* with --cluster */
    struct routes *routes;    /* with --cluster */
    uint32_t ring_mask, fill_depth;
    uint64_t in_flight;
    uint8_t *input;
    char set_head[REQUEST_HEAD_BYTES], get_head[REQUEST_HEAD_BYTES];
    size_t set_head_n, get_head_n, key_bytes;
    /* time */
    enum phase phase;
    int64_t now, began, next_tick;
    int64_t run_began, measure_from, measure_to; /* measure_to: INT64_MAX without a duration */
    int64_t drain_began;
    int64_t last_done; /* of the measured operations */
    int64_t last_good; /* any good reply */
    int64_t stamp;     /* the last one of the history */
    struct usage usage_from, usage_to;
    bool measuring; /* usage_from is taken */
    /* operations */
    uint64_t fill_next;
    uint64_t *again; /* keys whose filling has failed */
    uint64_t again_n;
    uint64_t arrivals, measured; /* begun so far: in the run; of these, counting ones */
    uint64_t unsent;             /* arrivals that were due and found no free place to the end */
    int64_t overdue;             /* by how much the first of these */
    uint32_t *dirty;
    uint32_t dirty_n, turn;
    /* the end */
    bool failed, interrupted;
    char reason[512];
    /* progress */
    bool show_progress, progress_is_line;
    int64_t progress_next;
    struct histogram *seen; /* what the last progress line had counted */
};

/* The run is void. The first reason stays. */
void bench_fail(struct bench *bench, const char *format, ...) __attribute__((format(printf, 2, 3)));
int64_t bench_clock(void);
void bench_key_text(const struct bench *bench, uint64_t key, char out[KEY_TEXT_BYTES]);

/* --- run.c: until the run is over, failed or interrupted ------------------------------------- */

void bench_run(struct bench *bench);

/* --- source.c -------------------------------------------------------------------------------- */

/* What is to be sent now; false when there is nothing. */
bool source_next(struct bench *bench, struct flight *flight);
/* When the next arrival is due, with --rate. */
int64_t source_due(const struct bench *bench);
/* How an operation has ended. */
void source_good(struct bench *bench, struct client *client, const struct flight *flight, bool nil);
void source_void(struct bench *bench, struct client *client, const struct flight *flight);
void source_unknown(struct bench *bench, struct client *client, const struct flight *flight);

/* --- endpoint.c ------------------------------------------------------------------------------ */

/* Finds the address; the run fails when it cannot be found. */
bool endpoint_resolve(struct bench *bench, struct endpoint *endpoint);

/* --- routes.c: which server has which slot --------------------------------------------------- */

void routes_init(struct bench *bench);
void routes_free(struct bench *bench);
/* The endpoint that has the slot; BENCH_ENDPOINTS_MAX: nobody, as far as is known. */
uint32_t routes_of(const struct bench *bench, uint16_t slot);
/* What is known may be wrong: ask again, soon. */
void routes_doubt(struct bench *bench);
bool routes_doubted(const struct bench *bench);
/* "SLOT HOST:PORT", as said by the endpoint `by`: the endpoint, or BENCH_ENDPOINTS_MAX. With
 * `moved` the slot is there from now on. */
uint32_t routes_told(struct bench *bench, struct span text, uint32_t by, bool moved);
/* Whether all slots have a server; `slot` is one that has none. */
bool routes_cover(const struct bench *bench, uint32_t *slot);
void routes_event(struct bench *bench);
void routes_tick(struct bench *bench);

/* --- session.c: operations with --cluster ---------------------------------------------------- */

static inline struct client *client_home(struct bench *bench, const struct client *client)
{
    return &bench->clients[client->number % bench->session_count];
}
/* Whether it may take one more operation. */
bool session_may_take(const struct bench *bench, uint32_t session);
/* Takes one from the source; false when there was none. */
bool session_take(struct bench *bench, uint32_t session);
/* Sends what waits and, where the source is not the dispatcher's, as much more as may be sent. */
void session_send(struct bench *bench, uint32_t session);
/* The first operation of this connection was answered with MOVED or ASK: true, it is dealt with. */
bool session_redirected(struct bench *bench, struct client *client, struct span text);
/* Connections to all servers that have slots. */
void session_dial_all(struct bench *bench);
void session_give_up(struct bench *bench);

/* --- client.c -------------------------------------------------------------------------------- */

void client_dial(struct bench *bench, struct client *client);
void client_event(struct bench *bench, struct client *client, uint32_t events);
/* Without --reconnect the run has failed for this reason. */
void client_lost(struct bench *bench, struct client *client, const char *code, const char *format,
                 ...) __attribute__((format(printf, 4, 5)));
/* The server, or the network, has ended it; 0: in order. */
void client_ended(struct bench *bench, struct client *client, int error);
/* It was greeted. */
void client_opened(struct bench *bench, struct client *client);
/* Sends nothing for a moment. */
void client_pause(struct bench *bench, struct client *client);
void client_tick(struct bench *bench, struct client *client);
const char *client_name(const struct bench *bench, const struct client *client);
/* Takes the first operation that is under way out of the account. */
struct flight client_pop(struct bench *bench, struct client *client);
/* To be pushed at the end of the turn, at the latest. */
void client_mark(struct bench *bench, struct client *client);

/* --- client_send.c --------------------------------------------------------------------------- */

void request_prepare(struct bench *bench);
void client_greet(struct bench *bench, struct client *client);
bool client_may_send(const struct bench *bench, const struct client *client);
/* Writes the operation into the output. */
void client_put(struct bench *bench, struct client *client, const struct flight *flight);
void client_put_asking(struct bench *bench, struct client *client);
/* Takes one operation from the source into the output; false when there was none. */
bool client_take_operation(struct bench *bench, struct client *client);
/* Hands the output to the kernel; false when the connection is lost. */
bool client_push(struct bench *bench, struct client *client);
/* As many operations as may be sent. */
void client_send(struct bench *bench, struct client *client);
/* How many operations a session may have under way. */
uint32_t request_depth(const struct bench *bench);

/* --- client_take.c --------------------------------------------------------------------------- */

/* The input is n bytes at p. False when the connection is lost. */
bool client_take(struct bench *bench, struct client *client, const uint8_t *p, size_t n);

/* --- the figures ----------------------------------------------------------------------------- */

/* What the table and the document say about the whole run. */
struct summary {
    const char *status; /* ok, with faults, interrupted, failed */
    double seconds;     /* measured */
    uint64_t operations;
    double client_cpu; /* share of one core */
};

struct summary summary_of(const struct bench *bench);
double per_second(uint64_t count, double seconds);
double milliseconds(uint64_t ns);
void report_print(const struct bench *bench, FILE *out);
void json_print(const struct bench *bench, FILE *out);
void progress_print(struct bench *bench);
void progress_end(struct bench *bench);
/* The distribution of milliseconds, in the form that HdrHistogram prints. */
void distribution_print(const struct histogram *histogram, const char *title, FILE *out);

#endif
