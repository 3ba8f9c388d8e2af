/* Who should lead (health.h: L1-L5), and who does not keep up. This node has index 0, leads and
 * looks every 100 ms; nodes 1 and 2 are played. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/wire.h"
#include "node/alarm.h"
#include "node/health.h"
#include "node/node.h"
#include "node/peers.h"
#include "node/quarantine.h"
#include "node/replica.h"
#include "node/run.h"
#include "node/snapshot_source.h"

#define MS QR_MILLISECOND
#define DELAY (300 * MS) /* leader-priority-delay-ms */
#define NEVER (-1)
#define FIT 1u
#define QUARANTINED 2u

static struct node node;
static struct partition zero;
static struct roster roster;
static struct outlook outlook;
static struct log_figures figures;
static qr_time now;
static bool connected[3];
static struct {
    uint32_t sync_usec;
    uint8_t priority, flags;
    bool silent; /* it tells nothing */
} other[3];
static uint32_t handed_over;
static node_index handed_to;
static uint8_t own_flags; /* as told last */
static uint32_t lagging;  /* bit of the id */

/* --- What it stands on ------------------------------------------------------------------------ */

qr_time io_now(struct io *io)
{
    (void)io;
    return now;
}

uint32_t identity_me(const struct identity *identity)
{
    (void)identity;
    return 0;
}

node_index replica_me(const struct replica *r)
{
    (void)r;
    return 0;
}

const struct roster *replica_roster(const struct replica *r, qr_slot *slot)
{
    (void)r;
    *slot = 1;
    return &roster;
}

void replica_outlook(const struct replica *r, struct outlook *out)
{
    (void)r;
    *out = outlook;
}

void replica_admin(struct replica *r, enum admin_kind order, uint64_t argument)
{
    (void)r;
    assert_int_equal(order, ADMIN_TRANSFER);
    handed_over++;
    handed_to = (node_index)argument;
}

bool peers_connected(const struct peers *peers, node_index peer)
{
    (void)peers;
    return connected[peer];
}

void peers_tell(struct peers *peers, node_index to, uint8_t kind, struct span head)
{
    (void)peers;
    (void)to;
    assert_int_equal(kind, FRAME_HEALTH);
    own_flags = head.p[5];
}

qr_slot source_pin(const struct source *s)
{
    (void)s;
    return 0;
}

uint16_t contact_alive(const struct node *of)
{
    (void)of;
    return 7;
}

void quarantine_peer(struct partition *partition, node_index peer)
{
    (void)partition;
    (void)peer;
}

const struct log_figures *log_figures(const struct log *log)
{
    (void)log;
    return &figures;
}

qr_time log_sync_waits(const struct log *log)
{
    (void)log;
    return 0;
}

void node_log(struct node *of, enum node_log_level level, const char *format, ...)
{
    (void)of;
    (void)level;
    (void)format;
}

void alarm_raise(struct node *of, enum alarm_kind kind, const char *format, ...)
{
    (void)of;
    (void)kind;
    (void)format;
}

void alarm_clear(struct node *of, enum alarm_kind kind)
{
    (void)of;
    (void)kind;
}

void alarm_raise_about(struct node *of, enum alarm_kind kind, uint32_t about, const char *format,
                       ...)
{
    (void)of;
    (void)format;
    assert_int_equal(kind, ALARM_LAG);
    lagging |= 1u << about;
}

void alarm_clear_about(struct node *of, enum alarm_kind kind, uint32_t about)
{
    (void)of;
    (void)kind;
    lagging &= ~(1u << about);
}

void alarm_clear_all(struct node *of, enum alarm_kind kind)
{
    (void)of;
    (void)kind;
    lagging = 0;
}

/* --- As time goes by -------------------------------------------------------------------------- */

static void look(void)
{
    now += 100 * MS;
    outlook.last += 10;
    outlook.commit = outlook.last;
    for (node_index i = 1; i < 3; i++) {
        uint8_t head[6];
        struct wire_writer w = wire_writer(head, sizeof head);
        wire_put_u32(&w, other[i].sync_usec);
        wire_put_u8(&w, other[i].priority);
        wire_put_u8(&w, other[i].flags);
        if (connected[i]) {
            outlook.member[i].heard = now;
            outlook.member[i].match = outlook.last;
        }
        if (connected[i] && !other[i].silent) {
            assert_true(health_receive(&node, i, span_of(head, w.n)));
            assert_false(health_receive(&node, i, span_of(head, w.n - 1)));
        }
    }
    (void)health_turn(&node, now);
}

static void look_for(qr_time span)
{
    for (qr_time until = now + span; now < until;) {
        look();
    }
}

/* How long it takes, to the exactness of a look; NEVER: longer than `most`. */
static qr_time handed_over_after(qr_time most)
{
    qr_time from = now;
    uint32_t before = handed_over;
    while (handed_over == before && now - from <= most) {
        look();
    }
    return handed_over != before ? now - from : NEVER;
}

static void led_by(node_index leader)
{
    outlook.leader = leader;
    outlook.role = leader == 0 ? ROLE_LEADER : ROLE_FOLLOWER;
    health_leader(&node, &outlook, now);
}

/* Node 1 leads for a while, and its process dies and comes back. */
static void fails_after(qr_time span)
{
    led_by(1);
    look_for(span);
    connected[1] = false;
    health_peer(&node, 1, false);
    led_by(NODE_NONE);
    led_by(0);
    look();
    connected[1] = true;
    health_peer(&node, 1, true);
}

static int begin(void **state)
{
    (void)state;
    now = 10000 * QR_SECOND;
    node = (struct node){ .zero = &zero };
    zero = (struct partition){ .node = &node };
    node.config.leader_priority = ROSTER_PRIORITY;
    node.config.leader_priority_delay_ms = DELAY / MS;
    node.config.slow_disk_ms = 200;
    node.config.heartbeat_ms = 25;
    node.config.lag_alarm_ms = 10000;
    figures = (struct log_figures){ 0 };
    outlook = (struct outlook){ .members = 3, .can_serve = true, .transfer_to = NODE_NONE };
    outlook.membership.voters = 7;
    handed_over = lagging = 0;
    for (node_index i = 0; i < 3; i++) {
        roster.node[i].id = i + 1u;
        roster.node[i].priority = ROSTER_PRIORITY;
        other[i].sync_usec = 1000;
        other[i].priority = ROSTER_PRIORITY;
        other[i].flags = FIT;
        other[i].silent = false;
        connected[i] = true;
    }
    health_init(&node.health, now);
    led_by(0);
    return 0;
}

/* --- Priorities ------------------------------------------------------------------------------- */

static void the_highest_priority_leads_once_it_has_kept_up_L1(void **state)
{
    (void)state;
    assert_int_equal(handed_over_after(100 * QR_SECOND), NEVER); /* equals stay where they are */
    other[1].priority = 150;
    other[2].priority = 200;
    assert_in_range(handed_over_after(QR_SECOND), 1, 200 * MS); /* both have */
    assert_int_equal(handed_to, 2);
    led_by(2);
    look();
    led_by(0);
    outlook.member[2].needs_snapshot = true;
    assert_in_range(handed_over_after(10 * QR_SECOND), DELAY, DELAY + 200 * MS);
    assert_int_equal(handed_to, 1);
}

static void who_is_not_well_is_not_preferred_L1_L3(void **state)
{
    (void)state;
    other[1].priority = 200;
    other[1].flags = 0;
    assert_int_equal(handed_over_after(5 * QR_SECOND), NEVER);
    other[1].flags = FIT | QUARANTINED;
    assert_int_equal(handed_over_after(5 * QR_SECOND), NEVER);
    other[1].flags = FIT;
    outlook.member[1].forgetful = true;
    assert_int_equal(handed_over_after(5 * QR_SECOND), NEVER);
    outlook.member[1].forgetful = false;
    outlook.member[1].skewed = true; /* the group would take leadership from it again */
    assert_int_equal(handed_over_after(5 * QR_SECOND), NEVER);
    outlook.member[1].skewed = false;
    outlook.membership = (struct membership){ .voters = 5, .observers = 2 };
    assert_int_equal(handed_over_after(5 * QR_SECOND), NEVER);
    outlook.membership = (struct membership){ .voters = 7 };
    outlook.can_serve = false;
    assert_int_equal(handed_over_after(5 * QR_SECOND), NEVER);
    outlook.can_serve = true;
    other[1].silent = true; /* for too long by then */
    look_for(4 * QR_SECOND);
    uint32_t before = handed_over;
    node.health.not_before = 0;
    assert_int_equal(handed_over_after(5 * QR_SECOND), NEVER);
    other[1].silent = false;
    assert_in_range(handed_over_after(QR_SECOND), 1, DELAY + 200 * MS);
    assert_int_equal(handed_over, before + 1);
}

static void a_hand_over_that_fails_is_tried_again_later_and_later_L4(void **state)
{
    (void)state;
    other[1].priority = 200;
    assert_in_range(handed_over_after(QR_SECOND), DELAY, DELAY + 200 * MS);
    assert_in_range(handed_over_after(QR_SECOND * 100), 2 * QR_SECOND, 2 * QR_SECOND + 200 * MS);
    assert_in_range(handed_over_after(QR_SECOND * 100), 4 * QR_SECOND, 4 * QR_SECOND + 200 * MS);
    for (int i = 0; i < 10; i++) {
        assert_int_not_equal(handed_over_after(301 * QR_SECOND), NEVER);
    }
    assert_in_range(handed_over_after(301 * QR_SECOND), 300 * QR_SECOND, 301 * QR_SECOND);
    outlook.transfer_to = 1; /* one at a time */
    assert_int_equal(handed_over_after(400 * QR_SECOND), NEVER);
}

static void who_fails_again_and_again_waits_longer_L5(void **state)
{
    (void)state;
    other[1].priority = 200;
    assert_in_range(handed_over_after(QR_SECOND), DELAY, DELAY + 200 * MS);
    for (uint32_t times = 2; times <= 64; times *= 2) {
        fails_after(QR_SECOND);
        assert_in_range(handed_over_after(QR_SECOND * 100), times * DELAY,
                        times * DELAY + 200 * MS);
    }
    fails_after(QR_SECOND);
    assert_in_range(handed_over_after(QR_SECOND * 100), 64 * DELAY, 64 * DELAY + 200 * MS);
    fails_after(11 * 60 * QR_SECOND); /* not soon, and what was before is long ago */
    assert_in_range(handed_over_after(QR_SECOND * 100), DELAY, DELAY + 200 * MS);
    led_by(1); /* it gives it back in order */
    look();
    led_by(0);
    health_peer(&node, 1, true);
    assert_in_range(handed_over_after(QR_SECOND * 100), DELAY, DELAY + 200 * MS);
}

/* --- Disks ------------------------------------------------------------------------------------ */

static void syncs_take(qr_time each, qr_time span)
{
    for (qr_time until = now + span; now < until;) {
        figures.sync_usec.count += 10;
        figures.sync_usec.sum += 10 * (uint64_t)each;
        look();
    }
}

static void a_slow_disk_hands_over_to_the_fastest_L2(void **state)
{
    (void)state;
    other[1].sync_usec = 50000;
    other[2].sync_usec = 20000;
    syncs_take(150 * MS, 10 * QR_SECOND);
    assert_int_equal(handed_over, 0);
    syncs_take(400 * MS, 2 * QR_SECOND);
    assert_int_equal(handed_over, 0);
    syncs_take(400 * MS, QR_SECOND);
    assert_true(handed_over == 1 && handed_to == 2);
}

static void a_disk_that_is_hardly_better_is_not_worth_it_L2(void **state)
{
    (void)state;
    other[1].sync_usec = other[2].sync_usec = 110000;
    syncs_take(400 * MS, 10 * QR_SECOND);
    assert_int_equal(handed_over, 0);
}

static void who_was_slow_is_not_fit_for_a_while_L3(void **state)
{
    (void)state;
    look_for(QR_SECOND);
    assert_int_equal(own_flags, FIT);
    syncs_take(400 * MS, QR_SECOND); /* for a moment only */
    assert_int_equal(own_flags, 0);
    syncs_take(MS, 3 * QR_SECOND);
    assert_int_equal(own_flags, FIT);
    led_by(1);
    syncs_take(400 * MS, 10 * QR_SECOND);
    syncs_take(MS, 50 * QR_SECOND);
    assert_int_equal(own_flags, 0);
    syncs_take(MS, 20 * QR_SECOND);
    assert_int_equal(own_flags, FIT);
    zero.quarantined = true;
    look_for(QR_SECOND);
    assert_int_equal(own_flags, QUARANTINED);
}

/* --- The others ------------------------------------------------------------------------------- */

static void who_should_lead_is_fit_then_preferred_then_the_furthest(void **state)
{
    (void)state;
    look();
    outlook.member[1].match = outlook.last - 5;
    assert_int_equal(health_successor(&node, &outlook), 2);
    other[1].priority = 101;
    look();
    outlook.member[1].match = outlook.last - 5;
    assert_int_equal(health_successor(&node, &outlook), 1);
    other[1].flags = 0;
    look();
    assert_int_equal(health_successor(&node, &outlook), 2);
    connected[2] = false;
    assert_int_equal(health_successor(&node, &outlook), 1);
    outlook.membership.voters = 1;
    assert_int_equal(health_successor(&node, &outlook), NODE_NONE);
}

/* It would hand back at once; but where there is no other it is better than nobody. */
static void whose_clock_is_far_off_leads_only_where_nobody_else_can(void **state)
{
    (void)state;
    other[1].priority = 101;
    look();
    outlook.member[1].skewed = true;
    assert_int_equal(health_successor(&node, &outlook), 2);
    outlook.member[2].skewed = true;
    assert_int_equal(health_successor(&node, &outlook), 1);
}

static void who_does_not_keep_up_is_told_about(void **state)
{
    (void)state;
    look_for(QR_SECOND);
    connected[2] = false;
    look_for(9 * QR_SECOND);
    assert_int_equal(lagging, 0);
    look_for(2 * QR_SECOND);
    assert_int_equal(lagging, 1u << 3); /* by its id */
    connected[2] = true;
    look_for(QR_SECOND);
    assert_int_equal(lagging, 0);
    outlook.membership = (struct membership){ .voters = 3, .learners = 4 };
    connected[2] = false; /* who joins is expected to be behind */
    look_for(20 * QR_SECOND);
    assert_int_equal(lagging, 0);
    outlook.membership = (struct membership){ .voters = 7 };
    look();
    assert_int_equal(lagging, 1u << 3);
    led_by(1);
    assert_int_equal(lagging, 0);
}

#define HEALTH_TEST(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        HEALTH_TEST(the_highest_priority_leads_once_it_has_kept_up_L1),
        HEALTH_TEST(who_is_not_well_is_not_preferred_L1_L3),
        HEALTH_TEST(a_hand_over_that_fails_is_tried_again_later_and_later_L4),
        HEALTH_TEST(who_fails_again_and_again_waits_longer_L5),
        HEALTH_TEST(a_slow_disk_hands_over_to_the_fastest_L2),
        HEALTH_TEST(a_disk_that_is_hardly_better_is_not_worth_it_L2),
        HEALTH_TEST(who_was_slow_is_not_fit_for_a_while_L3),
        HEALTH_TEST(who_should_lead_is_fit_then_preferred_then_the_furthest),
        HEALTH_TEST(whose_clock_is_far_off_leads_only_where_nobody_else_can),
        HEALTH_TEST(who_does_not_keep_up_is_told_about),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
