/* Ops with an id: carried out once, however often they come.
 *
 * The apply that carries such an op out stores its reply under the id, and the apply of the same op
 * under the same id answers that reply and does nothing else. So whoever does not know what became
 * of a command may send it again. Records are state: they lie in a database of their own, which no
 * command reaches, expire by log time, and are part of images and digests.
 *
 *   record   1 byte length of the producer's name, that name, the request's name
 *            -> u64 digest of the command, u8 kind, the reply in RESP3; or u64 its bytes
 *   count    1 byte zero, the producer's name -> u32 how many records it has
 *
 * O1 A record that has not expired is never dropped to make room: the next id is refused instead.
 * O2 A count is what the records say it is. Images have no counts; they come back with the records.
 * O3 Nothing depends on who asks: the reply is made in RESP3 on every replica, and translated for
 *    whoever waits for it.
 * O4 Where as many records as may be are there, those that are due go first, up to
 *    EXPIRE_BATCH_KEYS of them: a refusal may be of one that would have had room after the next
 *    tick, but it never is a surprise to any replica.
 *
 * The digest has 64 bits. Two commands that share it by chance (one in 2^64 pairs) and were sent
 * under one id, which is a mistake of the client in any case, are taken for the same one: the
 * second is answered with the reply of the first, and is not carried out either. */
#include "engine/dispatch.h"

#include "base/limits.h"
#include "base/panic.h"
#include "base/status.h"
#include "base/wire.h"
#include "resp/translate.h"
#include "store/siphash.h"

#include <string.h>

#define KIND_AT 8u
#define RECORD_HEAD_BYTES 9u
#define COUNT_BYTES 4u
#define KEY_BYTES (1 + 2 * OP_NAME_BYTES_MAX)

/* What a record counts for against the bound of bytes beside its own: a little more than the store
 * spends on it and on its part of a count. A number, for the sum must not follow from how a version
 * lays out its memory. */
#define RECORD_COST 128u

enum kind { KIND_REPLY = 0, KIND_TOO_LONG = 1 };

_Static_assert(RECORD_HEAD_BYTES + ID_REPLY_BYTES_MAX <= 4 * KIB, "an image does not split it");

/* A key of either form, with its bytes. */
struct key {
    uint8_t bytes[KEY_BYTES];
    size_t n;
};

static struct span span_of_key(const struct key *key)
{
    return span_of(key->bytes, key->n);
}

static struct key record_key(const struct op_id *id)
{
    struct key key = { .n = 1 + id->pid.n + id->iid.n };
    key.bytes[0] = (uint8_t)id->pid.n;
    memcpy(key.bytes + 1, id->pid.p, id->pid.n);
    memcpy(key.bytes + 1 + id->pid.n, id->iid.p, id->iid.n);
    return key;
}

/* The count that a record with that key is part of. */
static struct key count_key(struct span record)
{
    struct key key = { .n = 1u + record.p[0] };
    key.bytes[0] = 0;
    memcpy(key.bytes + 1, record.p + 1, record.p[0]);
    return key;
}

bool ids_is_count(const struct item *item)
{
    return ids_is_count_key(item_key(item));
}

/* --- Counts --------------------------------------------------------------------------------- */

static uint32_t count_at(const struct engine *engine, const struct key *key)
{
    const struct item *item = store_find(engine->store, IDS_DB, span_of_key(key));
    return item == NULL ? 0 : wire_load_u32(item_value(item).p);
}

static void set_count(struct engine *engine, const struct key *key, uint32_t count)
{
    uint8_t bytes[COUNT_BYTES];
    wire_store_u32(bytes, count);
    if (count == 0) {
        (void)store_delete(engine->store, IDS_DB, span_of_key(key));
    } else {
        (void)store_put(engine->store, IDS_DB, span_of_key(key), span_of(bytes, sizeof bytes), 0);
    }
}

static uint64_t cost(size_t key_n, size_t value_n)
{
    return RECORD_COST + key_n + value_n;
}

static void put_record(struct engine *engine, struct span key, struct span value, qr_wall expire)
{
    struct key count = count_key(key);
    uint64_t bytes = cost(key.n, value.n);
    (void)store_put(engine->store, IDS_DB, key, value, expire);
    set_count(engine, &count, count_at(engine, &count) + 1);
    engine->ids++;
    engine->id_bytes += bytes;
    engine->totals->ids++;
    engine->totals->id_bytes += bytes;
}

void ids_expire(struct engine *engine, const struct item *record)
{
    struct span key = item_key(record);
    struct key count = count_key(key);
    uint64_t bytes = cost(key.n, item_value_n(record));
    uint32_t left = count_at(engine, &count);
    qr_assert(left > 0 && engine->ids > 0 && engine->id_bytes >= bytes); /* O2 */
    bool deleted = store_delete(engine->store, IDS_DB, key);
    qr_assert(deleted);
    set_count(engine, &count, left - 1);
    engine->ids--;
    engine->id_bytes -= bytes;
    engine->totals->ids--;
    engine->totals->id_bytes -= bytes;
}

bool ids_fits(struct span key, struct span value, qr_wall expire)
{
    bool named = key.n > 0 && key.p[0] > 0 && key.p[0] <= OP_NAME_BYTES_MAX &&
                 key.n > 1u + key.p[0] && key.n - 1 - key.p[0] <= OP_NAME_BYTES_MAX;
    if (!named || expire <= 0 || value.n <= RECORD_HEAD_BYTES ||
        value.n > RECORD_HEAD_BYTES + ID_REPLY_BYTES_MAX) {
        return false;
    }
    bool too_long = value.p[KIND_AT] == KIND_TOO_LONG && value.n == RECORD_HEAD_BYTES + 8;
    return value.p[KIND_AT] == KIND_REPLY || too_long;
}

bool ids_load(struct engine *engine, struct span key, struct span value, qr_wall expire)
{
    if (!ids_fits(key, value, expire)) {
        return false;
    }
    put_record(engine, key, value, expire);
    return true;
}

/* --- One op --------------------------------------------------------------------------------- */

/* What the op asks for, whenever and under whatever id. */
static uint64_t digest_of(const struct op *op)
{
    const struct siphash_key key = { 0x7175657374732031u ^ (uint64_t)op->tag << 8 ^ op->db,
                                     0x6f6e6365206f6e6cu ^ op->argc };
    return siphash(key, op->args.p, op->args.n);
}

/* The record of the id; NULL: there is none, or it had expired and is gone now. */
static const struct item *find_record(struct engine *engine, const struct key *key)
{
    const struct item *item = store_find(engine->store, IDS_DB, span_of_key(key));
    if (item != NULL && item_expire(item) <= engine->log_time) {
        ids_expire(engine, item);
        return NULL;
    }
    return item;
}

static void replay(struct call *c, struct span record, uint64_t digest)
{
    struct engine_stats *stats = &c->engine->totals->stats;
    struct span rest = span_of(record.p + RECORD_HEAD_BYTES, record.n - RECORD_HEAD_BYTES);
    if (wire_load_u64(record.p) != digest) {
        stats->ids_mismatched++;
        reply_error(c->reply, status_text(STATUS_IDMPMISMATCH));
        return;
    }
    c->engine->replayed = true;
    stats->ids_replayed++;
    if (record.p[KIND_AT] == KIND_REPLY) {
        reply_translate(c->reply, rest);
    } else {
        reply_status(c->reply, "DONE the command was applied, its reply was too long to be kept");
    }
}

static bool is_full(const struct engine *engine, const struct op_id *id, const struct key *count)
{
    return engine->id_bytes >= id->bytes || count_at(engine, count) >= id->count;
}

/* O4 */
static void make_room(struct engine *engine, const struct op_id *id, const struct key *count)
{
    for (uint32_t i = 0; i < EXPIRE_BATCH_KEYS && is_full(engine, id, count); i++) {
        const struct item *item = store_first_due_in(engine->store, IDS_DB);
        if (item == NULL || item_expire(item) > engine->log_time) {
            return;
        }
        ids_expire(engine, item);
    }
}

/* Carries the command out and gives the reply to whoever waits and to the record. */
static void first_time(struct call *c, const struct op *op, const struct op_id *id,
                       const struct key *key, uint64_t digest)
{
    struct engine *engine = c->engine;
    uint8_t value[RECORD_HEAD_BYTES + ID_REPLY_BYTES_MAX];
    struct reply *out = c->reply, answer;
    reply_init(&answer, 3); /* O3 */
    c->reply = &answer;
    dispatch(c, op);
    c->reply = out;
    size_t n = reply_bytes(&answer);
    wire_store_u64(value, digest);
    value[KIND_AT] = n <= ID_REPLY_BYTES_MAX ? KIND_REPLY : KIND_TOO_LONG;
    if (n <= ID_REPLY_BYTES_MAX) {
        memcpy(value + RECORD_HEAD_BYTES, answer.p, n);
    } else {
        wire_store_u64(value + RECORD_HEAD_BYTES, n);
        n = sizeof(uint64_t);
    }
    put_record(engine, span_of_key(key), span_of(value, RECORD_HEAD_BYTES + n),
               engine->log_time + (qr_wall)id->seconds * QR_SECOND);
    if (answer.parts == NULL) {
        reply_translate(out, span_of(answer.p, answer.n));
    } else {
        reply_move(out, &answer); /* large values are bulks, which are alike in both versions */
    }
    reply_free(&answer);
}

void dispatch_once(struct call *c, const struct op *op)
{
    struct engine *engine = c->engine;
    struct op_id id;
    op_id_read(op, &id);
    if (c->spec == NULL || c->spec->place != PLACE_WRITE) {
        reply_error(c->reply, status_text(STATUS_BAD_MESSAGE));
        return;
    }
    struct key key = record_key(&id), count = count_key(span_of_key(&key));
    uint64_t digest = digest_of(op);
    const struct item *record = find_record(engine, &key);
    if (record != NULL) {
        replay(c, item_value(record), digest);
        return;
    }
    make_room(engine, &id, &count);
    if (is_full(engine, &id, &count)) { /* O1 */
        engine->totals->stats.ids_refused++;
        reply_error(c->reply, status_text(STATUS_IDMPFULL));
        return;
    }
    first_time(c, op, &id, &key, digest);
}
