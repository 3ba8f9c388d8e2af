/* Keeping the log of all groups short (keepers.h, decision 029; L5, L8): whose checkpoint is
 * written when, one at a time, and when entries are carried along instead. The log, the keepers of
 * the groups and their replicas are played by the test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "node/checkpoint_place.h"
#include "node/keeper.h"
#include "node/keeper_internal.h"
#include "node/node.h"
#include "node/replica.h"
#include "node/run.h"
#include "node/snapshot_source.h"

#define GROUPS 40u

struct replica {
    bool held; /* it applies what is durable only */
};

struct source {
    qr_slot wants;
};

static struct node node;
static struct partition partition[GROUPS];
static struct replica replica[GROUPS];
static struct keeper keeper[GROUPS];
static struct source source[GROUPS];
static struct partition *transferring[GROUPS];
static bool due[GROUPS], many[GROUPS];
static uint32_t counted;
static uint32_t considered[GROUPS], reminded[GROUPS], went_on[GROUPS], made, pins;
static uint32_t pin[GROUPS], pin_count; /* who keeps the log longest, as one after the other goes */
static uint64_t position, can_carry, carried;
static uint32_t log_groups, carries;
static struct log_carrying asked;
static uint64_t since[GROUPS], grew[GROUPS];

/* --- The rest of the node ------------------------------------------------------------------- */

struct partition *partition_of_group(const struct node *of, uint32_t group)
{
    (void)of;
    return group < GROUPS ? &partition[group] : NULL;
}

struct keeper *keeper_new(struct partition *p)
{
    made++;
    keeper[p->group] = (struct keeper){ .node = &node, .partition = p };
    return &keeper[p->group];
}

void keeper_turn(struct keeper *k, qr_time now)
{
    (void)now;
    assert_ptr_equal(k, node.zero->keeper);
}

bool keeper_busy(const struct keeper *k)
{
    return k->busy;
}

void keeper_remind(struct keeper *k, qr_time now)
{
    (void)now;
    reminded[k->partition->group]++;
}

bool keeper_consider(struct keeper *k, qr_time now, uint64_t grown)
{
    (void)now;
    grew[k->partition->group] = grown;
    considered[k->partition->group]++;
    assert_null(node.keepers.writing);
    k->partition->replica->held = due[k->partition->group]; /* as it does while it waits */
    return due[k->partition->group];
}

bool keeper_go_on(struct keeper *k, qr_time now)
{
    (void)now;
    went_on[k->partition->group]++;
    return k->busy;
}

qr_slot keeper_slot(const struct keeper *k)
{
    return k->slot;
}

bool keeper_many_terms(const struct node *of, uint32_t group, qr_slot slot)
{
    assert_ptr_equal(of, &node);
    assert_int_equal(slot, keeper[group].slot);
    counted++;
    return many[group];
}

void replica_apply_durable_only(struct replica *r, bool on)
{
    r->held = on;
}

qr_slot source_wants(const struct source *s)
{
    return s != NULL ? s->wants : 0;
}

uint32_t log_group_count(const struct log *log)
{
    (void)log;
    return log_groups;
}

uint64_t log_position(const struct log *log)
{
    (void)log;
    return position;
}

uint64_t log_carry(struct log *log, const struct log_carrying *carrying)
{
    (void)log;
    carries++;
    asked = *carrying;
    uint64_t n = min_u64(can_carry, carrying->bytes);
    can_carry -= n;
    carried += n;
    position += n;
    return n;
}

uint64_t log_bytes_from(const struct log *log, uint32_t group, qr_slot slot)
{
    (void)log;
    assert_int_equal(slot, keeper[group].slot + 1);
    return since[group];
}

bool log_pin(struct log *log, uint32_t *group, uint64_t *bytes)
{
    (void)log;
    *bytes = 100;
    *group = pin_count == 0 ? 0 : pin[pins < pin_count ? pins : pin_count - 1];
    pins++;
    return pin_count > 0;
}

bool log_group_state(struct log *log, uint32_t group, struct log_group *out)
{
    (void)log, (void)out;
    return group == 5;
}

static struct checkpoint_keeping keeping;
static uint32_t lines;

int checkpoint_clean(struct io *io, const char *dir, const struct checkpoint_keeping *k)
{
    (void)io, (void)dir;
    keeping = *k;
    return 0;
}

bool transfers_keep(struct node *of, uint32_t group)
{
    assert_ptr_equal(of, &node);
    return group == 5;
}

void node_log(struct node *of, enum node_log_level level, const char *format, ...)
{
    (void)of, (void)level, (void)format;
    lines++;
}

static int begin(void **state)
{
    static struct measure measure;
    (void)state;
    node = (struct node){ .zero = &partition[0], .measure = &measure };
    node.config.checkpoint_bytes = 64 * MIB;
    node.transfers.v = transferring;
    memset(due, 0, sizeof due);
    memset(many, 0, sizeof many);
    memset(keeper, 0, sizeof keeper);
    counted = 0;
    memset(since, 0, sizeof since);
    memset(considered, 0, sizeof considered);
    memset(reminded, 0, sizeof reminded);
    memset(went_on, 0, sizeof went_on);
    memset(replica, 0, sizeof replica);
    memset(source, 0, sizeof source);
    for (uint32_t i = 0; i < GROUPS; i++) {
        partition[i] = (struct partition){
            .node = &node, .group = i, .replica = &replica[i], .source = &source[i]
        };
    }
    partition[0].keeper = keeper_new(&partition[0]);
    made = pins = pin_count = carries = 0;
    can_carry = carried = 0;
    position = 0;
    log_groups = GROUPS;
    return 0;
}

static void turn(qr_time now)
{
    pins = 0;
    node.again = node.chores.stays = false;
    keepers_turn(&node, now);
}

static void pinned_by(uint32_t from, uint32_t to)
{
    for (pin_count = 0; from + pin_count <= to; pin_count++) {
        pin[pin_count] = from + pin_count;
    }
}

static void wanted(uint32_t group)
{
    source[group].wants = 7;
    transferring[node.transfers.count++] = &partition[group];
}

/* --- Checkpoints ---------------------------------------------------------------------------- */

static void test_the_turn_of_the_group_that_keeps_the_log_longest(void **state)
{
    (void)state;
    pinned_by(5, 8);
    due[7] = due[8] = true;
    turn(1);
    assert_ptr_equal(node.keepers.holding, &keeper[7]);
    assert_int_equal(reminded[5], 1); /* that alone may let some of the log go */
    assert_int_equal(considered[8], 0);
    assert_true(node.chores.stays);
}

static void test_whom_a_member_waits_for_comes_first_and_the_next_one_the_next_time(void **state)
{
    (void)state;
    pinned_by(5, 5);
    due[5] = due[10] = due[11] = true;
    wanted(10);
    wanted(11);
    turn(1);
    assert_ptr_equal(node.keepers.holding, &keeper[10]);
    assert_int_equal(considered[5], 0);
    node.transfers.first++;
    turn(2);
    assert_ptr_equal(node.keepers.holding, &keeper[11]);
    source[10].wants = source[11].wants = 0;
    turn(3);
    assert_ptr_equal(node.keepers.holding, &keeper[5]);
}

/* Idle groups keep no log to speak of, and each start of all nodes is a term. */
static void test_the_turn_of_those_whose_log_holds_many_terms(void **state)
{
    (void)state;
    static struct partition *all[GROUPS];
    for (uint32_t i = 0; i < GROUPS; i++) {
        all[i] = &partition[i];
    }
    node.partitions.all = all;
    node.partitions.count = GROUPS;
    turn(QR_SECOND);
    assert_int_equal(counted, GROUPS - 1); /* of each once; group 0 looks for itself */
    assert_int_equal(made, 0);
    turn(QR_SECOND + 1);
    assert_int_equal(counted, GROUPS - 1); /* not each turn */
    many[0] = many[9] = many[20] = due[0] = due[9] = due[20] = true;
    turn(2 * QR_SECOND);
    assert_ptr_equal(node.keepers.holding, &keeper[9]);
    assert_true(keeper[9].many_terms);
    turn(2 * QR_SECOND + 1); /* it waits for its disk */
    assert_ptr_equal(node.keepers.holding, &keeper[9]);
    assert_int_equal(considered[20], 0);
    many[9] = false; /* it has one */
    turn(2 * QR_SECOND + 2);
    assert_ptr_equal(node.keepers.holding, &keeper[20]);
    assert_int_equal(considered[0], 0);
}

/* A replica that applied no more than is durable would stay behind for nothing. */
static void test_who_is_not_to_have_one_any_more_applies_on(void **state)
{
    (void)state;
    pinned_by(5, 5);
    due[5] = true;
    turn(1);
    turn(2);
    assert_true(replica[5].held);
    pin[0] = 6; /* its log has gone by other means */
    turn(3);
    assert_false(replica[5].held);
    assert_null(node.keepers.holding);
    assert_false(node.chores.stays);
}

static void test_one_at_a_time(void **state)
{
    (void)state;
    pinned_by(5, 8);
    due[5] = true;
    keeper[9] = (struct keeper){ .node = &node, .partition = &partition[9], .busy = true };
    node.keepers.writing = &keeper[9];
    turn(1);
    assert_int_equal(considered[5], 0);
    assert_int_equal(went_on[9], 1);
    assert_true(node.again);
    keeper[9].busy = false; /* it waits for its disk */
    turn(2);
    assert_false(node.again);
    assert_true(node.chores.stays);
    node.keepers.writing = NULL;
    node.keepers.not_before = 10;
    turn(9);
    assert_int_equal(considered[5], 0);
    turn(10);
    assert_int_equal(considered[5], 1);
}

/* Else one follows the other for as long as a member is down. */
static void test_what_a_slow_member_keeps_is_not_worth_another(void **state)
{
    (void)state;
    pinned_by(5, 5); /* 100 bytes */
    turn(1);
    assert_int_equal(grew[5], 100); /* the log knows no entry behind it */
    keeper[5].slot = 8;
    since[5] = 30;
    turn(2);
    assert_int_equal(grew[5], 30);
}

/* Group 0's goes on by itself: keeper_turn. */
static void test_group_0s_goes_on_by_itself(void **state)
{
    (void)state;
    pinned_by(5, 8);
    node.keepers.writing = node.zero->keeper;
    node.zero->keeper->busy = true;
    turn(1);
    assert_int_equal(went_on[0], 0);
    assert_int_equal(considered[5], 0);
    assert_true(node.again);
}

static void test_a_turn_looks_at_so_many_and_no_more(void **state)
{
    (void)state;
    pinned_by(5, 39);
    turn(1);
    assert_int_equal(pins, 16);
    assert_int_equal(considered[20], 1);
    assert_int_equal(considered[21], 0);
    pinned_by(5, 6);
    turn(2); /* telling the protocol of 6 has let nothing go */
    assert_int_equal(considered[6], 2);
    assert_int_equal(pins, 3);
}

static void test_who_cannot_have_one_holds_up_the_look_and_has_no_keeper(void **state)
{
    (void)state;
    pinned_by(5, 5);
    due[5] = true;
    partition[5].loading = true; /* its log is repaired */
    turn(1);
    partition[5].loading = false;
    partition[5].replica = NULL;
    turn(2);
    pin[0] = 0; /* group 0's is due when it is */
    turn(3);
    pin[0] = GROUPS; /* a group that is not there any more */
    turn(4);
    assert_int_equal(made, 0);
    pin[0] = 6;
    turn(5);
    turn(6);
    assert_int_equal(made, 1); /* and is not made again */
}

static void test_nothing_is_done_for_others_where_there_are_none(void **state)
{
    (void)state;
    pinned_by(5, 8);
    position = 100 * MIB;
    log_groups = 1;
    turn(1);
    log_groups = GROUPS;
    node.failed = true;
    turn(2);
    assert_int_equal(pins + carries, 0);
}

/* --- Carrying ------------------------------------------------------------------------------- */

static void test_entries_are_carried_when_the_log_has_grown(void **state)
{
    (void)state;
    position = CARRY_STEP_BYTES - 1;
    turn(1);
    assert_int_equal(carries, 0);
    position = 100 * MIB;
    can_carry = CARRY_TURN_BYTES + 1;
    turn(2);
    assert_int_equal(asked.before, 68 * MIB); /* half a checkpoint's worth behind */
    assert_int_equal(asked.group_bytes, CARRY_GROUP_BYTES_MAX);
    assert_int_equal(carried, CARRY_TURN_BYTES);
    assert_true(node.chores.stays); /* the rest */
    turn(3);
    assert_int_equal(carried, CARRY_TURN_BYTES + 1);
    assert_false(node.chores.stays);
    turn(4);
    assert_int_equal(carries, 2);
    position += CARRY_STEP_BYTES;
    turn(5);
    assert_int_equal(carries, 3);
}

/* All of them together are a small part of what is written meanwhile (U15). */
static void test_of_many_groups_less_is_carried_each(void **state)
{
    (void)state;
    log_groups = 10000;
    position = 100 * MIB;
    turn(1);
    assert_in_range(asked.group_bytes * log_groups, 1, 32 * MIB / CARRY_PART);
}

static void test_a_full_disk_carries_nothing(void **state)
{
    (void)state;
    position = 100 * MIB;
    node.space = LOG_SPACE_NONE;
    turn(1);
    assert_int_equal(carries, 0);
}

/* --- The start ------------------------------------------------------------------------------ */

static void test_files_of_groups_that_the_log_does_not_know_go(void **state)
{
    (void)state;
    assert_int_equal(keepers_clean(&node), 0);
    assert_ptr_equal(keeping.context, &node);
    assert_true(keeping.is_known(&node, 5));
    assert_false(keeping.is_known(&node, 6));
    lines = 0;
    assert_true(keeping.is_gone_on_with(&node, 5));
    assert_int_equal(lines, 0);
    assert_false(keeping.is_gone_on_with(&node, 7)); /* there are too many */
    assert_int_equal(lines, 1);
}

#define KEEPERS_TEST(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        KEEPERS_TEST(test_the_turn_of_the_group_that_keeps_the_log_longest),
        KEEPERS_TEST(test_the_turn_of_those_whose_log_holds_many_terms),
        KEEPERS_TEST(test_whom_a_member_waits_for_comes_first_and_the_next_one_the_next_time),
        KEEPERS_TEST(test_who_is_not_to_have_one_any_more_applies_on),
        KEEPERS_TEST(test_one_at_a_time),
        KEEPERS_TEST(test_what_a_slow_member_keeps_is_not_worth_another),
        KEEPERS_TEST(test_group_0s_goes_on_by_itself),
        KEEPERS_TEST(test_a_turn_looks_at_so_many_and_no_more),
        KEEPERS_TEST(test_who_cannot_have_one_holds_up_the_look_and_has_no_keeper),
        KEEPERS_TEST(test_nothing_is_done_for_others_where_there_are_none),
        KEEPERS_TEST(test_entries_are_carried_when_the_log_has_grown),
        KEEPERS_TEST(test_of_many_groups_less_is_carried_each),
        KEEPERS_TEST(test_a_full_disk_carries_nothing),
        KEEPERS_TEST(test_files_of_groups_that_the_log_does_not_know_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
