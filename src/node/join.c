/* The node that wants to be taken in (join.h). */
#include "node/join.h"

#include "base/alloc.h"
#include "node/frame.h"
#include "node/handshake.h"
#include "node/repeats.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define ASK_INTERVAL (100 * QR_MILLISECOND)
#define DIAL_INTERVAL (200 * QR_MILLISECOND)
#define ANSWER_TIMEOUT (2 * QR_SECOND)
#define STAY_TIME (2 * QR_SECOND) /* with a node that only says "later": another may know more */
#define PROGRESS_INTERVAL (30 * QR_SECOND) /* the same reason is told again */
#define INPUT_BYTES 8192u

struct joining {
    struct io *io;
    const struct config *config;
    struct identity *identity;
    struct logger logger;
    struct io_timer timer;
    struct io_stream *stream;
    bool proven, later, told_why; /* of this connection */
    qr_time met_at;               /* when this connection was made */
    bool looking;         /* the directory has an identity: only whether it is of that cluster */
    uint32_t next, tried; /* of the addresses in config->join */
    char host[64];
    uint16_t port;
    char leader[64]; /* where to ask next; empty: not known */
    uint16_t leader_port;
    struct join_request request;
    uint8_t hello[HELLO_BYTES];
    uint8_t in[INPUT_BYTES];
    size_t in_n;
    bool welcomed;      /* it has answered as a node does */
    uint32_t strangers; /* addresses one after the other at which no node is */
    struct repeats told;
    bool ended, taken;
    char *message;
    size_t cap;
};

/* --- What people hear ----------------------------------------------------------------------- */

static void tell(struct joining *j, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void tell(struct joining *j, const char *format, ...)
{
    char line[400];
    uint32_t kept_back;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (repeats_due(&j->told, line, io_now(j->io), PROGRESS_INTERVAL, &kept_back)) {
        logger_line(&j->logger, LOGGER_NOTICE, "%s", line);
    }
}

static void end(struct joining *j, bool taken)
{
    j->ended = true;
    j->taken = taken;
    io_stop(j->io);
}

static void fail(struct joining *j, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void fail(struct joining *j, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(j->message, j->cap, format, arguments);
    va_end(arguments);
    end(j, false);
}

/* --- Sending -------------------------------------------------------------------------------- */

static void send_frame(struct joining *j, uint8_t kind, const uint8_t *p, size_t n)
{
    struct outbox out = { 0 };
    frame_append(&out, kind, span_of(p, n), (struct span){ 0 }, false);
    io_stream_write(j->stream, out.p, out.n);
    outbox_free(&out);
    io_timer_start(j->io, &j->timer, io_now(j->io) + ANSWER_TIMEOUT);
}

static void ask(struct joining *j)
{
    uint8_t bytes[JOIN_BYTES_MAX];
    send_frame(j, FRAME_JOIN, bytes, join_request_write(&j->request, bytes));
}

static void hang_up(struct joining *j)
{
    if (j->stream != NULL) {
        io_stream_close(j->stream);
    }
}

/* Where this node will be: its own line among the members, or the address that it listens on, or
 * the one that it has on this connection. */
static void find_own_place(struct joining *j)
{
    const struct config *config = j->config;
    struct join_request *me = &j->request;
    char name[64];
    io_stream_local_name(j->stream, name, sizeof name);
    char *colon = strrchr(name, ':');
    if (colon != NULL) {
        *colon = 0;
    }
    size_t n = strlen(name);
    bool bracketed = name[0] == '[' && n > 2;
    (void)snprintf(me->address, sizeof me->address, "%.*s", (int)(bracketed ? n - 2 : n),
                   name + (bracketed ? 1 : 0));
    me->client_port = config->port;
    me->peer_port = config->peer_port != 0 ? config->peer_port : (uint16_t)(config->port + 10000);
    config_own_address(config, me->address);
    for (uint32_t i = 0; i < config->member_count; i++) {
        const struct member_config *m = &config->members[i];
        if (m->id == config->node_id) {
            memcpy(me->address, m->address, sizeof me->address);
            me->client_port = m->client_port;
            me->peer_port = m->peer_port != 0 ? m->peer_port : (uint16_t)(m->client_port + 10000);
        }
    }
}

/* --- What comes in -------------------------------------------------------------------------- */

static void on_welcome(struct joining *j, struct span head)
{
    struct greeting g;
    struct claim theirs;
    bool proven;
    const char *secret = j->config->cluster_secret;
    struct span hello = span_of(j->hello, HELLO_BYTES);
    if (!welcome_read(head, &g, &theirs, hello, secret, &proven)) {
        fail(j, "%s:%u does not speak the language of this version", j->host, (unsigned)j->port);
    } else if (!proven) {
        fail(j, "%s:%u has another cluster-secret: give this node the cluster's", j->host,
             (unsigned)j->port);
    } else if (j->looking) {
        end(j, true);
    } else {
        char cluster[33];
        for (size_t i = 0; i < 16; i++) {
            (void)snprintf(cluster + 2 * i, 3, "%02x", g.cluster[i]);
        }
        if (j->config->cluster_id[0] != 0 && strcasecmp(cluster, j->config->cluster_id) != 0) {
            fail(j, "%s:%u belongs to the cluster %s, cluster-id says %s", j->host,
                 (unsigned)j->port, cluster, j->config->cluster_id);
            return;
        }
        struct claim mine = { .made = true,
                              .index = NODE_NONE,
                              .client_port = j->request.client_port,
                              .peer_port = j->request.peer_port };
        memcpy(mine.address, j->request.address, sizeof mine.address);
        uint8_t proof[PROOF_BYTES_MAX];
        size_t n = proof_write(proof, &mine, hello, head, secret);
        j->proven = true;
        bool has_word = g.version >= WIRE_VERSION_GROUPS;
        j->request.level = has_word ? (uint16_t)identity_level_known() : 0;
        send_frame(j, FRAME_PROOF, proof, n);
        ask(j);
    }
}

static void on_taken(struct joining *j, const struct join_answer *answer)
{
    struct identity *identity = j->identity;
    memcpy(identity->cluster, answer->cluster, 16);
    identity->node_id = answer->id;
    identity->me = answer->index;
    identity->joined = answer->slot;
    identity->joined_term = answer->term;
    memcpy(identity->members, answer->roster.node, sizeof identity->members);
    int error = identity_join(j->io, identity);
    if (error != 0) {
        fail(j, "%s cannot be written: %s", identity->dir, strerror(-error));
        return;
    }
    tell(j, "The cluster has taken this node in as node %" PRIu32, answer->id);
    end(j, true);
}

static void on_joined(struct joining *j, const struct frame *f)
{
    struct join_answer answer;
    if (!join_answer_read(f->head, f->tail, &answer)) {
        fail(j, "%s:%u gave an answer that cannot be read", j->host, (unsigned)j->port);
        return;
    }
    switch (answer.result) {
    case JOIN_TAKEN:
        on_taken(j, &answer);
        return;
    case JOIN_ELSEWHERE:
        (void)snprintf(j->leader, sizeof j->leader, "%.63s", answer.text);
        j->leader_port = answer.peer_port;
        hang_up(j);
        return;
    case JOIN_LATER:
        tell(j, "%s:%u: %s", j->host, (unsigned)j->port, answer.text);
        j->later = true;
        io_timer_start(j->io, &j->timer, io_now(j->io) + ASK_INTERVAL);
        return;
    case JOIN_REFUSED:
        fail(j, "the cluster does not take this node in: %s", answer.text);
        return;
    }
}

static void on_frame(struct joining *j, const struct frame *f)
{
    if (f->kind == FRAME_REFUSED && j->looking) {
        fail(j,
             "%s:%u does not know the cluster of %s: %.*s; to join that cluster start with an "
             "empty directory, else start without --join",
             j->host, (unsigned)j->port, j->identity->dir, (int)min_u64(f->head.n, 300),
             (const char *)f->head.p);
    } else if (f->kind == FRAME_REFUSED) {
        fail(j, "%s:%u refuses this node: %.*s", j->host, (unsigned)j->port,
             (int)min_u64(f->head.n, 300), (const char *)f->head.p);
    } else if (f->kind == FRAME_WELCOME && !j->proven) {
        on_welcome(j, f->head);
    } else if (f->kind == FRAME_JOINED && j->proven) {
        on_joined(j, f);
    } else {
        hang_up(j);
    }
}

static uint32_t target_count(const struct joining *j)
{
    char host[64];
    uint16_t port;
    uint16_t clients;
    bool valid;
    uint32_t n = 0;
    while (config_join_target(j->config->join, n, host, &port, &clients, &valid)) {
        n++;
    }
    return n;
}

/* What came is no frame: something else listens there. When that is so everywhere, waiting does not
 * help. */
static void on_stranger(struct joining *j)
{
    static const char advice[] = "--join takes a node's port for clients, to which 10000 is added, "
                                 "or host:port@peer-port";
    char said[33];
    size_t n = min_u64(j->in_n, sizeof said - 1);
    for (size_t i = 0; i < n; i++) {
        said[i] = (char)(j->in[i] >= 0x20 && j->in[i] < 0x7f ? j->in[i] : '.');
    }
    said[n] = 0;
    if (!j->looking && ++j->strangers >= target_count(j)) {
        fail(j, "%s:%u is no node's port for peers, it answers '%s': %s", j->host,
             (unsigned)j->port, said, advice);
    } else {
        tell(j, "%s:%u is no node's port for peers, it answers '%s': %s; trying on", j->host,
             (unsigned)j->port, said, advice);
        j->told_why = true;
        hang_up(j);
    }
}

static void on_read(struct io_stream *stream, size_t n)
{
    struct joining *j = io_stream_owner(stream);
    struct frame frame;
    size_t bytes = 0;
    j->in_n += n;
    while (!j->ended && j->stream == stream) {
        enum frame_result result = frame_read(span_of(j->in, j->in_n), &frame, &bytes);
        if (result == FRAME_INCOMPLETE && j->in_n < sizeof j->in) {
            return;
        }
        if (result != FRAME_COMPLETE && !j->welcomed) {
            on_stranger(j);
            return;
        }
        if (result != FRAME_COMPLETE) {
            hang_up(j);
            return;
        }
        j->welcomed = true;
        j->strangers = 0;
        on_frame(j, &frame);
        memmove(j->in, j->in + bytes, j->in_n - bytes);
        j->in_n -= bytes;
    }
}

static void give_buffer(struct io_stream *stream, uint8_t **p, size_t *n)
{
    struct joining *j = io_stream_owner(stream);
    *p = j->in + j->in_n;
    *n = sizeof j->in - j->in_n;
}

/* --- Connections ---------------------------------------------------------------------------- */

static void try_next(struct joining *j, qr_time wait)
{
    j->stream = NULL;
    j->later = false;
    if (!j->ended) {
        io_timer_start(j->io, &j->timer, io_now(j->io) + wait);
    }
}

static void on_close(struct io_stream *stream, int error)
{
    struct joining *j = io_stream_owner(stream);
    (void)error;
    if (j->leader[0] == 0 && !j->ended && !j->later && !j->told_why) {
        tell(j, "%s:%u has closed the connection%s; trying on", j->host, (unsigned)j->port,
             j->welcomed ? "" : " without a word: is that a node's port for peers?");
    }
    try_next(j, j->leader[0] != 0 ? 0 : DIAL_INTERVAL);
}

static const struct io_stream_callbacks callbacks = { .on_read = on_read,
                                                      .buffer = give_buffer,
                                                      .on_close = on_close };

static void on_connect(void *context, struct io_stream *stream, int error)
{
    struct joining *j = context;
    if (error != 0 && j->ended) {
        j->stream = NULL;
        return;
    }
    if (error != 0) {
        tell(j, "No answer from %s:%u yet (%s); trying on", j->host, (unsigned)j->port,
             strerror(-error));
        try_next(j, DIAL_INTERVAL);
        return;
    }
    j->stream = stream;
    j->met_at = io_now(j->io);
    j->in_n = 0;
    j->proven = j->welcomed = j->told_why = false;
    io_stream_open(stream, &callbacks, j);
    find_own_place(j);
    struct greeting g = { .version = WIRE_VERSION,
                          .oldest = WIRE_VERSION_OLDEST,
                          .from = j->looking ? j->identity->node_id : j->config->node_id };
    memcpy(g.cluster, j->identity->cluster, 16); /* zero in an empty directory */
    memcpy(g.uuid, j->identity->uuid, 16);
    io_random(j->io, g.nonce, NONCE_BYTES);
    hello_write(j->hello, &g);
    send_frame(j, FRAME_HELLO, j->hello, HELLO_BYTES);
}

/* Whether that is where this node itself will listen: lists are often the same on all nodes. */
static bool is_myself(const struct config *config, const char *host, uint16_t port)
{
    char own[64] = "127.0.0.1";
    config_own_address(config, own);
    uint16_t own_port =
        config->peer_port != 0 ? config->peer_port : (uint16_t)(config->port + 10000);
    return port == own_port && strcmp(host, own) == 0;
}

/* The next of the addresses into host and port; false when all are this node's own. */
static bool next_target(struct joining *j)
{
    uint32_t n = target_count(j);
    for (uint32_t i = 0; i < n; i++) {
        uint16_t clients;
        bool valid;
        (void)config_join_target(j->config->join, j->next % n, j->host, &j->port, &clients, &valid);
        qr_assert(valid); /* config_check */
        j->next = j->next % n + 1;
        j->tried++;
        if (!is_myself(j->config, j->host, j->port)) {
            return true;
        }
    }
    return false;
}

static void dial(struct joining *j)
{
    if (j->leader[0] != 0) {
        memcpy(j->host, j->leader, sizeof j->host);
        j->port = j->leader_port;
        j->leader[0] = 0;
    } else if (!next_target(j) && j->looking) {
        end(j, true);
        return;
    } else if (is_myself(j->config, j->host, j->port)) {
        fail(j,
             "--join names nobody but this node itself, %s:%u: name nodes of the cluster that it "
             "is to join",
             j->host, (unsigned)j->port);
        return;
    }
    if (!j->looking) {
        tell(j, "Asking %s:%u to take this node in", j->host, (unsigned)j->port);
    }
    io_timer_start(j->io, &j->timer, io_now(j->io) + ANSWER_TIMEOUT);
    int error = io_connect(j->io, j->host, j->port, on_connect, j, &j->stream);
    if (error != 0) {
        fail(j, "%s:%u cannot be reached: %s (the address must be numeric)", j->host,
             (unsigned)j->port, strerror(-error));
    }
}

static bool went_round(const struct joining *j)
{
    return j->tried >= target_count(j);
}

static void on_timer(struct io_timer *timer)
{
    struct joining *j = timer->context;
    if (j->ended) {
        io_stop(j->io); /* see join_cluster */
    } else if (j->stream != NULL && j->later && io_now(j->io) < j->met_at + STAY_TIME) {
        j->later = false;
        ask(j);
    } else if (j->stream != NULL && !j->welcomed) {
        tell(j,
             "%s:%u takes connections and says nothing: a node that hangs, or no node's port for "
             "peers; trying on",
             j->host, (unsigned)j->port);
        j->told_why = true;
        hang_up(j);
    } else if (j->stream != NULL) {
        hang_up(j); /* too slow, or cut off from its cluster: the next one */
    } else if (j->looking && went_round(j)) {
        end(j, true); /* nobody can say */
    } else {
        dial(j);
    }
}

static void turn(void *context)
{
    (void)context;
}

bool join_cluster(struct io *io, const struct config *config, struct identity *identity,
                  const struct logger *logger, char *message, size_t cap)
{
    struct joining *j = qr_zalloc(sizeof *j);
    *j = (struct joining){ .io = io,
                           .config = config,
                           .identity = identity,
                           .logger = *logger,
                           .looking = identity->node_id != 0,
                           .message = message,
                           .cap = cap };
    int error = j->looking ? 0 : identity_join_uuid(io, identity);
    if (error != 0) {
        (void)snprintf(message, cap, "%s cannot be written: %s", identity->dir, strerror(-error));
        free(j);
        return false;
    }
    j->request = (struct join_request){ .observer = config->observer, .id = config->node_id };
    memcpy(j->request.uuid, identity->uuid, 16);
    j->timer.fire = on_timer;
    j->timer.context = j;
    io_timer_start(io, &j->timer, 0);
    io_run(io, turn, j);
    bool taken = j->taken;
    hang_up(j);
    while (j->stream != NULL) { /* its last callback needs its owner */
        io_timer_start(io, &j->timer, io_now(io) + QR_MILLISECOND);
        io_run(io, turn, j);
    }
    io_timer_free(&j->timer);
    free(j);
    return taken;
}
