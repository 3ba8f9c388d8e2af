/* Sentences of the language that clients speak: commands with arguments as syntax.def allows them,
 * and now and then a little otherwise. They touch no key but their own (q...), and nothing that
 * others in the same world depend on. */
#ifndef SIM_NODES_SENTENCE_H
#define SIM_NODES_SENTENCE_H

#include "base/rng.h"
#include "base/types.h"

#define SENTENCE_WORDS_MAX 48u
#define SENTENCE_BYTES_MAX 8192u

struct sentence {
    struct rng *rng;
    struct span heard; /* of an earlier answer: what may do as a token */
    char text[SENTENCE_BYTES_MAX];
    size_t at[SENTENCE_WORDS_MAX + 1]; /* word i lies from at[i] to at[i + 1] */
    uint32_t count;
    uint32_t words_at; /* of WITH: which word says how many options there are; 0: none does */
    uint32_t depth;    /* of commands in commands */
    bool loose;        /* it need not have exactly one answer */
};

/* `heard` may be empty. */
void sentence_draw(struct sentence *s, struct rng *rng, struct span heard);

/* As an array of bulk strings; returns how many bytes of cap, which must do for all of them. */
size_t sentence_write(const struct sentence *s, char *p, size_t cap);

#endif
