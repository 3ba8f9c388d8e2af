/* Runs a fuzz target without libFuzzer: every file of its corpus, short ones also cut short, and
 * seeded mutations of them. The same inputs in every run.
 *
 *     NAME_replay CORPUS-DIRECTORY [MUTATIONS]
 *
 * MUTATIONS are spread over all files. With 0 each file runs once, as it is. */
#include "fuzz.h"

#include "base/alloc.h"
#include "base/types.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#define INPUT_BYTES_MAX ((size_t)1 << 20)
#define FILES_MAX 4000
#define PREFIXES_MAX                                                                 \
    20 /* so many cuts of an input are tried, evenly spread, if it has a share of so \
        * many mutations */

struct input {
    char name[256];
    uint8_t *p;
    size_t n;
};

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static bool read_input(const char *directory, const char *name, struct input *out)
{
    char path[1024];
    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    (void)snprintf(out->name, sizeof out->name, "%s", name);
    uint8_t *room = qr_alloc(INPUT_BYTES_MAX);
    out->n = fread(room, 1, INPUT_BYTES_MAX, file);
    out->p = qr_alloc(out->n);
    memcpy(out->p, room, out->n);
    free(room);
    (void)fclose(file);
    return true;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct input *)a)->name, ((const struct input *)b)->name);
}

static size_t read_corpus(const char *directory, struct input *inputs)
{
    DIR *entries = opendir(directory);
    size_t count = 0;
    if (entries == NULL) {
        return 0;
    }
    for (struct dirent *e = readdir(entries); e != NULL && count < FILES_MAX;
         e = readdir(entries)) {
        count += e->d_name[0] != '.' && read_input(directory, e->d_name, &inputs[count]);
    }
    (void)closedir(entries);
    qsort(inputs, count, sizeof *inputs, by_name); /* directories have no order of their own */
    return count;
}

/* Changes, removes, doubles or takes over a few bytes. Returns the new length. */
static size_t mutate(uint8_t *p, size_t n, const struct input *other, uint64_t *random)
{
    static const uint8_t interesting[] = "\r\n*$0-19\"'\\x\0\xff";
    uint64_t steps = 1 + next_random(random) % 4;
    for (uint64_t i = 0; i < steps && n > 0; i++) {
        size_t at = next_random(random) % n;
        size_t length = 1 + next_random(random) % 8;
        length = length > n - at ? n - at : length;
        switch (next_random(random) % 5) {
        case 0:
            p[at] = (uint8_t)next_random(random);
            break;
        case 1:
            p[at] = interesting[next_random(random) % (sizeof interesting - 1)];
            break;
        case 2:
            memmove(p + at, p + at + length, n - at - length);
            n -= length;
            break;
        case 3:
            if (n + length <= INPUT_BYTES_MAX) {
                memmove(p + at + length, p + at, n - at);
                n += length;
            }
            break;
        default:
            if (other->n > 0) {
                p[at] = other->p[next_random(random) % other->n];
            }
        }
    }
    return n;
}

/* A copy of exactly n bytes, so that an overrun is seen. */
static void try(const uint8_t *p, size_t n)
{
    uint8_t *copy = qr_alloc(n);
    memcpy(copy, p, n);
    (void)LLVMFuzzerTestOneInput(copy, n);
    free(copy);
}

static void replay(const struct input *input, const struct input *other, uint64_t mutations,
                   uint8_t *room, uint64_t *random)
{
    try(input->p, input->n);
    size_t prefixes = mutations < PREFIXES_MAX ? mutations : PREFIXES_MAX;
    for (size_t i = 0; i < prefixes && input->n > prefixes; i++) {
        try(input->p, input->n * i / prefixes);
    }
    for (uint64_t i = 0; i < mutations; i++) {
        memcpy(room, input->p, input->n);
        try(room, mutate(room, input->n, other, random));
    }
}

int main(int argc, char **argv)
{
    static struct input inputs[FILES_MAX];
    uint64_t random = 88172645463325252u;
    size_t count = argc > 1 ? read_corpus(argv[1], inputs) : 0;
    uint64_t mutations = argc > 2 ? strtoull(argv[2], NULL, 10) : 1000;
    mutations = count > 0 && mutations > 0 ? 1 + mutations / count : 0;
    uint8_t *room = qr_alloc(INPUT_BYTES_MAX);
    (void)printf("1..1\n");
    for (size_t i = 0; i < count; i++) {
        (void)printf("# %s\n", inputs[i].name);
        (void)fflush(stdout); /* an abort must not hide which one it was */
        const struct input *other = &inputs[next_random(&random) % count];
        replay(&inputs[i], other, inputs[i].n > 4096 ? mutations / 100 : mutations, room, &random);
    }
    if (count > 0) {
        (void)printf("ok 1 - %zu inputs\n", count);
    }
    for (size_t i = 0; i < count; i++) {
        free(inputs[i].p);
    }
    free(room);
    if (count == 0) {
        (void)printf("not ok 1 - there is no corpus\n");
    }
    return count == 0;
}
