#include "node/subscribe.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "engine/call.h"
#include "node/clients_internal.h"
#include "node/local_internal.h"

#include <stdlib.h>
#include <string.h>

/* One channel, or pattern, of one client. */
struct subscription {
    bool pattern;
    uint16_t n;
    uint8_t name[SUBSCRIPTION_BYTES_MAX];
};

struct subscriptions {
    uint32_t count, patterns; /* of all of them, and those of patterns */
    struct subscription v[SUBSCRIPTIONS_MAX];
};

static uint32_t count(const struct client *client)
{
    return client->subscriptions != NULL ? client->subscriptions->count : 0;
}

uint32_t subscribe_patterns(const struct client *client)
{
    return client->subscriptions != NULL ? client->subscriptions->patterns : 0;
}

uint32_t subscribe_channels(const struct client *client)
{
    return count(client) - subscribe_patterns(client);
}

bool subscribe_allows(const struct client *client, const struct command_spec *spec)
{
    return client->version >= 3 || count(client) == 0 || (spec->flags & CF_PUBSUB) != 0 ||
           strcmp(spec->name, "ping") == 0 || strcmp(spec->name, "quit") == 0 ||
           strcmp(spec->name, "reset") == 0;
}

void subscribe_forget(struct client *client)
{
    client->node->subscribers -= client->subscriptions != NULL ? 1 : 0;
    free(client->subscriptions);
    client->subscriptions = NULL;
}

/* --- Beginning and ending ------------------------------------------------------------------- */

static struct subscription *find(struct client *client, struct span name, bool pattern)
{
    struct subscriptions *s = client->subscriptions;
    for (uint32_t i = 0; s != NULL && i < s->count; i++) {
        if (s->v[i].pattern == pattern && s->v[i].n == name.n &&
            memcmp(s->v[i].name, name.p, name.n) == 0) {
            return &s->v[i];
        }
    }
    return NULL;
}

/* False when it listens to too much already. */
static bool add(struct client *client, struct span name, bool pattern)
{
    if (find(client, name, pattern) != NULL) {
        return true;
    }
    if (name.n > SUBSCRIPTION_BYTES_MAX || count(client) == SUBSCRIPTIONS_MAX) {
        return false;
    }
    if (client->subscriptions == NULL) {
        client->subscriptions = qr_zalloc(sizeof *client->subscriptions);
        client->node->subscribers++;
    }
    struct subscriptions *s = client->subscriptions;
    struct subscription *one = &s->v[s->count++];
    one->pattern = pattern;
    one->n = (uint16_t)name.n;
    memcpy(one->name, name.p, name.n);
    s->patterns += pattern ? 1 : 0;
    return true;
}

static void drop(struct client *client, struct subscription *one)
{
    struct subscriptions *s = client->subscriptions;
    s->patterns -= one->pattern ? 1 : 0;
    *one = s->v[--s->count];
    if (s->count == 0) {
        subscribe_forget(client);
    }
}

static void confirm(const struct client *client, const char *kind, struct span name,
                    struct reply *reply)
{
    reply_push(reply, 3);
    reply_bulk_text(reply, kind);
    if (name.p == NULL) {
        reply_null(reply);
    } else {
        reply_bulk(reply, name);
    }
    reply_integer(reply, count(client));
}

static void subscribe(struct client *client, const struct span *argv, uint32_t argc, bool pattern,
                      struct reply *reply)
{
    for (uint32_t i = 1; i < argc; i++) {
        if (!add(client, argv[i], pattern)) {
            reply_errorf(reply, "ERR at most %u channels and patterns, of at most %u bytes each",
                         SUBSCRIPTIONS_MAX, SUBSCRIPTION_BYTES_MAX);
            return;
        }
        confirm(client, pattern ? "psubscribe" : "subscribe", argv[i], reply);
    }
}

static void unsubscribe_all(struct client *client, bool pattern, struct reply *reply)
{
    const char *kind = pattern ? "punsubscribe" : "unsubscribe";
    struct subscription gone;
    bool any = false;
    for (uint32_t i = count(client); i > 0; i--) {
        struct subscription *one = &client->subscriptions->v[i - 1];
        if (one->pattern == pattern) {
            gone = *one;
            drop(client, one);
            confirm(client, kind, span_of(gone.name, gone.n), reply);
            any = true;
        }
    }
    if (!any) {
        confirm(client, kind, (struct span){ .p = NULL }, reply);
    }
}

static void unsubscribe(struct client *client, const struct span *argv, uint32_t argc, bool pattern,
                        struct reply *reply)
{
    if (argc == 1) {
        unsubscribe_all(client, pattern, reply);
    }
    for (uint32_t i = 1; i < argc; i++) {
        struct subscription *one = find(client, argv[i], pattern);
        if (one != NULL) {
            drop(client, one);
        }
        confirm(client, pattern ? "punsubscribe" : "unsubscribe", argv[i], reply);
    }
}

void local_cmd_SUBSCRIBE(struct client *client, const struct span *argv, uint32_t argc,
                         struct reply *reply)
{
    subscribe(client, argv, argc, false, reply);
}

void local_cmd_PSUBSCRIBE(struct client *client, const struct span *argv, uint32_t argc,
                          struct reply *reply)
{
    subscribe(client, argv, argc, true, reply);
}

void local_cmd_UNSUBSCRIBE(struct client *client, const struct span *argv, uint32_t argc,
                           struct reply *reply)
{
    unsubscribe(client, argv, argc, false, reply);
}

void local_cmd_PUNSUBSCRIBE(struct client *client, const struct span *argv, uint32_t argc,
                            struct reply *reply)
{
    unsubscribe(client, argv, argc, true, reply);
}

/* --- Messages ------------------------------------------------------------------------------- */

static void push(struct client *client, const struct subscription *one, const char *channel,
                 const char *text)
{
    struct reply *out = &client->out;
    out->version = client->version;
    reply_push(out, one->pattern ? 4 : 3);
    reply_bulk_text(out, one->pattern ? "pmessage" : "message");
    if (one->pattern) {
        reply_bulk(out, span_of(one->name, one->n));
    }
    reply_bulk_text(out, channel);
    reply_bulk_text(out, text);
    client_mark_dirty(client);
}

static bool fits(const struct subscription *one, struct span channel)
{
    struct span name = span_of(one->name, one->n);
    return one->pattern ? glob_match(name, channel)
                        : name.n == channel.n && memcmp(name.p, channel.p, name.n) == 0;
}

void subscribe_publish(struct node *node, const char *channel, const char *text)
{
    for (struct client *c = node->subscribers > 0 ? node->clients : NULL; c != NULL; c = c->next) {
        for (uint32_t i = 0; i < count(c) && !c->closing; i++) {
            const struct subscription *one = &c->subscriptions->v[i];
            if (fits(one, span_of(channel, strlen(channel)))) {
                push(c, one, channel, text);
            }
        }
        if (count(c) > 0 && !c->closing && client_unsent(c) > SUBSCRIBER_OUTPUT_BYTES_MAX) {
            client_kill(c);
        }
    }
}
