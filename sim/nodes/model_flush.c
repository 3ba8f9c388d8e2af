/* A database of their own, which some clients use and flush: what was there before is gone, what is
 * acknowledged behind it is there. To the history a flush clears each of their keys. */
#include "sim/nodes/seat.h"

#define KEYS 5u
#define WRITES_MAX 250u /* so that no history grows long: then they only look */

static const struct form {
    enum op_kind kind;
    const char *name;
} forms[] = {
    { OP_GET, "GET" }, { OP_GET, "GET" },     { OP_SET, "SET" },       { OP_SET, "SET" },
    { OP_DEL, "DEL" }, { OP_INCR, "INCRBY" }, { OP_CLEAR, "FLUSHDB" },
};

static void flush_ask(struct asker *a, struct deed *asked, struct wish *wish)
{
    bool looks = a->run->models.asked[MODEL_flush] > WRITES_MAX;
    const struct form *form = &forms[looks ? 0 : rng_below(&a->rng, ARRAY_COUNT(forms))];
    asked->kind = form->kind;
    if (form->kind == OP_CLEAR) {
        asked->keys = KEYS;
        (void)snprintf(asked->key, sizeof asked->key, "flushed");
        (void)snprintf(wish->words, sizeof wish->words, "%s", form->name);
        return;
    }
    wish->may_have_id = true;
    if (!op_is_bare(form->kind)) {
        (void)snprintf(asked->argument, sizeof asked->argument, "%zu", a->run->story.n);
    }
    (void)snprintf(asked->key, sizeof asked->key, "flushed%u", (unsigned)rng_below(&a->rng, KEYS));
    (void)snprintf(wish->words, sizeof wish->words, "%s %s%s%s", form->name, asked->key,
                   asked->argument[0] != 0 ? " " : "", asked->argument);
}

static const char *flush_told(struct asker *a, struct deed *asked, const struct answer *answer)
{
    (void)a;
    bool counts = asked->kind == OP_DEL || asked->kind == OP_INCR;
    char type = tree_type(answer->tree, answer->at), number[24];
    if (type != (counts ? ':' : asked->kind == OP_GET ? '$' : '+')) {
        return "a reply of the wrong type";
    }
    if (counts) {
        int n = snprintf(number, sizeof number, "%lld",
                         (long long)tree_number(answer->tree, answer->at));
        story_tell(asked, RESULT_VALUE, span_of(number, (size_t)n), answer->now);
    } else {
        (void)models_tell(asked, answer);
    }
    return NULL;
}

static uint32_t flush_last_count(const struct run *run)
{
    (void)run;
    return KEYS;
}

static void flush_ask_last(struct asker *a, uint32_t i, struct deed *asked, struct wish *wish)
{
    (void)a;
    asked->kind = OP_GET;
    (void)snprintf(asked->key, sizeof asked->key, "flushed%u", (unsigned)i);
    (void)snprintf(wish->words, sizeof wish->words, "GET %s", asked->key);
}

const struct model model_flush = { "flush", flush_ask,        flush_told,    NULL,
                                   NULL,    flush_last_count, flush_ask_last };
