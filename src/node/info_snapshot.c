/* INFO about snapshots: which member is how far, and what this node gives and gets. */
#include "node/info_internal.h"

#include "node/keeper.h"
#include "node/replica.h"
#include "node/snapshot_fetch.h"
#include "node/snapshot_source.h"

typedef unsigned long long ull; /* what printf calls 64 bits */

#define ONLINE_LAG 1000u /* entries; a member that lacks more is catching up */

static unsigned percent(uint64_t part, uint64_t whole)
{
    return whole == 0 ? 0 : (unsigned)((double)part * 100 / (double)whole);
}

enum replica_state info_replica_state(const struct node *node, const struct outlook *outlook,
                                      node_index i)
{
    const struct member_outlook *member = &outlook->member[i];
    if (!local_is_follower(node, i)) {
        return REPLICA_AWAY;
    }
    if (member->needs_snapshot || source_progress_of(node->zero->source, i).active) {
        return REPLICA_BOOTSTRAP;
    }
    uint64_t lag = outlook->last > member->match ? outlook->last - member->match : 0;
    return lag > ONLINE_LAG ? REPLICA_CATCHUP : REPLICA_ONLINE;
}

/* As leader, each member. What it lacks means nothing while it is being brought up. */
void info_replica_line(const struct node *node, const struct outlook *outlook, node_index i,
                       uint32_t id, struct reply *out)
{
    static const char *const names[] = { [REPLICA_AWAY] = "away",
                                         [REPLICA_BOOTSTRAP] = "bootstrap",
                                         [REPLICA_CATCHUP] = "catchup",
                                         [REPLICA_ONLINE] = "online" };
    enum replica_state state = info_replica_state(node, outlook, i);
    const struct member_outlook *member = &outlook->member[i];
    struct source_progress p = source_progress_of(node->zero->source, i);
    uint64_t lag = outlook->last > member->match ? outlook->last - member->match : 0;
    bool tells_lag = state == REPLICA_CATCHUP || state == REPLICA_ONLINE;
    info_line(out,
              "replica%u:id=%u,state=%s,lag_ops=%lld,bootstrap_pct=%u,snapshot_sent=%llu,"
              "snapshot_bytes=%llu,snapshot_bytes_per_second=%llu",
              i, id, names[state], tells_lag ? (long long)lag : -1LL,
              state != REPLICA_BOOTSTRAP ? 100u : percent(p.sent, p.total), (ull)p.sent,
              (ull)p.total, (ull)p.bytes_per_second);
}

/* As Redis tells a replica's full synchronisation. */
void info_sync_lines(const struct node *node, struct reply *out)
{
    struct fetch_figures f;
    fetch_figures(node->zero->fetch, &f);
    qr_time silence = f.active ? io_now(node->io) - f.heard : 0;
    info_line(out, "master_sync_in_progress:%d", f.active ? 1 : 0);
    info_line(out, "master_sync_total_bytes:%llu", (ull)f.total);
    info_line(out, "master_sync_read_bytes:%llu", (ull)f.done);
    info_line(out, "master_sync_left_bytes:%llu", (ull)(f.total - f.done));
    info_line(out, "master_sync_perc:%u", f.active ? percent(f.done, f.total) : 100);
    info_line(out, "master_sync_last_io_seconds_ago:%lld",
              f.active ? (long long)(silence / QR_SECOND) : -1LL);
}

void info_snapshot_lines(const struct node *node, struct reply *out)
{
    struct fetch_figures f;
    struct source_figures s;
    transfers_took(node, &f);
    transfers_gave(node, &s);
    info_line(out, "snapshot_source:%u", f.source);
    info_line(out, "snapshot_done_bytes:%llu", (ull)f.done);
    info_line(out, "snapshot_total_bytes:%llu", (ull)f.total);
    info_line(out, "snapshot_bytes_per_second:%llu", (ull)f.bytes_per_second);
    info_line(out, "snapshot_resumed_at:%llu", (ull)f.resumed_at);
    info_line(out, "snapshots_begun:%llu", (ull)f.counts.begun);
    info_line(out, "snapshots_resumed:%llu", (ull)f.counts.resumed);
    info_line(out, "snapshots_installed:%llu", (ull)f.counts.installed);
    info_line(out, "snapshots_refused:%llu", (ull)f.counts.refused);
    info_line(out, "snapshots_given_up:%llu", (ull)f.counts.given_up);
    info_line(out, "snapshots_dropped:%llu", (ull)f.counts.dropped);
    info_line(out, "snapshot_bytes_received:%llu", (ull)f.counts.bytes);
    info_line(out, "snapshot_offers:%llu", (ull)s.offers);
    info_line(out, "snapshot_bytes_sent:%llu", (ull)s.bytes);
    info_line(out, "snapshot_reads_gone:%llu", (ull)s.gone);
    info_line(out, "snapshot_files_refused:%llu", (ull)s.refused);
    info_line(out, "snapshot_files_unusable:%llu", (ull)s.unusable);
    info_line(out, "snapshot_pin:%llu", (ull)source_pin(node->zero->source));
}
