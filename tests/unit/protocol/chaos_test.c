/* Raft under a random network, random disks and crashes: the safety properties of figure 3, seen
 * from outside, on many short runs. The simulator does this at length and with more faults; here a
 * broken rule shows within seconds of a build. */
#include "tests/unit/protocol/group.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define SEEDS 150u
#define STEPS 2500u
#define TERMS 4096u
#define READS 64u

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
    qr_slot checked[MEMBERS_MAX];            /* applied entries already compared */
    struct group_entry committed[GROUP_LOG]; /* by slot */
    qr_slot committed_last;
    node_index leader_of[TERMS];
    struct read_fact reads[READS];
    uint32_t read_count;
    uint64_t commits, leaders, confirmed, leased, truncations;
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
            }
            h->reads[f--] = h->reads[--h->read_count];
        }
    }
    node->note_count = 0;
}

static void check_all(struct group *g, struct history *h)
{
    for (node_index i = 0; i < g->n; i++) {
        if (g->node[i].up) {
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

static void some_request(struct group *g, struct history *h, node_index i)
{
    struct outlook o;
    raft_protocol.outlook(g->node[i].raft, &o);
    if (o.role != ROLE_LEADER || o.room == 0 || o.last > GROUP_LOG / 2) {
        return;
    }
    if (rng_chance(&h->rng, 1, 2)) {
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

static void happen(struct group *g, struct history *h)
{
    node_index i = (node_index)rng_below(&h->rng, g->n);
    uint64_t choice =
        rng_below(&h->rng, h->messages + h->syncs + h->times + h->requests + h->accidents);
    if (g->mail_count > GROUP_MAIL - 200) {
        group_lose_mail(g);
    }
    if (choice < h->messages) {
        some_message(g, h);
    } else if ((choice -= h->messages) < h->syncs) {
        group_sync(g, i);
    } else if ((choice -= h->syncs) < h->times) {
        some_time(g, h);
    } else if (choice - h->times < h->requests) {
        some_request(g, h, i);
    } else {
        some_accident(g, h, i);
    }
    check_all(g, h);
}

/* All is well from now on: there must be a leader that commits. */
static void check_liveness(struct group *g, struct history *h)
{
    g->attach_max = UINT32_MAX;
    for (node_index i = 0; i < g->n; i++) {
        g->node[i].cut = false;
    }
    group_elapse(g, 3 * QR_SECOND);
    check_all(g, h);
    node_index leader = group_raft(g, 0)->leader;
    assert_int_not_equal(leader, NODE_NONE);
    assert_int_equal(group_raft(g, leader)->phase, PHASE_LEADER);
    group_submit(g, leader, 1);
    group_elapse(g, 100 * QR_MILLISECOND);
    check_all(g, h);
    for (node_index i = 0; i < g->n; i++) {
        assert_int_equal(g->node[i].applied, group_raft(g, leader)->trail.last_slot);
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
}

static void run(uint64_t seed, struct history *h)
{
    memset(h->leader_of, 0xff, sizeof h->leader_of);
    h->rng = rng_from(seed);
    choose_weather(h);
    h->committed_last = 0;
    memset(h->checked, 0, sizeof h->checked);
    h->read_count = 0;
    node_index n = (node_index)(1 + rng_below(&h->rng, 5));
    struct group *g = group_new(n);
    g->attach_max = (uint32_t)(1 + rng_below(&h->rng, 8));
    for (uint32_t i = 0; i < STEPS; i++) {
        happen(g, h);
    }
    check_liveness(g, h);
    for (node_index i = 0; i < n; i++) {
        h->truncations += g->node[i].point_count[POINT_TRUNCATED];
    }
    group_free(g);
}

static void test_safety_under_chaos_and_progress_after_it(void **state)
{
    (void)state;
    const char *only = getenv("CHAOS_SEED");
    struct history *h = calloc(1, sizeof *h);
    assert_non_null(h);
    const char *more = getenv("CHAOS_SEEDS");
    uint64_t seeds = more == NULL ? SEEDS : strtoull(more, NULL, 10);
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        if (only == NULL || strtoull(only, NULL, 10) == seed) {
            h->seed = seed;
            run(seed, h);
        }
    }
    /* The chaos must have been one. */
    if (only == NULL) {
        print_message("%u entries, %u leaders, %u reads (%u leased), %u truncations\n",
                      (unsigned)h->commits, (unsigned)h->leaders, (unsigned)h->confirmed,
                      (unsigned)h->leased, (unsigned)h->truncations);
        assert_true(h->leaders > 2 * SEEDS);
        assert_true(h->commits > 20 * SEEDS);
        assert_true(h->confirmed > SEEDS);
        assert_true(h->leased > 0);
        assert_true(h->truncations > 0);
    }
    free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_safety_under_chaos_and_progress_after_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
