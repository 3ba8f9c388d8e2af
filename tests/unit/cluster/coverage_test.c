/* By which prefixes nodes go while one changes (cluster/coverage.h): the rules one by one, and a
 * model in which messages are late or lost, nodes lag, start anew and stand still, and leaders are
 * deposed without knowing it: whoever goes by the prefix has the map of the last change, and
 * whoever knows other rules that of the last one that was answered OK. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "cluster/coverage.h"

#define MS QR_MILLISECOND

static struct freeze of(const char *prefix)
{
    struct freeze f = { 0 };
    assert_true(freeze_add(&f, span_of(prefix, strlen(prefix))));
    return f;
}

static struct cover_stage stage(qr_term term, uint64_t count)
{
    return (struct cover_stage){ term, count };
}

static bool goes(const struct coverage *c, qr_time now)
{
    return coverage_holds(c, now) && !freeze_has(&c->frozen, span_of("p:1", 3));
}

/* By an answer that covers until then. */
static void covered(struct coverage *c, struct cover_stage s, qr_time until)
{
    coverage_granted(c, s, until - COVER_TIME / 2);
}

/* --- One by one ------------------------------------------------------------------------------ */

static void test_what_is_written_is_read_and_nothing_else(void **state)
{
    (void)state;
    uint8_t bytes[FREEZE_BYTES_MAX];
    struct freeze out, f = of("p:");
    assert_true(freeze_add(&f, span_of("other:", 6)));
    assert_false(freeze_add(&f, span_of("third:", 6)));
    f.stage = stage(7, 3);
    size_t n = freeze_write(&f, bytes);
    assert_true(freeze_read(span_of(bytes, n), &out));
    assert_true(out.stage.term == 7 && out.stage.count == 3 && out.count == 2);
    assert_true(freeze_has(&out, span_of("other:1", 7)) && freeze_has(&out, span_of("p:", 2)));
    assert_false(freeze_has(&out, span_of("p:", 1)));
    static const uint8_t long_one[KEYSPACE_PREFIX_BYTES + 1];
    struct freeze none = { 0 };
    assert_false(freeze_add(&none, span_of(long_one, sizeof long_one)));
    assert_true(freeze_add(&none, span_of(long_one, sizeof long_one - 1)));
    for (size_t less = 0; less < n; less++) {
        assert_false(freeze_read(span_of(bytes, less), &out));
    }
    bytes[8] = 2; /* a thaw has no prefixes */
    assert_false(freeze_read(span_of(bytes, n), &out));
}

static void test_frozen_keys_wait_and_others_go_on_V3(void **state)
{
    (void)state;
    struct coverage c = { 0 };
    struct freeze f = of("p:");
    covered(&c, stage(7, 0), 100);
    assert_true(goes(&c, 99) && !goes(&c, 100));
    f.stage = stage(7, 1);
    assert_true(coverage_freeze(&c, &f));
    assert_false(coverage_holds(&c, 50)); /* until it is covered anew */
    assert_int_equal(coverage_said(&c).count, 0);
    c.settled = true;
    assert_int_equal(coverage_said(&c).count, 1);
    covered(&c, stage(7, 1), 200);
    assert_true(coverage_holds(&c, 150) && !goes(&c, 150));
    covered(&c, stage(7, 2), 300);
    covered(&c, stage(7, 2), 200); /* a late answer takes nothing away */
    assert_true(goes(&c, 250));
    f.stage = stage(7, 3); /* what was sent since is to be settled anew */
    assert_true(coverage_freeze(&c, &f));
    assert_int_equal(coverage_said(&c).count, 0);
}

static void test_nothing_of_an_earlier_stage_is_taken_V4(void **state)
{
    (void)state;
    struct coverage c = { 0 };
    struct freeze f = of("p:");
    f.stage = stage(7, 1);
    assert_true(coverage_freeze(&c, &f));
    assert_false(coverage_freeze(&c, &f));
    covered(&c, stage(7, 0), 100);
    covered(&c, stage(6, 9), 100);
    assert_false(coverage_holds(&c, 50));
    struct freeze thaw = { .stage = stage(7, 2) };
    assert_false(coverage_freeze(&c, &thaw)); /* that is for a grant to say */
    assert_int_equal(c.frozen.count, 1);
    f.stage = stage(6, 5);
    assert_false(coverage_freeze(&c, &f));
    covered(&c, stage(8, 0), 100);
    assert_true(goes(&c, 50));
}

static void test_a_leader_waits_for_each_that_may_go_V2_V3(void **state)
{
    (void)state;
    struct coverage l = { 0 };
    struct freeze f = of("p:");
    coverage_lead(&l, 7, 1000);
    assert_true(coverage_may_go(&l, 1, 1000 + COVER_TIME));
    assert_false(coverage_may_go(&l, 1, 1001 + COVER_TIME)); /* another one's is gone */
    coverage_asked(&l, 1, stage(0, 0));
    assert_true(coverage_may_grant(&l, 1));
    coverage_grant(&l, 1, 5000);
    coverage_begin(&l, &f);
    assert_false(coverage_may_grant(&l, 1));
    assert_true(coverage_may_go(&l, 1, 5000));
    assert_true(coverage_may_go(&l, 1, 5000 + COVER_TIME));
    assert_false(coverage_may_go(&l, 1, 5001 + COVER_TIME));
    coverage_asked(&l, 1, stage(7, 1));
    assert_false(coverage_may_go(&l, 1, 5000));
    assert_true(coverage_may_grant(&l, 1));
    coverage_thaw(&l);
    assert_true(coverage_may_grant(&l, 2));
    coverage_lead(&l, 7, 9000); /* the same: nothing is forgotten */
    assert_int_equal(l.freeze.stage.count, 2);
    coverage_lead(&l, 8, 9000);
    assert_int_equal(l.freeze.stage.count, 0);
}

/* An election or two of group 0, and a change of a prefix, hold up nobody who goes by none. */
static void test_other_rules_are_known_for_longer_and_through_a_freeze_V5(void **state)
{
    (void)state;
    struct coverage c = { 0 };
    struct freeze f = of("p:");
    assert_false(coverage_knows_rules(&c, 0));
    coverage_granted(&c, stage(7, 0), 1000);
    assert_true(coverage_knows_rules(&c, 1000 + RULES_TIME / 2 - 1));
    assert_false(coverage_knows_rules(&c, 1000 + RULES_TIME / 2));
    coverage_granted(&c, stage(7, 0), 900); /* a late answer takes nothing away */
    assert_true(coverage_knows_rules(&c, 1000 + RULES_TIME / 2 - 1));
    f.stage = stage(7, 1);
    assert_true(coverage_freeze(&c, &f));
    assert_true(coverage_knows_rules(&c, 1000) && !coverage_holds(&c, 1000));
    qr_time late = 1000 + RULES_TIME;
    coverage_granted(&c, stage(7, 0), late); /* V4 */
    assert_false(coverage_knows_rules(&c, late));
    coverage_granted(&c, stage(7, 1), late);
    assert_true(coverage_knows_rules(&c, late));
    coverage_end(&c);
    assert_false(coverage_knows_rules(&c, late) || coverage_holds(&c, late));
}

static void test_a_leader_counts_all_of_what_a_node_may_know_V5(void **state)
{
    (void)state;
    struct coverage l = { 0 };
    coverage_lead(&l, 7, 1000);
    assert_true(coverage_may_know_rules(&l, MEMBERS_MAX - 1, 1000 + RULES_TIME));
    assert_false(coverage_may_know_rules(&l, MEMBERS_MAX - 1, 1001 + RULES_TIME));
    coverage_grant(&l, MEMBERS_MAX - 1, 5000);
    assert_true(coverage_may_know_rules(&l, MEMBERS_MAX - 1, 5000 + RULES_TIME));
    assert_false(coverage_may_know_rules(&l, MEMBERS_MAX - 1, 5001 + RULES_TIME));
    assert_false(coverage_may_know_rules(&l, 0, 5000 + RULES_TIME));
    coverage_asked(&l, MEMBERS_MAX - 1, stage(7, 0)); /* which freeze it is in is another matter */
    assert_true(coverage_may_know_rules(&l, MEMBERS_MAX - 1, 5000 + RULES_TIME));
}

/* --- The model ------------------------------------------------------------------------------- */

#define NODES 3
#define TERMS 40
#define MESSAGES 10

enum kind { NOTHING, RENEW, RENEWED, FREEZE };
struct letter {
    enum kind kind;
    node_index node;
    qr_term term; /* of the leader that it is from, or for */
    struct cover_stage stage;
    qr_time sent;
    uint64_t version, life;
    struct freeze freeze;
};

static struct rng rng;
static qr_time now;
static struct coverage node[NODES], leader[TERMS];
static uint64_t version[NODES], life[NODES], committed, changes, gone_ways;
static uint64_t moved; /* the version of the last change of the prefix */
static struct {        /* an order that changes another rule, and has no answer yet */
    uint64_t version;  /* 0: there is none */
    qr_term term;
    qr_time made;
} order;
static uint64_t answered, orders, known_ways; /* the latest version that was answered OK */
static bool proposed;                         /* by the latest leader: all are frozen */
static qr_term latest;
static struct letter messages[MESSAGES];

static void post(const struct letter *m)
{
    messages[rng_below(&rng, MESSAGES)] = *m; /* what stood there is lost */
}

static void tell(void)
{
    for (node_index i = 0; i < NODES; i++) {
        struct letter m = {
            .kind = FREEZE, .node = i, .term = latest, .freeze = leader[latest].freeze
        };
        post(&m);
    }
}

static void renew(node_index i)
{
    struct letter m = { .kind = RENEW,
                        .node = i,
                        .term = latest - rng_below(&rng, 2),
                        .stage = coverage_said(&node[i]),
                        .sent = now,
                        .life = life[i] };
    post(&m);
}

static void asked(const struct letter *m)
{
    struct coverage *l = &leader[m->term];
    coverage_asked(l, m->node, m->stage);
    if (m->term != latest || !coverage_may_grant(l, m->node)) {
        return; /* a deposed one does not learn that it led after the asking (leases.h: L2) */
    }
    coverage_grant(l, m->node, now);
    struct letter answer = *m;
    answer.kind = RENEWED;
    answer.stage = l->freeze.stage;
    answer.version = committed;
    post(&answer);
}

static void deliver(void)
{
    struct letter *at = &messages[rng_below(&rng, MESSAGES)], m = *at;
    at->kind = NOTHING;
    struct coverage *c = &node[m.node];
    if (m.kind == RENEW) {
        asked(&m);
    } else if (m.kind == RENEWED && m.life == life[m.node] && version[m.node] >= m.version) {
        coverage_granted(c, m.stage, m.sent);
    } else if (m.kind == FREEZE) {
        (void)coverage_freeze(c, &m.freeze);
    }
}

static bool any_may_go(void)
{
    bool any = false;
    for (node_index i = 0; i < NODES; i++) {
        any = any || coverage_may_go(&leader[latest], i, now);
    }
    return any;
}

/* One step of a change: frozen, proposed, made, thawed. */
static void step_change(void)
{
    struct coverage *l = &leader[latest];
    struct freeze f = of("p:");
    if (l->freeze.count == 0) {
        coverage_begin(l, &f);
        tell();
    } else if (!proposed && !any_may_go()) {
        proposed = true;
    } else if (proposed) {
        moved = ++committed;
        changes++;
        proposed = false;
        if (rng_below(&rng, 4) > 0) {
            coverage_thaw(l);
            tell();
        }
    } else if (rng_below(&rng, 20) == 0) { /* it is given up */
        coverage_thaw(l);
        tell();
    }
}

/* What the one before had proposed is in the log of the next, or lost. */
static void elect(void)
{
    if (latest + 1 < TERMS) {
        if (proposed && rng_below(&rng, 2) == 0) {
            moved = ++committed;
        }
        proposed = false;
        latest++;
        coverage_lead(&leader[latest], latest, now);
    }
}

/* What the leader of its time says of it, deposed since or not. Who is away tells nothing. */
static bool is_spread(void)
{
    bool all = order.term == latest;
    for (node_index i = 0; i < NODES && all; i++) {
        bool away = rng_below(&rng, 3) == 0;
        all =
            away ? !coverage_may_know_rules(&leader[latest], i, now) : version[i] >= order.version;
    }
    return all || now >= order.made + RULES_TIME;
}

static void step_order(void)
{
    if (order.version == 0) {
        order.version = ++committed;
        order.term = latest;
        order.made = now;
    } else if (is_spread()) {
        answered = order.version;
        order.version = 0;
        orders++;
    }
}

static void step(void)
{
    node_index i = (node_index)rng_below(&rng, NODES);
    uint64_t what = rng_below(&rng, 100);
    now += (qr_time)rng_below(&rng, rng_below(&rng, 50) == 0 ? 1500 * MS : 30 * MS);
    if (what < 20) {
        renew(i);
    } else if (what < 70) {
        deliver();
    } else if (what < 80) {
        node[i].settled = true;
    } else if (what < 88) {
        step_change();
    } else if (what < 90) {
        step_order();
    } else if (what < 98) {
        version[i] = committed;
    } else if (what < 99) {
        node[i] = (struct coverage){ 0 };
        life[i]++;
    } else {
        elect();
    }
}

static void test_whoever_goes_by_a_rule_has_its_last_change(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        rng = rng_from(seed);
        memset(node, 0, sizeof node);
        memset(leader, 0, sizeof leader);
        memset(messages, 0, sizeof messages);
        memset(version, 0, sizeof version);
        proposed = false;
        now = 10 * QR_SECOND;
        committed = moved = answered = order.version = 0;
        latest = 1;
        coverage_lead(&leader[1], 1, now);
        for (uint32_t i = 0; i < 3000; i++) {
            step();
            for (node_index n = 0; n < NODES; n++) {
                bool knows = coverage_knows_rules(&node[n], now);
                assert_true(!goes(&node[n], now) || version[n] >= moved);
                assert_true(!knows || version[n] >= answered);
                gone_ways += goes(&node[n], now);
                known_ways += knows;
            }
        }
    }
    assert_true(changes > 300 && gone_ways > 30000);
    assert_true(orders > 1000 && known_ways > 2 * gone_ways);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_written_is_read_and_nothing_else),
        cmocka_unit_test(test_frozen_keys_wait_and_others_go_on_V3),
        cmocka_unit_test(test_nothing_of_an_earlier_stage_is_taken_V4),
        cmocka_unit_test(test_a_leader_waits_for_each_that_may_go_V2_V3),
        cmocka_unit_test(test_other_rules_are_known_for_longer_and_through_a_freeze_V5),
        cmocka_unit_test(test_a_leader_counts_all_of_what_a_node_may_know_V5),
        cmocka_unit_test(test_whoever_goes_by_a_rule_has_its_last_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
