/* INFO about snapshots: what this node gives and gets. */
#include "node/info_internal.h"

#include "node/keeper.h"
#include "node/replica.h"
#include "node/snapshot_fetch.h"
#include "node/snapshot_source.h"

typedef unsigned long long ull; /* what printf calls 64 bits */

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
    info_line(out, "master_sync_perc:%u", f.active ? info_percent(f.done, f.total) : 100);
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
    info_line(out, "snapshot_orders:%llu", (ull)s.orders);
    info_line(out, "snapshot_reads_gone:%llu", (ull)s.gone);
    info_line(out, "snapshot_files_refused:%llu", (ull)s.refused);
    info_line(out, "snapshot_files_unusable:%llu", (ull)s.unusable);
    info_line(out, "snapshot_pin:%llu", (ull)source_pin(node->zero->source));
}
