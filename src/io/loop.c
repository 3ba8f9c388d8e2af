/* The loop, the clocks, timers, signals and helper threads, over libuv.
 *
 * One turn of libuv's loop is: timers, prepare, poll (sockets, helper threads, signals), check,
 * close callbacks. The owner's `turn` runs in check, and in prepare when something was touched
 * since: so nothing that a callback has left waits while the loop blocks, and an idle loop does not
 * spin. */
#include "base/alloc.h"
#include "io/io_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

/* --- The loop ------------------------------------------------------------------------------- */

static void run_turn(struct io *io)
{
    if (io->touched && io->turn != NULL) {
        io->touched = false;
        io->plain = true; /* no callback is under way */
        io->turns++;
        io->turn(io->turn_context);
        io_accept_held(io);
    }
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct io *io = (struct io *)((char *)prepare - offsetof(struct io, prepare));
    run_turn(io);
    io->poll_began = io_now(io);
}

static void on_check(uv_check_t *check)
{
    struct io *io = (struct io *)((char *)check - offsetof(struct io, check));
    io->polled_from = io->poll_began;
    run_turn(io);
}

bool io_has_polled_since(const struct io *io, qr_time at)
{
    return io->polled_from >= at;
}

void io_plain(struct io *io)
{
    if (!io->plain) {
        io->plain = true;
        io->special--;
    }
}

bool io_take_special(struct io *io)
{
    bool special = io->special > 0;
    io->special = 0;
    return special;
}

static const struct io_kind part_of_io = { .closed = NULL };

struct io *io_new(void)
{
    struct io *io = qr_zalloc(sizeof *io);
    io->plain = true;
    int failed = uv_loop_init(&io->loop);
    qr_assert(failed == 0);
    uv_prepare_init(&io->loop, &io->prepare);
    io_handle_init(&io->prepare, &part_of_io);
    uv_prepare_start(&io->prepare, on_prepare);
    uv_check_init(&io->loop, &io->check);
    io_handle_init(&io->check, &part_of_io);
    uv_check_start(&io->check, on_check);
    io_linger_init(io);
    signal(SIGPIPE, SIG_IGN);
    io->failpoints = failpoints_map();
    return io;
}

static void close_handle(uv_handle_t *handle, void *context)
{
    (void)context;
    if (!uv_is_closing(handle)) {
        const struct io_kind *kind = uv_handle_get_data(handle);
        uv_close(handle, kind->closed);
    }
}

void io_free(struct io *io)
{
    io->freeing = true;
    io->turn = NULL;
    /* A completion may open something new, hence the second walk and run. */
    int busy = UV_EBUSY;
    for (int i = 0; i < 3 && busy != 0; i++) {
        uv_walk(&io->loop, close_handle, NULL);
        uv_run(&io->loop, UV_RUN_DEFAULT);
        busy = uv_loop_close(&io->loop);
    }
    qr_assert(busy == 0);
    failpoints_unmap(io->failpoints);
    free(io->swallow);
    free(io->spare_write);
    free(io);
}

void io_run(struct io *io, void (*turn)(void *context), void *context)
{
    io->turn = turn;
    io->turn_context = context;
    io_touch(io);
    uv_run(&io->loop, UV_RUN_DEFAULT);
}

qr_time io_turn_began(const struct io *io)
{
    return io->touched_at;
}

void io_stop(struct io *io)
{
    uv_stop(&io->loop);
}

/* --- Clocks and chance ---------------------------------------------------------------------- */

static int64_t microseconds(clockid_t clock)
{
    struct timespec t;
    int failed = clock_gettime(clock, &t);
    qr_assert(failed == 0);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

qr_time io_now(struct io *io)
{
    (void)io;
    return microseconds(CLOCK_BOOTTIME);
}

void io_boot(struct io *io, char out[IO_BOOT_BYTES])
{
    (void)io;
    out[0] = 0;
#ifdef QUORATE_FAILPOINTS
    const char *pretended = getenv("QUORATE_PRETEND_BOOT"); /* the machine has lost its power */
    if (pretended != NULL) {
        (void)snprintf(out, IO_BOOT_BYTES, "%s", pretended);
        return;
    }
#endif
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, out, IO_BOOT_BYTES - 1) : 0;
    out[n > 0 ? n : 0] = 0;
    out[strcspn(out, "\n")] = 0;
    if (fd >= 0) {
        (void)close(fd);
    }
}

qr_wall io_wall(struct io *io)
{
    (void)io;
    return microseconds(CLOCK_REALTIME);
}

void io_random(struct io *io, void *p, size_t n)
{
    (void)io;
    for (size_t at = 0; at < n;) {
        ssize_t got = getrandom((uint8_t *)p + at, n - at, 0);
        if (got > 0) {
            at += (size_t)got;
        } else {
            qr_assert(errno == EINTR);
        }
    }
}

/* --- Timers --------------------------------------------------------------------------------- */

struct timer {
    uv_timer_t handle; /* first, see struct io_kind */
    struct io *io;
    struct io_timer *owner;
    qr_time at;
    qr_time armed; /* libuv has it for then */
};

static void timer_closed(uv_handle_t *handle)
{
    free(handle);
}

static const struct io_kind timer_kind = { .closed = timer_closed };

static void arm(struct timer *t);

static void on_timer(uv_timer_t *handle)
{
    struct timer *t = (struct timer *)handle;
    if (io_now(t->io) < t->at) {
        arm(t);
        return;
    }
    io_touch(t->io);
    t->io->in_timer = true;
    t->owner->fire(t->owner);
    t->io->in_timer = false;
}

/* libuv counts whole milliseconds of a clock that it reads once per turn. We ask for the first
 * millisecond that does not lie before the deadline. */
static void arm(struct timer *t)
{
    uv_loop_t *loop = &t->io->loop;
    t->armed = t->at;
    uv_update_time(loop);
    qr_time wait = t->at - io_now(t->io);
    uint64_t delay_ms = 0;
    if (wait > 0) {
        uint64_t due_ns = uv_hrtime() + (uint64_t)wait * 1000;
        delay_ms = (due_ns + 999999) / 1000000 - uv_now(loop);
    } else if (t->io->in_timer) {
        /* libuv would fire it again within this very turn, and sockets would starve. */
        delay_ms = 1;
    }
    uv_timer_start(&t->handle, on_timer, delay_ms, 0);
}

void io_timer_start(struct io *io, struct io_timer *timer, qr_time at)
{
    qr_assert(timer->fire != NULL);
    if (at == QR_NEVER) {
        io_timer_stop(timer);
        return;
    }
    struct timer *t = timer->impl;
    if (t == NULL) {
        t = qr_zalloc(sizeof *t);
        uv_timer_init(&io->loop, &t->handle);
        io_handle_init(&t->handle, &timer_kind);
        t->io = io;
        t->owner = timer;
        timer->impl = t;
    }
    qr_assert(t->owner == timer); /* a struct io_timer must not be copied or moved */
    t->at = at;
    /* An owner that puts it off again and again, as a node does with each turn, pays when it would
     * have fired. */
    if (at < t->armed || !uv_is_active((const uv_handle_t *)&t->handle)) {
        arm(t);
    }
}

void io_timer_stop(struct io_timer *timer)
{
    struct timer *t = timer->impl;
    if (t != NULL) {
        uv_timer_stop(&t->handle);
    }
}

void io_timer_free(struct io_timer *timer)
{
    struct timer *t = timer->impl;
    if (t != NULL) {
        uv_close((uv_handle_t *)&t->handle, timer_closed);
    }
    *timer = (struct io_timer){ 0 };
}

/* --- Signals -------------------------------------------------------------------------------- */

struct signal_watch {
    uv_signal_t handle; /* first, see struct io_kind */
    struct io *io;
    void (*fire)(void *context, int signal_number);
    void *context;
};

static void signal_closed(uv_handle_t *handle)
{
    free(handle);
}

static const struct io_kind signal_kind = { .closed = signal_closed };

static void on_signal(uv_signal_t *handle, int signal_number)
{
    struct signal_watch *watch = (struct signal_watch *)handle;
    io_touch(watch->io);
    watch->fire(watch->context, signal_number);
}

int io_on_signal(struct io *io, int signal_number, void (*fire)(void *context, int signal_number),
                 void *context)
{
    struct signal_watch *watch = qr_zalloc(sizeof *watch);
    uv_signal_init(&io->loop, &watch->handle);
    io_handle_init(&watch->handle, &signal_kind);
    watch->io = io;
    watch->fire = fire;
    watch->context = context;
    int failed = uv_signal_start(&watch->handle, on_signal, signal_number);
    if (failed != 0) {
        uv_close((uv_handle_t *)&watch->handle, signal_closed);
    }
    return failed;
}

/* --- Helper threads ------------------------------------------------------------------------- */

struct offload {
    uv_work_t request; /* first: libuv hands it back */
    struct io *io;
    void (*work)(void *context);
    void (*done)(void *context);
    void *context;
};

static void on_work(uv_work_t *request)
{
    struct offload *o = (struct offload *)request;
    o->work(o->context);
}

static void on_work_done(uv_work_t *request, int status)
{
    struct offload *o = (struct offload *)request;
    qr_assert(status == 0); /* nobody cancels work */
    io_touch(o->io);
    o->done(o->context);
    free(o);
}

int io_offload(struct io *io, void (*work)(void *context), void (*done)(void *context),
               void *context)
{
    qr_assert(work != NULL && done != NULL);
    struct offload *o = qr_alloc(sizeof *o);
    *o = (struct offload){ .io = io, .work = work, .done = done, .context = context };
    int failed = uv_queue_work(&io->loop, &o->request, on_work, on_work_done);
    if (failed != 0) {
        free(o);
    }
    return failed;
}

static void nothing(void *context)
{
    (void)context;
}

void io_aside(struct io *io, void (*work)(void *context), void *context)
{
    if (io_offload(io, work, nothing, context) != 0) {
        work(context);
    }
}
