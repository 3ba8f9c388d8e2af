#include "control_world.h"

#include <string.h>

#include "base/wire.h"
#include "cluster/records.h"
#include "command/op.h"
#include "node/council_orders.h"
#include "node/orders.h"
#include "node/replica.h"
#include "node/run.h"
#include "node/standing.h"
#include "played_node.h"
#include "tests/unit/cluster/put_records.h"

struct node *node;
struct outlook outlook;
qr_slot applied;
qr_term applied_term;
uint32_t noted[2];
bool has_room, known, all_know, led, figures;
bool may_freeze, may_propose;
uint64_t version;
uint32_t proposed, planned, given_back, uncertain, uncovered, frozen, thawed, renewed, followed;
struct pending *begun[64];
uint32_t begun_count, planned_before;
enum qr_status given_back_with;
struct client_side clients[CLIENTS];

static struct partition zero;
uint8_t op[512];

/* --- The rest of the node -------------------------------------------------------------------- */

void node_fail(struct node *n, const char *reason)
{
    (void)reason;
    n->failed = true;
}

uint64_t engine_system_version(const struct engine *engine)
{
    (void)engine;
    return version;
}

void engine_system_each(const struct engine *engine,
                        void (*each)(void *context, struct span key, struct span value),
                        void *context)
{
    uint8_t key[MAP_KEY_BYTES_MAX], value[MAP_VALUE_BYTES_MAX];
    struct map_settings s = { .level = 2, .next_group = (uint32_t)version + 2 };
    (void)engine;
    size_t n = map_key_write((struct map_key){ MAP_RECORD_SETTINGS, 0 }, key);
    each(context, span_of(key, n), span_of(value, map_settings_write(&s, value)));
}

uint32_t identity_level_known(void)
{
    return 2;
}

qr_slot replica_applied(const struct replica *r)
{
    (void)r;
    return applied;
}

qr_term replica_applied_term(const struct replica *r)
{
    (void)r;
    return applied_term;
}

const struct outlook *replica_seen(const struct replica *r)
{
    (void)r;
    return &outlook;
}

void holding_note_groups(struct node *n, bool whole)
{
    (void)n;
    noted[whole]++;
}

bool replica_leads(const struct replica *r)
{
    (void)r;
    return outlook.role == ROLE_LEADER;
}

bool replica_has_room(const struct replica *r, size_t n)
{
    (void)r;
    return has_room && n <= sizeof op;
}

uint8_t *replica_write(struct replica *r, struct pending *p, size_t n)
{
    (void)r, (void)n;
    assert_ptr_equal(p->stream, &node->control->own.stream);
    proposed++;
    return op;
}

void orders_begin(struct node *n, struct pending *p)
{
    (void)n;
    begun[begun_count++] = p;
}

void orders_ok(struct node *n, struct pending *p)
{
    (void)n;
    reply_status(stream_reply(p), "OK");
    stream_answered(p, STATUS_OK);
}

void orders_uncertain(struct pending *p)
{
    uncertain++;
    orders_refuse(p, "UNCERTAIN");
}

void orders_undecided(struct pending *p)
{
    orders_refuse(p, "UNDECIDED");
}

void router_retry(struct router *router, struct pendings *refused, enum qr_status status)
{
    struct pending *p;
    (void)router;
    given_back_with = status;
    while ((p = pendings_pop(refused)) != NULL) {
        assert_true(p->slot == 0 && p->wanted == 0 && p->until == 0);
        given_back++;
        orders_refuse(p, "GIVEN BACK");
    }
}

struct reports *reports_new(void)
{
    return NULL;
}

void reports_free(struct reports *reports)
{
    (void)reports;
}

void reports_turn(struct node *n, qr_time now)
{
    (void)n, (void)now;
}

struct council *council_new(void)
{
    return NULL;
}

void council_free(struct council *council)
{
    (void)council;
}

void council_turn(struct node *n, qr_time now)
{
    (void)n, (void)now;
}

void council_orders_turn(struct node *n, qr_time now)
{
    (void)n, (void)now;
}

void standing_turn(struct node *n, qr_time now)
{
    (void)n, (void)now;
}

uint64_t reports_ask(struct node *n)
{
    (void)n;
    return 77;
}

bool reports_answered(const struct node *n, uint64_t nonce)
{
    (void)n;
    assert_int_equal(nonce, 77);
    return figures;
}

bool reports_know_version(const struct node *n, uint64_t of)
{
    (void)n;
    assert_in_range(of, 2, version);
    return known;
}

bool reports_all_know(const struct node *n, uint64_t of)
{
    assert_in_range(of, 2, version);
    return all_know && outlook.role == ROLE_LEADER && n == node;
}

bool contact_freeze(struct node *n, const struct freeze *f)
{
    (void)n;
    assert_int_equal(f->count, 1);
    assert_true(freeze_has(f, span_of("a:1", 3)));
    frozen += may_freeze;
    return may_freeze;
}

bool contact_guard(struct node *n)
{
    (void)n;
    assert_true(frozen > thawed);
    return may_propose;
}

void contact_thaw(struct node *n)
{
    (void)n;
    thawed++;
}

void contact_renew(struct node *n)
{
    (void)n;
    renewed++;
}

void contact_uncover(struct node *n)
{
    (void)n;
    uncovered++;
}

bool reports_keyspace_is_led(const struct node *n, uint32_t keyspace)
{
    (void)n;
    assert_int_equal(keyspace, 16);
    return led;
}

void planner_turn(struct node *n, qr_time now)
{
    planned++;
    struct planner *pl = &n->control->planner;
    if (now >= pl->next && !n->control->flight.busy) {
        pl->next = now + QR_SECOND / 10;
        planned_before = begun_count;
    }
}

void control_follow_level(struct node *n)
{
    followed++;
    n->identity.level = control_level(n);
}

/* --- A world --------------------------------------------------------------------------------- */

static struct reply *begin_reply(struct stream *stream, struct pending *p)
{
    (void)p;
    return &((struct client_side *)(void *)stream)->out;
}

static void end_reply(struct stream *stream, struct pending *p, enum qr_status status)
{
    (void)p, (void)status;
    ((struct client_side *)(void *)stream)->answers++;
}

int begin(void **state)
{
    (void)state;
    node = played_node();
    node->clock = QR_SECOND;
    node->config.request_timeout_ms = 5000;
    node->map = map_new();
    memset(&zero, 0, sizeof zero);
    zero.node = node;
    node->zero = &zero;
    node->control = control_new(node);
    for (int i = 0; i < CLIENTS; i++) {
        stream_init(&clients[i].stream, node, STREAM_CLIENT);
        clients[i].stream.begin_reply = begin_reply;
        clients[i].stream.end_reply = end_reply;
        reply_init(&clients[i].out, 2);
        clients[i].answers = 0;
    }
    applied = 0;
    memset(noted, 0, sizeof noted);
    outlook = (struct outlook){
        .role = ROLE_LEADER, .can_serve = true, .term = 4, .transfer_to = NODE_NONE
    };
    applied_term = 4;
    has_room = true;
    known = all_know = led = figures = false;
    may_freeze = may_propose = true;
    version = 1;
    proposed = planned = given_back = uncertain = uncovered = begun_count = 0;
    frozen = thawed = renewed = followed = 0;
    return 0;
}

int end(void **state)
{
    (void)state;
    for (int i = 0; i < CLIENTS; i++) {
        stream_detach(&clients[i].stream);
        reply_free(&clients[i].out);
    }
    stream_detach(&node->control->own.stream);
    control_free(node->control);
    map_free(node->map);
    played_node_free(node);
    return 0;
}

struct pending *order(int client)
{
    return stream_push(&clients[client].stream, NULL, 2, node->clock);
}

void turn(void)
{
    node->wake = QR_NEVER;
    control_turn(node, node->clock);
}

/* An order that may compose its change does. */
void propose(struct pending *p, uint32_t keyspace)
{
    struct edit edit = { 0 };
    edit_settings(&edit, map_settings(node->map));
    control_propose(node, p, &edit, keyspace);
}

/* What was proposed has ended. */
void decided(enum qr_status status, const char *error)
{
    struct pending *p = node->control->own.stream.first;
    assert_non_null(p);
    if (status == STATUS_OK && error == NULL) {
        version++;
        reply_status(stream_reply(p), "OK");
    } else if (error != NULL) {
        version++; /* somebody else's */
        reply_error(stream_reply(p), error);
    } else {
        (void)stream_reply(p);
    }
    stream_answered(p, status);
}

uint64_t composed_on(void)
{
    struct span version_first;
    uint8_t db;
    assert_true(op_first_argument(span_of(op, sizeof op), &version_first, &db));
    struct wire_reader r = wire_reader(version_first);
    return wire_get_u64(&r);
}

void change(struct pending *p)
{
    propose(p, 0);
    decided(STATUS_OK, NULL);
    turn();
}

const char *said(int client)
{
    static char text[256];
    struct reply *out = &clients[client].out;
    memcpy(text, out->p, out->n);
    text[out->n] = 0;
    return text;
}

static void learned(void)
{
    version++;
    node->engine_config.system_changed(node, (struct span){ 0 }, (struct span){ 0 });
}

void learn_keyspace(const struct map_keyspace *k)
{
    put_keyspace(node->map, k);
    learned();
}

void learn_prefix(const char *prefix)
{
    struct map_keyspace k = a_keyspace(16, "cart", prefix, 2, 1);
    learn_keyspace(&k);
}

void learn_no_keyspace(void)
{
    assert_int_equal(put_raw(node->map, MAP_RECORD_KEYSPACE, 16, NULL, 0), MAP_OK);
    learned();
}

void learn_zone(node_index i, const char *zone)
{
    struct map_node record = { .id = i + 1u };
    memcpy(record.zone, zone, strlen(zone));
    put_node(node->map, i, &record);
    learned();
}
