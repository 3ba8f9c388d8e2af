/* What the council does (council.h): it looks at the partitions that something is known of since
 * the last look, and writes down what succession.h says.
 *
 * CN4 A partition whose primary serves, whose wish is reached and whose members all have caught up
 *     is calm, and looked at again when something is heard of it, when the map is another one or
 *     when nodes come and go. The others are looked at every LOOK_INTERVAL.
 * CN5 The epoch of a wish is settled here, not by the group's leader (F6 of follow.h): when the
 *     rule's members are the wish, that term is settled, and no rule that is still owed names
 *     anybody else, whose replica may go then. Under a rule that waits for nobody stricter ones
 *     name others until all members have caught up (S7 of succession.h).
 * CN6 Who prefers to lead is handed the lead when all else is settled and it has caught up, and
 *     after HAND_OVER_AGAIN once more when it did not come about.
 * CN7 Writes wait while a primary is chosen, and that takes two records of group 0: what is written
 *     is told to the other nodes at once, not with the next heartbeat.
 * CN8 A loss stands in the record until its term is settled, and whoever leads group 0 tells it
 *     when he first sees it: the one who wrote it down may die before he has told anybody. */
#include "node/council_internal.h"

#include "cluster/follow.h"
#include "cluster/strategy.h"
#include "node/alarm.h"
#include "node/contact.h"
#include "node/control_internal.h"
#include "node/peers.h"
#include "node/replica.h"
#include "node/run.h"
#include "node/standing.h"
#include "protocol/quorum.h"

#include <stdio.h>
#include <string.h>

#define LOOK_INTERVAL (100 * QR_MILLISECOND)
#define LOOKS_PER_TURN 1024u /* partitions; the others have the next turn */
#define RECORDS_PER_CHANGE 256u
#define CHANGE_BYTES_MAX (128 * KIB)
#define HAND_OVER_REPEATED (200 * QR_MILLISECOND) /* its frame, while it is wanted */
#define HAND_OVER_AGAIN (10 * QR_SECOND)
#define STOPPED_TIME (2 * QR_SECOND) /* before people are told */

/* One partition, as it is looked at. */
struct look {
    struct node *node;
    struct hearing *hearing;
    const struct map_keyspace *keyspace;
    const struct map_partition *partition;
    const struct succession *now;
    struct succession_wish wish;
    struct succession_scene scene;
};

/* --- What is known of the nodes -------------------------------------------------------------- */

static void look_at_nodes(struct node *node, qr_time now)
{
    struct council *c = node->control->council;
    struct hearing_nodes *n = &c->nodes;
    uint16_t alive = contact_alive(node);
    n->now = now;
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        bool here = (alive & node_bit(i)) != 0;
        if (!here && ((n->alive & node_bit(i)) != 0 || n->away_since[i] == 0)) {
            n->away_since[i] = now;
        }
        n->away_since[i] = here ? 0 : n->away_since[i];
        n->lease_gone[i] = leases_gone_for(&node->contact.leases, i, now);
    }
    n->alive = alive;
}

/* What of that makes a difference to every partition. */
static uint64_t sight_of(const struct hearing_nodes *n)
{
    uint64_t sight = n->alive;
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        bool lost = n->away_since[i] != 0 && n->now - n->away_since[i] > HEARING_PATIENCE_AWAY;
        sight |= (uint64_t)(n->lease_gone[i] > 0) << (16 + i) | (uint64_t)lost << (32 + i);
    }
    return sight;
}

/* --- What people are told -------------------------------------------------------------------- */

static void explain(const struct look *l, const struct succession_action *a, char *out, size_t cap)
{
    uint64_t ids[MEMBERS_MAX];
    struct text text = text_in(out, cap);
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        ids[i] = l->node->known[i].id;
    }
    text_put(&text, "keyspace ");
    text_put(&text, l->keyspace->name);
    text_put(&text, ", partition ");
    text_u64(&text, l->partition->index);
    text_put(&text, ": ");
    succession_explain(&text, l->now, a, ids);
}

/* It happened once: it stays listed until somebody has seen it. */
static void raise_loss(const struct look *l, node_index primary, const char *text)
{
    uint32_t about = l->node->known[primary].id;
    alarm_raise_about(l->node, ALARM_LOST, about, "%s", text);
    alarm_clear_about(l->node, ALARM_LOST, about);
}

static void tell_written(const struct look *l, const struct succession_action *a)
{
    struct council_figures *f = &l->node->control->council->figures;
    char text[SUCCESSION_TEXT_BYTES + KEYSPACE_NAME_BYTES];
    explain(l, a, text, sizeof text);
    bool chosen = l->now->primary == NODE_NONE && a->next.primary != NODE_NONE;
    f->written++;
    bool another = chosen && l->now->before != NODE_NONE && l->now->before != a->next.primary;
    f->failovers += another;
    f->losses += a->loss.possible;
    l->node->stats.primary_failovers += another; /* CONFIG RESETSTAT zeroes these */
    l->node->stats.primary_losses += a->loss.possible;
    bool plain = a->reason == SUCCESSION_SETTLED || l->now->before == NODE_NONE;
    node_log(l->node,
             a->loss.possible ? NODE_LOG_WARNING
             : plain          ? NODE_LOG_VERBOSE
                              : NODE_LOG_NOTICE,
             "%s", text);
    if (a->loss.possible && control_level(l->node) < MAP_LEVEL_COPIES) {
        raise_loss(l, a->next.primary, text);
    }
}

/* CN8 */
static void tell_loss(const struct look *l)
{
    const struct succession *s = l->now;
    char text[SUCCESSION_TEXT_BYTES + KEYSPACE_NAME_BYTES];
    if (!s->loss.possible || l->hearing->lossy == s->term) {
        return;
    }
    struct succession_action a = { .kind = SUCCESSION_WRITE,
                                   .reason = s->loss.promised_more ? SUCCESSION_FORCED
                                                                   : SUCCESSION_CHOSEN,
                                   .next = *s,
                                   .loss = s->loss };
    l->hearing->lossy = s->term;
    explain(l, &a, text, sizeof text);
    raise_loss(l, s->primary, text);
}

static void note_stop(const struct look *l, const struct succession_action *a)
{
    struct council *c = l->node->control->council;
    struct hearing *h = l->hearing;
    bool stopped = a->kind == SUCCESSION_STOP;
    h->stopped_at = !stopped ? 0 : h->stopped_at != 0 ? h->stopped_at : c->nodes.now;
    h->stopped = stopped ? (uint8_t)a->reason : SUCCESSION_NONE;
    if (!stopped || c->nodes.now - h->stopped_at < STOPPED_TIME) {
        return;
    }
    bool none = l->now->primary == NODE_NONE;
    uint32_t *count = none ? &c->stopped : &c->short_of;
    if (none || a->reason == SUCCESSION_FEW_COPIES) {
        if (*count == 0) {
            explain(l, a, none ? c->stopped_text : c->short_text, sizeof c->stopped_text);
        }
        (*count)++;
    }
}

static void tell_stops(struct node *node)
{
    struct council *c = node->control->council;
    if (c->stopped > 0) {
        alarm_raise(node, ALARM_NOPRIMARY, "%s", c->stopped_text);
    } else {
        alarm_clear(node, ALARM_NOPRIMARY);
    }
    if (c->short_of > 0) {
        alarm_raise(node, ALARM_NOREPLICAS, "%s", c->short_text);
    } else {
        alarm_clear(node, ALARM_NOREPLICAS);
    }
}

/* --- What is done ---------------------------------------------------------------------------- */

void council_hand_over(struct node *node, node_index primary, const struct hand_over *order)
{
    uint8_t bytes[HAND_OVER_BYTES];
    if (primary == replica_me(node->zero->replica)) {
        standing_obey(node, order);
    } else {
        size_t n = hand_over_write(order, bytes);
        peers_tell(node->peers, primary, FRAME_ORDER, span_of(bytes, n));
    }
}

uint16_t council_able(const struct node *node, uint32_t group)
{
    struct council *c = node->control->council;
    struct succession_scene scene;
    const struct succession *s = map_succession(node->map, group);
    if (s == NULL || s->primary == NODE_NONE) {
        return 0;
    }
    hearing_scene(council_add(c, group), s, &c->nodes, &scene);
    uint16_t able = (uint16_t)(s->rule.members & scene.alive & scene.caught & ~scene.lost &
                               ~node_bit(s->primary));
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        bool sound = scene.told[i].life != 0 && !scene.told[i].forgetful;
        able = (uint16_t)(sound ? able : able & ~node_bit(i));
    }
    return able;
}

static void order_hand_over(const struct look *l, node_index to)
{
    struct node *node = l->node;
    qr_time now = node->control->council->nodes.now;
    if (l->hearing->ordered_at != 0 && now - l->hearing->ordered_at < HAND_OVER_REPEATED) {
        return;
    }
    struct hand_over order = { .group = l->partition->group, .to = to, .term = l->now->term };
    l->hearing->ordered_at = now;
    node->control->council->figures.orders++;
    council_hand_over(node, l->now->primary, &order);
}

/* CN5 */
static bool is_reached(const struct look *l)
{
    const struct succession *s = l->now;
    uint16_t named = (uint16_t)(s->rule.members | s->learners);
    for (uint32_t i = 0; i < s->duty_count; i++) {
        named |= (uint16_t)(s->duty[i].rule.members | s->duty[i].primaries);
    }
    return s->primary != NODE_NONE && s->settled == s->term && s->learners == 0 &&
           s->rule.members == l->partition->wish && (named & ~l->partition->wish) == 0;
}

/* CN6 */
static bool should_hand_over(const struct look *l)
{
    node_index to = l->partition->prefers;
    const struct succession_scene *s = &l->scene;
    qr_time now = l->node->control->council->nodes.now;
    qr_time ordered = l->hearing->ordered_at;
    bool fit = to != NODE_NONE && to != l->now->primary &&
               (l->now->rule.members & s->alive & s->caught & ~s->lost & node_bit(to)) != 0;
    return fit &&
           (ordered == 0 || now - ordered >= HAND_OVER_AGAIN ||
            now - l->hearing->since < HAND_OVER_AGAIN / 2) &&
           !s->told[to].forgetful;
}

/* Nothing is to be written. */
static void rest(struct look *l, struct edit *edit)
{
    const struct map_partition *p = l->partition;
    const struct succession *s = l->now;
    bool reached = is_reached(l);
    if (reached && p->settled < p->epoch) {
        struct map_partition settled = *p;
        map_settle(&settled);
        edit_partition(edit, &settled);
        return;
    }
    if (reached && l->scene.order == SUCCESSION_NO_ORDER && should_hand_over(l)) {
        order_hand_over(l, p->prefers);
    }
    uint16_t here = (uint16_t)(s->rule.members & l->scene.alive);
    bool led =
        p->prefers == NODE_NONE || p->prefers == s->primary || (here & node_bit(p->prefers)) == 0;
    l->hearing->calm =
        reached && led && l->scene.order == SUCCESSION_NO_ORDER && (here & ~l->scene.caught) == 0;
}

/* What whoever has ordered it is told in the end. */
static void note_order(const struct look *l, struct council_order *order,
                       const struct succession_action *a)
{
    order->why[0] = 0;
    if (a->kind == SUCCESSION_STOP) {
        explain(l, a, order->why, sizeof order->why);
    } else if (a->kind == SUCCESSION_WRITE && a->next.primary != NODE_NONE) {
        order->loss = a->loss;
    }
}

/* Who was ordered to lead keeps the lead: CN6 would hand it back at once. */
static void prefer(const struct look *l, const struct succession_action *a, struct edit *edit)
{
    node_index chosen = a->kind == SUCCESSION_WRITE ? a->next.primary : NODE_NONE;
    if (chosen != NODE_NONE && l->now->primary == NODE_NONE && l->partition->prefers != chosen) {
        struct map_partition p = *l->partition;
        map_wish(&p, p.wish, chosen);
        edit_partition(edit, &p);
    }
}

/* Where all nodes can read it; what was lost before then nobody has counted (position.h, O4). */
static void count_losses(const struct look *l, struct succession_action *a)
{
    if (control_level(l->node) < MAP_LEVEL_FOLLOWERS) {
        a->next.losses = (struct lineage){ 0 };
    } else if (!l->now->losses.counted &&
               (a->kind == SUCCESSION_WRITE || a->kind == SUCCESSION_NOTHING)) {
        if (a->kind == SUCCESSION_NOTHING) {
            *a = (struct succession_action){ .kind = SUCCESSION_WRITE,
                                             .reason = SUCCESSION_COUNTED,
                                             .next = *l->now };
        }
        a->next.losses = (struct lineage){ .count = 0 };
        losses_add(&a->next.losses, l->now->term, 0);
    }
}

/* Adds what is next of that partition. */
static void look_at(struct look *l, struct edit *edit)
{
    struct council *c = l->node->control->council;
    tell_loss(l);
    l->wish = strategy_wish(l->node->map, l->keyspace, l->partition->wish);
    hearing_scene(l->hearing, l->now, &c->nodes, &l->scene);
    struct council_order *order = council_order_of(l->node, l->partition->group);
    if (order != NULL) {
        l->scene.order = order->kind;
        l->scene.to = order->to;
    }
    struct succession_action a = succession_turn(l->now, &l->wish, &l->scene);
    l->hearing->calm = false;
    note_stop(l, &a);
    if (order != NULL) {
        note_order(l, order, &a);
        prefer(l, &a, edit);
    }
    if (control_level(l->node) < MAP_LEVEL_COPIES) {
        a.next.loss = (struct succession_loss){ 0 }; /* older nodes could not read it */
        a.next.forgot = 0;
    }
    count_losses(l, &a);
    if (a.kind == SUCCESSION_WRITE) {
        edit_succession(edit, l->partition->group, &a.next);
        tell_written(l, &a);
    } else if (a.kind == SUCCESSION_HAND_OVER) {
        order_hand_over(l, a.to);
    } else if (a.kind == SUCCESSION_NOTHING) {
        rest(l, edit);
    }
}

/* --- Looks ----------------------------------------------------------------------------------- */

/* Groups that are in the map no more. */
static void forget_dropped(struct node *node)
{
    struct council *c = node->control->council;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < c->count; i++) {
        if (follow_is_gone(node->map, c->group[i].group)) {
            hearing_free(&c->group[i]);
        } else {
            c->group[kept++] = c->group[i];
        }
    }
    c->count = kept;
}

static bool sees_anew(const struct node *node)
{
    const struct council *c = node->control->council;
    return c->seen != map_changes(node->map) || c->sight != sight_of(&c->nodes);
}

static void begin_look(struct node *node)
{
    struct council *c = node->control->council;
    c->all = sees_anew(node);
    c->seen = map_changes(node->map);
    c->sight = sight_of(&c->nodes);
    c->looks = true;
    c->stirred = false;
    c->cursor = 0;
    c->stopped = c->short_of = 0;
    c->next = c->nodes.now + LOOK_INTERVAL;
    if (c->all) {
        forget_dropped(node);
    }
}

/* Whether the look is over. */
static bool go_on(struct node *node, struct edit *edit)
{
    struct council *c = node->control->council;
    c->all = c->all || sees_anew(node);
    for (uint32_t n = 0; n < LOOKS_PER_TURN && edit->count < 2 * RECORDS_PER_CHANGE; n++) {
        uint32_t group = map_succession_after(node->map, c->cursor);
        if (group == 0) {
            return true;
        }
        c->cursor = group;
        const struct map_partition *p = map_partition(node->map, group);
        if (p == NULL) {
            continue; /* N2 of map.h */
        }
        struct hearing *h = council_add(c, p->group);
        struct look l = { .node = node,
                          .hearing = h,
                          .partition = p,
                          .keyspace = map_keyspace(node->map, p->keyspace),
                          .now = map_succession(node->map, p->group) };
        if (l.keyspace != NULL && strategy_has_views(l.keyspace) && (c->all || !h->calm)) {
            look_at(&l, edit);
        }
    }
    return false;
}

static void wake_at(struct node *node, qr_time at)
{
    node->wake = at < node->wake ? at : node->wake;
}

void council_turn(struct node *node, qr_time now)
{
    struct council *c = node->control->council;
    if (!council_look(node) || control_level(node) < MAP_LEVEL_PRIMARY ||
        map_succession_after(node->map, 0) == 0) {
        return;
    }
    if (c->told != map_changes(node->map)) { /* CN7 */
        c->told = map_changes(node->map);
        replica_admin(node->zero->replica, ADMIN_TELL, 0);
    }
    look_at_nodes(node, now);
    bool due = c->looks || c->stirred || sees_anew(node) || now >= c->next;
    bool may =
        due && control_may_compose(node) && replica_has_room(node->zero->replica, CHANGE_BYTES_MAX);
    if (!may) {
        wake_at(node, due ? now + 5 * QR_MILLISECOND : c->next);
        return;
    }
    if (!c->looks) {
        begin_look(node);
    }
    struct edit edit = { 0 };
    bool over = go_on(node, &edit);
    if (over) {
        c->looks = false;
        tell_stops(node);
    }
    if (edit.count > 0 && !control_propose_own(node, &edit)) {
        c->seen = 0; /* all is looked at again */
    }
    edit_free(&edit);
    wake_at(node, c->looks || c->stirred ? now : c->next);
    node->again = node->again || c->looks;
}
