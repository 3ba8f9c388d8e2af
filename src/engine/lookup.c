/* Finding keys under the rule of log time (R9, U56): a due key is absent for every command. */
#include "engine/call.h"

#include "base/panic.h"

static bool is_due(const struct item *item, qr_wall time)
{
    qr_wall expire = item_expire(item);
    return expire != 0 && expire <= time;
}

/* The item as of c->as_of, also if it had its time by then. */
static struct item *find_as_of(struct call *c, uint8_t db, struct span key)
{
    struct item *item = NULL;
    c->lost |= store_find_as_of(c->engine->store, db, key, c->as_of, &item) == PAST_LOST;
    return item;
}

struct item *find_for_read(struct call *c, uint8_t db, struct span key)
{
    struct engine *engine = c->engine;
    struct item *item = c->is_as_of ? find_as_of(c, db, key) : store_find(engine->store, db, key);
    if (item != NULL && is_due(item, c->now)) {
        /* By log time it is gone. Between log time and the leader's clock nobody may say yet: a
         * later leader, whose clock is behind, must not show again what was shown as gone. */
        c->due = c->due || !is_due(item, engine->log_time);
        item = NULL;
    }
    if (item != NULL) {
        engine->totals->stats.keyspace_hits++;
    } else {
        engine->totals->stats.keyspace_misses++;
    }
    return item;
}

struct item *find_for_write(struct call *c, uint8_t db, struct span key)
{
    struct engine *engine = c->engine;
    qr_assert(c->now == engine->log_time); /* only entries of the log write */
    struct item *item = store_find(engine->store, db, key);
    if (item != NULL && is_due(item, engine->log_time)) {
        (void)store_delete(engine->store, db, key);
        engine->totals->stats.expired_keys++;
        return NULL;
    }
    return item;
}

bool must_wait_for_tick(struct call *c)
{
    /* Once log time has reached the clock, what is due by log time is skipped one by one; before
     * that, the first key in order is enough to know that there is one. */
    if (c->now > c->engine->log_time && engine_next_due(c->engine) <= c->now) {
        c->due = true;
    }
    return c->due;
}
