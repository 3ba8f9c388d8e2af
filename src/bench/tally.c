#include "bench/tally.h"

#include <string.h>

/* The entry of that code; the last one is for all that have no entry of their own. */
static struct tally_error *entry(struct tally *t, const char *code, size_t n)
{
    for (uint32_t i = 0; i < t->error_kinds; i++) {
        if (strlen(t->errors[i].code) == n && memcmp(t->errors[i].code, code, n) == 0) {
            return &t->errors[i];
        }
    }
    if (t->error_kinds == BENCH_ERROR_CODES_MAX) {
        return &t->errors[BENCH_ERROR_CODES_MAX - 1];
    }
    struct tally_error *e = &t->errors[t->error_kinds++];
    bool last = t->error_kinds == BENCH_ERROR_CODES_MAX;
    code = last ? "others" : code;
    n = last ? 6 : n;
    memcpy(e->code, code, n);
    e->code[n] = 0;
    return e;
}

void tally_error(struct tally *t, const char *code, size_t n)
{
    n = n < sizeof t->errors[0].code ? n : sizeof t->errors[0].code - 1;
    entry(t, code, n)->count++;
    t->errors_total++;
}
