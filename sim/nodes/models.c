/* See models.h. */
#include "sim/nodes/models.h"

#include "sim/nodes/seat.h"

#define KEY_USES 50u

#define MODEL(name, text) extern const struct model model_##name;
#include "sim/nodes/models.def"
#undef MODEL

const struct model *const models[MODELS] = {
#define MODEL(name, text) &model_##name,
#include "sim/nodes/models.def"
#undef MODEL
};

void models_draw(struct run *run)
{
    for (unsigned i = 0; i < MODELS; i++) {
        run->models.has[i] = rng_chance(&run->realm->rng, 1, 2);
    }
    run->clock_error = QR_MILLISECOND / 2; /* keys go by whole milliseconds, begun or not */
    if (faults_move_clocks(run)) {
        run->models.has[MODEL_ttl] = run->models.has[MODEL_lock] = false;
    }
    for (uint32_t i = 0; i < run->askers && run->models.has[MODEL_flush]; i++) {
        struct asker *a = &run->asker[i];
        a->flushes = !a->is_operator && !a->is_guest && rng_chance(&run->realm->rng, 1, 3);
        a->hop.kind = a->flushes ? HOP_NEVER : a->hop.kind;
    }
}

void models_look_at_clocks(struct run *run)
{
    for (uint32_t i = 0; i < run->seats; i++) {
        qr_time now = run->realm->now;
        qr_time wrong = host_wall(run->seat[i].host, now) - REALM_WALL - now;
        wrong = wrong < 0 ? -wrong : wrong;
        run->clock_error = wrong > run->clock_error ? wrong : run->clock_error;
    }
}

const struct model *model_of(const struct deed *asked)
{
    return asked->model == 0 ? NULL : models[asked->model - 1];
}

/* Who flushes does so only, and nobody else does. */
static bool may_ask(const struct asker *a, unsigned m)
{
    return a->flushes ? m == MODEL_flush : a->run->models.has[m] && m != MODEL_flush;
}

bool models_ask(struct asker *a, struct deed *asked, struct wish *wish)
{
    models_look_at_clocks(a->run);
    unsigned first = (unsigned)rng_below(&a->rng, MODELS);
    for (unsigned i = 0; i < MODELS; i++) {
        unsigned m = (first + i) % MODELS;
        if (may_ask(a, m)) {
            asked->model = (uint8_t)(m + 1);
            a->run->models.asked[m]++;
            models[m]->ask(a, asked, wish);
            return true;
        }
    }
    return false;
}

static uint32_t last_count(const struct asker *a, unsigned m)
{
    bool reads = models[m]->last_count != NULL && may_ask(a, m);
    return reads ? models[m]->last_count(a->run) : 0;
}

uint32_t models_last_count(const struct asker *a)
{
    uint32_t n = 0;
    for (unsigned m = 0; m < MODELS; m++) {
        n += last_count(a, m);
    }
    return n;
}

void models_ask_last(struct asker *a, uint32_t i, struct deed *asked, struct wish *wish)
{
    unsigned m = 0;
    for (; i >= last_count(a, m); m++) {
        i -= last_count(a, m);
    }
    asked->model = (uint8_t)(m + 1);
    models[m]->ask_last(a, i, asked, wish);
}

uint32_t models_keys(const struct run *run, enum model_name model)
{
    return (run->models.asked[model] + KEY_USES - 1) / KEY_USES;
}

bool models_tell(struct deed *asked, const struct answer *answer)
{
    char type = tree_type(answer->tree, answer->at);
    if (type == '+') {
        story_tell(asked, RESULT_OK, span_of("", 0), answer->now);
    } else if (type == '$') {
        bool nothing = answer->tree->items[answer->at].null;
        story_tell(asked, nothing ? RESULT_NIL : RESULT_VALUE, tree_text(answer->tree, answer->at),
                   answer->now);
    }
    return type == '+' || type == '$';
}
