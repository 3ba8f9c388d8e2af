/* Messages of every protocol, and the frames of the handshake: what can be decoded, encoded again,
 * is the same bytes; what can be encoded, decoded again, is the same message.
 *
 * The input: which codec, which kind (two bytes), a body. */
#include "feed.h"
#include "fuzz.h"

#include "base/alloc.h"
#include "base/text.h"
#include "node/handshake.h"
#include "node/repair.h"
#include "protocol/raft/raft_messages.h"

#include <string.h>

#define BODY_BYTES_MAX 4096u

/* Two message lists cannot be included into one file; of this one the codec is enough. */
extern const struct codec canary_codec;

/* A copy of exactly that size, so that an overrun is seen. */
static uint8_t *copy_of(struct span s)
{
    uint8_t *copy = qr_alloc(s.n);
    if (s.n > 0) {
        memcpy(copy, s.p, s.n);
    }
    return copy;
}

static void *body_of(const struct codec *codec)
{
    return qr_zalloc(codec->body_max);
}

static void check_words(const struct codec *codec, uint16_t kind, const void *body)
{
    char line[1024];
    struct text text = text_in(line, sizeof line);
    codec->print(kind, body, &text);
    qr_assert(!text.cut && text.n > 0);
    qr_assert(codec->name(kind) != NULL && kind <= codec->kind_max);
    qr_assert(strncmp(line, codec->name(kind), strlen(codec->name(kind))) == 0);
}

static void decode_first(const struct codec *codec, uint16_t kind, struct span in)
{
    void *body = body_of(codec);
    uint8_t *bytes = copy_of(in);
    if (codec->decode(kind, span_of(bytes, in.n), body)) {
        uint8_t again[BODY_BYTES_MAX];
        struct wire_writer w = wire_writer(again, sizeof again);
        qr_assert(codec->encode(kind, body, &w) && !w.bad);
        qr_assert(w.n == in.n && (in.n == 0 || memcmp(again, bytes, in.n) == 0));
        qr_assert(codec->equal(kind, body, body));
        check_words(codec, kind, body);
    }
    free(bytes);
    free(body);
}

/* A message drawn by the codec itself; any part of its bytes is no message of that kind. */
static void encode_first(const struct codec *codec, uint16_t kind, uint64_t seed)
{
    void *body = body_of(codec), *again = body_of(codec);
    uint8_t bytes[BODY_BYTES_MAX];
    struct wire_writer w = wire_writer(bytes, sizeof bytes);
    codec->random(kind, seed, body);
    if (codec->encode(kind, body, &w)) {
        qr_assert(!w.bad && codec->decode(kind, span_of(bytes, w.n), again));
        qr_assert(codec->equal(kind, body, again));
        check_words(codec, kind, body);
        qr_assert(!codec->decode(kind, span_of(bytes, seed % w.n), again));
        qr_assert(!codec->decode(kind, span_of(bytes, w.n + 1), again));
    } else {
        qr_assert(codec->name(kind) == NULL && !codec->decode(kind, span_of(bytes, w.n), again));
    }
    free(body);
    free(again);
}

/* --- The handshake -------------------------------------------------------------------------- */

static void hello(struct span in)
{
    struct greeting g;
    if (hello_read(in, &g)) {
        uint8_t again[HELLO_BYTES];
        hello_write(again, &g);
        qr_assert(in.n == HELLO_BYTES && memcmp(again, in.p, in.n) == 0);
    }
}

/* A welcome and a proof hold for what they answer, and for nothing that differs by one bit. */
static void welcome(struct feed *f)
{
    uint32_t flip = feed_u16(f);
    uint8_t said[HELLO_BYTES] = { 0 }, out[WELCOME_BYTES_MAX], proof[PROOF_BYTES_MAX];
    struct span s = feed_bytes(f, HELLO_BYTES);
    memcpy(said, s.p, s.n);
    struct greeting g, read;
    struct claim mine = { .made = (flip >> 11) % 2 == 1, .index = 3, .address = "::1" };
    struct claim claim;
    bool proven;
    qr_assert(hello_read(span_of(said, sizeof said), &g));
    struct span hello = span_of(said, sizeof said);
    struct span bytes = span_of(out, welcome_write(out, &g, &mine, hello, "secret"));
    qr_assert(welcome_read(bytes, &read, &claim, hello, "secret", &proven));
    g.lane = 0;
    qr_assert(proven && memcmp(&g, &read, sizeof g) == 0);
    qr_assert(claim.made == mine.made && (!mine.made || strcmp(claim.address, "::1") == 0));
    struct span last = span_of(proof, proof_write(proof, &mine, hello, bytes, "secret"));
    qr_assert(proof_holds(last, &claim, hello, bytes, "secret"));
    qr_assert(!proof_holds(last, &claim, hello, bytes, "Secret"));
    qr_assert(!proof_holds(span_of(bytes.p + bytes.n - PROOF_BYTES, PROOF_BYTES), &claim, hello,
                           bytes, "secret"));
    out[flip % bytes.n] ^= (uint8_t)(1u << (flip >> 8) % 8);
    qr_assert(!proof_holds(last, &claim, hello, bytes, "secret"));
    qr_assert(!welcome_read(bytes, &read, &claim, hello, "secret", &proven) || !proven);
}

/* --- Repair --------------------------------------------------------------------------------- */

/* What can be read is written back the same, and a question is no answer. */
static void repair_frames(struct span in)
{
    uint8_t p[REPAIR_HEAD_BYTES_MAX];
    struct repair_hole hole;
    enum repair_answer answer;
    qr_slot least;
    bool fetches = repair_fetch_read(in, &least);
    if (fetches) {
        qr_assert(repair_fetch_write(least, p) == in.n && memcmp(p, in.p, in.n) == 0);
    }
    bool asks = repair_ask_read(in, &hole);
    if (asks) {
        qr_assert(repair_ask_write(&hole, p) == in.n && memcmp(p, in.p, in.n) == 0);
    }
    if (repair_reply_read(in, &hole, &answer)) {
        qr_assert(!asks && hole.lo <= hole.hi);
        qr_assert(repair_reply_write(&hole, answer, p) == in.n && memcmp(p, in.p, in.n) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct feed f = { .p = data, .n = n };
    unsigned what = feed_below(&f, 7);
    uint16_t kind = feed_u16(&f);
    const struct codec *codec = (what & 1) != 0 ? &raft_codec : &canary_codec;
    if (what < 2) {
        decode_first(codec, kind, span_of(f.p, f.n));
    } else if (what < 4) {
        encode_first(codec, (uint16_t)(kind % (codec->kind_max + 2)), feed_u64(&f));
    } else if (what == 4) {
        hello(span_of(f.p, f.n));
    } else if (what == 5) {
        welcome(&f);
    } else {
        repair_frames(span_of(f.p, f.n));
    }
    return 0;
}
