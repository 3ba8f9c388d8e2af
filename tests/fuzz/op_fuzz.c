/* Operations as they come from the log and from peers: read or refused, and what was read, written
 * again, is the same bytes. */
#include "fuzz.h"

#include "base/alloc.h"
#include "command/op.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    uint8_t *copy = qr_alloc(n); /* exactly as long, so that an overrun is seen */
    memcpy(copy, data, n);
    struct op op;
    if (op_read(span_of(copy, n), &op)) {
        struct span *argv = qr_alloc((op.argc + 1) * sizeof *argv);
        op_arguments(&op, argv, NULL);
        qr_assert(op_bytes(argv, op.argc) + op.id.n == n);
        uint8_t *again = qr_alloc(n);
        op_write(again, &op, argv, op.argc);
        qr_assert(memcmp(again, copy, n) == 0);
        op_stamp(copy, 7, 8); /* changes those two and nothing else */
        struct op stamped;
        qr_assert(op_read(span_of(copy, n), &stamped) && stamped.stamp == 7 && stamped.seed == 8);
        qr_assert(memcmp(copy + 16, again + 16, n - 16) == 0);
        free(again);
        free(argv);
    }
    qr_wall stamp, same;
    uint8_t tick[OP_TICK_BYTES];
    if (op_tick_read(span_of(copy, n), &stamp)) {
        op_tick_write(tick, stamp, 9);
        qr_assert(n == sizeof tick && op_tick_read(span_of(tick, n), &same) && same == stamp);
    }
    free(copy);
    return 0;
}
