/* Who is taken in (join_accept.c). Who asks has to know the level of the cluster (R9): it would end
 * as soon as it had the control state, and the quorum would miss it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "node/change.h"
#include "node/join.h"
#include "node/link.h"
#include "node/replica.h"
#include "node/run.h"

static struct node node;
static struct partition zero;
static struct peers peers = { .node = &node };
static struct roster roster;
static struct join_answer answer; /* as sent last */
static uint32_t begun;            /* changes of the members */

static qr_time now = QR_SECOND, lost_at;
static uint16_t alive;

qr_time io_now(struct io *io)
{
    (void)io;
    return now;
}

uint16_t contact_alive(const struct node *of)
{
    assert_ptr_equal(of, &node);
    return alive;
}

void io_stream_peer_name(const struct io_stream *stream, char *out, size_t n)
{
    (void)stream;
    (void)snprintf(out, n, "127.0.0.1:7");
}

void node_log(struct node *n, enum node_log_level level, const char *format, ...)
{
    (void)n, (void)level, (void)format;
}

void replica_outlook(const struct replica *r, struct outlook *out)
{
    (void)r;
    *out = (struct outlook){ .role = ROLE_LEADER };
}

bool replica_leads(const struct replica *r)
{
    (void)r;
    return true;
}

node_index replica_leader(const struct replica *r)
{
    (void)r;
    return 0;
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
    return &roster;
}

bool replica_has_removed(const struct replica *r, const uint8_t uuid[16])
{
    (void)r, (void)uuid;
    return false;
}

bool peers_connected(const struct peers *p, node_index peer)
{
    (void)p, (void)peer;
    return true;
}

qr_time peers_lost_at(const struct peers *p, node_index peer)
{
    (void)p, (void)peer;
    return lost_at;
}

const char *change_begin(struct node *n, struct change *out)
{
    (void)n;
    *out = (struct change){ .now = roster, .added = NODE_NONE };
    return NULL;
}

node_index change_add(struct change *change, const struct roster_node *fresh, bool observer)
{
    (void)observer;
    change->added = 1;
    change->wanted.learners = 2;
    assert_int_equal(fresh->id, 2);
    return 1;
}

void change_drop(struct change *change, node_index index)
{
    (void)change, (void)index;
    fail();
}

void change_node(struct change *change, node_index index, const struct roster_node *fresh)
{
    (void)change, (void)index, (void)fresh;
    fail();
}

enum qr_status change_order(struct node *n, const struct change *change, bool forced,
                            struct pending *p)
{
    (void)n, (void)change;
    assert_true(!forced && p == NULL);
    begun++;
    return STATUS_OK;
}

void link_send(struct link *link, uint8_t kind, struct span head, struct span tail,
               bool tail_is_records)
{
    (void)link;
    assert_int_equal(kind, FRAME_JOINED);
    assert_false(tail_is_records);
    assert_true(join_answer_read(head, tail, &answer));
}

void link_flush(struct link *link)
{
    (void)link;
}

static void asks_for(uint32_t id, uint16_t level)
{
    uint8_t bytes[JOIN_BYTES_MAX];
    struct link link = { .peers = &peers };
    struct join_request request = { .id = id,
                                    .uuid = { 9 },
                                    .client_port = 7,
                                    .peer_port = 8,
                                    .address = "127.0.0.1",
                                    .level = level };
    size_t n = join_request_write(&request, bytes);
    assert_true(join_asked(&link, span_of(bytes, n)));
}

static void asks(uint16_t level)
{
    asks_for(0, level);
}

static void who_knows_the_level_is_taken_in(void **state)
{
    (void)state;
    static const struct {
        uint16_t active, knows;
        bool taken;
    } rows[] = {
        { 2, 2, true },  /* the one that is active */
        { 2, 3, true },  /* and more */
        { 2, 1, false }, /* less */
        { 3, 2, false }, /* less */
        { 1, 0, true },  /* of a version that had no word for it: it knows the first */
        { 2, 0, false }, /* and no other */
    };
    roster.node[0].id = 1;
    roster.members.voters = 1;
    node.zero = &zero;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        begun = 0;
        node.identity.level = rows[i].active;
        asks(rows[i].knows);
        assert_int_equal(answer.result, rows[i].taken ? JOIN_LATER : JOIN_REFUSED);
        assert_int_equal(begun, rows[i].taken);
        assert_true(rows[i].taken || strstr(answer.text, "does not know: start a newer") != NULL);
    }
}

/* A disk was lost with the power, and nothing has told the others that the connection is gone. */
static void who_comes_back_wiped_waits_until_its_connection_is_known_to_be_gone_L8(void **state)
{
    (void)state;
    static const struct {
        uint16_t peer_port;
        enum join_result result;
    } rows[] = { { 8, JOIN_LATER }, { 9, JOIN_REFUSED } };
    roster.node[0].id = 1;
    roster.members.voters = 3;
    node.zero = &zero;
    node.identity.level = 2;
    node.peers = &peers;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        roster.node[1] = (struct roster_node){ .id = 2, .uuid = { 4 }, .address = "127.0.0.1" };
        roster.node[1].peer_port = rows[i].peer_port;
        node.known[1] = roster.node[1];
        begun = 0;
        asks_for(2, 2);
        assert_int_equal(answer.result, rows[i].result);
        assert_int_equal(begun, 0);
    }
    memset(&roster.node[1], 0, sizeof roster.node[1]);
}

/* Node 2 is asked for so often, each time after a while; what the last answer was. */
static enum join_result asked_for(uint32_t times, qr_time each)
{
    for (uint32_t i = 0; i < times; i++) {
        now += each;
        asks_for(2, 2);
    }
    return answer.result;
}

/* Nor does it make sense to wait for the end of who is heard still. */
static void who_announces_the_address_of_one_that_lives_is_told_so_L8(void **state)
{
    (void)state;
    qr_time each = 100 * QR_MILLISECOND;
    roster.node[1] = (struct roster_node){ .id = 2, .uuid = { 4 }, .address = "127.0.0.1" };
    roster.node[1].peer_port = 8;
    node.known[1] = roster.node[1];
    node.contest = (struct contest){ 0 };
    alive = 3;
    assert_int_equal(asked_for(100, each), JOIN_LATER);
    assert_int_equal(asked_for(1, each), JOIN_REFUSED);
    assert_non_null(strstr(answer.text, "127.0.0.1:8 is where node 2 is, which lives"));
    now += QR_SECOND;
    assert_int_equal(asked_for(1, each), JOIN_LATER); /* another one, who knows nothing of that */
    assert_int_equal(asked_for(99, each), JOIN_LATER);
    lost_at = now; /* it was gone for a moment, so this may be another process */
    assert_int_equal(asked_for(100, each), JOIN_LATER);
    alive = 1;
    assert_int_equal(asked_for(100, each), JOIN_LATER); /* its connection stands, and that is all */
    alive = 3;
    assert_int_equal(asked_for(1, each), JOIN_REFUSED);
    now += 2 * QR_SECOND;
    assert_int_equal(asked_for(48, QR_SECOND), JOIN_LATER); /* by a clock that jumps */
    assert_int_equal(asked_for(1, QR_SECOND), JOIN_LATER);
    assert_int_equal(asked_for(1, QR_SECOND), JOIN_REFUSED);
    node.contest.index = 2; /* of another one's place */
    assert_int_equal(asked_for(1, each), JOIN_LATER);
    assert_int_equal(begun, 0);
    memset(&roster.node[1], 0, sizeof roster.node[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_knows_the_level_is_taken_in),
        cmocka_unit_test(who_comes_back_wiped_waits_until_its_connection_is_known_to_be_gone_L8),
        cmocka_unit_test(who_announces_the_address_of_one_that_lives_is_told_so_L8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
