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

/* What a client knows of the key of its own that goes at a time (model_ttl.c), in true time. */
struct mortal {
    uint32_t number;
    bool is_known, is_there;
    char value[24];
    qr_time earliest,
        latest; /* it may go from then to then, by perfect clocks; QR_NEVER: it stays */
};

/* The lock that all ask for (model_lock.c), and the store that its holder writes to. */
struct lock {
    uint32_t number, spoilt;    /* which; how many were given up */
    const struct asker *holder; /* NULL: nobody is known to have it */
    qr_time until, ends_till;   /* held; a DEL is under way, in time till then (0: none is) */
    uint32_t fenced;            /* the lock that the newest number is of */
    int64_t newest;
};

/* What was added (model_set.c), by number from 1. */
#define ELEMENTS_MAX 600u
enum { ONE_ELEMENT, ALL_ELEMENTS }; /* what is asked for */
struct elements {
    uint32_t n;
    qr_time added[ELEMENTS_MAX]; /* when that was acknowledged; 0: it was not */
    bool refused[ELEMENTS_MAX];
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
    void (*lost)(struct asker *a, const struct deed *asked);    /* it may have happened; or NULL */
    void (*refused)(struct asker *a, const struct deed *asked); /* it did not; or NULL */
    /* The last phase: what is read then, how often; or NULL. */
    uint32_t (*last_count)(const struct run *run);
    void (*ask_last)(struct asker *a, uint32_t i, struct deed *asked, struct wish *wish);
};

extern const struct model *const models[MODELS];

/* When the faults are drawn: where wall clocks jump nobody is right about times to live. */
void models_draw(struct run *run);
const struct model *model_of(const struct deed *asked); /* NULL: of none */
/* False: this seed has none. */
bool models_ask(struct asker *a, struct deed *asked, struct wish *wish);
uint32_t models_last_count(const struct asker *a);
/* Notes how wrong clocks are now. */
void models_look_at_clocks(struct run *run);
void models_ask_last(struct asker *a, uint32_t i, struct deed *asked, struct wish *wish);

/* Keys follow each other, so that no history of one grows long: how many there were, which is the
 * number of the one in use too. */
uint32_t models_keys(const struct run *run, enum model_name model);

/* The result of a register: OK for +, nothing or a value for $; false: it is none of them. */
bool models_tell(struct deed *asked, const struct answer *answer);

#endif
