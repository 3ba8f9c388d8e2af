/* Session tokens: what a session has read and written, as a piece of text that its client carries
 * from one connection, node or service to another (features D5).
 *
 * It says, by partition, up to which slot of its log the session knows it: whatever the session is
 * shown later must show that slot. Slots and groups outlive failover, restarts and moves, so tokens
 * do. A partition that is not listed was not touched; but a token of limited size cannot list any
 * number of them. Then it is *open*: of what is not listed anything may have been seen, and only a
 * leader that knows that it leads can show it all. So a token never promises less than is true.
 *
 *   version u8, cluster 8 bytes, flags u8, count varint,
 *   count times: group (delta to the one before, minus 1) and slot, both varint,
 *   seal TOKEN_SEAL_BYTES, over all before it
 *
 * in base64url without padding. There is one way to write a token: what is read back is the same
 * text. Version and cluster stay where they are in versions to come.
 *
 * The seal is computed by the caller, with what only the cluster knows: a position that was made up
 * would make reads wait for what never comes. It keeps nothing secret. */
#ifndef CLUSTER_TOKEN_H
#define CLUSTER_TOKEN_H

#include "base/types.h"

#define TOKEN_PLACES_MAX 256u /* of a token that a node makes; one with more of them is open */
#define TOKEN_TEXT_MAX 4096u
#define TOKEN_SEAL_BYTES 12u
#define TOKEN_CLUSTER_BYTES 8u

struct token_place {
    uint32_t group;
    qr_slot slot; /* never 0 */
};

/* Zeroed: a session that knows nothing. */
struct token {
    bool open;
    uint32_t count;
    struct token_place places[TOKEN_PLACES_MAX]; /* in order of group */
};

/* The session knows all that the group had committed up to that slot, and nothing later; it forgets
 * what it knew of it before, if that is less. */
void token_note(struct token *token, uint32_t group, qr_slot slot);

/* What both sessions know becomes what one knows. */
void token_merge(struct token *token, const struct token *other);

/* Up to which slot it knows the group, 0: not at all. False: nobody can tell, the token is open. */
bool token_find(const struct token *token, uint32_t group, qr_slot *slot);

/* Who makes and takes tokens: the first bytes of the cluster's id, and how it seals them. */
struct token_sealer {
    uint8_t cluster[TOKEN_CLUSTER_BYTES];
    void (*seal)(const struct token_sealer *sealer, struct span said,
                 uint8_t out[TOKEN_SEAL_BYTES]);
};

/* Writes the token as text without a terminator; returns its length. Places that have no room make
 * it open. */
size_t token_write(const struct token *token, const struct token_sealer *sealer,
                   char out[TOKEN_TEXT_MAX]);

enum token_status {
    TOKEN_OK,
    TOKEN_MALFORMED, /* no token, or a part of one */
    TOKEN_FORGED,    /* its seal is not this cluster's */
    TOKEN_FOREIGN,   /* of another cluster */
    TOKEN_NEWER,     /* made by a version to come */
};

/* Anything but OK leaves *out as it was. */
enum token_status token_read(struct span text, const struct token_sealer *sealer,
                             struct token *out);

/* What is wrong, as an error whose end says what became of the command. */
const char *token_refusal(enum token_status status);

#endif
