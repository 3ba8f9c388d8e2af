/* Followers that are behind (node/lagging.h): who is looked at, what MAXLAG does about them, and
 * what a follower does itself. One partition, of three nodes; the rest of the node is played. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "cluster/map.h"
#include "node/alarm.h"
#include "node/peers.h"
#include "node/replica_internal.h"
#include "node/run.h"
#include "node/snapshot_source.h"
#include "protocol/quorum.h"

#define MS QR_MILLISECOND
#define SLOW 1u
#define OTHER 2u

static struct node *node;
static struct partition partition, zero;
static struct replica *replica;
static struct map_keyspace keyspace;
static struct source_progress progress[MEMBERS_MAX];
static uint16_t connected, alarms;
static bool leased, may_ask;
static uint32_t asked, woken;

/* --- The rest of the node -------------------------------------------------------------------- */

const struct map_keyspace *map_keyspace_of_group(const struct map *map, uint32_t group)
{
    (void)map, (void)group;
    return &keyspace;
}

void replica_outlook(const struct replica *r, struct outlook *out)
{
    *out = r->outlook;
}

const struct outlook *replica_seen(const struct replica *r)
{
    return &r->outlook;
}

node_index replica_me(const struct replica *r)
{
    return r->me;
}

bool replica_leads(const struct replica *r)
{
    return r != zero.replica && r->outlook.role == ROLE_LEADER;
}

bool replica_holds_lease(const struct replica *r)
{
    (void)r;
    return leased;
}

void replica_ask_ahead(struct replica *r)
{
    (void)r;
    asked++;
}

bool replica_may_ask(const struct replica *r)
{
    (void)r;
    return may_ask;
}

bool peers_connected(const struct peers *peers, node_index peer)
{
    (void)peers;
    return (connected >> peer & 1) != 0;
}

struct source_progress source_progress_of(const struct source *source, node_index member)
{
    (void)source;
    return progress[member];
}

uint64_t log_bytes_from(const struct log *log, uint32_t group, qr_slot slot)
{
    (void)log, (void)group;
    return replica->outlook.last >= slot ? (replica->outlook.last + 1 - slot) * 10 : 0;
}

void schedule_wake(struct partition *p)
{
    assert_ptr_equal(p, &partition);
    woken++;
}

void node_log(struct node *n, enum node_log_level level, const char *format, ...)
{
    (void)n, (void)level, (void)format;
}

void alarm_raise_about(struct node *n, enum alarm_kind kind, uint32_t about, const char *format,
                       ...)
{
    (void)n, (void)format;
    assert_int_equal(kind, ALARM_LAG);
    alarms |= (uint16_t)(1u << about);
}

void alarm_clear_about(struct node *n, enum alarm_kind kind, uint32_t about)
{
    (void)n;
    assert_int_equal(kind, ALARM_LAG);
    alarms &= (uint16_t) ~(1u << about);
}

/* --- One partition ---------------------------------------------------------------------------- */

static int begin(void **state)
{
    (void)state;
    node = qr_zalloc(sizeof *node);
    replica = qr_zalloc_lines(sizeof *replica);
    partition = (struct partition){ .node = node, .group = 5, .replica = replica };
    zero = (struct partition){ .node = node, .replica = (struct replica *)(void *)&zero };
    node->zero = &zero;
    node->clock = 100 * QR_SECOND;
    node->config.heartbeat_ms = 25;
    node->config.lag_alarm_ms = 2000;
    replica->partition = &partition;
    replica->node = node;
    replica->viewed = true;
    replica->outlook = (struct outlook){ .term = 7,
                                         .last = 100,
                                         .first = 1,
                                         .role = ROLE_LEADER,
                                         .members = 3,
                                         .membership.voters = 7 };
    for (node_index i = 0; i < 3; i++) {
        node->known[i].id = i + 1;
        replica->outlook.member[i].match = 100;
    }
    keyspace =
        (struct map_keyspace){ .strategy = STRATEGY_PRIMARY, .primary = primary_options_default() };
    memset(progress, 0, sizeof progress);
    connected = 7;
    alarms = 0;
    leased = may_ask = true;
    asked = woken = 0;
    return 0;
}

static int end(void **state)
{
    (void)state;
    lagging_forget(&partition);
    assert_int_equal(node->lagging.count, 0);
    free(replica->proofs);
    free(replica);
    free(node);
    return 0;
}

static void set_maxlag(uint64_t maxlag, uint8_t unit, uint8_t lagging)
{
    keyspace.primary.maxlag = maxlag;
    keyspace.primary.maxlag_unit = unit;
    keyspace.primary.lagging = lagging;
}

/* It holds the log up to there, and has answered what was sent now. */
static void answer(node_index i, qr_slot match)
{
    struct member_outlook *m = &replica->outlook.member[i];
    m->match = match;
    m->heard = m->echoed = node->clock;
}

/* So many entries, of 10 bytes each, are appended in a turn. */
static void append(uint32_t n)
{
    qr_slot before = replica->outlook.last;
    replica->outlook.last += n;
    lagging_turn(&partition, before, 10 * n);
}

/* Time goes by: all but the slow one answer that they have all, 10 ms apart. */
static void pass(qr_time time, bool slow_answers)
{
    for (qr_time until = node->clock + time; node->clock < until; node->clock += 10 * MS) {
        answer(OTHER, replica->outlook.last);
        if (slow_answers) {
            answer(SLOW, replica->outlook.last);
        }
        lagging_turn(&partition, replica->outlook.last, 0);
        lagging_look(node, node->clock);
    }
}

static enum follower_state state_of(node_index i)
{
    return lagging_of(&partition, i).state;
}

/* --- Tests ------------------------------------------------------------------------------------ */

static void test_who_lacks_nothing_is_not_looked_at_B1(void **state)
{
    (void)state;
    answer(SLOW, 100);
    answer(OTHER, 100);
    lagging_turn(&partition, 100, 0);
    assert_null(partition.lagging);
    append(10);
    assert_int_equal(node->lagging.count, 1);
    pass(500 * MS, true);
    assert_null(partition.lagging);
    append(10);
    replica->outlook.role = ROLE_FOLLOWER;
    lagging_turn(&partition, 110, 0);
    assert_null(partition.lagging);
}

static void test_what_it_lacks_is_told_in_three_ways(void **state)
{
    (void)state;
    answer(SLOW, 100);
    append(2000);
    pass(300 * MS, false);
    struct follower_sight f = lagging_of(&partition, SLOW);
    assert_true(f.known);
    assert_int_equal(f.lag.ops, 2000);
    assert_int_equal(f.lag.bytes, 20000);
    assert_in_range(f.lag.age, 290 * MS, 310 * MS);
    assert_int_equal(f.silence, 300 * MS);
    assert_int_equal(f.state, FOLLOWER_CATCHUP);
    assert_int_equal(state_of(OTHER), FOLLOWER_ONLINE);
    replica->outlook.member[SLOW].forgetful = true;
    assert_int_equal(state_of(SLOW), FOLLOWER_FENCED);
    replica->outlook.member[SLOW].needs_snapshot = true;
    assert_int_equal(state_of(SLOW), FOLLOWER_BOOTSTRAP);
    assert_false(lagging_of(&partition, SLOW).known); /* B2 */
    connected = 1u << OTHER;
    assert_int_equal(state_of(SLOW), FOLLOWER_AWAY);
}

static void test_writes_wait_for_who_is_behind_B3(void **state)
{
    static const struct {
        uint64_t maxlag;
        uint8_t unit;
    } limits[] = { { 200 * MS, MAXLAG_TIME }, { 90, MAXLAG_BYTES }, { 9, MAXLAG_OPERATIONS } };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(limits); i++) {
        set_maxlag(limits[i].maxlag, limits[i].unit, PRIMARY_STALL);
        answer(SLOW, replica->outlook.last);
        append(9);
        pass(150 * MS, false);
        assert_false(replica->stalled);
        append(1);
        pass(100 * MS, false);
        assert_true(replica->stalled);
        assert_int_equal(state_of(SLOW), FOLLOWER_THROTTLED);
        assert_false(lagging_refuses(&partition, node->clock - STALL_PATIENCE + 1));
        assert_true(lagging_refuses(&partition, node->clock - STALL_PATIENCE));
        woken = 0;
        answer(SLOW, replica->outlook.last);
        lagging_turn(&partition, replica->outlook.last, 0);
        assert_false(replica->stalled);
        assert_int_equal(woken, 1); /* what waits may go */
        pass(200 * MS, true);
    }
}

static void test_nobody_waits_for_who_has_no_pace_B3(void **state)
{
    (void)state;
    set_maxlag(200 * MS, MAXLAG_TIME, PRIMARY_STALL);
    answer(SLOW, 100);
    append(10);
    pass(FEED_PATIENCE - 100 * MS, false);
    assert_true(replica->stalled);
    connected = 1u << OTHER;
    pass(100 * MS, false);
    assert_false(replica->stalled);
    connected = 7;
    pass(300 * MS, false); /* and it has made no progress for too long now */
    assert_false(replica->stalled);
    answer(SLOW, 105);
    pass(200 * MS, false);
    assert_true(replica->stalled);
    set_maxlag(0, MAXLAG_TIME, PRIMARY_REJECT);
    pass(100 * MS, false);
    assert_false(replica->stalled);
}

static void test_writes_wait_for_voters_alone_B3(void **state)
{
    (void)state;
    set_maxlag(9, MAXLAG_OPERATIONS, PRIMARY_STALL);
    replica->outlook.membership = (struct membership){ .voters = 5, .learners = 1u << SLOW };
    answer(SLOW, 100);
    append(50);
    pass(200 * MS, false);
    assert_false(replica->stalled);
}

static void test_who_is_forgotten_holds_nobody_up(void **state)
{
    (void)state;
    set_maxlag(9, MAXLAG_OPERATIONS, PRIMARY_STALL);
    answer(SLOW, 100);
    append(50);
    assert_true(replica->stalled);
    replica->outlook.term++;
    lagging_turn(&partition, replica->outlook.last, 0); /* it leads in another term */
    assert_true(replica->stalled);
    lagging_forget(&partition);
    assert_false(replica->stalled);
    assert_false(lagging_refuses(&partition, 0));
}

static void test_who_is_far_behind_is_dropped_until_it_answers_in_time_B4(void **state)
{
    (void)state;
    set_maxlag(9, MAXLAG_OPERATIONS, PRIMARY_DROP);
    answer(SLOW, 100);
    append(50);
    pass(200 * MS, false);
    assert_true(lagging_is_dropped(&partition, SLOW));
    assert_false(lagging_is_dropped(&partition, OTHER));
    assert_false(replica->stalled);
    assert_int_equal(state_of(SLOW), FOLLOWER_FENCED);
    append(50);
    for (qr_time t = 0; t < DROP_PAUSE + 300 * MS; t += 50 * MS) {
        bool early = t < DROP_PAUSE - 100 * MS;
        assert_true(!early || lagging_is_dropped(&partition, SLOW));
        answer(SLOW, 100); /* in time, and it gets no entries */
        pass(50 * MS, false);
    }
    assert_false(lagging_is_dropped(&partition, SLOW));
    answer(SLOW, 150); /* it comes on: nobody drops it again though it is still far behind */
    pass(100 * MS, false);
    assert_false(lagging_is_dropped(&partition, SLOW));
    answer(SLOW, replica->outlook.last);
    pass(200 * MS, true);
    assert_null(partition.lagging);
}

/* Where nobody writes it is asked as seldom as the group beats, and the way takes its time. */
static void test_who_is_idle_and_far_away_is_fed_again_B4(void **state)
{
    (void)state;
    set_maxlag(9, MAXLAG_OPERATIONS, PRIMARY_DROP);
    answer(SLOW, 100);
    append(50);
    pass(200 * MS, false);
    assert_true(lagging_is_dropped(&partition, SLOW));
    pass(10 * MS, false); /* looked at long after it answers */
    for (qr_time t = 0; t < DROP_PAUSE + 300 * MS; t += 100 * MS) {
        answer(SLOW, 100);
        replica->outlook.member[SLOW].echoed -= 40 * MS;
        pass(100 * MS, false);
    }
    assert_false(lagging_is_dropped(&partition, SLOW));
}

static void test_who_is_dropped_is_remembered_though_it_lacks_nothing_B4(void **state)
{
    (void)state;
    set_maxlag(9, MAXLAG_OPERATIONS, PRIMARY_DROP);
    answer(SLOW, 100);
    append(50);
    pass(200 * MS, false);
    answer(SLOW, replica->outlook.last);
    pass(100 * MS, true);
    assert_true(lagging_is_dropped(&partition, SLOW)); /* not for a second yet */
    set_maxlag(0, MAXLAG_TIME, PRIMARY_REJECT);
    pass(200 * MS, true);
    assert_false(lagging_is_dropped(&partition, SLOW));
}

static void test_an_alarm_is_raised_and_ends_B5(void **state)
{
    (void)state;
    answer(SLOW, 100);
    append(10);
    pass(1900 * MS, false);
    assert_int_equal(alarms, 0);
    pass(500 * MS, false);
    assert_int_equal(alarms, 1u << (SLOW + 1)); /* by its id */
    pass(500 * MS, true);
    assert_int_equal(alarms, 0);
    set_maxlag(9, MAXLAG_OPERATIONS, PRIMARY_REJECT); /* whatever the policy is */
    append(10);
    pass(400 * MS, false);
    assert_int_equal(alarms, 1u << (SLOW + 1));
}

/* --- This node follows (B6) ------------------------------------------------------------------- */

static void begin_to_follow(void)
{
    replica->outlook.role = ROLE_FOLLOWER;
    replica->applied = 100;
    replica->proofs = qr_zalloc(sizeof *replica->proofs);
    proofs_asked(replica->proofs, 1, node->clock);
    proofs_confirmed(replica->proofs, 1, 1, 100);
}

static void test_a_follower_refuses_where_the_keyspace_says_so_B6(void **state)
{
    (void)state;
    begin_to_follow();
    node->clock += 5 * QR_SECOND;
    assert_int_equal(lagging_rejects(&partition), BEHIND_NOT);
    set_maxlag(QR_SECOND, MAXLAG_TIME, PRIMARY_STALL);
    assert_int_equal(lagging_rejects(&partition), BEHIND_NOT);
    set_maxlag(QR_SECOND, MAXLAG_TIME, PRIMARY_REJECT);
    assert_int_equal(lagging_rejects(&partition), BEHIND_UNKNOWN);
    assert_int_equal(asked, 1);
    set_maxlag(6 * QR_SECOND, MAXLAG_TIME, PRIMARY_REJECT);
    assert_int_equal(lagging_rejects(&partition), BEHIND_AGES);
    assert_int_equal(asked, 2);
    set_maxlag(60 * QR_SECOND, MAXLAG_TIME, PRIMARY_REJECT);
    assert_int_equal(lagging_rejects(&partition), BEHIND_NOT);
    assert_int_equal(asked, 2);
    keyspace.strategy = STRATEGY_RAFT;
    set_maxlag(QR_SECOND, MAXLAG_TIME, PRIMARY_REJECT);
    assert_int_equal(lagging_rejects(&partition), BEHIND_NOT);
}

static void test_who_can_ask_nobody_is_behind_B6(void **state)
{
    (void)state;
    set_maxlag(QR_SECOND, MAXLAG_TIME, PRIMARY_REJECT);
    replica->outlook.role = ROLE_FOLLOWER;
    assert_int_equal(lagging_rejects(&partition), BEHIND_UNKNOWN); /* it has asked nobody yet */
    may_ask = false;
    assert_int_equal(lagging_rejects(&partition), BEHIND_TOO_FAR);
    begin_to_follow();
    assert_int_equal(lagging_rejects(&partition), BEHIND_NOT); /* for as long as it knows */
    node->clock += QR_SECOND + 1;
    assert_int_equal(lagging_rejects(&partition), BEHIND_TOO_FAR);
}

static void test_a_primary_is_not_behind_while_it_holds_its_lease_B6(void **state)
{
    (void)state;
    set_maxlag(QR_SECOND, MAXLAG_TIME, PRIMARY_REJECT);
    may_ask = false;
    assert_int_equal(lagging_rejects(&partition), BEHIND_NOT);
    leased = false;
    assert_int_equal(lagging_rejects(&partition), BEHIND_TOO_FAR);
}

static void test_entries_count_B6(void **state)
{
    (void)state;
    set_maxlag(9, MAXLAG_OPERATIONS, PRIMARY_REJECT);
    begin_to_follow();
    assert_int_equal(lagging_rejects(&partition), BEHIND_NOT);
    replica->applied = 91;
    assert_int_equal(lagging_rejects(&partition), BEHIND_NOT);
    replica->applied = 90;
    assert_int_equal(lagging_rejects(&partition), BEHIND_TOO_FAR);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_who_lacks_nothing_is_not_looked_at_B1),
        TEST(test_what_it_lacks_is_told_in_three_ways),
        TEST(test_writes_wait_for_who_is_behind_B3),
        TEST(test_nobody_waits_for_who_has_no_pace_B3),
        TEST(test_writes_wait_for_voters_alone_B3),
        TEST(test_who_is_forgotten_holds_nobody_up),
        TEST(test_who_is_far_behind_is_dropped_until_it_answers_in_time_B4),
        TEST(test_who_is_idle_and_far_away_is_fed_again_B4),
        TEST(test_who_is_dropped_is_remembered_though_it_lacks_nothing_B4),
        TEST(test_an_alarm_is_raised_and_ends_B5),
        TEST(test_a_follower_refuses_where_the_keyspace_says_so_B6),
        TEST(test_who_can_ask_nobody_is_behind_B6),
        TEST(test_a_primary_is_not_behind_while_it_holds_its_lease_B6),
        TEST(test_entries_count_B6),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
