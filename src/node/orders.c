#include "node/orders.h"

#include "base/alloc.h"
#include "base/panic.h"
#include "command/op.h"
#include "node/frame.h"
#include "node/node.h"
#include "node/replica.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void order_handler(struct node *node, struct pending *p, const struct span *argv,
                           uint32_t argc);

/* In the order of commands.def. */
static order_handler *const handlers[] = {
#define READ(...) NULL,
#define WRITE(...) NULL,
#define LOCAL(...) NULL,
#define WAITING(...) NULL,
#define PARENT(...) NULL,
#define ORDER(tag, ident, ...) order_cmd_##ident,
#include "command/commands.def"
};

void orders_begin(struct node *node, struct pending *p)
{
    struct op op;
    order_handler *handler = handlers[command_index(p->spec)];
    qr_assert(handler != NULL);
    if (!op_read(span_of(p->op, p->op_bytes), &op) ||
        !command_arity_fits(p->spec, op.argc + command_name_words(p->spec))) {
        stream_refuse(p, STATUS_BAD_MESSAGE); /* of a peer */
        return;
    }
    struct span *argv = qr_alloc((op.argc + 1) * sizeof *argv);
    op_arguments(&op, argv, NULL);
    handler(node, p, argv, op.argc);
    free(argv);
}

static bool is_order(const struct command_spec *spec, order_handler *handler)
{
    return spec != NULL && handlers[command_index(spec)] == handler;
}

bool orders_only_asks(const struct command_spec *spec)
{
    return is_order(spec, order_cmd_MEMBER_LIST) || is_order(spec, order_cmd_KEYSPACE_STATS) ||
           is_order(spec, order_cmd_KEYSPACE_LAG);
}

/* Those that write control state, or are told from it: tags are given in order. */
#define FIRST_CONTROL_TAG 1750u

uint16_t orders_wire_version(const struct command_spec *spec)
{
    bool control = spec->tag >= FIRST_CONTROL_TAG || is_order(spec, order_cmd_MEMBER_DRAIN);
    return control ? WIRE_VERSION_GROUPS : 3;
}

/* --- How they end --------------------------------------------------------------------------- */

void orders_uncertain(struct pending *p)
{
    p->node->stats.uncertain++;
    if (is_order(p->spec, order_cmd_FAILOVER)) {
        orders_refuse(
            p, "UNCERTAIN the leader was lost while it handed over; ROLE and INFO raft tell who "
               "leads now");
    } else if (p->spec != NULL && strncmp(p->spec->name, "keyspace|", 9) == 0) {
        orders_refuse(p, "UNCERTAIN leadership ended, perhaps before a majority held the change of "
                         "the keyspaces: KEYSPACE LIST and INFO show whether it was made, and the "
                         "same order again is answered when all nodes go by it");
    } else if (is_order(p->spec, order_cmd_CLUSTER_UPGRADE)) {
        orders_refuse(p, "UNCERTAIN leadership ended, perhaps before a majority held the new "
                         "level: CLUSTER UPGRADE STATUS shows which is active");
    } else if (is_order(p->spec, order_cmd_REBALANCE) ||
               is_order(p->spec, order_cmd_MEMBER_DRAIN)) {
        orders_refuse(p, "UNCERTAIN leadership ended, perhaps before a majority held the order: "
                         "REBALANCE STATUS shows what is under way");
    } else {
        orders_refuse(
            p, "UNCERTAIN leadership ended, perhaps before a majority held the change of the "
               "members (which FORCE does not replace): the next leader carries it out as a whole "
               "or drops it; when MEMBER LIST says view leader, it shows which");
    }
}

void orders_undecided(struct pending *p)
{
    p->node->stats.uncertain++;
    orders_refuse(p, "UNCERTAIN a majority does not hold the change yet, it may still be made: "
                     "KEYSPACE LIST, MEMBER LIST and REBALANCE STATUS show whether it was, and "
                     "other changes wait until that is decided");
}

void orders_leaderless(struct pending *p)
{
    orders_refuse(p,
                  "CLUSTERDOWN no leader, nothing was changed: a majority of the voters has to run "
                  "(MEMBER LIST shows who is away)");
}

/* A hand-over that did not bring about what was asked for. */
static void refuse_failover(struct node *node, struct pending *p, const char *why)
{
    struct outlook now;
    replica_outlook(node->zero->replica, &now);
    bool here = now.role == ROLE_LEADER;
    node_index leader = here ? replica_me(node->zero->replica) : now.leader;
    if (leader == NODE_NONE) {
        orders_refuse(p, "ERR FAILOVER %s, no node leads at the moment", why);
    } else {
        orders_refuse(p, "ERR FAILOVER %s, node %u %s", why, (unsigned)node->known[leader].id,
                      here ? "still leads" : "leads now");
    }
}

void orders_ended(struct node *node, struct pending *p, enum qr_status status)
{
    struct outlook now;
    replica_outlook(node->zero->replica, &now);
    bool failover = is_order(p->spec, order_cmd_FAILOVER);
    if (failover && status == STATUS_HANDOVER) {
        refuse_failover(node, p, "timed out or was called off");
    } else if (failover && status == STATUS_OK && p->wanted != 0 && now.leader != p->wanted - 1) {
        refuse_failover(node, p, "went to another node than asked for");
    } else if (status == STATUS_OK) {
        reply_status(stream_reply(p), "OK");
        stream_answered(p, STATUS_OK);
    } else if (status == STATUS_UNCERTAIN) {
        orders_uncertain(p);
    } else {
        stream_refuse(p, status);
    }
}
