/* Layouts of version 1, after the version byte. A keyspace's is of version 2 where there is more to
 * say, in fields behind the others: each a tag u8, which only rises, and what belongs to it.
 *
 *   settings   level u32, next_group u32, balancing u8, rate u64, balance u64
 *   keyspace   strategy u8, partitioning u8, state u8, replicas u8, lease u8, first_group u32,
 *              partitions u32, maxmemory u64, maxops u64, created u64, name, prefix
 *              1: history_ms u64, history_bytes u64
 *              2: level u8, by_ops u8, bound u64
 *              3: ack_kind u8, ack_stage u8
 *              4: idmp_bytes u64, idmp_count u32, idmp_seconds u32
 *              5: ack_kind u8, ack_stage u8, copies u8, zone, flags u8 (bit 0 FALLBACK async,
 *                 1 LOG statement, 2 everysec, 3 LAGGING is said, 4 MAXLAG is bytes; from
 *                 MAP_LEVEL_COPIES on: 5 FEED zone, 6 FEED follower; from
 *                 MAP_LEVEL_FOLLOWERS on: 7 MAXLAG is operations),
 *                 lagging u8, maxlag u64: where the strategy is primary, and only there
 *   partition  keyspace u32, index u16, first_slot u16, last_slot u16, founders u16, moved u16,
 *              wish u16, held u16, prefers u8, epoch u64, settled u64
 *   node       id u32, draining u8, zone
 *
 * Texts are a length byte and so many bytes. */
#include "cluster/records.h"

#include "base/limits.h"
#include "base/panic.h"
#include "base/wire.h"
#include "cluster/slots.h"

#include <string.h>

#define LAYOUT 1
#define LAYOUT_FIELDS 2 /* of keyspaces; from MAP_LEVEL_REQUESTS on */

enum keyspace_field {
    FIELD_END,
    FIELD_HISTORY,
    FIELD_READ,
    FIELD_ACK,
    FIELD_IDMP,
    FIELD_PRIMARY,
    FIELD_NEWER,
};

static struct wire_writer begin_layout(uint8_t *p, uint8_t layout)
{
    struct wire_writer w = wire_writer(p, MAP_VALUE_BYTES_MAX);
    wire_put_u8(&w, layout);
    return w;
}

static struct wire_writer begin(uint8_t *p)
{
    return begin_layout(p, LAYOUT);
}

static size_t end(const struct wire_writer *w)
{
    qr_assert(!w->bad);
    return w->n;
}

static void put_text(struct wire_writer *w, const char *text, size_t n)
{
    wire_put_u8(w, (uint8_t)n);
    wire_put_bytes(w, text, n);
}

/* Into `out` (cap bytes, zeroed); returns the length. */
static uint8_t get_text(struct wire_reader *r, char *out, size_t cap)
{
    size_t n = wire_get_u8(r);
    struct span text = wire_get_bytes(r, n);
    if (text.n > cap) {
        r->bad = true;
        return 0;
    }
    if (text.n > 0) {
        memcpy(out, text.p, text.n);
    }
    return (uint8_t)text.n;
}

static bool get_bool(struct wire_reader *r)
{
    uint8_t v = wire_get_u8(r);
    r->bad = r->bad || v > 1;
    return v == 1;
}

/* MAP_OK: the layout is one that this binary reads, up to `known`. */
static enum map_status open_layout(struct span in, struct wire_reader *r, uint8_t known,
                                   uint8_t *layout)
{
    *r = wire_reader(in);
    *layout = wire_get_u8(r);
    return r->bad || *layout == 0 ? MAP_BAD : *layout > known ? MAP_NEWER : MAP_OK;
}

static enum map_status open_value(struct span in, struct wire_reader *r)
{
    uint8_t layout;
    return open_layout(in, r, LAYOUT, &layout);
}

static enum map_status closed(const struct wire_reader *r, bool sound)
{
    return wire_finished(r) && sound ? MAP_OK : MAP_BAD;
}

/* --- Keys ----------------------------------------------------------------------------------- */

size_t map_key_write(struct map_key key, uint8_t *p)
{
    p[0] = (uint8_t)key.kind;
    switch (key.kind) {
    case MAP_RECORD_SETTINGS:
        return 1;
    case MAP_RECORD_NODE:
        qr_assert(key.number < MEMBERS_MAX);
        p[1] = (uint8_t)key.number;
        return 2;
    case MAP_RECORD_KEYSPACE:
    case MAP_RECORD_PARTITION:
    case MAP_RECORD_SUCCESSION:
        break;
    }
    p[1] = (uint8_t)(key.number >> 24);
    p[2] = (uint8_t)(key.number >> 16);
    p[3] = (uint8_t)(key.number >> 8);
    p[4] = (uint8_t)key.number;
    return 5;
}

enum map_status map_key_read(struct span in, struct map_key *out)
{
    if (in.n == 0) {
        return MAP_BAD;
    }
    *out = (struct map_key){ .kind = in.p[0] };
    switch (in.p[0]) {
    case MAP_RECORD_SETTINGS:
        return in.n == 1 ? MAP_OK : MAP_BAD;
    case MAP_RECORD_NODE:
        out->number = in.n == 2 ? in.p[1] : 0;
        return in.n == 2 && in.p[1] < MEMBERS_MAX ? MAP_OK : MAP_BAD;
    case MAP_RECORD_KEYSPACE:
    case MAP_RECORD_PARTITION:
    case MAP_RECORD_SUCCESSION:
        if (in.n != 5) {
            return MAP_BAD;
        }
        out->number = (uint32_t)in.p[1] << 24 | (uint32_t)in.p[2] << 16 | (uint32_t)in.p[3] << 8 |
                      (uint32_t)in.p[4];
        return MAP_OK;
    default:
        return MAP_NEWER;
    }
}

/* --- Settings ------------------------------------------------------------------------------- */

size_t map_settings_write(const struct map_settings *s, uint8_t *p)
{
    struct wire_writer w = begin(p);
    wire_put_u32(&w, s->level);
    wire_put_u32(&w, s->next_group);
    wire_put_u8(&w, s->balancing);
    wire_put_u64(&w, s->rate);
    wire_put_u64(&w, s->balance);
    return end(&w);
}

enum map_status map_settings_read(struct span in, struct map_settings *out)
{
    struct wire_reader r;
    enum map_status status = open_value(in, &r);
    if (status != MAP_OK) {
        return status;
    }
    struct map_settings s = { 0 };
    s.level = wire_get_u32(&r);
    s.next_group = wire_get_u32(&r);
    s.balancing = get_bool(&r);
    s.rate = wire_get_u64(&r);
    s.balance = wire_get_u64(&r);
    *out = s;
    return closed(&r, s.level >= MAP_LEVEL_FIRST && s.next_group >= GROUP_FIRST);
}

/* --- Keyspaces ------------------------------------------------------------------------------ */

static bool has_read(const struct map_keyspace *k)
{
    return k->read.level != READ_LINEARIZABLE;
}

static bool has_ack(const struct map_keyspace *k)
{
    return k->ack_kind != ACK_MAJORITY || k->ack_stage != ACK_DURABLE;
}

static bool has_idmp(const struct map_keyspace *k)
{
    return k->idmp_bytes != 0 || k->idmp_count != 0 || k->idmp_seconds != 0;
}

bool map_keyspace_has_fields(const struct map_keyspace *k)
{
    return k->history_ms != 0 || has_read(k) || has_ack(k) || has_idmp(k) ||
           k->strategy == STRATEGY_PRIMARY;
}

enum primary_flag {
    FLAG_FALLBACK = 1,
    FLAG_STATEMENT = 2,
    FLAG_EVERYSEC = 4,
    FLAG_LAGGING = 8,
    FLAG_BYTES = 16,
    FLAG_FEED_ZONE = 32,
    FLAG_FEED_FOLLOWER = 64,
    FLAG_OPERATIONS = 128,
};

static void put_primary(struct wire_writer *w, const struct primary_options *o)
{
    uint32_t flags = (o->fallback_async ? FLAG_FALLBACK : 0u) |
                     (o->log == PRIMARY_STATEMENT ? FLAG_STATEMENT : 0u) |
                     (o->sync == PRIMARY_EVERYSEC ? FLAG_EVERYSEC : 0u) |
                     (o->lagging_said ? FLAG_LAGGING : 0u) |
                     (o->maxlag_unit == MAXLAG_BYTES ? FLAG_BYTES : 0u) |
                     (o->maxlag_unit == MAXLAG_OPERATIONS ? FLAG_OPERATIONS : 0u) |
                     (o->feed == PRIMARY_FEED_ZONE ? FLAG_FEED_ZONE : 0u) |
                     (o->feed == PRIMARY_FEED_FOLLOWER ? FLAG_FEED_FOLLOWER : 0u);
    wire_put_u8(w, (uint8_t)o->ack.kind);
    wire_put_u8(w, (uint8_t)o->ack.stage);
    wire_put_u8(w, o->ack.n);
    put_text(w, o->ack.zone, strnlen(o->ack.zone, sizeof o->ack.zone - 1));
    wire_put_u8(w, (uint8_t)flags);
    wire_put_u8(w, o->lagging);
    wire_put_u64(w, o->maxlag);
}

static void put_fields(struct wire_writer *w, const struct map_keyspace *k)
{
    if (k->history_ms != 0) {
        wire_put_u8(w, FIELD_HISTORY);
        wire_put_u64(w, k->history_ms);
        wire_put_u64(w, k->history_bytes);
    }
    if (has_read(k)) {
        wire_put_u8(w, FIELD_READ);
        wire_put_u8(w, k->read.level);
        wire_put_u8(w, k->read.by_ops);
        wire_put_u64(w, k->read.bound);
    }
    if (has_ack(k)) {
        wire_put_u8(w, FIELD_ACK);
        wire_put_u8(w, k->ack_kind);
        wire_put_u8(w, k->ack_stage);
    }
    if (has_idmp(k)) {
        wire_put_u8(w, FIELD_IDMP);
        wire_put_u64(w, k->idmp_bytes);
        wire_put_u32(w, k->idmp_count);
        wire_put_u32(w, k->idmp_seconds);
    }
    if (k->strategy == STRATEGY_PRIMARY) {
        wire_put_u8(w, FIELD_PRIMARY);
        put_primary(w, &k->primary);
    }
}

/* A level that can be a default: there is a bound where there must be one. */
static void get_read(struct wire_reader *r, struct level_asked *out)
{
    *out = (struct level_asked){ .level = wire_get_u8(r) };
    out->by_ops = get_bool(r);
    out->bound = wire_get_u64(r);
    bool bounded = out->level == READ_BOUNDED;
    uint64_t most = out->by_ops ? LEVEL_OPS_MAX : LEVEL_MS_MAX;
    bool sound = bounded ? out->bound >= 1 && out->bound <= most : out->bound == 0 && !out->by_ops;
    r->bad = r->bad || !sound || out->level == READ_LINEARIZABLE || out->level >= READ_LEVELS ||
             out->level == READ_SNAPSHOT;
}

static void get_idmp(struct wire_reader *r, struct map_keyspace *k)
{
    k->idmp_bytes = wire_get_u64(r);
    k->idmp_count = wire_get_u32(r);
    k->idmp_seconds = wire_get_u32(r);
    r->bad = r->bad || !has_idmp(k) || k->idmp_count > IDMP_COUNT_MAX ||
             k->idmp_seconds > MAP_IDMP_SECONDS_MAX;
}

static void get_primary(struct wire_reader *r, struct primary_options *o)
{
    o->ack.kind = wire_get_u8(r);
    o->ack.stage = wire_get_u8(r);
    o->ack.n = wire_get_u8(r);
    size_t length = get_text(r, o->ack.zone, sizeof o->ack.zone - 1);
    uint8_t flags = wire_get_u8(r);
    o->fallback_async = (flags & FLAG_FALLBACK) != 0;
    o->log = (flags & FLAG_STATEMENT) != 0 ? PRIMARY_STATEMENT : PRIMARY_LOGICAL;
    o->sync = (flags & FLAG_EVERYSEC) != 0 ? PRIMARY_EVERYSEC : PRIMARY_ALWAYS;
    o->lagging_said = (flags & FLAG_LAGGING) != 0;
    o->maxlag_unit = (flags & FLAG_BYTES) != 0        ? MAXLAG_BYTES
                     : (flags & FLAG_OPERATIONS) != 0 ? MAXLAG_OPERATIONS
                                                      : MAXLAG_TIME;
    o->feed = (flags & FLAG_FEED_ZONE) != 0       ? PRIMARY_FEED_ZONE
              : (flags & FLAG_FEED_FOLLOWER) != 0 ? PRIMARY_FEED_FOLLOWER
                                                  : PRIMARY_FEEDS;
    uint8_t feeds = FLAG_FEED_ZONE | FLAG_FEED_FOLLOWER, units = FLAG_BYTES | FLAG_OPERATIONS;
    bool twice = (flags & feeds) == feeds || (flags & units) == units;
    o->lagging = wire_get_u8(r);
    o->maxlag = wire_get_u64(r);
    r->bad =
        r->bad || twice || memchr(o->ack.zone, 0, length) != NULL || !primary_options_are_sound(o);
}

/* MAP_NEWER: a field that this binary does not know. */
static enum map_status get_fields(struct wire_reader *r, struct map_keyspace *k, bool *primary)
{
    uint8_t last = FIELD_END;
    while (!r->bad && !wire_finished(r)) {
        uint8_t field = wire_get_u8(r);
        if (field >= FIELD_NEWER) {
            return MAP_NEWER;
        }
        r->bad = r->bad || field <= last;
        last = field;
        if (field == FIELD_HISTORY) {
            k->history_ms = wire_get_u64(r);
            k->history_bytes = wire_get_u64(r);
            r->bad = r->bad || k->history_ms == 0 || k->history_ms > MAP_HISTORY_MS_MAX;
        } else if (field == FIELD_READ) {
            get_read(r, &k->read);
        } else if (field == FIELD_ACK) {
            k->ack_kind = wire_get_u8(r);
            k->ack_stage = wire_get_u8(r);
            r->bad =
                r->bad || k->ack_kind >= ACK_KINDS || k->ack_stage >= ACK_STAGES || !has_ack(k);
        } else if (field == FIELD_IDMP) {
            get_idmp(r, k);
        } else if (field == FIELD_PRIMARY) {
            get_primary(r, &k->primary);
            *primary = true;
        }
    }
    return r->bad || last == FIELD_END ? MAP_BAD : MAP_OK;
}

size_t map_keyspace_write(const struct map_keyspace *k, uint8_t *p)
{
    struct wire_writer w = begin_layout(p, map_keyspace_has_fields(k) ? LAYOUT_FIELDS : LAYOUT);
    wire_put_u8(&w, k->strategy);
    wire_put_u8(&w, k->partitioning);
    wire_put_u8(&w, k->state);
    wire_put_u8(&w, k->replicas);
    wire_put_u8(&w, k->lease);
    wire_put_u32(&w, k->first_group);
    wire_put_u32(&w, k->partitions);
    wire_put_u64(&w, k->maxmemory);
    wire_put_u64(&w, k->maxops);
    wire_put_u64(&w, k->created);
    put_text(&w, k->name, strnlen(k->name, sizeof k->name - 1));
    put_text(&w, k->prefix, k->prefix_length);
    put_fields(&w, k);
    return end(&w);
}

static bool is_sound_keyspace(const struct map_keyspace *k, size_t name_length, bool primary)
{
    bool strategy = primary ? k->id != 0 && k->strategy == STRATEGY_PRIMARY && !has_ack(k)
                            : k->strategy == STRATEGY_RAFT;
    bool known = strategy && k->partitioning == PARTITIONING_HASH && k->state >= KEYSPACE_IN_USE &&
                 k->state <= KEYSPACE_DROPPING;
    bool placed = k->id == 0 ? k->first_group == 0 && k->partitions == 1
                             : k->id >= KEYSPACE_FIRST_ID && k->first_group >= GROUP_FIRST;
    return known && placed && k->id <= KEYSPACE_ID_MAX && k->replicas > 0 &&
           k->replicas <= MEMBERS_MAX && k->partitions > 0 &&
           k->partitions <= KEYSPACE_PARTITIONS_MAX &&
           k->first_group <= UINT32_MAX - k->partitions &&
           map_is_name(span_of(k->name, name_length));
}

enum map_status map_keyspace_read(uint32_t id, struct span in, struct map_keyspace *out)
{
    struct wire_reader r;
    uint8_t layout;
    enum map_status status = open_layout(in, &r, LAYOUT_FIELDS, &layout);
    if (status != MAP_OK) {
        return status;
    }
    struct map_keyspace k = { .id = id };
    k.strategy = wire_get_u8(&r);
    k.partitioning = wire_get_u8(&r);
    k.state = wire_get_u8(&r);
    k.replicas = wire_get_u8(&r);
    k.lease = get_bool(&r);
    k.first_group = wire_get_u32(&r);
    k.partitions = wire_get_u32(&r);
    k.maxmemory = wire_get_u64(&r);
    k.maxops = wire_get_u64(&r);
    k.created = wire_get_u64(&r);
    size_t name_length = get_text(&r, k.name, sizeof k.name - 1);
    k.prefix_length = get_text(&r, k.prefix, sizeof k.prefix);
    bool primary = false;
    status = layout == LAYOUT_FIELDS ? get_fields(&r, &k, &primary) : MAP_OK;
    *out = k;
    if (status != MAP_OK) {
        return status;
    }
    return closed(&r, is_sound_keyspace(&k, name_length, primary));
}

/* --- Partitions ----------------------------------------------------------------------------- */

size_t map_partition_write(const struct map_partition *p, uint8_t *bytes)
{
    struct wire_writer w = begin(bytes);
    wire_put_u32(&w, p->keyspace);
    wire_put_u16(&w, p->index);
    wire_put_u16(&w, p->first_slot);
    wire_put_u16(&w, p->last_slot);
    wire_put_u16(&w, p->founders);
    wire_put_u16(&w, p->moved);
    wire_put_u16(&w, p->wish);
    wire_put_u16(&w, p->held);
    wire_put_u8(&w, p->prefers);
    wire_put_u64(&w, p->epoch);
    wire_put_u64(&w, p->settled);
    return end(&w);
}

static bool is_sound_partition(const struct map_partition *p)
{
    const uint32_t over = ~0u << MEMBERS_MAX;
    bool sets = p->founders != 0 && p->wish != 0 && ((p->founders | p->held) & over) == 0 &&
                (p->wish & ~p->held) == 0 && (p->moved & ~p->founders) == 0 &&
                (p->founders & ~p->held & ~p->moved) == 0; /* F7 */
    bool epochs =
        p->settled >= 1 && p->settled <= p->epoch && (p->settled < p->epoch || p->held == p->wish);
    bool place = p->keyspace >= KEYSPACE_FIRST_ID && p->keyspace <= KEYSPACE_ID_MAX &&
                 p->group >= GROUP_FIRST && p->index < KEYSPACE_PARTITIONS_MAX &&
                 p->first_slot <= p->last_slot && p->last_slot < SLOTS;
    return sets && epochs && place && (p->prefers < MEMBERS_MAX || p->prefers == NODE_NONE);
}

enum map_status map_partition_read(uint32_t group, struct span in, struct map_partition *out)
{
    struct wire_reader r;
    enum map_status status = open_value(in, &r);
    if (status != MAP_OK) {
        return status;
    }
    struct map_partition p = { .group = group };
    p.keyspace = wire_get_u32(&r);
    p.index = wire_get_u16(&r);
    p.first_slot = wire_get_u16(&r);
    p.last_slot = wire_get_u16(&r);
    p.founders = wire_get_u16(&r);
    p.moved = wire_get_u16(&r);
    p.wish = wire_get_u16(&r);
    p.held = wire_get_u16(&r);
    p.prefers = wire_get_u8(&r);
    p.epoch = wire_get_u64(&r);
    p.settled = wire_get_u64(&r);
    *out = p;
    return closed(&r, is_sound_partition(&p));
}

/* --- Nodes ---------------------------------------------------------------------------------- */

size_t map_node_write(const struct map_node *n, uint8_t *p)
{
    struct wire_writer w = begin(p);
    wire_put_u32(&w, n->id);
    wire_put_u8(&w, n->draining);
    put_text(&w, n->zone, strnlen(n->zone, sizeof n->zone - 1));
    return end(&w);
}

enum map_status map_node_read(struct span in, struct map_node *out)
{
    struct wire_reader r;
    enum map_status status = open_value(in, &r);
    if (status != MAP_OK) {
        return status;
    }
    struct map_node n = { 0 };
    n.id = wire_get_u32(&r);
    n.draining = get_bool(&r);
    size_t length = get_text(&r, n.zone, sizeof n.zone - 1);
    *out = n;
    return closed(&r, n.id != 0 && memchr(n.zone, 0, length) == NULL);
}
