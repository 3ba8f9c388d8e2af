#include "node/damage.h"

#include "node/checkpoint.h"
#include "node/checkpoint_format.h"
#include "node/checkpoint_place.h"
#include "node/keeper.h"
#include "node/node.h"
#include "node/repair.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* --- Who could help ------------------------------------------------------------------------- */

/* The last roster of the nodes that the log states, as far as it can be read. */
static bool roster_of_log(struct node *node, struct roster *out)
{
    struct log_group group = { 0 };
    struct span records;
    struct record record;
    (void)log_group_state(node->log, 0, &group);
    qr_slot slot = group.members_count > 0 ? group.members[group.members_count - 1] : 0;
    return slot > 0 && log_read(node->log, 0, slot, slot + 1, 1, &records) == 1 &&
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

static void fresh_engine(struct partition *p)
{
    engine_free(p->engine);
    p->engine = engine_new(&p->node->engine_config);
}

/* The checkpoint cannot be trusted: without it the state is empty. */
static int put_checkpoint_away(struct partition *p)
{
    struct node *node = p->node;
    char from[CHECKPOINT_PATH_MAX];
    char to[CHECKPOINT_PATH_MAX];
    checkpoint_path(from, node->config.dir, p->group, CHECKPOINT_FILE);
    checkpoint_path(to, node->config.dir, p->group, CHECKPOINT_DAMAGED_FILE);
    int error = io_rename(node->io, from, to);
    p->kept_checkpoint = true;
    return error < 0 ? error : checkpoint_sync_dir(node->io, node->config.dir, p->group);
}

static bool is_kept(const struct partition *p)
{
    char path[CHECKPOINT_PATH_MAX];
    struct io_file *file = NULL;
    checkpoint_path(path, p->node->config.dir, p->group, CHECKPOINT_DAMAGED_FILE);
    if (io_file_open(p->node->io, path, 0, &file) < 0) {
        return false;
    }
    io_file_close(file);
    return true;
}

/* The state begins anew, so the log does too, unless it goes back to the beginning. */
static void begin_anew(struct node *node)
{
    struct log_group group = { 0 };
    (void)log_group_state(node->log, 0, &group);
    if (group.base_slot > 0) {
        log_reset(node->log, 0, 0, 0);
    }
}

/* --- The start ------------------------------------------------------------------------------ */

/* What a start finds. */
struct finding {
    bool log;        /* the log is damaged beyond holes */
    bool end;        /* it is whole, but its end is gone */
    bool checkpoint; /* the file is there and damaged */
    char why[512];
};

/* Whether the log's beginning is not in the state. */
static bool state_is_missing(const struct partition *p, const struct replica_base *base)
{
    struct log_group group = { 0 };
    (void)log_group_state(p->node->log, p->group, &group);
    return group.base_slot > base->slot;
}

/* Whether the log ends before a checkpoint that was taken from it: such a one never holds what was
 * not durable in the log, so an end that was durable is gone. */
static bool end_is_missing(struct partition *p, qr_slot slot, bool installed)
{
    struct log_group group = { 0 };
    return slot > 0 && !installed &&
           (!log_group_state(p->node->log, p->group, &group) || group.last_slot < slot);
}

static void say_end_is_missing(struct finding *found, const char *whose, qr_slot slot)
{
    (void)snprintf(found->why, sizeof found->why,
                   "%sthe log ends before slot %" PRIu64 ", where the checkpoint was taken of it",
                   whose, slot);
}

/* Loads the checkpoint; false when the node must not go on. */
static bool load(struct partition *p, struct replica_base *base, struct finding *found,
                 char *message, size_t cap)
{
    struct replica_base none = *base;
    if (keeper_load(p->keeper, base, message, cap)) {
        return true;
    }
    if (!keeper_found_damage(p->keeper)) {
        return false;
    }
    found->checkpoint = true;
    (void)snprintf(found->why, sizeof found->why, "%s", message);
    fresh_engine(p);
    *base = none;
    return true;
}

/* Goes on without what is damaged. The order matters: first the mark, then what it explains. */
static bool go_on_without(struct node *node, const struct log_config *config,
                          const struct finding *found, char *message, size_t cap)
{
    int error = found->log || found->end ? damage_mark(node, found->why) : 0;
    if (error < 0) {
        return failed(message, cap, "the file `forgetful` cannot be written", error);
    }
    error = found->checkpoint ? put_checkpoint_away(node->zero) : 0;
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

/* Of which slot the group's checkpoint is, if it was taken of this log; 0: there is none. A
 * negative errno when that cannot be read: what it would prove to be gone stays unknown. */
static int taken_at(struct node *node, uint32_t group, qr_slot *slot)
{
    char path[CHECKPOINT_PATH_MAX];
    uint8_t bytes[CHECKPOINT_HEADER_BYTES_MAX];
    struct checkpoint_header h;
    struct io_file *file = NULL;
    size_t length;
    checkpoint_path(path, node->config.dir, group, CHECKPOINT_FILE);
    *slot = 0;
    int error = io_file_open(node->io, path, 0, &file);
    if (error < 0) {
        return checkpoint_is_of_the_file(error) || error == -ENOENT ? 0 : error;
    }
    int64_t n = io_file_pread(file, bytes, sizeof bytes, 0);
    bool whole = n > 0 && checkpoint_header_read(span_of(bytes, (size_t)n), &h, &length) ==
                              CHECKPOINT_HEADER_OK;
    io_file_close(file);
    bool ours = whole && memcmp(h.uuid, node->identity.uuid, sizeof h.uuid) == 0;
    *slot = ours && !h.installed ? h.slot : 0;
    return n < 0 && !checkpoint_is_of_the_file((int)n) ? (int)n : 0;
}

/* What the checkpoint of one group proves to be gone is gone for all: before any of them acts. */
static int end_of_others_is_missing(struct node *node, struct finding *found)
{
    uint32_t at = 0;
    uint32_t id;
    while (log_next_group(node->log, &at, &id)) {
        struct log_group group;
        qr_slot slot = 0;
        int error = id != 0 ? taken_at(node, id, &slot) : 0;
        if (error < 0) {
            return error;
        }
        if (slot > 0 && log_group_state(node->log, id, &group) && group.last_slot < slot) {
            char whose[32];
            (void)snprintf(whose, sizeof whose, "of group %u ", (unsigned)id);
            say_end_is_missing(found, whose, slot);
            found->end = true;
            return 0;
        }
    }
    return 0;
}

static bool open_log(struct node *node, const struct log_config *config, struct finding *found,
                     char *message, size_t cap)
{
    enum log_open_result result = log_open(node->io, config, &node->log, message, cap);
    if (result != LOG_OPEN_OK && result != LOG_OPEN_DAMAGED) {
        return false;
    }
    if (result == LOG_OPEN_OK && message[0] != 0) {
        node_log(node, NODE_LOG_NOTICE, "%s", message);
    }
    found->log = result == LOG_OPEN_DAMAGED;
    (void)snprintf(found->why, sizeof found->why, "%s", message);
    return true;
}

/* Of the node's log and group 0; whether the state is missing. 0, or a negative errno. */
static int find_out(struct node *node, const struct replica_base *base, struct finding *found,
                    bool *missing)
{
    *missing = state_is_missing(node->zero, base);
    if (*missing && !found->checkpoint && !found->log) {
        (void)snprintf(found->why, sizeof found->why,
                       "the log begins behind the checkpoint, which ends at slot %" PRIu64
                       ": the checkpoint file was lost or replaced",
                       base->slot);
    }
    if (!found->log && end_is_missing(node->zero, base->slot, base->installed)) {
        found->end = true;
        say_end_is_missing(found, "", base->slot);
    } else if (!found->log) {
        return end_of_others_is_missing(node, found);
    }
    return 0;
}

bool damage_open(struct node *node, const struct log_config *config, struct replica_base *base,
                 char *message, size_t cap)
{
    struct finding found = { 0 };
    if (!open_log(node, config, &found, message, cap) ||
        !load(node->zero, base, &found, message, cap)) {
        return false;
    }
    int error = damage_look_for_mark(node);
    if (error < 0) {
        return failed(message, cap, "whether the file `forgetful` is there cannot be seen", error);
    }
    node->zero->kept_checkpoint = is_kept(node->zero);
    bool missing;
    error = find_out(node, base, &found, &missing);
    if (error < 0) {
        return failed(message, cap, "the checkpoint of a partition cannot be read, see to the disk",
                      error);
    }
    /* Where the log is whole nothing is forgotten: another's checkpoint will do (repair.h). */
    bool heals = missing && !found.log && !found.end && !node->forgetful;
    if ((found.log || found.end || missing) && is_alone(node, base)) {
        return refuse(message, cap, found.why);
    }
    if (!go_on_without(node, config, &found, message, cap)) {
        return false;
    }
    if (state_is_missing(node->zero, base) && !heals) {
        begin_anew(node);
    }
    damage_trim(node->zero, base);
    struct log_hole hole;
    if (log_holes(node->log, 0, &hole, 1) > 0 && is_alone(node, base)) {
        return refuse(message, cap, "entries of the log are damaged");
    }
    base->forgetful = node->forgetful;
    return true;
}

/* --- Another group --------------------------------------------------------------------------- */

/* Whether the log holds another entry where the checkpoint ends: one of them is not of this time.
 * One that was installed the log may not know of yet (replica_new.c). */
static bool disagree(struct partition *p, const struct replica_base *base)
{
    struct node *node = p->node;
    struct log_group group = { 0 };
    struct log_hole hole;
    return !base->installed && base->slot > 0 && log_group_state(node->log, p->group, &group) &&
           group.base_slot <= base->slot && group.last_slot >= base->slot &&
           !replica_log_holds(&group, base->slot, base->term) &&
           log_holes(node->log, p->group, &hole, 1) == 0;
}

/* Where log and checkpoint do not belong together both may be of another time: what this replica
 * has said since is forgotten, and the state is fetched. */
static int distrust(struct partition *p, struct replica_base *base, struct finding *found,
                    const struct replica_base *none)
{
    qr_slot slot = base->slot;
    if (disagree(p, base)) {
        (void)snprintf(found->why, sizeof found->why,
                       "log and checkpoint disagree about slot %" PRIu64, slot);
        found->checkpoint = true;
        fresh_engine(p);
        keeper_forget(p->keeper);
        *base = *none;
    } else if (end_is_missing(p, slot, base->installed)) {
        say_end_is_missing(found, "", slot);
    } else {
        return 0;
    }
    return damage_forgets(p, found->why);
}

bool damage_open_group(struct partition *p, struct replica_base *base, char *message, size_t cap)
{
    struct finding found = { 0 };
    const struct replica_base none = *base;
    qr_assert(p->group != 0);
    int error = damage_look_for_own_mark(p);
    if (error < 0) {
        return failed(message, cap, "whether it has forgotten cannot be seen", error);
    }
    if (!load(p, base, &found, message, cap)) {
        return false;
    }
    error = distrust(p, base, &found, &none);
    if (error < 0) {
        return failed(message, cap, "that it has forgotten cannot be written", error);
    }
    error = found.checkpoint ? put_checkpoint_away(p) : 0;
    if (error < 0) {
        return failed(message, cap, "the damaged checkpoint cannot be put away", error);
    }
    if (found.checkpoint) {
        damage_log(p, NODE_LOG_WARNING, "%s; it is not used", found.why);
    } else {
        p->kept_checkpoint = keeper_slot(p->keeper) > 0 && is_kept(p);
    }
    damage_trim(p, base);
    base->forgetful = base->forgetful || p->lost;
    return true;
}
