/* Requests: however the bytes are split, the same commands and the same error come out; what came
 * out, written again as arrays, reads back as the same commands. The first byte seeds the splits.
 */
#include "fuzz.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "base/rng.h"
#include "base/text.h"
#include "resp/parse.h"
#include "resp/reply.h"

#include <string.h>

/* Appends what the parser says to `out`: commands as arrays, then the error. */
static bool drain(struct parser *p, const uint8_t *block, size_t n, size_t *used, struct reply *out)
{
    for (;;) {
        switch (parser_next(p, block + *used, n - *used)) {
        case PARSE_INCOMPLETE:
            qr_assert(p->want == 0 || p->want > n - *used);
            return true;
        case PARSE_APART:
            qr_unreachable(); /* not asked for */
        case PARSE_ERROR:
            reply_error(out, p->error);
            return false;
        case PARSE_COMMAND:
            qr_assert(p->consumed > 0 && p->consumed <= n - *used);
            *used += p->consumed;
            if (p->argc > 0) {
                reply_array(out, p->argc);
            }
            for (uint32_t i = 0; i < p->argc; i++) {
                reply_bulk(out, p->argv[i]);
            }
        }
    }
}

/* Feeds the bytes in pieces of 1 .. longest bytes, each in a block of its own that is exactly as
 * long as what is not yet used. */
static void feed(const uint8_t *data, size_t n, size_t longest, uint64_t seed, struct reply *out)
{
    struct parser p;
    parser_init(&p);
    p.authenticated = (seed & 1) != 0;
    size_t at = 0, end = 0;
    bool alive = true;
    while (alive && end < n) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        size_t piece = 1 + (size_t)((seed >> 33) % longest);
        end = n - end < piece ? n : end + piece;
        uint8_t *block = qr_alloc(end - at);
        memcpy(block, data + at, end - at);
        size_t used = 0;
        alive = drain(&p, block, end - at, &used, out);
        free(block);
        at += used;
    }
    /* Nothing is reserved that was only announced (scenario 111). */
    qr_assert(p.capacity <= 16 || p.capacity <= 2 * n);
    parser_free(&p);
}

static void compare(const struct reply *a, const struct reply *b)
{
    qr_assert(a->n == b->n);
    qr_assert(a->n == 0 || memcmp(a->p, b->p, a->n) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 2) {
        return 0;
    }
    uint64_t seed = data[0];
    data++;
    n--;
    struct reply whole, split, again;
    reply_init(&whole, 2);
    reply_init(&split, 2);
    reply_init(&again, 2);
    feed(data, n, SIZE_MAX / 2, seed, &whole);
    feed(data, n, 1 + seed % 40, seed, &split);
    compare(&whole, &split);
    if (whole.n > 0 && !whole.is_error) {
        feed(whole.p, whole.n, SIZE_MAX / 2, 1, &again);
        compare(&whole, &again);
    }
    reply_free(&whole);
    reply_free(&split);
    reply_free(&again);
    return 0;
}
