/* Who is asked of several partitions, and when: see gather.h. */
#include "node/gather_internal.h"

#include "base/alloc.h"
#include "base/number.h"
#include "node/leaders.h"
#include "node/replica.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- The stream of its questions ------------------------------------------------------------ */

static struct gather *gather_of(struct stream *stream)
{
    return (struct gather *)((char *)stream - offsetof(struct gather, stream));
}

static struct reply *begin_answer(struct stream *stream, struct pending *p)
{
    struct gather *g = gather_of(stream);
    if (g->answer.parts != NULL) {
        reply_free(&g->answer);
        reply_init(&g->answer, p->version);
    }
    reply_reset(&g->answer);
    g->answer.version = p->version;
    return &g->answer;
}

/* Of nothing else its client has seen, or made, a state: as of a single partition (stream.c). */
static bool is_of_a_state(const struct pending *p, enum qr_status status)
{
    bool done = status == STATUS_OK || status == STATUS_ZONES;
    return done && !p->refused && p->spec->place != PLACE_WAIT;
}

/* Its client has seen what the partition has answered, or has changed it. */
static void note_answered(const struct gather *g, const struct pending *p, enum qr_status status)
{
    struct strands *strands = &g->parent->stream->strands;
    if (is_of_a_state(p, status)) {
        strands_note_proven(strands, p->node->map, p->partition->group, p->shown.slot);
    }
    if (g->kind == GATHER_DONE) { /* whatever became of it */
        strand_of(strands, p->partition->group)->wrote_at = p->node->clock;
    }
}

static void end_answer(struct stream *stream, struct pending *p, enum qr_status status)
{
    struct gather *g = gather_of(stream);
    qr_assert(g->open > 0);
    g->open--;
    if (g->parent->stream != NULL) {
        note_answered(g, p, status);
    }
    gather_note(g, p);
    stream->node->again = true; /* gather_turn goes on */
}

static bool is_congested(const struct stream *stream)
{
    (void)stream;
    return false;
}

/* --- Whom to ask ---------------------------------------------------------------------------- */

static bool is_led_here(const struct node *node, uint32_t group)
{
    const struct partition *partition = partition_of_group(node, group);
    return partition != NULL && leaders_of(partition) == replica_me(node->zero->replica);
}

/* The group of that partition of the keyspace; false: it is none of those that are meant. */
static bool group_at(const struct node *node, const struct map_keyspace *keyspace, uint32_t index,
                     bool led_here, uint32_t *out)
{
    const struct map_partition *p = map_partition_at(node->map, keyspace->id, index);
    *out = keyspace->id == 0 ? 0 : p != NULL ? p->group : UINT32_MAX; /* that one fails */
    return !led_here || is_led_here(node, *out);
}

static void add_group(struct gather *g, uint32_t group)
{
    g->groups[g->count++] = group;
}

static void add_keyspace(struct gather *g, const struct map_keyspace *keyspace, bool led_here)
{
    g->groups = qr_alloc((keyspace->partitions + 1) * sizeof *g->groups);
    for (uint32_t i = 0; i < keyspace->partitions; i++) {
        uint32_t group;
        if (group_at(g->router->node, keyspace, i, led_here, &group)) {
            add_group(g, group);
        }
    }
}

/* All that a WAIT may be about: where some of it is forgotten, all that there is. */
static void add_written(struct gather *g, const struct strands *strands)
{
    const struct map *map = g->router->node->map;
    if (!strands->forgot) {
        uint32_t cap = strands->count + 1;
        g->groups = qr_alloc(cap * sizeof *g->groups);
        g->count = strands_written(strands, g->groups, cap);
        return;
    }
    g->groups = qr_alloc(map_partition_count(map) * sizeof *g->groups);
    for (const struct map_partition *p = map_partition(map, 0); p != NULL;
         p = map_partition_after(map, p->group)) {
        add_group(g, p->group);
    }
}

/* A partition that a client has written to and that was dropped since has nothing to wait for. */
static void drop_unknown(struct gather *g)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < g->count; i++) {
        if (partition_of_group(g->router->node, g->groups[i]) != NULL) {
            g->groups[kept++] = g->groups[i];
        }
    }
    g->count = kept;
}

uint32_t gather_written(const struct stream *stream, uint32_t *group)
{
    uint32_t two[2];
    uint32_t n = strands_written(&stream->strands, two, 2);
    *group = two[0];
    return stream->strands.forgot || n > 1 ? 2 : n;
}

/* --- SCAN ----------------------------------------------------------------------------------- */

/* The first partition from `index` on that is meant; its group too. */
static uint32_t scan_from(const struct node *node, const struct map_keyspace *keyspace,
                          uint64_t index, bool led_here, uint32_t *group)
{
    uint32_t i = (uint32_t)min_u64(index, keyspace->partitions);
    while (i < keyspace->partitions && !group_at(node, keyspace, i, led_here, group)) {
        i++;
    }
    return i;
}

/* Which partition the cursor is in, and the cursor within it, which takes its place. What is no
 * cursor goes to the first one, which says so. */
static struct span aim_scan(struct gather *g, const struct map_keyspace *keyspace,
                            struct span cursor, bool led_here, char text[24])
{
    const struct node *node = g->router->node;
    int64_t whole;
    bool valid = number_from(cursor, &whole) && whole >= 0;
    uint64_t index = valid ? (uint64_t)whole >> SCAN_CURSOR_BITS : 0;
    uint32_t group = UINT32_MAX, behind;
    g->scan_count = keyspace->partitions;
    g->scan_index = scan_from(node, keyspace, index, led_here, &group);
    g->scan_next = scan_from(node, keyspace, (uint64_t)g->scan_index + 1, led_here, &behind);
    g->groups = qr_alloc(sizeof *g->groups);
    if (g->scan_index < g->scan_count) {
        add_group(g, group);
    }
    if (!valid) {
        return cursor;
    }
    uint64_t within = (uint64_t)whole & (((uint64_t)1 << SCAN_CURSOR_BITS) - 1);
    within = g->scan_index == index ? within << STORE_SCAN_FINE : 0;
    return span_of(text, (size_t)snprintf(text, 24, "%" PRIu64, within));
}

/* --- Beginning ------------------------------------------------------------------------------ */

static bool kind_of(const struct command_spec *spec, enum gather_kind *out)
{
    static const struct {
        const char *name;
        enum gather_kind kind;
    } kinds[] = { { "dbsize", GATHER_SUM },    { "wait", GATHER_LEAST },
                  { "waitaof", GATHER_LEAST }, { "keys", GATHER_KEYS },
                  { "randomkey", GATHER_ANY }, { "flushdb", GATHER_DONE },
                  { "flushall", GATHER_DONE }, { "scan", GATHER_SCAN } };
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        if (strcmp(spec->name, kinds[i].name) == 0) {
            *out = kinds[i].kind;
            return true;
        }
    }
    return false;
}

static struct gather *make(struct router *router, struct pending *parent, enum gather_kind kind,
                           const struct route *route)
{
    struct gather *g = qr_zalloc(sizeof *g);
    g->router = router;
    g->parent = parent;
    g->kind = kind;
    (void)snprintf(g->keyspace, sizeof g->keyspace, "%s", route->keyspace->name);
    stream_init(&g->stream, router->node, STREAM_GATHER);
    g->stream.sender = parent->stream->sender;
    g->stream.begin_reply = begin_answer;
    g->stream.end_reply = end_answer;
    g->stream.is_congested = is_congested;
    reply_init(&g->keys, parent->version);
    reply_init(&g->answer, parent->version);
    struct gather **last = &router->gathers;
    while (*last != NULL) {
        last = &(*last)->next;
    }
    *last = g;
    return g;
}

/* The command as the partitions are to carry it out. */
static void keep_op(struct pending *p, const struct span *argv, uint32_t argc)
{
    uint32_t words = command_name_words(p->spec);
    struct op head = { .level = SEMANTICS_LEVEL, .tag = p->spec->tag, .argc = argc - words };
    size_t n = op_bytes(argv + words, argc - words);
    op_write(pending_take_room(p, n), &head, argv + words, argc - words);
}

void gather_command(struct router *router, struct stream *stream, const struct route *route,
                    const struct command_spec *spec, uint8_t version, const struct span *argv,
                    uint32_t argc, bool silent, bool led_here)
{
    struct node *node = router->node;
    struct pending *p = stream_push(stream, spec, version, node->clock);
    enum gather_kind kind;
    p->silent = silent;
    if (!kind_of(spec, &kind)) {
        reply_errorf(stream_reply(p),
                     "ERR %s is not there for keyspaces of several partitions ('%s' has %u)",
                     spec->name, route->keyspace->name, (unsigned)route->keyspace->partitions);
        stream_answered(p, STATUS_OK);
        return;
    }
    p->state = PENDING_GATHERING;
    p->alone = true; /* G1 */
    stream->alone++;
    struct gather *g = make(router, p, kind, route);
    char text[24];
    if (kind == GATHER_SCAN) {
        struct span *copy = qr_alloc(argc * sizeof *copy);
        memcpy(copy, argv, argc * sizeof *copy);
        copy[1] = aim_scan(g, route->keyspace, argv[1], led_here, text);
        keep_op(p, copy, argc);
        free(copy);
    } else {
        keep_op(p, argv, argc);
    }
    if (kind == GATHER_LEAST) {
        add_written(g, &stream->strands);
        drop_unknown(g);
    } else if (kind != GATHER_SCAN) {
        add_keyspace(g, route->keyspace, led_here);
    }
    if (kind == GATHER_ANY && g->count > 0) {
        g->first = (uint32_t)(router->node->next_sequence * 0x9e3779b97f4a7c15u >> 33) % g->count;
    }
    node->again = true;
}

/* --- The turn ------------------------------------------------------------------------------- */

static void free_gather(struct gather *g)
{
    struct gather **link = &g->router->gathers;
    while (*link != g) {
        link = &(*link)->next;
    }
    *link = g->next;
    stream_detach(&g->stream);
    reply_free(&g->keys);
    reply_free(&g->answer);
    free(g->groups);
    free(g);
}

/* The client is about to change something there, by another stream's hands: for WAIT, at a slot
 * that is not known. */
static void note_write(const struct gather *g, uint32_t group)
{
    struct stream *stream = g->parent->stream;
    if (g->kind == GATHER_DONE && stream != NULL && !stream->strands.forgot) {
        struct strand *strand = strand_of(&stream->strands, group);
        strand->wrote = true;
        strand->last_write = 0;
    }
}

/* One more question: the same command, and of WAIT what is left of its time. */
static void ask(struct gather *g, uint32_t group)
{
    struct pending *parent = g->parent;
    struct partition *partition = partitions_of_map(g->router->node, group);
    g->asked++;
    if (partition == NULL) {
        gather_fail(g, group, "CLUSTERDOWN the partition is not there");
        return;
    }
    struct pending *p = stream_push(&g->stream, parent->spec, parent->version, parent->node->clock);
    pending_want(p, &(struct wants){ .expires = parent->wants.expires,
                                     .copies = parent->wants.copies,
                                     .each_zone = parent->wants.each_zone });
    pending_join(p, partition);
    memcpy(pending_take_room(p, parent->op_bytes), parent->op, parent->op_bytes);
    if (parent->spec->place == PLACE_WAIT) {
        p->until = parent->until;
        p->arrived = parent->arrived;
        router_shorten_wait(g->router, p);
    }
    note_write(g, group);
    g->open++;
    router_take(g->router, p);
}

static bool is_begun(struct gather *g)
{
    if (!g->begun && g->parent->stream != NULL && g->parent->stream->first != g->parent) {
        return false; /* G1 */
    }
    g->begun = true;
    return true;
}

/* Nobody waits for the answer, and nothing is changed. */
static bool is_pointless(const struct gather *g)
{
    return g->parent->stream == NULL && (g->kind != GATHER_DONE || g->asked == 0);
}

static void finish(struct gather *g)
{
    struct pending *parent = g->parent;
    gather_reply(g, stream_reply(parent));
    free_gather(g);
    stream_answered(parent, STATUS_OK);
}

static void go_on(struct gather *g)
{
    bool stop = g->error[0] != 0 || g->enough || is_pointless(g);
    while (!stop && g->asked < g->count && g->open < GATHER_WINDOW) {
        ask(g, g->groups[(g->first + g->asked) % g->count]);
        stop = g->error[0] != 0 || g->enough;
    }
    bool over = g->open == 0 && (stop || g->asked == g->count);
    if (over || g->enough || is_pointless(g)) {
        finish(g);
    }
}

void gather_turn(struct router *router)
{
    struct gather *next;
    for (struct gather *g = router->gathers; g != NULL; g = next) {
        next = g->next;
        if (is_begun(g)) {
            go_on(g);
        }
    }
}

void gather_free_all(struct router *router)
{
    while (router->gathers != NULL) {
        free_gather(router->gathers);
    }
}
