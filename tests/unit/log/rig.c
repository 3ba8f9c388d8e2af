#include "rig.h"

#include "log/log_internal.h"

#include <stdlib.h>
#include <string.h>

static void on_durable(void *context, uint64_t position)
{
    struct rig *rig = context;
    assert_int_equal(rig->failure, 0);
    assert_true(position > rig->durable);
    rig->durable = position;
    rig->reports++;
}

static void on_written(void *context, uint64_t position)
{
    struct rig *rig = context;
    assert_int_equal(rig->failure, 0);
    assert_true(position >= rig->durable && position >= rig->written);
    rig->written = position;
}

static void on_failure(void *context, int error, const char *what)
{
    struct rig *rig = context;
    assert_int_equal(rig->failure, 0); /* told once */
    assert_non_null(what);
    rig->failure = error;
}

void rig_open(struct rig *rig, enum log_open_result expected)
{
    rig->config.on_durable = on_durable;
    rig->config.on_written = on_written;
    rig->config.on_failure = on_failure;
    rig->config.context = rig;
    enum log_open_result result =
        log_open(rig->disk, &rig->config, &rig->log, rig->message, sizeof(rig->message));
    if (result != expected) {
        print_error("expected %d, got %d: %s\n", (int)expected, (int)result, rig->message);
    }
    assert_int_equal(result, expected);
    assert_true(rig->message[0] != 0 || result == LOG_OPEN_OK);
}

void rig_start(struct rig *rig, uint64_t segment_bytes)
{
    *rig = (struct rig){ .disk = disk_new() };
    rig->config = (struct log_config){
        .dir = "log",
        .uuid = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 },
        .segment_bytes = segment_bytes,
        .cache_bytes = 4 * MIB,
    };
    rig_open(rig, LOG_OPEN_OK);
}

void rig_forget(struct rig *rig)
{
    if (rig->log == NULL) {
        return;
    }
    disk_kill_log(rig->disk, rig->log);
    rig->log = NULL;
}

void rig_restart(struct rig *rig, enum log_open_result expected)
{
    rig_forget(rig);
    rig->durable = rig->written = 0;
    rig->failure = 0;
    rig_open(rig, expected);
}

void rig_stop(struct rig *rig)
{
    rig_forget(rig);
    disk_free(rig->disk);
}

size_t rig_payload(uint32_t group, qr_slot slot, qr_term term, uint8_t *p)
{
    struct rng rng = rng_from(slot * 1000003 + term * 7919 + group);
    size_t n = rng_chance(&rng, 1, 20) ? rng_below(&rng, RIG_PAYLOAD_MAX) : rng_below(&rng, 200);
    for (size_t i = 0; i < n; i++) {
        p[i] = (uint8_t)rng_next(&rng);
    }
    return n;
}

void rig_append(struct rig *rig, uint32_t group, qr_slot slot, qr_term term)
{
    rig_append_kind(rig, group, slot, term, RECORD_COMMAND);
}

void rig_append_kind(struct rig *rig, uint32_t group, qr_slot slot, qr_term term, uint8_t kind)
{
    uint8_t p[RECORD_HEADER_BYTES + RIG_PAYLOAD_MAX];
    size_t n = rig_payload(group, slot, term, p + RECORD_HEADER_BYTES);
    record_seal(p, group, kind, slot, term, n);
    if (rig->lazy > 0) {
        log_append_lazily(rig->log, span_of(p, record_bytes(n)), 1, rig->lazy);
    } else {
        log_append(rig->log, span_of(p, record_bytes(n)), 1);
    }
}

bool rig_patch(struct rig *rig, uint32_t group, qr_slot slot, qr_term term)
{
    uint8_t p[RECORD_HEADER_BYTES + RIG_PAYLOAD_MAX];
    size_t n = rig_payload(group, slot, term, p + RECORD_HEADER_BYTES);
    record_seal(p, group, slot % 3 == 0 ? RECORD_BLOB : RECORD_COMMAND, slot, term, n);
    return log_patch(rig->log, group, span_of(p, record_bytes(n)));
}

void rig_flush(struct rig *rig)
{
    uint64_t position = log_position(rig->log);
    log_sync(rig->log);
    log_flush(rig->log);
    while (rig->durable < position && disk_step(rig->disk)) {
    }
    assert_true(rig->durable >= position || position <= rig->log->synced);
}

bool rig_has(struct rig *rig, uint32_t group, qr_slot slot, qr_term term)
{
    struct span out;
    if (log_read(rig->log, group, slot, slot + 1, 1, &out) != 1) {
        return false;
    }
    uint8_t p[RIG_PAYLOAD_MAX];
    size_t n = rig_payload(group, slot, term, p);
    struct record r;
    assert_int_equal(record_read(out, &r), out.n);
    assert_int_equal(r.group, group);
    assert_int_equal(r.slot, slot);
    return r.term == term && r.payload.n == n && memcmp(r.payload.p, p, n) == 0;
}

void rig_expect(struct rig *rig, uint32_t group, qr_slot lo, qr_slot hi)
{
    for (qr_slot slot = lo; slot < hi; slot++) {
        assert_true(rig_has(rig, group, slot, 1));
    }
}

struct log_group rig_group(struct rig *rig, uint32_t group)
{
    struct log_group g;
    assert_true(log_group_state(rig->log, group, &g));
    return g;
}

uint8_t *rig_top_segment(struct rig *rig, struct segment_header *h, size_t *n)
{
    uint8_t *top = NULL;
    for (size_t i = 0; i < disk_files(rig->disk); i++) {
        struct segment_header one;
        size_t bytes;
        uint8_t *p = disk_bytes(rig->disk, i, &bytes);
        if (bytes >= LOG_BLOCK_BYTES && segment_header_decode(p, &one) == HEADER_OK &&
            (top == NULL || one.generation > h->generation)) {
            top = p;
            *h = one;
            *n = bytes;
        }
    }
    assert_non_null(top);
    return top;
}
