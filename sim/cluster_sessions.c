/* Sessions over all groups of a cluster: what one client does in several partitions, with one token
 * that knows them all.
 *
 * Each group judges what it has shown its sessions (sessions.c); what connects the groups is here.
 * Before each command a session learns what its commands anywhere have shown, puts that into its
 * token, and reads it back as text: nothing else is known where it goes next. At times a token is
 * open, so that only what it lists is known. Every other session is pinned. */
#include "sim/cluster.h"

#include "cluster/pin.h"
#include "sim/sessions.h"

/* It is about what tokens say, not about who has made them. */
static void seal(const struct token_sealer *sealer, struct span said, uint8_t out[TOKEN_SEAL_BYTES])
{
    (void)sealer;
    memset(out, (int)said.n, TOKEN_SEAL_BYTES);
}

void cluster_sessions_options(const struct cluster *c, uint32_t id, struct options *o)
{
    struct rng r = rng_from(c->seed * 0xa24baed4963ee407u + id * 31);
    if (id == 0 || rng_chance(&r, 1, 4)) {
        return;
    }
    o->level = 1 + READ_SESSION;
    o->sessions = CLUSTER_SESSIONS;
    o->keys = max_u64(o->keys, 2);
    o->bound = 100000;
}

static void learn(struct cluster *c, uint32_t session)
{
    for (uint32_t i = 0; i < c->group_count; i++) {
        const struct sessions *all = c->groups[i].world->sessions;
        if (all != NULL) {
            token_note(&c->tokens[session], c->groups[i].id, all->v[session].seen);
        }
    }
}

static struct token hop(struct cluster *c, const struct token *token)
{
    struct token_sealer sealer = { .seal = seal };
    struct token known = { 0 };
    char text[TOKEN_TEXT_MAX];
    size_t n = token_write(token, &sealer, text);
    enum token_status status = token_read(span_of(text, n), &sealer, &known);
    qr_assert(status == TOKEN_OK);
    if (rng_chance(&c->session_rng, 1, 8) && known.count > 0) { /* as if there were no more room */
        known.count = (uint32_t)rng_below(&c->session_rng, known.count);
        known.open = true;
    }
    return known;
}

bool cluster_sessions_act(struct cluster *c, struct sim_group *g, struct world *w, bool append)
{
    static const enum read_level others[] = { READ_LOCAL, READ_PREFIX, READ_LEADER };
    if (w->sessions == NULL || !rng_chance(&c->session_rng, 3, 4)) {
        return false;
    }
    uint32_t number = (uint32_t)rng_below(&c->session_rng, CLUSTER_SESSIONS);
    struct session *s = &w->sessions->v[number];
    if (s->busy) {
        return true;
    }
    learn(c, number);
    struct token known = hop(c, &c->tokens[number]);
    bool other = rng_chance(&c->session_rng, 1, 5);
    enum read_level level =
        other ? others[rng_below(&c->session_rng, ARRAY_COUNT(others))] : READ_SESSION;
    if (!token_find(&known, g->id, &s->seen)) {
        level = READ_LINEARIZABLE; /* as a node does with what may know more */
    }
    s->pin = number % 2 == 0 ? 0 : pin_hash(span_of(&number, sizeof number));
    struct action x = { .a = number,
                        .b = 1 + (int64_t)rng_below(&c->session_rng, w->options.keys - 1),
                        .c = append ? (int64_t)w->operation_count : -1 - (int64_t)level };
    (void)sessions_act(w, &x);
    return true;
}
