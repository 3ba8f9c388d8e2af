/* What `quorate status --json` prints: one document, on one line. */
#include "main/status.h"

#include "main/show.h"

#include <inttypes.h>
#include <string.h>

struct json {
    FILE *out;
    bool some; /* a comma comes first */
};

static void name(struct json *j, const char *text)
{
    (void)fprintf(j->out, "%s\"%s\": ", j->some ? ", " : "", text);
    j->some = true;
}

static void text(struct json *j, const char *field, const char *value)
{
    name(j, field);
    show_json_text(span_of(value, strlen(value)), j->out);
}

static void number(struct json *j, const char *field, int64_t value)
{
    name(j, field);
    (void)fprintf(j->out, "%" PRId64, value);
}

static void truth(struct json *j, const char *field, bool value)
{
    name(j, field);
    (void)fputs(value ? "true" : "false", j->out);
}

static void open(struct json *j, const char *field, char bracket)
{
    if (field != NULL) {
        name(j, field);
    } else {
        (void)fputs(j->some ? ", " : "", j->out);
    }
    (void)fputc(bracket, j->out);
    j->some = false;
}

static void end(struct json *j, char bracket)
{
    (void)fputc(bracket, j->out);
    j->some = true;
}

/* One element of a list. */
typedef void put_element(struct json *j, const struct status *s, uint32_t i);

static void put_list(struct json *j, const char *field, const struct status *s, uint32_t count,
                     put_element *put)
{
    open(j, field, '[');
    for (uint32_t i = 0; i < count; i++) {
        open(j, NULL, '{');
        put(j, s, i);
        end(j, '}');
    }
    end(j, ']');
}

static void put_node(struct json *j, const struct status *s, uint32_t i)
{
    const struct status_node *n = &s->nodes[i];
    number(j, "id", n->id);
    text(j, "address", n->address);
    text(j, "role", n->role);
    text(j, "state", n->state);
    text(j, "zone", n->zone);
    truth(j, "draining", n->draining);
    truth(j, "leads_group_0", n->leads);
    number(j, "partitions", (int64_t)n->replicas);
    number(j, "leaders", (int64_t)n->leaders);
    number(j, "lag", n->lag);
    truth(j, "answered", n->answered);
    if (n->answered) {
        text(j, "version", n->version);
        truth(j, "lease_held", n->lease);
        number(j, "memory_bytes", (int64_t)n->memory);
        number(j, "stall_max_usec", (int64_t)n->stall_us);
        number(j, "disk_free_bytes", n->disk_free);
        truth(j, "disk_low", n->space_low);
    }
    if (n->cpu >= 0) {
        name(j, "cpu");
        (void)fprintf(j->out, "%.4f", n->cpu);
    }
}

static void put_keyspace(struct json *j, const struct status *s, uint32_t i)
{
    const struct status_keyspace *k = &s->keyspaces[i];
    number(j, "id", k->id);
    text(j, "name", k->name);
    text(j, "strategy", k->strategy);
    number(j, "replicas", k->replicas);
    number(j, "partitions", k->partitions);
    text(j, "prefix", k->prefix);
    text(j, "state", k->state);
    number(j, "maxmemory", k->maxmemory);
    number(j, "maxops", k->maxops);
    if (k->counted) {
        number(j, "keys", k->keys);
        number(j, "bytes", k->bytes);
        number(j, "ops_per_second", k->ops);
        number(j, "worst_lag", k->lag);
        number(j, "worst_partition", k->lag_partition);
        number(j, "worst_node", k->lag_node);
    }
}

static void put_sick(struct json *j, const struct status *s, uint32_t i)
{
    const struct status_sick *p = &s->listed[i];
    text(j, "keyspace", p->keyspace);
    number(j, "partition", p->partition);
    number(j, "group", p->group);
    text(j, "slots", p->slots);
    text(j, "nodes", p->nodes);
    number(j, "leader", p->leader);
    text(j, "why", p->why);
}

static void put_partitions(struct json *j, const struct status *s)
{
    open(j, "partitions", '{');
    number(j, "count", (int64_t)s->partitions);
    number(j, "without_leader", (int64_t)s->sick[SICK_NO_LEADER]);
    number(j, "with_replica_away", (int64_t)s->sick[SICK_REPLICA_AWAY]);
    number(j, "moving", (int64_t)s->sick[SICK_MOVING]);
    put_list(j, "listed", s, s->listed_count, put_sick);
    end(j, '}');
}

static void put_alarm(struct json *j, const struct status *s, uint32_t i)
{
    text(j, "id", s->alarms[i].id);
    text(j, "alarm", s->alarms[i].alarm);
    number(j, "node", s->alarms[i].node);
    number(j, "since", s->alarms[i].since_ms);
    number(j, "until", s->alarms[i].until_ms);
    text(j, "text", s->alarms[i].text);
}

static void put_move(struct json *j, const struct status *s, uint32_t i)
{
    const struct status_move *m = &s->moves.listed[i];
    text(j, "keyspace", m->keyspace);
    number(j, "partition", m->partition);
    text(j, "from", m->from);
    text(j, "to", m->to);
    number(j, "percent", m->percent);
    number(j, "bytes_left", m->bytes_left);
    number(j, "entries_left", m->entries_left);
}

/* Only where it is known. */
static void put_moves(struct json *j, const struct status *s)
{
    const struct status_moves *m = &s->moves;
    open(j, "moves", '{');
    if (m->known) {
        truth(j, "balancing", m->balancing);
        number(j, "under_way", m->under_way);
        number(j, "left", m->left);
        number(j, "stuck", m->stuck);
        number(j, "rate", m->rate);
        number(j, "bytes_left", m->bytes_left);
        number(j, "bytes_per_second", m->bytes_per_second);
        put_list(j, "listed", s, m->listed_count, put_move);
    }
    end(j, '}');
}

static void put_lines(struct json *j, const char *field, const char (*lines)[STATUS_TEXT_BYTES],
                      uint32_t count)
{
    open(j, field, '[');
    for (uint32_t i = 0; i < count; i++) {
        (void)fputs(i > 0 ? ", " : "", j->out);
        show_json_text(span_of(lines[i], strlen(lines[i])), j->out);
    }
    end(j, ']');
}

void status_json(const struct status *s, FILE *out)
{
    struct json j = { .out = out };
    open(&j, NULL, '{');
    if (s->error[0] != 0) {
        text(&j, "error", s->error);
    } else {
        text(&j, "cluster", s->cluster);
        text(&j, "version", s->version);
        number(&j, "level", s->level);
        number(&j, "asked", s->asked);
        number(&j, "leader", s->leader);
        number(&j, "term", s->term);
        number(&j, "commit", s->commit);
        number(&j, "applied", s->applied);
        truth(&j, "leader_serves", s->leader != 0 && s->can_serve);
        put_list(&j, "nodes", s, s->node_count, put_node);
        put_list(&j, "keyspaces", s, s->keyspace_count, put_keyspace);
        put_partitions(&j, s);
        number(&j, "alarm_count", s->alarm_count);
        put_list(&j, "alarms", s, s->alarms_listed, put_alarm);
        put_moves(&j, s);
        put_lines(&j, "notes", s->notes, s->note_count);
    }
    end(&j, '}');
    (void)fputs("\n", out);
}
