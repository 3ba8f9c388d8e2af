/* At the end of a run, when all is well and nobody writes: replicas of a partition that have
 * applied the same are the same, and soon have applied the same. */
#include "sim/nodes/seat.h"

#include "engine/engine.h"
#include "node/node.h"
#include "node/replica.h"

#include <inttypes.h>

static const struct partition *find(const struct seat *seat, uint32_t group)
{
    const struct node *node = seat->host->process != NULL ? seat->node : NULL;
    for (uint32_t i = 0; node != NULL && i < node->partitions.count; i++) {
        const struct partition *p = partitions_at(&node->partitions, i);
        if (p->group == group && p->replica != NULL && p->engine != NULL) {
            return p;
        }
    }
    return NULL;
}

/* One of the group on this seat with those on the seats behind it. */
static bool compare(struct run *run, uint32_t at, const struct partition *one)
{
    bool settled = true;
    uint64_t digest = engine_digest(one->engine);
    for (uint32_t i = at + 1; i < run->seats; i++) {
        const struct partition *other = find(&run->seat[i], one->group);
        if (other == NULL) {
            continue;
        }
        if (replica_applied(other->replica) != replica_applied(one->replica)) {
            settled = false;
        } else if (engine_digest(other->engine) != digest) {
            realm_fail(run->realm, run->seat[i].host,
                       "group %" PRIu32 " differs from that of %s at slot %" PRIu64, one->group,
                       run->seat[at].host->name, replica_applied(one->replica));
        }
    }
    return settled;
}

/* Whether all that its group counts on stand for directories that are there. */
static bool is_sound(const struct partition *p, const struct roster *roster)
{
    struct outlook o;
    replica_outlook(p->replica, &o);
    uint16_t counted = membership_voters(&o.membership);
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        if ((counted >> i & 1) != 0 && roster->node[i].id == 0) {
            return false;
        }
    }
    return !o.forgetful && o.membership_slot <= o.commit;
}

bool replicas_sound(struct run *run)
{
    for (uint32_t i = 0; i < run->seats; i++) {
        const struct node *node = run->seat[i].host->process != NULL ? run->seat[i].node : NULL;
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
        const struct node *node = seat->host->process != NULL ? seat->node : NULL;
        for (uint32_t k = 0; node != NULL && k < node->partitions.count; k++) {
            tell_one(seat->host, partitions_at(&node->partitions, k));
        }
    }
}

bool replicas_settled(struct run *run)
{
    bool settled = true;
    for (uint32_t i = 0; i < run->seats; i++) {
        const struct seat *seat = &run->seat[i];
        const struct node *node = seat->host->process != NULL ? seat->node : NULL;
        settled = settled && node != NULL;
        for (uint32_t k = 0; node != NULL && k < node->partitions.count; k++) {
            const struct partition *p = partitions_at(&node->partitions, k);
            if (p->quarantined) {
                realm_fail(run->realm, seat->host, "group %" PRIu32 " is in quarantine", p->group);
            } else if (p->replica != NULL && p->engine != NULL) {
                settled = compare(run, i, p) && settled;
            }
        }
    }
    return settled;
}
