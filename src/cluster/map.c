/* Partitions stand in pages of PAGE_GROUPS consecutive groups, in order; the groups of a keyspace
 * are consecutive, so the pages are nearly full. A keyspace has a row of its partitions by index;
 * it exists, as a shell, as soon as one of its partitions does (N2). */
#include "cluster/map.h"

#include "base/alloc.h"
#include "cluster/heirs.h"
#include "cluster/prefixes.h"
#include "cluster/records.h"
#include "cluster/slots.h"

#include <string.h>

#define PAGE_GROUPS 32u

struct page {
    uint32_t base; /* group of item 0: a multiple of PAGE_GROUPS */
    uint32_t used; /* a bit for each item that is there */
    struct map_partition item[PAGE_GROUPS];
};

struct space {
    struct map_keyspace keyspace;
    bool known; /* its record is here; else it is a shell */
    uint32_t cap, held;
    struct map_partition **row; /* by index; cap of them */
};

struct map {
    struct page **pages; /* in order of base */
    uint32_t page_count, page_cap;
    struct space **spaces; /* in order of id; the first is keyspace 0 */
    uint32_t space_count, space_cap;
    struct space **known; /* those that are no shells, in the same order */
    uint32_t known_count;
    uint32_t partition_count;
    struct heirs heirs;
    struct prefixes prefixes;
    struct map_settings settings;
    struct map_node nodes[MEMBERS_MAX];
    struct map_partition zero; /* group 0 */
    uint64_t changes, rules;
};

_Static_assert(PAGE_GROUPS == 32, "`used` has a bit for each");

/* --- Rows that grow ------------------------------------------------------------------------- */

static void *make_room(void *rows, uint32_t count, uint32_t *cap, size_t size)
{
    if (count < *cap) {
        return rows;
    }
    *cap = *cap == 0 ? 8 : *cap * 2;
    return qr_realloc(rows, *cap * size);
}

/* --- Pages ---------------------------------------------------------------------------------- */

/* The first page whose base is `base` or more; page_count: none. */
static uint32_t page_at(const struct map *map, uint32_t base)
{
    uint32_t lo = 0;
    uint32_t hi = map->page_count;
    while (lo < hi) {
        uint32_t middle = lo + (hi - lo) / 2;
        if (map->pages[middle]->base < base) {
            lo = middle + 1;
        } else {
            hi = middle;
        }
    }
    return lo;
}

static struct map_partition *find(const struct map *map, uint32_t group)
{
    uint32_t base = group / PAGE_GROUPS * PAGE_GROUPS;
    uint32_t at = page_at(map, base);
    if (at == map->page_count || map->pages[at]->base != base ||
        (map->pages[at]->used >> (group - base) & 1) == 0) {
        return NULL;
    }
    return &map->pages[at]->item[group - base];
}

static struct map_partition *add(struct map *map, uint32_t group)
{
    uint32_t base = group / PAGE_GROUPS * PAGE_GROUPS;
    uint32_t at = page_at(map, base);
    if (at == map->page_count || map->pages[at]->base != base) {
        map->pages = make_room(map->pages, map->page_count, &map->page_cap, sizeof *map->pages);
        memmove(map->pages + at + 1, map->pages + at, (map->page_count - at) * sizeof *map->pages);
        map->page_count++;
        map->pages[at] = qr_zalloc(sizeof *map->pages[at]);
        map->pages[at]->base = base;
    }
    struct page *page = map->pages[at];
    qr_assert((page->used >> (group - base) & 1) == 0);
    page->used |= 1u << (group - base);
    map->partition_count++;
    return &page->item[group - base];
}

static void drop(struct map *map, uint32_t group)
{
    uint32_t base = group / PAGE_GROUPS * PAGE_GROUPS;
    uint32_t at = page_at(map, base);
    struct page *page = map->pages[at];
    qr_assert(page->base == base);
    qr_assert((page->used >> (group - base) & 1) != 0);
    page->used &= ~(1u << (group - base));
    map->partition_count--;
    if (page->used == 0) {
        free(page);
        map->page_count--;
        memmove(map->pages + at, map->pages + at + 1, (map->page_count - at) * sizeof *map->pages);
    }
}

/* --- Keyspaces ------------------------------------------------------------------------------ */

static uint32_t space_at(const struct map *map, uint32_t id)
{
    uint32_t lo = 0;
    uint32_t hi = map->space_count;
    while (lo < hi) {
        uint32_t middle = lo + (hi - lo) / 2;
        if (map->spaces[middle]->keyspace.id < id) {
            lo = middle + 1;
        } else {
            hi = middle;
        }
    }
    return lo;
}

static struct space *find_space(const struct map *map, uint32_t id)
{
    uint32_t at = space_at(map, id);
    bool found = at < map->space_count && map->spaces[at]->keyspace.id == id;
    return found ? map->spaces[at] : NULL;
}

static struct space *need_space(struct map *map, uint32_t id)
{
    uint32_t at = space_at(map, id);
    if (at < map->space_count && map->spaces[at]->keyspace.id == id) {
        return map->spaces[at];
    }
    uint32_t cap = map->space_cap;
    map->spaces = make_room(map->spaces, map->space_count, &map->space_cap, sizeof *map->spaces);
    if (map->space_cap != cap) {
        map->known = qr_realloc(map->known, map->space_cap * sizeof *map->known);
    }
    memmove(map->spaces + at + 1, map->spaces + at, (map->space_count - at) * sizeof *map->spaces);
    map->space_count++;
    map->spaces[at] = qr_zalloc(sizeof *map->spaces[at]);
    map->spaces[at]->keyspace.id = id;
    return map->spaces[at];
}

static void free_if_empty(struct map *map, struct space *space)
{
    if (space->known || space->held > 0) {
        return;
    }
    uint32_t at = space_at(map, space->keyspace.id);
    qr_assert(map->spaces[at] == space);
    map->space_count--;
    memmove(map->spaces + at, map->spaces + at + 1, (map->space_count - at) * sizeof *map->spaces);
    free(space->row);
    free(space);
}

/* Which keyspaces are known, and their prefixes: few, and they seldom change. */
static void list_known(struct map *map)
{
    map->known_count = 0;
    prefixes_clear(&map->prefixes);
    for (uint32_t i = 0; i < map->space_count; i++) {
        struct space *space = map->spaces[i];
        if (space->known) {
            map->known[map->known_count++] = space;
            prefixes_add(&map->prefixes, &space->keyspace);
        }
    }
    prefixes_settle(&map->prefixes);
}

/* Keyspace 0 as it is where no record says anything else (N3). */
static void make_zero(struct map *map)
{
    struct space *space = need_space(map, 0);
    space->keyspace = (struct map_keyspace){ .partitions = 1,
                                             .strategy = STRATEGY_RAFT,
                                             .partitioning = PARTITIONING_HASH,
                                             .state = KEYSPACE_IN_USE,
                                             .replicas = 3,
                                             .name = "default" };
    space->known = true;
}

static void row_put(struct space *space, struct map_partition *partition)
{
    uint32_t cap = space->cap;
    while (partition->index >= space->cap) {
        space->row = make_room(space->row, space->cap, &space->cap, sizeof *space->row);
    }
    memset(space->row + cap, 0, (space->cap - cap) * sizeof *space->row);
    space->held += space->row[partition->index] == NULL;
    space->row[partition->index] = partition;
}

/* Records may give one place to two groups, though no leader composes such: the later one is found
 * there, and when it goes nobody is. */
static void row_drop(struct map *map, const struct map_partition *partition)
{
    struct space *space = find_space(map, partition->keyspace);
    if (space == NULL || partition->index >= space->cap ||
        space->row[partition->index] != partition) {
        return;
    }
    space->row[partition->index] = NULL;
    space->held--;
    free_if_empty(map, space);
}

/* --- Changes -------------------------------------------------------------------------------- */

static void set_defaults(struct map *map)
{
    map->settings = (struct map_settings){ .level = MAP_LEVEL_FIRST, .next_group = GROUP_FIRST };
}

struct map *map_new(void)
{
    struct map *map = qr_zalloc(sizeof *map);
    set_defaults(map);
    map->zero = (struct map_partition){
        .last_slot = SLOTS - 1, .prefers = NODE_NONE, .epoch = 1, .settled = 1
    };
    map->partition_count = 1;
    make_zero(map);
    row_put(map->spaces[0], &map->zero);
    list_known(map);
    return map;
}

static void forget(struct map *map)
{
    for (uint32_t i = 0; i < map->page_count; i++) {
        free(map->pages[i]);
    }
    for (uint32_t i = 1; i < map->space_count; i++) {
        free(map->spaces[i]->row);
        free(map->spaces[i]);
    }
    heirs_clear(&map->heirs);
    map->page_count = 0;
    map->space_count = 1;
    map->partition_count = 1;
    memset(map->nodes, 0, sizeof map->nodes);
}

void map_free(struct map *map)
{
    if (map == NULL) {
        return;
    }
    forget(map);
    free(map->spaces[0]->row);
    free(map->spaces[0]);
    free(map->pages);
    heirs_free(&map->heirs);
    free(map->spaces);
    free(map->known);
    prefixes_free(&map->prefixes);
    free(map);
}

void map_reset(struct map *map)
{
    forget(map);
    set_defaults(map);
    make_zero(map);
    list_known(map);
    map->changes++;
}

static enum map_status put_settings(struct map *map, struct span value)
{
    if (value.n == 0) {
        set_defaults(map);
        return MAP_OK;
    }
    struct map_settings settings;
    enum map_status status = map_settings_read(value, &settings);
    if (status == MAP_OK) {
        map->settings = settings;
    }
    return status;
}

static enum map_status put_node(struct map *map, uint32_t index, struct span value)
{
    struct map_node node = { 0 };
    enum map_status status = value.n == 0 ? MAP_OK : map_node_read(value, &node);
    if (status == MAP_OK) {
        map->rules += strcmp(map->nodes[index].zone, node.zone) != 0;
        map->nodes[index] = node;
    }
    return status;
}

static bool has_same_prefix(const struct map_keyspace *a, const struct map_keyspace *b)
{
    return a->prefix_length == b->prefix_length &&
           memcmp(a->prefix, b->prefix, a->prefix_length) == 0;
}

static bool has_same_rules(const struct map_keyspace *a, const struct map_keyspace *b)
{
    return has_same_prefix(a, b) && a->read.level == b->read.level &&
           a->read.by_ops == b->read.by_ops && a->read.bound == b->read.bound &&
           a->ack_kind == b->ack_kind && a->idmp_seconds == b->idmp_seconds &&
           a->idmp_count == b->idmp_count && a->idmp_bytes == b->idmp_bytes;
}

static enum map_status put_keyspace(struct map *map, uint32_t id, struct span value)
{
    if (value.n == 0) {
        struct space *space = find_space(map, id);
        map->rules += space != NULL;
        if (id == 0) {
            make_zero(map);
        } else if (space != NULL) {
            space->known = false;
            space->keyspace = (struct map_keyspace){ .id = id };
            free_if_empty(map, space);
        }
        list_known(map);
        return MAP_OK;
    }
    struct map_keyspace keyspace;
    enum map_status status = map_keyspace_read(id, value, &keyspace);
    if (status != MAP_OK) {
        return status;
    }
    struct space *space = need_space(map, id);
    map->rules += !has_same_rules(&space->keyspace, &keyspace);
    space->keyspace = keyspace;
    space->known = true;
    list_known(map);
    return MAP_OK;
}

static enum map_status put_partition(struct map *map, uint32_t group, struct span value)
{
    struct map_partition *old = find(map, group);
    struct map_partition next;
    enum map_status status = value.n == 0 ? MAP_OK : map_partition_read(group, value, &next);
    if (status != MAP_OK) {
        return status;
    }
    if (old != NULL &&
        (value.n == 0 || old->keyspace != next.keyspace || old->index != next.index)) {
        row_drop(map, old);
        drop(map, group);
        old = NULL;
    }
    if (value.n > 0) {
        struct map_partition *partition = old != NULL ? old : add(map, group);
        *partition = next;
        row_put(need_space(map, next.keyspace), partition);
    }
    return MAP_OK;
}

enum map_status map_put(struct map *map, struct span key, struct span value)
{
    struct map_key k;
    if (key.n == 0) {
        return MAP_OK; /* the version of the records, which the engine keeps beside them */
    }
    enum map_status status = map_key_read(key, &k);
    if (status != MAP_OK) {
        return status;
    }
    switch (k.kind) {
    case MAP_RECORD_SETTINGS:
        status = put_settings(map, value);
        break;
    case MAP_RECORD_KEYSPACE:
        status = put_keyspace(map, k.number, value);
        break;
    case MAP_RECORD_PARTITION:
        status = put_partition(map, k.number, value);
        break;
    case MAP_RECORD_NODE:
        status = put_node(map, k.number, value);
        break;
    case MAP_RECORD_SUCCESSION:
        status = heirs_put(&map->heirs, k.number, value);
        break;
    }
    map->changes += status == MAP_OK;
    return status;
}

uint64_t map_changes(const struct map *map)
{
    return map->changes;
}

uint64_t map_rules(const struct map *map)
{
    return map->rules;
}

/* --- Lookups -------------------------------------------------------------------------------- */

const struct map_settings *map_settings(const struct map *map)
{
    return &map->settings;
}

const struct map_node *map_node(const struct map *map, node_index node)
{
    qr_assert(node < MEMBERS_MAX);
    return &map->nodes[node];
}

uint32_t map_keyspace_count(const struct map *map)
{
    return map->known_count;
}

const struct map_keyspace *map_keyspace_at(const struct map *map, uint32_t nth)
{
    return nth < map->known_count ? &map->known[nth]->keyspace : NULL;
}

const struct map_keyspace *map_keyspace(const struct map *map, uint32_t id)
{
    const struct space *space = find_space(map, id);
    return space != NULL && space->known ? &space->keyspace : NULL;
}

const struct map_keyspace *map_keyspace_named(const struct map *map, struct span name)
{
    for (uint32_t i = 0; i < map->known_count; i++) {
        const struct map_keyspace *keyspace = &map->known[i]->keyspace;
        if (strlen(keyspace->name) == name.n && memcmp(keyspace->name, name.p, name.n) == 0) {
            return keyspace;
        }
    }
    return NULL;
}

const struct map_keyspace *map_keyspace_of_key(const struct map *map, struct span key)
{
    return prefixes_find(&map->prefixes, key);
}

bool map_has_prefixes(const struct map *map)
{
    return map->prefixes.count > 0;
}

const struct map_partition *map_partition_at(const struct map *map, uint32_t keyspace,
                                             uint32_t index)
{
    const struct space *space = find_space(map, keyspace);
    return space != NULL && index < space->cap ? space->row[index] : NULL;
}

const struct map_partition *map_partition_of_slot(const struct map *map, uint32_t keyspace,
                                                  uint16_t slot)
{
    qr_assert(slot < SLOTS);
    const struct space *space = find_space(map, keyspace);
    if (space == NULL || !space->known) {
        return NULL;
    }
    uint32_t index = slots_partition(slot, space->keyspace.partitions);
    return index < space->cap ? space->row[index] : NULL;
}

const struct map_partition *map_partition(const struct map *map, uint32_t group)
{
    return group == 0 ? &map->zero : find(map, group);
}

const struct map_keyspace *map_keyspace_of_group(const struct map *map, uint32_t group)
{
    const struct map_partition *partition = map_partition(map, group);
    return partition != NULL ? map_keyspace(map, partition->keyspace) : NULL;
}

uint32_t map_partition_count(const struct map *map)
{
    return map->partition_count;
}

const struct map_partition *map_partition_after(const struct map *map, uint32_t group)
{
    if (group == UINT32_MAX) {
        return NULL;
    }
    uint32_t next = group + 1;
    uint32_t base = next / PAGE_GROUPS * PAGE_GROUPS;
    for (uint32_t at = page_at(map, base); at < map->page_count; at++) {
        const struct page *page = map->pages[at];
        uint32_t rest = page->base == base ? page->used & ~0u << (next - base) : page->used;
        if (rest != 0) {
            return &page->item[__builtin_ctz(rest)];
        }
    }
    return NULL;
}

const struct succession *map_succession(const struct map *map, uint32_t group)
{
    return heirs_find(&map->heirs, group);
}

uint32_t map_succession_after(const struct map *map, uint32_t group)
{
    return heirs_after(&map->heirs, group);
}

bool map_index_is_free(const struct map *map, node_index node)
{
    qr_assert(node < MEMBERS_MAX);
    const struct map_partition *p = map_partition_after(map, 0);
    uint32_t spoken = heirs_spoken_of(&map->heirs);
    for (; p != NULL; p = map_partition_after(map, p->group)) {
        spoken |= p->held | (uint32_t)(p->founders & ~p->moved);
    }
    return (spoken >> node & 1) == 0;
}

/* --- Composing ------------------------------------------------------------------------------ */

struct map_partition map_found(const struct map_keyspace *keyspace, uint32_t index, uint32_t group,
                               uint16_t founders, node_index prefers)
{
    qr_assert(index < keyspace->partitions);
    qr_assert(founders != 0);
    return (struct map_partition){
        .group = group,
        .keyspace = keyspace->id,
        .index = (uint16_t)index,
        .first_slot = (uint16_t)slots_first(index, keyspace->partitions),
        .last_slot = (uint16_t)(slots_first(index + 1, keyspace->partitions) - 1),
        .founders = founders,
        .wish = founders,
        .held = founders,
        .prefers = prefers,
        .epoch = 1,
        .settled = 1,
    };
}

void map_wish(struct map_partition *partition, uint16_t wish, node_index prefers)
{
    qr_assert(wish != 0);
    partition->prefers = prefers;
    if (wish == partition->wish) {
        return;
    }
    partition->wish = wish;
    partition->held |= wish;
    partition->epoch++;
}

void map_settle(struct map_partition *partition)
{
    partition->settled = partition->epoch;
    partition->moved |= (uint16_t)(partition->founders & ~partition->wish);
    partition->held = partition->wish;
}

bool map_is_name(struct span name)
{
    bool digits = true;
    for (size_t i = 0; i < name.n; i++) {
        char c = (char)name.p[i];
        bool digit = c >= '0' && c <= '9';
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!digit && !letter && c != '-' && c != '_' && c != '.' && c != ':') {
            return false;
        }
        digits = digits && digit;
    }
    return name.n > 0 && name.n < KEYSPACE_NAME_BYTES && !digits;
}
