#include "node/planner.h"

#include "node/control_internal.h"
#include "node/placing.h"
#include "node/replica.h"
#include "node/run.h"
#include "protocol/quorum.h"

#define PLANNER_INTERVAL (100 * QR_MILLISECOND)
#define PLANNER_WAITS (500 * QR_MILLISECOND) /* nothing could be done; news come sooner */
#define MOVES_MAX 8u                         /* under way at a time */
#define RECORDS_MAX 64u                      /* moves and preferences that one change begins */
#define SETTLED_MAX 512u

/* --- What is reached ------------------------------------------------------------------------- */

/* Partitions whose leaders have reported that the wish is their membership. */
static void note_settled(struct node *node, struct edit *edit)
{
    uint32_t count = 0;
    const struct map_partition *p = map_partition(node->map, 0);
    while ((p = map_partition_after(node->map, p->group)) != NULL && count < SETTLED_MAX) {
        node_index leader;
        const struct partition_report *r =
            p->settled < p->epoch ? reports_of_group(node, p->group, &leader) : NULL;
        if (r != NULL && r->epoch == p->epoch) {
            struct map_partition settled = *p;
            map_settle(&settled);
            edit_partition(edit, &settled);
            node->control->planner.settled++;
            count++;
        }
    }
}

/* What was said of nodes that take part no more. */
static void forget_nodes(struct node *node, struct edit *edit)
{
    qr_slot slot;
    const struct roster *roster = replica_applied_roster(node->zero->replica, &slot);
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        uint32_t id = map_node(node->map, i)->id;
        if (id != 0 && id != roster->node[i].id && roster->members.outgoing == 0) {
            edit_drop(edit, MAP_RECORD_NODE, i);
        }
    }
}

/* --- What is due ----------------------------------------------------------------------------- */

/* Moves under way that get on: their partitions have leaders. */
static uint32_t under_way(const struct node *node)
{
    uint32_t count = 0;
    const struct map_partition *p = map_partition(node->map, 0);
    while ((p = map_partition_after(node->map, p->group)) != NULL) {
        node_index leader;
        bool moves = p->settled < p->epoch && p->epoch > 1;
        count += moves && reports_of_group(node, p->group, &leader) != NULL ? 1 : 0;
    }
    return count;
}

/* How many more moves may begin (PN2). */
static uint32_t moves_allowed(struct node *node, qr_time now)
{
    struct planner *pl = &node->control->planner;
    uint64_t rate = map_settings(node->map)->rate;
    uint32_t running = under_way(node);
    qr_time passed = now - pl->filled < QR_SECOND ? now - pl->filled : QR_SECOND;
    pl->filled = now;
    if (rate == 0) {
        pl->tokens = 0;
        return running < MOVES_MAX ? MOVES_MAX - running : 0;
    }
    pl->tokens += (int64_t)((double)rate * (double)passed / (double)QR_SECOND);
    pl->tokens = pl->tokens < (int64_t)rate ? pl->tokens : (int64_t)rate;
    return pl->tokens >= 0 && running == 0 ? 1 : 0;
}

/* What a move will copy. */
static uint64_t bytes_of(const struct node *node, uint32_t group, uint16_t before, uint16_t wish)
{
    node_index leader;
    const struct partition_report *r = reports_of_group(node, group, &leader);
    return r != NULL ? r->bytes * quorum_count((uint16_t)(wish & ~before)) : 0;
}

static void spend(struct node *node, const struct map_partition *before,
                  const struct map_partition *after)
{
    struct planner *pl = &node->control->planner;
    uint64_t bytes = bytes_of(node, after->group, before->wish, after->wish);
    pl->begun++;
    pl->begun_bytes += bytes;
    pl->tokens -= (int64_t)bytes;
    pl->since = pl->since != 0 ? pl->since : node->clock;
}

static uint64_t bytes_left(const struct node *node, const struct place_plan *plan)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < plan->count; i++) {
        const struct place_change *c = &plan->change[i];
        sum += bytes_of(node, c->group, c->before, c->wish);
    }
    return sum;
}

/* All that is left to do. */
static void make_plan(struct node *node, const struct place_nodes *nodes, struct place_plan *plan)
{
    struct planner *pl = &node->control->planner;
    place_plan(node->map, nodes, map_settings(node->map)->balancing, plan);
    pl->left = plan->count;
    pl->stuck = plan->stuck;
    pl->left_bytes = bytes_left(node, plan);
}

/* Begins what is due. Whether anything is left. */
static bool begin_due(struct node *node, struct edit *edit, qr_time now)
{
    struct planner *pl = &node->control->planner;
    struct place_nodes nodes = placing_nodes(node);
    struct place_plan plan;
    struct map_partition due[RECORDS_MAX];
    make_plan(node, &nodes, &plan);
    uint32_t moves = moves_allowed(node, now);
    uint32_t count =
        plan.count > 0 ? place_due(node->map, &nodes, &plan, moves, due, RECORDS_MAX) : 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct map_partition *before = map_partition(node->map, due[i].group);
        edit_partition(edit, &due[i]);
        if (before->wish != due[i].wish) {
            spend(node, before, &due[i]);
        }
    }
    place_plan_free(&plan);
    return pl->left > 0;
}

/* Everything is where it should be: a rebalance is over. */
static void end_balancing(struct node *node, struct edit *edit)
{
    struct map_settings settings = *map_settings(node->map);
    settings.balancing = false;
    edit_settings(edit, &settings);
}

/* What was to be begun and could not be proposed costs nothing. */
static void take_back(struct planner *pl, const struct planner *before)
{
    pl->settled = before->settled;
    pl->begun = before->begun;
    pl->begun_bytes = before->begun_bytes;
    pl->tokens = before->tokens;
    pl->filled = before->filled;
    pl->since = before->since;
}

static uint32_t nodes_key(const struct node *node)
{
    struct place_nodes nodes = placing_nodes(node);
    return (uint32_t)nodes.live << 16 | (uint16_t)(nodes.gone ^ nodes.members);
}

/* Nothing was left to do, and nothing has changed since. */
static bool is_at_rest(const struct node *node)
{
    const struct planner *pl = &node->control->planner;
    return pl->seen == map_changes(node->map) && pl->nodes == nodes_key(node);
}

void planner_look(struct node *node)
{
    if (!is_at_rest(node)) {
        struct place_nodes nodes = placing_nodes(node);
        struct place_plan plan;
        make_plan(node, &nodes, &plan);
        place_plan_free(&plan);
    }
}

void planner_turn(struct node *node, qr_time now)
{
    struct planner *pl = &node->control->planner;
    if (now < pl->next || control_level(node) < MAP_LEVEL_KEYSPACES ||
        !replica_seen(node->zero->replica)->can_serve || node->control->flight.busy) {
        return;
    }
    pl->next = now + PLANNER_INTERVAL;
    if (is_at_rest(node)) {
        return;
    }
    struct edit edit = { 0 };
    struct planner before = *pl;
    note_settled(node, &edit);
    forget_nodes(node, &edit);
    uint64_t seen = map_changes(node->map);
    bool left = edit.count > 0; /* records written twice in one change would be lost */
    if (!left) {
        left = begin_due(node, &edit, now);
    }
    bool idle = !left && edit.count == 0 && place_under_way(node->map) == 0;
    bool ends = idle && map_settings(node->map)->balancing;
    if (ends) {
        end_balancing(node, &edit);
    } else if (idle) {
        pl->since = 0;
        pl->begun_bytes = 0;
        pl->seen = seen;
        pl->nodes = nodes_key(node);
    }
    pl->next = edit.count > 0 ? pl->next : now + PLANNER_WAITS;
    if (edit.count > 0 && !control_propose_own(node, &edit)) {
        take_back(pl, &before);
    } else if (ends) {
        node_log(node, NODE_LOG_NOTICE, "The rebalance is done");
    }
    edit_free(&edit);
    node->wake = pl->next < node->wake ? pl->next : node->wake;
}

/* --- How far it is --------------------------------------------------------------------------- */

struct planner_progress planner_progress_of(const struct node *node, const struct map_partition *p)
{
    node_index leader;
    const struct partition_report *r = reports_of_group(node, p->group, &leader);
    struct planner_progress progress = { 0 };
    if (r == NULL) {
        return progress; /* nobody leads it, so nothing is known */
    }
    uint32_t copies = quorum_count((uint16_t)(p->wish & ~r->voters));
    progress.bytes = r->bytes;
    for (uint32_t rest = p->wish & ~r->voters; rest != 0; rest &= rest - 1) {
        node_index i = set_first(rest);
        bool asked = (r->others >> i & 1) != 0; /* else it is not even a learner yet */
        uint64_t lag = asked ? r->lag[i] : r->last;
        progress.entries_left = max_u64(progress.entries_left, lag);
    }
    if (copies == 0) {
        progress.bytes = 0; /* replicas only leave */
    } else if (r->copy != 0) {
        progress.bytes = r->copy;
        progress.bytes_left = r->copy_left;
    } else if (r->last > 0) {
        double share = (double)progress.entries_left / (double)r->last;
        progress.bytes_left = (uint64_t)((double)r->bytes * (share < 1 ? share : 1));
    }
    bool done = progress.entries_left == 0 && progress.bytes_left == 0;
    uint64_t came = progress.bytes - progress.bytes_left;
    progress.percent =
        done ? 100
        : progress.bytes == 0
            ? 0
            : (uint32_t)min_u64((uint64_t)(100 * (double)came / (double)progress.bytes), 99);
    return progress;
}

#define RATE_LEAST (16 * KIB) /* a member that hears nothing for long looks for another source */

uint64_t planner_copy_rate(const struct node *node, uint32_t group, uint64_t most)
{
    const struct map_partition *p = map_partition(node->map, group);
    uint64_t rate = map_settings(node->map)->rate;
    bool moves = group != 0 && p != NULL && p->settled < p->epoch && p->epoch > 1;
    return moves && rate != 0 ? min_u64(max_u64(rate, RATE_LEAST), most) : most;
}
