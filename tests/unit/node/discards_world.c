#include "discards_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "log/record.h"

void io_random(struct io *io, void *p, size_t n)
{
    static const uint8_t some[16] = { 7, 1, 8, 2, 8, 1, 8, 2, 8, 4, 5, 9, 0, 4, 5, 2 };
    uint64_t salt = disk_operations(io) + 1;
    memcpy(p, some, n);
    *(uint8_t *)p ^= (uint8_t)salt;
}

static void on_wake(void *context)
{
    struct world *w = context;
    assert_false(w->woken);
    w->woken = true;
}

static void on_ended(void *context, enum discards_result result, int error)
{
    struct world *w = context;
    assert_false(w->ended);
    w->ended = true;
    w->result = result;
    w->error = error;
}

void world_init(struct world *w)
{
    *w = (struct world){ .disk = disk_new() };
    w->owner = (struct discards_owner){ on_wake, on_ended, w };
    w->items = qr_zalloc(WORLD_ITEMS_MAX * sizeof *w->items);
    assert_true(world_open(w));
}

static void drop_items(struct world *w)
{
    for (size_t i = 0; i < w->count; i++) {
        free((void *)(uintptr_t)w->items[i].entry.payload.p);
    }
    w->count = 0;
}

void world_free(struct world *w)
{
    world_close(w);
    drop_items(w);
    free(w->items);
    disk_free(w->disk);
}

bool world_open(struct world *w)
{
    qr_assert(w->d == NULL);
    w->d = discards_open(w->disk, "data", 3, WORLD_BYTES_MAX, &w->found, w->message,
                         sizeof w->message);
    return w->d != NULL;
}

void world_close(struct world *w)
{
    if (w->d != NULL) {
        disk_settle(w->disk);
        discards_close(w->d);
        w->d = NULL;
    }
}

void world_restart(struct world *w)
{
    world_close(w);
    if (!world_open(w)) {
        fail_msg("%s", w->message);
    }
}

void world_power_loss(struct world *w, struct rng *rng)
{
    struct io *after = disk_after_power_loss(w->disk, rng);
    world_close(w);
    disk_free(w->disk);
    w->disk = after;
    if (!world_open(w)) {
        fail_msg("%s", w->message);
    }
}

static size_t payload_of(char *p, size_t cap, qr_slot slot, qr_term term)
{
    size_t n = (size_t)snprintf(p, cap, "%u-%u", (unsigned)slot, (unsigned)term);
    size_t more = slot % 13 * 20;
    memset(p + n, 'x', more);
    return n + more;
}

struct discard world_entry(qr_slot slot, qr_term term)
{
    static char text[400];
    size_t n = payload_of(text, sizeof text, slot, term);
    return (struct discard){ .slot = slot,
                             .term = term,
                             .lost_to = term + 1,
                             .at = 1000 + (qr_wall)slot,
                             .group = 7,
                             .partition = 2,
                             .reason = DISCARD_ROLLED_BACK,
                             .acknowledged = DISCARD_MAY_BE_ACKNOWLEDGED,
                             .kind = RECORD_COMMAND,
                             .bytes = (uint32_t)n,
                             .payload = span_of(text, n) };
}

void world_begin(struct world *w)
{
    assert_false(discards_busy(w->d));
    w->woken = w->ended = false;
    discards_begin(w->d, &w->owner);
    assert_true(discards_busy(w->d));
}

void world_add(struct world *w, const struct discard *entry)
{
    while (!discards_add(w->d, entry)) {
        w->woken = false;
        while (!w->woken) {
            assert_true(disk_step(w->disk));
        }
    }
}

enum discards_result world_end(struct world *w)
{
    int error = 0;
    enum discards_result result = discards_end(w->d, &error);
    if (result == DISCARDS_LATER) {
        while (!w->ended) {
            assert_true(disk_step(w->disk));
        }
        result = w->result;
    } else {
        w->error = error;
        assert_false(w->ended);
    }
    assert_false(discards_busy(w->d));
    assert_true((result == DISCARDS_DONE) == (w->error == 0));
    return result;
}

enum discards_result world_put(struct world *w, qr_slot lo, qr_slot hi, qr_term term)
{
    w->error = 0;
    world_begin(w);
    for (qr_slot slot = lo; slot <= hi; slot++) {
        struct discard entry = world_entry(slot, term);
        world_add(w, &entry);
    }
    return world_end(w);
}

static void await_room(struct world *w)
{
    w->woken = false;
    while (!w->woken) {
        assert_true(disk_step(w->disk));
    }
}

enum discards_result world_regain(struct world *w, qr_slot lo, qr_slot hi, qr_term term)
{
    w->error = 0;
    world_begin(w);
    while (!discards_regain(w->d, 7, lo, hi, term, 5)) {
        await_room(w);
    }
    return world_end(w);
}

enum discards_result world_again(struct world *w, qr_term since)
{
    w->error = 0;
    world_begin(w);
    while (!discards_again(w->d, 7, since, 5)) {
        await_room(w);
    }
    return world_end(w);
}

static void take_item(void *context, const struct discards_item *item)
{
    struct world *w = context;
    assert_true(w->count < WORLD_ITEMS_MAX);
    struct item *out = &w->items[w->count++];
    *out =
        (struct item){ .entry = item->entry, .regained = item->regained, .unread = item->unread };
    uint8_t *copy = qr_alloc(item->entry.payload.n);
    if (item->entry.payload.n > 0) {
        memcpy(copy, item->entry.payload.p, item->entry.payload.n);
    }
    out->entry.payload = span_of(copy, item->entry.payload.n);
}

static void check_entry(const struct discard *entry)
{
    char text[400];
    if (entry->group != 7 || entry->kind != RECORD_COMMAND) {
        return;
    }
    size_t n = payload_of(text, sizeof text, entry->slot, entry->term);
    assert_int_equal(entry->payload.n, n);
    assert_memory_equal(entry->payload.p, text, n);
    assert_int_equal(entry->lost_to, entry->term + 1);
    assert_int_equal(entry->at, 1000 + entry->slot);
}

void world_look(struct world *w, uint32_t count)
{
    uint64_t cursor = 0, kept = 0, regained = 0, unread = 0, last = 0;
    drop_items(w);
    do {
        uint64_t next;
        size_t before = w->count;
        assert_int_equal(discards_scan(w->d, cursor, count, take_item, w, &next), 0);
        assert_true(w->count - before <= count && (next == 0 || next > cursor));
        cursor = next;
    } while (cursor != 0);
    discards_stats(w->d, &w->stats);
    for (size_t i = 0; i < w->count; i++) {
        const struct item *item = &w->items[i];
        assert_true(item->entry.number > last);
        assert_true(i == 0 || item->entry.number == last + 1);
        last = item->entry.number + (item->unread > 0 ? item->unread - 1 : 0);
        unread += item->unread;
        regained += item->regained;
        kept += item->unread == 0 && !item->regained;
        if (item->unread == 0) {
            check_entry(&item->entry);
        }
    }
    assert_true(w->count == 0 || last == w->stats.total);
    assert_int_equal(kept, w->stats.kept);
    assert_true(regained <= w->stats.regained && unread <= w->stats.damaged);
    assert_int_equal(w->stats.total,
                     w->stats.kept + w->stats.regained + w->stats.overflowed + w->stats.damaged);
}

uint32_t world_shown(const struct world *w, qr_slot slot, qr_term term, bool regained)
{
    uint32_t n = 0;
    for (size_t i = 0; i < w->count; i++) {
        const struct item *item = &w->items[i];
        n += item->unread == 0 && item->entry.group == 7 && item->entry.slot == slot &&
             item->entry.term == term && item->regained == regained;
    }
    return n;
}
