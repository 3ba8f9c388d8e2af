/* See entries.h. */
#include "entries.h"
#include "harness.h"

#include "base/limits.h"
#include "command/command.h"

#include <stdio.h>

static struct span word(struct entries *log, uint32_t i, const char *format, uint64_t v)
{
    (void)snprintf(log->words[i], sizeof log->words[i], format, (unsigned long long)v);
    return span_of(log->words[i], strlen(log->words[i]));
}

/* Commands with arguments that make most of them succeed: k key, v value, n number, t a time in
 * milliseconds that passes soon, d a database; capitals stand for themselves. */
static const char *const templates[] = {
    "SET k v",         "SET k v PX t",     "SET k v KEEPTTL",
    "SET k v GET",     "SETNX k v",        "PSETEX k t v",
    "GETSET k v",      "GETDEL k",         "GETEX k PX t",
    "GETEX k PERSIST", "MSET k v k v",     "MSETNX k v k v",
    "APPEND k v",      "SETRANGE k n v",   "INCR k",
    "DECRBY k n",      "INCRBYFLOAT k n",  "DEL k k",
    "UNLINK k",        "PEXPIRE k t",      "PEXPIRE k t GT",
    "PERSIST k",       "RENAME k k",       "RENAMENX k k",
    "COPY k k",        "COPY k k REPLACE", "COPY k k DB d",
    "MOVE k d",        "SWAPDB d d",       "SET k v",
    "SET k v PX t",    "SET k v PX t",     "SET k v",
    "PEXPIRE k t",     "APPEND k v",       "SETEX k 2 v",
    "EXPIRE k 1",      "EXPIREAT k 9999",  "PEXPIREAT k t",
    "INCRBY k n",      "DECR k",           "EXPIREAT k 9999999999",
};

static struct span argument(struct entries *log, uint32_t i, const char *token)
{
    switch (token[0]) {
    case 'k':
        return word(log, i, "key:%llu", rng_below(&log->rng, 60));
    case 'v':
        return word(log, i, "%llu", rng_next(&log->rng) >> rng_below(&log->rng, 64));
    case 'n':
        return word(log, i, "%llu", rng_below(&log->rng, 100));
    case 't':
        return word(log, i, "%llu", 1 + rng_below(&log->rng, 3000));
    case 'd':
        return word(log, i, "%llu", rng_below(&log->rng, 3));
    default:
        (void)snprintf(log->words[i], sizeof log->words[i], "%s", token);
        return span_of(log->words[i], strlen(log->words[i]));
    }
}

static void make_command(struct entries *log, struct entry *entry)
{
    char text[64];
    const char *command = templates[rng_below(&log->rng, ARRAY_COUNT(templates))];
    if (rng_chance(&log->rng, 1, 1000)) {
        command = rng_chance(&log->rng, 1, 4) ? "FLUSHALL" : "FLUSHDB";
    }
    (void)snprintf(text, sizeof text, "%s", command);
    char *rest = NULL;
    struct span argv[ENTRY_ARGUMENTS_MAX];
    const char *name = strtok_r(text, " ", &rest);
    const struct command_spec *spec = command_by_name(span_of(name, strlen(name)));
    assert_non_null(spec);
    uint32_t argc = 0;
    for (char *token = strtok_r(NULL, " ", &rest); token != NULL;
         token = strtok_r(NULL, " ", &rest)) {
        argv[argc] = argument(log, argc, token);
        argc++;
    }
    struct op_id id = { .seconds = 3, .count = 20, .bytes = 4096 };
    uint8_t name_of_it[OP_ID_BYTES_MAX];
    struct op head = { .stamp = entry->stamp,
                       .seed = rng_next(&log->rng),
                       .level = SEMANTICS_LEVEL,
                       .tag = spec->tag,
                       .db = (uint8_t)rng_below(&log->rng, 3) };
    if (rng_chance(&log->rng, 1, 16)) {
        id.pid = word(log, ENTRY_ARGUMENTS_MAX, "p%llu", rng_below(&log->rng, 4));
        id.iid = word(log, ENTRY_ARGUMENTS_MAX + 1, "%llu", log->ids++);
        head.level = SEMANTICS_LEVEL_IDS;
        head.id = span_of(name_of_it, op_id_write(name_of_it, &id));
    }
    entry->n = op_bytes(argv, argc) + head.id.n;
    entry->bytes = malloc(entry->n);
    assert_non_null(entry->bytes);
    op_write(entry->bytes, &head, argv, argc);
    if (head.id.n > 0) {
        log->retry = entry;
    }
}

/* The last one with an id comes again, later. */
static void retry(struct entries *log, struct entry *entry)
{
    entry->n = log->retry->n;
    entry->bytes = malloc(entry->n);
    assert_non_null(entry->bytes);
    memcpy(entry->bytes, log->retry->bytes, entry->n);
    op_stamp(entry->bytes, entry->stamp, rng_next(&log->rng));
}

struct entries *entries_new(uint64_t seed)
{
    struct entries *log = calloc(1, sizeof *log);
    assert_non_null(log);
    log->rng = rng_from(seed);
    log->clock = START_MS * 1000;
    for (size_t i = 0; i < ENTRIES; i++) {
        struct entry *entry = &log->v[i];
        log->clock += (qr_wall)rng_below(&log->rng, 20000); /* up to 20 ms */
        /* Leaders change, and their clocks differ. */
        entry->stamp = log->clock - (qr_wall)rng_below(&log->rng, 500000);
        if (log->retry != NULL && rng_chance(&log->rng, 1, 50)) {
            retry(log, entry);
        } else if (!rng_chance(&log->rng, 1, 20)) {
            make_command(log, entry);
        }
    }
    return log;
}

void entries_free(struct entries *log)
{
    for (size_t i = 0; i < ENTRIES; i++) {
        free(log->v[i].bytes);
    }
    free(log);
}
