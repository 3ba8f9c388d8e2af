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
static uint64_t zero_bytes, other_bytes, room, left;
static uint32_t pin;

/* --- The rest of the node ------------------------------------------------------------------- */

uint64_t quota_bytes(const struct partition *partition)
{
    return partition == &zero ? zero_bytes : other_bytes;
}

uint64_t checkpoint_bytes(const struct checkpoint *checkpoint)
{
    return checkpoint->bytes;
}

struct partition *partition_of_group(const struct node *of, uint32_t group)
{
    (void)of;
    return group == other.group ? &other : NULL;
}

bool log_pin(struct log *log, uint32_t *group, uint64_t *bytes)
{
    (void)log;
    *group = pin;
    *bytes = 1;
    return true;
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
    pin = 0;
    return 0;
}

static void expect_left(uint64_t bytes)
{
    keepers_look_at_room(&node);
    assert_int_equal(left, bytes + ROOM);
}

static void test_room_is_left_for_the_largest_that_may_be_next(void **state)
{
    (void)state;
    expect_left(40 * MIB);
    pin = 7;
    expect_left(90 * MIB);
    other_bytes = 3 * MIB;
    expect_left(40 * MIB);
    other_bytes = 90 * MIB;
    other.replica = NULL; /* its engine is not there */
    expect_left(40 * MIB);
    pin = 8;
    expect_left(40 * MIB);
}

/* Else clients are refused during each checkpoint where the disk is not three times the state. */
static void test_what_is_written_of_one_needs_no_room_any_more(void **state)
{
    (void)state;
    struct checkpoint checkpoint = { .bytes = 0 };
    struct keeper keeper = { .node = &node, .partition = &zero, .writing = &checkpoint };
    node.keepers.writing = &keeper;
    pin = 7; /* it has its turn later */
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
        cmocka_unit_test_setup(test_room_is_left_for_the_largest_that_may_be_next, begin),
        cmocka_unit_test_setup(test_what_is_written_of_one_needs_no_room_any_more, begin),
        cmocka_unit_test_setup(test_one_had_better_come_before_the_reserve_is_reached, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
