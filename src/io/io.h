/* The node's only door to the world: clocks, files, sockets, timers, threads (R2).
 *
 * The files beside it implement it over libuv and POSIX; tests implement the parts that they need
 * in memory (tests/unit/log/disk.c), so no caller may reach around it. One struct io is one event
 * loop on one thread; everything below belongs to that thread. Callbacks run from io_run only,
 * never from inside a call.
 *
 * Errors are negative errno values; 0 or a count is success. */
#ifndef IO_IO_H
#define IO_IO_H

#include "base/types.h"
#include "io/failpoint.h"

#include <errno.h>
#include <sys/uio.h>

struct io;

/* --- Loop, clocks, chance ------------------------------------------------------------------- */

/* Also ignores SIGPIPE for the process: a broken connection is an error of its stream. */
struct io *io_new(void);
/* Closes what is still open without a word to its owners, waits for helper threads and delivers
 * their completions (the contexts of io_offload and io_file_write_sync must live until then).
 * Not to be called from a callback. */
void io_free(struct io *io);

/* Runs until io_stop. After each batch of callbacks of one turn `turn` is called once: that is
 * where the node flushes everything the turn has gathered. It is called after the sockets and
 * helper threads of a turn were served, and again before blocking when timers or closed streams
 * have called their owners since; at the start of io_run it is called once in any case. */
void io_run(struct io *io, void (*turn)(void *context), void *context);
void io_stop(struct io *io);
/* When the first callback of this turn was called: what came since stood still for everyone else.
 */
qr_time io_turn_began(const struct io *io);
/* The callback under way says that it is plain: its owner need not look at more than it tells him.
 * Out of a callback it says nothing. */
void io_plain(struct io *io);
/* Whether there was one that did not say so since this was asked last. */
bool io_take_special(struct io *io);
/* Whether the sockets were looked at after that moment, so that what had come by then is delivered.
 * Ask before acting on silence: the loop itself may have stood still. */
bool io_has_polled_since(const struct io *io, qr_time at);

qr_time io_now(struct io *io);                    /* CLOCK_BOOTTIME, read now (not cached) */
qr_wall io_wall(struct io *io);                   /* CLOCK_REALTIME, read now */
void io_random(struct io *io, void *p, size_t n); /* unpredictable bytes; never fails */
/* Names the present run of the machine, in printable words: what was written under the same name is
 * in its memory at the least. Empty where nobody can say. */
#define IO_BOOT_BYTES 64u
void io_boot(struct io *io, char out[IO_BOOT_BYTES]);

/* A one-shot timer; zero it before first use. It fires at its moment or up to a few milliseconds
 * later, never earlier. */
struct io_timer {
    void (*fire)(struct io_timer *timer);
    void *context;
    void *impl; /* owned by io */
};

/* (Re)arms for the moment `at` (io_now time; past means the next turn; QR_NEVER stops it). */
void io_timer_start(struct io *io, struct io_timer *timer, qr_time at);
void io_timer_stop(struct io_timer *timer); /* no call of fire follows; it may be started again */
void io_timer_free(struct io_timer *timer); /* stops it and leaves it zeroed */

/* SIGTERM, SIGINT and so on, delivered as callbacks until io_free. */
int io_on_signal(struct io *io, int signal_number, void (*fire)(void *context, int signal_number),
                 void *context);

/* Runs `work` on a helper thread and then `done` on the loop. Returns 0, or an error and neither
 * is called. `work` may touch only what `context` hands it. */
int io_offload(struct io *io, void (*work)(void *context), void (*done)(void *context),
               void *context);
/* The same for what nobody waits for; done at once where no thread is to be had. */
void io_aside(struct io *io, void (*work)(void *context), void *context);

/* --- Streams: TCP --------------------------------------------------------------------------- */

struct io_stream; /* freed by io after on_close */

struct io_stream_callbacks {
    /* n bytes are in the buffer that `buffer` gave. Called only while reading. Each call of
     * `buffer` is followed by at most one on_read: what the kernel has may be less than the room,
     * or none. */
    void (*on_read)(struct io_stream *stream, size_t n);
    /* Where the next read goes. A zero length pauses reading until io_stream_read(.., true). */
    void (*buffer)(struct io_stream *stream, uint8_t **p, size_t *n);
    /* Everything queued so far has been handed to the kernel. */
    void (*on_drained)(struct io_stream *stream); /* may be NULL */
    /* The peer will send no more but may still read: answer what is owed, then io_stream_finish.
     * NULL: such a stream is closed at once, with error 0. */
    void (*on_end)(struct io_stream *stream);
    /* The last callback: end of file, an error (negative errno, 0 = orderly), or io_stream_close.
     */
    void (*on_close)(struct io_stream *stream, int error);
};

struct io_listener;

/* Listens on address:port (numeric; port 0 picks one). Each connection is given to on_accept, which
 * must call io_stream_open on it or close it. A turn takes ACCEPTS_PER_TURN of them, so that a
 * storm of connections does not stand in the way of those that are there. */
int io_listen(struct io *io, const char *address, uint16_t port, int backlog,
              void (*on_accept)(void *context, struct io_stream *stream), void *context,
              struct io_listener **out);
uint16_t io_listener_port(const struct io_listener *listener);
void io_listener_close(struct io_listener *listener);

/* Starts to connect; `on_connect` is called once with 0 or an error; on error the stream is gone
 * and NULL is passed. Until then only io_stream_close may be called (on_connect then sees
 * -ECANCELED). When io_connect itself returns an error, on_connect is not called. */
int io_connect(struct io *io, const char *address, uint16_t port,
               void (*on_connect)(void *context, struct io_stream *stream, int error),
               void *context, struct io_stream **out);

/* Attaches an owner and callbacks (which must outlive the stream) to an accepted or connected
 * stream, sets TCP_NODELAY and starts to read. A stream closed before that is gone silently. */
void io_stream_open(struct io_stream *stream, const struct io_stream_callbacks *callbacks,
                    void *owner);
void *io_stream_owner(const struct io_stream *stream);

/* Writes n bytes: tries the socket at once, copies and queues what it does not take. The caller
 * bounds the queue by io_stream_queued (R4). Errors arrive through on_close; what is written to a
 * closing or finishing stream is dropped. One writev is one system call while the socket keeps up.
 */
void io_stream_write(struct io_stream *stream, const void *p, size_t n);
void io_stream_writev(struct io_stream *stream, const struct iovec *v, int count);
/* The same for what malloc gave: it is not copied, and freed when it is written. */
void io_stream_give(struct io_stream *stream, void *p, size_t n);
size_t io_stream_queued(const struct io_stream *stream); /* bytes not yet taken by the kernel */
size_t io_stream_memory(const struct io_stream *stream); /* that their copies take */

void io_stream_read(struct io_stream *stream, bool on); /* pause or resume reading */
void io_stream_close(struct io_stream *stream);         /* drops what is queued; on_close follows */
void io_stream_finish(struct io_stream *stream);        /* closes once what is queued is written */
/* The same for a peer that may still be sending: closing a socket with unread bytes resets the
 * connection, and the reset can overtake our last words. So they are followed by the end of the
 * stream, and what still comes is swallowed until the peer closes, within LINGER_TIME_MS and
 * LINGER_BYTES_MAX. */
void io_stream_dismiss(struct io_stream *stream);
uint32_t io_lingering(const struct io *io); /* how many of them are waited for */
/* TCP keep-alive after `seconds` of silence; 0 turns it off. */
void io_stream_keepalive(struct io_stream *stream, uint32_t seconds);
/* The connection breaks when what was sent is not acknowledged for so long, or the other side takes
 * nothing for so long. By itself TCP tries for a quarter of an hour, at intervals that double: a
 * network that is whole again after a minute would be noticed another minute later. */
void io_stream_unheard_max(struct io_stream *stream, uint32_t ms);
/* While it is on the kernel keeps what is written for a while, so that it leaves and arrives as one
 * piece; turning it off sends that. It goes in any case when this process ends. */
void io_stream_cork(struct io_stream *stream, bool on);
/* The kernel keeps about so many bytes that it could not send yet, instead of megabytes. */
void io_stream_unsent_max(struct io_stream *stream, uint32_t bytes);
/* "ip:port", "[ip]:port" for IPv6, "?:0" when the socket does not say. */
void io_stream_peer_name(const struct io_stream *stream, char *p, size_t n);
void io_stream_local_name(const struct io_stream *stream, char *p, size_t n);
/* The other side has closed, or reset it; what it sent before that may still be unread. */
bool io_stream_ended(const struct io_stream *stream);
int io_stream_fd(const struct io_stream *stream); /* for CLIENT LIST; -1 where there is none */

/* --- Files ---------------------------------------------------------------------------------- */

struct io_file;

/* Whether an error of a file says only that there is no room, on the disk or among the descriptors:
 * that passes. Any other may mean that the disk lies (R7). */
static inline bool io_wants_room(int error)
{
    return error == -ENOSPC || error == -EDQUOT || error == -EFBIG || error == -EMFILE ||
           error == -ENFILE;
}

#define IO_CREATE 1u /* create; fails with -EEXIST when it is there */
#define IO_WRITE 2u  /* open for reading and writing; without it reading only */
#define IO_LOCK 4u   /* hold an exclusive advisory lock; -EAGAIN when another process has it */
/* With IO_WRITE: writes go past the page cache, where the file system lets them. Every write must
 * then have its buffer, length and offset on multiples of IO_BLOCK_BYTES. It still takes a sync to
 * make them durable. Without IO_WRITE: reads that are aligned so go past it. */
#define IO_DIRECT 8u
#define IO_BLOCK_BYTES 4096u

int io_file_open(struct io *io, const char *path, unsigned flags, struct io_file **out);
void io_file_close(struct io_file *file);
int64_t io_file_size(struct io_file *file);
/* Whole transfers: fewer bytes than asked only at the end of the file. EINTR is retried. */
int64_t io_file_pread(struct io_file *file, void *p, size_t n, uint64_t offset);
int64_t io_file_pwrite(struct io_file *file, const void *p, size_t n, uint64_t offset);
int io_file_sync(struct io_file *file); /* fdatasync; any error is final for the node (R7) */
int io_file_truncate(struct io_file *file, uint64_t size);

/* An asynchronous durable write: pwritev of the buffers at `offset`, then fdatasync, on a helper
 * thread; `done` on the loop with 0 or the first error. The buffers stay the caller's and must not
 * change until then. Several may be in flight; each completes by itself. One without buffers is
 * the sync alone, of all that was written to the file before. */
struct io_write {
    struct io_file *file;
    const struct iovec *v;
    int count;
    uint64_t offset;
    void (*done)(struct io_write *write, int error);
    void *context;
    enum failpoint points; /* the first of its four failpoints, or FAIL_NOWHERE */
    /* Past the page cache without a sync: a later write of the file makes it durable with its own.
     * Where writes go through the cache it is synced all the same. */
    bool sync_later;
    /* Into the page cache and no further: it outlives the process, but the machine only once a
     * later write of the file has synced it. */
    bool cached;
    qr_time took; /* set by io: the write with its sync, without the wait for a thread */
    void *impl;   /* owned by io */
};
void io_file_write_sync(struct io *io, struct io_write *write);
/* The same on this thread: returns what `done`, which is not called, would have been given. */
int io_file_write_now(struct io *io, struct io_write *write);

int io_mkdir(struct io *io, const char *path); /* 0 also when it is there */
int io_rename(struct io *io, const char *from, const char *to);
/* Two names of one directory swap what they stand for, at once; -EINVAL where it cannot be done. */
int io_exchange(struct io *io, const char *a, const char *b);
int io_link(struct io *io, const char *from, const char *to); /* one more name of the same file */
int io_unlink(struct io *io, const char *path);
int io_sync_dir(struct io *io, const char *path);
int64_t io_free_bytes(struct io *io,
                      const char *path); /* on that file system, for root's absence */
/* Calls `each` for every name in the directory but . and .. ; order unspecified. */
int io_list(struct io *io, const char *path, void (*each)(void *context, const char *name),
            void *context);

#endif
