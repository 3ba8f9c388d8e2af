/* Raft under a random network, random disks and crashes: the safety properties of figure 3, seen
 * from outside, on many short runs. The simulator does this at length and with more faults; here a
 * broken rule shows within seconds of a build. */
#include "tests/unit/protocol/group.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define SEEDS 600u
#define STEPS 2500u
#define TERMS 4096u
#define READS 64u
#define SNAPSHOTS 4u

struct read_fact {
    node_index node;
    qr_req req;
    qr_slot must_see; /* the highest commit index anywhere when it arrived */
};

struct history {
    uint64_t seed;
    struct rng rng;
    uint64_t messages, syncs, times, requests, accidents; /* weights of this seed's chaos */
    uint64_t lost_in, time_max, late_in, leases;
    uint64_t changes;                      /* of the members, a weight too */
    struct membership wanted[MEMBERS_MAX]; /* by node: the order that it was given last */
    qr_req change_req[MEMBERS_MAX];
    uint64_t changed, promoted, retired, reverted;
    qr_slot checked[MEMBERS_MAX];            /* applied entries already compared */
    struct group_entry committed[GROUP_LOG]; /* by slot */
    qr_slot committed_last;
    node_index leader_of[TERMS];
    struct read_fact reads[READS];
    uint32_t read_count;
    struct group_snapshot snapshot[SNAPSHOTS]; /* on their way */
    uint64_t snapshots, damages;               /* weights too */
    uint64_t commits, leaders, confirmed, leased, asked, truncations;
    uint64_t installs, damaged, recoveries;
};

static qr_slot highest_commit(const struct group *g)
{
    qr_slot highest = 0;
    for (node_index i = 0; i < g->n; i++) {
        highest = g->node[i].up ? max_u64(highest, g->node[i].raft->commit) : highest;
    }
    return highest;
}

/* State Machine Safety: what one node applies at a slot, every node applies. */
static void check_applied(struct group *g, struct history *h, node_index i)
{
    const struct group_node *node = &g->node[i];
    for (qr_slot s = h->checked[i] + 1; s <= node->applied; s++) {
        struct group_entry e = node->log.entry[s];
        if (s > h->committed_last) {
            h->committed[s] = e;
            h->committed_last = s;
            h->commits++;
        }
        assert_int_equal(e.term, h->committed[s].term);
        assert_int_equal(e.req, h->committed[s].req);
        assert_true(membership_equal(&e.members, &h->committed[s].members));
    }
    h->checked[i] = node->applied;
}

/* Election Safety, and Leader Completeness for what is known to be committed. */
static void check_leader(struct group *g, struct history *h, node_index i)
{
    const struct raft *r = g->node[i].raft;
    if (r->phase != PHASE_LEADER) {
        return;
    }
    assert_true(r->term < TERMS);
    node_index *leader = &h->leader_of[r->term];
    if (*leader == NODE_NONE) {
        *leader = i;
        h->leaders++;
        assert_true(r->trail.last_slot >= h->committed_last);
        for (qr_slot s = 1; s <= h->committed_last; s++) {
            assert_int_equal(g->node[i].log.entry[s].term, h->committed[s].term);
        }
    }
    assert_int_equal(*leader, i);
}

/* Linearizable reads: a confirmed read sees everything that was committed when it arrived. */
static void check_reads(struct group *g, struct history *h, node_index i)
{
    struct group_node *node = &g->node[i];
    for (uint32_t k = 0; k < node->note_count; k++) {
        const struct group_note *note = &node->note[k];
        for (uint32_t f = 0; f < h->read_count; f++) {
            bool same = h->reads[f].node == i && h->reads[f].req >= note->first &&
                        h->reads[f].req < note->first + note->count;
            if (!same) {
                continue;
            }
            if (note->kind == EFFECT_READ) {
                assert_true(note->slot >= h->reads[f].must_see);
                h->confirmed++;
                h->leased += note->before != 0;
                h->asked += node->raft->phase != PHASE_LEADER;
            }
            h->reads[f--] = h->reads[--h->read_count];
        }
    }
    node->note_count = 0;
}

/* Scenario 33: an order is granted when the membership that it wanted is decided, not before. */
static void check_change(struct group *g, struct history *h, node_index i)
{
    if (h->change_req[i] == 0) {
        return;
    }
    int status = group_answer(g, i, h->change_req[i]);
    if (status == STATUS_OK) {
        const struct raft *r = group_raft(g, i);
        bool promoted = r->members.slot > r->commit; /* a learner, in the same step */
        const struct membership_at *at = promoted ? &r->before : &r->members;
        assert_int_equal(at->members.voters, h->wanted[i].voters);
        assert_int_equal(at->members.outgoing, 0);
        assert_true(at->slot <= r->commit);
        h->changed++;
    }
    h->change_req[i] = status < 0 ? h->change_req[i] : 0;
}

static void check_all(struct group *g, struct history *h)
{
    for (node_index i = 0; i < g->n; i++) {
        if (g->node[i].up) {
            check_change(g, h, i);
            check_applied(g, h, i);
            check_leader(g, h, i);
            check_reads(g, h, i);
        }
    }
}

/* --- One random happening ------------------------------------------------------------------------
 */

static void some_message(struct group *g, struct history *h)
{
    if (g->mail_count == 0) {
        return;
    }
    const struct mail *m = &g->mail[rng_below(&h->rng, g->mail_count)];
    if (m->after != 0) {
        return;
    }
    node_index from = m->from;
    node_index to = m->to;
    uint16_t kind = m->kind;
    if (rng_chance(&h->rng, 1, h->lost_in)) {
        group_lose(g, from, to, kind);
    } else if (rng_chance(&h->rng, 1, 20) && m->hi <= m->lo && g->node[to].up) {
        struct mail copy = *m; /* it stays in the mailbox too */
        group_deliver(g, from, to, kind, &copy.body, 0, 0, 0);
    } else {
        group_deliver_one(g, from, to, kind);
    }
}

static void some_time(struct group *g, struct history *h)
{
    g->now += (qr_time)rng_below(&h->rng, h->time_max);
    for (node_index i = 0; i < g->n; i++) {
        bool late = rng_chance(&h->rng, 1, h->late_in); /* a paused process */
        if (!late && raft_protocol.deadline(g->node[i].raft) <= g->now) {
            group_timer(g, i);
        }
    }
}

/* Any other membership, or one that differs in one node only. Whoever believes that it leads is
 * told.
 */
static void some_change(struct group *g, struct history *h, node_index i)
{
    for (node_index k = 0; k < g->n && group_raft(g, i)->phase != PHASE_LEADER; k++) {
        i = (node_index)((i + 1) % g->n);
    }
    struct membership m = group_members(g, i);
    bool all = rng_chance(&h->rng, 1, 2);
    node_index one = (node_index)rng_below(&h->rng, g->n);
    for (node_index k = 0; k < g->n; k++) {
        if (!all && k != one) {
            continue;
        }
        uint16_t others = (uint16_t)~node_bit(k);
        m = (struct membership){ .voters = m.voters & others,
                                 .learners = m.learners & others,
                                 .observers = m.observers & others };
        uint16_t *sets[] = { &m.voters, &m.voters, &m.voters, &m.learners, &m.observers, NULL };
        uint16_t *in = sets[rng_below(&h->rng, 6)];
        if (in != NULL) {
            *in |= node_bit(k);
        }
    }
    m.outgoing = 0;
    bool forced = rng_chance(&h->rng, 3, 4);
    qr_req req = group_change(g, i, m, forced);
    if (h->change_req[i] == 0) {
        h->wanted[i] = m;
        h->change_req[i] = req;
    }
}

static void some_request(struct group *g, struct history *h, node_index i)
{
    struct outlook o;
    raft_protocol.outlook(g->node[i].raft, &o);
    bool leads = o.role == ROLE_LEADER;
    if (o.room == 0 || o.last > GROUP_LOG / 2 || (!leads && o.leader == NODE_NONE)) {
        return;
    }
    if (leads && rng_chance(&h->rng, 1, 2)) {
        group_submit(g, i, 1 + (uint32_t)rng_below(&h->rng, 5));
    } else if (h->read_count < READS) {
        struct read_fact fact = { .node = i, .must_see = highest_commit(g) };
        fact.req = g->node[i].next_req;
        h->reads[h->read_count++] = fact;
        group_read(g, i, 1);
    }
}

static void forget_reads_of(struct history *h, node_index i)
{
    for (uint32_t f = 0; f < h->read_count; f++) {
        if (h->reads[f].node == i) {
            h->reads[f--] = h->reads[--h->read_count];
        }
    }
}

/* Nothing but leases depends on when elections begin: a forged order to campaign must harm nobody.
 */
static void campaign_at_once(struct group *g, struct history *h, node_index i)
{
    const struct raft *r = g->node[i].raft;
    if (h->leases == 0 && r->leader != NODE_NONE && r->leader != i) {
        struct raft_timeout_now m = { .term = r->term };
        group_deliver(g, r->leader, i, RAFT_TIMEOUT_NOW, &m, 0, 0, 0);
    }
}

static void some_accident(struct group *g, struct history *h, node_index i)
{
    node_index other = (node_index)rng_below(&h->rng, g->n);
    switch (rng_below(&h->rng, 10)) {
    case 0:
        forget_reads_of(h, i);
        h->change_req[i] = 0;
        h->checked[i] = 0;
        group_restart(g, i, false);
        return;
    case 1:
        if (other != i) {
            group_peer(g, i, other, rng_chance(&h->rng, 1, 2));
        }
        return;
    case 2:
        group_admin(g, i, ADMIN_TRANSFER, rng_chance(&h->rng, 1, 2) ? NODE_NONE : other);
        return;
    case 3:
        for (node_index k = 0; k < g->n; k++) {
            if (k != i) {
                group_peer(g, k, i, false); /* everybody believes that i is gone */
            }
        }
        return;
    case 4:
        g->island = (uint16_t)rng_below(&h->rng, 1u << g->n);
        g->island = rng_chance(&h->rng, 1, 3) ? 0 : g->island;
        return;
    case 5:
        g->node[i].cut = rng_chance(&h->rng, 1, 2);
        return;
    case 6:
    case 7:
    case 8:
        campaign_at_once(g, h, i);
        return;
    default:
        group_admin(g, i, ADMIN_READ_MODE, rng_below(&h->rng, 2) * h->leases);
        return;
    }
}

/* A checkpoint, and what it lets go; snapshots that arrive late, twice, at anybody. */
static void some_snapshot(struct group *g, struct history *h, node_index i)
{
    const struct group_node *node = &g->node[i];
    struct group_snapshot *s = &h->snapshot[rng_below(&h->rng, SNAPSHOTS)];
    if (rng_chance(&h->rng, 1, 3) && node->applied > 0) {
        group_fix_snapshot(g, i, s);
    } else if (rng_chance(&h->rng, 1, 2)) {
        qr_slot slot = node->applied - rng_below(&h->rng, node->applied / 4 + 1);
        group_checkpoint(g, i, slot, slot * rng_below(&h->rng, 2),
                         rng_chance(&h->rng, 1, 3) ? s->slot : 0);
    } else if (s->slot > 0) {
        group_offer(g, i, s);
    }
}

/* One member at a time forgets: entries that it had acknowledged, its term, its vote. */
static void some_damage(struct group *g, struct history *h, node_index i)
{
    for (node_index k = 0; k < g->n; k++) {
        const struct group_node *other = &g->node[k];
        bool forgets = other->raft->forgetful || other->damaged || other->disk.forgetful;
        if (g->n < 3 || (k != i && forgets)) {
            return;
        }
    }
    const struct group_image *disk = &g->node[i].disk;
    forget_reads_of(h, i);
    h->checked[i] = 0;
    h->damaged++;
    group_restart_damaged(g, i, disk->base + rng_below(&h->rng, disk->last - disk->base + 1));
}

static void happen(struct group *g, struct history *h)
{
    node_index i = (node_index)rng_below(&h->rng, g->n);
    uint64_t choice = rng_below(&h->rng, h->messages + h->syncs + h->times + h->requests +
                                             h->accidents + h->changes + h->snapshots + h->damages);
    if (g->mail_count > GROUP_MAIL - 200) {
        group_lose_mail(g);
    }
    if (choice < h->messages) {
        some_message(g, h);
    } else if ((choice -= h->messages) < h->syncs) {
        group_sync(g, i);
    } else if ((choice -= h->syncs) < h->times) {
        some_time(g, h);
    } else if ((choice -= h->times) < h->requests) {
        some_request(g, h, i);
    } else if ((choice -= h->requests) < h->changes) {
        some_change(g, h, i);
    } else if ((choice -= h->changes) < h->snapshots) {
        some_snapshot(g, h, i);
    } else if (choice - h->snapshots < h->damages) {
        some_damage(g, h, i);
    } else {
        some_accident(g, h, i);
    }
    check_all(g, h);
}

/* Carries out what a driver does with a SNAPSHOT, at once. */
static void bring_what_is_wanted(struct group *g)
{
    for (node_index i = 0; i < g->n; i++) {
        struct group_node *node = &g->node[i];
        for (uint32_t k = 0; k < node->note_count; k++) {
            const struct group_note *note = &node->note[k];
            if (note->kind == EFFECT_SNAPSHOT && node->applied >= note->slot) {
                group_bring_snapshot(g, i, note->to);
            }
        }
        node->note_count = 0;
    }
}

/* All is well from now on: there must be a leader that commits. */
static void check_liveness(struct group *g, struct history *h)
{
    g->attach_max = UINT32_MAX;
    g->island = 0;
    memset(h->change_req, 0, sizeof h->change_req); /* learners may be promoted right behind it */
    for (node_index i = 0; i < g->n; i++) {
        g->node[i].cut = false;
    }
    for (uint32_t k = 0; k < 20; k++) {
        group_elapse(g, 200 * QR_MILLISECOND);
        bring_what_is_wanted(g);
        check_all(g, h);
    }
    node_index leader = NODE_NONE;
    for (node_index i = 0; i < g->n; i++) {
        leader = group_raft(g, i)->phase == PHASE_LEADER ? i : leader;
    }
    assert_int_not_equal(leader, NODE_NONE);
    group_submit(g, leader, 1);
    group_elapse(g, 100 * QR_MILLISECOND);
    check_all(g, h);
    struct membership m = group_members(g, leader);
    assert_int_equal(m.outgoing, 0); /* whoever led has ended the change that it found */
    assert_true((m.voters & node_bit(leader)) != 0);
    for (uint32_t rest = membership_all(&m); rest != 0; rest &= rest - 1) {
        assert_int_equal(g->node[set_first(rest)].applied, group_raft(g, leader)->trail.last_slot);
    }
}

/* Every seed is another kind of weather. */
static void choose_weather(struct history *h)
{
    static const uint64_t time_max[] = { 2, 10, 40, 100, 250 };
    h->messages = 100 + rng_below(&h->rng, 700);
    h->syncs = 20 + rng_below(&h->rng, 200);
    h->times = 10 + rng_below(&h->rng, 100);
    h->requests = 20 + rng_below(&h->rng, 150);
    h->accidents = 1 + rng_below(&h->rng, 40);
    h->leases = rng_below(&h->rng, 2);
    h->late_in = 2 + rng_below(&h->rng, 30);
    h->lost_in = 2 + rng_below(&h->rng, 40);
    h->time_max = time_max[rng_below(&h->rng, 5)] * QR_MILLISECOND;
    h->changes = rng_chance(&h->rng, 1, 2) ? 0 : 1 + rng_below(&h->rng, 60);
    h->snapshots = rng_below(&h->rng, 2) * rng_below(&h->rng, 60);
    /* Of few voters one that forgets can be one too many. */
    h->damages = h->changes > 0 ? 0 : rng_below(&h->rng, 2) * rng_below(&h->rng, 8);
}

static void run(uint64_t seed, struct history *h)
{
    memset(h->leader_of, 0xff, sizeof h->leader_of);
    h->rng = rng_from(seed);
    choose_weather(h);
    h->committed_last = 0;
    memset(h->checked, 0, sizeof h->checked);
    h->read_count = 0;
    memset(h->change_req, 0, sizeof h->change_req);
    memset(h->snapshot, 0, sizeof h->snapshot);
    node_index n = (node_index)(1 + rng_below(&h->rng, 5));
    uint16_t voters = (uint16_t)((1u << n) - 1);
    n = (node_index)(n + (h->changes > 0 ? 2 : 0)); /* they may join */
    struct group *g = group_new_of(n, (struct membership){ .voters = voters });
    g->attach_max = (uint32_t)(1 + rng_below(&h->rng, 8));
    for (uint32_t i = 0; i < STEPS; i++) {
        happen(g, h);
    }
    check_liveness(g, h);
    for (node_index i = 0; i < n; i++) {
        h->truncations += g->node[i].point_count[POINT_TRUNCATED];
        h->reverted += g->node[i].point_count[POINT_MEMBERS_REVERTED];
        h->promoted += g->node[i].point_count[POINT_PROMOTES];
        h->retired += g->node[i].point_count[POINT_RETIRES];
        h->installs += g->node[i].point_count[POINT_INSTALLED];
        h->recoveries += g->node[i].point_count[POINT_RECOVERED];
    }
    group_free(g);
}

static void test_scenario_20_21_safety_under_chaos_and_progress_after_it(void **state)
{
    (void)state;
    const char *only = getenv("CHAOS_SEED");
    struct history *h = calloc(1, sizeof *h);
    assert_non_null(h);
    const char *more = getenv("CHAOS_SEEDS");
    uint64_t seeds = more == NULL ? SEEDS : strtoull(more, NULL, 10);
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        if (only == NULL || strtoull(only, NULL, 10) == seed) {
            h->seed = seed; /* a debugger shows it */
            if (more != NULL && only == NULL) {
                print_message("seed %u\n", (unsigned)seed);
            }
            run(seed, h);
        }
    }
    /* The chaos must have been one. */
    if (only == NULL) {
        print_message(
            "# %u entries, %u leaders, %u reads (%u leased, %u asked for), %u truncations\n",
            (unsigned)h->commits, (unsigned)h->leaders, (unsigned)h->confirmed, (unsigned)h->leased,
            (unsigned)h->asked, (unsigned)h->truncations);
        assert_true(h->asked > SEEDS);
        print_message(
            "# %u changes of the members, %u promotions, %u leaders removed, %u reverted\n",
            (unsigned)h->changed, (unsigned)h->promoted, (unsigned)h->retired,
            (unsigned)h->reverted);
        assert_true(h->changed > SEEDS / 8);
        assert_true(h->promoted > 0);
        assert_true(h->retired > 0);
        assert_true(h->reverted > 0);
        assert_true(h->leaders > 2 * SEEDS);
        assert_true(h->commits > 20 * SEEDS);
        assert_true(h->confirmed > SEEDS);
        assert_true(h->leased > 0);
        assert_true(h->truncations > 0);
        print_message("%u installations, %u damages, %u recoveries\n", (unsigned)h->installs,
                      (unsigned)h->damaged, (unsigned)h->recoveries);
        assert_true(h->installs > SEEDS / 5);
        assert_true(h->recoveries > SEEDS / 15);
    }
    free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scenario_20_21_safety_under_chaos_and_progress_after_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
