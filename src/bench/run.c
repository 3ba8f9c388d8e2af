/* The phases of a run, and its loop: connect, fill, run (warm-up included), drain, over.
 *
 * Without a rate each connection sends when a reply has come. With one, the dispatcher sends what
 * is due on connections with room, in turn; when there is none it keeps no queue: arrival number n
 * is due at n / rate, however late it is sent. */
#include "bench/bench_internal.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define EVENTS 512
#define TICK_NS (50 * 1000000)
#define TICK_SLEEPING_NS (2 * 1000000) /* while somebody waits to dial or to send again */

int64_t bench_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * SECOND_NS + t.tv_nsec;
}

void bench_fail(struct bench *b, const char *format, ...)
{
    if (!b->failed) {
        va_list arguments;
        va_start(arguments, format);
        (void)vsnprintf(b->reason, sizeof b->reason, format, arguments);
        va_end(arguments);
        b->failed = true;
    }
}

static struct usage usage_now(const struct bench *b)
{
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return (struct usage){ .cpu_s = (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
                                    (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6,
                           .bytes_in = b->tally.bytes_in,
                           .bytes_out = b->tally.bytes_out };
}

/* --- Phases ---------------------------------------------------------------------------------- */

static void send_all(struct bench *b)
{
    for (uint32_t i = 0; i < b->session_count && !b->failed; i++) {
        b->now = bench_clock();
        if (b->sessions != NULL) {
            session_send(b, i);
        } else {
            client_send(b, &b->clients[i]);
        }
    }
}

static void begin_run(struct bench *b)
{
    const struct bench_options *o = &b->options;
    b->phase = PHASE_RUN;
    b->run_began = b->now = b->last_good = bench_clock();
    b->measure_from = b->run_began + (int64_t)(o->warmup_s * SECOND_NS);
    b->measure_to =
        o->duration_s > 0 ? b->measure_from + (int64_t)(o->duration_s * SECOND_NS) : INT64_MAX;
    b->last_done = b->measure_from;
    gap_start(&b->tally.any, b->now);
    gap_start(&b->tally.read, b->now);
    gap_start(&b->tally.write, b->now);
    for (uint32_t i = 0; i < b->session_count; i++) {
        gap_start(&b->clients[i].gap, b->now);
    }
    if (o->limited && o->requests == 0) {
        b->phase = PHASE_OVER;
    } else if (o->rate == 0) {
        send_all(b);
    }
}

static void begin_fill(struct bench *b)
{
    b->last_good = b->now;
    b->phase = PHASE_FILL;
    send_all(b);
}

/* How many connections there should be. With --cluster these are to all that have slots. */
static uint32_t expected(struct bench *b, bool late)
{
    uint32_t slot = 0, count = 0;
    if (b->sessions == NULL) {
        return b->client_count;
    }
    if (b->tally.maps == 0 || !routes_cover(b, &slot)) {
        routes_doubt(b);
        if (late && b->tally.maps > 0 && !b->options.reconnect) {
            bench_fail(b, "no server has slot %u", slot);
        }
        return UINT32_MAX;
    }
    session_dial_all(b);
    for (uint32_t i = 0; i < b->endpoint_count; i++) {
        count += b->endpoints[i].serves ? b->session_count : 0;
    }
    return count;
}

/* With --reconnect a server may be missing from the beginning, but not all of them. */
static void advance_connect(struct bench *b)
{
    bool late = (double)(b->now - b->began) > b->options.timeout_s * SECOND_NS;
    if (b->open >= expected(b, late) || (b->open > 0 && late)) {
        if (b->options.fill) {
            begin_fill(b);
        } else {
            begin_run(b);
        }
    } else if (late && b->options.reconnect) {
        bench_fail(b, "none of the servers answers within %g s", b->options.timeout_s);
    }
}

static void begin_drain(struct bench *b)
{
    b->phase = PHASE_DRAIN;
    b->drain_began = b->now;
}

/* Arrivals that were due and could not be sent. */
static void count_unsent(struct bench *b)
{
    int64_t end = b->interrupted && b->now < b->measure_to ? b->now : b->measure_to;
    if (b->options.rate > 0 && end != INT64_MAX && !b->options.limited && source_due(b) < end) {
        b->overdue = end - source_due(b);
        b->unsent = (uint64_t)ceil((double)b->overdue * b->options.rate / SECOND_NS);
    }
}

static bool all_is_sent(const struct bench *b)
{
    return b->options.rate == 0 || source_due(b) >= b->measure_to ||
           b->now - DRAIN_GRACE_NS >= b->measure_to ||
           (b->options.limited && b->measured == b->options.requests);
}

static void advance(struct bench *b)
{
    const struct bench_options *o = &b->options;
    if (b->phase >= PHASE_RUN && !b->measuring && b->now >= b->measure_from) {
        b->measuring = true;
        b->usage_from = usage_now(b);
    }
    switch (b->phase) {
    case PHASE_CONNECT:
        advance_connect(b);
        break;
    case PHASE_FILL:
        if (b->fill_next == o->keys && b->again_n == 0 && b->in_flight == 0) {
            begin_run(b);
        }
        break;
    case PHASE_RUN:
        if (b->now >= b->measure_to || (o->limited && b->measured == o->requests)) {
            begin_drain(b);
        }
        break;
    case PHASE_DRAIN:
        if (b->sessions != NULL && b->now - DRAIN_GRACE_NS >= b->drain_began) {
            session_give_up(b); /* what has nobody to go to */
        }
        if (b->in_flight == 0 && all_is_sent(b)) {
            b->phase = PHASE_OVER;
        }
        break;
    case PHASE_OVER:
        break;
    }
    if (o->reconnect && (b->phase == PHASE_FILL || b->phase == PHASE_RUN) &&
        (double)(b->now - b->last_good) > o->give_up_s * SECOND_NS) {
        bench_fail(b, "no server has carried out anything for %g s", o->give_up_s);
    }
}

/* --- The dispatcher -------------------------------------------------------------------------- */

static bool may_take(const struct bench *b, uint32_t session)
{
    return b->sessions != NULL ? session_may_take(b, session)
                               : client_may_send(b, &b->clients[session]);
}

static bool take(struct bench *b, uint32_t session)
{
    if (b->sessions != NULL) {
        return session_take(b, session);
    }
    bool due = client_take_operation(b, &b->clients[session]);
    if (due) {
        client_mark(b, &b->clients[session]);
    }
    return due;
}

/* Sends what is due. False when something is due for which no connection has room. */
static bool dispatch(struct bench *b)
{
    uint32_t refused = 0;
    bool due = b->options.rate > 0 && (b->phase == PHASE_RUN || b->phase == PHASE_DRAIN);
    while (due && refused < b->session_count) {
        uint32_t session = b->turn;
        b->turn = b->turn + 1 == b->session_count ? 0 : b->turn + 1;
        if (!may_take(b, session)) {
            refused++;
            continue;
        }
        refused = 0;
        due = take(b, session);
    }
    for (uint32_t i = 0; i < b->dirty_n; i++) {
        struct client *c = &b->clients[b->dirty[i]];
        c->dirty = false;
        (void)client_push(b, c);
    }
    b->dirty_n = 0;
    return !due;
}

/* --- The loop -------------------------------------------------------------------------------- */

/* Somebody waits for a moment that only a tick finds. */
static bool busy_waiting(const struct bench *b)
{
    return b->sleeping > 0 || (b->routes != NULL && routes_doubted(b));
}

static void tick(struct bench *b)
{
    for (uint32_t i = 0; i < b->client_count && !b->failed; i++) {
        client_tick(b, &b->clients[i]);
    }
    if (b->sessions != NULL && !b->failed) {
        routes_tick(b);
        send_all(b);
    }
    b->next_tick = b->now + (busy_waiting(b) ? TICK_SLEEPING_NS : TICK_NS);
    if (b->show_progress && b->now >= b->progress_next) {
        progress_print(b);
    }
}

/* When there is something to do without an event. */
static int64_t next_moment(const struct bench *b, bool room)
{
    int64_t next = b->next_tick;
    bool sleeping = busy_waiting(b) && next > b->now + TICK_SLEEPING_NS;
    next = sleeping ? b->now + TICK_SLEEPING_NS : next;
    if (b->phase == PHASE_RUN && b->measure_to < next) {
        next = b->measure_to;
    }
    if (b->phase == PHASE_RUN && !b->measuring && b->measure_from < next) {
        next = b->measure_from;
    }
    if (b->phase == PHASE_RUN && b->options.rate > 0 && room && source_due(b) < next) {
        next = source_due(b);
    }
    return next;
}

static int wait_events(struct bench *b, struct epoll_event *events, bool room)
{
    int64_t left = next_moment(b, room) - bench_clock();
    left = left > 0 ? left : 0;
    struct timespec patience = { .tv_sec = left / SECOND_NS, .tv_nsec = left % SECOND_NS };
    int n = epoll_pwait2(b->epoll, events, EVENTS, &patience, NULL);
    if (n < 0 && errno == ENOSYS) { /* Linux before 5.11: milliseconds */
        n = epoll_wait(b->epoll, events, EVENTS, (int)(left / 1000000));
    }
    if (n < 0 && errno != EINTR) {
        bench_fail(b, "epoll: %s", strerror(errno));
    }
    return n < 0 ? 0 : n;
}

static void handle(struct bench *b, const struct epoll_event *event)
{
    if (event->data.ptr == NULL) { /* a signal */
        b->interrupted = true;
        b->phase = PHASE_OVER;
        return;
    }
    if (event->data.ptr == b->routes) {
        routes_event(b);
        return;
    }
    client_event(b, event->data.ptr, event->events);
}

void bench_run(struct bench *b)
{
    struct epoll_event events[EVENTS];
    bool room = true;
    b->began = b->now = b->last_good = bench_clock();
    b->progress_next = b->began + SECOND_NS;
    for (uint32_t i = 0; b->sessions == NULL && i < b->client_count && !b->failed; i++) {
        client_dial(b, &b->clients[i]);
    }
    while (b->phase != PHASE_OVER && !b->failed) {
        int n = wait_events(b, events, room);
        b->now = bench_clock();
        for (int i = 0; i < n && b->phase != PHASE_OVER && !b->failed; i++) {
            handle(b, &events[i]);
        }
        b->now = bench_clock();
        if (b->now >= b->next_tick) {
            tick(b);
        }
        if (!b->failed && !b->interrupted) {
            advance(b);
            room = dispatch(b);
        }
    }
    b->now = bench_clock();
    b->usage_to = usage_now(b);
    count_unsent(b);
    if (b->options.reconnect && b->run_began > 0) {
        gap_ends(&b->tally.any, b->now);
        gap_ends(&b->tally.read, b->now);
        gap_ends(&b->tally.write, b->now);
        for (uint32_t i = 0; i < b->session_count; i++) {
            gap_ends(&b->clients[i].gap, b->now);
        }
    }
    if (b->sessions != NULL) {
        session_give_up(b);
    }
    for (uint32_t i = 0; i < b->client_count; i++) { /* an interrupted run leaves them open */
        struct client *c = &b->clients[i];
        while (c->in_flight > 0) {
            struct flight f = client_pop(b, c);
            if (!f.asking) {
                source_unknown(b, c, &f);
            }
        }
        if (c->fd >= 0) {
            close(c->fd);
        }
    }
}
