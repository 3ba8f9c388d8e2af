/* What config.c and config_file.c share. */
#ifndef NODE_CONFIG_INTERNAL_H
#define NODE_CONFIG_INTERNAL_H

#include "node/config.h"

#define CONFIG_SET_PAIRS_MAX 256u   /* of one CONFIG SET: ERR syntax error */
#define CONFIG_FILE_BYTES_MAX MIB   /* of one file: an error at the start */
#define CONFIG_LINE_BYTES_MAX 4096u /* of one line: an error at the start */
#define CONFIG_LINE_WORDS_MAX 64u   /* of one directive: an error at the start */
#define CONFIG_INCLUDE_DEPTH_MAX 8u /* files that include files: an error at the start */

/* See config.def. */
enum directive_kind {
    DIRECTIVE_NUMBER,
    DIRECTIVE_SIZE,
    DIRECTIVE_SWITCH,
    DIRECTIVE_CHOICE,
    DIRECTIVE_TEXT,
    DIRECTIVE_SECRET,
    DIRECTIVE_MEMBERS,
    DIRECTIVE_CONSTANT,
    DIRECTIVE_REFUSED,
    DIRECTIVE_NOTED,
    DIRECTIVE_ALIAS,
};

struct directive {
    const char *name;
    enum directive_kind kind;
    size_t offset, size; /* of the field in struct config */
    uint64_t initial, least, most;
    const char *words; /* default text, constant, choices, or the other name of an alias */
    bool anytime;      /* CONFIG SET may change it */
    const char *help;
};

/* Resolves aliases; NULL when there is none. */
const struct directive *directive_find(struct span name);

/* Sets a directive from the words behind its name. False with the reason. */
bool directive_set(struct config *config, const struct directive *d, const struct span *words,
                   uint32_t n, bool running, struct text *error);

#endif
