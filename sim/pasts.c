/* See pasts.h.
 *
 * The past is the real one (store/past.h). The model knows of a value its hash, its length and its
 * first bytes: that is what the store has for it, and behind it as many bytes as the value has, so
 * that what is kept costs more as lists grow. */
#include "sim/pasts.h"

#include "sim/sessions.h"

#define PADDING_MAX 1024u
#define FREED_AT_ONCE 1u
#define CHANGES_MAX 8u

/* --- drawing -------------------------------------------------------------------------------- */

static uint64_t draw_age(struct rng *r)
{
    return 1000 + rng_below(r, rng_chance(r, 1, 3) ? 200000 : 20 * (uint64_t)QR_SECOND);
}

/* So few now and then that most values are too large to be kept. */
static uint64_t draw_bytes(struct rng *r)
{
    return rng_chance(r, 1, 6) ? 200 + rng_below(r, 800) : 5000 + rng_below(r, 300000);
}

void pasts_draw_options(struct rng *r, struct options *o)
{
    o->history = draw_age(r);
    o->history_bytes = draw_bytes(r);
}

void pasts_draw_plan(struct rng *r, const struct options *o, struct plan *plan)
{
    for (uint64_t left = rng_below(r, CHANGES_MAX + 1); left > 0; left--) {
        struct action x = { .at = (qr_time)rng_below(r, o->duration), .kind = ACTION_HISTORY };
        x.a = (int64_t)rng_below(r, o->nodes + o->joiners);
        x.b = rng_chance(r, 1, 2) ? 0 : (int64_t)draw_age(r);
        x.c = (int64_t)draw_bytes(r);
        plan_add(plan, x);
        if (x.b == 0 && rng_chance(r, 2, 3)) { /* and on again, while the old one goes */
            x.at += (qr_time)rng_below(r, 20000);
            x.b = (int64_t)draw_age(r);
            plan_add(plan, x);
        }
    }
}

/* --- keeping -------------------------------------------------------------------------------- */

static void put(struct sim_node *n, uint32_t key)
{
    uint8_t bytes[sizeof(struct model_value) + PADDING_MAX] = { 0 };
    const struct model_value *value = &n->values[key];
    size_t padding = value->length < PADDING_MAX ? value->length : PADDING_MAX;
    memcpy(bytes, value, sizeof *value);
    (void)store_put(n->store, 0, span_of(&key, sizeof key), span_of(bytes, sizeof *value + padding),
                    0);
}

static void keep(struct world *w, struct sim_node *n)
{
    store_keep_past(n->store, &n->history, n->applied, w->committed[n->applied].time);
}

bool pasts_change(struct world *w, struct sim_node *n, const struct action *x)
{
    n->history = (struct past_limits){ .age = x->b, .bytes = (uint64_t)x->c };
    if (n->store != NULL && n->up) {
        keep(w, n);
    }
    return n->store != NULL;
}

void pasts_load(struct world *w, struct sim_node *n)
{
    static const struct store_config config;
    if (w->options.level != 1 + READ_SNAPSHOT) {
        return;
    }
    bool first = n->store == NULL;
    pasts_end(n);
    if (first && n->history.bytes == 0) {
        n->history = (struct past_limits){ .age = (int64_t)w->options.history,
                                           .bytes = w->options.history_bytes };
    }
    n->store = store_new(&config);
    for (uint32_t key = 0; key <= w->options.keys; key++) {
        if (n->values[key].present) {
            put(n, key);
        }
    }
    keep(w, n);
}

void pasts_end(struct sim_node *n)
{
    if (n->store != NULL) {
        store_check(n->store);
        store_free(n->store);
        n->store = NULL;
    }
}

void pasts_enter(struct world *w, struct sim_node *n, qr_slot slot)
{
    if (n->store != NULL) {
        store_enter(n->store, slot);
        if (w->committed[slot].time > w->committed[slot - 1].time) {
            store_move_time(n->store, w->committed[slot].time);
        }
    }
}

void pasts_applied(struct world *w, struct sim_node *n, uint32_t attempt)
{
    if (n->store != NULL && attempt != 0) {
        put(n, w->operations[w->attempts[attempt].operation].record.key);
    }
}

void pasts_idle(struct sim_node *n)
{
    if (n->store != NULL) {
        (void)store_idle(n->store, FREED_AT_ONCE);
    }
}

/* --- reading -------------------------------------------------------------------------------- */

static bool leads(struct world *w, const struct sim_node *n)
{
    struct outlook o;
    node_outlook(w, n, &o);
    return o.role == ROLE_LEADER && o.can_serve;
}

static bool knows(const struct sim_node *n, qr_slot position)
{
    const struct past *past = store_past(n->store);
    return past != NULL && past_floor(past) <= position;
}

/* No proof is needed: what is applied is committed. */
enum serve pasts_serve(struct world *w, struct sim_node *n, const struct operation *o)
{
    if (!knows(n, o->position) && !leads(w, n)) {
        return SERVE_ELSEWHERE;
    }
    return n->applied < o->position ? SERVE_WAIT : SERVE_NOW;
}

void pasts_wait(struct sim_node *n, uint32_t attempt, qr_slot position)
{
    struct pending p = { .req = n->next_req++, .attempt = attempt, .is_read = true };
    p.confirmed = p.has_wish = true;
    p.wish.level = READ_SNAPSHOT;
    p.wish.least = position;
    requests_add(n, p);
}

bool pasts_came(struct world *w, struct sim_node *n, const struct pending *p)
{
    bool came = n->applied >= p->wish.least;
    bool done = w->operations[w->attempts[p->attempt].operation].done;
    w->counters->waited += came && !done ? 1 : 0;
    w->counters->not_waited += done ? 1 : 0;
    return came || done;
}

enum qr_status pasts_read(struct world *w, struct sim_node *n, const struct operation *o,
                          struct model_value *value)
{
    uint32_t key = o->record.key;
    struct item *item = NULL;
    if (n->applied < o->position) {
        return STATUS_STALE; /* its client has given up */
    }
    if (!knows(n, o->position)) {
        w->counters->too_old++;
        return leads(w, n) ? STATUS_STALE : STATUS_NOT_LEADER;
    }
    enum past_find found =
        store_find_as_of(n->store, 0, span_of(&key, sizeof key), o->position, &item);
    w->counters->as_of[found]++;
    *value = (struct model_value){ 0 };
    if (item != NULL && found != PAST_LOST) {
        memcpy(value, item_value(item).p, sizeof *value);
    }
    return found == PAST_LOST ? STATUS_STALE : STATUS_OK;
}
