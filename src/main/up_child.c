/* One node of `quorate up`: a real process that runs `quorate server`.
 *
 * Its output comes through a pipe whose writing end does not block: a terminal that stands still
 * must not stop a node. It reports through a datagram socket, as to systemd, when it is ready. It
 * has a process group of its own, so that a Ctrl-C reaches only us and the end is orderly, and it
 * is told to stop when we die, even by kill -9. */
#include "main/up.h"

#include "base/panic.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

bool up_child_init(struct up_child *child)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    child->output_fd = -1;
    snprintf(child->notify_name, sizeof child->notify_name, "@quorate-up-%d-%u", (int)getpid(),
             child->id);
    size_t n = strlen(child->notify_name);
    memcpy(address.sun_path, child->notify_name, n);
    address.sun_path[0] = 0; /* Linux's abstract name space: nothing to clean up */
    child->notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    if (child->notify_fd < 0 || bind(child->notify_fd, (struct sockaddr *)&address, size) != 0) {
        fprintf(stderr, "quorate up: no socket: %s\n", strerror(errno));
        return false;
    }
    return true;
}

/* --- Starting ------------------------------------------------------------------------------- */

/* In the new process: becomes the server, or ends. */
static _Noreturn void become_server(const struct up_child *child, const struct up_options *options,
                                    pid_t parent, int output)
{
    char *argv[UP_OPTIONS_MAX + 8];
    int n = 0;
    argv[n++] = (char *)(uintptr_t) "quorate";
    argv[n++] = (char *)(uintptr_t) "server";
    argv[n++] = (char *)(uintptr_t)child->config_path;
    argv[n++] = (char *)(uintptr_t) "--supervised";
    argv[n++] = (char *)(uintptr_t) "systemd";
    if (up_data_is_new(child)) {
        argv[n++] = (char *)(uintptr_t) "--bootstrap";
    }
    for (int i = 0; i < options->server_option_count; i++) {
        argv[n++] = options->server_options[i];
    }
    argv[n] = NULL;

    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) {
        _exit(1); /* it died before we could ask to be told */
    }
    int input = open("/dev/null", O_RDONLY);
    if (input < 0 || dup2(input, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0 ||
        dup2(output, STDERR_FILENO) < 0 || setenv("NOTIFY_SOCKET", child->notify_name, 1) != 0) {
        _exit(1);
    }
    execv("/proc/self/exe", argv);
    dprintf(STDERR_FILENO, "quorate up: /proc/self/exe cannot be run: %s\n", strerror(errno));
    _exit(1);
}

bool up_child_start(struct up_child *child, const struct up_options *options)
{
    int ends[2];
    qr_assert(child->pid == 0);
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
        fprintf(stderr, "quorate up: no pipe: %s\n", strerror(errno));
        return false;
    }
    fflush(NULL);
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        become_server(child, options, parent, ends[1]);
    }
    int error = errno;
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        fprintf(stderr, "quorate up: no process for node %u: %s\n", child->id, strerror(error));
        return false;
    }
    if (child->output_fd >= 0) {
        close(child->output_fd);
    }
    child->output_fd = ends[0];
    child->line_n = 0;
    child->pid = pid;
    child->ready = false;
    return true;
}

void up_child_signal(const struct up_child *child, int signal_number)
{
    if (child->pid > 0) {
        kill(child->pid, signal_number);
    }
}

/* --- Listening to it ------------------------------------------------------------------------ */

static void print_line(struct up_child *child)
{
    printf("node %u | %.*s\n", child->id, (int)child->line_n, child->line);
    child->line_n = 0;
}

void up_child_output(struct up_child *child)
{
    char buffer[4096];
    ssize_t n = 0;
    while (child->output_fd >= 0 && (n = read(child->output_fd, buffer, sizeof buffer)) > 0) {
        for (ssize_t i = 0; i < n; i++) {
            if (buffer[i] != '\n') {
                child->line[child->line_n++] = buffer[i];
            }
            if (buffer[i] == '\n' || child->line_n == sizeof child->line) {
                print_line(child);
            }
        }
    }
    if (child->output_fd >= 0 && (n == 0 || (errno != EAGAIN && errno != EINTR))) {
        if (child->line_n > 0) {
            print_line(child);
        }
        close(child->output_fd);
        child->output_fd = -1;
    }
    fflush(stdout);
}

bool up_child_report(struct up_child *child)
{
    char text[512];
    bool was = child->ready;
    ssize_t n;
    while ((n = recv(child->notify_fd, text, sizeof text - 1, 0)) >= 0) {
        text[n] = 0;
        if (strncmp(text, "READY=1", 7) == 0 || strstr(text, "\nREADY=1") != NULL) {
            child->ready = true;
            child->was_ready = true;
        }
    }
    return child->ready && !was;
}
