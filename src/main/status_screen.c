/* What `quorate status` prints for people: one screen. */
#include "main/status.h"

#include "main/table.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#define STALL_SHOWN_US 100000 /* of the loop, since the node's start */

typedef unsigned long long ull; /* what printf calls 64 bits */

static const char *many(uint64_t n)
{
    return n == 1 ? "" : "s";
}

static void age_text(int64_t ms, char out[32])
{
    int64_t s = ms < 0 ? 0 : ms / 1000;
    if (s < 120) {
        (void)snprintf(out, 32, "%" PRId64 " s", s);
    } else if (s < 7200) {
        (void)snprintf(out, 32, "%" PRId64 " min", s / 60);
    } else {
        (void)snprintf(out, 32, "%" PRId64 " h", s / 3600);
    }
}

static void print_head(const struct status *s, const char *asked, FILE *out)
{
    char clock[32] = "", level[32] = "", partitions[32];
    time_t seconds = (time_t)(s->clock_ms / 1000);
    struct tm local;
    if (localtime_r(&seconds, &local) != NULL) {
        (void)strftime(clock, sizeof clock, "%H:%M:%S", &local);
    }
    if (s->level > 0) {
        (void)snprintf(level, sizeof level, ", level %" PRId64, s->level);
    }
    table_count_text(s->partitions, partitions);
    (void)fprintf(out, "cluster %.8s: %u node%s, %u keyspace%s, %s partition%s%s; %s\n",
                  s->cluster[0] != 0 ? s->cluster : "?", s->node_count, many(s->node_count),
                  s->keyspace_count, many(s->keyspace_count), partitions, many(s->partitions),
                  level, clock);
    (void)fprintf(out, "as node %" PRId64 " sees it (%s): ", s->asked, asked);
    if (s->leader == 0) {
        (void)fprintf(out, "NO LEADER of group 0\n");
    } else {
        (void)fprintf(out, "node %" PRId64 " leads in term %" PRId64 "%s\n", s->leader, s->term,
                      s->can_serve ? "" : ", not serving yet");
    }
}

/* --- Nodes ----------------------------------------------------------------------------------- */

static void put_or_blank(struct table *t, bool known, const char *text)
{
    table_put(t, "%s", known ? text : "");
}

static void put_node(struct table *t, const struct status_node *n)
{
    char text[32];
    table_put(t, "%" PRId64 "%s", n->id, n->leads ? "*" : "");
    table_put(t, "%s", n->address);
    const char *role = strcmp(n->role, "voter") == 0  ? ""
                       : strcmp(n->role, "none") == 0 ? "leaving" /* it is being taken out */
                                                      : n->role;
    table_put(t, "%s%s%s%s%s", n->state, role[0] != 0 ? ", " : "", role,
              n->draining ? ", draining" : "", n->answered && !n->lease ? ", no lease" : "");
    table_put(t, "%s", n->zone);
    table_count_text(n->leaders, text);
    table_put(t, "%s", text);
    table_count_text(n->replicas, text);
    table_put(t, "%s", text);
    (void)snprintf(text, sizeof text, "%.1f %%", 100 * n->cpu);
    put_or_blank(t, n->cpu >= 0, text);
    table_bytes_text(n->memory, text);
    put_or_blank(t, n->answered, text);
    table_bytes_text(n->disk_free > 0 ? (uint64_t)n->disk_free : 0, text);
    put_or_blank(t, n->disk_free > 0, text);
    (void)snprintf(text, sizeof text, "%llu ms", (ull)(n->stall_us / 1000));
    put_or_blank(t, n->stall_us >= STALL_SHOWN_US, text);
    table_count_text(n->lag > 0 ? (uint64_t)n->lag : 0, text);
    put_or_blank(t, n->lag > 0, text);
}

static void print_nodes(const struct status *s, uint32_t width, FILE *out)
{
    static const char *const titles[] = { ">node", "address", "state", "zone",   ">leads", ">holds",
                                          ">cpu",  ">memory", ">free", ">stall", ">lag" };
    struct table t;
    table_begin(&t, titles, ARRAY_COUNT(titles));
    for (uint32_t i = 0; i < s->node_count; i++) {
        put_node(&t, &s->nodes[i]);
    }
    (void)fputs("\n", out);
    table_print(&t, width, out);
    table_free(&t);
}

/* --- Keyspaces ------------------------------------------------------------------------------- */

static void put_quota(struct table *t, const struct status_keyspace *k)
{
    char bytes[32], ops[32];
    table_bytes_text((uint64_t)k->maxmemory, bytes);
    table_count_text((uint64_t)k->maxops, ops);
    table_put(t, "%s%s%s%s", k->maxmemory > 0 ? bytes : "",
              k->maxmemory > 0 && k->maxops > 0 ? ", " : "", k->maxops > 0 ? ops : "",
              k->maxops > 0 ? "/s" : "");
}

static void print_keyspaces(const struct status *s, uint32_t width, FILE *out)
{
    static const char *const titles[] = { ">id",   "keyspace", ">replicas", ">partitions",
                                          ">keys", ">bytes",   ">ops/s",    ">lag",
                                          "quota", "prefix",   "state" };
    struct table t;
    char text[32];
    if (s->keyspace_count == 0) {
        return;
    }
    table_begin(&t, titles, ARRAY_COUNT(titles));
    for (uint32_t i = 0; i < s->keyspace_count; i++) {
        const struct status_keyspace *k = &s->keyspaces[i];
        table_put(&t, "%" PRId64, k->id);
        table_put(&t, "%s", k->name);
        table_put(&t, "%" PRId64, k->replicas);
        table_count_text((uint64_t)k->partitions, text);
        table_put(&t, "%s", text);
        table_count_text((uint64_t)k->keys, text);
        put_or_blank(&t, k->counted, text);
        table_bytes_text((uint64_t)k->bytes, text);
        put_or_blank(&t, k->counted, text);
        table_count_text((uint64_t)k->ops, text);
        put_or_blank(&t, k->counted, text);
        table_count_text((uint64_t)k->lag, text);
        put_or_blank(&t, k->counted && k->lag > 0, text);
        put_quota(&t, k);
        table_put(&t, "%s", k->prefix);
        table_put(&t, "%s", strcmp(k->state, "in use") == 0 ? "" : k->state);
    }
    (void)fputs("\n", out);
    table_print(&t, width, out);
    table_free(&t);
}

/* --- What needs a look ----------------------------------------------------------------------- */

static void print_sick(const struct status *s, uint32_t width, FILE *out)
{
    static const char *const titles[] = { "keyspace", ">partition", ">group", "slots",
                                          "nodes",    ">leader",    "why" };
    char count[32];
    uint64_t sick = s->sick[SICK_NO_LEADER] + s->sick[SICK_REPLICA_AWAY] + s->sick[SICK_MOVING];
    struct table t;
    if (sick == 0) {
        table_count_text(s->partitions, count);
        (void)fprintf(out, "partitions: %s%s healthy\n", s->partitions == 1 ? "" : "all ", count);
        return;
    }
    table_count_text(s->partitions, count);
    (void)fprintf(out, "partitions of %s: no leader %llu, replica away %llu, moving %llu\n%s",
                  count, (ull)s->sick[SICK_NO_LEADER], (ull)s->sick[SICK_REPLICA_AWAY],
                  (ull)s->sick[SICK_MOVING],
                  s->listed_count == STATUS_LISTED_MAX ? "the first of them:\n" : "");
    if (s->listed_count == 0) {
        return;
    }
    table_begin(&t, titles, ARRAY_COUNT(titles));
    for (uint32_t i = 0; i < s->listed_count; i++) {
        const struct status_sick *p = &s->listed[i];
        table_put(&t, "%s", p->keyspace);
        table_put(&t, "%" PRId64, p->partition);
        table_put(&t, "%" PRId64, p->group);
        table_put(&t, "%s", p->slots);
        table_put(&t, "%s", p->nodes);
        table_put(&t, p->leader > 0 ? "%" PRId64 : "-", p->leader);
        table_put(&t, "%s", p->why);
    }
    table_print(&t, width, out);
    table_free(&t);
}

static void print_alarms(const struct status *s, uint32_t width, FILE *out)
{
    static const char *const titles[] = { "alarm", ">node", ">for", "id", "text" };
    struct table t;
    char age[32];
    if (s->alarm_count == 0) {
        (void)fputs("\nalarms: none\n", out);
        return;
    }
    (void)fprintf(out, "\nalarms: %u%s\n", s->alarm_count,
                  s->alarm_count > s->alarms_listed ? ", the oldest of them" : "");
    table_begin(&t, titles, ARRAY_COUNT(titles));
    for (uint32_t i = 0; i < s->alarms_listed; i++) {
        age_text(s->clock_ms - s->alarms[i].since_ms, age);
        table_put(&t, "%s%s", s->alarms[i].alarm, s->alarms[i].until_ms != 0 ? " (over)" : "");
        table_put(&t, "%" PRId64, s->alarms[i].node);
        table_put(&t, "%s", age);
        table_put(&t, "%s", s->alarms[i].id);
        table_put(&t, "%s", s->alarms[i].text);
    }
    table_print(&t, width, out);
    table_free(&t);
}

static void print_moves(const struct status_moves *m, uint32_t width, FILE *out)
{
    static const char *const titles[] = { "keyspace", ">partition", "from",    "to",
                                          ">done",    ">left",      ">entries" };
    struct table t;
    char left[32], speed[32], rate[32], entries[32];
    if (!m->balancing && m->under_way + m->left + m->stuck == 0) {
        return;
    }
    table_bytes_text((uint64_t)m->bytes_left, left);
    table_bytes_text((uint64_t)m->bytes_per_second, speed);
    table_bytes_text((uint64_t)m->rate, rate);
    (void)fprintf(out,
                  "moves: %" PRId64 " under way, %" PRId64 " to begin, %s left at %s/s%s%s%s\n",
                  m->under_way, m->left, left, speed, m->rate > 0 ? " (rate " : "",
                  m->rate > 0 ? rate : "", m->rate > 0 ? "/s)" : "");
    if (m->stuck > 0) {
        (void)fprintf(out, "moves with nowhere to go: %" PRId64 "\n", m->stuck);
    }
    if (m->listed_count == 0) {
        return;
    }
    table_begin(&t, titles, ARRAY_COUNT(titles));
    for (uint32_t i = 0; i < m->listed_count; i++) {
        const struct status_move *row = &m->listed[i];
        table_bytes_text((uint64_t)row->bytes_left, left);
        table_count_text((uint64_t)row->entries_left, entries);
        table_put(&t, "%s", row->keyspace);
        table_put(&t, "%" PRId64, row->partition);
        table_put(&t, "%s", row->from);
        table_put(&t, "%s", row->to);
        table_put(&t, "%" PRId64 " %%", row->percent);
        table_put(&t, "%s", left);
        table_put(&t, "%s", entries);
    }
    table_print(&t, width, out);
    table_free(&t);
}

static void print_cut(const char *text, uint32_t width, FILE *out)
{
    (void)fprintf(out, "%.*s\n", (int)width, text);
}

void status_print(const struct status *s, const char *asked, uint32_t width, FILE *out)
{
    char line[STATUS_TEXT_BYTES + 16];
    print_head(s, asked, out);
    print_nodes(s, width, out);
    print_keyspaces(s, width, out);
    print_alarms(s, width, out);
    print_moves(&s->moves, width, out);
    print_sick(s, width, out); /* last: it may be longer than the screen */
    for (uint32_t i = 0; i < s->note_count; i++) {
        (void)snprintf(line, sizeof line, "(%s)", s->notes[i]);
        print_cut(line, width, out);
    }
}
