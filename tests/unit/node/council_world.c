/* See council_world.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "council_world.h"

#include "base/alloc.h"
#include "cluster/strategy.h"
#include "node/orders.h"
#include "node/peers.h"
#include "node/replica.h"
#include "node/run.h"
#include "node/standing.h"
#include "protocol/quorum.h"
#include "tests/unit/cluster/put_records.h"

#define KEYSPACE 16u

struct node *node;
struct control control;
static struct partition zero;
struct outlook outlook;
uint16_t alive;
uint32_t changes, raised[16], cleared[16];
static uint32_t logged;
char raised_text[16][256];
bool refuses, no_room;
struct hand_over ordered;
node_index ordered_of;
uint32_t orders;
uint32_t cluster_level, tells;

/* --- The rest of the node -------------------------------------------------------------------- */

const struct outlook *replica_seen(const struct replica *r)
{
    (void)r;
    return &outlook;
}

node_index replica_me(const struct replica *r)
{
    (void)r;
    return ME;
}

bool replica_has_room(const struct replica *r, size_t n)
{
    (void)r;
    assert_true(n >= 256 * (MAP_KEY_BYTES_MAX + MAP_VALUE_BYTES_MAX));
    return !no_room;
}

void replica_admin(struct replica *r, enum admin_kind order, uint64_t argument)
{
    (void)r, (void)argument;
    assert_int_equal(order, ADMIN_TELL);
    tells++;
}

uint16_t contact_alive(const struct node *n)
{
    (void)n;
    return alive;
}

uint32_t control_level(const struct node *n)
{
    return map_settings(n->map)->level;
}

bool control_may_compose(const struct node *n)
{
    (void)n;
    return !refuses;
}

bool control_propose_own(struct node *n, struct edit *edit)
{
    size_t at = 0;
    assert_false(refuses || no_room);
    for (uint32_t i = 0; i < edit->count; i += 2) {
        struct span key = span_of(edit->bytes + at, edit->length[i]);
        struct span value = span_of(edit->bytes + at + key.n, edit->length[i + 1]);
        at += key.n + value.n;
        assert_int_equal(map_put(n->map, key, value), MAP_OK);
    }
    assert_true(edit->count <= 2 * 256);
    changes++;
    return true;
}

void node_log(struct node *n, enum node_log_level level, const char *format, ...)
{
    (void)n, (void)level, (void)format;
    logged++;
}

static void raise_(enum alarm_kind kind, const char *format, va_list arguments)
{
    raised[kind]++;
    (void)vsnprintf(raised_text[kind], sizeof raised_text[kind], format, arguments);
}

void alarm_raise(struct node *n, enum alarm_kind kind, const char *format, ...)
{
    va_list arguments;
    (void)n;
    va_start(arguments, format);
    raise_(kind, format, arguments);
    va_end(arguments);
}

void alarm_raise_about(struct node *n, enum alarm_kind kind, uint32_t about, const char *format,
                       ...)
{
    va_list arguments;
    (void)n;
    assert_true(about > 100);
    va_start(arguments, format);
    raise_(kind, format, arguments);
    va_end(arguments);
}

void alarm_clear(struct node *n, enum alarm_kind kind)
{
    (void)n;
    cleared[kind]++;
}

void alarm_clear_about(struct node *n, enum alarm_kind kind, uint32_t about)
{
    (void)n, (void)about;
    cleared[kind]++;
}

void peers_tell(struct peers *peers, node_index to, uint8_t kind, struct span head)
{
    (void)peers;
    assert_int_equal(kind, FRAME_ORDER);
    assert_true(hand_over_read(head, &ordered));
    ordered_of = to;
    orders++;
}

void standing_obey(struct node *n, const struct hand_over *order)
{
    (void)n;
    ordered = *order;
    ordered_of = ME;
    orders++;
}

/* --- Who waits for an order ------------------------------------------------------------------ */

static struct reply answer;
static char answer_text[1024];
uint32_t answers;

bool replica_leads(const struct replica *r)
{
    (void)r;
    return outlook.role == ROLE_LEADER;
}

bool control_begins(struct node *n, struct pending *p)
{
    (void)n, (void)p;
    return true;
}

struct reply *stream_reply(struct pending *p)
{
    (void)p;
    reply_reset(&answer);
    return &answer;
}

void stream_answered(struct pending *p, enum qr_status status)
{
    assert_int_equal(status, STATUS_OK);
    p->state = PENDING_ANSWERED;
    answers++;
}

void orders_uncertain(struct pending *p)
{
    orders_refuse(p, "UNCERTAIN");
}

const char *answered(void)
{
    size_t n = min_u64(answer.n, sizeof answer_text - 1);
    memcpy(answer_text, answer.p, n);
    answer_text[n] = 0;
    return answer_text;
}

/* --- A cluster of five ----------------------------------------------------------------------- */

void put_succession(uint32_t group, const struct succession *s)
{
    uint8_t value[MAP_VALUE_BYTES_MAX];
    put_raw(node->map, MAP_RECORD_SUCCESSION, group, value, map_succession_write(s, value));
}

void make_partitions(uint32_t count, uint8_t ack, uint8_t copies, uint16_t members)
{
    struct map_settings settings = *map_settings(node->map);
    settings.level = cluster_level;
    settings.next_group = FIRST + count;
    put_settings(node->map, &settings);
    struct map_keyspace k = { .id = KEYSPACE,
                              .first_group = FIRST,
                              .partitions = count,
                              .strategy = STRATEGY_PRIMARY,
                              .partitioning = PARTITIONING_HASH,
                              .state = KEYSPACE_IN_USE,
                              .replicas = (uint8_t)quorum_count(members),
                              .name = "orders",
                              .primary = primary_options_default() };
    k.primary.ack.kind = ack;
    k.primary.ack.n = copies;
    put_keyspace(node->map, &k);
    for (uint32_t i = 0; i < count; i++) {
        struct map_partition p = map_found(&k, i, FIRST + i, members, NODE_NONE);
        put_partition(node->map, &p);
        struct succession_wish wish = strategy_wish(node->map, &k, members);
        struct succession s = succession_first(&wish, NODE_NONE);
        put_succession(FIRST + i, &s);
    }
}

int begin(void **state)
{
    (void)state;
    node = qr_zalloc(sizeof *node);
    control = (struct control){ .node = node, .council = council_new() };
    zero = (struct partition){ .node = node };
    node->zero = &zero;
    node->map = map_new();
    node->control = &control;
    node->clock = 100 * QR_SECOND;
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        node->known[i].id = 101u + i;
    }
    outlook = (struct outlook){ .role = ROLE_LEADER, .term = 3, .can_serve = true };
    leases_init(&node->contact.leases, 10);
    leases_lead(&node->contact.leases, 3, true, node->clock);
    alive = 0x1f;
    changes = logged = orders = tells = 0;
    cluster_level = MAP_LEVEL_NEWEST;
    memset(raised, 0, sizeof raised);
    memset(cleared, 0, sizeof cleared);
    refuses = no_room = false;
    answers = 0;
    reply_init(&answer, 2);
    return 0;
}

int end(void **state)
{
    (void)state;
    council_free(control.council);
    reply_free(&answer);
    map_free(node->map);
    free(node);
    return 0;
}

void turn(void)
{
    node->wake = QR_NEVER;
    council_orders_turn(node, node->clock); /* as control.c */
    council_turn(node, node->clock);
}

/* Time passes in which those that are alive renew their leases. */
void pass(qr_time time)
{
    while (time > 0) {
        qr_time step = time < 100 * QR_MILLISECOND ? time : 100 * QR_MILLISECOND;
        node->clock += step;
        time -= step;
        for (node_index i = 0; i < 5; i++) {
            if ((alive & node_bit(i)) != 0) {
                node->contact.leases.gone_at[i] = node->clock + LEASE_TIME;
            }
        }
        turn();
    }
}

const struct succession *record(uint32_t group)
{
    return map_succession(node->map, group);
}

void tell(node_index from, struct standing s)
{
    struct standings frame = { .life = 10u + from, .count = 1 };
    uint8_t bytes[STANDINGS_BYTES_MAX];
    s.to = s.closed ? s.to : NODE_NONE;
    frame.v[0] = s;
    assert_true(council_receive(node, from, span_of(bytes, standings_write(&frame, bytes))));
}

void stand(node_index from, uint32_t group, qr_slot last)
{
    qr_term term = record(group)->term;
    tell(from, (struct standing){ .group = group,
                                  .promised = term,
                                  .last_term = last != 0 ? term - 1 : 0,
                                  .last_slot = last });
}

void lead(uint32_t group, uint16_t caught)
{
    const struct succession *s = record(group);
    tell(s->primary, (struct standing){ .group = group,
                                        .leads = true,
                                        .promised = s->term,
                                        .settled = s->term,
                                        .caught = caught });
}

void lose(node_index i)
{
    alive &= (uint16_t)~node_bit(i);
    council_lost(node, i);
}

/* Nodes 0, 1, 2 with ANY 1; node 1 leads, all is settled. */
void settle(void)
{
    make_partitions(1, ACK_ANY, 1, 0x7);
    stand(1, FIRST, 0);
    turn();
    tell(0, (struct standing){ .group = FIRST });
    tell(2, (struct standing){ .group = FIRST });
    lead(FIRST, 0x7);
    turn();
    turn();
    assert_int_equal(record(FIRST)->primary, 1);
    assert_int_equal(record(FIRST)->settled, record(FIRST)->term);
}
