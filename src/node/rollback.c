#include "node/rollback.h"

#include "base/alloc.h"
#include "cluster/map.h"
#include "node/control.h"
#include "node/damage.h"
#include "node/journals.h"
#include "node/keeper.h"
#include "node/node.h"
#include "node/quarantine.h"
#include "node/replica_internal.h"
#include "node/run.h"

#include <inttypes.h>
#include <string.h>

#define CHUNK_BYTES (64 * KIB)
#define BUSY_PAUSE (5 * QR_MILLISECOND) /* another partition of the keyspace is writing */
#define NO_ROOM_PAUSE QR_SECOND

enum phase { PHASE_SYNCS = 0, PHASE_NAMES, PHASE_ENDS, PHASE_CUTS, PHASE_IS_CUT };

struct rollback {
    struct partition *partition;
    struct discards *discards; /* while something is being named: begun, and not ended */
    struct discards_owner owner;
    uint8_t phase;
    bool anew;
    bool leaves;      /* K5 */
    bool full;        /* the journal wakes it */
    qr_slot slot;     /* what follows it goes */
    qr_slot last;     /* of the log */
    qr_slot given;    /* K7; 0: nothing is */
    qr_slot maybe;    /* its primary may have what is named up to here */
    qr_slot next;     /* to be named; 0: what is given up is */
    qr_slot answered; /* what this node led is answered up to here, */
    qr_term led;      /* ... in this term; 0: it led in none (K6) */
    qr_term lost_to;
    uint64_t position; /* of the log, to be durable */
    qr_time retry_at;
};

/* --- The beginning -------------------------------------------------------------------------- */

/* One more turn, whether or not this is one. */
static void go_on(struct rollback *b)
{
    b->partition->again = true;
    partition_wake(b->partition);
}

static void await_log(struct rollback *b)
{
    b->position = log_position(b->partition->node->log);
    partition_expects(b->partition, b->position);
}

/* Entries (slot, last] are lost to `term`. */
static struct rollback *begin(struct replica *r, qr_slot slot, qr_slot last, qr_term term)
{
    struct partition *p = r->partition;
    struct rollback *b = qr_zalloc(sizeof *b);
    qr_assert(r->viewed && r->started && p->rollback == NULL && slot <= last);
    *b = (struct rollback){ .partition = p,
                            .slot = slot,
                            .last = last,
                            .answered = r->apply_to,
                            .led = r->views.led,
                            .lost_to = term };
    p->rollback = b;
    p->loading = true;
    r->started = false;
    replica_drop_held(r);
    quarantine_forget(p);
    await_log(b);
    go_on(b);
    return b;
}

void rollback_begin(struct replica *r, const struct effect *e)
{
    struct rollback *b = begin(r, e->rollback.slot, e->rollback.last, e->rollback.term);
    b->anew = e->rollback.anew;
    if (control_level(r->node) >= MAP_LEVEL_FOLLOWERS) { /* who knows those reasons */
        b->given = e->rollback.given;
        b->maybe = e->rollback.maybe;
    }
    qr_assert(b->slot < b->last || b->anew);
    node_log(r->node, NODE_LOG_WARNING,
             "Group %" PRIu32 ": the primary of term %" PRIu64 " has nothing of what follows slot "
             "%" PRIu64 " here, up to %" PRIu64 ": it is taken back, see KEYSPACE DISCARDS",
             r->group, b->lost_to, b->slot, b->last);
}

bool rollback_named_all(struct partition *p)
{
    struct replica *r = p->replica;
    struct outlook o;
    if (!r->viewed) {
        return true;
    }
    if (p->rollback != NULL) {
        return p->rollback->leaves && p->rollback->phase == PHASE_IS_CUT;
    }
    replica_outlook(r, &o);
    if (!r->started || o.sure >= o.last) {
        return true;
    }
    begin(r, o.sure, o.last, o.term)->leaves = true;
    return false;
}

/* --- Names ---------------------------------------------------------------------------------- */

static void on_wake(void *context)
{
    struct rollback *b = context;
    b->full = false;
    go_on(b);
}

static void await_room(struct rollback *b)
{
    node_log(b->partition->node, NODE_LOG_WARNING,
             "Group %" PRIu32 ": the discard journal takes nothing, so nothing is taken back yet",
             b->partition->group);
    b->phase = PHASE_NAMES;
    b->retry_at = b->partition->node->clock + NO_ROOM_PAUSE;
}

static void named(struct rollback *b, enum discards_result result, int error)
{
    b->discards = NULL;
    switch (result) {
    case DISCARDS_DONE:
        (void)io_failpoint(b->partition->node->io, FAIL_ROLLBACK_NAMED);
        b->phase = b->leaves ? PHASE_IS_CUT : PHASE_CUTS;
        holding_disturb(b->partition);
        break;
    case DISCARDS_NO_ROOM:
        await_room(b);
        break;
    case DISCARDS_FAILED:
        node_disk_failed(b->partition->node, "the discard journal cannot be written", error);
        break;
    case DISCARDS_LATER:
        b->phase = PHASE_ENDS;
        return;
    }
    go_on(b);
}

static void on_ended(void *context, enum discards_result result, int error)
{
    named(context, result, error);
}

static struct discard about(const struct rollback *b, qr_slot slot, qr_term term)
{
    const struct map_partition *mp = map_partition(b->partition->node->map, b->partition->group);
    struct discard entry = { .slot = slot,
                             .term = term,
                             .lost_to = b->lost_to,
                             .at = io_wall(b->partition->node->io),
                             .group = b->partition->group,
                             .partition = mp != NULL ? mp->index : 0,
                             .reason = b->leaves          ? DISCARD_LEFT
                                       : slot <= b->maybe ? DISCARD_BEGAN_ANEW
                                                          : DISCARD_ROLLED_BACK,
                             .acknowledged = DISCARD_MAY_BE_ACKNOWLEDGED,
                             .slots = 1 };
    if (b->led != 0 && term == b->led) { /* K6 */
        entry.acknowledged = slot <= b->answered ? DISCARD_ACKNOWLEDGED : DISCARD_NOT_ACKNOWLEDGED;
    }
    return entry;
}

static qr_term term_at(const struct log_group *group, qr_slot slot)
{
    qr_term term = group->base_term;
    for (uint32_t i = 0; i < group->run_count && group->runs[i].slot <= slot; i++) {
        term = group->runs[i].term;
    }
    return term;
}

/* K7. False: the journal has no room now. */
static bool count_the_given(struct rollback *b, const struct log_group *group)
{
    if (b->next != 0) {
        return true;
    }
    struct discard entry = about(b, 1, term_at(group, b->given));
    entry.acknowledged = DISCARD_MAY_BE_ACKNOWLEDGED;
    entry.reason = DISCARD_GIVEN_UP;
    entry.slots = b->given;
    if (!discards_add(b->discards, &entry)) {
        return false;
    }
    b->next = b->slot + 1;
    return true;
}

/* K4. False: the journal has no room now. */
static bool count_the_gone(struct rollback *b, const struct log_group *group)
{
    while (b->next <= group->base_slot) {
        bool maybe = b->next <= b->maybe;
        qr_slot end = maybe ? min_u64(group->base_slot, b->maybe) : group->base_slot;
        struct discard entry = about(b, b->next, group->base_term);
        entry.acknowledged = DISCARD_MAY_BE_ACKNOWLEDGED;
        entry.slots = end - b->next + 1;
        if (!discards_add(b->discards, &entry)) {
            return false;
        }
        b->next = end + 1;
    }
    return true;
}

static bool name_records(struct rollback *b, struct span records)
{
    struct record record;
    for (size_t at = 0; at < records.n;) {
        size_t n = record_peek(span_of(records.p + at, records.n - at), &record);
        qr_assert(n > 0 && record.slot == b->next);
        struct discard entry = about(b, record.slot, record.term);
        entry.kind = record.kind;
        entry.bytes = (uint32_t)record.payload.n;
        entry.payload = record.payload;
        if (!discards_add(b->discards, &entry)) {
            return false;
        }
        b->next++;
        at += n;
    }
    return true;
}

/* A slice of them. */
static void name_some(struct rollback *b)
{
    struct node *node = b->partition->node;
    struct log_group group = { 0 };
    struct span records;
    (void)log_group_state(node->log, b->partition->group, &group);
    b->full = true; /* unless it is seen to be otherwise */
    if (!count_the_given(b, &group) || !count_the_gone(b, &group)) {
        return;
    }
    if (b->next <= b->last) {
        int64_t count =
            log_read(node->log, b->partition->group, b->next, b->last + 1, CHUNK_BYTES, &records);
        if (count <= 0) {
            node_fail(node, "an entry that is to be taken back cannot be read from the log");
            return;
        }
        if (!name_records(b, records)) {
            return;
        }
    }
    b->full = false;
    if (b->next > b->last) {
        int error = 0;
        enum discards_result result = discards_end(b->discards, &error);
        named(b, result, error);
    }
    go_on(b);
}

static void begin_names(struct rollback *b, qr_time now)
{
    struct node *node = b->partition->node;
    const struct map_keyspace *k = map_keyspace_of_group(node->map, b->partition->group);
    char message[400];
    b->retry_at = now + BUSY_PAUSE;
    if (k == NULL) {
        b->phase = PHASE_IS_CUT; /* the keyspace was dropped, and this goes with it */
        return;
    }
    struct discards *discards = journals_get(node, k->id, true, message, sizeof message);
    if (discards == NULL) {
        node_log(node, NODE_LOG_WARNING, "%s", message);
        await_room(b);
        return;
    }
    if (discards_busy(discards)) {
        return;
    }
    b->owner = (struct discards_owner){ .wake = on_wake, .ended = on_ended, .context = b };
    b->discards = discards;
    b->next = b->given > 0 ? 0 : b->slot + 1;
    b->full = false;
    discards_begin(discards, &b->owner);
}

static void turn_names(struct rollback *b, qr_time now)
{
    if (b->discards == NULL && now >= b->retry_at) {
        begin_names(b, now);
    }
    if (b->discards != NULL && !b->full) {
        name_some(b);
    } else if (b->discards == NULL && b->phase == PHASE_NAMES) {
        partition_wake_at(b->partition, b->retry_at);
    }
}

/* --- The cut -------------------------------------------------------------------------------- */

/* K3. False: not yet. */
static bool is_ready(struct rollback *b)
{
    struct partition *p = b->partition;
    if (!keeper_is_quiet(p->keeper)) {
        partition_wake_at(p, p->node->clock + BUSY_PAUSE);
        return false;
    }
    if (!b->anew && keeper_slot(p->keeper) > b->slot) {
        int error = damage_forgets(p, "its checkpoint holds what was taken back");
        if (error < 0) {
            node_disk_failed(p->node, "that a replica has forgotten cannot be written", error);
            return false;
        }
        b->anew = true;
    }
    return true;
}

static void cut(struct rollback *b)
{
    struct partition *p = b->partition;
    if (b->anew) {
        log_reset(p->node->log, p->group, 0, 0);
    } else {
        log_truncate(p->node->log, p->group, b->slot + 1);
    }
    (void)io_failpoint(p->node->io, FAIL_ROLLBACK_CUT);
    await_log(b);
}

/* --- The turn ------------------------------------------------------------------------------- */

void rollback_turn(struct partition *p, qr_time now)
{
    struct rollback *b = p->rollback;
    if (b == NULL) {
        return;
    }
    bool durable = log_durable(p->node->log) >= b->position;
    if (b->phase == PHASE_SYNCS && durable && (b->leaves || is_ready(b))) {
        (void)io_failpoint(p->node->io, FAIL_ROLLBACK);
        b->phase = PHASE_NAMES; /* K1 */
        b->position = UINT64_MAX;
    }
    if (b->phase == PHASE_NAMES) {
        turn_names(b, now);
    } else if (b->phase == PHASE_CUTS && b->position == UINT64_MAX) {
        cut(b);
    } else if (b->phase == PHASE_CUTS && durable) {
        (void)io_failpoint(p->node->io, FAIL_ROLLED_BACK);
        b->phase = PHASE_IS_CUT;
        holding_disturb(p);
    }
}

bool rollback_is_cut(const struct partition *p, bool *anew)
{
    *anew = p->rollback->anew;
    return p->rollback->phase == PHASE_IS_CUT;
}

bool rollback_leaves(const struct partition *p)
{
    return p->rollback != NULL && p->rollback->leaves;
}

void rollback_free(struct partition *p)
{
    free(p->rollback);
    p->rollback = NULL;
}
