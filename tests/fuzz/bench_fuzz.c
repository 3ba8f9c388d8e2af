/* Replies to quorate bench: 64 requests are open, and these bytes come. However they are split, the
 * same operations end in the same way, and nothing is kept but the beginning of a line.
 *
 * The first byte decides how the bench was asked: 1 reconnect, 2 check, 4 not greeted yet; the
 * second seeds the splits and the requests. */
#include "fuzz.h"

#include "base/alloc.h"
#include "bench/bench_internal.h"

#include <string.h>

#define OPEN 64u
#define KEYS 8u
#define VALUE_BYTES 200u

static void set_up(struct bench *b, struct client *c, uint8_t how, uint64_t seed)
{
    b->options = (struct bench_options){ .reconnect = (how & 1) != 0,
                                         .check = (how & 2) != 0,
                                         .connections = 1,
                                         .pipeline = OPEN,
                                         .keys = KEYS,
                                         .prefix = "k",
                                         .reads = 0.5,
                                         .address_count = 2 };
    value_form_init(&b->form, b->options.check, 1, 1, VALUE_BYTES, VALUE_BYTES);
    ledger_init(&b->ledger, KEYS);
    b->picker = picker_new(&b->options.distribution, KEYS);
    b->rng = rng_from(seed);
    b->now = b->run_began = 1000;
    b->measure_to = INT64_MAX;
    b->phase = PHASE_RUN;
    b->clients = c;
    b->client_count = b->session_count = b->open = 1;
    b->key_bytes = 1 + 12;
    b->ring_mask = OPEN - 1;
    c->fd = -1;
    c->state = CLIENT_OPEN;
    c->ring = qr_alloc(OPEN * sizeof *c->ring);
    c->carry = qr_alloc(REPLY_LINE_BYTES_MAX);
    if ((how & 4) != 0) {
        c->state = CLIENT_GREETING;
        c->greetings = 2;
        return;
    }
    for (; c->in_flight < OPEN; c->in_flight++, b->in_flight++) {
        qr_assert(source_next(b, &c->ring[c->in_flight]));
    }
}

/* Gives the bytes in pieces of 1 .. longest, each in a block that is exactly as long as what is
 * there. */
static void feed(struct bench *b, struct client *c, const uint8_t *data, size_t n, size_t longest,
                 uint64_t seed)
{
    struct rng splits = rng_from(seed);
    bool alive = true;
    for (size_t at = 0; alive && at < n;) {
        size_t piece = (size_t)min_u64(1 + rng_below(&splits, longest), n - at);
        size_t kept = c->carry_n;
        uint8_t *block = qr_alloc(kept + piece);
        memcpy(block, c->carry, kept);
        memcpy(block + kept, data + at, piece);
        alive = client_take(b, c, block, kept + piece);
        free(block);
        at += piece;
        qr_assert(!alive || c->carry_n < REPLY_LINE_BYTES_MAX);
        qr_assert(alive || b->failed || c->state == CLIENT_ABSENT);
        qr_assert(b->in_flight == c->in_flight && c->in_flight <= OPEN);
    }
}

static void tear_down(struct bench *b, struct client *c)
{
    free(c->ring);
    free(c->carry);
    free(c);
    ledger_free(&b->ledger);
    free(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 2) {
        return 0;
    }
    struct bench *whole = qr_zalloc(sizeof *whole), *split = qr_zalloc(sizeof *split);
    struct client *one = qr_zalloc(sizeof *one), *other = qr_zalloc(sizeof *other);
    set_up(whole, one, data[0], data[1]);
    set_up(split, other, data[0], data[1]);
    feed(whole, one, data + 2, n - 2, n, 0);
    feed(split, other, data + 2, n - 2, 1 + data[1] % 32, data[1]);
    qr_assert(whole->failed == split->failed && one->state == other->state);
    qr_assert(whole->in_flight == split->in_flight && one->leaving == other->leaving);
    qr_assert(memcmp(&whole->tally, &split->tally, sizeof whole->tally) == 0);
    uint64_t good = whole->tally.reads.count + whole->tally.writes.count;
    qr_assert(one->in_flight + good + whole->tally.errors_total <= OPEN + 1);
    tear_down(whole, one);
    tear_down(split, other);
    return 0;
}
