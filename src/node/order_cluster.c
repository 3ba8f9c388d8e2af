/* CLUSTER UPGRADE, and the level of the cluster (R9): what all nodes have to know to take part.
 *
 *   CLUSTER UPGRADE STATUS | FINALIZE
 *
 * A node of a new version behaves as one of the level that is active until FINALIZE raises it, so
 * that a cluster of two versions never executes differently and can go back. There is no way down:
 * whoever has seen a level notes it down in its directory, and older versions refuse that. */
#include "node/orders.h"

#include "node/control_internal.h"
#include "node/local_internal.h"
#include "node/peers.h"
#include "node/replica.h"
#include "node/run.h"

#include <stdio.h>
#include <string.h>

/* The highest level that the member knows; 0: it is away, or too old to say. */
static uint32_t level_of(const struct node *node, node_index i)
{
    bool me = i == replica_me(node->zero->replica);
    return me                                ? control_level_known(node)
           : peers_connected(node->peers, i) ? reports_level(node, i)
                                             : 0;
}

/* The highest that all members know, and the first who does not know more, NODE_NONE: nobody keeps
 * it down. */
static uint32_t level_of_all(const struct node *node, node_index *lowest)
{
    qr_slot slot;
    const struct roster *roster = replica_applied_roster(node->zero->replica, &slot);
    uint32_t all = control_level_known(node);
    *lowest = NODE_NONE;
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        if (roster->node[i].id != 0 && level_of(node, i) < all) {
            all = level_of(node, i);
            *lowest = i;
        }
    }
    return all;
}

static void write_status(struct node *node, struct pending *p)
{
    qr_slot slot;
    node_index lowest;
    const struct roster *roster = replica_applied_roster(node->zero->replica, &slot);
    struct reply *reply = stream_reply(p);
    uint32_t active = control_level(node);
    uint32_t next = level_of_all(node, &lowest);
    uint32_t members = 0;
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        members += roster->node[i].id != 0 ? 1 : 0;
    }
    reply_map(reply, 4);
    reply_field_integer(reply, "level", active);
    reply_field_integer(reply, "all_know", next);
    reply_field_text(reply, "can_finalize", next > active ? "yes" : "no");
    reply_bulk_text(reply, "members");
    reply_array(reply, members);
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        if (roster->node[i].id != 0) {
            reply_map(reply, 2);
            reply_field_integer(reply, "node", roster->node[i].id);
            reply_field_integer(reply, "knows", level_of(node, i)); /* 0: away, or too old */
        }
    }
    stream_answered(p, STATUS_OK);
}

static void finalize(struct node *node, struct pending *p)
{
    node_index lowest;
    if (!control_begins(node, p)) {
        return;
    }
    uint32_t active = control_level(node);
    uint32_t next = level_of_all(node, &lowest);
    if (next > active) {
        struct edit edit = { 0 };
        struct map_settings settings = *map_settings(node->map);
        settings.level = next;
        edit_settings(&edit, &settings);
        node_log(node, NODE_LOG_NOTICE, "CLUSTER UPGRADE FINALIZE was ordered: level %u", next);
        control_propose(node, p, &edit, 0);
        return;
    }
    if (lowest == NODE_NONE || level_of(node, lowest) == active) {
        orders_refuse(p,
                      "ERR level %u is active and there is no higher one that all members know, "
                      "nothing was changed",
                      active);
    } else {
        orders_refuse(p,
                      "UNSAFE node %u is away or runs an older version, and could not take part "
                      "any more: start it with this version or MEMBER REMOVE it, nothing was "
                      "changed",
                      local_member(node, lowest)->id);
    }
}

void order_cmd_CLUSTER_UPGRADE(struct node *node, struct pending *p, const struct span *argv,
                               uint32_t argc)
{
    (void)argc;
    if (word_is(argv[0], "STATUS")) {
        write_status(node, p);
    } else if (word_is(argv[0], "FINALIZE")) {
        finalize(node, p);
    } else {
        orders_refuse(
            p, "ERR syntax error: it is CLUSTER UPGRADE STATUS|FINALIZE, nothing was changed");
    }
}

void control_follow_level(struct node *node)
{
    uint32_t active = control_level(node);
    if (active > control_level_known(node)) {
        node_fail(node, "the cluster is of a level that this version does not know: start a newer "
                        "version");
        return;
    }
    if (active > node->identity.level) {
        int error = identity_level(node->io, &node->identity, active);
        if (error != 0) { /* it is noted down again with what comes next */
            node_disk_failed(node, "the level of the cluster cannot be noted down", error);
        }
    }
    if (replica_leads(node->zero->replica) && active < node->identity.level) {
        struct edit edit = { 0 }; /* a new cluster: all its nodes were made with that level */
        struct map_settings settings = *map_settings(node->map);
        settings.level = node->identity.level;
        edit_settings(&edit, &settings);
        (void)control_propose_own(node, &edit);
    }
}
