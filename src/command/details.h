/* Where a command's keys are, and hints for proxies: for COMMAND and whoever must find keys. */
#ifndef COMMAND_DETAILS_H
#define COMMAND_DETAILS_H

#include "command/command.h"

/* One group of keys: arguments first, first + step, ... up to `last` behind the first (negative:
 * counted from the end of the arguments). */
struct command_keys {
    int16_t first, last, step;
    const char *flags; /* Redis's words: "RW access update" */
    const char *note;  /* "" for none */
};

/* The groups of keys of a command; 0 when it has none. */
uint32_t command_keys_of(const struct command_spec *spec, const struct command_keys **out);

/* Space-separated; "" for none. */
const char *command_tips_of(const struct command_spec *spec);

/* The arguments behind the name, in the notation of syntax.def; "" for none. */
const char *command_syntax_of(const struct command_spec *spec);

/* The bounds of a group in these arguments: *begin is the first key, keys lie before *end. */
void command_keys_range(const struct command_keys *keys, uint32_t argc, uint32_t *begin,
                        uint32_t *end);

/* Redis's name of the i-th flag (bit i of spec->flags); NULL beyond the last and for our own. */
const char *command_flag_name(uint32_t bit);

#endif
