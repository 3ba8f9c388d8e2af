/* KEYSPACE FAILOVER: another node becomes primary of a partition (features L9 to L11).
 *
 *   KEYSPACE FAILOVER name [PARTITION index] [TO id] [TIMEOUT ms] [FORCE]
 *   KEYSPACE FAILOVER name [PARTITION index] ABORT
 *
 * The words are FAILOVER's. A keyspace of one partition need not say which. Without TO it is one
 * that has all that its primary has; with FORCE, whoever stands best. */
#include "node/orders.h"

#include "base/number.h"
#include "base/word.h"
#include "cluster/strategy.h"
#include "node/contact.h"
#include "node/control_internal.h"
#include "node/council_internal.h"
#include "node/keyspace_options.h"
#include "node/local_internal.h"
#include "node/replica.h"
#include "protocol/quorum.h"

#include <stdio.h>

struct asked_failover {
    uint64_t partition, to; /* `to`: a node's id; 0: none is named */
    uint64_t ms;            /* 0: none is said */
    bool named, force, abort;
};

static bool number(struct span word, uint64_t least, uint64_t most, uint64_t *out)
{
    int64_t v;
    bool is = number_from(word, &v) && v >= 0 && (uint64_t)v >= least && (uint64_t)v <= most;
    *out = is ? (uint64_t)v : 0;
    return is;
}

/* False: it is no such order. */
static bool read_words(const struct span *argv, uint32_t argc, struct asked_failover *out)
{
    *out = (struct asked_failover){ .to = 0 };
    for (uint32_t at = 0; at < argc; at++) {
        bool more = at + 1 < argc;
        if (word_is(argv[at], "PARTITION") && more && !out->named) {
            out->named = true;
            if (!number(argv[++at], 0, UINT16_MAX, &out->partition)) {
                return false;
            }
        } else if (word_is(argv[at], "TO") && more && out->to == 0) {
            if (!number(argv[++at], 1, UINT32_MAX, &out->to)) {
                return false;
            }
        } else if (word_is(argv[at], "TIMEOUT") && more && out->ms == 0) {
            if (!number(argv[++at], 1, UINT32_MAX, &out->ms)) {
                return false;
            }
        } else if (word_is(argv[at], "FORCE") && !out->force) {
            out->force = true;
        } else if (word_is(argv[at], "ABORT") && !out->abort) {
            out->abort = true;
        } else {
            return false;
        }
    }
    return !out->abort || (out->to == 0 && out->ms == 0 && !out->force);
}

/* The partition that is meant; NULL when it was refused. */
static const struct map_partition *meant(struct node *node, struct pending *p, struct span name,
                                         const struct asked_failover *f)
{
    const struct map_keyspace *k = orders_keyspace(node, p, name);
    if (k == NULL) {
        return NULL;
    }
    if (!strategy_has_views(k)) {
        orders_refuse(
            p,
            "ERR keyspace '%s' has STRATEGY %s, whose members elect their leaders themselves: "
            "a leader that is gone is replaced without an order, nothing was changed",
            k->name, strategy_name(k));
        return NULL;
    }
    if (!f->named && k->partitions > 1) {
        orders_refuse(
            p, "ERR keyspace '%s' has %u partitions: PARTITION says which, nothing was changed",
            k->name, k->partitions);
        return NULL;
    }
    if (f->partition >= k->partitions) {
        orders_refuse(p, "ERR keyspace '%s' has partitions 0 to %u, nothing was changed", k->name,
                      k->partitions - 1);
        return NULL;
    }
    return map_partition_at(node->map, k->id, (uint32_t)f->partition);
}

/* Who is to lead; false when it was refused. */
static bool choose(struct node *node, struct pending *p, const struct asked_failover *f,
                   const struct succession *s, struct council_order *out)
{
    uint16_t others = (uint16_t)(s->rule.members & contact_alive(node));
    out->to = node_index_of(node, f->to);
    if (f->to != 0) {
        bool member = out->to != NODE_NONE && (s->rule.members & node_bit(out->to)) != 0;
        if (!member) {
            orders_refuse(
                p, "ERR FAILOVER target is not a member of this partition that counts, nothing "
                   "was changed");
        } else if ((others & node_bit(out->to)) == 0) {
            orders_refuse(p, "ERR FAILOVER target is not connected, nothing was changed");
        }
        return member && (others & node_bit(out->to)) != 0;
    }
    if (f->force) {
        bool leads = s->primary != NODE_NONE && (others & node_bit(s->primary)) != 0;
        if (leads) {
            orders_refuse(p,
                          "ERR node %u leads: FAILOVER without FORCE hands over from it and loses "
                          "nothing, nothing was changed",
                          (unsigned)node->known[s->primary].id);
        }
        return !leads;
    }
    uint16_t able = council_able(node, out->group);
    out->to = able != 0 ? set_first(able) : NODE_NONE;
    if (able == 0) {
        orders_refuse(p,
                      "ERR FAILOVER requires a connected replica that has caught up, nothing was "
                      "changed");
    }
    return able != 0;
}

static void begin(struct node *node, struct pending *p, const struct asked_failover *f,
                  struct council_order *order, const struct succession *s)
{
    order->p = p;
    order->kind = f->force ? SUCCESSION_FORCE : SUCCESSION_TO;
    order->until =
        node->clock + (f->ms != 0 ? (qr_time)f->ms * QR_MILLISECOND : COUNCIL_ORDER_TIME);
    order->term = s->term;
    order->primary = s->primary;
    if (order->to != NODE_NONE && order->to == s->primary) { /* it leads: nothing to do */
        reply_status(stream_reply(p), "OK");
        stream_answered(p, STATUS_OK);
    } else if (!council_order_begin(node, order)) {
        orders_refuse(p, "THROTTLED too many FAILOVERs are under way, nothing was changed");
    }
}

void order_cmd_KEYSPACE_FAILOVER(struct node *node, struct pending *p, const struct span *argv,
                                 uint32_t argc)
{
    struct asked_failover f;
    if (!read_words(argv + 1, argc - 1, &f)) {
        orders_refuse(p, "ERR syntax error: it is KEYSPACE FAILOVER name [PARTITION index] "
                         "[TO id] [TIMEOUT ms] [FORCE] or ABORT, nothing was changed");
        return;
    }
    if (!control_begins(node, p)) {
        return;
    }
    const struct map_partition *part = meant(node, p, argv[0], &f);
    const struct succession *s = part != NULL ? map_succession(node->map, part->group) : NULL;
    struct council_order order = { .group = part != NULL ? part->group : 0 };
    if (part == NULL) {
        return;
    }
    struct council_order *running = council_order_of(node, part->group);
    if (s == NULL) {
        orders_refuse(p, "TRYAGAIN the partition is being made, nothing was changed");
    } else if (f.abort && running != NULL) {
        council_order_end(node, running);
        reply_status(stream_reply(p), "OK");
        stream_answered(p, STATUS_OK);
    } else if (f.abort) {
        orders_refuse(p, "ERR No failover in progress.");
    } else if (running != NULL) {
        orders_refuse(p, "ERR FAILOVER already in progress.");
    } else if (choose(node, p, &f, s, &order)) {
        begin(node, p, &f, &order, s);
    }
}
