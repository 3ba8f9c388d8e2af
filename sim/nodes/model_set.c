/* A set of elements, each a key of its own: one that was acknowledged is in every list of all keys,
 * and answers, from then on; one that was refused never does. Nobody takes one out. */
#include "sim/nodes/seat.h"

#define PATTERN "elem*" /* of the names of elements: elem and a number */

static uint32_t number_of(struct span name)
{
    char digits[12] = { 0 };
    size_t n = strlen(PATTERN) - 1;
    if (name.n <= n || name.n - n >= sizeof digits || memcmp(name.p, PATTERN, n) != 0) {
        return 0;
    }
    memcpy(digits, name.p + n, name.n - n);
    return (uint32_t)strtoul(digits, NULL, 10);
}

static void look_at_all(struct deed *asked, struct wish *wish, bool in_keyspace)
{
    asked->kind = OP_GET;
    asked->how = ALL_ELEMENTS;
    asked->apart = true;
    wish->in_keyspace = in_keyspace;
    (void)snprintf(asked->key, sizeof asked->key, "%u", in_keyspace);
    (void)snprintf(wish->words, sizeof wish->words, "KEYS " PATTERN);
}

static void set_ask(struct asker *a, struct deed *asked, struct wish *wish)
{
    struct elements *e = &a->run->elements_of;
    asked->apart = true;
    if (rng_chance(&a->rng, 1, 8)) {
        look_at_all(asked, wish, a->run->orders && rng_chance(&a->rng, 1, 2));
        return;
    }
    bool adds = e->n == 0 || (e->n < ELEMENTS_MAX - 1 && rng_chance(&a->rng, 1, 2));
    asked->kind = adds ? OP_SET : OP_GET;
    asked->how = ONE_ELEMENT;
    asked->ms = adds ? ++e->n : 1 + (uint32_t)rng_below(&a->rng, e->n);
    wish->in_keyspace = asked->ms % 2 == 1;
    (void)snprintf(asked->key, sizeof asked->key, "elem%u", (unsigned)asked->ms);
    (void)snprintf(wish->words, sizeof wish->words, adds ? "SET %s in" : "GET %s", asked->key);
}

/* Whether it may be missing from what was asked at that time, or be in it. */
static bool may_miss(const struct elements *e, uint32_t i, qr_time asked)
{
    return e->added[i] == 0 || e->added[i] >= asked;
}

static const char *told_all(struct run *run, const struct deed *asked, const struct answer *answer)
{
    static bool seen[ELEMENTS_MAX]; /* one at a time, in one thread */
    const struct elements *e = &run->elements_of;
    bool in_keyspace = asked->key[0] == '1';
    uint32_t n = tree_length(answer->tree, answer->at), at = answer->at + 1;
    memset(seen, 0, sizeof seen);
    for (uint32_t i = 0; i < n; i++, at = answer->tree->items[at].end) {
        uint32_t number = number_of(tree_text(answer->tree, at));
        if (number == 0 || number > e->n || seen[number] || e->refused[number]) {
            return "an element that nobody has added, or twice";
        }
        seen[number] = true;
    }
    for (uint32_t i = 1; i <= e->n; i++) {
        bool here = !run->orders || in_keyspace == (i % 2 == 1);
        if (here && !seen[i] && !may_miss(e, i, asked->start)) {
            return "an element is missing";
        }
    }
    return NULL;
}

static const char *set_told(struct asker *a, struct deed *asked, const struct answer *answer)
{
    struct elements *e = &a->run->elements_of;
    char type = tree_type(answer->tree, answer->at);
    if (asked->how == ALL_ELEMENTS) {
        story_tell(asked, RESULT_OK, span_of("", 0), answer->now);
        return type == '*' ? told_all(a->run, asked, answer) : "a reply of the wrong type";
    }
    if (!models_tell(asked, answer) || (type == '+') != (asked->kind == OP_SET)) {
        return "a reply of the wrong type";
    }
    if (asked->kind == OP_SET) {
        e->added[asked->ms] = answer->now;
    } else if (asked->result == RESULT_NIL && !may_miss(e, asked->ms, asked->start)) {
        return "an element is missing";
    } else if (asked->result == RESULT_VALUE && e->refused[asked->ms]) {
        return "an element that was refused";
    }
    return NULL;
}

static void set_refused(struct asker *a, const struct deed *asked)
{
    if (asked->kind == OP_SET) {
        a->run->elements_of.refused[asked->ms] = true;
    }
}

/* All keys, of keyspace 0 and of the operator's. */
static uint32_t set_last_count(const struct run *run)
{
    return !run->models.has[MODEL_set] ? 0 : run->orders ? 2 : 1;
}

static void set_ask_last(struct asker *a, uint32_t i, struct deed *asked, struct wish *wish)
{
    (void)a;
    look_at_all(asked, wish, i == 1);
}

const struct model model_set = { "set",       set_ask,        set_told,    NULL,
                                 set_refused, set_last_count, set_ask_last };
