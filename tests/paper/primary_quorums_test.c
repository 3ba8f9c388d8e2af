/* The claims of Flexible Paxos (Howard, Malkhi and Spiegelman, 2016) that primary/backup follows
 * (decision 056). Quorums of the first phase are those who stand when a primary is chosen, those of
 * the second phase who must have a write. One test each, over all groups of two to five. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cluster/succession.h"
#include "tests/unit/protocol/primary_group.h"

#define NODES_MAX 5u

static uint32_t count(uint32_t set)
{
    return (uint32_t)__builtin_popcount(set);
}

/* Node 0 was the primary of a settled term under ANY `copies` of n; `writers` have its last write,
 * its lease is over, and those stand. What group 0 decides. */
static struct succession_action choose(uint32_t n, uint8_t copies, uint32_t writers,
                                       uint32_t standing)
{
    struct succession_wish wish = { .members = (uint16_t)((1u << n) - 1), .copies = copies };
    struct succession s = succession_first(&wish, 0);
    struct succession_action a = { 0 };
    for (uint32_t turns = 0; turns < 4; turns++) { /* chosen, settled, opened, chosen */
        bool over = turns >= 2;
        struct succession_scene scene = { .alive = (uint16_t)(over ? standing : wish.members),
                                          .lease_over = over,
                                          .to = NODE_NONE };
        for (uint32_t i = 0; i < n; i++) {
            scene.told[i] = (struct succession_told){ .life = 1 + i,
                                                      .promised = s.term,
                                                      .last_term = over,
                                                      .last_slot = over + (writers >> i & 1),
                                                      .handed_to = NODE_NONE };
        }
        scene.told[0].settled = over ? 0 : s.term;
        a = succession_turn(&s, &wish, &scene);
        assert_true(turns == 3 || a.kind == SUCCESSION_WRITE);
        s = a.next;
        assert_true(turns > 1 || s.primary == 0);
    }
    return a;
}

static bool chooses(uint32_t n, uint8_t copies, uint32_t standing)
{
    return choose(n, copies, 0, standing).kind == SUCCESSION_WRITE;
}

/* "The only restriction is that quorums of the first phase must intersect with quorums of the
 * second": with each of them, and where they do somebody is chosen. */
static void test_4_the_two_phases_meet_and_no_more_is_asked(void **state)
{
    (void)state;
    for (uint32_t n = 2; n <= NODES_MAX; n++) {
        for (uint8_t copies = 1; copies < n; copies++) {
            for (uint32_t stands = 1; stands < 1u << n; stands++) {
                bool meets = true;
                for (uint32_t writers = 1; writers < 1u << n; writers += 2) { /* node 0 is one */
                    meets = meets && (count(writers) != copies + 1u || (writers & stands) != 0);
                }
                assert_int_equal(chooses(n, copies, stands), meets);
            }
        }
    }
}

/* "Simple quorums: |Q1| + |Q2| > N." */
static void test_5_1_who_stands_and_who_writes_are_more_than_all(void **state)
{
    (void)state;
    for (uint32_t n = 2; n <= NODES_MAX; n++) {
        for (uint8_t copies = 1; copies < n; copies++) {
            uint32_t all = (1u << n) - 1;
            uint32_t needed = n - copies; /* without the primary, who alone would do */
            uint32_t enough = all & ~1u & ~((1u << copies) - 1);
            assert_int_equal(count(enough), needed);
            assert_true(chooses(n, copies, enough));
            struct succession_action a = choose(n, copies, 0, enough & (enough - 1));
            assert_int_equal(a.kind, SUCCESSION_STOP);
            assert_true(needed + copies + 1 > n);
            assert_true(needed == 1 || a.needed == needed);
        }
    }
}

/* "It is safe ... to use quorums of the second phase that do not intersect with each other", and
 * smaller ones than a majority. */
static void test_4_writers_need_neither_a_majority_nor_each_other(void **state)
{
    (void)state;
    struct flock *f = flock_new(5);
    flock_tell_all(f, flock_any(f, 1, 0, 1));
    flock_settle(f);
    f->node[2].cut = f->node[3].cut = f->node[4].cut = true;
    flock_elapse(f, 400 * QR_MILLISECOND); /* and it knows that they are */
    qr_req first = flock_submit(f, 0, 1);
    flock_settle(f);
    assert_true(flock_applied(f, 0, first)); /* nodes 0 and 1 of five */

    flock_crash(f, 0);
    f->node[2].cut = f->node[3].cut = f->node[4].cut = false;
    flock_tell_all(f, flock_any(f, 2, NODE_NONE, 1));
    flock_settle(f);
    flock_tell_all(f, flock_any(f, 2, 1, 1));
    flock_settle(f);
    flock_tell_all(f, flock_any(f, 3, NODE_NONE, 1));
    flock_settle(f);
    flock_tell_all(f, flock_any(f, 3, 3, 1));
    flock_settle(f);
    f->node[1].cut = f->node[2].cut = true;
    qr_req second = flock_submit(f, 3, 1);
    flock_settle(f);

    assert_true(flock_applied(f, 3, second) && flock_applied(f, 3, first)); /* nodes 3 and 4 */
    flock_free(f);
}

/* "[It] must choose the value with the highest ballot that it learns of": whoever has it is
 * among those who stand, whoever they are. */
static void test_3_among_those_who_stand_one_has_it_and_is_chosen_scenario_72(void **state)
{
    (void)state;
    for (uint32_t n = 3; n <= NODES_MAX; n++) {
        for (uint8_t copies = 1; copies < n; copies++) {
            uint32_t writers = (1u << (copies + 1)) - 1; /* have the write, at slot 2 */
            for (uint32_t stands = 2; stands < 1u << n; stands += 2) { /* node 0 is gone */
                struct succession_action a = choose(n, copies, writers, stands);
                if (a.kind == SUCCESSION_WRITE) {
                    assert_true((writers >> a.next.primary & 1) != 0);
                    assert_false(a.loss.possible);
                } else {
                    assert_true(count(stands) < n - copies);
                }
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_4_the_two_phases_meet_and_no_more_is_asked),
        cmocka_unit_test(test_5_1_who_stands_and_who_writes_are_more_than_all),
        cmocka_unit_test(test_4_writers_need_neither_a_majority_nor_each_other),
        cmocka_unit_test(test_3_among_those_who_stand_one_has_it_and_is_chosen_scenario_72),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
