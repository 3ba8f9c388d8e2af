#include "node/schedule.h"

#include "base/alloc.h"
#include "base/linked.h"
#include "node/node.h"
#include "node/peers.h"
#include "node/quarantine.h"
#include "node/repair.h"
#include "node/replica.h"
#include "node/reporting.h"
#include "node/standing.h"
#include "node/views.h"

#define ASIDE_MAX 1024u /* partitions that hear of a sync at once; the others in their turns */
/* A third of the shortest election time-out, by default. */
#define SCHEDULE_PATIENCE (100 * QR_MILLISECOND)
#define SWEEP_LOOKS 4096u /* partitions that one turn's sweep looks at */

static struct schedule *schedule_of(const struct partition *p)
{
    return &p->node->partitions.schedule;
}

void schedule_free(struct schedule *s)
{
    free(s->heap);
}

/* --- The heap of deadlines ------------------------------------------------------------------ */

#define NOWHERE UINT32_MAX

static void put(struct schedule *s, uint32_t at, struct partition *p)
{
    s->heap[at] = p;
    p->heap_at = at;
}

static void sift_up(struct schedule *s, uint32_t at, struct partition *p)
{
    while (at > 0 && s->heap[(at - 1) / 2]->due > p->due) {
        put(s, at, s->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    put(s, at, p);
}

static void sift_down(struct schedule *s, uint32_t at, struct partition *p)
{
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child + 1 < s->heap_n && s->heap[child + 1]->due < s->heap[child]->due) {
            child++;
        }
        if (child >= s->heap_n || s->heap[child]->due >= p->due) {
            break;
        }
        put(s, at, s->heap[child]);
        at = child;
    }
    put(s, at, p);
}

static bool is_in_heap(const struct schedule *s, const struct partition *p)
{
    return p->heap_at < s->heap_n && s->heap[p->heap_at] == p;
}

static void leave_heap(struct schedule *s, struct partition *p)
{
    if (!is_in_heap(s, p)) {
        return;
    }
    uint32_t at = p->heap_at;
    struct partition *last = s->heap[--s->heap_n];
    p->heap_at = NOWHERE;
    if (last != p) {
        if (at > 0 && s->heap[(at - 1) / 2]->due > last->due) {
            sift_up(s, at, last);
        } else {
            sift_down(s, at, last);
        }
    }
}

static void set_due(struct schedule *s, struct partition *p, qr_time due)
{
    bool in = is_in_heap(s, p);
    qr_time before = p->due;
    if (due == QR_NEVER) {
        leave_heap(s, p);
        p->due = due;
        return;
    }
    p->due = due;
    if (!in) {
        if (s->heap_n == s->heap_cap) {
            s->heap_cap = s->heap_cap == 0 ? 64 : s->heap_cap * 2;
            s->heap = qr_realloc(s->heap, s->heap_cap * sizeof *s->heap);
        }
        sift_up(s, s->heap_n++, p);
    } else if (due < before) {
        sift_up(s, p->heap_at, p);
    } else if (due > before) {
        sift_down(s, p->heap_at, p);
    }
}

static void note_rest(struct schedule *s, struct partition *p, bool rests)
{
    s->resting = rests ? s->resting + !p->rests : s->resting - p->rests;
    p->rests = rests;
}

/* --- Waking --------------------------------------------------------------------------------- */

void schedule_wake(struct partition *p)
{
    struct schedule *s = schedule_of(p);
    qr_assert(!p->awake);
    p->awake = true;
    p->awake_next = NULL;
    if (s->awake_last != NULL) {
        s->awake_last->awake_next = p;
    } else {
        s->awake = p;
    }
    s->awake_last = p;
}

static struct partition *next_awake(struct schedule *s)
{
    struct partition *p = s->awake;
    if (p != NULL) {
        s->awake = p->awake_next;
        s->awake_last = s->awake == NULL ? NULL : s->awake_last;
    }
    return p;
}

static void leave_awake(struct schedule *s, struct partition *p)
{
    struct partition *before = NULL;
    for (struct partition *q = s->awake; q != NULL && q != p; q = q->awake_next) {
        before = q;
    }
    if (before != NULL) {
        before->awake_next = p->awake_next;
    } else {
        s->awake = p->awake_next;
    }
    s->awake_last = s->awake_last == p ? before : s->awake_last;
    p->awake = false;
}

void partition_expects(struct partition *p, uint64_t position)
{
    struct schedule *s = schedule_of(p);
    if (!p->expects && p->group != 0) {
        p->expects = true;
        p->expects_at = position;
        LINKED_APPEND(s->expect, s->expect_last, p, expects_previous, expects_next);
    }
}

static void expects_no_more(struct schedule *s, struct partition *p)
{
    p->expects = false;
    LINKED_REMOVE(s->expect, s->expect_last, p, expects_previous, expects_next);
}

void schedule_forget(struct partition *p)
{
    struct schedule *s = schedule_of(p);
    qr_assert(p->group != 0);
    leave_heap(s, p);
    note_rest(s, p, false);
    campaigns_forget(p);
    if (p->awake) {
        leave_awake(s, p);
    }
    if (p->expects) {
        expects_no_more(s, p);
    }
}

/* Where the log stands for that replica. */
static uint64_t reached(const struct schedule *s, const struct replica *r)
{
    return replica_is_lazy(r) ? s->written : s->durable;
}

static void log_moved(struct schedule *s)
{
    uint32_t aside = 0;
    struct partition *next;
    for (struct partition *p = s->expect; p != NULL; p = next) {
        next = p->expects_next;
        if (next != NULL && next->replica != NULL) {
            replica_prefetch(next->replica);
        }
        if (p->expects_at > (p->replica != NULL ? reached(s, p->replica) : s->durable)) {
            continue;
        }
        if (p->awake || p->replica == NULL || aside == ASIDE_MAX ||
            !replica_awaits_only(p->replica)) {
            partition_wake(p);
            continue;
        }
        aside++;
        expects_no_more(s, p); /* it may expect the next one at once */
        replica_durable_aside(p->replica, s->durable);
    }
}

void schedule_durable(struct node *node, uint64_t position)
{
    struct schedule *s = &node->partitions.schedule;
    s->durable = position;
    s->written = max_u64(s->written, position);
    log_moved(s);
}

void schedule_written(struct node *node, uint64_t position)
{
    node->partitions.schedule.written = position;
    log_moved(&node->partitions.schedule);
}

/* --- Peers (W3) ------------------------------------------------------------------------------ */

void schedule_peer(struct node *node, node_index peer, bool up)
{
    struct schedule *s = &node->partitions.schedule;
    qr_assert(peer < MEMBERS_MAX);
    qr_assert((s->ups[peer] & 1) == (up ? 0 : 1));
    s->ups[peer]++;
    s->changes++;
    s->sweep = node->partitions.count;
}

/* A successor is looked for now. What the lost leader said of this node's clock may have waited
 * here for long, or come of its own clock; nothing corrects it in a group that rests (skew.c: W4).
 */
static void tell_of_clock(struct partition *p, node_index lost)
{
    node_index leader = replica_leader(p->replica);
    if (p->group != 0 && !p->node->health.off && (leader == lost || leader == NODE_NONE)) {
        replica_admin(p->replica, ADMIN_SKEWED, 0);
    }
}

static void tell(struct partition *p, node_index peer, bool up)
{
    repairer_peer(p, peer, up);
    quarantine_peer(p, peer);
    replica_peer(p->replica, peer, up);
    if (!up) {
        tell_of_clock(p, peer);
    }
}

/* One that was lost and came back between two looks was lost. */
static void tell_of_peers(const struct schedule *s, struct partition *p)
{
    if (p->told_at == s->changes) {
        return;
    }
    p->told_at = s->changes;
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        bool was_up = (p->told_of[i] & 1) != 0;
        bool is_up = (s->ups[i] & 1) != 0;
        if (p->told_of[i] == s->ups[i]) {
            continue;
        }
        p->told_of[i] = s->ups[i];
        if (was_up) {
            tell(p, i, false);
        }
        if (is_up) {
            tell(p, i, true);
        }
    }
}

static void sweep_some(struct node *node, qr_time until)
{
    struct schedule *s = &node->partitions.schedule;
    uint32_t looks = 0;
    s->sweep = s->sweep < node->partitions.count ? s->sweep : node->partitions.count;
    while (s->sweep > 0 && looks++ < SWEEP_LOOKS) {
        struct partition *p = node->partitions.all[--s->sweep];
        if (p->group == 0 || p->replica == NULL) {
            continue;
        }
        tell_of_peers(s, p);
        if (looks % 16 == 0 && node_clock(node) >= until) {
            return;
        }
    }
}

/* --- Turns ---------------------------------------------------------------------------------- */

void schedule_begin(struct node *node, qr_time now)
{
    struct schedule *s = &node->partitions.schedule;
    qr_time upto = peers_hold(node->peers) ? now - SCHEDULE_PATIENCE : now; /* W4 */
    while (s->heap_n > 0 && s->heap[0]->due <= upto) {
        struct partition *p = s->heap[0];
        leave_heap(s, p);
        partition_wake(p);
    }
    campaigns_turn(&s->campaigns, now);
    if (s->sweep > 0) {
        sweep_some(node, now + SCHEDULE_SWEEP_USEC);
    }
}

/* Who leads and who the members are: what is to be done about it may be another thing now. */
static void watch(struct partition *p)
{
    const struct outlook *o = replica_seen(p->replica);
    bool leads = outlook_serves(o);
    qr_slot stated = o->membership_slot > o->commit ? 0 : o->membership_slot;
    if (leads != p->led || stated != p->stated) {
        p->led = leads;
        p->stated = stated;
        p->reached = 0;
        holding_disturb(p);
    }
}

static void run(struct schedule *s, struct partition *p, qr_time now)
{
    p->again = false;
    p->wake = QR_NEVER;
    s->turns++;
    reporting_note(p);
    qr_time due = QR_NEVER;
    if (p->replica != NULL) {
        tell_of_peers(s, p); /* a new one takes all to be away */
        if (p->expects && p->expects_at <= reached(s, p->replica)) {
            expects_no_more(s, p);
            replica_durable(p->replica, s->durable);
        }
        views_tell(p);
        campaigns_gate(p, now);
        replica_turn(p->replica);
        campaigns_look(p);
        partition_house(p, now);
        partition_tidy(p);
        watch(p);
        standing_look(p);
        due = replica_deadline(p->replica);
        due = p->wake < due ? p->wake : due;
    }
    bool waits = p->again || p->campaign == CAMPAIGN_WAITS;
    note_rest(s, p, p->replica != NULL && !waits && due == QR_NEVER);
    p->awake = false;
    if (p->again || due <= now) {
        schedule_wake(p);
    } else {
        set_due(s, p, due);
    }
}

void schedule_turn(struct node *node, qr_time now, qr_time until)
{
    struct schedule *s = &node->partitions.schedule;
    struct partition *last = s->awake_last; /* those that wake meanwhile have the next */
    for (struct partition *p = NULL; p != last && s->awake != NULL;) {
        p = next_awake(s);
        run(s, p, now);
        if (node_clock(node) >= until) {
            return;
        }
    }
}

qr_time schedule_deadline(const struct schedule *s)
{
    if (s->awake != NULL || s->sweep > 0) {
        return 0;
    }
    qr_time at = campaigns_deadline(&s->campaigns);
    return s->heap_n > 0 && s->heap[0]->due < at ? s->heap[0]->due : at;
}
