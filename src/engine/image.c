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
    IMAGE_HEADER = 1,  /* u32 magic, u16 format, u16 semantics level, i64 log time */
    IMAGE_ITEM = 2,    /* u8 db, u8 type, i64 expire, u32 key bytes, u32 value bytes, u32 piece
                        * bytes, key, the first piece of the value */
    IMAGE_MORE = 3,    /* u32 piece bytes, the next piece of the last item's value */
    IMAGE_TRAILER = 4, /* u64 items, u32 crc32c of the image up to and with the items */
};

#define ITEM_HEAD_BYTES 23u
#define MORE_HEAD_BYTES 5u

#define SAMPLE_ITEMS 32u /* in a chunk that tells what the others are like */
#define WALK_ITEMS 16u   /* of at most IMAGE_SLICE_BYTES, or one */

/* A value is not split for the sake of a smaller rest: a new chunk is begun instead. */
#define PIECE_BYTES_MIN (4 * KIB)

_Static_assert(IMAGE_CHUNK_BYTES >= ITEM_HEAD_BYTES + KEY_BYTES_MAX + PIECE_BYTES_MIN,
               "an empty chunk has room for any key and the beginning of its value");

/* --- Writing --------------------------------------------------------------------------------- */

struct image_writer {
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

static void put_item_head(struct wire_writer *chunk, uint8_t db, const struct item *item,
                          uint32_t piece_n)
{
    uint8_t bytes[ITEM_HEAD_BYTES];
    struct wire_writer w = wire_writer(bytes, sizeof bytes);
    wire_put_u8(&w, IMAGE_ITEM);
    wire_put_u8(&w, db);
    wire_put_u8(&w, (uint8_t)item_type(item));
    wire_put_u64(&w, (uint64_t)item_expire(item));
    wire_put_u32(&w, (uint32_t)item_key(item).n);
    wire_put_u32(&w, (uint32_t)item_value(item).n);
    wire_put_u32(&w, piece_n);
    wire_put_bytes(chunk, bytes, sizeof bytes);
}

/* Called by the store for every item of the image. */
static void emit(void *context, uint8_t db, const struct item *item)
{
    struct image_writer *writer = context;
    struct wire_writer *chunk = &writer->chunk;
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
    writer->sink = sink;
    writer->context = context;
    writer->chunk = wire_writer(qr_alloc(IMAGE_CHUNK_BYTES), IMAGE_CHUNK_BYTES);
    wire_put_u8(&writer->chunk, IMAGE_HEADER);
    wire_put_u32(&writer->chunk, IMAGE_MAGIC);
    wire_put_u16(&writer->chunk, IMAGE_FORMAT);
    wire_put_u16(&writer->chunk, SEMANTICS_LEVEL);
    wire_put_u64(&writer->chunk, (uint64_t)engine->log_time);
    engine->image_writer = writer;
    store_walk_begin(engine->store, emit, writer);
}

bool engine_image_next(struct engine *engine, uint32_t items)
{
    struct image_writer *writer = engine->image_writer;
    qr_assert(writer != NULL);
    uint64_t start = writer->bytes;
    for (uint32_t n; items > 0 && writer->bytes - start < IMAGE_SLICE_BYTES; items -= n) {
        n = (uint32_t)min_u64(items, WALK_ITEMS);
        if (!store_walk_next(engine->store, n)) {
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
    free(writer->chunk.p);
    free(writer);
}

/* --- Loading --------------------------------------------------------------------------------- */

enum load_phase { LOAD_HEADER, LOAD_ITEMS, LOAD_COMPLETE, LOAD_REFUSED };

struct image_reader {
    enum load_phase phase;
    qr_wall log_time;
    uint64_t items;
    uint32_t crc;          /* of the chunks before this one */
    uint64_t expected;     /* bytes that are still to come, as far as is known */
    bool roomy[DATABASES]; /* the store has been told what to expect */

    /* The item whose value is not complete yet; `left` is 0 when there is none. */
    struct item *item;
    uint8_t *at;
    size_t left;
    uint8_t db;
    qr_wall expire;
};

static bool store_is_empty(struct store *store)
{
    for (uint8_t db = 0; db < DATABASES; db++) {
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
    uint16_t level = wire_get_u16(in);
    reader->log_time = (qr_wall)wire_get_u64(in);
    reader->phase = LOAD_ITEMS;
    return !in->bad && magic == IMAGE_MAGIC && format == IMAGE_FORMAT && level <= SEMANTICS_LEVEL &&
           reader->log_time >= 0;
}

static void finish_item(struct engine *engine, struct image_reader *reader)
{
    if (reader->expire != 0) {
        store_set_expire(engine->store, reader->db, reader->item, reader->expire);
    }
    reader->item = NULL;
    reader->items++;
}

static bool load_piece(struct engine *engine, struct image_reader *reader, struct wire_reader *in,
                       size_t n)
{
    struct span piece = wire_get_bytes(in, n);
    if (in->bad || n > reader->left) {
        return false;
    }
    if (n > 0) {
        memcpy(reader->at, piece.p, n);
    }
    reader->at += n;
    reader->left -= n;
    if (reader->left == 0) {
        finish_item(engine, reader);
    }
    return true;
}

static bool load_item(struct engine *engine, struct image_reader *reader, struct wire_reader *in)
{
    reader->db = wire_get_u8(in);
    uint8_t type = wire_get_u8(in);
    reader->expire = (qr_wall)wire_get_u64(in);
    size_t key_n = wire_get_u32(in);
    size_t value_n = wire_get_u32(in);
    size_t piece_n = wire_get_u32(in);
    struct span key = wire_get_bytes(in, key_n);
    if (in->bad || reader->db >= DATABASES || type != TYPE_STRING || reader->expire < 0 ||
        key_n > KEY_BYTES_MAX || value_n > VALUE_BYTES_MAX || piece_n > value_n ||
        (piece_n == 0 && value_n > 0)) {
        return false;
    }
    uint64_t count = store_count(engine->store, reader->db);
    if (piece_n == value_n) {
        store_put(engine->store, reader->db, key, wire_get_bytes(in, piece_n), reader->expire);
        reader->items++;
    } else {
        reader->item = store_resize(engine->store, reader->db, key, value_n, &reader->at);
        reader->left = value_n;
        load_piece(engine, reader, in, piece_n);
    }
    return !in->bad && store_count(engine->store, reader->db) == count + 1; /* not twice */
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
    if (tag == IMAGE_MORE && reader->item != NULL) {
        size_t n = wire_get_u32(in);
        return n > 0 && load_piece(engine, reader, in, n);
    }
    if (reader->item != NULL) {
        return false; /* its value is not complete */
    }
    switch (tag) {
    case IMAGE_ITEM:
        return load_item(engine, reader, in);
    case IMAGE_TRAILER:
        return load_trailer(engine, reader, in);
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

/* The rest of the image is taken to be like this chunk, which held that many items. */
static void make_room(struct engine *engine, struct image_reader *reader, size_t n, uint64_t items)
{
    if (items >= SAMPLE_ITEMS && !reader->roomy[reader->db]) {
        uint64_t more = reader->expected / n * items;
        store_expect(engine->store, reader->db, store_count(engine->store, reader->db) + more);
        reader->roomy[reader->db] = true;
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
    free(engine->image_reader);
    engine->image_reader = NULL;
}
