/* Who has forgotten what it promised, made durable, and told: see damage.h. */
#include "node/damage.h"

#include "cluster/map.h"
#include "node/alarm.h"
#include "node/checkpoint.h"
#include "node/checkpoint_place.h"
#include "node/keeper.h"
#include "node/node.h"
#include "protocol/quorum.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LOOK_INTERVAL (10 * QR_MILLISECOND) /* a restart before the mark is gone forgets anew */
#define LOST_PATIENCE (30 * QR_SECOND)      /* so long groups may recover before each has a file */
#define MARKS_PER_LOOK 8u
#define LINES_MAX 32u /* in the log file, within ... */
#define LINES_TIME (10 * QR_SECOND)

/* --- Telling -------------------------------------------------------------------------------- */

void damage_prefix(const struct partition *p, char out[PARTITION_PREFIX_BYTES])
{
    const struct map *map = p->node->map;
    const struct map_partition *mp = p->group != 0 ? map_partition(map, p->group) : NULL;
    const struct map_keyspace *ks = mp != NULL ? map_keyspace(map, mp->keyspace) : NULL;
    out[0] = 0;
    if (ks != NULL) {
        (void)snprintf(out, PARTITION_PREFIX_BYTES,
                       "partition %u of keyspace '%s' (group %u): ", (unsigned)mp->index, ks->name,
                       (unsigned)p->group);
    } else if (p->group != 0) {
        (void)snprintf(out, PARTITION_PREFIX_BYTES, "group %u: ", (unsigned)p->group);
    }
}

void damage_log(struct partition *p, enum node_log_level level, const char *format, ...)
{
    struct node *node = p->node;
    qr_time now = io_now(node->io);
    char prefix[PARTITION_PREFIX_BYTES], text[600];
    if (p->group != 0 && now >= node->harm.lines_until) {
        node->harm.lines = 0;
        node->harm.lines_until = now + LINES_TIME;
    }
    if (p->group != 0 && node->harm.lines++ >= LINES_MAX) {
        if (node->harm.lines == LINES_MAX + 1) {
            node_log(node, level,
                     "What is said of more partitions is left out here: INFO "
                     "keyspaces counts them");
        }
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    damage_prefix(p, prefix);
    node_log(node, level, "%s%s", prefix, text);
}

/* Nobody else has, or could have, what this replica has. */
static bool is_alone(const struct partition *p)
{
    qr_slot slot;
    const struct membership *members = &replica_roster(p->replica, &slot)->members;
    uint32_t others = membership_all(members) & ~(1u << replica_me(p->replica));
    return p->group != 0 && others == 0;
}

static void raise_alarm(struct partition *p, const char *what)
{
    char prefix[PARTITION_PREFIX_BYTES];
    struct node *node = p->node;
    if (alarms_own(&node->alarms, ALARM_DAMAGED, node->identity.node_id) != NULL) {
        return;
    }
    damage_prefix(p, prefix);
    node->harm.named = p->group;
    alarm_raise(node, ALARM_DAMAGED, "%s%s%s", prefix, what,
                is_alone(p) ? "; no other node has it: restore this one from a backup" : "");
}

void damage_tell(struct partition *p, const char *what)
{
    if (!p->harmed) {
        p->harmed = true;
        p->node->harm.told++;
        raise_alarm(p, what);
    }
}

/* The alarm names one that is harmed. */
static void name_another(struct node *node)
{
    qr_time now = io_now(node->io);
    if (now < node->harm.named_until) {
        return;
    }
    node->harm.named_until = now + QR_SECOND;
    for (uint32_t i = 0; i < node->partitions.count; i++) {
        struct partition *p = partitions_at(&node->partitions, i);
        if (p->harmed) {
            alarm_clear(node, ALARM_DAMAGED);
            raise_alarm(p, "it is damaged: INFO keyspaces says how far");
            return;
        }
    }
}

void damage_healed(struct partition *p)
{
    struct node *node = p->node;
    if (!p->harmed) {
        return;
    }
    qr_assert(node->harm.told > 0);
    p->harmed = false;
    node->harm.told--;
    if (node->harm.told == 0 && !node->forgetful) {
        alarm_clear(node, ALARM_DAMAGED);
    } else if (node->harm.told > 0 && p->group == node->harm.named) {
        name_another(node);
    }
}

void damage_of_another(struct partition *p, node_index member, qr_slot acknowledged, qr_slot holds)
{
    struct node *node = p->node;
    uint32_t id = node->known[member].id;
    char prefix[PARTITION_PREFIX_BYTES], lost[64];
    damage_prefix(p, prefix);
    (void)snprintf(lost, sizeof lost, "slots %" PRIu64 " to %" PRIu64, holds + 1, acknowledged);
    damage_log(p, NODE_LOG_WARNING,
               "Node %" PRIu32 " lacks %s, which it had acknowledged as durable: it does not count "
               "until it has them again",
               id, lost);
    alarm_raise_about(node, ALARM_FORGOT, id,
                      "%sit lacks %s, which it had acknowledged as durable: do not trust its disk",
                      prefix, lost);
    node->health.forgot[member] = FORGOT_LOOKS;
}

/* --- Files ---------------------------------------------------------------------------------- */

static void mark_path(const struct partition *p, char path[CHECKPOINT_PATH_MAX])
{
    checkpoint_path(path, p->node->config.dir, p->group, FORGETFUL_FILE);
}

static void set_lost(struct partition *p, bool lost)
{
    struct node *node = p->node;
    qr_assert(lost == p->lost || lost || node->harm.lost > 0);
    node->harm.lost += lost && !p->lost;
    node->harm.lost -= !lost && p->lost;
    p->lost = lost;
}

/* Whatever the file holds so far: it is about less, or the same. */
static int write_mark(const struct partition *p, const char *text)
{
    struct io *io = p->node->io;
    char path[CHECKPOINT_PATH_MAX];
    struct io_file *file = NULL;
    mark_path(p, path);
    int error = io_failpoint(io, FAIL_FORGETFUL_MARK);
    error = error < 0 ? error : checkpoint_make_dir(io, p->node->config.dir, p->group);
    error = error < 0 ? error : io_file_open(io, path, IO_CREATE | IO_WRITE, &file);
    if (error == -EEXIST) {
        error = io_file_open(io, path, IO_WRITE, &file);
    }
    if (error < 0) {
        return error;
    }
    int64_t n = io_file_pwrite(file, text, strlen(text), 0);
    error = n < 0 ? (int)n : io_file_sync(file);
    io_file_close(file);
    error = error < 0 ? error : checkpoint_sync_dir(io, p->node->config.dir, p->group);
    (void)io_failpoint(io, FAIL_FORGETFUL_MARKED);
    return error;
}

static int remove_mark(const struct partition *p)
{
    struct io *io = p->node->io;
    char path[CHECKPOINT_PATH_MAX];
    mark_path(p, path);
    (void)io_failpoint(io, FAIL_FORGETFUL_ENDS);
    int error = io_unlink(io, path);
    error = error < 0 ? error : checkpoint_sync_dir(io, p->node->config.dir, p->group);
    (void)io_failpoint(io, FAIL_FORGETFUL_ENDED);
    return error == -ENOENT ? 0 : error;
}

/* 1: it is there; 0: it is not; negative: nobody knows, and a guess could cost what a vote cost. */
static int read_mark(const struct partition *p, char *text, size_t cap)
{
    char path[CHECKPOINT_PATH_MAX];
    struct io_file *file = NULL;
    mark_path(p, path);
    int error = io_file_open(p->node->io, path, 0, &file);
    if (error < 0) {
        return error == -ENOENT ? 0 : error;
    }
    int64_t n = io_file_pread(file, text, cap - 1, 0);
    text[n > 0 ? n : 0] = 0;
    io_file_close(file);
    return n < 0 ? (int)n : 1;
}

static void say_forgotten(struct partition *p, const char *why)
{
    const char *format = "It has forgotten what it promised, and neither votes nor counts until "
                         "the others have brought it up to date: %s";
    if (p->group != 0) {
        damage_log(p, NODE_LOG_WARNING, format, why);
    } else {
        node_log(p->node, NODE_LOG_WARNING,
                 "This node has forgotten what it promised, and neither votes nor counts until the "
                 "others have brought it up to date: %s",
                 why);
    }
}

int damage_mark(struct node *node, const char *why)
{
    bool known = node->forgetful && node->lost_log;
    node->forgetful = node->lost_log = true;
    set_lost(node->zero, true);
    if (known) { /* the life that wrote it may have ended before its name was durable */
        return io_sync_dir(node->io, node->config.dir);
    }
    say_forgotten(node->zero, why);
    qr_assert(strncmp(why, MARK_ZERO, strlen(MARK_ZERO)) != 0);
    return write_mark(node->zero, why);
}

int damage_forgets(struct partition *p, const char *why)
{
    struct node *node = p->node;
    char text[400];
    bool known = p->group == 0 ? node->forgetful : p->marked;
    set_lost(p, true);
    p->marked = p->group != 0;
    node->forgetful = node->forgetful || p->group == 0;
    if (known) {
        return checkpoint_sync_dir(node->io, node->config.dir, p->group);
    }
    say_forgotten(p, why);
    (void)snprintf(text, sizeof text, "%s%s", p->group == 0 ? MARK_ZERO : "", why);
    return write_mark(p, text);
}

int damage_look_for_mark(struct node *node)
{
    char text[sizeof MARK_ZERO];
    int marked = read_mark(node->zero, text, sizeof text);
    node->forgetful = marked > 0;
    node->lost_log = marked > 0 && strcmp(text, MARK_ZERO) != 0;
    set_lost(node->zero, marked > 0);
    /* The life that wrote it may have ended before its name was durable. */
    return marked <= 0 ? marked : io_sync_dir(node->io, node->config.dir);
}

int damage_look_for_own_mark(struct partition *p)
{
    char text[2];
    qr_assert(p->group != 0);
    int marked = read_mark(p, text, sizeof text);
    if (marked < 0 && !checkpoint_is_of_the_file(marked)) {
        return marked; /* the next look may succeed; if all members forgot, nobody could help */
    }
    p->marked = marked != 0; /* also where it can never be looked at */
    if (p->marked) { /* as in damage_look_for_mark; if that fails the next start finds it anew */
        (void)checkpoint_sync_dir(p->node->io, p->node->config.dir, p->group);
    }
    set_lost(p, p->marked || damage_lost_log(p->node, p->group));
    return 0;
}

bool damage_lost_log(const struct node *node, uint32_t group)
{
    const struct holding *h = &node->holding;
    return node->lost_log && (!h->fresh.fresh || group < h->fresh_below);
}

void damage_forget(struct partition *p)
{
    set_lost(p, false);
    p->marked = p->kept_checkpoint = false;
    damage_healed(p);
}

/* --- The end -------------------------------------------------------------------------------- */

/* What was kept for evidence goes when the replica counts and has another checkpoint. */
static void drop_kept_checkpoint(struct partition *p)
{
    char path[CHECKPOINT_PATH_MAX];
    if (p->keeper != NULL && keeper_slot(p->keeper) > 0) {
        p->kept_checkpoint = false;
        checkpoint_path(path, p->node->config.dir, p->group, CHECKPOINT_DAMAGED_FILE);
        (void)io_unlink(p->node->io, path);
    }
}

/* Nobody lacks anything any more. */
static void drop_kept_log(struct node *node)
{
    if (!node->forgetful && node->harm.lost == 0) {
        log_drop_damaged(node->log);
    }
}

static void look_at_lost(struct partition *p)
{
    struct node *node = p->node;
    struct outlook outlook;
    replica_outlook(p->replica, &outlook);
    if (outlook.forgetful) {
        damage_tell(p, p->group == 0 ? "it has forgotten what it promised, see its directory's "
                                       "file `forgetful`"
                                     : "it has forgotten what it promised");
        return;
    }
    if (p->marked && remove_mark(p) != 0) {
        node_fail(node, "the mark of a group that has forgotten cannot be removed");
        return;
    }
    p->marked = false;
    set_lost(p, false);
    damage_healed(p);
    if (p->group != 0) {
        damage_log(p, NODE_LOG_NOTICE, "It has recovered: it votes and counts again");
        drop_kept_log(node);
    }
}

/* Those that have not recovered by now remember by themselves; true: all do. */
static bool mark_others(struct node *node)
{
    uint32_t made = 0;
    for (uint32_t i = 0; i < node->partitions.count && made < MARKS_PER_LOOK; i++) {
        struct partition *p = partitions_at(&node->partitions, i);
        if (p->lost && !p->marked) {
            made++;
            p->marked = write_mark(p, "the end of the log was lost") == 0;
        }
    }
    return made == 0;
}

/* Whether the file is of no more use: what other groups have lost they remember by themselves. */
static bool is_known_elsewhere(struct node *node, qr_time now)
{
    if (!node->lost_log) {
        return true;
    }
    if (!holding_is_complete(node)) {
        return false;
    }
    if (node->harm.lost == 0) {
        return true;
    }
    node->harm.lost_since = node->harm.lost_since == 0 ? now : node->harm.lost_since;
    return now - node->harm.lost_since >= LOST_PATIENCE && mark_others(node);
}

static void end_mark(struct node *node, qr_time now)
{
    if (node->zero->lost || now < node->harm.look_at) {
        return;
    }
    if (!is_known_elsewhere(node, now)) {
        node->harm.look_at = now + LOOK_INTERVAL;
        return;
    }
    if (remove_mark(node->zero) != 0) {
        node_fail(node, "the file `forgetful` cannot be removed");
        return;
    }
    node->forgetful = node->lost_log = false;
    if (node->harm.told == 0) {
        alarm_clear(node, ALARM_DAMAGED);
    }
    drop_kept_log(node);
    node_log(node, NODE_LOG_NOTICE, "This node has recovered: it votes and counts again");
}

void damage_turn(struct partition *p, qr_time now)
{
    struct node *node = p->node;
    if (p->lost) {
        look_at_lost(p);
    }
    if (p->group == 0 && node->forgetful && !node->failed) {
        end_mark(node, now);
        partition_wake_at(p, node->harm.look_at > now ? node->harm.look_at : now + LOOK_INTERVAL);
    }
    if (!p->lost && p->kept_checkpoint && (p->group != 0 || !node->forgetful)) {
        drop_kept_checkpoint(p);
    }
}
