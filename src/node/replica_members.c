/* The roster follows the log: in force from the moment its entry is appended, as it was before when
 * the entry is dropped (Raft diss. 4.1). The protocol knows the sets; who the members are and where
 * stands in the entries, which are made here. */
#include "node/replica_internal.h"

#include "base/alloc.h"

#include <stdio.h>
#include <string.h>

/* A roster of a partition's group names no nodes, and has no room for them. */
static void keep(const struct replica *r, struct roster *to, const struct roster *from)
{
    memcpy(to, from, replica_roster_bytes(r));
}

static bool read_and_keep(const struct replica *r, struct roster *to, struct span payload)
{
    struct roster roster;
    if (!roster_read(payload, &roster) || (roster.epoch == 0) != (r->group == 0)) {
        return false;
    }
    keep(r, to, &roster);
    return true;
}

/* The roster that the entry at `slot` states; false when it cannot be read back. */
static bool roster_at(struct replica *r, qr_slot slot, struct roster *out)
{
    struct span records;
    struct record record;
    return log_read(r->node->log, r->group, slot, slot + 1, 1, &records) == 1 &&
           record_peek(records, &record) > 0 && record.kind == RECORD_MEMBERS &&
           read_and_keep(r, out, record.payload);
}

bool replica_rosters_load(struct replica *r, const struct replica_base *base, char *message,
                          size_t cap)
{
    struct log_group group = { 0 };
    bool known = log_group_state(r->node->log, r->group, &group);
    uint32_t count = known ? group.members_count : 0;
    qr_slot *slots =
        qr_alloc((count + 1) * sizeof *slots); /* the log's own go with the next read */
    if (count > 0) {
        memcpy(slots, group.members, count * sizeof *slots);
    }
    keep(r, r->applied_roster, &base->roster);
    r->applied_roster_slot = base->roster_slot;
    keep(r, r->roster, &base->roster);
    r->roster_slot = base->roster_slot;
    r->roster_changes++;
    free(r->start_memberships);
    r->start_memberships = qr_alloc((count + 1) * sizeof *r->start_memberships);
    r->start_memberships[0] = (struct membership_at){ base->roster_slot, base->roster.members };
    r->start_membership_count = 1;
    bool readable = true;
    for (uint32_t i = 0; i < count && readable; i++) {
        if (slots[i] <= base->slot) {
            continue;
        }
        readable = roster_at(r, slots[i], r->roster);
        r->roster_slot = slots[i];
        r->start_memberships[r->start_membership_count++] =
            (struct membership_at){ slots[i], r->roster->members };
    }
    free(slots);
    if (!readable) {
        (void)snprintf(message, cap,
                       "the entry at slot %llu of the log, which states the members, cannot be "
                       "read: restore the directory, or wipe it and let the node join anew",
                       (unsigned long long)r->roster_slot);
    }
    return readable;
}

bool replica_roster_received(struct replica *r, const struct record *record)
{
    struct roster roster;
    if (!roster_read(record->payload, &roster) || roster.members.voters == 0 ||
        (roster.epoch == 0) != (r->group == 0)) {
        return false;
    }
    if (r->bench->received_count < MEMBERSHIPS_RECEIVED_MAX) {
        r->bench->received[r->bench->received_count++] =
            (struct membership_at){ record->slot, roster.members };
    } else if (r->bench->received_hi > record->slot) {
        r->bench->received_hi = record->slot;
    }
    return true;
}

void replica_roster_appended(struct replica *r, qr_slot lo, qr_slot hi)
{
    struct log_group group = { 0 };
    (void)log_group_state(r->node->log, r->group, &group);
    qr_slot last = group.members_count > 0 ? group.members[group.members_count - 1] : 0;
    if (last >= lo && last < hi) {
        bool readable = roster_at(r, last, r->roster);
        qr_assert(readable); /* it was checked when it came */
        r->roster_slot = last;
        r->roster_changes++;
    }
}

/* The roster in force is the log's last one, unless that is applied already. */
static void look_behind_applied(struct replica *r, qr_slot last)
{
    keep(r, r->roster, r->applied_roster);
    r->roster_slot = r->applied_roster_slot;
    r->roster_changes++;
    if (last > r->applied_roster_slot) {
        bool readable = roster_at(r, last, r->roster);
        qr_assert(readable);
        r->roster_slot = last;
    }
}

/* The directories of those who founded the cluster stand in no entry; whoever met them knows. Where
 * entries were skipped, a learner without a directory is room that MEMBER ADD has made since. */
static void bury(struct replica *r, const struct roster *before, const struct roster *after,
                 bool skipped)
{
    if (r->graves == NULL) {
        return;
    }
    struct roster met = *before;
    struct roster stay = *after;
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        const struct roster_node *known = &r->node->identity.members[i];
        if (!roster_uuid_known(&met.node[i]) && known->id == met.node[i].id &&
            after->node[i].id == 0) {
            memcpy(met.node[i].uuid, known->uuid, sizeof known->uuid);
        }
        bool votes = (membership_voters(&after->members) >> i & 1) != 0;
        if (skipped && !votes && !roster_uuid_known(&stay.node[i])) {
            stay.node[i].id = 0;
        }
    }
    graves_follow(r->graves, &met, &stay);
}

void replica_roster_installed(struct replica *r, const struct roster *roster, qr_slot slot)
{
    struct log_group group = { 0 };
    (void)log_group_state(r->node->log, r->group, &group);
    bury(r, r->applied_roster, roster, true);
    keep(r, r->applied_roster, roster);
    r->applied_roster_slot = slot;
    look_behind_applied(r, group.members_count > 0 ? group.members[group.members_count - 1] : 0);
}

void replica_roster_truncated(struct replica *r, qr_slot from)
{
    if (r->roster_slot < from) {
        return;
    }
    struct log_group group = { 0 };
    (void)log_group_state(r->node->log, r->group, &group);
    qr_slot last = group.members_count > 0 ? group.members[group.members_count - 1] : 0;
    qr_assert(last < from);
    look_behind_applied(r, last);
}

/* Who is known: those of the roster in force, and whom the order being stepped brings. */
static struct roster composed(const struct replica *r, const struct membership *members)
{
    struct roster roster = { .members = *members };
    if (r->group != 0) {
        /* What the protocol states by itself serves what the entry before does (follow.h: F5). */
        roster.epoch = r->ordered_epoch != 0 ? r->ordered_epoch : r->roster->epoch;
        qr_assert(roster.epoch >= r->roster->epoch && roster.epoch != 0);
        return roster;
    }
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        if ((membership_all(members) >> i & 1) != 0) {
            bool brought = r->joining != NULL && r->joining[i].id != 0;
            roster.node[i] = brought ? r->joining[i] : r->roster->node[i];
            const struct roster_node *known = &r->node->known[i];
            if (!roster_uuid_known(&roster.node[i]) && known->id == roster.node[i].id &&
                !replica_has_removed(r, known->uuid)) {
                memcpy(roster.node[i].uuid, known->uuid, sizeof known->uuid);
            }
            qr_assert(roster.node[i].id != 0);
        }
    }
    return roster;
}

void replica_persist_members(struct replica *r, const struct effect *e)
{
    uint8_t record[RECORD_HEADER_BYTES + ROSTER_BYTES_MAX];
    qr_assert(e->persist.hi - e->persist.lo == 1);
    struct roster roster = composed(r, e->persist.members);
    keep(r, r->roster, &roster);
    r->roster_slot = e->persist.lo;
    r->roster_changes++;
    size_t n = roster_write(&roster, record + RECORD_HEADER_BYTES);
    record_seal(record, r->group, RECORD_MEMBERS, e->persist.lo, e->persist.term, n);
    log_append(r->node->log, span_of(record, record_bytes(n)), 1);
}

void replica_roster_applied(struct replica *r, const struct record *record)
{
    struct roster roster;
    bool valid = roster_read(record->payload, &roster);
    qr_assert(valid); /* checked when it came, or made here */
    bury(r, r->applied_roster, &roster, false);
    keep(r, r->applied_roster, &roster);
    r->applied_roster_slot = record->slot;
    r->roster_changes++;
}

void replica_roster_viewed(struct replica *r, const struct view *view)
{
    r->applied_roster->members =
        (struct membership){ .voters = view->members, .learners = view->learners };
    keep(r, r->roster, r->applied_roster);
    r->roster_changes++;
}

/* --- Looking in ----------------------------------------------------------------------------- */

const struct roster *replica_roster(const struct replica *r, qr_slot *slot)
{
    *slot = r->roster_slot;
    return r->roster;
}

const struct roster *replica_applied_roster(const struct replica *r, qr_slot *slot)
{
    *slot = r->applied_roster_slot;
    return r->applied_roster;
}

bool replica_has_removed(const struct replica *r, const uint8_t uuid[16])
{
    return r->graves != NULL && graves_hold(r->graves, uuid);
}

uint32_t replica_roster_changes(const struct replica *r)
{
    return r->roster_changes;
}

bool replica_is_alone(const struct replica *r)
{
    const struct membership *m = &r->roster->members;
    return ((m->voters | m->outgoing) & ~(1u << r->me)) == 0;
}
