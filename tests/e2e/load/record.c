/* What was done, in memory, and the history that comes of it. */
#include "load.h"

#include "base/alloc.h"
#include "base/panic.h"

#include <inttypes.h>
#include <string.h>

/* So few operations share a key that the search for an order stays short. */
#define OPERATIONS_PER_EPOCH 6000u
#define REGISTERS 64u /* keys of an epoch for get, set, del, append */
#define COUNTERS 32u  /* and for incr, get, del */
#define KEYS_PER_EPOCH (REGISTERS + COUNTERS)

#define ONCE_VALUE_MAX 30000u

void record_key_text(enum kind kind, uint32_t key, char out[KEY_TEXT_MAX])
{
    if (kind == KIND_ONCE) {
        (void)snprintf(out, KEY_TEXT_MAX, "once:%" PRIu32, key);
    } else {
        (void)snprintf(out, KEY_TEXT_MAX, "%s:%" PRIu32,
                       key % KEYS_PER_EPOCH < REGISTERS ? "register" : "counter", key);
    }
}

struct operation *record_add(struct record *record, uint32_t client, enum kind kind, uint32_t key,
                             int64_t now)
{
    if (record->count == record->cap) {
        record->cap = record->cap != 0 ? 2 * record->cap : 65536;
        record->operations =
            qr_realloc(record->operations, record->cap * sizeof *record->operations);
    }
    struct operation *op = &record->operations[record->count++];
    *op = (struct operation){ .client = client,
                              .key = key,
                              .kind = kind,
                              .outcome = OUTCOME_PENDING,
                              .start = now,
                              .result_at = RESULT_NONE };
    return op;
}

static enum kind kind_for(struct rng *rng, bool counter)
{
    uint64_t dice = rng_below(rng, 100);
    if (counter) {
        return dice < 60 ? KIND_INCR : dice < 97 ? KIND_GET : KIND_DEL;
    }
    return dice < 45 ? KIND_SET : dice < 85 ? KIND_GET : dice < 93 ? KIND_APPEND : KIND_DEL;
}

struct operation *record_next(struct record *record, struct rng *rng, uint32_t client, int64_t now)
{
    uint32_t number = (uint32_t)record->count;
    if (rng_below(rng, 4) == 0) {
        return record_add(record, client, KIND_ONCE, number, now);
    }
    uint32_t place = (uint32_t)rng_below(rng, KEYS_PER_EPOCH);
    uint32_t key = number / OPERATIONS_PER_EPOCH * KEYS_PER_EPOCH + place;
    struct operation *op = record_add(record, client, kind_for(rng, place >= REGISTERS), key, now);
    if (op->kind == KIND_SET || op->kind == KIND_APPEND) {
        /* Unique, so that a read names the write it saw. */
        (void)snprintf(op->argument, sizeof op->argument, "%s%" PRIx32,
                       op->kind == KIND_SET ? "v" : "+", number);
    }
    return op;
}

void record_result(struct record *record, struct operation *op, const char *p, size_t n)
{
    if (record->text_n + n > record->text_cap) {
        record->text_cap = 2 * record->text_cap + n + 65536;
        record->text = qr_realloc(record->text, record->text_cap);
    }
    qr_assert(record->text_n + n < RESULT_NONE);
    memcpy(record->text + record->text_n, p, n);
    op->result_at = (uint32_t)record->text_n;
    op->result_n = (uint32_t)n;
    record->text_n += n;
}

uint32_t record_last_key(const struct record *record)
{
    uint32_t last = 0;
    for (size_t i = 0; i < record->count; i++) {
        const struct operation *op = &record->operations[i];
        if (op->kind != KIND_ONCE && op->key > last) {
            last = op->key;
        }
    }
    return last;
}

const char *once_value(uint32_t key, size_t *n)
{
    static char value[ONCE_VALUE_MAX];
    struct rng rng = rng_from(key);
    size_t length = key % 200 == 0 ? ONCE_VALUE_MAX : 8 + rng_below(&rng, 200);
    for (size_t i = 0; i < length; i++) {
        value[i] = (char)('a' + (i < 64 || i % 16 == 0 ? rng_below(&rng, 26) : i % 26));
    }
    *n = length;
    return value;
}

/* --- The history ---------------------------------------------------------------------------- */

/* One line of the form that `quorate check-history` reads (sim/history.c): process key kind
 * argument result start end. Nothing here needs its escapes. */
static void write_operation(FILE *file, const struct record *record, const struct operation *op)
{
    static const char *const names[] = { [KIND_GET] = "get",
                                         [KIND_SET] = "set",
                                         [KIND_DEL] = "del",
                                         [KIND_APPEND] = "append",
                                         [KIND_INCR] = "incr" };
    char key[KEY_TEXT_MAX];
    record_key_text(op->kind, op->key, key);
    (void)fprintf(file, "%" PRIu32 " %s %s %s ", op->client, key, names[op->kind],
                  op->argument[0] != 0 ? op->argument : "-");
    if (op->outcome == OUTCOME_FAIL) {
        (void)fputs("fail", file);
    } else if (op->outcome != OUTCOME_OK) {
        (void)fputs("unknown", file);
    } else if (op->result_at != RESULT_NONE) {
        (void)fprintf(file, "=%.*s", (int)op->result_n, record->text + op->result_at);
    } else {
        (void)fputs(op->kind == KIND_GET ? "nil" : "ok", file);
    }
    int64_t end = op->outcome == OUTCOME_OK || op->outcome == OUTCOME_FAIL ? op->end : op->start;
    (void)fprintf(file, " %" PRId64 " %" PRId64 "\n", op->start, end);
}

bool record_write(const struct record *record, const char *path)
{
    FILE *file = fopen(path, "we");
    if (file == NULL) {
        perror(path);
        return false;
    }
    for (size_t i = 0; i < record->count; i++) {
        if (record->operations[i].kind != KIND_ONCE) {
            write_operation(file, record, &record->operations[i]);
        }
    }
    bool written = ferror(file) == 0;
    return fclose(file) == 0 && written;
}
