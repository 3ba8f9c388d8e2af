/* INFO's sections Raft and Quorate: replication as it is, and what the node does. */
#include "node/info_internal.h"

#include "node/keeper.h"
#include "node/peers.h"
#include "node/quarantine.h"
#include "node/replica.h"
#include "node/router.h"

typedef unsigned long long ull; /* what printf calls 64 bits */

/* --- Raft ----------------------------------------------------------------------------------- */

static qr_time silence(const struct node *node, const struct member_outlook *member)
{
    return member->heard == 0 ? 0 : io_now(node->io) - member->heard;
}

static const char *role_name(enum role role)
{
    switch (role) {
    case ROLE_LEADER:
        return "leader";
    case ROLE_CANDIDATE:
        return "candidate";
    case ROLE_FOLLOWER:
        break;
    }
    return "follower";
}

static void member_line(const struct node *node, const struct outlook *outlook, uint32_t i,
                        struct reply *out)
{
    const struct roster_node *m = local_member(node, i);
    const struct member_outlook *member = &outlook->member[i];
    const char *role = roster_role(&outlook->membership, (node_index)i);
    bool me = i == identity_me(&node->identity);
    if (me || outlook->role != ROLE_LEADER) { /* only a leader knows how far the others are */
        info_line(out, "raft_member%u:id=%u,role=%s,addr=%s,port=%u,peer_port=%u,state=%s", i,
                  m->id, role, m->address, m->client_port, m->peer_port,
                  me ? "self" : (local_is_follower(node, i) ? "connected" : "away"));
        return;
    }
    info_line(
        out,
        "raft_member%u:id=%u,role=%s,addr=%s,port=%u,peer_port=%u,state=%s,match=%llu,lag=%llu,"
        "heard_ms=%lld,needs_snapshot=%d",
        i, m->id, role, m->address, m->client_port, m->peer_port,
        local_is_follower(node, i) ? "connected" : "away", (ull)member->match,
        member->match > outlook->last ? 0ull : (ull)(outlook->last - member->match),
        member->heard == 0 ? -1LL : (long long)(silence(node, member) / QR_MILLISECOND),
        member->needs_snapshot ? 1 : 0);
}

static void members_lines(const struct node *node, const struct outlook *outlook, struct reply *out)
{
    const struct membership *m = &outlook->membership;
    info_line(out, "raft_members:%u", quorum_count(membership_all(m)));
    info_line(out, "raft_voters:%u", quorum_count(m->voters));
    info_line(out, "raft_learners:%u", quorum_count(m->learners));
    info_line(out, "raft_observers:%u", quorum_count(m->observers));
    info_line(out, "raft_joint:%d", m->outgoing != 0 ? 1 : 0);
    info_line(out, "raft_membership_slot:%llu", (ull)outlook->membership_slot);
    info_line(out, "raft_removed:%d", node->removed ? 1 : 0);
    for (uint32_t i = 0; i < MEMBERS_MAX; i++) {
        if (node->known[i].id != 0) {
            member_line(node, outlook, i, out);
        }
    }
}

void info_raft(struct node *node, struct reply *out)
{
    struct outlook outlook;
    bool ready = local_outlook(node, &outlook);
    bool known = outlook.leader != NODE_NONE;
    info_line(out, "raft_node_id:%u", node->identity.node_id);
    info_line(out, "raft_role:%s", ready ? role_name(outlook.role) : "starting");
    info_line(out, "raft_term:%llu", (ull)outlook.term);
    info_line(out, "raft_leader_id:%u", known ? local_member(node, outlook.leader)->id : 0);
    info_line(out, "raft_can_serve:%d", outlook.can_serve ? 1 : 0);
    info_line(out, "raft_forgetful:%d", outlook.forgetful ? 1 : 0);
    info_line(out, "raft_repairing:%d", node->zero->loading ? 1 : 0);
    info_line(out, "raft_repair_patched:%llu", (ull)node->zero->repair.patched);
    info_line(out, "raft_repair_holes:%u", node->zero->repair.holes);
    info_line(out, "raft_repair_first:%llu", (ull)node->zero->repair.first);
    info_line(out, "raft_repair_never:%u", node->zero->repair.never);
    info_line(out, "raft_repair_gone:%u", node->zero->repair.gone);
    info_line(out, "raft_stands_back:%d", outlook.stands_back ? 1 : 0);
    info_line(out, "raft_skewed:%d", outlook.skewed ? 1 : 0);
    info_line(out, "raft_commit:%llu", (ull)outlook.commit);
    info_line(out, "raft_applied:%llu", ready ? (ull)replica_applied(node->zero->replica) : 0ull);
    info_line(out, "raft_last:%llu", (ull)outlook.last);
    info_line(out, "raft_first:%llu", (ull)outlook.first);
    info_line(out, "raft_room:%u", outlook.room);
    info_line(out, "raft_log_bytes:%llu",
              ready ? (ull)replica_log_bytes(node->zero->replica) : 0ull);
    info_line(out, "raft_read_mode:%s",
              node->config.read_mode == READ_MODE_LEASE ? "lease" : "readindex");
    info_line(out, "raft_elections:%llu", (ull)node->stats.elections);
    info_line(out, "raft_elections_begun:%llu", (ull)node->stats.elections_begun);
    info_line(out, "raft_leader_changes:%llu", (ull)node->stats.leader_changes);
    members_lines(node, &outlook, out);
}

/* --- Quorate: queues and what became of commands -------------------------------------------- */

static void info_histogram(struct reply *out, const char *name, const struct histogram *h)
{
    info_line(out, "%s:count=%llu,avg=%.2f,p50=%llu,p99=%llu,p99.9=%llu,max=%llu", name,
              (ull)h->count, h->count == 0 ? 0.0 : (double)h->sum / (double)h->count,
              (ull)histogram_percentile(h, 50), (ull)histogram_percentile(h, 99),
              (ull)histogram_percentile(h, 99.9), (ull)h->max);
}

static void contact_lines(struct node *node, struct reply *out)
{
    const struct contact *c = &node->contact;
    qr_time now = io_now(node->io);
    uint32_t gone = 0;
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        gone += node->known[i].id != 0 && leases_gone_for(&c->leases, i, now) > 0;
    }
    info_line(out, "peers_up:%u", quorum_count(c->told));
    info_line(out, "peers_silent:%u", quorum_count((uint32_t)(c->beats.connected & ~c->told)));
    info_line(out, "peers_fell_silent:%llu", (ull)c->beats.silences);
    info_line(out, "lease_held:%d", leases_held(&c->leases, now) ? 1 : 0);
    info_line(out, "rules_known:%d", node_knows_rules(node) ? 1 : 0);
    info_line(out, "lease_left_ms:%lld",
              leases_held(&c->leases, now)
                  ? (long long)((c->leases.held_until - now) / QR_MILLISECOND)
                  : 0);
    info_line(out, "leases_granted:%llu", (ull)c->renewed);
    info_line(out, "leases_gone:%u", gone);
}

static void health_lines(struct node *node, struct reply *out)
{
    const struct health *h = &node->health;
    const struct quarantine *q = node->zero->quarantine;
    const struct alarm *list[ALARMS_MAX];
    info_line(out, "alarms:%u", alarms_list(&node->alarms, list));
    info_line(out, "alarms_dropped:%u", node->alarms.dropped);
    contact_lines(node, out);
    info_line(out, "disk_sync_usec:%u", h->sync_usec);
    info_line(out, "disk_slow:%d", h->slow_since != 0 ? 1 : 0);
    info_line(out, "hand_overs_for_priority:%llu", (ull)h->handed_over_priority);
    info_line(out, "hand_overs_for_slow_disk:%llu", (ull)h->handed_over_slow);
    info_line(out, "quarantined:%d", node->zero->quarantined ? 1 : 0);
    info_line(out, "quarantines:%llu", (ull)q->begun);
    info_line(out, "state_digest_slot:%llu",
              node->zero->replica != NULL ? (ull)replica_applied(node->zero->replica) : 0ull);
    info_line(out, "state_digest:%016llx",
              node->zero->engine != NULL ? (ull)engine_rolling_digest(node->zero->engine) : 0ull);
    info_line(out, "state_digests_compared:%llu", (ull)q->digests.compared);
    info_line(out, "state_digests_differed:%llu", (ull)q->digests.differed);
}

static void log_lines(struct node *node, struct reply *out)
{
    if (node->log == NULL) {
        return;
    }
    struct log_stats log;
    log_stats(node->log, &log);
    info_line(out, "log_batches:%llu", (ull)log.batches);
    info_line(out, "log_syncs:%llu", (ull)log.syncs);
    info_line(out, "log_inline_syncs:%llu", (ull)log.inline_syncs);
    info_line(out, "log_records:%llu", (ull)log.records);
    info_line(out, "log_bytes:%llu", (ull)log.bytes);
    info_line(out, "log_flush_bytes_max:%llu", (ull)log.flush_bytes_max);
    const struct log_figures *figures = log_figures(node->log);
    info_histogram(out, "log_sync_usec", &figures->sync_usec);
    info_histogram(out, "log_batch_records", &figures->batch_records);
    info_histogram(out, "log_batch_bytes", &figures->batch_bytes);
    info_line(out, "log_segments:%llu", (ull)log.segments);
    info_line(out, "log_cache_bytes:%llu", (ull)log.cache_bytes);
    info_line(out, "log_disk_bytes:%llu", (ull)log.disk_bytes);
    info_line(out, "log_groups:%u", log_group_count(node->log));
    info_line(out, "log_carried_bytes:%llu", (ull)node->measure->carried_bytes);
    info_line(out, "log_space_low:%d", (int)log_space(node->log));
    info_line(out, "disk_free_bytes:%lld", (long long)io_free_bytes(node->io, node->config.dir));
}

static void loop_lines(const struct measure *m, struct reply *out)
{
    info_histogram(out, "loop_turn_usec", &m->turn_usec);
    info_line(out, "loop_stall_max_usec:%llu", (ull)m->turn_usec.max);
    for (uint32_t i = 0; i < STALL_LEVELS; i++) {
        info_line(out, "loop_stalls_over_%ums:%llu", measure_stall_usec[i] / 1000,
                  (ull)m->stalls[i]);
    }
    info_histogram(out, "commands_per_read", &m->commands_per_read);
    info_histogram(out, "replies_per_write", &m->replies_per_write);
    info_histogram(out, "records_per_append", &m->records_per_append);
}

static void checkpoint_lines(const struct measure *m, struct reply *out)
{
    info_line(out, "checkpoints_abandoned:%llu", (ull)m->checkpoint.abandoned);
    info_line(out, "checkpoint_last_time:%lld", (long long)(m->checkpoint.ended / QR_SECOND));
    info_line(out, "checkpoint_last_usec:%llu", (ull)m->checkpoint.usec);
    info_line(out, "checkpoint_last_bytes:%llu", (ull)m->checkpoint.bytes);
}

static uint64_t total(const uint64_t *by_kind)
{
    uint64_t n = 0;
    for (uint32_t kind = 0; kind < FRAME_KINDS; kind++) {
        n += by_kind[kind];
    }
    return n;
}

static void peer_line(const struct node *node, node_index i, struct reply *out)
{
    static const struct histogram none;
    const struct peer_stats *s = peers_stats(node->peers, i);
    const struct histogram *append = node->measure->append_usec[i];
    append = append != NULL ? append : &none;
    info_line(out,
              "peer%u:id=%u,messages_sent=%llu,messages_received=%llu,messages_dropped=%llu,"
              "bytes_sent=%llu,bytes_received=%llu,writes=%llu,queued=%zu,losses=%llu,"
              "appends=%llu,append_p50_usec=%llu,append_p99_usec=%llu,append_max_usec=%llu",
              i, local_member(node, i)->id, (ull)total(s->sent), (ull)total(s->received),
              (ull)s->dropped, (ull)s->bytes_sent, (ull)s->bytes_received, (ull)s->writes,
              peers_queued(node->peers, i), (ull)s->losses, (ull)append->count,
              (ull)histogram_percentile(append, 50), (ull)histogram_percentile(append, 99),
              (ull)append->max);
}

void info_quorate(struct node *node, struct reply *out)
{
    const struct stats *s = &node->stats;
    info_line(out, "pending_commands:%u", node->pending_count);
    info_line(out, "pending_commands_high:%llu", (ull)s->pending_max);
    info_line(out, "pending_commands_limit:%u", NODE_PENDING_MAX);
    info_line(out, "pending_bytes:%zu", node->pending_bytes);
    info_line(out, "pending_bytes_limit:%zu", NODE_PENDING_BYTES_MAX);
    for (enum queue_id id = 0; id < QUEUES; id++) {
        info_line(out, "queue_%s:now=%llu,most=%llu,limit=%llu", queue_name(id),
                  (ull)queue_now(node, id), (ull)node->queues[id].most, (ull)queue_limit(node, id));
    }
    info_line(out, "paused_clients:%u", node->paused_clients);
    info_line(out, "client_output_high:%llu", (ull)s->client_output_max);
    info_line(out, "client_output_limit:%zu", CLIENT_OUTPUT_BYTES_MAX);
    info_line(out, "peer_output_high:%llu", (ull)s->peer_output_max);
    info_line(out, "peer_output_limit:%zu", PEER_OUTPUT_BYTES_MAX);
    if (node->router != NULL) {
        info_line(out, "router_waiting:%u", router_waiting(node->router));
        info_line(out, "router_forwarded:%u", router_forwarded(node->router));
    }
    info_line(out, "forwarded:%llu", (ull)s->forwarded);
    info_line(out, "forwarded_for_others:%llu", (ull)s->forwarded_for_others);
    info_line(out, "answers_uncertain:%llu", (ull)s->uncertain);
    info_line(out, "answers_leader_changed:%llu", (ull)s->leader_changed);
    info_line(out, "answers_clusterdown:%llu", (ull)s->clusterdown);
    info_line(out, "answers_stale:%llu", (ull)s->stale);
    info_line(out, "read_indexes_asked:%llu", (ull)s->indexes_asked);
    info_line(out, "protocol_errors:%llu", (ull)s->protocol_errors);
    health_lines(node, out);
    loop_lines(node->measure, out);
    info_line(out, "peer_messages_sent:%llu", (ull)s->peer_messages_sent);
    info_line(out, "peer_messages_received:%llu", (ull)s->peer_messages_received);
    info_line(out, "peer_messages_dropped:%llu", (ull)s->peer_messages_dropped);
    info_line(out, "peer_messages_astray:%llu", (ull)s->peer_messages_astray);
    info_line(out, "peer_reconnects:%llu", (ull)s->peer_reconnects);
    info_line(out, "peer_refused:%llu", (ull)s->peer_refused);
    info_line(out, "checkpoints:%llu", (ull)s->checkpoints);
    info_line(out, "checkpoint_slot:%llu",
              node->zero->keeper != NULL ? (ull)keeper_slot(node->zero->keeper) : 0ull);
    checkpoint_lines(node->measure, out);
    info_snapshot_lines(node, out);
    for (uint32_t i = 0; i < MEMBERS_MAX && node->peers != NULL; i++) {
        if (i != identity_me(&node->identity) && node->known[i].id != 0) {
            peer_line(node, (node_index)i, out);
        }
    }
    log_lines(node, out);
}

#ifdef QUORATE_FAILPOINTS
/* Whether replicas are equal; it reads everything in one go, so that it is for tests only (R4). */
void info_digest(struct node *node, struct reply *out)
{
    info_line(out, "digest_slot:%llu", (ull)replica_applied(node->zero->replica));
    info_line(out, "digest:%016llx", (ull)engine_digest(node->zero->engine));
}
#endif
