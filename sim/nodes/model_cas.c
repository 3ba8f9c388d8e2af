/* Writes that look first, as a register: a key is set where nothing is, or where something is, or
 * tells what was there. Two forms tell and look at once, and what they say decides what they were:
 * a `SET NX GET` that tells a value was a read, a `SET XX GET` that tells one a GETSET. */
#include "sim/nodes/models.h"

#include "sim/nodes/seat.h"

static const struct form {
    enum op_kind kind;
    const char *before, *behind;
    bool tells_too; /* what was there, by GET behind NX or XX */
} forms[] = {
    { OP_GET, "GET", "", false },       { OP_GET, "GET", "", false },
    { OP_SETNX, "SET", " NX", false },  { OP_SETNX, "SETNX", "", false },
    { OP_SETNX, "MSETNX", "", false },  { OP_SETNX, "SET", " NX GET", true },
    { OP_SETXX, "SET", " XX", false },  { OP_SETXX, "SET", " XX GET", true },
    { OP_GETSET, "GETSET", "", false }, { OP_GETSET, "SET", " GET", false },
    { OP_GETDEL, "GETDEL", "", false }, { OP_DEL, "DEL", "", false },
};

static void name_key(struct deed *asked, struct wish *wish, uint32_t key)
{
    wish->in_keyspace = key % 2 == 1;
    (void)snprintf(asked->key, sizeof asked->key, "cas%u", (unsigned)key);
}

static void cas_ask(struct asker *a, struct deed *asked, struct wish *wish)
{
    struct run *run = a->run;
    asked->how = (uint8_t)rng_below(&a->rng, ARRAY_COUNT(forms));
    const struct form *form = &forms[asked->how];
    asked->kind = form->kind;
    name_key(asked, wish, models_keys(run, MODEL_cas));
    if (!op_is_bare(form->kind)) {
        (void)snprintf(asked->argument, sizeof asked->argument, "v%zu", run->story.n);
    }
    wish->may_have_id = true;
    (void)snprintf(wish->words, sizeof wish->words, "%s %s%s%s%s", form->before, asked->key,
                   asked->argument[0] != 0 ? " " : "", asked->argument, form->behind);
}

/* :1 and :0 of SETNX, MSETNX and DEL. */
static const char *told_number(struct deed *asked, const struct answer *answer)
{
    int64_t n = tree_number(answer->tree, answer->at);
    if (n != 0 && n != 1) {
        return "of one key neither none nor one";
    }
    if (asked->kind == OP_DEL) {
        story_tell(asked, RESULT_VALUE, span_of(n == 1 ? "1" : "0", 1), answer->now);
    } else {
        story_tell(asked, n == 1 ? RESULT_OK : RESULT_NIL, span_of("", 0), answer->now);
    }
    return NULL;
}

/* What it was, by what it has told of the time before. */
static void turned(struct deed *asked)
{
    bool nothing = asked->result == RESULT_NIL;
    if (asked->kind == OP_SETNX && nothing) {
        asked->result = RESULT_OK;
    } else if (asked->kind == OP_SETNX) {
        asked->kind = OP_GET;
        asked->argument[0] = 0;
    } else if (!nothing) {
        asked->kind = OP_GETSET;
    }
}

static const char *cas_told(struct asker *a, struct deed *asked, const struct answer *answer)
{
    (void)a;
    const struct form *form = &forms[asked->how];
    char type = tree_type(answer->tree, answer->at);
    bool counts = asked->kind == OP_DEL || strstr(form->before, "SETNX") != NULL;
    if (counts != (type == ':')) {
        return "a reply of the wrong type";
    }
    if (counts) {
        return told_number(asked, answer);
    }
    if (!models_tell(asked, answer)) {
        return "a reply of the wrong type";
    }
    if (form->tells_too) {
        turned(asked);
    }
    bool sets = asked->kind == OP_SETNX || asked->kind == OP_SETXX;
    return asked->result == (sets ? RESULT_VALUE : RESULT_OK) ? "a reply of the wrong kind" : NULL;
}

static uint32_t cas_last_count(const struct run *run)
{
    return models_keys(run, MODEL_cas);
}

static void cas_ask_last(struct asker *a, uint32_t i, struct deed *asked, struct wish *wish)
{
    (void)a;
    asked->kind = OP_GET;
    name_key(asked, wish, i + 1);
    (void)snprintf(wish->words, sizeof wish->words, "GET %s", asked->key);
}

const struct model model_cas = {
    "cas", cas_ask, cas_told, NULL, NULL, cas_last_count, cas_ask_last
};
