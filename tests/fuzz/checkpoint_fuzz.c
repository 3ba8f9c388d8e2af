/* Checkpoint files: a real writer writes them to a disk in memory, while the engine goes on. What
 * is loaded is the state of the moment at which the checkpoint was begun; after a crash the old or
 * the new one; after harm the same, or it is refused in words. With the checksums mended the image
 * reader gets whatever the input makes of a chunk; what it accepts, written again, is the same.
 *
 * The input is a list of numbers and bytes (feed.h). */
#include "feed.h"
#include "fuzz.h"

#include "base/alloc.h"
#include "base/crc32c.h"
#include "base/wire.h"
#include "engine/engine.h"
#include "node/checkpoint.h"
#include "node/checkpoint_format.h"
#include "store/store.h"
#include "tests/unit/log/disk.h"

#include <errno.h>
#include <string.h>

#define DIR "dir"
#define KEYS_MAX 12u

struct world {
    struct io *disk;
    struct engine *engine;
    enum checkpoint_result result;
    bool done;
};

/* A file system that keeps no spare: it is not what is read. */
int io_exchange(struct io *disk, const char *a, const char *b)
{
    return disk != NULL && a != b ? -EINVAL : 0;
}

int io_link(struct io *disk, const char *from, const char *to)
{
    return disk != NULL && from != to ? -EPERM : 0;
}

static const struct checkpoint_header header = {
    .cluster = "cluster........", .uuid = "uuid...........", .group = 3, .slot = 1234, .term = 56
};

void io_random(struct io *io, void *p, size_t n)
{
    (void)io;
    static uint8_t salt;
    memset(p, ++salt, n);
}

static struct engine *new_engine(void)
{
    struct engine_config config = { .value_bytes_max = MIB, .hash_key = { 7 } };
    return engine_new(&config);
}

static void put_some(struct engine *engine, struct feed *f)
{
    for (uint32_t n = feed_below(f, KEYS_MAX); n > 0; n--) {
        struct span key = feed_bytes(f, feed_below(f, 6));
        size_t bytes = (size_t)feed_u8(f) << feed_below(f, 12);
        uint8_t *value = qr_zalloc(bytes + 1);
        qr_wall expire = feed_below(f, 2) == 0 ? 0 : 1 + (qr_wall)feed_u16(f);
        store_put(engine_store(engine), (uint8_t)feed_below(f, 16), key, span_of(value, bytes),
                  expire);
        free(value);
    }
    engine_tick(engine, engine_log_time(engine) + feed_below(f, 3));
}

/* --- Writing and loading -------------------------------------------------------------------- */

static void on_done(void *context, enum checkpoint_result result, const struct checkpoint_header *h,
                    const char *message)
{
    struct world *w = context;
    qr_assert(!w->done && message[0] != 0 && h->slot == header.slot);
    w->done = true;
    w->result = result;
}

/* Writes a checkpoint while the engine goes on. False when the power went before its end. */
static bool write_checkpoint(struct world *w, struct feed *f, uint32_t steps)
{
    w->done = false;
    struct checkpoint *cp = checkpoint_start(w->disk, DIR, w->engine, &header, on_done, w);
    for (uint32_t i = 0; i < steps && !w->done; i++) {
        (void)checkpoint_step(cp, 0);
        disk_advance(w->disk, 1);
        put_some(w->engine, f);
        (void)disk_step(w->disk);
    }
    bool written = w->done;
    if (!written) {
        struct rng rng = rng_from(feed_u16(f));
        struct io *after = disk_after_power_loss(w->disk, &rng);
        checkpoint_abort(cp);
        disk_settle(w->disk);
        disk_free(w->disk);
        w->disk = after;
    }
    return written;
}

static enum checkpoint_load_result load(struct world *w, bool mended, uint64_t *digest)
{
    struct checkpoint_header h = header;
    char message[1500] = "";
    struct engine *engine = new_engine();
    h.slot = h.term = 0;
    enum checkpoint_load_result result =
        checkpoint_load(w->disk, DIR, engine, &h, message, sizeof message);
    if (result == CHECKPOINT_LOADED) {
        qr_assert(mended || (h.slot == header.slot && h.term == header.term));
        *digest = engine_digest(engine);
    } else {
        qr_assert(result == CHECKPOINT_NONE || strlen(message) > 40);
        qr_assert(result != CHECKPOINT_UNREADABLE);
    }
    engine_free(engine);
    return result;
}

/* --- Harm ----------------------------------------------------------------------------------- */

/* Every checksum right again: of the header, of the blocks, of the trailer. */
static void mend(uint8_t *p, size_t n)
{
    if (n < CHECKPOINT_HEADER_BYTES_MIN) {
        return;
    }
    size_t roster = (size_t)p[82] | (size_t)p[83] << 8;
    size_t at =
        p[8] == 1 && p[9] == 0 ? CHECKPOINT_HEADER_BYTES_1 : CHECKPOINT_HEADER_BYTES_MIN + roster;
    if (n < at) {
        return;
    }
    wire_store_u32(p + at - 4, crc32c_extend(0, p, at - 4));
    struct wire_reader r = wire_reader(span_of(p + CHECKPOINT_SALT_AT, 8));
    uint64_t salt = wire_get_u64(&r), number = 0;
    while (n - at >= CHECKPOINT_BLOCK_HEAD_BYTES) {
        uint32_t length = wire_load_u32(p + at);
        size_t bytes = length == 0 ? 16 : length;
        if (bytes > n - at - CHECKPOINT_BLOCK_HEAD_BYTES) {
            return;
        }
        const uint8_t *body = p + at + CHECKPOINT_BLOCK_HEAD_BYTES;
        wire_store_u32(p + at + 4, checkpoint_block_crc(salt, number++, length, body, bytes));
        at += CHECKPOINT_BLOCK_HEAD_BYTES + bytes;
        if (length == 0) {
            return;
        }
    }
}

static void harm(struct world *w, struct feed *f)
{
    size_t n;
    uint8_t *p = disk_bytes(w->disk, 0, &n);
    for (uint32_t i = 1 + feed_below(f, 3); i > 0 && n > 0; i--) {
        /* From either end: that is where the header and the trailer are. */
        size_t at = feed_u16(f) % n;
        at = feed_below(f, 2) == 0 ? at : n - 1 - at;
        struct span bytes = feed_bytes(f, feed_below(f, 30));
        switch (feed_below(f, 4)) {
        case 0:
            disk_cut(w->disk, 0, at);
            break;
        case 1:
            disk_cut(w->disk, 0, n + 1 + at);
            break;
        case 2:
            p[at] ^= (uint8_t)(1u << feed_below(f, 8));
            break;
        default:
            memmove(p + at, bytes.n > 0 ? bytes.p : p, min_u64(bytes.n, n - at));
        }
        p = disk_bytes(w->disk, 0, &n);
    }
}

/* --- The image reader alone ----------------------------------------------------------------- */

struct bytes {
    uint8_t *p;
    size_t n;
};

static void keep_chunk(void *context, struct span chunk)
{
    struct bytes *out = context;
    out->p = qr_realloc(out->p, out->n + chunk.n);
    memcpy(out->p + out->n, chunk.p, chunk.n);
    out->n += chunk.n;
}

/* Loads the input as a chunk, with the image's own checksum put right; what is accepted is written
 * again and loaded again. */
static void read_image(struct feed *f)
{
    struct bytes out = { 0 };
    size_t n = f->n;
    uint8_t *chunk = qr_alloc(n + 1);
    memcpy(chunk, f->p, n);
    if (n > 13 && chunk[n - 13] == 4) {
        wire_store_u32(chunk + n - 4, crc32c_extend(0, chunk, n - 4));
    }
    struct engine *a = new_engine(), *b = new_engine();
    if (engine_image_load(a, span_of(chunk, n)) && engine_image_complete(a)) {
        engine_image_begin(a, keep_chunk, &out);
        while (engine_image_next(a, 100)) {
        }
        qr_assert(out.n > IMAGE_CHUNK_BYTES || out.n == n);
        for (size_t at = 0; at < out.n && out.n <= IMAGE_CHUNK_BYTES; at += out.n) {
            qr_assert(engine_image_load(b, span_of(out.p, out.n)));
            qr_assert(engine_image_complete(b) && engine_digest(a) == engine_digest(b));
        }
    } else {
        qr_assert(!engine_image_complete(a));
    }
    engine_free(a);
    engine_free(b);
    free(chunk);
    free(out.p);
}

/* --- Files ---------------------------------------------------------------------------------- */

static void write_and_harm(struct feed *f)
{
    struct world w = { .disk = disk_new(), .engine = new_engine() };
    uint64_t loaded = 0;
    put_some(w.engine, f);
    uint64_t old = engine_digest(w.engine);
    unsigned kind = feed_below(f, 4);
    qr_assert(write_checkpoint(&w, f, 1000) && w.result == CHECKPOINT_DONE);
    qr_assert(load(&w, false, &loaded) == CHECKPOINT_LOADED && loaded == old);
    if (kind == 0) { /* a crash while the next one is written */
        uint64_t fresh = engine_digest(w.engine);
        bool written = write_checkpoint(&w, f, feed_below(f, 12));
        qr_assert(load(&w, false, &loaded) == CHECKPOINT_LOADED);
        qr_assert(loaded == fresh || (!written && loaded == old));
    } else {
        harm(&w, f);
        size_t n;
        uint8_t *p = disk_bytes(w.disk, 0, &n);
        if (kind == 1) {
            mend(p, n);
        }
        enum checkpoint_load_result result = load(&w, kind == 1, &loaded);
        qr_assert(result != CHECKPOINT_NONE);
        qr_assert(kind == 1 || result != CHECKPOINT_LOADED || loaded == old);
    }
    engine_free(w.engine);
    disk_free(w.disk);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct feed f = { .p = data, .n = n };
    if (feed_below(&f, 2) == 0) {
        read_image(&f);
    } else {
        write_and_harm(&f);
    }
    return 0;
}
