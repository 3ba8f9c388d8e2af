/* Extendible hashing with ordered linear probing: see table.h. After Fagin, Nievergelt, Pippenger
 * and Strong, "Extendible hashing" (1979) for the directory, and Amble and Knuth, "Ordered hash
 * tables" (1974) for the segments. */
#include "store/table.h"

#include "base/alloc.h"
#include "base/panic.h"

#include <string.h>

#define CAP_MIN 4u
#define CAP_MAX 512u       /* 8 KiB of slots; beyond it a segment splits */
#define PREFETCH_SLOTS 16u /* how far ahead an iteration fetches items */
#define TAIL_SLOTS 8u /* room behind the last home; a fuller segment gets as much as it needs */

/* A directory of this many entries for each full segment is out of all proportion: then the hashes
 * are not random (the key is known to an attacker), and segments grow instead of splitting. */
#define DIRECTORY_SPARSE_MAX 16u

/* --- Segments -------------------------------------------------------------------------------- */

static inline bool occupied(const struct slot *slot)
{
    return slot->word != 0;
}

void slot_set_item(struct slot *slot, struct item *item)
{
    uint64_t pointer = (uint64_t)(uintptr_t)item;
    qr_assert(pointer >> 48 == 0);
    slot->word = (slot->word & ~(uint64_t)0xffffffffffffu) | pointer;
}

static inline uint32_t home_of(uint64_t hash, uint8_t depth, uint32_t cap)
{
    return (uint32_t)((((hash << depth) >> 32) * cap) >> 32);
}

static size_t segment_bytes(const struct segment *segment)
{
    return sizeof(struct segment) + segment->total * sizeof(struct slot);
}

static int compare_keys(struct span x, struct span y)
{
    size_t n = x.n < y.n ? x.n : y.n;
    int order = n > 0 ? memcmp(x.p, y.p, n) : 0;
    if (order != 0) {
        return order;
    }
    return (x.n > y.n) - (x.n < y.n);
}

/* Where slots go that are added in order. */
static inline uint32_t next_place(uint32_t next, uint64_t hash, uint8_t depth, uint32_t cap)
{
    uint32_t home = home_of(hash, depth, cap);
    return home > next ? home : next;
}

/* A segment of `cap` homes that holds n slots given in order. */
static struct segment *segment_build(const struct slot *slots, uint32_t n, uint8_t depth,
                                     uint32_t cap)
{
    uint32_t next = 0;
    for (uint32_t i = 0; i < n; i++) {
        next = next_place(next, slots[i].hash, depth, cap) + 1;
    }
    uint32_t total = (next > cap ? next : cap) + TAIL_SLOTS;
    struct segment *segment = qr_zalloc(sizeof *segment + total * sizeof(struct slot));
    segment->count = n;
    segment->cap = cap;
    segment->total = total;
    segment->depth = depth;
    next = 0;
    for (uint32_t i = 0; i < n; i++) {
        next = next_place(next, slots[i].hash, depth, cap);
        segment->slots[next++] = slots[i];
    }
    return segment;
}

/* Copies the occupied slots, in order. */
static uint32_t segment_gather(const struct segment *segment, struct slot *out)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < segment->total; i++) {
        if (occupied(&segment->slots[i])) {
            out[n++] = segment->slots[i];
        }
    }
    qr_assert(n == segment->count);
    return n;
}

/* The key lies behind the value: for a small item all of it is fetched at once. The item may be
 * NULL (an empty slot), which a prefetch forgives and pointer arithmetic does not. */
static inline void prefetch_item(const struct item *item)
{
    __builtin_prefetch((const void *)((uintptr_t)item + 64));
    __builtin_prefetch((const void *)((uintptr_t)item + 128));
}

/* The first slot that is empty or not before the hash. */
static inline uint32_t segment_seek(const struct segment *segment, uint64_t hash)
{
    uint32_t i = home_of(hash, segment->depth, segment->cap);
    const struct slot *slots = segment->slots;
    while (occupied(&slots[i]) && slots[i].hash < hash) {
        i++;
    }
    return i;
}

/* The slot of that key, or where it belongs: the first that is empty or behind it. */
static uint32_t segment_position(const struct segment *segment, uint64_t hash, struct span key,
                                 bool *found)
{
    uint32_t i = segment_seek(segment, hash);
    const struct slot *slots = segment->slots;
    *found = false;
    while (occupied(&slots[i]) && slots[i].hash == hash) {
        prefetch_item(slot_item(&slots[i]));
        int order = compare_keys(item_key(slot_item(&slots[i])), key);
        *found = order == 0;
        if (order >= 0) {
            break;
        }
        i++;
    }
    return i;
}

/* False when the slots are too full for one more. */
static bool segment_insert(struct segment *segment, struct slot slot)
{
    bool found;
    uint32_t at = segment_position(segment, slot.hash, item_key(slot_item(&slot)), &found);
    qr_assert(!found);
    uint32_t empty = at;
    while (occupied(&segment->slots[empty])) {
        empty++;
    }
    if (empty + 1 >= segment->total) {
        return false; /* S3 */
    }
    memmove(&segment->slots[at + 1], &segment->slots[at], (empty - at) * sizeof slot);
    segment->slots[at] = slot;
    segment->count++;
    return true;
}

/* Closes the gap: what was pushed on from its home moves back. */
static void segment_remove(struct segment *segment, uint32_t at)
{
    struct slot *slots = segment->slots;
    uint32_t end = at + 1;
    while (occupied(&slots[end]) && home_of(slots[end].hash, segment->depth, segment->cap) < end) {
        end++;
    }
    memmove(&slots[at], &slots[at + 1], (end - at - 1) * sizeof *slots);
    slots[end - 1] = (struct slot){ 0 };
    segment->count--;
}

static bool segment_full(const struct segment *segment)
{
    return segment->count >= segment->cap - segment->cap / 8;
}

/* A few sizes between the smallest and the largest keep the slots 70 to 88 % full. */
static uint32_t cap_for(uint32_t count)
{
    uint32_t cap = CAP_MIN;
    while (count >= cap - cap / 8 - cap / 16) {
        cap += cap < 64 ? cap : cap / 4;
    }
    return cap;
}

/* --- Directory ------------------------------------------------------------------------------- */

static inline uint64_t entry_of(const struct table *table, uint64_t hash)
{
    return table->depth == 0 ? 0 : hash >> (64 - table->depth);
}

static uint64_t directory_size(const struct table *table)
{
    return (uint64_t)1 << table->depth;
}

/* How many directory entries a segment of that depth has. */
static uint64_t segment_entries(const struct table *table, const struct segment *segment)
{
    return (uint64_t)1 << (table->depth - segment->depth);
}

static uint64_t first_entry(const struct table *table, const struct segment *segment, uint64_t hash)
{
    return entry_of(table, hash) & ~(segment_entries(table, segment) - 1);
}

static void account(struct table *table, const struct segment *segment, bool added)
{
    bool deepest = segment->depth == table->depth;
    if (added) {
        table->memory += block_cost(segment_bytes(segment));
        table->deepest += deepest;
    } else {
        table->memory -= block_cost(segment_bytes(segment));
        table->deepest -= deepest;
    }
}

/* Puts a segment into the directory; `first` is its first entry. */
static void link_segment(struct table *table, struct segment *segment, uint64_t first)
{
    uint64_t n = segment_entries(table, segment);
    qr_assert(first % n == 0);
    for (uint64_t i = 0; i < n; i++) {
        table->directory[first + i] = segment;
    }
    account(table, segment, true);
}

static void discard_segment(struct table *table, struct segment *segment)
{
    account(table, segment, false);
    free(segment);
}

static void directory_double(struct table *table)
{
    uint64_t old = directory_size(table);
    qr_assert(table->depth < TABLE_DEPTH_MAX);
    table->memory -= block_cost(old * sizeof *table->directory);
    table->directory = qr_realloc(table->directory, 2 * old * sizeof *table->directory);
    for (uint64_t i = old; i-- > 0;) {
        table->directory[2 * i] = table->directory[i];
        table->directory[2 * i + 1] = table->directory[i];
    }
    table->depth++;
    table->deepest = 0;
    table->memory += block_cost(2 * old * sizeof *table->directory);
}

/* Halves the directory while no segment needs its full depth. */
static void directory_shrink(struct table *table)
{
    while (table->depth > 0 && table->deepest == 0) {
        uint64_t half = directory_size(table) / 2;
        table->memory -= block_cost(2 * half * sizeof *table->directory);
        table->depth--;
        for (uint64_t i = 0; i < half; i++) {
            table->directory[i] = table->directory[2 * i];
            table->deepest += table->directory[i]->depth == table->depth;
        }
        table->directory = qr_realloc(table->directory, half * sizeof *table->directory);
        table->memory += block_cost(half * sizeof *table->directory);
    }
}

static bool may_split(const struct table *table, const struct segment *segment)
{
    if (segment->depth < table->depth) {
        return true;
    }
    uint64_t wanted = table->count / CAP_MAX + 1;
    return table->depth < TABLE_DEPTH_MAX && directory_size(table) / DIRECTORY_SPARSE_MAX < wanted;
}

static void split(struct table *table, struct segment *segment, uint64_t first)
{
    struct slot *slots = qr_alloc(segment->count * sizeof *slots);
    uint32_t n = segment_gather(segment, slots);
    uint8_t depth = (uint8_t)(segment->depth + 1);
    if (depth > table->depth) {
        directory_double(table);
        first *= 2;
    }
    uint32_t left = 0;
    while (left < n && ((slots[left].hash >> (64 - depth)) & 1) == 0) {
        left++;
    }
    struct segment *low = segment_build(slots, left, depth, cap_for(left));
    struct segment *high = segment_build(slots + left, n - left, depth, cap_for(n - left));
    free(slots);
    discard_segment(table, segment);
    link_segment(table, low, first);
    link_segment(table, high, first + segment_entries(table, low));
}

/* Beyond this the expectation is not worth the memory of empty segments. */
#define EXPECT_MAX ((uint64_t)1 << 24)

void table_expect(struct table *table, uint64_t items)
{
    uint8_t depth = 0;
    uint64_t expected = min_u64(items, EXPECT_MAX);
    while (expected >> depth > CAP_MAX - CAP_MAX / 4) {
        depth++;
    }
    for (uint64_t entry = 0; entry < directory_size(table);) {
        struct segment *segment = table->directory[entry];
        if (segment->depth < depth) {
            bool doubles = segment->depth == table->depth;
            split(table, segment, entry);
            entry = doubles ? 2 * entry : entry;
        } else {
            entry += segment_entries(table, segment);
        }
    }
}

/* Gives a segment another number of homes. */
static void rebuild(struct table *table, struct segment *segment, uint64_t first, uint32_t cap)
{
    struct slot *slots = qr_alloc(segment->count * sizeof *slots);
    uint32_t n = segment_gather(segment, slots);
    struct segment *fresh = segment_build(slots, n, segment->depth, cap);
    free(slots);
    discard_segment(table, segment);
    link_segment(table, fresh, first);
}

/* Makes room around `hash`: the segment gets more homes or splits. */
static void make_room(struct table *table, struct segment *segment, uint64_t hash)
{
    uint64_t first = first_entry(table, segment, hash);
    if (segment->cap >= CAP_MAX && segment_full(segment) && may_split(table, segment)) {
        split(table, segment, first);
    } else {
        bool full = segment_full(segment);
        rebuild(table, segment, first, full ? cap_for(segment->count + 1) : segment->cap);
    }
}

/* The other half of the segment's prefix, when both together are small enough for one segment. */
static struct segment *buddy_of(const struct table *table, const struct segment *segment,
                                uint64_t first)
{
    if (segment->depth == 0) {
        return NULL;
    }
    struct segment *buddy = table->directory[first ^ segment_entries(table, segment)];
    bool joins = buddy->depth == segment->depth && buddy->count + segment->count <= CAP_MAX / 2;
    return joins ? buddy : NULL;
}

/* Replaces a segment and its neighbour, which follow each other in hash order, by one. */
static struct segment *join(struct table *table, struct segment *low, struct segment *high,
                            uint64_t first)
{
    struct slot slots[CAP_MAX / 2];
    uint32_t n = segment_gather(low, slots);
    n += segment_gather(high, slots + n);
    uint8_t depth = (uint8_t)(low->depth - 1);
    discard_segment(table, low);
    discard_segment(table, high);
    struct segment *joined = segment_build(slots, n, depth, cap_for(n));
    link_segment(table, joined, first);
    return joined;
}

/* After a removal: a nearly empty segment joins its neighbour, or gets fewer homes. The one that
 * came of it may join again; so nothing empty stays behind. */
static void maybe_shrink(struct table *table, struct segment *segment, uint64_t hash)
{
    while (segment->count < segment->cap / 4) {
        uint64_t first = first_entry(table, segment, hash);
        struct segment *buddy = buddy_of(table, segment, first);
        if (buddy == NULL) {
            if (segment->cap > CAP_MIN) {
                rebuild(table, segment, first, cap_for(segment->count));
            }
            break;
        }
        bool low = (first & segment_entries(table, segment)) == 0;
        first &= ~segment_entries(table, segment);
        segment = join(table, low ? segment : buddy, low ? buddy : segment, first);
    }
    directory_shrink(table);
}

/* --- The table ------------------------------------------------------------------------------- */

/* The slots of a segment lie behind it. */
static const struct {
    uint32_t count, cap, total;
    uint8_t depth;
    struct slot slots[1 + TAIL_SLOTS];
} empty_segment = { .cap = 1, .total = 1 + TAIL_SLOTS };

_Static_assert(offsetof(struct segment, slots) == 16, "empty_segment has the layout of a segment");

static const void *const empty_directory[] = { &empty_segment };

const struct table table_empty = {
    .directory = (struct segment **)(uintptr_t)empty_directory,
    .deepest = 1,
};

struct table *table_new(void)
{
    struct table *table = qr_zalloc_lines(sizeof *table);
    table->directory = qr_alloc(sizeof *table->directory);
    table->memory = block_cost(sizeof *table) + block_cost(sizeof *table->directory);
    link_segment(table, segment_build(NULL, 0, 0, CAP_MIN), 0);
    return table;
}

bool table_free_slice(struct table *table, uint32_t items, uint64_t *freed, struct rope_bin *bin)
{
    uint32_t done = 0;
    while (table->freed_upto < directory_size(table) && done < items) {
        struct segment *segment = table->directory[table->freed_upto];
        table->freed_upto += segment_entries(table, segment);
        done++;
        for (uint32_t i = 0; i < segment->total; i++) {
            if (occupied(&segment->slots[i])) {
                *freed += item_memory(slot_item(&segment->slots[i]));
                item_free(slot_item(&segment->slots[i]), bin);
                done++;
            }
        }
        free(segment);
    }
    if (table->freed_upto < directory_size(table)) {
        return true;
    }
    *freed += table->memory + due_memory(&table->due);
    due_free(&table->due);
    free(table->directory);
    free(table);
    return false;
}

struct slot *table_find(struct table *table, uint64_t hash, struct span key)
{
    struct segment *segment = table->directory[entry_of(table, hash)];
    bool found;
    uint32_t at = segment_position(segment, hash, key, &found);
    return found ? &segment->slots[at] : NULL;
}

void table_prefetch_slots(const struct table *table, uint64_t hash)
{
    const struct segment *segment = table->directory[entry_of(table, hash)];
    __builtin_prefetch(&segment->slots[home_of(hash, segment->depth, segment->cap)]);
}

void table_prefetch_item(const struct table *table, uint64_t hash)
{
    const struct segment *segment = table->directory[entry_of(table, hash)];
    const struct slot *slot = &segment->slots[segment_seek(segment, hash)];
    if (occupied(slot) && slot->hash == hash) {
        __builtin_prefetch(slot_item(slot));
        prefetch_item(slot_item(slot));
    }
}

void table_insert(struct table *table, uint64_t hash, struct item *item, uint16_t walk)
{
    struct slot slot = { .hash = hash, .word = 0 };
    slot_set_item(&slot, item);
    slot_set_walk(&slot, walk);
    for (;;) {
        struct segment *segment = table->directory[entry_of(table, hash)];
        if (!segment_full(segment) && segment_insert(segment, slot)) {
            table->count++;
            return;
        }
        make_room(table, segment, hash);
    }
}

void table_remove(struct table *table, struct slot *slot)
{
    uint64_t hash = slot->hash;
    struct segment *segment = table->directory[entry_of(table, hash)];
    qr_assert(slot >= segment->slots && slot < segment->slots + segment->total);
    segment_remove(segment, (uint32_t)(slot - segment->slots));
    table->count--;
    maybe_shrink(table, segment, hash);
}

/* Moves on to the first occupied slot at or after the place. */
static void settle(const struct table *table, struct place *place)
{
    while (place->segment != NULL) {
        for (; place->at < place->segment->total; place->at++) {
            if (occupied(&place->segment->slots[place->at])) {
                return;
            }
        }
        place->entry += segment_entries(table, place->segment);
        place->at = 0;
        place->segment =
            place->entry < directory_size(table) ? table->directory[place->entry] : NULL;
    }
}

struct place table_seek(const struct table *table, uint64_t hash)
{
    struct segment *segment = table->directory[entry_of(table, hash)];
    struct place place = { .segment = segment,
                           .at = segment_seek(segment, hash),
                           .entry = first_entry(table, segment, hash) };
    settle(table, &place);
    return place;
}

/* Items lie anywhere in memory: whoever goes through them in hash order waits for each, unless the
 * ones that will follow are fetched ahead. */
static void prefetch_ahead(const struct place *place)
{
    const struct segment *segment = place->segment;
    if (place->at + PREFETCH_SLOTS < segment->total) {
        const struct item *item = slot_item(&segment->slots[place->at + PREFETCH_SLOTS]);
        __builtin_prefetch(item);
        prefetch_item(item);
    }
}

void place_next(const struct table *table, struct place *place)
{
    prefetch_ahead(place);
    place->at++;
    settle(table, place);
}

static void check_segment(const struct segment *segment)
{
    uint32_t n = 0;
    const struct slot *previous = NULL;
    for (uint32_t i = 0; i < segment->total; i++) {
        const struct slot *slot = &segment->slots[i];
        if (!occupied(slot)) {
            continue;
        }
        n++;
        uint32_t home = home_of(slot->hash, segment->depth, segment->cap);
        qr_assert(home <= i); /* S2 */
        for (uint32_t j = home; j < i; j++) {
            qr_assert(occupied(&segment->slots[j])); /* S2 */
        }
        if (previous != NULL) {
            qr_assert(previous->hash <= slot->hash); /* S1 */
            qr_assert(previous->hash < slot->hash ||
                      compare_keys(item_key(slot_item(previous)), item_key(slot_item(slot))) < 0);
        }
        previous = slot;
    }
    qr_assert(n == segment->count);
    qr_assert(!occupied(&segment->slots[segment->total - 1])); /* S3 */
}

void table_check(const struct table *table)
{
    uint64_t count = 0, deepest = 0;
    uint64_t memory =
        block_cost(sizeof *table) + block_cost(directory_size(table) * sizeof *table->directory);
    for (uint64_t entry = 0; entry < directory_size(table);) {
        const struct segment *segment = table->directory[entry];
        uint64_t n = segment_entries(table, segment);
        qr_assert(entry % n == 0);
        for (uint64_t i = 0; i < n; i++) {
            qr_assert(table->directory[entry + i] == segment);
        }
        check_segment(segment);
        count += segment->count;
        deepest += segment->depth == table->depth;
        memory += block_cost(segment_bytes(segment));
        entry += n;
    }
    qr_assert(count == table->count);
    qr_assert(deepest == table->deepest && (deepest > 0 || table->depth == 0));
    qr_assert(memory == table->memory);
}
