/* INFO's section Replication: as Redis shows it to clients and tools that know leaders and
 * followers only, of the keyspace that the connection has selected. Offsets are slots of the log;
 * where a keyspace has several partitions they are sums, over those of this node, and of ages the
 * highest counts. */
#include "node/info_internal.h"

#include "node/facts.h"
#include "node/lagging.h"
#include "node/replica.h"
#include "node/selected.h"
#include "node/snapshot_source.h"
#include "protocol/quorum.h"

typedef unsigned long long ull; /* what printf calls 64 bits */

/* One of the other nodes, in the partitions that this one leads. */
struct peer_sum {
    enum follower_state state; /* the worst */
    bool known;
    qr_slot match;
    struct lag lag;
    qr_time silence; /* the longest; -1: nothing was heard of it yet */
    struct source_progress copy;
};

struct sums {
    uint32_t led, here;
    qr_slot commit, last, first, applied;
    node_index leader; /* of the first one that another node leads */
    bool hands_over;
    uint16_t peers;
    struct peer_sum peer[MEMBERS_MAX];
};

/* --- Sums ----------------------------------------------------------------------------------- */

static void add_peer(struct partition *p, node_index i, struct sums *out)
{
    struct follower_sight f = lagging_of(p, i);
    struct source_progress copy = { 0 };
    if (p->source != NULL) {
        copy = source_progress_of(p->source, i);
    }
    struct peer_sum *sum = &out->peer[i];
    bool first = (out->peers & node_bit(i)) == 0;
    out->peers |= node_bit(i);
    sum->state = first || f.state < sum->state ? f.state : sum->state;
    sum->known = f.known && (first || sum->known);
    sum->match += f.match;
    sum->lag.ops += f.lag.ops;
    sum->lag.bytes += f.lag.bytes;
    sum->lag.age = f.lag.age > sum->lag.age ? f.lag.age : sum->lag.age;
    bool silent = f.silence < 0 || (!first && sum->silence < 0);
    sum->silence = silent ? -1 : f.silence > sum->silence ? f.silence : sum->silence;
    sum->copy.active = sum->copy.active || copy.active;
    sum->copy.sent += copy.sent;
    sum->copy.total += copy.total;
    sum->copy.bytes_per_second += copy.bytes_per_second;
}

static void add(struct node *node, struct partition *p, struct sums *out)
{
    struct outlook o;
    replica_outlook(p->replica, &o);
    out->here++;
    out->commit += o.commit;
    out->last += o.last;
    out->first += o.first;
    out->applied += replica_applied(p->replica);
    if (o.role != ROLE_LEADER) {
        out->leader = out->leader == NODE_NONE ? o.leader : out->leader;
        return;
    }
    out->led++;
    out->hands_over = out->hands_over || o.transfer_to != NODE_NONE;
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        bool member = p->group == 0 || (membership_all(&o.membership) >> i & 1) != 0;
        if (member && i != identity_me(&node->identity) && node->known[i].id != 0) {
            add_peer(p, i, out);
        }
    }
}

static void sum_up(struct node *node, struct sums *out)
{
    const struct client *asks = node->info.asks;
    const struct map_keyspace *k =
        asks != NULL && asks->selected.keyspace != 0 ? route_keyspace(node, &asks->selected) : NULL;
    *out = (struct sums){ .leader = NODE_NONE };
    if (k == NULL && node->zero->replica != NULL) {
        add(node, node->zero, out);
    }
    for (uint32_t i = 0; k != NULL && i < k->partitions; i++) {
        struct partition *p =
            partition_of_group(node, map_partition_at(node->map, k->id, i)->group);
        if (p != NULL && p->replica != NULL) {
            add(node, p, out);
        }
    }
}

/* --- Lines ---------------------------------------------------------------------------------- */

static const char *slave_state(const struct peer_sum *sum)
{
    return sum->state != FOLLOWER_BOOTSTRAP ? "online"
           : sum->copy.active               ? "send_bulk"
                                            : "wait_bgsave";
}

static long long ms_of(bool known, qr_time t)
{
    return known && t >= 0 ? (long long)((t + QR_MILLISECOND - 1) / QR_MILLISECOND) : -1;
}

/* What it lacks means nothing while it is being brought up. */
static void peer_line(const struct node *node, node_index i, const struct peer_sum *sum,
                      struct reply *out)
{
    bool brought_up = sum->state == FOLLOWER_BOOTSTRAP;
    info_line(out,
              "replica%u:id=%u,state=%s,lag_ops=%lld,lag_bytes=%lld,lag_ms=%lld,last_ack_ms=%lld,"
              "bootstrap_pct=%u,snapshot_sent=%llu,snapshot_bytes=%llu,"
              "snapshot_bytes_per_second=%llu",
              i, local_member(node, i)->id, follower_state_name(sum->state),
              sum->known ? (long long)sum->lag.ops : -1LL,
              sum->known ? (long long)sum->lag.bytes : -1LL, ms_of(sum->known, sum->lag.age),
              ms_of(true, sum->silence),
              brought_up ? info_percent(sum->copy.sent, sum->copy.total) : 100u,
              (ull)sum->copy.sent, (ull)sum->copy.total, (ull)sum->copy.bytes_per_second);
}

static void followers(const struct node *node, const struct sums *sums, struct reply *out)
{
    uint32_t connected = 0, number = 0;
    for (uint32_t rest = sums->peers; rest != 0; rest &= rest - 1) {
        connected += local_is_follower(node, set_first(rest));
    }
    info_line(out, "connected_slaves:%u", connected);
    for (uint32_t rest = sums->peers; rest != 0; rest &= rest - 1) {
        node_index i = set_first(rest);
        const struct peer_sum *sum = &sums->peer[i];
        const struct roster_node *m = local_member(node, i);
        if (local_is_follower(node, i)) {
            qr_time silence = sum->silence > 0 ? sum->silence : 0;
            info_line(out, "slave%u:ip=%s,port=%u,state=%s,offset=%llu,lag=%lld", number++,
                      m->address, m->client_port, slave_state(sum), (ull)sum->match,
                      (long long)(silence / QR_SECOND));
        }
    }
    for (uint32_t rest = sums->peers; rest != 0; rest &= rest - 1) {
        node_index i = set_first(rest);
        peer_line(node, i, &sums->peer[i], out);
    }
}

static void leader(const struct node *node, const struct sums *sums, struct reply *out)
{
    bool known = sums->leader != NODE_NONE;
    const struct roster_node *m = known ? local_member(node, sums->leader) : NULL;
    info_line(out, "master_host:%s", known ? m->address : "");
    info_line(out, "master_port:%u", known ? m->client_port : 0);
    info_line(out, "master_link_status:%s", known ? "up" : "down");
    info_line(out, "master_last_io_seconds_ago:%d", known ? 0 : -1);
    info_sync_lines(node, out);
    info_line(out, "slave_read_repl_offset:%llu", (ull)sums->last);
    info_line(out, "slave_repl_offset:%llu", (ull)sums->applied);
    info_line(out, "slave_priority:100");
    info_line(out, "slave_read_only:1");
    info_line(out, "replica_announced:1");
    info_line(out, "connected_slaves:0");
}

void info_replication(struct node *node, struct reply *out)
{
    struct sums sums;
    sum_up(node, &sums);
    bool by_port = node->info.asks->listener == LISTENER_CLUSTER;
    bool zero = node->info.asks->selected.keyspace == 0;
    if (sums.led > 0 || ((zero || by_port) && local_is_master(node->info.asks))) {
        info_line(out, "role:master");
        followers(node, &sums, out);
    } else {
        info_line(out, "role:slave");
        leader(node, &sums, out);
    }
    char history[41]; /* the one that an offset belongs to is the cluster's; it never forks */
    facts_history(node, history);
    info_line(out, "master_failover_state:%s",
              sums.hands_over ? "waiting-for-sync" : "no-failover");
    info_line(out, "master_replid:%s", history);
    info_line(out, "master_replid2:%040d", 0);
    info_line(out, "master_repl_offset:%llu", (ull)sums.commit);
    info_line(out, "second_repl_offset:-1");
    info_line(out, "repl_backlog_active:1");
    info_line(out, "repl_backlog_size:%llu", (ull)node->config.log_max_bytes);
    info_line(out, "repl_backlog_first_byte_offset:%llu", (ull)sums.first);
    info_line(out, "repl_backlog_histlen:%llu",
              sums.first > sums.last ? 0ull : (ull)(sums.last - sums.first + sums.here));
}
