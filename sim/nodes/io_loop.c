/* io.h for a process of the realm: loop, clocks, timers, helper threads.
 *
 * A turn has the order of the real one (src/io/loop.c): timers, turn, poll, turn, closed streams.
 * Between two of them the process is away for as long as what it did has taken. */
#include "sim/nodes/io_sim.h"

#include "sim/nodes/drive.h"

#include <errno.h>

#define NOW_NS 40u
#define TURN_NS 2000u
#define CALLBACK_NS 500u

void io_touch(struct io *io)
{
    process_spend(io->process, CALLBACK_NS);
    io->special++;
    io->plain = false;
    if (!io->touched) {
        io->touched = true;
        io->touched_at = io_now(io);
    }
}

static void run_turn(struct io *io)
{
    if (io->touched && io->turn != NULL) {
        io->touched = false;
        io->plain = true;
        process_spend(io->process, TURN_NS);
        io->turn(io->turn_context);
    }
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

struct io *io_new(void)
{
    struct process *p = process_running();
    qr_assert(p != NULL && p->io == NULL);
    struct process *before = memory_for(NULL);
    struct io *io = qr_zalloc(sizeof *io);
    (void)memory_for(before);
    io->process = p;
    io->plain = true;
    p->io = io;
    return io;
}

qr_time io_turn_began(const struct io *io)
{
    return io->touched_at;
}

void io_stop(struct io *io)
{
    io->stopping = true;
}

/* --- Clocks and chance ---------------------------------------------------------------------- */

qr_time io_now(struct io *io)
{
    process_spend(io->process, NOW_NS);
    return host_boottime(io->process->host, process_time(io->process));
}

void io_boot(struct io *io, char out[IO_BOOT_BYTES])
{
    (void)snprintf(out, IO_BOOT_BYTES, "run %u", io->process->host->losses);
}

qr_wall io_wall(struct io *io)
{
    process_spend(io->process, NOW_NS);
    return host_wall(io->process->host, process_time(io->process));
}

void io_random(struct io *io, void *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        ((uint8_t *)p)[i] = (uint8_t)rng_next(&io->process->random);
    }
}

/* --- Timers --------------------------------------------------------------------------------- */

struct timer {
    struct timer *next;
    struct io *io;
    struct io_timer *owner;
    qr_time at;     /* QR_NEVER: it is stopped */
    uint64_t armed; /* the turn in which it was started */
};

void io_timer_start(struct io *io, struct io_timer *timer, qr_time at)
{
    qr_assert(timer->fire != NULL);
    struct timer *t = timer->impl;
    if (t == NULL) {
        struct process *before = memory_for(NULL);
        t = qr_zalloc(sizeof *t);
        (void)memory_for(before);
        t->io = io;
        t->owner = timer;
        t->next = io->timers;
        io->timers = t;
        timer->impl = t;
    }
    qr_assert(t->owner == timer);
    t->at = at;
    t->armed = io->turns;
}

void io_timer_stop(struct io_timer *timer)
{
    struct timer *t = timer->impl;
    if (t != NULL) {
        t->at = QR_NEVER;
    }
}

void io_timer_free(struct io_timer *timer)
{
    struct timer *t = timer->impl;
    if (t != NULL) {
        struct timer **link = &t->io->timers;
        while (*link != t) {
            link = &(*link)->next;
        }
        *link = t->next;
        free(t);
    }
    *timer = (struct io_timer){ 0 };
}

/* The earliest that is due and was not started by another one of this turn. */
static struct timer *due(const struct io *io, qr_time now)
{
    struct timer *first = NULL;
    for (struct timer *t = io->timers; t != NULL; t = t->next) {
        if (t->at <= now && t->armed != io->turns && (first == NULL || t->at < first->at)) {
            first = t;
        }
    }
    return first;
}

static void fire_timers(struct io *io)
{
    io->turns++;
    struct timer *t;
    while ((t = due(io, io_now(io))) != NULL) {
        t->at = QR_NEVER;
        io_touch(io);
        t->owner->fire(t->owner);
    }
}

static qr_time first_timer(const struct io *io)
{
    qr_time at = QR_NEVER;
    for (const struct timer *t = io->timers; t != NULL; t = t->next) {
        at = t->at < at ? t->at : at;
    }
    return at == QR_NEVER ? QR_NEVER : host_true_time(io->process->host, at);
}

/* --- Helper threads ------------------------------------------------------------------------- */

static void work_is_due(struct realm *realm, void *what, uint64_t life)
{
    (void)realm;
    const struct host *host = what;
    if (host->process != NULL && host->process->life == life) {
        process_poke(host->process);
    }
}

static void schedule(struct io *io, struct job *job, qr_time at)
{
    job->at = at;
    realm_at(io->process->realm, at, work_is_due, io->process->host, io->process->life);
}

struct job *io_job_new(struct io *io, qr_time at)
{
    struct process *before = memory_for(NULL);
    struct job *job = qr_zalloc(sizeof *job);
    (void)memory_for(before);
    if (io->last_job != NULL) {
        io->last_job->next = job;
    } else {
        io->jobs = job;
    }
    io->last_job = job;
    schedule(io, job, at);
    return job;
}

int io_offload(struct io *io, void (*work)(void *context), void (*done)(void *context),
               void *context)
{
    struct realm *realm = io->process->realm;
    qr_time now = process_time(io->process);
    struct job *job = io_job_new(io, now + 5 + (qr_time)rng_below(&realm->rng, 50));
    job->work = work;
    job->done = done;
    job->context = context;
    return 0;
}

void io_aside(struct io *io, void (*work)(void *context), void *context)
{
    (void)io_offload(io, work, NULL, context);
}

static struct job *due_job(const struct io *io)
{
    for (struct job *job = io->jobs; job != NULL; job = job->next) {
        if (job->at <= io->process->realm->now) {
            return job;
        }
    }
    return NULL;
}

static void job_free(struct io *io, struct job *job)
{
    struct job **link = &io->jobs;
    struct job *before = NULL;
    while (*link != job) {
        before = *link;
        link = &before->next;
    }
    *link = job->next;
    io->last_job = io->last_job == job ? before : io->last_job;
    free(job);
}

/* On a thread of its own: what it spends is not the loop's time. */
static void do_work(struct io *io, struct job *job)
{
    struct process *p = io->process;
    uint64_t spent = p->spent_ns;
    job->work(job->context);
    bool stood = p->spent_ns < spent; /* still, meanwhile: at a failpoint */
    qr_time took = (qr_time)((p->spent_ns - (stood ? 0 : spent)) / 1000);
    p->spent_ns = stood ? p->spent_ns : spent;
    job->work = NULL;
    schedule(io, job, p->realm->now + took + 1);
}

static void finish_job(struct io *io, struct job *job)
{
    struct io_write *write = job->write;
    void (*done)(void *context) = job->done;
    void *context = job->context;
    job->write = NULL; /* whoever dies within it has done what it has done */
    int error = write != NULL ? io_write_done(io, write) : 0;
    job_free(io, job);
    if (write != NULL) {
        io_touch(io);
        write->impl = NULL;
        write->done(write, error);
    } else if (done != NULL) {
        io_touch(io);
        done(context);
    }
}

static void poll_jobs(struct io *io)
{
    struct job *job;
    while ((job = due_job(io)) != NULL) {
        if (job->work != NULL) {
            do_work(io, job);
        } else {
            finish_job(io, job);
        }
    }
}

/* --- Running -------------------------------------------------------------------------------- */

int io_on_signal(struct io *io, int signal_number, void (*fire)(void *context, int signal_number),
                 void *context)
{
    qr_assert(signal_number < (int)(8 * sizeof io->signals));
    io->on_signal = fire; /* one for all of them */
    io->signal_context = context;
    return 0;
}

void process_signal(struct process *process, int number)
{
    if (process->io != NULL && process->io->on_signal != NULL) {
        process->io->signals |= 1u << number;
        process_poke(process);
    }
}

static void take_signals(struct io *io)
{
    for (int number = 1; io->signals != 0; number++) {
        if ((io->signals >> number & 1) != 0) {
            io->signals &= ~(1u << number);
            io->process->realm->felt[FAULT_term]++;
            io_touch(io);
            io->on_signal(io->signal_context, number);
        }
    }
}

static void away(struct io *io)
{
    bool ready = io->stopping || io->signals != 0 || due_job(io) != NULL || streams_ready(io);
    process_block(io->process, ready ? 0 : first_timer(io));
}

void io_run(struct io *io, void (*turn)(void *context), void *context)
{
    io->turn = turn;
    io->turn_context = context;
    io_touch(io);
    do {
        fire_timers(io);
        run_turn(io);
        io->poll_began = io_now(io);
        away(io);
        take_signals(io);
        streams_poll(io);
        poll_jobs(io);
        io->polled_from = io->poll_began;
        run_turn(io);
        streams_reap(io);
    } while (!io->stopping);
    io->stopping = false;
}

/* Of the loop as it stands: owners hear of completions only. */
void io_free(struct io *io)
{
    io->freeing = true;
    io->turn = NULL;
    while (io->jobs != NULL) {
        if (due_job(io) == NULL) {
            process_block(io->process, QR_NEVER);
        }
        poll_jobs(io);
    }
    io_forget(io->process, false);
}

void io_forget(struct process *process, bool power)
{
    struct io *io = process->io;
    if (io == NULL) {
        return;
    }
    streams_forget(io, power);
    while (io->jobs != NULL) {
        if (io->jobs->write != NULL) {
            io_write_dies(io, io->jobs);
        }
        job_free(io, io->jobs);
    }
    while (io->timers != NULL) {
        struct timer *t = io->timers;
        io->timers = t->next;
        if (io->freeing) {
            t->owner->impl = NULL;
        }
        free(t);
    }
    process->io = NULL;
    free(io);
}
