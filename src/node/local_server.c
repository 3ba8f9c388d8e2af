/* Commands about this node that are no family of their own. */
#include "node/local_internal.h"

#include "node/peers.h"
#include "node/redirect.h"
#include "node/replica.h"
#include "node/run.h"
#include "node/shards.h"

#include <stdio.h>
#include <string.h>

void local_cmd_TIME(struct client *client, const struct span *argv, uint32_t argc,
                    struct reply *reply)
{
    (void)argv;
    (void)argc;
    qr_wall now = io_wall(client->node->io);
    char text[32];
    reply_array(reply, 2);
    int n = snprintf(text, sizeof text, "%lld", (long long)(now / QR_SECOND));
    reply_bulk(reply, span_of(text, (size_t)n));
    n = snprintf(text, sizeof text, "%lld", (long long)(now % QR_SECOND));
    reply_bulk(reply, span_of(text, (size_t)n));
}

/* --- ROLE ----------------------------------------------------------------------------------- */

bool local_outlook(const struct node *node, struct outlook *out)
{
    *out = (struct outlook){ .leader = NODE_NONE };
    if (node->zero->replica == NULL) {
        return false; /* still starting */
    }
    replica_outlook(node->zero->replica, out);
    return true;
}

bool local_leads(const struct node *node)
{
    struct outlook outlook;
    return local_outlook(node, &outlook) && outlook.role == ROLE_LEADER;
}

bool local_is_follower(const struct node *node, uint32_t index)
{
    return index != identity_me(&node->identity) && node->known[index].id != 0 &&
           node->peers != NULL && peers_connected(node->peers, (node_index)index);
}

bool local_is_heard(const struct node *node, uint32_t index)
{
    return local_is_follower(node, index) &&
           !beats_silent_for(&node->contact.beats, (node_index)index,
                             DOWN_AFTER_MS * QR_MILLISECOND);
}

bool local_is_alive(const struct node *node, uint32_t index)
{
    return local_is_heard(node, index) && peers_alive(node->peers, (node_index)index);
}

bool local_is_master(struct client *client)
{
    return client->listener == LISTENER_CLUSTER
               ? shards_lead_here(client->node, redirect_keyspace(client))
               : local_leads(client->node);
}

static void reply_number_text(struct reply *reply, uint64_t v)
{
    char text[24];
    struct text out = text_in(text, sizeof text);
    text_u64(&out, v);
    reply_bulk(reply, span_of(text, out.n));
}

static void write_leader(const struct node *node, const struct outlook *outlook,
                         struct reply *reply)
{
    size_t followers = 0;
    for (uint32_t i = 0; i < MEMBERS_MAX; i++) {
        followers += local_is_follower(node, i);
    }
    reply_array(reply, 3);
    reply_bulk_text(reply, "master");
    reply_integer(reply, (int64_t)outlook->commit);
    reply_array(reply, followers);
    for (uint32_t i = 0; i < MEMBERS_MAX; i++) {
        if (local_is_follower(node, i)) {
            const struct roster_node *m = local_member(node, i);
            reply_array(reply, 3);
            reply_bulk_text(reply, m->address);
            reply_number_text(reply, m->client_port);
            reply_number_text(reply, outlook->member[i].match);
        }
    }
}

static void write_follower(const struct node *node, const struct outlook *outlook,
                           struct reply *reply)
{
    reply_array(reply, 5);
    reply_bulk_text(reply, "slave");
    if (outlook->leader == NODE_NONE) {
        reply_bulk_text(reply, "");
        reply_integer(reply, 0);
        reply_bulk_text(reply, "connect");
    } else {
        const struct roster_node *m = local_member(node, outlook->leader);
        reply_bulk_text(reply, m->address);
        reply_integer(reply, m->client_port);
        reply_bulk_text(reply, "connected");
    }
    reply_integer(reply,
                  node->zero->replica != NULL ? (int64_t)replica_applied(node->zero->replica) : 0);
}

static void write_sentinel(const struct node *node, struct reply *reply)
{
    struct sentinel_view view;
    uint32_t count = 0;
    while (sentinel_at(node, count, &view)) {
        count++;
    }
    reply_array(reply, 2);
    reply_bulk_text(reply, "sentinel");
    reply_array(reply, count);
    for (uint32_t i = 0; sentinel_at(node, i, &view); i++) {
        reply_bulk_text(reply, view.name);
    }
}

void local_cmd_ROLE(struct client *client, const struct span *argv, uint32_t argc,
                    struct reply *reply)
{
    (void)argv;
    (void)argc;
    struct outlook outlook;
    if (client->listener == LISTENER_SENTINEL) {
        write_sentinel(client->node, reply);
    } else if (local_outlook(client->node, &outlook) &&
               (outlook.role == ROLE_LEADER || local_is_master(client))) {
        write_leader(client->node, &outlook, reply);
    } else {
        write_follower(client->node, &outlook, reply);
    }
}

/* --- SHUTDOWN ------------------------------------------------------------------------------- */

void local_cmd_SHUTDOWN(struct client *client, const struct span *argv, uint32_t argc,
                        struct reply *reply)
{
    bool save = false, nosave = false, abort = false, other = false;
    for (uint32_t i = 1; i < argc; i++) {
        if (word_is(argv[i], "SAVE")) {
            save = true;
        } else if (word_is(argv[i], "NOSAVE")) {
            nosave = true;
        } else if (word_is(argv[i], "NOW") || word_is(argv[i], "FORCE")) {
            other = true;
        } else if (word_is(argv[i], "ABORT")) {
            abort = true;
        } else {
            local_syntax_error(reply);
            return;
        }
    }
    if ((save && nosave) || (abort && (save || nosave || other))) {
        local_syntax_error(reply);
    } else if (abort) {
        reply_error(reply, "ERR No shutdown in progress.");
    } else {
        /* Whether a checkpoint is made or not, nothing acknowledged is lost. No reply: the client
         * sees its connection close. */
        node_stop(client->node);
    }
}

/* --- Containers with little inside ---------------------------------------------------------- */

void local_cmd_MEMORY_HELP(struct client *client, const struct span *argv, uint32_t argc,
                           struct reply *reply)
{
    static const char *const lines[] = {
        "USAGE <key> [SAMPLES <count>]",
        "    Bytes that a key and its value take.",
    };
    (void)client;
    (void)argv;
    (void)argc;
    local_help(reply, "MEMORY", lines, ARRAY_COUNT(lines));
}

void local_cmd_MEMBER_HELP(struct client *client, const struct span *argv, uint32_t argc,
                           struct reply *reply)
{
    static const char *const lines[] = {
        "ADD <id> <host:port> [OBSERVER]",
        "    Makes room for a node that is then started with --join.",
        "DEMOTE <id> [OBSERVER] [FORCE]",
        "    Makes a member an observer: it keeps a copy and never votes.",
        "DRAIN <id> [CANCEL]",
        "    Moves all replicas of keyspaces away from a node, or lets it have some again.",
        "LIST",
        "    The members as the leader sees them; without one, as this node does (view).",
        "PROMOTE <id> [FORCE]",
        "    Makes an observer a learner, a learner a voter.",
        "REMOVE <id> [FORCE]",
        "    Removes a node; it stops serving. FORCE: even if the rest could lose its quorum.",
        "SET <id> PRIORITY <n> | ADDRESS <host:port> | ZONE <name>",
        "    Sets how much a node is preferred as leader, where it is, or its zone.",
    };
    (void)client;
    (void)argv;
    (void)argc;
    local_help(reply, "MEMBER", lines, ARRAY_COUNT(lines));
}

void local_cmd_MODULE_LIST(struct client *client, const struct span *argv, uint32_t argc,
                           struct reply *reply)
{
    (void)client;
    (void)argv;
    (void)argc;
    reply_array(reply, 0);
}

void local_cmd_MODULE_HELP(struct client *client, const struct span *argv, uint32_t argc,
                           struct reply *reply)
{
    static const char *const lines[] = {
        "LIST",
        "    The modules loaded: there are none.",
    };
    (void)client;
    (void)argv;
    (void)argc;
    local_help(reply, "MODULE", lines, ARRAY_COUNT(lines));
}
