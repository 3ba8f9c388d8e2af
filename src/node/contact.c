#include "node/contact.h"

#include "node/control.h"
#include "node/council.h"
#include "node/node.h"
#include "node/peers.h"
#include "node/replica.h"
#include "node/run.h"
#include "node/views.h"
#include "protocol/quorum.h"

#define RENEWAL_BYTES 32u
#define RENEWED_BYTES (RENEWAL_BYTES + 8u)
#define COVERS_NOTHING UINT64_MAX /* no map has that version */

static struct detector_options detector_options(const struct config *config)
{
    uint32_t silence_ms =
        config->node_timeout_ms != 0 ? config->node_timeout_ms : config->election_timeout_ms;
    qr_time interval = config->heartbeat_ms * QR_MILLISECOND;
    qr_time silence = silence_ms * QR_MILLISECOND;
    qr_time deviation = config->phi_deviation_ms * QR_MILLISECOND;
    return (struct detector_options){
        .kind = (enum detector_kind)config->failure_detector,
        .interval = interval,
        .silence = silence > 2 * interval ? silence : 2 * interval + 1,
        .phi = config->phi_threshold,
        .deviation = deviation != 0 ? deviation : interval,
    };
}

void contact_init(struct node *node)
{
    uint64_t life;
    io_random(node->io, &life, sizeof life);
    struct detector_options options = detector_options(&node->config);
    beats_init(&node->contact.beats, &options);
    suspicions_init(&node->contact.suspicions);
    leases_init(&node->contact.leases, life);
}

/* --- Who is up ------------------------------------------------------------------------------ */

static void tell(struct node *node, node_index peer, bool up)
{
    struct contact *c = &node->contact;
    if (((c->told & node_bit(peer)) != 0) == up) {
        return;
    }
    c->told = (uint16_t)(c->told ^ node_bit(peer));
    schedule_peer(node, peer, up);
}

void contact_connected(struct node *node, node_index peer)
{
    struct contact *c = &node->contact;
    bool beats = peers_wire_version(node->peers, peer) >= frame_wire_version(FRAME_BEAT, 0);
    tell(node, peer, false); /* B3 */
    beats_connected(&c->beats, peer, beats, node_clock(node));
    suspicions_connected(&c->suspicions, peer, node->clock);
    tell(node, peer, true);
    c->next = 0;
}

void contact_lost(struct node *node, node_index peer)
{
    struct contact *c = &node->contact;
    suspicions_lost(&c->suspicions, peer, c->beats.heard[peer], node->clock);
    beats_lost(&c->beats, peer);
    leases_lost(&node->contact.leases, peer);
    tell(node, peer, false);
}

static void look_at_peers(struct node *node, qr_time now)
{
    struct contact *c = &node->contact;
    uint16_t beat_to, up;
    c->next = beats_turn(&c->beats, now, &beat_to, &up);
    for (uint32_t rest = beat_to; rest != 0; rest &= rest - 1) {
        peers_tell(node->peers, set_first(rest), FRAME_BEAT, (struct span){ 0 });
    }
    for (uint32_t rest = up ^ c->told; rest != 0; rest &= rest - 1) {
        node_index i = set_first(rest);
        bool is_up = (up & node_bit(i)) != 0;
        node_log(node, NODE_LOG_NOTICE, "Node %u is %s", (unsigned)node->known[i].id,
                 is_up ? "heard again" : "silent although it is connected");
        if (is_up) {
            suspicions_heard(&c->suspicions, i, now);
        } else {
            suspicions_silent(&c->suspicions, i, c->beats.heard[i], now);
        }
        tell(node, i, is_up);
    }
}

/* --- Leases --------------------------------------------------------------------------------- */

static void put_renewal(struct wire_writer *w, const struct renewal *r, struct cover_stage stage)
{
    wire_put_u64(w, r->life);
    wire_put_u64(w, (uint64_t)r->sent);
    wire_put_u64(w, stage.term);
    wire_put_u64(w, stage.count);
}

/* What the answers say of rules. */
static uint64_t covered_version(struct node *node, const struct outlook *o, qr_time now)
{
    bool fresh = o->can_serve && replica_applied_term(node->zero->replica) == o->term;
    if (!fresh || !control_is_current(node)) {
        return COVERS_NOTHING;
    }
    if (node->contact.coverage.freeze.stage.term != o->term) {
        coverage_lead(&node->contact.coverage, o->term, now); /* V2 */
        node->contact.guards = false;
    }
    return control_rules_version(node);
}

static void renewed(struct node *node, const struct renewal *renewal, uint64_t rules,
                    struct cover_stage stage, qr_time now)
{
    struct contact *c = &node->contact;
    if (leases_renewed(&c->leases, renewal, now) && control_version(node) >= rules) {
        coverage_granted(&c->coverage, stage, renewal->sent);
    }
}

void contact_renew(struct node *node)
{
    node->contact.leases.renew_at = 0;
    node->contact.next = 0;
    node_stir(node);
}

void contact_uncover(struct node *node)
{
    coverage_end(&node->contact.coverage);
}

/* When the latest messages were sent that a majority has answered. */
static qr_time confirmed_at(const struct outlook *o, node_index me, qr_time now)
{
    uint64_t at[MEMBERS_MAX] = { 0 };
    for (node_index i = 0; i < o->members; i++) {
        at[i] = o->member[i].forgetful ? 0 : (uint64_t)o->member[i].echoed;
    }
    at[me] = (uint64_t)now;
    return (qr_time)quorum_reached(at, &o->membership);
}

static void grant(struct node *node, const struct outlook *o, qr_time now)
{
    struct contact *c = &node->contact;
    node_index me = replica_me(node->zero->replica);
    uint64_t version = covered_version(node, o, now);
    struct cover_stage stage = c->coverage.freeze.stage;
    leases_confirm(&c->leases, confirmed_at(o, me, now));
    for (uint32_t rest = leases_grant(&c->leases, now); rest != 0; rest &= rest - 1) {
        node_index i = set_first(rest);
        uint8_t head[RENEWED_BYTES];
        bool covers = version != COVERS_NOTHING && coverage_may_grant(&c->coverage, i);
        uint64_t rules = covers ? version : COVERS_NOTHING;
        c->renewed++;
        if (covers) {
            coverage_grant(&c->coverage, i, now);
        }
        if (i == me) {
            renewed(node, &c->leases.renewal[i], rules, stage, now);
            continue;
        }
        struct wire_writer w = wire_writer(head, sizeof head);
        put_renewal(&w, &c->leases.renewal[i], stage);
        wire_put_u64(&w, rules);
        peers_tell(node->peers, i, FRAME_RENEWED, span_of(head, w.n));
    }
}

static void asked(struct node *node, node_index from, const struct renewal *renewal,
                  struct cover_stage said)
{
    struct contact *c = &node->contact;
    leases_asked(&c->leases, from, renewal, node_clock(node));
    if (renewal->life != 0) {
        suspicions_process(&c->suspicions, from, renewal->life);
        council_life(node, from, renewal->life);
    }
    coverage_asked(&c->coverage, from, said);
    if (c->coverage.freeze.count > 0) {
        node_stir(node); /* the change may wait for that (control.c) */
    }
}

static void renew(struct node *node, const struct outlook *o, qr_time now)
{
    struct contact *c = &node->contact;
    struct renewal renewal;
    if (o->leader == NODE_NONE || !leases_renew(&c->leases, now, &renewal)) {
        return;
    }
    uint16_t version = peers_wire_version(node->peers, o->leader);
    if (version != 0 && version < frame_wire_version(FRAME_RENEW, 0)) {
        coverage_without_rules(&c->coverage, now); /* it will not answer */
        return;
    }
    struct cover_stage said = coverage_said(&c->coverage);
    if (o->leader == replica_me(node->zero->replica)) {
        asked(node, o->leader, &renewal, said);
        return;
    }
    uint8_t head[RENEWAL_BYTES];
    struct wire_writer w = wire_writer(head, sizeof head);
    put_renewal(&w, &renewal, said);
    peers_tell(node->peers, o->leader, FRAME_RENEW, span_of(head, w.n));
}

bool contact_receive(struct node *node, node_index from, uint8_t kind, struct span head)
{
    if (kind == FRAME_BEAT) {
        return head.n == 0; /* that it came was noticed */
    }
    if (kind == FRAME_FREEZE) {
        return contact_take_freeze(node, head);
    }
    struct wire_reader r = wire_reader(head);
    struct renewal renewal = { .life = wire_get_u64(&r) };
    renewal.sent = (qr_time)wire_get_u64(&r);
    struct cover_stage stage = { .term = wire_get_u64(&r) };
    stage.count = wire_get_u64(&r);
    uint64_t rules = kind == FRAME_RENEWED ? wire_get_u64(&r) : 0;
    if (!wire_finished(&r)) {
        return false;
    }
    if (kind == FRAME_RENEW) {
        asked(node, from, &renewal, stage);
    } else {
        renewed(node, &renewal, rules, stage, node_clock(node));
    }
    return true;
}

/* --- Turns ---------------------------------------------------------------------------------- */

/* L6: an index of group 0 that was asked for behind the answer, and is applied. */
static void look_at_tenure(struct node *node, qr_time now)
{
    struct contact *c = &node->contact;
    if (node->partitions.viewed == 0 || c->tenure == c->leases.since ||
        !leases_held(&c->leases, now)) {
        return;
    }
    if (control_is_current(node) && replica_fresh_at(node->zero->replica) >= c->leases.since) {
        c->tenure = c->leases.since;
        views_wake(node);
        return;
    }
    replica_ask_ahead(node->zero->replica);
    node_stay(node); /* nobody tells when it is applied */
}

qr_time contact_turn(struct node *node, qr_time now)
{
    struct contact *c = &node->contact;
    const struct outlook *o = replica_seen(node->zero->replica);
    bool leads = o->role == ROLE_LEADER;
    leases_lead(&c->leases, leads ? o->term : 0, o->can_serve, now);
    if (c->leases.asked != 0 && leads) {
        grant(node, o, now);
    }
    if (c->leases.asked != 0) {
        node_stay(node); /* leadership is confirmed by what the others answer (L2) */
    }
    qr_time settle = contact_settle(node, now);
    if (now >= c->next) {
        look_at_peers(node, now);
        renew(node, o, now);
    }
    look_at_tenure(node, now);
    return settle < c->next ? settle : c->next;
}

uint16_t contact_alive(const struct node *node)
{
    return (uint16_t)(node->contact.told | node_bit((node_index)identity_me(&node->identity)));
}

bool lease_counts(const struct node *node)
{
    const struct contact *c = &node->contact;
    return c->tenure != 0 && c->tenure == c->leases.since && lease_held(node);
}

bool lease_held(const struct node *node)
{
    return leases_held(&node->contact.leases, io_now(node->io));
}

qr_time lease_gone_for(const struct node *node, node_index index)
{
    return leases_gone_for(&node->contact.leases, index, io_now(node->io));
}
