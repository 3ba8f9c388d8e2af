/* What group 0's leader has heard of one partition, and what scene that makes (hearing.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cluster/hearing.h"
#include "protocol/quorum.h"

static struct hearing heard;
static struct hearing_nodes nodes;
static struct succession record;
static struct succession_scene scene;

static int begin(void **state)
{
    (void)state;
    heard = (struct hearing){ .group = 2 };
    nodes = (struct hearing_nodes){ .now = 100 * QR_SECOND, .since = QR_SECOND, .alive = 0x1f };
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        nodes.life[i] = 10u + i;
        nodes.away_since[i] = i < 5 ? 0 : QR_SECOND;
    }
    record = (struct succession){ .term = 7,
                                  .primary = 1,
                                  .before = 1,
                                  .preferred = NODE_NONE,
                                  .life = 11,
                                  .settled = 7,
                                  .rule = { .members = 0x7, .copies = 1 } };
    return 0;
}

static int end(void **state)
{
    (void)state;
    hearing_free(&heard);
    return 0;
}

static void say(node_index node, const struct word *word)
{
    hearing_take(&heard, node, word, nodes.now);
}

static struct word stands(node_index node, qr_term term)
{
    return (struct word){
        .told = { .life = 10u + node, .promised = term, .last_term = 6, .last_slot = 50 }
    };
}

static struct word leads(node_index node, qr_term term, uint16_t caught)
{
    return (struct word){ .told = { .life = 10u + node, .promised = term, .settled = term },
                          .caught = caught };
}

static void look(void)
{
    hearing_scene(&heard, &record, &nodes, &scene);
}

static void pass(qr_time time)
{
    nodes.now += time;
}

/* --- H1 --------------------------------------------------------------------------------------- */

static void what_was_told_counts(void **state)
{
    (void)state;
    struct word word = stands(2, 8);
    say(2, &word);
    look();
    assert_int_equal(scene.told[2].life, 12);
    assert_int_equal(scene.told[2].promised, 8);
    assert_int_equal(scene.told[2].last_slot, 50);
    assert_int_equal(scene.told[1].life, 0); /* nothing */
    assert_int_equal(scene.alive, 0x1f);
    assert_int_equal(scene.order, SUCCESSION_NO_ORDER);
    assert_int_equal(scene.to, NODE_NONE);
    word.told.promised = 9; /* the latest */
    say(2, &word);
    look();
    assert_int_equal(scene.told[2].promised, 9);
}

static void a_word_of_another_life_is_void_H1(void **state)
{
    (void)state;
    struct word word = stands(2, 8), primary = leads(1, 7, 0x7);
    say(2, &word);
    say(1, &primary);
    nodes.life[2] = 99; /* it has asked for its lease since, as another process */
    nodes.life[1] = 98;
    look();
    assert_int_equal(scene.told[2].life, 0);
    assert_int_equal(scene.told[2].promised, 0);
    assert_int_equal(scene.caught, 0); /* nor does its account of the others count */
}

static void what_is_forgotten_is_void(void **state)
{
    (void)state;
    for (node_index i = 0; i < 5; i++) {
        struct word word = stands(i, 8);
        say(i, &word);
    }
    hearing_forget(&heard, 1);
    hearing_forget(&heard, 9);
    look();
    for (node_index i = 0; i < 5; i++) {
        assert_int_equal(scene.told[i].life, i == 1 ? 0 : 10 + i);
    }
    hearing_forget(&heard, 4);
    hearing_forget(&heard, 0);
    look();
    assert_int_equal(scene.told[0].life, 0);
    assert_int_equal(scene.told[4].life, 0);
    assert_int_equal(scene.told[3].life, 13);
}

static void all_members_can_speak(void **state)
{
    (void)state;
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        struct word word = stands(i, 8);
        say(i, &word);
    }
    look();
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        assert_int_equal(scene.told[i].life, 10 + i);
    }
}

/* S2: a primary that may not lead its term tells, to the term, another life. */
static void who_is_barred_has_another_life(void **state)
{
    (void)state;
    struct word word = leads(1, 7, 0);
    word.told.settled = 0;
    word.barred = true;
    say(1, &word);
    look();
    assert_true(scene.told[1].life != 0 && scene.told[1].life != record.life);
    record.term = 8; /* barred from a term before it says nothing of this one */
    look();
    assert_int_equal(scene.told[1].life, 11);
    record.term = 7;
    record.primary = 2;
    look();
    assert_int_equal(scene.told[1].life, 11);
}

/* --- H2 --------------------------------------------------------------------------------------- */

static void who_is_away_is_lost_after_a_while_H2(void **state)
{
    (void)state;
    look();
    nodes.alive &= (uint16_t)~node_bit(2);
    nodes.away_since[2] = nodes.now;
    pass(HEARING_PATIENCE_AWAY);
    look();
    assert_int_equal(scene.lost & 0x1f, 0);
    pass(1);
    look();
    assert_int_equal(scene.lost & 0x1f, 0x4);
    assert_int_equal(scene.alive, 0x1b);
    record.term = 8; /* with the next term the patience begins anew */
    look();
    assert_int_equal(scene.lost & 0x1f, 0);
    pass(HEARING_PATIENCE_AWAY + 1);
    look();
    assert_int_equal(scene.lost & 0x1f, 0x4);
    nodes.since = nodes.now; /* and with another leader of group 0 */
    look();
    assert_int_equal(scene.lost & 0x1f, 0);
}

static void who_is_behind_is_lost_after_longer_H2(void **state)
{
    (void)state;
    struct word all = leads(1, 7, 0x7), some = leads(1, 7, 0x3), other = stands(2, 0);
    say(2, &other);
    say(1, &all);
    look();
    assert_int_equal(scene.caught, 0x7);
    pass(60 * QR_SECOND);
    say(1, &some); /* until now it had all */
    pass(HEARING_PATIENCE_BEHIND);
    look();
    assert_int_equal(scene.caught, 0x3);
    assert_int_equal(scene.lost & 0x1f, 0);
    pass(1);
    look();
    assert_int_equal(scene.lost & 0x1f, 0x4); /* node 0 has told nothing: it may be on its way */
    say(1, &all);
    look();
    assert_int_equal(scene.lost & 0x1f, 0);
}

static void nobody_is_behind_a_primary_that_is_silent_H2(void **state)
{
    (void)state;
    struct word some = leads(1, 7, 0x2), other = stands(2, 0);
    say(2, &other);
    say(1, &some);
    look();
    pass(HEARING_PATIENCE_BEHIND + 1);
    nodes.alive &= (uint16_t)~node_bit(1);
    nodes.away_since[1] = nodes.now;
    look();
    assert_int_equal(scene.lost & 0x1f, 0);
    assert_int_equal(scene.caught, 0);
    nodes.alive |= node_bit(1);
    look();
    assert_int_equal(scene.lost & 0x1f, 0x4); /* and never the primary itself */
    record.primary = NODE_NONE;
    look();
    assert_int_equal(scene.lost & 0x1f, 0);
}

static void what_a_primary_of_a_term_before_says_is_old(void **state)
{
    (void)state;
    struct word word = leads(1, 6, 0x7);
    say(1, &word);
    look();
    assert_int_equal(scene.caught, 0);
}

/* --- H3, and leases --------------------------------------------------------------------------- */

static void a_grace_begins_with_the_term_H3(void **state)
{
    (void)state;
    look();
    assert_false(scene.grace_over);
    pass(HEARING_GRACE);
    look();
    assert_false(scene.grace_over);
    pass(1);
    look();
    assert_true(scene.grace_over);
    record.term++;
    look();
    assert_false(scene.grace_over);
    pass(HEARING_GRACE + 1);
    look();
    assert_true(scene.grace_over);
    nodes.since = nodes.now;
    look();
    assert_false(scene.grace_over);
}

static void the_lease_is_that_of_the_primary_or_of_the_one_before_S3(void **state)
{
    (void)state;
    nodes.lease_gone[1] = 1;
    look();
    assert_true(scene.lease_over);
    record.primary = 2;
    look();
    assert_false(scene.lease_over);
    record.primary = NODE_NONE;
    look();
    assert_true(scene.lease_over);
    record.before = 0;
    look();
    assert_false(scene.lease_over);
    record.before = NODE_NONE; /* nobody ever led */
    look();
    assert_true(scene.lease_over);
}

static void news_end_the_calm(void **state)
{
    (void)state;
    struct word word = stands(2, 8);
    heard.calm = true;
    say(2, &word);
    assert_false(heard.calm);
    heard.calm = true;
    hearing_forget(&heard, 2);
    assert_false(heard.calm);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_was_told_counts),
        CASE(a_word_of_another_life_is_void_H1),
        CASE(what_is_forgotten_is_void),
        CASE(all_members_can_speak),
        CASE(who_is_barred_has_another_life),
        CASE(who_is_away_is_lost_after_a_while_H2),
        CASE(who_is_behind_is_lost_after_longer_H2),
        CASE(nobody_is_behind_a_primary_that_is_silent_H2),
        CASE(what_a_primary_of_a_term_before_says_is_old),
        CASE(a_grace_begins_with_the_term_H3),
        CASE(the_lease_is_that_of_the_primary_or_of_the_one_before_S3),
        CASE(news_end_the_calm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
