/* A lock with fencing. Who sets the key where nothing is holds the lock for as long as it asked
 * for, less what clocks have been wrong; as long as it does nobody else gets it. It takes a number,
 * and writes with it to a store that refuses all but the newest: a holder's is. It gives the lock
 * back by DEL, or forgets to. A DEL that is late may be the end of another's hold: that lock is
 * given up. */
#include "sim/nodes/seat.h"

static uint32_t current_lock(const struct run *run)
{
    return models_keys(run, MODEL_lock) + run->lock.spoilt;
}

/* For sure, and whatever happens. */
static bool is_held(const struct run *run, qr_time now)
{
    const struct lock *l = &run->lock;
    return l->holder != NULL && l->number == current_lock(run) &&
           now < l->until - 2 * run->clock_error;
}

static void lock_ask(struct asker *a, struct deed *asked, struct wish *wish)
{
    struct run *run = a->run;
    struct lock *l = &run->lock;
    unsigned number = current_lock(run);
    bool mine = is_held(run, asked->start) && l->holder == a;
    size_t cap = sizeof wish->words;
    wish->in_keyspace = number % 2 == 1;
    a->lock = number;
    (void)snprintf(asked->key, sizeof asked->key, "lock%u", number);
    asked->apart = true;
    if (!mine) {
        asked->kind = OP_SETNX;
        asked->ms = 50 + (uint32_t)rng_below(&a->rng, 3000);
        (void)snprintf(wish->words, cap, "SET %s c%u NX PX %u", asked->key, (unsigned)a->number,
                       (unsigned)asked->ms);
    } else if (rng_chance(&a->rng, 1, 3)) {
        asked->kind = OP_DEL;
        l->holder = NULL;
        l->ends_till = l->until;
        (void)snprintf(wish->words, cap, "DEL %s", asked->key);
    } else {
        asked->kind = OP_INCR;
        asked->apart = false;
        (void)snprintf(asked->key, sizeof asked->key, "fence%u", number);
        (void)snprintf(wish->words, cap, "INCR %s", asked->key);
    }
}

/* A DEL that is not known to have come in time. */
static bool is_in_doubt(const struct run *run, qr_time now)
{
    const struct lock *l = &run->lock;
    return l->ends_till != 0 && now >= l->ends_till - 2 * run->clock_error;
}

static void spoil(struct run *run)
{
    run->lock.spoilt++;
    run->lock.ends_till = 0;
}

static const char *got_it(struct asker *a, const struct deed *asked, qr_time now)
{
    struct run *run = a->run;
    struct lock *l = &run->lock;
    qr_time until = asked->start + asked->ms * QR_MILLISECOND;
    if (a->lock != current_lock(run) || now >= until - 2 * run->clock_error) {
        return NULL; /* too late to know */
    }
    if (is_in_doubt(run, now)) {
        spoil(run);
        return NULL;
    }
    if (is_held(run, now)) {
        return "two hold one lock";
    }
    l->number = a->lock;
    l->holder = a;
    l->until = until;
    return NULL;
}

static const char *gave_it_back(struct asker *a, int64_t n, qr_time now)
{
    struct run *run = a->run;
    if (a->lock != current_lock(run)) {
        return NULL;
    }
    if (is_in_doubt(run, now)) {
        spoil(run);
        return NULL;
    }
    run->lock.ends_till = 0;
    return n == 1 ? NULL : "a lock is gone before its time";
}

/* The store: it takes what is newer than all that it has taken. */
static const char *writes(struct asker *a, int64_t number, qr_time now)
{
    struct lock *l = &a->run->lock;
    if (!is_held(a->run, now) || l->holder != a || a->lock != l->number) {
        return NULL; /* it sees that it has the lock no more */
    }
    bool is_newer = l->fenced != a->lock || number > l->newest;
    l->fenced = a->lock;
    l->newest = number;
    return is_newer ? NULL : "who holds the lock is refused as an older one";
}

static const char *lock_told(struct asker *a, struct deed *asked, const struct answer *answer)
{
    char type = tree_type(answer->tree, answer->at), number[24];
    int64_t n = tree_number(answer->tree, answer->at);
    if (asked->kind == OP_SETNX) {
        bool good = models_tell(asked, answer) && asked->result != RESULT_VALUE;
        bool got = asked->result == RESULT_OK;
        return !good ? "a reply of the wrong type" : got ? got_it(a, asked, answer->now) : NULL;
    }
    (void)snprintf(number, sizeof number, "%lld", (long long)n);
    story_tell(asked, RESULT_VALUE, span_of(number, strlen(number)), answer->now);
    if (type != ':' || (asked->kind == OP_DEL && n != 0 && n != 1)) {
        return "a reply of the wrong type";
    }
    return asked->kind == OP_DEL ? gave_it_back(a, n, answer->now) : writes(a, n, answer->now);
}

static void lock_lost(struct asker *a, const struct deed *asked)
{
    if (asked->kind == OP_DEL && a->lock == current_lock(a->run)) {
        spoil(a->run);
    }
}

const struct model model_lock = { "lock", lock_ask, lock_told, lock_lost, NULL, NULL, NULL };
