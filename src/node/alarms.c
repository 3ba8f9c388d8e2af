#include "node/alarms.h"

#include "base/panic.h"

#include <string.h>

const char *alarm_name(enum alarm_kind kind)
{
    switch (kind) {
#define ALARM(tag, NAME, sentence) \
    case ALARM_##NAME:             \
        return #NAME;
#include "node/alarms.def"
#undef ALARM
    }
    return NULL;
}

void alarms_init(struct alarms *a, uint32_t me)
{
    *a = (struct alarms){ .me = me, .next_number = 1 };
}

/* --- Rows ----------------------------------------------------------------------------------- */

static struct alarm *find(struct alarms *a, uint32_t reporter, uint8_t kind, uint32_t about)
{
    for (uint32_t i = 0; i < ALARMS_MAX; i++) {
        struct alarm *row = &a->row[i];
        if (row->number != 0 && row->reporter == reporter && row->kind == kind &&
            row->about == about) {
            return row;
        }
    }
    return NULL;
}

/* How gladly a row gives up its place (M3); 0: it does not. */
static unsigned readiness(const struct alarm *row)
{
    if (row->number == 0) {
        return 3;
    }
    return row->over == 0 ? 0 : row->acked ? 2 : 1;
}

static struct alarm *place(struct alarms *a)
{
    struct alarm *best = &a->row[0];
    for (uint32_t i = 1; i < ALARMS_MAX; i++) {
        struct alarm *row = &a->row[i];
        unsigned more = readiness(row);
        unsigned most = readiness(best);
        if (more > most || (more == most && row->since < best->since)) {
            best = row;
        }
    }
    if (readiness(best) == 0) {
        a->dropped++;
        return NULL;
    }
    return best;
}

const struct alarm *alarms_own(const struct alarms *a, enum alarm_kind kind, uint32_t about)
{
    const struct alarm *row = find((struct alarms *)a, a->me, (uint8_t)kind, about);
    return row != NULL && row->over == 0 ? row : NULL;
}

const struct alarm *alarms_raise(struct alarms *a, enum alarm_kind kind, uint32_t about,
                                 qr_wall now, const char *text)
{
    struct alarm *row = find(a, a->me, (uint8_t)kind, about);
    if (row != NULL && row->over == 0) {
        return NULL;
    }
    row = row != NULL ? row : place(a);
    if (row == NULL) {
        return NULL;
    }
    *row = (struct alarm){ .reporter = a->me,
                           .about = about,
                           .number = a->next_number++,
                           .kind = (uint8_t)kind,
                           .since = now };
    size_t n = strnlen(text, ALARM_TEXT_BYTES - 1);
    memcpy(row->text, text, n);
    return row;
}

const struct alarm *alarms_clear(struct alarms *a, enum alarm_kind kind, uint32_t about,
                                 qr_wall now)
{
    struct alarm *row = find(a, a->me, (uint8_t)kind, about);
    if (row == NULL || row->over != 0) {
        return NULL;
    }
    row->over = now > row->since ? now : row->since;
    return row;
}

static bool is_listed(const struct alarm *row)
{
    return row->number != 0 && !row->acked;
}

const struct alarm *alarms_ack(struct alarms *a, uint32_t reporter, uint32_t number)
{
    for (uint32_t i = 0; i < ALARMS_MAX; i++) {
        struct alarm *row = &a->row[i];
        if (is_listed(row) && row->reporter == reporter && row->number == number) {
            row->acked = true;
            return row;
        }
    }
    return NULL;
}

uint32_t alarms_list(const struct alarms *a, const struct alarm *out[ALARMS_MAX])
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < ALARMS_MAX; i++) {
        if (!is_listed(&a->row[i])) {
            continue;
        }
        uint32_t at = n++;
        for (; at > 0 && out[at - 1]->since > a->row[i].since; at--) {
            out[at] = out[at - 1];
        }
        out[at] = &a->row[i];
    }
    return n;
}

/* --- Merging -------------------------------------------------------------------------------- */

/* Which of two raisings of one cause is the later: two lives of a reporter may both have used the
 * number. */
static int compare(const struct alarm *a, const struct alarm *b)
{
    if (a->number != b->number) {
        return a->number > b->number ? 1 : -1;
    }
    return a->since == b->since ? 0 : a->since > b->since ? 1 : -1;
}

/* The same raising; true when it brings something new. */
static bool join(struct alarm *row, const struct alarm *told)
{
    bool news = (told->acked && !row->acked) || (told->over != 0 && row->over == 0);
    row->acked = row->acked || told->acked;
    row->over = row->over != 0 ? row->over : told->over;
    return news;
}

/* A row that this node has said, perhaps in a life before (M2). */
static const struct alarm *remember(struct alarms *a, struct alarm *row, const struct alarm *told,
                                    qr_wall now, bool *tell)
{
    a->next_number = told->number >= a->next_number ? told->number + 1 : a->next_number;
    int order = row != NULL ? compare(told, row) : 1;
    if (row != NULL && row->over == 0 && order != 0) {
        if (told->number < row->number) {
            return NULL;
        }
        row->number = a->next_number++; /* raised in this life: it has to stand */
        *tell = true;
        return row;
    }
    if (order < 0) {
        return NULL;
    }
    if (order == 0) {
        *tell = told->over == 0 && row->over != 0;
        struct alarm known = *told;
        known.over = row->over; /* only this node says when it is over */
        return join(row, &known) || *tell ? row : NULL;
    }
    row = row != NULL ? row : place(a);
    if (row != NULL) {
        *row = *told;
        *tell = row->over == 0;
        row->over = row->over != 0 ? row->over : now;
    }
    return row;
}

const struct alarm *alarms_merge(struct alarms *a, const struct alarm *told, qr_wall now,
                                 bool *tell)
{
    *tell = false;
    if (told->number == 0 || told->number == UINT32_MAX) {
        return NULL;
    }
    struct alarm *row = find(a, told->reporter, told->kind, told->about);
    if (told->reporter == a->me) {
        return remember(a, row, told, now, tell);
    }
    int order = row != NULL ? compare(told, row) : 1;
    if (order == 0) {
        return join(row, told) ? row : NULL;
    }
    row = row != NULL ? row : place(a);
    if (order < 0 || row == NULL) {
        return NULL;
    }
    *row = *told;
    return row;
}

/* --- Wire ----------------------------------------------------------------------------------- */

size_t alarm_write(const struct alarm *row, uint8_t out[ALARM_BYTES_MAX])
{
    struct wire_writer w = wire_writer(out, ALARM_BYTES_MAX);
    wire_put_u32(&w, row->reporter);
    wire_put_u32(&w, row->about);
    wire_put_u32(&w, row->number);
    wire_put_u8(&w, row->kind);
    wire_put_u8(&w, row->acked ? 1 : 0);
    wire_put_u64(&w, (uint64_t)row->since);
    wire_put_u64(&w, (uint64_t)row->over);
    wire_put_bytes(&w, row->text, strnlen(row->text, ALARM_TEXT_BYTES - 1));
    qr_assert(!w.bad);
    return w.n;
}

bool alarm_read(struct span in, struct alarm *out)
{
    struct wire_reader r = wire_reader(in);
    *out = (struct alarm){ 0 };
    out->reporter = wire_get_u32(&r);
    out->about = wire_get_u32(&r);
    out->number = wire_get_u32(&r);
    out->kind = wire_get_u8(&r);
    out->acked = wire_get_u8(&r) != 0;
    out->since = (qr_wall)wire_get_u64(&r);
    out->over = (qr_wall)wire_get_u64(&r);
    if (r.bad || r.n - r.at >= ALARM_TEXT_BYTES) {
        return false;
    }
    struct span text = wire_get_bytes(&r, r.n - r.at);
    if (text.n > 0) {
        memcpy(out->text, text.p, text.n);
    }
    for (size_t i = 0; i < text.n; i++) { /* it is shown to people and written to their logs */
        out->text[i] = (uint8_t)out->text[i] < ' ' ? ' ' : out->text[i];
    }
    return true;
}
