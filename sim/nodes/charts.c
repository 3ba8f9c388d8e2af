/* What all nodes show of the control state, in any life of theirs and whoever leads: a version of
 * it is one state everywhere; and with the versions groups go forward only. A group is founded
 * once, by one keyspace on one set of nodes, is there until it is dropped and never again, and each
 * epoch has one wish (cluster/follow.h). So what was composed on one state and carried out on
 * another shows at once, though no client may ever ask. */
#include "sim/nodes/charts.h"

#include "base/alloc.h"
#include "cluster/records.h"

#include <stdlib.h>
#include <string.h>

/* What was seen of a group at the latest version that had it. */
struct group_chart {
    struct map_partition is; /* group 0: it was never seen */
    uint64_t version;
    uint64_t first, gone; /* the first version that had it; one behind it that had not, or 0 */
};

/* A keyspace is one for as long as its groups are: ids and names come again. */
struct keyspace_chart {
    uint32_t first_group, id;
    uint64_t created;
    char name[KEYSPACE_NAME_BYTES];
};

/* Where a prefix leads. */
struct path {
    struct freeze prefix; /* one */
    uint32_t first_group;
};

struct charts {
    uint64_t *digest; /* by version; 0: it was not seen */
    uint64_t versions, seen;
    struct group_chart *groups; /* by number */
    uint64_t group_count;
    struct keyspace_chart *keyspaces;
    uint32_t keyspace_count;
    uint64_t latest; /* version, and the settings then, and where prefixes led */
    struct map_settings settings;
    struct path *paths;
    uint32_t path_count;
};

struct charts *charts_new(void)
{
    return qr_zalloc(sizeof(struct charts));
}

void charts_free(struct charts *c)
{
    if (c != NULL) {
        free(c->digest);
        free(c->groups);
        free(c->keyspaces);
        free(c->paths);
        free(c);
    }
}

uint64_t charts_seen(const struct charts *c)
{
    return c->seen;
}

/* --- One version, one state ----------------------------------------------------------------- */

static uint64_t mix(uint64_t digest, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        digest = (digest ^ p[i]) * 0x100000001b3u;
    }
    return digest;
}

static uint64_t digest_of(const struct map *map)
{
    uint8_t value[MAP_VALUE_BYTES_MAX];
    uint64_t digest = mix(0xcbf29ce484222325u, value, map_settings_write(map_settings(map), value));
    for (uint32_t i = 0; i < map_keyspace_count(map); i++) {
        const struct map_keyspace *k = map_keyspace_at(map, i);
        digest = mix(digest ^ k->id, value, map_keyspace_write(k, value));
    }
    const struct map_partition *p = map_partition_after(map, 0);
    for (; p != NULL; p = map_partition_after(map, p->group)) {
        digest = mix(digest ^ p->group, value, map_partition_write(p, value));
        const struct succession *s = map_succession(map, p->group);
        digest = s != NULL ? mix(digest, value, map_succession_write(s, value)) : digest;
    }
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        const struct map_node *n = map_node(map, i);
        digest = n->id != 0 ? mix(digest ^ i, value, map_node_write(n, value)) : digest;
    }
    return digest != 0 ? digest : 1;
}

/* Room for `count` things of `size` bytes, the new ones zero. */
static void *grown(void *v, uint64_t before, uint64_t count, size_t size)
{
    v = qr_realloc(v, count * size);
    memset((char *)v + before * size, 0, (count - before) * size);
    return v;
}

/* Whether the version was not seen before; *wrong: another state was. */
static bool is_new(struct charts *c, const struct map *map, uint64_t version, const char **wrong)
{
    if (version >= c->versions) {
        c->digest = grown(c->digest, c->versions, version * 2 + 64, sizeof *c->digest);
        c->versions = version * 2 + 64;
    }
    uint64_t digest = digest_of(map), *there = &c->digest[version];
    bool fresh = *there == 0;
    if (!fresh && *there != digest) {
        *wrong = "two control states have one version";
    }
    *there = digest;
    c->seen += fresh ? 1 : 0;
    return fresh;
}

/* --- What goes forward ---------------------------------------------------------------------- */

static bool is_before(const struct map_partition *a, const struct map_partition *b)
{
    bool held = a->epoch < b->epoch || a->wish == b->wish;
    return held && a->epoch <= b->epoch && a->settled <= b->settled &&
           (a->moved & ~b->moved) == 0;
}

static const char *see_group(struct charts *c, const struct map_partition *p, uint64_t version)
{
    if (p->group >= c->group_count) {
        c->groups = grown(c->groups, c->group_count, p->group * 2 + 64, sizeof *c->groups);
        c->group_count = p->group * 2 + 64;
    }
    struct group_chart *g = &c->groups[p->group];
    bool known = g->is.group != 0, later = version > g->version;
    if (known && (g->is.founders != p->founders || g->is.first_slot != p->first_slot ||
                  g->is.last_slot != p->last_slot)) {
        return "a group was founded twice";
    }
    if (known && !(later ? is_before(&g->is, p) : is_before(p, &g->is))) {
        return "a group's record went back";
    }
    if (known && g->gone != 0 && version > g->gone) {
        return "a group that was dropped is there again";
    }
    g->first = known ? min_u64(g->first, version) : version;
    if (!known || later) {
        g->is = *p;
        g->version = version;
    }
    return NULL;
}

/* A group whose record that version has not. */
static const char *miss_group(struct group_chart *g, uint64_t version)
{
    if (version > g->version) {
        g->gone = g->gone == 0 ? version : min_u64(g->gone, version);
    }
    return version > g->first && version < g->version ? "a group was gone in between" : NULL;
}

/* Whether it is one of those that its keyspace has. */
static bool is_one_of(const struct map_partition *p, const struct map_keyspace *k)
{
    return k != NULL && p->group == k->first_group + p->index && p->index < k->partitions;
}

static const char *see_groups(struct charts *c, const struct map *map, uint64_t version)
{
    const char *wrong = NULL;
    const struct map_partition *p = map_partition_after(map, 0);
    for (; p != NULL && wrong == NULL; p = map_partition_after(map, p->group)) {
        wrong = is_one_of(p, map_keyspace(map, p->keyspace))
                    ? see_group(c, p, version)
                    : "a partition is there without its keyspace";
    }
    for (uint64_t group = 1; group < c->group_count && wrong == NULL; group++) {
        bool lacks = c->groups[group].is.group != 0 && map_partition(map, (uint32_t)group) == NULL;
        wrong = lacks ? miss_group(&c->groups[group], version) : NULL;
    }
    return wrong;
}

static struct keyspace_chart *find(struct charts *c, uint32_t first_group)
{
    for (uint32_t i = 0; i < c->keyspace_count; i++) {
        if (c->keyspaces[i].first_group == first_group) {
            return &c->keyspaces[i];
        }
    }
    return NULL;
}

/* Whether it has its partitions, all of them and in order. */
static bool is_whole(const struct map *map, const struct map_keyspace *k)
{
    for (uint32_t i = 0; i < k->partitions; i++) {
        const struct map_partition *p = map_partition_at(map, k->id, i);
        if (p == NULL || p->group != k->first_group + i) {
            return false;
        }
    }
    return true;
}

static const char *see_keyspace(struct charts *c, const struct map *map,
                                const struct map_keyspace *k, struct ordered *ordered)
{
    struct keyspace_chart *known = find(c, k->first_group);
    if (k->state == KEYSPACE_IN_USE && !is_whole(map, k)) {
        return "a keyspace is there without its partitions";
    }
    if (known != NULL) {
        bool same = known->id == k->id && known->created == k->created &&
                    strcmp(known->name, k->name) == 0;
        return same ? NULL : "two keyspaces were made of the same groups";
    }
    c->keyspaces = grown(c->keyspaces, c->keyspace_count, c->keyspace_count + 1ull,
                         sizeof *c->keyspaces);
    known = &c->keyspaces[c->keyspace_count++];
    *known = (struct keyspace_chart){ .first_group = k->first_group,
                                      .id = k->id,
                                      .created = k->created };
    memcpy(known->name, k->name, sizeof known->name);
    return ordered_saw(ordered, k->name);
}

/* Numbers of groups are given once; nothing else that counts goes back either. */
static const char *see_settings(struct charts *c, const struct map_settings *s, uint64_t version)
{
    bool later = version > c->latest;
    const struct map_settings *a = later ? &c->settings : s, *b = later ? s : &c->settings;
    if (a->next_group > b->next_group) {
        return "numbers of groups were given back";
    }
    if (a->level > b->level || a->balance > b->balance) {
        return "a level or a rebalance was taken back";
    }
    c->settings = *b;
    c->latest = later ? version : c->latest;
    return NULL;
}

/* --- Prefixes ------------------------------------------------------------------------------- */

static struct span prefix_of(const struct map_keyspace *k)
{
    return span_of(k->prefix, k->prefix_length);
}

static void note_paths(struct charts *c, const struct map *map)
{
    c->path_count = 0;
    c->paths = qr_realloc(c->paths, map_keyspace_count(map) * sizeof *c->paths);
    for (uint32_t i = 0; i < map_keyspace_count(map); i++) {
        const struct map_keyspace *k = map_keyspace_at(map, i);
        struct path path = { .first_group = k->first_group };
        if (freeze_add(&path.prefix, prefix_of(k))) {
            c->paths[c->path_count++] = path;
        }
    }
}

/* 0: to keyspace 0. */
static uint32_t leads_to(const struct charts *c, struct span key)
{
    uint32_t group = 0, longest = 0;
    for (uint32_t i = 0; i < c->path_count; i++) {
        const struct freeze *prefix = &c->paths[i].prefix;
        if (freeze_has(prefix, key) && prefix->prefix[0].n > longest) {
            longest = prefix->prefix[0].n;
            group = c->paths[i].first_group;
        }
    }
    return group;
}

/* Of a key that is a prefix, there or here. */
static bool leads_elsewhere(const struct charts *c, const struct map *map,
                            const struct freeze *frozen, struct span key)
{
    const struct map_keyspace *k = map_keyspace_of_key(map, key);
    uint32_t group = k != NULL ? k->first_group : 0;
    return key.n > 0 && !freeze_has(frozen, key) && leads_to(c, key) != group;
}

const char *charts_go_by(const struct charts *c, const struct map *map,
                         const struct freeze *frozen)
{
    bool wrong = false;
    for (uint32_t i = 0; i < map_keyspace_count(map); i++) {
        wrong = wrong || leads_elsewhere(c, map, frozen, prefix_of(map_keyspace_at(map, i)));
    }
    for (uint32_t i = 0; i < c->path_count; i++) {
        const struct frozen_prefix *p = &c->paths[i].prefix.prefix[0];
        wrong = wrong || leads_elsewhere(c, map, frozen, span_of(p->bytes, p->n));
    }
    return wrong ? "it goes by a prefix that leads elsewhere" : NULL;
}

/* -------------------------------------------------------------------------------------------- */

const char *charts_see(struct charts *c, const struct map *map, uint64_t version,
                       struct ordered *ordered)
{
    const char *wrong = NULL;
    if (!is_new(c, map, version, &wrong) || version == 0) {
        return wrong;
    }
    if (version > c->latest) {
        note_paths(c, map);
    }
    wrong = see_settings(c, map_settings(map), version);
    wrong = wrong == NULL ? see_groups(c, map, version) : wrong;
    for (uint32_t i = 0; i < map_keyspace_count(map) && wrong == NULL; i++) {
        wrong = see_keyspace(c, map, map_keyspace_at(map, i), ordered);
    }
    return wrong;
}
