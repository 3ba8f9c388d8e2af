/* What group 0 keeps of keyspaces with STRATEGY primary: their options and their successions, in
 * records that read back the same or are refused (features R2 to R4, L9; decision 056). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "cluster/strategy.h"
#include "put_records.h"

static struct map_keyspace primary_keyspace(void)
{
    struct map_keyspace k = a_keyspace(30, "a", "a:", 2, 2);
    k.strategy = STRATEGY_PRIMARY;
    k.primary = primary_options_default();
    return k;
}

static enum map_status put_options(struct map *map, const struct map_keyspace *k)
{
    uint8_t value[MAP_VALUE_BYTES_MAX];
    size_t n = map_keyspace_write(k, value);
    return put_raw(map, MAP_RECORD_KEYSPACE, k->id, value, n);
}

static void assert_options(const struct primary_options *o, enum map_status expected)
{
    struct map *map = map_new();
    struct map_keyspace k = primary_keyspace();
    k.primary = *o;
    assert_int_equal(put_options(map, &k), expected);
    if (expected == MAP_OK) {
        char before[PRIMARY_OPTIONS_BYTES], after[PRIMARY_OPTIONS_BYTES];
        struct text a = text_in(before, sizeof before), b = text_in(after, sizeof after);
        primary_options_put(&a, o);
        primary_options_put(&b, &map_keyspace(map, 30)->primary);
        assert_string_equal(before, after);
    }
    map_free(map);
}

static void test_options_come_back(void **state)
{
    (void)state;
    struct primary_options o = primary_options_default();
    assert_options(&o, MAP_OK);
    o = (struct primary_options){ .ack = { .kind = ACK_ALL, .stage = ACK_RECEIVED },
                                  .fallback_async = true,
                                  .log = PRIMARY_STATEMENT,
                                  .sync = PRIMARY_EVERYSEC,
                                  .lagging = PRIMARY_STALL,
                                  .lagging_said = true,
                                  .maxlag = 500 * QR_MILLISECOND };
    assert_options(&o, MAP_OK);
    memset(o.ack.zone, 'z', sizeof o.ack.zone - 1);
    assert_options(&o, MAP_OK);
    o.maxlag_unit = MAXLAG_BYTES;
    o.maxlag = INT64_MAX;
    assert_options(&o, MAP_OK);
    o.maxlag_unit = MAXLAG_OPERATIONS;
    assert_options(&o, MAP_OK);
    o.ack = (struct ack){ .kind = ACK_ANY, .stage = ACK_RECEIVED, .n = MEMBERS_MAX - 1 };
    o.lagging = PRIMARY_DROP;
    assert_options(&o, MAP_OK);
    o.ack = (struct ack){ .kind = ACK_LOCAL, .stage = ACK_RECEIVED };
    o.fallback_async = false;
    assert_options(&o, MAP_OK);
}

static void test_options_that_cannot_be(void **state)
{
    (void)state;
    const struct primary_options sound = primary_options_default();
    struct primary_options o[] = { sound, sound, sound, sound, sound, sound, sound,
                                   sound, sound, sound, sound, sound, sound, sound };
    o[0].ack.kind = ACK_MAJORITY;
    o[1].ack.kind = ACK_KINDS;
    o[2].ack = (struct ack){ .kind = ACK_LOCAL, .stage = ACK_APPLIED }; /* by whom? */
    o[3].ack.n = 0;
    o[4].ack.n = MEMBERS_MAX;
    o[5].ack.kind = ACK_ALL; /* of n */
    o[6].lagging = PRIMARY_DROP + 1;
    o[6].lagging_said = true;
    o[6].maxlag = QR_SECOND;
    o[7].lagging = PRIMARY_STALL; /* not said */
    o[7].maxlag = QR_SECOND;
    o[8].lagging_said = true; /* of no lag */
    o[9].maxlag = PRIMARY_MAXLAG_TIME + QR_MILLISECOND;
    o[10].maxlag = 1; /* less than can be said */
    o[11].maxlag_unit = MAXLAG_BYTES;
    o[12].maxlag_unit = MAXLAG_OPERATIONS;
    o[12].maxlag = (uint64_t)INT64_MAX + 1;
    o[13].sync = PRIMARY_EVERYSEC; /* contradicts ON durable */
    for (size_t i = 0; i < ARRAY_COUNT(o); i++) {
        assert_options(&o[i], MAP_BAD);
    }
}

static void test_options_stand_with_their_strategy_alone(void **state)
{
    (void)state;
    struct map *map = map_new();
    struct map_keyspace k = primary_keyspace(), zero = primary_keyspace();
    uint8_t value[MAP_VALUE_BYTES_MAX];
    assert_true(map_keyspace_has_fields(&k));
    size_t n = map_keyspace_write(&k, value);
    assert_true(value[0] == 2 && value[1] == STRATEGY_PRIMARY);
    assert_int_equal(put_raw(map, MAP_RECORD_KEYSPACE, 30, value, n), MAP_OK);
    for (size_t cut = 1; cut <= 15; cut++) {
        assert_int_equal(put_raw(map, MAP_RECORD_KEYSPACE, 30, value, n - cut), MAP_BAD);
    }
    value[1] = STRATEGY_RAFT;
    assert_int_equal(put_raw(map, MAP_RECORD_KEYSPACE, 30, value, n), MAP_BAD);
    value[1] = STRATEGY_PRIMARY + 1;
    assert_int_equal(put_raw(map, MAP_RECORD_KEYSPACE, 30, value, n), MAP_BAD);
    value[1] = STRATEGY_PRIMARY;
    value[n - 10] = 128; /* flags */
    assert_int_equal(put_raw(map, MAP_RECORD_KEYSPACE, 30, value, n), MAP_BAD);
    value[n - 10] = 32 | 64; /* FEED zone and FEED follower */
    assert_int_equal(put_raw(map, MAP_RECORD_KEYSPACE, 30, value, n), MAP_BAD);
    k.strategy = STRATEGY_RAFT;
    n = map_keyspace_write(&k, value);
    assert_int_equal(value[0], 1); /* whatever stands in `primary` */
    value[1] = STRATEGY_PRIMARY;
    assert_int_equal(put_raw(map, MAP_RECORD_KEYSPACE, 30, value, n), MAP_BAD);
    k.strategy = STRATEGY_PRIMARY;
    k.ack_kind = ACK_QUORUM; /* two of them */
    assert_int_equal(put_options(map, &k), MAP_BAD);
    zero.id = zero.first_group = 0;
    zero.partitions = 1;
    assert_int_equal(put_options(map, &zero), MAP_BAD); /* group 0 names its leader by itself */
    map_free(map);
}

static void test_everything_that_can_be_said_fits(void **state)
{
    (void)state;
    struct map_keyspace k = primary_keyspace();
    struct map *map = map_new();
    memset(k.name, 'n', sizeof k.name - 1);
    memset(k.prefix, 'p', sizeof k.prefix);
    k.prefix_length = sizeof k.prefix;
    k.history_ms = k.history_bytes = k.idmp_bytes = k.idmp_count = k.idmp_seconds = 1;
    k.read = (struct level_asked){ .level = READ_BOUNDED, .bound = 1 };
    k.primary.ack.kind = ACK_ALL;
    k.primary.ack.n = 0;
    memset(k.primary.ack.zone, 'z', sizeof k.primary.ack.zone - 1);
    assert_int_equal(put_options(map, &k), MAP_OK);
    map_free(map);
}

static void test_the_protocol_follows_from_ack(void **state)
{
    (void)state;
    struct map_keyspace k = primary_keyspace(), raft = a_keyspace(31, "b", "", 9, 1);
    assert_string_equal(strategy_protocol(&k)->name, "primary-semi");
    k.primary.ack.kind = ACK_LOCAL;
    assert_string_equal(strategy_protocol(&k)->name, "primary-async");
    k.primary.ack.kind = ACK_ALL;
    assert_string_equal(strategy_protocol(&k)->name, "primary-sync");
    assert_string_equal(strategy_name(&k), "primary");
    assert_string_equal(strategy_protocol(&raft)->name, "raft");
    assert_string_equal(strategy_name(&raft), "raft");
    assert_true(strategy_has_views(&k) && !strategy_has_views(&raft));
}

/* --- Successions ------------------------------------------------------------------------------ */

static enum map_status put(struct map *map, uint32_t group, const struct succession *s)
{
    uint8_t value[MAP_VALUE_BYTES_MAX];
    size_t n = map_succession_write(s, value);
    return put_raw(map, MAP_RECORD_SUCCESSION, group, value, n);
}

/* The primary 1 of 0 to 2, with one who learns, and something owed by 0. */
static struct succession a_succession(void)
{
    struct succession s = { .term = 9,
                            .primary = 1,
                            .before = 0,
                            .preferred = NODE_NONE,
                            .fallen = true,
                            .stage = ACK_APPLIED,
                            .duty_count = 2,
                            .learners = 8,
                            .life = UINT64_MAX,
                            .settled = 7,
                            .rule = { .members = 7, .set = 6 } };
    s.duty[0] = (struct succession_duty){ { 7, 6, 0 }, 2, 9 };
    s.duty[1] = (struct succession_duty){ { 7, 0, 2 }, 1, 7 };
    return s;
}

static void test_successions_come_back(void **state)
{
    (void)state;
    struct map *map = map_new();
    struct succession a = a_succession(), b = a;
    uint64_t changes = map_changes(map);
    assert_null(map_succession(map, 5));
    assert_int_equal(put(map, 5, &a), MAP_OK);
    assert_memory_equal(map_succession(map, 5), &a, sizeof a);
    assert_true(map_changes(map) > changes);
    assert_null(map_succession(map, 4));
    assert_null(map_succession(map, 6));
    assert_int_equal(map_succession_after(map, 0), 5);
    assert_int_equal(map_succession_after(map, 4), 5);
    assert_int_equal(map_succession_after(map, 5), 0);
    assert_int_equal(map_succession_after(map, UINT32_MAX), 0);
    b.term = UINT64_MAX;
    b.primary = NODE_NONE;
    b.preferred = MEMBERS_MAX - 1;
    b.fenced = true;
    b.fallen = false;
    b.forgot = 8;
    assert_int_equal(put(map, 5, &b), MAP_OK);
    assert_memory_equal(map_succession(map, 5), &b, sizeof b);
    b.settled = b.term; /* as it is most of the time, */
    while (b.duty_count < SUCCESSION_DUTIES_MAX) { /* and at most */
        b.duty[b.duty_count++] = a.duty[0];
    }
    assert_int_equal(put(map, 5, &b), MAP_OK);
    assert_memory_equal(map_succession(map, 5), &b, sizeof b);
    b.loss = (struct succession_loss){ .possible = true, .promised_more = true, .through = 8,
                                       .term = 7, .slot = UINT64_MAX };
    assert_int_equal(put(map, 5, &b), MAP_OK);
    assert_memory_equal(map_succession(map, 5), &b, sizeof b);
    for (uint32_t i = 0; i < LOSSES_LISTED + 1; i++) {
        losses_add(&b.losses, 3 + i, POSITION_SLOTS - i);
        assert_int_equal(put(map, 5, &b), MAP_OK);
        assert_memory_equal(map_succession(map, 5), &b, sizeof b);
    }
    put_erased(map, MAP_RECORD_SUCCESSION, 4);
    assert_non_null(map_succession(map, 5));
    put_erased(map, MAP_RECORD_SUCCESSION, 5);
    assert_null(map_succession(map, 5));
    assert_int_equal(put(map, 6, &a), MAP_OK);
    map_reset(map);
    assert_null(map_succession(map, 6));
    map_free(map);
}

static void test_many_successions_in_any_order(void **state)
{
    (void)state;
    struct map *map = map_new();
    struct rng rng = rng_from(5);
    struct succession s = a_succession();
    uint64_t terms[64] = { 0 };
    for (uint32_t i = 0; i < 5000; i++) {
        uint32_t group = (uint32_t)rng_below(&rng, ARRAY_COUNT(terms));
        s.term = 9 + i;
        terms[group] = rng_below(&rng, 3) == 0 ? 0 : s.term;
        if (terms[group] == 0) {
            put_erased(map, MAP_RECORD_SUCCESSION, group * 3);
        } else {
            assert_int_equal(put(map, group * 3, &s), MAP_OK);
        }
        group = (uint32_t)rng_below(&rng, ARRAY_COUNT(terms));
        const struct succession *found = map_succession(map, group * 3);
        assert_true((found == NULL ? 0 : found->term) == terms[group]);
        assert_null(map_succession(map, group * 3 + 1));
    }
    map_free(map);
}

static void test_successions_that_cannot_be(void **state)
{
    (void)state;
    struct map *map = map_new();
    const struct succession sound = a_succession();
    struct succession s[25];
    for (size_t i = 0; i < ARRAY_COUNT(s); i++) {
        s[i] = sound;
    }
    s[0].term = s[0].settled = s[0].duty_count = 0;
    s[1].settled = 10;
    s[2].primary = 3; /* learns */
    s[3].primary = MEMBERS_MAX;
    s[4].before = MEMBERS_MAX;
    s[5].preferred = MEMBERS_MAX;
    s[6].stage = ACK_STAGES;
    s[7].learners = 12;
    s[8].learners = 1u << MEMBERS_MAX;
    s[9].rule.members = 0;
    s[9].primary = NODE_NONE;
    s[9].rule.set = 0;
    s[10].rule.members |= 1u << MEMBERS_MAX;
    s[11].rule.set = 14;
    s[12].rule.copies = 1;
    s[13].rule = (struct succession_rule){ .members = 7, .copies = MEMBERS_MAX };
    s[14].duty[1].primaries = 0;
    s[15].duty[1].primaries = 1u << MEMBERS_MAX;
    s[16].duty[0].last = 10;
    s[17].duty[0].last = 0;
    s[18].duty[1].rule.members = 0;
    s[19].duty[0].rule.copies = 1;
    s[20].forgot = 10;
    for (size_t i = 21; i < ARRAY_COUNT(s); i++) {
        losses_add(&s[i].losses, 5, 100);
        losses_add(&s[i].losses, 6, 90);
    }
    s[21].losses.last[1].term = 5;
    s[22].losses.last[1].kept = POSITION_SLOTS + 1;
    s[23].losses.count = 1;
    s[24].losses.listed = 0;
    for (size_t i = 0; i < ARRAY_COUNT(s); i++) {
        assert_int_equal(put(map, 5, &s[i]), MAP_BAD);
        assert_null(map_succession(map, 5));
    }
    map_free(map);
}

static void test_bytes_that_are_no_succession(void **state)
{
    (void)state;
    struct map *map = map_new();
    struct succession s = a_succession();
    uint8_t value[MAP_VALUE_BYTES_MAX] = { 0 };
    size_t n = map_succession_write(&s, value);
    assert_int_equal(put_raw(map, MAP_RECORD_SUCCESSION, 5, value, n), MAP_OK);
    for (size_t cut = 1; cut < n; cut++) {
        assert_int_equal(put_raw(map, MAP_RECORD_SUCCESSION, 5, value, n - cut), MAP_BAD);
    }
    assert_int_equal(put_raw(map, MAP_RECORD_SUCCESSION, 5, value, n + 1), MAP_BAD);
    for (uint8_t flag = 4; flag != 0; flag = (uint8_t)(flag << 1)) { /* no loss stands at its end */
        uint8_t before = value[12];
        value[12] |= flag;
        assert_int_equal(put_raw(map, MAP_RECORD_SUCCESSION, 5, value, n), MAP_BAD);
        value[12] = before;
    }
    value[n - 31] = SUCCESSION_DUTIES_MAX + 1;
    assert_int_equal(put_raw(map, MAP_RECORD_SUCCESSION, 5, value, sizeof value), MAP_BAD);
    value[n - 31] = 2;
    value[0] = 2;
    assert_int_equal(put_raw(map, MAP_RECORD_SUCCESSION, 5, value, n), MAP_NEWER);
    value[0] = 0;
    assert_int_equal(put_raw(map, MAP_RECORD_SUCCESSION, 5, value, n), MAP_BAD);
    map_free(map);
}

/* Any change of a byte is refused, or is what would be written for what was read. */
static void test_one_encoding(void **state)
{
    (void)state;
    struct rng rng = rng_from(3);
    for (uint32_t i = 0; i < 20000; i++) {
        struct succession s = a_succession(), again;
        uint8_t value[MAP_VALUE_BYTES_MAX], twice[MAP_VALUE_BYTES_MAX];
        size_t n = map_succession_write(&s, value);
        value[1 + rng_below(&rng, n - 1)] ^= (uint8_t)(1 + rng_below(&rng, 255));
        if (map_succession_read(span_of(value, n), &again) == MAP_OK) {
            assert_int_equal(map_succession_write(&again, twice), n);
            assert_memory_equal(value, twice, n);
        }
    }
}

/* An index is given to another node only when nobody may still ask the old one for what it has, or
 * wait for its lease. */
static void test_who_is_counted_on_keeps_the_index(void **state)
{
    (void)state;
    struct map *map = map_new();
    struct succession s = { .term = 3, .primary = NODE_NONE, .before = NODE_NONE };
    s.preferred = 4;
    s.rule = (struct succession_rule){ .members = 1 };
    s.learners = 2;
    s.duty_count = 1;
    s.duty[0] = (struct succession_duty){ { 4, 0, 1 }, 8, 2 };
    assert_true(map_index_is_free(map, 0));
    assert_int_equal(put(map, 5, &s), MAP_OK);
    for (node_index i = 0; i < 4; i++) {
        assert_false(map_index_is_free(map, i));
    }
    assert_true(map_index_is_free(map, 4) && map_index_is_free(map, MEMBERS_MAX - 1));
    s.before = 4; /* its lease */
    assert_int_equal(put(map, 5, &s), MAP_OK);
    assert_false(map_index_is_free(map, 4));
    s.primary = 0; /* a later one is chosen */
    assert_int_equal(put(map, 5, &s), MAP_OK);
    assert_true(map_index_is_free(map, 4));
    map_free(map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_come_back),
        cmocka_unit_test(test_options_that_cannot_be),
        cmocka_unit_test(test_options_stand_with_their_strategy_alone),
        cmocka_unit_test(test_everything_that_can_be_said_fits),
        cmocka_unit_test(test_the_protocol_follows_from_ack),
        cmocka_unit_test(test_successions_come_back),
        cmocka_unit_test(test_many_successions_in_any_order),
        cmocka_unit_test(test_successions_that_cannot_be),
        cmocka_unit_test(test_bytes_that_are_no_succession),
        cmocka_unit_test(test_one_encoding),
        cmocka_unit_test(test_who_is_counted_on_keeps_the_index),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
