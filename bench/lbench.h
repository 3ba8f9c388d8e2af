/* The load generator's state, shared by lbench.c and the protocols it speaks. */
#ifndef BENCH_LBENCH_H
#define BENCH_LBENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define ARRAY(a) (sizeof(a) / sizeof((a)[0]))
#define RING 4096u /* more than may be outstanding on one connection */
#define BUFFER_BYTES ((size_t)1 << 20)
#define KEYS 100000u
#define KEY_BYTES 16
#define VALUE_BYTES 100
#define PIDS 64
#define STEPS 64u

struct connection {
    int fd;
    uint32_t sent, done, in_flight;
    uint64_t sent_at[RING];
    char *in, *out;
    size_t in_n, out_n;
    bool greeted;        /* etcd: the headers that later requests refer to were sent */
    bool has_data[RING]; /* etcd: a reply had a body, so it is no error */
    uint32_t unreported; /* etcd: bytes received since the last window update */
};

struct histogram {
    uint64_t count[64 * STEPS];
    uint64_t total, max;
};

struct bench {
    bool etcd, get, fill;
    uint16_t port;
    uint32_t connection_count, depth;
    double seconds;
    int pids[PIDS];
    int pid_count;
    int epoll;
    struct connection *connections;
    char value[VALUE_BYTES];
    uint64_t random, filled, now;
    bool measuring, stopping;
    struct histogram histogram;
    uint64_t errors;
};

_Noreturn void die(const char *what);
/* The request with that number got its reply. */
void completed(struct bench *b, struct connection *c, uint32_t sequence, bool error);

/* Appends request c->sent to c->out. */
void resp_encode(struct bench *b, struct connection *c, const char *key);
void etcd_encode(struct bench *b, struct connection *c, const char *key);
/* Takes whole replies from c->in; returns the bytes used. */
size_t resp_decode(struct bench *b, struct connection *c);
size_t etcd_decode(struct bench *b, struct connection *c);
void etcd_hello(struct connection *c);

#endif
