/* REBALANCE: replicas are spread anew over nodes and zones, online, until nothing is left to do.
 *
 *   REBALANCE [DRYRUN] [RATE bytes-per-second]
 *   REBALANCE STATUS | CANCEL
 *
 * DRYRUN tells what would be done. CANCEL ends the spreading; moves that are under way and not
 * needed for anything else turn back; its answer says which go on. */
#include "node/orders.h"

#include "base/size.h"
#include "node/control_internal.h"
#include "node/local_internal.h"
#include "node/placing.h"
#include "node/replica.h"
#include "node/run.h"
#include "protocol/quorum.h"

#include <stdio.h>
#include <string.h>

/* --- Telling --------------------------------------------------------------------------------- */

/* Ids of the nodes in a set: "1,2,3". */
static void field_nodes(struct reply *reply, const char *name, const struct node *node,
                        uint16_t set)
{
    char text[MEMBERS_MAX * 12];
    struct text out = text_in(text, sizeof text);
    for (uint32_t rest = set; rest != 0; rest &= rest - 1) {
        text_put(&out, out.n > 0 ? "," : "");
        text_u64(&out, local_member(node, set_first(rest))->id);
    }
    reply_field_text(reply, name, text);
}

static void field_place(struct reply *reply, const struct node *node, const struct map_partition *p)
{
    const struct map_keyspace *k = map_keyspace(node->map, p->keyspace);
    reply_field_text(reply, "keyspace", k != NULL ? k->name : "");
    reply_field_integer(reply, "partition", p->index);
}

static void write_change(struct reply *reply, const struct node *node,
                         const struct place_change *change)
{
    reply_map(reply, 6);
    field_place(reply, node, map_partition(node->map, change->group));
    reply_field_text(reply, "reason", place_reason_name((enum place_reason)change->reason));
    field_nodes(reply, "from", node, change->before);
    field_nodes(reply, "to", node, change->wish);
    reply_field_integer(
        reply, "prefers",
        change->prefers == NODE_NONE ? 0 : (int64_t)local_member(node, change->prefers)->id);
}

static void dry_run(struct node *node, struct pending *p)
{
    struct place_nodes nodes = placing_nodes(node);
    struct place_plan plan;
    place_plan(node->map, &nodes, true, &plan);
    struct reply *reply = stream_reply(p);
    reply_array(reply, plan.count);
    for (uint32_t i = 0; i < plan.count; i++) {
        write_change(reply, node, &plan.change[i]);
    }
    place_plan_free(&plan);
    stream_answered(p, STATUS_OK);
}

static bool moves(const struct map_partition *p)
{
    return p->group != 0 && p->settled < p->epoch;
}

/* What is under way. */
static void write_move(struct reply *reply, const struct node *node, const struct map_partition *p)
{
    node_index leader = NODE_NONE;
    const struct partition_report *r = reports_of_group(node, p->group, &leader);
    struct planner_progress progress = planner_progress_of(node, p);
    reply_map(reply, 9);
    field_place(reply, node, p);
    reply_field_integer(reply, "leader",
                        leader != NODE_NONE ? (int64_t)local_member(node, leader)->id : 0);
    field_nodes(reply, "from", node, r != NULL ? r->voters : (uint16_t)(p->held & ~p->wish));
    field_nodes(reply, "to", node, p->wish);
    reply_field_integer(reply, "percent", progress.percent);
    reply_field_integer(reply, "bytes", (int64_t)progress.bytes);
    reply_field_integer(reply, "bytes_left", (int64_t)progress.bytes_left);
    reply_field_integer(reply, "entries_left", (int64_t)progress.entries_left);
}

/* What this leader has copied since it began to move, and is still to copy. */
static void write_bytes(struct reply *reply, const struct node *node)
{
    const struct planner *pl = &node->control->planner;
    uint64_t open = 0;
    for (const struct map_partition *m = map_partition(node->map, 0); m != NULL;
         m = map_partition_after(node->map, m->group)) {
        open += moves(m) ? planner_progress_of(node, m).bytes_left : 0;
    }
    uint64_t came = pl->begun_bytes > open ? pl->begun_bytes - open : 0;
    qr_time took = pl->since != 0 ? node->clock - pl->since : 0;
    reply_field_integer(reply, "bytes_moved", (int64_t)came);
    reply_field_integer(reply, "bytes_left", (int64_t)(open + pl->left_bytes));
    reply_field_integer(reply, "bytes_per_second",
                        took > QR_MILLISECOND ? (int64_t)((double)came * QR_SECOND / (double)took)
                                              : 0);
}

#define MOVES_TOLD 64u /* of those that are under way; the others are only counted */

static void status(struct node *node, struct pending *p)
{
    const struct map_settings *settings = map_settings(node->map);
    const struct planner *pl = &node->control->planner;
    uint32_t count = place_under_way(node->map);
    uint32_t told = count < MOVES_TOLD ? count : MOVES_TOLD;
    planner_look(node);
    struct reply *reply = stream_reply(p);
    reply_map(reply, 11);
    reply_field_text(reply, "balancing", settings->balancing ? "yes" : "no");
    reply_field_integer(reply, "rate", (int64_t)settings->rate);
    reply_field_integer(reply, "under_way", count);
    reply_field_integer(reply, "left", pl->left);
    reply_field_integer(reply, "stuck", pl->stuck);
    reply_field_integer(reply, "begun", (int64_t)pl->begun);
    reply_field_integer(reply, "settled", (int64_t)pl->settled);
    write_bytes(reply, node);
    reply_bulk_text(reply, "moves");
    reply_array(reply, told);
    for (const struct map_partition *m = map_partition(node->map, 0); m != NULL && told > 0;
         m = map_partition_after(node->map, m->group)) {
        if (moves(m)) {
            write_move(reply, node, m);
            told--;
        }
    }
    stream_answered(p, STATUS_OK);
}

/* --- Changing -------------------------------------------------------------------------------- */

static void order(struct node *node, struct pending *p, bool on, uint64_t rate, struct edit *edit)
{
    struct map_settings settings = *map_settings(node->map);
    settings.balancing = on;
    settings.rate = rate;
    settings.balance += on ? 1 : 0;
    edit_settings(edit, &settings);
    node_log(node, NODE_LOG_NOTICE, "REBALANCE%s was ordered", on ? "" : " CANCEL");
    control_propose(node, p, edit, 0);
}

/* The move turns back if its partition can stay where it is. */
static void turn_back(const struct node *node, const struct map_partition *p, struct edit *edit)
{
    node_index leader;
    struct place_nodes nodes = placing_nodes(node);
    const struct map_keyspace *k = map_keyspace(node->map, p->keyspace);
    const struct partition_report *r = reports_of_group(node, p->group, &leader);
    if (r == NULL || k == NULL || r->voters == p->wish ||
        quorum_count(r->voters) != quorum_count(p->wish)) {
        return;
    }
    for (uint32_t rest = r->voters; rest != 0; rest &= rest - 1) {
        node_index i = set_first(rest);
        if (map_node(node->map, i)->draining || (nodes.live & ~nodes.gone & node_bit(i)) == 0) {
            return; /* it has to go from there */
        }
    }
    struct map_partition back = *p;
    map_wish(&back, r->voters, leader);
    edit_partition(edit, &back);
}

static void cancel(struct node *node, struct pending *p)
{
    if (!control_begins(node, p)) {
        return;
    }
    struct edit edit = { 0 };
    for (const struct map_partition *m = map_partition(node->map, 0); m != NULL;
         m = map_partition_after(node->map, m->group)) {
        if (moves(m)) {
            turn_back(node, m, &edit);
        }
    }
    order(node, p, false, map_settings(node->map)->rate, &edit);
}

/* What CANCEL has not ended: moves that cannot turn back, and those of drains. */
static void write_rest(const struct node *node, struct text *out)
{
    uint32_t go_on = 0;
    for (const struct map_partition *m = map_partition(node->map, 0); m != NULL;
         m = map_partition_after(node->map, m->group)) {
        node_index leader;
        const struct partition_report *r =
            moves(m) ? reports_of_group(node, m->group, &leader) : NULL;
        go_on += moves(m) && (r == NULL || r->voters != m->wish) ? 1 : 0;
    }
    if (go_on > 0) {
        text_put(out, ", but ");
        text_u64(out, go_on);
        text_put(out, go_on == 1 ? " move cannot turn back and goes on"
                                 : " moves cannot turn back and go on");
    }
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        const struct map_node *n = map_node(node->map, i);
        if (n->draining && place_held(node->map, i) > 0) {
            text_put(out, ", node ");
            text_u64(out, n->id);
            text_put(out, " still drains (MEMBER DRAIN id CANCEL)");
        }
    }
}

void orders_ok(struct node *node, struct pending *p)
{
    char answer[1024];
    struct text out = text_in(answer, sizeof answer);
    text_put(&out, "OK");
    bool spreads = strcmp(p->spec->name, "rebalance") == 0;
    if (spreads && !map_settings(node->map)->balancing) {
        write_rest(node, &out);
    }
    reply_status(stream_reply(p), answer);
    stream_answered(p, STATUS_OK);
}

static bool read_rate(struct pending *p, const struct span *argv, uint32_t argc, bool *dry,
                      uint64_t *rate)
{
    bool given = false;
    *dry = false;
    *rate = 0;
    for (uint32_t i = 0; i < argc; i++) {
        if (word_is(argv[i], "DRYRUN") && !*dry) {
            *dry = true;
        } else if (word_is(argv[i], "RATE") && !given && i + 1 < argc) {
            given = true;
            if (!size_from(argv[++i], rate) || *rate > (uint64_t)1 << 40) {
                orders_refuse(p, "ERR a RATE is a number of bytes a second such as 10mb, or 0 for "
                                 "no bound, nothing was changed");
                return false;
            }
        } else {
            orders_refuse(p, "ERR syntax error: it is REBALANCE [DRYRUN|STATUS|CANCEL] [RATE "
                             "bytes-per-second], nothing was changed");
            return false;
        }
    }
    return true;
}

void order_cmd_REBALANCE(struct node *node, struct pending *p, const struct span *argv,
                         uint32_t argc)
{
    uint64_t rate;
    bool dry;
    if (argc == 1 && word_is(argv[0], "STATUS")) {
        status(node, p);
        return;
    }
    if (argc == 1 && word_is(argv[0], "CANCEL")) {
        cancel(node, p);
        return;
    }
    if (!read_rate(p, argv, argc, &dry, &rate)) {
        return;
    }
    if (dry) {
        dry_run(node, p);
    } else if (control_begins(node, p)) {
        struct edit edit = { 0 };
        order(node, p, true, rate, &edit);
    }
}
