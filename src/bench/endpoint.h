/* A server's address, as it was given and as it was found. */
#ifndef BENCH_ENDPOINT_H
#define BENCH_ENDPOINT_H

#include "bench/options.h"

#include <sys/socket.h>

struct endpoint {
    struct bench_address address;
    struct sockaddr_storage socket;
    socklen_t socket_bytes;
    bool serves; /* has slots, with --cluster */
};

#endif
