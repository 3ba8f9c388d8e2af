/* Runs commands on an engine as the leader would, and compares the exact bytes of the replies. */
#ifndef TESTS_UNIT_ENGINE_HARNESS_H
#define TESTS_UNIT_ENGINE_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/engine.h"

/* 2023-11-14 22:13:20 UTC: the moment at which every test starts. */
#define START_MS INT64_C(1700000000000)

struct harness {
    struct engine *engine;
    struct engine *follower; /* applies the same entries, silently; its digest must agree */
    struct reply reply, silence;
    qr_wall stamp; /* of the next command; tests move it */
    uint64_t seed;
    uint8_t db;
    enum engine_read_result result; /* of the last read */
};

/* cmocka fixtures: *state is a struct harness. */
int harness_setup(void **state);
int harness_teardown(void **state);

/* Runs one command, given as words separated by single blanks ("~" stands for an empty word), and
 * compares the reply: "\r\n" is written as "|" in `expected`. */
void expect_at(struct harness *h, const char *command, const char *expected, const char *file,
               int line);
#define expect(h, command, expected) expect_at(h, command, expected, __FILE__, __LINE__)

/* Runs one command of any bytes; the reply is in h->reply. argv[0] is the name (two words for a
 * subcommand). */
void run_command(struct harness *h, const struct span *argv, uint32_t argc);

#define WORDS_MAX 64
/* The words of a text, which it loses its blanks for, into argv of WORDS_MAX places. */
uint32_t split_words(char *text, struct span *argv);
/* The command as an op with that stamp; *op points into the bytes, which the caller frees. */
uint8_t *encode_command(const struct harness *h, const struct span *argv, uint32_t argc,
                        qr_wall stamp, struct op *op);
/* The reply as `expect` compares it; the caller frees it. */
char *shown_reply(const struct harness *h);

void at_ms(struct harness *h, int64_t ms); /* sets the stamp, counted from the start */
void tick(struct harness *h);              /* applies a tick at the stamp, on both */

#endif
