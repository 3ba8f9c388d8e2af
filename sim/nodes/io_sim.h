/* The inside of struct io in the realm, shared by io_loop.c, io_stream.c and io_file.c. */
#ifndef SIM_NODES_IO_SIM_H
#define SIM_NODES_IO_SIM_H

#include "sim/nodes/realm.h"

/* What a helper thread does: some work, or a durable write. */
struct job {
    struct job *next;
    qr_time at; /* when its next step is due */
    void (*work)(void *context);
    void (*done)(void *context);
    void *context;
    struct io_write *write;
};

struct io {
    struct process *process;
    void (*turn)(void *context);
    void *turn_context;
    bool touched, plain, stopping, freeing;
    qr_time touched_at, poll_began, polled_from;
    uint32_t special;
    uint64_t turns;
    uint32_t signals; /* that have come, by bit */
    void (*on_signal)(void *context, int signal_number);
    void *signal_context;
    struct timer *timers;
    struct job *jobs, *last_job;
    struct io_stream *streams, *last_stream; /* in order of birth */
    uint32_t lingering;
};

void io_touch(struct io *io);
struct job *io_job_new(struct io *io, qr_time at);

/* io_file.c */
int io_write_done(struct io *io, const struct io_write *write);
void io_write_dies(struct io *io, const struct job *job);

/* io_stream.c */
bool streams_ready(const struct io *io);
void streams_poll(struct io *io);
void streams_reap(struct io *io); /* tells owners of closed ones */
void streams_forget(struct io *io, bool power);

#endif
