/* The table of alarms, the same on every node: each node raises its own, and every one keeps copies
 * of the others'. No I/O; alarm.h is what raises them.
 *
 * A row is a cause: who says it, what it is, whom it is about. A cause that comes anew gets a new
 * number from whoever says it.
 *
 * M1 Rows merge in any order and any number of times to the same: of one cause the higher number
 *    stands, and of equal numbers the later; of the same raising, what is over is over and what is
 *    acknowledged is acknowledged.
 * M2 Only its reporter numbers a cause. One that starts anew has forgotten its numbers; the others
 *    tell it its rows of before, and it goes on behind them. Those are over: its process has to
 *    find the cause itself.
 * M3 Bounded: in a full table a new row takes the place of the oldest that is over, acknowledged
 *    ones first; when all go on it is not kept. */
#ifndef NODE_ALARMS_H
#define NODE_ALARMS_H

#include "base/types.h"
#include "base/wire.h"

enum alarm_kind {
#define ALARM(tag, NAME, sentence) ALARM_##NAME = (tag),
#include "node/alarms.def"
#undef ALARM
};

#define ALARMS_MAX 64u
#define ALARM_TEXT_BYTES 200u
#define ALARM_BYTES_MAX (30u + ALARM_TEXT_BYTES) /* of an encoded row */

struct alarm {
    uint32_t reporter, about; /* ids of nodes */
    uint32_t number;          /* 0: the place is free */
    uint8_t kind;             /* enum alarm_kind */
    bool acked;
    qr_wall since, over; /* over 0: it still is so */
    char text[ALARM_TEXT_BYTES];
};

struct alarms {
    uint32_t me;
    uint32_t next_number;
    uint32_t dropped; /* rows that found no place */
    struct alarm row[ALARMS_MAX];
};

void alarms_init(struct alarms *a, uint32_t me);

/* The row of a cause that this node says; NULL when it is not raised now. */
const struct alarm *alarms_own(const struct alarms *a, enum alarm_kind kind, uint32_t about);

/* Raises an own one. NULL when it is raised already, or found no place. */
const struct alarm *alarms_raise(struct alarms *a, enum alarm_kind kind, uint32_t about,
                                 qr_wall now, const char *text);
/* It is over; NULL when it was not raised. */
const struct alarm *alarms_clear(struct alarms *a, enum alarm_kind kind, uint32_t about,
                                 qr_wall now);
/* Takes it from the list. NULL when there is no such row in the list. */
const struct alarm *alarms_ack(struct alarms *a, uint32_t reporter, uint32_t number);

/* What another node tells. NULL: nothing new. The row may be one of our own life before, which the
 * others have to hear about again (M2): then *tell is set. */
const struct alarm *alarms_merge(struct alarms *a, const struct alarm *told, qr_wall now,
                                 bool *tell);

/* Those that are listed, in order of `since`; returns how many. */
uint32_t alarms_list(const struct alarms *a, const struct alarm *out[ALARMS_MAX]);

const char *alarm_name(enum alarm_kind kind); /* NULL when unknown */

/* One row on the wire. False when malformed; a kind that this binary does not know is read. */
size_t alarm_write(const struct alarm *row, uint8_t out[ALARM_BYTES_MAX]);
bool alarm_read(struct span in, struct alarm *out);

#endif
