/* Configuration files and command lines: whatever they hold, they are read or refused with a
 * reason; what was read can be shown, and what is shown, read or set again, is the same.
 *
 * The input is a file; behind a `!` it is a command line, a word per line. */
#include "fuzz.h"

#include "base/alloc.h"
#include "node/config.h"

#include <stdio.h>
#include <string.h>

static void show_all(const struct config *config)
{
    char value[CONFIG_VALUE_BYTES];
    for (uint32_t i = 0; i < config_count(); i++) {
        if (config_shown(i)) {
            struct text text = text_in(value, sizeof value);
            config_value(config, i, &text);
            qr_assert(!text.cut);
        }
    }
}

/* The value of a directive that is shown and not what it is by default; those would be the same in
 * every run. */
static bool was_given(const struct config *config, const struct config *defaults, uint32_t i,
                      char value[CONFIG_VALUE_BYTES])
{
    char before[CONFIG_VALUE_BYTES];
    struct text text = text_in(value, CONFIG_VALUE_BYTES);
    struct text text_before = text_in(before, sizeof before);
    if (!config_shown(i)) {
        return false;
    }
    config_value(config, i, &text);
    config_value(defaults, i, &text_before);
    return strcmp(value, before) != 0;
}

/* Sets every directive that may change to its own value: nothing may be refused or changed. */
static void set_again(struct config *config, const struct config *defaults)
{
    char value[CONFIG_VALUE_BYTES], after[CONFIG_VALUE_BYTES], error[512];
    for (uint32_t i = 0; i < config_count(); i++) {
        struct text text_after = text_in(after, sizeof after);
        if (!was_given(config, defaults, i, value)) {
            continue;
        }
        struct span pair[2] = { span_of(config_name(i), strlen(config_name(i))),
                                span_of(value, strlen(value)) };
        bool set = config_set_runtime(config, pair, 2, error, sizeof error);
        qr_assert(set || strstr(error, "immutable") != NULL);
        config_value(config, i, &text_after);
        qr_assert(strcmp(value, after) == 0);
    }
}

/* What is shown, written into a file of its own, reads back as what is shown. */
static void read_back(const struct config *config, const struct config *defaults)
{
    char value[CONFIG_VALUE_BYTES], after[CONFIG_VALUE_BYTES], error[4096];
    char line[5 * CONFIG_VALUE_BYTES];
    struct config *again = qr_alloc(sizeof *again);
    config_defaults(again);
    for (uint32_t i = 0; i < config_count(); i++) {
        struct text text_after = text_in(after, sizeof after);
        if (!was_given(config, defaults, i, value)) {
            continue;
        }
        int n = snprintf(line, sizeof line, "%s \"", config_name(i));
        for (const char *p = value; *p != 0; p++) {
            n += snprintf(line + n, sizeof line - (size_t)n, "\\x%02x", (unsigned)(uint8_t)*p);
        }
        n += snprintf(line + n, sizeof line - (size_t)n, "\"\n");
        qr_assert((size_t)n < sizeof line);
        if (config_parse_text(again, span_of(line, (size_t)n), "again", error, sizeof error)) {
            config_value(again, i, &text_after);
            qr_assert(strcmp(value, after) == 0);
        }
    }
    free(again);
}

static void show_addresses(const struct config *config)
{
    char address[64];
    bool optional;
    for (uint32_t i = 0; config_address(config->bind, i, address, &optional); i++) {
        qr_assert(i < 256 && address[0] != 0);
    }
    (void)config_denies_remote(config, "[::1]:7001");
}

/* --- Files: an `include` finds the input itself ---------------------------------------------- */

static const uint8_t *file;
static size_t file_bytes;

FILE *__real_fopen(const char *path, const char *mode);
FILE *__wrap_fopen(const char *path, const char *mode);
FILE *__wrap_fopen(const char *path, const char *mode)
{
    if (file == NULL) {
        return __real_fopen(path, mode);
    }
    return path[0] == '!' || file_bytes == 0 ? NULL
                                             : fmemopen((void *)(uintptr_t)file, file_bytes, "r");
}

/* --- Command lines: a line of the input is a word -------------------------------------------- */

#define WORDS_MAX 40

static bool parse_words(struct config *config, const uint8_t *data, size_t n, char *error,
                        size_t cap)
{
    char *words = qr_alloc(n + 1);
    char *argv[WORDS_MAX];
    int argc = 0;
    memcpy(words, data, n);
    words[n] = 0;
    for (char *at = words; at != NULL && argc < WORDS_MAX;) {
        argv[argc++] = at;
        at = strchr(at, '\n');
        if (at != NULL) {
            *at++ = 0;
        }
    }
    /* "-" would read standard input */
    bool ok = strcmp(argv[0], "-") != 0 && config_parse_arguments(argc, argv, config, error, cap);
    free(words);
    return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct config *config = qr_alloc(sizeof *config), *defaults = qr_alloc(sizeof *defaults);
    char error[4096] = "";
    file = data;
    file_bytes = n;
    config_defaults(config);
    config_defaults(defaults);
    if (n > 0 && data[0] == '!') {
        if (parse_words(config, data + 1, n - 1, error, sizeof error)) {
            qr_assert(error[0] == 0);
        }
    } else {
        bool ok = config_parse_text(config, span_of(data, n), "fuzz", error, sizeof error);
        qr_assert(ok == (error[0] == 0));
    }
    if (config_check(config, error, sizeof error)) {
        show_addresses(config);
    }
    show_all(config);
    set_again(config, defaults);
    read_back(config, defaults);
    file = NULL;
    free(defaults);
    free(config);
    return 0;
}
