/* The first frames of a peer connection: HELLO, WELCOME, PROOF (peers.h).
 *
 * HELLO names the dialer and whom it wants; WELCOME and PROOF carry an HMAC-SHA-256 under the
 * cluster secret over everything said so far, both nonces included, so that neither can be
 * replayed and neither side need trust an address. */
#ifndef NODE_HANDSHAKE_H
#define NODE_HANDSHAKE_H

#include "base/types.h"

#define NONCE_BYTES 16
#define PROOF_BYTES 32
#define HELLO_BYTES 61
#define WELCOME_BYTES (60 + PROOF_BYTES)

struct greeting {
    uint16_t version, oldest;
    uint8_t cluster[16];
    uint32_t from, to; /* node ids */
    uint8_t uuid[16];
    uint8_t nonce[NONCE_BYTES];
    uint8_t lane; /* in HELLO only */
};

/* Both write and read exactly the bytes above; reading fails on any other length. */
void hello_write(uint8_t out[HELLO_BYTES], const struct greeting *g);
bool hello_read(struct span in, struct greeting *g);
/* The proof over `hello` and this welcome is appended. */
void welcome_write(uint8_t out[WELCOME_BYTES], const struct greeting *g, struct span hello,
                   const char *secret);
/* False when malformed; *proven says whether the proof holds. */
bool welcome_read(struct span in, struct greeting *g, struct span hello, const char *secret,
                  bool *proven);
void proof_write(uint8_t out[PROOF_BYTES], struct span hello, struct span welcome,
                 const char *secret);
bool proof_holds(struct span in, struct span hello, struct span welcome, const char *secret);

#endif
