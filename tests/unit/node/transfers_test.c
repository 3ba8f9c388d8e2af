/* Checkpoints on their way for many groups (transfers.h, decision 029): how many have a place, who
 * may ask other nodes for a state, whose turn is next, and that nothing is left of who goes. What
 * gives and takes the files is played by the test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "node/alarm.h"
#include "node/node.h"
#include "node/snapshot.h"
#include "node/snapshot_fetch.h"
#include "node/snapshot_source.h"

#define GROUPS 32u

struct source {
    bool busy, unused;
    uint32_t turns, wanted, asked;
    struct source_figures figures;
};

struct fetch {
    bool waits, busy, hope, works;
    uint32_t turns;
    struct fetch_figures figures;
};

static struct node node;
static struct partition partition[GROUPS];
static qr_time now;
static uint32_t sources, fetches; /* that there are */
static uint32_t served[8], served_count;
static uint32_t told[8], told_count; /* that a peer is gone */
static uint32_t own_over, others_over;

/* --- The rest of the node ------------------------------------------------------------------- */

qr_time io_now(struct io *io)
{
    (void)io;
    return now;
}

struct partition *partition_of_group(const struct node *of, uint32_t group)
{
    (void)of;
    return group < GROUPS ? &partition[group] : NULL;
}

struct source *source_new(struct partition *p)
{
    assert_null(p->source);
    sources++;
    return qr_zalloc(sizeof(struct source));
}

void source_free(struct source *source)
{
    sources--;
    free(source);
}

void source_wanted(struct source *source, node_index to, qr_slot least)
{
    (void)to, (void)least;
    source->wanted++;
}

void source_asked(struct source *source, node_index to, qr_slot least)
{
    (void)to, (void)least;
    source->asked++;
}

bool source_is_idle(const struct source *source)
{
    return !source->busy;
}

bool source_is_unused(const struct source *source, qr_time before)
{
    assert_true(before < now);
    return source->unused;
}

void source_turn(struct source *source, qr_time at)
{
    assert_int_equal(at, now);
    source->turns++;
}

struct fetch *fetch_new(struct partition *p)
{
    assert_null(p->fetch);
    fetches++;
    return qr_zalloc(sizeof(struct fetch));
}

void fetch_free(struct fetch *fetch)
{
    fetches--;
    free(fetch);
}

const struct source_figures *source_figures(const struct source *source)
{
    return &source->figures;
}

void fetch_figures(const struct fetch *fetch, struct fetch_figures *out)
{
    *out = fetch->figures;
}

bool fetch_has_hope(const struct fetch *fetch, qr_time at)
{
    (void)at;
    return fetch != NULL && fetch->hope;
}

bool fetch_waits(const struct fetch *fetch)
{
    return fetch->waits;
}

bool fetch_is_idle(const struct fetch *fetch, qr_time at)
{
    (void)at;
    return !fetch->busy;
}

bool fetch_turn(struct fetch *fetch, qr_time at)
{
    (void)at;
    fetch->turns++;
    for (uint32_t i = 0; fetch->works && i < GROUPS; i++) {
        if (partition[i].fetch == fetch) {
            served[served_count++] = i;
        }
    }
    return fetch->works;
}

void snapshot_peer(struct partition *p, node_index peer, bool up)
{
    assert_int_equal(peer, 3);
    assert_false(up);
    told[told_count++] = p->group;
}

void alarm_clear(struct node *of, enum alarm_kind kind)
{
    (void)of;
    assert_int_equal(kind, ALARM_SNAPSHOT);
    own_over++;
}

void alarm_clear_about(struct node *of, enum alarm_kind kind, uint32_t about)
{
    assert_int_equal(kind, ALARM_SNAPSHOT);
    assert_int_equal(about, of->known[2].id);
    others_over++;
}

static int begin(void **state)
{
    (void)state;
    node = (struct node){ .zero = &partition[0] };
    node.known[2].id = 103;
    now = 100 * QR_SECOND;
    sources = fetches = served_count = own_over = others_over = 0;
    for (uint32_t i = 0; i < GROUPS; i++) {
        partition[i] = (struct partition){ .node = &node, .group = i };
    }
    transfers_open(&partition[0]);
    return 0;
}

static int end(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < GROUPS; i++) {
        transfers_close(&partition[i]);
    }
    assert_int_equal(node.transfers.count, 0);
    assert_int_equal(sources + fetches, 0);
    transfers_free(&node);
    return 0;
}

/* --- Places --------------------------------------------------------------------------------- */

static void test_so_many_groups_give_files_at_a_time_beside_group_0(void **state)
{
    (void)state;
    for (uint32_t i = 1; i <= SOURCES_MAX; i++) {
        transfers_wanted(&partition[i], 1, 7);
        assert_int_equal(partition[i].source->wanted, 1);
        partition[i].source->busy = true;
    }
    transfers_wanted(&partition[20], 1, 7);
    transfers_asked(&partition[21], 1, 7);
    assert_null(partition[20].source);
    assert_null(partition[21].source);
    transfers_asked(&partition[3], 1, 7); /* who has a place needs none */
    assert_int_equal(partition[3].source->asked, 1);
    partition[5].source->unused = true; /* nobody has read that for a while */
    transfers_wanted(&partition[20], 1, 7);
    assert_non_null(partition[20].source);
    assert_null(partition[5].source);
    assert_int_equal(sources, SOURCES_MAX + 1);
}

/* What an earlier life has received is gone on with, of so many groups as had places then; it takes
 * no place until it is. */
static void test_what_was_received_before_a_restart_is_gone_on_with_U19(void **state)
{
    (void)state;
    for (uint32_t i = 1; i <= FETCHES_MAX; i++) {
        assert_true(transfers_keep(&node, i));
        assert_true(transfers_keep(&node, i)); /* said twice */
    }
    assert_false(transfers_keep(&node, 20));
    transfers_resume(&partition[20]);
    assert_null(partition[20].fetch);
    for (uint32_t i = 1; i <= FETCHES_MAX; i++) {
        transfers_resume(&partition[i]);
        partition[i].fetch->waits = partition[i].fetch->busy = true;
        transfers_resume(&partition[i]); /* it is open once */
    }
    assert_int_equal(fetches, FETCHES_MAX + 1);
    transfers_turn(&node, now);
    for (uint32_t i = 1; i <= FETCHES_MAX; i++) {
        assert_int_equal(partition[i].fetch->turns, 1); /* it sees whether it is needed */
        assert_non_null(transfers_fetch(&partition[20 + i]));
        partition[20 + i].fetch->busy = true;
    }
    assert_null(transfers_fetch(&partition[1])); /* not now: others are being served */
    partition[21].fetch->busy = false;
    transfers_turn(&node, now);
    assert_ptr_equal(transfers_fetch(&partition[1]), partition[1].fetch);
    partition[1].fetch->waits = false;
    assert_null(transfers_fetch(&partition[2]));
    partition[3].fetch->busy = false; /* nobody needs that any more */
    transfers_turn(&node, now);
    assert_null(partition[3].fetch);
}

static void test_group_0_is_never_turned_away(void **state)
{
    (void)state;
    partition[0].source->unused = true;
    for (uint32_t i = 1; i <= SOURCES_MAX + 1; i++) {
        (void)transfers_source(&partition[i]);
        (void)transfers_fetch(&partition[i]);
    }
    assert_non_null(partition[0].source);
    transfers_turn(&node, now); /* nothing to do for any of them */
    assert_non_null(transfers_source(&partition[0]));
    assert_non_null(transfers_fetch(&partition[0]));
    assert_int_equal(sources + fetches, 2);
    assert_int_equal(node.transfers.count, 1);
}

static void test_so_many_groups_take_files_at_a_time(void **state)
{
    (void)state;
    for (uint32_t i = 1; i <= FETCHES_MAX; i++) {
        assert_non_null(transfers_fetch(&partition[i]));
        partition[i].fetch->busy = true;
    }
    assert_null(transfers_fetch(&partition[20]));
    partition[2].fetch->busy = false;
    transfers_turn(&node, now);
    assert_null(partition[2].fetch);
    assert_false(partition[2].transfers);
    assert_non_null(transfers_fetch(&partition[20]));
    assert_null(transfers_fetch(&partition[2]));
}

/* --- Asking --------------------------------------------------------------------------------- */

static void all_ask(void)
{
    for (uint32_t i = 1; i <= FETCHES_MAX; i++) {
        assert_true(transfers_may_ask(&partition[i], now));
    }
}

static void test_so_many_groups_ask_at_a_time(void **state)
{
    (void)state;
    all_ask();
    all_ask(); /* again, in the same places */
    assert_false(transfers_may_ask(&partition[20], now));
    assert_true(transfers_may_ask(&partition[0], now));
}

static void test_who_asked_in_vain_lets_others_ask(void **state)
{
    (void)state;
    all_ask();
    now += 14 * QR_SECOND;
    assert_false(transfers_may_ask(&partition[20], now));
    all_ask();
    now += QR_SECOND;
    assert_false(transfers_may_ask(&partition[1], now)); /* another one waits */
    assert_true(transfers_may_ask(&partition[20], now));
    assert_true(transfers_may_ask(&partition[21], now)); /* the places of those that ask no more */
    now += 3 * QR_SECOND;
    assert_true(transfers_may_ask(&partition[2], now)); /* nobody has waited since */
}

static void test_who_gets_a_file_keeps_its_place(void **state)
{
    (void)state;
    all_ask();
    for (uint32_t i = 1; i <= FETCHES_MAX; i++) {
        transfers_fetch(&partition[i])->hope = true;
        partition[i].fetch->busy = true;
    }
    now += 60 * QR_SECOND;
    assert_false(transfers_may_ask(&partition[20], now));
    partition[3].fetch->busy = false; /* it has what it wanted */
    transfers_turn(&node, now);
    assert_true(transfers_may_ask(&partition[20], now));
    assert_false(transfers_may_ask(&partition[21], now));
}

static void test_who_has_what_it_asked_for_lets_another_ask_at_once(void **state)
{
    (void)state;
    all_ask();
    assert_non_null(transfers_fetch(&partition[3]));
    transfers_turn(&node, now);
    assert_null(partition[3].fetch);
    assert_true(transfers_may_ask(&partition[20], now));
    assert_false(transfers_may_ask(&partition[21], now));
}

/* --- Turns ---------------------------------------------------------------------------------- */

static void test_one_of_them_has_a_slice_and_the_next_one_the_next_turn(void **state)
{
    (void)state;
    for (uint32_t i = 1; i <= 3; i++) {
        transfers_fetch(&partition[i])->works = true;
        partition[i].fetch->busy = true;
        transfers_source(&partition[i])->busy = true;
    }
    for (uint32_t i = 0; i < 4; i++) {
        node.again = false;
        transfers_turn(&node, now);
        assert_true(node.again);
        assert_int_equal(served_count, i + 1);
        assert_int_equal(partition[1].source->turns, i + 1); /* those all have theirs */
    }
    assert_true(node.chores.stays);
    /* Whoever is before the one that works in that turn has nothing to do: group 0. */
    const uint32_t order[] = { 1, 2, 3, 1 };
    assert_memory_equal(served, order, sizeof order);
}

static void test_without_work_no_turn_is_wanted(void **state)
{
    (void)state;
    transfers_turn(&node, now);
    assert_false(node.again);
    assert_false(node.chores.stays);
    transfers_asked(&partition[4], 1, 7);
    partition[4].source->busy = true;
    transfers_turn(&node, now);
    assert_false(node.again);
    assert_true(node.chores.stays);
}

static void test_nothing_is_left_of_who_goes(void **state)
{
    (void)state;
    all_ask();
    for (uint32_t i = 1; i <= 3; i++) {
        (void)transfers_fetch(&partition[i]);
        (void)transfers_source(&partition[i]);
    }
    transfers_close(&partition[1]);
    transfers_close(&partition[9]); /* has nothing */
    assert_null(partition[1].source);
    assert_null(partition[1].fetch);
    assert_false(partition[1].transfers);
    assert_int_equal(node.transfers.count, 3);
    assert_ptr_equal(node.transfers.v[1], &partition[2]); /* the order stays */
    assert_ptr_equal(node.transfers.v[2], &partition[3]);
    assert_true(transfers_may_ask(&partition[20], now)); /* in its place */
    assert_int_equal(sources + fetches, 6);
}

static void test_all_hear_of_a_connection_that_is_lost(void **state)
{
    (void)state;
    (void)transfers_fetch(&partition[1]);
    (void)transfers_source(&partition[2]);
    told_count = 0;
    transfers_peer(&node, 3, false);
    assert_int_equal(told_count, 3);
    assert_int_equal(told[0] + told[1] + told[2], 0 + 1 + 2);
}

/* --- Figures -------------------------------------------------------------------------------- */

static void test_what_is_told_counts_every_group_and_those_that_are_gone(void **state)
{
    (void)state;
    for (uint32_t i = 0; i <= 2; i++) {
        struct fetch_counts counts = { .begun = 1,
                                       .installed = 2,
                                       .resumed = 3,
                                       .bytes = 4,
                                       .refused = 5,
                                       .given_up = 6,
                                       .dropped = 7 };
        transfers_fetch(&partition[i])->figures.counts = counts;
        transfers_source(&partition[i])->figures =
            (struct source_figures){ 1, 2, 3, 4, 5, 6, .memory = 7 };
        partition[i].fetch->busy = partition[i].source->busy = true;
    }
    partition[2].fetch->figures.active = true;
    partition[2].fetch->figures.done = 20;
    partition[1].fetch->busy = partition[1].source->busy = false;
    transfers_turn(&node, now);
    assert_null(partition[1].fetch);
    struct fetch_figures took;
    struct source_figures gave;
    transfers_took(&node, &took);
    transfers_gave(&node, &gave);
    const struct fetch_counts counts = { .begun = 3,
                                         .installed = 6,
                                         .resumed = 9,
                                         .bytes = 12,
                                         .refused = 15,
                                         .given_up = 18,
                                         .dropped = 21 };
    assert_memory_equal(&took.counts, &counts, sizeof counts);
    assert_true(took.active);
    assert_int_equal(took.done, 20);
    const struct source_figures all = { 3, 6, 9, 12, 15, 18, .memory = 14 };
    assert_memory_equal(&gave, &all, sizeof all);
    partition[0].fetch->figures.active = true; /* group 0's is the one that is shown */
    partition[0].fetch->figures.done = 10;
    transfers_took(&node, &took);
    assert_int_equal(took.done, 10);
}

/* --- Alarms --------------------------------------------------------------------------------- */

static void test_trouble_is_over_when_nothing_was_wrong_for_a_while(void **state)
{
    (void)state;
    transfers_trouble(&node, 2);
    transfers_trouble(&node, NODE_NONE);
    now += 14 * QR_SECOND;
    transfers_trouble(&node, 2); /* again */
    transfers_turn(&node, now);
    assert_int_equal(own_over + others_over, 0);
    now += QR_SECOND;
    transfers_turn(&node, now);
    assert_int_equal(own_over, 1);
    assert_int_equal(others_over, 0);
    now += 14 * QR_SECOND;
    transfers_turn(&node, now);
    transfers_turn(&node, now);
    assert_int_equal(own_over, 1);
    assert_int_equal(others_over, 1);
}

#define TRANSFERS_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TRANSFERS_TEST(test_so_many_groups_give_files_at_a_time_beside_group_0),
        TRANSFERS_TEST(test_what_was_received_before_a_restart_is_gone_on_with_U19),
        TRANSFERS_TEST(test_group_0_is_never_turned_away),
        TRANSFERS_TEST(test_so_many_groups_take_files_at_a_time),
        TRANSFERS_TEST(test_so_many_groups_ask_at_a_time),
        TRANSFERS_TEST(test_who_asked_in_vain_lets_others_ask),
        TRANSFERS_TEST(test_who_gets_a_file_keeps_its_place),
        TRANSFERS_TEST(test_who_has_what_it_asked_for_lets_another_ask_at_once),
        TRANSFERS_TEST(test_one_of_them_has_a_slice_and_the_next_one_the_next_turn),
        TRANSFERS_TEST(test_without_work_no_turn_is_wanted),
        TRANSFERS_TEST(test_nothing_is_left_of_who_goes),
        TRANSFERS_TEST(test_all_hear_of_a_connection_that_is_lost),
        TRANSFERS_TEST(test_what_is_told_counts_every_group_and_those_that_are_gone),
        TRANSFERS_TEST(test_trouble_is_over_when_nothing_was_wrong_for_a_while),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
