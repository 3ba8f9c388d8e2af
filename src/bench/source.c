/* The operations of a run, one after the other, and what becomes of them. */
#include "bench/bench_internal.h"

int64_t source_due(const struct bench *b)
{
    return b->run_began + (int64_t)((double)b->arrivals * (SECOND_NS / b->options.rate));
}

/* The history's time. No two are alike: a request that is sent because a reply has come has the
 * same `now`, and yet the one was before the other, which the checker has to know. */
static int64_t stamp(struct bench *b)
{
    b->stamp = b->now > b->stamp ? b->now : b->stamp + 1;
    return b->stamp;
}

/* --- The next one ---------------------------------------------------------------------------- */

static bool next_to_fill(struct bench *b, struct flight *f)
{
    if (b->again_n > 0) {
        f->key = b->again[--b->again_n];
    } else if (b->fill_next < b->options.keys) {
        f->key = b->fill_next++;
    } else {
        return false;
    }
    f->due = b->now;
    f->write = f->fill = true;
    return true;
}

static bool is_due(const struct bench *b, int64_t *due)
{
    if (b->options.rate == 0) {
        *due = b->now;
        return b->phase == PHASE_RUN && b->now < b->measure_to;
    }
    *due = source_due(b);
    return *due <= b->now && *due < b->measure_to &&
           (b->phase == PHASE_RUN || b->now - DRAIN_GRACE_NS < b->measure_to);
}

static bool next_to_run(struct bench *b, struct flight *f)
{
    const struct bench_options *o = &b->options;
    if (!is_due(b, &f->due)) {
        return false;
    }
    f->measured = f->due >= b->measure_from;
    if (f->measured && o->limited && b->measured == o->requests) {
        return false;
    }
    b->measured += f->measured;
    b->arrivals++;
    f->write = o->operations == OPERATIONS_SET ||
               (o->operations == OPERATIONS_MIXED && !picker_chance(o->reads, &b->rng));
    f->key = picker_key(&b->picker, &b->rng);
    return true;
}

bool source_next(struct bench *b, struct flight *f)
{
    *f = (struct flight){ 0 };
    bool some = false;
    if (b->phase == PHASE_FILL) {
        some = next_to_fill(b, f);
    } else if (b->phase == PHASE_RUN || b->phase == PHASE_DRAIN) {
        some = next_to_run(b, f);
    }
    if (!some) {
        return false;
    }
    f->sent = stamp(b);
    if (f->write) {
        f->mark = b->ledger.next++;
        f->bytes = value_bytes(&b->form, f->mark);
    }
    if (b->options.check && f->write) {
        ledger_write_begins(&b->ledger, f->key, f->mark);
    } else if (b->options.check) {
        f->mark = ledger_floor(&b->ledger, f->key);
    }
    return true;
}

/* --- The end of one -------------------------------------------------------------------------- */

static void note(struct bench *b, const struct client *c, const struct flight *f,
                 struct history_line line)
{
    char key[KEY_TEXT_BYTES];
    bench_key_text(b, f->key, key);
    line.process = c->number % b->session_count;
    line.key = key;
    line.write = f->write;
    line.sequence = f->write ? f->mark : line.sequence;
    line.start = f->sent;
    line.end = stamp(b);
    history_write(b->history, &line);
}

static void check(struct bench *b, struct client *c, const struct flight *f, bool nil)
{
    const struct value_reader *r = nil ? NULL : &c->reader;
    enum value_fault fault = ledger_judge(&b->ledger, &b->form, f->key, f->mark, r);
    b->tally.checked++;
    if (b->history != NULL) {
        bool wrong = fault == VALUE_DAMAGED || fault == VALUE_FOREIGN ||
                     (!nil && c->reader.run != b->form.run);
        note(b, c, f,
             (struct history_line){ .outcome = HISTORY_OK,
                                    .nil = nil,
                                    .wrong = wrong,
                                    .sequence = c->reader.sequence });
    }
    if (fault != VALUE_RIGHT) {
        char key[KEY_TEXT_BYTES];
        bench_key_text(b, f->key, key);
        bench_fail(b, "WRONG VALUE: %s answered GET %s with %s%s", client_name(b, c), key,
                   value_fault_text(fault),
                   fault == VALUE_DAMAGED && f->mark == 0
                       ? " (was it there before? --fill, or a --prefix of its own)"
                       : "");
    }
}

void source_good(struct bench *b, struct client *c, const struct flight *f, bool nil)
{
    if (f->measured) {
        histogram_add(f->write ? &b->tally.writes : &b->tally.reads,
                      (uint64_t)(b->now > f->due ? b->now - f->due : 0), 1);
        b->tally.misses += nil;
        b->last_done = b->now;
    }
    b->last_good = b->now;
    if (b->options.reconnect) {
        gap_ends(&b->tally.any, b->now);
        gap_ends(f->write ? &b->tally.write : &b->tally.read, b->now);
        gap_ends(&client_home(b, c)->gap, b->now);
    }
    if (!b->options.check) {
        return;
    }
    if (!f->write) {
        check(b, c, f, nil);
        return;
    }
    ledger_write_done(&b->ledger, f->key);
    if (b->history != NULL) {
        note(b, c, f, (struct history_line){ .outcome = HISTORY_OK });
    }
}

void source_void(struct bench *b, struct client *c, const struct flight *f)
{
    if (b->options.check && f->write) {
        ledger_write_void(&b->ledger, f->key);
    }
    if (f->fill) {
        b->again[b->again_n++] = f->key;
    }
    if (b->history != NULL) {
        note(b, c, f, (struct history_line){ .outcome = HISTORY_FAIL });
    }
}

void source_unknown(struct bench *b, struct client *c, const struct flight *f)
{
    b->tally.unknown_writes += f->write;
    if (f->fill) {
        b->again[b->again_n++] = f->key;
    }
    if (b->history != NULL) {
        note(b, c, f, (struct history_line){ .outcome = HISTORY_UNKNOWN });
    }
}
