#include "damage_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct node node;
struct partition partition[GROUPS];
static struct partition *all[GROUPS];
struct replica replica[GROUPS];
bool complete;
qr_slot kept_slot;
uint32_t lines, raised, evidence_dropped;
char last_line[800];

/* --- The rest of the node ------------------------------------------------------------------- */

void node_log(struct node *of, enum node_log_level level, const char *format, ...)
{
    (void)of, (void)level;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(last_line, sizeof last_line, format, arguments);
    va_end(arguments);
    lines++;
}

void node_fail(struct node *of, const char *why)
{
    assert_non_null(why);
    of->failed = true;
}

void alarm_raise(struct node *of, enum alarm_kind kind, const char *format, ...)
{
    char text[400];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    raised += alarms_raise(&of->alarms, kind, of->identity.node_id, 1, text) != NULL;
}

void alarm_raise_about(struct node *of, enum alarm_kind kind, uint32_t about, const char *format,
                       ...)
{
    char text[400];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    raised += alarms_raise(&of->alarms, kind, about, 1, text) != NULL;
}

void alarm_clear(struct node *of, enum alarm_kind kind)
{
    (void)alarms_clear(&of->alarms, kind, of->identity.node_id, 2);
}

const struct roster *replica_roster(const struct replica *r, qr_slot *slot)
{
    *slot = 1;
    return &r->roster;
}

node_index replica_me(const struct replica *r)
{
    (void)r;
    return 1;
}

void replica_outlook(const struct replica *r, struct outlook *out)
{
    *out = r->outlook;
}

qr_slot keeper_slot(const struct keeper *keeper)
{
    (void)keeper;
    return kept_slot;
}

void log_drop_damaged(struct log *log)
{
    (void)log;
    evidence_dropped++;
}

bool holding_is_complete(struct node *of)
{
    (void)of;
    return complete;
}

void schedule_wake(struct partition *p)
{
    (void)p;
}

/* --- Tools ---------------------------------------------------------------------------------- */

void damage_world(struct io *disk)
{
    if (node.io != NULL) {
        disk_free(node.io);
    }
    if (node.map != NULL) {
        map_free(node.map);
    }
    node = (struct node){ .io = disk, .map = map_new(), .zero = &partition[0] };
    node.identity.node_id = 102;
    strcpy(node.config.dir, "d");
    alarms_init(&node.alarms, 102);
    node.partitions.all = all;
    node.partitions.count = GROUPS;
    for (uint32_t i = 0; i < GROUPS; i++) {
        all[i] = &partition[i];
        partition[i] =
            (struct partition){ .node = &node, .group = i, .replica = &replica[i], .awake = true };
        replica[i] = (struct replica){ .roster.members.voters = 7 };
    }
    complete = false;
    kept_slot = 1;
    lines = raised = evidence_dropped = 0;
}

uint32_t marked_after_power_loss(uint32_t group)
{
    struct io *disk = node.io;
    uint32_t n = 0;
    for (uint32_t seed = 0; seed < SEEDS; seed++) {
        struct rng rng = rng_from(seed);
        struct partition was = partition[group];
        node.io = disk_after_power_loss(disk, &rng);
        partition[group].marked = partition[group].lost = false;
        uint32_t lost = node.harm.lost;
        if (group == 0) {
            bool forgetful = node.forgetful, lost_log = node.lost_log;
            assert_int_equal(damage_look_for_mark(&node), 0);
            n += node.forgetful;
            node.forgetful = forgetful;
            node.lost_log = lost_log;
        } else {
            assert_int_equal(damage_look_for_own_mark(&partition[group]), 0);
            n += partition[group].marked;
        }
        node.harm.lost = lost;
        partition[group] = was;
        disk_free(node.io);
    }
    node.io = disk;
    return n;
}

uint32_t there_after_power_loss(const char *path)
{
    uint32_t n = 0;
    for (uint32_t seed = 0; seed < SEEDS; seed++) {
        struct rng rng = rng_from(seed);
        struct io_file *file = NULL;
        struct io *disk = disk_after_power_loss(node.io, &rng);
        if (io_file_open(disk, path, 0, &file) == 0) {
            n++;
            io_file_close(file);
        }
        disk_free(disk);
    }
    return n;
}

int begin(void **state)
{
    (void)state;
    memset(&node, 0, sizeof node);
    struct io *disk = disk_new();
    disk_advance(disk, 100 * QR_SECOND);
    damage_world(disk);
    return 0;
}

int end(void **state)
{
    (void)state;
    disk_free(node.io);
    map_free(node.map);
    return 0;
}
