/* See hop.h. */
#include "sim/nodes/hop.h"

#include "sim/nodes/seat.h"
#include "sim/nodes/want.h"

void hop_draw(struct asker *a)
{
    a->hop.kind = rng_chance(&a->rng, 1, 2)   ? HOP_NEVER
                  : rng_chance(&a->rng, 1, 2) ? HOP_BY_CONNECTION
                                              : HOP_BY_COMMAND;
}

void hop_connected(struct asker *a)
{
    struct hop *h = &a->hop;
    h->selects = a->flushes;
    bool goes_on = h->session != 0 && (h->kind == HOP_BY_COMMAND || h->has_all);
    h->leaves = false;
    h->looks_back = goes_on;
    h->hands_over = goes_on && h->kind == HOP_BY_CONNECTION;
    if (goes_on) {
        a->run->hops++;
        return;
    }
    h->session = ++a->run->sessions;
    h->has_all = false;
    h->token[0] = 0;
}

size_t hop_asks(struct asker *a, char *p, size_t cap)
{
    const struct hop *h = &a->hop;
    char words[TOKEN_MAX + 20];
    if (h->selects) {
        return want_words(p, cap, "SELECT 9");
    }
    if (h->hands_over) {
        (void)snprintf(words, sizeof words, "SESSION USE %s", h->token);
        return want_words(p, cap, words);
    }
    bool wants = h->kind == HOP_BY_CONNECTION && !h->has_all && !a->run->ending;
    return wants && rng_chance(&a->rng, 1, 5) ? want_words(p, cap, "SESSION TOKEN") : 0;
}

static bool take_token(struct hop *h, struct span text)
{
    bool good = text.n > 0 && text.n <= TOKEN_MAX && memchr(text.p, ' ', text.n) == NULL;
    (void)snprintf(h->token, sizeof h->token, "%.*s", good ? (int)text.n : 0, (const char *)text.p);
    return good;
}

const char *hop_answered(struct asker *a, const struct tree *reply)
{
    struct hop *h = &a->hop;
    char type = tree_type(reply, 0);
    struct span text = tree_text(reply, 0);
    if (type == '-') {
        h->leaves = true;
        return text.n > 8 && memcmp(text.p, "BADTOKEN", 8) == 0 ? "a token that was given" : NULL;
    }
    if (h->hands_over || h->selects) {
        h->hands_over = h->selects = false;
        return tree_is(reply, 0, "OK") ? NULL : "a reply of the wrong type";
    }
    h->has_all = type == '$' && take_token(h, text);
    return type == '$' ? NULL : "a reply of the wrong type";
}

unsigned hop_options(const struct asker *a, char *p, size_t cap)
{
    const struct hop *h = &a->hop;
    p[0] = 0;
    if (h->kind != HOP_BY_COMMAND) {
        return 0;
    }
    bool first = h->token[0] == 0;
    (void)snprintf(p, cap, "META %s%s%s", first ? "" : "SESSION ", h->token, first ? "" : " ");
    return first ? 1 : 3;
}

bool hop_demands(const struct asker *a)
{
    return a->hop.kind == HOP_BY_COMMAND && a->hop.token[0] != 0;
}

uint32_t hop_told(struct asker *a, const struct tree *reply)
{
    struct hop *h = &a->hop;
    if (h->kind != HOP_BY_COMMAND) {
        h->has_all = false;
        return 0;
    }
    uint32_t token = tree_field(reply, tree_element(reply, 0, 1), "session");
    bool none =
        tree_type(reply, token) == '$' && reply->items[token].null; /* of several partitions */
    bool good = tree_length(reply, 0) == 2 && (none || take_token(h, tree_text(reply, token)));
    return good ? tree_element(reply, 0, 0) : UINT32_MAX;
}

void hop_lost(struct asker *a)
{
    a->hop.session = 0;
    a->hop.leaves = true;
}

bool hop_leaves(struct asker *a)
{
    const struct hop *h = &a->hop;
    bool may = h->kind == HOP_BY_COMMAND || (h->has_all && !h->hands_over);
    return h->leaves || rng_chance(&a->rng, 1, may ? 6 : 50);
}
