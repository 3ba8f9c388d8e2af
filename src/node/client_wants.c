#include "node/client_wants.h"

#include "node/control.h"
#include "node/node.h"
#include "protocol/raft/raft.h"

#define VAIN_BYTES 400u /* of a refusal */

static void want_level(struct client *client, const struct level_asked *read)
{
    struct wants *wants = &client->stream.wants;
    bool bounded = read->level == READ_BOUNDED, session = read->level == READ_SESSION;
    bool as_of = read->level == READ_SNAPSHOT;
    wants->level = read->level;
    wants->group = as_of ? read->group : 0;
    wants->least = as_of ? read->bound : 0;
    wants->bound_is_operations = bounded && read->by_ops;
    wants->bound = !bounded ? 0 : read->by_ops ? read->bound : read->bound * QR_MILLISECOND;
    wants->window = session ? client->window_ms * QR_MILLISECOND : 0;
    wants->session = session || client->has_token;
}

/* A token alone asks for reads of its session, and takes nothing from what the connection has asked
 * for beyond that. */
static struct level_asked level_of(const struct asked *with, const struct asked *own)
{
    static const struct level_asked session = { .level = READ_SESSION };
    enum read_level level = (enum read_level)own->read.level;
    bool less = (own->given & ASKED_READ) == 0 || level_is_of_any_replica(level);
    return (with->given & ASKED_READ) != 0              ? with->read
           : (with->given & ASKED_SESSION) != 0 && less ? session
                                                        : own->read;
}

/* What every command gets of which nothing is said; most are such. */
static inline void want_nothing(struct client *client)
{
    client->by_default = ASKED_OF_KEYSPACE;
    client->has_token = false;
    client->window_ms = 0;
    client->said.given = 0;
    client->stream.wants = (struct wants){ .pin = client->pin };
}

/* What stands with it comes before what its connection asks for. An ACK of its own has a FALLBACK
 * of its own: the connection's was said of another one. */
static void note_said(struct client *client, const struct asked *with, const struct asked *own)
{
    const struct asked *ack = (with->given & ASKED_ACK) != 0 ? with : own;
    const struct asked *fallback = ((with->given & (ASKED_ACK | ASKED_FALLBACK)) != 0) ? with : own;
    client->said.given = (uint16_t)((ack->given & ASKED_ACK) | (fallback->given & ASKED_FALLBACK));
    client->said.ack = ack->ack;
    client->said.fallback_async = fallback->fallback_async;
}

void client_want(struct client *client, const struct asked *with)
{
    const struct asked *own = &client->asked;
    struct wants *wants = &client->stream.wants;
    uint16_t said = with->given | own->given;
    want_nothing(client);
    if (said == 0) {
        return;
    }
    uint32_t timeout_ms = (with->given & ASKED_TIMEOUT) != 0 ? with->timeout_ms : own->timeout_ms;
    struct level_asked read = level_of(with, own);
    said |= (with->given & ASKED_SESSION) != 0 ? ASKED_READ : 0;
    client->by_default = (uint16_t)(~said & ASKED_OF_KEYSPACE);
    client->has_token = (with->given & ASKED_SESSION) != 0;
    client->window_ms = (with->given & ASKED_LEADERWINDOW) != 0 ? with->window_ms : own->window_ms;
    if ((said & (ASKED_ACK | ASKED_FALLBACK)) != 0) {
        note_said(client, with, own);
        wants->each_zone = (said & ASKED_ACK) != 0 && client->said.ack.kind == ACK_EACH_ZONE;
    }
    wants->meta = (with->given & ASKED_META) != 0;
    want_level(client, &read);
    if (timeout_ms != 0) {
        qr_time from = client->held_since != 0 ? client->held_since : client->node->clock;
        wants->expires = from + timeout_ms * QR_MILLISECOND;
    }
}

void client_settle_by(struct client *client, const struct map_keyspace *keyspace)
{
    static const struct level_asked strongest = { .level = READ_LINEARIZABLE };
    if ((client->by_default & ASKED_READ) != 0) {
        want_level(client, node_knows_rules(client->node) ? &keyspace->read : &strongest);
    }
    if ((client->by_default & ASKED_ACK) != 0) {
        client->stream.wants.each_zone = keyspace->ack_kind == ACK_EACH_ZONE;
    }
}

static bool read_in_vain(const struct client *client, const struct map_keyspace *keyspace,
                         struct text *why)
{
    struct promise promise = strategy_protocol(keyspace)->promise;
    enum read_level level = (enum read_level)client->stream.wants.level;
    if (control_level(client->node) < MAP_LEVEL_FOLLOWERS) { /* nobody counts losses (position.h) */
        promise.reads &= (uint16_t)~READ_BIT(READ_SESSION);
    }
    if ((client->by_default & ASKED_READ) != 0 || (promise.reads & READ_BIT(level)) != 0) {
        return false;
    }
    text_put(why, "gives reads at ");
    level_names(why, &promise);
    text_put(why, ", not at ");
    text_put(why, level_name(level));
    return true;
}

/* What is left to see to goes with the command. */
static bool write_in_vain(struct client *client, const struct map_keyspace *keyspace,
                          struct text *why)
{
    const struct map *map = client->node->map;
    const struct asked_ack *said = &client->said;
    const struct primary_options *own = &keyspace->primary;
    const char *zone = (said->given & ASKED_ACK) != 0 ? said->ack.zone : own->ack.zone;
    return !primary_asked(&client->stream.wants.copies, said, own, keyspace->replicas,
                          strategy_zone(map, zone), why);
}

static bool refuse_level(struct reply *reply, const struct map_keyspace *keyspace, const char *why)
{
    reply_errorf(reply, "LEVEL keyspace '%s' of strategy primary %s, the command was not applied",
                 keyspace->name, why);
    return true;
}

/* The map is of a cluster whose nodes might not know what travels with it. */
static bool refuse_early(const struct client *client, struct reply *reply)
{
    if (client->stream.wants.copies.count == 0 ||
        control_level(client->node) >= MAP_LEVEL_FOLLOWERS) {
        return false;
    }
    reply_errorf(reply,
                 "UPGRADE ACK of a command needs level %u of the cluster: when all nodes run this "
                 "version, CLUSTER UPGRADE FINALIZE raises it; the command was not applied",
                 MAP_LEVEL_FOLLOWERS);
    return true;
}

static bool primary_in_vain(struct client *client, const struct command_spec *spec,
                            const struct map_keyspace *keyspace, struct reply *reply)
{
    char text[VAIN_BYTES];
    struct text why = text_in(text, sizeof text);
    if (spec->place == PLACE_READ && read_in_vain(client, keyspace, &why)) {
        return refuse_level(reply, keyspace, text);
    }
    if (spec->place != PLACE_WRITE || client->said.given == 0) {
        return false;
    }
    return write_in_vain(client, keyspace, &why) ? refuse_level(reply, keyspace, text)
                                                 : refuse_early(client, reply);
}

/* Words that make sense with STRATEGY primary alone were taken for the sake of such keyspaces. */
static bool raft_in_vain(const struct client *client, const struct command_spec *spec,
                         struct reply *reply)
{
    char text[VAIN_BYTES], words[ACK_TEXT_BYTES];
    struct text why = text_in(text, sizeof text), spoken = text_in(words, sizeof words);
    const struct asked_ack *said = &client->said;
    const struct promise *promise = &raft_protocol.promise;
    bool ack = (said->given & ASKED_ACK) != 0 && !ack_is_given(&said->ack, promise);
    bool async = (said->given & ASKED_FALLBACK) != 0 && said->fallback_async;
    if (spec->place != PLACE_WRITE || (!ack && !async)) {
        return false;
    }
    if (ack) {
        ack_put(&spoken, &said->ack);
        ack_refuse(&why, span_of(words, spoken.n), raft_protocol.name, promise);
    } else {
        asked_refuse_async(&why, raft_protocol.name);
    }
    reply_error(reply, text);
    return true;
}

bool client_asks_in_vain_by(struct client *client, const struct command_spec *spec,
                            const struct map_keyspace *keyspace, struct reply *reply)
{
    return strategy_has_views(keyspace) ? primary_in_vain(client, spec, keyspace, reply)
                                        : raft_in_vain(client, spec, reply);
}

bool client_is_late(const struct client *client)
{
    qr_time expires = client->stream.wants.expires;
    return expires != 0 && client->node->clock >= expires;
}

bool client_has_patience(struct client *client, qr_time patience)
{
    qr_time now = client->node->clock;
    if (client->held_since == 0) { /* what had come by then has waited with the one before */
        bool waited = client->gave_up != 0 && client->last_active <= client->gave_up;
        client->held_since = waited ? client->gave_up : now;
    }
    bool has = now - client->held_since < patience && !client_is_late(client);
    client->gave_up = has ? client->gave_up : client->held_since;
    return has;
}

/* Also of the cluster's level. A new cluster has that of the directories of its nodes from its
 * first order on (control_follow_level): before that its map shows a lower one. */
static bool knows_level(const struct node *node)
{
    return node_knows_rules(node) && control_level(node) >= node->identity.level;
}

static bool waits(struct client *client)
{
    return client_has_patience(client, client->node->config.leader_wait_ms * QR_MILLISECOND);
}

bool client_awaits_map(struct client *client, const struct command_spec *spec)
{
    const struct node *node = client->node;
    return spec->place == PLACE_WRITE && !knows_level(node) && !node->removed && waits(client);
}

bool client_is_unsure_of_ack_by(struct client *client)
{
    return !node_knows_rules(client->node) && !client->node->removed;
}

bool client_awaits_ack(struct client *client)
{
    return waits(client);
}

static void write_id_of_write(struct reply *reply, const struct span *argv, uint32_t argc)
{
    (void)argv;
    (void)argc;
    reply_error(reply, "ERR IDMP is for commands that write keys, the command was not applied");
}

static void write_unsure(struct reply *reply, const struct span *argv, uint32_t argc)
{
    (void)argv;
    (void)argc;
    reply_error(reply, "CLUSTERDOWN this node has not heard from group 0 and does not know what "
                       "the keyspace asks of its writes by now, the command was not applied");
}

void client_write_late(struct reply *reply, const struct span *argv, uint32_t argc)
{
    (void)argv;
    (void)argc;
    reply_error(reply, status_text(STATUS_LATE));
}

static void write_id_level(struct reply *reply, const struct span *argv, uint32_t argc)
{
    (void)argv;
    (void)argc;
    reply_errorf(reply,
                 "UPGRADE IDMP needs level %u of the cluster: when all nodes run this version, "
                 "CLUSTER UPGRADE FINALIZE raises it; the command was not applied",
                 MAP_LEVEL_REQUESTS);
}

client_refusal *client_refuses_ack(const struct client *client)
{
    client->node->stats.clusterdown += client_is_late(client) ? 0 : 1;
    return client_is_late(client) ? client_write_late : write_unsure;
}

client_refusal *client_refuses_id(const struct client *client, const struct command_spec *spec)
{
    const struct node *node = client->node;
    return spec->place != PLACE_WRITE                     ? write_id_of_write
           : node->removed                                ? NULL /* the router says so, for good */
           : !knows_level(node) && client_is_late(client) ? client_write_late
           : !knows_level(node)                           ? write_unsure
           : control_level(node) < MAP_LEVEL_REQUESTS ? write_id_level /* who could not read it */
                                                      : NULL;
}

void client_write_no_meta(struct reply *reply, const struct span *argv, uint32_t argc)
{
    (void)argv;
    (void)argc;
    reply_error(reply, "ERR META tells of commands on keys: this one is the connection's own, and "
                       "was not carried out");
}

void client_write_no_keyspace(struct reply *reply, const struct span *argv, uint32_t argc)
{
    (void)argv;
    (void)argc;
    reply_error(reply, "ERR KS is for commands on keys: this one is the connection's own, and was "
                       "not carried out");
}

void client_write_with_too_long(struct reply *reply, const struct span *argv, uint32_t argc)
{
    (void)argv;
    (void)argc;
    reply_error(reply, WITH_TOO_LONG);
}

void client_write_with_in_with(struct reply *reply, const struct span *argv, uint32_t argc)
{
    (void)argv;
    (void)argc;
    reply_error(reply, WITH_IN_WITH);
}

void client_write_argument_too_long(struct reply *reply, const struct span *argv, uint32_t argc)
{
    (void)argv;
    (void)argc;
    reply_error(reply, "ERR argument is too long");
}

void client_write_too_long(struct reply *reply, const struct span *argv, uint32_t argc)
{
    (void)argv;
    (void)argc;
    reply_errorf(reply,
                 "ERR command is too large (at most %u arguments, and at most %u bytes of those "
                 "that are not longer than %u): send it in parts",
                 (unsigned)STEP_ARGUMENTS_MAX, (unsigned)STEP_BYTES_MAX, (unsigned)LARGE_BYTES);
}

void client_write_id_of_one(struct reply *reply, const struct span *argv, uint32_t argc)
{
    (void)argv;
    (void)argc;
    reply_error(reply, "ERR IDMP is for commands of one partition, the command was not applied");
}

void client_write_no_snapshot(struct reply *reply, const struct span *argv, uint32_t argc)
{
    (void)argv;
    (void)argc;
    reply_error(reply,
                "ERR READ snapshot is for commands with keys: this one looks at all of them, "
                "the command was not applied");
}

bool client_wants_no_key(const struct client *client, const struct command_spec *spec)
{
    return client->stream.wants.level == READ_SNAPSHOT && spec->place == PLACE_READ &&
           spec->first_key <= 0;
}
