/* Changes of the control state (control.h: C1, C2). Streams and the map are real; the log, the
 * engine's records, reports and the orders themselves are played. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cluster/records.h"
#include "node/control_internal.h"
#include "node/orders.h"
#include "node/replica.h"
#include "node/run.h"
#include "played_node.h"
#include "tests/unit/cluster/put_records.h"

#define CLIENTS 8

static struct node *node;
static struct partition zero;
static struct outlook outlook;
static bool has_room, known, led, figures, routed;
static uint64_t version; /* of the state in the engine */
static uint8_t op[512];
static uint32_t proposed, planned, given_back, uncertain, uncovered;
static struct pending *begun[64];
static uint32_t begun_count;
static enum qr_status given_back_with;

static struct client_side {
    struct stream stream;
    struct reply out;
    uint32_t answers;
} clients[CLIENTS];

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

const struct outlook *replica_seen(const struct replica *r)
{
    (void)r;
    return &outlook;
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

void orders_refuse(struct pending *p, const char *text)
{
    reply_error(stream_reply(p), text);
    stream_answered(p, STATUS_OK);
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

void router_retry(struct router *router, struct pendings *refused, enum qr_status status)
{
    struct pending *p;
    (void)router;
    given_back_with = status;
    while ((p = pendings_pop(refused)) != NULL) {
        assert_true(p->slot == 0 && p->wanted == 0);
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

bool reports_know_routes(const struct node *n)
{
    (void)n;
    return routed;
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
    (void)n, (void)now;
    planned++;
}

void control_follow_level(struct node *n)
{
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

static int begin(void **state)
{
    (void)state;
    node = played_node();
    node->clock = QR_SECOND;
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
    outlook = (struct outlook){ .role = ROLE_LEADER, .can_serve = true, .transfer_to = NODE_NONE };
    has_room = true;
    known = led = figures = false;
    routed = true;
    version = 1;
    proposed = planned = given_back = uncertain = uncovered = begun_count = 0;
    return 0;
}

static int end(void **state)
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

static struct pending *order(int client)
{
    return stream_push(&clients[client].stream, NULL, 2, node->clock);
}

static void turn(void)
{
    node->wake = QR_NEVER;
    control_turn(node, node->clock);
}

/* An order that may compose its change does. */
static void propose(struct pending *p, uint32_t keyspace)
{
    struct edit edit = { 0 };
    edit_settings(&edit, map_settings(node->map));
    control_propose(node, p, &edit, keyspace);
}

/* What was proposed has ended. */
static void decided(enum qr_status status, const char *error)
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

static void change(struct pending *p)
{
    propose(p, 0);
    decided(STATUS_OK, NULL);
    turn();
}

static const char *said(int client)
{
    static char text[256];
    struct reply *out = &clients[client].out;
    memcpy(text, out->p, out->n);
    text[out->n] = 0;
    return text;
}

static void the_map_is_built_anew_when_the_state_came_from_elsewhere(void **state)
{
    (void)state;
    turn();
    assert_int_equal(map_settings(node->map)->next_group, 3);
    assert_int_equal(control_version(node), 1);
    uint64_t changes = map_changes(node->map);
    uint32_t quotas = node->quotas;
    turn();
    assert_true(map_changes(node->map) == changes && node->quotas == quotas);
    version = 40; /* a checkpoint */
    turn();
    assert_int_equal(map_settings(node->map)->next_group, 42);
    assert_int_equal(control_version(node), 40);
    assert_int_not_equal(node->quotas, quotas);
}

static void a_level_that_is_not_known_ends_the_node(void **state)
{
    (void)state;
    static const uint8_t key[] = { 'z' }, newer[] = { 9 };
    control_watch(node);
    node->engine_config.system_changed(node->engine_config.system_context, span_of(key, 1),
                                       span_of(newer, 1));
    assert_true(node->failed);
}

/* --- C1 -------------------------------------------------------------------------------------- */

static void one_change_at_a_time_and_the_others_in_order(void **state)
{
    (void)state;
    turn();
    struct pending *p[3] = { order(0), order(1), order(2) };
    assert_true(control_begins(node, p[0]));
    propose(p[0], 0);
    assert_false(control_begins(node, p[1]));
    assert_false(control_begins(node, p[2]));
    struct edit edit = { 0 };
    edit_settings(&edit, map_settings(node->map));
    assert_false(control_propose_own(node, &edit));
    turn();
    assert_int_equal(begun_count, 0);
    assert_int_equal(proposed, 1);
    assert_int_equal(control_waiting(node->control), 2);
    assert_true(node->wake <= node->clock + 5 * QR_MILLISECOND);
    decided(STATUS_OK, NULL);
    turn();
    assert_int_equal(begun_count, 2); /* neither composed, so both were judged */
    assert_true(begun[0] == p[1] && begun[1] == p[2]);
    assert_true(control_begins(node, p[1]));
    propose(p[1], 0);
    assert_false(control_begins(node, p[2]));
    decided(STATUS_OK, NULL);
    known = true;
    turn();
    assert_string_equal(said(1), "+OK\r\n");
}

static void who_may_not_compose_waits(void **state)
{
    (void)state;
    turn();
    struct pending *p = order(0);
    outlook.can_serve = false;
    assert_false(control_begins(node, p));
    turn();
    assert_int_equal(begun_count, 0);
    outlook.can_serve = true;
    outlook.transfer_to = 2; /* it hands over */
    turn();
    assert_int_equal(begun_count, 0);
    outlook.transfer_to = NODE_NONE;
    turn();
    assert_int_equal(begun_count, 1);
    has_room = false; /* it composes, and the log has no room: it is judged again */
    assert_true(control_begins(node, p));
    propose(p, 0);
    assert_int_equal(proposed, 0);
    has_room = true;
    turn();
    assert_int_equal(begun_count, 2);
}

static void those_in_line_are_bounded_R4(void **state)
{
    (void)state;
    turn();
    outlook.can_serve = false;
    for (uint32_t i = 0; i < CONTROL_ORDERS_MAX; i++) {
        assert_false(control_begins(node, order(0)));
    }
    assert_int_equal(clients[0].answers, 0);
    assert_int_equal(clients[1].answers, 0);
    assert_false(control_begins(node, order(1)));
    assert_int_equal(clients[1].answers, 1);
    assert_int_equal(control_waiting(node->control), CONTROL_ORDERS_MAX);
    outlook.role = ROLE_FOLLOWER;
    turn();
}

/* --- C2 -------------------------------------------------------------------------------------- */

static void ok_when_all_know_it_and_all_partitions_are_led(void **state)
{
    (void)state;
    turn();
    propose(order(0), 16);
    turn();
    decided(STATUS_OK, NULL);
    led = true;
    turn();
    assert_int_equal(clients[0].answers, 0);
    led = false;
    known = true;
    turn();
    assert_int_equal(clients[0].answers, 0);
    led = true;
    turn();
    assert_string_equal(said(0), "+OK\r\n");
    known = false; /* and in any case after two seconds: it is decided */
    change(order(1));
    node->clock += 2 * QR_SECOND - 1;
    turn();
    assert_int_equal(clients[1].answers, 0);
    node->clock += 1;
    turn();
    assert_string_equal(said(1), "+OK\r\n");
    change(order(2));          /* or when nobody here will hear of the others any more */
    node->control->routes = 0; /* C3 */
    outlook.role = ROLE_FOLLOWER;
    turn();
    assert_string_equal(said(2), "+OK\r\n");
}

static void learn_prefix(const char *prefix)
{
    struct map_keyspace k = a_keyspace(16, "cart", prefix, 2, 1);
    put_keyspace(node->map, &k);
    version++;
    node->engine_config.system_changed(node, (struct span){ 0 }, (struct span){ 0 });
}

static void the_version_of_routes_is_that_of_the_last_change_of_a_prefix(void **state)
{
    (void)state;
    control_watch(node);
    turn();
    assert_int_equal(control_routes_version(node), 1); /* as far as the state tells */
    learn_prefix("a:");
    assert_int_equal(control_routes_version(node), 2);
    learn_prefix("a:"); /* the same: version 3 */
    assert_int_equal(control_routes_version(node), 2);
    learn_prefix("");
    assert_int_equal(control_routes_version(node), 4);
    version = 3; /* another engine, which is behind */
    turn();
    assert_int_equal(uncovered, 1);
    assert_int_equal(control_routes_version(node), 3);
}

static void no_ok_while_a_node_may_go_by_an_old_prefix_C3(void **state)
{
    (void)state;
    turn();
    known = true;
    routed = false;
    change(order(0));
    assert_int_equal(clients[0].answers, 0);
    routed = true;
    turn();
    assert_string_equal(said(0), "+OK\r\n");
    routed = false;
    change(order(1));
    outlook.role = ROLE_FOLLOWER;
    turn();
    assert_int_equal(clients[1].answers, 0);
    node->clock += ROUTES_TIME; /* no coverage lasts longer */
    turn();
    assert_string_equal(said(1), "+OK\r\n");
}

static void what_came_in_between_is_judged_anew_a_few_times(void **state)
{
    (void)state;
    turn();
    struct pending *p = order(0);
    for (uint32_t i = 1; i < ATTEMPTS; i++) {
        propose(p, 0);
        decided(STATUS_OK, "ERR another version");
        turn();
        assert_int_equal(begun_count, i);
        assert_int_equal(clients[0].answers, 0);
    }
    propose(p, 0);
    decided(STATUS_OK, "ERR another version");
    turn();
    assert_int_equal(begun_count, ATTEMPTS - 1);
    assert_non_null(strstr(said(0), "nothing was changed"));
}

static void leadership_that_ends_is_told_as_what_it_may_have_left(void **state)
{
    (void)state;
    turn();
    propose(order(0), 0);
    assert_false(control_begins(node, order(1)));
    control_await_reports(node, order(2), 0);
    outlook.role = ROLE_FOLLOWER;
    decided(STATUS_UNCERTAIN, NULL);
    turn();
    assert_int_equal(uncertain, 1);
    assert_int_equal(given_back, 2); /* those that were never proposed */
    assert_int_equal(given_back_with, STATUS_NOT_LEADER);
    assert_int_equal(planned, 1);
    assert_int_equal(control_waiting(node->control), 0);
    outlook.role = ROLE_LEADER;
    propose(order(3), 0);
    decided(STATUS_NOT_LEADER, NULL); /* it is known not to have happened */
    turn();
    assert_int_equal(given_back, 3);
    assert_int_equal(uncertain, 1);
}

static void who_waits_for_figures_is_judged_when_they_came_or_did_not(void **state)
{
    (void)state;
    turn();
    control_await_reports(node, order(0), 16);
    turn();
    assert_int_equal(begun_count, 0);
    figures = true;
    turn();
    assert_int_equal(begun_count, 0);
    led = true; /* whoever leads has told its figures */
    turn();
    assert_int_equal(begun_count, 1);
    figures = false;
    control_await_reports(node, order(1), 16);
    node->clock += QR_SECOND - 1;
    turn();
    assert_int_equal(begun_count, 1);
    node->clock += 1;
    turn();
    assert_int_equal(begun_count, 2);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(the_map_is_built_anew_when_the_state_came_from_elsewhere),
        CASE(a_level_that_is_not_known_ends_the_node),
        CASE(one_change_at_a_time_and_the_others_in_order),
        CASE(who_may_not_compose_waits),
        CASE(those_in_line_are_bounded_R4),
        CASE(ok_when_all_know_it_and_all_partitions_are_led),
        CASE(the_version_of_routes_is_that_of_the_last_change_of_a_prefix),
        CASE(no_ok_while_a_node_may_go_by_an_old_prefix_C3),
        CASE(what_came_in_between_is_judged_anew_a_few_times),
        CASE(leadership_that_ends_is_told_as_what_it_may_have_left),
        CASE(who_waits_for_figures_is_judged_when_they_came_or_did_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
