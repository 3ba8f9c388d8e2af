/* A closed-loop load generator on loopback: N connections with D requests outstanding on each.
 *
 * Speaks RESP and etcd's gRPC (Put, Range), the latter framed by hand so that the client costs a
 * peer as little as it costs us. Keys are key:%012d, uniform over 100,000; values have 100 bytes.
 * One thread, one epoll. The servers' processes are watched through /proc. For users there is
 * `quorate bench`; this program is for comparisons, where the client must be cheap and the same.
 *
 *   lbench -p PORT[,PORT...] -o set|get|setwait -c CONNECTIONS -d DEPTH -t SECONDS
 *          [-P resp|etcd] [-i PID,PID...] [-w COPIES] [-W WARM] [-T PATIENCE] [-s KEYSPACE] [-f]
 *
 * Several ports share the connections. setwait sends DEPTH SETs and one WAIT COPIES on a
 * connection, and then the next DEPTH; a SET is done when the WAIT is answered. -s SELECTs a
 * keyspace first. -f writes every key once instead.
 *
 * It prints one line of JSON, or says what is wrong and ends with 1: every answer is checked (OK to
 * a SET, the value that was written to a GET), and the first wrong one, a connection that breaks, a
 * request that is not answered within PATIENCE seconds, or too few answers for percentiles end the
 * run without a figure. foreign_percent is the CPU that neither the servers nor this program used,
 * in percent of one core. */
#include "lbench.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FILL_SECONDS 300.0
#define ANSWERS_MIN 100u /* fewer say nothing about a p99 */
#define ANSWER_SHOWN 60

_Noreturn void die(const char *what)
{
    fprintf(stderr, "lbench: %s%s%s\n", what, errno != 0 ? ": " : "",
            errno != 0 ? strerror(errno) : "");
    exit(1);
}

_Noreturn void die_answer(const char *expected, const char *answer, size_t n)
{
    fprintf(stderr, "lbench: a wrong answer: \"");
    for (size_t i = 0; i < n && i < ANSWER_SHOWN && answer[i] != '\n'; i++) {
        fputc(isprint((unsigned char)answer[i]) ? answer[i] : '.', stderr);
    }
    fprintf(stderr, "\", expected %.*s\n", (int)strcspn(expected, "\r"), expected);
    exit(1);
}

/* --- Requests --------------------------------------------------------------------------------- */

static uint64_t random_next(struct bench *b)
{
    b->random ^= b->random << 13;
    b->random ^= b->random >> 7;
    b->random ^= b->random << 17;
    return b->random;
}

static uint64_t next_key(struct bench *b)
{
    if (!b->fill) {
        return random_next(b) % KEYS;
    }
    uint64_t n = b->filled++;
    b->stopping = b->filled == KEYS;
    return n;
}

void put_key_digits(char *key, uint64_t number)
{
    for (char *digit = key + KEY_BYTES - 1; number > 0; digit--, number /= 10) {
        *digit = (char)('0' + number % 10);
    }
}

static void send_one(struct bench *b, struct connection *c)
{
    uint64_t key = next_key(b);
    c->sent_at[c->sent % RING] = b->now_ns;
    if (b->etcd) {
        etcd_encode(b, c, key);
    } else {
        resp_encode(b, c, key);
    }
    c->sent++;
    c->in_flight++;
}

void completed(struct bench *b, struct connection *c, uint32_t sequence)
{
    c->in_flight--;
    c->done++;
    if (b->measuring) {
        histogram_add(&b->histogram, b->now_ns - c->sent_at[sequence % RING], 1);
    }
}

static void flush(struct bench *b, struct connection *c)
{
    size_t at = 0;
    while (at < c->out_n) {
        ssize_t n = write(c->fd, c->out + at, c->out_n - at);
        if (n < 0 && errno == EAGAIN) {
            struct timespec pause = { .tv_nsec = 20000 };
            nanosleep(&pause, NULL);
            if ((double)(now_ns() - b->now_ns) > b->patience_seconds * 1e9) {
                errno = 0;
                die("the server does not read what it is sent");
            }
        } else if (n < 0) {
            die("write");
        } else {
            at += (size_t)n;
        }
    }
    c->out_n = 0;
}

/* With setwait a round of requests begins when the last one is over. */
static void refill(struct bench *b, struct connection *c)
{
    if (b->operation == OPERATION_SETWAIT && c->in_flight > 0) {
        return;
    }
    while (!b->stopping && c->in_flight < b->depth) {
        send_one(b, c);
    }
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
    if (used > 0 && used < c->in_n) {
        memmove(c->in, c->in + used, c->in_n - used);
    }
    c->in_n -= used;
    refill(b, c);
    flush(b, c);
}

/* --- The run ---------------------------------------------------------------------------------- */

static void connect_one(struct bench *b, struct connection *c, uint16_t port)
{
    int on = 1;
    struct timeval patience = { .tv_sec = (time_t)b->patience_seconds + 1 };
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->in = malloc(BUFFER_BYTES);
    c->out = malloc(BUFFER_BYTES);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (c->in == NULL || c->out == NULL || c->fd < 0 ||
        connect(c->fd, (struct sockaddr *)&address, sizeof address) != 0) {
        die("connect");
    }
    if (b->keyspace > 0) {
        resp_select(b, c);
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    if (b->etcd) {
        etcd_hello(c);
    }
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = c };
    if (epoll_ctl(b->epoll, EPOLL_CTL_ADD, c->fd, &event) != 0) {
        die("epoll_ctl");
    }
}

static void connect_all(struct bench *b)
{
    b->epoll = epoll_create1(EPOLL_CLOEXEC);
    b->connections = calloc(b->connection_count, sizeof *b->connections);
    if (b->epoll < 0 || b->connections == NULL) {
        die("start");
    }
    for (uint32_t i = 0; i < b->connection_count; i++) {
        connect_one(b, &b->connections[i], b->ports[i % b->port_count]);
    }
    errno = 0;
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

/* How long the oldest request has been waiting for its answer. */
static uint64_t longest_wait_ns(const struct bench *b)
{
    uint64_t longest = 0;
    for (uint32_t i = 0; i < b->connection_count; i++) {
        const struct connection *c = &b->connections[i];
        uint64_t waited = c->in_flight > 0 ? b->now_ns - c->sent_at[c->done % RING] : 0;
        longest = waited > longest ? waited : longest;
    }
    return longest;
}

static void check_patience(struct bench *b)
{
    if ((double)longest_wait_ns(b) > b->patience_seconds * 1e9) {
        char what[80];
        snprintf(what, sizeof what, "a request was not answered within %g s", b->patience_seconds);
        errno = 0;
        die(what);
    }
}

static void send_first(struct bench *b)
{
    b->now_ns = now_ns();
    for (uint32_t i = 0; i < b->connection_count; i++) {
        refill(b, &b->connections[i]);
        flush(b, &b->connections[i]);
    }
}

/* Runs the loop; returns what was used since measuring began. */
static struct usage run(struct bench *b)
{
    uint64_t start = now_ns();
    uint64_t warm_until = start + (uint64_t)((b->fill ? 0 : b->warm_seconds) * 1e9);
    uint64_t end = warm_until + (uint64_t)((b->fill ? FILL_SECONDS : b->seconds) * 1e9);
    uint64_t look_at = start;
    struct usage before = usage_now(b);
    b->measuring = b->fill;
    send_first(b);
    while (b->now_ns < end && !(b->fill && !anything_in_flight(b))) {
        struct epoll_event events[256];
        int n = epoll_wait(b->epoll, events, 256, 100);
        b->now_ns = now_ns();
        if (!b->measuring && b->now_ns >= warm_until) {
            b->measuring = true;
            before = usage_now(b);
        }
        for (int i = 0; i < n; i++) {
            on_readable(b, events[i].data.ptr);
        }
        if (b->now_ns >= look_at) {
            look_at = b->now_ns + 100000000u;
            check_patience(b);
        }
    }
    struct usage after = usage_now(b);
    return (struct usage){ after.server - before.server, after.own - before.own,
                           after.machine - before.machine, after.at_ns - before.at_ns };
}

/* A run whose figures would mean nothing ends here. */
static void judge(struct bench *b)
{
    char what[100];
    uint64_t answers = b->histogram.count;
    uint64_t least = b->fill ? KEYS : ANSWERS_MIN;
    if (answers < least) {
        snprintf(what, sizeof what, "too slow: %llu answers instead of at least %llu",
                 (unsigned long long)answers, (unsigned long long)least);
        errno = 0;
        die(what);
    }
    /* What is still under way at the end has waited so long at least. */
    uint64_t waited = longest_wait_ns(b);
    b->histogram.max = waited > b->histogram.max ? waited : b->histogram.max;
}

static double percentile_us(const struct bench *b, double percent)
{
    return (double)histogram_percentile(&b->histogram, percent) / 1000;
}

static void print_result(const struct bench *b, const struct usage *u)
{
    static const char *const operations[] = { "set", "get", "setwait" };
    double seconds = (double)u->at_ns / 1e9;
    double answers = (double)b->histogram.count;
    printf("{\"protocol\":\"%s\",\"operation\":\"%s\",\"connections\":%u,\"depth\":%u,"
           "\"seconds\":%.3f,\"answers\":%.0f,\"ops_per_s\":%.0f,"
           "\"p50_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,\"max_us\":%.1f,"
           "\"server_cpu_s_per_100k\":%.4f,\"client_cpu_s_per_100k\":%.4f,"
           "\"server_rss_mb\":%.0f,\"foreign_percent\":%.0f}\n",
           b->etcd ? "etcd" : "resp", operations[b->operation], b->connection_count, b->depth,
           seconds, answers, answers / seconds, percentile_us(b, 50), percentile_us(b, 99),
           percentile_us(b, 99.9), (double)b->histogram.max / 1000, u->server / answers * 1e5,
           u->own / answers * 1e5, server_rss_mb(b),
           (u->machine - u->server - u->own) / seconds * 100);
}

/* --- Arguments -------------------------------------------------------------------------------- */

static _Noreturn void usage_error(const char *what)
{
    fprintf(stderr, "lbench: %s; the top of bench/lbench.c explains the options\n", what);
    exit(2);
}

static uint32_t parse_count(const char *text, uint32_t max)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);
    if (!isdigit((unsigned char)text[0]) || *end != '\0' || n == 0 || n > max) {
        usage_error("a number that is missing or out of range");
    }
    return (uint32_t)n;
}

static double parse_seconds(const char *text)
{
    char *end;
    double seconds = strtod(text, &end);
    if (end == text || *end != '\0' || !(seconds >= 0 && seconds <= 3600)) {
        usage_error("seconds that are missing or out of range");
    }
    return seconds;
}

/* Numbers with commas between them. */
static uint32_t parse_list(char *text, uint32_t max, uint32_t *numbers, uint32_t room)
{
    uint32_t count = 0;
    char *rest = text;
    for (char *part = strsep(&rest, ","); part != NULL; part = strsep(&rest, ",")) {
        if (count == room) {
            usage_error("a list that is too long");
        }
        numbers[count++] = parse_count(part, max);
    }
    return count;
}

static void parse_ports(struct bench *b, char *text)
{
    uint32_t numbers[PORTS];
    b->port_count = parse_list(text, UINT16_MAX, numbers, PORTS);
    for (uint32_t i = 0; i < b->port_count; i++) {
        b->ports[i] = (uint16_t)numbers[i];
    }
}

static void parse_pids(struct bench *b, char *text)
{
    uint32_t numbers[PIDS];
    b->pid_count = parse_list(text, INT32_MAX, numbers, PIDS);
    for (uint32_t i = 0; i < b->pid_count; i++) {
        b->pids[i] = (int)numbers[i];
    }
}

static enum operation parse_operation(const char *text)
{
    if (strcmp(text, "set") == 0) {
        return OPERATION_SET;
    }
    if (strcmp(text, "get") == 0) {
        return OPERATION_GET;
    }
    if (strcmp(text, "setwait") == 0) {
        return OPERATION_SETWAIT;
    }
    usage_error("-o is set, get or setwait");
}

static void parse_option(struct bench *b, int option)
{
    switch (option) {
    case 'P':
        b->etcd = strcmp(optarg, "etcd") == 0;
        if (!b->etcd && strcmp(optarg, "resp") != 0) {
            usage_error("-P is resp or etcd");
        }
        break;
    case 'p':
        parse_ports(b, optarg);
        break;
    case 'o':
        b->operation = parse_operation(optarg);
        break;
    case 'c':
        b->connection_count = parse_count(optarg, 10000);
        break;
    case 'd':
        b->depth = parse_count(optarg, RING - 1);
        break;
    case 't':
        b->seconds = parse_seconds(optarg);
        break;
    case 'W':
        b->warm_seconds = parse_seconds(optarg);
        break;
    case 'T':
        b->patience_seconds = parse_seconds(optarg);
        break;
    case 'w':
        b->copies = parse_count(optarg, 9);
        break;
    case 'i':
        parse_pids(b, optarg);
        break;
    case 's':
        b->keyspace = parse_count(optarg, UINT16_MAX);
        break;
    case 'f':
        b->fill = true;
        break;
    default:
        usage_error("an unknown option");
    }
}

int main(int argc, char **argv)
{
    static struct bench b = { .connection_count = 1,
                              .depth = 1,
                              .copies = 1,
                              .seconds = 3,
                              .warm_seconds = 0.5,
                              .patience_seconds = 5 };
    int option;
    while ((option = getopt(argc, argv, "P:p:o:c:d:t:W:T:w:i:s:f")) != -1) {
        parse_option(&b, option);
    }
    if (b.port_count == 0 || optind != argc) {
        usage_error("-p PORT is missing, or there are words too many");
    }
    if (b.etcd && (b.operation == OPERATION_SETWAIT || b.keyspace > 0)) {
        usage_error("etcd has no WAIT and no SELECT");
    }
    b.random = now_ns() | 1;
    memset(b.value, 'v', VALUE_BYTES);
    resp_prepare(&b);
    connect_all(&b);
    struct usage used = run(&b);
    judge(&b);
    print_result(&b, &used);
    return 0;
}
