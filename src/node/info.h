/* What INFO keeps between two calls. */
#ifndef NODE_INFO_H
#define NODE_INFO_H

#include "engine/engine.h"

struct client;

struct info_state {
    struct client *asks; /* for whom an INFO is being written */
    uint64_t memory_peak;      /* of used_memory, as seen by INFO */
    /* Rates are taken between two calls that are at least INFO_RATE_INTERVAL apart. */
    qr_time sampled;
    uint64_t commands, bytes_in, bytes_out;
    double commands_per_s, in_kb_per_s, out_kb_per_s;
};

#define INFO_RATE_INTERVAL QR_SECOND

#endif
