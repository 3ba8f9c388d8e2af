/* R7: where a small file of the data directory cannot be written, synced or deleted and something
 * depends on it, the node stops; where there is only no room for it, it goes on and tries again.
 * The quarantine, the members and the identity are real, the disk fails as it is told to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/alarm.h"
#include "node/checkpoint.h"
#include "node/keeper.h"
#include "node/members.h"
#include "node/node.h"
#include "node/peers.h"
#include "node/damage.h"
#include "node/quarantine.h"
#include "node/repair.h"
#include "node/snapshot_fetch.h"
#include "node/transfers.h"
#include "node/replica.h"
#include "node/reports.h"
#include "node/run.h"
#include "node/snapshot_source.h"

static struct node *node;
static char dir[64];
static qr_time now;
static struct roster roster, applied_roster;
static uint32_t warnings;
static bool saves;
static checkpoint_done *saved;

/* --- The disk ------------------------------------------------------------------------------- */

enum disk_op { OPEN, LOOK, FILE_SYNC, DIR_SYNC, UNLINK, MKDIR, OPS };
static int fails[OPS]; /* with this error, until it is 0 */
static uint32_t done[OPS];

static int disk(enum disk_op op)
{
    done[op] += fails[op] == 0;
    return fails[op];
}

int __real_io_file_open(struct io *io, const char *path, unsigned flags, struct io_file **out);
int __wrap_io_file_open(struct io *io, const char *path, unsigned flags, struct io_file **out);
int __real_io_file_sync(struct io_file *file);
int __wrap_io_file_sync(struct io_file *file);
int __real_io_sync_dir(struct io *io, const char *path);
int __wrap_io_sync_dir(struct io *io, const char *path);
int __real_io_unlink(struct io *io, const char *path);
int __wrap_io_unlink(struct io *io, const char *path);
int __real_io_mkdir(struct io *io, const char *path);
int __wrap_io_mkdir(struct io *io, const char *path);
qr_time __wrap_io_now(struct io *io);

int __wrap_io_file_open(struct io *io, const char *path, unsigned flags, struct io_file **out)
{
    int error = disk((flags & IO_CREATE) != 0 ? OPEN : LOOK);
    return error != 0 ? error : __real_io_file_open(io, path, flags, out);
}

int __wrap_io_file_sync(struct io_file *file)
{
    int error = disk(FILE_SYNC);
    return error != 0 ? error : __real_io_file_sync(file);
}

int __wrap_io_sync_dir(struct io *io, const char *path)
{
    int error = disk(DIR_SYNC);
    return error != 0 ? error : __real_io_sync_dir(io, path);
}

int __wrap_io_unlink(struct io *io, const char *path)
{
    int error = disk(UNLINK);
    return error != 0 ? error : __real_io_unlink(io, path);
}

int __wrap_io_mkdir(struct io *io, const char *path)
{
    int error = disk(MKDIR);
    return error != 0 ? error : __real_io_mkdir(io, path);
}

qr_time __wrap_io_now(struct io *io)
{
    (void)io;
    return now;
}

/* --- The rest of the node ------------------------------------------------------------------- */

void node_log(struct node *n, enum node_log_level level, const char *format, ...)
{
    (void)n, (void)format;
    warnings += level == NODE_LOG_WARNING;
}

void node_fail(struct node *n, const char *why)
{
    assert_non_null(why);
    n->failed = true;
}

void alarm_raise(struct node *n, enum alarm_kind kind, const char *format, ...)
{
    (void)n, (void)kind, (void)format;
}

void alarm_clear(struct node *n, enum alarm_kind kind)
{
    (void)n, (void)kind;
}

void health_tell(struct node *n, node_index to)
{
    (void)n, (void)to;
}

void damage_log(struct partition *p, enum node_log_level level, const char *format, ...)
{
    (void)p, (void)format;
    warnings += level == NODE_LOG_WARNING;
}

void damage_prefix(const struct partition *p, char out[PARTITION_PREFIX_BYTES])
{
    (void)p;
    out[0] = 0;
}

bool fetch_has_hope(const struct fetch *f, qr_time at)
{
    return f == NULL && at < 0;
}

bool peers_connected(const struct peers *peers, node_index peer)
{
    return peers != NULL && peer == NODE_NONE;
}

bool transfers_may_ask(struct partition *p, qr_time at)
{
    (void)p, (void)at;
    return false;
}

void repair_ask_for_state(struct partition *p, node_index to, qr_slot least)
{
    (void)p, (void)to, (void)least;
    fail();
}

void source_distrust(struct source *source)
{
    (void)source;
}

bool keeper_is_quiet(struct keeper *keeper)
{
    (void)keeper;
    return true;
}

void replica_freeze(struct replica *r, bool on)
{
    (void)r, (void)on;
}

void replica_admin(struct replica *r, enum admin_kind kind, uint64_t value)
{
    (void)r, (void)kind, (void)value;
}

qr_slot replica_applied(const struct replica *r)
{
    (void)r;
    return 9;
}

qr_slot replica_state(const struct replica *r) __attribute__((alias("replica_applied")));

qr_term replica_applied_term(const struct replica *r)
{
    (void)r;
    return 2;
}

void replica_outlook(const struct replica *r, struct outlook *out)
{
    (void)r;
    *out = (struct outlook){ .role = ROLE_FOLLOWER };
}

uint32_t replica_roster_changes(const struct replica *r)
{
    (void)r;
    return 0;
}

bool replica_has_removed(const struct replica *r, const uint8_t uuid[16])
{
    (void)r, (void)uuid;
    return false;
}

void reports_passed(struct node *n, node_index index)
{
    (void)n, (void)index;
}

bool replica_leads(const struct replica *r)
{
    (void)r;
    return false;
}

const struct roster *replica_roster(const struct replica *r, qr_slot *slot)
{
    (void)r;
    *slot = 1;
    return &roster;
}

const struct roster *replica_applied_roster(const struct replica *r, qr_slot *slot)
{
    (void)r;
    *slot = 1;
    return &applied_roster;
}

bool peers_leave(struct peers *peers, node_index index, bool at_once)
{
    (void)peers, (void)index, (void)at_once;
    return false;
}

void peers_stay(struct peers *peers, node_index index)
{
    (void)peers, (void)index;
}

void peers_known(struct peers *peers)
{
    (void)peers;
}

void peers_retire(struct peers *peers)
{
    (void)peers;
}

void peers_tell_group(struct peers *peers, node_index to, uint32_t group, uint8_t kind,
                      struct span head)
{
    (void)peers, (void)to, (void)group, (void)kind, (void)head;
}

uint64_t engine_rolling_digest(struct engine *engine)
{
    (void)engine;
    return 1;
}

struct checkpoint *checkpoint_start(struct io *io, const char *in, struct engine *engine,
                                    const struct checkpoint_header *header, checkpoint_done *cb,
                                    void *context)
{
    (void)io, (void)in, (void)engine, (void)header, (void)context;
    saves = true;
    saved = cb;
    return (struct checkpoint *)&saves; /* never looked into */
}

bool checkpoint_step(struct checkpoint *checkpoint, qr_time budget)
{
    (void)checkpoint, (void)budget;
    return false;
}

void checkpoint_abort(struct checkpoint *checkpoint)
{
    (void)checkpoint;
}

int checkpoint_forget_spare(struct io *io, const char *in, uint32_t group)
{
    (void)io, (void)in, (void)group;
    return 0;
}

/* --- Tools ---------------------------------------------------------------------------------- */

node_index replica_me(const struct replica *r)
{
    (void)r;
    return 0;
}

qr_wall engine_log_time(const struct engine *engine)
{
    (void)engine;
    return 0;
}

void schedule_wake(struct partition *partition)
{
    (void)partition;
    fail();
}

static int setup(void **state)
{
    (void)state;
    char message[512];
    node = calloc(1, sizeof *node);
    memset(fails, 0, sizeof fails);
    memset(done, 0, sizeof done);
    warnings = 0;
    saves = false;
    now = QR_SECOND;
    strcpy(dir, "/tmp/disk-failed-XXXXXX");
    assert_non_null(mkdtemp(dir));
    node->io = io_new();
    node->zero = calloc(1, sizeof *node->zero);
    node->zero->node = node;
    node->zero->awake = true;
    struct config *config = &node->config;
    strcpy(config->dir, dir);
    strcpy(config->cluster_id, "00112233445566778899aabbccddeeff");
    config->port = 7001;
    config->node_id = 1;
    config->member_count = 2;
    config->bootstrap = true;
    for (uint32_t i = 0; i < 2; i++) {
        struct member_config *m = &config->members[i];
        *m = (struct member_config){ .id = i + 1, .client_port = (uint16_t)(7001 + i) };
        strcpy(m->address, "127.0.0.1");
    }
    assert_true(identity_open(node->io, config, &node->identity, message, sizeof message));
    identity_roster(&node->identity, &roster);
    applied_roster = roster;
    memcpy(node->known, roster.node, sizeof node->known);
    quarantine_open(node->zero);
    assert_false(node->zero->quarantined);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    static const char *const names[] = { "identity",    "identity.new", "lock",
                                         "quarantined", "quarantine",   "" };
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        char path[200];
        (void)snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        (void)remove(path);
    }
    identity_close(&node->identity);
    io_free(node->io);
    quarantine_free(node->zero);
    free(node->zero);
    free(node);
    return 0;
}

static bool is_there(const char *name)
{
    char path[200];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *file = fopen(path, "re");
    if (file != NULL) {
        (void)fclose(file);
    }
    return file != NULL;
}

/* Two others agree on another state. */
static void outvote(void)
{
    quarantine_note_state(node->zero, 9);
    for (node_index i = 1; i < 3; i++) {
        uint8_t head[17];
        struct wire_writer w = wire_writer(head, sizeof head);
        wire_put_u8(&w, 1);
        wire_put_u64(&w, 9);
        wire_put_u64(&w, 77);
        assert_true(quarantine_receive(node->zero, i, span_of(head, w.n)));
    }
    assert_true(node->zero->quarantined);
}

static void later(void)
{
    now += QR_SECOND;
    (void)quarantine_turn(node->zero, now);
}

static uint32_t meet_a_new_directory(void)
{
    struct greeting g = { .from = 2, .uuid = { 5 } };
    struct claim claim = { .made = false };
    node_index index = NODE_NONE;
    return members_meet(node, &g, &claim, &index);
}

/* --- Quarantine ----------------------------------------------------------------------------- */

/* INFO and metrics may be asked for before the node has had a turn. */
static void test_group_0_can_be_told_of_before_its_first_turn_U27(void **state)
{
    (void)state;
    struct partition other = { .node = node, .group = 3 };
    assert_non_null(node->zero->quarantine);
    quarantine_open(&other);
    assert_null(other.quarantine);
}

static void test_a_mark_that_cannot_be_looked_for_is_looked_for_again_R7_U27(void **state)
{
    (void)state;
    fails[LOOK] = -EIO;
    quarantine_open(node->zero);
    quarantine_start(node->zero);
    later();
    assert_true(node->zero->quarantined);
    fails[LOOK] = 0;
    later();
    assert_false(node->zero->quarantined || node->failed);
    outvote();
    node->zero->quarantine->unseen = true;
    later();
    assert_true(node->zero->quarantined && is_there("quarantined"));
}

static void test_a_mark_that_a_broken_disk_does_not_take_stops_the_node_R7_U27(void **state)
{
    (void)state;
    fails[DIR_SYNC] = -EIO;
    outvote();
    assert_true(node->failed);
}

static void test_a_mark_on_a_read_only_disk_stops_the_node_R7_U27(void **state)
{
    (void)state;
    fails[OPEN] = -EROFS;
    outvote();
    assert_true(node->failed);
}

static void test_a_mark_that_finds_no_room_is_made_when_there_is_R7_U27(void **state)
{
    (void)state;
    fails[OPEN] = -ENOSPC;
    outvote();
    later();
    assert_false(node->failed);
    assert_int_not_equal(warnings, 0);
    assert_false(is_there("quarantined"));
    fails[OPEN] = 0;
    later();
    assert_true(is_there("quarantined"));
    uint32_t syncs = done[DIR_SYNC];
    later();
    assert_int_equal(done[DIR_SYNC], syncs); /* once is enough */
}

static void test_a_mark_whose_name_was_not_durable_is_synced_again_R7_U27(void **state)
{
    (void)state;
    fails[DIR_SYNC] = -ENOSPC;
    outvote();
    assert_true(is_there("quarantined"));
    fails[DIR_SYNC] = 0;
    uint32_t syncs = done[DIR_SYNC];
    later();
    assert_int_equal(done[DIR_SYNC], syncs + 1);
}

static void test_a_mark_that_cannot_be_removed_stops_the_node_R7_U27(void **state)
{
    (void)state;
    outvote();
    fails[UNLINK] = -EIO;
    quarantine_end(node->zero);
    assert_true(node->failed);
}

static void test_a_mark_whose_end_is_not_durable_stops_the_node_R7_U27(void **state)
{
    (void)state;
    outvote();
    fails[DIR_SYNC] = -EIO;
    quarantine_end(node->zero);
    assert_true(node->failed);
}

static void end_saving(enum checkpoint_result result)
{
    outvote();
    later();
    assert_true(saves);
    assert_false(quarantine_may_end(node->zero));
    struct checkpoint_header header = { .slot = 9 };
    saved(node->zero, result, &header, "as the disk says");
    assert_true(quarantine_may_end(node->zero));
}

static void test_a_state_that_a_broken_disk_does_not_take_stops_the_node_R7_U27(void **state)
{
    (void)state;
    end_saving(CHECKPOINT_FAILED);
    assert_true(node->failed);
}

static void test_a_state_that_finds_no_room_is_not_saved_R7_U27(void **state)
{
    (void)state;
    end_saving(CHECKPOINT_ABANDONED);
    assert_false(node->failed);
    assert_int_not_equal(warnings, 0);
}

static void test_a_directory_that_cannot_be_made_stops_the_node_R7_U27(void **state)
{
    (void)state;
    outvote();
    fails[MKDIR] = -EIO;
    later();
    assert_true(node->failed);
}

/* --- Identity ------------------------------------------------------------------------------- */

static void test_a_removal_that_cannot_be_noted_down_stops_the_node_R7_L8(void **state)
{
    (void)state;
    fails[FILE_SYNC] = -EIO;
    members_removed(node, "for a test");
    assert_true(node->failed);
}

static void test_a_removal_that_finds_no_room_is_in_force_R7_L8(void **state)
{
    (void)state;
    fails[OPEN] = -ENOSPC;
    members_removed(node, "for a test");
    assert_false(node->failed);
    assert_true(node->removed);
}

static void test_a_directory_that_cannot_be_noted_down_stops_the_node_R7_L8(void **state)
{
    (void)state;
    fails[FILE_SYNC] = -EIO;
    assert_int_equal(meet_a_new_directory(), MEMBERS_NOT_SAVED);
    assert_true(node->failed);
}

static void test_a_directory_without_room_to_be_noted_down_comes_again_R7_L8(void **state)
{
    (void)state;
    fails[OPEN] = -ENOSPC;
    assert_int_equal(meet_a_new_directory(), MEMBERS_NOT_SAVED);
    assert_false(node->failed);
    fails[OPEN] = 0;
    assert_int_equal(meet_a_new_directory(), MEMBERS_WELCOME);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_group_0_can_be_told_of_before_its_first_turn_U27),
        TEST(test_a_mark_that_cannot_be_looked_for_is_looked_for_again_R7_U27),
        TEST(test_a_mark_that_a_broken_disk_does_not_take_stops_the_node_R7_U27),
        TEST(test_a_mark_on_a_read_only_disk_stops_the_node_R7_U27),
        TEST(test_a_mark_that_finds_no_room_is_made_when_there_is_R7_U27),
        TEST(test_a_mark_whose_name_was_not_durable_is_synced_again_R7_U27),
        TEST(test_a_mark_that_cannot_be_removed_stops_the_node_R7_U27),
        TEST(test_a_mark_whose_end_is_not_durable_stops_the_node_R7_U27),
        TEST(test_a_state_that_a_broken_disk_does_not_take_stops_the_node_R7_U27),
        TEST(test_a_state_that_finds_no_room_is_not_saved_R7_U27),
        TEST(test_a_directory_that_cannot_be_made_stops_the_node_R7_U27),
        TEST(test_a_removal_that_cannot_be_noted_down_stops_the_node_R7_L8),
        TEST(test_a_removal_that_finds_no_room_is_in_force_R7_L8),
        TEST(test_a_directory_that_cannot_be_noted_down_stops_the_node_R7_L8),
        TEST(test_a_directory_without_room_to_be_noted_down_comes_again_R7_L8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
