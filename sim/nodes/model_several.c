/* Three keys of one partition, which are set, read and deleted at once only: to whoever looks they
 * are one register. */
#include "sim/nodes/models.h"

#include "sim/nodes/seat.h"

#define TOGETHER 3u

static const struct form {
    enum op_kind kind;
    const char *name;
} forms[] = {
    { OP_GET, "MGET" },     { OP_GET, "MGET" }, { OP_SET, "MSET" },   { OP_SET, "MSET" },
    { OP_SETNX, "MSETNX" }, { OP_DEL, "DEL" },  { OP_DEL, "UNLINK" },
};

static void compose(uint32_t key, const struct form *form, struct deed *asked, struct wish *wish)
{
    size_t n = (size_t)snprintf(wish->words, sizeof wish->words, "%s", form->name);
    asked->kind = form->kind;
    wish->in_keyspace = key % 2 == 1;
    (void)snprintf(asked->key, sizeof asked->key, "trio%u", (unsigned)key);
    for (unsigned i = 0; i < TOGETHER; i++) {
        n += (size_t)snprintf(wish->words + n, sizeof wish->words - n, " {trio%u}%c%s%s",
                              (unsigned)key, "abc"[i], asked -> argument[0] != 0 ? " " : "",
                              asked->argument);
    }
    qr_assert(n < sizeof wish->words);
}

static void several_ask(struct asker *a, struct deed *asked, struct wish *wish)
{
    const struct form *form = &forms[rng_below(&a->rng, ARRAY_COUNT(forms))];
    wish->may_have_id = true;
    if (!op_is_bare(form->kind)) {
        (void)snprintf(asked->argument, sizeof asked->argument, "v%zu", a->run->story.n);
    }
    compose(models_keys(a->run, MODEL_several), form, asked, wish);
}

/* All of the three say the same. */
static const char *told_values(struct deed *asked, const struct answer *answer)
{
    const struct tree *tree = answer->tree;
    uint32_t first = tree_element(tree, answer->at, 0);
    struct span value = tree_text(tree, first);
    for (uint32_t i = 1; i < TOGETHER; i++) {
        uint32_t item = tree_element(tree, answer->at, i);
        struct span other = tree_text(tree, item);
        if (tree->items[item].null != tree->items[first].null || other.n != value.n ||
            memcmp(other.p, value.p, value.n) != 0) {
            return "some of the keys that were written at once";
        }
    }
    struct answer one = { tree, first, answer->now };
    return models_tell(asked, &one) ? NULL : "a reply of the wrong type";
}

static const char *several_told(struct asker *a, struct deed *asked, const struct answer *answer)
{
    (void)a;
    char type = tree_type(answer->tree, answer->at);
    int64_t n = tree_number(answer->tree, answer->at);
    if (asked->kind == OP_GET) {
        bool good = type == '*' && tree_length(answer->tree, answer->at) == TOGETHER;
        return good ? told_values(asked, answer) : "a reply of the wrong type";
    }
    if (asked->kind == OP_SET) {
        return models_tell(asked, answer) ? NULL : "a reply of the wrong type";
    }
    int64_t all = asked->kind == OP_DEL ? TOGETHER : 1;
    if (type != ':' || (n != 0 && n != all)) {
        return "some of the keys that were written at once";
    }
    if (asked->kind == OP_DEL) {
        story_tell(asked, RESULT_VALUE, span_of(n == 0 ? "0" : "1", 1), answer->now);
    } else {
        story_tell(asked, n == 0 ? RESULT_NIL : RESULT_OK, span_of("", 0), answer->now);
    }
    return NULL;
}

static uint32_t several_last_count(const struct run *run)
{
    return models_keys(run, MODEL_several);
}

static void several_ask_last(struct asker *a, uint32_t i, struct deed *asked, struct wish *wish)
{
    (void)a;
    compose(i + 1, &forms[0], asked, wish);
}

const struct model model_several = { "several", several_ask,        several_told,    NULL,
                                     NULL,      several_last_count, several_ask_last };
