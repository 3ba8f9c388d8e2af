#include "reports_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/cluster/put_records.h"

struct world nodes[2];
struct world *const zero = &nodes[0], *const other = &nodes[1];
bool connected;
uint32_t sent, lost;
uint64_t keys;
uint16_t wire;
uint32_t waiting;
uint16_t may_know;
uint32_t level;
struct follower_sight sight[MEMBERS_MAX];

static struct world *world_of(const struct node *node)
{
    return node == &zero->node ? zero : other;
}

/* --- The rest of the nodes ------------------------------------------------------------------- */

const struct outlook *replica_seen(const struct replica *r)
{
    return &r->o;
}

bool replica_leads(const struct replica *r)
{
    return r->o.role == ROLE_LEADER;
}

qr_term replica_applied_term(const struct replica *r)
{
    return r->o.term - r->behind;
}

node_index replica_leader(const struct replica *r)
{
    return r->o.leader;
}

node_index replica_me(const struct replica *r)
{
    return r->me;
}

const struct roster *replica_applied_roster(const struct replica *r, qr_slot *slot)
{
    *slot = r->stated;
    return NULL;
}

void peers_tell(struct peers *peers, node_index to, uint8_t kind, struct span head)
{
    assert_int_equal(kind, FRAME_REPORT);
    assert_int_not_equal(to, peers->me);
    sent++;
    if (connected) {
        assert_true(reports_receive(&nodes[1 - peers->me].node, peers->me, head));
    } else {
        lost++;
    }
}

bool peers_hears(const struct peers *peers, node_index to)
{
    (void)peers, (void)to;
    return connected;
}

bool peers_connected(const struct peers *peers, node_index peer)
{
    return connected && peer < 2 && peer != peers->me;
}

uint16_t peers_wire_version(const struct peers *peers, node_index peer)
{
    (void)peers, (void)peer;
    return wire;
}

bool contact_may_know_rules(const struct node *node, node_index index)
{
    assert_ptr_equal(node, &zero->node);
    return (may_know >> index & 1) != 0;
}

uint64_t control_version(const struct node *node)
{
    return world_of(node)->version;
}

uint64_t engine_system_version(const struct engine *engine)
{
    return ((const struct world *)(const void *)engine)->version;
}

uint32_t control_level_known(const struct node *node)
{
    (void)node;
    return 2;
}

uint32_t control_level(const struct node *node)
{
    (void)node;
    return level;
}

struct follower_sight lagging_of(struct partition *partition, node_index member)
{
    (void)partition;
    assert_true(level >= MAP_LEVEL_FOLLOWERS);
    return sight[member];
}

uint32_t control_waiting(const struct control *control)
{
    (void)control;
    return waiting;
}

struct store *engine_store(struct engine *engine)
{
    (void)engine;
    return NULL;
}

uint64_t store_count(const struct store *store, uint8_t db)
{
    (void)store;
    return db == 0 ? keys : 0;
}

uint64_t quota_bytes(const struct partition *partition)
{
    return 1000 + partition->group;
}

struct source_progress source_progress_of(const struct source *source, node_index to)
{
    return source->to[to];
}

/* --- A cluster of two ------------------------------------------------------------------------- */

static void make(struct world *w, node_index me, uint32_t groups)
{
    memset(w, 0, sizeof *w);
    w->version = 5;
    w->peers.me = me;
    w->node.peers = &w->peers;
    w->node.control = &w->control;
    w->node.map = map_new();
    w->node.clock = QR_SECOND;
    w->node.partitions.all = w->all;
    w->node.partitions.count = w->node.partitions.cap = groups;
    w->node.zero = &w->partition[0];
    w->control.reports = reports_new();
    put_settings(w->node.map, &(struct map_settings){ .level = 2, .next_group = 2 });
    for (uint32_t i = 0; i < groups; i++) {
        struct partition *p = &w->partition[i];
        w->all[i] = p;
        p->node = &w->node;
        p->group = i == 0 ? 0 : i + 1;
        p->replica = &w->replica[i];
        p->engine = (struct engine *)(void *)w;
        w->replica[i].me = me;
        bool leads = me == (i == 0 ? 0 : 1);
        w->replica[i].o = (struct outlook){ .role = leads ? ROLE_LEADER : ROLE_FOLLOWER,
                                            .leader = i == 0 ? 0 : 1,
                                            .term = 7,
                                            .last = 100 };
        w->replica[i].o.membership.voters = 3;
    }
}

void know_keyspace(struct world *w)
{
    uint32_t partitions = w->node.partitions.count - 1;
    struct map_keyspace k = a_keyspace(16, "k", "", 2, partitions);
    put_settings(w->node.map, &(struct map_settings){ .level = 2, .next_group = 2 + partitions });
    put_all(w->node.map, &k, 3, 1);
    w->version++;
}

void make_worlds(uint32_t groups)
{
    make(zero, 0, groups);
    make(other, 1, groups);
    connected = true;
    sent = lost = 0;
    keys = 10;
    wire = WIRE_VERSION_GROUPS;
    waiting = 0;
    may_know = 0;
    level = 0;
}

int end(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        for (uint32_t g = 0; g < nodes[i].node.partitions.count; g++) {
            reporting_forget(&nodes[i].partition[g]);
        }
        reports_free(nodes[i].control.reports);
        map_free(nodes[i].node.map);
    }
    return 0;
}

void live_for(int turns)
{
    for (int i = 0; i < turns; i++) {
        for (int n = 0; n < 2; n++) {
            nodes[n].node.clock += 10 * QR_MILLISECOND;
            reports_turn(&nodes[n].node, nodes[n].node.clock);
        }
    }
}

void live(void)
{
    live_for(50);
}

void connect_again(void)
{
    connected = true;
    reports_connected(&zero->node, 1);
    reports_connected(&other->node, 0);
}

void hear(node_index from, const struct report *r)
{
    static uint8_t frame[REPORT_BYTES_MAX];
    assert_true(reports_receive(&zero->node, from, span_of(frame, report_write(r, frame))));
}
