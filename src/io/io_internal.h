/* The inside of struct io, shared by the files of src/io only. */
#ifndef IO_IO_INTERNAL_H
#define IO_IO_INTERNAL_H

#include "io/io.h"

#include <uv.h>

/* A signal that is listened for; kept in a list so that io_free finds it. */
struct io_signal {
    uv_signal_t handle;
    struct io *io;
    void (*fire)(void *context, int signal_number);
    void *context;
};

struct io {
    uv_loop_t loop;
    uv_prepare_t prepare; /* before blocking: flushes what timers and close callbacks have done */
    uv_check_t check;     /* after polling: flushes what sockets and helper threads have brought */

    void (*turn)(void *context);
    void *turn_context;
    bool touched; /* an owner's callback ran since the last turn */
    bool freeing; /* io_free is at work: owners hear only of completions, never of streams */
};

/* Every callback from libuv calls this before it calls its owner: the owner may have left something
 * that the next turn must flush. */
static inline void io_touch(struct io *io)
{
    io->touched = true;
}

#endif
