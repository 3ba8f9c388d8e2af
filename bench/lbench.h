/* The load generator's state, shared by lbench.c and the protocols that it speaks. */
#ifndef BENCH_LBENCH_H
#define BENCH_LBENCH_H

#include "base/histogram.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define RING 4096u /* more than may be outstanding on one connection */
#define BUFFER_BYTES ((size_t)1 << 20)
#define KEYS 100000u
#define KEY_BYTES 16
#define VALUE_BYTES 100
#define PIDS 64
#define PORTS 16
#define REQUEST_BYTES_MAX 192 /* in either protocol */

enum operation { OPERATION_SET, OPERATION_GET, OPERATION_SETWAIT };

struct connection {
    int fd;
    uint32_t sent, done, in_flight;
    uint64_t sent_at[RING];
    char *in, *out;
    size_t in_n, out_n;
    uint32_t unconfirmed; /* setwait: SETs that were answered and wait for the WAIT's answer */
    bool greeted;         /* etcd: the headers that later requests refer to were sent */
    bool has_data[RING];  /* etcd: a reply had the body that it should have */
    uint32_t unreported;  /* etcd: bytes received since the last window update */
};

/* What processes used so far, in seconds of CPU, and when. */
struct usage {
    double server, own, machine;
    uint64_t at_ns;
};

struct bench {
    bool etcd, fill;
    enum operation operation;
    uint16_t ports[PORTS];
    uint32_t port_count, connection_count, depth, copies, keyspace;
    double seconds, warm_seconds, patience_seconds;
    int pids[PIDS];
    uint32_t pid_count;
    int epoll;
    struct connection *connections;
    /* RESP: every request is this one with other digits, every answer to a GET is the other. */
    char request[REQUEST_BYTES_MAX], answer[REQUEST_BYTES_MAX];
    size_t request_n, answer_n, key_at;
    char value[VALUE_BYTES];
    uint64_t random, filled, now_ns;
    bool measuring, stopping;
    struct histogram histogram; /* nanoseconds */
};

/* Says what is wrong, with errno's text when that is set, and ends. Nothing is measured then. */
_Noreturn void die(const char *what);
/* The same for an answer that is not the one that the request should get. */
_Noreturn void die_answer(const char *expected, const char *answer, size_t n);
/* The request with that number got its answer, and the right one. */
void completed(struct bench *b, struct connection *c, uint32_t sequence);
/* Writes the key's number over the zeros at the end of a key. */
void put_key_digits(char *key, uint64_t number);

/* Prepares what all requests share. */
void resp_prepare(struct bench *b);
/* SELECTs b's keyspace on a connection that still blocks. */
void resp_select(const struct bench *b, struct connection *c);
/* Appends request c->sent to c->out. */
void resp_encode(struct bench *b, struct connection *c, uint64_t key);
void etcd_encode(struct bench *b, struct connection *c, uint64_t key);
/* Takes whole answers from c->in; returns the bytes used. */
size_t resp_decode(struct bench *b, struct connection *c);
size_t etcd_decode(struct bench *b, struct connection *c);
void etcd_hello(struct connection *c);

uint64_t now_ns(void);
/* What the servers (the pids given), this program and the machine have used until now. */
struct usage usage_now(const struct bench *b);
/* Resident memory of the servers. */
double server_rss_mb(const struct bench *b);

#endif
