/* The frames of joining: any bytes are refused, or written again they are the same bytes.
 *
 * The input: 0, a request; or something else, how long the head of an answer is, head, tail. */
#include "fuzz.h"

#include "base/alloc.h"
#include "node/join.h"

#include <string.h>

static void request(struct span in)
{
    struct join_request read;
    uint8_t again[JOIN_BYTES_MAX];
    if (join_request_read(in, &read)) {
        qr_assert(join_request_write(&read, again) == in.n);
        qr_assert(memcmp(again, in.p, in.n) == 0);
    }
}

static void answer(struct span head, struct span tail)
{
    struct join_answer read;
    uint8_t again[JOIN_ANSWER_BYTES_MAX], roster[ROSTER_BYTES_MAX];
    size_t roster_n;
    if (join_answer_read(head, tail, &read)) {
        qr_assert(join_answer_write(&read, again, roster, &roster_n) == head.n);
        qr_assert(memcmp(again, head.p, head.n) == 0);
        qr_assert(roster_n == tail.n && (tail.n == 0 || memcmp(roster, tail.p, tail.n) == 0));
        qr_assert(read.result != JOIN_TAKEN || read.roster.node[read.index].id == read.id);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 2) {
        return 0;
    }
    size_t head = data[0] == 0 ? n - 2 : min_u64(data[1], n - 2);
    uint8_t *copy = qr_alloc(n); /* of exactly that size, so that an overrun is seen */
    memcpy(copy, data + 2, n - 2);
    if (data[0] == 0) {
        request(span_of(copy, head));
    } else {
        answer(span_of(copy, head), span_of(copy + head, n - 2 - head));
    }
    free(copy);
    return 0;
}
