/* A fuzz target: one file per target defines it. libFuzzer calls it (tests/fuzz/run); replay.c
 * calls it with the corpus and with seeded mutations of it, so that `make test` needs no clang.
 * Targets abort (qr_assert) on whatever must not be. */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#endif
