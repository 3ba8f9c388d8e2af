/* Clients whose commands are held until something is known, beside others that always have more to
 * do: the real clients.c and clients_bound.c, over sockets that do nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "node/clients_internal.h"
#include "node/node.h"
#include "node/replica.h"
#include "node/router.h"
#include "node/run.h"
#include "node/session.h"
#include "node/subscribe.h"

#define CLIENTS 250u
#define COMMAND_USEC 20 /* what one takes */
#define LOOK_TIME (50 * QR_MILLISECOND)

static qr_time now, turn_began;
static struct node node;
static struct clients clients;
static struct partition zero;
static struct client client[CLIENTS]; /* the first is busy, the others are held */
static uint32_t looks[CLIENTS], killed;
static bool known;

/* --- The rest of the node ------------------------------------------------------------------- */

qr_time io_now(struct io *io)
{
    (void)io;
    return now;
}

qr_time io_turn_began(const struct io *io)
{
    (void)io;
    return turn_began;
}

void io_plain(struct io *io)
{
    (void)io;
}

void io_stream_close(struct io_stream *stream)
{
    (void)stream;
    killed++;
}

void io_stream_dismiss(struct io_stream *stream)
{
    (void)stream;
    fail();
}

void io_stream_finish(struct io_stream *stream)
{
    (void)stream;
    fail();
}

void io_stream_read(struct io_stream *stream, bool on)
{
    (void)stream, (void)on;
}

size_t io_stream_memory(const struct io_stream *stream)
{
    (void)stream;
    return 0;
}

size_t io_stream_queued(const struct io_stream *stream)
{
    (void)stream;
    return 0;
}

void *io_stream_owner(const struct io_stream *stream)
{
    (void)stream;
    fail();
    return NULL;
}

bool client_run_command(struct client *of, const struct span *argv, uint32_t argc)
{
    (void)argv, (void)argc;
    uint32_t i = (uint32_t)(of - client);
    looks[i]++;
    now += COMMAND_USEC;
    return i == 0 || known;
}

bool client_is_known(const struct client *of)
{
    (void)of;
    return true;
}

size_t client_unsent(const struct client *of)
{
    (void)of;
    return 0;
}

bool client_write_output(struct client *of)
{
    (void)of;
    return false;
}

bool stream_finds_no_room(const struct stream *stream, size_t input)
{
    (void)stream, (void)input;
    return false;
}

bool stream_waits(const struct stream *stream)
{
    (void)stream;
    return false;
}

/* --- What nobody here gets to ---------------------------------------------------------------- */

void cargo_free(struct node *of, struct cargo *cargo)
{
    (void)of, (void)cargo;
    fail();
}

void client_apart_came(struct client *of, size_t n)
{
    (void)of, (void)n;
    fail();
}

uint8_t *client_apart_room(struct client *of, size_t *n)
{
    (void)of, (void)n;
    fail();
    return NULL;
}

void client_begin_apart(struct client *of)
{
    (void)of;
    fail();
}

void client_drop_output(struct client *of)
{
    (void)of;
    fail();
}

void client_protocol_error(struct client *of)
{
    (void)of;
    fail();
}

void clients_unlink(struct client *of)
{
    (void)of;
    fail();
}

void node_log(struct node *of, enum node_log_level level, const char *format, ...)
{
    (void)of, (void)level, (void)format;
    fail();
}

void pending_drop_cargo(struct pending *p)
{
    (void)p;
    fail();
}

void pending_drop_op(struct pending *p)
{
    (void)p;
    fail();
}

void replica_unpark(struct stream *stream)
{
    (void)stream;
    fail();
}

void router_recall(struct router *router, struct pending *p)
{
    (void)router, (void)p;
    fail();
}

void session_put(const struct pending *p, struct reply *reply)
{
    (void)p, (void)reply;
    fail();
}

void stream_detach(struct stream *stream)
{
    (void)stream;
    fail();
}

void stream_init(struct stream *stream, struct node *of, enum stream_kind kind)
{
    (void)stream, (void)of, (void)kind;
    fail();
}

void subscribe_forget(struct client *of)
{
    (void)of;
    fail();
}

/* --- The clients ----------------------------------------------------------------------------- */

static void gets(struct client *of, const char *bytes, size_t n)
{
    free(of->input);
    of->input = malloc(n);
    assert_non_null(of->input);
    memcpy(of->input, bytes, n);
    of->input_n = of->input_cap = n;
    of->input_at = 0;
}

static int begin(void **state)
{
    (void)state;
    now = 100 * QR_SECOND;
    memset(&node, 0, sizeof node);
    memset(&clients, 0, sizeof clients);
    memset(client, 0, sizeof client);
    memset(looks, 0, sizeof looks);
    known = false;
    killed = 0;
    node.clock = now;
    node.zero = &zero;
    node.clients_io = &clients;
    node.clients = &client[0];
    node.client_count = CLIENTS;
    node.config.maxmemory_clients = 1u << 30;
    clients.node = &node;
    for (uint32_t i = 0; i < CLIENTS; i++) {
        client[i].node = &node;
        client[i].last_active = now;
        client[i].next = i + 1 < CLIENTS ? &client[i + 1] : NULL;
        parser_init(&client[i].parser);
        gets(&client[i], "PING\r\n", 6);
        if (i > 0) {
            clients_line_up(&clients.held, &client[i]);
        }
    }
    return 0;
}

static int end(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < CLIENTS; i++) {
        free(client[i].input);
        parser_free(&client[i].parser);
    }
    free(clients.spare_input);
    return 0;
}

/* In each turn there is more for the busy one than a turn has time for. */
static void turn(void)
{
    static char many[6 * 4096];
    for (size_t i = 0; i < sizeof many; i += 6) {
        memcpy(many + i, "PING\r\n", 6);
    }
    gets(&client[0], many, sizeof many);
    if (client[0].line == NULL) {
        clients_line_up(&clients.ready, &client[0]);
    }
    turn_began = node.clock = ++now;
    clients_turn(&clients);
}

static uint32_t fewest_looks(void)
{
    uint32_t fewest = UINT32_MAX;
    for (uint32_t i = 1; i < CLIENTS; i++) {
        fewest = looks[i] < fewest ? looks[i] : fewest;
    }
    return fewest;
}

/* --- Tests ------------------------------------------------------------------------------------ */

static void test_those_that_are_held_are_looked_at_however_busy_others_are(void **state)
{
    (void)state;
    turn();
    assert_true(looks[1] == 1 && looks[0] > 0);
    turn();
    turn();
    assert_int_equal(fewest_looks(), 1);
    now += LOOK_TIME;
    turn();
    assert_int_equal(looks[1], 2);
    turn();
    turn();
    assert_int_equal(fewest_looks(), 2);
    known = true;
    node.contact.coverage.changes++;
    turn();
    turn();
    turn();
    assert_int_equal(clients.held.count, 0);
    assert_int_equal(fewest_looks(), 3);
}

/* More than one turn has time for. */
static void test_nobody_is_looked_at_twice_for_the_same_change(void **state)
{
    (void)state;
    node.contact.coverage.changes++;
    for (uint32_t i = 0; clients_deadline(&clients) == 0 && i < 10; i++) {
        turn_began = node.clock = ++now;
        clients_turn(&clients);
        assert_true(looks[1] <= 1);
    }
    assert_int_equal(clients_deadline(&clients), clients.held_look);
    assert_int_equal(looks[1], 1);
    assert_int_equal(fewest_looks(), 1);
    node.contact.coverage.changes++;
    assert_int_equal(clients_deadline(&clients), 0);
}

static void test_those_that_went_are_looked_at_in_nobodys_place(void **state)
{
    (void)state;
    turn(); /* some are left to be looked at */
    for (uint32_t i = 2; i < CLIENTS; i++) {
        clients_leave_line(&client[i]);
    }
    looks[1] = 0;
    turn();
    turn();
    assert_int_equal(looks[1], 1);
}

/* Its command has no answer yet, though nothing of it is pending. */
static void test_who_is_held_is_not_idle(void **state)
{
    (void)state;
    node.config.timeout_s = 1;
    now += 2 * QR_SECOND;
    while (clients_housekeeping(&clients, now), clients.visit != NULL) {
        ; /* a part of them each time */
    }
    assert_int_equal(killed, 1); /* the first waits for nothing */
}

#define CLIENT_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLIENT_TEST(test_those_that_are_held_are_looked_at_however_busy_others_are),
        CLIENT_TEST(test_nobody_is_looked_at_twice_for_the_same_change),
        CLIENT_TEST(test_those_that_went_are_looked_at_in_nobodys_place),
        CLIENT_TEST(test_who_is_held_is_not_idle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
