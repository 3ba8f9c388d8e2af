/* The data directory of `quorate up`:
 *
 *     lock                two of us must not use it at once
 *     up.conf             what it was made with: nodes, base-port, cluster-id, cluster-secret
 *     node-N.conf         configuration of node N, written anew at every start
 *     node-N.new          node N has not been made yet: its first start gets --bootstrap
 *     node-N/             its data directory
 *
 * up.conf is written last, by rename: without it the directory counts as not made. */
#include "main/up.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

struct made_with {
    uint32_t nodes, base_port;
    char cluster_id[33], secret[33];
};

static bool complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
static bool complain(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("quorate up: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    return false;
}

static void path_in(const struct up_options *options, const char *name, char *p)
{
    if (snprintf(p, UP_PATH_MAX, "%s/%s", options->data, name) >= UP_PATH_MAX) {
        p[0] = 0; /* up_data_open has made sure of room for every name of ours */
    }
}

static void random_hex(char p[33])
{
    uint8_t bytes[16];
    while (getrandom(bytes, sizeof bytes, 0) != sizeof bytes) {
    }
    for (size_t i = 0; i < sizeof bytes; i++) {
        snprintf(p + 2 * i, 3, "%02x", bytes[i]);
    }
}

/* Writes a file by way of a temporary one, synced, so that it is there whole or not at all. */
static bool write_file(const char *path, const char *text)
{
    char temporary[UP_PATH_MAX + 8];
    snprintf(temporary, sizeof temporary, "%s.tmp", path);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    size_t n = strlen(text);
    bool written = fd >= 0 && write(fd, text, n) == (ssize_t)n && fsync(fd) == 0;
    if (fd >= 0 && close(fd) != 0) {
        written = false;
    }
    if (!written || rename(temporary, path) != 0) {
        return complain("%s cannot be written: %s", path, strerror(errno));
    }
    return true;
}

/* --- What it was made with ------------------------------------------------------------------ */

static bool load(const char *path, struct made_with *made)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    int got =
        fscanf(file, "nodes %u base-port %u cluster-id %32[0-9a-f] cluster-secret %32[0-9a-f]",
               &made->nodes, &made->base_port, made->cluster_id, made->secret);
    fclose(file);
    return got == 4 && made->nodes >= 1 && made->nodes <= MEMBERS_MAX;
}

static bool same(const char *name, uint32_t asked, uint32_t made, const char *data)
{
    return asked == 0 || asked == made ||
           complain("%s was made with --%s %u, not %u: give the same again, or another --data",
                    data, name, made, asked);
}

static bool make(const struct up_options *options, struct made_with *made)
{
    char path[UP_PATH_MAX], name[32];
    *made = (struct made_with){ options->nodes != 0 ? options->nodes : 3,
                                options->base_port != 0 ? options->base_port : 7001, "", "" };
    random_hex(made->cluster_id);
    random_hex(made->secret);
    for (uint32_t id = 1; id <= made->nodes; id++) {
        snprintf(name, sizeof name, "node-%u.new", id);
        path_in(options, name, path);
        if (!write_file(path, "")) {
            return false;
        }
    }
    char text[256];
    snprintf(text, sizeof text, "nodes %u\nbase-port %u\ncluster-id %s\ncluster-secret %s\n",
             made->nodes, made->base_port, made->cluster_id, made->secret);
    path_in(options, "up.conf", path);
    return write_file(path, text);
}

static bool write_configs(const struct up_options *options, const struct made_with *made)
{
    char path[UP_PATH_MAX], name[32];
    for (uint32_t id = 1; id <= made->nodes; id++) {
        char text[UP_PATH_MAX + 512 + MEMBERS_MAX * 64];
        uint32_t port = made->base_port + id - 1;
        size_t n = (size_t)snprintf(
            text, sizeof text,
            "# Written by quorate up at every start; changes are lost.\n"
            "bind 127.0.0.1\nport %u\ncluster-port %u\nsentinel-port %u\nmetrics-port %u\n"
            "dir \"%s/node-%u\"\nnode-id %u\ncluster-id %s\ncluster-secret %s\n",
            port, port + UP_CLUSTER_OFFSET, port + UP_SENTINEL_OFFSET, port + UP_METRICS_OFFSET,
            options->data, id, id, made->cluster_id, made->secret);
        for (uint32_t member = 1; member <= made->nodes; member++) {
            n += (size_t)snprintf(text + n, sizeof text - n, "member %u 127.0.0.1 %u\n", member,
                                  made->base_port + member - 1);
        }
        snprintf(name, sizeof name, "node-%u.conf", id);
        path_in(options, name, path);
        if (!write_file(path, text)) {
            return false;
        }
    }
    return true;
}

/* --- Opening -------------------------------------------------------------------------------- */

static bool open_directory(struct up_options *options)
{
    if (mkdir(options->data, 0755) != 0 && errno != EEXIST) {
        return complain("%s cannot be made: %s", options->data, strerror(errno));
    }
    char *absolute = realpath(options->data, NULL);
    if (absolute == NULL || strlen(absolute) + 32 > sizeof options->data ||
        strpbrk(absolute, "\"\\\n") != NULL) {
        free(absolute);
        return complain("%s cannot be used as a data directory", options->data);
    }
    snprintf(options->data, sizeof options->data, "%s", absolute);
    free(absolute);

    char path[UP_PATH_MAX];
    path_in(options, "lock", path);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return complain("%s cannot be written: %s", path, strerror(errno));
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        close(fd);
        return complain("%s is in use by another quorate up", options->data);
    }
    return true; /* the descriptor stays open, and with it the lock, until we end */
}

bool up_data_open(struct up_options *options, char *cluster_id, size_t cap)
{
    struct made_with made = { 0 };
    char path[UP_PATH_MAX];
    if (!open_directory(options)) {
        return false;
    }
    path_in(options, "up.conf", path);
    if (access(path, F_OK) != 0) {
        if (!make(options, &made)) {
            return false;
        }
    } else if (!load(path, &made)) {
        return complain("%s is damaged or not ours: use another --data", path);
    }
    if (!same("nodes", options->nodes, made.nodes, options->data) ||
        !same("base-port", options->base_port, made.base_port, options->data)) {
        return false;
    }
    options->nodes = made.nodes;
    options->base_port = made.base_port;
    snprintf(cluster_id, cap, "%s", made.cluster_id);
    return write_configs(options, &made);
}

void up_data_paths(const struct up_options *options, struct up_child *child)
{
    char name[32];
    snprintf(name, sizeof name, "node-%u.conf", child->id);
    path_in(options, name, child->config_path);
    snprintf(name, sizeof name, "node-%u.new", child->id);
    path_in(options, name, child->new_path);
    snprintf(name, sizeof name, "node-%u/identity", child->id);
    path_in(options, name, child->identity_path);
}

bool up_data_is_new(const struct up_child *child)
{
    if (access(child->identity_path, F_OK) == 0) {
        up_data_is_made(child);
        return false;
    }
    return access(child->new_path, F_OK) == 0;
}

void up_data_is_made(const struct up_child *child)
{
    if (unlink(child->new_path) != 0 && errno != ENOENT) {
        complain("%s cannot be removed: %s", child->new_path, strerror(errno));
    }
}

/* --- Ports ---------------------------------------------------------------------------------- */

static bool port_free(uint32_t port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return complain("no socket: %s", strerror(errno));
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    bool free_now =
        bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 1) == 0;
    int error = errno;
    close(fd);
    return free_now || complain("port %u of 127.0.0.1 cannot be used: %s; stop what uses it, or "
                                "start a cluster with another --base-port and --data",
                                port, strerror(error));
}

bool up_ports_free(const struct up_options *options)
{
    for (uint32_t i = 0; i < options->nodes; i++) {
        uint32_t port = options->base_port + i;
        if (!port_free(port) || !port_free(port + 10000) || !port_free(port + UP_CLUSTER_OFFSET) ||
            !port_free(port + UP_SENTINEL_OFFSET) || !port_free(port + UP_METRICS_OFFSET)) {
            return false;
        }
    }
    return true;
}
