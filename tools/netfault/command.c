#include "tools/netfault/command.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    size_t at;
    uint64_t most; /* keeps times and products far from where they would overflow */
} fields[] = {
    { "delay_us", offsetof(struct faults, delay_us), 3600ull * MILLION },
    { "jitter_us", offsetof(struct faults, jitter_us), 3600ull * MILLION },
    { "bytes_per_s", offsetof(struct faults, bytes_per_s), 1ull << 40 },
    { "loss_ppm", offsetof(struct faults, loss_ppm), MILLION },
    { "duplicate_ppm", offsetof(struct faults, duplicate_ppm), MILLION },
    { "reorder_ppm", offsetof(struct faults, reorder_ppm), MILLION },
    { "cut", offsetof(struct faults, cut), 1 },
};
#define FIELDS (sizeof fields / sizeof fields[0])
#define WORDS 16u /* of a line */

static bool parse_number(const char *text, uint64_t most, uint64_t *out)
{
    char *end;
    *out = strtoull(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && *end == 0 && *out <= most;
}

/* A range of nodes: one, or all of them. */
static bool parse_nodes(const struct schedule *s, const char *text, uint32_t *first, uint32_t *last)
{
    uint64_t number;
    *first = 0;
    *last = schedule_nodes(s) - 1;
    if (strcmp(text, "*") == 0) {
        return true;
    }
    if (!parse_number(text, schedule_nodes(s), &number) || number == 0) {
        return false;
    }
    *first = *last = (uint32_t)number - 1;
    return true;
}

struct change {
    size_t at;
    uint64_t value;
};

/* NAME=NUMBER; the word is cut in two. */
static bool parse_change(char *word, struct change *out)
{
    char *number = strchr(word, '=');
    if (number == NULL) {
        return false;
    }
    *number++ = 0;
    for (size_t i = 0; i < FIELDS; i++) {
        if (strcmp(word, fields[i].name) == 0) {
            out->at = fields[i].at;
            return parse_number(number, fields[i].most, &out->value);
        }
    }
    return false;
}

static const char *carry_out_set(struct schedule *s, uint64_t now_us, char *words[], size_t n)
{
    struct change changes[WORDS];
    uint32_t from, last_from, to, last_to;
    if (n < 4 || !parse_nodes(s, words[1], &from, &last_from) ||
        !parse_nodes(s, words[2], &to, &last_to)) {
        return "set FROM TO NAME=NUMBER..., nodes are numbers from 1 or *";
    }
    for (size_t w = 3; w < n; w++) {
        if (!parse_change(words[w], &changes[w])) {
            return "no such fault, or not a number that it can have";
        }
    }
    for (uint32_t i = from; i <= last_from; i++) {
        for (uint32_t j = to; j <= last_to; j++) {
            struct faults faults = schedule_faults(s, i, j);
            for (size_t w = 3; w < n; w++) {
                memcpy((char *)&faults + changes[w].at, &changes[w].value, sizeof(uint64_t));
            }
            schedule_set(s, now_us, i, j, faults);
        }
    }
    return NULL;
}

static void clear(struct schedule *s, uint64_t now_us)
{
    for (uint32_t i = 0; i < schedule_nodes(s); i++) {
        for (uint32_t j = 0; j < schedule_nodes(s); j++) {
            schedule_set(s, now_us, i, j, (struct faults){ 0 });
        }
    }
}

static void count(const struct schedule *s, FILE *out)
{
    for (uint32_t i = 0; i < schedule_nodes(s); i++) {
        for (uint32_t j = 0; j < schedule_nodes(s); j++) {
            struct counts c = schedule_counts(s, i, j);
            if (c.offered > 0) {
                fprintf(out,
                        "%u>%u offered=%" PRIu64 " passed=%" PRIu64 " bytes=%" PRIu64
                        " cut=%" PRIu64 " lost=%" PRIu64 " overflowed=%" PRIu64
                        " duplicated=%" PRIu64 " reordered=%" PRIu64 " queued=%" PRIu64 "\n",
                        i + 1, j + 1, c.offered, c.passed, c.bytes, c.cut, c.lost, c.overflowed,
                        c.duplicated, c.reordered, c.queued);
            }
        }
    }
}

void netfault_command(struct schedule *s, uint64_t now_us, char *line, FILE *out)
{
    char *words[WORDS], *rest = NULL;
    size_t n = 0;
    for (char *w = strtok_r(line, " \r\n", &rest); w != NULL; w = strtok_r(NULL, " \r\n", &rest)) {
        if (n == WORDS) {
            fprintf(out, "error: too many words\n");
            return;
        }
        words[n++] = w;
    }
    const char *problem = NULL;
    if (n > 0 && strcmp(words[0], "set") == 0) {
        problem = carry_out_set(s, now_us, words, n);
    } else if (n == 1 && strcmp(words[0], "clear") == 0) {
        clear(s, now_us);
    } else if (n == 1 && strcmp(words[0], "count") == 0) {
        count(s, out);
    } else {
        problem = "set, clear or count";
    }
    if (problem != NULL) {
        fprintf(out, "error: %s\n", problem);
    } else {
        fprintf(out, "ok\n");
    }
}
