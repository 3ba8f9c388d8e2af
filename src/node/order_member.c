/* MEMBER: who takes part, and changing that. Carried out by the leader, whatever node was asked
 * (LIST by the node itself where no leader can be reached); the answer to a change comes when all
 * of it is decided (scenario 33).
 *
 *   MEMBER LIST
 *   MEMBER ADD id host:port[@peer-port] [OBSERVER]
 *   MEMBER REMOVE id [FORCE]
 *   MEMBER PROMOTE id [FORCE]
 *   MEMBER DEMOTE id [OBSERVER] [FORCE]
 *   MEMBER SET id PRIORITY n | ADDRESS host:port[@peer-port] | ZONE name
 *
 * ADD makes room for a node that has not come yet: it is to be started with --join. */
#include "node/order_member.h"

#include "base/number.h"
#include "cluster/place.h"
#include "node/change.h"
#include "node/control.h"
#include "node/local_internal.h"
#include "node/peers.h"
#include "node/replica.h"
#include "node/run.h"

#include <stdio.h>
#include <string.h>

/* Gives the order; what is forced is noted down first. */
static void order(struct node *node, struct pending *p, const struct change *change, bool forced,
                  const char *what, uint32_t id)
{
    if (forced) {
        node_log(node, NODE_LOG_WARNING, "MEMBER %s %u FORCE was ordered", what, id);
    } else {
        node_log(node, NODE_LOG_NOTICE, "MEMBER %s %u was ordered", what, id);
    }
    (void)change_order(node, change, forced, p);
}

/* Begins a change; false when it was refused. */
static bool begin(struct node *node, struct pending *p, struct change *change)
{
    const char *why_not = change_begin(node, change);
    if (why_not != NULL) {
        orders_refuse(p, "%s", why_not);
    }
    return why_not == NULL;
}

/* The member whose id the argument is, in a change that begins; NODE_NONE when it was refused. */
static node_index member_of(struct node *node, struct pending *p, struct span id,
                            struct change *change)
{
    uint64_t number;
    if (!local_id(id, &number) || number > UINT16_MAX) {
        orders_refuse(p, "ERR a node id is a number from 1 to 65535");
        return NODE_NONE;
    }
    if (!begin(node, p, change)) {
        return NODE_NONE;
    }
    node_index i = roster_find(&change->now, (uint32_t)number);
    if (i == NODE_NONE) {
        orders_refuse(p, "ERR there is no member with that id, nothing was changed");
    }
    return i;
}

/* host:port[@peer-port] into the node; false when it was refused. */
static bool read_place(struct pending *p, struct span text, struct roster_node *out)
{
    char place[160];
    bool valid = false;
    uint16_t client_port = 0;
    if (text.n < sizeof place && memchr(text.p, ',', text.n) == NULL &&
        memchr(text.p, ' ', text.n) == NULL) {
        (void)snprintf(place, sizeof place, "%.*s", (int)text.n, (const char *)text.p);
        (void)config_join_target(place, 0, out->address, &out->peer_port, &client_port, &valid);
    }
    if (!valid || !config_is_numeric(out->address)) {
        orders_refuse(p, "ERR an address is host:port or host:port@peer-port, the host numeric");
        return false;
    }
    out->client_port = client_port;
    return true;
}

/* Whether another member has that place; refuses. */
static bool is_taken(struct pending *p, const struct change *change, node_index except,
                     const struct roster_node *place)
{
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        const struct roster_node *n = &change->now.node[i];
        if (i != except && n->id != 0 && strcmp(n->address, place->address) == 0 &&
            (n->peer_port == place->peer_port || n->client_port == place->client_port)) {
            orders_refuse(p, "ERR another member has that address, nothing was changed");
            return true;
        }
    }
    return false;
}

/* The words behind the arguments: each at most once. False when it was refused. */
static bool read_words(struct pending *p, const struct span *argv, uint32_t argc, bool *force,
                       bool *observer)
{
    bool none = false;
    force = force != NULL ? force : &none;
    observer = observer != NULL ? observer : &none;
    *force = *observer = false;
    for (uint32_t i = 0; i < argc; i++) {
        if (force != &none && word_is(argv[i], "FORCE") && !*force) {
            *force = true;
        } else if (observer != &none && word_is(argv[i], "OBSERVER") && !*observer) {
            *observer = true;
        } else {
            char why[160];
            (void)snprintf(
                why, sizeof why,
                "ERR syntax error: '%.*s' is unknown here, or said twice, nothing was changed",
                (int)min_u64(argv[i].n, 64), (const char *)argv[i].p);
            orders_refuse(p, "%s", why);
            return false;
        }
    }
    return true;
}

/* The member that "id [FORCE] [OBSERVER]" names, in a change that begins; NODE_NONE when it was
 * refused. A word whose place is NULL is not allowed. */
static node_index member_and_words(struct node *node, struct pending *p, const struct span *argv,
                                   uint32_t argc, bool *force, bool *observer,
                                   struct change *change)
{
    return read_words(p, argv + 1, argc - 1, force, observer) ? member_of(node, p, argv[0], change)
                                                              : NODE_NONE;
}

/* --- LIST ----------------------------------------------------------------------------------- */

/* What LIST tells: as the leader sees it, or, while this node can reach none, as it knows itself:
 * other members may have decided something else since. */
struct group_seen {
    struct outlook o;
    const struct roster *roster;
    bool leads;
    bool decided; /* what the members are is; else the latest word of the log, which may be dropped
                   */
};

static struct group_seen group_seen_of(const struct node *node)
{
    struct group_seen view;
    qr_slot slot;
    qr_slot applied;
    view.roster = replica_roster(node->zero->replica, &slot);
    (void)replica_applied_roster(node->zero->replica, &applied);
    replica_outlook(node->zero->replica, &view.o);
    view.leads = view.o.role == ROLE_LEADER && view.o.can_serve;
    view.decided = slot == applied && view.roster->members.outgoing == 0;
    return view;
}

static const char *state_of(const struct node *node, node_index i, const struct outlook *o)
{
    return i == replica_me(node->zero->replica) ? "self"
           : !peers_connected(node->peers, i)   ? "away"
           : o->member[i].forgetful             ? "forgetful"
           : o->member[i].needs_snapshot        ? "snapshot"
                                                : "connected";
}

static void write_member(struct reply *reply, const struct node *node, node_index i,
                         const struct group_seen *view)
{
    const struct outlook *o = &view->o;
    const struct roster_node *n = &view->roster->node[i];
    bool me = i == replica_me(node->zero->replica);
    bool known = me || view->leads; /* what the others hold only a leader knows */
    qr_slot match = me ? o->last : o->member[i].match;
    char place[96];
    char uuid[33] = "";
    const struct roster_node *met = roster_uuid_known(n) ? n : &node->known[i];
    for (size_t k = 0; k < sizeof met->uuid && roster_uuid_known(met); k++) {
        (void)snprintf(uuid + 2 * k, 3, "%02x", met->uuid[k]);
    }
    bool six = strchr(n->address, ':') != NULL;
    (void)snprintf(place, sizeof place, "%s%s%s:%u@%u", six ? "[" : "", n->address, six ? "]" : "",
                   n->client_port, n->peer_port);
    reply_map(reply, 15);
    reply_field_integer(reply, "id", n->id);
    reply_field_integer(reply, "index", i);
    reply_field_text(reply, "role", roster_role(&view->roster->members, i));
    reply_field_integer(reply, "leader", me && view->leads ? 1 : 0);
    reply_field_text(reply, "address", place);
    reply_field_text(reply, "uuid", uuid);
    reply_field_text(reply, "state", state_of(node, i, o));
    reply_field_integer(reply, "match", known ? (int64_t)match : -1);
    reply_field_integer(reply, "lag",
                        !view->leads      ? -1
                        : match < o->last ? (int64_t)(o->last - match)
                                          : 0);
    reply_field_integer(reply, "priority", n->priority);
    reply_field_text(reply, "view", view->leads ? "leader" : "local");
    reply_field_integer(reply, "decided", view->decided ? 1 : 0);
    reply_field_text(reply, "zone", map_node(node->map, i)->zone);
    reply_field_text(reply, "draining", map_node(node->map, i)->draining ? "yes" : "no");
    reply_field_integer(reply, "partitions", place_held(node->map, i));
}

void order_cmd_MEMBER_LIST(struct node *node, struct pending *p, const struct span *argv,
                           uint32_t argc)
{
    struct group_seen view = group_seen_of(node);
    struct reply *reply = stream_reply(p);
    (void)argv;
    (void)argc;
    uint32_t rest = membership_all(&view.roster->members);
    reply_array(reply, quorum_count((uint16_t)rest));
    while (rest != 0) {
        node_index next = set_first(rest); /* in order of id */
        for (uint32_t others = rest; others != 0; others &= others - 1) {
            node_index i = set_first(others);
            next = view.roster->node[i].id < view.roster->node[next].id ? i : next;
        }
        write_member(reply, node, next, &view);
        rest &= ~(1u << next);
    }
    stream_answered(p, STATUS_OK);
}

/* --- Changes -------------------------------------------------------------------------------- */

void order_cmd_MEMBER_ADD(struct node *node, struct pending *p, const struct span *argv,
                          uint32_t argc)
{
    struct change change;
    struct roster_node fresh = { .priority = ROSTER_PRIORITY };
    uint64_t id;
    bool observer;
    if (!local_id(argv[0], &id) || id > UINT16_MAX) {
        orders_refuse(p, "ERR a node id is a number from 1 to 65535");
        return;
    }
    if (!read_place(p, argv[1], &fresh) || !read_words(p, argv + 2, argc - 2, NULL, &observer) ||
        !begin(node, p, &change)) {
        return;
    }
    fresh.id = (uint32_t)id;
    if (roster_find(&change.now, fresh.id) != NODE_NONE) {
        orders_refuse(p, "ERR there is a member with that id already, nothing was changed");
    } else if (is_taken(p, &change, NODE_NONE, &fresh)) {
        return;
    } else if (change_add(&change, &fresh, observer) == NODE_NONE) {
        orders_refuse(p, "ERR the cluster is full, nothing was changed");
    } else {
        order(node, p, &change, false, "ADD", fresh.id);
    }
}

void order_cmd_MEMBER_REMOVE(struct node *node, struct pending *p, const struct span *argv,
                             uint32_t argc)
{
    struct change change;
    bool force;
    node_index i = member_and_words(node, p, argv, argc, &force, NULL, &change);
    if (i == NODE_NONE || (!force && !control_rests(node, p))) {
        return; /* a wish that is on its way may name it */
    }
    if (force || !order_holds_replicas(node, p, i)) {
        change_drop(&change, i);
        order(node, p, &change, force, "REMOVE", change.now.node[i].id);
    }
}

void order_cmd_MEMBER_PROMOTE(struct node *node, struct pending *p, const struct span *argv,
                              uint32_t argc)
{
    struct change change;
    bool force;
    node_index i = member_and_words(node, p, argv, argc, &force, NULL, &change);
    if (i == NODE_NONE) {
        return;
    }
    uint16_t bit = node_bit(i);
    bool was_observer = (change.wanted.observers & bit) != 0;
    if ((change.wanted.voters & bit) != 0) {
        orders_refuse(p, "ERR that member is a voter already, nothing was changed");
        return;
    }
    change_drop(&change, i);
    *(was_observer ? &change.wanted.learners : &change.wanted.voters) |= bit;
    order(node, p, &change, force, "PROMOTE", change.now.node[i].id);
}

void order_cmd_MEMBER_DEMOTE(struct node *node, struct pending *p, const struct span *argv,
                             uint32_t argc)
{
    struct change change;
    bool force;
    bool observer;
    node_index i = member_and_words(node, p, argv, argc, &force, &observer, &change);
    if (i == NODE_NONE) {
        return;
    }
    uint16_t bit = node_bit(i);
    if ((change.wanted.observers & bit) != 0) {
        orders_refuse(p, "ERR that member is an observer already, nothing was changed");
        return;
    }
    change_drop(&change, i);
    change.wanted.observers |= bit; /* a learner would become a voter by itself */
    order(node, p, &change, force, "DEMOTE", change.now.node[i].id);
}

void order_cmd_MEMBER_SET(struct node *node, struct pending *p, const struct span *argv,
                          uint32_t argc)
{
    struct change change;
    int64_t priority = 0;
    bool of_priority = word_is(argv[1], "PRIORITY");
    (void)argc;
    if (word_is(argv[1], "ZONE")) {
        order_zone(node, p, argv[0], argv[2]);
        return;
    }
    if (!of_priority && !word_is(argv[1], "ADDRESS")) {
        orders_refuse(p, "ERR syntax error: it is MEMBER SET id PRIORITY|ZONE|ADDRESS value, "
                         "nothing was changed");
        return;
    }
    if (of_priority && (!number_from(argv[2], &priority) || priority < 0 || priority > 255)) {
        orders_refuse(p, "ERR a priority is a number from 0 to 255");
        return;
    }
    node_index i = member_of(node, p, argv[0], &change);
    if (i == NODE_NONE) {
        return;
    }
    struct roster_node n = change.now.node[i];
    if (of_priority) {
        n.priority = (uint8_t)priority;
    } else {
        if (i == replica_me(node->zero->replica) || peers_connected(node->peers, i)) {
            orders_refuse(p,
                          "ERR that member is connected and says itself where it is: start it with "
                          "another address, nothing was changed");
            return;
        }
        memset(n.address, 0, sizeof n.address);
        if (!read_place(p, argv[2], &n) || is_taken(p, &change, i, &n)) {
            return;
        }
    }
    change_node(&change, i, &n);
    order(node, p, &change, false, "SET", n.id);
}
