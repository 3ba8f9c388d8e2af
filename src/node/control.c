/* Changes of the control state, one at a time, each composed on the state that it is for. */
#include "node/control_internal.h"

#include "base/alloc.h"
#include "command/op.h"
#include "node/contact.h"
#include "node/council_orders.h"
#include "node/orders.h"
#include "node/peers.h"
#include "node/replica.h"
#include "node/run.h"
#include "node/standing.h"

#include <stdlib.h>

#define PLANNER_PATIENCE (2 * QR_SECOND)

/* --- The map --------------------------------------------------------------------------------- */

static void taken(struct node *node, enum map_status status)
{
    if (status == MAP_NEWER) {
        node_fail(node, "the cluster is of a level that this version does not know: upgrade it");
    }
    qr_assert(status != MAP_BAD); /* composed here or checked by whoever composed it */
}

/* Behind the records of each change comes the version of the state, as a record without a key. */
static void on_record(void *context, struct span key, struct span value)
{
    struct node *node = context;
    node_stir(node);
    struct control *control = node->control;
    if (key.n == 0) {
        control->version = engine_system_version(node->zero->engine);
        if (control->rules_seen != map_rules(node->map)) {
            control->rules = control->version;
            control->rules_seen = map_rules(node->map);
            contact_renew(node);
        }
        return;
    }
    node->quotas += key.p[0] == MAP_RECORD_KEYSPACE ? 1 : 0;
    taken(node, map_put(node->map, key, value));
    if (key.p[0] == MAP_RECORD_SETTINGS) {
        holding_note_groups(node, false);
    }
}

void control_watch(struct node *node)
{
    node->engine_config.system_changed = on_record;
    node->engine_config.system_context = node;
}

/* The state was loaded, or came from another node. */
static void rebuild(struct node *node)
{
    struct control *control = node->control;
    uint64_t version = engine_system_version(node->zero->engine);
    if (version < control->version) {
        contact_uncover(node);
    }
    map_reset(node->map);
    engine_system_each(node->zero->engine, on_record, node);
    holding_note_groups(node, true);
    node->quotas++;
    control->version = version;
    control->rules = version; /* the state does not tell: perhaps just now */
    control->rules_seen = map_rules(node->map);
    control->engine = node->zero->engine;
}

uint64_t control_rules_version(const struct node *node)
{
    return node->control->rules;
}

uint64_t control_version(const struct node *node)
{
    return node->control->version;
}

uint32_t control_level(const struct node *node)
{
    return map_settings(node->map)->level;
}

uint32_t control_level_known(const struct node *node)
{
    (void)node;
    return identity_level_known();
}

/* --- Proposing ------------------------------------------------------------------------------- */

static struct reply *begin_reply(struct stream *stream, struct pending *p)
{
    struct control *control = stream->node->control;
    (void)p;
    reply_reset(&control->reply);
    return &control->reply;
}

/* The change is decided, or never will be. */
static void end_reply(struct stream *stream, struct pending *p, enum qr_status status)
{
    struct control *control = stream->node->control;
    struct control_flight *f = &control->flight;
    (void)p;
    qr_assert(f->busy && !f->ended); /* C1 */
    f->ended = true;
    f->status = status;
    f->refused = status == STATUS_OK && control->reply.is_error;
    f->version = engine_system_version(stream->node->zero->engine);
    node_stir(stream->node);
}

static bool never_congested(const struct stream *stream)
{
    (void)stream;
    return false;
}

/* A leader that still applies what was committed before it would judge by a map of long ago. */
bool control_may_compose(const struct node *node)
{
    const struct outlook *o = replica_seen(node->zero->replica);
    return outlook_serves(o) && replica_is_current(node->zero->replica) &&
           o->transfer_to == NODE_NONE && !node->control->flight.busy;
}

/* Hands the change to the log. False: there is no room now. */
static bool propose(struct node *node, const struct edit *edit, uint64_t composed_on)
{
    struct control *control = node->control;
    size_t n = edit_op_bytes(edit);
    if (!replica_leads(node->zero->replica) || !replica_has_room(node->zero->replica, n)) {
        return false;
    }
    qr_assert(!control->flight.busy || control->flight.prepares); /* C1 */
    struct pending *p = stream_push(&control->own.stream, NULL, 2, node->clock);
    pending_join(p, node->zero);
    control->flight.busy = true;
    edit_op_write(edit, composed_on, (uint16_t)control_level(node),
                  replica_write(node->zero->replica, p, n));
    return true;
}

static qr_time end_of_time(const struct node *node)
{
    return node->clock + node->config.request_timeout_ms * QR_MILLISECOND;
}

/* The line may not move: a change ahead of it ends when it is decided. */
static void stand_in_line(struct node *node, struct pending *p)
{
    p->state = PENDING_CONTROLLED;
    p->until = p->until != 0 ? p->until : end_of_time(node);
    if (node->clock < p->until) {
        pendings_push(&node->control->waiting, p);
    } else {
        orders_refuse(p, "TRYAGAIN another change of the cluster is under way and not decided yet, "
                         "nothing was changed");
    }
}

bool control_begins(struct node *node, struct pending *p)
{
    struct control *control = node->control;
    if (control_waiting(control) >= CONTROL_ORDERS_MAX) {
        stream_refuse(p, STATUS_OVERLOADED);
        return false;
    }
    if (!control_may_compose(node)) {
        stand_in_line(node, p);
        return false;
    }
    return true;
}

bool control_rests(struct node *node, struct pending *p)
{
    const struct replica *zero = node->zero->replica;
    if (!control_begins(node, p)) {
        return false;
    }
    p->slot = p->slot != 0 ? p->slot : replica_seen(zero)->commit;
    if (replica_applied(zero) < p->slot) {
        stand_in_line(node, p);
        return false;
    }
    p->slot = 0;
    return true;
}

void control_propose(struct node *node, struct pending *p, struct edit *edit, uint32_t keyspace)
{
    struct control *control = node->control;
    struct control_flight *f = &control->flight;
    p->state = PENDING_CONTROLLED;
    edit_prefixes(edit, node->map, &f->freeze);
    if (f->freeze.count > 0) {
        f->busy = f->prepares = true; /* C3 */
        f->edit = *edit;
        f->composed_on = control->version;
        *edit = (struct edit){ 0 };
        node_stir(node);
    } else if (!propose(node, edit, control->version)) {
        stand_in_line(node, p);
        p = NULL;
    }
    f->until = end_of_time(node) + (f->prepares ? RULES_TIME : 0); /* a node may be away */
    f->order = p;
    f->keyspace = keyspace;
    edit_free(edit);
}

bool control_propose_own(struct node *node, struct edit *edit)
{
    bool done = control_may_compose(node) && propose(node, edit, node->control->version);
    edit_free(edit);
    return done;
}

/* --- Orders ---------------------------------------------------------------------------------- */

void control_await_reports(struct node *node, struct pending *p, uint32_t keyspace)
{
    p->state = PENDING_CONTROLLED;
    p->slot = reports_ask(node);
    p->wanted = keyspace;
    p->until = node->clock + USABLE_TIME / 2;
    pendings_push(&node->control->asking, p);
}

uint32_t control_waiting(const struct control *control)
{
    return control->waiting.count + control->asking.count + control->settling.count +
           control->spreading.count;
}

static void give_back(struct node *node, struct pending *p)
{
    struct pendings one = { 0 };
    pendings_push(&one, p);
    p->slot = 0; /* what it waited for was this leader's */
    p->wanted = 0;
    p->until = 0;
    router_retry(node->router, &one, STATUS_NOT_LEADER);
}

/* The order of the change that has ended. */
static void land(struct node *node, const struct control_flight *f)
{
    struct control *control = node->control;
    struct pending *p = f->order;
    if (f->status == STATUS_OK && !f->refused && f->keyspace == CONTROL_RULES) {
        p->slot = f->version;
        p->until = node->clock + RULES_TIME;
        pendings_push(&control->spreading, p);
    } else if (f->status == STATUS_OK && !f->refused) {
        p->slot = f->version;
        p->wanted = f->keyspace;
        p->until = node->clock + USABLE_TIME;
        pendings_push(&control->settling, p);
    } else if (f->status == STATUS_OK && ++p->wanted < ATTEMPTS) {
        stand_in_line(node, p);
    } else if (f->status == STATUS_OK) {
        orders_refuse(p, "TRYAGAIN other changes of the cluster came in between, nothing was "
                         "changed");
    } else if (f->status == STATUS_NOT_LEADER || f->status == STATUS_LEADER_CHANGED) {
        give_back(node, p);
    } else if (f->status == STATUS_UNCERTAIN) {
        orders_uncertain(p);
    } else {
        stream_refuse(p, f->status);
    }
}

/* The change has ended, or never was proposed. */
static void end_flight(struct node *node)
{
    struct control_flight ended = node->control->flight;
    node->control->flight = (struct control_flight){ 0 };
    edit_free(&ended.edit);
    if (ended.frozen) {
        contact_thaw(node);
    }
    if (ended.order != NULL) {
        land(node, &ended);
    }
}

/* C3 */
static void prepare(struct node *node, qr_time now)
{
    struct control_flight *f = &node->control->flight;
    const struct outlook *o = replica_seen(node->zero->replica);
    if (o->role != ROLE_LEADER || !o->can_serve || o->transfer_to != NODE_NONE) {
        f->status = STATUS_NOT_LEADER;
        end_flight(node);
        return;
    }
    f->frozen = f->frozen || contact_freeze(node, &f->freeze);
    if (f->frozen && contact_guard(node) && propose(node, &f->edit, f->composed_on)) {
        f->prepares = false;
    } else if (now + 5 * QR_MILLISECOND < node->wake) {
        node->wake = now + 5 * QR_MILLISECOND;
    }
}

/* Whoever waits for it is told so when its time is over. What is in the log is under way until it
 * is decided all the same (C1): behind it nothing is composed or judged, and nothing thaws (C3). */
static void let_time_pass(struct node *node, qr_time now)
{
    struct control_flight *f = &node->control->flight;
    struct pending *p = f->order;
    if (p == NULL || now < f->until) {
        return;
    }
    f->order = NULL;
    if (f->prepares) {
        orders_refuse(p, "TRYAGAIN not all nodes hold the keys of the prefix back, nothing was "
                         "changed");
        end_flight(node);
    } else if (replica_leads(node->zero->replica)) {
        orders_undecided(p);
    } else {
        orders_uncertain(p);
    }
}

/* What nobody waits for any more is not begun: its client was told that it may have happened, and
 * looks whether it has. */
static void judge_waiting(struct node *node)
{
    struct control *control = node->control;
    for (uint32_t count = control->waiting.count; count > 0; count--) {
        struct pending *p = pendings_pop(&control->waiting);
        if (p->stream == NULL) {
            stream_answered(p, STATUS_OK);
        } else if (control_may_compose(node)) {
            orders_begin(node, p);
        } else {
            stand_in_line(node, p);
        }
    }
}

/* Those that wait for figures are judged by what has come, or not. A keyspace that was just made
 * may still elect its leaders. */
static void judge_asking(struct node *node, qr_time now)
{
    struct control *control = node->control;
    struct pending *next;
    for (struct pending *p = control->asking.first; p != NULL; p = next) {
        next = p->queue_next;
        bool known = reports_answered(node, p->slot) &&
                     (p->wanted == 0 || reports_keyspace_is_led(node, p->wanted));
        if (known || now >= p->until) {
            pendings_remove(&control->asking, p);
            p->wanted = 0;
            p->until = 0;
            stand_in_line(node, p);
        }
    }
}

static void answer_settled(struct node *node, qr_time now)
{
    struct control *control = node->control;
    struct pending *next;
    for (struct pending *p = control->settling.first; p != NULL; p = next) {
        next = p->queue_next;
        bool usable = !replica_leads(node->zero->replica) ||
                      (reports_know_version(node, p->slot) &&
                       (p->wanted == 0 || reports_keyspace_is_led(node, p->wanted)));
        if (usable || now >= p->until) {
            pendings_remove(&control->settling, p);
            orders_ok(node, p);
        }
    }
}

/* C4: behind its time nobody goes by what was before, also where this node leads no more. */
static void answer_spread(struct node *node, qr_time now)
{
    struct control *control = node->control;
    struct pending *next;
    for (struct pending *p = control->spreading.first; p != NULL; p = next) {
        next = p->queue_next;
        if (reports_all_know(node, p->slot) || now >= p->until) {
            pendings_remove(&control->spreading, p);
            orders_ok(node, p);
        }
    }
}

static void give_back_all(struct node *node, struct pendings *queue)
{
    struct pending *p;
    while ((p = pendings_pop(queue)) != NULL) {
        give_back(node, p);
    }
}

static bool is_built(const struct node *node)
{
    const struct control *control = node->control;
    return control->engine == node->zero->engine &&
           control->version == engine_system_version(node->zero->engine);
}

bool control_is_current(const struct node *node)
{
    return is_built(node) && !node->control->flight.ended;
}

/* Orders come first, since clients wait for them; but copies that are missing do not wait until a
 * stream of orders ends. */
static bool planner_is_late(const struct node *node, qr_time now)
{
    return now >= node->control->planner.next + PLANNER_PATIENCE;
}

void control_turn(struct node *node, qr_time now)
{
    struct control *control = node->control;
    struct control_flight *f = &control->flight;
    if (!is_built(node)) {
        rebuild(node);
    }
    if (f->ended) {
        end_flight(node);
    } else if (f->prepares) {
        prepare(node, now);
    }
    let_time_pass(node, now);
    reports_turn(node, now);
    standing_turn(node, now);
    council_orders_turn(node, now);
    council_turn(node, now);
    if (control_level(node) != node->identity.level) {
        control_follow_level(node);
    }
    if (!replica_leads(node->zero->replica)) {
        give_back_all(node, &control->waiting);
        give_back_all(node, &control->asking);
    } else {
        judge_asking(node, now);
        if (planner_is_late(node, now)) {
            planner_turn(node, now);
        }
        judge_waiting(node);
        planner_turn(node, now);
    }
    answer_settled(node, now);
    answer_spread(node, now);
    if (control_waiting(control) > 0 && now + 5 * QR_MILLISECOND < node->wake) {
        node->wake = now + 5 * QR_MILLISECOND;
    }
    if (f->order != NULL && f->until < node->wake) {
        node->wake = f->until;
    }
}

/* --- Making ---------------------------------------------------------------------------------- */

struct control *control_new(struct node *node)
{
    struct control *control = qr_zalloc(sizeof *control);
    control->node = node;
    stream_init(&control->own.stream, node, STREAM_PEER); /* T3: what is refused comes back */
    control->own.stream.begin_reply = begin_reply;
    control->own.stream.end_reply = end_reply;
    control->own.stream.is_congested = never_congested;
    control->own.peer = NODE_NONE;
    reply_init(&control->reply, 2);
    control->reports = reports_new();
    control->council = council_new();
    return control;
}

void control_free(struct control *control)
{
    edit_free(&control->flight.edit);
    reply_free(&control->reply);
    reports_free(control->reports);
    council_free(control->council);
    free(control);
}
