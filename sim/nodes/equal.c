/* At the end of a run, when all is well and nobody writes: each partition has its replicas on the
 * nodes that are wished to have them and on no others, one of them leads, each has applied all that
 * this one holds, and those that have applied the same are the same. */
#include "sim/nodes/seat.h"

#include "cluster/map.h"
#include "engine/engine.h"
#include "node/node.h"
#include "node/replica.h"
#include "protocol/quorum.h"

#include <inttypes.h>
#include <stdarg.h>

static const struct partition *find(const struct seat *seat, uint32_t group)
{
    const struct node *node = node_on(seat);
    for (uint32_t i = 0; node != NULL && i < node->partitions.count; i++) {
        const struct partition *p = partitions_at(&node->partitions, i);
        if (p->group == group && p->replica != NULL && p->engine != NULL) {
            return p;
        }
    }
    return NULL;
}

static bool lacks(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool lacks(struct run *run, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(run->lacks, sizeof run->lacks, format, arguments);
    va_end(arguments);
    return false;
}

/* One of a group with its leader's. */
static bool compare(struct run *run, const struct partition *led, const struct seat *seat,
                    const struct partition *one)
{
    struct outlook leader, o;
    replica_outlook(led->replica, &leader);
    replica_outlook(one->replica, &o);
    qr_slot applied = replica_applied(one->replica);
    if (applied == replica_applied(led->replica) &&
        engine_digest(one->engine) != engine_digest(led->engine)) {
        realm_fail(run->realm, seat->host, "group %" PRIu32 " differs from its leader's at slot %"
                   PRIu64, one->group, applied);
    }
    if (one->quarantined) { /* it could not look for the mark (io_file.c) */
        return lacks(run, "group %" PRIu32 " is in quarantine on %s", one->group, seat->host->name);
    }
    if (o.forgetful) {
        return lacks(run, "group %" PRIu32 " is forgetful on %s", one->group, seat->host->name);
    }
    return applied == leader.last ||
           lacks(run, "group %" PRIu32 " is at %" PRIu64 " of %" PRIu64 " on %s", one->group,
                 applied, leader.last, seat->host->name);
}

/* Whether all of these stand for directories that are there. */
static bool all_there(uint16_t nodes, const struct roster *roster)
{
    for (uint32_t rest = nodes; rest != 0; rest &= rest - 1) {
        if (roster->node[set_first(rest)].id == 0) {
            return false;
        }
    }
    return true;
}

static bool is_sound(const struct partition *p, const struct roster *roster)
{
    struct outlook o;
    replica_outlook(p->replica, &o);
    return all_there(membership_voters(&o.membership), roster) && !o.forgetful &&
           o.membership_slot <= o.commit;
}

/* The same of all that one node knows of: its groups' members, and who may become one. */
static bool has_all(const struct node *node)
{
    qr_slot slot;
    const struct roster *roster = replica_roster(node->zero->replica, &slot);
    for (const struct map_partition *p = map_partition(node->map, 0); p != NULL;
         p = map_partition_after(node->map, p->group)) {
        if (!all_there(p->held, roster)) {
            return false;
        }
    }
    for (uint32_t k = 0; k < node->partitions.count; k++) {
        const struct partition *p = partitions_at(&node->partitions, k);
        struct outlook o = { 0 };
        if (p->replica != NULL) {
            replica_outlook(p->replica, &o);
        }
        if (!all_there(membership_voters(&o.membership), roster)) {
            return false;
        }
    }
    return true;
}

bool replicas_have_all(struct run *run)
{
    for (uint32_t i = 0; i < run->seats; i++) {
        const struct node *node = node_on(&run->seat[i]);
        if (node != NULL && node->zero->replica != NULL && !has_all(node)) {
            return false;
        }
    }
    return true;
}

bool replicas_sound(struct run *run)
{
    for (uint32_t i = 0; i < run->seats; i++) {
        const struct node *node = node_on(&run->seat[i]);
        if (node == NULL || node->zero->replica == NULL) {
            return false;
        }
        qr_slot slot;
        const struct roster *roster = replica_roster(node->zero->replica, &slot);
        for (uint32_t k = 0; k < node->partitions.count; k++) {
            const struct partition *p = partitions_at(&node->partitions, k);
            if (p->replica == NULL || !is_sound(p, roster)) {
                return false;
            }
        }
    }
    return true;
}

static void tell_one(const struct host *host, const struct partition *p)
{
    static const char *const roles[] = { "follower", "candidate", "leader" };
    struct outlook o;
    if (p->replica == NULL) {
        realm_note(host->realm, host, "group %" PRIu32 ": no replica", p->group);
        return;
    }
    replica_outlook(p->replica, &o);
    realm_note(host->realm, host,
               "group %" PRIu32 ": %s in term %" PRIu64 " of %d, slots %" PRIu64 "-%" PRIu64
               ", committed %" PRIu64 ", voters %x, outgoing %x, states %" PRIu64 "%s%s%s%s",
               p->group, (unsigned)o.role < 3 ? roles[o.role] : "?", o.term, (int)o.leader,
               o.first, o.last, o.commit, o.membership.voters, o.membership.outgoing,
               o.membership_slot, o.forgetful ? ", forgetful" : "", o.skewed ? ", skewed" : "",
               o.quiet ? ", quiet" : "", p->quarantined ? ", quarantined" : "");
}

void replicas_tell(const struct run *run)
{
    for (uint32_t i = 0; i < run->seats; i++) {
        const struct seat *seat = &run->seat[i];
        const struct node *node = node_on(seat);
        for (uint32_t k = 0; node != NULL && k < node->partitions.count; k++) {
            tell_one(seat->host, partitions_at(&node->partitions, k));
        }
    }
}

/* Who is to have a replica, by the index that group 0 knows a node by. */
static uint16_t wished(const struct map_partition *p, const struct roster *roster)
{
    return p->group == 0 ? membership_all(&roster->members) : p->wish;
}

static const struct partition *leader_of(const struct run *run, uint32_t group)
{
    const struct partition *led = NULL;
    for (uint32_t i = 0; i < run->seats; i++) {
        const struct partition *p = find(&run->seat[i], group);
        if (p != NULL && replica_leads(p->replica) &&
            (led == NULL || replica_term(led->replica) < replica_term(p->replica))) {
            led = p;
        }
    }
    return led;
}

/* Whether as many nodes are wished for as its keyspace says, or as could be: no observers, who are
 * there to follow group 0 (node/placing.c). */
static bool is_ample(struct run *run, const struct map *map, const struct map_partition *p,
                     const struct roster *roster)
{
    const struct map_keyspace *k = map_keyspace(map, p->keyspace);
    uint16_t fit = roster->members.voters | roster->members.learners;
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        fit &= (uint16_t)(map_node(map, i)->draining ? ~node_bit(i) : UINT16_MAX);
    }
    uint32_t n = quorum_count(p->wish), least = quorum_count(fit);
    if (p->group == 0 || k == NULL || k->state != KEYSPACE_IN_USE) {
        return true;
    }
    least = least < k->replicas ? least : k->replicas;
    return (n >= least && n <= k->replicas) ||
           lacks(run, "group %" PRIu32 " has %" PRIu32 " of %u replicas, on %" PRIu32 " nodes",
                 p->group, n, k->replicas, quorum_count(fit));
}

static bool group_settled(struct run *run, const struct map *map, const struct map_partition *p,
                          const struct roster *roster)
{
    const struct partition *led = leader_of(run, p->group);
    if (led == NULL) {
        return lacks(run, "nobody leads group %" PRIu32, p->group);
    }
    if (p->group != 0 && p->settled != p->epoch) {
        return lacks(run, "the wish for group %" PRIu32 " has not come true", p->group);
    }
    if (!is_ample(run, map, p, roster)) {
        return false;
    }
    for (uint32_t i = 0; i < run->seats; i++) {
        const struct seat *seat = &run->seat[i];
        const struct partition *one = find(seat, p->group);
        node_index index = roster_find(roster, seat->id);
        bool is_wished = index != NODE_NONE && (wished(p, roster) >> index & 1) != 0;
        if (is_wished != (one != NULL)) {
            return lacks(run, "%s has %s replica of group %" PRIu32, seat->host->name,
                         is_wished ? "no" : "a", p->group);
        }
        if (one != NULL && !compare(run, led, seat, one)) {
            return false;
        }
    }
    return true;
}

static bool is_a_guests(const struct map_keyspace *k)
{
    return k->id != 0 && !ordered_is_one(k->name);
}

/* Whether too few of the group remember what they promised for it to go on: a guest makes keyspaces
 * with two replicas also where drives forget, and they are his own. */
static bool is_past_help(const struct run *run, const struct map *map,
                         const struct map_partition *p)
{
    const struct map_keyspace *k = map_keyspace(map, p->keyspace);
    struct membership members = { 0 };
    uint16_t remember = 0;
    qr_slot newest = 0;
    for (uint32_t i = 0; i < run->seats; i++) {
        const struct partition *one = find(&run->seat[i], p->group);
        struct outlook o;
        if (one != NULL) {
            replica_outlook(one->replica, &o);
            remember |= o.forgetful ? 0 : node_bit(replica_me(one->replica));
            members = o.membership_slot >= newest ? o.membership : members;
            newest = max_u64(newest, o.membership_slot);
        }
    }
    return run->fragile > 0 && k != NULL && is_a_guests(k) && !quorum_of(remember, &members);
}

/* Replicas of what is dropped, and nodes that do not run. */
static bool nothing_left(struct run *run, const struct map *map)
{
    for (uint32_t i = 0; i < run->seats; i++) {
        const struct node *node = node_on(&run->seat[i]);
        if (node == NULL) {
            return lacks(run, "%s does not run", run->seat[i].host->name);
        }
        for (uint32_t k = 0; k < node->partitions.count; k++) {
            const struct partition *p = partitions_at(&node->partitions, k);
            if (p->replica != NULL && map_partition(map, p->group) == NULL) {
                return lacks(run, "%s has group %" PRIu32 ", which is dropped",
                             run->seat[i].host->name, p->group);
            }
        }
    }
    return true;
}

bool replicas_settled(struct run *run)
{
    qr_slot slot;
    const struct partition *zero = leader_of(run, 0);
    if (zero == NULL) {
        return lacks(run, "nobody leads group 0");
    }
    const struct map *map = zero->node->map;
    const struct roster *roster = replica_roster(zero->replica, &slot);
    for (const struct map_partition *p = map_partition(map, 0); p != NULL;
         p = map_partition_after(map, p->group)) {
        if (!is_past_help(run, map, p) && !group_settled(run, map, p, roster)) {
            return false;
        }
    }
    return nothing_left(run, map);
}
