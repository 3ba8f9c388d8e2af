/* See holding_world.h. */
#include "holding_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "node/births.h"
#include "node/checkpoint_place.h"
#include "node/damage.h"
#include "node/keeper.h"
#include "node/quarantine.h"
#include "node/repair.h"
#include "node/reporting.h"
#include "node/router.h"
#include "node/run.h"
#include "node/rollback.h"
#include "node/views.h"
#include "node/early.h"
#include "protocol/primary/primary.h"
#include "protocol/raft/raft.h"
#include "tests/unit/cluster/put_records.h"

struct holding_world world;
const struct protocol raft_protocol;

/* --- The rest of the node ------------------------------------------------------------------- */

qr_time io_now(struct io *io)
{
    (void)io;
    world.now += world.step;
    return world.now;
}

bool io_has_polled_since(const struct io *io, qr_time at)
{
    (void)io;
    return !world.apart || world.polled >= at;
}

uint32_t identity_me(const struct identity *identity)
{
    (void)identity;
    return ME;
}

bool log_group_state(struct log *log, uint32_t group, struct log_group *out)
{
    (void)log;
    *out = (struct log_group){ .group = group, .last_slot = group == 0 ? OLD : 0 };
    return group == 0 || world.knows[group];
}

bool log_next_group(const struct log *log, uint32_t *at, uint32_t *group)
{
    (void)log;
    while (*at<GROUPS && * at> 0 && !world.knows[*at]) {
        (*at)++;
    }
    *group = *at;
    return (*at)++ < GROUPS; /* group 0 is always known */
}

void log_drop(struct log *log, uint32_t group)
{
    (void)log;
    world.knows[group] = false;
    world.dropped[group]++;
    world.position += 100;
}

uint64_t log_position(const struct log *log)
{
    (void)log;
    return world.position;
}

uint64_t log_durable(const struct log *log)
{
    (void)log;
    return world.durable;
}

bool damage_lost_log(const struct node *node, uint32_t group)
{
    (void)node;
    return world.lost[group];
}

bool damage_open_group(struct partition *p, struct replica_base *base, char *message, size_t cap)
{
    (void)p, (void)base, (void)message, (void)cap;
    return true;
}

void damage_forget(struct partition *p)
{
    p->lost = false;
}

struct engine *engine_new(const struct engine_config *config)
{
    (void)config;
    return qr_zalloc(1);
}

void engine_free(struct engine *engine)
{
    free(engine);
}

struct keeper *keeper_new(struct partition *p)
{
    return (struct keeper *)p;
}

qr_slot keeper_slot(const struct keeper *keeper)
{
    const struct partition *p = (const struct partition *)keeper;
    return p->group % 2; /* groups of an odd number have a checkpoint */
}

bool keeper_is_quiet(struct keeper *keeper)
{
    const struct partition *p = (const struct partition *)keeper;
    return !p->replica->writes;
}

void quarantine_open(struct partition *p)
{
    (void)p;
}

struct replica *replica_new(struct partition *p, const struct protocol *protocol, node_index me,
                            const struct replica_base *base, char *message, size_t cap)
{
    (void)message, (void)cap;
    bool views = map_succession(p->node->map, p->group) != NULL;
    assert_ptr_equal(protocol, views ? &primary_semi_protocol : &raft_protocol);
    assert_int_equal(me, ME);
    assert_null(p->replica);
    p->replica = qr_zalloc(sizeof(struct replica));
    *p->replica = (struct replica){ .group = p->group, .base = *base };
    p->replica->outlook.leader = NODE_NONE;
    world.opened[p->group]++;
    world.knows[p->group] = true;
    world.position += 10;
    if (world.at_opening != NULL) {
        world.at_opening(p->group);
    }
    return p->replica;
}

bool repairer_begin(struct partition *p, const struct replica_base *base, char *message, size_t cap)
{
    (void)p, (void)base, (void)message, (void)cap;
    return true;
}

void transfers_resume(struct partition *p)
{
    assert_non_null(p->replica);
    world.resumed[p->group]++;
}

void births_begin(struct partition *p, bool founded)
{
    p->replica->founded = founded;
}

void replica_admin(struct replica *r, enum admin_kind order, uint64_t argument)
{
    (void)r;
    world.handed_over += order == ADMIN_TRANSFER;
    world.handed_to = order == ADMIN_TRANSFER ? (node_index)argument : world.handed_to;
    world.leased += order == ADMIN_READ_MODE && argument == READ_MODE_LEASE;
}

const struct roster *replica_roster(const struct replica *r, qr_slot *slot)
{
    *slot = 0;
    return &r->base.roster;
}

const struct outlook *replica_seen(const struct replica *r)
{
    return &r->outlook;
}

void replica_outlook(const struct replica *r, struct outlook *out)
{
    *out = r->outlook;
}

qr_slot replica_applied(const struct replica *r)
{
    assert_ptr_equal(r, &world.zero);
    return world.applied;
}

bool replica_catches_up(struct replica *r)
{
    assert_ptr_equal(r, &world.zero);
    return !world.behind;
}

enum qr_status replica_change_for(struct replica *r, struct event *event, uint64_t epoch)
{
    (void)r;
    world.changes++;
    world.change = event->admin.members;
    world.change_epoch = epoch;
    return STATUS_NOT_LEADER;
}

bool replica_gathers(const struct replica *r)
{
    return r->gathers;
}

void router_replica_gone(struct router *router, struct partition *p)
{
    (void)router;
    assert_non_null(p->replica);
    world.let_go++;
}

void router_partition_gone(struct router *router, struct partition *p)
{
    (void)router;
    assert_null(p->replica);
    world.gone[p->group]++;
}

void reporting_note(struct partition *p)
{
    (void)p;
    world.told++;
}

uint16_t health_able(const struct node *node)
{
    (void)node;
    world.looks++;
    return 7;
}

int checkpoint_remove(struct io *io, const char *dir, uint32_t group)
{
    (void)io, (void)dir;
    assert_false(world.knows[group]);
    world.files_removed[group]++;
    return 0;
}

int checkpoint_remove_state(struct io *io, const char *dir, uint32_t group)
{
    (void)io, (void)dir;
    assert_true(world.knows[group]);
    world.states_removed[group]++;
    return 0;
}

bool rollback_is_cut(const struct partition *p, bool *anew)
{
    (void)p;
    *anew = world.anew;
    return world.is_cut;
}

bool rollback_leaves(const struct partition *p)
{
    return p->rollback != NULL && world.leaves;
}

bool rollback_named_all(struct partition *p)
{
    return !world.unnamed[p->group];
}

void rollback_free(struct partition *p)
{
    p->rollback = NULL;
}

void views_look(struct partition *p)
{
    world.viewed[p->group]++;
}

bool early_open(struct partition *p)
{
    return world.early[p->group];
}

void node_fail(struct node *node, const char *why)
{
    (void)node;
    fail_msg("%s", why);
}

void node_disk_failed(struct node *node, const char *what, int error)
{
    (void)node, (void)error;
    fail_msg("%s", what);
}

void node_log(struct node *node, enum node_log_level level, const char *format, ...)
{
    (void)node, (void)level, (void)format;
}

struct partition *partition_new(struct node *node, uint32_t group)
{
    struct partition *p = qr_zalloc(sizeof *p);
    p->node = node;
    p->group = group;
    return p;
}

void partition_close_replica(struct partition *p)
{
    if (p->group != 0) {
        free(p->replica);
    }
    p->replica = NULL;
}

void partition_strip(struct partition *p)
{
    p->keeper = NULL;
}

void partition_free(struct partition *p)
{
    partition_close_replica(p);
    free(p->engine);
    free(p);
}

void schedule_forget(struct partition *p)
{
    (void)p;
}

void schedule_wake(struct partition *p)
{
    world.woken[p->group]++;
}

bool replica_tend_past(struct replica *r)
{
    world.tended[r->group]++;
    return r->forgets;
}

void schedule_free(struct schedule *s)
{
    (void)s;
}

/* --- The world ------------------------------------------------------------------------------ */

int begin(void **state)
{
    (void)state;
    world = (struct holding_world){ .now = 100 * QR_SECOND, .position = 1000, .durable = 1000 };
    world.node.map = map_new();
    put_settings(world.node.map, &(struct map_settings){ .level = 2, .next_group = GROUPS });
    world.zero.outlook = (struct outlook){ .last = OLD, .commit = OLD, .leader = 0 };
    world.applied = OLD - 1;
    world.node.zero = partitions_add(&world.node, 0);
    world.node.zero->replica = &world.zero;
    holding_open(&world.node);
    return 0;
}

int end(void **state)
{
    (void)state;
    partitions_free(&world.node.partitions);
    map_free(world.node.map);
    return 0;
}

void found(uint32_t group, uint16_t founders)
{
    struct map_keyspace k = { .id = 16, .partitions = 1 };
    struct map_partition p = map_found(&k, 0, group, founders, NODE_NONE);
    put_partition(world.node.map, &p);
}

void succeed(uint32_t group, const struct succession *s)
{
    uint8_t value[MAP_VALUE_BYTES_MAX];
    put_settings(world.node.map, &(struct map_settings){ .level = 4, .next_group = GROUPS });
    struct map_keyspace k = a_keyspace(16, "k", "", group, 1);
    k.strategy = STRATEGY_PRIMARY;
    k.primary = primary_options_default();
    put_keyspace(world.node.map, &k);
    size_t n = map_succession_write(s, value);
    assert_int_equal(put_raw(world.node.map, MAP_RECORD_SUCCESSION, group, value, n), MAP_OK);
}

void wish(uint32_t group, uint16_t nodes)
{
    struct map_partition p = *map_partition(world.node.map, group);
    map_wish(&p, nodes, NODE_NONE);
    put_partition(world.node.map, &p);
}

void settle(uint32_t group)
{
    struct map_partition p = *map_partition(world.node.map, group);
    map_settle(&p);
    put_partition(world.node.map, &p);
}

void erase(uint32_t group)
{
    put_erased(world.node.map, MAP_RECORD_PARTITION, group);
}

void catch_up(void)
{
    world.applied = OLD;
}

uint32_t turns(uint32_t most)
{
    uint32_t n = 0;
    do {
        world.node.holding.durable = world.durable;
        holding_turn(&world.node, world.now);
        n++;
    } while (n < most && holding_deadline(&world.node) <= world.now);
    return n;
}

struct replica *replica_of(uint32_t group)
{
    const struct partition *p = partition_of_group(&world.node, group);
    return p != NULL ? p->replica : NULL;
}
