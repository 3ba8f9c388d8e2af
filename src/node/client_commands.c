/* Commands of a client: who carries each out, and what is refused on the spot. */
#include "node/clients_internal.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "base/text.h"
#include "cluster/map.h"
#include "node/client_wants.h"
#include "node/control.h"
#include "node/gather.h"
#include "node/local.h"
#include "node/redirect.h"
#include "node/router.h"
#include "node/session.h"
#include "node/subscribe.h"

/* The reply of something that this node answers itself, in its place among the others. */
static struct pending *begin_local(struct client *client, struct reply **reply)
{
    if (client->stream.first == NULL) {
        *reply = &client->out;
        client->reply_began = client->out.n;
        client->out.version = client->version;
        client_mark_dirty(client);
        return NULL;
    }
    struct pending *p = stream_push(&client->stream, NULL, client->version, client->last_active);
    p->wants.meta = false; /* of a command on keys alone; and what is skipped is nothing at all */
    *reply = stream_reply(p);
    return p;
}

static void end_local(struct client *client, struct pending *p)
{
    if (p != NULL) {
        stream_answered(p, STATUS_OK);
    } else {
        client_note_reply(client);
    }
}

static bool is_silent(struct client *client)
{
    if (client->reply_mode == REPLY_SKIP_NEXT) {
        client->reply_mode = REPLY_ON;
        return true;
    }
    return client->reply_mode == REPLY_OFF;
}

static void run_local(struct client *client, const struct command_spec *spec,
                      const struct span *argv, uint32_t argc)
{
    struct node *node = client->node;
    struct command_stats *stats = &node->command_stats[command_index(spec)];
    struct reply *reply;
    qr_time began = node_clock(node);
    /* Judged by the mode that the command leaves behind: CLIENT REPLY ON is answered. */
    bool skip = client->reply_mode == REPLY_SKIP_NEXT && is_silent(client);
    client->parser.known.n = 0; /* it may change what options mean */
    struct pending *p = begin_local(client, &reply);
    node_stir(client->node);
    size_t before = reply->n;
    reply->is_error = false;
    local_handler_of(spec)(client, argv, argc, reply);
    stats->calls++;
    uint64_t usec = (uint64_t)(node_clock(node) - began);
    stats->usec += usec;
    stats->failed += reply->is_error ? 1 : 0;
    if (node->config.latency_tracking) {
        measure_latency(node->measure, spec, (qr_time)usec);
    }
    if (skip || client->reply_mode == REPLY_OFF) {
        reply->n = before;
    }
    end_local(client, p);
}

static void refuse_text(struct client *client, const struct command_spec *spec,
                        client_refusal *write, const struct span *argv, uint32_t argc)
{
    struct reply *reply;
    bool silent = is_silent(client);
    struct pending *p = begin_local(client, &reply);
    size_t before = reply->n;
    write(reply, argv, argc);
    if (spec != NULL) {
        client->node->command_stats[command_index(spec)].rejected++;
    }
    if (silent) {
        reply->n = before;
    }
    end_local(client, p);
}

/* It has authenticated itself, or need not (any more). */
bool client_is_known(const struct client *client)
{
    return client->authenticated || client->node->config.requirepass[0] == 0;
}

static void write_no_auth(struct reply *reply, const struct span *argv, uint32_t argc)
{
    (void)argv;
    (void)argc;
    reply_error(reply, "NOAUTH Authentication required.");
}

static size_t total_bytes(const struct span *argv, uint32_t argc)
{
    size_t n = 0;
    for (uint32_t i = 0; i < argc; i++) {
        n += op_is_ref(argv[i]) ? 0 : argv[i].n;
    }
    return n;
}

static bool is_too_much(const struct client *client, const struct span *argv, uint32_t argc)
{
    return argc > STEP_ARGUMENTS_MAX ||
           (client->parser.consumed > STEP_BYTES_MAX && total_bytes(argv, argc) > STEP_BYTES_MAX);
}

static void write_loading(struct reply *reply, const struct span *argv, uint32_t argc)
{
    (void)argv;
    (void)argc;
    reply_error(reply,
                "LOADING damaged entries of this node's log are being fetched from the other "
                "members, see INFO raft; the command was not applied");
}

static void write_no_cluster(struct reply *reply, const struct span *argv, uint32_t argc)
{
    (void)argv;
    (void)argc;
    reply_error(reply, "ERR This instance has cluster support disabled");
}

static void write_subscribed(struct reply *reply, const struct span *argv, uint32_t argc)
{
    char name[64];
    struct text lower = text_in(name, sizeof name);
    (void)argc;
    for (size_t i = 0; i < argv[0].n; i++) {
        uint8_t c = argv[0].p[i];
        text_char(&lower, (char)(c >= 'A' && c <= 'Z' ? c + 32 : c));
    }
    reply_errorf(reply,
                 "ERR Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / "
                 "RESET are allowed in this context",
                 name);
}

static bool is_local(const struct command_spec *spec)
{
    return spec->place == PLACE_LOCAL;
}

/* A reply that stands in for the command's. */
static void refuse_with(struct client *client, const struct command_spec *spec,
                        const struct reply *answer)
{
    struct reply *reply;
    bool silent = is_silent(client);
    struct pending *p = begin_local(client, &reply);
    if (!silent) {
        reply_raw(reply, span_of(answer->p, answer->n));
    }
    client->node->command_stats[command_index(spec)].rejected++;
    end_local(client, p);
}

/* On cluster-port another answer may be due than the command's (redirect.h): it is given. */
static bool is_redirected(struct client *client, const struct command_spec *spec,
                          const struct span *argv, uint32_t argc)
{
    struct reply answer;
    if (client->listener != LISTENER_CLUSTER) {
        return false;
    }
    reply_init(&answer, client->version);
    bool is = redirect(client, spec, argv, argc, &answer);
    if (is) {
        refuse_with(client, spec, &answer);
    }
    reply_free(&answer);
    return is;
}

/* Refuses what can be refused before anything is looked at but names and counts. */
static bool is_refused(struct client *client, const struct command_spec *spec,
                       const struct command_spec *container, const struct span *argv, uint32_t argc)
{
    if (!local_is_told(client->listener, spec != NULL ? spec : container)) {
        refuse_text(client, NULL, local_unknown_command, argv, argc);
    } else if (spec == NULL) {
        refuse_text(client, NULL, local_unknown_subcommand, argv, argc);
    } else if (!command_arity_fits(spec, argc)) {
        refuse_text(client, spec, local_wrong_arity, argv, argc);
    } else if (!client_is_known(client) && (spec->flags & CF_NO_AUTH) == 0) {
        refuse_text(client, spec, write_no_auth, argv, argc);
    } else if ((spec->flags & CF_CLUSTER_ONLY) != 0 && client->listener != LISTENER_CLUSTER) {
        refuse_text(client, spec, write_no_cluster, argv, argc);
    } else if (client->node->zero->loading && !is_local(spec)) {
        refuse_text(client, spec, write_loading, argv, argc);
    } else if (client->subscriptions != NULL && !subscribe_allows(client, spec)) {
        refuse_text(client, spec, write_subscribed, argv, argc);
    } else {
        return false;
    }
    return true;
}

/* --- To the router -------------------------------------------------------------------------- */

static void refuse_route(struct client *client, const struct command_spec *spec,
                         const struct route *route)
{
    struct reply *reply;
    bool silent = is_silent(client);
    struct pending *p = begin_local(client, &reply);
    size_t before = reply->n;
    route_refuse(route, spec, reply);
    client->node->command_stats[command_index(spec)].rejected++;
    if (silent) {
        reply->n = before;
    }
    end_local(client, p);
}

/* A WAIT is for the partition that the client has written to, where it is one. */
static void aim_wait(struct client *client, struct route *route)
{
    uint32_t group;
    uint32_t written = gather_written(&client->stream, &group);
    struct partition *partition = partition_of_group(client->node, group);
    if (written == 1 && partition != NULL) {
        route->kind = ROUTE_ONE;
        route->partition = partition;
    } else if (written == 0 && route->kind == ROUTE_ALL) { /* any of them */
        route_of_slot(client->node, route->keyspace->id, 0, route);
    } else if (written > 1) {
        route->kind = ROUTE_ALL;
    }
}

/* Which way its keys lead is not known now, and it may wait until that is. */
static bool may_be_held(struct client *client, const struct route *route)
{
    const struct node *node = client->node;
    qr_time patience = node->config.leader_wait_ms * QR_MILLISECOND;
    patience += patience > 0 && node->contact.coverage.frozen.count > 0 ? COVER_TIME : 0;
    return route->kind == ROUTE_UNSURE && client_has_patience(client, patience);
}

/* The session has been where a prefix may lead that this node does not know of (route.h K6). */
static bool may_belong_elsewhere(const struct client *client, const struct partition *partition)
{
    const struct node *node = client->node;
    return partition->group == 0 &&
           session_was_elsewhere(&client->stream.strands, client->stream.token) &&
           !coverage_holds(&node->contact.coverage, node->clock);
}

/* What the token that came with the command says of the partition that it goes to. */
static void aim_session(struct client *client, const struct partition *partition)
{
    struct wants *wants = &client->stream.wants;
    const struct token *token = client->stream.token;
    if (token == NULL && wants->level != READ_SESSION) {
        return;
    }
    if (token != NULL && !token_find(token, partition->group, &wants->least)) {
        wants->level = READ_LINEARIZABLE; /* it may have seen all there is: a proof shows that */
    } else if (may_belong_elsewhere(client, partition)) {
        wants->level = READ_LINEARIZABLE; /* group 0's leader looks */
    }
}

/* False: it waits. True: it has waited long enough. */
static bool hold_for_ack(struct client *client, const struct command_spec *spec,
                         const struct span *argv, uint32_t argc)
{
    if (client_awaits_ack(client)) {
        return false;
    }
    refuse_text(client, spec, client_refuses_ack(client), argv, argc);
    return true;
}

/* What is asked the keyspace does not give: it is told, at once if this node knows what it gives by
 * now; until then a write waits. */
static bool is_in_vain(struct client *client, const struct command_spec *spec,
                       const struct map_keyspace *keyspace, const struct span *argv, uint32_t argc,
                       bool *done)
{
    struct reply answer;
    *done = true;
    if (!client_may_ask_in_vain(client, keyspace)) {
        return false;
    }
    reply_init(&answer, client->version);
    bool is = client_asks_in_vain_by(client, spec, keyspace, &answer);
    if (is && spec->place == PLACE_WRITE && client_is_unsure_of_ack_by(client)) {
        *done = hold_for_ack(client, spec, argv, argc);
    } else if (is) {
        refuse_with(client, spec, &answer);
    }
    reply_free(&answer);
    return is;
}

/* A command that is not the connection's own, on its way to whoever carries it out; false: it
 * waits. */
static bool send_on(struct client *client, const struct command_spec *spec, const struct span *argv,
                    uint32_t argc)
{
    struct node *node = client->node;
    struct route route;
    bool wait = spec->place == PLACE_WAIT, done;
    if (!wait && route_is_plain(node, &client->selected)) {
        const struct map_keyspace *zero = map_keyspace_at(node->map, 0);
        client_settle(client, zero);
        if (is_in_vain(client, spec, zero, argv, argc, &done)) {
            return done;
        }
        if (client_is_unsure_of_ack(client, spec)) {
            return hold_for_ack(client, spec, argv, argc);
        }
        aim_session(client, node->zero);
        router_command(node->router, node->zero, &client->stream, spec, client->version,
                       client->selected.db, argv, argc, is_silent(client));
        return true;
    }
    route_of(node, &client->selected, spec, argv, argc, &route);
    if (may_be_held(client, &route)) {
        return false;
    }
    client_settle(client, route.keyspace);
    bool refused = route.kind != ROUTE_ONE && route.kind != ROUTE_ALL;
    if (!refused && is_in_vain(client, spec, route.keyspace, argv, argc, &done)) {
        return done;
    }
    if (!refused && client_is_unsure_of_ack(client, spec)) {
        return hold_for_ack(client, spec, argv, argc);
    }
    client->stream.by_prefix = route.by_prefix;
    if (route.kind == ROUTE_ALL && (spec->flags & CF_CLUSTER_ONLY) != 0) {
        route_of_slot(node, client->selected.keyspace, redirect_slot(argv[2]), &route);
    }
    if (wait && route.keyspace != NULL) {
        aim_wait(client, &route);
    }
    if (route.kind == ROUTE_ONE) {
        aim_session(client, route.partition);
        router_command(node->router, route.partition, &client->stream, spec, client->version,
                       route.db, argv, argc, is_silent(client));
    } else if (route.kind == ROUTE_ALL && client->stream.id != NULL) {
        refuse_text(client, spec, client_write_id_of_one, argv, argc);
    } else if (route.kind == ROUTE_ALL) {
        gather_command(node->router, &client->stream, &route, spec, client->version, argv, argc,
                       is_silent(client), client->listener == LISTENER_CLUSTER);
    } else if (route.kind == ROUTE_UNSURE && client_is_late(client)) {
        refuse_text(client, spec, client_write_late, argv, argc);
    } else {
        refuse_route(client, spec, &route);
    }
    client->stream.by_prefix = false;
    return true;
}

/* The same with large arguments, whose beginnings are enough to find the way; false: refused. */
static bool send_laden(struct client *client, const struct command_spec *spec,
                       const struct span *beginnings, const struct span *argv, uint32_t argc)
{
    struct node *node = client->node;
    struct route route;
    route_of(node, &client->selected, spec, beginnings, argc, &route);
    if (route.kind != ROUTE_ONE) {
        refuse_route(client, spec, &route);
        return false;
    }
    client_settle(client, route.keyspace);
    bool done;
    if (is_in_vain(client, spec, route.keyspace, argv, argc, &done)) {
        if (!done) { /* it is too large to be held */
            refuse_text(client, spec, client_refuses_ack(client), argv, argc);
        }
        return false;
    }
    client_settle_laden(client, spec);
    client->stream.by_prefix = route.by_prefix;
    router_command_laden(node->router, route.partition, &client->stream, spec, client->version,
                         route.db, argv, argc, is_silent(client), client->cargo);
    client->stream.by_prefix = false;
    return true;
}

/* A command with large arguments: only writes carry them on. */
static void run_laden(struct client *client, const struct span *argv, uint32_t argc)
{
    struct node *node = client->node;
    const struct command_spec *container;
    struct span *beginnings = client_beginnings(client, argv, argc);
    const struct command_spec *spec =
        command_recall(&node->client_commands, beginnings, argc, &container);
    client->last_command = spec != NULL ? spec : client->last_command;
    struct cargo *cargo = client->cargo;
    if (is_refused(client, spec, container, beginnings, argc)) {
        ;
    } else if (client->parser.skipped) {
        refuse_text(client, spec, client_write_with_too_long, beginnings, argc);
    } else if (is_local(spec) && client_join(client, beginnings, argv, argc)) {
        run_local(client, spec, beginnings, argc);
        client_unjoin(beginnings, argv, argc);
    } else if (spec->place != PLACE_WRITE) {
        refuse_text(client, spec, client_write_argument_too_long, beginnings, argc);
    } else if (is_too_much(client, argv, argc)) {
        refuse_text(client, spec, client_write_too_long, beginnings, argc);
    } else if (!is_redirected(client, spec, argv, argc)) {
        cargo = send_laden(client, spec, beginnings, argv, argc) ? NULL : cargo;
    }
    free(beginnings);
    cargo_free(node, cargo);
    client->cargo = NULL;
}

static bool run(struct client *client, const struct span *argv, uint32_t argc);

/* What a session has seen is known when it has seen it. */
static bool waits_for_answers(struct client *client, const struct command_spec *spec)
{
    client->awaits_all = spec->tag >= COMMAND_SESSION_FIRST && spec->tag <= COMMAND_SESSION_LAST &&
                         client->stream.first != NULL;
    if (client->awaits_all && client->held_since == 0) {
        client->held_since = client->node->clock;
    }
    return client->awaits_all;
}

/* Options that say the same whenever they come are not read again while they do: the parser knows
 * them by their bytes. */
static void keep_with(struct client *client, const struct span *argv, uint32_t at,
                      const struct asked *asked)
{
    struct parser *parser = &client->parser;
    const uint8_t *begin = client->input + client->input_at - parser->consumed + parser->items_at;
    const uint8_t *end = argv[at - 1].p + argv[at - 1].n + 2;
    bool constant = (asked->given & (ASKED_KS | ASKED_SESSION | ASKED_IDMP)) == 0;
    if (parser->items_at == 0 || !constant || end - begin > KNOWN_WITH_BYTES) {
        return;
    }
    if (client->with == NULL) {
        client->with = qr_alloc(sizeof *client->with);
    }
    client->with->asked = *asked;
    memcpy(client->with->bytes, begin, (size_t)(end - begin));
    parser->known = span_of(client->with->bytes, (size_t)(end - begin));
    parser->known_items = at;
}

/* KS: its command in that keyspace, as if it were the one that is selected. */
static bool run_apart(struct client *client, const struct command_spec *spec, struct span keyspace,
                      const struct span *argv, uint32_t argc)
{
    struct selected own = client->selected, other;
    struct reply error;
    reply_init(&error, client->version);
    bool is = route_select(client->node, keyspace, &other, &error);
    if (!is && error.p[1] == 'E') { /* -ERR: the words may be the command's own */
        reply_reset(&error);
        reply_error(&error, "ERR KS names no keyspace that there is, the command was not applied");
    }
    if (is && client->listener == LISTENER_CLUSTER && other.db != 0) {
        reply_error(&error, "ERR KS names a database, and there is one at cluster-port, the "
                            "command was not applied");
        is = false;
    }
    bool done = true;
    if (is) {
        client->selected = other;
        client->apart = true;
        done = run(client, argv, argc);
        client->apart = false;
        client->selected = own;
    } else {
        refuse_with(client, spec, &error);
    }
    reply_free(&error);
    return done;
}

/* WITH: its command, as if it had come alone, under what the options say. Where they make no sense
 * WITH itself answers. */
static bool run_with(struct client *client, const struct command_spec *spec,
                     const struct span *argv, uint32_t argc)
{
    struct asked asked;
    struct token token;
    uint32_t at = local_with(client, argv, argc, &asked, NULL);
    bool has_token = at > 0 && (asked.given & ASKED_SESSION) != 0;
    if (at == 0 || (has_token && session_read(client->node, asked.token, &token) != TOKEN_OK)) {
        run_local(client, spec, argv, argc);
        return true;
    }
    keep_with(client, argv, at, &asked);
    client_want(client, &asked);
    struct op_id id = { .pid = asked.pid, .iid = asked.iid };
    client->stream.id = (asked.given & ASKED_IDMP) != 0 ? &id : NULL;
    client->stream.token = has_token ? &token : NULL;
    bool done = (asked.given & ASKED_KS) != 0
                    ? run_apart(client, spec, asked.keyspace, argv + at, argc - at)
                    : run(client, argv + at, argc - at);
    client->stream.token = NULL;
    client->stream.id = NULL;
    return done;
}

/* A command of the connection itself; false: it waits. */
static bool run_own(struct client *client, const struct command_spec *spec, const struct span *argv,
                    uint32_t argc)
{
    if (spec->tag == COMMAND_WITH && client->parser.skipped) {
        refuse_text(client, spec, client_write_with_in_with, argv, argc);
    } else if (spec->tag == COMMAND_WITH) {
        return run_with(client, spec, argv, argc);
    } else if (waits_for_answers(client, spec)) {
        return false;
    } else if (client->apart) {
        refuse_text(client, spec, client_write_no_keyspace, argv, argc);
    } else if (client->stream.wants.meta) {
        refuse_text(client, spec, client_write_no_meta, argv, argc);
    } else {
        run_local(client, spec, argv, argc);
    }
    return true;
}

static bool run(struct client *client, const struct span *argv, uint32_t argc)
{
    struct node *node = client->node;
    const struct command_spec *container;
    if (client->cargo != NULL) {
        run_laden(client, argv, argc);
        return true;
    }
    const struct command_spec *spec =
        command_recall(&node->client_commands, argv, argc, &container);
    client->last_command = spec != NULL ? spec : client->last_command;
    if (is_refused(client, spec, container, argv, argc)) {
        return true;
    }
    if (client->stream.id != NULL && client_awaits_map(client, spec)) {
        return false;
    }
    client_refusal *no_id = client->stream.id != NULL ? client_refuses_id(client, spec) : NULL;
    if (no_id != NULL) {
        refuse_text(client, spec, no_id, argv, argc);
        return true;
    }
    if (is_local(spec)) {
        return run_own(client, spec, argv, argc);
    }
    if (is_too_much(client, argv, argc)) {
        refuse_text(client, spec, client_write_too_long, argv, argc);
    } else if (client_wants_no_key(client, spec)) {
        refuse_text(client, spec, client_write_no_snapshot, argv, argc);
    } else if (!is_redirected(client, spec, argv, argc)) {
        return send_on(client, spec, argv, argc);
    }
    return true;
}

bool client_run_command(struct client *client, const struct span *argv, uint32_t argc)
{
    uint32_t first = client->held_since == 0 ? 1 : 0;
    client->commands += first;
    client->node->stats.commands_processed += first;
    static const struct asked nothing; /* until WITH says otherwise */
    client_want(client, client->parser.skipped ? &client->with->asked : &nothing);
    bool done = run(client, argv, argc);
    client->held_since = done ? 0 : client->held_since;
    return done;
}

void client_protocol_error(struct client *client)
{
    struct reply *reply;
    client->node->stats.protocol_errors++;
    struct pending *p = begin_local(client, &reply);
    reply_errorf(reply, "ERR Protocol error: %s", client->parser.error);
    end_local(client, p);
    client->dismissed = true;
    client_close_gently(client);
}
