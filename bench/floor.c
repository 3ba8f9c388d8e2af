/* The floor: the cheapest honest replicated SET on one machine, as a yardstick. NOT a database: it
 * has no elections and no recovery, and its hash table takes only keys of 16 bytes.
 *
 * One leader and two forked followers, a thread each. A SET is answered when two of the three have
 * it in a log that was written and synced. The leader sends a batch to the followers before it
 * syncs its own copy, and gathers the next batch meanwhile; one batch is under way at a time.
 *
 *   floor PORT DIRECTORY
 *
 * A batch on the wire and on disk: u32 bytes, u32 crc32c, u64 number, then 16 bytes of key, u8
 * length and the value, again and again. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <nmmintrin.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOG_BYTES ((off_t)256 << 20)
#define BATCH_BYTES ((size_t)4 << 20)
#define BATCH_HEAD 16
#define BATCH_CLIENTS 4096u
#define KEY_BYTES 16
#define ITEM_BYTES 128 /* key, value and, in the last byte, the value's length */
#define VALUE_MAX (ITEM_BYTES - KEY_BYTES - 1)
#define TABLE_SLOTS (1u << 21)
#define ITEMS_BYTES ((size_t)1 << 30)
#define IN_BYTES ((size_t)1 << 18)
#define OUT_BYTES ((size_t)1 << 20)
#define CLIENTS 4096

static _Noreturn void die(const char *what)
{
    perror(what);
    exit(1);
}

/* --- The log --------------------------------------------------------------------------------- */

struct file {
    int fd;
    off_t at;
};

static struct file log_open(const char *directory, int number)
{
    char path[512];
    char *zeros = calloc(1, 1 << 20);
    snprintf(path, sizeof path, "%s/floor-%d.log", directory, number);
    struct file log = { .fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644) };
    for (off_t n = 0; n < LOG_BYTES; n += 1 << 20) {
        if (write(log.fd, zeros, 1 << 20) < 0) {
            die(path);
        }
    }
    free(zeros);
    if (fsync(log.fd) != 0) {
        die(path);
    }
    return log;
}

static void log_append(struct file *log, const char *p, size_t n)
{
    if (log->at + (off_t)n > LOG_BYTES) {
        log->at = 0;
    }
    if (pwrite(log->fd, p, n, log->at) != (ssize_t)n || fdatasync(log->fd) != 0) {
        die("log");
    }
    log->at += (off_t)n;
}

static uint32_t checksum(const char *p, size_t n)
{
    uint64_t crc = 0;
    for (; n >= 8; p += 8, n -= 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        crc = _mm_crc32_u64(crc, word);
    }
    for (; n > 0; n--) {
        crc = _mm_crc32_u8((uint32_t)crc, (uint8_t)*p++);
    }
    return (uint32_t)crc;
}

/* --- The table ------------------------------------------------------------------------------- */

struct table {
    uint64_t *slots; /* upper half of the hash, number of the item; 0: empty */
    char *items;
    uint32_t count;
};

static struct table table_new(void)
{
    struct table t = { .slots = calloc(TABLE_SLOTS, sizeof(uint64_t)) };
    t.items = mmap(NULL, ITEMS_BYTES, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return t;
}

static char *table_find(struct table *t, const char *key, bool insert)
{
    uint64_t a;
    uint64_t b;
    memcpy(&a, key, 8);
    memcpy(&b, key + 8, 8);
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)(a ^ 0x9e3779b97f4a7c15u) * (b ^ 0xd6e8feb86659fd93u);
    uint64_t hash = (uint64_t)product ^ (uint64_t)(product >> 64);
    for (uint64_t i = hash % TABLE_SLOTS;; i = (i + 1) % TABLE_SLOTS) {
        uint64_t slot = t->slots[i];
        char *item = t->items + (size_t)(uint32_t)slot * ITEM_BYTES;
        if (slot == 0 && !insert) {
            return NULL;
        }
        if (slot == 0) {
            t->slots[i] = (hash >> 32 << 32) | ++t->count;
            item = t->items + (size_t)t->count * ITEM_BYTES;
            memcpy(item, key, KEY_BYTES);
            return item;
        }
        if (slot >> 32 == hash >> 32 && memcmp(item, key, KEY_BYTES) == 0) {
            return item;
        }
    }
}

static void table_apply(struct table *t, const char *p, size_t n)
{
    const char *end = p + n;
    while (p < end) {
        uint8_t length = (uint8_t)p[KEY_BYTES];
        char *item = table_find(t, p, true);
        memcpy(item + KEY_BYTES, p + KEY_BYTES + 1, length);
        item[ITEM_BYTES - 1] = (char)length;
        p += KEY_BYTES + 1 + length;
    }
}

/* --- Followers ---------------------------------------------------------------------------------
 */

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
        if (checksum(p + at + BATCH_HEAD, bytes) != crc) {
            fprintf(stderr, "floor: bad checksum\n");
            _exit(1);
        }
        memcpy(number, p + at + 8, 8);
        at += BATCH_HEAD + bytes;
    }
    return at;
}

static _Noreturn void follow(int number, int fd, const char *directory)
{
    struct file log = log_open(directory, number);
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
        log_append(&log, in, used);
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

/* --- The leader --------------------------------------------------------------------------------
 */

struct client {
    int fd;
    char *in, *out;
    size_t in_n, out_n;
    bool dirty;
};

struct batch {
    char *p;
    size_t n;
    uint64_t number;
    struct client *clients[BATCH_CLIENTS]; /* who waits for an OK, one entry per SET */
    uint32_t client_count;
};

struct leader {
    int epoll, listener;
    int followers[2];
    uint64_t follower_has[2], own, committed, last_sent;
    struct file log;
    struct table table;
    struct batch batches[2]; /* one gathers, one is under way */
    int gathering;
    struct client *dirty[CLIENTS];
    int dirty_count;
};

static void mark_dirty(struct leader *l, struct client *c)
{
    if (!c->dirty) {
        c->dirty = true;
        l->dirty[l->dirty_count++] = c;
    }
}

static void batch_reset(struct batch *b)
{
    b->n = BATCH_HEAD;
    b->client_count = 0;
}

static void answer_get(struct leader *l, struct client *c, const char *key)
{
    const char *item = table_find(&l->table, key, false);
    if (item == NULL) {
        c->out_n += (size_t)sprintf(c->out + c->out_n, "$-1\r\n");
    } else {
        uint8_t length = (uint8_t)item[ITEM_BYTES - 1];
        c->out_n += (size_t)sprintf(c->out + c->out_n, "$%u\r\n%.*s\r\n", length, (int)length,
                                    item + KEY_BYTES);
    }
    mark_dirty(l, c);
}

/* Takes one request of exactly the form that lbench sends; its length, 0 when it is not whole or
 * does not fit in the batch. */
static size_t take_request(struct leader *l, struct client *c, const char *p, size_t n)
{
    static const size_t key_at = 4 + 4 + 5 + 5; /* *3.. $3.. SET.. $16.. */
    struct batch *b = &l->batches[l->gathering];
    if (n < key_at + KEY_BYTES + 2) {
        return 0;
    }
    if (p[1] == '2') {
        answer_get(l, c, p + key_at);
        return key_at + KEY_BYTES + 2;
    }
    const char *length_at = p + key_at + KEY_BYTES + 2;
    const char *line = memchr(length_at, '\n', n - (size_t)(length_at - p));
    if (line == NULL) {
        return 0;
    }
    size_t length = (size_t)atoi(length_at + 1);
    size_t total = (size_t)(line + 1 - p) + length + 2;
    if (p[0] != '*' || p[1] != '3' || length > VALUE_MAX) {
        fprintf(stderr, "floor: not a request that it knows\n");
        exit(1);
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

/* Sends what has gathered, when nothing is under way, and writes it to the own log. */
static void send_batch(struct leader *l)
{
    struct batch *b = &l->batches[l->gathering];
    if (b->client_count == 0 || l->committed < l->last_sent) {
        return;
    }
    b->number = ++l->last_sent;
    uint32_t bytes = (uint32_t)(b->n - BATCH_HEAD);
    uint32_t crc = checksum(b->p + BATCH_HEAD, bytes);
    memcpy(b->p, &bytes, 4);
    memcpy(b->p + 4, &crc, 4);
    memcpy(b->p + 8, &b->number, 8);
    write_all(l->followers[0], b->p, b->n);
    write_all(l->followers[1], b->p, b->n);
    l->gathering = 1 - l->gathering;
    batch_reset(&l->batches[l->gathering]);
    log_append(&l->log, b->p, b->n);
    l->own = b->number;
}

/* Two of the three have it: applies and answers. */
static void commit(struct leader *l)
{
    int holders = (l->own == l->last_sent) + (l->follower_has[0] == l->last_sent) +
                  (l->follower_has[1] == l->last_sent);
    if (l->committed == l->last_sent || holders < 2) {
        return;
    }
    struct batch *b = &l->batches[1 - l->gathering];
    l->committed = l->last_sent;
    table_apply(&l->table, b->p + BATCH_HEAD, b->n - BATCH_HEAD);
    for (uint32_t i = 0; i < b->client_count; i++) {
        struct client *c = b->clients[i];
        memcpy(c->out + c->out_n, "+OK\r\n", 5);
        c->out_n += 5;
        mark_dirty(l, c);
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

static void turn(struct leader *l)
{
    struct epoll_event events[256];
    int n = epoll_wait(l->epoll, events, 256, -1);
    for (int i = 0; i < n; i++) {
        void *who = events[i].data.ptr;
        if (who == &l->listener) {
            accept_client(l);
        } else if (who == &l->followers[0] || who == &l->followers[1]) {
            read_follower(l, who == &l->followers[1]);
        } else {
            read_client(l, who);
        }
    }
    commit(l);
    flush_replies(l); /* before the next sync */
    send_batch(l);
}

/* --- Start --------------------------------------------------------------------------------------
 */

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

static int start_follower(int number, const char *directory)
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
        follow(number, fd, directory);
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

int main(int argc, char **argv)
{
    static struct leader l;
    struct sockaddr_in address;
    if (argc != 3) {
        fprintf(stderr, "floor PORT DIRECTORY\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int i = 0; i < 2; i++) {
        l.followers[i] = start_follower(i + 1, argv[2]);
        l.batches[i].p = malloc(BATCH_BYTES);
        batch_reset(&l.batches[i]);
    }
    l.log = log_open(argv[2], 0);
    l.table = table_new();
    l.epoll = epoll_create1(EPOLL_CLOEXEC);
    l.listener = listen_on((uint16_t)atoi(argv[1]), &address);
    watch(&l, l.listener, &l.listener);
    watch(&l, l.followers[0], &l.followers[0]);
    watch(&l, l.followers[1], &l.followers[1]);
    for (;;) {
        turn(&l);
    }
}
