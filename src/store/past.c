/* See past.h.
 *
 *   buckets  hash -> newest version of each key
 *   version  -> older one of its key -> ...     `far` leads further back, over several at once
 *   first .. last    all versions in the order in which they were made
 *   marks    the floor first, then every slot that left versions or moved log time
 *
 * Nothing is unlinked when an old version goes: a version knows the slots of those that it leads
 * to, and who looks for what was as of a slot that is not below the floor goes nowhere below it. */
#include "store/past.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "store/item.h"
#include "store/past_marks.h"
#include "store/store.h"

#define BUCKETS_MIN 8u
#define MOVED_AT_ONCE 4u /* buckets, while the index gets another size */
#define FREED_AT_ONCE 4u /* versions at least, when one is made */
#define LOST_SHARE 4u    /* a value that takes more than this part of the bytes is lost */

enum version_kind { VERSION_ITEM, VERSION_NONE, VERSION_LOST };

struct version {
    struct version *next;         /* made after it, of whatever key */
    struct version *same;         /* another key's newest, in the same bucket */
    struct version *older;        /* of its key, there if older_slot is above the floor; */
    struct version *far;          /* so is this one, `reach` versions back, by far_slot */
    qr_slot slot;                 /* the key was this until the entry at that slot */
    qr_slot older_slot, far_slot; /* 0: there is none */
    uint64_t hash;
    uint32_t reach;
    uint32_t key_n;
    uint32_t cost;
    uint8_t db;
    uint8_t kind;                               /* enum version_kind */
    bool newest;                                /* it stands in a bucket */
    uint8_t body[] __attribute__((aligned(8))); /* an item, or the key */
};

struct index {
    struct version **buckets;
    uint64_t count; /* of buckets, a power of two; 0: there is none */
};

struct past {
    struct past_limits limits;
    qr_slot slot;               /* of the entry that changes something now */
    uint64_t made;              /* what all versions have cost, those that are gone too */
    uint64_t keys;              /* versions that stand in a bucket */
    struct index index, before; /* the one before it: buckets from `moved` on are there still */
    uint64_t moved;
    struct past_marks marks;
    struct version *first, *last;
    uint64_t memory;
    uint64_t *all_memory;
};

static void charge(struct past *past, uint64_t bytes)
{
    past->memory += bytes;
    *past->all_memory += bytes;
}

static void refund(struct past *past, uint64_t bytes)
{
    past->memory -= bytes;
    *past->all_memory -= bytes;
}

qr_slot past_floor(const struct past *past)
{
    return past_mark_at(&past->marks, 0)->slot;
}

qr_wall past_time_at(const struct past *past, qr_slot slot)
{
    return past_mark_of(&past->marks, slot)->time;
}

uint64_t past_memory(const struct past *past)
{
    return past->memory;
}

static struct item *item_of(const struct version *v)
{
    return (struct item *)(uintptr_t)v->body;
}

static struct span key_of(const struct version *v)
{
    return v->kind == VERSION_ITEM ? item_key(item_of(v)) : span_of(v->body, v->key_n);
}

static bool is_of(const struct version *v, uint8_t db, uint64_t hash, struct span key)
{
    if (v->hash != hash || v->db != db) {
        return false;
    }
    struct span own = key_of(v);
    return own.n == key.n && (key.n == 0 || memcmp(own.p, key.p, key.n) == 0);
}

/* --- The index: of another size now and then, a few buckets at a time ----------------------- */

static struct version **bucket_in(const struct index *index, uint64_t hash)
{
    return &index->buckets[hash & (index->count - 1)];
}

/* Where that hash belongs as long as not all buckets have moved. */
static struct version **bucket_of(const struct past *past, uint64_t hash)
{
    bool waits = past->before.count > 0 && (hash & (past->before.count - 1)) >= past->moved;
    return bucket_in(waits ? &past->before : &past->index, hash);
}

static void resize(struct past *past, uint64_t count)
{
    qr_assert(past->before.count == 0);
    past->before = past->index;
    past->moved = 0;
    past->index.count = count;
    past->index.buckets = qr_zalloc(count * sizeof(struct version *));
    charge(past, count * sizeof(struct version *));
}

static void move_bucket(struct past *past)
{
    struct version *v = past->before.buckets[past->moved++];
    while (v != NULL) {
        struct version *same = v->same;
        struct version **bucket = bucket_in(&past->index, v->hash);
        v->same = *bucket;
        *bucket = v;
        v = same;
    }
}

static void tend_index(struct past *past)
{
    for (uint32_t i = 0; i < MOVED_AT_ONCE && past->moved < past->before.count; i++) {
        move_bucket(past);
    }
    if (past->before.count > 0) {
        if (past->moved == past->before.count) {
            refund(past, past->before.count * sizeof(struct version *));
            free(past->before.buckets);
            past->before = (struct index){ 0 };
        }
    } else if (past->keys > past->index.count) {
        resize(past, 2 * past->index.count);
    } else if (past->index.count > BUCKETS_MIN && past->keys < past->index.count / 8) {
        resize(past, past->index.count / 2);
    }
}

static struct version *newest_of(const struct past *past, uint8_t db, uint64_t hash,
                                 struct span key)
{
    struct version *v = *bucket_of(past, hash);
    while (v != NULL && !is_of(v, db, hash, key)) {
        v = v->same;
    }
    return v;
}

static void leave_bucket(struct past *past, struct version *v)
{
    struct version **link = bucket_of(past, v->hash);
    while (*link != v) {
        link = &(*link)->same;
    }
    *link = v->same;
    v->newest = false;
    past->keys--;
}

static void enter_bucket(struct past *past, struct version *v)
{
    struct version **bucket = bucket_of(past, v->hash);
    v->same = *bucket;
    *bucket = v;
    v->newest = true;
    past->keys++;
}

/* --- What goes ------------------------------------------------------------------------------ */

static bool has_garbage(const struct past *past)
{
    return past->first != NULL && past->first->slot <= past_floor(past);
}

static void free_first(struct past *past, struct rope_bin *bin)
{
    struct version *v = past->first;
    past->first = v->next;
    if (v->newest) {
        leave_bucket(past, v);
    }
    if (v->kind == VERSION_ITEM && item_is_large(item_of(v))) {
        rope_discard(bin, item_rope(item_of(v)));
    }
    refund(past, v->cost);
    free(v);
}

bool past_idle(struct past *past, uint32_t items, struct rope_bin *bin)
{
    while (items-- > 0 && has_garbage(past)) {
        free_first(past, bin);
    }
    tend_index(past);
    return has_garbage(past);
}

/* The bytes of the versions above the floor; there is more than one mark. */
static uint64_t kept(const struct past *past)
{
    return past->made - past_mark_at(&past->marks, 1)->before;
}

/* As of the second mark's slot the state is old enough for none before it to be asked for. */
static bool floor_is_old(const struct past *past)
{
    int64_t now = past_mark_last(&past->marks)->time;
    return past_mark_at(&past->marks, 1)->time <= now - past->limits.age;
}

static void raise_floor(struct past *past)
{
    while (past->marks.count > 1 && (floor_is_old(past) || kept(past) > past->limits.bytes)) {
        refund(past, past_marks_drop_first(&past->marks));
    }
}

/* When one version is made some go, that have cost as much at least. So what nobody can ask for any
 * more never comes to more than what somebody could at one time, and when all of that is given up
 * at once (other limits, a flush) no entry has to free it. */
static void collect(struct past *past, uint64_t cost, struct rope_bin *bin)
{
    uint64_t freed = 0;
    for (uint32_t i = 0; has_garbage(past) && (i < FREED_AT_ONCE || freed < cost); i++) {
        freed += past->first->cost;
        free_first(past, bin);
    }
}

void past_cut(struct past *past)
{
    struct past_mark begin = *past_mark_last(&past->marks);
    begin.slot = past->slot;
    charge(past, past_marks_add(&past->marks, begin));
    while (past->marks.count > 1) {
        refund(past, past_marks_drop_first(&past->marks));
    }
}

/* --- What comes ----------------------------------------------------------------------------- */

void past_enter(struct past *past, qr_slot slot)
{
    past->slot = slot;
}

/* The mark of the present slot. */
static struct past_mark *mark_here(struct past *past)
{
    struct past_mark mark = *past_mark_last(&past->marks);
    if (mark.slot != past->slot) {
        mark.slot = past->slot;
        mark.before = past->made;
        past->made += sizeof mark;
        charge(past, past_marks_add(&past->marks, mark));
    }
    return past_mark_last(&past->marks);
}

void past_move_time(struct past *past, qr_wall time)
{
    mark_here(past)->time = time;
    raise_floor(past);
}

/* The version that is the newest of its key from now on gets its ways back. With them any version
 * of n is found in O(log n) steps (Myers: an applicative random-access stack). */
static void lead_back(const struct past *past, struct version *v, struct version *older)
{
    if (older == NULL) {
        return;
    }
    v->older = v->far = older;
    v->older_slot = v->far_slot = older->slot;
    v->reach = 1;
    if (older->far_slot > past_floor(past) && older->far->reach == older->reach) {
        v->far = older->far->far;
        v->far_slot = older->far->far_slot;
        v->reach = 1 + older->reach + older->far->reach;
    }
}

static struct version *add_version(struct past *past, uint8_t db, uint64_t hash,
                                   enum version_kind kind, struct span body, uint64_t beside)
{
    struct version *v = qr_zalloc(sizeof *v + body.n);
    v->slot = past->slot;
    v->hash = hash;
    v->db = db;
    v->kind = (uint8_t)kind;
    v->cost = (uint32_t)(block_cost(sizeof *v + body.n) + beside);
    if (body.n > 0) {
        memcpy(v->body, body.p, body.n);
    }
    past->made += v->cost;
    charge(past, v->cost);
    *(past->first == NULL ? &past->first : &past->last->next) = v;
    past->last = v;
    return v;
}

/* Makes a version of the key, unless this entry has changed it before. */
static void note(struct past *past, uint8_t db, uint64_t hash, struct span key,
                 enum version_kind kind, const struct item *item, struct rope_bin *bin)
{
    if (db >= DATABASES || past->slot <= past_floor(past)) {
        return;
    }
    struct version *older = newest_of(past, db, hash, key);
    if (older != NULL && older->slot == past->slot) {
        return;
    }
    (void)mark_here(past);
    struct version *v;
    if (kind == VERSION_ITEM) {
        size_t n = item_head_bytes(item) + item_inner_n(item) + item_key_n(item);
        struct rope *rope = item_rope(item);
        v = add_version(past, db, hash, kind, span_of(item, n),
                        rope != NULL ? rope_cost(rope_ref(rope)->n) : 0);
    } else {
        v = add_version(past, db, hash, kind, key, 0);
        v->key_n = (uint32_t)key.n;
    }
    lead_back(past, v, older);
    if (older != NULL) {
        leave_bucket(past, older);
    }
    enter_bucket(past, v);
    raise_floor(past);
    collect(past, v->cost, bin);
    tend_index(past);
}

void past_note(struct past *past, uint8_t db, uint64_t hash, struct span key,
               const struct item *item, struct rope_bin *bin)
{
    enum version_kind kind = item == NULL                                          ? VERSION_NONE
                             : item_memory(item) > past->limits.bytes / LOST_SHARE ? VERSION_LOST
                                                                                   : VERSION_ITEM;
    note(past, db, hash, key, kind, item, bin);
}

void past_note_lost(struct past *past, uint8_t db, uint64_t hash, struct span key,
                    struct rope_bin *bin)
{
    note(past, db, hash, key, VERSION_LOST, NULL, bin);
}

enum past_find past_find(const struct past *past, uint8_t db, uint64_t hash, struct span key,
                         qr_slot slot, struct item **item)
{
    qr_assert(slot >= past_floor(past));
    const struct version *v = newest_of(past, db, hash, key);
    if (v == NULL || v->slot <= slot) {
        return PAST_NOW;
    }
    while (v->older_slot > slot) {
        v = v->far_slot > slot ? v->far : v->older;
    }
    *item = v->kind == VERSION_ITEM ? item_of(v) : NULL;
    return v->kind == VERSION_ITEM ? PAST_WAS : v->kind == VERSION_NONE ? PAST_NONE : PAST_LOST;
}

/* --- Beginning and end ---------------------------------------------------------------------- */

struct past *past_new(const struct past_limits *limits, qr_slot slot, qr_wall time,
                      uint64_t *memory)
{
    struct past *past = qr_zalloc(sizeof *past);
    past->limits = *limits;
    past->slot = slot;
    past->all_memory = memory;
    charge(past, block_cost(sizeof *past));
    past->index.count = BUCKETS_MIN;
    past->index.buckets = qr_zalloc(past->index.count * sizeof(struct version *));
    charge(past, past->index.count * sizeof(struct version *));
    charge(past, past_marks_add(&past->marks, (struct past_mark){ .slot = slot, .time = time }));
    return past;
}

void past_free(struct past *past)
{
    struct rope_bin bin = { 0 };
    if (past == NULL) {
        return;
    }
    while (past->first != NULL) {
        free_first(past, &bin);
    }
    while (rope_bin_empty_slice(&bin, UINT32_MAX)) {
    }
    *past->all_memory -= past->memory;
    past_marks_free(&past->marks);
    free(past->before.buckets);
    free(past->index.buckets);
    free(past);
}

void past_set_limits(struct past *past, const struct past_limits *limits)
{
    past->limits = *limits;
    raise_floor(past);
}

void past_leave(struct past *past, uint64_t *memory)
{
    *past->all_memory -= past->memory;
    *memory += past->memory;
    past->all_memory = memory;
}

/* --- Checks --------------------------------------------------------------------------------- */

static uint32_t steps_between(const struct version *v, const struct version *to)
{
    uint32_t steps = 0;
    for (; v != to; v = v->older) {
        steps++;
    }
    return steps;
}

static uint64_t check_versions(const struct past *past, uint64_t *newest)
{
    uint64_t bytes = 0;
    *newest = 0;
    for (const struct version *v = past->first; v != NULL; v = v->next) {
        qr_assert(v->next == NULL ? past->last == v : v->slot <= v->next->slot);
        qr_assert(v->older_slot < v->slot && v->far_slot <= v->older_slot);
        if (v->older_slot > past_floor(past)) {
            qr_assert(v->older->slot == v->older_slot && !v->older->newest);
        }
        if (v->far_slot > past_floor(past)) {
            qr_assert(v->far->slot == v->far_slot && !v->far->newest);
            qr_assert(steps_between(v, v->far) == v->reach);
        }
        const struct version *head = newest_of(past, v->db, v->hash, key_of(v));
        qr_assert(head != NULL && v->newest == (head == v));
        *newest += v->newest;
        bytes += v->cost;
    }
    return bytes;
}

void past_check(const struct past *past)
{
    uint64_t newest;
    uint64_t bytes = check_versions(past, &newest);
    qr_assert(newest == past->keys);
    bytes += block_cost(sizeof *past) + past->marks.block_count * past_marks_block_memory();
    bytes += (past->index.count + past->before.count) * sizeof(struct version *);
    qr_assert(bytes == past->memory && past->memory <= *past->all_memory);
    qr_assert(past->marks.count > 0);
    for (uint64_t i = 1; i < past->marks.count; i++) {
        const struct past_mark *a = past_mark_at(&past->marks, i - 1);
        const struct past_mark *b = past_mark_at(&past->marks, i);
        qr_assert(a->slot < b->slot && a->time <= b->time && a->before <= b->before);
    }
    qr_assert(past->marks.count == 1 || kept(past) <= past->limits.bytes);
}
