/* `quorate bench` from its arguments to its exit code. */
#include "bench/bench.h"

#include "base/alloc.h"
#include "bench/bench_internal.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define OWN_FILES 32
#define SERVERS_LIKELY 16     /* with --cluster; with more of them ulimit -n has to allow for it */
#define TIMER_SLACK_NS 1000ul /* the kernel's 50 us would show in latencies with --rate */

#define EXIT_FAILED 1
#define EXIT_USAGE 2
#define EXIT_INTERRUPTED 130

/* --- Preparing ------------------------------------------------------------------------------- */

static bool resolve(struct bench *b)
{
    bool found = true;
    for (; found && b->endpoint_count < b->options.address_count; b->endpoint_count++) {
        b->endpoints[b->endpoint_count].address = b->options.addresses[b->endpoint_count];
        found = endpoint_resolve(b, &b->endpoints[b->endpoint_count]);
    }
    return found;
}

/* Ctrl-C and SIGTERM become events of the loop. */
static void watch_signals(struct bench *b)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    b->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = NULL };
    if (b->signals < 0 || epoll_ctl(b->epoll, EPOLL_CTL_ADD, b->signals, &event) != 0) {
        bench_fail(b, "signals cannot be handled: %s", strerror(errno));
    }
}

static void raise_file_limit(const struct bench *b)
{
    struct rlimit limit;
    rlim_t wanted = OWN_FILES + b->options.connections * (b->options.cluster ? SERVERS_LIKELY : 1);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < wanted) {
        limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
        (void)setrlimit(RLIMIT_NOFILE, &limit); /* what is still missing shows as an error */
    }
}

static void make_clients(struct bench *b)
{
    const struct bench_options *o = &b->options;
    uint32_t slots = 1;
    b->fill_depth = (uint32_t)max_u64(min_u64(FILL_PIPELINE, FILL_BYTES / o->bytes_max), 1);
    b->fill_depth = (uint32_t)max_u64(b->fill_depth, o->pipeline);
    while (slots < (o->fill ? b->fill_depth : o->pipeline)) {
        slots *= 2;
    }
    slots *= o->cluster ? 2 : 1; /* each may have an ASKING in front */
    b->ring_mask = slots - 1;
    b->session_count = (uint32_t)o->connections;
    b->client_count = b->session_count * (o->cluster ? b->endpoint_count : 1);
    uint32_t room = b->session_count * (o->cluster ? BENCH_ENDPOINTS_MAX : 1);
    b->clients = qr_zalloc(room * sizeof *b->clients);
    b->dirty = qr_alloc(room * sizeof *b->dirty);
    if (o->fill) {
        b->again = qr_alloc((size_t)b->session_count * slots * sizeof *b->again);
    }
    for (uint32_t i = 0; i < room; i++) {
        struct client *c = &b->clients[i];
        c->number = i;
        c->fd = -1;
        c->address = o->cluster ? i / b->session_count : i % o->address_count;
    }
    if (o->cluster) {
        b->sessions = qr_zalloc(b->session_count * sizeof *b->sessions);
        for (uint32_t i = 0; i < b->session_count; i++) {
            b->sessions[i].queue = qr_alloc(slots * sizeof *b->sessions[i].queue);
        }
        routes_init(b);
    }
}

static void make_values(struct bench *b)
{
    struct bench_options *o = &b->options;
    uint32_t run = 0;
    if (!o->seeded && getrandom(&o->seed, sizeof o->seed, 0) != sizeof o->seed) {
        o->seed = (uint64_t)bench_clock();
    }
    o->seed = o->seeded ? o->seed : o->seed >> 32; /* short enough to be typed again */
    if (getrandom(&run, sizeof run, 0) != sizeof run) {
        run = (uint32_t)bench_clock();
    }
    b->rng = rng_from(o->seed);
    value_form_init(&b->form, o->check, run >> (32 - VALUE_RUN_BITS), o->seed,
                    (uint32_t)o->bytes_min, (uint32_t)o->bytes_max);
    b->picker = picker_new(&o->distribution, o->keys);
    b->ledger.next = 1;
    if (o->check) {
        ledger_init(&b->ledger, o->keys);
    }
}

static bool prepare(struct bench *b)
{
    const struct bench_options *o = &b->options;
    if (!resolve(b)) { /* first, while Ctrl-C still ends us by itself */
        return false;
    }
    if (o->history_path != NULL) {
        b->history = history_open(o->history_path);
        if (b->history == NULL) {
            bench_fail(b, "the history %s cannot be written: %s", o->history_path, strerror(errno));
            return false;
        }
    }
    (void)prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS, 0, 0, 0);
    raise_file_limit(b);
    b->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (b->epoll < 0) {
        bench_fail(b, "epoll: %s", strerror(errno));
        return false;
    }
    watch_signals(b);
    make_values(b);
    make_clients(b);
    request_prepare(b);
    b->input = qr_alloc(BENCH_INPUT_BYTES);
    b->progress_is_line = isatty(STDERR_FILENO) == 1;
    b->show_progress = o->progress || (b->progress_is_line && !o->no_progress);
    b->seen = qr_zalloc(sizeof *b->seen);
    return !b->failed;
}

static void let_go(struct bench *b)
{
    for (uint32_t i = 0; b->clients != NULL && i < b->client_count; i++) {
        free(b->clients[i].ring); /* none where it never dialed */
        free(b->clients[i].out);
        free(b->clients[i].carry);
    }
    for (uint32_t i = 0; b->sessions != NULL && i < b->session_count; i++) {
        free(b->sessions[i].queue);
    }
    routes_free(b);
    free(b->sessions);
    free(b->clients);
    free(b->dirty);
    free(b->again);
    free(b->input);
    free(b->seen);
    ledger_free(&b->ledger);
    free(b);
}

/* --- The end --------------------------------------------------------------------------------- */

static void close_history(struct bench *b)
{
    if (b->history != NULL && !history_close(b->history)) {
        bench_fail(b, "the history %s could not be written: %s", b->options.history_path,
                   strerror(errno));
    }
}

/* A run in which nothing was ever done has no figures either. */
static void judge(struct bench *b)
{
    bool asked = !(b->options.limited && b->options.requests == 0);
    if (!b->interrupted && asked && b->tally.reads.count + b->tally.writes.count == 0) {
        bench_fail(b, "nothing was measured: no request that counts was answered as it should be");
    }
}

static bool write_json(struct bench *b)
{
    const char *path = b->options.json_path;
    if (path == NULL) {
        return true;
    }
    if (strcmp(path, "-") == 0) {
        json_print(b, stdout);
        return fflush(stdout) == 0;
    }
    FILE *out = fopen(path, "we");
    bool good = out != NULL;
    if (good) {
        json_print(b, out);
        good = ferror(out) == 0;
        good = fclose(out) == 0 && good;
    }
    if (!good) {
        (void)fprintf(stderr, "quorate bench: %s cannot be written: %s\n", path, strerror(errno));
    }
    return good;
}

static int finish(struct bench *b)
{
    bool to_stdout = b->options.json_path != NULL && strcmp(b->options.json_path, "-") == 0;
    progress_end(b);
    close_history(b);
    judge(b);
    if (b->failed) {
        (void)fprintf(stderr, "quorate bench: %s\n", b->reason);
    } else if (!to_stdout) {
        report_print(b, stdout);
    }
    bool written = write_json(b) && fflush(stdout) == 0;
    return b->failed || !written ? EXIT_FAILED : b->interrupted ? EXIT_INTERRUPTED : 0;
}

int bench_main(int argc, char **argv)
{
    struct bench *b = qr_zalloc(sizeof *b);
    char message[512];
    b->epoll = b->signals = -1;
    if (!bench_options_parse(&b->options, argc, argv, message, sizeof message)) {
        (void)fprintf(stderr, "quorate bench: %s\n", message);
        free(b);
        return EXIT_USAGE;
    }
    if (prepare(b)) {
        bench_run(b);
    }
    int code = finish(b);
    let_go(b);
    return code;
}
