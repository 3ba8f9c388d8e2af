/* See cardboard.h. The functions stand in for the rest of the node. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cardboard.h"
#include "cluster/map.h"
#include "node/client_wants.h"
#include "node/alarm.h"
#include "node/clients_internal.h"
#include "node/keeper.h"
#include "node/local_internal.h"
#include "node/lagging.h"
#include "node/peers.h"
#include "node/quarantine.h"
#include "node/replica.h"
#include "node/router.h"
#include "node/run.h"
#include "node/snapshot_fetch.h"
#include "node/snapshot_source.h"

struct node node;
struct partition zero;
struct partition others[4];
static struct quarantine quarantine;
struct client clients[3];
struct client *const me = &clients[0];
struct command_stats command_stats[256];
struct outlook outlook;
char changed[256]; /* names given to node_config_changed */
const struct client *killed, *closed_gently;
bool stopped;
uint16_t wire_version;
qr_time io_step;
static qr_time passed;

int64_t io_free_bytes(struct io *io, const char *path)
{
    (void)io;
    (void)path;
    return INT64_C(1) << 40;
}

qr_time io_now(struct io *io)
{
    (void)io;
    passed += io_step;
    return 100 * QR_SECOND + passed;
}

qr_wall io_wall(struct io *io)
{
    (void)io;
    return 1700000000000042;
}

size_t io_stream_queued(const struct io_stream *stream)
{
    (void)stream;
    return 0;
}

size_t io_stream_memory(const struct io_stream *stream)
{
    (void)stream;
    return 0;
}

int io_stream_fd(const struct io_stream *stream)
{
    (void)stream;
    return 7;
}

void replica_outlook(const struct replica *r, struct outlook *out)
{
    (void)r;
    *out = outlook;
}

/* Nothing is noted: all that it has not acknowledged is a minute old, and 100 bytes each. */
struct follower_sight lagging_of(struct partition *p, node_index member)
{
    const struct member_outlook *m = &outlook.member[member];
    uint64_t ops = outlook.last > m->match ? outlook.last - m->match : 0;
    (void)p;
    return (struct follower_sight){
        .state = local_is_follower(&node, member) ? FOLLOWER_ONLINE : FOLLOWER_AWAY,
        .known = m->heard != 0,
        .match = m->match,
        .lag = { ops, ops * 100, ops > 0 ? 60 * QR_SECOND : 0 },
        .silence = m->heard != 0 ? 100 * QR_SECOND - m->heard : -1,
    };
}

qr_slot replica_applied(const struct replica *r)
{
    (void)r;
    return 41;
}

uint64_t replica_log_bytes(const struct replica *r)
{
    (void)r;
    return 4096;
}

node_index replica_leader(const struct replica *r)
{
    (void)r;
    return outlook.leader;
}

qr_term replica_term(const struct replica *r)
{
    (void)r;
    return outlook.term;
}

struct partition *partition_of_group(const struct node *of, uint32_t group)
{
    return group == 0 ? of->zero : group - 2 < 4 ? &others[group - 2] : NULL;
}

node_index leaders_of(const struct partition *partition)
{
    return partition->hint.leader;
}

uint16_t peers_wire_version(const struct peers *peers, node_index peer)
{
    (void)peers;
    return peer == 1 ? wire_version : 0;
}

qr_time peers_lost_at(const struct peers *peers, node_index peer)
{
    (void)peers;
    (void)peer;
    return 98 * QR_SECOND;
}

__attribute__((weak)) void client_settle_by(struct client *client,
                                            const struct map_keyspace *keyspace)
{
    (void)client, (void)keyspace; /* commands_world.h has the real one */
}

void client_mark_dirty(struct client *client)
{
    client->dirty = true;
}

size_t client_unsent(const struct client *client)
{
    return client->out.n;
}

void peers_tell(struct peers *peers, node_index to, uint8_t kind, struct span head)
{
    (void)peers;
    (void)to;
    (void)kind;
    (void)head;
}

bool peers_connected(const struct peers *peers, node_index peer)
{
    (void)peers;
    return peer == 1;
}

bool peers_alive(const struct peers *peers, node_index peer)
{
    return peers_connected(peers, peer);
}

uint32_t router_waiting(const struct router *router)
{
    (void)router;
    return 0;
}

uint32_t router_forwarded(const struct router *router)
{
    (void)router;
    return 0;
}

qr_slot keeper_slot(const struct keeper *keeper)
{
    (void)keeper;
    return 0;
}

struct source_progress source_progress_of(const struct source *source, node_index member)
{
    (void)source;
    (void)member;
    return (struct source_progress){ 0 };
}

void transfers_gave(const struct node *of, struct source_figures *out)
{
    (void)of;
    *out = (struct source_figures){ 0 };
}

void transfers_took(const struct node *of, struct fetch_figures *out)
{
    (void)of;
    *out = (struct fetch_figures){ 0 };
}

qr_slot source_pin(const struct source *source)
{
    (void)source;
    return 0;
}

void fetch_figures(const struct fetch *fetch, struct fetch_figures *out)
{
    (void)fetch;
    *out = (struct fetch_figures){ 0 };
}

uint32_t identity_me(const struct identity *identity)
{
    (void)identity;
    return 0;
}

uint32_t log_group_count(const struct log *log)
{
    (void)log;
    return 1;
}

void log_stats(const struct log *log, struct log_stats *out)
{
    (void)log;
    *out = (struct log_stats){ 0 };
}

void log_reset_stats(struct log *log)
{
    (void)log;
}

const struct log_figures *log_figures(const struct log *log)
{
    static const struct log_figures none;
    (void)log;
    return &none;
}

const struct peer_stats *peers_stats(const struct peers *peers, node_index peer)
{
    static const struct peer_stats some = { .sent = { [FRAME_PROTOCOL] = 3 }, .bytes_sent = 99 };
    (void)peers;
    (void)peer;
    return &some;
}

void peers_reset_stats(struct peers *peers)
{
    (void)peers;
}

void queues_measure(struct node *of)
{
    (void)of;
}

uint64_t queue_now(const struct node *of, enum queue_id id)
{
    return of->queues[id].now;
}

size_t peers_queued(const struct peers *peers, node_index peer)
{
    (void)peers;
    (void)peer;
    return 0;
}

enum log_space log_space(struct log *log)
{
    (void)log;
    return LOG_SPACE_OK;
}

void node_config_changed(struct node *changed_node, const char *name)
{
    assert_ptr_equal(changed_node, &node);
    size_t n = strlen(changed);
    (void)snprintf(changed + n, sizeof changed - n, "%s ", name);
}

void node_stop(struct node *stopped_node)
{
    assert_ptr_equal(stopped_node, &node);
    stopped = true;
}

void client_close_gently(struct client *client)
{
    closed_gently = client;
}

void client_kill(struct client *client)
{
    killed = client;
}

/* --- Discard journals ----------------------------------------------------------------------- */

uint32_t journal_asked;
struct discards *journal;
const char *journal_trouble;
struct discards_stats journal_stats;
const struct discards_item *journal_items;
uint32_t journal_item_count;
uint64_t journal_cursor, journal_next;
uint32_t journal_count;
int journal_error;

struct discards *journals_get(struct node *of, uint32_t keyspace, bool make, char *message,
                              size_t cap)
{
    (void)of;
    assert_false(make);
    journal_asked = keyspace;
    (void)snprintf(message, cap, "%s", journal_trouble != NULL ? journal_trouble : "");
    return journal;
}

void journals_stats(const struct node *of, struct discards_stats *out)
{
    (void)of;
    *out = journal_stats;
}

void discards_stats(const struct discards *discards, struct discards_stats *out)
{
    assert_true(discards != NULL);
    *out = journal_stats;
}

int discards_scan(struct discards *discards, uint64_t cursor, uint32_t count,
                  void (*each)(void *context, const struct discards_item *item), void *context,
                  uint64_t *next)
{
    assert_true(discards != NULL);
    journal_cursor = cursor;
    journal_count = count;
    for (uint32_t i = 0; i < journal_item_count && i < count; i++) {
        each(context, &journal_items[i]);
    }
    *next = journal_next;
    return journal_error;
}

int fresh(void **state)
{
    (void)state;
    journal = NULL;
    journal_trouble = NULL;
    journal_stats = (struct discards_stats){ 0 };
    journal_item_count = 0;
    journal_error = 0;
    measure_free(node.measure);
    struct map *map = node.map != NULL ? node.map : map_new();
    memset(&node, 0, sizeof node);
    zero = (struct partition){ .node = &node };
    for (uint32_t i = 0; i < ARRAY_COUNT(others); i++) {
        others[i] = (struct partition){ .node = &node, .group = i + 2, .hint.leader = NODE_NONE };
    }
    zero.quarantine = &quarantine;
    node.zero = &zero;
    node.map = map; /* of all tests: none changes it */
    node.holding.current = true;
    node.contact.coverage.knows_until = QR_NEVER;
    node.measure = measure_new();
    memset(clients, 0, sizeof clients);
    memset(command_stats, 0, sizeof command_stats);
    config_defaults(&node.config);
    node.command_stats = command_stats;
    zero.replica = (struct replica *)&outlook; /* never looked into */
    node.peers = (struct peers *)&outlook;
    node.identity.node_id = 1;
    strcpy(node.run_id, "0123456789012345678901234567890123456789");
    for (uint32_t i = 0; i < 3; i++) {
        struct roster_node *m = &node.known[i];
        *m = (struct roster_node){ .id = i + 1, .client_port = (uint16_t)(7001 + i) };
        m->peer_port = (uint16_t)(17001 + i);
        strcpy(m->address, "127.0.0.1");
        clients[i].node = &node;
        clients[i].id = i + 1;
        clients[i].version = 2;
        clients[i].authenticated = true;
        clients[i].next = i < 2 ? &clients[i + 1] : NULL;
        (void)snprintf(clients[i].peer_name, sizeof clients[i].peer_name, "127.0.0.1:%u",
                       50000 + i);
        strcpy(clients[i].local_name, "127.0.0.1:7001");
    }
    node.clients = &clients[0];
    node.clients_last = &clients[2];
    node.client_count = 3;
    outlook = (struct outlook){ .role = ROLE_LEADER,
                                .transfer_to = NODE_NONE,
                                .leader = 0,
                                .term = 5,
                                .commit = 42,
                                .last = 43,
                                .first = 1,
                                .can_serve = true,
                                .membership.voters = 7,
                                .members = 3 };
    outlook.member[1] = (struct member_outlook){ .match = 40, .heard = 99 * QR_SECOND };
    changed[0] = 0;
    killed = NULL;
    closed_gently = NULL;
    stopped = false;
    wire_version = WIRE_VERSION;
    io_step = passed = 0;
    return 0;
}

/* Where the reply that starts at p ends. Fails when it is no reply. */
static const uint8_t *end_of_reply(const uint8_t *p, const uint8_t *end)
{
    const uint8_t *line = memchr(p, '\r', (size_t)(end - p));
    assert_non_null(line);
    assert_true(line + 1 < end && line[1] == '\n');
    const uint8_t *after = line + 2;
    long n = strtol((const char *)p + 1, NULL, 10);
    switch (*p) {
    case '$':
    case '=':
        if (n < 0) {
            return after;
        }
        assert_true(end - after >= n + 2);
        assert_memory_equal(after + n, "\r\n", 2);
        return after + n + 2;
    case '*':
    case '~':
    case '>':
    case '%':
        for (long i = 0; i < (*p == '%' ? 2 * n : n); i++) {
            after = end_of_reply(after, end);
        }
        return after;
    default:
        assert_non_null(strchr("+-:_#,", *p));
        return after;
    }
}

const char *run(const char *line)
{
    static char out[1 << 18];
    char words[512];
    struct span argv[32];
    uint32_t argc = 0;
    assert_true(strlen(line) < sizeof words);
    strcpy(words, line);
    for (char *word = strtok(words, " "); word != NULL; word = strtok(NULL, " ")) {
        size_t n = strlen(word);
        for (size_t i = 0; i + 1 < n; i++) {
            if (word[i] == '\\' && word[i + 1] == 's') {
                word[i] = ' ';
                memmove(word + i + 1, word + i + 2, n - i - 1);
                n--;
            }
        }
        argv[argc++] = span_of(word, n);
    }
    struct reply reply;
    reply_init(&reply, me->version);
    const struct command_spec *container;
    const struct command_spec *spec = command_find(argv, argc, &container);
    if (spec == NULL && container == NULL) {
        local_unknown_command(&reply, argv, argc);
    } else if (spec == NULL) {
        local_unknown_subcommand(&reply, argv, argc);
    } else if (!command_arity_fits(spec, argc)) {
        local_wrong_arity(&reply, argv, argc);
    } else {
        assert_int_equal(spec->place, PLACE_LOCAL);
        local_handler_of(spec)(me, argv, argc, &reply);
    }
    assert_true(reply.n < sizeof out);
    if (reply.n > 0) {
        memcpy(out, reply.p, reply.n);
    }
    out[reply.n] = 0;
    assert_true(reply.n == 0 || reply.is_error == (out[0] == '-'));
    assert_true(reply.n == 0 || end_of_reply(reply.p, reply.p + reply.n) == reply.p + reply.n);
    reply_free(&reply);
    return out;
}

bool alarm_ack(struct node *n, uint32_t reporter, uint32_t number)
{
    return alarms_ack(&n->alarms, reporter, number) != NULL;
}

uint32_t alarm_ack_all(struct node *n)
{
    const struct alarm *list[ALARMS_MAX];
    uint32_t count = alarms_list(&n->alarms, list);
    for (uint32_t i = 0; i < count; i++) {
        (void)alarms_ack(&n->alarms, list[i]->reporter, list[i]->number);
    }
    return count;
}

uint32_t identity_level_known(void)
{
    return 2;
}
