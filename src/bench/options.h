/* The options of quorate bench. */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include "base/limits.h"
#include "bench/pick.h"

#define BENCH_HOST_BYTES_MAX 256

enum bench_operations { OPERATIONS_MIXED = 0, OPERATIONS_SET, OPERATIONS_GET };

struct bench_address {
    char host[BENCH_HOST_BYTES_MAX];
    uint16_t port;
    char name[BENCH_HOST_BYTES_MAX + 10]; /* host:port, for messages */
};

struct bench_options {
    struct bench_address addresses[BENCH_ADDRESSES_MAX];
    uint32_t address_count;
    const char *password, *user; /* NULL: none; borrowed from argv or the environment */
    uint64_t db;
    const char *keyspace; /* to SELECT by name; NULL: the database */
    bool cluster;         /* the servers are found by CLUSTER SLOTS */
    uint64_t connections, pipeline;
    double duration_s, warmup_s; /* a duration of 0: until all requests are done */
    bool limited;                /* --requests was given */
    uint64_t requests;
    uint64_t keys;
    const char *prefix;
    struct pick_distribution distribution;
    uint64_t bytes_min, bytes_max; /* of a value */
    enum bench_operations operations;
    double reads; /* share of reads when mixed */
    double rate;  /* arrivals a second; 0: each connection sends as soon as it may */
    bool fill, check, reconnect;
    double timeout_s, give_up_s;
    uint64_t seed;
    bool seeded;
    const char *history_path, *json_path; /* NULL: none; json "-": standard output */
    bool histogram;
    bool progress, no_progress;
};

/* Fills in the defaults, then what the arguments say. On an error: false, and a sentence. Keeps
 * pointers into argv. */
bool bench_options_parse(struct bench_options *options, int argc, char **argv, char *message,
                         size_t cap);

void bench_address_set(struct bench_address *address, const char *host, uint16_t port);

/* "uniform", "zipf:0.99", "hot:0.1:0.9". */
void bench_distribution_name(const struct pick_distribution *distribution, char *out, size_t cap);
const char *bench_operations_name(enum bench_operations operations);

extern const char bench_help[];

#endif
