/* The pace of members that are far behind: see feed.h. */
#include "node/feed.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

#define LOOK_INTERVAL (100 * QR_MILLISECOND)
#define BUSY_COMMANDS_PER_SECOND 500u
#define BURST_TIME (20 * QR_MILLISECOND) /* unused pace that may be made up for */
#define PATIENCE (50 * QR_MILLISECOND)   /* without a commit: then nobody is made to wait */

static uint64_t per_second(uint64_t n, qr_time passed)
{
    return n * (uint64_t)QR_SECOND / (uint64_t)passed;
}

void demand_look(struct demand *d, uint64_t commands, qr_time now)
{
    qr_time passed = now - d->looked_at;
    if (passed >= LOOK_INTERVAL) {
        uint64_t more = commands > d->commands ? commands - d->commands : 0;
        d->busy = per_second(more, passed) > BUSY_COMMANDS_PER_SECOND;
        d->commands = commands;
        d->looked_at = now;
    }
}

static void measure_growth(struct feed *f, const struct feed_sight *sight)
{
    qr_time passed = sight->now - f->measured_at;
    if (passed >= LOOK_INTERVAL) {
        qr_assert(sight->position >= f->position);
        uint64_t now = per_second(sight->position - f->position, passed);
        f->growth = (f->growth * 3 + now) / 4;
        f->position = sight->position;
        f->measured_at = sight->now;
    }
}

static void begin(struct feed *f, const struct feed_sight *sight)
{
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        feed_forget(f, i);
    }
    *f = (struct feed){ .term = sight->term,
                        .position = sight->position,
                        .measured_at = sight->now,
                        .moved = sight->now,
                        .demand = f->demand };
}

void feed_look(struct feed *f, const struct feed_sight *sight)
{
    demand_look(&f->demand, sight->commands, sight->now);
    if (sight->term != f->term) {
        begin(f, sight);
    }
    if (sight->term == 0) {
        return;
    }
    measure_growth(f, sight);
    if (sight->commit != f->commit || sight->commit == sight->last) {
        f->commit = sight->commit;
        f->moved = sight->now;
    }
    f->paced = f->demand.busy && !sight->hurried && sight->now - f->moved <= PATIENCE;
}

uint64_t feed_rate(const struct feed *f)
{
    return max_u64(CATCH_UP_BYTES_PER_SECOND_MIN, 2 * f->growth);
}

void feed_took(struct feed *f, node_index to, size_t bytes, qr_time now)
{
    qr_time *due = &f->member[to].due;
    *due = (*due > now - BURST_TIME ? *due : now - BURST_TIME) +
           (qr_time)(bytes * (uint64_t)QR_SECOND / feed_rate(f));
}

/* --- Messages that wait ----------------------------------------------------------------------- */

void feed_keep(struct feed *f, node_index to, const struct message *m, struct span body)
{
    feed_forget(f, to);
    struct late *late = qr_alloc(sizeof *late + body.n);
    late->message = *m;
    late->message.body = late->body;
    late->body_bytes = body.n;
    memcpy(late->body, body.p, body.n);
    f->member[to].late = late;
    feed_set_gap(f, to, m->lo);
    f->waiting |= node_bit(to);
}

struct late *feed_take(struct feed *f, node_index to)
{
    struct late *late = f->member[to].late;
    f->member[to].late = NULL;
    f->waiting &= (uint16_t)~node_bit(to);
    return late;
}

void feed_forget(struct feed *f, node_index to)
{
    free(feed_take(f, to));
}
