/* With --cluster: sessions, each with a connection to every server. An operation goes to whoever
 * has its slot, and waits in the session while nobody has, or while that connection has no room;
 * whatever else the session has under way goes on. */
#include "bench/bench_internal.h"

#include "cluster/slots.h"

#include <string.h>

#define TURNS_MAX 16 /* what clients of Redis Cluster bear, too */

static struct flight *queued(const struct bench *b, struct session *s)
{
    return &s->queue[s->first & b->ring_mask];
}

static void enqueue(struct bench *b, struct session *s, const struct flight *f)
{
    s->queue[(s->first + s->queued++) & b->ring_mask] = *f;
    s->in_flight++;
    b->in_flight++;
}

/* The connection that the operation goes to, if it can go now. */
static struct client *connection_of(struct bench *b, uint32_t session, const struct flight *f)
{
    uint32_t endpoint = f->asked != 0 ? f->asked - 1u : routes_of(b, f->slot);
    if (endpoint == BENCH_ENDPOINTS_MAX) {
        routes_doubt(b);
        return NULL;
    }
    struct client *c = &b->clients[endpoint * b->session_count + session];
    if (c->state == CLIENT_ABSENT && c->wake == 0) {
        client_dial(b, c);
    }
    return client_may_send(b, c) ? c : NULL;
}

/* Sends the first of those that wait; false when it has to wait on. */
static bool send_first(struct bench *b, uint32_t session)
{
    struct session *s = &b->sessions[session];
    struct client *c = connection_of(b, session, queued(b, s));
    if (c == NULL) {
        return false;
    }
    struct flight f = *queued(b, s);
    s->first++;
    s->queued--;
    s->in_flight--; /* client_put counts it */
    b->in_flight--;
    if (f.asked != 0) {
        client_put_asking(b, c);
        f.asked = 0;
    }
    client_put(b, c, &f);
    client_mark(b, c);
    return true;
}

bool session_may_take(const struct bench *b, uint32_t session)
{
    const struct session *s = &b->sessions[session];
    return s->queued == 0 && s->in_flight < request_depth(b);
}

bool session_take(struct bench *b, uint32_t session)
{
    struct flight f;
    char key[KEY_TEXT_BYTES];
    if (!source_next(b, &f)) {
        return false;
    }
    bench_key_text(b, f.key, key);
    f.slot = slot_of_key(span_of(key, b->key_bytes));
    enqueue(b, &b->sessions[session], &f);
    (void)send_first(b, session);
    return true;
}

static void advance(struct bench *b, uint32_t session)
{
    bool own = b->options.rate == 0 || b->phase == PHASE_FILL;
    while (b->sessions[session].queued > 0 && !b->failed && send_first(b, session)) {
    }
    while (own && !b->failed && session_may_take(b, session) && session_take(b, session)) {
    }
}

/* A single request is sent at once; of several those that go the same way go together, at the end
 * of the turn. */
void session_send(struct bench *b, uint32_t session)
{
    advance(b, session);
    if (b->options.pipeline == 1) {
        for (uint32_t i = 0; i < b->dirty_n; i++) {
            struct client *c = &b->clients[b->dirty[i]];
            c->dirty = false;
            (void)client_push(b, c);
        }
        b->dirty_n = 0;
    }
}

static bool begins(struct span *text, const char *word)
{
    size_t n = strlen(word);
    if (text->n < n || memcmp(text->p, word, n) != 0) {
        return false;
    }
    *text = span_of(text->p + n, text->n - n);
    return true;
}

bool session_redirected(struct bench *b, struct client *c, struct span text)
{
    bool moved = begins(&text, "MOVED ");
    if (!moved && !begins(&text, "ASK ")) {
        return false;
    }
    uint32_t endpoint = routes_told(b, text, c->address, moved);
    if (endpoint == BENCH_ENDPOINTS_MAX || c->ring[c->first & b->ring_mask].turns == TURNS_MAX) {
        return false; /* an error like another */
    }
    struct flight f = client_pop(b, c);
    f.turns++;
    f.asked = moved ? 0 : (uint8_t)(endpoint + 1);
    b->tally.redirected++;
    if (moved) {
        routes_doubt(b);
    }
    enqueue(b, &b->sessions[c->number % b->session_count], &f);
    return true;
}

void session_dial_all(struct bench *b)
{
    for (uint32_t i = 0; i < b->client_count && !b->failed; i++) {
        struct client *c = &b->clients[i];
        if (b->endpoints[c->address].serves && c->state == CLIENT_ABSENT && c->wake == 0) {
            client_dial(b, c);
        }
    }
}

void session_give_up(struct bench *b)
{
    for (uint32_t i = 0; i < b->session_count; i++) {
        struct session *s = &b->sessions[i];
        for (; s->queued > 0; s->queued--, s->first++) {
            s->in_flight--;
            b->in_flight--;
            source_void(b, &b->clients[i], queued(b, s));
        }
    }
}
