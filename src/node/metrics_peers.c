/* Rows of /metrics about consensus and the other members. */
#include "node/metrics_internal.h"

#include "node/local_internal.h"
#include "node/peers.h"

#include <stdio.h>

/* Calls `write` for every other member, with its id as text. */
static void each_peer(struct metrics *page, const struct metric_row *row,
                      void (*write)(struct metrics *page, const struct metric_row *row,
                                    node_index i, const char *id))
{
    const struct node *node = page->sources.node;
    for (uint32_t i = 0; i < MEMBERS_MAX && node->peers != NULL; i++) {
        if (i != identity_me(&node->identity) && node->known[i].id != 0) {
            char id[16];
            (void)snprintf(id, sizeof id, "%u", local_member(node, i)->id);
            write(page, row, (node_index)i, id);
        }
    }
}

static void peer_sample(struct metrics *page, const struct metric_row *row, const char *id,
                        double value)
{
    metric_sample(&page->out, row->name, "", LABELS({ "peer", id }), value);
}

/* --- Consensus ------------------------------------------------------------------------------ */

void write_roles(struct metrics *page, const struct metric_row *row)
{
    static const struct {
        const char *name;
        enum role role;
    } roles[] = { { "leader", ROLE_LEADER },
                  { "candidate", ROLE_CANDIDATE },
                  { "follower", ROLE_FOLLOWER } };
    for (size_t i = 0; i < ARRAY_COUNT(roles); i++) {
        metric_sample(&page->out, row->name, "", LABELS({ "role", roles[i].name }),
                      page->sources.ready && page->sources.outlook.role == roles[i].role);
    }
}

void write_alarms(struct metrics *page, const struct metric_row *row)
{
    static const enum alarm_kind kinds[] = {
#define ALARM(tag, NAME, sentence) ALARM_##NAME,
#include "node/alarms.def"
#undef ALARM
    };
    const struct alarm *list[ALARMS_MAX];
    uint32_t n = alarms_list(&page->sources.node->alarms, list);
    for (size_t k = 0; k < ARRAY_COUNT(kinds); k++) {
        uint32_t count = 0;
        for (uint32_t i = 0; i < n; i++) {
            count += list[i]->kind == kinds[k];
        }
        metric_sample(&page->out, row->name, "", LABELS({ "alarm", alarm_name(kinds[k]) }), count);
    }
}

/* Only a leader knows how far the others are. */
static bool leads(const struct metrics *page)
{
    return page->sources.ready && page->sources.outlook.role == ROLE_LEADER;
}

static const struct member_outlook *member(const struct metrics *page, node_index i)
{
    return &page->sources.outlook.member[i];
}

static void match(struct metrics *page, const struct metric_row *row, node_index i, const char *id)
{
    peer_sample(page, row, id, (double)member(page, i)->match);
}

void write_match(struct metrics *page, const struct metric_row *row)
{
    if (leads(page)) {
        each_peer(page, row, match);
    }
}

static void lag(struct metrics *page, const struct metric_row *row, node_index i, const char *id)
{
    qr_slot last = page->sources.outlook.last;
    qr_slot held = member(page, i)->match;
    peer_sample(page, row, id, held < last ? (double)(last - held) : 0);
}

void write_lag(struct metrics *page, const struct metric_row *row)
{
    if (leads(page)) {
        each_peer(page, row, lag);
    }
}

static double silence_s(const struct metrics *page, node_index i)
{
    qr_time heard = member(page, i)->heard;
    return heard == 0 ? 0 : (double)(io_now(page->sources.node->io) - heard) / (double)QR_SECOND;
}

static void silence(struct metrics *page, const struct metric_row *row, node_index i,
                    const char *id)
{
    if (member(page, i)->heard != 0) {
        peer_sample(page, row, id, silence_s(page, i));
    }
}

void write_silence(struct metrics *page, const struct metric_row *row)
{
    if (leads(page)) {
        each_peer(page, row, silence);
    }
}

void write_records_per_append(struct metrics *page, const struct metric_row *row)
{
    metric_histogram(&page->out, row->name, NO_LABELS, &page->sources.measure->records_per_append,
                     &metric_counts);
}

static void append(struct metrics *page, const struct metric_row *row, node_index i, const char *id)
{
    const struct histogram *h = page->sources.measure->append_usec[i];
    if (h != NULL) {
        metric_histogram(&page->out, row->name, LABELS({ "peer", id }), h, &metric_seconds);
    }
}

void write_appends(struct metrics *page, const struct metric_row *row)
{
    each_peer(page, row, append);
}

/* --- As Redis knows it ---------------------------------------------------------------------- */

static void slave_sample(struct metrics *page, const struct metric_row *row, node_index i,
                         double value)
{
    const struct node *node = page->sources.node;
    const struct roster_node *m = local_member(node, i);
    char port[8];
    (void)snprintf(port, sizeof port, "%u", m->client_port);
    if (leads(page) && local_is_follower(node, i)) {
        metric_sample(
            &page->out, row->name, "",
            LABELS({ "slave_ip", m->address }, { "slave_port", port },
                   { "slave_state", member(page, i)->needs_snapshot ? "wait_bgsave" : "online" }),
            value);
    }
}

static void slave_offset(struct metrics *page, const struct metric_row *row, node_index i,
                         const char *id)
{
    (void)id;
    slave_sample(page, row, i, (double)member(page, i)->match);
}

void write_slave_offset(struct metrics *page, const struct metric_row *row)
{
    each_peer(page, row, slave_offset);
}

static void slave_lag(struct metrics *page, const struct metric_row *row, node_index i,
                      const char *id)
{
    (void)id;
    slave_sample(page, row, i, silence_s(page, i));
}

void write_slave_lag(struct metrics *page, const struct metric_row *row)
{
    each_peer(page, row, slave_lag);
}

/* A sample with the leader's address; none on the leader itself. */
static void master_sample(struct metrics *page, const struct metric_row *row, double value)
{
    const struct sources *s = &page->sources;
    bool known = s->outlook.leader != NODE_NONE;
    const struct roster_node *m = known ? local_member(s->node, s->outlook.leader) : NULL;
    char port[8];
    (void)snprintf(port, sizeof port, "%u", known ? m->client_port : 0);
    if (!leads(page)) {
        metric_sample(&page->out, row->name, "",
                      LABELS({ "master_host", known ? m->address : "" }, { "master_port", port }),
                      value);
    }
}

void write_slave_info(struct metrics *page, const struct metric_row *row)
{
    const struct sources *s = &page->sources;
    if (!leads(page) && s->outlook.leader != NODE_NONE) {
        const struct roster_node *m = local_member(s->node, s->outlook.leader);
        char port[8];
        (void)snprintf(port, sizeof port, "%u", m->client_port);
        metric_sample(
            &page->out, row->name, "",
            LABELS({ "master_host", m->address }, { "master_port", port }, { "read_only", "1" }),
            1);
    }
}

void write_master_link(struct metrics *page, const struct metric_row *row)
{
    master_sample(page, row, page->sources.outlook.leader != NODE_NONE);
}

void write_master_last_io(struct metrics *page, const struct metric_row *row)
{
    master_sample(page, row, page->sources.outlook.leader != NODE_NONE ? 0 : -1);
}

void write_master_sync(struct metrics *page, const struct metric_row *row)
{
    master_sample(page, row, page->sources.fetch.active ? 1 : 0);
}

void write_slave_repl(struct metrics *page, const struct metric_row *row)
{
    master_sample(page, row, (double)page->sources.applied);
}

/* --- Connections ---------------------------------------------------------------------------- */

static void up(struct metrics *page, const struct metric_row *row, node_index i, const char *id)
{
    peer_sample(page, row, id, peers_connected(page->sources.node->peers, i));
}

void write_peer_up(struct metrics *page, const struct metric_row *row)
{
    each_peer(page, row, up);
}

/* The kinds that travel once a connection is made. */
static void by_kind(struct metrics *page, const struct metric_row *row, const char *id,
                    const uint64_t *counts)
{
    static const struct {
        const char *name;
        enum frame_kind kind;
    } kinds[] = { { "protocol", FRAME_PROTOCOL },
                  { "forward", FRAME_FORWARD },
                  { "reply", FRAME_REPLY },
                  { "space", FRAME_SPACE },
                  { "snapshot", FRAME_SNAPSHOT_DATA },
                  { "digest", FRAME_DIGEST },
                  { "alarm", FRAME_ALARM },
                  { "health", FRAME_HEALTH } };
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        metric_sample(&page->out, row->name, "", LABELS({ "peer", id }, { "kind", kinds[i].name }),
                      (double)counts[kinds[i].kind]);
    }
}

static void sent(struct metrics *page, const struct metric_row *row, node_index i, const char *id)
{
    by_kind(page, row, id, peers_stats(page->sources.node->peers, i)->sent);
}

void write_sent(struct metrics *page, const struct metric_row *row)
{
    each_peer(page, row, sent);
}

static void received(struct metrics *page, const struct metric_row *row, node_index i,
                     const char *id)
{
    by_kind(page, row, id, peers_stats(page->sources.node->peers, i)->received);
}

void write_received(struct metrics *page, const struct metric_row *row)
{
    each_peer(page, row, received);
}

#define PEER_STAT(name, field)                                                                \
    static void name##_of(struct metrics *page, const struct metric_row *row, node_index i,   \
                          const char *id)                                                     \
    {                                                                                         \
        peer_sample(page, row, id, (double)peers_stats(page->sources.node->peers, i)->field); \
    }                                                                                         \
    void write_##name(struct metrics *page, const struct metric_row *row)                     \
    {                                                                                         \
        each_peer(page, row, name##_of);                                                      \
    }
PEER_STAT(dropped, dropped)
PEER_STAT(bytes_sent, bytes_sent)
PEER_STAT(bytes_received, bytes_received)
PEER_STAT(peer_writes, writes)
PEER_STAT(losses, losses)
#undef PEER_STAT

static struct suspicion_figures figures_of(const struct metrics *page, node_index i)
{
    const struct node *node = page->sources.node;
    return suspicions_figures(&node->contact.suspicions, i, io_now(node->io));
}

#define FIGURE(name, expression)                                                            \
    static void name##_of(struct metrics *page, const struct metric_row *row, node_index i, \
                          const char *id)                                                   \
    {                                                                                       \
        struct suspicion_figures f = figures_of(page, i);                                   \
        peer_sample(page, row, id, (double)(expression));                                   \
    }                                                                                       \
    void write_##name(struct metrics *page, const struct metric_row *row)                   \
    {                                                                                       \
        each_peer(page, row, name##_of);                                                    \
    }
FIGURE(mistakes, f.mistakes)
FIGURE(mistaken, (double)f.mistaken / (double)QR_SECOND)
FIGURE(failures, f.failures)
FIGURE(missed, f.missed)
FIGURE(detection, (double)f.detection / (double)QR_SECOND)
FIGURE(unproven, f.unproven)
FIGURE(trusted, (double)f.trusted / (double)QR_SECOND)
#undef FIGURE

static void suspicions_of(struct metrics *page, const struct metric_row *row, node_index i,
                          const char *id)
{
    struct suspicion_figures f = figures_of(page, i);
    metric_sample(&page->out, row->name, "", LABELS({ "peer", id }, { "by", "silence" }),
                  (double)f.silent);
    metric_sample(&page->out, row->name, "", LABELS({ "peer", id }, { "by", "closed" }),
                  (double)f.closed);
}

void write_suspicions(struct metrics *page, const struct metric_row *row)
{
    each_peer(page, row, suspicions_of);
}

static void suspected(struct metrics *page, const struct metric_row *row, node_index i,
                      const char *id)
{
    enum suspicion_state state = page->sources.node->contact.suspicions.of[i].state;
    peer_sample(page, row, id, state != SUSPICION_TRUSTED);
}

void write_suspected(struct metrics *page, const struct metric_row *row)
{
    each_peer(page, row, suspected);
}

static void timeout(struct metrics *page, const struct metric_row *row, node_index i,
                    const char *id)
{
    const struct detector *d = &page->sources.node->contact.beats.detector;
    peer_sample(page, row, id, (double)detector_timeout(d, i) / (double)QR_SECOND);
}

void write_timeout(struct metrics *page, const struct metric_row *row)
{
    each_peer(page, row, timeout);
}

static void queued(struct metrics *page, const struct metric_row *row, node_index i, const char *id)
{
    peer_sample(page, row, id, (double)peers_queued(page->sources.node->peers, i));
}

void write_queued(struct metrics *page, const struct metric_row *row)
{
    each_peer(page, row, queued);
}
