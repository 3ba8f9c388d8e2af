/* The image of an engine: its whole state as a sequence of chunks, written while writes go on and
 * loaded into an empty engine. docs/checkpoint-format.md has the layout.
 *
 * A chunk is a run of records; a record never crosses a chunk, but a long value is split over
 * several. The trailer counts the items and closes with a checksum of everything before it, so that
 * an image is either loaded whole and unchanged or refused, wherever it came from. */
#include "engine/engine_internal.h"

#include "base/alloc.h"
#include "base/crc32c.h"
#include "base/limits.h"
#include "base/wire.h"

#include <string.h>

#define IMAGE_MAGIC 0x474d4951u /* "QIMG" */
#define IMAGE_FORMAT 1u

/* Hand-written tags, on disk; never reused. */
enum image_tag {
    IMAGE_HEADER = 1,     /* u32 magic, u16 format, u16 semantics level, i64 log time */
    IMAGE_ITEM = 2,       /* u8 db, u8 type, i64 expire, u32 key bytes, u32 value bytes, u32 piece
                           * bytes, key, the first piece of the value */
    IMAGE_MORE = 3,       /* u32 piece bytes, the next piece of the last item's value */
    IMAGE_TRAILER = 4,    /* u64 items, u32 crc32c of the image up to and with the items */
    IMAGE_BLOB = 5,       /* u64 term, u64 number, u32 bytes in all, u32 bytes that are there, u32
                           * piece bytes, the first piece of them; counts as an item */
    IMAGE_LARGE = 6,      /* as IMAGE_ITEM, with a value of more than LARGE_BYTES */
    IMAGE_LARGE_MORE = 7, /* u32 piece bytes, the next piece of the last blob or large item; items
                           * that are not large may come between */
};

#define ITEM_HEAD_BYTES 23u
#define MORE_HEAD_BYTES 5u
#define BLOB_HEAD_BYTES 29u

#define SAMPLE_ITEMS 32u /* in a chunk that tells what the others are like */
#define EXPECT_TIMES 64u
#define WALK_ITEMS 16u /* of at most IMAGE_SLICE_BYTES, or one */

/* A value is not split for the sake of a smaller rest: a new chunk is begun instead. */
#define PIECE_BYTES_MIN (4 * KIB)

_Static_assert(IMAGE_CHUNK_BYTES >= ITEM_HEAD_BYTES + KEY_BYTES_MAX + PIECE_BYTES_MIN,
               "an empty chunk has room for any key and the beginning of its value");

/* --- Writing --------------------------------------------------------------------------------- */

/* Something large that is part of the image and is put into it a slice at a time. Its rope is held
 * meanwhile, whatever becomes of the value. */
struct large {
    struct large *next;
    struct rope *rope;
    size_t at;      /* what is in the image; SIZE_MAX: not even its head */
    uint8_t head_n; /* of `head`: what precedes the bytes of the first piece, but their length */
    uint8_t head[BLOB_HEAD_BYTES];
    struct span key; /* owned; empty for a blob */
};

struct image_writer {
    struct engine *engine;
    struct large *large, *large_last;
    bool walked; /* the store has handed out all items */
    void (*sink)(void *context, struct span chunk);
    void *context;
    struct wire_writer chunk; /* being filled */
    uint64_t items;
    uint64_t bytes; /* put into chunks so far */
    uint32_t crc;   /* of the chunks handed out so far */
};

static size_t room(const struct image_writer *writer)
{
    return writer->chunk.cap - writer->chunk.n;
}

static void hand_out(struct image_writer *writer)
{
    qr_assert(!writer->chunk.bad);
    if (writer->chunk.n == 0) {
        return;
    }
    struct span chunk = span_of(writer->chunk.p, writer->chunk.n);
    writer->crc = crc32c_extend(writer->crc, chunk.p, chunk.n);
    writer->chunk.n = 0;
    writer->sink(writer->context, chunk);
}

static void put_piece(struct image_writer *writer, struct span *value)
{
    size_t n = (size_t)min_u64(value->n, room(writer));
    wire_put_bytes(&writer->chunk, value->p, n);
    value->p += n;
    value->n -= n;
}

static struct wire_writer item_head(uint8_t *bytes, uint8_t db, const struct item *item)
{
    struct wire_writer w = wire_writer(bytes, ITEM_HEAD_BYTES);
    wire_put_u8(&w, item_rope(item) != NULL ? IMAGE_LARGE : IMAGE_ITEM);
    wire_put_u8(&w, db);
    wire_put_u8(&w, (uint8_t)item_type(item));
    wire_put_u64(&w, (uint64_t)item_expire(item));
    wire_put_u32(&w, (uint32_t)item_key(item).n);
    wire_put_u32(&w, (uint32_t)item_value_n(item));
    return w;
}

static void put_item_head(struct wire_writer *chunk, uint8_t db, const struct item *item,
                          uint32_t piece_n)
{
    uint8_t bytes[ITEM_HEAD_BYTES];
    struct wire_writer w = item_head(bytes, db, item);
    wire_put_u32(&w, piece_n);
    wire_put_bytes(chunk, bytes, sizeof bytes);
}

/* --- Large ones: a slice at a time */

static struct large *keep_large(struct image_writer *writer, struct rope *rope)
{
    struct large *large = qr_zalloc(sizeof *large);
    large->rope = rope_ref(rope);
    large->at = SIZE_MAX;
    *(writer->large == NULL ? &writer->large : &writer->large_last->next) = large;
    writer->large_last = large;
    return large;
}

static void keep_large_item(struct image_writer *writer, uint8_t db, const struct item *item)
{
    struct large *large = keep_large(writer, item_rope(item));
    struct span key = item_key(item);
    struct wire_writer w = item_head(large->head, db, item);
    large->head_n = (uint8_t)w.n;
    uint8_t *copy = qr_alloc(key.n);
    if (key.n > 0) {
        memcpy(copy, key.p, key.n);
    }
    large->key = span_of(copy, key.n);
}

static void keep_blobs(struct image_writer *writer)
{
    const struct staging *staging = &writer->engine->staging;
    for (uint32_t i = 0; i < staging->count; i++) {
        const struct blob *blob = &staging->v[i];
        struct large *large = keep_large(writer, blob->rope);
        struct wire_writer w = wire_writer(large->head, sizeof large->head);
        wire_put_u8(&w, IMAGE_BLOB);
        wire_put_u64(&w, staging->term);
        wire_put_u64(&w, blob->number);
        wire_put_u32(&w, (uint32_t)blob->total);
        wire_put_u32(&w, (uint32_t)blob->rope->n);
        large->head_n = (uint8_t)w.n;
    }
}

static void drop_large(struct image_writer *writer)
{
    struct large *large = writer->large;
    writer->large = large->next;
    rope_discard(engine_bin(writer->engine), large->rope);
    free((void *)(uintptr_t)large->key.p);
    free(large);
    writer->items++;
}

/* Another chunk's worth of the first one that waits. */
static void put_large(struct image_writer *writer)
{
    struct large *large = writer->large;
    struct wire_writer *chunk = &writer->chunk;
    size_t total = large->rope->n;
    size_t head = MORE_HEAD_BYTES;
    if (large->at == SIZE_MAX) {
        head = large->head_n + 4 + large->key.n;
        if (room(writer) < head + min_u64(total, PIECE_BYTES_MIN)) {
            hand_out(writer);
        }
        wire_put_bytes(chunk, large->head, large->head_n);
        large->at = 0;
    } else {
        hand_out(writer);
        wire_put_u8(chunk, IMAGE_LARGE_MORE);
    }
    size_t key_n = large->at == 0 ? large->key.n : 0;
    size_t n = (size_t)min_u64(total - large->at, room(writer) - 4 - key_n);
    wire_put_u32(chunk, (uint32_t)n);
    wire_put_bytes(chunk, large->key.p, key_n);
    writer->bytes += head + n;
    while (n > 0) {
        struct span piece = rope_slice(large->rope, large->at);
        piece.n = (size_t)min_u64(piece.n, n);
        wire_put_bytes(chunk, piece.p, piece.n);
        large->at += piece.n;
        n -= piece.n;
    }
    if (large->at == total) {
        drop_large(writer);
    }
}

/* Called by the store for every item of the image. */
static void emit(void *context, uint8_t db, const struct item *item)
{
    struct image_writer *writer = context;
    struct wire_writer *chunk = &writer->chunk;
    if (db == IDS_DB && ids_is_count(item)) {
        return;
    }
    if (item_rope(item) != NULL) {
        keep_large_item(writer, db, item);
        return;
    }
    struct span key = item_key(item);
    struct span value = item_value(item);
    size_t head = ITEM_HEAD_BYTES + key.n;
    if (room(writer) < head + min_u64(value.n, PIECE_BYTES_MIN)) {
        hand_out(writer);
    }
    uint32_t piece_n = (uint32_t)min_u64(value.n, room(writer) - head);
    put_item_head(chunk, db, item, piece_n);
    wire_put_bytes(chunk, key.p, key.n);
    writer->bytes += head + value.n;
    put_piece(writer, &value);
    while (value.n > 0) {
        hand_out(writer);
        wire_put_u8(chunk, IMAGE_MORE);
        wire_put_u32(chunk, (uint32_t)min_u64(value.n, room(writer) - 4));
        put_piece(writer, &value);
    }
    writer->items++;
}

static void put_trailer(struct image_writer *writer)
{
    if (room(writer) < 16) {
        hand_out(writer);
    }
    wire_put_u8(&writer->chunk, IMAGE_TRAILER);
    wire_put_u64(&writer->chunk, writer->items);
    uint32_t crc = crc32c_extend(writer->crc, writer->chunk.p, writer->chunk.n);
    wire_put_u32(&writer->chunk, crc);
    hand_out(writer);
}

void engine_image_begin(struct engine *engine, void (*sink)(void *context, struct span chunk),
                        void *context)
{
    qr_assert(engine->image_writer == NULL);
    struct image_writer *writer = qr_zalloc(sizeof *writer);
    writer->engine = engine;
    writer->sink = sink;
    writer->context = context;
    writer->chunk = wire_writer(qr_alloc(IMAGE_CHUNK_BYTES), IMAGE_CHUNK_BYTES);
    wire_put_u8(&writer->chunk, IMAGE_HEADER);
    wire_put_u32(&writer->chunk, IMAGE_MAGIC);
    wire_put_u16(&writer->chunk, IMAGE_FORMAT);
    wire_put_u16(&writer->chunk, engine_level(engine));
    wire_put_u64(&writer->chunk, (uint64_t)engine->log_time);
    engine->image_writer = writer;
    keep_blobs(writer);
    store_walk_begin(engine->store, emit, writer);
}

bool engine_image_next(struct engine *engine, uint32_t items)
{
    struct image_writer *writer = engine->image_writer;
    qr_assert(writer != NULL);
    uint64_t start = writer->bytes;
    for (uint32_t n; items > 0 && writer->bytes - start < IMAGE_SLICE_BYTES; items -= n) {
        n = (uint32_t)min_u64(items, WALK_ITEMS);
        if (writer->large != NULL) {
            put_large(writer);
        } else if (writer->walked || !store_walk_next(engine->store, n)) {
            writer->walked = true; /* its last items may be large */
            if (writer->large != NULL) {
                continue;
            }
            put_trailer(writer);
            engine_image_end(engine);
            return false;
        }
    }
    return true;
}

void engine_image_end(struct engine *engine)
{
    struct image_writer *writer = engine->image_writer;
    if (writer == NULL) {
        return;
    }
    store_walk_end(engine->store);
    engine->image_writer = NULL;
    while (writer->large != NULL) {
        drop_large(writer);
    }
    free(writer->chunk.p);
    free(writer);
}

uint64_t engine_image_held(const struct engine *engine)
{
    uint64_t held = 0;
    if (engine->image_writer != NULL) {
        for (const struct large *l = engine->image_writer->large; l != NULL; l = l->next) {
            held += rope_counted(&l->rope->refs) == 1 ? l->rope->n : 0;
        }
    }
    return held;
}

/* --- Loading --------------------------------------------------------------------------------- */

enum load_phase { LOAD_HEADER, LOAD_ITEMS, LOAD_COMPLETE, LOAD_REFUSED };

/* Something whose bytes have not all come: an item with its key, or a blob. */
struct incoming {
    bool open;
    struct rope *rope; /* of a blob it is the staging's */
    size_t left;
    uint8_t *key; /* NULL: a blob */
    size_t key_n;
    uint8_t db;
    qr_wall expire;
};

struct image_reader {
    enum load_phase phase;
    uint16_t level; /* which the header says */
    qr_wall log_time;
    uint64_t items;
    uint32_t crc;                    /* of the chunks before this one */
    uint64_t expected;               /* bytes that are still to come, as far as is known */
    uint64_t roomy[STORE_DATABASES]; /* items: so many the store has been told to expect */

    struct incoming item, large;
    uint8_t db; /* of the last item */
};

static bool store_is_empty(struct store *store)
{
    for (uint8_t db = 0; db < STORE_DATABASES; db++) {
        if (store_count(store, db) > 0) {
            return false;
        }
    }
    return true;
}

static bool load_header(struct image_reader *reader, struct wire_reader *in)
{
    uint32_t magic = wire_get_u32(in);
    uint16_t format = wire_get_u16(in);
    reader->level = wire_get_u16(in);
    reader->log_time = (qr_wall)wire_get_u64(in);
    reader->phase = LOAD_ITEMS;
    return !in->bad && magic == IMAGE_MAGIC && format == IMAGE_FORMAT &&
           reader->level <= SEMANTICS_LEVEL_MAX && reader->log_time >= 0;
}

static void forget(struct incoming *in)
{
    if (in->open && in->key != NULL) {
        rope_release(in->rope);
    }
    free(in->key);
    *in = (struct incoming){ 0 };
}

/* All of it has come. False: the key is there already. */
static bool finish(struct engine *engine, struct image_reader *reader, struct incoming *value)
{
    struct span key = span_of(value->key, value->key_n);
    if (value->key != NULL && store_find(engine->store, value->db, key) != NULL) {
        return false;
    }
    if (value->key != NULL) {
        store_put_rope(engine->store, value->db, key, value->rope, value->expire);
        value->open = false; /* the rope is the store's */
    }
    forget(value);
    reader->items++;
    return true;
}

static bool load_piece(struct engine *engine, struct image_reader *reader, struct wire_reader *in,
                       struct incoming *value, size_t n)
{
    struct span piece = wire_get_bytes(in, n);
    if (in->bad || !value->open || n > value->left) {
        return false;
    }
    rope_append_of(value->rope, piece, value->left);
    value->left -= n;
    return value->left > 0 || finish(engine, reader, value);
}

static bool load_item(struct engine *engine, struct image_reader *reader, struct wire_reader *in,
                      struct incoming *value)
{
    reader->db = wire_get_u8(in);
    uint8_t type = wire_get_u8(in);
    qr_wall expire = (qr_wall)wire_get_u64(in);
    size_t key_n = wire_get_u32(in);
    size_t value_n = wire_get_u32(in);
    size_t piece_n = wire_get_u32(in);
    struct span key = wire_get_bytes(in, key_n);
    if (reader->db == SYSTEM_DB &&
        (reader->level < SEMANTICS_LEVEL_RECORDS || key_n > SYSTEM_KEY_BYTES_MAX ||
         value_n > SYSTEM_VALUE_BYTES_MAX || expire != 0)) {
        return false;
    }
    if (in->bad || value->open || reader->db >= STORE_DATABASES || type != TYPE_STRING ||
        expire < 0 || key_n > KEY_BYTES_MAX || value_n > VALUE_BYTES_MAX || piece_n > value_n ||
        (piece_n == 0 && value_n > 0) || store_find(engine->store, reader->db, key) != NULL) {
        return false;
    }
    if (reader->db == IDS_DB) {
        struct span all = wire_get_bytes(in, piece_n);
        reader->items++;
        return reader->level >= SEMANTICS_LEVEL_IDS && !in->bad && piece_n == value_n &&
               ids_load(engine, key, all, expire);
    }
    if (piece_n == value_n) {
        struct span all = wire_get_bytes(in, piece_n);
        store_put(engine->store, reader->db, key, all, expire);
        if (reader->db == SYSTEM_DB) {
            system_loaded(engine, key, all);
        }
        reader->items++;
        return !in->bad;
    }
    *value = (struct incoming){ .open = true,
                                .rope = rope_new(),
                                .left = value_n,
                                .key = qr_alloc(key_n),
                                .key_n = key_n,
                                .db = reader->db,
                                .expire = expire };
    if (key_n > 0) {
        memcpy(value->key, key.p, key_n);
    }
    return load_piece(engine, reader, in, value, piece_n);
}

static bool load_blob(struct engine *engine, struct image_reader *reader, struct wire_reader *in)
{
    qr_term term = wire_get_u64(in);
    uint64_t number = wire_get_u64(in);
    size_t total = wire_get_u32(in);
    size_t n = wire_get_u32(in);
    size_t piece_n = wire_get_u32(in);
    bool first = engine->staging.count == 0;
    if (in->bad || reader->large.open || n > total || piece_n > n ||
        (!first && engine->staging.term != term)) {
        return false;
    }
    struct rope *rope = staging_add(engine, term, number, total);
    reader->large = (struct incoming){ .open = true, .rope = rope, .left = n };
    return rope != NULL && load_piece(engine, reader, in, &reader->large, piece_n);
}

static bool load_trailer(struct engine *engine, struct image_reader *reader, struct wire_reader *in)
{
    uint64_t items = wire_get_u64(in);
    uint32_t expected = crc32c_extend(reader->crc, in->p, in->at);
    uint32_t crc = wire_get_u32(in);
    if (!wire_finished(in) || items != reader->items || crc != expected) {
        return false;
    }
    engine->log_time = reader->log_time;
    reader->phase = LOAD_COMPLETE;
    return true;
}

static bool load_record(struct engine *engine, struct image_reader *reader, struct wire_reader *in)
{
    uint8_t tag = wire_get_u8(in);
    if (reader->phase == LOAD_HEADER) {
        return tag == IMAGE_HEADER && load_header(reader, in);
    }
    if (reader->phase != LOAD_ITEMS) {
        return false; /* bytes behind the trailer */
    }
    if (tag == IMAGE_MORE || tag == IMAGE_LARGE_MORE) {
        size_t n = wire_get_u32(in);
        struct incoming *value = tag == IMAGE_MORE ? &reader->item : &reader->large;
        return n > 0 && load_piece(engine, reader, in, value, n);
    }
    if (reader->item.open) {
        return false; /* its value is not complete */
    }
    switch (tag) {
    case IMAGE_ITEM:
        return load_item(engine, reader, in, &reader->item);
    case IMAGE_LARGE:
        return load_item(engine, reader, in, &reader->large);
    case IMAGE_BLOB:
        return load_blob(engine, reader, in);
    case IMAGE_TRAILER:
        return !reader->large.open && load_trailer(engine, reader, in);
    default:
        return false;
    }
}

static struct image_reader *get_reader(struct engine *engine)
{
    if (engine->image_reader == NULL) {
        struct image_reader *reader = qr_zalloc(sizeof *reader);
        reader->phase = store_is_empty(engine->store) ? LOAD_HEADER : LOAD_REFUSED;
        engine->image_reader = reader;
    }
    return engine->image_reader;
}

void engine_image_expect(struct engine *engine, uint64_t bytes)
{
    get_reader(engine)->expected = bytes;
}

/* The rest of the image is taken to be like this chunk, which held that many items. What is said to
 * come is another node's word: it is believed as far as EXPECT_TIMES what is there, and again when
 * that has come. */
static void make_room(struct engine *engine, struct image_reader *reader, size_t n, uint64_t items)
{
    uint64_t count = store_count(engine->store, reader->db);
    if (items >= SAMPLE_ITEMS && count >= reader->roomy[reader->db]) {
        uint64_t more = min_u64(reader->expected / n * items, count * EXPECT_TIMES);
        store_expect(engine->store, reader->db, count + more);
        reader->roomy[reader->db] = count + more;
    }
    reader->expected -= min_u64(reader->expected, n);
}

bool engine_image_load(struct engine *engine, struct span chunk)
{
    struct image_reader *reader = get_reader(engine);
    if (reader->phase == LOAD_REFUSED || chunk.n == 0 || chunk.n > IMAGE_CHUNK_BYTES) {
        reader->phase = LOAD_REFUSED;
        return false;
    }
    uint64_t items = reader->items;
    struct wire_reader in = wire_reader(chunk);
    while (in.at < in.n) {
        if (!load_record(engine, reader, &in)) {
            reader->phase = LOAD_REFUSED;
            return false;
        }
    }
    reader->crc = crc32c_extend(reader->crc, chunk.p, chunk.n);
    make_room(engine, reader, chunk.n, reader->items - items);
    return true;
}

bool engine_image_complete(const struct engine *engine)
{
    return engine->image_reader != NULL && engine->image_reader->phase == LOAD_COMPLETE;
}

void engine_image_free(struct engine *engine)
{
    engine_image_end(engine);
    if (engine->image_reader != NULL) {
        forget(&engine->image_reader->item);
        forget(&engine->image_reader->large);
    }
    free(engine->image_reader);
    engine->image_reader = NULL;
}
