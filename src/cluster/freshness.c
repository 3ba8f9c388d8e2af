#include "cluster/freshness.h"

#include "cluster/wants.h"

struct read_wish freshness_wish(const struct wants *wants, qr_time asked)
{
    bool by_count = wants->bound_is_operations;
    return (struct read_wish){ .level = (enum read_level)wants->level,
                               .least = wants->least,
                               .asked = asked,
                               .bound = (qr_time)wants->bound,
                               .behind = by_count ? wants->bound : 0,
                               .by_count = by_count };
}

qr_slot freshness_needs(const struct read_wish *wish)
{
    qr_slot index = wish->index;
    switch (wish->level) {
    case READ_LINEARIZABLE:
        break;
    case READ_BOUNDED:
        index = index > wish->behind ? index - wish->behind : 0;
        break;
    default: /* the index only told whether what it must show can still come */
        index = 0;
        break;
    }
    return index > wish->least ? index : wish->least;
}

/* Whether the state as it is now is enough, without an index of the read's own. */
static bool suffices(const struct freshness *r, const struct read_wish *wish)
{
    switch (wish->level) {
    case READ_LEADER:
        return r->leads;
    case READ_PREFIX:
    case READ_LOCAL:
    case READ_SESSION:
    case READ_SNAPSHOT:
        return r->current;
    case READ_BOUNDED:
        return !wish->by_count && r->fresh_at != 0 && wish->asked - r->fresh_at <= wish->bound;
    default: /* of levels that only a proof satisfies, or that the strategy does not give */
        return false;
    }
}

/* Whether an index could make this replica one that serves it. */
static bool may_ask(const struct freshness *r, const struct read_wish *wish)
{
    switch (wish->level) {
    case READ_LINEARIZABLE:
    case READ_BOUNDED:
        return true;
    default:
        return suffices(r, wish);
    }
}

enum serve freshness_serves(const struct freshness *replica, const struct read_wish *wish)
{
    if (!replica->trusted || !may_ask(replica, wish)) {
        return SERVE_ELSEWHERE;
    }
    if (wish->confirmed) {
        if (wish->index < wish->least) {
            return SERVE_LOST;
        }
        return replica->applied >= freshness_needs(wish) ? SERVE_NOW : SERVE_WAIT;
    }
    return suffices(replica, wish) && replica->applied >= wish->least ? SERVE_NOW : SERVE_ASK;
}

void freshness_proven(struct freshness *replica, qr_time asked)
{
    replica->fresh_at = asked > replica->fresh_at ? asked : replica->fresh_at;
}
