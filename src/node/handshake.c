#include "node/handshake.h"

#include "base/panic.h"
#include "base/wire.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#define WELCOME_PLAIN_BYTES (WELCOME_BYTES - PROOF_BYTES)

static void put_greeting(struct wire_writer *w, const struct greeting *g)
{
    wire_put_u16(w, g->version);
    wire_put_u16(w, g->oldest);
    wire_put_bytes(w, g->cluster, 16);
    wire_put_u32(w, g->from);
    wire_put_u32(w, g->to);
    wire_put_bytes(w, g->uuid, 16);
    wire_put_bytes(w, g->nonce, NONCE_BYTES);
}

static void get_greeting(struct wire_reader *r, struct greeting *g)
{
    *g = (struct greeting){ 0 };
    g->version = wire_get_u16(r);
    g->oldest = wire_get_u16(r);
    struct span cluster = wire_get_bytes(r, 16);
    g->from = wire_get_u32(r);
    g->to = wire_get_u32(r);
    struct span uuid = wire_get_bytes(r, 16);
    struct span nonce = wire_get_bytes(r, NONCE_BYTES);
    if (!r->bad) {
        memcpy(g->cluster, cluster.p, 16);
        memcpy(g->uuid, uuid.p, 16);
        memcpy(g->nonce, nonce.p, NONCE_BYTES);
    }
}

static void prove(uint8_t out[PROOF_BYTES], const char *purpose, struct span hello,
                  struct span welcome, const char *secret)
{
    uint8_t said[8 + HELLO_BYTES + WELCOME_BYTES];
    struct wire_writer w = wire_writer(said, sizeof said);
    wire_put_bytes(&w, purpose, 8);
    wire_put_bytes(&w, hello.p, hello.n);
    wire_put_bytes(&w, welcome.p, welcome.n);
    qr_assert(!w.bad);
    unsigned n = 0;
    const uint8_t *made = HMAC(EVP_sha256(), secret, (int)strlen(secret), said, w.n, out, &n);
    qr_assert(made != NULL);
    qr_assert(n == PROOF_BYTES);
}

void hello_write(uint8_t out[HELLO_BYTES], const struct greeting *g)
{
    struct wire_writer w = wire_writer(out, HELLO_BYTES);
    put_greeting(&w, g);
    wire_put_u8(&w, g->lane);
    qr_assert(w.n == HELLO_BYTES);
    qr_assert(!w.bad);
}

bool hello_read(struct span in, struct greeting *g)
{
    struct wire_reader r = wire_reader(in);
    get_greeting(&r, g);
    g->lane = wire_get_u8(&r);
    return wire_finished(&r);
}

void welcome_write(uint8_t out[WELCOME_BYTES], const struct greeting *g, struct span hello,
                   const char *secret)
{
    struct wire_writer w = wire_writer(out, WELCOME_PLAIN_BYTES);
    put_greeting(&w, g);
    qr_assert(w.n == WELCOME_PLAIN_BYTES);
    qr_assert(!w.bad);
    prove(out + WELCOME_PLAIN_BYTES, "welcome ", hello, span_of(out, WELCOME_PLAIN_BYTES), secret);
}

bool welcome_read(struct span in, struct greeting *g, struct span hello, const char *secret,
                  bool *proven)
{
    uint8_t expected[PROOF_BYTES];
    struct wire_reader r = wire_reader(in);
    get_greeting(&r, g);
    struct span proof = wire_get_bytes(&r, PROOF_BYTES);
    if (!wire_finished(&r)) {
        return false;
    }
    prove(expected, "welcome ", hello, span_of(in.p, WELCOME_PLAIN_BYTES), secret);
    *proven = CRYPTO_memcmp(expected, proof.p, PROOF_BYTES) == 0;
    return true;
}

void proof_write(uint8_t out[PROOF_BYTES], struct span hello, struct span welcome,
                 const char *secret)
{
    prove(out, "proof   ", hello, welcome, secret);
}

bool proof_holds(struct span in, struct span hello, struct span welcome, const char *secret)
{
    uint8_t expected[PROOF_BYTES];
    prove(expected, "proof   ", hello, welcome, secret);
    return in.n == PROOF_BYTES && CRYPTO_memcmp(expected, in.p, PROOF_BYTES) == 0;
}
