/* `quorate up`: runs a cluster on this machine and watches over it.
 *
 * One loop over poll: a signalfd (children that died, Ctrl-C), each node's output, each node's
 * reports. Nothing here knows what the nodes do with each other. */
#include "main/main.h"

#include "base/alloc.h"
#include "main/up.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A node that had worked comes back while clients still knock where it was: one that finds it there
 * within its first retries is told who leads now. One that did not get so far is not hurried. */
#define RESTART_DELAY (100 * QR_MILLISECOND)
#define RESTART_DELAY_UNREADY QR_SECOND
#define STOP_PATIENCE (10 * QR_SECOND)
/* A second SIGINT counts as a second wish only after this: some senders signal the process and its
 * group, and one Ctrl-C would arrive twice. */
#define SECOND_WISH (QR_SECOND / 2)

struct up {
    struct up_options options;
    struct up_child children[MEMBERS_MAX];
    int signal_fd;
    bool stopping, killed;
    bool announced;  /* that all nodes are ready */
    qr_time kill_at; /* when patience with those that should stop ends */
    int exit_code;
};

static qr_time now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return (qr_time)t.tv_sec * QR_SECOND + t.tv_nsec / 1000;
}

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("    up | ", stdout);
    vprintf(format, arguments);
    fputc('\n', stdout);
    fflush(stdout);
    va_end(arguments);
}

/* --- Arguments ------------------------------------------------------------------------------ */

static bool number(const char *name, const char *text, uint32_t min, uint32_t max, uint32_t *out)
{
    char *end = NULL;
    errno = 0;
    unsigned long value = text != NULL ? strtoul(text, &end, 10) : 0;
    if (text == NULL || *text < '0' || *text > '9' || *end != 0 || errno != 0 || value < min ||
        value > max) {
        fprintf(stderr, "quorate up: %s wants a number from %u to %u\n", name, min, max);
        return false;
    }
    *out = (uint32_t)value;
    return true;
}

static bool server_options(struct up_options *options, int count, char **values)
{
    if (count > UP_OPTIONS_MAX) {
        fprintf(stderr, "quorate up: more than %d arguments after --\n", UP_OPTIONS_MAX);
        return false;
    }
    memcpy(options->server_options, values, (size_t)count * sizeof *values);
    options->server_option_count = count;
    return true;
}

static bool one_argument(struct up_options *options, const char *name, const char *value)
{
    if (strcmp(name, "--nodes") == 0) {
        return number(name, value, 1, MEMBERS_MAX, &options->nodes);
    }
    if (strcmp(name, "--base-port") == 0) {
        return number(name, value, 1, 65535 - 10000 - MEMBERS_MAX, &options->base_port);
    }
    if (strcmp(name, "--data") == 0 && value != NULL && value[0] != 0 &&
        strlen(value) < sizeof options->data) {
        snprintf(options->data, sizeof options->data, "%s", value);
        return true;
    }
    if (strcmp(name, "--data") == 0) {
        fprintf(stderr, "quorate up: --data wants the path of a directory\n");
    } else {
        fprintf(stderr, "quorate up: unknown option '%s'; see quorate up --help\n", name);
    }
    return false;
}

static bool parse_arguments(struct up_options *options, int argc, char **argv)
{
    *options = (struct up_options){ .data = "quorate-data", .restart = true };
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--") == 0) {
            return server_options(options, argc - i - 1, argv + i + 1);
        }
        if (strcmp(argv[i], "--no-restart") == 0) {
            options->restart = false;
        } else if (one_argument(options, argv[i], i + 1 < argc ? argv[i + 1] : NULL)) {
            i++;
        } else {
            return false;
        }
    }
    return true;
}

/* --- Starting and stopping ------------------------------------------------------------------ */

static void stop_all(struct up *up, int exit_code)
{
    if (up->stopping) {
        return;
    }
    up->stopping = true;
    up->exit_code = exit_code;
    up->kill_at = now() + STOP_PATIENCE;
    for (uint32_t i = 0; i < up->options.nodes; i++) {
        up_child_signal(&up->children[i], SIGTERM);
        up_child_signal(&up->children[i], SIGCONT); /* a stopped one could not hear it */
    }
}

static void kill_all(struct up *up)
{
    up->killed = true;
    for (uint32_t i = 0; i < up->options.nodes; i++) {
        up_child_signal(&up->children[i], SIGKILL);
    }
}

static uint32_t running(const struct up *up)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < up->options.nodes; i++) {
        count += up->children[i].pid != 0;
    }
    return count;
}

static bool start(struct up *up, struct up_child *child)
{
    child->restart_at = QR_NEVER;
    if (!up_child_start(child, &up->options)) {
        stop_all(up, 1);
        return false;
    }
    say("node %u: pid %d, redis-cli -p %u, http://127.0.0.1:%u/metrics", child->id, (int)child->pid,
        child->port, (unsigned)child->port + UP_METRICS_OFFSET);
    return true;
}

static void start_due(struct up *up)
{
    for (uint32_t i = 0; i < up->options.nodes && !up->stopping; i++) {
        struct up_child *child = &up->children[i];
        if (child->pid == 0 && child->restart_at <= now()) {
            start(up, child);
        }
    }
}

/* --- What happens --------------------------------------------------------------------------- */

static void describe_end(int status, char *p, size_t n)
{
    if (WIFSIGNALED(status)) {
        snprintf(p, n, "was killed by SIG%s", sigabbrev_np(WTERMSIG(status)));
    } else {
        snprintf(p, n, "ended with exit code %d", WEXITSTATUS(status));
    }
}

static void on_death(struct up *up, struct up_child *child, int status)
{
    char how[64];
    describe_end(status, how, sizeof how);
    up_child_output(child);
    qr_time delay = child->ready ? RESTART_DELAY : RESTART_DELAY_UNREADY;
    child->pid = 0;
    child->ready = false;
    if (up->stopping) {
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
            say("node %u %s", child->id, how);
        }
    } else if (!child->was_ready && WIFEXITED(status) && WEXITSTATUS(status) != 0) {
        /* It never worked: the next try would not either. Its last line says why. */
        say("node %u %s before it was ready; stopping", child->id, how);
        stop_all(up, 1);
    } else if (up->options.restart) {
        say("node %u %s; restarting it in %d ms", child->id, how, (int)(delay / QR_MILLISECOND));
        child->restart_at = now() + delay;
    } else {
        say("node %u %s; it stays down", child->id, how);
        if (running(up) == 0) {
            say("no node is left");
            stop_all(up, 1);
        }
    }
}

static void reap(struct up *up)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (uint32_t i = 0; i < up->options.nodes; i++) {
            if (up->children[i].pid == pid) {
                on_death(up, &up->children[i], status);
            }
        }
    }
}

static void on_signals(struct up *up)
{
    struct signalfd_siginfo info;
    while (read(up->signal_fd, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGCHLD) {
            reap(up);
        } else if (!up->stopping) {
            say("stopping%s", info.ssi_signo == SIGINT ? "; Ctrl-C once more to kill" : "");
            stop_all(up, 0);
        } else if (info.ssi_signo == SIGINT && now() >= up->kill_at - STOP_PATIENCE + SECOND_WISH) {
            kill_all(up);
        }
    }
}

static void on_report(struct up *up, struct up_child *child)
{
    if (!up_child_report(child)) {
        return;
    }
    up_data_is_made(child);
    for (uint32_t i = 0; i < up->options.nodes; i++) {
        if (!up->children[i].ready) {
            return;
        }
    }
    if (!up->announced) {
        uint32_t port = up->options.base_port;
        say("all nodes are ready; try: redis-cli -p %u set greeting hello", port);
        say("clients that follow the leader by themselves: cluster nodes at port %u, sentinels of "
            "mymaster at port %u",
            port + UP_CLUSTER_OFFSET, port + UP_SENTINEL_OFFSET);
        say("all of it on one screen: %s status -p %u --watch", program_invocation_name, port);
        up->announced = true;
    }
}

/* --- The loop ------------------------------------------------------------------------------- */

static int patience_ms(const struct up *up)
{
    qr_time until = up->stopping && !up->killed ? up->kill_at : QR_NEVER;
    for (uint32_t i = 0; i < up->options.nodes && !up->stopping; i++) {
        if (up->children[i].pid == 0 && up->children[i].restart_at < until) {
            until = up->children[i].restart_at;
        }
    }
    if (until == QR_NEVER) {
        return -1;
    }
    qr_time wait = until - now();
    return wait <= 0 ? 0 : (int)(wait / 1000 + 1);
}

static void turn(struct up *up)
{
    struct pollfd fds[1 + 2 * MEMBERS_MAX];
    nfds_t n = 0;
    fds[n++] = (struct pollfd){ .fd = up->signal_fd, .events = POLLIN };
    for (uint32_t i = 0; i < up->options.nodes; i++) {
        fds[n++] = (struct pollfd){ .fd = up->children[i].output_fd, .events = POLLIN };
        fds[n++] = (struct pollfd){ .fd = up->children[i].notify_fd, .events = POLLIN };
    }
    if (poll(fds, n, patience_ms(up)) < 0 && errno != EINTR) {
        say("poll: %s", strerror(errno));
        stop_all(up, 1);
    }
    for (uint32_t i = 0; i < up->options.nodes; i++) {
        up_child_output(&up->children[i]);
        on_report(up, &up->children[i]);
    }
    on_signals(up);
    start_due(up);
    if (up->stopping && !up->killed && now() >= up->kill_at) {
        say("not all nodes stopped in time; killing them");
        kill_all(up);
    }
}

static bool listen_for_signals(struct up *up)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP); /* the terminal is gone */
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN); /* nobody reads us any more: no reason to leave the nodes alone */
    up->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (up->signal_fd < 0) {
        fprintf(stderr, "quorate up: no signalfd: %s\n", strerror(errno));
    }
    return up->signal_fd >= 0;
}

static bool prepare(struct up *up, char *cluster_id, size_t cap)
{
    if (!up_data_open(&up->options, cluster_id, cap) || !up_ports_free(&up->options) ||
        !listen_for_signals(up)) {
        return false;
    }
    for (uint32_t i = 0; i < up->options.nodes; i++) {
        struct up_child *child = &up->children[i];
        child->id = i + 1;
        child->port = (uint16_t)(up->options.base_port + i);
        up_data_paths(&up->options, child);
        if (!up_child_init(child)) {
            return false;
        }
    }
    return true;
}

int up_main(int argc, char **argv)
{
    struct up *up = qr_zalloc(sizeof *up);
    char cluster_id[33];
    if (!parse_arguments(&up->options, argc, argv) || !prepare(up, cluster_id, sizeof cluster_id)) {
        free(up);
        return 1;
    }
    say("%u node%s of cluster %s in %s", up->options.nodes, up->options.nodes == 1 ? "" : "s",
        cluster_id, up->options.data);
    start_due(up); /* all of them: restart_at is still 0 */
    while (!up->stopping || running(up) > 0) {
        turn(up);
    }
    say("stopped; the data stays in %s", up->options.data);
    int exit_code = up->exit_code;
    free(up);
    return exit_code;
}
