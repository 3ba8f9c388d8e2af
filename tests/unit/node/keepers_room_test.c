/* What is left free on disk for the next checkpoint (keepers_room.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/limits.h"
#include "node/checkpoint.h"
#include "node/keeper_internal.h"
#include "node/node.h"
#include "node/quota.h"

#define ROOM CHECKPOINT_ROOM_BYTES

struct checkpoint {
    uint64_t bytes;
};

static struct node node;
static struct partition zero, other;
static uint64_t zero_bytes, other_bytes, log_grown, room, left;
static struct partition *all[200];

/* --- The rest of the node ------------------------------------------------------------------- */

qr_slot keeper_slot(const struct keeper *k)
{
    return k->slot;
}

bool keeper_many_terms(const struct node *of, uint32_t group, qr_slot slot)
{
    (void)of, (void)group, (void)slot;
    return false;
}

uint64_t quota_bytes(const struct partition *partition)
{
    return partition == &other ? other_bytes : zero_bytes;
}

uint64_t checkpoint_bytes(const struct checkpoint *checkpoint)
{
    return checkpoint->bytes;
}

uint64_t log_bytes_from(const struct log *log, uint32_t group, qr_slot slot)
{
    (void)log;
    assert_int_equal(slot, 11);
    return group == other.group ? log_grown : 0;
}

void log_leave_free(struct log *log, uint64_t bytes)
{
    (void)log;
    left = bytes;
}

uint64_t log_room(struct log *log)
{
    (void)log;
    return room;
}

/* --- Tests ---------------------------------------------------------------------------------- */

static int begin(void **state)
{
    (void)state;
    node = (struct node){ .zero = &zero };
    zero = (struct partition){ .node = &node, .replica = (void *)&zero };
    other = (struct partition){ .node = &node, .replica = (void *)&other, .group = 7 };
    zero_bytes = 40 * MIB;
    other_bytes = 90 * MIB;
    all[0] = &zero;
    all[1] = &other;
    node.partitions.all = all;
    node.partitions.count = 2;
    log_grown = 0;
    return 0;
}

static void expect_left(uint64_t bytes)
{
    keepers_look_at_room(&node);
    assert_int_equal(left, bytes + ROOM);
}

static void test_room_is_left_for_the_largest(void **state)
{
    (void)state;
    expect_left(90 * MIB);
    other_bytes = 3 * MIB;
    expect_left(40 * MIB);
    other_bytes = 90 * MIB;
    other.replica = NULL; /* its engine is not there */
    expect_left(40 * MIB);
}

/* Few in one look: what has grown counts at once, what has shrunk when all have been looked at. */
static void test_of_many_it_is_the_largest_of_a_round(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 200; i++) {
        all[i] = i == 100 ? &other : &zero;
    }
    node.partitions.count = 200;
    expect_left(40 * MIB);
    expect_left(90 * MIB); /* the look that comes to it */
    for (uint32_t i = 0; i < 8; i++) {
        expect_left(90 * MIB);
    }
    other_bytes = 3 * MIB;
    for (uint32_t i = 0; i < 8; i++) {
        keepers_look_at_room(&node);
    }
    expect_left(40 * MIB);
}

/* Half of what it takes in memory, here. */
static void test_the_last_one_tells_how_large_the_next_will_be(void **state)
{
    (void)state;
    struct keeper keeper = { .node = &node, .partition = &other, .slot = 10 };
    other.keeper = &keeper;
    expect_left(90 * MIB);
    keeper.bytes = 45 * MIB;
    keeper.memory = 90 * MIB;
    expect_left(45 * MIB);
    log_grown = 5 * MIB;
    expect_left(50 * MIB);
    other_bytes = 100 * MIB; /* a few bytes may make a value of many */
    expect_left(60 * MIB);
    log_grown = 90 * MIB; /* of what was written over */
    expect_left(100 * MIB);
    other_bytes = 50 * MIB;
    expect_left(50 * MIB);
}

/* Many small keys are much in memory and little on disk; what comes in their place by few bytes of
 * the log (SETRANGE, COPY) is as much there. */
static void test_what_went_makes_no_room_for_what_came_since(void **state)
{
    (void)state;
    struct keeper keeper = {
        .node = &node, .partition = &other, .slot = 10, .bytes = 20 * MIB, .memory = 90 * MIB
    };
    other.keeper = &keeper;
    zero_bytes = 0;
    expect_left(20 * MIB);
    other_bytes = 10 * MIB;
    expect_left(10 * MIB);
    other_bytes = 80 * MIB;
    expect_left(80 * MIB);
    keeper.bytes = 70 * MIB; /* the next one, which is begun, ... */
    keeper.memory = keeper.memory_begun = 80 * MIB;
    other_bytes = 5 * MIB; /* and is written when much has gone */
    expect_left(5 * MIB);
    keeper.memory = keeper.memory_begun;
    other_bytes = 75 * MIB;
    expect_left(75 * MIB);
}

/* Else clients are refused during each checkpoint where the disk is not three times the state. */
static void test_what_is_written_of_one_needs_no_room_any_more(void **state)
{
    (void)state;
    struct checkpoint checkpoint = { .bytes = 0 };
    struct keeper keeper = { .node = &node, .partition = &zero, .writing = &checkpoint };
    node.keepers.writing = &keeper; /* the other one has its turn later */
    expect_left(40 * MIB);
    checkpoint.bytes = 30 * MIB;
    expect_left(10 * MIB);
    checkpoint.bytes = 41 * MIB;
    expect_left(0);
    node.keepers.writing = NULL;
    expect_left(90 * MIB);
}

static void test_one_had_better_come_before_the_reserve_is_reached(void **state)
{
    (void)state;
    node.config.log_segment_bytes = 8 * MIB;
    for (uint64_t reserve = 0; reserve <= 40 * MIB; reserve += 20 * MIB) {
        node.config.log_reserve_bytes = reserve;
        room = reserve + (reserve < 16 * MIB ? 16 * MIB : reserve);
        keepers_look_at_room(&node);
        assert_false(node.keepers.short_of_room);
        room--;
        keepers_look_at_room(&node);
        assert_true(node.keepers.short_of_room);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_room_is_left_for_the_largest, begin),
        cmocka_unit_test_setup(test_of_many_it_is_the_largest_of_a_round, begin),
        cmocka_unit_test_setup(test_the_last_one_tells_how_large_the_next_will_be, begin),
        cmocka_unit_test_setup(test_what_went_makes_no_room_for_what_came_since, begin),
        cmocka_unit_test_setup(test_what_is_written_of_one_needs_no_room_any_more, begin),
        cmocka_unit_test_setup(test_one_had_better_come_before_the_reserve_is_reached, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
