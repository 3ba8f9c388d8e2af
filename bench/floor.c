/* The floor: the cheapest honest replicated SET on one machine, as a yardstick. NOT a database: it
 * has no elections and no recovery, its hash table takes only keys of 16 bytes, it reads only
 * requests of exactly the form that lbench sends, at most 4096 SETs of them at once.
 *
 * One leader and two forked followers. A SET is answered when two of the three have it in a log
 * that was written and synced; a GET is answered from the leader's table. The leader sends a batch
 * to the followers before its own copy is synced, and gathers the next one meanwhile.
 *
 *   floor PORT DIRECTORY [inline|thread [LOG_MIB]]
 *
 * inline (the yardstick): the leader syncs in its loop, and one batch is under way at a time.
 * thread: a thread syncs the leader's log, and up to four batches are under way.
 *
 * A batch on the wire and on disk: u32 bytes, u32 crc32c, u64 number, then 16 bytes of key, u8
 * length and the value, again and again. */
#include "base/crc32c.h"
#include "floor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOG_MIB 256
#define BATCH_BYTES ((size_t)4 << 20)
#define BATCH_HEAD 16
#define BATCH_CLIENTS 4096u
#define BATCHES 8u      /* more than may be under way */
#define THREAD_WINDOW 4 /* batches under way when a thread syncs */
#define GATHER_MS 1
#define IN_BYTES ((size_t)1 << 18)
#define OUT_BYTES ((size_t)1 << 20)
#define CLIENTS 4096

/* --- Followers -------------------------------------------------------------------------------- */

static void write_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t r = write(fd, p, n);
        if (r < 0 && errno == EAGAIN) {
            usleep(20);
        } else if (r < 0) {
            _exit(0); /* the other side is gone */
        } else {
            p += r;
            n -= (size_t)r;
        }
    }
}

/* Bytes of the whole batches at p; *number is that of the last one, 0: none is whole. */
static size_t whole_batches(const char *p, size_t n, uint64_t *number)
{
    size_t at = 0;
    *number = 0;
    while (n - at >= BATCH_HEAD) {
        uint32_t bytes;
        uint32_t crc;
        memcpy(&bytes, p + at, 4);
        memcpy(&crc, p + at + 4, 4);
        if (n - at < BATCH_HEAD + bytes) {
            break;
        }
        if (crc32c_extend(0, p + at + BATCH_HEAD, bytes) != crc) {
            fprintf(stderr, "floor: bad checksum\n");
            _exit(1);
        }
        memcpy(number, p + at + 8, 8);
        at += BATCH_HEAD + bytes;
    }
    return at;
}

static _Noreturn void follow(int fd, struct file log)
{
    struct table table = table_new();
    char *in = malloc(2 * BATCH_BYTES);
    size_t n = 0;
    for (;;) {
        ssize_t r = read(fd, in + n, 2 * BATCH_BYTES - n);
        uint64_t last;
        if (r <= 0) {
            _exit(0);
        }
        n += (size_t)r;
        size_t used = whole_batches(in, n, &last);
        if (last == 0) {
            continue;
        }
        log_write(&log, in, used);
        log_sync(&log);
        write_all(fd, (const char *)&last, sizeof last);
        for (size_t at = 0; at < used;) {
            uint32_t bytes;
            memcpy(&bytes, in + at, 4);
            table_apply(&table, in + at + BATCH_HEAD, bytes);
            at += BATCH_HEAD + bytes;
        }
        memmove(in, in + used, n - used);
        n -= used;
    }
}

/* --- The leader ------------------------------------------------------------------------------- */

struct client {
    int fd;
    char *in, *out;
    size_t in_n, out_n;
    bool dirty;
};

struct batch {
    char *p;
    size_t n;
    struct client *clients[BATCH_CLIENTS]; /* who waits for an OK, one entry per SET */
    uint32_t client_count;
};

/* The thread that syncs the leader's log, if there is one. */
struct syncer {
    pthread_mutex_t mutex;
    pthread_cond_t wanted;
    uint64_t to_write; /* up to which batch, under the mutex */
    uint64_t written;  /* atomic */
    int done;          /* an eventfd that wakes the leader */
};

struct leader {
    int epoll, listener;
    bool threaded;
    uint64_t window;
    int followers[2];
    uint64_t follower_has[2], own, committed, last_sent;
    struct file log;
    struct table table;
    struct batch batches[BATCHES]; /* batch number n is in n % BATCHES; last_sent + 1 gathers */
    struct syncer syncer;
    struct client *dirty[CLIENTS];
    int dirty_count;
};

static struct batch *batch_of(struct leader *l, uint64_t number)
{
    return &l->batches[number % BATCHES];
}

static void batch_reset(struct batch *b)
{
    b->n = BATCH_HEAD;
    b->client_count = 0;
}

static void mark_dirty(struct leader *l, struct client *c)
{
    if (!c->dirty) {
        c->dirty = true;
        l->dirty[l->dirty_count++] = c;
    }
}

static void reply(struct leader *l, struct client *c, const char *p, size_t n)
{
    memcpy(c->out + c->out_n, p, n);
    c->out_n += n;
    mark_dirty(l, c);
}

static void answer_get(struct leader *l, struct client *c, const char *key)
{
    const char *item = table_find(&l->table, key, false);
    if (item == NULL) {
        reply(l, c, "$-1\r\n", 5);
        return;
    }
    uint8_t length = (uint8_t)item[ITEM_BYTES - 1];
    char *out = c->out + c->out_n;
    out += snprintf(out, 8, "$%u\r\n", length);
    memcpy(out, item + KEY_BYTES, length);
    memcpy(out + length, "\r\n", 2);
    c->out_n = (size_t)(out + length + 2 - c->out);
    mark_dirty(l, c);
}

static _Noreturn void bad_request(void)
{
    fprintf(stderr, "floor: not a request that it knows\n");
    exit(1);
}

/* Takes the SET whose key stands at p + key_at; its length, 0 when it is not whole or does not fit
 * in the batch. */
static size_t take_set(struct leader *l, struct client *c, const char *p, size_t n, size_t key_at)
{
    struct batch *b = batch_of(l, l->last_sent + 1);
    const char *length_at = p + key_at + KEY_BYTES + 2;
    const char *line = memchr(length_at, '\n', n - (size_t)(length_at - p));
    if (line == NULL) {
        return 0;
    }
    size_t length = (size_t)strtoul(length_at + 1, NULL, 10);
    size_t total = (size_t)(line + 1 - p) + length + 2;
    if (length > VALUE_MAX) {
        bad_request();
    }
    if (n < total || b->client_count == BATCH_CLIENTS || b->n + ITEM_BYTES > BATCH_BYTES) {
        return 0;
    }
    char *out = b->p + b->n;
    memcpy(out, p + key_at, KEY_BYTES);
    out[KEY_BYTES] = (char)length;
    memcpy(out + KEY_BYTES + 1, line + 1, length);
    b->n += KEY_BYTES + 1 + length;
    b->clients[b->client_count++] = c;
    return total;
}

/* Takes one request; its length, 0 when there is no whole one. */
static size_t take_request(struct leader *l, struct client *c, const char *p, size_t n)
{
    static const size_t key_at = 4 + 4 + 5 + 5; /* *3.. $3.. SET.. $16.. */
    if (n > 0 && p[0] != '*') {
        bad_request();
    }
    if (n < key_at + KEY_BYTES + 2) {
        return 0;
    }
    if (p[1] == '3') {
        return take_set(l, c, p, n, key_at);
    }
    if (p[1] != '2') {
        bad_request();
    }
    answer_get(l, c, p + key_at);
    return key_at + KEY_BYTES + 2;
}

static void read_client(struct leader *l, struct client *c)
{
    ssize_t r = read(c->fd, c->in + c->in_n, IN_BYTES - c->in_n);
    if (r <= 0) {
        if (r == 0 || errno != EAGAIN) {
            close(c->fd);
            c->fd = -1; /* it is kept: a batch may still name it */
        }
        return;
    }
    c->in_n += (size_t)r;
    size_t at = 0;
    size_t used;
    while ((used = take_request(l, c, c->in + at, c->in_n - at)) > 0) {
        at += used;
    }
    memmove(c->in, c->in + at, c->in_n - at);
    c->in_n -= at;
}

static void accept_client(struct leader *l)
{
    int on = 1;
    struct client *c = calloc(1, sizeof *c);
    c->fd = accept4(l->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    c->in = malloc(IN_BYTES);
    c->out = malloc(OUT_BYTES);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = c };
    epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->fd, &event);
}

static void read_follower(struct leader *l, int i)
{
    uint64_t numbers[64];
    ssize_t r = read(l->followers[i], numbers, sizeof numbers);
    if (r < (ssize_t)sizeof numbers[0]) {
        exit(1);
    }
    l->follower_has[i] = numbers[(size_t)r / sizeof numbers[0] - 1];
}

static void *sync_log(void *argument)
{
    struct leader *l = argument;
    struct syncer *s = &l->syncer;
    uint64_t written = 0;
    for (;;) {
        pthread_mutex_lock(&s->mutex);
        while (s->to_write == written) {
            pthread_cond_wait(&s->wanted, &s->mutex);
        }
        uint64_t to_write = s->to_write;
        pthread_mutex_unlock(&s->mutex);
        while (written < to_write) {
            const struct batch *b = batch_of(l, ++written);
            log_write(&l->log, b->p, b->n);
        }
        log_sync(&l->log);
        __atomic_store_n(&s->written, written, __ATOMIC_RELEASE);
        if (eventfd_write(s->done, 1) != 0) {
            die("eventfd");
        }
    }
    return NULL;
}

static void write_own(struct leader *l, const struct batch *b, uint64_t number)
{
    if (!l->threaded) {
        log_write(&l->log, b->p, b->n);
        log_sync(&l->log);
        l->own = number;
        return;
    }
    pthread_mutex_lock(&l->syncer.mutex);
    l->syncer.to_write = number;
    pthread_cond_signal(&l->syncer.wanted);
    pthread_mutex_unlock(&l->syncer.mutex);
}

/* Something has gathered, and there is room for one more batch under way. */
static bool can_send(struct leader *l)
{
    return batch_of(l, l->last_sent + 1)->client_count > 0 &&
           l->last_sent - l->committed < l->window && l->last_sent - l->own < BATCHES - 1;
}

/* Sends what has gathered and writes it to the own log. */
static void send_batch(struct leader *l)
{
    struct batch *b = batch_of(l, l->last_sent + 1);
    uint64_t number = ++l->last_sent;
    uint32_t bytes = (uint32_t)(b->n - BATCH_HEAD);
    uint32_t crc = crc32c_extend(0, b->p + BATCH_HEAD, bytes);
    memcpy(b->p, &bytes, 4);
    memcpy(b->p + 4, &crc, 4);
    memcpy(b->p + 8, &number, 8);
    write_all(l->followers[0], b->p, b->n);
    write_all(l->followers[1], b->p, b->n);
    batch_reset(batch_of(l, number + 1));
    write_own(l, b, number);
}

static uint64_t median(uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t low = a < b ? a : b;
    uint64_t high = a < b ? b : a;
    return c < low ? low : c > high ? high : c;
}

/* Applies and answers what two of the three have. */
static void commit(struct leader *l)
{
    if (l->threaded) {
        l->own = __atomic_load_n(&l->syncer.written, __ATOMIC_ACQUIRE);
    }
    uint64_t upto = median(l->own, l->follower_has[0], l->follower_has[1]);
    while (l->committed < upto) {
        struct batch *b = batch_of(l, ++l->committed);
        table_apply(&l->table, b->p + BATCH_HEAD, b->n - BATCH_HEAD);
        for (uint32_t i = 0; i < b->client_count; i++) {
            reply(l, b->clients[i], "+OK\r\n", 5);
        }
    }
}

static void flush_replies(struct leader *l)
{
    for (int i = 0; i < l->dirty_count; i++) {
        struct client *c = l->dirty[i];
        if (c->fd >= 0) {
            write_all(c->fd, c->out, c->out_n);
        }
        c->out_n = 0;
        c->dirty = false;
    }
    l->dirty_count = 0;
}

static void on_event(struct leader *l, void *who)
{
    if (who == &l->listener) {
        accept_client(l);
    } else if (who == &l->followers[0] || who == &l->followers[1]) {
        read_follower(l, who == &l->followers[1]);
    } else if (who == &l->syncer) {
        eventfd_t count;
        eventfd_read(l->syncer.done, &count);
    } else {
        read_client(l, who);
    }
}

/* Sending comes before committing: the room that a commit makes is used one turn later, with what
 * the clients that it answered have asked by then. Larger batches are worth more than an early
 * start; only when nobody asks any more does a batch wait for GATHER_MS. */
static void turn(struct leader *l)
{
    struct epoll_event events[256];
    int n = epoll_wait(l->epoll, events, 256, can_send(l) ? GATHER_MS : -1);
    for (int i = 0; i < n; i++) {
        on_event(l, events[i].data.ptr);
    }
    if (can_send(l)) {
        send_batch(l);
    }
    commit(l);
    flush_replies(l);
}

/* --- Start ------------------------------------------------------------------------------------ */

static int listen_on(uint16_t port, struct sockaddr_in *address)
{
    int on = 1;
    socklen_t size = sizeof *address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    *address = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port) };
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)address, size) != 0 || listen(fd, 512) != 0 ||
        getsockname(fd, (struct sockaddr *)address, &size) != 0) {
        die("bind");
    }
    return fd;
}

static int start_follower(int number, const char *directory, off_t log_bytes)
{
    int on = 1;
    struct sockaddr_in address;
    int listener = listen_on(0, &address);
    if (fork() == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
            die("connect");
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        follow(fd, log_open(directory, number, log_bytes));
    }
    int fd = accept(listener, NULL, NULL);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    close(listener);
    return fd;
}

static void watch(struct leader *l, int fd, void *who)
{
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = who };
    epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &event);
}

static void start_syncer(struct leader *l)
{
    pthread_t thread;
    l->syncer.done = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    pthread_mutex_init(&l->syncer.mutex, NULL);
    pthread_cond_init(&l->syncer.wanted, NULL);
    if (pthread_create(&thread, NULL, sync_log, l) != 0) {
        die("pthread_create");
    }
    watch(l, l->syncer.done, &l->syncer);
}

static void start(struct leader *l, uint16_t port, const char *directory, off_t log_bytes)
{
    struct sockaddr_in address;
    for (int i = 0; i < 2; i++) {
        l->followers[i] = start_follower(i + 1, directory, log_bytes);
    }
    for (uint32_t i = 0; i < BATCHES; i++) {
        l->batches[i].p = malloc(BATCH_BYTES);
        batch_reset(&l->batches[i]);
    }
    l->log = log_open(directory, 0, log_bytes);
    l->table = table_new();
    l->window = l->threaded ? THREAD_WINDOW : 1;
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    l->listener = listen_on(port, &address);
    watch(l, l->listener, &l->listener);
    watch(l, l->followers[0], &l->followers[0]);
    watch(l, l->followers[1], &l->followers[1]);
    if (l->threaded) {
        start_syncer(l);
    }
}

int main(int argc, char **argv)
{
    static struct leader l;
    const char *mode = argc > 3 ? argv[3] : "inline";
    unsigned long log_mib = argc > 4 ? strtoul(argv[4], NULL, 10) : LOG_MIB;
    l.threaded = strcmp(mode, "thread") == 0;
    if (argc < 3 || argc > 5 || (!l.threaded && strcmp(mode, "inline") != 0) || log_mib < 8 ||
        log_mib > 65536) {
        fprintf(stderr, "floor PORT DIRECTORY [inline|thread [LOG_MIB]]\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    start(&l, (uint16_t)strtoul(argv[1], NULL, 10), argv[2], (off_t)log_mib << 20);
    for (;;) {
        turn(&l);
    }
}
