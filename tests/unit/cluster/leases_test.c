/* Leases between nodes and group 0: the cases of the clocks one by one, and a model in which clocks
 * drift, nodes stand still, messages are late or lost and leaders are deposed without knowing it:
 * whenever the leader of the latest term says that a lease is gone, its holder believes in it no
 * more (design 4). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "cluster/leases.h"

#define MS QR_MILLISECOND
#define HOLDER 1

/* A leader of term 7 that has committed at `now`. */
static struct leases leader_at(qr_time now)
{
    struct leases l;
    leases_init(&l, 1);
    leases_lead(&l, 7, true, now);
    return l;
}

static struct renewal ask(struct leases *holder, qr_time now)
{
    struct renewal r;
    assert_true(leases_renew(holder, now, &r));
    return r;
}

static void test_a_renewal_is_due_every_200_ms(void **state)
{
    (void)state;
    struct leases l;
    struct renewal r;
    leases_init(&l, 5);
    assert_true(leases_renew(&l, 1000 * MS, &r));
    assert_int_equal(r.sent, 1000 * MS);
    assert_int_equal(r.life, 5);
    assert_false(leases_renew(&l, 1199 * MS, &r));
    assert_true(leases_renew(&l, 1200 * MS, &r));
    assert_true(leases_renew(&l, 9000 * MS, &r));
    assert_false(leases_renew(&l, 9199 * MS, &r));
}

static void test_the_holder_counts_half_from_the_sending(void **state)
{
    (void)state;
    struct leases l;
    leases_init(&l, 5);
    assert_false(leases_held(&l, 0));
    struct renewal r = ask(&l, 1000 * MS);
    leases_renewed(&l, &r, 1550 * MS); /* a late answer gives no more */
    assert_true(leases_held(&l, 1599 * MS));
    assert_false(leases_held(&l, 1600 * MS));
    leases_renewed(&l, &r, 1700 * MS);
    assert_false(leases_held(&l, 1700 * MS));
}

static void test_an_old_answer_takes_nothing_away(void **state)
{
    (void)state;
    struct leases l;
    leases_init(&l, 5);
    struct renewal first = ask(&l, 1000 * MS), second = ask(&l, 1200 * MS);
    leases_renewed(&l, &second, 1210 * MS);
    leases_renewed(&l, &first, 1220 * MS);
    assert_true(leases_held(&l, 1799 * MS));
}

static void test_an_answer_to_another_life_counts_nothing(void **state)
{
    (void)state;
    struct leases l;
    leases_init(&l, 5);
    leases_renewed(&l, &(struct renewal){ .life = 4, .sent = 1000 * MS }, 1010 * MS);
    assert_false(leases_held(&l, 1010 * MS));
    leases_renewed(&l, &(struct renewal){ .life = 5, .sent = 2000 * MS }, 1010 * MS);
    assert_false(leases_held(&l, 1010 * MS)); /* from a clock that is not this one */
}

static void test_the_leader_grants_when_it_knows_that_it_led_since(void **state)
{
    (void)state;
    struct leases l = leader_at(1000 * MS);
    struct renewal r = { .life = 9, .sent = 77 };
    leases_asked(&l, HOLDER, &r, 2000 * MS);
    leases_confirm(&l, 2000 * MS); /* sent at that moment: perhaps before */
    assert_int_equal(leases_grant(&l, 2010 * MS), 0);
    leases_confirm(&l, 2000 * MS + 1);
    assert_int_equal(leases_grant(&l, 2020 * MS), 1u << HOLDER);
    assert_int_equal(l.renewal[HOLDER].life, 9);
    assert_int_equal(l.renewal[HOLDER].sent, 77);
    assert_int_equal(leases_grant(&l, 2021 * MS), 0); /* once */
    assert_int_equal(leases_gone_for(&l, HOLDER, 2020 * MS + LEASE_TIME), 0);
    assert_int_equal(leases_gone_for(&l, HOLDER, 2025 * MS + LEASE_TIME), 5 * MS);
    r.sent = 277;
    leases_asked(&l, HOLDER, &r, 2200 * MS);
    r.sent = 477; /* it asks again before it has the answer: by this it holds for longer */
    leases_asked(&l, HOLDER, &r, 2400 * MS);
    leases_confirm(&l, 2300 * MS); /* from before the last question */
    assert_int_equal(leases_grant(&l, 2410 * MS), 0);
    leases_confirm(&l, 2401 * MS);
    assert_int_equal(leases_grant(&l, 2420 * MS), 1u << HOLDER);
    assert_int_equal(l.renewal[HOLDER].sent, 477);
}

static void test_a_new_leader_counts_from_its_own_first_commit(void **state)
{
    (void)state;
    struct leases l;
    leases_init(&l, 1);
    leases_lead(&l, 7, false, 1000 * MS);
    assert_int_equal(leases_gone_for(&l, HOLDER, 9000 * MS), 0); /* it knows nothing yet */
    leases_asked(&l, HOLDER, &(struct renewal){ .life = 1 }, 1001 * MS);
    leases_confirm(&l, 1002 * MS);
    assert_int_equal(leases_grant(&l, 1003 * MS), 0);
    leases_lead(&l, 7, true, 5000 * MS);
    leases_lead(&l, 7, true, 5100 * MS); /* the first one counts */
    assert_int_equal(leases_gone_for(&l, 3, 5000 * MS + LEASE_TIME), 0);
    assert_int_equal(leases_gone_for(&l, 3, 5001 * MS + LEASE_TIME), 1 * MS);
    leases_lead(&l, 9, true, 20000 * MS); /* it was not the leader of term 8 */
    assert_int_equal(leases_gone_for(&l, 3, 20000 * MS + LEASE_TIME), 0);
}

static void test_who_does_not_lead_grants_and_ends_nothing(void **state)
{
    (void)state;
    struct leases l = leader_at(1000 * MS);
    leases_asked(&l, HOLDER, &(struct renewal){ .life = 1 }, 2000 * MS);
    leases_lead(&l, 0, false, 2001 * MS);
    leases_confirm(&l, 2002 * MS);
    assert_int_equal(leases_grant(&l, 2003 * MS), 0);
    assert_int_equal(leases_gone_for(&l, HOLDER, 99000 * MS), 0);
    leases_asked(&l, HOLDER, &(struct renewal){ .life = 1 }, 2004 * MS);
    leases_lead(&l, 8, true, 2005 * MS);
    leases_confirm(&l, 2006 * MS);
    assert_int_equal(leases_grant(&l, 2007 * MS), 0); /* asked of another leadership */
}

static void test_a_closed_connection_takes_the_question_back(void **state)
{
    (void)state;
    struct leases l = leader_at(1000 * MS);
    leases_asked(&l, HOLDER, &(struct renewal){ .life = 1 }, 2000 * MS);
    leases_asked(&l, 2, &(struct renewal){ .life = 2 }, 2000 * MS);
    leases_lost(&l, HOLDER);
    leases_confirm(&l, 2001 * MS);
    assert_int_equal(leases_grant(&l, 2002 * MS), 1u << 2);
}

/* --- The model ------------------------------------------------------------------------------ */

#define NODES 4
#define LETTERS 64

struct letter {
    qr_time at; /* true time */
    node_index from, to;
    bool answer;
    struct renewal renewal;
};

struct probe { /* a round of a leader's messages */
    qr_time sent, back;
    qr_term term;
    qr_time sent_local;
};

struct model {
    struct rng rng;
    qr_time now;
    struct leases node[NODES];
    qr_time offset[NODES], stopped_until[NODES];
    int64_t ppm[NODES];
    qr_term knows[NODES]; /* the term in which it believes to lead; 0: none */
    qr_time commits_at[NODES];
    struct probe probe[NODES];
    struct letter letters[LETTERS];
    uint32_t letter_count;
    node_index leader; /* of the latest term */
    qr_term term;
    qr_time elected;
    uint64_t grants, ends;
};

static qr_time clock_of(const struct model *m, node_index i)
{
    return m->offset[i] + m->now + m->now * m->ppm[i] / 1000000;
}

static qr_time some(struct model *m, qr_time most)
{
    return (qr_time)rng_below(&m->rng, (uint64_t)most) + 1;
}

static void post(struct model *m, node_index from, node_index to, bool answer,
                 const struct renewal *renewal)
{
    bool slow = rng_chance(&m->rng, 1, 8);
    if (m->letter_count < LETTERS && !rng_chance(&m->rng, 1, 10)) {
        m->letters[m->letter_count++] =
            (struct letter){ .at = m->now + some(m, slow ? 900 * MS : 5 * MS),
                             .from = from,
                             .to = to,
                             .answer = answer,
                             .renewal = *renewal };
    }
}

/* Somebody is elected; the one before finds out some time. */
static void elect(struct model *m)
{
    m->leader = (node_index)rng_below(&m->rng, NODES);
    m->term++;
    m->elected = m->now;
    m->knows[m->leader] = m->term;
    m->commits_at[m->leader] = m->now + some(m, 50 * MS);
    m->probe[m->leader] = (struct probe){ 0 };
    leases_lead(&m->node[m->leader], m->term, false, clock_of(m, m->leader));
}

/* A majority answers as long as it has elected nobody else. */
static void probe(struct model *m, node_index i)
{
    struct probe *p = &m->probe[i];
    if (p->sent == 0) {
        *p = (struct probe){ .sent = m->now,
                             .back = m->now + some(m, 30 * MS),
                             .term = m->knows[i],
                             .sent_local = clock_of(m, i) };
    } else if (m->now >= p->back) {
        bool counts = p->term == m->knows[i] && (m->term == p->term || p->back < m->elected);
        if (counts) {
            leases_confirm(&m->node[i], p->sent_local);
        }
        p->sent = 0;
    }
}

static void run_node(struct model *m, node_index i)
{
    struct leases *l = &m->node[i];
    struct renewal r;
    qr_time now = clock_of(m, i);
    if (m->knows[i] != 0 && m->knows[i] != m->term && rng_chance(&m->rng, 1, 300)) {
        m->knows[i] = 0;
        leases_lead(l, 0, false, now);
    }
    if (leases_renew(l, now, &r)) {
        post(m, i, m->leader, false, &r);
    }
    if (m->knows[i] == 0) {
        return;
    }
    leases_lead(l, m->knows[i], m->now >= m->commits_at[i], now);
    probe(m, i);
    uint32_t granted = leases_grant(l, now);
    m->grants += granted != 0;
    for (; granted != 0; granted &= granted - 1) {
        node_index to = (node_index)__builtin_ctz(granted);
        post(m, i, to, true, &l->renewal[to]);
    }
}

static void deliver(struct model *m)
{
    for (uint32_t k = 0; k < m->letter_count;) {
        struct letter letter = m->letters[k];
        if (letter.at > m->now || m->now < m->stopped_until[letter.to]) {
            k++;
            continue;
        }
        m->letters[k] = m->letters[--m->letter_count];
        struct leases *l = &m->node[letter.to];
        if (letter.answer) {
            leases_renewed(l, &letter.renewal, clock_of(m, letter.to));
        } else {
            leases_asked(l, letter.from, &letter.renewal, clock_of(m, letter.to));
        }
    }
}

/* What only the leader of the latest term may say, and nobody who hears it may contradict. */
static void check(struct model *m)
{
    for (node_index i = 0; i < NODES; i++) {
        if (m->knows[m->leader] == m->term &&
            leases_gone_for(&m->node[m->leader], i, clock_of(m, m->leader)) > 0) {
            m->ends++;
            assert_false(leases_held(&m->node[i], clock_of(m, i)));
        }
    }
}

static void one_run(uint64_t seed, uint64_t *grants, uint64_t *ends)
{
    struct model m = { .rng = rng_from(seed) };
    for (node_index i = 0; i < NODES; i++) {
        leases_init(&m.node[i], 100 + i);
        m.offset[i] = some(&m, 1000000 * MS);
        m.ppm[i] = (int64_t)rng_below(&m.rng, 94000) - 47000;
    }
    elect(&m);
    while (m.now < 30 * QR_SECOND) {
        m.now += some(&m, 10 * MS);
        if (rng_chance(&m.rng, 1, 200)) {
            elect(&m);
        }
        if (rng_chance(&m.rng, 1, 400)) {
            m.stopped_until[rng_below(&m.rng, NODES)] = m.now + some(&m, 3000 * MS);
        }
        deliver(&m);
        for (node_index i = 0; i < NODES; i++) {
            if (m.now >= m.stopped_until[i]) {
                run_node(&m, i);
            }
        }
        check(&m);
    }
    *grants += m.grants;
    *ends += m.ends;
}

static void test_group_0_ends_a_lease_after_its_holder_has(void **state)
{
    (void)state;
    uint64_t grants = 0, ends = 0;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        one_run(seed, &grants, &ends);
    }
    assert_true(grants > 1000); /* it was about something */
    assert_true(ends > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_renewal_is_due_every_200_ms),
        cmocka_unit_test(test_the_holder_counts_half_from_the_sending),
        cmocka_unit_test(test_an_old_answer_takes_nothing_away),
        cmocka_unit_test(test_an_answer_to_another_life_counts_nothing),
        cmocka_unit_test(test_the_leader_grants_when_it_knows_that_it_led_since),
        cmocka_unit_test(test_a_new_leader_counts_from_its_own_first_commit),
        cmocka_unit_test(test_who_does_not_lead_grants_and_ends_nothing),
        cmocka_unit_test(test_a_closed_connection_takes_the_question_back),
        cmocka_unit_test(test_group_0_ends_a_lease_after_its_holder_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
