/* Asks one node for what `quorate status` shows. See status.h. */
#include "main/status.h"

#include "base/alloc.h"
#include "base/number.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define OTHERS_PATIENCE_MS 300 /* with each of the other nodes */

static void note(struct status *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void note(struct status *s, const char *format, ...)
{
    if (s->note_count < ARRAY_COUNT(s->notes)) {
        va_list arguments;
        va_start(arguments, format);
        (void)vsnprintf(s->notes[s->note_count++], STATUS_TEXT_BYTES, format, arguments);
        va_end(arguments);
    }
}

static void copy(char *out, size_t cap, struct span text)
{
    size_t n = text.n < cap ? text.n : cap - 1;
    if (n > 0) {
        memcpy(out, text.p, n);
    }
    out[n] = 0;
}

#define COPY(field, text) copy(field, sizeof(field), text)

/* --- INFO ------------------------------------------------------------------------------------ */

/* What stands behind "name:" at the beginning of a line. */
static struct span info_text(struct span info, const char *name)
{
    size_t n = strlen(name);
    const uint8_t *end = info.p + info.n;
    for (const uint8_t *line = info.p; line < end;) {
        const uint8_t *stop = memchr(line, '\n', (size_t)(end - line));
        stop = stop == NULL ? end : stop;
        size_t length = (size_t)(stop - line);
        length -= length > 0 && line[length - 1] == '\r' ? 1 : 0;
        if (length > n && memcmp(line, name, n) == 0 && line[n] == ':') {
            return span_of(line + n + 1, length - n - 1);
        }
        line = stop + 1;
    }
    return span_of(NULL, 0);
}

static int64_t info_number(struct span info, const char *name)
{
    int64_t v = 0;
    return number_from(info_text(info, name), &v) ? v : 0;
}

static double info_decimal(struct span info, const char *name)
{
    char text[40];
    COPY(text, info_text(info, name));
    return strtod(text, NULL);
}

/* Of "id=1,role=voter": what stands behind "name=". */
static struct span row_text(struct span row, const char *name)
{
    size_t n = strlen(name);
    const uint8_t *end = row.p + row.n;
    for (const uint8_t *at = row.p; at < end;) {
        const uint8_t *stop = memchr(at, ',', (size_t)(end - at));
        stop = stop == NULL ? end : stop;
        if ((size_t)(stop - at) > n && memcmp(at, name, n) == 0 && at[n] == '=') {
            return span_of(at + n + 1, (size_t)(stop - at) - n - 1);
        }
        at = stop + 1;
    }
    return span_of(NULL, 0);
}

static int64_t row_number(struct span row, const char *name)
{
    int64_t v = 0;
    return number_from(row_text(row, name), &v) ? v : 0;
}

static void take_nodes(struct status *s, struct span info)
{
    for (int i = 0; i < MEMBERS_MAX; i++) {
        char name[32], host[64], port[8];
        (void)snprintf(name, sizeof name, "raft_member%d", i);
        struct span row = info_text(info, name);
        if (row.n == 0) {
            continue;
        }
        struct status_node *n = &s->nodes[s->node_count++];
        *n = (struct status_node){ .id = row_number(row, "id"), .cpu = -1 };
        n->lag = row_number(row, "lag");
        COPY(host, row_text(row, "addr"));
        COPY(port, row_text(row, "port"));
        (void)snprintf(n->address, sizeof n->address, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host,
                       port);
        COPY(n->role, row_text(row, "role"));
        COPY(n->state, row_text(row, "state"));
        n->self = n->id == s->asked;
        n->leads = n->id == s->leader;
        if (n->self) {
            (void)snprintf(n->state, sizeof n->state, "up");
        } else if (strcmp(n->state, "connected") == 0) {
            (void)snprintf(n->state, sizeof n->state, "up");
        }
    }
}

/* What a node says of itself. */
static void take_self(struct status_node *n, struct span info, const struct status_node *before)
{
    n->answered = true;
    n->uptime_s = (double)info_number(info, "server_time_usec") / 1e6;
    n->cpu_s = info_decimal(info, "used_cpu_sys") + info_decimal(info, "used_cpu_user");
    n->memory = (uint64_t)info_number(info, "used_memory_rss");
    n->stall_us = (uint64_t)info_number(info, "loop_stall_max_usec");
    n->disk_free = info_number(info, "disk_free_bytes");
    n->space_low = info_number(info, "log_space_low") != 0;
    n->lease = info_number(info, "lease_held") != 0;
    COPY(n->version, info_text(info, "quorate_version"));
    if (before != NULL && before->answered && n->uptime_s > before->uptime_s &&
        n->cpu_s >= before->cpu_s) {
        n->cpu = (n->cpu_s - before->cpu_s) / (n->uptime_s - before->uptime_s);
    }
}

static const struct status_node *same_node(const struct status *before, int64_t id)
{
    for (uint32_t i = 0; before != NULL && i < before->node_count; i++) {
        if (before->nodes[i].id == id) {
            return &before->nodes[i];
        }
    }
    return NULL;
}

static bool take_info(struct status *s, struct talk *talk, const struct status *before)
{
    if (!talk_ask_line(talk, "INFO everything") || talk_refused(talk)) {
        (void)snprintf(s->error, sizeof s->error, "%.*s", (int)sizeof s->error - 1, talk->error);
        return false;
    }
    struct span info = tree_text(&talk->reply, 0);
    if (info_text(info, "quorate_version").n == 0) {
        (void)snprintf(s->error, sizeof s->error, "it is no Quorate");
        return false;
    }
    COPY(s->version, info_text(info, "quorate_version"));
    s->asked = info_number(info, "raft_node_id");
    s->leader = info_number(info, "raft_leader_id");
    s->term = info_number(info, "raft_term");
    s->commit = info_number(info, "raft_commit");
    s->applied = info_number(info, "raft_applied");
    s->level = info_number(info, "cluster_level");
    s->can_serve = s->leader != s->asked || info_number(info, "raft_can_serve") != 0;
    s->clock_ms = info_number(info, "server_time_usec") / 1000;
    take_nodes(s, info);
    for (uint32_t i = 0; i < s->node_count; i++) {
        if (s->nodes[i].self) {
            take_self(&s->nodes[i], info, same_node(before, s->asked));
        }
    }
    return true;
}

/* --- What a command answers ------------------------------------------------------------------ */

/* False: there is no answer, or it is an error, which becomes a note. */
static bool ask(struct status *s, struct talk *talk, const char *line)
{
    if (!talk_ask_line(talk, line)) {
        note(s, "%s: %s", line, talk->error);
        return false;
    }
    if (talk_refused(talk)) {
        note(s, "%s: %s", line, talk->error);
        return false;
    }
    return true;
}

static struct span field_text(const struct tree *t, uint32_t item, const char *name)
{
    return tree_text(t, tree_field(t, item, name));
}

static int64_t field_number(const struct tree *t, uint32_t item, const char *name)
{
    return tree_number(t, tree_field(t, item, name));
}

static void take_alarms(struct status *s, struct talk *talk)
{
    const struct tree *t = &talk->reply;
    if (!ask(s, talk, "ALARM LIST")) {
        return;
    }
    s->alarm_count = tree_length(t, 0);
    uint32_t at = 1;
    for (uint32_t i = 0; i < s->alarm_count; i++, at = t->items[at].end) {
        if (i >= STATUS_LISTED_MAX) {
            break;
        }
        COPY(s->alarms[i].id, field_text(t, at, "id"));
        COPY(s->alarms[i].alarm, field_text(t, at, "alarm"));
        COPY(s->alarms[i].text, field_text(t, at, "text"));
        s->alarms[i].node = field_number(t, at, "node");
        s->alarms[i].since_ms = field_number(t, at, "since");
        s->alarms[i].until_ms = field_number(t, at, "until");
        s->alarms_listed++;
    }
}

static struct status_node *node_of(struct status *s, int64_t id)
{
    for (uint32_t i = 0; i < s->node_count; i++) {
        if (s->nodes[i].id == id) {
            return &s->nodes[i];
        }
    }
    return NULL;
}

static bool is_text(struct span text, const char *wanted)
{
    return text.n == strlen(wanted) && memcmp(text.p, wanted, text.n) == 0;
}

/* What stands in the control state about the nodes. */
static void take_members(struct status *s, struct talk *talk)
{
    const struct tree *t = &talk->reply;
    if (!ask(s, talk, "MEMBER LIST")) {
        return;
    }
    uint32_t at = 1;
    for (uint32_t i = 0; i < tree_length(t, 0); i++, at = t->items[at].end) {
        struct status_node *n = node_of(s, field_number(t, at, "id"));
        if (n != NULL) {
            COPY(n->zone, field_text(t, at, "zone"));
            n->draining = is_text(field_text(t, at, "draining"), "yes");
            int64_t lag = field_number(t, at, "lag"); /* the leader's word, whoever is asked */
            n->lag = lag > n->lag ? lag : n->lag;
        }
    }
}

static void take_keyspaces(struct status *s, struct talk *talk)
{
    const struct tree *t = &talk->reply;
    if (!ask(s, talk, "KEYSPACE LIST")) {
        return;
    }
    s->keyspace_count = tree_length(t, 0);
    s->keyspaces = qr_zalloc(s->keyspace_count * sizeof *s->keyspaces);
    uint32_t at = 1;
    for (uint32_t i = 0; i < s->keyspace_count; i++, at = t->items[at].end) {
        struct status_keyspace *k = &s->keyspaces[i];
        k->id = field_number(t, at, "id");
        k->replicas = field_number(t, at, "replicas");
        k->partitions = field_number(t, at, "partitions");
        COPY(k->name, field_text(t, at, "name"));
        COPY(k->strategy, field_text(t, at, "strategy"));
        COPY(k->prefix, field_text(t, at, "prefix"));
        COPY(k->state, field_text(t, at, "state"));
    }
}

/* --- Partitions ------------------------------------------------------------------------------ */

/* Counts a replica on each of "1,2,3"; how many of these nodes are away. */
static uint32_t count_replicas(struct status *s, struct span nodes)
{
    uint32_t away = 0;
    for (size_t at = 0; at < nodes.n;) {
        const uint8_t *comma = memchr(nodes.p + at, ',', nodes.n - at);
        size_t end = comma == NULL ? nodes.n : (size_t)(comma - nodes.p);
        int64_t id = 0;
        struct status_node *n = NULL;
        if (number_from(span_of(nodes.p + at, end - at), &id)) {
            n = node_of(s, id);
        }
        away += n == NULL || strcmp(n->state, "up") != 0;
        if (n != NULL) {
            n->replicas++;
        }
        at = end + 1;
    }
    return away;
}

/* Counts the partition, and lists it when it needs a look. Its leader may be who led last. */
static void judge(struct status *s, struct status_sick *p, bool moving)
{
    struct status_node *node = node_of(s, p->leader);
    uint32_t away = count_replicas(s, span_of(p->nodes, strlen(p->nodes)));
    bool led = node != NULL && strcmp(node->state, "up") == 0;
    if (led) {
        node->leaders++;
    } else {
        p->leader = 0;
    }
    s->sick[SICK_NO_LEADER] += !led;
    s->sick[SICK_REPLICA_AWAY] += away > 0;
    s->sick[SICK_MOVING] += moving;
    const char *why = !led                 ? moving ? "no leader, moving" : "no leader"
                      : moving && away > 0 ? "moving, a replica away"
                      : away > 1           ? "replicas away"
                                           : NULL;
    if (why != NULL && s->listed_count < STATUS_LISTED_MAX) {
        (void)snprintf(p->why, sizeof p->why, "%s", why);
        s->listed[s->listed_count++] = *p;
    }
}

static void take_partition(struct status *s, const struct status_keyspace *k, const struct tree *t,
                           uint32_t item)
{
    struct status_sick p = { .partition = field_number(t, item, "partition"),
                             .group = field_number(t, item, "group"),
                             .leader = field_number(t, item, "leader") };
    (void)snprintf(p.keyspace, sizeof p.keyspace, "%s", k->name);
    COPY(p.slots, field_text(t, item, "slots"));
    COPY(p.nodes, field_text(t, item, "nodes"));
    judge(s, &p, is_text(field_text(t, item, "state"), "moving"));
}

/* Keyspace 0's: every node has it. */
static void take_group_0(struct status *s)
{
    struct status_sick p = { .keyspace = "default", .slots = "0-16383", .leader = s->leader };
    size_t n = 0;
    for (uint32_t i = 0; i < s->node_count; i++) {
        n += (size_t)snprintf(p.nodes + n, sizeof p.nodes - n, "%s%" PRId64, i > 0 ? "," : "",
                              s->nodes[i].id);
        n = n < sizeof p.nodes ? n : sizeof p.nodes - 1;
    }
    judge(s, &p, false);
}

static void take_partitions(struct status *s, struct talk *talk)
{
    char line[128];
    take_group_0(s);
    for (uint32_t i = 0; i < s->keyspace_count; i++) {
        const struct status_keyspace *k = &s->keyspaces[i];
        s->partitions += (uint64_t)k->partitions;
        (void)snprintf(line, sizeof line, "KEYSPACE INFO %s", k->name);
        if (k->id == 0 || !ask(s, talk, line)) {
            continue;
        }
        const struct tree *t = &talk->reply;
        uint32_t placement = tree_field(t, 0, "placement");
        s->keyspaces[i].maxmemory = field_number(t, 0, "maxmemory");
        s->keyspaces[i].maxops = field_number(t, 0, "maxops");
        uint32_t at = placement + 1;
        for (uint32_t left = tree_length(t, placement); left > 0; left--, at = t->items[at].end) {
            take_partition(s, k, t, at);
        }
    }
}

/* What only the leader of group 0 knows. */
static void take_figures(struct status *s, struct talk *talk)
{
    char line[128];
    for (uint32_t i = 0; i < s->keyspace_count; i++) {
        struct status_keyspace *k = &s->keyspaces[i];
        (void)snprintf(line, sizeof line, "KEYSPACE STATS %s", k->name);
        if (!ask(s, talk, line)) {
            return;
        }
        k->counted = true;
        k->keys = field_number(&talk->reply, 0, "keys");
        k->bytes = field_number(&talk->reply, 0, "bytes");
        k->ops = field_number(&talk->reply, 0, "ops_per_sec");
        k->lag = field_number(&talk->reply, 0, "worst_lag");
        k->lag_partition = field_number(&talk->reply, 0, "worst_partition");
        k->lag_node = field_number(&talk->reply, 0, "worst_node");
    }
}

static void take_moves(struct status *s, struct talk *talk)
{
    const struct tree *t = &talk->reply;
    struct status_moves *m = &s->moves;
    if (!ask(s, talk, "REBALANCE STATUS")) {
        return;
    }
    m->known = true;
    m->balancing = is_text(field_text(t, 0, "balancing"), "yes");
    m->under_way = field_number(t, 0, "under_way");
    m->left = field_number(t, 0, "left");
    m->stuck = field_number(t, 0, "stuck");
    m->rate = field_number(t, 0, "rate");
    m->bytes_left = field_number(t, 0, "bytes_left");
    m->bytes_per_second = field_number(t, 0, "bytes_per_second");
    uint32_t rows = tree_field(t, 0, "moves");
    uint32_t at = rows + 1;
    for (uint32_t left = tree_length(t, rows); left > 0 && m->listed_count < STATUS_MOVES_MAX;
         left--, at = t->items[at].end) {
        struct status_move *move = &m->listed[m->listed_count++];
        COPY(move->keyspace, field_text(t, at, "keyspace"));
        COPY(move->from, field_text(t, at, "from"));
        COPY(move->to, field_text(t, at, "to"));
        move->partition = field_number(t, at, "partition");
        move->percent = field_number(t, at, "percent");
        move->bytes_left = field_number(t, at, "bytes_left");
        move->entries_left = field_number(t, at, "entries_left");
    }
}

/* --- The others ------------------------------------------------------------------------------ */

static void take_other(struct status_node *n, const struct asking *asking,
                       const struct status_node *before)
{
    char host[96];
    (void)snprintf(host, sizeof host, "%s", n->address[0] == '[' ? n->address + 1 : n->address);
    char *colon = strrchr(host, ':');
    struct talk_where where = asking->where;
    struct talk talk;
    if (colon == NULL) {
        return;
    }
    int64_t port = 0;
    if (!number_from(span_of(colon + 1, strlen(colon + 1)), &port)) {
        return;
    }
    where.port = (uint16_t)port;
    *colon = 0;
    host[strcspn(host, "]")] = 0;
    where.host = host;
    where.timeout_ms = OTHERS_PATIENCE_MS;
    if (talk_open(&talk, &where) && talk_ask_line(&talk, "INFO everything") &&
        !talk_refused(&talk)) {
        struct span info = tree_text(&talk.reply, 0);
        if (info_number(info, "raft_node_id") == n->id) {
            take_self(n, info, before);
        }
    }
    talk_close(&talk);
}

bool status_gather(struct status *s, const struct status *before, const struct asking *asking)
{
    struct talk talk;
    *s = (struct status){ 0 };
    bool good = talk_open(&talk, &asking->where);
    if (!good) {
        (void)snprintf(s->error, sizeof s->error, "%.*s", (int)sizeof s->error - 1, talk.error);
    }
    good = good && take_info(s, &talk, before);
    if (good) {
        if (talk_ask_line(&talk, "CONFIG GET cluster-id") && tree_length(&talk.reply, 0) == 2) {
            COPY(s->cluster, tree_text(&talk.reply, tree_element(&talk.reply, 0, 1)));
        }
        take_alarms(s, &talk);
        take_members(s, &talk);
        take_keyspaces(s, &talk);
        take_partitions(s, &talk);
        if (s->leader != 0 && s->keyspace_count > 0) {
            take_figures(s, &talk);
            take_moves(s, &talk);
        }
        for (uint32_t i = 0; i < s->node_count; i++) {
            if (!s->nodes[i].self) {
                take_other(&s->nodes[i], asking, same_node(before, s->nodes[i].id));
            }
        }
    }
    talk_close(&talk);
    return good;
}

void status_free(struct status *s)
{
    free(s->keyspaces);
    s->keyspaces = NULL;
}
