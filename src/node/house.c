/* The chores of a node, one after the other (chores.h). */
#include "node/node.h"

#include "base/limits.h"
#include "cluster/map.h"
#include "io/io.h"
#include "node/alarm.h"
#include "node/change.h"
#include "node/clients.h"
#include "node/control.h"
#include "node/keepers.h"
#include "node/lagging.h"
#include "node/members.h"
#include "node/logline.h"
#include "node/peers.h"
#include "node/replica.h"
#include "node/run.h"

#include <inttypes.h>

/* --- Leadership and room --------------------------------------------------------------------- */

/* Tells people, and counts, when leadership moves. */
static void watch_role(struct node *node, qr_time clock)
{
    const struct outlook *seen = replica_seen(node->zero->replica);
    if (seen->role == node->seen_role && seen->term == node->seen_term &&
        seen->leader == node->seen_leader) {
        return;
    }
    struct outlook now = *seen;
    health_leader(node, &now, clock);
    node->stats.leader_changes += now.leader != node->seen_leader && now.leader != NODE_NONE;
    node->stats.elections_begun += now.role == ROLE_CANDIDATE && now.term != node->seen_term;
    if (now.role == ROLE_LEADER && node->seen_role != ROLE_LEADER) {
        node->stats.elections++;
        node_log(node, NODE_LOG_NOTICE, "Leads since term %" PRIu64, now.term);
    } else if (now.role != ROLE_LEADER && now.leader != NODE_NONE &&
               now.leader != node->seen_leader) {
        node_log(node, NODE_LOG_NOTICE, "Follows node %" PRIu32 " in term %" PRIu64,
                 node->known[now.leader].id, now.term);
    } else if (now.role != ROLE_LEADER && node->seen_role == ROLE_LEADER) {
        node_log(node, NODE_LOG_NOTICE, "Leads no more (term %" PRIu64 ")", now.term);
    }
    (void)io_failpoint(node->io, FAIL_ROLE);
    node->logger->role = now.role == ROLE_LEADER ? 'M' : 'S';
    node->seen_role = now.role;
    node->seen_term = now.term;
    node->seen_leader = now.leader;
    sentinel_tell(node);
}

static void watch_space(struct node *node)
{
    static const char *const news[] = {
        [LOG_SPACE_OK] = "Disk space is sufficient again",
        [LOG_SPACE_LOW] = "Disk space is short: growing commands get -NOSPACE, deletes still work",
        [LOG_SPACE_NONE] = "Disk space is used up: all writes get -NOSPACE, reads still work",
    };
    node->space_position = log_position(node->log);
    keepers_look_at_room(node);
    enum log_space space = log_space(node->log);
    if (space != node->space) {
        node->space = space;
        node_log(node, NODE_LOG_WARNING, "%s", news[space]);
        peers_tell_space(node->peers, space);
    }
    if (space == LOG_SPACE_OK) {
        alarm_clear(node, ALARM_NOSPACE);
    } else {
        alarm_raise(node, ALARM_NOSPACE, "%s", news[space]);
    }
}

static void wake_at(struct node *node, qr_time at)
{
    node->wake = at < node->wake ? at : node->wake;
}

static void keep_house(struct node *node, qr_time now)
{
    wake_at(node, peers_housekeeping(node->peers, now));
    /* A fast disk writes the whole reserve between two rounds. */
    uint64_t written = log_position(node->log) - node->space_position;
    bool due = now >= node->next_housekeeping;
    if (due || written > node->config.log_reserve_bytes / 16) {
        watch_space(node);
    }
    if (due) {
        node->next_housekeeping = now + CHORES_INTERVAL;
        clients_housekeeping(node->clients_io, now);
        change_follow_addresses(node);
        sentinel_tell(node);
    }
    wake_at(node, contact_turn(node, now));
    wake_at(node, health_turn(node, now));
    transfers_turn(node, now);
    keepers_turn(node, now);
    lagging_look(node, now);
    partition_house(node->zero, now);
}

/* --- The turn -------------------------------------------------------------------------------- */

static void run(struct node *node, qr_time now)
{
    node->wake = now + CHORES_INTERVAL;
    control_turn(node, now);
    holding_turn(node, now);
    watch_role(node, now);
    members_look(node);
    keep_house(node, now);
    wake_at(node, holding_deadline(node));
    wake_at(node, node->zero->wake);
}

#ifdef QUORATE_FAILPOINTS
/* Nobody has changed what they look at and kept it to himself. */
static void check(const struct node *node)
{
    const struct outlook *o = replica_seen(node->zero->replica);
    const struct holding *h = &node->holding;
    qr_assert(o->role == node->seen_role && o->term == node->seen_term);
    qr_assert(o->leader == node->seen_leader);
    qr_assert(control_is_current(node));
    qr_assert(h->phase != 0 || h->seen == map_changes(node->map) || node->zero->loading);
}
#else
static void check(const struct node *node)
{
    (void)node;
}
#endif

/* Who wants one more turn at once wants to be called in it. */
void chores_turn(struct node *node, qr_time now)
{
    struct chores *c = &node->chores;
    uint64_t position = log_position(node->log);
    bool special =
        io_take_special(node->io) || replica_roster_changes(node->zero->replica) != node->followed;
    if (node->measure->watching > 0) {
        const struct outlook *seen = replica_seen(node->zero->replica);
        measure_acks(node->measure, seen, seen->members, now);
    }
    if (!chores_due(c, special, now, node->wake, position)) {
        check(node);
        return;
    }
    bool again = node->again || node->zero->again;
    c->stirred = c->stays = node->again = node->zero->again = false;
    c->position = position + min_u64(node->config.log_reserve_bytes / 16, CARRY_STEP_BYTES);
    c->runs++;
    run(node, now);
    c->stays = c->stays || node->again || node->zero->again;
    node->again = node->again || again;
}
