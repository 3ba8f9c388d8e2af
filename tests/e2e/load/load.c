/* The load generator's loop: load.h says what it is.
 *
 *   load --ports [HOST:]P,P,P --clients N --depth N --rate N --progress FILE --history FILE
 *        [--seed N] [--keyspace NAME]
 *
 * Runs until SIGTERM, then reads everything once more, prints "name value" lines and exits 0 when
 * every acknowledged write is there. --progress is a file of 4096 bytes that the test maps. */
#include "load.h"

#include "base/alloc.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#define EVENTS 64
#define DRAIN_NS 10000000000
#define NS_PER_SECOND 1000000000.0

static volatile sig_atomic_t stopping;

static void on_stop(int number)
{
    (void)number;
    stopping = 1;
}

/* --- Pace ----------------------------------------------------------------------------------- */

struct pace {
    double budget; /* operations that may be sent now */
    int64_t last;
    uint32_t next; /* the client whose turn it is */
};

static void send_more(struct load *load, struct pace *pace, int64_t now)
{
    double rate = (double)load->progress->rate;
    pace->budget += rate * (double)(now - pace->last) / NS_PER_SECOND;
    pace->last = now;
    if (pace->budget > rate / 10) {
        pace->budget = rate / 10; /* what was missed in a stall is not made up for */
    }
    for (uint32_t i = 0; i < load->client_count && pace->budget >= 1; i++) {
        struct client *client = &load->clients[pace->next++ % load->client_count];
        uint32_t burst = 1 + (uint32_t)rng_below(&load->rng, load->depth);
        if (!client->connected || client->selecting || client->leaving ||
            client->flight_n + burst > load->depth) {
            continue;
        }
        client_send(load, client, burst);
        pace->budget -= burst;
    }
}

static void dial_and_drop(struct load *load, int64_t now)
{
    for (uint32_t i = 0; i < load->client_count; i++) {
        struct client *client = &load->clients[i];
        if (client->fd < 0 && now >= client->dial_at) {
            client_dial(load, client);
        } else if (client->fd >= 0 && (client_stalled(load, client, now) ||
                                       (client->leaving && client->flight_n == 0))) {
            client_drop(load, client);
        }
    }
}

static uint32_t in_flight(const struct load *load)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < load->client_count; i++) {
        n += load->clients[i].flight_n;
    }
    return n;
}

static void run(struct load *load)
{
    struct pace pace = { .last = clock_now() };
    int64_t give_up = 0;
    for (;;) {
        struct epoll_event events[EVENTS];
        int n = epoll_wait(load->epoll, events, EVENTS, 1);
        for (int i = 0; i < n; i++) {
            client_ready(load, events[i].data.ptr, events[i].events);
        }
        int64_t now = clock_now();
        if (stopping) {
            give_up = give_up != 0 ? give_up : now + DRAIN_NS;
            if (in_flight(load) == 0 || now >= give_up) {
                return;
            }
        } else {
            send_more(load, &pace, now);
        }
        dial_and_drop(load, now);
    }
}

/* --- Start and end -------------------------------------------------------------------------- */

static void print_summary(const struct load *load)
{
    const struct progress *p = load->progress;
    (void)printf("operations %zu\nacknowledged %" PRIu64 "\nreads %" PRIu64 "\nuncertain %" PRIu64
                 "\nlost %" PRIu64 "\nrefused %" PRIu64 "\nunexpected %" PRIu64
                 "\nuncertain_reads %" PRIu64 "\nconnections %" PRIu64 "\n",
                 load->record.count, p->acknowledged, p->reads, p->uncertain, p->lost, p->refused,
                 p->unexpected, p->uncertain_reads, p->connections);
}

static bool map_progress(struct load *load, const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, 4096) != 0) {
        return false;
    }
    load->progress = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return load->progress != MAP_FAILED;
}

static void make_clients(struct load *load)
{
    load->epoll = epoll_create1(EPOLL_CLOEXEC);
    load->clients = qr_zalloc(load->client_count * sizeof *load->clients);
    for (uint32_t i = 0; i < load->client_count; i++) {
        struct client *client = &load->clients[i];
        client->number = i;
        client->fd = -1;
        client->in = qr_alloc(CLIENT_IN_BYTES);
        client->out = qr_alloc(CLIENT_OUT_BYTES);
    }
}

static void let_go(struct load *load)
{
    for (uint32_t i = 0; i < load->client_count; i++) {
        free(load->clients[i].in);
        free(load->clients[i].out);
    }
    free(load->clients);
    free(load->record.operations);
    free(load->record.text);
}

static const char *option(int argc, char **argv, const char *name, const char *otherwise)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], name) == 0) {
            return argv[i + 1];
        }
    }
    return otherwise;
}

static uint32_t number_option(int argc, char **argv, const char *name, const char *otherwise)
{
    return (uint32_t)strtoul(option(argc, argv, name, otherwise), NULL, 10);
}

/* PORT or HOST:PORT, several with commas between them. */
static void read_nodes(struct load *load, char *nodes)
{
    for (char *p = strtok(nodes, ","); p != NULL && load->port_count < 16; p = strtok(NULL, ",")) {
        char *colon = strchr(p, ':');
        if (colon != NULL) {
            *colon = 0;
        }
        load->hosts[load->port_count] = inet_addr(colon != NULL ? p : "127.0.0.1");
        load->ports[load->port_count++] =
            (uint16_t)strtoul(colon != NULL ? colon + 1 : p, NULL, 10);
    }
}

int main(int argc, char **argv)
{
    struct load load = { .rng = rng_from(number_option(argc, argv, "--seed", "1")) };
    load.client_count = number_option(argc, argv, "--clients", "16");
    load.depth = number_option(argc, argv, "--depth", "16");
    load.patience = (int64_t)number_option(argc, argv, "--patience-ms", "8000") * 1000000;
    char *ports = strdup(option(argc, argv, "--ports", ""));
    load.keyspace = option(argc, argv, "--keyspace", NULL);
    read_nodes(&load, ports);
    if (load.port_count == 0 || load.depth == 0 || load.depth > DEPTH_MAX ||
        load.client_count == 0 ||
        !map_progress(&load, option(argc, argv, "--progress", "progress"))) {
        fprintf(stderr, "load: see the top of load.c\n");
        return 2;
    }
    load.progress->rate = number_option(argc, argv, "--rate", "10000");
    (void)signal(SIGTERM, on_stop);
    make_clients(&load);
    run(&load);
    print_summary(&load);
    (void)fflush(stdout);
    bool sound = verify(&load);
    sound = record_write(&load.record, option(argc, argv, "--history", "history")) && sound;
    let_go(&load);
    free(ports);
    return sound && load.progress->unexpected == 0 && load.progress->uncertain_reads == 0 ? 0 : 1;
}
