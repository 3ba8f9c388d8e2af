/* Elections so many at a time (campaigns.h: C1-C4). Replicas are played: each wants to campaign or
 * not, and gets somewhere or not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "node/node.h"
#include "node/replica.h"

#define MANY 3000u
#define SHORT QR_MILLISECOND
#define LONG (100 * QR_MILLISECOND)

struct played {
    bool wants; /* its time-out has come, or it is called */
    struct outlook outlook;
    uint32_t campaigns, order;
};

static struct node node;
static struct partition part[MANY];
static struct played played[MANY];
static uint32_t ordered;

static struct campaigns *all(void)
{
    return &node.partitions.schedule.campaigns;
}

bool replica_campaigns(struct replica *r)
{
    return ((struct played *)(void *)r)->wants;
}

const struct outlook *replica_seen(const struct replica *r)
{
    return &((const struct played *)(const void *)r)->outlook;
}

void schedule_wake(struct partition *p)
{
    p->awake = true;
}

static int begin(void **state)
{
    (void)state;
    node = (struct node){ .clock = 100 * QR_SECOND };
    memset(played, 0, sizeof played);
    ordered = 0;
    campaigns_init(all());
    for (uint32_t i = 0; i < MANY; i++) {
        part[i] = (struct partition){ .node = &node, .group = i + 2 };
        part[i].replica = (struct replica *)(void *)&played[i];
    }
    return 0;
}

/* A turn of the partition, in which a campaign begins if it may. */
static void turn(uint32_t i)
{
    part[i].awake = false;
    campaigns_gate(&part[i], node.clock);
    if (part[i].campaign != CAMPAIGN_WAITS && played[i].wants) {
        played[i].wants = false;
        played[i].outlook.role = ROLE_CANDIDATE;
        played[i].campaigns++;
        played[i].order = ++ordered;
    }
    campaigns_look(&part[i]);
}

static void turn_awake(void)
{
    campaigns_turn(all(), node.clock);
    for (uint32_t i = 0; i < MANY; i++) {
        if (part[i].awake) {
            turn(i);
        }
    }
}

static void want(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        played[i].wants = true;
        turn(i);
    }
}

static void ends(uint32_t i, enum role role)
{
    played[i].outlook = (struct outlook){ .role = role, .can_serve = true };
    turn(i);
}

static void so_many_begin_and_the_others_wait_C1(void **state)
{
    (void)state;
    uint32_t places = all()->places;
    assert_int_equal(campaigns_deadline(all()), QR_NEVER);
    want(places + 2);
    assert_int_equal(ordered, places);
    assert_int_equal(all()->open.count, places);
    assert_int_equal(all()->line.count, 2);
    assert_false(part[places].awake); /* no turn is wanted for who waits */
    turn_awake();
    assert_int_equal(ordered, places);
    assert_true(campaigns_deadline(all()) > node.clock);
}

static void a_place_that_is_given_back_goes_to_the_first_in_line_C2(void **state)
{
    (void)state;
    uint32_t places = all()->places;
    want(places + 2);
    ends(7, ROLE_FOLLOWER);
    assert_int_equal(campaigns_deadline(all()), 0);
    turn_awake();
    assert_int_equal(played[places].order, places + 1);
    assert_int_equal(played[places + 1].order, 0);
    played[3].outlook = (struct outlook){ .role = ROLE_LEADER };
    turn(3); /* it leads, and its first entry is on its way */
    turn_awake();
    assert_int_equal(played[places + 1].order, 0);
    ends(3, ROLE_LEADER);
    turn_awake();
    assert_int_equal(played[places + 1].order, places + 2);
}

/* Who has no majority does not keep the others from theirs. */
static void a_place_ends_and_who_asks_again_is_the_last_C2(void **state)
{
    (void)state;
    uint32_t places = all()->places;
    want(2 * places);
    node.clock = campaigns_deadline(all());
    turn_awake();
    assert_int_equal(ordered, 2 * places);
    assert_int_equal(all()->line.count, 0);
    want(places); /* again: the places are taken */
    assert_int_equal(all()->line.count, places);
    played[2 * places].wants = true;
    turn(2 * places);
    node.clock = campaigns_deadline(all());
    turn_awake();
    assert_int_equal(played[0].campaigns, 2);
    assert_int_equal(played[2 * places].campaigns, 0); /* it came later than these */
    assert_int_equal(played[places].campaigns, 1);
}

static void within_its_time_it_may_ask_again(void **state)
{
    (void)state;
    want(all()->places + 1);
    played[0].wants = true;
    turn(0);
    assert_int_equal(played[0].campaigns, 2);
}

static void long_turns_take_places_away_and_short_ones_give_some_C3(void **state)
{
    (void)state;
    uint32_t places = all()->places;
    campaigns_paced(all(), LONG);
    assert_int_equal(all()->places, places); /* it was not for campaigns: there is none */
    want(places + 1);
    campaigns_paced(all(), LONG);
    assert_int_equal(all()->places, places / 2);
    for (int i = 0; i < 20; i++) {
        campaigns_paced(all(), LONG);
    }
    assert_int_equal(all()->places, CAMPAIGNS_MIN);
    for (uint32_t i = 0; i + 1 < places; i++) {
        ends(i, ROLE_FOLLOWER);
        campaigns_turn(all(), node.clock);
    }
    assert_int_equal(all()->line.count, 0);
    campaigns_paced(all(), SHORT);
    assert_int_equal(all()->places, CAMPAIGNS_MIN); /* nobody waits */
    want(places);
    for (int i = 0; i < 1000; i++) {
        campaigns_paced(all(), SHORT);
    }
    assert_int_equal(all()->places, CAMPAIGNS_MAX);
}

static void who_has_a_leader_meanwhile_leaves_the_line_C4(void **state)
{
    (void)state;
    uint32_t places = all()->places;
    want(places + 3);
    played[places].wants = false;
    turn(places);
    assert_int_equal(part[places].campaign, CAMPAIGN_NONE);
    campaigns_forget(&part[places + 1]);
    campaigns_forget(&part[5]);
    assert_int_equal(all()->line.count, 1);
    turn_awake();
    assert_int_equal(played[places + 2].order, places + 1);
    assert_int_equal(all()->open.count, places);
}

static void who_is_called_waits_for_the_others(void **state)
{
    (void)state;
    uint32_t places = all()->places;
    want(places);
    assert_false(campaigns_hold_back(&part[0])); /* nobody waits: it may call again at once */
    played[places].wants = true;
    turn(places);
    assert_true(campaigns_hold_back(&part[0]));
    assert_true(campaigns_hold_back(&part[places]));
    assert_false(campaigns_hold_back(&part[places + 1]));
}

/* Half of them have no majority and try for ever; the other half is led soon all the same, with as
 * few places as there can be. */
static void nobody_starves(void **state)
{
    (void)state;
    struct rng rng = rng_from(7);
    uint32_t led = 0;
    want(MANY);
    for (int round = 0; led < MANY / 2; round++) {
        assert_in_range(round, 0, 3000);
        campaigns_paced(all(), LONG);
        node.clock += 20 * QR_MILLISECOND;
        for (uint32_t i = 0; i < MANY; i++) {
            bool candidate = played[i].outlook.role == ROLE_CANDIDATE;
            if (candidate && i % 2 == 0) {
                ends(i, rng_below(&rng, 2) == 0 ? ROLE_LEADER : ROLE_FOLLOWER);
                led++;
            } else if (candidate && rng_below(&rng, 20) == 0) {
                played[i].wants = true;
                turn(i);
            }
        }
        turn_awake();
    }
}

#define TEST(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(so_many_begin_and_the_others_wait_C1),
        TEST(a_place_that_is_given_back_goes_to_the_first_in_line_C2),
        TEST(a_place_ends_and_who_asks_again_is_the_last_C2),
        TEST(within_its_time_it_may_ask_again),
        TEST(long_turns_take_places_away_and_short_ones_give_some_C3),
        TEST(who_has_a_leader_meanwhile_leaves_the_line_C4),
        TEST(who_is_called_waits_for_the_others),
        TEST(nobody_starves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
