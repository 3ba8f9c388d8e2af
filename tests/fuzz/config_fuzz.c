/* Configuration files: whatever they hold, they are read or refused with a reason; what was read
 * can be shown, and what CONFIG SET accepts is what CONFIG GET then shows. */
#include "fuzz.h"

#include "base/alloc.h"
#include "node/config.h"

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

/* Sets every directive that may change to its own value: nothing may be refused or changed. */
static void set_again(struct config *config)
{
    char value[CONFIG_VALUE_BYTES], after[CONFIG_VALUE_BYTES], error[512];
    for (uint32_t i = 0; i < config_count(); i++) {
        struct text text = text_in(value, sizeof value), text_after = text_in(after, sizeof after);
        if (!config_shown(i)) {
            continue;
        }
        config_value(config, i, &text);
        struct span pair[2] = { span_of(config_name(i), strlen(config_name(i))),
                                span_of(value, text.n) };
        bool set = config_set_runtime(config, pair, 2, error, sizeof error);
        qr_assert(set || strstr(error, "immutable") != NULL);
        config_value(config, i, &text_after);
        qr_assert(strcmp(value, after) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    /* `include` would read this machine's files; it has a test of its own. */
    for (size_t i = 0; i + 7 <= n; i++) {
        if ((data[i] | 32) == 'i' && (data[i + 1] | 32) == 'n' && (data[i + 2] | 32) == 'c') {
            return 0;
        }
    }
    if (memchr(data, '\\', n) != NULL && memchr(data, 'x', n) != NULL) {
        return 0; /* nor may it hide behind an escape */
    }
    struct config *config = qr_alloc(sizeof *config);
    char error[4096] = "";
    config_defaults(config);
    bool ok = config_parse_text(config, span_of(data, n), "fuzz", error, sizeof error);
    qr_assert(ok == (error[0] == 0));
    show_all(config);
    set_again(config);
    (void)config_check(config, error, sizeof error);
    free(config);
    return 0;
}
