/* A closed-loop load generator on loopback: N connections with D requests outstanding on each.
 *
 * Speaks RESP (set, get) and etcd's gRPC (Put, Range), the latter framed by hand so that the client
 * costs a peer as little as it costs us. Keys are key:%012d, uniform over 100,000; values have 100
 * bytes. One thread, one epoll. The server's processes are watched through /proc.
 *
 *   lbench -P resp|etcd -p PORT -o set|get -c CONNECTIONS -d DEPTH -t SECONDS [-i PID,PID…] [-f]
 *
 * -f writes every key once instead. Prints one line, separated by tabs:
 *   protocol op connections depth ops/s p50us p99us p999us maxus errors cpu-s/100k-ops rss-MB
 *   foreign%  -- CPU that neither the servers nor this program used, in percent of one core */
#include "lbench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define WARM_NS 500000000u
#define FILL_LIMIT_NS 120000000000u

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

_Noreturn void die(const char *what)
{
    fprintf(stderr, "lbench: %s%s%s\n", what, errno != 0 ? ": " : "",
            errno != 0 ? strerror(errno) : "");
    exit(1);
}

/* --- Latencies: a histogram with 64 steps per power of two
 * ---------------------------------------- */

static void histogram_add(struct histogram *h, uint64_t ns)
{
    unsigned i = (unsigned)ns;
    if (ns >= STEPS) {
        unsigned power = 63u - (unsigned)__builtin_clzll(ns) - 6u;
        i = (power + 1) * STEPS + (unsigned)((ns >> power) - STEPS);
    }
    h->count[i]++;
    h->total++;
    h->max = ns > h->max ? ns : h->max;
}

/* Microseconds below which this part of all lies. */
static double histogram_quantile(const struct histogram *h, double part)
{
    uint64_t seen = 0;
    for (unsigned i = 0; i < ARRAY(h->count); i++) {
        seen += h->count[i];
        if (seen > 0 && (double)seen >= part * (double)h->total) {
            unsigned power = i / STEPS;
            unsigned step = i % STEPS;
            return (power > 0 ? (double)((uint64_t)(step + STEPS) << (power - 1)) : (double)i) /
                   1000;
        }
    }
    return 0;
}

/* --- What processes use
 * ----------------------------------------------------------------------------- */

static double server_cpu(const struct bench *b)
{
    double seconds = 0;
    for (int i = 0; i < b->pid_count; i++) {
        char path[64];
        char line[1024];
        unsigned long user = 0;
        unsigned long system = 0;
        snprintf(path, sizeof path, "/proc/%d/stat", b->pids[i]);
        FILE *file = fopen(path, "r");
        if (file == NULL) {
            continue;
        }
        if (fgets(line, sizeof line, file) != NULL && strrchr(line, ')') != NULL &&
            sscanf(strrchr(line, ')') + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
                   &user, &system) == 2) {
            seconds += (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
        }
        fclose(file);
    }
    return seconds;
}

static double server_rss(const struct bench *b)
{
    double megabytes = 0;
    for (int i = 0; i < b->pid_count; i++) {
        char path[64];
        long resident = 0;
        snprintf(path, sizeof path, "/proc/%d/statm", b->pids[i]);
        FILE *file = fopen(path, "r");
        if (file != NULL) {
            if (fscanf(file, "%*d %ld", &resident) == 1) {
                megabytes += (double)resident * 4096 / 1048576;
            }
            fclose(file);
        }
    }
    return megabytes;
}

static double machine_busy(void)
{
    unsigned long user, nice, system, idle, wait, irq, soft, stolen;
    double seconds = 0;
    FILE *file = fopen("/proc/stat", "r");
    if (file == NULL) {
        return 0;
    }
    if (fscanf(file, "cpu %lu %lu %lu %lu %lu %lu %lu %lu", &user, &nice, &system, &idle, &wait,
               &irq, &soft, &stolen) == 8) {
        seconds =
            (double)(user + nice + system + irq + soft + stolen) / (double)sysconf(_SC_CLK_TCK);
    }
    fclose(file);
    return seconds;
}

static double own_cpu(void)
{
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
           (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

struct usage {
    double server, own, machine;
    uint64_t at;
};

static struct usage usage_now(const struct bench *b)
{
    return (struct usage){ server_cpu(b), own_cpu(), machine_busy(), now_ns() };
}

/* --- Requests ------------------------------------------------------------------------------------
 */

static uint64_t random_next(struct bench *b)
{
    b->random ^= b->random << 13;
    b->random ^= b->random >> 7;
    b->random ^= b->random << 17;
    return b->random;
}

static void next_key(struct bench *b, char key[KEY_BYTES + 1])
{
    uint64_t n = random_next(b) % KEYS;
    if (b->fill) {
        n = b->filled < KEYS ? b->filled++ : KEYS - 1;
        b->stopping = b->filled == KEYS;
    }
    snprintf(key, KEY_BYTES + 1, "key:%012llu", (unsigned long long)n);
}

static void send_one(struct bench *b, struct connection *c)
{
    char key[KEY_BYTES + 1];
    next_key(b, key);
    c->sent_at[c->sent % RING] = b->now;
    if (b->etcd) {
        etcd_encode(b, c, key);
    } else {
        resp_encode(b, c, key);
    }
    c->sent++;
    c->in_flight++;
}

void completed(struct bench *b, struct connection *c, uint32_t sequence, bool error)
{
    c->in_flight--;
    c->done++;
    if (b->measuring) {
        histogram_add(&b->histogram, b->now - c->sent_at[sequence % RING]);
        b->errors += error;
    }
}

static void flush(struct connection *c)
{
    size_t at = 0;
    while (at < c->out_n) {
        ssize_t n = write(c->fd, c->out + at, c->out_n - at);
        if (n < 0 && errno == EAGAIN) {
            struct timespec pause = { .tv_nsec = 20000 };
            nanosleep(&pause, NULL);
        } else if (n < 0) {
            die("write");
        } else {
            at += (size_t)n;
        }
    }
    c->out_n = 0;
}

static void on_readable(struct bench *b, struct connection *c)
{
    ssize_t n = read(c->fd, c->in + c->in_n, BUFFER_BYTES - c->in_n);
    if (n == 0) {
        errno = 0;
        die("the server closed the connection");
    }
    if (n < 0) {
        if (errno == EAGAIN) {
            return;
        }
        die("read");
    }
    c->in_n += (size_t)n;
    size_t used = b->etcd ? etcd_decode(b, c) : resp_decode(b, c);
    memmove(c->in, c->in + used, c->in_n - used);
    c->in_n -= used;
    while (!b->stopping && c->in_flight < b->depth) {
        send_one(b, c);
    }
    flush(c);
}

/* --- The run
 * -------------------------------------------------------------------------------------- */

static void connect_all(struct bench *b)
{
    int on = 1;
    b->epoll = epoll_create1(EPOLL_CLOEXEC);
    b->connections = calloc(b->connection_count, sizeof *b->connections);
    for (uint32_t i = 0; i < b->connection_count; i++) {
        struct connection *c = &b->connections[i];
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(b->port) };
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        c->in = malloc(BUFFER_BYTES);
        c->out = malloc(BUFFER_BYTES);
        c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(c->fd, (struct sockaddr *)&address, sizeof address) != 0) {
            die("connect");
        }
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        fcntl(c->fd, F_SETFL, O_NONBLOCK);
        if (b->etcd) {
            etcd_hello(c);
        }
        struct epoll_event event = { .events = EPOLLIN, .data.ptr = c };
        epoll_ctl(b->epoll, EPOLL_CTL_ADD, c->fd, &event);
    }
}

static bool anything_in_flight(const struct bench *b)
{
    for (uint32_t i = 0; i < b->connection_count; i++) {
        if (b->connections[i].in_flight > 0) {
            return true;
        }
    }
    return false;
}

/* Runs the loop; returns what was used since measuring began. */
static struct usage run(struct bench *b)
{
    uint64_t warm_until = now_ns() + (b->fill ? 0 : WARM_NS);
    uint64_t end = warm_until + (b->fill ? FILL_LIMIT_NS : (uint64_t)(b->seconds * 1e9));
    struct usage before = usage_now(b);
    b->now = now_ns();
    b->measuring = b->fill;
    for (uint32_t i = 0; i < b->connection_count; i++) {
        for (uint32_t k = 0; k < b->depth && !b->stopping; k++) {
            send_one(b, &b->connections[i]);
        }
        flush(&b->connections[i]);
    }
    while (b->now < end && (b->fill ? anything_in_flight(b) : true)) {
        struct epoll_event events[256];
        int n = epoll_wait(b->epoll, events, 256, 1000);
        b->now = now_ns();
        if (!b->measuring && b->now >= warm_until) {
            b->measuring = true;
            before = usage_now(b);
        }
        for (int i = 0; i < n; i++) {
            on_readable(b, events[i].data.ptr);
        }
    }
    struct usage after = usage_now(b);
    return (struct usage){ after.server - before.server, after.own - before.own,
                           after.machine - before.machine, after.at - before.at };
}

static void print_result(const struct bench *b, const struct usage *u)
{
    const struct histogram *h = &b->histogram;
    double seconds = (double)u->at / 1e9;
    double ops = (double)h->total;
    printf("%s\t%s\t%u\t%u\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%llu\t%.3f\t%.0f\t%.0f\n",
           b->etcd ? "etcd" : "resp", b->get ? "get" : "set", b->connection_count, b->depth,
           ops / seconds, histogram_quantile(h, .5), histogram_quantile(h, .99),
           histogram_quantile(h, .999), (double)h->max / 1000, (unsigned long long)b->errors,
           ops > 0 ? u->server / ops * 1e5 : 0, server_rss(b),
           (u->machine - u->server - u->own) / seconds * 100);
}

static void parse_pids(struct bench *b, char *list)
{
    for (char *p = strtok(list, ","); p != NULL && b->pid_count < PIDS; p = strtok(NULL, ",")) {
        b->pids[b->pid_count++] = atoi(p);
    }
}

int main(int argc, char **argv)
{
    static struct bench b = { .connection_count = 1, .depth = 1, .seconds = 3 };
    int option;
    b.random = now_ns() | 1;
    while ((option = getopt(argc, argv, "P:p:o:c:d:t:i:f")) != -1) {
        switch (option) {
        case 'P':
            b.etcd = strcmp(optarg, "etcd") == 0;
            break;
        case 'p':
            b.port = (uint16_t)atoi(optarg);
            break;
        case 'o':
            b.get = strcmp(optarg, "get") == 0;
            break;
        case 'c':
            b.connection_count = (uint32_t)atoi(optarg);
            break;
        case 'd':
            b.depth = (uint32_t)atoi(optarg);
            break;
        case 't':
            b.seconds = atof(optarg);
            break;
        case 'i':
            parse_pids(&b, optarg);
            break;
        case 'f':
            b.fill = true;
            break;
        default:
            return 2;
        }
    }
    if (b.port == 0 || b.connection_count == 0 || b.depth == 0 || b.depth >= RING) {
        fprintf(stderr, "lbench: see the top of lbench.c\n");
        return 2;
    }
    memset(b.value, 'v', VALUE_BYTES);
    connect_all(&b);
    struct usage used = run(&b);
    print_result(&b, &used);
    return 0;
}
