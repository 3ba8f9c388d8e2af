/* Histories and lists of seeds: any text is understood or refused, in bounded work. The verdict on
 * a history does not depend on the order of its lines, nor on lines that say nothing.
 *
 * With an odd first byte the rest is a list of seeds, else a history. */
#include "fuzz.h"

#include "base/alloc.h"
#include "sim/seed.h"

#include <string.h>

#define STEPS 5000u

/* Judges a text; true when the search did not come to its limit. The limit is small. */
static bool judge(const char *text, size_t n, int *code)
{
    char *told = NULL;
    size_t told_n = 0;
    FILE *in = n > 0 ? fmemopen((void *)(uintptr_t)text, n, "r") : NULL;
    FILE *out = open_memstream(&told, &told_n);
    qr_assert(out != NULL && (in != NULL || n == 0));
    *code = in != NULL ? history_check(in, "history", STEPS, out) : 0;
    (void)fclose(out);
    qr_assert((*code == 2) == (told_n == 0) || n == 0);
    bool decided = told_n == 0 || strncmp(told, "UNDECIDED", 9) != 0;
    if (in != NULL) {
        (void)fclose(in);
    }
    free(told);
    return decided;
}

/* The lines from last to first, with a comment and an empty line between them. */
static size_t reversed(const char *text, size_t n, char *out)
{
    static const char between[] = "\n# nothing\n\n";
    size_t end = n, at = 0;
    while (end > 0) {
        size_t start = end;
        while (start > 0 && text[start - 1] != '\n') {
            start--;
        }
        memcpy(out + at, text + start, end - start);
        at += end - start;
        memcpy(out + at, between, sizeof between - 1);
        at += sizeof between - 1;
        end = start > 0 ? start - 1 : 0;
    }
    return at;
}

static void history(const char *text, size_t n)
{
    int code, again;
    if (memchr(text, 0, n) != NULL) {
        (void)judge(text, n, &code); /* fgets does not say where such a line ends */
        return;
    }
    char *whole = qr_alloc(n + 1), *other = qr_alloc(13 * n + 32);
    memcpy(whole, text, n);
    if (n > 0 && text[n - 1] != '\n') {
        (void)judge(text, n, &code);
        qr_assert(code == 2); /* the last line may have been cut */
        whole[n++] = '\n';
    }
    size_t other_n = reversed(whole, n, other);
    bool decided = judge(whole, n, &code);
    if (judge(other, other_n, &again) && decided) {
        qr_assert(code == again);
    }
    free(whole);
    free(other);
}

static void seeds(const char *text, size_t n)
{
    char line[512], strategy[32], again[600];
    uint64_t seed = 0, seed_again;
    FILE *in = n > 0 ? fmemopen((void *)(uintptr_t)text, n, "r") : NULL;
    while (in != NULL && fgets(line, sizeof line, in) != NULL) {
        if (seed_line_read(line, strategy, &seed) && strategy[0] != 0) {
            qr_assert(strategy_of(strategy) != NULL);
            (void)snprintf(again, sizeof again, "%s %llu why\n", strategy,
                           (unsigned long long)seed);
            qr_assert(seed_line_read(again, strategy, &seed_again) && seed == seed_again);
        }
    }
    if (in != NULL) {
        (void)fclose(in);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n > 1) {
        (data[0] % 2 == 1 ? seeds : history)((const char *)data + 1, n - 1);
    }
    return 0;
}
