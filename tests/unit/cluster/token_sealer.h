/* A seal for tests of tokens: weak, but every byte counts; `cluster[0]` stands for the secret. */
#ifndef TESTS_CLUSTER_TOKEN_SEALER_H
#define TESTS_CLUSTER_TOKEN_SEALER_H

#include "cluster/token.h"

static inline void seal(const struct token_sealer *sealer, struct span said,
                        uint8_t out[TOKEN_SEAL_BYTES])
{
    uint64_t sum = 1469598103934665603u ^ sealer->cluster[0];
    for (size_t i = 0; i < said.n; i++) {
        sum = (sum ^ said.p[i]) * 1099511628211u;
    }
    for (uint32_t i = 0; i < TOKEN_SEAL_BYTES; i++) {
        out[i] = (uint8_t)(sum >> 5 * i);
    }
}

static const struct token_sealer ours = { .cluster = "ourclust", .seal = seal };

#endif
