#include "node/regain.h"

#include "base/alloc.h"
#include "cluster/map.h"
#include "node/journals.h"
#include "node/node.h"
#include "node/replica_internal.h"
#include "node/run.h"

#define BUSY_PAUSE (20 * QR_MILLISECOND) /* somebody else writes to the journal */
#define NO_ROOM_PAUSE QR_SECOND

struct regain {
    struct partition *partition; /* NULL: it has no use for it any more, and this ends by itself */
    struct discards *discards;
    struct discards_owner owner;
    qr_slot upto;      /* behind it the journal names nothing of this group */
    qr_term given;     /* G5: the latest term that something was given up to; 0: none */
    uint64_t position; /* of the log, to be durable (G1); 0: nothing is to be said */
    qr_time retry_at;
    bool begun;  /* discards_begin, and `ended` is to come; */
    bool ending; /* ... by itself, for all is said */
    bool full;   /* the journal wakes it */
};

static void go_on(const struct regain *g)
{
    g->partition->again = true;
    partition_wake(g->partition);
}

static void await_log(struct regain *g)
{
    g->position = log_position(g->partition->node->log);
    g->retry_at = 0;
    partition_expects(g->partition, g->position);
}

static void look(struct regain *g)
{
    g->upto = discards_last_slot(g->discards, g->partition->group);
    g->given = discards_gave_up(g->discards, g->partition->group);
}

void regain_start(struct replica *r)
{
    struct partition *p = r->partition;
    const struct map_keyspace *k = map_keyspace_of_group(r->node->map, r->group);
    char message[400];
    if (!r->viewed || k == NULL) {
        return;
    }
    qr_assert(p->regain == NULL);
    struct discards *discards = journals_get(r->node, k->id, false, message, sizeof message);
    if (message[0] != 0) { /* it shows too much until a start can read it */
        node_log(r->node, NODE_LOG_WARNING, "%s", message);
    }
    struct regain regain = { .partition = p, .discards = discards };
    if (discards != NULL) {
        look(&regain);
    }
    if (regain.upto > 0 || regain.given > 0) {
        p->regain = qr_zalloc(sizeof *p->regain);
        *p->regain = regain;
        await_log(p->regain);
    }
}

void regain_logged(struct replica *r, qr_slot lo)
{
    struct regain *g = r->partition->regain;
    if (g != NULL && lo <= g->upto) {
        await_log(g);
    }
}

/* --- What the log holds --------------------------------------------------------------------- */

typedef bool each_run(struct regain *g, qr_slot lo, qr_slot hi, qr_term term);

/* G2. False: one of them was not done. */
static bool for_all(struct regain *g, each_run *each)
{
    struct log_group log;
    if (!log_group_state(g->partition->node->log, g->partition->group, &log)) {
        return true;
    }
    bool done = log.base_slot == 0 || each(g, 1, log.base_slot, log.base_term);
    for (uint32_t i = 0; i < log.run_count && done; i++) {
        qr_slot hi = i + 1 < log.run_count ? log.runs[i + 1].slot - 1 : log.last_slot;
        done = each(g, log.runs[i].slot, hi, log.runs[i].term);
    }
    return done;
}

static bool has_none(struct regain *g, qr_slot lo, qr_slot hi, qr_term term)
{
    return !discards_has(g->discards, g->partition->group, lo, hi, term);
}

static bool say(struct regain *g, qr_slot lo, qr_slot hi, qr_term term)
{
    qr_wall at = io_wall(g->partition->node->io);
    return discards_regain(g->discards, g->partition->group, lo, hi, term, at);
}

/* G5: what was given up to a term behind that one is here again. */
static qr_term again(const struct regain *g)
{
    const struct replica *r = g->partition->replica;
    struct outlook o = { .again = UINT64_MAX };
    if (g->given > 0 && r != NULL && r->started) {
        replica_outlook(r, &o);
    }
    return o.again;
}

static bool is_true(struct regain *g)
{
    return g->given <= again(g) && for_all(g, has_none);
}

static bool say_it(struct regain *g)
{
    qr_wall at = io_wall(g->partition->node->io);
    return for_all(g, say) && discards_again(g->discards, g->partition->group, again(g), at);
}

/* --- Saying it ------------------------------------------------------------------------------ */

static void ended(struct regain *g, enum discards_result result, int error)
{
    struct partition *p = g->partition;
    g->begun = g->ending = false;
    if (p == NULL) {
        free(g);
        return;
    }
    switch (result) {
    case DISCARDS_DONE:
        look(g);
        break;
    case DISCARDS_NO_ROOM:
        await_log(g);
        g->retry_at = p->node->clock + NO_ROOM_PAUSE;
        break;
    case DISCARDS_FAILED:
        node_disk_failed(p->node, "the discard journal cannot be written", error);
        break;
    case DISCARDS_LATER:
        qr_unreachable();
    }
    go_on(g);
}

static void on_ended(void *context, enum discards_result result, int error)
{
    ended(context, result, error);
}

static void on_wake(void *context)
{
    struct regain *g = context;
    g->full = false;
    go_on(g);
}

static void end(struct regain *g)
{
    int error = 0;
    g->ending = true;
    enum discards_result result = discards_end(g->discards, &error);
    if (result != DISCARDS_LATER) {
        ended(g, result, error);
    }
}

/* As far as there is room; again from the beginning: what was said is not there any more. */
static void say_all(struct regain *g)
{
    g->full = true;
    if (say_it(g)) {
        g->full = false;
        g->position = 0;
        end(g);
    }
}

void regain_turn(struct partition *p, qr_time now)
{
    struct regain *g = p->regain;
    if (g != NULL && g->position == 0 && g->given > again(g)) {
        await_log(g);
    }
    if (g == NULL || g->position == 0 || g->full || g->ending ||
        log_durable(p->node->log) < g->position || (p->rollback != NULL && !g->begun)) {
        return;
    }
    if (g->begun) {
        say_all(g);
    } else if (is_true(g)) {
        g->position = 0;
    } else if (discards_busy(g->discards) || now < g->retry_at) {
        partition_wake_at(p, now < g->retry_at ? g->retry_at : now + BUSY_PAUSE);
    } else {
        g->owner = (struct discards_owner){ .wake = on_wake, .ended = on_ended, .context = g };
        g->begun = true;
        discards_begin(g->discards, &g->owner);
        say_all(g);
    }
}

void regain_free(struct partition *p)
{
    struct regain *g = p->regain;
    p->regain = NULL;
    if (g == NULL) {
        return;
    }
    g->partition = NULL;
    if (!g->begun || p->node->stopping) { /* nobody calls it any more (discards_close) */
        free(g);
    } else if (!g->ending) {
        end(g);
    }
}
