/* Who leads which partition (leaders.h): guessing, and telling each other. The nodes around this
 * one, index 0, and its replicas are played. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/wire.h"
#include "node/leaders.h"
#include "node/node.h"
#include "node/peers.h"
#include "node/replica.h"
#include "tests/unit/cluster/put_records.h"

#define FIRST 2u
#define PARTITIONS (2 * LEADERS_NEWS_MAX + 10)
#define WORD_BYTES 13u

struct replica {
    struct outlook outlook;
};

static struct node node;
static struct partition *partitions;
static struct replica *replicas;
static uint16_t away, behind;                 /* these peers; and whose queues are full */
static uint16_t told_to[2 * PARTITIONS + 20]; /* by group; a word to all: all of them */
static uint32_t frames, most_words;
static qr_term last_term;
static node_index last_leader;

/* --- The rest of the node -------------------------------------------------------------------- */

node_index replica_me(const struct replica *r)
{
    (void)r;
    return 0;
}

bool replica_leads(const struct replica *r)
{
    return r->outlook.role == ROLE_LEADER;
}

node_index replica_leader(const struct replica *r)
{
    return r->outlook.leader;
}

const struct outlook *replica_seen(const struct replica *r)
{
    return &r->outlook;
}

struct partition *partition_of_group(const struct node *n, uint32_t group)
{
    (void)n;
    return group >= FIRST && group < FIRST + PARTITIONS ? &partitions[group - FIRST] : NULL;
}

bool peers_connected(const struct peers *peers, node_index peer)
{
    (void)peers;
    return peer != 0 && peer < 4 && (away >> peer & 1) == 0;
}

size_t peers_queued(const struct peers *peers, node_index peer)
{
    (void)peers;
    return (behind >> peer & 1) != 0 ? PEER_OUTPUT_BYTES_MAX + 1 : 0;
}

void peers_tell(struct peers *peers, node_index to, uint8_t kind, struct span head)
{
    (void)peers;
    assert_int_equal(kind, FRAME_LEADS);
    assert_int_equal(head.n % WORD_BYTES, 0);
    struct wire_reader r = wire_reader(head);
    frames++;
    most_words = head.n / WORD_BYTES > most_words ? (uint32_t)(head.n / WORD_BYTES) : most_words;
    for (size_t i = 0; i < head.n / WORD_BYTES; i++) {
        uint32_t group = wire_get_u32(&r);
        last_term = wire_get_u64(&r);
        last_leader = wire_get_u8(&r);
        told_to[group] = (uint16_t)(told_to[group] | (to == NODE_NONE ? 0xe : 1u << to));
    }
}

/* --- A node ---------------------------------------------------------------------------------- */

static struct partition *of(uint32_t group)
{
    return &partitions[group - FIRST];
}

static int begin(void **state)
{
    (void)state;
    node = (struct node){ .map = map_new(), .clock = QR_SECOND };
    partitions = calloc(PARTITIONS, sizeof *partitions);
    replicas = calloc(PARTITIONS, sizeof *replicas);
    struct map_keyspace k = a_keyspace(16, "cart", "", FIRST, PARTITIONS);
    put_all(node.map, &k, 0xe, 2); /* nodes 1, 2 and 3; 2 is to lead */
    for (uint32_t i = 0; i < PARTITIONS; i++) {
        partitions[i] = (struct partition){ .node = &node, .group = FIRST + i };
    }
    node.zero = &partitions[0];
    away = behind = 0;
    memset(told_to, 0, sizeof told_to);
    frames = most_words = 0;
    return 0;
}

static int end(void **state)
{
    (void)state;
    leaders_free(&node);
    free(replicas);
    free(partitions);
    map_free(node.map);
    return 0;
}

/* This node leads that group from now on. */
static void lead(uint32_t group)
{
    struct partition *p = of(group);
    p->replica = &replicas[group - FIRST];
    p->replica->outlook = (struct outlook){ .role = ROLE_LEADER, .term = 7 };
    leaders_look(p, true, 7);
}

/* As many turns as are asked for. */
static uint32_t turns(void)
{
    uint32_t n = 0;
    do {
        node.again = false;
        leaders_turn(&node);
        n++;
        assert_true(n < 100);
    } while (node.again);
    return n;
}

static uint32_t told(node_index peer)
{
    uint32_t n = 0;
    for (uint32_t group = FIRST; group < FIRST + PARTITIONS; group++) {
        n += told_to[group] >> peer & 1;
    }
    return n;
}

static bool hear(uint32_t group, qr_term term, node_index leader)
{
    uint8_t bytes[WORD_BYTES];
    struct wire_writer w = wire_writer(bytes, sizeof bytes);
    wire_put_u32(&w, group);
    wire_put_u64(&w, term);
    wire_put_u8(&w, leader);
    return leaders_receive(&node, leader, span_of(bytes, w.n));
}

/* --- Guessing -------------------------------------------------------------------------------- */

/* What is sent to one that is not there waits for nothing. */
static void test_nobody_is_guessed_who_is_away(void **state)
{
    (void)state;
    assert_int_equal(leaders_guess(of(5)), 2);
    away = 1 << 2;
    assert_int_equal(leaders_guess(of(5)), 1);
    away = 1 << 1 | 1 << 2;
    assert_int_equal(leaders_guess(of(5)), 3);
    away = 0xe;
    assert_int_equal(leaders_guess(of(5)), NODE_NONE);
}

static void test_who_said_no_is_not_guessed_next(void **state)
{
    (void)state;
    leaders_refuted(of(5), 2);
    assert_int_equal(leaders_guess(of(5)), NODE_NONE); /* not at once */
    node.clock += 21 * QR_MILLISECOND;
    assert_int_equal(leaders_guess(of(5)), 3);
    away = 1 << 3;
    assert_int_equal(leaders_guess(of(5)), 1);
}

/* --- Hearing --------------------------------------------------------------------------------- */

static void test_an_early_word_is_of_one_group(void **state)
{
    (void)state;
    uint32_t group = FIRST + PARTITIONS + 5;
    assert_true(hear(group, 4, 3));
    struct partition same_place = { .node = &node, .group = group + EARLY_LEADERS };
    leaders_adopt(&same_place);
    assert_int_equal(leaders_of(&same_place), NODE_NONE);
    struct partition it = { .node = &node, .group = group };
    leaders_adopt(&it);
    assert_int_equal(leaders_of(&it), 3);
    it.hint = (struct leader_hint){ .term = 5, .leader = 1 };
    leaders_adopt(&it); /* an older one than is known */
    assert_int_equal(leaders_of(&it), 1);
}

static void test_words_that_make_no_sense_are_noticed(void **state)
{
    (void)state;
    assert_false(hear(0, 4, 3));
    assert_false(hear(5, 0, 3));
    assert_false(hear(5, 4, MEMBERS_MAX));
    assert_int_equal(leaders_of(of(5)), NODE_NONE);
}

/* --- Telling --------------------------------------------------------------------------------- */

static void test_who_begins_to_lead_tells_all(void **state)
{
    (void)state;
    lead(5);
    lead(9);
    assert_true(node.again);
    assert_int_equal(turns(), 1);
    assert_int_equal(frames, 1);
    assert_int_equal(told(1) + told(2) + told(3), 6);
    assert_int_equal(last_term, 7);
    assert_int_equal(last_leader, 0);
    leaders_look(of(9), true, 7); /* known */
    assert_int_equal(turns(), 1);
    assert_int_equal(frames, 1);
}

static void test_more_than_fits_is_told_in_slices(void **state)
{
    (void)state;
    for (uint32_t group = FIRST; group < FIRST + PARTITIONS; group++) {
        lead(group);
    }
    assert_true(turns() >= PARTITIONS / LEADERS_NEWS_MAX);
    for (node_index peer = 1; peer <= 3; peer++) {
        assert_int_equal(told(peer), PARTITIONS);
    }
    assert_true(most_words <= LEADERS_NEWS_MAX);
}

static void test_who_connects_is_told_of_all_and_nobody_else(void **state)
{
    (void)state;
    for (uint32_t group = FIRST; group < FIRST + PARTITIONS; group += 2) {
        lead(group);
    }
    node.leaders.count = 0;
    leaders_connected(&node, 3);
    (void)turns();
    assert_int_equal(told(3), PARTITIONS / 2);
    assert_int_equal(told(1), 0);
    assert_int_equal(node.leaders.telling, 0);
}

static void test_who_may_have_missed_it_is_told_again(void **state)
{
    (void)state;
    lead(5);
    behind = 1 << 2;
    (void)turns();
    memset(told_to, 0, sizeof told_to);
    (void)turns();
    assert_int_equal(told(2), 0); /* not while it is behind */
    behind = 0;
    (void)turns();
    assert_int_equal(told(2), 1);
    assert_int_equal(told(1), 0);
}

/* A command was refused here: its node is told who leads, if that is known and another one. */
static void test_who_asks_the_wrong_one_is_told(void **state)
{
    (void)state;
    leaders_tell(&node, 1, of(5));
    assert_int_equal(frames, 0);
    assert_true(hear(5, 4, 3));
    leaders_tell(&node, 1, of(5));
    assert_int_equal(told_to[5], 1 << 1);
    assert_int_equal(last_leader, 3);
    assert_int_equal(last_term, 4);
    leaders_tell(&node, 3, of(5));
    assert_int_equal(frames, 1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_nobody_is_guessed_who_is_away),
        CASE(test_who_said_no_is_not_guessed_next),
        CASE(test_an_early_word_is_of_one_group),
        CASE(test_words_that_make_no_sense_are_noticed),
        CASE(test_who_begins_to_lead_tells_all),
        CASE(test_more_than_fits_is_told_in_slices),
        CASE(test_who_connects_is_told_of_all_and_nobody_else),
        CASE(test_who_may_have_missed_it_is_told_again),
        CASE(test_who_asks_the_wrong_one_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
