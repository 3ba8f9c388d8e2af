/* The first frames of a peer connection: HELLO, WELCOME, PROOF (peers.h).
 *
 * HELLO names the dialer and whom it wants; WELCOME and PROOF carry an HMAC-SHA-256 under the
 * cluster secret over everything said so far, both nonces included, so that neither can be
 * replayed and neither side need trust an address.
 *
 * From wire version 3 on WELCOME and PROOF also carry a claim, under the same HMAC: which index its
 * sender has in the group, since which entry of the log it knows, and where it is. A HELLO to node
 * 0 is for whoever is there: its sender wants to join. */
#ifndef NODE_HANDSHAKE_H
#define NODE_HANDSHAKE_H

#include "base/types.h"

#define NONCE_BYTES 16
#define PROOF_BYTES 32
#define HELLO_BYTES 61
#define CLAIM_BYTES_MAX 77u
#define CLAIM_VERSION 3 /* of the wire: the other side understands them */
#define WELCOME_BYTES_MAX (60 + CLAIM_BYTES_MAX + PROOF_BYTES)
#define PROOF_BYTES_MAX (PROOF_BYTES + CLAIM_BYTES_MAX)

struct greeting {
    uint16_t version, oldest;
    uint8_t cluster[16];
    uint32_t from, to; /* node ids */
    uint8_t uuid[16];
    uint8_t nonce[NONCE_BYTES];
    uint8_t lane; /* in HELLO only */
};

struct claim {
    bool made;        /* false: the sender's version knows none */
    node_index index; /* NODE_NONE: none yet, it wants to join */
    qr_slot slot;     /* of the roster, committed, in which it found itself */
    uint16_t client_port, peer_port;
    char address[64];
};

/* Both write and read exactly HELLO_BYTES. */
void hello_write(uint8_t out[HELLO_BYTES], const struct greeting *g);
bool hello_read(struct span in, struct greeting *g);
/* The claim, unless it is not `made`, and the proof over `hello` and this welcome are appended;
 * returns how many bytes that is. */
size_t welcome_write(uint8_t out[WELCOME_BYTES_MAX], const struct greeting *g,
                     const struct claim *claim, struct span hello, const char *secret);
/* False when malformed; *proven says whether the proof holds. */
bool welcome_read(struct span in, struct greeting *g, struct claim *claim, struct span hello,
                  const char *secret, bool *proven);
/* The proof over all three, and the claim. */
size_t proof_write(uint8_t out[PROOF_BYTES_MAX], const struct claim *claim, struct span hello,
                   struct span welcome, const char *secret);
bool proof_holds(struct span in, struct claim *claim, struct span hello, struct span welcome,
                 const char *secret);

#endif
