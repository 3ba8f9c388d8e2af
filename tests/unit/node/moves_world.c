#include "moves_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "node/contact.h"
#include "node/local_internal.h"
#include "node/order_member.h"
#include "node/orders.h"
#include "node/peers.h"
#include "node/replica.h"
#include "node/run.h"
#include "played_node.h"
#include "tests/unit/cluster/put_records.h"

struct node *node;
struct roster applied_roster, latest_roster;
qr_time lease_gone[MEMBERS_MAX];
uint16_t old_nodes;
struct partition_report report[FIRST + PARTITIONS];
uint32_t changes, rule_changes, leader_of_all;

static struct partition zero;
static struct control control;
static struct outlook outlook;
static struct client_side {
    struct stream stream;
    struct reply out;
} client;
static char said[8192];

/* --- The rest of the node -------------------------------------------------------------------- */

const struct outlook *replica_seen(const struct replica *r)
{
    (void)r;
    return &outlook;
}

node_index replica_me(const struct replica *r)
{
    (void)r;
    return 0;
}

const struct roster *replica_applied_roster(const struct replica *r, qr_slot *slot)
{
    (void)r;
    *slot = 1;
    return &applied_roster;
}

const struct roster *replica_roster(const struct replica *r, qr_slot *slot)
{
    (void)r;
    *slot = 1;
    return &latest_roster;
}

qr_time lease_gone_for(const struct node *n, node_index index)
{
    (void)n;
    return lease_gone[index];
}

bool peers_connected(const struct peers *peers, node_index peer)
{
    (void)peers;
    return lease_gone[peer] == 0;
}

uint16_t peers_wire_version(const struct peers *peers, node_index peer)
{
    (void)peers;
    return (uint16_t)(WIRE_VERSION_GROUPS - ((old_nodes >> peer & 1) != 0));
}

const struct partition_report *reports_of_group(const struct node *n, uint32_t group,
                                                node_index *leader)
{
    (void)n;
    if (report[group].group == 0) {
        return NULL;
    }
    *leader = (node_index)leader_of_all;
    return &report[group];
}

bool local_id(struct span argument, uint64_t *out)
{
    char text[16];
    (void)snprintf(text, sizeof text, "%.*s", (int)argument.n, (const char *)argument.p);
    *out = strtoull(text, NULL, 10);
    return *out > 0;
}

const struct roster_node *local_member(const struct node *n, uint32_t index)
{
    (void)n;
    return &applied_roster.node[index];
}

void node_log(struct node *n, enum node_log_level level, const char *format, ...)
{
    (void)n, (void)level, (void)format;
}

uint32_t control_level(const struct node *n)
{
    return map_settings(n->map)->level;
}

bool control_begins(struct node *n, struct pending *p)
{
    (void)n, (void)p;
    return true;
}

bool control_propose_own(struct node *n, struct edit *edit)
{
    size_t at = 0;
    for (uint32_t i = 0; i < edit->count; i += 2) {
        struct span key = span_of(edit->bytes + at, edit->length[i]);
        struct span value = span_of(edit->bytes + at + key.n, edit->length[i + 1]);
        at += key.n + value.n;
        assert_int_equal(map_put(n->map, key, value), MAP_OK);
    }
    changes++;
    return true;
}

void control_propose(struct node *n, struct pending *p, struct edit *edit, uint32_t keyspace)
{
    rule_changes += keyspace == CONTROL_RULES;
    (void)control_propose_own(n, edit);
    edit_free(edit);
    orders_ok(n, p);
}

/* --- Orders ---------------------------------------------------------------------------------- */

static struct reply *begin_reply(struct stream *stream, struct pending *p)
{
    (void)stream, (void)p;
    reply_reset(&client.out);
    return &client.out;
}

static void end_reply(struct stream *stream, struct pending *p, enum qr_status status)
{
    (void)stream, (void)p;
    assert_int_equal(status, STATUS_OK);
    assert_true(client.out.n < sizeof said);
    memcpy(said, client.out.p, client.out.n);
    said[client.out.n] = 0;
}

const char *order(const char *line)
{
    static char words[256];
    struct span argv[8];
    uint32_t argc = 0;
    const struct command_spec *container;
    (void)snprintf(words, sizeof words, "%s", line);
    for (char *word = strtok(words, " "); word != NULL; word = strtok(NULL, " ")) {
        argv[argc++] = span_of(word, strlen(word));
    }
    const struct command_spec *spec = command_find(argv, argc, &container);
    assert_non_null(spec);
    struct pending *p = stream_push(&client.stream, spec, 2, node->clock);
    said[0] = 0;
    if (strcmp(spec->name, "rebalance") == 0) {
        order_cmd_REBALANCE(node, p, argv + 1, argc - 1);
    } else if (strcmp(spec->name, "member|drain") == 0) {
        order_cmd_MEMBER_DRAIN(node, p, argv + 2, argc - 2);
    } else if (word_is(argv[1], "SET")) {
        order_zone(node, p, argv[2], argc > 4 ? argv[4] : span_of("", 0));
    } else if (!order_holds_replicas(node, p, (node_index)(argv[2].p[0] - '1'))) {
        orders_ok(node, p); /* MEMBER REMOVE goes on */
    }
    assert_int_not_equal(said[0], 0);
    return said;
}

const char *field(const char *name, uint32_t nth)
{
    static char value[256];
    char header[64];
    const char *at = said;
    int n = snprintf(header, sizeof header, "$%zu\r\n%s\r\n", strlen(name), name);
    for (uint32_t i = 0; i <= nth; i++) {
        at = strstr(at, header);
        if (at == NULL) {
            return "none";
        }
        at += n;
    }
    at = *at == '$' ? strstr(at, "\r\n") + 2 : at + 1;
    (void)snprintf(value, sizeof value, "%.*s", (int)strcspn(at, "\r"), at);
    return value;
}

/* --- A cluster ------------------------------------------------------------------------------- */

const struct map_partition *partition(uint32_t group)
{
    return map_partition(node->map, group);
}

void move(uint32_t group, uint16_t wish)
{
    struct map_partition p = *partition(group);
    map_wish(&p, wish, p.prefers);
    put_partition(node->map, &p);
}

void reach(uint32_t group)
{
    report[group].epoch = partition(group)->epoch;
    report[group].voters = partition(group)->wish;
}

void drains(node_index i, bool draining)
{
    struct map_node record = *map_node(node->map, i);
    record.id = i + 1u;
    record.draining = draining;
    put_node(node->map, i, &record);
}

int begin(void **state)
{
    (void)state;
    node = played_node();
    node->clock = 100 * QR_SECOND;
    node->map = map_new();
    memset(&zero, 0, sizeof zero);
    memset(&control, 0, sizeof control);
    memset(report, 0, sizeof report);
    memset(lease_gone, 0, sizeof lease_gone);
    node->zero = &zero;
    node->control = &control;
    node->config.replace_after_s = 600;
    outlook = (struct outlook){ .role = ROLE_LEADER, .can_serve = true, .members = MEMBERS_MAX };
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        outlook.member[i].heard = 1;
    }
    applied_roster = (struct roster){ .members.voters = 15 };
    for (node_index i = 0; i < 4; i++) {
        applied_roster.node[i].id = i + 1u;
    }
    latest_roster = applied_roster;
    old_nodes = 0;
    struct map_settings s = { .level = 2, .next_group = FIRST + PARTITIONS };
    put_settings(node->map, &s);
    struct map_keyspace k = a_keyspace(16, "cart", "", FIRST, PARTITIONS);
    put_all(node->map, &k, 7, 0);
    for (uint32_t group = FIRST; group < FIRST + PARTITIONS; group++) {
        report[group] = (struct partition_report){
            .group = group, .epoch = 1, .voters = 7, .last = 1000, .bytes = 1000000
        };
    }
    stream_init(&client.stream, node, STREAM_CLIENT);
    client.stream.begin_reply = begin_reply;
    client.stream.end_reply = end_reply;
    reply_init(&client.out, 2);
    changes = rule_changes = leader_of_all = 0;
    return 0;
}

int end(void **state)
{
    (void)state;
    stream_detach(&client.stream);
    reply_free(&client.out);
    map_free(node->map);
    played_node_free(node);
    return 0;
}
