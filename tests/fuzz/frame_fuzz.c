/* Frames from peers: complete ones lie inside the bytes, written again they are the same; the same
 * bytes cut short are incomplete or bad, never complete. */
#include "fuzz.h"

#include "base/alloc.h"
#include "node/frame.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    uint8_t *copy = qr_alloc(n);
    memcpy(copy, data, n);
    struct frame frame;
    size_t bytes = 0;
    if (frame_read(span_of(copy, n), &frame, &bytes) == FRAME_COMPLETE) {
        qr_assert(bytes >= FRAME_HEADER_BYTES && bytes <= n);
        qr_assert(frame.head.n + frame.tail.n + FRAME_HEADER_BYTES + 2 * (copy[13] & 2u) == bytes);
        qr_assert((frame.group != 0) == ((copy[13] & 2) != 0));
        qr_assert(frame.head.n == 0 || frame.head.p + frame.head.n <= copy + n);
        struct outbox out = { 0 };
        frame_append_group(&out, frame.group, frame.kind, frame.head, frame.tail, copy[13] & 1);
        qr_assert(out.n == bytes && memcmp(out.p, copy, bytes) == 0);
        outbox_free(&out);
        size_t ignored;
        qr_assert(frame_read(span_of(copy, bytes - 1), &frame, &ignored) != FRAME_COMPLETE);
    }
    free(copy);
    return 0;
}
