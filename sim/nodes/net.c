/* The network: connections as kernels keep them for processes, and links that can be cut.
 *
 * A connection has two pipes, each a queue of chunks in order. What arrives where a link is cut or
 * a host without power waits, as kernels send again and again, until that has changed; a host that
 * knows nothing of the connection answers with a reset. Each pipe has so much room; that bytes were
 * read is news that takes the way back. */
#include "sim/nodes/realm.h"

#include <errno.h>

#define CONNECT_TRIES 6u /* 1, 2, 4 … seconds apart, as kernels do */
#define SPREAD_USEC 2000 /* what waited for a link comes within so long after it is back */

static void arrive(struct realm *realm, void *what, uint64_t side);
static void room(struct realm *realm, void *what, uint64_t side);
static void ask(struct realm *realm, void *what, uint64_t unused);

static void drop(struct connection *c)
{
    if (--c->refs == 0) {
        struct realm *realm = c->realm;
        if (c->previous != NULL) {
            c->previous->next = c->next;
        } else {
            realm->connections = c->next;
        }
        if (c->next != NULL) {
            c->next->previous = c->previous;
        }
        chunks_free(&c->pipe[0].under_way);
        chunks_free(&c->pipe[1].under_way);
        free(c);
    }
}

static void later(struct connection *c, qr_time at,
                  void (*fire)(struct realm *realm, void *what, uint64_t number), uint64_t number)
{
    c->refs++;
    realm_at(c->realm, at, fire, c, number);
}

static qr_time now_of(const struct realm *realm)
{
    const struct process *p = process_running();
    return p != NULL ? process_time(p) : realm->now;
}

static struct link *link_of(const struct connection *c, int side)
{
    return &c->realm->link[c->host[side]->number][c->host[1 - side]->number];
}

static qr_time delay(const struct connection *c, int side)
{
    struct realm *realm = c->realm;
    const struct realm_pace *pace = &realm->pace;
    realm->felt[FAULT_far] += (uint64_t)link_of(c, side)->further;
    return pace->latency + (qr_time)rng_below(&realm->rng, (uint64_t)pace->jitter + 1) +
           link_of(c, side)->further;
}

/* When n bytes have left that side. */
static qr_time sent_at(const struct connection *c, int side, size_t n)
{
    struct link *link = link_of(c, side);
    qr_time now = now_of(c->realm);
    if (link->bytes_per_ms == 0) {
        return now + (qr_time)(n / c->realm->pace.bytes_per_usec);
    }
    qr_time from = link->busy_until > now ? link->busy_until : now;
    link->busy_until = from + (qr_time)(n * 1000 / link->bytes_per_ms);
    c->realm->felt[FAULT_narrow] += (uint64_t)(link->busy_until - now);
    return link->busy_until;
}

/* From side i to the other. */
static bool gets_through(const struct connection *c, int side)
{
    const struct host *from = c->host[side];
    const struct host *to = c->host[1 - side];
    return to->up && (from == to || c->realm->link[from->number][to->number].cut == NULL);
}

/* That something of it was to get through, and could not. */
static bool is_held(const struct connection *c, int side)
{
    uint64_t *felt = link_of(c, side)->cut;
    bool held = !gets_through(c, side);
    if (held && felt != NULL) {
        *felt += 1;
    }
    c->realm->felt[FELT_power_silent] += held && felt == NULL && !c->host[1 - side]->up;
    return held;
}

void chunks_free(struct chunks *chunks)
{
    while (chunks->first != NULL) {
        struct chunk *chunk = chunks->first;
        chunks->first = chunk->next;
        free(chunk);
    }
    *chunks = (struct chunks){ .first = NULL };
}

/* --- Bytes ---------------------------------------------------------------------------------- */

static void expect(struct connection *c, int side, qr_time at)
{
    at = at > c->realm->now ? at : c->realm->now;
    c->pipe[side].arriving = true;
    c->pipe[side].due = at;
    later(c, at, arrive, (uint64_t)side);
}

static void push(struct connection *c, int side, int kind, const void *p, size_t n)
{
    struct pipe *pipe = &c->pipe[side];
    struct process *before = memory_for(NULL);
    struct chunk *chunk = qr_alloc(sizeof *chunk + n);
    (void)memory_for(before);
    qr_time at = sent_at(c, side, n) + delay(c, side);
    pipe->last_at = at > pipe->last_at ? at : pipe->last_at;
    chunk->next = NULL;
    chunk->at = pipe->last_at;
    chunk->kind = (unsigned)kind;
    chunk->n = n;
    chunk->taken = 0;
    if (n > 0) {
        memcpy(chunk->bytes, p, n);
    }
    if (pipe->under_way.last != NULL) {
        pipe->under_way.last->next = chunk;
    } else {
        pipe->under_way.first = chunk;
    }
    pipe->under_way.last = chunk;
    if (!pipe->arriving && !pipe->stuck) {
        expect(c, side, chunk->at);
    }
}

size_t net_send(struct connection *c, int side, const void *p, size_t n)
{
    struct pipe *pipe = &c->pipe[side];
    n = min_u64(n, SEND_BYTES - min_u64(pipe->held, SEND_BYTES));
    if (n > 0) {
        pipe->held += n;
        push(c, side, CHUNK_BYTES, p, n);
    }
    return n;
}

void net_send_end(struct connection *c, int side)
{
    push(c, side, CHUNK_END, NULL, 0);
}

/* Nothing of what was sent is acknowledged: the sender's own kernel ends the connection. */
static void give_up(struct realm *realm, void *what, uint64_t number)
{
    struct connection *c = what;
    const struct pipe *pipe = &c->pipe[number];
    if (pipe->stuck && realm->now - pipe->stuck_since >= pipe->unheard_max &&
        c->end[number] != NULL) {
        struct chunk *chunk = qr_zalloc(sizeof *chunk);
        chunk->kind = CHUNK_RESET;
        stream_arrives(c->end[number], chunk);
    }
    drop(c);
}

static void arrive(struct realm *realm, void *what, uint64_t number)
{
    struct connection *c = what;
    int side = (int)number;
    struct pipe *pipe = &c->pipe[side];
    struct chunk *chunk = pipe->under_way.first;
    if (!pipe->arriving || realm->now != pipe->due) {
        drop(c);
        return;
    }
    pipe->arriving = false;
    if (is_held(c, side)) {
        pipe->stuck = true;
        pipe->stuck_since = realm->now;
        if (pipe->unheard_max > 0) {
            later(c, realm->now + pipe->unheard_max, give_up, number);
        }
        drop(c);
        return;
    }
    pipe->under_way.first = chunk->next;
    pipe->under_way.last = chunk->next == NULL ? NULL : pipe->under_way.last;
    chunk->next = NULL;
    realm_mix(realm, chunk->n << 8 | chunk->kind);
    struct io_stream *to = c->end[1 - side];
    if (to != NULL) {
        stream_arrives(to, chunk);
    } else {
        if (chunk->kind == CHUNK_BYTES && c->end[side] != NULL) {
            push(c, 1 - side, CHUNK_RESET, NULL, 0);
        }
        free(chunk);
    }
    if (pipe->under_way.first != NULL) {
        expect(c, side, pipe->under_way.first->at);
    }
    drop(c);
}

void net_has_read(struct connection *c, int side, size_t n)
{
    struct pipe *pipe = &c->pipe[1 - side];
    if (pipe->read == 0) {
        later(c, now_of(c->realm) + delay(c, side), room, (uint64_t)(1 - side));
    }
    pipe->read += n;
}

/* The news that the other side has read has come to `side`. */
static void room(struct realm *realm, void *what, uint64_t number)
{
    (void)realm;
    struct connection *c = what;
    int side = (int)number;
    struct pipe *pipe = &c->pipe[side];
    if (is_held(c, 1 - side)) {
        pipe->read_stuck = true;
    } else {
        qr_assert(pipe->held >= pipe->read);
        pipe->held -= pipe->read;
        pipe->read = 0;
        pipe->read_stuck = false;
        if (c->end[side] != NULL) {
            stream_has_room(c->end[side]);
        }
    }
    drop(c);
}

/* --- Beginning and end ---------------------------------------------------------------------- */

struct connection *net_connect(struct io_stream *stream, struct host *from, struct host *to,
                               uint16_t port)
{
    struct realm *realm = from->realm;
    struct process *before = memory_for(NULL);
    struct connection *c = qr_zalloc(sizeof *c);
    (void)memory_for(before);
    c->realm = realm;
    c->refs = 1;
    c->host[0] = from;
    c->host[1] = to;
    c->port[0] = from->next_port++;
    from->next_port = from->next_port < 40000 ? 40000 : from->next_port;
    c->port[1] = port;
    c->end[0] = stream;
    c->next = realm->connections;
    if (c->next != NULL) {
        c->next->previous = c;
    }
    realm->connections = c;
    later(c, now_of(realm) + delay(c, 0), ask, 0);
    return c;
}

static void answer(struct realm *realm, void *what, uint64_t refused)
{
    struct connection *c = what;
    if (is_held(c, 1)) {
        later(c, realm->now + QR_SECOND, answer, refused);
    } else if (c->end[0] != NULL) {
        stream_connected(c->end[0], refused != 0 ? -ECONNREFUSED : 0);
    } else if (refused == 0) {
        push(c, 0, CHUNK_RESET, NULL, 0);
    }
    drop(c);
}

static void ask(struct realm *realm, void *what, uint64_t unused)
{
    (void)unused;
    struct connection *c = what;
    if (c->end[0] == NULL) {
        drop(c); /* nobody wants it any more */
        return;
    }
    if (is_held(c, 0)) {
        if (c->tries++ < CONNECT_TRIES) {
            later(c, realm->now + (QR_SECOND << c->tries) / 2, ask, 0);
        } else {
            stream_connected(c->end[0], -ETIMEDOUT);
        }
        drop(c);
        return;
    }
    c->end[1] = listener_offer(c->host[1], c->port[1], c);
    if (c->end[1] != NULL) {
        c->refs++;
    }
    c->pipe[1].last_at = realm->now + delay(c, 1); /* nothing overtakes it */
    later(c, c->pipe[1].last_at, answer, c->end[1] == NULL);
    drop(c);
}

void net_close(struct connection *c, int side, bool reset, bool silent)
{
    qr_assert(c->end[side] != NULL);
    c->end[side] = NULL;
    if (silent) {
        chunks_free(&c->pipe[side].under_way);
        c->pipe[side].stuck = false;
        if (c->pipe[side].arriving) { /* its event finds this: nothing is told to anybody */
            push(c, side, CHUNK_BYTES, NULL, 0);
        }
    } else if (c->end[1 - side] != NULL) {
        push(c, side, reset ? CHUNK_RESET : CHUNK_END, NULL, 0);
    }
    drop(c);
}

/* --- Links ---------------------------------------------------------------------------------- */

void net_look_again(struct realm *realm)
{
    for (struct connection *c = realm->connections; c != NULL; c = c->next) {
        for (int side = 0; side < 2; side++) {
            struct pipe *pipe = &c->pipe[side];
            qr_time soon =
                realm->now + delay(c, side) + (qr_time)rng_below(&realm->rng, SPREAD_USEC);
            if (pipe->stuck && gets_through(c, side) && pipe->under_way.first != NULL) {
                pipe->stuck = false;
                expect(c, side, soon);
            }
            if (pipe->read_stuck && gets_through(c, 1 - side)) {
                later(c, soon, room, (uint64_t)side);
                pipe->read_stuck = false;
            }
        }
    }
}

void net_cut(struct realm *realm, const struct host *from, const struct host *to, uint64_t *felt)
{
    realm->link[from->number][to->number].cut = felt;
    if (felt == NULL) {
        net_look_again(realm);
    }
}

/* What is on its way is not kept longer than if it had been sent now. */
static void hasten(struct connection *c, int side)
{
    struct pipe *pipe = &c->pipe[side];
    qr_time soon = c->realm->now + delay(c, side);
    for (struct chunk *chunk = pipe->under_way.first; chunk != NULL; chunk = chunk->next) {
        chunk->at = chunk->at < soon ? chunk->at : soon;
    }
    pipe->last_at = pipe->last_at < soon ? pipe->last_at : soon;
    if (pipe->arriving && pipe->due > soon) {
        expect(c, side, soon);
    }
}

static void hasten_all(struct realm *realm, const struct host *from, const struct host *to)
{
    for (struct connection *c = realm->connections; c != NULL; c = c->next) {
        for (int side = 0; side < 2; side++) {
            if (from == NULL || (c->host[side] == from && c->host[1 - side] == to)) {
                hasten(c, side);
            }
        }
    }
}

void net_narrow(struct realm *realm, const struct host *from, const struct host *to,
                uint32_t bytes_per_ms, qr_time further)
{
    struct link *link = &realm->link[from->number][to->number];
    link->bytes_per_ms = bytes_per_ms;
    link->further = further;
    link->busy_until = 0;
    if (bytes_per_ms == 0 && further == 0) {
        hasten_all(realm, from, to);
    }
}

void net_mend(struct realm *realm)
{
    memset(realm->link, 0, sizeof realm->link);
    hasten_all(realm, NULL, NULL);
}

static uint64_t bytes_of(const struct chunk *chunk)
{
    uint64_t n = 0;
    for (; chunk != NULL; chunk = chunk->next) {
        n += chunk->n;
    }
    return n;
}

/* What is on its way comes to a half, and then the end. */
static void reset_pipe(struct connection *c, int side)
{
    struct chunks *under_way = &c->pipe[side].under_way;
    struct chunk *first = under_way->first;
    uint64_t lost = 0;
    if (first != NULL) {
        struct chunks rest = { .first = first->next };
        uint64_t n = bytes_of(first);
        chunks_free(&rest);
        first->next = NULL;
        c->realm->felt[FELT_reset_behind] += n - bytes_of(first);
        uint64_t whole = first->n;
        first->n = first->kind == CHUNK_BYTES ? rng_below(&c->realm->rng, first->n + 1) : first->n;
        lost = n - bytes_of(first);
        c->realm->felt[FELT_reset_half] += first->n > 0 && first->n < whole;
        under_way->last = first;
    }
    push(c, side, CHUNK_RESET, NULL, 0);
    c->realm->felt[FAULT_reset] += under_way->last->kind == CHUNK_RESET ? lost : 0;
}

uint32_t net_reset(struct realm *realm, const struct host *host, uint32_t of)
{
    uint32_t n = 0;
    for (struct connection *c = realm->connections; c != NULL; c = c->next) {
        if ((c->host[0] == host || c->host[1] == host) && c->end[0] != NULL &&
            c->end[1] != NULL && rng_below(&realm->rng, of) == 0) {
            reset_pipe(c, 0);
            reset_pipe(c, 1);
            n++;
        }
    }
    return n;
}
