/* FAILOVER: leadership is handed over while nobody's command fails.
 *
 *   FAILOVER [TO id | TO host port] [TIMEOUT ms] [ABORT]
 *
 * Redis's words; but it is answered when the other node leads, or with what stood in the way. The
 * leader takes no more writes while it hands over: they wait in the routers and go to the next. */
#include "node/orders.h"

#include "base/number.h"
#include "node/local_internal.h"
#include "node/node.h"
#include "node/peers.h"
#include "node/replica.h"

struct failover {
    node_index to; /* NODE_NONE: whoever is furthest */
    qr_time timeout;
    bool abort;
};

static node_index member_with_id(const struct node *node, struct span text)
{
    uint64_t id;
    if (!local_id(text, &id)) {
        return NODE_NONE;
    }
    for (uint32_t i = 0; i < MEMBERS_MAX; i++) {
        if (local_member(node, i)->id == id) {
            return (node_index)i;
        }
    }
    return NODE_NONE;
}

static node_index member_at(const struct node *node, struct span host, struct span port)
{
    uint64_t number;
    if (!local_id(port, &number)) {
        return NODE_NONE;
    }
    for (uint32_t i = 0; i < MEMBERS_MAX; i++) {
        const struct roster_node *m = local_member(node, i);
        if (m->client_port == number && word_is(host, m->address)) {
            return (node_index)i;
        }
    }
    return NODE_NONE;
}

static bool read_target(struct node *node, struct pending *p, const struct span *argv,
                        uint32_t argc, uint32_t *at, struct failover *out)
{
    uint32_t left = argc - *at;
    bool host = left >= 3 && !word_is(argv[*at + 2], "TIMEOUT") && !word_is(argv[*at + 2], "FORCE");
    if (left < 2) {
        orders_refuse(p, "ERR syntax error");
        return false;
    }
    out->to =
        host ? member_at(node, argv[*at + 1], argv[*at + 2]) : member_with_id(node, argv[*at + 1]);
    *at += host ? 3 : 2;
    if (out->to == NODE_NONE) {
        orders_refuse(p, host ? "ERR FAILOVER target HOST and PORT is not a member of this cluster."
                              : "ERR FAILOVER target is not a member of this cluster.");
        return false;
    }
    return true;
}

static bool read_timeout(struct pending *p, const struct span *argv, uint32_t argc, uint32_t *at,
                         struct failover *out)
{
    int64_t ms;
    if (argc - *at < 2) {
        orders_refuse(p, "ERR syntax error");
        return false;
    }
    if (!number_from(argv[*at + 1], &ms)) {
        orders_refuse(p, "ERR value is not an integer or out of range");
        return false;
    }
    if (ms <= 0 || ms > QR_NEVER / 2 / QR_MILLISECOND) {
        orders_refuse(p, "ERR FAILOVER timeout must be greater than 0");
        return false;
    }
    out->timeout = ms * QR_MILLISECOND;
    *at += 2;
    return true;
}

/* False when it was refused. */
static bool read_arguments(struct node *node, struct pending *p, const struct span *argv,
                           uint32_t argc, struct failover *out)
{
    *out = (struct failover){ .to = NODE_NONE };
    for (uint32_t at = 0; at < argc;) {
        if (word_is(argv[at], "TO") && out->to == NODE_NONE) {
            if (!read_target(node, p, argv, argc, &at, out)) {
                return false;
            }
        } else if (word_is(argv[at], "TIMEOUT") && out->timeout == 0) {
            if (!read_timeout(p, argv, argc, &at, out)) {
                return false;
            }
        } else if (word_is(argv[at], "ABORT") && argc == 1) {
            out->abort = true;
            at++;
        } else if (word_is(argv[at], "FORCE")) {
            orders_refuse(p,
                          "ERR FAILOVER FORCE could lose writes: a leader that is gone is replaced "
                          "without it");
            return false;
        } else {
            orders_refuse(p, "ERR syntax error");
            return false;
        }
    }
    return true;
}

/* What stands in the way; NULL: nothing. */
static const char *obstacle(const struct node *node, const struct failover *f,
                            const struct outlook *now)
{
    bool running = now->transfer_to != NODE_NONE;
    if (f->abort) {
        return running ? NULL : "ERR No failover in progress.";
    }
    if (running) {
        return "ERR FAILOVER already in progress.";
    }
    if (f->to != NODE_NONE) {
        return peers_connected(node->peers, f->to) ? NULL
                                                   : "ERR FAILOVER target is not connected, "
                                                     "nothing was changed";
    }
    if (health_successor(node, now) != NODE_NONE) {
        return NULL;
    }
    return "ERR FAILOVER requires connected replicas.";
}

void order_cmd_FAILOVER(struct node *node, struct pending *p, const struct span *argv,
                        uint32_t argc)
{
    struct failover f;
    struct outlook now;
    if (!read_arguments(node, p, argv, argc, &f)) {
        return;
    }
    replica_outlook(node->zero->replica, &now);
    if (f.to == replica_me(node->zero->replica)) { /* it leads: nothing to do */
        reply_status(stream_reply(p), "OK");
        stream_answered(p, STATUS_OK);
        return;
    }
    const char *why_not = obstacle(node, &f, &now);
    if (why_not != NULL) {
        orders_refuse(p, "%s", why_not);
        return;
    }
    struct event event = { .admin = { .order = ADMIN_TRANSFER, .timeout = f.timeout } };
    event.admin.argument = f.abort             ? replica_me(node->zero->replica)
                           : f.to != NODE_NONE ? f.to
                                               : health_successor(node, &now);
    p->wanted = f.to != NODE_NONE ? f.to + 1u : 0;
    replica_order(node->zero->replica, p, &event);
}
