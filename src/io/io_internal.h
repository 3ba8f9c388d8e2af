/* The inside of struct io, shared by the files of src/io only. */
#ifndef IO_IO_INTERNAL_H
#define IO_IO_INTERNAL_H

#include "io/failpoint.h"
#include "io/io.h"

#include <uv.h>

/* What every libuv handle of ours carries in its data field, so that io_free can close what its
 * owner has left open. `closed` frees the struct around the handle; the handle is its first field.
 */
struct io_kind {
    uv_close_cb closed;
};

static inline void io_handle_init(void *handle, const struct io_kind *kind)
{
    uv_handle_set_data(handle, (void *)(uintptr_t)kind);
}

struct io {
    uv_loop_t loop;
    uv_prepare_t prepare; /* before blocking: flushes what timers and close callbacks have done */
    uv_check_t check;     /* after polling: flushes what sockets and helper threads have brought */

    void (*turn)(void *context);
    void *turn_context;
    bool touched;                    /* an owner's callback ran since the last turn */
    qr_time touched_at;              /* the first of them */
    qr_time poll_began, polled_from; /* the poll of this turn; the last one that is complete */
    uint64_t turns;
    struct io_listener *held; /* have a connection that the next turn will take */
    struct io_stream *lingering, *lingering_last; /* oldest first */
    uint32_t lingering_count;
    uv_timer_t linger_timer;
    struct write_job *spare_write; /* file.c: the next durable write needs no memory */
    uint8_t *swallow; /* what lingering streams read goes here and is not looked at */
    bool in_timer;    /* inside a timer's callback: a timer started now waits for the next turn */
    bool plain;       /* the callback under way has said io_plain, or none is */
    uint32_t special; /* callbacks that did not, since somebody asked */
    bool freeing;     /* io_free is at work: owners hear only of completions, never of streams */
    struct failpoints *failpoints; /* NULL: none is armed, as in every release build */
};

/* Every callback from libuv calls this before it calls its owner: the owner may have left something
 * that the next turn must flush. */
static inline void io_touch(struct io *io)
{
    io->special++;
    io->plain = false;
    if (!io->touched) {
        io->touched = true;
        io->touched_at = io_now(io);
    }
}

/* listen.c: after a turn, the connections that it had no time for. */
void io_accept_held(struct io *io);

/* stream.c */
void io_linger_init(struct io *io);
struct io_stream *io_stream_new(struct io *io);
uv_stream_t *io_stream_handle(struct io_stream *stream);
int io_parse_address(const char *address, uint16_t port, struct sockaddr_storage *out);

#endif
