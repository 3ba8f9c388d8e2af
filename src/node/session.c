#include "node/session.h"

#include "node/node.h"

#include "resp/reply.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

/* --- Strands and tokens --------------------------------------------------------------------- */

static void sum_strand(const struct strand *s, struct token *out)
{
    if (s->unsure) {
        out->open = true; /* and what is listed would be taken for all (N1) */
    } else {
        token_note(out, s->group, s->seen);
    }
}

void session_sum(const struct strands *strands, struct token *out)
{
    *out = (struct token){ .open = strands->unsure };
    sum_strand(&strands->first, out);
    for (uint32_t i = 0; strands->table != NULL && i < STRAND_PLACES; i++) {
        for (const struct strand *s = strands->table[i]; s != NULL; s = s->next) {
            sum_strand(s, out);
        }
    }
}

void session_describe(const struct strands *strands, char *out, size_t cap)
{
    struct token token;
    struct text text = text_in(out, cap);
    session_sum(strands, &token);
    text_u64(&text, token.count);
    text_put(&text, token.open ? "+" : "");
}

bool session_was_elsewhere(const struct strands *strands, const struct token *token)
{
    bool came = token != NULL &&
                (token->open || (token->count > 0 && token->places[token->count - 1].group != 0));
    return came || strands->unsure || strands->count > 0 || strands->first.group != 0;
}

static void doubt_unless_listed(struct strand *s, const struct token *token)
{
    qr_slot slot;
    s->unsure = s->unsure || !token_find(token, s->group, &slot);
}

/* An open token may know more of whatever it does not list. */
static void doubt(struct strands *strands, const struct token *token)
{
    doubt_unless_listed(&strands->first, token);
    for (uint32_t i = 0; strands->table != NULL && i < STRAND_PLACES; i++) {
        for (struct strand *s = strands->table[i]; s != NULL; s = s->next) {
            doubt_unless_listed(s, token);
        }
    }
}

void session_use(struct strands *strands, const struct map *map, const struct token *token)
{
    if (token->open) {
        doubt(strands, token);
    }
    for (uint32_t i = 0; i < token->count; i++) {
        strands_note_seen(strands, map, token->places[i].group, token->places[i].slot);
    }
    strands->unsure = strands->unsure || token->open; /* those made from now on */
}

static void forget(struct strand *s)
{
    s->seen = s->told = 0;
    s->unsure = false;
    s->wrote_at = 0;
}

void session_forget(struct strands *strands)
{
    forget(&strands->first);
    for (uint32_t i = 0; strands->table != NULL && i < STRAND_PLACES; i++) {
        for (struct strand *s = strands->table[i]; s != NULL; s = s->next) {
            forget(s);
        }
    }
    strands->unsure = false;
}

/* --- Text ----------------------------------------------------------------------------------- */

struct sealer {
    struct token_sealer token; /* first: seal() is handed this */
    const struct node *node;
};

static void seal(const struct token_sealer *sealer, struct span said, uint8_t out[TOKEN_SEAL_BYTES])
{
    static const char purpose[16] = "session token 1";
    const struct node *node = ((const struct sealer *)sealer)->node;
    const char *secret = node->config.cluster_secret;
    uint8_t text[sizeof purpose + sizeof node->identity.cluster + TOKEN_TEXT_MAX];
    uint8_t digest[EVP_MAX_MD_SIZE];
    size_t n = 0;
    memcpy(text, purpose, sizeof purpose);
    n += sizeof purpose;
    memcpy(text + n, node->identity.cluster, sizeof node->identity.cluster);
    n += sizeof node->identity.cluster;
    qr_assert(said.n <= sizeof text - n);
    memcpy(text + n, said.p, said.n);
    const uint8_t *made =
        HMAC(EVP_sha256(), secret, (int)strlen(secret), text, n + said.n, digest, NULL);
    qr_assert(made != NULL);
    memcpy(out, digest, TOKEN_SEAL_BYTES);
}

static struct sealer sealer_of(const struct node *node)
{
    struct sealer sealer = { .token = { .seal = seal }, .node = node };
    memcpy(sealer.token.cluster, node->identity.cluster, TOKEN_CLUSTER_BYTES);
    return sealer;
}

size_t session_write(const struct node *node, const struct token *token, char out[TOKEN_TEXT_MAX])
{
    struct sealer sealer = sealer_of(node);
    return token_write(token, &sealer.token, out);
}

enum token_status session_read(const struct node *node, struct span text, struct token *out)
{
    struct sealer sealer = sealer_of(node);
    return token_read(text, &sealer.token, out);
}

void session_put(const struct pending *p, struct reply *reply)
{
    struct token token = { 0 };
    char text[TOKEN_TEXT_MAX];
    reply_bulk_text(reply, "session");
    if (p->partition == NULL || p->shown.slot == 0) {
        reply_null(reply); /* of several partitions, or of an older version: the connection's token
                              knows (SESSION TOKEN) */
        return;
    }
    if (p->token != NULL) {
        memcpy(&token, p->token, p->token_bytes);
    }
    qr_slot known = 0;
    (void)token_find(&token, p->partition->group, &known);
    if (!strand_join(p->node->map, p->partition->group, &known, p->shown.slot)) {
        reply_null(reply);
        return;
    }
    token_note(&token, p->partition->group, known);
    reply_bulk(reply, span_of(text, session_write(p->node, &token, text)));
}
