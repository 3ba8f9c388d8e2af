/* Workloads with a model of their own (models.def), in one frame: what each asks next, and what it
 * makes of the answer. Those that are registers write what they were told into the history, where
 * the checkers judge it; the others judge by themselves, and their deeds stay out of it. */
#ifndef SIM_NODES_MODELS_H
#define SIM_NODES_MODELS_H

#include "resp/tree.h"
#include "sim/nodes/story.h"

enum model_name {
#define MODEL(name, text) MODEL_##name,
#include "sim/nodes/models.def"
#undef MODEL
    MODELS
};

struct asker;
struct run;

/* What they have in common of a run. */
struct models {
    bool has[MODELS];      /* this seed */
    uint64_t done[MODELS]; /* requests that were answered with what was asked for */
    uint32_t asked[MODELS];
};

/* A request in words with a blank between them, and the options that WITH gives it. */
struct wish {
    char words[200], level[24];
    bool in_keyspace; /* the operator's, if there is one */
    bool may_have_id;
};

/* A value of the reply, or of a reply with more about it. */
struct answer {
    const struct tree *tree;
    uint32_t at;
    qr_time now;
};

struct model {
    const char *name;
    void (*ask)(struct asker *a, struct deed *asked, struct wish *wish);
    /* Of an answer that is no error: fills in the result, or says what is wrong with it. */
    const char *(*told)(struct asker *a, struct deed *asked, const struct answer *answer);
    void (*lost)(struct asker *a, const struct deed *asked); /* it may have happened; or NULL */
    /* The last phase: what is read then, how often; or NULL. */
    uint32_t (*last_count)(const struct run *run);
    void (*ask_last)(struct asker *a, uint32_t i, struct deed *asked, struct wish *wish);
};

extern const struct model *const models[MODELS];

void models_draw(struct run *run);
const struct model *model_of(const struct deed *asked); /* NULL: of none */
/* False: this seed has none. */
bool models_ask(struct asker *a, struct deed *asked, struct wish *wish);
uint32_t models_last_count(const struct run *run);
void models_ask_last(struct asker *a, uint32_t i, struct deed *asked, struct wish *wish);

/* Keys follow each other, so that no history of one grows long: how many there were, which is the
 * number of the one in use too. */
uint32_t models_keys(const struct run *run, enum model_name model);

/* The result of a register: OK for +, nothing or a value for $; false: it is none of them. */
bool models_tell(struct deed *asked, const struct answer *answer);

#endif
