#include "node/damage.h"

#include "node/alarm.h"
#include "node/checkpoint.h"
#include "node/keeper.h"
#include "node/node.h"
#include "node/repair.h"
#include "node/run.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define GROUP 0u

static void path_of(const struct node *node, char *path, size_t cap, const char *name)
{
    (void)snprintf(path, cap, "%s/%s", node->config.dir, name);
}

/* --- The mark ------------------------------------------------------------------------------- */

/* 1: it is there, 0: it is not; negative: nobody knows, and a guess could cost what a vote cost. */
static int is_there(const struct node *node, const char *name)
{
    char path[1100];
    struct io_file *file = NULL;
    path_of(node, path, sizeof path, name);
    int error = io_file_open(node->io, path, 0, &file);
    if (error < 0) {
        return error == -ENOENT ? 0 : error;
    }
    io_file_close(file);
    return 1;
}

int damage_mark(struct node *node, const char *why)
{
    char path[1100];
    struct io_file *file = NULL;
    node->forgetful = true;
    int marked = is_there(node, FORGETFUL_FILE);
    if (marked != 0) { /* the life that wrote it may have ended before its name was durable */
        return marked < 0 ? marked : io_sync_dir(node->io, node->config.dir);
    }
    node_log(node, NODE_LOG_WARNING,
             "This node has forgotten what it promised, and neither votes nor counts until the "
             "others have brought it up to date: %s",
             why);
    path_of(node, path, sizeof path, FORGETFUL_FILE);
    int error = io_failpoint(node->io, FAIL_FORGETFUL_MARK);
    error = error < 0 ? error : io_file_open(node->io, path, IO_CREATE | IO_WRITE, &file);
    if (error < 0) {
        return error;
    }
    int64_t n = io_file_pwrite(file, why, strlen(why), 0);
    error = n < 0 ? (int)n : io_file_sync(file);
    io_file_close(file);
    error = error < 0 ? error : io_sync_dir(node->io, node->config.dir);
    (void)io_failpoint(node->io, FAIL_FORGETFUL_MARKED);
    return error;
}

/* What was kept for evidence goes when the node counts and has another checkpoint. */
static void drop_kept_checkpoint(struct node *node)
{
    char path[1100];
    if (node->zero->kept_checkpoint && keeper_slot(node->zero->keeper) > 0) {
        node->zero->kept_checkpoint = false;
        path_of(node, path, sizeof path, CHECKPOINT_DAMAGED_FILE);
        (void)io_unlink(node->io, path);
    }
}

void damage_turn(struct node *node)
{
    struct outlook outlook;
    if (!node->forgetful) {
        drop_kept_checkpoint(node);
        return;
    }
    replica_outlook(node->zero->replica, &outlook);
    if (!outlook.forgetful && !holding_is_complete(node)) {
        return; /* what other groups have lost is not remembered by themselves yet */
    }
    if (outlook.forgetful) {
        alarm_raise(node, ALARM_DAMAGED,
                    "it has forgotten what it promised, see its directory's "
                    "file `forgetful`");
        return;
    }
    char path[1100];
    path_of(node, path, sizeof path, FORGETFUL_FILE);
    (void)io_failpoint(node->io, FAIL_FORGETFUL_ENDS);
    int error = io_unlink(node->io, path);
    error = error < 0 ? error : io_sync_dir(node->io, node->config.dir);
    if (error < 0 && error != -ENOENT) {
        node_fail(node, "the file `forgetful` cannot be removed");
        return;
    }
    (void)io_failpoint(node->io, FAIL_FORGETFUL_ENDED);
    node->forgetful = false;
    alarm_clear(node, ALARM_DAMAGED);
    log_drop_damaged(node->log);
    node_log(node, NODE_LOG_NOTICE, "This node has recovered: it votes and counts again");
}

/* --- Who could help ------------------------------------------------------------------------- */

/* The last roster that the log states, as far as it can be read. */
static bool roster_of_log(struct node *node, struct roster *out)
{
    struct log_group group = { 0 };
    struct span records;
    struct record record;
    (void)log_group_state(node->log, GROUP, &group);
    qr_slot slot = group.members_count > 0 ? group.members[group.members_count - 1] : 0;
    return slot > 0 && log_read(node->log, GROUP, slot, slot + 1, 1, &records) == 1 &&
           record_read(records, &record) > 0 && roster_read(record.payload, out);
}

/* Whether this node is the only one that decides, as far as it knows: nobody could bring it up. */
static bool is_alone(struct node *node, const struct replica_base *base)
{
    struct roster roster = base->roster;
    (void)roster_of_log(node, &roster);
    uint16_t me = (uint16_t)(1u << identity_me(&node->identity));
    uint16_t voters = membership_voters(&roster.members);
    uint16_t known = 0;
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        known = (uint16_t)(known | (node->identity.members[i].id != 0 ? 1u << i : 0));
    }
    return ((voters != 0 ? voters : known) & (uint16_t)~me) == 0;
}

static bool refuse(char *message, size_t cap, const char *what)
{
    char why[600];
    (void)snprintf(why, sizeof why, "%s", what);
    (void)snprintf(message, cap,
                   "%s. No other member could repair this node, so it does not start: restore the "
                   "directory from a backup, or keep it for diagnosis and bootstrap a new one",
                   why);
    return false;
}

static bool failed(char *message, size_t cap, const char *what, int error)
{
    (void)snprintf(message, cap, "%s: %s", what, strerror(-error));
    return false;
}

/* --- The checkpoint ------------------------------------------------------------------------- */

static void fresh_engine(struct node *node)
{
    engine_free(node->zero->engine);
    node->zero->engine = engine_new(&node->engine_config);
}

/* The checkpoint cannot be trusted: without it the state is empty. */
static int put_checkpoint_away(struct node *node)
{
    char from[1100];
    char to[1100];
    path_of(node, from, sizeof from, CHECKPOINT_FILE);
    path_of(node, to, sizeof to, CHECKPOINT_DAMAGED_FILE);
    int error = io_rename(node->io, from, to);
    node->zero->kept_checkpoint = true;
    return error < 0 ? error : io_sync_dir(node->io, node->config.dir);
}

/* The state begins anew, so the log does too, unless it goes back to the beginning. */
static void begin_anew(struct node *node)
{
    struct log_group group = { 0 };
    (void)log_group_state(node->log, GROUP, &group);
    if (group.base_slot > 0) {
        log_reset(node->log, GROUP, 0, 0);
    }
}

/* --- The start ------------------------------------------------------------------------------ */

/* What a start finds. */
struct finding {
    bool log;        /* the log is damaged beyond holes */
    bool checkpoint; /* the file is there and damaged */
    char why[512];
};

/* Whether the log's beginning is not in the state. */
static bool state_is_missing(struct node *node, const struct replica_base *base)
{
    struct log_group group = { 0 };
    (void)log_group_state(node->log, GROUP, &group);
    return group.base_slot > base->slot;
}

/* Whether the log ends before a checkpoint that was taken from it: such a one never holds what was
 * not durable in the log, so an end that was durable is gone. */
static bool end_is_missing(struct node *node, const struct replica_base *base)
{
    struct log_group group = { 0 };
    (void)log_group_state(node->log, GROUP, &group);
    return !base->installed && group.last_slot < base->slot;
}

/* Loads the checkpoint; false when the node must not start. */
static bool load(struct node *node, struct replica_base *base, struct finding *found, char *message,
                 size_t cap)
{
    struct replica_base none = *base;
    if (keeper_load(node->zero->keeper, base, message, cap)) {
        return true;
    }
    if (!keeper_found_damage(node->zero->keeper)) {
        return false;
    }
    found->checkpoint = true;
    (void)snprintf(found->why, sizeof found->why, "%s", message);
    fresh_engine(node);
    *base = none;
    return true;
}

/* Goes on without what is damaged. The order matters: first the mark, then what it explains. */
static bool go_on_without(struct node *node, const struct log_config *config,
                          const struct finding *found, bool forgets, char *message, size_t cap)
{
    int error = forgets ? damage_mark(node, found->why) : 0;
    if (error < 0) {
        return failed(message, cap, "the file `forgetful` cannot be written", error);
    }
    error = found->checkpoint ? put_checkpoint_away(node) : 0;
    if (error < 0) {
        return failed(message, cap, "the damaged checkpoint cannot be put away", error);
    }
    if (!found->log) {
        return true;
    }
    struct log_config cut = *config;
    cut.cut_damage = true;
    log_close(node->log);
    node->log = NULL;
    if (log_open(node->io, &cut, &node->log, message, cap) != LOG_OPEN_OK) {
        return false;
    }
    node_log(node, NODE_LOG_WARNING, "%s", message);
    return true;
}

bool damage_cover(struct partition *partition, const struct repair *r,
                  const struct replica_base *base)
{
    struct node *node = partition->node;
    struct log_group group = { 0 };
    (void)log_group_state(node->log, partition->group, &group);
    if (r->count == 0 || r->question[0].hole.lo > base->slot || group.base_slot >= base->slot) {
        return false;
    }
    /* One that was taken here was taken of this log. */
    enum repair_fit fit =
        base->installed ? repair_own_fit(partition, r, base->slot, base->term) : REPAIR_KEEP;
    if (fit == REPAIR_KEEP) {
        log_trim(node->log, partition->group, base->slot, base->term);
    } else if (fit == REPAIR_REPLACE) {
        log_reset(node->log, partition->group, base->slot, base->term);
    }
    return fit != REPAIR_UNFIT;
}

void damage_trim(struct partition *partition, const struct replica_base *base)
{
    struct repair r;
    struct repair_hole holes[REPAIR_QUESTIONS_MAX];
    node_index me = (node_index)identity_me(&partition->node->identity);
    repair_init(&r, me, &base->roster.members);
    repair_look(&r, holes, repair_own_holes(partition, holes));
    (void)damage_cover(partition, &r, base);
}

bool damage_open(struct node *node, const struct log_config *config, struct replica_base *base,
                 char *message, size_t cap)
{
    struct finding found = { 0 };
    enum log_open_result result = log_open(node->io, config, &node->log, message, cap);
    if (result != LOG_OPEN_OK && result != LOG_OPEN_DAMAGED) {
        return false;
    }
    if (result == LOG_OPEN_OK && message[0] != 0) {
        node_log(node, NODE_LOG_NOTICE, "%s", message);
    }
    found.log = result == LOG_OPEN_DAMAGED;
    (void)snprintf(found.why, sizeof found.why, "%s", message);
    if (!load(node, base, &found, message, cap)) {
        return false;
    }
    int marked = is_there(node, FORGETFUL_FILE);
    if (marked < 0) {
        return failed(message, cap, "whether the file `forgetful` is there cannot be seen", marked);
    }
    node->forgetful = marked != 0;
    node->zero->kept_checkpoint = is_there(node, CHECKPOINT_DAMAGED_FILE) > 0;
    bool missing = state_is_missing(node, base);
    if (missing && !found.checkpoint && !found.log) {
        (void)snprintf(found.why, sizeof found.why,
                       "the log begins behind the checkpoint, which ends at slot %" PRIu64
                       ": the checkpoint file was lost or replaced",
                       base->slot);
    }
    bool cut_off = !found.log && end_is_missing(node, base);
    if (cut_off) {
        (void)snprintf(found.why, sizeof found.why,
                       "the log ends before slot %" PRIu64 ", where the checkpoint was taken of it",
                       base->slot);
    }
    /* Where the log is whole nothing is forgotten: another's checkpoint will do (repair.h). */
    bool heals = missing && !found.log && !cut_off && !node->forgetful;
    bool forgets = found.log || cut_off || (missing && !heals);
    if ((forgets || missing) && is_alone(node, base)) {
        return refuse(message, cap, found.why);
    }
    if ((forgets || found.checkpoint) &&
        !go_on_without(node, config, &found, forgets, message, cap)) {
        return false;
    }
    if (state_is_missing(node, base) && !heals) {
        begin_anew(node);
    }
    damage_trim(node->zero, base);
    struct log_hole hole;
    if (log_holes(node->log, GROUP, &hole, 1) > 0 && is_alone(node, base)) {
        return refuse(message, cap, "entries of the log are damaged");
    }
    base->forgetful = node->forgetful;
    return true;
}
