/* The log, played for apply_world.h: entries in an array by slot, nothing of which is written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "apply_world.h"
#include "log/log.h"
#include "log/record.h"

bool log_group_state(struct log *log, uint32_t group, struct log_group *out)
{
    *out = (struct log_group){ .group = group, .last_slot = log->last, .base_term = log->term };
    for (qr_slot slot = 1; slot <= log->last && slot < SLOTS; slot++) {
        if (log->record[slot] != NULL && log->record[slot][28] == RECORD_MEMBERS) {
            log->members[out->members_count++] = slot;
        }
    }
    out->members = log->members;
    return true;
}

void log_prefetch(const struct log *log, uint32_t group)
{
    (void)log;
    (void)group;
}

qr_slot log_last_slot(const struct log *log, uint32_t group)
{
    (void)group;
    return log->last;
}

void log_append(struct log *log, struct span records, uint32_t count)
{
    log->appends++;
    for (uint32_t i = 0; i < count; i++) {
        struct record record;
        size_t n = record_read(records, &record);
        assert_true(n > 0);
        assert_int_equal(record.slot, log->last + 1);
        log->last = record.slot;
        log->position++;
        free(log->record[record.slot]);
        log->record[record.slot] = malloc(n);
        log->bytes[record.slot] = n;
        memcpy(log->record[record.slot], records.p, n);
        records = span_of(records.p + n, records.n - n);
    }
}

void log_append_lazily(struct log *log, struct span records, uint32_t count, qr_time within)
{
    (void)within;
    log_append(log, records, count);
}

void log_sync(struct log *log)
{
    (void)log;
}

void log_truncate(struct log *log, uint32_t group, qr_slot from)
{
    (void)group;
    log->last = from - 1;
    log->position++;
}

void log_state(struct log *log, uint32_t group, struct span state)
{
    (void)log, (void)group, (void)state;
}

void log_trim(struct log *log, uint32_t group, qr_slot upto, qr_term term)
{
    (void)log, (void)group, (void)upto, (void)term;
}

void log_reset(struct log *log, uint32_t group, qr_slot slot, qr_term term)
{
    (void)group;
    log->term = term;
    log->last = slot;
    log->position++;
    log->resets++;
}

uint64_t log_backlog(const struct log *log)
{
    (void)log;
    return world->unsynced;
}

uint64_t log_position(const struct log *log)
{
    return log->position;
}

uint64_t log_group_bytes(const struct log *log, uint32_t group)
{
    (void)log, (void)group;
    return 0;
}

uint64_t log_read_back_bytes(const struct log *log)
{
    (void)log;
    return 0;
}

uint64_t log_bytes_from(const struct log *log, uint32_t group, qr_slot slot)
{
    (void)log, (void)group, (void)slot;
    return 0;
}

int64_t log_read(struct log *log, uint32_t group, qr_slot lo, qr_slot hi, size_t max_bytes,
                 struct span *out)
{
    (void)group, (void)max_bytes;
    assert_true(lo < hi && hi <= log->last + 1);
    *out = span_of(log->record[lo], log->bytes[lo]);
    return 1;
}
