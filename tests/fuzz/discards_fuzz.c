/* The files of a discard journal: whatever they hold, opening it says no or keeps its promise
 * (J2: numbers given = kept + regained + overflowed + damaged), a scan shows what is kept, what is
 * added then is there, and the next start finds the same.
 *
 * The first byte says how the rest is cut into files, whose checksums are put right as far as
 * records are found: bit 0 that they are, bits 1 and 2 how many files there are. */
#include "fuzz.h"

#include "base/alloc.h"
#include "base/crc32c.h"
#include "base/limits.h"
#include "base/wire.h"
#include "log/record.h"
#include "node/discards.h"
#include "tests/unit/log/disk.h"

#include <stdio.h>
#include <string.h>

#define BYTES_MAX (256 * KIB)

struct seen {
    uint64_t kept, regained, last;
};

void io_random(struct io *io, void *p, size_t n)
{
    (void)io;
    memset(p, 0x5a, n);
}

static void on_wake(void *context)
{
    *(bool *)context = true;
}

static void on_ended(void *context, enum discards_result result, int error)
{
    qr_assert(result == DISCARDS_DONE && error == 0);
    *(bool *)context = true;
}

static void mend_record(uint8_t *p, size_t n, uint64_t salt, uint64_t at)
{
    uint8_t where[16];
    size_t body = wire_load_u32(p + 4);
    if (body > n - DISCARD_RECORD_HEAD_BYTES) {
        return;
    }
    wire_store_u64(where, salt);
    wire_store_u64(where + 8, at);
    uint32_t crc = crc32c_extend(0, where, sizeof where);
    wire_store_u32(p, crc32c_extend(crc, p + 4, DISCARD_RECORD_HEAD_BYTES - 4 + body));
}

/* As far as its records follow each other. */
static void mend(uint8_t *p, size_t n)
{
    if (n < DISCARDS_HEAD_BYTES) {
        return;
    }
    mend_record(p, DISCARDS_COPY_AT, 0, 0);
    uint64_t salt = wire_load_u64(p + DISCARD_RECORD_HEAD_BYTES + 8);
    size_t at = DISCARDS_HEAD_BYTES;
    while (n - at >= DISCARD_RECORD_HEAD_BYTES) {
        size_t bytes = discard_peek(span_of(p + at, n - at));
        if (bytes == 0 || bytes > n - at) {
            return;
        }
        mend_record(p + at, n - at, salt, at);
        at += bytes;
    }
}

static void put_file(struct io *disk, uint32_t number, const uint8_t *p, size_t n, bool mended)
{
    char path[64];
    struct io_file *file;
    uint8_t *copy = qr_alloc(n);
    memcpy(copy, p, n);
    if (mended) {
        mend(copy, n);
    }
    (void)snprintf(path, sizeof path, "data/discards/3/%010u", (unsigned)number);
    qr_assert(io_file_open(disk, path, IO_CREATE | IO_WRITE, &file) == 0);
    qr_assert(io_file_pwrite(file, copy, n, 0) == (int64_t)n);
    io_file_close(file);
    free(copy);
}

static void see(void *context, const struct discards_item *item)
{
    struct seen *seen = context;
    qr_assert(item->entry.number > seen->last);
    seen->last = item->entry.number + (item->unread > 0 ? item->unread - 1 : 0);
    seen->kept += item->unread == 0 && !item->regained;
    seen->regained += item->regained;
}

static struct discards_stats look(struct discards *d)
{
    struct discards_stats stats;
    struct seen seen = { 0 };
    uint64_t cursor = 0;
    do {
        uint64_t next;
        qr_assert(discards_scan(d, cursor, 100, see, &seen, &next) == 0);
        qr_assert(next == 0 || next > cursor);
        cursor = next;
    } while (cursor != 0);
    discards_stats(d, &stats);
    qr_assert(seen.kept == stats.kept && seen.regained <= stats.regained);
    qr_assert(stats.total == stats.kept + stats.regained + stats.overflowed + stats.damaged);
    return stats;
}

static struct discards *open_it(struct io *disk)
{
    char message[300] = "";
    struct discards_found found;
    struct discards *d = discards_open(disk, "data", 3, BYTES_MAX, &found, message, sizeof message);
    qr_assert((d == NULL) == (message[0] != 0));
    return d;
}

/* One more, and all of it is found again. */
static void go_on(struct io *disk, struct discards *d)
{
    bool told = false;
    struct discards_owner owner = { on_wake, on_ended, &told };
    struct discard entry = { .term = 1, .reason = DISCARD_FORCED, .kind = RECORD_NOOP };
    int error;
    struct discards_stats before = look(d);
    discards_begin(d, &owner);
    qr_assert(discards_add(d, &entry));
    qr_assert(discards_end(d, &error) == DISCARDS_LATER);
    disk_settle(disk);
    struct discards_stats after = look(d);
    qr_assert(told && after.total == before.total + 1);
    discards_close(d);
    d = open_it(disk);
    qr_assert(d != NULL);
    after = look(d);
    qr_assert(after.total == before.total + 1 && after.kept >= 1);
    discards_close(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 1) {
        return 0;
    }
    struct io *disk = disk_new();
    uint32_t files = 1 + (data[0] >> 1 & 3);
    size_t each = (n - 1) / files / 8 * 8;
    for (uint32_t i = 0; i < files; i++) {
        put_file(disk, i + 1, data + 1 + i * each, each, (data[0] & 1) != 0);
    }
    struct discards *d = open_it(disk);
    if (d != NULL) {
        go_on(disk, d);
    }
    disk_free(disk);
    return 0;
}
