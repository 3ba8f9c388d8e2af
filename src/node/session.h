/* Sessions: what a connection has seen and made of each partition, and the tokens that carry it to
 * other connections, nodes and services (features D5, cluster/token.h).
 *
 * Nothing is kept beside the strands of a client's stream: `seen` is the newest slot of a group
 * that it was shown or has made, at any level, here or elsewhere.
 *
 * N1 `seen` of a strand that is not `unsure` covers all that the session knows of the group. One
 *    that is may have seen more (an answer without a slot, a strand that had to go, an open token):
 *    only a proven read may follow, and after it the strand is sure again.
 * N2 A read at level session shows N1's slot of its strand and of the token that came with it, and
 *    comes behind everything of its strand that has no answer yet: its client sees the replies in
 *    their order. */
#ifndef NODE_SESSION_H
#define NODE_SESSION_H

#include "cluster/token.h"
#include "node/strand.h"

struct client;
struct node;
struct pending;
struct reply;

/* What the strands know. */
void session_sum(const struct strands *strands, struct token *out);
/* They know what the token says too. */
void session_use(struct strands *strands, const struct map *map, const struct token *token);
/* It knows other partitions than that of group 0, here or by the token that came (NULL: none did);
 * what is open may know any. */
bool session_was_elsewhere(const struct strands *strands, const struct token *token);
/* "17": that many partitions; "17+": and what it does not know. */
void session_describe(const struct strands *strands, char *out, size_t cap);
/* META: a token of what p's session knows now, behind its name. */
void session_put(const struct pending *p, struct reply *reply);
/* What it is pinned by, as SESSION SHOW and CLIENT LIST tell it; "": nothing. */
#define PIN_SHOWN_BYTES 17u
void session_pin_text(const struct client *client, char out[PIN_SHOWN_BYTES]);
/* They know nothing. */
void session_forget(struct strands *strands);

/* A token as text without a terminator; returns its length. */
size_t session_write(const struct node *node, const struct token *token, char out[TOKEN_TEXT_MAX]);
enum token_status session_read(const struct node *node, struct span text, struct token *out);

#endif
