#include "node/handshake.h"

#include "base/panic.h"
#include "base/limits.h"
#include "base/wire.h"
#include "node/roster.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#define WELCOME_PLAIN_BYTES 60

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

static void put_claim(struct wire_writer *w, const struct claim *claim)
{
    if (claim->made) {
        uint8_t length = (uint8_t)strnlen(claim->address, sizeof claim->address - 1);
        wire_put_u8(w, claim->index);
        wire_put_u64(w, claim->slot);
        wire_put_u16(w, claim->client_port);
        wire_put_u16(w, claim->peer_port);
        wire_put_u8(w, length);
        wire_put_bytes(w, claim->address, length);
    }
}

/* What is left of the reader is a claim, or there is none. */
static bool get_claim(struct wire_reader *r, struct claim *claim)
{
    *claim = (struct claim){ .made = !r->bad && r->at < r->n, .index = NODE_NONE };
    if (!claim->made) {
        return wire_finished(r);
    }
    claim->index = wire_get_u8(r);
    claim->slot = wire_get_u64(r);
    claim->client_port = wire_get_u16(r);
    claim->peer_port = wire_get_u16(r);
    size_t length = wire_get_u8(r);
    struct span address = wire_get_bytes(r, length);
    if (!wire_finished(r) || length >= sizeof claim->address) {
        return false;
    }
    if (length > 0) {
        memcpy(claim->address, address.p, length);
    }
    bool indexed = claim->index < MEMBERS_MAX || claim->index == NODE_NONE;
    return indexed && strlen(claim->address) == length && roster_is_address(claim->address);
}

static void prove(uint8_t out[PROOF_BYTES], const char *purpose, struct span hello,
                  struct span welcome, struct span claim, const char *secret)
{
    uint8_t said[8 + HELLO_BYTES + WELCOME_BYTES_MAX + CLAIM_BYTES_MAX];
    struct wire_writer w = wire_writer(said, sizeof said);
    wire_put_bytes(&w, purpose, 8);
    wire_put_bytes(&w, hello.p, hello.n);
    wire_put_bytes(&w, welcome.p, welcome.n);
    wire_put_bytes(&w, claim.p, claim.n);
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

size_t welcome_write(uint8_t out[WELCOME_BYTES_MAX], const struct greeting *g,
                     const struct claim *claim, struct span hello, const char *secret)
{
    struct wire_writer w = wire_writer(out, WELCOME_BYTES_MAX - PROOF_BYTES);
    put_greeting(&w, g);
    qr_assert(w.n == WELCOME_PLAIN_BYTES);
    put_claim(&w, claim);
    qr_assert(!w.bad);
    prove(out + w.n, "welcome ", hello, span_of(out, w.n), (struct span){ 0 }, secret);
    return w.n + PROOF_BYTES;
}

bool welcome_read(struct span in, struct greeting *g, struct claim *claim, struct span hello,
                  const char *secret, bool *proven)
{
    uint8_t expected[PROOF_BYTES];
    if (in.n < WELCOME_PLAIN_BYTES + PROOF_BYTES || in.n > WELCOME_BYTES_MAX) {
        return false;
    }
    size_t plain = in.n - PROOF_BYTES;
    struct wire_reader r = wire_reader(span_of(in.p, plain));
    get_greeting(&r, g);
    if (!get_claim(&r, claim)) {
        return false;
    }
    prove(expected, "welcome ", hello, span_of(in.p, plain), (struct span){ 0 }, secret);
    *proven = CRYPTO_memcmp(expected, in.p + plain, PROOF_BYTES) == 0;
    return true;
}

size_t proof_write(uint8_t out[PROOF_BYTES_MAX], const struct claim *claim, struct span hello,
                   struct span welcome, const char *secret)
{
    struct wire_writer w = wire_writer(out + PROOF_BYTES, CLAIM_BYTES_MAX);
    put_claim(&w, claim);
    qr_assert(!w.bad);
    prove(out, "proof   ", hello, welcome, span_of(out + PROOF_BYTES, w.n), secret);
    return PROOF_BYTES + w.n;
}

bool proof_holds(struct span in, struct claim *claim, struct span hello, struct span welcome,
                 const char *secret)
{
    uint8_t expected[PROOF_BYTES];
    if (in.n < PROOF_BYTES || in.n > PROOF_BYTES_MAX) {
        return false;
    }
    struct span rest = span_of(in.p + PROOF_BYTES, in.n - PROOF_BYTES);
    struct wire_reader r = wire_reader(rest);
    prove(expected, "proof   ", hello, welcome, rest, secret);
    return get_claim(&r, claim) && CRYPTO_memcmp(expected, in.p, PROOF_BYTES) == 0;
}
