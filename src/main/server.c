/* `quorate server`: one node as a process. Reads the configuration, makes the node, and looks after
 * what belongs to the process and not to the node: signals, the pid file, the supervisor, the
 * number of open files, the exit code. */
#include "main/main.h"

#include "base/alloc.h"
#include "main/crash.h"
#include "main/heap.h"
#include "main/notify.h"
#include "node/config.h"
#include "node/logline.h"
#include "node/node.h"
#include "node/run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* Files of a node other than client connections: log, peers, checkpoint, the loop's own. */
#define OWN_FILES 128

struct server {
    struct config config;
    struct logger logger;
    struct node *node;
    struct heap heap;
    bool supervised;
    uint32_t interrupts; /* SIGINTs so far */
};

static void notify(struct server *server, const char *text)
{
    int error = server->supervised ? notify_supervisor(text) : 0;
    if (error != 0) {
        logger_line(&server->logger, LOGGER_WARNING, "The supervisor cannot be told %s: %s", text,
                    strerror(-error));
    }
}

/* --- Signals -------------------------------------------------------------------------------- */

static void on_stop_signal(void *context, int signal_number)
{
    struct server *server = context;
    if (signal_number == SIGINT && server->interrupts++ > 0) {
        /* The operator has no patience left. What was acknowledged is on disk. */
        logger_line(&server->logger, LOGGER_WARNING, "You insist: exiting at once");
        _exit(1);
    }
    logger_line(&server->logger, LOGGER_WARNING, "Received %s, scheduling shutdown...",
                signal_number == SIGINT ? "SIGINT" : "SIGTERM");
    notify(server, "STOPPING=1\nSTATUS=Stopping");
    node_stop(server->node);
}

static bool listen_for_signals(struct server *server)
{
    struct io *io = server->node->io;
    signal(SIGHUP, SIG_IGN);
    int error = io_on_signal(io, SIGTERM, on_stop_signal, server);
    if (error == 0) {
        error = io_on_signal(io, SIGINT, on_stop_signal, server);
    }
    if (error != 0) {
        logger_line(&server->logger, LOGGER_WARNING, "Signals cannot be handled: %s",
                    strerror(-error));
    }
    return error == 0;
}

/* --- The process ---------------------------------------------------------------------------- */

/* A connection is a file: raises the limit as far as the system allows. */
static void raise_file_limit(struct server *server)
{
    struct rlimit limit;
    rlim_t wanted = server->config.maxclients + OWN_FILES;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) {
        return;
    }
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < wanted) {
        logger_line(&server->logger, LOGGER_WARNING,
                    "The system allows %llu open files, which is too few for maxclients %u: some "
                    "clients will be refused. Raise 'ulimit -n' or lower maxclients",
                    (unsigned long long)limit.rlim_cur, server->config.maxclients);
    }
}

static bool write_pid_file(struct server *server)
{
    const char *path = server->config.pidfile;
    if (path[0] == 0) {
        return true;
    }
    FILE *file = fopen(path, "we");
    bool written = file != NULL && fprintf(file, "%d\n", (int)getpid()) > 0;
    if (file != NULL && fclose(file) != 0) {
        written = false;
    }
    if (!written) {
        logger_line(&server->logger, LOGGER_WARNING, "The pid file %s cannot be written: %s", path,
                    strerror(errno));
    }
    return written;
}

static void remove_pid_file(struct server *server)
{
    if (server->config.pidfile[0] != 0 && unlink(server->config.pidfile) != 0) {
        logger_line(&server->logger, LOGGER_WARNING, "The pid file %s cannot be removed: %s",
                    server->config.pidfile, strerror(errno));
    }
}

/* --- Life ----------------------------------------------------------------------------------- */

static bool configure(struct server *server, int argc, char **argv)
{
    char message[1024];
    config_defaults(&server->config);
    if (!config_parse_arguments(argc - 1, argv + 1, &server->config, message, sizeof message)) {
        fprintf(stderr, "quorate server: %s\n", message);
        return false;
    }
    server->logger = logger_from(&server->config);
    int error = logger_test(&server->logger);
    if (error != 0) {
        fprintf(stderr, "quorate server: the log file %s cannot be written: %s\n",
                server->logger.path, strerror(-error));
        return false;
    }
    const char *supervised = server->config.supervised;
    server->supervised = strcmp(supervised, "systemd") == 0 || strcmp(supervised, "auto") == 0;
    return true;
}

static int run(struct server *server)
{
    char message[1024];
    logger_line(&server->logger, LOGGER_NOTICE, "Quorate " QUORATE_VERSION " is starting, pid=%d",
                (int)getpid());
    logger_line(&server->logger, LOGGER_NOTICE, "Configuration loaded");
    if (server->config.notes[0] != 0) {
        logger_line(&server->logger, LOGGER_NOTICE, "Without effect here: %s",
                    server->config.notes);
    }
    raise_file_limit(server);
    notify(server, "STATUS=Loading");
    server->node = node_new(&server->config, message, sizeof message);
    if (server->node == NULL) {
        logger_line(&server->logger, LOGGER_WARNING, "%s", message);
        return 1;
    }
    if (!server->config.disable_thp) {
        heap_watch(&server->heap, server->node->io);
    }
    int code = 1;
    if (listen_for_signals(server) && write_pid_file(server)) {
        logger_line(&server->logger, LOGGER_NOTICE, "Ready to accept connections on port %u",
                    server->config.port);
        notify(server, "READY=1\nSTATUS=Ready to accept connections");
        code = node_run(server->node);
        remove_pid_file(server);
    }
    heap_close(&server->heap);
    node_free(server->node);
    if (code == 0) {
        logger_line(&server->logger, LOGGER_WARNING, "Quorate is now ready to exit, bye bye...");
    }
    return code;
}

int server_main(int argc, char **argv)
{
    crash_reports_on();
    struct server *server = qr_zalloc(sizeof *server);
    heap_begin(&server->heap);
    int code = configure(server, argc, argv) ? run(server) : 1;
    free(server);
    return code;
}
