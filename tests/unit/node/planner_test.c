/* The planner (planner.h: PN1, PN2): what it writes, when, and how much at a time. The map and the
 * placement are real; reports, leases and the log are played, and every change is decided at
 * once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cluster/records.h"
#include "node/control_internal.h"
#include "node/replica.h"
#include "node/run.h"
#include "tests/unit/cluster/put_records.h"

#define PARTITIONS 24u
#define MOVES_MAX 8u /* as in planner.c */
#define FIRST 2u

static struct node node;
static struct control control;
static struct partition zero;
static struct outlook outlook;
static struct roster roster;
static struct place_nodes nodes;
static struct partition_report report[FIRST + PARTITIONS]; /* by group; group 0: no leader */
static uint32_t changes, settled_then, wished_then;        /* by the last change */
static bool refuses; /* the control plane: it hands over, or there is no room in the log */
static uint32_t logged;

/* --- The rest of the node -------------------------------------------------------------------- */

const struct outlook *replica_seen(const struct replica *r)
{
    (void)r;
    return &outlook;
}

const struct roster *replica_applied_roster(const struct replica *r, qr_slot *slot)
{
    (void)r;
    *slot = 1;
    return &roster;
}

const struct partition_report *reports_of_group(const struct node *n, uint32_t group,
                                                node_index *leader)
{
    (void)n;
    *leader = 0;
    return report[group].group != 0 ? &report[group] : NULL;
}

struct place_nodes placing_nodes(const struct node *n)
{
    (void)n;
    return nodes;
}

uint32_t control_level(const struct node *n)
{
    return map_settings(n->map)->level;
}

void node_log(struct node *n, enum node_log_level level, const char *format, ...)
{
    (void)n, (void)level, (void)format;
    logged++;
}

static void decide(struct span key, struct span value)
{
    struct map_key k;
    assert_int_equal(map_key_read(key, &k), MAP_OK);
    const struct map_partition *before =
        k.kind == MAP_RECORD_PARTITION ? map_partition(node.map, k.number) : NULL;
    struct map_partition old = before != NULL ? *before : (struct map_partition){ 0 };
    assert_int_equal(map_put(node.map, key, value), MAP_OK);
    if (before != NULL) {
        const struct map_partition *now = map_partition(node.map, k.number);
        settled_then += now->settled != old.settled;
        wished_then += now->wish != old.wish;
    }
}

bool control_propose_own(struct node *n, struct edit *edit)
{
    size_t at = 0;
    assert_ptr_equal(n, &node);
    settled_then = wished_then = 0;
    if (refuses) {
        return false;
    }
    for (uint32_t i = 0; i < edit->count; i += 2) {
        struct span key = span_of(edit->bytes + at, edit->length[i]);
        struct span value = span_of(edit->bytes + at + key.n, edit->length[i + 1]);
        at += key.n + value.n;
        decide(key, value);
    }
    changes++;
    return true;
}

/* --- A cluster ------------------------------------------------------------------------------- */

static void set(uint64_t rate, bool balancing)
{
    struct map_settings s = {
        .level = 2, .next_group = FIRST + PARTITIONS, .rate = rate, .balancing = balancing
    };
    put_settings(node.map, &s);
}

/* All partitions on nodes 0 and 1, of three. */
static int begin(void **state)
{
    (void)state;
    memset(&node, 0, sizeof node);
    memset(&control, 0, sizeof control);
    memset(&roster, 0, sizeof roster);
    memset(report, 0, sizeof report);
    node.map = map_new();
    node.control = &control;
    node.zero = &zero;
    node.clock = 100 * QR_SECOND;
    outlook = (struct outlook){ .role = ROLE_LEADER, .can_serve = true };
    nodes = (struct place_nodes){ .members = 7, .live = 7 };
    set(0, false);
    struct map_keyspace k = a_keyspace(16, "cart", "", FIRST, PARTITIONS);
    k.replicas = 2;
    put_keyspace(node.map, &k);
    for (uint32_t i = 0; i < PARTITIONS; i++) {
        struct map_partition p = map_found(&k, i, FIRST + i, 3, (node_index)(i % 2));
        map_settle(&p);
        put_partition(node.map, &p);
        report[p.group] = (struct partition_report){
            .group = p.group, .epoch = 1, .voters = 3, .last = 1000, .bytes = 1000000
        };
    }
    for (node_index i = 0; i < 3; i++) {
        roster.node[i].id = i + 1u;
    }
    changes = settled_then = wished_then = logged = 0;
    refuses = false;
    return 0;
}

static int end(void **state)
{
    (void)state;
    map_free(node.map);
    return 0;
}

/* One look of the planner, a while later; how many changes it made. */
static uint32_t look(void)
{
    uint32_t before = changes;
    node.clock += 600 * QR_MILLISECOND;
    node.wake = QR_NEVER;
    planner_turn(&node, node.clock);
    return changes - before;
}

static void reach(uint32_t group)
{
    const struct map_partition *p = map_partition(node.map, group);
    report[group].epoch = p->epoch;
    report[group].voters = p->wish;
}

static uint32_t reach_all(void)
{
    uint32_t count = 0;
    for (uint32_t g = FIRST; g < FIRST + PARTITIONS; g++) {
        count += map_partition(node.map, g)->settled < map_partition(node.map, g)->epoch;
        reach(g);
    }
    return count;
}

/* --- PN1 ------------------------------------------------------------------------------------- */

static void only_who_leads_and_may_writes(void **state)
{
    (void)state;
    nodes =
        (struct place_nodes){ .members = 7, .live = 5, .gone = 2 }; /* something is to be done */
    outlook.can_serve = false;
    assert_int_equal(look(), 0);
    outlook.can_serve = true;
    control.flight.busy = true;
    assert_int_equal(look(), 0);
    control.flight.busy = false;
    struct map_settings s = *map_settings(node.map);
    s.level = MAP_LEVEL_FIRST; /* whose nodes know no partitions */
    put_settings(node.map, &s);
    assert_int_equal(look(), 0);
    set(0, false);
    assert_int_equal(look(), 1);
    assert_int_equal(wished_then, MOVES_MAX);
    uint32_t before = changes;
    planner_turn(&node, node.clock + 1); /* at once again: not before its time */
    assert_int_equal(changes, before);
}

static void a_wish_is_settled_by_the_report_of_its_own_epoch(void **state)
{
    (void)state;
    nodes = (struct place_nodes){ .members = 7, .live = 5, .gone = 2 };
    assert_int_equal(look(), 1);
    assert_int_equal(look(), 0); /* all reports are of epoch 1 */
    uint32_t moved = FIRST;
    while (map_partition(node.map, moved)->epoch == 1) {
        moved++;
    }
    report[moved].epoch = 3; /* of what this map does not say */
    assert_int_equal(look(), 0);
    reach(moved);
    assert_int_equal(look(), 1);
    assert_int_equal(settled_then, 1);
    assert_int_equal(wished_then, 0); /* never both in one change */
    assert_int_equal(map_partition(node.map, moved)->moved, 2);
    assert_int_equal(control.planner.settled, 1);
    assert_int_equal(look(), 1);
    assert_int_equal(wished_then, 1); /* the next one has its place */
}

static void what_is_not_proposed_costs_nothing(void **state)
{
    (void)state;
    set(1000, true); /* a move takes a thousand seconds */
    refuses = true;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(look(), 0);
    }
    assert_int_equal(control.planner.begun, 0);
    assert_int_equal(control.planner.begun_bytes, 0);
    assert_int_equal(control.planner.since, 0);
    refuses = false;
    assert_int_equal(look(), 1);
    assert_int_equal(wished_then, 1);
    assert_int_equal(control.planner.begun, 1);
    assert_int_equal(control.planner.tokens, 1000 - 1000000); /* a second's, and one copy */
    assert_int_equal(logged, 0);
    (void)reach_all();
    refuses = true;
    assert_int_equal(look(), 0);
    assert_int_equal(control.planner.settled, 0);
    refuses = false;
    assert_int_equal(look(), 1);
    assert_int_equal(control.planner.settled, 1);
}

static void a_rebalance_is_done_once(void **state)
{
    (void)state;
    nodes.members = nodes.live = 3; /* nothing to spread */
    set(0, true);
    refuses = true;
    assert_int_equal(look(), 0);
    assert_true(map_settings(node.map)->balancing);
    assert_int_equal(logged, 0);
    refuses = false;
    assert_int_equal(look(), 1);
    assert_false(map_settings(node.map)->balancing);
    assert_int_equal(logged, 1);
}

static void what_is_said_of_who_left_goes(void **state)
{
    (void)state;
    struct map_node n = { .id = 2, .zone = "a" };
    put_node(node.map, 1, &n);
    assert_int_equal(look(), 0);
    roster.node[1].id = 9; /* another one has its index */
    roster.members.outgoing = 1;
    put_node(node.map, 2, &(struct map_node){ .id = 3 });
    assert_int_equal(look(), 0); /* who it is is not decided yet */
    roster.members.outgoing = 0;
    nodes.live = 3; /* something has changed */
    assert_int_equal(look(), 1);
    assert_int_equal(map_node(node.map, 1)->id, 0);
    assert_int_equal(map_node(node.map, 2)->id, 3);
}

static void it_rests_until_something_changes(void **state)
{
    (void)state;
    assert_int_equal(look(), 0);
    assert_true(control.planner.seen == map_changes(node.map));
    assert_int_equal(look(), 0);
    assert_int_equal(node.wake, QR_NEVER);
    nodes = (struct place_nodes){ .members = 7, .live = 5 };
    while (look() > 0) {
        assert_int_equal(wished_then, 0); /* away: others lead, and it keeps what it holds */
    }
    nodes.gone = 2; /* for too long */
    assert_int_equal(look(), 1);
    assert_int_equal(wished_then, MOVES_MAX);
    assert_int_not_equal(node.wake, QR_NEVER);
}

static void a_rebalance_ends_when_nothing_is_left(void **state)
{
    (void)state;
    set(0, true);
    uint32_t begun = 0, rounds = 0;
    while (map_settings(node.map)->balancing) {
        assert_true(rounds++ < 100);
        (void)look();
        begun += wished_then;
        wished_then = 0;
        (void)reach_all();
    }
    assert_int_equal(begun, PARTITIONS * 2 / 3); /* a third of all replicas are node 2's now */
    assert_int_equal(place_under_way(node.map), 0);
    assert_int_equal(place_held(node.map, 2), PARTITIONS * 2 / 3);
    assert_int_equal(control.planner.begun, begun);
    assert_int_not_equal(control.planner.since, 0);
    assert_int_equal(look(), 0);
    assert_int_equal(control.planner.since, 0); /* the next one's bytes and time are its own */
    assert_int_equal(control.planner.begun_bytes, 0);
}

/* Nothing is left to begin, but what was begun is not there yet. */
static void a_rebalance_goes_on_until_the_last_move_is_done(void **state)
{
    (void)state;
    set(0, true);
    for (uint32_t rounds = 0; control.planner.begun < PARTITIONS * 2 / 3; rounds++) {
        assert_true(rounds < 100);
        (void)reach_all();
        (void)look();
    }
    while (look() > 0) { /* who prefers to lead */
    }
    assert_int_equal(control.planner.left, 0);
    assert_int_not_equal(place_under_way(node.map), 0);
    assert_true(map_settings(node.map)->balancing);
    assert_int_equal(look(), 0);
    assert_true(map_settings(node.map)->balancing);
    (void)reach_all();
    assert_int_equal(look(), 1); /* it is noted down, */
    assert_int_equal(look(), 1); /* and over */
    assert_false(map_settings(node.map)->balancing);
}

/* --- PN2 ------------------------------------------------------------------------------------- */

static void a_few_moves_at_a_time_of_those_that_have_leaders(void **state)
{
    (void)state;
    nodes = (struct place_nodes){ .members = 7, .live = 5, .gone = 2 };
    assert_int_equal(look(), 1);
    assert_int_equal(wished_then, MOVES_MAX);
    qr_time since = control.planner.since;
    assert_int_equal(look(), 0);
    uint32_t lost = 0;
    for (uint32_t g = FIRST; lost < 3; g++) {
        if (map_partition(node.map, g)->epoch > 1) {
            report[g].group = 0; /* stands still: nobody leads it */
            lost++;
        }
    }
    uint32_t done = FIRST + PARTITIONS - 1;
    while (map_partition(node.map, done)->epoch == 1 || report[done].group == 0) {
        done--;
    }
    reach(done);
    assert_int_equal(look(), 1); /* a record that is written twice in one change would be lost */
    assert_int_equal(settled_then, 1);
    assert_int_equal(wished_then, 0);
    assert_int_equal(look(), 1);
    assert_int_equal(wished_then, 3 + 1);
    assert_int_equal(control.planner.left, PARTITIONS - MOVES_MAX);
    assert_int_equal(control.planner.since, since); /* of all of them */
}

/* Who drains a node and asks how far that is would take the answer of before for the end. */
static void what_is_left_is_told_before_the_next_look(void **state)
{
    (void)state;
    planner_look(&node);
    assert_int_equal(control.planner.left, 0);
    nodes = (struct place_nodes){ .members = 7, .live = 5, .gone = 2 };
    planner_look(&node);
    assert_int_equal(control.planner.left, PARTITIONS);
    assert_true(control.planner.left_bytes > 0);
    assert_int_equal(control.planner.begun, 0);
}

static void set_replicas(uint8_t replicas)
{
    struct map_keyspace k = *map_keyspace(node.map, 16);
    k.replicas = replicas;
    put_keyspace(node.map, &k);
}

static void each_newcomer_is_a_copy_and_who_leaves_is_none(void **state)
{
    (void)state;
    nodes = (struct place_nodes){ .members = 15, .live = 15 };
    set_replicas(4);
    planner_look(&node);
    assert_int_equal(control.planner.left_bytes, PARTITIONS * 2 * 1000000);
    set_replicas(1);
    planner_look(&node);
    assert_int_equal(control.planner.left, PARTITIONS);
    assert_int_equal(control.planner.left_bytes, 0);
}

static void with_a_rate_one_after_the_other_and_no_sooner_than_it_says(void **state)
{
    (void)state;
    set(100000, false); /* 1,000,000 bytes in ten seconds */
    nodes = (struct place_nodes){ .members = 7, .live = 5, .gone = 2 };
    assert_int_equal(look(), 1);
    assert_int_equal(wished_then, 1);
    qr_time began = node.clock;
    assert_int_equal(look(), 0);
    assert_int_equal(reach_all(), 1);
    assert_int_equal(look(), 1); /* settled; */
    assert_int_equal(settled_then, 1);
    uint32_t n = 0;
    while ((n = look()) == 0) { /* ... and the bytes have to have had their time */
        assert_true(node.clock - began < 12 * QR_SECOND);
    }
    assert_int_equal(wished_then, 1);
    assert_true(node.clock - began >= 9 * QR_SECOND); /* it began with a second's bytes at most */
    qr_time second = node.clock;
    for (int i = 0; i < 40; i++) { /* the time that a move takes is not saved up */
        assert_int_equal(look(), 0);
    }
    (void)reach_all();
    assert_int_equal(look(), 1);
    assert_int_equal(settled_then, 1);
    assert_int_equal(look(), 1);
    assert_int_equal(wished_then, 1);
    assert_true(node.clock - second >= 20 * QR_SECOND);
    second = node.clock;
    (void)reach_all();
    assert_int_equal(look(), 1);
    while ((n = look()) == 0) {
        assert_true(node.clock - second < 12 * QR_SECOND);
    }
    assert_true(node.clock - second >= 9 * QR_SECOND);
    set((uint64_t)1 << 30, false); /* one after the other, also where bytes are left */
    control.planner.tokens = 0;
    assert_int_equal(look(), 0);
    set(0, false); /* and without one again */
    assert_int_equal(look(), 1);
    assert_int_equal(wished_then, MOVES_MAX - 1);
}

/* --- How far a move is ----------------------------------------------------------------------- */

static void progress_is_done_when_nothing_is_left(void **state)
{
    (void)state;
    struct map_partition p = *map_partition(node.map, FIRST);
    struct partition_report *r = &report[FIRST];
    map_wish(&p, 5, 0);
    struct planner_progress g = planner_progress_of(&node, &p); /* not even a learner */
    assert_int_equal(g.entries_left, 1000);
    assert_int_equal(g.bytes_left, 1000000);
    assert_int_equal(g.percent, 0);
    r->others = 4;
    r->lag[2] = 250;
    g = planner_progress_of(&node, &p);
    assert_int_equal(g.bytes_left, 250000);
    assert_int_equal(g.percent, 75);
    r->lag[2] = 1; /* nearly is not done */
    assert_int_equal(planner_progress_of(&node, &p).percent, 99);
    r->copy = 4000;
    r->copy_left = 1000; /* a snapshot says it better */
    g = planner_progress_of(&node, &p);
    assert_int_equal(g.bytes, 4000);
    assert_int_equal(g.percent, 75);
    r->copy = r->copy_left = 0;
    r->lag[2] = 0;
    assert_int_equal(planner_progress_of(&node, &p).percent, 100);
    r->lag[2] = 5000; /* of another leader's time: more than there is */
    assert_int_equal(planner_progress_of(&node, &p).bytes_left, 1000000);
    map_wish(&p, 13, 0);
    r->others = 12;
    r->lag[2] = 10;
    r->lag[3] = 500; /* who lacks most says how far it is */
    assert_int_equal(planner_progress_of(&node, &p).entries_left, 500);
    r->lag[2] = 900;
    assert_int_equal(planner_progress_of(&node, &p).percent, 10);
    map_wish(&p, 1, 0); /* nothing is to be copied where replicas only leave */
    assert_int_equal(planner_progress_of(&node, &p).bytes, 0);
    assert_int_equal(planner_progress_of(&node, &p).percent, 100);
    r->group = 0;
    assert_int_equal(planner_progress_of(&node, &p).percent, 0);
}

static void copies_of_moves_keep_to_the_rate(void **state)
{
    (void)state;
    const uint64_t most = 1000000;
    set(100000, false);
    assert_int_equal(planner_copy_rate(&node, FIRST, most), most); /* no move */
    nodes = (struct place_nodes){ .members = 7, .live = 5, .gone = 2 };
    assert_int_equal(look(), 1);
    uint32_t moved = FIRST;
    while (map_partition(node.map, moved)->epoch == 1) {
        moved++;
    }
    assert_int_equal(planner_copy_rate(&node, moved, most), 100000);
    assert_int_equal(planner_copy_rate(&node, moved, 50000), 50000);
    assert_int_equal(planner_copy_rate(&node, 0, most), most);
    assert_int_equal(planner_copy_rate(&node, 4711, most), most);
    set(1, false);
    assert_int_equal(planner_copy_rate(&node, moved, most), 16 * 1024);
    set(0, false);
    assert_int_equal(planner_copy_rate(&node, moved, most), most);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(only_who_leads_and_may_writes, begin, end),
        cmocka_unit_test_setup_teardown(a_wish_is_settled_by_the_report_of_its_own_epoch, begin,
                                        end),
        cmocka_unit_test_setup_teardown(what_is_not_proposed_costs_nothing, begin, end),
cmocka_unit_test_setup_teardown(a_rebalance_is_done_once, begin, end),
cmocka_unit_test_setup_teardown(what_is_said_of_who_left_goes, begin, end),
        cmocka_unit_test_setup_teardown(it_rests_until_something_changes, begin, end),
        cmocka_unit_test_setup_teardown(a_rebalance_ends_when_nothing_is_left, begin, end),
        cmocka_unit_test_setup_teardown(a_few_moves_at_a_time_of_those_that_have_leaders, begin,
                                        end),
        cmocka_unit_test_setup_teardown(a_rebalance_goes_on_until_the_last_move_is_done, begin,
                                        end),
        cmocka_unit_test_setup_teardown(what_is_left_is_told_before_the_next_look, begin, end),
        cmocka_unit_test_setup_teardown(each_newcomer_is_a_copy_and_who_leaves_is_none, begin, end),
        cmocka_unit_test_setup_teardown(with_a_rate_one_after_the_other_and_no_sooner_than_it_says,
                                        begin, end),
        cmocka_unit_test_setup_teardown(progress_is_done_when_nothing_is_left, begin, end),
        cmocka_unit_test_setup_teardown(copies_of_moves_keep_to_the_rate, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
