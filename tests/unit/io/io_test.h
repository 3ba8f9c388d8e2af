/* What the tests of src/io share: a loop that gives up after ten seconds, and cmocka's headers. */
#ifndef TESTS_UNIT_IO_IO_TEST_H
#define TESTS_UNIT_IO_IO_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "io/io.h"

/* A failed expectation must end the loop, which would otherwise wait for ever. */
static inline void give_up(struct io_timer *timer)
{
    (void)timer;
    fail_msg("the loop was not stopped within ten seconds");
}

static inline void run_bounded(struct io *io, void (*turn)(void *context), void *context)
{
    struct io_timer limit = { .fire = give_up };
    io_timer_start(io, &limit, io_now(io) + 10 * QR_SECOND);
    io_run(io, turn, context);
    io_timer_free(&limit);
}

#endif
