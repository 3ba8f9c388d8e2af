/* See order_keyspace_world.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "order_keyspace_world.h"

#include "node/control_internal.h"
#include "node/local_internal.h"
#include "node/orders.h"
#include "node/replica.h"
#include "node/run.h"
#include "tests/unit/cluster/put_records.h"

#define WORDS_MAX 24

struct node node;
static struct partition zero;
static struct reply answer;
struct place_nodes nodes;
uint16_t not_ready, placed;
struct keyspace_use use;
struct partition_report report; /* of group 2, by node 0 */
struct roster_node member[MEMBERS_MAX];
bool leads, answered, ready, figures;
uint32_t changes, asked, waited_for;

/* --- The rest of the node -------------------------------------------------------------------- */

bool control_begins(struct node *n, struct pending *p)
{
    (void)n, (void)p;
    return ready;
}

void control_await_reports(struct node *n, struct pending *p, uint32_t keyspace)
{
    (void)n;
    asked++;
    waited_for = keyspace;
    p->slot = 77;
}

uint32_t control_level(const struct node *n)
{
    return map_settings(n->map)->level;
}

/* Decided at once, and known to this node. */
void control_propose(struct node *n, struct pending *p, struct edit *edit, uint32_t keyspace)
{
    size_t at = 0;
    (void)p;
    for (uint32_t i = 0; i + 1 < edit->count; i += 2) {
        struct span key = span_of(edit->bytes + at, edit->length[i]);
        struct span value = span_of(edit->bytes + at + key.n, edit->length[i + 1]);
        assert_int_equal(map_put(n->map, key, value), MAP_OK);
        at += key.n + value.n;
    }
    edit_free(edit);
    changes++;
    waited_for = keyspace;
}

void orders_leaderless(struct pending *p)
{
    orders_refuse(p, "CLUSTERDOWN");
}

struct reply *stream_reply(struct pending *p)
{
    (void)p;
    reply_reset(&answer);
    return &answer;
}

void stream_answered(struct pending *p, enum qr_status status)
{
    (void)p;
    assert_int_equal(status, STATUS_OK);
    answered = true;
}

void reports_use(const struct node *n, uint32_t keyspace, struct keyspace_use *out)
{
    (void)n, (void)keyspace;
    *out = use;
}

bool reports_answered(const struct node *n, uint64_t nonce)
{
    (void)n;
    assert_int_equal(nonce, 77);
    return figures;
}

const struct partition_report *reports_of_group(const struct node *n, uint32_t group,
                                                node_index *leader)
{
    (void)n;
    *leader = group == report.group ? 0 : NODE_NONE;
    return group == report.group ? &report : NULL;
}

struct place_nodes placing_nodes(const struct node *n)
{
    (void)n;
    return nodes;
}

struct place_nodes placing_ready(const struct node *n)
{
    struct place_nodes them = placing_nodes(n);
    them.live &= (uint16_t)~not_ready;
    return them;
}

bool placing_can_found(const struct node *n, uint32_t replicas)
{
    struct place_nodes them = placing_ready(n);
    return place_check_replicas(n->map, &them, replicas / 2 + 1) == PLACE_OK;
}

bool placing_found(const struct node *n, const struct map_keyspace *k, struct edit *edit,
                   struct map_partition *refused)
{
    bool sound = true;
    for (uint32_t i = 0; i < k->partitions && sound; i++) {
        uint16_t founders = placed != 0 ? placed : nodes.members;
        struct map_partition p = map_found(k, i, k->first_group + i, founders, NODE_NONE);
        edit_partition(edit, &p);
        *refused = p;
        if (strategy_has_views(k)) {
            struct succession first = { .term = 0 };
            sound = strategy_first(n->map, k, &p, &first);
            edit_succession(edit, p.group, &first);
        }
    }
    return sound;
}

bool replica_leads(const struct replica *r)
{
    (void)r;
    return leads;
}

const struct roster_node *local_member(const struct node *n, uint32_t index)
{
    (void)n;
    return &member[index];
}

qr_wall io_wall(struct io *io)
{
    (void)io;
    return WALL;
}

void node_log(struct node *n, enum node_log_level level, const char *format, ...)
{
    (void)n, (void)level, (void)format;
}

/* --- A world --------------------------------------------------------------------------------- */

int order_begin(void **state)
{
    (void)state;
    memset(&node, 0, sizeof node);
    node.map = map_new();
    node.zero = &zero;
    put_settings(node.map, &(struct map_settings){ .level = 3, .next_group = GROUP_FIRST });
    nodes = (struct place_nodes){ .members = 7, .live = 7 };
    not_ready = placed = 0;
    use = (struct keyspace_use){ .worst_node = NODE_NONE };
    report = (struct partition_report){ 0 };
    for (uint32_t i = 0; i < MEMBERS_MAX; i++) {
        member[i].id = i + 101;
    }
    leads = ready = figures = true;
    changes = asked = waited_for = 0;
    reply_init(&answer, 2);
    return 0;
}

int order_end(void **state)
{
    (void)state;
    map_free(node.map);
    reply_free(&answer);
    return 0;
}

const char *give(handler *order, struct pending *p, const char *line)
{
    static char text[2048];
    char copy[512];
    struct span argv[WORDS_MAX];
    uint32_t argc = 0;
    strcpy(copy, line);
    for (char *w = strtok(copy, " "); w != NULL; w = strtok(NULL, " ")) {
        argv[argc++] = span_of(w, strcmp(w, "_") == 0 ? 0 : strlen(w));
        for (char *at = strchr(w, '~'); at != NULL; at = strchr(at, '~')) {
            *at = ' ';
        }
    }
    answered = false;
    order(&node, p, argv, argc);
    text[0] = 0;
    if (answered) {
        memcpy(text, answer.p, answer.n);
        text[answer.n] = 0;
    }
    return text;
}

void accept(handler *order, const char *line)
{
    struct pending p = { .node = &node };
    uint32_t before = changes;
    const char *text = give(order, &p, line);
    if (asked > 0) {
        assert_int_equal(changes, before);
        text = give(order, &p, line); /* by figures */
    }
    asked = 0;
    if (text[0] != 0 || changes != before + 1) {
        fail_msg("%s: %s", line, text);
    }
}

void refuse(handler *order, const char *line, const char *why)
{
    struct pending p = { .node = &node };
    uint32_t before = changes;
    const char *text = give(order, &p, line);
    if (asked > 0) {
        text = give(order, &p, line);
    }
    asked = 0;
    if (strncmp(text, why, strlen(why)) != 0 || changes != before) {
        fail_msg("%s: %s", line, text);
    }
    assert_non_null(strstr(text, "nothing was changed"));
}

const struct map_keyspace *of(const char *name)
{
    return map_keyspace_named(node.map, span_of(name, strlen(name)));
}
